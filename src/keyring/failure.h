/*
 * failure.h
 *		What went wrong below the cache, as data: it decides whether that is an error.
 */
#ifndef PSEUDO_FAILURE_H
#define PSEUDO_FAILURE_H

#include "postgres.h"

/* What kind of failure a provider met; the cache decides by it (design, 2). */
typedef enum PseudoFailureClass
{
	PSEUDO_FAIL_NONE = 0,
	PSEUDO_FAIL_TRANSIENT,		/* network, I/O, throttling: old keys serve on */
	PSEUDO_FAIL_BAD_DOCUMENT,	/* the same, with a WARNING */
	PSEUDO_FAIL_REFUSED,		/* access denied, not found, deleted */
	PSEUDO_FAIL_EMPTY			/* there is no document yet */
} PseudoFailureClass;

/*
 * A failure in words; never a value, never key material.  The texts belong to
 * the failure: the functions below copy what they are given into its context,
 * so that none of them ends before it.  Nothing else sets them.
 */
typedef struct PseudoFailure
{
	MemoryContext context;		/* of the texts; see pseudo_no_failure() */
	PseudoFailureClass class;
	int			sqlstate;		/* packed, as ERRCODE_... */
	char	   *message;
	char	   *detail;			/* may be NULL */
	char	   *hint;			/* may be NULL */
} PseudoFailure;

/* No failure yet; the texts of one will live in the current context. */
extern PGDLLEXPORT PseudoFailure pseudo_no_failure(void);

/*
 * Fill in a failure, in the place of what it was; detail and hint may be NULL.
 * Returns false.
 */
extern PGDLLEXPORT bool pseudo_fail(PseudoFailure *failure, PseudoFailureClass class,
									int sqlstate, const char *message,
									const char *detail, const char *hint);

/* Replace a failure's detail or hint, which may be NULL. */
extern PGDLLEXPORT void pseudo_failure_detail(PseudoFailure *failure, const char *detail);
extern PGDLLEXPORT void pseudo_failure_hint(PseudoFailure *failure, const char *hint);

#endif							/* PSEUDO_FAILURE_H */
