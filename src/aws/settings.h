/*
 * settings.h
 *		What the environment and the profile set, beside credentials, region and endpoints.
 */
#ifndef PSEUDO_AWS_SETTINGS_H
#define PSEUDO_AWS_SETTINGS_H

#include "postgres.h"

#include "aws.h"

typedef struct PseudoAwsSettings
{
	int			max_attempts;	/* of a request, the first one too */
	int			metadata_timeout;	/* milliseconds of a request to the
									 * instance metadata service */
	int			metadata_attempts;	/* of such a request; 0: not set */
	const char *ca_file;		/* PEM; NULL: the system's CAs */
	const char *user_agent;
} PseudoAwsSettings;

/*
 * Read the shared files and the settings, where they are not read yet; aws->settings then holds them.  What is set and not
 * supported is logged, once a session.  Failure: 28000 for the files and the profile (see config.h), 22023 for
 * a setting that will not do; PSEUDO_FAIL_TRANSIENT.
 */
extern bool pseudo_aws_read_settings(PseudoAws *aws);

/* The settings that hold for the agent, which asks AWS with its own: those of no environment. */
extern void pseudo_aws_default_settings(PseudoAws *aws);

#endif							/* PSEUDO_AWS_SETTINGS_H */
