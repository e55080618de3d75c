/*
 * create_view_columns.c
 *		What a view of a table shows of each column, as the labels and the triggers say.
 *
 * A column holds pseudonyms where the trigger sees all that is written to it, in the table and in each that the query
 * reads with it, and does what the label says; it holds plaintext where no trigger has it.  All between is refused.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "../compat.h"
#include "column.h"
#include "create_view.h"
#include "trigger.h"

/* ---- Labels ---- */

/* Report columns that have no label. */
static void
__attribute__((noreturn))
report_unlabelled(const PseudoView *view, List *names)
{
	StringInfoData columns;
	ListCell   *cell;

	initStringInfo(&columns);
	foreach(cell, names)
		appendStringInfo(&columns, "%s\"%s\"", columns.len > 0 ? ", " : "", strVal(lfirst(cell)));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("column %s of relation \"%s\" has no label",
						   "columns %s of relation \"%s\" have no labels",
						   list_length(names), columns.data, RelationGetRelationName(view->rel)),
			 errdetail("A column without a label is never shown."),
			 errhint("Say what becomes of it, for example with SECURITY LABEL FOR pseudo ON COLUMN %s.%s IS 'hide'.",
					 pseudo_relation_name(pseudo_labelled_relation(view->rel)),
					 quote_identifier(strVal(linitial(names))))));
}

/* Take the columns of the table and their labels, and check what is to hold pseudonyms. */
static void
take_labels(PseudoView *view)
{
	TupleDesc	desc = RelationGetDescr(view->rel);
	PseudoLabel *labels = pseudo_labels(view->rel);
	List	   *unlabelled = NIL;
	List	   *holders = NIL;

	view->ncolumns = desc->natts;
	view->columns = palloc0(Max(desc->natts, 1) * sizeof(PseudoViewColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		PseudoViewColumn *column = &view->columns[i];

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		column->label = labels[i];
		column->name = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
		column->holder = column->label.into ? column->label.into : column->name;
		if (column->label.mode == PSEUDO_MODE_NONE)
			unlabelled = lappend(unlabelled, makeString(column->name));
		else if (pseudo_label_pseudonymizes(&column->label))
			holders = lappend(holders, makeString(column->holder));
	}
	if (unlabelled != NIL)
		report_unlabelled(view, unlabelled);
	pseudo_columns_find(palloc(Max(list_length(holders), 1) * sizeof(PseudoColumn)), view->rel, holders);
}

/* ---- Triggers ---- */

/* Report triggers that are not what a label says. */
static void
__attribute__((noreturn))
report_triggers(const PseudoView *view, char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", message),
			 errhint("SELECT %s.pseudo_protect(%s) makes the trigger what the labels say.", quote_identifier(view->schema),
					 quote_literal_cstr(pseudo_relation_name(pseudo_labelled_relation(view->rel))))));
}

/* Returns true if a table has a trigger for a column; each must do what the label says. */
static bool
has_trigger(const PseudoView *view, Relation rel, Oid function, const PseudoViewColumn *column)
{
	TriggerDesc *desc = rel->trigdesc;
	bool		found = false;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		PseudoTriggerArguments arguments;

		if (desc->triggers[i].tgfoid != function)
			continue;
		pseudo_trigger_arguments(&arguments, &desc->triggers[i]);
		if (pseudo_trigger_label(&arguments, column->name) == NULL)
			continue;
		if (!pseudo_trigger_agrees(&arguments, column->name, &column->label))
			report_triggers(view, psprintf("trigger \"%s\" of relation \"%s\" does not do with column \"%s\" what its label says",
										   desc->triggers[i].tgname, RelationGetRelationName(rel), column->name));
		found = true;
	}
	return found;
}

/* Refuse a foreign table whose trigger makes pseudonyms: its own server takes what others write. */
static void
check_foreign(Relation rel, const PseudoViewColumn *column)
{
	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the trigger of foreign table \"%s\" does not see what others write to column \"%s\"",
						RelationGetRelationName(rel), column->name),
				 errhint("Pseudonymize the column on its own server, and label it \"keep\" here.")));
}

