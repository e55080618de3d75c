/*
 * siv_wide.h
 *		AES-GCM-SIV on vectors of one or more blocks: what works on several
 *		blocks of a long message, or on several short messages, at a time.
 *
 * Included by each implementation after it has defined
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

/* Vectors in flight, and the macro that repeats for each of a group of messages. */
#define GROUP_VECS	4
#define FOR_EACH_VEC(F, ...)	F(0, __VA_ARGS__) F(1, __VA_ARGS__) F(2, __VA_ARGS__) F(3, __VA_ARGS__)

/* The same for long inputs. */
#if LANES == 4
#define LONG_VECS	4
#define FOR_EACH_LATER(F)	F(1) F(2) F(3)
#else
#define LONG_VECS	8
#define FOR_EACH_LATER(F)	F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#endif
#define LONG_BLOCKS	(LONG_VECS * LANES)
#define LONG_CHUNK	(16 * LONG_BLOCKS)	/* bytes */
#define FOR_EACH_LONG(F)	F(0) FOR_EACH_LATER(F)

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
	block		round_keys[PSEUDO_MAX_ROUNDS + 1];
	block		h;				/* the authentication key */
	vec			powers[LONG_VECS];	/* of h, the highest first; from here on for long inputs only */
	block		sum;			/* of POLYVAL so far, between functions */
	block		counter;		/* the next one, between functions */
} siv_work;

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

/* ---- Long inputs ---- */

/* Compute the powers of the authentication key, the highest first. */
SIV_NOINLINE void
raise_powers(siv_work *work)
{
	uint8_t    *p = (uint8_t *) work->powers;
	vec			powers[LONG_VECS];
	vec			step = vec_repeat(work->h);

	/* The last vector ends in H; each one before is LANES powers higher. */
	powers[0] = step;
	vec_store(p, step);
	for (int i = LANES - 1; i > 0; i--)
	{
		store_block(p + 16 * i, make_block(1, UINT64_C(0xc200000000000000)));	/* x^128 */
		powers[0] = dot(powers[0], vec_load(p));
	}
	for (int i = 1; i < LANES; i *= 2)
		step = dot(step, step);
	for (int n = 1; n < LONG_VECS; n *= 2)
	{
		for (int i = 0; i < n; i++)
			powers[n + i] = dot(powers[i], step);
		if (2 * n < LONG_VECS)
			step = dot(step, step);
	}
	for (int i = 0; i < LONG_VECS; i++)
		vec_store(p + 16 * LANES * (LONG_VECS - 1 - i), powers[i]);
	wipe(powers, sizeof(powers));
}

/* Add the product of vector i, of LONG_VECS, to (low, middle, high). */
#define ADD_PRODUCT(i, v) \
	do { \
		vec			v_ = (v); \
		vec			h_ = vec_load(powers + 16 * LANES * (i)); \
		low = low ^ clmul_low(v_, h_); \
		middle = middle ^ clmul_cross(v_, h_); \
		high = high ^ clmul_high(v_, h_); \
	} while (0);

/* POLYVAL over len bytes, a multiple of LONG_CHUNK, continuing from work->sum. */
SIV_NOINLINE void
absorb_long(siv_work *work, const uint8_t *p, size_t len)
{
	const uint8_t *powers = (const uint8_t *) work->powers;
	block		sum = work->sum;

	for (; len > 0; len -= LONG_CHUNK, p += LONG_CHUNK)
	{
		vec			low = vec_repeat(make_block(0, 0));
		vec			middle = low;
		vec			high = low;

#define ADD(i) ADD_PRODUCT(i, vec_load(p + 16 * LANES * (i)))
		FOR_EACH_LATER(ADD)
#undef ADD
		ADD_PRODUCT(0, vec_load(p) ^ vec_extend(sum));
		sum = vec_fold(reduce(low, middle, high));
	}
	work->sum = sum;
}

