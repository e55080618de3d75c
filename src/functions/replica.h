/*
 * replica.h
 *		Tables that get the changes of a publisher by logical replication.
 *
 * A subscription finds the row that the publisher has updated or deleted by its old values: those of the
 * replica identity.  Where this side has pseudonyms in their place it finds none, and says nothing.
 */
#ifndef PSEUDO_REPLICA_H
#define PSEUDO_REPLICA_H

#include "postgres.h"

#include "access/attnum.h"
#include "utils/rel.h"

/*
 * Returns true if a subscription finds rows of the table by this column: it is in the index of the table's
 * replica identity, else in its primary key; without either, all columns are compared.
 * False for all columns of a table with REPLICA IDENTITY NOTHING, which is to say that
 * nothing is looked for in it.
 */
extern bool pseudo_replica_finds_by(Relation rel, AttrNumber attno);

/* Returns true if a subscription of this database writes to the table, or to one that it is a partition of. */
extern bool pseudo_replica_is_subscribed(Relation rel);

#endif							/* PSEUDO_REPLICA_H */
