/*
 * siv_single.h
 *		AES-GCM-SIV on vectors, third part: one message, in the order of RFC 8452: POLYVAL, CTR, seal
 *		and open.  Included after siv_long.h.
 *
 * Most values are short (a name, an e-mail address), so what counts is latency, and the
 * number of instructions, as the next call's begin while the last ones' wait.  The
 * derivation's blocks go through AES together, as many to a vector as there are lanes;
 * so does the text.  All else is the same in all lanes, or counts in the first one only.
 *
 * All that is secret in memory is in one siv_work on the stack, wiped at the end
 * together with the registers.  FROM_MEMORY keeps the compiler from holding
 * round keys in more registers than there are, which would spill them to where
 * nobody wipes.
 */

/* Bytes of one vector of text. */
#define VEC_LEN		(16 * LANES)

/* The authentication key and its square. */
typedef struct auth_key
{
	vec			h;
	vec			square;
} auth_key;

/* ---- Keys ---- */

/* Derive the message keys for a nonce in all lanes, see derive_keys; to all lanes. */
#if LANES == 1
#define derive_single(key, nonce, h, a, b, rounds)	derive_keys(key, nonce, h, a, b, rounds)
#else
SIV_INLINE void
derive_single(const pseudo_siv_key *key, vec nonce, vec *h, vec *a, vec *b, const int rounds)
{
	const uint8_t *round_keys = key->round_keys;
	vec			before;
	vec			k = vec_repeat(load_block(round_keys));
	vec			b0 = add32(shift_1_word(nonce), LANE_NUMBERS);
	vec			b1 = aes_first(add_counter(b0, LANES), k);
	vec			b2 = aes_first(add_counter(b0, 2 * LANES), k);

	b0 = aes_first(b0, k);
#define DERIVE(aes) \
	b0 = aes(b0, before, k); \
	if (rounds == 14 || LANES == 2) \
		b1 = aes(b1, before, k); \
	if (rounds == 14 && LANES == 2) \
		b2 = aes(b2, before, k);
#define ROUND(r) \
	before = k; \
	FROM_MEMORY(); \
	k = vec_repeat(load_block(round_keys + 16 * (r))); \
	DERIVE(aes_round)
	FOR_EACH_ROUND(ROUND, rounds);
	before = k;
	FROM_MEMORY();
	k = vec_repeat(load_block(round_keys + 16 * rounds));
	DERIVE(aes_last)
#undef ROUND
#undef DERIVE
	*h = vec_halves(b0, 0);
	*a = LANES == 2 ? vec_halves(b1, 0) : vec_halves(b0, 1);
	*b = LANES == 2 ? vec_halves(b2, 0) : vec_halves(b1, 0);
}
#endif

/*
 * Expand the message encryption key, of 14 rounds the halves a and b, to work->round_keys.
 * Each round key waits for the one before, so what is known sooner is done sooner: the last
 * word of a sum is the sum of last words.
 */
SIV_INLINE void
expand_single(siv_work *work, vec a, vec b, const int rounds)
{
	block	   *round_keys = work->round_keys;
	vec			rcon = FIRST_RCON;
	vec			substituted;
	vec			last;

	round_keys[0] = vec_first(a);
	/* The compiler cannot know from here on what is in work, nor keep it elsewhere. */
	__asm__ volatile("" : : "r" (work) : "memory");
	if (rounds == 14)
	{
#define EVEN(i) \
		substituted = rotate_and_substitute(b, rcon); \
		a = prefix_xor(a); \
		last = last_word(a) ^ substituted; \
		a = a ^ substituted; \
		round_keys[i] = vec_first(a); \
		rcon = NEXT_RCON(rcon);
#define ODD(i) \
		b = prefix_xor(b) ^ substitute(last); \
		round_keys[i] = vec_first(b);
		round_keys[1] = vec_first(b);
		EVEN(2) ODD(3) EVEN(4) ODD(5) EVEN(6) ODD(7) EVEN(8) ODD(9) EVEN(10) ODD(11)
		EVEN(12) ODD(13) EVEN(14)
#undef EVEN
#undef ODD
	}
	else
	{
#define NEXT(i)	a = NEXT_128(a, rcon); round_keys[i] = vec_first(a); rcon = NEXT_RCON(rcon);
		NEXT(1) NEXT(2) NEXT(3) NEXT(4) NEXT(5) NEXT(6) NEXT(7) NEXT(8)
		rcon = NINTH_RCON;
		NEXT(9) NEXT(10)
#undef NEXT
	}
	FROM_MEMORY();
}

