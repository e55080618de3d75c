/*
 * core.c
 *		Tests of the core beyond the vectors: the implementations agree with each
 *		other, nonces and base64 with OpenSSL, and what must be refused is.
 *
 *	core [--messages N] [--nonces N] [--seed N]
 *
 * The environment variable PSEUDO_SIV_IMPL restricts the test to one implementation.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* fork, pipe */
#endif
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/core/base64.h"
#include "../../src/core/hmac.h"
#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define MAX_IMPLS 8
#define MIB (1 << 20)

static unsigned long n_messages = 100000;
static unsigned long n_nonces = 10000000;
static uint64_t seed = 20240422;

static const char *impls[MAX_IMPLS];
static int	n_impls;

static unsigned long passed;
static unsigned long failed;
static unsigned long all_failed;

/* ---- Counting ---- */

/* Count one check; the first failures are told. */
static void
check(bool ok, const char *what, unsigned long detail)
{
	if (ok)
		passed++;
	else if (++failed <= 10)
		fprintf(stderr, "FAILED: %s (%lu)\n", what, detail);
}

/* Say how a group of checks went; a group without any has failed. */
static void
end_group(const char *name)
{
	if (passed + failed == 0)
		failed = 1;
	printf("%s: %lu passed, %lu failed\n", name, passed, failed);
	fflush(stdout);
	all_failed += failed;
	passed = failed = 0;
}

/* ---- Help ---- */

/* The next of a sequence of random numbers that the seed determines. */
static uint64_t
random64(void)
{
	uint64_t	z = (seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A random number less than n. */
static size_t
random_below(size_t n)
{
	return (size_t) (random64() % n);
}

/* Fill len bytes at random. */
static void
random_bytes(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t) (random64() >> 32);
}

/* len bytes of memory that end where the allocation ends; never NULL. */
static uint8_t *
allocate(size_t len)
{
	uint8_t    *p = malloc(len > 0 ? len : 1);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	return p;
}

/* Random bytes in new memory. */
static uint8_t *
allocate_random(size_t len)
{
	uint8_t    *p = allocate(len);

	random_bytes(p, len);
	return p;
}

/* Whether len bytes are all zero. */
static bool
all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* ---- AES-GCM-SIV ---- */

/* Check that an altered input is refused, in each implementation. */
static void
check_refused(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			  uint8_t *sealed, size_t len, uint8_t *out)
{
	size_t		bit = random_below((len + PSEUDO_TAG_LEN) * 8);
	pseudo_status status;

	sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
	memset(out, 0xa5, len);
	status = pseudo_siv_open(key, nonce, aad, aad_len, sealed, len + PSEUDO_TAG_LEN, out);
	sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
	check(status == PSEUDO_NOT_AUTHENTIC, "altered input refused", len);
	check(all_zero(out, len), "output zeroed", len);
}

/* Seal and open one random message everywhere and compare. */
static void
one_message(size_t len, size_t aad_len)
{
	/* Allocations may start at any address, and end where the bytes end. */
	size_t		shift = random_below(16);
	size_t		key_len = random64() & 1 ? 32 : 16;
	uint8_t		key_bytes[32];
	uint8_t		nonce[PSEUDO_NONCE_LEN];
	uint8_t    *aad = allocate_random(aad_len);
	uint8_t    *text_room = allocate_random(len + shift);
	uint8_t    *text = text_room + shift;
	uint8_t    *first = allocate(len + PSEUDO_TAG_LEN);
	uint8_t    *out_room = allocate(len + PSEUDO_TAG_LEN + shift);
	uint8_t    *out = out_room + shift;
	uint8_t    *opened = allocate(len);

	random_bytes(key_bytes, sizeof(key_bytes));
	random_bytes(nonce, sizeof(nonce));
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_key key;

		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, key_bytes, key_len) == PSEUDO_OK, "key", len);
		check(pseudo_siv_seal(&key, nonce, aad, aad_len, text, len, out) == PSEUDO_OK, "seal", len);
		if (i == 0)
			memcpy(first, out, len + PSEUDO_TAG_LEN);
		else
			check(memcmp(first, out, len + PSEUDO_TAG_LEN) == 0, "implementations agree", len);
		check(pseudo_siv_open(&key, nonce, aad, aad_len, out, len + PSEUDO_TAG_LEN, opened) == PSEUDO_OK,
			  "open", len);
		check(memcmp(opened, text, len) == 0, "opened text", len);
		check_refused(&key, nonce, aad, aad_len, out, len, opened);

		check(pseudo_siv_open(&key, nonce, aad, aad_len, out, len + PSEUDO_TAG_LEN, out) == PSEUDO_OK,
			  "open in place", len);
		check(memcmp(out, text, len) == 0, "opened in place", len);
		check(pseudo_siv_seal(&key, nonce, aad, aad_len, out, len, out) == PSEUDO_OK,
			  "seal in place", len);
		check(memcmp(first, out, len + PSEUDO_TAG_LEN) == 0, "sealed in place", len);
	}
	free(aad);
	free(text_room);
	free(first);
	free(out_room);
	free(opened);
}

