/*
 * watch.c
 *		Permission before values are used, and a report at the end: audit,
 *		purpose and limits of a call.
 *
 * A watch begins with a value.  It asks for permission, to use one value at first and then
 * more at a time: by a record of how many may be opened up to now, and by
 * taking that many from what limits leave.  It ends with its call: when the next
 * statement begins, somebody else asks (SET ROLE within a statement), or the memory of the call goes, however that
 * comes about.  Then it
 * gives back what was taken and not used, and records how many were opened.
 *
 * A value is charged to every role that could have got it in another way: to the one that
 * logged in, those of SET SESSION AUTHORIZATION and SET ROLE, the current one (which is that of a SECURITY DEFINER
 * function), and the one whose rights the call has.  So to change the role adds roles, and takes none away.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "../keyring/audit_json.h"
#include "../keyring/shared.h"
#include "watch.h"

/* Values that are permitted at once: 1, 64, 4,096, and more where they are only recorded. */
#define FIRST_STEPS		64		/* times as many */
#define TAKEN_MAX		4096
#define LATER_STEPS		8		/* times as many */
#define RECORDED_MAX	2097152

#define KNOWN_MAX		16		/* keyrings that a session remembers */

/* What a keyring's owner asks for; it holds while pseudo_generation stays. */
typedef struct Known
{
	Oid			serverid;
	uint64		generation;		/* 0: nothing is known */
	MemoryContext mcxt;			/* of what follows, or NULL */
	PseudoPolicy policy;
	bool		is_limited[PSEUDO_USES];
	bool		is_plain[PSEUDO_USES];	/* nothing is asked for */
	uint8		digest[PSEUDO_SHARED_DIGEST];
	char	   *keyring;
} Known;

static Known known_policies[KNOWN_MAX];

/* ---- What a keyring asks for ---- */

/* Read it, after a change. */
static void
read_known(Known *known)
{
	uint64		generation = pseudo_generation;
	ForeignServer *server;
	MemoryContext caller;

	known->generation = 0;		/* until all is done */
	server = GetForeignServer(known->serverid);
	if (known->mcxt)
		MemoryContextDelete(known->mcxt);
	known->mcxt = NULL;
	known->mcxt = AllocSetContextCreate(TopMemoryContext, "pseudo policy", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(known->mcxt);
	pseudo_policy_read(&known->policy, server->options);
	known->keyring = pstrdup(server->servername);
	for (int use = 0; use < PSEUDO_USES; use++)
	{
		known->is_limited[use] = pseudo_policy_is_limited(&known->policy, use);
		known->is_plain[use] = !known->is_limited[use];
		if (known->is_limited[use])
			pseudo_shared_make_digest(known->digest, pseudo_options_identity(server->options));
	}
	MemoryContextSwitchTo(caller);
	known->is_plain[PSEUDO_USE_REIDENTIFY] &= known->policy.audit == PSEUDO_AUDIT_OFF &&
		!known->policy.needs_purpose &&
		(pseudo_limits_are_on() || !known->is_limited[PSEUDO_USE_PSEUDONYMIZE]);
	if (known->policy.audit != PSEUDO_AUDIT_OFF)
		EnableQueryId();		/* from the next statement on */
	known->generation = generation;
}

/* What a keyring asks for; good until this is called again. */
static Known *
get_known(Oid serverid)
{
	static Known *last = &known_policies[0];
	static int	next = 0;

	if (likely(last->serverid == serverid && last->generation == pseudo_generation))
		return last;
	for (int i = 0; i < KNOWN_MAX; i++)
	{
		if (known_policies[i].serverid == serverid)
		{
			last = &known_policies[i];
			if (last->generation != pseudo_generation)
				read_known(last);
			return last;
		}
	}
	last = &known_policies[next];
	next = (next + 1) % KNOWN_MAX;
	last->generation = 0;
	last->serverid = serverid;
	read_known(last);
	return last;
}

/* The use that a right is for. */
static PseudoUse
use_of(PseudoRight right)
{
	return right == PSEUDO_RIGHT_REIDENTIFY ? PSEUDO_USE_REIDENTIFY : PSEUDO_USE_PSEUDONYMIZE;
}

/* Memory context callback: the call is over. */
static void
call_ends(void *arg)
{
	pseudo_watch_end(arg);
}

/* See watch.h. */
void
pseudo_watch_prepare(PseudoCall *call, Oid called, PseudoRight right, Oid role, MemoryContext mcxt)
{
	Known	   *known = get_known(call->serverid);
	PseudoUse	use = use_of(right);
	bool		opens = use == PSEUDO_USE_REIDENTIFY;
	PseudoWatch *watch = call->kept_watch;

	if (watch)
		pseudo_watch_end(watch);
	call->watch = NULL;
	if (likely(known->is_plain[use] && !(opens && pseudo_audit_least != PSEUDO_AUDIT_OFF)))
		return;
	if (watch == NULL)
	{
		watch = MemoryContextAllocZero(mcxt, sizeof(PseudoWatch));
		watch->mcxt = mcxt;
		watch->callback.func = call_ends;
		watch->callback.arg = watch;
		MemoryContextRegisterResetCallback(mcxt, &watch->callback);
		call->kept_watch = watch;
	}
	watch->call = call;
	watch->called = called;
	watch->role = role;
	watch->opens = opens;
	watch->audit = opens ? Max(known->policy.audit, (PseudoAudit) pseudo_audit_least) : PSEUDO_AUDIT_OFF;
	watch->with_pseudonyms = watch->audit != PSEUDO_AUDIT_OFF && known->policy.with_pseudonyms;
	call->watch = watch;
}

/* ---- The beginning ---- */

/* Check that there is what the keyring asks for. */
static void
check_possible(const PseudoWatch *watch, const Known *known)
{
	bool		has_limit = known->is_limited[PSEUDO_USE_PSEUDONYMIZE] ||
		(watch->opens && known->is_limited[PSEUDO_USE_REIDENTIFY]);

	if ((has_limit && !pseudo_limits_are_on()) || pseudo_record_is_impossible(watch->audit))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("keyring \"%s\" has a limit or a durable audit, and pseudo is not preloaded", known->keyring),
				 errhint("Add pseudo to shared_preload_libraries, and restart the server.")));
}

