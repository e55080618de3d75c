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
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
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
#include "dropped.h"
#include "load.h"
#include "secret.h"
#include "shared.h"
#include "warn.h"

#define ALONE_PAUSE	60000		/* milliseconds until this backend asks again
								 * whether the server has room for a keyring */

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
	int64		loaded_ms;		/* monotonic clock, milliseconds, as all _ms */
	PseudoAttempts attempts;	/* its next_ms: no load before, unless
								 * something changed, or there are no keys and
								 * a new statement asks */
	int64		early_ms;		/* no early refresh before */
	int64		wipe_ms;		/* keys that nobody used are not kept after
								 * this */
	PseudoSharedRef shared;		/* the server's, where it has it */
	int64		alone_ms;		/* what the server has is not looked for
								 * before */
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

	if (server == NULL && strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("keyring \"%.*s...\" does not exist",
						pg_mbcliplen(name, (int) strlen(name), NAMEDATALEN - 1), name),
				 errhint("Names have at most %d bytes.", NAMEDATALEN - 1)));
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
	pseudo_shared_release(&entry->shared);
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
 * told to the owner, who asked for it (elevel is WARNING), else once a version
 * to the server's log (LOG_SERVER_ONLY): an analyst can do nothing about it.
 * 0: it has been told already.
 */
