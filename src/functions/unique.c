/*
 * unique.c
 *		One value, one pseudonym, in what PostgreSQL compares.
 *
 * The look-up asks what PostgreSQL's own check will ask: is there a row with these values in all columns of the
 * index?  It asks for each combination of pseudonyms under the enabled keys, and sees what other
 * transactions have written and not yet committed, as that check does.
 *
 * Between the look-up and the row's entry in the index nothing may make the answer wrong:
 * - A row whose pseudonym is taken is locked as a foreign key locks it, so that it is neither
 *	 deleted nor moved to another key before this transaction ends.  An INSERT that ON CONFLICT may turn into an
 *	 UPDATE takes that one's lock at once: two sessions that share a weaker one could not both get it.
 * - Two rows of one new value meet in the index where they are made with the same key.  Transactions that
 *	 write with different keys are kept apart; see unique_keys.c.
 * - A row that enters an index with a pseudonym that it had before, because an UPDATE changes another column or moves it
 *	 to another partition, gets the pseudonym that the transaction would make, for the same reason.  Only where
 *	 foreign keys refer to the column it keeps its own.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"

#include "unique_parts.h"

/* The pseudonyms that a column may have. */
typedef struct Choices
{
	bool		is_free;		/* may it be another one than it is? */
	int			n;				/* 0: not yet known */
	Datum	   *values;			/* the first is what it is */
} Choices;

/* A row that is being settled. */
typedef struct Settling
{
	PseudoUnique *unique;
	Relation	rel;
	ItemPointer self;			/* where the row was, or NULL */
	Choices    *choices;		/* of each column */
	bool	   *enters;			/* each column: into an index, as it was */
	int		   *attnos;			/* columns that may have to change */
	int			n;
	bool		is_changed;
} Settling;

/* ---- Pseudonyms ---- */

/* A pseudonym as a value of its column; false where that is too narrow, and so cannot have it. */
static bool
as_value(const PseudoColumn *column, Relation rel, text *pseudonym, Datum *value)
{
	PseudoColumn plain = *column;

	plain.is_domain = false;	/* what is there has been checked */
	if (column->limit >= 0 && VARSIZE_ANY_EXHDR(pseudonym) > (size_t) column->limit)
		return false;
	*value = pseudo_column_put(&plain, rel, pseudonym, CurrentMemoryContext);
	return true;
}

/* Find the pseudonyms that a column may have: the one that it has, and those of its value under the other keys. */
static void
find_choices(Settling *s, int no)
{
	PseudoColumn *column = &s->unique->columns[no];
	PseudoCall *call = s->unique->calls[no];
	Choices    *choices = &s->choices[no];
	Datum		value = s->unique->row->tts_values[column->attno - 1];
	bool		is_free = choices->is_free && !s->unique->row->tts_isnull[column->attno - 1];
	text	   *pseudonym = is_free ? pseudo_column_get(column, value) : NULL;
	PseudoOpened opened;

	is_free = is_free && pseudo_looks_like_pseudonym(pseudonym) &&
		pseudo_open(call, pseudonym, true, &opened);
	choices->values = palloc((is_free ? call->keyring->nkeys : 1) * sizeof(Datum));
	choices->values[choices->n++] = value;
	for (int i = 0; is_free && i < call->keyring->nkeys; i++)
	{
		PseudoKey  *key = &call->keyring->keys[i];

		if (key != opened.key && key->status == PSEUDO_KEY_ENABLED &&
			as_value(column, s->rel, pseudo_seal_under(call, key, VARDATA(opened.value), opened.len), &choices->values[choices->n]))
			choices->n++;
	}
	if (is_free)
	{
		pseudo_opened_wipe(&opened);
	}
}

/* Put a combination of pseudonyms into the row. */
static void
place(Settling *s, Compared *compared, const int *chosen)
{
	ExprContext *context = GetPerTupleExprContext(s->unique->estate);
	TupleTableSlot *row = s->unique->row;
	ListCell   *cell;

	for (int i = 0; i < compared->nvaried; i++)
	{
		int			no = compared->varied[i];

		row->tts_values[s->unique->columns[no].attno - 1] = s->choices[no].values[chosen[i]];
	}
	context->ecxt_scantuple = row;
	foreach(cell, compared->generated)
	{
		Generated  *column = lfirst(cell);

		row->tts_values[column->attno - 1] =
			ExecEvalExprSwitchContext(column->value, context, &row->tts_isnull[column->attno - 1]);
	}
}

/* Go on to the next combination; false where that was the last one. */
static bool
next_combination(Settling *s, Compared *compared, int *chosen)
{
	for (int i = 0; i < compared->nvaried; i++)
	{
		if (++chosen[i] < s->choices[compared->varied[i]].n)
			return true;
		chosen[i] = 0;
	}
	return false;
}

/* ---- Indexes ---- */

