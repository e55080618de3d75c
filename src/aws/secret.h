/*
 * secret.h
 *		Reading the secret from AWS Secrets Manager.
 */
#ifndef PSEUDO_AWS_SECRET_H
#define PSEUDO_AWS_SECRET_H

#include "postgres.h"

#include "aws.h"

/* A secret's value, which lives as long as aws->context. */
typedef struct PseudoAwsSecret
{
	PseudoDocument document;	/* not to be freed; may be blank */
	const char *version;		/* its VersionId, or NULL where it has no
								 * version yet */
} PseudoAwsSecret;

/*
 * Read the secret from AWS.  A secret without a version, or a blank one, fails with
 * PSEUDO_FAIL_EMPTY; secret->version says which.
 */
extern bool pseudo_aws_get_secret(PseudoAws *aws, PseudoAwsSecret *secret);

/* Take the value out of an answer to GetSecretValue. */
extern bool pseudo_aws_read_value(PseudoAws *aws, const PseudoJson *answer, PseudoAwsSecret *secret);

#endif							/* PSEUDO_AWS_SECRET_H */
