/*
 * lookup.h
 *		Pseudonyms of what a query looks up on other servers: made here.
 */
#ifndef PSEUDO_LOOKUP_H
#define PSEUDO_LOOKUP_H

#include "postgres.h"

/*
 * Take the hooks that see queries being planned and executed; once a backend.
 * Errors: 55000 where Citus is loaded and this library is not preloaded.
 */
extern void pseudo_lookup_init(void);

#endif							/* PSEUDO_LOOKUP_H */
