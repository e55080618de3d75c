/*
 * bulk_run.c
 *		A run of the bulk procedures: the passes over the table, its steps, and what becomes
 *		of a step that fails.
 *
 * A pass reads a table's blocks in order.  A batch locks rows that have a value to
 * convert, takes each row as it is once locked, and so never writes an old value over
 * a newer one; what is converted is told by its opening under the keyring, so that a run
 * may end anywhere and another go on.  An UPDATE of a writer can carry a value that
 * is not converted yet from a block or a partition ahead to one behind.  The run is therefore
 * over only after a pass that has found nothing in one snapshot: that sees every row once.
 *
 * A row that a constraint or an index refuses is left out, and the run goes on: it ends with an error that
 * names the first of them.  Another error of a row, such as one that a trigger raises, ends it there.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "bulk.h"
#include "bulk_written.h"

#define MAX_ATTEMPTS	10		/* of a batch that meets deadlocks */
#define MAX_PASSES		20		/* as long as others write what has to be
								 * converted */

/* What is done in one transaction; true where the pass is at its end. */
typedef bool (*Step) (Bulk *bulk);

/* Make a leaf the one that the pass is at. */
static void
begin_leaf(Bulk *bulk, int no)
{
	bulk->current = no;
	if (no < list_length(bulk->leaves))
		ItemPointerSet(&((BulkLeaf *) list_nth(bulk->leaves, no))->next, 0, 1);
}

/* The pass is at the end of a leaf. */
static void
end_leaf(Bulk *bulk, BulkLeaf *leaf)
{
	leaf->estimate = leaf->done;
	leaf->is_analyzed = true;	/* better than that: counted */
	begin_leaf(bulk, bulk->current + 1);
}

/* Lock the leaves that a step may read: all that are left where the pass may be the last. */
static void
lock_tables(Bulk *bulk)
{
	for (int i = bulk->current; i < list_length(bulk->leaves); i++)
	{
		LockRelationOid(((BulkLeaf *) list_nth(bulk->leaves, i))->relid,
						bulk->dry_run ? AccessShareLock : RowExclusiveLock);
		if (bulk->pass == 1 || bulk->is_found)
			break;
	}
}

/* Convert one batch; a pass that may be the last looks at all leaves in one snapshot. */
static bool
run_batch(Bulk *bulk)
{
	bool		ended = true;

	/*
	 * The locks first: in an older snapshot a table that is rewritten is
	 * empty.  Then the snapshot: all that it shows is in the blocks that
	 * there are then.
	 */
	lock_tables(bulk);
	PushActiveSnapshot(GetTransactionSnapshot());
	while (ended && bulk->current < list_length(bulk->leaves))
	{
		BulkLeaf   *leaf = list_nth(bulk->leaves, bulk->current);

		MemoryContextReset(bulk->batch_mcxt);
		ended = pseudo_bulk_convert_batch(bulk, leaf);
		if (ended)
			end_leaf(bulk, leaf);
		if (bulk->pass == 1 || bulk->is_found)
			break;
	}
	PopActiveSnapshot();
	pseudo_bulk_notice(bulk);
	return bulk->current == list_length(bulk->leaves);
}

/* Begin a transaction's work as a batch needs it, whatever the session's default is. */
static void
set_isolation(void)
{
	SetConfigOption("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION);
}

/* Returns true if a step that failed like this may be tried again. */
static bool
is_transient(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* Wait before an attempt that is not the first, longer each time. */
static void
back_off(int attempt)
{
	double		ms = 5.0 * (1 << attempt) * (0.5 + pg_prng_double(&pg_global_prng_state));

	if (attempt == 0)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) ms,
					 pseudo_wait_event(PSEUDO_WAIT_BULK_RETRY));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* What became of a step. */
typedef struct Outcome
{
	ErrorData  *error;			/* or NULL */
	bool		is_last;		/* as the step returned it */
	int			nrows;			/* that were being written when it failed, or
								 * 0 */
	Oid			relid;			/* their table */
	ItemPointerData tid;		/* of the first of them */
} Outcome;

/* Returns true if an error may be due to one of the rows that were being written. */
static bool
is_due_to_row(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_OUT_OF_MEMORY):
		case ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED):
		case ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR):
			return false;
		default:
			return !is_transient(error);
	}
}

