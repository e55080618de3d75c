/*
 * bench.c
 *		How long the core takes, beside OpenSSL in the same run.
 *
 *	bench [--rounds N] [--all]		times; without --all, 22 bytes and 1 MiB only
 *	bench --count					under callgrind, dump the instructions of each case
 *
 * The machine may be busy with other things: all that is compared is measured in
 * turns, a short while each, and each ratio is the median over all turns of
 * the ratio to what was measured in the same turn.  The yardstick is one HMAC-SHA256
 * of the same value by OpenSSL's SHA256_* from copied inner and outer states;
 * for a megabyte, OpenSSL's EVP AES-256-GCM.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* clock_gettime */
#endif
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif

#include "../../src/core/base64.h"
#include "../../src/core/hmac.h"
#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define MIB			(1 << 20)
#define BATCH		64				/* values to a batch */
#define MAX_SHORT	1350
#define MAX_ROUNDS	101
#define MAX_CASES	320
#define TURN_NS		300000.0		/* of one case in one round */

/* What a processor uses together. */
typedef struct impl_set
{
	const char *siv;
	const char *hmac;
	const char *base64;
} impl_set;

static const impl_set sets[] = {
	{"x86_64-avx512, one by avx512vl", "x86_64-avx512", "x86_64-avx512"},
	{"x86_64-avx512, one by vaes", "x86_64-avx512", "x86_64-avx512"},
	{"x86_64-avx512", "x86_64-avx512", "x86_64-avx512"},
	{"x86_64-vaes", "x86_64-sha", "x86_64-avx2"},
	{"x86_64-aesni", "x86_64-sha", "x86_64-avx2"},
	{"armv8-aes", "armv8-sha2", "portable"},
	{"portable", "OpenSSL", "portable"}
};

typedef struct bench_case
{
	const char *name;
	const impl_set *set;			/* NULL for what has no implementations */
	void		(*call) (void);
	size_t		len;
	double		values;				/* of one call */
	int			base;				/* number of the case that this one is compared with */
	int			calls;				/* of one turn */
	double		ns[MAX_ROUNDS];		/* of one value, by round */
} bench_case;

static pseudo_siv_key siv_key;
static pseudo_nonce_key nonce_key;
static uint8_t key_bytes[32];
static uint8_t value[MIB];
static uint8_t sealed[MIB + 16];
static uint8_t opened[MIB + 16];
static uint8_t nonce[12];
static size_t value_len;
static EVP_CIPHER_CTX *gcm;
static EVP_CIPHER_CTX *gcm_open;
static SHA256_CTX inner_state;
static SHA256_CTX outer_state;
static char text[PSEUDO_BASE64_LEN(MAX_SHORT + PSEUDO_OVERHEAD)];
static uint8_t decoded[PSEUDO_BASE64_BYTES(sizeof(text))];
static char texts[BATCH * sizeof(text)];	/* of a batch: one after the other */
static uint8_t bytes[BATCH * (MAX_SHORT + PSEUDO_OVERHEAD) + 2];
static uint8_t values[BATCH * MAX_SHORT];
static uint8_t nonces[BATCH][12];
static pseudo_batch_item seals[BATCH];
static pseudo_batch_item opens[BATCH];
static pseudo_siv_item siv_items[BATCH];

/* What serves where nobody chooses. */
static const char *chosen_siv;
static const char *chosen_hmac;
static const char *chosen_base64;

static bench_case cases[MAX_CASES];
static int	n_cases;

/* Now, in nanoseconds. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
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

/* ---- What is measured ---- */

static void
call_hmac(void)
{
	SHA256_CTX	sha = inner_state;
	uint8_t		digest[32];

	SHA256_Update(&sha, value, value_len);
	SHA256_Final(digest, &sha);
	sha = outer_state;
	SHA256_Update(&sha, digest, sizeof(digest));
	SHA256_Final(digest, &sha);
	__asm__ volatile("" : : "r" (digest) : "memory");
}

static void
call_gcm_seal(void)
{
	int			n;

	expect(EVP_EncryptInit_ex(gcm, NULL, NULL, NULL, nonce) == 1 &&
		   EVP_EncryptUpdate(gcm, opened, &n, value, (int) value_len) == 1 &&
		   EVP_EncryptFinal_ex(gcm, opened + value_len, &n) == 1 &&
		   EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_GCM_GET_TAG, 16, opened + value_len) == 1);
}

