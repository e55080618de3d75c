/*
 * create_view.h
 *		What the parts of pseudo_create_view() share.
 *
 * create_view.c has the function and its arguments, create_view_columns.c what becomes of each column,
 * create_view_query.c the view's query, create_view_check.c whether the table holds what the query takes it to hold, and
 * create_view_replace.c the view of the same name that may be there.
 */
#ifndef PSEUDO_CREATE_VIEW_H
#define PSEUDO_CREATE_VIEW_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "label.h"

/* What a view shows of a column. */
typedef enum PseudoShow
{
	PSEUDO_SHOW_NOTHING,		/* it is no column of the view: it is dropped,
								 * or the "into" of another one */
	PSEUDO_SHOW_COLUMN,			/* what it holds */
	PSEUDO_SHOW_NULL,
	PSEUDO_SHOW_STORED,			/* the pseudonyms that the table holds */
	PSEUDO_SHOW_MADE,			/* pseudonyms made of its values */
	PSEUDO_SHOW_REMADE,			/* a recipient's own, made of those that the
								 * table holds */
	PSEUDO_SHOW_OPENED			/* the values of the pseudonyms that the table
								 * holds */
} PseudoShow;

#define PSEUDO_LAST_MAX	1000

/* A column of the table. */
typedef struct PseudoViewColumn
{
	char	   *name;
	char	   *holder;			/* the column that is read: this one, or the
								 * "into" of its label */
	PseudoLabel label;
	PseudoShow	show;
	int			last;			/* OPENED: characters that are shown, up to
								 * PSEUDO_LAST_MAX, or 0: all */
} PseudoViewColumn;

/* A view to be made. */
typedef struct PseudoView
{
	Oid			called;			/* pseudo_create_view() */
	char	   *schema;			/* of the extension */
	Relation	rel;			/* the table, locked */
	char	   *role;			/* as in a literal of pseudo_role */
	char	   *filter;			/* or NULL */
	bool		hide_order;
	char	   *context;		/* the recipient's; NULL: as the labels say */
	char	   *keyring;		/* likewise */
	int			ncolumns;
	PseudoViewColumn *columns;	/* by attno - 1 */
} PseudoView;

/* Returns true if a view reads pseudonyms of a column that the table holds. */
static inline bool
pseudo_show_is_of_pseudonyms(PseudoShow show)
{
	return show == PSEUDO_SHOW_STORED || show == PSEUDO_SHOW_REMADE || show == PSEUDO_SHOW_OPENED;
}

/* ---- create_view_columns.c ---- */

/*
 * Decide what the view shows of each column, from its label and the table's triggers.  opened (of char *) says which
 * columns are shown opened, and how.
 * Errors: 55000 where a column has no label, or triggers and labels do not agree; 22023 and 42703 for opened; and
 * those of pseudo_columns_find().
 */
extern void pseudo_view_columns(PseudoView *view, List *opened);

/* ---- create_view_query.c ---- */

/* Check that a text is one expression, and will be one in the query.  Errors: 42601. */
extern void pseudo_view_check_filter(const char *filter);

/* The query of the view, palloc'ed: every name in it but those in the filter has its schema. */
extern char *pseudo_view_query(const PseudoView *view);

/* Returns true if the view has to be a security_barrier. */
extern bool pseudo_view_is_barrier(const PseudoView *view);

/* ---- create_view_check.c ---- */

/*
 * Check, within SPI, that the columns hold pseudonyms where the query takes them to, and elsewhere none.
 * Errors: 55000, and those of SELECT on the table and of is_pseudonym().
 */
extern void pseudo_view_check_values(const PseudoView *view);

/* ---- create_view_replace.c ---- */

/* The name of a view, and the view that has it. */
typedef struct PseudoViewName
{
	char	   *qualified;		/* with its schema, quoted */
	Oid			existing;		/* or InvalidOid */
} PseudoViewName;

/*
 * Find where a view of this name belongs, and the one that may be replaced, which is locked against others who replace
 * it.  is_temporary: it reads a temporary table.
 * Errors: those of CREATE VIEW; 42501 where the view belongs to another role, 42P07 where it was not made here.
 */
extern void pseudo_view_find(PseudoViewName *name, text *given, bool is_temporary);

/*
 * Make the view, within SPI, or replace the one that there is.  as is what follows its name in CREATE VIEW, and desc
 * has its columns; table is what it reads.  Returns the statements that were executed, palloc'ed.
 * Errors: those of CREATE VIEW and DROP VIEW; 40001 where the name of the table has become that of another one; 2BP01 where something of the old view would be lost.
 */
extern char *pseudo_view_put(const PseudoViewName *name, const char *as, TupleDesc desc, Oid table);

#endif							/* PSEUDO_CREATE_VIEW_H */
