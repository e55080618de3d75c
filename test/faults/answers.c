/*
 * answers.c
 *		What AWS, its agent and the metadata services may answer, and what they never would, made up from a
 *		seed: in the place of src/aws/http.c's request, linked into the modules with the linker's --wrap.
 *
 * Made for the address sanitizer: each allocation of secret.c is one of malloc() here, and no
 * memory context is kept for another use.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

#include "../../src/keyring/secret.h"

extern MemoryContext __real_AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min,
														  Size init, Size max);
MemoryContext __wrap_AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min,
												   Size init, Size max);

/* Contexts of the usual sizes are kept when they are deleted: have another one, so that their memory is given back. */
MemoryContext
__wrap_AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min, Size init, Size max)
{
	return __real_AllocSetContextCreateInternal(parent, name, 0, 16 * 1024, Max(max, 16 * 1024));
}

#ifndef FAULT_AWS
/* The interface of secret.c, by malloc(). */

void *
pseudo_secret_alloc(Size size)
{
	return calloc(1, Max(size, 1));
}

void
pseudo_secret_free(void *ptr)
{
	free(ptr);
}

void
pseudo_secret_clear_registers(void)
{
}

typedef struct Piece
{
	struct Piece *next;
	void	   *data;
} Piece;

struct PseudoArena
{
	MemoryContextCallback callback;
	Piece	   *pieces;
};

static void
arena_free(void *arg)
{
	PseudoArena *arena = arg;

	while (arena->pieces)
	{
		Piece	   *next = arena->pieces->next;

		free(arena->pieces->data);
		free(arena->pieces);
		arena->pieces = next;
	}
}

PseudoArena *
pseudo_arena_create(MemoryContext context)
{
	PseudoArena *arena = MemoryContextAllocZero(context, sizeof(PseudoArena));

	arena->callback.func = arena_free;
	arena->callback.arg = arena;
	MemoryContextRegisterResetCallback(context, &arena->callback);
	return arena;
}

void *
pseudo_arena_alloc(PseudoArena *arena, Size size)
{
	Piece	   *piece = malloc(sizeof(Piece));

	piece->data = calloc(1, Max(size, 1));
	piece->next = arena->pieces;
	arena->pieces = piece;
	return piece->data;
}

char *
pseudo_arena_copy(PseudoArena *arena, const char *data, Size len)
{
	return memcpy(pseudo_arena_alloc(arena, len + 1), data, len);
}

char *
pseudo_arena_strdup(PseudoArena *arena, const char *string)
{
	return pseudo_arena_copy(arena, string, strlen(string));
}

char *
pseudo_arena_printf(PseudoArena *arena, const char *format,...)
{
	char		text[16384];
	va_list		args;

	va_start(args, format);
	(void) vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return pseudo_arena_strdup(arena, text);
}

/* The other module of the pair, which is beside this one. */
extern void *__real_load_external_function(const char *file, const char *function, bool signal, void **handle);
void	   *__wrap_load_external_function(const char *file, const char *function, bool signal, void **handle);

void *
__wrap_load_external_function(const char *file, const char *function, bool signal, void **handle)
{
	if (strcmp(file, "$libdir/pseudo_aws") == 0)
		file = FAULT_AWS_MODULE;
	return __real_load_external_function(file, function, signal, handle);
}
#else
#include "../../src/aws/credentials.h"
#include "../../src/aws/http.h"

#define MAX_BODY	32768

/* An answer in the making. */
typedef struct Text
{
	char		data[MAX_BODY];
	Size		len;
} Text;

static uint64 state = 1;
static int	requests = 0;		/* since the last seed */

PG_FUNCTION_INFO_V1(pseudo_answers_seed);
PG_FUNCTION_INFO_V1(pseudo_answers_requests);

/* pseudo_answers_seed(integer): the answers from now on; what was kept of earlier ones is forgotten. */
Datum
pseudo_answers_seed(PG_FUNCTION_ARGS)
{
	state = UINT64CONST(0x9e3779b97f4a7c15) * (uint64) (PG_GETARG_INT32(0) + 1);
	requests = 0;
	pseudo_aws_forget();
	PG_RETURN_VOID();
}

/* pseudo_answers_requests(): how many there were since the seed. */
Datum
pseudo_answers_requests(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(requests);
}

/* A number from 0 to n - 1 (xorshift64*). */
static uint32
dice(uint32 n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32) ((state * UINT64CONST(2685821657736338717)) >> 33) % n;
}

#define PICK(array) array[dice(lengthof(array))]

/* Replace removed bytes at a place by others, as far as there is room. */
static void
splice(Text *text, Size at, Size removed, const char *data, Size len)
{
	if (text->len - removed + len > MAX_BODY)
		return;
	memmove(text->data + at + len, text->data + at + removed, text->len - at - removed);
	memcpy(text->data + at, data, len);
	text->len += len - removed;
}

