/*
 * secrets.c
 *		No branch and no address may depend on a secret: the core under valgrind's memcheck, with
 *		keys, nonce keys and values marked undefined.
 *
 *	valgrind secrets
 *
 * memcheck reports each branch on what is undefined, and each address made of it, and follows it through all
 * that is computed.  The core is compiled with PSEUDO_CHECK_SECRETS, by which it declares (DECLASSIFY)
 * what is public: ciphertexts and tags, and whether a tag was right.  One test is one call
 * that makes no report.
 *
 * valgrind runs the implementations that it knows the instructions of; the others of AES-GCM-SIV
 * are the same source (siv_single.h, siv_batch.h), with wider vectors.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "../../src/core/base64.h"
#include "../../src/core/hmac.h"
#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define MAX_LEN	3000			/* bytes of a value */
#define BATCH	20

static unsigned long passed;
static unsigned long failed;
static unsigned long reports;	/* of memcheck, before a call */

static uint8_t key_bytes[32];
static uint8_t nonce_key_bytes[32];
static uint8_t value[MAX_LEN];
static uint8_t nonce[PSEUDO_NONCE_LEN];
static uint8_t aad[100];
static uint8_t sealed[BATCH][MAX_LEN + PSEUDO_TAG_LEN];
static uint8_t opened[BATCH][MAX_LEN];
static char text[BATCH][PSEUDO_BASE64_LEN(MAX_LEN + PSEUDO_OVERHEAD + PSEUDO_PREFIX_LEN)];

static const size_t lengths[] = {0, 1, 3, 7, 8, 15, 16, 17, 22, 31, 32, 33, 55, 56, 64, 100, 247, 300, 600, MAX_LEN};

#define N_LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

/* Count one test. */
static void
check(bool ok, const char *what, size_t len)
{
	if (ok)
	{
		passed++;
		return;
	}
	failed++;
	fprintf(stderr, "FAILED: %s, %zu bytes, by %s, %s\n", what, len, pseudo_siv_get_choice()->name,
			pseudo_hmac_get_impl()->name);
}

/* Before a call: the secrets are undefined, whatever an earlier call made of them. */
static void
begin(void)
{
	(void) VALGRIND_MAKE_MEM_UNDEFINED(key_bytes, sizeof(key_bytes));
	(void) VALGRIND_MAKE_MEM_UNDEFINED(nonce_key_bytes, sizeof(nonce_key_bytes));
	(void) VALGRIND_MAKE_MEM_UNDEFINED(value, sizeof(value));
	reports = VALGRIND_COUNT_ERRORS;
}

/* After it: no report was made. */
static void
end(const char *what, size_t len)
{
	check(VALGRIND_COUNT_ERRORS == reports, what, len);
}

/* Whether some of len bytes are undefined: else what made them was not watched. */
static bool
is_secret(const void *p, size_t len)
{
	const uint8_t *bytes = p;

	for (size_t i = 0; i < len; i++)
	{
		uint8_t		bits = 0;

		(void) VALGRIND_GET_VBITS(bytes + i, &bits, 1);
		if (bits != 0)
			return true;
	}
	return false;
}

/* Make bytes public. */
static void
publish(void *p, size_t len)
{
	(void) VALGRIND_MAKE_MEM_DEFINED(p, len);
}

/* One message: sealed, opened, and refused. */
static void
check_message(const pseudo_siv_key *key, size_t len, size_t aad_len)
{
	pseudo_status status;

	begin();
	status = pseudo_siv_seal(key, nonce, aad, aad_len, value, len, sealed[0]);
	end("seal", len);
	check(status == PSEUDO_OK && (len == 0 || is_secret(sealed[0], len)), "seal was watched", len);
	publish(sealed[0], len + PSEUDO_TAG_LEN);

	begin();
	status = pseudo_siv_open(key, nonce, aad, aad_len, sealed[0], len + PSEUDO_TAG_LEN, opened[0]);
	end("open", len);
	check(status == PSEUDO_OK && (len == 0 || is_secret(opened[0], len)), "open was watched", len);

	sealed[0][len / 2] ^= 1;
	begin();
	status = pseudo_siv_open(key, nonce, aad, aad_len, sealed[0], len + PSEUDO_TAG_LEN, opened[0]);
	end("refusing open", len);
	check(status == PSEUDO_NOT_AUTHENTIC, "refused", len);
}

