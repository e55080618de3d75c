/*
 * secret.c
 *		Reading the secret from AWS Secrets Manager.
 */
#include "postgres.h"

#include "utils/json.h"

#include "secret.h"
#include "service.h"

/* Fill in a failure for a value that cannot be a document; returns false. */
static bool
fail_value(PseudoAws *aws, PseudoFailureClass class, int sqlstate, const char *what, const char *hint)
{
	return pseudo_fail(aws->failure, class, sqlstate,
					   psprintf("secret \"%s\" %s", pseudo_option(aws->options, "secret_id"), what),
					   NULL, hint);
}

/* Returns true if this is what a version id looks like. */
static bool
is_version_id(const char *version)
{
	Size		len = version ? strlen(version) : 0;

	return len > 0 && len <= 64 &&
		strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* See secret.h. */
bool
pseudo_aws_read_value(PseudoAws *aws, const PseudoJson *answer, PseudoAwsSecret *secret)
{
	const char *version = pseudo_aws_json_string(aws, answer, "VersionId");
	const PseudoSpan *string = pseudo_aws_json_span(answer, "SecretString");
	const PseudoSpan *binary = pseudo_aws_json_span(answer, "SecretBinary");
	PseudoDocument *document = &secret->document;

	if (!is_version_id(version) || (string == NULL && binary == NULL))
		return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
						   "the answer of AWS Secrets Manager is broken: it has no VersionId or no value",
						   NULL, NULL);
	secret->version = pstrdup(version);
	if (string)
	{
		document->data = unconstify(char *, string->data);
		document->len = string->len;
	}
	else
		document->data = pseudo_aws_decode_base64(aws, binary, &document->len);
	if (document->data == NULL)
		return fail_value(aws, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_INVALID_PARAMETER_VALUE,
						  "has a SecretBinary that is not base64", NULL);
	if (document->len > PSEUDO_DOCUMENT_MAX)
		return fail_value(aws, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
						  psprintf("is larger than %d bytes", PSEUDO_DOCUMENT_MAX), NULL);
	if (pseudo_document_is_blank(document))
		return fail_value(aws, PSEUDO_FAIL_EMPTY, ERRCODE_INVALID_PARAMETER_VALUE, "is empty",
						  "Make the first key with pseudo_create_key().");
	return true;
}

/* See secret.h. */
bool
pseudo_aws_get_secret(PseudoAws *aws, PseudoAwsSecret *secret)
{
	const char *stage = pseudo_option(aws->options, "version_stage");
	StringInfoData body;
	PseudoJson *answer;

	memset(secret, 0, sizeof(PseudoAwsSecret));
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"SecretId\": ");
	escape_json(&body, pseudo_option(aws->options, "secret_id"));
	appendStringInfoString(&body, ", \"VersionStage\": ");
	escape_json(&body, stage ? stage : "AWSCURRENT");
	appendStringInfoChar(&body, '}');
	answer = pseudo_aws_call(aws, PSEUDO_AWS_SECRETS_MANAGER, "GetSecretValue",
							 body.data, body.len, NULL);
	return answer && pseudo_aws_read_value(aws, answer, secret);
}
