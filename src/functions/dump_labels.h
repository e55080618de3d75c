/*
 * dump_labels.h
 *		Labels are those of the rows that are dumped.
 */
#ifndef PSEUDO_DUMP_LABELS_H
#define PSEUDO_DUMP_LABELS_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * Refuse a relation, which is locked, whose labels are others by now than those in the active snapshot: its rows are those
 * of the snapshot.  Errors: 40001.
 */
extern void pseudo_dump_check_labels(Relation rel);

#endif							/* PSEUDO_DUMP_LABELS_H */
