/*
 * siv_x86.c
 *		AES-GCM-SIV on x86_64 with AES-NI and PCLMULQDQ: a vector
 *		is a register of SSE, one block.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_X86

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SIV_TARGET	__attribute__((target("aes,pclmul,ssse3,sse4.1")))
#include "siv_x86.h"

/* A round of AES.  AESENC adds the key of this round at its end, so the key before is not used. */
SIV_INLINE block
aes_round(block v, block before, block k)
{
	(void) before;
	return _mm_aesenc_si128(v, k);
}

/* The last round of AES. */
SIV_INLINE block
aes_last(block v, block before, block k)
{
	(void) before;
	return _mm_aesenclast_si128(v, k);
}

#define LANES				1
#define aes_first(v, k)		((v) ^ (k))
#define sub_bytes(v, k)		_mm_aesenclast_si128(v, k)
#define clmul_low(a, b)		_mm_clmulepi64_si128(a, b, 0x00)
#define clmul_high(a, b)	_mm_clmulepi64_si128(a, b, 0x11)
#define clmul_cross(a, b)	(_mm_clmulepi64_si128(a, b, 0x01) ^ _mm_clmulepi64_si128(a, b, 0x10))
#define swap_halves(v)		_mm_shuffle_epi32(v, 0x4e)
#define low_halves(a, b)	_mm_unpacklo_epi64(a, b)
#define add32(a, b)			_mm_add_epi32(a, b)
#define shift_1_word(v)		_mm_slli_si128(v, 4)
#define shift_2_words(v)	_mm_slli_si128(v, 8)
#define last_word(v)		_mm_shuffle_epi32(v, 0xff)
#define last_word_rotated(v)	_mm_shuffle_epi8(v, _mm_set1_epi32(0x0c0f0e0d))

/* Clear the registers, which a signal or the dynamic linker would save. */
#define CLEAR(i)	"pxor %%xmm" #i ", %%xmm" #i "\n\t"
#define CLEAR_REGISTERS() \
	__asm__ volatile( \
					 CLEAR(0) CLEAR(1) CLEAR(2) CLEAR(3) CLEAR(4) CLEAR(5) CLEAR(6) CLEAR(7) \
					 CLEAR(8) CLEAR(9) CLEAR(10) CLEAR(11) CLEAR(12) CLEAR(13) CLEAR(14) CLEAR(15) \
					 : : \
					 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
					 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

#include "siv_block.h"
#include "siv_long.h"
#include "siv_single.h"
#include "siv_batch.h"

/* Whether this processor has all the instructions used here. */
static int
siv_x86_supported(void)
{
	return cpu_has(CPU_AES | CPU_PCLMULQDQ | CPU_SSSE3 | CPU_SSE4_1);
}

const pseudo_siv_impl pseudo_siv_x86 = {
	.supported = siv_x86_supported,
	SIV_FUNCTIONS
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_x86_left_out;

#endif							/* PSEUDO_HAVE_X86 */
