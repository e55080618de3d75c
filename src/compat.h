/*
 * compat.h
 *		What differs between PostgreSQL 15 and 19.  No other file asks for the version.
 *
 * The macros take what the newest version's function takes, as far as we use it; whoever uses one
 * includes PostgreSQL's own header of the function too.
 */
#ifndef PSEUDO_COMPAT_H
#define PSEUDO_COMPAT_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "pseudo is for PostgreSQL 15 and later"
#endif

/* 16: VARDATA and its like moved out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: a function that SQL calls is exported. */
#if PG_VERSION_NUM < 160000
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(name) \
extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *pg_finfo_##name(void); \
const Pg_finfo_record * \
pg_finfo_##name(void) \
{ \
	static const Pg_finfo_record info = {1}; \
	return &info; \
} \
extern int no_such_variable
#endif

/* 16: one function checks the rights to, or the ownership of, objects of every kind. */
#if PG_VERSION_NUM >= 160000
#define pseudo_function_aclcheck(oid, role, mode)	object_aclcheck(ProcedureRelationId, oid, role, mode)
#define pseudo_type_aclcheck(oid, role, mode)		object_aclcheck(TypeRelationId, oid, role, mode)
#define pseudo_server_aclcheck(oid, role, mode)		object_aclcheck(ForeignServerRelationId, oid, role, mode)
#define pseudo_server_ownercheck(oid, role)			object_ownercheck(ForeignServerRelationId, oid, role)
#define pseudo_relation_ownercheck(oid, role)		object_ownercheck(RelationRelationId, oid, role)
#define pseudo_namespace_aclcheck(oid, role, mode)	object_aclcheck(NamespaceRelationId, oid, role, mode)
#else
#define pseudo_function_aclcheck(oid, role, mode)	pg_proc_aclcheck(oid, role, mode)
#define pseudo_type_aclcheck(oid, role, mode)		pg_type_aclcheck(oid, role, mode)
#define pseudo_server_aclcheck(oid, role, mode)		pg_foreign_server_aclcheck(oid, role, mode)
#define pseudo_server_ownercheck(oid, role)			pg_foreign_server_ownercheck(oid, role)
#define pseudo_relation_ownercheck(oid, role)		pg_class_ownercheck(oid, role)
#define pseudo_namespace_aclcheck(oid, role, mode)	pg_namespace_aclcheck(oid, role, mode)
#endif

/* 16: what is checked of tables is apart from them. */
#if PG_VERSION_NUM >= 160000
#define PSEUDO_CHECK_PERMS_PARAMETERS	List *tables, List *permissions, bool report
#define PSEUDO_CHECK_PERMS_ARGUMENTS	tables, permissions, report
#else
#define PSEUDO_CHECK_PERMS_PARAMETERS	List *tables, bool report
#define PSEUDO_CHECK_PERMS_ARGUMENTS	tables, report
#endif

/* 16: input functions may report errors softly; ours throw. */
#if PG_VERSION_NUM >= 160000
#define pseudo_qualified_name(string)	stringToQualifiedNameList(string, NULL)
#else
#define pseudo_qualified_name(string)	stringToQualifiedNameList(string)
#endif

/* 16: what is sorted may be had without a copy. */
#if PG_VERSION_NUM >= 160000
#define pseudo_next_sorted(sort, value, isnull)	tuplesort_getdatum(sort, true, true, value, isnull, NULL)
#else
#define pseudo_next_sorted(sort, value, isnull)	tuplesort_getdatum(sort, true, value, isnull, NULL)
#endif

/* 16: what makes query ids moved. */
#if PG_VERSION_NUM >= 160000
#include "nodes/queryjumble.h"
#else
#include "utils/queryjumble.h"
#endif

/* 17: a lexer's memory may be the caller's. */
#if PG_VERSION_NUM >= 170000
#define pseudo_json_lexer(json, len)	makeJsonLexContextCstringLen(NULL, json, len, PG_UTF8, false)
#else
#define pseudo_json_lexer(json, len)	makeJsonLexContextCstringLen(json, (int) (len), PG_UTF8, false)
#endif

/* 17: asks for stronger locks as well, where that is wanted. */
#if PG_VERSION_NUM >= 170000
#define pseudo_lock_held(tag, mode)	LockHeldByMe(tag, mode, false)
#else
#define pseudo_lock_held(tag, mode)	LockHeldByMe(tag, mode)
#endif

/* 17: a logical message may be flushed; ours belong to no transaction. */
#if PG_VERSION_NUM >= 170000
#define pseudo_log_message(prefix, message, len)	LogLogicalMessage(prefix, message, len, false, false)
#else
#define pseudo_log_message(prefix, message, len)	LogLogicalMessage(prefix, message, len, false)
#endif

/* 17: merge_action(), for the RETURNING of MERGE. */
#if PG_VERSION_NUM >= 170000
#define pseudo_is_of_merge(node)	IsA(node, MergeSupportFunc)
#else
#define pseudo_is_of_merge(node)	false
#endif

/* 17: a backend's virtual transaction id is a struct. */
#if PG_VERSION_NUM >= 170000
#define pseudo_local_transaction()	(MyProc->vxid.lxid)
#else
#define pseudo_local_transaction()	(MyProc->lxid)
#endif

/* 18: a module says what it is; see pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define PSEUDO_MODULE_MAGIC(module)	PG_MODULE_MAGIC_EXT(.name = module, .version = PSEUDO_VERSION)
#else
#define PSEUDO_MODULE_MAGIC(module)	PG_MODULE_MAGIC
#endif

/* 18: a deferrable primary key may count as well. */
#if PG_VERSION_NUM >= 180000
#define pseudo_primary_key_index(rel)	RelationGetPrimaryKeyIndex(rel, false)
#else
#define pseudo_primary_key_index(rel)	RelationGetPrimaryKeyIndex(rel)
#endif

