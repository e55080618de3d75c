/*
 * test_base64.c
 *		Base64 both ways, against OpenSSL: what is not canonical is refused.
 */
#include <openssl/evp.h>

#include "harness.h"

/*
 * Check that decoding, both ways, gives what the canonical rule says: text is
 * accepted where OpenSSL's encoder makes just this text of some bytes.
 */
static void
check_decode(const char *text, size_t len)
{
	char	   *copy = (char *) allocate(len);
	uint8_t    *out = allocate(PSEUDO_BASE64_BYTES(len));
	uint8_t		bytes[1024];
	uint8_t		again[1024];
	size_t		expected_len = 0;
	size_t		out_len = 12345;
	bool		valid = len % 4 == 0;
	pseudo_status status;

	memcpy(copy, text, len);
	if (valid && len > 0)
	{
		int			n = EVP_DecodeBlock(bytes, (const uint8_t *) text, (int) len);

		if (n < 0)
			valid = false;
		else
		{
			expected_len = (size_t) n - (size_t) (text[len - 1] == '=') -
				(size_t) (text[len - 1] == '=' && text[len - 2] == '=');
			valid = expected_len <= (size_t) n &&
				EVP_EncodeBlock(again, bytes, (int) expected_len) == (int) len &&
				memcmp(again, text, len) == 0;
		}
	}

	status = pseudo_base64_decode(out, &out_len, copy, len);
	if (valid)
		check(status == PSEUDO_OK && out_len == expected_len && memcmp(out, bytes, expected_len) == 0,
			  "canonical text accepted", len);
	else
		check(status == PSEUDO_MALFORMED, "other text refused", len);

	status = pseudo_base64_decode((uint8_t *) copy, &out_len, copy, len);
	check(valid ? status == PSEUDO_OK && out_len == expected_len && memcmp(copy, bytes, expected_len) == 0 :
		  status == PSEUDO_MALFORMED, "decoded in place", len);
	free(copy);
	free(out);
}

/* Encoding by an implementation, against OpenSSL's. */
static void
test_encode(const char *name)
{
	char		group[80];

	for (size_t len = 0; len <= 700; len++)
	{
		size_t		n = PSEUDO_BASE64_LEN(len);
		uint8_t    *bytes = allocate_random(len);
		char	   *text = (char *) allocate(n);
		char	   *overlapping = (char *) allocate(n);
		uint8_t		expected[1024] = {0};
		uint8_t    *decoded = allocate(PSEUDO_BASE64_BYTES(n));
		size_t		decoded_len;

		check(EVP_EncodeBlock(expected, bytes, (int) len) == (int) n, "length of the text", len);
		pseudo_base64_encode(text, bytes, len);
		check(memcmp(text, expected, n) == 0, "text", len);
		memcpy(overlapping + n - len, bytes, len);
		pseudo_base64_encode(overlapping, (uint8_t *) overlapping + n - len, len);
		check(memcmp(overlapping, expected, n) == 0, "text over its bytes", len);
		check(pseudo_base64_decode(decoded, &decoded_len, text, n) == PSEUDO_OK &&
			  decoded_len == len && memcmp(decoded, bytes, len) == 0, "and back", len);
		free(bytes);
		free(text);
		free(overlapping);
		free(decoded);
	}
	snprintf(group, sizeof(group), "base64 encoding, %s", name);
	end_group(group);
}

/* Every corruption of a text, for an implementation, each judged by check_decode. */
static void
test_decode(const char *name)
{
	char		group[80];
	static const char white_space[] = " \t\n\r\v\f";
	uint8_t		bytes[64];
	char		text[128];
	char		other[128];

	for (size_t len = 0; len <= 64; len++)
	{
		size_t		n = PSEUDO_BASE64_LEN(len);

		random_bytes(bytes, len);
		pseudo_base64_encode(text, bytes, len);
		check_decode(text, n);

		/* Every other byte at every place: url alphabet, white space, spare bits, zeros. */
		for (size_t i = 0; i < n; i++)
		{
			memcpy(other, text, n);
			for (int c = 0; c < 256; c++)
			{
				other[i] = (char) c;
				check_decode(other, n);
			}
		}
		/* Cut off anywhere: missing padding, missing characters. */
		for (size_t i = 0; i < n; i++)
			check_decode(text, i);
		/* Extra padding, in place of characters and after them. */
		for (size_t extra = 1; extra <= 8; extra++)
		{
			memcpy(other, text, n);
			memset(other + n, '=', extra);
			check_decode(other, n + extra);
			if (extra <= n)
			{
				memset(other + n - extra, '=', extra);
				check_decode(other, n);
			}
		}
		/* White space inserted: one, and four so that the length still fits. */
		for (size_t i = 0; i <= n; i++)
		{
			for (const char *w = white_space; *w != '\0'; w++)
			{
				for (size_t k = 1; k <= 4; k++)
				{
					memcpy(other, text, i);
					memset(other + i, *w, k);
					memcpy(other + i + k, text + i, n - i);
					check_decode(other, n + k);
				}
			}
		}
	}
	snprintf(group, sizeof(group), "base64 decoding, %s", name);
	end_group(group);
}

/* Both, in each implementation. */
void
test_base64(void)
{
	const char *best_base64 = pseudo_base64_get_impl()->name;

	for (const pseudo_base64_impl *const *impl = pseudo_base64_impls; *impl != NULL; impl++)
	{
		if (!pseudo_base64_use((*impl)->name))
			continue;
		test_encode((*impl)->name);
		test_decode((*impl)->name);
	}
	pseudo_base64_use(best_base64);
}
