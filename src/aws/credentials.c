/*
 * credentials.c
 *		The credentials that the database host has, found in the SDKs' order.
 *
 * A source that is not there is passed by, with a word on why; one that is there and
 * fails ends the search, for what comes after it was not meant.  Which source serves is decided
 * anew each time; what is kept in the backend is only what a source gave for a while.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/pg_prng.h"
#include "storage/fd.h"
#include "utils/datetime.h"

#include "assume_role.h"
#include "client.h"
#include "config.h"
#include "credentials.h"
#include "http.h"
#include "imds.h"
#include "settings.h"

#define RENEW_BEFORE	300		/* seconds before they expire */
#define KEPT			4		/* sets of credentials a backend */
#define MAX_TOKEN		20000	/* bytes of a token's file; STS takes no more */
#define CONTAINER_TRIES 3
#define CONTAINER_TIMEOUT	1500	/* milliseconds of a try */
#define CONTAINER_PAUSE 200		/* milliseconds between tries, at most */
#define CONTAINER_HOST	"169.254.170.2"

#define NONE_HINT \
	"Give the database host a role (an EC2 instance role, an ECS task role, an EKS service account's), or set " \
	"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the server's environment, or name a profile of its user's ~/.aws/config in option \"profile\"."

/* Temporary credentials, and what they were made for: four strings, a zero after each. */
typedef struct Kept
{
	int64		expires;		/* seconds since 1970; 0: empty */
	char		text[8192 - sizeof(int64)];
} Kept;

/* KEPT of them in secret memory, or NULL. */
static Kept *kept = NULL;

/* Seconds since 1970, by AWS's clock. */
static int64
now(const PseudoAws *aws)
{
	return (int64) time(NULL) + aws->clock_skew;
}

/* See credentials.h. */
bool
pseudo_aws_kept(PseudoAws *aws, const char *made_for, PseudoAwsCredentials *found)
{
	for (int i = 0; kept && i < KEPT; i++)
	{
		const char *id = kept[i].text + strlen(kept[i].text) + 1;
		const char *secret = id + strlen(id) + 1;
		const char *token = secret + strlen(secret) + 1;

		if (kept[i].expires - RENEW_BEFORE <= now(aws) || strcmp(kept[i].text, made_for) != 0)
			continue;
		found->access_key_id = pseudo_arena_strdup(aws->arena, id);
		found->secret_access_key = pseudo_arena_strdup(aws->arena, secret);
		found->session_token = *token ? pseudo_arena_strdup(aws->arena, token) : NULL;
		found->expires = kept[i].expires;
		return true;
	}
	return false;
}

/* Append a string and its zero. */
static char *
put(char *to, const char *string)
{
	return stpcpy(to, string) + 1;
}

/* See credentials.h; takes the place of those made for the same, or of those that expire first. */
void
pseudo_aws_keep(PseudoAws *aws, const char *made_for, const PseudoAwsCredentials *credentials)
{
	const char *token = credentials->session_token ? credentials->session_token : "";
	Kept	   *place;
	char	   *end;

	if (credentials->expires - RENEW_BEFORE <= now(aws) ||
		strlen(made_for) + strlen(credentials->access_key_id) +
		strlen(credentials->secret_access_key) + strlen(token) + 4 > sizeof(place->text))
		return;
	if (kept == NULL)
		kept = pseudo_secret_alloc(KEPT * sizeof(Kept));
	place = &kept[0];
	for (int i = 0; i < KEPT; i++)
	{
		if (strcmp(kept[i].text, made_for) == 0)
		{
			place = &kept[i];
			break;
		}
		if (kept[i].expires < place->expires)
			place = &kept[i];
	}
	explicit_bzero(place, sizeof(Kept));
	end = put(place->text, made_for);
	end = put(end, credentials->access_key_id);
	end = put(end, credentials->secret_access_key);
	put(end, token);
	place->expires = credentials->expires;
}

/* See credentials.h. */
void
pseudo_aws_forget(void)
{
	if (kept)
		explicit_bzero(kept, KEPT * sizeof(Kept));
}

/* See credentials.h. */
PseudoAwsFound
pseudo_aws_source_failed(PseudoAws *aws, const char *source, const char *why, const char *hint)
{
	pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
				psprintf("could not get AWS credentials from %s", source), pseudo_aws_sentence(why), hint);
	return PSEUDO_AWS_FAILED;
}

/* See credentials.h. */
PseudoAwsFound
pseudo_aws_source_named(PseudoAws *aws, const char *source)
{
	const char *detail = aws->failure->detail;

	if (aws->failure->sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE)
		aws->failure->class = PSEUDO_FAIL_TRANSIENT;
	pseudo_failure_detail(aws->failure, psprintf("This was to get AWS credentials from %s.%s%s", source,
												 detail ? "\n" : "", detail ? detail : ""));
	return PSEUDO_AWS_FAILED;
}

