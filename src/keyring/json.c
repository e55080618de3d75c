/*
 * json.c
 *		A JSON document as a tree over its own text.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "json.h"

typedef struct ParseState
{
	JsonLexContext *lex;
	PseudoJson *nodes;
	int			used;
	PseudoJson *current;		/* the value being read */
	bool		overflow;		/* more nodes than there is room for */
} ParseState;

/* Callbacks return a status since PostgreSQL 16. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType CallbackResult;
#define CALLBACK_DONE	return JSON_SUCCESS
#else
typedef void CallbackResult;
#define CALLBACK_DONE	return
#endif

/* Add a child to the current value, which starts at the lexer's token, and enter it. */
static void
enter(ParseState *state)
{
	PseudoJson *parent = state->current;
	PseudoJson *node;

	if (state->used == PSEUDO_JSON_MAX_NODES)
	{
		/* Read on without keeping anything; the caller reports it. */
		state->overflow = true;
		return;
	}
	node = &state->nodes[state->used++];
	node->value = state->lex->token_start;
	node->parent = parent;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	state->current = node;
}

/* Leave the current value, which ended with the token before the lexer's. */
static void
leave(ParseState *state)
{
	if (state->overflow)
		return;
	state->current->value_end = state->lex->prev_token_terminator;
	state->current = state->current->parent;
}

/*
 * Find the name before a value: behind the value's colon, going back.  A quote
 * within a string has an odd number of backslashes before it, the opening one has none.
 */
static void
find_name(ParseState *state)
{
	PseudoJson *node = state->current;
	const char *p = state->lex->prev_token_terminator - 1;

	while (*p != '"')
		p--;
	node->name_end = p + 1;
	for (;;)
	{
		const char *q;

		do
			p--;
		while (*p != '"');
		for (q = p; q[-1] == '\\'; q--)
			;
		if ((p - q) % 2 == 0)
			break;
	}
	node->name = p;
}

static CallbackResult
field_start(void *arg, char *name pg_attribute_unused(), bool isnull pg_attribute_unused())
{
	ParseState *state = arg;

	enter(state);
	if (!state->overflow)
		find_name(state);
	CALLBACK_DONE;
}

static CallbackResult
field_end(void *arg, char *name pg_attribute_unused(), bool isnull pg_attribute_unused())
{
	leave(arg);
	CALLBACK_DONE;
}

static CallbackResult
element_start(void *arg, bool isnull pg_attribute_unused())
{
	enter(arg);
	CALLBACK_DONE;
}

static CallbackResult
element_end(void *arg, bool isnull pg_attribute_unused())
{
	leave(arg);
	CALLBACK_DONE;
}

/* Are the brackets outside of strings nested no deeper than allowed? */
static bool
depth_allowed(const char *data, Size len)
{
	int			depth = 0;
	bool		in_string = false;

	for (Size i = 0; i < len; i++)
	{
		char		c = data[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']'))
			depth--;
		if (depth > PSEUDO_JSON_MAX_DEPTH)
			return false;
	}
	return true;
}

/* The value of four hex digits, which have been checked. */
static unsigned
hex4(const char *p)
{
	unsigned	v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return v;
}

/* De-escape what stands between the quotes at start and end - 1. */
static Size
unescape(const char *start, const char *end, char *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	char	   *o = out;

	for (const char *p = start + 1; p < end - 1; p++)
	{
		if (*p != '\\')
			*o++ = *p;
		else if (*++p != 'u')
			*o++ = to[strchr(from, *p) - from];
		else
		{
			/* A lone surrogate's bytes are no valid UTF-8, and equal to no text of ours. */
			unicode_to_utf8(hex4(p + 1), (unsigned char *) o);
			o += pg_utf_mblen((unsigned char *) o);
			p += 4;
		}
	}
	return o - out;
}

/* Are two names the same, escapes resolved? */
static bool
same_name(const PseudoJson *a, const PseudoJson *b)
{
	Size		a_len = a->name_end - a->name;
	Size		b_len = b->name_end - b->name;
	char	   *a_text;
	char	   *b_text;
	bool		same;

	if (memchr(a->name, '\\', a_len) == NULL && memchr(b->name, '\\', b_len) == NULL)
		return a_len == b_len && memcmp(a->name, b->name, a_len) == 0;
	a_text = palloc(a_len);
	b_text = palloc(b_len);
	a_len = unescape(a->name, a->name_end, a_text);
	b_len = unescape(b->name, b->name_end, b_text);
	same = a_len == b_len && memcmp(a_text, b_text, a_len) == 0;
	pfree(a_text);
	pfree(b_text);
	return same;
}

