/*
 * audit.c
 *		The records of the file, as SQL reads them.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "common/jsonapi.h"
#include "common/string.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "../compat.h"
#include "../keyring/audit.h"
#include "../keyring/audit_json.h"

PG_FUNCTION_INFO_V1(pseudo_audit_records);

/* Returns true if a line is a record, and not what a crash or another tool has left. */
static bool
is_record(char *line, int len)
{
	JsonLexContext *lexer;

	for (int i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(line[i]) || line[i] == '\0')
			return false;
	}
	lexer = pseudo_json_lexer(line, len);
	return line[0] == '{' && pg_parse_json(lexer, &nullSemAction) == JSON_SUCCESS;
}

/* Add a line, without its newline. */
static void
put_line(ReturnSetInfo *rsinfo, const StringInfo line)
{
	Datum		value;
	bool		isnull = false;
	StringInfoData json;

	initStringInfo(&json);
	if (is_record(line->data, line->len))
		appendBinaryStringInfo(&json, line->data, line->len);
	else
	{
		appendStringInfoString(&json, "{\"v\":1,\"event\":\"damaged\",\"text\":");
		pseudo_audit_json_utf8(&json, line->data, line->len);
		appendStringInfoChar(&json, '}');
	}
	value = PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}

/* Check that the current user may read what others did. */
static void
check_may_read(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read audit records"),
				 errhint("Members of pg_read_all_stats can, and so those of pg_monitor.")));
}

/* Open the file; NULL where there is none. */
static FILE *
open_records(void)
{
	struct stat st;
	FILE	   *file = NULL;
	bool		is_there = stat(pseudo_audit_file, &st) == 0;

	/* To open a pipe waits, and to read a device may have no end. */
	if (is_there && !S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", pseudo_audit_file)));
	if (is_there)
		file = AllocateFile(pseudo_audit_file, PG_BINARY_R);
	if (file == NULL && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", pseudo_audit_file)));
	return file;
}

/*
 * pseudo_audit_records(): the records of the file pseudo.audit_file
 */
Datum
pseudo_audit_records(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext mcxt;			/* of a line */
	StringInfoData line;
	FILE	   *file;

	check_may_read();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	file = open_records();
	if (file == NULL)
		PG_RETURN_NULL();
	mcxt = AllocSetContextCreate(caller, "pseudo audit record", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&line);
	while (pg_get_line_buf(file, &line))
	{
		CHECK_FOR_INTERRUPTS();
		while (line.len > 0 && line.data[line.len - 1] == '\n')
			line.data[--line.len] = '\0';
		if (line.len == 0)
			continue;
		MemoryContextSwitchTo(mcxt);
		put_line(rsinfo, &line);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(mcxt);
	}
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", pseudo_audit_file)));
	FreeFile(file);
	PG_RETURN_NULL();
}
