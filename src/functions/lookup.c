/*
 * lookup.c
 *		Pseudonyms of what a query looks up on other servers: made here.
 *
 * Citus and postgres_fdw take a call of ours for one that may give something else for each row.  Citus sends it to
 * every shard, with the value in it, and postgres_fdw fetches all rows.  So, in a query that reads their tables, a
 * call that makes deterministic pseudonyms of constants and of the query's parameters is replaced by one more
 * parameter, before anybody plans the query.
 *
 * What that parameter is must not outlive the execution: keys rotate, rights are revoked.
 *
 *	- A plan for given parameters (or for none) is made with its value.  It is used once: that is so of custom
 *	  plans, and a plan without parameters, which PostgreSQL keeps, is declared invalid when it begins to run.
 *	- A generic plan is made without it, and gets it at the start of each execution.
 *
 * What a CASE or COALESCE may leave out stays as it is: a call that never runs has no errors.
 *
 * A plan keeps the calls in a subplan that nothing refers to and that never runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "partitioning/partdesc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "citus.h"
#include "lookup.h"
#include "pinned.h"

#define BUCKETS		1024

/* The node id of the subplan that keeps calls, and what makes a plan invalid that has the values of constants. */
#define KEEPER		(-0x50534555)
#define KEPT_HASH	0x50534555

/* What is replaced in a query. */
typedef struct Lookup
{
	PlannerInfo *root;			/* gathers what inlined functions the calls
								 * depend on */
	int			base;			/* parameters that the query has */
	List	   *calls;			/* parameter base + 1, ...: FuncExpr */
	List	  **buckets;		/* their numbers, from 0, by their hashes */
	List	   *values;			/* Const, or NIL: not known yet */
	Bitmapset  *hidden;			/* parameters that only the calls refer to */
} Lookup;

/* The values that were made for a plan that has not begun to run: it need not make them again. */
static struct
{
	int64		serial;
	Oid			userid;
	LocalTransactionId transaction;
	TimestampTz statement;
}			fresh;

static planner_hook_type next_planner = NULL;
static ExecutorStart_hook_type next_executor = NULL;

/* ---- Which calls ---- */

extern Datum pseudo_pseudonymize_as(PG_FUNCTION_ARGS);
extern Datum pseudo_pseudonymize_array_stable(PG_FUNCTION_ARGS);
extern Datum pseudo_pseudonymize_jsonb_stable(PG_FUNCTION_ARGS);
extern Datum pseudo_pseudonymize_json_stable(PG_FUNCTION_ARGS);
extern Datum pseudo_repseudonymize_stable(PG_FUNCTION_ARGS);
extern Datum pseudo_pseudonyms_of(PG_FUNCTION_ARGS);

/* Returns true if a function may be one of ours that makes pseudonyms, to judge by its name. */
static bool
has_our_name(Oid funcid)
{
	static const char *const names[] = {
		"pseudonymize", "pseudonymize_as", "pseudonymize_array", "pseudonymize_json",
		"repseudonymize", "pseudonyms_of"
	};

	return pseudo_has_name(funcid, names, lengthof(names));
}

/* Returns true if a function is written in C. */
static bool
is_in_c(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		in_c = HeapTupleIsValid(tuple) && ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return in_c;
}

/*
 * Returns true if a call, as the planner has simplified it, makes deterministic pseudonyms with the rights of the
 * current user.
 */
static bool
is_deterministic_call(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *role;
	FmgrInfo	info;

	if (!IsA(node, FuncExpr) || !is_in_c(call->funcid))
		return false;
	fmgr_info(call->funcid, &info);
	if (info.fn_addr == pseudo_pseudonymize_as)
	{
		role = linitial(call->args);
		return IsA(role, Const) && !role->constisnull && !OidIsValid(DatumGetObjectId(role->constvalue));
	}
	return info.fn_addr == pseudo_pseudonymize_array_stable || info.fn_addr == pseudo_pseudonymize_jsonb_stable ||
		info.fn_addr == pseudo_pseudonymize_json_stable || info.fn_addr == pseudo_repseudonymize_stable ||
		info.fn_addr == pseudo_pseudonyms_of;
}

/* Walker: returns true if an expression cannot be evaluated before the query runs. */
static bool
needs_row(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (pseudo_is_of_merge(node))
		return true;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
		case T_PlaceHolderVar:
		case T_Query:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		default:
			return expression_tree_walker(node, needs_row, context);
	}
}

