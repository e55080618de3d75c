/*
 * bulk_value.c
 *		Which values the bulk procedures convert.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

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

/* A statement that takes out of a target what would be lost, and works where the trigger guards it, too. */
static char *
empty_command(const Bulk *bulk, const BulkColumn *column)
{
	const PseudoLabel *label = column->call->label;
	const char *name = quote_identifier(column->name);

	return psprintf("UPDATE %s SET %s = NULL WHERE NOT %s(%s, %s, %s)", bulk->name, name,
					quote_qualified_identifier(get_namespace_name(get_func_namespace(bulk->called)), "is_pseudonym"),
					name, quote_literal_cstr(label->context), quote_literal_cstr(label->keyring));
}

/* Say what a target holds that would be lost, and what has become of the others. */
static int
detail_loss(const Bulk *bulk, const BulkColumn *column)
{
	int64		n = bulk->counters.converted;

	if (n == 0)
		return errdetail("It has text that is neither a pseudonym under an enabled key nor the value of column \"%s\". Nothing has been converted.",
						 column->source);
	return errdetail_plural("It has text that is neither a pseudonym under an enabled key nor the value of column \"%s\". This run has converted %lld value, which stays.",
							"It has text that is neither a pseudonym under an enabled key nor the value of column \"%s\". This run has converted %lld values, which stay.",
							(unsigned long) n, column->source, (long long) n);
}

/* Report a target that holds what nobody else may have. */
static void
__attribute__((noreturn))
report_loss(const Bulk *bulk, const BulkColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of %s is to get pseudonyms of column \"%s\", and what it holds would be lost",
					column->name, bulk->name, column->source),
			 detail_loss(bulk, column),
			 errhint("If nobody needs it, use %s, and run this again. Otherwise name another column in \"into\" of the label.",
					 empty_command(bulk, column))));
}

/* Returns true if nothing is lost where a target is written over: it is empty, the value of its source, or a pseudonym. */
static bool
is_no_loss(PseudoCall *call, text *value, text *held)
{
	size_t		len = VARSIZE_ANY_EXHDR(held);
	PseudoOpened opened;

	if (len == 0 || (value && VARSIZE_ANY_EXHDR(value) == len && memcmp(VARDATA_ANY(value), VARDATA_ANY(held), len) == 0))
		return true;
	if (!pseudo_looks_like_pseudonym(held) || !pseudo_try_open(call, held, &opened))
		return false;
	pseudo_opened_wipe(&opened);
	return true;
}

/* Returns true if a column has not what it gets of its source.  Refuses one that has what would be lost. */
static bool
is_to_fill(Bulk *bulk, BulkColumn *column, text *value, text *held, bool count)
{
	PseudoCall *call = &column->call->call;

	if (held == NULL)
		return value != NULL;
	if (value && pseudo_opens_to(call, held, value))
	{
		bulk->counters.already += count;
		return false;
	}
	if (!is_no_loss(call, value, held))
		report_loss(bulk, column);
	return true;
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
