/*
 * options.c
 *		The options of a keyring's foreign server, and their validator.
 *
 * Options hold no secret: any role can read them in pg_foreign_server.
 */
#include "postgres.h"

#include <limits.h>

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/portal.h"

#include "../compat.h"
#include "options.h"
#include "policy.h"

#define DEFAULT_REFRESH_INTERVAL	3600	/* seconds */
#define DEFAULT_STALE_LIMIT			86400	/* seconds */
#define DEFAULT_TIMEOUT				5000	/* milliseconds */

#define MAX_INTERVAL	(30 * 86400)	/* seconds */
#define MAX_TIMEOUT		300000	/* milliseconds */

PG_FUNCTION_INFO_V1(pseudo_fdw_validator);

/*
 * The options that every provider takes; all but the first say how long a
 * keyring serves.
 */
static const char *const common_options[] = {
	"provider", "refresh_interval", "stale_limit", "timeout", NULL
};
static const char *const *const time_options = common_options + 1;

/* Returns true if a NULL-terminated list holds this name. */
static bool
list_has(const char *const *names, const char *name)
{
	for (; *names; names++)
	{
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

/* Append the names of a NULL-terminated list, comma-separated. */
static void
append_names(StringInfo buf, const char *const *names)
{
	for (; *names; names++)
		appendStringInfo(buf, "%s%s", buf->len > 0 ? ", " : "", *names);
}

/* The names of all providers, comma-separated. */
static char *
provider_names(void)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; pseudo_providers[i]; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", pseudo_providers[i]->name);
	return buf.data;
}

/*
 * A time option in a GUC's units; value is in base units of flags (GUC_UNIT_S
 * or GUC_UNIT_MS) and must be from min to max.
 */
static void
read_time(DefElem *def, int *value, int flags, int min, int max)
{
	const char *hint = NULL;
	const char *unit = flags == GUC_UNIT_S ? "s" : "ms";

	if (!parse_int(defGetString(def), value, flags, &hint))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", def->defname),
				 hint ? errhint("%s", _(hint)) :
				 errhint("Give a whole number with a unit, such as \"30min\".")));
	if (*value < min || *value > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is out of range", def->defname),
				 errhint("Valid values are %d%s to %d%s.", min, unit, max, unit)));
}

/* Report an option that this provider does not take, with those it takes. */
static void
report_unknown_option(const PseudoProvider *provider, const char *name)
{
	StringInfoData valid;

	initStringInfo(&valid);
	append_names(&valid, common_options);
	append_names(&valid, pseudo_policy_options);
	append_names(&valid, provider->option_names);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("Valid options for provider \"%s\" are: %s.",
					 provider->name, valid.data)));
}

/* The provider that the options name. */
static const PseudoProvider *
read_provider(List *list)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = (DefElem *) lfirst(cell);
		const PseudoProvider *provider;

		if (strcmp(def->defname, "provider") != 0)
			continue;
		provider = pseudo_provider_find(defGetString(def));
		if (provider == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for option \"provider\""),
					 errhint("Valid providers are: %s.", provider_names())));
		return provider;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"provider\" is required"),
			 errhint("Valid providers are: %s.", provider_names())));
}

/* See options.h. */
PseudoOptions *
pseudo_options_read(const char *server, List *list)
{
	PseudoOptions *options = palloc0(sizeof(PseudoOptions));
	ListCell   *cell;

	options->server = server;
	options->provider = read_provider(list);
	options->refresh_interval = DEFAULT_REFRESH_INTERVAL;
	options->stale_limit = DEFAULT_STALE_LIMIT;
	options->timeout = DEFAULT_TIMEOUT;
	options->list = list;

	foreach(cell, list)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "refresh_interval") == 0)
			read_time(def, &options->refresh_interval, GUC_UNIT_S, 1, MAX_INTERVAL);
		else if (strcmp(def->defname, "stale_limit") == 0)
			read_time(def, &options->stale_limit, GUC_UNIT_S, 0, MAX_INTERVAL);
		else if (strcmp(def->defname, "timeout") == 0)
			read_time(def, &options->timeout, GUC_UNIT_MS, 100, MAX_TIMEOUT);
		else if (!list_has(common_options, def->defname) &&
				 !list_has(pseudo_policy_options, def->defname) &&
				 !list_has(options->provider->option_names, def->defname))
			report_unknown_option(options->provider, def->defname);
	}
	return options;
}