/* Random messages, then the lengths where blocks and loops end, then long ones. */
static void
test_agreement(void)
{
	for (unsigned long i = 0; i < n_messages; i++)
		one_message(random_below(301), random64() % 4 == 0 ? 0 : random_below(301));
	end_group("random messages");

	for (size_t len = 0; len <= 620; len++)
	{
		one_message(len, 0);
		one_message(len, 13);
		one_message(22, len);
		one_message(len, len);
	}
	for (size_t k = 10; k <= 16; k++)
		for (size_t d = 0; d < 3; d++)
			one_message(((size_t) 1 << k) + d - 1, 5);
	end_group("every length");

	one_message(MIB, 0);
	one_message(MIB + 1, 17);
	one_message(MIB - 1, MIB);
	one_message(0, MIB + 7);
	one_message(MIB + 119, 255);
	end_group("long messages");
}

/* ---- Batches ---- */

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

/* One batch of nonces and of pseudonyms, there and back, against single calls. */
static void
one_pseudonym_batch(size_t n, size_t aad_len, bool has_prefix, bool random_mode)
{
	static pseudo_batch_item items[MAX_BATCH];
	static uint8_t *values[MAX_BATCH];
	static uint8_t *nonces[MAX_BATCH];
	static size_t lens[MAX_BATCH];
	size_t		n_prefix = has_prefix ? PSEUDO_PREFIX_LEN : 0;
	uint8_t		key_bytes[32];
	uint8_t    *aad = allocate_random(aad_len);
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	random_bytes(key_bytes, sizeof(key_bytes));
	check(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK &&
		  pseudo_nonce_key_init(&nonce_key, key_bytes, 32, (uint32_t) random_below(53)) == PSEUDO_OK, "keys", n);
	for (size_t i = 0; i < n; i++)
	{
		lens[i] = random_length();
		values[i] = allocate_random(lens[i]);
		nonces[i] = allocate(PSEUDO_NONCE_LEN);
		items[i] = (pseudo_batch_item) {.in = values[i], .len = lens[i], .status = (pseudo_status) 99,
			.out = allocate(PSEUDO_BASE64_LEN(n_prefix + PSEUDO_OVERHEAD + lens[i]))};
	}
	pseudo_nonce_deterministic_batch(nonces, &nonce_key, (const uint8_t *const *) values, lens, n);
	for (size_t i = 0; i < n; i++)
	{
		uint8_t		nonce[PSEUDO_NONCE_LEN];

		pseudo_nonce_deterministic(nonce, &nonce_key, values[i], lens[i]);
		check(memcmp(nonce, nonces[i], PSEUDO_NONCE_LEN) == 0, "nonce in a batch", n);
		free(nonces[i]);
	}
	pseudo_pseudonym_seal_batch(items, n, &key, has_prefix, 77, random_mode ? NULL : &nonce_key, aad, aad_len);
	for (size_t i = 0; i < n; i++)
	{
		size_t		n_text = PSEUDO_BASE64_LEN(n_prefix + PSEUDO_OVERHEAD + lens[i]);
		char	   *text = (char *) allocate(n_text);
		uint8_t    *decoded = allocate(PSEUDO_BASE64_BYTES(n_text));
		size_t		n_bytes;

		check(items[i].status == PSEUDO_OK && items[i].out_len == n_text, "pseudonym in a batch", n);
		check(pseudo_pseudonym_seal(text, &key, has_prefix, 77, &nonce_key, aad, aad_len,
									values[i], lens[i]) == PSEUDO_OK &&
			  (random_mode || memcmp(text, items[i].out, n_text) == 0), "the same pseudonym", n);
		check(pseudo_base64_decode(decoded, &n_bytes, items[i].out, n_text) == PSEUDO_OK &&
			  n_bytes == n_prefix + PSEUDO_OVERHEAD + lens[i], "its bytes", n);
		free(items[i].out);
		free(text);
		text = (char *) allocate_random(n_bytes - n_prefix);	/* of its own size, for tools to see overruns */
		memcpy(text, decoded + n_prefix, n_bytes - n_prefix);
		free(decoded);
		items[i] = (pseudo_batch_item) {.in = (uint8_t *) text, .len = n_bytes - n_prefix,
			.status = (pseudo_status) 99, .out = allocate(lens[i])};
	}
	if (n > 0)
		items[0].len = random_below(PSEUDO_OVERHEAD);
	pseudo_pseudonym_open_batch(items, n, &key, aad, aad_len);
	for (size_t i = 0; i < n; i++)
	{
		if (i == 0)
			check(items[i].status == PSEUDO_MALFORMED, "too short in a batch", n);
		else
			check(items[i].status == PSEUDO_OK && items[i].out_len == lens[i] &&
				  memcmp(items[i].out, values[i], lens[i]) == 0, "back in a batch", n);
		free((void *) (uintptr_t) items[i].in);
		free(items[i].out);
		free(values[i]);
	}
	free(aad);
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
static void
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

/*
 * POLYVAL bit by bit, as RFC 8452 section 3 defines it: a * b * x^-128.  The
 * elements are two words, the low one first.
 */
static void
slow_dot(uint64_t *r, const uint64_t *a, const uint64_t *b)
{
	uint64_t	s[2] = {0, 0};

	for (int i = 0; i < 128; i++)
	{
		/* From the lowest bit of a up: s = (s + a_i * b) * x^-1. */
		uint64_t	odd;

		if (a[i / 64] >> (i % 64) & 1)
		{
			s[0] ^= b[0];
			s[1] ^= b[1];
		}
		odd = s[0] & 1;
		s[0] = s[0] >> 1 | s[1] << 63;
		s[1] >>= 1;
		if (odd)				/* x^-1 = x^127 + x^126 + x^125 + x^120 */
			s[1] ^= UINT64_C(0xe100000000000000);
	}
	r[0] = s[0];
	r[1] = s[1];
}

/* Read a little-endian element. */
static void
get_element(uint64_t *e, const uint8_t *p)
{
	for (int w = 0; w < 2; w++)
	{
		e[w] = 0;
		for (int i = 7; i >= 0; i--)
			e[w] = e[w] << 8 | p[8 * w + i];
	}
}

/* Write a little-endian element. */
static void
put_element(uint8_t *p, const uint64_t *e)
{
	for (int i = 0; i < 16; i++)
		p[i] = (uint8_t) (e[i / 8] >> (8 * (i % 8)));
}

/* AES of n blocks by OpenSSL, either way. */
static void
aes_blocks(uint8_t *out, const uint8_t *in, int n, const uint8_t *key, size_t key_len, int encrypt)
{
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	int			len;

	if (EVP_CipherInit_ex(aes, key_len == 32 ? EVP_aes_256_ecb() : EVP_aes_128_ecb(),
						  NULL, key, NULL, encrypt) != 1 ||
		EVP_CIPHER_CTX_set_padding(aes, 0) != 1 ||
		EVP_CipherUpdate(aes, out, &len, in, 16 * n) != 1)
		exit(2);
	EVP_CIPHER_CTX_free(aes);
}

/* POLYVAL of whole blocks under h. */
static void
slow_polyval(uint64_t *s, const uint64_t *h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		uint64_t	x[2];

		get_element(x, p + 16 * i);
		x[0] ^= s[0];
		x[1] ^= s[1];
		slow_dot(s, x, h);
	}
}

