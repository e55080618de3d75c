/*
 * base64_avx2.c
 *		Base64 on x86_64 with AVX2: 24 bytes, 32 characters at a time.
 */
#include <string.h>

#include "base64.h"
#include "cpu.h"

#ifdef PSEUDO_HAVE_X86

#include <immintrin.h>

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define AVX2_TARGET	__attribute__((target("avx2")))
#define AVX2_INLINE	static inline __attribute__((always_inline)) AVX2_TARGET

/*
 * Read 12 bytes, as eight and four: what was just written in such pieces need not reach
 * the cache first.
 */
AVX2_INLINE __m128i
load_12(const uint8_t *in)
{
	uint32_t	tail;

	memcpy(&tail, in + 8, 4);
	return _mm_insert_epi32(_mm_loadl_epi64((const __m128i *) (const void *) in), (int) tail, 2);
}

/* Write 12 bytes. */
AVX2_INLINE void
store_12(uint8_t *out, __m128i v)
{
	uint32_t	tail = (uint32_t) _mm_extract_epi32(v, 2);

	_mm_storel_epi64((__m128i *) (void *) out, v);
	memcpy(out + 8, &tail, 4);
}

/* Of 12 bytes in each half, 16 characters. */
AVX2_INLINE __m256i
encode_256(__m256i v)
{
	/* From bytes abc of each group to bacb: two 16-bit words, each with two digits whole. */
	const __m256i spread = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
	/* The step from a digit to its character: lower case, each decimal digit, + and /, upper case. */
	const __m256i steps = _mm256_broadcastsi128_si256(
		_mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
					  '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0));
	__m256i		digits;
	__m256i		part;

	v = _mm256_shuffle_epi8(v, spread);

	/* Multiplication shifts each word by its own number of bits. */
	digits = _mm256_or_si256(_mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
												_mm256_set1_epi32(0x04000040)),
							 _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
												_mm256_set1_epi32(0x01000010)));

	/* Digits 52 to 63 are in parts 1 to 12, lower ones in part 0, or 13 where upper case. */
	part = _mm256_or_si256(_mm256_subs_epu8(digits, _mm256_set1_epi8(51)),
						   _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), digits), _mm256_set1_epi8(13)));
	return _mm256_add_epi8(digits, _mm256_shuffle_epi8(steps, part));
}

/* Encode all groups of 12 bytes; how many bytes were encoded. */
AVX2_TARGET static size_t
encode_groups(char *out, const uint8_t *in, size_t len)
{
	size_t		done = 0;

	for (; len - done >= 24; done += 24, out += 32)
	{
		__m256i		v = _mm256_castsi128_si256(load_12(in + done));

		v = encode_256(_mm256_inserti128_si256(v, load_12(in + done + 12), 1));
		_mm256_storeu_si256((__m256i *) (void *) out, v);
	}
	if (len - done >= 12)
	{
		__m256i		v = encode_256(_mm256_castsi128_si256(load_12(in + done)));

		_mm_storeu_si128((__m128i *) (void *) out, _mm256_castsi256_si128(v));
		done += 12;
	}
	return done;
}

/*
 * Of 16 characters in each half, 12 bytes; *known says which characters are of the alphabet.
 *
 * The high half of a character tells its kind: + and / have 2, digits 3, letters 4 to 7.  Each
 * kind is a bit, and for each low half there are the bits of the kinds that do not have it.
 */
AVX2_INLINE __m256i
decode_256(__m256i text, uint32_t *known)
{
	const __m256i kinds = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16));
	const __m256i kinds_without = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(16 | 1 | 4, 16 | 1, 16 | 1, 16 | 1, 16 | 1, 16 | 1, 16 | 1, 16 | 1, 16 | 1, 16 | 1,
					  16 | 1 | 2, 16 | 2 | 8, 16 | 1 | 2 | 8, 16 | 1 | 2 | 8, 16 | 1 | 2 | 8, 16 | 2 | 8));
	/* The step from a character to its value, by its high half; for / by one less. */
	const __m256i steps = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0));
	const __m256i gather = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
	const __m256i half = _mm256_set1_epi8(0x0f);
	__m256i		high = _mm256_and_si256(_mm256_srli_epi32(text, 4), half);
	__m256i		low = _mm256_and_si256(text, half);
	__m256i		unknown = _mm256_and_si256(_mm256_shuffle_epi8(kinds, high), _mm256_shuffle_epi8(kinds_without, low));
	__m256i		slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
	__m256i		v = _mm256_add_epi8(text, _mm256_shuffle_epi8(steps, _mm256_add_epi8(high, slash)));

	*known = (uint32_t) _mm256_movemask_epi8(_mm256_cmpeq_epi8(unknown, _mm256_setzero_si256()));
	/* Join pairs of six bits, then pairs of twelve, then drop the empty bytes. */
	v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
	v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
	return _mm256_shuffle_epi8(v, gather);
}

/*
 * Decode 16 characters at a time, leaving at least one group; how many were
 * decoded.  Stops before characters outside of the alphabet.
 */
AVX2_TARGET static size_t
decode_groups(uint8_t *out, const char *in, size_t len)
{
	size_t		done = 0;
	uint32_t	known;

	for (; len - done > 32; done += 32, out += 24)
	{
		__m256i		v = decode_256(_mm256_loadu_si256((const __m256i *) (const void *) (in + done)), &known);

		if (known != UINT32_MAX)
			return done;
		store_12(out, _mm256_castsi256_si128(v));
		store_12(out + 12, _mm256_extracti128_si256(v, 1));
	}
	if (len - done > 16)
	{
		__m128i		text = _mm_loadu_si128((const __m128i *) (const void *) (in + done));
		__m256i		v = decode_256(_mm256_castsi128_si256(text), &known);

		if ((known & 0xffff) != 0xffff)
			return done;
		store_12(out, _mm256_castsi256_si128(v));
		done += 16;
	}
	return done;
}

/* Write the base64 text of len bytes. */
static void
avx2_encode(char *out, const uint8_t *in, size_t len)
{
	size_t		done = encode_groups(out, in, len);

	pseudo_base64_encode_portable(out + done / 3 * 4, in + done, len - done);
}

/* Decode canonical base64 text of len characters. */
static pseudo_status
avx2_decode(uint8_t *out, size_t *out_len, const char *in, size_t len)
{
	size_t		done = len > 16 ? decode_groups(out, in, len) : 0;
	pseudo_status status = pseudo_base64_decode_portable(out + done / 4 * 3, out_len, in + done, len - done);

	*out_len += done / 4 * 3;
	return status;
}

const pseudo_base64_impl pseudo_base64_avx2 = {
	.name = "x86_64-avx2",
	.supported = cpu_has_avx2,
	.encode = avx2_encode,
	.decode = avx2_decode
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_base64_avx2_left_out;

#endif							/* PSEUDO_HAVE_X86 */
