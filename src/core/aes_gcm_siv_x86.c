/*
 * aes_gcm_siv_x86.c
 *		AES-GCM-SIV on x86_64 with AES-NI and PCLMULQDQ, in the order of
 *		RFC 8452: derive keys, POLYVAL, seal, open.
 *
 * Most values are short (a name, an e-mail address), so what counts is latency:
 * the derivation's blocks go through AES together, the message key's schedule
 * avoids AESKEYGENASSIST, and nothing is copied through memory.  The processor
 * overlaps POLYVAL, the key schedule and the tag's encryption by itself, as they
 * depend on each other only through round keys.  Long values take eight blocks
 * at a time.
 *
 * All that is secret in memory is in one siv_work on the stack, wiped at the end
 * together with the registers.  FROM_MEMORY keeps the compiler from holding
 * round keys in more registers than there are, which would spill them to where
 * nobody wipes.
 */
#include "internal.h"

#ifdef PSEUDO_HAVE_X86

#include <immintrin.h>

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SIV_TARGET	__attribute__((target("aes,pclmul,ssse3,sse4.1")))
#define SIV_INLINE	static inline __attribute__((always_inline)) SIV_TARGET
#define SIV_NOINLINE	static __attribute__((noinline)) SIV_TARGET

/* Inputs from this many bytes on are worth the powers of the authentication key. */
#define WIDE_LEN	256

/* Blocks in flight for long inputs, and the macro that repeats for each. */
#define WIDE_BLOCKS	8
#define FOR_EACH_BLOCK(F)	F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)

/* Repeat for each round but the first and the last; rounds is a constant, 10 or 14. */
#define FOR_EACH_ROUND(F, rounds) \
	do { \
		F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) \
		if ((rounds) == 14) \
		{ \
			F(10) F(11) F(12) F(13) \
		} \
	} while (0)

/* What is read from memory is read anew below this. */
#define FROM_MEMORY()	__asm__ volatile("" : : : "memory")

/* All that is derived for one message. */
typedef struct siv_work
{
	__m128i		round_keys[PSEUDO_MAX_ROUNDS + 1];
	__m128i		powers[WIDE_BLOCKS];	/* of the authentication key: H, H^2, ... */
	__m128i		sum;			/* of POLYVAL so far, between functions */
} siv_work;

/* 16 bytes set, 16 bytes clear: loaded at 16 - n, the mask of n bytes. */
static const uint8_t byte_mask[32] = {
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
};

/* ---- Blocks ---- */

/* Read the block at p. */
SIV_INLINE __m128i
load_block(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *) (const void *) p);
}

/* Write the block v to p. */
SIV_INLINE void
store_block(uint8_t *p, __m128i v)
{
	_mm_storeu_si128((__m128i *) (void *) p, v);
}

