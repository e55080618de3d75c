/*
 * provider_aws.c
 *		The provider `aws`, as far as it does without libcurl: its options, and
 *		loading the module that does the rest (src/aws) on first use.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "provider.h"

#define MODULE	"pseudo_aws"

static const char *const option_names[] = {
	"secret_id", "region", "profile", "endpoint", "ca_file", "version_stage", "kms_key_id",
	"agent", NULL
};

/*
 * The module's name to load it by: beside ours, or where dynamic_library_path
 * leads, which is how PostgreSQL 18 and later have extensions in folders of
 * their own.
 */
static const char *
module_name(void)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), "%s/%s%s", pkglib_path, MODULE, DLSUFFIX);
	return access(path, F_OK) == 0 ? "$libdir/" MODULE : MODULE;
}

/*
 * Load the module and find its provider; 0A000 where it is not installed, or
 * its libraries are not.
 */
static void *
load_module(void)
{
	MemoryContext context = CurrentMemoryContext;
	void	   *volatile function = NULL;

	PG_TRY();
	{
		function = load_external_function(module_name(), "pseudo_aws_provider", true, NULL);
	}
	PG_CATCH();
	{
		char	   *message;

		if (geterrcode() != ERRCODE_UNDEFINED_FILE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		message = CopyErrorData()->message;
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("provider \"aws\" is not installed"),
				 errdetail("It is in a module of its own: %s.", message),
				 errhint("Install the module %s, which comes with its own package, or with a build without WITH_AWS=no.", MODULE)));
	}
	PG_END_TRY();
	return function;
}

/* The provider in the other module. */
static const PseudoProvider *
aws_module(void)
{
	static const PseudoProvider *loaded = NULL;

	if (loaded == NULL)
		loaded = ((const PseudoProvider *(*) (void)) load_module()) ();
	return loaded;
}

/*
 * Only superusers, for the server acts with the host's own identity; and only
 * where the module is installed.
 */
static void
aws_check_set_right(const PseudoOptions *options)
{
	pseudo_check_superuser(options, "It is read with the database host's own AWS credentials.");
	(void) aws_module();
}

/*
 * Check that an option, where given, is one of characters and of 1 to max
 * bytes.
 */
static void
check_text_option(const PseudoOptions *options, const char *name, Size max, const char *allowed,
				  const char *hint)
{
	const char *value = pseudo_option(options, name);

	if (value == NULL)
		return;
	if (*value == '\0' || strlen(value) > max || value[strspn(value, allowed)] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("%s", hint)));
}

/*
 * Returns true if a URL begins with this scheme and host, and ends there or
 * goes on with a port or path.
 */
static bool
url_is_at(const char *url, const char *start)
{
	Size		len = strlen(start);

	return pg_strncasecmp(url, start, len) == 0 &&
		(url[len] == '\0' || url[len] == ':' || url[len] == '/');
}

/* Returns true if this is an http URL of the host itself. */
static bool
is_plain_loopback(const char *url)
{
	if (url_is_at(url, "http://localhost") || url_is_at(url, "http://[::1]"))
		return true;
	if (pg_strncasecmp(url, "http://127.", strlen("http://127.")) != 0)
		return false;
	url += strlen("http://127.");
	return strspn(url, "0123456789.") == strcspn(url, ":/");
}

/*
 * Check that an option, where given, is a URL without a query, of the host
 * itself or, where allowed, https.
 */
static void
check_url_option(const PseudoOptions *options, const char *name, bool https)
{
	const char *url = pseudo_option(options, name);

	if (url == NULL || is_plain_loopback(url) ||
		(https && pg_strncasecmp(url, "https://", 8) == 0 && url[8] != '\0'))
	{
		if (url == NULL || strpbrk(url, "?#@ \t\r\n\\") == NULL)
			return;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("Give a URL without user, query and fragment.")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 https ? errhint("Give a URL with https, or one with http of the host itself (localhost, 127.0.0.1).") :
			 errhint("Give a URL with http of the host itself, such as http://localhost:2773.")));
}

/*
 * Check that there is a secret: a server may be older than its wrapper's
 * validator.
 */
static void
need_secret_id(const PseudoOptions *options)
{
	if (pseudo_option(options, "secret_id") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"secret_id\" is required"),
				 errhint("Provider \"aws\" needs the name or ARN of the secret.")));
}

/* Check the options; see provider.h. */
static void
aws_validate(const PseudoOptions *options)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *ca_file = pseudo_option(options, "ca_file");

	need_secret_id(options);
	check_text_option(options, "secret_id", 2048, psprintf("%s/_+=.@-:", letters),
					  "Give the name or the ARN of a secret.");
	check_text_option(options, "region", 64, lower, "Give a region such as eu-west-1.");
	check_text_option(options, "version_stage", 256, psprintf("%s/_+=.@-: ", letters),
					  "Give a staging label such as AWSCURRENT.");
	check_text_option(options, "kms_key_id", 2048, psprintf("%s/_.:-", letters),
					  "Give the id, the ARN or the alias of a KMS key.");
	check_text_option(options, "profile", 256, psprintf("%s/_+=.@-:, ", letters),
					  "Give the name of a profile of the AWS configuration files.");
	check_url_option(options, "endpoint", true);
	check_url_option(options, "agent", false);	/* it is sent a token */
	if (ca_file && !is_absolute_path(ca_file))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"ca_file\""),
				 errhint("Give an absolute path.")));
}

/*
 * Check the right to store: ownership of the server, which the caller has
 * checked, is enough.
 */
static void
aws_check_store_right(const PseudoOptions *options pg_attribute_unused())
{
}

/* Load the document; see provider.h. */
static PseudoDocument
aws_load(const PseudoOptions *options, char **version, PseudoFailure *failure)
{
	need_secret_id(options);
	return aws_module()->load(options, version, failure);
}

/* Change the document; see provider.h. */
static PseudoDocument
aws_change(const PseudoOptions *options,
		   PseudoDocument (*change) (const PseudoDocument *old, void *arg),
		   void *arg, char **version)
{
	need_secret_id(options);
	return aws_module()->change(options, change, arg, version);
}

/* Random bytes for a new key; see provider.h. */
static bool
aws_random(const PseudoOptions *options, uint8 *out, Size len)
{
	return aws_module()->random(options, out, len);
}

const PseudoProvider pseudo_provider_aws = {
	.name = "aws",
	.option_names = option_names,
	.validate = aws_validate,
	.check_set_right = aws_check_set_right,
	.check_store_right = aws_check_store_right,
	.load = aws_load,
	.change = aws_change,
	.random = aws_random
};