/* 19: an array's element type is named where the iteration begins. */
#if PG_VERSION_NUM >= 190000
#define pseudo_texts_begin(iterator, array) \
	array_iter_setup(iterator, (AnyArrayType *) (array), -1, false, TYPALIGN_INT)
#define pseudo_texts_next(iterator, isnull, i) \
	array_iter_next(iterator, isnull, i)
#else
#define pseudo_texts_begin(iterator, array) \
	array_iter_setup(iterator, (AnyArrayType *) (array))
#define pseudo_texts_next(iterator, isnull, i) \
	array_iter_next(iterator, isnull, i, -1, false, TYPALIGN_INT)
#endif

/* 19: a jsonb being built is a struct that has its result. */
#if PG_VERSION_NUM >= 190000
#define PseudoJsonbBuilder	JsonbInState
#define pseudo_push_jsonb(builder, token, value) \
	pushJsonbValue(builder, token, value)
#else
#define PseudoJsonbBuilder	struct { JsonbParseState *state; JsonbValue *result; }
#define pseudo_push_jsonb(builder, token, value) \
	((void) ((builder)->result = pushJsonbValue(&(builder)->state, token, value)))
#endif

/* 19: planning may be part of EXPLAIN. */
#if PG_VERSION_NUM >= 190000
#define PSEUDO_PLANNER_PARAMETERS \
	Query *parse, const char *query_string, int cursorOptions, ParamListInfo boundParams, ExplainState *es
#define PSEUDO_PLANNER_ARGUMENTS	parse, query_string, cursorOptions, boundParams, es
#else
#define PSEUDO_PLANNER_PARAMETERS \
	Query *parse, const char *query_string, int cursorOptions, ParamListInfo boundParams
#define PSEUDO_PLANNER_ARGUMENTS	parse, query_string, cursorOptions, boundParams
#endif

/* 18: columns that are generated when they are read, constraints that are not enforced. */
#if PG_VERSION_NUM >= 180000
#define pseudo_check_expression(check, rel) \
	((check)->ccenforced ? expand_generated_columns_in_expr(stringToNode((check)->ccbin), rel, 1) : NULL)
#else
#define pseudo_check_expression(check, rel) \
	((void) (rel), (Node *) stringToNode((check)->ccbin))
#endif

/* 18: scans of indexes are counted; 19: they take options. */
#if PG_VERSION_NUM >= 190000
#define pseudo_beginscan_index(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0, SO_NONE)
#elif PG_VERSION_NUM >= 180000
#define pseudo_beginscan_index(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define pseudo_beginscan_index(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

/* 19: says whether they are volatile, too. */
#if PG_VERSION_NUM >= 190000
#define pseudo_domain_has_constraints(type)	DomainHasConstraints(type, NULL)
#else
#define pseudo_domain_has_constraints(type)	DomainHasConstraints(type)
#endif

/* 19: scans take options. */
#if PG_VERSION_NUM >= 190000
#define pseudo_beginscan_tidrange(rel, snapshot, min, max) \
	table_beginscan_tidrange(rel, snapshot, min, max, SO_NONE)
#define pseudo_beginscan(rel, snapshot) \
	table_beginscan(rel, snapshot, 0, NULL, SO_NONE)
#else
#define pseudo_beginscan_tidrange(rel, snapshot, min, max) \
	table_beginscan_tidrange(rel, snapshot, min, max)
#define pseudo_beginscan(rel, snapshot) \
	table_beginscan(rel, snapshot, 0, NULL)
#endif

/* 19: ON CONFLICT may SELECT in place of an UPDATE, with a lock or without. */
#if PG_VERSION_NUM >= 190000
#define pseudo_conflict_locks(state)	((state)->oc_ProjInfo != NULL || (state)->oc_LockStrength != LCS_NONE)
#else
#define pseudo_conflict_locks(state)	((void) (state), true)
#endif

/* What a backend of ours waits for. */
typedef enum PseudoWait
{
	PSEUDO_WAIT_COMMAND,		/* a command's document */
	PSEUDO_WAIT_HTTP,			/* an answer of AWS, an agent or a host's
								 * service */
	PSEUDO_WAIT_RETRY,			/* the next attempt at one of these */
	PSEUDO_WAIT_FILE,			/* the lock on a keyring's file, or the end of
								 * writing to it */
	PSEUDO_WAIT_BULK_RETRY,		/* the next attempt at a batch of rows */
	PSEUDO_WAIT_KEYRING,		/* another session, which loads the keyring */
	PSEUDO_WAIT_REFRESHER,		/* the refresher has nothing to do */
	PSEUDO_WAIT_AUDIT			/* an audit record, or what was used of a
								 * limit, to be on disk */
} PseudoWait;

/* The wait event to show in pg_stat_activity; since 17 each has a name of its own. */
static inline uint32
pseudo_wait_event(PseudoWait wait)
{
#if PG_VERSION_NUM >= 170000
	static const char *const names[] = {
		"PseudoCommand", "PseudoHttp", "PseudoRetry", "PseudoFile", "PseudoBulkRetry",
		"PseudoKeyring", "PseudoRefresher", "PseudoAudit"
	};
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = WaitEventExtensionNew(names[wait]);
	return events[wait];
#else
	(void) wait;
	return PG_WAIT_EXTENSION;
#endif
}

#endif							/* PSEUDO_COMPAT_H */