/* Read 8 bytes at p. */
SIV_INLINE uint64_t
load64(const uint8_t *p)
{
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Read 4 bytes at p. */
SIV_INLINE uint32_t
load32(const uint8_t *p)
{
	uint32_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Read len (1 to 15) bytes at p, and no more, as a block padded with zeros. */
SIV_INLINE __m128i
load_partial(const uint8_t *p, size_t len)
{
	uint64_t	low;
	uint64_t	high = 0;

	if (len >= 8)
	{
		low = load64(p);
		/* The last 8 bytes overlap the first 8; two shifts, as 64 at once is undefined. */
		high = load64(p + len - 8) >> (8 * (15 - len)) >> 8;
	}
	else if (len >= 4)
		low = load32(p) | (uint64_t) load32(p + len - 4) << (8 * (len - 4));
	else
		low = p[0] | (uint64_t) p[len / 2] << (8 * (len / 2)) |
			(uint64_t) p[len - 1] << (8 * (len - 1));
	return _mm_set_epi64x((long long) high, (long long) low);
}

/* Write the first len (1 to 15) bytes of the block v to p. */
SIV_INLINE void
store_partial(uint8_t *p, __m128i v, size_t len)
{
	uint64_t	low = (uint64_t) _mm_cvtsi128_si64(v);

	if (len >= 8)
	{
		uint64_t	high = (uint64_t) _mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
		unsigned	shift = (unsigned) (8 * (15 - len));
		uint64_t	last = low >> (56 - shift) | high << shift << 8;

		memcpy(p, &low, 8);
		memcpy(p + len - 8, &last, 8);
	}
	else if (len >= 4)
	{
		uint32_t	first = (uint32_t) low;
		uint32_t	last = (uint32_t) (low >> (8 * (len - 4)));

		memcpy(p, &first, 4);
		memcpy(p + len - 4, &last, 4);
	}
	else
	{
		p[0] = (uint8_t) low;
		p[len / 2] = (uint8_t) (low >> (8 * (len / 2)));
		p[len - 1] = (uint8_t) (low >> (8 * (len - 1)));
	}
}

/* Clear all but the first len (0 to 16) bytes of the block v. */
SIV_INLINE __m128i
keep_bytes(__m128i v, size_t len)
{
	return _mm_and_si128(v, load_block(byte_mask + 16 - len));
}

/* ---- AES ---- */

/* Each word of v becomes the exclusive or of itself and the words below it. */
SIV_INLINE __m128i
prefix_xor(__m128i v)
{
	v = _mm_xor_si128(v, _mm_slli_si128(v, 4));
	return _mm_xor_si128(v, _mm_slli_si128(v, 8));
}

/*
 * SubWord(RotWord(last word of v)) xor rcon, in every word.  AESENCLAST is
 * SubBytes, ShiftRows and an exclusive or; with four equal columns ShiftRows
 * changes nothing.
 */
SIV_INLINE __m128i
rotate_and_substitute(__m128i v, int rcon)
{
	const __m128i last_word_rotated = _mm_set1_epi32(0x0c0f0e0d);

	return _mm_aesenclast_si128(_mm_shuffle_epi8(v, last_word_rotated), _mm_set1_epi32(rcon));
}

/* SubWord(last word of v), in every word. */
SIV_INLINE __m128i
substitute(__m128i v)
{
	return _mm_aesenclast_si128(_mm_shuffle_epi32(v, 0xff), _mm_setzero_si128());
}

/* Expand an AES-128 key, FIPS 197 section 5.2. */
SIV_INLINE void
expand_128(__m128i *round_keys, __m128i k)
{
	round_keys[0] = k;
#define STEP(i, rcon) \
	k = _mm_xor_si128(prefix_xor(k), rotate_and_substitute(k, rcon)); \
	round_keys[i] = k;

	STEP(1, 0x01) STEP(2, 0x02) STEP(3, 0x04) STEP(4, 0x08) STEP(5, 0x10)
	STEP(6, 0x20) STEP(7, 0x40) STEP(8, 0x80) STEP(9, 0x1b) STEP(10, 0x36)
#undef STEP
}

/* Expand an AES-256 key of the halves a and b. */
SIV_INLINE void
expand_256(__m128i *round_keys, __m128i a, __m128i b)
{
	round_keys[0] = a;
	round_keys[1] = b;
#define EVEN(i, rcon) \
	a = _mm_xor_si128(prefix_xor(a), rotate_and_substitute(b, rcon)); \
	round_keys[i] = a;
#define ODD(i) \
	b = _mm_xor_si128(prefix_xor(b), substitute(a)); \
	round_keys[i] = b;

	EVEN(2, 0x01) ODD(3) EVEN(4, 0x02) ODD(5) EVEN(6, 0x04) ODD(7) EVEN(8, 0x08) ODD(9)
	EVEN(10, 0x10) ODD(11) EVEN(12, 0x20) ODD(13) EVEN(14, 0x40)
#undef EVEN
#undef ODD
}

/* Encrypt one block. */
SIV_INLINE __m128i
encrypt_block(const __m128i *round_keys, __m128i b, const int rounds)
{
	FROM_MEMORY();
	b = _mm_xor_si128(b, round_keys[0]);
#define ROUND(r) b = _mm_aesenc_si128(b, round_keys[r]);
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	return _mm_aesenclast_si128(b, round_keys[rounds]);
}

/* ---- Derive keys, RFC 8452 section 4 ---- */

/*
 * Derive the message keys: the authentication key goes to work->powers[0], the
 * encryption key's schedule to work->round_keys.
 */
SIV_INLINE void
derive_keys(siv_work *work, const pseudo_siv_key *key, const uint8_t *nonce, const int rounds)
{
	const __m128i *round_keys = (const __m128i *) (const void *) key->round_keys;
	const __m128i one = _mm_cvtsi32_si128(1);
	uint64_t	head = load64(nonce);
	uint64_t	tail = load32(nonce + 8);
	__m128i		b0 = _mm_set_epi64x((long long) (tail << 32 | head >> 32), (long long) (head << 32));
	__m128i		b1 = _mm_add_epi32(b0, one);
	__m128i		b2 = _mm_add_epi32(b1, one);
	__m128i		b3 = _mm_add_epi32(b2, one);
	__m128i		b4 = _mm_add_epi32(b3, one);
	__m128i		b5 = _mm_add_epi32(b4, one);
	__m128i		k;

	FROM_MEMORY();
	k = round_keys[0];
	b0 = _mm_xor_si128(b0, k);
	b1 = _mm_xor_si128(b1, k);
	b2 = _mm_xor_si128(b2, k);
	b3 = _mm_xor_si128(b3, k);
	b4 = _mm_xor_si128(b4, k);
	b5 = _mm_xor_si128(b5, k);
#define ROUND(r) \
	FROM_MEMORY(); \
	k = round_keys[r]; \
	b0 = _mm_aesenc_si128(b0, k); \
	b1 = _mm_aesenc_si128(b1, k); \
	b2 = _mm_aesenc_si128(b2, k); \
	b3 = _mm_aesenc_si128(b3, k); \
	if (rounds == 14) \
	{ \
		b4 = _mm_aesenc_si128(b4, k); \
		b5 = _mm_aesenc_si128(b5, k); \
	}
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	k = round_keys[rounds];
	b0 = _mm_aesenclast_si128(b0, k);
	b1 = _mm_aesenclast_si128(b1, k);
	b2 = _mm_unpacklo_epi64(_mm_aesenclast_si128(b2, k), _mm_aesenclast_si128(b3, k));
	if (rounds == 14)
	{
		b4 = _mm_unpacklo_epi64(_mm_aesenclast_si128(b4, k), _mm_aesenclast_si128(b5, k));
		expand_256(work->round_keys, b2, b4);
	}
	else
		expand_128(work->round_keys, b2);
	work->powers[0] = _mm_unpacklo_epi64(b0, b1);
	__asm__ volatile("" : : "r" (work) : "memory");
}

/*
 * Clear all that is secret: work, of whose powers but the first are there only if
 * wide, and the registers, which a signal or the dynamic linker would save.
 */
SIV_INLINE void
wipe_work(siv_work *work, const int rounds, int wide)
{
	__m128i		zero = _mm_setzero_si128();

#define CLEAR(i) work->round_keys[i] = zero;
	CLEAR(0) CLEAR(10)
	FOR_EACH_ROUND(CLEAR, rounds);
	if (rounds == 14)
	{
		CLEAR(14)
	}
#undef CLEAR
	work->powers[0] = zero;
	if (wide)
	{
#define CLEAR(i) work->powers[i] = zero;
		FOR_EACH_BLOCK(CLEAR)
#undef CLEAR
		work->sum = zero;
	}
	__asm__ volatile(
					 "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\t"
					 "pxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
					 "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\t"
					 "pxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
					 "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\t"
					 "pxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
					 "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\t"
					 "pxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15"
					 : : "r" (work)
					 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
					 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* ---- POLYVAL, RFC 8452 section 3 ---- */

/*
 * Reduce a product of 256 bits, low + middle * x^64 + high * x^128, times
 * x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1: twice, the lowest 64 bits
 * are folded 128 bits up.
 */
SIV_INLINE __m128i
reduce(__m128i low, __m128i middle, __m128i high)
{
	const __m128i poly = _mm_set_epi64x(0, (long long) UINT64_C(0xc200000000000000));

	middle = _mm_xor_si128(middle, _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e),
												 _mm_clmulepi64_si128(low, poly, 0x00)));
	return _mm_xor_si128(_mm_xor_si128(high, _mm_shuffle_epi32(middle, 0x4e)),
						 _mm_clmulepi64_si128(middle, poly, 0x00));
}

/* dot(a, b) of RFC 8452 section 3. */
SIV_INLINE __m128i
dot(__m128i a, __m128i b)
{
	return reduce(_mm_clmulepi64_si128(a, b, 0x00),
				  _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)),
				  _mm_clmulepi64_si128(a, b, 0x11));
}

