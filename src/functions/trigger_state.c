/*
 * trigger_state.c
 *		What pseudonymize_trigger() knows in one run of the executor, and what it checks first.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "nodes/value.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "citus.h"
#include "replica.h"
#include "trigger_state.h"

/* The triggers (OIDs) that this session has checked with warnings, which come once. */
static List *checked_triggers = NIL;

/* ---- Checks ---- */

/* Check that the function is called as the trigger that it is. */
static void
check_event(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pseudonymize_trigger() is a trigger function")));
	if (!TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be BEFORE INSERT OR UPDATE and FOR EACH ROW",
						data->tg_trigger->tgname)));
}

/* Refuse random pseudonyms where each node makes its own: Citus's copies of a row would differ. */
static void
check_citus(const TriggerData *data, const PseudoTriggerState *state)
{
	bool		is_random = false;
	PseudoCitus citus;

	for (int i = 0; i < state->ncolumns; i++)
		is_random |= state->parts[i].label->mode == PSEUDO_MODE_RANDOM;
	if (!is_random)
		return;
	pseudo_citus_find(&citus, data->tg_relation);
	if (citus.kind == PSEUDO_CITUS_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" of relation \"%s\" makes random pseudonyms, and the relation is a reference table of Citus",
						data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation)),
				 errdetail("Every node would make a pseudonym of its own, and the copies of the table would differ."),
				 errhint("Give the trigger the argument deterministic=true, or its columns deterministic labels, or pseudonymize the value in the INSERT.")));
}

/* Warn of what a subscription will make of a table. */
static void
warn_of_subscription(const TriggerData *data, const PseudoTriggerState *state)
{
	Relation	rel = data->tg_relation;

	if (!pseudo_replica_is_subscribed(rel))
		return;
	if (data->tg_trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN)
		ereport(WARNING,
				(errmsg("trigger \"%s\" of relation \"%s\" does not fire for what a subscription writes",
						data->tg_trigger->tgname, RelationGetRelationName(rel)),
				 errdetail("What comes from the publisher is not pseudonymized."),
				 errhint("Use ALTER TABLE ... ENABLE ALWAYS TRIGGER %s.",
						 quote_identifier(data->tg_trigger->tgname))));
	for (int i = 0; i < state->ncolumns; i++)
	{
		if (pseudo_replica_finds_by(rel, state->columns[i].attno))
			ereport(WARNING,
					(errmsg("a subscription finds rows of relation \"%s\" by column \"%s\", which is pseudonymized here",
							RelationGetRelationName(rel), state->columns[i].name),
					 errdetail("Rows that the publisher updates or deletes would not be found."),
					 errhint("Give both sides a replica identity without this column, a primary key for example.")));
	}
}

/* Warn of what will go wrong quietly; once a session for each trigger. */
static void
check_quiet_faults(const TriggerData *data, const PseudoTriggerState *state)
{
	MemoryContext caller;

	if (list_member_oid(checked_triggers, data->tg_trigger->tgoid))
		return;
	for (int i = 0; i < state->ncolumns; i++)
	{
		const PseudoTriggerPart *part = &state->parts[i];

		if (part->label->mode == PSEUDO_MODE_DETERMINISTIC)
			pseudo_column_warn_equality(part->label->into ? &part->source : &state->columns[i],
										data->tg_relation);
	}
	if (!state->is_apply)
		warn_of_subscription(data, state);
	caller = MemoryContextSwitchTo(TopMemoryContext);
	checked_triggers = lappend_oid(checked_triggers, data->tg_trigger->tgoid);
	MemoryContextSwitchTo(caller);
}

/* ---- State ---- */

/* The group of a label, made where it is the first of it. */
static PseudoTriggerGroup *
get_group(PseudoTriggerState *state, const PseudoLabel *label)
{
	PseudoTriggerGroup *group = state->groups;

	while (group < state->groups + state->ngroups)
	{
		if (pseudo_label_same_pseudonyms(group->label, label))
			return group;
		group++;
	}
	state->ngroups++;
	group->label = label;
	group->context = cstring_to_text(label->context);
	group->keyring = cstring_to_text(label->keyring);
	return group;
}

/* Make a set of the deterministic columns of a group, or of all where that is NULL; none where there are none. */
static void
make_set(PseudoTriggerState *state, const PseudoTriggerGroup *group)
{
	PseudoTriggerSet *set = &state->sets[state->nsets];

	set->columns = palloc(state->ncolumns * sizeof(PseudoColumn));
	set->groups = palloc(state->ncolumns * sizeof(PseudoTriggerGroup *));
	set->calls = palloc(state->ncolumns * sizeof(PseudoCall *));
	set->converted = palloc(state->ncolumns * sizeof(int));
	for (int i = 0; i < state->ncolumns; i++)
	{
		PseudoTriggerPart *part = &state->parts[i];

		if (part->label->mode != PSEUDO_MODE_DETERMINISTIC || (group && part->group != group))
			continue;
		part->set = set;
		set->columns[set->n] = state->columns[i];
		set->groups[set->n] = part->group;
		set->calls[set->n++] = &part->group->call;
	}
	state->nsets += set->n > 0;
}

/* Sort the deterministic columns into sets. */
static void
make_sets(PseudoTriggerState *state, Relation rel)
{
	state->sets = palloc0(state->ngroups * sizeof(PseudoTriggerSet));
	make_set(state, NULL);
	if (state->ngroups == 1 || state->nsets == 0 ||
		pseudo_unique_mixes(rel, state->sets[0].columns, state->sets[0].calls, state->sets[0].n))
		return;
	memset(state->sets, 0, sizeof(PseudoTriggerSet));
	state->nsets = 0;
	for (int i = 0; i < state->ngroups; i++)
		make_set(state, &state->groups[i]);
}

/* Find the columns, and sort them into groups. */
static void
take_columns(PseudoTriggerState *state, Relation rel)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, state->arguments.columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);

		names = lappend(names, makeString(column->label.into ? column->label.into : column->name));
	}
	pseudo_columns_find(state->columns, rel, names);
	foreach(cell, state->arguments.columns)
	{
		int			no = foreach_current_index(cell);
		PseudoTriggerColumn *column = lfirst(cell);
		PseudoTriggerPart *part = &state->parts[no];

		part->label = &column->label;
		part->group = get_group(state, &column->label);
		if (column->label.into)
			pseudo_columns_find_sources(&part->source, rel, list_make1(makeString(column->name)));
	}
	make_sets(state, rel);
}

/* See trigger_state.h. */
PseudoTriggerState *
pseudo_trigger_state(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoTriggerState *state;
	int			n;

	check_event(fcinfo);
	state = palloc0(sizeof(PseudoTriggerState));
	pseudo_trigger_arguments(&state->arguments, data->tg_trigger);
	n = state->ncolumns = list_length(state->arguments.columns);
	state->groups = palloc0(n * sizeof(PseudoTriggerGroup));
	state->parts = palloc0(n * sizeof(PseudoTriggerPart));
	state->columns = palloc(n * sizeof(PseudoColumn));
	state->attnos = palloc(n * sizeof(int));
	state->values = palloc(n * sizeof(Datum));
	state->nulls = palloc(n * sizeof(bool));
	take_columns(state, data->tg_relation);
	check_citus(data, state);
	state->is_apply = IsLogicalWorker() && pseudo_replica_is_subscribed(data->tg_relation);
	check_quiet_faults(data, state);
	pseudo_rows_begin(&state->rows, data, state->arguments.columns, state->columns, CurrentMemoryContext);
	return state;
}
