/*
 * replica.c
 *		Tables that get the changes of a publisher by logical replication.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_subscription_rel.h"
#include "utils/fmgroids.h"
#include "utils/relcache.h"

#include "replica.h"

/* See replica.h. */
bool
pseudo_replica_finds_by(Relation rel, AttrNumber attno)
{
	Bitmapset  *columns;

	if (rel->rd_rel->relreplident == REPLICA_IDENTITY_NOTHING)
		return false;
	columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_IDENTITY_KEY);
	if (columns == NULL)
		columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	return columns == NULL || bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, columns);
}

/* Returns true if a table is in a subscription, by its own OID. */
static bool
is_listed(Relation subscribed, Oid relid)
{
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(subscribed, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	return found;
}

/* See replica.h. */
bool
pseudo_replica_is_subscribed(Relation rel)
{
	Relation	subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	bool		found = is_listed(subscribed, RelationGetRelid(rel));
	List	   *ancestors = !found && rel->rd_rel->relispartition ?
		get_partition_ancestors(RelationGetRelid(rel)) : NIL;
	ListCell   *cell;

	foreach(cell, ancestors)
		found |= is_listed(subscribed, lfirst_oid(cell));
	table_close(subscribed, AccessShareLock);
	return found;
}
