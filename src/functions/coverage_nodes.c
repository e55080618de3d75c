/*
 * coverage_nodes.c
 *		What other nodes of Citus do otherwise than this one: rights, keys, versions.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "coverage.h"
#include "subtransaction.h"

/* A question, and its answer. */
typedef struct Question
{
	char	   *function;		/* qualified and quoted */
	List	   *differences;	/* of char * */
	MemoryContext mcxt;			/* theirs */
} Question;

/* Ask, for pseudo_subtransaction(). */
static void
ask_nodes(void *arg)
{
	Question   *question = arg;
	char	   *sql = psprintf("SELECT pg_catalog.format('%%s: %%s', node, difference) FROM %s()", question->function);

	SPI_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask other nodes");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *difference = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext caller = MemoryContextSwitchTo(question->mcxt);

		question->differences = lappend(question->differences, pstrdup(difference));
		MemoryContextSwitchTo(caller);
	}
	SPI_finish();
}

/* See coverage.h. */
List *
pseudo_coverage_nodes(const PseudoCoverage *coverage, char **why_not)
{
	Question	question = {.mcxt = CurrentMemoryContext};
	Oid			schema = get_func_namespace(coverage->called);
	oidvector  *none = buildoidvector(NULL, 0);
	Oid			function;
	ErrorData  *error;

	*why_not = NULL;
	if (!OidIsValid(get_relname_relid("pg_dist_node", PG_CATALOG_NAMESPACE)))
		return NIL;
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("pseudo_node_differences"),
							   PointerGetDatum(none), ObjectIdGetDatum(schema));
	if (!OidIsValid(function) || pseudo_function_aclcheck(function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
	{
		*why_not = "other nodes were not asked: no right to call pseudo_node_differences()";
		return NIL;
	}
	question.function = quote_qualified_identifier(get_namespace_name(schema), "pseudo_node_differences");
	error = pseudo_subtransaction(ask_nodes, &question);
	if (error)
		*why_not = psprintf("asking other nodes ended with an error (SQLSTATE %s)", unpack_sql_state(error->sqlerrcode));
	return error ? NIL : question.differences;
}
