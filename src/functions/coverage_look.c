/*
 * coverage_look.c
 *		Reads a table for pseudo_coverage(), some rows at a time.
 *
 * Rows come from the table's access method, in the snapshot of the call; the current user's right to SELECT has been
 * checked.  What is stored of a few rows is copied, so that pages are let go, and pseudonyms opened together.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "../compat.h"
#include "column.h"
#include "coverage_look.h"

/* Room for what is stored of the rows; that of one takes a page at the most. */
#define ROOM			(16 * BLCKSZ)
#define ROOM_OF_ROW		(2 * BLCKSZ)

/* Rows with more than this in TOAST are not waited for, in bytes. */
#define TOASTED_MAX		(1024 * 1024)

/* ---- What is read ---- */

/* Returns true if there is a keyring, of a label or a trigger, that the caller may use. */
static bool
has_pair(const PseudoCoverage *coverage)
{
	ListCell   *cell;

	foreach(cell, coverage->pairs)
	{
		if (((PseudoPair *) lfirst(cell))->why == NULL)
			return true;
	}
	return false;
}

/* Returns true if a column is one of texts that has a label, or gets another one's pseudonyms. */
static bool
is_labelled(const PseudoCoverageColumn *column)
{
	return column->why_not == NULL && column->look == PSEUDO_LOOK_TEXT && pseudo_label_pseudonymizes(column->label);
}

/* Leave out arrays and documents where they can be compared with nothing. */
static void
leave_out(const PseudoCoverage *coverage, PseudoCoverageTable *table)
{
	bool		is_useful = has_pair(coverage);

	for (int i = 0; i < table->ncolumns; i++)
		is_useful |= is_labelled(&table->columns[i]);
	for (int i = 0; i < table->ncolumns && !is_useful; i++)
	{
		PseudoCoverageColumn *column = &table->columns[i];

		if (column->why_not == NULL && column->look != PSEUDO_LOOK_TEXT)
			column->why_not = psprintf("values of type %s are compared with labelled columns, and there are none",
									   column->type);
	}
}

/* A batch that will be wiped. */
static PseudoOpenBatch *
make_batch(PseudoReading *reading)
{
	PseudoOpenBatch *batch = MemoryContextAllocZero(reading->coverage->mcxt, sizeof(PseudoOpenBatch));

	reading->batches[reading->nbatches++] = batch;
	return batch;
}

/* Get a column ready to be read. */
static void
begin_column(PseudoReading *reading, PseudoCoverageColumn *column, PseudoOpenBatch *common)
{
	PseudoReadColumn *read = &reading->columns[reading->ncolumns++];

	read->column = column;
	read->guess = column->pair;
	read->batch = common;
	if (is_labelled(column))
	{
		read->plain = palloc0(PSEUDO_BATCH * sizeof(PseudoPlain));
		read->batch = make_batch(reading);
		initHyperLogLog(&read->distinct, 10);
	}
}

/* Begin to read a relation. */
static PseudoReading *
begin_reading(PseudoCoverage *coverage, PseudoCoverageTable *table)
{
	PseudoReading *reading = MemoryContextAllocZero(coverage->mcxt, sizeof(PseudoReading));
	PseudoOpenBatch *common;

	reading->coverage = coverage;
	reading->table = table;
	reading->batches = MemoryContextAllocZero(coverage->mcxt, (table->ncolumns + 1) * sizeof(PseudoOpenBatch *));
	coverage->reading = reading;
	common = make_batch(reading);
	reading->columns = palloc0(Max(table->ncolumns, 1) * sizeof(PseudoReadColumn));
	reading->room = palloc(ROOM);
	reading->mcxt = AllocSetContextCreate(CurrentMemoryContext, "pseudo coverage rows", ALLOCSET_DEFAULT_SIZES);
	leave_out(coverage, table);
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].why_not == NULL)
			begin_column(reading, &table->columns[i], common);
	}
	return reading;
}

/* Wipe and free the values that were opened one by one. */
static void
wipe_opened(PseudoReading *reading)
{
	ListCell   *cell;

	foreach(cell, reading->opened)
	{
		PseudoOpened *opened = lfirst(cell);

		pseudo_opened_wipe(opened);
		pfree(opened);
	}
	list_free(reading->opened);
	reading->opened = NIL;
}

/* See coverage.h. */
void
pseudo_coverage_wipe(PseudoCoverage *coverage)
{
	PseudoReading *reading = coverage->reading;

	if (reading == NULL)
		return;
	coverage->reading = NULL;
	wipe_opened(reading);
	for (int i = 0; i < reading->nbatches; i++)
	{
		explicit_bzero(reading->batches[i], sizeof(PseudoOpenBatch));
		pfree(reading->batches[i]);
	}
	pfree(reading->batches);
	pfree(reading);
}

/* ---- Rows ---- */

/* Copy what is stored of a value. */
static Datum
copy_stored(PseudoReading *reading, Datum value)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	size_t		size = VARSIZE_ANY(stored);
	char	   *copy;

	if (size > ROOM - reading->used)	/* not of a heap */
		copy = MemoryContextAlloc(reading->mcxt, size);
	else
	{
		copy = reading->room + reading->used;
		reading->used = Min(reading->used + INTALIGN(size), ROOM);
	}
	memcpy(copy, stored, size);
	if (VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored))
		reading->toasted += toast_raw_datum_size(value);
	return PointerGetDatum(copy);
}

/* Take a row. */
static void
take_row(PseudoReading *reading, TupleTableSlot *slot)
{
	int			i = reading->n++;

	for (int c = 0; c < reading->ncolumns; c++)
	{
		PseudoReadColumn *read = &reading->columns[c];
		int			no = read->column->attno - 1;

		read->raw[i] = slot->tts_isnull[no] ? (Datum) 0 : copy_stored(reading, slot->tts_values[no]);
	}
}

