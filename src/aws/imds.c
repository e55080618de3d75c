/*
 * imds.c
 *		The instance metadata service of EC2, version 2 alone.
 *
 * A request without a session token (version 1) is never made: whoever makes a program of
 * the host fetch a URL could read the credentials by it.
 */
#include "postgres.h"

#include "config.h"
#include "http.h"
#include "imds.h"
#include "settings.h"
#include "url.h"

#define ATTEMPTS		2		/* of a request, where none are set */
#define TOKEN_HEADER	"X-aws-ec2-metadata-token"

/* Where the service is, without slashes at the end. */
static const char *
imds_endpoint(PseudoAws *aws)
{
	const char *where;
	const char *url = pseudo_aws_setting(aws, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
										 "ec2_metadata_service_endpoint", &where);
	const char *mode = pseudo_aws_setting(aws, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
										  "ec2_metadata_service_endpoint_mode", &where);

	if (url == NULL)
		return mode && pg_strcasecmp(mode, "IPv6") == 0 ?
			"http://[fd00:ec2::254]" : "http://169.254.169.254";
	return pseudo_aws_without_slashes(url);
}

/*
 * Send a request, once more where the service stumbles.  What is not answered in time is
 * not repeated, unless attempts are set: a host without the service pays for one wait.
 */
static void
imds_perform(PseudoAws *aws, const char *method, const char *url, const char *header,
			 PseudoHttpResponse *response)
{
	const char *headers[] = {header, NULL};
	PseudoHttpRequest request = {
		.method = method,
		.url = url,
		.headers = headers,
		.metadata = true,
		.trust = aws->trust,
		.user_agent = aws->settings->user_agent,
		.connect_timeout = aws->settings->metadata_timeout
	};
	int			set = aws->settings->metadata_attempts;

	for (int attempt = 0; attempt < (set > 0 ? set : ATTEMPTS); attempt++)
	{
		request.deadline = Min(pseudo_now_ms() + aws->settings->metadata_timeout, aws->deadline);
		memset(response, 0, sizeof(*response));
		pseudo_http_perform(aws->arena, &request, response);
		if (response->outcome == PSEUDO_HTTP_ANSWERED && response->status < 500)
			return;
		if (response->outcome != PSEUDO_HTTP_ANSWERED && response->outcome != PSEUDO_HTTP_BROKEN &&
			set == 0)
			return;
	}
}

/* Returns true if the answer was 200, with a body; if not, *problem says what it was. */
static bool
imds_succeeded(const PseudoHttpResponse *response, const char *method, const char *url,
			   const char **problem)
{
	if (response->outcome != PSEUDO_HTTP_ANSWERED)
		*problem = psprintf("%s %s: %s", method, url, response->problem);
	else if (response->status != 200)
		*problem = psprintf("%s %s was answered with status %d", method, url, response->status);
	else if (response->len == 0)
		*problem = psprintf("%s %s was answered with nothing", method, url);
	else
		return true;
	return false;
}

/* Get a session token, where there is none yet. */
static bool
imds_get_token(PseudoAws *aws, const char *base, const char **problem)
{
	const char *url = psprintf("%s/latest/api/token", base);
	PseudoHttpResponse response;

	if (aws->imds_token)
		return true;
	imds_perform(aws, "PUT", url, TOKEN_HEADER "-ttl-seconds: 21600", &response);
	if (!imds_succeeded(&response, "PUT", url, problem))
	{
		if (response.outcome == PSEUDO_HTTP_UNREACHABLE || response.outcome == PSEUDO_HTTP_TIMED_OUT)
			*problem = psprintf("%s (in a container on EC2 the likely cause is the hop limit: set HttpPutResponseHopLimit of the instance to 2)",
								*problem);
		return false;
	}
	if (!pseudo_aws_is_visible(response.body))
	{
		*problem = psprintf("PUT %s was answered with no token", url);
		return false;
	}
	aws->imds_token = response.body;
	return true;
}

/* See imds.h. */
const char *
pseudo_aws_imds_get(PseudoAws *aws, const char *path, const char **problem)
{
	const char *disabled = pseudo_aws_env("AWS_EC2_METADATA_DISABLED");
	const char *base = imds_endpoint(aws);
	const char *url = psprintf("%s%s", base, path);
	PseudoHttpResponse response;

	if (disabled && pg_strcasecmp(disabled, "true") == 0)
	{
		*problem = "switched off by AWS_EC2_METADATA_DISABLED";
		return NULL;
	}
	if (pseudo_url_host(base) == NULL)
	{
		*problem = "AWS_EC2_METADATA_SERVICE_ENDPOINT, or the profile's setting, is no http or https URL";
		return NULL;
	}
	for (int attempt = 0; attempt < 2; attempt++)
	{
		if (!imds_get_token(aws, base, problem))
			return NULL;
		imds_perform(aws, "GET", url,
					 pseudo_arena_printf(aws->arena, TOKEN_HEADER ": %s", aws->imds_token), &response);
		if (response.outcome != PSEUDO_HTTP_ANSWERED || response.status != 401)
			break;
		aws->imds_token = NULL; /* it has expired */
	}
	return imds_succeeded(&response, "GET", url, problem) ? response.body : NULL;
}
