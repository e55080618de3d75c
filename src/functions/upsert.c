/*
 * upsert.c
 *		Whether ON CONFLICT may turn a trigger's INSERT into an UPDATE.
 *
 * A trigger is not told.  The executor's state has it, and is shown to hooks only.  It is found again by the memory
 * context that the executor keeps its triggers in.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "upsert.h"

/* A statement that writes. */
typedef struct Writer
{
	struct Writer *next;
	EState	   *estate;			/* this is allocated in its memory */
	MemoryContextCallback over;
} Writer;

static Writer *writers = NULL;
static ExecutorStart_hook_type next_start = NULL;

/* Callback: a statement is over. */
static void
forget_writer(void *arg)
{
	for (Writer **writer = &writers; *writer; writer = &(*writer)->next)
	{
		if (*writer == arg)
		{
			*writer = (*writer)->next;
			return;
		}
	}
}

/* Hook: a statement begins. */
static void
start_statement(QueryDesc *query, int eflags)
{
	Writer	   *writer;

	if (next_start)
		next_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (query->estate->es_opened_result_relations == NIL)
		return;
	writer = MemoryContextAlloc(query->estate->es_query_cxt, sizeof(Writer));
	writer->estate = query->estate;
	writer->over.func = forget_writer;
	writer->over.arg = writer;
	MemoryContextRegisterResetCallback(query->estate->es_query_cxt, &writer->over);
	writer->next = writers;
	writers = writer;
}

/* See upsert.h. */
void
pseudo_upsert_init(void)
{
	next_start = ExecutorStart_hook;
	ExecutorStart_hook = start_statement;
}

/* The table, among some, whose trigger this is; or NULL. */
static ResultRelInfo *
find_target(List *tables, FmgrInfo *trigger)
{
	ListCell   *cell;

	foreach(cell, tables)
	{
		ResultRelInfo *table = lfirst(cell);

		for (int i = 0; table->ri_TrigDesc && i < table->ri_TrigDesc->numtriggers; i++)
		{
			if (&table->ri_TrigFunctions[i] == trigger)
				return table;
		}
	}
	return NULL;
}

/* See upsert.h. */
LockTupleMode
pseudo_upsert_lock_mode(FunctionCallInfo fcinfo)
{
	for (Writer *writer = writers; writer; writer = writer->next)
	{
		EState	   *estate = writer->estate;
		ResultRelInfo *table;

		if (estate->es_query_cxt != fcinfo->flinfo->fn_mcxt)
			continue;
		table = find_target(estate->es_opened_result_relations, fcinfo->flinfo);
		if (table == NULL)
			table = find_target(estate->es_tuple_routing_result_relations, fcinfo->flinfo);
		if (table && table->ri_onConflict && pseudo_conflict_locks(table->ri_onConflict))
			return ExecUpdateLockMode(estate, table);
	}
	return LockTupleKeyShare;
}
