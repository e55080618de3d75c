/*
 * bulk_target.c
 *		The table that a bulk procedure converts: its leaves, and what is refused.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/rls.h"

#include "bulk.h"
#include "trigger.h"

/* See bulk.h. */
char *
pseudo_bulk_relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* Refuse what is no table. */
static void
check_kind(Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 kind == RELKIND_VIEW ?
				 errhint("Name the table that the view reads.") :
				 kind == RELKIND_MATVIEW ?
				 errhint("Convert the tables that it reads, and REFRESH it.") :
				 kind == RELKIND_FOREIGN_TABLE ?
				 errhint("Convert it on the server where it is.") : 0));
	if (IsCatalogRelation(rel) || RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a system catalog, or a temporary table of another session",
						RelationGetRelationName(rel))));
	if (kind == RELKIND_RELATION && rel->rd_tableam->scan_set_tidrange == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the table access method of \"%s\" has no TID range scans",
						RelationGetRelationName(rel)),
				 errhint("Use ALTER TABLE ... ALTER COLUMN ... TYPE text USING pseudonymize(...).")));
}

/* Refuse a table that the current user may not read and change, all of it. */
static void
check_rights(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK ||
		pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", RelationGetRelationName(rel)),
				 errhint("GRANT SELECT, UPDATE ON %s TO %s;", pseudo_bulk_relation_name(relid),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of table \"%s\" applies to this role, and would leave rows out",
						RelationGetRelationName(rel)),
				 errhint("Run this as the table's owner, or as a role with BYPASSRLS.")));
}

/* The columns of a table; also checks them. */
static void
find_columns(Bulk *bulk, Relation rel, BulkTarget *target)
{
	target->rel = rel;
	target->ncolumns = list_length(bulk->columns);
	target->columns = palloc(target->ncolumns * sizeof(PseudoColumn));
	pseudo_columns_find(target->columns, rel, bulk->columns);
}

/* The columns as a set, offset as in pull_varattnos(). */
static Bitmapset *
column_set(const BulkTarget *target)
{
	Bitmapset  *set = NULL;

	for (int i = 0; i < target->ncolumns; i++)
		set = bms_add_member(set, target->columns[i].attno - FirstLowInvalidHeapAttributeNumber);
	return set;
}

/* See bulk.h. */
void
pseudo_bulk_open(Bulk *bulk, Oid relid, BulkTarget *target)
{
	Relation	rel = try_relation_open(relid, bulk->dry_run ? AccessShareLock : RowExclusiveLock);
	Bitmapset  *keys;

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table was dropped while it was being converted")));
	check_kind(rel);
	check_rights(rel);
	find_columns(bulk, rel, target);
	keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	target->lock_mode = bms_overlap(keys, column_set(target)) ?
		LockTupleExclusive : LockTupleNoKeyExclusive;
}

/* Refuse random pseudonyms in what has to be unique. */
static void
check_unique(const BulkTarget *target)
{
	Bitmapset  *columns = column_set(target);
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(target->rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;
		Bitmapset  *used = NULL;

		for (int i = 0; i < form->indnkeyatts; i++)
			used = bms_add_member(used, form->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
		pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &used);
		if ((form->indisunique || form->indisexclusion) && bms_overlap(used, columns))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" makes a column unique, and random pseudonyms of equal values differ",
							RelationGetRelationName(index)),
					 errhint("Use deterministic => true, or drop the index.")));
		index_close(index, NoLock);
	}
}

/*
 * Refuse foreign keys, unless the other table is changed by ON UPDATE CASCADE
 * to pseudonyms that are equal where the values were.
 */
