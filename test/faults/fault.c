/*
 * fault.c
 *		Has the n-th call fail of those that the extension makes to allocate memory, use files, start
 *		programs, encrypt and send: linked into the modules with the linker's --wrap.
 *
 * Each wrapper is what __real_ is, but fails where its turn has come as the real one
 * would: with an error, or with what its manual says.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifdef FAULT_AWS
#include <curl/curl.h>
#endif
#include <openssl/evp.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* The countdown, which both modules share. */
typedef struct Fault
{
	int			calls;			/* since it was armed */
	int			target;			/* the call that fails; 0: none */
	bool		on;				/* all later ones fail, too */
	const char *failed;			/* the name of the first one that did */
} Fault;

extern PGDLLEXPORT Fault pseudo_fault;

/* Is it this call's turn to fail? */
static bool
due(const char *name)
{
	if (pseudo_fault.target == 0)
		return false;
	pseudo_fault.calls++;
	if (pseudo_fault.calls != pseudo_fault.target &&
		!(pseudo_fault.on && pseudo_fault.calls > pseudo_fault.target))
		return false;
	if (pseudo_fault.failed == NULL)
		pseudo_fault.failed = name;
	return true;
}

/* What a call throws in the place of its work. */
static void
throw_if_due(const char *name)
{
	if (due(name))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail_internal("Injected into %s().", name)));
}

#define THROWS(type, name, parameters, arguments) \
	extern type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		throw_if_due(#name); \
		return __real_##name arguments; \
	}

#define THROWS_VOID(name, parameters, arguments) \
	extern void __real_##name parameters; \
	void __wrap_##name parameters; \
	void __wrap_##name parameters \
	{ \
		throw_if_due(#name); \
		__real_##name arguments; \
	}

#define FAILS(type, name, parameters, arguments, value, error) \
	extern type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		if (due(#name)) \
		{ \
			errno = error; \
			return value; \
		} \
		return __real_##name arguments; \
	}

/* Memory contexts. */
THROWS(void *, palloc, (Size size), (size))
THROWS(void *, palloc0, (Size size), (size))
THROWS(void *, repalloc, (void *ptr, Size size), (ptr, size))
THROWS(void *, MemoryContextAlloc, (MemoryContext context, Size size), (context, size))
THROWS(void *, MemoryContextAllocZero, (MemoryContext context, Size size), (context, size))
THROWS(char *, MemoryContextStrdup, (MemoryContext context, const char *string), (context, string))
THROWS(MemoryContext, AllocSetContextCreateInternal,
	   (MemoryContext parent, const char *name, Size min, Size init, Size max), (parent, name, min, init, max))
THROWS(char *, pstrdup, (const char *in), (in))
THROWS(char *, pnstrdup, (const char *in, Size len), (in, len))

/* What allocates in PostgreSQL. */
THROWS_VOID(initStringInfo, (StringInfo str), (str))
THROWS_VOID(appendStringInfoString, (StringInfo str, const char *s), (str, s))
THROWS_VOID(appendStringInfoChar, (StringInfo str, char c), (str, c))
THROWS(List *, lappend, (List *list, void *datum), (list, datum))
THROWS(text *, cstring_to_text, (const char *s), (s))
THROWS(text *, cstring_to_text_with_len, (const char *s, int len), (s, len))
THROWS(char *, text_to_cstring, (const text *t), (t))
THROWS(char *, nodeToString, (const void *node), (node))
THROWS(HeapTuple, heap_form_tuple, (TupleDesc desc, Datum *values, bool *nulls), (desc, values, nulls))
THROWS(uint32, GetSysCacheHashValue, (int cache, Datum a, Datum b, Datum c, Datum d), (cache, a, b, c, d))
THROWS(ForeignServer *, GetForeignServer, (Oid serverid), (serverid))
THROWS(Relation, table_open, (Oid relid, LOCKMODE lockmode), (relid, lockmode))
THROWS(int, SPI_execute, (const char *src, bool read_only, long count), (src, read_only, count))
THROWS(int, SPI_execute_plan, (SPIPlanPtr plan, Datum *values, const char *nulls, bool read_only, long count),
	   (plan, values, nulls, read_only, count))

/* A table may give an entry that is there without memory. */
extern void *__real_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found);
void *__wrap_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found);

