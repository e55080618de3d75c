/*
 * admin_record.h
 *		Audit records of what is done to keyrings.
 */
#ifndef PSEUDO_ADMIN_RECORD_H
#define PSEUDO_ADMIN_RECORD_H

#include "postgres.h"

#include "foreign/foreign.h"

/* Register the hook that sees CREATE, ALTER and DROP SERVER; wherever the library is loaded. */
extern void pseudo_admin_record_init(void);

/*
 * Record that a function is about to change a keyring or load it; more is JSON that is added, fewer than
 * PSEUDO_RECORD_MORE bytes.  Errors: those of pseudo_audit_write().
 */
extern void pseudo_admin_record(const char *function, ForeignServer *server, const char *more);

#endif							/* PSEUDO_ADMIN_RECORD_H */
