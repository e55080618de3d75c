/*
 * repseudonymize.c
 *		What a rotation of keys needs: repseudonymize() and pseudonyms_of().
 *
 * Both take the right to pseudonymize, and never show a value.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "reseal.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_repseudonymize);
PG_FUNCTION_INFO_V1(pseudo_repseudonymize_stable);
PG_FUNCTION_INFO_V1(pseudo_pseudonyms_of);

/* repseudonymize() of the first argument. */
static Datum
repseudonymize_one(FunctionCallInfo fcinfo, PseudoCall *call, bool deterministic)
{
	text	   *pseudonym;
	PseudoOpened opened;
	text	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pseudonym = PG_GETARG_TEXT_PP(0);
	pseudo_watch_use(call, 1);
	pseudo_open(call, pseudonym, false, &opened);
	result = pseudo_reseal(call, pseudonym, &opened, deterministic);
	pseudo_count(call->count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	PG_RETURN_TEXT_P(result);
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
	pseudo_watch_use(call, 1);
	value = pseudo_value_utf8(PG_GETARG_TEXT_PP(0), &len);
	elements = palloc(keyring->nkeys * sizeof(Datum));
	elements[n++] = PointerGetDatum(pseudo_seal_under(call, keyring->primary, value, len));
	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key != keyring->primary && key->status == PSEUDO_KEY_ENABLED)
			elements[n++] = PointerGetDatum(pseudo_seal_under(call, key, value, len));
	}
	pseudo_count(call->count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}
