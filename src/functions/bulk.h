/*
 * bulk.h
 *		What the parts of the bulk procedures share.
 *
 * bulk.c has the procedures and their arguments, bulk_column.c what is to become of which columns, bulk_run.c the steps that
 * a run is made of, bulk_rows.c, bulk_convert.c and bulk_write.c one batch of rows, bulk_value.c which values are converted,
 * bulk_target.c and bulk_trigger.c what the table must be, bulk_trial.c what its constraints must allow, bulk_progress.c what
 * is said of a run.
 */
#ifndef PSEUDO_BULK_H
#define PSEUDO_BULK_H

#include "postgres.h"

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/rel.h"

#include "column.h"
#include "label.h"
#include "unique.h"
#include "open.h"

/* Advisory locks that no SQL function takes: their class, and what they are on. */
#define PSEUDO_LOCK_CLASS	0x50534455
#define PSEUDO_LOCK_LEAF	3	/* a table that is being converted */
#define PSEUDO_LOCK_PROGRESS	5	/* its row in pseudo_progress */

/* A table without partitions, or one that is a partition itself. */
typedef struct BulkLeaf
{
	Oid			relid;
	double		estimate;		/* rows that it has */
	bool		is_analyzed;	/* the estimate is a good one */
	int64		done;			/* rows of it that have been dealt with */
	BlockNumber end;			/* blocks that the first pass reads */
	ItemPointerData next;		/* where the pass goes on */
} BulkLeaf;

typedef enum BulkOperation
{
	BULK_PSEUDONYMIZE,
	BULK_REPSEUDONYMIZE
} BulkOperation;

/* What is made with one context and keyring. */
typedef struct BulkCall
{
	const PseudoLabel *label;	/* that has these */
	text	   *context;
	text	   *keyring;
	PseudoCall	call;
} BulkCall;

/* A column that a run writes. */
typedef struct BulkColumn
{
	char	   *name;
	char	   *source;			/* the column whose pseudonyms it gets, which
								 * stays as it is; or NULL: its own */
	bool		is_deterministic;
	bool		lookalikes;		/* what does not authenticate is a value */
	char	   *said;			/* "COLUMN IS LABEL" */
	BulkCall   *call;
} BulkColumn;

/* What a run has seen and done; put back where a step fails. */
typedef struct BulkCounters
{
	int64		rows;			/* with a value converted */
	int64		converted;		/* values */
	int64		already;		/* values that needed nothing */
	int64		plain;			/* repseudonymize_table: values that are no
								 * pseudonyms */
	int64		unreadable;		/* dry_run: pseudonyms that no key opens */
	int64		twins;			/* dry_run: rows whose values another row has
								 * under another key */
} BulkCounters;

/* A run of one of the procedures.  Lives across transactions. */
typedef struct Bulk
{
	BulkOperation operation;
	bool		dry_run;
	Oid			called;
	Oid			relid;
	char	   *name;			/* of the table, as for messages */
	bool		is_labelled;	/* the labels say what becomes of which
								 * columns */
	bool		has_labels;		/* the argument "columns" does */
	List	   *columns;		/* of BulkColumn * */
	List	   *calls;			/* of BulkCall *: theirs */
	int			batch_size;
	MemoryContext mcxt;
	MemoryContext batch_mcxt;	/* reset after each batch */
	char	   *statement;		/* that writes a batch */
	SPIPlanPtr	plan;			/* its plan, or NULL */
	BlockNumber planned_blocks; /* of the table when it was made */
	List	   *leaves;			/* of BulkLeaf * */
	int			nlocked;		/* the first of them, by this session, against
								 * a second run */
	bool		is_copy;		/* of a reference table of Citus */
	TransactionId first_xid;	/* rows of earlier transactions are counted */

	const char *status;
	char	   *sqlstate;
	int			pass;
	int			current;		/* the leaf that the pass is at */
	bool		is_found;		/* has the pass found a value to convert? */
	BulkCounters counters;
	List	   *twin_indexes;	/* dry_run: OIDs of the indexes that twins
								 * stand in the way of */
	int			batch_rows;		/* of the last batch, their table, and the
								 * first of them */
	Oid			batch_relid;
	ItemPointerData batch_tid;
	int64		careful;		/* rows to be written one by one, after a
								 * batch that failed */
	int64		rejected;		/* rows that the pass could not write */
	ErrorData  *rejection;		/* why it could not write the first of them,
								 * and which it was */
	char	   *rejected_row;
	instr_time	start;
	instr_time	last_notice;
} Bulk;

/* ---- bulk_column.c ---- */

/* Add a column, of a label that pseudonymizes, to a run; name and label live as long as the run. */
extern void pseudo_bulk_add_column(Bulk *bulk, char *name, const PseudoLabel *label);

/* Add the columns that a table's labels name.  Errors: 55000 where there are none, 22023. */
extern void pseudo_bulk_add_labelled(Bulk *bulk, Relation rel);

