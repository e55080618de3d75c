/*
 * trigger_rows.c
 *		Values that PostgreSQL itself brings back to the trigger, in the middle of one row.
 *
 * After a row's INSERT, ON CONFLICT may UPDATE with the values of EXCLUDED; after a row's UPDATE,
 * PostgreSQL may move it to another partition by an INSERT.  Both bring pseudonyms that the trigger has
 * made or left alone before.  A writer must not be able to make another row look so, or they could plant
 * a pseudonym that they saw.
 *
 * What tells them apart is the executor's memory.  It calls triggers in a memory context that it resets
 * before each row of each statement, and EXCLUDED and moved rows come back before the next reset: what
 * is noted here is forgotten in it.  That leaves one case, a statement that takes its rows from
 * another with RETURNING: its row follows without a reset.  It finds nothing to use: EXCLUDED has what
 * was made of the writer's own values for the same column; and a moved row is told by the slot that
 * carries it, which is the UPDATE's own, or, where the columns of partitions are in different
 * order and PostgreSQL takes another slot, by all of its columns, which belong into the one partition
 * where the row has just been taken.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/snapmgr.h"

#include "trigger_rows.h"

/* A run of the executor.  Runs are nested where triggers run queries. */
typedef struct PseudoRun
{
	struct PseudoRun *next;
	MemoryContext query;		/* that this is allocated in: the executor's */
	MemoryContextCallback run_over;
	MemoryContext row;			/* that is reset before the next row, or NULL */
	MemoryContextCallback row_over;
	PseudoRows *live;			/* what is noted of this row */
} PseudoRun;

static PseudoRun *all_runs = NULL;

/* Callback: a run of the executor is over. */
static void
forget_run(void *arg)
{
	for (PseudoRun **run = &all_runs; *run; run = &(*run)->next)
	{
		if (*run == arg)
		{
			*run = (*run)->next;
			return;
		}
	}
}

/* Callback: the executor is through with a row. */
static void
forget_row(void *arg)
{
	PseudoRun  *run = arg;

	for (PseudoRows *rows = run->live; rows; rows = rows->next)
	{
		rows->is_live = false;
		rows->inserted = NULL;
		rows->updated = NULL;
	}
	run->live = NULL;
	run->row = NULL;
}

/* The run of the executor that this memory context belongs to. */
static PseudoRun *
get_run(MemoryContext query)
{
	PseudoRun  *run;

	for (run = all_runs; run; run = run->next)
	{
		if (run->query == query)
			return run;
	}
	run = MemoryContextAllocZero(query, sizeof(PseudoRun));
	run->query = query;
	run->row_over.func = forget_row;
	run->row_over.arg = run;
	run->run_over.func = forget_run;
	run->run_over.arg = run;
	MemoryContextRegisterResetCallback(query, &run->run_over);
	run->next = all_runs;
	all_runs = run;
	return run;
}

/* See trigger_rows.h. */
void
pseudo_rows_begin(PseudoRows *rows, const TriggerData *data, const List *arguments,
				  const PseudoColumn *columns, MemoryContext mcxt)
{
	memset(rows, 0, sizeof(PseudoRows));
	rows->run = get_run(mcxt);
	rows->relid = RelationGetRelid(data->tg_relation);
	if (data->tg_relation->rd_rel->relispartition)
		rows->root = llast_oid(get_partition_ancestors(rows->relid));
	rows->arguments = arguments;
	rows->columns = columns;
}

/* Returns true if two columns have equal pseudonyms of equal values, in columns of the same name. */
static bool
are_same_columns(const PseudoTriggerColumn *a, const PseudoTriggerColumn *b)
{
	const char *a_into = a->label.into ? a->label.into : "";
	const char *b_into = b->label.into ? b->label.into : "";

	return strcmp(a->name, b->name) == 0 && strcmp(a_into, b_into) == 0 &&
		pseudo_label_same_pseudonyms(&a->label, &b->label);
}

/* The attno in the other relation of column number no, if the other trigger makes the same pseudonyms of it; or 0. */
static AttrNumber
find_same_column(const PseudoRows *other, const PseudoRows *rows, int no)
{
	const PseudoTriggerColumn *column = list_nth(rows->arguments, no);
	ListCell   *cell;

	foreach(cell, other->arguments)
	{
		if (are_same_columns(column, lfirst(cell)))
			return other->columns[foreach_current_index(cell)].attno;
	}
	return 0;
}

/* Returns true if a tuple has this value in a column. */
static bool
tuple_has(HeapTuple tuple, Relation rel, AttrNumber attno, Datum value)
{
	bool		isnull;
	Datum		other = heap_getattr(tuple, attno, RelationGetDescr(rel), &isnull);

	return !isnull && pseudo_column_same(other, value);
}

/* See trigger_rows.h. */
bool
pseudo_rows_excluded(PseudoRows *rows, const TriggerData *data, int no, Datum value)
{
	AttrNumber	attno = rows->columns[no].attno;

	for (PseudoRows *other = rows->run->live; other; other = other->next)
	{
		if (other->inserted && other->relid == rows->relid &&
			find_same_column(other, rows, no) == attno &&
			tuple_has(other->inserted, data->tg_relation, attno, value))
			return true;
	}
	return false;
}