/* Record that something was refused, where that can be done. */
static void
record_refusal(PseudoWatch *watch, const char *why)
{
	if (watch->middle)
		pseudo_audit_write_late(watch->audit, watch->line,
								pseudo_record_line(watch->line, "refused", watch->middle, why));
}

/* Check that there is a purpose, where one is needed. */
static void
check_purposeful(PseudoWatch *watch, const Known *known)
{
	if (!watch->opens || !known->policy.needs_purpose || pseudo_record_has_purpose())
		return;
	record_refusal(watch, ",\"reason\":\"purpose\"");
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("keyring \"%s\" opens nothing without a purpose", known->keyring),
			 errhint("Say why with SET pseudo.purpose = '...'.")));
}

/* Returns true if a rate leaves less than another. */
static bool
is_stricter(PseudoRate a, PseudoRate b)
{
	return a.max >= 0 && (b.max < 0 || a.max / (double) a.seconds < b.max / (double) b.seconds);
}

/*
 * See watch.h.  A role that is named and does not exist may have been renamed: its limit holds for all
 * that are not named, or to be renamed would be to be free.
 */
PseudoRate
pseudo_watch_rate(const PseudoLimits *limits, Oid role)
{
	PseudoRate	rate = limits->each;
	ListCell   *cell;

	foreach(cell, limits->named)
	{
		PseudoRoleRate *entry = lfirst(cell);
		Oid			named = get_role_oid(entry->role, true);

		if (named == role)
			return entry->rate;
		if (!OidIsValid(named) && is_stricter(entry->rate, rate))
			rate = entry->rate;
	}
	return rate;
}

