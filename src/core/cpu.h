/*
 * cpu.h
 *		What this processor can do, for the implementations that need more than any processor has.
 *
 * PSEUDO_HAVE_X86 or PSEUDO_HAVE_ARM says that implementations for it are compiled; -DPSEUDO_PORTABLE_ONLY
 * leaves them all out.
 */
#ifndef PSEUDO_CORE_CPU_H
#define PSEUDO_CORE_CPU_H

#include <stdint.h>

#if !defined(PSEUDO_PORTABLE_ONLY)
#if defined(__x86_64__)
#define PSEUDO_HAVE_X86 1
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define PSEUDO_HAVE_ARM 1
#endif
#endif

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

/* Whether this is a processor of AMD, of this family. */
static inline int
cpu_is_amd(unsigned family)
{
	unsigned	eax,
				ebx,
				ecx,
				edx;

	if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx) || ebx != signature_AMD_ebx || !__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return 0;
	return (eax >> 8 & 0xf) + (eax >> 20 & 0xff) == family;
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

#endif							/* PSEUDO_CORE_CPU_H */
