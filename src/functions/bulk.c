/*
 * bulk.c
 *		pseudonymize_table() and repseudonymize_table(): columns of a table converted
 *		in place, in batches with a COMMIT after each.
 *
 * A pass reads a table's blocks in order.  A batch locks rows that have a value to
 * convert, takes each row as it is once locked, and so never writes an old value over
 * a newer one; what is converted is told by its opening under the keyring, so that a run
 * may end anywhere and another go on.  An UPDATE of a writer can carry a value that
 * is not converted yet from a block or a partition ahead to one behind.  The run is therefore
 * over only after a pass that has found nothing in one snapshot: that sees every row once.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "bulk.h"
#include "trigger.h"

#define MAX_BATCH		100000	/* rows */
#define MAX_BATCH_BYTES	(16 * 1024 * 1024)	/* of values; a batch ends when it has more */
#define BATCH_SECONDS	1.0		/* a batch that finds little ends after this time */
#define ROWS_A_LOOK		32		/* between two looks at the clock */
#define MAX_ATTEMPTS	10		/* of a batch that meets deadlocks */
#define MAX_PASSES		20		/* as long as others write what has to be converted */

/* The rows that a batch converts. */
typedef struct Batch
{
	int			n;
	int			room;
	size_t		bytes;
	ItemPointerData *tids;
	text	  **values;			/* row by row: the columns' values, or NULL */
	bool	   *converts;		/* likewise: is the value to be converted? */
	bool		is_last;		/* the pass is at its end */
	int			last_found;		/* see pseudo_bulk_writes() */
} Batch;

/* What is being written at this moment, or NULL. */
static BulkTarget *written_target = NULL;
static Batch *written_batch = NULL;

PG_FUNCTION_INFO_V1(pseudo_pseudonymize_table);
PG_FUNCTION_INFO_V1(pseudo_repseudonymize_table);

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

/* Report what looks like a pseudonym and opens under no key. */
static void __attribute__((noreturn))
report_lookalike(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("a value looks like a pseudonym and does not authenticate"),
			 errdetail("It was made with another key or context, or it is a value of this shape."),
			 bulk->again ? errhint("Check the arguments \"context\" and \"keyring\".") :
			 errhint("Check the arguments \"context\" and \"keyring\"; existing => 'value' converts it as a value.")));
}

/* Is a value to be converted?  Counts it where count says so. */
static bool
is_due(Bulk *bulk, text *value, bool count)
{
	PseudoOpened opened;
	bool		due;

	if (!pseudo_looks_like_pseudonym(value))
	{
		bulk->plain += bulk->again && count;
		return !bulk->again;
	}
	if (!pseudo_open(&bulk->call, value, true, &opened))
	{
		if (!bulk->lookalikes && !bulk->dry_run)
			report_lookalike(bulk);
		bulk->unreadable += !bulk->lookalikes && count;
		return bulk->lookalikes;
	}
	due = bulk->again && opened.key != bulk->call.keyring->primary;
	OPENSSL_cleanse(VARDATA(opened.value), opened.len);
	pfree(opened.value);
	bulk->already += !due && count;
	return due;
}

/* Get the keyring ready for this batch, and again where something changed meanwhile. */
static void
prepare_call(Bulk *bulk)
{
	if (bulk->call.generation != pseudo_generation)
		pseudo_call_prepare_role(&bulk->call, GetUserId(), bulk->called, PSEUDO_RIGHT_PSEUDONYMIZE,
								 bulk->context, bulk->keyring, bulk->mcxt);
}

/* How many values of a row are to be converted; the values go to values[], NULL ones as NULL. */
static int
examine_row(Bulk *bulk, BulkTarget *target, TupleTableSlot *slot, bool count,
			text **values, bool *converts)
{
	Place		place = {.target = target,.tid = slot->tts_tid};
	ErrorContextCallback context = {error_context_stack, say_place, &place};
	int			n = 0;

	error_context_stack = &context;
	for (int i = 0; i < target->ncolumns; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, target->columns[i].attno, &isnull);

		place.column = target->columns[i].name;
		prepare_call(bulk);
		values[i] = isnull ? NULL : pseudo_column_get(&target->columns[i], value);
		converts[i] = !isnull && is_due(bulk, values[i], count);
		n += converts[i];
	}
	error_context_stack = context.previous;
	return n;
}

