/*
 * sts.h
 *		The credentials of a role, which AWS STS gives.
 */
#ifndef PSEUDO_AWS_STS_H
#define PSEUDO_AWS_STS_H

#include "postgres.h"

#include "credentials.h"

/* A role, and how it is asked for. */
typedef struct PseudoAwsRole
{
	const char *source;			/* in messages: "profile \"crm\"" */
	const char *region;			/* of STS; NULL: none was found */
	const char *arn;
	const char *session;		/* NULL: a name of ours */
	const char *external_id;	/* may be NULL */
	const char *duration;		/* seconds; may be NULL */
} PseudoAwsRole;

/*
 * The region to call STS in, or NULL: the environment's; that of the profile that asks for the role, or of the nearest one that
 * led to it (the last of n comes first); the secret's, only where nothing else says one.
 */
extern const char *pseudo_aws_sts_region(PseudoAws *aws, const char *const *profiles, int n);

/* Assume a role with the credentials that get() finds.  Those of the role are kept. */
extern PseudoAwsFound pseudo_aws_assume_role(PseudoAws *aws, const PseudoAwsRole *role,
											 PseudoAwsGetCredentials get, void *arg,
											 PseudoAwsCredentials *found);

/* Assume a role with the token in a file, which is read each time.  Those of the role are kept. */
extern PseudoAwsFound pseudo_aws_assume_role_with_token(PseudoAws *aws, const PseudoAwsRole *role,
														const char *path, PseudoAwsCredentials *found);

#endif							/* PSEUDO_AWS_STS_H */
