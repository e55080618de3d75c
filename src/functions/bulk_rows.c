/*
 * bulk_rows.c
 *		One batch of the bulk procedures: which rows.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "bulk.h"
#include "bulk_batch.h"

#define MAX_BATCH_BYTES	(16 * 1024 * 1024)	/* of values; a batch ends when it
											 * has more */
#define BATCH_SECONDS	1.0		/* a batch that finds little ends after this
								 * time */
#define ROWS_A_LOOK		32		/* between two looks at the clock */

/* ---- Which values are converted ---- */

/* The columns of a row. */
typedef struct Found
{
	text	  **values;			/* of the column, or of its source; or NULL */
	text	  **held;			/* of the column itself, or NULL */
	bool	   *converts;		/* is it to be written? */
} Found;

/* Where a value stands, for messages. */
typedef struct Place
{
	BulkTarget *target;
	ItemPointerData tid;
	const char *column;
} Place;

/* Error context: the row and the column, never the value. */
static void
say_place(void *arg)
{
	Place	   *place = arg;

	if (place->column)
		errcontext("column \"%s\" of row (%u,%u) of relation \"%s\"", place->column,
				   ItemPointerGetBlockNumberNoCheck(&place->tid),
				   ItemPointerGetOffsetNumberNoCheck(&place->tid),
				   RelationGetRelationName(place->target->rel));
}

/* The value of a column in a row, or NULL. */
static text *
get_value(TupleTableSlot *slot, const PseudoColumn *column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attno, &isnull);

	return isnull ? NULL : pseudo_column_get(column, value);
}

/* How many columns of a row are to be written. */
static int
examine_row(Bulk *bulk, BulkTarget *target, TupleTableSlot *slot, bool count, Found *found)
{
	Place		place = {.target = target, .tid = slot->tts_tid};
	ErrorContextCallback context = {error_context_stack, say_place, &place};
	int			n = 0;

	error_context_stack = &context;
	for (int i = 0; i < target->ncolumns; i++)
	{
		BulkColumn *column = target->settings[i];

		place.column = column->name;
		pseudo_bulk_prepare_call(bulk, column->call);
		found->held[i] = get_value(slot, &target->columns[i]);
		found->values[i] = column->source ? get_value(slot, &target->sources[i]) : found->held[i];
		found->converts[i] = pseudo_bulk_is_due(bulk, column, found->values[i], found->held[i], count);
		n += found->converts[i];
	}
	error_context_stack = context.previous;
	return n;
}

/* ---- Reading and locking ---- */

/* Returns true if a row was there before the run began.  Only such rows are counted, once each. */
static bool
was_there(Bulk *bulk, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);

	return bulk->pass == 1 && TransactionIdPrecedes(DatumGetTransactionId(xmin), bulk->first_xid);
}

