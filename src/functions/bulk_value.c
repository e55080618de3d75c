/*
 * bulk_value.c
 *		Which values the bulk procedures convert.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "bulk.h"
#include "reseal.h"
#include "spelling.h"

/* Report what looks like a pseudonym and opens under no key. */
static void
__attribute__((noreturn))
report_lookalike(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("a value looks like a pseudonym and does not authenticate"),
			 errdetail("It was made with another key or context, or it is a value of this shape."),
			 bulk->operation == BULK_REPSEUDONYMIZE ?
			 errhint("Check the arguments \"context\" and \"keyring\".") :
			 errhint("Check the arguments \"context\" and \"keyring\". If it is a value, existing => 'value' converts it.")));
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
			 bulk->operation == BULK_REPSEUDONYMIZE ?
			 errhint("Update it to its own spelling, and run this again.") :
			 errhint("Update it to its own spelling, and run this again. If it is a value, existing => 'value' converts it.")));
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

/* See bulk.h. */
bool
pseudo_bulk_is_due(Bulk *bulk, text *value, bool count)
{
	bool		again = bulk->operation == BULK_REPSEUDONYMIZE;
	PseudoOpened opened;
	bool		due;
	bool		differs;

	if (!pseudo_looks_like_pseudonym(value))
	{
		bool		misspelled = !bulk->lookalikes && pseudo_is_misspelled(value);

		if (misspelled && !bulk->dry_run)
			report_misspelled(bulk);
		bulk->counters.unreadable += misspelled && count;
		bulk->counters.plain += again && !misspelled && count;
		return !again;
	}
	if (!pseudo_open(&bulk->call, value, true, &opened))
	{
		if (!bulk->lookalikes && !bulk->dry_run)
			report_lookalike(bulk);
		bulk->counters.unreadable += !bulk->lookalikes && count;
		return bulk->lookalikes;
	}
	due = again && opened.key != bulk->call.keyring->primary;
	differs = due && bulk->is_copy && pseudo_is_random(&bulk->call, &opened);
	explicit_bzero(VARDATA(opened.value), opened.len);
	pfree(opened.value);
	if (differs)
		report_copy(bulk);
	bulk->counters.already += !due && count;
	return due;
}

/* See bulk.h. */
void
pseudo_bulk_prepare_call(Bulk *bulk)
{
	if (bulk->call.generation != pseudo_generation)
		pseudo_call_prepare_role(&bulk->call, GetUserId(), bulk->called, PSEUDO_RIGHT_PSEUDONYMIZE,
								 bulk->context, bulk->keyring, bulk->mcxt);
}
