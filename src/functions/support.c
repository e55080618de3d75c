/*
 * support.c
 *		What the planner asks about calls of our functions.
 *
 * Roles.  Nodes that PostgreSQL reads from its catalogs have the parse location -1, those of a
 * statement (also of one prepared, in PL/pgSQL, or in a function's string body) have a location.
 * When the planner first simplifies a call, its role is marked accordingly, and only one that is
 * marked as stored has rights.  The mark is the type modifier of the constant, changed where it
 * stands, so that the call around it keeps its own location.  Four things would blur the
 * difference:
 *
 *	- Estimates and parallel workers show every call without a location.  The mark stays.
 *	- Constant folding makes constants without a location.  A call whose role is no constant, and a
 *	  statement's call with such a constant, is refused: where it stands in the query when the first
 *	  call is simplified, and where it comes from a function that is inlined, when its cost
 *	  is asked or it runs.
 *	- A view or a function that hands out a role would let others write calls around it,
 *	  in views of their own too, where it looks like a literal once the planner has pulled it
 *	  up.  As long as something in the database can hold or return a pseudo_role, no role is
 *	  marked as stored.
 *	- CHECK constraints, domains, triggers' WHEN, extended statistics and COPY's defaults
 *	  are stored as well, and LIKE copies them into anybody's table.  They are planned
 *	  without a query, and marked as if they were statements.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "role.h"

PG_FUNCTION_INFO_V1(pseudo_role_support);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_support);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_array_support);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_json_support);
PG_FUNCTION_INFO_V1(pseudo_repseudonymize_support);

/* ---- What hands out roles ---- */

/* The type for which nothing has been found that hands out its values; reset by whatever may change that. */
static Oid	sealed_type = InvalidOid;

/* Callbacks: a relation, a type or a function has changed. */
static void
relation_changed(Datum arg pg_attribute_unused(), Oid relid pg_attribute_unused())
{
	sealed_type = InvalidOid;
}

static void
object_changed(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
			   uint32 hashvalue pg_attribute_unused())
{
	sealed_type = InvalidOid;
}

/* Register the callbacks, once. */
static void
watch_catalog(void)
{
	static bool is_watching = false;

	if (is_watching)
		return;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, object_changed, (Datum) 0);
	is_watching = true;
}

/* Returns true if a function can return a value of a type, or of its array type. */
static bool
returns_type(Oid funcid, Oid type, Oid array_type)
{
	Oid			result = get_func_rettype(funcid);

	/*
	 * A record is whatever its function makes it, and a default may make a
	 * polymorphic result one.
	 */
	return result == type || result == array_type || result == RECORDOID || IsPolymorphicType(result);
}

/* Returns true if what depends on the type, or on its array type, can hold a value or hand one out. */
static bool
holds_type(Form_pg_depend depend, Oid extension, Oid type, Oid array_type)
{
	if (depend->classid == RelationRelationId)
		return depend->objsubid != 0;
	if (depend->classid == TypeRelationId)
		return depend->objid != array_type;
	/* Bodies and arguments make a function depend on a type, too. */
	return depend->classid == ProcedureRelationId &&
		returns_type(depend->objid, type, array_type) &&
		getExtensionOfObject(ProcedureRelationId, depend->objid) != extension;
}

/* Look for what can hold a value of a type among what depends on one of two types; false where there is nothing. */
static bool
find_holder(Oid referenced, Oid extension, Oid type, Oid array_type, ObjectAddress *holder)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(referenced));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, lengthof(key), key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		found = holds_type(depend, extension, type, array_type);
		ObjectAddressSubSet(*holder, depend->classid, depend->objid, depend->objsubid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* Check that nothing but literals of calls can give a role to a call.  Errors: 55000. */
static void
check_nothing_hands_out(Oid funcid, Oid type)
{
	Oid			extension;
	Oid			array_type;
	ObjectAddress holder;

	watch_catalog();
	if (sealed_type == type)
		return;
	extension = getExtensionOfObject(ProcedureRelationId, funcid);
	array_type = get_array_type(type);
	if (find_holder(type, extension, type, array_type, &holder) ||
		find_holder(array_type, extension, type, array_type, &holder))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s can hand out a value of type %s",
						getObjectDescription(&holder, false), format_type_be(type)),
				 errdetail("As long as it exists, others could use a role that they may not name, and no stored call has the rights of a role."),
				 errhint("Drop it. A %s is a literal in a call, and nothing else.", format_type_be(type))));
	sealed_type = type;
}

/* ---- Marks ---- */

/* What is looked for in a query. */
typedef struct CallSearch
{
	Oid			support;		/* of the functions that take a role */
	Oid			role_type;
} CallSearch;

/*
 * Returns true if a call passes on a role that is not a literal in a call of ours.  Other functions than ours
 * may take one in what an author has stored, but not in a statement.
 */
static bool
passes_role(const FuncExpr *call, const CallSearch *search)
{
	ListCell   *cell;
	bool		ours = get_func_support(call->funcid) == search->support;

	if (call->location < 0 && !ours)
		return false;
	foreach(cell, call->args)
	{
		Node	   *arg = lfirst(cell);

		if (exprType(arg) == search->role_type &&
			!(ours && IsA(arg, Const) && !pseudo_role_is_smuggled(call, (Const *) arg)))
			return true;
	}
	return false;
}

/* Walker: is there such a call? */
static bool
has_such_call(Node *node, CallSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_such_call, search, 0);
	if (IsA(node, FuncExpr) && passes_role((FuncExpr *) node, search))
		return true;
	return expression_tree_walker(node, has_such_call, search);
}

