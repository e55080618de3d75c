/*
 * siv_single.h
 *		AES-GCM-SIV of one message, in the order of RFC 8452: POLYVAL, CTR, seal
 *		and open.  Included after siv_wide.h, with one lane.
 *
 * Most values are short (a name, an e-mail address), so what counts is latency:
 * the derivation's blocks go through AES together, and the first blocks to encrypt
 * go through AES beside the message key's schedule.  Long values are left to the
 * functions in a siv_long.
 *
 * All that is secret in memory is in one siv_work on the stack, wiped at the end
 * together with the registers.  FROM_MEMORY keeps the compiler from holding
 * round keys in more registers than there are, which would spill them to where
 * nobody wipes.
 */

/* Inputs from this many bytes on are worth the powers of the authentication key. */
#define LONG_LEN	256

/* Encrypt one block. */
SIV_INLINE block
encrypt_block(const block *round_keys, block b, const int rounds)
{
	FROM_MEMORY();
	b = aes_first(b, round_keys[0]);
#define ROUND(r) b = aes_round(b, round_keys[(r) - 1], round_keys[r]);
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	return aes_last(b, round_keys[rounds - 1], round_keys[rounds]);
}

/*
 * Expand the message encryption key, of 14 rounds the halves a and b, to
 * work->round_keys, and encrypt *s on the way; *t too, if two.
 */
SIV_INLINE void
expand_and_encrypt(siv_work *work, block a, block b, block *s, block *t,
				   const bool two, const int rounds)
{
	block	   *round_keys = work->round_keys;
	block		x = aes_first(*s, a);
	block		y = x;

	if (two)
		y = aes_first(*t, a);
	round_keys[0] = a;
	/* From here on the compiler cannot know what is in work, nor keep it elsewhere. */
	__asm__ volatile("" : : "r" (work) : "memory");
#define ROUND(i, before, k) \
	round_keys[i] = k; \
	x = aes_round(x, before, k); \
	EVALUATE(x); \
	if (two) \
	{ \
		y = aes_round(y, before, k); \
		EVALUATE(y); \
	}
#define LAST(i, before, k) \
	round_keys[i] = k; \
	*s = aes_last(x, before, k); \
	if (two) \
		*t = aes_last(y, before, k);

	if (rounds == 14)
	{
#define EVEN(i, rcon)	a = NEXT_EVEN(a, b, rcon); ROUND(i, b, a)
#define ODD(i)			b = NEXT_ODD(a, b); ROUND(i, a, b)
		ROUND(1, a, b)
		EVEN(2, 0x01) ODD(3) EVEN(4, 0x02) ODD(5) EVEN(6, 0x04) ODD(7) EVEN(8, 0x08) ODD(9)
		EVEN(10, 0x10) ODD(11) EVEN(12, 0x20) ODD(13)
		a = NEXT_EVEN(a, b, 0x40);
		LAST(14, b, a)
#undef EVEN
#undef ODD
	}
	else
	{
#define NEXT(i, rcon)	b = a; a = NEXT_128(a, rcon); ROUND(i, b, a)
		NEXT(1, 0x01) NEXT(2, 0x02) NEXT(3, 0x04) NEXT(4, 0x08) NEXT(5, 0x10)
		NEXT(6, 0x20) NEXT(7, 0x40) NEXT(8, 0x80) NEXT(9, 0x1b)
		b = a;
		a = NEXT_128(a, 0x36);
		LAST(10, b, a)
#undef NEXT
	}
#undef ROUND
#undef LAST
	FROM_MEMORY();
}

/*
 * Clear all that is secret: work, of whose powers nothing is set unless there
 * was a long input, and the registers, which a signal would save.
 */
SIV_INLINE void
wipe_work(siv_work *work, bool was_long)
{
	const block zero = make_block(0, 0);

	for (int i = 0; i <= PSEUDO_MAX_ROUNDS; i++)
		work->round_keys[i] = zero;
	work->h = work->square = zero;
	if (was_long)
	{
		work->blocks[0] = work->blocks[1] = zero;
		for (int i = 0; i < MAX_POWERS; i++)
			work->powers[i] = zero;
		work->sum = zero;
	}
	__asm__ volatile("" : : "r" (work) : "memory");
	CLEAR_REGISTERS();
}

/* ---- POLYVAL, RFC 8452 section 3 ---- */

/* Add one block to POLYVAL's sum s. */
SIV_INLINE block
absorb_block(const siv_work *work, block s, block b)
{
	FROM_MEMORY();
	return dot(s ^ b, work->h);
}

/*
 * Add the last block of text and the lengths.  Two blocks to a reduction, as the
 * square of h is known by then: what waits for the text waits for one product only.
 */
SIV_INLINE block
absorb_last(const siv_work *work, block s, block b, block lengths)
{
	const block h = work->h;
	const block square = work->square;

	s = s ^ b;
	return reduce(clmul_low(s, square) ^ clmul_low(lengths, h),
				  clmul_cross(s, square) ^ clmul_cross(lengths, h),
				  clmul_high(s, square) ^ clmul_high(lengths, h));
}

