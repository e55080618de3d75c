/*
 * source_instance.c
 *		Credentials of the role of the EC2 instance that the server runs on.
 */
#include "postgres.h"

#include "config.h"
#include "imds.h"
#include "source.h"

/* The name of the instance's role, palloc'ed, or NULL with *why set.  Where it is set, nobody is asked. */
static const char *
instance_role(PseudoAws *aws, const char **why)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-";
	const char *where;
	const char *roles = pseudo_aws_setting(aws, "AWS_EC2_INSTANCE_PROFILE_NAME",
										   "ec2_instance_profile_name", &where);
	Size		len;

	if (roles == NULL)
		roles = pseudo_aws_imds_get(aws, "/latest/meta-data/iam/security-credentials/", why);
	if (roles == NULL)
		return NULL;
	len = strspn(roles, allowed);
	if (len > 0 && strchr("\r\n", roles[len]) != NULL)	/* or at the end */
		return pnstrdup(roles, len);
	*why = len > 0 || *roles ? "the name of the instance's role is malformed" :
		"the instance has no role";
	return NULL;
}

/* A code from an answer, if it is one that may be shown. */
static const char *
shown_code(const char *code)
{
	if (code == NULL)
		return "none";
	return strlen(code) <= 64 && pseudo_aws_is_visible(code) && strpbrk(code, "\"\\%") == NULL ? code : "unknown";
}

/* See source.h.  Ones that have expired are used too: AWS lets them live on while it cannot renew them. */
PseudoAwsFound
pseudo_aws_from_instance(PseudoAws *aws, PseudoAwsCredentials *found, const char **why)
{
	static const char made_for[] = "instance metadata";
	const char *role;
	const char *document;
	const char *code;
	PseudoJson *json;

	if (pseudo_aws_kept(aws, made_for, found))
		return PSEUDO_AWS_FOUND;
	role = instance_role(aws, why);
	if (role == NULL)
		return PSEUDO_AWS_ABSENT;
	document = pseudo_aws_imds_get(aws, psprintf("/latest/meta-data/iam/security-credentials/%s", role), why);
	if (document == NULL)
		return PSEUDO_AWS_ABSENT;
	json = pseudo_aws_json(aws, document, strlen(document));
	code = json ? pseudo_aws_json_string(aws, json, "Code") : NULL;
	if (json && (code == NULL || strcmp(code, "Success") != 0))
		*why = psprintf("no credentials for role \"%s\", code %s", role, shown_code(code));
	else
		*why = pseudo_aws_take_json(aws, found, json, "Token");
	if (*why)
		return PSEUDO_AWS_ABSENT;
	pseudo_aws_keep(aws, made_for, found);
	return PSEUDO_AWS_FOUND;
}
