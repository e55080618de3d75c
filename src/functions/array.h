/*
 * array.h
 *		A function of texts applied to a text[], for the batch forms.
 */
#ifndef PSEUDO_ARRAY_H
#define PSEUDO_ARRAY_H

#include "postgres.h"

#include "utils/array.h"
#include "call.h"

/* A text from a text, or NULL for a NULL element. */
typedef text *(*PseudoElementFunction) (PseudoCall *call, text *element, void *arg);

/* Apply a function to each element that is not NULL; bounds and shape are kept. */
extern ArrayType *pseudo_map_array(PseudoCall *call, ArrayType *array,
								   PseudoElementFunction function, void *arg);

#endif							/* PSEUDO_ARRAY_H */
