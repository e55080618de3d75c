/*
 * stats.c
 *		What is counted for the whole server: a table in shared memory.
 *
 * The keys stand beside each other, for whoever does not know the place of a row yet; a
 * hash table would not be faster for the few rows that there are.  Numbers are added
 * by atomic operations under a shared lock.  Whatever makes, frees or reads texts of a
 * row holds it exclusively.  A table that is full loses nothing: what has no row of its
 * own is added to the first row, and so is what a row had that is dropped.  So the
 * sums over all rows never fall.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "stats.h"

#define TABLE_NAME	"pseudo_stats"
#define OTHERS		0			/* the row of what has no other */

/* What a row has beside its key. */
typedef struct Entry
{
	pg_atomic_uint64 counters[PSEUDO_COUNTERS];
	PseudoStatsRow row;			/* without its counters */
} Entry;

/* The head of the table. */
typedef struct Table
{
	LWLock	   *lock;
	uint64		resets;
	int			nrows;			/* without OTHERS */
	int			used;			/* there is no row at or after this */
} Table;

/* An object that this transaction has dropped. */
typedef struct Dropped
{
	Oid			class;
	Oid			oid;
	SubTransactionId subid;
} Dropped;

static int	stats_max = 1000;
static Table *table = NULL;
static PseudoStatsKey *keys;	/* stats_max, and OTHERS */
static Entry *entries;			/* as many */
static List *dropped = NIL;		/* in TopTransactionContext */
static object_access_hook_type next_access_hook = NULL;

/* ---- Start ---- */

/* The bytes of the table, and where its parts begin. */
static Size
table_size(Size *keys_at, Size *entries_at)
{
	*keys_at = MAXALIGN(sizeof(Table));
	*entries_at = *keys_at + MAXALIGN((stats_max + 1) * sizeof(PseudoStatsKey));
	return *entries_at + (Size) (stats_max + 1) * sizeof(Entry);
}

/* See stats.h. */
void
pseudo_stats_request(void)
{
	Size		at;

	RequestAddinShmemSpace(table_size(&at, &at));
	RequestNamedLWLockTranche(TABLE_NAME, 1);
}

/* Make a row anew; the lock is held exclusively, where others see it. */
static void
make_entry(int i, const PseudoStatsKey *key, const char *keyring)
{
	PseudoStatsRow *row = &entries[i].row;

	memset(row, 0, sizeof(*row));
	keys[i] = *key;
	row->key = *key;
	row->since = GetCurrentTimestamp();
	row->encoding = GetDatabaseEncoding();
	strlcpy(row->keyring, keyring, sizeof(row->keyring));
	for (int n = 0; n < PSEUDO_COUNTERS; n++)
		pg_atomic_write_u64(&entries[i].counters[n], 0);
}

/* See stats.h. */
void
pseudo_stats_startup(void)
{
	static const PseudoStatsKey others = {InvalidOid, InvalidOid, InvalidOid};
	Size		keys_at;
	Size		entries_at;
	Size		size = table_size(&keys_at, &entries_at);
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct(TABLE_NAME, size, &found);
	keys = (PseudoStatsKey *) ((char *) table + keys_at);
	entries = (Entry *) ((char *) table + entries_at);
	if (!found)
	{
		memset(table, 0, size);
		table->lock = &GetNamedLWLockTranche(TABLE_NAME)->lock;
		for (int i = 0; i <= stats_max; i++)
		{
			for (int n = 0; n < PSEUDO_COUNTERS; n++)
				pg_atomic_init_u64(&entries[i].counters[n], 0);
		}
		make_entry(OTHERS, &others, "");
		table->used = OTHERS + 1;
	}
	LWLockRelease(AddinShmemInitLock);
}

/* See stats.h. */
bool
pseudo_stats_is_on(void)
{
	return table != NULL;
}

/* ---- Rows; the lock is held ---- */

/* Returns true if two keys are the same. */
static bool
same_key(const PseudoStatsKey *a, const PseudoStatsKey *b)
{
	return a->database == b->database && a->server == b->server && a->role == b->role;
}

/* Returns true if a place has no row. */
static bool
is_free(int i)
{
	return keys[i].database == InvalidOid && keys[i].server == InvalidOid && keys[i].role == InvalidOid;
}

/* What *made is while the caller knows of a row. */
static uint64
made_now(void)
{
	return table->resets + 1;
}

/* The place of the row of a key, or OTHERS. */
static int
find_entry(const PseudoStatsKey *key, uint64 *made)
{
	for (int i = OTHERS + 1; i < table->used; i++)
	{
		if (same_key(&keys[i], key))
		{
			*made = made_now();
			return i;
		}
	}
	return OTHERS;
}

/* Returns true if a row that was not found can be made: it has not been dropped, and there is room. */
static bool
can_make_entry(uint64 made)
{
	return made != made_now() && table->nrows < stats_max;
}

/* The place of the row of a key, which is made where it can be; or OTHERS. */
static int
find_or_make_entry(const PseudoStatsKey *key, const char *keyring, uint64 *made)
{
	int			i = find_entry(key, made);

	if (i != OTHERS || !can_make_entry(*made))
		return i;
	for (i = OTHERS + 1; i < table->used && !is_free(i);)
		i++;
	make_entry(i, key, keyring);
	table->nrows++;
	table->used = Max(table->used, i + 1);
	*made = made_now();
	return i;
}

