/*
 * dump_columns.c
 *		What becomes of the columns of a table in a dump.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "citus.h"
#include "dump_columns.h"
#include "dump_settings.h"
#include "stored.h"

/* See dump_columns.h. */
PseudoDumpFault *
pseudo_dump_fault(int code, char *message, char *hint)
{
	PseudoDumpFault *fault = palloc(sizeof(PseudoDumpFault));

	*fault = (PseudoDumpFault)
	{
		.code = code, .message = message, .hint = hint
	};
	return fault;
}

/* ---- Types ---- */

/* Returns true if a type is a domain that has no NULL. */
static bool
is_not_null_domain(Oid type)
{
	bool		found = false;

	while (!found && get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		Form_pg_type form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", type);
		form = (Form_pg_type) GETSTRUCT(tuple);
		found = form->typnotnull;
		type = form->typbasetype;
		ReleaseSysCache(tuple);
	}
	return found;
}

/* ---- Faults ---- */

/* The table whose label of a column counts, for a hint. */
static char *
labelled_name(Relation rel)
{
	return pseudo_relation_name(pseudo_labelled_relation(rel));
}

/* Say so where a column is to be NULL and must not be. */
static PseudoDumpFault *
find_not_null(Relation rel, Form_pg_attribute att)
{
	char	   *name = NameStr(att->attname);

	if (!att->attnotnull && !is_not_null_domain(att->atttypid))
		return NULL;
	return pseudo_dump_fault(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 psprintf("column \"%s\" of relation %s is to be hidden, and must not be null",
									  name, pseudo_relation_name(RelationGetRelid(rel))),
							 psprintf("Give it another label, or use ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL.",
									  labelled_name(rel), quote_identifier(name)));
}

/* Say so where a column decides which partition a row is in, and would change. */
static PseudoDumpFault *
find_moving_key(Relation rel, Form_pg_attribute att)
{
	List	   *relids = list_make1_oid(RelationGetRelid(rel));
	char	   *name = NameStr(att->attname);
	char	   *found = NULL;
	ListCell   *cell;

	if (rel->rd_rel->relispartition)
		relids = list_concat(relids, get_partition_ancestors(RelationGetRelid(rel)));
	foreach(cell, relids)
	{
		Relation	parent = table_open(lfirst_oid(cell), AccessShareLock);

		if (found == NULL && pseudo_stored_in_partition_key(parent, name))
			found = pseudo_relation_name(RelationGetRelid(parent));
		table_close(parent, NoLock);
	}
	if (found == NULL)
		return NULL;
	return pseudo_dump_fault(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 psprintf("column \"%s\" is in the partition key of relation %s, and has to stay as it is",
									  name, found),
							 psprintf("Label it \"keep\" if its values may be seen: SECURITY LABEL FOR pseudo ON COLUMN %s.%s IS 'keep'.",
									  labelled_name(rel), quote_identifier(name)));
}

/* Say so where a column is to get pseudonyms and its type takes none (any more). */
static PseudoDumpFault *
find_wrong_type(Relation rel, Form_pg_attribute att)
{
	char	   *name = NameStr(att->attname);

	if (pseudo_type_is_string(att->atttypid))
		return NULL;
	return pseudo_dump_fault(ERRCODE_DATATYPE_MISMATCH,
							 psprintf("column \"%s\" of relation %s is to get pseudonyms, and its type %s takes none",
									  name, pseudo_relation_name(RelationGetRelid(rel)), format_type_be(att->atttypid)),
							 psprintf("Label it \"hide\" or \"keep\": SECURITY LABEL FOR pseudo ON COLUMN %s.%s IS 'hide'.",
									  labelled_name(rel), quote_identifier(name)));
}

/* A column that may hold text and has no label.  Of partitions, the same for all. */
static PseudoDumpFault *
unlabelled_fault(Relation rel, Form_pg_attribute att)
{
	char	   *name = NameStr(att->attname);

	return pseudo_dump_fault(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 psprintf("column \"%s\" of relation %s has no label, and its type %s may hold personal data",
									  name, labelled_name(rel), format_type_be(att->atttypid)),
							 psprintf("Label it: SECURITY LABEL FOR pseudo ON COLUMN %s.%s IS 'hide', or 'keep'%s.",
									  labelled_name(rel), quote_identifier(name),
									  pseudo_type_is_string(att->atttypid) ? ", 'random', 'deterministic'" : ""));
}