static void
check_foreign_keys(Bulk *bulk, const BulkTarget *target)
{
	static const char *const sql =
		"SELECT conname FROM pg_catalog.pg_constraint WHERE contype OPERATOR(pg_catalog.=) 'f' AND ("
		"conrelid OPERATOR(pg_catalog.=) $1 AND conkey OPERATOR(pg_catalog.&&) $2 OR "
		"confrelid OPERATOR(pg_catalog.=) $1 AND confkey OPERATOR(pg_catalog.&&) $2 AND "
		"($3 OR confupdtype OPERATOR(pg_catalog.<>) 'c')) LIMIT 1";
	Oid			types[] = {OIDOID, INT2ARRAYOID, BOOLOID};
	Datum	   *attnos = palloc(target->ncolumns * sizeof(Datum));
	Datum		values[3];

	for (int i = 0; i < target->ncolumns; i++)
		attnos[i] = Int16GetDatum(target->columns[i].attno);
	values[0] = ObjectIdGetDatum(RelationGetRelid(target->rel));
	values[1] = PointerGetDatum(construct_array(attnos, target->ncolumns, INT2OID, 2, true,
												TYPALIGN_SHORT));
	values[2] = BoolGetDatum(!bulk->again && !bulk->is_deterministic);
	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for foreign keys");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign key \"%s\" binds a column of relation \"%s\" to another table",
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
						RelationGetRelationName(target->rel)),
				 errhint("Drop it, convert both tables with deterministic => true, and add it again; with ON UPDATE CASCADE, convert the referenced table alone.")));
}

/* Refuse a column that its longest value's pseudonym does not fit into, or any pseudonym at all. */
static void
check_width(Bulk *bulk, const BulkTarget *target, const PseudoColumn *column)
{
	char	   *value = psprintf("%s::pg_catalog.text COLLATE pg_catalog.\"C\"",
								 quote_identifier(column->name));
	char	   *bytes = pseudo_encoding_converts() ?
		psprintf("pg_catalog.convert_to(%s, 'UTF8')", value) : value;
	size_t		overhead = PSEUDO_OVERHEAD +
		(bulk->call.keyring->primary->prefix == PSEUDO_PREFIX_TINK ? PSEUDO_PREFIX_LEN : 0);
	size_t		longest = 0;
	char	   *max;

	if (column->limit < 0)
		return;
	/* What has been converted already is not converted again. */
	if (SPI_execute(psprintf("SELECT pg_catalog.max(pg_catalog.octet_length(%s)) FROM ONLY %s"
							 " WHERE %s OPERATOR(pg_catalog.!~) '^[A-Za-z0-9+/]{38,}={0,2} *$'",
							 bytes, pseudo_bulk_relation_name(RelationGetRelid(target->rel)), value),
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for the longest value");
	max = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (max)
		longest = strtoul(max, NULL, 10);
	if (PSEUDO_BASE64_LEN(overhead + longest) > (size_t) column->limit)
		pseudo_column_report_narrow(column, target->rel, PSEUDO_BASE64_LEN(overhead + longest));
}

/* Refuse a trigger of the table that makes other pseudonyms of a column than the run. */
static void
check_trigger(Bulk *bulk, const BulkTarget *target, const Trigger *trigger)
{
	PseudoTriggerArguments arguments;

	pseudo_trigger_arguments(&arguments, trigger);
	for (int i = 0; i < target->ncolumns; i++)
	{
		const char *name = target->columns[i].name;

		if (!pseudo_trigger_has_column(&arguments, name))
			continue;
		if (strcmp(arguments.context, text_to_cstring(bulk->context)) == 0 &&
			strcmp(arguments.keyring, text_to_cstring(bulk->keyring)) == 0 &&
			(bulk->again || arguments.is_deterministic == bulk->is_deterministic))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\" in another way",
						trigger->tgname, RelationGetRelationName(target->rel), name),
				 errhint("Give the procedure the trigger's arguments \"deterministic\", \"context\" and \"keyring\".")));
	}
}

