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

#include <signal.h>

#include <curl/curl.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "../keyring/clock.h"
#include "aws.h"
#include "curl_memory.h"
#include "http.h"
#include "url.h"

#define MAX_HEADERS		16384	/* bytes of an answer's headers */
#define MIN_ROOM		16384	/* bytes that a buffer begins with */
#define MAX_WORDS		512		/* bytes of what libcurl says */
#define SLICE			20		/* milliseconds between looks at interrupts */

/* Options of libcurl that its header may be too old for; the library may be newer. */
#define OPTION_QUICK_EXIT		((CURLoption) (CURLOPTTYPE_LONG + 322)) /* CURLOPT_QUICK_EXIT,
																		 * 7.87.0 */
#define MULTI_QUICK_EXIT		((CURLMoption) (CURLOPTTYPE_LONG + 21)) /* CURLMOPT_QUICK_EXIT,
																		 * 8.20.0 */
#define MULTI_QUICK_EXIT_SINCE	0x081400

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
	PseudoUrl	url;
	const char *name;			/* of the host, with its port, for messages */
	char		error[CURL_ERROR_SIZE]; /* libcurl's words */
} Http;

/* Append to a buffer without throwing; false where there is no room. */
static bool
http_append(Buffer *buffer, const char *data, Size len)
{
	if (len > buffer->max - buffer->len)
	{
		buffer->overflow = true;
		return false;
	}
	if (len > buffer->room - buffer->len)
	{
		Size		room = Max(Max(buffer->room * 2, buffer->len + len), MIN_ROOM);
		char	   *grown = pseudo_curl_realloc(buffer->data, room);

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

	return http_append(&http->body, data, size * count) ? size * count : 0;
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
	return http_append(&http->head, data, len) ? len : 0;
}

/* Memory context callback: free all that a request holds. */
static void
http_release(void *arg)
{
	Http	   *http = arg;

	pgstat_report_wait_end();
	if (http->multi && http->easy)
		(void) curl_multi_remove_handle(http->multi, http->easy);
	curl_easy_cleanup(http->easy);
	if (http->multi)
		(void) curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	pseudo_curl_free(http->head.data);
	pseudo_curl_free(http->body.data);
}

/* A request without anything set, in a context of its own. */
static Http *
http_create(const PseudoHttpRequest *request, const PseudoUrl *url)
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
	http->callback.func = http_release;
	http->callback.arg = http;
	MemoryContextRegisterResetCallback(context, &http->callback);
	return http;
}

/* Check what curl_easy_setopt() returned. */
static void
check_set(CURLcode code, const char *option)
{
	if (code == CURLE_OUT_OF_MEMORY)
		pseudo_curl_out_of_memory();
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
	if (http->url.reach != PSEUDO_REACH_REMOTE || request->metadata)
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
		pseudo_curl_out_of_memory();
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
http_prepare(Http *http, const PseudoHttpRequest *request)
{
	pseudo_curl_begin();
	http->name = pseudo_aws_clean(pseudo_url_host_header(&http->url), MAX_WORDS);
	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	if (http->multi == NULL || http->easy == NULL)
		pseudo_curl_out_of_memory();
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
		pseudo_curl_out_of_memory();
	if (code != CURLM_OK)
		elog(ERROR, "libcurl failed: %s", curl_multi_strerror(code));
}

/*
 * Let libcurl do what it can without waiting.  Signals are blocked, for it may start a resolver's
 * thread, which inherits that: PostgreSQL's handlers must run in its own thread.
 */
static bool
http_step(Http *http)
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
http_result(Http *http)
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
 * running; other interrupts let the request go on.
 */
static CURLcode
http_run(Http *http)
{
	check_multi(curl_multi_add_handle(http->multi, http->easy));
	pgstat_report_wait_start(pseudo_wait_event(PSEUDO_WAIT_HTTP));
	while (http_step(http))
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
	return http_result(http);
}

/* Fill in how a request ended without an answer. */
static void
http_fail(PseudoHttpResponse *response, PseudoHttpOutcome outcome, char *problem)
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
		return psprintf("could not connect to \"%s\": %s", http->name, pseudo_aws_clean(http->error, MAX_WORDS));
	return psprintf("could not connect to \"%s\": %s", http->name, strerror((int) error));
}