/* Encrypt a vector. */
SIV_INLINE vec
encrypt_vec(const siv_work *work, vec v, const int rounds)
{
	const block *round_keys = work->round_keys;
	vec			before;
	vec			k;

	FROM_MEMORY();
	k = vec_repeat(round_keys[0]);
	v = aes_first(v, k);
#define ROUND(r) \
	before = k; \
	FROM_MEMORY(); \
	k = vec_repeat(round_keys[r]); \
	v = aes_round(v, before, k);
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	before = k;
	k = vec_repeat(round_keys[rounds]);
	return aes_last(v, before, k);
}

/*
 * Clear all that is secret: work, of whose powers nothing is set unless there
 * was a long input, and the registers, which a signal would save.
 */
SIV_INLINE void
wipe_work(siv_work *work, const bool was_long)
{
	clear_vecs((vec *) (void *) work, (was_long ? sizeof(*work) : offsetof(siv_work, powers)) / sizeof(vec));
	CLEAR_REGISTERS();
}

/* ---- POLYVAL, RFC 8452 section 3 ---- */

/*
 * Add the last block of text and the lengths.  Two blocks to a reduction, as the
 * square of h is known by then: what waits for the text waits for one product only.
 */
SIV_INLINE vec
absorb_last(const auth_key *auth, vec s, vec b, vec lengths)
{
	s = s ^ b;
	return reduce(clmul_low(s, auth->square) ^ clmul_low(lengths, auth->h),
				  clmul_cross(s, auth->square) ^ clmul_cross(lengths, auth->h),
				  clmul_high(s, auth->square) ^ clmul_high(lengths, auth->h));
}

/* The authentication key, and its powers where there is a long input. */
SIV_INLINE void
prepare_auth(siv_work *work, auth_key *auth, vec h, const bool is_long)
{
	if (is_long)
	{
		work->h = vec_first(h);
		raise_powers(work);
		h = vec_repeat(work->h);
	}
	auth->h = h;
	auth->square = dot(h, h);
}

/*
 * POLYVAL over all but the last block of len bytes, continuing from s; *left is what
 * is left, 1 to 16 bytes, or 0 where len is.
 */
SIV_INLINE vec
absorb(siv_work *work, auth_key *auth, vec s, const uint8_t *p, size_t len, size_t *left, const bool is_long)
{
	if (is_long && len > LONG_CHUNK)
	{
		size_t		n = (len - 1) - (len - 1) % LONG_CHUNK;

		work->sum = vec_first(s);
		absorb_long(work, p, n);
		s = vec_repeat(work->sum);
		auth->h = vec_repeat(work->h);
		auth->square = dot(auth->h, auth->h);
		p += n;
		len -= n;
	}
	for (; len > 16; len -= 16, p += 16)
		s = dot(s ^ vec_repeat(load_block(p)), auth->h);
	*left = len;
	return s;
}

/* The last len (0 to 16) bytes before end, padded with zeros. */
SIV_INLINE vec
load_last(const uint8_t *end, size_t len)
{
	if (len == 16)
		return vec_repeat(load_block(end - 16));
	return vec_repeat(len > 0 ? load_partial(end - len, len) : make_block(0, 0));
}

/* POLYVAL over the AAD, padded with zeros to whole blocks. */
SIV_INLINE vec
absorb_aad(siv_work *work, auth_key *auth, const uint8_t *aad, size_t len, const bool is_long)
{
	vec			s = vec_repeat(make_block(0, 0));
	size_t		left;

	if (len == 0)
		return s;
	s = absorb(work, auth, s, aad, len, &left, is_long);
	return dot(s ^ load_last(aad + len, left), auth->h);
}

/* ---- CTR, RFC 8452 section 4 ---- */

#ifndef HAVE_MASKS

/* Read len (1 to VEC_LEN) bytes at p, maybe some of the 16 bytes behind them too. */
SIV_INLINE vec
load_before_tag(const uint8_t *p, size_t len)
{
	return len > VEC_LEN - 16 ? vec_load(p) : vec_extend(load_block(p));
}

