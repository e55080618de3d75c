/*
 * source_profile.c
 *		The credentials that a profile of the shared files leads to.
 *
 * Within one profile the order is botocore's: a role assumed with those of another profile or
 * source, a role for a web identity's token, SSO (which we do not do), the keys of the credentials file, a
 * login of the console (which we do not do either), a process, the keys of the config file.
 */
#include "postgres.h"

#include "config.h"
#include "source.h"
#include "sts.h"
#include "../keyring/process.h"

#define MAX_ROLES	5			/* profiles that lead on to one another */
#define MAX_OUTPUT	65536		/* bytes that a credential_process writes */

/* The profiles that have led here, each by its role. */
typedef struct Trail
{
	const char *profiles[MAX_ROLES + 1];
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

/* The role that a profile has, which its trail ends with. */
static PseudoAwsRole
profile_role(PseudoAws *aws, const Trail *trail)
{
	const char *profile = trail->profiles[trail->n - 1];
	PseudoAwsRole role = {
		.source = source_name(profile),
		.region = pseudo_aws_sts_region(aws, trail->profiles, trail->n),
		.arn = pseudo_aws_config_get(aws, profile, "role_arn"),
		.session = pseudo_aws_config_get(aws, profile, "role_session_name")
	};

	return role;
}

/* A trail with one more profile at its end. */
static Trail
longer_trail(const Trail *trail, const char *profile)
{
	Trail		longer = *trail;

	longer.profiles[longer.n++] = profile;
	return longer;
}

/* The credentials of a profile's role for its web identity's token. */
static PseudoAwsFound
ask_token_profile(PseudoAws *aws, const char *profile, const Trail *trail, PseudoAwsCredentials *found)
{
	Trail		longer = longer_trail(trail, profile);
	PseudoAwsRole role = profile_role(aws, &longer);

	if (role.arn == NULL)
		return profile_failed(aws, profile, "it has a web_identity_token_file, but no role_arn", NULL);
	return pseudo_aws_assume_role_with_token(aws, &role,
											 pseudo_aws_config_get(aws, profile, "web_identity_token_file"),
											 found);
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

/* Get the credentials that a profile's role is assumed with; see credentials.h. */
static const PseudoAwsCredentials *
get_role_source(PseudoAws *aws, bool renew, void *arg)
{
	RoleSource *source = arg;
	const char *name = pseudo_aws_config_get(aws, source->profile, "credential_source");
	PseudoAwsFound result;

	if (renew)
		pseudo_aws_forget();
	if (name)
		result = ask_credential_source(aws, source->profile, name, &source->credentials);
	else
		result = ask_source_profile(aws, source->profile,
									pseudo_aws_config_get(aws, source->profile, "source_profile"),
									&source->trail, &source->credentials);
	return result == PSEUDO_AWS_FOUND ? &source->credentials : NULL;
}

/* The credentials of a profile's role, assumed with those that the profile leads to. */
static PseudoAwsFound
ask_role_profile(PseudoAws *aws, const char *profile, const Trail *trail, PseudoAwsCredentials *found)
{
	const char *problem = role_problem(aws, profile, trail);
	RoleSource	source = {.profile = profile};
	PseudoAwsRole role;

	if (problem)
		return profile_failed(aws, profile, problem, NULL);
	source.trail = longer_trail(trail, profile);
	role = profile_role(aws, &source.trail);
	role.external_id = pseudo_aws_config_get(aws, profile, "external_id");
	role.duration = pseudo_aws_config_get(aws, profile, "duration_seconds");
	return pseudo_aws_assume_role(aws, &role, get_role_source, &source, found);
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
run_credential_process(PseudoAws *aws, const char *command, Size *len)
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
	output = run_credential_process(aws, command, &len);
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

/* See source.h. */
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
