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
PseudoFailure
pseudo_no_failure(void)
{
	return (PseudoFailure) {.context = CurrentMemoryContext};
}

/* Replace one of a failure's texts by a copy; what it is a copy of may be the text itself. */
static void
set_text(const PseudoFailure *failure, char **text, const char *value)
{
	char	   *copy = value ? MemoryContextStrdup(failure->context, value) : NULL;

	if (*text)
		pfree(*text);
	*text = copy;
}

/* See provider.h. */
bool
pseudo_fail(PseudoFailure *failure, PseudoFailureClass class, int sqlstate,
			const char *message, const char *detail, const char *hint)
{
	PseudoFailure old = *failure;

	*failure = (PseudoFailure) {.context = old.context,.class = class,.sqlstate = sqlstate};
	set_text(failure, &failure->message, message);
	set_text(failure, &failure->detail, detail);
	set_text(failure, &failure->hint, hint);
	set_text(&old, &old.message, NULL);
	set_text(&old, &old.detail, NULL);
	set_text(&old, &old.hint, NULL);
	return false;
}

/* See provider.h. */
void
pseudo_failure_detail(PseudoFailure *failure, const char *detail)
{
	set_text(failure, &failure->detail, detail);
}

/* See provider.h. */
void
pseudo_failure_hint(PseudoFailure *failure, const char *hint)
{
	set_text(failure, &failure->hint, hint);
}
