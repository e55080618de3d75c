/*
 * coverage_count.c
 *		Opens the values of a column for pseudo_coverage(), and counts them.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "coverage_look.h"
#include "reseal.h"
#include "spelling.h"

/* A pseudonym that was opened. */
typedef struct Found
{
	PseudoPair *pair;
	bool		is_primary;		/* its key */
	PseudoNonceMode mode;		/* where the column has a label */
	const char *utf8;
	size_t		len;			/* bytes */
} Found;

/* Returns true if a column's pseudonyms go into another one: what it has are values, whatever they look like. */
static inline bool
is_source(const PseudoCoverageColumn *column)
{
	return column->source == 0 && column->label->into != NULL;
}

/* Returns true if a pseudonym is not of the mode that a label asks for. */
static bool
differs_in_mode(const PseudoCoverageColumn *column, PseudoNonceMode mode)
{
	return column->label->mode == PSEUDO_MODE_DETERMINISTIC ?
		mode != PSEUDO_NONCE_IS_DETERMINISTIC : mode == PSEUDO_NONCE_IS_DETERMINISTIC;
}

/* Count a pseudonym, of row i or inside of its value. */
static void
count_found(PseudoReadColumn *read, int i, const Found *found)
{
	PseudoCoverageColumn *column = read->column;
	PseudoSeen *seen = &column->seen;

	if (found->is_primary)
		seen->pseudonyms++;
	else
		seen->older++;
	if (found->pair != column->pair)
	{
		seen->pair = found->pair;
		seen->other_pair++;
	}
	if (read->plain == NULL)
		read->guess = found->pair;
	if (read->plain == NULL || is_source(column))
		return;
	seen->other_mode += differs_in_mode(column, found->mode);
	if (found->mode == PSEUDO_NONCE_IS_DETERMINISTIC)
	{
		/* Never a random one: to compare that would be to test a guess. */
		read->plain[i] = (PseudoPlain)
		{
			.utf8 = found->utf8, .len = found->len, .is_opened = true
		};
		if (column->label->mode == PSEUDO_MODE_DETERMINISTIC)
			addHyperLogLog(&read->distinct, hash_bytes((const unsigned char *) found->utf8, (int) found->len));
	}
}

/* Open and count those of a column's values that the key opens that they are most likely of. */
static void
count_likely(PseudoReading *reading, PseudoReadColumn *read)
{
	PseudoOpenBatch *batch = read->batch;
	PseudoPair *pair = read->guess;
	PseudoNonceMode modes[PSEUDO_BATCH] = {0};
	PseudoCall *call = pseudo_pair_call(reading->coverage, pair);

	batch->n = 0;
	for (int i = 0; i < reading->n; i++)
		pseudo_open_add(call, batch, read->values[i]);
	pseudo_open_likely(call, batch);
	if (read->plain)
		pseudo_nonce_modes(call, batch, modes);
	for (int i = 0; i < batch->n; i++)
	{
		Found		found = {
			.pair = pair,
			.is_primary = batch->openers[i] == call->keyring->primary,
			.mode = modes[i],
			.utf8 = batch->values[i],
			.len = batch->lens[i]
		};

		if (batch->openers[i] == NULL)
			continue;
		count_found(read, i, &found);
		if (read->plain == NULL)
			explicit_bzero(batch->values[i], batch->lens[i]);
	}
}

/* Keep an opened value until the rows have been compared. */
static void
keep_opened(PseudoReading *reading, const PseudoOpened *opened)
{
	PseudoOpened *kept = palloc(sizeof(PseudoOpened));

	*kept = *opened;
	reading->opened = lappend(reading->opened, kept);
}

/* Open a value under a pair, and count it.  Returns false if it does not open. */
static bool
count_under(PseudoReading *reading, PseudoReadColumn *read, int i, text *value, PseudoPair *pair)
{
	PseudoCall *call = pseudo_pair_call(reading->coverage, pair);
	MemoryContext caller = MemoryContextSwitchTo(reading->coverage->mcxt);
	PseudoOpened opened;
	bool		opens = pseudo_try_open(call, value, &opened);
	Found		found = {.pair = pair};

	if (opens)
	{
		keep_opened(reading, &opened);
		found.is_primary = opened.key == call->keyring->primary;
		found.utf8 = VARDATA(opened.value);
		found.len = opened.len;
		if (read->plain)
			found.mode = pseudo_nonce_mode(call, &opened);
		count_found(read, i, &found);
	}
	MemoryContextSwitchTo(caller);
	return opens;
}

/* Open a value that looks like a pseudonym under the first pair that can, and count it.  Returns false if none can. */
static bool
count_under_any(PseudoReading *reading, PseudoReadColumn *read, int i, text *value)
{
	PseudoPair *guess = read->guess;
	ListCell   *cell;

	if (guess && count_under(reading, read, i, value, guess))
		return true;
	foreach(cell, reading->coverage->pairs)
	{
		PseudoPair *pair = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (pair->why == NULL && pair != guess && count_under(reading, read, i, value, pair))
			return true;
	}
	return false;
}

/* Let a value that a column holds be compared. */
static void
set_plain(PseudoReadColumn *read, int i, text *value)
{
	size_t		len = VARSIZE_ANY_EXHDR(value);

	read->plain[i].utf8 = pseudo_try_to_utf8(VARDATA_ANY(value), &len);
	read->plain[i].len = len;
	read->plain[i].is_opened = false;
}

/* Count a value that is no pseudonym. */
static void
count_plaintext(PseudoReadColumn *read, int i, text *value)
{
	read->column->seen.plaintext++;
	if (read->plain)
		set_plain(read, i, value);
	else
		pseudo_hint_count(&read->column->seen, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* Count a value that has not been opened with others. */
static void
count_alone(PseudoReading *reading, PseudoReadColumn *read, int i, text *value)
{
	PseudoSeen *seen = &read->column->seen;
	bool		is_shaped = pseudo_looks_like_pseudonym(value);

	if (is_shaped && count_under_any(reading, read, i, value))
		return;
	if (read->column->label->existing == PSEUDO_EXISTING_VALUE)
		count_plaintext(read, i, value);
	else if (is_shaped)
		seen->unreadable++;
	else if (pseudo_is_misspelled(value))
	{
		seen->unreadable++;
		seen->misspelled++;
	}
	else
		count_plaintext(read, i, value);
}

/* See coverage_look.h. */
void
pseudo_count_values(PseudoReading *reading, PseudoReadColumn *read)
{
	bool		is_batch = read->guess != NULL;

	if (read->plain)
		memset(read->plain, 0, PSEUDO_BATCH * sizeof(PseudoPlain));
	if (is_batch)
		count_likely(reading, read);
	for (int i = 0; i < reading->n; i++)
	{
		if (read->values[i] && !(is_batch && read->batch->openers[i]))
			count_alone(reading, read, i, read->values[i]);
		if (read->values[i] && is_source(read->column))
			set_plain(read, i, read->values[i]);
	}
}

/* See coverage_look.h. */
void
pseudo_count_string(PseudoReading *reading, PseudoReadColumn *read, const char *string, size_t len)
{
	text	   *value;

	if (len < PSEUDO_BASE64_LEN(PSEUDO_OVERHEAD) || len % 4 != 0)
		return;
	value = cstring_to_text_with_len(string, len);
	if (pseudo_looks_like_pseudonym(value) && !count_under_any(reading, read, 0, value))
		read->column->seen.unreadable++;
	pfree(value);
}
