/*
 * nonce.c
 *		The deterministic nonce (a window of HMAC-SHA256 in hex) and the random one.
 *
 * OpenSSL's low-level SHA256 functions are deprecated but present in every
 * version, use the processor's SHA instructions, and start from a chaining
 * value; HMAC by EVP costs an allocation and several times the time.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* MAP_ANONYMOUS, madvise */
#endif

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "internal.h"
#include "nonce.h"

#define HEX_LEN			(2 * SHA256_DIGEST_LENGTH)
#define MAX_START		(HEX_LEN - PSEUDO_NONCE_LEN)

/* The longest value that fits one block of SHA-256, with its padding. */
#define ONE_BLOCK_LEN	(SHA256_CBLOCK - 9)

static const char context_label[] = "pseudo/context";

/* ---- HMAC-SHA256 from chaining values ---- */

/* The chaining value after one block of the key, padded and combined with pad. */
static void
chain_key(uint32_t *chain, const uint8_t *padded_key, uint8_t pad)
{
	SHA256_CTX	sha;
	uint8_t		block[SHA256_CBLOCK];

	for (int i = 0; i < SHA256_CBLOCK; i++)
		block[i] = padded_key[i] ^ pad;
	SHA256_Init(&sha);
	SHA256_Transform(&sha, block);
	for (int i = 0; i < 8; i++)
		chain[i] = sha.h[i];
	wipe(block, sizeof(block));
	wipe(&sha, sizeof(sha));
}

/* Go on from a chaining value, with one block hashed so far. */
static inline void
resume(SHA256_CTX *sha, const uint32_t *chain)
{
	for (int i = 0; i < 8; i++)
		sha->h[i] = chain[i];
	sha->Nl = 8 * SHA256_CBLOCK;
	sha->Nh = 0;
	sha->num = 0;
	sha->md_len = SHA256_DIGEST_LENGTH;
}

/* Hash the last block: len bytes are in it, prefixed by one block hashed before. */
static inline void
transform_last(SHA256_CTX *sha, uint8_t *block, size_t len)
{
	block[len] = 0x80;
	store32_be(block + SHA256_CBLOCK - 4, (uint32_t) (8 * (SHA256_CBLOCK + len)));
	SHA256_Transform(sha, block);
}

/* From the inner hash, eight words, to the HMAC, as eight words in sha->h. */
static inline void
finish_outer(SHA256_CTX *sha, const pseudo_nonce_key *key, const uint32_t *inner)
{
	uint8_t		block[SHA256_CBLOCK] = {0};

	for (int i = 0; i < 8; i++)
		store32_be(block + 4 * i, inner[i]);
	resume(sha, key->outer);
	transform_last(sha, block, SHA256_DIGEST_LENGTH);
	wipe(block, sizeof(block));
}

/* HMAC-SHA256 of a value, as eight words in sha->h; the caller wipes sha. */
static inline void
hmac(SHA256_CTX *sha, const pseudo_nonce_key *key, const uint8_t *value, size_t len)
{
	uint32_t	inner[8];

	resume(sha, key->inner);
	if (len <= ONE_BLOCK_LEN)
	{
		uint8_t		block[SHA256_CBLOCK] = {0};

		if (len > 0)
			memcpy(block, value, len);
		transform_last(sha, block, len);
		wipe(block, sizeof(block));
		for (int i = 0; i < 8; i++)
			inner[i] = sha->h[i];
	}
	else
	{
		uint8_t		digest[SHA256_DIGEST_LENGTH];

		SHA256_Update(sha, value, len);
		SHA256_Final(digest, sha);
		for (int i = 0; i < 8; i++)
			inner[i] = sha->h[i];
		wipe(digest, sizeof(digest));
	}
	finish_outer(sha, key, inner);
	wipe(inner, sizeof(inner));
}

/* ---- The deterministic nonce ---- */

/* Make a nonce key of len bytes. */
pseudo_status
pseudo_nonce_key_init(pseudo_nonce_key *key, const uint8_t *bytes, size_t len, uint32_t start)
{
	uint8_t		padded[SHA256_CBLOCK] = {0};

	if (len == 0 || start > MAX_START)
		return PSEUDO_BAD_KEY;

	if (len > SHA256_CBLOCK)
		SHA256(bytes, len, padded);
	else
		memcpy(padded, bytes, len);
	chain_key(key->inner, padded, 0x36);
	chain_key(key->outer, padded, 0x5c);
	key->start = start;
	wipe(padded, sizeof(padded));
	return PSEUDO_OK;
}

