/*
 * siv_portable.c
 *		AES-GCM-SIV on any processor: AES by OpenSSL, POLYVAL by ordinary
 *		integer multiplication.
 *
 * No table is indexed by a secret and no branch depends on one.  AES goes through
 * EVP and not AES_encrypt, which uses tables; the contexts live for one call, so
 * that no key stays in OpenSSL's memory.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "siv.h"
#include "wipe.h"

/* Blocks of key stream per call of OpenSSL. */
#define STREAM_BLOCKS	32

/* POLYVAL: the key and the running sum, two words each, the low one first. */
typedef struct polyval
{
	uint64_t	h[2];
	uint64_t	s[2];
} polyval;

/* All that is derived for one message. */
typedef struct siv_work
{
	EVP_CIPHER_CTX *aes;		/* with the message encryption key */
	polyval		poly;
	uint8_t		tag[PSEUDO_TAG_LEN];
	uint8_t		keys[48];
	uint8_t		blocks[STREAM_BLOCKS * PSEUDO_BLOCK_LEN];
	uint8_t		stream[STREAM_BLOCKS * PSEUDO_BLOCK_LEN];
} siv_work;

/* ---- POLYVAL, RFC 8452 section 3 ---- */

/*
 * The low 64 bits of the carry-less product of x and y.  Each factor is split
 * into four numbers with one bit in every four; in their ordinary products a
 * column sums at most 16 bits, so carries never reach the next bit that counts
 * (where the sum is 16, that bit would be number 64).
 */
static uint64_t
multiply_low(uint64_t x, uint64_t y)
{
	const uint64_t mask = UINT64_C(0x1111111111111111);
	uint64_t	x0 = x & mask;
	uint64_t	x1 = x & mask << 1;
	uint64_t	x2 = x & mask << 2;
	uint64_t	x3 = x & mask << 3;
	uint64_t	y0 = y & mask;
	uint64_t	y1 = y & mask << 1;
	uint64_t	y2 = y & mask << 2;
	uint64_t	y3 = y & mask << 3;
	uint64_t	z0 = (x0 * y0) ^ (x1 * y3) ^ (x2 * y2) ^ (x3 * y1);
	uint64_t	z1 = (x0 * y1) ^ (x1 * y0) ^ (x2 * y3) ^ (x3 * y2);
	uint64_t	z2 = (x0 * y2) ^ (x1 * y1) ^ (x2 * y0) ^ (x3 * y3);
	uint64_t	z3 = (x0 * y3) ^ (x1 * y2) ^ (x2 * y1) ^ (x3 * y0);

	return (z0 & mask) | (z1 & mask << 1) | (z2 & mask << 2) | (z3 & mask << 3);
}

