/*
 * errors.c
 *		What went wrong with a question to AWS, as a failure of PostgreSQL's kind.
 *
 * AWS answers most errors with HTTP status 400, so it is the code that counts; the status
 * speaks only where there is no code that we know.
 */
#include "postgres.h"

#include <time.h>

#include <curl/curl.h>

#include "errors.h"

#define MAX_WORDS		400		/* bytes of AWS's message that we show */
#define MAX_CODE		100		/* bytes of a code or request id, likewise */
#define MAX_SKEW		240		/* seconds that clocks may differ before it is
								 * their fault */
#define ACCOUNT_DIGITS	12

/* The codes that we know, of all services. */
static const struct
{
	const char *code;
	PseudoAwsErrorKind kind;
}			codes[] = {
	{"BandwidthLimitExceeded", PSEUDO_AWS_THROTTLED},
	{"EC2ThrottledException", PSEUDO_AWS_THROTTLED},
	{"PriorRequestNotComplete", PSEUDO_AWS_THROTTLED},
	{"ProvisionedThroughputExceededException", PSEUDO_AWS_THROTTLED},
	{"RequestLimitExceeded", PSEUDO_AWS_THROTTLED},
	{"RequestThrottled", PSEUDO_AWS_THROTTLED},
	{"RequestThrottledException", PSEUDO_AWS_THROTTLED},
	{"SlowDown", PSEUDO_AWS_THROTTLED},
	{"ThrottledException", PSEUDO_AWS_THROTTLED},
	{"Throttling", PSEUDO_AWS_THROTTLED},
	{"ThrottlingException", PSEUDO_AWS_THROTTLED},
	{"TooManyRequestsException", PSEUDO_AWS_THROTTLED},
	{"TransactionInProgressException", PSEUDO_AWS_THROTTLED},

	{"ConnectionError", PSEUDO_AWS_SERVER}, /* the agent's */
	{"DependencyTimeoutException", PSEUDO_AWS_SERVER},
	{"IDPCommunicationError", PSEUDO_AWS_SERVER},
	{"InternalFailure", PSEUDO_AWS_SERVER},
	{"InternalServerError", PSEUDO_AWS_SERVER},
	{"InternalServiceError", PSEUDO_AWS_SERVER},
	{"KMSInternalException", PSEUDO_AWS_SERVER},
	{"KeyUnavailableException", PSEUDO_AWS_SERVER},
	{"RequestTimeout", PSEUDO_AWS_SERVER},
	{"RequestTimeoutException", PSEUDO_AWS_SERVER},
	{"ServiceUnavailable", PSEUDO_AWS_SERVER},
	{"ServiceUnavailableException", PSEUDO_AWS_SERVER},
	{"TimeoutError", PSEUDO_AWS_SERVER},	/* the agent's */

	{"ExpiredToken", PSEUDO_AWS_EXPIRED},
	{"ExpiredTokenException", PSEUDO_AWS_EXPIRED},
	{"RequestExpired", PSEUDO_AWS_EXPIRED},
	{"RequestInTheFuture", PSEUDO_AWS_SKEWED},
	{"RequestTimeTooSkewed", PSEUDO_AWS_SKEWED},

	{"AuthFailure", PSEUDO_AWS_BAD_CREDENTIALS},
	{"IncompleteSignature", PSEUDO_AWS_BAD_CREDENTIALS},
	{"IncompleteSignatureException", PSEUDO_AWS_BAD_CREDENTIALS},
	{"InvalidClientTokenId", PSEUDO_AWS_BAD_CREDENTIALS},
	{"InvalidSignatureException", PSEUDO_AWS_BAD_CREDENTIALS},
	{"MissingAuthenticationToken", PSEUDO_AWS_BAD_CREDENTIALS},
	{"MissingAuthenticationTokenException", PSEUDO_AWS_BAD_CREDENTIALS},
	{"OptInRequired", PSEUDO_AWS_BAD_CREDENTIALS},
	{"SignatureDoesNotMatch", PSEUDO_AWS_BAD_CREDENTIALS},
	{"UnrecognizedClientException", PSEUDO_AWS_BAD_CREDENTIALS},

	{"AccessDenied", PSEUDO_AWS_DENIED},
	{"AccessDeniedException", PSEUDO_AWS_DENIED},
	{"NotAuthorized", PSEUDO_AWS_DENIED},
	{"UnauthorizedOperation", PSEUDO_AWS_DENIED},

	{"DecryptionFailure", PSEUDO_AWS_KEY},
	{"DisabledException", PSEUDO_AWS_KEY},
	{"EncryptionFailure", PSEUDO_AWS_KEY},
	{"KMSAccessDeniedException", PSEUDO_AWS_KEY},
	{"KMSDisabledException", PSEUDO_AWS_KEY},
	{"KMSInvalidStateException", PSEUDO_AWS_KEY},
	{"KMSNotFoundException", PSEUDO_AWS_KEY},

	{"InvalidParameterException", PSEUDO_AWS_BAD_REQUEST},
	{"InvalidRequestException", PSEUDO_AWS_BAD_REQUEST},
	{"LimitExceededException", PSEUDO_AWS_LIMIT},
	{"NotFoundException", PSEUDO_AWS_NOT_FOUND},
	{"ResourceNotFoundException", PSEUDO_AWS_NOT_FOUND},
	{"ValidationError", PSEUDO_AWS_BAD_REQUEST},
	{"ValidationException", PSEUDO_AWS_BAD_REQUEST}
};

