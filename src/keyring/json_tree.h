/*
 * json_tree.h
 *		A JSON text as a tree of spans of it, for secret documents.
 *
 * PostgreSQL's parser says whether the text is JSON; it is not asked for
 * tokens, for it would leave them in palloc'ed memory.  The tree points into
 * the text, so that an edit can leave all else as it is.
 */
#ifndef PSEUDO_JSON_TREE_H
#define PSEUDO_JSON_TREE_H

#include "postgres.h"

#define PSEUDO_JSON_DEPTH	32	/* levels of objects and arrays */

typedef enum PseudoNodeType
{
	PSEUDO_NODE_OBJECT,
	PSEUDO_NODE_ARRAY,
	PSEUDO_NODE_STRING,
	PSEUDO_NODE_NUMBER,
	PSEUDO_NODE_WORD			/* true, false, null */
} PseudoNodeType;

/* Bytes in the text, or decoded in secret memory; no terminating zero. */
typedef struct PseudoSpan
{
	const char *data;
	Size		len;
} PseudoSpan;

typedef struct PseudoJson
{
	PseudoNodeType type;
	const char *start;			/* in the text; of a field, its name's quote */
	const char *end;			/* after the value */
	PseudoSpan	source;			/* the value as it is written */
	PseudoSpan text;			/* of a string: decoded */
	PseudoSpan	name;			/* of an object's field: decoded */
	int			nchildren;
	struct PseudoJson *first;	/* field or element */
	struct PseudoJson *next;	/* sibling */
	struct PseudoJson *doubled; /* of an object: a field whose name comes
								 * twice */
} PseudoJson;

typedef struct PseudoJsonText
{
	MemoryContext context;		/* the nodes: positions, nothing secret */
	char	   *decoded;		/* strings and names, secret memory */
	PseudoJson *root;
	bool		doubled;		/* a name comes twice in some object */
} PseudoJsonText;

/*
 * Parse a text; the tree points into it.  Returns false with *fault set to
 * what is wrong, in words that show nothing of it.  In any case, and where
 * this throws, the caller calls pseudo_json_free(json).
 */
extern PGDLLEXPORT bool pseudo_json_parse(PseudoJsonText *json, const char *data, Size len,
										  const char **fault);

/* Free what pseudo_json_parse filled in, or a zeroed structure. */
extern PGDLLEXPORT void pseudo_json_free(PseudoJsonText *json);

/* The field of this name of an object, or NULL. */
extern PGDLLEXPORT PseudoJson *pseudo_json_field(const PseudoJson *object, const char *name);

/* Returns true if a span is this string. */
extern PGDLLEXPORT bool pseudo_span_is(const PseudoSpan *span, const char *string);

/*
 * Read a number without sign, fraction or exponent; what is too great gives
 * PG_UINT64_MAX.
 */
extern PGDLLEXPORT bool pseudo_json_integer(const PseudoJson *node, uint64 *value);

#endif							/* PSEUDO_JSON_TREE_H */
