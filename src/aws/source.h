/*
 * source.h
 *		Where credentials come from: one function a source, which the chain asks in turn.
 */
#ifndef PSEUDO_AWS_SOURCE_H
#define PSEUDO_AWS_SOURCE_H

#include "postgres.h"

#include "credentials.h"

/* Ask a source; *why is set in words where it is PSEUDO_AWS_ABSENT. */
typedef PseudoAwsFound (*PseudoAwsSource) (PseudoAws *aws, PseudoAwsCredentials *found,
										   const char **why);

/* AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
extern PseudoAwsFound pseudo_aws_from_environment(PseudoAws *aws, PseudoAwsCredentials *found,
												  const char **why);

/* The profile in force, in the shared files; that one which is named is there was checked. */
extern PseudoAwsFound pseudo_aws_from_profile(PseudoAws *aws, PseudoAwsCredentials *found,
											  const char **why);

/* The role AWS_ROLE_ARN, for the token in AWS_WEB_IDENTITY_TOKEN_FILE. */
extern PseudoAwsFound pseudo_aws_from_web_identity(PseudoAws *aws, PseudoAwsCredentials *found,
												   const char **why);

/* The endpoint of ECS and EKS. */
extern PseudoAwsFound pseudo_aws_from_container(PseudoAws *aws, PseudoAwsCredentials *found,
												const char **why);

/* The role of the EC2 instance. */
extern PseudoAwsFound pseudo_aws_from_instance(PseudoAws *aws, PseudoAwsCredentials *found,
											   const char **why);

#endif							/* PSEUDO_AWS_SOURCE_H */