/* The name of who was asked, for messages. */
static const char *
who_was_asked(const PseudoAwsExchange *x)
{
	if (x->agent)
		return "AWS Secrets Manager Agent";
	if (x->service == PSEUDO_AWS_KMS)
		return "AWS KMS";
	return x->service == PSEUDO_AWS_STS ? "AWS STS" : "AWS Secrets Manager";
}

/* Returns true if a text has another in it. */
static bool
contains(const char *string, const char *part)
{
	return strstr(string, part) != NULL;
}

/* A code without what some services write around it: "com.amazonaws.kms#X", "X:http://...". */
static char *
clean_code(const char *string)
{
	const char *code = string ? strrchr(string, '#') : NULL;

	code = code ? code + 1 : string;
	return pseudo_aws_clean(code, code ? Min(strcspn(code, ":"), MAX_CODE) : 0);
}

/* Read x->error from an answer: JSON, or XML, which STS and AWS's front doors write. */
static void
read_error(PseudoAws *aws, PseudoAwsExchange *x)
{
	static const char *const code_names[] = {"__type", "code", "Code"};
	static const char *const message_names[] = {"message", "Message", "errorMessage"};
	PseudoJson *json = pseudo_aws_json(aws, x->response.body, x->response.len);
	const char *code = NULL;
	const char *message = NULL;
	Size		len;

	if (json == NULL)
	{
		code = pseudo_aws_xml(aws, x->response.body, "Code");
		message = pseudo_aws_xml(aws, x->response.body, "Message");
	}
	for (int i = 0; json && i < (int) lengthof(code_names); i++)
	{
		code = code ? code : pseudo_aws_json_string(aws, json, code_names[i]);
		message = message ? message : pseudo_aws_json_string(aws, json, message_names[i]);
	}
	if (code == NULL)
		code = pseudo_http_header(&x->response, "x-amzn-ErrorType");
	x->error.code = clean_code(code);

	/*
	 * The first line: in the others some services show what was signed, the
	 * token too.
	 */
	x->error.message = pseudo_aws_clean(message, message ? Min(strcspn(message, "\r\n"), MAX_WORDS) : 0);
	len = strlen(x->error.message);
	if (len > 0 && x->error.message[len - 1] == '.')
		x->error.message = pnstrdup(x->error.message, len - 1);
	x->error.request_id = pseudo_aws_clean(pseudo_http_header(&x->response, "x-amzn-RequestId"), MAX_CODE);
	x->error.status = x->response.status;
}

