/*
 * bulk_progress.c
 *		How far a bulk procedure is: notices, and the table pseudo_progress.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "bulk.h"

/* What can be said of a run at a moment. */
typedef struct Progress
{
	int64		done;
	int64		total;
	double		percent;
	int64		rate;			/* rows a second */
	int64		left;			/* seconds, or -1 */
} Progress;

/* See bulk.h. */
double
pseudo_bulk_elapsed(const instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* How many rows a leaf has: from its statistics, else the better known the more of it has been read. */
static double
estimate_leaf(const BulkLeaf *leaf)
{
	double		block = ItemPointerGetBlockNumberNoCheck(&leaf->next);

	if (leaf->is_analyzed || leaf->done == 0 || block == 0)
		return leaf->estimate;
	if (block >= leaf->end)
		return leaf->done;
	return leaf->done * (leaf->end / block);
}

/* Add up how far a run is. */
static Progress
measure(Bulk *bulk)
{
	Progress	progress = {0};
	double		seconds = pseudo_bulk_elapsed(&bulk->start);
	double		total = 0;
	ListCell   *cell;

	foreach(cell, bulk->leaves)
	{
		BulkLeaf   *leaf = lfirst(cell);

		progress.done += leaf->done;
		total += Max(estimate_leaf(leaf), leaf->done);
	}
	progress.total = (int64) total;
	progress.percent = total > 0 ? 100.0 * progress.done / total : 100.0;
	progress.rate = seconds > 0 ? (int64) (progress.done / seconds) : 0;
	progress.left = progress.rate > 0 ? (progress.total - progress.done) / progress.rate : -1;
	return progress;
}

/* Names as a text[]. */
static Datum
names_array(List *names)
{
	Datum	   *elements = palloc(list_length(names) * sizeof(Datum));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, names)
		elements[n++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The owner of a table. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Run a statement that writes, with the rights of a table's owner. */
static void
execute_as_owner(Oid relid, const char *sql, int n, Oid *types, Datum *values, const char *nulls)
{
	Oid			user;
	int			context;

	/* An error ends the subtransaction or the transaction, which restores the user. */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(relid), context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_execute_with_args(sql, n, types, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write pseudo_progress");
	SetUserIdAndSecContext(user, context);
}

/*
 * See bulk.h.  The caller's search_path holds meanwhile, and a CASE with a value, an IN or a BETWEEN would
 * look for its operator there.
 */
void
pseudo_bulk_save(Bulk *bulk)
{
	static const char *const format =
		"INSERT INTO %s AS p VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
		" pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), $13)"
		" ON CONFLICT (relation) DO UPDATE SET operation = $2, columns = $3, status = $4, pass = $5,"
		" rows_done = $6, rows_total = $7, percent = $8, rows_per_second = $9, seconds_left = $10,"
		" values_converted = $11, pid = $12, updated_at = EXCLUDED.updated_at, sqlstate = $13,"
		" started_at = CASE WHEN $14 THEN EXCLUDED.started_at ELSE p.started_at END";
	Oid			types[] = {REGCLASSOID, TEXTOID, TEXTARRAYOID, TEXTOID, INT4OID, INT8OID, INT8OID,
	FLOAT8OID, INT8OID, INT8OID, INT8OID, INT4OID, TEXTOID, BOOLOID};
	Oid			relid = get_relname_relid("pseudo_progress", get_func_namespace(bulk->called));
	Progress	progress = measure(bulk);
	Datum		values[14];
	char		nulls[15] = "              ";

	values[0] = ObjectIdGetDatum(bulk->relid);
	values[1] = CStringGetTextDatum(bulk->again ? "repseudonymize_table" : "pseudonymize_table");
	values[2] = names_array(bulk->columns);
	values[3] = CStringGetTextDatum(bulk->status);
	values[4] = Int32GetDatum(bulk->pass);
	values[5] = Int64GetDatum(progress.done);
	values[6] = Int64GetDatum(progress.total);
	values[7] = Float8GetDatum(progress.percent);
	values[8] = Int64GetDatum(progress.rate);
	values[9] = Int64GetDatum(progress.left);
	if (progress.left < 0)
		nulls[9] = 'n';
	values[10] = Int64GetDatum(bulk->converted);
	values[11] = Int32GetDatum(MyProcPid);
	values[12] = bulk->sqlstate ? CStringGetTextDatum(bulk->sqlstate) : (Datum) 0;
	if (!bulk->sqlstate)
		nulls[12] = 'n';
	values[13] = BoolGetDatum(bulk->pass == 0);
	execute_as_owner(relid, psprintf(format, pseudo_bulk_relation_name(relid)),
					 lengthof(types), types, values, nulls);
}

/* See bulk.h. */
void
pseudo_bulk_notice(Bulk *bulk)
{
	Progress	progress;

	if (pseudo_bulk_elapsed(&bulk->last_notice) < 1.0)
		return;
	INSTR_TIME_SET_CURRENT(bulk->last_notice);
	if (bulk->pass > 1)
	{
		ereport(NOTICE, (errmsg("%s: pass %d, looking for what was left", bulk->name, bulk->pass)));
		return;
	}
	progress = measure(bulk);
	ereport(NOTICE,
			(errmsg("%s: %lld of about %lld rows (%.1f %%), %lld rows a second, %lld s left",
					bulk->name, (long long) progress.done, (long long) progress.total,
					progress.percent, (long long) progress.rate,
					(long long) Max(progress.left, 0))));
}

/* See bulk.h. */
void
pseudo_bulk_summary(Bulk *bulk)
{
	double		seconds = pseudo_bulk_elapsed(&bulk->start);
	Progress	progress = measure(bulk);

	ereport(NOTICE,
			(errmsg("%s: %lld values in %lld rows %s, of %lld rows read in %.1f s (%lld a second)",
					bulk->name, (long long) bulk->converted, (long long) bulk->rows,
					bulk->dry_run ? "would be converted" : "converted",
					(long long) progress.done, seconds, (long long) progress.rate),
			 bulk->unreadable > 0 ?
			 errdetail("%lld values were left as they are, %lld are no pseudonyms, and %lld do not authenticate.",
					   (long long) bulk->already, (long long) bulk->plain,
					   (long long) bulk->unreadable) :
			 bulk->again ?
			 errdetail("%lld values have the primary key already, %lld are no pseudonyms.",
					   (long long) bulk->already, (long long) bulk->plain) :
			 errdetail("%lld values were pseudonyms already.", (long long) bulk->already),
			 bulk->converted > 0 && !bulk->dry_run ?
			 errhint("Dead rows, WAL, backups and replicas still hold what was there before: VACUUM the table, and see doc/tables.md.") : 0));
}
