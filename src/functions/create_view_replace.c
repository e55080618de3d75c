/*
 * create_view_replace.c
 *		The view of a name: made, or put in the place of the one that there is.
 *
 * CREATE OR REPLACE VIEW keeps what belongs to a view, and takes only further columns at the end.  Where other columns
 * differ the view is dropped and made again, and what belonged to it is put back: grants, comments, security labels.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/seclabel.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "column.h"
#include "create_view.h"
#include "pinned.h"

/* What belonged to a view that was dropped. */
typedef struct Belongings
{
	Acl		   *acl;			/* or NULL: the default */
	int			ncolumns;
	NameData   *names;			/* of its columns */
	Acl		  **acls;			/* likewise */
	List	   *statements;		/* of char *: COMMENT, SECURITY LABEL */
} Belongings;

/* Run a statement. */
static void
execute(const char *statement)
{
	int			result = SPI_execute(statement, false, 0);

	if (result != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

/* ---- The view that there is ---- */

/* Refuse to replace what the caller does not own.  Membership is not enough: the view works with its owner's rights. */
static void
check_view_owner(Form_pg_class form, const char *qualified)
{
	if (form->relowner == GetUserId())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of view %s", NameStr(form->relname)),
			 errdetail("The view reads its table with the rights of its owner, who stays the same."),
			 errhint("SET ROLE %s first, or drop view %s.",
					 quote_identifier(GetUserNameFromId(form->relowner, false)), qualified)));
}

/* Refuse to replace a view that somebody wrote. */
static void
check_made_here(Form_pg_class form, const char *qualified)
{
	ObjectAddress object;
	char	   *label;

	ObjectAddressSet(object, RelationRelationId, form->oid);
	label = GetSecurityLabel(&object, PSEUDO_LABEL_PROVIDER);
	if (label && strcmp(label, PSEUDO_LABEL_OF_VIEW) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("view \"%s\" exists and was not made by pseudo_create_view()", NameStr(form->relname)),
			 errhint("Choose another name, or allow that it is replaced: SECURITY LABEL FOR pseudo ON VIEW %s IS '%s'.",
					 qualified, PSEUDO_LABEL_OF_VIEW)));
}

/* Check that a relation may be replaced. */
static void
check_existing(Oid relid, const char *qualified)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", NameStr(form->relname)),
				 errhint("Choose another name for the view.")));
	check_view_owner(form, qualified);
	check_made_here(form, qualified);
	ReleaseSysCache(tuple);
}

/* See create_view.h.  The lock lets others read the view until it is replaced. */
void
pseudo_view_find(PseudoViewName *name, text *given, bool is_temporary)
{
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(given));
	Oid			namespaceid;

	if (is_temporary && rv->schemaname == NULL)
		rv->relpersistence = RELPERSISTENCE_TEMP;
	namespaceid = RangeVarGetAndCheckCreationNamespace(rv, ShareUpdateExclusiveLock, &name->existing);
	name->qualified = quote_qualified_identifier(isTempNamespace(namespaceid) ? "pg_temp" : get_namespace_name(namespaceid),
												 rv->relname);
	if (OidIsValid(name->existing))
		check_existing(name->existing, name->qualified);
}

/* ---- What belongs to it ---- */

/* Returns true if CREATE OR REPLACE VIEW takes the new columns, as PostgreSQL decides it. */
static bool
fits(Relation rel, TupleDesc new)
{
	TupleDesc	old = RelationGetDescr(rel);

	if (old->natts > new->natts)
		return false;
	for (int i = 0; i < old->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(old, i);
		Form_pg_attribute b = TupleDescAttr(new, i);

		if (strcmp(NameStr(a->attname), NameStr(b->attname)) != 0 || a->atttypid != b->atttypid ||
			a->atttypmod != b->atttypmod || a->attcollation != b->attcollation)
			return false;
	}
	return true;
}

