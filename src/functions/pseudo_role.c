/*
 * pseudo_role.c
 *		The type pseudo_role, and the planner support of the functions that take it.
 *
 * A call may work with the rights of a role that is not the current user only if the call and
 * its role were both read from a stored expression of a query: from a view, a rule, a policy or a
 * BEGIN ATOMIC body.  Whoever stored it was that role, or a superuser, when
 * he wrote it.
 *
 * Nodes that PostgreSQL reads from its catalogs have the parse location -1,
 * those of a statement (also of one prepared, in PL/pgSQL, or in a function's string body)
 * have a location.  Three things would blur that:
 *
 *	- A parallel worker gets its plan as text, so there everything has -1.
 *	  Hence the planner marks the role of a statement, in a way that text keeps.
 *	- Constant folding makes constants without a location.  But the call
 *	  around them is never folded and keeps its own: such a call is refused,
 *	  by the planner already, for the sake of parallel workers.
 *	- CHECK constraints, domains, triggers' WHEN, extended statistics and COPY's defaults
 *	  are stored as well, and LIKE copies them into anybody's table.  They are planned
 *	  without a query, and marked as if they were statements.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "pseudo_role.h"

/* The role as a type modifier says that it is of a statement; the parser makes -1 only. */
#define OF_STATEMENT	(-2)

#define CURRENT_USER	"current_user"

PG_FUNCTION_INFO_V1(pseudo_role_in);
PG_FUNCTION_INFO_V1(pseudo_role_out);
PG_FUNCTION_INFO_V1(pseudo_role_support);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_support);

/* Check that the current user may write a role into a call.  Errors: 42501. */
static void
check_may_name(Oid roleid)
{
	char	   *name;

	if (roleid == GetUserId() || superuser())
		return;
	name = GetUserNameFromId(roleid, false);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to name role \"%s\"", name),
			 errdetail("Only the role itself and superusers can write it into a call."),
			 errhint("A member of the role says SET ROLE %s first. In a view, the role that was checked when the view was created stays.",
					 quote_identifier(name))));
}

/*
 * pseudo_role_in(cstring)
 *
 * Takes the name of a role as regrole does, or current_user; no numbers.
 */
Datum
pseudo_role_in(PG_FUNCTION_ARGS)
{
	char	   *in = PG_GETARG_CSTRING(0);
	List	   *names;
	Oid			roleid;

#if PG_VERSION_NUM >= 160000	/* an ErrorSaveContext was added */
	names = stringToQualifiedNameList(in, NULL);
#else
	names = stringToQualifiedNameList(in);
#endif
	if (list_length(names) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid name syntax")));
	if (strcmp(strVal(linitial(names)), CURRENT_USER) == 0 && strchr(in, '"') == NULL)
		PG_RETURN_OID(InvalidOid);
	roleid = get_role_oid(strVal(linitial(names)), false);
	check_may_name(roleid);
	PG_RETURN_OID(roleid);
}

/*
 * pseudo_role_out(pseudo_role)
 *
 * Of a role that is gone its number is left, which pseudo_role_in refuses.
 */
Datum
pseudo_role_out(PG_FUNCTION_ARGS)
{
	Oid			roleid = PG_GETARG_OID(0);
	char	   *name;

	if (!OidIsValid(roleid))
		PG_RETURN_CSTRING(pstrdup(CURRENT_USER));
	name = GetUserNameFromId(roleid, true);
	PG_RETURN_CSTRING(name ? pstrdup(quote_identifier(name)) : psprintf("%u", roleid));
}

/* Report a first argument that does not stand in the call itself as a literal. */
static void __attribute__((noreturn))
report_not_literal(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("argument \"as_role\" must be a literal"),
			 errhint("Write the name of the role into the call, as in pseudonymize_as('officer', ...).")));
}

/* Was a role made by constant folding, or taken out of a view, within a statement's call? */
static bool
is_smuggled(const FuncExpr *call, const Const *role)
{
	return call->location >= 0 && role->location < 0 && !role->constisnull &&
		OidIsValid(DatumGetObjectId(role->constvalue));
}

