/*
 * shared.c
 *		The keyrings of the whole server.
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

#include <limits.h>
#include <openssl/sha.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "../compat.h"
#include "clock.h"
#include "shared.h"
#include "shared_memory.h"

#define TRANCHE	"pseudo"
#define DEFAULT_MEMORY	1024	/* kB */
#define BLOCKS_A_SLOT	2		/* of its options, and of its keys */

#define PUT_BACK		1		/* the ticket of keys that are put back: older
								 * than any load */

#define TEXT_SIZE		512		/* bytes of a failure's text */
#define TOUCH_PAUSE		100		/* milliseconds between notes that it is used */
#define SERVE_PAUSE		100		/* milliseconds until a backend looks again
								 * while another loads */
#define GRACE			500		/* milliseconds that a load may be late */
#define HEAD_START		1000	/* milliseconds that the refresher gets to try
								 * again before the others */
#define FIRST_VAIN		50		/* milliseconds, doubled each time: a pause of
								 * all who have no keys */
#define MAX_VAIN		1000
#define MAX_IDLE		60000	/* milliseconds that the refresher sleeps */
#define HIRE_PAUSE		5000	/* milliseconds until the refresher tries the
								 * same again */

/* What a load has failed with, in ASCII: databases may differ in encoding. */
typedef struct SharedFailure
{
	PseudoFailureClass class;
	int			sqlstate;
	char		message[TEXT_SIZE];
	char		detail[TEXT_SIZE];
	char		hint[TEXT_SIZE];
} SharedFailure;

/* What the server has of a keyring; all under the lock, but for the atomics. */
typedef struct Slot
{
	pg_atomic_uint64 stamp;		/* another one whenever the keys change */
	pg_atomic_uint64 used_ms;	/* when somebody used them last, roughly */
	uint64		life;			/* 0: free */
	uint8		digest[PSEUDO_SHARED_DIGEST];	/* of the identity */
	ConditionVariable changed;	/* a load has ended */

	/* What is to be loaded, and how those who use it want it. */
	PseudoStored identity;		/* with its zero */
	char		server[NAMEDATALEN];	/* a name of it, for the log */
	int			refresh_interval;	/* seconds, the shortest */
	int			stale_limit;	/* seconds, the longest ever: who wants less
								 * takes no keys from others */
	int			timeout;		/* milliseconds, the longest */
	bool		renew_terms;	/* the next who asks sets the other two anew */

	/* Loads, by their tickets. */
	uint64		begun;			/* the last one that began */
	uint64		ended;			/* the last one that ended */
	uint64		asked;			/* the first one that is good enough */
	uint64		flying;			/* the one that runs, or 0 */
	int64		flight_ms;		/* when it began */
	int			flight_timeout; /* milliseconds */
	bool		cancelled;		/* the last one was ... */
	bool		was_early;		/* ... and was an early refresh */
	int64		hired_ms;		/* the refresher is not to try again before */

	PseudoAttempts attempts;
	int64		early_ms;		/* no early refresh before */
	int			vain;			/* failures in a row without keys */
	int64		vain_ms;		/* nobody without keys asks before */

	/* The keys. */
	PseudoStored keys;
	int			nkeys;			/* 0: there are none */
	int			primary;		/* its index */
	bool		one_key;
	int			nlost;
	uint32		lost[PSEUDO_LOST_MAX];
	uint64		published;		/* the ticket of the load that they come from */
	int64		loaded_ms;
	TimestampTz loaded_at;
	int64		took_ms;		/* the load */
	double		due_share;		/* of an interval; not the same on all hosts */
	char		version[PSEUDO_SHARED_VERSION];

	/* The last failure, while the last load that ended failed. */
	SharedFailure failure;
	TimestampTz failed_at;
	int			failed_timeout; /* milliseconds that it had */

	/* Of the keyring that the slot was freed from last. */
	uint64		past_life;
	uint64		past_published; /* 0: there were no keys */
	bool		past_asked;		/* and they were to be replaced */
} Slot;

typedef struct Shared
{
	LWLock	   *lock;
	Latch	   *refresher;		/* of the process that attends, or NULL */
	uint64		last;			/* the last stamp or life that was given out */
	bool		full_said;		/* the log has been told */
	int			nslots;
	int			nused;			/* the first so many were ever used */
	Slot		slots[FLEXIBLE_ARRAY_MEMBER];
} Shared;

