/*
 * harness.c
 *		What the tests of the core share, see harness.h.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "harness.h"

unsigned long n_messages = 100000;
unsigned long n_nonces = 10000000;
uint64_t	seed = 20240422;

const char *impls[MAX_IMPLS];
int			n_impls;

unsigned long all_failed;
static unsigned long passed;
static unsigned long failed;

/* ---- Counting ---- */

/* Count one check; the first failures are told. */
void
check(bool ok, const char *what, unsigned long detail)
{
	if (ok)
		passed++;
	else if (++failed <= 10)
		fprintf(stderr, "FAILED: %s (%lu)\n", what, detail);
}

/* Say how a group of checks went; a group without any has failed. */
void
end_group(const char *name)
{
	if (passed + failed == 0)
		failed = 1;
	printf("%s: %lu passed, %lu failed\n", name, passed, failed);
	fflush(stdout);
	all_failed += failed;
	passed = failed = 0;
}

/* ---- Help ---- */

/* The next of a sequence of random numbers that the seed determines. */
uint64_t
random64(void)
{
	uint64_t	z = (seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A random number less than n. */
size_t
random_below(size_t n)
{
	return (size_t) (random64() % n);
}

/* Fill len bytes at random. */
void
random_bytes(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t) (random64() >> 32);
}

/* len bytes of memory that end where the allocation ends; never NULL. */
uint8_t *
allocate(size_t len)
{
	uint8_t    *p = malloc(len > 0 ? len : 1);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	return p;
}

/* Random bytes in new memory. */
uint8_t *
allocate_random(size_t len)
{
	uint8_t    *p = allocate(len);

	random_bytes(p, len);
	return p;
}

/* Whether len bytes are all zero. */
bool
all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* The twelve characters of a nonce, by OpenSSL's HMAC. */
void
slow_nonce(uint8_t *nonce, const uint8_t *key, size_t key_len, uint32_t start,
		   const uint8_t *value, size_t len)
{
	uint8_t		digest[32];
	char		hex[65];
	unsigned	n = 0;

	if (HMAC(EVP_sha256(), key, (int) key_len, value, len, digest, &n) == NULL || n != 32)
		exit(2);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	memcpy(nonce, hex + start, 12);
}
