/*
 * bulk_citus.c
 *		The bulk procedures on a table of Citus: called for each placement of its shards, on the node that has it.
 *
 * Citus does not send the labels of columns to shards: a node is told what becomes of which column.  It says what it has done
 * in its own pseudo_progress.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "bulk_citus.h"
#include "citus.h"
#include "subtransaction.h"

/* A shard, or a copy of one, where it is. */
typedef struct Placement
{
	char	   *node;
	int			port;
	char	   *shard;			/* its name, qualified and quoted */
	BulkLeaf   *leaf;			/* how far it is */
} Placement;

/* Returns true if this server can ask other nodes. */
static bool
can_ask_nodes(void)
{
	return OidIsValid(get_relname_relid("pg_dist_placement", PG_CATALOG_NAMESPACE)) &&
		OidIsValid(get_relname_relid("pg_dist_node", PG_CATALOG_NAMESPACE));
}

/* ---- Placements ---- */

/* The placements of a table's shards, in an order that stays the same. */
static List *
find_placements(Oid relid)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	List	   *placements = NIL;

	if (SPI_execute_with_args("SELECT n.nodename, n.nodeport, pg_catalog.shard_name(s.logicalrelid, s.shardid, false)"
							  " FROM pg_catalog.pg_dist_shard s"
							  " JOIN pg_catalog.pg_dist_placement p ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
							  " JOIN pg_catalog.pg_dist_node n ON n.groupid OPERATOR(pg_catalog.=) p.groupid"
							  " AND n.noderole OPERATOR(pg_catalog.=) 'primary'"
							  " WHERE s.logicalrelid OPERATOR(pg_catalog.=) $1 ORDER BY s.shardid, n.nodeid",
							  lengthof(types), types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for placements");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Placement  *placement = palloc0(sizeof(Placement));

		placement->node = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		placement->port = atoi(SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
		placement->shard = SPI_getvalue(row, SPI_tuptable->tupdesc, 3);
		placements = lappend(placements, placement);
	}
	return placements;
}

/* Are these the same placements? */
static bool
are_same(List *a, List *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		Placement  *p = lfirst(x);
		Placement  *q = lfirst(y);

		if (strcmp(p->node, q->node) != 0 || p->port != q->port || strcmp(p->shard, q->shard) != 0)
			return false;
	}
	return true;
}

/* ---- Another node ---- */

/*
 * Report what a node has said: "ERROR:  SQLSTATE: MESSAGE  DETAIL:  ...  CONTEXT:  ...  HINT:  ..." by say_in_one_line(), or
 * "ERROR:  MESSAGE" by PostgreSQL or Citus.
 */
static void
__attribute__((noreturn))
report_node(const Placement *placement, const char *said)
{
	static const char hint_begins[] = "  HINT:  ";
	const char *text = strncmp(said, "ERROR:  ", 8) == 0 ? said + 8 : said;
	const char *hint = strstr(text, hint_begins);
	bool		has_state = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && text[5] == ':';

	ereport(ERROR,
			(errcode(has_state ? MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]) :
					 ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("could not convert %s on %s:%d", placement->shard, placement->node, placement->port),
			 errdetail_internal("%s", *text ? pnstrdup(text, hint ? (size_t) (hint - text) : strlen(text)) : "No answer."),
			 errhint("%s%sWhat has been converted stays so. Remove the cause, and call the procedure again.",
					 hint ? hint + sizeof(hint_begins) - 1 : "", hint ? " " : "")));
}

/* Run a command where a placement is, in transactions of its own; returns what it gives. */
static char *
run_there(const Placement *placement, const char *command)
{
	Oid			types[] = {TEXTOID, INT4OID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(placement->node), Int32GetDatum(placement->port),
	CStringGetTextDatum(command)};
	char	   *result;
	bool		isnull;

	if (SPI_execute_with_args("SELECT success, result FROM pg_catalog.master_run_on_worker("
							  "ARRAY[$1], ARRAY[$2], ARRAY[$3], false)",
							  lengthof(types), types, values, NULL, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not ask a node");
	result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		report_node(placement, result ? result : "");
	return result ? result : pstrdup("");
}

/* The call of the procedure for a placement. */
static char *
call_command(const Bulk *bulk, const Placement *placement)
{
	StringInfoData call;
	ListCell   *cell;

	initStringInfo(&call);
	appendStringInfo(&call, "CALL %s(%s, ARRAY[",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(bulk->called)), get_func_name(bulk->called)),
					 quote_literal_cstr(placement->shard));
	foreach(cell, bulk->columns)
		appendStringInfo(&call, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 quote_literal_cstr(((BulkColumn *) lfirst(cell))->said));
	appendStringInfo(&call, "]::pg_catalog.text[], batch_size => %d%s)", bulk->batch_size,
					 bulk->dry_run ? ", dry_run => true" : "");
	return call.data;
}