static void
call_gcm_open(void)
{
	int			n;

	/* The tag is not compared: the time is that of an open. */
	expect(EVP_DecryptInit_ex(gcm_open, NULL, NULL, NULL, nonce) == 1 &&
		   EVP_DecryptUpdate(gcm_open, opened, &n, value, (int) value_len) == 1);
	(void) EVP_DecryptFinal_ex(gcm_open, opened + value_len, &n);
}

static void
call_seal(void)
{
	expect(pseudo_siv_seal(&siv_key, nonce, NULL, 0, value, value_len, sealed) == PSEUDO_OK);
}

static void
call_open(void)
{
	expect(pseudo_siv_open(&siv_key, nonce, NULL, 0, sealed, value_len + 16, opened) == PSEUDO_OK);
}

static void
call_siv_seal_batch(void)
{
	pseudo_siv_seal_batch(&siv_key, NULL, 0, siv_items, BATCH);
}

static void
call_nonce(void)
{
	pseudo_nonce_deterministic(nonce, &nonce_key, value, value_len);
}

static void
call_nonce_batch(void)
{
	uint8_t    *outs[BATCH];
	const uint8_t *ins[BATCH];
	size_t		lens[BATCH];

	for (int i = 0; i < BATCH; i++)
	{
		outs[i] = nonces[i];
		ins[i] = values + value_len * (size_t) i;
		lens[i] = value_len;
	}
	pseudo_nonce_deterministic_batch(outs, &nonce_key, ins, lens, BATCH);
}

static void
call_random(void)
{
	uint8_t		random_nonce[12];

	expect(pseudo_nonce_random(random_nonce) == PSEUDO_OK);
}

static void
call_pseudonym(void)
{
	expect(pseudo_pseudonym_seal(text, &siv_key, false, 0, &nonce_key, NULL, 0,
								 value, value_len) == PSEUDO_OK);
}

static void
call_back(void)
{
	size_t		len;

	expect(pseudo_base64_decode(decoded, &len, texts, PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD + value_len)) == PSEUDO_OK);
	expect(pseudo_pseudonym_open(opened, &siv_key, NULL, 0, decoded, len) == PSEUDO_OK);
}

static void
call_pseudonym_batch(void)
{
	pseudo_pseudonym_seal_batch(seals, BATCH, &siv_key, false, 0, &nonce_key, NULL, 0);
	expect(seals[BATCH - 1].status == PSEUDO_OK);
}

static void
call_open_batch(void)
{
	pseudo_pseudonym_open_batch(opens, BATCH, &siv_key, NULL, 0);
	expect(opens[BATCH - 1].status == PSEUDO_OK);
}

static void
call_encode(void)
{
	pseudo_base64_encode(text, value, PSEUDO_OVERHEAD + value_len);
}

static void
call_decode(void)
{
	size_t		len;

	expect(pseudo_base64_decode(decoded, &len, texts, PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD + value_len)) == PSEUDO_OK);
}

/* ---- Preparing ---- */

/* Use the implementations of a set; where there is no such HMAC (under valgrind), OpenSSL's. */
static void
use_set(const impl_set *set)
{
	expect(pseudo_siv_use(set->siv) && pseudo_base64_use(set->base64) &&
		   (pseudo_hmac_use(set->hmac) || pseudo_hmac_use("OpenSSL")));
}

/* Make all that the calls of a case read. */
static void
prepare(const bench_case *c)
{
	value_len = c->len;
	if (c->set != NULL)
		use_set(c->set);
	expect(pseudo_siv_key_init(&siv_key, key_bytes, 32) == PSEUDO_OK);
	call_seal();
	if (value_len > MAX_SHORT)
		return;
	for (size_t i = 0; i < BATCH; i++)
	{
		size_t		text_len = PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD + value_len);
		uint8_t    *v = values + value_len * i;
		char	   *t = texts + text_len * i;
		uint8_t    *p = bytes + (PSEUDO_OVERHEAD + value_len) * i;
		uint8_t    *out = opened + (value_len + PSEUDO_TAG_LEN) * i;
		size_t		len = 0;

		memcpy(v, value, value_len);
		memcpy(v, &i, sizeof(i) < value_len ? sizeof(i) : value_len);
		expect(pseudo_pseudonym_seal(t, &siv_key, false, 0, &nonce_key, NULL, 0,
									 v, value_len) == PSEUDO_OK &&
			   pseudo_base64_decode(p, &len, t, text_len) == PSEUDO_OK);
		seals[i] = (pseudo_batch_item) {.in = v, .len = value_len, .out = t};
		siv_items[i] = (pseudo_siv_item) {.nonce = nonce, .in = v, .in_len = value_len, .out = out};
		opens[i] = (pseudo_batch_item) {.in = p, .len = len, .out = out};
	}
}