/* A row, for messages. */
static char *
row_name(Oid relid, const ItemPointerData *tid)
{
	return psprintf("(%u,%u) of %s", ItemPointerGetBlockNumberNoCheck(tid),
					ItemPointerGetOffsetNumberNoCheck(tid), pseudo_relation_name(relid));
}

/* Add to an error which row it is due to, what has become of the others, and the way on. */
static void
say_row(const Bulk *bulk, const Outcome *outcome)
{
	ErrorData  *error = outcome->error;
	char	   *where = psprintf("converting row %s; this run has converted %lld values, which stay",
								 row_name(outcome->relid, &outcome->tid),
								 (long long) bulk->counters.converted);

	error->context = error->context ? psprintf("%s\n%s", error->context, where) : where;
	if (error->hint == NULL)
		error->hint = pstrdup("Change or drop what refuses the row, or change the row, and run this again.");
}

/* Note in pseudo_progress why the run ends, and end it. */
static void
__attribute__((noreturn))
give_up(Bulk *bulk, const Outcome *outcome)
{
	ErrorData  *error = outcome->error;

	if (outcome->nrows == 1 && is_due_to_row(error))
		say_row(bulk, outcome);
	bulk->status = error->sqlerrcode == ERRCODE_QUERY_CANCELED ? "cancelled" : "failed";
	bulk->sqlstate = unpack_sql_state(error->sqlerrcode);
	pseudo_bulk_save(bulk);
	SPI_commit();
	ReThrowError(error);
}

/* Keep the error that is being handled, and leave the handling. */
static ErrorData *
take_error(Bulk *bulk)
{
	ErrorData  *error;

	MemoryContextSwitchTo(bulk->mcxt);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/*
 * Do a step and note the progress in a subtransaction, so that an error costs the step and what
 * follows can still be written down.
 */
static Outcome
try_step(Bulk *bulk, Step step, int attempt)
{
	ResourceOwner owner = CurrentResourceOwner;
	Outcome volatile outcome = {0};

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(bulk->batch_mcxt);
	PG_TRY();
	{
		back_off(attempt);
		outcome.is_last = step(bulk);
		pseudo_bulk_save(bulk);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		PseudoWritten *rows = pseudo_written_end();

		if (rows)
		{
			outcome.nrows = rows->nrows;
			outcome.relid = rows->relid;
			outcome.tid = rows->tids[0];
		}
		outcome.error = take_error(bulk);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(bulk->mcxt);
	CurrentResourceOwner = owner;
	MemoryContextReset(bulk->batch_mcxt);
	return outcome;
}

/* Commit, which can fail too, by deferred triggers.  NULL, or the error. */
static ErrorData *
try_commit(Bulk *bulk)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		SPI_commit();
	}
	PG_CATCH();
	{
		error = take_error(bulk);	/* SPI has begun another transaction */
	}
	PG_END_TRY();
	set_isolation();
	return error;
}

