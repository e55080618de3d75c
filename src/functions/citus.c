/*
 * citus.c
 *		What Citus says of a table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "citus.h"

PG_FUNCTION_INFO_V1(pseudo_run_on_other_nodes);

/* Open a table of Citus's by its name, or NULL. */
static Relation
open_metadata(const char *name)
{
	Oid			relid = get_relname_relid(name, PG_CATALOG_NAMESPACE);

	return OidIsValid(relid) ? table_open(relid, AccessShareLock) : NULL;
}

/* The number of a column, which differs between Citus's versions. */
static AttrNumber
column_number(Relation rel, const char *name)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);

	if (attno == InvalidAttrNumber)
		elog(ERROR, "Citus's table \"%s\" has no column \"%s\"", RelationGetRelationName(rel), name);
	return attno;
}

/* Begin a scan of the rows with this value in a column. */
static SysScanDesc
begin_scan(Relation rel, const char *column, RegProcedure equal, Datum value)
{
	ScanKeyData key;

	ScanKeyInit(&key, column_number(rel, column), BTEqualStrategyNumber, equal, value);
	return systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
}

/* A column of a row. */
static Datum
get_column(Relation rel, HeapTuple tuple, const char *column, bool *isnull)
{
	return heap_getattr(tuple, column_number(rel, column), RelationGetDescr(rel), isnull);
}

/* A column of type "char", or 0 for NULL. */
static char
get_char(Relation rel, HeapTuple tuple, const char *column)
{
	bool		isnull;
	Datum		value = get_column(rel, tuple, column, &isnull);

	return isnull ? 0 : DatumGetChar(value);
}

/*
 * The name of the column that a distributed table is distributed by, or NULL.  Citus keeps it as the text of a
 * Var, whose fields differ between PostgreSQL's versions; the one that counts does not.
 */
static char *
key_column(Oid relid, Relation rel, HeapTuple tuple)
{
	static const char field[] = ":varattno ";
	bool		isnull;
	Datum		key = get_column(rel, tuple, "partkey", &isnull);
	char	   *found;

	if (isnull)
		return NULL;
	found = strstr(TextDatumGetCString(key), field);
	if (found == NULL)
		elog(ERROR, "Citus's distribution key of relation %u is no column", relid);
	return get_attname(relid, (AttrNumber) strtol(found + strlen(field), NULL, 10), false);
}

/* Fill in what Citus says of a table in a row of pg_dist_partition. */
static void
read_table(PseudoCitus *citus, Oid relid, Relation rel, HeapTuple tuple)
{
	bool		isnull;
	int			colocation = DatumGetInt32(get_column(rel, tuple, "colocationid", &isnull));

	if (get_char(rel, tuple, "partmethod") != 'n')
	{
		citus->kind = PSEUDO_CITUS_DISTRIBUTED;
		citus->column = key_column(relid, rel, tuple);
	}
	else if (get_char(rel, tuple, "repmodel") == 't')
		citus->kind = PSEUDO_CITUS_REFERENCE;
	else

		/*
		 * One that is in a group of tables with one shard is distributed,
		 * without a column.
		 */
		citus->kind = isnull || colocation == 0 ? PSEUDO_CITUS_LOCAL : PSEUDO_CITUS_DISTRIBUTED;
}

