/*
 * dump_check.c
 *		What would stop a dump of a table, or the restore of it, said before it begins.
 *
 * Nothing of a table's owner is executed: what constraints and expressions would say of pseudonyms is not tried, only
 * that they look at such a column is told.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "nodes/nodes.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "column.h"
#include "dump_check.h"
#include "dump_guard.h"
#include "dump_planner.h"
#include "stored.h"
#include "subtransaction.h"

/* A table that is checked. */
typedef struct Check
{
	Relation	rel;
	TupleDesc	desc;
	const PseudoDumpColumn *columns;
	const char *schema;			/* of the extension, quoted */
} Check;

/* ---- What is said ---- */

/* Returns true if a text is said for the first time in this transaction. */
static bool
is_new(const char *message)
{
	static MemoryContext mcxt = NULL;
	static TimestampTz transaction = 0;
	static List *said = NIL;
	MemoryContext caller;
	ListCell   *cell;

	if (mcxt == NULL)
		mcxt = AllocSetContextCreate(TopMemoryContext, "pseudo dump", ALLOCSET_SMALL_SIZES);
	if (transaction != GetCurrentTransactionStartTimestamp())
	{
		MemoryContextReset(mcxt);
		said = NIL;
		transaction = GetCurrentTransactionStartTimestamp();
	}
	foreach(cell, said)
	{
		if (strcmp(lfirst(cell), message) == 0)
			return false;
	}
	caller = MemoryContextSwitchTo(mcxt);
	said = lappend(said, pstrdup(message));
	MemoryContextSwitchTo(caller);
	return true;
}

/* Say what would stop the dump. */
static void
say_stops(const PseudoDumpFault *fault)
{
	if (is_new(fault->message))
		ereport(WARNING,
				(errcode(fault->code),
				 errmsg_internal("%s", fault->message),
				 errdetail("This stops a dump."),
				 fault->hint ? errhint("%s", fault->hint) : 0));
}

#define NOT_VALID_HINT	"If it does, give the column another label, or make the constraint NOT VALID: a restore checks those that are valid."

/* Say what may stop the restore. */
static void
say_may_stop(const char *message, const char *hint)
{
	if (is_new(message))
		ereport(WARNING,
				(errmsg_internal("%s", message),
				 errhint("%s", hint)));
}

/* ---- Queries ---- */