/* See errors.h. */
bool
pseudo_aws_clock_skew(const PseudoAwsExchange *x, int64 *skew)
{
	const char *date = pseudo_http_header(&x->response, "Date");
	time_t		theirs = date ? curl_getdate(date, NULL) : (time_t) -1;

	if (theirs == (time_t) -1)
		return false;
	*skew = (int64) theirs - (int64) time(NULL);
	return true;
}

/* Returns true if AWS has refused a signature because of the clocks. */
static bool
is_skewed(const PseudoAws *aws, const PseudoAwsExchange *x, PseudoAwsErrorKind kind)
{
	const char *message = x->error.message;
	int64		skew;

	if (contains(message, "Signature expired") || contains(message, "Signature not yet current"))
		return true;
	if (strcmp(x->error.code, "RequestExpired") != 0 && kind != PSEUDO_AWS_BAD_CREDENTIALS)
		return false;
	return pseudo_aws_clock_skew(x, &skew) &&
		(skew - aws->clock_skew > MAX_SKEW || aws->clock_skew - skew > MAX_SKEW);
}

/* The kind of an error whose code we do not know. */
static PseudoAwsErrorKind
kind_of_status(const PseudoAwsExchange *x)
{
	int			status = x->error.status;

	if (status == 429)
		return PSEUDO_AWS_THROTTLED;
	if (status >= 500)
		return PSEUDO_AWS_SERVER;
	if (x->agent && status == 403 && *x->error.code == '\0')
		return PSEUDO_AWS_TOKEN;
	return *x->error.code == '\0' || status < 400 ? PSEUDO_AWS_FOREIGN : PSEUDO_AWS_UNKNOWN;
}

/* What kind of error it is. */
static PseudoAwsErrorKind
kind_of(const PseudoAws *aws, const PseudoAwsExchange *x)
{
	PseudoAwsErrorKind kind = kind_of_status(x);
	const char *message = x->error.message;

	for (int i = 0; i < (int) lengthof(codes); i++)
	{
		if (strcmp(codes[i].code, x->error.code) == 0)
			kind = codes[i].kind;
	}
	if (is_skewed(aws, x, kind))
		return PSEUDO_AWS_SKEWED;
	if (kind == PSEUDO_AWS_NOT_FOUND && contains(message, "secret value for"))
		return PSEUDO_AWS_NO_VERSION;
	if (kind == PSEUDO_AWS_BAD_REQUEST &&
		(contains(message, "marked for deletion") || contains(message, "marked deleted") ||
		 contains(message, "scheduled for deletion")))
		return PSEUDO_AWS_DELETED;
	if (kind == PSEUDO_AWS_BAD_REQUEST && x->service == PSEUDO_AWS_SECRETS_MANAGER &&
		(contains(message, "replica secret") || contains(message, "primary region")))
		return PSEUDO_AWS_REPLICA;
	return kind;
}

/* What was asked about: an option's text, or NULL. */
static const char *
resource(const PseudoAws *aws, const PseudoAwsExchange *x)
{
	if (x->service == PSEUDO_AWS_STS)
		return NULL;
	return pseudo_option(aws->options, x->service == PSEUDO_AWS_KMS ? "kms_key_id" : "secret_id");
}

/* What was asked, of whom, and how it ended, for a failure's detail. */
static const char *
explain_request(const PseudoAws *aws, const PseudoAwsExchange *x)
{
	const char *name = resource(aws, x);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "The request was %s:%s", pseudo_aws_service_name(x->service), x->action);
	if (name)
		appendStringInfo(&buf, " for \"%s\"", name);
	if (x->region)
		appendStringInfo(&buf, " in region %s", x->region);
	appendStringInfo(&buf, ", to %s", pnstrdup(x->url, strcspn(x->url, "?")));
	if (x->attempts > 1)
		appendStringInfo(&buf, "; %d attempts", x->attempts);
	if (x->response.outcome == PSEUDO_HTTP_ANSWERED)
		appendStringInfo(&buf, "; HTTP status %d", x->response.status);
	if (x->error.code && *x->error.request_id)
		appendStringInfo(&buf, ", request id %s", x->error.request_id);
	appendStringInfoChar(&buf, '.');
	return buf.data;
}

