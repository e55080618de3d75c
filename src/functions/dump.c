/*
 * dump.c
 *		Dumps of tables as the labels of their columns say: what pseudo_dump has pg_dump do.
 *
 * With pseudo.dump, COPY of a table TO somewhere is COPY of a query, which has each column as its label says.  It runs
 * with the caller's rights.  dump_guard.c lets nothing else read tables.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "column.h"
#include "dump.h"
#include "dump_check.h"
#include "dump_columns.h"
#include "dump_guard.h"
#include "dump_labels.h"
#include "dump_planner.h"
#include "dump_settings.h"

static ProcessUtility_hook_type next_utility = NULL;

/* ---- The query ---- */

/*
 * The name of the extension's schema, palloc'ed, in this database.  Errors: 55000 where the extension is not in it.
 */
static char *
extension_schema(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *schema = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("pseudo"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = get_namespace_name(((Form_pg_extension) GETSTRUCT(tuple))->extnamespace);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the extension \"pseudo\" is not in this database, and pseudo.dump needs it"),
				 errhint("Use CREATE EXTENSION pseudo, or plain pg_dump where no column has to be protected.")));
	return schema;
}

/* A constant in a statement; none of its parts has a place in the text of the statement. */
static A_Const *
make_constant(void)
{
	A_Const    *constant = makeNode(A_Const);

	constant->location = -1;
	return constant;
}

static Node *
make_integer(int value)
{
	A_Const    *constant = make_constant();

	constant->val.ival.type = T_Integer;
	constant->val.ival.ival = value;
	return (Node *) constant;
}

static Node *
make_string(char *value)
{
	A_Const    *constant = make_constant();

	constant->val.sval.type = T_String;
	constant->val.sval.sval = value;
	return (Node *) constant;
}

static Node *
make_false(void)
{
	A_Const    *constant = make_constant();

	constant->val.boolval.type = T_Boolean;
	constant->val.boolval.boolval = false;
	return (Node *) constant;
}

/* NULL, of the type that a column has below its domains: their constraints are the restore's. */
static Node *
make_null(Form_pg_attribute att)
{
	A_Const    *constant = make_constant();
	TypeCast   *cast = makeNode(TypeCast);
	int32		typmod = att->atttypmod;
	Oid			type = getBaseTypeAndTypmod(att->atttypid, &typmod);

	constant->isnull = true;
	cast->arg = (Node *) constant;
	cast->typeName = makeTypeNameFromOid(type, typmod);
	cast->location = -1;
	return (Node *) cast;
}

/* A cast to a type of pg_catalog. */
static Node *
make_cast(Node *arg, char *type)
{
	TypeCast   *cast = makeNode(TypeCast);

	cast->arg = arg;
	cast->typeName = makeTypeNameFromNameList(list_make2(makeString("pg_catalog"), makeString(type)));
	cast->location = -1;
	return (Node *) cast;
}

/* A column of the only table. */
static Node *
make_column(Form_pg_attribute att)
{
	ColumnRef  *column = makeNode(ColumnRef);

	column->fields = list_make1(makeString(pstrdup(NameStr(att->attname))));
	column->location = -1;
	return (Node *) column;
}

/* What a column is in the dump. */
static Node *
make_value(const PseudoDumpColumn *column, Form_pg_attribute att, char *schema)
{
	if (column->as == PSEUDO_DUMP_NULL)
		return make_null(att);
	if (column->as == PSEUDO_DUMP_AS_IT_IS)
		return make_column(att);
	return (Node *) makeFuncCall(list_make2(makeString(schema), makeString("pseudo_dump_value")),
								 list_make3(make_cast(make_column(att), "text"),
											make_cast(make_string(psprintf("%u", att->attrelid)), "regclass"),
											make_integer(att->attnum)),
								 COERCE_EXPLICIT_CALL, -1);
}

/* The table, alone, or a partitioned one with its partitions. */
static RangeVar *
make_table(Relation rel)
{
	RangeVar   *table = makeRangeVar(get_namespace_name(RelationGetNamespace(rel)),
									 pstrdup(RelationGetRelationName(rel)), -1);

	table->inh = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	return table;
}

/* The query whose rows are those of a table, as the labels say. */
static SelectStmt *
make_query(Relation rel, const PseudoDumpColumn *columns, List *attnos, char *schema)
{
	SelectStmt *query = makeNode(SelectStmt);
	ListCell   *cell;

	foreach(cell, attnos)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), lfirst_int(cell) - 1);
		ResTarget  *target = makeNode(ResTarget);

		target->name = pstrdup(NameStr(att->attname));
		target->val = make_value(&columns[att->attnum - 1], att, schema);
		target->location = -1;
		query->targetList = lappend(query->targetList, target);
	}
	query->fromClause = list_make1(make_table(rel));
	if (pseudo_dump_mode == PSEUDO_DUMP_DRY_RUN)
		query->whereClause = make_false();
	return query;
}

/* ---- COPY ---- */

