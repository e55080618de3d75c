/*
 * test_slow_siv.c
 *		AES-GCM-SIV with chosen counters, against a slow way of its own.
 */
#include <openssl/evp.h>

#include "harness.h"

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
void
test_slow_siv(void)
{
	for (uint32_t before = 0; before < 40; before++)
	{
		wrapped_message(40, UINT32_MAX - before, before & 1 ? 16 : 32);
		wrapped_message(before + 1, UINT32_MAX - before / 2, before & 1 ? 32 : 16);
		wrapped_message(before + 1, UINT32_C(0x7fffffff) - before / 2, 32);
	}
	end_group("chosen counters, against the slow way");
}
