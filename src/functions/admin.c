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
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "../keyring/document.h"
#include "../keyring/secret.h"
#include "../keyring/shared.h"
#include "admin_record.h"
#include "call.h"
#include "citus.h"
#include "record.h"

#define NEW_KEY_LEN	32			/* bytes, of a new key and its nonce key each */

PG_FUNCTION_INFO_V1(pseudo_create_key);
PG_FUNCTION_INFO_V1(pseudo_set_primary_key);
PG_FUNCTION_INFO_V1(pseudo_set_key_status);
PG_FUNCTION_INFO_V1(pseudo_refresh_keyring);
PG_FUNCTION_INFO_V1(pseudo_keyring_state);

/* Returns true if the current user owns a server. */
static bool
owns_server(Oid serverid)
{
	return pseudo_server_ownercheck(serverid, GetUserId());
}

/* The text of argument no, which must not be NULL. */
static char *
string_argument(FunctionCallInfo fcinfo, int no, const char *name)
{
	if (PG_ARGISNULL(no))
		pseudo_report_null(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(no));
}

/* The keyring named by argument no; the current user must own it. */
static ForeignServer *
own_keyring(FunctionCallInfo fcinfo, int no)
{
	char	   *name = string_argument(fcinfo, no, "keyring");
	ForeignServer *server;

	AcceptInvalidationMessages();
	server = pseudo_cache_server(name);
	if (!owns_server(server->serverid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	return server;
}

/* The keyring named by argument 0, to be changed: not by a worker of Citus, whose copy would differ from all others. */
static ForeignServer *
changed_keyring(FunctionCallInfo fcinfo)
{
	ForeignServer *server = own_keyring(fcinfo, 0);

	if (pseudo_citus_is_worker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("keys cannot be changed on a worker node of Citus"),
				 errhint("Change them on the coordinator. If they are in a file, copy it to all nodes.")));
	return server;
}

/*
 * The key id in argument no.  Errors: ERRCODE_NULL_VALUE_NOT_ALLOWED,
 * ERRCODE_INVALID_PARAMETER_VALUE.
 */
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
 *
 * PostgreSQL has no call for that: CacheInvalidate...() leaves its messages to
 * the transaction, which sends them when it commits and forgets them when it
 * aborts.  So the message is made here, as inval.c makes it for a change of a
 * row that a syscache has.
 */
static void
broadcast_now(uint32 hashvalue)
{
	SharedInvalidationMessage msg;

	StaticAssertStmt(sizeof(msg.cc.id) == sizeof(int8) && offsetof(SharedInvalCatcacheMsg, id) == 0 &&
					 (int) FOREIGNSERVEROID <= PG_INT8_MAX,
					 "a message of a syscache begins with its number, in a byte that is not negative");
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

/*
 * The provider's callback: the changed document.  Errors:
 * ERRCODE_INVALID_PARAMETER_VALUE.
 */
static PseudoDocument
apply_change(const PseudoDocument *old, void *arg)
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
 * Change a keyring's document where it is stored, use it here, tell the
 * others: at once, and also where an error comes when there was something to
 * store, for it may have been stored.
 */
static void
change_keyring(ForeignServer *server, Change *change)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);
	uint32		hashvalue = GetSysCacheHashValue1(FOREIGNSERVEROID,
												  ObjectIdGetDatum(server->serverid));
	uint8		digest[PSEUDO_SHARED_DIGEST];
	PseudoDocument stored;
	char	   *version;

	options->provider->check_store_right(options);
	change->serverid = server->serverid;
	pseudo_shared_make_digest(digest, pseudo_options_identity(server->options));
	PG_TRY();
	{
		stored = options->provider->change(options, apply_change, change, &version);
	}
	PG_FINALLY();
	{
		if (change->made)
		{
			pseudo_shared_demand(digest);
			broadcast_now(hashvalue);
		}
	}
	PG_END_TRY();
	pseudo_cache_install(server, &stored, version);
	broadcast(server);			/* standbys learn of it by a commit only */
}

/*
 * Fill in the material of a new key: from where the keyring's options say,
 * else from OpenSSL.
 */
static void
generate_material(ForeignServer *server, uint8 *material, Size len)
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
 * Say that a file has got its first key: another node may have a keyring of
 * this name, whose pseudonyms this key does not read.  Nodes share the secret
 * of a secret store.
 */
