/*
 * load.c
 *		Loading the document, by the agent or from AWS.
 *
 * Each load, change or call has a memory context and an arena of its own.  Only the
 * document and its version outlive them, and a failure, which is the caller's.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "agent.h"
#include "module.h"
#include "secret.h"
#include "service.h"

/* Load the document by the agent or from AWS; NULL data and aws->failure filled in where there is none. */
static PseudoDocument
load_document(PseudoAws *aws, MemoryContext caller, char **version)
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
	document.data = pseudo_secret_alloc(secret.document.len);	/* last: nothing can
																 * fail any more */
	document.len = secret.document.len;
	memcpy(document.data, secret.document.data, document.len);
	return document;
}

/* See module.h. */
PseudoDocument
pseudo_aws_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	MemoryContext caller = CurrentMemoryContext;
	PseudoAws	aws;
	PseudoDocument document;

	pseudo_aws_begin(&aws, options, failure);
	PG_TRY();
	{
		document = load_document(&aws, caller, version);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(aws.context);
	}
	PG_END_TRY();
	return document;
}
