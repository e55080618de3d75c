/*
 * exchange.c
 *		A question to an AWS API: signed, sent, tried again, its errors put into words.
 *
 * Retries are those of the SDKs' standard mode (its rules of November 2026), but measured to a deadline: where the next
 * attempt would begin after it, the last error is the answer, at once; and what an attempt that ran
 * out of time has to say does not hide what one before it met.
 */
#include "postgres.h"

#include <time.h>

#include "common/pg_prng.h"

#include "credentials.h"
#include "errors.h"
#include "settings.h"
#include "sigv4.h"
#include "url.h"

/* Milliseconds: at most before the second attempt, of most errors and of throttling; before any; what AWS may ask for beside. */
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

/* The pause that AWS asks for, in milliseconds, or 0. */
static int64
retry_after(const PseudoHttpResponse *response)
{
	const char *string = response->outcome == PSEUDO_HTTP_ANSWERED ?
		pseudo_http_header(response, "x-amz-retry-after") : NULL;

	if (string == NULL || *string == '\0' || strlen(string) > 9 || string[strspn(string, "0123456789")] != '\0')
		return 0;
	return strtol(string, NULL, 10);
}

/* Wait at random, ever longer, after so many failures; returns false where that would pass the deadline. */
static bool
back_off_again(PseudoAws *aws, const PseudoHttpResponse *response, int64 base, int failures)
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
request_headers(PseudoAws *aws, const PseudoAwsExchange *x)
{
	PseudoSigv4Request request = {
		.method = x->method,
		.path = url_path(x->url),
		.host = pseudo_url_host(x->url),
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
send_attempt(PseudoAws *aws, PseudoAwsExchange *x)
{
	PseudoHttpRequest request = {
		.method = x->method,
		.url = x->url,
		.headers = request_headers(aws, x),
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
judge_attempt(PseudoAws *aws, PseudoAwsExchange *x, bool explained)
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
		if (x->answer && x->answer->type == PSEUDO_NODE_OBJECT)
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
renew_credentials(PseudoAws *aws, PseudoAwsExchange *x)
{
	PseudoAwsGetCredentials get = x->renew;

	x->renew = NULL;
	if (get)
		x->credentials = get(aws, true, x->renew_arg);
	return get && x->credentials;
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

/*
 * Do what a verdict says; returns false where no other attempt is to be made.  Credentials that are
 * refused are forgotten: those of a role that has been replaced, or a session that was revoked, live on for hours.
 */
static bool
prepare_next(PseudoAws *aws, PseudoAwsExchange *x, Verdict verdict, int *failures, bool *corrected)
{
	switch (verdict)
	{
		case TRY_AGAIN:
		case TRY_AGAIN_SLOWLY:
			*failures += 1;
			return *failures < aws->settings->max_attempts &&
				back_off_again(aws, &x->response,
							   verdict == TRY_AGAIN ? BACK_OFF : BACK_OFF_THROTTLED, *failures);
		case RENEW_CREDENTIALS:
			if (renew_credentials(aws, x))
				return true;
			pseudo_aws_forget();
			return false;
		case CORRECT_CLOCK:
			return correct_clock(aws, x, corrected);
		default:
			if (x->credentials && aws->failure->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
				pseudo_aws_forget();
			return false;
	}
}

/* See exchange.h. */
bool
pseudo_aws_exchange(PseudoAws *aws, PseudoAwsExchange *x)
{
	bool		corrected = false;
	bool		explained = false;
	int			failures = 0;

	for (;;)
	{
		Verdict		verdict;

		send_attempt(aws, x);
		verdict = judge_attempt(aws, x, explained);
		if (verdict == DONE)
			return true;
		explained |= x->response.outcome != PSEUDO_HTTP_TIMED_OUT;
		if (!prepare_next(aws, x, verdict, &failures, &corrected))
			return false;
	}
}