/* Find the limits that are charged. */
static void
find_budgets(PseudoWatch *watch, const Known *known)
{
	PseudoUse	use = watch->opens ? PSEUDO_USE_REIDENTIFY : PSEUDO_USE_PSEUDONYMIZE;
	Oid			roles[PSEUDO_WATCH_ROLES] = {
		GetAuthenticatedUserId(), GetSessionUserId(), GetOuterUserId(), GetUserId(), watch->role
	};

	watch->nbudgets = 0;
	for (int i = 0; known->is_limited[use] && i < PSEUDO_WATCH_ROLES; i++)
	{
		PseudoRate	rate = pseudo_watch_rate(&known->policy.limits[use], roles[i]);
		PseudoBudget *budget = &watch->budgets[watch->nbudgets];
		bool		is_known = false;

		for (int j = 0; j < i; j++)
			is_known |= roles[j] == roles[i];
		if (is_known || rate.max < 0)
			continue;
		memset(budget, 0, sizeof(*budget));
		memcpy(budget->key.digest, known->digest, sizeof(budget->key.digest));
		budget->key.role = roles[i];
		budget->key.use = use;
		budget->key.seconds = rate.seconds;
		budget->max = rate.max;
		budget->row = -1;
		watch->nbudgets++;
	}
}

/* Make what records have in common. */
static void
make_middle(PseudoWatch *watch, const Known *known)
{
	PseudoCall *call = watch->call;
	PseudoSubject subject = {
		.keyring = known->keyring,
		.fingerprint = call->keyring->primary->fingerprint,
		.as_role = call->role.oid,
		.context = (char *) call->context,
		.context_len = call->context_len,
		.function = get_func_name(watch->called)
	};
	char	   *middle = pseudo_record_middle(&subject);
	size_t		len = strlen(middle);

	if (watch->middle)
		pfree(watch->middle);
	watch->middle = NULL;
	watch->middle = MemoryContextAlloc(watch->mcxt, 2 * (len + 1) + PSEUDO_RECORD_ROOM + PSEUDO_RECORD_MORE);
	memcpy(watch->middle, middle, len + 1);
	watch->line = watch->middle + len + 1;
	pfree(middle);
}

/* The first value. */
static void
begin_watch(PseudoWatch *watch)
{
	Known	   *known = get_known(watch->call->serverid);

	watch->session = GetSessionUserId();
	watch->outer = GetOuterUserId();
	watch->purpose = pseudo_purpose_generation;
	check_possible(watch, known);
	if (watch->audit != PSEUDO_AUDIT_OFF)
		make_middle(watch, known);
	check_purposeful(watch, known);
	find_budgets(watch, known);
	watch->is_begun = true;
}

/* ---- More values ---- */

/* Report that a limit is reached. */
static void
report_limit(PseudoWatch *watch, const PseudoBudget *budget, int64 n, TimestampTz until)
{
	record_refusal(watch, ",\"reason\":\"limit\"");
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("role \"%s\" has reached the limit of keyring \"%s\"",
					GetUserNameFromId(budget->key.role, false), get_known(watch->call->serverid)->keyring),
			 watch->opens ?
			 errdetail("The limit is %lld pseudonyms to be opened per %s.", (long long) budget->max,
					   pseudo_rate_unit(budget->key.seconds)) :
			 errdetail("The limit is %lld values to be pseudonymized per %s.", (long long) budget->max,
					   pseudo_rate_unit(budget->key.seconds)),
			 n > budget->max ?
			 errhint("This asks for %lld at once.", (long long) n) :
			 errhint("It begins anew at %s.", timestamptz_to_str(until))));
}

/* Take from the limits, so that used values are taken in all. */
static void
take_values(PseudoWatch *watch, int64 used)
{
	int64		need = used - watch->taken;
	int64		want = watch->taken == 0 ? 1 : Min(watch->taken * FIRST_STEPS, TAKEN_MAX);
	int			short_of = 0;
	TimestampTz until = 0;
	int64		taken = pseudo_limits_take(watch->budgets, watch->nbudgets, need, want, &short_of, &until);

	if (taken == 0)
		report_limit(watch, &watch->budgets[short_of], need, until);
	watch->taken += taken;
}

