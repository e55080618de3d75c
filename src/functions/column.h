/*
 * column.h
 *		A table's column that holds pseudonyms: what it must be, and how a value
 *		is taken from it and put into it.
 */
#ifndef PSEUDO_COLUMN_H
#define PSEUDO_COLUMN_H

#include "postgres.h"

#include "utils/rel.h"

typedef struct PseudoColumn
{
	char	   *name;
	AttrNumber	attno;
	Oid			type;			/* as declared, perhaps a domain */
	int			limit;			/* characters of varchar(n) or char(n), or -1 */
	bool		is_padded;		/* char(n) */
	bool		is_domain;
	void	   *domain;			/* domain_check's */
} PseudoColumn;

/*
 * Find a column and check that it can hold pseudonyms; what is kept is allocated in the current
 * memory context.  Errors: 42703 no such column, 42P17 generated, 42804 no string type.
 */
extern void pseudo_column_find(PseudoColumn *column, Relation rel, const char *name);

/* Refuse a column that decides which partition a row belongs to.  Errors: 42P17. */
extern void pseudo_column_check_partition_key(const PseudoColumn *column, Relation rel);

/* The value of a column as a text, detoasted where needed; without char(n)'s padding. */
extern text *pseudo_column_get(const PseudoColumn *column, Datum value);

/*
 * A pseudonym as a value of the column.  Errors: 22001 too narrow, and those of a domain's constraints.
 */
extern Datum pseudo_column_put(PseudoColumn *column, Relation rel, text *pseudonym,
							   MemoryContext mcxt);

/* Report that a column is too narrow for the pseudonym of a value that it holds or gets. */
extern void pseudo_column_report_narrow(const PseudoColumn *column, Relation rel,
										size_t needed) __attribute__((noreturn));

/* Do two values of a column, neither NULL, have the same bytes? */
extern bool pseudo_column_same(Datum a, Datum b);

#endif							/* PSEUDO_COLUMN_H */
