/*
 * array.c
 *		A function of texts applied to a text[].
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "array.h"

/* See array.h. */
ArrayType *
pseudo_map_array(PseudoCall *call, ArrayType *array,
				 PseudoElementFunction function, void *arg)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		text	   *result;

		if (nulls[i])
			continue;
		CHECK_FOR_INTERRUPTS();
		result = function(call, (text *) PG_DETOAST_DATUM_PACKED(elements[i]), arg);
		elements[i] = PointerGetDatum(result);
		nulls[i] = result == NULL;
	}
	if (n == 0)
		return construct_empty_array(TEXTOID);
	return construct_md_array(elements, nulls, ARR_NDIM(array), ARR_DIMS(array),
							  ARR_LBOUND(array), TEXTOID, -1, false, TYPALIGN_INT);
}
