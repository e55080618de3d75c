/*
 * unique.c
 *		One value, one pseudonym, in what PostgreSQL compares.
 *
 * The look-up asks what PostgreSQL's own check will ask: is there a row with these values in all columns of the
 * index?  It asks for each combination of pseudonyms under the enabled keys, and sees what other
 * transactions have written and not yet committed, as that check does.
 *
 * Between the look-up and the row's entry in the index nothing may make the answer wrong:
 * - A row whose pseudonym is taken is locked as a foreign key locks it, so that it is neither
 *	 deleted nor moved to another key before this transaction ends.  An INSERT that ON CONFLICT may turn into an
 *	 UPDATE takes that one's lock at once: two sessions that share a weaker one could not both get it.
 * - Two rows of one new value meet in the index where they are made with the same key.  Transactions that
 *	 write with different keys are kept apart by locks of the table and each key.
 *
 * A transaction that writes to the table with a key holds that key's lock in one mode, and the locks of the
 * other enabled keys that it knows in another mode.  Each mode goes together with itself only.  So of two writers with
 * different keys one waits for the other if either knows the other's key: a writer that has not heard of a new
 * key need not.  That is why the lock is taken while one key is enabled, too, once a transaction and table.  After a
 * wait the keys are looked up again, and then the values.
 *
 * Locks are taken in the order of the keys' numbers.  A new key has the highest: whoever hears of it later keeps to
 * that order as well, and the locks of one table cannot deadlock.  A transaction goes on with the key that it has
 * written to the table with, for to change it would be to wait for others that do the same.  The lock itself
 * remembers that key: ROLLBACK TO gives it back with the rows, and PREPARE TRANSACTION keeps it.  One lock for the
 * table does for all values, shows none of them, and does not fill the lock table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "unique.h"

#define LOCK_CLASS	5			/* of advisory locks; SQL's functions have 1
								 * and 2, bulk.h has 3 and 5 */
#define LOCK_OWN	RowExclusiveLock	/* of the key that is written with */
#define LOCK_OTHER	ShareLock	/* of another one */

/* A stored generated column that an index depends on. */
typedef struct Generated
{
	AttrNumber	attno;
	ExprState  *value;
} Generated;

/* An index that a new row is looked up in. */
typedef struct Compared
{
	Oid			relid;			/* its table */
	Oid			indexid;
	bool		is_foreign;		/* of a table that a foreign key refers to */
	LockTupleMode lock_mode;	/* that keeps its key as it is */
	int			nkeys;			/* columns of the index that are compared ... */
	uint16		strategies[INDEX_MAX_KEYS]; /* ... with these operators */
	Oid			subtypes[INDEX_MAX_KEYS];
	Oid			procs[INDEX_MAX_KEYS];
	AttrNumber	attnos[INDEX_MAX_KEYS]; /* is_foreign: the row's columns */
	IndexInfo  *info;			/* else: how the index makes its entries */
	ExprState  *predicate;		/* and for which rows, or NULL */
	List	   *generated;		/* of Generated *: what they need */
	Bitmapset  *others;			/* the row's columns that are no pseudonyms,
								 * as pull_varattnos() has them */
	int			nvaried;
	int		   *varied;			/* the ones that are: numbers in
								 * PseudoUnique.columns */
	TupleTableSlot *found;		/* a row of the index's table */
} Compared;

struct PseudoUnique
{
	MemoryContext mcxt;			/* of all that is here */
	int			ncolumns;
	PseudoColumn *columns;
	LockTupleMode lock_mode;	/* for rows that pseudonyms are taken from, at
								 * least */
	bool		has_own;		/* may an index of the table compare them? */
	bool		has_others;		/* together with others, or some rows only? */

	uint64		prepared;		/* pseudo_generation when this was found, or 0 */
	PseudoKey  *key;			/* that this transaction writes with */
	bool		is_due;			/* several keys are enabled */

	bool		is_known;		/* has the rest been found? */
	List	   *compared;		/* of Compared *, foreign keys first */
	EState	   *estate;
	TupleTableSlot *row;		/* as it is looked up */
};

