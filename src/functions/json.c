/*
 * json.c
 *		pseudonymize_json() and reidentify_json(), for jsonb and for json.
 *
 * A string gets the pseudonym that it has in a column.  A number or boolean gets one
 * in a context of its own, the caller's || 0x00 || 'json:number' or 'json:boolean'; since no
 * text has a zero byte, only these functions use such contexts, and the one that opens
 * a pseudonym tells the type of its value.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "json_walk.h"
#include "open.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_pseudonymize_jsonb);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_json);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_jsonb_stable);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_json_stable);
PG_FUNCTION_INFO_V1(pseudo_reidentify_jsonb);
PG_FUNCTION_INFO_V1(pseudo_reidentify_json);

/* What a call site has learned, in fn_extra. */
typedef struct JsonCall
{
	PseudoCall	call;			/* strings; first, for it is what call.c knows */
	PseudoCall	typed[PSEUDO_JSON_TYPES];	/* copies in the other types'
											 * contexts */
	PseudoJsonKeys keys;
	int			nopened;		/* scalars of this document */
} JsonCall;

/* The call in whose context scalars of a type are. */
static PseudoCall *
call_of(JsonCall *json, PseudoJsonType type)
{
	return type == PSEUDO_JSON_STRING ? &json->call : &json->typed[type];
}

/* Make the call of a type other than string. */
static void
set_typed_call(JsonCall *json, PseudoJsonType type, const char *suffix, MemoryContext mcxt)
{
	PseudoCall *typed = &json->typed[type];
	size_t		len = json->call.context_len + 1 + strlen(suffix);
	uint8	   *context = MemoryContextAlloc(mcxt, len);

	memcpy(context, json->call.context, json->call.context_len);
	context[json->call.context_len] = 0;
	memcpy(context + json->call.context_len + 1, suffix, strlen(suffix));
	if (typed->context)
		pfree(typed->context);
	*typed = json->call;
	typed->context = context;
	typed->context_len = len;
	typed->derived = NULL;
}

/*
 * The state of this call; context_no is the number of the argument "context", after which
 * "keyring" comes.  Errors: pseudo_call's, and 22004 for NULL keys.
 */
static JsonCall *
begin_call(FunctionCallInfo fcinfo, PseudoRight right, int context_no)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	JsonCall   *json;

	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(JsonCall));
	json = (JsonCall *) pseudo_call(fcinfo, right, context_no, context_no + 1);

	if (!json->call.constant ||
		json->typed[PSEUDO_JSON_BOOLEAN].generation != json->call.generation)
	{
		set_typed_call(json, PSEUDO_JSON_NUMBER, "json:number", flinfo->fn_mcxt);
		set_typed_call(json, PSEUDO_JSON_BOOLEAN, "json:boolean", flinfo->fn_mcxt);
	}

	if (PG_ARGISNULL(1))
		pseudo_report_null("keys");
	json->nopened = 0;
	pseudo_json_keys_set(&json->keys, PG_GETARG_ARRAYTYPE_P(1), flinfo->fn_mcxt);
	return json;
}

/* Put a text in the place of a scalar. */
static void
set_scalar(PseudoJsonScalar *scalar, PseudoJsonType type, text *value)
{
	scalar->type = type;
	scalar->data = VARDATA_ANY(value);
	scalar->len = VARSIZE_ANY_EXHDR(value);
}

/* A call of pseudonymize_json: the scalars of each type get their pseudonyms together. */
typedef struct JsonSeal
{
	bool		is_deterministic;
	int			nscalars;
	PseudoSealBatch batches[PSEUDO_JSON_TYPES];
} JsonSeal;

/* The walk's function: a pseudonym for a scalar, to be written by finish_seal.  Errors: 22023, 54000. */
static void
seal_scalar(PseudoJsonScalar *scalar, void *arg)
{
	JsonSeal   *seal = arg;

	if (scalar->type == PSEUDO_JSON_BOOLEAN && seal->is_deterministic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a boolean has no deterministic pseudonym"),
				 errdetail("With two values, equal pseudonyms would tell which is which."),
				 errhint("Pseudonymize the keys of booleans in a call of their own, without \"deterministic\".")));
	pseudo_watch_use(seal->batches[PSEUDO_JSON_STRING].call, 1);
	set_scalar(scalar, PSEUDO_JSON_STRING,
			   pseudo_seal_later(&seal->batches[scalar->type], scalar->data, scalar->len));
	seal->nscalars++;
}

/* The walk's end: write the pseudonyms. */
static void
finish_seal(void *arg)
{
	JsonSeal   *seal = arg;

	for (int type = 0; type < PSEUDO_JSON_TYPES; type++)
		pseudo_seal_flush(&seal->batches[type]);
	pseudo_count(seal->batches[0].call->count, PSEUDO_COUNT_PSEUDONYMIZED, seal->nscalars);
}

/* Report a scalar under a key that is not a pseudonym, without showing it. */
static void
__attribute__((noreturn))
report_no_string(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("malformed pseudonym"),
			 errdetail("A number or boolean is under one of the keys; pseudonyms are strings.")));
}

