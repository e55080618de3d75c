/*
 * siv.c
 *		AES-GCM-SIV, RFC 8452: which implementation serves, and the limits that
 *		all of them share.
 *
 * The algorithm itself is in siv_portable.c and, for processors with instructions for
 * it, in a template of four headers: siv_block.h (what all need), siv_long.h (long
 * messages), siv_single.h (one message) and siv_batch.h (many short ones).  Each of siv_x86.c,
 * siv_vaes.c, siv_avx512vl.c, siv_avx512.c and siv_arm.c defines the operations on its vectors and then
 * includes these, in this order.
 */
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

/*
 * What is faster was measured.  With AVX-512, long messages and batches gain by vectors of 64 bytes.  One short
 * message leaves most of them empty, and is done by those of 32: on Sapphire Rapids by masks too, on Zen 4 by VAES.
 */
const pseudo_siv_choice pseudo_siv_choices[] = {
#ifdef PSEUDO_HAVE_X86
	{"x86_64-avx512, one by avx512vl", &pseudo_siv_avx512vl, &pseudo_siv_avx512},
	{"x86_64-avx512, one by vaes", &pseudo_siv_vaes, &pseudo_siv_avx512},
	{"x86_64-avx512", &pseudo_siv_avx512, &pseudo_siv_avx512},
	{"x86_64-avx512vl", &pseudo_siv_avx512vl, &pseudo_siv_avx512vl},
	{"x86_64-vaes", &pseudo_siv_vaes, &pseudo_siv_vaes},
	{"x86_64-aesni", &pseudo_siv_x86, &pseudo_siv_x86},
#endif
#ifdef PSEUDO_HAVE_ARM
	{"armv8-aes", &pseudo_siv_arm, &pseudo_siv_arm},
#endif
	{"portable", &pseudo_siv_portable, &pseudo_siv_portable},
	{NULL, NULL, NULL}
};

static const pseudo_siv_choice *siv_choice = NULL;

/* Whether the processor can do with a choice. */
static int
is_supported(const pseudo_siv_choice *choice)
{
	return choice->one->supported() && choice->many->supported();
}

/* Whether a choice is slower on this processor than one after it. */
static int
is_slow(const pseudo_siv_choice *choice)
{
#ifdef PSEUDO_HAVE_X86
	return choice->one == &pseudo_siv_avx512vl && cpu_is_amd(0x19);
#else
	(void) choice;
	return 0;
#endif
}

/* What is in use, the best that this processor supports. */
const pseudo_siv_choice *
pseudo_siv_get_choice(void)
{
	if (siv_choice == NULL)
	{
		const pseudo_siv_choice *choice = pseudo_siv_choices;

		while (!is_supported(choice) || is_slow(choice))	/* the last one always is, and never slow */
			choice++;
		siv_choice = choice;
	}
	return siv_choice;
}

/* Use the choice called name from now on; 0 where that cannot be. */
int
pseudo_siv_use(const char *name)
{
	for (const pseudo_siv_choice *choice = pseudo_siv_choices; choice->name != NULL; choice++)
	{
		if (strcmp(choice->name, name) == 0 && is_supported(choice))
		{
			siv_choice = choice;
			return 1;
		}
	}
	return 0;
}

/* The implementation for one message. */
static inline const pseudo_siv_impl *
impl_for(size_t aad_len, size_t text_len)
{
	const pseudo_siv_choice *choice = siv_choice != NULL ? siv_choice : pseudo_siv_get_choice();

	return pseudo_siv_is_long(aad_len, text_len) ? choice->many : choice->one;
}

/* Make a key-generating key of key_len bytes. */
pseudo_status
pseudo_siv_key_init(pseudo_siv_key *key, const uint8_t *bytes, size_t key_len)
{
	if (key_len != 16 && key_len != 32)
		return PSEUDO_BAD_KEY;

	memset(key, 0, sizeof(*key));
	memcpy(key->key, bytes, key_len);
	key->key_len = key_len;
	pseudo_siv_get_choice()->many->expand(key);
	return PSEUDO_OK;
}

/* Encrypt in_len bytes and append the tag. */
pseudo_status
pseudo_siv_seal(const pseudo_siv_key *key, const uint8_t *nonce,
				const uint8_t *aad, size_t aad_len,
				const uint8_t *in, size_t in_len, uint8_t *out)
{
	if (!pseudo_siv_fits(in_len, aad_len))
		return PSEUDO_TOO_LONG;
	return impl_for(aad_len, in_len)->seal(key, nonce, aad, aad_len, in, in_len, out);
}

/* Decrypt in_len bytes, of which the last PSEUDO_TAG_LEN are the tag, and verify. */
pseudo_status
pseudo_siv_open(const pseudo_siv_key *key, const uint8_t *nonce,
				const uint8_t *aad, size_t aad_len,
				const uint8_t *in, size_t in_len, uint8_t *out)
{
	if (in_len < PSEUDO_TAG_LEN)
		return PSEUDO_NOT_AUTHENTIC;
	if (!pseudo_siv_fits(in_len - PSEUDO_TAG_LEN, aad_len))
	{
		wipe(out, in_len - PSEUDO_TAG_LEN);
		return PSEUDO_TOO_LONG;
	}
	return impl_for(aad_len, in_len - PSEUDO_TAG_LEN)->open(key, nonce, aad, aad_len, in, in_len, out);
}

/* Seal n messages. */
void
pseudo_siv_seal_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
					  pseudo_siv_item *items, size_t n)
{
	const pseudo_siv_impl *impl = pseudo_siv_get_choice()->many;

	if (impl->seal_batch != NULL)
		impl->seal_batch(key, aad, aad_len, items, n);
	else
		for (size_t i = 0; i < n; i++)
			items[i].status = pseudo_siv_seal(key, items[i].nonce, aad, aad_len,
											  items[i].in, items[i].in_len, items[i].out);
}

/* Open n messages. */
void
pseudo_siv_open_batch(const pseudo_siv_key *key, const uint8_t *aad, size_t aad_len,
					  pseudo_siv_item *items, size_t n)
{
	const pseudo_siv_impl *impl = pseudo_siv_get_choice()->many;

	if (impl->open_batch != NULL)
		impl->open_batch(key, aad, aad_len, items, n);
	else
		for (size_t i = 0; i < n; i++)
			items[i].status = pseudo_siv_open(key, items[i].nonce, aad, aad_len,
											  items[i].in, items[i].in_len, items[i].out);
}
