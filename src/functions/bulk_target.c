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
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/rls.h"

#include "bulk.h"
#include "citus.h"
#include "pinned.h"

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

/* ---- How columns are converted ---- */

/* Returns true if a column gets pseudonyms that are random. */
static bool
gets_random(const Bulk *bulk, const BulkColumn *column)
{
	return bulk->operation == BULK_PSEUDONYMIZE && !column->is_deterministic;
}

/* Returns true if a column of the run gets them. */
static bool
has_random(const Bulk *bulk)
{
	ListCell   *cell;

	foreach(cell, bulk->columns)
	{
		if (gets_random(bulk, lfirst(cell)))
			return true;
	}
	return false;
}

/* How a column gets pseudonyms that are deterministic, for a hint. */
static const char *
deterministic_way(const Bulk *bulk)
{
	return bulk->is_labelled ? "Label the column deterministic" : "Use deterministic => true";
}

/* ---- What kind of table it is ---- */

/* Refuse random pseudonyms in what has copies. */
static void
check_copies(const Bulk *bulk, Relation rel, const PseudoCitus *citus)
{
	if (citus->kind == PSEUDO_CITUS_REFERENCE && has_random(bulk))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a reference table of Citus, and the random pseudonyms of its copies would differ",
						RelationGetRelationName(rel)),
				 errhint("%s.", deterministic_way(bulk))));
}

/* Refuse a table whose rows Citus keeps elsewhere: what is left in it here are dead copies. */
static void
check_shards(Bulk *bulk, Relation rel)
{
	PseudoCitus citus;

	pseudo_citus_find(&citus, rel);
	check_copies(bulk, rel, &citus);
	bulk->is_copy |= citus.kind == PSEUDO_CITUS_REFERENCE;
	if (citus.kind != PSEUDO_CITUS_NONE && !citus.is_shard)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a %s of Citus, and its rows are in its shards",
						RelationGetRelationName(rel), pseudo_citus_kind_name(citus.kind)),
				 errhint("Call it on a node that knows the others; or for each shard, on the node where that is. citus_shards lists them.")));
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

/* Find the columns that are read: of those that are written already where a column is its own source. */
static void
find_sources(BulkTarget *target)
{
	memcpy(target->sources, target->columns, target->ncolumns * sizeof(PseudoColumn));
	for (int i = 0; i < target->ncolumns; i++)
	{
		if (target->settings[i]->source)
			pseudo_columns_find_sources(&target->sources[i], target->rel,
										list_make1(makeString(target->settings[i]->source)));
	}
}

/* The columns of a table; also checks them. */
static void
find_columns(const Bulk *bulk, Relation rel, BulkTarget *target)
{
	memset(target, 0, sizeof(BulkTarget));
	target->rel = rel;
	target->ncolumns = list_length(bulk->columns);
	target->settings = palloc(target->ncolumns * sizeof(BulkColumn *));
	for (int i = 0; i < target->ncolumns; i++)
		target->settings[i] = list_nth(bulk->columns, i);
	target->columns = palloc(target->ncolumns * sizeof(PseudoColumn));
	target->sources = palloc(target->ncolumns * sizeof(PseudoColumn));
	pseudo_columns_find(target->columns, rel, pseudo_bulk_names(bulk));
	find_sources(target);
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

/* ---- Constraints ---- */

/* Refuse random pseudonyms in what has to be unique. */
static void
check_unique(const Bulk *bulk, const BulkTarget *target)
{
	for (int i = 0; i < target->ncolumns; i++)
	{
		char	   *index = gets_random(bulk, target->settings[i]) ?
			pseudo_column_unique_index(&target->columns[i], target->rel) : NULL;

		if (index)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" makes a column unique, and random pseudonyms of equal values differ", index),
					 errhint("%s, or drop the index.", deterministic_way(bulk))));
	}
}

/*
 * The name of a constraint that a query finds, or NULL; its $1 is the table, $2 are the columns that get random
 * pseudonyms, or the others, and $3 is random.
 */
static char *
find_constraint(const Bulk *bulk, const BulkTarget *target, const char *sql, bool random)
{
	Oid			types[] = {OIDOID, INT2ARRAYOID, BOOLOID};
	Datum	   *attnos = palloc(target->ncolumns * sizeof(Datum));
	Datum		values[3];
	int			n = 0;

	for (int i = 0; i < target->ncolumns; i++)
	{
		if (gets_random(bulk, target->settings[i]) == random)
			attnos[n++] = Int16GetDatum(target->columns[i].attno);
	}
	if (n == 0)
		return NULL;
	values[0] = ObjectIdGetDatum(RelationGetRelid(target->rel));
	values[1] = PointerGetDatum(construct_array(attnos, n, INT2OID, 2, true, TYPALIGN_SHORT));
	values[2] = BoolGetDatum(random);
	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for constraints");
	return SPI_processed > 0 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
}