/* The caller's account, where AWS's words name it in an ARN ("::123456789012:"). */
static const char *
account(const char *message)
{
	const char *digits = strstr(message, "::");

	if (digits && strspn(digits + 2, "0123456789") == ACCOUNT_DIGITS)
		return pnstrdup(digits + 2, ACCOUNT_DIGITS);
	return "ACCOUNT";
}

/* The ARN of what was asked about, as a policy has it; capitals stand for what we do not know. */
static const char *
policy_resource(const PseudoAws *aws, const PseudoAwsExchange *x, bool key)
{
	const char *name = resource(aws, x);
	const char *region = x->region ? x->region : "REGION";
	const char *partition = x->region ? pseudo_aws_partition(x->region) : "aws";
	const char *owner = account(x->error.message);

	if (x->service == PSEUDO_AWS_STS)
		return psprintf("arn:%s:iam::%s:role/ROLE", partition, owner);
	if (x->service == PSEUDO_AWS_SECRETS_MANAGER && !key)
		return strncmp(name, "arn:", 4) == 0 ? name :
			psprintf("arn:%s:secretsmanager:%s:%s:secret:%s-??????", partition, region, owner, name);
	if (x->service == PSEUDO_AWS_SECRETS_MANAGER || contains(name, "alias/"))
		name = "KEY-ID";
	return strncmp(name, "arn:", 4) == 0 ? name :
		psprintf("arn:%s:kms:%s:%s:key/%s", partition, region, owner, name);
}

/* What AWS names where another policy than the credentials' own denies, whose that is, and who changes it. */
static const struct
{
	const char *type;
	const char *whose;
	const char *remedy;
}			policies[] = {

	{"VPC endpoint policy", "The policy of the VPC endpoint that the request goes through",
	"change it with aws ec2 modify-vpc-endpoint"},
	{"service control policy", "The service control policy (SCP) of the organization",
	"its administrators change it in AWS Organizations"},
	{"resource control policy", "The resource control policy (RCP) of the organization",
	"its administrators change it in AWS Organizations"},
	{"permissions boundary", "The permissions boundary of the role or user", "change the boundary"},
	{"session policy", "The session policy of the role", "change it where the role is assumed"}
};

/* The hint for a denied action: the statement that allows it.  key: the KMS key was meant. */
static const char *
hint_denied(const PseudoAws *aws, const PseudoAwsExchange *x, bool key)
{
	const char *service = key ? "kms" : pseudo_aws_service_name(x->service);
	const char *action = key && x->service != PSEUDO_AWS_KMS ? "Decrypt" : x->action;
	const char *also = key && strcmp(x->action, "PutSecretValue") == 0 ?
		" (and kms:GenerateDataKey, to store)" : "";

	for (int i = 0; i < (int) lengthof(policies); i++)
	{
		if (contains(x->error.message, policies[i].type))
			return psprintf("%s must allow %s:%s, too: %s.", policies[i].whose, service, action,
							policies[i].remedy);
	}
	if (contains(x->error.message, "explicit deny"))
		return psprintf("A policy denies %s:%s explicitly, which no other can allow: correct that one.",
						service, action);
	return psprintf("Allow %s %s:%s%s by a policy with the statement "
					"{\"Effect\": \"Allow\", \"Action\": \"%s:%s\", \"Resource\": \"%s\"}.%s%s",
					x->agent ? "the agent" : "the server's credentials", service, action, also,
					service, action, policy_resource(aws, x, key),
					key ? " The key's own policy must allow it too, and the key be enabled." : "",
					x->service == PSEUDO_AWS_SECRETS_MANAGER ?
					" Across accounts it also takes the full ARN as secret_id, a resource policy of the secret and a customer key that its policy shares." : "");
}