/* Compute the powers 2 to 8 of the authentication key. */
SIV_NOINLINE void
raise_powers(siv_work *work)
{
	__m128i    *p = work->powers;
	__m128i		h = p[0];

	p[1] = dot(h, h);
	p[2] = dot(p[1], h);
	p[3] = dot(p[1], p[1]);
	p[4] = dot(p[3], h);
	p[5] = dot(p[3], p[1]);
	p[6] = dot(p[3], p[2]);
	p[7] = dot(p[3], p[3]);
}

/* Add the product of block i, of eight, to (low, middle, high). */
#define ADD_PRODUCT(i, block) \
	do { \
		__m128i		b_ = (block); \
		__m128i		h_ = powers[WIDE_BLOCKS - 1 - (i)]; \
		low = _mm_xor_si128(low, _mm_clmulepi64_si128(b_, h_, 0x00)); \
		middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(b_, h_, 0x01)); \
		middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(b_, h_, 0x10)); \
		high = _mm_xor_si128(high, _mm_clmulepi64_si128(b_, h_, 0x11)); \
	} while (0);

/* Add one block to POLYVAL's sum s. */
SIV_INLINE __m128i
absorb_block(const siv_work *work, __m128i s, __m128i block)
{
	FROM_MEMORY();
	return dot(_mm_xor_si128(s, block), work->powers[0]);
}

