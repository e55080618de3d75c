/*
 * base64_avx512.c
 *		Base64 on x86_64 with AVX-512 and VBMI: up to 48 bytes, 64 characters at a time,
 *		read and written under masks.
 */
#include <string.h>

#include "base64.h"
#include "cpu.h"

#ifdef PSEUDO_HAVE_X86

#include <immintrin.h>

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define VBMI_TARGET	__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi2")))
#define VBMI_INLINE	static inline __attribute__((always_inline)) VBMI_TARGET

static const _Alignas(64) char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of each character below 128; 128 where it has none. */
#define NONE	128, 128, 128, 128, 128, 128, 128, 128
static const _Alignas(64) uint8_t values[128] = {
	NONE, NONE, NONE, NONE, NONE,
	128, 128, 128, 62, 128, 128, 128, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 128, 128, 128, 128, 128, 128,
	128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
	128, 128, 128, 128, 128,
	128, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
	128, 128, 128, 128, 128
};

/* Of 48 bytes, 64 characters. */
VBMI_INLINE __m512i
encode_512(__m512i bytes)
{
	/* From bytes abc of each group to bacb, where each character is eight bits in a row, but for the top two. */
	const __m512i spread = _mm512_setr_epi32(0x01020001, 0x04050304, 0x07080607, 0x0a0b090a,
											 0x0d0e0c0d, 0x10110f10, 0x13141213, 0x16171516,
											 0x191a1819, 0x1c1d1b1c, 0x1f201e1f, 0x22232122,
											 0x25262425, 0x28292728, 0x2b2c2a2b, 0x2e2f2d2e);
	const __m512i first_bits = _mm512_set1_epi64(0x3036242a1016040a);

	bytes = _mm512_permutexvar_epi8(spread, bytes);
	/* The look-up takes the lower six bits of each byte. */
	return _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(first_bits, bytes), _mm512_load_si512(alphabet));
}

/* Write the base64 text of len bytes. */
VBMI_TARGET static void
avx512_encode(char *out, const uint8_t *in, size_t len)
{
	size_t		groups;
	__m512i		text;

	for (; len > 48; len -= 48, in += 48, out += 64)
		_mm512_storeu_si512(out, encode_512(_mm512_maskz_loadu_epi8(BYTE_MASK(48), in)));
	if (len == 0)
		return;
	groups = (len + 2) / 3;
	text = encode_512(_mm512_maskz_loadu_epi8(BYTE_MASK(len), in));
	/* Of each group with a byte there is one character more than bytes, then padding. */
	text = _mm512_mask_mov_epi8(_mm512_set1_epi8('='), BYTE_MASK(len + groups), text);
	/* As few bytes as can be: what follows may be read next, and would wait for a masked write. */
	if (groups <= 4)
		_mm_mask_storeu_epi8(out, (__mmask16) BYTE_MASK(4 * groups), _mm512_castsi512_si128(text));
	else
		_mm512_mask_storeu_epi8(out, BYTE_MASK(4 * groups), text);
}

/* Of 64 characters, 48 bytes; whether all are of the alphabet is added to *unknown. */
VBMI_INLINE __m512i
decode_512(__m512i text, __m512i *unknown)
{
	const __m512i gather = _mm512_setr_epi32(0x06000102, 0x090a0405, 0x0c0d0e08, 0x16101112,
											 0x191a1415, 0x1c1d1e18, 0x26202122, 0x292a2425,
											 0x2c2d2e28, 0x36303132, 0x393a3435, 0x3c3d3e38,
											 0, 0, 0, 0);
	__m512i		v = _mm512_permutex2var_epi8(_mm512_load_si512(values), text, _mm512_load_si512(values + 64));

	/* The look-up takes the lower seven bits of a character; the highest one says that it has no value. */
	*unknown = _mm512_ternarylogic_epi32(*unknown, text, v, 0xfe);
	/* Join pairs of six bits, then pairs of twelve, then drop the empty bytes. */
	v = _mm512_maddubs_epi16(v, _mm512_set1_epi32(0x01400140));
	v = _mm512_madd_epi16(v, _mm512_set1_epi32(0x00011000));
	return _mm512_maskz_permutexvar_epi8(BYTE_MASK(48), gather, v);
}

/* Write n (at most 48) bytes; the first ones whole, as they are read next and would wait for a masked write. */
VBMI_INLINE void
store_bytes(uint8_t *out, __m512i v, size_t n)
{
	if (n < 32)
	{
		_mm512_mask_storeu_epi8(out, BYTE_MASK(n), v);
		return;
	}
	_mm256_storeu_si256((__m256i *) (void *) out, _mm512_castsi512_si256(v));
	if (n == 48)
		_mm_storeu_si128((__m128i *) (void *) (out + 32), _mm512_extracti32x4_epi32(v, 2));
	else
		_mm_mask_storeu_epi8(out + 32, (__mmask16) BYTE_MASK(n - 32), _mm512_extracti32x4_epi32(v, 2));
}

/* Decode canonical base64 text of len characters. */
VBMI_TARGET static pseudo_status
avx512_decode(uint8_t *out, size_t *out_len, const char *in, size_t len)
{
	uint8_t    *end = out;
	__m512i		unknown = _mm512_setzero_si512();
	__m512i		v;
	size_t		n;
	size_t		bytes;

	*out_len = 0;
	if (len == 0)
		return PSEUDO_OK;
	if (len % 4 != 0)
		return PSEUDO_MALFORMED;
	for (; len > 64; len -= 64, in += 64, end += 48)
		store_bytes(end, decode_512(_mm512_loadu_si512(in), &unknown), 48);

	/* The last characters, where no padding is; what they lack is zero. */
	n = len - (in[len - 1] == '=' ? in[len - 2] == '=' ? 2 : 1 : 0);
	v = decode_512(_mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), BYTE_MASK(n), in), &unknown);
	bytes = n * 6 / 8;
	/* Bits that make no whole byte. */
	if (_mm512_movepi8_mask(unknown) != 0 || _mm512_test_epi8_mask(v, v) >> bytes != 0)
		return PSEUDO_MALFORMED;
	store_bytes(end, v, bytes);
	*out_len = (size_t) (end - out) + bytes;
	return PSEUDO_OK;
}

const pseudo_base64_impl pseudo_base64_avx512 = {
	.name = "x86_64-avx512",
	.supported = cpu_has_avx512,
	.encode = avx512_encode,
	.decode = avx512_decode
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_base64_avx512_left_out;

#endif							/* PSEUDO_HAVE_X86 */
