/*
 * reidentify.c
 *		reidentify() and try_reidentify(), for one pseudonym and for an array of
 *		them, reidentify_as(), and pseudonym_key_id().
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/builtins.h"

#include "array.h"
#include "values.h"

/* Texts of up to this many characters are decoded on the stack. */
#define SHORT_PSEUDONYM	1024

/* Texts of up to this many characters are opened together. */
#define BATCH_PSEUDONYM	256

/* Elements of an array that are opened together. */
typedef struct OpenBatch
{
	int			n;
	text	   *pseudonyms[PSEUDO_BATCH];	/* or NULL */
	PseudoKey  *keys[PSEUDO_BATCH]; /* to open each with; NULL where that is done, or of no use */
	char	   *values[PSEUDO_BATCH];	/* what came out, or NULL */
	size_t		lens[PSEUDO_BATCH]; /* bytes: decoded, then of the value */
	uint8		bytes[PSEUDO_BATCH][PSEUDO_BASE64_BYTES(BATCH_PSEUDONYM)];
} OpenBatch;

PG_FUNCTION_INFO_V1(pseudo_reidentify);
PG_FUNCTION_INFO_V1(pseudo_try_reidentify);
PG_FUNCTION_INFO_V1(pseudo_reidentify_as);
PG_FUNCTION_INFO_V1(pseudo_reidentify_array);
PG_FUNCTION_INFO_V1(pseudo_try_reidentify_array);
PG_FUNCTION_INFO_V1(pseudo_pseudonym_key_id);

/* Report a text that is no pseudonym; it is not shown. */
static void __attribute__((noreturn))
report_malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("malformed pseudonym"),
			 errdetail("A pseudonym is canonical base64 text of at least %d bytes.",
					   PSEUDO_OVERHEAD)));
}

/* Report that OpenSSL failed. */
static void __attribute__((noreturn))
report_crypto_failure(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not reidentify a pseudonym: OpenSSL failed")));
}

/* Try one key on nonce || ciphertext || tag; where it fits, *opened says so. */
static pseudo_status
open_with(PseudoCall *call, PseudoKey *key, const uint8 *bytes, size_t len, PseudoOpened *opened)
{
	pseudo_status status;

	status = pseudo_pseudonym_open((uint8 *) VARDATA(opened->value), &key->siv,
								   call->context, call->context_len, bytes, len);
	if (status == PSEUDO_OK)
	{
		opened->key = key;
		opened->len = len - PSEUDO_OVERHEAD;
		memcpy(opened->nonce, bytes, PSEUDO_NONCE_LEN);
	}
	return status;
}

/* The tink key that the prefix of decoded bytes names, or NULL. */
static PseudoKey *
named_key(PseudoKeyring *keyring, const uint8 *bytes, size_t len)
{
	PseudoKey  *key = NULL;
	uint32		id;

	if (pseudo_prefix_read(bytes, len, &id))
		key = pseudo_keyring_find(keyring, id);
	return key && key->prefix == PSEUDO_PREFIX_TINK ? key : NULL;
}

/*
 * Open decoded bytes: with the tink key that the prefix names, else with every
 * enabled raw key, highest key id first.  Writes the value to the room in opened->value.
 * *named is the tink key that the prefix names, or NULL.
 */
static pseudo_status
open_bytes(PseudoCall *call, const uint8 *bytes, size_t len,
		   PseudoOpened *opened, PseudoKey **named)
{
	PseudoKeyring *keyring = call->keyring;
	pseudo_status status;

	*named = named_key(keyring, bytes, len);
	if (*named && (*named)->status == PSEUDO_KEY_ENABLED)
	{
		status = open_with(call, *named, bytes + PSEUDO_PREFIX_LEN, len - PSEUDO_PREFIX_LEN,
						   opened);
		if (status != PSEUDO_NOT_AUTHENTIC)
			return status;
	}

	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key->prefix != PSEUDO_PREFIX_RAW || key->status != PSEUDO_KEY_ENABLED)
			continue;
		status = open_with(call, key, bytes, len, opened);
		if (status != PSEUDO_NOT_AUTHENTIC)
			return status;
	}
	return PSEUDO_NOT_AUTHENTIC;
}

/* Report why no key opened a pseudonym; returns where the caller takes NULL for it. */
static void
report_not_opened(const PseudoKey *named, bool or_null)
{
	if (named && named->status != PSEUDO_KEY_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("key %u of this pseudonym is %s", named->id,
						pseudo_key_status_name(named->status)),
				 named->status == PSEUDO_KEY_DISABLED ?
				 errhint("The owner of the keyring can enable it with pseudo_set_key_status().") : 0));
	if (!or_null)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("pseudonym does not authenticate"),
				 errdetail("It was made with another key or context, or it has been changed."),
				 errhint("Check the arguments \"context\" and \"keyring\".")));
}