/* POLYVAL over len bytes, a multiple of eight blocks, continuing from s. */
SIV_NOINLINE __m128i
absorb_wide(const siv_work *work, __m128i s, const uint8_t *p, size_t len)
{
	const __m128i *powers = work->powers;

	for (; len > 0; len -= 16 * WIDE_BLOCKS, p += 16 * WIDE_BLOCKS)
	{
		__m128i		low = _mm_setzero_si128();
		__m128i		middle = low;
		__m128i		high = low;

		ADD_PRODUCT(1, load_block(p + 16));
		ADD_PRODUCT(2, load_block(p + 32));
		ADD_PRODUCT(3, load_block(p + 48));
		ADD_PRODUCT(4, load_block(p + 64));
		ADD_PRODUCT(5, load_block(p + 80));
		ADD_PRODUCT(6, load_block(p + 96));
		ADD_PRODUCT(7, load_block(p + 112));
		ADD_PRODUCT(0, _mm_xor_si128(s, load_block(p)));
		s = reduce(low, middle, high);
	}
	return s;
}

/* POLYVAL over len bytes, padded with zeros to whole blocks, continuing from s. */
SIV_INLINE __m128i
absorb(const siv_work *work, __m128i s, const uint8_t *p, size_t len, int wide)
{
	if (wide && len >= 16 * WIDE_BLOCKS)
	{
		size_t		n = len - len % (16 * WIDE_BLOCKS);

		s = absorb_wide(work, s, p, n);
		p += n;
		len -= n;
	}
	for (; len >= 16; len -= 16, p += 16)
		s = absorb_block(work, s, load_block(p));
	if (len > 0)
		s = absorb_block(work, s, load_partial(p, len));
	return s;
}

/* From POLYVAL over all but the lengths to the tag. */
SIV_INLINE __m128i
make_tag(const siv_work *work, __m128i s, const uint8_t *nonce,
		 size_t aad_len, size_t text_len, const int rounds)
{
	__m128i		lengths = _mm_set_epi64x((long long) ((uint64_t) text_len * 8),
										 (long long) ((uint64_t) aad_len * 8));
	__m128i		n = _mm_set_epi64x((long long) load32(nonce + 8), (long long) load64(nonce));
	const __m128i clear_top = _mm_set_epi64x(INT64_MAX, -1);

	s = absorb_block(work, s, lengths);
	s = _mm_and_si128(_mm_xor_si128(s, n), clear_top);
	return encrypt_block(work->round_keys, s, rounds);
}

/* ---- CTR, RFC 8452 section 4 ---- */

/* The first counter block, made of the tag. */
SIV_INLINE __m128i
first_counter(__m128i tag)
{
	return _mm_or_si128(tag, _mm_set_epi64x(INT64_MIN, 0));
}