/*
 * A message of n blocks whose tag is chosen, so that the counter starts close to
 * its end: RFC 8452 appendix C.3 has such ones, but only of two blocks.  The first block
 * of text is solved for; all comes from the RFC and from OpenSSL's AES alone.
 */
static void
wrapped_message(size_t n, uint32_t first_counter, size_t key_len)
{
	uint8_t		key_bytes[32];
	uint8_t		nonce[12];
	uint8_t		blocks[96] = {0};
	uint8_t		keys[48];
	uint8_t		tag[16];
	uint8_t		block[16];
	uint64_t	h[2];
	uint64_t	inverse[2];
	uint64_t	s[2];
	uint64_t	want[2];
	uint8_t    *text = allocate_random(16 * n);
	uint8_t    *expected = allocate(16 * n + 16);
	uint8_t    *out = allocate(16 * n + 16);
	uint32_t	counter = first_counter;

	random_bytes(key_bytes, sizeof(key_bytes));
	random_bytes(nonce, sizeof(nonce));
	for (int i = 0; i < 6; i++)
	{
		blocks[16 * i] = (uint8_t) i;
		memcpy(blocks + 16 * i + 4, nonce, 12);
	}
	aes_blocks(blocks, blocks, 6, key_bytes, key_len, 1);
	for (int i = 0; i < 6; i++)
		memcpy(keys + 8 * i, blocks + 16 * i, 8);
	get_element(h, keys);

	/* A tag with this counter, whose AES block could have come from POLYVAL. */
	do
	{
		random_bytes(tag, sizeof(tag));
		for (int i = 0; i < 4; i++)
			tag[i] = (uint8_t) (first_counter >> (8 * i));
		aes_blocks(block, tag, 1, keys + 16, key_len, 0);
	} while (block[15] & 0x80);
	for (int i = 0; i < 12; i++)
		block[i] ^= nonce[i];
	get_element(want, block);

	/*
	 * POLYVAL is linear: the first block times h^(n+1), plus the rest.  h's
	 * inverse is the power 2^128 - 2, where dot's own unit is x^128.
	 */
	memset(text, 0, 16);
	memset(block, 0, sizeof(block));
	for (int i = 0; i < 8; i++)
		block[8 + i] = (uint8_t) ((uint64_t) n * 128 >> (8 * i));
	s[0] = s[1] = 0;
	slow_polyval(s, h, text, n);
	slow_polyval(s, h, block, 1);
	want[0] ^= s[0];
	want[1] ^= s[1];
	inverse[0] = h[0];
	inverse[1] = h[1];
	for (int i = 0; i < 126; i++)
	{
		slow_dot(inverse, inverse, inverse);
		slow_dot(inverse, inverse, h);
	}
	slow_dot(inverse, inverse, inverse);
	for (size_t i = 0; i < n + 1; i++)
		slow_dot(want, want, inverse);
	put_element(text, want);

	for (size_t i = 0; i < n; i++, counter++)
	{
		memcpy(block, tag, 16);
		for (int j = 0; j < 4; j++)
			block[j] = (uint8_t) (counter >> (8 * j));
		block[15] |= 0x80;
		aes_blocks(expected + 16 * i, block, 1, keys + 16, key_len, 1);
		for (int j = 0; j < 16; j++)
			expected[16 * i + (size_t) j] ^= text[16 * i + (size_t) j];
	}
	memcpy(expected + 16 * n, tag, 16);

	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_key key;

		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, key_bytes, key_len) == PSEUDO_OK &&
			  pseudo_siv_seal(&key, nonce, NULL, 0, text, 16 * n, out) == PSEUDO_OK &&
			  memcmp(out, expected, 16 * n + 16) == 0, "sealed as by the slow way", n);
		check(pseudo_siv_open(&key, nonce, NULL, 0, expected, 16 * n + 16, out) == PSEUDO_OK &&
			  memcmp(out, text, 16 * n) == 0, "opened as by the slow way", n);
	}
	free(text);
	free(expected);
	free(out);
}

