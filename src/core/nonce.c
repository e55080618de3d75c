/*
 * nonce.c
 *		The deterministic nonce (a window of HMAC-SHA256 in hex) and the random one.
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
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "bytes.h"
#include "hmac.h"
#include "nonce.h"
#include "wipe.h"

#define HEX_LEN			(2 * SHA256_DIGEST_LENGTH)
#define MAX_START		(HEX_LEN - PSEUDO_NONCE_LEN)

/* Room for a digest: write_window may read up to 8 bytes beyond its end. */
#define WINDOW_ROOM		(SHA256_DIGEST_LENGTH + 8)

/* What the message begins with that a context's key is made of; the zero at its end belongs to it. */
static const char context_label[] = "\377pseudo/context";

/* The longest message of that kind that is put together. */
#define SHORT_MESSAGE	256

/* ---- Nonce keys ---- */

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
	pseudo_hmac_get_impl()->key(key->inner, key->outer, padded);
	key->start = start;
	wipe(padded, sizeof(padded));
	return PSEUDO_OK;
}

/* HMAC-SHA256 of the label and a context, of any length. */
static void
hash_long_context(uint8_t *digest, const pseudo_nonce_key *key, const uint8_t *context, size_t len)
{
	SHA256_CTX	sha;

	for (int half = 0; half < 2; half++)
	{
		const uint32_t *chain = half == 0 ? key->inner : key->outer;

		SHA256_Init(&sha);
		for (int i = 0; i < 8; i++)
			sha.h[i] = chain[i];
		sha.Nl = 8 * SHA256_CBLOCK;
		if (half == 0)
		{
			SHA256_Update(&sha, context_label, sizeof(context_label));
			SHA256_Update(&sha, context, len);
		}
		else
			SHA256_Update(&sha, digest, SHA256_DIGEST_LENGTH);
		SHA256_Final(digest, &sha);
	}
	wipe(&sha, sizeof(sha));
}

/* Make the nonce key of a non-empty context. */
void
pseudo_nonce_key_derive(pseudo_nonce_key *derived, const pseudo_nonce_key *key,
						const uint8_t *context, size_t context_len)
{
	const pseudo_hmac_impl *impl = pseudo_hmac_get_impl();
	uint8_t		padded[SHA256_CBLOCK] = {0};
	uint8_t		message[SHORT_MESSAGE];

	if (context_len <= sizeof(message) - sizeof(context_label))
	{
		memcpy(message, context_label, sizeof(context_label));
		memmove(message + sizeof(context_label), context, context_len);
		impl->one(padded, key->inner, key->outer, message, sizeof(context_label) + context_len);
	}
	else
		hash_long_context(padded, key, context, context_len);
	impl->key(derived->inner, derived->outer, padded);
	derived->start = key->start;
	wipe(padded, sizeof(padded));
}

/* ---- The deterministic nonce ---- */

/*
 * write_window writes the window of a digest's hex digits, in lower case, that starts at
 * digit number start; digest has room for WINDOW_ROOM bytes.  Without a table, as
 * the digits are secret still.
 */
#if defined(__x86_64__)

static inline void
write_window(uint8_t *nonce, const uint8_t *digest, uint32_t start)
{
	const __m128i low_digit = _mm_set1_epi8(0x0f);
	__m128i		bytes = _mm_loadl_epi64((const __m128i *) (const void *) (digest + start / 2));
	__m128i		digits = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low_digit),
										   _mm_and_si128(bytes, low_digit));
	__m128i		letters = _mm_cmpgt_epi8(digits, _mm_set1_epi8(9));
	uint32_t	last;

	digits = _mm_add_epi8(_mm_add_epi8(digits, _mm_set1_epi8('0')),
						  _mm_and_si128(letters, _mm_set1_epi8('a' - '0' - 10)));
	if (start % 2 != 0)
		digits = _mm_srli_si128(digits, 1);
	_mm_storel_epi64((__m128i *) (void *) nonce, digits);
	last = (uint32_t) _mm_cvtsi128_si32(_mm_srli_si128(digits, 8));
	memcpy(nonce + 8, &last, 4);
}

#else