/* Blocks b0 to b7 become the key stream of the counters from counter on. */
#define WIDE_KEY_STREAM() \
	__m128i		k = round_keys[0]; \
	__m128i		b0 = _mm_xor_si128(counter, k); \
	__m128i		b1 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(1)), k); \
	__m128i		b2 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(2)), k); \
	__m128i		b3 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(3)), k); \
	__m128i		b4 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(4)), k); \
	__m128i		b5 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(5)), k); \
	__m128i		b6 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(6)), k); \
	__m128i		b7 = _mm_xor_si128(_mm_add_epi32(counter, _mm_cvtsi32_si128(7)), k); \
	counter = _mm_add_epi32(counter, _mm_cvtsi32_si128(8)); \
	for (int r = 1; r < rounds; r++) \
	{ \
		k = round_keys[r]; \
		FOR_EACH_BLOCK(WIDE_ROUND) \
	} \
	k = round_keys[rounds]; \
	FOR_EACH_BLOCK(WIDE_LAST_ROUND)
#define WIDE_ROUND(i) b##i = _mm_aesenc_si128(b##i, k);
#define WIDE_LAST_ROUND(i) b##i = _mm_aesenclast_si128(b##i, k);

/* Encrypt len bytes, a multiple of eight blocks; the next counter is returned. */
SIV_NOINLINE __m128i
encrypt_wide(const siv_work *work, __m128i counter, const uint8_t *in, uint8_t *out,
			 size_t len, const int rounds)
{
	const __m128i *round_keys = work->round_keys;

	for (; len > 0; len -= 16 * WIDE_BLOCKS, in += 16 * WIDE_BLOCKS, out += 16 * WIDE_BLOCKS)
	{
		WIDE_KEY_STREAM()
#define PUT(i) store_block(out + 16 * i, _mm_xor_si128(b##i, load_block(in + 16 * i)));
		FOR_EACH_BLOCK(PUT)
#undef PUT
	}
	return counter;
}

/*
 * Decrypt len bytes, a multiple of eight blocks, and run POLYVAL over the
 * plaintext, continuing from work->sum; the next counter is returned.
 */
SIV_NOINLINE __m128i
decrypt_wide(siv_work *work, __m128i counter, const uint8_t *in,
			 uint8_t *out, size_t len, const int rounds)
{
	const __m128i *round_keys = work->round_keys;
	const __m128i *powers = work->powers;
	__m128i		sum = work->sum;

	for (; len > 0; len -= 16 * WIDE_BLOCKS, in += 16 * WIDE_BLOCKS, out += 16 * WIDE_BLOCKS)
	{
		__m128i		low = _mm_setzero_si128();
		__m128i		middle = low;
		__m128i		high = low;

		WIDE_KEY_STREAM()
#define PUT(i) \
		b##i = _mm_xor_si128(b##i, load_block(in + 16 * i)); \
		store_block(out + 16 * i, b##i);
		FOR_EACH_BLOCK(PUT)
#undef PUT
		b0 = _mm_xor_si128(b0, sum);
#define ADD(i) ADD_PRODUCT(i, b##i)
		FOR_EACH_BLOCK(ADD)
#undef ADD
		sum = reduce(low, middle, high);
	}
	work->sum = sum;
	return counter;
}

/* Encrypt len bytes with the key stream that starts at counter. */
SIV_INLINE void
encrypt_text(const siv_work *work, __m128i counter, const uint8_t *in, uint8_t *out,
			 size_t len, const int rounds)
{
	const __m128i one = _mm_cvtsi32_si128(1);
	__m128i		b;

	if (len >= 16 * WIDE_BLOCKS)
	{
		size_t		n = len - len % (16 * WIDE_BLOCKS);

		counter = encrypt_wide(work, counter, in, out, n, rounds);
		in += n;
		out += n;
		len -= n;
	}
	for (; len >= 16; len -= 16, in += 16, out += 16)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		store_block(out, _mm_xor_si128(b, load_block(in)));
		counter = _mm_add_epi32(counter, one);
	}
	if (len > 0)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		store_partial(out, _mm_xor_si128(b, load_partial(in, len)), len);
	}
}

/* Decrypt len bytes and run POLYVAL over the plaintext, continuing from s. */
SIV_INLINE __m128i
decrypt_text(siv_work *work, __m128i s, __m128i counter,
			 const uint8_t *in, uint8_t *out, size_t len, const int rounds, int wide)
{
	const __m128i one = _mm_cvtsi32_si128(1);
	__m128i		b;

	if (wide && len >= 16 * WIDE_BLOCKS)
	{
		size_t		n = len - len % (16 * WIDE_BLOCKS);

		work->sum = s;
		counter = decrypt_wide(work, counter, in, out, n, rounds);
		s = work->sum;
		in += n;
		out += n;
		len -= n;
	}
	for (; len >= 16; len -= 16, in += 16, out += 16)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		b = _mm_xor_si128(b, load_block(in));
		store_block(out, b);
		s = absorb_block(work, s, b);
		counter = _mm_add_epi32(counter, one);
	}
	if (len > 0)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		b = keep_bytes(_mm_xor_si128(b, load_partial(in, len)), len);
		store_partial(out, b, len);
		s = absorb_block(work, s, b);
	}
	return s;
}

