/*
 * bulk_progress.c
 *		How far a bulk procedure is: notices, and the table pseudo_progress.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "nodes/value.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "../compat.h"
#include "bulk.h"

/* What can be said of a run at a moment. */
typedef struct Progress
{
	int64		done;
	int64		total;
	double		percent;
	int64		rate;			/* rows a second */
	int64		left;			/* seconds, or -1 */
} Progress;

/* See bulk.h. */
double
pseudo_bulk_elapsed(const instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* How many rows a leaf has: from its statistics, else the better known the more of it has been read. */
static double
estimate_leaf(const BulkLeaf *leaf)
{
	double		block = ItemPointerGetBlockNumberNoCheck(&leaf->next);

	if (leaf->is_analyzed || leaf->done == 0 || block == 0)
		return leaf->estimate;
	if (block >= leaf->end)
		return leaf->done;
	return leaf->done * (leaf->end / block);
}

/* Add up how far a run is. */
static Progress
measure(Bulk *bulk)
{
	Progress	progress = {0};
	double		seconds = pseudo_bulk_elapsed(&bulk->start);
	double		total = 0;
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkLeaf   *leaf = lfirst(cell);

		progress.done += leaf->done;
		total += Max(estimate_leaf(leaf), leaf->done);
	}
	progress.total = (int64) total;
	progress.percent = total > 0 ? 100.0 * progress.done / total : 100.0;
	progress.rate = seconds > 0 ? (int64) (progress.done / seconds) : 0;
	progress.left = progress.rate > 0 ? (progress.total - progress.done) / progress.rate : -1;
	return progress;
}

/* Names as a text[]. */
static Datum
names_array(List *names)
{
	Datum	   *elements = palloc(list_length(names) * sizeof(Datum));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, names)
		elements[n++] = CStringGetTextDatum(strVal(lfirst(cell)));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* ---- The table pseudo_progress ---- */

/* Its columns, in order, and their types. */
enum
{
	PROGRESS_RELATION,
	PROGRESS_OPERATION,
	PROGRESS_COLUMNS,
	PROGRESS_STATUS,
	PROGRESS_PASS,
	PROGRESS_ROWS_DONE,
	PROGRESS_ROWS_TOTAL,
	PROGRESS_PERCENT,
	PROGRESS_ROWS_PER_SECOND,
	PROGRESS_SECONDS_LEFT,
	PROGRESS_VALUES_CONVERTED,
	PROGRESS_ROWS_CONVERTED,
	PROGRESS_VALUES_ALREADY,
	PROGRESS_VALUES_PLAIN,
	PROGRESS_VALUES_UNREADABLE,
	PROGRESS_ROWS_TWINS,
	PROGRESS_PID,
	PROGRESS_STARTED_AT,
	PROGRESS_UPDATED_AT,
	PROGRESS_SQLSTATE,
	PROGRESS_NCOLUMNS
};

static const Oid progress_types[PROGRESS_NCOLUMNS] = {
	REGCLASSOID, TEXTOID, TEXTARRAYOID, TEXTOID, INT4OID, INT8OID, INT8OID, NUMERICOID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID
};

/* Returns true if the columns of a table are those that it was created with. */
static bool
has_progress_columns(TupleDesc desc)
{
	if (desc->natts != PROGRESS_NCOLUMNS)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != progress_types[i])
			return false;
	}
	return true;
}

/* Returns true if there is an index whose maintenance would run an expression of somebody's. */
static bool
has_expressions(Relation rel)
{
	bool		found = false;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), RowExclusiveLock);

		found |= !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) ||
			!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
		index_close(index, NoLock);
	}
	return found;
}

/*
 * Open the table, as it came with the extension.  Whoever converts a table writes to it without any
 * right on it; so nothing that somebody attached to it runs then: no trigger, rule, policy, default
 * or constraint, for no statement is executed, and no expression of an index.
 * Errors: 55000 where the table is another.
 */
static Relation
open_progress(Oid called)
{
	Oid			relid = get_relname_relid("pseudo_progress", get_func_namespace(called));
	Relation	rel = OidIsValid(relid) ? try_relation_open(relid, RowExclusiveLock) : NULL;

	if (rel == NULL || rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_tableam != GetHeapamTableAmRoutine() ||
		getExtensionOfObject(RelationRelationId, relid) != getExtensionOfObject(ProcedureRelationId, called) ||
		!has_progress_columns(RelationGetDescr(rel)) ||
		!OidIsValid(pseudo_primary_key_index(rel)) || has_expressions(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table pseudo_progress is not the one that came with the extension"),
				 errhint("Undo what was changed: its columns, its primary key, indexes with expressions, its membership in the extension.")));
	return rel;
}

