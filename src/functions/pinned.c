/*
 * pinned.c
 *		What the names of a table and of our functions mean in a statement of ours.
 *
 * It is looked at when the statement is planned: that follows each look-up of the name, and what is executed is what was
 * planned.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "column.h"
#include "pinned.h"

static planner_hook_type next_planner = NULL;
static PseudoPin pinned = {0};

/* See pinned.h. */
PseudoPin
pseudo_pin(const char *statement, Oid relid)
{
	PseudoPin	before = pinned;

	pinned.statement = statement;
	pinned.relid = relid;
	return before;
}

/* See pinned.h.  A view is a subquery by now; what a rule adds stands behind the table. */
bool
pseudo_pinned_reads(const Query *query, Oid relid)
{
	const RangeTblEntry *first = query->rtable ? linitial(query->rtable) : NULL;

	return first == NULL || (first->rtekind == RTE_RELATION && first->relid == relid);
}

/* See pinned.h. */
bool
pseudo_has_name(Oid funcid, const char *const *names, int count)
{
	char	   *name = funcid < FirstNormalObjectId ? NULL : get_func_name(funcid);

	for (int i = 0; name && i < count; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* Walker: returns true if an expression calls a function with a name that statements of ours call, which is not the extension's, *context. */
static bool
calls_stranger(Node *node, void *context)
{
	static const char *const names[] = {
		"is_pseudonym", "pseudo_converted_value", "pseudo_dump_length", "pseudo_dump_value", "pseudonymize_as", "reidentify_as"
	};
	const Oid  *extension = context;
	Oid			funcid = node && IsA(node, FuncExpr) ? ((FuncExpr *) node)->funcid : InvalidOid;

	if (node == NULL)
		return false;
	if (pseudo_has_name(funcid, names, lengthof(names)) && getExtensionOfObject(ProcedureRelationId, funcid) != *extension)
		return true;
	return expression_tree_walker(node, calls_stranger, context);
}

/* See pinned.h. */
void
pseudo_pinned_check_calls(const Query *query)
{
	Oid			extension = get_extension_oid("pseudo", true);

	/* Each call's name is looked up for itself. */
	if (calls_stranger((Node *) query->targetList, &extension) || calls_stranger((Node *) query->jointree, &extension))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the name of the extension's schema has become that of another one"),
				 errhint("Try again.")));
}

/* See pinned.h. */
void
pseudo_report_moved(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("the name of relation %s has become that of another one", pseudo_relation_name(relid)),
			 errhint("Try again.")));
}

/* Check that a statement of ours is for its table, and calls our functions.  Errors: 40001. */
static void
check_pinned(const Query *query)
{
	if (!pseudo_pinned_reads(query, pinned.relid))
		pseudo_report_moved(pinned.relid);
	pseudo_pinned_check_calls(query);
}

/* Hook: a query is planned. */
static PlannedStmt *
plan_pinned(PSEUDO_PLANNER_PARAMETERS)
{
	if (unlikely(pinned.statement != NULL) && query_string && strcmp(query_string, pinned.statement) == 0)
		check_pinned(parse);
	return next_planner ? next_planner(PSEUDO_PLANNER_ARGUMENTS) : standard_planner(PSEUDO_PLANNER_ARGUMENTS);
}

/* See pinned.h. */
int
pseudo_pinned_execute(const char *statement, Oid relid, SPIPlanPtr plan, Datum *values, Snapshot snapshot, bool read_only)
{
	PseudoPin	before = pseudo_pin(statement, relid);
	volatile int result = 0;

	PG_TRY();
	{
		result = SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot, read_only, true, 0);
	}
	PG_FINALLY();
	{
		pinned = before;
	}
	PG_END_TRY();
	return result;
}

/* See pinned.h. */
void
pseudo_pinned_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan_pinned;
}
