/*
 * admin_record.c
 *		Audit records of what is done to keyrings.
 *
 * They come before it is done, also where the transaction is rolled back then.  Where
 * records cannot be durable, because the library is not preloaded, they go to the server's
 * log: to turn such an audit off has to be possible.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "../compat.h"
#include "../keyring/options.h"
#include "admin_record.h"
#include "record.h"

static object_access_hook_type next_access_hook = NULL;

/* What is recorded of a server with these options. */
static PseudoAudit
audit_of(List *options)
{
	PseudoPolicy policy;

	pseudo_policy_read(&policy, options);
	return Max(policy.audit, (PseudoAudit) pseudo_audit_least);
}

/* Write a record. */
static void
write_admin(PseudoAudit audit, const char *function, const char *keyring, const char *more)
{
	PseudoSubject subject = {.keyring = keyring, .function = function};
	char	   *middle;
	char	   *line;

	if (audit == PSEUDO_AUDIT_OFF)
		return;
	if (pseudo_record_is_impossible(audit))
		audit = PSEUDO_AUDIT_LOG;
	middle = pseudo_record_middle(&subject);
	line = palloc(strlen(middle) + PSEUDO_RECORD_ROOM + PSEUDO_RECORD_MORE);
	pseudo_audit_write(audit, line, pseudo_record_line(line, "admin", middle, more));
	pfree(line);
	pfree(middle);
}

/* See admin_record.h. */
void
pseudo_admin_record(const char *function, ForeignServer *server, const char *more)
{
	write_admin(audit_of(server->options), function, server->servername, more);
}

/* The server as this command has made it, for which a syscache is too early; NULL where it is no keyring. */
static ForeignServer *
new_server(Oid serverid)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	ForeignServer *server = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		bool		isnull;
		Datum		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions, RelationGetDescr(rel), &isnull);

		if (strcmp(GetForeignDataWrapper(form->srvfdw)->fdwname, PSEUDO_WRAPPER) == 0)
		{
			server = palloc0(sizeof(ForeignServer));
			server->servername = pstrdup(NameStr(form->srvname));
			server->options = isnull ? NIL : untransformRelOptions(options);
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return server;
}

/* Record what is done to a server; the stricter of what it asked for and asks for now counts. */
static void
record_server(const char *function, Oid serverid)
{
	ForeignServer *old = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	ForeignServer *new = new_server(serverid);
	PseudoAudit audit;

	if (new == NULL)
		return;
	audit = audit_of(new->options);
	if (old)
		audit = Max(audit, audit_of(old->options));
	write_admin(audit, function, new->servername, "");
}

/* Hook: what is done to objects. */
static void
note_server(ObjectAccessType access, Oid class, Oid oid, int subid, void *arg)
{
	if (next_access_hook)
		next_access_hook(access, class, oid, subid, arg);
	if (class != ForeignServerRelationId || subid != 0)
		return;
	if (access == OAT_POST_CREATE)
		record_server("CREATE SERVER", oid);
	else if (access == OAT_POST_ALTER)
		record_server("ALTER SERVER", oid);
	else if (access == OAT_DROP)
		record_server("DROP SERVER", oid);
}

/* See admin_record.h. */
void
pseudo_admin_record_init(void)
{
	next_access_hook = object_access_hook;
	object_access_hook = note_server;
}
