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

/* A message whose tag is chosen, and what it is made of, by the RFC and by OpenSSL's AES alone. */
typedef struct slow_message
{
	size_t		n;				/* blocks of text */
	size_t		key_len;
	uint8_t		key_bytes[32];
	uint8_t		nonce[12];
	uint8_t		keys[48];		/* what is derived: for authentication, for encryption */
	uint64_t	h[2];			/* the former */
	uint8_t		tag[16];
	uint8_t		tag_input[16];	/* the block that AES makes the tag of, but for the nonce */
	uint8_t    *text;
	uint8_t    *sealed;
} slow_message;

/* Derive the message keys, RFC 8452 section 4. */
static void
derive_slowly(slow_message *m)
{
	uint8_t		blocks[96] = {0};

	for (int i = 0; i < 6; i++)
	{
		blocks[16 * i] = (uint8_t) i;
		memcpy(blocks + 16 * i + 4, m->nonce, 12);
	}
	aes_blocks(blocks, blocks, 6, m->key_bytes, m->key_len, 1);
	for (int i = 0; i < 6; i++)
		memcpy(m->keys + 8 * i, blocks + 16 * i, 8);
	get_element(m->h, m->keys);
}

/* Choose a tag with this counter, whose AES block could have come from POLYVAL. */
static void
choose_tag(slow_message *m, uint32_t first_counter)
{
	do
	{
		random_bytes(m->tag, sizeof(m->tag));
		for (int i = 0; i < 4; i++)
			m->tag[i] = (uint8_t) (first_counter >> (8 * i));
		aes_blocks(m->tag_input, m->tag, 1, m->keys + 16, m->key_len, 0);
	} while (m->tag_input[15] & 0x80);
	for (int i = 0; i < 12; i++)
		m->tag_input[i] ^= m->nonce[i];
}

/*
 * Find the first block of text with which the tag is right.  POLYVAL is linear: it is the first block times
 * h^(n+1), plus the rest.  h's inverse is the power 2^128 - 2, where dot's own unit is x^128.
 */
static void
solve_text(slow_message *m)
{
	uint64_t	inverse[2] = {m->h[0], m->h[1]};
	uint64_t	s[2] = {0, 0};
	uint64_t	want[2];
	uint8_t		lengths[16] = {0};

	get_element(want, m->tag_input);
	memset(m->text, 0, 16);
	for (int i = 0; i < 8; i++)
		lengths[8 + i] = (uint8_t) ((uint64_t) m->n * 128 >> (8 * i));
	slow_polyval(s, m->h, m->text, m->n);
	slow_polyval(s, m->h, lengths, 1);
	want[0] ^= s[0];
	want[1] ^= s[1];
	for (int i = 0; i < 126; i++)
	{
		slow_dot(inverse, inverse, inverse);
		slow_dot(inverse, inverse, m->h);
	}
	slow_dot(inverse, inverse, inverse);
	for (size_t i = 0; i < m->n + 1; i++)
		slow_dot(want, want, inverse);
	put_element(m->text, want);
}

/* Encrypt the text with the counters that the tag begins, and append the tag. */
static void
encrypt_slowly(slow_message *m, uint32_t counter)
{
	uint8_t		block[16];

	for (size_t i = 0; i < m->n; i++, counter++)
	{
		memcpy(block, m->tag, 16);
		for (int j = 0; j < 4; j++)
			block[j] = (uint8_t) (counter >> (8 * j));
		block[15] |= 0x80;
		aes_blocks(m->sealed + 16 * i, block, 1, m->keys + 16, m->key_len, 1);
		for (size_t j = 0; j < 16; j++)
			m->sealed[16 * i + j] ^= m->text[16 * i + j];
	}
	memcpy(m->sealed + 16 * m->n, m->tag, 16);
}

/*
 * A message of n blocks whose counter starts close to its end: RFC 8452 appendix C.3 has such ones, but
 * only of two blocks.  Every implementation must seal and open it.
 */
static void
wrapped_message(size_t n, uint32_t first_counter, size_t key_len)
{
	slow_message m = {.n = n, .key_len = key_len, .text = allocate_random(16 * n), .sealed = allocate(16 * n + 16)};
	uint8_t    *out = allocate(16 * n + 16);

	random_bytes(m.key_bytes, sizeof(m.key_bytes));
	random_bytes(m.nonce, sizeof(m.nonce));
	derive_slowly(&m);
	choose_tag(&m, first_counter);
	solve_text(&m);
	encrypt_slowly(&m, first_counter);
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_key key;

		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, m.key_bytes, key_len) == PSEUDO_OK &&
			  pseudo_siv_seal(&key, m.nonce, NULL, 0, m.text, 16 * n, out) == PSEUDO_OK &&
			  memcmp(out, m.sealed, 16 * n + 16) == 0, "sealed as by the slow way", n);
		check(pseudo_siv_open(&key, m.nonce, NULL, 0, m.sealed, 16 * n + 16, out) == PSEUDO_OK &&
			  memcmp(out, m.text, 16 * n) == 0, "opened as by the slow way", n);
	}
	free(m.text);
	free(m.sealed);
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
