/*
 * http.h
 *		One HTTP request by libcurl, which can be cancelled and leaves nothing behind.
 */
#ifndef PSEUDO_HTTP_H
#define PSEUDO_HTTP_H

#include "postgres.h"

#include "../keyring/secret.h"
#include "trust.h"

#define PSEUDO_HTTP_MAX_BODY	(1024 * 1024)	/* bytes of an answer */

/* What became of a request. */
typedef enum PseudoHttpOutcome
{
	PSEUDO_HTTP_ANSWERED,		/* with whatever status */
	PSEUDO_HTTP_REFUSED_URL,	/* not https, and not plain http to a loopback
								 * address; or no URL */
	PSEUDO_HTTP_UNREACHABLE,	/* no such host, no connection, TLS not as it
								 * should be */
	PSEUDO_HTTP_TIMED_OUT,
	PSEUDO_HTTP_BROKEN,			/* cut off in the middle, no HTTP */
	PSEUDO_HTTP_TOO_LARGE
} PseudoHttpOutcome;

typedef struct PseudoHttpRequest
{
	const char *method;			/* GET, POST, PUT */
	const char *url;
	const char *const *headers; /* "Name: value" each, NULL at the end; no
								 * other is sent but Host and Content-Length
								 * where not given */
	const char *body;			/* may be NULL */
	Size		body_len;		/* bytes */
	const char *user_agent;		/* NULL: none is sent */
	const char *ca_file;		/* PEM; NULL: the system's CAs */
	PseudoTrust *trust;			/* the CAs that earlier requests have read */
	bool		metadata;		/* plain http is allowed to any host (the
								 * caller has checked it), and no proxy is
								 * used */
	int			connect_timeout;	/* milliseconds, at most; 0: only the
									 * deadline */
	int64		deadline;		/* pseudo_now_ms() when it must be done */
} PseudoHttpRequest;

typedef struct PseudoHttpResponse
{
	PseudoHttpOutcome outcome;
	int			status;			/* 200, ... */
	char	   *body;			/* in the arena, a zero after it */
	Size		len;			/* bytes */
	char	   *headers;		/* "Name: value\r\n" each, in the arena, a
								 * zero after them */
	char	   *problem;		/* in words, palloc'ed, where not answered:
								 * "could not resolve host "x"" */
} PseudoHttpResponse;

/*
 * Send a request and read the answer.  Redirects are not followed.  Loopback and link-local
 * addresses never go through a proxy; others do where HTTPS_PROXY says so and NO_PROXY does not.
 * Errors: 57014 and 57P01 on a cancel, within 100 ms; 53200.
 */
extern void pseudo_http_perform(PseudoArena *arena, const PseudoHttpRequest *request,
								PseudoHttpResponse *response);

/* A header's value, palloc'ed, or NULL; names compare without case. */
extern char *pseudo_http_header(const PseudoHttpResponse *response, const char *name);

#endif							/* PSEUDO_HTTP_H */
