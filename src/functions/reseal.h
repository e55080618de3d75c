/*
 * reseal.h
 *		The same value under another key.
 */
#ifndef PSEUDO_RESEAL_H
#define PSEUDO_RESEAL_H

#include "open.h"

/* How a pseudonym was made, as far as its nonce tells. */
typedef enum PseudoNonceMode
{
	PSEUDO_NONCE_IS_DETERMINISTIC,	/* the value's */
	PSEUDO_NONCE_IS_RANDOM,
	PSEUDO_NONCE_IS_UNCLEAR		/* looks deterministic, but is not the value's */
} PseudoNonceMode;

/* Tell the mode of an opened pseudonym: its nonce is computed again, under the key that opened it. */
extern PseudoNonceMode pseudo_nonce_mode(PseudoCall *call, const PseudoOpened *opened);

/* The same for those of a batch that pseudo_open_likely() has opened, into modes[]; the other ones' stay as they are. */
extern void pseudo_nonce_modes(PseudoCall *call, const PseudoOpenBatch *batch, PseudoNonceMode *modes);

/* Returns true if an opened pseudonym is a random one: under another key it would be another one each time. */
extern bool pseudo_is_random(PseudoCall *call, const PseudoOpened *opened);

/*
 * The pseudonym of the same value under the primary key, in the same mode; the pseudonym itself where
 * that key opened it.  Wipes and frees the opened value.
 *
 *	deterministic	a random pseudonym is an error, so that the result is the same for each call
 *
 * Errors: 22000 where the mode is unclear, or random and deterministic was asked for.
 */
extern text *pseudo_reseal(PseudoCall *call, text *pseudonym, PseudoOpened *opened,
						   bool deterministic);

#endif							/* PSEUDO_RESEAL_H */
