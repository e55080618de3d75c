/*
 * call.c
 *		Rights, keyring and arguments of a call, once per plan node and user.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/primnodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "call.h"
#include "watch.h"

/* See call.h. */
void
pseudo_report_null(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}

/*
 * The function that stands for a right, in the schema of the function that
 * is called: never by search_path.
 */
static Oid
right_function(Oid called, PseudoRight right)
{
	static const Oid pseudonymize_args[] = {TEXTOID, BOOLOID, TEXTOID, TEXTOID};
	static const Oid reidentify_args[] = {TEXTOID, TEXTOID, TEXTOID};
	bool		writes = right == PSEUDO_RIGHT_PSEUDONYMIZE;
	oidvector  *args = buildoidvector(writes ? pseudonymize_args : reidentify_args,
									  writes ? 4 : 3);
	const char *name = writes ? "pseudonymize" : "reidentify";
	Oid			oid;

	oid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						  CStringGetDatum(name), PointerGetDatum(args),
						  ObjectIdGetDatum(get_func_namespace(called)));
	if (!OidIsValid(oid))
		elog(ERROR, "function %s of extension pseudo not found", name);
	return oid;
}

/* Check that a role has a right; named: because the call names it.  Errors: 42501. */
static void
check_right(Oid called, PseudoRight right, Oid roleid, bool named)
{
	Oid			oid = right_function(called, right);
	AclResult	result;

	result = pseudo_function_aclcheck(oid, roleid, ACL_EXECUTE);
	if (result == ACLCHECK_OK)
		return;
	if (!named)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(oid));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for function %s", get_func_name(oid)),
			 errdetail("This call works with the rights of role \"%s\".",
					   GetUserNameFromId(roleid, false)),
			 errhint("Grant it with GRANT EXECUTE ON FUNCTION %s TO %s.",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(oid)),
												get_func_name(oid)),
					 quote_identifier(GetUserNameFromId(roleid, false)))));
}

/* Returns true if argument number no is a constant of the plan. */
static bool
is_constant(FmgrInfo *flinfo, int no)
{
	FuncExpr   *expr = (FuncExpr *) flinfo->fn_expr;

	return expr != NULL && IsA(expr, FuncExpr) && no < list_length(expr->args) &&
		IsA(list_nth(expr->args, no), Const);
}

/* Returns true if an argument is the text that was kept. */
static bool
same_text(const text *kept, const text *arg)
{
	return kept != NULL &&
		VARSIZE_ANY_EXHDR(kept) == VARSIZE_ANY_EXHDR(arg) &&
		memcmp(VARDATA_ANY(kept), VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg)) == 0;
}

/* Keep a copy of an argument in place of the one before. */
static void
keep_text(text **kept, text *arg, MemoryContext context)
{
	Size		size = VARSIZE_ANY(arg);

	*kept = *kept ? repalloc(*kept, size) : MemoryContextAlloc(context, size);
	memcpy(*kept, arg, size);
}

/* Forget what followed from another context or keyring. */
static void
forget(PseudoCall *call)
{
	call->derived = NULL;
	if (call->last)
		call->last->in_len = SIZE_MAX;
}

/* Take a context argument: its bytes in UTF-8. */
static void
set_context(PseudoCall *call, text *arg, MemoryContext mcxt)
{
	char	   *utf8 = NULL;
	size_t		len = VARSIZE_ANY_EXHDR(arg);

	if (pseudo_encoding_converts() && len > 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(mcxt);

		utf8 = pseudo_to_utf8(VARDATA_ANY(arg), len, &len);
		MemoryContextSwitchTo(caller);
	}
	keep_text(&call->context_arg, arg, mcxt);
	if (call->context_utf8)
		pfree(call->context_utf8);
	call->context_utf8 = utf8;
	call->context = (uint8 *) (utf8 ? utf8 : VARDATA_ANY(call->context_arg));
	call->context_len = len;
	forget(call);
	if (call->watch)
		pseudo_watch_end(call->watch);
}

/* The state of a call site that has none yet. */
static PseudoCall *
create_call(FmgrInfo *flinfo)
{
	flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(PseudoCall));
	return flinfo->fn_extra;
}

/* See call.h. */
void
pseudo_call_begin_as(FmgrInfo *flinfo)
{
	PseudoRole	role = pseudo_role_of_call(flinfo->fn_expr);

	create_call(flinfo)->role = role;
}

/* See call.h. */
void
pseudo_call_renew(PseudoCall *call)
{
	call->generation = 0;
	forget(call);
	call->keyring = pseudo_cache_keyring(call->serverid, call->count);
	call->generation = pseudo_generation;
}

