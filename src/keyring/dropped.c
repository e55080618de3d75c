/*
 * dropped.c
 *		Keyrings whose servers are made, altered or dropped here.
 *
 * A session that never used a keyring may drop its server, and nobody else may
 * be there who has used it: so the command itself tells that the keys are not
 * wanted any more.  Where another server names the same secret, they are loaded
 * again.
 *
 * Who makes or alters a server is to be served what is in the store from then
 * on, and so are all others, once that has been committed: a command that is
 * rolled back costs nobody a load.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "dropped.h"
#include "options.h"
#include "shared.h"

/*
 * A server of this transaction, as it was or as it will be.  The digest is of
 * its identity: nothing may fail at commit.
 */
typedef struct Changed
{
	Oid			serverid;
	char	   *identity;
	uint8		digest[PSEUDO_SHARED_DIGEST];
	bool		is_seen;		/* altered: it has served since */
} Changed;

/* Lists of Changed *, in TopTransactionContext. */
static List *dropped = NIL;		/* as they were */
static List *altered = NIL;		/* as they will be, as soon as it ends */

static List *databases = NIL;	/* of Oid: that it drops, there too */

static object_access_hook_type next_hook = NULL;

/* The identity of a keyring's server as it is now, or NULL. */
static char *
identity_of(Oid serverid)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	ForeignDataWrapper *wrapper = server ?
		GetForeignDataWrapperExtended(server->fdwid, FDW_MISSING_OK) : NULL;

	if (wrapper == NULL || strcmp(wrapper->fdwname, PSEUDO_WRAPPER) != 0)
		return NULL;
	return pseudo_options_identity(server->options);
}

/* Fill in what a server is now; returns false where it is no keyring. */
static bool
read_identity(Changed *changed)
{
	changed->identity = identity_of(changed->serverid);
	if (changed->identity)
		pseudo_shared_make_digest(changed->digest, changed->identity);
	return changed->identity != NULL;
}

/* What is noted of a server that was made or altered, or NULL. */
static Changed *
find_altered(Oid serverid)
{
	ListCell   *cell;

	foreach(cell, altered)
	{
		Changed    *changed = lfirst(cell);

		if (changed->serverid == serverid)
			return changed;
	}
	return NULL;
}

/* Note that a server is made or altered. */
static void
note_as_altered(Oid serverid)
{
	Changed    *changed = find_altered(serverid);

	if (changed == NULL)
	{
		changed = palloc0(sizeof(Changed));
		changed->serverid = serverid;
		altered = lappend(altered, changed);
	}
	changed->is_seen = false;
}

/* Note what a server was, which the catalogs show until the command is over. */
static void
note_as_it_was(Oid serverid)
{
	Changed    *changed = palloc0(sizeof(Changed));

	changed->serverid = serverid;
	if (read_identity(changed))
		dropped = lappend(dropped, changed);
}

/* Object access hook. */
static void
object_accessed(ObjectAccessType access, Oid classid, Oid objectid, int subid, void *arg)
{
	MemoryContext caller;

	if (next_hook)
		next_hook(access, classid, objectid, subid, arg);
	if ((classid != ForeignServerRelationId && classid != DatabaseRelationId) ||
		!pseudo_shared_is_on() || !IsTransactionState())
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	if (classid == DatabaseRelationId)
	{
		if (access == OAT_DROP)
			databases = lappend_oid(databases, objectid);
	}
	else
	{
		if (access == OAT_DROP || access == OAT_POST_ALTER)
			note_as_it_was(objectid);
		if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
			note_as_altered(objectid);
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Returns true if this transaction has written a server's row, and not rolled
 * back to before that.
 */
static bool
is_written_here(Oid serverid)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	bool		is_ours;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return is_ours;
}

/* See dropped.h. */
bool
pseudo_dropped_is_altered(Oid serverid)
{
	Changed    *changed = find_altered(serverid);

	if (changed == NULL || changed->is_seen)
		return false;
	changed->is_seen = true;
	return is_written_here(serverid);
}

/* Leave out the servers that are as they were after all. */
static void
settle_dropped(void)
{
	ListCell   *cell;

	foreach(cell, dropped)
	{
		Changed    *changed = lfirst(cell);
		char	   *now = identity_of(changed->serverid);

		if (now && strcmp(now, changed->identity) == 0)
			dropped = foreach_delete_current(dropped, cell);
	}
}

/* Find out what the others are now, and leave out what was rolled back. */
static void
settle_altered(void)
{
	ListCell   *cell;

	foreach(cell, altered)
	{
		Changed    *changed = lfirst(cell);

		if (!is_written_here(changed->serverid) || !read_identity(changed))
			altered = foreach_delete_current(altered, cell);
	}
}

/* Have what was made or altered loaded anew. */
static void
demand_altered(void)
{
	ListCell   *cell;

	foreach(cell, altered)
		pseudo_shared_demand(((Changed *) lfirst(cell))->digest);
}

/* Forget what was dropped. */
static void
forget_dropped(void)
{
	ListCell   *cell;

	foreach(cell, dropped)
		pseudo_shared_forget(((Changed *) lfirst(cell))->digest);
	foreach(cell, databases)
		pseudo_shared_forget_database(lfirst_oid(cell));
}

/*
 * Transaction callback.  Of a transaction that is prepared nobody tells us when
 * it commits: its servers are loaded anew now, and the keys of those that it
 * drops go when nobody uses them.
 */
static void
changing_ends(XactEvent event, void *arg pg_attribute_unused())
{
	if (dropped == NIL && altered == NIL && databases == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			settle_dropped();
			settle_altered();
			break;
		case XACT_EVENT_COMMIT:
			demand_altered();
			forget_dropped();
			dropped = altered = databases = NIL;
			break;
		case XACT_EVENT_PREPARE:
			demand_altered();
			dropped = altered = databases = NIL;
			break;
		case XACT_EVENT_ABORT:
			dropped = altered = databases = NIL;
			break;
		default:
			break;
	}
}

/* See dropped.h. */
void
pseudo_dropped_init(void)
{
	next_hook = object_access_hook;
	object_access_hook = object_accessed;
	RegisterXactCallback(changing_ends, NULL);
}
