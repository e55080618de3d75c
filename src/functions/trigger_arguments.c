/*
 * trigger_arguments.c
 *		The arguments of the trigger pseudonymize_trigger, and which writes it covers.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "trigger.h"

/* ---- Arguments ---- */

/* What reading a trigger's arguments knows. */
typedef struct Reading
{
	const Trigger *trigger;
	PseudoTriggerArguments *arguments;
	PseudoLabel common;			/* what the options say of all columns */
	bool		has_common;		/* a column without a label, or an option */
	bool		has_labels;		/* a column with a label */
} Reading;

/* Report arguments that are wrong. */
static void
__attribute__((noreturn))
report_arguments(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", message),
			 errhint("Valid arguments are names of columns, and deterministic=true, context=..., keyring=..., existing=error, existing=keep or existing=value; "
					 "or columns with a label each, such as 'email IS deterministic, context=crm'.")));
}

/* Report a value that an option does not take. */
static void
__attribute__((noreturn))
report_value(const Trigger *trigger, const char *option)
{
	report_arguments(psprintf("invalid value for argument \"%s\" of trigger \"%s\"", option, trigger->tgname));
}

/* The value of an argument "name=value" of this name, or NULL. */
static const char *
option_value(const char *argument, const char *name)
{
	size_t		len = strlen(name);

	return strncmp(argument, name, len) == 0 && argument[len] == '=' ? argument + len + 1 : NULL;
}

/* Take an argument that is an option for all columns.  Returns false if it is not one. */
static bool
take_option(Reading *reading, const char *argument)
{
	PseudoLabel *common = &reading->common;
	const char *value;

	if ((value = option_value(argument, "deterministic")) != NULL)
	{
		bool		is_deterministic;

		if (!parse_bool(value, &is_deterministic))
			report_value(reading->trigger, "deterministic");
		common->mode = is_deterministic ? PSEUDO_MODE_DETERMINISTIC : PSEUDO_MODE_RANDOM;
	}
	else if ((value = option_value(argument, "context")) != NULL)
		common->context = pstrdup(value);
	else if ((value = option_value(argument, "keyring")) != NULL)
		common->keyring = pstrdup(value);
	else if ((value = option_value(argument, "existing")) != NULL)
	{
		if (!pseudo_label_take_existing(common, value))
			report_value(reading->trigger, "existing");
	}
	else
		return false;
	return true;
}

/* Returns true if an argument's option, the part before "=", is among the arguments before it. */
static bool
is_repeated(const Trigger *trigger, int no)
{
	const char *argument = trigger->tgargs[no];
	const char *equals = strchr(argument, '=');
	size_t		len = equals ? (size_t) (equals - argument) + 1 : strlen(argument) + 1;

	for (int i = 0; i < no; i++)
	{
		if (strncmp(trigger->tgargs[i], argument, len) == 0)
			return true;
	}
	return false;
}

/* Take an argument "COLUMN IS LABEL".  Returns false if it is not one. */
static bool
take_label(Reading *reading, const char *argument)
{
	PseudoTriggerColumn *column = palloc(sizeof(PseudoTriggerColumn));

	column->name = pseudo_label_of_column(&column->label, argument);
	if (column->name == NULL)
		return false;
	if (!pseudo_label_pseudonymizes(&column->label))
		report_arguments(psprintf("the label of column \"%s\" in trigger \"%s\" is neither \"deterministic\" nor \"random\"",
								  column->name, reading->trigger->tgname));
	reading->arguments->columns = lappend(reading->arguments->columns, column);
	return true;
}

/* Take one argument, number no. */
static void
take_argument(Reading *reading, int no)
{
	const Trigger *trigger = reading->trigger;
	const char *argument = trigger->tgargs[no];
	PseudoTriggerColumn *column;

	if (take_label(reading, argument))
	{
		reading->has_labels = true;
		return;
	}
	reading->has_common = true;
	if (is_repeated(trigger, no))
		report_arguments(psprintf("argument \"%.*s\" of trigger \"%s\" specified more than once",
								  (int) strcspn(argument, "="), argument, trigger->tgname));
	if (take_option(reading, argument))
		return;
	column = palloc(sizeof(PseudoTriggerColumn));
	column->name = pstrdup(argument);
	reading->arguments->columns = lappend(reading->arguments->columns, column);
}

/* Refuse to write a column twice. */
static void
check_repeated(const Reading *reading)
{
	List	   *written = NIL;
	ListCell   *cell;

	foreach(cell, reading->arguments->columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);
		String	   *into = column->label.into ? makeString(column->label.into) : NULL;

		if (list_member(written, makeString(column->name)) || (into && list_member(written, into)) ||
			(into && strcmp(column->label.into, column->name) == 0))
			report_arguments(psprintf("the labels in trigger \"%s\" name column \"%s\" more than once", reading->trigger->tgname,
									  into && !list_member(written, makeString(column->name)) ? column->label.into : column->name));
		written = lappend(written, makeString(column->name));
		if (into)
			written = lappend(written, into);
	}
}

/* See trigger.h. */
void
pseudo_trigger_arguments(PseudoTriggerArguments *arguments, const Trigger *trigger)
{
	Reading		reading = {.trigger = trigger, .arguments = arguments};
	ListCell   *cell;

	memset(arguments, 0, sizeof(PseudoTriggerArguments));
	pseudo_label_begin(&reading.common, PSEUDO_MODE_RANDOM);
	for (int i = 0; i < trigger->tgnargs; i++)
		take_argument(&reading, i);
	if (reading.has_labels && reading.has_common)
		report_arguments(psprintf("trigger \"%s\" has columns with labels and arguments for all columns", trigger->tgname));
	if (arguments->columns == NIL)
		report_arguments(psprintf("trigger \"%s\" names no columns", trigger->tgname));
	arguments->is_labelled = reading.has_labels;
	if (reading.has_labels)
		check_repeated(&reading);
	foreach(cell, reading.has_common ? arguments->columns : NIL)
		((PseudoTriggerColumn *) lfirst(cell))->label = reading.common;
}

