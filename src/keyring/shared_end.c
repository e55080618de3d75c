/*
 * shared_end.c
 *		What comes of a load of one of the server's keyrings, of a demand, of a
 *		server that is dropped, and of time, by which the refresher works.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"

#include "clock.h"
#include "shared_parts.h"

#define FIRST_VAIN		50		/* milliseconds, doubled each time: a pause of
								 * all who have no keys */
#define MAX_VAIN		1000
#define LOOK_PAUSE		100		/* milliseconds until the refresher looks
								 * again, while somebody else loads */
#define MAX_IDLE		60000	/* milliseconds that the refresher sleeps */
#define HIRE_PAUSE		5000	/* milliseconds until the refresher tries the
								 * same again */

/* Keep a text, or none. */
static void
keep_ascii(char *kept, const char *text)
{
	strlcpy(kept, text ? text : "", PSEUDO_SLOT_TEXT);
	for (char *c = kept; *c; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
}

/*
 * The end of a load
 */

/* The slot of a load that ends, or NULL where it is gone. */
static Slot *
slot_of_load(const PseudoSharedAsk *ask)
{
	Slot	   *slot = &pseudo_shared->slots[ask->ref->slot];

	return slot->life == ask->ref->life ? slot : NULL;
}

/* Note that a load has ended, and wake who waits for it. */
static void
end_flight(Slot *slot, PseudoSharedAsk *ask)
{
	if (slot->flying == ask->ticket)
	{
		slot->flying = 0;
		slot->took_ms = pseudo_now_ms() - slot->flight_ms;
	}
	slot->ended = Max(slot->ended, ask->ticket);
	slot->hired_ms = 0;
	ConditionVariableBroadcast(&slot->changed);
}

/* What comes of a load that brought keys. */
static PseudoSharedOutcome
finish_keys(Slot *slot, PseudoSharedAsk *ask, PseudoKeyring *keyring, const char *version)
{
	if (slot->published > ask->ticket)
		return PSEUDO_SHARED_OLD;
	ask->new_version = strcmp(slot->version, version) != 0;
	if (!pseudo_slot_publish(slot, ask->ticket, keyring, version, pseudo_now_ms(),
							 GetCurrentTimestamp()))
	{
		pseudo_slot_free(slot);
		return PSEUDO_SHARED_UNKNOWN;
	}
	if (ask->reason == PSEUDO_LOAD_NOW)
		slot->early_ms = 0;
	ask->ref->seen = pg_atomic_read_u64(&slot->stamp);
	ask->ref->load = ask->ticket;
	ask->next_ms = pseudo_slot_due(slot, ask->options);
	return PSEUDO_SHARED_PUBLISHED;
}

/*
 * Let a load that brought nothing count for nothing: who asks again and again,
 * and gives little time, must not put off the loads that are due.
 */
static void
forget_attempt(Slot *slot, const PseudoSharedAsk *ask)
{
	if (slot->nkeys > 0 && slot->begun == ask->ticket)
		slot->attempts = ask->before;
}

/* What comes of a load that failed. */
static PseudoSharedOutcome
finish_failure(Slot *slot, PseudoSharedAsk *ask, const PseudoFailure *failure)
{
	bool		serves;

	if (slot->published > ask->ticket)
		return PSEUDO_SHARED_OLD;
	pseudo_attempts_pause(&slot->attempts);
	slot->failure.class = failure->class;
	slot->failure.sqlstate = failure->sqlstate;
	keep_ascii(slot->failure.message, failure->message);
	keep_ascii(slot->failure.detail, failure->detail);
	keep_ascii(slot->failure.hint, failure->hint);
	slot->failed_at = GetCurrentTimestamp();
	slot->failed_timeout = slot->flight_timeout;
	serves = slot->nkeys > 0 &&
		pseudo_attempts_failed(&slot->attempts, failure->class, slot->stale_limit, ask->reason);
	if (!serves && slot->nkeys > 0)
	{
		pseudo_slot_wipe(slot);
		return PSEUDO_SHARED_DROPPED;
	}
	if (serves && !pseudo_slot_is_usable(slot, ask->options))
		return PSEUDO_SHARED_DROPPED;	/* with the caller's stale_limit */
	ask->next_ms = slot->attempts.next_ms;
	if (serves)
	{
		if (ask->reason == PSEUDO_LOAD_NOW)
			forget_attempt(slot, ask);
		return PSEUDO_SHARED_SERVES_ON;
	}
	if (++slot->vain > 1 && !ask->options->provider->is_local)
		slot->vain_ms = pseudo_now_ms() + Min((int64) FIRST_VAIN << Min(slot->vain, 10), MAX_VAIN);
	return PSEUDO_SHARED_DROPPED;
}

/* See shared.h. */
PseudoSharedOutcome
pseudo_shared_finish(PseudoSharedAsk *ask, PseudoKeyring *keyring, const char *version,
					 const PseudoFailure *failure)
{
	PseudoSharedOutcome outcome = PSEUDO_SHARED_UNKNOWN;
	bool		no_room = false;
	Slot	   *slot;

	pseudo_slots_lock(LW_EXCLUSIVE);
	slot = slot_of_load(ask);
	if (slot)
	{
		end_flight(slot, ask);
		outcome = keyring ? finish_keys(slot, ask, keyring, version) :
			finish_failure(slot, ask, failure);
		no_room = outcome == PSEUDO_SHARED_UNKNOWN;
		pseudo_slot_wake_refresher();
	}
	pseudo_slots_unlock();
	ask->ticket = 0;
	if (no_room)
		pseudo_slot_say_full(ask);
	return outcome;
}

/* See shared.h. */
void
pseudo_shared_abandon(PseudoSharedAsk *ask)
{
	Slot	   *slot;

	if (ask->ticket == 0)
		return;
	pseudo_slots_lock(LW_EXCLUSIVE);
	slot = slot_of_load(ask);
	if (slot && slot->flying == ask->ticket)
	{
		slot->flying = 0;
		slot->cancelled = true;
		slot->was_early = ask->reason == PSEUDO_LOAD_EARLY;
		slot->hired_ms = 0;
		if (slot->was_early)
			slot->early_ms = 0; /* others may still want it */
		if (ask->reason != PSEUDO_LOAD_DUE || ask->again)
			forget_attempt(slot, ask);
		ConditionVariableBroadcast(&slot->changed);
		pseudo_slot_wake_refresher();
	}
	pseudo_slots_unlock();
	ask->ticket = 0;
}

/* See shared.h. */
PseudoSharedOutcome
pseudo_shared_publish(PseudoSharedAsk *ask, PseudoKeyring *keyring, const char *version)
{
	PseudoSharedOutcome outcome = PSEUDO_SHARED_UNKNOWN;
	Slot	   *slot;

	pseudo_shared_make_digest(ask->digest, ask->identity);
	ask->came_ms = pseudo_now_ms();
	pseudo_slots_lock(LW_EXCLUSIVE);
	slot = pseudo_slot_get(ask);
	if (slot)
	{
		/* Newer than a load that runs, which goes on and counts no more. */
		ask->ticket = ++slot->begun;
		slot->ended = ask->ticket;
		outcome = finish_keys(slot, ask, keyring, version);
		ConditionVariableBroadcast(&slot->changed);
	}
	pseudo_slots_unlock();
	ask->ticket = 0;
	return outcome;
}

/*
 * Demands, and the end of slots
 */

/* See shared.h. */
bool
pseudo_shared_has_keys(const char *identity)
{
	uint8		digest[PSEUDO_SHARED_DIGEST];
	Slot	   *slot;
	bool		has;

	if (pseudo_shared == NULL)
		return false;
	pseudo_shared_make_digest(digest, identity);
	pseudo_slots_lock(LW_SHARED);
	slot = pseudo_slot_find(digest);
	has = slot != NULL && slot->nkeys > 0;
	pseudo_slots_unlock();
	return has;
}

/*
 * See shared.h.  Of a slot that was freed the demand counts for the keys that
 * somebody may put back.
 */
void
pseudo_shared_demand(const uint8 *digest)
{
	if (pseudo_shared == NULL)
		return;
	pseudo_slots_lock(LW_EXCLUSIVE);
	for (int i = 0; i < pseudo_shared->nused; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];

		if (memcmp(slot->digest, digest, sizeof(slot->digest)) != 0)
			continue;
		if (slot->life == 0)
		{
			slot->past_asked = true;
			continue;
		}
		slot->asked = slot->begun + 1;
		slot->vain = 0;
		slot->vain_ms = 0;
		pseudo_slot_stamp(slot);
	}
	pseudo_slots_unlock();
}

