/*
 * http.c
 *		One HTTP request by libcurl, which can be cancelled and leaves nothing behind.
 *
 * libcurl knows nothing of longjmp: its callbacks here never throw, and all that throws runs
 * outside of it.  What a request holds is freed with its memory context.  libcurl gets
 * an allocator that wipes what it frees, for answers and tokens pass through its memory;
 * in OpenSSL's, SSL_OP_CLEANSE_PLAINTEXT does the same.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "../keyring/clock.h"
#include "http.h"

#define MAX_HEADERS		16384	/* bytes of an answer's headers */
#define MAX_HOST		256		/* bytes of a host's name, with a zero */
#define MIN_ROOM		16384	/* bytes that a buffer begins with */
#define SLICE			20		/* milliseconds between looks at interrupts */

/* Options of libcurl that its header may be too old for; the library may be newer. */
#define OPTION_QUICK_EXIT		((CURLoption) (CURLOPTTYPE_LONG + 322)) /* CURLOPT_QUICK_EXIT, 7.87.0 */
#define MULTI_QUICK_EXIT		((CURLMoption) (CURLOPTTYPE_LONG + 21)) /* CURLMOPT_QUICK_EXIT, 8.20.0 */
#define MULTI_QUICK_EXIT_SINCE	0x081400

/* Where a host is. */
typedef enum Reach
{
	REACH_REMOTE,
	REACH_LINK,					/* a link-local or metadata address */
	REACH_LOOPBACK
} Reach;

/* A URL, as libcurl reads it. */
typedef struct Url
{
	bool		tls;			/* https, not http */
	char		host[MAX_HOST]; /* in brackets where it is an IPv6 address */
	char		port[8];		/* empty where it is the scheme's own */
	Reach		reach;
} Url;

/* What libcurl has given us, in wiped memory. */
typedef struct Buffer
{
	char	   *data;
	Size		len;			/* bytes */
	Size		room;			/* likewise */
	Size		max;			/* likewise */
	bool		overflow;		/* more than max came */
} Buffer;

/* All that a request holds; freed with its context. */
typedef struct Http
{
	MemoryContextCallback callback;
	MemoryContext context;
	CURLM	   *multi;
	CURL	   *easy;
	struct curl_slist *headers; /* to send */
	Buffer		head;			/* the answer's headers */
	Buffer		body;
	int64		start;			/* pseudo_now_ms() */
	int64		deadline;		/* likewise */
	const char *ca_file;
	PseudoTrust *trust;
	Url			url;
	const char *name;			/* of the host, with its port, for messages */
	char		error[CURL_ERROR_SIZE]; /* libcurl's words */
} Http;

/* Report that memory ran out. */
static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Failed while sending an HTTP request.")));
}

