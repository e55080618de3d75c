/*
 * subtransaction.h
 *		A function's error as data: what it did is undone.
 */
#ifndef PSEUDO_SUBTRANSACTION_H
#define PSEUDO_SUBTRANSACTION_H

#include "postgres.h"

/*
 * Call a function in a subtransaction.  Returns NULL, or the error that it ended with, palloc'ed; a cancel is not caught.
 * Not for parallel mode.
 */
extern ErrorData *pseudo_subtransaction(void (*function) (void *), void *arg);

/* The same, and a cancel is caught, too. */
extern ErrorData *pseudo_subtransaction_any(void (*function) (void *), void *arg);

#endif							/* PSEUDO_SUBTRANSACTION_H */