/* ---- Reading and locking ---- */

/* Was a row there before the run began?  Only such rows are counted: once each. */
static bool
is_old(Bulk *bulk, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);

	return bulk->pass == 1 && TransactionIdPrecedes(DatumGetTransactionId(xmin), bulk->first_xid);
}

/* Put the row in a slot into the batch, copying its values. */
static void
add_row(Batch *batch, int ncolumns, TupleTableSlot *slot, text **values, bool *converts)
{
	int			first = batch->n * ncolumns;

	batch->tids[batch->n++] = slot->tts_tid;
	for (int i = 0; i < ncolumns; i++)
	{
		size_t		size = values[i] ? VARSIZE_ANY(values[i]) : 0;

		batch->values[first + i] = NULL;
		batch->converts[first + i] = converts[i];
		if (values[i])
			batch->values[first + i] = memcpy(palloc(size), values[i], size);
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
	bool		waits = bulk->pass > 1 && batch->n == 0;
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
		add_row(batch, target->ncolumns, locked, values, converts);
	ExecClearTuple(locked);
	return true;
}

/* Is it time to end a batch?  Looks at the clock where start is given. */
static bool
is_full(Bulk *bulk, Batch *batch, const instr_time *start)
{
	if (batch->n >= bulk->batch_size || batch->bytes > MAX_BATCH_BYTES)
		return true;
	/* A pass that may be the last keeps its snapshot; another need not. */
	return start && (bulk->pass == 1 || bulk->is_found) &&
		pseudo_bulk_elapsed(start) > BATCH_SECONDS;
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
		bool		old = is_old(bulk, slot);
		int			due;

		CHECK_FOR_INTERRUPTS();
		due = examine_row(bulk, target, slot, old, values, converts);
		bulk->is_found |= due > 0;
		MemoryContextSwitchTo(batch_mcxt);
		if (due > 0 && bulk->dry_run)
		{
			bulk->rows++;
			bulk->converted += due;
		}
		else if (due > 0 &&
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
	PseudoSealBatch seal;

	prepare_call(bulk);
	pseudo_seal_begin(&seal, &bulk->call, bulk->is_deterministic);
	for (int i = 0; i < batch->n * target->ncolumns; i++)
	{
		const char *value;
		size_t		len;

		if (!batch->converts[i])
			continue;
		value = pseudo_value_utf8(batch->values[i], &len);
		batch->values[i] = pseudo_seal_later(&seal, value, len);
		check_fits(target, &target->columns[i % target->ncolumns], batch->values[i]);
	}
	pseudo_seal_flush(&seal);
}

/* Put pseudonyms under the primary key in the place of a batch's pseudonyms. */
static void
repseudonymize_values(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	for (int i = 0; i < batch->n * target->ncolumns; i++)
	{
		PseudoOpened opened;

		if (!batch->converts[i])
			continue;
		prepare_call(bulk);
		if (pseudo_open(&bulk->call, batch->values[i], false, &opened))
			batch->values[i] = pseudo_reseal(&bulk->call, batch->values[i], &opened);
		check_fits(target, &target->columns[i % target->ncolumns], batch->values[i]);
	}
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
					pseudo_bulk_relation_name(RelationGetRelid(target->rel)),
					set.data, from.data, names.data,
					triggers && triggers->trig_update_before_row ? same.data : "");
}

/* The rows of a batch as a tid[]. */
static Datum
tids_array(Batch *batch)
{
	Datum	   *elements = palloc(batch->n * sizeof(Datum));

	for (int i = 0; i < batch->n; i++)
		elements[i] = PointerGetDatum(&batch->tids[i]);
	return PointerGetDatum(construct_array(elements, batch->n, TIDOID, sizeof(ItemPointerData),
										   false, TYPALIGN_SHORT));
}

/* A column of a batch as a text[]. */
static Datum
column_array(Batch *batch, int ncolumns, int no)
{
	Datum	   *elements = palloc(batch->n * sizeof(Datum));
	bool	   *nulls = palloc(batch->n * sizeof(bool));
	int			lbound = 1;

	for (int i = 0; i < batch->n; i++)
	{
		elements[i] = PointerGetDatum(batch->values[i * ncolumns + no]);
		nulls[i] = batch->values[i * ncolumns + no] == NULL;
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &batch->n, &lbound, TEXTOID, -1,
											  false, TYPALIGN_INT));
}

