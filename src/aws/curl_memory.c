/*
 * curl_memory.c
 *		Starting libcurl, with an allocator that wipes what it frees.
 *
 * Answers and tokens pass through libcurl's memory.
 */
#include "postgres.h"

#include <signal.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "curl_memory.h"

/* See curl_memory.h. */
void
pseudo_curl_out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Failed while sending an HTTP request.")));
}

/*
 * The allocator: a block's size stands before it, so that it can be wiped.  Resolver threads
 * use it too.
 */
#define BLOCK_HEADER	16		/* bytes, which keep malloc()'s alignment */

/* It gave nothing. */
static volatile sig_atomic_t exhausted = false;

/* It has been asked: libcurl uses it. */
static volatile sig_atomic_t asked = false;

/* As malloc(). */
static void *
wiping_malloc(size_t size)
{
	char	   *block = NULL;

	asked = true;
	if (size <= SIZE_MAX - BLOCK_HEADER)
		block = malloc(BLOCK_HEADER + size);
	if (block == NULL)
	{
		exhausted = true;
		return NULL;
	}
	*(size_t *) block = size;
	return block + BLOCK_HEADER;
}

/* See curl_memory.h. */
void
pseudo_curl_free(void *ptr)
{
	char	   *block;

	if (ptr == NULL)
		return;
	block = (char *) ptr - BLOCK_HEADER;
	explicit_bzero(ptr, *(size_t *) block);
	free(block);
}

/* See curl_memory.h. */
void *
pseudo_curl_realloc(void *ptr, size_t size)
{
	size_t		old = ptr ? *(size_t *) ((char *) ptr - BLOCK_HEADER) : 0;
	void	   *new = wiping_malloc(size);

	if (new == NULL)
		return NULL;
	if (ptr)
		memcpy(new, ptr, Min(old, size));
	pseudo_curl_free(ptr);
	return new;
}

/* As calloc(). */
static void *
wiping_calloc(size_t count, size_t size)
{
	void	   *ptr = NULL;

	if (size == 0 || count <= SIZE_MAX / size)
		ptr = wiping_malloc(count * size);
	if (ptr)
		memset(ptr, 0, count * size);
	return ptr;
}

/* As strdup(). */
static char *
wiping_strdup(const char *string)
{
	size_t		size = strlen(string) + 1;
	char	   *copy = wiping_malloc(size);

	if (copy)
		memcpy(copy, string, size);
	return copy;
}

/* See curl_memory.h.  OpenSSL must be what libcurl uses: the option that wipes plaintext is set on its SSL_CTX. */
void
pseudo_curl_start(void)
{
	static bool done = false;
	const char *tls;
	CURLcode	code;

	if (done)
		return;
	tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
	if (tls == NULL || strncmp(tls, "OpenSSL/", strlen("OpenSSL/")) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("libcurl is built with %s, not with OpenSSL", tls ? tls : "no TLS"),
				 errhint("Install the libcurl that is built with OpenSSL.")));
	code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, pseudo_curl_free,
								pseudo_curl_realloc, wiping_strdup, wiping_calloc);
	if (code == CURLE_OUT_OF_MEMORY)
		pseudo_curl_out_of_memory();
	if (code != CURLE_OK)
		elog(ERROR, "could not initialize libcurl: %s", curl_easy_strerror(code));
	done = true;

	/* Where another module was first, libcurl has kept that one's allocator. */
	asked = false;
	curl_slist_free_all(curl_slist_append(NULL, ""));
	if (!asked)
		ereport(WARNING,
				(errmsg("credentials and keys may stay in this session's memory"),
				 errdetail("Another module has initialized libcurl, so it does not wipe what it frees."),
				 errhint("Load pseudo_aws first, or do without the other module.")));
}

/* See curl_memory.h. */
void
pseudo_curl_begin(void)
{
	exhausted = false;
}

/* See curl_memory.h. */
bool
pseudo_curl_exhausted(void)
{
	return exhausted;
}
