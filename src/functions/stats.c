/*
 * stats.c
 *		The view pseudo_stats, and its reset.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "../compat.h"
#include "../keyring/count.h"
#include "../keyring/stats.h"

PG_FUNCTION_INFO_V1(pseudo_stats_rows);
PG_FUNCTION_INFO_V1(pseudo_stats_reset);

/* The columns of pseudo_stats_rows(), in their order. */
enum
{
	STATS_DATABASE,
	STATS_KEYRING,
	STATS_ROLE,
	STATS_COUNTERS,
	STATS_LAST_ERROR_SQLSTATE = STATS_COUNTERS + PSEUDO_COUNTERS,
	STATS_LAST_ERROR,
	STATS_LAST_ERROR_AT,
	STATS_SINCE,
	STATS_COLUMNS
};

/* Check that there is something to show.  Errors: 55000. */
static void
check_is_on(void)
{
	if (!pseudo_stats_is_on())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pseudo must be loaded via \"shared_preload_libraries\" to count"),
				 errhint("Add pseudo to shared_preload_libraries, and restart the server.")));
}

/* Put a name or NULL into a row. */
static void
put_name(Datum *value, bool *isnull, const char *name)
{
	*isnull = name == NULL;
	if (name)
		*value = DirectFunctionCall1(namein, CStringGetDatum(name));
}

/* A text of another database as it can be shown in this one: in another encoding, what is not ASCII cannot. */
static char *
shown(const char *s, int encoding)
{
	char	   *copy = pstrdup(s);

	for (char *c = copy; encoding != GetDatabaseEncoding() && *c; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return copy;
}

/* The name of the keyring that a row is about; as it was called then, where only another database knows. */
static char *
keyring_name(const PseudoStatsRow *row)
{
	ForeignServer *server = NULL;

	if (row->key.database == MyDatabaseId)
		server = GetForeignServerExtended(row->key.server, FSV_MISSING_OK);
	return server ? server->servername : shown(row->keyring, row->encoding);
}

/* Add a row. */
static void
put_row(ReturnSetInfo *rsinfo, const PseudoStatsRow *row)
{
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {false};
	bool		is_named = OidIsValid(row->key.server);
	bool		is_failed = row->error_at != 0;

	put_name(&values[STATS_DATABASE], &nulls[STATS_DATABASE],
			 is_named ? get_database_name(row->key.database) : NULL);
	put_name(&values[STATS_KEYRING], &nulls[STATS_KEYRING],
			 is_named ? keyring_name(row) : NULL);
	put_name(&values[STATS_ROLE], &nulls[STATS_ROLE],
			 is_named ? GetUserNameFromId(row->key.role, true) : NULL);
	for (int n = 0; n < PSEUDO_COUNTERS; n++)
		values[STATS_COUNTERS + n] = Int64GetDatum((int64) row->counters[n]);
	nulls[STATS_LAST_ERROR_SQLSTATE] = nulls[STATS_LAST_ERROR] = nulls[STATS_LAST_ERROR_AT] = !is_failed;
	if (is_failed)
	{
		values[STATS_LAST_ERROR_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(row->error_sqlstate));
		values[STATS_LAST_ERROR] = CStringGetTextDatum(shown(row->error, row->encoding));
		values[STATS_LAST_ERROR_AT] = TimestampTzGetDatum(row->error_at);
	}
	values[STATS_SINCE] = TimestampTzGetDatum(row->since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Returns true if a row has anything to show: the one without names seldom has. */
static bool
is_used(const PseudoStatsRow *row)
{
	uint64		any = OidIsValid(row->key.server);

	for (int n = 0; n < PSEUDO_COUNTERS; n++)
		any |= row->counters[n];
	return any != 0;
}

/*
 * pseudo_stats_rows(): the rows of the view pseudo_stats
 *
 * A role sees its own, as in pg_stat_statements.
 */
Datum
pseudo_stats_rows(PG_FUNCTION_ARGS)
{
	bool		is_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	PseudoStatsRow *rows;
	int			nrows;

	check_is_on();
	InitMaterializedSRF(fcinfo, 0);
	pseudo_count_add_up();
	rows = pseudo_stats_read(&nrows);
	for (int i = 0; i < nrows; i++)
	{
		if ((is_all || rows[i].key.role == GetUserId()) && is_used(&rows[i]))
			put_row((ReturnSetInfo *) fcinfo->resultinfo, &rows[i]);
	}
	PG_RETURN_NULL();
}

/*
 * pseudo_stats_reset()
 *
 * For whoever may call it: nobody but the owner, unless it is granted.
 */
Datum
pseudo_stats_reset(PG_FUNCTION_ARGS pg_attribute_unused())
{
	check_is_on();
	pseudo_count_add_up();
	pseudo_stats_clear();
	PG_RETURN_VOID();
}