/* Forget the plan of the statement. */
static void
free_plan(Bulk *bulk)
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
	free_plan(bulk);
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
	int			n = target->ncolumns + 1;
	Oid		   *types = palloc(n * sizeof(Oid));
	Datum	   *values = palloc(n * sizeof(Datum));
	SPIPlanPtr	plan;
	int			result;

	types[0] = TIDARRAYOID;
	values[0] = tids_array(batch);
	for (int i = 1; i < n; i++)
	{
		types[i] = TEXTARRAYOID;
		values[i] = column_array(batch, target->ncolumns, i - 1);
	}

	plan = get_plan(bulk, target, n, types);
	written_target = target;
	written_batch = batch;
	result = SPI_execute_plan(plan, values, NULL, false, 0);
	written_batch = NULL;
	if (count_written(result) != (uint64) batch->n)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a trigger or a rule of relation \"%s\" suppressed or changed what was written",
						RelationGetRelationName(target->rel)),
				 errhint("Disable it while this runs, or let it leave pseudonyms alone.")));
}

/* The number of a row in the batch, or -1.  Looks from where it found the last one: they come in order. */
static int
find_row(Batch *batch, ItemPointer tid)
{
	for (int i = 0; i < batch->n; i++)
	{
		int			row = (batch->last_found + i) % batch->n;

		if (ItemPointerEquals(&batch->tids[row], tid))
			return batch->last_found = row;
	}
	return -1;
}

/* See bulk.h. */
bool
pseudo_bulk_writes(Oid relid, ItemPointer tid, AttrNumber attno, const text *value)
{
	int			row;

	if (written_batch == NULL || RelationGetRelid(written_target->rel) != relid ||
		(row = find_row(written_batch, tid)) < 0)
		return false;
	for (int i = 0; i < written_target->ncolumns; i++)
	{
		text	   *written = written_batch->values[row * written_target->ncolumns + i];

		if (written_target->columns[i].attno == attno && written != NULL)
			return VARSIZE_ANY_EXHDR(written) == VARSIZE_ANY_EXHDR(value) &&
				memcmp(VARDATA_ANY(written), VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)) == 0;
	}
	return false;
}

/* ---- Batches and transactions ---- */

/* Make the room of a batch. */
static void
init_batch(Bulk *bulk, BulkTarget *target, Batch *batch)
{
	memset(batch, 0, sizeof(Batch));
	batch->room = bulk->batch_size;
	batch->tids = palloc(batch->room * sizeof(ItemPointerData));
	batch->values = palloc(batch->room * target->ncolumns * sizeof(text *));
	batch->converts = palloc(batch->room * target->ncolumns * sizeof(bool));
}

/* What is done in one transaction; true where the pass is at its end. */
typedef bool (*Step) (Bulk *bulk);

/* Read, convert and write one batch of a leaf; true where the pass is at the leaf's end. */
static bool
convert_batch(Bulk *bulk, BulkLeaf *leaf)
{
	BulkTarget	target;
	Batch		batch;

	pseudo_bulk_open(bulk, leaf->relid, &target);
	init_batch(bulk, &target, &batch);
	bulk->call.generation = 0;	/* a batch may find other keys and rights than the last */
	prepare_call(bulk);

	if (ItemPointerGetBlockNumber(&leaf->next) == 0 && ItemPointerGetOffsetNumber(&leaf->next) == 1)
		leaf->end = RelationGetNumberOfBlocks(target.rel);
	read_rows(bulk, leaf, &target, &batch);
	if (bulk->again)
		repseudonymize_values(bulk, &target, &batch);
	else
		pseudonymize_values(bulk, &target, &batch);
	if (batch.n > 0)
		write_batch(bulk, &target, &batch);
	relation_close(target.rel, NoLock);

	bulk->rows += batch.n;
	for (int i = 0; i < batch.n * target.ncolumns; i++)
		bulk->converted += batch.converts[i];
	return batch.is_last;
}

/* Make a leaf the one that the pass is at. */
static void
begin_leaf(Bulk *bulk, int no)
{
	bulk->current = no;
	if (no < list_length(bulk->leaves))
		ItemPointerSet(&((BulkLeaf *) list_nth(bulk->leaves, no))->next, 0, 1);
}

