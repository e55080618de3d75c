/*
 * coverage_where.c
 *		Where else the values of a table's columns may be, for pseudo_coverage().
 *
 * What depends on a column is found in pg_depend, and expressions are looked at as they are stored: the relation
 * cache would compute the constants in those of indexes, with functions of the table's owner.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "rewrite/prs2lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "column.h"
#include "coverage.h"

/* What depends on a relation or a column of it. */
typedef struct Dependent
{
	Oid			classid;
	Oid			objid;
	int32		subid;
	AttrNumber	attno;			/* of the column that it depends on, or 0 */
} Dependent;

/* ---- Places ---- */

/* Add a place, unless it is there; to all columns but those of a label "keep" where attno is 0. */
static void
add_place(PseudoCoverageTable *table, AttrNumber attno, const char *place)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		PseudoCoverageColumn *column = &table->columns[i];
		ListCell   *cell;
		bool		is_known = false;

		if ((attno != 0 && column->attno != attno) || column->label->mode == PSEUDO_MODE_KEEP)
			continue;
		foreach(cell, column->elsewhere)
			is_known |= strcmp(lfirst(cell), place) == 0;
		if (!is_known)
			column->elsewhere = lappend(column->elsewhere, pstrdup(place));
	}
}

/* The order of places. */
static int
compare_places(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* "view schema.name" and its like, or NULL where it is gone. */
static char *
name_relation(const char *what, Oid relid)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) ?
		psprintf("%s %s", what, pseudo_relation_name(relid)) : NULL;
}

/* ---- What depends on a column ---- */

/* Find what depends on a relation. */
static List *
find_dependents(Oid relid)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *dependents = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		Dependent  *dependent = palloc(sizeof(Dependent));

		dependent->classid = form->classid;
		dependent->objid = form->objid;
		dependent->subid = form->objsubid;
		dependent->attno = form->refobjsubid;
		dependents = lappend(dependents, dependent);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return dependents;
}

/* The relation that a rule belongs to, or InvalidOid; *name gets the name of the rule, palloc'ed. */
static Oid
find_rule(Oid rule, char **name)
{
	Relation	rewrite = table_open(RewriteRelationId, AccessShareLock);
	Oid			relid = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(rule));
	scan = systable_beginscan(rewrite, RewriteOidIndexId, true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_rewrite form = (Form_pg_rewrite) GETSTRUCT(tuple);

		relid = form->ev_class;
		*name = pstrdup(NameStr(form->rulename));
	}
	systable_endscan(scan);
	table_close(rewrite, AccessShareLock);
	return relid;
}

/* Returns true if an index has a column in one of its expressions. */
static bool
indexes_expression(Oid indexid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	Bitmapset  *used = NULL;
	Datum		expressions;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	expressions = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);
	if (!isnull)
		pull_varattnos(stringToNode(TextDatumGetCString(expressions)), 1, &used);
	ReleaseSysCache(tuple);
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
}

/* What another relation, or a column of this one, has of a column; or NULL. */
static char *
name_dependent_relation(Oid relid, const Dependent *dependent)
{
	char		kind = get_rel_relkind(dependent->objid);

	if (dependent->objid == relid && dependent->attno != 0 && dependent->subid > 0 &&
		get_attgenerated(relid, dependent->subid) != '\0')
		return psprintf("generated column %s", quote_identifier(get_attname(relid, dependent->subid, false)));
	if ((kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX) && dependent->attno != 0 &&
		indexes_expression(dependent->objid, dependent->attno))
		return name_relation("index", dependent->objid);
	return NULL;
}

/* The foreign key of another table that refers to a column, or NULL. */
static char *
name_foreign_key(Oid relid, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	char	   *place = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_FOREIGN && form->confrelid == relid && form->conrelid != relid)
		place = name_relation(psprintf("foreign key %s of", quote_identifier(NameStr(form->conname))), form->conrelid);
	ReleaseSysCache(tuple);
	return place;
}

/* Extended statistics, or NULL. */
static char *
name_statistics(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(oid));
	Form_pg_statistic_ext form;
	char	   *place;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	place = psprintf("statistics %s", quote_qualified_identifier(get_namespace_name(form->stxnamespace),
																 NameStr(form->stxname)));
	ReleaseSysCache(tuple);
	return place;
}

/* Add a view or materialized view that reads a column, and those that read it in turn. */
static void
add_views(PseudoCoverageTable *table, AttrNumber attno, Oid view)
{
	List	   *views = list_make1_oid(view);

	for (int i = 0; i < list_length(views); i++)
	{
		Oid			relid = list_nth_oid(views, i);
		char		kind = get_rel_relkind(relid);
		char	   *name;
		ListCell   *cell;

		if (relid == table->relid || (kind != RELKIND_VIEW && kind != RELKIND_MATVIEW))
			continue;			/* its own rule, one of a table, or gone */
		name = name_relation(kind == RELKIND_VIEW ? "view" : "materialized view", relid);
		if (name)
			add_place(table, attno, name);
		foreach(cell, find_dependents(relid))
		{
			Dependent  *dependent = lfirst(cell);

			if (dependent->classid == RewriteRelationId)
				views = list_append_unique_oid(views, find_rule(dependent->objid, &name));
		}
	}
}

