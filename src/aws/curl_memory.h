/*
 * curl_memory.h
 *		Starting libcurl, with an allocator that wipes what it frees.
 */
#ifndef PSEUDO_CURL_MEMORY_H
#define PSEUDO_CURL_MEMORY_H

#include "postgres.h"

/* Start libcurl, once a backend.  Errors: 0A000 (no OpenSSL), 53200. */
extern void pseudo_curl_start(void);

/* Report that memory ran out: 53200. */
extern void pseudo_curl_out_of_memory(void);

/* As realloc(), but the old block is wiped; as free(), after wiping.  Callable in libcurl's callbacks: they do not throw. */
extern void *pseudo_curl_realloc(void *ptr, size_t size);
extern void pseudo_curl_free(void *ptr);

/*
 * A request begins; returns true if memory ran out since.  libcurl says "out of memory" also of an answer that is too large
 * for it.
 */
extern void pseudo_curl_begin(void);
extern bool pseudo_curl_exhausted(void);

#endif							/* PSEUDO_CURL_MEMORY_H */