/* The JSON of pseudonyms that are about to be opened; null for NULL. */
static char *
list_pseudonyms(int n, text *const *pseudonyms, int64 upto)
{
	StringInfoData json;
	bool		is_whole = true;

	initStringInfo(&json);
	appendStringInfo(&json, ",\"up_to\":" INT64_FORMAT ",\"pseudonyms\":[", upto);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		if (pseudonyms[i])
			is_whole &= pseudo_audit_json_utf8(&json, VARDATA_ANY(pseudonyms[i]), VARSIZE_ANY_EXHDR(pseudonyms[i]));
		else
			appendStringInfoString(&json, "null");
	}
	appendStringInfoString(&json, is_whole ? "]" : "],\"pseudonyms_truncated\":true");
	return json.data;
}

/* Record that n pseudonyms may be opened, and with them as many as upto in all. */
static void
record_permission(PseudoWatch *watch, int n, text *const *pseudonyms, int64 upto)
{
	const char *event = watch->recorded == 0 ? "begin" : "permit";
	char		more[PSEUDO_RECORD_MORE];
	char	   *list;
	char	   *line;

	if (watch->with_pseudonyms)
	{
		list = list_pseudonyms(n, pseudonyms, upto);
		line = palloc(strlen(watch->middle) + strlen(list) + PSEUDO_RECORD_ROOM);
		pseudo_audit_write(watch->audit, line, pseudo_record_line(line, event, watch->middle, list));
		pfree(line);
		pfree(list);
		return;
	}
	snprintf(more, sizeof(more), ",\"up_to\":" INT64_FORMAT, upto);
	pseudo_audit_write(watch->audit, watch->line, pseudo_record_line(watch->line, event, watch->middle, more));
}

/* How many may be opened in all once used are, by the next record. */
static int64
next_record(PseudoWatch *watch, int64 used)
{
	if (watch->with_pseudonyms)
		return used;
	watch->step = watch->step == 0 ? 1 :
		watch->step < TAKEN_MAX ? watch->step * FIRST_STEPS : Min(watch->step * LATER_STEPS, RECORDED_MAX);
	return Max(used, watch->recorded + watch->step);
}

/* Let so many be used in all. */
static void
permit_values(PseudoWatch *watch, int64 used, int n, text *const *pseudonyms)
{
	int64		given = used + PG_INT32_MAX / 2;

	if (!watch->is_begun)
		begin_watch(watch);
	if (watch->nbudgets > 0)
	{
		if (watch->taken < used)
			take_values(watch, used);
		given = Min(given, watch->taken);
	}
	if (watch->audit != PSEUDO_AUDIT_OFF)
	{
		if (watch->recorded < used || watch->with_pseudonyms)
		{
			int64		upto = next_record(watch, used);

			record_permission(watch, n, pseudonyms, upto);
			watch->recorded = upto;
		}
		given = Min(given, watch->recorded);
	}
	if (watch->with_pseudonyms)
		given = used;
	watch->given = given;
	watch->left = (int32) (given - used);
}

/* See watch.h. */
void
pseudo_watch_permit(PseudoWatch *watch, int n, text *const *pseudonyms)
{
	watch->left += n;			/* as it was; it stays so where this fails */
	permit_values(watch, watch->given - watch->left + n, n, pseudonyms);
}

/* ---- The end ---- */

/* See watch.h. */
void
pseudo_watch_end(PseudoWatch *watch)
{
	int64		used = watch->given - watch->left;
	char		more[PSEUDO_RECORD_MORE];

	pseudo_limits_give_back(watch->budgets, watch->nbudgets, watch->taken - used);
	if (watch->recorded > 0 && !(watch->recorded == 1 && used == 1 && watch->failed == 0))
	{
		snprintf(more, sizeof(more), ",\"opened\":" INT64_FORMAT ",\"failed\":" INT64_FORMAT,
				 used, watch->failed);
		pseudo_audit_write_late(watch->audit, watch->line,
								pseudo_record_line(watch->line, "end", watch->middle, more));
	}
	watch->left = 0;
	watch->given = watch->recorded = watch->taken = watch->failed = watch->step = 0;
	watch->nbudgets = 0;
	watch->is_begun = false;
}