/* The pseudonyms that a column may have. */
typedef struct Choices
{
	bool		is_free;		/* may it be another one than it is? */
	int			n;				/* 0: not yet known */
	Datum	   *values;			/* the first is what it is */
} Choices;

/* A row that is being settled. */
typedef struct Settling
{
	PseudoUnique *unique;
	PseudoCall *call;
	Relation	rel;
	ItemPointer self;			/* where the row was, or NULL */
	Choices    *choices;		/* of each column */
	bool		is_changed;
} Settling;

/* What a look-up comes to. */
typedef enum Finding
{
	NOT_FOUND,
	FOUND,
	WAITED						/* look again, from the start */
} Finding;

/* A row in an index. */
typedef struct Entry
{
	ItemPointerData tid;
	TransactionId running;		/* that writes or deletes it, or
								 * InvalidTransactionId */
	uint32		token;			/* of a speculative insertion, or 0 */
	bool		has_passed;		/* the index had entries of rows that are no
								 * more */
} Entry;

/* ---- Constraints ---- */

/* Add what a set's generated columns are made of, and note these columns. */
static Bitmapset *
expand_generated(Relation rel, Bitmapset *set, EState *estate, List **generated)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Generated  *column;
		Node	   *expression;

		if (TupleDescAttr(desc, i)->attgenerated != ATTRIBUTE_GENERATED_STORED ||
			!bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, set))
			continue;
		expression = build_column_default(rel, i + 1);
		pull_varattnos(expression, 1, &set);
		column = palloc(sizeof(Generated));
		column->attno = i + 1;
		column->value = ExecPrepareExpr((Expr *) expression, estate);
		*generated = lappend(*generated, column);
		set = bms_del_member(set, i + 1 - FirstLowInvalidHeapAttributeNumber);
	}
	return set;
}

/* Split the row's columns that a constraint depends on; false where no pseudonym is among them. */
static bool
set_columns(PseudoUnique *unique, Compared *compared, Bitmapset *set)
{
	compared->varied = palloc(unique->ncolumns * sizeof(int));
	for (int i = 0; i < unique->ncolumns; i++)
	{
		int			member = unique->columns[i].attno - FirstLowInvalidHeapAttributeNumber;

		if (!bms_is_member(member, set))
			continue;
		compared->varied[compared->nvaried++] = i;
		set = bms_del_member(set, member);
	}
	compared->others = set;
	return compared->nvaried > 0;
}

/* Take the operators that an index of the table itself compares with. */
static void
set_operators(Compared *compared, Relation index)
{
	IndexInfo  *info = compared->info;
	bool		excludes = info->ii_ExclusionOps != NULL;

	if (!excludes)
		BuildSpeculativeIndexInfo(index, info);
	compared->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	for (int i = 0; i < compared->nkeys; i++)
	{
		compared->strategies[i] = excludes ? info->ii_ExclusionStrats[i] : info->ii_UniqueStrats[i];
		compared->procs[i] = excludes ? info->ii_ExclusionProcs[i] : info->ii_UniqueProcs[i];
	}
}

/* Make the slot for rows of a table; it holds nothing of the relation. */
static TupleTableSlot *
make_slot(Relation table)
{
	return MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(table)),
									table_slot_callbacks(table));
}

/* Take an index of the table itself. */
static void
add_index(PseudoUnique *unique, Relation rel, Relation index)
{
	Compared   *compared = palloc0(sizeof(Compared));
	IndexInfo  *info = BuildIndexInfo(index);
	Bitmapset  *set = NULL;
	Bitmapset  *keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);

	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
	{
		if (info->ii_IndexAttrNumbers[i] != 0)
			set = bms_add_member(set, info->ii_IndexAttrNumbers[i] - FirstLowInvalidHeapAttributeNumber);
	}
	pull_varattnos((Node *) info->ii_Expressions, 1, &set);
	pull_varattnos((Node *) info->ii_Predicate, 1, &set);
	set = expand_generated(rel, set, unique->estate, &compared->generated);

	/*
	 * A change of such columns locks the row against KEY SHARE, a change of
	 * others does not.
	 */
	compared->lock_mode = bms_is_subset(set, keys) && info->ii_Predicate == NIL &&
		info->ii_Expressions == NIL && compared->generated == NIL ? LockTupleKeyShare : LockTupleShare;
	if (!set_columns(unique, compared, set))
		return;

	compared->relid = RelationGetRelid(rel);
	compared->indexid = RelationGetRelid(index);
	compared->info = info;
	if (info->ii_Predicate != NIL)
		compared->predicate = ExecPrepareQual(info->ii_Predicate, unique->estate);
	set_operators(compared, index);
	compared->found = make_slot(rel);
	unique->compared = lappend(unique->compared, compared);
}