static Shared *shared = NULL;
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

	shared = NULL;
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
		shared = state;
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
	return shared != NULL;
}

/*
 * Slots
 */

/* Take the lock. */
static void
lock_slots(LWLockMode mode)
{
	LWLockAcquire(shared->lock, mode);
}

/* Release it. */
static void
unlock_slots(void)
{
	LWLockRelease(shared->lock);
}

/* Tell all who have a copy that it is not the server's any more. */
static void
stamp_slot(Slot *slot)
{
	pg_atomic_write_u64(&slot->stamp, ++shared->last);
}

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

/* The slot of an identity, or NULL. */
static Slot *
find_slot(const uint8 *digest)
{
	for (int i = 0; i < shared->nused; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->life != 0 && memcmp(slot->digest, digest, sizeof(slot->digest)) == 0)
			return slot;
	}
	return NULL;
}

/* Wipe the keys of a slot. */
static void
wipe_keys(Slot *slot)
{
	pseudo_shared_memory_wipe(&slot->keys);
	slot->nkeys = 0;
	stamp_slot(slot);
}

/* Wipe and free a slot; what may be put back is noted. */
static void
free_slot(Slot *slot)
{
	slot->past_life = slot->life;
	slot->past_published = slot->nkeys > 0 ? slot->published : 0;
	slot->past_asked = slot->asked > slot->published;
	wipe_keys(slot);
	pseudo_shared_memory_wipe(&slot->identity);
	slot->life = 0;
	ConditionVariableBroadcast(&slot->changed);
}

/* Milliseconds that keys are kept after their last use. */
static int64
keep_time(const Slot *slot)
{
	return ((int64) slot->refresh_interval + slot->stale_limit) * 1000;
}

/* Free the slots that nobody has used for too long. */
static void
sweep_slots(int64 now)
{
	for (int i = 0; i < shared->nused; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->life != 0 && slot->flying == 0 &&
			now >= (int64) pg_atomic_read_u64(&slot->used_ms) + keep_time(slot))
			free_slot(slot);
	}
}

/* Have the refresher look again. */
static void
wake_refresher(void)
{
	if (shared->refresher)
		SetLatch(shared->refresher);
}

/* Publish keys; returns false, with none there, where there is no room. */
static bool
publish_keys(Slot *slot, uint64 ticket, const PseudoKeyring *keyring, const char *version,
			 int64 loaded_ms, TimestampTz loaded_at)
{
	wipe_keys(slot);
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
	wake_refresher();
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
	strlcpy(slot->server, options->server, sizeof(slot->server));
	pg_atomic_write_u64(&slot->used_ms, (uint64) pseudo_now_ms());
}

/* Free the slot without keys that was not used for longest; NULL where there is none.  Who has no keys keeps nobody out. */
static Slot *
evict_slot(void)
{
	Slot	   *oldest = NULL;

	for (int i = 0; i < shared->nused; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->nkeys == 0 && slot->flying == 0 &&
			(oldest == NULL ||
			 pg_atomic_read_u64(&slot->used_ms) < pg_atomic_read_u64(&oldest->used_ms)))
			oldest = slot;
	}
	if (oldest)
		free_slot(oldest);
	return oldest;
}