/* What cannot be with a column, or NULL. */
static PseudoDumpFault *
fault_of_column(const PseudoDumpColumn *column, Relation rel, Form_pg_attribute att)
{
	PseudoDumpFault *fault = NULL;

	if (column->as == PSEUDO_DUMP_NULL)
		fault = find_not_null(rel, att);
	else if (column->as == PSEUDO_DUMP_PSEUDONYM)
		fault = find_wrong_type(rel, att);
	else
		return NULL;
	return fault ? fault : find_moving_key(rel, att);
}

/* Say so where Citus has the rows in shards: what COPY gives comes from other nodes, which check other rights. */
static PseudoDumpFault *
find_shards(Relation rel)
{
	PseudoCitus citus;

	pseudo_citus_find(&citus, rel);
	if (citus.kind == PSEUDO_CITUS_NONE)
		return NULL;
	return pseudo_dump_fault(ERRCODE_FEATURE_NOT_SUPPORTED,
							 psprintf("relation %s is a %s of Citus, which cannot be dumped as its labels say",
									  pseudo_relation_name(RelationGetRelid(rel)), pseudo_citus_kind_name(citus.kind)),
							 pstrdup("Leave its data out with pg_dump --exclude-table-data."));
}

/* ---- Columns ---- */

/* Fill in a column that gets pseudonyms, as a label says. */
static void
set_pseudonyms(PseudoDumpColumn *column, Form_pg_attribute att, const PseudoLabel *label, PseudoMode mode)
{
	pseudo_column_describe(&column->holder, att);
	column->as = PSEUDO_DUMP_PSEUDONYM;
	column->is_deterministic = mode == PSEUDO_MODE_DETERMINISTIC;
	column->label_context = label->context;
	column->label_keyring = label->keyring;
	column->context = *pseudo_dump_context ? pstrdup(pseudo_dump_context) : label->context;
	column->keyring = *pseudo_dump_keyring ? pstrdup(pseudo_dump_keyring) : label->keyring;
	column->is_same = strcmp(column->context, label->context) == 0 && strcmp(column->keyring, label->keyring) == 0;
}

/* Fill in a column without a label.  Those of extensions, such as tables of their configuration, are as they are. */
static void
set_unlabelled(PseudoDumpColumn *column, Relation rel, Form_pg_attribute att, List **faults)
{
	column->as = PSEUDO_DUMP_AS_IT_IS;
	if (pseudo_dump_unlabelled == PSEUDO_UNLABELLED_KEEP || pseudo_type_is_harmless(att->atttypid) ||
		OidIsValid(getExtensionOfObject(RelationRelationId, RelationGetRelid(rel))))
		return;
	if (pseudo_dump_unlabelled == PSEUDO_UNLABELLED_HIDE)
		column->as = PSEUDO_DUMP_NULL;
	else
		*faults = lappend(*faults, unlabelled_fault(rel, att));
}

/* Fill in a column; labels are those of all columns. */
static void
set_column(PseudoDumpColumn *column, Relation rel, Form_pg_attribute att, const PseudoLabel *labels, List **faults)
{
	const PseudoLabel *label = &labels[att->attnum - 1];

	switch (label->mode)
	{
		case PSEUDO_MODE_NONE:
			set_unlabelled(column, rel, att, faults);
			break;
		case PSEUDO_MODE_KEEP:
			column->as = PSEUDO_DUMP_AS_IT_IS;
			break;
		case PSEUDO_MODE_HIDE:
			column->as = PSEUDO_DUMP_NULL;
			break;
		case PSEUDO_MODE_DETERMINISTIC:
		case PSEUDO_MODE_RANDOM:
			set_pseudonyms(column, att, label, label->mode);
			break;
		case PSEUDO_MODE_TARGET:
			set_pseudonyms(column, att, label, labels[get_attnum(RelationGetRelid(rel), label->source) - 1].mode);
			break;
	}
}

/* See dump_columns.h. */
PseudoDumpColumn *
pseudo_dump_columns(Relation rel, List **faults)
{
	TupleDesc	desc = RelationGetDescr(rel);
	PseudoLabel *labels = pseudo_labels(rel);
	PseudoDumpColumn *columns = palloc0(Max(desc->natts, 1) * sizeof(PseudoDumpColumn));
	PseudoDumpFault *fault = find_shards(rel);

	if (fault)
		*faults = lappend(*faults, fault);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		set_column(&columns[i], rel, att, labels, faults);
		fault = fault_of_column(&columns[i], rel, att);
		columns[i].is_faulty = fault != NULL;
		if (fault)
			*faults = lappend(*faults, fault);
	}
	return columns;
}
