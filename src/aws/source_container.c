/*
 * source_container.c
 *		Credentials of the endpoint that ECS, and EKS by Pod Identity, give a container.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "http.h"
#include "settings.h"
#include "source.h"
#include "url.h"

#define CONTAINER_TRIES 3
#define CONTAINER_TIMEOUT	1500	/* milliseconds of a try */
#define CONTAINER_PAUSE 200		/* milliseconds between tries, at most */
#define CONTAINER_HOST	"169.254.170.2"

/* Returns true if a host, as a Host header has it, is this one, on whatever port. */
static bool
host_is(const char *host, const char *name)
{
	Size		len = strlen(name);

	return pg_strncasecmp(host, name, len) == 0 && (host[len] == '\0' || host[len] == ':');
}

/* Returns true for a URL that the SDKs allow: https, or http to the host itself or to ECS's and EKS's addresses. */
static bool
is_container_url(const char *url)
{
	const char *host = pseudo_url_host(url);

	if (host == NULL || strpbrk(url, "@\\#") != NULL || !pseudo_aws_is_visible(url))
		return false;
	return pg_strncasecmp(url, "https://", strlen("https://")) == 0 ||
		pseudo_url_is_loopback(url) ||
		host_is(host, CONTAINER_HOST) ||
		host_is(host, "169.254.170.23") ||
		host_is(host, "[fd00:ec2::23]");
}

/* The URL of the container's endpoint, in the arena, or NULL with *problem set. */
static const char *
container_url(PseudoAws *aws, const char **problem)
{
	const char *relative = pseudo_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *url = pseudo_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");

	if (relative)
		url = pseudo_arena_printf(aws->arena, "http://" CONTAINER_HOST "%s", relative);
	if (relative && *relative != '/')
		*problem = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a slash";
	else if (!is_container_url(url))
		*problem = relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path" :
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is neither a URL with https, nor one with http of a loopback address, "
			"169.254.170.2, 169.254.170.23 or [fd00:ec2::23]";
	else
		return url;
	return NULL;
}

/* The headers of a request to the container's endpoint, or NULL with *problem set. */
static const char *const *
container_headers(PseudoAws *aws, const char **problem)
{
	const char *path = pseudo_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = pseudo_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char **headers = palloc0(3 * sizeof(char *));

	if (path)
		*problem = pseudo_aws_read_token(aws, path, &token);
	if (*problem)
		return NULL;
	for (const char *p = token; p && *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
		{
			*problem = psprintf("the token in %s has a line break or a control character in it",
								path ? psprintf("file \"%s\"", path) : "AWS_CONTAINER_AUTHORIZATION_TOKEN");
			return NULL;
		}
	}
	headers[0] = "Accept: application/json";
	if (token)
		headers[1] = pseudo_arena_printf(aws->arena, "Authorization: %s", token);
	return headers;
}

/* Returns true if a try that ended so is worth another. */
static bool
is_worth_a_retry(const PseudoHttpResponse *response)
{
	if (response->outcome == PSEUDO_HTTP_ANSWERED)
		return response->status >= 500 || response->status == 429;
	return response->outcome == PSEUDO_HTTP_TIMED_OUT ||
		response->outcome == PSEUDO_HTTP_UNREACHABLE ||
		response->outcome == PSEUDO_HTTP_BROKEN;
}

/* Wait a little before another try; false where no time is left for one. */
static bool
wait_to_try_again(PseudoAws *aws)
{
	int64		ms = 1 + (int64) (pg_prng_double(&pg_global_prng_state) * CONTAINER_PAUSE);

	if (pseudo_now_ms() + ms >= aws->deadline)
		return false;
	pseudo_aws_pause(ms);
	return true;
}

/* Ask the container's endpoint, again where that may help; returns NULL, or in words what is wrong. */
static const char *
ask_container(PseudoAws *aws, const char *url, const char *const *headers,
			  PseudoAwsCredentials *found)
{
	PseudoHttpRequest request = {
		.method = "GET", .url = url, .headers = headers, .metadata = true,
		.ca_file = aws->settings->ca_file, .trust = aws->trust,
		.user_agent = aws->settings->user_agent
	};
	PseudoHttpResponse response;
	int			tries = 0;

	do
	{
		request.deadline = Min(aws->deadline, pseudo_now_ms() + CONTAINER_TIMEOUT);
		memset(&response, 0, sizeof(response));
		pseudo_http_perform(aws->arena, &request, &response);
	} while (is_worth_a_retry(&response) && ++tries < CONTAINER_TRIES && wait_to_try_again(aws));

	if (response.outcome != PSEUDO_HTTP_ANSWERED)
		return response.problem;
	if (response.status != 200)
		return psprintf("host \"%s\" answered with HTTP status %d", pseudo_url_host(url),
						response.status);
	return pseudo_aws_take_json(aws, found, pseudo_aws_json(aws, response.body, response.len),
								"Token");
}

/* See source.h. */
PseudoAwsFound
pseudo_aws_from_container(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *problem = NULL;
	const char *const *headers;
	const char *url;
	const char *made_for;

	if (!pseudo_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") &&
		!pseudo_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
	{
		*why = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set";
		return PSEUDO_AWS_ABSENT;
	}
	url = container_url(aws, &problem);
	if (url)
	{
		made_for = pseudo_arena_printf(aws->arena, "container %s", url);
		if (pseudo_aws_kept(aws, made_for, found))
			return PSEUDO_AWS_FOUND;
		headers = container_headers(aws, &problem);
		if (headers)
			problem = ask_container(aws, url, headers, found);
		if (problem == NULL)
		{
			pseudo_aws_keep(aws, made_for, found);
			return PSEUDO_AWS_FOUND;
		}
	}
	return pseudo_aws_source_failed(aws, "the container's endpoint", problem, NULL);
}
