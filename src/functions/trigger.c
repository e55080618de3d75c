/*
 * trigger.c
 *		pseudonymize_trigger(), the trigger that pseudonymizes what is written.
 *
 * It works with the rights of the table's owner, in a partitioned table the
 * leaf's, so that a writer needs none.  A writer could therefore use it to plant a
 * pseudonym that they saw and read it through a view: whatever is shaped like a
 * pseudonym is refused, unless PostgreSQL itself brings back what this trigger made,
 * a bulk procedure writes, or the argument "existing" says otherwise.
 *
 * Where pseudonyms go into another column, that column is not the writer's: it gets the pseudonym of the source's value
 * or keeps the one that it had, whatever was written there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/relcache.h"

#include "../compat.h"
#include "bulk_written.h"
#include "open.h"
#include "replica.h"
#include "spelling.h"
#include "trigger_state.h"
#include "upsert.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(pseudo_pseudonymize_trigger);

/* The trigger's state, made on its first row. */
static PseudoTriggerState *
get_state(FunctionCallInfo fcinfo)
{
	PseudoTriggerState *state = fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (likely(state != NULL))
		return state;
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	state = pseudo_trigger_state(fcinfo);
	MemoryContextSwitchTo(caller);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

/*
 * The keyring, with the rights of the table's owner; looked up where a value needs it.  A statement may
 * run for hours, a COPY for example: each row asks whether there is a new key meanwhile, or
 * others, who know it, would give the same value another pseudonym.  It costs a few nanoseconds.
 */
static PseudoCall *
trigger_call(FunctionCallInfo fcinfo, PseudoTriggerGroup *group)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoCall *call = &group->call;

	AcceptInvalidationMessages();
	if (likely(call->generation == pseudo_generation &&
			   call->statement == GetCurrentStatementStartTimestamp()))
		return call;
	pseudo_call_prepare_role(call, data->tg_relation->rd_rel->relowner, fcinfo->flinfo->fn_oid,
							 PSEUDO_RIGHT_PSEUDONYMIZE, group->context, group->keyring,
							 fcinfo->flinfo->fn_mcxt);
	return call;
}

/* ---- Values ---- */

/* Returns true if two values, which may be NULL, are the same. */
static bool
is_same(Datum a, bool a_isnull, Datum b, bool b_isnull)
{
	return a_isnull || b_isnull ? a_isnull && b_isnull : pseudo_column_same(a, b);
}

/* Put a value, which the row does not have yet, into a column. */
static void
set_value(PseudoTriggerState *state, const PseudoColumn *column, Datum value, bool isnull)
{
	state->attnos[state->nset] = column->attno;
	state->values[state->nset] = value;
	state->nulls[state->nset++] = isnull;
}

/* Refuse to change what a subscription finds its rows by: the publisher's UPDATE or DELETE would find none. */
static void
check_apply(const TriggerData *data, const PseudoColumn *column)
{
	Relation	rel = data->tg_relation;

	if (pseudo_replica_finds_by(rel, column->attno))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a subscription finds rows of relation \"%s\" by column \"%s\", which is pseudonymized here",
						RelationGetRelationName(rel), column->name),
				 errdetail("Rows that the publisher updates or deletes would not be found, and the subscription would not say so."),
				 errhint("Give both sides a replica identity without this column, a primary key for example. "
						 "Where the publication has only INSERTs, say so with ALTER TABLE ... REPLICA IDENTITY NOTHING on the subscriber. "
						 "Until then the subscription tries again; ALTER SUBSCRIPTION ... DISABLE stops it.")));
}

