/*
 * bulk_trial.c
 *		Before a table is converted: a trial of whether its constraints take the pseudonyms.
 *
 * A pseudonym is longer than its value and has other characters.  What could refuse it, a CHECK, a
 * domain, a generated column, an expression of an index, a B-tree, is tried on every row, as the
 * conversion would write it.  Where there is no such thing on the columns, no row is read.
 *
 * An expression that has to be unique may take different pseudonyms for equal: left(e, 6) of all under
 * one key is the same.  And rows may enter an index WHERE e NOT LIKE '%@%'.  So the entries of such an index are
 * sorted, as hashes, and compared.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "../compat.h"
#include "bulk.h"
#include "reseal.h"

/* An entry of a B-tree is at most a third of a page. */
#define BTREE_MAX	\
	(MAXALIGN_DOWN((BLCKSZ - MAXALIGN(SizeOfPageHeaderData + 3 * sizeof(ItemIdData)) - \
					MAXALIGN(sizeof(BTPageOpaqueData))) / 3) - MAXALIGN(sizeof(ItemPointerData)))

/* A value of fewer bytes has a pseudonym that fits, also where it is longer in UTF-8. */
#define LONG_VALUE	(BTREE_MAX / 4)

/* An expression of the table, by the name of its constraint or the number of its generated column. */
typedef struct Expression
{
	const char *name;
	AttrNumber	attno;
	ExprState  *state;
} Expression;

/* An index whose entries are tried. */
typedef struct TriedIndex
{
	Relation	rel;
	IndexInfo  *info;
	ExprState  *predicate;
	Tuplesortstate *entries;	/* hashes, where they may be equal that must
								 * not; or NULL */
} TriedIndex;

/* What a trial needs. */
typedef struct Trial
{
	Bulk	   *bulk;
	BulkTarget *target;
	Bitmapset  *changed;		/* the columns, and those generated from them */
	List	   *generated;		/* of Expression * */
	List	   *checks;			/* likewise */
	List	   *indexes;		/* of TriedIndex * */
	bool		has_entries;	/* are some of them compared? */
	bool		fills;			/* may a column that is NULL get a pseudonym? */
	bool		is_needed;
	EState	   *estate;
	TupleTableSlot *row;		/* as it would be written */
	ItemPointerData tid;
	const char *column;			/* that is being looked at, or NULL */
	bool		is_converted;	/* what fails now is due to the row */
} Trial;

/* Error context: the row, and that nothing has happened yet. */
static void
say_trial(void *arg)
{
	Trial	   *trial = arg;

	if (trial->column)
		errcontext("column \"%s\" of row (%u,%u) of relation \"%s\"", trial->column,
				   ItemPointerGetBlockNumberNoCheck(&trial->tid),
				   ItemPointerGetOffsetNumberNoCheck(&trial->tid),
				   RelationGetRelationName(trial->target->rel));
	if (!trial->is_converted)
		return;
	errcontext("trying what would be written to row (%u,%u) of relation \"%s\"; nothing has been converted",
			   ItemPointerGetBlockNumberNoCheck(&trial->tid),
			   ItemPointerGetOffsetNumberNoCheck(&trial->tid),
			   RelationGetRelationName(trial->target->rel));
	errhint("Change or drop what refuses the pseudonym, and run this again.");
}

/* ---- What is tried ---- */

/* Add an expression to a list. */
static List *
add_expression(Trial *trial, List *list, const char *name, AttrNumber attno, ExprState *state)
{
	Expression *expression = palloc(sizeof(Expression));

	expression->name = name;
	expression->attno = attno;
	expression->state = state;
	trial->is_needed = true;
	return lappend(list, expression);
}

/* Returns true if an expression reads a column whose value changes, or the whole row. */
static bool
reads_changed(Trial *trial, Node *expression)
{
	Bitmapset  *set = NULL;

	pull_varattnos(expression, 1, &set);
	return bms_overlap(set, trial->changed) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, set);
}

