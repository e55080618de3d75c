/*
 * trigger_rows.h
 *		Values that PostgreSQL itself brings back to the trigger, in the middle of one row.
 */
#ifndef PSEUDO_TRIGGER_ROWS_H
#define PSEUDO_TRIGGER_ROWS_H

#include "postgres.h"

#include "access/htup.h"
#include "commands/trigger.h"
#include "storage/itemptr.h"

#include "column.h"
#include "trigger.h"

/* What a trigger of one relation let pass, in one run of the executor. */
typedef struct PseudoRows
{
	struct PseudoRun *run;
	Oid			relid;
	Oid			root;			/* of its partition tree, or InvalidOid */
	const List *arguments;		/* of PseudoTriggerColumn * ... */
	const PseudoColumn *columns;	/* ... that hold pseudonyms */
	struct EState *estate;		/* for the bounds of the partition, or NULL */
	struct ExprState *bounds;

	/* As long as the executor is at the row; see trigger_rows.c. */
	bool		is_live;
	struct PseudoRows *next;	/* that is live */
	HeapTuple	inserted;		/* what an INSERT was let pass as, or NULL */
	HeapTuple	updated;		/* what an UPDATE in a partition was let pass
								 * as, or NULL */
	ItemPointerData old;		/* the row that it updates */
	TupleTableSlot *slot;		/* that carries it on */
} PseudoRows;

/*
 * Make this ready; arguments (of PseudoTriggerColumn *) and the columns that hold their pseudonyms, which live as
 * long as mcxt, the executor's.
 */
extern void pseudo_rows_begin(PseudoRows *rows, const TriggerData *data, const List *arguments,
							  const PseudoColumn *columns, MemoryContext mcxt);

/* Returns true if an UPDATE writes the value that EXCLUDED has, made for column number no just now. */
extern bool pseudo_rows_excluded(PseudoRows *rows, const TriggerData *data, int no, Datum value);

/*
 * Returns true if a value of an INSERT, for column number no, is that of a row which an UPDATE moves here from another
 * partition; with "into" the source has to be that row's, too.
 */
extern bool pseudo_rows_moved(PseudoRows *rows, const TriggerData *data, int no, Datum value);

/*
 * Note what the trigger returns for a row.  is_ours: nobody else has this tuple, which is in the current
 * memory context; is_moved: it has a value that pseudo_rows_moved() told.
 */
extern void pseudo_rows_note(PseudoRows *rows, const TriggerData *data, HeapTuple result,
							 bool is_ours, bool is_moved);

#endif							/* PSEUDO_TRIGGER_ROWS_H */
