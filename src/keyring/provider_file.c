/*
 * provider_file.c
 *		The provider `file`: the document in a file of the server's host.
 *
 * The file is as private as the server's TLS key: owned by the server's user or
 * by root, and not for others to read, in a directory that is not for others to
 * write to.  We replace it by renaming, under a lock
 * on a file beside it, so that a reader sees one document or the other.
 *
 * Other tools may write over it in place.  What is read meanwhile can be half of
 * one document and half of another: a keyring of keys that never were.  So a
 * file counts only if nothing wrote to it while it was read, nor shortly before:
 * its times come from a clock that ticks every few milliseconds, so two writes
 * within a tick cannot be told apart.  On a busy host a tool may also be stopped
 * in the middle of a write for longer than we wait.  A lease on the file, where
 * the system has them, says whether anybody has it open to write.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "../compat.h"
#include "clock.h"
#include "provider.h"
#include "secret.h"
#include "small_file.h"

#define MAX_PATH	(MAXPGPATH - 32)	/* bytes; room for a suffix */

/* A change of keys locks the one and writes the other, beside the document. */
#define LOCK_SUFFIX	".lock"
#define TEMPORARY_SUFFIX	".tmp"
#define POLL_TIME	20			/* milliseconds between looks at the lock, or
								 * at a file in use */
#define SETTLE_TIME	100			/* milliseconds without a write until a file
								 * counts */
#define SETTLE_TIME_SECONDS	1100	/* the same where a file's time is a whole
									 * second: some file systems know no parts
									 * of it */

#ifdef __APPLE__
#define STAT_MTIME(st)	((st)->st_mtimespec)
#define STAT_CTIME(st)	((st)->st_ctimespec)
#else
#define STAT_MTIME(st)	((st)->st_mtim)
#define STAT_CTIME(st)	((st)->st_ctim)
#endif

static const char *const option_names[] = {"path", NULL};

/* A change of the file, being made. */
typedef struct FileChange
{
	char	   *path;			/* of the file itself, links followed */
	const char *temporary;		/* path of the new file while it exists, or
								 * NULL */
	PseudoDocument old;
	PseudoDocument new;
	char	   *version;
	PseudoDocument (*change) (const PseudoDocument *old, void *arg);
	void	   *arg;
} FileChange;

/* Check that the current user has the rights of a predefined role. */
static void
check_role(Oid role, const char *name, const char *what, const char *hint)
{
	if (!has_privs_of_role(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s a keyring's file", what),
				 errdetail("Only roles with the privileges of the role \"%s\" may do this.", name),
				 errhint("%s", hint)));
}

/* Returns true if a path ends with a suffix. */
static bool
has_suffix(const char *path, const char *suffix)
{
	size_t		len = strlen(path);
	size_t		suffix_len = strlen(suffix);

	return len >= suffix_len && strcmp(path + len - suffix_len, suffix) == 0;
}

/* The option "path", checked. */
static const char *
need_path(const PseudoOptions *options)
{
	const char *path = pseudo_option(options, "path");

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"path\" is required"),
				 errhint("Provider \"file\" needs the absolute path of the document.")));
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"path\""),
				 errhint("Give an absolute path.")));
	if (strlen(path) > MAX_PATH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"path\" is too long"),
				 errhint("A path has at most %d bytes.", MAX_PATH)));
	if (has_suffix(path, LOCK_SUFFIX) || has_suffix(path, TEMPORARY_SUFFIX))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"path\""),
				 errhint("Files that end in \"%s\" and \"%s\" are those that a change of keys uses. Give the path of a document.",
						 LOCK_SUFFIX, TEMPORARY_SUFFIX)));
	return path;
}

/* Check the options; see provider.h. */
static void
file_validate(const PseudoOptions *options)
{
	(void) need_path(options);
}

