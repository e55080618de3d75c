/*
 * dump_columns.h
 *		What becomes of the columns of a table in a dump.
 */
#ifndef PSEUDO_DUMP_COLUMNS_H
#define PSEUDO_DUMP_COLUMNS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "column.h"
#include "label.h"

typedef enum PseudoDumpAs
{
	PSEUDO_DUMP_NOT,			/* dropped, or generated */
	PSEUDO_DUMP_AS_IT_IS,
	PSEUDO_DUMP_NULL,
	PSEUDO_DUMP_PSEUDONYM
} PseudoDumpAs;

typedef struct PseudoDumpColumn
{
	PseudoDumpAs as;
	bool		is_faulty;		/* it cannot be that */
	bool		is_deterministic;	/* of a PSEUDONYM, as all that follows */
	const char *context;		/* in the dump */
	const char *keyring;
	bool		is_same;		/* are these the label's? */
	const char *label_context;	/* of those in the table */
	const char *label_keyring;
	PseudoColumn holder;		/* its name and its limit only */
} PseudoDumpColumn;

/* Why a column cannot be dumped. */
typedef struct PseudoDumpFault
{
	int			code;			/* SQLSTATE */
	char	   *message;
	char	   *hint;
} PseudoDumpFault;

/*
 * The columns of a relation that the caller has locked, by attno - 1, palloc'ed; as their labels and the settings of
 * the session say.  What cannot be is added to *faults (of PseudoDumpFault).
 * Errors: 22023 for a stored label that cannot be read.
 */
extern PseudoDumpColumn *pseudo_dump_columns(Relation rel, List **faults);

/* Make a fault, palloc'ed. */
extern PseudoDumpFault *pseudo_dump_fault(int code, char *message, char *hint);

#endif							/* PSEUDO_DUMP_COLUMNS_H */