/* A new slot, or NULL where there is no room. */
static Slot *
add_slot(PseudoSharedAsk *ask)
{
	Slot	   *slot = NULL;

	sweep_slots(ask->came_ms);
	for (int i = 0; i < shared->nused && slot == NULL; i++)
	{
		if (shared->slots[i].life == 0)
			slot = &shared->slots[i];
	}
	if (slot == NULL && shared->nused < shared->nslots)
		slot = &shared->slots[shared->nused++];
	if (slot == NULL)
		slot = evict_slot();
	if (slot == NULL ||
		!pseudo_shared_memory_store(&slot->identity, ask->identity, strlen(ask->identity) + 1))
		return NULL;
	memcpy(slot->digest, ask->digest, sizeof(slot->digest));
	slot->life = ++shared->last;
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
	stamp_slot(slot);
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
	const Slot *slot = &shared->slots[ref->slot];

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

	if (!publish_keys(slot, PUT_BACK, ask->own, ask->own_version, ask->own_loaded_ms,
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
 * The slot that a question is about, made where there is none; NULL: no room.
 * Keys that the caller still has are put back: somebody may have dropped a
 * server of this keyring in another database, while the store cannot be
 * reached.
 */
static Slot *
get_slot(PseudoSharedAsk *ask)
{
	PseudoSharedRef *ref = ask->ref;
	Slot	   *slot;

	if (ref->stamp != NULL && shared->slots[ref->slot].life == ref->life)
		slot = &shared->slots[ref->slot];
	else
	{
		bool		may = ask->own && may_put_back(ref);
		bool		asked = may && ref->stamp != NULL && shared->slots[ref->slot].past_asked;

		slot = find_slot(ask->digest);
		if (slot == NULL)
			slot = add_slot(ask);
		if (slot == NULL)
			return NULL;
		ref->stamp = &slot->stamp;
		ref->slot = (int) (slot - shared->slots);
		ref->life = slot->life;
		ref->seen = ref->load = 0;
		if (may && slot->published == 0 && slot->failure.class != PSEUDO_FAIL_REFUSED &&
			!put_keys_back(slot, ask, asked))
		{
			free_slot(slot);
			return NULL;
		}
	}
	note_terms(slot, ask->options);
	return slot;
}

/*
 * Failures
 */

/* Keep a text, or none. */
static void
keep_ascii(char *kept, const char *text)
{
	strlcpy(kept, text ? text : "", TEXT_SIZE);
	for (char *c = kept; *c; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
}

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

/*
 * Asking
 */

/* What somebody who asks is to do. */
typedef enum Judgement
{
	JUDGED_CURRENT,
	JUDGED_FAILED,
	JUDGED_LOAD,
	JUDGED_WAIT
} Judgement;

/* When a keyring is due for who has these options. */
static int64
due_time(const Slot *slot, const PseudoOptions *options)
{
	return slot->loaded_ms + (int64) (options->refresh_interval * 1000 * slot->due_share);
}

/* Returns true if a load runs that is not too old for who has these options. */
static bool
is_flying(const Slot *slot, const PseudoOptions *options, int64 now)
{
	return slot->flying != 0 &&
		now - slot->flight_ms < Min(options->timeout, slot->flight_timeout) + GRACE;
}

/*
 * Returns true if there are keys that serve who has these options, also where
 * they are due.
 */
static bool
has_usable_keys(const Slot *slot, const PseudoOptions *options)
{
	int			over = slot->attempts.failures - (slot->flying != 0 ? 1 : 0);

	return slot->nkeys > 0 &&
		(over <= 0 || !pseudo_attempts_are_stale(&slot->attempts, options->stale_limit));
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

/* Judge a question; see the top of the file. */
static Judgement
judge(const Slot *slot, PseudoSharedAsk *ask, int64 now)
{
	const PseudoOptions *options = ask->options;
	int64		again_ms;

	ask->next_ms = due_time(slot, options);
	if (slot->nkeys > 0 && slot->published >= ask->need && now < ask->next_ms)
		return JUDGED_CURRENT;
	if (slot->ended < ask->need ||
		(ask->reason == PSEUDO_LOAD_NOW && slot->published < ask->need))
		return is_flying(slot, options, now) ? JUDGED_WAIT : JUDGED_LOAD;
	if (!has_usable_keys(slot, options))
		return judge_without(slot, ask, now);

	/* They are due, or were to be replaced and could not be. */
	ask->next_ms = now + SERVE_PAUSE;
	if (is_flying(slot, options, now))
		return JUDGED_CURRENT;
	again_ms = slot->attempts.next_ms + (shared->refresher ? HEAD_START : 0);
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
	if (ask->reason != PSEUDO_LOAD_NOW && has_usable_keys(slot, options))
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
	bool		usable = has_usable_keys(slot, ask->options);
	int64		limit = usable && ask->reason != PSEUDO_LOAD_NOW ?
		Min(ask->deadline_ms, ask->came_ms + PSEUDO_SHORT_TIMEOUT) : ask->deadline_ms;

	if (now < limit)
	{
		ask->next_ms = limit;
		if (slot->flying)
			ask->next_ms = Min(limit, slot->flight_ms + Min(ask->options->timeout, slot->flight_timeout) + GRACE);
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

	lock_slots(LW_EXCLUSIVE);
	slot = get_slot(ask);
	if (slot == NULL)
	{
		unlock_slots();
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
	unlock_slots();
	return true;
}

/* Make the copy that was chosen; returns false where it is gone already. */
static bool
copy_keys(PseudoSharedAsk *ask)
{
	Slot	   *slot = &shared->slots[ask->ref->slot];
	PseudoKeyring *keyring;
	bool		same;

	if (ask->copy_keys == 0)
		return true;
	keyring = pseudo_keyring_create(ask->copy_keys);
	lock_slots(LW_SHARED);
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
	unlock_slots();
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

/* Say once that there is no room. */
static void
say_full(const PseudoSharedAsk *ask)
{
	bool		said;

	lock_slots(LW_EXCLUSIVE);
	said = shared->full_said;
	shared->full_said = true;
	unlock_slots();
	if (!said)
		ereport(LOG,
				(errmsg("keyring \"%s\": there is no room in the memory that sessions share",
						ask->options->server),
				 errdetail("Each session loads for itself what does not fit."),
				 errhint("Increase pseudo.shared_memory.")));
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
			say_full(ask);
			return PSEUDO_SHARED_ALONE;
		}
		ask->waited |= judgement == JUDGED_WAIT || judgement == JUDGED_LOAD;
		if (judgement == JUDGED_WAIT)
			(void) ConditionVariableTimedSleep(&shared->slots[ask->ref->slot].changed,
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
	pg_atomic_uint64 *used = &shared->slots[ref->slot].used_ms;

	if (now - (int64) pg_atomic_read_u64(used) >= TOUCH_PAUSE)
		pg_atomic_write_u64(used, (uint64) now);
}

/*
 * The end of a load
 */

/* The slot of a load that ends, or NULL where it is gone. */
static Slot *
slot_of_load(const PseudoSharedAsk *ask)
{
	Slot	   *slot = &shared->slots[ask->ref->slot];

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
	if (!publish_keys(slot, ask->ticket, keyring, version, pseudo_now_ms(), GetCurrentTimestamp()))
	{
		free_slot(slot);
		return PSEUDO_SHARED_UNKNOWN;
	}
	if (ask->reason == PSEUDO_LOAD_NOW)
		slot->early_ms = 0;
	ask->ref->seen = pg_atomic_read_u64(&slot->stamp);
	ask->ref->load = ask->ticket;
	ask->next_ms = due_time(slot, ask->options);
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
		wipe_keys(slot);
		return PSEUDO_SHARED_DROPPED;
	}
	if (serves && !has_usable_keys(slot, ask->options))
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

	lock_slots(LW_EXCLUSIVE);
	slot = slot_of_load(ask);
	if (slot)
	{
		end_flight(slot, ask);
		outcome = keyring ? finish_keys(slot, ask, keyring, version) :
			finish_failure(slot, ask, failure);
		no_room = outcome == PSEUDO_SHARED_UNKNOWN;
		wake_refresher();
	}
	unlock_slots();
	ask->ticket = 0;
	if (no_room)
		say_full(ask);
	return outcome;
}

/* See shared.h. */
void
pseudo_shared_abandon(PseudoSharedAsk *ask)
{
	Slot	   *slot;

	if (ask->ticket == 0)
		return;
	lock_slots(LW_EXCLUSIVE);
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
		wake_refresher();
	}
	unlock_slots();
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
	lock_slots(LW_EXCLUSIVE);
	slot = get_slot(ask);
	if (slot)
	{
		/* Newer than a load that runs, which goes on and counts no more. */
		ask->ticket = ++slot->begun;
		slot->ended = ask->ticket;
		outcome = finish_keys(slot, ask, keyring, version);
		ConditionVariableBroadcast(&slot->changed);
	}
	unlock_slots();
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

	if (shared == NULL)
		return false;
	pseudo_shared_make_digest(digest, identity);
	lock_slots(LW_SHARED);
	slot = find_slot(digest);
	has = slot != NULL && slot->nkeys > 0;
	unlock_slots();
	return has;
}

/*
 * See shared.h.  Of a slot that was freed the demand counts for the keys that
 * somebody may put back.
 */
void
pseudo_shared_demand(const uint8 *digest)
{
	if (shared == NULL)
		return;
	lock_slots(LW_EXCLUSIVE);
	for (int i = 0; i < shared->nused; i++)
	{
		Slot	   *slot = &shared->slots[i];

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
		stamp_slot(slot);
	}
	unlock_slots();
}

/* See shared.h. */
void
pseudo_shared_forget(const uint8 *digest)
{
	Slot	   *slot;

	if (shared == NULL)
		return;
	lock_slots(LW_EXCLUSIVE);
	slot = find_slot(digest);
	if (slot)
		free_slot(slot);
	unlock_slots();
}

/* See shared.h. */
void
pseudo_shared_release(PseudoSharedRef *ref)
{
	if (shared == NULL || ref->stamp == NULL)
		return;
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
	{
		lock_slots(LW_EXCLUSIVE);
		if (shared->slots[ref->slot].life == ref->life && pseudo_shared_is_seen(ref))
			free_slot(&shared->slots[ref->slot]);
		unlock_slots();
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
	lock_slots(LW_EXCLUSIVE);
	if (attend)
		shared->refresher = MyLatch;
	else if (shared->refresher == MyLatch)
		shared->refresher = NULL;
	unlock_slots();
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
	int64		at = slot->loaded_ms + Max(interval / 2, interval * 8 / 10 - 2 * slot->took_ms);

	if (slot->flying != 0)
		return now + TOUCH_PAUSE;
	if (slot->cancelled && (slot->nkeys == 0 || slot->was_early))
		return slot->hired_ms;
	if (slot->nkeys == 0)
		return PG_INT64_MAX;
	if (slot->attempts.failures > 0)
		at = slot->attempts.next_ms;
	else if (now >= at && (int64) pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->used_ms)) <= slot->loaded_ms)
		return now < slot->loaded_ms + interval ? now + Max(interval / 20, TOUCH_PAUSE) : PG_INT64_MAX;
	return Max(at, slot->hired_ms);
}

/* See shared.h. */
int
pseudo_shared_next(int64 *wait_ms)
{
	int64		now = pseudo_now_ms();
	int64		first = now + MAX_IDLE;
	int			found = -1;

	lock_slots(LW_EXCLUSIVE);
	sweep_slots(now);
	for (int i = 0; i < shared->nused && found < 0; i++)
	{
		Slot	   *slot = &shared->slots[i];
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
		first = Min(first, (int64) pg_atomic_read_u64(&slot->used_ms) + keep_time(slot));
	}
	unlock_slots();
	*wait_ms = Max(first - now, 1);
	return found;
}

/* See shared.h. */
bool
pseudo_shared_job(int number, PseudoSharedJob *job)
{
	Slot	   *slot = &shared->slots[number];
	Size		len;
	bool		ok;

	lock_slots(LW_SHARED);
	len = slot->life != 0 ? slot->identity.len : 0;
	unlock_slots();
	job->identity = palloc(len + 1);
	lock_slots(LW_SHARED);
	ok = len > 0 && slot->life != 0 && slot->identity.len == len &&
		pseudo_shared_memory_fetch(&slot->identity, job->identity);
	strlcpy(job->server, slot->server, sizeof(job->server));
	job->refresh_interval = slot->refresh_interval;
	job->stale_limit = slot->stale_limit;
	job->timeout = slot->timeout;
	unlock_slots();
	return ok;
}

/* See shared.h. */
bool
pseudo_shared_take(int number, PseudoSharedAsk *ask)
{
	int64		now = pseudo_now_ms();
	int			timeout = ask->options->timeout;
	Slot	   *slot = &shared->slots[number];
	bool		ok;

	pseudo_shared_make_digest(ask->digest, ask->identity);
	lock_slots(LW_EXCLUSIVE);
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
			slot->attempts.failing_ms = Max(now, due_time(slot, ask->options));
		choose_copy(slot, ask);
	}
	unlock_slots();
	return ok;
}

/* See shared.h. */
PseudoKeyring *
pseudo_shared_taken(PseudoSharedAsk *ask)
{
	return copy_keys(ask) ? ask->keyring : NULL;
}
