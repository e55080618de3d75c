/*
 * residue.c
 *		Look for what the core leaves behind: after each call, the stack below is
 *		searched for keys, round keys, and the text.
 *
 * Means something in an optimised build without sanitizers only, and with all
 * symbols bound at once, as PostgreSQL loads modules: the dynamic linker saves
 * registers on the stack when it binds one late.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* memmem */
#endif
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/hmac.h"
#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define STACK_LEN 32768
#define PIECE 8					/* bytes of a secret that count as found */
#define MAX_SECRETS 64

static uint8_t stack[STACK_LEN];
static uint8_t secrets[MAX_SECRETS][16];
static const char *names[MAX_SECRETS];
static int	n_secrets;
static unsigned long passed;
static unsigned long failed;

/* Overwrite the stack below. */
static __attribute__((noinline)) void
paint_stack(void)
{
	volatile uint8_t room[STACK_LEN];

	for (size_t i = 0; i < STACK_LEN; i++)
		room[i] = 0x5a;
	__asm__ volatile("" : : "r" (room) : "memory");
}

/* Copy the stack below. */
static __attribute__((noinline)) void
copy_stack(void)
{
	volatile uint8_t room[STACK_LEN];

	__asm__ volatile("" : : "r" (room) : "memory");
	for (size_t i = 0; i < STACK_LEN; i++)
		stack[i] = room[i];
}

/* Search for this from now on. */
static void
add_secret(const char *name, const void *bytes)
{
	memcpy(secrets[n_secrets], bytes, 16);
	names[n_secrets++] = name;
}

/* Count one test: no secret is on the stack. */
static void
search_stack(const char *what, size_t len)
{
	bool		found = false;

	copy_stack();
	for (int i = 0; i < n_secrets; i++)
	{
		for (size_t piece = 0; piece < 16; piece += PIECE)
		{
			if (memmem(stack, STACK_LEN, secrets[i] + piece, PIECE) != NULL)
			{
				fprintf(stderr, "%s: %s of %zu bytes leaves %s\n", pseudo_siv_get_choice()->name, what, len, names[i]);
				found = true;
				break;
			}
		}
	}
	if (found)
		failed++;
	else
		passed++;
}

/* AES-256 of n blocks by OpenSSL. */
static void
aes_blocks(uint8_t *out, const uint8_t *in, int n, const uint8_t *key)
{
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	int			len;

	if (EVP_EncryptInit_ex(aes, EVP_aes_256_ecb(), NULL, key, NULL) != 1 ||
		EVP_CIPHER_CTX_set_padding(aes, 0) != 1 ||
		EVP_EncryptUpdate(aes, out, &len, in, 16 * n) != 1)
		exit(2);
	EVP_CIPHER_CTX_free(aes);
}

/* Seal, open and pseudonymize twenty times the same text in a batch, and search after each. */
static void
search_batches(const pseudo_siv_key *key, const uint8_t *nonce, const pseudo_nonce_key *nonce_key,
			   const uint8_t *text, size_t len)
{
	enum
	{
		N = 20
	};
	static uint8_t out[N][512];
	static uint8_t opened[N][512];
	static pseudo_siv_item items[N];
	static pseudo_batch_item pseudonyms[N];

	for (int i = 0; i < N; i++)
	{
		items[i] = (pseudo_siv_item) {.nonce = nonce, .in = text, .in_len = len, .out = out[i]};
		pseudonyms[i] = (pseudo_batch_item) {.in = text, .len = len, .out = opened[i]};
	}
	paint_stack();
	pseudo_siv_seal_batch(key, NULL, 0, items, N);
	search_stack("seal in a batch", len);
	for (int i = 0; i < N; i++)
		items[i] = (pseudo_siv_item) {.nonce = nonce, .in = out[i], .in_len = len + 16, .out = opened[i]};
	out[3][2] ^= 1;
	paint_stack();
	pseudo_siv_open_batch(key, NULL, 0, items, N);
	search_stack("open in a batch", len);
	paint_stack();
	pseudo_pseudonym_seal_batch(pseudonyms, N, key, false, 0, nonce_key, NULL, 0);
	search_stack("pseudonyms in a batch", len);
}

/* Nonces of the same text in batches of a few and of many, and search after each. */
static void
search_nonces(const pseudo_nonce_key *nonce_key, const uint8_t *text, size_t len)
{
	enum
	{
		N = 40
	};
	static uint8_t bytes[N][PSEUDO_NONCE_LEN];
	uint8_t    *nonces[N];
	const uint8_t *texts[N];
	size_t		lens[N];

	for (int i = 0; i < N; i++)
	{
		nonces[i] = bytes[i];
		texts[i] = text;
		lens[i] = len;
	}
	for (size_t n = 1; n <= N; n += 7)
	{
		paint_stack();
		pseudo_nonce_deterministic_batch(nonces, nonce_key, texts, lens, n);
		search_stack("nonces in a batch", len);
	}
}

static const size_t lengths[] = {16, 22, 31, 55, 56, 100, 300, 4000};

#define N_LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static uint8_t key_bytes[32];
static uint8_t nonce[12];
static uint8_t text[4096];
static pseudo_siv_key key;
static pseudo_nonce_key nonce_key;

