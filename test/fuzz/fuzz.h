/*
 * fuzz.h
 *		What the fuzzing targets share: reading an input piece by piece, copies that
 *		end where the sanitizer sees it, and what must hold.
 */
#ifndef PSEUDO_FUZZ_H
#define PSEUDO_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/pseudonym.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. */
typedef struct input
{
	const uint8_t *data;
	size_t		size;
} input;

/* Stop where what must hold does not. */
#define MUST(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* The next byte, 0 at the end. */
static inline uint8_t
take_byte(input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

/* The next len bytes, or as many as there are, as a copy of exactly *len bytes. */
static inline uint8_t *
take(input *in, size_t *len)
{
	uint8_t    *copy;

	if (*len > in->size)
		*len = in->size;
	copy = malloc(*len > 0 ? *len : 1);
	MUST(copy != NULL);
	if (*len > 0)
		memcpy(copy, in->data, *len);
	in->data += *len;
	in->size -= *len;
	return copy;
}

/* Room for len bytes, filled with what is neither zero nor text. */
static inline uint8_t *
room(size_t len)
{
	uint8_t    *p = malloc(len > 0 ? len : 1);

	MUST(p != NULL);
	memset(p, 0xa5, len > 0 ? len : 1);
	return p;
}

/* The number of implementations that this processor supports. */
static inline int
count_impls(void)
{
	int			n = 0;

	for (int i = 0; pseudo_siv_impls[i] != NULL; i++)
		if (pseudo_siv_impls[i]->supported())
			n++;
	return n;
}

/* Use implementation number i of those. */
static inline void
use_impl(int i)
{
	for (int k = 0; pseudo_siv_impls[k] != NULL; k++)
		if (pseudo_siv_impls[k]->supported() && i-- == 0)
			MUST(pseudo_siv_use(pseudo_siv_impls[k]->name));
}

#endif							/* PSEUDO_FUZZ_H */
