/*
 * service.c
 *		A call of Secrets Manager or KMS: settings, region, credentials, and the exchange.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "chain.h"
#include "endpoint.h"
#include "service.h"
#include "settings.h"

/* See service.h. */
void
pseudo_aws_begin(PseudoAws *aws, const PseudoOptions *options, PseudoFailure *failure)
{
	memset(aws, 0, sizeof(PseudoAws));
	aws->options = options;
	aws->failure = failure;
	aws->context = AllocSetContextCreate(CurrentMemoryContext, "pseudo aws",
										 ALLOCSET_DEFAULT_SIZES);
	aws->arena = pseudo_arena_create(aws->context);
	aws->trust = pseudo_trust_create(aws->context);
	aws->deadline = pseudo_now_ms() + options->timeout;
}

/* See service.h. */
void
pseudo_aws_report(const PseudoAws *aws, const char *hint)
{
	const PseudoFailure *failure = aws->failure;

	if (hint == NULL)
		hint = failure->hint;
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 errmsg("keyring \"%s\": %s", aws->options->server, failure->message),
			 failure->detail ? errdetail("%s", failure->detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* Find aws->credentials; see credentials.h. */
static const PseudoAwsCredentials *
get_chain_credentials(PseudoAws *aws, bool renew, void *arg pg_attribute_unused())
{
	return pseudo_aws_find_credentials(aws, renew) ? &aws->credentials : NULL;
}

/* See service.h. */
PseudoJson *
pseudo_aws_call(PseudoAws *aws, PseudoAwsService service, const char *action,
				const char *body, Size len, PseudoAwsError *error)
{
	PseudoAwsExchange x = {
		.service = service,
		.action = action,
		.method = "POST",
		.content_type = "application/x-amz-json-1.1",
		.target = psprintf("%s.%s", service == PSEUDO_AWS_KMS ? "TrentService" : "secretsmanager",
						   action),
		.body = body,
		.len = len,
		.credentials = &aws->credentials,
		.renew = get_chain_credentials
	};
	const char *endpoint;
	bool		ok;

	if (error)
		memset(error, 0, sizeof(PseudoAwsError));
	if (!pseudo_aws_read_settings(aws))
		return NULL;
	if (aws->region == NULL && !pseudo_aws_find_region(aws))
		return NULL;
	if (aws->credentials.access_key_id == NULL && !pseudo_aws_find_credentials(aws, false))
		return NULL;
	endpoint = pseudo_aws_endpoint(aws, service, aws->region);
	if (endpoint == NULL)
		return NULL;
	x.region = aws->region;
	x.url = psprintf("%s/", endpoint);
	ok = pseudo_aws_exchange(aws, &x);
	if (error && !ok)
		*error = x.error;
	return ok ? x.answer : NULL;
}