/* Write the first len (1 to VEC_LEN) bytes of v to p. */
SIV_INLINE void
store_text(uint8_t *p, vec v, size_t len)
{
	for (; len > 16; len -= 16, p += 16)
	{
		store_block(p, vec_first(v));
		v = vec_next(v);
	}
	if (len == 16)
		store_block(p, vec_first(v));
	else
		store_partial(p, vec_first(v), len);
}

/* Write len (1 to VEC_LEN) bytes of text xor v to out, maybe some of the 16 bytes behind them too. */
SIV_INLINE void
xor_before_tag(uint8_t *out, const uint8_t *in, vec v, size_t len)
{
	for (; len >= 16; len -= 16, in += 16, out += 16)
	{
		store_block(out, vec_first(v) ^ load_block(in));
		v = vec_next(v);
	}
	if (len > 0)
		store_block(out, vec_first(v) ^ load_partial(in, len));
}

/* Clear all but the first len (0 to VEC_LEN) bytes of v. */
SIV_INLINE vec
keep_text(vec v, size_t len)
{
	return v & vec_load(byte_mask + VEC_LEN - len);
}

#endif							/* HAVE_MASKS */

/* Encrypt len bytes with the key stream that starts with the counters; the tag's room follows. */
SIV_INLINE void
encrypt_text(siv_work *work, vec counters, const uint8_t *in, uint8_t *out, size_t len,
			 const bool is_long, const int rounds)
{
	if (is_long && len >= LONG_CHUNK)
	{
		size_t		n = len - len % LONG_CHUNK;

		work->counter = vec_first(counters);
		encrypt_long(work, in, out, n, rounds);
		counters = add32(vec_repeat(work->counter), LANE_NUMBERS);
		in += n;
		out += n;
		len -= n;
	}
	for (; len > VEC_LEN; len -= VEC_LEN, in += VEC_LEN, out += VEC_LEN)
	{
		vec_store(out, encrypt_vec(work, counters, rounds) ^ vec_load(in));
		counters = add_counter(counters, LANES);
	}
	if (len > 0)
		xor_before_tag(out, in, encrypt_vec(work, counters, rounds), len);
}

/*
 * Decrypt len bytes (1 or more) and run POLYVAL over the plaintext but for the last
 * block, which goes to *last, continuing from s.  The tag follows the text.
 */
SIV_INLINE vec
decrypt_text(siv_work *work, auth_key *auth, vec s, vec *last, vec counters,
			 const uint8_t *in, uint8_t *out, size_t len, const bool is_long, const int rounds)
{
	vec			text;

	if (is_long && len > LONG_CHUNK)
	{
		size_t		n = (len - 1) - (len - 1) % LONG_CHUNK;

		work->sum = vec_first(s);
		work->counter = vec_first(counters);
		decrypt_long(work, in, out, n, rounds);
		s = vec_repeat(work->sum);
		counters = add32(vec_repeat(work->counter), LANE_NUMBERS);
		auth->h = vec_repeat(work->h);
		auth->square = dot(auth->h, auth->h);
		in += n;
		out += n;
		len -= n;
	}
	for (; len > VEC_LEN; len -= VEC_LEN, in += VEC_LEN, out += VEC_LEN)
	{
		text = encrypt_vec(work, counters, rounds) ^ vec_load(in);
		vec_store(out, text);
		for (int i = 0; i < LANES; i++, text = vec_next(text))
			s = dot(s ^ text, auth->h);
		counters = add_counter(counters, LANES);
	}
	text = keep_text(encrypt_vec(work, counters, rounds) ^ load_before_tag(in, len), len);
	store_text(out, text, len);
	for (; len > 16; len -= 16, text = vec_next(text))
		s = dot(s ^ text, auth->h);
	*last = text;
	return s;
}

/* ---- Seal and open ---- */

/*
 * Seal, for one number of rounds.  Where is_long is false no function is called, and
 * what is derived stays in registers; else it is in work.
 */
