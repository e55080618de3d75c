/*
 * spelling.c
 *		Pseudonyms that are spelled in another way than ours: what mail, CSV files,
 *		base64 tools and people do to a text on its way.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "../compat.h"
#include "../core/pseudonym.h"
#include "spelling.h"

/* The fewest characters of base64, without padding, that a pseudonym has. */
#define MIN_CHARACTERS	((PSEUDO_OVERHEAD * 8 + 5) / 6)

/* Random letters change their kind at more than half of the places; one in this many will do. */
#define RARE_CHANGE		8

/* What a character is. */
typedef enum Kind
{
	KIND_OTHER,					/* makes the text no pseudonym */
	KIND_SPACE,					/* is passed over, as quotes are */
	KIND_PADDING,
	KIND_SYMBOL,				/* of base64, or of its form for URLs */
	KIND_DIGIT,
	KIND_UPPER,
	KIND_LOWER
} Kind;

/* What has been seen of a text. */
typedef struct Reading
{
	int64		characters;		/* of base64 */
	int64		alphanumerics;
	int64		changes;		/* of kind within a word, but for a capital at
								 * its start */
	bool		has_upper;
	bool		has_lower;
	bool		has_padding;
	Kind		last;
	bool		at_start;		/* the last character is the first of a word */
} Reading;

/* White space and invisible characters outside of ASCII, in UTF-8. */
static const char *const spaces[] = {
	"\xC2\x85", "\xC2\xA0", "\xC2\xAD", "\xE1\x9A\x80", "\xE1\xA0\x8E",
	"\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84",
	"\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89",
	"\xE2\x80\x8A", "\xE2\x80\x8B", "\xE2\x80\x8C", "\xE2\x80\x8D", "\xE2\x80\x8E",
	"\xE2\x80\x8F", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F",
	"\xE2\x81\xA0", "\xE3\x80\x80", "\xEF\xBB\xBF"
};

/* The length of the white space that begins with a byte outside of ASCII, or 0. */
static size_t
wide_space(const char *s, const char *end)
{
	int			encoding = GetDatabaseEncoding();

	/* In one byte, it is the no-break space nearly everywhere. */
	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
		return pg_database_encoding_max_length() == 1 && *s == '\xA0' ? 1 : 0;
	for (size_t i = 0; i < lengthof(spaces); i++)
	{
		size_t		len = strlen(spaces[i]);

		if ((size_t) (end - s) >= len && memcmp(s, spaces[i], len) == 0)
			return len;
	}
	return 0;
}

/* What an ASCII character is. */
static Kind
ascii_kind(char c)
{
	if (c >= 'a' && c <= 'z')
		return KIND_LOWER;
	if (c >= 'A' && c <= 'Z')
		return KIND_UPPER;
	if (c >= '0' && c <= '9')
		return KIND_DIGIT;
	if (c == '+' || c == '/' || c == '-' || c == '_')
		return KIND_SYMBOL;
	if (c == '=')
		return KIND_PADDING;
	if (c == ' ' || (c >= '\t' && c <= '\r') || c == '"' || c == '\'')
		return KIND_SPACE;
	return KIND_OTHER;
}

/* Take the next character.  Returns false where the text is no pseudonym. */
static bool
read_character(Reading *reading, Kind kind)
{
	if (kind == KIND_OTHER || (kind > KIND_PADDING && reading->has_padding))
		return false;
	reading->has_padding |= kind == KIND_PADDING;
	reading->has_upper |= kind == KIND_UPPER;
	reading->has_lower |= kind == KIND_LOWER;
	reading->characters += kind >= KIND_SYMBOL;
	reading->alphanumerics += kind >= KIND_DIGIT;
	if (kind >= KIND_DIGIT && reading->last >= KIND_DIGIT)
	{
		bool		is_capital = reading->at_start && reading->last == KIND_UPPER &&
			kind == KIND_LOWER;

		reading->changes += kind != reading->last && !is_capital;
		reading->at_start = false;
	}
	else
		reading->at_start = true;
	reading->last = kind;
	return true;
}

/* See spelling.h. */
bool
pseudo_is_misspelled(const text *value)
{
	const char *s = VARDATA_ANY(value);
	const char *end = s + VARSIZE_ANY_EXHDR(value);
	Reading		reading = {0};

	if (end - s < MIN_CHARACTERS)
		return false;
	while (s < end)
	{
		size_t		len = IS_HIGHBIT_SET(*s) ? wide_space(s, end) : 1;

		if (len == 0 ||
			!read_character(&reading, IS_HIGHBIT_SET(*s) ? KIND_SPACE : ascii_kind(*s)))
			return false;
		s += len;
	}
	return reading.characters >= MIN_CHARACTERS && reading.has_upper && reading.has_lower &&
		reading.changes * RARE_CHANGE >= reading.alphanumerics;
}
