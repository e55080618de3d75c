/*
 * coverage_match.c
 *		Compares the values of a row with those of its labelled columns, for
 *		pseudo_coverage(): under another name they are plaintext still.
 *
 * A deterministic pseudonym has been opened; to compare its value with another one tells what making the
 * other one's pseudonym would tell, and counts as that.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "coverage_look.h"
#include "json_walk.h"
#include "watch.h"

/* Values of fewer bytes are not compared: they are equal by chance. */
#define COMPARED_MIN	3

/* A string of a row, or one in an array or a document of it. */
typedef struct Match
{
	PseudoReading *reading;
	PseudoReadColumn *read;
	int			row;
} Match;

/* Returns true if a value is that of a labelled column. */
static bool
is_same_value(PseudoReading *reading, const PseudoReadColumn *labelled, const PseudoPlain *plain,
			  const char *utf8, size_t len)
{
	if (plain->utf8 == NULL || utf8 == NULL || plain->len != len)
		return false;
	if (plain->is_opened)
		pseudo_watch_use(pseudo_pair_call(reading->coverage, labelled->column->pair), 1);
	return memcmp(plain->utf8, utf8, len) == 0;
}

/* Compare a string with the labelled columns of its row. */
static void
match_string(const Match *match, const char *utf8, size_t len)
{
	PseudoReading *reading = match->reading;
	PseudoSeen *seen = &match->read->column->seen;

	if (len < COMPARED_MIN)
		return;
	for (int c = 0; c < reading->ncolumns; c++)
	{
		const PseudoReadColumn *labelled = &reading->columns[c];

		if (labelled->plain == NULL ||
			!is_same_value(reading, labelled, &labelled->plain[match->row], utf8, len))
			continue;
		seen->copies++;
		if (seen->copied == NULL)
			seen->copied = labelled->column->name;
		return;
	}
}

/* A string inside of an array or a document. */
static void
match_inner(const char *utf8, size_t len, void *arg)
{
	Match	   *match = arg;
	PseudoSeen *seen = &match->read->column->seen;
	int64		copies = seen->copies;

	pseudo_count_string(match->reading, match->read, utf8, len);
	match_string(match, utf8, len);
	seen->plaintext += seen->copies - copies;
}

/* The strings of an array. */
static void
match_array(Match *match, ArrayType *array)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	array_iter	iterator;

	pseudo_texts_begin(&iterator, array);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		element = pseudo_texts_next(&iterator, &isnull, i);
		text	   *value;
		size_t		len;
		const char *utf8;

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		value = DatumGetTextPP(element);
		len = VARSIZE_ANY_EXHDR(value);
		utf8 = pseudo_try_to_utf8(VARDATA_ANY(value), &len);
		if (utf8)
			match_inner(utf8, len, match);
	}
}

/* Compare what a row has in a column without a label. */
static void
match_value(Match *match)
{
	PseudoReadColumn *read = match->read;
	Datum		raw = read->raw[match->row];
	const char *utf8;
	size_t		len;

	switch (read->column->look)
	{
		case PSEUDO_LOOK_TEXT:
			len = VARSIZE_ANY_EXHDR(read->values[match->row]);
			utf8 = pseudo_try_to_utf8(VARDATA_ANY(read->values[match->row]), &len);
			if (utf8)
				match_string(match, utf8, len);
			break;
		case PSEUDO_LOOK_ARRAY:
			match_array(match, DatumGetArrayTypeP(raw));
			break;
		case PSEUDO_LOOK_JSON:
			pseudo_json_visit_json(DatumGetTextPP(raw), match_inner, match);
			break;
		case PSEUDO_LOOK_JSONB:
			pseudo_json_visit_jsonb(DatumGetJsonbP(raw), match_inner, match);
			break;
		case PSEUDO_LOOK_NOTHING:
			break;
	}
}

/* Returns true if a target has not what its source gives, as far as that can be told. */
static bool
is_unmatched(PseudoReading *reading, const PseudoReadColumn *target, const PseudoReadColumn *source, int row)
{
	const PseudoPlain *plain = &target->plain[row];
	const PseudoPlain *given = &source->plain[row];

	if (target->values[row] == NULL || source->values[row] == NULL)
		return (target->values[row] == NULL) != (source->values[row] == NULL);
	return plain->is_opened && given->utf8 != NULL &&
		!is_same_value(reading, target, plain, given->utf8, given->len);
}

/* Compare a target with its source. */
static void
match_target(PseudoReading *reading, const PseudoReadColumn *target)
{
	for (int c = 0; c < reading->ncolumns; c++)
	{
		const PseudoReadColumn *source = &reading->columns[c];

		for (int i = 0; source->column->attno == target->column->source && i < reading->n; i++)
			target->column->seen.unmatched += is_unmatched(reading, target, source, i);
	}
}

/* See coverage_look.h. */
void
pseudo_match_rows(PseudoReading *reading)
{
	for (int c = 0; c < reading->ncolumns; c++)
	{
		PseudoReadColumn *read = &reading->columns[c];
		Match		match = {.reading = reading, .read = read};

		if (read->column->source > 0)
			match_target(reading, read);
		for (; read->plain == NULL && match.row < reading->n; match.row++)
		{
			if (read->raw[match.row] != 0)
				match_value(&match);
		}
	}
}
