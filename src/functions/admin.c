/*
 * admin.c
 *		Administration of keyrings, and the view of them.
 *
 * To own a keyring's server is to own its keys: these functions take ownership.
 */
#include "postgres.h"

#include <openssl/rand.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "storage/sinval.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "../keyring/secret.h"
#include "call.h"

#define NEW_KEY_LEN	32			/* bytes, of a new key and its nonce key each */

PG_FUNCTION_INFO_V1(pseudo_create_key);
PG_FUNCTION_INFO_V1(pseudo_set_primary_key);
PG_FUNCTION_INFO_V1(pseudo_set_key_status);
PG_FUNCTION_INFO_V1(pseudo_refresh_keyring);
PG_FUNCTION_INFO_V1(pseudo_keyring_state);

/* Does the current user own a server? */
static bool
owns_server(Oid serverid)
{
	return pseudo_server_ownercheck(serverid, GetUserId());
}

/* The text of argument no, which must not be NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	if (PG_ARGISNULL(no))
		pseudo_report_null(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(no));
}

/* The keyring named by argument no; the current user must own it. */
static ForeignServer *
own_keyring(FunctionCallInfo fcinfo, int no)
{
	char	   *name = text_argument(fcinfo, no, "keyring");
	ForeignServer *server;

	AcceptInvalidationMessages();
	server = pseudo_cache_server(name);
	if (!owns_server(server->serverid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	return server;
}

/* The key id in argument no.  Errors: 22004, 22023. */
static uint32
key_id_argument(FunctionCallInfo fcinfo, int no)
{
	int64		id;

	if (PG_ARGISNULL(no))
		pseudo_report_null("key_id");
	id = PG_GETARG_INT64(no);
	if (id < 1 || id > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key id is out of range"),
				 errhint("Key ids are 1 to 4294967295.")));
	return (uint32) id;
}

/*
 * Make every backend of this server look at a keyring again now, whatever
 * comes of this transaction: for what has happened outside of it.
 */
static void
broadcast_now(uint32 hashvalue)
{
	SharedInvalidationMessage msg;

	memset(&msg, 0, sizeof(msg));
	msg.cc.id = (int8) FOREIGNSERVEROID;
	msg.cc.dbId = MyDatabaseId;
	msg.cc.hashValue = hashvalue;
	SendSharedInvalidMessages(&msg, 1);
}

/*
 * Make every backend look at a keyring again after commit: send the server's
 * own invalidation, as ALTER SERVER would.
 */
static void
broadcast(ForeignServer *server)
{
	Relation	rel;
	HeapTuple	tuple;

	if (RecoveryInProgress())
	{
		ereport(NOTICE,
				(errmsg("keyring \"%s\" is refreshed in this session only", server->servername),
				 errdetail("A standby cannot tell its other sessions; they refresh after refresh_interval.")));
		return;
	}
	rel = table_open(ForeignServerRelationId, AccessShareLock);
	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server->serverid));
	if (HeapTupleIsValid(tuple))
	{
		CacheInvalidateHeapTuple(rel, tuple, NULL);
		ReleaseSysCache(tuple);
	}
	table_close(rel, AccessShareLock);
}

/* What a change of a document is to do; one of the three is. */
typedef struct Change
{
	enum
	{
		ADD_KEY, SET_PRIMARY, SET_STATUS
	}			what;
	Oid			serverid;
	PseudoNewKey new_key;
	uint32		id;				/* in, or out for ADD_KEY */
	PseudoKeyStatus status;
	bool		made;			/* out: there was something to store */
} Change;

/*
 * Refuse to start a keyring over where its document was lost: key ids would be
 * used again.  The keys that this backend holds tell.
 */
static void
check_not_emptied(Oid serverid, const PseudoDocument *old)
{
	if (pseudo_document_is_blank(old) && pseudo_cache_has_keys(serverid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the keyring's document is missing or empty, but this session holds keys of it"),
				 errhint("Restore the document. To begin a new keyring, create another server.")));
}

