/*
 * limits.c
 *		How much roles have used of what they may: a table in shared memory, and
 *		a file.
 *
 * A limit's unit, an hour for example, begins with the first value and is
 * followed by the next one that a value begins.  Values are taken before they are used.
 * What is in the file is never less than what was taken: it is raised in chunks
 * of a part of the limit, before anything is taken of the chunk.  So whatever
 * becomes of the server, nobody has more left than before; at most a chunk
 * less.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "../compat.h"
#include "limits.h"

#define MEMORY_NAME		"pseudo_limits"
#define FILE_NAME		"pseudo_limits" /* in the data directory */
#define FILE_NEW		FILE_NAME ".tmp"
#define FILE_MODE		(S_IRUSR | S_IWUSR)
#define FILE_MAGIC			0x504C0001	/* with the format's version */
#define CHUNKS			32		/* of a limit, in the file */
#define SHARE			64		/* part of what is left that is taken at once */

/* A row in the file, at its number times its size: less than a sector, so that it is written at once. */
typedef struct Stored
{
	uint32		magic;
	pg_crc32c	crc;			/* of what follows */
	int64		since;			/* microseconds, as TimestampTz */
	int64		used;
	PseudoLimitKey key;
	char		padding[12];	/* so that rows do not cross a sector */
} Stored;

StaticAssertDecl(512 % sizeof(Stored) == 0, "a row of the file crosses a sector");

/* A row; free where since is 0. */
typedef struct Row
{
	PseudoLimitKey key;
	TimestampTz since;
	int64		used;
	int64		stored;			/* what the file says was used */
} Row;

/* The table. */
typedef struct Table
{
	LWLock	   *lock;
	bool		is_damaged;		/* what the file said could not be read */
	int			used;			/* there is no row at or after this */
	Row			rows[FLEXIBLE_ARRAY_MEMBER];	/* limits_max */
} Table;

static int	limits_max = 1000;
static Table *limits = NULL;

/* ---- The file ---- */

/* The check sum of a row. */
static pg_crc32c
sum_of(const Stored *stored)
{
	pg_crc32c	crc;
	size_t		start = offsetof(Stored, since);

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (const char *) stored + start, sizeof(Stored) - start);
	FIN_CRC32C(crc);
	return crc;
}

/* Write a row's state to an open file; returns false with errno set. */
static bool
store_row(int fd, int i, const Row *row, int64 used)
{
	Stored		stored;

	memset(&stored, 0, sizeof(stored));
	stored.magic = FILE_MAGIC;
	stored.key = row->key;
	stored.since = row->since;
	stored.used = used;
	stored.crc = sum_of(&stored);
	errno = 0;
	if (pwrite(fd, &stored, sizeof(stored), (off_t) i * sizeof(stored)) == sizeof(stored))
		return true;
	if (errno == 0)
		errno = ENOSPC;
	return false;
}

/* Raise what the file says was used of a row; the lock is held.  Returns false with errno set. */
static bool
raise_stored(int i, int64 used)
{
	int			fd = BasicOpenFilePerm(FILE_NAME, O_RDWR | O_CREAT | PG_BINARY, FILE_MODE);
	struct stat st;
	bool		is_done;
	int			error;

	if (fd < 0)
		return false;
	pgstat_report_wait_start(pseudo_wait_event(PSEUDO_WAIT_AUDIT));
	is_done = fstat(fd, &st) == 0 && store_row(fd, i, &limits->rows[i], used) && pg_fdatasync(fd) == 0;
	if (is_done && st.st_size == 0) /* it is new */
		is_done = fsync_fname_ext(".", true, false, LOG) == 0;
	error = errno;
	pgstat_report_wait_end();
	close(fd);
	errno = error;
	return is_done;
}

/* Returns true if the time of a row is over. */
static bool
is_over(TimestampTz since, int32 seconds, TimestampTz now)
{
	return now - since >= (int64) seconds * USECS_PER_SEC;
}

/* Read the rows whose time is not over; the file is there.  Returns false where it is damaged. */
static bool
read_rows_from(int fd)
{
	TimestampTz now = GetCurrentTimestamp();
	Stored		stored;
	ssize_t		len;

	while ((len = read(fd, &stored, sizeof(stored))) == sizeof(stored))
	{
		static const Stored nothing = {0};

		if (memcmp(&stored, &nothing, sizeof(stored)) == 0)
			continue;			/* before one that was written first */
		if (stored.magic != FILE_MAGIC || stored.crc != sum_of(&stored))
			return false;
		if (is_over(stored.since, stored.key.seconds, now))
			continue;
		if (limits->used == limits_max)
			return false;
		limits->rows[limits->used++] = (Row)
		{
			.key = stored.key, .since = Min(stored.since, now), .used = stored.used, .stored = stored.used
		};
	}
	return len == 0;
}

