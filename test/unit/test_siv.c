/*
 * test_siv.c
 *		AES-GCM-SIV: the implementations agree with each other, and refuse what they must.
 */
#include "harness.h"

/* Check that an altered input is refused, in each implementation. */
static void
check_refused(const pseudo_siv_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
			  uint8_t *sealed, size_t len, uint8_t *out)
{
	size_t		bit = random_below((len + PSEUDO_TAG_LEN) * 8);
	pseudo_status status;

	sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
	memset(out, 0xa5, len);
	status = pseudo_siv_open(key, nonce, aad, aad_len, sealed, len + PSEUDO_TAG_LEN, out);
	sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
	check(status == PSEUDO_NOT_AUTHENTIC, "altered input refused", len);
	check(all_zero(out, len), "output zeroed", len);
}

/* Seal and open one random message everywhere and compare. */
static void
one_message(size_t len, size_t aad_len)
{
	/* Allocations may start at any address, and end where the bytes end. */
	size_t		shift = random_below(16);
	size_t		key_len = random64() & 1 ? 32 : 16;
	uint8_t		key_bytes[32];
	uint8_t		nonce[PSEUDO_NONCE_LEN];
	uint8_t    *aad = allocate_random(aad_len);
	uint8_t    *text_room = allocate_random(len + shift);
	uint8_t    *text = text_room + shift;
	uint8_t    *first = allocate(len + PSEUDO_TAG_LEN);
	uint8_t    *out_room = allocate(len + PSEUDO_TAG_LEN + shift);
	uint8_t    *out = out_room + shift;
	uint8_t    *opened = allocate(len);

	random_bytes(key_bytes, sizeof(key_bytes));
	random_bytes(nonce, sizeof(nonce));
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_key key;

		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, key_bytes, key_len) == PSEUDO_OK, "key", len);
		check(pseudo_siv_seal(&key, nonce, aad, aad_len, text, len, out) == PSEUDO_OK, "seal", len);
		if (i == 0)
			memcpy(first, out, len + PSEUDO_TAG_LEN);
		else
			check(memcmp(first, out, len + PSEUDO_TAG_LEN) == 0, "implementations agree", len);
		check(pseudo_siv_open(&key, nonce, aad, aad_len, out, len + PSEUDO_TAG_LEN, opened) == PSEUDO_OK,
			  "open", len);
		check(memcmp(opened, text, len) == 0, "opened text", len);
		check_refused(&key, nonce, aad, aad_len, out, len, opened);

		check(pseudo_siv_open(&key, nonce, aad, aad_len, out, len + PSEUDO_TAG_LEN, out) == PSEUDO_OK,
			  "open in place", len);
		check(memcmp(out, text, len) == 0, "opened in place", len);
		check(pseudo_siv_seal(&key, nonce, aad, aad_len, out, len, out) == PSEUDO_OK,
			  "seal in place", len);
		check(memcmp(first, out, len + PSEUDO_TAG_LEN) == 0, "sealed in place", len);
	}
	free(aad);
	free(text_room);
	free(first);
	free(out_room);
	free(opened);
}

/* Random messages, then the lengths where blocks and loops end, then long ones. */
static void
test_agreement(void)
{
	for (unsigned long i = 0; i < n_messages; i++)
		one_message(random_below(301), random64() % 4 == 0 ? 0 : random_below(301));
	end_group("random messages");

	for (size_t len = 0; len <= 620; len++)
	{
		one_message(len, 0);
		one_message(len, 13);
		one_message(22, len);
		one_message(len, len);
	}
	for (size_t k = 10; k <= 16; k++)
		for (size_t d = 0; d < 3; d++)
			one_message(((size_t) 1 << k) + d - 1, 5);
	end_group("every length");

	one_message(MIB, 0);
	one_message(MIB + 1, 17);
	one_message(MIB - 1, MIB);
	one_message(0, MIB + 7);
	one_message(MIB + 119, 255);
	end_group("long messages");
}

/* Lengths that are refused. */
static void
test_limits(void)
{
	uint8_t		bytes[65] = {0};
	uint8_t		out[64];
	pseudo_siv_key key;
	const size_t too_long = PSEUDO_SIV_MAX_LEN + 1;

	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		for (size_t len = 0; len <= 65; len++)
			check((pseudo_siv_key_init(&key, bytes, len) == PSEUDO_OK) == (len == 16 || len == 32) &&
				  (len == 16 || len == 32 || pseudo_siv_key_init(&key, bytes, len) == PSEUDO_BAD_KEY),
				  "key length", len);
		pseudo_siv_key_init(&key, bytes, 32);
		check(pseudo_siv_seal(&key, bytes, NULL, 0, bytes, too_long, out) == PSEUDO_TOO_LONG,
			  "text too long", 0);
		check(pseudo_siv_seal(&key, bytes, bytes, too_long, bytes, 1, out) == PSEUDO_TOO_LONG,
			  "AAD too long", 0);
		check(pseudo_pseudonym_seal((char *) out, &key, false, 0, NULL, NULL, 0, bytes, too_long) == PSEUDO_TOO_LONG,
			  "value too long", 0);
		check(pseudo_pseudonym_seal((char *) out, &key, false, 0, NULL, NULL, 0, bytes, SIZE_MAX) == PSEUDO_TOO_LONG,
			  "value as long as can be", 0);
		memset(out, 0xa5, sizeof(out));
		check(pseudo_siv_open(&key, bytes, bytes, too_long, bytes, 48, out) == PSEUDO_TOO_LONG,
			  "AAD too long to open", 0);
		check(all_zero(out, 32) && out[32] == 0xa5, "zeroed, and no more", 0);
		for (size_t len = 0; len < PSEUDO_TAG_LEN; len++)
			check(pseudo_siv_open(&key, bytes, NULL, 0, bytes, len, out) == PSEUDO_NOT_AUTHENTIC,
				  "shorter than a tag", len);
		for (size_t len = 0; len < PSEUDO_OVERHEAD; len++)
			check(pseudo_pseudonym_open(out, &key, NULL, 0, bytes, len) == PSEUDO_MALFORMED,
				  "shorter than nonce and tag", len);
		check(pseudo_siv_seal(&key, bytes, NULL, 0, NULL, 0, out) == PSEUDO_OK &&
			  pseudo_siv_open(&key, bytes, NULL, 0, out, PSEUDO_TAG_LEN, NULL) == PSEUDO_OK,
			  "empty text by null pointers", 0);
		out[3] ^= 1;
		check(pseudo_siv_open(&key, bytes, NULL, 0, out, PSEUDO_TAG_LEN, NULL) == PSEUDO_NOT_AUTHENTIC,
			  "empty text refused by null pointers", 0);
	}
	check(pseudo_siv_use("no such implementation") == 0, "unknown implementation", 0);
	end_group("limits");
}

/* All of them. */
void
test_siv(void)
{
	test_agreement();
	test_limits();
}