static void
put_keyring(CacheEntry *entry, ForeignServer *server, const PseudoOptions *options,
			PseudoKeyring *keyring, const char *version, int elevel)
{
	PseudoKeyring *old = entry->keyring;
	char	   *volatile old_version = NULL;
	volatile bool same_options = false;
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
		entry->shared.seen = 0; /* the old keys are not the server's */
		pseudo_keyring_free(keyring);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (same_options && old && elevel != 0)
		pseudo_note_lost(old, keyring);
	pseudo_generation++;
	entry->keyring = keyring;
	entry->loaded_at = GetCurrentTimestamp();
	entry->loaded_ms = now;
	memset(&entry->attempts, 0, sizeof(entry->attempts));
	entry->attempts.next_ms = now + pseudo_jittered((int64) options->refresh_interval * 1000);
	entry->doubtful = false;
	wipe_after(entry, now + ((int64) options->refresh_interval + options->stale_limit) * 1000);

	/*
	 * Sending a WARNING can fail: the old keys must not outlive that.  A
	 * parallel worker leaves it to its leader to log, unless it has loaded
	 * the keyring for all.
	 */
	PG_TRY();
	{
		if (same_options && old && elevel != 0)
			pseudo_warn_of_lost(elevel, server->servername, old, old_version, keyring, version);
		if (elevel == WARNING ||
			(elevel != 0 && !(IsParallelWorker() && entry->shared.stamp == NULL) &&
			 !(same_options && old_version && strcmp(old_version, version) == 0)))
			pseudo_warn_of_keys(elevel, server->servername, keyring);
	}
	PG_CATCH();
	{
		pseudo_keyring_free(old);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pseudo_keyring_free(old);
}

/* To whom what is wrong with a document that was loaded is told. */
static int
told_to(PseudoLoadReason reason)
{
	return reason == PSEUDO_LOAD_NOW ? WARNING : LOG_SERVER_ONLY;
}

/* Note that old keys serve on, and say why. */
static void
serve_on(CacheEntry *entry, ForeignServer *server, const PseudoOptions *options,
		 const PseudoFailure *failure, PseudoLoadReason reason)
{
	if (failure->class != PSEUDO_FAIL_REFUSED)
		wipe_after(entry, Max(entry->wipe_ms, entry->attempts.failing_ms +
							  (int64) options->stale_limit * 1000));
	pseudo_load_report(pseudo_load_level(failure->class, reason == PSEUDO_LOAD_NOW),
					   server->servername, failure);
}

/*
 * Load an entry's keyring for this backend alone.  Returns false where that
 * failed and no old keys serve on; *failure says why.
 */
static bool
load_alone(CacheEntry *entry, ForeignServer *server, PseudoOptions *options,
		   PseudoFailure *failure, PseudoLoadReason reason)
{
	PseudoAttempts *attempts = &entry->attempts;
	PseudoKeyring *keyring;
	char	   *version = NULL;

	if (entry->keyring && reason != PSEUDO_LOAD_NOW)
		options->timeout = Min(options->timeout, PSEUDO_SHORT_TIMEOUT);
	pseudo_attempts_begin(attempts, reason);
	if (entry->keyring && attempts->failures > 1 &&
		pseudo_attempts_are_stale(attempts, options->stale_limit))
		drop_keys(entry);		/* also where each load was cancelled */
	pseudo_count(entry->count, PSEUDO_COUNT_WAITS, 1);
	keyring = pseudo_load(options, &version, failure);
	if (keyring)
	{
		pseudo_count(entry->count, PSEUDO_COUNT_LOADS, 1);
		put_keyring(entry, server, options, keyring, version, told_to(reason));
		return true;
	}
	pseudo_count_failure(entry->count, failure);
	keep_failure(entry, failure);
	pseudo_attempts_pause(attempts);
	if (entry->keyring == NULL)
		return false;
	if (!pseudo_attempts_failed(attempts, failure->class, options->stale_limit, reason))
	{
		drop_keys(entry);
		return false;
	}
	serve_on(entry, server, options, failure, reason);
	return true;
}

/* Cleanup callback: a load for all was cancelled, or this backend ends. */
static void
abandon_load(int code pg_attribute_unused(), Datum arg)
{
	pseudo_shared_abandon((PseudoSharedAsk *) DatumGetPointer(arg));
}

/* What this backend can do for the server's keyring. */
typedef enum SharedResult
{
	SHARED_SERVES,				/* the entry has keys */
	SHARED_FAILED,				/* it has none; *failure says why */
	SHARED_AGAIN,				/* ask again */
	SHARED_ALONE				/* load alone */
} SharedResult;

/* What follows from a load for all that failed. */
static SharedResult
fail_shared(CacheEntry *entry, ForeignServer *server, const PseudoSharedAsk *ask,
			PseudoSharedOutcome outcome, const PseudoFailure *failure)
{
	keep_failure(entry, failure);
	if (outcome == PSEUDO_SHARED_DROPPED)
		drop_keys(entry);
	if (outcome == PSEUDO_SHARED_SERVES_ON && entry->keyring == NULL &&
		ask->reason != PSEUDO_LOAD_NOW)
		return SHARED_AGAIN;	/* the server has keys that serve on */
	if (entry->keyring == NULL)
		return SHARED_FAILED;
	entry->attempts.next_ms = ask->next_ms;
	serve_on(entry, server, ask->options, failure, ask->reason);
	return SHARED_SERVES;
}

/* Load a keyring for all. */
static SharedResult
load_shared(CacheEntry *entry, ForeignServer *server, PseudoSharedAsk *ask,
			PseudoFailure *failure)
{
	PseudoKeyring *volatile keyring = NULL;
	volatile PseudoSharedOutcome outcome = PSEUDO_SHARED_UNKNOWN;
	char	   *version = NULL;
	int			elevel;

	PG_ENSURE_ERROR_CLEANUP(abandon_load, PointerGetDatum(ask));
	{
		keyring = pseudo_load(ask->options, &version, failure);
		if (keyring && entry->keyring)
			pseudo_note_lost(entry->keyring, keyring);
		outcome = pseudo_shared_finish(ask, keyring, version, failure);
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon_load, PointerGetDatum(ask));

	if (keyring)
		pseudo_count(entry->count, PSEUDO_COUNT_LOADS, 1);
	else
		pseudo_count_failure(entry->count, failure);
	if (outcome == PSEUDO_SHARED_UNKNOWN)
	{
		memset(&entry->shared, 0, sizeof(entry->shared));
		entry->alone_ms = pseudo_now_ms() + ALONE_PAUSE;
	}
	if (outcome == PSEUDO_SHARED_OLD)
	{
		pseudo_keyring_free(keyring);
		return SHARED_AGAIN;
	}
	if (keyring == NULL)
		return fail_shared(entry, server, ask, outcome, failure);
	elevel = outcome == PSEUDO_SHARED_PUBLISHED && !ask->new_version &&
		ask->reason != PSEUDO_LOAD_NOW ? 0 : told_to(ask->reason);
	put_keyring(entry, server, ask->options, keyring, version, elevel);
	if (outcome == PSEUDO_SHARED_PUBLISHED)
		entry->attempts.next_ms = ask->next_ms;
	return SHARED_SERVES;
}

/* Take what the server has. */
static void
take_shared(CacheEntry *entry, ForeignServer *server, const PseudoSharedAsk *ask,
			const PseudoFailure *failure)
{
	int64		now = pseudo_now_ms();

	if (ask->keyring)
	{
		put_keyring(entry, server, ask->options, ask->keyring, ask->version, 0);
		entry->loaded_at = ask->loaded_at;
		entry->loaded_ms = ask->loaded_ms;
	}
	if (failure->class != PSEUDO_FAIL_NONE || entry->error)
		keep_failure(entry, failure->class != PSEUDO_FAIL_NONE ? failure : NULL);
	entry->attempts.next_ms = ask->next_ms;
	entry->doubtful = false;
	wipe_after(entry, now + ((int64) ask->options->refresh_interval +
							 ask->options->stale_limit) * 1000);
}

/* Ask the server for a keyring, once. */
static SharedResult
ask_shared(CacheEntry *entry, ForeignServer *server, PseudoOptions *options, bool again,
		   PseudoFailure *failure, PseudoLoadReason reason)
{
	PseudoSharedAsk ask = {
		.ref = &entry->shared,
		.identity = entry->options,
		.options = options,
		.reason = reason,
		.again = again,
		.own = entry->keyring,
		.own_version = entry->version,
		.own_loaded_at = entry->loaded_at,
		.own_loaded_ms = entry->loaded_ms
	};

	PseudoSharedAnswer answer = pseudo_shared_ask(&ask, failure);

	if (ask.waited)
		pseudo_count(entry->count, PSEUDO_COUNT_WAITS, 1);
	switch (answer)
	{
		case PSEUDO_SHARED_CURRENT:
			take_shared(entry, server, &ask, failure);
			return SHARED_SERVES;
		case PSEUDO_SHARED_FAILED:
			keep_failure(entry, failure);
			drop_keys(entry);
			return SHARED_FAILED;
		case PSEUDO_SHARED_LOAD:
			return load_shared(entry, server, &ask, failure);
		default:
			entry->alone_ms = pseudo_now_ms() + ALONE_PAUSE;
			return SHARED_ALONE;
	}
}

/* Have an entry follow the options of its server. */
static void
follow_options(CacheEntry *entry, ForeignServer *server)
{
	if (has_options(entry, server))
		return;
	pseudo_shared_release(&entry->shared);
	drop_keys(entry);
	keep_string(&entry->version, NULL);
	keep_string(&entry->options, pseudo_options_identity(server->options));
	memset(&entry->attempts, 0, sizeof(entry->attempts));
}

/*
 * Bring an entry's keyring up to date, from the server's or by a load.
 * Returns false where that failed and no old keys serve on; *failure says why.
 */
static bool
reload_entry(CacheEntry *entry, PseudoFailure *failure, PseudoLoadReason reason)
{
	uint64		changes = entry->changes;	/* before the options are read */
	ForeignServer *server = GetForeignServer(entry->serverid);
	bool		changed = changes != entry->seen || entry->doubtful;
	bool		again;
	SharedResult result;
	PseudoOptions *options;

	/* Other options mean another keyring: the old keys may not stand in. */
	options = pseudo_options_read(server->servername, server->options);
	if (pseudo_shared_is_on())
		follow_options(entry, server);
	else if (entry->keyring && !has_options(entry, server))
		drop_keys(entry);
	entry->seen = changes;		/* later ones are still to be seen */

	/*
	 * Who changes a keyring here says so in shared memory at commit; of what
	 * this transaction has changed it knows itself, and only the messages
	 * tell of what has been replayed.
	 */
	again = pseudo_dropped_is_altered(entry->serverid) || (changed && RecoveryInProgress());
	if (!pseudo_shared_is_on() || pseudo_now_ms() < entry->alone_ms)
		result = SHARED_ALONE;
	else
		result = ask_shared(entry, server, options, again, failure, reason);
	while (result == SHARED_AGAIN)
	{
		options = pseudo_options_read(server->servername, server->options);
		result = ask_shared(entry, server, options, false, failure, PSEUDO_LOAD_DUE);
	}
	if (result != SHARED_ALONE)
		return result == SHARED_SERVES;

	/* Who has been told of a change must not be answered by an older cache. */
	options->fresh = reason != PSEUDO_LOAD_DUE || changed;
	return load_alone(entry, server, options, failure, reason);
}

/*
 * Returns true if this very statement met a failure a moment ago.  So a
 * thousand rows ask once, even if each row's error is caught.
 */
static bool
failed_just_now(CacheEntry *entry, PseudoFailure *failure)
{
	if (entry->error == NULL || entry->error_statement != GetCurrentStatementStartTimestamp() ||
		pseudo_now_ms() >= entry->attempts.next_ms)
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
	if (entry->shared.stamp != NULL)
	{
		/* To look what the server has costs nobody anything. */
		entry->changes++;
		return;
	}
	server = GetForeignServer(entry->serverid);
	if (!has_options(entry, server) ||
		pseudo_options_read(server->servername, server->options)->provider->is_local)
		entry->changes++;
	else
		entry->attempts.next_ms = Min(entry->attempts.next_ms,
									  pseudo_now_ms() + pseudo_lost_pause());
}

/* Returns true if an entry's keys can serve without a further look. */
static bool
is_current(CacheEntry *entry)
{
	int64		now = pseudo_now_ms();

	if (entry->keyring == NULL || now >= entry->attempts.next_ms)
		return false;
	if (entry->shared.stamp == NULL)
		return true;
	if (!pseudo_shared_is_seen(&entry->shared))
		return false;
	pseudo_shared_touch(&entry->shared, now);
	return true;
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
		if (is_current(entry))
			return true;
		if (entry->keyring == NULL && failed_just_now(entry, failure))
			return false;
	}
	return reload_entry(entry, failure, PSEUDO_LOAD_DUE);
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
		pseudo_load_report(ERROR, GetForeignServer(serverid)->servername, &failure);
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
	entry->early_ms = pseudo_now_ms() + PSEUDO_EARLY_PAUSE;
	old_version = pstrdup(entry->version);
	entry->count = count;
	if (!reload_entry(entry, &failure, PSEUDO_LOAD_EARLY))
		pseudo_load_report(ERROR, GetForeignServer(serverid)->servername, &failure);
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
	if (!reload_entry(entry, &failure, PSEUDO_LOAD_NOW))
		pseudo_load_report(ERROR, server->servername, &failure);
	entry->early_ms = 0;
}