/* Check the right to set them; see provider.h. */
static void
file_check_set_right(const PseudoOptions *options pg_attribute_unused())
{
	check_role(ROLE_PG_READ_SERVER_FILES, "pg_read_server_files", "name",
			   "Make the role a member of pg_read_server_files. An owner without it can change refresh_interval, stale_limit and timeout, but not from within a function.");
}

/* Check the right to store; see provider.h. */
static void
file_check_store_right(const PseudoOptions *options pg_attribute_unused())
{
	check_role(ROLE_PG_WRITE_SERVER_FILES, "pg_write_server_files", "store",
			   "Make the role a member of pg_write_server_files.");
}

/* Fill in a failure without a detail; returns false. */
static bool
file_fail(PseudoFailure *failure, PseudoFailureClass class, int sqlstate, const char *message,
		  const char *hint)
{
	return pseudo_fail(failure, class, sqlstate, message, NULL, hint);
}

/* Fill in a failure of a system call, from errno; returns false. */
static bool
file_fail_errno(PseudoFailure *failure, const char *what, const char *path)
{
	int			error = errno;
	char	   *message = psprintf("could not %s file \"%s\": %s", what, path,
								   pg_strerror(error));

	switch (error)
	{
		case ENOENT:
		case ENOTDIR:
			return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_UNDEFINED_FILE, message,
							 "Make the first key with pseudo_create_key(), or, where another node has the keyring, copy its file; or correct the option \"path\".");
		case EACCES:
		case EPERM:
			return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE, message,
							 "The file must be readable for the user that the server runs as.");
		case ENXIO:				/* a socket */
			return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_WRONG_OBJECT_TYPE, message,
							 NULL);
		default:
			return file_fail(failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_IO_ERROR, message, NULL);
	}
}

/* What kind of file this is. */
static const char *
kind_name(mode_t mode)
{
	if (S_ISREG(mode))
		return "regular file";
	if (S_ISDIR(mode))
		return "directory";
	if (S_ISFIFO(mode))
		return "FIFO";
	if (S_ISSOCK(mode))
		return "socket";
	return "device";
}

/*
 * Check what file this is and whose: ours, or root's with its group allowed
 * to read, as PostgreSQL wants ssl_key_file.
 */
static bool
check_file(const struct stat *st, const char *path, PseudoFailure *failure)
{
	bool		own = st->st_uid == geteuid();

	if (!S_ISREG(st->st_mode))
		return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_WRONG_OBJECT_TYPE,
						 psprintf("\"%s\" is a %s, not a regular file", path, kind_name(st->st_mode)),
						 NULL);
	if (!own && st->st_uid != 0)
		return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
						 psprintf("file \"%s\" is owned by another user", path),
						 "The file must be owned by the user that the server runs as, or by root.");
	if (st->st_mode & (own ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO))
		return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
						 psprintf("file \"%s\" has permissions for group or others", path),
						 own ? "chmod 0600 the file, and take its keys as known to who could read it." :
						 "A file of root has mode 0640 or less.");
	return true;
}

/*
 * Check the directory that a path ends in.  Whoever else can write to it could
 * put a link there, to a keyring that only the server can read.  In a sticky
 * one, as /tmp is, they can replace nothing of ours, and the system follows no
 * link of theirs.  The server's own group may write.
 */
static bool
check_directory(const char *path, PseudoFailure *failure)
{
	char	   *directory = pnstrdup(path, Max(strrchr(path, '/') - path, 1));
	struct stat st;
	mode_t		others;

	if (stat(directory, &st) != 0)
		return true;			/* to open the file will say why */
	others = st.st_gid == getegid() ? S_IWOTH : S_IWGRP | S_IWOTH;
	if ((st.st_uid == geteuid() || st.st_uid == 0) &&
		((st.st_mode & others) == 0 || (st.st_mode & S_ISVTX)))
		return true;
	return file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
					 psprintf("directory \"%s\" can be written to by others", directory),
					 "They could put a link to another keyring there. Only the user that the server runs as, its group and root may write to the directory of a keyring's file.");
}

