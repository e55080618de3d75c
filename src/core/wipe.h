/*
 * wipe.h
 *		What becomes of secrets: memory that held them is cleared, and what is made of them and is public is said
 *		to be.
 */
#ifndef PSEUDO_CORE_WIPE_H
#define PSEUDO_CORE_WIPE_H

#include <stddef.h>
#include <string.h>

/* Clear the stack below the caller, where functions that it called had secrets. */
extern void pseudo_burn_stack(void);

/* The same after a batch, whose functions have larger frames, the more so the more the compiler unrolls (-O3). */
extern void pseudo_burn_deep_stack(void);

/* Zero len bytes at p, in a way that the compiler may not leave out. */
static inline void
wipe(void *p, size_t len)
{
	if (len > 0)
		memset(p, 0, len);
	__asm__ volatile("" : : "r" (p) : "memory");
}

/*
 * From here on, len bytes at p are no secret: a ciphertext, or whether a tag is right.  This does nothing
 * but in test/unit/secrets.c, which checks under valgrind that no branch and no address depends on a
 * secret.
 */
#ifdef PSEUDO_CHECK_SECRETS
#include <valgrind/memcheck.h>
#define DECLASSIFY(p, len)	((void) VALGRIND_MAKE_MEM_DEFINED(p, len))
#else
#define DECLASSIFY(p, len)	((void) 0)
#endif

#endif							/* PSEUDO_CORE_WIPE_H */