/* Put the pseudonym of a value into its column. */
static void
set_pseudonym(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, text *value)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoTriggerPart *part = &state->parts[no];
	PseudoTriggerGroup *group = part->group;
	PseudoColumn *column = &state->columns[no];
	bool		is_deterministic = part->label->mode == PSEUDO_MODE_DETERMINISTIC;
	text	   *pseudonym;

	if (unlikely(state->is_apply))
		check_apply(data, column);
	pseudo_watch_use(trigger_call(fcinfo, group), 1);
	pseudonym = pseudo_seal_value(&group->call, value, is_deterministic);
	pseudo_count(group->call.count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	if (group->key_id == 0)
		group->key_id = group->call.keyring->primary->id;
	if (part->set)
		part->set->converted[part->set->nconverted++] = column->attno;
	set_value(state, column,
			  pseudo_column_put(column, data->tg_relation, pseudonym, fcinfo->flinfo->fn_mcxt), false);
}

/* Returns true if a bulk procedure of this backend writes a value, or a foreign key that follows it. */
static bool
is_bulk(TriggerData *data, const PseudoTriggerState *state, int no, text *value)
{
	const PseudoColumn *column = &state->columns[no];
	const PseudoLabel *label = state->parts[no].label;
	bool		isnull;
	Datum		old = heap_getattr(data->tg_trigtuple, column->attno,
								   RelationGetDescr(data->tg_relation), &isnull);

	return pseudo_written_has(RelationGetRelid(data->tg_relation), &data->tg_trigtuple->t_self,
							  column->attno, value) ||
		(!isnull && pseudo_written_replaces(pseudo_column_get(column, old), value,
											label->context, label->keyring));
}

/* Returns true if the current user may write pseudonyms where the label has existing=keep. */
static bool
may_keep(const TriggerData *data, const PseudoLabel *label)
{
	return label->existing == PSEUDO_EXISTING_KEEP &&
		has_privs_of_role(GetUserId(), data->tg_relation->rd_rel->relowner);
}

/* ---- A column that holds its own pseudonyms ---- */

/* Returns true if an UPDATE leaves a value as it is. */
static bool
is_old(const TriggerData *data, const PseudoColumn *column, Datum value)
{
	bool		isnull;
	Datum		old = heap_getattr(data->tg_trigtuple, column->attno,
								   RelationGetDescr(data->tg_relation), &isnull);

	return !isnull && pseudo_column_same(old, value);
}

/* What to do about a value that looks like a pseudonym. */
static int
hint_existing(const PseudoTriggerState *state, const PseudoLabel *label)
{
	if (state->is_apply)
		return errhint("A subscription that brings pseudonyms, or rows that have them already, needs existing=keep in the trigger, or one that it does not fire: ALTER TABLE ... ENABLE TRIGGER. "
					   "Until then it tries again; ALTER SUBSCRIPTION ... DISABLE stops it.");
	if (label->existing == PSEUDO_EXISTING_KEEP)
		return errhint("With existing=keep, only a role with the privileges of the table's owner may write pseudonyms.");
	return errhint("Write the value itself. For restores the trigger takes existing=keep, for columns of such values existing=value.");
}

/* Report a value that would perhaps be encrypted twice; it is not shown. */
static void
__attribute__((noreturn))
report_existing(TriggerData *data, PseudoTriggerState *state, int no, const text *value)
{
	const PseudoColumn *column = &state->columns[no];

	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new value for column \"%s\" of relation \"%s\" looks like a pseudonym",
					column->name, RelationGetRelationName(data->tg_relation)),
			 pseudo_looks_like_pseudonym(value) ?
			 errdetail("Canonical base64 text of at least %d bytes is not pseudonymized again.",
					   PSEUDO_OVERHEAD) :
			 errdetail("It has white space or quotes in it, lacks padding, or is spelled as in a URL."),
			 hint_existing(state, state->parts[no].label),
			 err_generic_string(PG_DIAG_COLUMN_NAME, column->name)));
}

