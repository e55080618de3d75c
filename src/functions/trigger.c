/*
 * trigger.c
 *		pseudonymize_trigger(), the trigger that pseudonymizes what is written.
 *
 * It works with the rights of the table's owner, in a partitioned table the
 * leaf's, so that a writer needs none.  A writer could therefore use it to plant a
 * pseudonym that they saw and read it through a view: whatever is shaped like a
 * pseudonym is refused, unless PostgreSQL itself brings back what this trigger made,
 * a bulk procedure writes, or the argument "existing" says otherwise.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "nodes/value.h"
#include "replication/logicalworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "bulk_written.h"
#include "citus.h"
#include "replica.h"
#include "spelling.h"
#include "trigger.h"
#include "trigger_rows.h"
#include "unique.h"
#include "upsert.h"
#include "watch.h"

/* What a trigger knows in one run of the executor; in fn_extra. */
typedef struct TriggerState
{
	PseudoTriggerArguments arguments;
	PseudoLabel *label;
	text	   *context;
	text	   *keyring;
	PseudoCall	call;
	PseudoRows	rows;
	PseudoUnique *unique;		/* what compares the columns, or NULL as long
								 * as that does not matter */
	uint32		key_id;			/* that the row's first value was
								 * pseudonymized under, or 0 */
	bool		is_apply;		/* a subscription writes */
	int			ncolumns;
	PseudoColumn columns[FLEXIBLE_ARRAY_MEMBER];
} TriggerState;

/* The triggers (OIDs) that this session has checked with warnings, which come once. */
static List *checked_triggers = NIL;

PG_FUNCTION_INFO_V1(pseudo_pseudonymize_trigger);

/* ---- State ---- */

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
check_citus(const TriggerData *data, const PseudoLabel *label)
{
	PseudoCitus citus;

	if (label->mode == PSEUDO_MODE_DETERMINISTIC)
		return;
	pseudo_citus_find(&citus, data->tg_relation);
	if (citus.kind == PSEUDO_CITUS_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" of relation \"%s\" makes random pseudonyms, and the relation is a reference table of Citus",
						data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation)),
				 errdetail("Every node would make a pseudonym of its own, and the copies of the table would differ."),
				 errhint("Give the trigger the argument deterministic=true, or pseudonymize the value in the INSERT.")));
}

/* Warn of what a subscription will make of a table. */
static void
warn_of_subscription(const TriggerData *data, const TriggerState *state)
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
check_quiet_faults(const TriggerData *data, const TriggerState *state)
{
	MemoryContext caller;

	if (list_member_oid(checked_triggers, data->tg_trigger->tgoid))
		return;
	for (int i = 0; (state->label->mode == PSEUDO_MODE_DETERMINISTIC) && i < state->ncolumns; i++)
		pseudo_column_warn_equality(&state->columns[i], data->tg_relation);
	if (!state->is_apply)
		warn_of_subscription(data, state);
	caller = MemoryContextSwitchTo(TopMemoryContext);
	checked_triggers = lappend_oid(checked_triggers, data->tg_trigger->tgoid);
	MemoryContextSwitchTo(caller);
}

/* The trigger's state, made on its first row. */
static TriggerState *
get_state(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	MemoryContext mcxt = fcinfo->flinfo->fn_mcxt;
	MemoryContext caller;
	PseudoTriggerArguments arguments;
	List	   *names = NIL;
	ListCell   *cell;
	TriggerState *state = fcinfo->flinfo->fn_extra;

	if (likely(state != NULL))
		return state;
	check_event(fcinfo);
	caller = MemoryContextSwitchTo(mcxt);
	pseudo_trigger_arguments(&arguments, data->tg_trigger);
	state = palloc0(offsetof(TriggerState, columns) +
					list_length(arguments.columns) * sizeof(PseudoColumn));
	state->arguments = arguments;
	state->label = &((PseudoTriggerColumn *) linitial(arguments.columns))->label;
	state->context = cstring_to_text(state->label->context);
	state->keyring = cstring_to_text(state->label->keyring);
	state->ncolumns = list_length(arguments.columns);
	foreach(cell, arguments.columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);

		names = lappend(names, makeString(column->name));
		if (column->label.into || !pseudo_trigger_agrees(&arguments, column->name, state->label))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("trigger \"%s\" has columns with different labels, which is not built yet",
							data->tg_trigger->tgname)));
	}
	pseudo_columns_find(state->columns, data->tg_relation, names);
	check_citus(data, state->label);
	state->is_apply = IsLogicalWorker() && pseudo_replica_is_subscribed(data->tg_relation);
	check_quiet_faults(data, state);
	pseudo_rows_begin(&state->rows, data, &state->arguments, state->columns, state->ncolumns, mcxt);
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
get_call(FunctionCallInfo fcinfo, TriggerState *state)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoCall *call = &state->call;

	AcceptInvalidationMessages();
	if (likely(call->generation == pseudo_generation &&
			   call->statement == GetCurrentStatementStartTimestamp()))
		return call;
	pseudo_call_prepare_role(call, data->tg_relation->rd_rel->relowner, fcinfo->flinfo->fn_oid,
							 PSEUDO_RIGHT_PSEUDONYMIZE, state->context, state->keyring,
							 fcinfo->flinfo->fn_mcxt);
	return call;
}

