/*
 * siv_avx512.c
 *		AES-GCM-SIV on x86_64 with VAES, VPCLMULQDQ and AVX-512: a vector is a register,
 *		four blocks, and memory is read and written under masks of bytes.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_X86

#define SIV_TARGET	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,aes,pclmul,vaes,vpclmulqdq")))
#include "siv_x86.h"
#include "siv_x86_masks.h"

typedef __m512i vec;

/* Read the blocks at p. */
SIV_INLINE vec
vec_load(const uint8_t *p)
{
	return _mm512_loadu_si512((const __m512i *) (const void *) p);
}

/* Write the blocks v to p. */
SIV_INLINE void
vec_store(uint8_t *p, vec v)
{
	_mm512_storeu_si512((__m512i *) (void *) p, v);
}

/* A round of AES.  AESENC adds the key of this round at its end, so the key before is not used. */
SIV_INLINE vec
aes_round(vec v, vec before, vec k)
{
	(void) before;
	return _mm512_aesenc_epi128(v, k);
}

/* The last round of AES. */
SIV_INLINE vec
aes_last(vec v, vec before, vec k)
{
	(void) before;
	return _mm512_aesenclast_epi128(v, k);
}

#define LANES				4
#define vec_repeat(b)		_mm512_broadcast_i32x4(b)
#define vec_extend(b)		_mm512_inserti32x4(_mm512_setzero_si512(), b, 0)
#define vec_first(v)		_mm512_castsi512_si128(v)
#define vec_next(v)			_mm512_alignr_epi64(v, v, 2)
#define vec_halves(v, i)	_mm512_permutexvar_epi64(_mm512_set4_epi64(4 * (i) + 2, 4 * (i), 4 * (i) + 2, 4 * (i)), v)
#define LANE_NUMBERS		_mm512_setr_epi64(0, 0, 1, 0, 2, 0, 3, 0)

/* The lanes' exclusive or. */
SIV_INLINE block
vec_fold(vec v)
{
	__m256i		half = _mm512_castsi512_si256(v) ^ _mm512_extracti64x4_epi64(v, 1);

	return _mm256_castsi256_si128(half) ^ _mm256_extracti128_si256(half, 1);
}

#define aes_first(v, k)		((v) ^ (k))
#define sub_bytes(v, k)		_mm512_aesenclast_epi128(v, k)
#define clmul_low(a, b)		_mm512_clmulepi64_epi128(a, b, 0x00)
#define clmul_high(a, b)	_mm512_clmulepi64_epi128(a, b, 0x11)
#define clmul_cross(a, b)	(_mm512_clmulepi64_epi128(a, b, 0x01) ^ _mm512_clmulepi64_epi128(a, b, 0x10))
#define swap_halves(v)		_mm512_shuffle_epi32(v, _MM_PERM_BADC)
#define low_halves(a, b)	_mm512_unpacklo_epi64(a, b)
#define add32(a, b)			_mm512_add_epi32(a, b)
#define shift_1_word(v)		_mm512_bslli_epi128(v, 4)
#define shift_2_words(v)	_mm512_bslli_epi128(v, 8)
#define last_word(v)		_mm512_shuffle_epi32(v, _MM_PERM_DDDD)
#define last_word_rotated(v)	_mm512_shuffle_epi8(v, _mm512_set1_epi32(0x0c0f0e0d))

#define load_text(p, len)	_mm512_maskz_loadu_epi8(BYTE_MASK(len), p)
#define store_text(p, v, len)	_mm512_mask_storeu_epi8(p, BYTE_MASK(len), v)
#define keep_text(v, len)	_mm512_maskz_mov_epi8(BYTE_MASK(len), v)

#include "siv_block.h"
#include "siv_long.h"
#include "siv_single.h"
#include "siv_batch.h"

const pseudo_siv_impl pseudo_siv_avx512 = {
	.supported = cpu_has_avx512,
	SIV_FUNCTIONS
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_avx512_left_out;

#endif							/* PSEUDO_HAVE_X86 */