/* Refuse to drop a view with something that would not come back. */
static void
check_nothing_lost(Relation rel, const char *qualified)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (rel->trigdesc == NULL && (rel->rd_rules == NULL || rel->rd_rules->numLocks <= 1) &&
		(desc->constr == NULL || desc->constr->num_defval == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("view \"%s\" has triggers, rules or defaults, which would be lost", RelationGetRelationName(rel)),
			 errdetail("Its columns change, so the view has to be dropped and made again."),
			 errhint("DROP VIEW %s, make it again, and create them again.", qualified)));
}

/* A copy of an ACL in a tuple of a catalog, or NULL. */
static Acl *
copy_acl(int cache, HeapTuple tuple, AttrNumber attno)
{
	bool		isnull;
	Datum		acl = SysCacheGetAttr(cache, tuple, attno, &isnull);

	return isnull ? NULL : DatumGetAclPCopy(acl);
}

/* The tuple of a relation, or of a column of it where attno is not 0, as a copy. */
static HeapTuple
copy_tuple(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = attno == 0 ? SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid)) :
		SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u", attno, relid);
	return tuple;
}

/* The grants on a relation, or on a column of it where attno is not 0; NULL for those by default. */
static Acl *
get_acl(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = copy_tuple(relid, attno);

	return attno == 0 ? copy_acl(RELOID, tuple, Anum_pg_class_relacl) : copy_acl(ATTNUM, tuple, Anum_pg_attribute_attacl);
}

/*
 * Give a relation, or a column of it, the grants that one of the same name and owner had.  GRANT could not: who granted
 * what is part of them, and default privileges may have added some.
 */