SIV_INLINE pseudo_status
seal_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out, const bool is_long, const int rounds)
{
	siv_work	work;
	auth_key	auth;
	vec			h;
	vec			a;
	vec			b;
	vec			s;
	size_t		left;

	derive_single(key, vec_repeat(load_nonce(nonce)), &h, &a, &b, rounds);
	if (is_long)
		expand_single(&work, a, b, rounds);
	prepare_auth(&work, &auth, h, is_long);
	s = absorb_aad(&work, &auth, aad, aad_len, is_long);
	s = absorb(&work, &auth, s, in, in_len, &left, is_long);
	if (in_len > 0)
		s = absorb_last(&auth, s, load_last(in + in_len, left), vec_repeat(length_block(aad_len, in_len)));
	else
		s = dot(s ^ vec_repeat(length_block(aad_len, in_len)), auth.h);
	if (!is_long)
		expand_single(&work, a, b, rounds);
	s = encrypt_vec(&work, tag_input(s, vec_repeat(load_nonce(nonce))), rounds);
	encrypt_text(&work, add32(first_counter(s), LANE_NUMBERS), in, out, in_len, is_long, rounds);
	store_block(out + in_len, vec_first(s));
	wipe_work(&work, is_long);
	return PSEUDO_OK;
}

/* Open, for one number of rounds; see seal_single. */
SIV_INLINE pseudo_status
open_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out, const bool is_long, const int rounds)
{
	siv_work	work;
	auth_key	auth;
	size_t		text_len = in_len - PSEUDO_TAG_LEN;
	block		tag = load_block(in + text_len);
	block		difference;
	vec			h;
	vec			a;
	vec			b;
	vec			s;
	uint64_t	different;

	derive_single(key, vec_repeat(load_nonce(nonce)), &h, &a, &b, rounds);
	expand_single(&work, a, b, rounds);
	prepare_auth(&work, &auth, h, is_long);
	s = absorb_aad(&work, &auth, aad, aad_len, is_long);
	if (text_len > 0)
	{
		vec			last;

		s = decrypt_text(&work, &auth, s, &last, add32(first_counter(vec_repeat(tag)), LANE_NUMBERS),
						 in, out, text_len, is_long, rounds);
		s = absorb_last(&auth, s, last, vec_repeat(length_block(aad_len, text_len)));
	}
	else
		s = dot(s ^ vec_repeat(length_block(aad_len, text_len)), auth.h);
	s = encrypt_vec(&work, tag_input(s, vec_repeat(load_nonce(nonce))), rounds);
	difference = vec_first(s) ^ tag;
	/* All sixteen bytes are compared at once, so time tells nothing. */
	different = low_half(difference) | high_half(difference);
	wipe_work(&work, is_long);
	DECLASSIFY(&different, sizeof(different));
	if (different != 0)
	{
		wipe(out, text_len);
		return PSEUDO_NOT_AUTHENTIC;
	}
	return PSEUDO_OK;
}

/* Define what does one message, see pseudo_siv_seal and pseudo_siv_open. */
#define DEFINE_ONE(name, do_single, text_len) \
SIV_NOINLINE pseudo_status \
name##_long(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
			const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	if (key->key_len == 32) \
		return do_single(key, nonce, aad, aad_len, in, in_len, out, true, 14); \
	return do_single(key, nonce, aad, aad_len, in, in_len, out, true, 10); \
} \
\
SIV_TARGET static pseudo_status \
name(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
	 const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	if (pseudo_siv_is_long(aad_len, text_len)) \
	{ \
		pseudo_status status = name##_long(key, nonce, aad, aad_len, in, in_len, out); \
\
		pseudo_burn_stack(); \
		return status; \
	} \
	if (key->key_len == 32) \
		return do_single(key, nonce, aad, aad_len, in, in_len, out, false, 14); \
	return do_single(key, nonce, aad, aad_len, in, in_len, out, false, 10); \
}

DEFINE_ONE(siv_seal, seal_single, in_len)
DEFINE_ONE(siv_open, open_single, in_len - PSEUDO_TAG_LEN)

/* Fill in the round keys of the key-generating key. */
SIV_TARGET static void
expand_key(pseudo_siv_key *key)
{
	siv_work	work;
	vec			a = vec_repeat(load_block(key->key));
	vec			b = vec_repeat(load_block(key->key + 16));

	if (key->key_len == 32)
		expand_single(&work, a, b, 14);
	else
		expand_single(&work, a, b, 10);
	memcpy(key->round_keys, work.round_keys, PSEUDO_BLOCK_LEN * (key->key_len / 4 + 7));
	wipe_work(&work, false);
}
