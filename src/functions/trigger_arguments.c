/*
 * trigger_arguments.c
 *		The arguments of the trigger pseudonymize_trigger, and which writes it covers.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/value.h"
#include "utils/builtins.h"

#include "trigger.h"

/* ---- Arguments ---- */

/* Report arguments that are wrong. */
static void
__attribute__((noreturn))
report_arguments(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", message),
			 errhint("Valid arguments are names of columns, and deterministic=true, context=..., keyring=..., existing=error, existing=keep or existing=value.")));
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

/* Take an argument that is an option.  Returns false if it is not one. */
static bool
read_option(PseudoTriggerArguments *arguments, const Trigger *trigger, const char *argument)
{
	const char *value;

	if ((value = option_value(argument, "deterministic")) != NULL)
	{
		if (!parse_bool(value, &arguments->is_deterministic))
			report_value(trigger, "deterministic");
	}
	else if ((value = option_value(argument, "context")) != NULL)
		arguments->context = pstrdup(value);
	else if ((value = option_value(argument, "keyring")) != NULL)
		arguments->keyring = pstrdup(value);
	else if ((value = option_value(argument, "existing")) != NULL)
	{
		if (strcmp(value, "keep") == 0)
			arguments->existing = PSEUDO_EXISTING_KEEP;
		else if (strcmp(value, "value") == 0)
			arguments->existing = PSEUDO_EXISTING_VALUE;
		else if (strcmp(value, "error") == 0)
			arguments->existing = PSEUDO_EXISTING_ERROR;
		else
			report_value(trigger, "existing");
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

/* See trigger.h. */
void
pseudo_trigger_arguments(PseudoTriggerArguments *arguments, const Trigger *trigger)
{
	memset(arguments, 0, sizeof(PseudoTriggerArguments));
	arguments->context = "";
	arguments->keyring = "pseudo";
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		if (is_repeated(trigger, i))
			report_arguments(psprintf("argument \"%.*s\" of trigger \"%s\" specified more than once",
									  (int) strcspn(trigger->tgargs[i], "="), trigger->tgargs[i], trigger->tgname));
		if (!read_option(arguments, trigger, trigger->tgargs[i]))
			arguments->columns = lappend(arguments->columns, makeString(pstrdup(trigger->tgargs[i])));
	}
	if (arguments->columns == NIL)
		report_arguments(psprintf("trigger \"%s\" names no columns", trigger->tgname));
}

/* See trigger.h. */
bool
pseudo_trigger_has_column(const PseudoTriggerArguments *arguments, const char *name)
{
	return list_member(arguments->columns, makeString(unconstify(char *, name)));
}

/* See trigger.h. */
bool
pseudo_trigger_same_pseudonyms(const PseudoTriggerArguments *a, const PseudoTriggerArguments *b)
{
	return strcmp(a->context, b->context) == 0 && strcmp(a->keyring, b->keyring) == 0;
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
pseudo_trigger_sees_all(Relation rel, Oid function, const char *column, AttrNumber attno)
{
	TriggerDesc *desc = rel->trigdesc;
	bool		inserts = false;
	bool		updates = false;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		PseudoTriggerArguments arguments;

		if (trigger->tgfoid != function || !is_unconditional(trigger))
			continue;
		pseudo_trigger_arguments(&arguments, trigger);
		if (!pseudo_trigger_has_column(&arguments, column))
			continue;
		inserts |= TRIGGER_FOR_INSERT(trigger->tgtype);
		updates |= sees_updates(desc, i, attno);
	}
	return inserts && updates;
}
