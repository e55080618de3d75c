/*
 * secrets_manager.h
 *		Reading and storing the secret, by AWS Secrets Manager and by its agent.
 */
#ifndef PSEUDO_AWS_SECRETS_MANAGER_H
#define PSEUDO_AWS_SECRETS_MANAGER_H

#include "postgres.h"

#include "aws.h"

/* A secret's value, which lives as long as aws->context. */
typedef struct PseudoAwsSecret
{
	PseudoDocument document;	/* not to be freed; may be blank */
	const char *version;		/* its VersionId, or NULL where it has no version yet */
} PseudoAwsSecret;

/*
 * Begin a load, change or call: a context beneath the current one, an arena in it, the time of
 * option "timeout".  The caller deletes aws->context.
 */
extern void pseudo_aws_begin(PseudoAws *aws, const PseudoOptions *options, PseudoFailure *failure);

/* Report aws->failure as an error; with this hint, where it is not NULL, in the place of its own. */
extern void pseudo_aws_report(const PseudoAws *aws, const char *hint) __attribute__((noreturn));

/*
 * Read the secret from AWS.  A secret without a version, or a blank one, fails with
 * PSEUDO_FAIL_EMPTY; secret->version says which.
 */
extern bool pseudo_aws_get_secret(PseudoAws *aws, PseudoAwsSecret *secret);

/* The same through the AWS Secrets Manager Agent of option "agent". */
extern bool pseudo_aws_ask_agent(PseudoAws *aws, PseudoAwsSecret *secret);

/* Take the value out of an answer to GetSecretValue. */
extern bool pseudo_aws_read_value(PseudoAws *aws, const PseudoJson *answer, PseudoAwsSecret *secret);

/* Random bytes from KMS, by the key of option "kms_key_id". */
extern bool pseudo_aws_generate(PseudoAws *aws, uint8 *out, Size len);

/* Change the document; see provider.h. */
extern PseudoDocument pseudo_aws_store(const PseudoOptions *options,
									   PseudoDocument (*change) (const PseudoDocument *old, void *arg),
									   void *arg, char **version);

#endif							/* PSEUDO_AWS_SECRETS_MANAGER_H */
