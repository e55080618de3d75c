/*
 * cache.c
 *		Which keyring serves a call, and how long it stays.
 *
 * A backend keeps one entry a server.  The invalidation callbacks only count;
 * the place of use compares the counts, loads and frees.  Old keys are freed only after
 * new ones have been read, and every replacement changes pseudo_generation,
 * which makes all callers look their keyring up again.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "../compat.h"
#include "cache.h"
#include "clock.h"
#include "count.h"
#include "secret.h"

#define REFUSED_RETRY	60000	/* milliseconds until a refusal is asked again */
#define EARLY_PAUSE		60000	/* milliseconds between fruitless early
								 * refreshes */
#define FIRST_RETRY		1000	/* milliseconds after the first transient
								 * failure */
#define MAX_RETRY		60000
#define SHORT_TIMEOUT	1000	/* milliseconds for a provider while old keys
								 * can serve */
#define LOST_PAUSE		60000	/* milliseconds in which all backends ask
								 * again after lost messages */

/* Why a keyring is loaded. */
typedef enum LoadReason
{
	LOAD_DUE,					/* there is none, or it is old */
	LOAD_EARLY,					/* a pseudonym opened under no key */
	LOAD_NOW					/* pseudo_refresh_keyring(): a refusal counts
								 * at once */
} LoadReason;

typedef struct CacheEntry
{
	Oid			serverid;		/* hash key */
	uint32		hashvalue;		/* of the server in its syscache */
	uint64		changes;		/* counted by the callback */
	uint64		seen;			/* changes, when last loaded */
	bool		reset;			/* set by the callback: messages were lost,
								 * perhaps about this */
	bool		doubtful;		/* the same, and the next load has to make up
								 * for it */
	PseudoKeyring *keyring;		/* NULL: none */
	PseudoCount *count;			/* of the role that asks for it now */
	char	   *version;		/* in TopMemoryContext */
	char	   *error;			/* of the last failed attempt, likewise */
	char	   *error_detail;	/* likewise */
	char	   *error_hint;		/* likewise */
	int			error_sqlstate;
	TimestampTz error_statement;	/* when the statement began that met it */
	char	   *options;		/* pseudo_options_identity() of the server
								 * that it was loaded from */
	TimestampTz loaded_at;
	int64		next_ms;		/* no load before, unless something changed,
								 * or there are no keys and a new statement
								 * asks; monotonic clock, milliseconds, as all
								 * _ms */
	int64		failing_ms;		/* the first of the failures in a row */
	int64		early_ms;		/* no early refresh before */
	int64		refused_ms;		/* the first of the refusals in a row */
	int64		wipe_ms;		/* keys that nobody used are not kept after
								 * this */
	int			refusals;		/* in a row */
	int			failures;		/* of any kind in a row, loads that were
								 * cancelled too */
} CacheEntry;

uint64		pseudo_generation = 1;

static HTAB *entries = NULL;
static bool sweep_needed = false;	/* a server may have been dropped */
static int64 first_wipe_ms = PG_INT64_MAX;	/* the first wipe_ms of all
											 * entries with keys */

/*
 * Invalidation callback: note which servers changed; free nothing here.  The
 * hash value 0 says that messages were lost, because there were too many at
 * once: any server may have changed, or none.
 */
static void
server_changed(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
			   uint32 hashvalue)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	pseudo_generation++;
	sweep_needed = true;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (hashvalue == 0)
			entry->reset = true;
		else if (entry->hashvalue == hashvalue)
			entry->changes++;
	}
}

/* Invalidation callback: rights may have changed. */
static void
rights_changed(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
			   uint32 hashvalue pg_attribute_unused())
{
	pseudo_generation++;
}

/* See cache.h. */
ForeignServer *
pseudo_cache_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("keyring \"%s\" does not exist", name),
				 errhint("A keyring is a foreign server: CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (...).",
						 quote_identifier(name), PSEUDO_WRAPPER)));
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, PSEUDO_WRAPPER) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" is not a keyring", name),
				 errhint("A keyring is a foreign server of the foreign-data wrapper %s.",
						 PSEUDO_WRAPPER)));
	return server;
}