/* ---- Rows ---- */

/* Returns true if an UPDATE leaves a value as it is. */
static bool
is_old(const TriggerData *data, const PseudoColumn *column, Datum value)
{
	bool		isnull;
	Datum		old = heap_getattr(data->tg_trigtuple, column->attno,
								   RelationGetDescr(data->tg_relation), &isnull);

	return !isnull && pseudo_column_same(old, value);
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

/* What to do about a value that looks like a pseudonym. */
static int
hint_existing(const TriggerState *state)
{
	if (state->is_apply)
		return errhint("A subscription that brings pseudonyms, or rows that have them already, needs existing=keep in the trigger, or one that it does not fire: ALTER TABLE ... ENABLE TRIGGER. "
					   "Until then it tries again; ALTER SUBSCRIPTION ... DISABLE stops it.");
	if (state->label->existing == PSEUDO_EXISTING_KEEP)
		return errhint("With existing=keep, only a role with the privileges of the table's owner may write pseudonyms.");
	return errhint("Write the value itself. For restores the trigger takes existing=keep, for columns of such values existing=value.");
}

/* Report a value that would perhaps be encrypted twice; it is not shown. */
static void
__attribute__((noreturn))
report_existing(TriggerData *data, TriggerState *state, const PseudoColumn *column, const text *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new value for column \"%s\" of relation \"%s\" looks like a pseudonym",
					column->name, RelationGetRelationName(data->tg_relation)),
			 pseudo_looks_like_pseudonym(value) ?
			 errdetail("Canonical base64 text of at least %d bytes is not pseudonymized again.",
					   PSEUDO_OVERHEAD) :
			 errdetail("It has white space or quotes in it, lacks padding, or is spelled as in a URL."),
			 hint_existing(state),
			 err_generic_string(PG_DIAG_COLUMN_NAME, column->name)));
}

/* Report a pseudonym that existing=keep does not keep. */
static void
__attribute__((noreturn))
report_not_authentic(TriggerData *data, const TriggerState *state, const PseudoColumn *column)
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

/* Returns true if a bulk procedure of this backend writes a value, or a foreign key that follows it. */
static bool
is_bulk(TriggerData *data, const TriggerState *state, const PseudoColumn *column, text *value)
{
	bool		isnull;
	Datum		old = heap_getattr(data->tg_trigtuple, column->attno,
								   RelationGetDescr(data->tg_relation), &isnull);

	return pseudo_written_has(RelationGetRelid(data->tg_relation), &data->tg_trigtuple->t_self,
							  column->attno, value) ||
		(!isnull && pseudo_written_replaces(pseudo_column_get(column, old), value,
											state->label->context, state->label->keyring));
}

/*
 * Returns true if a value that is shaped like a pseudonym may stay as it is, and false if it is to be
 * pseudonymized like any other.  Sets *moved if it is part of a row that is moved.
 */
static bool
stays(FunctionCallInfo fcinfo, TriggerState *state, const PseudoColumn *column,
	  Datum value, text *pseudonym, bool *moved)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	PseudoOpened opened;

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		if (pseudo_rows_excluded(&state->rows, data, column, value) ||
			is_bulk(data, state, column, pseudonym))
			return true;
	}
	else if (pseudo_rows_moved(&state->rows, data, column, value))
	{
		*moved = true;
		return true;
	}
	if (state->label->existing == PSEUDO_EXISTING_VALUE)
		return false;
	if (state->label->existing == PSEUDO_EXISTING_ERROR ||
		!pseudo_looks_like_pseudonym(pseudonym) ||
		!has_privs_of_role(GetUserId(), data->tg_relation->rd_rel->relowner))
		report_existing(data, state, column, pseudonym);
	if (!pseudo_open(get_call(fcinfo, state), pseudonym, true, &opened))
		report_not_authentic(data, state, column);
	pfree(opened.value);
	return true;
}

