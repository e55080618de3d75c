/*
 * shared_ask.c
 *		Who asks for a keyring of the server: whether what there is serves, or one
 *		is to wait, or to load.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "../compat.h"
#include "clock.h"
#include "shared_parts.h"

#define TOUCH_PAUSE		100		/* milliseconds between notes that it is used */
#define SERVE_PAUSE		100		/* milliseconds until a backend looks again
								 * while another loads */
#define GRACE			500		/* milliseconds that a load may be late */
#define HEAD_START		1000	/* milliseconds that the refresher gets to try
								 * again before the others */

/* Make a failure of what was kept of one. */
static void
tell_failure(const SharedFailure *kept, PseudoFailure *failure)
{
	pseudo_fail(failure, kept->class, kept->sqlstate, kept->message,
				kept->detail[0] ? kept->detail : NULL, kept->hint[0] ? kept->hint : NULL);
}

/* Fail because a load that another session does takes too long. */
static void
fail_waiting(const PseudoSharedAsk *ask, PseudoFailure *failure)
{
	pseudo_fail(failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
				"timed out while another session loads it", NULL,
				psprintf("It had %d ms: the option \"timeout\" of the server.",
						 ask->options->timeout));
}

/* What somebody who asks is to do. */
typedef enum Judgement
{
	JUDGED_CURRENT,
	JUDGED_FAILED,
	JUDGED_LOAD,
	JUDGED_WAIT
} Judgement;

/* Returns true if a load runs that is not too old for who has these options. */
static bool
is_flying(const Slot *slot, const PseudoOptions *options, int64 now)
{
	return slot->flying != 0 &&
		now - slot->flight_ms < Min(options->timeout, slot->flight_timeout) + GRACE;
}

/* Judge a question to which there are no keys that serve. */
static Judgement
judge_without(const Slot *slot, const PseudoSharedAsk *ask, int64 now)
{
	if (is_flying(slot, ask->options, now))
		return JUDGED_WAIT;
	if (slot->failure.class != PSEUDO_FAIL_NONE &&
		slot->failed_timeout >= ask->options->timeout &&
		(now < slot->vain_ms ||
		 (now < slot->attempts.next_ms && slot->failed_at >= GetCurrentStatementStartTimestamp())))
		return JUDGED_FAILED;
	return JUDGED_LOAD;
}

/* Judge a question; see the top of shared.c. */
static Judgement
judge(const Slot *slot, PseudoSharedAsk *ask, int64 now)
{
	const PseudoOptions *options = ask->options;
	int64		again_ms;

	ask->next_ms = pseudo_slot_due(slot, options);
	if (slot->nkeys > 0 && slot->published >= ask->need && now < ask->next_ms)
		return JUDGED_CURRENT;
	if (slot->ended < ask->need ||
		(ask->reason == PSEUDO_LOAD_NOW && slot->published < ask->need))
		return is_flying(slot, options, now) ? JUDGED_WAIT : JUDGED_LOAD;
	if (!pseudo_slot_is_usable(slot, options))
		return judge_without(slot, ask, now);

	/* They are due, or were to be replaced and could not be. */
	ask->next_ms = now + SERVE_PAUSE;
	if (is_flying(slot, options, now))
		return JUDGED_CURRENT;
	again_ms = slot->attempts.next_ms + (pseudo_shared->refresher ? HEAD_START : 0);
	if (slot->attempts.failures == 0 || now >= again_ms)
		return JUDGED_LOAD;
	ask->next_ms = again_ms;
	return JUDGED_CURRENT;
}

/* Say which load would do for a question. */
static void
set_need(const Slot *slot, PseudoSharedAsk *ask)
{
	if (ask->need_life == slot->life)
		return;
	ask->need_life = slot->life;
	ask->need = ask->again || ask->reason != PSEUDO_LOAD_DUE ? slot->begun + 1 : slot->asked;
}

