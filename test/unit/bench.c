/*
 * bench.c
 *		How long the core takes, beside OpenSSL in the same run: nanoseconds per
 *		call for a short value, gigabytes per second for a long one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* clock_gettime */
#endif
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define LONG_LEN (1 << 20)
#define REPEATS 7				/* the best of these counts */

static pseudo_siv_key siv_key;
static pseudo_nonce_key nonce_key;
static uint8_t key_bytes[32];
static uint8_t value[LONG_LEN];
static uint8_t sealed[LONG_LEN + 16];
static uint8_t opened[LONG_LEN + 16];
static char text[256];
static uint8_t nonce[12];
static size_t value_len = 22;
static EVP_CIPHER_CTX *gcm;

/* Now, in nanoseconds. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* The time of one call, of n. */
static double
measure(void (*call) (void), int n)
{
	double		best = 1e18;

	for (int r = 0; r < REPEATS; r++)
	{
		double		start = now();
		double		t;

		for (int i = 0; i < n; i++)
			call();
		t = (now() - start) / n;
		if (t < best)
			best = t;
	}
	return best;
}

/* Stop where something fails: a failure has no time. */
static void
expect(int ok)
{
	if (!ok)
	{
		fprintf(stderr, "a call failed\n");
		exit(1);
	}
}

static void
call_seal(void)
{
	expect(pseudo_siv_seal(&siv_key, nonce, NULL, 0, value, value_len, sealed) == PSEUDO_OK);
	nonce[0]++;
}

static void
call_open(void)
{
	expect(pseudo_siv_open(&siv_key, nonce, NULL, 0, sealed, value_len + 16, opened) == PSEUDO_OK);
}

static void
call_nonce(void)
{
	pseudo_nonce_deterministic(nonce, &nonce_key, value, value_len);
}

static void
call_random(void)
{
	expect(pseudo_nonce_random(nonce) == PSEUDO_OK);
}

static void
call_pseudonym(void)
{
	expect(pseudo_pseudonym_seal(text, &siv_key, false, 0, &nonce_key, NULL, 0,
								 value, value_len) == PSEUDO_OK);
}

static void
call_reidentify(void)
{
	size_t		len;

	expect(pseudo_base64_decode(sealed, &len, text, PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD + value_len)) == PSEUDO_OK);
	expect(pseudo_pseudonym_open(opened, &siv_key, NULL, 0, sealed, len) == PSEUDO_OK);
}

static void
call_encode(void)
{
	pseudo_base64_encode(text, value, 50);
}

static void
call_decode(void)
{
	size_t		len;

	expect(pseudo_base64_decode(opened, &len, text, 68) == PSEUDO_OK);
}

static void
call_hmac(void)
{
	unsigned	len;
	uint8_t		digest[32];

	expect(HMAC(EVP_sha256(), key_bytes, 32, value, value_len, digest, &len) != NULL);
}

static void
call_gcm_seal(void)
{
	int			n;

	expect(EVP_EncryptInit_ex(gcm, NULL, NULL, NULL, nonce) == 1 &&
		   EVP_EncryptUpdate(gcm, sealed, &n, value, (int) value_len) == 1 &&
		   EVP_EncryptFinal_ex(gcm, sealed + value_len, &n) == 1 &&
		   EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_GCM_GET_TAG, 16, sealed + value_len) == 1);
}

int
main(void)
{
	double		hmac;
	double		t;

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t) ('a' + i % 23);
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (uint8_t) (i * 7 + 1);
	expect(pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 0) == PSEUDO_OK);
	gcm = EVP_CIPHER_CTX_new();
	expect(EVP_EncryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, key_bytes, nonce) == 1);

	hmac = measure(call_hmac, 200000);
	printf("22 bytes, AES-256; ns per call, times OpenSSL's HMAC()\n");
	printf("%-34s %8.1f %6.2f\n", "OpenSSL HMAC-SHA256", hmac, 1.0);
	t = measure(call_nonce, 1000000);
	printf("%-34s %8.1f %6.2f\n", "deterministic nonce", t, t / hmac);
	t = measure(call_random, 1000000);
	printf("%-34s %8.1f %6.2f\n", "random nonce", t, t / hmac);
	t = measure(call_encode, 1000000);
	printf("%-34s %8.1f %6.2f\n", "base64 encode, 50 bytes", t, t / hmac);
	t = measure(call_decode, 1000000);
	printf("%-34s %8.1f %6.2f\n", "base64 decode, 68 characters", t, t / hmac);

	for (const pseudo_siv_impl *const *impl = pseudo_siv_impls; *impl != NULL; impl++)
	{
		int			fast = impl[1] != NULL;
		int			n = fast ? 1000000 : 50000;

		if (!pseudo_siv_use((*impl)->name))
			continue;
		expect(pseudo_siv_key_init(&siv_key, key_bytes, 32) == PSEUDO_OK);
		printf("%s\n", (*impl)->name);
		t = measure(call_seal, n);
		printf("%-34s %8.1f %6.2f\n", "  seal", t, t / hmac);
		call_seal();
		nonce[0]--;
		t = measure(call_open, n);
		printf("%-34s %8.1f %6.2f\n", "  open", t, t / hmac);
		t = measure(call_pseudonym, n);
		printf("%-34s %8.1f %6.2f\n", "  deterministic pseudonym, whole", t, t / hmac);
		t = measure(call_reidentify, n);
		printf("%-34s %8.1f %6.2f\n", "  back to the value, whole", t, t / hmac);

		value_len = LONG_LEN;
		t = measure(call_seal, fast ? 300 : 10);
		printf("%-34s %8.2f GB/s\n", "  seal 1 MiB", LONG_LEN / t);
		call_seal();
		nonce[0]--;
		t = measure(call_open, fast ? 300 : 10);
		printf("%-34s %8.2f GB/s\n", "  open 1 MiB", LONG_LEN / t);
		value_len = 22;
	}
	value_len = LONG_LEN;
	t = measure(call_gcm_seal, 300);
	printf("OpenSSL AES-256-GCM\n%-34s %8.2f GB/s\n", "  seal 1 MiB", LONG_LEN / t);
	EVP_CIPHER_CTX_free(gcm);
	return 0;
}