/* Order options by name. */
static int
compare_options(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst_node(DefElem, a)->defname, lfirst_node(DefElem, b)->defname);
}

/*
 * See options.h.  Names and values stand behind their lengths, so that no value
 * can look like another option.
 */
char *
pseudo_options_identity(List *list)
{
	List	   *kept = NIL;
	StringInfoData buf;
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (!list_has(time_options, def->defname) &&
			!list_has(pseudo_policy_options, def->defname))
			kept = lappend(kept, def);
	}
	list_sort(kept, compare_options);
	initStringInfo(&buf);
	foreach(cell, kept)
	{
		DefElem    *def = lfirst_node(DefElem, cell);
		const char *value = defGetString(def);

		appendStringInfo(&buf, "%zu:%s%zu:%s", strlen(def->defname), def->defname,
						 strlen(value), value);
	}
	list_free(kept);
	return buf.data;
}

/* The next text of an identity, which is moved on behind it. */
static char *
next_text(const char **identity)
{
	char	   *end;
	Size		len = strtoul(*identity, &end, 10);
	char	   *text = pnstrdup(end + 1, len);

	*identity = end + 1 + len;
	return text;
}

/* See options.h. */
List *
pseudo_options_of_identity(const char *identity)
{
	List	   *list = NIL;

	while (*identity)
	{
		char	   *name = next_text(&identity);
		char	   *value = next_text(&identity);

		list = lappend(list, makeDefElem(name, (Node *) makeString(value), -1));
	}
	return list;
}

/*
 * Returns true if the command that is running leaves a keyring as it is, but
 * for the times and the policy.  The owner may do that without the right to
 * name a file, secret or command.
 *
 * A validator learns what the options will be, not what they were, nor of
 * which server.  So the command itself is looked at: an ALTER SERVER that the
 * client sent, whose executor has checked that the current user owns the
 * server.  Options like those of some server that they own would not do: they
 * could make a second one, and keep it when the first is taken from them.  In
 * a function the command cannot be seen, and the provider's right is asked
 * for.
 */
static bool
keyring_stays(List *list)
{
	PlannedStmt *planned;
	AlterForeignServerStmt *alter;
	ForeignServer *server;

	if (!PortalIsValid(ActivePortal) || list_length(ActivePortal->stmts) != 1)
		return false;
	planned = linitial_node(PlannedStmt, ActivePortal->stmts);
	if (planned->utilityStmt == NULL || !IsA(planned->utilityStmt, AlterForeignServerStmt))
		return false;
	alter = (AlterForeignServerStmt *) planned->utilityStmt;
	server = GetForeignServerByName(alter->servername, true);
	return server != NULL &&
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, PSEUDO_WRAPPER) == 0 &&
		strcmp(pseudo_options_identity(list), pseudo_options_identity(server->options)) == 0;
}

/*
 * Validator of the wrapper `pseudo`: the options of a server, complete as they
 * will be; no others.  That they are right, and that the current user may set
 * them.  Errors: ERRCODE_FDW_INVALID_OPTION_NAME,
 * ERRCODE_INVALID_PARAMETER_VALUE for an invalid value or a missing option,
 * ERRCODE_INSUFFICIENT_PRIVILEGE.
 */
Datum
pseudo_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	PseudoOptions *options;
	PseudoPolicy policy;

	if (catalog != ForeignServerRelationId)
	{
		if (list != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"",
							((DefElem *) linitial(list))->defname),
					 errhint("Options belong on the foreign server, which is the keyring.")));
		PG_RETURN_VOID();
	}

	options = pseudo_options_read("", list);
	if (!keyring_stays(list))
		options->provider->check_set_right(options);
	options->provider->validate(options);
	pseudo_policy_read(&policy, list);
	PG_RETURN_VOID();
}