/* Returns true if a label says of the column of this name what a run does to one that it has to do with. */
extern bool pseudo_bulk_agrees(const Bulk *bulk, const BulkColumn *column, const char *name,
							   const PseudoLabel *label);

/* The names of the columns that are written, as a new list of String. */
extern List *pseudo_bulk_names(const Bulk *bulk);

/* Look up what a call needs.  Errors: 42501, 42704, and the provider's. */
extern void pseudo_bulk_look_up(Bulk *bulk, BulkCall *call);

/*
 * Get a call ready, and again where something changed meanwhile; others may be outdated by that, since two calls
 * can have the same keyring.
 */
static inline void
pseudo_bulk_prepare_call(Bulk *bulk, BulkCall *call)
{
	if (unlikely(call->call.generation != pseudo_generation))
		pseudo_bulk_look_up(bulk, call);
}

/* Get all calls ready, so that none is outdated. */
extern void pseudo_bulk_prepare_calls(Bulk *bulk);

/* The same, with whatever keys and rights there are now. */
extern void pseudo_bulk_renew_calls(Bulk *bulk);

/* ---- bulk_run.c ---- */

/* Check everything, and convert.  Needs SPI. */
extern void pseudo_bulk_run(Bulk *bulk);

/* Its parts, for a table whose shards are elsewhere: begin; lock the leaves against a second run, and unlock them. */
extern void pseudo_bulk_begin(Bulk *bulk);
extern void pseudo_bulk_lock_leaves(Bulk *bulk);
extern void pseudo_bulk_unlock_leaves(Bulk *bulk);

/* Returns true if the current user may ANALYZE the table; says so if not. */
extern bool pseudo_bulk_may_analyze(const Bulk *bulk);

/* ---- bulk_rows.c ---- */

/* Read, convert and write one batch of a leaf; true where the pass is at the leaf's end.  Needs SPI. */
extern bool pseudo_bulk_convert_batch(Bulk *bulk, BulkLeaf *leaf);

/* Forget the plan of the statement that writes. */
extern void pseudo_bulk_free_plan(Bulk *bulk);

/* ---- bulk_value.c ---- */

/*
 * Returns true if a column of a row is to be written.  Counts it if count is true.
 *
 *	value		of the column, or of its source; or NULL
 *	held		what the column has now: the same as value where it has no source
 * Errors: 22000 or 0A000 for values that cannot be converted, 55000 where a column with a source has what would be lost.
 */
extern bool pseudo_bulk_is_due(Bulk *bulk, BulkColumn *column, text *value, text *held, bool count);

/* ---- bulk_target.c ---- */

/* What compares the deterministic pseudonyms of a leaf. */
typedef struct BulkUnique
{
	PseudoUnique *unique;
	int			ncolumns;
	PseudoColumn *columns;		/* copies of those in the target ... */
	int		   *numbers;		/* ... and where they are there */
	PseudoCall **calls;			/* of each */
} BulkUnique;

/* A leaf as one batch sees it. */
typedef struct BulkTarget
{
	Relation	rel;
	LockTupleMode lock_mode;
	int			ncolumns;
	BulkColumn **settings;		/* of each column */
	PseudoColumn *columns;		/* that are written */
	PseudoColumn *sources;		/* that are read: mostly the same ones */
	BulkUnique *compared;		/* NULL where that does not matter */
} BulkTarget;

/* Find the leaves of the table, and refuse what cannot be converted.  Needs SPI. */
extern void pseudo_bulk_check(Bulk *bulk);

/* Refuse what can be known before the placements of a table of Citus are asked.  Needs SPI.  Errors: as pseudo_bulk_check(). */
extern void pseudo_bulk_check_distributed(Bulk *bulk);

/* Open a leaf for a batch; checks again what another session may have changed. */
extern void pseudo_bulk_open(Bulk *bulk, Oid relid, BulkTarget *target);

/* ---- bulk_trigger.c ---- */

/* Refuse triggers of a leaf that make other pseudonyms of its columns, and say which have none.  Errors: 55000. */
extern void pseudo_bulk_check_triggers(const Bulk *bulk, const BulkTarget *target);

/* ---- bulk_trial.c ---- */

/*
 * Try what the conversion of a leaf would write on what can refuse it: CHECK constraints, domains,
 * generated columns, indexes.  Writes nothing.
 * Errors: 23514, 54000, and those of domains and expressions.
 */
extern void pseudo_bulk_try(Bulk *bulk, BulkTarget *target);

/* ---- bulk_progress.c ---- */

/*
 * Write the run's row of pseudo_progress, whatever the rights of the current user.  A dry run leaves the
 * row of a conversion that goes on.  Errors: 55000.
 */
extern void pseudo_bulk_save(Bulk *bulk);

/* Say how far the run is, about once a second. */
extern void pseudo_bulk_notice(Bulk *bulk);

/* Say what the run has done. */
extern void pseudo_bulk_summary(Bulk *bulk);

/* Seconds since a time. */
extern double pseudo_bulk_elapsed(const instr_time *since);

#endif							/* PSEUDO_BULK_H */
