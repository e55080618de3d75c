/*
 * shared.c
 *		The keyrings of the whole server: how they are kept.
 *
 * A slot is what the server has of one keyring.  Who finds that its keys are
 * due takes on the load (a claim, under the lock), does it without the lock,
 * and publishes what comes of it.  Others wait for that, or serve on with the
 * keys that there are.  A claim that is older than somebody's own timeout does
 * not hold that one up: so nobody has to wait for a process that hangs, however
 * long its own timeout is.
 *
 * Loads of a slot have tickets in ascending order.  Who needs one that begins
 * from now on needs a ticket that has not been given out yet; what an older
 * load brings never replaces what a newer one has brought.
 *
 * Nothing here allocates, reports or waits while it holds the lock: a client
 * that does not take a message would hold up the server.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "postgres.h"

#include <openssl/sha.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "clock.h"
#include "shared_parts.h"

#define TRANCHE	"pseudo"
#define DEFAULT_MEMORY	1024	/* kB */
#define BLOCKS_A_SLOT	2		/* of its options, and of its keys */

#define PUT_BACK		1		/* the ticket of keys that are put back: older
								 * than any load */

Shared	   *pseudo_shared = NULL;
static int	memory_kb = DEFAULT_MEMORY;

/*
 * Start of the server
 */

/* The blocks of memory that the setting makes. */
static int
count_blocks(void)
{
	return (int) ((int64) memory_kb * 1024 / PSEUDO_SHARED_BLOCK);
}

/* Bytes of PostgreSQL's shared memory for the slots. */
static Size
slots_size(void)
{
	return MAXALIGN(add_size(offsetof(Shared, slots),
							 mul_size(count_blocks() / BLOCKS_A_SLOT, sizeof(Slot))));
}

/*
 * Returns true if there is to be any: not where backends do not inherit what
 * the postmaster has mapped.
 */
static bool
is_wanted(void)
{
#ifdef EXEC_BACKEND
	return false;
#else
	return count_blocks() >= BLOCKS_A_SLOT;
#endif
}

/* See shared.h: ask for shared memory and a lock. */
void
pseudo_shared_request(void)
{
	if (!is_wanted())
		return;
	RequestAddinShmemSpace(add_size(slots_size(), pseudo_shared_memory_list_size(count_blocks())));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

/* See shared.h: make them ready; children inherit the pointers. */
void
pseudo_shared_startup(void)
{
	bool		found;
	Shared	   *state;

	pseudo_shared = NULL;
	if (!is_wanted())
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("pseudo",
							add_size(slots_size(), pseudo_shared_memory_list_size(count_blocks())),
							&found);
	memset(state, 0, slots_size());
	state->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	state->nslots = count_blocks() / BLOCKS_A_SLOT;
	for (int i = 0; i < state->nslots; i++)
	{
		pg_atomic_init_u64(&state->slots[i].stamp, 0);
		pg_atomic_init_u64(&state->slots[i].used_ms, 0);
		ConditionVariableInit(&state->slots[i].changed);
	}
	if (pseudo_shared_memory_create((char *) state + slots_size(), count_blocks()))
		pseudo_shared = state;
	LWLockRelease(AddinShmemInitLock);
}

/* See shared.h. */
void
pseudo_shared_init(void)
{
	DefineCustomIntVariable("pseudo.shared_memory",
							"Sets the memory for keyrings that all sessions share.",
							"Each session loads for itself what does not fit. 0 shares nothing.",
							&memory_kb, DEFAULT_MEMORY, 0, 1024 * 1024,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
}

/* See shared.h. */
bool
pseudo_shared_is_on(void)
{
	return pseudo_shared != NULL;
}

/*
 * Slots
 */

/*
 * See shared.h.  By OpenSSL's low-level functions: EVP's first digest in a
 * process makes the list of all that there are, which takes longer than all
 * else that a new session needs to get its keys.
 */
void
pseudo_shared_make_digest(uint8 *digest, const char *identity)
{
	SHA256_CTX	sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, identity, strlen(identity));
	SHA256_Final(digest, &sha);
}

/* See shared_parts.h. */
Slot *
pseudo_slot_find(const uint8 *digest)
{
	for (int i = 0; i < pseudo_shared->nused; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];

		if (slot->life != 0 && memcmp(slot->digest, digest, sizeof(slot->digest)) == 0)
			return slot;
	}
	return NULL;
}

