/*
 * siv_block.h
 *		AES-GCM-SIV on vectors of one or more blocks, first part: blocks, POLYVAL, the key
 *		schedule and the derivation of keys, which the other parts share.
 *
 * Included by each implementation, before siv_long.h, siv_single.h and siv_batch.h, after it has defined
 *
 *	block		16 bytes: load_block, store_block, make_block, low_half, high_half
 *	vec			LANES blocks; with one lane it is a block, and the next five lines are here
 *	vec_load, vec_store			LANES blocks in memory, at any address
 *	vec_repeat, vec_extend		a block in all lanes; in the first one, zeros in others
 *	vec_first, vec_fold			the block in the first lane; the lanes' exclusive or
 *	vec_next, vec_halves		each lane moved down by one; the low halves of lanes 2i and 2i + 1, in all lanes
 *	LANE_NUMBERS				in word 0 of each lane
 *	aes_first, aes_round, aes_last	AES with round keys 0, r, and the last; the latter two take
 *				the round key before, too: on ARM its addition belongs to the round
 *	sub_bytes	SubBytes of a vector of equal columns, and an exclusive or
 *	clmul_low, clmul_high		products of the low halves, of the high halves,
 *	clmul_cross					and the sum of the other two
 *	swap_halves, low_halves		of one vector; (low of a, low of b)
 *	add32						sums of 32-bit words
 *	shift_1_word, shift_2_words		towards the high end, zeros shifted in
 *	last_word, last_word_rotated	word 3 in all words; the same, rotated by RotWord
 *
 * and the operators ^ & | on both types; with HAVE_MASKS, where memory is read and
 * written under a mask of bytes, also load_partial, store_partial and keep_bytes of a block, and
 * what siv_single.h has for texts: load_before_tag, xor_before_tag, store_text and keep_text.
 */

#if LANES == 1
typedef block vec;
#define vec_load(p)			load_block(p)
#define vec_store(p, v)		store_block(p, v)
#define vec_repeat(b)		(b)
#define vec_extend(b)		(b)
#define vec_fold(v)			(v)
#define vec_first(v)		(v)
#define vec_next(v)			(v)
#define LANE_NUMBERS		make_block(0, 0)
#endif

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

/* ---- Blocks ---- */

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

/* Read the 12 bytes of a nonce, and zeros. */
SIV_INLINE block
load_nonce(const uint8_t *p)
{
	return make_block(load64(p), load32(p + 8));
}

#ifndef HAVE_MASKS

/* Read len (1 to 15) bytes at p, and no more, as a block padded with zeros. */
SIV_INLINE block
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
	return make_block(low, high);
}

