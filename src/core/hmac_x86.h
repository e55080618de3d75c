/*
 * hmac_x86.h
 *		The operations of hmac_body.h that the implementations for x86_64 share.
 *		Included by each of them, after SHA_TARGET is defined.
 */
#include <immintrin.h>

#define SHA_INLINE	static inline __attribute__((always_inline)) SHA_TARGET

typedef __m128i words;

/* The words a, b, e, f and c, d, g, h of the chaining value, the first ones highest. */
typedef struct sha_state
{
	words		abef;
	words		cdgh;
} sha_state;

#define make_words(a, b, c, d)	_mm_setr_epi32((int) (a), (int) (b), (int) (c), (int) (d))
#define add_words(a, b)			_mm_add_epi32(a, b)
#define or_words(a, b)			_mm_or_si128(a, b)
#define xor_words(a, b)			_mm_xor_si128(a, b)
#define repeat_byte(b)			_mm_set1_epi8(b)
#define swap_bytes(v)			_mm_shuffle_epi8(v, _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))

/* Two words of a and two of b, by number. */
#define SHUFFLE(a, b, i, j, k, l) \
	_mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(l, k, j, i)))

/* Read 16 bytes. */
SHA_INLINE words
load_words(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *) (const void *) p);
}

/* Write 16 bytes. */
SHA_INLINE void
store_words(uint8_t *p, words v)
{
	_mm_storeu_si128((__m128i *) (void *) p, v);
}

/* Read a chaining value of eight words. */
SHA_INLINE sha_state
load_state(const uint32_t *h)
{
	words		abcd = load_words((const uint8_t *) h);
	words		efgh = load_words((const uint8_t *) (h + 4));
	sha_state	s = {SHUFFLE(efgh, abcd, 1, 0, 1, 0), SHUFFLE(efgh, abcd, 3, 2, 3, 2)};

	return s;
}

/* The chaining value as words a to d and e to h. */
SHA_INLINE void
state_words(sha_state s, words *abcd, words *efgh)
{
	*abcd = SHUFFLE(s.abef, s.cdgh, 3, 2, 3, 2);
	*efgh = SHUFFLE(s.abef, s.cdgh, 1, 0, 1, 0);
}

/* Add one chaining value to another. */
SHA_INLINE void
add_states(sha_state *s, sha_state more)
{
	s->abef = add_words(s->abef, more.abef);
	s->cdgh = add_words(s->cdgh, more.cdgh);
}

/* Four rounds; after two of them, what was abef is cdgh. */
SHA_INLINE void
four_rounds(sha_state *s, words wk)
{
	s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
	s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* The message schedule: words 16 to 19 after a (0 to 3) to d (12 to 15). */
SHA_INLINE words
next_words(words a, words b, words c, words d)
{
	return _mm_sha256msg2_epu32(add_words(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)), d);
}
