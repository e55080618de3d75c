/*
 * sigv4.h
 *		AWS Signature Version 4, of one request, as a pure function.
 */
#ifndef PSEUDO_SIGV4_H
#define PSEUDO_SIGV4_H

#include "postgres.h"

#include "aws.h"

typedef struct PseudoSigv4Request
{
	const char *method;
	const char *path;			/* as sent, "/" at least */
	const char *host;			/* as the Host header has it */
	const char *region;
	const char *service;		/* secretsmanager, kms, sts */
	const char *content_type;
	const char *target;			/* X-Amz-Target, or NULL */
	const char *body;
	Size		body_len;		/* bytes */
	int64		time;			/* seconds since 1970 */
} PseudoSigv4Request;

/*
 * Sign a request without a query string ("AWS Signature Version 4 for API requests" in AWS's IAM User Guide).
 * Returns the headers to send, in the arena, "Name: value" each, NULL at the end: Host, Content-Type,
 * X-Amz-Date, X-Amz-Target and X-Amz-Security-Token where there are such, all of them signed, and Authorization.
 * The keys derived on the way are wiped.
 */
extern const char *const *pseudo_sigv4_sign(PseudoArena *arena, const PseudoSigv4Request *request,
											const PseudoAwsCredentials *credentials);

#endif							/* PSEUDO_SIGV4_H */