/* See cache.h. */
bool
pseudo_cache_may_use(Oid serverid, Oid roleid)
{
	return pseudo_server_aclcheck(serverid, roleid, ACL_USAGE) == ACLCHECK_OK;
}

/* See cache.h. */
void
pseudo_cache_check_usage(ForeignServer *server, Oid roleid)
{
	if (!pseudo_cache_may_use(server->serverid, roleid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for keyring \"%s\"", server->servername),
				 errhint("Grant it with GRANT USAGE ON FOREIGN SERVER %s TO %s.",
						 quote_identifier(server->servername),
						 quote_identifier(GetUserNameFromId(roleid, false)))));
}

/* Forget an entry's keys. */
static void
drop_keys(CacheEntry *entry)
{
	PseudoKeyring *old = entry->keyring;

	pseudo_generation++;
	entry->keyring = NULL;
	pseudo_keyring_free(old);
}

/* Replace a string or NULL kept in TopMemoryContext. */
static void
keep_string(char **kept, const char *value)
{
	char	   *copy = value ? MemoryContextStrdup(TopMemoryContext, value) : NULL;

	if (*kept)
		pfree(*kept);
	*kept = copy;
}

/* Keep what the last failure said, or that there is none. */
static void
keep_failure(CacheEntry *entry, const PseudoFailure *failure)
{
	keep_string(&entry->error, failure ? failure->message : NULL);
	keep_string(&entry->error_detail, failure ? failure->detail : NULL);
	keep_string(&entry->error_hint, failure ? failure->hint : NULL);
	entry->error_sqlstate = failure ? failure->sqlstate : 0;
	entry->error_statement = GetCurrentStatementStartTimestamp();
}

/*
 * Returns true if an entry's keyring is the one that the server's options name
 * now.
 */
static bool
has_options(CacheEntry *entry, ForeignServer *server)
{
	return entry->options && strcmp(entry->options, pseudo_options_identity(server->options)) == 0;
}

/* Forget an entry. */
static void
remove_entry(CacheEntry *entry)
{
	drop_keys(entry);
	keep_string(&entry->version, NULL);
	keep_failure(entry, NULL);
	keep_string(&entry->options, NULL);
	hash_search(entries, &entry->serverid, HASH_REMOVE, NULL);
}

/*
 * Forget the servers that have been dropped, and wipe keys that nobody used
 * for too long.
 */
static void
sweep_entries(void)
{
	int64		now = pseudo_now_ms();
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	sweep_needed = false;		/* a message that comes meanwhile asks for
								 * another */
	first_wipe_ms = PG_INT64_MAX;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if ((entry->reset || entry->changes != entry->seen) &&
			!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(entry->serverid)))
			remove_entry(entry);
		else if (entry->keyring && now >= entry->wipe_ms)
			drop_keys(entry);
		else if (entry->keyring)
			first_wipe_ms = Min(first_wipe_ms, entry->wipe_ms);
	}
}

/*
 * Transaction callback: a session that uses no keyring any more keeps no keys
 * that are nobody's.  This is the first moment at which the catalogs can be
 * read after a message has come.
 */
static void
transaction_ends(XactEvent event, void *arg pg_attribute_unused())
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		return;
	if (sweep_needed || (first_wipe_ms != PG_INT64_MAX && pseudo_now_ms() >= first_wipe_ms))
		sweep_entries();
}

/* See cache.h. */
void
pseudo_cache_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(CacheEntry)};

	entries = hash_create("pseudo keyrings", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, rights_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, rights_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, rights_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, rights_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, rights_changed, (Datum) 0);	/* who is
																			 * pg_database_owner */
	RegisterXactCallback(transaction_ends, NULL);
}

/* The entry of a server, made where there is none. */
static CacheEntry *
get_entry(Oid serverid)
{
	bool		found;
	CacheEntry *entry;

	entry = hash_search(entries, &serverid, HASH_ENTER, &found);
	if (!found)
	{
		memset(entry, 0, sizeof(CacheEntry));
		entry->serverid = serverid;
		entry->hashvalue = GetSysCacheHashValue1(FOREIGNSERVEROID,
												 ObjectIdGetDatum(serverid));
	}
	return entry;
}