/* The hint for what does not exist. */
static const char *
hint_not_found(const PseudoAwsExchange *x)
{
	if (x->service != PSEUDO_AWS_SECRETS_MANAGER)
		return "Correct the option \"kms_key_id\"; a key of another region or account takes its full ARN.";
	return psprintf("It is not in %s: correct the options \"secret_id\" and \"region\", or create the secret "
					"(deploy/deploy.sh, or aws secretsmanager create-secret); pseudo_create_key() then fills it. Across accounts it takes the full ARN, "
					"a resource policy of the secret and a customer key.",
					x->region ? psprintf("region %s", x->region) : "the agent's region");
}

/* The hint for a secret without such a version. */
static const char *
hint_no_version(const PseudoAws *aws)
{
	const char *stage = pseudo_option(aws->options, "version_stage");

	if (stage && strcmp(stage, "AWSCURRENT") != 0)
		return "No version of the secret has the label that the option \"version_stage\" names.";
	return "Make the first key with pseudo_create_key().";
}

/* Returns true if a denial is about the key, and not about a secret that has such a name. */
static bool
is_about_key(const char *message)
{
	return (contains(message, "KMS") || contains(message, "kms:")) && !contains(message, "perform: secretsmanager:");
}

/* What is done about a kind: the class, the SQLSTATE, and a hint that is the same for all. */
static const struct
{
	PseudoFailureClass class;
	int			sqlstate;
	const char *hint;
}			kinds[] = {
	[PSEUDO_AWS_UNKNOWN] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_SYSTEM_ERROR, NULL},
	[PSEUDO_AWS_THROTTLED] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
	"AWS limits the calls of an account: pool connections, or use the option \"agent\"."},
	[PSEUDO_AWS_SERVER] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
	"This is trouble of AWS's own, which passes: see https://health.aws.amazon.com."},
	[PSEUDO_AWS_FOREIGN] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
	"What answered may not be AWS: check the endpoint, and the proxy (HTTPS_PROXY, NO_PROXY)."},
	[PSEUDO_AWS_EXPIRED] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"The credentials have expired, and their source has no newer ones: renew them there."},
	[PSEUDO_AWS_SKEWED] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"The clocks of this host and of AWS differ: synchronize this host's (chrony, NTP)."},
	[PSEUDO_AWS_BAD_CREDENTIALS] = {PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE,
	"AWS does not take the server's credentials: the access key is unknown or inactive, its secret key or session token is wrong, or the region is not enabled."},
	[PSEUDO_AWS_DENIED] = {PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE, NULL},
	[PSEUDO_AWS_KEY] = {PSEUDO_FAIL_REFUSED, ERRCODE_INSUFFICIENT_PRIVILEGE, NULL},
	[PSEUDO_AWS_NOT_FOUND] = {PSEUDO_FAIL_REFUSED, ERRCODE_UNDEFINED_OBJECT, NULL},
	[PSEUDO_AWS_NO_VERSION] = {PSEUDO_FAIL_EMPTY, ERRCODE_INVALID_PARAMETER_VALUE, NULL},
	[PSEUDO_AWS_DELETED] = {PSEUDO_FAIL_REFUSED, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"The secret is scheduled for deletion: aws secretsmanager restore-secret brings it back."},
	[PSEUDO_AWS_REPLICA] = {PSEUDO_FAIL_REFUSED, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"A replica of a secret refuses writes: store by a server whose region is that of the primary secret."},
	[PSEUDO_AWS_BAD_REQUEST] = {PSEUDO_FAIL_REFUSED, ERRCODE_INVALID_PARAMETER_VALUE,
	"Check the options of the server."},
	[PSEUDO_AWS_LIMIT] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	"A quota of AWS is reached: a secret has about 100 versions, and a version 20 staging labels."},
	[PSEUDO_AWS_TOKEN] = {PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"The agent does not know the token: it is read from AWS_TOKEN, or else from AWS_SESSION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN and /var/run/awssmatoken, in this order."}
};

