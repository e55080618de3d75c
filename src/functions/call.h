/*
 * call.h
 *		What every SQL function that uses keys does first: rights, keyring and
 *		arguments, looked up once per plan node and user and not per row.
 */
#ifndef PSEUDO_CALL_H
#define PSEUDO_CALL_H

#include "postgres.h"

#include "fmgr.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "../compat.h"
#include "../keyring/cache.h"
#include "../keyring/derived.h"
#include "role.h"

/* The two rights: EXECUTE on one of these functions. */
typedef enum PseudoRight
{
	PSEUDO_RIGHT_PSEUDONYMIZE,
	PSEUDO_RIGHT_REIDENTIFY
} PseudoRight;

#define PSEUDO_LAST_LEN	256		/* bytes */

/*
 * The last argument where it is short, and its result once it has come again: from then on an equal one
 * costs a comparison.  Values that differ cost no copy of their results.
 */
typedef struct PseudoLast
{
	bool		is_again;		/* did the argument come twice or more in a
								 * row? */
	size_t		in_len;			/* bytes; more than there is room for: none */
	size_t		out_len;		/* likewise */
	char		in[PSEUDO_LAST_LEN];
	char		out[PSEUDO_LAST_LEN];
} PseudoLast;

/* What a keyring's owner asks of a call: see watch.h. */
typedef struct PseudoWatch PseudoWatch;

/*
 * What a call site has learned, kept in fn_extra.  Holds no key material: nonce keys of
 * contexts stay in the keyring's secret memory.
 */
typedef struct PseudoCall
{
	/* It holds while these hold ... */
	uint64		generation;
	Oid			userid;
	TimestampTz statement;		/* its start: the next one looks again */
	bool		constant;		/* context and keyring are constants of the
								 * plan */
	/* ... and the arguments are these (as in the server encoding). */
	text	   *context_arg;
	text	   *keyring_arg;

	PseudoRole	role;			/* whose rights count; see role.h */
	Oid			serverid;
	PseudoCount *count;			/* for this keyring, and whose rights count */
	PseudoWatch *watch;			/* NULL: nothing is recorded or limited */
	PseudoWatch *kept_watch;	/* the same, or one for when something is
								 * again */
	PseudoKeyring *keyring;
	char	   *context_utf8;	/* context_arg converted, where it has to be */
	uint8	   *context;		/* in UTF-8: the AAD */
	size_t		context_len;	/* bytes */
	PseudoDerivedKey *derived;	/* slot of the nonce key of a key in this
								 * context, the last one asked for */
	uint64		derived_serial;
	PseudoLast *last;			/* NULL until there was one */
} PseudoCall;

/*
 * The state of this call.  context_no and keyring_no are the numbers of these arguments.
 * Errors: 22004 for a NULL one, 42501, 42704, and the provider's.
 */
extern PseudoCall *pseudo_call_prepare(FunctionCallInfo fcinfo, PseudoRight right,
									   int context_no, int keyring_no);

/* The same where nothing has changed since the last row; inlined for its sake. */
static inline PseudoCall *
pseudo_call(FunctionCallInfo fcinfo, PseudoRight right, int context_no, int keyring_no)
{
	PseudoCall *call = fcinfo->flinfo->fn_extra;

	if (likely(call != NULL && call->constant &&
			   call->generation == pseudo_generation &&
			   call->userid == GetUserId() &&
			   call->statement == GetCurrentStatementStartTimestamp()))
		return call;
	return pseudo_call_prepare(fcinfo, right, context_no, keyring_no);
}

/* Make the state of a call whose first argument says whose rights count.  Errors: 0A000, 22004. */
extern void pseudo_call_begin_as(FmgrInfo *flinfo);

/* pseudo_call() for a function whose first argument is a pseudo_role. */
static inline PseudoCall *
pseudo_call_as(FunctionCallInfo fcinfo, PseudoRight right, int context_no, int keyring_no)
{
	if (unlikely(fcinfo->flinfo->fn_extra == NULL))
		pseudo_call_begin_as(fcinfo->flinfo);
	return pseudo_call(fcinfo, right, context_no, keyring_no);
}

/* The result that an argument had as the last one, palloc'ed, or NULL. */
static inline text *
pseudo_call_last(PseudoCall *call, const text *in)
{
	PseudoLast *last = call->last;
	size_t		in_len = VARSIZE_ANY_EXHDR(in);
	text	   *out;

	if (last == NULL)
		return NULL;
	last->is_again = last->in_len == in_len && memcmp(last->in, VARDATA_ANY(in), in_len) == 0;
	if (!last->is_again)
	{
		last->in_len = in_len;
		last->out_len = SIZE_MAX;

		/*
		 * By a call: of memcpy the compiler, which sees that it is short,
		 * makes a "rep movsq" of 20 ns.
		 */
		if (in_len <= PSEUDO_LAST_LEN)
			memmove(last->in, VARDATA_ANY(in), in_len);
		else
			last->in_len = SIZE_MAX;
		return NULL;
	}
	if (last->out_len == SIZE_MAX)
		return NULL;
	out = palloc(VARHDRSZ + last->out_len);
	SET_VARSIZE(out, VARHDRSZ + last->out_len);
	memcpy(VARDATA(out), last->out, last->out_len);
	return out;
}

/*
 * Keep the result of the argument that pseudo_call_last() had none for, if that came again; it depends on
 * nothing but the argument and what the call has learned.  The memory is allocated in mcxt.
 */
extern void pseudo_call_keep_last(PseudoCall *call, const text *out, MemoryContext mcxt);

/*
 * Prepare a call that does not come from SQL, such as the trigger's, with the rights of a role.  called is
 * a function in the schema of the extension; what is kept is allocated in mcxt.
 * Errors: 42501, 42704, and the provider's.
 */
extern void pseudo_call_prepare_role(PseudoCall *call, Oid roleid, Oid called, PseudoRight right,
									 text *context, text *keyring, MemoryContext mcxt);

/* Look the keyring up again, because another call may have loaded it anew. */
extern void pseudo_call_renew(PseudoCall *call);

/* The nonce key of a key of the keyring in the call's context; good until this is called again. */
extern const pseudo_nonce_key *pseudo_call_nonce_key(PseudoCall *call, const PseudoKey *key);

/* Report that an argument is NULL that must not be.  Errors: 22004. */
extern void pseudo_report_null(const char *name) __attribute__((noreturn));

/* Returns true if the database's encoding differs from UTF-8 in a way that can be converted. */
extern bool pseudo_encoding_converts(void);

/*
 * Convert len bytes between the server encoding and UTF-8; returns palloc'ed bytes, *out_len long.
 * Errors: 22P05 where a character has no equivalent, or to UTF-8, where it would come back as another one
 * (it is not shown).
 */
extern char *pseudo_to_utf8(const char *s, size_t len, size_t *out_len);
extern char *pseudo_from_utf8(const char *s, size_t len, size_t *out_len);

/*
 * Bytes of a text in UTF-8, as they are where nothing is converted; NULL where that cannot be done, or would not come
 * back, and so has no pseudonym.
 */
extern const char *pseudo_try_to_utf8(const char *s, size_t *len);

#endif							/* PSEUDO_CALL_H */
