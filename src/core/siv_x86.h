/*
 * siv_x86.h
 *		The operations on one block that both implementations for x86_64 share.
 *		Included once by each of them, after SIV_TARGET is defined.
 */
#include <immintrin.h>

typedef __m128i block;

/* Evaluate v here and not where it is used, which would keep what it is made of till then. */
#define EVALUATE(v)		__asm__ volatile("" : "+x" (v) : : "memory")

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

/* Clear the registers, which a signal or the dynamic linker would save. */
#define CLEAR_REGISTERS() \
	__asm__ volatile( \
					 "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\t" \
					 "pxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t" \
					 "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\t" \
					 "pxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t" \
					 "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\t" \
					 "pxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t" \
					 "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\t" \
					 "pxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15" \
					 : : \
					 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
					 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
