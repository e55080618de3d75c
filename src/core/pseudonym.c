/*
 * pseudonym.c
 *		The text form of a pseudonym: prefix, base64, and the whole way from a
 *		value to its pseudonym.
 */
#include "bytes.h"
#include "nonce.h"
#include "pseudonym.h"
#include "wipe.h"

/* ---- Prefix ---- */

/* Write Tink's output prefix for a key id. */
void
pseudo_prefix_write(uint8_t *out, uint32_t key_id)
{
	out[0] = 0x01;
	store32_be(out + 1, key_id);
}

/* The key id that the prefix of a decoded pseudonym claims, if there is one. */
bool
pseudo_prefix_read(const uint8_t *bytes, size_t len, uint32_t *key_id)
{
	if (len < PSEUDO_PREFIX_LEN + PSEUDO_OVERHEAD || bytes[0] != 0x01)
		return false;
	*key_id = (uint32_t) bytes[1] << 24 | (uint32_t) bytes[2] << 16 |
		(uint32_t) bytes[3] << 8 | bytes[4];
	return true;
}

/* ---- The whole pseudonym ---- */

/* Bytes of a pseudonym of len bytes, before they are text. */
static inline size_t
pseudonym_bytes(bool has_prefix, size_t len)
{
	return (has_prefix ? PSEUDO_PREFIX_LEN : 0) + PSEUDO_OVERHEAD + len;
}

/* Where in the room for the text the nonce is: behind the prefix, of n bytes at the end. */
static inline uint8_t *
place_nonce(char *out, size_t n, bool has_prefix, uint32_t key_id)
{
	uint8_t    *bytes = (uint8_t *) out + PSEUDO_BASE64_LEN(n) - n;

	if (!has_prefix)
		return bytes;
	pseudo_prefix_write(bytes, key_id);
	return bytes + PSEUDO_PREFIX_LEN;
}

/* Make the pseudonym of a value: bytes at the end of the room, then text over them. */
pseudo_status
pseudo_pseudonym_seal(char *out, const pseudo_siv_key *key, bool has_prefix, uint32_t key_id,
					  const pseudo_nonce_key *nonce_key, const uint8_t *aad, size_t aad_len,
					  const uint8_t *value, size_t len)
{
	pseudo_status status = PSEUDO_OK;
	size_t		n = pseudonym_bytes(has_prefix, len);
	uint8_t    *nonce;

	if (len > PSEUDO_SIV_MAX_LEN)
		return PSEUDO_TOO_LONG;

	nonce = place_nonce(out, n, has_prefix, key_id);
	if (nonce_key != NULL)
		pseudo_nonce_deterministic(nonce, nonce_key, value, len);
	else
		status = pseudo_nonce_random(nonce);
	if (status == PSEUDO_OK)
		status = pseudo_siv_seal(key, nonce, aad, aad_len, value, len, nonce + PSEUDO_NONCE_LEN);
	if (status == PSEUDO_OK)
	{
		uint8_t    *bytes = (uint8_t *) out + PSEUDO_BASE64_LEN(n) - n;

		DECLASSIFY(bytes, n);
		pseudo_base64_encode(out, bytes, n);
	}
	return status;
}

/* Open nonce || ciphertext || tag of len bytes. */
pseudo_status
pseudo_pseudonym_open(uint8_t *out, const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
					  const uint8_t *in, size_t len)
{
	if (len < PSEUDO_OVERHEAD)
		return PSEUDO_MALFORMED;
	return pseudo_siv_open(key, in, aad, aad_len,
						   in + PSEUDO_NONCE_LEN, len - PSEUDO_NONCE_LEN, out);
}

/* ---- Many at a time ---- */

/* What is worked on at a time: a multiple of what the parts take at once, and still in the cache. */
#define CHUNK	64

/* The messages of a chunk, and which items they are: some items may fail before. */
typedef struct chunk
{
	size_t		n;
	pseudo_siv_item siv[CHUNK];
	pseudo_batch_item *items[CHUNK];
} chunk;

