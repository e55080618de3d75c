/*
 * dump_labels.c
 *		Labels are those of the rows that are dumped.
 *
 * A dump sees the rows of its snapshot, but labels as they are when a table's turn comes.  Who has emptied a column since, and
 * labelled it "keep", has not said that what was in it may go out.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_seclabel.h"
#include "commands/seclabel.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "column.h"
#include "dump_labels.h"
#include "label.h"

/* The first row of a catalog that has an Oid in a column, in a snapshot: a copy, or NULL. */
static HeapTuple
row_then(Oid catalog, Oid index, AttrNumber attno, Oid oid, Snapshot snapshot)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, index, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

/* Was a relation a partition in a snapshot? */
static bool
was_partition(Oid relid, Snapshot snapshot)
{
	HeapTuple	tuple = row_then(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid, relid, snapshot);

	return tuple != NULL && ((Form_pg_class) GETSTRUCT(tuple))->relispartition;
}

/* What a partition was a partition of, or InvalidOid. */
static Oid
parent_then(Oid relid, Snapshot snapshot)
{
	HeapTuple	tuple = row_then(InheritsRelationId, InheritsRelidSeqnoIndexId, Anum_pg_inherits_inhrelid, relid, snapshot);

	return tuple != NULL ? ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent : InvalidOid;
}

/* The relation whose labels counted. */
static Oid
labelled_then(Oid relid, Snapshot snapshot)
{
	while (OidIsValid(relid) && was_partition(relid, snapshot))
		relid = parent_then(relid, snapshot);
	return relid;
}

/* The label that a column had, palloc'ed, or NULL. */
static char *
label_then(const ObjectAddress *column, Snapshot snapshot)
{
	Relation	rel = table_open(SecLabelRelationId, AccessShareLock);
	ScanKeyData key[4];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *label = NULL;

	ScanKeyInit(&key[0], Anum_pg_seclabel_objoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(column->objectId));
	ScanKeyInit(&key[1], Anum_pg_seclabel_classoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(column->classId));
	ScanKeyInit(&key[2], Anum_pg_seclabel_objsubid, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(column->objectSubId));
	ScanKeyInit(&key[3], Anum_pg_seclabel_provider, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(PSEUDO_LABEL_PROVIDER));
	scan = systable_beginscan(rel, SecLabelObjectIndexId, true, snapshot, lengthof(key), key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_seclabel_label, RelationGetDescr(rel), &isnull);

		if (!isnull)
			label = TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return label;
}

/* Is the label of a column what it was? */
static bool
is_labelled_as_then(Oid relid, int attno, Snapshot snapshot)
{
	ObjectAddress column;
	char	   *then;
	char	   *now;

	ObjectAddressSubSet(column, RelationRelationId, relid, attno);
	then = label_then(&column, snapshot);
	now = GetSecurityLabel(&column, PSEUDO_LABEL_PROVIDER);
	return then && now ? strcmp(then, now) == 0 : then == now;
}

/* See dump_labels.h. */
void
pseudo_dump_check_labels(Relation rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetActiveSnapshot());
	Oid			relid = pseudo_labelled_relation(rel);
	Relation	labelled = relation_open(relid, AccessShareLock);
	bool		same = labelled_then(RelationGetRelid(rel), snapshot) == relid;

	for (int attno = 1; same && attno <= RelationGetNumberOfAttributes(labelled); attno++)
		same = is_labelled_as_then(relid, attno, snapshot);
	relation_close(labelled, AccessShareLock);
	UnregisterSnapshot(snapshot);
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not dump relation %s because its labels have changed since the dump began",
						pseudo_relation_name(RelationGetRelid(rel))),
				 errhint("Run the dump again.")));
}