/* A time that falls at random within the last tenth of an interval. */
static int64
jittered(int64 interval_ms)
{
	return interval_ms - (int64) (pg_prng_double(&pg_global_prng_state) * interval_ms / 10);
}

/* Say that a nonce key is short enough to be found. */
static void
warn_weak(int elevel, const char *server, const PseudoKey *key)
{
	ereport(elevel,
			(errmsg_plural("keyring \"%s\": key %u has a weak nonce key of %d byte",
						   "keyring \"%s\": key %u has a weak nonce key of %d bytes",
						   (unsigned long) key->nonce_key_len,
						   server, key->id, key->nonce_key_len),
			 errdetail("A nonce key of less than %d bytes can be searched for with two known pairs of value and pseudonym. Whoever finds it can test guesses against every deterministic pseudonym made under this key.",
					   PSEUDO_WEAK_NONCE_KEY),
			 errhint("Create a new key, make it primary, and convert the old pseudonyms with repseudonymize_table().")));
}

/* Say which keys of a document cannot be used, and which is the first that is weak. */
static void
warn_of_keys(int elevel, const char *server, PseudoKeyring *keyring)
{
	PseudoKey  *weak = NULL;

	for (int i = 0; i < keyring->nkeys; i++)
	{
		PseudoKey  *key = &keyring->keys[i];

		if (key->status == PSEUDO_KEY_UNUSABLE)
			ereport(elevel,
					(errmsg("keyring \"%s\": key %u cannot be used: its field \"%s\" is not one that this version knows",
							server, key->id,
							key->prefix == PSEUDO_PREFIX_UNKNOWN ? "outputPrefix" : "status")));
		else if (weak == NULL && key->status == PSEUDO_KEY_ENABLED && pseudo_key_is_weak(key))
			weak = key;
	}
	if (weak)
		warn_weak(elevel, server, weak);
}

/*
 * Returns true if a key got other material.  Takes constant time; a key
 * without material has all zeros.
 */
static bool
was_replaced(const PseudoKey *old, const PseudoKey *new)
{
	return new->siv_bits != 0 && old->siv_bits != 0 &&
		CRYPTO_memcmp(&old->siv, &new->siv, sizeof(old->siv)) != 0;
}

/*
 * Returns true if a new document lost a key: gone without a destroyed entry, or
 * with other material under the same id, as in a replaced one-key document.
 */
static bool
is_lost(const PseudoKey *old, PseudoKeyring *new)
{
	PseudoKey  *now = pseudo_keyring_find(new, old->id);

	return old->status != PSEUDO_KEY_DESTROYED && (now == NULL || was_replaced(old, now));
}

/* Note in a new keyring which keys it lost, and which were lost before and have not come back. */
static void
note_lost(PseudoKeyring *old, PseudoKeyring *new)
{
	for (int i = 0; i < old->nkeys && new->nlost < PSEUDO_LOST_MAX; i++)
	{
		if (is_lost(&old->keys[i], new))
			new->lost[new->nlost++] = old->keys[i].id;
	}
	for (int i = 0; i < old->nlost && new->nlost < PSEUDO_LOST_MAX; i++)
	{
		PseudoKey  *other = pseudo_keyring_find(old, old->lost[i]);
		PseudoKey  *now = pseudo_keyring_find(new, old->lost[i]);

		if (now == NULL ? other == NULL :
			other && now->status != PSEUDO_KEY_DESTROYED && !was_replaced(other, now))
			new->lost[new->nlost++] = old->lost[i];
	}
}

/* Say which keys a new document lost. */
static void
warn_lost(int elevel, const char *server, PseudoKeyring *old, const char *old_version,
		  PseudoKeyring *new, const char *new_version)
{
	for (int i = 0; i < old->nkeys; i++)
	{
		if (!is_lost(&old->keys[i], new))
			continue;
		ereport(elevel,
				(errmsg("keyring \"%s\": key %u is gone from the document",
						server, old->keys[i].id),
				 pseudo_keyring_find(new, old->keys[i].id) ?
				 errdetail("Version %s has another key under this id than version %s.",
						   new_version, old_version) :
				 errdetail("Version %s has it, version %s does not.",
						   old_version, new_version),
				 errhint("Pseudonyms under this key cannot be read any more: restore the key from version %s, or add a destroyed entry for it.",
						 old_version)));
	}
}

