/*
 * dump_guard.h
 *		Nothing but our own COPY reads users' tables while pseudo.dump is on, and no function of a table's owner runs
 *		with the rights of whoever dumps it.
 */
#ifndef PSEUDO_DUMP_GUARD_H
#define PSEUDO_DUMP_GUARD_H

#include "postgres.h"

/* What may read users' tables now. */
typedef struct PseudoDumpAllowed
{
	bool		copy;			/* the COPY TO that runs now */
	const char *query;			/* its text, or that of a query, or NULL */
	Oid			relid;			/* the only table that it may read */
	Oid			planner;		/* whose rights it is planned with */
} PseudoDumpAllowed;

/* Take the hooks; once a backend. */
extern void pseudo_dump_guard_init(void);

/* Allow something instead of what was allowed before, which is returned and has to be allowed again in the end. */
extern PseudoDumpAllowed pseudo_dump_guard_allow(PseudoDumpAllowed allowed);

#endif							/* PSEUDO_DUMP_GUARD_H */