/* Write the nonces of a chunk; those that fail drop out. */
static void
make_nonces(chunk *c, const pseudo_nonce_key *nonce_key)
{
	uint8_t    *nonces[CHUNK];
	const uint8_t *values[CHUNK];
	size_t		lens[CHUNK];
	size_t		kept = 0;

	for (size_t i = 0; i < c->n; i++)
	{
		nonces[i] = c->siv[i].out - PSEUDO_NONCE_LEN;
		values[i] = c->siv[i].in;
		lens[i] = c->siv[i].in_len;
	}
	if (nonce_key != NULL)
	{
		pseudo_nonce_deterministic_batch(nonces, nonce_key, values, lens, c->n);
		return;
	}
	for (size_t i = 0; i < c->n; i++)
	{
		c->items[i]->status = pseudo_nonce_random(nonces[i]);
		if (c->items[i]->status != PSEUDO_OK)
			continue;
		c->siv[kept] = c->siv[i];
		c->items[kept++] = c->items[i];
	}
	c->n = kept;
}

/* Make the pseudonyms of n values, CHUNK at a time. */
void
pseudo_pseudonym_seal_batch(pseudo_batch_item *items, size_t n, const pseudo_siv_key *key,
							bool has_prefix, uint32_t key_id, const pseudo_nonce_key *nonce_key,
							const uint8_t *aad, size_t aad_len)
{
	chunk		c;

	if (n == 1)
	{
		items->out_len = PSEUDO_BASE64_LEN(pseudonym_bytes(has_prefix, items->len));
		items->status = pseudo_pseudonym_seal(items->out, key, has_prefix, key_id, nonce_key,
											  aad, aad_len, items->in, items->len);
		return;
	}
	while (n > 0)
	{
		for (c.n = 0; n > 0 && c.n < CHUNK; n--, items++)
		{
			size_t		n_bytes = pseudonym_bytes(has_prefix, items->len);
			uint8_t    *nonce;

			if (items->len > PSEUDO_SIV_MAX_LEN)
			{
				items->status = PSEUDO_TOO_LONG;
				continue;
			}
			nonce = place_nonce(items->out, n_bytes, has_prefix, key_id);
			items->out_len = PSEUDO_BASE64_LEN(n_bytes);
			c.items[c.n] = items;
			c.siv[c.n++] = (pseudo_siv_item) {
				.nonce = nonce, .in = items->in, .in_len = items->len, .out = nonce + PSEUDO_NONCE_LEN
			};
		}
		make_nonces(&c, nonce_key);
		pseudo_siv_seal_batch(key, aad, aad_len, c.siv, c.n);
		for (size_t i = 0; i < c.n; i++)
		{
			char	   *out = c.items[i]->out;
			const uint8_t *bytes = c.siv[i].nonce - (has_prefix ? PSEUDO_PREFIX_LEN : 0);
			const uint8_t *end = (uint8_t *) out + c.items[i]->out_len;

			c.items[i]->status = c.siv[i].status;
			if (c.siv[i].status == PSEUDO_OK)
			{
				DECLASSIFY(bytes, (size_t) (end - bytes));
				pseudo_base64_encode(out, bytes, (size_t) (end - bytes));
			}
		}
	}
}

/* Open n pseudonyms, CHUNK at a time. */
void
pseudo_pseudonym_open_batch(pseudo_batch_item *items, size_t n, const pseudo_siv_key *key,
							const uint8_t *aad, size_t aad_len)
{
	chunk		c;

	if (n == 1)
	{
		items->out_len = items->len - PSEUDO_OVERHEAD;
		items->status = pseudo_pseudonym_open(items->out, key, aad, aad_len, items->in, items->len);
		return;
	}
	while (n > 0)
	{
		for (c.n = 0; n > 0 && c.n < CHUNK; n--, items++)
		{
			if (items->len < PSEUDO_OVERHEAD)
			{
				items->status = PSEUDO_MALFORMED;
				continue;
			}
			items->out_len = items->len - PSEUDO_OVERHEAD;
			c.items[c.n] = items;
			c.siv[c.n++] = (pseudo_siv_item) {
				.nonce = items->in, .in = items->in + PSEUDO_NONCE_LEN,
				.in_len = items->len - PSEUDO_NONCE_LEN, .out = items->out
			};
		}
		pseudo_siv_open_batch(key, aad, aad_len, c.siv, c.n);
		for (size_t i = 0; i < c.n; i++)
			c.items[i]->status = c.siv[i].status;
	}
}