/* Counters that wrap, at each place within the loops of eight blocks. */
static void
test_counter_wrap(void)
{
	for (uint32_t before = 0; before < 40; before++)
	{
		wrapped_message(40, UINT32_MAX - before, before & 1 ? 16 : 32);
		wrapped_message(before + 1, UINT32_MAX - before / 2, before & 1 ? 32 : 16);
		wrapped_message(before + 1, UINT32_C(0x7fffffff) - before / 2, 32);
	}
	end_group("chosen counters, against the slow way");
}

/* Lengths that are refused. */
static void
test_limits(void)
{
	uint8_t		bytes[65] = {0};
	uint8_t		out[64];
	pseudo_siv_key key;
	const size_t too_long = ((size_t) 1 << 36) + 1;

	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		for (size_t len = 0; len <= 65; len++)
			check((pseudo_siv_key_init(&key, bytes, len) == PSEUDO_OK) == (len == 16 || len == 32) &&
				  (len == 16 || len == 32 || pseudo_siv_key_init(&key, bytes, len) == PSEUDO_BAD_KEY),
				  "key length", len);
		pseudo_siv_key_init(&key, bytes, 32);
		check(pseudo_siv_seal(&key, bytes, NULL, 0, bytes, too_long, out) == PSEUDO_TOO_LONG,
			  "text too long", 0);
		check(pseudo_siv_seal(&key, bytes, bytes, too_long, bytes, 1, out) == PSEUDO_TOO_LONG,
			  "AAD too long", 0);
		check(pseudo_pseudonym_seal((char *) out, &key, false, 0, NULL, NULL, 0, bytes, too_long) == PSEUDO_TOO_LONG,
			  "value too long", 0);
		check(pseudo_pseudonym_seal((char *) out, &key, false, 0, NULL, NULL, 0, bytes, SIZE_MAX) == PSEUDO_TOO_LONG,
			  "value as long as can be", 0);
		memset(out, 0xa5, sizeof(out));
		check(pseudo_siv_open(&key, bytes, bytes, too_long, bytes, 48, out) == PSEUDO_TOO_LONG,
			  "AAD too long to open", 0);
		check(all_zero(out, 32) && out[32] == 0xa5, "zeroed, and no more", 0);
		for (size_t len = 0; len < PSEUDO_TAG_LEN; len++)
			check(pseudo_siv_open(&key, bytes, NULL, 0, bytes, len, out) == PSEUDO_NOT_AUTHENTIC,
				  "shorter than a tag", len);
		for (size_t len = 0; len < PSEUDO_OVERHEAD; len++)
			check(pseudo_pseudonym_open(out, &key, NULL, 0, bytes, len) == PSEUDO_MALFORMED,
				  "shorter than nonce and tag", len);
		check(pseudo_siv_seal(&key, bytes, NULL, 0, NULL, 0, out) == PSEUDO_OK &&
			  pseudo_siv_open(&key, bytes, NULL, 0, out, PSEUDO_TAG_LEN, NULL) == PSEUDO_OK,
			  "empty text by null pointers", 0);
		out[3] ^= 1;
		check(pseudo_siv_open(&key, bytes, NULL, 0, out, PSEUDO_TAG_LEN, NULL) == PSEUDO_NOT_AUTHENTIC,
			  "empty text refused by null pointers", 0);
	}
	check(pseudo_siv_use("no such implementation") == 0, "unknown implementation", 0);
	end_group("limits");
}

/* ---- Nonces ---- */

/* The twelve characters of a nonce, by OpenSSL's HMAC. */
static void
slow_nonce(uint8_t *nonce, const uint8_t *key, size_t key_len, uint32_t start,
		   const uint8_t *value, size_t len)
{
	uint8_t		digest[32];
	char		hex[65];
	unsigned	n = 0;

	if (HMAC(EVP_sha256(), key, (int) key_len, value, len, digest, &n) == NULL || n != 32)
		exit(2);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	memcpy(nonce, hex + start, 12);
}

