/*
 * coverage_look.h
 *		A table that pseudo_coverage() reads: some rows at a time, whose values are
 *		opened together.
 */
#ifndef PSEUDO_COVERAGE_LOOK_H
#define PSEUDO_COVERAGE_LOOK_H

#include "coverage.h"

/* What has become of a value of a labelled column. */
typedef struct PseudoPlain
{
	const char *utf8;			/* the value, or NULL where there is none that
								 * may be compared */
	size_t		len;			/* bytes */
	bool		is_opened;		/* from a deterministic pseudonym */
} PseudoPlain;

/* A column that is read. */
typedef struct PseudoReadColumn
{
	PseudoCoverageColumn *column;
	PseudoPair *guess;			/* under which its pseudonyms are looked for
								 * first, or NULL */
	Datum		raw[PSEUDO_BATCH];	/* as they are stored; 0 for NULL */
	text	   *values[PSEUDO_BATCH];	/* of a column of texts; NULL for NULL */
	PseudoPlain *plain;			/* PSEUDO_BATCH of them, where the column has
								 * a label; else NULL */
	PseudoOpenBatch *batch;		/* of its own where it has a label */
	hyperLogLogState distinct;
} PseudoReadColumn;

/* A relation that is read. */
typedef struct PseudoReading
{
	PseudoCoverage *coverage;
	PseudoCoverageTable *table;
	int			ncolumns;
	PseudoReadColumn *columns;
	int			n;				/* rows at a time */
	int64		nrows;
	double		estimate;		/* of them in all */
	size_t		toasted;		/* bytes that the rows have in TOAST */
	char	   *room;			/* for what is stored of them */
	size_t		used;			/* bytes of it */
	MemoryContext mcxt;			/* for the rows; reset after them */

	/* What is to be wiped; in the memory of the call. */
	PseudoOpenBatch **batches;
	int			nbatches;
	List	   *opened;			/* of PseudoOpened *: values opened one by one */
} PseudoReading;

/* ---- coverage_count.c ---- */

/* Count the values that a column of texts has in the rows. */
extern void pseudo_count_values(PseudoReading *reading, PseudoReadColumn *read);

/* Count a string of an array or a document, if it is a pseudonym or looks like one. */
extern void pseudo_count_string(PseudoReading *reading, PseudoReadColumn *read, const char *string, size_t len);

/* ---- coverage_match.c ---- */

/* Compare the values of each row with those of its labelled columns, and count the strings in arrays and documents. */
extern void pseudo_match_rows(PseudoReading *reading);

#endif							/* PSEUDO_COVERAGE_LOOK_H */