/* Fill in what kept a request from being sent. */
static void
explain_unreachable(Http *http, CURLcode code, PseudoHttpResponse *response)
{
	/* of a proxy that it cannot parse libcurl shows all, a password too */
	const char *words = http->error[0] && code != CURLE_COULDNT_RESOLVE_PROXY && strchr(http->error, '@') == NULL ?
		pseudo_aws_clean(http->error, MAX_WORDS) : curl_easy_strerror(code);
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
	http_fail(response, PSEUDO_HTTP_UNREACHABLE, problem);
}

/* Fill in why there is no answer. */
static void
http_explain(Http *http, CURLcode code, PseudoHttpResponse *response)
{
	long		proxy_status = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	if (pseudo_curl_exhausted())
		pseudo_curl_out_of_memory();
	else if (http->head.overflow || code == CURLE_OUT_OF_MEMORY)
		http_fail(response, PSEUDO_HTTP_BROKEN,
				  psprintf("the header of the answer of \"%s\" is larger than %d KiB", http->name,
						   MAX_HEADERS / 1024));
	else if (http->body.overflow || code == CURLE_FILESIZE_EXCEEDED)
		http_fail(response, PSEUDO_HTTP_TOO_LARGE,
				  psprintf("the answer of \"%s\" is larger than %d MiB", http->name,
						   PSEUDO_HTTP_MAX_BODY / (1024 * 1024)));
	else if (code == CURLE_OPERATION_TIMEDOUT)
		http_fail(response, PSEUDO_HTTP_TIMED_OUT, explain_timeout(http));
	else if (proxy_status != 0 && proxy_status / 100 != 2)
		http_fail(response, PSEUDO_HTTP_UNREACHABLE,
				  psprintf("the proxy does not connect to \"%s\": HTTP status %ld", http->name,
						   proxy_status));
	else if (code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING ||
			 code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		http_fail(response, PSEUDO_HTTP_BROKEN,
				  psprintf("the answer of \"%s\" was cut off", http->name));
	else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL)
		http_fail(response, PSEUDO_HTTP_BROKEN,
				  psprintf("the answer of \"%s\" is no HTTP", http->name));
	else
		explain_unreachable(http, code, response);
}

/* Copy an answer to the arena. */
static void
http_take_answer(Http *http, PseudoArena *arena, PseudoHttpResponse *response)
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

/* Returns true if a request may be sent to this URL: plain http goes no further than the host itself. */
static bool
http_check_url(const PseudoHttpRequest *request, PseudoUrl *url, PseudoHttpResponse *response)
{
	if (!pseudo_url_parse(request->url, url))
		http_fail(response, PSEUDO_HTTP_REFUSED_URL,
				  pstrdup("the URL is not valid, not of https, or names a user"));
	else if (!url->tls && url->reach != PSEUDO_REACH_LOOPBACK && !request->metadata)
		http_fail(response, PSEUDO_HTTP_REFUSED_URL,
				  psprintf("plain http to \"%s\" is not allowed", pseudo_aws_clean(url->host, MAX_WORDS)));
	else if (request->deadline <= pseudo_now_ms())
		http_fail(response, PSEUDO_HTTP_TIMED_OUT,
				  psprintf("no time left to ask \"%s\"", pseudo_aws_clean(url->host, MAX_WORDS)));
	else
		return true;
	return false;
}

/* Send a request once and fill in the response. */
static CURLcode
send_once(PseudoArena *arena, const PseudoHttpRequest *request, const PseudoUrl *url,
		  PseudoHttpResponse *response)
{
	Http	   *http = http_create(request, url);
	volatile CURLcode code = CURLE_OK;

	PG_TRY();
	{
		http_prepare(http, request);
		code = http_run(http);
		if (code == CURLE_OK)
			http_take_answer(http, arena, response);
		else
			http_explain(http, code, response);
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
	PseudoUrl	url;
	CURLcode	code;

	memset(response, 0, sizeof(*response));
	if (!http_check_url(request, &url, response))
		return;
	code = send_once(arena, request, &url, response);
	if ((code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) &&
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
