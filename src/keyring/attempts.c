/*
 * attempts.c
 *		How loading a keyring has gone, and what follows.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "attempts.h"
#include "clock.h"

#define REFUSED_RETRY	60000	/* milliseconds until a refusal is asked again */
#define FIRST_RETRY		1000	/* milliseconds after the first transient
								 * failure */
#define MAX_RETRY		60000

/* A number at random between 0 and 1. */
static double
random_share(void)
{
	return pg_prng_double(&pg_global_prng_state);
}

/* See attempts.h. */
int64
pseudo_jittered(int64 interval_ms)
{
	return interval_ms - (int64) (random_share() * interval_ms / 10);
}

/* See attempts.h. */
int64
pseudo_lost_pause(void)
{
	return PSEUDO_LOST_PAUSE / 2 + (int64) (random_share() * PSEUDO_LOST_PAUSE / 2);
}

/*
 * Wait longer after each failure in a row, and not all backends equally long.
 */
void
pseudo_attempts_pause(PseudoAttempts *attempts)
{
	int64		pause = Min((int64) FIRST_RETRY << Min(attempts->failures - 1, 10), MAX_RETRY);

	attempts->next_ms = pseudo_now_ms() + pause / 2 + (int64) (random_share() * pause / 2);
}

/* See attempts.h. */
void
pseudo_attempts_begin(PseudoAttempts *attempts, PseudoLoadReason reason)
{
	if (attempts->failures++ == 0)
		attempts->failing_ms = pseudo_now_ms();
	if (reason != PSEUDO_LOAD_EARLY)
		pseudo_attempts_pause(attempts);
}

/* See attempts.h. */
bool
pseudo_attempts_are_stale(const PseudoAttempts *attempts, int stale_limit)
{
	return pseudo_now_ms() - attempts->failing_ms >= (int64) stale_limit * 1000;
}

/* See attempts.h. */
bool
pseudo_attempts_failed(PseudoAttempts *attempts, PseudoFailureClass class, int stale_limit,
					   PseudoLoadReason reason)
{
	int64		now = pseudo_now_ms();

	if (class == PSEUDO_FAIL_REFUSED)
	{
		bool		counts = reason != PSEUDO_LOAD_EARLY ||
			now >= attempts->refused_ms + REFUSED_RETRY;

		if (reason == PSEUDO_LOAD_NOW || (attempts->refusals > 0 && counts))
			return false;
		if (attempts->refusals++ == 0)
			attempts->refused_ms = now;
		attempts->next_ms = attempts->refused_ms + REFUSED_RETRY;
		return true;
	}
	attempts->refusals = 0;
	return !pseudo_attempts_are_stale(attempts, stale_limit);
}
