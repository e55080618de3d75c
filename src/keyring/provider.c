/*
 * provider.c
 *		The providers that there are.
 */
#include "postgres.h"

#include "commands/defrem.h"

#include "provider.h"

const PseudoProvider *const pseudo_providers[] = {
	&pseudo_provider_file,
	&pseudo_provider_aws,
	&pseudo_provider_command,
	NULL
};

/* See provider.h. */
const PseudoProvider *
pseudo_provider_find(const char *name)
{
	for (int i = 0; pseudo_providers[i]; i++)
	{
		if (strcmp(pseudo_providers[i]->name, name) == 0)
			return pseudo_providers[i];
	}
	return NULL;
}

/* See provider.h. */
const char *
pseudo_option(const PseudoOptions *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options->list)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* See provider.h. */
bool
pseudo_fail(PseudoFailure *failure, PseudoFailureClass class, int sqlstate,
			const char *message, const char *detail, const char *hint)
{
	failure->class = class;
	failure->sqlstate = sqlstate;
	failure->message = message;
	failure->detail = detail;
	failure->hint = hint;
	return false;
}