/* Add a case to the list; its number. */
static int
add(const char *name, const impl_set *set, void (*call) (void), size_t len, double n, int base)
{
	expect(n_cases < MAX_CASES);
	cases[n_cases] = (bench_case) {.name = name, .set = set, .call = call, .len = len, .values = n, .base = base};
	return n_cases++;
}

/* Add all cases of one length. */
static void
add_length(size_t len)
{
	int			hmac = n_cases;

	if (len > MAX_SHORT)
	{
		int			seal = add("OpenSSL AES-256-GCM, seal", NULL, call_gcm_seal, len, 1, n_cases);
		int			open = add("OpenSSL AES-256-GCM, open", NULL, call_gcm_open, len, 1, n_cases);

		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		{
			if (!pseudo_siv_use(sets[i].siv))
				continue;
			add("seal", &sets[i], call_seal, len, 1, seal);
			add("open", &sets[i], call_open, len, 1, open);
		}
		return;
	}
	add("OpenSSL HMAC-SHA256, copied states", NULL, call_hmac, len, 1, hmac);
	add("random nonce", NULL, call_random, len, 1, hmac);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		const impl_set *set = &sets[i];

		if (!pseudo_siv_use(set->siv))
			continue;
		add("nonce", set, call_nonce, len, 1, hmac);
		add("nonce, batch", set, call_nonce_batch, len, BATCH, hmac);
		add("seal", set, call_seal, len, 1, hmac);
		add("open", set, call_open, len, 1, hmac);
		add("seal, batch", set, call_siv_seal_batch, len, BATCH, hmac);
		add("open, batch", set, call_open_batch, len, BATCH, hmac);
		add("base64 encode", set, call_encode, len, 1, hmac);
		add("base64 decode", set, call_decode, len, 1, hmac);
		add("deterministic pseudonym", set, call_pseudonym, len, 1, hmac);
		add("deterministic pseudonym, batch", set, call_pseudonym_batch, len, BATCH, hmac);
		add("back to the value", set, call_back, len, 1, hmac);
	}
}

/* ---- Measuring ---- */

/* Cycles per nanosecond now: an addition that waits for the one before takes one. */
static double
cycles_per_ns(void)
{
	unsigned long n = 100000;
	double		start = now();

	for (unsigned long i = 0; i < n; i++)
		__asm__ volatile("" : "+r" (i));	/* the loop's own addition */
	return (double) n / (now() - start);
}

/* Call a case so many times; the nanoseconds of one value. */
static double
turn(const bench_case *c, int calls)
{
	double		start;

	prepare(c);
	c->call();					/* into the cache */
	start = now();
	for (int i = 0; i < calls; i++)
		c->call();
	return (now() - start) / calls / c->values;
}

/* For qsort. */
static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The median of n numbers, at most MAX_ROUNDS. */
static double
median(const double *numbers, int n)
{
	double		sorted[MAX_ROUNDS];

	memcpy(sorted, numbers, sizeof(double) * (size_t) n);
	qsort(sorted, (size_t) n, sizeof(double), compare);
	return sorted[n / 2];
}

