/*
 * column.c
 *		A table's column that holds pseudonyms.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/primnodes.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

#include "../compat.h"
#include "citus.h"
#include "column.h"
#include "stored.h"

/* ---- What a column must be ---- */

/* Why a column cannot hold pseudonyms. */
typedef struct Fault
{
	int			code;			/* SQLSTATE */
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;
} Fault;

/* Make a fault. */
static Fault *
make_fault(int code, char *message, char *detail, char *hint)
{
	Fault	   *fault = palloc(sizeof(Fault));

	*fault = (Fault)
	{
		.code = code, .message = message, .detail = detail, .hint = hint
	};
	return fault;
}

/* What to do with a column whose type has no pseudonyms. */
static char *
type_hint(Oid base, const char *name)
{
	if (base == JSONOID || base == JSONBOID)
		return pstrdup("pseudonymize_json() pseudonymizes values inside of documents.");
	if (OidIsValid(get_element_type(base)))
		return pstrdup("pseudonymize_array() pseudonymizes the elements of arrays.");
	return psprintf("A pseudonym is a text: ALTER TABLE ... ALTER COLUMN %s TYPE text.",
					quote_identifier(name));
}

/* See column.h. */
bool
pseudo_type_is_string(Oid type)
{
	Oid			base = getBaseType(type);

	return base == BPCHAROID || IsBinaryCoercible(base, TEXTOID);
}

/* See column.h. */
bool
pseudo_type_is_harmless(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);

	switch (base)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case MONEYOID:
		case OIDOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return true;
		default:
			break;
	}
	if (OidIsValid(element))
		return pseudo_type_is_harmless(element);
	if (type_is_multirange(base))
		base = get_multirange_range(base);
	if (type_is_range(base))
		return pseudo_type_is_harmless(get_range_subtype(base));
	return type_is_enum(base);
}

/* See column.h. */
void
pseudo_column_describe(PseudoColumn *column, Form_pg_attribute att)
{
	int32		typmod = att->atttypmod;
	Oid			base = getBaseTypeAndTypmod(att->atttypid, &typmod);

	memset(column, 0, sizeof(PseudoColumn));
	column->name = pstrdup(NameStr(att->attname));
	column->attno = att->attnum;
	column->type = att->atttypid;
	column->is_padded = base == BPCHAROID;
	column->is_domain = base != att->atttypid;
	column->limit = -1;
	if ((base == BPCHAROID || base == VARCHAROID) && typmod >= (int32) VARHDRSZ)
		column->limit = typmod - VARHDRSZ;
}

/* Say so where a column's type is none of strings. */
static Fault *
find_type(const PseudoColumn *column, Relation rel)
{
	if (pseudo_type_is_string(column->type))
		return NULL;
	return make_fault(ERRCODE_DATATYPE_MISMATCH,
					  psprintf("column \"%s\" of relation \"%s\" has type %s, which is not a string type",
							   column->name, RelationGetRelationName(rel), format_type_be(column->type)),
					  NULL, type_hint(getBaseType(column->type), column->name));
}

/* Find a column.  Returns NULL, or why it cannot hold pseudonyms. */
static Fault *
find_column(PseudoColumn *column, Relation rel, const char *name)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);
	Form_pg_attribute att;

	if (attno <= 0)
		return make_fault(ERRCODE_UNDEFINED_COLUMN,
						  psprintf("column \"%s\" of relation \"%s\" does not exist",
								   name, RelationGetRelationName(rel)), NULL, NULL);
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	if (att->attgenerated != '\0')
		return make_fault(ERRCODE_INVALID_OBJECT_DEFINITION,
						  psprintf("column \"%s\" of relation \"%s\" is a generated column",
								   name, RelationGetRelationName(rel)),
						  NULL, pstrdup("Pseudonymize the columns that it is generated from."));
	pseudo_column_describe(column, att);
	return find_type(column, rel);
}