/* The columns and the stored columns that are generated from them. */
static void
find_changed(Trial *trial)
{
	BulkTarget *target = trial->target;
	TupleDesc	desc = RelationGetDescr(target->rel);

	for (int i = 0; i < target->ncolumns; i++)
	{
		bool		fills = target->settings[i]->source != NULL;

		trial->changed = bms_add_member(trial->changed,
										target->columns[i].attno - FirstLowInvalidHeapAttributeNumber);
		trial->fills |= fills;
		trial->is_needed |= target->columns[i].is_domain &&
			pseudo_domain_has_constraints(target->columns[i].type);
		trial->is_needed |= target->columns[i].limit >= 0 &&
			trial->bulk->operation == BULK_REPSEUDONYMIZE;
		trial->is_needed |= fills && TupleDescAttr(desc, target->columns[i].attno - 1)->attnotnull;
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Node	   *expression;

		if (TupleDescAttr(desc, i)->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		expression = build_column_default(target->rel, i + 1);
		if (!reads_changed(trial, expression))
			continue;
		trial->changed = bms_add_member(trial->changed, i + 1 - FirstLowInvalidHeapAttributeNumber);
		trial->generated = add_expression(trial, trial->generated, NULL, i + 1,
										  ExecPrepareExpr((Expr *) expression, trial->estate));
	}
}

/* The CHECK constraints that read them, and those that old rows need not meet but new ones must. */
static void
find_checks(Trial *trial)
{
	TupleConstr *constraints = RelationGetDescr(trial->target->rel)->constr;

	for (int i = 0; constraints && i < constraints->num_check; i++)
	{
		ConstrCheck *check = &constraints->check[i];
		Node	   *expression = pseudo_check_expression(check, trial->target->rel);

		if (expression && (!check->ccvalid || reads_changed(trial, expression)))
			trial->checks = add_expression(trial, trial->checks, check->ccname, 0,
										   ExecPrepareExpr((Expr *) expression, trial->estate));
	}
}

/* Returns true if the columns have a value whose pseudonym may be too long for a B-tree.  Reads no values. */
static bool
has_long_value(Trial *trial)
{
	BulkTarget *target = trial->target;
	TupleTableSlot *slot = table_slot_create(target->rel, NULL);
	TableScanDesc scan = pseudo_beginscan(target->rel, GetActiveSnapshot());
	bool		is_long = false;

	while (!is_long && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < target->ncolumns; i++)
		{
			bool		isnull;
			Datum		value = slot_getattr(slot, target->sources[i].attno, &isnull);

			is_long |= !isnull && toast_raw_datum_size(value) > LONG_VALUE;
		}
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return is_long;
}

/* Returns true if the columns are in a B-tree. */
static bool
is_in_btree(Trial *trial, Relation index, const IndexInfo *info)
{
	for (int i = 0; index->rd_rel->relam == BTREE_AM_OID && i < info->ii_NumIndexAttrs; i++)
	{
		if (bms_is_member(info->ii_IndexAttrNumbers[i] - FirstLowInvalidHeapAttributeNumber,
						  trial->changed))
			return true;
	}
	return false;
}

/*
 * Returns true if a conversion may bring rows into an index for some rows only; IS NULL and IS NOT NULL stay as they
 * are where no column is filled.
 */
static bool
admits_others(Trial *trial, const IndexInfo *info)
{
	ListCell   *cell;

	foreach(cell, info->ii_Predicate)
	{
		if ((trial->fills || !IsA(lfirst(cell), NullTest)) && reads_changed(trial, lfirst(cell)))
			return true;
	}
	return false;
}

/* Returns true if rows may come to be equal in a unique index: by what is computed from the columns, or since they enter it. */
static bool
may_meet(Trial *trial, const IndexInfo *info)
{
	ListCell   *cell;

	if (!info->ii_Unique)
		return false;
	foreach(cell, trial->generated)
	{
		for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
		{
			if (info->ii_IndexAttrNumbers[i] == ((Expression *) lfirst(cell))->attno)
				return true;
		}
	}
	return reads_changed(trial, (Node *) info->ii_Expressions) || admits_others(trial, info);
}

/* Begin to sort the hashes of an index's entries, each as a uuid. */
static Tuplesortstate *
begin_entries(void)
{
	TypeCacheEntry *type = lookup_type_cache(UUIDOID, TYPECACHE_LT_OPR);

	return tuplesort_begin_datum(UUIDOID, type->lt_opr, InvalidOid, false, maintenance_work_mem, NULL, TUPLESORT_NONE);
}

/* The indexes whose entries may fail. */
static void
find_indexes(Trial *trial)
{
	int			is_long = -1;	/* not yet known */
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(trial->target->rel))
	{
		Relation	rel = index_open(lfirst_oid(cell), AccessShareLock);
		IndexInfo  *info = BuildIndexInfo(rel);
		bool		is_btree = is_in_btree(trial, rel, info);
		bool		is_compared = may_meet(trial, info);
		TriedIndex *index;

		if (is_btree && is_long < 0)
			is_long = has_long_value(trial);
		if (!reads_changed(trial, (Node *) info->ii_Expressions) &&
			!reads_changed(trial, (Node *) info->ii_Predicate) && !(is_btree && is_long) && !is_compared)
		{
			index_close(rel, NoLock);
			continue;
		}
		index = palloc(sizeof(TriedIndex));
		index->rel = rel;
		index->info = info;
		index->predicate = ExecPrepareQual(info->ii_Predicate, trial->estate);
		index->entries = is_compared ? begin_entries() : NULL;
		trial->has_entries |= is_compared;
		trial->indexes = lappend(trial->indexes, index);
		trial->is_needed = true;
	}
}

