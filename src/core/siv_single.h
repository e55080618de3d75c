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
	b = b ^ round_keys[0];
#define ROUND(r) b = aes_round(b, round_keys[r]);
	FOR_EACH_ROUND(ROUND, rounds);
#undef ROUND
	return aes_last(b, round_keys[rounds]);
}

/*
 * Expand the message encryption key, which is in the first of work->round_keys, and
 * encrypt work->blocks[0] on the way; work->blocks[1] too, if two.
 */
SIV_INLINE void
expand_and_encrypt(siv_work *work, const bool two, const int rounds)
{
	block	   *round_keys = work->round_keys;
	block		a;
	block		b;
	block		x;
	block		y;

	FROM_MEMORY();
	a = round_keys[0];
	b = round_keys[1];
	x = work->blocks[0] ^ a;
	y = work->blocks[1] ^ a;
#define ROUND(i, k) \
	round_keys[i] = k; \
	FROM_MEMORY(); \
	x = aes_round(x, k); \
	if (two) \
		y = aes_round(y, k);
#define LAST(i, k) \
	round_keys[i] = k; \
	work->blocks[0] = aes_last(x, k); \
	if (two) \
		work->blocks[1] = aes_last(y, k);

	if (rounds == 14)
	{
#define EVEN(i, rcon)	a = NEXT_EVEN(a, b, rcon); ROUND(i, a)
#define ODD(i)			b = NEXT_ODD(a, b); ROUND(i, b)
		ROUND(1, b)
		EVEN(2, 0x01) ODD(3) EVEN(4, 0x02) ODD(5) EVEN(6, 0x04) ODD(7) EVEN(8, 0x08) ODD(9)
		EVEN(10, 0x10) ODD(11) EVEN(12, 0x20) ODD(13)
		a = NEXT_EVEN(a, b, 0x40);
		LAST(14, a)
#undef EVEN
#undef ODD
	}
	else
	{
#define NEXT(i, rcon)	a = NEXT_128(a, rcon); ROUND(i, a)
		NEXT(1, 0x01) NEXT(2, 0x02) NEXT(3, 0x04) NEXT(4, 0x08) NEXT(5, 0x10)
		NEXT(6, 0x20) NEXT(7, 0x40) NEXT(8, 0x80) NEXT(9, 0x1b)
		a = NEXT_128(a, 0x36);
		LAST(10, a)
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
wipe_work(siv_work *work, bool is_long)
{
	const block zero = make_block(0, 0);

	for (int i = 0; i <= PSEUDO_MAX_ROUNDS; i++)
		work->round_keys[i] = zero;
	work->h = zero;
	work->blocks[0] = work->blocks[1] = zero;
	if (is_long)
	{
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

/* POLYVAL over len bytes, padded with zeros to whole blocks, continuing from s. */
SIV_INLINE block
absorb(siv_work *work, block s, const uint8_t *p, size_t len, const siv_long *long_input)
{
	if (long_input != NULL && len >= long_input->chunk)
	{
		size_t		n = len - len % long_input->chunk;

		work->sum = s;
		long_input->absorb(work, p, n);
		s = work->sum;
		p += n;
		len -= n;
	}
	for (; len >= 16; len -= 16, p += 16)
		s = absorb_block(work, s, load_block(p));
	if (len > 0)
		s = absorb_block(work, s, load_partial(p, len));
	return s;
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
 * Decrypt at most a block, len bytes, with key stream b, and add it to POLYVAL's
 * sum s.  The tag follows what is read, and may be read in part.
 */
SIV_INLINE block
decrypt_block(siv_work *work, block s, block b, const uint8_t *in, uint8_t *out, size_t len)
{
	b = b ^ load_block(in);
	if (len >= 16)
		store_block(out, b);
	else
	{
		b = keep_bytes(b, len);
		store_partial(out, b, len);
	}
	return absorb_block(work, s, b);
}

/*
 * Decrypt len bytes and run POLYVAL over the plaintext, continuing from s.  The
 * first two blocks of key stream are in work->blocks.
 */
SIV_INLINE block
decrypt_text(siv_work *work, block s, block counter,
			 const uint8_t *in, uint8_t *out, size_t len, const siv_long *long_input, const int rounds)
{
	size_t		done = 0;

	if (long_input != NULL && len >= long_input->chunk)
	{
		done = len - len % long_input->chunk;
		work->sum = s;
		work->counter = counter;
		long_input->decrypt(work, in, out, done, rounds);
		s = work->sum;
		counter = work->counter;
	}
	else
	{
		counter = add_counter(counter, 2);
		if (len > 0)
			s = decrypt_block(work, s, work->blocks[0], in, out, len);
		if (len > 16)
			s = decrypt_block(work, s, work->blocks[1], in + 16, out + 16, len - 16);
		done = 32;
	}
	for (; done < len; done += 16)
	{
		s = decrypt_block(work, s, encrypt_block(work->round_keys, counter, rounds),
						  in + done, out + done, len - done);
		counter = add_counter(counter, 1);
	}
	return s;
}

/* ---- Seal and open ---- */

/* The functions for a message's long inputs; NULL where all are short. */
SIV_INLINE const siv_long *
choose_long(siv_work *work, const siv_long *long_input, size_t aad_len, size_t text_len)
{
	if (aad_len < LONG_LEN && text_len < LONG_LEN)
		return NULL;
	long_input->raise_powers(work);
	return long_input;
}

/* Seal, for one number of rounds. */
SIV_INLINE pseudo_status
seal_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out,
			const siv_long *long_input, const int rounds)
{
	siv_work	work;
	block		n = load_nonce(nonce);
	block		s = make_block(0, 0);

	derive_keys(key, n, &work.h, &work.round_keys[0], &work.round_keys[1], rounds);
	long_input = choose_long(&work, long_input, aad_len, in_len);
	if (aad_len > 0)
		s = absorb(&work, s, aad, aad_len, long_input);
	s = absorb(&work, s, in, in_len, long_input);
	s = absorb_block(&work, s, length_block(aad_len, in_len));
	work.blocks[0] = tag_input(s, n);
	expand_and_encrypt(&work, false, rounds);
	encrypt_text(&work, first_counter(work.blocks[0]), in, out, in_len, long_input, rounds);
	store_block(out + in_len, work.blocks[0]);
	wipe_work(&work, long_input != NULL);
	return PSEUDO_OK;
}

/* Open, for one number of rounds. */
SIV_INLINE pseudo_status
open_single(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			const uint8_t *in, size_t in_len, uint8_t *out,
			const siv_long *long_input, const int rounds)
{
	siv_work	work;
	size_t		text_len = in_len - PSEUDO_TAG_LEN;
	block		tag = load_block(in + text_len);
	block		n = load_nonce(nonce);
	block		counter = first_counter(tag);
	block		s = make_block(0, 0);
	uint64_t	different;

	derive_keys(key, n, &work.h, &work.round_keys[0], &work.round_keys[1], rounds);
	work.blocks[0] = counter;
	work.blocks[1] = add_counter(counter, 1);
	expand_and_encrypt(&work, true, rounds);
	long_input = choose_long(&work, long_input, aad_len, text_len);
	if (aad_len > 0)
		s = absorb(&work, s, aad, aad_len, long_input);
	s = decrypt_text(&work, s, counter, in, out, text_len, long_input, rounds);
	s = absorb_block(&work, s, length_block(aad_len, text_len));
	s = encrypt_block(work.round_keys, tag_input(s, n), rounds) ^ tag;
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
 * long_input: see pseudo_siv_seal and pseudo_siv_open.
 */
#define DEFINE_SEAL_AND_OPEN(name, long_input) \
SIV_TARGET static pseudo_status \
name##_seal(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
			const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	if (key->key_len == 32) \
		return seal_single(key, nonce, aad, aad_len, in, in_len, out, &long_input, 14); \
	return seal_single(key, nonce, aad, aad_len, in, in_len, out, &long_input, 10); \
} \
\
SIV_TARGET static pseudo_status \
name##_open(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len, \
			const uint8_t *in, size_t in_len, uint8_t *out) \
{ \
	if (key->key_len == 32) \
		return open_single(key, nonce, aad, aad_len, in, in_len, out, &long_input, 14); \
	return open_single(key, nonce, aad, aad_len, in, in_len, out, &long_input, 10); \
}

/* Fill in the round keys of the key-generating key. */
SIV_TARGET static void
expand_key(pseudo_siv_key *key)
{
	siv_work	work;

	work.blocks[0] = work.blocks[1] = make_block(0, 0);
	work.round_keys[0] = load_block(key->key);
	work.round_keys[1] = load_block(key->key + 16);
	if (key->key_len == 32)
		expand_and_encrypt(&work, false, 14);
	else
		expand_and_encrypt(&work, false, 10);
	memcpy(key->round_keys, work.round_keys, PSEUDO_BLOCK_LEN * (key->key_len / 4 + 7));
	wipe_work(&work, false);
}
