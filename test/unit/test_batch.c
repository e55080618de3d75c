/*
 * test_batch.c
 *		Batches give what single calls give.
 */
#include "harness.h"

/* The most messages in a batch of these tests. */
#define MAX_BATCH 150

/* A length: mostly short, as values are; some beyond what a group takes. */
static size_t
random_length(void)
{
	size_t		kind = random_below(16);

	return random_below(kind == 0 ? 700 : kind < 4 ? 301 : kind < 8 ? 80 : 34);
}

/* One batch of AES-GCM-SIV, some messages in place, some altered, against single calls. */
static void
one_siv_batch(size_t n, size_t aad_len)
{
	static pseudo_siv_item items[MAX_BATCH];
	static uint8_t *singles[MAX_BATCH];
	static uint8_t nonces[MAX_BATCH][PSEUDO_NONCE_LEN];
	static pseudo_status statuses[MAX_BATCH];
	uint8_t		key_bytes[32];
	uint8_t    *aad = allocate_random(aad_len);
	pseudo_siv_key key;

	random_bytes(key_bytes, sizeof(key_bytes));
	check(pseudo_siv_key_init(&key, key_bytes, random64() & 1 ? 32 : 16) == PSEUDO_OK, "key", n);
	for (size_t i = 0; i < n; i++)
	{
		size_t		len = random_length();
		bool		in_place = random64() & 1;
		uint8_t    *in = allocate_random(len + (in_place ? PSEUDO_TAG_LEN : 0));

		random_bytes(nonces[i], PSEUDO_NONCE_LEN);
		singles[i] = allocate(len + PSEUDO_TAG_LEN);
		statuses[i] = pseudo_siv_seal(&key, nonces[i], aad, aad_len, in, len, singles[i]);
		items[i] = (pseudo_siv_item) {.nonce = nonces[i], .in = in, .in_len = len, .status = (pseudo_status) 99,
			.out = in_place ? in : allocate(len + PSEUDO_TAG_LEN)};
	}
	pseudo_siv_seal_batch(&key, aad, aad_len, items, n);
	for (size_t i = 0; i < n; i++)
		check(items[i].status == statuses[i] &&
			  memcmp(items[i].out, singles[i], items[i].in_len + PSEUDO_TAG_LEN) == 0, "sealed in a batch", n);

	for (size_t i = 0; i < n; i++)
	{
		bool		in_place = items[i].out == items[i].in;
		size_t		len = items[i].in_len + PSEUDO_TAG_LEN;

		if (!in_place)
			free((void *) (uintptr_t) items[i].in);
		if (random_below(4) == 0)
			items[i].out[random_below(len)] ^= (uint8_t) (1 << random_below(8));
		if (random_below(50) == 0)
			len = random_below(PSEUDO_TAG_LEN);
		statuses[i] = pseudo_siv_open(&key, nonces[i], aad, aad_len, items[i].out, len, singles[i]);
		items[i].in = items[i].out;
		items[i].in_len = len;
		if (!in_place)
			items[i].out = allocate(len < PSEUDO_TAG_LEN ? 0 : len - PSEUDO_TAG_LEN);
	}
	pseudo_siv_open_batch(&key, aad, aad_len, items, n);
	for (size_t i = 0; i < n; i++)
	{
		size_t		len = items[i].in_len < PSEUDO_TAG_LEN ? 0 : items[i].in_len - PSEUDO_TAG_LEN;

		check(items[i].status == statuses[i] && memcmp(items[i].out, singles[i], len) == 0,
			  "opened in a batch", n);
		if (items[i].out != items[i].in)
			free(items[i].out);
		free((void *) (uintptr_t) items[i].in);
		free(singles[i]);
	}
	free(aad);
}

/* Values, their pseudonyms in a batch, and what they are made with. */
typedef struct value_batch
{
	size_t		n;
	bool		has_prefix;
	bool		random_mode;
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;
	uint8_t    *aad;
	size_t		aad_len;
	pseudo_batch_item items[MAX_BATCH];
	uint8_t    *values[MAX_BATCH];
	size_t		lens[MAX_BATCH];
} value_batch;

/* Bytes of a prefix. */
static size_t
prefix_len(const value_batch *b)
{
	return b->has_prefix ? PSEUDO_PREFIX_LEN : 0;
}

/* Characters of the i-th pseudonym. */
static size_t
text_len(const value_batch *b, size_t i)
{
	return PSEUDO_BASE64_LEN(prefix_len(b) + PSEUDO_OVERHEAD + b->lens[i]);
}

/* Make keys and values. */
static void
make_values(value_batch *b)
{
	uint8_t		key_bytes[32];

	random_bytes(key_bytes, sizeof(key_bytes));
	check(pseudo_siv_key_init(&b->key, key_bytes, 32) == PSEUDO_OK &&
		  pseudo_nonce_key_init(&b->nonce_key, key_bytes, 32, (uint32_t) random_below(53)) == PSEUDO_OK, "keys", b->n);
	for (size_t i = 0; i < b->n; i++)
	{
		b->lens[i] = random_length();
		b->values[i] = allocate_random(b->lens[i]);
		b->items[i] = (pseudo_batch_item) {.in = b->values[i], .len = b->lens[i], .status = (pseudo_status) 99,
			.out = allocate(text_len(b, i))};
	}
}

