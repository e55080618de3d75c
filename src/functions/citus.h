/*
 * citus.h
 *		What Citus says of a table.
 *
 * Citus keeps the rows of a table in shards, tables of their own on this node and on others, and what
 * is where in tables of pg_catalog.  Those are found by name: nothing here needs Citus.
 */
#ifndef PSEUDO_CITUS_H
#define PSEUDO_CITUS_H

#include "postgres.h"

#include "utils/rel.h"

typedef enum PseudoCitusKind
{
	PSEUDO_CITUS_NONE,			/* Citus does not know the table, or is not
								 * there */
	PSEUDO_CITUS_DISTRIBUTED,
	PSEUDO_CITUS_REFERENCE,		/* one shard, a copy of it on every node */
	PSEUDO_CITUS_LOCAL			/* one shard, on the coordinator */
} PseudoCitusKind;

typedef struct PseudoCitus
{
	PseudoCitusKind kind;		/* of the table, or of the one that it is a
								 * shard of */
	bool		is_shard;
	char	   *column;			/* the distribution column, palloc'ed, or NULL */
} PseudoCitus;

/* Look up a table or a shard. */
extern void pseudo_citus_find(PseudoCitus *citus, Relation rel);

/* Returns true if Citus distributes, or manages, the table of this OID. */
extern bool pseudo_citus_knows(Oid relid);

/* Returns true if this session runs a command that another node of Citus has sent by master_run_on_worker() and its like. */
extern bool pseudo_citus_asks(void);

/* Returns true if this server is a worker of Citus, and no coordinator. */
extern bool pseudo_citus_is_worker(void);

/* "distributed table" and its like, for messages; not for PSEUDO_CITUS_NONE. */
extern const char *pseudo_citus_kind_name(PseudoCitusKind kind);

#endif							/* PSEUDO_CITUS_H */
