/*
 * sts.c
 *		The credentials of a role, which AWS STS gives.
 */
#include "postgres.h"

#include "config.h"
#include "endpoint.h"
#include "exchange.h"
#include "sts.h"

#define SESSION_NAME	"pseudo"	/* of a role's session, where none is set */
#define FORM	"application/x-www-form-urlencoded; charset=utf-8"

/* A form with one more parameter, unless its value is NULL. */
static const char *
with_parameter(PseudoAws *aws, const char *form, const char *name, const char *value)
{
	if (value == NULL)
		return form;
	return pseudo_arena_printf(aws->arena, "%s&%s=%s", form, name,
							   pseudo_aws_percent_encode(aws->arena, value, ""));
}

/* The form of an action of STS (Query protocol, version 2011-06-15) that gives a role's credentials. */
static const char *
role_form(PseudoAws *aws, const char *action, const PseudoAwsRole *role)
{
	const char *form = pseudo_arena_printf(aws->arena, "Action=%s&Version=2011-06-15", action);

	form = with_parameter(aws, form, "RoleArn", role->arn);
	form = with_parameter(aws, form, "RoleSessionName", role->session ? role->session : SESSION_NAME);
	form = with_parameter(aws, form, "ExternalId", role->external_id);
	return with_parameter(aws, form, "DurationSeconds", role->duration);
}

/* See sts.h. */
const char *
pseudo_aws_sts_region(PseudoAws *aws, const char *const *profiles, int n)
{
	const char *region = pseudo_aws_env("AWS_REGION");

	if (region == NULL)
		region = pseudo_aws_env("AWS_DEFAULT_REGION");
	while (region == NULL && n > 0)
		region = pseudo_aws_config_get(aws, profiles[--n], "region");
	return region ? region : aws->region;
}

/* Take the credentials of an answer. */
static PseudoAwsFound
take_answer(PseudoAws *aws, const PseudoAwsRole *role, const char *xml, PseudoAwsCredentials *found)
{
	const char *problem = pseudo_aws_take(aws, found,
										  pseudo_aws_xml(aws, xml, "AccessKeyId"),
										  pseudo_aws_xml(aws, xml, "SecretAccessKey"),
										  pseudo_aws_xml(aws, xml, "SessionToken"),
										  pseudo_aws_xml(aws, xml, "Expiration"));

	if (problem)
		return pseudo_aws_source_failed(aws, role->source,
										psprintf("in the answer of AWS STS %s", problem), NULL);
	return PSEUDO_AWS_FOUND;
}

/* Post a form to STS, signed with credentials, or unsigned where they are NULL; take and keep those of the answer. */
static PseudoAwsFound
call_sts(PseudoAws *aws, const PseudoAwsRole *role, const char *action, const char *form,
		 const PseudoAwsCredentials *credentials, PseudoAwsGetCredentials get, void *arg,
		 PseudoAwsCredentials *found)
{
	static const char *const unsigned_headers[] = {"Content-Type: " FORM, NULL};
	PseudoAwsExchange x = {
		.service = PSEUDO_AWS_STS, .action = action, .region = role->region,
		.method = "POST", .content_type = FORM, .body = form, .len = strlen(form), .xml = true,
		.credentials = credentials, .renew = get, .renew_arg = arg, .headers = unsigned_headers
	};
	const char *endpoint;

	if (role->region == NULL)
		return pseudo_aws_source_failed(aws, role->source, "there is no region, such as eu-west-1, to call AWS STS in",
										"Set the option \"region\", or the profile's region.");
	endpoint = pseudo_aws_endpoint(aws, PSEUDO_AWS_STS, role->region);
	if (endpoint == NULL)
		return pseudo_aws_source_named(aws, role->source);
	x.url = psprintf("%s/", endpoint);
	if (!pseudo_aws_exchange(aws, &x))
		return pseudo_aws_source_named(aws, role->source);
	return take_answer(aws, role, x.response.body, found);
}

/* See sts.h. */
PseudoAwsFound
pseudo_aws_assume_role(PseudoAws *aws, const PseudoAwsRole *role, PseudoAwsGetCredentials get,
					   void *arg, PseudoAwsCredentials *found)
{
	static const char action[] = "AssumeRole";
	const char *form = role_form(aws, action, role);
	const char *made_for = pseudo_arena_printf(aws->arena, "%s %s", role->source, form);
	const PseudoAwsCredentials *credentials;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	credentials = get(aws, false, arg);
	if (credentials == NULL ||
		call_sts(aws, role, action, form, credentials, get, arg, found) != PSEUDO_AWS_FOUND)
		return PSEUDO_AWS_FAILED;
	pseudo_aws_keep(aws, made_for, found);
	return PSEUDO_AWS_FOUND;
}

/* See sts.h. */
PseudoAwsFound
pseudo_aws_assume_role_with_token(PseudoAws *aws, const PseudoAwsRole *role, const char *path,
								  PseudoAwsCredentials *found)
{
	static const char action[] = "AssumeRoleWithWebIdentity";
	const char *form = role_form(aws, action, role);
	const char *made_for = pseudo_arena_printf(aws->arena, "%s %s", path, form);
	const char *token;
	const char *problem;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	problem = pseudo_aws_read_token(aws, path, &token);
	if (problem)
		return pseudo_aws_source_failed(aws, role->source, problem, NULL);
	form = with_parameter(aws, form, "WebIdentityToken", token);
	if (call_sts(aws, role, action, form, NULL, NULL, NULL, found) != PSEUDO_AWS_FOUND)
		return PSEUDO_AWS_FAILED;
	pseudo_aws_keep(aws, made_for, found);
	return PSEUDO_AWS_FOUND;
}
