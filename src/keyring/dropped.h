/*
 * dropped.h
 *		Keyrings whose servers are made, altered or dropped here: what the server
 *		has of them follows at commit.
 */
#ifndef PSEUDO_DROPPED_H
#define PSEUDO_DROPPED_H

#include "postgres.h"

/* Called by _PG_init() in the postmaster. */
extern void pseudo_dropped_init(void);

/*
 * Returns true, once, if this transaction has made or altered a server since
 * the last call: what was loaded before is not to serve it.
 */
extern bool pseudo_dropped_is_altered(Oid serverid);

#endif							/* PSEUDO_DROPPED_H */