/* Look up a table that Citus knows under this OID. */
static void
find_table(PseudoCitus *citus, Oid relid)
{
	Relation	rel = open_metadata("pg_dist_partition");
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return;
	scan = begin_scan(rel, "logicalrelid", F_OIDEQ, ObjectIdGetDatum(relid));
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		read_table(citus, relid, rel, tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* The number behind the last underscore of a shard's name, or 0. */
static int64
shard_number(const char *name)
{
	const char *digits = strrchr(name, '_');
	int64		number = 0;

	if (digits == NULL || strlen(digits) > 18 || strspn(digits + 1, "0123456789") != strlen(digits + 1))
		return 0;
	for (digits++; *digits; digits++)
		number = number * 10 + (*digits - '0');
	return number;
}

/* Returns true if a table has the name of a shard of another, "name_number", and is in the same schema. */
static bool
is_shard_of(Relation rel, Oid logical)
{
	const char *table = get_rel_name(logical);

	/* Citus shortens long names in front of a hash: their beginning must do. */
	return table && get_rel_namespace(logical) == RelationGetNamespace(rel) &&
		strncmp(RelationGetRelationName(rel), table, Min(strlen(table), 30)) == 0;
}

/* The table that this one is a shard of, or InvalidOid. */
static Oid
shard_table(Relation rel)
{
	int64		number = shard_number(RelationGetRelationName(rel));
	Relation	shards = number > 0 ? open_metadata("pg_dist_shard") : NULL;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			table = InvalidOid;

	if (shards == NULL)
		return InvalidOid;
	scan = begin_scan(shards, "shardid", F_INT8EQ, Int64GetDatum(number));
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			logical = DatumGetObjectId(get_column(shards, tuple, "logicalrelid", &isnull));

		if (!isnull && is_shard_of(rel, logical))
			table = logical;
	}
	systable_endscan(scan);
	table_close(shards, AccessShareLock);
	return table;
}

/* See citus.h. */
void
pseudo_citus_find(PseudoCitus *citus, Relation rel)
{
	Oid			table;

	memset(citus, 0, sizeof(PseudoCitus));
	find_table(citus, RelationGetRelid(rel));
	if (citus->kind != PSEUDO_CITUS_NONE)
		return;
	table = shard_table(rel);
	citus->is_shard = OidIsValid(table);
	if (citus->is_shard)
		find_table(citus, table);
}

/* See citus.h. */
bool
pseudo_citus_knows(Oid relid)
{
	PseudoCitus citus = {0};

	find_table(&citus, relid);
	return citus.kind != PSEUDO_CITUS_NONE;
}

/* See citus.h. */
bool
pseudo_citus_asks(void)
{
	/* Citus knows them by this, too. */
	return application_name && strncmp(application_name, "citus_run_command gpid=", 23) == 0;
}

/* See citus.h. */
bool
pseudo_citus_is_worker(void)
{
	Relation	rel = open_metadata("pg_dist_local_group");
	SysScanDesc scan;
	HeapTuple	tuple;
	int			group = 0;

	if (rel == NULL)
		return false;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		group = DatumGetInt32(get_column(rel, tuple, "groupid", &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return group != 0;			/* 0 is the coordinator's */
}

/* See citus.h. */
const char *
pseudo_citus_kind_name(PseudoCitusKind kind)
{
	switch (kind)
	{
		case PSEUDO_CITUS_DISTRIBUTED:
			return "distributed table";
		case PSEUDO_CITUS_REFERENCE:
			return "reference table";
		case PSEUDO_CITUS_LOCAL:
			return "local table";
		default:
			return "table";
	}
}

/*
 * pseudo_run_on_other_nodes(command text)
 *
 * By a function of Citus's library that SQL cannot call: what it runs is committed, or rolled back, with this
 * transaction.
 */
Datum
pseudo_run_on_other_nodes(PG_FUNCTION_ARGS)
{
	PGFunction	run = NULL;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to run commands on other nodes"),
				 errhint("Ask a superuser.")));
	if (OidIsValid(get_relname_relid("pg_dist_node", PG_CATALOG_NAMESPACE)))
		run = load_external_function("$libdir/citus", "execute_command_on_remote_nodes_as_user", false, NULL);
	if (run == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this database has no other nodes that commands can be run on"),
				 errhint("This needs Citus 13 or later.")));
	DirectFunctionCall2(run, PG_GETARG_DATUM(0),
						CStringGetTextDatum(GetUserNameFromId(GetUserId(), false)));
	PG_RETURN_VOID();
}
