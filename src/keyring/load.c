/*
 * load.c
 *		Asking a provider for a keyring.
 */
#include "postgres.h"

#include "load.h"
#include "secret.h"

/* See load.h. */
PseudoKeyring *
pseudo_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	PseudoDocument document;
	PseudoKeyring *volatile keyring = NULL;
	char	   *fault = NULL;

	document = options->provider->load(options, version, failure);
	if (document.data == NULL)
		return NULL;

	PG_TRY();
	{
		keyring = pseudo_keyring_parse(document.data, document.len, &fault);
	}
	PG_FINALLY();
	{
		pseudo_secret_free(document.data);
	}
	PG_END_TRY();

	if (keyring == NULL)
		pseudo_fail(failure, PSEUDO_FAIL_BAD_DOCUMENT, ERRCODE_INVALID_PARAMETER_VALUE,
					psprintf("the document is not a keyring: %s", fault), NULL, NULL);
	return keyring;
}

/* See load.h. */
void
pseudo_load_report(int elevel, const char *server, const PseudoFailure *failure)
{
	ereport(elevel,
			(errcode(failure->sqlstate),
			 errmsg("keyring \"%s\": %s", server, failure->message),
			 failure->detail ? errdetail("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* See load.h. */
int
pseudo_load_level(PseudoFailureClass class, bool asked_for)
{
	return class == PSEUDO_FAIL_TRANSIENT && !asked_for ? LOG : WARNING;
}