/* Refuse a trigger that fires after ours: it can write plaintext that the view would show. */
static void
check_last(Relation rel, Oid function, const PseudoViewColumn *column)
{
	const char *later = pseudo_trigger_later(rel, function, column->name);

	if (later)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" fires after the one that pseudonymizes column \"%s\", and can write something else",
						later, RelationGetRelationName(rel), column->name),
				 errhint("Triggers fire in the order of their names: ALTER TRIGGER %s ON %s RENAME TO ....",
						 quote_identifier(later), pseudo_relation_name(RelationGetRelid(rel)))));
}

/*
 * Returns true if a table has a trigger for a column, and false if it has none; anything between is an error.  rel is
 * the table of the view, or one that is read with it.
 */
static bool
sees_column(const PseudoView *view, Relation rel, Oid function, const PseudoViewColumn *column)
{
	if (!has_trigger(view, rel, function, column))
		return false;
	check_foreign(rel, column);
	if (!pseudo_trigger_sees_all(rel, function, column->name, get_attnum(RelationGetRelid(rel), column->name)))
		report_triggers(view, psprintf("the trigger for column \"%s\" of relation \"%s\" does not fire for all that is written",
									   column->name, RelationGetRelationName(rel)));
	check_last(rel, function, column);
	return true;
}

/*
 * Put into holds[] which columns hold pseudonyms.  Partitions and tables that inherit are read with the table, and must
 * be as it is; of a partitioned table itself new partitions get their triggers.
 */
static void
look_at_triggers(const PseudoView *view, bool *holds)
{
	Oid			function = pseudo_trigger_function(view->called);
	ListCell   *cell;

	foreach(cell, find_all_inheritors(RelationGetRelid(view->rel), AccessShareLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(cell), NoLock);

		for (int i = 0; i < view->ncolumns; i++)
		{
			PseudoViewColumn *column = &view->columns[i];
			bool		sees;

			if (column->name == NULL)
				continue;
			sees = sees_column(view, rel, function, column);
			if (foreach_current_index(cell) == 0)
				holds[i] = sees;
			else if (holds[i] != sees)
				report_triggers(view, psprintf("relation \"%s\" has a trigger for column \"%s\", and relation \"%s\", which is read with it, has none",
											   RelationGetRelationName(sees ? rel : view->rel), column->name,
											   RelationGetRelationName(sees ? view->rel : rel)));
		}
		table_close(rel, NoLock);
	}
}

/* ---- What is shown ---- */

/* Refuse what cannot be shown as the label says where no trigger makes pseudonyms. */
static void
check_plaintext(const PseudoView *view, const PseudoViewColumn *column)
{
	const char *relation = pseudo_relation_name(pseudo_labelled_relation(view->rel));

	if (column->label.into)
		report_triggers(view, psprintf("no trigger writes the pseudonyms of column \"%s\" of relation \"%s\" into column \"%s\"",
									   column->name, RelationGetRelationName(view->rel), column->label.into));
	if (column->label.mode == PSEUDO_MODE_RANDOM)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of relation \"%s\" is labelled \"random\", and no trigger makes its pseudonyms",
						column->name, RelationGetRelationName(view->rel)),
				 errdetail("A view makes deterministic pseudonyms only."),
				 errhint("Label it \"deterministic\" or \"hide\"; or let the table hold the pseudonyms: SELECT %s.pseudo_protect(%s), then CALL %s.pseudonymize_table(%s).",
						 quote_identifier(view->schema), quote_literal_cstr(relation),
						 quote_identifier(view->schema), quote_literal_cstr(relation))));
}

/* What a column shows that a label asks pseudonyms of; holds: the table has them. */
static PseudoShow
show_pseudonyms(const PseudoView *view, const PseudoViewColumn *column, bool holds)
{
	if (!holds)
	{
		check_plaintext(view, column);
		return PSEUDO_SHOW_MADE;
	}
	if ((view->context && strcmp(view->context, column->label.context) != 0) ||
		(view->keyring && strcmp(view->keyring, column->label.keyring) != 0))
		return PSEUDO_SHOW_REMADE;
	return PSEUDO_SHOW_STORED;
}

