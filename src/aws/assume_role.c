/*
 * assume_role.c
 *		The credentials that a profile leads to, and those of roles, which STS gives.
 *
 * Within one profile the order is botocore's: a role assumed with those of another profile or
 * source, a role for a web identity's token, SSO (which we do not do), the keys of the credentials file, a
 * login of the console (which we do not do either), a process, the keys of the config file.
 */
#include "postgres.h"

#include "assume_role.h"
#include "client.h"
#include "config.h"
#include "../keyring/process.h"

#define MAX_ROLES	5			/* profiles that lead on to one another */
#define MAX_OUTPUT	65536		/* bytes that a credential_process writes */
#define SESSION_NAME	"pseudo"	/* of a role's session, where none is set */

/* The profiles that have led here, each by its role. */
typedef struct Trail
{
	const char *profiles[MAX_ROLES];
	int			n;
} Trail;

static PseudoAwsFound ask_profile(PseudoAws *aws, const char *profile, const Trail *trail,
								  PseudoAwsCredentials *found, const char **why);

/* What a profile is called in messages. */
static const char *
source_name(const char *profile)
{
	return psprintf("profile \"%s\"", profile);
}

/* Fill in the failure of a profile; see pseudo_aws_source_failed(). */
static PseudoAwsFound
profile_failed(PseudoAws *aws, const char *profile, const char *why, const char *hint)
{
	return pseudo_aws_source_failed(aws, source_name(profile), why, hint);
}

/* A form with one more parameter, unless its value is NULL. */
static const char *
with_parameter(PseudoAws *aws, const char *form, const char *name, const char *value)
{
	if (value == NULL)
		return form;
	return pseudo_arena_printf(aws->arena, "%s&%s=%s", form, name,
							   pseudo_aws_percent_encode(aws->arena, value));
}

/* The form of an action of STS that gives the credentials of a role. */
static const char *
role_form(PseudoAws *aws, const char *action, const char *role, const char *session)
{
	const char *form = pseudo_arena_printf(aws->arena, "Action=%s&Version=2011-06-15", action);

	form = with_parameter(aws, form, "RoleArn", role);
	return with_parameter(aws, form, "RoleSessionName", session ? session : SESSION_NAME);
}

/*
 * The region to call STS in, or NULL: the environment's, the profile's that asks for the role or that of the one that led to
 * it; the secret's only where nothing else is said.
 */
static const char *
sts_region(PseudoAws *aws, const char *profile, const Trail *trail)
{
	const char *region = pseudo_aws_env("AWS_REGION");

	if (region == NULL)
		region = pseudo_aws_env("AWS_DEFAULT_REGION");
	if (region == NULL)
		region = pseudo_aws_config_get(aws, profile, "region");
	for (int i = trail->n - 1; i >= 0 && region == NULL; i--)
		region = pseudo_aws_config_get(aws, trail->profiles[i], "region");
	return region ? region : aws->region;
}