/* Fetch the values of a column of texts. */
static void
fetch_values(const PseudoReading *reading, PseudoReadColumn *read)
{
	PseudoColumn column = {.is_padded = read->column->is_padded};

	for (int i = 0; i < reading->n; i++)
		read->values[i] = read->raw[i] == 0 ? NULL : pseudo_column_get(&column, read->raw[i]);
}

/* Say how far it is, about once a second. */
static void
notice(PseudoReading *reading)
{
	PseudoCoverage *coverage = reading->coverage;
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, coverage->last_notice);
	if (INSTR_TIME_GET_DOUBLE(now) < 1.0)
		return;
	INSTR_TIME_SET_CURRENT(coverage->last_notice);
	ereport(NOTICE,
			(errmsg("%s: %lld of about %lld rows read, relation %d of %d", reading->table->name,
					(long long) reading->nrows, (long long) Max(reading->estimate, (double) reading->nrows),
					coverage->number, coverage->nrelations)));
}

/* Wipe what has been opened for the rows. */
static void
wipe_rows(PseudoReading *reading)
{
	for (int b = 0; b < reading->nbatches; b++)
	{
		PseudoOpenBatch *batch = reading->batches[b];

		for (int i = 0; i < batch->n; i++)
		{
			if (batch->openers[i])
				explicit_bzero(batch->values[i], batch->lens[i]);
		}
		batch->n = 0;
	}
	if (reading->opened)
		wipe_opened(reading);
}

/* Look at the rows that have been taken. */
static void
look_at_rows(PseudoReading *reading)
{
	MemoryContext caller = MemoryContextSwitchTo(reading->mcxt);

	CHECK_FOR_INTERRUPTS();
	for (int c = 0; c < reading->ncolumns; c++)
	{
		PseudoReadColumn *read = &reading->columns[c];

		if (read->column->look != PSEUDO_LOOK_TEXT)
			continue;
		fetch_values(reading, read);
		pseudo_count_values(reading, read);
	}
	pseudo_match_rows(reading);
	wipe_rows(reading);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(reading->mcxt);
	reading->nrows += reading->n;
	reading->n = 0;
	reading->used = 0;
	reading->toasted = 0;
	notice(reading);
}

/* Look at a row, with others. */
static inline void
look_at_slot(PseudoReading *reading, TupleTableSlot *slot)
{
	take_row(reading, slot);
	if (reading->n == PSEUDO_BATCH || reading->used > ROOM - ROOM_OF_ROW || reading->toasted > TOASTED_MAX)
		look_at_rows(reading);
}

/* ---- Scans ---- */

/* Read all rows. */
static void
scan_all(PseudoReading *reading, Relation rel, TupleTableSlot *slot, int natts)
{
	TableScanDesc scan = pseudo_beginscan(rel, reading->coverage->snapshot);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		slot_getsomeattrs(slot, natts);
		look_at_slot(reading, slot);
	}
	table_endscan(scan);
}

/* Read the rows of one block. */
static void
scan_block(PseudoReading *reading, Relation rel, BlockNumber block, TupleTableSlot *slot, int natts)
{
	ItemPointerData first;
	ItemPointerData last;
	TableScanDesc scan;

	ItemPointerSet(&first, block, FirstOffsetNumber);
	ItemPointerSet(&last, block, MaxOffsetNumber);
	scan = pseudo_beginscan_tidrange(rel, reading->coverage->snapshot, &first, &last);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		slot_getsomeattrs(slot, natts);
		look_at_slot(reading, slot);
	}
	table_endscan(scan);
}

/* Read the rows of some blocks, of one at least. */
static void
scan_sample(PseudoReading *reading, Relation rel, TupleTableSlot *slot, int natts)
{
	double		fraction = reading->coverage->sample / 100;
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	bool		has_read = false;

	for (BlockNumber block = 0; block < nblocks; block++)
	{
		if (pg_prng_double(&pg_global_prng_state) >= fraction)
			continue;
		scan_block(reading, rel, block, slot, natts);
		has_read = true;
	}
	if (!has_read && nblocks > 0)
		scan_block(reading, rel, (BlockNumber) pg_prng_uint64_range(&pg_global_prng_state, 0, nblocks - 1), slot, natts);
}

/* Read a relation. */
static void
scan(PseudoReading *reading, Relation rel)
{
	PseudoCoverage *coverage = reading->coverage;
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	int			natts = reading->columns[reading->ncolumns - 1].column->attno;
	BlockNumber pages;
	double		allvisfrac;

	table_relation_estimate_size(rel, NULL, &pages, &reading->estimate, &allvisfrac);
	reading->estimate *= coverage->sample / 100;
	if (coverage->sample == 100 || rel->rd_tableam->scan_set_tidrange == NULL)
		scan_all(reading, rel, slot, natts);
	else
		scan_sample(reading, rel, slot, natts);
	look_at_rows(reading);
	ExecDropSingleTupleTableSlot(slot);
}

/* See coverage.h. */
void
pseudo_coverage_look(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel)
{
	PseudoReading *reading;

	if (table->why_not)
		return;
	reading = begin_reading(coverage, table);
	if (reading->ncolumns > 0)
		scan(reading, rel);
	for (int c = 0; c < reading->ncolumns; c++)
	{
		PseudoReadColumn *read = &reading->columns[c];

		read->column->seen.rows = reading->nrows;
		if (read->plain)
			read->column->seen.distinct = estimateHyperLogLog(&read->distinct);
	}
	pseudo_coverage_wipe(coverage);
}