/* Report a pseudonym that existing=keep does not keep. */
static void
__attribute__((noreturn))
report_not_authentic(TriggerData *data, const PseudoTriggerState *state, const PseudoColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("new value for column \"%s\" of relation \"%s\" looks like a pseudonym and does not authenticate",
					column->name, RelationGetRelationName(data->tg_relation)),
			 errdetail("It was made with another key or context, or it has been changed."),
			 state->is_apply ?
			 errhint("Give the trigger the publisher's context and keyring. Until then the subscription tries again; ALTER SUBSCRIPTION ... DISABLE stops it.") : 0,
			 err_generic_string(PG_DIAG_COLUMN_NAME, column->name)));
}

/*
 * Returns true if a value that is shaped like a pseudonym may stay as it is, and false if it is to be
 * pseudonymized like any other.
 */
static bool
stays(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, Datum value, text *pseudonym)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoTriggerPart *part = &state->parts[no];
	PseudoOpened opened;

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		if (pseudo_rows_excluded(&state->rows, data, no, value) || is_bulk(data, state, no, pseudonym))
			return true;
	}
	else if (pseudo_rows_moved(&state->rows, data, no, value))
	{
		state->is_moved = true;
		return true;
	}
	if (part->label->existing == PSEUDO_EXISTING_VALUE)
		return false;
	if (!pseudo_looks_like_pseudonym(pseudonym) || !may_keep(data, part->label))
		report_existing(data, state, no, pseudonym);
	if (!pseudo_open(trigger_call(fcinfo, part->group), pseudonym, true, &opened))
		report_not_authentic(data, state, &state->columns[no]);
	pseudo_opened_wipe(&opened);
	return true;
}

/* Pseudonymize a column's new value where it needs that. */
static void
convert_own(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, HeapTuple new)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoColumn *column = &state->columns[no];
	bool		isnull;
	Datum		value = heap_getattr(new, column->attno, RelationGetDescr(data->tg_relation), &isnull);
	text	   *plain;

	if (isnull ||
		(TRIGGER_FIRED_BY_UPDATE(data->tg_event) && is_old(data, column, value)))
		return;
	plain = pseudo_column_get(column, value);
	if ((pseudo_looks_like_pseudonym(plain) || pseudo_is_misspelled(plain)) &&
		stays(fcinfo, state, no, value, plain))
		return;
	set_pseudonym(fcinfo, state, no, plain);
}

/* ---- A column whose pseudonyms another one gets ---- */

/* A source and its target: as the row was, as it is written. */
typedef struct Pair
{
	Datum		source;
	Datum		target;
	bool		source_isnull;
	bool		target_isnull;
} Pair;

/* Read a pair from a row. */
static void
get_pair(Pair *pair, const PseudoTriggerState *state, int no, HeapTuple row, TupleDesc desc)
{
	pair->source = heap_getattr(row, state->parts[no].source.attno, desc, &pair->source_isnull);
	pair->target = heap_getattr(row, state->columns[no].attno, desc, &pair->target_isnull);
}

/*
 * Returns true if what is written to a target is kept: it is a pseudonym of just the source's value, by existing=keep
 * or a foreign key's own query.
 */
static bool
keeps(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, const Pair *new)
{
	PseudoTriggerPart *part = &state->parts[no];

	if (new->target_isnull ||
		!(may_keep((TriggerData *) fcinfo->context, part->label) || InNoForceRLSOperation()))
		return false;
	return pseudo_opens_to(trigger_call(fcinfo, part->group),
						   pseudo_column_get(&state->columns[no], new->target),
						   pseudo_column_get(&part->source, new->source));
}

/* Returns true if a foreign key has a column. */
static bool
key_has(const ForeignKeyCacheInfo *key, AttrNumber attno)
{
	for (int i = 0; i < key->nkeys; i++)
	{
		if (key->conkey[i] == attno)
			return true;
	}
	return false;
}

/* Returns true if a foreign key to the same table as another one has a column. */
static bool
follows_same_table(List *keys, const ForeignKeyCacheInfo *other, AttrNumber attno)
{
	ListCell   *cell;

	foreach(cell, keys)
	{
		ForeignKeyCacheInfo *key = lfirst(cell);

		if (key->confrelid == other->confrelid && key_has(key, attno))
			return true;
	}
	return false;
}

