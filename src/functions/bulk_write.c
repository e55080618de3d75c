/*
 * bulk_write.c
 *		One batch of the bulk procedures: the UPDATE that writes it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bulk.h"
#include "bulk_batch.h"
#include "pinned.h"

PG_FUNCTION_INFO_V1(pseudo_converted_value);

/*
 * pseudo_converted_value(tid tid, no integer)
 *
 * What the statement below writes: not in its parameters, since to join those costs as much as to find the rows.
 */
Datum
pseudo_converted_value(PG_FUNCTION_ARGS)
{
	text	   *value;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) ||
		!pseudo_written_value((ItemPointer) PG_GETARG_POINTER(0), PG_GETARG_INT32(1), &value))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no procedure converts this row"),
				 errhint("The function is for pseudonymize_table and repseudonymize_table.")));
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(value);
}

/* Returns true if a trigger may change what is written. */
static bool
may_change(const BulkTarget *target)
{
	return target->rel->trigdesc && target->rel->trigdesc->trig_update_before_row;
}

/*
 * The statement that writes a batch, whose rows are $1.  Where a trigger may change what is written, it returns the columns, in
 * the order of the rows' TIDs.
 */
static char *
update_statement(Bulk *bulk, BulkTarget *target)
{
	char	   *function = quote_qualified_identifier(get_namespace_name(get_func_namespace(bulk->called)),
													  "pseudo_converted_value");
	StringInfoData set;
	StringInfoData returning;

	initStringInfo(&set);
	initStringInfo(&returning);
	for (int i = 0; i < target->ncolumns; i++)
	{
		const char *name = quote_identifier(target->columns[i].name);

		appendStringInfo(&set, "%s%s = %s(t.ctid, %d)", i > 0 ? ", " : "", name, function, i);
		appendStringInfo(&returning, "%s t.%s::pg_catalog.text", i > 0 ? "," : " RETURNING", name);
	}
	return psprintf("UPDATE ONLY %s AS t SET %s WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1)%s",
					pseudo_relation_name(RelationGetRelid(target->rel)), set.data,
					may_change(target) ? returning.data : "");
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

/* See bulk.h. */
void
pseudo_bulk_free_plan(Bulk *bulk)
{
	if (bulk->plan)
		SPI_freeplan(bulk->plan);
	bulk->plan = NULL;
}

/*
 * The plan of the statement, kept while it stays the same.  A generic plan expects few rows, and so fetches them by their TIDs; not
 * so where the table is small, and it may have grown since.
 */
static SPIPlanPtr
get_plan(Bulk *bulk, BulkTarget *target)
{
	Oid			type = TIDARRAYOID;
	char	   *statement = update_statement(bulk, target);
	BlockNumber nblocks = RelationGetNumberOfBlocks(target->rel);

	if (bulk->plan && strcmp(bulk->statement, statement) == 0 && nblocks / 2 <= bulk->planned_blocks)
		return bulk->plan;
	pseudo_bulk_free_plan(bulk);
	bulk->statement = MemoryContextStrdup(bulk->mcxt, statement);
	bulk->planned_blocks = nblocks;
	bulk->plan = SPI_prepare_cursor(statement, 1, &type, CURSOR_OPT_GENERIC_PLAN);
	if (bulk->plan == NULL || SPI_keepplan(bulk->plan) != 0)
		elog(ERROR, "could not prepare the update: %s", SPI_result_code_string(SPI_result));
	return bulk->plan;
}

/* Compare two rows of a batch by their TIDs. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	PseudoWritten *rows = arg;

	return ItemPointerCompare(&rows->tids[*(const int *) a], &rows->tids[*(const int *) b]);
}

/* Returns true if a row that the statement returned is as it should be: what was NULL may have become anything. */
static bool
is_written(PseudoWritten *rows, int no, HeapTuple tuple, TupleDesc desc)
{
	for (int i = 0; i < rows->ncolumns; i++)
	{
		const text *value = rows->values[no * rows->ncolumns + i];
		bool		isnull;
		Datum		written = heap_getattr(tuple, i + 1, desc, &isnull);

		if (value && (isnull || !pseudo_column_same(PointerGetDatum(value), written)))
			return false;
	}
	return true;
}

/* Returns true if the statement has written all rows as they should be. */
static bool
has_written_all(PseudoWritten *rows, int result)
{
	int		   *order;

	if (SPI_processed != (uint64) rows->nrows || (result != SPI_OK_UPDATE && result != SPI_OK_UPDATE_RETURNING))
		return false;
	if (result == SPI_OK_UPDATE)
		return true;
	order = palloc(rows->nrows * sizeof(int));
	for (int i = 0; i < rows->nrows; i++)
		order[i] = i;
	qsort_arg(order, rows->nrows, sizeof(int), compare_rows, rows);
	for (int i = 0; i < rows->nrows; i++)
	{
		if (!is_written(rows, order[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc))
			return false;
	}
	return true;
}

/* See bulk_batch.h. */
void
pseudo_bulk_write(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
{
	PseudoWritten *rows = &batch->rows;
	Datum		tids = tids_array(rows);
	SPIPlanPtr	plan = get_plan(bulk, target);
	int			result;

	pseudo_written_begin(rows);
	result = pseudo_pinned_execute(bulk->statement, RelationGetRelid(target->rel), plan, &tids, InvalidSnapshot, false);
	pseudo_written_end();
	if (!has_written_all(rows, result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a trigger or a rule of relation \"%s\" suppressed or changed what was written",
						RelationGetRelationName(target->rel)),
				 errhint("Disable it while this runs, or let it leave pseudonyms alone.")));
}
