/*
 * agent.c
 *		Reading the secret through the AWS Secrets Manager Agent, one cache for a host.
 *
 * The agent asks AWS with credentials of its own.  To keep out requests that were
 * forged through some other service of the host, it wants a token, which is found where the agent itself finds it.
 */
#include "postgres.h"

#include "client.h"
#include "credentials.h"
#include "secrets_manager.h"

#define TOKEN_FILE	"/var/run/awssmatoken"	/* where its installation puts it */

/* The URL that asks for the secret. */
static const char *
make_url(PseudoAws *aws)
{
	const PseudoOptions *options = aws->options;
	const char *agent = pseudo_option(options, "agent");
	const char *stage = pseudo_option(options, "version_stage");
	Size		len = strlen(agent);

	while (agent[len - 1] == '/')
		len--;
	return psprintf("%.*s/secretsmanager/get?secretId=%s%s%s%s", (int) len, agent,
					pseudo_aws_percent_encode(aws->arena, pseudo_option(options, "secret_id")),
					stage ? "&versionStage=" : "",
					stage ? pseudo_aws_percent_encode(aws->arena, stage) : "",
					options->fresh ? "&refreshNow=true" : "");
}

/* A token without white space around it; what else it is not fit for, the agent says. */
static const char *
trim(PseudoAws *aws, const char *token)
{
	token += strspn(token, " \t\r\n");
	return pseudo_arena_copy(aws->arena, token, strcspn(token, " \t\r\n"));
}

/* The agent's token, in the arena; NULL with the failure filled in. */
static const char *
find_token(PseudoAws *aws)
{
	static const char *const names[] = {
		"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	};
	const char *path = TOKEN_FILE;
	const char *token = NULL;
	const char *problem;

	for (int i = 0; i < (int) lengthof(names) && token == NULL; i++)
		token = pseudo_aws_env(names[i]);
	if (token && strncmp(token, "file://", 7) != 0)
		return trim(aws, token);
	if (token)
		path = token + 7;
	problem = pseudo_aws_read_token(aws, path, &token);
	if (problem == NULL)
		return trim(aws, token);
	pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
				"could not find the token of the AWS Secrets Manager Agent",
				psprintf("It was looked for in the environment (AWS_TOKEN, AWS_SESSION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN) and in a file: %s.",
						 problem),
				"The server's user must be in the group awssmatokenreader, or the token in the server's environment.");
	return NULL;
}

/* See secrets_manager.h. */
bool
pseudo_aws_ask_agent(PseudoAws *aws, PseudoAwsSecret *secret)
{
	const char *token = find_token(aws);
	const char *headers[2] = {NULL, NULL};
	PseudoAwsExchange x = {
		.service = PSEUDO_AWS_SECRETS_MANAGER,
		.agent = true,
		.action = "GetSecretValue",
		.method = "GET",
		.url = make_url(aws),
		.headers = headers
	};

	memset(secret, 0, sizeof(PseudoAwsSecret));
	if (token == NULL)
		return false;
	headers[0] = pseudo_arena_printf(aws->arena, "X-Aws-Parameters-Secrets-Token: %s", token);
	return pseudo_aws_exchange(aws, &x) && pseudo_aws_read_value(aws, x.answer, secret);
}
