/*
 * bulk.h
 *		What the parts of the bulk procedures share: bulk.c converts, bulk_target.c
 *		checks the table, bulk_progress.c reports.
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
#include "values.h"

/* Advisory locks that no SQL function takes: their class, and what they are on. */
#define PSEUDO_LOCK_CLASS	0x50534455
#define PSEUDO_LOCK_LEAF	3	/* a table that is being converted */
#define PSEUDO_LOCK_PROGRESS	4	/* its row in pseudo_progress */

/* A table without partitions, or one that is a partition itself. */
typedef struct BulkLeaf
{
	Oid			relid;
	double		estimate;		/* rows that it has */
	bool		is_analyzed;	/* the estimate is a good one */
	int64		done;			/* rows of it that have been dealt with */
	BlockNumber end;			/* blocks that the first pass reads */
	ItemPointerData next;		/* where the pass goes on */
	bool		is_locked;		/* by this session, against a second run */
} BulkLeaf;

/* A run of one of the procedures.  Lives across transactions. */
typedef struct Bulk
{
	bool		again;			/* repseudonymize_table */
	bool		dry_run;
	Oid			called;
	Oid			relid;
	char	   *name;			/* of the table, as for messages */
	List	   *columns;		/* of char * */
	bool		is_deterministic;
	bool		lookalikes;		/* what does not authenticate is a value */
	text	   *context;
	text	   *keyring;
	int			batch_size;
	PseudoCall	call;
	MemoryContext mcxt;
	MemoryContext batch_mcxt;	/* reset after each batch */
	char	   *statement;		/* that writes a batch */
	SPIPlanPtr	plan;			/* its plan, or NULL */
	List	   *leaves;			/* of BulkLeaf * */
	TransactionId first_xid;	/* rows of earlier transactions are counted */

	const char *status;
	char	   *sqlstate;
	int			pass;
	int			current;		/* the leaf that the pass is at */
	bool		is_found;		/* has the pass found a value to convert? */
	int64		rows;			/* with a value converted */
	int64		converted;		/* values */
	int64		already;		/* values that needed nothing */
	int64		plain;			/* repseudonymize_table: values that are no pseudonyms */
	int64		unreadable;		/* dry_run: pseudonyms that no key opens */
	instr_time	start;
	instr_time	last_notice;
} Bulk;

/* ---- bulk.c ---- */

/*
 * Does a bulk procedure of this backend write this value to this row at this moment?  The trigger lets
 * it pass, and nothing else that is written meanwhile, by triggers for example.
 */
extern bool pseudo_bulk_writes(Oid relid, ItemPointer tid, AttrNumber attno, const text *value);

/* ---- bulk_target.c ---- */

/* A leaf as one batch sees it. */
typedef struct BulkTarget
{
	Relation	rel;
	LockTupleMode lock_mode;
	int			ncolumns;
	PseudoColumn *columns;
} BulkTarget;

/* Find the leaves of the table, and refuse what cannot be converted.  Needs SPI. */
extern void pseudo_bulk_check(Bulk *bulk);

/* Open a leaf for a batch; checks again what another session may have changed. */
extern void pseudo_bulk_open(Bulk *bulk, Oid relid, BulkTarget *target);

/* "schema.table", quoted */
extern char *pseudo_bulk_relation_name(Oid relid);

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
