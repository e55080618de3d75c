/*
 * json_walk.c
 *		The scalars under some keys of a JSON document, replaced one by one.
 *
 * Neither walk recurses: nesting costs no stack.
 *
 * PostgreSQL's parser (pg_parse_json with its actions) would not do for the
 * text: it does not say where a token stands, which is needed to leave the rest
 * byte for byte, and it recurses before PostgreSQL 17.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "../keyring/json_escape.h"
#include "call.h"
#include "json_walk.h"

#define JSON_SPACE	" \t\n\r"

/* Where a walk is. */
typedef struct Walk
{
	const PseudoJsonKeys *keys;
	const PseudoJsonReplacer *replacer;
	const PseudoJsonKey *key;	/* the one whose value this is, or NULL */
	size_t		depth;			/* of arrays and objects within that value */
	ErrorContextCallback callback;
} Walk;

/* Text as UTF-8: itself where it is that already, else palloc'ed. */
static const char *
to_utf8(const char *s, size_t *len)
{
	if (pseudo_encoding_converts())
	{
		for (size_t i = 0; i < *len; i++)
		{
			if (IS_HIGHBIT_SET(s[i]))
				return pseudo_to_utf8(s, *len, len);
		}
	}
	return s;
}

/* The order of keys, for qsort and bsearch: shorter ones first. */
static int
compare_keys(const void *a, const void *b)
{
	const PseudoJsonKey *ka = a;
	const PseudoJsonKey *kb = b;

	if (ka->len != kb->len)
		return ka->len < kb->len ? -1 : 1;
	return memcmp(ka->utf8, kb->utf8, ka->len);
}

/* Fill in keys from an array that stays, in the current memory context. */
static void
read_keys(PseudoJsonKeys *keys, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	keys->sorted = palloc(n * sizeof(PseudoJsonKey));
	for (int i = 0; i < n; i++)
	{
		PseudoJsonKey *key = &keys->sorted[i];

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"keys\" must not contain null values")));
		key->name = TextDatumGetCString(elements[i]);
		key->len = strlen(key->name);
		key->utf8 = to_utf8(key->name, &key->len);
	}
	qsort(keys->sorted, n, sizeof(PseudoJsonKey), compare_keys);
	keys->n = n;
	keys->array = array;
}

/* See json_walk.h. */
void
pseudo_json_keys_set(PseudoJsonKeys *keys, ArrayType *array, MemoryContext mcxt)
{
	MemoryContext caller;

	if (keys->array != NULL && VARSIZE(keys->array) == VARSIZE(array) &&
		memcmp(keys->array, array, VARSIZE(array)) == 0)
		return;

	if (keys->mcxt == NULL)
		keys->mcxt = AllocSetContextCreate(mcxt, "pseudo JSON keys", ALLOCSET_SMALL_SIZES);
	keys->array = NULL;			/* until all is done */
	MemoryContextReset(keys->mcxt);
	caller = MemoryContextSwitchTo(keys->mcxt);
	read_keys(keys, (ArrayType *) PG_DETOAST_DATUM_COPY(PointerGetDatum(array)));
	MemoryContextSwitchTo(caller);
}

/* Meet a key: its value comes next.  Keys inside a named value do not matter. */
static void
meet_key(Walk *walk, const char *utf8, size_t len)
{
	PseudoJsonKey wanted = {.utf8 = utf8, .len = len};

	if (walk->key == NULL)
		walk->key = bsearch(&wanted, walk->keys->sorted, walk->keys->n,
							sizeof(PseudoJsonKey), compare_keys);
}

/* Enter an array or object. */
static void
enter(Walk *walk)
{
	if (walk->key != NULL)
		walk->depth++;
}

/* Leave an array or object. */
static void
leave(Walk *walk)
{
	if (walk->depth > 0 && --walk->depth == 0)
		walk->key = NULL;
}

/* Be done with a scalar. */
static void
pass_scalar(Walk *walk)
{
	if (walk->depth == 0)
		walk->key = NULL;
}

/* Error context: the key whose value it was. */
static void
report_key(void *arg)
{
	Walk	   *walk = arg;

	if (walk->key != NULL)
		errcontext("JSON key \"%s\"", walk->key->name);
}

/* Begin a walk: errors name the key. */
static void
begin_walk(Walk *walk)
{
	walk->callback.callback = report_key;
	walk->callback.arg = walk;
	walk->callback.previous = error_context_stack;
	error_context_stack = &walk->callback;
}

