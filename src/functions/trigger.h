/*
 * trigger.h
 *		What the trigger's arguments say, and which writes it covers.
 */
#ifndef PSEUDO_TRIGGER_H
#define PSEUDO_TRIGGER_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "label.h"

/* A column that a trigger pseudonymizes. */
typedef struct PseudoTriggerColumn
{
	char	   *name;			/* the source, where the label has "into" */
	PseudoLabel label;			/* of mode DETERMINISTIC or RANDOM */
} PseudoTriggerColumn;

/*
 * The arguments of a trigger: either names of columns and options for all of them, as in 'email', 'name',
 * 'deterministic=true', 'context=crm'; or columns with a label each, as in 'email IS deterministic, context=crm',
 * '"Name" IS random'.
 */
typedef struct PseudoTriggerArguments
{
	List	   *columns;		/* of PseudoTriggerColumn *, in the arguments'
								 * order */
	bool		is_labelled;	/* each column has its own label */
} PseudoTriggerArguments;

/* ---- trigger_arguments.c ---- */

/* Read a trigger's arguments, palloc'ing what they say.  Errors: 22023. */
extern void pseudo_trigger_arguments(PseudoTriggerArguments *arguments, const Trigger *trigger);

/* What the trigger is told of the column of this name, or NULL if it does not have it as a source. */
extern PseudoLabel *pseudo_trigger_label(const PseudoTriggerArguments *arguments, const char *name);

/*
 * Returns true if a trigger does with the column of this name what a label says: the same mode, context, keyring,
 * existing and into.  A label that asks for no pseudonyms, NONE, KEEP, HIDE or TARGET, says that the trigger does not
 * have the column as a source.
 */
extern bool pseudo_trigger_agrees(const PseudoTriggerArguments *arguments, const char *name,
								  const PseudoLabel *label);

/*
 * Returns true if triggers of a table that call this function, pseudonymize_trigger(), fire for each INSERT
 * and UPDATE of usual sessions that may write to a column, which they have as a source, or to the one that gets its
 * pseudonyms.  One with WHEN does not count; one with UPDATE OF counts where it names both and no other trigger fires
 * before it, which could write to them unseen.
 */
extern bool pseudo_trigger_sees_all(Relation rel, Oid function, const char *column, AttrNumber attno);

/* The same without the trigger of a name, or with all where that is NULL. */
extern bool pseudo_trigger_sees_all_without(Relation rel, Oid function, const char *column, AttrNumber attno,
											const char *without);

/*
 * The name of the first trigger that fires before rows are written and after the last one that calls this function for a
 * column, so that it can write something else; or NULL.  Those of PostgreSQL's own functions write no such column.
 */
extern const char *pseudo_trigger_later(Relation rel, Oid function, const char *column);

/* The OID of pseudonymize_trigger(), which is in the schema of a function of the extension. */
extern Oid	pseudo_trigger_function(Oid called);

#endif							/* PSEUDO_TRIGGER_H */
