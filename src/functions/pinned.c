/*
 * pinned.c
 *		What the name of a table means in a statement of ours.
 *
 * It is looked at when the statement is planned: that follows each look-up of the name, and what is executed is what was
 * planned.
 */
#include "postgres.h"

#include "optimizer/planner.h"

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

/* Hook: a query is planned. */
static PlannedStmt *
plan_pinned(PSEUDO_PLANNER_PARAMETERS)
{
	if (unlikely(pinned.statement != NULL) && query_string && strcmp(query_string, pinned.statement) == 0 &&
		!pseudo_pinned_reads(parse, pinned.relid))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the name of relation %s has become that of another one",
						pseudo_relation_name(pinned.relid)),
				 errhint("Try again.")));
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