/* Check that a value is text.  Errors: 22021; it is not shown. */
static inline void
check_encoding(const char *value, size_t len)
{
	int			encoding = pseudo_encoding_converts() ? PG_UTF8 : GetDatabaseEncoding();

	if (!pg_verify_mbstr(encoding, value, len, true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("value of this pseudonym is not valid text in encoding \"%s\"",
						pg_encoding_to_char(encoding))));
}

/* See values.h. */
text *
pseudo_opened_text(PseudoOpened *opened)
{
	text	   *result = opened->value;
	char	   *value = VARDATA(result);
	size_t		len = opened->len;

	check_encoding(value, len);
	if (pseudo_encoding_converts())
	{
		value = pseudo_from_utf8(value, len, &len);
		return cstring_to_text_with_len(value, len);
	}
	SET_VARSIZE(result, VARHDRSZ + len);
	return result;
}

/*
 * Open decoded bytes with the first of n calls that can; *opener says which.
 */
static pseudo_status
open_first(PseudoCall *const *calls, int n, const uint8 *bytes, size_t len,
		   PseudoOpened *opened, PseudoKey **named, int *opener)
{
	pseudo_status status = PSEUDO_NOT_AUTHENTIC;

	for (*opener = 0; *opener < n; (*opener)++)
	{
		status = open_bytes(calls[*opener], bytes, len, opened, named);
		if (status != PSEUDO_NOT_AUTHENTIC)
			break;
	}
	return status;
}

/*
 * Load the keyring of n calls early, which may have a key by now that this backend has not.
 * Returns false where there is no other one.
 */
static bool
renew_early(PseudoCall *const *calls, int n)
{
	uint64		before = pseudo_generation;

	pseudo_cache_refresh_early(calls[0]->serverid);
	if (before == pseudo_generation)
		return false;
	pseudo_call_renew(calls[0]);
	for (int i = 0; i < n; i++)
	{
		calls[i]->keyring = calls[0]->keyring;	/* the same one: to ask again could free it */
		calls[i]->derived = NULL;
		calls[i]->generation = 0;	/* the next row checks its rights again */
	}
	return true;
}

/* See values.h. */
bool
pseudo_looks_like_pseudonym(const text *value)
{
	size_t		in_len = VARSIZE_ANY_EXHDR(value);
	uint8		short_bytes[PSEUDO_BASE64_BYTES(SHORT_PSEUDONYM)];
	uint8	   *bytes;
	size_t		len;
	bool		result;

	if (in_len < PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD) || in_len % 4 != 0)
		return false;
	bytes = in_len <= SHORT_PSEUDONYM ? short_bytes : palloc(PSEUDO_BASE64_BYTES(in_len));
	result = pseudo_base64_decode(bytes, &len, VARDATA_ANY(value), in_len) == PSEUDO_OK &&
		len >= PSEUDO_OVERHEAD;
	if (bytes != short_bytes)
		pfree(bytes);
	return result;
}

/* See values.h. */
int
pseudo_open_first(PseudoCall *const *calls, int n, text *pseudonym, bool or_null,
				  PseudoOpened *opened)
{
	const char *in = VARDATA_ANY(pseudonym);
	size_t		in_len = VARSIZE_ANY_EXHDR(pseudonym);
	uint8		short_bytes[PSEUDO_BASE64_BYTES(SHORT_PSEUDONYM)];
	uint8	   *bytes = in_len <= SHORT_PSEUDONYM ? short_bytes : palloc(PSEUDO_BASE64_BYTES(in_len));
	size_t		len;
	PseudoKey  *named;
	int			opener;
	pseudo_status status;

	if (pseudo_base64_decode(bytes, &len, in, in_len) != PSEUDO_OK || len < PSEUDO_OVERHEAD)
	{
		if (!or_null)
			report_malformed();
		if (bytes != short_bytes)
			pfree(bytes);
		return -1;
	}

	opened->value = palloc(VARHDRSZ + len - PSEUDO_OVERHEAD);
	status = open_first(calls, n, bytes, len, opened, &named, &opener);
	if (status == PSEUDO_NOT_AUTHENTIC && renew_early(calls, n))
		status = open_first(calls, n, bytes, len, opened, &named, &opener);
	if (status == PSEUDO_CRYPTO_FAILURE)
		report_crypto_failure();
	if (bytes != short_bytes)
		pfree(bytes);
	if (status == PSEUDO_OK)
		return opener;
	report_not_opened(named, or_null);
	pfree(opened->value);
	return -1;
}

/* See values.h. */
bool
pseudo_open(PseudoCall *call, text *pseudonym, bool or_null, PseudoOpened *opened)
{
	return pseudo_open_first(&call, 1, pseudonym, or_null, opened) >= 0;
}

/*
 * The value of a pseudonym, palloc'ed; or NULL where or_null and it is malformed or does not
 * authenticate.  Errors: 22P02, 22000, 55000, 22021, 22P05.
 */
