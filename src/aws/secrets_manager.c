/*
 * secrets_manager.c
 *		Reading the secret from AWS Secrets Manager, and random bytes from KMS.
 */
#include "postgres.h"

#include "common/base64.h"

#include "client.h"
#include "secrets_manager.h"

/* Decode base64 into the arena; returns NULL where it is none. */
static char *
decode(PseudoAws *aws, const PseudoSpan *text, Size *len)
{
	int			room = pg_b64_dec_len((int) text->len);
	void	   *bytes = pseudo_arena_alloc(aws->arena, (Size) room + 1);
	int			got = pg_b64_decode(text->data, (int) text->len, bytes, room);

	if (got < 0)
		return NULL;
	*len = (Size) got;
	return bytes;
}

/* Fill in a failure for a value that cannot be a document; returns false. */
static bool
fail_value(PseudoAws *aws, PseudoFailureClass class, int sqlstate, const char *what, const char *hint)
{
	return pseudo_fail(aws->failure, class, sqlstate,
					   psprintf("secret \"%s\" %s", pseudo_option(aws->options, "secret_id"), what),
					   NULL, hint);
}

/* A string field of an object, or NULL. */
static const PseudoSpan *
string_field(const PseudoJson *object, const char *name)
{
	const PseudoJson *field = pseudo_json_field(object, name);

	return field && field->type == PSEUDO_JSON_STRING ? &field->text : NULL;
}

/* Is this what a version id looks like? */
static bool
is_version(const char *version)
{
	Size		len = version ? strlen(version) : 0;

	return len > 0 && len <= 64 &&
		strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* See secrets_manager.h. */
bool
pseudo_aws_read_value(PseudoAws *aws, const PseudoJson *answer, PseudoAwsSecret *secret)
{
	const char *version = pseudo_aws_json_string(aws, answer, "VersionId");
	const PseudoSpan *string = string_field(answer, "SecretString");
	const PseudoSpan *binary = string_field(answer, "SecretBinary");
	PseudoDocument *document = &secret->document;

	if (!is_version(version) || (string == NULL && binary == NULL))
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
		document->data = decode(aws, binary, &document->len);
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

/* See secrets_manager.h. */
bool
pseudo_aws_get_secret(PseudoAws *aws, PseudoAwsSecret *secret)
{
	const char *stage = pseudo_option(aws->options, "version_stage");
	StringInfoData body;
	PseudoJson *answer;

	memset(secret, 0, sizeof(PseudoAwsSecret));
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"SecretId\": ");
	pseudo_aws_append_json(&body, pseudo_option(aws->options, "secret_id"));
	appendStringInfoString(&body, ", \"VersionStage\": ");
	pseudo_aws_append_json(&body, stage ? stage : "AWSCURRENT");
	appendStringInfoChar(&body, '}');
	answer = pseudo_aws_call(aws, PSEUDO_AWS_SECRETS_MANAGER, "GetSecretValue",
							 body.data, body.len, NULL);
	return answer && pseudo_aws_read_value(aws, answer, secret);
}

/* The region in a key's ARN (arn:aws:kms:eu-west-1:...), or NULL. */
static const char *
key_region(const char *key)
{
	for (int i = 0; i < 3 && key; i++)
	{
		key = strchr(key, ':');
		key = key ? key + 1 : NULL;
	}
	return key && *key != ':' ? pnstrdup(key, strcspn(key, ":")) : NULL;
}

/* See secrets_manager.h. */
bool
pseudo_aws_generate(PseudoAws *aws, uint8 *out, Size len)
{
	const char *key = pseudo_option(aws->options, "kms_key_id");
	const PseudoSpan *plaintext;
	StringInfoData body;
	PseudoJson *answer;
	char	   *bytes;
	Size		got = 0;

	aws->region = key_region(key);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"KeyId\": ");
	pseudo_aws_append_json(&body, key);
	appendStringInfo(&body, ", \"NumberOfBytes\": %zu}", len);
	answer = pseudo_aws_call(aws, PSEUDO_AWS_KMS, "GenerateDataKey", body.data, body.len, NULL);
	if (answer == NULL)
		return false;
	plaintext = string_field(answer, "Plaintext");
	bytes = plaintext ? decode(aws, plaintext, &got) : NULL;
	if (bytes == NULL || got != len)
		return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
						   "the answer of AWS KMS is broken: it has no data key of the length asked for",
						   NULL, NULL);
	memcpy(out, bytes, len);
	return true;
}
