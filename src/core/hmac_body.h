/*
 * hmac_body.h
 *		HMAC-SHA256 by SHA instructions.  Included by each implementation after it
 *		has defined, on vectors of four 32-bit words (the first one lowest),
 *
 *	words					the vector
 *	load_words, store_words		16 bytes in memory as they are
 *	swap_bytes				from and to big-endian words
 *	make_words				of four words
 *	add_words, xor_words, repeat_byte	sums; exclusive or; a byte in all places
 *	sha_state				the chaining value, as the instructions want it
 *	load_state, add_states, state_words		from and to eight words; sums
 *	four_rounds				four rounds with the words w + k
 *	next_words				the next four words of the message schedule after 16
 *
 * and, with HAVE_MASKS, load_block.
 */

/* The round constants, FIPS 180-4 section 4.2.2. */
static const _Alignas(16) uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

/* The chaining value before the first block, section 5.3.3. */
static const uint32_t first_chain[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

/* 0x80 after 16 zeros and before as many: loaded at 16 - n, the padding of n bytes. */
static const uint8_t padding[32] = {[16] = 0x80};

/* Sixteen groups of four rounds; each but the last four makes the words of the fourth after it. */
#define FOR_EACH_ROUND_GROUP(F) \
	F(0, 0, 1, 2, 3) F(1, 1, 2, 3, 0) F(2, 2, 3, 0, 1) F(3, 3, 0, 1, 2) \
	F(4, 0, 1, 2, 3) F(5, 1, 2, 3, 0) F(6, 2, 3, 0, 1) F(7, 3, 0, 1, 2) \
	F(8, 0, 1, 2, 3) F(9, 1, 2, 3, 0) F(10, 2, 3, 0, 1) F(11, 3, 0, 1, 2) \
	F(12, 0, 1, 2, 3) F(13, 1, 2, 3, 0) F(14, 2, 3, 0, 1) F(15, 3, 0, 1, 2)

/* Hash one block, the words w0 to w3, into a state. */
SHA_INLINE void
hash_block(sha_state *state, words w0, words w1, words w2, words w3)
{
	sha_state	s = *state;
	const uint32_t *k = round_constants;

	/* Read where they are added: kept from block to block, they would take all registers. */
	__asm__ volatile("" : "+r" (k));
#define GROUP(i, a, b, c, d) \
	four_rounds(&s, add_words(w##a, load_words((const uint8_t *) (k + 4 * (i))))); \
	if ((i) < 12) \
		w##a = next_words(w##a, w##b, w##c, w##d);
	FOR_EACH_ROUND_GROUP(GROUP)
#undef GROUP
	add_states(state, s);
}

#ifndef HAVE_MASKS

/* Read len (1 to 15) bytes at p, and no more, padded with zeros. */
SHA_INLINE words
load_part(const uint8_t *p, size_t len)
{
	uint64_t	low = 0;
	uint64_t	high = 0;

	if (len >= 8)
	{
		memcpy(&low, p, 8);
		memcpy(&high, p + len - 8, 8);
		/* The last 8 bytes overlap the first 8; two shifts, as 64 at once is undefined. */
		high = high >> (8 * (15 - len)) >> 8;
	}
	else if (len >= 4)
	{
		uint32_t	first;
		uint32_t	last;

		memcpy(&first, p, 4);
		memcpy(&last, p + len - 4, 4);
		low = first | (uint64_t) last << (8 * (len - 4));
	}
	else
		low = p[0] | (uint64_t) p[len / 2] << (8 * (len / 2)) |
			(uint64_t) p[len - 1] << (8 * (len - 1));
	return make_words((uint32_t) low, (uint32_t) (low >> 32),
					  (uint32_t) high, (uint32_t) (high >> 32));
}

/* Sixteen bytes, of which n (less than 1: none) are left: then 0x80 (negative: none), zeros. */
SHA_INLINE words
load_padded(const uint8_t *p, ptrdiff_t n)
{
	if (n >= 16)
		return swap_bytes(load_words(p));
	if (n > 0)
		return swap_bytes(or_words(load_part(p, (size_t) n), load_words(padding + 16 - n)));
	return n == 0 ? make_words(0x80000000, 0, 0, 0) : make_words(0, 0, 0, 0);
}

/* A block, of which n bytes (64 or more: all, less than 1: none) are left. */
SHA_INLINE void
load_block(words *w, const uint8_t *p, ptrdiff_t n)
{
	w[0] = load_padded(p, n);
	w[1] = load_padded(p + 16, n - 16);
	w[2] = load_padded(p + 32, n - 32);
	w[3] = load_padded(p + 48, n - 48);
}

#endif							/* HAVE_MASKS */

/* The last words of the last block: the number of bits, one block of key included. */
SHA_INLINE words
length_words(words w3, size_t len)
{
	uint64_t	bits = (uint64_t) (PSEUDO_SHA256_BLOCK + len) * 8;

	return or_words(w3, make_words(0, 0, (uint32_t) (bits >> 32), (uint32_t) bits));
}

/* From the inner hash to the HMAC. */
SHA_INLINE void
outer_hash(uint8_t *digest, const uint32_t *outer, sha_state inner)
{
	sha_state	s = load_state(outer);
	words		w0;
	words		w1;

	state_words(inner, &w0, &w1);
	hash_block(&s, w0, w1, make_words(0x80000000, 0, 0, 0),
			   make_words(0, 0, 0, 8 * (PSEUDO_SHA256_BLOCK + PSEUDO_SHA256_LEN)));
	state_words(s, &w0, &w1);
	store_words(digest, swap_bytes(w0));
	store_words(digest + 16, swap_bytes(w1));
}

/* HMAC-SHA256 of one message. */
SHA_TARGET static void
hmac_one(uint8_t *digest, const uint32_t *inner, const uint32_t *outer,
		 const uint8_t *message, size_t len)
{
	sha_state	s = load_state(inner);
	ptrdiff_t	left = (ptrdiff_t) len;
	words		w[4];

	for (; left >= PSEUDO_SHA256_BLOCK; left -= PSEUDO_SHA256_BLOCK, message += PSEUDO_SHA256_BLOCK)
		hash_block(&s, swap_bytes(load_words(message)), swap_bytes(load_words(message + 16)),
				   swap_bytes(load_words(message + 32)), swap_bytes(load_words(message + 48)));
	load_block(w, message, left);
	if (left <= PSEUDO_HMAC_SHORT)
		w[3] = length_words(w[3], len);
	hash_block(&s, w[0], w[1], w[2], w[3]);
	if (left > PSEUDO_HMAC_SHORT)
	{
		const words zero = make_words(0, 0, 0, 0);

		hash_block(&s, zero, zero, zero, length_words(zero, len));
	}
	outer_hash(digest, outer, s);
}

/* Hash a block into each of two or four states, side by side, as one alone waits for results. */
#define ROUNDS(m, i, a) \
	four_rounds(&s##m, add_words(w[m][a], load_words((const uint8_t *) (round_constants + 4 * (i)))));
#define NEXT(m, a, b, c, d) \
	w[m][a] = next_words(w[m][a], w[m][b], w[m][c], w[m][d]);

SHA_INLINE void
hash_two_blocks(sha_state *states, words (*w)[4])
{
	sha_state	s0 = states[0];
	sha_state	s1 = states[1];

#define GROUP(i, a, b, c, d) \
	ROUNDS(0, i, a) ROUNDS(1, i, a) \
	if ((i) < 12) \
	{ \
		NEXT(0, a, b, c, d) NEXT(1, a, b, c, d) \
	}
	FOR_EACH_ROUND_GROUP(GROUP)
#undef GROUP
	add_states(&states[0], s0);
	add_states(&states[1], s1);
}

SHA_INLINE void
hash_four_blocks(sha_state *states, words (*w)[4])
{
	sha_state	s0 = states[0];
	sha_state	s1 = states[1];
	sha_state	s2 = states[2];
	sha_state	s3 = states[3];

#define GROUP(i, a, b, c, d) \
	ROUNDS(0, i, a) ROUNDS(1, i, a) ROUNDS(2, i, a) ROUNDS(3, i, a) \
	if ((i) < 12) \
	{ \
		NEXT(0, a, b, c, d) NEXT(1, a, b, c, d) NEXT(2, a, b, c, d) NEXT(3, a, b, c, d) \
	}
	FOR_EACH_ROUND_GROUP(GROUP)
#undef GROUP
	add_states(&states[0], s0);
	add_states(&states[1], s1);
	add_states(&states[2], s2);
	add_states(&states[3], s3);
}

#undef ROUNDS
#undef NEXT

/* The chaining values of a key, padded with zeros to a block. */
SHA_TARGET static void
hmac_key(uint32_t *inner, uint32_t *outer, const uint8_t *padded_key)
{
	sha_state	states[2];
	words		w[2][4];
	uint32_t   *chains[2] = {inner, outer};

	for (int i = 0; i < 4; i++)
	{
		words		k = swap_bytes(load_words(padded_key + 16 * i));

		w[0][i] = xor_words(k, repeat_byte(PSEUDO_HMAC_INNER_PAD));
		w[1][i] = xor_words(k, repeat_byte(PSEUDO_HMAC_OUTER_PAD));
	}
	states[0] = states[1] = load_state(first_chain);
	hash_two_blocks(states, w);
	for (int m = 0; m < 2; m++)
	{
		words		abcd;
		words		efgh;

		state_words(states[m], &abcd, &efgh);
		store_words((uint8_t *) chains[m], abcd);
		store_words((uint8_t *) (chains[m] + 4), efgh);
	}
}

/* HMAC-SHA256 of four messages of so many blocks each. */
SHA_TARGET static void
hmac_four(uint8_t (*digests)[PSEUDO_SHA256_LEN], const uint32_t *inner, const uint32_t *outer,
		  const uint8_t *const *messages, const size_t *lens, size_t n, size_t blocks)
{
	sha_state	states[4];
	words		w[4][4];

	(void) n;					/* the arrays are filled up to four */
	for (int m = 0; m < 4; m++)
		states[m] = load_state(inner);
	for (size_t b = 0; b < blocks; b++)
	{
		for (int m = 0; m < 4; m++)
		{
			size_t		done = b * PSEUDO_SHA256_BLOCK;

			load_block(w[m], messages[m] + done, (ptrdiff_t) lens[m] - (ptrdiff_t) done);
			if (b == blocks - 1)
				w[m][3] = length_words(w[m][3], lens[m]);
		}
		hash_four_blocks(states, w);
	}
	for (int m = 0; m < 4; m++)
	{
		state_words(states[m], &w[m][0], &w[m][1]);
		states[m] = load_state(outer);
		w[m][2] = make_words(0x80000000, 0, 0, 0);
		w[m][3] = make_words(0, 0, 0, 8 * (PSEUDO_SHA256_BLOCK + PSEUDO_SHA256_LEN));
	}
	hash_four_blocks(states, w);
	for (int m = 0; m < 4; m++)
	{
		state_words(states[m], &w[m][0], &w[m][1]);
		store_words(digests[m], swap_bytes(w[m][0]));
		store_words(digests[m] + 16, swap_bytes(w[m][1]));
	}
}