/* Check where a file is, and where it is once links are followed. */
static bool
check_place(const char *path, PseudoFailure *failure)
{
	char		resolved[PATH_MAX];

	return check_directory(path, failure) &&
		(realpath(path, resolved) == NULL || check_directory(resolved, failure));
}

/*
 * What identifies this state of a file: nothing that is made from what is in
 * it.
 */
static char *
file_version(const struct stat *st)
{
	struct timespec mtime = STAT_MTIME(st);
	struct pg_tm tm;
	fsec_t		fraction;
	char		formatted[64];

	/* The C library's gmtime() would read /etc/localtime in each session. */
	if (timestamp2tm(time_t_to_timestamptz(mtime.tv_sec), NULL, &tm, &fraction, NULL, NULL) == 0)
		snprintf(formatted, sizeof(formatted), "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year,
				 tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		snprintf(formatted, sizeof(formatted), "%lld", (long long) mtime.tv_sec);
	return psprintf("%s.%09ld UTC (inode %llu, %lld bytes)", formatted, (long) mtime.tv_nsec,
					(unsigned long long) st->st_ino, (long long) st->st_size);
}

/* Milliseconds until a file counts, 0 where it does. */
static int64
settle_time(const struct stat *st)
{
	struct timespec mtime = STAT_MTIME(st);
	int64		settle = mtime.tv_nsec == 0 ? SETTLE_TIME_SECONDS : SETTLE_TIME;
	struct timespec now;
	int64		age;

	clock_gettime(CLOCK_REALTIME, &now);
	if (mtime.tv_sec < now.tv_sec - 60)
		return 0;
	if (mtime.tv_sec > now.tv_sec + 60)
		return settle;			/* some clock is wrong: at least nothing may
								 * change meanwhile */
	age = (int64) (now.tv_sec - mtime.tv_sec) * 1000 + (now.tv_nsec - mtime.tv_nsec) / 1000000;
	return Min(Max(settle - age, 0), settle);
}

/* Returns true if two times are the same. */
static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/*
 * Returns true if nothing wrote to a file between two looks at it.  If another
 * file was renamed over it meanwhile, which changes its ctime, it still has
 * the same content.
 */
static bool
is_unchanged(const struct stat *before, const struct stat *after)
{
	return before->st_size == after->st_size &&
		same_time(STAT_MTIME(before), STAT_MTIME(after)) &&
		(after->st_nlink == 0 || same_time(STAT_CTIME(before), STAT_CTIME(after)));
}

/* Wait, open to interrupts. */
static void
pause_for(int64 milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) milliseconds, pseudo_wait_event(PSEUDO_WAIT_FILE));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Wait until nothing wrote to the file for a while, by its times at that
 * moment.
 */
static void
wait_until_settled(const struct stat *st)
{
	int64		end = pseudo_now_ms() + settle_time(st);
	int64		left;

	while ((left = end - pseudo_now_ms()) > 0)
		pause_for(left);
}

/*
 * Keep others from opening a file to write while we read it: they wait.
 * Returns false where one has it open already.  Leases are Linux's, for files
 * of our own on local file systems; elsewhere the times alone have to do.
 */
static bool
take_lease(int fd)
{
#ifdef F_SETLEASE
	/*
	 * Who wants to write makes the kernel tell us by a signal: one that means
	 * nothing, for we are done soon.
	 */
	(void) fcntl(fd, F_SETSIG, SIGURG);
	return fcntl(fd, F_SETLEASE, F_RDLCK) == 0 || errno != EAGAIN;
#else
	return true;
#endif
}

/* Let others write again; to close the file does so, too. */
static void
end_lease(int fd)
{
#ifdef F_SETLEASE
	(void) fcntl(fd, F_SETLEASE, F_UNLCK);
#endif
}

