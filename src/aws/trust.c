/*
 * trust.c
 *		Which CAs a host's certificate is checked by, read once for all requests of a load.
 *
 * To parse the system's bundle of some 140 CAs takes 30 ms of a processor, and a herd of new
 * sessions that all do so keeps each other from ever being served.  So the system's directory of CAs,
 * where each is a file that is found by a hash of its name, goes before the bundle; and what
 * libcurl has read for the first request, an X509_STORE, is given to the others.
 *
 * Of a file and a directory of CAs, libcurl from 8.21.0 on takes the one that it was built for where
 * the application names none, even if it names the other: the bundle would be parsed beside the
 * directory, and the system's CAs trusted beside those of a ca_file.  So both are always named.
 */
#include "postgres.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "utils/memutils.h"

#include "trust.h"

#define HASH_DIGITS	8			/* of a hashed name: 3513523f.0 */

struct PseudoTrust
{
	MemoryContextCallback callback;
	const char *directory;		/* the system's hashed directory, or NULL */
	char		first[MAXPGPATH];	/* a CA in it */
	const char *ca_file;		/* that the store was read from; NULL: the
								 * system's CAs */
	X509_STORE *store;			/* NULL: not read yet */
};

/* Returns true for the name of a CA in a hashed directory. */
static bool
is_hashed(const char *name)
{
	return strspn(name, "0123456789abcdef") == HASH_DIGITS && name[HASH_DIGITS] == '.' &&
		strspn(name + HASH_DIGITS + 1, "0123456789") > 0;
}

/* Find a CA in a directory that can be found by its hash; returns false where there is none. */
static bool
find_hashed(const char *path, char *found, Size size)
{
	DIR		   *dir = opendir(path);
	struct dirent *entry = NULL;
	bool		is_found = false;

	if (dir == NULL)
		return false;
	while (!is_found && (entry = readdir(dir)) != NULL)
		is_found = is_hashed(entry->d_name) &&
			snprintf(found, size, "%s/%s", path, entry->d_name) < (int) size && access(found, R_OK) == 0;
	(void) closedir(dir);
	return is_found;
}

/* The system's hashed directory: that of OpenSSL's variable, of libcurl, of OpenSSL; or NULL. */
static const char *
find_directory(PseudoTrust *trust)
{
	const char *candidates[3] = {getenv(X509_get_default_cert_dir_env())};

#if LIBCURL_VERSION_NUM >= 0x074600
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	if (info->age >= CURLVERSION_SEVENTH)	/* the library may be older than
											 * its header */
		candidates[1] = info->capath;
#endif
	candidates[2] = X509_get_default_cert_dir();
	for (int i = 0; i < (int) lengthof(candidates); i++)
	{
		if (candidates[i] && find_hashed(candidates[i], trust->first, sizeof(trust->first)))
			return candidates[i];
	}
	return NULL;
}

/* Memory context callback: free the store. */
static void
trust_release(void *arg)
{
	X509_STORE_free(((PseudoTrust *) arg)->store);
}

/* See trust.h. */
PseudoTrust *
pseudo_trust_create(MemoryContext context)
{
	PseudoTrust *trust = MemoryContextAllocZero(context, sizeof(PseudoTrust));

	trust->callback.func = trust_release;
	trust->callback.arg = trust;
	MemoryContextRegisterResetCallback(context, &trust->callback);
	trust->directory = find_directory(trust);
	return trust;
}

/*
 * May the way to a host lead through a proxy that is spoken to by TLS?  That has a context of its
 * own, which the callback cannot tell from the host's.
 */
static bool
has_tls_proxy(void)
{
	static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		const char *proxy = getenv(names[i]);

		if (proxy && pg_strncasecmp(proxy, "https:", 6) == 0)
			return true;
	}
	return false;
}

/*
 * libcurl's callback, when it has read the CAs that it was told of: keep them, or give it those
 * that are kept.  Have OpenSSL wipe what it has decrypted.
 */
static CURLcode
set_up_tls(CURL *easy pg_attribute_unused(), void *context, void *arg)
{
	SSL_CTX    *tls = context;
	PseudoTrust *trust = arg;

#ifdef SSL_OP_CLEANSE_PLAINTEXT
	(void) SSL_CTX_set_options(tls, SSL_OP_CLEANSE_PLAINTEXT);
#endif
	if (has_tls_proxy())
		return CURLE_OK;
	if (trust->store == NULL)
		trust->store = SSL_CTX_get_cert_store(tls);
	else
		SSL_CTX_set_cert_store(tls, trust->store);
	(void) X509_STORE_up_ref(trust->store); /* one is the context's, one ours */
	return CURLE_OK;
}

/* Forget a store that was read from other CAs. */
static void
forget_others(PseudoTrust *trust, const char *ca_file)
{
	bool		same = ca_file && trust->ca_file ? strcmp(ca_file, trust->ca_file) == 0 :
		ca_file == trust->ca_file;

	if (!same)
	{
		X509_STORE_free(trust->store);
		trust->store = NULL;
	}
	trust->ca_file = ca_file;
}

/* Name a file and a directory of CAs. */
static CURLcode
name_cas(CURL *easy, const char *file, const char *directory)
{
	CURLcode	code = curl_easy_setopt(easy, CURLOPT_CAINFO, file);

	return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CAPATH, directory) : code;
}

/*
 * Have libcurl read nothing, for set_up_tls() gives it a store: it was always enough to name no CAs,
 * and since 8.21.0 it takes one of them.
 */
static CURLcode
name_one(X509_STORE *store, CURL *easy)
{
	CURLcode	code = name_cas(easy, NULL, NULL);
#if LIBCURL_VERSION_NUM >= 0x074d00
	STACK_OF(X509) * all = X509_STORE_get1_all_certs(store);
	BIO		   *bio = BIO_new(BIO_s_mem());
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};
	char	   *data = NULL;

	if (code == CURLE_OK && bio && sk_X509_num(all) > 0 && PEM_write_bio_X509(bio, sk_X509_value(all, 0)))
	{
		blob.len = BIO_get_mem_data(bio, &data);
		blob.data = data;
		code = curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
		if (code == CURLE_UNKNOWN_OPTION)	/* the library is older */
			code = CURLE_OK;
	}
	BIO_free(bio);
	sk_X509_pop_free(all, X509_free);
#endif
	return code;
}

/* See trust.h. */
CURLcode
pseudo_trust_set(PseudoTrust *trust, CURL *easy, const char *ca_file)
{
	CURLcode	code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, set_up_tls);

	forget_others(trust, ca_file);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust);
	if (code != CURLE_OK)
		return code;
	if (trust->store)
		return name_one(trust->store, easy);
	if (ca_file)
		return name_cas(easy, ca_file, ca_file);	/* a file is a directory
													 * without CAs */
	if (trust->directory)
		return name_cas(easy, trust->first, trust->directory);
	return code;				/* the CAs that libcurl was built for */
}

/* See trust.h. */
bool
pseudo_trust_widen(PseudoTrust *trust)
{
	if (trust->ca_file || trust->directory == NULL)
		return false;
	trust->directory = NULL;
	X509_STORE_free(trust->store);
	trust->store = NULL;
	return true;
}
