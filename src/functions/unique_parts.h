/*
 * unique_parts.h
 *		What the parts of unique.h share.
 *
 * unique_constraints.c knows what is compared, unique_keys.c keeps writers with different keys apart, unique_entry.c looks
 * one row up in one index, and unique.c gives rows their pseudonyms.
 */
#ifndef PSEUDO_UNIQUE_PARTS_H
#define PSEUDO_UNIQUE_PARTS_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"

#include "unique.h"

/* A stored generated column that an index depends on. */
typedef struct Generated
{
	AttrNumber	attno;
	ExprState  *value;
} Generated;

/* An index that a new row is looked up in. */
typedef struct Compared
{
	Oid			relid;			/* its table */
	Oid			indexid;
	bool		is_foreign;		/* of a table that a foreign key refers to */
	LockTupleMode lock_mode;	/* that keeps its key as it is */
	int			nkeys;			/* columns of the index that are compared ... */
	uint16		strategies[INDEX_MAX_KEYS]; /* ... with these operators */
	Oid			subtypes[INDEX_MAX_KEYS];
	Oid			procs[INDEX_MAX_KEYS];
	AttrNumber	attnos[INDEX_MAX_KEYS]; /* is_foreign: the row's columns */
	IndexInfo  *info;			/* else: how the index makes its entries */
	ExprState  *predicate;		/* and for which rows, or NULL */
	List	   *generated;		/* of Generated *: what they need */
	Bitmapset  *others;			/* the row's columns that are no pseudonyms,
								 * as pull_varattnos() has them */
	int			nvaried;
	int		   *varied;			/* the ones that are: numbers in
								 * PseudoUnique.columns */
	TupleTableSlot *found;		/* a row of the index's table */
} Compared;

struct PseudoUnique
{
	MemoryContext mcxt;			/* of all that is here */
	int			ncolumns;
	PseudoColumn *columns;
	PseudoCall *const *calls;	/* of each column */
	LockTupleMode lock_mode;	/* for rows that pseudonyms are taken from, at
								 * least */
	bool		has_own;		/* may an index of the table compare them? */
	bool		has_others;		/* together with others, or some rows only? */

	uint64		prepared;		/* pseudo_generation when this was found, or 0 */
	PseudoKey **keys;			/* of each column, that this transaction
								 * writes with */
	bool		is_due;			/* several keys of a keyring are enabled */

	bool		is_known;		/* has the rest been found? */
	List	   *compared;		/* of Compared *, foreign keys first */
	EState	   *estate;
	TupleTableSlot *row;		/* as it is looked up */
};

/* What a look-up comes to. */
typedef enum Finding
{
	NOT_FOUND,
	FOUND,
	WAITED						/* look again, from the start */
} Finding;

/* A row in an index. */
typedef struct Entry
{
	ItemPointerData tid;
	TransactionId running;		/* that writes or deletes it, or
								 * InvalidTransactionId */
	uint32		token;			/* of a speculative insertion, or 0 */
	bool		has_passed;		/* the index had entries of rows that are no
								 * more */
} Entry;

/* ---- unique_constraints.c ---- */

/* Find out all about the constraints that compare the columns; may run functions of the table. */
extern void pseudo_unique_find_constraints(PseudoUnique *unique, Relation rel);

/* ---- unique_entry.c ---- */

/* What an index has to have for the row to be found; false where the row has no entry there, or one that equals none. */
extern bool pseudo_unique_entry_of(PseudoUnique *unique, Compared *compared, Relation index,
								   Datum *values, bool *nulls);

/* Find a row, committed or not, that is not the one at except. */
extern bool pseudo_unique_find_entry(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
									 const Datum *values, const bool *nulls, ItemPointer except, Entry *entry);

/*
 * Look the row up as it is, wait for the transaction that writes the one that is found, and lock that.
 *
 *	self		where the row was, or NULL
 *	passes_self	what is there does not count
 *	is_first	it has the pseudonyms that it has without this look-up
 */
extern Finding pseudo_unique_look_in(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
									 ItemPointer self, bool passes_self, bool is_first);

#endif							/* PSEUDO_UNIQUE_PARTS_H */