/* Deterministic nonces by an implementation of HMAC, against OpenSSL's HMAC. */
static void
test_deterministic(const char *name)
{
	char		group[80];
	uint8_t		key_bytes[200];
	uint8_t		value[400];
	uint8_t		nonce[12];
	uint8_t		expected[12];
	pseudo_nonce_key key;
	pseudo_nonce_key derived;

	random_bytes(key_bytes, sizeof(key_bytes));
	random_bytes(value, sizeof(value));
	check(pseudo_nonce_key_init(&key, key_bytes, 0, 0) == PSEUDO_BAD_KEY, "empty nonce key", 0);
	check(pseudo_nonce_key_init(&key, key_bytes, 32, 53) == PSEUDO_BAD_KEY, "start beyond 52", 0);
	check(pseudo_nonce_key_init(&key, key_bytes, 32, UINT32_MAX) == PSEUDO_BAD_KEY, "start beyond all", 0);

	for (size_t key_len = 1; key_len <= sizeof(key_bytes); key_len++)
	{
		uint32_t	start = (uint32_t) (key_len % 53);

		check(pseudo_nonce_key_init(&key, key_bytes, key_len, start) == PSEUDO_OK, "nonce key", key_len);
		for (size_t len = 0; len <= 300; len += key_len % 32 == 0 ? 1 : 7)
		{
			uint8_t    *exact = allocate(len);

			memcpy(exact, value, len);
			pseudo_nonce_deterministic(nonce, &key, exact, len);
			slow_nonce(expected, key_bytes, key_len, start, value, len);
			check(memcmp(nonce, expected, 12) == 0, "nonce", len);
			free(exact);
		}
	}
	for (uint32_t start = 0; start <= 52; start++)
	{
		for (size_t i = 0; i < 50; i++)
		{
			random_bytes(value, 22);
			check(pseudo_nonce_key_init(&key, key_bytes, 32, start) == PSEUDO_OK, "nonce key", start);
			pseudo_nonce_deterministic(nonce, &key, value, 22);
			slow_nonce(expected, key_bytes, 32, start, value, 22);
			check(memcmp(nonce, expected, 12) == 0, "window", start);
		}
	}
	pseudo_nonce_deterministic(nonce, &key, NULL, 0);
	slow_nonce(expected, key_bytes, 32, 52, value, 0);
	check(memcmp(nonce, expected, 12) == 0, "empty value by a null pointer", 0);
	snprintf(group, sizeof(group), "deterministic nonces, %s", name);
	end_group(group);

	for (size_t len = 1; len <= 300; len++)
	{
		uint8_t		message[400] = "\377pseudo/context";	/* and a zero */
		uint8_t		derived_bytes[32];
		unsigned	n;
		uint32_t	start = (uint32_t) (len % 53);

		random_bytes(message + 16, len);
		check(pseudo_nonce_key_init(&key, key_bytes, 32, start) == PSEUDO_OK, "nonce key", len);
		pseudo_nonce_key_derive(&derived, &key, message + 16, len);
		HMAC(EVP_sha256(), key_bytes, 32, message, 16 + len, derived_bytes, &n);
		pseudo_nonce_deterministic(nonce, &derived, value, 22);
		slow_nonce(expected, derived_bytes, 32, start, value, 22);
		check(memcmp(nonce, expected, 12) == 0, "context", len);
	}
	end_group("context keys");
}

/* Add a nonce to a table of 64-bit words; false where it is there already. */
static bool
add_nonce(uint64_t *table, size_t size, const uint8_t *nonce)
{
	uint64_t	word;
	uint32_t	rest;
	size_t		i;

	/* The last 4 bytes say where to look, the first 8 what for. */
	memcpy(&word, nonce, 8);
	memcpy(&rest, nonce + 8, 4);
	if (word == 0)
		word = 1;
	for (i = rest & (size - 1); table[i] != 0; i = (i + 1) & (size - 1))
		if (table[i] == word)
			return false;
	table[i] = word;
	return true;
}

/* Random nonces never repeat, and every bit is set half of the time. */
static void
test_random(void)
{
	size_t		size = 1;
	uint64_t   *table;
	unsigned long bits[96] = {0};

	while (size < n_nonces + n_nonces / 2)
		size *= 2;
	table = calloc(size, sizeof(*table));
	if (table == NULL)
		exit(2);
	for (unsigned long i = 0; i < n_nonces; i++)
	{
		uint8_t		nonce[12];
		bool		ok = pseudo_nonce_random(nonce) == PSEUDO_OK;

		check(ok && add_nonce(table, size, nonce), "a nonce never seen before", i);
		if (i < 100000)
			for (int b = 0; b < 96; b++)
				bits[b] += nonce[b / 8] >> (b % 8) & 1;
	}
	free(table);
	if (n_nonces >= 100000)
		for (int b = 0; b < 96; b++)	/* ten standard deviations */
			check(bits[b] > 50000 - 1581 && bits[b] < 50000 + 1581, "bit set half of the time",
				  bits[b]);
	end_group("random nonces");
}

/* Draw nonces in a child; the parent reads them. */
static bool
nonces_of_child(uint8_t *nonces, size_t n)
{
	int			ends[2];
	pid_t		child;
	size_t		got = 0;
	int			status;

	if (pipe(ends) != 0)
		return false;
	child = fork();
	if (child == 0)
	{
		for (size_t i = 0; i < n; i++)
			if (pseudo_nonce_random(nonces + 12 * i) != PSEUDO_OK)
				_exit(1);
		for (size_t i = 0; i < n; i++)
			if (write(ends[1], nonces + 12 * i, 12) != 12)
				_exit(1);
		_exit(0);
	}
	close(ends[1]);
	while (got < 12 * n)
	{
		ssize_t		r = read(ends[0], nonces + got, 12 * n - got);

		if (r <= 0)
			break;
		got += (size_t) r;
	}
	close(ends[0]);
	return child > 0 && waitpid(child, &status, 0) == child &&
		WIFEXITED(status) && WEXITSTATUS(status) == 0 && got == 12 * n;
}

/* A child draws none that its parent or its sibling draws. */
static void
test_fork(void)
{
	enum
	{
		N = 700, SIZE = 8192
	};

	for (size_t used = 0; used < 345; used += 23)
	{
		uint64_t   *table = calloc(SIZE, sizeof(*table));
		uint8_t		nonce[12];
		static uint8_t first[12 * N];
		static uint8_t second[12 * N];

		if (table == NULL)
			exit(2);
		/* Fork at different fillings of the store. */
		for (size_t i = 0; i < used; i++)
			if (pseudo_nonce_random(nonce) != PSEUDO_OK)
				exit(2);
		check(nonces_of_child(first, N), "child", used);
		check(nonces_of_child(second, N), "second child", used);
		for (size_t i = 0; i < N; i++)
		{
			check(pseudo_nonce_random(nonce) == PSEUDO_OK && add_nonce(table, SIZE, nonce),
				  "the parent's own", i);
			check(add_nonce(table, SIZE, first + 12 * i), "the child's own", i);
			check(add_nonce(table, SIZE, second + 12 * i), "the second child's own", i);
		}
		free(table);
	}
	end_group("nonces after fork");
}