/*
 * POLYVAL over all but the last block of len bytes, continuing from s; *left is what
 * is left, 1 to 16 bytes, or 0 where len is.
 */
SIV_INLINE block
absorb(siv_work *work, block s, const uint8_t *p, size_t len, size_t *left, const siv_long *long_input)
{
	if (long_input != NULL && len > long_input->chunk)
	{
		size_t		n = (len - 1) - (len - 1) % long_input->chunk;

		work->sum = s;
		long_input->absorb(work, p, n);
		s = work->sum;
		p += n;
		len -= n;
	}
	for (; len > 16; len -= 16, p += 16)
		s = absorb_block(work, s, load_block(p));
	*left = len;
	return s;
}

/* The last len (0 to 16) bytes before p, padded with zeros. */
SIV_INLINE block
load_last(const uint8_t *end, size_t len)
{
	if (len == 16)
		return load_block(end - 16);
	return len > 0 ? load_partial(end - len, len) : make_block(0, 0);
}

/* POLYVAL over the AAD, padded with zeros to whole blocks. */
SIV_INLINE block
absorb_aad(siv_work *work, const uint8_t *aad, size_t len, const siv_long *long_input)
{
	block		s = make_block(0, 0);
	size_t		left;

	if (len == 0)
		return s;
	s = absorb(work, s, aad, len, &left, long_input);
	return absorb_block(work, s, load_last(aad + len, left));
}

/* ---- CTR, RFC 8452 section 4 ---- */

/*
 * Encrypt len bytes with the key stream that starts at counter.  The last block may
 * reach into the room of the tag, which is written later.
 */
SIV_INLINE void
encrypt_text(siv_work *work, block counter, const uint8_t *in, uint8_t *out,
			 size_t len, const siv_long *long_input, const int rounds)
{
	block		b;

	if (long_input != NULL && len >= long_input->chunk)
	{
		size_t		n = len - len % long_input->chunk;

		work->counter = counter;
		long_input->encrypt(work, in, out, n, rounds);
		counter = work->counter;
		in += n;
		out += n;
		len -= n;
	}
	for (; len >= 16; len -= 16, in += 16, out += 16)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		store_block(out, b ^ load_block(in));
		counter = add_counter(counter, 1);
	}
	if (len > 0)
	{
		b = encrypt_block(work->round_keys, counter, rounds);
		store_block(out, b ^ load_partial(in, len));
	}
}

/*
 * Decrypt len bytes (1 or more) and run POLYVAL over the plaintext but for the last
 * block, which goes to *last, continuing from s.  stream and next are the first two
 * blocks of key stream.  The tag follows the text, and may be read in part.
 */
SIV_INLINE block
decrypt_text(siv_work *work, block s, block *last, block counter, block stream, block next,
			 const uint8_t *in, uint8_t *out, size_t len, const siv_long *long_input, const int rounds)
{
	if (long_input != NULL && len > long_input->chunk)
	{
		size_t		n = (len - 1) - (len - 1) % long_input->chunk;

		work->sum = s;
		work->counter = counter;
		long_input->decrypt(work, in, out, n, rounds);
		s = work->sum;
		counter = work->counter;
		stream = encrypt_block(work->round_keys, counter, rounds);
		next = encrypt_block(work->round_keys, add_counter(counter, 1), rounds);
		in += n;
		out += n;
		len -= n;
	}
	counter = add_counter(counter, 2);
	for (; len > 16; len -= 16, in += 16, out += 16)
	{
		block		b = stream ^ load_block(in);

		store_block(out, b);
		s = absorb_block(work, s, b);
		stream = next;
		if (len > 32)
			next = encrypt_block(work->round_keys, counter, rounds);
		counter = add_counter(counter, 1);
	}
	*last = keep_bytes(stream ^ load_block(in), len);
	if (len == 16)
		store_block(out, *last);
	else
		store_partial(out, *last, len);
	return s;
}

/* ---- Seal and open ---- */

/* Whether a message is worth the powers of the authentication key. */
SIV_INLINE bool
is_long(size_t aad_len, size_t text_len)
{
	return aad_len >= LONG_LEN || text_len >= LONG_LEN;
}

/*
 * Seal, for one number of rounds.  long_input is NULL for what is short: then no
 * function is called, and what is derived stays in registers; else it is in work.
 */
