/*
 * settings.c
 *		What the environment and the profile set, beside credentials, region and endpoints.
 *
 * Who sets something for the SDKs expects it to count.  So what we do not support is not passed by in
 * silence: the log names it, once a session.
 */
#include "postgres.h"

#include "access/parallel.h"

#include "config.h"
#include "settings.h"

#define MAX_ATTEMPTS	3		/* of a request, where nothing is set: as the
								 * SDKs */
#define MAX_NUMBER		1000	/* that a setting may say */
#define MAX_APP_ID		50		/* bytes of it that are sent, as the SDKs say */

extern char **environ;

/*
 * The variables that are supported, and those that concern nothing that we do; an underscore at the
 * end stands for all names that begin so.
 */
static const char *const known_variables[] = {
	"AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_DEFAULT_PROFILE", "AWS_DEFAULT_REGION",
	"AWS_EC2_INSTANCE_PROFILE_NAME", "AWS_EC2_METADATA_DISABLED",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
	"AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	"AWS_MAX_ATTEMPTS", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_METADATA_SERVICE_TIMEOUT",
	"AWS_PROFILE", "AWS_REGION", "AWS_RETRY_MODE",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_SDK_UA_APP_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_TOKEN", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT",
	"AWS_WEB_IDENTITY_TOKEN_FILE",

	"AWS_ACCOUNT_ID", "AWS_BATCH_", "AWS_BEARER_TOKEN_", "AWS_CLI_", "AWS_CREDENTIAL_EXPIRATION",
	"AWS_DATA_PATH", "AWS_DEFAULT_OUTPUT", "AWS_EC2_METADATA_V1_DISABLED", "AWS_ENDPOINT_URL_",
	"AWS_EXECUTION_ENV", "AWS_LAMBDA_", "AWS_OUTPUT", "AWS_PAGER", "AWS_S3_", "AWS_SDK_LOAD_CONFIG",
	"AWS_VAULT", "AWS_XRAY_", NULL
};

/* The same for the settings of a profile. */
static const char *const known_settings[] = {
	"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "ca_bundle",
	"credential_process", "credential_source", "duration_seconds", "ec2_instance_profile_name",
	"ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode", "endpoint_url",
	"external_id", "ignore_configured_endpoint_urls", "login_session", "max_attempts",
	"metadata_service_num_attempts", "metadata_service_timeout", "mfa_serial", "region",
	"retry_mode", "role_arn", "role_session_name", "sdk_ua_app_id", "services", "source_profile",
	"sso_", "use_dualstack_endpoint", "use_fips_endpoint", "web_identity_token_file",

	"aws_account_id", "cli_", "ec2_metadata_v1_disabled", "output", "s3", "s3_", NULL
};

/* Returns true if a name is in such a list. */
static bool
is_known(const char *name, const char *const *list)
{
	for (; *list; list++)
	{
		Size		len = strlen(*list);

		if ((*list)[len - 1] == '_' ? pg_strncasecmp(name, *list, len) == 0 :
			pg_strcasecmp(name, *list) == 0)
			return true;
	}
	return false;
}

/* Append a name to a list in words. */
static void
add_name(StringInfo names, const char *name)
{
	appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "", name);
}

/* Append the environment's variables that are not known. */
static void
add_variables(StringInfo names)
{
	for (char **variable = environ; variable && *variable; variable++)
	{
		const char *equals = strchr(*variable, '=');
		char	   *name;

		if (strncmp(*variable, "AWS_", 4) != 0 || equals == NULL || equals[1] == '\0')
			continue;
		name = pnstrdup(*variable, equals - *variable);
		if (!is_known(name, known_variables))
			add_name(names, name);
	}
}

/* Append what is set and known, and yet not done as it says. */
static void
add_differences(PseudoAws *aws, StringInfo names)
{
	const char *where;
	const char *mode = pseudo_aws_setting(aws, "AWS_RETRY_MODE", "retry_mode", &where);
	const char *profile = pseudo_aws_env("AWS_PROFILE");
	const char *other = pseudo_aws_env("AWS_DEFAULT_PROFILE");
	ListCell   *cell;

	if (mode && strcmp(mode, "standard") != 0)
		add_name(names, psprintf("retry mode \"%s\" (it is \"standard\")", mode));
	if (profile && other && strcmp(profile, other) != 0)
		add_name(names, "AWS_DEFAULT_PROFILE (AWS_PROFILE is another)");
	foreach(cell, pseudo_aws_config_missing(aws))
		add_name(names, psprintf("%s (there is no such file)", (const char *) lfirst(cell)));
}

