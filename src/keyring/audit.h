/*
 * audit.h
 *		Where audit records go: a line of JSON each.
 */
#ifndef PSEUDO_AUDIT_H
#define PSEUDO_AUDIT_H

#include "postgres.h"

#include "policy.h"

#define PSEUDO_AUDIT_PREFIX	"pseudo.audit"	/* of logical messages */

/* The settings: the least that is recorded for all keyrings, and the file. */
extern int	pseudo_audit_least;
extern char *pseudo_audit_file;

/* Define the settings; wherever the library is loaded. */
extern void pseudo_audit_init(void);

/* Ask for the shared memory, and make it; from the hooks for these. */
extern void pseudo_audit_request(void);
extern void pseudo_audit_startup(void);

/* Returns true if there is that memory, which durable records need. */
extern bool pseudo_audit_is_on(void);

/*
 * Write a record: len bytes, the last of which is a newline.  It is durable
 * when this returns, but for the server's log, which may lose it.
 * Errors: those of files, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE for the WAL
 * of a standby.
 */
extern void pseudo_audit_write(PseudoAudit audit, const char *line, size_t len);

/*
 * The same from a callback, for what has happened already: it waits for no
 * flush and does not throw.  A record that cannot be written goes to the
 * server's log.
 */
extern void pseudo_audit_write_late(PseudoAudit audit, const char *line, size_t len);

#endif							/* PSEUDO_AUDIT_H */
