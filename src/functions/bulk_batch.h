/*
 * bulk_batch.h
 *		What the parts of a batch share.
 *
 * bulk_rows.c reads and locks its rows, bulk_convert.c makes what is to be written, and bulk_write.c writes it.
 */
#ifndef PSEUDO_BULK_BATCH_H
#define PSEUDO_BULK_BATCH_H

#include "postgres.h"

#include "bulk.h"
#include "bulk_written.h"

/* The rows that a batch converts. */
typedef struct BulkBatch
{
	size_t		bytes;
	PseudoWritten rows;
	bool	   *converts;		/* row by row, as the values: is it to be
								 * written? */
	bool		is_last;		/* the pass is at its end */
	uint32		keys;			/* see pseudo_bulk_keys() */
} BulkBatch;

/* ---- bulk_convert.c ---- */

/* A hash of the keys that a run writes and reads with; all calls are ready. */
extern uint32 pseudo_bulk_keys(const Bulk *bulk);

/* How many values of a column a batch converts; NULL is none. */
extern int	pseudo_bulk_count(const BulkBatch *batch, int no);

/* Get the keyrings ready, and the table for writing with their keys. */
extern void pseudo_bulk_prepare_keys(Bulk *bulk, BulkTarget *target);

/* The columns of a row (attnos, palloc'ed) that are to be written and may be compared; returns how many. */
extern int	pseudo_bulk_compared(const BulkUnique *compared, const bool *converts, int **attnos);

/*
 * Put what is to be written in the place of a batch's values.
 * Errors: 22001, 40001 where the keys have changed, and those of the keyring.
 */
extern void pseudo_bulk_convert_values(Bulk *bulk, BulkTarget *target, BulkBatch *batch);

/* ---- bulk_write.c ---- */

/* Write the values of a batch to its rows, which are locked.  Errors: 55000, and those of the table. */
extern void pseudo_bulk_write(Bulk *bulk, BulkTarget *target, BulkBatch *batch);

#endif							/* PSEUDO_BULK_BATCH_H */
