/*
 * aws.h
 *		What one load or change of an aws keyring carries through all its steps.
 *
 * The files of this folder make a module of their own, pseudo_aws, which is loaded
 * when the first aws keyring is: only it links libcurl.
 *
 * Functions that return bool fill in aws->failure where they return false.  They throw
 * only for a cancel and for lack of memory.  All that may be secret is in aws->arena, never
 * in palloc'ed memory.
 */
#ifndef PSEUDO_AWS_H
#define PSEUDO_AWS_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "../keyring/clock.h"
#include "../keyring/json.h"
#include "../keyring/provider.h"
#include "../keyring/secret.h"
#include "trust.h"

/* Credentials, in an arena. */
typedef struct PseudoAwsCredentials
{
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;	/* NULL: long-term ones */
	int64		expires;		/* seconds since 1970; 0: never */
} PseudoAwsCredentials;

typedef struct PseudoAws
{
	const PseudoOptions *options;
	MemoryContext context;		/* of this load or change; current while it runs */
	PseudoArena *arena;
	PseudoTrust *trust;			/* for all requests by TLS */
	PseudoFailure *failure;
	int64		deadline;		/* pseudo_now_ms() when all of it must be done */
	int64		clock_skew;		/* seconds that AWS's clock is ahead of ours */
	const char *region;			/* of the secret; NULL before it is known */
	struct PseudoAwsConfig *config; /* the shared files, read once; see config.h */
	struct PseudoAwsSettings *settings; /* read once; see settings.h */
	PseudoAwsCredentials credentials;	/* access_key_id NULL: none yet */
	const char *imds_token;		/* the instance metadata session, in the arena; NULL: none yet; see imds.c */
} PseudoAws;

/* Words as a sentence: a capital and a full stop. */
extern const char *pseudo_aws_sentence(const char *words);

/* An environment variable that is set and not empty, or NULL. */
extern const char *pseudo_aws_env(const char *name);

/*
 * Parse a JSON answer; the tree lives as long as aws->context.  NULL where it is
 * none; no failure is filled in.
 */
extern PseudoJson *pseudo_aws_json(PseudoAws *aws, const char *data, Size len);

/* A string field of an object, copied to the arena, or NULL where there is none or it is no string. */
extern const char *pseudo_aws_json_string(PseudoAws *aws, const PseudoJson *object, const char *name);

/* Append a string to a JSON text, with its quotes.  For what is not secret. */
extern void pseudo_aws_append_json(StringInfo buf, const char *string);

/* A string as RFC 3986 encodes it for queries and forms, in the arena. */
extern const char *pseudo_aws_percent_encode(PseudoArena *arena, const char *string);

#endif							/* PSEUDO_AWS_H */
