/*
 * source_environment.c
 *		Credentials of the server's environment: keys, and a role for a web identity's token (EKS).
 */
#include "postgres.h"

#include "config.h"
#include "source.h"
#include "sts.h"

/* See source.h. */
PseudoAwsFound
pseudo_aws_from_environment(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *id = pseudo_aws_env("AWS_ACCESS_KEY_ID");
	const char *secret = pseudo_aws_env("AWS_SECRET_ACCESS_KEY");
	const char *problem;

	if (id == NULL && secret == NULL)
	{
		*why = "AWS_ACCESS_KEY_ID is not set";
		return PSEUDO_AWS_ABSENT;
	}
	if (id == NULL || secret == NULL)
		problem = id ? "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not" :
			"AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not";
	else
		problem = pseudo_aws_take(aws, found, id, secret, pseudo_aws_env("AWS_SESSION_TOKEN"), NULL);
	if (problem)
		return pseudo_aws_source_failed(aws, "the environment", problem,
										"Correct the server's environment, and restart it.");
	return PSEUDO_AWS_FOUND;
}

/* See source.h. */
PseudoAwsFound
pseudo_aws_from_web_identity(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *path = pseudo_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *profile = pseudo_aws_config_profile(aws);
	PseudoAwsRole role = {
		.source = "web identity",
		.arn = pseudo_aws_env("AWS_ROLE_ARN"),
		.session = pseudo_aws_env("AWS_ROLE_SESSION_NAME")
	};

	if (path == NULL)
	{
		*why = "AWS_WEB_IDENTITY_TOKEN_FILE is not set";
		return PSEUDO_AWS_ABSENT;
	}
	if (role.arn == NULL)
		return pseudo_aws_source_failed(aws, "web identity",
										"AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not",
										"Correct the server's environment, and restart it.");
	role.region = pseudo_aws_sts_region(aws, &profile, 1);
	return pseudo_aws_assume_role_with_token(aws, &role, path, found);
}