/* Say which columns no trigger sees to, or not for all writes. */
static void
notice_without_trigger(const BulkTarget *target, Oid function)
{
	StringInfoData names;
	int			n = 0;

	initStringInfo(&names);
	for (int i = 0; i < target->ncolumns; i++)
	{
		const PseudoColumn *column = &target->columns[i];

		if (!pseudo_trigger_sees_all(target->rel, function, column->name, column->attno))
			appendStringInfo(&names, "%s\"%s\"", n++ > 0 ? ", " : "", column->name);
	}
	if (n > 0)
		ereport(NOTICE,
				(errmsg_plural("column %s of relation \"%s\" has no trigger pseudonymize_trigger for all that is written",
							   "columns %s of relation \"%s\" have no trigger pseudonymize_trigger for all that is written",
							   n, names.data, RelationGetRelationName(target->rel)),
				 errdetail("What others write while this runs, and after it, is not pseudonymized."),
				 errhint("Create the trigger first, BEFORE INSERT OR UPDATE, without WHEN and without UPDATE OF.")));
}

/* Compare the triggers of the table with the run, and say which columns have none. */
static void
check_triggers(Bulk *bulk, const BulkTarget *target)
{
	TriggerDesc *desc = target->rel->trigdesc;
	char	   *schema = get_namespace_name(get_func_namespace(bulk->called));
	Oid			function = LookupFuncName(list_make2(makeString(schema),
													 makeString("pseudonymize_trigger")),
										  0, NULL, true);

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		if (desc->triggers[i].tgfoid == function &&
			desc->triggers[i].tgenabled != TRIGGER_DISABLED)
			check_trigger(bulk, target, &desc->triggers[i]);
	}
	if (!bulk->again)
		notice_without_trigger(target, function);
}

/* Refuse to take for values what might be pseudonyms under a raw key that is off. */
static void
check_lookalikes(Bulk *bulk)
{
	PseudoKeyring *keyring = bulk->call.keyring;

	for (int i = 0; bulk->lookalikes && i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key->prefix == PSEUDO_PREFIX_RAW && key->status == PSEUDO_KEY_DISABLED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("key %u is disabled, and its pseudonyms would be taken for values",
							key->id),
					 errhint("Enable it while this runs.")));
	}
}

/* Check one leaf and make it known to the run. */
static void
add_leaf(Bulk *bulk, Oid relid)
{
	BulkTarget	target;
	BulkLeaf   *leaf;
	BlockNumber pages;
	double		allvisfrac;

	pseudo_bulk_open(bulk, relid, &target);
	if (!bulk->dry_run)
	{
		if (!bulk->again && !bulk->is_deterministic)
			check_unique(&target);
		check_foreign_keys(bulk, &target);
		check_triggers(bulk, &target);
		for (int i = 0; !bulk->again && i < target.ncolumns; i++)
			check_width(bulk, &target, &target.columns[i]);
	}
	leaf = MemoryContextAllocZero(bulk->mcxt, sizeof(BulkLeaf));
	leaf->relid = relid;
	ItemPointerSet(&leaf->next, 0, 1);
	table_relation_estimate_size(target.rel, NULL, &pages, &leaf->estimate, &allvisfrac);
	leaf->is_analyzed = target.rel->rd_rel->reltuples > 0;
	table_close(target.rel, NoLock);
	bulk->leaves = lappend(bulk->leaves, leaf);
}

/* See bulk.h. */
void
pseudo_bulk_check(Bulk *bulk)
{
	Relation	root = table_open(bulk->relid, AccessShareLock);
	BulkTarget	target;
	ListCell   *cell;

	check_kind(root);
	find_columns(bulk, root, &target);
	check_lookalikes(bulk);
	foreach(cell, find_all_inheritors(bulk->relid, AccessShareLock, NULL))
	{
		MemoryContext caller;

		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE)
			continue;
		caller = MemoryContextSwitchTo(bulk->mcxt);
		add_leaf(bulk, lfirst_oid(cell));
		MemoryContextSwitchTo(caller);
	}
	table_close(root, NoLock);
}
