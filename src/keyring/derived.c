/*
 * derived.c
 *		The nonce keys of contexts: each is derived once, and found again by the
 *		bytes of its context.
 *
 * A context has one set of slots where it can be, so that what a look-up costs
 * has a bound, whichever contexts come; the slots of a set are reused in turn.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "derived.h"
#include "secret.h"

#define SETS	64				/* a power of two */
#define SLOTS	8				/* of a set */

typedef struct DerivedSet
{
	uint32		hashes[SLOTS];
	PseudoDerivedKey keys[SLOTS];
	uint64		used;			/* slots, so far */
} DerivedSet;

/* In secret memory. */
struct PseudoDerived
{
	uint64		last_serial;
	DerivedSet	sets[SETS];
};

/* Returns true if a slot has the key of a context. */
static inline bool
is_of(const PseudoDerivedKey *slot, const PseudoKey *key, const uint8 *context, Size len)
{
	return slot->key_id == key->id && slot->context_len == len &&
		memcmp(slot->context, context, len) == 0;
}

/* See derived.h. */
PseudoDerivedKey *
pseudo_derived_key(PseudoKeyring *keyring, const PseudoKey *key, const uint8 *context, Size len)
{
	uint32		hash = hash_bytes(context, (int) Min(len, PSEUDO_DERIVED_CONTEXT)) + key->id;
	PseudoDerivedKey *slot;
	DerivedSet *set;
	int			i;

	if (keyring->derived == NULL)
		keyring->derived = pseudo_secret_alloc(sizeof(PseudoDerived));
	set = &keyring->derived->sets[hash % SETS];
	for (i = 0; i < SLOTS; i++)
	{
		if (set->hashes[i] == hash && is_of(&set->keys[i], key, context, len))
			return &set->keys[i];
	}

	i = set->used++ % SLOTS;
	slot = &set->keys[i];
	set->hashes[i] = hash;
	pseudo_nonce_key_derive(&slot->nonce, &key->nonce, context, len);
	slot->key_id = key->id;
	slot->serial = ++keyring->derived->last_serial;
	slot->context_len = 0;
	if (len <= PSEUDO_DERIVED_CONTEXT)
	{
		memcpy(slot->context, context, len);
		slot->context_len = (uint32) len;
	}
	return slot;
}