/* The pass is at the end of a leaf. */
static void
end_leaf(Bulk *bulk, BulkLeaf *leaf)
{
	leaf->estimate = leaf->done;
	leaf->is_analyzed = true;	/* better than that: counted */
	begin_leaf(bulk, bulk->current + 1);
}

/* Lock the leaves that a step may read: all that are left where the pass may be the last. */
static void
lock_tables(Bulk *bulk)
{
	for (int i = bulk->current; i < list_length(bulk->leaves); i++)
	{
		LockRelationOid(((BulkLeaf *) list_nth(bulk->leaves, i))->relid,
						bulk->dry_run ? AccessShareLock : RowExclusiveLock);
		if (bulk->pass == 1 || bulk->is_found)
			break;
	}
}

/* Convert one batch; a pass that may be the last looks at all leaves in one snapshot. */
static bool
run_batch(Bulk *bulk)
{
	bool		ended = true;

	/*
	 * The locks first: in an older snapshot a table that is rewritten is empty.  Then the snapshot: all
	 * that it shows is in the blocks that there are then.
	 */
	lock_tables(bulk);
	PushActiveSnapshot(GetTransactionSnapshot());
	while (ended && bulk->current < list_length(bulk->leaves))
	{
		BulkLeaf   *leaf = list_nth(bulk->leaves, bulk->current);

		MemoryContextReset(bulk->batch_mcxt);
		ended = convert_batch(bulk, leaf);
		if (ended)
			end_leaf(bulk, leaf);
		if (bulk->pass == 1 || bulk->is_found)
			break;
	}
	PopActiveSnapshot();
	pseudo_bulk_notice(bulk);
	return bulk->current == list_length(bulk->leaves);
}

/* Begin a transaction's work as a batch needs it, whatever the session's default is. */
static void
set_isolation(void)
{
	SetConfigOption("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION);
}

/* May a step that failed like this be tried again? */
static bool
is_transient(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* Wait before an attempt that is not the first, longer each time. */
static void
back_off(int attempt)
{
	double		ms = 5.0 * (1 << attempt) * (0.5 + pg_prng_double(&pg_global_prng_state));

	if (attempt == 0)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) ms,
					 pseudo_wait_event(PSEUDO_WAIT_BULK_RETRY));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Note in pseudo_progress why the run ends, and end it. */
static void __attribute__((noreturn))
give_up(Bulk *bulk, ErrorData *error)
{
	bulk->status = error->sqlerrcode == ERRCODE_QUERY_CANCELED ? "cancelled" : "failed";
	bulk->sqlstate = unpack_sql_state(error->sqlerrcode);
	pseudo_bulk_save(bulk);
	SPI_commit();
	ReThrowError(error);
}

/* Keep the error that is being handled, and leave the handling. */
static ErrorData *
take_error(Bulk *bulk)
{
	ErrorData  *error;

	MemoryContextSwitchTo(bulk->mcxt);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/*
 * Do a step and note the progress in a subtransaction, so that an error costs the step and what
 * follows can still be written down.  NULL, or the error; *is_last as the step returns it.
 */
static ErrorData *
try_step(Bulk *bulk, Step step, int attempt, bool *is_last)
{
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(bulk->batch_mcxt);
	PG_TRY();
	{
		back_off(attempt);
		*is_last = step(bulk);
		pseudo_bulk_save(bulk);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		written_batch = NULL;
		error = take_error(bulk);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(bulk->mcxt);
	CurrentResourceOwner = owner;
	MemoryContextReset(bulk->batch_mcxt);
	return error;
}

/* Commit, which can fail too, by deferred triggers.  NULL, or the error. */
static ErrorData *
try_commit(Bulk *bulk)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		SPI_commit();
	}
	PG_CATCH();
	{
		error = take_error(bulk);	/* SPI has begun another transaction */
	}
	PG_END_TRY();
	set_isolation();
	return error;
}

/* Do a step and commit.  An error costs the step; one that may pass is tried again, any other ends the run. */
static bool
commit_step(Bulk *bulk, Step step)
{
	Bulk		before = *bulk;
	BulkLeaf   *leaf = bulk->current < list_length(bulk->leaves) ?
		list_nth(bulk->leaves, bulk->current) : NULL;
	BulkLeaf	place = leaf ? *leaf : (BulkLeaf) {0};
	bool		is_last = false;

	for (int attempt = 0;; attempt++)
	{
		ErrorData  *error = try_step(bulk, step, attempt, &is_last);

		if (error == NULL)
			error = try_commit(bulk);
		if (error == NULL)
			return is_last;
		if (leaf)
			*leaf = place;
		bulk->status = before.status;
		bulk->current = before.current;
		bulk->is_found = before.is_found;
		bulk->rows = before.rows;
		bulk->converted = before.converted;
		bulk->already = before.already;
		bulk->plain = before.plain;
		bulk->unreadable = before.unreadable;
		if (!is_transient(error) || attempt == MAX_ATTEMPTS)
			give_up(bulk, error);
		FreeErrorData(error);
	}
}

/* Convert all leaves: passes until one has found nothing in one snapshot. */
static void
convert_leaves(Bulk *bulk)
{
	for (bulk->pass = 1; bulk->pass <= MAX_PASSES; bulk->pass++)
	{
		int			batches = 1;

		bulk->is_found = false;
		begin_leaf(bulk, 0);
		while (!commit_step(bulk, run_batch))
			batches++;
		if ((batches == 1 && !bulk->is_found) || bulk->dry_run)
			return;
	}
	bulk->status = "unfinished";
}

/* ---- The whole run ---- */

/* The lock tag of a leaf, in a class of advisory locks that no SQL function takes. */
static void
set_lock_tag(LOCKTAG *tag, const BulkLeaf *leaf)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, PSEUDO_LOCK_CLASS, leaf->relid, PSEUDO_LOCK_LEAF);
}

