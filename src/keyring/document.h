/*
 * document.h
 *		Changing a keyring's document.
 */
#ifndef PSEUDO_DOCUMENT_H
#define PSEUDO_DOCUMENT_H

#include "postgres.h"

#include "keyring.h"

/*
 * Changes of a document: each returns the new document (to be freed with
 * pseudo_secret_free), or a document with data NULL and *fault set.  All
 * fields that we do not know are kept, in their place.  The result has been
 * read back with pseudo_keyring_parse.
 */

/* What a new key is to be. */
typedef struct PseudoNewKey
{
	PseudoOutputPrefix prefix;
	bool		make_primary;	/* the first key is primary in any case */
	const uint8 *secret;		/* 32 bytes */
	const uint8 *nonce_key;		/* 32 bytes */
} PseudoNewKey;

/*
 * Add a key to a document; NULL data or a document of white space or {} makes
 * the first one.  *id gets its key id: the greatest yet seen, and one; 1 for
 * the first.  The first key with prefix raw makes the service's one-key
 * document.  A one-key document becomes one with several keys, its own key
 * being keyId 1, and keeps the service's four fields.  A document that has
 * this very key stays as it is.
 */
extern PseudoDocument pseudo_document_add_key(const PseudoDocument *old,
											  const PseudoNewKey *new_key,
											  uint32 *id, char **fault);

/* Make an enabled key primary.  Fault: no such key, not enabled. */
extern PseudoDocument pseudo_document_set_primary(const PseudoDocument *old, uint32 id,
												  char **fault);

/*
 * Set a key's status (not PSEUDO_KEY_UNUSABLE).  Destroying removes its
 * material, also from the service's four fields.  Fault: no such key, the
 * primary one, a destroyed one.
 */
extern PseudoDocument pseudo_document_set_status(const PseudoDocument *old, uint32 id,
												 PseudoKeyStatus status, char **fault);

#endif							/* PSEUDO_DOCUMENT_H */