/* Say so where a column decides which partition a row belongs to. */
static Fault *
find_partition_key(const PseudoColumn *column, Relation rel)
{
	Fault	   *fault = NULL;
	ListCell   *cell;

	if (!rel->rd_rel->relispartition)
		return NULL;
	foreach(cell, get_partition_ancestors(RelationGetRelid(rel)))
	{
		Relation	parent = table_open(lfirst_oid(cell), AccessShareLock);

		if (fault == NULL && pseudo_stored_in_partition_key(parent, column->name))
			fault = make_fault(ERRCODE_INVALID_OBJECT_DEFINITION,
							   psprintf("column \"%s\" is in the partition key of relation \"%s\"",
										column->name, RelationGetRelationName(parent)),
							   pstrdup("The key decides which partition a row is in, and has to stay as it is."),
							   pstrdup("Partition by another column, or pseudonymize the value in the INSERT."));
		table_close(parent, AccessShareLock);
	}
	return fault;
}

/* Say so where a column decides which of Citus's shards a row belongs to. */
static Fault *
find_distribution(const PseudoColumn *column, Relation rel, const PseudoCitus *citus)
{
	if (citus->column == NULL || strcmp(citus->column, column->name) != 0)
		return NULL;
	return make_fault(ERRCODE_FEATURE_NOT_SUPPORTED,
					  psprintf("Citus distributes relation \"%s\" by column \"%s\"",
							   RelationGetRelationName(rel), column->name),
					  pstrdup("The column decides which shard a row is in, and has to stay as it is."),
					  pstrdup("Distribute by another column, or pseudonymize the value in the INSERT."));
}

/* Add a line to the text for messages, unless it is there. */
static void
add_line(StringInfo text, const char *line)
{
	if (line == NULL || strstr(text->data, line) != NULL)
		return;
	if (text->len > 0)
		appendStringInfoChar(text, '\n');
	appendStringInfoString(text, line);
}

/* Report faults: one as it is, several in one error. */
static void
__attribute__((noreturn))
report_faults(Relation rel, List *faults)
{
	Fault	   *first = linitial(faults);
	bool		is_one = list_length(faults) == 1;
	StringInfoData details;
	StringInfoData hints;
	ListCell   *cell;

	initStringInfo(&details);
	initStringInfo(&hints);
	foreach(cell, faults)
	{
		Fault	   *fault = lfirst(cell);

		add_line(&details, is_one ? fault->detail : fault->message);
		add_line(&hints, fault->hint);
	}
	ereport(ERROR,
			(errcode(first->code),
			 is_one ? errmsg_internal("%s", first->message) :
			 errmsg("%d columns of relation \"%s\" cannot hold pseudonyms",
					list_length(faults), RelationGetRelationName(rel)),
			 details.len > 0 ? errdetail_internal("%s", details.data) : 0,
			 hints.len > 0 ? errhint("%s", hints.data) : 0));
}

/* Find columns; stay: their values stay as they are. */
static void
find_all(PseudoColumn *columns, Relation rel, List *names, bool stay)
{
	List	   *faults = NIL;
	PseudoCitus citus;
	ListCell   *cell;

	pseudo_citus_find(&citus, rel);
	foreach(cell, names)
	{
		PseudoColumn *column = &columns[foreach_current_index(cell)];
		Fault	   *fault = find_column(column, rel, strVal(lfirst(cell)));

		if (fault == NULL && !stay)
			fault = find_partition_key(column, rel);
		if (fault == NULL && !stay)
			fault = find_distribution(column, rel, &citus);
		if (fault)
			faults = lappend(faults, fault);
	}
	if (faults != NIL)
		report_faults(rel, faults);
}

/* See column.h. */
void
pseudo_columns_find(PseudoColumn *columns, Relation rel, List *names)
{
	find_all(columns, rel, names, false);
}

/* See column.h. */
void
pseudo_columns_find_sources(PseudoColumn *columns, Relation rel, List *names)
{
	find_all(columns, rel, names, true);
}

/* ---- Equality ---- */

/* Returns true if an operator's function takes values for equal if and only if they have the same bytes. */
static bool
compares_bytes(const PseudoColumn *column, Oid function)
{
	return function == F_TEXTEQ || (column->is_padded && function == F_BPCHAREQ);
}

