/*
 * limits.h
 *		How much roles have used of what they may, for the whole server and
 *		over its restarts.
 */
#ifndef PSEUDO_LIMITS_H
#define PSEUDO_LIMITS_H

#include "postgres.h"

#include "utils/timestamp.h"
#include "policy.h"

#define PSEUDO_LIMITS_DIGEST	16	/* bytes of a SHA-256 */

/* What is counted: by the secret and not by its server, so that two databases share it. */
typedef struct PseudoLimitKey
{
	uint8		digest[PSEUDO_LIMITS_DIGEST];	/* of
												 * pseudo_options_identity() */
	Oid			role;
	int32		use;			/* PseudoUse */
	int32		seconds;		/* of the limit's unit */
} PseudoLimitKey;

/* A limit that somebody is charged for. */
typedef struct PseudoBudget
{
	PseudoLimitKey key;
	int64		max;
	int			row;			/* where it was found, or -1 */
	TimestampTz since;			/* the beginning of the unit in which was
								 * taken what can be given back ... */
	int64		taken;			/* ... which is no more than this */
} PseudoBudget;

/* A row, as it is shown. */
typedef struct PseudoLimitRow
{
	PseudoLimitKey key;
	TimestampTz since;
	int64		used;			/* with what was taken and may come back */
} PseudoLimitRow;

/* Define the settings; while libraries are preloaded. */
extern void pseudo_limits_init(void);

/* Ask for the shared memory, and make it; from the hooks for these. */
extern void pseudo_limits_request(void);
extern void pseudo_limits_startup(void);

/* Returns true if anything can be counted. */
extern bool pseudo_limits_are_on(void);

/*
 * Take values from n budgets, from all or from none: need of them at least, up to
 * want where much is left.  Returns how many; 0 where one does not have as many,
 * with *short_of its number and *until the time at which it begins anew.
 * Errors: those of files, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED where the table
 * is full, ERRCODE_DATA_CORRUPTED.
 */
extern int64 pseudo_limits_take(PseudoBudget *budgets, int n, int64 need, int64 want,
								int *short_of, TimestampTz *until);

/* Give back what was taken from n budgets and not used.  Does not throw. */
extern void pseudo_limits_give_back(const PseudoBudget *budgets, int n, int64 count);

/* All rows whose time is not over, palloc'ed. */
extern PseudoLimitRow *pseudo_limits_read(int *nrows);

#endif							/* PSEUDO_LIMITS_H */