/* Read a number of just so many digits, and the character that follows it. */
static bool
read_number(const char **text, int digits, char follows, int min, int max, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++)
	{
		if (**text < '0' || **text > '9')
			return false;
		*number = *number * 10 + *(*text)++ - '0';
	}
	if (follows != '\0' && *(*text)++ != follows)
		return false;
	return *number >= min && *number <= max;
}

/* Read Z or an offset such as +02:00, in seconds, and the end. */
static bool
read_zone(const char *text, int *offset)
{
	bool		west = *text == '-';
	int			hours;
	int			minutes;

	*offset = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if (*text != '+' && *text != '-')
		return false;
	text++;
	if (!read_number(&text, 2, ':', 0, 23, &hours) ||
		!read_number(&text, 2, '\0', 0, 59, &minutes))
		return false;
	*offset = (west ? -1 : 1) * (hours * 60 + minutes) * 60;
	return *text == '\0';
}

/* Read a time as in RFC 3339, in seconds since 1970; a fraction is cut off. */
static bool
read_time(const char *text, int64 *seconds)
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			offset;

	if (!read_number(&text, 4, '-', 1970, 9999, &year) ||
		!read_number(&text, 2, '-', 1, 12, &month) ||
		!read_number(&text, 2, 'T', 1, day_tab[isleap(year)][month - 1], &day) ||
		!read_number(&text, 2, ':', 0, 23, &hour) ||
		!read_number(&text, 2, ':', 0, 59, &minute) ||
		!read_number(&text, 2, '\0', 0, 60, &second))
		return false;
	if (*text == '.')
	{
		Size		digits = strspn(text + 1, "0123456789");

		if (digits == 0)
			return false;
		text += 1 + digits;
	}
	if (!read_zone(text, &offset))
		return false;
	*seconds = (int64) (date2j(year, month, day) - UNIX_EPOCH_JDATE) * SECS_PER_DAY +
		hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second - offset;
	return true;
}

/* Can this be sent in a header: visible ASCII, and not nothing? */
static bool
is_visible(const char *string)
{
	for (const char *p = string; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	}
	return *string != '\0';
}

/* See credentials.h. */
const char *
pseudo_aws_take(PseudoAws *aws, PseudoAwsCredentials *found, const char *id, const char *secret,
				const char *token, const char *expiration)
{
	int64		expires = 0;

	if (token && *token == '\0')
		token = NULL;
	if (id == NULL)
		return "there is no access key id";
	if (secret == NULL)
		return "there is no secret access key";
	if (!is_visible(id) || !is_visible(secret) || (token && !is_visible(token)))
		return "the credentials are empty, or have a space or a control character in them";
	if (expiration && !read_time(expiration, &expires))
		return "the time when the credentials expire is not as in RFC 3339";

	found->access_key_id = pseudo_arena_strdup(aws->arena, id);
	found->secret_access_key = pseudo_arena_strdup(aws->arena, secret);
	found->session_token = token ? pseudo_arena_strdup(aws->arena, token) : NULL;
	found->expires = expires;
	return NULL;
}

/* See credentials.h. */
const char *
pseudo_aws_take_json(PseudoAws *aws, PseudoAwsCredentials *found, const PseudoJson *json,
					 const char *token_name)
{
	if (json == NULL)
		return "the answer is not JSON";
	return pseudo_aws_take(aws, found,
						   pseudo_aws_json_string(aws, json, "AccessKeyId"),
						   pseudo_aws_json_string(aws, json, "SecretAccessKey"),
						   pseudo_aws_json_string(aws, json, token_name),
						   pseudo_aws_json_string(aws, json, "Expiration"));
}

/* Read an open file to its end; returns its bytes, or -1 with errno set. */
static ssize_t
read_all(int fd, char *data, Size size)
{
	Size		len = 0;
	ssize_t		got;

	do
	{
		got = read(fd, data + len, size - len);
		if (got > 0)
			len += got;
	} while ((got > 0 && len < size) || (got < 0 && errno == EINTR));
	return got < 0 ? -1 : (ssize_t) len;
}

/* See credentials.h. */
const char *
pseudo_aws_read_token(PseudoAws *aws, const char *path, const char **token)
{
	char	   *data = pseudo_arena_alloc(aws->arena, MAX_TOKEN + 2);
	int			fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | PG_BINARY);
	const char *problem = NULL;
	struct stat st;
	ssize_t		len;

	if (fd < 0)
		return psprintf("could not open file \"%s\": %m", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		problem = psprintf("\"%s\" is no regular file", path);
	else if ((len = read_all(fd, data, MAX_TOKEN + 1)) < 0)
		problem = psprintf("could not read file \"%s\": %m", path);
	else if (len > MAX_TOKEN)
		problem = psprintf("file \"%s\" is larger than %d bytes", path, MAX_TOKEN);
	else if (len == 0)
		problem = psprintf("file \"%s\" is empty", path);
	else if (strlen(data) != (Size) len)
		problem = psprintf("file \"%s\" has a zero byte in it", path);
	CloseTransientFile(fd);
	*token = data;
	return problem;
}

