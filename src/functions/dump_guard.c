/*
 * dump_guard.c
 *		Nothing but our own COPY reads users' tables while pseudo.dump is on, and no function of a table's owner runs
 *		with the rights of whoever dumps it.
 *
 * Whatever else would read one fails: pg_dump --inserts, a cursor, COPY (SELECT ...), a function that COPY calls.  It is
 * not the rights of whoever dumps that this is about, for they could turn the setting off; a mistake must not write values
 * to a file.
 *
 * A COPY of a table is not planned, and pg_dump runs none of its owner's functions as a superuser, who it usually is.  The
 * COPY of a query that we make of it is planned, and so are expressions of indexes.  That is done as the owner.  The owner
 * may have more rights than whoever dumps: so only our own query is planned so, and nothing that runs within it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext_data.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/planner.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "column.h"
#include "dump_guard.h"
#include "dump_settings.h"
#include "label.h"
#include "pinned.h"

static ExecutorStart_hook_type next_start = NULL;
static ExecutorCheckPerms_hook_type next_check = NULL;
static object_access_hook_type next_access_hook = NULL;
static planner_hook_type next_planner = NULL;

static PseudoDumpAllowed is_allowed = {0};

/* Is the query that starts now allowed?  What runs within it is not. */
static bool is_permitted = false;

/* See dump_guard.h. */
PseudoDumpAllowed
pseudo_dump_guard_allow(PseudoDumpAllowed allowed)
{
	PseudoDumpAllowed before = is_allowed;

	is_allowed = allowed;
	is_permitted = false;
	(void) pseudo_pin(allowed.query, allowed.relid);
	return before;
}

/* Returns true if a source text is that of the query that is allowed. */
static bool
is_our_text(const char *source)
{
	return is_allowed.query && source && strcmp(source, is_allowed.query) == 0;
}

/*
 * Returns true if a query is the one that is allowed.  COPY alone has this receiver, and each COPY comes by our hook.  A
 * parallel worker's part of a query has another one: the leader has checked that query.
 */
static bool
is_ours(const QueryDesc *query)
{
	CommandDest dest = query->dest->mydest;

	return dest == DestTupleQueue || (is_allowed.copy ? dest == DestCopyOut : is_our_text(query->sourceText));
}

/* Hook: a query starts, and checks its permissions before anything of it runs. */
static void
guard_start(QueryDesc *query, int eflags)
{
	is_permitted = pseudo_dump_mode != PSEUDO_DUMP_OFF && is_ours(query);
	if (next_start)
		next_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/* Refuse what functions of the owner's would find in pg_temp, where PostgreSQL looks for types and tables whatever the search_path. */
static void
check_no_temporaries(Oid owner)
{
	Oid			schema;
	Oid			toast_schema;

	GetTempNamespaceState(&schema, &toast_schema);
	if (OidIsValid(schema) && owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a session that has made temporary objects cannot dump tables of other roles"),
				 errdetail("Functions of a table's owner may run, and would find them."),
				 errhint("Connect anew.")));
}