/* Make the nonce key of a non-empty context. */
void
pseudo_nonce_key_derive(pseudo_nonce_key *derived, const pseudo_nonce_key *key,
						const uint8_t *context, size_t context_len)
{
	static const uint8_t marker = 0xff;
	uint8_t		digest[SHA256_DIGEST_LENGTH];
	uint32_t	inner[8];
	SHA256_CTX	sha;

	resume(&sha, key->inner);
	SHA256_Update(&sha, &marker, 1);
	SHA256_Update(&sha, context_label, sizeof(context_label));	/* with its zero */
	SHA256_Update(&sha, context, context_len);
	SHA256_Final(digest, &sha);
	for (int i = 0; i < 8; i++)
		inner[i] = sha.h[i];
	finish_outer(&sha, key, inner);
	for (int i = 0; i < 8; i++)
		store32_be(digest + 4 * i, sha.h[i]);
	(void) pseudo_nonce_key_init(derived, digest, sizeof(digest), key->start);
	wipe(digest, sizeof(digest));
	wipe(inner, sizeof(inner));
	wipe(&sha, sizeof(sha));
}

/* The deterministic nonce of a value. */
void
pseudo_nonce_deterministic(uint8_t *nonce, const pseudo_nonce_key *key,
						   const uint8_t *value, size_t len)
{
	SHA256_CTX	sha;

	hmac(&sha, key, value, len);
	for (uint32_t i = 0; i < PSEUDO_NONCE_LEN; i++)
	{
		uint32_t	position = key->start + i;
		uint32_t	digit = sha.h[position / 8] >> (28 - 4 * (position % 8)) & 0xf;

		/* 10 to 15 carry into bit 4, and take the 39 from '0' + 10 to 'a'. */
		nonce[i] = (uint8_t) ('0' + digit + ((digit + 6) >> 4) * ('a' - '0' - 10));
	}
	wipe(&sha, sizeof(sha));
}

/* ---- The random nonce ---- */

/*
 * Random bytes in store.  The kernel zeroes the page in a forked child, which
 * therefore finds it not ready and fills it anew.
 */
typedef struct random_page
{
	uint32_t	ready;			/* 1 where bytes are random from used on */
	uint32_t	used;			/* bytes handed out */
	uint8_t		unused[8];
	uint8_t		bytes[4080];	/* a multiple of PSEUDO_NONCE_LEN */
} random_page;

static random_page *random_store = NULL;
static random_page static_store;	/* where there is no memory to map */

/* In a child whose kernel does not zero the page: forget what the parent has. */
static void
forget_random(void)
{
	if (random_store != NULL)
		wipe(random_store, sizeof(*random_store));
}

/* Get memory for the store: kept out of core dumps and of forked children. */
static bool
open_store(void)
{
	random_page *page;
	bool		wiped_on_fork = false;

	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		page = &static_store;
	else
	{
#ifdef MADV_DONTDUMP
		(void) madvise(page, sizeof(*page), MADV_DONTDUMP);
#endif
/* The portable build does without, so that tests cover both ways. */
#if defined(MADV_WIPEONFORK) && !defined(PSEUDO_PORTABLE_ONLY)
		wiped_on_fork = madvise(page, sizeof(*page), MADV_WIPEONFORK) == 0;
#endif
	}
	if (!wiped_on_fork && pthread_atfork(NULL, NULL, forget_random) != 0)
	{
		if (page != &static_store)
			(void) munmap(page, sizeof(*page));
		return false;
	}
	random_store = page;
	return true;
}

/* Fill the store with new random bytes. */
static bool
refill(void)
{
	if (random_store == NULL && !open_store())
		return false;
	random_store->ready = 0;
	if (RAND_bytes(random_store->bytes, (int) sizeof(random_store->bytes)) != 1)
		return false;
	random_store->used = 0;
	random_store->ready = 1;
	return true;
}

/* Fill a nonce with random bytes. */
pseudo_status
pseudo_nonce_random(uint8_t *nonce)
{
	uint8_t    *bytes;

	if (random_store == NULL || random_store->ready == 0 ||
		random_store->used == sizeof(random_store->bytes))
	{
		if (!refill())
			return PSEUDO_CRYPTO_FAILURE;
	}
	bytes = random_store->bytes + random_store->used;
	random_store->used += PSEUDO_NONCE_LEN;
	memcpy(nonce, bytes, PSEUDO_NONCE_LEN);
	wipe(bytes, PSEUDO_NONCE_LEN);
	return PSEUDO_OK;
}
