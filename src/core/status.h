/*
 * status.h
 *		What the core answers.  The core never reports an error itself: it
 *		returns one of these, and the SQL-facing caller says it in words.
 */
#ifndef PSEUDO_STATUS_H
#define PSEUDO_STATUS_H

typedef enum pseudo_status
{
	PSEUDO_OK = 0,
	PSEUDO_MALFORMED,			/* not the canonical text of a pseudonym */
	PSEUDO_NOT_AUTHENTIC,		/* the tag does not match */
	PSEUDO_TOO_LONG,			/* longer than RFC 8452 section 6 allows */
	PSEUDO_BAD_KEY,				/* not a length that a key can have */
	PSEUDO_CRYPTO_FAILURE		/* OpenSSL failed (out of memory, no entropy) */
} pseudo_status;

#endif							/* PSEUDO_STATUS_H */
