/*
 * harness.h
 *		What the tests of the core share: counting, random input, memory that ends where it should, the
 *		implementations to test, and a slow way to the same results.
 */
#ifndef PSEUDO_TEST_HARNESS_H
#define PSEUDO_TEST_HARNESS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/base64.h"
#include "../../src/core/hmac.h"
#include "../../src/core/nonce.h"
#include "../../src/core/pseudonym.h"

#define MAX_IMPLS 8
#define MIB (1 << 20)

/* How much to test, from the arguments, and where the random numbers are. */
extern unsigned long n_messages;
extern unsigned long n_nonces;
extern uint64_t seed;

/* The implementations of AES-GCM-SIV that this processor supports. */
extern const char *impls[MAX_IMPLS];
extern int	n_impls;

/* The checks that failed, of all groups. */
extern unsigned long all_failed;

/* Count one check; the first failures are told, with what was checked and a number. */
extern void check(bool ok, const char *what, unsigned long detail);

/* Say how a group of checks went; a group without any has failed. */
extern void end_group(const char *name);

/* The next of a sequence of random numbers that the seed determines; one less than n; len bytes. */
extern uint64_t random64(void);
extern size_t random_below(size_t n);
extern void random_bytes(uint8_t *p, size_t len);

/* len bytes of memory that end where the allocation ends, never NULL; the same, filled at random. */
extern uint8_t *allocate(size_t len);
extern uint8_t *allocate_random(size_t len);

/* Returns true if len bytes are all zero. */
extern bool all_zero(const uint8_t *p, size_t len);

/* The twelve characters of a nonce, by OpenSSL's HMAC. */
extern void slow_nonce(uint8_t *nonce, const uint8_t *key, size_t key_len, uint32_t start,
					   const uint8_t *value, size_t len);

/* The tests, by file. */
extern void test_siv(void);
extern void test_batches(void);
extern void test_slow_siv(void);
extern void test_nonces(void);
extern void test_base64(void);
extern void test_edges(void);
extern void test_pseudonyms(void);

#endif							/* PSEUDO_TEST_HARNESS_H */
