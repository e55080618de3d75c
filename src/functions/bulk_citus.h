/*
 * bulk_citus.h
 *		The bulk procedures on a table of Citus.
 */
#ifndef PSEUDO_BULK_CITUS_H
#define PSEUDO_BULK_CITUS_H

#include "postgres.h"

#include "fmgr.h"

/*
 * If the first argument of a bulk procedure is a table that Citus distributes, call the procedure with the same
 * arguments for each placement of its shards, and return true.  Needs SPI, and commits.
 * Errors: 38000, with what a node has reported.
 */
extern bool pseudo_bulk_on_nodes(FunctionCallInfo fcinfo);

#endif							/* PSEUDO_BULK_CITUS_H */