/* ---- Base64 ---- */

/*
 * Check that decoding, both ways, gives what the canonical rule says: text is
 * accepted where OpenSSL's encoder makes just this text of some bytes.
 */
static void
check_decode(const char *text, size_t len)
{
	char	   *copy = (char *) allocate(len);
	uint8_t    *out = allocate(PSEUDO_BASE64_BYTES(len));
	uint8_t		bytes[1024];
	uint8_t		again[1024];
	size_t		expected_len = 0;
	size_t		out_len = 12345;
	bool		valid = len % 4 == 0;
	pseudo_status status;

	memcpy(copy, text, len);
	if (valid && len > 0)
	{
		int			n = EVP_DecodeBlock(bytes, (const uint8_t *) text, (int) len);

		if (n < 0)
			valid = false;
		else
		{
			expected_len = (size_t) n - (size_t) (text[len - 1] == '=') -
				(size_t) (text[len - 1] == '=' && text[len - 2] == '=');
			valid = expected_len <= (size_t) n &&
				EVP_EncodeBlock(again, bytes, (int) expected_len) == (int) len &&
				memcmp(again, text, len) == 0;
		}
	}

	status = pseudo_base64_decode(out, &out_len, copy, len);
	if (valid)
		check(status == PSEUDO_OK && out_len == expected_len && memcmp(out, bytes, expected_len) == 0,
			  "canonical text accepted", len);
	else
		check(status == PSEUDO_MALFORMED, "other text refused", len);

	status = pseudo_base64_decode((uint8_t *) copy, &out_len, copy, len);
	check(valid ? status == PSEUDO_OK && out_len == expected_len && memcmp(copy, bytes, expected_len) == 0 :
		  status == PSEUDO_MALFORMED, "decoded in place", len);
	free(copy);
	free(out);
}

/* Encoding by an implementation, against OpenSSL's. */
static void
test_encode(const char *name)
{
	char		group[80];

	for (size_t len = 0; len <= 700; len++)
	{
		size_t		n = PSEUDO_BASE64_LEN(len);
		uint8_t    *bytes = allocate_random(len);
		char	   *text = (char *) allocate(n);
		char	   *overlapping = (char *) allocate(n);
		uint8_t		expected[1024] = {0};
		uint8_t    *decoded = allocate(PSEUDO_BASE64_BYTES(n));
		size_t		decoded_len;

		check(EVP_EncodeBlock(expected, bytes, (int) len) == (int) n, "length of the text", len);
		pseudo_base64_encode(text, bytes, len);
		check(memcmp(text, expected, n) == 0, "text", len);
		memcpy(overlapping + n - len, bytes, len);
		pseudo_base64_encode(overlapping, (uint8_t *) overlapping + n - len, len);
		check(memcmp(overlapping, expected, n) == 0, "text over its bytes", len);
		check(pseudo_base64_decode(decoded, &decoded_len, text, n) == PSEUDO_OK &&
			  decoded_len == len && memcmp(decoded, bytes, len) == 0, "and back", len);
		free(bytes);
		free(text);
		free(overlapping);
		free(decoded);
	}
	snprintf(group, sizeof(group), "base64 encoding, %s", name);
	end_group(group);
}

/* Every corruption of a text, for an implementation, each judged by check_decode. */
static void
test_decode(const char *name)
{
	char		group[80];
	static const char white_space[] = " \t\n\r\v\f";
	uint8_t		bytes[64];
	char		text[128];
	char		other[128];

	for (size_t len = 0; len <= 64; len++)
	{
		size_t		n = PSEUDO_BASE64_LEN(len);

		random_bytes(bytes, len);
		pseudo_base64_encode(text, bytes, len);
		check_decode(text, n);

		/* Every other byte at every place: url alphabet, white space, spare bits, zeros. */
		for (size_t i = 0; i < n; i++)
		{
			memcpy(other, text, n);
			for (int c = 0; c < 256; c++)
			{
				other[i] = (char) c;
				check_decode(other, n);
			}
		}
		/* Cut off anywhere: missing padding, missing characters. */
		for (size_t i = 0; i < n; i++)
			check_decode(text, i);
		/* Extra padding, in place of characters and after them. */
		for (size_t extra = 1; extra <= 8; extra++)
		{
			memcpy(other, text, n);
			memset(other + n, '=', extra);
			check_decode(other, n + extra);
			if (extra <= n)
			{
				memset(other + n - extra, '=', extra);
				check_decode(other, n);
			}
		}
		/* White space inserted: one, and four so that the length still fits. */
		for (size_t i = 0; i <= n; i++)
		{
			for (const char *w = white_space; *w != '\0'; w++)
			{
				for (size_t k = 1; k <= 4; k++)
				{
					memcpy(other, text, i);
					memset(other + i, *w, k);
					memcpy(other + i + k, text + i, n - i);
					check_decode(other, n + k);
				}
			}
		}
	}
	snprintf(group, sizeof(group), "base64 decoding, %s", name);
	end_group(group);
}

