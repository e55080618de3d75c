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
#include "citus.h"
#include "trigger.h"

/* Where the rows of a relation are that is no table, for a hint. */
static const char *
place_of_rows(char kind)
{
	switch (kind)
	{
		case RELKIND_VIEW:
			return "Name the table that the view reads.";
		case RELKIND_MATVIEW:
			return "Convert the tables that it reads, and REFRESH it.";
		case RELKIND_FOREIGN_TABLE:
			return "Convert it on the server where it is.";
		default:
			return "Name a table.";
	}
}

/* Refuse a table whose rows Citus keeps elsewhere: what is left in it here are dead copies. */
static void
check_shards(Bulk *bulk, Relation rel)
{
	bool		differs = bulk->operation == BULK_PSEUDONYMIZE && !bulk->is_deterministic;
	PseudoCitus citus;

	pseudo_citus_find(&citus, rel);
	if (citus.kind == PSEUDO_CITUS_REFERENCE && differs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a reference table of Citus, and the random pseudonyms of its copies would differ",
						RelationGetRelationName(rel)),
				 errhint("Use deterministic => true.")));
	bulk->is_copy |= citus.kind == PSEUDO_CITUS_REFERENCE;
	if (citus.kind != PSEUDO_CITUS_NONE && !citus.is_shard)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a %s of Citus, and its rows are in its shards",
						RelationGetRelationName(rel), pseudo_citus_kind_name(citus.kind)),
				 errhint("CALL this for each placement of its shards, on the node where that is; citus_shards lists them.")));
}

/* Refuse what is no table, or one whose rows are elsewhere. */
static void
check_kind(Bulk *bulk, Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errhint("%s", place_of_rows(kind))));
	if (IsCatalogRelation(rel) || RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a system catalog, or a temporary table of another session",
						RelationGetRelationName(rel))));
	check_shards(bulk, rel);
	if (kind == RELKIND_RELATION && rel->rd_tableam->scan_set_tidrange == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the table access method of \"%s\" has no TID range scans",
						RelationGetRelationName(rel)),
				 errhint("Copy the table with CREATE TABLE ... AS SELECT pseudonymize(...), and drop this one.")));
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
				 errhint("Grant it with GRANT SELECT, UPDATE ON %s TO %s.", pseudo_relation_name(relid),
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
	memset(target, 0, sizeof(BulkTarget));
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

/* The lock that a run takes on a table, from the start: a weaker one first could deadlock with others who alter it. */
static LOCKMODE
table_lock(const Bulk *bulk)
{
	return bulk->dry_run ? AccessShareLock : RowExclusiveLock;
}

/* Open and lock a table, which may be gone. */
static Relation
open_and_lock(const Bulk *bulk, Oid relid)
{
	Relation	rel = try_relation_open(relid, table_lock(bulk));

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table was dropped while it was being converted")));
	return rel;
}

/* See bulk.h. */
void
pseudo_bulk_open(Bulk *bulk, Oid relid, BulkTarget *target)
{
	Relation	rel = open_and_lock(bulk, relid);
	Bitmapset  *keys;

	check_kind(bulk, rel);
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
	for (int i = 0; i < target->ncolumns; i++)
	{
		char	   *index = pseudo_column_unique_index(&target->columns[i], target->rel);

		if (index)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" makes a column unique, and random pseudonyms of equal values differ", index),
					 errhint("Use deterministic => true, or drop the index.")));
	}
}

/*
 * The name of a constraint that a query finds, or NULL; its $1 is the table, $2 are the columns,
 * and $3 is differs.
 */
static char *
find_constraint(const BulkTarget *target, const char *sql, bool differs)
{
	Oid			types[] = {OIDOID, INT2ARRAYOID, BOOLOID};
	Datum	   *attnos = palloc(target->ncolumns * sizeof(Datum));
	Datum		values[3];

	for (int i = 0; i < target->ncolumns; i++)
		attnos[i] = Int16GetDatum(target->columns[i].attno);
	values[0] = ObjectIdGetDatum(RelationGetRelid(target->rel));
	values[1] = PointerGetDatum(construct_array(attnos, target->ncolumns, INT2OID, 2, true,
												TYPALIGN_SHORT));
	values[2] = BoolGetDatum(differs);
	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for constraints");
	return SPI_processed > 0 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
}