/* The bits of x in reverse order. */
static uint64_t
reverse_bits(uint64_t x)
{
	x = (x >> 1 & UINT64_C(0x5555555555555555)) | (x & UINT64_C(0x5555555555555555)) << 1;
	x = (x >> 2 & UINT64_C(0x3333333333333333)) | (x & UINT64_C(0x3333333333333333)) << 2;
	x = (x >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
	x = (x >> 8 & UINT64_C(0x00ff00ff00ff00ff)) | (x & UINT64_C(0x00ff00ff00ff00ff)) << 8;
	x = (x >> 16 & UINT64_C(0x0000ffff0000ffff)) | (x & UINT64_C(0x0000ffff0000ffff)) << 16;
	return x >> 32 | x << 32;
}

/* The carry-less product of x and y, 127 bits, to low and high. */
static inline void
multiply(uint64_t *low, uint64_t *high, uint64_t x, uint64_t y)
{
	*low = multiply_low(x, y);
	/* Reversed factors have the reversed product: its low half is the high half. */
	*high = reverse_bits(multiply_low(reverse_bits(x), reverse_bits(y))) >> 1;
}

/* Add one block: s = dot(s + block, h). */
static void
polyval_block(polyval *p, const uint8_t *block)
{
	uint64_t	a0 = p->s[0] ^ load64_le(block);
	uint64_t	a1 = p->s[1] ^ load64_le(block + 8);
	uint64_t	v0,
				v1,
				v2,
				v3,
				m0,
				m1;

	/* Karatsuba: three products instead of four. */
	multiply(&v0, &v1, a0, p->h[0]);
	multiply(&v2, &v3, a1, p->h[1]);
	multiply(&m0, &m1, a0 ^ a1, p->h[0] ^ p->h[1]);
	m0 ^= v0 ^ v2;
	m1 ^= v1 ^ v3;
	v1 ^= m0;
	v2 ^= m1;

	/*
	 * Times x^-128: fold the lowest word up by 128 bits, twice.  Modulo the
	 * polynomial, 1 = x^128 + x^127 + x^126 + x^121.
	 */
	v1 ^= v0 << 63 ^ v0 << 62 ^ v0 << 57;
	v2 ^= v0 ^ v0 >> 1 ^ v0 >> 2 ^ v0 >> 7;
	v2 ^= v1 << 63 ^ v1 << 62 ^ v1 << 57;
	v3 ^= v1 ^ v1 >> 1 ^ v1 >> 2 ^ v1 >> 7;
	p->s[0] = v2;
	p->s[1] = v3;
}

/*
 * Add len bytes, padded with zeros to whole blocks.  Not inlined, so that what
 * the compiler spills is below the frame of seal and open, where pseudo_burn_stack reaches.
 */
static __attribute__((noinline)) void
polyval_update(polyval *p, const uint8_t *bytes, size_t len)
{
	for (; len >= PSEUDO_BLOCK_LEN; len -= PSEUDO_BLOCK_LEN, bytes += PSEUDO_BLOCK_LEN)
		polyval_block(p, bytes);
	if (len > 0)
	{
		uint8_t		last[PSEUDO_BLOCK_LEN] = {0};

		memcpy(last, bytes, len);
		polyval_block(p, last);
		wipe(last, sizeof(last));
	}
}

/* ---- AES ---- */

/* Set the context up to encrypt whole blocks under a key. */
static bool
aes_set_key(EVP_CIPHER_CTX *aes, const uint8_t *key, size_t key_len)
{
	const EVP_CIPHER *cipher = key_len == 32 ? EVP_aes_256_ecb() : EVP_aes_128_ecb();

	return EVP_EncryptInit_ex(aes, cipher, NULL, key, NULL) == 1 &&
		EVP_CIPHER_CTX_set_padding(aes, 0) == 1;
}

/* Encrypt whole blocks, len bytes. */
static bool
aes_encrypt(EVP_CIPHER_CTX *aes, uint8_t *out, const uint8_t *in, size_t len)
{
	int			out_len;

	return EVP_EncryptUpdate(aes, out, &out_len, in, (int) len) == 1 && out_len == (int) len;
}

/* ---- Derive keys, RFC 8452 section 4 ---- */

/* Derive the message keys into work; on success work->aes is to be freed. */
static bool
derive_keys(siv_work *work, const pseudo_siv_key *key, const uint8_t *nonce)
{
	size_t		n = key->key_len / 8 + 2;

	work->aes = EVP_CIPHER_CTX_new();
	if (work->aes == NULL)
		return false;

	for (size_t i = 0; i < n; i++)
	{
		store32_le(work->blocks + PSEUDO_BLOCK_LEN * i, (uint32_t) i);
		memcpy(work->blocks + PSEUDO_BLOCK_LEN * i + 4, nonce, PSEUDO_NONCE_LEN);
	}
	if (!aes_set_key(work->aes, key->key, key->key_len) ||
		!aes_encrypt(work->aes, work->stream, work->blocks, PSEUDO_BLOCK_LEN * n))
		return false;

	for (size_t i = 0; i < n; i++)
		memcpy(work->keys + 8 * i, work->stream + PSEUDO_BLOCK_LEN * i, 8);
	work->poly.h[0] = load64_le(work->keys);
	work->poly.h[1] = load64_le(work->keys + 8);
	work->poly.s[0] = work->poly.s[1] = 0;
	return aes_set_key(work->aes, work->keys + 16, key->key_len);
}

/* Compute the tag of a plaintext into work->tag. */
static bool
make_tag(siv_work *work, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		 const uint8_t *text, size_t text_len)
{
	uint8_t    *block = work->blocks;

	polyval_update(&work->poly, aad, aad_len);
	polyval_update(&work->poly, text, text_len);
	store64_le(block, (uint64_t) aad_len * 8);
	store64_le(block + 8, (uint64_t) text_len * 8);
	polyval_update(&work->poly, block, PSEUDO_BLOCK_LEN);

	store64_le(block, work->poly.s[0]);
	store64_le(block + 8, work->poly.s[1]);
	for (int i = 0; i < PSEUDO_NONCE_LEN; i++)
		block[i] ^= nonce[i];
	block[15] &= 0x7f;
	return aes_encrypt(work->aes, work->tag, block, PSEUDO_BLOCK_LEN);
}

/* Encrypt or decrypt len bytes with the key stream that the tag selects. */
static bool
apply_stream(siv_work *work, const uint8_t *tag, const uint8_t *in, size_t len, uint8_t *out)
{
	uint32_t	counter = load32_le(tag);

	while (len > 0)
	{
		size_t		n = len < sizeof(work->stream) ? len : sizeof(work->stream);
		size_t		n_blocks = (n + PSEUDO_BLOCK_LEN - 1) / PSEUDO_BLOCK_LEN;

		for (size_t i = 0; i < n_blocks; i++)
		{
			uint8_t    *block = work->blocks + PSEUDO_BLOCK_LEN * i;

			store32_le(block, counter++);	/* wraps around, as it should */
			memcpy(block + 4, tag + 4, PSEUDO_TAG_LEN - 4);
			block[15] |= 0x80;
		}
		if (!aes_encrypt(work->aes, work->stream, work->blocks, PSEUDO_BLOCK_LEN * n_blocks))
			return false;
		for (size_t i = 0; i < n; i++)
			out[i] = in[i] ^ work->stream[i];
		in += n;
		out += n;
		len -= n;
	}
	return true;
}

/* ---- Seal and open ---- */

/* Encrypt and authenticate, see pseudo_siv_seal. */
static pseudo_status
portable_seal(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			  const uint8_t *in, size_t in_len, uint8_t *out)
{
	siv_work	work;
	bool		ok;

	ok = derive_keys(&work, key, nonce) &&
		make_tag(&work, nonce, aad, aad_len, in, in_len);
	DECLASSIFY(work.tag, sizeof(work.tag));
	ok = ok && apply_stream(&work, work.tag, in, in_len, out);
	if (ok)
		memcpy(out + in_len, work.tag, PSEUDO_TAG_LEN);
	EVP_CIPHER_CTX_free(work.aes);
	wipe(&work, sizeof(work));
	pseudo_burn_stack();
	return ok ? PSEUDO_OK : PSEUDO_CRYPTO_FAILURE;
}

/* Whether two tags are equal, in a time that does not depend on them. */
static bool
tags_equal(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t difference = 0;

	for (int i = 0; i < PSEUDO_TAG_LEN; i++)
		difference |= a[i] ^ b[i];
	DECLASSIFY((const void *) &difference, sizeof(difference));
	return difference == 0;
}

/* Decrypt and verify, see pseudo_siv_open. */
static pseudo_status
portable_open(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			  const uint8_t *in, size_t in_len, uint8_t *out)
{
	siv_work	work;
	size_t		text_len = in_len - PSEUDO_TAG_LEN;
	const uint8_t *tag = in + text_len;
	pseudo_status status = PSEUDO_CRYPTO_FAILURE;

	if (derive_keys(&work, key, nonce) &&
		apply_stream(&work, tag, in, text_len, out) &&
		make_tag(&work, nonce, aad, aad_len, out, text_len))
		status = tags_equal(tag, work.tag) ? PSEUDO_OK : PSEUDO_NOT_AUTHENTIC;
	EVP_CIPHER_CTX_free(work.aes);
	wipe(&work, sizeof(work));
	pseudo_burn_stack();
	if (status != PSEUDO_OK)
		wipe(out, text_len);
	return status;
}

/* The key itself is all that is kept: OpenSSL expands it at each call. */
static void
portable_expand(pseudo_siv_key *key)
{
	memset(key->round_keys, 0, sizeof(key->round_keys));
}

/* This one runs everywhere. */
static int
siv_portable_supported(void)
{
	return 1;
}

const pseudo_siv_impl pseudo_siv_portable = {
	.supported = siv_portable_supported,
	.expand = portable_expand,
	.seal = portable_seal,
	.open = portable_open
};