/* Keep an entry's keys no longer than until then, where nobody uses them. */
static void
wipe_after(CacheEntry *entry, int64 wipe_ms)
{
	entry->wipe_ms = wipe_ms;
	first_wipe_ms = Min(first_wipe_ms, wipe_ms);
}

/*
 * Put a new keyring into an entry; takes it over.  Everything that can fail
 * for lack of memory comes first.  What its document should not have or lack is
 * told to the owner, who asked for it, else once a version to the server's log:
 * an analyst can do nothing about it.
 */
static void
put_keyring(CacheEntry *entry, ForeignServer *server, const PseudoOptions *options,
			PseudoKeyring *keyring, const char *version, bool is_owner)
{
	PseudoKeyring *old = entry->keyring;
	char	   *volatile old_version = NULL;
	volatile bool same_options = false;
	int			elevel = is_owner ? WARNING : LOG_SERVER_ONLY;
	int64		now = pseudo_now_ms();

	PG_TRY();
	{
		old_version = entry->version ? pstrdup(entry->version) : NULL;
		same_options = has_options(entry, server);
		if (!same_options)
			keep_string(&entry->options, pseudo_options_identity(server->options));
		keep_string(&entry->version, version);
		keep_failure(entry, NULL);
	}
	PG_CATCH();
	{
		pseudo_keyring_free(keyring);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (same_options && old)
		note_lost(old, keyring);
	pseudo_generation++;
	entry->keyring = keyring;
	entry->loaded_at = GetCurrentTimestamp();
	entry->next_ms = now + jittered((int64) options->refresh_interval * 1000);
	entry->doubtful = false;
	wipe_after(entry, now + ((int64) options->refresh_interval + options->stale_limit) * 1000);
	entry->refusals = 0;
	entry->failures = 0;

	/* Sending a WARNING can fail: the old keys must not outlive that. */
	PG_TRY();
	{
		if (same_options && old)
			warn_lost(elevel, server->servername, old, old_version, keyring, version);
		if (is_owner || !(IsParallelWorker() || (same_options && strcmp(old_version, version) == 0)))
			warn_of_keys(elevel, server->servername, keyring);
	}
	PG_CATCH();
	{
		pseudo_keyring_free(old);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pseudo_keyring_free(old);
}

/* Report a provider's failure. */
static void
report_failure(int elevel, ForeignServer *server, const PseudoFailure *failure)
{
	ereport(elevel,
			(errcode(failure->sqlstate),
			 errmsg("keyring \"%s\": %s", server->servername, failure->message),
			 failure->detail ? errdetail("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* Ask the provider for a keyring; NULL and *failure where it has none. */
static PseudoKeyring *
load_keyring(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	PseudoDocument document;
	PseudoKeyring *volatile keyring = NULL;
	char	   *fault = NULL;

	document = options->provider->load(options, version, failure);
	if (document.data == NULL)
		return NULL;

	PG_TRY();
	{
		keyring = pseudo_keyring_parse(document.data, document.len, &fault);
	}
	PG_FINALLY();
	{
		pseudo_secret_free(document.data);
	}
	PG_END_TRY();

	if (keyring == NULL)
		pseudo_fail(failure, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_INVALID_PARAMETER_VALUE,
					psprintf("the document is not a keyring: %s", fault), NULL, NULL);
	return keyring;
}

/*
 * Wait longer after each failure in a row, and not all backends equally long.
 */
static void
pause_load(CacheEntry *entry)
{
	int64		pause = Min((int64) FIRST_RETRY << Min(entry->failures - 1, 10), MAX_RETRY);

	entry->next_ms = pseudo_now_ms() + pause / 2 +
		(int64) (pg_prng_double(&pg_global_prng_state) * pause / 2);
}

/*
 * Decide what a failure means for the keys of an entry: returns true where
 * they serve on, else drops them.
 */
static bool
serve_on(CacheEntry *entry, ForeignServer *server, const PseudoOptions *options,
		 const PseudoFailure *failure, LoadReason reason)
{
	int64		now = pseudo_now_ms();

	if (failure->class == PSEUDO_FAIL_REFUSED)
	{
		bool		counts = reason != LOAD_EARLY || now >= entry->refused_ms + REFUSED_RETRY;

		if (reason == LOAD_NOW || (entry->refusals > 0 && counts))
		{
			drop_keys(entry);
			return false;
		}
		if (entry->refusals++ == 0)
			entry->refused_ms = now;
		entry->next_ms = entry->refused_ms + REFUSED_RETRY;
		report_failure(WARNING, server, failure);
		return true;
	}

	entry->refusals = 0;
	if (now - entry->failing_ms >= (int64) options->stale_limit * 1000)
	{
		drop_keys(entry);
		return false;
	}
	wipe_after(entry, Max(entry->wipe_ms, entry->failing_ms + (int64) options->stale_limit * 1000));
	report_failure(failure->class == PSEUDO_FAIL_TRANSIENT && reason != LOAD_NOW ? LOG : WARNING,
				   server, failure);
	return true;
}

/*
 * Load an entry's keyring again.  Returns false where that failed and no old
 * keys serve on; *failure says why.
 */
static bool
reload_entry(CacheEntry *entry, PseudoFailure *failure, LoadReason reason)
{
	uint64		changes = entry->changes;	/* before the options are read */
	ForeignServer *server = GetForeignServer(entry->serverid);
	PseudoOptions *options = pseudo_options_read(server->servername, server->options);
	PseudoKeyring *keyring;
	char	   *version = NULL;
	bool		ok = true;

	/* Other options mean another keyring: the old keys may not stand in. */
	if (entry->keyring && !has_options(entry, server))
		drop_keys(entry);

	/* Who has been told of a change must not be answered by an older cache. */
	options->fresh = reason != LOAD_DUE || entry->changes != entry->seen || entry->doubtful;
	if (entry->keyring && reason != LOAD_NOW)
		options->timeout = Min(options->timeout, SHORT_TIMEOUT);

	/*
	 * A failure until it has succeeded: a cancel in the middle must neither
	 * have each statement wait nor stop stale_limit's clock.
	 */
	if (entry->failures++ == 0)
		entry->failing_ms = pseudo_now_ms();
	if (reason != LOAD_EARLY)
		pause_load(entry);
	entry->seen = changes;		/* later ones are still to be seen */
	if (entry->keyring && entry->failures > 1 &&
		pseudo_now_ms() - entry->failing_ms >= (int64) options->stale_limit * 1000)
		drop_keys(entry);		/* also where each load was cancelled */
	pseudo_count(entry->count, PSEUDO_COUNT_WAITS, 1);
	keyring = load_keyring(options, &version, failure);
	if (keyring)
	{
		pseudo_count(entry->count, PSEUDO_COUNT_LOADS, 1);
		put_keyring(entry, server, options, keyring, version, reason == LOAD_NOW);
	}
	else
	{
		pseudo_count_failure(entry->count, failure);
		keep_failure(entry, failure);
		pause_load(entry);
		ok = entry->keyring && serve_on(entry, server, options, failure, reason);
	}
	return ok;
}

/*
 * Returns true if this very statement met a failure a moment ago.  So a
 * thousand rows ask once, even if each row's error is caught.
 */
static bool
failed_just_now(CacheEntry *entry, PseudoFailure *failure)
{
	if (entry->error == NULL || entry->error_statement != GetCurrentStatementStartTimestamp() ||
		pseudo_now_ms() >= entry->next_ms)
		return false;
	pseudo_fail(failure, PSEUDO_FAIL_TRANSIENT, entry->error_sqlstate, entry->error,
				entry->error_detail, entry->error_hint);
	return true;
}

/*
 * Messages were lost: find out what they can have said.  What the catalogs say
 * now is certain, so other options are seen.  A pseudo_refresh_keyring() that
 * was among them is not; it is made up for by a load, at once where that costs
 * nobody anything, else in the next minute: unrelated DDL in any database
 * loses messages, and not all backends may ask at the same time then.
 */
static void
check_reset(CacheEntry *entry)
{
	ForeignServer *server;

	entry->reset = false;		/* before the catalogs are read */
	entry->doubtful = true;
	if (entry->keyring == NULL)
		return;					/* the next statement asks in any case */
	server = GetForeignServer(entry->serverid);
	if (!has_options(entry, server) ||
		pseudo_options_read(server->servername, server->options)->provider->is_local)
		entry->changes++;
	else
		entry->next_ms = Min(entry->next_ms, pseudo_now_ms() + LOST_PAUSE / 2 +
							 (int64) (pg_prng_double(&pg_global_prng_state) * LOST_PAUSE / 2));
}

/*
 * Bring an entry up to date where it has to be; as reload_entry() otherwise.
 */
static bool
update_entry(CacheEntry *entry, PseudoFailure *failure)
{
	if (entry->reset)
		check_reset(entry);
	if (entry->changes == entry->seen)
	{
		if (entry->keyring && pseudo_now_ms() < entry->next_ms)
			return true;
		if (entry->keyring == NULL && failed_just_now(entry, failure))
			return false;
	}
	return reload_entry(entry, failure, LOAD_DUE);
}

/* See cache.h. */
PseudoKeyring *
pseudo_cache_keyring(Oid serverid, PseudoCount *count)
{
	CacheEntry *entry;
	PseudoFailure failure = pseudo_no_failure();

	if (sweep_needed)
		sweep_entries();
	entry = get_entry(serverid);
	entry->count = count;
	if (!update_entry(entry, &failure))
		report_failure(ERROR, GetForeignServer(serverid), &failure);
	return entry->keyring;
}

/* See cache.h. */
void
pseudo_cache_refresh_early(Oid serverid, PseudoCount *count)
{
	CacheEntry *entry = get_entry(serverid);
	char	   *old_version;
	PseudoFailure failure = pseudo_no_failure();

	if (pseudo_now_ms() < entry->early_ms || entry->version == NULL)
		return;

	/* Pause first: an error in the middle must not make this a loop. */
	entry->early_ms = pseudo_now_ms() + EARLY_PAUSE;
	old_version = pstrdup(entry->version);
	entry->count = count;
	if (!reload_entry(entry, &failure, LOAD_EARLY))
		report_failure(ERROR, GetForeignServer(serverid), &failure);
	if (strcmp(old_version, entry->version) != 0)
		entry->early_ms = 0;
	pfree(old_version);
}

/* See cache.h. */
void
pseudo_cache_refresh_now(ForeignServer *server)
{
	CacheEntry *entry = get_entry(server->serverid);
	PseudoFailure failure = pseudo_no_failure();

	entry->count = pseudo_count_of(server->serverid, GetUserId());
	if (!reload_entry(entry, &failure, LOAD_NOW))
		report_failure(ERROR, server, &failure);
	entry->early_ms = 0;
}

/* See cache.h. */
bool
pseudo_cache_has_keys(Oid serverid)
{
	return get_entry(serverid)->keyring != NULL;
}

/* See cache.h. */
void
pseudo_cache_install(ForeignServer *server, PseudoDocument *document, const char *version)
{
	CacheEntry *volatile entry = NULL;
	PseudoOptions *volatile options = NULL;
	PseudoKeyring *volatile keyring = NULL;
	char	   *fault = NULL;

	PG_TRY();
	{
		entry = get_entry(server->serverid);
		options = pseudo_options_read(server->servername, server->options);
		if (entry->keyring && !has_options(entry, server))
			drop_keys(entry);
		keyring = pseudo_keyring_parse(document->data, document->len, &fault);
	}
	PG_CATCH();
	{
		pseudo_secret_free(document->data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pseudo_secret_free(document->data);
	document->data = NULL;
	if (keyring == NULL)
		elog(ERROR, "keyring \"%s\": the document just stored is not a keyring: %s",
			 server->servername, fault);
	put_keyring(entry, server, options, keyring, version, true);
}

/* See cache.h. */
void
pseudo_cache_describe(ForeignServer *server, PseudoCacheState *state)
{
	CacheEntry *entry;
	PseudoFailure failure = pseudo_no_failure();

	if (sweep_needed)
		sweep_entries();
	entry = get_entry(server->serverid);
	entry->count = pseudo_count_of(server->serverid, GetUserId());
	update_entry(entry, &failure);
	state->keyring = entry->keyring;
	state->loaded_at = entry->loaded_at;
	state->version = entry->version;
	state->error = entry->error;
}
