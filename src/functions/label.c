/*
 * label.c
 *		The provider "pseudo" of SECURITY LABEL: what is to become of a table's columns.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/seclabel.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"

#include "../compat.h"
#include "../keyring/cache.h"
#include "column.h"
#include "label.h"
#include "stored.h"

static const char *const mode_names[] = {
	[PSEUDO_MODE_DETERMINISTIC] = "deterministic",
	[PSEUDO_MODE_RANDOM] = "random",
	[PSEUDO_MODE_KEEP] = "keep",
	[PSEUDO_MODE_HIDE] = "hide",
};

static const char *const existing_names[] = {
	[PSEUDO_EXISTING_ERROR] = "error",
	[PSEUDO_EXISTING_KEEP] = "keep",
	[PSEUDO_EXISTING_VALUE] = "value",
};

/* ---- As text ---- */

/* Report a label that cannot be read.  What it says is no secret. */
static void
__attribute__((noreturn))
report_label(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", message),
			 errhint("A label is \"deterministic\" or \"random\", with options such as \"context=crm, keyring=shop, existing=keep, into=email_p\", or it is \"keep\" or \"hide\".")));
}

/* See label.h. */
void
pseudo_label_begin(PseudoLabel *label, PseudoMode mode)
{
	memset(label, 0, sizeof(PseudoLabel));
	label->mode = mode;
	label->context = "";
	label->keyring = "pseudo";
}