/* Add what depends on the columns. */
static void
add_dependents(PseudoCoverageTable *table, Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_dependents(relid))
	{
		Dependent  *dependent = lfirst(cell);
		char	   *place = NULL;
		char	   *name;

		if (dependent->classid == RelationRelationId)
			place = name_dependent_relation(relid, dependent);
		else if (dependent->classid == ConstraintRelationId)
			place = name_foreign_key(relid, dependent->objid);
		else if (dependent->classid == StatisticExtRelationId && dependent->attno != 0)
			place = name_statistics(dependent->objid);
		else if (dependent->classid == RewriteRelationId)
			add_views(table, dependent->attno, find_rule(dependent->objid, &name));
		if (place)
			add_place(table, dependent->attno, place);
	}
}

/* ---- What writes go through ---- */

/* Add the rules and the other triggers of a table: they may copy what is written. */
static void
add_writers(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel)
{
	TriggerDesc *desc = rel->trigdesc;
	RuleLock   *rules = rel->rd_rel->relkind == RELKIND_MATVIEW ? NULL : rel->rd_rules;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];

		if (!trigger->tgisinternal && trigger->tgfoid != coverage->trigger)
			add_place(table, 0, psprintf("trigger %s", quote_identifier(trigger->tgname)));
	}
	for (int i = 0; rules && i < rules->numLocks; i++)
	{
		char	   *name;

		if (OidIsValid(find_rule(rules->rules[i]->ruleId, &name)))
			add_place(table, 0, psprintf("rule %s", quote_identifier(name)));
	}
}

/* ---- Statistics ---- */

/* Returns true if a slot of a column's statistics has values that are not shaped as pseudonyms. */
static bool
slot_has_values(const PseudoCoverageColumn *column, HeapTuple statistics, int kind)
{
	bool		is_text = column->look == PSEUDO_LOOK_TEXT;
	PseudoColumn holder = {.is_padded = column->is_padded};
	AttStatsSlot slot;
	bool		found;

	if (!get_attstatsslot(&slot, statistics, kind, InvalidOid, ATTSTATSSLOT_VALUES))
		return false;
	found = !is_text && slot.nvalues > 0;
	for (int i = 0; is_text && !found && i < slot.nvalues; i++)
		found = !pseudo_looks_like_pseudonym(pseudo_column_get(&holder, slot.values[i]));
	free_attstatsslot(&slot);
	return found;
}

/* Add the statistics of the columns, those of its own rows and those of its partitions' rows. */
static void
add_statistics(PseudoCoverageTable *table)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		PseudoCoverageColumn *column = &table->columns[i];

		for (int inherits = 0; inherits <= 1; inherits++)
		{
			HeapTuple	statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(table->relid),
													 Int16GetDatum(column->attno), BoolGetDatum(inherits));

			if (!HeapTupleIsValid(statistics))
				continue;
			if (slot_has_values(column, statistics, STATISTIC_KIND_MCV) ||
				slot_has_values(column, statistics, STATISTIC_KIND_HISTOGRAM) ||
				slot_has_values(column, statistics, STATISTIC_KIND_MCELEM))
				add_place(table, column->attno, "pg_stats");
			ReleaseSysCache(statistics);
		}
	}
}

/* ---- Publications ---- */

/* Take one row of what is published: names of a publication, a schema, a table, and an array of columns. */
static void
take_published(PseudoCoverage *coverage, HeapTuple tuple, TupleDesc desc)
{
	Oid			schema = get_namespace_oid(SPI_getvalue(tuple, desc, 2), true);
	MemoryContext caller = MemoryContextSwitchTo(coverage->mcxt);
	PseudoPublished *published = palloc0(sizeof(PseudoPublished));
	bool		isnull;
	Datum		names = SPI_getbinval(tuple, desc, 4, &isnull);

	published->relid = OidIsValid(schema) ? get_relname_relid(SPI_getvalue(tuple, desc, 3), schema) : InvalidOid;
	published->publication = pstrdup(SPI_getvalue(tuple, desc, 1));
	if (!isnull)
	{
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(names), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, &nulls, &n);
		for (int i = 0; i < n; i++)
			published->columns = lappend(published->columns, makeString(pstrdup(NameStr(*DatumGetName(elements[i])))));
	}
	coverage->published = lappend(coverage->published, published);
	MemoryContextSwitchTo(caller);
}

/* See coverage.h. */
void
pseudo_coverage_find_published(PseudoCoverage *coverage)
{
	if (SPI_execute("SELECT pubname, schemaname, tablename, attnames FROM pg_catalog.pg_publication_tables",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for publications");
	for (uint64 i = 0; i < SPI_processed; i++)
		take_published(coverage, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
}

/* Add the publications that send a column. */
static void
add_publications(const PseudoCoverage *coverage, PseudoCoverageTable *table)
{
	ListCell   *cell;

	foreach(cell, coverage->published)
	{
		PseudoPublished *published = lfirst(cell);

		for (int i = 0; published->relid == table->relid && i < table->ncolumns; i++)
		{
			if (list_member(published->columns, makeString(table->columns[i].name)))
				add_place(table, table->columns[i].attno,
						  psprintf("publication %s", quote_identifier(published->publication)));
		}
	}
}

/* ---- All of it ---- */

/* See coverage.h. */
void
pseudo_coverage_where(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel)
{
	add_dependents(table, RelationGetRelid(rel));
	add_writers(coverage, table, rel);
	add_statistics(table);
	add_publications(coverage, table);
	for (int i = 0; i < table->ncolumns; i++)
		list_sort(table->columns[i].elsewhere, compare_places);
}
