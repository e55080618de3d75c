/*
 * derived.h
 *		The nonce keys of contexts: each is derived once, and found again by the
 *		bytes of its context.
 *
 * They belong to this process, whatever the keyring is shared with: a session
 * that goes through more contexts than there is room for slows down no other.
 */
#ifndef PSEUDO_DERIVED_H
#define PSEUDO_DERIVED_H

#include "keyring.h"

#define PSEUDO_DERIVED_CONTEXT	44	/* bytes of the longest context that is
									 * found again */

/* The nonce key of a key in a context. */
typedef struct PseudoDerivedKey
{
	pseudo_nonce_key nonce;
	uint32		key_id;
	uint64		serial;			/* another one each time that the slot is used */
	uint32		context_len;	/* bytes; 0: it is not found again */
	uint8		context[PSEUDO_DERIVED_CONTEXT];
} PseudoDerivedKey;

/*
 * The nonce key of a key of the keyring in a context of len bytes, 1 or more.
 * While its serial stays, it is the same one; the slot is given to another at
 * one of the next calls, and lives as long as the keyring does.
 * Errors: ERRCODE_OUT_OF_MEMORY, at the first call for a keyring.
 */
extern PseudoDerivedKey *pseudo_derived_key(PseudoKeyring *keyring, const PseudoKey *key,
											const uint8 *context, Size len);

#endif							/* PSEUDO_DERIVED_H */