/* What to do about a foreign key. */
static int
hint_foreign_key(const Bulk *bulk, bool random)
{
	if (bulk->operation == BULK_REPSEUDONYMIZE)
		return errhint("Add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows.");
	if (!random)
		return errhint("Add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows. Or drop it, convert both, and add it again.");
	if (bulk->is_labelled)
		return errhint("Label the column deterministic, add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows.");
	return errhint("With deterministic => true, add it anew with ON UPDATE CASCADE, and convert the referenced table: the other one follows.");
}

/*
 * Refuse foreign keys of the columns that get random pseudonyms, or of the others, unless the other table is changed by
 * ON UPDATE CASCADE to pseudonyms that are equal where the values were.
 */
static void
check_foreign_keys(const Bulk *bulk, const BulkTarget *target, bool random)
{
	static const char *const sql =
		"SELECT COALESCE((SELECT p.conname FROM pg_catalog.pg_constraint p"
		" WHERE p.oid OPERATOR(pg_catalog.=) c.conparentid), conname)"
		" FROM pg_catalog.pg_constraint c WHERE contype OPERATOR(pg_catalog.=) 'f' AND ("
		"conrelid OPERATOR(pg_catalog.=) $1 AND conkey OPERATOR(pg_catalog.&&) $2 OR "
		"confrelid OPERATOR(pg_catalog.=) $1 AND confkey OPERATOR(pg_catalog.&&) $2 AND "
		"($3 OR confupdtype OPERATOR(pg_catalog.<>) 'c')) LIMIT 1";
	char	   *name = find_constraint(bulk, target, sql, random);

	if (name)
		ereport(bulk->dry_run ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign key \"%s\" binds a column of relation \"%s\" to another table",
						name, RelationGetRelationName(target->rel)),
				 hint_foreign_key(bulk, random)));
}

/* Refuse what compares values by anything but equality: while the table is half converted, equal values differ. */
static void
check_operators(const Bulk *bulk, const BulkTarget *target, bool random)
{
	static const char *const sql =
		"SELECT conname FROM pg_catalog.pg_constraint c WHERE contype OPERATOR(pg_catalog.=) 'x' AND"
		" conrelid OPERATOR(pg_catalog.=) $1 AND $3 IS NOT NULL AND EXISTS (SELECT FROM"
		" ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.conexclop)) AS u (k, o)"
		" JOIN pg_catalog.pg_operator p ON p.oid OPERATOR(pg_catalog.=) u.o"
		" WHERE u.k OPERATOR(pg_catalog.=) ANY ($2) AND NOT p.oprcanhash AND NOT p.oprcanmerge) LIMIT 1";
	char	   *name = find_constraint(bulk, target, sql, random);

	if (name)
		ereport(bulk->dry_run ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("exclusion constraint \"%s\" of relation \"%s\" compares a column by another operator than equality",
						name, RelationGetRelationName(target->rel)),
				 errhint("Drop it, convert the table, and add it again.")));
}

/* ---- Width ---- */

/* The longest pseudonym that pseudonymize_table() gives a column, in bytes: at least that of the empty string. */
static size_t
longest_pseudonym(Bulk *bulk, const BulkTarget *target, int no)
{
	BulkColumn *column = target->settings[no];
	char	   *value = psprintf("%s::pg_catalog.text COLLATE pg_catalog.\"C\"",
								 quote_identifier(target->sources[no].name));
	char	   *bytes = pseudo_encoding_converts() ?
		psprintf("pg_catalog.convert_to(%s, 'UTF8')", value) : value;
	char	   *query;
	char	   *max;

	/* What has been converted already is not converted again. */
	query = psprintf("SELECT pg_catalog.max(pg_catalog.octet_length(%s)) FROM ONLY %s"
					 " WHERE %s OPERATOR(pg_catalog.!~) '^[A-Za-z0-9+/]{38,}={0,2} *$' OR %s",
					 bytes, pseudo_relation_name(RelationGetRelid(target->rel)), value, column->source ? "true" : "false");
	if (pseudo_pinned_execute(query, RelationGetRelid(target->rel), SPI_prepare(query, 0, NULL), NULL, InvalidSnapshot,
							  true) != SPI_OK_SELECT)
		elog(ERROR, "could not look for the longest value");
	max = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	pseudo_bulk_prepare_call(bulk, column->call);
	return pseudo_sealed_len(column->call->call.keyring->primary, max ? strtoul(max, NULL, 10) : 0);
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
			(len = longest_pseudonym(bulk, target, i)) <= (size_t) column->limit)
			continue;
		narrow = lappend(narrow, column);
		needed = lappend_int(needed, (int) len);
	}
	if (list_length(narrow) == 1)
		pseudo_column_report_narrow(linitial(narrow), target->rel, linitial_int(needed));
	if (narrow != NIL)
		report_narrow(target, narrow, needed);
}

