/*
 * test_edges.c
 *		Nothing is read or written outside of the memory given.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* MAP_ANONYMOUS */
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

/* A page between two that must not be touched. */
static uint8_t *
guarded_page(size_t size)
{
	uint8_t    *pages = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + size, size, PROT_READ | PROT_WRITE) != 0)
		exit(2);
	return pages + size;
}

/*
 * Everything on memory of just the length it takes, at the very start or the very end of a page:
 * the sanitizers do not see what is read or written under masks.
 */
static void
one_edge(uint8_t *const *pages, size_t page_len, size_t len, bool at_end, const pseudo_siv_key *key,
		 const pseudo_nonce_key *nonce_key)
{
	size_t		n_bytes = PSEUDO_OVERHEAD + len;
	size_t		n_text = PSEUDO_BASE64_LEN(n_bytes);
	uint8_t    *value = pages[0] + (at_end ? page_len - len : 0);
	uint8_t    *text = pages[1] + (at_end ? page_len - n_text : 0);
	uint8_t    *bytes = pages[2] + (at_end ? page_len - n_bytes : 0);
	uint8_t    *back = pages[3] + (at_end ? page_len - len : 0);
	uint8_t		nonce[PSEUDO_NONCE_LEN];
	size_t		n = 0;

	random_bytes(value, len);
	check(pseudo_pseudonym_seal((char *) text, key, false, 0, nonce_key, value, len, value, len) == PSEUDO_OK,
		  "seal at an edge", len);
	if (n_bytes == PSEUDO_BASE64_BYTES(n_text))	/* else the room is larger */
		check(pseudo_base64_decode(bytes, &n, (char *) text, n_text) == PSEUDO_OK && n == n_bytes,
			  "decode at an edge", len);
	else
	{
		uint8_t    *larger = pages[2] + (at_end ? page_len - PSEUDO_BASE64_BYTES(n_text) : 0);

		check(pseudo_base64_decode(larger, &n, (char *) text, n_text) == PSEUDO_OK && n == n_bytes,
			  "decode at an edge", len);
		memmove(bytes, larger, n_bytes);
	}
	check(pseudo_pseudonym_open(back, key, value, len, bytes, n_bytes) == PSEUDO_OK &&
		  memcmp(back, value, len) == 0, "open at an edge", len);
	pseudo_base64_encode((char *) text, bytes, n_bytes);
	pseudo_nonce_deterministic(nonce, nonce_key, value, len);
	check(memcmp(bytes, nonce, PSEUDO_NONCE_LEN) == 0, "nonce at an edge", len);
}

/* Both edges, in each implementation of everything. */
void
test_edges(void)
{
	const char *best_hmac = pseudo_hmac_get_impl()->name;
	const char *best_base64 = pseudo_base64_get_impl()->name;
	size_t		page_len = (size_t) sysconf(_SC_PAGESIZE);
	uint8_t    *pages[4];
	uint8_t		key_bytes[32];
	pseudo_siv_key key;
	pseudo_nonce_key nonce_key;

	for (int i = 0; i < 4; i++)
		pages[i] = guarded_page(page_len);
	random_bytes(key_bytes, sizeof(key_bytes));
	check(pseudo_nonce_key_init(&nonce_key, key_bytes, 32, 5) == PSEUDO_OK, "nonce key", 0);
	for (int i = 0; i < n_impls; i++)
	{
		pseudo_siv_use(impls[i]);
		check(pseudo_siv_key_init(&key, key_bytes, 32) == PSEUDO_OK, "key", 0);
		for (const pseudo_hmac_impl *const *hmac = pseudo_hmac_impls; *hmac != NULL; hmac++)
			for (const pseudo_base64_impl *const *base64 = pseudo_base64_impls; *base64 != NULL; base64++)
				if (pseudo_hmac_use((*hmac)->name) && pseudo_base64_use((*base64)->name))
					for (size_t len = 0; len <= 1100; len += len < 260 ? 1 : 41)
					{
						one_edge(pages, page_len, len, false, &key, &nonce_key);
						one_edge(pages, page_len, len, true, &key, &nonce_key);
					}
	}
	pseudo_hmac_use(best_hmac);
	pseudo_base64_use(best_base64);
	for (int i = 0; i < 4; i++)
		munmap(pages[i] - page_len, 3 * page_len);
	end_group("nothing outside of the memory given");
}