/* Returns true if a constraint, an index or a generated column refused a row. */
static bool
is_refusal(const ErrorData *error)
{
	return error->constraint_name != NULL || error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

/* Leave out the one row that a step could not write; the pass is behind it already.  The first one is remembered. */
static void
reject_row(Bulk *bulk, const Outcome *outcome, const BulkCounters *before)
{
	bulk->counters.rows = before->rows;
	bulk->counters.converted = before->converted;
	if (bulk->rejected++ > 0)
	{
		FreeErrorData(outcome->error);
		return;
	}
	bulk->rejection = outcome->error;
	bulk->rejected_row = row_name(outcome->relid, &outcome->tid);
	bulk->sqlstate = unpack_sql_state(outcome->error->sqlerrcode);
}

/* What a step may have changed when it fails. */
typedef struct StepState
{
	const char *status;
	int			current;
	BulkLeaf   *leaf;			/* or NULL */
	BulkLeaf	place;
	bool		is_found;
	BulkCounters counters;
} StepState;

/* Remember it before the step. */
static StepState
remember(Bulk *bulk)
{
	StepState	state = {bulk->status, bulk->current, .is_found = bulk->is_found, .counters = bulk->counters};

	if (bulk->current < list_length(bulk->leaves))
	{
		state.leaf = list_nth(bulk->leaves, bulk->current);
		state.place = *state.leaf;
	}
	return state;
}

/* Put it back. */
static void
put_back(Bulk *bulk, const StepState *state)
{
	bulk->status = state->status;
	bulk->current = state->current;
	if (state->leaf)
		*state->leaf = state->place;
	bulk->is_found = state->is_found;
	bulk->counters = state->counters;
}

/*
 * Do a step and commit.  An error costs the step.  One that may pass is tried again.  Rows among which one
 * fails are written one by one; if that one is refused, it is left out.  Any other error ends the run.
 */
static bool
commit_step(Bulk *bulk, Step step)
{
	StepState	before = remember(bulk);

	bulk->batch_rows = 0;
	for (int attempt = 0;; attempt++)
	{
		Outcome		outcome = try_step(bulk, step, attempt);

		if (outcome.error == NULL && (outcome.error = try_commit(bulk)) != NULL)
		{
			outcome.nrows = bulk->batch_rows;
			outcome.relid = bulk->batch_relid;
			outcome.tid = bulk->batch_tid;
		}
		if (outcome.error == NULL || (outcome.nrows == 1 && is_refusal(outcome.error)))
		{
			bulk->careful = Max(bulk->careful - 1, 0);
			if (outcome.error)
				reject_row(bulk, &outcome, &before.counters);
			return outcome.is_last;
		}
		put_back(bulk, &before);
		if (outcome.nrows > 1 && is_due_to_row(outcome.error))
		{
			bulk->careful = outcome.nrows;
			attempt = -1;
		}
		else if (!is_transient(outcome.error) || attempt == MAX_ATTEMPTS)
			give_up(bulk, &outcome);
		FreeErrorData(outcome.error);
	}
}

/* Convert all leaves: passes until one has found nothing in one snapshot, or nothing that can be converted. */
static void
convert_leaves(Bulk *bulk)
{
	for (bulk->pass = 1; bulk->pass <= MAX_PASSES; bulk->pass++)
	{
		int			batches = 1;
		int64		converted = bulk->counters.converted;

		bulk->is_found = false;
		bulk->rejected = 0;
		begin_leaf(bulk, 0);
		while (!commit_step(bulk, run_batch))
			batches++;
		if ((batches == 1 && !bulk->is_found) || bulk->dry_run ||
			(bulk->rejected > 0 && bulk->counters.converted == converted))
			return;
	}
	bulk->status = "unfinished";
}

/* ---- The whole run ---- */

/* The lock tag of a leaf, in a class of advisory locks that no SQL function takes. */
static LOCKTAG
lock_tag(const BulkLeaf *leaf)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, PSEUDO_LOCK_CLASS, leaf->relid, PSEUDO_LOCK_LEAF);
	return tag;
}

/* See bulk.h. */
void
pseudo_bulk_lock_leaves(Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkLeaf   *leaf = lfirst(cell);
		LOCKTAG		tag = lock_tag(leaf);

		if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table %s is being converted by another session",
							pseudo_relation_name(leaf->relid)),
					 errhint("pseudo_progress shows how far it is.")));
		bulk->nlocked++;
	}
}

/* See bulk.h. */
void
pseudo_bulk_unlock_leaves(Bulk *bulk)
{
	while (bulk->nlocked > 0)
	{
		LOCKTAG		tag = lock_tag(list_nth(bulk->leaves, --bulk->nlocked));

		LockRelease(&tag, ExclusiveLock, true);
	}
}