/* Make the room of a batch. */
static void
begin_batch(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
{
	int			n = bulk->batch_size * target->ncolumns;
	PseudoWritten *rows = &batch->rows;

	memset(batch, 0, sizeof(BulkBatch));
	rows->relid = RelationGetRelid(target->rel);
	rows->ncolumns = target->ncolumns;
	rows->columns = palloc(target->ncolumns * sizeof(PseudoWrittenColumn));
	for (int i = 0; i < target->ncolumns; i++)
	{
		BulkCall   *call = target->settings[i]->call;

		rows->columns[i] = (PseudoWrittenColumn)
		{
			.attno = target->columns[i].attno, .context = call->context, .keyring = call->keyring
		};
	}
	rows->tids = palloc(bulk->batch_size * sizeof(ItemPointerData));
	rows->olds = palloc(n * sizeof(text *));
	rows->values = palloc(n * sizeof(text *));
	batch->converts = palloc(n * sizeof(bool));
}

/* A copy of a value for a batch, or NULL. */
static text *
copy_value(BulkBatch *batch, const text *value)
{
	size_t		size;

	if (value == NULL)
		return NULL;
	size = VARSIZE_ANY(value);
	batch->bytes += size;
	return memcpy(palloc(size), value, size);
}

/* Put the row in a slot into the batch, copying its values. */
static void
add_row(BulkBatch *batch, TupleTableSlot *slot, const Found *found)
{
	PseudoWritten *rows = &batch->rows;
	int			first = rows->nrows * rows->ncolumns;

	rows->tids[rows->nrows++] = slot->tts_tid;
	for (int i = 0; i < rows->ncolumns; i++)
	{
		bool		converts = found->converts[i];
		text	   *held = copy_value(batch, found->held[i]);

		rows->olds[first + i] = held;
		rows->values[first + i] = converts && found->values[i] != found->held[i] ?
			copy_value(batch, found->values[i]) : held;
		batch->converts[first + i] = converts;
	}
}

/*
 * Lock the newest version of a row that has a value to convert, and add it to the batch where it
 * still has one.  The first pass leaves locked rows to the next one; later passes wait for one
 * while they hold no other.  False where the batch should end before this row.
 */
static bool
lock_row(Bulk *bulk, BulkTarget *target, BulkBatch *batch, TupleTableSlot *slot,
		 TupleTableSlot *locked, Found *found)
{
	bool		waits = bulk->pass > 1 && batch->rows.nrows == 0;
	ItemPointerData newest = slot->tts_tid;
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_lock(target->rel, &newest, GetActiveSnapshot(), locked,
							  GetCurrentCommandId(true), target->lock_mode,
							  waits ? LockWaitBlock : LockWaitSkip,
							  TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							  &failure);
	if (result == TM_WouldBlock)
		return bulk->pass == 1;
	/* The version that was found has been examined already. */
	if (result == TM_Ok &&
		(ItemPointerEquals(&newest, &slot->tts_tid) ||
		 examine_row(bulk, target, locked, false, found) > 0))
		add_row(batch, locked, found);
	ExecClearTuple(locked);
	return true;
}

/* Returns true if it is time to end a batch.  Looks at the clock if start is given. */
static bool
is_full(Bulk *bulk, BulkBatch *batch, const instr_time *start)
{
	if (batch->rows.nrows >= (bulk->careful > 0 ? 1 : bulk->batch_size) || batch->bytes > MAX_BATCH_BYTES)
		return true;
	/* A pass that may be the last keeps its snapshot; another need not. */
	return start && (bulk->pass == 1 || bulk->is_found) &&
		pseudo_bulk_elapsed(start) > BATCH_SECONDS;
}

/* The index in which another row has the values of one that a dry run would convert, or InvalidOid. */
static Oid
find_twin(BulkTarget *target, HeapTuple row, const bool *converts)
{
	int		   *attnos;
	int			n = pseudo_bulk_compared(target->compared, converts, &attnos);

	return n > 0 ? pseudo_unique_twin(target->compared->unique, target->rel, row, attnos, n) : InvalidOid;
}

/* Count a row that a dry run would convert. */
static void
count_row(Bulk *bulk, BulkTarget *target, TupleTableSlot *slot, int due, const Found *found)
{
	Oid			index = InvalidOid;

	bulk->counters.rows++;
	bulk->counters.converted += due;
	if (target->compared)
		index = find_twin(target, ExecCopySlotHeapTuple(slot), found->converts);
	if (OidIsValid(index))
	{
		MemoryContext caller = MemoryContextSwitchTo(bulk->mcxt);

		bulk->counters.twins++;
		bulk->twin_indexes = list_append_unique_oid(bulk->twin_indexes, index);
		MemoryContextSwitchTo(caller);
	}
}

/* Read rows from where the pass is, until the batch is full or the pass at its end. */
static void
read_rows(Bulk *bulk, BulkLeaf *leaf, BulkTarget *target, BulkBatch *batch)
{
	TupleTableSlot *slot = table_slot_create(target->rel, NULL);
	TupleTableSlot *locked = table_slot_create(target->rel, NULL);
	Found		found = {
		.values = palloc(target->ncolumns * sizeof(text *)),
		.held = palloc(target->ncolumns * sizeof(text *)),
		.converts = palloc(target->ncolumns * sizeof(bool))
	};
	MemoryContext row_mcxt = AllocSetContextCreate(CurrentMemoryContext, "pseudo row",
												   ALLOCSET_DEFAULT_SIZES);
	ItemPointerData max;
	TableScanDesc scan;
	instr_time	start;
	int64		n = 0;
	bool		ended = false;

	INSTR_TIME_SET_CURRENT(start);
	ItemPointerSet(&max, leaf->end, 0);
	scan = pseudo_beginscan_tidrange(target->rel, GetActiveSnapshot(), &leaf->next, &max);
	while (!ended && table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		MemoryContext batch_mcxt = MemoryContextSwitchTo(row_mcxt);
		bool		old = was_there(bulk, slot);
		int			due;

		CHECK_FOR_INTERRUPTS();
		due = examine_row(bulk, target, slot, old, &found);
		bulk->is_found |= due > 0;
		if (due > 0 && bulk->dry_run)
			count_row(bulk, target, slot, due, &found);
		MemoryContextSwitchTo(batch_mcxt);
		if (due > 0 && !bulk->dry_run &&
			!lock_row(bulk, target, batch, slot, locked, &found))
			break;
		leaf->done += old;
		leaf->next = slot->tts_tid;
		ItemPointerSetOffsetNumber(&leaf->next, ItemPointerGetOffsetNumber(&slot->tts_tid) + 1);
		MemoryContextReset(row_mcxt);
		if (++n % ROWS_A_LOOK == 0)
			pseudo_bulk_notice(bulk);
		ended = is_full(bulk, batch, n % ROWS_A_LOOK == 0 ? &start : NULL);
	}
	batch->is_last = !ended && TTS_EMPTY(slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(locked);
	MemoryContextDelete(row_mcxt);
}

/* ---- The batch ---- */

/* Find what compares deterministic pseudonyms, if there are any. */
static void
find_unique(Bulk *bulk, BulkTarget *target)
{
	BulkUnique *compared = palloc0(sizeof(BulkUnique));

	compared->columns = palloc(target->ncolumns * sizeof(PseudoColumn));
	compared->numbers = palloc(target->ncolumns * sizeof(int));
	compared->calls = palloc(target->ncolumns * sizeof(PseudoCall *));
	for (int i = 0; i < target->ncolumns; i++)
	{
		if (bulk->operation == BULK_PSEUDONYMIZE && !target->settings[i]->is_deterministic)
			continue;
		compared->columns[compared->ncolumns] = target->columns[i];
		compared->calls[compared->ncolumns] = &target->settings[i]->call->call;
		compared->numbers[compared->ncolumns++] = i;
	}
	if (compared->ncolumns == 0)
		return;
	compared->unique = pseudo_unique_begin(target->rel, compared->columns, compared->calls, compared->ncolumns, LockTupleKeyShare);
	target->compared = compared;
}

/* Get the table ready for a batch; the lock against writers with other keys comes before those of rows. */
static void
open_target(Bulk *bulk, BulkLeaf *leaf, BulkTarget *target)
{
	pseudo_bulk_open(bulk, leaf->relid, target);
	pseudo_bulk_renew_calls(bulk);
	find_unique(bulk, target);
	pseudo_bulk_prepare_keys(bulk, target);
	if (target->compared && !pseudo_unique_is_due(target->compared->unique))
		target->compared = NULL;
}

/* Count what a batch has written. */
static void
count_batch(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
{
	bulk->batch_rows = batch->rows.nrows;
	bulk->batch_relid = batch->rows.relid;
	if (batch->rows.nrows > 0)
		bulk->batch_tid = batch->rows.tids[0];
	bulk->counters.rows += batch->rows.nrows;
	for (int i = 0; i < batch->rows.nrows * batch->rows.ncolumns; i++)
		bulk->counters.converted += batch->converts[i];
	for (int i = 0; i < target->ncolumns; i++)
		pseudo_count(target->settings[i]->call->call.count, PSEUDO_COUNT_PSEUDONYMIZED, pseudo_bulk_count(batch, i));
}

/* See bulk.h. */
bool
pseudo_bulk_convert_batch(Bulk *bulk, BulkLeaf *leaf)
{
	BulkTarget	target;
	BulkBatch  *batch = palloc(sizeof(BulkBatch));	/* an error unwinds the
													 * stack, and it is looked
													 * at */

	open_target(bulk, leaf, &target);
	begin_batch(bulk, &target, batch);
	if (ItemPointerGetBlockNumber(&leaf->next) == 0 && ItemPointerGetOffsetNumber(&leaf->next) == 1)
		leaf->end = RelationGetNumberOfBlocks(target.rel);
	batch->keys = pseudo_bulk_keys(bulk);
	read_rows(bulk, leaf, &target, batch);
	if (batch->rows.nrows > 0)
	{
		pseudo_bulk_convert_values(bulk, &target, batch);
		pseudo_bulk_write(bulk, &target, batch);
	}
	relation_close(target.rel, NoLock);
	count_batch(bulk, &target, batch);
	return batch->is_last;
}
