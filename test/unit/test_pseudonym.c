/*
 * test_pseudonym.c
 *		Pseudonyms, whole and by their parts.
 */
#include "harness.h"

/* Prefixes are written, read, and not imagined. */
static void
test_prefix(void)
{
	uint8_t		bytes[64] = {0};
	uint32_t	key_id;
	static const uint32_t ids[] = {0, 1, 0x01020304, 0x7fffffff, 0x80000000, UINT32_MAX};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
	{
		uint8_t		expected[5] = {1, (uint8_t) (ids[i] >> 24), (uint8_t) (ids[i] >> 16),
		(uint8_t) (ids[i] >> 8), (uint8_t) ids[i]};

		pseudo_prefix_write(bytes, ids[i]);
		check(memcmp(bytes, expected, 5) == 0 && bytes[5] == 0, "prefix written", ids[i]);
		for (size_t len = 0; len <= sizeof(bytes); len++)
		{
			bool		found;

			key_id = ~ids[i];
			found = pseudo_prefix_read(bytes, len, &key_id);
			check(found == (len >= 33) && key_id == (found ? ids[i] : ~ids[i]), "prefix read", len);
		}
	}
	for (int c = 0; c < 256; c++)
	{
		bytes[0] = (uint8_t) c;
		check(pseudo_prefix_read(bytes, sizeof(bytes), &key_id) == (c == 1), "first byte", (unsigned) c);
	}
	end_group("prefixes");
}

/* One pseudonym, made and taken apart by its parts. */
static void
one_pseudonym(size_t len, bool has_prefix, bool random_mode, size_t aad_len)
{
	size_t		n_prefix = has_prefix ? PSEUDO_PREFIX_LEN : 0;
	size_t		n = PSEUDO_BASE64_LEN(n_prefix + PSEUDO_OVERHEAD + len);
	uint8_t    *value = allocate_random(len);
	uint8_t    *aad = allocate_random(aad_len);
	char	   *text = (char *) allocate(n);
	uint8_t    *bytes = allocate(PSEUDO_BASE64_BYTES(n));
	uint8_t    *sealed = allocate(len + PSEUDO_TAG_LEN);
	uint8_t    *opened = allocate(len);
	uint8_t		key_bytes[32];
	uint8_t		nonce[12];
	size_t		n_bytes;
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	random_bytes(key_bytes, 32);
	check(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK &&
		  pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 7) == PSEUDO_OK, "keys", len);
	check(pseudo_pseudonym_seal(text, &key, has_prefix, 0xdeadbeef, random_mode ? NULL : &nonce_key,
								aad, aad_len, value, len) == PSEUDO_OK, "pseudonym", len);
	check(pseudo_base64_decode(bytes, &n_bytes, text, n) == PSEUDO_OK &&
		  n_bytes == n_prefix + PSEUDO_OVERHEAD + len, "its bytes", len);
	if (has_prefix)
		check(memcmp(bytes, "\001\336\255\276\357", 5) == 0, "its prefix", len);
	if (!random_mode)
	{
		slow_nonce(nonce, key_bytes, 32, 7, value, len);
		check(memcmp(bytes + n_prefix, nonce, 12) == 0, "its nonce", len);
	}
	check(pseudo_siv_seal(&key, bytes + n_prefix, aad, aad_len, value, len, sealed) == PSEUDO_OK &&
		  memcmp(sealed, bytes + n_prefix + 12, len + PSEUDO_TAG_LEN) == 0, "its ciphertext", len);
	check(pseudo_pseudonym_open(opened, &key, aad, aad_len, bytes + n_prefix, n_bytes - n_prefix) == PSEUDO_OK &&
		  memcmp(opened, value, len) == 0, "its value", len);
	bytes[n_prefix + random_below(n_bytes - n_prefix)] ^= 4;
	check(pseudo_pseudonym_open(opened, &key, aad, aad_len, bytes + n_prefix, n_bytes - n_prefix) == PSEUDO_NOT_AUTHENTIC &&
		  all_zero(opened, len), "altered", len);
	free(value);
	free(aad);
	free(text);
	free(bytes);
	free(sealed);
	free(opened);
}

/* Whole pseudonyms of all lengths, in each implementation. */
static void
test_whole(void)
{
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		for (size_t len = 0; len <= 300; len++)
			for (int mode = 0; mode < 4; mode++)
				one_pseudonym(len, mode & 1, mode & 2, len % 3 == 0 ? 0 : len % 40);
		one_pseudonym(MIB, true, false, 9);
	}
	end_group("pseudonyms");
}

/* Both. */
void
test_pseudonyms(void)
{
	test_prefix();
	test_whole();
}
