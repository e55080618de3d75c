/*
 * coverage_pair.c
 *		The keyrings and contexts under which pseudo_coverage() opens pseudonyms.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "../compat.h"
#include "coverage.h"
#include "subtransaction.h"
#include "trigger.h"

/* A pair to be prepared. */
typedef struct Preparation
{
	PseudoCoverage *coverage;
	PseudoPair *pair;
} Preparation;

/* See coverage.h. */
PseudoCall *
pseudo_pair_call(PseudoCoverage *coverage, PseudoPair *pair)
{
	if (unlikely(pair->call.generation != pseudo_generation))
		pseudo_call_prepare_role(&pair->call, GetUserId(), coverage->called, PSEUDO_RIGHT_PSEUDONYMIZE,
								 cstring_to_text(pair->context), cstring_to_text(pair->keyring),
								 coverage->mcxt);
	return &pair->call;
}

/* Prepare a pair, for pseudo_subtransaction(). */
static void
prepare_pair(void *arg)
{
	Preparation *preparation = arg;

	pseudo_pair_call(preparation->coverage, preparation->pair);
}

/* See coverage.h. */
PseudoPair *
pseudo_pair(PseudoCoverage *coverage, const char *keyring, const char *context)
{
	MemoryContext caller = MemoryContextSwitchTo(coverage->mcxt);
	Preparation preparation = {.coverage = coverage};
	PseudoPair *pair;
	ErrorData  *error;
	ListCell   *cell;

	foreach(cell, coverage->pairs)
	{
		pair = lfirst(cell);
		if (strcmp(pair->keyring, keyring) == 0 && strcmp(pair->context, context) == 0)
		{
			MemoryContextSwitchTo(caller);
			return pair;
		}
	}
	pair = palloc0(sizeof(PseudoPair));
	pair->keyring = pstrdup(keyring);
	pair->context = pstrdup(context);
	preparation.pair = pair;
	error = pseudo_subtransaction(prepare_pair, &preparation);
	if (error)
		pair->why = psprintf("keyring \"%s\" cannot be used: %s", keyring, error->message);
	coverage->pairs = lappend(coverage->pairs, pair);
	MemoryContextSwitchTo(caller);
	return pair;
}

/* ---- Of labels ---- */

/* A label that is read. */
typedef struct StoredLabel
{
	char	   *string;
	PseudoLabel label;
} StoredLabel;

/* Read a label, for pseudo_subtransaction(). */
static void
read_label(void *arg)
{
	StoredLabel *stored = arg;

	pseudo_label_parse(&stored->label, stored->string);
}

/* Take the pair of a stored label; one that cannot be read is told of with its relation. */
static void
take_stored_label(PseudoCoverage *coverage, char *string)
{
	StoredLabel stored = {.string = string};

	if (pseudo_subtransaction(read_label, &stored) == NULL && pseudo_label_pseudonymizes(&stored.label))
		pseudo_pair(coverage, stored.label.keyring, stored.label.context);
}

/* Find the pairs of all labels of the database. */
static void
find_in_labels(PseudoCoverage *coverage)
{
	Relation	rel = table_open(SecLabelRelationId, AccessShareLock);
	List	   *strings = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *cell;

	ScanKeyInit(&key, Anum_pg_seclabel_provider, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(PSEUDO_LABEL_PROVIDER));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		label = heap_getattr(tuple, Anum_pg_seclabel_label, RelationGetDescr(rel), &isnull);

		if (!isnull)
			strings = lappend(strings, TextDatumGetCString(label));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	foreach(cell, strings)
		take_stored_label(coverage, lfirst(cell));
}

/* ---- Of triggers ---- */

/* A trigger whose arguments are read. */
typedef struct StoredTrigger
{
	Trigger		trigger;
	PseudoTriggerArguments arguments;
} StoredTrigger;

/* Read a trigger's arguments, for pseudo_subtransaction(). */
static void
read_trigger(void *arg)
{
	StoredTrigger *stored = arg;

	pseudo_trigger_arguments(&stored->arguments, &stored->trigger);
}

/* The name and arguments of a trigger in the catalog, palloc'ed; the arguments end with a zero each. */
static StoredTrigger *
copy_trigger(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	StoredTrigger *stored = palloc0(sizeof(StoredTrigger));
	bool		isnull;
	bytea	   *args = DatumGetByteaP(heap_getattr(tuple, Anum_pg_trigger_tgargs, desc, &isnull));
	char	   *s = VARDATA(args);

	stored->trigger.tgname = pstrdup(NameStr(form->tgname));
	stored->trigger.tgnargs = form->tgnargs;
	stored->trigger.tgargs = palloc0(Max(form->tgnargs, 1) * sizeof(char *));
	for (int i = 0; i < form->tgnargs; i++)
	{
		stored->trigger.tgargs[i] = s;
		s += strlen(s) + 1;
	}
	return stored;
}

/* Take the pairs of a trigger; one that cannot be read is told of with its relation. */
static void
take_stored_trigger(PseudoCoverage *coverage, StoredTrigger *stored)
{
	ListCell   *cell;

	if (pseudo_subtransaction(read_trigger, stored) != NULL)
		return;
	foreach(cell, stored->arguments.columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);

		pseudo_pair(coverage, column->label.keyring, column->label.context);
	}
}

/* Find the pairs of all triggers of the database. */
static void
find_in_triggers(PseudoCoverage *coverage)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	List	   *triggers = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *cell;

	ScanKeyInit(&key, Anum_pg_trigger_tgfoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(coverage->trigger));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!OidIsValid(((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid))
			triggers = lappend(triggers, copy_trigger(tuple, RelationGetDescr(rel)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	foreach(cell, triggers)
		take_stored_trigger(coverage, lfirst(cell));
}

/* See coverage.h. */
void
pseudo_pairs_find(PseudoCoverage *coverage)
{
	find_in_labels(coverage);
	find_in_triggers(coverage);
	pseudo_pair(coverage, "pseudo", "");
}

/* See coverage.h. */
char *
pseudo_pair_name(const PseudoPair *pair)
{
	return *pair->context == '\0' ? psprintf("keyring \"%s\"", pair->keyring) :
		psprintf("keyring \"%s\", context \"%s\"", pair->keyring, pair->context);
}
