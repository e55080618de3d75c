/*
 * json_tree.c
 *		A JSON text as a tree of spans of it, for secret documents.
 *
 * pg_parse_json() checks the text, without callbacks and without de-escaping, so
 * that it copies nothing.  The walk after it can then rely on the grammar; where it
 * does, it still never reads beyond the end.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "json_escape.h"
#include "json_tree.h"
#include "secret.h"

/* Where a walk through a text is. */
typedef struct Walk
{
	PseudoJsonText *json;
	const char *p;
	const char *end;
	char	   *decoded;		/* free space for decoded strings */
	bool		bad_escape;		/* half of a surrogate pair alone */
} Walk;

static PseudoJson *walk_value(Walk *w);

/* Returns true if objects and arrays are nested no deeper than we follow. */
static bool
check_depth(const char *data, Size len)
{
	int			depth = 0;
	bool		in_string = false;

	for (Size i = 0; i < len; i++)
	{
		if (in_string)
		{
			if (data[i] == '\\')
				i++;
			else if (data[i] == '"')
				in_string = false;
		}
		else if (data[i] == '"')
			in_string = true;
		else if (data[i] == '{' || data[i] == '[')
		{
			if (++depth > PSEUDO_JSON_DEPTH)
				return false;
		}
		else if (data[i] == '}' || data[i] == ']')
			depth--;
	}
	return true;
}

/* Returns true if PostgreSQL takes this for JSON. */
static bool
check_grammar(const char *data, Size len)
{
	JsonLexContext *lex = pseudo_json_lexer(unconstify(char *, data), len);

	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}

/* The next character, or 0 at the end. */
static char
peek(Walk *w)
{
	return w->p < w->end ? *w->p : '\0';
}

/* The next character, or 0 at the end, and step over it. */
static char
next(Walk *w)
{
	return w->p < w->end ? *w->p++ : '\0';
}

/* Step over white space. */
static void
skip_space(Walk *w)
{
	while (peek(w) == ' ' || peek(w) == '\t' || peek(w) == '\n' || peek(w) == '\r')
		w->p++;
}

/* Decode a string. */
static PseudoSpan
walk_string(Walk *w)
{
	PseudoSpan	span = {w->decoded, 0};

	next(w);
	while (w->p < w->end && *w->p != '"')
	{
		char		c = next(w);

		if (c != '\\')
			*w->decoded++ = c;
		else if (!pseudo_json_unescape(&w->p, w->end, &w->decoded))
		{
			w->bad_escape = true;
			next(w);			/* whatever it is, it does not end the string */
		}
	}
	next(w);
	span.len = w->decoded - span.data;
	return span;
}

/* Order two fields by name, in any order that brings equal names together. */
static int
compare_names(const void *a, const void *b)
{
	const PseudoSpan *x = &(*(PseudoJson *const *) a)->name;
	const PseudoSpan *y = &(*(PseudoJson *const *) b)->name;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->data, y->data, x->len);
}

/* A field of an object whose name comes twice, or NULL. */
static PseudoJson *
find_doubled(const PseudoJson *object)
{
	PseudoJson **fields = palloc(Max(object->nchildren, 1) * sizeof(PseudoJson *));
	PseudoJson *doubled = NULL;
	int			n = 0;

	for (PseudoJson *field = object->first; field; field = field->next)
		fields[n++] = field;
	qsort(fields, n, sizeof(PseudoJson *), compare_names);
	for (int i = 1; i < n && doubled == NULL; i++)
	{
		if (compare_names(&fields[i - 1], &fields[i]) == 0)
			doubled = fields[i];
	}
	pfree(fields);
	return doubled;
}

/* A field: its name and value. */
static PseudoJson *
walk_field(Walk *w)
{
	const char *start = w->p;
	PseudoSpan	name = walk_string(w);
	PseudoJson *field;

	skip_space(w);
	next(w);					/* the colon */
	field = walk_value(w);
	field->start = start;
	field->name = name;
	return field;
}

