/*
 * hmac_x86.c
 *		HMAC-SHA256 by the SHA instructions of x86_64, with AVX for all else.
 */
#include <string.h>

#include "cpu.h"
#include "hmac.h"

#ifdef PSEUDO_HAVE_X86

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SHA_TARGET	__attribute__((target("sha,avx2")))
#include "hmac_x86.h"
#include "hmac_body.h"

/* Whether this processor has all the instructions used here. */
static int
hmac_x86_supported(void)
{
	return cpu_has_avx2() && cpu_has_7(CPU_SHA, 0);
}

const pseudo_hmac_impl pseudo_hmac_x86 = {
	.name = "x86_64-sha",
	.supported = hmac_x86_supported,
	.one = hmac_one,
	.key = hmac_key,
	.lanes = 4,
	.many = hmac_four
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_hmac_x86_left_out;

#endif							/* PSEUDO_HAVE_X86 */
