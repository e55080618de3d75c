/*
 * audit.c
 *		Where audit records go: the server's log, its WAL, or a file.
 *
 * Who writes to the file holds a lock for the write(), so that records stay
 * lines, and that one which fails half-way is taken back.  To make records
 * durable there is another lock: whoever holds it does so for all that are
 * written by then, and those who waited for it find that they are.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "replication/message.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "../compat.h"
#include "audit.h"

#define MEMORY_NAME	"pseudo_audit"
#define PAUSE			20		/* microseconds, so many times at most */
#define PATIENCE		20
#define FILE_MODE	(S_IRUSR | S_IWUSR)

/* What backends share. */
typedef struct Shared
{
	LWLock	   *append_lock;
	LWLock	   *flush_lock;
	pg_atomic_uint32 writing;	/* backends that are about to write a record */
	pg_atomic_uint64 written;	/* records, ever */
	uint64		flushed;		/* of them, in the file ... */
	dev_t		device;			/* ... that this is */
	ino_t		inode;
} Shared;

/* What went wrong with the file; error is 0 where nothing did. */
typedef struct FileFault
{
	const char *verb;
	int			error;			/* errno */
} FileFault;

int			pseudo_audit_least = PSEUDO_AUDIT_OFF;
char	   *pseudo_audit_file = NULL;

static Shared *shared = NULL;

/* See audit.h. */
void
pseudo_audit_init(void)
{
	static const struct config_enum_entry levels[] = {
		{"off", PSEUDO_AUDIT_OFF, false},
		{"log", PSEUDO_AUDIT_LOG, false},
		{"wal", PSEUDO_AUDIT_WAL, false},
		{"file", PSEUDO_AUDIT_FILE, false},
		{NULL, 0, false}
	};

	DefineCustomEnumVariable("pseudo.audit",
							 "Least that is recorded of the use of every keyring.",
							 "The option \"audit\" of a keyring can ask for more, in the order off, log, wal, file.",
							 &pseudo_audit_least, PSEUDO_AUDIT_OFF, levels, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("pseudo.audit_file",
							   "File for the records of keyrings with the option audit 'file'.",
							   "A relative path is in the data directory.",
							   &pseudo_audit_file, "pseudo_audit.jsonl", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
}

/* See audit.h. */
void
pseudo_audit_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
	RequestNamedLWLockTranche(MEMORY_NAME, 2);
}

/* See audit.h. */
void
pseudo_audit_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(MEMORY_NAME, sizeof(Shared), &found);
	if (!found)
	{
		LWLockPadded *locks = GetNamedLWLockTranche(MEMORY_NAME);

		memset(shared, 0, sizeof(Shared));
		shared->append_lock = &locks[0].lock;
		shared->flush_lock = &locks[1].lock;
		pg_atomic_init_u32(&shared->writing, 0);
		pg_atomic_init_u64(&shared->written, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* See audit.h. */
bool
pseudo_audit_is_on(void)
{
	return shared != NULL;
}

/* ---- The file ---- */

/* What a call that returned -1, or wrote too little, met. */
static FileFault
fault_of(const char *verb)
{
	return (FileFault)
	{
		.verb = verb, .error = errno ? errno : ENOSPC
	};
}

/* Append a line to an open file; the lock is held.  One that is not whole is taken back. */
static FileFault
append_line(int fd, const char *line, size_t len)
{
	struct iovec parts[2] = {{.iov_base = "\n", .iov_len = 1}, {.iov_base = unconstify(char *, line), .iov_len = len}};
	struct stat st;
	char		last = '\n';
	bool		is_torn;
	ssize_t		n;
	FileFault	fault;

	if (fstat(fd, &st) != 0)
		return fault_of("stat");
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0)
		return fault_of("read");
	is_torn = last != '\n';		/* by a crash */
	errno = 0;
	n = writev(fd, is_torn ? parts : parts + 1, is_torn ? 2 : 1);
	if (n == (ssize_t) (len + is_torn))
		return (FileFault)
	{
		0
	};
	fault = fault_of("write");
	if (n > 0 && ftruncate(fd, st.st_size) != 0)
		return fault;			/* the next one begins with a newline */
	return fault;
}

/* Make the name of a new file durable; returns as fsync_fname_ext(). */
static int
flush_folder(void)
{
	char		folder[MAXPGPATH];

	strlcpy(folder, pseudo_audit_file, sizeof(folder));
	get_parent_directory(folder);
	return fsync_fname_ext(folder[0] ? folder : ".", true, false, LOG);
}

/*
 * Wait a moment for those who are about to write.  While the file is flushed, the kernel lets nobody write to its
 * last page: those who wait for that come one after the other when it is done, and one flush is enough for them.
 */
static void
wait_for_writers(void)
{
	for (int i = 0; i < PATIENCE && pg_atomic_read_u32(&shared->writing) > 0; i++)
		pg_usleep(PAUSE);
}

/* Make all records durable that are in a file up to a number; fd is open on it. */
static FileFault
flush_file(int fd, uint64 number)
{
	FileFault	fault = {0};
	struct stat st;
	bool		is_new;
	uint32		event = pseudo_wait_event(PSEUDO_WAIT_AUDIT);

	if (fstat(fd, &st) != 0)
		return fault_of("stat");
	LWLockAcquire(shared->flush_lock, LW_EXCLUSIVE);
	is_new = shared->device != st.st_dev || shared->inode != st.st_ino;
	if (is_new || shared->flushed < number)
	{
		uint64		written;

		wait_for_writers();
		written = pg_atomic_read_u64(&shared->written);
		pgstat_report_wait_start(event);
		if (pg_fdatasync(fd) != 0 || (is_new && flush_folder() != 0))
			fault = fault_of("fsync");
		else
		{
			shared->flushed = written;
			shared->device = st.st_dev;
			shared->inode = st.st_ino;
		}
		pgstat_report_wait_end();
	}
	LWLockRelease(shared->flush_lock);
	return fault;
}

/*
 * Append a line to the file, which is made where there is none: it may have
 * been renamed since the last one.  O_NONBLOCK: nobody waits for the reader of a pipe, with a lock held.
 */
static FileFault
write_to_file(const char *line, size_t len, bool flush)
{
	int			fd = BasicOpenFilePerm(pseudo_audit_file, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | PG_BINARY, FILE_MODE);
	FileFault	fault;
	uint64		number = 0;

	if (fd < 0)
		return fault_of("open");
	pg_atomic_fetch_add_u32(&shared->writing, 1);
	LWLockAcquire(shared->append_lock, LW_EXCLUSIVE);
	fault = append_line(fd, line, len);
	if (fault.error == 0)
		number = pg_atomic_add_fetch_u64(&shared->written, 1);
	pg_atomic_fetch_sub_u32(&shared->writing, 1);
	LWLockRelease(shared->append_lock);
	if (fault.error == 0 && flush)
		fault = flush_file(fd, number);
	close(fd);
	return fault;
}

/* ---- All ---- */

/* Write a record to the server's log: a line without the newline. */
static void
write_to_log(const char *line, size_t len)
{
	ereport(LOG_SERVER_ONLY,
			(errmsg_internal("pseudo audit: %.*s", (int) len - 1, line),
			 errhidestmt(true), errhidecontext(true)));
}

/* See audit.h. */
void
pseudo_audit_write(PseudoAudit audit, const char *line, size_t len)
{
	FileFault	fault;

	switch (audit)
	{
		case PSEUDO_AUDIT_OFF:
			break;
		case PSEUDO_AUDIT_LOG:
			write_to_log(line, len);
			break;
		case PSEUDO_AUDIT_WAL:
			if (RecoveryInProgress())
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("cannot write an audit record to the WAL during recovery"),
						 errdetail("Nothing is opened without a record."),
						 errhint("A keyring that is used on standbys has the option audit 'file'.")));
			XLogFlush(pseudo_log_message(PSEUDO_AUDIT_PREFIX, line, len - 1));
			break;
		case PSEUDO_AUDIT_FILE:
			fault = write_to_file(line, len, true);
			errno = fault.error;
			if (fault.error)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not %s file \"%s\": %m", fault.verb, pseudo_audit_file),
						 errdetail("It has the audit records, and nothing is opened without one.")));
			break;
	}
}

