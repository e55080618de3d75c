/*
 * sigv4.c
 *		AWS Signature Version 4, of one request, as a pure function.
 *
 * The functions follow the steps of AWS's description: the canonical request, the
 * string to sign, the signing key, the signature.  All strings are in the arena, for
 * the session token is in them; the derived keys are on the stack and wiped.
 *
 * Not libcurl's own (CURLOPT_AWS_SIGV4, 7.75): we take older ones, it leaves headers unsigned or signs what it does not send until
 * 8.10, and it signs by this host's clock, which may have to be corrected.
 */
#include "postgres.h"

#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "sigv4.h"

#define ALGORITHM	"AWS4-HMAC-SHA256"
#define HEADERS_MAX	6			/* headers to send, at most */

/* HMAC-SHA256 of a string; mac may be key. */
static bool
sigv4_hmac(uint8 mac[SHA256_DIGEST_LENGTH], const void *key, Size key_len, const char *string)
{
	unsigned char result[SHA256_DIGEST_LENGTH] = {0};
	bool		ok = HMAC(EVP_sha256(), key, (int) key_len, (const unsigned char *) string,
						  strlen(string), result, NULL) != NULL;

	memcpy(mac, result, sizeof(result));
	explicit_bzero(result, sizeof(result));
	return ok;
}

/* A hash or signature in lower-case hex, in the arena. */
static char *
to_hex(PseudoArena *arena, const uint8 digest[SHA256_DIGEST_LENGTH])
{
	char	   *hex = pseudo_arena_alloc(arena, 2 * SHA256_DIGEST_LENGTH + 1);

	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return hex;
}

/* SHA-256 in hex, in the arena. */
static char *
sha256_hex(PseudoArena *arena, const char *data, Size len)
{
	uint8		digest[SHA256_DIGEST_LENGTH];

	if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
		elog(ERROR, "could not compute SHA-256");
	return to_hex(arena, digest);
}

/* "name:value\n", or nothing where there is no value. */
static const char *
canonical_header(PseudoArena *arena, const char *name, const char *value)
{
	return value ? pseudo_arena_printf(arena, "%s:%s\n", name, value) : "";
}

/* The canonical request. */
static char *
canonical_request(PseudoArena *arena, const PseudoSigv4Request *request, const char *date,
				  const char *token, const char *signed_headers)
{
	return pseudo_arena_printf(arena, "%s\n%s\n\n%s%s%s%s%s\n%s\n%s",
							   request->method,
							   pseudo_aws_percent_encode(arena, request->path, "/"),	/* once more than it is
																						 * sent */
							   canonical_header(arena, "content-type", request->content_type),
							   canonical_header(arena, "host", request->host),
							   canonical_header(arena, "x-amz-date", date),
							   canonical_header(arena, "x-amz-security-token", token),
							   canonical_header(arena, "x-amz-target", request->target),
							   signed_headers,
							   sha256_hex(arena, request->body, request->body_len));
}

/* Derive the day's key for the service, and sign with it; in hex. */
static char *
signature(PseudoArena *arena, const PseudoSigv4Request *request, const char *day,
		  const char *secret, const char *string_to_sign)
{
	char	   *start = pseudo_arena_printf(arena, "AWS4%s", secret);
	uint8		key[SHA256_DIGEST_LENGTH];
	bool		ok = sigv4_hmac(key, start, strlen(start), day) &&
		sigv4_hmac(key, key, sizeof(key), request->region) &&
		sigv4_hmac(key, key, sizeof(key), request->service) &&
		sigv4_hmac(key, key, sizeof(key), "aws4_request") &&
		sigv4_hmac(key, key, sizeof(key), string_to_sign);

	if (!ok)
	{
		explicit_bzero(key, sizeof(key));
		elog(ERROR, "could not compute HMAC-SHA256");
	}
	return to_hex(arena, key);
}

/* A moment in UTC, in the arena. */
static char *
format_time(PseudoArena *arena, int64 seconds, const char *format)
{
	time_t		t = (time_t) seconds;
	struct tm	tm;
	char	   *string = pseudo_arena_alloc(arena, 32);

	if (gmtime_r(&t, &tm) == NULL || strftime(string, 32, format, &tm) == 0)
		elog(ERROR, "could not format a time");
	return string;
}

/* The headers to send. */
static const char *const *
sigv4_headers(PseudoArena *arena, const PseudoSigv4Request *request, const char *date,
			  const char *token, const char *authorization)
{
	const char **headers = pseudo_arena_alloc(arena, (HEADERS_MAX + 1) * sizeof(char *));
	int			n = 0;

	headers[n++] = pseudo_arena_printf(arena, "Host: %s", request->host);
	headers[n++] = pseudo_arena_printf(arena, "Content-Type: %s", request->content_type);
	headers[n++] = pseudo_arena_printf(arena, "X-Amz-Date: %s", date);
	if (token)
		headers[n++] = pseudo_arena_printf(arena, "X-Amz-Security-Token: %s", token);
	if (request->target)
		headers[n++] = pseudo_arena_printf(arena, "X-Amz-Target: %s", request->target);
	headers[n++] = authorization;
	return headers;
}

/* See sigv4.h. */
const char *const *
pseudo_sigv4_sign(PseudoArena *arena, const PseudoSigv4Request *request,
				  const PseudoAwsCredentials *credentials)
{
	const char *token = credentials->session_token;
	const char *date = format_time(arena, request->time, "%Y%m%dT%H%M%SZ");
	const char *day = format_time(arena, request->time, "%Y%m%d");
	const char *scope = pseudo_arena_printf(arena, "%s/%s/%s/aws4_request",
											day, request->region, request->service);
	const char *names = pseudo_arena_printf(arena, "content-type;host;x-amz-date%s%s",
											token ? ";x-amz-security-token" : "",
											request->target ? ";x-amz-target" : "");
	const char *canonical = canonical_request(arena, request, date, token, names);
	const char *to_sign = pseudo_arena_printf(arena, ALGORITHM "\n%s\n%s\n%s", date, scope,
											  sha256_hex(arena, canonical, strlen(canonical)));

	return sigv4_headers(arena, request, date, token,
						 pseudo_arena_printf(arena, "Authorization: " ALGORITHM
											 " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
											 credentials->access_key_id, scope, names,
											 signature(arena, request, day,
													   credentials->secret_access_key, to_sign)));
}
