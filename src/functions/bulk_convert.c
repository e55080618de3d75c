/*
 * bulk_convert.c
 *		One batch of the bulk procedures: what is written to its rows.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "utils/snapmgr.h"

#include "bulk.h"
#include "bulk_batch.h"
#include "reseal.h"
#include "watch.h"

/* ---- Keys ---- */

/* See bulk_batch.h. */
uint32
pseudo_bulk_keys(const Bulk *bulk)
{
	uint32		hash = 0;
	ListCell   *cell;

	foreach(cell, bulk->calls)
	{
		PseudoKeyring *keyring = ((BulkCall *) lfirst(cell))->call.keyring;

		hash = hash_combine(hash, hash_uint32(keyring->primary->id));
		for (int i = 0; i < keyring->nkeys; i++)
		{
			if (keyring->keys[i].status == PSEUDO_KEY_ENABLED)
				hash = hash_combine(hash, hash_uint32(keyring->keys[i].id));
		}
	}
	return hash;
}

/* See bulk_batch.h. */
void
pseudo_bulk_prepare_keys(Bulk *bulk, BulkTarget *target)
{
	do
		pseudo_bulk_prepare_calls(bulk);
	while (target->compared &&
		   !pseudo_unique_prepare(target->compared->unique, target->rel, !bulk->dry_run));
}

/* ---- Pseudonyms ---- */

/* See bulk_batch.h. */
int
pseudo_bulk_count(const BulkBatch *batch, int no)
{
	const PseudoWritten *rows = &batch->rows;
	int			n = 0;

	for (int i = no; i < rows->nrows * rows->ncolumns; i += rows->ncolumns)
		n += batch->converts[i] && rows->values[i];
	return n;
}

/* Check that a converted value fits into its column.  Errors: 22001. */
static void
check_fits(BulkTarget *target, PseudoColumn *column, const text *value)
{
	if (column->limit >= 0 && VARSIZE_ANY_EXHDR(value) > (size_t) column->limit)
		pseudo_column_report_narrow(column, target->rel, VARSIZE_ANY_EXHDR(value));
}

/* Put pseudonyms in the place of the values of a column. */
static void
pseudonymize_column(BulkTarget *target, BulkBatch *batch, int no)
{
	PseudoWritten *rows = &batch->rows;
	BulkColumn *column = target->settings[no];
	PseudoSealBatch seal;

	pseudo_seal_begin(&seal, &column->call->call, column->is_deterministic);
	for (int i = no; i < rows->nrows * rows->ncolumns; i += rows->ncolumns)
	{
		const char *value;
		size_t		len;

		if (!batch->converts[i] || rows->values[i] == NULL)
			continue;
		value = pseudo_value_utf8(rows->values[i], &len);
		rows->values[i] = pseudo_seal_later(&seal, value, len);
		check_fits(target, &target->columns[no], rows->values[i]);
	}
	pseudo_seal_flush(&seal);
}

/* Put pseudonyms under the primary key in the place of the pseudonyms of a column. */
static void
repseudonymize_column(Bulk *bulk, BulkTarget *target, BulkBatch *batch, int no)
{
	PseudoWritten *rows = &batch->rows;
	BulkCall   *call = target->settings[no]->call;

	for (int i = no; i < rows->nrows * rows->ncolumns; i += rows->ncolumns)
	{
		PseudoOpened opened;

		if (!batch->converts[i])
			continue;
		pseudo_bulk_prepare_call(bulk, call);
		pseudo_open(&call->call, rows->values[i], false, &opened);
		rows->values[i] = pseudo_reseal(&call->call, rows->values[i], &opened, false);
		check_fits(target, &target->columns[no], rows->values[i]);
	}
}

/* ---- Unique columns ---- */