/* The mark of a role in a call that the planner simplifies. */
static int32
find_mark(const SupportRequestSimplify *request, const Const *role)
{
	CallSearch	search;

	if (request->root == NULL || role->location >= 0)
		return PSEUDO_ROLE_OF_STATEMENT;
	search.support = get_func_support(request->fcall->funcid);
	search.role_type = role->consttype;
	if (has_such_call((Node *) request->root->parse, &search))
		pseudo_role_report_not_literal();
	check_nothing_hands_out(request->fcall->funcid, role->consttype);
	return PSEUDO_ROLE_STORED;
}

/*
 * Mark the role of a call, once.  The list of arguments is the planner's own copy, which becomes that of the
 * simplified call.
 */
static void
mark_role(const SupportRequestSimplify *request)
{
	ListCell   *first = list_head(request->fcall->args);
	Const	   *role = lfirst(first);

	if (!IsA(role, Const) || role->consttypmod != -1 || role->constisnull ||
		!OidIsValid(DatumGetObjectId(role->constvalue)))
		return;
	lfirst(first) = copyObject(role);
	lfirst_node(Const, first)->consttypmod = find_mark(request, role);
}

/* Refuse a call whose role is no literal: only this request shows it with its location. */
static void
check_call(const FuncExpr *call)
{
	if (call && IsA(call, FuncExpr) && IsA(linitial(call->args), Const) &&
		pseudo_role_is_smuggled(call, linitial(call->args)))
		pseudo_role_report_not_literal();
}

/*
 * pseudo_role_support(internal)
 *
 * Marks the roles of calls.  Estimates no cost.
 */
Datum
pseudo_role_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		mark_role((SupportRequestSimplify *) request);
	else if (IsA(request, SupportRequestCost))
		check_call((FuncExpr *) ((SupportRequestCost *) request)->node);
	PG_RETURN_POINTER(NULL);
}

/* ---- Deterministic calls ---- */

/* A call as the planner would make it, of another function. */
static Node *
make_call(const FuncExpr *old, Oid funcid, List *args)
{
	return (Node *) makeFuncExpr(funcid, old->funcresulttype, args, old->funccollid,
								 old->inputcollid, COERCE_EXPLICIT_CALL);
}

/* A function in the schema of another one, or InvalidOid. */
static Oid
find_function(Oid neighbour, const char *name, const Oid *args, int nargs)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(args, nargs)),
						   ObjectIdGetDatum(get_func_namespace(neighbour)));
}

/* Returns true if a request simplifies a call whose argument no (from 0), "deterministic", is a constant true. */
static bool
is_deterministic(Node *request, int no)
{
	Const	   *deterministic;

	if (!IsA(request, SupportRequestSimplify))
		return false;
	deterministic = list_nth(((SupportRequestSimplify *) request)->fcall->args, no);
	return IsA(deterministic, Const) && !deterministic->constisnull &&
		DatumGetBool(deterministic->constvalue);
}

/*
 * pseudo_pseudonymize_support(internal)
 *
 * pseudonymize() is VOLATILE for its random mode.  Where "deterministic" is a constant true, it is
 * pseudonymize_as('current_user', ...), which is STABLE.
 */
Datum
pseudo_pseudonymize_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	Oid			types[] = {InvalidOid, TEXTOID, TEXTOID, TEXTOID};
	FuncExpr   *call;
	Const	   *role;
	Oid			funcid;

	if (!is_deterministic((Node *) request, 1))
		PG_RETURN_POINTER(NULL);
	call = request->fcall;
	types[0] = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("pseudo_role"),
							   ObjectIdGetDatum(get_func_namespace(call->funcid)));
	funcid = find_function(call->funcid, "pseudonymize_as", types, lengthof(types));
	if (!OidIsValid(funcid))
		PG_RETURN_POINTER(NULL);
	role = makeConst(types[0], -1, InvalidOid, sizeof(Oid),
					 ObjectIdGetDatum(InvalidOid), false, true);
	PG_RETURN_POINTER(make_call(call, funcid,
								list_make4(role, linitial(call->args),
										   lthird(call->args), lfourth(call->args))));
}

/*
 * A call where "deterministic", argument no (from 0), is a constant true, as one of the STABLE function of this
 * name, which takes all other arguments; else NULL.
 */
static Node *
make_stable(Node *node, int no, const char *name)
{
	FuncExpr   *call;
	Oid		   *types;
	int			nargs;
	Oid			funcid;

	if (!is_deterministic(node, no))
		return NULL;
	call = ((SupportRequestSimplify *) node)->fcall;
	(void) get_func_signature(call->funcid, &types, &nargs);
	memmove(types + no, types + no + 1, (nargs - no - 1) * sizeof(Oid));
	funcid = find_function(call->funcid, name, types, nargs - 1);
	if (!OidIsValid(funcid))
		return NULL;
	return make_call(call, funcid, list_delete_nth_cell(list_copy(call->args), no));
}

/*
 * pseudo_pseudonymize_array_support(internal)
 */
Datum
pseudo_pseudonymize_array_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(make_stable((Node *) PG_GETARG_POINTER(0), 1, "pseudo_pseudonymize_array_stable"));
}

/*
 * pseudo_pseudonymize_json_support(internal)
 */
Datum
pseudo_pseudonymize_json_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(make_stable((Node *) PG_GETARG_POINTER(0), 2, "pseudo_pseudonymize_json_stable"));
}

/*
 * pseudo_repseudonymize_support(internal)
 */
Datum
pseudo_repseudonymize_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(make_stable((Node *) PG_GETARG_POINTER(0), 1, "pseudo_repseudonymize_stable"));
}
