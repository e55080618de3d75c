/*
 * column.h
 *		A table's column that holds pseudonyms: what it must be, and how a value
 *		is taken from it and put into it.
 */
#ifndef PSEUDO_COLUMN_H
#define PSEUDO_COLUMN_H

#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "nodes/pg_list.h"
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

/* Returns true if a type, or what it is a domain over, is one of strings, so that a column of it can hold pseudonyms. */
extern bool pseudo_type_is_string(Oid type);

/*
 * Returns true if values of a type say no more than a number, a time or an identifier does.  It is a list of those, so
 * that what is not in it needs a label: what may hold text, an address of a network, a place on a map.
 */
extern bool pseudo_type_is_harmless(Oid type);

/* Fill in what a column of any type is; its name is palloc'ed. */
extern void pseudo_column_describe(PseudoColumn *column, Form_pg_attribute att);

/*
 * Find the columns that names (of String) name, and check that they can hold pseudonyms; columns[] has room
 * for them, and what is kept is allocated in the current memory context.  All faults
 * are reported in one error.
 * Errors: 42703 no such column, 42P17 generated or in a partition key, 42804 no string type,
 * 0A000 Citus distributes the table by it.
 */
extern void pseudo_columns_find(PseudoColumn *columns, Relation rel, List *names);

/* The same for columns whose pseudonyms others get: they stay as they are, and may decide where a row is. */
extern void pseudo_columns_find_sources(PseudoColumn *columns, Relation rel, List *names);

/* The name of an index that keeps a column's values, or an expression of them, unique, palloc'ed; or NULL. */
extern char *pseudo_column_unique_index(const PseudoColumn *column, Relation rel);

/*
 * What calls values of a column equal that differ in bytes, and so get different
 * deterministic pseudonyms: its type, its collation, or an index that keeps values unique.  A few words
 * for a message, palloc'ed, or NULL.  The blanks at the end of char(n) do not count: they
 * are not part of the value.
 */
extern char *pseudo_column_wide_equality(const PseudoColumn *column, Relation rel);

/* Give a warning where there is such a thing. */
extern void pseudo_column_warn_equality(const PseudoColumn *column, Relation rel);

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

/* "schema.table", quoted, palloc'ed */
extern char *pseudo_relation_name(Oid relid);

/* Returns true if two values of a column, neither NULL, have the same bytes. */
extern bool pseudo_column_same(Datum a, Datum b);

#endif							/* PSEUDO_COLUMN_H */
