/*
 * bulk_citus.h
 *		The bulk procedures on a table of Citus.
 */
#ifndef PSEUDO_BULK_CITUS_H
#define PSEUDO_BULK_CITUS_H

#include "postgres.h"

#include "bulk.h"

/*
 * Convert a table: on this server, or, if Citus distributes it and this server can ask the others, each placement of
 * its shards, on the node that has it.  Needs SPI, and commits.
 * Errors: those of pseudo_bulk_run(); of another node with its SQLSTATE, or 38000 where that is not known.
 */
extern void pseudo_bulk_anywhere(Bulk *bulk);

#endif							/* PSEUDO_BULK_CITUS_H */
