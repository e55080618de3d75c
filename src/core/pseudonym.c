/*
 * pseudonym.c
 *		The text form of a pseudonym: base64, prefix, and the whole way from a
 *		value to its pseudonym.
 *
 * What base64 handles is public, so tables are fine here.
 */
#include "internal.h"
#include "nonce.h"
#include "pseudonym.h"

#if defined(__x86_64__) && !defined(PSEUDO_PORTABLE_ONLY)
#define HAVE_SSSE3 1
#include <immintrin.h>
#define SSSE3_TARGET	__attribute__((target("ssse3")))
#endif

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

/* ---- Sixteen characters at a time ---- */

#ifdef HAVE_SSSE3

/* Whether this processor has SSSE3; CPUID is slow, so it is asked once. */
static inline bool
have_ssse3(void)
{
	static int	answer = -1;

	if (answer < 0)
		answer = cpu_has(CPU_SSSE3);
	return answer > 0;
}

/* All ones in each byte of v that is low to high, else zeros. */
#define IN_RANGE(v, low, high) \
	_mm_and_si128(_mm_cmpgt_epi8((v), _mm_set1_epi8((low) - 1)), \
				  _mm_cmpgt_epi8(_mm_set1_epi8((high) + 1), (v)))

/*
 * Encode all groups of 12 bytes; how many bytes were encoded.  Reads eight bytes and
 * four, as what was just written in such pieces need not reach the cache first.
 */
SSSE3_TARGET static size_t
encode_ssse3(char *out, const uint8_t *in, size_t len)
{
	/* From bytes abc of each group to bacb: two 16-bit words, each with two digits whole. */
	const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
	/* The step from a digit to its character: lower case, each decimal digit, + and /, upper case. */
	const __m128i steps = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
										'0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
										'+' - 62, '/' - 63, 'A', 0, 0);
	size_t		done = 0;

	for (; len - done >= 12; done += 12, out += 16)
	{
		uint64_t	head;
		uint32_t	tail;
		__m128i		v,
					digits,
					part;

		memcpy(&head, in + done, 8);
		memcpy(&tail, in + done + 8, 4);
		v = _mm_unpacklo_epi64(_mm_cvtsi64_si128((long long) head), _mm_cvtsi32_si128((int) tail));
		v = _mm_shuffle_epi8(v, spread);

		/* Multiplication shifts each word by its own number of bits. */
		digits = _mm_or_si128(_mm_mulhi_epu16(_mm_and_si128(v, _mm_set1_epi32(0x0fc0fc00)),
											  _mm_set1_epi32(0x04000040)),
							  _mm_mullo_epi16(_mm_and_si128(v, _mm_set1_epi32(0x003f03f0)),
											  _mm_set1_epi32(0x01000010)));

		/* Digits 52 to 63 are in parts 1 to 12, lower ones in part 0, or 13 where upper case. */
		part = _mm_or_si128(_mm_subs_epu8(digits, _mm_set1_epi8(51)),
							_mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), digits), _mm_set1_epi8(13)));
		_mm_storeu_si128((__m128i *) (void *) out,
						 _mm_add_epi8(digits, _mm_shuffle_epi8(steps, part)));
	}
	return done;
}

/*
 * Decode 16 characters at a time, leaving at least one group; how many were
 * decoded.  Stops before characters outside of the alphabet.
 */
SSSE3_TARGET static size_t
decode_ssse3(uint8_t *out, const char *in, size_t len)
{
	const __m128i gather = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
	size_t		done = 0;

	for (; len - done > 16; done += 16, out += 12)
	{
		__m128i		text = _mm_loadu_si128((const __m128i *) (const void *) (in + done));
		__m128i		upper = IN_RANGE(text, 'A', 'Z');
		__m128i		lower = IN_RANGE(text, 'a', 'z');
		__m128i		digit = IN_RANGE(text, '0', '9');
		__m128i		plus = _mm_cmpeq_epi8(text, _mm_set1_epi8('+'));
		__m128i		slash = _mm_cmpeq_epi8(text, _mm_set1_epi8('/'));
		__m128i		known = _mm_or_si128(_mm_or_si128(_mm_or_si128(upper, lower),
													  _mm_or_si128(digit, plus)), slash);
		__m128i		v;
		uint64_t	first;
		uint32_t	last;

		if (_mm_movemask_epi8(known) != 0xffff)
			break;
		v = _mm_and_si128(upper, _mm_set1_epi8(-'A'));
		v = _mm_or_si128(v, _mm_and_si128(lower, _mm_set1_epi8(26 - 'a')));
		v = _mm_or_si128(v, _mm_and_si128(digit, _mm_set1_epi8(52 - '0')));
		v = _mm_or_si128(v, _mm_and_si128(plus, _mm_set1_epi8(62 - '+')));
		v = _mm_or_si128(v, _mm_and_si128(slash, _mm_set1_epi8(63 - '/')));
		v = _mm_add_epi8(v, text);

		/* Join pairs of six bits, then pairs of twelve, then drop the empty bytes. */
		v = _mm_maddubs_epi16(v, _mm_set1_epi32(0x01400140));
		v = _mm_madd_epi16(v, _mm_set1_epi32(0x00011000));
		v = _mm_shuffle_epi8(v, gather);
		first = (uint64_t) _mm_cvtsi128_si64(v);
		last = (uint32_t) _mm_cvtsi128_si32(_mm_srli_si128(v, 8));
		memcpy(out, &first, 8);
		memcpy(out + 8, &last, 4);
	}
	return done;
}