static void
note_first_key(ForeignServer *server)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);

	if (options->provider->is_local)
		ereport(NOTICE,
				(errmsg("keyring \"%s\" is new: its file has got its first key", server->servername),
				 errhint("Where other nodes have this keyring, make its keys on one of them and copy the file to all; pseudo_keyrings shows by which fingerprints their keys are the same.")));
}

/*
 * pseudo_create_key(keyring text, output_prefix text, make_primary boolean)
 */
Datum
pseudo_create_key(PG_FUNCTION_ARGS)
{
	ForeignServer *server = changed_keyring(fcinfo);
	char	   *prefix = string_argument(fcinfo, 1, "output_prefix");
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
				 errhint("Valid values are \"tink\" and \"raw\".")));

	pseudo_admin_record("pseudo_create_key", server, "");
	material = pseudo_secret_alloc(2 * NEW_KEY_LEN);
	PG_TRY();
	{
		generate_material(server, material, 2 * NEW_KEY_LEN);
		change.new_key.secret = material;
		change.new_key.nonce_key = material + NEW_KEY_LEN;
		change_keyring(server, &change);
	}
	PG_FINALLY();
	{
		pseudo_secret_free(material);
	}
	PG_END_TRY();
	if (change.id == 1)
		note_first_key(server);
	PG_RETURN_INT64((int64) change.id);
}

/*
 * pseudo_set_primary_key(keyring text, key_id bigint)
 */
Datum
pseudo_set_primary_key(PG_FUNCTION_ARGS)
{
	ForeignServer *server = changed_keyring(fcinfo);
	Change		change = {.what = SET_PRIMARY, .id = key_id_argument(fcinfo, 1)};
	char		more[PSEUDO_RECORD_MORE];

	snprintf(more, sizeof(more), ",\"key_id\":%u", change.id);
	pseudo_admin_record("pseudo_set_primary_key", server, more);
	change_keyring(server, &change);
	PG_RETURN_VOID();
}

/*
 * pseudo_set_key_status(keyring text, key_id bigint, status text)
 */
Datum
pseudo_set_key_status(PG_FUNCTION_ARGS)
{
	ForeignServer *server = changed_keyring(fcinfo);
	Change		change = {.what = SET_STATUS, .id = key_id_argument(fcinfo, 1)};
	char	   *status = string_argument(fcinfo, 2, "status");
	char		more[PSEUDO_RECORD_MORE];

	for (change.status = PSEUDO_KEY_ENABLED; change.status < PSEUDO_KEY_UNUSABLE; change.status++)
	{
		if (strcmp(status, pseudo_key_status_name(change.status)) == 0)
			break;
	}
	if (change.status == PSEUDO_KEY_UNUSABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid key status"),
				 errhint("Valid values are \"enabled\", \"disabled\" and \"destroyed\".")));
	snprintf(more, sizeof(more), ",\"key_id\":%u,\"status\":\"%s\"", change.id, status);
	pseudo_admin_record("pseudo_set_key_status", server, more);
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

	pseudo_admin_record("pseudo_refresh_keyring", server, "");
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

/* The columns of pseudo_keyring_state(), in their order. */
enum
{
	STATE_NAME,
	STATE_PROVIDER,
	STATE_LOADED_AT,
	STATE_VERSION,
	STATE_PRIMARY_KEY_ID,
	STATE_KEY_IDS,
	STATE_PREFIXES,
	STATE_STATUSES,
	STATE_KEY_BITS,
	STATE_NONCE_KEY_BYTES,
	STATE_FINGERPRINTS,
	STATE_WEAK,
	STATE_LOST_KEY_IDS,
	STATE_ERROR,
	STATE_COLUMNS
};

/*
 * A row of pseudo_keyring_state(), being made; all is NULL that has not been
 * put.
 */
typedef struct StateRow
{
	Datum		values[STATE_COLUMNS];
	bool		nulls[STATE_COLUMNS];
} StateRow;