/*
 * Refuse to undo what a foreign key does to a target: the row would refer to none, and PostgreSQL does not look again.
 * Where the source follows the same table, its own foreign key has brought, or will bring, the value that the pseudonym is made of.
 */
static void
check_cascade(const TriggerData *data, const PseudoTriggerState *state, int no)
{
	Relation	rel = data->tg_relation;
	const PseudoColumn *source = &state->parts[no].source;
	const PseudoColumn *column = &state->columns[no];
	List	   *keys;
	ListCell   *cell;

	if (!InNoForceRLSOperation())	/* a foreign key's own query */
		return;
	keys = RelationGetFKeyList(rel);
	foreach(cell, keys)
	{
		ForeignKeyCacheInfo *key = lfirst(cell);

		if (key_has(key, column->attno) && !follows_same_table(keys, key, source->attno))
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("a foreign key changes column \"%s\" of relation \"%s\", which gets the pseudonyms of column \"%s\"",
							column->name, RelationGetRelationName(rel), source->name),
					 errdetail("That column stays as it is, and so would its pseudonym."),
					 errhint("Give column \"%s\" a foreign key to the same table, with the same action.", source->name)));
	}
}

/* Put into a target what it had before, whatever is written there; NULL where its source is NULL. */
static void
leave_target(const TriggerData *data, PseudoTriggerState *state, int no, const Pair *new, const Pair *old)
{
	if (unlikely(state->is_apply))
		check_apply(data, &state->columns[no]);
	if (!new->source_isnull)
		check_cascade(data, state, no);
	set_value(state, &state->columns[no], old->target, new->source_isnull);
}

/*
 * Returns true if somebody sets a target to NULL that has no pseudonym which could stay: so text of before the trigger
 * is taken out of it.  What a foreign key does is not meant.
 */
static bool
is_emptied(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, const Pair *new, const Pair *old)
{
	PseudoOpened opened;
	text	   *held;

	if (!new->target_isnull || InNoForceRLSOperation())
		return false;
	held = pseudo_column_get(&state->columns[no], old->target);
	if (!pseudo_looks_like_pseudonym(held) || !pseudo_try_open(trigger_call(fcinfo, state->parts[no].group), held, &opened))
		return true;
	pseudo_opened_wipe(&opened);
	return false;
}

/* Returns true if a target gets what is written to it. */
static bool
may_write(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, const Pair *new, bool is_changed)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (new->target_isnull)
		return false;
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event) && pseudo_rows_moved(&state->rows, data, no, new->target))
		return state->is_moved = true;
	return (!is_changed && is_bulk(data, state, no, pseudo_column_get(&state->columns[no], new->target))) ||
		keeps(fcinfo, state, no, new);
}

/* Fill a target with the pseudonym of its source's new value. */
static void
convert_into(FunctionCallInfo fcinfo, PseudoTriggerState *state, int no, HeapTuple given)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		is_changed = true;
	Pair		new;
	Pair		old = {.target_isnull = true};

	get_pair(&new, state, no, given, desc);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		get_pair(&old, state, no, data->tg_trigtuple, desc);
		is_changed = !is_same(new.source, new.source_isnull, old.source, old.source_isnull);
	}
	if (new.source_isnull)
	{
		if (!new.target_isnull)
			leave_target(data, state, no, &new, &old);
	}
	else if (!is_changed && !old.target_isnull && is_same(new.target, new.target_isnull, old.target, false))
		return;
	else if (may_write(fcinfo, state, no, &new, is_changed))
		return;
	else if (!is_changed && !old.target_isnull && !is_emptied(fcinfo, state, no, &new, &old))
		leave_target(data, state, no, &new, &old);
	else
		set_pseudonym(fcinfo, state, no, pseudo_column_get(&state->parts[no].source, new.source));
}

/* ---- Rows ---- */

