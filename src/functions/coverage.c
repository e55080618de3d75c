/*
 * coverage.c
 *		pseudo_coverage(): which columns hold plaintext, and which are covered by labels and triggers.
 *
 * It is open to PUBLIC.  The catalogs show everybody what it says of labels, triggers and other objects; values it
 * counts where the caller may SELECT them and has the right to pseudonymize, and it tells nothing of them that the
 * caller could not find with is_pseudonym(), repseudonymize() and deterministic pseudonyms of their own.  Two things
 * are here for that: a random pseudonym is never compared with another value, or its owner could test guesses; and a
 * deterministic one that is compared counts as a value that the caller has pseudonymized, so that a limit holds.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "../compat.h"
#include "column.h"
#include "coverage.h"
#include "subtransaction.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(pseudo_coverage);

/* ---- Relations ---- */

/*
 * Find the relations of a schema, or of all but the system's, in the order of their names; in the current memory
 * context.  Needs SPI.
 */
static List *
find_relations(Oid schema, MemoryContext mcxt)
{
	static const char *const sql =
		"SELECT c.oid FROM pg_catalog.pg_class c"
		" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		" WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}'::pg_catalog.\"char\"[])"
		" AND CASE WHEN $1 OPERATOR(pg_catalog.=) 0::pg_catalog.oid"
		" THEN n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[])"
		" ELSE n.oid OPERATOR(pg_catalog.=) $1 END"
		" ORDER BY n.nspname, c.relname";
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(schema);
	List	   *relids = NIL;

	if (SPI_execute_with_args(sql, 1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for relations");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		relid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext caller = MemoryContextSwitchTo(mcxt);

		relids = lappend_oid(relids, DatumGetObjectId(relid));
		MemoryContextSwitchTo(caller);
	}
	return relids;
}

/* One relation's turn. */
typedef struct Turn
{
	PseudoCoverage *coverage;
	Oid			relid;
	PseudoCoverageTable *table; /* NULL: it is gone, or not reported */
} Turn;

/* Returns true if a relation is not reported: another session's, or the extension's. */
static bool
is_not_reported(const PseudoCoverage *coverage, Relation rel)
{
	Oid			extension = getExtensionOfObject(RelationRelationId, RelationGetRelid(rel));

	return RELATION_IS_OTHER_TEMP(rel) ||
		(OidIsValid(extension) && extension == getExtensionOfObject(ProcedureRelationId, coverage->called));
}

/* Look at a relation, for pseudo_subtransaction(). */
static void
take_turn(void *arg)
{
	Turn	   *turn = arg;
	PseudoCoverage *coverage = turn->coverage;
	PseudoCoverageTable *table = turn->table;
	Relation	rel = try_relation_open(turn->relid, AccessShareLock);

	if (rel == NULL || is_not_reported(coverage, rel))
		turn->table = NULL;
	else
	{
		pseudo_coverage_describe(coverage, table, rel);
		pseudo_coverage_where(coverage, table, rel);
		pseudo_coverage_look(coverage, table, rel);
	}
	if (rel)
		relation_close(rel, AccessShareLock);
}

/* ---- Rows ---- */

/* The columns of the result, in their order. */
enum
{
	ROW_RELATION,
	ROW_COLUMN_NAME,
	ROW_TYPE,
	ROW_LABEL,
	ROW_TRIGGER,
	ROW_ROWS,
	ROW_PSEUDONYMS,
	ROW_OLDER,
	ROW_PLAINTEXT,
	ROW_UNREADABLE,
	ROW_ELSEWHERE,
	ROW_REASON,
	ROW_HINT,
	ROW_VERDICT,
	ROW_COLUMNS
};

/* A row; all is NULL that has not been put. */
typedef struct CoverageRow
{
	Datum		values[ROW_COLUMNS];
	bool		nulls[ROW_COLUMNS];
} CoverageRow;

/* Put a value into a row. */
static void
put_row_datum(CoverageRow *row, int no, Datum value)
{
	row->values[no] = value;
	row->nulls[no] = false;
}

