/*
 * json.h
 *		A JSON document as a tree over its own text.
 *
 * PostgreSQL's parser checks the syntax and calls back at the start and the end of
 * each value; a node keeps where its name and value stand in the text.  The
 * parser is told not to de-escape, so that it makes no copies: no part of a document is ever
 * in palloc'ed memory.  An editor copies everything that it does not change.
 */
#ifndef PSEUDO_JSON_H
#define PSEUDO_JSON_H

#include "postgres.h"

#define PSEUDO_JSON_MAX_NODES	4096
#define PSEUDO_JSON_MAX_DEPTH	32

typedef struct PseudoJson
{
	const char *name;			/* in an object: the name's opening quote */
	const char *name_end;		/* behind its closing quote */
	const char *value;			/* first character of the value */
	const char *value_end;		/* behind its last */
	struct PseudoJson *parent;
	struct PseudoJson *first;	/* child */
	struct PseudoJson *last;
	struct PseudoJson *next;	/* sibling */
} PseudoJson;

/*
 * Parse len bytes (UTF-8) into nodes, room for PSEUDO_JSON_MAX_NODES of them.  Returns the root,
 * or NULL with *fault set to a palloc'ed sentence that shows nothing of the text.
 */
extern PseudoJson *pseudo_json_parse(const char *data, Size len, PseudoJson *nodes, char **fault);

/* The member of an object that has this name (ASCII), or NULL. */
extern PseudoJson *pseudo_json_member(const PseudoJson *object, const char *name);

/* Is a value an object ('{'), an array ('['), a string ('"')? */
static inline bool
pseudo_json_is(const PseudoJson *node, char first)
{
	return *node->value == first;
}

/*
 * De-escape a string value into out (as long as the value); returns its length in bytes.
 */
extern Size pseudo_json_string(const PseudoJson *node, char *out);

/* Is a string value this text (ASCII)? */
extern bool pseudo_json_string_is(const PseudoJson *node, const char *text);

/* Read a value that is a whole number without sign, fraction or exponent, up to max. */
extern bool pseudo_json_integer(const PseudoJson *node, uint64 max, uint64 *result);

#endif							/* PSEUDO_JSON_H */