/* Run a query, of this table or of none, planned by a role, and keep its one value, palloc'ed in mcxt, or NULL. */
static char *
run_query(const char *query, Oid relid, Oid planner, MemoryContext mcxt)
{
	PseudoDumpAllowed allowed = {.query = query, .relid = relid, .planner = planner};
	PseudoDumpAllowed before = pseudo_dump_guard_allow(allowed);
	char	   *value;
	char	   *result = NULL;

	PG_TRY();
	{
		SPI_connect();
		if (SPI_execute(query, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
			elog(ERROR, "a query of the check of a dump gave no row");
		value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (value)
			result = MemoryContextStrdup(mcxt, value);
		SPI_finish();
	}
	PG_FINALLY();
	{
		(void) pseudo_dump_guard_allow(before);
	}
	PG_END_TRY();
	return result;
}

/* A query, for pseudo_subtransaction(). */
typedef struct AskedQuery
{
	const char *query;
	Oid			relid;
	Oid			planner;
	MemoryContext mcxt;
	char	   *result;			/* in mcxt, or NULL */
} AskedQuery;

/* Run it. */
static void
run_asked(void *arg)
{
	AskedQuery *asked = arg;

	asked->result = run_query(asked->query, asked->relid, asked->planner, asked->mcxt);
}

/* The same in a subtransaction; an error is said to stop the dump, and gives NULL. */
static char *
try_query(const Check *check, const char *query)
{
	AskedQuery	asked = {query, RelationGetRelid(check->rel), pseudo_dump_planner(check->rel), CurrentMemoryContext, NULL};
	ErrorData  *error = pseudo_subtransaction(run_asked, &asked);

	if (error == NULL)
		return asked.result;
	say_stops(pseudo_dump_fault(error->sqlerrcode, error->message, error->hint));
	return NULL;
}

/* ---- Columns ---- */

/* The name of a column, by attno. */
static const char *
name_of_column(const Check *check, AttrNumber attno)
{
	return NameStr(TupleDescAttr(check->desc, attno - 1)->attname);
}

/* Returns true if a column's values change in a dump. */
static bool
changes(const Check *check, AttrNumber attno)
{
	return attno > 0 && (check->columns[attno - 1].as == PSEUDO_DUMP_NULL ||
						 check->columns[attno - 1].as == PSEUDO_DUMP_PSEUDONYM);
}

/* Say so where the role may not make the pseudonyms of a column, or its keyring gives none. */
static void
check_keyring(const Check *check, AttrNumber attno)
{
	const PseudoDumpColumn *column = &check->columns[attno - 1];

	if (is_new(psprintf("keyring %s", column->keyring)))
		(void) try_query(check, psprintf("SELECT %s.pseudo_dump_length('', %u::pg_catalog.regclass, %d)",
										 check->schema, RelationGetRelid(check->rel), attno));
}

/* Say so where the role may not open what a column may hold, and would have to. */
static void
check_opens(const Check *check, AttrNumber attno)
{
	const PseudoDumpColumn *column = &check->columns[attno - 1];
	char	   *may;

	if (column->is_same || !is_new(psprintf("opens %s", column->label_keyring)))
		return;
	may = try_query(check, psprintf("SELECT pg_catalog.has_function_privilege(%s, 'EXECUTE') AND pg_catalog.has_server_privilege(%s, 'USAGE')",
									quote_literal_cstr(psprintf("%s.reidentify(text,text,text)", check->schema)),
									quote_literal_cstr(column->label_keyring)));
	if (may && strcmp(may, "t") != 0)
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("pseudonyms with keyring \"%s\" cannot be opened by the current role", column->label_keyring),
				 errdetail("A dump with another keyring or context opens those that a column holds already, and stops where there are any."),
				 errhint("Grant EXECUTE on the function reidentify, and USAGE on the keyring's server.")));
}

/* Say so where a column has not the room for the pseudonyms of all its values. */
static void
check_room(const Check *check, AttrNumber attno)
{
	Relation	rel = check->rel;
	const PseudoColumn *column = &check->columns[attno - 1].holder;
	char	   *needed;

	if (column->limit < 0)
		return;
	needed = try_query(check, psprintf("SELECT pg_catalog.max(%s.pseudo_dump_length(%s::pg_catalog.text, %u::pg_catalog.regclass, %d)) FROM %s%s",
									   check->schema, quote_identifier(column->name), RelationGetRelid(rel), attno,
									   rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
									   pseudo_relation_name(RelationGetRelid(rel))));
	if (needed == NULL || atoi(needed) <= column->limit)
		return;
	say_stops(pseudo_dump_fault(ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
								psprintf("column \"%s\" of relation %s is too narrow for its pseudonyms: it takes %d characters, and they have up to %s",
										 column->name, pseudo_relation_name(RelationGetRelid(rel)), column->limit, needed),
								psprintf("Use ALTER TABLE %s ALTER COLUMN %s TYPE text.%s",
										 pseudo_relation_name(RelationGetRelid(rel)), quote_identifier(column->name),
										 column->is_padded ? "" : " From varchar(n), this rewrites nothing.")));
}

/* The type that a domain is over, which may be a domain again. */
static Oid
below_domain(Oid domain)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Oid			type;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", domain);
	type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
	ReleaseSysCache(tuple);
	return type;
}

/* Returns true if a type is a domain with CHECK constraints.  They are not read: that would call functions in them. */
static bool
has_domain_checks(Oid type)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	bool		found = false;

	for (; !found && get_typtype(type) == TYPTYPE_DOMAIN; type = below_domain(type))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(type));
		scan = systable_beginscan(rel, ConstraintTypidIndexId, true, NULL, 1, &key);
		while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
			found = ((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK &&
				((Form_pg_constraint) GETSTRUCT(tuple))->convalidated;
		systable_endscan(scan);
	}
	table_close(rel, AccessShareLock);
	return found;
}