/*
 * Refuse foreign keys, unless the other table is changed by ON UPDATE CASCADE
 * to pseudonyms that are equal where the values were.
 */
static void
check_foreign_keys(Bulk *bulk, const BulkTarget *target)
{
	static const char *const sql =
		"SELECT COALESCE((SELECT p.conname FROM pg_catalog.pg_constraint p"
		" WHERE p.oid OPERATOR(pg_catalog.=) c.conparentid), conname)"
		" FROM pg_catalog.pg_constraint c WHERE contype OPERATOR(pg_catalog.=) 'f' AND ("
		"conrelid OPERATOR(pg_catalog.=) $1 AND conkey OPERATOR(pg_catalog.&&) $2 OR "
		"confrelid OPERATOR(pg_catalog.=) $1 AND confkey OPERATOR(pg_catalog.&&) $2 AND "
		"($3 OR confupdtype OPERATOR(pg_catalog.<>) 'c')) LIMIT 1";
	bool		differs = bulk->operation == BULK_PSEUDONYMIZE && !bulk->is_deterministic;
	char	   *name = find_constraint(target, sql, differs);

	if (name)
		ereport(bulk->dry_run ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign key \"%s\" binds a column of relation \"%s\" to another table",
						name, RelationGetRelationName(target->rel)),
				 errhint("%s", bulk->operation == BULK_REPSEUDONYMIZE ?
						 "Add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows." :
						 bulk->is_deterministic ?
						 "Add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows. Or drop it, convert both, and add it again." :
						 "With deterministic => true, add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows.")));
}

/* Refuse what compares values by anything but equality: while the table is half converted, equal values differ. */
static void
check_operators(Bulk *bulk, const BulkTarget *target)
{
	static const char *const sql =
		"SELECT conname FROM pg_catalog.pg_constraint c WHERE contype OPERATOR(pg_catalog.=) 'x' AND"
		" conrelid OPERATOR(pg_catalog.=) $1 AND $3 AND EXISTS (SELECT FROM"
		" ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.conexclop)) AS u (k, o)"
		" JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) u.o"
		" WHERE u.k OPERATOR(pg_catalog.=) ANY ($2) AND NOT p.oprcanhash AND NOT p.oprcanmerge) LIMIT 1";
	char	   *name = find_constraint(target, sql, true);

	if (name)
		ereport(bulk->dry_run ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("exclusion constraint \"%s\" of relation \"%s\" compares a column by another operator than equality",
						name, RelationGetRelationName(target->rel)),
				 errhint("Drop it, convert the table, and add it again.")));
}

/* The longest pseudonym that pseudonymize_table() gives a column, in bytes: at least that of the empty string. */
static size_t
longest_pseudonym(Bulk *bulk, const BulkTarget *target, const PseudoColumn *column)
{
	char	   *value = psprintf("%s::pg_catalog.text COLLATE pg_catalog.\"C\"",
								 quote_identifier(column->name));
	char	   *bytes = pseudo_encoding_converts() ?
		psprintf("pg_catalog.convert_to(%s, 'UTF8')", value) : value;
	char	   *max;

	/* What has been converted already is not converted again. */
	if (SPI_execute(psprintf("SELECT pg_catalog.max(pg_catalog.octet_length(%s)) FROM ONLY %s"
							 " WHERE %s OPERATOR(pg_catalog.!~) '^[A-Za-z0-9+/]{38,}={0,2} *$'",
							 bytes, pseudo_relation_name(RelationGetRelid(target->rel)), value),
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for the longest value");
	max = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	pseudo_bulk_prepare_call(bulk);
	return pseudo_sealed_len(bulk->call.keyring->primary, max ? strtoul(max, NULL, 10) : 0);
}

/* Report several columns that are too narrow. */
static void
__attribute__((noreturn))
report_narrow(const BulkTarget *target, List *narrow, List *needed)
{
	StringInfoData details;
	StringInfoData hints;
	ListCell   *cell;
	ListCell   *len;

	initStringInfo(&details);
	initStringInfo(&hints);
	forboth(cell, narrow, len, needed)
	{
		PseudoColumn *column = lfirst(cell);

		appendStringInfo(&details, "%s\"%s\" takes %d characters, and a pseudonym has %d.",
						 details.len > 0 ? "\n" : "", column->name, column->limit, lfirst_int(len));
		appendStringInfo(&hints, "%s ALTER COLUMN %s TYPE text", hints.len > 0 ? "," : "",
						 quote_identifier(column->name));
	}
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
			 errmsg("%d columns of relation \"%s\" are too narrow for their pseudonyms",
					list_length(narrow), RelationGetRelationName(target->rel)),
			 errdetail_internal("%s", details.data),
			 errhint("Use ALTER TABLE %s%s. From varchar(n), this rewrites nothing.",
					 pseudo_relation_name(RelationGetRelid(target->rel)), hints.data)));
}

