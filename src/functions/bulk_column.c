/*
 * bulk_column.c
 *		What a bulk procedure does to which columns: the arguments say so, or the labels of the table.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "bulk.h"

/* ---- Columns ---- */

/* The run's call with the context and keyring of a label, made where there is none yet. */
static BulkCall *
get_call(Bulk *bulk, const PseudoLabel *label)
{
	BulkCall   *call;
	ListCell   *cell;

	foreach(cell, bulk->calls)
	{
		call = lfirst(cell);
		if (pseudo_label_same_pseudonyms(call->label, label))
			return call;
	}
	call = palloc0(sizeof(BulkCall));
	call->label = label;
	call->context = cstring_to_text(label->context);
	call->keyring = cstring_to_text(label->keyring);
	bulk->calls = lappend(bulk->calls, call);
	return call;
}

/* See bulk.h. */
void
pseudo_bulk_add_column(Bulk *bulk, char *name, const PseudoLabel *label)
{
	BulkColumn *column = palloc0(sizeof(BulkColumn));
	bool		makes = bulk->operation == BULK_PSEUDONYMIZE;

	column->name = label->into ? label->into : name;
	column->source = label->into && makes ? name : NULL;
	column->is_deterministic = label->mode == PSEUDO_MODE_DETERMINISTIC;
	column->lookalikes = label->existing == PSEUDO_EXISTING_VALUE && makes;
	column->said = pseudo_label_with_column(name, label);
	column->call = get_call(bulk, label);
	bulk->columns = lappend(bulk->columns, column);
}

/*
 * Refuse a target that is not this column's alone.  SECURITY LABEL has seen to that, but columns may have been renamed since: one
 * that got its own pseudonyms would be converted again and again.
 */
static void
check_target_of(Relation rel, const char *name, const PseudoLabel *label, const PseudoLabel *labels)
{
	AttrNumber	attno = label->into ? get_attnum(RelationGetRelid(rel), label->into) : 0;

	if (attno > 0 &&
		(labels[attno - 1].mode != PSEUDO_MODE_TARGET || strcmp(labels[attno - 1].source, name) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of relation \"%s\" cannot get the pseudonyms of column \"%s\"",
						label->into, RelationGetRelationName(rel), name),
				 errdetail("It has a label of its own, or gets those of another column."),
				 errhint("Has a column been renamed? Label column \"%s\" again.", name)));
}

/* See bulk.h. */
void
pseudo_bulk_add_labelled(Bulk *bulk, Relation rel)
{
	MemoryContext caller = MemoryContextSwitchTo(bulk->mcxt);
	TupleDesc	desc = RelationGetDescr(rel);
	PseudoLabel *labels = pseudo_labels(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		char	   *name = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));

		if (!pseudo_label_pseudonymizes(&labels[i]))
			continue;
		check_target_of(rel, name, &labels[i], labels);
		pseudo_bulk_add_column(bulk, name, &labels[i]);
	}
	MemoryContextSwitchTo(caller);
	if (bulk->columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no column of relation \"%s\" is labelled \"deterministic\" or \"random\"",
						RelationGetRelationName(rel)),
				 errhint("Label columns with SECURITY LABEL FOR pseudo ON COLUMN, or name them, as in columns => '{email,phone}'.")));
}

/* See bulk.h. */
bool
pseudo_bulk_agrees(const Bulk *bulk, const BulkColumn *column, const char *name, const PseudoLabel *label)
{
	PseudoMode	mode = column->is_deterministic ? PSEUDO_MODE_DETERMINISTIC : PSEUDO_MODE_RANDOM;

	if (strcmp(label->into ? label->into : name, column->name) != 0 ||
		!pseudo_label_same_pseudonyms(label, column->call->label))
		return false;
	return bulk->operation == BULK_REPSEUDONYMIZE ||
		(label->mode == mode && strcmp(name, column->source ? column->source : column->name) == 0);
}

/* See bulk.h. */
List *
pseudo_bulk_names(const Bulk *bulk)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, bulk->columns)
		names = lappend(names, makeString(((BulkColumn *) lfirst(cell))->name));
	return names;
}

/* ---- Calls ---- */

/* See bulk.h. */
void
pseudo_bulk_look_up(Bulk *bulk, BulkCall *call)
{
	pseudo_call_prepare_role(&call->call, GetUserId(), bulk->called, PSEUDO_RIGHT_PSEUDONYMIZE,
							 call->context, call->keyring, bulk->mcxt);
}

/* See bulk.h. */
void
pseudo_bulk_prepare_calls(Bulk *bulk)
{
	bool		is_ready;

	do
	{
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		foreach(cell, bulk->calls)
			pseudo_bulk_prepare_call(bulk, lfirst(cell));
		is_ready = true;
		foreach(cell, bulk->calls)
			is_ready &= ((BulkCall *) lfirst(cell))->call.generation == pseudo_generation;
	} while (!is_ready);
}

/* See bulk.h. */
void
pseudo_bulk_renew_calls(Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->calls)
		((BulkCall *) lfirst(cell))->call.generation = 0;
	pseudo_bulk_prepare_calls(bulk);
}