void *
__wrap_hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	if (action == HASH_ENTER)
		throw_if_due("hash_search");
	return __real_hash_search(table, key, action, found);
}

/* Those with a format. */
char	   *__wrap_psprintf(const char *fmt,...);
void		__wrap_appendStringInfo(StringInfo str, const char *fmt,...);

char *
__wrap_psprintf(const char *fmt,...)
{
	StringInfoData buf;
	va_list		args;
	int			needed;

	throw_if_due("psprintf");
	__real_initStringInfo(&buf);
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (needed == 0)
			return buf.data;
		enlargeStringInfo(&buf, needed);
	}
}

void
__wrap_appendStringInfo(StringInfo str, const char *fmt,...)
{
	va_list		args;
	int			needed;

	throw_if_due("appendStringInfo");
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(str, fmt, args);
		va_end(args);
		if (needed == 0)
			return;
		enlargeStringInfo(str, needed);
	}
}

/* The system. */
FAILS(void *, mmap, (void *ptr, size_t len, int prot, int flags, int fd, off_t offset),
	  (ptr, len, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
FAILS(int, mlock, (const void *ptr, size_t len), (ptr, len), -1, ENOMEM)
FAILS(int, madvise, (void *ptr, size_t len, int advice), (ptr, len, advice), -1, EINVAL)
FAILS(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), -1, EIO)
FAILS(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), -1, ENOSPC)
FAILS(int, fsync, (int fd), (fd), -1, EIO)
FAILS(int, rename, (const char *from, const char *to), (from, to), -1, ENOSPC)
FAILS(int, unlink, (const char *path), (path), -1, EIO)
FAILS(int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
FAILS(int, stat, (const char *path, struct stat *st), (path, st), -1, EIO)
FAILS(int, lstat, (const char *path, struct stat *st), (path, st), -1, EIO)
FAILS(int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK)
FAILS(int, pipe, (int *fds), (fds), -1, EMFILE)
FAILS(pid_t, fork, (void), (), -1, EAGAIN)
FAILS(char *, __realpath_chk, (const char *path, char *resolved, size_t len), (path, resolved, len), NULL, ENOMEM)
FAILS(int, OpenTransientFile, (const char *path, int flags), (path, flags), -1, EMFILE)
FAILS(int, OpenTransientFilePerm, (const char *path, int flags, mode_t mode), (path, flags, mode), -1, EMFILE)

/* A file that could not be closed well is closed all the same. */
extern int	__real_CloseTransientFile(int fd);
int			__wrap_CloseTransientFile(int fd);

int
__wrap_CloseTransientFile(int fd)
{
	int			result = __real_CloseTransientFile(fd);

	if (!due("CloseTransientFile"))
		return result;
	errno = EIO;
	return -1;
}

/* OpenSSL. */
FAILS(EVP_MD_CTX *, EVP_MD_CTX_new, (void), (), NULL, 0)
FAILS(int, EVP_DigestInit_ex, (EVP_MD_CTX *ctx, const EVP_MD *type, ENGINE *engine), (ctx, type, engine), 0, 0)
FAILS(int, EVP_DigestUpdate, (EVP_MD_CTX *ctx, const void *data, size_t len), (ctx, data, len), 0, 0)
FAILS(int, EVP_DigestFinal_ex, (EVP_MD_CTX *ctx, unsigned char *md, unsigned int *len), (ctx, md, len), 0, 0)

#ifndef FAULT_AWS
FAILS(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL, 0)
FAILS(int, EVP_EncryptInit_ex,
	  (EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *engine, const unsigned char *key, const unsigned char *iv),
	  (ctx, cipher, engine, key, iv), 0, 0)
FAILS(int, EVP_EncryptUpdate, (EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl),
	  (ctx, out, outl, in, inl), 0, 0)
FAILS(int, RAND_bytes, (unsigned char *buf, int len), (buf, len), 0, 0)
FAILS(int, RAND_priv_bytes, (unsigned char *buf, int len), (buf, len), 0, 0)

Fault		pseudo_fault;

PG_FUNCTION_INFO_V1(pseudo_fault_arm);
PG_FUNCTION_INFO_V1(pseudo_fault_end);

/* pseudo_fault_arm(n integer, on boolean): the n-th call from now on fails; on: the later ones, too. */
Datum
pseudo_fault_arm(PG_FUNCTION_ARGS)
{
	memset(&pseudo_fault, 0, sizeof(pseudo_fault));
	pseudo_fault.target = PG_GETARG_INT32(0);
	pseudo_fault.on = PG_GETARG_BOOL(1);
	PG_RETURN_VOID();
}

/* pseudo_fault_end(): no more; the name of what failed, NULL where nothing did. */
Datum
pseudo_fault_end(PG_FUNCTION_ARGS)
{
	const char *failed = pseudo_fault.failed;

	memset(&pseudo_fault, 0, sizeof(pseudo_fault));
	if (failed == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(__real_cstring_to_text(failed));
}

/* The other module of the pair, which is beside this one. */
extern void *__real_load_external_function(const char *file, const char *function, bool signal, void **handle);
void *__wrap_load_external_function(const char *file, const char *function, bool signal, void **handle);

void *
__wrap_load_external_function(const char *file, const char *function, bool signal, void **handle)
{
	throw_if_due("load_external_function");
	if (strcmp(file, "$libdir/pseudo_aws") == 0)
		file = FAULT_AWS_MODULE;
	return __real_load_external_function(file, function, signal, handle);
}
#else
FAILS(void *, malloc, (size_t size), (size), NULL, ENOMEM)
FAILS(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
FAILS(unsigned char *, HMAC,
	  (const EVP_MD *md, const void *key, int key_len, const unsigned char *data, size_t n, unsigned char *out, unsigned int *len),
	  (md, key, key_len, data, n, out, len), NULL, 0)
FAILS(int, EVP_Digest,
	  (const void *data, size_t count, unsigned char *md, unsigned int *size, const EVP_MD *type, ENGINE *engine),
	  (data, count, md, size, type, engine), 0, 0)
FAILS(bool, pg_strong_random, (void *buf, size_t len), (buf, len), false, 0)
FAILS(CURL *, curl_easy_init, (void), (), NULL, 0)
FAILS(CURLM *, curl_multi_init, (void), (), NULL, 0)
FAILS(CURLU *, curl_url, (void), (), NULL, 0)
FAILS(struct curl_slist *, curl_slist_append, (struct curl_slist *list, const char *data), (list, data), NULL, 0)
FAILS(CURLMcode, curl_multi_add_handle, (CURLM *multi, CURL *easy), (multi, easy), CURLM_OUT_OF_MEMORY, 0)
FAILS(CURLMcode, curl_multi_perform, (CURLM *multi, int *running), (multi, running), CURLM_OUT_OF_MEMORY, 0)

#undef curl_easy_setopt
extern CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option,...);
CURLcode	__wrap_curl_easy_setopt(CURL *easy, CURLoption option,...);

CURLcode
__wrap_curl_easy_setopt(CURL *easy, CURLoption option,...)
{
	va_list		args;
	void	   *value;

	va_start(args, option);
	value = va_arg(args, void *);	/* a long, a curl_off_t or a pointer: the same on the machines of the tests */
	va_end(args);
	return due("curl_easy_setopt") ? CURLE_OUT_OF_MEMORY : __real_curl_easy_setopt(easy, option, value);
}
#endif
