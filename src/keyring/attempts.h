/*
 * attempts.h
 *		How loading a keyring has gone, and what follows: when to ask again, and
 *		whether the old keys serve on (design, 2).  Of one backend, or of all.
 */
#ifndef PSEUDO_ATTEMPTS_H
#define PSEUDO_ATTEMPTS_H

#include "postgres.h"

#include "failure.h"

#define PSEUDO_SHORT_TIMEOUT	1000	/* milliseconds for a provider while
										 * old keys can serve */
#define PSEUDO_EARLY_PAUSE		60000	/* milliseconds between fruitless
										 * early refreshes */
#define PSEUDO_LOST_PAUSE		60000	/* milliseconds in which all backends
										 * ask again after lost messages */

/* Why a keyring is loaded. */
typedef enum PseudoLoadReason
{
	PSEUDO_LOAD_DUE,			/* there is none, or it is old */
	PSEUDO_LOAD_EARLY,			/* a pseudonym opened under no key */
	PSEUDO_LOAD_NOW				/* pseudo_refresh_keyring(): a refusal counts
								 * at once */
} PseudoLoadReason;

/* All zeros at first.  Times by the monotonic clock, milliseconds. */
typedef struct PseudoAttempts
{
	int64		next_ms;		/* no load before */
	int64		failing_ms;		/* the first of the failures in a row */
	int64		refused_ms;		/* the first of the refusals in a row */
	int			refusals;		/* in a row */
	int			failures;		/* of any kind in a row, loads that were
								 * cancelled too */
} PseudoAttempts;

/*
 * A load begins: a failure until it has succeeded, for a cancel in the middle
 * must neither have each statement wait nor stop stale_limit's clock.
 */
extern void pseudo_attempts_begin(PseudoAttempts *attempts, PseudoLoadReason reason);

/*
 * It has failed, while there are old keys or not: the next one waits.
 */
extern void pseudo_attempts_pause(PseudoAttempts *attempts);

/*
 * It has failed, and old keys are there: returns true where they serve on.
 * stale_limit is in seconds.
 */
extern bool pseudo_attempts_failed(PseudoAttempts *attempts, PseudoFailureClass class,
								   int stale_limit, PseudoLoadReason reason);

/* Returns true if keys may not serve any more after so many failures. */
extern bool pseudo_attempts_are_stale(const PseudoAttempts *attempts, int stale_limit);

/* Milliseconds, at random within the last tenth of an interval in milliseconds. */
extern int64 pseudo_jittered(int64 interval_ms);

/* The same within the second half of LOST_PAUSE. */
extern int64 pseudo_lost_pause(void);

#endif							/* PSEUDO_ATTEMPTS_H */
