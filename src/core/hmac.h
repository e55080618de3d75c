/*
 * hmac.h
 *		HMAC-SHA256 from chaining values, FIPS 180-4 and RFC 2104, for nonce.c
 *		alone: by the processor's SHA instructions, or by OpenSSL.
 */
#ifndef PSEUDO_CORE_HMAC_H
#define PSEUDO_CORE_HMAC_H

#include <stddef.h>
#include <stdint.h>

#define PSEUDO_SHA256_BLOCK		64	/* bytes */
#define PSEUDO_SHA256_LEN		32	/* bytes of a digest */

/* Inner blocks of a message with its padding: 0x80, zeros, and eight bytes for the length. */
#define PSEUDO_HMAC_BLOCKS(len)	(((len) + 9 + PSEUDO_SHA256_BLOCK - 1) / PSEUDO_SHA256_BLOCK)

/* What a key is combined with, RFC 2104 section 2. */
#define PSEUDO_HMAC_INNER_PAD	0x36
#define PSEUDO_HMAC_OUTER_PAD	0x5c

/* The longest message of one block, and the most blocks of those that many() takes. */
#define PSEUDO_HMAC_SHORT		(PSEUDO_SHA256_BLOCK - 9)
#define PSEUDO_HMAC_MOST_BLOCKS	4

/* The most lanes. */
#define PSEUDO_HMAC_LANES		32

/*
 * One implementation.  inner and outer are the chaining values, eight words each,
 * after the inner and the outer padded key; a digest is PSEUDO_SHA256_LEN bytes.
 * The stack below and the registers may keep secrets: the caller clears the stack.
 */
typedef struct pseudo_hmac_impl
{
	const char *name;
	int			(*supported) (void);
	void		(*one) (uint8_t *digest, const uint32_t *inner, const uint32_t *outer,
						const uint8_t *message, size_t len);

	/* Make the chaining values of a key, padded with zeros to a block. */
	void		(*key) (uint32_t *inner, uint32_t *outer, const uint8_t *padded_key);

	/*
	 * n messages of so many blocks each; lanes, 0 where that is no faster, is the most of them.
	 * The arrays are filled up to a multiple of four; all lanes' digests may be written.
	 */
	size_t		lanes;
	void		(*many) (uint8_t (*digests)[PSEUDO_SHA256_LEN], const uint32_t *inner, const uint32_t *outer,
						 const uint8_t *const *messages, const size_t *lens, size_t n, size_t blocks);
} pseudo_hmac_impl;

/* The implementations, of which some are compiled for each kind of processor: see cpu.h. */
extern const pseudo_hmac_impl pseudo_hmac_avx512;
extern const pseudo_hmac_impl pseudo_hmac_x86;
extern const pseudo_hmac_impl pseudo_hmac_arm;
extern const pseudo_hmac_impl pseudo_hmac_portable;

/* Every implementation compiled in, best first, NULL at the end. */
extern const pseudo_hmac_impl *const pseudo_hmac_impls[];

/* The implementation in use: the best that this processor supports. */
extern const pseudo_hmac_impl *pseudo_hmac_get_impl(void);

/* Use the implementation of this name; 0 where there is none or the processor
 * lacks it.  For tests and benchmarks. */
extern int	pseudo_hmac_use(const char *name);

#endif							/* PSEUDO_CORE_HMAC_H */
