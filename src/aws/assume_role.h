/*
 * assume_role.h
 *		The credentials that a profile leads to, and those of roles, which STS gives.
 */
#ifndef PSEUDO_AWS_ASSUME_ROLE_H
#define PSEUDO_AWS_ASSUME_ROLE_H

#include "postgres.h"

#include "credentials.h"

/* Those of the profile in force, in the shared files. */
extern PseudoAwsFound pseudo_aws_from_profile(PseudoAws *aws, PseudoAwsCredentials *found,
											  const char **why);

/* Those of AWS_ROLE_ARN, for the token in AWS_WEB_IDENTITY_TOKEN_FILE. */
extern PseudoAwsFound pseudo_aws_from_web_identity(PseudoAws *aws, PseudoAwsCredentials *found,
												   const char **why);

#endif							/* PSEUDO_AWS_ASSUME_ROLE_H */
