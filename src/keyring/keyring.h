/*
 * keyring.h
 *		A keyring in memory, and reading it from its JSON document.
 */
#ifndef PSEUDO_KEYRING_H
#define PSEUDO_KEYRING_H

#include "postgres.h"

#include "../core/nonce.h"
#include "../core/pseudonym.h"

#define PSEUDO_DOCUMENT_MAX	65536	/* bytes of a document */
#define PSEUDO_WEAK_NONCE_KEY	16	/* a nonce key of fewer bytes is weak */
#define PSEUDO_FINGERPRINT_LEN	8	/* hex digits of HMAC-SHA256(key,
									 * "pseudo/fingerprint") */
#define PSEUDO_LOST_MAX	8		/* lost keys that a keyring tells of */

typedef enum PseudoKeyStatus
{
	PSEUDO_KEY_ENABLED,
	PSEUDO_KEY_DISABLED,		/* kept, not used */
	PSEUDO_KEY_DESTROYED,		/* no material left */
	PSEUDO_KEY_UNUSABLE			/* a status or prefix that we do not know */
} PseudoKeyStatus;

typedef enum PseudoOutputPrefix
{
	PSEUDO_PREFIX_RAW,			/* the REST service's format */
	PSEUDO_PREFIX_TINK,			/* 0x01 and the key id first */
	PSEUDO_PREFIX_UNKNOWN		/* one that we do not know: the key is
								 * unusable */
} PseudoOutputPrefix;

typedef struct PseudoKey
{
	pseudo_siv_key siv;
	pseudo_nonce_key nonce;
	uint32		id;
	PseudoKeyStatus status;
	PseudoOutputPrefix prefix;
	int			siv_bits;		/* 128 or 256; 0 where there is no material */
	int			nonce_key_len;	/* bytes; 0 where there is no material */
	char		fingerprint[PSEUDO_FINGERPRINT_LEN + 1];	/* "" where there is no
															 * material */
} PseudoKey;

/* Nonce keys of contexts: see derived.h. */
typedef struct PseudoDerived PseudoDerived;

/*
 * A keyring, in one block of secret memory.  Keys stand in descending order of
 * id.
 */
typedef struct PseudoKeyring
{
	PseudoDerived *derived;		/* this process's own, in a block of its own;
								 * NULL until there is a context */
	PseudoKey  *primary;
	int			nkeys;
	bool		one_key;		/* the service's document, without key ids */
	int			nlost;			/* of lost[] */
	uint32		lost[PSEUDO_LOST_MAX];	/* ids of keys that an earlier
										 * document had, and this one should
										 * have */
	PseudoKey	keys[FLEXIBLE_ARRAY_MEMBER];
} PseudoKeyring;

/*
 * A document: bytes in secret memory (or NULL, 0 bytes, where there is none
 * yet).
 */
typedef struct PseudoDocument
{
	char	   *data;			/* from pseudo_secret_alloc */
	Size		len;			/* bytes */
} PseudoDocument;

#define PSEUDO_NO_DOCUMENT	((PseudoDocument) {NULL, 0})

/*
 * Read a document (UTF-8 JSON of at most PSEUDO_DOCUMENT_MAX bytes) into a
 * keyring.  Returns it, to be freed with pseudo_keyring_free; or NULL with
 * *fault set to a palloc'ed sentence that says which field of which key is
 * wrong and never what is in it ("key 2: field \"encodedSecretKey\" is not
 * base64").  Leaves no key material in palloc'ed memory, also where memory runs
 * out.
 */
extern PseudoKeyring *pseudo_keyring_parse(const char *data, Size len, char **fault);

/*
 * A keyring of n keys, all zeros, to be freed with pseudo_keyring_free.
 * Errors: those of pseudo_secret_alloc.
 */
extern PseudoKeyring *pseudo_keyring_create(int n);

/* Wipe and free a keyring, with all that was derived of its keys; NULL is allowed. */
extern void pseudo_keyring_free(PseudoKeyring *keyring);

/* The key of this id, or NULL. */
extern PseudoKey *pseudo_keyring_find(PseudoKeyring *keyring, uint32 id);

/* Returns true if there is no document yet: nothing, white space, or {}. */
extern PGDLLEXPORT bool pseudo_document_is_blank(const PseudoDocument *document);

/* Returns true if a key's nonce key is short enough to be found. */
extern bool pseudo_key_is_weak(const PseudoKey *key);

/* "enabled", "disabled", "destroyed", "unusable"; "raw", "tink", "unknown" */
extern const char *pseudo_key_status_name(PseudoKeyStatus status);
extern const char *pseudo_output_prefix_name(PseudoOutputPrefix prefix);

#endif							/* PSEUDO_KEYRING_H */
