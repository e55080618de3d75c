/*
 * base64.c
 *		Base64, RFC 4648 section 4: which implementation serves.
 *
 * Where the bytes to encode are the end of the room for the text, writing never overtakes
 * reading: n groups make 4n characters, so that the bytes start at least n behind the
 * text, and each group written gains on what is read by one.  Decoding in place writes less
 * than it has read.
 */
#include <string.h>

#include "base64.h"
#include "cpu.h"

const pseudo_base64_impl *const pseudo_base64_impls[] = {
#ifdef PSEUDO_HAVE_X86
	&pseudo_base64_avx512,
	&pseudo_base64_avx2,
#endif
	&pseudo_base64_portable,
	NULL
};

static const pseudo_base64_impl *base64_impl = NULL;

/* The implementation in use. */
const pseudo_base64_impl *
pseudo_base64_get_impl(void)
{
	if (base64_impl == NULL)
	{
		const pseudo_base64_impl *const *impl = pseudo_base64_impls;

		while (!(*impl)->supported())	/* the last one always is */
			impl++;
		base64_impl = *impl;
	}
	return base64_impl;
}

/* Use the implementation of this name from now on; 0 where that cannot be. */
int
pseudo_base64_use(const char *name)
{
	for (const pseudo_base64_impl *const *impl = pseudo_base64_impls; *impl != NULL; impl++)
	{
		if (strcmp((*impl)->name, name) == 0 && (*impl)->supported())
		{
			base64_impl = *impl;
			return 1;
		}
	}
	return 0;
}

/* Write the base64 text of len bytes. */
void
pseudo_base64_encode(char *out, const uint8_t *in, size_t len)
{
	pseudo_base64_get_impl()->encode(out, in, len);
}

/* Decode canonical base64 text of len characters. */
pseudo_status
pseudo_base64_decode(uint8_t *out, size_t *out_len, const char *in, size_t len)
{
	return pseudo_base64_get_impl()->decode(out, out_len, in, len);
}
