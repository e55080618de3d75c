/*
 * policy.h
 *		The options of a keyring's server that say what is recorded, and how
 *		much may be used.
 */
#ifndef PSEUDO_POLICY_H
#define PSEUDO_POLICY_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Where it is recorded that pseudonyms were opened; a later one asks for more. */
typedef enum PseudoAudit
{
	PSEUDO_AUDIT_OFF,
	PSEUDO_AUDIT_LOG,			/* the server's log */
	PSEUDO_AUDIT_WAL,			/* a logical message */
	PSEUDO_AUDIT_FILE			/* a file of the server */
} PseudoAudit;

/* The two uses of a keyring, each with limits of its own. */
typedef enum PseudoUse
{
	PSEUDO_USE_PSEUDONYMIZE,
	PSEUDO_USE_REIDENTIFY,
	PSEUDO_USES
} PseudoUse;

#define PSEUDO_RATE_MAX	INT64CONST(1000000000000)	/* values */

/* So many values in a time; max is -1 where there is no limit. */
typedef struct PseudoRate
{
	int64		max;
	int32		seconds;
} PseudoRate;

/* The rate of a role that is named. */
typedef struct PseudoRoleRate
{
	char	   *role;
	PseudoRate	rate;
} PseudoRoleRate;

/* The limits of a use. */
typedef struct PseudoLimits
{
	PseudoRate	each;			/* of each role that is not named */
	List	   *named;			/* of PseudoRoleRate * */
} PseudoLimits;

typedef struct PseudoPolicy
{
	PseudoAudit audit;
	bool		with_pseudonyms;
	bool		needs_purpose;
	PseudoLimits limits[PSEUDO_USES];
} PseudoPolicy;

/* The names of these options, NULL at the end. */
extern const char *const pseudo_policy_options[];

/*
 * Read them out of a server's options; others are left alone.  What it has is
 * palloc'ed.  Errors: ERRCODE_INVALID_PARAMETER_VALUE.
 */
extern void pseudo_policy_read(PseudoPolicy *policy, List *list);

/* Returns true if a use has limits. */
extern bool pseudo_policy_is_limited(const PseudoPolicy *policy, PseudoUse use);

/* What a unit of so many seconds is called: "s", "min", "h", "d". */
extern const char *pseudo_rate_unit(int32 seconds);

#endif							/* PSEUDO_POLICY_H */
