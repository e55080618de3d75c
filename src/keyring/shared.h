/*
 * shared.h
 *		The keyrings of the whole server, where shared_preload_libraries has
 *		pseudo: loaded once for all backends (design, 7).
 *
 * A keyring is known by the identity of its options, and a backend gets here
 * only with a server that it has found in its catalog: what these options would
 * load, it may have from here.
 */
#ifndef PSEUDO_SHARED_H
#define PSEUDO_SHARED_H

#include "postgres.h"

#include "port/atomics.h"
#include "utils/timestamp.h"
#include "attempts.h"
#include "provider.h"

#define PSEUDO_SHARED_DIGEST	32	/* bytes of a SHA-256 */
#define PSEUDO_SHARED_VERSION	256 /* bytes of a version, with its zero */

/* What a backend knows of one of the server's keyrings; all zeros at first. */
typedef struct PseudoSharedRef
{
	pg_atomic_uint64 *stamp;	/* the server's; NULL: nothing is known */
	uint64		seen;			/* what it was when the caller's copy was made */
	int			slot;
	uint64		life;			/* of the slot */
	uint64		load;			/* the ticket of the load that the copy comes
								 * from */
} PseudoSharedRef;

/* A question for a keyring, and the answer. */
typedef struct PseudoSharedAsk
{
	/* The question. */
	PseudoSharedRef *ref;
	const char *identity;		/* pseudo_options_identity() */
	PseudoOptions *options;		/* its timeout and `fresh` are set for a load */
	PseudoLoadReason reason;
	bool		again;			/* by a load that begins now, whatever the
								 * reason */
	const PseudoKeyring *own;	/* the caller's copy, or NULL, and its age */
	const char *own_version;
	TimestampTz own_loaded_at;
	int64		own_loaded_ms;

	/* The answer. */
	int64		next_ms;		/* nothing to ask before, while the stamp is
								 * the one seen */
	PseudoKeyring *keyring;		/* a newer copy, the caller's to free, or NULL */
	char		version[PSEUDO_SHARED_VERSION]; /* of it */
	TimestampTz loaded_at;		/* of it, as the next */
	int64		loaded_ms;
	bool		waited;			/* for another backend, or it has to load */
	uint64		ticket;			/* of the load that the caller has to do, or 0 */
	bool		new_version;	/* out of pseudo_shared_finish(): the server
								 * did not have this one */

	/* For shared_ask.c and shared_end.c alone. */
	uint8		digest[PSEUDO_SHARED_DIGEST];	/* of the identity */
	int64		came_ms;
	int64		deadline_ms;	/* no waiting after */
	uint64		need;			/* the ticket of a load that would do */
	uint64		need_life;		/* of the slot that it is for */
	int			copy_keys;		/* of the copy to be made; 0: none */
	uint64		copy_stamp;
	uint64		copy_load;
	PseudoAttempts before;		/* of the slot, before this load */
} PseudoSharedAsk;

typedef enum PseudoSharedAnswer
{
	PSEUDO_SHARED_CURRENT,		/* ask->keyring, or what the caller has;
								 * *failure where the last load failed */
	PSEUDO_SHARED_FAILED,		/* there are no keys; *failure says why */
	PSEUDO_SHARED_LOAD,			/* the caller loads it, and says so with
								 * pseudo_shared_finish() or _abandon() */
	PSEUDO_SHARED_ALONE			/* there is no room: the caller does as if
								 * nothing were shared */
} PseudoSharedAnswer;

/*
 * Called by _PG_init() in the postmaster, and from PostgreSQL's two hooks for
 * shared memory.
 */
extern void pseudo_shared_init(void);
extern void pseudo_shared_request(void);
extern void pseudo_shared_startup(void);

/* Returns true if the server has keyrings. */
extern bool pseudo_shared_is_on(void);

/* Returns true if nothing has changed since the caller's copy was made. */
static inline bool
pseudo_shared_is_seen(const PseudoSharedRef *ref)
{
	return ref->stamp != NULL && pg_atomic_read_u64(ref->stamp) == ref->seen;
}