/* See bulk.h. */
bool
pseudo_bulk_may_analyze(const Bulk *bulk)
{
	if (pseudo_relation_ownercheck(bulk->relid, GetUserId()))
		return true;
	ereport(WARNING,
			(errmsg("the statistics of %s still hold values", bulk->name),
			 errhint("Its owner has to run ANALYZE %s.", bulk->name)));
	return false;
}

/* Replace the statistics, which hold values as well. */
static void
analyze(Bulk *bulk)
{
	if (pseudo_bulk_may_analyze(bulk) &&
		SPI_execute(psprintf("ANALYZE %s", bulk->name), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not analyze the table");
}

/* The last step. */
static bool
finish(Bulk *bulk)
{
	if (!bulk->dry_run)
		analyze(bulk);
	if (bulk->rejected > 0)
		bulk->status = "failed";
	else if (strcmp(bulk->status, "running") == 0)
		bulk->status = bulk->dry_run ? "dry_run" : "done";
	return true;
}

/* What to do with rows that could not be converted. */
static const char *
rejection_remedy(const Bulk *bulk)
{
	switch (bulk->rejection->sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
			return "Another row has the same value, as a pseudonym or under another key: delete one of them, and run this again. Where the index is on an expression, their values may differ: then drop it instead.";
		case ERRCODE_FOREIGN_KEY_VIOLATION:
			return "Let the foreign key have ON UPDATE CASCADE, and run this again.";
		default:
			return "Change or drop what refuses them, or change the rows, and run this again.";
	}
}

/* Report the rows that were left out. */
static void
report_rejected(Bulk *bulk)
{
	ereport(ERROR,
			(errcode(bulk->rejection->sqlerrcode),
			 errmsg_plural("%lld row of %s could not be converted",
						   "%lld rows of %s could not be converted",
						   (unsigned long) bulk->rejected, (long long) bulk->rejected, bulk->name),
			 errdetail("All others are converted. Row %s: %s.", bulk->rejected_row,
					   bulk->rejection->message),
			 errhint("%s", rejection_remedy(bulk))));
}

/* Try on each leaf what it would be given. */
static void
try_leaves(Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkTarget	target;

		pseudo_bulk_open(bulk, ((BulkLeaf *) lfirst(cell))->relid, &target);
		pseudo_bulk_try(bulk, &target);
		relation_close(target.rel, NoLock);
	}
}

/* Convert all leaves; everything has been checked. */
static void
convert_all(Bulk *bulk)
{
	if (!bulk->dry_run)
		pseudo_bulk_lock_leaves(bulk);
	pseudo_bulk_save(bulk);
	SPI_commit();
	set_isolation();
	bulk->first_xid = ReadNextTransactionId();
	convert_leaves(bulk);
	commit_step(bulk, finish);
	pseudo_bulk_summary(bulk);
	if (bulk->rejected > 0)
		report_rejected(bulk);
}

/* See bulk.h. */
void
pseudo_bulk_begin(Bulk *bulk)
{
	if (get_rel_name(bulk->relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", bulk->relid)));
	bulk->name = pseudo_relation_name(bulk->relid);
	bulk->batch_mcxt = AllocSetContextCreate(bulk->mcxt, "pseudo batch", ALLOCSET_DEFAULT_SIZES);
	bulk->status = "running";
	INSTR_TIME_SET_CURRENT(bulk->start);
	bulk->last_notice = bulk->start;
	pseudo_bulk_prepare_calls(bulk);
}

/* See bulk.h. */
void
pseudo_bulk_run(Bulk *bulk)
{
	pseudo_bulk_begin(bulk);
	PG_TRY();
	{
		pseudo_bulk_check(bulk);
		if (!bulk->dry_run)
			try_leaves(bulk);
		convert_all(bulk);
	}
	PG_FINALLY();
	{
		pseudo_bulk_unlock_leaves(bulk);
		pseudo_bulk_free_plan(bulk);
	}
	PG_END_TRY();
}
