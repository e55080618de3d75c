/*
 * siv_avx512vl.c
 *		AES-GCM-SIV on x86_64 with VAES, VPCLMULQDQ and AVX-512, in registers of two blocks.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "siv.h"
#include "wipe.h"

#ifdef PSEUDO_HAVE_X86

#define SIV_TARGET	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,aes,pclmul,vaes,vpclmulqdq")))
#include "siv_x86.h"
#include "siv_x86_masks.h"
#include "siv_x86_ymm.h"

#define load_text(p, len)	_mm256_maskz_loadu_epi8((__mmask32) BYTE_MASK(len), p)
#define store_text(p, v, len)	_mm256_mask_storeu_epi8(p, (__mmask32) BYTE_MASK(len), v)
#define keep_text(v, len)	_mm256_maskz_mov_epi8((__mmask32) BYTE_MASK(len), v)

#include "siv_block.h"
#include "siv_long.h"
#include "siv_single.h"
#include "siv_batch.h"

const pseudo_siv_impl pseudo_siv_avx512vl = {
	.supported = cpu_has_avx512,
	SIV_FUNCTIONS
};

#else

/* ISO C wants a declaration in every file. */
typedef int pseudo_siv_avx512vl_left_out;

#endif							/* PSEUDO_HAVE_X86 */