static void
put(Text *text, const char *data)
{
	splice(text, text->len, 0, data, strlen(data));
}

#define SECRET "S3cretMarker"
#define FIELDS "\\\"encodedSecretKey\\\": \\\"rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=\\\", \\\"encodedNonceKey\\\": \\\"dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=\\\", \\\"nonceStrPos\\\": 7, \\\"nonceEndPos\\\": 19"

/* Documents, as JSON strings. */
static const char *const documents[] = {
	"\"{" FIELDS "}\"",
	"\"{\\\"version\\\": 1, \\\"primaryKeyId\\\": 2, \\\"keys\\\": [{\\\"keyId\\\": 1, \\\"outputPrefix\\\": \\\"raw\\\", \\\"status\\\": \\\"enabled\\\", " FIELDS
	"}, {\\\"keyId\\\": 2, \\\"outputPrefix\\\": \\\"tink\\\", \\\"status\\\": \\\"enabled\\\", " FIELDS "}]}\"",
	"\"{\\\"version\\\": 1, \\\"primaryKeyId\\\": 1, \\\"keys\\\": [{\\\"keyId\\\": 1, \\\"outputPrefix\\\": \\\"" SECRET "\\\"}]}\"",
	"\"" SECRET "\"", "\"{\\\"" SECRET "\\\": 1}\"", "\"\"", "\"{}\"", "\"\\u0000\"", "\"\\ud83d\"", "\"[]\"", "null", "17", "[\"" SECRET "\"]", "{}"
};

static const char *const codes[] = {
	"ThrottlingException", "ResourceNotFoundException", "AccessDeniedException", "ExpiredTokenException",
	"InvalidSignatureException", "RequestTimeTooSkewed", "RequestInTheFuture", "DecryptionFailure",
	"InternalServiceError", "com.amazon.coral.service#UnrecognizedClientException", "InvalidRequestException",
	"InvalidParameterException", "ResourceExistsException", "LimitExceededException", "X:http://a", "#", ":", "",
	"BrandNewException"
};

static const char *const messages[] = {
	"User: arn:aws:iam::123456789012:user/x is not authorized to perform: secretsmanager:GetSecretValue on resource: y with an explicit deny in a service control policy",
	"Access to KMS is not allowed", "You can't perform this operation on the secret because it was marked for deletion.",
	"Signature expired: 20200101T000000Z is now earlier than 20200101T010000Z", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
	"::12", ".", "", "line\\r\\nsecond line", "\\u0000", "\\ud83d\\ude00", "is a replica secret"
};

/* Where a mutation may hurt. */
static const char *const tokens[] = {
	"\"", "\\", "\\u0000", "\\ud800", "\\udc00\\ud800", "{", "}", "[", "]", ",", ":", "null", "true", "1e999", "-", "0x1", "<", ">",
	"</AccessKeyId>", "<SessionToken>", "<Credentials>", "&amp;", "&#x41;", "&lt", "&", "\r\n", "\r\n\r\n", "\n", " ", "\xff\xfe", "\xc0\x80", "\xf0\x9f\x98",
	"VersionId", "SecretString", "SecretBinary", "Expiration", "9999-99-99T99:99:99Z", "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "=", "====", "AWSCURRENT"
};

/* Change a few bytes or tokens. */
static void
mutate(Text *text)
{
	for (uint32 n = 1 + dice(6); n > 0; n--)
	{
		Size		at = dice(text->len + 1);
		uint32		wanted = dice(dice(8) ? 4 : 400);	/* as Min() would throw the dice twice */
		Size		removed = Min(wanted, text->len - at);
		const char *token = PICK(tokens);
		char		run[6000];
		char		byte = (char) dice(256);

		switch (dice(7))
		{
			case 0:
				splice(text, at, removed, token, strlen(token));
				break;
			case 1:
				splice(text, at, 0, token, strlen(token));
				break;
			case 2:
				splice(text, at, Min(1, text->len - at), &byte, 1);
				break;
			case 3:
				text->len = at;
				break;
			case 4:				/* many of the same */
				memset(run, token[0], sizeof(run));
				splice(text, at, 0, run, dice(dice(4) ? 20 : sizeof(run)));
				break;
			case 5:				/* a part once more */
				memcpy(run, text->data + at, Min(removed, sizeof(run)));
				splice(text, dice(text->len + 1), 0, run, Min(removed, sizeof(run)));
				break;
			default:
				splice(text, at, removed, "", 0);
		}
	}
}

/* A time, some seconds from now or long ago. */
static const char *
when(void)
{
	static const char *const times[] = {"2999-01-01T00:00:00Z", "2001-01-01T00:00:00Z", "2999-01-01T00:00:00.123Z", "0", "never"};

	return dice(3) ? times[0] : PICK(times);
}

