/*
 * seal.c
 *		Values to pseudonyms: one under any key, or many under the primary key.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "seal.h"

/* Returns true if pseudonyms under a key begin with Tink's prefix. */
static inline bool
has_prefix(const PseudoKey *key)
{
	return key->prefix == PSEUDO_PREFIX_TINK;
}

/* See seal.h. */
const char *
pseudo_value_utf8(text *value, size_t *len)
{
	*len = VARSIZE_ANY_EXHDR(value);
	if (pseudo_encoding_converts())
		return pseudo_to_utf8(VARDATA_ANY(value), *len, len);
	return VARDATA_ANY(value);
}

/* See seal.h. */
size_t
pseudo_sealed_len(const PseudoKey *key, size_t len)
{
	size_t		sealed_len = PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD + len +
											   (has_prefix(key) ? PSEUDO_PREFIX_LEN : 0));

	if (sealed_len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too long to be pseudonymized", len),
				 errdetail("A pseudonym is at most 1 GB of text.")));
	return sealed_len;
}

/* Report what the core says of a value that is short enough. */
static void
check_sealed(pseudo_status status)
{
	if (status != PSEUDO_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not pseudonymize a value: OpenSSL failed")));
}

/* See seal.h. */
text *
pseudo_seal(PseudoCall *call, PseudoKey *key, const pseudo_nonce_key *nonce_key,
			const char *value, size_t len)
{
	size_t		sealed_len = pseudo_sealed_len(key, len);
	text	   *result = palloc(VARHDRSZ + sealed_len);

	SET_VARSIZE(result, VARHDRSZ + sealed_len);
	check_sealed(pseudo_pseudonym_seal(VARDATA(result), &key->siv, has_prefix(key), key->id, nonce_key,
									   call->context, call->context_len,
									   (const uint8 *) value, len));
	return result;
}

/* See seal.h. */
text *
pseudo_seal_under(PseudoCall *call, PseudoKey *key, const char *value, size_t len)
{
	return pseudo_seal(call, key, pseudo_call_nonce_key(call, key), value, len);
}

/* See seal.h. */
text *
pseudo_seal_value(PseudoCall *call, text *value, bool is_deterministic)
{
	size_t		len;
	const char *utf8 = pseudo_value_utf8(value, &len);

	PseudoKey  *key = call->keyring->primary;

	return pseudo_seal(call, key, is_deterministic ? pseudo_call_nonce_key(call, key) : NULL, utf8, len);
}

/* See seal.h. */
void
pseudo_seal_begin(PseudoSealBatch *batch, PseudoCall *call, bool is_deterministic)
{
	batch->call = call;
	batch->is_deterministic = is_deterministic;
	batch->n = 0;
}

/* See seal.h. */
void
pseudo_seal_flush(PseudoSealBatch *batch)
{
	PseudoCall *call = batch->call;
	PseudoKey  *key = call->keyring->primary;

	if (batch->n == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	pseudo_pseudonym_seal_batch(batch->items, batch->n, &key->siv, has_prefix(key), key->id,
								batch->is_deterministic ? pseudo_call_nonce_key(call, key) : NULL,
								call->context, call->context_len);
	for (int i = 0; i < batch->n; i++)
		check_sealed(batch->items[i].status);
	batch->n = 0;
}

/* See seal.h. */
void
pseudo_seal_add(PseudoSealBatch *batch, char *out, const char *value, size_t len)
{
	if (batch->n == PSEUDO_BATCH)
		pseudo_seal_flush(batch);
	batch->items[batch->n++] = (pseudo_batch_item)
	{
		.in = (const uint8 *) value, .len = len, .out = out
	};
}

/* See seal.h. */
text *
pseudo_seal_later(PseudoSealBatch *batch, const char *value, size_t len)
{
	size_t		sealed_len = pseudo_sealed_len(batch->call->keyring->primary, len);
	text	   *result = palloc(VARHDRSZ + sealed_len);

	SET_VARSIZE(result, VARHDRSZ + sealed_len);
	pseudo_seal_add(batch, VARDATA(result), value, len);
	return result;
}
