/*
 * provider.c
 *		What the providers share.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "miscadmin.h"

#include "provider.h"

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
void
pseudo_check_superuser(const PseudoOptions *options, const char *detail)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set the options of a keyring with provider \"%s\"",
						options->provider->name),
				 errdetail("%s", detail),
				 errhint("A superuser creates the server, and may give it away with ALTER SERVER ... OWNER TO; its owner can change refresh_interval, stale_limit and timeout, but not from within a function.")));
}
