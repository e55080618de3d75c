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

/* The arguments of a trigger. */
typedef struct PseudoTriggerArguments
{
	List	   *columns;		/* of String */
	bool		is_deterministic;
	char	   *context;
	char	   *keyring;
	PseudoExisting existing;
} PseudoTriggerArguments;

/* ---- trigger_arguments.c ---- */

/* Read a trigger's arguments.  Errors: 22023. */
extern void pseudo_trigger_arguments(PseudoTriggerArguments *arguments, const Trigger *trigger);

/* Returns true if the trigger pseudonymizes this column. */
extern bool pseudo_trigger_has_column(const PseudoTriggerArguments *arguments, const char *name);

/* Returns true if each of two triggers can read the other's pseudonyms: context and keyring are the same. */
extern bool pseudo_trigger_same_pseudonyms(const PseudoTriggerArguments *a,
										   const PseudoTriggerArguments *b);

/*
 * Returns true if triggers of a table that call this function, pseudonymize_trigger(), fire for each INSERT
 * and UPDATE of usual sessions that may write to a column.  One with WHEN does not count; one with UPDATE OF counts
 * where it names the column and no other trigger fires before it, which could write to the column unseen.
 */
extern bool pseudo_trigger_sees_all(Relation rel, Oid function, const char *column, AttrNumber attno);

#endif							/* PSEUDO_TRIGGER_H */
