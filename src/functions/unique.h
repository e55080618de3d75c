/*
 * unique.h
 *		One value, one pseudonym, in what PostgreSQL compares: unique and exclusion indexes and
 *		foreign keys.
 *
 * While several keys are enabled a value has a deterministic pseudonym under each.  A row
 * that is written keeps the pseudonym that is there already, in the table's own indexes or in the
 * table that a foreign key refers to, so that PostgreSQL finds the equal values equal.
 */
#ifndef PSEUDO_UNIQUE_H
#define PSEUDO_UNIQUE_H

#include "postgres.h"

#include "access/htup.h"
#include "nodes/lockoptions.h"
#include "utils/rel.h"

#include "column.h"
#include "open.h"

/* What is known of a table's comparing constraints for as long as a statement runs. */
typedef struct PseudoUnique PseudoUnique;

/*
 * Begin with a table: costs little.  The n columns are as pseudo_columns_find() made them; they, the calls and the
 * current memory context outlive the result.
 *
 *	calls		of each column: its context and keyring.  They are looked up before any of the functions below
 *	lock_mode	for the rows of this table that pseudonyms are taken from; a weaker one than they need does not count
 */
extern PseudoUnique *pseudo_unique_begin(Relation rel, PseudoColumn *columns, PseudoCall *const *calls, int n,
										 LockTupleMode lock_mode);

/* Returns true if a constraint of the table may compare columns of different calls, which then belong together. */
extern bool pseudo_unique_mixes(Relation rel, const PseudoColumn *columns, PseudoCall *const *calls, int n);

/*
 * Get ready for a row, or for all of them as long as the keys stay as they are: keep transactions that write with
 * other keys out of the table until this one ends (where writes is true), and find the constraints if
 * several keys are enabled.
 *
 * Returns true if there was nothing to do.  Otherwise it may have waited, or have run functions of the table, and
 * the keys may have changed meanwhile: look them up again, and call it again.
 */
extern bool pseudo_unique_prepare(PseudoUnique *unique, Relation rel, bool writes);

/*
 * Returns true if an UPDATE changed a column that a constraint compares beside the pseudonyms: only then does
 * one matter that converts nothing.  May run functions of the table.
 */
extern bool pseudo_unique_is_moved(PseudoUnique *unique, Relation rel, HeapTuple new, HeapTuple old);

/* Returns true if several keys are enabled and a constraint compares the columns: only then is there anything to do. */
extern bool pseudo_unique_is_due(const PseudoUnique *unique);

/*
 * Give a row the pseudonyms that its values have already; pseudo_unique_prepare() is through.  Waits for transactions that write such a
 * row, and locks the rows that it takes pseudonyms from, as a foreign key does.
 *
 *	old			the row that an UPDATE replaces, or NULL
 *	attnos, n	the columns that have been converted
 *	arrives		it comes from another partition: attnos are all columns
 *
 * Returns the row, or a palloc'ed one.  Errors: those of the keyring, of locks, and of expressions
 * of the indexes.
 */
extern HeapTuple pseudo_unique_settle(PseudoUnique *unique, Relation rel, HeapTuple new,
									  HeapTuple old, const int *attnos, int n,
									  bool arrives);

/*
 * Look for another row that has the values of a row under any enabled key; pseudo_unique_prepare() is
 * through.  Returns the index that compares them, or InvalidOid.  Neither waits nor locks.
 */
extern Oid	pseudo_unique_twin(PseudoUnique *unique, Relation rel, HeapTuple row,
							   const int *attnos, int n);

#endif							/* PSEUDO_UNIQUE_H */