/* Begin a scan of all rows, or of the one of a relation where key is given. */
static SysScanDesc
begin_progress_scan(Relation rel, ScanKeyData *key, Oid relid)
{
	ScanKeyInit(key, PROGRESS_RELATION + 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	return systable_beginscan(rel, pseudo_primary_key_index(rel), true, GetActiveSnapshot(),
							  OidIsValid(relid) ? 1 : 0, key);
}

/* Lock the newest version of a row, into the slot; false where it is gone, or locked and not waited for. */
static bool
lock_progress_row(Relation rel, ItemPointer tid, TupleTableSlot *slot, LockTupleMode mode, LockWaitPolicy wait)
{
	TM_FailureData failure;

	return table_tuple_lock(rel, tid, GetActiveSnapshot(), slot, GetCurrentCommandId(true),
							mode, wait, TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							&failure) == TM_Ok;
}

/* Lock the row of a relation, into the slot.  Returns false if there is none. */
static bool
find_row(Relation rel, Oid relid, TupleTableSlot *slot)
{
	ScanKeyData key;
	SysScanDesc scan = begin_progress_scan(rel, &key, relid);
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tuple) &&
		lock_progress_row(rel, &tuple->t_self, slot, LockTupleNoKeyExclusive, LockWaitBlock);

	systable_endscan(scan);
	return found;
}

/* Delete the rows of tables that are gone; one that another run has locked stays. */
static void
delete_orphans(Relation rel, TupleTableSlot *slot)
{
	ScanKeyData key;
	SysScanDesc scan = begin_progress_scan(rel, &key, InvalidOid);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		relid = heap_getattr(tuple, PROGRESS_RELATION + 1, RelationGetDescr(rel), &isnull);

		if (!SearchSysCacheExists1(RELOID, relid) &&
			lock_progress_row(rel, &tuple->t_self, slot, LockTupleExclusive, LockWaitSkip))
			CatalogTupleDelete(rel, &slot->tts_tid);
		ExecClearTuple(slot);
	}
	systable_endscan(scan);
}

/* Returns true if the row in a slot is that of a run that goes on in another session. */
static bool
is_of_another_run(TupleTableSlot *slot)
{
	bool		isnull;
	char	   *status = TextDatumGetCString(slot_getattr(slot, PROGRESS_STATUS + 1, &isnull));
	int			pid = DatumGetInt32(slot_getattr(slot, PROGRESS_PID + 1, &isnull));

	return strcmp(status, "running") == 0 && pid != MyProcPid && BackendPidGetProc(pid) != NULL;
}

