/*
 * bulk_written.h
 *		What a bulk procedure of this backend writes at this moment, for the trigger.
 */
#ifndef PSEUDO_BULK_WRITTEN_H
#define PSEUDO_BULK_WRITTEN_H

#include "postgres.h"

#include "access/attnum.h"
#include "storage/itemptr.h"

/* A column that is written. */
typedef struct PseudoWrittenColumn
{
	AttrNumber	attno;
	const text *context;		/* of its values */
	const text *keyring;
} PseudoWrittenColumn;

/* The rows of a batch; values row by row, in the order of the columns, NULL ones as NULL. */
typedef struct PseudoWritten
{
	Oid			relid;
	int			ncolumns;
	PseudoWrittenColumn *columns;
	int			nrows;
	ItemPointerData *tids;
	text	  **olds;
	text	  **values;
} PseudoWritten;

/* Begin to write rows, which stay where they are until the end: not on the stack, for an error's sake. */
extern void pseudo_written_begin(PseudoWritten *rows);

/* End it, also after an error.  Returns the rows, or NULL if none were being written. */
extern PseudoWritten *pseudo_written_end(void);

/* Find what is to be written to a row and the column of this number, or NULL; false if there is no such row. */
extern bool pseudo_written_value(ItemPointer tid, int no, text **value);

/*
 * Returns true if a value is being written to this row and column.  The trigger lets it pass, and
 * nothing else that is written meanwhile, by triggers for example.
 */
extern bool pseudo_written_has(Oid relid, ItemPointer tid, AttrNumber attno, const text *value);

/*
 * Returns true if a value takes the place of another one in a row that is being written, with this
 * context and keyring.  A foreign key with ON UPDATE CASCADE does the same in the tables that refer to it.
 */
extern bool pseudo_written_replaces(const text *old, const text *value,
									const char *context, const char *keyring);

#endif							/* PSEUDO_BULK_WRITTEN_H */