/* The nonces of a batch are those of single values. */
static void
check_nonces(const value_batch *b)
{
	static uint8_t *nonces[MAX_BATCH];

	for (size_t i = 0; i < b->n; i++)
		nonces[i] = allocate(PSEUDO_NONCE_LEN);
	pseudo_nonce_deterministic_batch(nonces, &b->nonce_key, (const uint8_t *const *) b->values, b->lens, b->n);
	for (size_t i = 0; i < b->n; i++)
	{
		uint8_t		nonce[PSEUDO_NONCE_LEN];

		pseudo_nonce_deterministic(nonce, &b->nonce_key, b->values[i], b->lens[i]);
		check(memcmp(nonce, nonces[i], PSEUDO_NONCE_LEN) == 0, "nonce in a batch", b->n);
		free(nonces[i]);
	}
}

/* The pseudonyms of a batch are those of single values; then the items are their bytes, to be opened. */
static void
check_sealed(value_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
	{
		size_t		n_text = text_len(b, i);
		char	   *text = (char *) allocate(n_text);
		uint8_t    *decoded = allocate(PSEUDO_BASE64_BYTES(n_text));
		uint8_t    *bytes;
		size_t		n_bytes;

		check(b->items[i].status == PSEUDO_OK && b->items[i].out_len == n_text, "pseudonym in a batch", b->n);
		check(pseudo_pseudonym_seal(text, &b->key, b->has_prefix, 77, &b->nonce_key, b->aad, b->aad_len,
									b->values[i], b->lens[i]) == PSEUDO_OK &&
			  (b->random_mode || memcmp(text, b->items[i].out, n_text) == 0), "the same pseudonym", b->n);
		check(pseudo_base64_decode(decoded, &n_bytes, b->items[i].out, n_text) == PSEUDO_OK &&
			  n_bytes == prefix_len(b) + PSEUDO_OVERHEAD + b->lens[i], "its bytes", b->n);
		free(b->items[i].out);
		free(text);
		n_bytes -= prefix_len(b);
		bytes = allocate(n_bytes);	/* of its own size, for tools to see overruns */
		memcpy(bytes, decoded + prefix_len(b), n_bytes);
		free(decoded);
		b->items[i] = (pseudo_batch_item) {.in = bytes, .len = n_bytes, .status = (pseudo_status) 99,
			.out = allocate(b->lens[i])};
	}
}

/* The values came back, but for the first one, which was too short. */
static void
check_opened(value_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
	{
		if (i == 0)
			check(b->items[i].status == PSEUDO_MALFORMED, "too short in a batch", b->n);
		else
			check(b->items[i].status == PSEUDO_OK && b->items[i].out_len == b->lens[i] &&
				  memcmp(b->items[i].out, b->values[i], b->lens[i]) == 0, "back in a batch", b->n);
		free((void *) (uintptr_t) b->items[i].in);
		free(b->items[i].out);
		free(b->values[i]);
	}
}

/* One batch of nonces and of pseudonyms, there and back, against single calls. */
static void
one_pseudonym_batch(size_t n, size_t aad_len, bool has_prefix, bool random_mode)
{
	static value_batch b;

	b = (value_batch) {.n = n, .has_prefix = has_prefix, .random_mode = random_mode,
		.aad = allocate_random(aad_len), .aad_len = aad_len};
	make_values(&b);
	check_nonces(&b);
	pseudo_pseudonym_seal_batch(b.items, n, &b.key, has_prefix, 77, random_mode ? NULL : &b.nonce_key, b.aad, aad_len);
	check_sealed(&b);
	if (n > 0)
		b.items[0].len = random_below(PSEUDO_OVERHEAD);
	pseudo_pseudonym_open_batch(b.items, n, &b.key, b.aad, aad_len);
	check_opened(&b);
	free(b.aad);
}

/* Batches of pseudonyms, with each implementation of HMAC and of base64. */
static void
pseudonym_batches(size_t n)
{
	const char *best_hmac = pseudo_hmac_get_impl()->name;
	const char *best_base64 = pseudo_base64_get_impl()->name;

	for (const pseudo_hmac_impl *const *impl = pseudo_hmac_impls; *impl != NULL; impl++)
	{
		if (!pseudo_hmac_use((*impl)->name))
			continue;
		one_pseudonym_batch(n, n % 2 == 0 ? 0 : random_below(60), n & 2, n & 4);
		one_pseudonym_batch(n, 0, false, false);
	}
	pseudo_hmac_use(best_hmac);
	for (const pseudo_base64_impl *const *impl = pseudo_base64_impls; *impl != NULL; impl++)
		if (pseudo_base64_use((*impl)->name))
			one_pseudonym_batch(n, 0, n & 1, false);
	pseudo_base64_use(best_base64);
}

/* Batches of all sizes, in each implementation, against one at a time. */
void
test_batches(void)
{
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		for (size_t n = 0; n <= MAX_BATCH; n += n < 40 ? 1 : 37)
		{
			for (size_t k = 0; k < 4; k++)
				one_siv_batch(n, k == 0 ? 0 : random_below(k == 1 ? 40 : 300));
			pseudonym_batches(n);
		}
		for (unsigned long n = 0; n < n_messages; n += 64)
			one_siv_batch(random_below(65), random64() % 4 == 0 ? 0 : random_below(301));
	}
	end_group("batches against single messages");
}