/* What is said of a run. */
static void
make_row(Bulk *bulk, Datum *values, bool *nulls)
{
	Progress	progress = measure(bulk);

	memset(nulls, false, PROGRESS_NCOLUMNS * sizeof(bool));
	values[PROGRESS_RELATION] = ObjectIdGetDatum(bulk->relid);
	values[PROGRESS_OPERATION] = CStringGetTextDatum(bulk->operation == BULK_REPSEUDONYMIZE ? "repseudonymize_table" : "pseudonymize_table");
	values[PROGRESS_COLUMNS] = names_array(pseudo_bulk_names(bulk));
	values[PROGRESS_STATUS] = CStringGetTextDatum(bulk->status);
	values[PROGRESS_PASS] = Int32GetDatum(bulk->pass);
	values[PROGRESS_ROWS_DONE] = Int64GetDatum(progress.done);
	values[PROGRESS_ROWS_TOTAL] = Int64GetDatum(progress.total);
	values[PROGRESS_PERCENT] = DirectFunctionCall2(numeric_round,
												   DirectFunctionCall1(float8_numeric, Float8GetDatum(progress.percent)),
												   Int32GetDatum(1));
	values[PROGRESS_ROWS_PER_SECOND] = Int64GetDatum(progress.rate);
	values[PROGRESS_SECONDS_LEFT] = Int64GetDatum(progress.left);
	nulls[PROGRESS_SECONDS_LEFT] = progress.left < 0;
	values[PROGRESS_VALUES_CONVERTED] = Int64GetDatum(bulk->counters.converted);
	values[PROGRESS_ROWS_CONVERTED] = Int64GetDatum(bulk->counters.rows);
	values[PROGRESS_VALUES_ALREADY] = Int64GetDatum(bulk->counters.already);
	values[PROGRESS_VALUES_PLAIN] = Int64GetDatum(bulk->counters.plain);
	values[PROGRESS_VALUES_UNREADABLE] = Int64GetDatum(bulk->counters.unreadable);
	values[PROGRESS_ROWS_TWINS] = Int64GetDatum(bulk->counters.twins);
	values[PROGRESS_PID] = Int32GetDatum(MyProcPid);
	values[PROGRESS_STARTED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[PROGRESS_UPDATED_AT] = values[PROGRESS_STARTED_AT];
	nulls[PROGRESS_SQLSTATE] = bulk->sqlstate == NULL;
	values[PROGRESS_SQLSTATE] = bulk->sqlstate ? CStringGetTextDatum(bulk->sqlstate) : (Datum) 0;
}

/* Write the run's row; an old one is in the slot, if there is any. */
static void
write_row(Bulk *bulk, Relation rel, TupleTableSlot *slot)
{
	Datum		values[PROGRESS_NCOLUMNS];
	bool		nulls[PROGRESS_NCOLUMNS];

	make_row(bulk, values, nulls);
	if (TTS_EMPTY(slot))
	{
		CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
		return;
	}
	if (bulk->pass > 0)
		values[PROGRESS_STARTED_AT] = slot_getattr(slot, PROGRESS_STARTED_AT + 1,
												   &nulls[PROGRESS_STARTED_AT]);
	CatalogTupleUpdate(rel, &slot->tts_tid, heap_form_tuple(RelationGetDescr(rel), values, nulls));
}

/* Let no other session write the row of the same relation, to the end of the transaction. */
static void
lock_relation_row(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, PSEUDO_LOCK_CLASS, relid, PSEUDO_LOCK_PROGRESS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* See bulk.h. */
void
pseudo_bulk_save(Bulk *bulk)
{
	Relation	rel = open_progress(bulk->called);
	TupleTableSlot *slot = table_slot_create(rel, NULL);

	lock_relation_row(bulk->relid);
	PushActiveSnapshot(GetLatestSnapshot());
	if (bulk->pass == 0)
		delete_orphans(rel, slot);
	if (!find_row(rel, bulk->relid, slot) || !bulk->dry_run || !is_of_another_run(slot))
		write_row(bulk, rel, slot);
	else if (bulk->pass == 0)
		ereport(NOTICE,
				(errmsg("%s is being converted by another session", bulk->name),
				 errdetail("pseudo_progress shows that run, and not this dry run.")));
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* See bulk.h. */
void
pseudo_bulk_notice(Bulk *bulk)
{
	Progress	progress;

	if (pseudo_bulk_elapsed(&bulk->last_notice) < 1.0)
		return;
	INSTR_TIME_SET_CURRENT(bulk->last_notice);
	if (bulk->pass > 1)
	{
		ereport(NOTICE, (errmsg("%s: pass %d, looking for what was left", bulk->name, bulk->pass)));
		return;
	}
	progress = measure(bulk);
	ereport(NOTICE,
			(errmsg("%s: %lld of about %lld rows (%.1f %%), %lld rows a second, %lld s left",
					bulk->name, (long long) progress.done, (long long) progress.total,
					progress.percent, (long long) progress.rate,
					(long long) Max(progress.left, 0))));
}

/* A number of things, for a message. */
static char *
count_of(int64 n, const char *one, const char *many)
{
	return psprintf("%lld %s", (long long) n, n == 1 ? one : many);
}

/* Warn of rows that a conversion would have to leave out, as another row has their values under another key. */
static void
warn_of_twins(Bulk *bulk)
{
	StringInfoData names;
	ListCell   *cell;

	initStringInfo(&names);
	foreach(cell, bulk->twin_indexes)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 pseudo_relation_name(lfirst_oid(cell)));
	ereport(WARNING,
			(errmsg_plural("%lld row of %s has values that another row has under another key",
						   "%lld rows of %s have values that other rows have under another key",
						   (unsigned long) bulk->counters.twins,
						   (long long) bulk->counters.twins, bulk->name),
			 names.len > 0 ? errdetail("They could not be converted: they would be equal in %s.", names.data) : 0,
			 errhint("Delete one row of each value first.")));
}

/* See bulk.h. */
void
pseudo_bulk_summary(Bulk *bulk)
{
	double		seconds = pseudo_bulk_elapsed(&bulk->start);
	Progress	progress = measure(bulk);
	BulkCounters *counters = &bulk->counters;
	char	   *detail;

	if (strcmp(bulk->status, "unfinished") == 0)
		ereport(WARNING,
				(errmsg("values to convert are written faster than they are converted"),
				 errhint("Create the trigger pseudonymize_trigger, and run this again.")));
	detail = bulk->operation == BULK_PSEUDONYMIZE ?
		psprintf("%s already.", count_of(counters->already, "value was a pseudonym", "values were pseudonyms")) :
		psprintf("%s the primary key already, %s, %s not authenticate.",
				 count_of(counters->already, "value has", "values have"),
				 count_of(counters->plain, "is no pseudonym", "are no pseudonyms"),
				 count_of(counters->unreadable, "does", "do"));
	ereport(NOTICE,
			(errmsg("%s: %s in %s %s, of %s read in %.1f s (%lld a second)", bulk->name,
					count_of(counters->converted, "value", "values"),
					count_of(counters->rows, "row", "rows"),
					bulk->dry_run ? "would be converted" : "converted",
					count_of(progress.done, "row", "rows"), seconds, (long long) progress.rate),
			 errdetail_internal("%s", detail),
			 counters->converted > 0 && !bulk->dry_run ?
			 errhint("Dead rows, WAL, backups and replicas still hold what was there before: VACUUM the table, and see \"What still holds the plaintext then?\" in the documentation.") : 0));
	if (counters->twins > 0)
		warn_of_twins(bulk);
}
