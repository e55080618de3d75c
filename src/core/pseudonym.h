/*
 * pseudonym.h
 *		The text form of a pseudonym:
 *		base64([prefix] || nonce (12) || ciphertext || tag (16)).
 */
#ifndef PSEUDO_PSEUDONYM_H
#define PSEUDO_PSEUDONYM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nonce.h"

#define PSEUDO_PREFIX_LEN	5	/* Tink's output prefix: 0x01, key id big-endian */
#define PSEUDO_OVERHEAD		(PSEUDO_NONCE_LEN + PSEUDO_TAG_LEN)

/* Characters of the base64 text (RFC 4648 section 4, padded) of len bytes. */
#define PSEUDO_BASE64_LEN(len)	(((len) + 2) / 3 * 4)

/* The most bytes that base64 text of len characters decodes to. */
#define PSEUDO_BASE64_BYTES(len)	((len) / 4 * 3)

/*
 * Write the base64 text of len bytes to out: PSEUDO_BASE64_LEN(len) characters,
 * no terminating zero.  in and out may not overlap, with one exception: in may be the last len
 * bytes of the room for the text (in == out + PSEUDO_BASE64_LEN(len) - len), so
 * that a caller can encode within one allocation.
 */
extern void pseudo_base64_encode(char *out, const uint8_t *in, size_t len);

/*
 * Decode base64 text of len characters.  Accepts only the canonical spelling:
 * standard alphabet, no white space, right padding, zero spare bits.  out has room
 * for PSEUDO_BASE64_BYTES(len) bytes and may be in itself; *out_len is the length found.
 * Errors: PSEUDO_MALFORMED.
 */
extern pseudo_status pseudo_base64_decode(uint8_t *out, size_t *out_len,
										  const char *in, size_t len);

/* Write Tink's output prefix for a key id. */
extern void pseudo_prefix_write(uint8_t *out, uint32_t key_id);

/*
 * The key id that the prefix of a decoded pseudonym claims; false where the
 * bytes carry no prefix, or are too short for a pseudonym that has one.
 */
extern bool pseudo_prefix_read(const uint8_t *bytes, size_t len, uint32_t *key_id);

/*
 * Make the whole pseudonym of a value: nonce, seal, base64.
 *
 *	out			PSEUDO_BASE64_LEN((has_prefix ? PSEUDO_PREFIX_LEN : 0) + PSEUDO_OVERHEAD + len) characters
 *	nonce_key	NULL for random mode; else the (context's) nonce key
 *	aad			the context, may be empty
 *	value, len	the plaintext, not overlapping out
 *
 * Errors: as pseudo_siv_seal and pseudo_nonce_random.
 */
extern pseudo_status pseudo_pseudonym_seal(char *out, const pseudo_siv_key *key,
										   bool has_prefix, uint32_t key_id,
										   const pseudo_nonce_key *nonce_key,
										   const uint8_t *aad, size_t aad_len,
										   const uint8_t *value, size_t len);

/*
 * Open nonce || ciphertext || tag (decoded, without prefix) of len bytes; writes
 * len - PSEUDO_OVERHEAD bytes to out.
 * Errors: PSEUDO_MALFORMED where len < PSEUDO_OVERHEAD, else as pseudo_siv_open.
 */
extern pseudo_status pseudo_pseudonym_open(uint8_t *out, const pseudo_siv_key *key,
										   const uint8_t *aad, size_t aad_len,
										   const uint8_t *in, size_t len);

/*
 * One value of a batch.  The memory of different items may not overlap.
 *
 *	in, len		what the function of the same name for one value takes, bytes
 *	out			room for what it writes
 *	out_len		set: bytes or characters written to out, where status is PSEUDO_OK
 *	status		set: what it would return
 */
typedef struct pseudo_batch_item
{
	const uint8_t *in;
	size_t		len;
	void	   *out;
	size_t		out_len;
	pseudo_status status;
} pseudo_batch_item;

/*
 * Make the pseudonyms of n values under the same keys and context, each the one that
 * pseudo_pseudonym_seal makes (but for random nonces, which differ at each call).
 * It is faster, because several short values are worked on side by side.  An error of one
 * item leaves the others alone.
 */
extern void pseudo_pseudonym_seal_batch(pseudo_batch_item *items, size_t n,
										const pseudo_siv_key *key, bool has_prefix, uint32_t key_id,
										const pseudo_nonce_key *nonce_key,
										const uint8_t *aad, size_t aad_len);

/*
 * Open n pseudonyms (decoded, without prefix) under the same key and context, each as
 * pseudo_pseudonym_open does.
 */
extern void pseudo_pseudonym_open_batch(pseudo_batch_item *items, size_t n,
										const pseudo_siv_key *key,
										const uint8_t *aad, size_t aad_len);

#endif							/* PSEUDO_PSEUDONYM_H */
