/*
 * provider_file.c
 *		Provider `file`: the document is a file of the server's user.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "provider.h"
#include "secret.h"

#define LOCK_POLL	20			/* milliseconds between tries for the lock */

static const char *const file_options[] = {"path", NULL};

/* The path option. */
static const char *
file_path(const PseudoOptions *options)
{
	return pseudo_option(options, "path");
}

/* Check the options and the right to set them; see provider.h. */
static void
file_validate(const PseudoOptions *options)
{
	const char *path = file_path(options);

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"path\" is required for provider \"file\"")));
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"path\" must be an absolute path")));
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set up a keyring in a file"),
				 errdetail("Only roles with privileges of the \"%s\" role may do this.",
						   "pg_read_server_files")));
}

/* See provider.h. */
static void
file_check_store_right(const PseudoOptions *options pg_attribute_unused())
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change a keyring in a file"),
				 errdetail("Only roles with privileges of the \"%s\" role may do this.",
						   "pg_write_server_files")));
}

/* Fill in a failure. */
static void
fail(PseudoFailure *failure, PseudoFailureClass class, int sqlstate,
	 char *message, const char *hint)
{
	failure->class = class;
	failure->sqlstate = sqlstate;
	failure->message = message;
	failure->hint = hint ? pstrdup(hint) : NULL;
}

/* Fill in the failure of a system call on the file, from errno. */
static void
fail_errno(PseudoFailure *failure, const char *what, const char *path)
{
	int			save_errno = errno;
	char	   *message = psprintf("could not %s file \"%s\": %s", what, path, strerror(save_errno));

	if (save_errno == ENOENT || save_errno == ENOTDIR)
		fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_UNDEFINED_FILE, message,
			 "The owner of the keyring can make its first key with pseudo_create_key().");
	else if (save_errno == EACCES || save_errno == EPERM)
		fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE, message,
			 "The file must be readable by the operating-system user of the server.");
	else
		fail(failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_IO_ERROR, message, NULL);
}

/* Check kind, owner and mode, as PostgreSQL does for ssl_key_file. */
static bool
check_file(const struct stat *st, const char *path, PseudoFailure *failure)
{
	mode_t		forbidden = st->st_uid == 0 ? (S_IWGRP | S_IXGRP | S_IRWXO) : (S_IRWXG | S_IRWXO);

	if (!S_ISREG(st->st_mode))
	{
		fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_WRONG_OBJECT_TYPE,
			 psprintf("\"%s\" is %s", path,
					  S_ISDIR(st->st_mode) ? "a directory" :
					  S_ISFIFO(st->st_mode) ? "a FIFO" : "not a regular file"),
			 "The option \"path\" must name a regular file.");
		return false;
	}
	if (st->st_uid != geteuid() && st->st_uid != 0)
	{
		fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
			 psprintf("file \"%s\" has another owner", path),
			 "It must be owned by the operating-system user of the server or by root.");
		return false;
	}
	if ((st->st_mode & forbidden) != 0)
	{
		fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
			 psprintf("file \"%s\" can be read or changed by others", path),
			 "Its mode must be 0600 or less, or 0640 or less where root owns it: chmod 0600.");
		return false;
	}
	return true;
}

/* What identifies a state of the file; nothing that tells of its content. */
static char *
file_version(const struct stat *st)
{
	return psprintf("%lld.%09ld-%llu", (long long) st->st_mtim.tv_sec,
					(long) st->st_mtim.tv_nsec, (unsigned long long) st->st_ino);
}

/* Read an open file into secret memory; false with *failure where that fails. */
static bool
read_file(int fd, const char *path, PseudoDocument *document, PseudoFailure *failure)
{
	for (;;)
	{
		ssize_t		n = read(fd, document->data + document->len,
							 PSEUDO_DOCUMENT_MAX + 1 - document->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
		{
			fail_errno(failure, "read", path);
			return false;
		}
		if (n == 0)
			break;
		document->len += n;
		if (document->len > PSEUDO_DOCUMENT_MAX)
		{
			fail(failure, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
				 psprintf("file \"%s\" is larger than %d bytes", path, PSEUDO_DOCUMENT_MAX),
				 NULL);
			return false;
		}
	}
	if (document->len == 0)
	{
		fail(failure, PSEUDO_FAIL_EMPTY, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf("file \"%s\" is empty", path),
			 "The owner of the keyring can make its first key with pseudo_create_key().");
		return false;
	}
	return true;
}

/* Load the file at path; as the provider's load(). */
static PseudoDocument
load_path(const char *path, char **version, PseudoFailure *failure)
{
	PseudoDocument document = {NULL, 0};
	struct stat st;
	int			fd;

	/* Memory first: what fails then leaves no descriptor behind. */
	document.data = pseudo_secret_alloc(PSEUDO_DOCUMENT_MAX + 1);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	PG_TRY();
	{
		bool		ok = false;

		if (fd < 0)
			fail_errno(failure, "open", path);
		else if (fstat(fd, &st) != 0)
			fail_errno(failure, "stat", path);
		else if (check_file(&st, path, failure) && read_file(fd, path, &document, failure))
		{
			*version = file_version(&st);
			ok = true;
		}
		if (!ok)
		{
			pseudo_secret_free(document.data);
			document.data = NULL;
		}
	}
	PG_CATCH();
	{
		if (fd >= 0)
			close(fd);
		pseudo_secret_free(document.data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (fd >= 0)
		close(fd);
	return document;
}

/* See provider.h. */
static PseudoDocument
file_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	return load_path(file_path(options), version, failure);
}

/* Report the failure of a system call while storing. */
static void pg_attribute_noreturn()
report_errno(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path)));
}

