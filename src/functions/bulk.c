/*
 * bulk.c
 *		pseudonymize_table() and repseudonymize_table(): columns of a table converted
 *		in place, in batches with a COMMIT after each.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "nodes/value.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "bulk.h"
#include "bulk_citus.h"

#define MAX_BATCH		100000	/* rows */

PG_FUNCTION_INFO_V1(pseudo_pseudonymize_table);
PG_FUNCTION_INFO_V1(pseudo_repseudonymize_table);

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

/* ---- Arguments ---- */

/* Returns true if the caller has left an argument out: what PostgreSQL has put there has no place in the statement. */
static bool
is_omitted(FunctionCallInfo fcinfo, int no)
{
	FuncExpr   *call = (FuncExpr *) fcinfo->flinfo->fn_expr;
	Const	   *argument = call && IsA(call, FuncExpr) ? list_nth(call->args, no) : NULL;

	return argument && IsA(argument, Const) && argument->location < 0;
}

/* Refuse an argument beside labels, which say what it says. */
static void
check_omitted(FunctionCallInfo fcinfo, const Bulk *bulk, int no, const char *name)
{
	if (is_omitted(fcinfo, no))
		return;
	if (bulk->has_labels)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" cannot be given beside columns with labels", name),
				 errhint("Say it in the labels, or name the columns without.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" needs \"columns\"", name),
			 errdetail("Without \"columns\", the labels of the table say what becomes of which column."),
			 errhint("Name the columns, or leave \"%s\" out.", name)));
}

/* Take the argument "columns", which is not NULL. */
static List *
columns_argument(FunctionCallInfo fcinfo)
{
	List	   *names = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *name;

		if (nulls[i])
			pseudo_report_null("columns");
		name = TextDatumGetCString(elements[i]);
		if (list_member(names, makeString(name)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" specified more than once", name)));
		names = lappend(names, makeString(name));
	}
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no columns specified"),
				 errhint("Name the columns to convert, as in columns => '{email, phone}'.")));
	return names;
}

/* The string in argument no, which must not be NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	if (PG_ARGISNULL(no))
		pseudo_report_null(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(no));
}

/* A boolean in argument no, which must not be NULL. */
static bool
boolean_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	if (PG_ARGISNULL(no))
		pseudo_report_null(name);
	return PG_GETARG_BOOL(no);
}

/* Note a column that a label has to do with, which may be no other's. */
static List *
note_column(List *noted, char *name)
{
	if (list_member(noted, makeString(name)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" specified more than once", name)));
	return lappend(noted, makeString(name));
}

/* Returns true if an element of "columns" is a column with its label; adds it, and notes what it names. */
static bool
add_with_label(Bulk *bulk, const char *element, List **noted)
{
	PseudoLabel *label;
	char	   *name;

	label = palloc(sizeof(PseudoLabel));
	name = pseudo_label_of_column(label, element);
	if (name == NULL)
		return false;
	if (get_attnum(bulk->relid, element) != InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("\"%s\" is a column, and could be column \"%s\" with its label", element, name),
				 errhint("Say which: the first one is meant by its name in double quotes, with a label behind it.")));
	if (!pseudo_label_pseudonymizes(label))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the label of column \"%s\" is neither \"deterministic\" nor \"random\"", name),
				 errhint("Leave the column out, or give it one of these.")));
	*noted = note_column(*noted, name);
	if (label->into)
		*noted = note_column(*noted, label->into);
	pseudo_bulk_add_column(bulk, name, label);
	return true;
}

/* Add the columns that have labels in the argument "columns", if they have. */
static void
add_with_labels(Bulk *bulk, FunctionCallInfo fcinfo)
{
	List	   *noted = NIL;
	ListCell   *cell;

	foreach(cell, columns_argument(fcinfo))
	{
		bool		has_label = add_with_label(bulk, strVal(lfirst(cell)), &noted);

		if (foreach_current_index(cell) == 0)
			bulk->has_labels = has_label;
		else if (has_label != bulk->has_labels)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"columns\" has columns with labels and columns without"),
					 errhint("Give each a label, as in columns => '{\"email IS deterministic\", \"phone IS random\"}', or none.")));
	}
}