/* ---- Rows ---- */

/* The value of a column in a row, or NULL. */
static text *
column_value(TupleTableSlot *slot, const PseudoColumn *column)
{
	return slot->tts_isnull[column->attno - 1] ? NULL :
		pseudo_column_get(column, slot->tts_values[column->attno - 1]);
}

/* The pseudonym that would be written in the place of a value. */
static text *
trial_pseudonym(Bulk *bulk, const BulkColumn *column, text *value)
{
	PseudoCall *call = &column->call->call;
	PseudoOpened opened;

	if (bulk->operation == BULK_PSEUDONYMIZE)
		return pseudo_seal_value(call, value, column->is_deterministic);
	if (pseudo_open(call, value, false, &opened))
		return pseudo_reseal(call, value, &opened, false);
	return value;
}

/* Put a pseudonym, or NULL, into a column of the row. */
static void
put_value(Trial *trial, PseudoColumn *column, text *value)
{
	Relation	rel = trial->target->rel;
	int			no = column->attno - 1;

	if (value && column->limit >= 0 && VARSIZE_ANY_EXHDR(value) > (size_t) column->limit)
		pseudo_column_report_narrow(column, rel, VARSIZE_ANY_EXHDR(value));
	trial->is_converted = true;
	if (value == NULL && TupleDescAttr(RelationGetDescr(rel), no)->attnotnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of relation \"%s\" would become null, and must not be",
						column->name, RelationGetRelationName(rel)),
				 errtablecol(rel, column->attno)));
	if (value == NULL && column->is_domain)
		domain_check((Datum) 0, true, column->type, &column->domain, trial->bulk->mcxt);
	trial->row->tts_isnull[no] = value == NULL;
	trial->row->tts_values[no] = value ? pseudo_column_put(column, rel, value, trial->bulk->mcxt) : (Datum) 0;
	trial->is_converted = false;
}