/* Put a string or NULL into a row. */
static void
put_row_string(CoverageRow *row, int no, const char *string)
{
	if (string)
		put_row_datum(row, no, CStringGetTextDatum(string));
}

/* Put what was counted into a row. */
static void
put_row_counts(CoverageRow *row, const PseudoSeen *seen)
{
	put_row_datum(row, ROW_ROWS, Int64GetDatum(seen->rows));
	put_row_datum(row, ROW_PSEUDONYMS, Int64GetDatum(seen->pseudonyms));
	put_row_datum(row, ROW_OLDER, Int64GetDatum(seen->older));
	put_row_datum(row, ROW_PLAINTEXT, Int64GetDatum(seen->plaintext));
	put_row_datum(row, ROW_UNREADABLE, Int64GetDatum(seen->unreadable));
}

/* Put a list of strings into a row, as an array. */
static void
put_row_strings(CoverageRow *row, int no, const List *strings)
{
	Datum	   *elements;
	ListCell   *cell;
	int			n = 0;

	if (strings == NIL)
		return;
	elements = palloc(list_length(strings) * sizeof(Datum));
	foreach(cell, strings)
		elements[n++] = CStringGetTextDatum(lfirst(cell));
	put_row_datum(row, no, PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT)));
}

/* What a column's label is called: of a target, by its source. */
static char *
label_name(const PseudoCoverageTable *table, const PseudoCoverageColumn *column)
{
	if (column->source > 0)
	{
		for (int i = 0; i < table->ncolumns; i++)
		{
			if (table->columns[i].attno == column->source)
				return psprintf("target of %s", quote_identifier(table->columns[i].name));
		}
	}
	return column->label->mode == PSEUDO_MODE_NONE ? NULL : pseudo_label_string(column->label);
}

/* Add the row of a column. */
static void
put_column_row(ReturnSetInfo *rsinfo, const PseudoCoverageTable *table, const PseudoCoverageColumn *column)
{
	CoverageRow row;
	char	   *reasons;

	memset(row.nulls, true, sizeof(row.nulls));
	put_row_datum(&row, ROW_RELATION, ObjectIdGetDatum(table->relid));
	put_row_datum(&row, ROW_COLUMN_NAME, DirectFunctionCall1(namein, CStringGetDatum(column->name)));
	put_row_string(&row, ROW_TYPE, column->type);
	put_row_string(&row, ROW_LABEL, label_name(table, column));
	put_row_string(&row, ROW_TRIGGER, column->trigger);
	if (table->failure == NULL && table->why_not == NULL && column->why_not == NULL)
		put_row_counts(&row, &column->seen);
	put_row_strings(&row, ROW_ELSEWHERE, column->elsewhere);
	put_row_string(&row, ROW_HINT, pseudo_hint(column));
	put_row_string(&row, ROW_VERDICT, pseudo_verdict(table, column, &reasons));
	put_row_string(&row, ROW_REASON, reasons);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
}

/* Add the row of a relation of which not even the columns are known, or one that is about none. */
static void
put_other_row(ReturnSetInfo *rsinfo, Oid relid, const char *reason, const char *verdict)
{
	CoverageRow row;

	memset(row.nulls, true, sizeof(row.nulls));
	if (OidIsValid(relid))
		put_row_datum(&row, ROW_RELATION, ObjectIdGetDatum(relid));
	put_row_string(&row, ROW_REASON, reason);
	put_row_string(&row, ROW_VERDICT, verdict);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
}

/* Add a row for each way in which another node of Citus differs from this one. */
static void
cover_nodes(const PseudoCoverage *coverage, ReturnSetInfo *rsinfo)
{
	char	   *why_not;
	ListCell   *cell;

	foreach(cell, pseudo_coverage_nodes(coverage, &why_not))
		put_other_row(rsinfo, InvalidOid, lfirst(cell), "drift");
	if (why_not)
		put_other_row(rsinfo, InvalidOid, why_not, "skipped");
}

