/*
 * bulk_value.c
 *		Which values the bulk procedures convert.
 */
#include "postgres.h"

#include "bulk.h"
#include "reseal.h"
#include "spelling.h"

/* What to do about a value that is taken for a pseudonym: what is to be checked first, or NULL, and how it is converted after all. */
static int
hint_value(const Bulk *bulk, const char *first)
{
	if (bulk->operation == BULK_REPSEUDONYMIZE)
		return errhint("%s", first);
	return errhint("%s If it is a value, %s converts it.", first,
				   bulk->is_labelled ? "existing=value in the label" : "existing => 'value'");
}

/* Report what looks like a pseudonym and opens under no key. */
static void
__attribute__((noreturn))
report_lookalike(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("a value looks like a pseudonym and does not authenticate"),
			 errdetail("It was made with another key or context, or it is a value of this shape."),
			 hint_value(bulk, bulk->is_labelled ? "Check the label's context and keyring." :
						"Check the arguments \"context\" and \"keyring\".")));
}

/* Report a pseudonym in another spelling. */
static void
__attribute__((noreturn))
report_misspelled(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("a value looks like a pseudonym in another spelling"),
			 errdetail("It has white space or quotes in it, lacks padding, or is spelled as in a URL."),
			 hint_value(bulk, "Update it to its own spelling, and run this again.")));
}

/* Report a random pseudonym, which each of Citus's copies of a row would replace by another one. */
static void
__attribute__((noreturn))
report_copy(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is a copy of a reference table of Citus, and has a random pseudonym", bulk->name),
			 errdetail("Every copy would get another pseudonym, and they would differ."),
			 errhint("Make the table a local one with undistribute_table(), CALL this, and distribute it again with create_reference_table().")));
}

/* Returns true if a column has not what it gets of its source. */
static bool
is_to_fill(Bulk *bulk, BulkColumn *column, text *value, text *held, bool count)
{
	bool		is_filled;

	if (value == NULL || held == NULL)
		return value != held;
	is_filled = pseudo_opens_to(&column->call->call, held, value);
	bulk->counters.already += is_filled && count;
	return !is_filled;
}

/* See bulk.h. */
bool
pseudo_bulk_is_due(Bulk *bulk, BulkColumn *column, text *value, text *held, bool count)
{
	bool		again = bulk->operation == BULK_REPSEUDONYMIZE;
	PseudoCall *call = &column->call->call;
	PseudoOpened opened;
	bool		due;
	bool		differs;

	if (column->source)
		return is_to_fill(bulk, column, value, held, count);
	if (value == NULL)
		return false;
	if (!pseudo_looks_like_pseudonym(value))
	{
		bool		misspelled = !column->lookalikes && pseudo_is_misspelled(value);

		if (misspelled && !bulk->dry_run)
			report_misspelled(bulk);
		bulk->counters.unreadable += misspelled && count;
		bulk->counters.plain += again && !misspelled && count;
		return !again;
	}
	if (!pseudo_open(call, value, true, &opened))
	{
		if (!column->lookalikes && !bulk->dry_run)
			report_lookalike(bulk);
		bulk->counters.unreadable += !column->lookalikes && count;
		return column->lookalikes;
	}
	due = again && opened.key != call->keyring->primary;
	differs = due && bulk->is_copy && pseudo_is_random(call, &opened);
	pseudo_opened_wipe(&opened);
	if (differs)
		report_copy(bulk);
	bulk->counters.already += !due && count;
	return due;
}