#endif							/* HAVE_SSSE3 */

/* ---- Base64, RFC 4648 section 4 ---- */

/*
 * Write the base64 text of len bytes.
 *
 * Where in is the end of the room for the text, writing never overtakes reading: n
 * groups make 4n characters, so that in starts at least n behind out, and each
 * group written gains on what is read by one.
 */
void
pseudo_base64_encode(char *out, const uint8_t *in, size_t len)
{
#ifdef HAVE_SSSE3
	if (len >= 12 && have_ssse3())
	{
		size_t		done = encode_ssse3(out, in, len);

		out += done / 3 * 4;
		in += done;
		len -= done;
	}
#endif
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
pseudo_base64_decode(uint8_t *out, size_t *out_len, const char *in, size_t len)
{
	uint8_t    *end = out;
	size_t		last;

	*out_len = 0;
	if (len == 0)
		return PSEUDO_OK;
	if (len % 4 != 0)
		return PSEUDO_MALFORMED;
#ifdef HAVE_SSSE3
	if (len > 16 && have_ssse3())
	{
		size_t		done = decode_ssse3(out, in, len);

		end += done / 4 * 3;
		in += done;
		len -= done;
	}
#endif
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

/* ---- Prefix ---- */

/* Write Tink's output prefix for a key id. */
void
pseudo_prefix_write(uint8_t *out, uint32_t key_id)
{
	out[0] = 0x01;
	store32_be(out + 1, key_id);
}

/* The key id that the prefix of a decoded pseudonym claims, if there is one. */
bool
pseudo_prefix_read(const uint8_t *bytes, size_t len, uint32_t *key_id)
{
	if (len < PSEUDO_PREFIX_LEN + PSEUDO_OVERHEAD || bytes[0] != 0x01)
		return false;
	*key_id = (uint32_t) bytes[1] << 24 | (uint32_t) bytes[2] << 16 |
		(uint32_t) bytes[3] << 8 | bytes[4];
	return true;
}

/* ---- The whole pseudonym ---- */

/* Bytes of a pseudonym of len bytes, before they are text. */
static inline size_t
pseudonym_bytes(bool has_prefix, size_t len)
{
	return (has_prefix ? PSEUDO_PREFIX_LEN : 0) + PSEUDO_OVERHEAD + len;
}

/* Where in the room for the text the nonce is: behind the prefix, of n bytes at the end. */
static inline uint8_t *
place_nonce(char *out, size_t n, bool has_prefix, uint32_t key_id)
{
	uint8_t    *bytes = (uint8_t *) out + PSEUDO_BASE64_LEN(n) - n;

	if (!has_prefix)
		return bytes;
	pseudo_prefix_write(bytes, key_id);
	return bytes + PSEUDO_PREFIX_LEN;
}

/* Make the pseudonym of a value: bytes at the end of the room, then text over them. */
pseudo_status
pseudo_pseudonym_seal(char *out, const pseudo_siv_key *key, bool has_prefix, uint32_t key_id,
					  const pseudo_nonce_key *nonce_key, const uint8_t *aad, size_t aad_len,
					  const uint8_t *value, size_t len)
{
	pseudo_status status = PSEUDO_OK;
	size_t		n = pseudonym_bytes(has_prefix, len);
	uint8_t    *nonce;

	if ((uint64_t) len > PSEUDO_SIV_MAX_LEN)
		return PSEUDO_TOO_LONG;

	nonce = place_nonce(out, n, has_prefix, key_id);
	if (nonce_key != NULL)
		pseudo_nonce_deterministic(nonce, nonce_key, value, len);
	else
		status = pseudo_nonce_random(nonce);
	if (status == PSEUDO_OK)
		status = pseudo_siv_seal(key, nonce, aad, aad_len, value, len, nonce + PSEUDO_NONCE_LEN);
	if (status == PSEUDO_OK)
		pseudo_base64_encode(out, (uint8_t *) out + PSEUDO_BASE64_LEN(n) - n, n);
	return status;
}

/* Open nonce || ciphertext || tag of len bytes. */
pseudo_status
pseudo_pseudonym_open(uint8_t *out, const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
					  const uint8_t *in, size_t len)
{
	if (len < PSEUDO_OVERHEAD)
		return PSEUDO_MALFORMED;
	return pseudo_siv_open(key, in, aad, aad_len,
						   in + PSEUDO_NONCE_LEN, len - PSEUDO_NONCE_LEN, out);
}

/* ---- Many at a time ---- */

/* What is worked on at a time: a multiple of what the parts take at once, and still in the cache. */
#define CHUNK	64

/* The messages of a chunk, and which items they are: some items may fail before. */
typedef struct chunk
{
	size_t		n;
	pseudo_siv_item siv[CHUNK];
	pseudo_batch_item *items[CHUNK];
} chunk;

/* Write the nonces of a chunk; those that fail drop out. */
static void
make_nonces(chunk *c, const pseudo_nonce_key *nonce_key)
{
	uint8_t    *nonces[CHUNK];
	const uint8_t *values[CHUNK];
	size_t		lens[CHUNK];
	size_t		kept = 0;

	for (size_t i = 0; i < c->n; i++)
	{
		nonces[i] = c->siv[i].out - PSEUDO_NONCE_LEN;
		values[i] = c->siv[i].in;
		lens[i] = c->siv[i].in_len;
	}
	if (nonce_key != NULL)
	{
		pseudo_nonce_deterministic_batch(nonces, nonce_key, values, lens, c->n);
		return;
	}
	for (size_t i = 0; i < c->n; i++)
	{
		c->items[i]->status = pseudo_nonce_random(nonces[i]);
		if (c->items[i]->status != PSEUDO_OK)
			continue;
		c->siv[kept] = c->siv[i];
		c->items[kept++] = c->items[i];
	}
	c->n = kept;
}

/* Make the pseudonyms of n values, CHUNK at a time. */
void
pseudo_pseudonym_seal_batch(pseudo_batch_item *items, size_t n, const pseudo_siv_key *key,
							bool has_prefix, uint32_t key_id, const pseudo_nonce_key *nonce_key,
							const uint8_t *aad, size_t aad_len)
{
	chunk		c;

	if (n == 1)
	{
		items->out_len = PSEUDO_BASE64_LEN(pseudonym_bytes(has_prefix, items->len));
		items->status = pseudo_pseudonym_seal(items->out, key, has_prefix, key_id, nonce_key,
											  aad, aad_len, items->in, items->len);
		return;
	}
	while (n > 0)
	{
		for (c.n = 0; n > 0 && c.n < CHUNK; n--, items++)
		{
			size_t		n_bytes = pseudonym_bytes(has_prefix, items->len);
			uint8_t    *nonce;

			if ((uint64_t) items->len > PSEUDO_SIV_MAX_LEN)
			{
				items->status = PSEUDO_TOO_LONG;
				continue;
			}
			nonce = place_nonce(items->out, n_bytes, has_prefix, key_id);
			items->out_len = PSEUDO_BASE64_LEN(n_bytes);
			c.items[c.n] = items;
			c.siv[c.n++] = (pseudo_siv_item) {
				.nonce = nonce, .in = items->in, .in_len = items->len, .out = nonce + PSEUDO_NONCE_LEN
			};
		}
		make_nonces(&c, nonce_key);
		pseudo_siv_seal_batch(key, aad, aad_len, c.siv, c.n);
		for (size_t i = 0; i < c.n; i++)
		{
			char	   *out = c.items[i]->out;
			const uint8_t *bytes = c.siv[i].nonce - (has_prefix ? PSEUDO_PREFIX_LEN : 0);
			const uint8_t *end = (uint8_t *) out + c.items[i]->out_len;

			c.items[i]->status = c.siv[i].status;
			if (c.siv[i].status == PSEUDO_OK)
				pseudo_base64_encode(out, bytes, (size_t) (end - bytes));
		}
	}
}

/* Open n pseudonyms, CHUNK at a time. */
void
pseudo_pseudonym_open_batch(pseudo_batch_item *items, size_t n, const pseudo_siv_key *key,
							const uint8_t *aad, size_t aad_len)
{
	chunk		c;

	if (n == 1)
	{
		items->out_len = items->len - PSEUDO_OVERHEAD;
		items->status = pseudo_pseudonym_open(items->out, key, aad, aad_len, items->in, items->len);
		return;
	}
	while (n > 0)
	{
		for (c.n = 0; n > 0 && c.n < CHUNK; n--, items++)
		{
			if (items->len < PSEUDO_OVERHEAD)
			{
				items->status = PSEUDO_MALFORMED;
				continue;
			}
			items->out_len = items->len - PSEUDO_OVERHEAD;
			c.items[c.n] = items;
			c.siv[c.n++] = (pseudo_siv_item) {
				.nonce = items->in, .in = items->in + PSEUDO_NONCE_LEN,
				.in_len = items->len - PSEUDO_NONCE_LEN, .out = items->out
			};
		}
		pseudo_siv_open_batch(key, aad, aad_len, c.siv, c.n);
		for (size_t i = 0; i < c.n; i++)
			c.items[i]->status = c.siv[i].status;
	}
}
