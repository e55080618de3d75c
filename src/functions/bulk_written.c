/*
 * bulk_written.c
 *		What a bulk procedure of this backend writes at this moment.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "../compat.h"
#include "bulk_written.h"

static PseudoWritten *written = NULL;
static Oid	writer;				/* the user: a foreign key's triggers, which
								 * run meanwhile, have others, who may not see
								 * it */

/* Where the last look-up found its row: they come in order. */
static int	last_row;
static int	last_value;

/* See bulk_written.h. */
void
pseudo_written_begin(PseudoWritten *rows)
{
	written = rows;
	writer = GetUserId();
	last_row = last_value = 0;
}

/* See bulk_written.h. */
PseudoWritten *
pseudo_written_end(void)
{
	PseudoWritten *rows = written;

	written = NULL;
	return rows;
}

/* Returns true if two texts, which may be NULL, are the same bytes. */
static bool
same_bytes(const text *a, const text *b)
{
	return a && b && VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* The number of a row that is being written, or -1. */
static int
find_written(ItemPointer tid)
{
	for (int i = 0; written && i < written->nrows; i++)
	{
		int			row = (last_row + i) % written->nrows;

		if (ItemPointerEquals(&written->tids[row], tid))
		{
			last_row = row;
			return row;
		}
	}
	return -1;
}

/* See bulk_written.h. */
bool
pseudo_written_value(ItemPointer tid, int no, text **value)
{
	int			row = GetUserId() == writer ? find_written(tid) : -1;

	if (row < 0 || no < 0 || no >= written->ncolumns)
		return false;
	*value = written->values[row * written->ncolumns + no];
	return true;
}

/* See bulk_written.h. */
bool
pseudo_written_has(Oid relid, ItemPointer tid, AttrNumber attno, const text *value)
{
	int			row = written && written->relid == relid ? find_written(tid) : -1;

	for (int no = 0; row >= 0 && no < written->ncolumns; no++)
	{
		if (written->columns[no].attno == attno)
			return same_bytes(written->values[row * written->ncolumns + no], value);
	}
	return false;
}

/* Returns true if a text has the same bytes as a string. */
static bool
same_string(const text *a, const char *b)
{
	return VARSIZE_ANY_EXHDR(a) == strlen(b) && memcmp(VARDATA_ANY(a), b, strlen(b)) == 0;
}

/* See bulk_written.h. */
bool
pseudo_written_replaces(const text *old, const text *value, const char *context, const char *keyring)
{
	int			n = written ? written->nrows * written->ncolumns : 0;

	for (int i = 0; i < n; i++)
	{
		int			no = (last_value + i) % n;
		PseudoWrittenColumn *column = &written->columns[no % written->ncolumns];

		if (same_bytes(written->values[no], value) && same_bytes(written->olds[no], old) &&
			same_string(column->context, context) && same_string(column->keyring, keyring))
		{
			last_value = no;
			return true;
		}
	}
	return false;
}
