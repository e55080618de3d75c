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
#include "nodes/value.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "../compat.h"
#include "bulk.h"

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

/* A copy of the text in argument no, which must not be NULL. */
static text *
copy_argument(FunctionCallInfo fcinfo, int no, const char *name)
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
	bulk->context = copy_argument(fcinfo, context_no, "context");
	bulk->keyring = copy_argument(fcinfo, context_no + 1, "keyring");
	bulk->batch_size = PG_GETARG_INT32(context_no + 2);
	if (bulk->batch_size < 1 || bulk->batch_size > MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"batch_size\" must be between 1 and %d", MAX_BATCH)));
	return bulk;
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
	existing = text_to_cstring(copy_argument(fcinfo, 6, "existing"));
	bulk->lookalikes = strcmp(existing, "value") == 0;
	if (!bulk->lookalikes && strcmp(existing, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"existing\": \"%s\"", existing),
				 errhint("Valid values are \"error\" and \"value\". Pseudonyms that authenticate are left as they are in any case.")));
	pseudo_bulk_run(bulk);
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
	bulk->operation = BULK_REPSEUDONYMIZE;
	bulk->dry_run = PG_GETARG_BOOL(5);
	pseudo_bulk_run(bulk);
	SPI_finish();
	PG_RETURN_VOID();
}
