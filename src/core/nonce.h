/*
 * nonce.h
 *		Where the 12 bytes of a nonce come from: from the value itself in
 *		deterministic mode, from a CSPRNG in random mode.
 */
#ifndef PSEUDO_NONCE_H
#define PSEUDO_NONCE_H

#include <stddef.h>
#include <stdint.h>

#include "siv.h"

/*
 * A nonce key, ready for use: HMAC-SHA256's chaining values after the inner
 * and the outer padded key (RFC 2104 section 4), and where in the hex digest the nonce starts.
 * Plain data, no pointers.
 */
typedef struct pseudo_nonce_key
{
	uint32_t	inner[8];
	uint32_t	outer[8];
	uint32_t	start;			/* nonceStrPos, 0 to 52 */
} pseudo_nonce_key;

/*
 * Make a nonce key from len bytes (1 or more); start is the first of the twelve
 * hex digits that make the nonce, 0 to 52.
 * Errors: PSEUDO_BAD_KEY.
 */
extern pseudo_status pseudo_nonce_key_init(pseudo_nonce_key *key, const uint8_t *bytes,
										   size_t len, uint32_t start);

/*
 * The nonce key of a non-empty context: HMAC-SHA256(nonce key, 0xFF ||
 * "pseudo/context" || 0x00 || context) as key, same start.
 */
extern void pseudo_nonce_key_derive(pseudo_nonce_key *derived, const pseudo_nonce_key *key,
									const uint8_t *context, size_t context_len);

/*
 * The deterministic nonce of a value: twelve ASCII characters, the window
 * [start, start + 12) of the lower-case hex of HMAC-SHA256(nonce key, value).
 */
extern void pseudo_nonce_deterministic(uint8_t *nonce, const pseudo_nonce_key *key,
									   const uint8_t *value, size_t len);

/*
 * The deterministic nonces of n values, to nonces[0] to nonces[n - 1]: the same as
 * one by one, but faster, because several values of at most 247 bytes are hashed side by side.
 */
extern void pseudo_nonce_deterministic_batch(uint8_t *const *nonces, const pseudo_nonce_key *key,
											 const uint8_t *const *values, const size_t *lens,
											 size_t n);

/*
 * Fill a nonce with 12 random bytes from a buffer of OpenSSL's RAND_bytes: each
 * byte is handed out once, wiped then, and never shared with a forked child.
 * Errors: PSEUDO_CRYPTO_FAILURE.
 */
extern pseudo_status pseudo_nonce_random(uint8_t *nonce);

#endif							/* PSEUDO_NONCE_H */
