/*
 * json_escape.h
 *		What an escape in a JSON string stands for.
 */
#ifndef PSEUDO_JSON_ESCAPE_H
#define PSEUDO_JSON_ESCAPE_H

#include "postgres.h"

/*
 * Decode one escape, or the two of a surrogate pair.  Neither allocates nor
 * throws, so that it can be used for secrets.
 *
 * s		in: after the backslash; out: after the escape
 * end		where the text ends
 * out		in: where to write; out: after the bytes of UTF-8 that were written,
 *			which are fewer than those of the escape with its backslash
 *
 * Returns false, with *s and *out as they were, for what is no escape: an
 * unknown letter, digits that are not hexadecimal, half of a surrogate pair.
 * \u0000 gives a zero byte, which a text of PostgreSQL cannot hold.
 */
extern bool pseudo_json_unescape(const char **s, const char *end, char **out);

#endif							/* PSEUDO_JSON_ESCAPE_H */
