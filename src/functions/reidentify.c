/*
 * reidentify.c
 *		reidentify() and try_reidentify(), for one pseudonym and for an array of
 *		them, reidentify_as(), and pseudonym_key_id().
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/builtins.h"

#include "array.h"
#include "open.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_reidentify);
PG_FUNCTION_INFO_V1(pseudo_try_reidentify);
PG_FUNCTION_INFO_V1(pseudo_reidentify_as);
PG_FUNCTION_INFO_V1(pseudo_reidentify_array);
PG_FUNCTION_INFO_V1(pseudo_try_reidentify_array);
PG_FUNCTION_INFO_V1(pseudo_pseudonym_key_id);

/* What the scalar functions share: the pseudonym is argument no. */
static Datum
reidentify_one(FunctionCallInfo fcinfo, PseudoCall *call, int no, bool or_null)
{
	text	   *pseudonym;
	text	   *result;

	if (PG_ARGISNULL(no))
		PG_RETURN_NULL();
	pseudonym = PG_GETARG_TEXT_PP(no);
	result = pseudo_call_last(call, pseudonym);
	if (result != NULL)
		pseudo_watch_open(call, 1, &pseudonym);
	else
	{
		result = pseudo_open_value(call, pseudonym, or_null);
		if (result == NULL)
		{
			pseudo_count(call->count, PSEUDO_COUNT_NOT_OPENED, 1);
			PG_RETURN_NULL();
		}
		pseudo_call_keep_last(call, result, fcinfo->flinfo->fn_mcxt);
	}
	pseudo_count(call->count, PSEUDO_COUNT_REIDENTIFIED, 1);
	PG_RETURN_TEXT_P(result);
}

/*
 * reidentify(pseudonym text, context text, keyring text)
 */
Datum
pseudo_reidentify(PG_FUNCTION_ARGS)
{
	return reidentify_one(fcinfo, pseudo_call(fcinfo, PSEUDO_RIGHT_REIDENTIFY, 1, 2), 0, false);
}

/*
 * try_reidentify(pseudonym text, context text, keyring text)
 */
Datum
pseudo_try_reidentify(PG_FUNCTION_ARGS)
{
	return reidentify_one(fcinfo, pseudo_call(fcinfo, PSEUDO_RIGHT_REIDENTIFY, 1, 2), 0, true);
}

/*
 * reidentify_as(as_role pseudo_role, pseudonym text, context text, keyring text)
 */
Datum
pseudo_reidentify_as(PG_FUNCTION_ARGS)
{
	return reidentify_one(fcinfo, pseudo_call_as(fcinfo, PSEUDO_RIGHT_REIDENTIFY, 2, 3), 1, false);
}

/* Open a batch, and add its values to an array; *nopened is how many these are, *nmissed how many did not open. */
static void
add_values(PseudoCall *call, PseudoOpenBatch *batch, bool or_null, PseudoArray *new,
		   int *nopened, int *nmissed)
{
	pseudo_open_flush(call, batch, or_null);
	for (int i = 0; i < batch->n; i++)
	{
		if (batch->values[i])
		{
			memcpy(pseudo_array_add(new, batch->lens[i]), batch->values[i], batch->lens[i]);
			(*nopened)++;
		}
		else
		{
			pseudo_array_add_null(new);
			*nmissed += batch->pseudonyms[i] != NULL;
		}
	}
	batch->n = 0;
}

/* The values of an array of pseudonyms. */
static ArrayType *
open_array(PseudoCall *call, ArrayType *array, bool or_null)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	PseudoOpenBatch batch;
	PseudoArray new;
	array_iter	iterator;
	int			nopened = 0;
	int			nmissed = 0;

	/*
	 * Values have less than three quarters of the length of their pseudonyms,
	 * but for what a conversion adds.
	 */
	pseudo_array_begin(&new, array, VARSIZE(array) / 4 * 3, or_null);
	pseudo_texts_begin(&iterator, array);
	batch.n = 0;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		pseudonym = pseudo_texts_next(&iterator, &isnull, i);

		if (batch.n == PSEUDO_BATCH)
			add_values(call, &batch, or_null, &new, &nopened, &nmissed);
		pseudo_open_add(call, &batch, isnull ? NULL : DatumGetTextPP(pseudonym));
	}
	add_values(call, &batch, or_null, &new, &nopened, &nmissed);
	pseudo_count(call->count, PSEUDO_COUNT_REIDENTIFIED, nopened);
	pseudo_count(call->count, PSEUDO_COUNT_NOT_OPENED, nmissed);
	return pseudo_array_end(&new);
}

/* What the two array functions share. */
static Datum
reidentify_many(FunctionCallInfo fcinfo, bool or_null)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_REIDENTIFY, 1, 2);

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(open_array(call, PG_GETARG_ARRAYTYPE_P(0), or_null));
}

/*
 * reidentify_array(pseudonyms text[], context text, keyring text)
 */
Datum
pseudo_reidentify_array(PG_FUNCTION_ARGS)
{
	return reidentify_many(fcinfo, false);
}

/*
 * try_reidentify_array(pseudonyms text[], context text, keyring text)
 */
Datum
pseudo_try_reidentify_array(PG_FUNCTION_ARGS)
{
	return reidentify_many(fcinfo, true);
}

/*
 * pseudonym_key_id(pseudonym text)
 */
Datum
pseudo_pseudonym_key_id(PG_FUNCTION_ARGS)
{
	text	   *pseudonym = PG_GETARG_TEXT_PP(0);
	size_t		in_len = VARSIZE_ANY_EXHDR(pseudonym);
	uint8	   *bytes = palloc(PSEUDO_BASE64_BYTES(in_len) + 1);
	size_t		len;
	uint32		id;

	if (pseudo_base64_decode(bytes, &len, VARDATA_ANY(pseudonym), in_len) != PSEUDO_OK ||
		len < PSEUDO_OVERHEAD)
		pseudo_report_malformed();
	if (!pseudo_prefix_read(bytes, len, &id))
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) id);
}