/* Report what cannot be dumped: one thing as it is, several in one error. */
static void
__attribute__((noreturn))
report_dump_faults(Relation rel, List *faults)
{
	PseudoDumpFault *first = linitial(faults);
	StringInfoData details;
	ListCell   *cell;

	if (list_length(faults) == 1)
		ereport(ERROR,
				(errcode(first->code),
				 errmsg_internal("%s", first->message),
				 errhint("%s", first->hint)));
	initStringInfo(&details);
	foreach(cell, faults)
		appendStringInfo(&details, "%s%s", details.len > 0 ? "\n" : "", ((PseudoDumpFault *) lfirst(cell))->message);
	ereport(ERROR,
			(errcode(first->code),
			 errmsg("relation %s cannot be dumped as its labels say", pseudo_relation_name(RelationGetRelid(rel))),
			 errdetail_internal("%s", details.data),
			 errhint("%s", first->hint)));
}

/* The numbers of the columns that a COPY names, or of all that it has.  Errors: 42703, 42P10. */
static List *
find_attnos(Relation rel, List *names, const PseudoDumpColumn *columns)
{
	List	   *attnos = NIL;
	ListCell   *cell;

	for (int i = 0; names == NIL && i < RelationGetNumberOfAttributes(rel); i++)
	{
		if (columns[i].as != PSEUDO_DUMP_NOT)
			attnos = lappend_int(attnos, i + 1);
	}
	foreach(cell, names)
	{
		AttrNumber	attno = get_attnum(RelationGetRelid(rel), strVal(lfirst(cell)));

		if (attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							strVal(lfirst(cell)), RelationGetRelationName(rel))));
		if (columns[attno - 1].as == PSEUDO_DUMP_NOT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" is a generated column", strVal(lfirst(cell))),
					 errdetail("Generated columns cannot be used in COPY.")));
		attnos = lappend_int(attnos, attno);
	}
	return attnos;
}

/* Have a COPY of a relation write what its labels say. */
static void
rewrite_copy(CopyStmt *copy, Relation rel)
{
	char	   *schema = extension_schema();
	List	   *faults = NIL;
	PseudoDumpColumn *columns = pseudo_dump_columns(rel, &faults);
	List	   *attnos = find_attnos(rel, copy->attlist, columns);

	pseudo_dump_check_labels(rel);
	if (pseudo_dump_mode == PSEUDO_DUMP_DRY_RUN)
		pseudo_dump_check(rel, columns, faults, quote_identifier(schema));
	else if (faults != NIL)
		report_dump_faults(rel, faults);
	copy->query = (Node *) make_query(rel, columns, attnos, schema);
	copy->relation = NULL;
	copy->attlist = NIL;
}

/* Returns true if a relation is one of users that has rows.  Of others COPY says why it cannot, or they are catalogs. */
static bool
is_user_table(Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	return RelationGetRelid(rel) >= FirstNormalObjectId &&
		(kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW ||
		 kind == RELKIND_FOREIGN_TABLE);
}

/* Refuse what the query could not read: it is planned as the table's owner before PostgreSQL checks that.  Errors: 42501. */
static void
check_may_dump(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
}

/* The statement to run in place of a COPY of a relation, and what it is allowed; its locks are held until the transaction ends. */
static PlannedStmt *
rewrite_statement(PlannedStmt *statement, const char *query, PseudoDumpAllowed *allowed)
{
	CopyStmt   *copy = castNode(CopyStmt, statement->utilityStmt);
	Relation	rel = table_open(RangeVarGetRelid(copy->relation, AccessShareLock, false), NoLock);

	if (is_user_table(rel))
	{
		check_may_dump(rel);
		*allowed = (PseudoDumpAllowed)
		{
			.copy = true, .query = query, .relid = RelationGetRelid(rel), .planner = pseudo_dump_planner(rel)
		};
		ereport(NOTICE,
				(errmsg("dumping the contents of %s as its labels say", pseudo_relation_name(RelationGetRelid(rel)))));
		statement = copyObject(statement);
		rewrite_copy(castNode(CopyStmt, statement->utilityStmt), rel);
	}
	table_close(rel, NoLock);
	return statement;
}

/* Returns true if a statement is COPY of a relation TO somewhere. */
static bool
copies_relation(const PlannedStmt *statement)
{
	const CopyStmt *copy = (const CopyStmt *) statement->utilityStmt;

	return IsA(copy, CopyStmt) && !copy->is_from && copy->relation != NULL;
}

/* Hook: a command runs. */
static void
dump_utility(PlannedStmt *statement, const char *query, bool read_only, ProcessUtilityContext context,
			 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	PseudoDumpAllowed allowed = {0};
	PseudoDumpAllowed before;

	if (likely(pseudo_dump_mode == PSEUDO_DUMP_OFF))
	{
		next_utility(statement, query, read_only, context, params, environment, dest, completion);
		return;
	}
	before = pseudo_dump_guard_allow(allowed);
	PG_TRY();
	{
		PlannedStmt *run = copies_relation(statement) ? rewrite_statement(statement, query, &allowed) : statement;

		(void) pseudo_dump_guard_allow(allowed);
		next_utility(run, query, read_only, context, params, environment, dest, completion);
	}
	PG_FINALLY();
	{
		(void) pseudo_dump_guard_allow(before);
	}
	PG_END_TRY();
}

/* See dump.h. */
void
pseudo_dump_init(void)
{
	pseudo_dump_settings_init();
	pseudo_dump_guard_init();
	next_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = dump_utility;
}
