/*
 * dump_value.c
 *		What a value of a labelled column is in a dump.
 *
 * A value becomes a pseudonym, in the mode of the label, with the context and the keyring of the dump.  What authenticates
 * under the label's own is opened first; where these are the dump's, it stays as it is, or moves to the primary key.
 *
 * Rights: to pseudonymize with the keyring of the dump, always.  To open takes the right to reidentify on the label's
 * keyring, but for what repseudonymize() does: the same context, keyring and mode.  So nobody can do more with these
 * functions than with those that are the rights.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "call.h"
#include "dump_columns.h"
#include "open.h"
#include "reseal.h"
#include "seal.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_dump_value);
PG_FUNCTION_INFO_V1(pseudo_dump_length);

/* What a call site has learned of its column. */
typedef struct DumpSite
{
	Oid			relid;
	int			attno;
	PseudoDumpColumn column;
	text	   *context;		/* of the dump */
	text	   *keyring;
	text	   *label_context;
	text	   *label_keyring;
	PseudoCall	seal;			/* with these of the dump */
	PseudoCall	open;			/* with those of the label */
} DumpSite;

/* Report a column that gets no pseudonyms. */
static void
__attribute__((noreturn))
report_no_pseudonyms(Relation rel, int attno)
{
	char	   *name = attno > 0 ? get_attname(RelationGetRelid(rel), attno, true) : NULL;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("relation %s has no column number %d", pseudo_relation_name(RelationGetRelid(rel)), attno)));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of relation %s has no label that gives it pseudonyms",
					name, pseudo_relation_name(RelationGetRelid(rel))),
			 errhint("Label it \"deterministic\" or \"random\".")));
}

/* Learn what becomes of a column. */
static void
learn_column(DumpSite *site, Relation rel, int attno)
{
	PseudoDumpColumn *columns;
	List	   *faults = NIL;

	columns = pseudo_dump_columns(rel, &faults);
	if (attno < 1 || attno > RelationGetNumberOfAttributes(rel) || columns[attno - 1].as != PSEUDO_DUMP_PSEUDONYM)
		report_no_pseudonyms(rel, attno);
	site->column = columns[attno - 1];
}

/* Make the state of a call site for a column. */
static DumpSite *
create_site(FmgrInfo *flinfo, Oid relid, int attno)
{
	MemoryContext caller = MemoryContextSwitchTo(flinfo->fn_mcxt);
	DumpSite   *site = palloc0(sizeof(DumpSite));
	Relation	rel = relation_open(relid, AccessShareLock);

	learn_column(site, rel, attno);
	relation_close(rel, NoLock);
	site->relid = relid;
	site->attno = attno;
	site->context = cstring_to_text(site->column.context);
	site->keyring = cstring_to_text(site->column.keyring);
	site->label_context = cstring_to_text(site->column.label_context);
	site->label_keyring = cstring_to_text(site->column.label_keyring);
	MemoryContextSwitchTo(caller);
	flinfo->fn_extra = site;
	return site;
}

/* The state of a call site: the column is that of arguments 1 and 2, which are the same for all rows. */
static DumpSite *
get_site(FunctionCallInfo fcinfo)
{
	DumpSite   *site = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(1))
		pseudo_report_null("relation");
	if (PG_ARGISNULL(2))
		pseudo_report_null("column_number");
	if (likely(site != NULL && site->relid == PG_GETARG_OID(1) && site->attno == PG_GETARG_INT32(2)))
		return site;
	if (!get_fn_expr_arg_stable(fcinfo->flinfo, 1) || !get_fn_expr_arg_stable(fcinfo->flinfo, 2))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("arguments \"relation\" and \"column_number\" must be constants")));
	return create_site(fcinfo->flinfo, PG_GETARG_OID(1), PG_GETARG_INT32(2));
}

/* Make a call ready, unless it is: its rights and its keyring. */
static void
prepare(FunctionCallInfo fcinfo, PseudoCall *call, PseudoRight right, text *context, text *keyring)
{
	if (likely(call->generation == pseudo_generation && call->userid == GetUserId() &&
			   call->statement == GetCurrentStatementStartTimestamp()))
		return;
	pseudo_call_prepare_role(call, GetUserId(), fcinfo->flinfo->fn_oid, right, context, keyring,
							 fcinfo->flinfo->fn_mcxt);
}

static void
prepare_seal(FunctionCallInfo fcinfo, DumpSite *site)
{
	prepare(fcinfo, &site->seal, PSEUDO_RIGHT_PSEUDONYMIZE, site->context, site->keyring);
}

static void
prepare_open(FunctionCallInfo fcinfo, DumpSite *site)
{
	prepare(fcinfo, &site->open, PSEUDO_RIGHT_REIDENTIFY, site->label_context, site->label_keyring);
}

/* The pseudonym of len bytes of UTF-8 in the dump. */
static text *
seal_for_dump(FunctionCallInfo fcinfo, DumpSite *site, const char *value, size_t len)
{
	PseudoKey  *key;

	prepare_seal(fcinfo, site); /* to open may have loaded its keyring anew */
	key = site->seal.keyring->primary;
	return pseudo_seal(&site->seal, key,
					   site->column.is_deterministic ? pseudo_call_nonce_key(&site->seal, key) : NULL, value, len);
}

