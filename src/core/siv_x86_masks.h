/*
 * siv_x86_masks.h
 *		What the implementations with AVX-512 share: memory is read and written under masks of
 *		bytes, and there are 32 registers.  Included after siv_x86.h.
 */
#define HAVE_MASKS
#define load_partial(p, len)	_mm_maskz_loadu_epi8((__mmask16) BYTE_MASK(len), p)
#define store_partial(p, v, len)	_mm_mask_storeu_epi8(p, (__mmask16) BYTE_MASK(len), v)
#define keep_bytes(v, len)	_mm_maskz_mov_epi8((__mmask16) BYTE_MASK(len), v)
#define load_before_tag(p, len)	load_text(p, len)
#define xor_before_tag(out, in, v, len)	store_text(out, load_text(in, len) ^ (v), len)

/* Clear the registers, which a signal or the dynamic linker would save. */
#define CLEAR(i)	"vpxord %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define CLEAR_REGISTERS() \
	__asm__ volatile("vzeroall\n\t" \
					 CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) \
					 CLEAR(24) CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31) \
					 : : \
					 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
					 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", \
					 "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
					 "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31")
