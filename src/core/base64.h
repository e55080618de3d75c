/*
 * base64.h
 *		Implementations of base64, RFC 4648 section 4, for pseudo_base64_encode and
 *		pseudo_base64_decode (pseudonym.h).
 */
#ifndef PSEUDO_CORE_BASE64_H
#define PSEUDO_CORE_BASE64_H

#include "pseudonym.h"

/* One implementation.  The functions take what the public ones take. */
typedef struct pseudo_base64_impl
{
	const char *name;
	int			(*supported) (void);
	void		(*encode) (char *out, const uint8_t *in, size_t len);
	pseudo_status (*decode) (uint8_t *out, size_t *out_len, const char *in, size_t len);
} pseudo_base64_impl;

/* The implementations, of which some are compiled for each kind of processor: see cpu.h. */
extern const pseudo_base64_impl pseudo_base64_avx512;
extern const pseudo_base64_impl pseudo_base64_avx2;
extern const pseudo_base64_impl pseudo_base64_portable;

/* Every implementation compiled in, best first, NULL at the end. */
extern const pseudo_base64_impl *const pseudo_base64_impls[];

/* The implementation in use: the best that this processor supports. */
extern const pseudo_base64_impl *pseudo_base64_get_impl(void);

/* Use the implementation of this name; 0 where there is none or the processor
 * lacks it.  For tests and benchmarks. */
extern int	pseudo_base64_use(const char *name);

/* The one that runs everywhere, which also does what others leave over. */
extern void pseudo_base64_encode_portable(char *out, const uint8_t *in, size_t len);
extern pseudo_status pseudo_base64_decode_portable(uint8_t *out, size_t *out_len,
												   const char *in, size_t len);

#endif							/* PSEUDO_CORE_BASE64_H */