/* Check the columns one by one. */
static void
check_columns(const Check *check)
{
	for (AttrNumber attno = 1; attno <= check->desc->natts; attno++)
	{
		Form_pg_attribute att = TupleDescAttr(check->desc, attno - 1);

		if (check->columns[attno - 1].as != PSEUDO_DUMP_PSEUDONYM || check->columns[attno - 1].is_faulty)
			continue;
		check_keyring(check, attno);
		check_opens(check, attno);
		check_room(check, attno);
		if (has_domain_checks(att->atttypid))
			say_may_stop(psprintf("domain %s may refuse the pseudonyms of column \"%s\" of relation %s",
								  format_type_be(att->atttypid), NameStr(att->attname),
								  pseudo_relation_name(RelationGetRelid(check->rel))),
						 NOT_VALID_HINT);
	}
}

/* ---- What looks at columns ---- */

/* The first column that changes among those that an expression has, or 0. */
static AttrNumber
changed_column(const Check *check, Node *expression)
{
	Bitmapset  *used = NULL;
	bool		whole_row;

	pull_varattnos(expression, 1, &used);
	whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (AttrNumber attno = 1; attno <= check->desc->natts; attno++)
	{
		if (changes(check, attno) && (whole_row || bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used)))
			return attno;
	}
	return 0;
}

/* Say which CHECK constraints and generated columns look at a column that changes. */
static void
check_expressions(const Check *check)
{
	TupleConstr *constr = check->desc->constr;
	char	   *relation = pseudo_relation_name(RelationGetRelid(check->rel));
	AttrNumber	attno;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		const ConstrCheck *each = &constr->check[i];
		Node	   *expression = each->ccvalid ? pseudo_check_expression(each, check->rel) : NULL;

		if (expression && (attno = changed_column(check, expression)) != 0)
			say_may_stop(psprintf("constraint \"%s\" of relation %s may refuse what becomes of column \"%s\"",
								  each->ccname, relation, name_of_column(check, attno)),
						 NOT_VALID_HINT);
	}
	for (int i = 0; i < check->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(check->desc, i);

		if (att->attisdropped || att->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		if ((attno = changed_column(check, build_column_default(check->rel, i + 1))) != 0)
			say_may_stop(psprintf("column \"%s\" of relation %s is generated from what becomes of column \"%s\"",
								  NameStr(att->attname), relation, name_of_column(check, attno)),
						 "Its expression has to take a pseudonym, or NULL where that is hidden. If it does not, a restore fails.");
	}
}

/* Say so where an index keeps random pseudonyms, or NULLs, apart. */
static void
check_key(const Check *check, Relation index, AttrNumber attno)
{
	const PseudoDumpColumn *column;

	if (!changes(check, attno))
		return;
	column = &check->columns[attno - 1];
	if (column->as == PSEUDO_DUMP_NULL && !index->rd_index->indnullsnotdistinct)
		return;
	if (column->as == PSEUDO_DUMP_PSEUDONYM && column->is_deterministic)
		return;
	say_stops(pseudo_dump_fault(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
								psprintf(column->as == PSEUDO_DUMP_NULL ?
										 "column \"%s\" of relation %s is to be hidden, and index \"%s\" allows one NULL only" :
										 "column \"%s\" of relation %s is to get random pseudonyms, and index \"%s\" keeps its values unique",
										 name_of_column(check, attno), pseudo_relation_name(RelationGetRelid(check->rel)),
										 RelationGetRelationName(index)),
								pstrdup("Label the column \"deterministic\", or drop the index.")));
}

/* Check an index that keeps something apart. */
static void
check_index(const Check *check, Relation index)
{
	AttrNumber	attno;

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		check_key(check, index, index->rd_index->indkey.values[i]);
	attno = changed_column(check, (Node *) list_make2(pseudo_stored_index_expressions(index),
													  pseudo_stored_index_predicate(index)));
	if (attno != 0)
		say_may_stop(psprintf("index \"%s\" keeps something apart that comes from column \"%s\" of relation %s",
							  RelationGetRelationName(index), name_of_column(check, attno),
							  pseudo_relation_name(RelationGetRelid(check->rel))),
					 "If a restore fails there, leave the index out of it, with pg_restore --use-list.");
}