/* Make key, nonce and text, and the message keys by OpenSSL: what must not be found. */
static void
add_secrets(uint8_t *keys)
{
	uint8_t		blocks[96] = {0};

	for (int i = 0; i < 32; i++)
		key_bytes[i] = (uint8_t) (i * 37 + 11);
	for (int i = 0; i < 4096; i++)
		text[i] = (uint8_t) ((i * i * 7 + i * 13 + (i >> 4) * 29) ^ 0x3c);
	for (int i = 0; i < 12; i++)
		nonce[i] = (uint8_t) (i + 200);
	for (int i = 0; i < 6; i++)
	{
		blocks[16 * i] = (uint8_t) i;
		memcpy(blocks + 16 * i + 4, nonce, 12);
	}
	aes_blocks(blocks, blocks, 6, key_bytes);
	for (int i = 0; i < 6; i++)
		memcpy(keys + 8 * i, blocks + 16 * i, 8);

	add_secret("the key", key_bytes);
	add_secret("the key's end", key_bytes + 16);
	add_secret("the authentication key", keys);
	add_secret("the message key", keys + 16);
	add_secret("the message key's end", keys + 32);
	add_secret("the text", text);
	add_secret("the text from 6 on", text + 6);
	add_secret("the text from 16 on", text + 16);
	add_secret("the text from 64 on", text + 64);
	if (pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 3) != PSEUDO_OK)
		exit(2);
	add_secret("the nonce key, inner", nonce_key.inner);
	add_secret("the nonce key, inner end", nonce_key.inner + 4);
	add_secret("the nonce key, outer", nonce_key.outer);
	add_secret("the nonce key, outer end", nonce_key.outer + 4);
}

/* The round keys too, where an implementation has them as they are. */
static void
add_round_keys(const uint8_t *keys)
{
	static pseudo_siv_key message_key;

	if (pseudo_siv_choices[1].name == NULL || !pseudo_siv_use(pseudo_siv_choices[0].name))
		return;
	pseudo_siv_key_init(&key, key_bytes, 32);
	pseudo_siv_key_init(&message_key, keys + 16, 32);
	for (int i = 1; i < 15; i++)
	{
		add_secret("a round key", key.round_keys + 16 * i);
		add_secret("a message round key", message_key.round_keys + 16 * i);
	}
}

/* Seal, open and refuse messages by the implementation in use, and search after each. */
static void
search_messages(void)
{
	static uint8_t sealed[4096 + 16];
	static uint8_t opened[4096];

	paint_stack();
	pseudo_siv_key_init(&key, key_bytes, 32);
	search_stack("key_init", 32);
	for (size_t i = 0; i < N_LENGTHS; i++)
	{
		size_t		len = lengths[i];

		paint_stack();
		pseudo_siv_seal(&key, nonce, text, i == 3 ? 300 : 0, text, len, sealed);
		search_stack("seal", len);
		paint_stack();
		pseudo_siv_open(&key, nonce, text, i == 3 ? 300 : 0, sealed, len + 16, opened);
		search_stack("open", len);
		sealed[3] ^= 1;
		paint_stack();
		pseudo_siv_open(&key, nonce, text, i == 3 ? 300 : 0, sealed, len + 16, opened);
		search_stack("refusing open", len);
	}
}

/* Make nonces by the HMAC in use, and search after each. */
static void
search_hmac(void)
{
	static uint8_t other_nonce[12];

	for (size_t i = 0; i < N_LENGTHS; i++)
	{
		paint_stack();
		pseudo_nonce_deterministic(other_nonce, &nonce_key, text, lengths[i]);
		search_stack("nonce", lengths[i]);
		search_nonces(&nonce_key, text, lengths[i]);
	}
}

/* Make nonce keys by the HMAC in use: of a key, and of contexts of all kinds of length. */
static void
search_nonce_keys(void)
{
	static pseudo_nonce_key derived;
	static pseudo_nonce_key again;
	static uint8_t context[4096];

	paint_stack();
	if (pseudo_nonce_key_init(&again, key_bytes, 32, 3) != PSEUDO_OK)
		exit(2);
	search_stack("nonce_key_init", 32);
	for (size_t i = 0; i < N_LENGTHS; i++)
	{
		int			n_before = n_secrets;

		/* Twice: what it makes is a secret, too. */
		pseudo_nonce_key_derive(&derived, &nonce_key, context, lengths[i]);
		add_secret("a derived key, inner", derived.inner);
		add_secret("a derived key, inner end", derived.inner + 4);
		add_secret("a derived key, outer", derived.outer);
		add_secret("a derived key, outer end", derived.outer + 4);
		paint_stack();
		pseudo_nonce_key_derive(&again, &nonce_key, context, lengths[i]);
		search_stack("nonce_key_derive", lengths[i]);
		n_secrets = n_before;
	}
}

/* The search itself finds something where there is something. */
static void
search_what_is_there(void)
{
	n_secrets = 1;
	memset(secrets[0], 0x5a, 16);
	paint_stack();
	copy_stack();
	if (memmem(stack, STACK_LEN, secrets[0], 16) != NULL)
		passed++;
	else
		failed++;
}

int
main(void)
{
	static uint8_t keys[48];

	add_secrets(keys);
	add_round_keys(keys);
	for (const pseudo_siv_choice *choice = pseudo_siv_choices; choice->name != NULL; choice++)
		if (pseudo_siv_use(choice->name))
			search_messages();
	for (const pseudo_siv_choice *choice = pseudo_siv_choices; choice->name != NULL; choice++)
	{
		if (!pseudo_siv_use(choice->name))
			continue;
		pseudo_siv_key_init(&key, key_bytes, 32);
		for (size_t i = 0; i < N_LENGTHS && lengths[i] <= 300; i++)
			search_batches(&key, nonce, &nonce_key, text, lengths[i]);
	}
	for (const pseudo_hmac_impl *const *impl = pseudo_hmac_impls; *impl != NULL; impl++)
	{
		if (!pseudo_hmac_use((*impl)->name))
			continue;
		search_hmac();
		search_nonce_keys();
	}
	search_what_is_there();
	printf("nothing left on the stack: %lu passed, %lu failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