/* End a walk: all new scalars are whole then. */
static void
end_walk(Walk *walk)
{
	error_context_stack = walk->callback.previous;
	if (walk->replacer->finish)
		walk->replacer->finish(walk->replacer->arg);
}

/* The numeric of a number of JSON.  Errors: 22003. */
static Numeric
read_number(const char *data, size_t len)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(pnstrdup(data, len)),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

/* A number as a scalar. */
static void
set_number(PseudoJsonScalar *scalar, Numeric number)
{
	scalar->type = PSEUDO_JSON_NUMBER;
	scalar->data = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	scalar->len = strlen(scalar->data);
}

/* A boolean as a scalar. */
static void
set_boolean(PseudoJsonScalar *scalar, bool boolean)
{
	scalar->type = PSEUDO_JSON_BOOLEAN;
	scalar->data = boolean ? "true" : "false";
	scalar->len = strlen(scalar->data);
}

/* See json_walk.h. */
bool
pseudo_json_is_number(const char *data, size_t len)
{
	return len <= MaxAllocSize && IsValidJsonNumber(data, len);
}

/*
 * jsonb
 */

/* Replace a scalar of a jsonb. */
static void
replace_in_jsonb(Walk *walk, JsonbValue *value)
{
	PseudoJsonScalar scalar;

	switch (value->type)
	{
		case jbvNull:
			return;
		case jbvString:
			scalar.type = PSEUDO_JSON_STRING;
			scalar.len = value->val.string.len;
			scalar.data = to_utf8(value->val.string.val, &scalar.len);
			break;
		case jbvNumeric:
			set_number(&scalar, value->val.numeric);
			break;
		case jbvBool:
			set_boolean(&scalar, value->val.boolean);
			break;
		default:
			elog(ERROR, "unexpected type of a scalar in a jsonb: %d", (int) value->type);
	}

	walk->replacer->replace(&scalar, walk->replacer->arg);

	switch (scalar.type)
	{
		case PSEUDO_JSON_STRING:
			value->type = jbvString;
			value->val.string.val = unconstify(char *, scalar.data);
			value->val.string.len = scalar.len;
			break;
		case PSEUDO_JSON_NUMBER:
			value->type = jbvNumeric;
			value->val.numeric = read_number(scalar.data, scalar.len);
			break;
		case PSEUDO_JSON_BOOLEAN:
			value->type = jbvBool;
			value->val.boolean = scalar.data[0] == 't';
			break;
	}
}

/* Take one token of a jsonb; value is its key or its scalar, which may be replaced. */
static void
meet_token(Walk *walk, JsonbIteratorToken token, JsonbValue *value)
{
	switch (token)
	{
		case WJB_KEY:
			{
				size_t		len = value->val.string.len;
				const char *utf8 = to_utf8(value->val.string.val, &len);

				meet_key(walk, utf8, len);
				break;
			}
		case WJB_VALUE:
		case WJB_ELEM:
			if (walk->key != NULL)
				replace_in_jsonb(walk, value);
			pass_scalar(walk);
			break;
		case WJB_BEGIN_ARRAY:
		case WJB_BEGIN_OBJECT:
			enter(walk);
			break;
		case WJB_END_ARRAY:
		case WJB_END_OBJECT:
			leave(walk);
			break;
		case WJB_DONE:
			break;
	}
}

/* See json_walk.h. */
Jsonb *
pseudo_json_walk_jsonb(const PseudoJsonKeys *keys, Jsonb *document,
					   const PseudoJsonReplacer *replacer)
{
	Walk		walk = {.keys = keys, .replacer = replacer};
	JsonbIterator *iterator;
	PseudoJsonbBuilder builder = {0};
	JsonbValue	value;
	JsonbIteratorToken token;

	/*
	 * A scalar on its own is under no key.  (jsonb stores it as an array of
	 * one element.)
	 */
	if (JB_ROOT_IS_SCALAR(document) || keys->n == 0)
		return document;

	begin_walk(&walk);
	iterator = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		bool		has_value = token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM;

		CHECK_FOR_INTERRUPTS();
		meet_token(&walk, token, &value);
		pseudo_push_jsonb(&builder, token, has_value ? &value : NULL);
	}
	end_walk(&walk);
	return JsonbValueToJsonb(builder.result);
}

