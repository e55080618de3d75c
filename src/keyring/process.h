/*
 * process.h
 *		Running a shell command whose output is secret.
 */
#ifndef PSEUDO_PROCESS_H
#define PSEUDO_PROCESS_H

#include "postgres.h"

#include "provider.h"

/*
 * Run a command with /bin/sh -c, as the operating-system user of the server:
 * with its environment, no standard input, and in a process group of its own.
 * The whole group is killed if it is not done in time or the query is cancelled;
 * what of it still runs when the shell has exited is killed too.
 *
 * what			its name in messages, such as "command" or "credential_process"
 * command		the command; never shown
 * deadline		when it must be done: pseudo_now_ms()
 * max			bytes that it may write to its standard output
 *
 * Returns its output in secret memory (from pseudo_secret_alloc, the caller
 * frees it), a zero after it, *len its bytes.  Or NULL with *failure filled in,
 * always PSEUDO_FAIL_TRANSIENT, for nobody knows what a command's failure means:
 * - ERRCODE_EXTERNAL_ROUTINE_EXCEPTION: it failed.  The message has the exit
 *   status, the detail what it wrote to its standard error, cleaned and cut.
 * - ERRCODE_CONNECTION_FAILURE: it was not done in time.
 * - ERRCODE_PROGRAM_LIMIT_EXCEEDED: it wrote too much.
 * - ERRCODE_IO_ERROR: its output could not be read.
 *
 * Errors: ERRCODE_QUERY_CANCELED and ERRCODE_ADMIN_SHUTDOWN, within 100 ms;
 * ERRCODE_OUT_OF_MEMORY.
 */
extern PGDLLEXPORT char *pseudo_process_run(const char *what, const char *command,
											int64 deadline, Size max, Size *len,
											PseudoFailure *failure);

#endif							/* PSEUDO_PROCESS_H */