SIV_INLINE pseudo_status
seal_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out,
			const siv_long *long_input, const int rounds)
{
	siv_work	work;
	block		n = load_nonce(nonce);
	block		lengths = length_block(aad_len, in_len);
	block		h;
	block		a;
	block		b;
	block		s;
	size_t		left;

	derive_keys(key, n, &h, &a, &b, rounds);
	work.h = h;
	work.square = dot(h, h);
	if (long_input != NULL)
	{
		work.round_keys[0] = a;
		work.round_keys[1] = b;
		long_input->raise_powers(&work);
	}
	s = absorb_aad(&work, aad, aad_len, long_input);
	s = absorb(&work, s, in, in_len, &left, long_input);
	if (in_len > 0)
		s = absorb_last(&work, s, load_last(in + in_len, left), lengths);
	else
		s = absorb_block(&work, s, lengths);
	if (long_input != NULL)
	{
		FROM_MEMORY();
		a = work.round_keys[0];
		b = work.round_keys[1];
	}
	s = tag_input(s, n);
	expand_and_encrypt(&work, a, b, &s, NULL, false, rounds);
	encrypt_text(&work, first_counter(s), in, out, in_len, long_input, rounds);
	store_block(out + in_len, s);
	wipe_work(&work, long_input != NULL);
	return PSEUDO_OK;
}

/*
 * Open, for one number of rounds; see seal_single.  Nonce and tag are read again
 * where they are needed, as there are too few registers to keep them.
 */
SIV_INLINE pseudo_status
open_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out,
			const siv_long *long_input, const int rounds)
{
	siv_work	work;
	size_t		text_len = in_len - PSEUDO_TAG_LEN;
	const uint8_t *tag = in + text_len;
	block		h;
	block		a;
	block		b;
	block		s;
	block		stream;
	block		next;
	uint64_t	different;

	derive_keys(key, load_nonce(nonce), &h, &a, &b, rounds);
	work.h = h;
	work.square = dot(h, h);
	FROM_MEMORY();
	stream = first_counter(load_block(tag));
	next = add_counter(stream, 1);
	expand_and_encrypt(&work, a, b, &stream, &next, true, rounds);
	if (long_input != NULL)
	{
		work.blocks[0] = stream;
		work.blocks[1] = next;
		long_input->raise_powers(&work);
	}
	s = absorb_aad(&work, aad, aad_len, long_input);
	if (long_input != NULL)
	{
		FROM_MEMORY();
		stream = work.blocks[0];
		next = work.blocks[1];
	}
	if (text_len > 0)
	{
		block		last;

		s = decrypt_text(&work, s, &last, first_counter(load_block(tag)), stream, next,
						 in, out, text_len, long_input, rounds);
		s = absorb_last(&work, s, last, length_block(aad_len, text_len));
	}
	else
		s = absorb_block(&work, s, length_block(aad_len, text_len));
	s = encrypt_block(work.round_keys, tag_input(s, load_nonce(nonce)), rounds) ^ load_block(tag);
	/* All sixteen bytes are compared at once, so time tells nothing. */
	different = low_half(s) | high_half(s);
	wipe_work(&work, long_input != NULL);
	if (different != 0)
	{
		wipe(out, text_len);
		return PSEUDO_NOT_AUTHENTIC;
	}
	return PSEUDO_OK;
}

/*
 * Define NAME_seal and NAME_open, which leave long inputs to the functions in
 * long_functions: see pseudo_siv_seal and pseudo_siv_open.
 */
#define DEFINE_SEAL_AND_OPEN(name, long_functions) \
	DEFINE_ONE(name##_seal, seal_single, aad_len, in_len, long_functions) \
	DEFINE_ONE(name##_open, open_single, aad_len, in_len - PSEUDO_TAG_LEN, long_functions)

#define DEFINE_ONE(name, do_single, aad_len_, text_len, long_functions) \
SIV_NOINLINE pseudo_status \
name##_long(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
			const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	pseudo_status status; \
\
	if (key->key_len == 32) \
		status = do_single(key, nonce, aad, aad_len, in, in_len, out, &long_functions, 14); \
	else \
		status = do_single(key, nonce, aad, aad_len, in, in_len, out, &long_functions, 10); \
	pseudo_burn_stack(); \
	return status; \
} \
\
SIV_TARGET static pseudo_status \
name(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
	 const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	if (is_long(aad_len_, text_len)) \
		return name##_long(key, nonce, aad, aad_len, in, in_len, out); \
	if (key->key_len == 32) \
		return do_single(key, nonce, aad, aad_len, in, in_len, out, NULL, 14); \
	return do_single(key, nonce, aad, aad_len, in, in_len, out, NULL, 10); \
}

/* Fill in the round keys of the key-generating key. */
SIV_TARGET static void
expand_key(pseudo_siv_key *key)
{
	siv_work	work;
	block		a = load_block(key->key);
	block		b = load_block(key->key + 16);
	block		unused = a;

	if (key->key_len == 32)
		expand_and_encrypt(&work, a, b, &unused, NULL, false, 14);
	else
		expand_and_encrypt(&work, a, b, &unused, NULL, false, 10);
	memcpy(key->round_keys, work.round_keys, PSEUDO_BLOCK_LEN * (key->key_len / 4 + 7));
	wipe_work(&work, false);
}
