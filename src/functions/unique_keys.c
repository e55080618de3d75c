/*
 * unique_keys.c
 *		The locks that keep transactions apart which write with different keys.
 *
 * A transaction that writes to the table with a key holds that key's lock in one mode, and the locks of the
 * other enabled keys that it knows in another mode.  Each mode goes together with itself only.  So of two writers with
 * different keys one waits for the other if either knows the other's key: a writer that has not heard of a new
 * key need not.  That is why the lock is taken while one key is enabled, too, once a transaction and table.  After a
 * wait the keys are looked up again, and then the values.
 *
 * Locks are taken in the order of the keys' numbers.  A new key has the highest: whoever hears of it later keeps to
 * that order as well, and the locks of one table cannot deadlock.  A transaction goes on with the key that it has
 * written to the table with, for to change it would be to wait for others that do the same.  The lock itself
 * remembers that key: ROLLBACK TO gives it back with the rows, and PREPARE TRANSACTION keeps it.  One lock for the
 * table does for all values, shows none of them, and does not fill the lock table.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/inval.h"

#include "../compat.h"
#include "unique_parts.h"

#define LOCK_CLASS	5			/* of advisory locks; SQL's functions have 1
								 * and 2, bulk.h has 3 and 5 */
#define LOCK_OWN	RowExclusiveLock	/* of the key that is written with */
#define LOCK_OTHER	ShareLock	/* of another one */

/* The tag of a key's lock of a table; it differs for any two keys of a keyring. */
static void
set_tag(LOCKTAG *tag, const PseudoCall *call, Relation rel, const PseudoKey *key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, RelationGetRelid(rel),
						 hash_uint32(call->serverid) ^ key->id, LOCK_CLASS);
}

/*
 * The key that this transaction writes to a table with: the primary one, or the one that it began with.
 * To take another could deadlock.
 */
static PseudoKey *
find_key(const PseudoCall *call, Relation rel)
{
	PseudoKeyring *keyring = call->keyring;
	PseudoKey  *result = keyring->primary;

	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];
		LOCKTAG		tag;

		if (key == keyring->primary || key->status != PSEUDO_KEY_ENABLED)
			continue;
		set_tag(&tag, call, rel, key);
		if (pseudo_lock_held(&tag, LOCK_OWN))
			result = key;
	}
	return result;
}

/* Keep writers with other keys of a keyring out of the table until this transaction ends. */
static void
lock_keys_of(const PseudoCall *call, Relation rel, const PseudoKey *own)
{
	PseudoKeyring *keyring = call->keyring;

	/* The keys stand in descending order. */
	for (int i = keyring->nkeys - 1; i >= 0; i--)
	{
		PseudoKey  *key = &keyring->keys[i];
		LOCKTAG		tag;

		if (key->status != PSEUDO_KEY_ENABLED)
			continue;
		set_tag(&tag, call, rel, key);
		(void) LockAcquire(&tag, key == own ? LOCK_OWN : LOCK_OTHER, false, false);
	}
}

/* Returns true if more than one key is enabled. */
static bool
has_several(const PseudoKeyring *keyring)
{
	int			enabled = 0;

	for (int i = 0; i < keyring->nkeys; i++)
		enabled += keyring->keys[i].status == PSEUDO_KEY_ENABLED;
	return enabled > 1;
}

/* The same for all keyrings, in the order of their servers. */
static void
lock_keys(const PseudoUnique *unique, Relation rel)
{
	Oid			last = InvalidOid;
	int			next;

	do
	{
		next = -1;
		for (int i = 0; i < unique->ncolumns; i++)
		{
			if (unique->calls[i]->serverid > last &&
				(next < 0 || unique->calls[i]->serverid < unique->calls[next]->serverid))
				next = i;
		}
		if (next >= 0)
		{
			last = unique->calls[next]->serverid;
			lock_keys_of(unique->calls[next], rel, unique->keys[next]);
		}
	} while (next >= 0);
}

/* See unique.h. */
bool
pseudo_unique_prepare(PseudoUnique *unique, Relation rel, bool writes)
{
	uint64		generation = unique->calls[0]->generation;

	if (likely(unique->prepared == generation))
		return true;
	unique->is_due = false;
	for (int i = 0; i < unique->ncolumns; i++)
	{
		unique->keys[i] = find_key(unique->calls[i], rel);
		unique->is_due |= has_several(unique->calls[i]->keyring);
	}
	if (unique->has_own && writes)
		lock_keys(unique, rel);
	unique->prepared = generation;
	if (unique->is_due && !unique->is_known)
		pseudo_unique_find_constraints(unique, rel);
	AcceptInvalidationMessages();
	return false;
}

/* See unique.h. */
bool
pseudo_unique_is_due(const PseudoUnique *unique)
{
	return unique->is_due && unique->compared != NIL;
}
