/*
 * reseal.h
 *		The same value under another key.
 */
#ifndef PSEUDO_RESEAL_H
#define PSEUDO_RESEAL_H

#include "open.h"

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
