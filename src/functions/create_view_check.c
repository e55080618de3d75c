/*
 * create_view_check.c
 *		Whether the columns of a table hold what a view takes them to hold: pseudonyms, or plaintext.
 *
 * Triggers say what is written from now on, and this what was written before.  It reads the table once, and stops at
 * the first row that is not as it should be.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "column.h"
#include "create_view.h"
#include "pinned.h"

/* Refuse row-level security that hides rows from the check. */
static void
check_all_rows(const PseudoView *view)
{
	if (check_enable_rls(RelationGetRelid(view->rel), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of table \"%s\" applies to this role, and would leave rows unchecked",
						RelationGetRelationName(view->rel)),
				 errhint("Make the view as the table's owner, or as a role with BYPASSRLS, with a filter in place of the policies.")));
}

/* Returns true if a column has to be checked. */
static bool
is_checked(const PseudoViewColumn *column)
{
	return column->show == PSEUDO_SHOW_MADE || pseudo_show_is_of_pseudonyms(column->show);
}

/* A condition that is true for a value that is not as it should be, and not for NULL. */
static char *
fault_condition(const PseudoView *view, const PseudoViewColumn *column)
{
	return psprintf("%s%s.is_pseudonym(%s::pg_catalog.text, %s, %s)",
					pseudo_show_is_of_pseudonyms(column->show) ? "NOT " : "",
					quote_identifier(view->schema), quote_identifier(column->holder),
					quote_literal_cstr(column->label.context), quote_literal_cstr(column->label.keyring));
}

/* A query for a row with a value that is not as it should be, of each column; NULL where nothing has to be checked. */
static char *
check_query(const PseudoView *view)
{
	StringInfoData columns;
	StringInfoData conditions;

	initStringInfo(&columns);
	initStringInfo(&conditions);
	for (int i = 0; i < view->ncolumns; i++)
	{
		char	   *condition;

		if (!is_checked(&view->columns[i]))
			continue;
		condition = fault_condition(view, &view->columns[i]);
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "", condition);
		appendStringInfo(&conditions, "%s%s", conditions.len > 0 ? " OR " : "", condition);
	}
	return columns.len == 0 ? NULL :
		psprintf("SELECT %s FROM %s WHERE %s LIMIT 1", columns.data,
				 pseudo_relation_name(RelationGetRelid(view->rel)), conditions.data);
}

/* Report a column that should hold pseudonyms, and has other values too. */
static void
__attribute__((noreturn))
report_not_pseudonyms(const PseudoView *view, const PseudoViewColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of relation \"%s\" holds values that are no pseudonyms",
					column->holder, RelationGetRelationName(view->rel)),
			 errdetail("The view would show them. They are plaintext, or their keyring, key or context is another one, or their key is off."),
			 errhint("CALL %s.pseudonymize_table(%s) pseudonymizes plaintext.", quote_identifier(view->schema),
					 quote_literal_cstr(pseudo_relation_name(pseudo_labelled_relation(view->rel))))));
}

/* Report a column that should hold plaintext, and has pseudonyms. */
static void
__attribute__((noreturn))
report_pseudonyms(const PseudoView *view, const PseudoViewColumn *column)
{
	char		kind = view->rel->rd_rel->relkind;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of relation \"%s\" holds pseudonyms, and no trigger sees to it that it holds nothing else",
					column->holder, RelationGetRelationName(view->rel)),
			 errdetail("The view would pseudonymize them again."),
			 kind == RELKIND_MATVIEW || kind == RELKIND_FOREIGN_TABLE ?
			 errhint("Label the column \"keep\" if nothing else can come into it.") :
			 errhint("SELECT %s.pseudo_protect(%s) makes the trigger.", quote_identifier(view->schema),
					 quote_literal_cstr(pseudo_relation_name(pseudo_labelled_relation(view->rel))))));
}

/* Report the first column whose value in the row found is not as it should be. */
static void
report_row(const PseudoView *view)
{
	int			no = 0;

	for (int i = 0; i < view->ncolumns; i++)
	{
		const PseudoViewColumn *column = &view->columns[i];
		bool		isnull;
		Datum		fault;

		if (!is_checked(column))
			continue;
		fault = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, ++no, &isnull);
		if (isnull || !DatumGetBool(fault))
			continue;
		if (column->show == PSEUDO_SHOW_MADE)
			report_pseudonyms(view, column);
		report_not_pseudonyms(view, column);
	}
}

/*
 * See create_view.h.  The snapshot is a new one, also in a transaction that keeps an older one: what was written before
 * there was a trigger has to be seen.  Whoever creates a trigger waits for those who write.
 */
void
pseudo_view_check_values(const PseudoView *view)
{
	char	   *query = check_query(view);
	SPIPlanPtr	plan;

	if (query == NULL)
		return;
	check_all_rows(view);
	plan = SPI_prepare_cursor(query, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "could not prepare the check of a table: %s", SPI_result_code_string(SPI_result));
	if (pseudo_pinned_execute(query, RelationGetRelid(view->rel), plan, NULL, GetLatestSnapshot(), false) != SPI_OK_SELECT)
		elog(ERROR, "could not check a table");
	if (SPI_processed > 0)
		report_row(view);
}