/* The provider's callback: the changed document.  Errors: 22023. */
static PseudoDocument
change_document(const PseudoDocument *old, void *arg)
{
	Change	   *change = arg;
	PseudoDocument new = {NULL, 0};
	char	   *fault = NULL;

	switch (change->what)
	{
		case ADD_KEY:
			check_not_emptied(change->serverid, old);
			new = pseudo_document_add_key(old, &change->new_key, &change->id, &fault);
			break;
		case SET_PRIMARY:
			new = pseudo_document_set_primary(old, change->id, &fault);
			break;
		case SET_STATUS:
			new = pseudo_document_set_status(old, change->id, change->status, &fault);
			break;
	}
	if (new.data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not change the keyring: %s", fault)));
	change->made = true;
	return new;
}

/*
 * Change a keyring's document where it is stored, use it here, tell the others: at once, and also where an
 * error comes when there was something to store, for it may have been stored.
 */
static void
change_keyring(ForeignServer *server, Change *change)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);
	uint32		hashvalue = GetSysCacheHashValue1(FOREIGNSERVEROID,
												  ObjectIdGetDatum(server->serverid));
	PseudoDocument stored;
	char	   *version;

	options->provider->check_store_right(options);
	change->serverid = server->serverid;
	PG_TRY();
	{
		stored = options->provider->change(options, change_document, change, &version);
	}
	PG_FINALLY();
	{
		if (change->made)
			broadcast_now(hashvalue);
	}
	PG_END_TRY();
	pseudo_cache_install(server, &stored, version);
	broadcast(server);			/* standbys learn of it by a commit only */
}

/* Fill in the material of a new key: from where the keyring's options say, else from OpenSSL. */
static void
generate(ForeignServer *server, uint8 *material, Size len)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);

	if (options->provider->random && options->provider->random(options, material, len))
		return;
	if (RAND_priv_bytes(material, (int) len) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a key: OpenSSL has no randomness")));
}

/*
 * pseudo_create_key(keyring text, output_prefix text, make_primary boolean)
 */
Datum
pseudo_create_key(PG_FUNCTION_ARGS)
{
	ForeignServer *server = own_keyring(fcinfo, 0);
	char	   *prefix = text_argument(fcinfo, 1, "output_prefix");
	Change		change = {.what = ADD_KEY};
	uint8	   *material;

	if (PG_ARGISNULL(2))
		pseudo_report_null("make_primary");
	change.new_key.make_primary = PG_GETARG_BOOL(2);
	if (strcmp(prefix, "tink") == 0)
		change.new_key.prefix = PSEUDO_PREFIX_TINK;
	else if (strcmp(prefix, "raw") == 0)
		change.new_key.prefix = PSEUDO_PREFIX_RAW;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid output prefix"),
				 errhint("Valid output prefixes are: tink, raw.")));

	material = pseudo_secret_alloc(2 * NEW_KEY_LEN);
	PG_TRY();
	{
		generate(server, material, 2 * NEW_KEY_LEN);
		change.new_key.secret = material;
		change.new_key.nonce_key = material + NEW_KEY_LEN;
		change_keyring(server, &change);
	}
	PG_FINALLY();
	{
		pseudo_secret_free(material);
	}
	PG_END_TRY();
	PG_RETURN_INT64((int64) change.id);
}

/*
 * pseudo_set_primary_key(keyring text, key_id bigint)
 */
Datum
pseudo_set_primary_key(PG_FUNCTION_ARGS)
{
	ForeignServer *server = own_keyring(fcinfo, 0);
	Change		change = {.what = SET_PRIMARY,.id = key_id_argument(fcinfo, 1)};

	change_keyring(server, &change);
	PG_RETURN_VOID();
}

/*
 * pseudo_set_key_status(keyring text, key_id bigint, status text)
 */
Datum
pseudo_set_key_status(PG_FUNCTION_ARGS)
{
	ForeignServer *server = own_keyring(fcinfo, 0);
	Change		change = {.what = SET_STATUS,.id = key_id_argument(fcinfo, 1)};
	char	   *status = text_argument(fcinfo, 2, "status");

	for (change.status = PSEUDO_KEY_ENABLED; change.status < PSEUDO_KEY_UNUSABLE; change.status++)
	{
		if (strcmp(status, pseudo_key_status_name(change.status)) == 0)
			break;
	}
	if (change.status == PSEUDO_KEY_UNUSABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid key status"),
				 errhint("Valid statuses are: enabled, disabled, destroyed.")));
	change_keyring(server, &change);
	PG_RETURN_VOID();
}

/*
 * pseudo_refresh_keyring(keyring text)
 */
