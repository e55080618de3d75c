/*
 * watch.h
 *		Permission before values are used, and a report at the end: audit,
 *		purpose and limits of a call.
 *
 * A call whose keyring has none of them has no watch.  With one, a value costs
 * a subtraction, until what is permitted is used up.
 */
#ifndef PSEUDO_WATCH_H
#define PSEUDO_WATCH_H

#include "../keyring/audit.h"
#include "../keyring/limits.h"
#include "call.h"
#include "record.h"

/* The roles that matter: see watch.c. */
#define PSEUDO_WATCH_ROLES	5

struct PseudoWatch
{
	int32		left;			/* values that may still be used without
								 * asking */
	bool		opens;			/* pseudonyms, and shows their values */
	bool		with_pseudonyms;	/* each is recorded */
	bool		is_begun;
	PseudoAudit audit;
	PseudoCall *call;
	Oid			called;			/* the function */
	Oid			role;			/* whose rights count */
	Oid			session;		/* who asks; while a SECURITY DEFINER function
								 * runs ... */
	Oid			outer;			/* ... they are not the current user */
	uint64		purpose;		/* pseudo_purpose_generation */
	MemoryContext mcxt;
	MemoryContextCallback callback;

	/* Values of this begin and end; left is given, without those used. */
	int64		given;
	int64		recorded;		/* that records permit */
	int64		taken;			/* of the budgets */
	int64		failed;			/* did not open */
	int64		step;			/* that the last record permitted */

	int			nbudgets;
	PseudoBudget budgets[PSEUDO_WATCH_ROLES];
	char	   *middle;			/* of records, or NULL */
	char	   *line;			/* with room for one */
};

/*
 * Give a call the watch that its keyring (call->serverid) asks for, or none, where it has the rights of
 * a role; called is its function.  What a watch before it has permitted ends.
 */
extern void pseudo_watch_prepare(PseudoCall *call, Oid called, PseudoRight right, Oid role,
								 MemoryContext mcxt);

/* Report what a watch has seen; the next value begins anew.  Does not throw. */
extern void pseudo_watch_end(PseudoWatch *watch);

/* The limit of a role; its max is -1 where it has none. */
extern PseudoRate pseudo_watch_rate(const PseudoLimits *limits, Oid role);

/*
 * What the next two call now and then.  Errors: ERRCODE_INSUFFICIENT_PRIVILEGE without a purpose,
 * ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
 * those of pseudo_audit_write() and pseudo_limits_take().
 */
extern void pseudo_watch_permit(PseudoWatch *watch, int n, text *const *pseudonyms);

/* Take n of what is permitted; returns true if more has to be asked for, or somebody else asks, or for another purpose. */
static inline bool
pseudo_watch_needs_more(PseudoWatch *watch, int n)
{
	/*
	 * Outside of a SECURITY DEFINER function another role is another current
	 * user, which ends the watch, too.
	 */
	if (unlikely(watch->purpose != pseudo_purpose_generation) ||
		(unlikely(InLocalUserIdChange()) &&
		 (watch->session != GetSessionUserId() || watch->outer != GetOuterUserId())))
		pseudo_watch_end(watch);
	return (watch->left -= n) < 0;
}

/* Ask for permission to use n values. */
static inline void
pseudo_watch_use(PseudoCall *call, int n)
{
	PseudoWatch *watch = call->watch;

	if (unlikely(watch != NULL) && unlikely(pseudo_watch_needs_more(watch, n)))
		pseudo_watch_permit(watch, n, NULL);
}

/*
 * Ask for permission to open n pseudonyms and show their values: before they are opened.  NULL stands for one that has
 * not the form, since it may be a value and is not recorded.  Nothing in calls that open them and show nothing.
 */
static inline void
pseudo_watch_open(PseudoCall *call, int n, text *const *pseudonyms)
{
	PseudoWatch *watch = call->watch;

	if (unlikely(watch != NULL) && watch->opens && unlikely(pseudo_watch_needs_more(watch, n)))
		pseudo_watch_permit(watch, n, pseudonyms);
}

/* Of what was permitted to be opened, n did not open, and failed of them will not be tried again. */
static inline void
pseudo_watch_not_opened(PseudoCall *call, int n, int failed)
{
	PseudoWatch *watch = call->watch;

	if (unlikely(watch != NULL) && watch->opens)
	{
		watch->failed += failed;
		if (watch->with_pseudonyms)
			watch->given -= n;	/* the next one is asked for by itself */
		else
			watch->left += n;
	}
}

#endif							/* PSEUDO_WATCH_H */