/* Refuse columns that their longest value's pseudonym does not fit into, or any pseudonym at all. */
static void
check_width(Bulk *bulk, const BulkTarget *target)
{
	List	   *narrow = NIL;
	List	   *needed = NIL;

	for (int i = 0; i < target->ncolumns; i++)
	{
		PseudoColumn *column = &target->columns[i];
		size_t		len;

		if (column->limit < 0 ||
			(len = longest_pseudonym(bulk, target, column)) <= (size_t) column->limit)
			continue;
		narrow = lappend(narrow, column);
		needed = lappend_int(needed, (int) len);
	}
	if (list_length(narrow) == 1)
		pseudo_column_report_narrow(linitial(narrow), target->rel, linitial_int(needed));
	if (narrow != NIL)
		report_narrow(target, narrow, needed);
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
		const PseudoLabel *label = pseudo_trigger_label(&arguments, name);

		if (label == NULL)
			continue;
		if (strcmp(label->context, text_to_cstring(bulk->context)) == 0 &&
			strcmp(label->keyring, text_to_cstring(bulk->keyring)) == 0 &&
			(bulk->operation == BULK_REPSEUDONYMIZE ||
			 (label->mode == PSEUDO_MODE_DETERMINISTIC) == bulk->is_deterministic))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\" in another way",
						trigger->tgname, RelationGetRelationName(target->rel), name),
				 errhint("Give the procedure the trigger's arguments \"deterministic\", \"context\" and \"keyring\".")));
	}
}

/* Say which columns no trigger covers, or not for all writes. */
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
	if (bulk->operation == BULK_PSEUDONYMIZE)
		notice_without_trigger(target, function);
}

/* Refuse to take for values what might be pseudonyms under a raw key that is off. */
static void
check_lookalikes(Bulk *bulk)
{
	PseudoKeyring *keyring;

	pseudo_bulk_prepare_call(bulk);
	keyring = bulk->call.keyring;
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
		if (bulk->operation == BULK_PSEUDONYMIZE && !bulk->is_deterministic)
			check_unique(&target);
		check_triggers(bulk, &target);
		if (bulk->operation == BULK_PSEUDONYMIZE)
			check_width(bulk, &target);
	}
	check_foreign_keys(bulk, &target);
	check_operators(bulk, &target);
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
	Relation	root = open_and_lock(bulk, bulk->relid);
	BulkTarget	target;
	ListCell   *cell;

	check_kind(bulk, root);
	find_columns(bulk, root, &target);
	for (int i = 0; bulk->operation == BULK_PSEUDONYMIZE && bulk->is_deterministic && i < target.ncolumns; i++)
		pseudo_column_warn_equality(&target.columns[i], root);
	check_lookalikes(bulk);
	foreach(cell, find_all_inheritors(bulk->relid, table_lock(bulk), NULL))
	{
		MemoryContext caller;

		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE)
			continue;
		caller = MemoryContextSwitchTo(bulk->mcxt);
		add_leaf(bulk, lfirst_oid(cell));
		MemoryContextSwitchTo(caller);
	}
	relation_close(root, NoLock);
}