/* See cache.h. */
bool
pseudo_cache_has_keys(Oid serverid)
{
	return get_entry(serverid)->keyring != NULL ||
		pseudo_shared_has_keys(pseudo_options_identity(GetForeignServer(serverid)->options));
}

/* Put a keyring that was just stored into an entry, and give it to all. */
static void
publish_entry(CacheEntry *entry, ForeignServer *server, PseudoOptions *options,
			  PseudoKeyring *keyring, const char *version)
{
	PseudoSharedAsk ask = {.ref = &entry->shared, .options = options, .reason = PSEUDO_LOAD_NOW};
	PseudoSharedOutcome outcome = PSEUDO_SHARED_UNKNOWN;

	PG_TRY();
	{
		if (!has_options(entry, server))
			pseudo_shared_release(&entry->shared);
		if (entry->keyring)
			pseudo_note_lost(entry->keyring, keyring);
		ask.identity = pseudo_options_identity(server->options);
		outcome = pseudo_shared_publish(&ask, keyring, version);
	}
	PG_CATCH();
	{
		pseudo_keyring_free(keyring);
		PG_RE_THROW();
	}
	PG_END_TRY();
	put_keyring(entry, server, options, keyring, version, WARNING);
	if (outcome == PSEUDO_SHARED_PUBLISHED)
		entry->attempts.next_ms = ask.next_ms;
	else
		memset(&entry->shared, 0, sizeof(entry->shared));
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
	if (pseudo_shared_is_on())
		publish_entry(entry, server, options, keyring, version);
	else
		put_keyring(entry, server, options, keyring, version, WARNING);
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
	if (entry->shared.stamp != NULL)
		entry->attempts.next_ms = 0;	/* others may have met a failure */
	update_entry(entry, &failure);
	state->keyring = entry->keyring;
	state->loaded_at = entry->loaded_at;
	state->version = entry->version;
	state->error = entry->error;
}
