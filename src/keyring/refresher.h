/*
 * refresher.h
 *		A background worker that loads the server's keyrings before anybody has to
 *		wait for them (design, 7).
 */
#ifndef PSEUDO_REFRESHER_H
#define PSEUDO_REFRESHER_H

#include "postgres.h"

/* Called by _PG_init() in the postmaster. */
extern void pseudo_refresher_init(void);

/* What the background workers run. */
extern PGDLLEXPORT void pseudo_refresher_main(Datum arg);
extern PGDLLEXPORT void pseudo_refresher_load_main(Datum arg);

#endif							/* PSEUDO_REFRESHER_H */