/*
 * Read an open file into document->data, which this allocates: as much as the
 * file has, for all of it is locked memory.
 * *changed: it changed meanwhile, so that the result says nothing.
 */
static bool
read_open_file(int fd, const char *path, PseudoDocument *document, char **version,
			   bool *changed, PseudoFailure *failure)
{
	struct stat st;
	struct stat after;
	ssize_t		len;
	Size		size;

	if (fstat(fd, &st) != 0)
		return file_fail_errno(failure, "stat", path);
	if (!check_file(&st, path, failure))
		return false;
	wait_until_settled(&st);
	*changed = !take_lease(fd);
	if (*changed)
		return false;
	size = (Size) Min(st.st_size, PSEUDO_DOCUMENT_MAX) + 1;
	document->data = pseudo_secret_alloc(size);
	len = pseudo_read_to_end(fd, document->data, size);
	if (len < 0 || fstat(fd, &after) != 0)
		return file_fail_errno(failure, "read", path);
	end_lease(fd);
	*changed = !is_unchanged(&st, &after) || len > st.st_size;
	if (len > PSEUDO_DOCUMENT_MAX)
		return file_fail(failure, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
						 psprintf("file \"%s\" is larger than %d bytes", path, PSEUDO_DOCUMENT_MAX),
						 NULL);
	if (len == 0)
		return file_fail(failure, PSEUDO_FAIL_EMPTY, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("file \"%s\" is empty", path),
						 "Make the first key with pseudo_create_key(), or, where another node has the keyring, copy its file.");
	document->len = (Size) len;
	*version = file_version(&st);
	return true;
}

/* Free a document. */
static void
free_document(PseudoDocument *document)
{
	pseudo_secret_free(document->data);
	*document = PSEUDO_NO_DOCUMENT;
}

/*
 * Open a file, without waiting for a FIFO's writer, and read it, again while
 * others write to it.
 */
static bool
read_file(const char *path, int timeout, PseudoDocument *document, char **version,
		  PseudoFailure *failure)
{
	int64		deadline = pseudo_now_ms() + timeout;
	bool		changed;
	bool		ok;

	if (!check_place(path, failure))
		return false;
	do
	{
		int			fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
										   PG_BINARY);

		if (fd < 0)
			return file_fail_errno(failure, "open", path);
		changed = false;
		ok = read_open_file(fd, path, document, version, &changed, failure);
		CloseTransientFile(fd);
		if (!changed)
			return ok;
		free_document(document);
		pause_for(POLL_TIME);
	} while (pseudo_now_ms() < deadline);
	return file_fail(failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_OBJECT_IN_USE,
					 psprintf("file \"%s\" was being written for %d ms", path, timeout),
					 "Another process writes to it, or has it open to write. Such a tool should write a new file and rename it over this one.");
}

/* Load a file's document; see provider.h. */
static void
load_path(const char *path, int timeout, PseudoDocument *document, char **version,
		  PseudoFailure *failure)
{
	PG_TRY();
	{
		if (!read_file(path, timeout, document, version, failure))
			free_document(document);
	}
	PG_CATCH();
	{
		free_document(document);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Load the document; see provider.h. */
static PseudoDocument
file_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	const char *path = pseudo_option(options, "path");
	PseudoDocument document = PSEUDO_NO_DOCUMENT;

	if (path == NULL)
	{
		file_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INVALID_PARAMETER_VALUE,
				  "option \"path\" is required", NULL);
		return document;
	}
	load_path(path, options->timeout, &document, version, failure);
	return document;
}

/* Report why a file cannot be changed. */
static void
report_refused(const PseudoFailure *failure)
{
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 errmsg("%s", failure->message),
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* Report a failed system call on a file. */
static void
report_errno(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path)));
}

