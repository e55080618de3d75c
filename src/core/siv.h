/*
 * siv.h
 *		AES-128-GCM-SIV and AES-256-GCM-SIV, RFC 8452.
 */
#ifndef PSEUDO_CORE_SIV_H
#define PSEUDO_CORE_SIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define PSEUDO_NONCE_LEN	12	/* bytes, RFC 8452 section 4 */
#define PSEUDO_TAG_LEN		16	/* bytes, RFC 8452 section 4 */
#define PSEUDO_BLOCK_LEN	16	/* bytes, an AES block */
#define PSEUDO_MAX_ROUNDS	14

/* The most bytes of plaintext, and of AAD: RFC 8452 section 6, or what fits memory with its pseudonym. */
#if SIZE_MAX > UINT32_MAX
#define PSEUDO_SIV_MAX_LEN	((size_t) 1 << 36)
#else
#define PSEUDO_SIV_MAX_LEN	(SIZE_MAX / 2)
#endif

/*
 * A key-generating key, ready for use.  Plain data without pointers, so that
 * it can live in memory that is locked and wiped; 16-byte aligned.
 */
typedef struct pseudo_siv_key
{
	_Alignas(16) uint8_t round_keys[(PSEUDO_MAX_ROUNDS + 1) * PSEUDO_BLOCK_LEN];
	uint8_t		key[32];
	size_t		key_len;		/* bytes, 16 or 32 */
} pseudo_siv_key;

/* One message of a batch; messages may not overlap each other. */
typedef struct pseudo_siv_item
{
	const uint8_t *nonce;		/* PSEUDO_NONCE_LEN bytes */
	const uint8_t *in;
	size_t		in_len;			/* bytes; to open, with the tag */
	uint8_t    *out;			/* in_len plus or minus PSEUDO_TAG_LEN bytes, may be in itself */
	pseudo_status status;		/* set by the batch functions */
} pseudo_siv_item;

/*
 * One implementation of the algorithm.  All functions take what the public
 * ones of the same name take.
 */
typedef struct pseudo_siv_impl
{
	int			(*supported) (void);
	void		(*expand) (pseudo_siv_key *key);	/* key, key_len are set */
	pseudo_status (*seal) (const pseudo_siv_key *key, const uint8_t *nonce,
						   const uint8_t *aad, size_t aad_len,
						   const uint8_t *in, size_t in_len, uint8_t *out);
	pseudo_status (*open) (const pseudo_siv_key *key, const uint8_t *nonce,
						   const uint8_t *aad, size_t aad_len,
						   const uint8_t *in, size_t in_len, uint8_t *out);
	/* NULL where an implementation does one message after the other. */
	void		(*seal_batch) (const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
							   pseudo_siv_item *items, size_t n);
	void		(*open_batch) (const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
							   pseudo_siv_item *items, size_t n);
} pseudo_siv_impl;

/* How the implementations declare their functions; SIV_TARGET names the instructions that they use. */
#define SIV_INLINE		static inline __attribute__((always_inline)) SIV_TARGET
#define SIV_NOINLINE	static __attribute__((noinline)) SIV_TARGET

/* The implementations, of which some are compiled for each kind of processor: see cpu.h. */
extern const pseudo_siv_impl pseudo_siv_avx512;
extern const pseudo_siv_impl pseudo_siv_avx512vl;
extern const pseudo_siv_impl pseudo_siv_vaes;
extern const pseudo_siv_impl pseudo_siv_x86;
extern const pseudo_siv_impl pseudo_siv_arm;
extern const pseudo_siv_impl pseudo_siv_portable;

/* Returns true if a message is worth the powers of the authentication key: from 256 bytes of text or AAD on. */
static inline bool
pseudo_siv_is_long(size_t aad_len, size_t text_len)
{
	return (aad_len | text_len) >= 256;
}

/*
 * What does the work: an implementation for one message that is not long, and one for long messages and
 * batches, under keys that the second one has expanded.
 */
typedef struct pseudo_siv_choice
{
	const char *name;
	const pseudo_siv_impl *one;
	const pseudo_siv_impl *many;
} pseudo_siv_choice;

/* All that can be chosen, each implementation compiled in on its own too; best first, without a name at the end. */
extern const pseudo_siv_choice pseudo_siv_choices[];

/* Returns true if RFC 8452 allows a plaintext and an AAD of these lengths, in bytes. */
static inline bool
pseudo_siv_fits(size_t text_len, size_t aad_len)
{
	return text_len <= PSEUDO_SIV_MAX_LEN && aad_len <= PSEUDO_SIV_MAX_LEN;
}

/*
 * What is in use: the best that this processor supports, picked at the first
 * call.
 */
extern const pseudo_siv_choice *pseudo_siv_get_choice(void);

/* Use the choice of this name; 0 where there is none or the processor lacks
 * it.  For tests and benchmarks: keys made before must be made again. */
extern int	pseudo_siv_use(const char *name);

/*
 * Make a key-generating key from key_len (16 or 32) bytes.
 * Errors: PSEUDO_BAD_KEY.
 */
extern pseudo_status pseudo_siv_key_init(pseudo_siv_key *key,
										 const uint8_t *bytes, size_t key_len);

/*
 * Encrypt and authenticate, RFC 8452 section 4.  nonce is PSEUDO_NONCE_LEN
 * bytes.  Writes in_len + PSEUDO_TAG_LEN bytes to out, which may be in itself
 * but not overlap it otherwise.
 * Errors: PSEUDO_TOO_LONG, PSEUDO_CRYPTO_FAILURE (portable only).
 */
extern pseudo_status pseudo_siv_seal(const pseudo_siv_key *key, const uint8_t *nonce,
									 const uint8_t *aad, size_t aad_len,
									 const uint8_t *in, size_t in_len, uint8_t *out);

/*
 * Decrypt and verify, RFC 8452 section 5.  in_len counts the tag; writes
 * in_len - PSEUDO_TAG_LEN bytes to out, which may be in itself.  On any
 * failure these bytes of out are zeroed.
 * Errors: PSEUDO_NOT_AUTHENTIC (also where in_len is less than a tag),
 * PSEUDO_TOO_LONG, PSEUDO_CRYPTO_FAILURE (portable only).
 */
extern pseudo_status pseudo_siv_open(const pseudo_siv_key *key, const uint8_t *nonce,
									 const uint8_t *aad, size_t aad_len,
									 const uint8_t *in, size_t in_len, uint8_t *out);

/*
 * Seal n messages under one key and AAD, each as pseudo_siv_seal would: the results are
 * the same, but faster, because several short messages are worked on side by side.
 */
extern void pseudo_siv_seal_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
								  pseudo_siv_item *items, size_t n);

/* Open n messages under one key and AAD, each as pseudo_siv_open would. */
extern void pseudo_siv_open_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
								  pseudo_siv_item *items, size_t n);

#endif							/* PSEUDO_CORE_SIV_H */
