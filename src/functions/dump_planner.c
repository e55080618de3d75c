/*
 * dump_planner.c
 *		Who plans the query that a COPY of a table is in a dump.
 *
 * To plan a query calls functions in expressions of its tables.  One role plans it all, so that these have to be
 * its own.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic_ext.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "column.h"
#include "dump_planner.h"

/* The owner of a relation. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Refuse a partitioned table with a partition of another owner. */
static void
check_partition_owners(Relation rel)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL))
	{
		if (owner_of(lfirst_oid(cell)) != rel->rd_rel->relowner)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("relation %s cannot be dumped as a whole, for its partition %s has another owner",
							pseudo_relation_name(RelationGetRelid(rel)), pseudo_relation_name(lfirst_oid(cell))),
					 errhint("Copy the partitions one by one, as pg_dump does.")));
	}
}

/* Returns true if extended statistics have expressions. */
static bool
has_statistics_expressions(Oid statistics)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for statistics object %u", statistics);
	(void) SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxexprs, &isnull);
	ReleaseSysCache(tuple);
	return !isnull;
}

/* Refuse a foreign table of another role with statistics on expressions, the only ones that would be read. */
static void
check_foreign_statistics(Relation rel)
{
	ListCell   *cell;

	if (rel->rd_rel->relowner == GetUserId())
		return;
	foreach(cell, RelationGetStatExtList(rel))
	{
		if (has_statistics_expressions(lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("foreign table %s cannot be dumped by another role than its owner, for it has extended statistics on expressions",
							pseudo_relation_name(RelationGetRelid(rel))),
					 errhint("Drop the statistics, or dump it as its owner.")));
	}
}

/* See dump_planner.h. */
Oid
pseudo_dump_planner(Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	if (kind == RELKIND_PARTITIONED_TABLE)
		check_partition_owners(rel);
	if (kind != RELKIND_FOREIGN_TABLE)
		return rel->rd_rel->relowner;
	check_foreign_statistics(rel);
	return GetUserId();
}