/* A palloc'ed copy of which only printable ASCII is left. */
static char *
clean(const char *text)
{
	char	   *copy = pstrdup(text);

	for (char *c = copy; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return copy;
}

/*
 * The allocator: a block's size stands before it, so that it can be wiped.  Resolver threads
 * use it too.
 */
#define BLOCK_HEADER	16		/* bytes, which keep malloc()'s alignment */

/* It gave nothing.  libcurl says "out of memory" also of an answer that is too large for it. */
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

/* As free(), after wiping. */
static void
wiping_free(void *ptr)
{
	char	   *block;

	if (ptr == NULL)
		return;
	block = (char *) ptr - BLOCK_HEADER;
	explicit_bzero(ptr, *(size_t *) block);
	free(block);
}

/* As realloc(), but the old block is wiped. */
static void *
wiping_realloc(void *ptr, size_t size)
{
	size_t		old = ptr ? *(size_t *) ((char *) ptr - BLOCK_HEADER) : 0;
	void	   *new = wiping_malloc(size);

	if (new == NULL)
		return NULL;
	if (ptr)
		memcpy(new, ptr, Min(old, size));
	wiping_free(ptr);
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

/*
 * Initialise libcurl, once a backend.  OpenSSL must be what it uses: the option that wipes
 * plaintext is set on its SSL_CTX.
 */
static void
init_curl(void)
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
	code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free,
								wiping_realloc, wiping_strdup, wiping_calloc);
	if (code == CURLE_OUT_OF_MEMORY)
		out_of_memory();
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

/* Where an IPv4 address is. */
static Reach
reach_of_ipv4(const uint8 *address)
{
	if (address[0] == 127)
		return REACH_LOOPBACK;
	if (address[0] == 169 && address[1] == 254)
		return REACH_LINK;
	return REACH_REMOTE;
}

/* Where a host is: an address without brackets, or a name. */
static Reach
reach_of(const char *host)
{
	static const uint8 metadata[] = {0xfd, 0x00, 0x0e, 0xc2};	/* fd00:ec2::/32 */
	uint8		v4[4];
	struct in6_addr v6;

	if (pg_strcasecmp(host, "localhost") == 0)
		return REACH_LOOPBACK;
	if (inet_pton(AF_INET, host, v4) == 1)
		return reach_of_ipv4(v4);
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return REACH_REMOTE;
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		return reach_of_ipv4(v6.s6_addr + 12);
	if (IN6_IS_ADDR_LOOPBACK(&v6))
		return REACH_LOOPBACK;
	if (IN6_IS_ADDR_LINKLOCAL(&v6) || memcmp(v6.s6_addr, metadata, sizeof(metadata)) == 0)
		return REACH_LINK;
	return REACH_REMOTE;
}

/* Copy a part of a URL; one that does not fit is no part of a good URL. */
static CURLUcode
url_part(CURLU *handle, CURLUPart what, unsigned int flags, char *copy, Size size)
{
	char	   *part = NULL;
	CURLUcode	code = curl_url_get(handle, what, &part, flags);

	if (code == CURLUE_OK && strlcpy(copy, part, size) >= size)
		code = CURLUE_MALFORMED_INPUT;
	curl_free(part);
	return code;
}

/* Read a URL that libcurl has parsed: http or https, with a host, without a user. */
static CURLUcode
read_url(CURLU *handle, Url *url)
{
	char		text[MAX_HOST];
	CURLUcode	code = url_part(handle, CURLUPART_SCHEME, 0, text, sizeof(text));

	if (code != CURLUE_OK)
		return code;
	url->tls = strcmp(text, "https") == 0;
	if (!url->tls && strcmp(text, "http") != 0)
		return CURLUE_UNSUPPORTED_SCHEME;
	code = url_part(handle, CURLUPART_USER, 0, text, sizeof(text));
	if (code == CURLUE_NO_USER)
		code = url_part(handle, CURLUPART_PASSWORD, 0, text, sizeof(text));
	if (code != CURLUE_NO_PASSWORD)
		return code == CURLUE_OK ? CURLUE_USER_NOT_ALLOWED : code;
	code = url_part(handle, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, url->port, sizeof(url->port));
	if (code != CURLUE_OK && code != CURLUE_NO_PORT)
		return code;
	code = url_part(handle, CURLUPART_HOST, 0, url->host, sizeof(url->host));
	if (code != CURLUE_OK || url->host[0] == '\0')
		return code == CURLUE_OK ? CURLUE_NO_HOST : code;

	strlcpy(text, url->host + (url->host[0] == '['), sizeof(text));
	text[strcspn(text, "]")] = '\0';
	url->reach = reach_of(text);
	return CURLUE_OK;
}

/*
 * Parse a URL as libcurl does when it connects, so that nothing it says can be taken in
 * two ways.  False: it is none that we use.
 */
static bool
parse_url(const char *text, Url *url)
{
	CURLU	   *handle;
	CURLUcode	code;

	init_curl();
	memset(url, 0, sizeof(*url));
	handle = curl_url();
	if (handle == NULL)
		out_of_memory();
	code = curl_url_set(handle, CURLUPART_URL, text, 0);
	if (code == CURLUE_OK)
		code = read_url(handle, url);
	curl_url_cleanup(handle);
	if (code == CURLUE_OUT_OF_MEMORY)
		out_of_memory();
	return code == CURLUE_OK;
}

/* The host with its port, as the Host header has it. */
static char *
host_header(const Url *url)
{
	return psprintf("%s%s%s", url->host, url->port[0] ? ":" : "", url->port);
}

/* See http.h. */
char *
pseudo_http_host(const char *url)
{
	Url			parsed;

	return parse_url(url, &parsed) ? host_header(&parsed) : NULL;
}

/* See http.h. */
bool
pseudo_http_is_loopback(const char *url)
{
	Url			parsed;

	return parse_url(url, &parsed) && parsed.reach == REACH_LOOPBACK;
}

/* See http.h. */
bool
pseudo_http_is_local(const char *url)
{
	Url			parsed;

	return parse_url(url, &parsed) && parsed.reach != REACH_REMOTE;
}

/* Append to a buffer without throwing; false where there is no room. */
static bool
append(Buffer *buffer, const char *data, Size len)
{
	if (len > buffer->max - buffer->len)
	{
		buffer->overflow = true;
		return false;
	}
	if (len > buffer->room - buffer->len)
	{
		Size		room = Max(Max(buffer->room * 2, buffer->len + len), MIN_ROOM);
		char	   *grown = wiping_realloc(buffer->data, room);

		if (grown == NULL)
			return false;
		buffer->data = grown;
		buffer->room = room;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return true;
}

/* libcurl's callback: a piece of the body.  To return less than it got ends the request. */
static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	Http	   *http = arg;

	return append(&http->body, data, size * count) ? size * count : 0;
}

/* libcurl's callback: a line of the header.  A status line begins anew: after 100 Continue. */
static size_t
take_header(char *data, size_t size, size_t count, void *arg)
{
	Http	   *http = arg;
	Size		len = size * count;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		http->head.len = 0;
		return len;
	}
	if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
		return len;				/* the empty line at the end */
	return append(&http->head, data, len) ? len : 0;
}

