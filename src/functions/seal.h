/*
 * seal.h
 *		Values to pseudonyms, for one call: what the SQL functions share.
 */
#ifndef PSEUDO_SEAL_H
#define PSEUDO_SEAL_H

#include "call.h"

/* A value as it is encrypted: in UTF-8.  Points into the text where nothing is converted. */
extern const char *pseudo_value_utf8(text *value, size_t *len);

/*
 * The pseudonym of len bytes of UTF-8 under a key, palloc'ed; nonce_key is NULL for random mode.
 * Errors: 54000.
 */
extern text *pseudo_seal(PseudoCall *call, PseudoKey *key, const pseudo_nonce_key *nonce_key,
						 const char *value, size_t len);

/* The deterministic pseudonym of len bytes of UTF-8 under any key, palloc'ed.  Errors: 54000. */
extern text *pseudo_seal_under(PseudoCall *call, PseudoKey *key, const char *value, size_t len);

/* The pseudonym of a value under the primary key, palloc'ed.  Errors: 54000, 22P05. */
extern text *pseudo_seal_value(PseudoCall *call, text *value, bool is_deterministic);

/* How many bytes the pseudonym of len bytes under a key has.  Errors: 54000. */
extern size_t pseudo_sealed_len(const PseudoKey *key, size_t len);

#define PSEUDO_BATCH	64		/* values on their way at a time */

/* Values that get their pseudonyms under the primary key together, which is faster than one by one. */
typedef struct PseudoSealBatch
{
	PseudoCall *call;
	bool		is_deterministic;
	int			n;
	pseudo_batch_item items[PSEUDO_BATCH];
} PseudoSealBatch;

/* Make a batch ready; between this and the last flush nothing may look the call up again. */
extern void pseudo_seal_begin(PseudoSealBatch *batch, PseudoCall *call, bool is_deterministic);

/*
 * Add len bytes of UTF-8.  Their pseudonym, of pseudo_sealed_len() bytes, is at out after the
 * next flush; until then both stay where they are.
 */
extern void pseudo_seal_add(PseudoSealBatch *batch, char *out, const char *value, size_t len);

/* The same, with the pseudonym in a text of its own, palloc'ed.  Errors: 54000. */
extern text *pseudo_seal_later(PseudoSealBatch *batch, const char *value, size_t len);

/* Make the pseudonyms of what was added. */
extern void pseudo_seal_flush(PseudoSealBatch *batch);

#endif							/* PSEUDO_SEAL_H */
