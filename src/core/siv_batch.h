/*
 * siv_batch.h
 *		AES-GCM-SIV on vectors, last part: several short messages side by side, a block of each in
 *		a vector's lane.  Included after siv_single.h, which does the messages that fit no group.
 */

/* Vectors of a group of messages, and the macro that repeats for each. */
#define GROUP_VECS	4
#define FOR_EACH_VEC(F, ...)	F(0, __VA_ARGS__) F(1, __VA_ARGS__) F(2, __VA_ARGS__) F(3, __VA_ARGS__)

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
	uint64_t	different = low_half(difference) | high_half(difference);

	/* All sixteen bytes are compared at once, so time tells nothing. */
	DECLASSIFY(&different, sizeof(different));
	if (different != 0)
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

/* One message alone, within the same limits as pseudo_siv_seal and pseudo_siv_open. */
SIV_TARGET static void
single_message(const pseudo_siv_key *key, const group *g, pseudo_siv_item *item, bool seal)
{
	size_t		tag_len = seal ? 0 : PSEUDO_TAG_LEN;

	if (item->in_len < tag_len)
		item->status = PSEUDO_NOT_AUTHENTIC;
	else if (!pseudo_siv_fits(item->in_len - tag_len, g->aad_len))
	{
		if (!seal)
			wipe(item->out, item->in_len - tag_len);
		item->status = PSEUDO_TOO_LONG;
	}
	else
		item->status = (seal ? siv_seal : siv_open) (key, item->nonce, g->aad, g->aad_len,
													 item->in, item->in_len, item->out);
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
		pseudo_burn_deep_stack();
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

/* What an implementation gives, but for whether it is supported. */
#define SIV_FUNCTIONS \
	.expand = expand_key, \
	.seal = siv_seal, \
	.open = siv_open, \
	.seal_batch = seal_batch, \
	.open_batch = open_batch