/* An error, as AWS writes it in JSON or XML. */
static void
make_error(Text *text)
{
	const char *code = PICK(codes);
	const char *message = PICK(messages);

	if (dice(3))
		put(text, psprintf("{\"%s\": \"%s\", \"%s\": \"%s\"}", dice(2) ? "__type" : "code", code, dice(2) ? "Message" : "message", message));
	else
		put(text, psprintf("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", code, message));
}

/* What would be right, more or less. */
static void
make_answer(Text *text, const PseudoHttpRequest *request)
{
	const char *body = request->body ? request->body : "";
	const char *target = "";

	for (const char *const *header = request->headers; header && *header; header++)
	{
		if (pg_strncasecmp(*header, "x-amz-target:", 13) == 0)
			target = *header;
	}
	if (strstr(body, "Action="))
		put(text, psprintf("<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials><AccessKeyId>ASIA%u</AccessKeyId><SecretAccessKey>" SECRET "&amp;</SecretAccessKey>"
						   "<SessionToken>" SECRET "</SessionToken><Expiration>%s</Expiration></Credentials></R>", dice(100), when()));
	else if (strstr(request->url, "/api/token"))
		put(text, SECRET);
	else if (strstr(request->url, "placement/region"))
		put(text, "eu-west-1");
	else if (strstr(request->url, "security-credentials/") && request->url[strlen(request->url) - 1] == '/')
		put(text, "role");
	else if (strstr(request->url, "security-credentials/") || strstr(request->url, "/container"))
		put(text, psprintf("{\"Code\": \"Success\", \"AccessKeyId\": \"ASIA%u\", \"SecretAccessKey\": \"" SECRET "\", \"Token\": \"" SECRET "\", \"Expiration\": \"%s\"}", dice(100), when()));
	else if (strstr(target, "GenerateDataKey"))
		put(text, "{\"Plaintext\": \"rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ90r8xIK/ZDrTb0rSPOlJVF10ZuaBhA9sgqlJGhO/TqOw==\", \"KeyId\": \"x\"}");
	else if (strstr(target, "DescribeSecret"))
		put(text, "{\"VersionIdsToStages\": {\"d5d5d5d5-0000-4000-8000-000000000001\": [\"AWSCURRENT\", null, 1]}}");
	else
		put(text, psprintf("{\"Name\": \"test\", \"VersionId\": \"d5d5d5d5-0000-4000-8000-%012u\", \"%s\": %s, \"VersionStages\": [\"AWSCURRENT\"]}",
						   dice(3), dice(8) ? "SecretString" : "SecretBinary", documents[dice(2) ? dice(2) : dice(lengthof(documents))]));
}

/* The headers, which may not hold a line without a name: http.c's own are as libcurl gives them. */
static void
make_headers(Text *text)
{
	static const char *const values[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Thu, 01 Jan 2999 00:00:00 GMT", "x", "", "99999999999999999999", "-1", "0", "500"};
	static const char *const names[] = {"Date", "x-amzn-RequestId", "x-amzn-ErrorType", "x-amz-retry-after", "Retry-After", "X-Other"};

	for (uint32 n = dice(5); n > 0; n--)
	{
		const char *name = PICK(names);
		const char *value = PICK(values);

		put(text, psprintf("%s:%s%s\r\n", name, dice(2) ? " " : "", value));
	}
}

/* In the place of a request. */
void		__wrap_pseudo_http_perform(PseudoArena *arena, const PseudoHttpRequest *request, PseudoHttpResponse *response);

void
__wrap_pseudo_http_perform(PseudoArena *arena, const PseudoHttpRequest *request, PseudoHttpResponse *response)
{
	static const int statuses[] = {200, 200, 400, 401, 403, 404, 429, 500, 503, 302, 100, 999, 0};
	static const PseudoHttpOutcome outcomes[] = {PSEUDO_HTTP_REFUSED_URL, PSEUDO_HTTP_UNREACHABLE, PSEUDO_HTTP_TIMED_OUT, PSEUDO_HTTP_BROKEN, PSEUDO_HTTP_TOO_LARGE};
	Text	   *text = palloc0(sizeof(Text));
	uint32		kind = dice(10);

	requests++;
	memset(response, 0, sizeof(*response));
	if (kind == 0)
	{
		response->outcome = PICK(outcomes);
		response->problem = pstrdup("a problem");
		return;
	}
	make_headers(text);
	response->headers = pseudo_arena_copy(arena, text->data, text->len);
	text->len = 0;
	response->status = kind < 4 ? PICK(statuses) : 200;
	if (response->status == 200)
		make_answer(text, request);
	else
		make_error(text);
	if (dice(3) == 0)
		mutate(text);
	response->outcome = PSEUDO_HTTP_ANSWERED;
	response->body = pseudo_arena_copy(arena, text->data, text->len);
	response->len = text->len;
	pfree(text);
}

/* No pause takes time. */
void		__wrap_pseudo_aws_pause(int64 ms);

void
__wrap_pseudo_aws_pause(int64 ms)
{
}
#endif
