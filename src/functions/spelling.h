/*
 * spelling.h
 *		Pseudonyms that are spelled in another way than ours.
 */
#ifndef PSEUDO_SPELLING_H
#define PSEUDO_SPELLING_H

#include "postgres.h"

/*
 * Returns true if a text is a pseudonym with white space or quotes in it or around it, without its padding,
 * or in the alphabet of URLs.  reidentify() refuses such a text, and it would be encrypted a second time if
 * it were taken for a value.
 *
 * It is one if nothing else is in it, if it is long enough, and if its letters change
 * between upper case, lower case and digits as often as random ones do: sentences,
 * slugs and UUIDs are not like that.  Of real pseudonyms, one in 100,000 is missed.
 * A pseudonym in our own spelling (pseudo_looks_like_pseudonym()) may be one here too.
 */
extern bool pseudo_is_misspelled(const text *value);

#endif							/* PSEUDO_SPELLING_H */