/* Call STS in a region, and take the credentials of its answer. */
static PseudoAwsFound
call_sts(PseudoAws *aws, const char *source, const char *region, const char *form,
		 const PseudoAwsCredentials *credentials, PseudoAwsRenew renew, void *arg,
		 PseudoAwsCredentials *found)
{
	const char *problem;
	const char *xml;

	if (region == NULL || region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return pseudo_aws_source_failed(aws, source, "there is no region, such as eu-west-1, to call AWS STS in",
										"Set the option \"region\", or the profile's region.");
	xml = pseudo_aws_call_sts(aws, region, form, credentials, renew, arg);
	if (xml == NULL)
		return pseudo_aws_source_named(aws, source);
	problem = pseudo_aws_take(aws, found,
							  pseudo_aws_xml(aws, xml, "AccessKeyId"),
							  pseudo_aws_xml(aws, xml, "SecretAccessKey"),
							  pseudo_aws_xml(aws, xml, "SessionToken"),
							  pseudo_aws_xml(aws, xml, "Expiration"));
	if (problem)
		return pseudo_aws_source_failed(aws, source,
										psprintf("in the answer of AWS STS %s", problem), NULL);
	return PSEUDO_AWS_FOUND;
}

/* The credentials of a role for the token in a file, which is read each time. */
static PseudoAwsFound
ask_web_identity(PseudoAws *aws, const char *source, const char *region, const char *role,
				 const char *session, const char *path, PseudoAwsCredentials *found)
{
	const char *form = role_form(aws, "AssumeRoleWithWebIdentity", role, session);
	const char *made_for = pseudo_arena_printf(aws->arena, "%s %s", path, form);
	const char *token;
	const char *problem;
	PseudoAwsFound result;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	problem = pseudo_aws_read_token(aws, path, &token);
	if (problem)
		return pseudo_aws_source_failed(aws, source, problem, NULL);
	form = with_parameter(aws, form, "WebIdentityToken", token);
	result = call_sts(aws, source, region, form, NULL, NULL, NULL, found);
	if (result == PSEUDO_AWS_FOUND)
		pseudo_aws_keep(aws, made_for, found);
	return result;
}

/* See assume_role.h. */
PseudoAwsFound
pseudo_aws_from_web_identity(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *path = pseudo_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = pseudo_aws_env("AWS_ROLE_ARN");
	const Trail trail = {0};

	if (path == NULL)
	{
		*why = "AWS_WEB_IDENTITY_TOKEN_FILE is not set";
		return PSEUDO_AWS_ABSENT;
	}
	if (role == NULL)
		return pseudo_aws_source_failed(aws, "web identity",
										"AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not",
										"Correct the server's environment, and restart it.");
	return ask_web_identity(aws, "web identity",
							sts_region(aws, pseudo_aws_config_profile(aws), &trail), role,
							pseudo_aws_env("AWS_ROLE_SESSION_NAME"), path, found);
}

/* The credentials of a profile's role for its web identity's token. */
static PseudoAwsFound
ask_token_profile(PseudoAws *aws, const char *profile, const Trail *trail, PseudoAwsCredentials *found)
{
	const char *role = pseudo_aws_config_get(aws, profile, "role_arn");

	if (role == NULL)
		return profile_failed(aws, profile, "it has a web_identity_token_file, but no role_arn", NULL);
	return ask_web_identity(aws, source_name(profile), sts_region(aws, profile, trail), role,
							pseudo_aws_config_get(aws, profile, "role_session_name"),
							pseudo_aws_config_get(aws, profile, "web_identity_token_file"), found);
}

/* The credentials that a profile's credential_source names. */
static PseudoAwsFound
ask_credential_source(PseudoAws *aws, const char *profile, const char *name,
					  PseudoAwsCredentials *found)
{
	const char *why = NULL;
	PseudoAwsFound result;

	if (strcmp(name, "Environment") == 0)
		result = pseudo_aws_from_environment(aws, found, &why);
	else if (strcmp(name, "EcsContainer") == 0)
		result = pseudo_aws_from_container(aws, found, &why);
	else if (strcmp(name, "Ec2InstanceMetadata") == 0)
		result = pseudo_aws_from_instance(aws, found, &why);
	else
		return profile_failed(aws, profile, psprintf("its credential_source \"%s\" is not known", name),
							  "A credential_source is Environment, Ec2InstanceMetadata or EcsContainer.");
	if (result == PSEUDO_AWS_ABSENT)
		return profile_failed(aws, profile,
							  psprintf("its credential_source %s has none: %s", name, why), NULL);
	return result;
}

/* Returns true if a profile has static keys, or a part of them. */
static bool
has_keys(PseudoAws *aws, PseudoAwsConfigFile file, const char *profile)
{
	return pseudo_aws_config_get_from(aws, file, profile, "aws_access_key_id") ||
		pseudo_aws_config_get_from(aws, file, profile, "aws_secret_access_key");
}

/*
 * Returns true if a source_profile is one that led here.  A profile may be its own source: then its
 * keys are meant.
 */
static bool
is_loop(PseudoAws *aws, const char *profile, const char *source, const Trail *trail)
{
	if (strcmp(source, profile) == 0)
		return !has_keys(aws, PSEUDO_AWS_ANY_FILE, profile);
	for (int i = 0; i < trail->n; i++)
	{
		if (strcmp(trail->profiles[i], source) == 0)
			return true;
	}
	return false;
}

/* The credentials that a profile's source_profile leads to. */
static PseudoAwsFound
ask_source_profile(PseudoAws *aws, const char *profile, const char *name, const Trail *trail,
				   PseudoAwsCredentials *found)
{
	const char *why = NULL;
	PseudoAwsFound result;

	if (!pseudo_aws_config_has(aws, name))
		return profile_failed(aws, profile,
							  psprintf("its source_profile \"%s\" does not exist", name), NULL);
	if (is_loop(aws, profile, name, trail))
		return profile_failed(aws, profile,
							  psprintf("its source_profile \"%s\" leads back to itself", name), NULL);
	result = ask_profile(aws, name, trail, found, &why);
	if (result == PSEUDO_AWS_ABSENT)
		return profile_failed(aws, profile,
							  psprintf("its source_profile \"%s\" has no credentials", name), NULL);
	return result;
}

/* What keeps a profile's role from being assumed, in words, or NULL. */
static const char *
role_problem(PseudoAws *aws, const char *profile, const Trail *trail)
{
	const char *duration = pseudo_aws_config_get(aws, profile, "duration_seconds");
	bool		has_profile = pseudo_aws_config_get(aws, profile, "source_profile") != NULL;
	bool		has_source = pseudo_aws_config_get(aws, profile, "credential_source") != NULL;

	if (trail->n == MAX_ROLES)
		return psprintf("more than %d roles lead to it", MAX_ROLES);
	if (has_profile && has_source)
		return "it has both a source_profile and a credential_source";
	if (!has_profile && !has_source)
		return "it has a role_arn, but neither a source_profile nor a credential_source";
	if (pseudo_aws_config_get(aws, profile, "mfa_serial"))
		return "it has an mfa_serial, and a server can ask nobody for a code: this is not supported";
	if (duration && duration[strspn(duration, "0123456789")] != '\0')
		return "its duration_seconds is not a number";
	return NULL;
}

/* Where a profile's role has its source credentials from. */
typedef struct RoleSource
{
	const char *profile;
	Trail		trail;			/* the profile at its end */
	PseudoAwsCredentials credentials;
} RoleSource;

/* Find the credentials that a profile's role is assumed with. */
static PseudoAwsFound
ask_role_source(PseudoAws *aws, RoleSource *source)
{
	const char *name = pseudo_aws_config_get(aws, source->profile, "credential_source");

	if (name)
		return ask_credential_source(aws, source->profile, name, &source->credentials);
	return ask_source_profile(aws, source->profile,
							  pseudo_aws_config_get(aws, source->profile, "source_profile"),
							  &source->trail, &source->credentials);
}

/* Find them anew, where STS calls them expired; see client.h. */
static const PseudoAwsCredentials *
renew_role_source(PseudoAws *aws, void *arg)
{
	RoleSource *source = arg;

	pseudo_aws_forget();
	return ask_role_source(aws, source) == PSEUDO_AWS_FOUND ? &source->credentials : NULL;
}

/* The form that asks for a profile's role. */
static const char *
assume_role_form(PseudoAws *aws, const char *profile)
{
	const char *form = role_form(aws, "AssumeRole", pseudo_aws_config_get(aws, profile, "role_arn"),
								 pseudo_aws_config_get(aws, profile, "role_session_name"));

	form = with_parameter(aws, form, "ExternalId", pseudo_aws_config_get(aws, profile, "external_id"));
	return with_parameter(aws, form, "DurationSeconds",
						  pseudo_aws_config_get(aws, profile, "duration_seconds"));
}

/* The credentials of a profile's role, assumed with those that the profile leads to. */
static PseudoAwsFound
ask_role_profile(PseudoAws *aws, const char *profile, const Trail *trail, PseudoAwsCredentials *found)
{
	const char *problem = role_problem(aws, profile, trail);
	RoleSource	source = {.profile = profile,.trail = *trail};
	const char *made_for;
	const char *form;
	PseudoAwsFound result;

	if (problem)
		return profile_failed(aws, profile, problem, NULL);
	source.trail.profiles[source.trail.n++] = profile;
	form = assume_role_form(aws, profile);
	made_for = pseudo_arena_printf(aws->arena, "profile %s %s", profile, form);
	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	result = ask_role_source(aws, &source);
	if (result == PSEUDO_AWS_FOUND)
		result = call_sts(aws, source_name(profile), sts_region(aws, profile, trail), form,
						  &source.credentials, renew_role_source, &source, found);
	if (result == PSEUDO_AWS_FOUND)
		pseudo_aws_keep(aws, made_for, found);
	return result;
}

/* The keys that a file has for a profile, with no other's session token. */
static PseudoAwsFound
take_keys(PseudoAws *aws, PseudoAwsConfigFile file, const char *profile, PseudoAwsCredentials *found)
{
	const char *id = pseudo_aws_config_get_from(aws, file, profile, "aws_access_key_id");
	const char *secret = pseudo_aws_config_get_from(aws, file, profile, "aws_secret_access_key");
	const char *problem;

	if (id == NULL || secret == NULL)
		problem = id ? "it has an aws_access_key_id, but no aws_secret_access_key" :
			"it has an aws_secret_access_key, but no aws_access_key_id";
	else
		problem = pseudo_aws_take(aws, found, id, secret,
								  pseudo_aws_config_get_from(aws, file, profile, "aws_session_token"), NULL);
	return problem ? profile_failed(aws, profile, problem, NULL) : PSEUDO_AWS_FOUND;
}

/*
 * Run a credential_process; returns its output in the arena, or NULL with the failure filled
 * in.  The command is copied, for a child does not see what is in the arena.
 */
static const char *
run_process(PseudoAws *aws, const char *command, Size *len)
{
	char	   *output = pseudo_process_run("credential_process", pstrdup(command), aws->deadline,
											MAX_OUTPUT, len, aws->failure);
	const char *copy = NULL;

	if (output == NULL)
		return NULL;
	PG_TRY();
	{
		copy = pseudo_arena_copy(aws->arena, output, *len);
	}
	PG_FINALLY();
	{
		pseudo_secret_free(output);
	}
	PG_END_TRY();
	return copy;
}

/* The credentials that a profile's credential_process writes. */
static PseudoAwsFound
ask_process(PseudoAws *aws, const char *profile, PseudoAwsCredentials *found)
{
	const char *command = pseudo_aws_config_get(aws, profile, "credential_process");
	const char *made_for = pseudo_arena_printf(aws->arena, "process %s", command);
	const char *problem;
	const char *output;
	PseudoJson *version;
	PseudoJson *json;
	uint64		number = 0;
	Size		len;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	output = run_process(aws, command, &len);
	if (output == NULL)
		return pseudo_aws_source_named(aws, source_name(profile));
	json = pseudo_aws_json(aws, output, len);
	version = json ? pseudo_json_field(json, "Version") : NULL;
	if (json && (version == NULL || !pseudo_json_integer(version, &number) || number != 1))
		problem = "its Version is not 1";
	else
		problem = pseudo_aws_take_json(aws, found, json, "SessionToken");
	if (problem)
		return profile_failed(aws, profile,
							  psprintf("in the output of its credential_process %s", problem), NULL);
	pseudo_aws_keep(aws, made_for, found);
	return PSEUDO_AWS_FOUND;
}

/* Returns true if a profile is one of IAM Identity Center (SSO). */
static bool
is_sso(PseudoAws *aws, const char *profile)
{
	static const char *const names[] = {
		"sso_session", "sso_start_url", "sso_account_id", "sso_role_name"
	};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (pseudo_aws_config_get(aws, profile, names[i]))
			return true;
	}
	return false;
}

