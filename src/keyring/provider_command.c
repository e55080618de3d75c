/*
 * provider_command.c
 *		The provider `command`: the document is what a shell command writes to its
 *		standard output, so that any secret store will do.
 */
#include "postgres.h"

#include <openssl/evp.h>


#include "clock.h"
#include "process.h"
#include "provider.h"
#include "secret.h"

#define MAX_COMMAND	4096		/* bytes */
#define VERSION_LABEL	"pseudo document\n"

static const char *const option_names[] = {"command", NULL};

/* Only superusers: the command is whatever they like. */
static void
command_check_set_right(const PseudoOptions *options)
{
	pseudo_check_superuser(options, "The command runs as the operating-system user of the server.");
}

/* Check the options; see provider.h. */
static void
command_validate(const PseudoOptions *options)
{
	const char *command = pseudo_option(options, "command");

	if (command == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"command\" is required"),
				 errhint("Provider \"command\" needs a shell command that writes the document to its standard output.")));
	if (command[strspn(command, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"command\""),
				 errhint("Give a shell command that writes the document to its standard output.")));
	if (strlen(command) > MAX_COMMAND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"command\" is too long"),
				 errhint("A command has at most %d bytes; a longer one belongs in a script.",
						 MAX_COMMAND)));
}

/* Report that this provider only reads. */
static void
report_read_only(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("provider \"command\" cannot store a keyring"),
			 errhint("Change the document in the secret store itself, then call pseudo_refresh_keyring().")));
}

/* Check the right to store; see provider.h. */
static void
command_check_store_right(const PseudoOptions *options pg_attribute_unused())
{
	report_read_only();
}

/* Change the document; see provider.h. */
static PseudoDocument
command_change(const PseudoOptions *options pg_attribute_unused(),
			   PseudoDocument (*change) (const PseudoDocument *old, void *arg),
			   void *arg pg_attribute_unused(), char **version pg_attribute_unused())
{
	(void) change;				/* an attribute after its type would be the
								 * type's, for C23 */
	report_read_only();
	return PSEUDO_NO_DOCUMENT;
}

/*
 * What identifies a document: the start of a digest of it.  The document holds
 * keys of 128 random bits or more, so that nobody can find it by its digest,
 * and a label comes first, so that no other digest of it can be compared.
 */
static char *
document_version(const PseudoDocument *document)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	bool		ok;

	ok = context != NULL &&
		EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(context, VERSION_LABEL, strlen(VERSION_LABEL)) == 1 &&
		EVP_DigestUpdate(context, document->data, document->len) == 1 &&
		EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);	/* wipes it */
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not compute a SHA-256 digest.")));
	return psprintf("sha256:%02x%02x%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2],
					digest[3], digest[4], digest[5], digest[6], digest[7]);
}

/* Say of a command's failure what it means here. */
static void
command_explain(const PseudoOptions *options, PseudoFailure *failure)
{
	if (failure->sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		failure->class = PSEUDO_FAIL_BAD_DOCUMENT;
	else if (failure->sqlstate == ERRCODE_CONNECTION_FAILURE)
		pseudo_failure_hint(failure, psprintf("It had %d ms: the option \"timeout\" of the server.",
											  options->timeout));
	else
		pseudo_failure_hint(failure, "It runs as the operating-system user of the server, with the server's environment, in its data directory.");
}

/* Load the document; see provider.h. */
static PseudoDocument
command_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	const char *command = pseudo_option(options, "command");
	PseudoDocument document = PSEUDO_NO_DOCUMENT;

	if (command == NULL)
	{
		pseudo_fail(failure, PSEUDO_FAIL_REFUSED, ERRCODE_INVALID_PARAMETER_VALUE,
					"option \"command\" is required", NULL, NULL);
		return document;
	}
	document.data = pseudo_process_run("command", command, pseudo_now_ms() + options->timeout,
									   PSEUDO_DOCUMENT_MAX, &document.len, failure);
	if (document.data == NULL)
		command_explain(options, failure);
	else if (pseudo_document_is_blank(&document))
	{
		pseudo_secret_free(document.data);
		document = PSEUDO_NO_DOCUMENT;
		pseudo_fail(failure, PSEUDO_FAIL_EMPTY, ERRCODE_INVALID_PARAMETER_VALUE,
					"command wrote no document", NULL,
					"It must write the keyring's document to its standard output.");
	}
	else
	{
		PG_TRY();
		{
			*version = document_version(&document);
		}
		PG_CATCH();
		{
			pseudo_secret_free(document.data);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return document;
}

const PseudoProvider pseudo_provider_command = {
	.name = "command",
	.option_names = option_names,
	.validate = command_validate,
	.check_set_right = command_check_set_right,
	.check_store_right = command_check_store_right,
	.load = command_load,
	.change = command_change
};