/* See trigger.h. */
PseudoLabel *
pseudo_trigger_label(const PseudoTriggerArguments *arguments, const char *name)
{
	ListCell   *cell;

	foreach(cell, arguments->columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);

		if (strcmp(column->name, name) == 0)
			return &column->label;
	}
	return NULL;
}

/* See trigger.h. */
bool
pseudo_trigger_agrees(const PseudoTriggerArguments *arguments, const char *name, const PseudoLabel *label)
{
	const PseudoLabel *own = pseudo_trigger_label(arguments, name);

	if (own == NULL || !pseudo_label_pseudonymizes(label))
		return own == NULL && !pseudo_label_pseudonymizes(label);
	return own->mode == label->mode && own->existing == label->existing &&
		pseudo_label_same_pseudonyms(own, label) &&
		(own->into == NULL) == (label->into == NULL) &&
		(own->into == NULL || strcmp(own->into, label->into) == 0);
}

/* ---- Writes ---- */

/* Returns true if a trigger fires in usual sessions, for whatever is written. */
static bool
is_unconditional(const Trigger *trigger)
{
	return trigger->tgqual == NULL &&
		(trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN || trigger->tgenabled == TRIGGER_FIRES_ALWAYS);
}

/* Returns true if another kind of trigger fires before number no and may write to columns that no statement names. */
static bool
is_after_others(const TriggerDesc *desc, int no)
{
	for (int i = 0; i < no; i++)
	{
		const Trigger *other = &desc->triggers[i];

		if (other->tgfoid != desc->triggers[no].tgfoid &&
			other->tgenabled != TRIGGER_DISABLED &&
			other->tgenabled != TRIGGER_FIRES_ON_REPLICA &&
			TRIGGER_TYPE_MATCHES(other->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE,
								 TRIGGER_TYPE_UPDATE))
			return true;
	}
	return false;
}

/* Returns true if trigger number no fires for each UPDATE that may change a column. */
static bool
sees_updates(const TriggerDesc *desc, int no, AttrNumber attno)
{
	const Trigger *trigger = &desc->triggers[no];

	if (!TRIGGER_FOR_UPDATE(trigger->tgtype))
		return false;
	if (trigger->tgnattr == 0)
		return true;
	for (int i = 0; i < trigger->tgnattr; i++)
	{
		if (trigger->tgattr[i] == attno)
			return !is_after_others(desc, no);
	}
	return false;
}

/* See trigger.h. */
bool
pseudo_trigger_sees_all_without(Relation rel, Oid function, const char *column, AttrNumber attno, const char *without)
{
	TriggerDesc *desc = rel->trigdesc;
	bool		inserts = false;
	bool		updates = false;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		PseudoTriggerArguments arguments;
		PseudoLabel *label;

		if (trigger->tgfoid != function || !is_unconditional(trigger) ||
			(without && strcmp(trigger->tgname, without) == 0))
			continue;
		pseudo_trigger_arguments(&arguments, trigger);
		label = pseudo_trigger_label(&arguments, column);
		if (label == NULL)
			continue;
		inserts |= TRIGGER_FOR_INSERT(trigger->tgtype);
		updates |= sees_updates(desc, i, attno) &&
			(label->into == NULL || sees_updates(desc, i, get_attnum(RelationGetRelid(rel), label->into)));
	}
	return inserts && updates;
}

/* See trigger.h. */
bool
pseudo_trigger_sees_all(Relation rel, Oid function, const char *column, AttrNumber attno)
{
	return pseudo_trigger_sees_all_without(rel, function, column, attno, NULL);
}

/* The name of the first trigger that can write to a column after function, for INSERT or UPDATE; or NULL. */
static const char *
later_trigger(const TriggerDesc *desc, Oid function, const char *column, int16 event)
{
	bool		is_pseudonym = false;
	const char *later = NULL;

	for (int i = 0; i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		PseudoTriggerArguments arguments;

		if (!TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, event) ||
			trigger->tgenabled == TRIGGER_DISABLED || trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA)
			continue;
		if (trigger->tgfoid != function)
		{
			if (is_pseudonym && later == NULL && trigger->tgfoid >= FirstNormalObjectId)
				later = trigger->tgname;
			continue;
		}
		pseudo_trigger_arguments(&arguments, trigger);
		if (trigger->tgqual == NULL && pseudo_trigger_label(&arguments, column))
		{
			is_pseudonym = true;
			later = NULL;
		}
	}
	return later;
}

/* See trigger.h. */
const char *
pseudo_trigger_later(Relation rel, Oid function, const char *column)
{
	const char *later;

	if (rel->trigdesc == NULL)
		return NULL;
	later = later_trigger(rel->trigdesc, function, column, TRIGGER_TYPE_INSERT);
	return later ? later : later_trigger(rel->trigdesc, function, column, TRIGGER_TYPE_UPDATE);
}

/* See trigger.h. */
Oid
pseudo_trigger_function(Oid called)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("pseudonymize_trigger"),
						   PointerGetDatum(buildoidvector(NULL, 0)), ObjectIdGetDatum(get_func_namespace(called)));
}
