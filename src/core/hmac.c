/*
 * hmac.c
 *		HMAC-SHA256: which implementation serves.
 */
#include <string.h>

#include "cpu.h"
#include "hmac.h"

const pseudo_hmac_impl *const pseudo_hmac_impls[] = {
#ifdef PSEUDO_HAVE_X86
	&pseudo_hmac_avx512,
	&pseudo_hmac_x86,
#endif
#ifdef PSEUDO_HAVE_ARM
	&pseudo_hmac_arm,
#endif
	&pseudo_hmac_portable,
	NULL
};

static const pseudo_hmac_impl *hmac_impl = NULL;

/* The implementation in use. */
const pseudo_hmac_impl *
pseudo_hmac_get_impl(void)
{
	if (hmac_impl == NULL)
	{
		const pseudo_hmac_impl *const *impl = pseudo_hmac_impls;

		while (!(*impl)->supported())	/* the last one always is */
			impl++;
		hmac_impl = *impl;
	}
	return hmac_impl;
}

/* Use the implementation of this name from now on; 0 where that cannot be. */
int
pseudo_hmac_use(const char *name)
{
	for (const pseudo_hmac_impl *const *impl = pseudo_hmac_impls; *impl != NULL; impl++)
	{
		if (strcmp((*impl)->name, name) == 0 && (*impl)->supported())
		{
			hmac_impl = *impl;
			return 1;
		}
	}
	return 0;
}
