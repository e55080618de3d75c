/*
 * trigger.h
 *		What the bulk procedures know of the trigger.
 */
#ifndef PSEUDO_TRIGGER_H
#define PSEUDO_TRIGGER_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"

/* What to do with a value that is shaped like a pseudonym. */
typedef enum PseudoExisting
{
	PSEUDO_EXISTING_ERROR,
	PSEUDO_EXISTING_KEEP,		/* an authentic one stays, where the owner writes */
	PSEUDO_EXISTING_VALUE		/* it is a value like any other */
} PseudoExisting;

/* The arguments of a trigger. */
typedef struct PseudoTriggerArguments
{
	List	   *columns;		/* of char * */
	bool		is_deterministic;
	char	   *context;
	char	   *keyring;
	PseudoExisting existing;
} PseudoTriggerArguments;

/* Read a trigger's arguments.  Errors: 22023. */
extern void pseudo_trigger_arguments(PseudoTriggerArguments *arguments, const Trigger *trigger);

#endif							/* PSEUDO_TRIGGER_H */
