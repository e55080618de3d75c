/*
 * dump_check.h
 *		What would stop a dump of a table, or the restore of it, said before it begins.
 */
#ifndef PSEUDO_DUMP_CHECK_H
#define PSEUDO_DUMP_CHECK_H

#include "postgres.h"

#include "utils/rel.h"
#include "dump_columns.h"

/*
 * Warn of all that is wrong with a table's dump, each thing once a transaction.  The detail of what would stop it is
 * "This stops a dump."; pseudo_dump counts these.
 *
 *	columns		as pseudo_dump_columns() gives them, with its faults
 *	schema		of the extension
 */
extern void pseudo_dump_check(Relation rel, const PseudoDumpColumn *columns, List *faults, const char *schema);

#endif							/* PSEUDO_DUMP_CHECK_H */
