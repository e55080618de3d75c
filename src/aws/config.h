/*
 * config.h
 *		The files that the SDKs and the aws CLI share: ~/.aws/config and ~/.aws/credentials.
 */
#ifndef PSEUDO_AWS_CONFIG_H
#define PSEUDO_AWS_CONFIG_H

#include "postgres.h"

#include "aws.h"

/*
 * Read AWS_CONFIG_FILE (~/.aws/config) and AWS_SHARED_CREDENTIALS_FILE
 * (~/.aws/credentials) into the arena, where they are not read yet; ~ is HOME, else the server's
 * user's own.  A missing file is an empty one; one that cannot be read or parsed counts as empty too, and is kept as a
 * problem.  The functions below call this themselves.
 */
extern void pseudo_aws_config_read(PseudoAws *aws);

/* What is wrong with a file, in words for a failure's detail, or NULL. */
extern const char *pseudo_aws_config_problem(PseudoAws *aws);

/* The profile in force: option "profile", AWS_PROFILE, "default". */
extern const char *pseudo_aws_config_profile(PseudoAws *aws);

/* Is there a profile of this name in either file? */
extern bool pseudo_aws_config_has(PseudoAws *aws, const char *profile);

/* A setting of a profile, or NULL: the credentials file's goes first. */
extern const char *pseudo_aws_config_get(PseudoAws *aws, const char *profile, const char *name);

/*
 * A setting of a service in the [services] section that a profile names, or NULL:
 * service "secrets_manager", "sts" or "kms", name "endpoint_url".
 */
extern const char *pseudo_aws_config_service(PseudoAws *aws, const char *profile,
											 const char *service, const char *name);

#endif							/* PSEUDO_AWS_CONFIG_H */
