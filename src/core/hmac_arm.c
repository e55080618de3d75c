/*
 * hmac_arm.c
 *		HMAC-SHA256 by the SHA2 instructions of ARMv8.
 */
#include <string.h>

#include "cpu.h"
#include "hmac.h"

#ifdef PSEUDO_HAVE_ARM

#include "arm_neon_crypto.h"

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SHA_TARGET	ARM_CRYPTO_TARGET
#define SHA_INLINE	static inline __attribute__((always_inline)) SHA_TARGET

typedef uint32x4_t words;

/* The words of the chaining value, in their order. */
typedef struct sha_state
{
	words		abcd;
	words		efgh;
} sha_state;

#define make_words(a, b, c, d) \
	vcombine_u32(vcreate_u32((uint64_t) (uint32_t) (a) | (uint64_t) (b) << 32), \
				 vcreate_u32((uint64_t) (uint32_t) (c) | (uint64_t) (d) << 32))
#define load_words(p)			vreinterpretq_u32_u8(vld1q_u8(p))
#define store_words(p, v)		vst1q_u8(p, vreinterpretq_u8_u32(v))
#define add_words(a, b)			vaddq_u32(a, b)
#define or_words(a, b)			vorrq_u32(a, b)
#define xor_words(a, b)			veorq_u32(a, b)
#define repeat_byte(b)			vreinterpretq_u32_u8(vdupq_n_u8(b))
#define swap_bytes(v)			vreinterpretq_u32_u8(vrev32q_u8(vreinterpretq_u8_u32(v)))

/* Read a chaining value of eight words. */
SHA_INLINE sha_state
load_state(const uint32_t *h)
{
	sha_state	s = {vld1q_u32(h), vld1q_u32(h + 4)};

	return s;
}

/* The chaining value as words a to d and e to h. */
SHA_INLINE void
state_words(sha_state s, words *abcd, words *efgh)
{
	*abcd = s.abcd;
	*efgh = s.efgh;
}

/* Add one chaining value to another. */
SHA_INLINE void
add_states(sha_state *s, sha_state more)
{
	s->abcd = add_words(s->abcd, more.abcd);
	s->efgh = add_words(s->efgh, more.efgh);
}

/* Four rounds. */
SHA_INLINE void
four_rounds(sha_state *s, words wk)
{
	words		abcd = s->abcd;

	s->abcd = vsha256hq_u32(abcd, s->efgh, wk);
	s->efgh = vsha256h2q_u32(s->efgh, abcd, wk);
}

/* The message schedule: words 16 to 19 after a (0 to 3) to d (12 to 15). */
#define next_words(a, b, c, d)	vsha256su1q_u32(vsha256su0q_u32(a, b), c, d)

#include "hmac_body.h"

/* Whether this processor has all the instructions used here. */
static int
hmac_arm_supported(void)
{
	return cpu_has(CPU_SHA2);
}

const pseudo_hmac_impl pseudo_hmac_arm = {
	.name = "armv8-sha2",
	.supported = hmac_arm_supported,
	.one = hmac_one,
	.key = hmac_key,
	.lanes = 4,
	.many = hmac_four
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_hmac_arm_left_out;

#endif							/* PSEUDO_HAVE_ARM */