/* Messages in a batch: sealed, then opened but for one. */
static void
check_batch(const pseudo_siv_key *key, size_t len, size_t aad_len)
{
	pseudo_siv_item items[BATCH];
	bool		ok = true;

	for (size_t i = 0; i < BATCH; i++)
		items[i] = (pseudo_siv_item) {.nonce = nonce, .in = value, .in_len = i % 3 ? len : len / 2, .out = sealed[i]};
	begin();
	pseudo_siv_seal_batch(key, aad, aad_len, items, BATCH);
	end("seal in a batch", len);
	for (size_t i = 0; i < BATCH; i++)
	{
		size_t		sealed_len = items[i].in_len + PSEUDO_TAG_LEN;

		ok = ok && items[i].status == PSEUDO_OK && (items[i].in_len == 0 || is_secret(sealed[i], items[i].in_len));
		publish(sealed[i], sealed_len);
		items[i] = (pseudo_siv_item) {.nonce = nonce, .in = sealed[i], .in_len = sealed_len, .out = opened[i]};
	}
	check(ok, "the batch was watched", len);
	sealed[3][0] ^= 1;
	begin();
	pseudo_siv_open_batch(key, aad, aad_len, items, BATCH);
	end("open in a batch", len);
	for (size_t i = 0; i < BATCH; i++)
		check(items[i].status == (i == 3 ? PSEUDO_NOT_AUTHENTIC : PSEUDO_OK), "opened in a batch", len);
}

/* Whole pseudonyms, deterministic, one and in a batch, and the keys of a context. */
static void
check_pseudonyms(const pseudo_siv_key *key, const pseudo_nonce_key *nonce_key, size_t len, size_t aad_len)
{
	pseudo_batch_item items[BATCH];
	pseudo_nonce_key derived;
	uint8_t		made[PSEUDO_NONCE_LEN];

	begin();
	pseudo_nonce_deterministic(made, nonce_key, value, len);
	end("nonce", len);
	check(is_secret(made, sizeof(made)), "the nonce was watched", len);

	begin();
	pseudo_nonce_key_derive(&derived, nonce_key, aad, aad_len);
	end("nonce key of a context", aad_len);
	check(is_secret(&derived, sizeof(derived)), "the nonce key was watched", aad_len);

	begin();
	check(pseudo_pseudonym_seal(text[0], key, true, 7, &derived, aad, aad_len, value, len) == PSEUDO_OK, "sealed", len);
	end("pseudonym", len);

	for (size_t i = 0; i < BATCH; i++)
		items[i] = (pseudo_batch_item) {.in = value, .len = i % 3 ? len : len / 2, .out = text[i]};
	begin();
	pseudo_pseudonym_seal_batch(items, BATCH, key, true, 7, &derived, aad, aad_len);
	end("pseudonyms in a batch", len);
}

/* All of it, with the implementations in use. */
static void
check_implementation(size_t key_len)
{
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	begin();
	check(pseudo_siv_key_init(&key, key_bytes, key_len) == PSEUDO_OK, "key", key_len);
	end("key_init", key_len);
	check(is_secret(key.key, key_len), "the key was watched", key_len);
	begin();
	check(pseudo_nonce_key_init(&nonce_key, nonce_key_bytes, key_len, 5) == PSEUDO_OK, "nonce key", key_len);
	end("nonce_key_init", key_len);
	check(is_secret(nonce_key.inner, sizeof(nonce_key.inner)), "the nonce key was watched", key_len);

	for (size_t i = 0; i < N_LENGTHS; i++)
		for (size_t aad_len = 0; aad_len <= sizeof(aad); aad_len += 50)
		{
			check_message(&key, lengths[i], aad_len);
			check_batch(&key, lengths[i], aad_len);
			check_pseudonyms(&key, &nonce_key, lengths[i], aad_len);
		}
}

/* A branch and an address that depend on a secret, as a test of the tests: each must be reported. */
static void
check_planted(void)
{
	static const uint8_t table[256] = {1};
	volatile uint8_t sum = 0;

	begin();
	if (key_bytes[3] & 1)
		sum++;
	check(VALGRIND_COUNT_ERRORS > reports, "a planted branch is found", 0);
	begin();
	sum = table[value[3]];
	check(VALGRIND_COUNT_ERRORS > reports, "a planted address is found", 0);
	(void) sum;
}

int
main(void)
{
	if (!RUNNING_ON_VALGRIND)
	{
		fprintf(stderr, "secrets: runs under valgrind only\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t) (i * 7);
	for (const pseudo_siv_choice *siv = pseudo_siv_choices; siv->name != NULL; siv++)
	{
		if (!pseudo_siv_use(siv->name))
			continue;
		for (const pseudo_hmac_impl *const *hmac = pseudo_hmac_impls; *hmac != NULL; hmac++)
		{
			if (!pseudo_hmac_use((*hmac)->name))
				continue;
			check_implementation(16);
			check_implementation(32);
			printf("secrets, %s, HMAC by %s: %lu passed, %lu failed\n", siv->name, (*hmac)->name, passed, failed);
			passed = 0;
			if (failed > 0)
				return 1;
		}
	}
	check_planted();
	printf("secrets, planted leaks: %lu passed, %lu failed\n", passed, failed);
	return failed > 0;
}
