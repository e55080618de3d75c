/*
 * bulk_citus.c
 *		The bulk procedures on a table of Citus: called for each placement of its shards, on the node that has it.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "bulk_citus.h"
#include "citus.h"

/* A shard, or a copy of one, where it is. */
typedef struct Placement
{
	char	   *node;
	int			port;
	char	   *shard;			/* its name, qualified and quoted */
} Placement;

/* Returns true if this server can ask other nodes. */
static bool
can_ask_nodes(void)
{
	return OidIsValid(get_relname_relid("pg_dist_placement", PG_CATALOG_NAMESPACE)) &&
		OidIsValid(get_relname_relid("pg_dist_node", PG_CATALOG_NAMESPACE));
}

/* The placements of a table's shards, in an order that stays the same. */
static List *
find_placements(Oid relid)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	List	   *placements = NIL;

	if (SPI_execute_with_args("SELECT n.nodename, n.nodeport, pg_catalog.shard_name(s.logicalrelid, s.shardid, false)"
							  " FROM pg_catalog.pg_dist_shard s"
							  " JOIN pg_catalog.pg_dist_placement p ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
							  " JOIN pg_catalog.pg_dist_node n ON n.groupid OPERATOR(pg_catalog.=) p.groupid"
							  " AND n.noderole OPERATOR(pg_catalog.=) 'primary'"
							  " WHERE s.logicalrelid OPERATOR(pg_catalog.=) $1 ORDER BY s.shardid, n.nodeid",
							  lengthof(types), types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for placements");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Placement  *placement = palloc(sizeof(Placement));

		placement->node = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		placement->port = atoi(SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
		placement->shard = SPI_getvalue(row, SPI_tuptable->tupdesc, 3);
		placements = lappend(placements, placement);
	}
	return placements;
}

/* Run a command where a placement is, in transactions of its own; returns what it gives.  Errors: 38000. */
static char *
run_there(const Placement *placement, const char *command)
{
	Oid			types[] = {TEXTOID, INT4OID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(placement->node), Int32GetDatum(placement->port),
	CStringGetTextDatum(command)};
	char	   *result;
	bool		isnull;

	if (SPI_execute_with_args("SELECT success, result FROM pg_catalog.master_run_on_worker("
							  "ARRAY[$1], ARRAY[$2], ARRAY[$3], false)",
							  lengthof(types), types, values, NULL, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not ask a node");
	result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not convert %s on %s:%d", placement->shard, placement->node, placement->port),
				 errdetail_internal("%s", result ? result : "No answer."),
				 errhint("What has been converted stays so. Remove the cause, and call the procedure again.")));
	return result ? result : pstrdup("");
}

/* An argument as SQL. */
static char *
deparse_argument(FunctionCallInfo fcinfo, int no)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, no);
	Oid			output;
	bool		is_varlena;

	if (PG_ARGISNULL(no))
		return pstrdup("NULL");
	getTypeOutputInfo(type, &output, &is_varlena);
	return psprintf("%s::%s", quote_literal_cstr(OidOutputFunctionCall(output, PG_GETARG_DATUM(no))),
					format_type_be_qualified(type));
}

/* The call of this procedure for a placement. */
static char *
deparse_call(FunctionCallInfo fcinfo, const char *schema, const Placement *placement)
{
	StringInfoData call;

	initStringInfo(&call);
	appendStringInfo(&call, "CALL %s.%s(%s", quote_identifier(schema),
					 quote_identifier(get_func_name(fcinfo->flinfo->fn_oid)), quote_literal_cstr(placement->shard));
	for (int i = 1; i < fcinfo->nargs; i++)
		appendStringInfo(&call, ", %s", deparse_argument(fcinfo, i));
	appendStringInfoChar(&call, ')');
	return call.data;
}

/* What a placement's node says that has been converted, or seen. */
static int64
count_values(const char *schema, const Placement *placement)
{
	char	   *count = run_there(placement,
								  psprintf("SELECT values_converted FROM %s.pseudo_progress"
										   " WHERE relation OPERATOR(pg_catalog.=) %s::pg_catalog.regclass",
										   quote_identifier(schema), quote_literal_cstr(placement->shard)));

	return *count ? strtoll(count, NULL, 10) : 0;
}

/* Call the procedure for each of some placements, one by one; returns how many values they have converted. */
static int64
call_everywhere(FunctionCallInfo fcinfo, const char *name, List *placements)
{
	char	   *schema = get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid));
	int64		values = 0;
	ListCell   *cell;

	foreach(cell, placements)
	{
		Placement  *placement = lfirst(cell);

		(void) run_there(placement, deparse_call(fcinfo, schema, placement));
		values += count_values(schema, placement);
		ereport(NOTICE,
				(errmsg("%s: %s on %s:%d is done, %d of %d", name, placement->shard, placement->node, placement->port,
						foreach_current_index(cell) + 1, list_length(placements))));
		/* Nothing here is to be older than what goes on there. */
		SPI_commit();
	}
	return values;
}

/* Are these the same placements? */
static bool
are_same(List *a, List *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		Placement  *p = lfirst(x);
		Placement  *q = lfirst(y);

		if (strcmp(p->node, q->node) != 0 || p->port != q->port || strcmp(p->shard, q->shard) != 0)
			return false;
	}
	return true;
}

/* See bulk_citus.h. */
bool
pseudo_bulk_on_nodes(FunctionCallInfo fcinfo)
{
	char	   *name;
	List	   *placements;
	List	   *then;
	int64		values = 0;

	if (PG_ARGISNULL(0) || !can_ask_nodes() || !pseudo_citus_knows(PG_GETARG_OID(0)))
		return false;
	name = get_rel_name(PG_GETARG_OID(0));
	then = find_placements(PG_GETARG_OID(0));

	/*
	 * A shard that was moved or split meanwhile may have rows that were not
	 * converted where they are now.
	 */
	do
	{
		placements = then;
		values += call_everywhere(fcinfo, name, placements);
		then = find_placements(PG_GETARG_OID(0));
	} while (!are_same(placements, then));
	ereport(NOTICE,
			(errmsg_plural("%s: " INT64_FORMAT " value converted in all placements",
						   "%s: " INT64_FORMAT " values converted in all placements",
						   (unsigned long) values, name, values)));
	return true;
}