/* The directory of a path, with links followed. */
static char *
resolve_directory(const char *path)
{
	char	   *directory = pstrdup(path);
	char		resolved[PATH_MAX];

	*strrchr(directory, '/') = '\0';
	if (realpath(*directory ? directory : "/", resolved) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not resolve directory \"%s\": %m", directory)));
	return pstrdup(resolved);
}

/* The path of the file itself: a link stays, and its target is replaced. */
static char *
resolve_path(const char *path)
{
	char		resolved[PATH_MAX];
	struct stat st;
	char	   *directory;

	if (realpath(path, resolved))
		return pstrdup(resolved);
	if (errno != ENOENT)
		report_errno("resolve", path);
	if (lstat(path, &st) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("\"%s\" is a symbolic link to a file that does not exist", path)));
	directory = resolve_directory(path);
	return psprintf("%s%s", strcmp(directory, "/") == 0 ? "" : directory, strrchr(path, '/'));
}

/*
 * Report a failed system call on the way to the new file: what it means, and
 * that all is as it was.
 */
static void
report_store_errno(const char *what, const char *path)
{
	int			error = errno;
	bool		full = error == ENOSPC || error == EDQUOT || error == EFBIG;
	bool		denied = error == EROFS || error == EACCES || error == EPERM;

	ereport(ERROR,
			(full ? errcode(ERRCODE_DISK_FULL) : errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path),
			 errdetail("The keyring is as it was."),
			 full ? errhint("There is no room for another file in its directory.") :
			 denied ? errhint("The keyring's file is replaced by a new one: the user that the server runs as must be able to write to its directory.") : 0));
}

/*
 * Take the lock on the file beside path, waiting at most timeout milliseconds.
 */
static int
take_lock(const char *path, int timeout)
{
	char	   *lock = psprintf("%s" LOCK_SUFFIX, path);
	int			fd = OpenTransientFilePerm(lock, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
										   O_NONBLOCK, S_IRUSR | S_IWUSR);
	int64		deadline = pseudo_now_ms() + timeout;

	if (fd < 0)
		report_store_errno("create", lock);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			ereport(ERROR,
					(errcode(ERRCODE_IO_ERROR), /* errcode_for_file_access()
												 * does not know ENOLCK */
					 errmsg("could not lock file \"%s\": %m", lock)));
		if (pseudo_now_ms() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock file \"%s\" within %d ms", lock, timeout),
					 errdetail("Another session is changing the keyring.")));
		pause_for(POLL_TIME);
	}
	return fd;
}

/* Load what there is to change; nothing where there is no document yet. */
static void
load_old(FileChange *c, int timeout)
{
	PseudoFailure failure = pseudo_no_failure();
	char	   *version;
	struct stat st;

	load_path(c->path, timeout, &c->old, &version, &failure);
	if (c->old.data == NULL && failure.class != PSEUDO_FAIL_EMPTY &&
		failure.sqlstate != ERRCODE_UNDEFINED_FILE)
		report_refused(&failure);
	if (stat(c->path, &st) == 0 && st.st_uid != geteuid())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("file \"%s\" is owned by another user", c->path),
				 errhint("To let the server store keys, chown the file to the user that it runs as.")));
}

/* Write all bytes; errors name the file. */
static void
write_all(int fd, const char *path, const PseudoDocument *document)
{
	Size		done = 0;

	while (done < document->len)
	{
		ssize_t		put;

		errno = 0;
		put = write(fd, document->data + done, document->len - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			report_store_errno("write", path);
		}
		done += put;
	}
}

/* fsync(), which may be interrupted on some file systems. */
static int
sync_descriptor(int fd)
{
	int			result;

	do
		result = fsync(fd);
	while (result != 0 && errno == EINTR);
	return result;
}

/*
 * Make a directory's entries durable.  The new file is in its place by now, so
 * a failure is no error: the change is made, and must be taken as made.
 */