/* Write the first len (1 to 15) bytes of the block v to p. */
SIV_INLINE void
store_partial(uint8_t *p, block v, size_t len)
{
	uint64_t	low = low_half(v);

	if (len >= 8)
	{
		unsigned	shift = (unsigned) (8 * (15 - len));
		uint64_t	last = low >> (56 - shift) | high_half(v) << shift << 8;

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

/* As many bytes set as a vector has, and clear: loaded at 16 * LANES - n, the mask of n bytes. */
static const uint8_t byte_mask[32 * LANES] = {
#define SET	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
	SET,
#if LANES == 2
	SET
#endif
#undef SET
};

/* Clear all but the first len (0 to 16) bytes of the block v. */
SIV_INLINE block
keep_bytes(block v, size_t len)
{
	return v & load_block(byte_mask + 16 * LANES - len);
}

#endif							/* HAVE_MASKS */

/* The last block of POLYVAL's input: both lengths in bits. */
SIV_INLINE block
length_block(size_t aad_len, size_t text_len)
{
	return make_block((uint64_t) aad_len * 8, (uint64_t) text_len * 8);
}

/* Number of blocks that len bytes are, the last one padded. */
SIV_INLINE size_t
blocks_of(size_t len)
{
	return (len + 15) / 16;
}

/* ---- POLYVAL, RFC 8452 section 3 ---- */

/*
 * Reduce a product of 256 bits, low + middle * x^64 + high * x^128, times
 * x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1: twice, the lowest 64 bits
 * are folded 128 bits up.
 */
SIV_INLINE vec
reduce(vec low, vec middle, vec high)
{
	const vec	poly = vec_repeat(make_block(UINT64_C(0xc200000000000000), 0));

	middle = middle ^ swap_halves(low) ^ clmul_low(low, poly);
	return high ^ swap_halves(middle) ^ clmul_low(middle, poly);
}

/* dot(a, b) of RFC 8452 section 3, in each lane. */
SIV_INLINE vec
dot(vec a, vec b)
{
	return reduce(clmul_low(a, b), clmul_cross(a, b), clmul_high(a, b));
}

/* What AES encrypts to make the tag, of POLYVAL's sum and the nonce. */
SIV_INLINE vec
tag_input(vec sum, vec nonce)
{
	const vec	clear_top = vec_repeat(make_block(UINT64_MAX, INT64_MAX));

	return (sum ^ nonce) & clear_top;
}

/* The first counter block, made of the tag. */
SIV_INLINE vec
first_counter(vec tag)
{
	return tag | vec_repeat(make_block(0, UINT64_C(1) << 63));
}

/* The counter block n further on: word 0 counts, and wraps around. */
SIV_INLINE vec
add_counter(vec counter, uint32_t n)
{
	return add32(counter, vec_repeat(make_block(n, 0)));
}

/* ---- The key schedule, FIPS 197 section 5.2 ---- */

/* Each word of v becomes the exclusive or of itself and the words below it. */
SIV_INLINE vec
prefix_xor(vec v)
{
	v = v ^ shift_1_word(v);
	return v ^ shift_2_words(v);
}

/*
 * SubWord(RotWord(last word of v)) xor rcon, in every word.  The instructions for
 * the last round do SubBytes and ShiftRows; with four equal columns ShiftRows
 * changes nothing.
 */
#define rotate_and_substitute(v, rcon)	sub_bytes(last_word_rotated(v), rcon)

/* SubWord of each word, where all are the same. */
#define substitute(v)	sub_bytes(v, vec_repeat(make_block(0, 0)))

/* The round constants, in every word: the first one, the next one, and the one that begins anew. */
#define FIRST_RCON		vec_repeat(make_block(UINT64_C(0x100000001), UINT64_C(0x100000001)))
#define NEXT_RCON(rcon)	add32(rcon, rcon)
#define NINTH_RCON		vec_repeat(make_block(UINT64_C(0x1b0000001b), UINT64_C(0x1b0000001b)))

/* The next round key of AES-128 after k. */
#define NEXT_128(k, rcon)	(prefix_xor(k) ^ rotate_and_substitute(k, rcon))

/* The next round key of AES-256 of even number after a, b; and of odd number, the new a known. */
#define NEXT_EVEN(a, b, rcon)	(prefix_xor(a) ^ rotate_and_substitute(b, rcon))
#define NEXT_ODD(a, b)			(prefix_xor(b) ^ substitute(last_word(a)))

/* ---- Derive keys, RFC 8452 section 4 ---- */

/*
 * Derive the message keys for a nonce in each lane (12 bytes, zeros): the
 * authentication key to *h, the encryption key to *a and, of 14 rounds, *b.
 */
SIV_INLINE void
derive_keys(const pseudo_siv_key *key, vec nonce, vec *h, vec *a, vec *b, const int rounds)
{
	const uint8_t *round_keys = key->round_keys;
	vec			b0 = shift_1_word(nonce);
	vec			b1 = add_counter(b0, 1);
	vec			b2 = add_counter(b0, 2);
	vec			b3 = add_counter(b0, 3);
	vec			b4 = add_counter(b0, 4);
	vec			b5 = add_counter(b0, 5);
	vec			before;
	vec			k;

	FROM_MEMORY();
	k = vec_repeat(load_block(round_keys));
	b0 = aes_first(b0, k);
	b1 = aes_first(b1, k);
	b2 = aes_first(b2, k);
	b3 = aes_first(b3, k);
	b4 = aes_first(b4, k);
	b5 = aes_first(b5, k);
#define ROUND(r) \
	FROM_MEMORY(); \
	before = vec_repeat(load_block(round_keys + 16 * ((r) - 1))); \
	k = vec_repeat(load_block(round_keys + 16 * (r))); \
	b0 = aes_round(b0, before, k); \
	b1 = aes_round(b1, before, k); \
	b2 = aes_round(b2, before, k); \
	b3 = aes_round(b3, before, k); \
	if (rounds == 14) \
	{ \
		b4 = aes_round(b4, before, k); \
		b5 = aes_round(b5, before, k); \
	}
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	before = vec_repeat(load_block(round_keys + 16 * (rounds - 1)));
	k = vec_repeat(load_block(round_keys + 16 * rounds));
	*h = low_halves(aes_last(b0, before, k), aes_last(b1, before, k));
	*a = low_halves(aes_last(b2, before, k), aes_last(b3, before, k));
	*b = rounds == 14 ? low_halves(aes_last(b4, before, k), aes_last(b5, before, k)) : *a;
}

/* Clear n vectors; not by memset, which for a few hundred bytes the compiler makes slow. */
SIV_INLINE void
clear_vecs(vec *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = vec_repeat(make_block(0, 0));
	__asm__ volatile("" : : "r" (v) : "memory");
}