/* The constraints that compare a set's columns, looked up where that is needed. */
static PseudoUnique *
get_unique(FunctionCallInfo fcinfo, PseudoTriggerSet *set)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

	if (!set->unique)
		set->unique = pseudo_unique_begin(data->tg_relation, set->columns, set->calls, set->n,
										  pseudo_upsert_lock_mode(fcinfo));
	MemoryContextSwitchTo(caller);
	return set->unique;
}

/* Look the calls of a set up, so that all are of now. */
static void
get_calls(FunctionCallInfo fcinfo, PseudoTriggerSet *set)
{
	bool		are_ready;

	do
	{
		are_ready = true;
		for (int i = 0; i < set->n; i++)
			(void) trigger_call(fcinfo, set->groups[i]);
		for (int i = 0; i < set->n; i++)
			are_ready &= set->calls[i]->generation == pseudo_generation;
	} while (unlikely(!are_ready));
}

/* Returns true if a key of a set's columns is another one than the row's values were pseudonymized under. */
static bool
has_new_key(const PseudoTriggerSet *set)
{
	for (int i = 0; i < set->n; i++)
	{
		if (set->groups[i]->key_id != 0 && set->groups[i]->key_id != set->calls[i]->keyring->primary->id)
			return true;
	}
	return false;
}

/*
 * Let a row keep the pseudonyms that the values of a set have already: of the columns that were converted, or of all
 * where the row arrives from another partition.  NULL where the primary key has changed since then.
 */
static HeapTuple
settle(FunctionCallInfo fcinfo, PseudoTriggerSet *set, HeapTuple new, bool arrives)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	rel = data->tg_relation;
	HeapTuple	old = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_trigtuple : NULL;

	/* A row that comes from another partition meets the rows of this one. */
	if (arrives)
	{
		set->nconverted = set->n;
		for (int i = 0; i < set->n; i++)
			set->converted[i] = set->columns[i].attno;
	}
	if ((set->nconverted == 0 && old == NULL) ||
		(set->nconverted == 0 && !pseudo_unique_is_moved(get_unique(fcinfo, set), rel, new, old)))
		return new;
	do
		get_calls(fcinfo, set);
	while (!pseudo_unique_prepare(get_unique(fcinfo, set), rel, true));
	if (unlikely(has_new_key(set)))
		return NULL;
	return pseudo_unique_settle(set->unique, rel, new, old, set->converted, set->nconverted, arrives);
}

/* Begin with a row. */
static void
reset_row(PseudoTriggerState *state)
{
	state->is_moved = false;
	state->nset = 0;
	for (int i = 0; i < state->ngroups; i++)
		state->groups[i].key_id = 0;
	for (int i = 0; i < state->nsets; i++)
		state->sets[i].nconverted = 0;
}

/*
 * pseudonymize_trigger()
 */
Datum
pseudo_pseudonymize_trigger(PG_FUNCTION_ARGS)
{
	PseudoTriggerState *state = get_state(fcinfo);
	TriggerData *data = (TriggerData *) fcinfo->context;
	HeapTuple	given = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
		data->tg_newtuple : data->tg_trigtuple;
	HeapTuple	result = given;

	reset_row(state);
	for (int i = 0; i < state->ncolumns; i++)
	{
		if (state->parts[i].label->into)
			convert_into(fcinfo, state, i, given);
		else
			convert_own(fcinfo, state, i, given);
	}
	if (state->nset > 0)
		result = heap_modify_tuple_by_cols(given, RelationGetDescr(data->tg_relation),
										   state->nset, state->attnos, state->values, state->nulls);
	for (int i = 0; i < state->nsets; i++)
	{
		result = settle(fcinfo, &state->sets[i], result, state->is_moved);
		if (unlikely(result == NULL))
			return pseudo_pseudonymize_trigger(fcinfo);
	}
	pseudo_rows_note(&state->rows, data, result, result != given, state->is_moved);
	return PointerGetDatum(result);
}
