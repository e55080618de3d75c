/*
 * load.h
 *		Asking a provider for a keyring.
 */
#ifndef PSEUDO_LOAD_H
#define PSEUDO_LOAD_H

#include "postgres.h"

#include "provider.h"

/*
 * The keyring, to be freed with pseudo_keyring_free, with *version
 * (palloc'ed); or NULL and *failure.  Tells the client nothing.  Errors: a cancel, lack of memory.
 */
extern PseudoKeyring *pseudo_load(const PseudoOptions *options, char **version,
								  PseudoFailure *failure);

/* Report a failure to load a keyring. */
extern void pseudo_load_report(int elevel, const char *server, const PseudoFailure *failure);

/*
 * The level at which a failure is reported while old keys serve on.
 */
extern int	pseudo_load_level(PseudoFailureClass class, bool asked_for);

#endif							/* PSEUDO_LOAD_H */
