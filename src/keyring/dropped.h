/*
 * dropped.h
 *		Keyrings whose servers are dropped or altered here: the server's copy of
 *		the keys goes at commit.
 */
#ifndef PSEUDO_DROPPED_H
#define PSEUDO_DROPPED_H

/* Called by _PG_init() in the postmaster. */
extern void pseudo_dropped_init(void);

#endif							/* PSEUDO_DROPPED_H */