/* Write the rows to a new file in the place of the old one; returns false with errno set. */
static bool
write_rows(void)
{
	int			fd = BasicOpenFilePerm(FILE_NEW, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY, FILE_MODE);
	bool		is_done = fd >= 0;

	for (int i = 0; is_done && i < limits->used; i++)
		is_done = store_row(fd, i, &limits->rows[i], limits->rows[i].used);
	is_done = is_done && pg_fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return is_done && durable_rename(FILE_NEW, FILE_NAME, LOG) == 0;
}

/* Take over what the file says. */
static void
load_rows(void)
{
	int			fd = BasicOpenFilePerm(FILE_NAME, O_RDONLY | PG_BINARY, FILE_MODE);

	if (fd < 0 && errno == ENOENT)
		return;					/* no limit was ever used */
	limits->is_damaged = fd < 0 || !read_rows_from(fd) || !write_rows();
	if (fd >= 0)
		close(fd);
	if (limits->is_damaged)
		ereport(LOG,
				(errmsg("file \"%s\" cannot be used: keyrings with limits open nothing", FILE_NAME),
				 errhint("Raise pseudo.limits_max, or remove the file where all limits may begin anew, and restart the server.")));
}

/* ---- Start ---- */

/* See limits.h. */
void
pseudo_limits_init(void)
{
	DefineCustomIntVariable("pseudo.limits_max",
							"Roles whose use of keyrings with limits can be counted.",
							"One is counted for each limit that it has of each secret.",
							&limits_max, 1000, 1, 100000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* The bytes of the table. */
static Size
size_of_limits(void)
{
	return offsetof(Table, rows) + (Size) limits_max * sizeof(Row);
}

/* See limits.h. */
void
pseudo_limits_request(void)
{
	RequestAddinShmemSpace(size_of_limits());
	RequestNamedLWLockTranche(MEMORY_NAME, 1);
}

/* See limits.h. */
void
pseudo_limits_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	limits = ShmemInitStruct(MEMORY_NAME, size_of_limits(), &found);
	if (!found)
	{
		memset(limits, 0, size_of_limits());
		limits->lock = &GetNamedLWLockTranche(MEMORY_NAME)->lock;
		load_rows();
	}
	LWLockRelease(AddinShmemInitLock);
}

/* See limits.h. */
bool
pseudo_limits_are_on(void)
{
	return limits != NULL;
}

/* ---- Rows; the lock is held ---- */

/* Returns true if a row is that of a key. */
static bool
is_row_of(int i, const PseudoLimitKey *key)
{
	return limits->rows[i].since != 0 && memcmp(&limits->rows[i].key, key, sizeof(*key)) == 0;
}

/* The number of a key's row, or of one that is free for it; -1 where there is none. */
static int
place_of(const PseudoBudget *budget, TimestampTz now)
{
	int			unused = -1;

	if (budget->row >= 0 && is_row_of(budget->row, &budget->key))
		return budget->row;
	for (int i = 0; i < limits->used; i++)
	{
		Row		   *row = &limits->rows[i];

		if (is_row_of(i, &budget->key))
			return i;
		if (unused < 0 && (row->since == 0 || is_over(row->since, row->key.seconds, now)))
			unused = i;
	}
	if (unused < 0 && limits->used < limits_max)
		unused = limits->used++;
	return unused;
}

/* Begin a row's time where it has none that is not over.  Where the clock has gone back, it begins now, used as it is. */
static void
begin_unit(int i, const PseudoLimitKey *key, TimestampTz now)
{
	Row		   *row = &limits->rows[i];

	if (is_row_of(i, key) && !is_over(row->since, key->seconds, now))
	{
		row->since = Min(row->since, now);
		return;
	}
	row->key = *key;
	row->since = now;
	row->used = row->stored = 0;
}

/* What can be taken from n budgets; 0 with *short_of where one has not enough. */
static int64
find_share(const PseudoBudget *budgets, int n, int64 need, int64 want, int *short_of)
{
	int64		share = Max(need, want);

	for (int i = 0; i < n; i++)
	{
		int64		left = budgets[i].max - limits->rows[budgets[i].row].used;

		if (left < need)
		{
			*short_of = i;
			return 0;
		}
		share = Min(share, Max(need, left / SHARE));
	}
	return share;
}

/* Let the file say that a share of n budgets is used; returns false with errno set. */
static bool
store_share(const PseudoBudget *budgets, int n, int64 share)
{
	for (int i = 0; i < n; i++)
	{
		Row		   *row = &limits->rows[budgets[i].row];
		int64		chunk;

		if (row->used + share <= row->stored)
			continue;
		chunk = Max(row->used + share, Min(budgets[i].max, row->used + budgets[i].max / CHUNKS));
		if (!raise_stored(budgets[i].row, chunk))
			return false;
		row->stored = chunk;
	}
	return true;
}

/* Take a share of a budget.  What was taken before its unit began is not the unit's. */
static void
take_share(PseudoBudget *budget, int64 share)
{
	Row		   *row = &limits->rows[budget->row];

	row->used += share;
	if (budget->since != row->since)
		budget->taken = 0;
	budget->since = row->since;
	budget->taken += share;
}

/* ---- What others do with them ---- */

/* Report that nothing can be counted; the lock is not held any more. */
static void
report_no_count(int error, bool is_damaged)
{
	if (is_damaged)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s\" cannot be used, and the keyring has a limit", FILE_NAME),
				 errhint("The server's log says what to do.")));
	if (error == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("there is no room to count what roles use of keyrings with limits"),
				 errhint("Raise pseudo.limits_max, and restart the server.")));
	errno = error;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", FILE_NAME),
			 errdetail("It has what was used of keyrings with limits, and nothing is used that it does not have.")));
}

