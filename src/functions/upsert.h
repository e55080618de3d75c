/*
 * upsert.h
 *		Whether ON CONFLICT may turn a trigger's INSERT into an UPDATE.
 */
#ifndef PSEUDO_UPSERT_H
#define PSEUDO_UPSERT_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/lockoptions.h"

/* Take the hook that sees statements begin; once a backend. */
extern void pseudo_upsert_init(void);

/*
 * The lock that the statement which fires a trigger for each row will take of a row that is there already: the one of
 * its ON CONFLICT DO UPDATE, or LockTupleKeyShare, which is the weakest.  The same for all rows.  Not known of a
 * statement in which the module was loaded.
 */
extern LockTupleMode pseudo_upsert_lock_mode(FunctionCallInfo fcinfo);

#endif							/* PSEUDO_UPSERT_H */
