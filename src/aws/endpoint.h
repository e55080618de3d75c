/*
 * endpoint.h
 *		Which region a secret is in, and where its services are reached.
 */
#ifndef PSEUDO_AWS_ENDPOINT_H
#define PSEUDO_AWS_ENDPOINT_H

#include "postgres.h"

#include "aws.h"

typedef enum PseudoAwsService
{
	PSEUDO_AWS_SECRETS_MANAGER,
	PSEUDO_AWS_KMS,
	PSEUDO_AWS_STS
} PseudoAwsService;

/* The name that signatures and host names have: secretsmanager, kms, sts. */
extern const char *pseudo_aws_service_name(PseudoAwsService service);

/*
 * Find aws->region: option "region", the ARN in option "secret_id" (22023 where they contradict),
 * AWS_REGION, AWS_DEFAULT_REGION, the profile's region, the instance metadata service.
 * Failure: 22023, a detail of what was tried.
 */
extern bool pseudo_aws_find_region(PseudoAws *aws);

/*
 * The URL of a service in a region, without a slash at its end: option "endpoint" (of Secrets Manager alone),
 * AWS_ENDPOINT_URL_SECRETS_MANAGER (_KMS, _STS), AWS_ENDPOINT_URL, the profile's for the service, the profile's endpoint_url
 * (AWS_IGNORE_CONFIGURED_ENDPOINT_URLS passes by all but the option), else the partition's own,
 * as AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT or the profile say.  NULL, with aws->failure filled in (22023), where
 * the URL or the region will not do.
 */
extern const char *pseudo_aws_endpoint(PseudoAws *aws, PseudoAwsService service, const char *region);

/* The partition of a region: aws, aws-cn, aws-us-gov, ... */
extern const char *pseudo_aws_partition(const char *region);

#endif							/* PSEUDO_AWS_ENDPOINT_H */