/* Returns true if this transaction has just taken a row out of its partition, to move it to another. */
static bool
has_left(Relation rel, ItemPointerData tid)
{
	HeapTupleData tuple = {.t_self = tid};
	Buffer		buffer;
	bool		left;

	if (rel->rd_tableam != GetHeapamTableAmRoutine() ||
		!heap_fetch(rel, SnapshotAny, &tuple, &buffer, false))
		return false;
	left = HeapTupleHeaderIndicatesMovedPartitions(tuple.t_data) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(tuple.t_data));
	ReleaseBuffer(buffer);
	return left;
}

/* Returns true if a tuple of the source has this value in the column of this name. */
static bool
source_has(HeapTuple tuple, Relation source, const Form_pg_attribute att, Datum value, bool isnull)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(source), NameStr(att->attname));
	bool		other_isnull;
	Datum		other;

	if (attno <= 0)
		return false;
	other = heap_getattr(tuple, attno, RelationGetDescr(source), &other_isnull);
	if (isnull || other_isnull)
		return isnull && other_isnull;
	return datum_image_eq(other, value, att->attbyval, att->attlen);
}

/* Returns true if an inserted row is the updated one, in all columns that are not computed later. */
static bool
is_whole(HeapTuple updated, Relation source, const TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;
		Datum		value;

		if (att->attisdropped || att->attgenerated != '\0')
			continue;
		value = heap_getattr(data->tg_trigtuple, i + 1, desc, &isnull);
		if (!source_has(updated, source, att, value, isnull))
			return false;
	}
	return true;
}

/* Returns true if an inserted row, as it is now, belongs into this partition.  A later trigger could still change it. */
static bool
belongs_here(PseudoRows *rows, const TriggerData *data)
{
	MemoryContext caller = MemoryContextSwitchTo(rows->run->query);
	ExprContext *context;

	if (rows->estate == NULL)
	{
		rows->estate = CreateExecutorState();
		rows->bounds = ExecPrepareCheck(RelationGetPartitionQual(data->tg_relation), rows->estate);
	}
	MemoryContextSwitchTo(caller);
	ResetPerTupleExprContext(rows->estate);
	context = GetPerTupleExprContext(rows->estate);
	context->ecxt_scantuple = data->tg_trigslot;
	return ExecCheck(rows->bounds, context);
}

/* Returns true if an inserted row has the updated one's value in the column of this name. */
static bool
has_same_source(HeapTuple updated, Relation source, const TriggerData *data, const char *name)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	AttrNumber	attno = get_attnum(RelationGetRelid(data->tg_relation), name);
	bool		isnull;
	Datum		value = heap_getattr(data->tg_trigtuple, attno, desc, &isnull);

	return source_has(updated, source, TupleDescAttr(desc, attno - 1), value, isnull);
}

/* Returns true if the value of column number no of an inserted row is that, in attno, of the row that was updated there and has left. */
static bool
is_moved_from(const PseudoRows *from, PseudoRows *rows, const TriggerData *data, int no, AttrNumber attno, Datum value)
{
	const PseudoTriggerColumn *column = list_nth(rows->arguments, no);
	Relation	source = table_open(from->relid, NoLock);
	bool		moved = tuple_has(from->updated, source, attno, value) &&
		(!column->label.into || has_same_source(from->updated, source, data, column->name)) &&
		has_left(source, from->old) &&
		(from->slot == data->tg_trigslot ||
		 (is_whole(from->updated, source, data) && belongs_here(rows, data)));

	table_close(source, NoLock);
	return moved;
}

/* See trigger_rows.h. */
bool
pseudo_rows_moved(PseudoRows *rows, const TriggerData *data, int no, Datum value)
{
	if (!OidIsValid(rows->root))
		return false;
	for (PseudoRows *other = rows->run->live; other; other = other->next)
	{
		AttrNumber	attno;

		if (other->updated && other->root == rows->root && other->relid != rows->relid &&
			(attno = find_same_column(other, rows, no)) > 0 &&
			is_moved_from(other, rows, data, no, attno, value))
			return true;
	}
	return false;
}

/* Let what is noted now last until the executor is through with the row.  False where it cannot. */
static bool
make_live(PseudoRows *rows)
{
	PseudoRun  *run = rows->run;

	if (run->row == NULL)
	{
		run->row = CurrentMemoryContext;
		MemoryContextRegisterResetCallback(run->row, &run->row_over);
	}
	/* The executor has one context for all statements of a run. */
	if (run->row != CurrentMemoryContext)
		return false;
	if (!rows->is_live)
	{
		rows->is_live = true;
		rows->next = run->live;
		run->live = rows;
	}
	return true;
}

/* A row that was updated is believed once: the first INSERT of these columns has taken it. */
static void
take_updated(PseudoRows *rows)
{
	for (PseudoRows *other = rows->run->live; other; other = other->next)
	{
		for (int i = 0; other->updated && i < list_length(rows->arguments); i++)
		{
			if (other->root == rows->root && find_same_column(other, rows, i) > 0)
				other->updated = NULL;
		}
	}
}

/* See trigger_rows.h. */
void
pseudo_rows_note(PseudoRows *rows, const TriggerData *data, HeapTuple result, bool is_ours,
				 bool is_moved)
{
	bool		is_insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);

	if (is_insert)
		take_updated(rows);

	/*
	 * A pseudonym that was moved here is not made of the writer's value:
	 * EXCLUDED has none.
	 */
	if (is_insert ? is_moved : !OidIsValid(rows->root))
		return;
	if (!make_live(rows))
		return;
	if (!is_ours)
		result = heap_copytuple(result);
	if (is_insert)
		rows->inserted = result;
	else
	{
		rows->updated = result;
		rows->old = data->tg_trigtuple->t_self;
		rows->slot = data->tg_newslot;
	}
}
