/*
 * audit_json.c
 *		JSON of one line and of ASCII alone, whatever is put into it.
 *
 * PostgreSQL's own functions leave most bytes as they are.  A record is read
 * by others, in another encoding perhaps, and nothing in it may end its line.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"

#include "audit_json.h"

#define REPLACEMENT	0xFFFD		/* for what is no character */

/* Append a character. */
static void
append_character(StringInfo json, pg_wchar c)
{
	if (c == '"' || c == '\\')
		appendStringInfo(json, "\\%c", (char) c);
	else if (c >= 0x20 && c < 0x7F)
		appendStringInfoChar(json, (char) c);
	else if (c >= 0x10000)
		appendStringInfo(json, "\\u%04x\\u%04x", (unsigned) (0xD800 + ((c - 0x10000) >> 10)),
						 (unsigned) (0xDC00 + ((c - 0x10000) & 0x3FF)));
	else
		appendStringInfo(json, "\\u%04x", (unsigned) c);
}

/* See audit_json.h. */
bool
pseudo_audit_json_utf8(StringInfo json, const char *s, size_t len)
{
	const unsigned char *next = (const unsigned char *) s;
	const unsigned char *end = next + len;
	int			n = 0;

	appendStringInfoChar(json, '"');
	for (; next < end && n < PSEUDO_AUDIT_TEXT; n++)
	{
		int			size = pg_utf_mblen(next);

		if (size > end - next || !pg_utf8_islegal(next, size))
		{
			append_character(json, REPLACEMENT);
			next++;
			continue;
		}
		append_character(json, utf8_to_unicode(next));
		next += size;
	}
	appendStringInfoChar(json, '"');
	return next >= end;
}

/*
 * Convert from the server encoding: where that cannot be done, a byte becomes
 * a question mark.  A record is not refused for a name.
 */
static char *
convert_lossily(const char *s, size_t len, size_t *out_len)
{
	Oid			proc = FindDefaultConversionProc(GetDatabaseEncoding(), PG_UTF8);
	size_t		room = len * MAX_CONVERSION_GROWTH + 1;
	char	   *out = palloc(room);
	size_t		done = 0;

	*out_len = 0;
	while (done < len)
	{
		if (OidIsValid(proc))
			done += pg_do_encoding_conversion_buf(proc, GetDatabaseEncoding(), PG_UTF8,
												  (unsigned char *) unconstify(char *, s) + done, len - done,
												  (unsigned char *) out + *out_len, room - *out_len, true);
		*out_len += strlen(out + *out_len);
		if (done < len)
		{
			out[(*out_len)++] = '?';
			out[*out_len] = '\0';
			done++;
		}
	}
	return out;
}

/* See audit_json.h. */
bool
pseudo_audit_json_text(StringInfo json, const char *s)
{
	size_t		len;

	if (s == NULL)
	{
		appendStringInfoString(json, "null");
		return true;
	}
	len = strlen(s);
	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		char	   *utf8 = convert_lossily(s, len, &len);

		return pseudo_audit_json_utf8(json, utf8, len);
	}
	return pseudo_audit_json_utf8(json, s, len);
}

/* See audit_json.h. */
void
pseudo_audit_json_time(char out[PSEUDO_AUDIT_TIME], TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		memset(&tm, 0, sizeof(tm));
		fsec = 0;
	}
	snprintf(out, PSEUDO_AUDIT_TIME, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday,
			 tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
}
