/*
 * client.h
 *		A call of an AWS API: signed, sent, tried again, its errors put into words.
 */
#ifndef PSEUDO_AWS_CLIENT_H
#define PSEUDO_AWS_CLIENT_H

#include "postgres.h"

#include "endpoint.h"

/* An error that AWS answered with. */
typedef struct PseudoAwsError
{
	const char *code;			/* "ResourceNotFoundException"; "" where the answer names none */
	const char *message;		/* AWS's words, cleaned and cut; may be "" */
	const char *request_id;		/* may be "" */
	int			status;			/* of HTTP */
} PseudoAwsError;

/*
 * Call an action of Secrets Manager or KMS (JSON 1.1): at most 3 attempts, full jitter, within aws->deadline.
 * body is JSON, len bytes, in the arena where it is secret.  Returns the answer's object; or NULL with aws->failure filled in, and
 * *error where AWS answered with one (else error->code is NULL).  error may be NULL.
 */
extern PseudoJson *pseudo_aws_call(PseudoAws *aws, PseudoAwsService service, const char *action,
								   const char *body, Size len, PseudoAwsError *error);

/*
 * Post a form to STS (Query protocol, version 2011-06-15), signed with credentials, or unsigned where they are
 * NULL; retried as above.  Returns the answer's XML in the arena, or NULL with aws->failure filled in.
 */
extern const char *pseudo_aws_call_sts(PseudoAws *aws, const char *region, const char *form,
									   const PseudoAwsCredentials *credentials);

/* The text of the first element of this name in an XML answer, in the arena, or NULL. */
extern const char *pseudo_aws_xml(PseudoAws *aws, const char *xml, const char *name);

#endif							/* PSEUDO_AWS_CLIENT_H */