/*
 * Take the exclusive lock on `path.lock`; returns a transient descriptor.  The
 * wait can be cancelled and ends after the option timeout.
 */
static int
lock_path(const char *path, int timeout)
{
	char	   *lock = psprintf("%s.lock", path);
	TimestampTz start = GetCurrentTimestamp();
	int			fd = OpenTransientFilePerm(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | PG_BINARY,
										   S_IRUSR | S_IWUSR);

	if (fd < 0)
		report_errno("open", lock);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			report_errno("lock", lock);
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), timeout))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock file \"%s\" within %d ms", lock, timeout),
					 errhint("Another session is changing this keyring; try again.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_POLL, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return fd;
}

/* Write a document to a new file and fsync it. */
static void
write_temporary(const char *temporary, const PseudoDocument *document, struct stat *st)
{
	Size		done = 0;
	int			fd;

	if (unlink(temporary) != 0 && errno != ENOENT)
		report_errno("remove", temporary);
	fd = OpenTransientFilePerm(temporary,
							   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | PG_BINARY,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		report_errno("create", temporary);
	while (done < document->len)
	{
		ssize_t		n = write(fd, document->data + done, document->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			report_errno("write", temporary);
		}
		done += n;
	}
	if (fsync(fd) != 0)			/* pg_fsync() obeys the setting fsync; keys do not */
		report_errno("fsync", temporary);
	if (fstat(fd, st) != 0)
		report_errno("stat", temporary);
	if (CloseTransientFile(fd) != 0)
		report_errno("close", temporary);
}

/* fsync the directory that a path is in. */
static void
sync_directory(const char *path)
{
	char	   *directory = pstrdup(path);
	int			fd;

	get_parent_directory(directory);
	if (directory[0] == '\0')
		strcpy(directory, "/");
	fd = OpenTransientFile(directory, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		report_errno("open", directory);
	if (fsync(fd) != 0)
		report_errno("fsync", directory);
	CloseTransientFile(fd);
}

/* Put a document in the place of the file at path, whole or not at all. */
static char *
store_path(const char *path, const PseudoDocument *document)
{
	char	   *temporary = psprintf("%s.tmp.%d", path, MyProcPid);
	struct stat st;

	PG_TRY();
	{
		write_temporary(temporary, document, &st);
		if (rename(temporary, path) != 0)
			report_errno("rename", temporary);
	}
	PG_CATCH();
	{
		(void) unlink(temporary);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sync_directory(path);
	return file_version(&st);
}

/* The file itself, where path is a symbolic link; path where there is none yet. */
static char *
resolve_path(const char *path)
{
	char	   *resolved = realpath(path, NULL);
	char	   *copy;

	if (resolved == NULL)
		return pstrdup(path);
	copy = pstrdup(resolved);
	free(resolved);
	return copy;
}

/* Report why the document could not be loaded for a change. */
static void
report_load_failure(const PseudoOptions *options, const PseudoFailure *failure)
{
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 errmsg("keyring \"%s\": %s", options->server, failure->message),
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* Refuse to replace a file of root's by one of ours. */
static void
check_replaceable(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_uid != geteuid())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("file \"%s\" is not owned by the server's user", path),
				 errhint("Whoever owns it manages its keys; or change its owner.")));
}

/* Call change(); the old document is freed in any case. */
static PseudoDocument
change_or_free(PseudoDocument (*change) (const PseudoDocument *old, void *arg),
			   PseudoDocument *old, void *arg)
{
	PseudoDocument new;

	PG_TRY();
	{
		new = change(old, arg);
	}
	PG_CATCH();
	{
		pseudo_secret_free(old->data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pseudo_secret_free(old->data);
	return new;
}

/* Store a document; frees it where that fails. */
static void
store_or_free(const char *path, PseudoDocument *document, char **version)
{
	PG_TRY();
	{
		*version = store_path(path, document);
	}
	PG_CATCH();
	{
		pseudo_secret_free(document->data);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* See provider.h. */
static PseudoDocument
file_change(const PseudoOptions *options,
			PseudoDocument (*change) (const PseudoDocument *old, void *arg),
			void *arg, char **version)
{
	char	   *path = resolve_path(file_path(options));
	int			lock = lock_path(path, options->timeout);
	PseudoFailure failure = {0};
	PseudoDocument old;
	PseudoDocument new;

	check_replaceable(path);
	old = load_path(path, version, &failure);
	if (old.data == NULL && failure.class != PSEUDO_FAIL_EMPTY &&
		failure.sqlstate != ERRCODE_UNDEFINED_FILE)
		report_load_failure(options, &failure);
	new = change_or_free(change, &old, arg);
	store_or_free(path, &new, version);
	CloseTransientFile(lock);	/* releases the lock */
	return new;
}

const PseudoProvider pseudo_provider_file = {
	.name = "file",
	.option_names = file_options,
	.validate = file_validate,
	.check_store_right = file_check_store_right,
	.load = file_load,
	.change = file_change
};
