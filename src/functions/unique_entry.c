/*
 * unique_entry.c
 *		Looking one row up in one index.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "unique_parts.h"

/* See unique_parts.h. */
bool
pseudo_unique_entry_of(PseudoUnique *unique, Compared *compared, Relation index, Datum *values, bool *nulls)
{
	TupleTableSlot *row = unique->row;

	if (compared->is_foreign)
	{
		for (int i = 0; i < compared->nkeys; i++)
		{
			values[i] = row->tts_values[compared->attnos[i] - 1];
			nulls[i] = row->tts_isnull[compared->attnos[i] - 1];
		}
	}
	else
	{
		if (compared->predicate &&
			!ExecQual(compared->predicate, GetPerTupleExprContext(unique->estate)))
			return false;
		FormIndexDatum(compared->info, row, unique->estate, values, nulls);
	}
	for (int i = 0; i < compared->nkeys; i++)
	{
		if (nulls[i] && (compared->is_foreign || !index->rd_index->indnullsnotdistinct))
			return false;
	}
	return true;
}

/* Compare a row that a lossy index has found. */
static bool
is_equal(PseudoUnique *unique, Compared *compared, Relation index, const Datum *values)
{
	ExprContext *context = GetPerTupleExprContext(unique->estate);
	Datum		others[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		result = true;

	context->ecxt_scantuple = compared->found;
	FormIndexDatum(compared->info, compared->found, unique->estate, others, nulls);
	context->ecxt_scantuple = unique->row;
	for (int i = 0; i < compared->nkeys && result; i++)
		result = !nulls[i] &&
			DatumGetBool(OidFunctionCall2Coll(compared->procs[i], index->rd_indcollation[i],
											  others[i], values[i]));
	return result;
}

/* Go on to the next entry of a scan whose row there is.  As index_getnext_slot(), which does not say what it passes. */
static bool
next_entry(IndexScanDesc scan, TupleTableSlot *slot, Entry *entry)
{
	while (scan->xs_heap_continue || index_getnext_tid(scan, ForwardScanDirection) != NULL)
	{
		if (index_fetch_heap(scan, slot))
			return true;
		entry->has_passed = true;
	}
	return false;
}

/* Find a row that a snapshot shows, and that is not the one at except. */
static bool
scan_index(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
		   const Datum *values, const bool *nulls, Snapshot snapshot, ItemPointer except, Entry *entry)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	IndexScanDesc scan;
	bool		found = false;

	for (int i = 0; i < compared->nkeys; i++)
		ScanKeyEntryInitialize(&keys[i], nulls[i] ? SK_ISNULL | SK_SEARCHNULL : 0, i + 1,
							   compared->strategies[i], compared->subtypes[i],
							   index->rd_indcollation[i], compared->procs[i], values[i]);
	scan = pseudo_beginscan_index(table, index, snapshot, compared->nkeys);
	index_rescan(scan, keys, compared->nkeys, NULL, 0);
	entry->has_passed = false;
	while (!found && next_entry(scan, compared->found, entry))
	{
		found = (except == NULL || !ItemPointerEquals(except, &compared->found->tts_tid)) &&
			(!scan->xs_recheck || is_equal(unique, compared, index, values));
		entry->tid = compared->found->tts_tid;
	}
	index_endscan(scan);
	ExecClearTuple(compared->found);
	return found;
}

/* See unique_parts.h. */
bool
pseudo_unique_find_entry(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
						 const Datum *values, const bool *nulls, ItemPointer except, Entry *entry)
{
	SnapshotData dirty;
	bool		found;

	InitDirtySnapshot(dirty);
	found = scan_index(unique, compared, table, index, values, nulls, &dirty, except, entry);
	if (found)					/* else no row may have set them */
	{
		entry->running = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
		entry->token = TransactionIdIsValid(dirty.xmin) ? dirty.speculativeToken : 0;
	}
	return found;
}

/*
 * Returns true if pseudo_unique_find_entry() has missed a row: an UPDATE has put its entry in front of the scan and was
 * committed before the scan came to the old one.  A snapshot that is taken afterwards shows the row once.
 */
static bool
has_missed(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
		   const Datum *values, const bool *nulls, ItemPointer except)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Entry		entry;
	bool		found;

	snapshot->curcid = InvalidCommandId;	/* all that this transaction did */
	found = scan_index(unique, compared, table, index, values, nulls, snapshot, except, &entry);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Wait for the transaction that writes a row. */
static Finding
wait_for(Relation table, Entry *entry)
{
	if (entry->token != 0)
		SpeculativeInsertionWait(entry->running, entry->token);
	else
		XactLockTableWait(entry->running, table, &entry->tid, XLTW_InsertIndex);
	return WAITED;
}

/* Keep a row as it is until this transaction ends. */
static Finding
lock_entry(Compared *compared, Relation table, Entry *entry, LockTupleMode mode)
{
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_lock(table, &entry->tid, GetActiveSnapshot(), compared->found,
							  GetCurrentCommandId(true), mode, LockWaitBlock, 0,
							  &failure);
	ExecClearTuple(compared->found);
	/* What this command itself has written nobody else can change. */
	return result == TM_Ok || result == TM_Invisible || result == TM_SelfModified ? FOUND : WAITED;
}

/* See unique_parts.h. */
Finding
pseudo_unique_look_in(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
					  ItemPointer self, bool passes_self, bool is_first)
{
	ItemPointer except = passes_self ? self : NULL;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	Entry		entry;

	/*
	 * In the table's own index PostgreSQL itself finds what has the same
	 * pseudonyms.
	 */
	if ((is_first && !compared->is_foreign) ||
		!pseudo_unique_entry_of(unique, compared, index, values, nulls))
		return NOT_FOUND;
	if (!pseudo_unique_find_entry(unique, compared, table, index, values, nulls, except, &entry))
		return entry.has_passed && has_missed(unique, compared, table, index, values, nulls, except) ?
			WAITED : NOT_FOUND;
	if (TransactionIdIsValid(entry.running))
		return wait_for(table, &entry);
	if (is_first || (self && !compared->is_foreign && ItemPointerEquals(self, &entry.tid)))
		return FOUND;
	return lock_entry(compared, table, &entry,
					  compared->is_foreign ? LockTupleKeyShare : Max(unique->lock_mode, compared->lock_mode));
}
