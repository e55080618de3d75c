/*
 * stored.c
 *		Expressions of a table as they are stored.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "stored.h"

/* An attribute of a catalog's row that is a tree of nodes, or NULL. */
static Node *
read_tree(int cache, HeapTuple tuple, AttrNumber attno)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(cache, tuple, attno, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(tree));
}

/* See stored.h. */
Node *
pseudo_stored_index_expressions(Relation index)
{
	return read_tree(INDEXRELID, index->rd_indextuple, Anum_pg_index_indexprs);
}

/* See stored.h. */
Node *
pseudo_stored_index_predicate(Relation index)
{
	return read_tree(INDEXRELID, index->rd_indextuple, Anum_pg_index_indpred);
}

/* See stored.h. */
bool
pseudo_stored_in_partition_key(Relation parent, const char *column)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(parent), column);
	HeapTuple	tuple;
	Form_pg_partitioned_table key;
	Bitmapset  *used = NULL;

	if (attno == InvalidAttrNumber || parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(parent)));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for partition key of relation %u", RelationGetRelid(parent));
	key = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	for (int i = 0; i < key->partnatts; i++)
	{
		if (key->partattrs.values[i] != 0)
			used = bms_add_member(used, key->partattrs.values[i] - FirstLowInvalidHeapAttributeNumber);
	}
	pull_varattnos(read_tree(PARTRELID, tuple, Anum_pg_partitioned_table_partexprs), 1, &used);
	ReleaseSysCache(tuple);
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used);
}