/* Memory context callback: free all that a request holds. */
static void
release(void *arg)
{
	Http	   *http = arg;

	pgstat_report_wait_end();
	if (http->multi && http->easy)
		(void) curl_multi_remove_handle(http->multi, http->easy);
	curl_easy_cleanup(http->easy);
	if (http->multi)
		(void) curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	wiping_free(http->head.data);
	wiping_free(http->body.data);
}

/* A request without anything set, in a context of its own. */
static Http *
create(const PseudoHttpRequest *request, const Url *url)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pseudo HTTP request",
												  ALLOCSET_SMALL_SIZES);
	Http	   *http = MemoryContextAllocZero(context, sizeof(Http));

	http->context = context;
	http->head.max = MAX_HEADERS;
	http->body.max = PSEUDO_HTTP_MAX_BODY;
	http->start = pseudo_now_ms();
	http->deadline = request->deadline;
	http->ca_file = request->ca_file;
	http->trust = request->trust;
	http->url = *url;
	http->callback.func = release;
	http->callback.arg = http;
	MemoryContextRegisterResetCallback(context, &http->callback);
	return http;
}

/* Check what curl_easy_setopt() returned. */
static void
check_set(CURLcode code, const char *option)
{
	if (code == CURLE_OUT_OF_MEMORY)
		out_of_memory();
	if (code != CURLE_OK)
		elog(ERROR, "libcurl does not take %s: %s", option, curl_easy_strerror(code));
}