/* See shared.h. */
void
pseudo_shared_forget(const uint8 *digest)
{
	Slot	   *slot;

	if (pseudo_shared == NULL)
		return;
	pseudo_slots_lock(LW_EXCLUSIVE);
	slot = pseudo_slot_find(digest);
	if (slot)
		pseudo_slot_free(slot);
	pseudo_slots_unlock();
}

/* See shared.h. */
void
pseudo_shared_forget_database(Oid database)
{
	if (pseudo_shared == NULL)
		return;
	pseudo_slots_lock(LW_EXCLUSIVE);
	for (int i = 0; i < pseudo_shared->nused; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];

		if (slot->life != 0 && slot->database == database)
			pseudo_slot_free(slot);
	}
	pseudo_slots_unlock();
}

/* See shared.h. */
void
pseudo_shared_release(PseudoSharedRef *ref)
{
	if (pseudo_shared == NULL || ref->stamp == NULL)
		return;
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
	{
		pseudo_slots_lock(LW_EXCLUSIVE);
		if (pseudo_shared->slots[ref->slot].life == ref->life && pseudo_shared_is_seen(ref))
			pseudo_slot_free(&pseudo_shared->slots[ref->slot]);
		pseudo_slots_unlock();
	}
	memset(ref, 0, sizeof(PseudoSharedRef));
}

