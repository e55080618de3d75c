/*
 * cache.h
 *		Which keyring serves a call: looked up by name, loaded on first use and
 *		kept in the backend, loaded again as the server's options say.
 *
 * Where the library is preloaded, a keyring is loaded once for the server:
 * shared.h.
 */
#ifndef PSEUDO_CACHE_H
#define PSEUDO_CACHE_H

#include "postgres.h"

#include "utils/timestamp.h"
#include "count.h"
#include "keyring.h"
#include "options.h"

/*
 * Changes whenever something that a caller has learned may have become wrong:
 * rights, roles, servers, or a cached keyring.  A PseudoKeyring pointer may be
 * used only while this is what it was when the pointer was got.
 */
extern uint64 pseudo_generation;

/* Register the invalidation callbacks; once a backend. */
extern void pseudo_cache_init(void);

/*
 * The keyring server of this name.  Errors: ERRCODE_UNDEFINED_OBJECT where
 * there is none, or one of another wrapper.
 */
extern ForeignServer *pseudo_cache_server(const char *name);

/* Returns true if a role has USAGE on the server. */
extern bool pseudo_cache_may_use(Oid serverid, Oid roleid);

/*
 * Check USAGE on the server for a role.  Errors:
 * ERRCODE_INSUFFICIENT_PRIVILEGE.
 */
extern void pseudo_cache_check_usage(ForeignServer *server, Oid roleid);

/*
 * The keyring of a server, loaded where needed and counted there; the pointer
 * lives while pseudo_generation stays.  Errors: those of the provider,
 * ERRCODE_INVALID_PARAMETER_VALUE for a bad document.
 */
extern PseudoKeyring *pseudo_cache_keyring(Oid serverid, PseudoCount *count);

/*
 * Load early because a pseudonym opened under no key: at most once a minute,
 * unless the last time brought a new version.  pseudo_generation tells the
 * caller whether there is another keyring now.
 */
extern void pseudo_cache_refresh_early(Oid serverid, PseudoCount *count);

/*
 * Load now; a refusal drops the keys at once.  Errors: those of the provider,
 * ERRCODE_INVALID_PARAMETER_VALUE for a bad document.
 */
extern void pseudo_cache_refresh_now(ForeignServer *server);

/*
 * Returns true if this backend, or the server, holds keys of a server.  Loads
 * nothing.
 */
extern bool pseudo_cache_has_keys(Oid serverid);

/* Take a document that was just stored as the one that serves; frees it. */
extern void pseudo_cache_install(ForeignServer *server, PseudoDocument *document,
								 const char *version);

/* What pseudo_keyrings shows of a keyring. */
typedef struct PseudoCacheState
{
	PseudoKeyring *keyring;		/* NULL where it could not be loaded */
	TimestampTz loaded_at;
	const char *version;
	const char *error;			/* of the last attempt, or NULL */
} PseudoCacheState;

/*
 * Load where needed, and describe; a failing provider shows in state->error.
 */
extern void pseudo_cache_describe(ForeignServer *server, PseudoCacheState *state);

#endif							/* PSEUDO_CACHE_H */
