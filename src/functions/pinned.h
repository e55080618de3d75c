/*
 * pinned.h
 *		What the names of a table and of our functions mean in a statement of ours.
 *
 * A statement names its table, which is locked, but whoever owns its schema can give the schema's name to another one at any
 * time.  Then PostgreSQL would plan and execute the statement for another table, and call functions of its owner, an index's or a
 * trigger's, with the rights of whoever called us.
 */
#ifndef PSEUDO_PINNED_H
#define PSEUDO_PINNED_H

#include "postgres.h"

#include "executor/spi.h"
#include "nodes/parsenodes.h"

/* A statement, and the table that it is for. */
typedef struct PseudoPin
{
	const char *statement;		/* or NULL */
	Oid			relid;
} PseudoPin;

/* Take the hook; once a backend. */
extern void pseudo_pinned_init(void);

/*
 * Let a statement that is about to be planned be for its table only.  Returns what was pinned before.  Errors, when it is
 * planned: 40001.
 */
extern PseudoPin pseudo_pin(const char *statement, Oid relid);

/* Returns true if a query that names one table, or none, has got this one. */
extern bool pseudo_pinned_reads(const Query *query, Oid relid);

/* Report that the name of a relation means another one by now.  Errors: 40001. */
extern void pseudo_report_moved(Oid relid) __attribute__((noreturn));

/* Returns true if a function that is not PostgreSQL's own has one of so many names, in any schema. */
extern bool pseudo_has_name(Oid funcid, const char *const *names, int count);

/*
 * Refuse a query whose columns or conditions call functions with names of ours that are others: whoever owns the schema of the extension can have
 * its name mean another one by now.  Errors: 40001.
 */
extern void pseudo_pinned_check_calls(const Query *query);

/*
 * SPI_execute_snapshot() of a plan of a statement that names one table, for this one; "snapshot" may be InvalidSnapshot.  Returns
 * what that does.  Errors: 40001.
 */
extern int	pseudo_pinned_execute(const char *statement, Oid relid, SPIPlanPtr plan, Datum *values, Snapshot snapshot, bool read_only);

#endif							/* PSEUDO_PINNED_H */