/* The call that makes the pseudonym of something that is the same for all rows, or NULL. */
static Node *
make_lookup(FuncExpr *call, PlannerInfo *root)
{
	Node	   *simple;

	if (call->funcretset || !has_our_name(call->funcid) || needs_row((Node *) call->args, NULL))
		return NULL;
	simple = eval_const_expressions(root, copyObject((Node *) call));
	if (!is_deterministic_call(simple) || needs_row(simple, NULL) || expression_returns_set(simple) ||
		contain_volatile_functions(simple))
		return NULL;
	return simple;
}

/* ---- Which queries ---- */

/* Returns true if a partitioned table has a foreign table among its partitions. */
static bool
has_foreign_partition(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	PartitionDesc partitions = RelationGetPartitionDesc(rel, true);
	bool		found = false;

	for (int i = 0; !found && i < partitions->nparts; i++)
	{
		char		kind = get_rel_relkind(partitions->oids[i]);

		found = kind == RELKIND_FOREIGN_TABLE ||
			(kind == RELKIND_PARTITIONED_TABLE && has_foreign_partition(partitions->oids[i]));
	}
	table_close(rel, AccessShareLock);
	return found;
}

/* Walker: returns true if a query reads or writes what is on other servers; with a context, what is in Citus. */
static bool
is_distant(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind != RTE_RELATION)
			return false;
		return pseudo_citus_knows(rte->relid) ||
			(context == NULL &&
			 (rte->relkind == RELKIND_FOREIGN_TABLE ||
			  (rte->relkind == RELKIND_PARTITIONED_TABLE && has_foreign_partition(rte->relid))));
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, is_distant, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, is_distant, context);
}

/* Walker: returns true if there may be a call to replace, to judge by names. */
static bool
has_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_calls, context, 0);
	return (IsA(node, FuncExpr) && has_our_name(((FuncExpr *) node)->funcid)) ||
		expression_tree_walker(node, has_calls, context);
}

/* Walker: add the numbers of parameters to *context, a Bitmapset. */
static bool
find_params(Node *node, void *context)
{
	Bitmapset **found = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_params, context, 0);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		*found = bms_add_member(*found, ((Param *) node)->paramid);
	return expression_tree_walker(node, find_params, context);
}

/* Walker: combine what tells calls apart, into *context. */
static bool
hash_call(Node *node, void *context)
{
	uint32	   *hash = context;
	Const	   *constant = (Const *) node;

	if (node == NULL)
		return false;
	if (IsA(node, Const) && !constant->constisnull)
		*hash = hash_combine(*hash, datum_image_hash(constant->constvalue, constant->constbyval, constant->constlen));
	else if (IsA(node, Param))
		*hash = hash_combine(*hash, ((Param *) node)->paramid);
	else if (IsA(node, FuncExpr))
		*hash = hash_combine(*hash, ((FuncExpr *) node)->funcid);
	return expression_tree_walker(node, hash_call, context);
}

/* The number of a call, from 0: equal ones have the same.  An INSERT of many rows has many. */
static int
number_call(Lookup *lookup, Node *simple)
{
	uint32		hash = 0;
	List	  **bucket;
	ListCell   *cell;

	(void) hash_call(simple, &hash);
	if (lookup->buckets == NULL)
		lookup->buckets = palloc0(BUCKETS * sizeof(List *));
	bucket = &lookup->buckets[hash % BUCKETS];
	foreach(cell, *bucket)
	{
		if (equal(list_nth(lookup->calls, lfirst_int(cell)), simple))
			return lfirst_int(cell);
	}
	lookup->calls = lappend(lookup->calls, simple);
	*bucket = lappend_int(*bucket, list_length(lookup->calls) - 1);
	return list_length(lookup->calls) - 1;
}

/* The parameter for a call. */
static Node *
make_param(Lookup *lookup, Node *simple, const FuncExpr *call)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = lookup->base + number_call(lookup, simple) + 1;
	param->paramtype = exprType((const Node *) call);
	param->paramtypmod = -1;
	param->paramcollid = exprCollation((const Node *) call);
	param->location = call->location;
	return (Node *) param;
}

static Node *replace_calls(Node *node, void *context);

/* Replace the calls in what a CASE always evaluates. */
static Node *
replace_in_case(CaseExpr *old, void *context)
{
	CaseExpr   *expr = copyObject(old);
	CaseWhen   *first = linitial_node(CaseWhen, expr->args);

	expr->arg = (Expr *) replace_calls((Node *) expr->arg, context);
	first->expr = (Expr *) replace_calls((Node *) first->expr, context);
	return (Node *) expr;
}

/* Replace the calls in what a COALESCE always evaluates. */
static Node *
replace_in_coalesce(CoalesceExpr *old, void *context)
{
	CoalesceExpr *expr = copyObject(old);

	linitial(expr->args) = replace_calls(linitial(expr->args), context);
	return (Node *) expr;
}