/* Returns true if a key of an index, number no, takes values of the column for equal that differ in bytes. */
static bool
is_wide_key(const PseudoColumn *column, Relation index, int no)
{
	Oid			collation = index->rd_indcollation[no];
	Oid			type = index->rd_opcintype[no];
	Oid			function;

	if (index->rd_index->indkey.values[no] != column->attno)
		return false;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return true;
	if (index->rd_index->indisexclusion)
	{
		Oid		   *operators;
		Oid		   *functions;
		uint16	   *strategies;

		RelationGetExclusionInfo(index, &operators, &functions, &strategies);
		function = functions[no];
	}
	else
		function = get_opcode(get_opfamily_member(index->rd_opfamily[no], type, type,
												  BTEqualStrategyNumber));
	return !compares_bytes(column, function);
}

/* Returns true if an expression or the predicate of an index has a column, but for IS NULL in the predicate. */
static bool
is_in_expression(const PseudoColumn *column, Relation index)
{
	Bitmapset  *used = NULL;
	ListCell   *cell;

	pull_varattnos(pseudo_stored_index_expressions(index), 1, &used);
	foreach(cell, make_ands_implicit((Expr *) pseudo_stored_index_predicate(index)))
	{
		if (!IsA(lfirst(cell), NullTest))
			pull_varattnos(lfirst(cell), 1, &used);
	}
	return bms_is_member(column->attno - FirstLowInvalidHeapAttributeNumber, used) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
}

/* Returns true if an index keeps values apart by more than the bytes of the column. */
static bool
is_wide_index(const PseudoColumn *column, Relation index)
{
	if (!index->rd_index->indisunique && !index->rd_index->indisexclusion)
		return false;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		if (is_wide_key(column, index, i))
			return true;
	}
	return is_in_expression(column, index);
}

/* See column.h. */
char *
pseudo_column_unique_index(const PseudoColumn *column, Relation rel)
{
	char	   *found = NULL;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Bitmapset  *used = NULL;

		for (int i = 0; i < index->rd_index->indnkeyatts; i++)
			used = bms_add_member(used, index->rd_index->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
		pull_varattnos(pseudo_stored_index_expressions(index), 1, &used);
		if (found == NULL && (index->rd_index->indisunique || index->rd_index->indisexclusion) &&
			bms_is_member(column->attno - FirstLowInvalidHeapAttributeNumber, used))
			found = pstrdup(RelationGetRelationName(index));
		index_close(index, NoLock);
	}
	return found;
}

/* See column.h. */
char *
pseudo_column_wide_equality(const PseudoColumn *column, Relation rel)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), column->attno - 1);
	Oid			base = getBaseType(column->type);
	TypeCacheEntry *type = lookup_type_cache(base, TYPECACHE_EQ_OPR);
	char	   *found = NULL;
	ListCell   *cell;

	if (!OidIsValid(type->eq_opr) || !compares_bytes(column, get_opcode(type->eq_opr)))
		return psprintf("type %s", format_type_be(base));
	if (OidIsValid(att->attcollation) && !get_collation_isdeterministic(att->attcollation))
		return psprintf("collation \"%s\"", get_collation_name(att->attcollation));
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (found == NULL && is_wide_index(column, index))
			found = psprintf("index \"%s\"", RelationGetRelationName(index));
		index_close(index, NoLock);
	}
	return found;
}

/* See column.h. */
void
pseudo_column_warn_equality(const PseudoColumn *column, Relation rel)
{
	char	   *what = pseudo_column_wide_equality(column, rel);

	if (what)
		ereport(WARNING,
				(errmsg("values of column \"%s\" of relation \"%s\" that are equal may get different pseudonyms",
						column->name, RelationGetRelationName(rel)),
				 errdetail("A pseudonym is made of the bytes of a value, and %s calls values equal that differ in bytes.",
						   what),
				 errhint("Normalize values before they are pseudonymized, with lower() or normalize() for example.")));
}

/* ---- Values ---- */

/* See column.h. */
char *
pseudo_relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
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
			 errhint("Use ALTER TABLE %s ALTER COLUMN %s TYPE text. From varchar(n), this rewrites nothing.",
					 pseudo_relation_name(RelationGetRelid(rel)), quote_identifier(column->name))));
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
