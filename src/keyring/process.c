/*
 * process.c
 *		Running a shell command whose output is secret.
 *
 * The command is done when its shell has exited.  What it has written by then
 * is its output.  Whatever still runs of its process group is killed: a process
 * in the background that holds the pipes open cannot make us wait.  A command
 * that has closed its standard output and runs on is waited for.
 *
 * The group is killed before the shell is reaped.  Until then its number cannot
 * have become that of another process.
 *
 * OpenPipeStream(), with which PostgreSQL runs ssl_passphrase_command, would not
 * do.  It has no deadline and hears of no cancel while it reads, it leaves what
 * the command started, and its stdio buffer is not wiped.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "../compat.h"
#include "clock.h"
#include "process.h"
#include "secret.h"

#define MAX_PAUSE		50		/* milliseconds between looks at the shell */
#define REAP_TIME		500		/* milliseconds that a killed shell gets to go */
#define ERRORS_SIZE		1024	/* bytes of standard error that are kept */
#define ERRORS_SHOWN	500		/* bytes of them that are shown */
#define MAX_DESCRIPTOR	65536	/* the last one that is closed, where there is
								 * no close_range() */
#define MAX_ABANDONED	16

/* Our end of a pipe, and what has come out of it. */
typedef struct Pipe
{
	int			fd;				/* -1: closed */
	char	   *data;
	Size		size;			/* bytes of data */
	Size		len;			/* of them filled; what does not fit is lost */
	int			error;			/* errno of a read that failed, or 0 */
} Pipe;

/* A command that runs. */
typedef struct Process
{
	const char *what;
	int64		deadline;
	pid_t		pid;			/* of the shell and its group; 0 where none is
								 * left */
	Pipe		out;			/* data in secret memory, one byte more than
								 * allowed */
	Pipe		err;
	char		errors[ERRORS_SIZE];
	bool		ok;
} Process;

extern char **environ;

/*
 * Shells that could not be killed (they became sudo, say): reaped by a later
 * run.
 */
static pid_t abandoned[MAX_ABANDONED];

/* ---- In the child: only what is safe between fork() and exec() ---- */

/* Close all descriptors but the first three. */
static void
close_others(void)
{
	long		limit;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3, ~0U, 0) == 0)
		return;
#endif
	limit = sysconf(_SC_OPEN_MAX);
	if (limit < 0 || limit > MAX_DESCRIPTOR)
		limit = MAX_DESCRIPTOR;
	for (int fd = 3; fd < limit; fd++)
		(void) close(fd);
}

/*
 * Give up the server's signal handlers and what it ignores, and let all
 * signals in.
 */
static void
reset_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t	none;

	for (int signo = 1; signo < NSIG; signo++)
		(void) sigaction(signo, &action, NULL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Become the shell; does not return. */
static void
become_shell(const char *command, int out, int err, pid_t parent)
{
	char	   *arguments[] = {"sh", "-c", unconstify(char *, command), NULL};
	int			in;

	(void) setpgid(0, 0);
	reset_signals();
#ifdef __linux__
	/* A backend that is killed has no time to kill us. */
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	in = open("/dev/null", O_RDONLY);
	if (getppid() == parent &&
		dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
		dup2(err, STDERR_FILENO) >= 0)
	{
		close_others();
		(void) execve("/bin/sh", arguments, environ);
	}
	_exit(127);
}

/* ---- In the backend ---- */

/*
 * Start the shell; returns its process id, or -1 with errno set.  Signals wait
 * meanwhile, for the child must not run our handlers.
 */
static pid_t
start_shell(const char *command, int out, int err)
{
	pid_t		parent = getpid();
	sigset_t	all;
	sigset_t	mask;
	pid_t		pid;
	int			error;

	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &mask);
	pid = fork();
	if (pid == 0)
		become_shell(command, out, err, parent);
	error = errno;
	if (pid > 0)
		(void) setpgid(pid, pid);	/* whoever comes first: it has to be true
									 * for both */
	(void) sigprocmask(SIG_SETMASK, &mask, NULL);
	errno = error;
	return pid;
}

/*
 * Open a pipe for a command to write to; false, with errno set, where that
 * fails.
 */
