/*
 * dropped.c
 *		Keyrings whose servers are dropped or altered here.
 *
 * A session that never used a keyring may drop its server, and nobody else may
 * be there who has used it: so the command itself tells that the keys are not
 * wanted any more.  Where another server names the same secret, they are loaded
 * again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_server.h"
#include "utils/memutils.h"

#include "dropped.h"
#include "options.h"
#include "shared.h"

/* A server of this transaction, as it was. */
typedef struct Dropped
{
	Oid			serverid;
	char	   *identity;
	uint8		digest[PSEUDO_SHARED_DIGEST];	/* of it: nothing may fail at
												 * commit */
} Dropped;

static object_access_hook_type next_hook = NULL;
static List *dropped = NIL;		/* in TopTransactionContext */

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

/*
 * Object access hook: note the server as it was, which the catalogs still show
 * until the command is over.
 */
static void
object_accessed(ObjectAccessType access, Oid classid, Oid objectid, int subid, void *arg)
{
	if (next_hook)
		next_hook(access, classid, objectid, subid, arg);
	if (classid == ForeignServerRelationId && (access == OAT_DROP || access == OAT_POST_ALTER) &&
		pseudo_shared_is_on() && IsTransactionState())
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
		Dropped    *drop = palloc(sizeof(Dropped));

		drop->serverid = objectid;
		drop->identity = identity_of(objectid);
		if (drop->identity)
		{
			pseudo_shared_make_digest(drop->digest, drop->identity);
			dropped = lappend(dropped, drop);
		}
		MemoryContextSwitchTo(old);
	}
}

/* Leave out what an ALTER SERVER has left as it was. */
static void
keep_altered(void)
{
	ListCell   *cell;

	foreach(cell, dropped)
	{
		Dropped    *drop = lfirst(cell);
		char	   *now = identity_of(drop->serverid);

		if (now && strcmp(now, drop->identity) == 0)
			dropped = foreach_delete_current(dropped, cell);
	}
}

/* Transaction callback: what is dropped for good is forgotten. */
static void
dropping_ends(XactEvent event, void *arg pg_attribute_unused())
{
	ListCell   *cell;

	if (dropped == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			keep_altered();
			break;
		case XACT_EVENT_COMMIT:
			foreach(cell, dropped)
				pseudo_shared_forget(((Dropped *) lfirst(cell))->digest);
			dropped = NIL;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:	/* the keys go when nobody uses them */
			dropped = NIL;
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
	RegisterXactCallback(dropping_ends, NULL);
}