/* See json_walk.h. */
void
pseudo_json_visit_jsonb(Jsonb *document, PseudoJsonVisit visit, void *arg)
{
	JsonbIterator *iterator = JsonbIteratorInit(&document->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if ((token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
		{
			size_t		len = value.val.string.len;
			const char *utf8 = to_utf8(value.val.string.val, &len);

			visit(utf8, len, arg);
		}
	}
}

/*
 * json
 */

/* Report a json that is not valid JSON: only a binary-coercible cast of somebody's makes such a value. */
static void
__attribute__((noreturn))
report_invalid(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("document is not valid JSON")));
}

/* The end of the string that begins at s. */
static const char *
string_end(const char *s, const char *end)
{
	for (s++; s < end; s++)
	{
		if (*s == '"')
			return s + 1;
		if (*s == '\\')
			s++;
	}
	report_invalid();
}

/* The end of the number or word that begins at s. */
static const char *
word_end(const char *s, const char *end)
{
	while (s < end && strchr("{}[]\",:" JSON_SPACE, *s) == NULL)
		s++;
	return s;
}

/* Returns true if a string that ends here is a key: only a key has a colon after it. */
static bool
colon_follows(const char *s, const char *end)
{
	while (s < end && strchr(JSON_SPACE, *s) != NULL && *s != '\0')
		s++;
	return s < end && *s == ':';
}

/* Append what an escape stands for, after its backslash; returns false for no character of a text. */
static bool
append_escape(StringInfo buf, const char **s, const char *end)
{
	char		utf8[MAX_MULTIBYTE_CHAR_LEN];
	char	   *after = utf8;

	if (!pseudo_json_unescape(s, end, &after) || utf8[0] == '\0')
		return false;
	appendBinaryStringInfo(buf, utf8, after - utf8);
	return true;
}

/*
 * What the string from s to end, with its quotes, stands for: *utf8, of *len bytes.
 * Returns false where an escape in it stands for no character that a text can hold.
 */
static bool
read_string(const char *s, const char *end, const char **utf8, size_t *len)
{
	StringInfoData out;

	s++;
	end--;
	*len = end - s;
	if (memchr(s, '\\', *len) == NULL)
	{
		*utf8 = to_utf8(s, len);
		return true;
	}

	initStringInfo(&out);
	while (s < end)
	{
		const char *backslash = memchr(s, '\\', end - s);
		size_t		run = (backslash ? backslash : end) - s;
		const char *run_utf8 = to_utf8(s, &run);

		appendBinaryStringInfo(&out, run_utf8, run);
		if (backslash == NULL)
			break;
		s = backslash + 1;
		if (!append_escape(&out, &s, end))
			return false;
	}
	*utf8 = out.data;
	*len = out.len;
	return true;
}

/* Read the scalar from s to end; returns false for null.  Errors: 22P05, 22003. */
static bool
read_scalar(const char *s, const char *end, PseudoJsonScalar *scalar)
{
	size_t		len = end - s;

	if (*s == '"')
	{
		scalar->type = PSEUDO_JSON_STRING;
		if (!read_string(s, end, &scalar->data, &scalar->len))
			ereport(ERROR,
					(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
					 errmsg("string has an escape that stands for no character"),
					 errdetail("\\u0000 and half a surrogate pair cannot be part of a text.")));
	}
	else if (len == 4 && memcmp(s, "null", 4) == 0)
		return false;
	else if (len == 4 && memcmp(s, "true", 4) == 0)
		set_boolean(scalar, true);
	else if (len == 5 && memcmp(s, "false", 5) == 0)
		set_boolean(scalar, false);
	else if (pseudo_json_is_number(s, len))
		set_number(scalar, read_number(s, len));
	else
		report_invalid();
	return true;
}

/* Returns true if a string of JSON can hold these bytes as they are, as it can pseudonyms and most values. */
static bool
is_plain(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) data[i] < ' ' || data[i] == '"' || data[i] == '\\')
			return false;
	}
	return true;
}

/* Write a scalar. */
static void
write_scalar(StringInfo out, const PseudoJsonScalar *scalar)
{
	if (scalar->type != PSEUDO_JSON_STRING)
		appendBinaryStringInfo(out, scalar->data, scalar->len);
	else if (is_plain(scalar->data, scalar->len))
	{
		appendStringInfoCharMacro(out, '"');
		appendBinaryStringInfo(out, scalar->data, scalar->len);
		appendStringInfoCharMacro(out, '"');
	}
	else
		escape_json(out, pnstrdup(scalar->data, scalar->len));
}

