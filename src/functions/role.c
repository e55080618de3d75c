/*
 * role.c
 *		The type pseudo_role, and whose rights a call with one has.
 *
 * A call may work with the rights of a role that is not the current user only where the planner
 * has marked its role as read from a stored expression of a query: from a view, a rule, a policy,
 * a default or a BEGIN ATOMIC body (support.c).  Whoever stored it was that role, or a
 * superuser, when they wrote it.  Every other call is checked against the current user.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "role.h"

#define CURRENT_USER	"current_user"
#define WHITE_SPACE		" \t\n\r\f\v"

PG_FUNCTION_INFO_V1(pseudo_role_in);
PG_FUNCTION_INFO_V1(pseudo_role_out);

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
 * Refuse a number: pseudo_role_out() gives the OID of a role that is gone, and a role of that name may
 * have been created since.  Errors: ERRCODE_INVALID_NAME.
 */
static void
check_no_number(const char *in)
{
	const char *start = in + strspn(in, WHITE_SPACE);
	size_t		digits = strspn(start, "0123456789");

	if (digits == 0 || start[digits + strspn(start + digits, WHITE_SPACE)] != '\0')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("invalid name of a role: \"%s\"", in),
			 errdetail("In the definition of a view, a number stands for a role that has been dropped."),
			 errhint("Write the name of a role. One that is all digits takes double quotes inside of the literal.")));
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

	check_no_number(in);
	names = pseudo_qualified_name(in);
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

/* See role.h. */
char *
pseudo_role_literal(char *name)
{
	Datum		role = DirectFunctionCall1(pseudo_role_in, CStringGetDatum(name));

	return DatumGetCString(DirectFunctionCall1(pseudo_role_out, role));
}

/* See role.h. */
void
pseudo_role_report_not_literal(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("argument \"as_role\" must be a literal"),
			 errhint("Write the name of the role into the call, as in pseudonymize_as('officer', ...).")));
}

/* See role.h. */
bool
pseudo_role_is_smuggled(const FuncExpr *call, const Const *role)
{
	return call->location >= 0 && role->location < 0 && !role->constisnull &&
		OidIsValid(DatumGetObjectId(role->constvalue));
}

/* See role.h. */
PseudoRole
pseudo_role_of_call(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Const	   *arg;
	PseudoRole	role;

	if (call == NULL || !IsA(call, FuncExpr) || !IsA(linitial(call->args), Const))
		pseudo_role_report_not_literal();
	arg = linitial_node(Const, call->args);
	if (arg->constisnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "as_role")));
	if (pseudo_role_is_smuggled(call, arg))
		pseudo_role_report_not_literal();
	role.oid = DatumGetObjectId(arg->constvalue);
	role.is_stored = arg->consttypmod == PSEUDO_ROLE_STORED;
	return role;
}

/* See role.h. */
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
	if (!role->is_stored)
		check_may_name(role->oid);
	return role->oid;
}
