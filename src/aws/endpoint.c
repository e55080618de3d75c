/*
 * endpoint.c
 *		Which region a secret is in, and where its services are reached.
 *
 * The names are those of the SDKs' own rules (endpoint-rule-set-1.json of botocore).
 */
#include "postgres.h"

#include "config.h"
#include "endpoint.h"
#include "imds.h"
#include "url.h"

#define REGION_MAX	63			/* bytes: a region is a label of a host name */

typedef struct Partition
{
	const char *prefix;			/* that its regions begin with */
	const char *name;
	const char *suffix;			/* of host names */
	const char *dual_suffix;	/* of those that have IPv4 and IPv6 addresses */
} Partition;

/* The last one takes the regions of no other. */
static const Partition partitions[] = {
	{"cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"us-gov-", "aws-us-gov", "amazonaws.com", "api.aws"},
	{"us-iso-", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov"},
	{"us-isob-", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"},
	{"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"us-isof-", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"eusc-", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"", "aws", "amazonaws.com", "api.aws"}
};

/* What a service is called: in host names, in the [services] section, in the environment. */
static const struct
{
	const char *name;
	const char *setting;
	const char *variable;
}			services[] = {

	[PSEUDO_AWS_SECRETS_MANAGER] =
	{"secretsmanager", "secrets_manager", "AWS_ENDPOINT_URL_SECRETS_MANAGER"},
	[PSEUDO_AWS_KMS] =
	{"kms", "kms", "AWS_ENDPOINT_URL_KMS"},
	[PSEUDO_AWS_STS] =
	{"sts", "sts", "AWS_ENDPOINT_URL_STS"}
};

/* See endpoint.h. */
const char *
pseudo_aws_service_name(PseudoAwsService service)
{
	return services[service].name;
}

/* The partition of a region. */
static const Partition *
find_partition(const char *region)
{
	const Partition *p = partitions;

	while (strncmp(region, p->prefix, strlen(p->prefix)) != 0)
		p++;
	return p;
}

/* See endpoint.h. */
const char *
pseudo_aws_partition(const char *region)
{
	return find_partition(region)->name;
}

/*
 * Fill in the failure for a setting that is wrong.  Transient, for no one has refused
 * us: a slip in the host's settings must not drop keys.  Returns false.
 */
static bool
fail_endpoint(PseudoAws *aws, const char *message, const char *hint)
{
	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_PARAMETER_VALUE,
					   message, NULL, hint);
}

/* Check a region before it goes into a host name; where: what set it, for messages. */
static bool
check_region(PseudoAws *aws, const char *region, const char *where)
{
	Size		len = strlen(region);

	if (len > 0 && len <= REGION_MAX &&
		strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
		return true;
	return fail_endpoint(aws, psprintf("invalid AWS region in %s", where),
						 "A region is a name such as eu-west-1.");
}

/* Take a region as that of the secret, where it is one. */
static bool
set_region(PseudoAws *aws, const char *region, const char *where)
{
	if (!check_region(aws, region, where))
		return false;
	aws->region = region;
	return true;
}

/* The region of the instance that the server runs on; NULL with *problem set. */
static const char *
instance_region(PseudoAws *aws, const char **problem)
{
	const char *body = pseudo_aws_imds_get(aws, "/latest/meta-data/placement/region", problem);

	return body ? pnstrdup(body, strcspn(body, " \t\r\n")) : NULL;
}

/* Fill in the failure for no region; returns false. */
static bool
fail_no_region(PseudoAws *aws, const char *profile, const char *imds_problem)
{
	const char *problem = pseudo_aws_config_has(aws, profile) ? "names no region" : "does not exist";

	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_PARAMETER_VALUE,
					   "could not find the AWS region of the secret",
					   psprintf("Option \"region\": not set.  Option \"secret_id\": no ARN with a region.  "
								"AWS_REGION, AWS_DEFAULT_REGION: not set.  "
								"Profile \"%s\": %s.  Instance metadata: %s.",
								profile, problem, imds_problem),
					   "Set the option \"region\" of the server.");
}

/* See endpoint.h. */
bool
pseudo_aws_find_region(PseudoAws *aws)
{
	const char *option = pseudo_option(aws->options, "region");
	const char *arn = pseudo_aws_arn_region(pseudo_option(aws->options, "secret_id"));
	const char *profile = pseudo_aws_config_profile(aws);
	const char *problem = NULL;
	const char *region;

	if (option && arn && strcmp(option, arn) != 0)
		return pseudo_fail(aws->failure, PSEUDO_FAIL_REFUSED, ERRCODE_INVALID_PARAMETER_VALUE,
						   "option \"region\" contradicts the ARN in option \"secret_id\"",
						   psprintf("The option says \"%s\", the ARN \"%s\".", option, arn),
						   "Drop the option \"region\", or give the ARN of that region.");
	if (option)
		return set_region(aws, option, "option \"region\"");
	if (arn)
		return set_region(aws, arn, "the ARN in option \"secret_id\"");
	if ((region = pseudo_aws_env("AWS_REGION")))
		return set_region(aws, region, "environment variable AWS_REGION");
	if ((region = pseudo_aws_env("AWS_DEFAULT_REGION")))
		return set_region(aws, region, "environment variable AWS_DEFAULT_REGION");
	if ((region = pseudo_aws_config_get(aws, profile, "region")))
		return set_region(aws, region, psprintf("profile \"%s\"", profile));
	if ((region = instance_region(aws, &problem)))
		return set_region(aws, region, "the answer of the instance metadata service");
	return fail_no_region(aws, profile, problem);
}

/* A configured URL of a service, *where set to what set it; NULL where there is none. */
static const char *
configured_url(PseudoAws *aws, PseudoAwsService service, const char **where)
{
	const char *profile = pseudo_aws_config_profile(aws);
	const char *url = NULL;

	*where = "option \"endpoint\"";
	if (service == PSEUDO_AWS_SECRETS_MANAGER)
		url = pseudo_option(aws->options, "endpoint");
	if (url || pseudo_aws_setting_is_on(aws, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"))
		return url;
	*where = psprintf("environment variable %s", services[service].variable);
	if ((url = pseudo_aws_env(services[service].variable)))
		return url;
	*where = "environment variable AWS_ENDPOINT_URL";
	if ((url = pseudo_aws_env("AWS_ENDPOINT_URL")))
		return url;
	*where = psprintf("setting endpoint_url of profile \"%s\"", profile);
	url = pseudo_aws_config_service(aws, profile, services[service].setting, "endpoint_url");
	return url ? url : pseudo_aws_config_get(aws, profile, "endpoint_url");
}

/* A configured URL without slashes at its end; NULL, with the failure filled in, where it will not do. */
static const char *
check_configured_url(PseudoAws *aws, const char *url, const char *where)
{
	if (pseudo_url_host(url) == NULL || strpbrk(url, "?#@ \t\r\n\\"))
	{
		fail_endpoint(aws, psprintf("invalid URL in %s", where),
					  "Give a URL such as https://host, without user, query and fragment.");
		return NULL;
	}
	if (pg_strncasecmp(url, "https://", 8) != 0 && !pseudo_url_is_loopback(url))
	{
		fail_endpoint(aws, psprintf("the URL in %s is not encrypted", where),
					  "Give a URL with https; http is for the host itself alone (localhost, 127.0.0.1).");
		return NULL;
	}
	return pseudo_aws_without_slashes(url);
}

/* The URL by which AWS itself offers a service in a region. */
static const char *
partition_url(PseudoAws *aws, PseudoAwsService service, const char *region)
{
	const Partition *p = find_partition(region);
	bool		is_gov = strcmp(p->name, "aws-us-gov") == 0;
	bool		fips = pseudo_aws_setting_is_on(aws, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
	bool		dual = pseudo_aws_setting_is_on(aws, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");

	/* In these partitions the plain names of Secrets Manager are dual-stack. */
	if (service == PSEUDO_AWS_SECRETS_MANAGER &&
		(is_gov || strcmp(p->name, "aws") == 0 || (strcmp(p->name, "aws-cn") == 0 && !fips)))
		dual = false;
	/* In this one the plain names of STS are FIPS ones. */
	if (service == PSEUDO_AWS_STS && is_gov && !dual)
		fips = false;
	return psprintf("https://%s%s.%s.%s", services[service].name, fips ? "-fips" : "",
					region, dual ? p->dual_suffix : p->suffix);
}

/* See endpoint.h. */
const char *
pseudo_aws_endpoint(PseudoAws *aws, PseudoAwsService service, const char *region)
{
	const char *where;
	const char *url = configured_url(aws, service, &where);

	if (url)
		return check_configured_url(aws, url, where);
	if (!check_region(aws, region, psprintf("the request to %s", services[service].name)))
		return NULL;
	return partition_url(aws, service, region);
}