static text *
open_value(PseudoCall *call, text *pseudonym, bool or_null)
{
	PseudoOpened opened;

	if (!pseudo_open(call, pseudonym, or_null, &opened))
		return NULL;
	return pseudo_opened_text(&opened);
}

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
	if (result == NULL)
	{
		result = open_value(call, pseudonym, or_null);
		if (result == NULL)
			PG_RETURN_NULL();
		pseudo_call_keep_last(call, result, fcinfo->flinfo->fn_mcxt);
	}
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

/* The key that decoded bytes are most likely of, or NULL. */
static PseudoKey *
likely_key(PseudoKeyring *keyring, const uint8 *bytes, size_t len)
{
	PseudoKey  *named = named_key(keyring, bytes, len);

	if (named)
		return named->status == PSEUDO_KEY_ENABLED ? named : NULL;
	for (int i = 0; i < keyring->nkeys; i++)
	{
		if (keyring->keys[i].prefix == PSEUDO_PREFIX_RAW &&
			keyring->keys[i].status == PSEUDO_KEY_ENABLED)
			return &keyring->keys[i];
	}
	return NULL;
}

/* Put an element into a batch, decoded where it is a short pseudonym. */
static void
add_to_batch(PseudoCall *call, OpenBatch *batch, text *pseudonym)
{
	int			i = batch->n++;

	batch->pseudonyms[i] = pseudonym;
	batch->keys[i] = NULL;
	batch->values[i] = NULL;
	if (pseudonym != NULL && VARSIZE_ANY_EXHDR(pseudonym) <= BATCH_PSEUDONYM &&
		pseudo_base64_decode(batch->bytes[i], &batch->lens[i], VARDATA_ANY(pseudonym),
							 VARSIZE_ANY_EXHDR(pseudonym)) == PSEUDO_OK)
		batch->keys[i] = likely_key(call->keyring, batch->bytes[i], batch->lens[i]);
}

/* Try one key on those of a batch that are likely of it, in place. */
static void
open_group(PseudoCall *call, OpenBatch *batch, PseudoKey *key)
{
	size_t		prefix_len = key->prefix == PSEUDO_PREFIX_TINK ? PSEUDO_PREFIX_LEN : 0;
	pseudo_batch_item items[PSEUDO_BATCH];
	int			members[PSEUDO_BATCH];
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		uint8	   *bytes = batch->bytes[i] + prefix_len;

		if (batch->keys[i] != key)
			continue;
		batch->keys[i] = NULL;
		members[n] = i;
		items[n++] = (pseudo_batch_item) {
			.in = bytes,.len = batch->lens[i] - prefix_len,.out = bytes + PSEUDO_NONCE_LEN
		};
	}
	pseudo_pseudonym_open_batch(items, n, &key->siv, call->context, call->context_len);
	for (int m = 0; m < n; m++)
	{
		if (items[m].status != PSEUDO_OK)
			continue;
		batch->values[members[m]] = items[m].out;
		batch->lens[members[m]] = items[m].out_len;
	}
}

/* Add a value to an array. */
static void
add_value(PseudoArray *new, const char *value, size_t len)
{
	char	   *out = pseudo_array_add(new, len);

	memcpy(out, value, len);
}

/* Open a batch: together what is likely of one key, and one by one what is left then. */
static void
open_batch(PseudoCall *call, OpenBatch *batch, bool or_null, PseudoArray *new)
{
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < batch->n; i++)
	{
		if (batch->keys[i])
			open_group(call, batch, batch->keys[i]);
	}
	for (int i = 0; i < batch->n; i++)
	{
		char	   *value = batch->values[i];
		size_t		len = batch->lens[i];
		text	   *result;

		if (value)
		{
			check_encoding(value, len);
			if (pseudo_encoding_converts())
				value = pseudo_from_utf8(value, len, &len);
			add_value(new, value, len);
		}
		else if (batch->pseudonyms[i] &&
				 (result = open_value(call, batch->pseudonyms[i], or_null)) != NULL)
			add_value(new, VARDATA_ANY(result), VARSIZE_ANY_EXHDR(result));
		else
			pseudo_array_add_null(new);
	}
	batch->n = 0;
}

/* The values of an array of pseudonyms. */
static ArrayType *
open_array(PseudoCall *call, ArrayType *array, bool or_null)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	OpenBatch	batch;
	PseudoArray new;
	array_iter	iterator;

	/* Values have less than three quarters of the length of their pseudonyms, but for what a conversion adds. */
	pseudo_array_begin(&new, array, VARSIZE(array) / 4 * 3, or_null);
	pseudo_texts_begin(&iterator, array);
	batch.n = 0;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		pseudonym = pseudo_texts_next(&iterator, &isnull, i);

		if (batch.n == PSEUDO_BATCH)
			open_batch(call, &batch, or_null, &new);
		add_to_batch(call, &batch, isnull ? NULL : DatumGetTextPP(pseudonym));
	}
	open_batch(call, &batch, or_null, &new);
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
		report_malformed();
	if (!pseudo_prefix_read(bytes, len, &id))
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) id);
}
