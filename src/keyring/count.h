/*
 * count.h
 *		Counting, for pseudo_stats: in the session first, for that costs a
 *		subtraction a value, and from there into the server's table.
 */
#ifndef PSEUDO_COUNT_H
#define PSEUDO_COUNT_H

#include "postgres.h"

#include "stats.h"

/*
 * What this session counts for a keyring and a role.  A counter counts down, and asks for more when
 * it is below 0.
 */
typedef struct PseudoCount
{
	PseudoStatsKey key;			/* hash key; all 0 where nothing is counted */
	int32		left[PSEUDO_COUNTERS];
	int32		granted[PSEUDO_COUNTERS];	/* what left began with */
	uint64		made;			/* of pseudo_stats_add() */
	struct PseudoCount *next;	/* of those that count in this transaction */
	bool		is_open;		/* it is one of them */
	char		keyring[NAMEDATALEN];
} PseudoCount;

/* Register what adds up at the end of a transaction; while libraries are preloaded. */
extern void pseudo_count_init(void);

/*
 * Where to count for a keyring and the role whose rights are used.  It stays as long as the session.
 */
extern PseudoCount *pseudo_count_of(Oid serverid, Oid roleid);

/* What pseudo_count() calls now and then. */
extern void pseudo_count_more(PseudoCount *count, PseudoCounter counter);

/* Count n, which is not negative. */
static inline void
pseudo_count(PseudoCount *count, PseudoCounter counter, int n)
{
	count->left[counter] -= n;
	if (unlikely(count->left[counter] < 0))
		pseudo_count_more(count, counter);
}

/* Count a failure of a provider, and keep it as the last one. */
extern void pseudo_count_failure(PseudoCount *count, const PseudoFailure *failure);

/* Add to the server's table what this session has counted up to now. */
extern void pseudo_count_add_up(void);

#endif							/* PSEUDO_COUNT_H */