/* See shared_parts.h. */
void
pseudo_slot_wipe(Slot *slot)
{
	pseudo_shared_memory_wipe(&slot->keys);
	slot->nkeys = 0;
	pseudo_slot_stamp(slot);
}

/* See shared_parts.h. */
void
pseudo_slot_free(Slot *slot)
{
	slot->past_life = slot->life;
	slot->past_published = slot->nkeys > 0 ? slot->published : 0;
	slot->past_asked = slot->asked > slot->published;
	pseudo_slot_wipe(slot);
	pseudo_shared_memory_wipe(&slot->identity);
	slot->life = 0;
	ConditionVariableBroadcast(&slot->changed);
}

/* See shared_parts.h. */
void
pseudo_slot_sweep(int64 now)
{
	for (int i = 0; i < pseudo_shared->nused; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];

		if (slot->life != 0 && slot->flying == 0 &&
			now >= (int64) pg_atomic_read_u64(&slot->used_ms) + pseudo_slot_keep_time(slot))
			pseudo_slot_free(slot);
	}
}

/* See shared_parts.h. */
bool
pseudo_slot_publish(Slot *slot, uint64 ticket, const PseudoKeyring *keyring, const char *version,
					int64 loaded_ms, TimestampTz loaded_at)
{
	pseudo_slot_wipe(slot);
	if (strlen(version) >= sizeof(slot->version) ||
		!pseudo_shared_memory_store(&slot->keys, keyring->keys,
									keyring->nkeys * sizeof(PseudoKey)))
		return false;
	if (strcmp(slot->version, version) != 0)
		slot->early_ms = 0;
	strlcpy(slot->version, version, sizeof(slot->version));
	slot->nkeys = keyring->nkeys;
	slot->primary = (int) (keyring->primary - keyring->keys);
	slot->one_key = keyring->one_key;
	slot->nlost = keyring->nlost;
	memcpy(slot->lost, keyring->lost, sizeof(slot->lost));
	slot->published = ticket;
	slot->loaded_ms = loaded_ms;
	slot->loaded_at = loaded_at;
	slot->due_share = pseudo_jittered(1000) / 1000.0;
	slot->renew_terms = true;
	slot->vain = 0;
	slot->vain_ms = 0;
	slot->failure.class = PSEUDO_FAIL_NONE;
	memset(&slot->attempts, 0, sizeof(slot->attempts));
	pseudo_slot_wake_refresher();
	return true;
}

/* Note how who uses a keyring wants it. */
static void
note_terms(Slot *slot, const PseudoOptions *options)
{
	bool		renew = slot->renew_terms;

	slot->renew_terms = false;
	slot->refresh_interval = renew ? options->refresh_interval :
		Min(slot->refresh_interval, options->refresh_interval);
	slot->stale_limit = Max(slot->stale_limit, options->stale_limit);
	slot->timeout = renew ? options->timeout : Max(slot->timeout, options->timeout);
	if (slot->database != MyDatabaseId)
		slot->database = InvalidOid;
	strlcpy(slot->server, options->server, sizeof(slot->server));
	pg_atomic_write_u64(&slot->used_ms, (uint64) pseudo_now_ms());
}

/*
 * Free the slot without keys that was not used for longest; NULL where there is
 * none.  Who has no keys keeps nobody out.
 */
static Slot *
evict_slot(void)
{
	Slot	   *oldest = NULL;

	for (int i = 0; i < pseudo_shared->nused; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];

		if (slot->nkeys == 0 && slot->flying == 0 &&
			(oldest == NULL ||
			 pg_atomic_read_u64(&slot->used_ms) < pg_atomic_read_u64(&oldest->used_ms)))
			oldest = slot;
	}
	if (oldest)
		pseudo_slot_free(oldest);
	return oldest;
}