/* The arguments that both procedures have, in the current memory context. */
static Bulk *
read_arguments(FunctionCallInfo fcinfo, BulkOperation operation, int batch_size_no)
{
	Bulk	   *bulk = palloc0(sizeof(Bulk));

	if (PG_ARGISNULL(0))
		pseudo_report_null("relation");
	if (PG_ARGISNULL(batch_size_no))
		pseudo_report_null("batch_size");
	bulk->operation = operation;
	bulk->mcxt = CurrentMemoryContext;
	bulk->called = fcinfo->flinfo->fn_oid;
	bulk->relid = PG_GETARG_OID(0);
	bulk->is_labelled = PG_ARGISNULL(1);
	if (!bulk->is_labelled)
		add_with_labels(bulk, fcinfo);
	bulk->batch_size = PG_GETARG_INT32(batch_size_no);
	if (bulk->batch_size < 1 || bulk->batch_size > MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"batch_size\" must be between 1 and %d", MAX_BATCH)));
	return bulk;
}

/* Add the columns that the arguments name, all of one label. */
static void
add_columns(Bulk *bulk, FunctionCallInfo fcinfo, const PseudoLabel *label)
{
	ListCell   *cell;

	foreach(cell, columns_argument(fcinfo))
		pseudo_bulk_add_column(bulk, strVal(lfirst(cell)), label);
}

/* Read the argument "existing". */
static PseudoExisting
existing_argument(FunctionCallInfo fcinfo, int no)
{
	char	   *existing = text_argument(fcinfo, no, "existing");

	if (strcmp(existing, "value") == 0)
		return PSEUDO_EXISTING_VALUE;
	if (strcmp(existing, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"existing\": \"%s\"", existing),
				 errhint("Valid values are \"error\" and \"value\". Pseudonyms that authenticate are left as they are in any case.")));
	return PSEUDO_EXISTING_ERROR;
}

/* ---- The procedures ---- */

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
	PseudoLabel label;

	check_session(fcinfo, "pseudonymize_table");
	connect_nonatomic();
	bulk = read_arguments(fcinfo, BULK_PSEUDONYMIZE, 5);
	if (bulk->is_labelled || bulk->has_labels)
	{
		check_omitted(fcinfo, bulk, 2, "deterministic");
		check_omitted(fcinfo, bulk, 3, "context");
		check_omitted(fcinfo, bulk, 4, "keyring");
		check_omitted(fcinfo, bulk, 6, "existing");
	}
	else
	{
		pseudo_label_begin(&label, boolean_argument(fcinfo, 2, "deterministic") ?
						   PSEUDO_MODE_DETERMINISTIC : PSEUDO_MODE_RANDOM);
		label.context = text_argument(fcinfo, 3, "context");
		label.keyring = text_argument(fcinfo, 4, "keyring");
		label.existing = existing_argument(fcinfo, 6);
		add_columns(bulk, fcinfo, &label);
	}
	pseudo_bulk_anywhere(bulk);
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
	PseudoLabel label;

	check_session(fcinfo, "repseudonymize_table");
	connect_nonatomic();
	bulk = read_arguments(fcinfo, BULK_REPSEUDONYMIZE, 4);
	bulk->dry_run = boolean_argument(fcinfo, 5, "dry_run");
	if (bulk->is_labelled || bulk->has_labels)
	{
		check_omitted(fcinfo, bulk, 2, "context");
		check_omitted(fcinfo, bulk, 3, "keyring");
	}
	else
	{
		pseudo_label_begin(&label, PSEUDO_MODE_RANDOM);
		label.context = text_argument(fcinfo, 2, "context");
		label.keyring = text_argument(fcinfo, 3, "keyring");
		add_columns(bulk, fcinfo, &label);
	}
	pseudo_bulk_anywhere(bulk);
	SPI_finish();
	PG_RETURN_VOID();
}