/* The index that a foreign key refers to. */
static Oid
referenced_index(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid			result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->conindid;
	ReleaseSysCache(tuple);
	return result;
}

/* Say how a foreign key's columns are looked up in the index that it refers to; false where they cannot be. */
static bool
map_foreign_key(Compared *compared, const ForeignKeyCacheInfo *fk, Relation index)
{
	compared->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	if (compared->nkeys != fk->nkeys || !index->rd_index->indisunique || index->rd_index->indisexclusion)
		return false;
	for (int i = 0; i < compared->nkeys; i++)
	{
		int			no = 0;
		int			strategy;
		Oid			left;

		while (no < fk->nkeys && fk->confkey[no] != index->rd_index->indkey.values[i])
			no++;
		if (no == fk->nkeys || !op_in_opfamily(fk->conpfeqop[no], index->rd_opfamily[i]))
			return false;
		get_op_opfamily_properties(fk->conpfeqop[no], index->rd_opfamily[i], false,
								   &strategy, &left, &compared->subtypes[i]);
		compared->strategies[i] = strategy;
		compared->procs[i] = get_opcode(fk->conpfeqop[no]);
		compared->attnos[i] = fk->conkey[no];
	}
	return true;
}

/* Take a foreign key of the table. */
static void
add_foreign_key(PseudoUnique *unique, Relation rel, const ForeignKeyCacheInfo *fk)
{
	Compared   *compared = palloc0(sizeof(Compared));
	Bitmapset  *set = NULL;
	Relation	table;
	Relation	index;

	for (int i = 0; i < fk->nkeys; i++)
		set = bms_add_member(set, fk->conkey[i] - FirstLowInvalidHeapAttributeNumber);

	/*
	 * Where the other table is partitioned, each of its partitions is
	 * referred to as well.
	 */
	if (!set_columns(unique, compared, expand_generated(rel, set, unique->estate, &compared->generated)) ||
		get_rel_relkind(fk->confrelid) != RELKIND_RELATION)
		return;
	compared->relid = fk->confrelid;
	compared->indexid = referenced_index(fk->conoid);
	compared->is_foreign = true;
	table = table_open(fk->confrelid, RowShareLock);
	index = index_open(compared->indexid, AccessShareLock);
	if (map_foreign_key(compared, fk, index))
		unique->compared = lcons(compared, unique->compared);
	compared->found = make_slot(table);
	index_close(index, NoLock);
	table_close(table, NoLock);
}

/* Find out all about the constraints that compare the columns; may run functions of the table. */
static void
find_constraints(PseudoUnique *unique, Relation rel)
{
	MemoryContext caller = MemoryContextSwitchTo(unique->mcxt);
	ListCell   *cell;

	unique->is_known = true;
	unique->estate = CreateExecutorState();
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if ((index->rd_index->indisunique || index->rd_index->indisexclusion) &&
			index->rd_index->indisready)
			add_index(unique, rel, index);
		index_close(index, NoLock);
	}
	foreach(cell, copyObject(RelationGetFKeyList(rel)))
		add_foreign_key(unique, rel, lfirst(cell));
	unique->row = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)), &TTSOpsVirtual);
	MemoryContextSwitchTo(caller);
}

/* Look at an index of the table, as cheaply as may be: may it compare the columns, and what else? */
static void
glance_at_index(PseudoUnique *unique, Relation rel, HeapTuple tuple)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	bool		is_special = !heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
	bool		has_column = false;

	if (!form->indisunique && !form->indisexclusion)
		return;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attno = form->indkey.values[i];

		is_special |= attno == 0 || TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated != '\0';
		for (int j = 0; j < unique->ncolumns; j++)
			has_column |= unique->columns[j].attno == attno;
	}
	unique->has_own |= has_column || is_special;
	unique->has_others |= is_special || (has_column && form->indnkeyatts > 1);
}