/* Mutator: replace the calls. */
static Node *
replace_calls(Node *node, void *context)
{
	Lookup	   *lookup = context;
	Node	   *simple;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, replace_calls, context, 0);
	if (IsA(node, CaseExpr))
		return replace_in_case((CaseExpr *) node, context);
	if (IsA(node, CoalesceExpr))
		return replace_in_coalesce((CoalesceExpr *) node, context);
	if (IsA(node, FuncExpr) && (simple = make_lookup((FuncExpr *) node, lookup->root)) != NULL)
		return make_param(lookup, simple, (FuncExpr *) node);
	return expression_tree_mutator(node, replace_calls, context);
}

/* ---- Values ---- */

/* What a call gives now, as a constant in the current memory context. */
static Const *
evaluate_call(Node *call, ParamListInfo params)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	Oid			type = exprType(call);
	int16		len;
	bool		by_value;
	bool		isnull;
	Datum		value;

	estate->es_param_list_info = params;
	value = ExecEvalExprSwitchContext(ExecPrepareExpr((Expr *) call, estate),
									  GetPerTupleExprContext(estate), &isnull);
	MemoryContextSwitchTo(caller);
	get_typlenbyval(type, &len, &by_value);
	if (isnull)
		value = (Datum) 0;
	else if (len == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	else
		value = datumCopy(value, by_value, len);
	FreeExecutorState(estate);
	return makeConst(type, -1, exprCollation(call), len, value, isnull, by_value);
}

/* What all calls give now. */
static List *
evaluate_calls(List *calls, ParamListInfo params)
{
	List	   *values = NIL;
	ListCell   *cell;

	foreach(cell, calls)
		values = lappend(values, evaluate_call(lfirst(cell), params));
	return values;
}

/* A query's parameters without the hidden ones, and the values of calls as those behind number base. */
static ParamListInfo
extend_params(ParamListInfo params, const Lookup *lookup)
{
	int			n = params ? params->numParams : 0;
	ParamListInfo all = makeParamList(Max(n, lookup->base + list_length(lookup->values)));
	ParamListInfo copy = n > 0 ? copyParamList(params) : NULL;
	ListCell   *cell;

	memset(all->params, 0, all->numParams * sizeof(ParamExternData));
	for (int i = 0; i < n; i++)
	{
		/* Citus may send others also those that no shard needs. */
		if (!bms_is_member(i + 1, lookup->hidden))
			all->params[i] = copy->params[i];
	}
	foreach(cell, lookup->values)
	{
		Const	   *value = lfirst(cell);
		ParamExternData *param = &all->params[lookup->base + foreach_current_index(cell)];

		param->value = value->constvalue;
		param->isnull = value->constisnull;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = value->consttype;
	}
	return all;
}

/* Walker: returns true if a parameter has no value among *context. */
static bool
lacks_value(Node *node, void *context)
{
	ParamListInfo params = context;
	int			id;
	ParamExternData room;
	ParamExternData *param;

	if (node == NULL)
		return false;
	if (!IsA(node, Param))
		return expression_tree_walker(node, lacks_value, context);
	id = ((Param *) node)->paramid;
	if (params == NULL || id > params->numParams)
		return true;
	param = params->paramFetch ? params->paramFetch(params, id, true, &room) : &params->params[id - 1];
	return !OidIsValid(param->ptype);
}

/* Callback: may a function read tables?  Those in C are taken not to, and those of PostgreSQL. */
static bool
function_may_read(Oid funcid, void *context pg_attribute_unused())
{
	return funcid >= FirstNormalObjectId && func_volatile(funcid) != PROVOLATILE_IMMUTABLE && !is_in_c(funcid);
}

/* Walker: returns true if an expression has such a function. */
static bool
may_read_tables(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, function_may_read, context) || expression_tree_walker(node, may_read_tables, context);
}

/* ---- Planning ---- */

/*
 * What simplifies calls as the planner would, but for the values of parameters: stored roles are marked, and the
 * functions that are inlined gathered.
 */
static PlannerInfo *
make_root(Query *query)
{
	PlannerInfo *root = makeNode(PlannerInfo);

	root->parse = query;
	root->glob = makeNode(PlannerGlobal);
	root->query_level = 1;
	return root;
}