/* Put what would be written into the row; false where the row stays as it is. */
static bool
convert_row(Trial *trial, TupleTableSlot *slot)
{
	Bulk	   *bulk = trial->bulk;
	BulkTarget *target = trial->target;
	int			natts = slot->tts_tupleDescriptor->natts;
	bool		is_changed = false;

	slot_getallattrs(slot);
	ExecClearTuple(trial->row);
	memcpy(trial->row->tts_values, slot->tts_values, natts * sizeof(Datum));
	memcpy(trial->row->tts_isnull, slot->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(trial->row);
	trial->row->tts_tableOid = RelationGetRelid(target->rel);
	for (int i = 0; i < target->ncolumns; i++)
	{
		BulkColumn *column = target->settings[i];
		text	   *held = column_value(slot, &target->columns[i]);
		text	   *value = column->source ? column_value(slot, &target->sources[i]) : held;
		bool		is_due;

		pseudo_bulk_prepare_call(bulk, column->call);
		trial->column = column->name;
		is_due = pseudo_bulk_is_due(bulk, column, value, held, false);
		trial->column = NULL;
		if (!is_due)
			continue;
		put_value(trial, &target->columns[i], value ? trial_pseudonym(bulk, column, value) : NULL);
		is_changed = true;
	}
	return is_changed;
}

/* Report a CHECK constraint that refuses a row. */
static void
__attribute__((noreturn))
report_check(Trial *trial, TupleTableSlot *old, const Expression *check)
{
	ExprContext *context = GetPerTupleExprContext(trial->estate);

	context->ecxt_scantuple = old;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("check constraint \"%s\" of relation \"%s\" would refuse a pseudonym",
					check->name, RelationGetRelationName(trial->target->rel)),
			 ExecCheck(check->state, context) ? 0 : errdetail("It refuses the row as it is, too."),
			 errtableconstraint(trial->target->rel, check->name)));
}

/* Compute the generated columns, and ask the CHECK constraints. */
static void
try_expressions(Trial *trial, TupleTableSlot *old)
{
	ExprContext *context = GetPerTupleExprContext(trial->estate);
	TupleTableSlot *row = trial->row;
	ListCell   *cell;

	foreach(cell, trial->generated)
	{
		Expression *generated = lfirst(cell);
		int			no = generated->attno - 1;

		row->tts_values[no] = ExecEvalExprSwitchContext(generated->state, context, &row->tts_isnull[no]);
	}
	foreach(cell, trial->checks)
	{
		Expression *check = lfirst(cell);

		if (!ExecCheck(check->state, context))
			report_check(trial, old, check);
	}
}

/* Note the key of an entry, unless NULLs let it be there more than once. */
static void
note_entry(TriedIndex *index, IndexTuple entry)
{
	IndexTuple	key = index_truncate_tuple(RelationGetDescr(index->rel), entry, index->info->ii_NumIndexKeyAttrs);
	const unsigned char *bytes = (unsigned char *) key + sizeof(IndexTupleData);
	int			len = IndexTupleSize(key) - sizeof(IndexTupleData);
	uint64		halves[2];
	pg_uuid_t	hash;

	if (IndexTupleHasNulls(key) && !index->info->ii_NullsNotDistinct)
		return;
	for (int i = 0; i < 2; i++)
		halves[i] = hash_bytes_extended(bytes, len, i + 1);
	memcpy(hash.data, halves, UUID_LEN);
	tuplesort_putdatum(index->entries, UUIDPGetDatum(&hash), false);
}

/* Make a row's entry of an index. */
static void
try_entry(Trial *trial, TriedIndex *index)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	IndexTuple	entry;

	FormIndexDatum(index->info, trial->row, trial->estate, values, nulls);
	if (index->rel->rd_rel->relam != BTREE_AM_OID)
		return;
	entry = index_form_tuple(RelationGetDescr(index->rel), values, nulls);
	if (IndexTupleSize(entry) > BTREE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a pseudonym would be too long for index \"%s\"",
						RelationGetRelationName(index->rel)),
				 errdetail("Its entry would have %zu bytes, and a B-tree takes %zu.",
						   IndexTupleSize(entry), (Size) BTREE_MAX),
				 errtableconstraint(trial->target->rel, RelationGetRelationName(index->rel))));
	if (index->entries)
		note_entry(index, entry);
}