/* Does any object hold a name twice? */
static bool
has_doubled_name(const PseudoJson *node)
{
	if (!pseudo_json_is(node, '{') && !pseudo_json_is(node, '['))
		return false;
	for (PseudoJson *child = node->first; child; child = child->next)
	{
		if (has_doubled_name(child))
			return true;
		for (PseudoJson *other = child->next; other && child->name; other = other->next)
		{
			if (same_name(child, other))
				return true;
		}
	}
	return false;
}

/* See json.h. */
PseudoJson *
pseudo_json_parse(const char *data, Size len, PseudoJson *nodes, char **fault)
{
	JsonSemAction actions = {0};
	ParseState	state = {0};
	JsonParseErrorType result;

	if (!pg_verify_mbstr(PG_UTF8, data, len, true))
	{
		*fault = pstrdup("it is not valid UTF-8");
		return NULL;
	}
	if (!depth_allowed(data, len))
	{
		*fault = psprintf("it is nested deeper than %d levels", PSEUDO_JSON_MAX_DEPTH);
		return NULL;
	}

#if PG_VERSION_NUM >= 170000	/* the caller may bring the context */
	state.lex = makeJsonLexContextCstringLen(NULL, data, len, PG_UTF8, false);
#else
	state.lex = makeJsonLexContextCstringLen(unconstify(char *, data), len, PG_UTF8, false);
#endif
	state.nodes = nodes;
	state.used = 1;
	state.current = nodes;
	memset(nodes, 0, PSEUDO_JSON_MAX_NODES * sizeof(PseudoJson));
	actions.semstate = &state;
	actions.object_field_start = field_start;
	actions.object_field_end = field_end;
	actions.array_element_start = element_start;
	actions.array_element_end = element_end;

	result = pg_parse_json(state.lex, &actions);
	pfree(state.lex);
	if (result != JSON_SUCCESS)
	{
		*fault = pstrdup("it is not well-formed JSON");
		return NULL;
	}
	if (state.overflow)
	{
		*fault = psprintf("it has more than %d values", PSEUDO_JSON_MAX_NODES);
		return NULL;
	}

	for (nodes->value = data; strchr(" \t\r\n", *nodes->value); nodes->value++)
		;
	for (nodes->value_end = data + len; strchr(" \t\r\n", nodes->value_end[-1]); nodes->value_end--)
		;
	if (has_doubled_name(nodes))
	{
		*fault = pstrdup("an object has two fields of the same name");
		return NULL;
	}
	return nodes;
}

/* Is what stands between quotes this text, escapes resolved? */
static bool
quoted_is(const char *start, const char *end, const char *text)
{
	char		buf[256];
	Size		len;

	if (end - start > (ptrdiff_t) sizeof(buf))
		return false;
	len = unescape(start, end, buf);
	return len == strlen(text) && memcmp(buf, text, len) == 0;
}

/* See json.h. */
PseudoJson *
pseudo_json_member(const PseudoJson *object, const char *name)
{
	for (PseudoJson *child = object->first; child; child = child->next)
	{
		if (quoted_is(child->name, child->name_end, name))
			return child;
	}
	return NULL;
}

/* See json.h. */
Size
pseudo_json_string(const PseudoJson *node, char *out)
{
	return unescape(node->value, node->value_end, out);
}

/* See json.h. */
bool
pseudo_json_string_is(const PseudoJson *node, const char *text)
{
	return pseudo_json_is(node, '"') && quoted_is(node->value, node->value_end, text);
}

/* See json.h. */
bool
pseudo_json_integer(const PseudoJson *node, uint64 max, uint64 *result)
{
	uint64		v = 0;

	if (node->value_end - node->value > 19)
		return false;
	for (const char *p = node->value; p < node->value_end; p++)
	{
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (*p - '0');
	}
	*result = v;
	return v <= max;
}
