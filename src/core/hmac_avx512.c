/*
 * hmac_avx512.c
 *		HMAC-SHA256 on x86_64 with AVX-512: a few messages by the SHA instructions,
 *		many by AVX-512, word by word: a vector has the same word of sixteen.
 */
#include <string.h>

#include "cpu.h"
#include "hmac.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_X86

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SHA_TARGET	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,sha")))
#include "hmac_x86.h"

#define HAVE_MASKS

/* Sixteen words from big-endian bytes, and back. */
#define swap_all_bytes(v)	_mm512_shuffle_epi8(v, _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203))

/* Of a block of which n bytes (64 or more: all, less than 1: none) are left, these, and the one after them. */
#define TEXT_MASK(n)	((n) >= 64 ? UINT64_MAX : BYTE_MASK((n) > 0 ? (n) : 0))
#define END_MASK(n)		((n) >= 0 && (n) < 64 ? UINT64_C(1) << (n) : 0)

/* A block of which n bytes are left: then 0x80 (negative: none), zeros. */
SHA_INLINE __m512i
load_padded(const uint8_t *p, ptrdiff_t n)
{
	__m512i		v = _mm512_maskz_loadu_epi8(TEXT_MASK(n), p);

	return swap_all_bytes(_mm512_mask_mov_epi8(v, END_MASK(n), _mm512_set1_epi8((char) 0x80)));
}

/*
 * The same in four vectors of 16 bytes, and by no wider ones: the SHA instructions, which have no encoding of
 * AVX, take hundreds of cycles each on Intel's processors from Sapphire Rapids on while upper halves are in use.
 */
SHA_INLINE void
load_block(words *w, const uint8_t *p, ptrdiff_t n)
{
	uint64_t	text = TEXT_MASK(n);
	uint64_t	end = END_MASK(n);

	for (int i = 0; i < 4; i++)
	{
		words		v = _mm_maskz_loadu_epi8((__mmask16) (text >> 16 * i), p + 16 * i);

		w[i] = swap_bytes(_mm_mask_mov_epi8(v, (__mmask16) (end >> 16 * i), _mm_set1_epi8((char) 0x80)));
	}
}

#include "hmac_body.h"

/* ---- Many messages ---- */

/* Up to this many messages, the SHA instructions are faster, four messages at a time. */
#define FEW		12

/* The same word of sixteen messages. */
typedef __m512i lanes;

/* Chaining values and blocks of 32 messages, side by side as one half alone waits for results. */
typedef struct hmac_work
{
	lanes		state[2][8];
	lanes		w[2][16];
} hmac_work;

#define add_lanes(a, b)			_mm512_add_epi32(a, b)
#define xor_lanes(a, b, c)		_mm512_ternarylogic_epi32(a, b, c, 0x96)
#define CHOOSE(e, f, g)			_mm512_ternarylogic_epi32(e, f, g, 0xca)
#define MAJORITY(a, b, c)		_mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define SIGMA(v, i, j, k)		xor_lanes(_mm512_ror_epi32(v, i), _mm512_ror_epi32(v, j), _mm512_ror_epi32(v, k))
#define SIGMA_SHIFT(v, i, j, k)	xor_lanes(_mm512_ror_epi32(v, i), _mm512_ror_epi32(v, j), _mm512_srli_epi32(v, k))

/* Add up to here first: the compiler's own order of additions would wait longer for e. */
#define SUM_SO_FAR(v)	__asm__("" : "+v" (v))