/* Add what a node says of its run to what is known of this one. */
static void
add_report(Bulk *bulk, const Placement *placement)
{
	char	   *schema = get_namespace_name(get_func_namespace(bulk->called));
	char	   *report = run_there(placement,
								   psprintf("SELECT pg_catalog.concat_ws(' ', status, rows_done, values_converted, rows_converted,"
											" values_already, values_plain, values_unreadable, rows_twins)"
											" FROM %s.pseudo_progress WHERE relation OPERATOR(pg_catalog.=) %s::pg_catalog.regclass",
											quote_identifier(schema), quote_literal_cstr(placement->shard)));
	BulkCounters *counters = &bulk->counters;
	char	   *numbers = report + strcspn(report, " ");
	int64		n[7] = {0};

	for (int i = 0; i < (int) lengthof(n); i++)
		n[i] = strtoll(numbers, &numbers, 10);
	if (bulk->dry_run && strncmp(report, "dry_run ", 8) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("%s on %s:%d is being converted by another session", placement->shard, placement->node, placement->port),
				 errhint("Call the procedure again when that is over.")));
	if (strncmp(report, "unfinished ", 11) == 0)
		bulk->status = "unfinished";
	placement->leaf->done = n[0];
	placement->leaf->estimate = n[0];
	counters->converted += n[1];
	counters->rows += n[2];
	counters->already += n[3];
	counters->plain += n[4];
	counters->unreadable += n[5];
	counters->twins += n[6];
}

/* A placement's turn. */
typedef struct Visit
{
	Bulk	   *bulk;
	const Placement *placement;
	const char *command;
} Visit;

/* Convert a placement, for pseudo_subtransaction_any(). */
static void
convert_there(void *arg)
{
	Visit	   *visit = arg;

	(void) run_there(visit->placement, visit->command);
	add_report(visit->bulk, visit->placement);
}

/* Cancel what convert_there() has begun, for pseudo_subtransaction_any(): the node would go on. */
static void
cancel_there(void *arg)
{
	Visit	   *visit = arg;

	(void) run_there(visit->placement,
					 psprintf("SELECT pg_catalog.count(pg_catalog.pg_cancel_backend(pid)) FROM pg_catalog.pg_stat_activity"
							  " WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"
							  " AND usename OPERATOR(pg_catalog.=) current_user AND state OPERATOR(pg_catalog.=) 'active'"
							  " AND pg_catalog.starts_with(%s, query) AND pg_catalog.starts_with(query, 'CALL ')",
							  quote_literal_cstr(visit->command)));
}

/* ---- All of them ---- */

/* How many rows the placements have, as their nodes' statistics say, so that it can be told how far the run is. */
static void
estimate_placements(Bulk *bulk, List *placements)
{
	List	   *leaves = NIL;
	ListCell   *cell;

	foreach(cell, placements)
	{
		Placement  *placement = lfirst(cell);
		char	   *shard = quote_literal_cstr(placement->shard);
		char	   *rows = run_there(placement,
									 psprintf("SELECT pg_catalog.sum(GREATEST(reltuples, 0)) FROM pg_catalog.pg_class WHERE relkind"
											  " OPERATOR(pg_catalog.=) 'r' AND (oid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass OR oid"
											  " OPERATOR(pg_catalog.=) ANY (SELECT relid FROM pg_catalog.pg_partition_tree(%s::pg_catalog.regclass)))",
											  shard, shard));

		placement->leaf = palloc0(sizeof(BulkLeaf));
		placement->leaf->relid = bulk->relid;
		placement->leaf->is_analyzed = true;
		placement->leaf->estimate = strtod(rows, NULL);
		leaves = lappend(leaves, placement->leaf);
	}
	/* The first one has the lock of the run. */
	if (leaves != NIL)
		bulk->leaves = leaves;
}

/* End the run with an error, which pseudo_progress has then, too. */
static void
__attribute__((noreturn))
fail(Bulk *bulk, ErrorData *error)
{
	bulk->status = error->sqlerrcode == ERRCODE_QUERY_CANCELED ? "cancelled" : "failed";
	bulk->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	pseudo_bulk_save(bulk);
	SPI_commit();
	ReThrowError(error);
}

/* Refuse to take a table for converted that is gone: Citus distributes a table otherwise by making another one of its name. */
static void
check_still_there(const Bulk *bulk)
{
	if (!pseudo_citus_knows(bulk->relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was dropped while it was being converted", bulk->name),
				 errdetail("Functions of Citus that change how a table is distributed put another one in its place."),
				 errhint("If there is a table of that name, call the procedure again.")));
}

/* A search for placements. */
typedef struct Search
{
	Bulk	   *bulk;
	bool		is_pass;		/* they are converted next */
	List	   *placements;
} Search;

/* Look for placements, for pseudo_subtransaction_any(). */
static void
search(void *arg)
{
	Search	   *it = arg;

	check_still_there(it->bulk);
	it->placements = find_placements(it->bulk->relid);
	if (it->is_pass)
		estimate_placements(it->bulk, it->placements);
}