/* A new slot, or NULL where there is no room. */
static Slot *
add_slot(PseudoSharedAsk *ask)
{
	Slot	   *slot = NULL;

	pseudo_slot_sweep(ask->came_ms);
	for (int i = 0; i < pseudo_shared->nused && slot == NULL; i++)
	{
		if (pseudo_shared->slots[i].life == 0)
			slot = &pseudo_shared->slots[i];
	}
	if (slot == NULL && pseudo_shared->nused < pseudo_shared->nslots)
		slot = &pseudo_shared->slots[pseudo_shared->nused++];
	if (slot == NULL)
		slot = evict_slot();
	if (slot == NULL ||
		!pseudo_shared_memory_store(&slot->identity, ask->identity, strlen(ask->identity) + 1))
		return NULL;
	memcpy(slot->digest, ask->digest, sizeof(slot->digest));
	slot->life = ++pseudo_shared->last;
	slot->database = MyDatabaseId;
	slot->begun = slot->ended = PUT_BACK;
	slot->asked = slot->flying = slot->published = 0;
	slot->hired_ms = slot->early_ms = slot->vain_ms = slot->took_ms = 0;
	slot->vain = 0;
	slot->stale_limit = 0;
	slot->cancelled = slot->was_early = false;
	slot->renew_terms = true;
	slot->version[0] = '\0';
	slot->failure.class = PSEUDO_FAIL_NONE;
	memset(&slot->attempts, 0, sizeof(slot->attempts));
	pseudo_slot_stamp(slot);
	return slot;
}

/*
 * Returns true if the caller's copy is what the server had last: an older one
 * may hold keys that have been replaced or refused since.  Of a copy that the
 * caller has loaded alone there is nothing to compare.
 */
static bool
may_put_back(const PseudoSharedRef *ref)
{
	const Slot *slot = &pseudo_shared->slots[ref->slot];

	return ref->stamp == NULL ||
		(ref->load != 0 && slot->past_life == ref->life && slot->past_published == ref->load);
}

/*
 * Put keys back that the caller still has, with their age: they have failed to
 * be refreshed since they were due, as far as we know.
 */
static bool
put_keys_back(Slot *slot, const PseudoSharedAsk *ask, bool asked)
{
	int64		due_ms = ask->own_loaded_ms + (int64) ask->options->refresh_interval * 1000;

	if (!pseudo_slot_publish(slot, PUT_BACK, ask->own, ask->own_version, ask->own_loaded_ms,
							 ask->own_loaded_at))
		return false;
	if (asked)
		slot->asked = Max(slot->asked, PUT_BACK + 1);
	if (ask->came_ms >= due_ms)
	{
		slot->attempts.failures = 1;
		slot->attempts.failing_ms = due_ms;
	}
	return true;
}

/*
 * See shared_parts.h.  Keys that the caller still has are put back: somebody may
 * have dropped a server of this keyring in another database, while the store
 * cannot be reached.
 */
Slot *
pseudo_slot_get(PseudoSharedAsk *ask)
{
	PseudoSharedRef *ref = ask->ref;
	Slot	   *slot;

	if (ref->stamp != NULL && pseudo_shared->slots[ref->slot].life == ref->life)
		slot = &pseudo_shared->slots[ref->slot];
	else
	{
		bool		may = ask->own && may_put_back(ref);
		bool		asked = may && ref->stamp != NULL && pseudo_shared->slots[ref->slot].past_asked;

		slot = pseudo_slot_find(ask->digest);
		if (slot == NULL)
			slot = add_slot(ask);
		if (slot == NULL)
			return NULL;
		ref->stamp = &slot->stamp;
		ref->slot = (int) (slot - pseudo_shared->slots);
		ref->life = slot->life;
		ref->seen = ref->load = 0;
		if (may && slot->published == 0 && slot->failure.class != PSEUDO_FAIL_REFUSED &&
			!put_keys_back(slot, ask, asked))
		{
			pseudo_slot_free(slot);
			return NULL;
		}
	}
	note_terms(slot, ask->options);
	return slot;
}

/* See shared_parts.h. */
int64
pseudo_slot_due(const Slot *slot, const PseudoOptions *options)
{
	return slot->loaded_ms + (int64) (options->refresh_interval * 1000 * slot->due_share);
}

/* See shared_parts.h. */
bool
pseudo_slot_is_usable(const Slot *slot, const PseudoOptions *options)
{
	int			over = slot->attempts.failures - (slot->flying != 0 ? 1 : 0);

	return slot->nkeys > 0 &&
		(over <= 0 || !pseudo_attempts_are_stale(&slot->attempts, options->stale_limit));
}

/* See shared_parts.h. */
void
pseudo_slot_say_full(const PseudoSharedAsk *ask)
{
	bool		said;

	pseudo_slots_lock(LW_EXCLUSIVE);
	said = pseudo_shared->full_said;
	pseudo_shared->full_said = true;
	pseudo_slots_unlock();
	if (!said)
		ereport(LOG,
				(errmsg("keyring \"%s\": there is no room in the memory that sessions share",
						ask->options->server),
				 errdetail("Each session loads for itself what does not fit."),
				 errhint("Increase pseudo.shared_memory.")));
}
