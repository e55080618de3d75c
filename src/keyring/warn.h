/*
 * warn.h
 *		What a keyring's document should not have, or lack.
 */
#ifndef PSEUDO_WARN_H
#define PSEUDO_WARN_H

#include "postgres.h"

#include "keyring.h"

/* Say which keys cannot be used, and which is the first that is weak. */
extern void pseudo_warn_of_keys(int elevel, const char *server, PseudoKeyring *keyring);

/*
 * Note in a new keyring which keys it lost, and which were lost before and have
 * not come back.
 */
extern void pseudo_note_lost(PseudoKeyring *old, PseudoKeyring *new);

/* Say which keys a new document lost. */
extern void pseudo_warn_of_lost(int elevel, const char *server,
								PseudoKeyring *old, const char *old_version,
								PseudoKeyring *new, const char *new_version);

#endif							/* PSEUDO_WARN_H */