/* Put a value into a row. */
static void
put_column(StateRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

/*
 * Put a column of arrays into a row, which has an element a key, in ascending
 * order of id.
 */
static void
put_of_keys(StateRow *row, int column, Oid type, PseudoKeyring *keyring,
			bool (*element) (const PseudoKey *key, Datum *value))
{
	int			n = keyring->nkeys;
	Datum	   *values = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc(n * sizeof(bool));
	int			lower = 1;
	int16		len;
	bool		by_value;
	char		align;

	for (int i = 0; i < n; i++)
		nulls[i] = !element(&keyring->keys[n - 1 - i], &values[i]);
	get_typlenbyvalalign(type, &len, &by_value, &align);
	put_column(row, column, PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type,
															   len, by_value, align)));
}

/* The elements of these arrays: returns false for NULL. */
static bool
state_id(const PseudoKey *key, Datum *value)
{
	*value = Int64GetDatum((int64) key->id);
	return true;
}

static bool
state_prefix(const PseudoKey *key, Datum *value)
{
	*value = CStringGetTextDatum(pseudo_output_prefix_name(key->prefix));
	return true;
}

static bool
state_status(const PseudoKey *key, Datum *value)
{
	*value = CStringGetTextDatum(pseudo_key_status_name(key->status));
	return true;
}

static bool
state_bits(const PseudoKey *key, Datum *value)
{
	*value = Int32GetDatum(key->siv_bits);
	return true;
}

static bool
state_nonce_bytes(const PseudoKey *key, Datum *value)
{
	*value = Int32GetDatum(key->nonce_key_len);
	return true;
}

static bool
state_fingerprint(const PseudoKey *key, Datum *value)
{
	if (key->fingerprint[0] == '\0')
		return false;
	*value = CStringGetTextDatum(key->fingerprint);
	return true;
}

/* Returns true if a nonce key of the keyring is short enough to be found. */
static bool
is_weak(PseudoKeyring *keyring)
{
	for (int i = 0; i < keyring->nkeys; i++)
	{
		if (pseudo_key_is_weak(&keyring->keys[i]))
			return true;
	}
	return false;
}

/* Put the ids of the keys that a keyring lost into a row. */
static void
put_lost(StateRow *row, const PseudoKeyring *keyring)
{
	Datum		ids[PSEUDO_LOST_MAX];

	if (keyring->nlost == 0)
		return;
	for (int i = 0; i < keyring->nlost; i++)
		ids[i] = Int64GetDatum((int64) keyring->lost[i]);
	put_column(row, STATE_LOST_KEY_IDS,
			   PointerGetDatum(construct_array(ids, keyring->nlost, INT8OID, sizeof(int64),
											   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

/* Put what a keyring's keys show into a row. */
static void
describe_keys(StateRow *row, PseudoKeyring *keyring)
{
	put_column(row, STATE_PRIMARY_KEY_ID, Int64GetDatum((int64) keyring->primary->id));
	put_of_keys(row, STATE_KEY_IDS, INT8OID, keyring, state_id);
	put_of_keys(row, STATE_PREFIXES, TEXTOID, keyring, state_prefix);
	put_of_keys(row, STATE_STATUSES, TEXTOID, keyring, state_status);
	put_of_keys(row, STATE_KEY_BITS, INT4OID, keyring, state_bits);
	put_of_keys(row, STATE_NONCE_KEY_BYTES, INT4OID, keyring, state_nonce_bytes);
	put_of_keys(row, STATE_FINGERPRINTS, TEXTOID, keyring, state_fingerprint);
	put_column(row, STATE_WEAK, BoolGetDatum(is_weak(keyring)));
	put_lost(row, keyring);
}

/* Add the row of one keyring. */
static void
put_state(ReturnSetInfo *rsinfo, ForeignServer *server)
{
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);
	PseudoCacheState state;
	StateRow	row = {0};

	pseudo_cache_describe(server, &state);
	memset(row.nulls, true, sizeof(row.nulls));
	put_column(&row, STATE_NAME, DirectFunctionCall1(namein, CStringGetDatum(server->servername)));
	put_column(&row, STATE_PROVIDER, CStringGetTextDatum(options->provider->name));
	if (state.keyring)
	{
		put_column(&row, STATE_LOADED_AT, TimestampTzGetDatum(state.loaded_at));
		put_column(&row, STATE_VERSION, CStringGetTextDatum(state.version));
		describe_keys(&row, state.keyring);
	}
	if (state.error)
		put_column(&row, STATE_ERROR, CStringGetTextDatum(state.error));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
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