/* Begin a load. */
static void
begin_load(Slot *slot, PseudoSharedAsk *ask, int64 now)
{
	PseudoOptions *options = ask->options;

	options->fresh = ask->reason != PSEUDO_LOAD_DUE || slot->published < ask->need;
	if (ask->reason != PSEUDO_LOAD_NOW && pseudo_slot_is_usable(slot, options))
		options->timeout = Min(options->timeout, PSEUDO_SHORT_TIMEOUT);
	else
		options->timeout = (int) Min(options->timeout,
									 Max(ask->deadline_ms - now, PSEUDO_SHORT_TIMEOUT));
	slot->flying = ask->ticket = ++slot->begun;
	slot->flight_ms = now;
	slot->flight_timeout = options->timeout;
	if (ask->reason == PSEUDO_LOAD_EARLY)
		slot->early_ms = now + PSEUDO_EARLY_PAUSE;
	slot->cancelled = slot->was_early = false;
	ask->before = slot->attempts;
	pseudo_attempts_begin(&slot->attempts, ask->reason);
}

/* Say which copy is to be made, if any. */
static void
choose_copy(const Slot *slot, PseudoSharedAsk *ask)
{
	ask->copy_stamp = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->stamp));
	ask->copy_load = slot->published;
	ask->copy_keys = ask->own && ask->ref->seen == ask->copy_stamp ? 0 : slot->nkeys;
}

/* Where nothing came of waiting for so long, go on with what there is. */
static Judgement
stop_waiting(const Slot *slot, PseudoSharedAsk *ask, int64 now)
{
	bool		usable = pseudo_slot_is_usable(slot, ask->options);
	int64		limit = usable && ask->reason != PSEUDO_LOAD_NOW ?
		Min(ask->deadline_ms, ask->came_ms + PSEUDO_SHORT_TIMEOUT) : ask->deadline_ms;

	if (now < limit)
	{
		ask->next_ms = limit;
		if (slot->flying)
			ask->next_ms = Min(limit, slot->flight_ms + GRACE +
							   Min(ask->options->timeout, slot->flight_timeout));
		return JUDGED_WAIT;
	}
	ask->next_ms = now + SERVE_PAUSE;
	return usable && ask->reason != PSEUDO_LOAD_NOW ? JUDGED_CURRENT : JUDGED_FAILED;
}

/*
 * Look once, under the lock.  Returns false where there is no room.  *failure
 * is filled in where the judgement is that it failed.
 */
static bool
look(PseudoSharedAsk *ask, Judgement *judgement, SharedFailure *failure)
{
	int64		now = pseudo_now_ms();
	Slot	   *slot;

	pseudo_slots_lock(LW_EXCLUSIVE);
	slot = pseudo_slot_get(ask);
	if (slot == NULL)
	{
		pseudo_slots_unlock();
		return false;
	}
	/* Once a minute: who comes in between has what that brought. */
	if (ask->reason == PSEUDO_LOAD_EARLY && ask->need == 0 && now < slot->early_ms)
		ask->reason = PSEUDO_LOAD_DUE;
	set_need(slot, ask);
	*judgement = judge(slot, ask, now);
	*failure = slot->failure;
	if (*judgement == JUDGED_WAIT)
	{
		*judgement = stop_waiting(slot, ask, now);
		failure->class = PSEUDO_FAIL_NONE;
	}
	if (*judgement == JUDGED_LOAD)
		begin_load(slot, ask, now);
	choose_copy(slot, ask);
	pseudo_slots_unlock();
	return true;
}

/* Make the copy that was chosen; returns false where it is gone already. */
static bool
copy_keys(PseudoSharedAsk *ask)
{
	Slot	   *slot = &pseudo_shared->slots[ask->ref->slot];
	PseudoKeyring *keyring;
	bool		same;

	if (ask->copy_keys == 0)
		return true;
	keyring = pseudo_keyring_create(ask->copy_keys);
	pseudo_slots_lock(LW_SHARED);
	same = pg_atomic_read_u64(&slot->stamp) == ask->copy_stamp &&
		slot->keys.len == ask->copy_keys * sizeof(PseudoKey);
	if (same)
		same = pseudo_shared_memory_fetch(&slot->keys, keyring->keys);
	if (same)
	{
		keyring->one_key = slot->one_key;
		keyring->nlost = slot->nlost;
		memcpy(keyring->lost, slot->lost, sizeof(slot->lost));
		keyring->primary = &keyring->keys[slot->primary];
		strlcpy(ask->version, slot->version, sizeof(ask->version));
		ask->loaded_at = slot->loaded_at;
		ask->loaded_ms = slot->loaded_ms;
	}
	pseudo_slots_unlock();
	if (!same)
	{
		pseudo_keyring_free(keyring);
		return false;
	}
	ask->keyring = keyring;
	ask->ref->seen = ask->copy_stamp;
	ask->ref->load = ask->copy_load;
	return true;
}

