/*
 * limits.c
 *		The view pseudo_limits.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "../compat.h"
#include "../keyring/limits.h"
#include "../keyring/options.h"
#include "../keyring/shared.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_limits_rows);

/* The columns of pseudo_limits_rows(), in their order. */
enum
{
	LIMITS_ROLE,
	LIMITS_KEYRING,
	LIMITS_OPERATION,
	LIMITS_QUOTA,
	LIMITS_USED,
	LIMITS_LEFT,
	LIMITS_UNTIL,
	LIMITS_COLUMNS
};

/* Add a row: what a role has used of a keyring's limit. */
static void
put_limit(ReturnSetInfo *rsinfo, const ForeignServer *server, const PseudoLimitRow *row, const char *role,
		  PseudoRate rate)
{
	Datum		values[LIMITS_COLUMNS];
	bool		nulls[LIMITS_COLUMNS] = {false};
	char	   *max = psprintf("%lld/%s", (long long) rate.max, pseudo_rate_unit(rate.seconds));

	values[LIMITS_ROLE] = DirectFunctionCall1(namein, CStringGetDatum(role));
	values[LIMITS_KEYRING] = DirectFunctionCall1(namein, CStringGetDatum(server->servername));
	values[LIMITS_OPERATION] = CStringGetTextDatum(row->key.use == PSEUDO_USE_REIDENTIFY ? "reidentify" : "pseudonymize");
	values[LIMITS_QUOTA] = CStringGetTextDatum(max);
	values[LIMITS_USED] = Int64GetDatum(row->used);
	values[LIMITS_LEFT] = Int64GetDatum(Max(rate.max - row->used, 0));
	values[LIMITS_UNTIL] = TimestampTzGetDatum(row->since + (int64) row->key.seconds * USECS_PER_SEC);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Add the rows of a keyring that the current user may see. */
static void
put_limits_of(ReturnSetInfo *rsinfo, const ForeignServer *server, const PseudoLimitRow *rows, int nrows, bool is_all)
{
	PseudoPolicy policy;
	uint8		digest[PSEUDO_SHARED_DIGEST];

	pseudo_policy_read(&policy, server->options);
	pseudo_shared_make_digest(digest, pseudo_options_identity(server->options));
	for (int i = 0; i < nrows; i++)
	{
		const PseudoLimitKey *key = &rows[i].key;
		char	   *role = GetUserNameFromId(key->role, true);
		PseudoRate	rate;

		if (role == NULL || (!is_all && key->role != GetUserId()) ||
			memcmp(key->digest, digest, sizeof(key->digest)) != 0)
			continue;
		rate = pseudo_watch_rate(&policy.limits[key->use], key->role);
		if (rate.max >= 0 && rate.seconds == key->seconds)
			put_limit(rsinfo, server, &rows[i], role, rate);
	}
}

/*
 * pseudo_limits_rows(): the rows of the view pseudo_limits
 *
 * A role sees its own, as in pseudo_stats.
 */
Datum
pseudo_limits_rows(PG_FUNCTION_ARGS)
{
	bool		is_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	PseudoLimitRow *rows;
	int			nrows;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!pseudo_limits_are_on())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pseudo must be loaded via \"shared_preload_libraries\" to limit"),
				 errhint("Add pseudo to shared_preload_libraries, and restart the server.")));
	InitMaterializedSRF(fcinfo, 0);
	rows = pseudo_limits_read(&nrows);
	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			serverid = ((Form_pg_foreign_server) GETSTRUCT(tuple))->oid;
		ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);

		/* Another session may have dropped it by now. */
		if (server && strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, PSEUDO_WRAPPER) == 0)
			put_limits_of((ReturnSetInfo *) fcinfo->resultinfo, server, rows, nrows, is_all);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	PG_RETURN_NULL();
}