static bool
open_pipe(Pipe *p, int *write_end)
{
	int			fds[2];

	if (!AcquireExternalFD())
		return false;
	if (pipe(fds) != 0)
	{
		ReleaseExternalFD();
		return false;
	}
	p->fd = fds[0];
	*write_end = fds[1];
	return fcntl(p->fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(p->fd, F_SETFL, O_NONBLOCK) == 0;
}

/* Close our end of a pipe. */
static void
close_pipe(Pipe *p)
{
	if (p->fd < 0)
		return;
	(void) close(p->fd);
	ReleaseExternalFD();
	p->fd = -1;
}

/*
 * Read once what a pipe has, and close it at its end; returns whether bytes
 * came.
 */
static bool
read_pipe(Pipe *p)
{
	char		excess[4096];
	bool		keep = p->len < p->size;
	ssize_t		got;

	if (p->fd < 0)
		return false;
	do
	{
		got = keep ? read(p->fd, p->data + p->len, p->size - p->len) :
			read(p->fd, excess, sizeof(excess));
	} while (got < 0 && errno == EINTR);

	if (got > 0 && keep)
		p->len += got;
	if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		p->error = errno;
	if (got == 0 || p->error != 0)
		close_pipe(p);
	return got > 0;
}

/*
 * Read what there is, as far as it has room: whoever escaped the kill may
 * write for ever.
 */
static void
drain_pipe(Pipe *p)
{
	while (p->len < p->size && read_pipe(p))
		;
}

/*
 * Returns true if the shell has exited.  It stays a zombie, and its pid ours,
 * unless something reaped it.
 */
static bool
has_exited(Process *p)
{
	siginfo_t	info = {0};

	if (waitid(P_PID, p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		return info.si_pid != 0;
	p->pid = 0;
	return true;
}

/* Reap the abandoned shells that have ended. */
static void
reap_abandoned(void)
{
	for (int i = 0; i < MAX_ABANDONED; i++)
	{
		if (abandoned[i] != 0 && waitpid(abandoned[i], NULL, WNOHANG) != 0)
			abandoned[i] = 0;
	}
}

/*
 * Note a shell that does not go; where there are too many, it is reaped when
 * the backend ends.
 */
static void
abandon(pid_t pid)
{
	for (int i = 0; i < MAX_ABANDONED; i++)
	{
		if (abandoned[i] == 0)
		{
			abandoned[i] = pid;
			return;
		}
	}
}

/*
 * Kill what is left of the group and reap the shell; returns its wait status,
 * -1 if unknown.
 */
static int
stop_process(Process *p)
{
	pid_t		pid = p->pid;
	int			status = -1;

	if (pid <= 0)				/* kill() takes these for all */
		return status;
	p->pid = 0;
	(void) kill(-pid, SIGKILL);
	(void) kill(pid, SIGKILL);	/* should it have left its group */
	for (int i = 0; i < REAP_TIME; i++)
	{
		if (waitpid(pid, &status, WNOHANG) != 0)
			return status;
		pg_usleep(1000);
	}
	abandon(pid);
	return status;
}

/* Stop and free all; also called when the backend exits in the middle. */
static void
clean_up_process(int code pg_attribute_unused(), Datum arg)
{
	Process    *p = (Process *) DatumGetPointer(arg);

	(void) stop_process(p);
	close_pipe(&p->out);
	close_pipe(&p->err);
	pseudo_secret_free(p->out.data);
	p->out.data = NULL;
	explicit_bzero(p->errors, sizeof(p->errors));
}

/*
 * What the command wrote to its standard error, fit for a log; NULL where it
 * is nothing.
 */
static const char *
errors_of(Process *p)
{
	StringInfoData text;
	bool		new_line = false;

	drain_pipe(&p->err);
	initStringInfo(&text);
	for (Size i = 0; i < p->err.len; i++)
	{
		unsigned char c = (unsigned char) p->err.data[i];

		if (text.len >= ERRORS_SHOWN)
		{
			appendStringInfoString(&text, "...");
			break;
		}
		if (c == '\n' || c == '\r')
		{
			new_line = text.len > 0;

			continue;
		}
		if (new_line)
			appendStringInfoString(&text, "; ");
		new_line = false;
		appendStringInfoChar(&text, c == '\t' ? ' ' : c >= ' ' && c <= '~' ? (char) c : '?');
	}
	return text.len > 0 ? psprintf("Its standard error: %s", text.data) : NULL;
}

/* Fill in a failure, with standard error as the detail; returns false. */
static bool
process_fail(Process *p, PseudoFailure *failure, int sqlstate, const char *message)
{
	return pseudo_fail(failure, PSEUDO_FAIL_TRANSIENT, sqlstate, message, errors_of(p), NULL);
}

/* Start the command with its pipes. */
static bool
start_process(Process *p, const char *command, PseudoFailure *failure)
{
	int			out = -1;
	int			err = -1;
	int			error;

	if (open_pipe(&p->out, &out) && open_pipe(&p->err, &err))
		p->pid = start_shell(command, out, err);
	error = errno;
	if (out >= 0)
		(void) close(out);
	if (err >= 0)
		(void) close(err);
	if (p->pid > 0)
		return true;
	return process_fail(p, failure, ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
						psprintf("could not start %s: %s", p->what, pg_strerror(error)));
}

/* Wait for output or milliseconds to pass, open to interrupts. */
static void
pause_for_output(const Process *p, int64 milliseconds)
{
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (p->out.fd >= 0)
		events |= WL_SOCKET_READABLE;
	(void) WaitLatchOrSocket(MyLatch, events, p->out.fd, (long) milliseconds,
							 pseudo_wait_event(PSEUDO_WAIT_COMMAND));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Read until the shell has exited.  No event tells of that, nor of standard
 * error, so we look: at once after output, which also ends with the shell,
 * then ever more seldom.
 */
static bool
attend_process(Process *p, PseudoFailure *failure)
{
	int64		pause = 1;

	while (!has_exited(p))
	{
		bool		moved = read_pipe(&p->out);
		int64		left = p->deadline - pseudo_now_ms();

		moved |= read_pipe(&p->err);
		if (p->out.len == p->out.size)
			return true;
		if (left <= 0)
			return process_fail(p, failure, ERRCODE_CONNECTION_FAILURE,
								psprintf("%s timed out", p->what));
		pause = moved ? 1 : Min(2 * pause, MAX_PAUSE);
		pause_for_output(p, Min(pause, left));
	}
	return true;
}

/* Stop the command, and see what became of it. */
static bool
finish_process(Process *p, PseudoFailure *failure)
{
	int			status = stop_process(p);

	drain_pipe(&p->out);
	if (p->out.error != 0)
		return process_fail(p, failure, ERRCODE_IO_ERROR,
							psprintf("could not read the output of %s: %s", p->what, pg_strerror(p->out.error)));
	if (p->out.len == p->out.size)
		return process_fail(p, failure, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							psprintf("%s wrote more than %zu bytes", p->what, p->out.size - 1));
	if (status != 0)
		return process_fail(p, failure, ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
							psprintf("%s failed: %s", p->what, wait_result_to_str(status)));
	return true;
}

/* See process.h. */
char *
pseudo_process_run(const char *what, const char *command, int64 deadline, Size max, Size *len,
				   PseudoFailure *failure)
{
	Process		p = {.what = what, .deadline = deadline, .out.fd = -1, .err.fd = -1};
	char	   *output;

	p.err.data = p.errors;
	p.err.size = sizeof(p.errors);
	reap_abandoned();
	PG_ENSURE_ERROR_CLEANUP(clean_up_process, PointerGetDatum(&p));
	{
		p.out.data = pseudo_secret_alloc(max + 1);
		p.out.size = max + 1;
		p.ok = start_process(&p, command, failure) &&
			attend_process(&p, failure) && finish_process(&p, failure);
	}
	PG_END_ENSURE_ERROR_CLEANUP(clean_up_process, PointerGetDatum(&p));
	output = p.ok ? p.out.data : NULL;
	*len = p.ok ? p.out.len : 0;
	if (p.ok)
		p.out.data = NULL;		/* the caller's now */
	clean_up_process(0, PointerGetDatum(&p));
	return output;
}