/* Log, once a session, what is set and does not count. */
static void
log_unsupported(PseudoAws *aws)
{
	static bool done = false;
	const char *profile = pseudo_aws_config_profile(aws);
	StringInfoData names;
	ListCell   *cell;

	if (done || IsParallelWorker())
		return;
	done = true;
	initStringInfo(&names);
	add_variables(&names);
	foreach(cell, pseudo_aws_config_names(aws, profile))
	{
		const char *name = lfirst(cell);

		if (!is_known(name, known_settings))
			add_name(&names, psprintf("%s of profile \"%s\"", name, profile));
	}
	add_differences(aws, &names);
	if (names.len > 0)
		ereport(LOG,
				(errmsg("settings of AWS SDKs are not supported by pseudo, and do not count: %s", names.data)));
}

/* Fill in the failure for a setting that will not do; returns false. */
static bool
fail_setting(PseudoAws *aws, const char *where, const char *hint)
{
	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_PARAMETER_VALUE,
					   psprintf("invalid value in %s", where), NULL, hint);
}

/* Read a whole number from 1 on, where it is set; false with the failure filled in where it is none. */
static bool
read_whole_number(PseudoAws *aws, const char *variable, const char *setting, int *number)
{
	const char *where;
	const char *string = pseudo_aws_setting(aws, variable, setting, &where);
	char	   *end;
	long		value;

	if (string == NULL)
		return true;
	errno = 0;
	value = strtol(string, &end, 10);
	if (*end != '\0' || errno != 0 || value < 1 || value > MAX_NUMBER)
		return fail_setting(aws, where, psprintf("It is a whole number from 1 to %d.", MAX_NUMBER));
	*number = (int) value;
	return true;
}

/* Check that the retry mode is one that there is. */
static bool
check_retry_mode(PseudoAws *aws)
{
	const char *where;
	const char *mode = pseudo_aws_setting(aws, "AWS_RETRY_MODE", "retry_mode", &where);

	if (mode == NULL || strcmp(mode, "standard") == 0 || strcmp(mode, "adaptive") == 0 ||
		strcmp(mode, "legacy") == 0)
		return true;
	return fail_setting(aws, where, "Set it to \"standard\".");
}

/* What we call ourselves, and the application's id, as the SDKs write it. */
static const char *
make_user_agent(const char *app_id)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!$%&'*+-.^_`|~,";
	const char *agent = "pseudo/" PSEUDO_VERSION " postgresql/" PG_MAJORVERSION;
	char	   *id;

	if (app_id == NULL)
		return agent;
	id = pnstrdup(app_id, MAX_APP_ID);
	for (char *c = id; *c; c++)
	{
		if (strchr(allowed, *c) == NULL)
			*c = '-';
	}
	return psprintf("%s app/%s", agent, id);
}

/* See settings.h. */
void
pseudo_aws_default_settings(PseudoAws *aws)
{
	if (aws->settings)
		return;
	aws->settings = MemoryContextAllocZero(aws->context, sizeof(PseudoAwsSettings));
	aws->settings->max_attempts = MAX_ATTEMPTS;
	aws->settings->metadata_timeout = 1000;
	aws->settings->ca_file = pseudo_option(aws->options, "ca_file");
	aws->settings->user_agent = make_user_agent(NULL);
}

/* See settings.h. */
bool
pseudo_aws_read_settings(PseudoAws *aws)
{
	PseudoAwsSettings *settings;
	const char *where;
	int			seconds = 1;

	if (aws->settings)
		return true;
	if (!pseudo_aws_config_check(aws) || !check_retry_mode(aws))
		return false;
	log_unsupported(aws);
	pseudo_aws_default_settings(aws);
	settings = aws->settings;
	aws->settings = NULL;		/* until all is read */
	if (!read_whole_number(aws, "AWS_MAX_ATTEMPTS", "max_attempts", &settings->max_attempts) ||
		!read_whole_number(aws, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", &seconds) ||
		!read_whole_number(aws, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts",
						   &settings->metadata_attempts))
		return false;
	settings->metadata_timeout = seconds * 1000;
	if (settings->ca_file == NULL)
		settings->ca_file = pseudo_aws_setting(aws, "AWS_CA_BUNDLE", "ca_bundle", &where);
	settings->user_agent = make_user_agent(pseudo_aws_setting(aws, "AWS_SDK_UA_APP_ID",
															  "sdk_ua_app_id", &where));
	aws->settings = settings;
	return true;
}
