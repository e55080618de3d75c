/*
 * trigger_state.h
 *		What pseudonymize_trigger() knows in one run of the executor.
 */
#ifndef PSEUDO_TRIGGER_STATE_H
#define PSEUDO_TRIGGER_STATE_H

#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

#include "call.h"
#include "column.h"
#include "trigger.h"
#include "trigger_rows.h"
#include "unique.h"

/* The columns of a trigger whose pseudonyms are of one context and keyring. */
typedef struct PseudoTriggerGroup
{
	const PseudoLabel *label;	/* of one of them */
	text	   *context;
	text	   *keyring;
	PseudoCall	call;

	/* Of the row that is written. */
	uint32		key_id;			/* that its first value was pseudonymized
								 * under, or 0 */
} PseudoTriggerGroup;

/* Deterministic columns that PostgreSQL may compare together: those of a group, or of all where a constraint mixes them. */
typedef struct PseudoTriggerSet
{
	int			n;
	PseudoColumn *columns;
	PseudoTriggerGroup **groups;	/* of each column */
	PseudoCall **calls;			/* likewise */
	PseudoUnique *unique;		/* what compares these, or NULL as long as
								 * that does not matter */

	/* Of the row that is written. */
	int			nconverted;
	int		   *converted;		/* attnos */
} PseudoTriggerSet;

/* A column of a trigger. */
typedef struct PseudoTriggerPart
{
	const PseudoLabel *label;
	PseudoTriggerGroup *group;
	PseudoTriggerSet *set;		/* NULL where the mode is random */
	PseudoColumn source;		/* where the label has "into" */
} PseudoTriggerPart;

/* In fn_extra. */
typedef struct PseudoTriggerState
{
	PseudoTriggerArguments arguments;
	PseudoRows	rows;
	bool		is_apply;		/* a subscription writes */
	int			ngroups;
	PseudoTriggerGroup *groups;
	int			nsets;
	PseudoTriggerSet *sets;
	int			ncolumns;
	PseudoTriggerPart *parts;	/* in the arguments' order, as ... */
	PseudoColumn *columns;		/* ... the columns that hold pseudonyms */

	/* What becomes of the row that is written. */
	bool		is_moved;		/* from another partition */
	int			nset;
	int		   *attnos;
	Datum	   *values;
	bool	   *nulls;
} PseudoTriggerState;

/*
 * Make the state of a trigger for its first row, in the current memory context, which is the executor's.  Checks
 * the trigger and its columns, and warns, once a session, of what will go wrong quietly.
 * Errors: 22023, 39P01, those of pseudo_columns_find(), and 0A000 for random pseudonyms in a reference table of
 * Citus.
 */
extern PseudoTriggerState *pseudo_trigger_state(FunctionCallInfo fcinfo);

#endif							/* PSEUDO_TRIGGER_STATE_H */
