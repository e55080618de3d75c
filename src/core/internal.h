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
#include "base64.h"
#include "hmac.h"

/* The most bytes of plaintext, and of AAD: RFC 8452 section 6. */
#define PSEUDO_SIV_MAX_LEN	(UINT64_C(1) << 36)

#if !defined(PSEUDO_PORTABLE_ONLY)
#if defined(__x86_64__)
#define PSEUDO_HAVE_X86 1
extern const pseudo_siv_impl pseudo_siv_avx512;
extern const pseudo_siv_impl pseudo_siv_vaes;
extern const pseudo_siv_impl pseudo_siv_x86;
extern const pseudo_base64_impl pseudo_base64_avx512;
extern const pseudo_base64_impl pseudo_base64_avx2;
extern const pseudo_hmac_impl pseudo_hmac_avx512;
extern const pseudo_hmac_impl pseudo_hmac_x86;
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
#define CPU_BMI2		(1u << 8)
#define CPU_AVX512F		(1u << 16)
#define CPU_AVX512DQ	(1u << 17)
#define CPU_SHA			(1u << 29)
#define CPU_AVX512BW	(1u << 30)
#define CPU_AVX512VL	(1u << 31)
#define CPU_AVX512VBMI	(1u << 1)
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

/* Whether the operating system saves these registers: bits of XCR0. */
static inline int
os_saves(unsigned registers)
{
	unsigned	low,
				high;

	if (!cpu_has(CPU_OSXSAVE | CPU_AVX))
		return 0;
	__asm__ volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return (low & registers) == registers;
}

/* Whether there is AVX2: XMM and YMM. */
static inline int
cpu_has_avx2(void)
{
	return os_saves(0x06) && cpu_has_7(CPU_AVX2, 0);
}

/* The mask of the first n (at most 64) bytes, with BMI2. */
#define BYTE_MASK(n)	_bzhi_u64(UINT64_MAX, (unsigned) (n))

/*
 * Whether there is all of AVX-512 that is used here: XMM, YMM, masks, ZMM.  The processors
 * before Ice Lake, which slow down for wide registers, lack VAES and VBMI.
 */
static inline int
cpu_has_avx512(void)
{
	return os_saves(0xe6) && cpu_has(CPU_AES | CPU_PCLMULQDQ) &&
		cpu_has_7(CPU_AVX2 | CPU_BMI2 | CPU_AVX512F | CPU_AVX512DQ | CPU_AVX512BW | CPU_AVX512VL | CPU_SHA,
				  CPU_AVX512VBMI | CPU_VAES | CPU_VPCLMULQDQ);
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