/* See limits.h. */
int64
pseudo_limits_take(PseudoBudget *budgets, int n, int64 need, int64 want,
				   int *short_of, TimestampTz *until)
{
	TimestampTz now;
	bool		is_damaged;
	bool		has_room = true;
	int			error = 0;
	int64		share = 0;

	LWLockAcquire(limits->lock, LW_EXCLUSIVE);
	now = GetCurrentTimestamp();	/* not before another one's */
	is_damaged = limits->is_damaged;
	for (int i = 0; i < n && has_room; i++)
	{
		budgets[i].row = place_of(&budgets[i], now);
		has_room = budgets[i].row >= 0;
		if (has_room)
			begin_unit(budgets[i].row, &budgets[i].key, now);
	}
	if (has_room && !is_damaged)
		share = find_share(budgets, n, need, want, short_of);
	if (share > 0 && !store_share(budgets, n, share))
		error = errno;
	for (int i = 0; i < n && share > 0 && error == 0; i++)
		take_share(&budgets[i], share);
	if (has_room && share == 0 && !is_damaged)
		*until = limits->rows[budgets[*short_of].row].since +
			(int64) budgets[*short_of].key.seconds * USECS_PER_SEC;
	LWLockRelease(limits->lock);
	if (is_damaged || !has_room || error)
		report_no_count(error, is_damaged);
	return share;
}

/* See limits.h. */
void
pseudo_limits_give_back(const PseudoBudget *budgets, int n, int64 count)
{
	if (count <= 0 || n == 0 || MyProc == NULL)
		return;
	LWLockAcquire(limits->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		Row		   *row = &limits->rows[budgets[i].row];

		if (is_row_of(budgets[i].row, &budgets[i].key) && row->since == budgets[i].since)
			row->used -= Min(count, budgets[i].taken);
	}
	LWLockRelease(limits->lock);
}

/* See limits.h. */
PseudoLimitRow *
pseudo_limits_read(int *nrows)
{
	PseudoLimitRow *rows = palloc(limits_max * sizeof(PseudoLimitRow));
	TimestampTz now = GetCurrentTimestamp();

	*nrows = 0;
	LWLockAcquire(limits->lock, LW_SHARED);
	for (int i = 0; i < limits->used; i++)
	{
		Row		   *row = &limits->rows[i];

		if (row->since == 0 || is_over(row->since, row->key.seconds, now))
			continue;
		rows[(*nrows)++] = (PseudoLimitRow)
		{
			.key = row->key, .since = row->since, .used = row->used
		};
	}
	LWLockRelease(limits->lock);
	return rows;
}