/* Change a setting until the nest level of settings ends. */
static void
set_for_planning(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Who has a query planned. */
typedef struct PlanningUser
{
	Oid			userid;
	int			context;
	int			level;			/* of settings */
} PlanningUser;

/*
 * Work as the owner of a relation where its expressions are read: PostgreSQL calls the immutable functions in them whose
 * arguments are constants.  Names in these functions are looked up in pg_catalog only: the search_path of whoever dumps
 * must not choose what runs as the owner.  Returns who works now, for be_again(), which has to follow, also after an error.
 */
static PlanningUser
be_owner(Oid owner)
{
	PlanningUser user;

	check_no_temporaries(owner);
	GetUserIdAndSecContext(&user.userid, &user.context);
	user.level = NewGUCNestLevel();
	set_for_planning("search_path", "pg_catalog, pg_temp");
	/* No constraint excludes anything here, so that none has to be read. */
	set_for_planning("constraint_exclusion", "off");
	SetUserIdAndSecContext(owner, user.context | SECURITY_RESTRICTED_OPERATION);
	return user;
}

/* Work as before. */
static void
be_again(PlanningUser user)
{
	AtEOXact_GUC(false, user.level);
	SetUserIdAndSecContext(user.userid, user.context);
}

/* Hook: a query is planned.  The first one is ours; what it calls may plan others. */
static PlannedStmt *
guard_planner(PSEUDO_PLANNER_PARAMETERS)
{
	PlannedStmt *result;
	PlanningUser user;

	if (likely(pseudo_dump_mode == PSEUDO_DUMP_OFF) || !OidIsValid(is_allowed.planner) || !is_our_text(query_string))
		return next_planner(PSEUDO_PLANNER_ARGUMENTS);
	user = be_owner(is_allowed.planner);
	is_allowed.planner = InvalidOid;
	PG_TRY();
	{
		result = next_planner(PSEUDO_PLANNER_ARGUMENTS);
	}
	PG_FINALLY();
	{
		be_again(user);
	}
	PG_END_TRY();
	return result;
}

/* Returns true if an extension's table has no column that a label wants otherwise than it is. */
static bool
is_plain_member(Oid relid)
{
	Relation	rel;
	PseudoLabel *labels;
	bool		plain = true;

	if (!OidIsValid(getExtensionOfObject(RelationRelationId, relid)))
		return false;
	rel = table_open(relid, AccessShareLock);
	labels = pseudo_labels(rel);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		plain &= labels[i].mode == PSEUDO_MODE_NONE || labels[i].mode == PSEUDO_MODE_KEEP;
	table_close(rel, NoLock);
	return plain;
}

/* Returns true if a relation holds what users have written. */
static bool
holds_user_data(Oid relid)
{
	char		kind;

	if (relid < FirstNormalObjectId)
		return relid == StatisticRelationId || relid == StatisticExtDataRelationId ||
			(relid == LargeObjectRelationId && !pseudo_dump_large_objects);
	kind = get_rel_relkind(relid);
	return kind != RELKIND_VIEW && kind != RELKIND_SEQUENCE && !is_plain_member(relid);
}

/* Report a relation that is to be read otherwise than by our COPY. */
static void
__attribute__((noreturn))
report_read(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("relation %s cannot be read while pseudo.dump is on", pseudo_relation_name(relid)),
			 errdetail("Tables go out by COPY of the table itself, which writes its columns as their labels say."),
			 errhint("Call pg_dump without --inserts, and without whatever else makes it read tables in another way.")));
}

/* Hook: a query, or a COPY of a table as it is, is about to use tables. */
static bool
guard_tables(PSEUDO_CHECK_PERMS_PARAMETERS)
{
	bool		result = next_check ? next_check(PSEUDO_CHECK_PERMS_ARGUMENTS) : true;
	bool		permitted = is_permitted;
	ListCell   *cell;

	is_permitted = false;
	if (likely(pseudo_dump_mode == PSEUDO_DUMP_OFF) || permitted)
		return result;
	foreach(cell, tables)
	{
		RangeTblEntry *entry = lfirst(cell);

		if (entry->rtekind != RTE_RELATION || !holds_user_data(entry->relid))
			continue;
		if (report)
			report_read(entry->relid);
		return false;
	}
	return result;
}

/* Hook: a function is about to be called, by the client itself, too. */
static void
guard_large_objects(ObjectAccessType access, Oid class, Oid oid, int subid, void *arg)
{
	if (next_access_hook)
		next_access_hook(access, class, oid, subid, arg);
	if (access != OAT_FUNCTION_EXECUTE || pseudo_dump_mode == PSEUDO_DUMP_OFF || pseudo_dump_large_objects)
		return;
	if (oid == F_LOREAD || oid == F_LO_GET_OID || oid == F_LO_GET_OID_INT8_INT4 || oid == F_LO_EXPORT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("large objects cannot be read while pseudo.dump is on"),
				 errdetail("They have no labels, and may hold anything."),
				 errhint("Leave them out with pg_dump --no-blobs, or set pseudo.dump_large_objects to write them as they are.")));
}

/* See dump_guard.h. */
void
pseudo_dump_guard_init(void)
{
	next_start = ExecutorStart_hook;
	ExecutorStart_hook = guard_start;
	next_check = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = guard_tables;
	next_access_hook = object_access_hook;
	object_access_hook = guard_large_objects;
	next_planner = planner_hook ? planner_hook : standard_planner;
	planner_hook = guard_planner;
}
