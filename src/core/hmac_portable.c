/*
 * hmac_portable.c
 *		HMAC-SHA256 on any processor, by OpenSSL.
 *
 * OpenSSL's low-level SHA256 functions are deprecated but present in every
 * version, and start from a chaining value; HMAC by EVP costs an allocation and
 * several times the time.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#include "bytes.h"
#include "hmac.h"
#include "wipe.h"

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

/* HMAC-SHA256 of one message. */
static void
portable_one(uint8_t *digest, const uint32_t *inner, const uint32_t *outer,
			 const uint8_t *message, size_t len)
{
	SHA256_CTX	sha;
	uint8_t		block[SHA256_CBLOCK] = {0};

	resume(&sha, inner);
	if (len <= PSEUDO_HMAC_SHORT)
	{
		if (len > 0)
			memcpy(block, message, len);
		transform_last(&sha, block, len);
		memset(block, 0, sizeof(block));
		for (int i = 0; i < 8; i++)
			store32_be(block + 4 * i, sha.h[i]);
	}
	else
	{
		SHA256_Update(&sha, message, len);
		SHA256_Final(block, &sha);
	}
	resume(&sha, outer);
	transform_last(&sha, block, SHA256_DIGEST_LENGTH);
	for (int i = 0; i < 8; i++)
		store32_be(digest + 4 * i, sha.h[i]);
	wipe(block, sizeof(block));
	wipe(&sha, sizeof(sha));
}

/* The chaining value after one block of the key, combined with pad. */
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

/* The chaining values of a key. */
static void
portable_key(uint32_t *inner, uint32_t *outer, const uint8_t *padded_key)
{
	chain_key(inner, padded_key, PSEUDO_HMAC_INNER_PAD);
	chain_key(outer, padded_key, PSEUDO_HMAC_OUTER_PAD);
}

/* This one runs everywhere. */
static int
hmac_portable_supported(void)
{
	return 1;
}

const pseudo_hmac_impl pseudo_hmac_portable = {
	.name = "OpenSSL",
	.supported = hmac_portable_supported,
	.one = portable_one,
	.key = portable_key
};