/* A scalar of a document that is replaced: where it was, and the new one. */
typedef struct Piece
{
	const char *start;
	const char *end;
	PseudoJsonScalar scalar;
} Piece;

/* All of a document, in its order. */
typedef struct Pieces
{
	int			n;
	int			room;
	size_t		len;			/* bytes of the new scalars */
	Piece	   *pieces;
} Pieces;

/* Add a piece.  Errors: 54000 where the new document will be too large. */
static void
add_piece(Pieces *pieces, const Piece *piece)
{
	if (pieces->n == pieces->room)
	{
		pieces->room = pieces->room ? 2 * pieces->room : 8;
		pieces->pieces = pieces->pieces ?
			repalloc_huge(pieces->pieces, pieces->room * sizeof(Piece)) :
			palloc(pieces->room * sizeof(Piece));
	}
	pieces->len += piece->scalar.len;
	if (pieces->len > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("document is too large"),
				 errdetail("With its scalars replaced it has more than 1 GB.")));
	pieces->pieces[pieces->n++] = *piece;
}

/* Take the string, number or word from s to end; where it is to be replaced, it is a piece. */
static void
meet_word(Walk *walk, const char *s, const char *end, const char *document_end, Pieces *pieces)
{
	PseudoJsonScalar scalar;

	if (*s == '"' && colon_follows(end, document_end))
	{
		if (walk->key == NULL && read_string(s, end, &scalar.data, &scalar.len))
			meet_key(walk, scalar.data, scalar.len);
		return;
	}
	if (walk->key != NULL && read_scalar(s, end, &scalar))
	{
		Piece		piece = {.start = s, .end = end};

		walk->replacer->replace(&scalar, walk->replacer->arg);
		piece.scalar = scalar;
		add_piece(pieces, &piece);
	}
	pass_scalar(walk);
}

/* A document with its pieces replaced. */
static text *
put_together(text *document, const Pieces *pieces)
{
	const char *copied = VARDATA_ANY(document); /* up to here it is in out */
	const char *end = copied + VARSIZE_ANY_EXHDR(document);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	for (int i = 0; i < pieces->n; i++)
	{
		const Piece *piece = &pieces->pieces[i];

		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(&out, copied, piece->start - copied);
		write_scalar(&out, &piece->scalar);
		copied = piece->end;
	}
	appendBinaryStringInfo(&out, copied, end - copied);
	SET_VARSIZE(out.data, out.len);
	return (text *) out.data;
}

/* See json_walk.h. */
text *
pseudo_json_walk_json(const PseudoJsonKeys *keys, text *document,
					  const PseudoJsonReplacer *replacer)
{
	Walk		walk = {.keys = keys, .replacer = replacer};
	const char *s = VARDATA_ANY(document);
	const char *end = s + VARSIZE_ANY_EXHDR(document);
	const char *next;
	Pieces		pieces = {0};

	begin_walk(&walk);
	for (; s < end; s = next)
	{
		CHECK_FOR_INTERRUPTS();
		next = s + 1;
		switch (*s)
		{
			case '{':
			case '[':
				enter(&walk);
				break;
			case '}':
			case ']':
				leave(&walk);
				break;
			case ',':
			case ':':
			case ' ':
			case '\t':
			case '\n':
			case '\r':
				break;
			case '\0':
				report_invalid();
			default:
				next = *s == '"' ? string_end(s, end) : word_end(s, end);
				meet_word(&walk, s, next, end, &pieces);
		}
	}
	end_walk(&walk);
	return pieces.n == 0 ? document : put_together(document, &pieces);
}

/* See json_walk.h. */
void
pseudo_json_visit_json(text *document, PseudoJsonVisit visit, void *arg)
{
	const char *s = VARDATA_ANY(document);
	const char *end = s + VARSIZE_ANY_EXHDR(document);

	while ((s = memchr(s, '"', end - s)) != NULL)
	{
		const char *next = string_end(s, end);
		const char *utf8;
		size_t		len;

		CHECK_FOR_INTERRUPTS();
		if (read_string(s, next, &utf8, &len))
			visit(utf8, len, arg);
		s = next;
	}
}