/* The number of a name among some, or -1. */
static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (names[i] && strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

/* See label.h. */
bool
pseudo_label_take_existing(PseudoLabel *label, const char *value)
{
	int			existing = find_name(existing_names, lengthof(existing_names), value);

	if (existing >= 0)
		label->existing = existing;
	return existing >= 0;
}

/* Take one option of a label.  Returns false if there is none of this name. */
static bool
take_label_option(PseudoLabel *label, const char *name, const char *value)
{
	if (strcmp(name, "context") == 0)
		label->context = pstrdup(value);
	else if (strcmp(name, "keyring") == 0)
	{
		if (*value == '\0' || strlen(value) >= NAMEDATALEN)
			report_label("a keyring's name must have between 1 and 63 bytes");
		label->keyring = pstrdup(value);
	}
	else if (strcmp(name, "into") == 0)
		label->into = pstrdup(value);
	else if (strcmp(name, "existing") == 0)
	{
		if (!pseudo_label_take_existing(label, value))
			report_label("option \"existing\" must be \"error\", \"keep\" or \"value\"");
	}
	else
		return false;
	return true;
}

/* Skip white space. */
static void
skip_white(const char **s)
{
	while (isspace((unsigned char) **s))
		(*s)++;
}

/* See label.h. */
char *
pseudo_label_quoted(const char **s)
{
	StringInfoData part;

	initStringInfo(&part);
	for (const char *c = *s + 1; *c; c++)
	{
		if (*c == '"' && *++c != '"')
		{
			*s = c;
			return part.data;
		}
		appendStringInfoChar(&part, *c);
	}
	return NULL;
}

/* The part of a label that begins here and ends before a character of stops.  Moves *s behind it. */
static char *
next_part(const char **s, const char *stops)
{
	char	   *part;
	size_t		len;

	skip_white(s);
	if (**s == '"')
	{
		part = pseudo_label_quoted(s);
		if (part == NULL)
			report_label("a quoted part of the label has no end");
	}
	else
	{
		len = strcspn(*s, stops);
		part = pnstrdup(*s, len);
		*s += len;
		while (len > 0 && isspace((unsigned char) part[len - 1]))
			part[--len] = '\0';
	}
	skip_white(s);
	return part;
}

/* Read one option, "name=value", that is none of those before it. */
static void
read_option(PseudoLabel *label, const char **s, List **names)
{
	char	   *name = next_part(s, "=,");

	if (**s != '=')
		report_label(psprintf("the label has \"%s\" where an option is expected", name));
	(*s)++;
	if (list_member(*names, makeString(name)))
		report_label(psprintf("option \"%s\" specified more than once", name));
	*names = lappend(*names, makeString(name));
	if (!take_label_option(label, name, next_part(s, ",")))
		report_label(psprintf("a label has no option \"%s\"", name));
}

/* See label.h. */
void
pseudo_label_parse(PseudoLabel *label, const char *string)
{
	const char *s = string;
	char	   *name = next_part(&s, ",");
	int			mode = find_name(mode_names, lengthof(mode_names), name);
	List	   *names = NIL;

	if (mode < 0)
		report_label(psprintf("a label cannot begin with \"%s\"", name));
	pseudo_label_begin(label, mode);
	while (*s == ',')
	{
		s++;
		read_option(label, &s, &names);
	}
	if (*s)
		report_label(psprintf("the label has \"%s\" where its end is expected", s));
	if (names != NIL && !pseudo_label_pseudonymizes(label))
		report_label(psprintf("a label \"%s\" takes no options", name));
	if (label->into && *label->into == '\0')
		report_label("option \"into\" names no column");
}

/* Append an option, quoted where it has to be. */
static void
append_option(StringInfo string, const char *name, const char *value)
{
	appendStringInfo(string, ", %s=", name);
	if (*value && !isspace((unsigned char) *value) && !isspace((unsigned char) value[strlen(value) - 1]) &&
		strpbrk(value, ",\"") == NULL)
	{
		appendStringInfoString(string, value);
		return;
	}
	appendStringInfoChar(string, '"');
	for (const char *c = value; *c; c++)
	{
		if (*c == '"')
			appendStringInfoChar(string, '"');
		appendStringInfoChar(string, *c);
	}
	appendStringInfoChar(string, '"');
}

/* See label.h. */
char *
pseudo_label_string(const PseudoLabel *label)
{
	StringInfoData string;

	initStringInfo(&string);
	appendStringInfoString(&string, mode_names[label->mode]);
	if (*label->context)
		append_option(&string, "context", label->context);
	if (strcmp(label->keyring, "pseudo") != 0)
		append_option(&string, "keyring", label->keyring);
	if (label->existing != PSEUDO_EXISTING_ERROR)
		append_option(&string, "existing", existing_names[label->existing]);
	if (label->into)
		append_option(&string, "into", label->into);
	return string.data;
}

/* The identifier that a string begins with, as SQL reads it; NULL if there is none.  Moves *s behind it. */
static char *
take_identifier(const char **s)
{
	const char *c = *s;
	char	   *name;

	if (*c == '"')
	{
		name = pseudo_label_quoted(s);
		return name && *name ? name : NULL;
	}
	while (isalpha((unsigned char) *c) || IS_HIGHBIT_SET(*c) || *c == '_' ||
		   (c > *s && (isdigit((unsigned char) *c) || *c == '$')))
		c++;
	if (c == *s)
		return NULL;
	name = downcase_identifier(*s, c - *s, false, false);
	*s = c;
	return name;
}

/* See label.h. */
char *
pseudo_label_of_column(PseudoLabel *label, const char *string)
{
	const char *s = string;
	char	   *name = take_identifier(&s);
	size_t		space = strspn(s, " \t\r\n");

	if (name == NULL || space == 0 || pg_strncasecmp(s + space, "is", 2) != 0 ||
		!isspace((unsigned char) s[space + 2]))
		return NULL;
	pseudo_label_parse(label, s + space + 2);
	return name;
}

/* See label.h. */
char *
pseudo_label_with_column(const char *name, const PseudoLabel *label)
{
	return psprintf("%s IS %s", quote_identifier(name), pseudo_label_string(label));
}

/* See label.h. */
bool
pseudo_label_same_pseudonyms(const PseudoLabel *a, const PseudoLabel *b)
{
	return strcmp(a->context, b->context) == 0 && strcmp(a->keyring, b->keyring) == 0;
}

/* ---- Of a relation ---- */

/* See label.h. */
Oid
pseudo_labelled_relation(Relation rel)
{
	return rel->rd_rel->relispartition ?
		llast_oid(get_partition_ancestors(RelationGetRelid(rel))) : RelationGetRelid(rel);
}

/* Read the stored label of a column, if it has one. */
static void
get_label(PseudoLabel *label, Oid relid, const char *column)
{
	ObjectAddress object;
	AttrNumber	attno = get_attnum(relid, column);
	char	   *string;

	pseudo_label_begin(label, PSEUDO_MODE_NONE);
	if (attno <= 0)
		return;
	ObjectAddressSubSet(object, RelationRelationId, relid, attno);
	string = GetSecurityLabel(&object, PSEUDO_LABEL_PROVIDER);
	if (string)
		pseudo_label_parse(label, string);
}

/* See label.h. */
PseudoLabel *
pseudo_labels(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	PseudoLabel *labels = palloc0(Max(desc->natts, 1) * sizeof(PseudoLabel));
	Oid			root = pseudo_labelled_relation(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			pseudo_label_begin(&labels[i], PSEUDO_MODE_NONE);
		else
			get_label(&labels[i], root, NameStr(TupleDescAttr(desc, i)->attname));
	}
	for (int i = 0; i < desc->natts; i++)
	{
		AttrNumber	attno = labels[i].into ? get_attnum(RelationGetRelid(rel), labels[i].into) : 0;

		if (attno <= 0 || labels[attno - 1].mode != PSEUDO_MODE_NONE)
			continue;
		labels[attno - 1] = labels[i];
		labels[attno - 1].mode = PSEUDO_MODE_TARGET;
		labels[attno - 1].into = NULL;
		labels[attno - 1].source = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
	}
	return labels;
}

/* ---- The provider ---- */

/* Report an object that takes no label. */
static void
__attribute__((noreturn))
report_object(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg_internal("%s", message),
			 hint ? errhint("%s", hint) : 0));
}

