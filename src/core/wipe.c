/*
 * wipe.c
 *		Clearing the stack.
 */
#include <stdint.h>

#include "wipe.h"

/* Clear the stack below the caller. */
__attribute__((noinline)) void
pseudo_burn_stack(void)
{
	uint8_t		below[2048];

	wipe(below, sizeof(below));
}

/* Clear more of it. */
__attribute__((noinline)) void
pseudo_burn_deep_stack(void)
{
	uint8_t		below[4096];

	wipe(below, sizeof(below));
}