/* The last look-up with a right that found all as it should be; it holds while pseudo_generation stays. */
typedef struct LookUp
{
	uint64		generation;		/* 0: there was none */
	Oid			called;
	Oid			roleid;
	size_t		keyring_len;	/* bytes */
	char		keyring[NAMEDATALEN];
	Oid			serverid;
} LookUp;

/* The server of a keyring that a role may use with a right.  Errors: 42501, 42704. */
static Oid
find_server(Oid called, PseudoRight right, Oid roleid, bool named, text *keyring)
{
	static LookUp look_ups[PSEUDO_RIGHT_REIDENTIFY + 1];
	LookUp	   *last = &look_ups[right];
	uint64		generation = pseudo_generation;
	size_t		len = VARSIZE_ANY_EXHDR(keyring);
	ForeignServer *server;

	if (last->generation == generation && last->called == called && last->roleid == roleid &&
		last->keyring_len == len && memcmp(last->keyring, VARDATA_ANY(keyring), len) == 0)
		return last->serverid;

	check_right(called, right, roleid, named);
	server = pseudo_cache_server(text_to_cstring(keyring));
	pseudo_cache_check_usage(server, roleid);
	if (generation == pseudo_generation && len < NAMEDATALEN)
	{
		last->generation = generation;
		last->called = called;
		last->roleid = roleid;
		last->keyring_len = len;
		memcpy(last->keyring, VARDATA_ANY(keyring), len);
		last->serverid = server->serverid;
	}
	return server->serverid;
}

/* Look up what a call needs, with the rights of a role. */
static void
look_up(PseudoCall *call, Oid called, PseudoRight right, Oid roleid, bool named,
		text *keyring, MemoryContext mcxt)
{
	keep_text(&call->keyring_arg, keyring, mcxt);
	call->serverid = find_server(called, right, roleid, named, keyring);
	call->count = pseudo_count_of(call->serverid, roleid);
	call->userid = GetUserId();
	call->statement = GetCurrentStatementStartTimestamp();
	pseudo_watch_prepare(call, called, right, roleid, mcxt);
	pseudo_call_renew(call);
}

/* See call.h. */
void
pseudo_call_prepare_role(PseudoCall *call, Oid roleid, Oid called, PseudoRight right,
						 text *context, text *keyring, MemoryContext mcxt)
{
	AcceptInvalidationMessages();
	call->generation = 0;		/* until all is done */
	if (!same_text(call->context_arg, context))
		set_context(call, context, mcxt);
	look_up(call, called, right, roleid, roleid != GetUserId(), keyring, mcxt);
}

/* See call.h. */
PseudoCall *
pseudo_call_prepare(FunctionCallInfo fcinfo, PseudoRight right,
					int context_no, int keyring_no)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	PseudoCall *call = flinfo->fn_extra;
	text	   *context;
	text	   *keyring;
	Oid			roleid;

	if (PG_ARGISNULL(context_no))
		pseudo_report_null("context");
	if (PG_ARGISNULL(keyring_no))
		pseudo_report_null("keyring");
	context = PG_GETARG_TEXT_PP(context_no);
	keyring = PG_GETARG_TEXT_PP(keyring_no);

	if (call == NULL)
		call = create_call(flinfo);
	if (call->keyring_arg == NULL)
		call->constant = is_constant(flinfo, context_no) &&
			is_constant(flinfo, keyring_no);

	/*
	 * A new statement sees what others have committed, in an open transaction
	 * too.
	 */
	if (call->statement != GetCurrentStatementStartTimestamp() ||
		call->generation == 0)
		AcceptInvalidationMessages();

	if (!same_text(call->context_arg, context))
		set_context(call, context, flinfo->fn_mcxt);
	if (call->generation == pseudo_generation &&
		call->userid == GetUserId() &&
		call->statement == GetCurrentStatementStartTimestamp() &&
		same_text(call->keyring_arg, keyring))
		return call;

	call->generation = 0;		/* until all is done */
	roleid = pseudo_role_check(&call->role);
	look_up(call, flinfo->fn_oid, right, roleid, OidIsValid(call->role.oid), keyring,
			flinfo->fn_mcxt);
	return call;
}

/* See call.h. */
const pseudo_nonce_key *
pseudo_call_nonce_key(PseudoCall *call, const PseudoKey *key)
{
	if (call->context_len == 0)
		return &key->nonce;
	if (likely(call->derived != NULL && call->derived->serial == call->derived_serial &&
			   call->derived->key_id == key->id))
		return &call->derived->nonce;

	call->derived = pseudo_derived_key(call->keyring, key, call->context, call->context_len);
	call->derived_serial = call->derived->serial;
	return &call->derived->nonce;
}

