/*
 * open.c
 *		Pseudonyms to values: which key opens them, one or many.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "open.h"
#include "watch.h"

/* Texts of up to this many characters are decoded on the stack. */
#define SHORT_PSEUDONYM	1024

/* See open.h. */
void
pseudo_report_malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("malformed pseudonym"),
			 errdetail("A pseudonym is canonical base64 text of at least %d bytes.",
					   PSEUDO_OVERHEAD)));
}

/* Report that OpenSSL failed. */
static void
__attribute__((noreturn))
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
report_not_opened(PseudoCall *call, const PseudoKey *named, bool or_null)
{
	bool		is_off = named && named->status != PSEUDO_KEY_ENABLED;

	if (is_off || !or_null)
		pseudo_count(call->count, PSEUDO_COUNT_NOT_OPENED, 1);
	if (is_off)
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

/* See open.h. */
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
 * Load the keyring of n calls before it is due, for it may have a key by now that this backend does not have.
 * Returns false if it is the same keyring as before.
 */
static bool
renew_early(PseudoCall *const *calls, int n)
{
	uint64		before = pseudo_generation;

	pseudo_cache_refresh_early(calls[0]->serverid, calls[0]->count);
	if (before == pseudo_generation)
		return false;
	pseudo_call_renew(calls[0]);
	for (int i = 0; i < n; i++)
	{
		calls[i]->keyring = calls[0]->keyring;	/* the same one: to ask again
												 * could free it */
		calls[i]->derived = NULL;
		calls[i]->generation = 0;	/* the next row checks its rights again */
	}
	return true;
}

/* See open.h. */
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

/*
 * Open a text with the first of n calls that can.  Returns which one that is, or -1; *named is then the tink
 * key that the prefix names, or NULL, and *malformed says that the text has not the form.
 */
static int
open_text(PseudoCall *const *calls, int n, text *pseudonym, PseudoOpened *opened, PseudoKey **named,
		  bool *malformed)
{
	const char *in = VARDATA_ANY(pseudonym);
	size_t		in_len = VARSIZE_ANY_EXHDR(pseudonym);
	uint8		short_bytes[PSEUDO_BASE64_BYTES(SHORT_PSEUDONYM)];
	uint8	   *bytes = in_len <= SHORT_PSEUDONYM ? short_bytes : palloc(PSEUDO_BASE64_BYTES(in_len));
	size_t		len;
	int			opener;
	pseudo_status status;

	*named = NULL;
	*malformed = pseudo_base64_decode(bytes, &len, in, in_len) != PSEUDO_OK || len < PSEUDO_OVERHEAD;
	if (*malformed)
	{
		text	   *none = NULL;

		pseudo_watch_open(calls[0], 1, &none);
		pseudo_watch_not_opened(calls[0], 1, 1);
		if (bytes != short_bytes)
			pfree(bytes);
		return -1;
	}

	pseudo_watch_open(calls[0], 1, &pseudonym);
	opened->value = palloc(VARHDRSZ + len - PSEUDO_OVERHEAD);
	status = open_first(calls, n, bytes, len, opened, named, &opener);
	if (status == PSEUDO_NOT_AUTHENTIC)
	{
		pseudo_watch_not_opened(calls[0], 1, 1);
		if (renew_early(calls, n))
		{
			pseudo_watch_open(calls[0], 1, &pseudonym);
			pseudo_watch_not_opened(calls[0], 0, -1);
			status = open_first(calls, n, bytes, len, opened, named, &opener);
			if (status == PSEUDO_NOT_AUTHENTIC)
				pseudo_watch_not_opened(calls[0], 1, 1);
		}
	}
	if (status == PSEUDO_CRYPTO_FAILURE)
		report_crypto_failure();
	if (bytes != short_bytes)
		pfree(bytes);
	if (status == PSEUDO_OK)
		return opener;
	pfree(opened->value);
	return -1;
}

/* See open.h. */
int
pseudo_open_first(PseudoCall *const *calls, int n, text *pseudonym, bool or_null,
				  PseudoOpened *opened)
{
	PseudoKey  *named;
	bool		malformed;
	int			opener = open_text(calls, n, pseudonym, opened, &named, &malformed);

	if (opener >= 0)
		return opener;
	if (!malformed)
		report_not_opened(calls[0], named, or_null);
	else if (!or_null)
	{
		pseudo_count(calls[0]->count, PSEUDO_COUNT_NOT_OPENED, 1);
		pseudo_report_malformed();
	}
	return -1;
}

/* See open.h. */
void
pseudo_opened_wipe(PseudoOpened *opened)
{
	explicit_bzero(VARDATA(opened->value), opened->len);
	pfree(opened->value);
}

/* See open.h. */
bool
pseudo_try_open(PseudoCall *call, text *pseudonym, PseudoOpened *opened)
{
	PseudoKey  *named;
	bool		malformed;

	return open_text(&call, 1, pseudonym, opened, &named, &malformed) >= 0;
}

/* See open.h. */
bool
pseudo_opens_to(PseudoCall *call, text *pseudonym, text *value)
{
	PseudoOpened opened;
	size_t		len;
	const char *utf8 = pseudo_value_utf8(value, &len);
	bool		result;

	if (!pseudo_looks_like_pseudonym(pseudonym) || !pseudo_try_open(call, pseudonym, &opened))
		return false;
	result = opened.len == len && CRYPTO_memcmp(VARDATA(opened.value), utf8, len) == 0;
	pseudo_opened_wipe(&opened);
	return result;
}

/* See open.h. */
bool
pseudo_open(PseudoCall *call, text *pseudonym, bool or_null, PseudoOpened *opened)
{
	return pseudo_open_first(&call, 1, pseudonym, or_null, opened) >= 0;
}

/* See open.h. */
text *
pseudo_open_value(PseudoCall *call, text *pseudonym, bool or_null)
{
	PseudoOpened opened;

	if (!pseudo_open(call, pseudonym, or_null, &opened))
		return NULL;
	return pseudo_opened_text(&opened);
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

/* See open.h. */
void
pseudo_open_add(PseudoCall *call, PseudoOpenBatch *batch, text *pseudonym)
{
	int			i = batch->n++;

	batch->pseudonyms[i] = pseudonym;
	batch->keys[i] = NULL;
	batch->openers[i] = NULL;
	batch->values[i] = NULL;
	if (pseudonym != NULL && VARSIZE_ANY_EXHDR(pseudonym) <= PSEUDO_OPEN_SHORT &&
		pseudo_base64_decode(batch->bytes[i], &batch->lens[i], VARDATA_ANY(pseudonym),
							 VARSIZE_ANY_EXHDR(pseudonym)) == PSEUDO_OK)
		batch->keys[i] = likely_key(call->keyring, batch->bytes[i], batch->lens[i]);
}

/* Try one key on those of a batch that are likely of it, in place. */
static void
open_group(PseudoCall *call, PseudoOpenBatch *batch, PseudoKey *key)
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
		items[n++] = (pseudo_batch_item)
		{
			.in = bytes, .len = batch->lens[i] - prefix_len, .out = bytes + PSEUDO_NONCE_LEN
		};
	}
	pseudo_pseudonym_open_batch(items, n, &key->siv, call->context, call->context_len);
	for (int m = 0; m < n; m++)
	{
		if (items[m].status != PSEUDO_OK)
			continue;
		batch->openers[members[m]] = key;
		batch->values[members[m]] = items[m].out;
		batch->lens[members[m]] = items[m].out_len;
	}
}