/* Refuse what is no stored relation, or a partition. */
static void
check_relation(Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW &&
		kind != RELKIND_FOREIGN_TABLE)
		report_object(psprintf("\"%s\" is not a table, materialized view or foreign table",
							   RelationGetRelationName(rel)),
					  "Label the columns of the tables that it reads.");
	if (rel->rd_rel->relispartition)
		report_object(psprintf("\"%s\" is a partition, and the labels of its root count", RelationGetRelationName(rel)),
					  psprintf("Label the column of %s.", pseudo_relation_name(pseudo_labelled_relation(rel))));
}

/* Report what a label cannot be given to. */
static void
__attribute__((noreturn))
report_column(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg_internal("%s", message),
			 errhint("%s", hint)));
}

/* Refuse random pseudonyms in what has to be unique. */
static void
check_random(Relation rel, const PseudoColumn *column)
{
	char	   *index = pseudo_column_unique_index(column, rel);

	if (index)
		report_column(psprintf("index \"%s\" makes column \"%s\" unique, and random pseudonyms of equal values differ",
							   index, column->name),
					  "Label the column deterministic, or drop the index.");
}

/* Refuse a column that decides which partition a row is in, of this table or of a partition that is partitioned itself. */
static void
check_partition_keys(Relation rel, const char *name)
{
	ListCell   *cell;

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(cell, find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL))
	{
		Relation	part = table_open(lfirst_oid(cell), NoLock);

		if (pseudo_stored_in_partition_key(part, name))
			report_column(psprintf("column \"%s\" is in the partition key of relation \"%s\"",
								   name, RelationGetRelationName(part)),
						  "The key decides which partition a row is in, and has to stay as it is. Label the column \"keep\" or \"hide\", or use \"into\".");
		table_close(part, NoLock);
	}
}

/* Find a column, and check that it can hold pseudonyms of the mode; source: of this column, or of its own values. */
static void
check_holder(Relation rel, char *name, PseudoMode mode, const PseudoColumn *source)
{
	PseudoColumn column;

	pseudo_columns_find(&column, rel, list_make1(makeString(name)));
	check_partition_keys(rel, name);
	if (mode == PSEUDO_MODE_RANDOM)
		check_random(rel, &column);
	else
		pseudo_column_warn_equality(source ? source : &column, rel);
}

