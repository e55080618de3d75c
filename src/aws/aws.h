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
#include "../keyring/json_tree.h"
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
	MemoryContext context;		/* of this load or change; current while it
								 * runs */
	PseudoArena *arena;
	PseudoTrust *trust;			/* for all requests by TLS */
	PseudoFailure *failure;
	int64		deadline;		/* pseudo_now_ms() when all of it must be done */
	int64		clock_skew;		/* seconds that AWS's clock is ahead of ours */
	const char *region;			/* of the secret; NULL before it is known */
	struct PseudoAwsConfig *config; /* the shared files, read once; see
									 * config.h */
	struct PseudoAwsSettings *settings; /* read once; see settings.h */
	PseudoAwsCredentials credentials;	/* access_key_id NULL: none yet */
	const char *imds_token;		/* the instance metadata session, in the
								 * arena; NULL: none yet; see imds.c */
} PseudoAws;

/* An environment variable that is set and not empty, or NULL. */
extern const char *pseudo_aws_env(const char *name);

/* Words as a sentence: a capital and a full stop. */
extern const char *pseudo_aws_sentence(const char *words);

/* A palloc'ed copy of a text, max bytes at most, of which only printable ASCII is left; "" for NULL. */
extern char *pseudo_aws_clean(const char *string, Size max);

/* Returns true if a text is visible ASCII, which a header can hold, and not empty. */
extern bool pseudo_aws_is_visible(const char *string);

/* A URL without the slashes at its end, palloc'ed. */
extern const char *pseudo_aws_without_slashes(const char *url);

/* The region in an ARN (arn:aws:secretsmanager:eu-west-1:...), palloc'ed; NULL: no ARN, or it names none. */
extern const char *pseudo_aws_arn_region(const char *arn);

/* A string as RFC 3986 encodes it, in the arena; the characters in keep stay as they are, too. */
extern const char *pseudo_aws_percent_encode(PseudoArena *arena, const char *string, const char *keep);

/*
 * Parse a JSON answer; the tree lives as long as aws->context.  NULL where it is
 * none; no failure is filled in.
 */
extern PseudoJson *pseudo_aws_json(PseudoAws *aws, const char *data, Size len);

/* A string field of an object, or NULL where there is none or it is no string; the same, copied to the arena. */
extern const PseudoSpan *pseudo_aws_json_span(const PseudoJson *object, const char *name);
extern const char *pseudo_aws_json_string(PseudoAws *aws, const PseudoJson *object, const char *name);

/* Decode base64 into the arena; returns NULL where it is none. */
extern char *pseudo_aws_decode_base64(PseudoAws *aws, const PseudoSpan *string, Size *len);

/* The text of the first element of this name in an XML answer, in the arena, or NULL. */
extern const char *pseudo_aws_xml(PseudoAws *aws, const char *xml, const char *name);

/*
 * Read an open file whole, a zero after it, into the arena.  Returns NULL, or in words what is wrong: it is no regular file, larger
 * than max bytes, or has a zero byte in it.
 */
extern const char *pseudo_aws_read_file(PseudoAws *aws, int fd, const char *path, Size max,
										char **data);

/* Read a small file that holds a token into *token, in the arena.  Returns NULL, or in words what is wrong. */
extern const char *pseudo_aws_read_token(PseudoAws *aws, const char *path, const char **token);

/* Wait, open to interrupts. */
extern void pseudo_aws_pause(int64 ms);

#endif							/* PSEUDO_AWS_H */