/* See call.h. */
void
pseudo_call_keep_last(PseudoCall *call, const text *out, MemoryContext mcxt)
{
	PseudoLast *last = call->last;
	size_t		out_len = VARSIZE_ANY_EXHDR(out);

	if (last == NULL)
	{
		call->last = last = MemoryContextAlloc(mcxt, sizeof(PseudoLast));
		last->is_again = false;
		last->in_len = SIZE_MAX;
	}
	if (!last->is_again || out_len > PSEUDO_LAST_LEN)
		return;
	memmove(last->out, VARDATA_ANY(out), out_len);
	last->out_len = out_len;
}

/* See call.h. */
bool
pseudo_encoding_converts(void)
{
	return GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII;
}

/* Convert between two encodings by a function, palloc'ing; NULL where a character has no equivalent. */
static char *
convert_by(Oid proc, const char *s, size_t len, size_t *out_len, int from, int to)
{
	Size		room = len * MAX_CONVERSION_GROWTH + 1;
	char	   *out = palloc(room);

	if ((size_t) pg_do_encoding_conversion_buf(proc, from, to,
											   (unsigned char *) unconstify(char *, s), len,
											   (unsigned char *) out, room, true) != len)
	{
		pfree(out);
		return NULL;
	}
	*out_len = strlen(out);
	return out;
}

/*
 * Convert between two encodings.  PostgreSQL's own conversion shows the bytes
 * of a character without equivalent in its error; ours does not.
 */
static char *
convert_encoding(const char *s, size_t len, size_t *out_len, int from, int to)
{
	Oid			proc = FindDefaultConversionProc(from, to);
	char	   *out;

	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion function for encoding \"%s\" to \"%s\" does not exist",
						pg_encoding_to_char(from), pg_encoding_to_char(to))));
	if (len >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too long to be converted between encodings")));
	out = convert_by(proc, s, len, out_len, from, to);
	if (out == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("value has a character in encoding \"%s\" without an equivalent in encoding \"%s\"",
						pg_encoding_to_char(from), pg_encoding_to_char(to))));
	return out;
}

/*
 * Returns true if a value comes back as it is.  Some encodings (EUC_JP, EUC_JIS_2004) have characters, or pairs of them,
 * more than once: all are one in UTF-8, so that different values would have one pseudonym, and
 * come back as one of them.
 */
static bool
comes_back(const char *s, size_t len, const char *utf8, size_t utf8_len)
{
	size_t		back_len;
	char	   *back;
	bool		is_same;

	if (pg_database_encoding_max_length() == 1 ||
		(utf8_len == len && memcmp(utf8, s, len) == 0)) /* ASCII */
		return true;
	back = convert_encoding(utf8, utf8_len, &back_len, PG_UTF8, GetDatabaseEncoding());
	is_same = back_len == len && memcmp(back, s, len) == 0;
	pfree(back);
	return is_same;
}

/* See call.h. */
char *
pseudo_to_utf8(const char *s, size_t len, size_t *out_len)
{
	char	   *utf8 = convert_encoding(s, len, out_len, GetDatabaseEncoding(), PG_UTF8);

	if (!comes_back(s, len, utf8, *out_len))
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("value has a character in encoding \"%s\" that would come back from encoding \"%s\" as another one",
						pg_encoding_to_char(GetDatabaseEncoding()), pg_encoding_to_char(PG_UTF8)),
				 errhint("The encoding has the character more than once. Write the one that convert_from(convert_to(value, 'UTF8'), 'UTF8') gives.")));
	return utf8;
}

/* See call.h. */
const char *
pseudo_try_to_utf8(const char *s, size_t *len)
{
	int			encoding = GetDatabaseEncoding();
	Oid			proc;
	char	   *utf8;
	size_t		utf8_len;

	if (!pseudo_encoding_converts())
		return s;
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(proc) || *len >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		return NULL;
	utf8 = convert_by(proc, s, *len, &utf8_len, encoding, PG_UTF8);
	if (utf8 == NULL || !comes_back(s, *len, utf8, utf8_len))
		return NULL;
	*len = utf8_len;
	return utf8;
}

/* See call.h. */
char *
pseudo_from_utf8(const char *s, size_t len, size_t *out_len)
{
	return convert_encoding(s, len, out_len, PG_UTF8, GetDatabaseEncoding());
}
