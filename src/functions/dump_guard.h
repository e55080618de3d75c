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

/* To be somebody else for a while. */
typedef struct PseudoDumpUser
{
	Oid			userid;
	int			context;
	int			level;			/* of settings */
} PseudoDumpUser;

/* Take the hooks; once a backend. */
extern void pseudo_dump_guard_init(void);

/*
 * Work as the owner of a relation where its expressions are read: PostgreSQL calls the immutable functions in them whose
 * arguments are constants.  Names in these functions are looked up in pg_catalog only: the search_path of whoever dumps
 * must not choose what runs as the owner.  Returns who works now, for pseudo_dump_guard_be(), which has to follow, also
 * after an error.  Errors: 55000 in a session that has made temporary objects, where they are another role's, for
 * PostgreSQL finds types and tables in pg_temp whatever the search_path.
 */
extern PseudoDumpUser pseudo_dump_guard_be_owner(Oid owner);
extern void pseudo_dump_guard_be(PseudoDumpUser user);

/* Allow something instead of what was allowed before, which is returned and has to be allowed again in the end. */
extern PseudoDumpAllowed pseudo_dump_guard_allow(PseudoDumpAllowed allowed);

#endif							/* PSEUDO_DUMP_GUARD_H */
