/*
 * array.c
 *		A text[] made with the shape of another.
 *
 * An element is a text, a NULL has no bytes, and there is a bitmap only where there are NULLs:
 * as construct_md_array() makes it, without a copy of each element first.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "array.h"

/* Report an array that is too large. */
static void
__attribute__((noreturn))
report_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("array size exceeds the maximum allowed (%d)", (int) MaxAllocSize)));
}

/* See array.h. */
void
pseudo_array_begin(PseudoArray *new, ArrayType *shape, size_t data_len, bool adds_nulls)
{
	int			ndim = ARR_NDIM(shape);
	int			nitems = ArrayGetNItems(ndim, ARR_DIMS(shape));
	bool		has_bitmap = adds_nulls || ARR_HASNULL(shape);
	size_t		offset = has_bitmap ? ARR_OVERHEAD_WITHNULLS(ndim, nitems) : ARR_OVERHEAD_NONULLS(ndim);
	ArrayType  *array;

	if (data_len > MaxAllocSize - offset)
		report_too_large();
	array = palloc(offset + data_len);
	memset(array, 0, offset);
	array->ndim = ndim;
	array->dataoffset = has_bitmap ? offset : 0;
	array->elemtype = TEXTOID;
	memcpy(ARR_DIMS(array), ARR_DIMS(shape), ndim * sizeof(int));
	memcpy(ARR_LBOUND(array), ARR_LBOUND(shape), ndim * sizeof(int));

	new->array = array;
	new->room = offset + data_len;
	new->used = offset;
	new->n = 0;
	new->has_null = false;
}

/* Let the array grow by len bytes at least. */
static void
enlarge(PseudoArray *new, size_t len)
{
	if (len > MaxAllocSize - new->used)
		report_too_large();
	new->room = Min(Max(2 * new->room, new->used + len), MaxAllocSize);
	new->array = repalloc(new->array, new->room);
}

/* See array.h. */
char *
pseudo_array_add(PseudoArray *new, size_t len)
{
	size_t		size = PSEUDO_ELEMENT_LEN(len);
	char	   *element;

	if (unlikely(size > new->room - new->used))
		enlarge(new, size);
	if (ARR_HASNULL(new->array))
		ARR_NULLBITMAP(new->array)[new->n / 8] |= 1 << new->n % 8;
	element = (char *) new->array + new->used;
	memset(element + size - ALIGNOF_INT, 0, ALIGNOF_INT);	/* the padding */
	SET_VARSIZE(element, VARHDRSZ + len);
	new->used += size;
	new->n++;
	return VARDATA(element);
}

/* See array.h. */
void
pseudo_array_add_null(PseudoArray *new)
{
	Assert(ARR_HASNULL(new->array));
	new->has_null = true;
	new->n++;
}

/* See array.h. */
ArrayType *
pseudo_array_end(PseudoArray *new)
{
	ArrayType  *array = new->array;

	Assert(new->n == ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)));
	if (ARR_HASNULL(array) && !new->has_null)
	{
		size_t		with_bitmap = array->dataoffset;
		size_t		without = ARR_OVERHEAD_NONULLS(ARR_NDIM(array));

		memmove((char *) array + without, (char *) array + with_bitmap, new->used - with_bitmap);
		array->dataoffset = 0;
		new->used -= with_bitmap - without;
	}
	SET_VARSIZE(array, new->used);
	return array;
}
