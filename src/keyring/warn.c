/*
 * warn.c
 *		What a keyring's document should not have, or lack.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "warn.h"

/* Say that a nonce key is short enough to be found. */
static void
warn_weak(int elevel, const char *server, const PseudoKey *key)
{
	ereport(elevel,
			(errmsg_plural("keyring \"%s\": key %u has a weak nonce key of %d byte",
						   "keyring \"%s\": key %u has a weak nonce key of %d bytes",
						   (unsigned long) key->nonce_key_len,
						   server, key->id, key->nonce_key_len),
			 errdetail("A nonce key of less than %d bytes can be searched for with two known pairs of value and pseudonym. Whoever finds it can test guesses against every deterministic pseudonym made under this key.",
					   PSEUDO_WEAK_NONCE_KEY),
			 errhint("Create a new key, make it primary, and convert the old pseudonyms with repseudonymize_table().")));
}

/* See warn.h. */
void
pseudo_warn_of_keys(int elevel, const char *server, PseudoKeyring *keyring)
{
	PseudoKey  *weak = NULL;

	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key->status == PSEUDO_KEY_UNUSABLE)
			ereport(elevel,
					(errmsg("keyring \"%s\": key %u cannot be used: its field \"%s\" is not one that this version knows",
							server, key->id,
							key->prefix == PSEUDO_PREFIX_UNKNOWN ? "outputPrefix" : "status")));
		else if (weak == NULL && key->status == PSEUDO_KEY_ENABLED && pseudo_key_is_weak(key))
			weak = key;
	}
	if (weak)
		warn_weak(elevel, server, weak);
}

/*
 * Returns true if a key got other material.  Takes constant time; a key
 * without material has all zeros.
 */
static bool
was_replaced(const PseudoKey *old, const PseudoKey *new)
{
	return new->siv_bits != 0 && old->siv_bits != 0 &&
		CRYPTO_memcmp(&old->siv, &new->siv, sizeof(old->siv)) != 0;
}

/*
 * Returns true if a new document lost a key: gone without a destroyed entry, or
 * with other material under the same id, as in a replaced one-key document.
 */
static bool
is_lost(const PseudoKey *old, PseudoKeyring *new)
{
	PseudoKey  *now = pseudo_keyring_find(new, old->id);

	return old->status != PSEUDO_KEY_DESTROYED && (now == NULL || was_replaced(old, now));
}

/* See warn.h. */
void
pseudo_note_lost(PseudoKeyring *old, PseudoKeyring *new)
{
	new->nlost = 0;
	for (int i = 0; i < old->nkeys && new->nlost < PSEUDO_LOST_MAX; i++)
	{
		if (is_lost(&old->keys[i], new))
			new->lost[new->nlost++] = old->keys[i].id;
	}
	for (int i = 0; i < old->nlost && new->nlost < PSEUDO_LOST_MAX; i++)
	{
		PseudoKey  *other = pseudo_keyring_find(old, old->lost[i]);
		PseudoKey  *now = pseudo_keyring_find(new, old->lost[i]);

		if (now == NULL ? other == NULL :
			other && now->status != PSEUDO_KEY_DESTROYED && !was_replaced(other, now))
			new->lost[new->nlost++] = old->lost[i];
	}
}

/* See warn.h. */
void
pseudo_warn_of_lost(int elevel, const char *server, PseudoKeyring *old, const char *old_version,
					PseudoKeyring *new, const char *new_version)
{
	for (int i = 0; i < old->nkeys; i++)
	{
		if (!is_lost(&old->keys[i], new))
			continue;
		ereport(elevel,
				(errmsg("keyring \"%s\": key %u is gone from the document",
						server, old->keys[i].id),
				 pseudo_keyring_find(new, old->keys[i].id) ?
				 errdetail("Version %s has another key under this id than version %s.",
						   new_version, old_version) :
				 errdetail("Version %s has it, version %s does not.",
						   old_version, new_version),
				 errhint("Pseudonyms under this key cannot be read any more: restore the key from version %s, or add a destroyed entry for it.",
						 old_version)));
	}
}
