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

#include "../../src/core/base64.h"
#include "../../src/core/hmac.h"
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

/* Number i of the implementations in a list that this processor supports, the last one beyond them. */
#define FIND_IMPL(impls, i, found) \
	do { \
		int			left_ = (i); \
		for (int k_ = 0; (impls)[k_] != NULL && left_ >= 0; k_++) \
			if ((impls)[k_]->supported()) \
			{ \
				(found) = (impls)[k_]->name; \
				left_--; \
			} \
	} while (0)

/* The number of choices of AES-GCM-SIV that this processor supports. */
static inline int
count_impls(void)
{
	int			n = 0;

	for (int i = 0; pseudo_siv_choices[i].name != NULL; i++)
		if (pseudo_siv_use(pseudo_siv_choices[i].name))
			n++;
	return n;
}

/* Use choice number i of those, and the HMAC and base64 of this number. */
static inline void
use_impl(int i)
{
	const char *hmac = NULL;
	const char *base64 = NULL;
	int			left = i;

	for (int k = 0; pseudo_siv_choices[k].name != NULL && left >= 0; k++)
		if (pseudo_siv_use(pseudo_siv_choices[k].name))
			left--;
	FIND_IMPL(pseudo_hmac_impls, i, hmac);
	FIND_IMPL(pseudo_base64_impls, i, base64);
	MUST(left < 0 && pseudo_hmac_use(hmac) && pseudo_base64_use(base64));
}

#endif							/* PSEUDO_FUZZ_H */
