/*
 * client.c
 *		A call of an AWS API: signed, sent, tried again, its errors put into words.
 *
 * Retries are those of the SDKs' standard mode (its rules of November 2026), but measured to a deadline: where the next
 * attempt would begin after it, the last error is the answer, at once; and what an attempt that ran
 * out of time has to say does not hide what one before it met.
 */
#include "postgres.h"

#include <time.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "../compat.h"
#include "credentials.h"
#include "errors.h"
#include "settings.h"
#include "sigv4.h"

/* Milliseconds: before the second attempt at most, of other errors and of throttling; before any; what AWS may ask for beside. */
#define BACK_OFF			50
#define BACK_OFF_THROTTLED	1000
#define MAX_BACK_OFF		20000
#define MAX_RETRY_AFTER		5000

/* What to do after an attempt. */
typedef enum Verdict
{
	DONE,
	GIVE_UP,
	TRY_AGAIN,
	TRY_AGAIN_SLOWLY,			/* AWS throttles */
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
						 (long) left, pseudo_wait_event(PSEUDO_WAIT_RETRY));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The pause that AWS asks for, in milliseconds, or 0. */
static int64
retry_after(const PseudoHttpResponse *response)
{
	const char *text = response->outcome == PSEUDO_HTTP_ANSWERED ?
		pseudo_http_header(response, "x-amz-retry-after") : NULL;

	if (text == NULL || *text == '\0' || strlen(text) > 9 || text[strspn(text, "0123456789")] != '\0')
		return 0;
	return strtol(text, NULL, 10);
}

/* Wait at random, ever longer, after so many failures; returns false where that would pass the deadline. */
static bool
back_off(PseudoAws *aws, const PseudoHttpResponse *response, int64 base, int failures)
{
	int64		longest = Min(base << Min(failures - 1, 20), MAX_BACK_OFF);
	int64		pause = (int64) (pg_prng_double(&pg_global_prng_state) * longest);

	pause = Max(pause, Min(retry_after(response), pause + MAX_RETRY_AFTER));
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
		.user_agent = aws->settings->user_agent,
		.ca_file = aws->settings->ca_file,
		.trust = aws->trust,
		.connect_timeout = (int) Max((aws->deadline - pseudo_now_ms()) / 2, 1),
		.deadline = aws->deadline
	};

	x->attempts++;
	x->answer = NULL;
	memset(&x->error, 0, sizeof(PseudoAwsError));
	pseudo_http_perform(aws->arena, &request, &x->response);
}

/*
 * Look at what came of an attempt; fills in aws->failure where it is not done.  explained: it says already what
 * an attempt before met, to which one that was not answered in time adds no more than that.
 */
static Verdict
judge(PseudoAws *aws, PseudoAwsExchange *x, bool explained)
{
	if (x->response.outcome == PSEUDO_HTTP_TIMED_OUT && explained)
	{
		pseudo_failure_detail(aws->failure,
							  psprintf("%s%sAttempt %d was not answered in the time that was left.",
									   aws->failure->detail ? aws->failure->detail : "",
									   aws->failure->detail ? "\n" : "", x->attempts));
		return TRY_AGAIN;
	}
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
			return TRY_AGAIN_SLOWLY;
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

/* Get other credentials, once; returns false where there are none that AWS may take. */
static bool
renew(PseudoAws *aws, PseudoAwsExchange *x)
{
	PseudoAwsRenew source = x->renew;

	x->renew = NULL;
	if (source)
		x->credentials = source(aws, x->renew_arg);
	return source && x->credentials;
}

/* Set our clock by AWS's, once; returns false where that was done, or the answer does not say the time. */
static bool
correct_clock(PseudoAws *aws, const PseudoAwsExchange *x, bool *corrected)
{
	if (*corrected || x->credentials == NULL || !pseudo_aws_clock_skew(x, &aws->clock_skew))
		return false;
	*corrected = true;
	return true;
}

/* Do what a verdict says; returns false where no other attempt is to be made. */
static bool
prepare_next(PseudoAws *aws, PseudoAwsExchange *x, Verdict verdict, int *failures, bool *corrected)
{
	switch (verdict)
	{
		case TRY_AGAIN:
		case TRY_AGAIN_SLOWLY:
			return ++*failures < aws->settings->max_attempts &&
				back_off(aws, &x->response,
						 verdict == TRY_AGAIN ? BACK_OFF : BACK_OFF_THROTTLED, *failures);
		case RENEW_CREDENTIALS:
			if (renew(aws, x))
				return true;
			pseudo_aws_forget();
			return false;
		case CORRECT_CLOCK:
			return correct_clock(aws, x, corrected);
		default:
			/* Those of a role that has been replaced, or a session that was revoked, live on for hours. */
			if (x->credentials && aws->failure->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
				pseudo_aws_forget();
			return false;
	}
}

/* See client.h. */
bool
pseudo_aws_exchange(PseudoAws *aws, PseudoAwsExchange *x)
{
	bool		corrected = false;
	bool		explained = false;
	int			failures = 0;

	for (;;)
	{
		Verdict		verdict;

		attempt(aws, x);
		verdict = judge(aws, x, explained);
		if (verdict == DONE)
			return true;
		explained |= x->response.outcome != PSEUDO_HTTP_TIMED_OUT;
		if (!prepare_next(aws, x, verdict, &failures, &corrected))
			return false;
	}
}

/* Find aws->credentials anew; see client.h. */
static const PseudoAwsCredentials *
renew_credentials(PseudoAws *aws, void *arg pg_attribute_unused())
{
	return pseudo_aws_find_credentials(aws, true) ? &aws->credentials : NULL;
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
		.renew = renew_credentials
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
					const PseudoAwsCredentials *credentials, PseudoAwsRenew renew, void *arg)
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
		.renew = renew,
		.renew_arg = arg,
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
