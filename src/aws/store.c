/*
 * store.c
 *		Storing the secret so that administrators who meet lose nothing.
 *
 * PutSecretValue compares nothing, so it makes a version that nobody reads: its only staging
 * label is our own.  Moving AWSCURRENT from the version that we have read to this one is what compares
 * and swaps: it fails where another was faster, and then all begins again with what
 * that one wrote.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "module.h"
#include "secret.h"
#include "service.h"

#define MAX_ROUNDS		5
#define MIN_ROUND		100		/* milliseconds that a round is taken to last,
								 * at least */
#define MAX_PAUSE		10000	/* milliseconds between two rounds */
#define CLEANUP_TIME	1000	/* milliseconds to take our label away */
#define MAX_VERSION_LEN	64		/* of a version's id; ours is a UUID */

/* A change of the secret, being made. */
typedef struct Store
{
	PseudoAws	aws;
	PseudoFailure failure;
	PseudoDocument (*change) (const PseudoDocument *old, void *arg);
	void	   *arg;
	PseudoDocument new;			/* what change() has made of the secret, to be
								 * freed */
	char		token[MAX_VERSION_LEN + 1]; /* the id of its version; ""
											 * before the first */
	bool		labelled;		/* a version may have the label that we take
								 * away */
} Store;

/* Call an action of Secrets Manager. */
static PseudoJson *
store_call(Store *store, const char *action, const char *body, Size len, PseudoAwsError *error)
{
	return pseudo_aws_call(&store->aws, PSEUDO_AWS_SECRETS_MANAGER, action, body, len, error);
}

/* Give what follows so much time, in milliseconds. */
static void
give_time(Store *store, int time)
{
	store->aws.deadline = pseudo_now_ms() + time;
}

/* Begin a JSON body with the secret's name. */
static void
begin_body(Store *store, StringInfo body)
{
	initStringInfo(body);
	appendStringInfoString(body, "{\"SecretId\": ");
	escape_json(body, pseudo_option(store->aws.options, "secret_id"));
}

/* Make a new id for a version: a random UUID. */
static void
make_token(Store *store)
{
	Datum		uuid = OidFunctionCall0(F_GEN_RANDOM_UUID);

	strlcpy(store->token, DatumGetCString(DirectFunctionCall1(uuid_out, uuid)), sizeof(store->token));
}

/* The document as a JSON string, in the arena: escape_json() would leave it in palloc'ed memory. */
static const char *
quote_document(PseudoArena *arena, const PseudoDocument *document)
{
	static const char hex[] = "0123456789abcdef";
	char	   *quoted = pseudo_arena_alloc(arena, 6 * document->len + 3);
	char	   *to = quoted;

	*to++ = '"';
	for (Size i = 0; i < document->len; i++)
	{
		uint8		c = (uint8) document->data[i];

		if (c < ' ')
		{
			to = (char *) memcpy(to, "\\u00", 4) + 4;
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
			continue;
		}
		if (c == '"' || c == '\\')
			*to++ = '\\';
		*to++ = (char) c;
	}
	*to = '"';
	return quoted;
}

/* Put the new document into a version of its own. */
static bool
put_version(Store *store, PseudoAwsError *error)
{
	StringInfoData start;
	char	   *body;

	begin_body(store, &start);
	appendStringInfo(&start, ", \"ClientRequestToken\": \"%s\", \"VersionStages\": [\"pseudo-%s\"], \"SecretString\": ",
					 store->token, store->token);
	body = pseudo_arena_printf(store->aws.arena, "%s%s}", start.data,
							   quote_document(store->aws.arena, &store->new));
	store->labelled = true;
	return store_call(store, "PutSecretValue", body, strlen(body), error) != NULL;
}

/* Move AWSCURRENT from the version that was read, if there was one, to ours. */
static bool
move_current(Store *store, const char *from, PseudoAwsError *error)
{
	StringInfoData body;

	begin_body(store, &body);
	appendStringInfoString(&body, ", \"VersionStage\": \"AWSCURRENT\"");
	if (from)
	{
		appendStringInfoString(&body, ", \"RemoveFromVersionId\": ");
		escape_json(&body, from);
	}
	appendStringInfo(&body, ", \"MoveToVersionId\": \"%s\"}", store->token);
	return store_call(store, "UpdateSecretVersionStage", body.data, body.len, error) != NULL;
}

/* Take our own label away; the version keeps AWSCURRENT where it has it, else AWS deletes it in time. */
static void
remove_label(Store *store)
{
	StringInfoData body;

	begin_body(store, &body);
	appendStringInfo(&body, ", \"VersionStage\": \"pseudo-%s\", \"RemoveFromVersionId\": \"%s\"}",
					 store->token, store->token);
	store->labelled = false;
	give_time(store, CLEANUP_TIME);
	HOLD_INTERRUPTS();
	if (store_call(store, "UpdateSecretVersionStage", body.data, body.len, NULL) == NULL)
		ereport(LOG,
				(errcode(store->failure.sqlstate),
				 errmsg("keyring \"%s\": could not remove the staging label \"pseudo-%s\" from the secret: %s",
						store->aws.options->server, store->token, store->failure.message),
				 errhint("It does no harm; aws secretsmanager update-secret-version-stage removes it.")));
	RESUME_INTERRUPTS();
}

/*
 * Returns true if a version, in the answer of DescribeSecret, has the label AWSCURRENT, or AWSPREVIOUS, which it
 * gets when AWSCURRENT moves on.
 */