/* Give the row the pseudonyms that an index has; it keeps its own where there are none. */
static void
settle_in(Settling *s, Compared *compared, Relation table, Relation index)
{
	int		   *chosen = palloc0(compared->nvaried * sizeof(int));
	bool		passes_self = true;
	Finding		result;

	for (int i = 0; i < compared->nvaried; i++)
		passes_self &= s->enters[compared->varied[i]];
	do
	{
		bool		is_first = true;

		CHECK_FOR_INTERRUPTS();
		memset(chosen, 0, compared->nvaried * sizeof(int));
		do
		{
			place(s, compared, chosen);
			result = pseudo_unique_look_in(s->unique, compared, table, index, s->self, passes_self, is_first);
			is_first = false;
		} while (result == NOT_FOUND && next_combination(s, compared, chosen));
	} while (result == WAITED);

	for (int i = 0; i < compared->nvaried; i++)
	{
		Choices    *choices = &s->choices[compared->varied[i]];

		s->is_changed |= chosen[i] != 0;
		choices->values[0] = choices->values[chosen[i]];
		if (result == FOUND)
			choices->n = 1;		/* the other constraints have to take it */
	}
	place(s, compared, memset(chosen, 0, compared->nvaried * sizeof(int)));
	pfree(chosen);
}

/* ---- Rows ---- */

/* Returns true if a column has the same bytes in two rows. */
static bool
has_same(TupleDesc desc, HeapTuple a, HeapTuple b, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
	bool		null_a;
	bool		null_b;
	Datum		value_a = heap_getattr(a, attno, desc, &null_a);
	Datum		value_b = heap_getattr(b, attno, desc, &null_b);

	if (null_a || null_b)
		return null_a && null_b;
	return datum_image_eq(value_a, value_b, att->attbyval, att->attlen);
}

/* Returns true if an UPDATE changed a column that is compared beside the pseudonyms. */
static bool
is_moved(Compared *compared, TupleDesc desc, HeapTuple new, HeapTuple old)
{
	int			member = -1;

	while (old && (member = bms_next_member(compared->others, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno == 0 || (attno > 0 && !has_same(desc, new, old, attno)))
			return true;
	}
	return false;
}

/* Returns true if one of a constraint's columns is among those that were converted. */
static bool
has_converted(PseudoUnique *unique, Compared *compared, const int *attnos, int n)
{
	for (int i = 0; i < compared->nvaried; i++)
	{
		for (int j = 0; j < n; j++)
		{
			if (unique->columns[compared->varied[i]].attno == attnos[j])
				return true;
		}
	}
	return false;
}

/* Returns true if a foreign key of the table has several columns. */
static bool
refers_by_several(Relation rel)
{
	ListCell   *cell;

	foreach(cell, RelationGetFKeyList(rel))
	{
		if (((ForeignKeyCacheInfo *) lfirst(cell))->nkeys > 1)
			return true;
	}
	return false;
}

/* See unique.h. */
bool
pseudo_unique_is_moved(PseudoUnique *unique, Relation rel, HeapTuple new, HeapTuple old)
{
	ListCell   *cell;

	if (!unique->has_others && !refers_by_several(rel))
		return false;
	if (!unique->is_known)
		pseudo_unique_find_constraints(unique, rel);
	foreach(cell, unique->compared)
	{
		if (is_moved(lfirst(cell), RelationGetDescr(rel), new, old))
			return true;
	}
	return false;
}

/* Begin with a row: which of its columns may change. */
static void
begin_row(Settling *s, HeapTuple new, HeapTuple old, const int *attnos, int n)
{
	PseudoUnique *unique = s->unique;
	TupleDesc	desc = RelationGetDescr(s->rel);

	ResetPerTupleExprContext(unique->estate);
	ExecClearTuple(unique->row);
	heap_deform_tuple(new, desc, unique->row->tts_values, unique->row->tts_isnull);
	ExecStoreVirtualTuple(unique->row);
	unique->row->tts_tableOid = RelationGetRelid(s->rel);
	s->self = old ? &old->t_self : NULL;
	s->choices = palloc0(unique->ncolumns * sizeof(Choices));
	for (int i = 0; i < unique->ncolumns; i++)
	{
		s->choices[i].is_free = old && has_same(desc, new, old, unique->columns[i].attno);
		for (int j = 0; j < n; j++)
			s->choices[i].is_free |= unique->columns[i].attno == attnos[j];
	}
}

/* Returns true if foreign keys refer to a column: who changes it changes other rows, or is refused. */
static bool
is_referred_to(Relation rel, AttrNumber attno)
{
	TriggerDesc *triggers = rel->trigdesc;
	bool		is_referred = false;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		is_referred |= RI_FKey_trigger_type(triggers->triggers[i].tgfoid) == RI_TRIGGER_PK;
	return is_referred && bms_is_member(attno - FirstLowInvalidHeapAttributeNumber,
										RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY));
}

/* Returns true if a column is among those that may have to change. */
static bool
has_attno(const Settling *s, AttrNumber attno)
{
	for (int i = 0; i < s->n; i++)
	{
		if (s->attnos[i] == attno)
			return true;
	}
	return false;
}