/* ---- Edges ---- */

/* A page between two that must not be touched. */
static uint8_t *
guarded_page(size_t size)
{
	uint8_t    *pages = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + size, size, PROT_READ | PROT_WRITE) != 0)
		exit(2);
	return pages + size;
}

/*
 * Everything on memory of just the length it takes, at the very start or the very end of a page:
 * the sanitizers do not see what is read or written under masks.
 */
static void
one_edge(uint8_t *const *pages, size_t page_len, size_t len, bool at_end, const pseudo_siv_key *key,
		 const pseudo_nonce_key *nonce_key)
{
	size_t		n_bytes = PSEUDO_OVERHEAD + len;
	size_t		n_text = PSEUDO_BASE64_LEN(n_bytes);
	uint8_t    *value = pages[0] + (at_end ? page_len - len : 0);
	uint8_t    *text = pages[1] + (at_end ? page_len - n_text : 0);
	uint8_t    *bytes = pages[2] + (at_end ? page_len - n_bytes : 0);
	uint8_t    *back = pages[3] + (at_end ? page_len - len : 0);
	uint8_t		nonce[PSEUDO_NONCE_LEN];
	size_t		n = 0;

	random_bytes(value, len);
	check(pseudo_pseudonym_seal((char *) text, key, false, 0, nonce_key, value, len, value, len) == PSEUDO_OK,
		  "seal at an edge", len);
	if (n_bytes == PSEUDO_BASE64_BYTES(n_text))	/* else the room is larger */
		check(pseudo_base64_decode(bytes, &n, (char *) text, n_text) == PSEUDO_OK && n == n_bytes,
			  "decode at an edge", len);
	else
	{
		uint8_t    *larger = pages[2] + (at_end ? page_len - PSEUDO_BASE64_BYTES(n_text) : 0);

		check(pseudo_base64_decode(larger, &n, (char *) text, n_text) == PSEUDO_OK && n == n_bytes,
			  "decode at an edge", len);
		memmove(bytes, larger, n_bytes);
	}
	check(pseudo_pseudonym_open(back, key, value, len, bytes, n_bytes) == PSEUDO_OK &&
		  memcmp(back, value, len) == 0, "open at an edge", len);
	pseudo_base64_encode((char *) text, bytes, n_bytes);
	pseudo_nonce_deterministic(nonce, nonce_key, value, len);
	check(memcmp(bytes, nonce, PSEUDO_NONCE_LEN) == 0, "nonce at an edge", len);
}

/* Both edges, in each implementation of everything. */
static void
test_edges(void)
{
	const char *best_hmac = pseudo_hmac_get_impl()->name;
	const char *best_base64 = pseudo_base64_get_impl()->name;
	size_t		page_len = (size_t) sysconf(_SC_PAGESIZE);
	uint8_t    *pages[4];
	uint8_t		key_bytes[32];
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	for (int i = 0; i < 4; i++)
		pages[i] = guarded_page(page_len);
	random_bytes(key_bytes, sizeof(key_bytes));
	check(pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 5) == PSEUDO_OK, "nonce key", 0);
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK, "key", 0);
		for (const pseudo_hmac_impl *const *hmac = pseudo_hmac_impls; *hmac != NULL; hmac++)
			for (const pseudo_base64_impl *const *base64 = pseudo_base64_impls; *base64 != NULL; base64++)
				if (pseudo_hmac_use((*hmac)->name) && pseudo_base64_use((*base64)->name))
					for (size_t len = 0; len <= 1100; len += len < 260 ? 1 : 41)
					{
						one_edge(pages, page_len, len, false, &key, &nonce_key);
						one_edge(pages, page_len, len, true, &key, &nonce_key);
					}
	}
	pseudo_hmac_use(best_hmac);
	pseudo_base64_use(best_base64);
	for (int i = 0; i < 4; i++)
		munmap(pages[i] - page_len, 3 * page_len);
	end_group("nothing outside of the memory given");
}

/* ---- Pseudonyms ---- */

/* Prefixes are written, read, and not imagined. */
static void
test_prefix(void)
{
	uint8_t		bytes[64] = {0};
	uint32_t	key_id;
	static const uint32_t ids[] = {0, 1, 0x01020304, 0x7fffffff, 0x80000000, UINT32_MAX};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
	{
		uint8_t		expected[5] = {1, (uint8_t) (ids[i] >> 24), (uint8_t) (ids[i] >> 16),
		(uint8_t) (ids[i] >> 8), (uint8_t) ids[i]};

		pseudo_prefix_write(bytes, ids[i]);
		check(memcmp(bytes, expected, 5) == 0 && bytes[5] == 0, "prefix written", ids[i]);
		for (size_t len = 0; len <= sizeof(bytes); len++)
		{
			bool		found;

			key_id = ~ids[i];
			found = pseudo_prefix_read(bytes, len, &key_id);
			check(found == (len >= 33) && key_id == (found ? ids[i] : ~ids[i]), "prefix read", len);
		}
	}
	for (int c = 0; c < 256; c++)
	{
		bytes[0] = (uint8_t) c;
		check(pseudo_prefix_read(bytes, sizeof(bytes), &key_id) == (c == 1), "first byte", (unsigned) c);
	}
	end_group("prefixes");
}