#define SET(option, value) \
	check_set(curl_easy_setopt(http->easy, option, value), #option)

/* Set how the host is reached: schemes, proxy, times. */
static void
set_transport(Http *http, const PseudoHttpRequest *request)
{
	long		left = (long) Min(Max(http->deadline - http->start, 1), PG_INT32_MAX);
	long		connect = request->connect_timeout > 0 ? request->connect_timeout : left;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);	/* the path that was signed */
	/* do not wait for a hanging resolver */
	(void) curl_easy_setopt(http->easy, OPTION_QUICK_EXIT, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, http->url.tls ? "https" : "http");
#else
	SET(CURLOPT_PROTOCOLS, (long) (http->url.tls ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	if (http->url.reach != REACH_REMOTE || request->metadata)
		SET(CURLOPT_PROXY, ""); /* none, whatever the environment says */
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_TIMEOUT_MS, left);
	SET(CURLOPT_CONNECTTIMEOUT_MS, Min(connect, left));
}

/* Set how the host is authenticated. */
static void
set_tls(Http *http)
{
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	check_set(pseudo_trust_set(http->trust, http->easy, http->ca_file), "the CAs");
}

/* Add a header to send; the list is ours from the first one on. */
static void
add_header(Http *http, const char *header)
{
	struct curl_slist *longer = curl_slist_append(http->headers, header);

	if (longer == NULL)
		out_of_memory();
	http->headers = longer;
}

/* Set what is sent.  A name without a value keeps libcurl from adding a header of its own. */
static void
set_request(Http *http, const PseudoHttpRequest *request)
{
	for (const char *const *header = request->headers; header && *header; header++)
		add_header(http, *header);
	add_header(http, "Accept:");
	add_header(http, "Expect:");
	add_header(http, "Content-Type:");
	SET(CURLOPT_HTTPHEADER, http->headers);
	SET(CURLOPT_USERAGENT, request->user_agent);
	SET(CURLOPT_URL, request->url);
	if (strcmp(request->method, "GET") != 0)
	{
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) (request->body ? request->body_len : 0));
		SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
	}
	SET(CURLOPT_CUSTOMREQUEST, request->method);
}

/* Set where the answer goes. */
static void
set_response(Http *http)
{
	SET(CURLOPT_ERRORBUFFER, http->error);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, http);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, http);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) PSEUDO_HTTP_MAX_BODY);
}

/* Have libcurl end without waiting for its resolver's threads, which from 8.20.0 on are of the multi handle. */
static void
set_quick_exit(CURLM *multi)
{
	if (curl_version_info(CURLVERSION_NOW)->version_num >= MULTI_QUICK_EXIT_SINCE)
		(void) curl_multi_setopt(multi, MULTI_QUICK_EXIT, 1L);
}

/* Make libcurl's handles. */
static void
prepare(Http *http, const PseudoHttpRequest *request)
{
	exhausted = false;
	http->name = clean(host_header(&http->url));
	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	if (http->multi == NULL || http->easy == NULL)
		out_of_memory();
	set_quick_exit(http->multi);
	set_transport(http, request);
	if (http->url.tls)
		set_tls(http);
	set_request(http, request);
	set_response(http);
}

/* Check what a curl_multi function returned. */
static void
check_multi(CURLMcode code)
{
	if (code == CURLM_OUT_OF_MEMORY)
		out_of_memory();
	if (code != CURLM_OK)
		elog(ERROR, "libcurl failed: %s", curl_multi_strerror(code));
}

/*
 * Let libcurl do what it can without waiting.  Signals are blocked, for it may start a resolver's
 * thread, which inherits that: PostgreSQL's handlers must run in its own thread.
 */
static bool
step(Http *http)
{
	sigset_t	all;
	sigset_t	old;
	CURLMcode	code;
	int			running;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	code = curl_multi_perform(http->multi, &running);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	check_multi(code);
	return running > 0;
}

/* What libcurl says of a request that has ended. */
static CURLcode
result(Http *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE)
			return message->data.result;
	return CURLE_RECV_ERROR;	/* cannot happen */
}

/*
 * Run a request to its end.  A cancel is thrown between two steps, where libcurl is not
 * running; an interrupt that is none lets the request go on.
 */
