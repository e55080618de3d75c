/*
 * fuzz_pseudonym.c
 *		The text form, in each implementation: whatever decodes is the one spelling of
 *		its bytes, in place or not; a prefix is read as it is written; what does not open is zeroed.
 *
 * An input is the text.
 */
#include "fuzz.h"

/* What decodes encodes to the same text. */
static void
check_spelling(const char *text, size_t len, const uint8_t *bytes, size_t n)
{
	char	   *again = (char *) room(PSEUDO_BASE64_LEN(n));

	MUST(PSEUDO_BASE64_LEN(n) == len);
	pseudo_base64_encode(again, bytes, n);
	MUST(memcmp(again, text, len) == 0);
	memcpy(again + len - n, bytes, n);
	pseudo_base64_encode(again, (const uint8_t *) again + len - n, n);
	MUST(memcmp(again, text, len) == 0);
	free(again);
}

/* Decoded bytes: prefix, nonce, ciphertext, tag. */
static void
check_bytes(const uint8_t *bytes, size_t n)
{
	static const uint8_t key_bytes[32] = {1};
	pseudo_siv_key key;
	uint32_t	key_id = 0;
	uint8_t		prefix[PSEUDO_PREFIX_LEN];
	size_t		skip = 0;
	uint8_t    *out;
	pseudo_status status;

	MUST(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK);
	if (pseudo_prefix_read(bytes, n, &key_id))
	{
		pseudo_prefix_write(prefix, key_id);
		MUST(memcmp(prefix, bytes, PSEUDO_PREFIX_LEN) == 0);
		skip = PSEUDO_PREFIX_LEN;
	}
	out = room(n);
	status = pseudo_pseudonym_open(out, &key, NULL, 0, bytes + skip, n - skip);
	MUST(status == (n - skip < PSEUDO_OVERHEAD ? PSEUDO_MALFORMED : PSEUDO_NOT_AUTHENTIC));
	if (status == PSEUDO_NOT_AUTHENTIC)
		for (size_t i = 0; i < n - skip - PSEUDO_OVERHEAD; i++)
			MUST(out[i] == 0);
	free(out);
}

/* All that must hold, for the implementations in use. */
static void
check_text(const uint8_t *data, size_t size)
{
	input		in = {data, size};
	size_t		len = size;
	uint8_t    *text = take(&in, &len);
	uint8_t    *bytes = room(PSEUDO_BASE64_BYTES(len));
	size_t		n = 0;
	size_t		n_in_place = 0;
	pseudo_status status = pseudo_base64_decode(bytes, &n, (const char *) text, len);

	if (status == PSEUDO_OK)
	{
		check_spelling((const char *) text, len, bytes, n);
		check_bytes(bytes, n);
	}
	MUST(pseudo_base64_decode(text, &n_in_place, (const char *) text, len) == status);
	if (status == PSEUDO_OK)
		MUST(n_in_place == n && memcmp(text, bytes, n) == 0);

	/* Any bytes have a text, and it decodes. */
	check_bytes(data, size);
	free(text);
	text = room(PSEUDO_BASE64_LEN(size));
	pseudo_base64_encode((char *) text, data, size);
	MUST(pseudo_base64_decode(text, &n, (const char *) text, PSEUDO_BASE64_LEN(size)) == PSEUDO_OK &&
		 n == size && memcmp(text, data, size) == 0);
	free(text);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int i = 0; i < count_impls(); i++)
	{
		use_impl(i);
		check_text(data, size);
	}
	return 0;
}
