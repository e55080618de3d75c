/*
 * record.c
 *		Audit records: who does what, from where, and why.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "common/ip.h"
#include "libpq/pqcomm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "../compat.h"
#include "../keyring/audit_json.h"
#include "record.h"

#define PURPOSE_MAX	200			/* characters */

uint64		pseudo_purpose_generation = 0;

static char *purpose = NULL;

/* Check hook.  What a connection asks for has not been checked to be text. */
static bool
check_purpose(char **value, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	int			len = pg_verify_mbstr_len(GetDatabaseEncoding(), *value, strlen(*value), true);

	if (len >= 0 && len <= PURPOSE_MAX)
		return true;
	GUC_check_errdetail("A purpose is text of at most %d characters.", PURPOSE_MAX);
	return false;
}

/* Assign hook: what was permitted for another purpose is over. */
static void
assign_purpose(const char *value pg_attribute_unused(), void *extra pg_attribute_unused())
{
	pseudo_purpose_generation++;
}

/* See record.h. */
void
pseudo_record_init(void)
{
	DefineCustomStringVariable("pseudo.purpose",
							   "Why pseudonyms are opened, for the audit records: a ticket, for example.",
							   NULL, &purpose, "", PGC_USERSET, 0,
							   check_purpose, assign_purpose, NULL);
}

/* See record.h. */
bool
pseudo_record_has_purpose(void)
{
	return purpose[strspn(purpose, " \t\n\r\f\v")] != '\0';
}

/* See record.h. */
bool
pseudo_record_is_impossible(PseudoAudit audit)
{
	return audit >= PSEUDO_AUDIT_WAL && !pseudo_audit_is_on();
}

/* A text that is put into a record, and the names of those that were cut. */
typedef struct Middle
{
	StringInfoData json;
	StringInfoData cut;
} Middle;

/* Note that a text was cut. */
static void
note_cut(Middle *middle, const char *name, bool is_whole)
{
	if (!is_whole)
		appendStringInfo(&middle->cut, "%s\"%s\"", middle->cut.len > 0 ? "," : "", name);
}

/* Add a text in the server encoding, or null. */
static void
add_text(Middle *middle, const char *name, const char *value)
{
	appendStringInfo(&middle->json, ",\"%s\":", name);
	note_cut(middle, name, pseudo_audit_json_text(&middle->json, value));
}

/* Add the name of a role, or null. */
static void
add_role(Middle *middle, const char *name, Oid role)
{
	add_text(middle, name, OidIsValid(role) ? GetUserNameFromId(role, true) : NULL);
}

/* Add the process, and what it does. */
static void
add_process(Middle *middle)
{
	PGPROC	   *leader = MyProc->lockGroupLeader;
	int64		query_id = (int64) pgstat_get_my_query_id();
	char		time[PSEUDO_AUDIT_TIME];

	appendStringInfo(&middle->json, ",\"pid\":%d", MyProcPid);
	if (IsParallelWorker() && leader)
		appendStringInfo(&middle->json, ",\"leader_pid\":%d", leader->pid);
	else
		appendStringInfoString(&middle->json, ",\"leader_pid\":null");
	pseudo_audit_json_time(time, GetCurrentStatementStartTimestamp());
	appendStringInfo(&middle->json, ",\"statement_at\":\"%s\",\"query_id\":", time);
	if (query_id != 0)
		appendStringInfo(&middle->json, INT64_FORMAT, query_id);
	else
		appendStringInfoString(&middle->json, "null");
}

/* Add the address of the client, or null for a process that has none. */
static void
add_client(Middle *middle)
{
	SockAddr   *address = MyBEEntry ? &MyBEEntry->st_clientaddr : NULL;
	char		host[NI_MAXHOST];

	if (address == NULL || address->salen == 0)
		add_text(middle, "client", NULL);
	else if (address->addr.ss_family == AF_UNIX ||
			 pg_getnameinfo_all(&address->addr, address->salen, host, sizeof(host), NULL, 0,
								NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		add_text(middle, "client", "[local]");
	else
		add_text(middle, "client", host);
}

/* See record.h. */
char *
pseudo_record_middle(const PseudoSubject *subject)
{
	static uint32 number = 0;
	Middle		middle;

	initStringInfo(&middle.json);
	initStringInfo(&middle.cut);
	appendStringInfo(&middle.json, ",\"call\":\"%llx.%x.%x\"",
					 (unsigned long long) MyStartTime, (unsigned) MyProcPid, (unsigned) ++number);
	add_text(&middle, "database", get_database_name(MyDatabaseId));
	add_role(&middle, "authenticated_user", GetAuthenticatedUserId());
	add_role(&middle, "session_user", GetSessionUserId());
	add_role(&middle, "role", GetOuterUserId());
	add_role(&middle, "current_user", GetUserId());
	add_role(&middle, "as_role", subject->as_role);
	add_text(&middle, "application_name", application_name);
	add_client(&middle);
	add_process(&middle);
	add_text(&middle, "keyring", subject->keyring);
	add_text(&middle, "fingerprint", subject->fingerprint);
	if (subject->context)
	{
		appendStringInfoString(&middle.json, ",\"context\":");
		note_cut(&middle, "context", pseudo_audit_json_utf8(&middle.json, subject->context, subject->context_len));
	}
	else
		add_text(&middle, "context", NULL);
	add_text(&middle, "function", subject->function);
	add_text(&middle, "purpose", pseudo_record_has_purpose() ? purpose : NULL);
	appendStringInfo(&middle.json, ",\"truncated\":[%s]", middle.cut.data);
	pfree(middle.cut.data);
	return middle.json.data;
}

/* See record.h. */
size_t
pseudo_record_line(char *out, const char *event, const char *middle, const char *more)
{
	size_t		middle_len = strlen(middle);
	size_t		more_len = strlen(more);
	char		time[PSEUDO_AUDIT_TIME];
	char	   *end;

	pseudo_audit_json_time(time, GetCurrentTimestamp());
	end = out + snprintf(out, PSEUDO_RECORD_ROOM, "{\"v\":1,\"at\":\"%s\",\"event\":\"%s\"", time, event);
	memcpy(end, middle, middle_len);
	end += middle_len;
	memcpy(end, more, more_len);
	end += more_len;
	*end++ = '}';
	*end++ = '\n';
	return end - out;
}