Datum
pseudo_refresh_keyring(PG_FUNCTION_ARGS)
{
	ForeignServer *server = own_keyring(fcinfo, 0);
	uint32		hashvalue = GetSysCacheHashValue1(FOREIGNSERVEROID,
												  ObjectIdGetDatum(server->serverid));

	PG_TRY();
	{
		pseudo_cache_refresh_now(server);
	}
	PG_CATCH();
	{
		/* This transaction is lost, but the others must hear of a refusal. */
		broadcast_now(hashvalue);
		PG_RE_THROW();
	}
	PG_END_TRY();
	broadcast(server);
	PG_RETURN_VOID();
}

/* An array of as many elements as the keyring has keys. */
static Datum
key_array(Datum *elements, int n, Oid type)
{
	switch (type)
	{
		case INT8OID:
			return PointerGetDatum(construct_array(elements, n, type, 8,
												   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		case INT4OID:
			return PointerGetDatum(construct_array(elements, n, type, 4,
												   true, TYPALIGN_INT));
		default:
			return PointerGetDatum(construct_array(elements, n, type, -1,
												   false, TYPALIGN_INT));
	}
}

/* Fill in what a keyring's keys show, in ascending order of id. */
static void
describe_keys(PseudoKeyring *keyring, Datum *values, bool *nulls)
{
	int			n = keyring->nkeys;
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *prefixes = palloc(n * sizeof(Datum));
	Datum	   *statuses = palloc(n * sizeof(Datum));
	Datum	   *bits = palloc(n * sizeof(Datum));
	Datum	   *nonce_bytes = palloc(n * sizeof(Datum));
	bool		weak = false;

	for (int i = 0; i < n; i++)
	{
		PseudoKey  *key = &keyring->keys[n - 1 - i];

		ids[i] = Int64GetDatum((int64) key->id);
		prefixes[i] = CStringGetTextDatum(pseudo_output_prefix_name(key->prefix));
		statuses[i] = CStringGetTextDatum(pseudo_key_status_name(key->status));
		bits[i] = Int32GetDatum(key->siv_bits);
		nonce_bytes[i] = Int32GetDatum(key->nonce_key_len);
		if (key->nonce_key_len > 0 && key->nonce_key_len < PSEUDO_WEAK_NONCE_KEY)
			weak = true;
	}
	values[4] = Int64GetDatum((int64) keyring->primary->id);
	values[5] = key_array(ids, n, INT8OID);
	values[6] = key_array(prefixes, n, TEXTOID);
	values[7] = key_array(statuses, n, TEXTOID);
	values[8] = key_array(bits, n, INT4OID);
	values[9] = key_array(nonce_bytes, n, INT4OID);
	values[10] = BoolGetDatum(weak);
	memset(nulls + 4, false, 7);
}

/* Add the row of one keyring. */
static void
put_state(ReturnSetInfo *rsinfo, ForeignServer *server)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);
	PseudoCacheState state;
	Datum		values[12] = {0};
	bool		nulls[12];

	pseudo_cache_describe(server, &state);
	memset(nulls, true, sizeof(nulls));
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(server->servername));
	values[1] = CStringGetTextDatum(options->provider->name);
	nulls[0] = nulls[1] = false;
	if (state.keyring)
	{
		values[2] = TimestampTzGetDatum(state.loaded_at);
		values[3] = CStringGetTextDatum(state.version);
		nulls[2] = nulls[3] = false;
		describe_keys(state.keyring, values, nulls);
	}
	if (state.error)
	{
		values[11] = CStringGetTextDatum(state.error);
		nulls[11] = false;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The servers of our wrapper that the current user may use. */
static List *
usable_keyrings(void)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *servers = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (strcmp(GetForeignDataWrapper(form->srvfdw)->fdwname, PSEUDO_WRAPPER) == 0 &&
			pseudo_cache_may_use(form->oid, GetUserId()))
			servers = lappend(servers, GetForeignServer(form->oid));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return servers;
}

/*
 * pseudo_keyring_state(): the rows of the view pseudo_keyrings
 */
Datum
pseudo_keyring_state(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	AcceptInvalidationMessages();
	foreach(cell, usable_keyrings())
		put_state((ReturnSetInfo *) fcinfo->resultinfo, (ForeignServer *) lfirst(cell));
	PG_RETURN_NULL();
}
