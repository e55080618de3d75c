/*
 * siv_x86.h
 *		The operations on one block that the implementations for x86_64 share.
 *		Included by each of them, after SIV_TARGET is defined.
 */
#include <immintrin.h>

typedef __m128i block;

/* Read the block at p. */
SIV_INLINE block
load_block(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *) (const void *) p);
}

/* Write the block v to p. */
SIV_INLINE void
store_block(uint8_t *p, block v)
{
	_mm_storeu_si128((__m128i *) (void *) p, v);
}

/* The block of two halves. */
SIV_INLINE block
make_block(uint64_t low, uint64_t high)
{
	return _mm_set_epi64x((long long) high, (long long) low);
}

/* The low half of a block. */
SIV_INLINE uint64_t
low_half(block v)
{
	return (uint64_t) _mm_cvtsi128_si64(v);
}

/* The high half of a block. */
SIV_INLINE uint64_t
high_half(block v)
{
	return (uint64_t) _mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
}
