/*
 * arm_neon_crypto.h
 *		arm_neon.h with the intrinsics of the cryptographic extension.
 *
 * clang before 16 declares them only where the whole file is compiled for the extension,
 * which these macros pretend; each function that uses them has its target attribute.
 */
#if defined(__clang__) && __clang_major__ < 16
#ifndef __ARM_FEATURE_AES
#define __ARM_FEATURE_AES 1
#endif
#ifndef __ARM_FEATURE_SHA2
#define __ARM_FEATURE_SHA2 1
#endif
#ifndef __ARM_FEATURE_CRYPTO
#define __ARM_FEATURE_CRYPTO 1
#endif
#endif
#include <arm_neon.h>

#if defined(__clang__)
#define ARM_CRYPTO_TARGET	__attribute__((target("crypto")))
#else
#define ARM_CRYPTO_TARGET	__attribute__((target("+crypto")))
#endif
