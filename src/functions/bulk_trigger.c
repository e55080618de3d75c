/*
 * bulk_trigger.c
 *		What the triggers of a table make of the columns that a bulk procedure converts.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "bulk.h"
#include "trigger.h"

/* ---- Other pseudonyms ---- */

/* Returns true if a trigger's column has to do with one of the run. */
static bool
concerns(const PseudoTriggerColumn *other, const BulkColumn *column)
{
	return strcmp(other->name, column->source ? column->source : column->name) == 0 ||
		(other->label.into && strcmp(other->label.into, column->name) == 0);
}

/* Report a trigger that makes of its column something else than the run. */
static void
__attribute__((noreturn))
report_trigger(const Bulk *bulk, const BulkTarget *target, const Trigger *trigger, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\" in another way",
					trigger->tgname, RelationGetRelationName(target->rel), name),
			 bulk->is_labelled ?
			 errhint("Drop it, or let pseudo_protect() make the trigger what the labels say.") :
			 errhint("Give the procedure the trigger's arguments \"deterministic\", \"context\" and \"keyring\".")));
}

/* Refuse a trigger of the table that makes other pseudonyms of a column than the run. */
static void
check_trigger(const Bulk *bulk, const BulkTarget *target, const Trigger *trigger)
{
	PseudoTriggerArguments arguments;
	ListCell   *cell;

	pseudo_trigger_arguments(&arguments, trigger);
	foreach(cell, arguments.columns)
	{
		PseudoTriggerColumn *other = lfirst(cell);

		for (int i = 0; i < target->ncolumns; i++)
		{
			if (concerns(other, target->settings[i]) && !pseudo_bulk_agrees(bulk, target->settings[i], other->name, &other->label))
				report_trigger(bulk, target, trigger, other->name);
		}
	}
}

/* ---- None ---- */

/* What to do about columns of a table without a trigger. */
static int
hint_trigger(const Bulk *bulk, Relation rel, bool is_labelled)
{
	char	   *schema = get_namespace_name(get_func_namespace(bulk->called));

	if (!is_labelled)
		return errhint("Create the trigger first, BEFORE INSERT OR UPDATE, without WHEN and without UPDATE OF.");
	return errhint("Create the trigger first, as the labels say: SELECT * FROM %s(%s).",
				   quote_qualified_identifier(schema, "pseudo_protect"),
				   quote_literal_cstr(pseudo_relation_name(pseudo_labelled_relation(rel))));
}

/* Say which columns no trigger covers, or not for all writes. */
static void
notice_without_trigger(const Bulk *bulk, const BulkTarget *target, Oid function)
{
	const PseudoLabel *labels = pseudo_labels(target->rel);
	bool		is_labelled = true;
	StringInfoData names;
	int			n = 0;

	initStringInfo(&names);
	for (int i = 0; i < target->ncolumns; i++)
	{
		const PseudoColumn *column = &target->sources[i];

		if (pseudo_trigger_sees_all(target->rel, function, column->name, column->attno))
			continue;
		appendStringInfo(&names, "%s\"%s\"", n++ > 0 ? ", " : "", column->name);
		is_labelled &= pseudo_label_pseudonymizes(&labels[column->attno - 1]);
	}
	if (n > 0)
		ereport(NOTICE,
				(errmsg_plural("column %s of relation \"%s\" has no trigger pseudonymize_trigger for all that is written",
							   "columns %s of relation \"%s\" have no trigger pseudonymize_trigger for all that is written",
							   n, names.data, RelationGetRelationName(target->rel)),
				 errdetail("What others write while this runs, and after it, is not pseudonymized."),
				 hint_trigger(bulk, target->rel, is_labelled)));
}

/* See bulk.h. */
void
pseudo_bulk_check_triggers(const Bulk *bulk, const BulkTarget *target)
{
	TriggerDesc *desc = target->rel->trigdesc;
	Oid			function = pseudo_trigger_function(bulk->called);

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		if (desc->triggers[i].tgfoid == function &&
			desc->triggers[i].tgenabled != TRIGGER_DISABLED)
			check_trigger(bulk, target, &desc->triggers[i]);
	}
	if (bulk->operation == BULK_PSEUDONYMIZE)
		notice_without_trigger(bulk, target, function);
}