/* Free a row: what it counted stays in the sums. */
static void
drop_entry(int i)
{
	for (int n = 0; n < PSEUDO_COUNTERS; n++)
		pg_atomic_fetch_add_u64(&entries[OTHERS].counters[n],
								pg_atomic_read_u64(&entries[i].counters[n]));
	memset(&keys[i], 0, sizeof(keys[i]));
	table->nrows--;
	while (table->used > OTHERS + 1 && is_free(table->used - 1))
		table->used--;
}

/* ---- What others do with them ---- */

/* See stats.h. */
void
pseudo_stats_add(const PseudoStatsKey *key, const char *keyring, const uint64 *numbers, uint64 *made)
{
	int			i;

	LWLockAcquire(table->lock, LW_SHARED);
	i = find_entry(key, made);
	if (i == OTHERS && can_make_entry(*made))
	{
		LWLockRelease(table->lock);
		LWLockAcquire(table->lock, LW_EXCLUSIVE);
		i = find_or_make_entry(key, keyring, made);
	}
	for (int n = 0; n < PSEUDO_COUNTERS; n++)
	{
		if (numbers[n] > 0)
			pg_atomic_fetch_add_u64(&entries[i].counters[n], (int64) numbers[n]);
	}
	LWLockRelease(table->lock);
}

/* See stats.h. */
void
pseudo_stats_note(const PseudoStatsKey *key, const char *keyring, const PseudoFailure *failure,
				  uint64 *made)
{
	TimestampTz now = GetCurrentTimestamp();
	int			len = pg_mbcliplen(failure->message, strlen(failure->message),
								   PSEUDO_STATS_ERROR_LEN - 1);
	PseudoStatsRow *row;

	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	row = &entries[find_or_make_entry(key, keyring, made)].row;
	if (!same_key(&row->key, key))
		row->encoding = GetDatabaseEncoding();	/* of OTHERS: the last one's */
	row->error_at = now;
	row->error_sqlstate = failure->sqlstate;
	memcpy(row->error, failure->message, len);
	row->error[len] = '\0';
	LWLockRelease(table->lock);
}

/* See stats.h. */
PseudoStatsRow *
pseudo_stats_read(int *nrows)
{
	PseudoStatsRow *rows = palloc((stats_max + 1) * sizeof(PseudoStatsRow));

	*nrows = 0;
	LWLockAcquire(table->lock, LW_SHARED);
	for (int i = OTHERS; i < table->used; i++)
	{
		PseudoStatsRow *row = &rows[*nrows];

		if (i != OTHERS && is_free(i))
			continue;
		*row = entries[i].row;
		for (int n = 0; n < PSEUDO_COUNTERS; n++)
			row->counters[n] = pg_atomic_read_u64(&entries[i].counters[n]);
		(*nrows)++;
	}
	LWLockRelease(table->lock);
	return rows;
}

/* See stats.h. */
void
pseudo_stats_clear(void)
{
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	make_entry(OTHERS, &keys[OTHERS], "");
	memset(&keys[OTHERS + 1], 0, stats_max * sizeof(PseudoStatsKey));
	table->nrows = 0;
	table->used = OTHERS + 1;
	table->resets++;
	LWLockRelease(table->lock);
}

/* ---- Dropped objects, whose number another may get ---- */

/* Hook: note what this transaction drops. */
static void
note_dropped(ObjectAccessType access, Oid class, Oid oid, int subid, void *arg)
{
	if (next_access_hook)
		next_access_hook(access, class, oid, subid, arg);
	if (access == OAT_DROP && subid == 0 && table &&
		(class == ForeignServerRelationId || class == AuthIdRelationId || class == DatabaseRelationId))
	{
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
		Dropped    *object = palloc(sizeof(Dropped));

		*object = (Dropped)
		{
			.class = class, .oid = oid, .subid = GetCurrentSubTransactionId()
		};
		dropped = lappend(dropped, object);
		MemoryContextSwitchTo(caller);
	}
}

/* Subtransaction callback: what was dropped in one that is rolled back is there again. */
static void
subtransaction_ends(SubXactEvent event, SubTransactionId mine,
					SubTransactionId parent pg_attribute_unused(),
					void *arg pg_attribute_unused())
{
	ListCell   *cell;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, dropped)
	{
		if (((Dropped *) lfirst(cell))->subid >= mine)
			dropped = foreach_delete_current(dropped, cell);
	}
}

/* Returns true if a row is about an object. */
static bool
is_about(const PseudoStatsKey *key, const Dropped *object)
{
	if (object->class == DatabaseRelationId)
		return key->database == object->oid;
	if (object->class == AuthIdRelationId)
		return key->role == object->oid;
	return key->database == MyDatabaseId && key->server == object->oid;
}

/* See stats.h. */
void
pseudo_stats_end_transaction(XactEvent event)
{
	ListCell   *cell;

	if (event == XACT_EVENT_COMMIT && dropped)
	{
		LWLockAcquire(table->lock, LW_EXCLUSIVE);
		foreach(cell, dropped)
		{
			for (int i = table->used - 1; i > OTHERS; i--)
			{
				if (!is_free(i) && is_about(&keys[i], lfirst(cell)))
					drop_entry(i);
			}
		}
		LWLockRelease(table->lock);
	}
	dropped = NIL;				/* a COMMIT PREPARED does not know of it: such
								 * rows stay until they are reset */
}

/* See stats.h. */
void
pseudo_stats_init(void)
{
	DefineCustomIntVariable("pseudo.stats_max",
							"Rows of pseudo_stats for which there is room in shared memory.",
							"What has no row is counted in one without names.",
							&stats_max, 1000, 1, 100000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	next_access_hook = object_access_hook;
	object_access_hook = note_dropped;
	RegisterSubXactCallback(subtransaction_ends, NULL);
}