/* ---- Seal and open ---- */

/* Seal, for one number of rounds. */
SIV_INLINE pseudo_status
seal_rounds(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out, const int rounds)
{
	siv_work	work;
	int			wide = aad_len >= WIDE_LEN || in_len >= WIDE_LEN;
	__m128i		s = _mm_setzero_si128();
	__m128i		tag;

	derive_keys(&work, key, nonce, rounds);
	if (wide)
		raise_powers(&work);
	if (aad_len > 0)
		s = absorb(&work, s, aad, aad_len, wide);
	s = absorb(&work, s, in, in_len, wide);
	tag = make_tag(&work, s, nonce, aad_len, in_len, rounds);
	encrypt_text(&work, first_counter(tag), in, out, in_len, rounds);
	store_block(out + in_len, tag);
	wipe_work(&work, rounds, wide);
	return PSEUDO_OK;
}

/* Open, for one number of rounds. */
SIV_INLINE pseudo_status
open_rounds(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out, const int rounds)
{
	siv_work	work;
	size_t		text_len = in_len - PSEUDO_TAG_LEN;
	int			wide = aad_len >= WIDE_LEN || text_len >= WIDE_LEN;
	__m128i		tag = load_block(in + text_len);
	__m128i		s = _mm_setzero_si128();
	__m128i		expected;
	int			equal;

	derive_keys(&work, key, nonce, rounds);
	if (wide)
		raise_powers(&work);
	if (aad_len > 0)
		s = absorb(&work, s, aad, aad_len, wide);
	s = decrypt_text(&work, s, first_counter(tag), in, out, text_len, rounds, wide);
	expected = make_tag(&work, s, nonce, aad_len, text_len, rounds);
	/* All sixteen bytes are compared at once, so time tells nothing. */
	equal = _mm_movemask_epi8(_mm_cmpeq_epi8(tag, expected));
	wipe_work(&work, rounds, wide);
	if (equal != 0xffff)
	{
		wipe(out, text_len);
		return PSEUDO_NOT_AUTHENTIC;
	}
	return PSEUDO_OK;
}

/* Encrypt and authenticate, see pseudo_siv_seal. */
SIV_TARGET static pseudo_status
x86_seal(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		 const uint8_t *in, size_t in_len, uint8_t *out)
{
	if (key->key_len == 32)
		return seal_rounds(key, nonce, aad, aad_len, in, in_len, out, 14);
	return seal_rounds(key, nonce, aad, aad_len, in, in_len, out, 10);
}

/* Decrypt and verify, see pseudo_siv_open. */
SIV_TARGET static pseudo_status
x86_open(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		 const uint8_t *in, size_t in_len, uint8_t *out)
{
	if (key->key_len == 32)
		return open_rounds(key, nonce, aad, aad_len, in, in_len, out, 14);
	return open_rounds(key, nonce, aad, aad_len, in, in_len, out, 10);
}

/* Fill in the round keys of the key-generating key. */
SIV_TARGET static void
x86_expand(pseudo_siv_key *key)
{
	__m128i    *round_keys = (__m128i *) (void *) key->round_keys;

	if (key->key_len == 32)
		expand_256(round_keys, load_block(key->key), load_block(key->key + 16));
	else
		expand_128(round_keys, load_block(key->key));
}

/* Whether this processor has all the instructions used here. */
static int
x86_supported(void)
{
	return cpu_has(CPU_AES | CPU_PCLMULQDQ | CPU_SSSE3 | CPU_SSE4_1);
}

const pseudo_siv_impl pseudo_siv_x86 = {
	.name = "x86_64-aesni",
	.supported = x86_supported,
	.expand = x86_expand,
	.seal = x86_seal,
	.open = x86_open
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_x86_left_out;

#endif							/* PSEUDO_HAVE_X86 */
