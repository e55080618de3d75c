/*
 * shared_parts.h
 *		What the parts of shared.h share.
 *
 * shared.c makes the slots, finds them and gives them back, shared_ask.c judges
 * who asks for a keyring and lets a load begin, and shared_end.c does what comes
 * of a load, of a demand, and of time.
 */
#ifndef PSEUDO_SHARED_PARTS_H
#define PSEUDO_SHARED_PARTS_H

#include "postgres.h"

#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "shared.h"
#include "shared_memory.h"

#define PSEUDO_SLOT_TEXT	512 /* bytes of a failure's text */

/* What a load has failed with, in ASCII: databases may differ in encoding. */
typedef struct SharedFailure
{
	PseudoFailureClass class;
	int			sqlstate;
	char		message[PSEUDO_SLOT_TEXT];
	char		detail[PSEUDO_SLOT_TEXT];
	char		hint[PSEUDO_SLOT_TEXT];
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
	Oid			database;		/* the only one that has used it, or
								 * InvalidOid */
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

/* NULL where the server has no keyrings. */
extern Shared *pseudo_shared;

/* Take the lock. */
static inline void
pseudo_slots_lock(LWLockMode mode)
{
	LWLockAcquire(pseudo_shared->lock, mode);
}

/* Release it. */
static inline void
pseudo_slots_unlock(void)
{
	LWLockRelease(pseudo_shared->lock);
}

/* Tell all who have a copy that it is not the server's any more. */
static inline void
pseudo_slot_stamp(Slot *slot)
{
	pg_atomic_write_u64(&slot->stamp, ++pseudo_shared->last);
}

/* Milliseconds that keys are kept after their last use. */
static inline int64
pseudo_slot_keep_time(const Slot *slot)
{
	return ((int64) slot->refresh_interval + slot->stale_limit) * 1000;
}

/* Have the refresher look again. */
static inline void
pseudo_slot_wake_refresher(void)
{
	if (pseudo_shared->refresher)
		SetLatch(pseudo_shared->refresher);
}

/*
 * shared.c.  All but the last are called with the lock held, as a writer where
 * they change a slot.
 */

/* The slot of an identity, or NULL. */
extern Slot *pseudo_slot_find(const uint8 *digest);

/*
 * The slot that a question is about, made where there is none; NULL: no room.
 */
extern Slot *pseudo_slot_get(PseudoSharedAsk *ask);

/* Publish keys; returns false, with none there, where there is no room. */
extern bool pseudo_slot_publish(Slot *slot, uint64 ticket, const PseudoKeyring *keyring,
								const char *version, int64 loaded_ms, TimestampTz loaded_at);

/* Wipe the keys of a slot. */
extern void pseudo_slot_wipe(Slot *slot);

/* Wipe and free a slot; what may be put back is noted. */
extern void pseudo_slot_free(Slot *slot);

/* Free the slots that nobody has used for too long. */
extern void pseudo_slot_sweep(int64 now);

/* When a keyring is due for who has these options. */
extern int64 pseudo_slot_due(const Slot *slot, const PseudoOptions *options);

/*
 * Returns true if there are keys that serve who has these options, also where
 * they are due.
 */
extern bool pseudo_slot_is_usable(const Slot *slot, const PseudoOptions *options);

/* Say once that there is no room. */
extern void pseudo_slot_say_full(const PseudoSharedAsk *ask);

#endif							/* PSEUDO_SHARED_PARTS_H */
