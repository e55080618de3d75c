/*
 * dump_planner.h
 *		Who plans the query that a COPY of a table is in a dump.
 */
#ifndef PSEUDO_DUMP_PLANNER_H
#define PSEUDO_DUMP_PLANNER_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * The role that is to plan a query of a relation: its owner, or the current user for a foreign table, whose user mapping may
 * be needed.  Errors: 0A000 where expressions of somebody else would be read as well.
 */
extern Oid	pseudo_dump_planner(Relation rel);

#endif							/* PSEUDO_DUMP_PLANNER_H */
