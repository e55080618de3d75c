/*
 * siv_arm.c
 *		AES-GCM-SIV on ARMv8 with the cryptographic extension, AES and PMULL.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_ARM

#include "arm_neon_crypto.h"

/* Attributes, not -m flags: PGXS compiles bitcode without per-file flags. */
#define SIV_TARGET	ARM_CRYPTO_TARGET

typedef uint64x2_t block;

#define BYTES(v)		vreinterpretq_u8_u64(v)
#define WORDS(v)		vreinterpretq_u32_u64(v)
#define FROM_BYTES(v)	vreinterpretq_u64_u8(v)
#define FROM_WORDS(v)	vreinterpretq_u64_u32(v)

#define load_block(p)			FROM_BYTES(vld1q_u8(p))
#define store_block(p, v)		vst1q_u8(p, BYTES(v))
#define make_block(low, high)	vcombine_u64(vcreate_u64(low), vcreate_u64(high))
#define low_half(v)				vgetq_lane_u64(v, 0)
#define high_half(v)			vgetq_lane_u64(v, 1)

/*
 * AESE is an exclusive or with a round key, then SubBytes and ShiftRows: the key before
 * is what it adds, and only the last round adds one more.
 */
SIV_INLINE block
aes_round(block v, block before, block k)
{
	(void) k;
	return FROM_BYTES(vaesmcq_u8(vaeseq_u8(BYTES(v), BYTES(before))));
}

/* The last round of AES. */
SIV_INLINE block
aes_last(block v, block before, block k)
{
	return FROM_BYTES(vaeseq_u8(BYTES(v), BYTES(before))) ^ k;
}

#define aes_first(v, k)		((void) (k), v)
#define sub_bytes(v, k)		(FROM_BYTES(vaeseq_u8(BYTES(v), vdupq_n_u8(0))) ^ (k))

#define LANES				1
#define swap_halves(v)		vextq_u64(v, v, 1)
#define low_halves(a, b)	vzip1q_u64(a, b)
#define add32(a, b)			FROM_WORDS(vaddq_u32(WORDS(a), WORDS(b)))
#define shift_1_word(v)		FROM_BYTES(vextq_u8(vdupq_n_u8(0), BYTES(v), 12))
#define shift_2_words(v)	FROM_BYTES(vextq_u8(vdupq_n_u8(0), BYTES(v), 8))
#define last_word(v)		FROM_WORDS(vdupq_laneq_u32(WORDS(v), 3))
#define last_word_rotated(v)	FROM_BYTES(vqtbl1q_u8(BYTES(v), vreinterpretq_u8_u32(vdupq_n_u32(0x0c0f0e0d))))

/* Carry-less product of the low halves. */
SIV_INLINE block
clmul_low(block a, block b)
{
	return vreinterpretq_u64_p128(vmull_p64((poly64_t) vgetq_lane_u64(a, 0),
											(poly64_t) vgetq_lane_u64(b, 0)));
}

/* Carry-less product of the high halves. */
SIV_INLINE block
clmul_high(block a, block b)
{
	return vreinterpretq_u64_p128(vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
}

/* The sum of the products of a low half with a high one. */
SIV_INLINE block
clmul_cross(block a, block b)
{
	block		swapped = swap_halves(b);

	return clmul_low(a, swapped) ^ clmul_high(a, swapped);
}

/* Clear the registers, which a signal or the dynamic linker would save. */
#define CLEAR(i)	"movi v" #i ".2d, #0\n\t"
#define CLEAR_REGISTERS() \
	__asm__ volatile( \
					 CLEAR(0) CLEAR(1) CLEAR(2) CLEAR(3) CLEAR(4) CLEAR(5) CLEAR(6) CLEAR(7) \
					 CLEAR(8) CLEAR(9) CLEAR(10) CLEAR(11) CLEAR(12) CLEAR(13) CLEAR(14) CLEAR(15) \
					 CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) \
					 CLEAR(24) CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31) \
					 : : \
					 : "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", \
					 "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
					 "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", \
					 "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31")

#include "siv_block.h"
#include "siv_long.h"
#include "siv_single.h"
#include "siv_batch.h"

/* Whether this processor has all the instructions used here. */
static int
siv_arm_supported(void)
{
	return cpu_has(CPU_AES | CPU_PMULL);
}

const pseudo_siv_impl pseudo_siv_arm = {
	.supported = siv_arm_supported,
	SIV_FUNCTIONS
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_arm_left_out;

#endif							/* PSEUDO_HAVE_ARM */