/* The fields or elements of an object or array, up to its closing bracket. */
static void
walk_children(Walk *w, PseudoJson *parent, char closing)
{
	PseudoJson **link = &parent->first;

	next(w);
	skip_space(w);
	if (peek(w) == closing)
	{
		next(w);
		return;
	}
	do
	{
		skip_space(w);
		*link = parent->type == PSEUDO_NODE_OBJECT ? walk_field(w) : walk_value(w);
		link = &(*link)->next;
		parent->nchildren++;
		skip_space(w);
	} while (next(w) == ',');
}

/* A number or word: up to what cannot be part of it. */
static void
walk_plain(Walk *w)
{
	while (w->p < w->end && strchr(",]} \t\r\n", *w->p) == NULL)
		w->p++;
}

/* A value and all beneath it; check_depth() has bounded the recursion. */
static PseudoJson *
walk_value(Walk *w)
{
	PseudoJson *node = palloc0(sizeof(PseudoJson));

	skip_space(w);
	node->start = node->source.data = w->p;
	switch (peek(w))
	{
		case '{':
			node->type = PSEUDO_NODE_OBJECT;
			walk_children(w, node, '}');
			node->doubled = find_doubled(node);
			if (node->doubled)
				w->json->doubled = true;
			break;
		case '[':
			node->type = PSEUDO_NODE_ARRAY;
			walk_children(w, node, ']');
			break;
		case '"':
			node->type = PSEUDO_NODE_STRING;
			node->text = walk_string(w);
			break;
		case 't':
		case 'f':
		case 'n':
			node->type = PSEUDO_NODE_WORD;
			walk_plain(w);
			break;
		default:
			node->type = PSEUDO_NODE_NUMBER;
			walk_plain(w);
			break;
	}
	node->end = w->p;
	node->source.len = node->end - node->source.data;
	return node;
}

/* See json_tree.h. */
bool
pseudo_json_parse(PseudoJsonText *json, const char *data, Size len, const char **fault)
{
	Walk		w = {json, data, data + len, NULL, false};
	MemoryContext old;

	memset(json, 0, sizeof(PseudoJsonText));
	if (!pg_verify_mbstr(PG_UTF8, data, (int) len, true))
	{
		*fault = "not valid UTF-8";
		return false;
	}
	if (!check_depth(data, len))
	{
		*fault = "nested too deep";
		return false;
	}

	json->context = AllocSetContextCreate(CurrentMemoryContext, "pseudo document",
										  ALLOCSET_DEFAULT_SIZES);
	json->decoded = w.decoded = pseudo_secret_alloc(len + 1);
	old = MemoryContextSwitchTo(json->context);
	if (check_grammar(data, len))
		json->root = walk_value(&w);
	MemoryContextSwitchTo(old);
	if (json->root == NULL || w.bad_escape)
	{
		*fault = "not well-formed JSON";
		return false;
	}
	return true;
}

/* See json_tree.h. */
void
pseudo_json_free(PseudoJsonText *json)
{
	pseudo_secret_free(json->decoded);
	if (json->context)
		MemoryContextDelete(json->context);
	memset(json, 0, sizeof(PseudoJsonText));
}

/* See json_tree.h. */
PseudoJson *
pseudo_json_field(const PseudoJson *object, const char *name)
{
	for (PseudoJson *field = object->first; field; field = field->next)
	{
		if (pseudo_span_is(&field->name, name))
			return field;
	}
	return NULL;
}

/* See json_tree.h. */
bool
pseudo_span_is(const PseudoSpan *span, const char *string)
{
	return span->len == strlen(string) && memcmp(span->data, string, span->len) == 0;
}

/* See json_tree.h. */
bool
pseudo_json_integer(const PseudoJson *node, uint64 *value)
{
	*value = 0;
	if (node->type != PSEUDO_NODE_NUMBER)
		return false;
	for (Size i = 0; i < node->source.len; i++)
	{
		char		c = node->source.data[i];

		if (c < '0' || c > '9')
			return false;
		if (*value > (PG_UINT64_MAX - 9) / 10)
			*value = PG_UINT64_MAX;
		else
			*value = *value * 10 + (c - '0');
	}
	return true;
}