/* See unique.h. */
PseudoUnique *
pseudo_unique_begin(Relation rel, PseudoColumn *columns, int n, LockTupleMode lock_mode)
{
	PseudoUnique *unique = palloc0(sizeof(PseudoUnique));
	ListCell   *cell;

	unique->mcxt = CurrentMemoryContext;
	unique->ncolumns = n;
	unique->columns = columns;
	unique->lock_mode = lock_mode;
	foreach(cell, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(cell));
		glance_at_index(unique, rel, tuple);
		ReleaseSysCache(tuple);
	}
	return unique;
}

/* ---- Keys ---- */

/* The tag of a key's lock of a table; it differs for any two keys of a keyring. */
static void
set_tag(LOCKTAG *tag, const PseudoCall *call, Relation rel, const PseudoKey *key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, RelationGetRelid(rel),
						 hash_uint32(call->serverid) ^ key->id, LOCK_CLASS);
}

/*
 * The key that this transaction writes to a table with: the primary one, or the one that it began with.
 * To take another could deadlock.
 */
static PseudoKey *
find_key(const PseudoCall *call, Relation rel)
{
	PseudoKeyring *keyring = call->keyring;
	PseudoKey  *result = keyring->primary;

	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];
		LOCKTAG		tag;

		if (key == keyring->primary || key->status != PSEUDO_KEY_ENABLED)
			continue;
		set_tag(&tag, call, rel, key);
		if (pseudo_lock_held(&tag, LOCK_OWN))
			result = key;
	}
	return result;
}

/* Keep writers with other keys out of the table until this transaction ends. */
static void
lock_keys(const PseudoCall *call, Relation rel, const PseudoKey *own)
{
	PseudoKeyring *keyring = call->keyring;

	/* The keys stand in descending order. */
	for (int i = keyring->nkeys - 1; i >= 0; i--)
	{
		PseudoKey  *key = &keyring->keys[i];
		LOCKTAG		tag;

		if (key->status != PSEUDO_KEY_ENABLED)
			continue;
		set_tag(&tag, call, rel, key);
		(void) LockAcquire(&tag, key == own ? LOCK_OWN : LOCK_OTHER, false, false);
	}
}

/* Returns true if more than one key is enabled. */
static bool
has_several(const PseudoKeyring *keyring)
{
	int			enabled = 0;

	for (int i = 0; i < keyring->nkeys; i++)
		enabled += keyring->keys[i].status == PSEUDO_KEY_ENABLED;
	return enabled > 1;
}

/* See unique.h. */
bool
pseudo_unique_prepare(PseudoUnique *unique, const PseudoCall *call, Relation rel, bool writes)
{
	if (likely(unique->prepared == call->generation))
		return true;
	unique->key = find_key(call, rel);
	if (unique->has_own && writes)
		lock_keys(call, rel, unique->key);
	unique->is_due = has_several(call->keyring);
	unique->prepared = call->generation;
	if (unique->is_due && !unique->is_known)
		find_constraints(unique, rel);
	AcceptInvalidationMessages();
	return false;
}

/* See unique.h. */
bool
pseudo_unique_is_due(const PseudoUnique *unique)
{
	return unique->is_due && unique->compared != NIL;
}

/* ---- Pseudonyms ---- */

/* A pseudonym as a value of its column; false where that is too narrow, and so cannot have it. */
static bool
as_value(const PseudoColumn *column, Relation rel, text *pseudonym, Datum *value)
{
	PseudoColumn plain = *column;

	plain.is_domain = false;	/* what is there has been checked */
	if (column->limit >= 0 && VARSIZE_ANY_EXHDR(pseudonym) > (size_t) column->limit)
		return false;
	*value = pseudo_column_put(&plain, rel, pseudonym, CurrentMemoryContext);
	return true;
}