/* Note that a keyring is used. */
extern void pseudo_shared_touch(const PseudoSharedRef *ref, int64 now);

/*
 * Ask for a keyring; waits where another backend loads it.  Errors: a cancel,
 * lack of memory.
 */
extern PseudoSharedAnswer pseudo_shared_ask(PseudoSharedAsk *ask, PseudoFailure *failure);

/* What comes of a load. */
typedef enum PseudoSharedOutcome
{
	PSEUDO_SHARED_PUBLISHED,	/* all have it now */
	PSEUDO_SHARED_OLD,			/* a newer one has been published meanwhile */
	PSEUDO_SHARED_SERVES_ON,	/* it failed, and the old keys serve on */
	PSEUDO_SHARED_DROPPED,		/* it failed, and nobody has keys now */
	PSEUDO_SHARED_UNKNOWN		/* there is no room, or the server was dropped
								 * meanwhile: it is the caller's alone */
} PseudoSharedOutcome;

/*
 * A load has ended, with a keyring, which stays the caller's, or with a
 * failure.
 */
extern PseudoSharedOutcome pseudo_shared_finish(PseudoSharedAsk *ask, PseudoKeyring *keyring,
												const char *version, const PseudoFailure *failure);

/* A load was cancelled; nothing where it has been finished. */
extern void pseudo_shared_abandon(PseudoSharedAsk *ask);

/*
 * Publish a keyring that was just stored, as pseudo_shared_finish().
 */
extern PseudoSharedOutcome pseudo_shared_publish(PseudoSharedAsk *ask, PseudoKeyring *keyring,
												 const char *version);

/* Returns true if keys of this identity are there. */
extern bool pseudo_shared_has_keys(const char *identity);

/* The SHA-256 of an identity. */
extern void pseudo_shared_make_digest(uint8 *digest, const char *identity);

/*
 * The document of this identity may have been changed: who comes from now on
 * needs a load that has not begun yet.  Backends that load for themselves learn
 * of it by an invalidation.  Does not throw.
 */
extern void pseudo_shared_demand(const uint8 *digest);

/*
 * Wipe the keys of an identity that nobody here uses any more; where others
 * do, they load them again.  Does not throw.
 */
extern void pseudo_shared_forget(const uint8 *digest);

/* The same for all keyrings that only this database has used. */
extern void pseudo_shared_forget_database(Oid database);

/*
 * The same, unless something was published since the caller's copy, or this
 * transaction has written: it may be its own DROP SERVER, and roll back.
 */
extern void pseudo_shared_release(PseudoSharedRef *ref);

/* For the refresher alone. */

/* One of its loads: what to ask for, in palloc'ed memory. */
typedef struct PseudoSharedJob
{
	char	   *identity;
	char		server[NAMEDATALEN];	/* a name of it, for the log */
	int			refresh_interval;
	int			stale_limit;
	int			timeout;
} PseudoSharedJob;

/* Make SetLatch() of this process tell of changes, or of none any more. */
extern void pseudo_shared_attend(bool attend);

/*
 * Wipe what is not used any more, and find a keyring to be loaded, which then
 * is not found again for a while.  Returns its slot, or -1 with the
 * milliseconds until there may be one.
 */
extern int	pseudo_shared_next(int64 *wait_ms);

/* What a slot is to load; returns false where it needs none any more. */
extern bool pseudo_shared_job(int slot, PseudoSharedJob *job);

/*
 * Take a load on, whoever is to do it otherwise; returns false where one runs.
 */
extern bool pseudo_shared_take(int slot, PseudoSharedAsk *ask);

/*
 * A copy of the keys that there were when a load was taken on, to be freed with
 * pseudo_keyring_free, with ask->version; or NULL.
 */
extern PseudoKeyring *pseudo_shared_taken(PseudoSharedAsk *ask);

#endif							/* PSEUDO_SHARED_H */