/* Check a column whose pseudonyms another one gets, and that one. */
static void
check_target(Relation rel, char *name, const PseudoLabel *label, const PseudoLabel *others)
{
	PseudoColumn source;
	AttrNumber	attno;

	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		report_object(psprintf("\"%s\" is not a table, and nothing can be written into another of its columns",
							   RelationGetRelationName(rel)), NULL);
	if (strcmp(label->into, name) == 0)
		report_column(psprintf("column \"%s\" cannot get its own pseudonyms by into=", name),
					  "Leave \"into\" out: then the column itself holds them.");
	pseudo_columns_find_sources(&source, rel, list_make1(makeString(name)));
	check_holder(rel, label->into, label->mode, &source);
	attno = get_attnum(RelationGetRelid(rel), label->into);
	if (others[attno - 1].mode == PSEUDO_MODE_TARGET && strcmp(others[attno - 1].source, name) != 0)
		report_column(psprintf("column \"%s\" gets the pseudonyms of column \"%s\" already",
							   label->into, others[attno - 1].source),
					  "Name another column in \"into\".");
	if (others[attno - 1].mode != PSEUDO_MODE_NONE && others[attno - 1].mode != PSEUDO_MODE_TARGET)
		report_column(psprintf("column \"%s\" has a label of its own", label->into),
					  "A column that gets another one's pseudonyms is labelled by that: remove its label with IS NULL.");
}

/* Say so where a label names a keyring that is not there; in a dump keyrings come after tables. */
static void
notice_keyring(const PseudoLabel *label)
{
	if (GetForeignServerByName(label->keyring, true) == NULL)
		ereport(NOTICE,
				(errmsg("keyring \"%s\" does not exist yet", label->keyring)));
}

/* Check a label for a column of a relation. */
static void
check_label(Relation rel, AttrNumber attno, const PseudoLabel *label, const PseudoLabel *others)
{
	char	   *name = get_attname(RelationGetRelid(rel), attno, false);

	if (others[attno - 1].mode == PSEUDO_MODE_TARGET)
		report_column(psprintf("column \"%s\" gets the pseudonyms of column \"%s\", and has no label of its own",
							   name, others[attno - 1].source),
					  "Remove \"into\" from that column's label first.");
	if (!pseudo_label_pseudonymizes(label))
		return;
	if (label->into)
		check_target(rel, name, label, others);
	else
		check_holder(rel, name, label->mode, NULL);
}

/* See label.h. */
void
pseudo_labels_check(Relation rel, const PseudoLabel *labels)
{
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		if (!pseudo_label_pseudonymizes(&labels[i]))
			continue;
		check_label(rel, i + 1, &labels[i], labels);
		(void) pseudo_cache_server(labels[i].keyring);
	}
}

/* Returns true if this is the label of a view, by which pseudo_create_view() knows it; a dump sets it again. */
static bool
is_label_of_view(const ObjectAddress *object, const char *string)
{
	return object->classId == RelationRelationId && object->objectSubId == 0 &&
		get_rel_relkind(object->objectId) == RELKIND_VIEW && strcmp(string, PSEUDO_LABEL_OF_VIEW) == 0;
}

/* The provider's hook: a label, or NULL to remove one, for an object that is locked and whose owner asks. */
static void
relabel(const ObjectAddress *object, const char *string)
{
	PseudoLabel label;
	Relation	rel;

	if (string == NULL || is_label_of_view(object, string))
		return;
	if (object->classId != RelationRelationId || object->objectSubId == 0)
		report_object("the label provider \"pseudo\" labels columns only", "Use SECURITY LABEL FOR pseudo ON COLUMN.");
	pseudo_label_parse(&label, string);
	rel = relation_open(object->objectId, NoLock);
	check_relation(rel);
	check_label(rel, object->objectSubId, &label, pseudo_labels(rel));
	if (pseudo_label_pseudonymizes(&label))
		notice_keyring(&label);
	relation_close(rel, NoLock);
}

/* See label.h. */
void
pseudo_label_init(void)
{
	register_label_provider(PSEUDO_LABEL_PROVIDER, relabel);
}
