/*
 * siv_long.h
 *		AES-GCM-SIV on vectors, second part: POLYVAL and CTR of long inputs, many blocks at a time.
 *		Included after siv_block.h.
 */

/* Vectors of a long input worked on at a time, and the macros that repeat for each. */
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

/* All that is derived for one message. */
typedef struct siv_work
{
	block		round_keys[PSEUDO_MAX_ROUNDS + 1];
	block		h;				/* the authentication key */
	vec			powers[LONG_VECS];	/* of h, the highest first; from here on for long inputs only */
	block		sum;			/* of POLYVAL so far, between functions */
	block		counter;		/* the next one, between functions */
} siv_work;

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