static void
put_acl(Oid relid, AttrNumber attno, Acl *acl)
{
	Relation	catalog = table_open(attno == 0 ? RelationRelationId : AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = copy_tuple(relid, attno);
	int			column = attno == 0 ? Anum_pg_class_relacl : Anum_pg_attribute_attacl;
	Datum		value = PointerGetDatum(acl);
	bool		isnull = acl == NULL;
	Acl		   *old = get_acl(relid, attno);
	Oid		   *members = NULL;
	Oid		   *old_members = NULL;
	int			n = acl ? aclmembers(acl, &members) : 0;
	int			old_n = old ? aclmembers(old, &old_members) : 0;

	tuple = heap_modify_tuple_by_cols(tuple, RelationGetDescr(catalog), 1, &column, &value, &isnull);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	updateAclDependencies(RelationRelationId, relid, attno, GetUserId(), old_n, old_members, n, members);
	table_close(catalog, RowExclusiveLock);
}

/* The statements that set comments and security labels again, but for ours, of a view and those of its columns that stay. */
static List *
find_statements(Oid relid, const char *qualified, TupleDesc new)
{
	static const char *const sql =
		"WITH o AS (SELECT 0 AS subid, 'VIEW ' OPERATOR(pg_catalog.||) $2 AS object"
		" UNION ALL SELECT attnum, 'COLUMN ' OPERATOR(pg_catalog.||) $2 OPERATOR(pg_catalog.||) '.'"
		" OPERATOR(pg_catalog.||) pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute"
		" WHERE attrelid OPERATOR(pg_catalog.=) $1 AND attnum OPERATOR(pg_catalog.>) 0"
		" AND attname OPERATOR(pg_catalog.=) ANY ($3))"
		" SELECT pg_catalog.format('COMMENT ON %s IS %L', object, description)"
		" FROM o JOIN pg_catalog.pg_description d ON d.objsubid OPERATOR(pg_catalog.=) subid"
		" WHERE objoid OPERATOR(pg_catalog.=) $1 AND classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
		" UNION ALL SELECT pg_catalog.format('SECURITY LABEL FOR %I ON %s IS %L', provider, object, label)"
		" FROM o JOIN pg_catalog.pg_seclabel l ON l.objsubid OPERATOR(pg_catalog.=) subid"
		" WHERE objoid OPERATOR(pg_catalog.=) $1 AND classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
		" AND provider OPERATOR(pg_catalog.<>) '" PSEUDO_LABEL_PROVIDER "'";
	Oid			types[] = {OIDOID, TEXTOID, NAMEARRAYOID};
	Datum	   *names = palloc(new->natts * sizeof(Datum));
	Datum		values[3];
	List	   *statements = NIL;

	for (int i = 0; i < new->natts; i++)
		names[i] = NameGetDatum(&TupleDescAttr(new, i)->attname);
	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(qualified);
	values[2] = PointerGetDatum(construct_array(names, new->natts, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for what belongs to a view");
	for (uint64 i = 0; i < SPI_processed; i++)
		statements = lappend(statements, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	return statements;
}

/* Take down what belongs to a view that is to be dropped. */
static Belongings *
take_belongings(Relation rel, const char *qualified, TupleDesc new)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			relid = RelationGetRelid(rel);
	Belongings *its = palloc0(sizeof(Belongings));

	check_nothing_lost(rel, qualified);
	its->acl = get_acl(relid, 0);
	its->ncolumns = desc->natts;
	its->names = palloc(desc->natts * sizeof(NameData));
	its->acls = palloc(desc->natts * sizeof(Acl *));
	for (int i = 0; i < desc->natts; i++)
	{
		its->names[i] = TupleDescAttr(desc, i)->attname;
		its->acls[i] = get_acl(relid, i + 1);
	}
	its->statements = find_statements(relid, qualified, new);
	return its;
}

/* Give it to the view that was made in its place. */
static void
put_belongings(const Belongings *its, Oid relid)
{
	ListCell   *cell;

	put_acl(relid, 0, its->acl);
	for (int i = 0; i < its->ncolumns; i++)
	{
		AttrNumber	attno = get_attnum(relid, NameStr(its->names[i]));

		if (its->acls[i] && attno > 0)
			put_acl(relid, attno, its->acls[i]);
	}
	foreach(cell, its->statements)
		execute(lfirst(cell));
}

/*
 * Check that a view which was made reads a table, and calls our functions: names may have become those of others since, that of the
 * view, too.
 */
static void
check_reads(Oid relid, Oid table)
{
	Relation	view = relation_open(relid, AccessShareLock);
	Query	   *query = view->rd_rel->relkind == RELKIND_VIEW ? get_view_query(view) : NULL;
	ListCell   *cell;

	foreach(cell, query ? query->rtable : NIL)
	{
		const RangeTblEntry *entry = lfirst(cell);

		if (entry->rtekind == RTE_RELATION && entry->relid == table)
		{
			pseudo_pinned_check_calls(query);
			relation_close(view, NoLock);
			return;
		}
	}
	pseudo_report_moved(table);
}

/* See create_view.h. */
char *
pseudo_view_put(const PseudoViewName *name, const char *as, TupleDesc desc, Oid table)
{
	char	   *statement = psprintf("CREATE VIEW %s%s", name->qualified, as);
	Belongings *its = NULL;
	StringInfoData done;
	Oid			made;

	initStringInfo(&done);
	if (OidIsValid(name->existing))
	{
		Relation	rel = relation_open(name->existing, AccessExclusiveLock);

		if (fits(rel, desc))
			statement = psprintf("CREATE OR REPLACE VIEW %s%s", name->qualified, as);
		else
			its = take_belongings(rel, name->qualified, desc);
		relation_close(rel, NoLock);
	}
	if (its)
	{
		appendStringInfo(&done, "DROP VIEW %s", name->qualified);
		execute(done.data);
		appendStringInfoString(&done, ";\n");
	}
	execute(statement);
	made = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name->qualified))), NoLock, false);
	check_reads(made, table);
	if (its)
		put_belongings(its, made);
	execute(psprintf("SECURITY LABEL FOR %s ON VIEW %s IS %s", PSEUDO_LABEL_PROVIDER, name->qualified,
					 quote_literal_cstr(PSEUDO_LABEL_OF_VIEW)));
	appendStringInfoString(&done, statement);
	return done.data;
}
