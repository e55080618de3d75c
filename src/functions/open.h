/*
 * open.h
 *		Pseudonyms to values, for one call: what the SQL functions share.
 */
#ifndef PSEUDO_OPEN_H
#define PSEUDO_OPEN_H

#include "call.h"
#include "seal.h"

/* Returns true if a text is shaped like a pseudonym: canonical base64 of enough bytes. */
extern bool pseudo_looks_like_pseudonym(const text *value);

/* A pseudonym that was opened. */
typedef struct PseudoOpened
{
	text	   *value;			/* palloc'ed; its bytes are UTF-8, not yet
								 * verified */
	size_t		len;			/* bytes of the value */
	PseudoKey  *key;			/* that opened it; lives while the call's
								 * keyring does */
	uint8		nonce[PSEUDO_NONCE_LEN];
} PseudoOpened;

/*
 * Open a pseudonym.  One that gives an error is counted; what succeeds, or gives NULL, the caller counts.  Returns false where or_null and it is malformed or does not authenticate.
 * Errors: 22P02, 22000, 55000, and the provider's.
 */
extern bool pseudo_open(PseudoCall *call, text *pseudonym, bool or_null, PseudoOpened *opened);

/* Wipe and free the value of a pseudonym that was opened. */
extern void pseudo_opened_wipe(PseudoOpened *opened);

/* The same where nothing is an error: returns false for what opens under no enabled key, whatever the reason. */
extern bool pseudo_try_open(PseudoCall *call, text *pseudonym, PseudoOpened *opened);

/* Returns true if a text is shaped like a pseudonym, and opens to just this value. */
extern bool pseudo_opens_to(PseudoCall *call, text *pseudonym, text *value);

/*
 * The same as pseudo_open() for a pseudonym that was made in one of several contexts: n calls that differ in
 * nothing else.  Returns which one opened it, or -1.
 */
extern int	pseudo_open_first(PseudoCall *const *calls, int n, text *pseudonym, bool or_null,
							  PseudoOpened *opened);

/*
 * The value as a text in the server encoding: opened->value itself where nothing is converted.
 * Errors: 22021, 22P05; the value is not shown.
 */
extern text *pseudo_opened_text(PseudoOpened *opened);

/*
 * The value of a pseudonym, palloc'ed; or NULL where or_null and it is malformed or does not
 * authenticate.  Errors: 22P02, 22000, 55000, 22021, 22P05.
 */
extern text *pseudo_open_value(PseudoCall *call, text *pseudonym, bool or_null);

/*
 * Pseudonyms that are opened together, which is faster than one by one.  Each is done after
 * pseudo_open_flush(); values and lens then say what came out, in the server encoding, or NULL.
 */
#define PSEUDO_OPEN_SHORT	256 /* longer texts are opened one by one */

typedef struct PseudoOpenBatch
{
	int			n;
	text	   *pseudonyms[PSEUDO_BATCH];	/* or NULL */
	PseudoKey  *keys[PSEUDO_BATCH]; /* to open each with; NULL where that is
									 * done, or of no use */
	PseudoKey  *openers[PSEUDO_BATCH];	/* which opened each in bytes, or NULL */
	char	   *values[PSEUDO_BATCH];	/* what came out, or NULL */
	size_t		lens[PSEUDO_BATCH]; /* bytes: decoded, then of the value */
	uint8		bytes[PSEUDO_BATCH][PSEUDO_BASE64_BYTES(PSEUDO_OPEN_SHORT)];
} PseudoOpenBatch;

/* Add a pseudonym, or NULL, to a batch that has room. */
extern void pseudo_open_add(PseudoCall *call, PseudoOpenBatch *batch, text *pseudonym);

/*
 * Open a batch.  Its values stay where they are until the next one is added; the caller sets n to 0.
 * Errors: as of pseudo_open() and pseudo_opened_text().
 */
extern void pseudo_open_flush(PseudoCall *call, PseudoOpenBatch *batch, bool or_null);

/*
 * Open those of a batch that the key opens that they are most likely of, and no others; nothing is an error.  openers
 * says which they are; their values are UTF-8, not yet verified, and the nonce of each is in the bytes before its value.
 */
extern void pseudo_open_likely(PseudoCall *call, PseudoOpenBatch *batch);

/* Report a text that is not a pseudonym, without showing it.  Errors: 22P02. */
extern void pseudo_report_malformed(void) __attribute__((noreturn));

#endif							/* PSEUDO_OPEN_H */
