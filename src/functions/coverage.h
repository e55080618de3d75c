/*
 * coverage.h
 *		What the parts of pseudo_coverage() share.
 *
 * coverage.c has the function and its rows, coverage_pair.c the keyrings and contexts, coverage_table.c what the
 * catalogs say of a table, coverage_where.c where else values may be, coverage_look.c reads a table,
 * coverage_count.c opens and counts its values, coverage_match.c compares the values of a row, coverage_hint.c has what looks personal,
 * coverage_verdict.c what is said of a column, and coverage_nodes.c how other nodes of Citus differ.
 *
 * Whoever calls pseudo_coverage(), a superuser perhaps, does not trust the owners of the tables.  So none of this
 * runs anything of theirs: tables are read without a statement, for the planner computes constants in the expressions
 * of their indexes, statistics and constraints; and expressions are looked at as they are stored.
 */
#ifndef PSEUDO_COVERAGE_H
#define PSEUDO_COVERAGE_H

#include "postgres.h"

#include "lib/hyperloglog.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "label.h"
#include "open.h"

/* A keyring and a context, and what is needed to open their pseudonyms. */
typedef struct PseudoPair
{
	char	   *keyring;
	char	   *context;
	PseudoCall	call;
	char	   *why;			/* the caller cannot use it, or NULL */
} PseudoPair;

/* What a column's values are looked for in. */
typedef enum PseudoLook
{
	PSEUDO_LOOK_NOTHING,
	PSEUDO_LOOK_TEXT,			/* each value is a text */
	PSEUDO_LOOK_ARRAY,			/* texts in an array */
	PSEUDO_LOOK_JSON,			/* strings in a document */
	PSEUDO_LOOK_JSONB
} PseudoLook;

/* What has been seen of a column; numbers of values, in arrays and documents of strings. */
typedef struct PseudoSeen
{
	int64		rows;
	int64		pseudonyms;		/* under a primary key */
	int64		older;			/* under other keys */
	int64		plaintext;
	int64		unreadable;		/* look like pseudonyms, and open under
								 * nothing */
	int64		misspelled;		/* of them, those in another spelling */
	int64		other_mode;		/* pseudonyms that are not of the label's mode */
	int64		other_pair;		/* pseudonyms of another keyring or context */
	PseudoPair *pair;			/* the last one of these, or of any where the
								 * label names none */
	int64		unmatched;		/* rows of a target that have not the source's
								 * pseudonym */
	int64		copies;			/* values that a labelled column has in the
								 * same row */
	const char *copied;			/* the name of the first of these columns */
	int64		emails;			/* plaintext of such a shape */
	int64		phones;
	int64		ibans;
	double		distinct;		/* deterministic pseudonyms, estimated */
} PseudoSeen;

/* A column. */
typedef struct PseudoCoverageColumn
{
	AttrNumber	attno;
	char	   *name;
	char	   *type;
	PseudoLook	look;
	bool		is_padded;		/* char(n) */
	bool		is_harmless;	/* numbers, dates and the like */
	PseudoLabel *label;			/* of a target, its source's */
	AttrNumber	source;			/* of a target; else 0 */
	PseudoPair *pair;			/* of the label, or NULL */
	char	   *why_not;		/* its values are not looked at, or NULL */
	char	   *trigger;		/* what covers it, or NULL */
	bool		is_covered;		/* for all writes */
	char	   *later;			/* a trigger that can write something else
								 * afterwards, or NULL */
	char	   *differs;		/* a trigger that says otherwise than the
								 * label, or NULL */
	List	   *elsewhere;		/* of char * */
	PseudoSeen	seen;
} PseudoCoverageColumn;

/* A relation. */
typedef struct PseudoCoverageTable
{
	Oid			relid;
	char	   *name;			/* as for messages */
	char		kind;			/* relkind */
	char	   *why_not;		/* its rows are not looked at, or NULL */
	char	   *failure;		/* why looking ended early, or NULL */
	int			ncolumns;
	PseudoCoverageColumn *columns;
} PseudoCoverageTable;

/* One call. */
typedef struct PseudoCoverage
{
	Oid			called;			/* pseudo_coverage() */
	Oid			trigger;		/* pseudonymize_trigger() */
	double		sample;			/* percent */
	Snapshot	snapshot;
	MemoryContext mcxt;			/* lives as long as the call */
	List	   *pairs;			/* of PseudoPair *: of all labels and
								 * triggers, and the default */
	List	   *published;		/* of PseudoPublished * */
	int			number;			/* of the relation, from 1 */
	int			nrelations;
	struct PseudoReading *reading;	/* see coverage_look.h; or NULL */
	instr_time	last_notice;
} PseudoCoverage;

/* ---- coverage_pair.c ---- */

/* The pair of a keyring and a context; its why says where it cannot be used. */
extern PseudoPair *pseudo_pair(PseudoCoverage *coverage, const char *keyring, const char *context);

/* Find the pairs of all labels and triggers of the database, and that of the functions' defaults. */
extern void pseudo_pairs_find(PseudoCoverage *coverage);

/* Get a pair ready that can be used, again where something has changed.  Errors: 42501, 42704, and the provider's. */
extern PseudoCall *pseudo_pair_call(PseudoCoverage *coverage, PseudoPair *pair);

/* "keyring "shop", context "crm"" for messages, palloc'ed. */
extern char *pseudo_pair_name(const PseudoPair *pair);

/* ---- coverage_nodes.c ---- */

/*
 * How other nodes of Citus differ from this one, as a list of char *, palloc'ed.  Where they were not asked, why_not says why;
 * where there are none, it is NULL and the list empty.
 */
extern List *pseudo_coverage_nodes(const PseudoCoverage *coverage, char **why_not);

/* ---- coverage_table.c ---- */

/* Fill in what the catalogs say of a relation that is locked.  Errors: 22023 for labels and triggers that cannot be read. */
extern void pseudo_coverage_describe(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel);

/* ---- coverage_where.c ---- */

/* A relation that a publication sends. */
typedef struct PseudoPublished
{
	Oid			relid;
	char	   *publication;
	List	   *columns;		/* of String */
} PseudoPublished;

/* Find what is published.  Needs SPI. */
extern void pseudo_coverage_find_published(PseudoCoverage *coverage);

/* Fill in where else the values of a relation's columns may be. */
extern void pseudo_coverage_where(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel);

/* ---- coverage_look.c ---- */

/* Read a relation, or a sample of its blocks, and count the values of its columns. */
extern void pseudo_coverage_look(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel);

/* Wipe what an error has left of opened values. */
extern void pseudo_coverage_wipe(PseudoCoverage *coverage);

/* ---- coverage_hint.c ---- */

/* Count the shape of a value. */
extern void pseudo_hint_count(PseudoSeen *seen, const char *value, size_t len);

/* What looks personal in a column's name and in the shapes of its values, palloc'ed, or NULL. */
extern char *pseudo_hint(const PseudoCoverageColumn *column);

/* ---- coverage_verdict.c ---- */

/* The verdict on a column; *reasons gets what it is based on and what was not looked at, palloc'ed, or NULL. */
extern const char *pseudo_verdict(const PseudoCoverageTable *table, const PseudoCoverageColumn *column,
								  char **reasons);

#endif							/* PSEUDO_COVERAGE_H */