/* See shared.h. */
PseudoSharedAnswer
pseudo_shared_ask(PseudoSharedAsk *ask, PseudoFailure *failure)
{
	SharedFailure kept;
	Judgement	judgement = JUDGED_WAIT;

	pseudo_shared_make_digest(ask->digest, ask->identity);
	ask->came_ms = pseudo_now_ms();
	ask->deadline_ms = ask->came_ms + ask->options->timeout + GRACE;
	while (judgement == JUDGED_WAIT)
	{
		if (!look(ask, &judgement, &kept))
		{
			ConditionVariableCancelSleep();
			pseudo_slot_say_full(ask);
			return PSEUDO_SHARED_ALONE;
		}
		ask->waited |= judgement == JUDGED_WAIT || judgement == JUDGED_LOAD;
		if (judgement == JUDGED_WAIT)
			(void) ConditionVariableTimedSleep(&pseudo_shared->slots[ask->ref->slot].changed,
											   (long) Max(ask->next_ms - pseudo_now_ms(), 1),
											   pseudo_wait_event(PSEUDO_WAIT_KEYRING));
		else if (judgement == JUDGED_CURRENT && !copy_keys(ask))
		{
			judgement = JUDGED_WAIT;
			CHECK_FOR_INTERRUPTS();
		}
	}
	ConditionVariableCancelSleep();
	if (judgement == JUDGED_LOAD)
		return PSEUDO_SHARED_LOAD;
	if (judgement == JUDGED_CURRENT)
	{
		if (kept.class != PSEUDO_FAIL_NONE)
			tell_failure(&kept, failure);
		return PSEUDO_SHARED_CURRENT;
	}
	if (kept.class != PSEUDO_FAIL_NONE)
		tell_failure(&kept, failure);
	else
		fail_waiting(ask, failure);
	return PSEUDO_SHARED_FAILED;
}

/* See shared.h. */
void
pseudo_shared_touch(const PseudoSharedRef *ref, int64 now)
{
	pg_atomic_uint64 *used = &pseudo_shared->slots[ref->slot].used_ms;

	if (now - (int64) pg_atomic_read_u64(used) >= TOUCH_PAUSE)
		pg_atomic_write_u64(used, (uint64) now);
}

/* See shared.h. */
bool
pseudo_shared_take(int number, PseudoSharedAsk *ask)
{
	int64		now = pseudo_now_ms();
	int			timeout = ask->options->timeout;
	Slot	   *slot = &pseudo_shared->slots[number];
	bool		ok;

	pseudo_shared_make_digest(ask->digest, ask->identity);
	pseudo_slots_lock(LW_EXCLUSIVE);
	ok = slot->life != 0 && slot->flying == 0 &&
		memcmp(slot->digest, ask->digest, sizeof(slot->digest)) == 0;
	if (ok)
	{
		ask->ref->stamp = &slot->stamp;
		ask->ref->slot = number;
		ask->ref->life = slot->life;
		ask->need = slot->asked;
		ask->reason = slot->was_early ? PSEUDO_LOAD_EARLY : PSEUDO_LOAD_DUE;
		ask->deadline_ms = now + timeout;
		begin_load(slot, ask, now);
		ask->options->timeout = slot->flight_timeout = timeout; /* no query waits */
		if (slot->attempts.failures == 1)	/* stale_limit begins where it is
											 * due */
			slot->attempts.failing_ms = Max(now, pseudo_slot_due(slot, ask->options));
		choose_copy(slot, ask);
	}
	pseudo_slots_unlock();
	return ok;
}

/* See shared.h. */
PseudoKeyring *
pseudo_shared_taken(PseudoSharedAsk *ask)
{
	return copy_keys(ask) ? ask->keyring : NULL;
}
