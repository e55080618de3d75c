/*
 * base64_portable.c
 *		Base64 on any processor; also what other implementations leave over.
 *
 * What base64 handles is public, so tables are fine here.
 */
#include "base64.h"

static const char alphabet[64] = {
	'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
	'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
	'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
	'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'
};

/* The value of each character plus one; 0 for those outside of the alphabet. */
static const uint8_t value_plus_one[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,
	['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64
};

/* Write the base64 text of len bytes. */
void
pseudo_base64_encode_portable(char *out, const uint8_t *in, size_t len)
{
	for (; len >= 3; len -= 3, in += 3, out += 4)
	{
		uint32_t	v = (uint32_t) in[0] << 16 | (uint32_t) in[1] << 8 | in[2];

		out[0] = alphabet[v >> 18];
		out[1] = alphabet[v >> 12 & 63];
		out[2] = alphabet[v >> 6 & 63];
		out[3] = alphabet[v & 63];
	}
	if (len > 0)
	{
		uint32_t	v = (uint32_t) in[0] << 16 | (len == 2 ? (uint32_t) in[1] << 8 : 0);

		out[0] = alphabet[v >> 18];
		out[1] = alphabet[v >> 12 & 63];
		out[2] = len == 2 ? alphabet[v >> 6 & 63] : '=';
		out[3] = '=';
	}
}

/*
 * Decode the last group of a text, 4 characters, canonical or not; the number of
 * bytes, 0 where it is malformed.
 */
static size_t
decode_last_group(uint8_t *out, const char *in)
{
	size_t		n = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
	uint32_t	v = 0;

	for (size_t i = 0; i < 4; i++)
	{
		uint32_t	value = 0;

		if (i <= n)
		{
			value = value_plus_one[(uint8_t) in[i]];
			if (value == 0)
				return 0;
			value--;
		}
		v = v << 6 | value;
	}
	if ((n == 1 && (v & 0xffff) != 0) || (n == 2 && (v & 0xff) != 0))
		return 0;				/* spare bits */
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t) (v >> (16 - 8 * i));
	return n;
}

/* Decode canonical base64 text of len characters. */
pseudo_status
pseudo_base64_decode_portable(uint8_t *out, size_t *out_len, const char *in, size_t len)
{
	uint8_t    *end = out;
	size_t		last;

	*out_len = 0;
	if (len == 0)
		return PSEUDO_OK;
	if (len % 4 != 0)
		return PSEUDO_MALFORMED;
	for (; len > 4; len -= 4, in += 4, end += 3)
	{
		uint32_t	a = value_plus_one[(uint8_t) in[0]];
		uint32_t	b = value_plus_one[(uint8_t) in[1]];
		uint32_t	c = value_plus_one[(uint8_t) in[2]];
		uint32_t	d = value_plus_one[(uint8_t) in[3]];
		uint32_t	v;

		if (a == 0 || b == 0 || c == 0 || d == 0)
			return PSEUDO_MALFORMED;
		v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		end[0] = (uint8_t) (v >> 16);
		end[1] = (uint8_t) (v >> 8);
		end[2] = (uint8_t) v;
	}
	last = decode_last_group(end, in);
	if (last == 0)
		return PSEUDO_MALFORMED;
	*out_len = (size_t) (end - out) + last;
	return PSEUDO_OK;
}

/* This one runs everywhere. */
static int
base64_portable_supported(void)
{
	return 1;
}

const pseudo_base64_impl pseudo_base64_portable = {
	.name = "portable",
	.supported = base64_portable_supported,
	.encode = pseudo_base64_encode_portable,
	.decode = pseudo_base64_decode_portable
};
