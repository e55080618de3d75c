/*
 * column.c
 *		A table's column that holds pseudonyms.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#if PG_VERSION_NUM >= 160000	/* VARDATA and its like moved out of postgres.h */
#include "varatt.h"
#endif

#include "column.h"

/* See column.h. */
void
pseudo_column_find(PseudoColumn *column, Relation rel, const char *name)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);
	Form_pg_attribute att;
	Oid			base;
	int32		typmod;

	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(rel))));
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	if (att->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("column \"%s\" of relation \"%s\" is a generated column",
						name, RelationGetRelationName(rel)),
				 errhint("Pseudonymize the columns that it is generated from.")));

	typmod = att->atttypmod;
	base = getBaseTypeAndTypmod(att->atttypid, &typmod);
	if (base != BPCHAROID && !IsBinaryCoercible(base, TEXTOID))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" has type %s, which is no string type",
						name, RelationGetRelationName(rel), format_type_be(att->atttypid)),
				 errhint("A pseudonym is a text: ALTER TABLE ... ALTER COLUMN %s TYPE text.",
						 quote_identifier(name))));

	memset(column, 0, sizeof(PseudoColumn));
	column->name = pstrdup(name);
	column->attno = attno;
	column->type = att->atttypid;
	column->is_padded = base == BPCHAROID;
	column->is_domain = base != att->atttypid;
	column->limit = -1;
	if ((base == BPCHAROID || base == VARCHAROID) && typmod >= (int32) VARHDRSZ)
		column->limit = typmod - VARHDRSZ;
}

/* See column.h. */
void
pseudo_column_check_partition_key(const PseudoColumn *column, Relation rel)
{
	ListCell   *cell;

	if (!rel->rd_rel->relispartition)
		return;
	foreach(cell, get_partition_ancestors(RelationGetRelid(rel)))
	{
		Relation	parent = table_open(lfirst_oid(cell), AccessShareLock);
		AttrNumber	attno = get_attnum(RelationGetRelid(parent), column->name);
		Bitmapset  *set = bms_make_singleton(attno - FirstLowInvalidHeapAttributeNumber);

		if (has_partition_attrs(parent, set, NULL))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("column \"%s\" is in the partition key of relation \"%s\"",
							column->name, RelationGetRelationName(parent)),
					 errdetail("The key decides which partition a row is in, and has to stay as it is."),
					 errhint("Partition by another column, or pseudonymize the value in the INSERT.")));
		table_close(parent, AccessShareLock);
	}
}

/* See column.h. */
text *
pseudo_column_get(const PseudoColumn *column, Datum value)
{
	if (column->is_padded)
		return DatumGetTextPP(DirectFunctionCall1(rtrim1, value));
	return DatumGetTextPP(value);
}

/* See column.h. */
void
pseudo_column_report_narrow(const PseudoColumn *column, Relation rel, size_t needed)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
			 errmsg("column \"%s\" of relation \"%s\" is too narrow for its pseudonyms",
					column->name, RelationGetRelationName(rel)),
			 errdetail("It takes %d characters, and a pseudonym has %zu.",
					   column->limit, needed),
			 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE text; from varchar(n) this rewrites nothing.",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel)),
					 quote_identifier(column->name))));
}

/* A pseudonym with blanks up to char(n)'s length. */
static text *
pad(const PseudoColumn *column, text *pseudonym)
{
	size_t		len = VARSIZE_ANY_EXHDR(pseudonym);
	text	   *padded = palloc(VARHDRSZ + column->limit);

	SET_VARSIZE(padded, VARHDRSZ + column->limit);
	memcpy(VARDATA(padded), VARDATA_ANY(pseudonym), len);
	memset(VARDATA(padded) + len, ' ', column->limit - len);
	return padded;
}

/* See column.h. */
Datum
pseudo_column_put(PseudoColumn *column, Relation rel, text *pseudonym, MemoryContext mcxt)
{
	size_t		len = VARSIZE_ANY_EXHDR(pseudonym);

	if (column->limit >= 0 && len > (size_t) column->limit)
		pseudo_column_report_narrow(column, rel, len);
	if (column->is_padded && column->limit >= 0)
		pseudonym = pad(column, pseudonym);
	if (column->is_domain)
		domain_check(PointerGetDatum(pseudonym), false, column->type, &column->domain, mcxt);
	return PointerGetDatum(pseudonym);
}

/* See column.h. */
bool
pseudo_column_same(Datum a, Datum b)
{
	void	   *pa = DatumGetPointer(a);
	void	   *pb = DatumGetPointer(b);

	/* The same TOAST pointer spares fetching what it points to. */
	if (VARSIZE_ANY(pa) == VARSIZE_ANY(pb) && memcmp(pa, pb, VARSIZE_ANY(pa)) == 0)
		return true;
	return datum_image_eq(a, b, false, -1);
}
