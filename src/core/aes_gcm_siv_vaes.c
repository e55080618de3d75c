/*
 * aes_gcm_siv_vaes.c
 *		Long messages and batches on x86_64 with VAES and VPCLMULQDQ: a vector is
 *		a register of AVX2, two blocks.
 *
 * AVX-512 would take four, but no machine at hand has it to test and to measure.
 */
#include <stdbool.h>

#include "internal.h"

#ifdef PSEUDO_HAVE_X86

#define SIV_TARGET	__attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#include "siv_x86.h"

typedef __m256i vec;

/* Read the blocks at p. */
SIV_INLINE vec
vec_load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *) (const void *) p);
}

/* Write the blocks v to p. */
SIV_INLINE void
vec_store(uint8_t *p, vec v)
{
	_mm256_storeu_si256((__m256i *) (void *) p, v);
}

/* Round r of AES.  AESENC adds the round key at its end, and needs not the one before. */
SIV_INLINE vec
aes_round(vec v, vec before, vec k)
{
	(void) before;
	return _mm256_aesenc_epi128(v, k);
}

/* The last round of AES. */
SIV_INLINE vec
aes_last(vec v, vec before, vec k)
{
	(void) before;
	return _mm256_aesenclast_epi128(v, k);
}

#define LANES				2
#define vec_repeat(b)		_mm256_broadcastsi128_si256(b)
#define vec_pair(a, b)		_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1)
#define vec_first(v)		_mm256_castsi256_si128(v)
#define vec_fold(v)			(vec_first(v) ^ _mm256_extracti128_si256(v, 1))

#define aes_first(v, k)		((v) ^ (k))
#define sub_bytes(v, k)		_mm256_aesenclast_epi128(v, k)
#define clmul_low(a, b)		_mm256_clmulepi64_epi128(a, b, 0x00)
#define clmul_high(a, b)	_mm256_clmulepi64_epi128(a, b, 0x11)
#define clmul_cross(a, b)	(_mm256_clmulepi64_epi128(a, b, 0x01) ^ _mm256_clmulepi64_epi128(a, b, 0x10))
#define swap_halves(v)		_mm256_shuffle_epi32(v, 0x4e)
#define low_halves(a, b)	_mm256_unpacklo_epi64(a, b)
#define add32(a, b)			_mm256_add_epi32(a, b)
#define shift_1_word(v)		_mm256_slli_si256(v, 4)
#define shift_2_words(v)	_mm256_slli_si256(v, 8)
#define last_word(v)		_mm256_shuffle_epi32(v, 0xff)
#define last_word_rotated(v)	_mm256_shuffle_epi8(v, _mm256_set1_epi32(0x0c0f0e0d))

#include "siv_wide.h"

/* As they are declared in internal.h and in aes_gcm_siv_x86.c. */
extern const siv_long pseudo_siv_vaes_long;
const siv_long pseudo_siv_vaes_long = LONG_FUNCTIONS;

void
pseudo_siv_vaes_seal_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
						   pseudo_siv_item *items, size_t n)
{
	seal_batch(key, aad, aad_len, items, n);
}

void
pseudo_siv_vaes_open_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
						   pseudo_siv_item *items, size_t n)
{
	open_batch(key, aad, aad_len, items, n);
}

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_vaes_left_out;

#endif							/* PSEUDO_HAVE_X86 */
