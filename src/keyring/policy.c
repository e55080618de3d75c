/*
 * policy.c
 *		The options of a keyring's server that say what is recorded, and how
 *		much may be used.
 *
 * They are the owner's, need no right of a provider's, and do not make
 * another keyring of it.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "policy.h"

#define WHITE_SPACE	" \t\n\r\f\v"

const char *const pseudo_policy_options[] = {
	"audit", "audit_pseudonyms", "purpose",
	"pseudonymize_limit", "pseudonymize_limits", "reidentify_limit", "reidentify_limits", NULL
};

static const struct
{
	const char *name;
	int32		seconds;
}			units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};

/* See policy.h. */
const char *
pseudo_rate_unit(int32 seconds)
{
	for (int i = 0; i < (int) lengthof(units); i++)
	{
		if (units[i].seconds == seconds)
			return units[i].name;
	}
	return "?";
}

/* Report an option's value, with what it should be. */
static void
__attribute__((noreturn))
report_policy(const DefElem *def, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", def->defname),
			 errhint("%s", hint)));
}

/* Pass by white space. */
static void
pass_space(const char **s)
{
	*s += strspn(*s, WHITE_SPACE);
}

/* Read a rate such as "1000/h" or "off"; returns false where there is none. */
static bool
read_rate(const char **s, PseudoRate *rate)
{
	const char *start;
	size_t		len;

	rate->max = -1;
	rate->seconds = 0;
	if (strncmp(*s, "off", 3) == 0)
	{
		*s += 3;
		return true;
	}
	start = *s;
	for (rate->max = 0; **s >= '0' && **s <= '9'; (*s)++)
	{
		rate->max = rate->max * 10 + (**s - '0');
		if (rate->max > PSEUDO_RATE_MAX)
			return false;
	}
	if (*s == start)
		return false;
	pass_space(s);
	if (*(*s)++ != '/')
		return false;
	pass_space(s);
	len = strspn(*s, "abcdefghijklmnopqrstuvwxyz");
	for (int i = 0; i < (int) lengthof(units); i++)
	{
		if (len == strlen(units[i].name) && strncmp(*s, units[i].name, len) == 0)
			rate->seconds = units[i].seconds;
	}
	*s += len;
	return rate->seconds > 0;
}

/* Read the name of a role up to the equals sign, as SQL would read it; NULL where there is none. */
static char *
read_role(const char **s)
{
	char	   *name = palloc(strlen(*s) + 1);
	char	   *end = name;
	const char *start = *s;

	if (**s != '"')
	{
		*s += strcspn(*s, "=,\"" WHITE_SPACE);
		return *s == start ? NULL : downcase_truncate_identifier(start, *s - start, false);
	}
	for ((*s)++; **s && !(**s == '"' && (*s)[1] != '"'); (*s)++)
	{
		if (**s == '"')
			(*s)++;
		*end++ = **s;
	}
	if (**s != '"' || end == name)
		return NULL;
	(*s)++;
	*end = '\0';
	return name;
}

/* Returns true if a list has a role. */
static bool
has_role(List *named, const char *role)
{
	ListCell   *cell;

	foreach(cell, named)
	{
		if (strcmp(((PseudoRoleRate *) lfirst(cell))->role, role) == 0)
			return true;
	}
	return false;
}

/* Read one rate, for all roles. */
static PseudoRate
read_limit(DefElem *def)
{
	const char *s = defGetString(def);
	PseudoRate	rate;

	pass_space(&s);
	if (!read_rate(&s, &rate) || s[strspn(s, WHITE_SPACE)] != '\0')
		report_policy(def, "Give a number of values and a unit of s, min, h or d, such as \"1000/h\", or \"off\".");
	return rate;
}

/* Read the rates of roles. */
static List *
read_limits(DefElem *def)
{
	static const char hint[] = "Give roles with their limits, such as \"desk=200/h, officer=off\".";
	const char *s = defGetString(def);
	List	   *named = NIL;

	do
	{
		PseudoRoleRate *entry = palloc(sizeof(PseudoRoleRate));

		pass_space(&s);
		entry->role = read_role(&s);
		pass_space(&s);
		if (entry->role == NULL || *s++ != '=')
			report_policy(def, hint);
		pass_space(&s);
		if (!read_rate(&s, &entry->rate) || has_role(named, entry->role))
			report_policy(def, hint);
		pass_space(&s);
		named = lappend(named, entry);
	} while (*s++ == ',');
	if (s[-1] != '\0')
		report_policy(def, hint);
	return named;
}

/* Read where it is recorded. */
static PseudoAudit
read_audit(DefElem *def)
{
	static const char *const levels[] = {"off", "log", "wal", "file"};

	for (int i = 0; i < (int) lengthof(levels); i++)
	{
		if (strcmp(defGetString(def), levels[i]) == 0)
			return (PseudoAudit) i;
	}
	report_policy(def, "Valid values are \"off\", \"log\", \"wal\" and \"file\".");
}

/* Read whether a purpose is needed. */
static bool
read_purpose(DefElem *def)
{
	const char *value = defGetString(def);

	if (strcmp(value, "required") != 0 && strcmp(value, "optional") != 0)
		report_policy(def, "Valid values are \"required\" and \"optional\".");
	return strcmp(value, "required") == 0;
}

/* Read a boolean. */
static bool
read_bool(DefElem *def)
{
	bool		value;

	if (!parse_bool(defGetString(def), &value))
		report_policy(def, "Valid values are \"true\" and \"false\".");
	return value;
}

/* See policy.h. */
void
pseudo_policy_read(PseudoPolicy *policy, List *list)
{
	ListCell   *cell;

	memset(policy, 0, sizeof(*policy));
	for (int use = 0; use < PSEUDO_USES; use++)
		policy->limits[use].each.max = -1;
	foreach(cell, list)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "audit") == 0)
			policy->audit = read_audit(def);
		else if (strcmp(def->defname, "audit_pseudonyms") == 0)
			policy->with_pseudonyms = read_bool(def);
		else if (strcmp(def->defname, "purpose") == 0)
			policy->needs_purpose = read_purpose(def);
		else if (strcmp(def->defname, "pseudonymize_limit") == 0)
			policy->limits[PSEUDO_USE_PSEUDONYMIZE].each = read_limit(def);
		else if (strcmp(def->defname, "pseudonymize_limits") == 0)
			policy->limits[PSEUDO_USE_PSEUDONYMIZE].named = read_limits(def);
		else if (strcmp(def->defname, "reidentify_limit") == 0)
			policy->limits[PSEUDO_USE_REIDENTIFY].each = read_limit(def);
		else if (strcmp(def->defname, "reidentify_limits") == 0)
			policy->limits[PSEUDO_USE_REIDENTIFY].named = read_limits(def);
	}
}

/* See policy.h. */
bool
pseudo_policy_is_limited(const PseudoPolicy *policy, PseudoUse use)
{
	const PseudoLimits *limits = &policy->limits[use];
	ListCell   *cell;

	foreach(cell, limits->named)
	{
		if (((PseudoRoleRate *) lfirst(cell))->rate.max >= 0)
			return true;
	}
	return limits->each.max >= 0;
}