static bool
was_current(const PseudoJson *secret, const char *version)
{
	PseudoJson *versions = pseudo_json_field(secret, "VersionIdsToStages");
	PseudoJson *labels = versions ? pseudo_json_field(versions, version) : NULL;

	for (PseudoJson *label = labels ? labels->first : NULL; label; label = label->next)
	{
		if (label->type == PSEUDO_NODE_STRING &&
			(pseudo_span_is(&label->text, "AWSCURRENT") || pseudo_span_is(&label->text, "AWSPREVIOUS")))
			return true;
	}
	return false;
}

/*
 * Ask whether AWSCURRENT has come to our version: whether it was stored in spite of an error.  Where others
 * have stored twice since, nothing tells; then the next round finds the change in what it reads.
 */
static bool
was_stored(Store *store)
{
	StringInfoData body;
	PseudoJson *secret;

	begin_body(store, &body);
	appendStringInfoChar(&body, '}');
	give_time(store, store->aws.options->timeout);
	secret = store_call(store, "DescribeSecret", body.data, body.len, NULL);
	if (secret == NULL)
		pseudo_aws_report(&store->aws, "It is not known whether the change was stored: see pseudo_keyrings after pseudo_refresh_keyring(), before you repeat it.");
	return was_current(secret, store->token);
}

/* Store the new document; returns false where another administrator was faster. */
static bool
swap(Store *store, const char *from)
{
	PseudoAwsError error;

	make_token(store);
	if (!put_version(store, &error))
	{
		if (error.code && strcmp(error.code, "ResourceExistsException") == 0)
			return false;

		/*
		 * A first version is current by itself, also where the answer was
		 * lost.
		 */
		if (from == NULL && store->failure.class == PSEUDO_FAIL_TRANSIENT && was_stored(store))
			return true;
		store->labelled = store->failure.class != PSEUDO_FAIL_REFUSED;
		pseudo_aws_report(&store->aws, NULL);
	}
	if (move_current(store, from, &error))
		return true;
	if (store->failure.class != PSEUDO_FAIL_TRANSIENT &&
		!(error.code && strcmp(error.code, "InvalidParameterException") == 0))
		pseudo_aws_report(&store->aws, NULL);
	return was_stored(store);
}

/* Returns true if two documents are the same. */
static bool
has_same_bytes(const PseudoDocument *a, const PseudoDocument *b)
{
	return a->len == b->len && CRYPTO_memcmp(a->data, b->data, a->len) == 0;
}

/*
 * Read the secret, change it where that is needed, and store it; returns false where it has to be done again.  A
 * request whose answer was lost may take effect late: then the version read is our own.
 */
static bool
play_round(Store *store)
{
	PseudoAwsSecret secret;

	give_time(store, store->aws.options->timeout);
	if (!pseudo_aws_get_secret(&store->aws, &secret))
	{
		if (store->failure.class != PSEUDO_FAIL_EMPTY)
			pseudo_aws_report(&store->aws, NULL);
		memset(&secret.document, 0, sizeof(PseudoDocument));
	}
	if (secret.version && strcmp(secret.version, store->token) == 0)
		return true;
	pseudo_secret_free(store->new.data);
	store->new.data = NULL;
	store->new = store->change(&secret.document, store->arg);
	if (secret.version && has_same_bytes(&store->new, &secret.document))
	{
		strlcpy(store->token, secret.version, sizeof(store->token));
		return true;
	}
	return swap(store, secret.version);
}

/* Play rounds until one is won, ever longer pauses between them. */
static void
play(Store *store)
{
	for (int round = 1;; round++)
	{
		int64		start = pseudo_now_ms();
		bool		won = play_round(store);
		int64		pause;

		if (store->labelled)
			remove_label(store);
		if (won)
			return;
		if (round == MAX_ROUNDS)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("keyring \"%s\": others have changed the secret %d times in the meantime",
							store->aws.options->server, MAX_ROUNDS),
					 errdetail("Nothing was stored."),
					 errhint("Try again.")));
		pause = Max(pseudo_now_ms() - start, MIN_ROUND) << round;
		pseudo_aws_pause((int64) (pg_prng_double(&pg_global_prng_state) * Min(pause, MAX_PAUSE)));
	}
}

/* Clean up after an error, a cancel, or where the session ends in the middle. */
static void
store_clean_up(int code pg_attribute_unused(), Datum arg)
{
	Store	   *store = (Store *) DatumGetPointer(arg);
	MemoryContext old = MemoryContextSwitchTo(store->aws.context);

	pseudo_secret_free(store->new.data);
	store->new.data = NULL;
	if (store->labelled)
		remove_label(store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(store->aws.context);
}

/* See module.h. */
PseudoDocument
pseudo_aws_store(const PseudoOptions *options,
				 PseudoDocument (*change) (const PseudoDocument *old, void *arg),
				 void *arg, char **version)
{
	MemoryContext caller = CurrentMemoryContext;
	const char *stage = pseudo_option(options, "version_stage");
	Store		store = {.change = change, .arg = arg, .failure = pseudo_no_failure()};

	if (stage && strcmp(stage, "AWSCURRENT") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("keyring \"%s\" cannot be changed: it reads the staging label \"%s\"",
						options->server, stage),
				 errhint("Keys are stored under AWSCURRENT: change them by a server without the option \"version_stage\".")));
	pseudo_aws_begin(&store.aws, options, &store.failure);
	PG_ENSURE_ERROR_CLEANUP(store_clean_up, PointerGetDatum(&store));
	{
		MemoryContextSwitchTo(store.aws.context);
		play(&store);
		MemoryContextSwitchTo(caller);
		*version = pstrdup(store.token);
	}
	PG_END_ENSURE_ERROR_CLEANUP(store_clean_up, PointerGetDatum(&store));
	MemoryContextDelete(store.aws.context);
	return store.new;
}
