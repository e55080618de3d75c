/*
 * fuzz_batch.c
 *		A batch gives what single calls give, for any number of values of any
 *		lengths, in every implementation; and opens what it made, but for altered ones.
 *
 * An input is a byte of options, a byte for the length of the AAD, the AAD, and
 * values: a byte for the length of each, then its bytes.  A length of 255 is followed by
 * a value of 255 and as many more as there are.
 */
#include "fuzz.h"

#define MAX_VALUES 100

/* The values, and the room for what is made of them. */
typedef struct values
{
	size_t		n;
	pseudo_batch_item items[MAX_VALUES];
	uint8_t    *values[MAX_VALUES];
	size_t		lens[MAX_VALUES];
	uint8_t    *bytes[MAX_VALUES];
} values;

/* Read the values of an input. */
static void
read_values(values *v, input *in)
{
	for (v->n = 0; v->n < MAX_VALUES && in->size > 0; v->n++)
	{
		v->lens[v->n] = take_byte(in);
		if (v->lens[v->n] == 255)
			v->lens[v->n] = in->size;
		v->values[v->n] = take(in, &v->lens[v->n]);
	}
}

/* Seal all, compare with single calls, open all but altered ones. */
static void
check_batch(values *v, uint8_t options, const uint8_t *aad, size_t aad_len)
{
	bool		has_prefix = options & 2;
	size_t		skip = has_prefix ? PSEUDO_PREFIX_LEN : 0;
	uint8_t		key_bytes[32] = {9, options};
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	MUST(pseudo_siv_key_init(&key, key_bytes, options & 1 ? 32 : 16) == PSEUDO_OK &&
		 pseudo_nonce_key_init(&nonce_key, key_bytes, 32, options % 53) == PSEUDO_OK);
	for (size_t i = 0; i < v->n; i++)
		v->items[i] = (pseudo_batch_item) {.in = v->values[i], .len = v->lens[i],
			.out = room(PSEUDO_BASE64_LEN(skip + PSEUDO_OVERHEAD + v->lens[i]))};
	pseudo_pseudonym_seal_batch(v->items, v->n, &key, has_prefix, 5, &nonce_key, aad, aad_len);

	for (size_t i = 0; i < v->n; i++)
	{
		size_t		n_text = PSEUDO_BASE64_LEN(skip + PSEUDO_OVERHEAD + v->lens[i]);
		char	   *text = (char *) room(n_text);
		size_t		n;

		MUST(v->items[i].status == PSEUDO_OK && v->items[i].out_len == n_text);
		MUST(pseudo_pseudonym_seal(text, &key, has_prefix, 5, &nonce_key, aad, aad_len,
								   v->values[i], v->lens[i]) == PSEUDO_OK);
		MUST(memcmp(text, v->items[i].out, n_text) == 0);
		free(text);
		MUST(pseudo_base64_decode(v->items[i].out, &n, v->items[i].out, n_text) == PSEUDO_OK);
		n -= skip;
		v->bytes[i] = room(n);
		memcpy(v->bytes[i], (uint8_t *) v->items[i].out + skip, n);
		free(v->items[i].out);
		if (v->lens[i] % 5 == 3)
			v->bytes[i][(options * 7 + i) % n] ^= 0x10;
		v->items[i] = (pseudo_batch_item) {.in = v->bytes[i], .len = n, .out = room(v->lens[i])};
	}
	pseudo_pseudonym_open_batch(v->items, v->n, &key, aad, aad_len);
	for (size_t i = 0; i < v->n; i++)
	{
		uint8_t    *out = v->items[i].out;

		MUST(v->items[i].status == (v->lens[i] % 5 == 3 ? PSEUDO_NOT_AUTHENTIC : PSEUDO_OK));
		MUST(v->items[i].out_len == v->lens[i]);
		for (size_t k = 0; k < v->lens[i]; k++)
			MUST(out[k] == (v->lens[i] % 5 == 3 ? 0 : v->values[i][k]));
		free(out);
		free(v->bytes[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static values v;
	input		in = {data, size};
	uint8_t		options = take_byte(&in);
	size_t		aad_len = take_byte(&in);
	uint8_t    *aad = take(&in, &aad_len);

	read_values(&v, &in);
	/* The last one is the portable implementation, which has no batches. */
	for (int i = 0; i < count_impls() - 1; i++)
	{
		use_impl(i);
		check_batch(&v, options, aad, aad_len);
	}
	for (size_t i = 0; i < v.n; i++)
		free(v.values[i]);
	free(aad);
	return 0;
}
