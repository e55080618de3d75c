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
#include "utils/rel.h"

#include "column.h"
#include "open.h"

/* What is known of a table's comparing constraints for as long as a statement runs. */
typedef struct PseudoUnique PseudoUnique;

/*
 * Find the constraints that compare any of n columns of a table; they are as pseudo_column_find() made
 * them and outlive the result, which is allocated in the current memory context.  Returns NULL where
 * there is none.
 */
extern PseudoUnique *pseudo_unique_begin(Relation rel, PseudoColumn *columns, int n);

/* Returns true if more than one key of the call's keyring is enabled: only then is there anything to do. */
extern bool pseudo_unique_is_due(const PseudoCall *call);

/*
 * Returns true if an UPDATE that converts nothing can matter: a constraint of the table may compare a
 * pseudonym together with another column.  Costs little; pseudo_unique_begin() knows more.
 */
extern bool pseudo_unique_has_others(Relation rel);

/* Returns true if an UPDATE changed a column that a constraint compares beside the pseudonyms. */
extern bool pseudo_unique_is_moved(PseudoUnique *unique, Relation rel, HeapTuple new, HeapTuple old);

/*
 * Give a row the pseudonyms that its values have already.  Waits for transactions that write such a
 * row, and locks the rows that it takes pseudonyms from, as a foreign key does.
 *
 *	old			the row that an UPDATE replaces, or NULL
 *	attnos, n	the columns that have been converted
 *
 * Returns the row, or a palloc'ed one.  Errors: those of the keyring, of locks, and of expressions
 * of the indexes.
 */
extern HeapTuple pseudo_unique_settle(PseudoUnique *unique, PseudoCall *call, Relation rel,
									  HeapTuple new, HeapTuple old, const int *attnos, int n);

/*
 * Look for another row that has the values of a row under any enabled key.  Returns the index that
 * compares them, or InvalidOid.  Neither waits nor locks.
 */
extern Oid	pseudo_unique_twin(PseudoUnique *unique, PseudoCall *call, Relation rel,
							   HeapTuple row, const int *attnos, int n);

/*
 * Keep transactions that write with another primary key out of the table until this one ends.
 * pseudo_unique_settle() does it by itself.
 */
extern void pseudo_unique_lock(PseudoUnique *unique, PseudoCall *call, Relation rel);

#endif							/* PSEUDO_UNIQUE_H */