/* Hash a block into each state, FIPS 180-4 section 6.2.2; what was in the block is lost. */
static __attribute__((noinline)) SHA_TARGET void
hash_blocks(hmac_work *work)
{
	lanes	   *w0 = work->w[0];
	lanes	   *w1 = work->w[1];
	lanes		a0, b0, c0, d0, e0, f0, g0, h0;
	lanes		a1, b1, c1, d1, e1, f1, g1, h1;

#define LOAD(n) \
	a##n = work->state[n][0], b##n = work->state[n][1], c##n = work->state[n][2], d##n = work->state[n][3]; \
	e##n = work->state[n][4], f##n = work->state[n][5], g##n = work->state[n][6], h##n = work->state[n][7];
#define ADD(n, i, v) \
	work->state[n][i] = add_lanes(work->state[n][i], v##n);

	/* The words stay in memory, as there are too few registers to keep them. */
#define ROUND_OF(n, a, b, c, d, e, f, g, h, i) \
	h##n = add_lanes(h##n, add_lanes(w##n[i], _mm512_set1_epi32((int) k[i]))); \
	SUM_SO_FAR(h##n); \
	h##n = add_lanes(h##n, CHOOSE(e##n, f##n, g##n)); \
	SUM_SO_FAR(h##n); \
	h##n = add_lanes(h##n, SIGMA(e##n, 6, 11, 25)); \
	d##n = add_lanes(d##n, h##n); \
	h##n = add_lanes(h##n, add_lanes(SIGMA(a##n, 2, 13, 22), MAJORITY(a##n, b##n, c##n)));
#define NEXT_WORD_OF(n, i) \
	w##n[i] = add_lanes(add_lanes(w##n[i], w##n[(i + 9) % 16]), \
						add_lanes(SIGMA_SHIFT(w##n[(i + 1) % 16], 7, 18, 3), \
								  SIGMA_SHIFT(w##n[(i + 14) % 16], 17, 19, 10)));
#define ROUND(a, b, c, d, e, f, g, h, i) \
	__asm__ volatile("" : : : "memory"); \
	ROUND_OF(0, a, b, c, d, e, f, g, h, i) ROUND_OF(1, a, b, c, d, e, f, g, h, i) \
	if (k < round_constants + 48) \
	{ \
		NEXT_WORD_OF(0, i) NEXT_WORD_OF(1, i) \
	}

	LOAD(0) LOAD(1)
	for (const uint32_t *k = round_constants; k < round_constants + 64; k += 16)
	{
		ROUND(a, b, c, d, e, f, g, h, 0) ROUND(h, a, b, c, d, e, f, g, 1)
		ROUND(g, h, a, b, c, d, e, f, 2) ROUND(f, g, h, a, b, c, d, e, 3)
		ROUND(e, f, g, h, a, b, c, d, 4) ROUND(d, e, f, g, h, a, b, c, 5)
		ROUND(c, d, e, f, g, h, a, b, 6) ROUND(b, c, d, e, f, g, h, a, 7)
		ROUND(a, b, c, d, e, f, g, h, 8) ROUND(h, a, b, c, d, e, f, g, 9)
		ROUND(g, h, a, b, c, d, e, f, 10) ROUND(f, g, h, a, b, c, d, e, 11)
		ROUND(e, f, g, h, a, b, c, d, 12) ROUND(d, e, f, g, h, a, b, c, 13)
		ROUND(c, d, e, f, g, h, a, b, 14) ROUND(b, c, d, e, f, g, h, a, 15)
	}
#define ADD_ALL(n) \
	ADD(n, 0, a) ADD(n, 1, b) ADD(n, 2, c) ADD(n, 3, d) ADD(n, 4, e) ADD(n, 5, f) ADD(n, 6, g) ADD(n, 7, h)
	ADD_ALL(0) ADD_ALL(1)
#undef LOAD
#undef ADD
#undef ROUND_OF
#undef NEXT_WORD_OF
#undef ROUND
#undef ADD_ALL
}

/* Of four vectors, exchange rows and columns of words, in each quarter. */
SHA_INLINE void
exchange_words(lanes *v)
{
	lanes		ab = _mm512_unpacklo_epi32(v[0], v[1]);
	lanes		ab_high = _mm512_unpackhi_epi32(v[0], v[1]);
	lanes		cd = _mm512_unpacklo_epi32(v[2], v[3]);
	lanes		cd_high = _mm512_unpackhi_epi32(v[2], v[3]);

	v[0] = _mm512_unpacklo_epi64(ab, cd);
	v[1] = _mm512_unpackhi_epi64(ab, cd);
	v[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
	v[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/* Of four vectors that are four apart, exchange rows and columns of quarters. */
SHA_INLINE void
exchange_quarters(lanes *v)
{
	lanes		ab = _mm512_shuffle_i32x4(v[0], v[4], 0x44);
	lanes		ab_high = _mm512_shuffle_i32x4(v[0], v[4], 0xee);
	lanes		cd = _mm512_shuffle_i32x4(v[8], v[12], 0x44);
	lanes		cd_high = _mm512_shuffle_i32x4(v[8], v[12], 0xee);

	v[0] = _mm512_shuffle_i32x4(ab, cd, 0x88);
	v[4] = _mm512_shuffle_i32x4(ab, cd, 0xdd);
	v[8] = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
	v[12] = _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd);
}

/* Lay out one block, from offset on, of sixteen messages as words. */
SHA_INLINE void
load_blocks(lanes *w, const uint8_t *const *messages, const size_t *lens, size_t offset)
{
	for (int m = 0; m < 16; m++)
		w[m] = load_padded(messages[m] + offset, (ptrdiff_t) lens[m] - (ptrdiff_t) offset);
	for (int i = 0; i < 4; i++)
		exchange_quarters(w + i);
	for (int i = 0; i < 16; i += 4)
		exchange_words(w + i);
}

/* The last word of the last block of sixteen messages: the number of bits, one block of key included. */
SHA_INLINE lanes
length_lanes(const size_t *lens)
{
	__m256i		low = _mm512_cvtepi64_epi32(_mm512_loadu_si512(lens));
	__m256i		high = _mm512_cvtepi64_epi32(_mm512_loadu_si512(lens + 8));
	lanes		len = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);

	return _mm512_slli_epi32(add_lanes(len, _mm512_set1_epi32(PSEUDO_SHA256_BLOCK)), 3);
}

/* Set the states to a chaining value of eight words. */
SHA_INLINE void
set_states(lanes *state, const uint32_t *chain)
{
	for (int i = 0; i < 8; i++)
		state[i] = _mm512_set1_epi32((int) chain[i]);
}

/* The block of the outer hash: the inner one, and its padding. */
SHA_INLINE void
set_outer_block(lanes *w, const lanes *state)
{
	for (int i = 0; i < 8; i++)
		w[i] = state[i];
	w[8] = _mm512_set1_epi32((int) 0x80000000);
	for (int i = 9; i < 15; i++)
		w[i] = _mm512_setzero_si512();
	w[15] = _mm512_set1_epi32(8 * (PSEUDO_SHA256_BLOCK + PSEUDO_SHA256_LEN));
}

/* Write four words of each of sixteen digests, from offset on. */
SHA_INLINE void
store_words_of_digests(uint8_t (*digests)[PSEUDO_SHA256_LEN], size_t offset, lanes *state)
{
	exchange_words(state);
	for (int i = 0; i < 4; i++)
	{
		lanes		v = swap_all_bytes(state[i]);

#define STORE(j) store_words(digests[4 * (j) + i] + offset, _mm512_extracti32x4_epi32(v, j));
		STORE(0) STORE(1) STORE(2) STORE(3)
#undef STORE
	}
}

/* HMAC-SHA256 of a few messages of so many blocks each; a function of its own, see load_block. */
static __attribute__((noinline)) SHA_TARGET void
hmac_few(uint8_t (*digests)[PSEUDO_SHA256_LEN], const uint32_t *inner, const uint32_t *outer,
		 const uint8_t *const *messages, const size_t *lens, size_t n, size_t blocks)
{
	size_t		m = 0;

	for (; n - m >= 4; m += 4)
		hmac_four(digests + m, inner, outer, messages + m, lens + m, 4, blocks);
	for (; m < n; m++)
		hmac_one(digests[m], inner, outer, messages[m], lens[m]);
}

/* HMAC-SHA256 of n messages of so many blocks each; of 32 lanes those without one hash the first again. */
SHA_TARGET static void
hmac_many(uint8_t (*digests)[PSEUDO_SHA256_LEN], const uint32_t *inner, const uint32_t *outer,
		  const uint8_t *const *messages, const size_t *lens, size_t n, size_t blocks)
{
	const uint8_t *all[32];
	size_t		all_lens[32];
	hmac_work	work;

	if (n <= FEW)
	{
		hmac_few(digests, inner, outer, messages, lens, n, blocks);
		return;
	}
	for (size_t m = 0; m < 32; m++)
	{
		all[m] = messages[m < n ? m : 0];
		all_lens[m] = lens[m < n ? m : 0];
	}
	for (int half = 0; half < 2; half++)
		set_states(work.state[half], inner);
	for (size_t b = 0; b < blocks; b++)
	{
		for (int half = 0; half < 2; half++)
		{
			load_blocks(work.w[half], all + 16 * half, all_lens + 16 * half, b * PSEUDO_SHA256_BLOCK);
			if (b == blocks - 1)
				work.w[half][15] = length_lanes(all_lens + 16 * half);
		}
		hash_blocks(&work);
	}
	for (int half = 0; half < 2; half++)
	{
		set_outer_block(work.w[half], work.state[half]);
		set_states(work.state[half], outer);
	}
	hash_blocks(&work);
	for (int half = 0; half < 2; half++)
	{
		store_words_of_digests(digests + 16 * half, 0, work.state[half]);
		store_words_of_digests(digests + 16 * half, 16, work.state[half] + 4);
	}
	wipe(&work, sizeof(work));
	pseudo_burn_deep_stack();
}

const pseudo_hmac_impl pseudo_hmac_avx512 = {
	.name = "x86_64-avx512",
	.supported = cpu_has_avx512,
	.one = hmac_one,
	.key = hmac_key,
	.lanes = 32,
	.many = hmac_many
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_hmac_avx512_left_out;

#endif							/* PSEUDO_HAVE_X86 */
