/*
 * module.c
 *		The second module's way in: the provider `aws`, as far as it needs libcurl.
 *
 * Each load, change or call has a memory context and an arena of its own.  Only the
 * document and its version outlive them, and a failure, which is the caller's.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "secrets_manager.h"

PSEUDO_MODULE_MAGIC("pseudo_aws");

extern PGDLLEXPORT const PseudoProvider *pseudo_aws_provider(void);

/* A JSON answer, freed with the context that it is in. */
typedef struct Answer
{
	MemoryContextCallback callback;
	PseudoJsonText json;
} Answer;

/* See aws.h. */
const char *
pseudo_aws_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* See aws.h. */
const char *
pseudo_aws_sentence(const char *words)
{
	Size		len = strlen(words);

	return psprintf("%c%s%s", pg_toupper((unsigned char) words[0]), words + 1,
					len > 0 && words[len - 1] == '.' ? "" : ".");
}

/*
 * Memory context callback: free an answer's decoded strings.  Its nodes are in a child of the
 * context, which is gone by now.
 */
static void
answer_free(void *arg)
{
	Answer	   *answer = arg;

	pseudo_secret_free(answer->json.decoded);
}

/* See aws.h. */
PseudoJson *
pseudo_aws_json(PseudoAws *aws, const char *data, Size len)
{
	MemoryContext old = MemoryContextSwitchTo(aws->context);
	Answer	   *answer = palloc0(sizeof(Answer));
	const char *fault;
	bool		ok;

	answer->callback.func = answer_free;
	answer->callback.arg = answer;
	MemoryContextRegisterResetCallback(aws->context, &answer->callback);
	ok = pseudo_json_parse(&answer->json, data, len, &fault);
	MemoryContextSwitchTo(old);
	return ok ? answer->json.root : NULL;
}

/* See aws.h. */
const char *
pseudo_aws_json_string(PseudoAws *aws, const PseudoJson *object, const char *name)
{
	PseudoJson *field = pseudo_json_field(object, name);

	if (field == NULL || field->type != PSEUDO_JSON_STRING)
		return NULL;
	return pseudo_arena_copy(aws->arena, field->text.data, field->text.len);
}

/* See aws.h. */
void
pseudo_aws_append_json(StringInfo buf, const char *string)
{
	appendStringInfoChar(buf, '"');
	for (; *string; string++)
	{
		if (*string == '"' || *string == '\\')
			appendStringInfo(buf, "\\%c", *string);
		else if ((unsigned char) *string < ' ')
			appendStringInfo(buf, "\\u%04x", *string);
		else
			appendStringInfoChar(buf, *string);
	}
	appendStringInfoChar(buf, '"');
}

/* See aws.h. */
const char *
pseudo_aws_percent_encode(PseudoArena *arena, const char *string)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char unreserved[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	char	   *encoded = pseudo_arena_alloc(arena, 3 * strlen(string) + 1);
	char	   *to = encoded;

	for (const char *p = string; *p; p++)
	{
		if (strchr(unreserved, *p))
			*to++ = *p;
		else
		{
			*to++ = '%';
			*to++ = hex[(uint8) *p >> 4];
			*to++ = hex[(uint8) *p & 15];
		}
	}
	return encoded;
}

/* See secrets_manager.h. */
void
pseudo_aws_begin(PseudoAws *aws, const PseudoOptions *options, PseudoFailure *failure)
{
	memset(aws, 0, sizeof(PseudoAws));
	aws->options = options;
	aws->failure = failure;
	aws->context = AllocSetContextCreate(CurrentMemoryContext, "pseudo aws",
										 ALLOCSET_DEFAULT_SIZES);
	aws->arena = pseudo_arena_create(aws->context);
	aws->trust = pseudo_trust_create(aws->context);
	aws->deadline = pseudo_now_ms() + options->timeout;
}

/* Load the document by the agent or from AWS; NULL data and aws->failure filled in where there is none. */
static PseudoDocument
load(PseudoAws *aws, MemoryContext caller, char **version)
{
	PseudoDocument document = {NULL, 0};
	PseudoAwsSecret secret;
	bool		ok;

	MemoryContextSwitchTo(aws->context);
	ok = pseudo_option(aws->options, "agent") ? pseudo_aws_ask_agent(aws, &secret) :
		pseudo_aws_get_secret(aws, &secret);
	MemoryContextSwitchTo(caller);
	if (!ok)
		return document;
	*version = pstrdup(secret.version);
	document.data = pseudo_secret_alloc(secret.document.len);	/* last: nothing can fail any more */
	document.len = secret.document.len;
	memcpy(document.data, secret.document.data, document.len);
	return document;
}

/* Load the document; see provider.h. */
static PseudoDocument
aws_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	MemoryContext caller = CurrentMemoryContext;
	PseudoAws	aws;
	PseudoDocument document;

	pseudo_aws_begin(&aws, options, failure);
	PG_TRY();
	{
		document = load(&aws, caller, version);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(aws.context);
	}
	PG_END_TRY();
	return document;
}

/* See secrets_manager.h. */
void
pseudo_aws_report(const PseudoAws *aws, const char *hint)
{
	const PseudoFailure *failure = aws->failure;

	if (hint == NULL)
		hint = failure->hint;
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 errmsg("keyring \"%s\": %s", aws->options->server, failure->message),
			 failure->detail ? errdetail("%s", failure->detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* Random bytes from KMS, where the server has a key for it; see provider.h. */
static bool
aws_random(const PseudoOptions *options, uint8 *out, Size len)
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
		if (!pseudo_aws_generate(&aws, out, len))
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

static const PseudoProvider provider = {
	.name = "aws",
	.load = aws_load,
	.change = pseudo_aws_store,
	.random = aws_random
};

/* What provider_aws.c looks for in this module. */
const PseudoProvider *
pseudo_aws_provider(void)
{
	return &provider;
}