static void
sync_directory(const char *path)
{
	char	   *directory = resolve_directory(path);
	int			fd = OpenTransientFile(directory, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (sync_descriptor(fd) != 0 && errno != EINVAL && errno != EBADF))
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not fsync directory \"%s\": %m", directory),
				 errdetail("The keyring is changed, but the change may be lost if the host crashes now.")));
	if (fd >= 0)
		CloseTransientFile(fd);
}

/*
 * Set a complete file's time back, so that its readers need not wait: no one
 * writes to it before it is in its place.  Where that fails, they wait.
 */
static void
set_time_back(int fd)
{
	struct timespec times[2];
	int64		nanoseconds;

	clock_gettime(CLOCK_REALTIME, &times[0]);
	nanoseconds = (int64) times[0].tv_sec * 1000000000 + times[0].tv_nsec - SETTLE_TIME * 1000000;
	times[0].tv_sec = nanoseconds / 1000000000;
	times[0].tv_nsec = Max(nanoseconds % 1000000000, 1);
	times[1] = times[0];
	(void) futimens(fd, times);
}

/*
 * Make the file that is to be the new one, and close it.  One of a server that
 * was killed in the middle is in the way, with keys that may have been
 * destroyed since; the name is always the same, so that it goes with the next
 * change.  fsync() itself: a keyring is no part of the database, and must not
 * be lost where its setting fsync is off.
 */
static void
write_temporary(FileChange *c, const char *temporary)
{
	struct stat st;
	int			fd;

	/*
	 * A read-only file system says so even where there is no such file; so
	 * will the next call.
	 */
	if (unlink(temporary) != 0 && errno != ENOENT && errno != EROFS)
		report_store_errno("remove", temporary);
	fd = OpenTransientFilePerm(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
							   O_CLOEXEC | PG_BINARY, S_IRUSR | S_IWUSR);
	if (fd < 0)
		report_store_errno("create", temporary);
	c->temporary = temporary;
	write_all(fd, temporary, &c->new);
	set_time_back(fd);
	if (sync_descriptor(fd) != 0)
		report_store_errno("fsync", temporary);
	if (fstat(fd, &st) != 0)
		report_store_errno("stat", temporary);
	if (CloseTransientFile(fd) != 0 && errno != EINTR)
		report_store_errno("close", temporary);
	c->version = file_version(&st);
}

/* Put the new document in the place of the old. */
static void
file_store(FileChange *c)
{
	const char *temporary = psprintf("%s" TEMPORARY_SUFFIX, c->path);

	write_temporary(c, temporary);
	if (rename(temporary, c->path) != 0)
		report_store_errno("rename", temporary);
	c->temporary = NULL;
	sync_directory(c->path);
}

/* Change the document; see provider.h. */
static PseudoDocument
file_change(const PseudoOptions *options,
			PseudoDocument (*change) (const PseudoDocument *old, void *arg),
			void *arg, char **version)
{
	FileChange	c = {.change = change, .arg = arg};
	const char *path = need_path(options);
	PseudoFailure failure = pseudo_no_failure();
	int			lock;

	if (!check_place(path, &failure))
		report_refused(&failure);
	c.path = resolve_path(path);
	lock = take_lock(c.path, options->timeout);
	PG_TRY();
	{
		load_old(&c, options->timeout);
		c.new = c.change(&c.old, c.arg);
		file_store(&c);
	}
	PG_CATCH();
	{
		if (c.temporary)
			(void) unlink(c.temporary);
		pseudo_secret_free(c.old.data);
		pseudo_secret_free(c.new.data);
		CloseTransientFile(lock);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pseudo_secret_free(c.old.data);
	CloseTransientFile(lock);
	*version = c.version;
	return c.new;
}

const PseudoProvider pseudo_provider_file = {
	.name = "file",
	.option_names = option_names,
	.is_local = true,
	.validate = file_validate,
	.check_set_right = file_check_set_right,
	.check_store_right = file_check_store_right,
	.load = file_load,
	.change = file_change
};