/* Find the pseudonyms that a column may have: the one that it has, and those of its value under the other keys. */
static void
find_choices(Settling *s, int no)
{
	PseudoColumn *column = &s->unique->columns[no];
	Choices    *choices = &s->choices[no];
	Datum		value = s->unique->row->tts_values[column->attno - 1];
	bool		is_free = choices->is_free && !s->unique->row->tts_isnull[column->attno - 1];
	text	   *pseudonym = is_free ? pseudo_column_get(column, value) : NULL;
	PseudoOpened opened;

	is_free = is_free && pseudo_looks_like_pseudonym(pseudonym) &&
		pseudo_open(s->call, pseudonym, true, &opened);
	choices->values = palloc((is_free ? s->call->keyring->nkeys : 1) * sizeof(Datum));
	choices->values[choices->n++] = value;
	for (int i = 0; is_free && i < s->call->keyring->nkeys; i++)
	{
		PseudoKey  *key = &s->call->keyring->keys[i];

		if (key != opened.key && key->status == PSEUDO_KEY_ENABLED &&
			as_value(column, s->rel, pseudo_seal_under(s->call, key, VARDATA(opened.value), opened.len), &choices->values[choices->n]))
			choices->n++;
	}
	if (is_free)
	{
		explicit_bzero(VARDATA(opened.value), opened.len);
		pfree(opened.value);
	}
}

/* Put a combination of pseudonyms into the row. */
static void
place(Settling *s, Compared *compared, const int *chosen)
{
	ExprContext *context = GetPerTupleExprContext(s->unique->estate);
	TupleTableSlot *row = s->unique->row;
	ListCell   *cell;

	for (int i = 0; i < compared->nvaried; i++)
	{
		int			no = compared->varied[i];

		row->tts_values[s->unique->columns[no].attno - 1] = s->choices[no].values[chosen[i]];
	}
	context->ecxt_scantuple = row;
	foreach(cell, compared->generated)
	{
		Generated  *column = lfirst(cell);

		row->tts_values[column->attno - 1] =
			ExecEvalExprSwitchContext(column->value, context, &row->tts_isnull[column->attno - 1]);
	}
}

/* Go on to the next combination; false where that was the last one. */
static bool
next_combination(Settling *s, Compared *compared, int *chosen)
{
	for (int i = 0; i < compared->nvaried; i++)
	{
		if (++chosen[i] < s->choices[compared->varied[i]].n)
			return true;
		chosen[i] = 0;
	}
	return false;
}

/* ---- Looking up ---- */

/* What an index has to have for the row to be found; false where the row has no entry there, or one that equals none. */
static bool
entry_of(PseudoUnique *unique, Compared *compared, Relation index, Datum *values, bool *nulls)
{
	TupleTableSlot *row = unique->row;

	if (compared->is_foreign)
	{
		for (int i = 0; i < compared->nkeys; i++)
		{
			values[i] = row->tts_values[compared->attnos[i] - 1];
			nulls[i] = row->tts_isnull[compared->attnos[i] - 1];
		}
	}
	else
	{
		if (compared->predicate &&
			!ExecQual(compared->predicate, GetPerTupleExprContext(unique->estate)))
			return false;
		FormIndexDatum(compared->info, row, unique->estate, values, nulls);
	}
	for (int i = 0; i < compared->nkeys; i++)
	{
		if (nulls[i] && (compared->is_foreign || !index->rd_index->indnullsnotdistinct))
			return false;
	}
	return true;
}

