/*
 * config.h
 *		The files that the SDKs and the aws CLI share: ~/.aws/config and ~/.aws/credentials.
 *
 * They are AWS_CONFIG_FILE (~/.aws/config) and AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); ~ is HOME, else
 * the server's user's own home.  A missing file is an empty one.  They are read into the arena when the first of
 * these functions is called.
 */
#ifndef PSEUDO_AWS_CONFIG_H
#define PSEUDO_AWS_CONFIG_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "aws.h"

/* The files, as a set. */
typedef enum PseudoAwsConfigFile
{
	PSEUDO_AWS_CONFIG_FILE = 1,
	PSEUDO_AWS_CREDENTIALS_FILE = 2,
	PSEUDO_AWS_ANY_FILE = 3
} PseudoAwsConfigFile;

/*
 * Check that the files can be read and parsed, and that the profile is there that the option "profile", AWS_PROFILE
 * or AWS_DEFAULT_PROFILE names.  Failure: 28000, PSEUDO_FAIL_TRANSIENT.
 */
extern bool pseudo_aws_config_check(PseudoAws *aws);

/* The profile in force: option "profile", AWS_PROFILE, AWS_DEFAULT_PROFILE, "default". */
extern const char *pseudo_aws_config_profile(PseudoAws *aws);

/* Returns true if there is a profile of this name in either file. */
extern bool pseudo_aws_config_has(PseudoAws *aws, const char *profile);

/* A setting of a profile, or NULL: the credentials file's goes first; or from one of the files alone. */
extern const char *pseudo_aws_config_get(PseudoAws *aws, const char *profile, const char *name);
extern const char *pseudo_aws_config_get_from(PseudoAws *aws, PseudoAwsConfigFile file,
											  const char *profile, const char *name);

/*
 * A setting of a service in the [services] section that a profile names, or NULL:
 * service "secrets_manager", "sts" or "kms", name "endpoint_url".
 */
extern const char *pseudo_aws_config_service(PseudoAws *aws, const char *profile,
											 const char *service, const char *name);

/* The environment variables that name a file which is not there. */
extern List *pseudo_aws_config_missing(PseudoAws *aws);

/* The names of a profile's settings, palloc'ed. */
extern List *pseudo_aws_config_names(PseudoAws *aws, const char *profile);

/* A setting of the environment, else of the profile in force, *where set to what set it; or NULL. */
extern const char *pseudo_aws_setting(PseudoAws *aws, const char *variable, const char *setting,
									  const char **where);

/* Returns true if such a setting is "true". */
extern bool pseudo_aws_setting_is_on(PseudoAws *aws, const char *variable, const char *setting);

#endif							/* PSEUDO_AWS_CONFIG_H */
