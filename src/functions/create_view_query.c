/*
 * create_view_query.c
 *		The query of a view, as text.
 *
 * It is executed with the caller's search_path, since their filter is to be read with that. So everything else in it
 * has its schema, operators too, and each call has arguments of just the types that the function takes: no function
 * of another schema, and no other one of ours, fits as well.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "column.h"
#include "create_view.h"

/* ---- The filter ---- */

/* Say that an error of the parser is of the text that was put together here, not of the caller's statement. */
static void
add_filter_context(void *sql)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(sql);
	}
	errcontext("argument \"filter\" of pseudo_create_view()");
}

/* The statement of a text as the parser gives it, or NULL if it is anything but one SELECT. */
static SelectStmt *
parse_select(char *sql)
{
	ErrorContextCallback callback = {.previous = error_context_stack, .callback = add_filter_context, .arg = sql};
	List	   *statements;
	Node	   *statement;

	error_context_stack = &callback;
	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;
	if (list_length(statements) != 1)
		return NULL;
	statement = linitial_node(RawStmt, statements)->stmt;
	return IsA(statement, SelectStmt) ? (SelectStmt *) statement : NULL;
}

/*
 * Take the one expression of a SELECT that has nothing else, of its target list or its WHERE; NULL if there is more,
 * or less.
 */
static Node *
sole_expression(SelectStmt *select)
{
	SelectStmt *empty = parse_select("SELECT");
	ResTarget  *target = list_length(select->targetList) == 1 ? linitial(select->targetList) : NULL;
	Node	   *expression = select->whereClause;

	if (target && target->name == NULL && target->indirection == NIL && expression == NULL)
	{
		expression = target->val;
		select->targetList = NIL;
	}
	select->whereClause = NULL;
	return equal(select, empty) ? expression : NULL;
}

/* The WHERE that a filter becomes.  A comment at its end goes no further. */
static char *
where_clause(const char *filter)
{
	return psprintf("WHERE (%s%s)", filter, strstr(filter, "--") ? "\n" : "");
}

/*
 * See create_view.h.  The filter is parsed on its own and in its place, and both have to give the same expression, with
 * nothing around it: so a parenthesis, a comment or another clause in it cannot reach beyond it.
 */
void
pseudo_view_check_filter(const char *filter)
{
	SelectStmt *alone = parse_select(psprintf("SELECT %s", filter));
	SelectStmt *in_place = alone ? parse_select(psprintf("SELECT %s", where_clause(filter))) : NULL;
	Node	   *expression = in_place ? sole_expression(alone) : NULL;

	if (expression == NULL || !equal(expression, sole_expression(in_place)))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"filter\" must be one expression"),
				 errhint("It is what could stand between WHERE ( and ), such as 'region = 5'.")));
}

/* ---- Expressions ---- */

/* A call of pseudonymize_as() or reidentify_as(); arguments that have their defaults are left out. */
static char *
call_as(const PseudoView *view, const char *function, const char *value, const char *context, const char *keyring)
{
	const char *schema = quote_identifier(view->schema);
	bool		has_keyring = strcmp(keyring, "pseudo") != 0;
	StringInfoData call;

	initStringInfo(&call);
	appendStringInfo(&call, "%s.%s(%s::%s.pseudo_role, %s", schema, function, quote_literal_cstr(view->role), schema, value);
	if (has_keyring || *context)
		appendStringInfo(&call, ", %s", quote_literal_cstr(context));
	if (has_keyring)
		appendStringInfo(&call, ", %s", quote_literal_cstr(keyring));
	appendStringInfoChar(&call, ')');
	return call.data;
}

/* The pseudonyms that the reader gets, made of a value. */
static char *
call_pseudonymize_as(const PseudoView *view, const PseudoLabel *label, const char *value)
{
	return call_as(view, "pseudonymize_as", value, view->context ? view->context : label->context,
				   view->keyring ? view->keyring : label->keyring);
}

/* The last characters of a value, never all of them. */
static char *
mask(const char *value, int last)
{
	return psprintf("'****' OPERATOR(pg_catalog.||) pg_catalog.right(pg_catalog.substr(%s, 2), %d)", value, last);
}