/* Let no second run convert the same table. */
static void
lock_leaves(Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkLeaf   *leaf = lfirst(cell);
		LOCKTAG		tag;

		set_lock_tag(&tag, leaf);
		if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table %s is being converted by another session",
							pseudo_bulk_relation_name(leaf->relid)),
					 errhint("pseudo_progress shows how far it is.")));
		leaf->is_locked = true;
	}
}

/* Release what lock_leaves() has locked. */
static void
unlock_leaves(Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkLeaf   *leaf = lfirst(cell);
		LOCKTAG		tag;

		set_lock_tag(&tag, leaf);
		if (leaf->is_locked)
			LockRelease(&tag, ExclusiveLock, true);
		leaf->is_locked = false;
	}
}

/* Replace the statistics, which hold values as well. */
static void
analyze(Bulk *bulk)
{
	if (!pseudo_relation_ownercheck(bulk->relid, GetUserId()))
		ereport(WARNING,
				(errmsg("the statistics of %s still hold values", bulk->name),
				 errhint("Its owner has to run ANALYZE %s;", bulk->name)));
	else if (SPI_execute(psprintf("ANALYZE %s", bulk->name), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not analyze the table");
}

/* The last step. */
static bool
finish(Bulk *bulk)
{
	if (!bulk->dry_run)
		analyze(bulk);
	if (strcmp(bulk->status, "running") == 0)
		bulk->status = bulk->dry_run ? "dry_run" : "done";
	return true;
}

/* Convert all leaves; everything has been checked. */
static void
convert_all(Bulk *bulk)
{
	if (!bulk->dry_run)
		lock_leaves(bulk);
	pseudo_bulk_save(bulk);
	SPI_commit();
	set_isolation();
	bulk->first_xid = ReadNextTransactionId();
	convert_leaves(bulk);
	commit_step(bulk, finish);
	if (strcmp(bulk->status, "unfinished") == 0)
		ereport(WARNING,
				(errmsg("values to convert are written faster than they are converted"),
				 errhint("Create the trigger pseudonymize_trigger, and run this again.")));
	pseudo_bulk_summary(bulk);
}

/* Refuse where there can be no batches. */
static void
check_session(FunctionCallInfo fcinfo, const char *name)
{
	CallContext *context = (CallContext *) fcinfo->context;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s cannot run on a standby", name),
				 errdetail("It writes to the table, and a standby is read-only."),
				 errhint("Run it on the primary; the standby follows.")));
	PreventCommandIfReadOnly(name);
	if (context == NULL || !IsA(context, CallContext) || context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s cannot run inside a transaction block", name),
				 errdetail("It commits after each batch."),
				 errhint("CALL it on its own, outside of BEGIN, functions and atomic blocks.")));
}

