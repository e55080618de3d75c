/*
 * test_nonce.c
 *		Nonces: deterministic ones are those of OpenSSL, random ones never come twice.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* fork, pipe */
#endif
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

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
}

/* The nonce keys of contexts, against OpenSSL's HMAC. */
static void
test_contexts(void)
{
	uint8_t		key_bytes[32];
	uint8_t		value[22];
	uint8_t		nonce[12];
	uint8_t		expected[12];
	pseudo_nonce_key key;
	pseudo_nonce_key derived;

	random_bytes(key_bytes, sizeof(key_bytes));
	random_bytes(value, sizeof(value));
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
		static uint64_t table[SIZE];	/* not allocated: memcheck would find it lost in the children */
		uint8_t		nonce[12];
		static uint8_t first[12 * N];
		static uint8_t second[12 * N];

		memset(table, 0, sizeof(table));
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
	}
	end_group("nonces after fork");
}

/* All of them, the deterministic ones by each implementation of HMAC. */
void
test_nonces(void)
{
	const char *best_hmac = pseudo_hmac_get_impl()->name;

	for (const pseudo_hmac_impl *const *impl = pseudo_hmac_impls; *impl != NULL; impl++)
	{
		if (!pseudo_hmac_use((*impl)->name))
			continue;
		test_deterministic((*impl)->name);
		test_contexts();
	}
	pseudo_hmac_use(best_hmac);
	test_random();
	test_fork();
}
