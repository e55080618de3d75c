/*
 * agent.c
 *		Reading the secret through the AWS Secrets Manager Agent, one cache for a host.
 *
 * The agent asks AWS with credentials of its own.  To keep out requests that were
 * forged through some other service of the host, it wants a token, which is found where the agent itself finds it.
 * Two of the variables have another meaning beside: where the agent does not know what is in one
 * of them, the next place is tried.
 */
#include "postgres.h"

#include <unistd.h>

#include "agent.h"
#include "exchange.h"
#include "settings.h"

#define TOKEN_FILE	"/var/run/awssmatoken"	/* where its installation puts it */

/* The URL that asks for the secret. */
static const char *
agent_url(PseudoAws *aws)
{
	const PseudoOptions *options = aws->options;
	const char *agent = pseudo_option(options, "agent");
	const char *stage = pseudo_option(options, "version_stage");

	return psprintf("%s/secretsmanager/get?secretId=%s%s%s%s", pseudo_aws_without_slashes(agent),
					pseudo_aws_percent_encode(aws->arena, pseudo_option(options, "secret_id"), ""),
					stage ? "&versionStage=" : "",
					stage ? pseudo_aws_percent_encode(aws->arena, stage, "") : "",
					options->fresh ? "&refreshNow=true" : "");
}

/* A token without white space around it; what else it is not fit for, the agent says. */
static const char *
trim_token(PseudoAws *aws, const char *token)
{
	token += strspn(token, " \t\r\n");
	return pseudo_arena_copy(aws->arena, token, strcspn(token, " \t\r\n"));
}

/* Fill in the failure for no token; returns false. */
static bool
fail_token(PseudoAws *aws, const char *problem)
{
	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
					   "could not find the token of the AWS Secrets Manager Agent",
					   psprintf("Tried: the environment (AWS_TOKEN, AWS_SESSION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN), and a file: %s.",
								problem),
					   "The server's user must be in the group awssmatokenreader, or the token in the server's environment.");
}

/* Find the token that a value is, or names by file://; false with the failure filled in where it cannot be read. */
static bool
find_token(PseudoAws *aws, const char *value, const char **token)
{
	const char *problem;

	*token = value;
	if (strncmp(value, "file://", 7) == 0)
	{
		problem = pseudo_aws_read_token(aws, value + 7, token);
		if (problem)
			return fail_token(aws, problem);
	}
	*token = trim_token(aws, *token);
	return true;
}

/* Ask the agent with a token; *refused is set where it does not know it. */
static bool
ask_with_token(PseudoAws *aws, const char *token, PseudoAwsSecret *secret, bool *refused)
{
	const char *headers[] = {
		pseudo_arena_printf(aws->arena, "X-Aws-Parameters-Secrets-Token: %s", token), NULL
	};
	PseudoAwsExchange x = {
		.service = PSEUDO_AWS_SECRETS_MANAGER,
		.agent = true,
		.action = "GetSecretValue",
		.method = "GET",
		.url = agent_url(aws),
		.headers = headers
	};
	bool		ok = pseudo_aws_exchange(aws, &x);

	*refused = !ok && x.kind == PSEUDO_AWS_TOKEN;
	return ok && pseudo_aws_read_value(aws, x.answer, secret);
}

/* See agent.h. */
bool
pseudo_aws_ask_agent(PseudoAws *aws, PseudoAwsSecret *secret)
{
	static const char *const names[] = {
		"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	};
	bool		refused = false;
	const char *token;

	memset(secret, 0, sizeof(PseudoAwsSecret));
	pseudo_aws_default_settings(aws);
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		const char *value = pseudo_aws_env(names[i]);

		if (value == NULL)
			continue;
		if (!find_token(aws, value, &token))
			return false;
		if (ask_with_token(aws, token, secret, &refused))
			return true;

		/*
		 * The others may hold what is meant for AWS or for the container's
		 * endpoint.
		 */
		if (!refused || i == 0)
			return false;
	}
	/* What the agent has said is more than that there is no file. */
	if (refused && access(TOKEN_FILE, R_OK) != 0)
		return false;
	return find_token(aws, "file://" TOKEN_FILE, &token) && ask_with_token(aws, token, secret, &refused);
}
