/*
 * fuzz_open.c
 *		Opening anything: no implementation crashes, all agree, what is refused
 *		is zeroed, and what is sealed opens.
 *
 * An input is a byte of options, a byte for the length of the AAD, the AAD, a nonce,
 * and the rest, which is opened and, as a plaintext, sealed.
 */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input		in = {data, size};
	uint8_t		options = take_byte(&in);
	size_t		aad_len = take_byte(&in);
	uint8_t    *aad = take(&in, &aad_len);
	size_t		nonce_len = PSEUDO_NONCE_LEN;
	uint8_t    *nonce = take(&in, &nonce_len);
	size_t		len = in.size;
	uint8_t    *text = take(&in, &len);
	size_t		out_len = len < PSEUDO_TAG_LEN ? 0 : len - PSEUDO_TAG_LEN;
	uint8_t    *first = room(len + PSEUDO_TAG_LEN);
	uint8_t		key_bytes[32] = {7, options};

	for (int i = 0; nonce_len == PSEUDO_NONCE_LEN && i < count_impls(); i++)
	{
		pseudo_siv_key key;
		uint8_t    *out = room(out_len);
		uint8_t    *sealed = room(len + PSEUDO_TAG_LEN);
		uint8_t    *back = room(len);

		use_impl(i);
		MUST(pseudo_siv_key_init(&key, key_bytes, options & 1 ? 32 : 16) == PSEUDO_OK);
		MUST(pseudo_siv_open(&key, nonce, aad, aad_len, text, len, out) == PSEUDO_NOT_AUTHENTIC);
		for (size_t k = 0; k < out_len; k++)
			MUST(out[k] == 0);
		MUST(pseudo_siv_seal(&key, nonce, aad, aad_len, text, len, sealed) == PSEUDO_OK);
		if (i == 0)
			memcpy(first, sealed, len + PSEUDO_TAG_LEN);
		MUST(memcmp(first, sealed, len + PSEUDO_TAG_LEN) == 0);
		MUST(pseudo_siv_open(&key, nonce, aad, aad_len, sealed, len + PSEUDO_TAG_LEN, back) == PSEUDO_OK);
		MUST(memcmp(back, text, len) == 0);
		free(out);
		free(sealed);
		free(back);
	}
	free(aad);
	free(nonce);
	free(text);
	free(first);
	return 0;
}