/* Vectors b0, b1 and so on become the key stream of the counters from counters on. */
#define LONG_KEY_STREAM() \
	vec			k = vec_repeat(load_block(round_keys)); \
	vec			before; \
	FOR_EACH_LONG(LONG_FIRST_ROUND) \
	counters = add_counter(counters, LONG_BLOCKS); \
	FOR_EACH_ROUND(LONG_ROUND, rounds); \
	before = vec_repeat(load_block(round_keys + 16 * (rounds - 1))); \
	k = vec_repeat(load_block(round_keys + 16 * rounds)); \
	FOR_EACH_LONG(LONG_LAST_ROUND)
#define LONG_FIRST_ROUND(i) vec b##i = aes_first(add_counter(counters, LANES * i), k);
#define LONG_ROUND(r) \
	before = vec_repeat(load_block(round_keys + 16 * ((r) - 1))); \
	k = vec_repeat(load_block(round_keys + 16 * (r))); \
	FOR_EACH_LONG(LONG_ROUND_OF_ONE)
#define LONG_ROUND_OF_ONE(i) b##i = aes_round(b##i, before, k);
#define LONG_LAST_ROUND(i) b##i = aes_last(b##i, before, k);

/* Encrypt len bytes, a multiple of LONG_CHUNK, from work->counter on. */
SIV_NOINLINE void
encrypt_long(siv_work *work, const uint8_t *in, uint8_t *out, size_t len, int rounds)
{
	const uint8_t *round_keys = (const uint8_t *) work->round_keys;
	vec			counters = add32(vec_repeat(work->counter), LANE_NUMBERS);

	for (; len > 0; len -= LONG_CHUNK, in += LONG_CHUNK, out += LONG_CHUNK)
	{
		LONG_KEY_STREAM()
#define PUT(i) vec_store(out + 16 * LANES * i, b##i ^ vec_load(in + 16 * LANES * i));
		FOR_EACH_LONG(PUT)
#undef PUT
	}
	work->counter = vec_first(counters);
}

/*
 * Decrypt len bytes, a multiple of LONG_CHUNK, from work->counter on, and
 * run POLYVAL over the plaintext, continuing from work->sum.
 */
