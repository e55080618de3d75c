/*
 * failure.c
 *		What went wrong below the cache, as data: it decides whether that is an error.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "failure.h"

/* See failure.h. */
PseudoFailure
pseudo_no_failure(void)
{
	PseudoFailure failure = {.context = CurrentMemoryContext};

	return failure;
}

/*
 * Replace one of a failure's texts by a copy; what it is a copy of may be the
 * text itself.
 */
static void
set_text(const PseudoFailure *failure, char **text, const char *value)
{
	char	   *copy = value ? MemoryContextStrdup(failure->context, value) : NULL;

	if (*text)
		pfree(*text);
	*text = copy;
}

/* See failure.h. */
bool
pseudo_fail(PseudoFailure *failure, PseudoFailureClass class, int sqlstate,
			const char *message, const char *detail, const char *hint)
{
	PseudoFailure old = *failure;	/* its texts may be among the new ones */
	PseudoFailure new = {.context = old.context, .class = class, .sqlstate = sqlstate};

	*failure = new;
	set_text(failure, &failure->message, message);
	set_text(failure, &failure->detail, detail);
	set_text(failure, &failure->hint, hint);
	set_text(&old, &old.message, NULL);
	set_text(&old, &old.detail, NULL);
	set_text(&old, &old.hint, NULL);
	return false;
}

/* See failure.h. */
void
pseudo_failure_detail(PseudoFailure *failure, const char *detail)
{
	set_text(failure, &failure->detail, detail);
}

/* See failure.h. */
void
pseudo_failure_hint(PseudoFailure *failure, const char *hint)
{
	set_text(failure, &failure->hint, hint);
}
