/*
 * siv_vaes.c
 *		AES-GCM-SIV on x86_64 with VAES and VPCLMULQDQ: a vector is a register of
 *		AVX2, two blocks.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_X86

#define SIV_TARGET	__attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#include "siv_x86.h"
#include "siv_x86_ymm.h"

/* Clear the registers, which a signal or the dynamic linker would save. */
#define CLEAR_REGISTERS() \
	__asm__ volatile("vzeroall" : : \
					 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
					 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

#include "siv_block.h"
#include "siv_long.h"
#include "siv_single.h"
#include "siv_batch.h"

/* Whether this processor has all the instructions used here. */
static int
vaes_supported(void)
{
	return cpu_has(CPU_AES | CPU_PCLMULQDQ) && cpu_has_avx2() && cpu_has_7(0, CPU_VAES | CPU_VPCLMULQDQ);
}

const pseudo_siv_impl pseudo_siv_vaes = {
	.supported = vaes_supported,
	SIV_FUNCTIONS
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_vaes_left_out;

#endif							/* PSEUDO_HAVE_X86 */