/* NULL of a column's type; not of a domain, which may refuse it and has functions of its owner. */
static char *
null_of(const PseudoView *view, const PseudoViewColumn *column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(view->rel), column - view->columns);
	int32		typmod = att->atttypmod;
	Oid			base = getBaseTypeAndTypmod(att->atttypid, &typmod);

	return psprintf("NULL::%s", format_type_extended(base, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
}

/* What the view shows of a column. */
static char *
show_expression(const PseudoView *view, const PseudoViewColumn *column)
{
	const PseudoLabel *label = &column->label;
	char	   *held = psprintf("%s::pg_catalog.text", quote_identifier(column->holder));
	char	   *opened = call_as(view, "reidentify_as", held, label->context, label->keyring);

	switch (column->show)
	{
		case PSEUDO_SHOW_NULL:
			return null_of(view, column);
		case PSEUDO_SHOW_STORED:
			return held;
		case PSEUDO_SHOW_MADE:
			return call_pseudonymize_as(view, label, held);
		case PSEUDO_SHOW_REMADE:
			return call_pseudonymize_as(view, label, opened);
		case PSEUDO_SHOW_OPENED:
			return column->last > 0 ? mask(opened, column->last) : opened;
		case PSEUDO_SHOW_NOTHING:
		case PSEUDO_SHOW_COLUMN:
			break;
	}
	return pstrdup(quote_identifier(column->name));
}

/* ---- The query ---- */

/* Append the columns. */
static void
append_columns(StringInfo query, const PseudoView *view)
{
	const char *separator = "\n    ";

	for (int i = 0; i < view->ncolumns; i++)
	{
		const PseudoViewColumn *column = &view->columns[i];

		if (column->show == PSEUDO_SHOW_NOTHING)
			continue;
		appendStringInfo(query, "%s%s", separator, show_expression(view, column));
		if (column->show != PSEUDO_SHOW_COLUMN)
			appendStringInfo(query, " AS %s", quote_identifier(column->name));
		separator = ",\n    ";
	}
}

/* Returns true if the type of a column that is shown as it is has no order of its own, as json. */
static bool
has_no_order(const PseudoView *view, const PseudoViewColumn *column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(view->rel), column - view->columns);

	return column->show == PSEUDO_SHOW_COLUMN && !OidIsValid(lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR)->lt_opr);
}

/*
 * Append an ORDER BY of all that the reader sees, so that the order of the rows tells nothing more: pseudonyms and
 * opened values first, by their numbers, for then each is computed once; then what is shown as it is, since with these
 * no two rows are equal that look different.  What has no order is compared by its bytes.
 */
static void
append_order(StringInfo query, const PseudoView *view)
{
	StringInfoData kept;
	StringInfoData bytes;
	const char *separator = "\nORDER BY ";
	int			number = 0;

	initStringInfo(&kept);
	initStringInfo(&bytes);
	for (int i = 0; i < view->ncolumns; i++)
	{
		const PseudoViewColumn *column = &view->columns[i];

		if (column->show == PSEUDO_SHOW_NOTHING)
			continue;
		number++;
		if (has_no_order(view, column))
			appendStringInfo(&bytes, "%s%s", bytes.len > 0 ? ", " : "", quote_identifier(column->name));
		else if (column->show == PSEUDO_SHOW_COLUMN)
			appendStringInfo(&kept, ", %d", number);
		else if (column->show != PSEUDO_SHOW_NULL)
		{
			appendStringInfo(query, "%s%d", separator, number);
			separator = ", ";
		}
	}
	if (kept.len > 0)
	{
		appendStringInfo(query, "%s%s", separator, kept.data + strlen(", "));
		separator = ", ";
	}
	if (bytes.len > 0)
		appendStringInfo(query, "%sROW(%s) USING OPERATOR(pg_catalog.*<)", separator, bytes.data);
}

/* See create_view.h. */
char *
pseudo_view_query(const PseudoView *view)
{
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT");
	append_columns(&query, view);
	appendStringInfo(&query, "\nFROM %s", pseudo_relation_name(RelationGetRelid(view->rel)));
	if (view->filter)
		appendStringInfo(&query, "\n%s", where_clause(view->filter));
	if (view->hide_order)
		append_order(&query, view);
	return query.data;
}

/*
 * See create_view.h.  A view that hides rows or shows opened values has to be one: else a cheap function of the reader's,
 * or a cast that fails, may run on rows that it does not show.  The others need none: whatever the reader's expressions
 * are given is what the view shows, since a pseudonym is made within one expression, and one that is opened on its way
 * to another recipient is sealed there again.  And a barrier costs: PostgreSQL plans it on its own, so in a join no row is
 * looked up by an index beneath it, and each pseudonym of the table is made.
 */
bool
pseudo_view_is_barrier(const PseudoView *view)
{
	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].show == PSEUDO_SHOW_OPENED)
			return true;
	}
	return view->filter != NULL || view->hide_order;
}
