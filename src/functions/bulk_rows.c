/*
 * bulk_rows.c
 *		One batch of the bulk procedures: which rows, what is written to them.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "bulk.h"
#include "bulk_written.h"
#include "reseal.h"
#include "watch.h"

#define MAX_BATCH_BYTES	(16 * 1024 * 1024)	/* of values; a batch ends when it
											 * has more */
#define BATCH_SECONDS	1.0		/* a batch that finds little ends after this
								 * time */
#define ROWS_A_LOOK		32		/* between two looks at the clock */

/* The rows that a batch converts. */
typedef struct Batch
{
	size_t		bytes;
	PseudoWritten rows;
	bool	   *converts;		/* row by row, as the values: is the value to
								 * be converted? */
	bool		is_last;		/* the pass is at its end */
	uint32		keys;			/* see hash_keys() */
} Batch;

/* ---- Which values are converted ---- */

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

/* How many values of a row are to be converted; the values go to values[], NULL ones as NULL. */
static int
examine_row(Bulk *bulk, BulkTarget *target, TupleTableSlot *slot, bool count,
			text **values, bool *converts)
{
	Place		place = {.target = target, .tid = slot->tts_tid};
	ErrorContextCallback context = {error_context_stack, say_place, &place};
	int			n = 0;

	error_context_stack = &context;
	for (int i = 0; i < target->ncolumns; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, target->columns[i].attno, &isnull);

		place.column = target->columns[i].name;
		pseudo_bulk_prepare_call(bulk);
		values[i] = isnull ? NULL : pseudo_column_get(&target->columns[i], value);
		converts[i] = !isnull && pseudo_bulk_is_due(bulk, values[i], count);
		n += converts[i];
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
begin_batch(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	int			n = bulk->batch_size * target->ncolumns;
	PseudoWritten *rows = &batch->rows;

	memset(batch, 0, sizeof(Batch));
	rows->relid = RelationGetRelid(target->rel);
	rows->context = bulk->context;
	rows->keyring = bulk->keyring;
	rows->ncolumns = target->ncolumns;
	rows->attnos = palloc(target->ncolumns * sizeof(AttrNumber));
	for (int i = 0; i < target->ncolumns; i++)
		rows->attnos[i] = target->columns[i].attno;
	rows->tids = palloc(bulk->batch_size * sizeof(ItemPointerData));
	rows->olds = palloc(n * sizeof(text *));
	rows->values = palloc(n * sizeof(text *));
	batch->converts = palloc(n * sizeof(bool));
}

/* Put the row in a slot into the batch, copying its values. */
static void
add_row(Batch *batch, TupleTableSlot *slot, text **values, bool *converts)
{
	PseudoWritten *rows = &batch->rows;
	int			first = rows->nrows * rows->ncolumns;

	rows->tids[rows->nrows++] = slot->tts_tid;
	for (int i = 0; i < rows->ncolumns; i++)
	{
		size_t		size = values[i] ? VARSIZE_ANY(values[i]) : 0;
		text	   *copy = values[i] ? memcpy(palloc(size), values[i], size) : NULL;

		rows->olds[first + i] = rows->values[first + i] = copy;
		batch->converts[first + i] = converts[i];
		batch->bytes += size;
	}
}

/*
 * Lock the newest version of a row that has a value to convert, and add it to the batch where it
 * still has one.  The first pass leaves locked rows to the next one; later passes wait for one
 * while they hold no other.  False where the batch should end before this row.
 */
static bool
lock_row(Bulk *bulk, BulkTarget *target, Batch *batch, TupleTableSlot *found,
		 TupleTableSlot *locked, text **values, bool *converts)
{
	bool		waits = bulk->pass > 1 && batch->rows.nrows == 0;
	ItemPointerData newest = found->tts_tid;
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
		(ItemPointerEquals(&newest, &found->tts_tid) ||
		 examine_row(bulk, target, locked, false, values, converts) > 0))
		add_row(batch, locked, values, converts);
	ExecClearTuple(locked);
	return true;
}

/* Returns true if it is time to end a batch.  Looks at the clock if start is given. */
static bool
is_full(Bulk *bulk, Batch *batch, const instr_time *start)
{
	if (batch->rows.nrows >= (bulk->careful > 0 ? 1 : bulk->batch_size) || batch->bytes > MAX_BATCH_BYTES)
		return true;
	/* A pass that may be the last keeps its snapshot; another need not. */
	return start && (bulk->pass == 1 || bulk->is_found) &&
		pseudo_bulk_elapsed(start) > BATCH_SECONDS;
}