/* The hex digits of the low four bytes of v, in the order of bytes. */
static inline uint64_t
hex_digits(uint64_t v)
{
	uint64_t	letters;

	/* A byte to each two, then a digit to each. */
	v = (v & UINT64_C(0xffff)) | (v & UINT64_C(0xffff0000)) << 16;
	v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
	v = (v >> 4 & UINT64_C(0x000f000f000f000f)) | (v & UINT64_C(0x000f000f000f000f)) << 8;
	/* 10 to 15 carry into bit 4, and take the 39 from '0' + 10 to 'a'. */
	letters = (v + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
	return v + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
}

static inline void
write_window(uint8_t *nonce, const uint8_t *digest, uint32_t start)
{
	uint64_t	bytes = load64_le(digest + start / 2);

	/* The second digit of a byte is that of its low half: move up by four bits. */
	if (start % 2 != 0)
		bytes = (bytes & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4 |
			(bytes >> 12 & UINT64_C(0x000f0f0f0f0f0f0f));
	store64_le(nonce, hex_digits(bytes));
	store32_le(nonce + 8, (uint32_t) hex_digits(bytes >> 32));
}

#endif

/* The deterministic nonce of a value. */
void
pseudo_nonce_deterministic(uint8_t *nonce, const pseudo_nonce_key *key,
						   const uint8_t *value, size_t len)
{
	uint8_t		digest[WINDOW_ROOM];

	pseudo_hmac_get_impl()->one(digest, key->inner, key->outer, value, len);
	write_window(nonce, digest, key->start);
	wipe(digest, sizeof(digest));
}

/* Fewer values than this are hashed no faster side by side. */
#define LEAST_LANES		3

/* Values to hash side by side. */
typedef struct hmac_group
{
	size_t		n;
	size_t		blocks;			/* of each */
	uint8_t    *nonces[PSEUDO_HMAC_LANES];
	const uint8_t *messages[PSEUDO_HMAC_LANES];
	size_t		lens[PSEUDO_HMAC_LANES];
	uint8_t		digests[PSEUDO_HMAC_LANES + 1][PSEUDO_SHA256_LEN];	/* the last one: for WINDOW_ROOM */
} hmac_group;

/* Write the nonces of a group, and empty it. */
static void
flush_group(hmac_group *g, const pseudo_nonce_key *key, const pseudo_hmac_impl *impl)
{
	size_t		n = g->n;

	g->n = 0;
	if (n < LEAST_LANES)
	{
		for (size_t m = 0; m < n; m++)
			pseudo_nonce_deterministic(g->nonces[m], key, g->messages[m], g->lens[m]);
		return;
	}
	/* Lanes without a value hash the first one again. */
	for (size_t m = n; m % 4 != 0; m++)
	{
		g->messages[m] = g->messages[0];
		g->lens[m] = g->lens[0];
	}
	impl->many(g->digests, key->inner, key->outer, g->messages, g->lens, n, g->blocks);
	for (size_t m = 0; m < n; m++)
		write_window(g->nonces[m], g->digests[m], key->start);
}

/* The deterministic nonces of n values: those of one block, of two and so on side by side, long ones alone. */
void
pseudo_nonce_deterministic_batch(uint8_t *const *nonces, const pseudo_nonce_key *key,
								 const uint8_t *const *values, const size_t *lens, size_t n)
{
	const pseudo_hmac_impl *impl = pseudo_hmac_get_impl();
	size_t		side_by_side = impl->lanes > 0 ? PSEUDO_HMAC_MOST_BLOCKS : 0;
	size_t		most = 1;
	hmac_group	g;

	g.n = 0;
	for (g.blocks = 1; g.blocks <= most; g.blocks++)
	{
		for (size_t i = 0; i < n; i++)
		{
			size_t		blocks = PSEUDO_HMAC_BLOCKS(lens[i]);

			if (blocks > side_by_side)
			{
				if (g.blocks == 1)
					pseudo_nonce_deterministic(nonces[i], key, values[i], lens[i]);
				continue;
			}
			if (blocks > most)
				most = blocks;
			if (blocks != g.blocks)
				continue;
			g.nonces[g.n] = nonces[i];
			g.messages[g.n] = values[i];
			g.lens[g.n++] = lens[i];
			if (g.n == impl->lanes)
				flush_group(&g, key, impl);
		}
		flush_group(&g, key, impl);
	}
	wipe(g.digests, sizeof(g.digests));
	pseudo_burn_stack();
}

/* ---- The random nonce ---- */

/*
 * Random bytes in store.  The kernel, or else forget_random, zeroes the page in a forked
 * child, which therefore finds it not ready and fills it anew.
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

/* In a child, whose kernel may not have zeroed the page: forget what the parent has. */
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
	/* Both, as emulators (qemu-user) grant the advice and do nothing. */
	if (pthread_atfork(NULL, NULL, forget_random) != 0 && !wiped_on_fork)
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