/* Replace the calls of a query in lookup; returns the query to plan. */
static Query *
replace_lookups(Query *query, Lookup *lookup, ParamListInfo params)
{
	Bitmapset  *before = NULL;
	Bitmapset  *after = NULL;
	Query	   *replaced;

	if (query->commandType == CMD_UTILITY || !has_calls((Node *) query, NULL) || !is_distant((Node *) query, NULL))
		return query;
	(void) find_params((Node *) query, &before);
	lookup->base = Max(bms_prev_member(before, -1), params ? params->numParams : 0);
	lookup->base = Max(lookup->base, 0);
	lookup->root = make_root(query);
	replaced = (Query *) replace_calls((Node *) query, lookup);
	if (lookup->calls == NIL)
		return query;
	(void) find_params((Node *) replaced, &after);
	lookup->hidden = bms_difference(before, after);
	return replaced;
}

/* Add a number to what is kept. */
static List *
keep_number(List *kept, int64 number)
{
	return lappend(kept, makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(number),
								   false, FLOAT8PASSBYVAL));
}

/*
 * Keep what a plan's executions need: base; the serial number of its values, or 0; how many parameters are hidden,
 * and those; all calls, each with its value, if the plan has values.
 */
static void
keep_lookup(PlannedStmt *plan, const Lookup *lookup)
{
	Result	   *keeper = makeNode(Result);
	ArrayExpr  *one = makeNode(ArrayExpr);
	List	   *kept = keep_number(NIL, lookup->base);
	int			hidden = -1;
	ListCell   *cell;

	kept = keep_number(kept, lookup->values ? fresh.serial : 0);
	kept = keep_number(kept, bms_num_members(lookup->hidden));
	while ((hidden = bms_next_member(lookup->hidden, hidden)) >= 0)
		kept = keep_number(kept, hidden);
	foreach(cell, lookup->calls)
	{
		fix_opfuncids(lfirst(cell));
		kept = lappend(kept, lfirst(cell));
		if (lookup->values)
			kept = lappend(kept, list_nth(lookup->values, foreach_current_index(cell)));
	}
	/* In one column: rows have a limit of theirs. */
	one->array_typeid = TEXTARRAYOID;
	one->element_typeid = TEXTOID;
	one->elements = kept;
	one->location = -1;
	keeper->plan.targetlist = list_make1(makeTargetEntry((Expr *) one, 1, NULL, false));
	keeper->plan.plan_node_id = KEEPER;
	plan->subplans = lappend(plan->subplans, keeper);
	if (lookup->values && lookup->base == 0)
	{
		PlanInvalItem *item = makeNode(PlanInvalItem);

		item->cacheId = PROCOID;
		item->hashValue = KEPT_HASH;
		plan->invalItems = lappend(plan->invalItems, item);
	}
}

/* Plan a query whose calls have been replaced. */
static PlannedStmt *
plan_lookups(PSEUDO_PLANNER_PARAMETERS, Lookup *lookup)
{
	PlannedStmt *plan;
	bool		reads = may_read_tables((Node *) lookup->calls, NULL);

	/*
	 * A plan that is made without the values of its parameters is for all.
	 * What a function reads may have changed since the snapshot that is there
	 * now, in which a function in PL/pgSQL does not see what it has just
	 * written.  Citus needs values for some plans.
	 */
	if ((boundParams != NULL || lookup->base == 0) && !lacks_value((Node *) lookup->calls, boundParams) &&
		(!reads || is_distant((Node *) parse, &reads)))
	{
		lookup->values = evaluate_calls(lookup->calls, boundParams);
		boundParams = extend_params(boundParams, lookup);
	}
	plan = next_planner ? next_planner(PSEUDO_PLANNER_ARGUMENTS) : standard_planner(PSEUDO_PLANNER_ARGUMENTS);
	if (lookup->values)
	{
		fresh.serial++;
		fresh.userid = reads ? InvalidOid : GetUserId();
		fresh.transaction = pseudo_local_transaction();
		fresh.statement = GetCurrentStatementStartTimestamp();
	}
	plan->invalItems = list_concat(plan->invalItems, lookup->root->glob->invalItems);
	keep_lookup(plan, lookup);
	return plan;
}

/* Hook: a query is planned. */
static PlannedStmt *
plan_query(PSEUDO_PLANNER_PARAMETERS)
{
	Lookup		lookup = {0};

	parse = replace_lookups(parse, &lookup, boundParams);
	if (lookup.calls != NIL)
		return plan_lookups(PSEUDO_PLANNER_ARGUMENTS, &lookup);
	return next_planner ? next_planner(PSEUDO_PLANNER_ARGUMENTS) : standard_planner(PSEUDO_PLANNER_ARGUMENTS);
}

/* ---- Execution ---- */

