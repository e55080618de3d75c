/*
 * unique_constraints.c
 *		What compares pseudonyms: the indexes of a table, and those that its foreign keys refer to.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "unique_parts.h"

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

/* See unique_parts.h. */
void
pseudo_unique_find_constraints(PseudoUnique *unique, Relation rel)
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

/* The entry of an index in pg_index; the caller releases it. */
static HeapTuple
index_tuple(Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", indexid);
	return tuple;
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
pseudo_unique_begin(Relation rel, PseudoColumn *columns, PseudoCall *const *calls, int n, LockTupleMode lock_mode)
{
	PseudoUnique *unique = palloc0(sizeof(PseudoUnique));
	ListCell   *cell;

	unique->mcxt = CurrentMemoryContext;
	unique->ncolumns = n;
	unique->columns = columns;
	unique->calls = calls;
	unique->keys = palloc0(n * sizeof(PseudoKey *));
	unique->lock_mode = lock_mode;
	foreach(cell, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = index_tuple(lfirst_oid(cell));

		glance_at_index(unique, rel, tuple);
		ReleaseSysCache(tuple);
	}
	return unique;
}

/* Returns true if columns of different calls are among some; attno 0, an expression, may have them all. */
static bool
has_different(const PseudoColumn *columns, PseudoCall *const *calls, int n, const AttrNumber *attnos, int nattnos)
{
	const PseudoCall *found = NULL;

	for (int i = 0; i < nattnos; i++)
	{
		if (attnos[i] == 0)
			return true;
		for (int j = 0; j < n; j++)
		{
			if (columns[j].attno != attnos[i])
				continue;
			if (found && found != calls[j])
				return true;
			found = calls[j];
		}
	}
	return false;
}

/* Returns true if an index of the table may compare columns of different calls. */
static bool
index_mixes(Relation rel, HeapTuple tuple, const PseudoColumn *columns, PseudoCall *const *calls, int n)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	if (!form->indisunique && !form->indisexclusion)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		if (form->indkey.values[i] > 0 &&
			TupleDescAttr(RelationGetDescr(rel), form->indkey.values[i] - 1)->attgenerated != '\0')
			return true;
	}
	return !heap_attisnull(tuple, Anum_pg_index_indpred, NULL) ||
		has_different(columns, calls, n, form->indkey.values, form->indnkeyatts);
}

/* See unique.h. */
bool
pseudo_unique_mixes(Relation rel, const PseudoColumn *columns, PseudoCall *const *calls, int n)
{
	bool		mixes = false;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = index_tuple(lfirst_oid(cell));

		mixes |= index_mixes(rel, tuple, columns, calls, n);
		ReleaseSysCache(tuple);
	}
	foreach(cell, RelationGetFKeyList(rel))
	{
		ForeignKeyCacheInfo *key = lfirst(cell);

		mixes |= has_different(columns, calls, n, key->conkey, key->nkeys);
	}
	return mixes;
}
