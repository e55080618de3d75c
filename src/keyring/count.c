/*
 * count.c
 *		Counting in the session.
 *
 * What was counted is added to the server's table every STEP values and at the end of
 * each transaction, however it ends: a session that is cancelled or terminated aborts its transaction, and parallel workers
 * end theirs.
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/hsearch.h"

#include "count.h"

#define STEP	4096

static HTAB *counts = NULL;
static PseudoCount *open_counts = NULL;
static PseudoCount nowhere = {0};	/* where the library is not preloaded */

/* See count.h. */
PseudoCount *
pseudo_count_of(Oid serverid, Oid roleid)
{
	PseudoStatsKey key = {MyDatabaseId, serverid, roleid};
	PseudoCount *count;

	if (!pseudo_stats_is_on())
		return &nowhere;
	if (counts == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(PseudoStatsKey), .entrysize = sizeof(PseudoCount)};

		counts = hash_create("pseudo counts", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	count = hash_search(counts, &key, HASH_FIND, NULL);
	if (count == NULL)
	{
		ForeignServer *server = GetForeignServer(serverid);

		count = hash_search(counts, &key, HASH_ENTER, NULL);
		memset((char *) count + sizeof(key), 0, sizeof(PseudoCount) - sizeof(key));
		strlcpy(count->keyring, server->servername, sizeof(count->keyring));
	}
	return count;
}

/* Add what one has counted to the server's table. */
static void
add_up(PseudoCount *count)
{
	uint64		numbers[PSEUDO_COUNTERS];
	bool		is_any = false;

	for (int n = 0; n < PSEUDO_COUNTERS; n++)
	{
		numbers[n] = (uint64) (count->granted[n] - count->left[n]);
		is_any |= numbers[n] > 0;
		count->granted[n] = count->left[n] = 0;
	}
	if (is_any)
		pseudo_stats_add(&count->key, count->keyring, numbers, &count->made);
}

/* See count.h. */
void
pseudo_count_more(PseudoCount *count, PseudoCounter counter)
{
	if (count == &nowhere)
	{
		count->left[counter] = PG_INT32_MAX;
		return;
	}
	if (count->granted[counter] - count->left[counter] >= STEP)
		add_up(count);
	count->granted[counter] += STEP;
	count->left[counter] += STEP;
	if (!count->is_open)
	{
		count->is_open = true;
		count->next = open_counts;
		open_counts = count;
	}
}

/* See count.h. */
void
pseudo_count_failure(PseudoCount *count, const PseudoFailure *failure)
{
	pseudo_count(count, PSEUDO_COUNT_FAILURES, 1);
	if (count != &nowhere)
		pseudo_stats_note(&count->key, count->keyring, failure, &count->made);
}

/* See count.h. */
void
pseudo_count_add_up(void)
{
	for (PseudoCount *count = open_counts; count; count = count->next)
		add_up(count);
}

/* Transaction callback. */
static void
transaction_counted(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	pseudo_count_add_up();
	for (; open_counts; open_counts = open_counts->next)
		open_counts->is_open = false;
	pseudo_stats_end_transaction(event);
}

/* See count.h. */
void
pseudo_count_init(void)
{
	RegisterXactCallback(transaction_counted, NULL);
}