/* Make the entries of the indexes; for a row that stays as it is, of those that are compared. */
static void
try_indexes(Trial *trial, bool is_changed)
{
	ListCell   *cell;

	foreach(cell, trial->indexes)
	{
		TriedIndex *index = lfirst(cell);

		if ((is_changed || index->entries) &&
			ExecQual(index->predicate, GetPerTupleExprContext(trial->estate)))
			try_entry(trial, index);
	}
}

/* Compare the entries of an index, and refuse it where two are equal. */
static void
check_entries(Trial *trial, TriedIndex *index)
{
	Datum		value;
	Datum		last = (Datum) 0;
	bool		isnull;

	tuplesort_performsort(index->entries);
	while (pseudo_next_sorted(index->entries, &value, &isnull))
	{
		CHECK_FOR_INTERRUPTS();
		if (last && memcmp(DatumGetUUIDP(last)->data, DatumGetUUIDP(value)->data, UUID_LEN) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("rows of relation \"%s\" would be equal in index \"%s\"",
							RelationGetRelationName(trial->target->rel), RelationGetRelationName(index->rel)),
					 errdetail("The index is on an expression, or for some rows only, and has to be unique. Nothing has been converted."),
					 errhint("Drop the index, and run this again; make the column itself unique, where it has to be.")));
		if (last)
			pfree(DatumGetPointer(last));
		last = value;
	}
	tuplesort_end(index->entries);
}

/* Try all rows. */
static void
try_rows(Trial *trial)
{
	Relation	rel = trial->target->rel;
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = pseudo_beginscan(rel, GetActiveSnapshot());
	MemoryContext row_mcxt = GetPerTupleMemoryContext(trial->estate);
	MemoryContext caller = MemoryContextSwitchTo(row_mcxt);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		is_changed;

		CHECK_FOR_INTERRUPTS();
		trial->tid = slot->tts_tid;
		GetPerTupleExprContext(trial->estate)->ecxt_scantuple = trial->row;
		is_changed = convert_row(trial, slot);
		trial->is_converted = is_changed;
		if (is_changed)
			try_expressions(trial, slot);
		if (is_changed || trial->has_entries)
			try_indexes(trial, is_changed);
		trial->is_converted = false;
		MemoryContextReset(row_mcxt);
	}
	MemoryContextSwitchTo(caller);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

/* Returns true if some keys of the run make longer pseudonyms than others.  Only then can moving to another key fail. */
static bool
grows(Bulk *bulk)
{
	ListCell   *cell;

	pseudo_bulk_prepare_calls(bulk);
	foreach(cell, bulk->calls)
	{
		const PseudoKeyring *keyring = ((BulkCall *) lfirst(cell))->call.keyring;

		for (int i = 0; i < keyring->nkeys; i++)
		{
			if (keyring->keys[i].status == PSEUDO_KEY_ENABLED && keyring->keys[i].prefix == PSEUDO_PREFIX_RAW &&
				keyring->primary->prefix == PSEUDO_PREFIX_TINK)
				return true;
		}
	}
	return false;
}

/* See bulk.h. */
void
pseudo_bulk_try(Bulk *bulk, BulkTarget *target)
{
	Trial		trial = {.bulk = bulk, .target = target};
	ErrorContextCallback context = {error_context_stack, say_trial, &trial};
	ListCell   *cell;

	if (bulk->operation == BULK_REPSEUDONYMIZE && !grows(bulk))
		return;
	trial.estate = CreateExecutorState();
	find_changed(&trial);
	find_checks(&trial);
	find_indexes(&trial);
	if (trial.is_needed)
	{
		trial.row = MakeSingleTupleTableSlot(RelationGetDescr(target->rel), &TTSOpsVirtual);
		error_context_stack = &context;
		try_rows(&trial);
		error_context_stack = context.previous;
		ExecDropSingleTupleTableSlot(trial.row);
	}
	foreach(cell, trial.indexes)
	{
		TriedIndex *index = lfirst(cell);

		if (index->entries)
			check_entries(&trial, index);
		index_close(index->rel, NoLock);
	}
	FreeExecutorState(trial.estate);
}
