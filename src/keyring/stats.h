/*
 * stats.h
 *		What is counted for the whole server: a table in shared memory, where the
 *		library is preloaded.  It holds numbers and names, no secret.
 */
#ifndef PSEUDO_STATS_H
#define PSEUDO_STATS_H

#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"
#include "failure.h"

typedef enum PseudoCounter
{
	PSEUDO_COUNT_PSEUDONYMIZED, /* values that got a pseudonym */
	PSEUDO_COUNT_REIDENTIFIED,	/* values that were shown */
	PSEUDO_COUNT_NOT_OPENED,	/* pseudonyms that gave an error or NULL */
	PSEUDO_COUNT_LOADS,			/* times that the provider gave a keyring */
	PSEUDO_COUNT_FAILURES,		/* times that it did not */
	PSEUDO_COUNT_WAITS,			/* times that a call waited for that */
	PSEUDO_COUNTERS
} PseudoCounter;

/* What a row is about; all 0 for the row of what has no other. */
typedef struct PseudoStatsKey
{
	Oid			database;
	Oid			server;
	Oid			role;
} PseudoStatsKey;

#define PSEUDO_STATS_ERROR_LEN	256 /* bytes of an error's message, with its
									 * null */

/* A row, as it is shown. */
typedef struct PseudoStatsRow
{
	PseudoStatsKey key;
	uint64		counters[PSEUDO_COUNTERS];
	TimestampTz since;
	int			encoding;		/* of the texts: that of the database */
	char		keyring[NAMEDATALEN];	/* as it was called when the row was
										 * made */
	TimestampTz error_at;		/* 0: there was none */
	int			error_sqlstate;
	char		error[PSEUDO_STATS_ERROR_LEN];
} PseudoStatsRow;

/* Define the settings and what tells of dropped objects; while libraries are preloaded. */
extern void pseudo_stats_init(void);

/* Ask for the shared memory, and make the table in it; from the hooks for these. */
extern void pseudo_stats_request(void);
extern void pseudo_stats_startup(void);

/* Returns true if anything is counted. */
extern bool pseudo_stats_is_on(void);

/*
 * Add PSEUDO_COUNTERS numbers to a row, which is made where there is none: with the name of its keyring.
 * *made, 0 at first, is the caller's, who keeps it: a row that was dropped is not made again.
 * Neither allocates memory nor fails.
 */
extern void pseudo_stats_add(const PseudoStatsKey *key, const char *keyring,
							 const uint64 *numbers, uint64 *made);

/* Note a failure in a row, likewise. */
extern void pseudo_stats_note(const PseudoStatsKey *key, const char *keyring,
							  const PseudoFailure *failure, uint64 *made);

/* Forget the rows of what a transaction dropped, once it has committed; after its numbers were added. */
extern void pseudo_stats_end_transaction(XactEvent event);

/* All rows, palloc'ed, the one with the key of 0 first. */
extern PseudoStatsRow *pseudo_stats_read(int *nrows);

/* Begin again at 0. */
extern void pseudo_stats_clear(void);

#endif							/* PSEUDO_STATS_H */