/* Take the argument "columns". */
static List *
columns_argument(FunctionCallInfo fcinfo)
{
	List	   *names = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(1))
		pseudo_report_null("columns");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		ListCell   *cell;
		char	   *name;

		if (nulls[i])
			pseudo_report_null("columns");
		name = TextDatumGetCString(elements[i]);
		foreach(cell, names)
		{
			if (strcmp(lfirst(cell), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is named twice", name)));
		}
		names = lappend(names, name);
	}
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no column is named"),
				 errhint("columns => '{email, phone}'")));
	return names;
}

/* A copy of the text in argument no, which must not be NULL. */
static text *
text_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	if (PG_ARGISNULL(no))
		pseudo_report_null(name);
	return PG_GETARG_TEXT_P_COPY(no);
}

/* The arguments that both procedures have, in the current memory context. */
static Bulk *
read_arguments(FunctionCallInfo fcinfo, int context_no)
{
	Bulk	   *bulk = palloc0(sizeof(Bulk));

	if (PG_ARGISNULL(0))
		pseudo_report_null("relation");
	if (PG_ARGISNULL(context_no + 2))
		pseudo_report_null("batch_size");
	bulk->mcxt = CurrentMemoryContext;
	bulk->called = fcinfo->flinfo->fn_oid;
	bulk->relid = PG_GETARG_OID(0);
	bulk->columns = columns_argument(fcinfo);
	bulk->context = text_argument(fcinfo, context_no, "context");
	bulk->keyring = text_argument(fcinfo, context_no + 1, "keyring");
	bulk->batch_size = PG_GETARG_INT32(context_no + 2);
	if (bulk->batch_size < 1 || bulk->batch_size > MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size is out of range"),
				 errhint("It is 1 to %d rows.", MAX_BATCH)));
	return bulk;
}

/* Check everything and run, connected to SPI. */
static void
run(Bulk *bulk)
{
	if (get_rel_name(bulk->relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", bulk->relid)));
	bulk->name = pseudo_bulk_relation_name(bulk->relid);
	bulk->batch_mcxt = AllocSetContextCreate(bulk->mcxt, "pseudo batch", ALLOCSET_DEFAULT_SIZES);
	bulk->status = "running";
	INSTR_TIME_SET_CURRENT(bulk->start);
	bulk->last_notice = bulk->start;
	prepare_call(bulk);
	PG_TRY();
	{
		pseudo_bulk_check(bulk);
		convert_all(bulk);
	}
	PG_FINALLY();
	{
		unlock_leaves(bulk);
		free_plan(bulk);
	}
	PG_END_TRY();
}

/* Connect to SPI in a way that allows to commit. */
static void
connect_nonatomic(void)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
}

/*
 * pseudonymize_table(relation regclass, columns text[], deterministic boolean, context text,
 *		keyring text, batch_size integer, existing text)
 */
Datum
pseudo_pseudonymize_table(PG_FUNCTION_ARGS)
{
	Bulk	   *bulk;
	char	   *existing;

	check_session(fcinfo, "pseudonymize_table");
	connect_nonatomic();
	bulk = read_arguments(fcinfo, 3);
	if (PG_ARGISNULL(2))
		pseudo_report_null("deterministic");
	bulk->is_deterministic = PG_GETARG_BOOL(2);
	existing = text_to_cstring(text_argument(fcinfo, 6, "existing"));
	bulk->lookalikes = strcmp(existing, "value") == 0;
	if (!bulk->lookalikes && strcmp(existing, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"existing\" is error or value"),
				 errhint("Pseudonyms that authenticate are always left as they are.")));
	run(bulk);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * repseudonymize_table(relation regclass, columns text[], context text, keyring text,
 *		batch_size integer, dry_run boolean)
 */
Datum
pseudo_repseudonymize_table(PG_FUNCTION_ARGS)
{
	Bulk	   *bulk;

	check_session(fcinfo, "repseudonymize_table");
	connect_nonatomic();
	bulk = read_arguments(fcinfo, 2);
	if (PG_ARGISNULL(5))
		pseudo_report_null("dry_run");
	bulk->again = true;
	bulk->dry_run = PG_GETARG_BOOL(5);
	run(bulk);
	SPI_finish();
	PG_RETURN_VOID();
}