/*
 * For the refresher
 */

/* See shared.h. */
void
pseudo_shared_attend(bool attend)
{
	pseudo_slots_lock(LW_EXCLUSIVE);
	if (attend)
		pseudo_shared->refresher = MyLatch;
	else if (pseudo_shared->refresher == MyLatch)
		pseudo_shared->refresher = NULL;
	pseudo_slots_unlock();
}

/*
 * When the refresher is to load a keyring, or to look again: before anybody
 * finds it due, by twice the time that the last load took and a tenth of the
 * interval.  What nobody has used since it was loaded is left alone.
 */
static int64
refresh_time(const Slot *slot, int64 now)
{
	int64		interval = (int64) slot->refresh_interval * 1000;
	int64		used_ms = (int64) pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->used_ms));
	int64		at = slot->loaded_ms + Max(interval / 2, interval * 8 / 10 - 2 * slot->took_ms);

	if (slot->flying != 0)
		return now + LOOK_PAUSE;
	if (slot->cancelled && (slot->nkeys == 0 || slot->was_early))
		return slot->hired_ms;
	if (slot->nkeys == 0)
		return PG_INT64_MAX;
	if (slot->attempts.failures > 0)
		at = slot->attempts.next_ms;
	else if (now >= at && used_ms <= slot->loaded_ms)
		return now < slot->loaded_ms + interval ?
			now + Max(interval / 20, LOOK_PAUSE) : PG_INT64_MAX;
	return Max(at, slot->hired_ms);
}

/* See shared.h. */
int
pseudo_shared_next(int64 *wait_ms)
{
	int64		now = pseudo_now_ms();
	int64		first = now + MAX_IDLE;
	int			found = -1;

	pseudo_slots_lock(LW_EXCLUSIVE);
	pseudo_slot_sweep(now);
	for (int i = 0; i < pseudo_shared->nused && found < 0; i++)
	{
		Slot	   *slot = &pseudo_shared->slots[i];
		int64		at;

		if (slot->life == 0)
			continue;
		at = refresh_time(slot, now);
		if (at <= now)
		{
			slot->hired_ms = now + HIRE_PAUSE;
			found = i;
		}
		first = Min(first, at);
		first = Min(first, (int64) pg_atomic_read_u64(&slot->used_ms) + pseudo_slot_keep_time(slot));
	}
	pseudo_slots_unlock();
	*wait_ms = Max(first - now, 1);
	return found;
}

/* See shared.h. */
bool
pseudo_shared_job(int number, PseudoSharedJob *job)
{
	Slot	   *slot = &pseudo_shared->slots[number];
	Size		len;
	bool		ok;

	pseudo_slots_lock(LW_SHARED);
	len = slot->life != 0 ? slot->identity.len : 0;
	pseudo_slots_unlock();
	job->identity = palloc(len + 1);
	pseudo_slots_lock(LW_SHARED);
	ok = len > 0 && slot->life != 0 && slot->identity.len == len &&
		pseudo_shared_memory_fetch(&slot->identity, job->identity);
	strlcpy(job->server, slot->server, sizeof(job->server));
	job->refresh_interval = slot->refresh_interval;
	job->stale_limit = slot->stale_limit;
	job->timeout = slot->timeout;
	pseudo_slots_unlock();
	return ok;
}