/* One pseudonym, made and taken apart by its parts. */
static void
one_pseudonym(size_t len, bool has_prefix, bool random_mode, size_t aad_len)
{
	size_t		n_prefix = has_prefix ? PSEUDO_PREFIX_LEN : 0;
	size_t		n = PSEUDO_BASE64_LEN(n_prefix + PSEUDO_OVERHEAD + len);
	uint8_t    *value = allocate_random(len);
	uint8_t    *aad = allocate_random(aad_len);
	char	   *text = (char *) allocate(n);
	uint8_t    *bytes = allocate(PSEUDO_BASE64_BYTES(n));
	uint8_t    *sealed = allocate(len + PSEUDO_TAG_LEN);
	uint8_t    *opened = allocate(len);
	uint8_t		key_bytes[32];
	uint8_t		nonce[12];
	size_t		n_bytes;
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	random_bytes(key_bytes, 32);
	check(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK &&
		  pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 7) == PSEUDO_OK, "keys", len);
	check(pseudo_pseudonym_seal(text, &key, has_prefix, 0xdeadbeef, random_mode ? NULL : &nonce_key,
								aad, aad_len, value, len) == PSEUDO_OK, "pseudonym", len);
	check(pseudo_base64_decode(bytes, &n_bytes, text, n) == PSEUDO_OK &&
		  n_bytes == n_prefix + PSEUDO_OVERHEAD + len, "its bytes", len);
	if (has_prefix)
		check(memcmp(bytes, "\001\336\255\276\357", 5) == 0, "its prefix", len);
	if (!random_mode)
	{
		slow_nonce(nonce, key_bytes, 32, 7, value, len);
		check(memcmp(bytes + n_prefix, nonce, 12) == 0, "its nonce", len);
	}
	check(pseudo_siv_seal(&key, bytes + n_prefix, aad, aad_len, value, len, sealed) == PSEUDO_OK &&
		  memcmp(sealed, bytes + n_prefix + 12, len + PSEUDO_TAG_LEN) == 0, "its ciphertext", len);
	check(pseudo_pseudonym_open(opened, &key, aad, aad_len, bytes + n_prefix, n_bytes - n_prefix) == PSEUDO_OK &&
		  memcmp(opened, value, len) == 0, "its value", len);
	bytes[n_prefix + random_below(n_bytes - n_prefix)] ^= 4;
	check(pseudo_pseudonym_open(opened, &key, aad, aad_len, bytes + n_prefix, n_bytes - n_prefix) == PSEUDO_NOT_AUTHENTIC &&
		  all_zero(opened, len), "altered", len);
	free(value);
	free(aad);
	free(text);
	free(bytes);
	free(sealed);
	free(opened);
}

/* Whole pseudonyms of all lengths, in each implementation. */
static void
test_pseudonyms(void)
{
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		for (size_t len = 0; len <= 300; len++)
			for (int mode = 0; mode < 4; mode++)
				one_pseudonym(len, mode & 1, mode & 2, len % 3 == 0 ? 0 : len % 40);
		one_pseudonym(MIB, true, false, 9);
	}
	end_group("pseudonyms");
}

/* ---- All of it ---- */

/* Read the arguments. */
static void
parse_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2)
	{
		char	   *end = NULL;
		unsigned long long n = i + 1 < argc ? strtoull(argv[i + 1], &end, 10) : 0;

		if (end == NULL || *end != '\0' || end == argv[i + 1])
			end = NULL;
		if (end != NULL && strcmp(argv[i], "--messages") == 0)
			n_messages = n;
		else if (end != NULL && strcmp(argv[i], "--nonces") == 0)
			n_nonces = n;
		else if (end != NULL && strcmp(argv[i], "--seed") == 0)
			seed = n;
		else
		{
			fprintf(stderr, "usage: core [--messages N] [--nonces N] [--seed N]\n");
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	const char *only = getenv("PSEUDO_SIV_IMPL");

	const char *best_hmac = pseudo_hmac_get_impl()->name;
	const char *best_base64 = pseudo_base64_get_impl()->name;

	parse_arguments(argc, argv);
	for (int i = 0; pseudo_siv_impls[i] != NULL && n_impls < MAX_IMPLS; i++)
	{
		const char *name = pseudo_siv_impls[i]->name;

		if ((only == NULL || only[0] == '\0' || strcmp(only, name) == 0) && pseudo_siv_use(name))
			impls[n_impls++] = name;
	}
	if (n_impls == 0)
	{
		fprintf(stderr, "no implementation to test\n");
		return 1;
	}
	printf("seed %llu, implementations:", (unsigned long long) seed);
	for (int i = 0; i < n_impls; i++)
		printf(" %s", impls[i]);
	printf("\n");
	fflush(stdout);

	test_agreement();
	test_batches();
	test_counter_wrap();
	test_limits();
	for (const pseudo_hmac_impl *const *impl = pseudo_hmac_impls; *impl != NULL; impl++)
		if (pseudo_hmac_use((*impl)->name))
			test_deterministic((*impl)->name);
	pseudo_hmac_use(best_hmac);
	test_random();
	test_fork();
	for (const pseudo_base64_impl *const *impl = pseudo_base64_impls; *impl != NULL; impl++)
	{
		if (!pseudo_base64_use((*impl)->name))
			continue;
		test_encode((*impl)->name);
		test_decode((*impl)->name);
	}
	pseudo_base64_use(best_base64);
	test_edges();
	test_prefix();
	test_pseudonyms();
	return all_failed == 0 ? 0 : 1;
}
