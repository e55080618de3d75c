/*
 * array.h
 *		A text[] made with the shape of another, element by element, in one allocation.
 */
#ifndef PSEUDO_ARRAY_H
#define PSEUDO_ARRAY_H

#include "postgres.h"

#include "utils/array.h"

/* An array in the making. */
typedef struct PseudoArray
{
	ArrayType  *array;			/* palloc'ed */
	size_t		room;			/* bytes of it */
	size_t		used;			/* likewise */
	int			n;				/* elements so far */
	bool		has_null;
} PseudoArray;

/*
 * Begin an array with the bounds of shape, and room for data_len bytes of elements, which may grow.
 * adds_nulls: there may be NULLs where shape has none.  Errors: 54000.
 */
extern void pseudo_array_begin(PseudoArray *new, ArrayType *shape, size_t data_len, bool adds_nulls);

/* How many bytes an element of len bytes takes in an array's data. */
#define PSEUDO_ELEMENT_LEN(len)	INTALIGN(VARHDRSZ + (len))

/*
 * Add an element of len bytes, which the caller writes to where this points; it moves only where
 * data_len has been passed.  Errors: 54000.
 */
extern char *pseudo_array_add(PseudoArray *new, size_t len);

/* Add a NULL. */
extern void pseudo_array_add_null(PseudoArray *new);

/* The array, once it has as many elements as its shape. */
extern ArrayType *pseudo_array_end(PseudoArray *new);

#endif							/* PSEUDO_ARRAY_H */