static CURLcode
run(Http *http)
{
	check_multi(curl_multi_add_handle(http->multi, http->easy));
	pgstat_report_wait_start(pseudo_wait_event(PSEUDO_WAIT_HTTP));
	while (step(http))
	{
		int64		left = http->deadline - pseudo_now_ms();

		if (left <= 0)
			return CURLE_OPERATION_TIMEDOUT;
		check_multi(curl_multi_poll(http->multi, NULL, 0, (int) Min(left, SLICE), NULL));
		if (IsUnderPostmaster && !PostmasterIsAlive())
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
	}
	pgstat_report_wait_end();
	return result(http);
}

/* Fill in how a request ended without an answer. */
static void
fail(PseudoHttpResponse *response, PseudoHttpOutcome outcome, char *problem)
{
	response->outcome = outcome;
	response->problem = problem;
}

/* Put into words that time ran out. */
static char *
explain_timeout(Http *http)
{
	int64		waited = pseudo_now_ms() - http->start;
	curl_off_t	resolved = 0;
	curl_off_t	connected = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
	(void) curl_easy_getinfo(http->easy, CURLINFO_CONNECT_TIME_T, &connected);
	if (connected > 0)
		return psprintf("no answer from \"%s\" within %lld ms", http->name, (long long) waited);
	return psprintf("no connection to \"%s\" within %lld ms%s", http->name, (long long) waited,
					resolved > 0 ? "" : ": its name was not resolved");
}

/* Put into words that there is no connection; libcurl's own name the proxy where there is one. */
static char *
explain_connect(Http *http)
{
	long		error = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &error);
	if (strchr(http->error, '@'))	/* a proxy's user */
		return psprintf("could not connect to \"%s\": the proxy's URL is not supported", http->name);
	if (error == 0 || strstr(http->error, http->url.host) == NULL)
		return psprintf("could not connect to \"%s\": %s", http->name, clean(http->error));
	return psprintf("could not connect to \"%s\": %s", http->name, strerror((int) error));
}

/* Fill in what kept a request from being sent. */
static void
explain_unreachable(Http *http, CURLcode code, PseudoHttpResponse *response)
{
	/* of a proxy that it cannot parse libcurl shows all, a password too */
	const char *words = http->error[0] && code != CURLE_COULDNT_RESOLVE_PROXY && strchr(http->error, '@') == NULL ?
		clean(http->error) : curl_easy_strerror(code);
	char	   *problem;

	if (code == CURLE_COULDNT_RESOLVE_HOST)
		problem = psprintf("could not resolve host \"%s\"", http->name);
	else if (code == CURLE_COULDNT_CONNECT)
		problem = explain_connect(http);
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		problem = psprintf("the certificate of \"%s\" is not valid: %s", http->name, words);
	else if (code == CURLE_SSL_CACERT_BADFILE)
		problem = psprintf("could not read the CA certificates in \"%s\"",
						   http->ca_file ? http->ca_file : "the system's files");
	else if (code == CURLE_SSL_CONNECT_ERROR)
		problem = psprintf("could not set up TLS with \"%s\": %s", http->name, words);
	else
		problem = psprintf("could not reach \"%s\": %s", http->name, words);
	fail(response, PSEUDO_HTTP_UNREACHABLE, problem);
}

