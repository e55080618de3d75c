/*
 * repseudonymize.c
 *		What a rotation of keys needs: repseudonymize() and pseudonyms_of().
 *
 * Both take the right to pseudonymize, and never show a value.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "values.h"

PG_FUNCTION_INFO_V1(pseudo_repseudonymize);
PG_FUNCTION_INFO_V1(pseudo_repseudonymize_stable);
PG_FUNCTION_INFO_V1(pseudo_pseudonyms_of);

/* How a pseudonym was made, as far as its nonce tells. */
typedef enum NonceMode
{
	DETERMINISTIC,				/* the nonce is the value's */
	RANDOM,
	UNCLEAR						/* looks deterministic, but is not the value's */
} NonceMode;

/* Tell the mode of an opened pseudonym: compute its nonce again, under the key that opened it. */
static NonceMode
mode_of(PseudoCall *call, const PseudoOpened *opened)
{
	pseudo_nonce_key nonce_key;
	uint8		nonce[PSEUDO_NONCE_LEN];

	for (int i = 0; i < PSEUDO_NONCE_LEN; i++)
	{
		uint8		c = opened->nonce[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return RANDOM;
	}
	pseudo_call_nonce_key_of(call, opened->key, &nonce_key);
	pseudo_nonce_deterministic(nonce, &nonce_key, (uint8 *) VARDATA(opened->value), opened->len);
	OPENSSL_cleanse(&nonce_key, sizeof(nonce_key));
	return memcmp(nonce, opened->nonce, PSEUDO_NONCE_LEN) == 0 ? DETERMINISTIC : UNCLEAR;
}

/* The pseudonym of the same value under the primary key; the same one where it has it already. */
static text *
seal_again(PseudoCall *call, text *pseudonym, const PseudoOpened *opened, NonceMode mode)
{
	if (mode == UNCLEAR || opened->key == call->keyring->primary)
		return pseudonym;
	return pseudo_seal(call, call->keyring->primary,
					   mode == DETERMINISTIC ? pseudo_call_nonce_key(call) : NULL,
					   VARDATA(opened->value), opened->len);
}

/*
 * pseudo_reseal() where the mode does not matter.  Where it has to be deterministic, the result is the same for
 * each call with the same arguments.
 */
static text *
reseal(PseudoCall *call, text *pseudonym, PseudoOpened *opened, bool deterministic)
{
	NonceMode	mode = mode_of(call, opened);
	text	   *result = seal_again(call, pseudonym, opened, mode);

	OPENSSL_cleanse(VARDATA(opened->value), opened->len);
	pfree(opened->value);
	if (mode == UNCLEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("cannot tell whether a pseudonym is deterministic or random"),
				 errdetail("Its nonce looks like a deterministic one, but is not the one of its value under key %u.",
						   opened->key->id),
				 errhint("It may have been made with another nonce key. Whoever may reidentify can pseudonymize its value again.")));
	if (mode == RANDOM && deterministic)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("pseudonym is random, and argument \"deterministic\" is true"),
				 errdetail("Under another key it would be another one each time."),
				 errhint("Leave \"deterministic\" out; a random pseudonym cannot be looked for.")));
	return result;
}

/* See values.h. */
text *
pseudo_reseal(PseudoCall *call, text *pseudonym, PseudoOpened *opened)
{
	return reseal(call, pseudonym, opened, false);
}

/* repseudonymize() of the first argument. */
static Datum
repseudonymize_one(FunctionCallInfo fcinfo, PseudoCall *call, bool deterministic)
{
	text	   *pseudonym;
	PseudoOpened opened;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pseudonym = PG_GETARG_TEXT_PP(0);
	pseudo_open(call, pseudonym, false, &opened);
	PG_RETURN_TEXT_P(reseal(call, pseudonym, &opened, deterministic));
}

/*
 * repseudonymize(pseudonym text, deterministic boolean, context text, keyring text)
 */
Datum
pseudo_repseudonymize(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);

	if (PG_ARGISNULL(1))
		pseudo_report_null("deterministic");
	return repseudonymize_one(fcinfo, call, PG_GETARG_BOOL(1));
}

/*
 * pseudo_repseudonymize_stable(pseudonym text, context text, keyring text)
 *
 * What the planner puts in the place of repseudonymize() where "deterministic" is a constant true.
 */
Datum
pseudo_repseudonymize_stable(PG_FUNCTION_ARGS)
{
	return repseudonymize_one(fcinfo, pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 1, 2), true);
}

/* The deterministic pseudonym of a value under any key. */
static Datum
seal_under(PseudoCall *call, PseudoKey *key, const char *value, size_t len)
{
	pseudo_nonce_key nonce_key;
	text	   *result;

	pseudo_call_nonce_key_of(call, key, &nonce_key);
	result = pseudo_seal(call, key, &nonce_key, value, len);
	OPENSSL_cleanse(&nonce_key, sizeof(nonce_key));
	return PointerGetDatum(result);
}

/*
 * pseudonyms_of(value text, context text, keyring text)
 */
Datum
pseudo_pseudonyms_of(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 1, 2);
	PseudoKeyring *keyring = call->keyring;
	const char *value;
	size_t		len;
	Datum	   *elements;
	int			n = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = pseudo_value_utf8(PG_GETARG_TEXT_PP(0), &len);
	elements = palloc(keyring->nkeys * sizeof(Datum));
	elements[n++] = seal_under(call, keyring->primary, value, len);
	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key != keyring->primary && key->status == PSEUDO_KEY_ENABLED)
			elements[n++] = seal_under(call, key, value, len);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}