/* Put the pseudonym of a column's new value into *value; false where it stays as it is. */
static bool
convert_new_value(FunctionCallInfo fcinfo, TriggerState *state, PseudoColumn *column,
				  HeapTuple new, Datum *value, bool *moved)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		isnull;
	text	   *plain;

	*value = heap_getattr(new, column->attno, desc, &isnull);
	if (isnull ||
		(TRIGGER_FIRED_BY_UPDATE(data->tg_event) &&
		 is_old(data, column, *value)))
		return false;
	plain = pseudo_column_get(column, *value);
	if ((pseudo_looks_like_pseudonym(plain) || pseudo_is_misspelled(plain)) &&
		stays(fcinfo, state, column, *value, plain, moved))
		return false;
	if (unlikely(state->is_apply))
		check_apply(data, column);
	pseudo_watch_use(get_call(fcinfo, state), 1);
	plain = pseudo_seal_value(&state->call, plain, (state->label->mode == PSEUDO_MODE_DETERMINISTIC));
	pseudo_count(state->call.count, PSEUDO_COUNT_PSEUDONYMIZED, 1);
	if (state->key_id == 0)
		state->key_id = state->call.keyring->primary->id;
	*value = pseudo_column_put(column, data->tg_relation, plain, fcinfo->flinfo->fn_mcxt);
	return true;
}

/* The constraints that compare the columns, looked up where that is needed. */
static PseudoUnique *
get_unique(FunctionCallInfo fcinfo, TriggerState *state)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

	if (!state->unique)
		state->unique = pseudo_unique_begin(data->tg_relation, state->columns, state->ncolumns,
											pseudo_upsert_lock_mode(fcinfo));
	MemoryContextSwitchTo(caller);
	return state->unique;
}

/*
 * Let a row keep the pseudonyms that its values have already; attnos are the columns that were converted, or all
 * of a row that arrives from another partition.  NULL where
 * the primary key has changed since then.
 */
static HeapTuple
settle(FunctionCallInfo fcinfo, TriggerState *state, HeapTuple new, const int *attnos, int n, bool arrives)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	rel = data->tg_relation;
	HeapTuple	old = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_trigtuple : NULL;

	if (state->label->mode != PSEUDO_MODE_DETERMINISTIC || (n == 0 && old == NULL) ||
		(n == 0 && !pseudo_unique_is_moved(get_unique(fcinfo, state), rel, new, old)))
		return new;
	while (!pseudo_unique_prepare(get_unique(fcinfo, state), get_call(fcinfo, state), rel, true))
		;
	if (unlikely(state->key_id != 0 && state->key_id != state->call.keyring->primary->id))
		return NULL;
	return pseudo_unique_settle(state->unique, &state->call, rel, new, old, attnos, n, arrives);
}

/*
 * pseudonymize_trigger()
 */
Datum
pseudo_pseudonymize_trigger(PG_FUNCTION_ARGS)
{
	TriggerState *state = get_state(fcinfo);
	TriggerData *data = (TriggerData *) fcinfo->context;
	HeapTuple	given = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
		data->tg_newtuple : data->tg_trigtuple;
	HeapTuple	result = given;
	int		   *attnos = palloc(state->ncolumns * sizeof(int));
	Datum	   *values = palloc(state->ncolumns * sizeof(Datum));
	bool	   *nulls = palloc0(state->ncolumns * sizeof(bool));
	bool		moved = false;
	int			n = 0;

	state->key_id = 0;
	for (int i = 0; i < state->ncolumns; i++)
	{
		if (convert_new_value(fcinfo, state, &state->columns[i], result, &values[n], &moved))
			attnos[n++] = state->columns[i].attno;
	}
	if (n > 0)
		result = heap_modify_tuple_by_cols(result, RelationGetDescr(data->tg_relation),
										   n, attnos, values, nulls);
	/* A row that comes from another partition meets the rows of this one. */
	for (n = moved ? 0 : n; moved && n < state->ncolumns; n++)
		attnos[n] = state->columns[n].attno;
	result = settle(fcinfo, state, result, attnos, n, moved);
	if (unlikely(result == NULL))
		return pseudo_pseudonymize_trigger(fcinfo);
	pseudo_rows_note(&state->rows, data, result, result != given, moved);
	return PointerGetDatum(result);
}
