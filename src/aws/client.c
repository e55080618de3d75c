/*
 * client.c
 *		A call of an AWS API: signed, sent, tried again, its errors put into words.
 *
 * Retries are those of the SDKs' standard mode, but measured to a deadline: where the next
 * attempt would begin after it, the last error is the answer, at once.
 */
#include "postgres.h"

#include <time.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "credentials.h"
#include "errors.h"
#include "sigv4.h"

#define MAX_ATTEMPTS	3
#define BACK_OFF		1000	/* milliseconds before the second attempt, at most */
#define MAX_BACK_OFF	20000

/* What to do after an attempt. */
typedef enum Verdict
{
	DONE,
	GIVE_UP,
	TRY_AGAIN,
	RENEW_CREDENTIALS,
	CORRECT_CLOCK
} Verdict;

/* See client.h. */
void
pseudo_aws_pause(int64 ms)
{
	int64		end = pseudo_now_ms() + ms;
	int64		left;

	while ((left = end - pseudo_now_ms()) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Wait at random, up to longest; returns false where that would pass the deadline. */
static bool
back_off(PseudoAws *aws, int64 longest)
{
	int64		pause = (int64) (pg_prng_double(&pg_global_prng_state) *
								 Min(longest, MAX_BACK_OFF));

	if (pseudo_now_ms() + pause >= aws->deadline)
		return false;
	pseudo_aws_pause(pause);
	return true;
}

/* The path of a URL, "/" at least. */
static const char *
url_path(const char *url)
{
	const char *host = strstr(url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;

	return path ? path : "/";
}

/* The headers of a question, signed now where they are to be signed. */
static const char *const *
make_headers(PseudoAws *aws, const PseudoAwsExchange *x)
{
	PseudoSigv4Request request = {
		.method = x->method,
		.path = url_path(x->url),
		.host = pseudo_http_host(x->url),
		.region = x->region,
		.service = pseudo_aws_service_name(x->service),
		.content_type = x->content_type,
		.target = x->target,
		.body = x->body,
		.body_len = x->len,
		.time = (int64) time(NULL) + aws->clock_skew
	};

	if (x->credentials == NULL)
		return x->headers;
	return pseudo_sigv4_sign(aws->arena, &request, x->credentials);
}

/* Make an attempt; connecting may take half of the time that is left. */
static void
attempt(PseudoAws *aws, PseudoAwsExchange *x)
{
	PseudoHttpRequest request = {
		.method = x->method,
		.url = x->url,
		.headers = make_headers(aws, x),
		.body = x->body,
		.body_len = x->len,
		.ca_file = pseudo_option(aws->options, "ca_file"),
		.trust = aws->trust,
		.connect_timeout = (int) Max((aws->deadline - pseudo_now_ms()) / 2, 1),
		.deadline = aws->deadline
	};

	x->attempts++;
	x->answer = NULL;
	memset(&x->error, 0, sizeof(PseudoAwsError));
	pseudo_http_perform(aws->arena, &request, &x->response);
}

/* Look at what came of an attempt; fills in aws->failure where it is not done. */
static Verdict
judge(PseudoAws *aws, PseudoAwsExchange *x)
{
	if (x->response.outcome != PSEUDO_HTTP_ANSWERED)
		return pseudo_aws_judge_silence(aws, x) ? TRY_AGAIN : GIVE_UP;
	if (x->response.status == 200)
	{
		if (x->xml)
			return DONE;
		x->answer = pseudo_aws_json(aws, x->response.body, x->response.len);
		if (x->answer && x->answer->type == PSEUDO_JSON_OBJECT)
			return DONE;
		(void) pseudo_aws_fail_answer(aws, x, "it is not a JSON object");
		return TRY_AGAIN;
	}
	switch (pseudo_aws_judge_error(aws, x))
	{
		case PSEUDO_AWS_THROTTLED:
		case PSEUDO_AWS_SERVER:
			return TRY_AGAIN;
		case PSEUDO_AWS_EXPIRED:
			return RENEW_CREDENTIALS;
		case PSEUDO_AWS_SKEWED:
			return CORRECT_CLOCK;
		default:
			return GIVE_UP;
	}
}

/* See client.h. */
bool
pseudo_aws_exchange(PseudoAws *aws, PseudoAwsExchange *x)
{
	int64		longest = Min((aws->deadline - pseudo_now_ms()) / 5, BACK_OFF);
	bool		may_renew = x->renew;
	bool		may_correct = x->credentials != NULL;
	int			failures = 0;

	for (;;)
	{
		attempt(aws, x);
		switch (judge(aws, x))
		{
			case DONE:
				return true;
			case GIVE_UP:
				/* Those of a role that has been replaced, or a session that was revoked, live on for hours. */
				if (x->renew && aws->failure->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
					pseudo_aws_forget();
				return false;
			case TRY_AGAIN:
				if (++failures >= MAX_ATTEMPTS || !back_off(aws, longest))
					return false;
				longest *= 2;
				break;
			case RENEW_CREDENTIALS:
				if (!may_renew || !pseudo_aws_find_credentials(aws, true))
					return false;
				may_renew = false;
				break;
			case CORRECT_CLOCK:
				if (!may_correct || !pseudo_aws_clock_skew(x, &aws->clock_skew))
					return false;
				may_correct = false;
				break;
		}
	}
}

/* See client.h. */
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
		.renew = true
	};
	const char *endpoint;
	bool		ok;

	if (error)
		memset(error, 0, sizeof(PseudoAwsError));
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

/* The action that a form names. */
static const char *
form_action(const char *form)
{
	const char *action = strstr(form, "Action=");

	return action ? pnstrdup(action + 7, strcspn(action + 7, "&")) : "";
}

/* See client.h. */
const char *
pseudo_aws_call_sts(PseudoAws *aws, const char *region, const char *form,
					const PseudoAwsCredentials *credentials)
{
	static const char *const unsigned_headers[] = {
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8", NULL
	};
	PseudoAwsExchange x = {
		.service = PSEUDO_AWS_STS,
		.action = form_action(form),
		.region = region,
		.method = "POST",
		.content_type = "application/x-www-form-urlencoded; charset=utf-8",
		.body = form,
		.len = strlen(form),
		.credentials = credentials,
		.headers = unsigned_headers,
		.xml = true
	};
	const char *endpoint = pseudo_aws_endpoint(aws, PSEUDO_AWS_STS, region);

	if (endpoint == NULL)
		return NULL;
	x.url = psprintf("%s/", endpoint);
	return pseudo_aws_exchange(aws, &x) ? x.response.body : NULL;
}

/* Decode the five entities that XML has by itself, in place. */
static void
decode_entities(char *text)
{
	static const char *const entities[] = {"&lt;", "&gt;", "&quot;", "&apos;", "&amp;"};
	static const char plain[] = "<>\"'&";
	char	   *to = text;

	while (*text)
	{
		Size		step = 1;
		char		c = *text;

		for (int i = 0; i < (int) lengthof(entities) && c == '&'; i++)
		{
			if (strncmp(text, entities[i], strlen(entities[i])) != 0)
				continue;
			c = plain[i];
			step = strlen(entities[i]);
			break;
		}
		*to++ = c;
		text += step;
	}
	*to = '\0';
}

/* See client.h. */
const char *
pseudo_aws_xml(PseudoAws *aws, const char *xml, const char *name)
{
	const char *start = strstr(xml, psprintf("<%s>", name));
	const char *end;
	char	   *text;

	if (start == NULL)
		return NULL;
	start += strlen(name) + 2;
	end = strstr(start, psprintf("</%s>", name));
	if (end == NULL)
		return NULL;
	text = pseudo_arena_copy(aws->arena, start, end - start);
	decode_entities(text);
	return text;
}