/* Returns true if the text is what a scalar of its type looks like.  Whoever has the keys can make others. */
static bool
is_plausible(const PseudoJsonScalar *scalar)
{
	switch (scalar->type)
	{
		case PSEUDO_JSON_NUMBER:
			return pseudo_json_is_number(scalar->data, scalar->len);
		case PSEUDO_JSON_BOOLEAN:
			return (scalar->len == 4 && memcmp(scalar->data, "true", 4) == 0) ||
				(scalar->len == 5 && memcmp(scalar->data, "false", 5) == 0);
		default:
			return true;
	}
}

/* The walk's function: the value of a pseudonym.  Errors: pseudo_open's, 22000. */
static void
open_scalar(PseudoJsonScalar *scalar, void *arg)
{
	JsonCall   *json = arg;
	PseudoCall *calls[PSEUDO_JSON_TYPES];
	PseudoOpened opened;
	int			type;

	if (scalar->type != PSEUDO_JSON_STRING)
		report_no_string();
	for (type = 0; type < PSEUDO_JSON_TYPES; type++)
		calls[type] = call_of(json, type);

	type = pseudo_open_first(calls, PSEUDO_JSON_TYPES,
							 cstring_to_text_with_len(scalar->data, scalar->len), false, &opened);
	set_scalar(scalar, type, pseudo_opened_text(&opened));
	if (!is_plausible(scalar))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("value of this pseudonym is not of the type it was made with")));
	json->nopened++;
}

/* The walk's end: all have been opened. */
static void
finish_open(void *arg)
{
	JsonCall   *json = arg;

	pseudo_count(json->call.count, PSEUDO_COUNT_REIDENTIFIED, json->nopened);
}

/* A jsonb or json document with scalars replaced. */
static Datum
replace(FunctionCallInfo fcinfo, JsonCall *json, const PseudoJsonReplacer *replacer, bool is_jsonb)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (is_jsonb)
		PG_RETURN_JSONB_P(pseudo_json_walk_jsonb(&json->keys, PG_GETARG_JSONB_P(0), replacer));
	PG_RETURN_TEXT_P(pseudo_json_walk_json(&json->keys, PG_GETARG_TEXT_PP(0), replacer));
}

/*
 * A document with pseudonyms; is_stable where there is no argument "deterministic", which counts as true.
 * Errors: begin_call's, 22004.
 */
static Datum
pseudonymize(FunctionCallInfo fcinfo, bool is_stable, bool is_jsonb)
{
	JsonCall   *json = begin_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, is_stable ? 2 : 3);
	JsonSeal	seal;
	PseudoJsonReplacer replacer = {seal_scalar, finish_seal, &seal};

	if (!is_stable && PG_ARGISNULL(2))
		pseudo_report_null("deterministic");
	seal.is_deterministic = is_stable || PG_GETARG_BOOL(2);
	seal.nscalars = 0;
	for (int type = 0; type < PSEUDO_JSON_TYPES; type++)
		pseudo_seal_begin(&seal.batches[type], call_of(json, type), seal.is_deterministic);
	return replace(fcinfo, json, &replacer, is_jsonb);
}

/* A document with the values again. */
static Datum
reidentify(FunctionCallInfo fcinfo, bool is_jsonb)
{
	JsonCall   *json = begin_call(fcinfo, PSEUDO_RIGHT_REIDENTIFY, 2);
	PseudoJsonReplacer replacer = {open_scalar, finish_open, json};

	return replace(fcinfo, json, &replacer, is_jsonb);
}

/*
 * pseudonymize_json(doc jsonb, keys text[], deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize_jsonb(PG_FUNCTION_ARGS)
{
	return pseudonymize(fcinfo, false, true);
}

/*
 * pseudonymize_json(doc json, keys text[], deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize_json(PG_FUNCTION_ARGS)
{
	return pseudonymize(fcinfo, false, false);
}

/*
 * pseudo_pseudonymize_json_stable(doc jsonb, keys text[], context text, keyring text)
 *
 * What the planner puts in the place of pseudonymize_json() where "deterministic" is a constant true.
 */
Datum
pseudo_pseudonymize_jsonb_stable(PG_FUNCTION_ARGS)
{
	return pseudonymize(fcinfo, true, true);
}

/*
 * pseudo_pseudonymize_json_stable(doc json, keys text[], context text, keyring text)
 */
Datum
pseudo_pseudonymize_json_stable(PG_FUNCTION_ARGS)
{
	return pseudonymize(fcinfo, true, false);
}

/*
 * reidentify_json(doc jsonb, keys text[], context text, keyring text)
 */
Datum
pseudo_reidentify_jsonb(PG_FUNCTION_ARGS)
{
	return reidentify(fcinfo, true);
}

/*
 * reidentify_json(doc json, keys text[], context text, keyring text)
 */
Datum
pseudo_reidentify_json(PG_FUNCTION_ARGS)
{
	return reidentify(fcinfo, false);
}