/*
 * What a text becomes that is a pseudonym with the context and the keyring of the dump already: itself, or that of the
 * same value under the primary key.  NULL where it is none.
 */
static text *
renew_pseudonym(FunctionCallInfo fcinfo, DumpSite *site, text *value)
{
	PseudoOpened opened;
	text	   *result = value;
	bool		is_deterministic;

	if (!pseudo_try_open(&site->seal, value, &opened))
		return NULL;
	is_deterministic = pseudo_nonce_mode(&site->seal, &opened) == PSEUDO_NONCE_IS_DETERMINISTIC;
	if (site->column.is_deterministic && !is_deterministic)
	{
		/* Who may not open it could find its value by guessing then. */
		pseudo_opened_wipe(&opened);
		prepare_open(fcinfo, site);
		if (!pseudo_try_open(&site->open, value, &opened))
			return NULL;
		pseudo_count(site->open.count, PSEUDO_COUNT_REIDENTIFIED, 1);
		result = NULL;
	}
	else if (site->column.is_deterministic != is_deterministic || opened.key != site->seal.keyring->primary)
		result = NULL;
	if (result == NULL)
		result = seal_for_dump(fcinfo, site, VARDATA(opened.value), opened.len);
	pseudo_opened_wipe(&opened);
	return result;
}

/* What a text becomes that is a pseudonym with the context and the keyring of the label.  NULL where it is none. */
static text *
move_pseudonym(FunctionCallInfo fcinfo, DumpSite *site, text *value)
{
	PseudoOpened opened;
	text	   *result;

	prepare_open(fcinfo, site);
	if (!pseudo_try_open(&site->open, value, &opened))
	{
		pseudo_count(site->open.count, PSEUDO_COUNT_NOT_OPENED, 1);
		return NULL;
	}
	pseudo_count(site->open.count, PSEUDO_COUNT_REIDENTIFIED, 1);
	result = seal_for_dump(fcinfo, site, VARDATA(opened.value), opened.len);
	pseudo_opened_wipe(&opened);
	return result;
}

/* Report a column that is too narrow for the pseudonym of one of its values. */
static void
__attribute__((noreturn))
report_too_narrow(const DumpSite *site, size_t len)
{
	Relation	rel = relation_open(site->relid, AccessShareLock);

	pseudo_column_report_narrow(&site->column.holder, rel, len);
}

/*
 * pseudo_dump_value(value text, relation regclass, column_number integer)
 *
 * Whatever is no pseudonym is a value: also one under a disabled key, which nobody can tell from what somebody has
 * made up.
 */
Datum
pseudo_dump_value(PG_FUNCTION_ARGS)
{
	DumpSite   *site = get_site(fcinfo);
	text	   *value;
	text	   *result = NULL;

	prepare_seal(fcinfo, site);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pseudo_watch_use(&site->seal, 1);
	value = PG_GETARG_TEXT_PP(0);
	if (pseudo_looks_like_pseudonym(value))
		result = site->column.is_same ? renew_pseudonym(fcinfo, site, value) : move_pseudonym(fcinfo, site, value);
	if (result == NULL)
	{
		size_t		len;
		const char *utf8 = pseudo_value_utf8(value, &len);

		result = seal_for_dump(fcinfo, site, utf8, len);
	}
	pseudo_count(site->seal.count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	if (site->column.holder.limit >= 0 && VARSIZE_ANY_EXHDR(result) > (size_t) site->column.holder.limit)
		report_too_narrow(site, VARSIZE_ANY_EXHDR(result));
	PG_RETURN_TEXT_P(result);
}

/* The bytes of the value that a text of the shape of a pseudonym would have. */
static size_t
inner_len(const text *pseudonym)
{
	size_t		in_len = VARSIZE_ANY_EXHDR(pseudonym);
	uint8	   *bytes = palloc(PSEUDO_BASE64_BYTES(in_len));
	size_t		len;
	uint32		id;

	if (pseudo_base64_decode(bytes, &len, VARDATA_ANY(pseudonym), in_len) != PSEUDO_OK)
		elog(ERROR, "a pseudonym has no shape of one");
	len -= PSEUDO_OVERHEAD + (pseudo_prefix_read(bytes, len, &id) && len >= PSEUDO_OVERHEAD + PSEUDO_PREFIX_LEN ?
							  PSEUDO_PREFIX_LEN : 0);
	pfree(bytes);
	return len;
}

/*
 * pseudo_dump_length(value text, relation regclass, column_number integer)
 *
 * What looks like a pseudonym is taken for one: nothing is opened.
 */
Datum
pseudo_dump_length(PG_FUNCTION_ARGS)
{
	DumpSite   *site = get_site(fcinfo);
	text	   *value;
	size_t		len;

	prepare_seal(fcinfo, site);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	if (pseudo_looks_like_pseudonym(value))
		len = inner_len(value);
	else
		(void) pseudo_value_utf8(value, &len);
	PG_RETURN_INT32((int32) pseudo_sealed_len(site->seal.keyring->primary, len));
}