/* See open.h.  All of a key are opened together. */
void
pseudo_open_likely(PseudoCall *call, PseudoOpenBatch *batch)
{
	text	   *pseudonyms[PSEUDO_BATCH];
	int			n = 0;
	int			nopened = 0;

	for (int i = 0; i < batch->n; i++)
	{
		if (batch->keys[i])
			pseudonyms[n++] = batch->lens[i] < PSEUDO_OVERHEAD ? NULL : batch->pseudonyms[i];
	}
	pseudo_watch_open(call, n, pseudonyms);
	for (int i = 0; i < batch->n; i++)
	{
		if (batch->keys[i])
			open_group(call, batch, batch->keys[i]);
	}
	for (int i = 0; i < batch->n; i++)
		nopened += batch->values[i] != NULL;
	pseudo_watch_not_opened(call, n - nopened, 0);
}

/* See open.h. */
void
pseudo_open_flush(PseudoCall *call, PseudoOpenBatch *batch, bool or_null)
{
	CHECK_FOR_INTERRUPTS();
	pseudo_open_likely(call, batch);
	for (int i = 0; i < batch->n; i++)
	{
		text	   *result;

		if (batch->values[i])
		{
			check_encoding(batch->values[i], batch->lens[i]);
			if (pseudo_encoding_converts())
				batch->values[i] = pseudo_from_utf8(batch->values[i], batch->lens[i], &batch->lens[i]);
		}
		else if (batch->pseudonyms[i] &&
				 (result = pseudo_open_value(call, batch->pseudonyms[i], or_null)) != NULL)
		{
			batch->values[i] = VARDATA_ANY(result);
			batch->lens[i] = VARSIZE_ANY_EXHDR(result);
		}
	}
}
