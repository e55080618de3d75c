/*
 * credentials.h
 *		The credentials that the database host has, found in the SDKs' order.
 */
#ifndef PSEUDO_AWS_CREDENTIALS_H
#define PSEUDO_AWS_CREDENTIALS_H

#include "postgres.h"

#include "aws.h"

/*
 * Find aws->credentials: environment; shared files; web identity; container; instance
 * metadata.  Temporary ones are kept in the backend, in secret memory, until five minutes before they
 * expire.  renew: do not use those kept (AWS has called them expired).
 * Failure: 28000, PSEUDO_FAIL_TRANSIENT, a detail that lists what was tried and why each failed; or,
 * of a source that is configured and fails, what it failed with.
 */
extern bool pseudo_aws_find_credentials(PseudoAws *aws, bool renew);

/* The rest is for the sources, here and in assume_role.c. */

/* What came of asking a source. */
typedef enum PseudoAwsFound
{
	PSEUDO_AWS_ABSENT,			/* it is not there; *why says so in words */
	PSEUDO_AWS_FOUND,
	PSEUDO_AWS_FAILED			/* it is there and gives none: aws->failure is filled in */
} PseudoAwsFound;

typedef PseudoAwsFound (*PseudoAwsSource) (PseudoAws *aws, PseudoAwsCredentials *found,
										   const char **why);

extern PseudoAwsFound pseudo_aws_from_environment(PseudoAws *aws, PseudoAwsCredentials *found,
												  const char **why);
extern PseudoAwsFound pseudo_aws_from_container(PseudoAws *aws, PseudoAwsCredentials *found,
												const char **why);
extern PseudoAwsFound pseudo_aws_from_instance(PseudoAws *aws, PseudoAwsCredentials *found,
											   const char **why);

/* Forget all that are kept. */
extern void pseudo_aws_forget(void);

/* Fill in the failure of a source ("profile \"crm\""): why, in words, and a hint or NULL.  Returns PSEUDO_AWS_FAILED. */
extern PseudoAwsFound pseudo_aws_source_failed(PseudoAws *aws, const char *source,
											   const char *why, const char *hint);

/*
 * Name the source in a failure that another has filled in, which is none of the secret's: unless access was
 * denied, it is transient.  Returns PSEUDO_AWS_FAILED.
 */
extern PseudoAwsFound pseudo_aws_source_named(PseudoAws *aws, const char *source);

/*
 * Take credentials over, copied to the arena; token and expiration (RFC 3339) may be NULL.
 * Returns NULL, or in words what is wrong with them.  The second takes them from an object,
 * which names the token token_name.
 */
extern const char *pseudo_aws_take(PseudoAws *aws, PseudoAwsCredentials *found, const char *id,
								   const char *secret, const char *token, const char *expiration);
extern const char *pseudo_aws_take_json(PseudoAws *aws, PseudoAwsCredentials *found,
										const PseudoJson *json, const char *token_name);

/* Read a small file that holds a token into *token, in the arena.  Returns NULL, or in words what is wrong. */
extern const char *pseudo_aws_read_token(PseudoAws *aws, const char *path, const char **token);

/* Those kept in the backend that were made for this; keep some, where they last long enough. */
extern bool pseudo_aws_kept(PseudoAws *aws, const char *made_for, PseudoAwsCredentials *found);
extern void pseudo_aws_keep(PseudoAws *aws, const char *made_for,
							const PseudoAwsCredentials *credentials);

#endif							/* PSEUDO_AWS_CREDENTIALS_H */