/* Count a row that a dry run would convert. */
static void
count_row(Bulk *bulk, BulkTarget *target, TupleTableSlot *slot, int due, const bool *converts)
{
	int		   *attnos = palloc(due * sizeof(int));
	int			n = 0;
	Oid			index;

	bulk->counters.rows++;
	bulk->counters.converted += due;
	if (target->unique == NULL)
		return;
	for (int i = 0; i < target->ncolumns; i++)
	{
		if (converts[i])
			attnos[n++] = target->columns[i].attno;
	}
	index = pseudo_unique_twin(target->unique, &bulk->call, target->rel,
							   ExecCopySlotHeapTuple(slot), attnos, n);
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
read_rows(Bulk *bulk, BulkLeaf *leaf, BulkTarget *target, Batch *batch)
{
	TupleTableSlot *slot = table_slot_create(target->rel, NULL);
	TupleTableSlot *locked = table_slot_create(target->rel, NULL);
	text	  **values = palloc(target->ncolumns * sizeof(text *));
	bool	   *converts = palloc(target->ncolumns * sizeof(bool));
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
		due = examine_row(bulk, target, slot, old, values, converts);
		bulk->is_found |= due > 0;
		if (due > 0 && bulk->dry_run)
			count_row(bulk, target, slot, due, converts);
		MemoryContextSwitchTo(batch_mcxt);
		if (due > 0 && !bulk->dry_run &&
			!lock_row(bulk, target, batch, slot, locked, values, converts))
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

/* ---- Writing ---- */

/* Check that a converted value fits into its column.  Errors: 22001. */
static void
check_fits(BulkTarget *target, PseudoColumn *column, const text *value)
{
	if (column->limit >= 0 && VARSIZE_ANY_EXHDR(value) > (size_t) column->limit)
		pseudo_column_report_narrow(column, target->rel, VARSIZE_ANY_EXHDR(value));
}

/* Put pseudonyms in the place of a batch's values. */
static void
pseudonymize_values(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	PseudoWritten *rows = &batch->rows;
	PseudoSealBatch seal;

	pseudo_seal_begin(&seal, &bulk->call, bulk->is_deterministic);
	for (int i = 0; i < rows->nrows * rows->ncolumns; i++)
	{
		const char *value;
		size_t		len;

		if (!batch->converts[i])
			continue;
		value = pseudo_value_utf8(rows->values[i], &len);
		rows->values[i] = pseudo_seal_later(&seal, value, len);
		check_fits(target, &target->columns[i % rows->ncolumns], rows->values[i]);
	}
	pseudo_seal_flush(&seal);
}

/* Put pseudonyms under the primary key in the place of a batch's pseudonyms. */
static void
repseudonymize_values(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	PseudoWritten *rows = &batch->rows;

	for (int i = 0; i < rows->nrows * rows->ncolumns; i++)
	{
		PseudoOpened opened;

		if (!batch->converts[i])
			continue;
		pseudo_open(&bulk->call, rows->values[i], false, &opened);
		rows->values[i] = pseudo_reseal(&bulk->call, rows->values[i], &opened, false);
		check_fits(target, &target->columns[i % rows->ncolumns], rows->values[i]);
	}
}

/* Get the keyring ready, and the table for writing with its keys. */
static void
prepare_keys(Bulk *bulk, BulkTarget *target)
{
	do
		pseudo_bulk_prepare_call(bulk);
	while (!pseudo_unique_prepare(target->unique, &bulk->call, target->rel, !bulk->dry_run));
}

/* Let a row of a batch keep the pseudonyms that its values have in other rows. */
static void
settle_row(Bulk *bulk, BulkTarget *target, Batch *batch, int no, TupleTableSlot *slot)
{
	PseudoWritten *rows = &batch->rows;
	TupleDesc	desc = RelationGetDescr(target->rel);
	text	  **values = &rows->values[no * rows->ncolumns];
	int		   *attnos = palloc(rows->ncolumns * sizeof(int));
	Datum	   *new = palloc(rows->ncolumns * sizeof(Datum));
	bool	   *nulls = palloc0(rows->ncolumns * sizeof(bool));
	HeapTuple	row;
	HeapTuple	settled;
	int			n = 0;

	if (!table_tuple_fetch_row_version(target->rel, &rows->tids[no], SnapshotAny, slot))
		elog(ERROR, "could not fetch a row that is locked");
	for (int i = 0; i < rows->ncolumns; i++)
	{
		if (!batch->converts[no * rows->ncolumns + i])
			continue;
		new[n] = pseudo_column_put(&target->columns[i], target->rel, values[i], CurrentMemoryContext);
		attnos[n++] = target->columns[i].attno;
	}
	row = heap_modify_tuple_by_cols(ExecCopySlotHeapTuple(slot), desc, n, attnos, new, nulls);
	prepare_keys(bulk, target); /* again: expressions of the table run for
								 * each row */
	settled = pseudo_unique_settle(target->unique, &bulk->call, target->rel, row, NULL, attnos, n, false);
	for (int i = 0; settled != row && i < rows->ncolumns; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(settled, target->columns[i].attno, desc, &isnull);

		if (batch->converts[no * rows->ncolumns + i])
			values[i] = pseudo_column_get(&target->columns[i], value);
	}
}

/* A hash of the keys that a call writes and reads with. */
static uint32
hash_keys(const PseudoCall *call)
{
	PseudoKeyring *keyring = call->keyring;
	uint32		hash = hash_uint32(keyring->primary->id);

	for (int i = 0; i < keyring->nkeys; i++)
	{
		if (keyring->keys[i].status == PSEUDO_KEY_ENABLED)
			hash = hash_combine(hash, hash_uint32(keyring->keys[i].id));
	}
	return hash;
}

/* Put what is to be written in the place of a batch's values. */
static void
convert_values(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	int			n = 0;

	for (int i = 0; i < batch->rows.nrows * batch->rows.ncolumns; i++)
		n += batch->converts[i];
	pseudo_bulk_prepare_call(bulk);
	pseudo_watch_use(&bulk->call, n);
	if (bulk->operation == BULK_REPSEUDONYMIZE)
		repseudonymize_values(bulk, target, batch);
	else
		pseudonymize_values(bulk, target, batch);
	if (target->unique && bulk->operation == BULK_PSEUDONYMIZE && batch->rows.nrows > 0)
	{
		TupleTableSlot *slot = table_slot_create(target->rel, NULL);

		for (int i = 0; i < batch->rows.nrows; i++)
			settle_row(bulk, target, batch, i, slot);
		ExecDropSingleTupleTableSlot(slot);
	}

	/*
	 * The table is locked for writers with the keys that there were; see
	 * unique_keys.c.
	 */
	pseudo_bulk_prepare_call(bulk);
	if (batch->rows.nrows > 0 && batch->keys != hash_keys(&bulk->call))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the keys changed while rows were being converted")));
}

/*
 * The statement that writes a batch: $1 are the rows, $2 and on the columns.  Where a
 * trigger may change what is written, it returns whether that has happened.
 */
static char *
update_statement(BulkTarget *target)
{
	TriggerDesc *triggers = target->rel->trigdesc;
	StringInfoData set;
	StringInfoData from;
	StringInfoData names;
	StringInfoData same;

	initStringInfo(&set);
	initStringInfo(&from);
	initStringInfo(&names);
	initStringInfo(&same);
	for (int i = 0; i < target->ncolumns; i++)
	{
		const char *name = quote_identifier(target->columns[i].name);

		appendStringInfo(&set, "%s%s = u.v%d", i > 0 ? ", " : "", name, i);
		appendStringInfo(&from, ", pg_catalog.unnest($%d)", i + 2);
		appendStringInfo(&names, ", v%d", i);
		appendStringInfo(&same, " %s COALESCE(t.%s::pg_catalog.text COLLATE pg_catalog.\"C\""
						 " OPERATOR(pg_catalog.=) u.v%d, u.v%d IS NULL)",
						 i > 0 ? "AND" : "RETURNING", name, i, i);
	}
	return psprintf("UPDATE ONLY %s AS t SET %s FROM ROWS FROM (pg_catalog.unnest($1)%s)"
					" AS u (tid%s) WHERE t.ctid OPERATOR(pg_catalog.=) u.tid%s",
					pseudo_relation_name(RelationGetRelid(target->rel)),
					set.data, from.data, names.data,
					triggers && triggers->trig_update_before_row ? same.data : "");
}

/* The rows of a batch as a tid[]. */
static Datum
tids_array(PseudoWritten *rows)
{
	Datum	   *elements = palloc(rows->nrows * sizeof(Datum));

	for (int i = 0; i < rows->nrows; i++)
		elements[i] = PointerGetDatum(&rows->tids[i]);
	return PointerGetDatum(construct_array(elements, rows->nrows, TIDOID, sizeof(ItemPointerData),
										   false, TYPALIGN_SHORT));
}

/* A column of a batch as a text[]. */
static Datum
column_array(PseudoWritten *rows, int no)
{
	Datum	   *elements = palloc(rows->nrows * sizeof(Datum));
	bool	   *nulls = palloc(rows->nrows * sizeof(bool));
	int			lbound = 1;

	for (int i = 0; i < rows->nrows; i++)
	{
		text	   *value = rows->values[i * rows->ncolumns + no];

		elements[i] = PointerGetDatum(value);
		nulls[i] = value == NULL;
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &rows->nrows, &lbound, TEXTOID, -1,
											  false, TYPALIGN_INT));
}

/* See bulk.h. */
void
pseudo_bulk_free_plan(Bulk *bulk)
{
	if (bulk->plan)
		SPI_freeplan(bulk->plan);
	bulk->plan = NULL;
}

/* The plan of the statement, kept while it stays the same. */
static SPIPlanPtr
get_plan(Bulk *bulk, BulkTarget *target, int n, Oid *types)
{
	char	   *statement = update_statement(target);

	if (bulk->plan && strcmp(bulk->statement, statement) == 0)
		return bulk->plan;
	pseudo_bulk_free_plan(bulk);
	bulk->statement = MemoryContextStrdup(bulk->mcxt, statement);
	/* A generic plan expects few rows, and so fetches them by their TIDs. */
	bulk->plan = SPI_prepare_cursor(statement, n, types, CURSOR_OPT_GENERIC_PLAN);
	if (bulk->plan == NULL || SPI_keepplan(bulk->plan) != 0)
		elog(ERROR, "could not prepare the update: %s", SPI_result_code_string(SPI_result));
	return bulk->plan;
}

/* How many rows the statement has written as they should be. */
static uint64
count_written(int result)
{
	uint64		n = 0;
	bool		isnull;

	if (result != SPI_OK_UPDATE_RETURNING)
		return result == SPI_OK_UPDATE ? SPI_processed : 0;
	for (uint64 i = 0; i < SPI_processed; i++)
		n += DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	return n;
}

/* Write the values of a batch to its rows, which are locked. */
static void
write_batch(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	PseudoWritten *rows = &batch->rows;
	int			n = rows->ncolumns + 1;
	Oid		   *types = palloc(n * sizeof(Oid));
	Datum	   *values = palloc(n * sizeof(Datum));
	SPIPlanPtr	plan;
	int			result;

	types[0] = TIDARRAYOID;
	values[0] = tids_array(rows);
	for (int i = 1; i < n; i++)
	{
		types[i] = TEXTARRAYOID;
		values[i] = column_array(rows, i - 1);
	}

	plan = get_plan(bulk, target, n, types);
	pseudo_written_begin(rows);
	result = SPI_execute_plan(plan, values, NULL, false, 0);
	pseudo_written_end();
	if (count_written(result) != (uint64) rows->nrows)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a trigger or a rule of relation \"%s\" suppressed or changed what was written",
						RelationGetRelationName(target->rel)),
				 errhint("Disable it while this runs, or let it leave pseudonyms alone.")));
}