/* Fill in why there is no answer. */
static void
explain(Http *http, CURLcode code, PseudoHttpResponse *response)
{
	long		proxy_status = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	if (exhausted)
		out_of_memory();
	else if (http->head.overflow || code == CURLE_OUT_OF_MEMORY)
		fail(response, PSEUDO_HTTP_BROKEN,
			 psprintf("the header of the answer of \"%s\" is larger than %d KiB", http->name,
					  MAX_HEADERS / 1024));
	else if (http->body.overflow || code == CURLE_FILESIZE_EXCEEDED)
		fail(response, PSEUDO_HTTP_TOO_LARGE,
			 psprintf("the answer of \"%s\" is larger than %d MiB", http->name,
					  PSEUDO_HTTP_MAX_BODY / (1024 * 1024)));
	else if (code == CURLE_OPERATION_TIMEDOUT)
		fail(response, PSEUDO_HTTP_TIMED_OUT, explain_timeout(http));
	else if (proxy_status != 0 && proxy_status / 100 != 2)
		fail(response, PSEUDO_HTTP_UNREACHABLE,
			 psprintf("the proxy does not connect to \"%s\": HTTP status %ld", http->name,
					  proxy_status));
	else if (code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING ||
			 code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		fail(response, PSEUDO_HTTP_BROKEN,
			 psprintf("the answer of \"%s\" was cut off", http->name));
	else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL)
		fail(response, PSEUDO_HTTP_BROKEN,
			 psprintf("the answer of \"%s\" is no HTTP", http->name));
	else
		explain_unreachable(http, code, response);
}

/* Copy an answer to the arena. */
static void
take_answer(Http *http, PseudoArena *arena, PseudoHttpResponse *response)
{
	const Buffer *head = &http->head;
	const Buffer *body = &http->body;
	long		status = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	response->headers = pseudo_arena_copy(arena, head->data ? head->data : "", head->len);
	response->body = pseudo_arena_copy(arena, body->data ? body->data : "", body->len);
	response->len = body->len;
	response->status = (int) status;
	response->outcome = PSEUDO_HTTP_ANSWERED;
}

/* May a request be sent to this URL?  Plain http goes no further than the host itself. */
static bool
check_url(const PseudoHttpRequest *request, Url *url, PseudoHttpResponse *response)
{
	if (!parse_url(request->url, url))
		fail(response, PSEUDO_HTTP_REFUSED_URL,
			 pstrdup("the URL is not valid, not of https, or names a user"));
	else if (!url->tls && url->reach != REACH_LOOPBACK && !request->metadata)
		fail(response, PSEUDO_HTTP_REFUSED_URL,
			 psprintf("plain http to \"%s\" is not allowed", clean(url->host)));
	else if (request->deadline <= pseudo_now_ms())
		fail(response, PSEUDO_HTTP_TIMED_OUT,
			 psprintf("no time left to ask \"%s\"", clean(url->host)));
	else
		return true;
	return false;
}

/* Send a request once and fill in the response. */
static CURLcode
send_once(PseudoArena *arena, const PseudoHttpRequest *request, const Url *url,
		  PseudoHttpResponse *response)
{
	Http	   *http = create(request, url);
	volatile CURLcode code = CURLE_OK;

	PG_TRY();
	{
		prepare(http, request);
		code = run(http);
		if (code == CURLE_OK)
			take_answer(http, arena, response);
		else
			explain(http, code, response);
	}
	PG_FINALLY();
	{
		MemoryContextDelete(http->context);
	}
	PG_END_TRY();
	return code;
}

/* See http.h. */
void
pseudo_http_perform(PseudoArena *arena, const PseudoHttpRequest *request,
					PseudoHttpResponse *response)
{
	Url			url;

	memset(response, 0, sizeof(*response));
	if (!check_url(request, &url, response))
		return;
	if (send_once(arena, request, &url, response) == CURLE_PEER_FAILED_VERIFICATION &&
		pseudo_trust_widen(request->trust))
		(void) send_once(arena, request, &url, response);
}

/* See http.h. */
char *
pseudo_http_header(const PseudoHttpResponse *response, const char *name)
{
	Size		len = strlen(name);
	const char *line = response->headers;

	while (line && *line)
	{
		const char *end = line + strcspn(line, "\r\n");

		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
		{
			line += len + 1;
			line += strspn(line, " \t");
			while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			return pnstrdup(line, end > line ? end - line : 0);
		}
		line = end + strspn(end, "\r\n");
	}
	return NULL;
}
