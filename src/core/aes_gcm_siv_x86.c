/*
 * aes_gcm_siv_x86.c
 *		AES-GCM-SIV on x86_64 with AES-NI and PCLMULQDQ: a block is a register.
 *		Also one message at a time where there is VAES, which does short ones no faster.
 */
#include <stdbool.h>

#include "internal.h"

#ifdef PSEUDO_HAVE_X86

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SIV_TARGET	__attribute__((target("aes,pclmul,ssse3,sse4.1")))
#include "siv_x86.h"

/* Round r of AES.  AESENC adds the round key at its end, and needs not the one before. */
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

#include "siv_wide.h"
#include "siv_single.h"

static const siv_long long_functions = LONG_FUNCTIONS;
extern const siv_long pseudo_siv_vaes_long;	/* aes_gcm_siv_vaes.c */

DEFINE_SEAL_AND_OPEN(x86, long_functions)
DEFINE_SEAL_AND_OPEN(vaes, pseudo_siv_vaes_long)

/* Whether this processor has all the instructions used here. */
static int
x86_supported(void)
{
	return cpu_has(CPU_AES | CPU_PCLMULQDQ | CPU_SSSE3 | CPU_SSE4_1);
}

/* Whether it has those of aes_gcm_siv_vaes.c too. */
static int
vaes_supported(void)
{
	return x86_supported() && cpu_has_avx2() && cpu_has_7(0, CPU_VAES | CPU_VPCLMULQDQ);
}

const pseudo_siv_impl pseudo_siv_x86 = {
	.name = "x86_64-aesni",
	.supported = x86_supported,
	.expand = expand_key,
	.seal = x86_seal,
	.open = x86_open,
	.seal_batch = seal_batch,
	.open_batch = open_batch
};

const pseudo_siv_impl pseudo_siv_vaes = {
	.name = "x86_64-vaes",
	.supported = vaes_supported,
	.expand = expand_key,
	.seal = vaes_seal,
	.open = vaes_open,
	.seal_batch = pseudo_siv_vaes_seal_batch,
	.open_batch = pseudo_siv_vaes_open_batch
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_x86_left_out;

#endif							/* PSEUDO_HAVE_X86 */
