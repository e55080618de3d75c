/*
 * secret.h
 *		Memory for keys: locked where the limits allow it, left out of core
 *		dumps and of forked children, wiped when freed.
 */
#ifndef PSEUDO_SECRET_H
#define PSEUDO_SECRET_H

#include "postgres.h"

/*
 * Allocate size bytes, zeroed and page-aligned.  The caller frees them, also
 * in the middle of an error: they belong to no memory context.
 * Errors: 53200 (out of memory); a WARNING once a backend where mlock() is
 * refused (the message names RLIMIT_MEMLOCK).
 */
extern void *pseudo_secret_alloc(Size size);

/* Wipe and free what pseudo_secret_alloc gave; NULL is allowed. */
extern void pseudo_secret_free(void *ptr);

#endif							/* PSEUDO_SECRET_H */
