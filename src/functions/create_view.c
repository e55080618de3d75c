/*
 * create_view.c
 *		pseudo_create_view(): the view that shows of a table what the labels of its columns say.
 *
 * It does nothing that its caller could not do with SELECT and CREATE VIEW: all runs with the caller's rights.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "call.h"
#include "citus.h"
#include "create_view.h"
#include "role.h"

PG_FUNCTION_INFO_V1(pseudo_create_view);

/* The arguments that may not be NULL. */
static void
check_nulls(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"relation", "view", "as_role", NULL, "hide_order"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (names[i] && PG_ARGISNULL(i))
			pseudo_report_null(names[i]);
	}
}

/* An argument as a string, or NULL. */
static char *
string_or_null(FunctionCallInfo fcinfo, int no)
{
	return PG_ARGISNULL(no) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(no));
}

/* The strings of an argument that is an array. */
static List *
list_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	List	   *list = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(no))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(no), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain null values", name)));
		list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

/* Open the table. */
static Relation
open_view_source(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW &&
		kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table, materialized view or foreign table", RelationGetRelationName(rel)),
				 errhint("Its columns have no labels. Make the view of the tables that it reads.")));
	return rel;
}

/* Take the arguments but for the view's name and the columns to open. */
static void
take_arguments(PseudoView *view, FunctionCallInfo fcinfo)
{
	memset(view, 0, sizeof(PseudoView));
	check_nulls(fcinfo);
	view->called = fcinfo->flinfo->fn_oid;
	view->schema = get_namespace_name(get_func_namespace(view->called));
	view->role = pseudo_role_literal(string_or_null(fcinfo, 2));
	view->filter = string_or_null(fcinfo, 3);
	view->hide_order = PG_GETARG_BOOL(4);
	view->context = string_or_null(fcinfo, 6);
	view->keyring = string_or_null(fcinfo, 7);
	if (view->filter)
		pseudo_view_check_filter(view->filter);
	view->rel = open_view_source(PG_GETARG_OID(0));
}

/* Returns true if calls in a view work with the rights of its role. */
static bool
uses_role(const PseudoView *view)
{
	for (int i = 0; i < view->ncolumns; i++)
	{
		PseudoShow	show = view->columns[i].show;

		if (show == PSEUDO_SHOW_MADE || show == PSEUDO_SHOW_REMADE || show == PSEUDO_SHOW_OPENED)
			return true;
	}
	return false;
}

/* Refuse a role that the view could not use, before the table is read: CREATE VIEW asks for USAGE on its type. */
static void
check_use_of_role(const PseudoView *view)
{
	const char *schema = quote_identifier(view->schema);
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("pseudo_role"),
									   ObjectIdGetDatum(get_func_namespace(view->called)));
	PseudoCitus citus;

	if (!uses_role(view))
		return;
	if (pseudo_type_aclcheck(type, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for type %s.pseudo_role", schema),
				 errhint("Grant it with GRANT USAGE ON TYPE %s.pseudo_role TO %s.", schema,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	pseudo_citus_find(&citus, view->rel);
	if (citus.kind != PSEUDO_CITUS_NONE && !citus.is_shard)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("relation \"%s\" is a %s of Citus, and a view of it cannot work with the rights of a role",
						RelationGetRelationName(view->rel), pseudo_citus_kind_name(citus.kind)),
				 errdetail("Citus runs the calls of a view in statements of its reader's own."),
				 errhint("Label such columns with \"into\", and GRANT SELECT on the columns that hold the pseudonyms.")));
}

/* What PostgreSQL makes of the query: the columns of the view.  Errors are those of the query. */
static TupleDesc
describe_query(const char *query)
{
	SPIPlanPtr	plan = SPI_prepare(query, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not prepare the query of the view: %s", SPI_result_code_string(SPI_result));
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc;
}

/*
 * pseudo_create_view(relation regclass, view text, as_role text, filter text, hide_order boolean, reidentify text[],
 *		context text, keyring text)
 *
 * Returns what it executed.  The view is tried before the table is read, which may take long.
 */
Datum
pseudo_create_view(PG_FUNCTION_ARGS)
{
	PseudoView	view;
	PseudoViewName name;
	TupleDesc	desc;
	text	   *result;
	char	   *query;
	char	   *done;

	PreventCommandIfReadOnly("pseudo_create_view()");
	take_arguments(&view, fcinfo);
	pseudo_view_columns(&view, list_argument(fcinfo, 5, "reidentify"));
	check_use_of_role(&view);
	pseudo_view_find(&name, PG_GETARG_TEXT_PP(1), view.rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP);
	query = pseudo_view_query(&view);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	desc = describe_query(query);
	pseudo_view_check_values(&view);
	done = pseudo_view_put(&name, psprintf("%s AS\n%s", pseudo_view_is_barrier(&view) ? " WITH (security_barrier)" : "",
										   query), desc, RelationGetRelid(view.rel));
	result = SPI_palloc(VARHDRSZ + strlen(done));
	SET_VARSIZE(result, VARHDRSZ + strlen(done));
	memcpy(VARDATA(result), done, strlen(done));
	SPI_finish();
	relation_close(view.rel, NoLock);
	PG_RETURN_TEXT_P(result);
}