/* Compare a row that a lossy index has found. */
static bool
is_equal(PseudoUnique *unique, Compared *compared, Relation index, const Datum *values)
{
	ExprContext *context = GetPerTupleExprContext(unique->estate);
	Datum		others[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		result = true;

	context->ecxt_scantuple = compared->found;
	FormIndexDatum(compared->info, compared->found, unique->estate, others, nulls);
	context->ecxt_scantuple = unique->row;
	for (int i = 0; i < compared->nkeys && result; i++)
		result = !nulls[i] &&
			DatumGetBool(OidFunctionCall2Coll(compared->procs[i], index->rd_indcollation[i],
											  others[i], values[i]));
	return result;
}

/* Go on to the next entry of a scan whose row there is.  As index_getnext_slot(), which does not say what it passes. */
static bool
next_entry(IndexScanDesc scan, TupleTableSlot *slot, Entry *entry)
{
	while (scan->xs_heap_continue || index_getnext_tid(scan, ForwardScanDirection) != NULL)
	{
		if (index_fetch_heap(scan, slot))
			return true;
		entry->has_passed = true;
	}
	return false;
}

/* Find a row that a snapshot shows, and that is not the one at except. */
static bool
scan_index(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
		   const Datum *values, const bool *nulls, Snapshot snapshot, ItemPointer except, Entry *entry)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	IndexScanDesc scan;
	bool		found = false;

	for (int i = 0; i < compared->nkeys; i++)
		ScanKeyEntryInitialize(&keys[i], nulls[i] ? SK_ISNULL | SK_SEARCHNULL : 0, i + 1,
							   compared->strategies[i], compared->subtypes[i],
							   index->rd_indcollation[i], compared->procs[i], values[i]);
	scan = pseudo_beginscan_index(table, index, snapshot, compared->nkeys);
	index_rescan(scan, keys, compared->nkeys, NULL, 0);
	entry->has_passed = false;
	while (!found && next_entry(scan, compared->found, entry))
	{
		found = (except == NULL || !ItemPointerEquals(except, &compared->found->tts_tid)) &&
			(!scan->xs_recheck || is_equal(unique, compared, index, values));
		entry->tid = compared->found->tts_tid;
	}
	index_endscan(scan);
	ExecClearTuple(compared->found);
	return found;
}

/* Find a row, committed or not, that is not the one at except. */
static bool
find_entry(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
		   const Datum *values, const bool *nulls, ItemPointer except, Entry *entry)
{
	SnapshotData dirty;
	bool		found;

	InitDirtySnapshot(dirty);
	found = scan_index(unique, compared, table, index, values, nulls, &dirty, except, entry);
	entry->running = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
	entry->token = TransactionIdIsValid(dirty.xmin) ? dirty.speculativeToken : 0;
	return found;
}

/*
 * Returns true if find_entry() has missed a row: an UPDATE has put its entry in front of the scan and was
 * committed before the scan came to the old one.  A snapshot that is taken afterwards shows the row once.
 */
static bool
has_missed(PseudoUnique *unique, Compared *compared, Relation table, Relation index,
		   const Datum *values, const bool *nulls)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Entry		entry;
	bool		found;

	snapshot->curcid = InvalidCommandId;	/* all that this transaction did */
	found = scan_index(unique, compared, table, index, values, nulls, snapshot, NULL, &entry);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Wait for the transaction that writes a row. */
static Finding
wait_for(Relation table, Entry *entry)
{
	if (entry->token != 0)
		SpeculativeInsertionWait(entry->running, entry->token);
	else
		XactLockTableWait(entry->running, table, &entry->tid, XLTW_InsertIndex);
	return WAITED;
}

/* Keep a row as it is until this transaction ends. */
static Finding
lock_entry(Compared *compared, Relation table, Entry *entry, LockTupleMode mode)
{
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_lock(table, &entry->tid, GetActiveSnapshot(), compared->found,
							  GetCurrentCommandId(true), mode, LockWaitBlock, 0,
							  &failure);
	ExecClearTuple(compared->found);
	/* What this command itself has written nobody else can change. */
	return result == TM_Ok || result == TM_Invisible || result == TM_SelfModified ? FOUND : WAITED;
}

/* Look the row up as it is; is_first: with the pseudonyms that it has. */
static Finding
look_in(Settling *s, Compared *compared, Relation table, Relation index, bool is_first)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	Entry		entry;

	/*
	 * In the table's own index PostgreSQL itself finds what has the same
	 * pseudonyms.
	 */
	if ((is_first && !compared->is_foreign) ||
		!entry_of(s->unique, compared, index, values, nulls))
		return NOT_FOUND;
	if (!find_entry(s->unique, compared, table, index, values, nulls, NULL, &entry))
		return entry.has_passed && has_missed(s->unique, compared, table, index, values, nulls) ?
			WAITED : NOT_FOUND;
	if (TransactionIdIsValid(entry.running))
		return wait_for(table, &entry);
	if (is_first || (s->self && !compared->is_foreign && ItemPointerEquals(s->self, &entry.tid)))
		return FOUND;
	return lock_entry(compared, table, &entry,
					  compared->is_foreign ? LockTupleKeyShare : Max(s->unique->lock_mode, compared->lock_mode));
}

