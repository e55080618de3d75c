/*
 * record.h
 *		Audit records: who does what, from where, and why.
 */
#ifndef PSEUDO_RECORD_H
#define PSEUDO_RECORD_H

#include "postgres.h"

#include "../keyring/audit.h"

/* What a record is about, beside what the session says. */
typedef struct PseudoSubject
{
	const char *keyring;		/* or NULL */
	const char *fingerprint;	/* of its primary key, or NULL */
	Oid			as_role;		/* whose rights a call names, or InvalidOid */
	const char *context;		/* in UTF-8, or NULL */
	size_t		context_len;	/* bytes */
	const char *function;
} PseudoSubject;

/* Room in a line beside its middle, and what is added. */
#define PSEUDO_RECORD_ROOM	192
#define PSEUDO_RECORD_MORE	128

/* Another one whenever pseudo.purpose has been set. */
extern uint64 pseudo_purpose_generation;

/* Define pseudo.purpose; wherever the library is loaded. */
extern void pseudo_record_init(void);

/* Returns true if the session has a purpose. */
extern bool pseudo_record_has_purpose(void);

/* The middle of a record: what is the same in all of one call.  Palloc'ed. */
extern char *pseudo_record_middle(const PseudoSubject *subject);

/*
 * Put a line together; more is JSON that is added, such as ,"up_to":1.  Writes to out, which has room for the
 * middle, PSEUDO_RECORD_ROOM bytes and more.  Returns its bytes, with the newline.  Neither allocates nor fails.
 */
extern size_t pseudo_record_line(char *out, const char *event, const char *middle, const char *more);

/* Returns true if a keyring of this policy has durable records that cannot be kept here. */
extern bool pseudo_record_is_impossible(PseudoAudit audit);

#endif							/* PSEUDO_RECORD_H */
