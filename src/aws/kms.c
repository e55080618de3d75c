/*
 * kms.c
 *		Random bytes for a new key, from AWS KMS.
 */
#include "postgres.h"

#include "utils/json.h"
#include "utils/memutils.h"

#include "module.h"
#include "service.h"

/* Generate a data key by the key of option "kms_key_id"; false with the failure filled in. */
static bool
generate_data_key(PseudoAws *aws, uint8 *out, Size len)
{
	const char *key = pseudo_option(aws->options, "kms_key_id");
	const PseudoSpan *plaintext;
	StringInfoData body;
	PseudoJson *answer;
	char	   *bytes;
	Size		got = 0;

	aws->region = pseudo_aws_arn_region(key);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"KeyId\": ");
	escape_json(&body, key);
	appendStringInfo(&body, ", \"NumberOfBytes\": %zu}", len);
	answer = pseudo_aws_call(aws, PSEUDO_AWS_KMS, "GenerateDataKey", body.data, body.len, NULL);
	if (answer == NULL)
		return false;
	plaintext = pseudo_aws_json_span(answer, "Plaintext");
	bytes = plaintext ? pseudo_aws_decode_base64(aws, plaintext, &got) : NULL;
	if (bytes == NULL || got != len)
		return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_CONNECTION_FAILURE,
						   "the answer of AWS KMS is broken: it has no data key of the length asked for",
						   NULL, NULL);
	memcpy(out, bytes, len);
	return true;
}

/* See module.h. */
bool
pseudo_aws_random(const PseudoOptions *options, uint8 *out, Size len)
{
	MemoryContext caller = CurrentMemoryContext;
	PseudoFailure failure = pseudo_no_failure();
	PseudoAws	aws;

	if (pseudo_option(options, "kms_key_id") == NULL)
		return false;
	pseudo_aws_begin(&aws, options, &failure);
	PG_TRY();
	{
		MemoryContextSwitchTo(aws.context);
		if (!generate_data_key(&aws, out, len))
			pseudo_aws_report(&aws, NULL);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(aws.context);
	}
	PG_END_TRY();
	return true;
}