/* Give the row the pseudonyms that an index has; it keeps its own where there are none. */
static void
settle_in(Settling *s, Compared *compared, Relation table, Relation index)
{
	int		   *chosen = palloc0(compared->nvaried * sizeof(int));
	Finding		result;

	do
	{
		bool		is_first = true;

		CHECK_FOR_INTERRUPTS();
		memset(chosen, 0, compared->nvaried * sizeof(int));
		do
		{
			place(s, compared, chosen);
			result = look_in(s, compared, table, index, is_first);
			is_first = false;
		} while (result == NOT_FOUND && next_combination(s, compared, chosen));
	} while (result == WAITED);

	for (int i = 0; i < compared->nvaried; i++)
	{
		Choices    *choices = &s->choices[compared->varied[i]];

		s->is_changed |= chosen[i] != 0;
		choices->values[0] = choices->values[chosen[i]];
		if (result == FOUND)
			choices->n = 1;		/* the other constraints have to take it */
	}
	place(s, compared, memset(chosen, 0, compared->nvaried * sizeof(int)));
	pfree(chosen);
}

/* ---- Rows ---- */

/* Returns true if a column has the same bytes in two rows. */
static bool
has_same(TupleDesc desc, HeapTuple a, HeapTuple b, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
	bool		null_a;
	bool		null_b;
	Datum		value_a = heap_getattr(a, attno, desc, &null_a);
	Datum		value_b = heap_getattr(b, attno, desc, &null_b);

	if (null_a || null_b)
		return null_a && null_b;
	return datum_image_eq(value_a, value_b, att->attbyval, att->attlen);
}

