/*
 * json_escape.c
 *		What an escape in a JSON string stands for.
 *
 * PostgreSQL's lexer decodes as well, but whole strings, and into memory of its
 * own that is not wiped.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "json_escape.h"

/* Read four hex digits; returns false where there are none. */
static bool
read_hex_digits(const char **s, const char *end, pg_wchar *value)
{
	*value = 0;
	if (end - *s < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		char		digit = *(*s)++;

		if (!isxdigit((unsigned char) digit))
			return false;
		*value = *value << 4 | (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
	}
	return true;
}

/*
 * Read the character of a \u escape, after the u, and of the second one of a
 * pair.
 */
static bool
read_code_point(const char **s, const char *end, pg_wchar *c)
{
	pg_wchar	second;

	if (!read_hex_digits(s, end, c) || is_utf16_surrogate_second(*c))
		return false;
	if (!is_utf16_surrogate_first(*c))
		return true;
	if (end - *s < 2 || (*s)[0] != '\\' || (*s)[1] != 'u')
		return false;
	*s += 2;
	if (!read_hex_digits(s, end, &second) || !is_utf16_surrogate_second(second))
		return false;
	*c = surrogate_pair_to_codepoint(*c, second);
	return true;
}

/* See json_escape.h. */
bool
pseudo_json_unescape(const char **s, const char *end, char **out)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *next = *s;
	const char *letter;
	pg_wchar	c;

	if (next >= end || *next == '\0')
		return false;
	if (*next == 'u')
	{
		next++;
		if (!read_code_point(&next, end, &c))
			return false;
		unicode_to_utf8(c, (unsigned char *) *out);
		*out += pg_utf_mblen((unsigned char *) *out);
	}
	else
	{
		letter = strchr(letters, *next++);
		if (letter == NULL)
			return false;
		*(*out)++ = meanings[letter - letters];
	}
	*s = next;
	return true;
}