/* See credentials.h. */
PseudoAwsFound
pseudo_aws_from_environment(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	const char *id = pseudo_aws_env("AWS_ACCESS_KEY_ID");
	const char *secret = pseudo_aws_env("AWS_SECRET_ACCESS_KEY");
	const char *problem;

	if (id == NULL && secret == NULL)
	{
		*why = "AWS_ACCESS_KEY_ID is not set";
		return PSEUDO_AWS_ABSENT;
	}
	if (id == NULL || secret == NULL)
		problem = id ? "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not" :
			"AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not";
	else
		problem = pseudo_aws_take(aws, found, id, secret, pseudo_aws_env("AWS_SESSION_TOKEN"), NULL);
	if (problem)
		return pseudo_aws_source_failed(aws, "the environment", problem,
										"Correct the server's environment, and restart it.");
	return PSEUDO_AWS_FOUND;
}

/* Is a host, as a Host header has it, this one, on whatever port? */
static bool
host_is(const char *host, const char *name)
{
	Size		len = strlen(name);

	return pg_strncasecmp(host, name, len) == 0 && (host[len] == '\0' || host[len] == ':');
}

/* Is this a URL that the SDKs allow: https, or http to the host itself or to ECS's and EKS's addresses? */
static bool
is_container_url(const char *url)
{
	const char *host = pseudo_http_host(url);

	if (host == NULL || strpbrk(url, "@\\#") != NULL || !is_visible(url))
		return false;
	return pg_strncasecmp(url, "https://", strlen("https://")) == 0 ||
		pseudo_http_is_loopback(url) ||
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

/* Is a try that ended so worth another? */
static bool
is_transient(const PseudoHttpResponse *response)
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
		.method = "GET",.url = url,.headers = headers,.metadata = true,
		.ca_file = aws->settings->ca_file,.trust = aws->trust,
		.user_agent = aws->settings->user_agent
	};
	PseudoHttpResponse response;
	int			tries = 0;

	do
	{
		request.deadline = Min(aws->deadline, pseudo_now_ms() + CONTAINER_TIMEOUT);
		memset(&response, 0, sizeof(response));
		pseudo_http_perform(aws->arena, &request, &response);
	} while (is_transient(&response) && ++tries < CONTAINER_TRIES && wait_to_try_again(aws));

	if (response.outcome != PSEUDO_HTTP_ANSWERED)
		return response.problem;
	if (response.status != 200)
		return psprintf("host \"%s\" answered with HTTP status %d", pseudo_http_host(url),
						response.status);
	return pseudo_aws_take_json(aws, found, pseudo_aws_json(aws, response.body, response.len),
								"Token");
}

/* See credentials.h. */
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

/* The name of the instance's role, palloc'ed, or NULL with *why set.  Where it is set, nobody is asked. */
static const char *
instance_role(PseudoAws *aws, const char **why)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-";
	const char *where;
	const char *roles = pseudo_aws_setting(aws, "AWS_EC2_INSTANCE_PROFILE_NAME",
										   "ec2_instance_profile_name", &where);
	Size		len;

	if (roles == NULL)
		roles = pseudo_aws_imds_get(aws, "/latest/meta-data/iam/security-credentials/", why);
	if (roles == NULL)
		return NULL;
	len = strspn(roles, allowed);
	if (len > 0 && strchr("\r\n", roles[len]) != NULL)	/* or at the end */
		return pnstrdup(roles, len);
	*why = len > 0 || *roles ? "the name of the instance's role is malformed" :
		"the instance has no role";
	return NULL;
}

/* A code from an answer, if it is one that may be shown. */
static const char *
shown_code(const char *code)
{
	if (code == NULL)
		return "none";
	return strlen(code) <= 64 && is_visible(code) && strpbrk(code, "\"\\%") == NULL ? code : "unknown";
}

/* See credentials.h.  Ones that have expired are used too: AWS lets them live on while it cannot renew them. */
PseudoAwsFound
pseudo_aws_from_instance(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	static const char made_for[] = "instance metadata";
	const char *role;
	const char *document;
	const char *code;
	PseudoJson *json;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	role = instance_role(aws, why);
	if (role == NULL)
		return PSEUDO_AWS_ABSENT;
	document = pseudo_aws_imds_get(aws, psprintf("/latest/meta-data/iam/security-credentials/%s", role), why);
	if (document == NULL)
		return PSEUDO_AWS_ABSENT;
	json = pseudo_aws_json(aws, document, strlen(document));
	code = json ? pseudo_aws_json_string(aws, json, "Code") : NULL;
	if (json && (code == NULL || strcmp(code, "Success") != 0))
		*why = psprintf("no credentials for role \"%s\", code %s", role, shown_code(code));
	else
		*why = pseudo_aws_take_json(aws, found, json, "Token");
	if (*why)
		return PSEUDO_AWS_ABSENT;
	pseudo_aws_keep(aws, made_for, found);
	return PSEUDO_AWS_FOUND;
}

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

/* See credentials.h. */
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
