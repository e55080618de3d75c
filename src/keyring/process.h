/*
 * process.h
 *		Running a shell command whose output is secret.
 */
#ifndef PSEUDO_PROCESS_H
#define PSEUDO_PROCESS_H

#include "postgres.h"

#include "provider.h"

/*
 * Run a command with /bin/sh -c, as the operating-system user of the server, with
 * its environment, no standard input, and a process group of its own, which is killed whole
 * where it is not done in time or the query is cancelled, and as far as it still runs when the
 * shell has exited.
 *
 * what			its name in messages, such as "command" or "credential_process"
 * command		the command; never shown
 * deadline		when it must be done: pseudo_now_ms()
 * max			bytes that it may write to its standard output
 *
 * Returns its output in secret memory (from pseudo_secret_alloc, the caller frees it), a
 * zero after it, *len its bytes; or NULL with *failure filled in: 38000 it failed (the exit
 * status; what it wrote to its standard error, cleaned and cut, as the detail), 08006 not in time,
 * 54000 too much output; all PSEUDO_FAIL_TRANSIENT, for nobody knows what they mean.
 * Errors: 57014 and 57P01 on a cancel, within 100 ms; 53200.
 */
extern PGDLLEXPORT char *pseudo_process_run(const char *what, const char *command,
											int64 deadline, Size max, Size *len,
											PseudoFailure *failure);

#endif							/* PSEUDO_PROCESS_H */