SIV_NOINLINE void
decrypt_long(siv_work *work, const uint8_t *in, uint8_t *out, size_t len, int rounds)
{
	const uint8_t *round_keys = (const uint8_t *) work->round_keys;
	const uint8_t *powers = (const uint8_t *) work->powers;
	vec			counters = add32(vec_repeat(work->counter), LANE_NUMBERS);
	block		sum = work->sum;

	for (; len > 0; len -= LONG_CHUNK, in += LONG_CHUNK, out += LONG_CHUNK)
	{
		vec			low = vec_repeat(make_block(0, 0));
		vec			middle = low;
		vec			high = low;

		LONG_KEY_STREAM()
#define PUT(i) \
		b##i = b##i ^ vec_load(in + 16 * LANES * i); \
		vec_store(out + 16 * LANES * i, b##i);
		FOR_EACH_LONG(PUT)
#undef PUT
#define ADD(i) ADD_PRODUCT(i, b##i)
		FOR_EACH_LATER(ADD)
#undef ADD
		ADD_PRODUCT(0, b0 ^ vec_extend(sum));
		sum = vec_fold(reduce(low, middle, high));
	}
	work->sum = sum;
	work->counter = vec_first(counters);
}

/* ---- Several short messages at a time ---- */

/* Messages in a group, and the most rows (blocks of AAD and text) each may have. */
#define GROUP			(GROUP_VECS * LANES)
#define GROUP_ROWS		16

/* A smaller group than this is no faster than one message at a time. */
#define GROUP_LEAST		(LANES + 2)

/*
 * All that is derived for a group.  Row r of something is its block number r of
 * each message, side by side: message m has lane m % LANES of vector m / LANES.
 */
typedef struct group_work
{
	vec			round_keys[PSEUDO_MAX_ROUNDS + 1][GROUP_VECS];
	vec			nonces[GROUP_VECS];
	vec			h[GROUP_VECS];
	vec			state[GROUP_VECS];	/* POLYVAL's sum, then the tag */
	vec			counters[GROUP_VECS];
	vec			rows[GROUP_ROWS + 1][GROUP_VECS];	/* POLYVAL's input */
	vec			stream[GROUP_ROWS + 1][GROUP_VECS];	/* the key stream */
} group_work;

/* The messages of a group. */
typedef struct group
{
	pseudo_siv_item *item[GROUP];
	size_t		text_len[GROUP];
	size_t		n;				/* messages, at most GROUP */
	size_t		rows;			/* blocks of AAD and text of the longest */
	size_t		text_rows;
	size_t		used_rows;		/* by the groups so far, with that of the lengths */
	const uint8_t *aad;
	size_t		aad_len;
} group;

/* Where the block of message m is in a row. */
SIV_INLINE uint8_t *
lane(vec *row, size_t m)
{
	return (uint8_t *) row + 16 * m;
}

/* Clear n vectors; not by memset, which for a few hundred bytes the compiler makes slow. */
SIV_INLINE void
clear_vecs(vec *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = vec_repeat(make_block(0, 0));
	__asm__ volatile("" : : "r" (v) : "memory");
}

/* The row in which the text of message m starts. */
SIV_INLINE size_t
text_row(const group *g, size_t m)
{
	return g->rows - blocks_of(g->text_len[m]);
}

/*
 * Lay out POLYVAL's input but for the text.  All messages end in the same row, that of
 * the lengths: shorter ones start later, after zeros, which leave POLYVAL's sum zero.
 */
SIV_INLINE void
stage_group(group_work *work, const group *g)
{
	size_t		aad_rows = blocks_of(g->aad_len);

	clear_vecs(work->rows[0], GROUP_VECS * (g->rows + 1));
	clear_vecs(work->nonces, GROUP_VECS);
	for (size_t m = 0; m < g->n; m++)
	{
		size_t		row = text_row(g, m) - aad_rows;
		size_t		done = 0;

		store_block(lane(work->nonces, m), load_nonce(g->item[m]->nonce));
		for (; g->aad_len - done >= 16; done += 16)
			store_block(lane(work->rows[row++], m), load_block(g->aad + done));
		if (g->aad_len > done)
			store_block(lane(work->rows[row], m), load_partial(g->aad + done, g->aad_len - done));
		store_block(lane(work->rows[g->rows], m), length_block(g->aad_len, g->text_len[m]));
	}
}

/* Lay out the plaintext of message m, read from memory that ends with it. */
SIV_INLINE void
stage_text(group_work *work, const group *g, size_t m)
{
	const uint8_t *in = g->item[m]->in;
	size_t		len = g->text_len[m];
	size_t		row = text_row(g, m);

	for (; len >= 16; len -= 16, in += 16)
		store_block(lane(work->rows[row++], m), load_block(in));
	if (len > 0)
		store_block(lane(work->rows[row], m), load_partial(in, len));
}

/* Derive all message keys; the encryption keys are the first round keys. */
SIV_INLINE void
derive_group(group_work *work, const pseudo_siv_key *key, const int rounds)
{
	for (int i = 0; i < GROUP_VECS; i++)
		derive_keys(key, work->nonces[i], &work->h[i], &work->round_keys[0][i],
					&work->round_keys[1][i], rounds);
}

/* POLYVAL over all rows, then what AES makes the tag of, to work->state. */
SIV_INLINE void
absorb_group(group_work *work, size_t rows)
{
	vec			s0 = vec_repeat(make_block(0, 0));
	vec			s1 = s0;
	vec			s2 = s0;
	vec			s3 = s0;

	for (size_t r = 0; r <= rows; r++)
	{
#define ABSORB(i, row) s##i = dot(s##i ^ (row)[i], work->h[i]);
		FOR_EACH_VEC(ABSORB, work->rows[r])
#undef ABSORB
	}
#define FINISH(i, nonces) work->state[i] = tag_input(s##i, (nonces)[i]);
	FOR_EACH_VEC(FINISH, work->nonces)
#undef FINISH
}

/* Expand all message encryption keys, and encrypt one block under each on the way. */
SIV_INLINE void
expand_group(group_work *work, vec *blocks, const int rounds)
{
	vec			(*keys)[GROUP_VECS] = work->round_keys;
	vec			a0 = keys[0][0], a1 = keys[0][1], a2 = keys[0][2], a3 = keys[0][3];
	vec			s0 = aes_first(blocks[0], a0), s1 = aes_first(blocks[1], a1);
	vec			s2 = aes_first(blocks[2], a2), s3 = aes_first(blocks[3], a3);
	vec			rcon = FIRST_RCON;

#define STORE(x, i, r)	keys[r][i] = x##i
	if (rounds == 14)
	{
		vec			b0 = keys[1][0], b1 = keys[1][1], b2 = keys[1][2], b3 = keys[1][3];

#define FIRST(i, unused)	s##i = aes_round(s##i, a##i, b##i);
#define EVEN(i, r)			a##i = NEXT_EVEN(a##i, b##i, rcon); STORE(a, i, r); s##i = aes_round(s##i, b##i, a##i);
#define ODD(i, r)			b##i = NEXT_ODD(a##i, b##i); STORE(b, i, r); s##i = aes_round(s##i, a##i, b##i);
#define LAST(i, r)			a##i = NEXT_EVEN(a##i, b##i, rcon); STORE(a, i, r); s##i = aes_last(s##i, b##i, a##i);
		FOR_EACH_VEC(FIRST, )
		FOR_EACH_VEC(EVEN, 2) FOR_EACH_VEC(ODD, 3) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(EVEN, 4) FOR_EACH_VEC(ODD, 5) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(EVEN, 6) FOR_EACH_VEC(ODD, 7) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(EVEN, 8) FOR_EACH_VEC(ODD, 9) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(EVEN, 10) FOR_EACH_VEC(ODD, 11) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(EVEN, 12) FOR_EACH_VEC(ODD, 13) rcon = NEXT_RCON(rcon);
		FOR_EACH_VEC(LAST, 14)
#undef FIRST
#undef EVEN
#undef ODD
#undef LAST
	}
	else
	{
#define NEXT(i, r)	a##i = NEXT_128(a##i, rcon); STORE(a, i, r); s##i = aes_round(s##i, keys[(r) - 1][i], a##i);
#define LAST(i, r)	a##i = NEXT_128(a##i, rcon); STORE(a, i, r); s##i = aes_last(s##i, keys[(r) - 1][i], a##i);
#define ALL(r)		FOR_EACH_VEC(NEXT, r) rcon = NEXT_RCON(rcon);
		ALL(1) ALL(2) ALL(3) ALL(4) ALL(5) ALL(6) ALL(7) ALL(8)
		rcon = NINTH_RCON;
		ALL(9)
		FOR_EACH_VEC(LAST, 10)
#undef ALL
#undef NEXT
#undef LAST
	}
#undef STORE
	blocks[0] = s0;
	blocks[1] = s1;
	blocks[2] = s2;
	blocks[3] = s3;
}

/* Encrypt one block under each message encryption key. */
SIV_INLINE void
encrypt_group(group_work *work, vec *blocks, const int rounds)
{
	vec			(*keys)[GROUP_VECS] = work->round_keys;
	vec			s0 = aes_first(blocks[0], keys[0][0]), s1 = aes_first(blocks[1], keys[0][1]);
	vec			s2 = aes_first(blocks[2], keys[0][2]), s3 = aes_first(blocks[3], keys[0][3]);

#define STEP(i, r)	s##i = aes_round(s##i, keys[(r) - 1][i], keys[r][i]);
#define LAST(i, r)	blocks[i] = aes_last(s##i, keys[(r) - 1][i], keys[r][i]);
	for (int r = 1; r < rounds; r++)
	{
		FOR_EACH_VEC(STEP, r)
	}
	FOR_EACH_VEC(LAST, rounds)
#undef STEP
#undef LAST
}

/* Make rows first to last of the key stream, two at a time, and maybe one more. */
SIV_INLINE void
stream_group(group_work *work, size_t first, size_t last, const int rounds)
{
	vec			(*keys)[GROUP_VECS] = work->round_keys;

	for (size_t row = first; row < last; row += 2)
	{
#define START(i, c)	\
		vec			s##i = aes_first(add_counter((c)[i], (uint32_t) row), keys[0][i]); \
		vec			t##i = aes_first(add_counter((c)[i], (uint32_t) row + 1), keys[0][i]);
#define STEP(i, r)	s##i = aes_round(s##i, keys[(r) - 1][i], keys[r][i]); t##i = aes_round(t##i, keys[(r) - 1][i], keys[r][i]);
#define LAST(i, r) \
		work->stream[row][i] = aes_last(s##i, keys[(r) - 1][i], keys[r][i]); \
		work->stream[row + 1][i] = aes_last(t##i, keys[(r) - 1][i], keys[r][i]);
		FOR_EACH_VEC(START, work->counters)
		for (int r = 1; r < rounds; r++)
		{
			FOR_EACH_VEC(STEP, r)
		}
		FOR_EACH_VEC(LAST, rounds)
#undef START
#undef STEP
#undef LAST
	}
}

/* Seal a group. */
SIV_INLINE void
seal_group(group_work *work, const pseudo_siv_key *key, const group *g, const int rounds)
{
	stage_group(work, g);
	for (size_t m = 0; m < g->n; m++)
		stage_text(work, g, m);
	derive_group(work, key, rounds);
	absorb_group(work, g->rows);
	expand_group(work, work->state, rounds);
	for (int i = 0; i < GROUP_VECS; i++)
		work->counters[i] = first_counter(work->state[i]);
	stream_group(work, 0, g->text_rows, rounds);
	for (size_t m = 0; m < g->n; m++)
	{
		uint8_t    *out = g->item[m]->out;
		size_t		row = text_row(g, m);
		size_t		blocks = g->rows - row;

		/* The last block may reach into the room of the tag, which follows. */
		for (size_t i = 0; i < blocks; i++)
			store_block(out + 16 * i, load_block(lane(work->stream[i], m)) ^
						load_block(lane(work->rows[row + i], m)));
		store_block(out + g->text_len[m], load_block(lane(work->state, m)));
		g->item[m]->status = PSEUDO_OK;
	}
}

/* Write the plaintext of message m where it is authentic, else zeros. */
SIV_INLINE void
finish_open(group_work *work, const group *g, size_t m)
{
	uint8_t    *out = g->item[m]->out;
	const uint8_t *in = g->item[m]->in;
	size_t		len = g->text_len[m];
	size_t		row = text_row(g, m);
	block		difference = load_block(in + len) ^ load_block(lane(work->state, m));

	/* All sixteen bytes are compared at once, so time tells nothing. */
	if ((low_half(difference) | high_half(difference)) != 0)
	{
		wipe(out, len);
		g->item[m]->status = PSEUDO_NOT_AUTHENTIC;
		return;
	}
	for (; len >= 16; len -= 16, out += 16)
		store_block(out, load_block(lane(work->rows[row++], m)));
	if (len > 0)
		store_partial(out, load_block(lane(work->rows[row], m)), len);
	g->item[m]->status = PSEUDO_OK;
}

/* Open a group. */
SIV_INLINE void
open_group(group_work *work, const pseudo_siv_key *key, const group *g, const int rounds)
{
	stage_group(work, g);
	clear_vecs(work->counters, GROUP_VECS);
	for (size_t m = 0; m < g->n; m++)
		store_block(lane(work->counters, m), load_block(g->item[m]->in + g->text_len[m]));
	derive_group(work, key, rounds);
	for (int i = 0; i < GROUP_VECS; i++)
		work->stream[0][i] = work->counters[i] = first_counter(work->counters[i]);
	expand_group(work, work->stream[0], rounds);
	stream_group(work, 1, g->text_rows, rounds);
	for (size_t m = 0; m < g->n; m++)
	{
		const uint8_t *in = g->item[m]->in;
		size_t		len = g->text_len[m];
		size_t		row = text_row(g, m);

		/* The last block may be read with some of the tag, which follows. */
		for (size_t i = 0; 16 * i < len; i++)
		{
			block		b = load_block(lane(work->stream[i], m)) ^ load_block(in + 16 * i);

			if (len - 16 * i < 16)
				b = keep_bytes(b, len - 16 * i);
			store_block(lane(work->rows[row + i], m), b);
		}
	}
	absorb_group(work, g->rows);
	encrypt_group(work, work->state, rounds);
	for (size_t m = 0; m < g->n; m++)
		finish_open(work, g, m);
}

/* The four kinds of group. */
SIV_NOINLINE void
seal_group_128(group_work *work, const pseudo_siv_key *key, const group *g)
{
	seal_group(work, key, g, 10);
}

SIV_NOINLINE void
seal_group_256(group_work *work, const pseudo_siv_key *key, const group *g)
{
	seal_group(work, key, g, 14);
}

SIV_NOINLINE void
open_group_128(group_work *work, const pseudo_siv_key *key, const group *g)
{
	open_group(work, key, g, 10);
}

SIV_NOINLINE void
open_group_256(group_work *work, const pseudo_siv_key *key, const group *g)
{
	open_group(work, key, g, 14);
}

/* One message alone, as the public functions do it. */
static void
single_message(const pseudo_siv_key *key, const group *g, pseudo_siv_item *item, bool seal)
{
	item->status = seal ?
		pseudo_siv_seal(key, item->nonce, g->aad, g->aad_len, item->in, item->in_len, item->out) :
		pseudo_siv_open(key, item->nonce, g->aad, g->aad_len, item->in, item->in_len, item->out);
}

/* Do the messages of a group, and empty it. */
SIV_INLINE void
flush_group(group_work *work, const pseudo_siv_key *key, group *g, bool seal)
{
	if (g->n < GROUP_LEAST)
	{
		for (size_t m = 0; m < g->n; m++)
			single_message(key, g, g->item[m], seal);
	}
	else
	{
		if (seal)
			(key->key_len == 32 ? seal_group_256 : seal_group_128) (work, key, g);
		else
			(key->key_len == 32 ? open_group_256 : open_group_128) (work, key, g);
		if (g->rows >= g->used_rows)
			g->used_rows = g->rows + 1;
	}
	g->n = g->rows = g->text_rows = 0;
}

/* Seal or open n messages: groups of short ones, long ones alone. */
SIV_INLINE void
do_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
		 pseudo_siv_item *items, size_t n, bool seal)
{
	group_work	work;
	group		g = {.aad = aad, .aad_len = aad_len};
	size_t		tag_len = seal ? 0 : PSEUDO_TAG_LEN;
	size_t		room = aad_len > 16 * GROUP_ROWS ? 0 : GROUP_ROWS - blocks_of(aad_len);

	for (size_t i = 0; i < n; i++)
	{
		size_t		len = items[i].in_len - tag_len;
		size_t		blocks;

		if (items[i].in_len < tag_len || len > 16 * room || aad_len > 16 * GROUP_ROWS)
		{
			single_message(key, &g, &items[i], seal);
			continue;
		}
		blocks = blocks_of(len);
		g.item[g.n] = &items[i];
		g.text_len[g.n++] = len;
		if (blocks > g.text_rows)
			g.text_rows = blocks;
		g.rows = g.text_rows + blocks_of(aad_len);
		if (g.n == GROUP)
			flush_group(&work, key, &g, seal);
	}
	flush_group(&work, key, &g, seal);
	if (g.used_rows > 0)
	{
		clear_vecs(work.round_keys[0], offsetof(group_work, rows) / sizeof(vec));
		clear_vecs(work.rows[0], GROUP_VECS * g.used_rows);
		clear_vecs(work.stream[0], GROUP_VECS * g.used_rows);
		pseudo_burn_stack();
	}
	CLEAR_REGISTERS();
}

/* Seal n messages under one key and AAD, see pseudo_siv_seal_batch. */
SIV_TARGET static void
seal_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
		   pseudo_siv_item *items, size_t n)
{
	do_batch(key, aad, aad_len, items, n, true);
}

/* Open n messages under one key and AAD, see pseudo_siv_open_batch. */
SIV_TARGET static void
open_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
		   pseudo_siv_item *items, size_t n)
{
	do_batch(key, aad, aad_len, items, n, false);
}