/* The placements there are now; a run that cannot find them, or whose nodes do not answer at the begin of a pass, ends. */
static List *
search_placements(Bulk *bulk, bool is_pass)
{
	Search		it = {bulk, is_pass, NIL};
	ErrorData  *error = pseudo_subtransaction_any(search, &it);

	if (error)
		fail(bulk, error);
	return it.placements;
}

/* Call the procedure for each of some placements, one by one.  Returns false if they are no longer where they were. */
static bool
convert_placements(Bulk *bulk, List *placements)
{
	ListCell   *cell;

	foreach(cell, placements)
	{
		Placement  *placement = lfirst(cell);
		Visit		visit = {bulk, placement, call_command(bulk, placement)};
		ErrorData  *error = pseudo_subtransaction_any(convert_there, &visit);

		if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			(void) pseudo_subtransaction_any(cancel_there, &visit);
		else if (error && !are_same(placements, search_placements(bulk, false)))
			return false;
		if (error)
			fail(bulk, error);
		ereport(NOTICE,
				(errmsg("%s: %s on %s:%d is done, %d of %d", bulk->name, placement->shard, placement->node, placement->port,
						foreach_current_index(cell) + 1, list_length(placements))));
		/* Nothing here is to be older than what goes on there. */
		pseudo_bulk_save(bulk);
		SPI_commit();
	}
	return are_same(placements, search_placements(bulk, false));
}

/*
 * Convert all placements.  A shard that was moved or split meanwhile may have rows that were not converted where they are now.
 */
static void
convert_everywhere(Bulk *bulk)
{
	bool		is_done;

	do
	{
		List	   *placements = search_placements(bulk, true);

		/* A dry run has changed nothing: it counts all again. */
		bulk->counters = (BulkCounters)
		{
			.rows = bulk->dry_run ? 0 : bulk->counters.rows, .converted = bulk->dry_run ? 0 : bulk->counters.converted
		};
		pseudo_bulk_save(bulk);
		SPI_commit();
		bulk->pass++;
		is_done = convert_placements(bulk, placements);
	} while (!is_done);
	if (strcmp(bulk->status, "running") == 0)
		bulk->status = bulk->dry_run ? "dry_run" : "done";
	pseudo_bulk_save(bulk);
	SPI_commit();
}

/* Convert a table whose shards are on other nodes. */
static void
convert_distributed(Bulk *bulk)
{
	BulkLeaf   *whole = palloc0(sizeof(BulkLeaf));

	pseudo_bulk_begin(bulk);
	pseudo_bulk_check_distributed(bulk);
	whole->relid = bulk->relid;
	bulk->leaves = list_make1(whole);
	PG_TRY();
	{
		if (!bulk->dry_run)
			pseudo_bulk_lock_leaves(bulk);
		convert_everywhere(bulk);
	}
	PG_FINALLY();
	{
		pseudo_bulk_unlock_leaves(bulk);
	}
	PG_END_TRY();
	if (!bulk->dry_run)
		(void) pseudo_bulk_may_analyze(bulk);
	pseudo_bulk_summary(bulk);
}

/* ---- This node ---- */

/* Append a part of an error, without line breaks. */
static void
append_part(StringInfo line, const char *what, const char *part)
{
	if (part == NULL)
		return;
	appendStringInfo(line, "%s", what);
	for (const char *c = part; *c; c++)
		appendStringInfoChar(line, *c == '\n' ? ' ' : *c);
}

/*
 * Give an error again, all of it in its message: of an error, Citus tells its coordinator the first line.  A message is in
 * this server's log as well, so what log_error_verbosity keeps out of that is left out.
 */
static void
__attribute__((noreturn))
say_in_one_line(ErrorData *error)
{
	StringInfoData line;

	initStringInfo(&line);
	append_part(&line, unpack_sql_state(error->sqlerrcode), "");
	append_part(&line, ": ", error->message);
	if (Log_error_verbosity > PGERROR_TERSE)
	{
		append_part(&line, "  DETAIL:  ", error->detail);
		append_part(&line, "  CONTEXT:  ", error->context);
	}
	append_part(&line, "  HINT:  ", error->hint);
	error->message = line.data;
	error->detail = error->hint = error->context = NULL;
	ReThrowError(error);
}

/* Convert a table on this server. */
static void
convert_here(Bulk *bulk)
{
	MemoryContext mcxt = bulk->mcxt;

	if (!pseudo_citus_asks())
	{
		pseudo_bulk_run(bulk);
		return;
	}
	PG_TRY();
	{
		pseudo_bulk_run(bulk);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(mcxt);
		error = CopyErrorData();
		FlushErrorState();
		say_in_one_line(error);
	}
	PG_END_TRY();
}

/* See bulk_citus.h. */
void
pseudo_bulk_anywhere(Bulk *bulk)
{
	if (can_ask_nodes() && pseudo_citus_knows(bulk->relid))
		convert_distributed(bulk);
	else
		convert_here(bulk);
}