/* The subplan of a plan that keeps its calls, or NULL. */
static Result *
find_keeper(const PlannedStmt *plan)
{
	Result	   *last = plan->subplans ? llast(plan->subplans) : NULL;

	return last && IsA(last, Result) && last->plan.plan_node_id == KEEPER ? last : NULL;
}

/* What it keeps. */
static List *
kept_list(const Result *keeper)
{
	return castNode(ArrayExpr, linitial_node(TargetEntry, keeper->plan.targetlist)->expr)->elements;
}

/* A number that it keeps. */
static int64
kept_number(const List *kept, int no)
{
	return DatumGetInt64(list_nth_node(Const, kept, no)->constvalue);
}

/* Read what it keeps; returns the serial number of the values. */
static int64
read_lookup(const Result *keeper, Lookup *lookup)
{
	const List *kept = kept_list(keeper);
	int64		serial = kept_number(kept, 1);
	int			no = 3 + (int) kept_number(kept, 2);

	memset(lookup, 0, sizeof(Lookup));
	lookup->base = (int) kept_number(kept, 0);
	for (int i = 3; i < no; i++)
		lookup->hidden = bms_add_member(lookup->hidden, (int) kept_number(kept, i));
	while (no < list_length(kept))
	{
		lookup->calls = lappend(lookup->calls, list_nth(kept, no++));
		if (serial != 0)
			lookup->values = lappend(lookup->values, list_nth(kept, no++));
	}
	return serial;
}

/* Were these values made just now?  Other statements may have run since, and another message have come. */
static bool
is_fresh(int64 serial)
{
	bool		result = serial == fresh.serial && fresh.userid == GetUserId() &&
		fresh.transaction == pseudo_local_transaction() &&
		fresh.statement == GetCurrentStatementStartTimestamp();

	/* Once: for what is executed again they are made again. */
	fresh.userid = InvalidOid;
	return result;
}

/*
 * Check that the values in a plan are those of now: an execution follows the planning, but by a message of the
 * protocol later it may be.
 */
static void
check_values(const Lookup *lookup, ParamListInfo params)
{
	if (!equal(lookup->values, evaluate_calls(lookup->calls, params)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not use a plan because its pseudonyms are other ones by now"),
				 errdetail("The keyring, or what a call is given, has changed since the statement was planned."),
				 errhint("Run the statement again.")));
}

/* Give an execution the values of its calls. */
static void
add_parameters(QueryDesc *query, const Result *keeper)
{
	Lookup		lookup;
	int64		serial = read_lookup(keeper, &lookup);

	/*
	 * PostgreSQL may keep a plan of a query without parameters: not beyond
	 * this.
	 */
	if (serial != 0 && lookup.base == 0)
		CallSyscacheCallbacks(PROCOID, KEPT_HASH);
	if (serial == 0)
		lookup.values = evaluate_calls(lookup.calls, query->params);
	else if (!is_fresh(serial))
		check_values(&lookup, query->params);
	query->params = extend_params(query->params, &lookup);
}

/* Returns true if a generic plan is only shown. */
static bool
only_shows(const QueryDesc *query, const Result *keeper, int eflags)
{
	return (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0 && query->params == NULL && kept_number(kept_list(keeper), 1) == 0;
}

/* Hook: a plan is about to be executed. */
static void
start_plan(QueryDesc *query, int eflags)
{
	Result	   *keeper = find_keeper(query->plannedstmt);
	MemoryContext values = NULL;

	if (keeper != NULL && !only_shows(query, keeper, eflags))
	{
		MemoryContext caller;

		values = AllocSetContextCreate(CurrentMemoryContext, "pseudo look-up", ALLOCSET_SMALL_SIZES);
		caller = MemoryContextSwitchTo(values);
		add_parameters(query, keeper);
		MemoryContextSwitchTo(caller);
	}
	else
		fresh.userid = InvalidOid;
	if (next_executor)
		next_executor(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	/* An SQL function starts many, in a context of all of them. */
	if (values != NULL)
		MemoryContextSetParent(values, query->estate->es_query_cxt);
}

/*
 * Refuse to be loaded in the middle of a statement where Citus is: that one has been planned without us, and its
 * values would be sent to other nodes.
 */
static void
check_time(void)
{
	if (process_shared_preload_libraries_in_progress || debug_query_string == NULL ||
		GetConfigOption("citus.shard_count", true, false) == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pseudo must be preloaded where Citus is"),
			 errhint("On each node, set shared_preload_libraries = 'citus, pseudo' and restart.")));
}

/* See lookup.h. */
void
pseudo_lookup_init(void)
{
	check_time();
	next_planner = planner_hook;
	planner_hook = plan_query;
	next_executor = ExecutorStart_hook;
	ExecutorStart_hook = start_plan;
}
