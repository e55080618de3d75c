/*
 * bulk_write.c
 *		One batch of the bulk procedures: the UPDATE that writes it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bulk.h"
#include "bulk_batch.h"

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

/* See bulk_batch.h. */
void
pseudo_bulk_write(Bulk *bulk, BulkTarget *target, BulkBatch *batch)
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
