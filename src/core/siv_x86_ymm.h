/*
 * siv_x86_ymm.h
 *		The operations on vectors of two blocks, by VAES and VPCLMULQDQ in registers of AVX2.
 *		Included by the implementations of this width, after siv_x86.h.
 */
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

/* A round of AES.  AESENC adds the key of this round at its end, so the key before is not used. */
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
#define vec_extend(b)		_mm256_inserti128_si256(_mm256_setzero_si256(), b, 0)
#define vec_first(v)		_mm256_castsi256_si128(v)
#define vec_next(v)			_mm256_permute2x128_si256(v, v, 0x81)
#define vec_fold(v)			(vec_first(v) ^ _mm256_extracti128_si256(v, 1))
#define vec_halves(v, i)	_mm256_permute4x64_epi64(v, 0x88)
#define LANE_NUMBERS		_mm256_setr_epi64x(0, 0, 1, 0)

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