/* Write a record from a callback; may throw. */
static void
write_late(PseudoAudit audit, const char *line, size_t len)
{
	FileFault	fault = {0};

	if (audit == PSEUDO_AUDIT_WAL && !RecoveryInProgress())
	{
		/* The walwriter flushes it soon. */
		XLogSetAsyncXactLSN(pseudo_log_message(PSEUDO_AUDIT_PREFIX, line, len - 1));
		return;
	}
	if (audit == PSEUDO_AUDIT_FILE)
	{
		fault = write_to_file(line, len, false);
		if (fault.error == 0)
			return;
		errno = fault.error;
		ereport(LOG_SERVER_ONLY,
				(errcode_for_file_access(),
				 errmsg("could not %s file \"%s\": %m", fault.verb, pseudo_audit_file),
				 errdetail("The audit record that follows is not in it."),
				 errhidestmt(true), errhidecontext(true)));
	}
	write_to_log(line, len);
}

/* See audit.h. */
void
pseudo_audit_write_late(PseudoAudit audit, const char *line, size_t len)
{
	MemoryContext caller = CurrentMemoryContext;
	uint32		holdoff = InterruptHoldoffCount;

	if (MyProc == NULL || audit == PSEUDO_AUDIT_OFF)
		return;
	HOLD_INTERRUPTS();
	PG_TRY();
	{
		write_late(audit, line, len);
	}
	PG_CATCH();
	{
		/* Out of memory: the record that is without its end tells. */
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	InterruptHoldoffCount = holdoff;	/* an error has set it to 0 */
}