/* See pseudo_role.h. */
PseudoRole
pseudo_role_of_call(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Const	   *arg;
	PseudoRole	role;

	if (call == NULL || !IsA(call, FuncExpr) || !IsA(linitial(call->args), Const))
		report_not_literal();
	arg = linitial_node(Const, call->args);
	if (arg->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be NULL", "as_role")));
	if (is_smuggled(call, arg))
		report_not_literal();
	role.oid = DatumGetObjectId(arg->constvalue);
	role.of_statement = arg->consttypmod == OF_STATEMENT ||
		arg->location >= 0 || call->location >= 0;
	return role;
}

/* See pseudo_role.h. */
Oid
pseudo_role_check(const PseudoRole *role)
{
	if (!OidIsValid(role->oid))
		return GetUserId();
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role->oid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role->oid),
				 errdetail("This call works with the rights of a role that has been dropped."),
				 errhint("Create the view again with the name of another role.")));
	if (role->of_statement)
		check_may_name(role->oid);
	return role->oid;
}

/* A call as the planner would make it, of another function or other arguments. */
static Node *
make_call(const FuncExpr *old, Oid funcid, List *args)
{
	return (Node *) makeFuncExpr(funcid, old->funcresulttype, args, old->funccollid,
								 old->inputcollid, COERCE_EXPLICIT_CALL);
}

/* Mark the role of a call that is not of a stored query; NULL where there is nothing to do. */
static Node *
mark_role(const SupportRequestSimplify *request)
{
	FuncExpr   *call = request->fcall;
	Const	   *role = linitial(call->args);

	if (!IsA(role, Const) || role->consttypmod == OF_STATEMENT ||
		(role->location < 0 && request->root != NULL))
		return NULL;
	role = copyObject(role);
	role->consttypmod = OF_STATEMENT;
	return make_call(call, call->funcid, lcons(role, list_copy_tail(call->args, 1)));
}

/*
 * pseudo_role_support(internal)
 *
 * Marks the role of a statement's call.  Estimates no cost, but that request shows the call with its
 * location.
 */
Datum
pseudo_role_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(mark_role((SupportRequestSimplify *) request));
	if (IsA(request, SupportRequestCost))
	{
		FuncExpr   *call = (FuncExpr *) ((SupportRequestCost *) request)->node;

		if (call && IsA(call, FuncExpr) && IsA(linitial(call->args), Const) &&
			is_smuggled(call, linitial(call->args)))
			report_not_literal();
	}
	PG_RETURN_POINTER(NULL);
}

/* The function pseudonymize_as and its first argument's type, in a schema; false where it has none. */
static bool
find_pseudonymize_as(Oid schema, Oid *funcid, Oid *role_type)
{
	Oid			args[] = {InvalidOid, TEXTOID, TEXTOID, TEXTOID};

	*role_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								 CStringGetDatum("pseudo_role"), ObjectIdGetDatum(schema));
	args[0] = *role_type;
	*funcid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							  CStringGetDatum("pseudonymize_as"),
							  PointerGetDatum(buildoidvector(args, lengthof(args))),
							  ObjectIdGetDatum(schema));
	return OidIsValid(*funcid);
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
	FuncExpr   *call;
	Const	   *is_deterministic;
	Const	   *role;
	Oid			funcid;
	Oid			role_type;

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	call = request->fcall;
	is_deterministic = lsecond(call->args);
	if (!IsA(is_deterministic, Const) || is_deterministic->constisnull ||
		!DatumGetBool(is_deterministic->constvalue) ||
		!find_pseudonymize_as(get_func_namespace(call->funcid), &funcid, &role_type))
		PG_RETURN_POINTER(NULL);
	role = makeConst(role_type, -1, InvalidOid, sizeof(Oid),
					 ObjectIdGetDatum(InvalidOid), false, true);
	PG_RETURN_POINTER(make_call(call, funcid,
								list_make4(role, linitial(call->args),
										   lthird(call->args), lfourth(call->args))));
}
