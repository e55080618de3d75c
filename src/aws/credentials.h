/*
 * credentials.h
 *		Credentials: checked and taken over from what a source says, and kept for a while.
 */
#ifndef PSEUDO_AWS_CREDENTIALS_H
#define PSEUDO_AWS_CREDENTIALS_H

#include "postgres.h"

#include "aws.h"

/* What came of asking a source. */
typedef enum PseudoAwsFound
{
	PSEUDO_AWS_ABSENT,			/* it is not there; *why says so in words */
	PSEUDO_AWS_FOUND,
	PSEUDO_AWS_FAILED			/* it is there and gives none: aws->failure is
								 * filled in */
} PseudoAwsFound;

/*
 * Gets credentials to sign a request with.  renew: those it got before have expired, and none that are kept will do.
 * Returns NULL with aws->failure filled in where there are none.
 */
typedef const PseudoAwsCredentials *(*PseudoAwsGetCredentials) (PseudoAws *aws, bool renew, void *arg);

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

/* Those kept in the backend that were made for this; keep some, where they last long enough; forget all. */
extern bool pseudo_aws_kept(PseudoAws *aws, const char *made_for, PseudoAwsCredentials *found);
extern void pseudo_aws_keep(PseudoAws *aws, const char *made_for,
							const PseudoAwsCredentials *credentials);
extern void pseudo_aws_forget(void);

#endif							/* PSEUDO_AWS_CREDENTIALS_H */