/* Returns true if the agent runs, and says that it does not reach AWS. */
static bool
is_agent_cut_off(const PseudoAwsExchange *x)
{
	return x->agent && (strcmp(x->error.code, "ConnectionError") == 0 ||
						strcmp(x->error.code, "TimeoutError") == 0 ||
						strcmp(x->error.code, "InternalFailure") == 0);
}

/* The hint for a kind of error, or NULL. */
static const char *
choose_hint(const PseudoAws *aws, const PseudoAwsExchange *x, PseudoAwsErrorKind kind)
{
	if (is_agent_cut_off(x))
		return "The agent runs, but does not reach AWS: check its network (route, VPC endpoint, proxy), its region and its credentials; its log says more.";
	switch (kind)
	{
		case PSEUDO_AWS_DENIED:
			return hint_denied(aws, x, x->service == PSEUDO_AWS_KMS || is_about_key(x->error.message));
		case PSEUDO_AWS_KEY:
			return hint_denied(aws, x, true);
		case PSEUDO_AWS_NOT_FOUND:
			return hint_not_found(x);
		case PSEUDO_AWS_NO_VERSION:
			return hint_no_version(aws);
		default:
			return kinds[kind].hint;
	}
}

/* See errors.h. */
PseudoAwsErrorKind
pseudo_aws_judge_error(PseudoAws *aws, PseudoAwsExchange *x)
{
	PseudoAwsErrorKind kind;
	const char *message;

	read_error(aws, x);
	kind = x->kind = kind_of(aws, x);
	if (*x->error.code == '\0')
		message = psprintf("%s answered with HTTP status %d", who_was_asked(x), x->error.status);
	else
		message = psprintf("%s: %s%s%s", who_was_asked(x), x->error.code,
						   *x->error.message ? ": " : "", x->error.message);
	(void) pseudo_fail(aws->failure, kinds[kind].class, kinds[kind].sqlstate, message,
					   explain_request(aws, x), choose_hint(aws, x, kind));
	return kind;
}

/* See errors.h. */
bool
pseudo_aws_judge_silence(PseudoAws *aws, const PseudoAwsExchange *x)
{
	const char *who = who_was_asked(x);
	const char *problem = x->response.problem ? x->response.problem : "no answer";
	const char *check = x->agent ? "Check that the agent runs at the URL in the option \"agent\"." :
		"Check the network, the route or VPC endpoint, the proxy (HTTPS_PROXY, NO_PROXY) and the options \"endpoint\" and \"ca_file\".";

	switch (x->response.outcome)
	{
		case PSEUDO_HTTP_REFUSED_URL:
			(void) pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_PARAMETER_VALUE,
							   psprintf("the URL of %s cannot be used: %s", who, problem),
							   explain_request(aws, x), "A URL begins with https; or with http, for a loopback address.");
			return false;
		case PSEUDO_HTTP_TOO_LARGE:
			(void) pseudo_fail(aws->failure, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							   psprintf("%s: %s", who, problem),
							   explain_request(aws, x), NULL);
			return false;
		case PSEUDO_HTTP_UNREACHABLE:
			(void) pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT,
							   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							   psprintf("could not reach %s: %s", who, problem),
							   explain_request(aws, x), check);
			return true;
		case PSEUDO_HTTP_TIMED_OUT:
			(void) pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
							   psprintf("%s did not answer in time: %s", who, problem),
							   explain_request(aws, x), check);
			return true;
		default:
			return !pseudo_aws_fail_answer(aws, x, problem);
	}
}

/* See errors.h. */
bool
pseudo_aws_fail_answer(PseudoAws *aws, const PseudoAwsExchange *x, const char *fault)
{
	return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
					   psprintf("the answer of %s is broken: %s", who_was_asked(x), fault),
					   explain_request(aws, x), kinds[PSEUDO_AWS_FOREIGN].hint);
}
