/*
 * pseudonymize.c
 *		pseudonymize() and pseudonymize_as(), and pseudonymize() for an array.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "array.h"
#include "values.h"

PG_FUNCTION_INFO_V1(pseudo_pseudonymize);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_as);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_array);

/* See values.h. */
const char *
pseudo_value_utf8(text *value, size_t *len)
{
	*len = VARSIZE_ANY_EXHDR(value);
	if (pseudo_encoding_converts())
		return pseudo_to_utf8(VARDATA_ANY(value), *len, len);
	return VARDATA_ANY(value);
}

/* See values.h. */
text *
pseudo_seal(PseudoCall *call, PseudoKey *key, const pseudo_nonce_key *nonce_key,
			const char *value, size_t len)
{
	bool		has_prefix = key->prefix == PSEUDO_PREFIX_TINK;
	size_t		text_len;
	text	   *result;
	pseudo_status status;

	text_len = PSEUDO_BASE64_LEN((has_prefix ? PSEUDO_PREFIX_LEN : 0) + PSEUDO_OVERHEAD + len);
	if (text_len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too long to be pseudonymized", len),
				 errdetail("A pseudonym is at most 1 GB of text.")));

	result = palloc(VARHDRSZ + text_len);
	SET_VARSIZE(result, VARHDRSZ + text_len);
	status = pseudo_pseudonym_seal(VARDATA(result), &key->siv, has_prefix, key->id, nonce_key,
								   call->context, call->context_len,
								   (const uint8 *) value, len);
	if (status != PSEUDO_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not pseudonymize a value: OpenSSL failed")));
	return result;
}

/* See values.h. */
text *
pseudo_seal_value(PseudoCall *call, text *value, bool is_deterministic)
{
	size_t		len;
	const char *utf8 = pseudo_value_utf8(value, &len);

	return pseudo_seal(call, call->keyring->primary,
					   is_deterministic ? pseudo_call_nonce_key(call) : NULL, utf8, len);
}

/*
 * pseudonymize(value text, deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);

	if (PG_ARGISNULL(1))
		pseudo_report_null("deterministic");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pseudo_seal_value(call, PG_GETARG_TEXT_PP(0), PG_GETARG_BOOL(1)));
}

/*
 * pseudonymize_as(as_role pseudo_role, value text, context text, keyring text)
 */
Datum
pseudo_pseudonymize_as(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call_as(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pseudo_seal_value(call, PG_GETARG_TEXT_PP(1), true));
}

/* pseudo_map_array's function: arg is the argument "deterministic". */
static text *
seal_element(PseudoCall *call, text *value, void *arg)
{
	return pseudo_seal_value(call, value, *(bool *) arg);
}

/*
 * pseudonymize_array(values text[], deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize_array(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);
	bool		is_deterministic;

	if (PG_ARGISNULL(1))
		pseudo_report_null("deterministic");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	is_deterministic = PG_GETARG_BOOL(1);
	PG_RETURN_ARRAYTYPE_P(pseudo_map_array(call, PG_GETARG_ARRAYTYPE_P(0),
										   seal_element, &is_deterministic));
}
