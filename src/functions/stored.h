/*
 * stored.h
 *		Expressions of a table as they are stored.
 *
 * PostgreSQL's own functions for these compute their constants, and so call functions of the table's owner with the rights of
 * whoever asks, a superuser perhaps.  These call nothing.
 */
#ifndef PSEUDO_STORED_H
#define PSEUDO_STORED_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "utils/rel.h"

/* The expressions of an index, a List, or its predicate; palloc'ed, or NULL where it has none. */
extern Node *pseudo_stored_index_expressions(Relation index);
extern Node *pseudo_stored_index_predicate(Relation index);

/* Returns true if a relation is partitioned by a column of this name, or by an expression that has it. */
extern bool pseudo_stored_in_partition_key(Relation parent, const char *column);

#endif							/* PSEUDO_STORED_H */
