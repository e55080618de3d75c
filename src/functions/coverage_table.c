/*
 * coverage_table.c
 *		What the catalogs say of a table, for pseudo_coverage(): its columns, their
 *		labels and triggers, and what of it may be read.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "../compat.h"
#include "citus.h"
#include "column.h"
#include "coverage.h"
#include "trigger.h"

/* ---- What may be read ---- */

/* Why the rows of a relation are not looked at, palloc'ed; or NULL. */
static char *
why_not_rows(Relation rel)
{
	PseudoCitus citus;

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_PARTITIONED_TABLE:
			return pstrdup("its rows are in its partitions");
		case RELKIND_FOREIGN_TABLE:
			return pstrdup("its rows are on a foreign server, which is not asked");
		case RELKIND_MATVIEW:
			if (!RelationIsPopulated(rel))
				return pstrdup("the materialized view has not been populated");
			break;
		default:
			break;
	}
	pseudo_citus_find(&citus, rel);
	if (citus.kind != PSEUDO_CITUS_NONE && !citus.is_shard)
		return psprintf("it is a %s of Citus, and its rows are in its shards, which pseudo_coverage() looks at on their nodes",
						pseudo_citus_kind_name(citus.kind));
	if (RecoveryInProgress() && !RelationIsPermanent(rel))
		return pstrdup("a standby has no rows of an unlogged table");
	if (pseudo_namespace_aclcheck(RelationGetNamespace(rel), GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		return pstrdup("there is no right to use its schema");
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_ENABLED)
		return pstrdup("row-level security applies to this role");
	return NULL;
}

/* Returns true if the current user may read a column. */
static bool
may_read(Relation rel, AttrNumber attno)
{
	Oid			relid = RelationGetRelid(rel);

	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relid, attno, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* ---- Types ---- */

/* What the values of a type, which is no domain, are looked for in. */
static PseudoLook
look_of(Oid base)
{
	Oid			element = get_element_type(base);

	if (pseudo_type_is_string(base))
		return PSEUDO_LOOK_TEXT;
	if (base == JSONOID)
		return PSEUDO_LOOK_JSON;
	if (base == JSONBOID)
		return PSEUDO_LOOK_JSONB;
	if (OidIsValid(element) && pseudo_type_is_string(element))
		return PSEUDO_LOOK_ARRAY;
	return PSEUDO_LOOK_NOTHING;
}

/* A type as SQL writes it.  The modifier of a type that somebody has made is not shown: that would run its function. */
static char *
type_name(Form_pg_attribute att)
{
	return att->atttypid < FirstNormalObjectId ?
		format_type_with_typemod(att->atttypid, att->atttypmod) : format_type_be(att->atttypid);
}

/* Fill in a column's type, and whether its values can be looked at. */
static void
describe_values(PseudoCoverageColumn *column, Relation rel, Form_pg_attribute att)
{
	Oid			base = getBaseType(att->atttypid);
	bool		is_virtual = att->attgenerated != '\0' && att->attgenerated != ATTRIBUTE_GENERATED_STORED;

	column->type = type_name(att);
	column->look = look_of(base);
	column->is_padded = base == BPCHAROID;
	column->is_harmless = pseudo_type_is_harmless(base);
	if (column->look == PSEUDO_LOOK_NOTHING)
		column->why_not = psprintf("values of type %s are not looked into", format_type_be(base));
	else if (is_virtual)
		column->why_not = pstrdup("a virtual generated column has no values of its own");
	else if (!may_read(rel, column->attno))
		column->why_not = pstrdup("there is no right to SELECT it");
}

/* ---- Labels ---- */

/* Fill in a column's label, and the keyring and context that it names. */
static void
describe_label(PseudoCoverage *coverage, PseudoCoverageColumn *column, PseudoLabel *labels, Relation rel)
{
	column->label = &labels[column->attno - 1];
	if (column->label->mode == PSEUDO_MODE_TARGET)
	{
		column->source = get_attnum(RelationGetRelid(rel), column->label->source);
		column->label = &labels[column->source - 1];
	}
	if (pseudo_label_pseudonymizes(column->label))
	{
		column->pair = pseudo_pair(coverage, column->label->keyring, column->label->context);
		if (column->why_not == NULL && column->pair->why)
			column->why_not = column->pair->why;
	}
	else if (column->label->mode != PSEUDO_MODE_NONE)
		column->why_not = psprintf("its label is \"%s\"", pseudo_label_string(column->label));
}

/* ---- Triggers ---- */

/* Append a trigger, and what keeps it from seeing all that is written. */
static void
append_trigger(StringInfo names, const Trigger *trigger)
{
	if (names->len > 0)
		appendStringInfoString(names, "; ");
	appendStringInfoString(names, trigger->tgname);
	if (trigger->tgenabled == TRIGGER_DISABLED)
		appendStringInfoString(names, ", disabled");
	if (trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA)
		appendStringInfoString(names, ", replica");
	if (!TRIGGER_FOR_INSERT(trigger->tgtype))
		appendStringInfoString(names, ", no INSERT");
	if (!TRIGGER_FOR_UPDATE(trigger->tgtype))
		appendStringInfoString(names, ", no UPDATE");
	else if (trigger->tgnattr > 0)
		appendStringInfoString(names, ", UPDATE OF");
	if (trigger->tgqual)
		appendStringInfoString(names, ", WHEN");
}

/* Fill in which triggers of a relation pseudonymize a column; a target is the source's matter. */
static void
describe_triggers(PseudoCoverage *coverage, PseudoCoverageColumn *column, Relation rel)
{
	AttrNumber	attno = column->source > 0 ? column->source : column->attno;
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname);
	TriggerDesc *desc = rel->trigdesc;
	const char *later = pseudo_trigger_later(rel, coverage->trigger, name);
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		PseudoTriggerArguments arguments;

		if (trigger->tgfoid != coverage->trigger)
			continue;
		pseudo_trigger_arguments(&arguments, trigger);
		if (pseudo_trigger_label(&arguments, name) == NULL)
			continue;
		append_trigger(&names, trigger);
		if (trigger->tgenabled != TRIGGER_DISABLED && column->differs == NULL &&
			column->label->mode != PSEUDO_MODE_NONE &&
			!pseudo_trigger_agrees(&arguments, name, column->label))
			column->differs = pstrdup(trigger->tgname);
	}
	column->trigger = names.len > 0 ? names.data : pstrdup("none");
	column->later = later ? pstrdup(later) : NULL;
	column->is_covered = pseudo_trigger_sees_all(rel, coverage->trigger, name, attno);
}

/* ---- All of it ---- */

/* See coverage.h. */
void
pseudo_coverage_describe(PseudoCoverage *coverage, PseudoCoverageTable *table, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	PseudoLabel *labels = pseudo_labels(rel);
	PseudoCoverageColumn *columns = palloc0(Max(desc->natts, 1) * sizeof(PseudoCoverageColumn));
	int			n = 0;

	table->kind = rel->rd_rel->relkind;
	table->name = pseudo_relation_name(RelationGetRelid(rel));
	table->why_not = why_not_rows(rel);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		PseudoCoverageColumn *column = &columns[n];

		if (att->attisdropped)
			continue;
		n++;
		column->attno = i + 1;
		column->name = pstrdup(NameStr(att->attname));
		describe_values(column, rel, att);
		describe_label(coverage, column, labels, rel);
		if (table->kind != RELKIND_MATVIEW)
			describe_triggers(coverage, column, rel);
	}
	table->columns = columns;
	table->ncolumns = n;
}
