/*
 * pseudonymize.c
 *		pseudonymize() and pseudonymize_as(), and pseudonymize() for an array.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/builtins.h"

#include "array.h"
#include "seal.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_pseudonymize);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_as);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_array);
PG_FUNCTION_INFO_V1(pseudo_pseudonymize_array_stable);

/* The deterministic pseudonym of argument no. */
static Datum
pseudonymize_one(FunctionCallInfo fcinfo, PseudoCall *call, int no)
{
	text	   *value;
	text	   *result;

	if (PG_ARGISNULL(no))
		PG_RETURN_NULL();
	pseudo_watch_use(call, 1);
	value = PG_GETARG_TEXT_PP(no);
	result = pseudo_call_last(call, value);
	if (result == NULL)
	{
		result = pseudo_seal_value(call, value, true);
		pseudo_call_keep_last(call, result, fcinfo->flinfo->fn_mcxt);
	}
	pseudo_count(call->count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	PG_RETURN_TEXT_P(result);
}

/*
 * pseudonymize(value text, deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);
	text	   *result;

	if (PG_ARGISNULL(1))
		pseudo_report_null("deterministic");
	if (PG_GETARG_BOOL(1))
		return pseudonymize_one(fcinfo, call, 0);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pseudo_watch_use(call, 1);
	result = pseudo_seal_value(call, PG_GETARG_TEXT_PP(0), false);
	pseudo_count(call->count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	PG_RETURN_TEXT_P(result);
}

/*
 * pseudonymize_as(as_role pseudo_role, value text, context text, keyring text)
 */
Datum
pseudo_pseudonymize_as(PG_FUNCTION_ARGS)
{
	return pseudonymize_one(fcinfo, pseudo_call_as(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3), 1);
}

/* An element of an array as it is encrypted; data is NULL for NULL. */
typedef struct Element
{
	const char *data;
	size_t		len;			/* bytes */
} Element;

/* The pseudonyms of an array's elements. */
static ArrayType *
seal_array(PseudoCall *call, ArrayType *array, bool is_deterministic)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Element    *elements = palloc_extended(n * sizeof(Element), MCXT_ALLOC_HUGE);
	PseudoKey  *key = call->keyring->primary;
	size_t		data_len = 0;
	int			nvalues = 0;
	PseudoSealBatch batch;
	PseudoArray new;
	array_iter	iterator;

	pseudo_texts_begin(&iterator, array);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		value = pseudo_texts_next(&iterator, &isnull, i);

		CHECK_FOR_INTERRUPTS();
		elements[i].data = NULL;
		if (isnull)
			continue;
		elements[i].data = pseudo_value_utf8(DatumGetTextPP(value), &elements[i].len);
		data_len += PSEUDO_ELEMENT_LEN(pseudo_sealed_len(key, elements[i].len));
		nvalues++;
	}

	pseudo_watch_use(call, nvalues);
	pseudo_array_begin(&new, array, data_len, false);
	pseudo_seal_begin(&batch, call, is_deterministic);
	for (int i = 0; i < n; i++)
	{
		if (elements[i].data == NULL)
			pseudo_array_add_null(&new);
		else
			pseudo_seal_add(&batch, pseudo_array_add(&new, pseudo_sealed_len(key, elements[i].len)),
							elements[i].data, elements[i].len);
	}
	pseudo_seal_flush(&batch);
	pseudo_count(call->count, PSEUDO_COUNT_PSEUDONYMIZED, nvalues);
	pfree(elements);
	return pseudo_array_end(&new);
}

/*
 * pseudonymize_array(elements text[], deterministic boolean, context text, keyring text)
 */
Datum
pseudo_pseudonymize_array(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 2, 3);

	if (PG_ARGISNULL(1))
		pseudo_report_null("deterministic");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(seal_array(call, PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_BOOL(1)));
}

/*
 * pseudo_pseudonymize_array_stable(elements text[], context text, keyring text)
 *
 * What the planner puts in the place of pseudonymize_array() where "deterministic" is a constant true.
 */
Datum
pseudo_pseudonymize_array_stable(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 1, 2);

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(seal_array(call, PG_GETARG_ARRAYTYPE_P(0), true));
}