/* Find the columns that enter an index of the table: with another column of it that an UPDATE changed. */
static void
find_entering(Settling *s, HeapTuple new, HeapTuple old, bool arrives)
{
	PseudoUnique *unique = s->unique;
	ListCell   *cell;

	foreach(cell, unique->compared)
	{
		Compared   *compared = lfirst(cell);

		if (compared->is_foreign || !(arrives || is_moved(compared, RelationGetDescr(s->rel), new, old)))
			continue;
		for (int i = 0; i < compared->nvaried; i++)
		{
			int			no = compared->varied[i];

			if (s->enters[no] || is_referred_to(s->rel, unique->columns[no].attno))
				continue;
			s->enters[no] = true;
			if (!has_attno(s, unique->columns[no].attno))
				s->attnos[s->n++] = unique->columns[no].attno;
		}
	}
}

/* Give a column its pseudonym under the key that this transaction writes with. */
static void
use_key(Settling *s, int no)
{
	const PseudoColumn *column = &s->unique->columns[no];
	PseudoCall *call = s->unique->calls[no];
	PseudoKey  *key = s->unique->keys[no];
	TupleTableSlot *row = s->unique->row;
	PseudoOpened opened;
	text	   *pseudonym;

	if (row->tts_isnull[column->attno - 1])
		return;
	pseudonym = pseudo_column_get(column, row->tts_values[column->attno - 1]);
	if (!pseudo_looks_like_pseudonym(pseudonym) || !pseudo_open(call, pseudonym, true, &opened))
		return;
	if (opened.key != key)
		s->is_changed |= as_value(column, s->rel,
								  pseudo_seal_under(call, key, VARDATA(opened.value), opened.len),
								  &row->tts_values[column->attno - 1]);
	pseudo_opened_wipe(&opened);
}

/*
 * Begin with the columns that may have to change: those that were converted, with the primary key, and those that enter an index.
 */
static void
begin_columns(Settling *s, HeapTuple new, HeapTuple old, const int *attnos, int n, bool arrives)
{
	PseudoUnique *unique = s->unique;

	s->enters = palloc0(unique->ncolumns * sizeof(bool));
	s->attnos = palloc(unique->ncolumns * sizeof(int));
	memcpy(s->attnos, attnos, n * sizeof(int));
	s->n = n;
	for (int i = 0; !arrives && i < unique->ncolumns; i++)
	{
		if (unlikely(unique->keys[i] != unique->calls[i]->keyring->primary) && has_attno(s, unique->columns[i].attno))
			use_key(s, i);
	}
	find_entering(s, new, old, arrives);
	for (int i = 0; i < unique->ncolumns; i++)
	{
		if (s->enters[i])
			use_key(s, i);
		find_choices(s, i);
	}
}

/* See unique.h. */
HeapTuple
pseudo_unique_settle(PseudoUnique *unique, Relation rel, HeapTuple new, HeapTuple old,
					 const int *attnos, int n, bool arrives)
{
	Settling	s = {.unique = unique, .rel = rel};
	HeapTuple	result;
	ListCell   *cell;

	if (likely(!pseudo_unique_is_due(unique)))
		return new;
	begin_row(&s, new, old, attnos, n);
	begin_columns(&s, new, old, attnos, n, arrives);
	foreach(cell, unique->compared)
	{
		Compared   *compared = lfirst(cell);
		Relation	table;
		Relation	index;

		if (!has_converted(unique, compared, s.attnos, s.n) &&
			!is_moved(compared, RelationGetDescr(rel), new, old))
			continue;
		table = table_open(compared->relid, RowShareLock);
		index = index_open(compared->indexid, AccessShareLock);
		settle_in(&s, compared, table, index);
		index_close(index, NoLock);
		table_close(table, NoLock);
	}
	if (!s.is_changed)
		return new;
	result = heap_form_tuple(RelationGetDescr(rel), unique->row->tts_values, unique->row->tts_isnull);
	result->t_self = new->t_self;
	result->t_tableOid = new->t_tableOid;
	return result;
}

/* See unique.h. */
Oid
pseudo_unique_twin(PseudoUnique *unique, Relation rel, HeapTuple row, const int *attnos, int n)
{
	Settling	s = {.unique = unique, .rel = rel};
	Oid			result = InvalidOid;
	ListCell   *cell;

	begin_row(&s, row, NULL, attnos, n);
	for (int i = 0; i < unique->ncolumns; i++)
		find_choices(&s, i);
	foreach(cell, unique->compared)
	{
		Compared   *compared = lfirst(cell);
		Relation	index;
		int		   *chosen = palloc0(compared->nvaried * sizeof(int));

		if (OidIsValid(result) || compared->is_foreign || !has_converted(unique, compared, attnos, n))
			continue;
		index = index_open(compared->indexid, AccessShareLock);
		do
		{
			Datum		values[INDEX_MAX_KEYS];
			bool		nulls[INDEX_MAX_KEYS];
			Entry		entry;

			place(&s, compared, chosen);
			if (pseudo_unique_entry_of(unique, compared, index, values, nulls) &&
				pseudo_unique_find_entry(unique, compared, rel, index, values, nulls, &row->t_self, &entry))
				result = compared->indexid;
		} while (!OidIsValid(result) && next_combination(&s, compared, chosen));
		index_close(index, NoLock);
	}
	return result;
}