/* Measure all cases in turns, rounds times, and tell. */
static void
measure(int rounds)
{
	double		ghz[MAX_ROUNDS];
	double		cycles;
	size_t		len = 0;
	const impl_set *set = NULL;

	for (int i = 0; i < n_cases; i++)
	{
		double		ns = turn(&cases[i], 1) * cases[i].values;

		cases[i].calls = ns > TURN_NS ? 1 : (int) (TURN_NS / ns) + 1;
	}
	for (int r = 0; r < rounds; r++)
	{
		ghz[r] = cycles_per_ns();
		for (int i = 0; i < n_cases; i++)
			cases[i].ns[r] = turn(&cases[i], cases[i].calls);
	}
	cycles = median(ghz, rounds);

	printf("Chosen for this processor: %s; HMAC by %s; base64 by %s\n", chosen_siv, chosen_hmac, chosen_base64);
	printf("Medians of %d rounds; %.2f cycles to a nanosecond\n", rounds, cycles);
	for (int i = 0; i < n_cases; i++)
	{
		bench_case *c = &cases[i];
		double		ratios[MAX_ROUNDS];
		double		ns = median(c->ns, rounds);

		if (c->len != len)
			printf("\n%zu bytes%34s %10s %10s %8s\n", c->len, "", "ns", "cycles",
				   c->len > MAX_SHORT ? "x GCM" : "/ HMAC");
		if (c->set != NULL && (c->set != set || c->len != len))
		{
			use_set(c->set);
			printf("%s, HMAC by %s, base64 by %s\n", c->set->siv, pseudo_hmac_get_impl()->name,
				   pseudo_base64_get_impl()->name);
		}
		len = c->len;
		set = c->set;
		/* Of a long value the speed is compared, of a short one the time. */
		for (int r = 0; r < rounds; r++)
			ratios[r] = len > MAX_SHORT ? cases[c->base].ns[r] / c->ns[r] : c->ns[r] / cases[c->base].ns[r];
		printf("  %-38s %10.1f %10.0f %8.2f", c->name, ns, ns * cycles, median(ratios, rounds));
		if (len > MAX_SHORT)
			printf(" %8.2f GB/s", (double) len / ns);
		printf("\n");
	}
}

/* Under callgrind: dump the instructions of 64 values of each case. */
static void
count(void)
{
#ifdef CALLGRIND_DUMP_STATS_AT
	for (int i = 0; i < n_cases; i++)
	{
		char		name[128];
		int			calls = cases[i].values > 1 || cases[i].len > MAX_SHORT ? 1 : BATCH;

		prepare(&cases[i]);
		cases[i].call();
		CALLGRIND_ZERO_STATS;
		for (int k = 0; k < calls; k++)
			cases[i].call();
		snprintf(name, sizeof(name), "%zu\t%s\t%s", cases[i].len,
				 cases[i].set != NULL ? cases[i].set->siv : "-", cases[i].name);
		CALLGRIND_DUMP_STATS_AT(name);
	}
#else
	fprintf(stderr, "built without valgrind/callgrind.h\n");
	exit(2);
#endif
}

int
main(int argc, char **argv)
{
	static const size_t lengths[] = {22, MIB, 8, 64, 1350};
	int			rounds = 25;
	int			n_lengths = 2;
	int			counting = 0;
	uint8_t		block[64];

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--all") == 0)
			n_lengths = 5;
		else if (strcmp(argv[i], "--count") == 0)
			counting = 1;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0)
			rounds = atoi(argv[++i]);
		else
		{
			fprintf(stderr, "usage: bench [--rounds N] [--all] [--count]\n");
			return 2;
		}
	}
	if (rounds > MAX_ROUNDS)
		rounds = MAX_ROUNDS;

	chosen_siv = pseudo_siv_get_choice()->name;
	chosen_hmac = pseudo_hmac_get_impl()->name;
	chosen_base64 = pseudo_base64_get_impl()->name;
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t) ('a' + i % 23);
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (uint8_t) (i * 7 + 1);
	expect(pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 0) == PSEUDO_OK);
	memset(block, 0x36, sizeof(block));
	SHA256_Init(&inner_state);
	SHA256_Update(&inner_state, block, sizeof(block));
	memset(block, 0x5c, sizeof(block));
	SHA256_Init(&outer_state);
	SHA256_Update(&outer_state, block, sizeof(block));
	gcm = EVP_CIPHER_CTX_new();
	gcm_open = EVP_CIPHER_CTX_new();
	expect(EVP_EncryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, key_bytes, nonce) == 1 &&
		   EVP_DecryptInit_ex(gcm_open, EVP_aes_256_gcm(), NULL, key_bytes, nonce) == 1);

	for (int i = 0; i < n_lengths; i++)
		add_length(lengths[i]);
	if (counting)
		count();
	else
		measure(rounds);
	EVP_CIPHER_CTX_free(gcm);
	EVP_CIPHER_CTX_free(gcm_open);
	return 0;
}