/* Returns true if an UPDATE changed a column that is compared beside the pseudonyms. */
static bool
is_moved(Compared *compared, TupleDesc desc, HeapTuple new, HeapTuple old)
{
	int			member = -1;

	while (old && (member = bms_next_member(compared->others, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno == 0 || (attno > 0 && !has_same(desc, new, old, attno)))
			return true;
	}
	return false;
}

/* Returns true if one of a constraint's columns is among those that were converted. */
static bool
has_converted(PseudoUnique *unique, Compared *compared, const int *attnos, int n)
{
	for (int i = 0; i < compared->nvaried; i++)
	{
		for (int j = 0; j < n; j++)
		{
			if (unique->columns[compared->varied[i]].attno == attnos[j])
				return true;
		}
	}
	return false;
}

/* Returns true if a foreign key of the table has several columns. */
static bool
refers_by_several(Relation rel)
{
	ListCell   *cell;

	foreach(cell, RelationGetFKeyList(rel))
	{
		if (((ForeignKeyCacheInfo *) lfirst(cell))->nkeys > 1)
			return true;
	}
	return false;
}

/* See unique.h. */
bool
pseudo_unique_is_moved(PseudoUnique *unique, Relation rel, HeapTuple new, HeapTuple old)
{
	ListCell   *cell;

	if (!unique->has_others && !refers_by_several(rel))
		return false;
	if (!unique->is_known)
		find_constraints(unique, rel);
	foreach(cell, unique->compared)
	{
		if (is_moved(lfirst(cell), RelationGetDescr(rel), new, old))
			return true;
	}
	return false;
}

/* Begin with a row: which of its columns may change. */
static void
begin_row(Settling *s, HeapTuple new, HeapTuple old, const int *attnos, int n)
{
	PseudoUnique *unique = s->unique;
	TupleDesc	desc = RelationGetDescr(s->rel);

	ResetPerTupleExprContext(unique->estate);
	ExecClearTuple(unique->row);
	heap_deform_tuple(new, desc, unique->row->tts_values, unique->row->tts_isnull);
	ExecStoreVirtualTuple(unique->row);
	unique->row->tts_tableOid = RelationGetRelid(s->rel);
	s->self = old ? &old->t_self : NULL;
	s->choices = palloc0(unique->ncolumns * sizeof(Choices));
	for (int i = 0; i < unique->ncolumns; i++)
	{
		s->choices[i].is_free = old && has_same(desc, new, old, unique->columns[i].attno);
		for (int j = 0; j < n; j++)
			s->choices[i].is_free |= unique->columns[i].attno == attnos[j];
	}
}

/* Give the columns that were converted their pseudonyms under the key that this transaction writes with. */
static void
use_key(Settling *s, const int *attnos, int n)
{
	PseudoUnique *unique = s->unique;

	if (likely(unique->key == s->call->keyring->primary))
		return;
	for (int i = 0; i < unique->ncolumns; i++)
	{
		PseudoColumn *column = &unique->columns[i];
		Datum	   *value = &unique->row->tts_values[column->attno - 1];
		PseudoOpened opened;

		for (int j = 0; j < n; j++)
		{
			if (column->attno != attnos[j] ||
				!pseudo_open(s->call, pseudo_column_get(column, *value), true, &opened))
				continue;
			s->is_changed |= as_value(column, s->rel, pseudo_seal_under(s->call, unique->key, VARDATA(opened.value), opened.len), value);
			explicit_bzero(VARDATA(opened.value), opened.len);
			pfree(opened.value);
		}
	}
}

/* See unique.h. */
HeapTuple
pseudo_unique_settle(PseudoUnique *unique, PseudoCall *call, Relation rel, HeapTuple new,
					 HeapTuple old, const int *attnos, int n)
{
	Settling	s = {.unique = unique, .call = call, .rel = rel};
	HeapTuple	result;
	ListCell   *cell;

	if (likely(!pseudo_unique_is_due(unique)))
		return new;
	begin_row(&s, new, old, attnos, n);
	use_key(&s, attnos, n);
	for (int i = 0; i < unique->ncolumns; i++)
		find_choices(&s, i);
	foreach(cell, unique->compared)
	{
		Compared   *compared = lfirst(cell);
		Relation	table;
		Relation	index;

		if (!has_converted(unique, compared, attnos, n) &&
			!is_moved(compared, RelationGetDescr(rel), new, old))
			continue;
		table = table_open(compared->relid, RowShareLock);
		index = index_open(compared->indexid, AccessShareLock);
		settle_in(&s, compared, table, index);
		index_close(index, NoLock);
		table_close(table, NoLock);
	}
	if (!s.is_changed)
		return new;
	result = heap_form_tuple(RelationGetDescr(rel), unique->row->tts_values, unique->row->tts_isnull);
	result->t_self = new->t_self;
	result->t_tableOid = new->t_tableOid;
	return result;
}

/* See unique.h. */
Oid
pseudo_unique_twin(PseudoUnique *unique, PseudoCall *call, Relation rel, HeapTuple row,
				   const int *attnos, int n)
{
	Settling	s = {.unique = unique, .call = call, .rel = rel};
	Oid			result = InvalidOid;
	ListCell   *cell;

	begin_row(&s, row, NULL, attnos, n);
	for (int i = 0; i < unique->ncolumns; i++)
		find_choices(&s, i);
	foreach(cell, unique->compared)
	{
		Compared   *compared = lfirst(cell);
		Relation	index;
		int		   *chosen = palloc0(compared->nvaried * sizeof(int));

		if (OidIsValid(result) || compared->is_foreign || !has_converted(unique, compared, attnos, n))
			continue;
		index = index_open(compared->indexid, AccessShareLock);
		do
		{
			Datum		values[INDEX_MAX_KEYS];
			bool		nulls[INDEX_MAX_KEYS];
			Entry		entry;

			place(&s, compared, chosen);
			if (entry_of(unique, compared, index, values, nulls) &&
				find_entry(unique, compared, rel, index, values, nulls, &row->t_self, &entry))
				result = compared->indexid;
		} while (!OidIsValid(result) && next_combination(&s, compared, chosen));
		index_close(index, NoLock);
	}
	return result;
}
