/*
 * exchange.h
 *		A question to an AWS API: signed, sent, tried again, its errors put into words.
 */
#ifndef PSEUDO_AWS_EXCHANGE_H
#define PSEUDO_AWS_EXCHANGE_H

#include "postgres.h"

#include "credentials.h"
#include "endpoint.h"
#include "http.h"

/* What kind of error it is: what it means, and what helps. */
typedef enum PseudoAwsErrorKind
{
	PSEUDO_AWS_UNKNOWN,
	PSEUDO_AWS_THROTTLED,
	PSEUDO_AWS_SERVER,			/* AWS's own, passing */
	PSEUDO_AWS_FOREIGN,			/* an answer that is not AWS's, or a redirect */
	PSEUDO_AWS_EXPIRED,			/* credentials */
	PSEUDO_AWS_SKEWED,			/* our clock and AWS's differ */
	PSEUDO_AWS_BAD_CREDENTIALS,
	PSEUDO_AWS_DENIED,
	PSEUDO_AWS_KEY,				/* a KMS key that cannot be used */
	PSEUDO_AWS_NOT_FOUND,
	PSEUDO_AWS_NO_VERSION,		/* the secret is there, no such version */
	PSEUDO_AWS_DELETED,
	PSEUDO_AWS_REPLICA,
	PSEUDO_AWS_BAD_REQUEST,
	PSEUDO_AWS_LIMIT,
	PSEUDO_AWS_TOKEN			/* the agent does not know our token */
} PseudoAwsErrorKind;

/* An error that AWS answered with. */
typedef struct PseudoAwsError
{
	const char *code;			/* "ResourceNotFoundException"; "" where the
								 * answer names none */
	const char *message;		/* AWS's words, cleaned and cut; may be "" */
	const char *request_id;		/* may be "" */
	int			status;			/* of HTTP */
} PseudoAwsError;

/* A question, and what became of it. */
typedef struct PseudoAwsExchange
{
	PseudoAwsService service;
	bool		agent;			/* not the service itself, but its agent on
								 * this host */
	const char *action;			/* GetSecretValue */
	const char *region;			/* asked; NULL: the agent's own */
	const char *method;			/* of HTTP */
	const char *url;
	const char *content_type;	/* NULL: none */
	const char *target;			/* X-Amz-Target, or NULL */
	const char *body;			/* may be NULL */
	Size		len;			/* bytes */
	const PseudoAwsCredentials *credentials;	/* to sign with, or NULL */
	PseudoAwsGetCredentials renew;	/* gets others, once, where AWS calls
									 * these expired; NULL: there are none */
	void	   *renew_arg;
	const char *const *headers; /* where it is not signed */
	bool		xml;			/* the answer is no JSON */

	int			attempts;		/* made */
	PseudoHttpResponse response;
	PseudoJson *answer;			/* an object, unless xml */
	PseudoAwsError error;		/* code NULL: AWS answered with none */
	PseudoAwsErrorKind kind;	/* of that error */
} PseudoAwsExchange;

/*
 * Ask, as often as the settings say, full jitter, within aws->deadline; returns false with aws->failure filled in.
 * Credentials that AWS refuses are no longer kept.
 */
extern bool pseudo_aws_exchange(PseudoAws *aws, PseudoAwsExchange *x);

#endif							/* PSEUDO_AWS_EXCHANGE_H */
