/*
 * chain.c
 *		The credentials that the database host has, found in the SDKs' order.
 *
 * A source that is not there is passed by, with a word on why; one that is there and
 * fails ends the search, for what comes after it was not meant.
 *
 * The chain is ours, a file a source, and not the SDKs' for C: aws-c-auth brings event loops, threads and a TLS
 * of its own into a backend, and some 18,000 lines.
 */
#include "postgres.h"

#include "chain.h"
#include "source.h"

#define NONE_HINT \
	"Give the database host a role (an EC2 instance role, an ECS task role, an EKS service account's), or set " \
	"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the server's environment, or name a profile of its user's ~/.aws/config in option \"profile\"."

/* The sources, in the order in which they are asked. */
static const struct
{
	const char *name;
	PseudoAwsSource find;
	bool		environment;	/* passed by where option "profile" is given */
}			sources[] = {
	{"environment", pseudo_aws_from_environment, true},
	{"shared files", pseudo_aws_from_profile, false},
	{"web identity", pseudo_aws_from_web_identity, true},
	{"container", pseudo_aws_from_container, false},
	{"instance metadata", pseudo_aws_from_instance, false}
};

/* See chain.h. */
bool
pseudo_aws_find_credentials(PseudoAws *aws, bool renew)
{
	const char *profile = pseudo_option(aws->options, "profile");
	StringInfoData tried;

	memset(&aws->credentials, 0, sizeof(aws->credentials));
	if (renew)
		pseudo_aws_forget();
	initStringInfo(&tried);
	for (int i = 0; i < (int) lengthof(sources); i++)
	{
		const char *why = NULL;
		PseudoAwsFound found = PSEUDO_AWS_ABSENT;

		if (sources[i].environment && profile)
			why = "passed by, for the option \"profile\" is set";
		else
			found = sources[i].find(aws, &aws->credentials, &why);
		if (found != PSEUDO_AWS_ABSENT)
			return found == PSEUDO_AWS_FOUND;
		appendStringInfo(&tried, "%s%s: %s", i > 0 ? "\n" : "", sources[i].name, why);
	}
	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT,
					   ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
					   "no AWS credentials found", tried.data, NONE_HINT);
}
