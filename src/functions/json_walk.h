/*
 * json_walk.h
 *		The scalars under some keys of a JSON document, replaced one by one, and
 *		all strings of one, shown one by one; both for jsonb and for json.
 *
 * Under a key is its value where that is a scalar, else every scalar inside it.  Keys
 * count at any depth.  A null stays null.
 */
#ifndef PSEUDO_JSON_WALK_H
#define PSEUDO_JSON_WALK_H

#include "postgres.h"

#include "utils/array.h"
#include "utils/jsonb.h"

typedef enum PseudoJsonType
{
	PSEUDO_JSON_STRING,
	PSEUDO_JSON_NUMBER,			/* its text is as jsonb prints it */
	PSEUDO_JSON_BOOLEAN			/* "true" or "false" */
} PseudoJsonType;

#define PSEUDO_JSON_TYPES	(PSEUDO_JSON_BOOLEAN + 1)

/* A scalar: in UTF-8 as it is found, and in the server encoding as it is replaced. */
typedef struct PseudoJsonScalar
{
	PseudoJsonType type;
	const char *data;			/* not null-terminated */
	size_t		len;
} PseudoJsonScalar;

/*
 * What replaces scalars.
 *
 *	replace	makes the new scalar of one under a key; its data is palloc'ed
 *	finish	NULL; or writes, once all are replaced, the bytes of data that replace has left for later
 *	arg		passed to both
 */
typedef struct PseudoJsonReplacer
{
	void		(*replace) (PseudoJsonScalar *scalar, void *arg);
	void		(*finish) (void *arg);
	void	   *arg;
} PseudoJsonReplacer;

/* A key, in UTF-8, and as it was given. */
typedef struct PseudoJsonKey
{
	const char *utf8;
	size_t		len;
	char	   *name;
} PseudoJsonKey;

/* Keys to look for; zero it first. */
typedef struct PseudoJsonKeys
{
	ArrayType  *array;			/* a copy of what they were made from */
	PseudoJsonKey *sorted;
	int			n;
	MemoryContext mcxt;			/* all of the above */
} PseudoJsonKeys;

/*
 * Prepare keys from a text[], where they are not those of this array already; what
 * is kept is allocated in a child of mcxt.  Errors: 22004 for a NULL element.
 */
extern void pseudo_json_keys_set(PseudoJsonKeys *keys, ArrayType *array, MemoryContext mcxt);

/* Replace the scalars under some keys: the document itself where there are none. */
extern Jsonb *pseudo_json_walk_jsonb(const PseudoJsonKeys *keys, Jsonb *document,
									 const PseudoJsonReplacer *replacer);

/*
 * The same for a json, whose other bytes all stay.  Errors: 22P05 for an escape under a key that
 * stands for no character, 22003 for a number under one that no numeric can hold.
 */
extern text *pseudo_json_walk_json(const PseudoJsonKeys *keys, text *document,
								   const PseudoJsonReplacer *replacer);

/* Called for each string of a document, in UTF-8: keys, and values at any depth. */
typedef void (*PseudoJsonVisit) (const char *utf8, size_t len, void *arg);

/* Show all strings of a document to a function; what it is shown does not live on. */
extern void pseudo_json_visit_jsonb(Jsonb *document, PseudoJsonVisit visit, void *arg);
extern void pseudo_json_visit_json(text *document, PseudoJsonVisit visit, void *arg);

/* Returns true if the text is a number of JSON. */
extern bool pseudo_json_is_number(const char *data, size_t len);

#endif							/* PSEUDO_JSON_WALK_H */