/* ---- The batch ---- */

/* Get the table ready for a batch; the lock against writers with other keys comes before those of rows. */
static void
open_target(Bulk *bulk, BulkLeaf *leaf, BulkTarget *target)
{
	pseudo_bulk_open(bulk, leaf->relid, target);
	bulk->call.generation = 0;	/* a batch may find other keys and rights than
								 * the last */
	pseudo_bulk_prepare_call(bulk);
	if (bulk->operation == BULK_PSEUDONYMIZE && !bulk->is_deterministic)
		return;
	target->unique = pseudo_unique_begin(target->rel, target->columns, target->ncolumns, LockTupleKeyShare);
	prepare_keys(bulk, target);
	if (!pseudo_unique_is_due(target->unique))
		target->unique = NULL;
}

/* See bulk.h. */
bool
pseudo_bulk_convert_batch(Bulk *bulk, BulkLeaf *leaf)
{
	BulkTarget	target;
	Batch	   *batch = palloc(sizeof(Batch));	/* an error unwinds the stack,
												 * and it is looked at */
	int			nvalues = 0;

	open_target(bulk, leaf, &target);
	begin_batch(bulk, &target, batch);
	if (ItemPointerGetBlockNumber(&leaf->next) == 0 && ItemPointerGetOffsetNumber(&leaf->next) == 1)
		leaf->end = RelationGetNumberOfBlocks(target.rel);
	batch->keys = hash_keys(&bulk->call);
	read_rows(bulk, leaf, &target, batch);
	convert_values(bulk, &target, batch);
	if (batch->rows.nrows > 0)
		write_batch(bulk, &target, batch);
	relation_close(target.rel, NoLock);

	bulk->batch_rows = batch->rows.nrows;
	bulk->batch_relid = leaf->relid;
	if (batch->rows.nrows > 0)
		bulk->batch_tid = batch->rows.tids[0];
	bulk->counters.rows += batch->rows.nrows;
	for (int i = 0; i < batch->rows.nrows * target.ncolumns; i++)
		nvalues += batch->converts[i];
	bulk->counters.converted += nvalues;
	pseudo_count(bulk->call.count, PSEUDO_COUNT_PSEUDONYMIZED, nvalues);
	return batch->is_last;
}