/* A row of a batch as it would be written. */
static HeapTuple
make_new_row(BulkTarget *target, BulkBatch *batch, int no, TupleTableSlot *slot)
{
	PseudoWritten *rows = &batch->rows;
	text	  **values = &rows->values[no * rows->ncolumns];
	int		   *attnos = palloc(rows->ncolumns * sizeof(int));
	Datum	   *new = palloc(rows->ncolumns * sizeof(Datum));
	bool	   *nulls = palloc(rows->ncolumns * sizeof(bool));
	int			n = 0;

	if (!table_tuple_fetch_row_version(target->rel, &rows->tids[no], SnapshotAny, slot))
		elog(ERROR, "could not fetch a row that is locked");
	for (int i = 0; i < rows->ncolumns; i++)
	{
		if (!batch->converts[no * rows->ncolumns + i])
			continue;
		nulls[n] = values[i] == NULL;
		new[n] = nulls[n] ? (Datum) 0 :
			pseudo_column_put(&target->columns[i], target->rel, values[i], CurrentMemoryContext);
		attnos[n++] = target->columns[i].attno;
	}
	return heap_modify_tuple_by_cols(ExecCopySlotHeapTuple(slot), RelationGetDescr(target->rel),
									 n, attnos, new, nulls);
}

/* See bulk_batch.h. */
int
pseudo_bulk_compared(const BulkUnique *compared, const bool *converts, int **attnos)
{
	int			n = 0;

	*attnos = palloc(compared->ncolumns * sizeof(int));
	for (int i = 0; i < compared->ncolumns; i++)
	{
		if (converts[compared->numbers[i]])
			(*attnos)[n++] = compared->columns[i].attno;
	}
	return n;
}

/* Let a row of a batch keep the pseudonyms that its values have in other rows. */
static void
settle_row(Bulk *bulk, BulkTarget *target, BulkBatch *batch, int no, TupleTableSlot *slot)
{
	PseudoWritten *rows = &batch->rows;
	text	  **values = &rows->values[no * rows->ncolumns];
	const bool *converts = &batch->converts[no * rows->ncolumns];
	HeapTuple	row = make_new_row(target, batch, no, slot);
	int		   *attnos;
	int			n = pseudo_bulk_compared(target->compared, converts, &attnos);
	HeapTuple	settled;

	if (n == 0)
		return;
	pseudo_bulk_prepare_keys(bulk, target); /* again: expressions of the table
											 * run for each row */
	settled = pseudo_unique_settle(target->compared->unique, target->rel, row, NULL, attnos, n, false);
	for (int i = 0; settled != row && i < rows->ncolumns; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(settled, target->columns[i].attno, RelationGetDescr(target->rel), &isnull);

		if (converts[i] && !isnull)
			values[i] = pseudo_column_get(&target->columns[i], value);
	}
}

/* Let all rows of a batch keep them. */
static void
settle_rows(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
{
	TupleTableSlot *slot;

	if (target->compared == NULL)
		return;
	slot = table_slot_create(target->rel, NULL);
	for (int i = 0; i < batch->rows.nrows; i++)
		settle_row(bulk, target, batch, i, slot);
	ExecDropSingleTupleTableSlot(slot);
}

/* ---- The batch ---- */

/* See bulk_batch.h. */
void
pseudo_bulk_convert_values(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
{
	for (int i = 0; i < target->ncolumns; i++)
	{
		BulkCall   *call = target->settings[i]->call;

		pseudo_bulk_prepare_call(bulk, call);
		pseudo_watch_use(&call->call, pseudo_bulk_count(batch, i));
		if (bulk->operation == BULK_REPSEUDONYMIZE)
			repseudonymize_column(bulk, target, batch, i);
		else
			pseudonymize_column(target, batch, i);
	}
	if (bulk->operation == BULK_PSEUDONYMIZE)
		settle_rows(bulk, target, batch);

	/*
	 * The table is locked for writers with the keys that there were; see
	 * unique_keys.c.
	 */
	pseudo_bulk_prepare_calls(bulk);
	if (batch->keys != pseudo_bulk_keys(bulk))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the keys changed while rows were being converted")));
}
