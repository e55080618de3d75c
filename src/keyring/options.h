/*
 * options.h
 *		The options of a keyring's foreign server.
 */
#ifndef PSEUDO_OPTIONS_H
#define PSEUDO_OPTIONS_H

#include "postgres.h"

#include "foreign/foreign.h"
#include "provider.h"

/* The wrapper whose servers are keyrings. */
#define PSEUDO_WRAPPER	"pseudo"

/*
 * The options of a server, read into palloc'ed memory of the current context.
 * Errors: as the validator's, for catalogs edited by hand.
 */
extern PseudoOptions *pseudo_options_read(const char *server, List *list);

/*
 * The options that say which keyring it is, and not how long it serves, as
 * palloc'ed text to compare: all but refresh_interval, stale_limit, timeout and
 * those of policy.h, in the order of their names.
 */
extern char *pseudo_options_identity(List *list);

/* The list of options that has this identity. */
extern List *pseudo_options_of_identity(const char *identity);

#endif							/* PSEUDO_OPTIONS_H */
