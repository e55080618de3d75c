/*
 * audit_json.h
 *		JSON of one line and of ASCII alone, whatever is put into it.
 */
#ifndef PSEUDO_AUDIT_JSON_H
#define PSEUDO_AUDIT_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#define PSEUDO_AUDIT_TEXT	1024	/* characters of a text that are kept */
#define PSEUDO_AUDIT_TIME	32	/* bytes of a time, with its zero */

/*
 * Append a string of len bytes in UTF-8, in quotes; what is not valid there
 * becomes U+FFFD.  Returns false if it was longer, and has been cut.
 */
extern bool pseudo_audit_json_utf8(StringInfo json, const char *s, size_t len);

/* The same of a text in the server encoding, or null. */
extern bool pseudo_audit_json_text(StringInfo json, const char *s);

/* Write a time as "2026-11-30T06:08:58.123456Z".  Neither allocates nor fails. */
extern void pseudo_audit_json_time(char out[PSEUDO_AUDIT_TIME], TimestampTz time);

#endif							/* PSEUDO_AUDIT_JSON_H */