/* Check what has to be unique. */
static void
check_indexes(const Check *check)
{
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(check->rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index->rd_index->indisunique || index->rd_index->indisexclusion)
			check_index(check, index);
		index_close(index, NoLock);
	}
}

/* ---- Foreign keys ---- */

/* Returns true if equal values of two columns are equal in the dump, too. */
static bool
stay_equal(const PseudoDumpColumn *a, const PseudoDumpColumn *b)
{
	if (a->as != b->as)
		return false;
	return a->as == PSEUDO_DUMP_AS_IT_IS ||
		(a->as == PSEUDO_DUMP_PSEUDONYM && a->is_deterministic && b->is_deterministic &&
		 strcmp(a->context, b->context) == 0 && strcmp(a->keyring, b->keyring) == 0);
}

/*
 * The number of a foreign key's column, from 0, that does not meet the one that it refers to any more, or -1.  Generated
 * columns are left to the restore.  A NULL among them meets anything, but where MATCH FULL wants all or none of them.
 */
static int
parted_column(const Check *check, const ForeignKeyCacheInfo *key, const PseudoDumpColumn *others, char match)
{
	int			nhidden = 0;
	int			hidden = -1;
	int			differs = -1;

	for (int i = 0; i < key->nkeys; i++)
	{
		const PseudoDumpColumn *column = &check->columns[key->conkey[i] - 1];
		const PseudoDumpColumn *other = &others[key->confkey[i] - 1];

		if (column->as == PSEUDO_DUMP_NULL)
		{
			nhidden++;
			hidden = i;
		}
		else if (column->as != PSEUDO_DUMP_NOT && other->as != PSEUDO_DUMP_NOT && !stay_equal(column, other))
			differs = i;
	}
	if (nhidden == 0)
		return differs;
	return match == FKCONSTR_MATCH_FULL && nhidden < key->nkeys ? hidden : -1;
}

/* Say so where the two sides of a foreign key do not meet any more, and the restore would check it. */
static void
check_foreign_key(const Check *check, const ForeignKeyCacheInfo *key)
{
	Relation	other = table_open(key->confrelid, AccessShareLock);
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	Form_pg_constraint form;
	List	   *ignored = NIL;
	int			i = -1;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->convalidated)
		i = parted_column(check, key, pseudo_dump_columns(other, &ignored), form->confmatchtype);
	if (i >= 0)
		say_stops(pseudo_dump_fault(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
									psprintf("foreign key \"%s\" would not hold: column \"%s\" of relation %s and column \"%s\" of relation %s become different things",
											 NameStr(form->conname), name_of_column(check, key->conkey[i]),
											 pseudo_relation_name(RelationGetRelid(check->rel)),
											 NameStr(TupleDescAttr(RelationGetDescr(other), key->confkey[i] - 1)->attname),
											 pseudo_relation_name(key->confrelid)),
									check->columns[key->conkey[i] - 1].as == PSEUDO_DUMP_NULL ?
									pstrdup("It is MATCH FULL: hide all its columns, or none.") :
									pstrdup("Label both \"deterministic\", with the same context and keyring.")));
	ReleaseSysCache(tuple);
	table_close(other, NoLock);
}

/* See dump_check.h. */
void
pseudo_dump_check(Relation rel, const PseudoDumpColumn *columns, List *faults, const char *schema)
{
	Check		check = {.rel = rel, .desc = RelationGetDescr(rel), .columns = columns, .schema = schema};
	ListCell   *cell;

	foreach(cell, faults)
		say_stops(lfirst(cell));
	check_columns(&check);
	check_expressions(&check);
	check_indexes(&check);
	foreach(cell, RelationGetFKeyList(rel))
		check_foreign_key(&check, lfirst(cell));
}