/* What a column shows. */
static PseudoShow
show_column(const PseudoView *view, const PseudoViewColumn *column, bool holds)
{
	switch (column->label.mode)
	{
		case PSEUDO_MODE_DETERMINISTIC:
		case PSEUDO_MODE_RANDOM:
			return show_pseudonyms(view, column, holds);
		case PSEUDO_MODE_KEEP:
			return PSEUDO_SHOW_COLUMN;
		case PSEUDO_MODE_HIDE:
			return PSEUDO_SHOW_NULL;
		case PSEUDO_MODE_NONE:
		case PSEUDO_MODE_TARGET:
			break;
	}
	return PSEUDO_SHOW_NOTHING;
}

/* ---- Columns to open ---- */

/* Report an element of the argument "reidentify" that cannot be read. */
static void
__attribute__((noreturn))
report_element(const char *element)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid element of argument \"reidentify\": \"%s\"", element),
			 errhint("An element is the name of a column, or 'COLUMN IS last=N', with N from 1 to %d.", PSEUDO_LAST_MAX)));
}

/* The column of the table of this name, or NULL. */
static PseudoViewColumn *
find_view_column(PseudoView *view, const char *name)
{
	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].name && strcmp(view->columns[i].name, name) == 0)
			return &view->columns[i];
	}
	return NULL;
}

/*
 * Take the end of an element, " IS last=N", off it; what is left is an identifier, as SQL reads it.  Returns the name
 * of the column, which for an element without such an end is all of it.
 */
static char *
split_element(const char *element, int *last)
{
	const char *is = NULL;
	const char *c;
	char	   *end;
	List	   *names;

	for (c = strchr(element, ' '); c; c = strchr(c + 1, ' '))
	{
		if (pg_strncasecmp(c, " is ", 4) == 0)
			is = c;
	}
	*last = 0;
	if (is == NULL)
		return pstrdup(element);
	if (strncmp(is + 4, "last=", 5) != 0 || !isdigit((unsigned char) is[9]))
		report_element(element);
	*last = strtol(is + 9, &end, 10);
	if (*end != '\0' || *last < 1 || *last > PSEUDO_LAST_MAX)
		report_element(element);
	names = pseudo_qualified_name(pnstrdup(element, is - element));
	if (list_length(names) != 1)
		report_element(element);
	return strVal(linitial(names));
}

/* Show the column that an element of the argument "reidentify" names opened. */
static void
open_column(PseudoView *view, const char *element)
{
	PseudoViewColumn *column = find_view_column(view, element);
	int			last = 0;

	if (column == NULL)
	{
		char	   *name = split_element(element, &last);

		column = find_view_column(view, name);
		if (column == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", name, RelationGetRelationName(view->rel)),
					 errhint("Argument \"reidentify\" names columns of the table.")));
	}
	if (column->show == PSEUDO_SHOW_OPENED)
		report_element(element);
	if (!pseudo_show_is_of_pseudonyms(column->show))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of relation \"%s\" holds no pseudonyms that the view could open",
						column->name, RelationGetRelationName(view->rel)),
				 errhint("A column labelled \"keep\" is shown as it is.")));
	column->show = PSEUDO_SHOW_OPENED;
	column->last = last;
}

/* See create_view.h. */
void
pseudo_view_columns(PseudoView *view, List *opened)
{
	bool	   *holds;
	ListCell   *cell;

	take_labels(view);
	holds = palloc0(Max(view->ncolumns, 1) * sizeof(bool));
	look_at_triggers(view, holds);
	for (int i = 0; i < view->ncolumns; i++)
		view->columns[i].show = show_column(view, &view->columns[i], holds[i]);
	foreach(cell, opened)
		open_column(view, lfirst(cell));
}