/* Fill in the failure of a profile that a person has to log in for. */
static PseudoAwsFound
fail_login(PseudoAws *aws, const char *profile)
{
	return profile_failed(aws, profile, "it is one of IAM Identity Center (SSO) or of aws login, which is not supported",
						  psprintf("Name a profile with credential_process = aws configure export-credentials --profile %s --format process.",
								   profile));
}

/*
 * The credentials that a profile leads to.  Keys go before the role where the profile is the
 * source of another's role, or of its own.
 */
static PseudoAwsFound
ask_profile(PseudoAws *aws, const char *profile, const Trail *trail, PseudoAwsCredentials *found,
			const char **why)
{
	bool		has_role = pseudo_aws_config_get(aws, profile, "role_arn") != NULL;
	bool		has_token = pseudo_aws_config_get(aws, profile, "web_identity_token_file") != NULL;

	if (has_role && !has_token && !(trail->n > 0 && has_keys(aws, PSEUDO_AWS_ANY_FILE, profile)))
		return ask_role_profile(aws, profile, trail, found);
	if (has_token)
		return ask_token_profile(aws, profile, trail, found);
	if (is_sso(aws, profile))
		return fail_login(aws, profile);
	if (has_keys(aws, PSEUDO_AWS_CREDENTIALS_FILE, profile))
		return take_keys(aws, PSEUDO_AWS_CREDENTIALS_FILE, profile, found);
	if (pseudo_aws_config_get(aws, profile, "login_session"))
		return fail_login(aws, profile);
	if (pseudo_aws_config_get(aws, profile, "credential_process"))
		return ask_process(aws, profile, found);
	if (has_keys(aws, PSEUDO_AWS_CONFIG_FILE, profile))
		return take_keys(aws, PSEUDO_AWS_CONFIG_FILE, profile, found);
	*why = psprintf("profile \"%s\" has no credentials", profile);
	return PSEUDO_AWS_ABSENT;
}

/* See assume_role.h.  That a profile which is named is there was checked. */
PseudoAwsFound
pseudo_aws_from_profile(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *profile = pseudo_aws_config_profile(aws);
	const Trail trail = {0};

	if (pseudo_aws_config_has(aws, profile))
		return ask_profile(aws, profile, &trail, found, why);
	*why = psprintf("no profile \"%s\"", profile);
	return PSEUDO_AWS_ABSENT;
}