/* ---- All of it ---- */

/* Refuse to take for values of a column what might be pseudonyms under a raw key that is off. */
static void
check_lookalikes(Bulk *bulk, BulkColumn *column)
{
	PseudoKeyring *keyring;

	if (!column->lookalikes || column->source)
		return;
	pseudo_bulk_prepare_call(bulk, column->call);
	keyring = column->call->call.keyring;
	for (int i = 0; i < keyring->nkeys; i++)
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

/* Warn of equality that is wider than bytes: of values, and of what compares their pseudonyms. */
static void
warn_equality(const Bulk *bulk, const BulkTarget *target)
{
	for (int i = 0; bulk->operation == BULK_PSEUDONYMIZE && i < target->ncolumns; i++)
	{
		if (target->settings[i]->is_deterministic)
			pseudo_column_warn_equality(&target->sources[i], target->rel);
	}
}

/* Refuse a table that inherits from the one whose labels count, and has others. */
static void
check_labels(const Bulk *bulk, const BulkTarget *target)
{
	const PseudoLabel *labels = bulk->is_labelled ? pseudo_labels(target->rel) : NULL;

	for (int i = 0; labels && i < target->ncolumns; i++)
	{
		const BulkColumn *column = target->settings[i];
		const PseudoLabel *label = &labels[target->sources[i].attno - 1];

		if (label->mode != PSEUDO_MODE_NONE && !pseudo_bulk_agrees(bulk, column, target->sources[i].name, label))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of relation \"%s\" has another label than that of %s",
							target->sources[i].name, RelationGetRelationName(target->rel), bulk->name),
					 errdetail("The table inherits from that one, and is converted with it."),
					 errhint("Give both the same label, or remove this one.")));
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
		check_labels(bulk, &target);
		check_unique(bulk, &target);
		pseudo_bulk_check_triggers(bulk, &target);
		if (bulk->operation == BULK_PSEUDONYMIZE)
			check_width(bulk, &target);
	}
	for (int random = 0; random < 2; random++)
	{
		check_foreign_keys(bulk, &target, random);
		check_operators(bulk, &target, random);
	}
	leaf = MemoryContextAllocZero(bulk->mcxt, sizeof(BulkLeaf));
	leaf->relid = relid;
	ItemPointerSet(&leaf->next, 0, 1);
	table_relation_estimate_size(target.rel, NULL, &pages, &leaf->estimate, &allvisfrac);
	leaf->is_analyzed = target.rel->rd_rel->reltuples > 0;
	table_close(target.rel, NoLock);
	bulk->leaves = lappend(bulk->leaves, leaf);
}

/*
 * Refuse keyrings that the table's owner may not use: the labels are the owner's, and the caller, who may use them, would make
 * pseudonyms of whatever the owner has put there.
 */
static void
check_owner_rights(const Bulk *bulk, Relation root)
{
	ListCell   *cell;

	foreach(cell, bulk->calls)
	{
		BulkCall   *call = lfirst(cell);
		PseudoCall *owners = MemoryContextAllocZero(bulk->mcxt, sizeof(PseudoCall));

		pseudo_call_prepare_role(owners, root->rd_rel->relowner, bulk->called, PSEUDO_RIGHT_PSEUDONYMIZE,
								 call->context, call->keyring, bulk->mcxt);
	}
}

/* Find out what becomes of which columns of a table, and refuse or warn of what does not depend on its rows. */
static void
settle_columns(Bulk *bulk, Relation root, BulkTarget *target)
{
	ListCell   *cell;

	if (bulk->is_labelled)
	{
		pseudo_bulk_add_labelled(bulk, root);
		check_owner_rights(bulk, root);
		pseudo_bulk_prepare_calls(bulk);
	}
	find_columns(bulk, root, target);
	warn_equality(bulk, target);
	foreach(cell, bulk->columns)
		check_lookalikes(bulk, lfirst(cell));
}

/* See bulk.h. */
void
pseudo_bulk_check_distributed(Bulk *bulk)
{
	Relation	root = open_and_lock(bulk, bulk->relid);
	BulkTarget	target;
	PseudoCitus citus;

	check_rights(root);
	settle_columns(bulk, root, &target);
	pseudo_citus_find(&citus, root);
	check_copies(bulk, root, &citus);
	if (!bulk->dry_run)
		pseudo_bulk_check_triggers(bulk, &target);
	relation_close(root, NoLock);
}

/* See bulk.h. */
void
pseudo_bulk_check(Bulk *bulk)
{
	Relation	root = open_and_lock(bulk, bulk->relid);
	BulkTarget	target;
	ListCell   *cell;

	check_kind(bulk, root);
	settle_columns(bulk, root, &target);
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
