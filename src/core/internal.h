/*
 * internal.h
 *		What the files of the core share with each other, and with nobody else:
 *		byte order, wiping, and the implementations of AES-GCM-SIV.
 */
#ifndef PSEUDO_CORE_INTERNAL_H
#define PSEUDO_CORE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aes_gcm_siv.h"
#include "hmac.h"

/* The most bytes of plaintext, and of AAD: RFC 8452 section 6. */
#define PSEUDO_SIV_MAX_LEN	(UINT64_C(1) << 36)

#if !defined(PSEUDO_PORTABLE_ONLY)
#if defined(__x86_64__)
#define PSEUDO_HAVE_X86 1
extern const pseudo_siv_impl pseudo_siv_vaes;
extern const pseudo_siv_impl pseudo_siv_x86;
extern const pseudo_hmac_impl pseudo_hmac_x86;
extern void pseudo_siv_vaes_seal_batch(const pseudo_siv_key *key, const uint8_t *aad,
									   size_t aad_len, pseudo_siv_item *items, size_t n);
extern void pseudo_siv_vaes_open_batch(const pseudo_siv_key *key, const uint8_t *aad,
									   size_t aad_len, pseudo_siv_item *items, size_t n);
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define PSEUDO_HAVE_ARM 1
extern const pseudo_siv_impl pseudo_siv_arm;
extern const pseudo_hmac_impl pseudo_hmac_arm;
#endif
#endif
extern const pseudo_siv_impl pseudo_siv_portable;

#if defined(PSEUDO_HAVE_ARM) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(PSEUDO_HAVE_ARM)
/* Bits of AT_HWCAP, by their numbers in the kernel's interface. */
#define CPU_AES			(1u << 3)
#define CPU_PMULL		(1u << 4)
#define CPU_SHA2		(1u << 6)

/* Whether the processor has all of these features; every Apple one has. */
static inline int
cpu_has(unsigned long features)
{
#if defined(__linux__)
	return (getauxval(AT_HWCAP) & features) == features;
#elif defined(__APPLE__)
	return features != 0;
#else
	return features == 0;
#endif
}
#endif

#if defined(__x86_64__)
#include <cpuid.h>

/* Bits of CPUID leaf 1, register ECX. */
#define CPU_PCLMULQDQ	(1u << 1)
#define CPU_SSSE3		(1u << 9)
#define CPU_SSE4_1		(1u << 19)
#define CPU_AES			(1u << 25)
#define CPU_OSXSAVE		(1u << 27)
#define CPU_AVX			(1u << 28)

/* Bits of CPUID leaf 7, registers EBX and ECX. */
#define CPU_AVX2		(1u << 5)
#define CPU_SHA			(1u << 29)
#define CPU_VAES		(1u << 9)
#define CPU_VPCLMULQDQ	(1u << 10)

/*
 * Whether the processor has all of these features.  Not __builtin_cpu_supports:
 * its hidden symbol of libgcc could not be resolved from inlined bitcode.
 */
static inline int
cpu_has(unsigned features)
{
	unsigned	eax,
				ebx,
				ecx,
				edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & features) == features;
}

/* The same for leaf 7. */
static inline int
cpu_has_7(unsigned ebx_features, unsigned ecx_features)
{
	unsigned	eax,
				ebx,
				ecx,
				edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
		(ebx & ebx_features) == ebx_features && (ecx & ecx_features) == ecx_features;
}

/* Whether there is AVX2, and the operating system saves its registers (XCR0, bits 1 and 2). */
static inline int
cpu_has_avx2(void)
{
	unsigned	low,
				high;

	if (!cpu_has(CPU_OSXSAVE | CPU_AVX) || !cpu_has_7(CPU_AVX2, 0))
		return 0;
	__asm__ volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return (low & 6) == 6;
}
#endif

/* How the implementations for one processor declare their functions. */
#define SIV_INLINE		static inline __attribute__((always_inline)) SIV_TARGET
#define SIV_NOINLINE	static __attribute__((noinline)) SIV_TARGET

/* Clear the stack below the caller, where functions that it called had secrets. */
extern void pseudo_burn_stack(void);

/* Zero len bytes at p, in a way that the compiler may not leave out. */
static inline void
wipe(void *p, size_t len)
{
	if (len > 0)
		memset(p, 0, len);
	__asm__ volatile("" : : "r" (p) : "memory");
}

/* Read 4 bytes at p, little-endian. */
static inline uint32_t
load32_le(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 |
		(uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* Read 8 bytes at p, little-endian. */
static inline uint64_t
load64_le(const uint8_t *p)
{
	return (uint64_t) load32_le(p) | (uint64_t) load32_le(p + 4) << 32;
}

/* Write v to 4 bytes at p, little-endian. */
static inline void
store32_le(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) v;
	p[1] = (uint8_t) (v >> 8);
	p[2] = (uint8_t) (v >> 16);
	p[3] = (uint8_t) (v >> 24);
}

/* Write v to 8 bytes at p, little-endian. */
static inline void
store64_le(uint8_t *p, uint64_t v)
{
	store32_le(p, (uint32_t) v);
	store32_le(p + 4, (uint32_t) (v >> 32));
}

/* Write v to 4 bytes at p, big-endian. */
static inline void
store32_be(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) (v >> 24);
	p[1] = (uint8_t) (v >> 16);
	p[2] = (uint8_t) (v >> 8);
	p[3] = (uint8_t) v;
}

#endif							/* PSEUDO_CORE_INTERNAL_H */