/* Look at one relation, and add its rows. */
static void
cover(PseudoCoverage *coverage, Oid relid, ReturnSetInfo *rsinfo)
{
	PseudoCoverageTable *table = palloc0(sizeof(PseudoCoverageTable));
	Turn		turn = {.coverage = coverage, .relid = relid, .table = table};
	ErrorData  *error;

	table->relid = relid;
	error = pseudo_subtransaction(take_turn, &turn);
	if (turn.table == NULL)
		return;
	if (error)
	{
		pseudo_coverage_wipe(coverage);
		table->failure = psprintf("looking at it ended with an error (SQLSTATE %s)",
								  unpack_sql_state(error->sqlerrcode));
	}
	if (table->ncolumns == 0 && table->failure)
		put_other_row(rsinfo, relid, table->failure, "skipped");
	for (int i = 0; i < table->ncolumns; i++)
		put_column_row(rsinfo, table, &table->columns[i]);
}

/* ---- The function ---- */

/* Memory context callback: the call is over. */
static void
coverage_ends(void *arg)
{
	pseudo_coverage_wipe(arg);
}

/* The schema in argument 0, or InvalidOid for all.  Errors: 3F000. */
static Oid
schema_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(0) ? InvalidOid : get_namespace_oid(NameStr(*PG_GETARG_NAME(0)), false);
}

/* The percentage in argument 1.  Errors: 22004, 2202H. */
static double
sample_argument(FunctionCallInfo fcinfo)
{
	double		sample;

	if (PG_ARGISNULL(1))
		pseudo_report_null("sample");
	sample = PG_GETARG_FLOAT8(1);
	if (!(sample > 0 && sample <= 100))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLESAMPLE_ARGUMENT),
				 errmsg("argument \"sample\" must be greater than 0 and at most 100"),
				 errhint("It is the percentage of a table's blocks that are read; 100 reads all.")));
	return sample;
}

/* Make what a call knows, in a memory context of its own. */
static PseudoCoverage *
begin_coverage(Oid called, double sample)
{
	MemoryContext mcxt = AllocSetContextCreate(CurrentMemoryContext, "pseudo coverage", ALLOCSET_DEFAULT_SIZES);
	PseudoCoverage *coverage = MemoryContextAllocZero(mcxt, sizeof(PseudoCoverage));
	MemoryContextCallback *callback = MemoryContextAllocZero(mcxt, sizeof(MemoryContextCallback));

	callback->func = coverage_ends;
	callback->arg = coverage;
	MemoryContextRegisterResetCallback(mcxt, callback);
	coverage->mcxt = mcxt;
	coverage->called = called;
	coverage->sample = sample;
	coverage->snapshot = GetActiveSnapshot();
	coverage->trigger = pseudo_trigger_function(called);
	INSTR_TIME_SET_CURRENT(coverage->last_notice);
	return coverage;
}

/* Ask the catalogs what statements do best; to compile these would take longer than all else. */
static List *
query_catalogs(PseudoCoverage *coverage, Oid schema)
{
	int			level = NewGUCNestLevel();
	List	   *relids;

	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	relids = find_relations(schema, coverage->mcxt);
	pseudo_coverage_find_published(coverage);
	SPI_finish();
	AtEOXact_GUC(true, level);
	return relids;
}

/*
 * pseudo_coverage(schema name, sample double precision)
 */
Datum
pseudo_coverage(PG_FUNCTION_ARGS)
{
	Oid			schema = schema_argument(fcinfo);
	double		sample = sample_argument(fcinfo);
	PseudoCoverage *coverage;
	MemoryContext turn_mcxt;
	MemoryContext caller;
	List	   *relids;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	coverage = begin_coverage(fcinfo->flinfo->fn_oid, sample);
	relids = query_catalogs(coverage, schema);
	pseudo_pairs_find(coverage);

	turn_mcxt = AllocSetContextCreate(coverage->mcxt, "pseudo coverage of a relation", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(turn_mcxt);
	coverage->nrelations = list_length(relids);
	foreach(cell, relids)
	{
		coverage->number++;
		cover(coverage, lfirst_oid(cell), (ReturnSetInfo *) fcinfo->resultinfo);
		MemoryContextReset(turn_mcxt);
	}
	cover_nodes(coverage, (ReturnSetInfo *) fcinfo->resultinfo);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(coverage->mcxt);
	PG_RETURN_NULL();
}
