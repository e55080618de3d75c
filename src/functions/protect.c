/*
 * protect.c
 *		pseudo_protect(): makes the trigger of a table what the labels of its columns say.
 *
 * There is one trigger, with one argument "COLUMN IS LABEL" for each labelled column. A trigger that somebody wrote by hand
 * counts where it says the same; one that says something else is an error, since two triggers on one column refuse each
 * other's pseudonyms. All is decided under the lock that CREATE TRIGGER takes, and done by SQL with the caller's rights.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "../compat.h"
#include "citus.h"
#include "column.h"
#include "label.h"
#include "pinned.h"
#include "trigger.h"

/* Triggers fire in the order of their names, and this one has to be the last. */
#define OWN_NAME	"zz_pseudo"

/* One thing to do, and to say. */
typedef struct Step
{
	Oid			relid;
	const char *trigger;
	const char *action;
	const char *sql;			/* or NULL */
} Step;

/* The trigger of our name in one relation of the tree. */
typedef struct Firing
{
	Oid			relid;
	char		enabled;		/* as in tgenabled */
} Firing;

/* What is known of the table, and what is to be done. */
typedef struct Protection
{
	Relation	rel;
	Oid			function;		/* pseudonymize_trigger() */
	PseudoLabel *labels;		/* by attno - 1 */
	const char **by_hand;		/* likewise: another trigger of the function
								 * that has it, or NULL */
	bool		exists;			/* the trigger of our name ... */
	bool		differs;		/* ... from what it has to be */
	List	   *arguments;		/* of char *, that it has to have */
	List	   *firing;			/* of Firing * */
	List	   *steps;			/* of Step * */
} Protection;

PG_FUNCTION_INFO_V1(pseudo_protect);

/* ---- The table ---- */

/* Where the rows of a relation are that takes no trigger, for a hint. */
static const char *
place_of_values(char kind)
{
	switch (kind)
	{
		case RELKIND_VIEW:
			return "Protect the tables that the view reads.";
		case RELKIND_MATVIEW:
			return "Nothing is written to it: protect the tables that it reads.";
		case RELKIND_FOREIGN_TABLE:
			return "Protect the table on the server where it is: others write to it there.";
		default:
			return "Name a table.";
	}
}

/* Refuse what is no table, or a partition. */
static void
check_table(Relation rel)
{
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errhint("%s", place_of_values(kind))));
	if (rel->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition, and the labels of its root count", RelationGetRelationName(rel)),
				 errhint("Protect the root, %s: partitions follow.",
						 pseudo_relation_name(pseudo_labelled_relation(rel)))));
}

/* Check that the caller owns the table. */
static void
check_ownership(Oid relid)
{
	if (!pseudo_relation_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/* Open the table, and lock it as CREATE TRIGGER does. */
static Relation
lock_protected(Oid relid)
{
	Relation	rel;

	if (get_rel_name(relid) != NULL)
		check_ownership(relid); /* before anybody has to wait for the lock */
	rel = try_relation_open(relid, ShareRowExclusiveLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	check_ownership(relid);
	check_table(rel);
	return rel;
}

/* The name of a column, or NULL where it has been dropped. */
static const char *
column_name(Relation rel, int no)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), no);

	return att->attisdropped ? NULL : NameStr(att->attname);
}

/* ---- Triggers ---- */

/* "DROP TRIGGER ..." */
static char *
drop_command(Oid relid, const char *trigger)
{
	return psprintf("DROP TRIGGER %s ON %s", quote_identifier(trigger), pseudo_relation_name(relid));
}

/* Report a trigger that does not do with a column what its label says. */
static void
__attribute__((noreturn))
report_other_label(Relation rel, const Trigger *trigger, const PseudoTriggerColumn *column, const PseudoLabel *label)
{
	Oid			relid = RelationGetRelid(rel);

	if (pseudo_label_pseudonymizes(label))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\" in another way than its label says",
						trigger->tgname, RelationGetRelationName(rel), column->name),
				 errdetail("The label is \"%s\", and the trigger does as if it were \"%s\".",
						   pseudo_label_string(label), pseudo_label_string(&column->label)),
				 errhint("Use %s, or label the column as the trigger says.", drop_command(relid, trigger->tgname))));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\", and no label says so",
					trigger->tgname, RelationGetRelationName(rel), column->name),
			 get_attnum(relid, column->name) > 0 ?
			 errhint("Use %s, or SECURITY LABEL FOR pseudo ON COLUMN %s.%s IS %s.",
					 drop_command(relid, trigger->tgname), pseudo_relation_name(relid), quote_identifier(column->name),
					 quote_literal_cstr(pseudo_label_string(&column->label))) :
			 errhint("Use %s: there is no such column.", drop_command(relid, trigger->tgname))));
}

/* Check that a trigger does with its columns what their labels say, and note them. */
static void
check_by_hand(Protection *protection, const Trigger *trigger, const PseudoTriggerArguments *arguments, bool counts)
{
	Relation	rel = protection->rel;
	ListCell   *cell;

	foreach(cell, arguments->columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);
		AttrNumber	attno = get_attnum(RelationGetRelid(rel), column->name);
		PseudoLabel none = {.mode = PSEUDO_MODE_NONE};
		const PseudoLabel *label = attno > 0 ? &protection->labels[attno - 1] : &none;

		if (!pseudo_trigger_agrees(arguments, column->name, label))
			report_other_label(rel, trigger, column, label);
		if (counts)
			protection->by_hand[attno - 1] = pstrdup(trigger->tgname);
	}
}

/* Add a step. */
static void
add_step(Protection *protection, Oid relid, const char *trigger, const char *action, const char *sql)
{
	Step	   *step = palloc(sizeof(Step));

	*step = (Step)
	{
		.relid = relid, .trigger = pstrdup(trigger), .action = action, .sql = sql
	};
	protection->steps = lappend(protection->steps, step);
}

/* Note how the trigger of our name fires. */
static void
note_firing(Protection *protection, Relation rel, const Trigger *trigger)
{
	Firing	   *firing = palloc(sizeof(Firing));

	firing->relid = RelationGetRelid(rel);
	firing->enabled = trigger->tgenabled;
	protection->firing = lappend(protection->firing, firing);
}

/* Say so where a trigger fires after ours, and can put values back. */
static void
warn_of_later(const Protection *protection, const Trigger *other)
{
	if (protection->arguments == NIL || other->tgisinternal || other->tgenabled == TRIGGER_DISABLED ||
		!TRIGGER_FOR_ROW(other->tgtype) || !TRIGGER_FOR_BEFORE(other->tgtype) ||
		!(TRIGGER_FOR_INSERT(other->tgtype) || TRIGGER_FOR_UPDATE(other->tgtype)) || strcmp(other->tgname, OWN_NAME) < 0)
		return;
	ereport(WARNING,
			(errmsg("trigger \"%s\" of relation \"%s\" fires after \"%s\"",
					other->tgname, RelationGetRelationName(protection->rel), OWN_NAME),
			 errdetail("What it writes to a column is not pseudonymized."),
			 errhint("Give it a name that comes first, by ALTER TRIGGER ... RENAME TO.")));
}

/* The trigger of our name, if it is one of the function; an error if it is another one. */
static const Trigger *
find_own(const Protection *protection)
{
	TriggerDesc *desc = protection->rel->trigdesc;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];

		if (strcmp(trigger->tgname, OWN_NAME) != 0)
			continue;
		if (trigger->tgfoid == protection->function)
			return trigger;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("trigger \"%s\" of relation \"%s\" calls another function than pseudonymize_trigger()",
						OWN_NAME, RelationGetRelationName(protection->rel)),
				 errhint("Give it another name, by ALTER TRIGGER ... RENAME TO.")));
	}
	return NULL;
}

/* Look at the triggers that somebody wrote by hand. */
static void
find_by_hand(Protection *protection)
{
	Relation	rel = protection->rel;
	TriggerDesc *desc = rel->trigdesc;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		const Trigger *trigger = &desc->triggers[i];
		bool		is_own = strcmp(trigger->tgname, OWN_NAME) == 0;
		PseudoTriggerArguments arguments;

		if (trigger->tgfoid != protection->function)
			continue;
		pseudo_trigger_arguments(&arguments, trigger);
		if (is_own && arguments.is_labelled)
			continue;
		check_by_hand(protection, trigger, &arguments, !is_own);
		if (!is_own)
			add_step(protection, RelationGetRelid(rel), trigger->tgname, "unchanged", NULL);
	}
}

/* Refuse a trigger that was written by hand and goes past writes; with another one it may see all. */
static void
check_sees_all(const Protection *protection)
{
	Relation	rel = protection->rel;

	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		const char *trigger = protection->by_hand[i];

		if (trigger &&
			!pseudo_trigger_sees_all_without(rel, protection->function, column_name(rel, i), i + 1, OWN_NAME))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes column \"%s\", and does not fire for all that is written",
							trigger, RelationGetRelationName(rel), column_name(rel, i)),
					 errhint("Use %s; or enable it, for INSERT and UPDATE, without WHEN and without UPDATE OF.",
							 drop_command(RelationGetRelid(rel), trigger))));
	}
}

/* Refuse triggers that partitions have beside the root's, and note how the root's fires there. */
static void
check_partitions(Protection *protection)
{
	ListCell   *cell;

	if (protection->rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(cell, find_all_inheritors(RelationGetRelid(protection->rel), ShareRowExclusiveLock, NULL))
	{
		Relation	part = table_open(lfirst_oid(cell), NoLock);
		TriggerDesc *desc = part->trigdesc;

		for (int i = 0; desc && part->rd_rel->relispartition && i < desc->numtriggers; i++)
		{
			const Trigger *trigger = &desc->triggers[i];

			if (trigger->tgfoid != protection->function)
				continue;
			if (!trigger->tgisclone)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("partition \"%s\" of relation \"%s\" has the trigger \"%s\" beside those of its root",
								RelationGetRelationName(part), RelationGetRelationName(protection->rel), trigger->tgname),
						 errhint("Use %s: the root's trigger fires for partitions, too.",
								 drop_command(RelationGetRelid(part), trigger->tgname))));
			if (strcmp(trigger->tgname, OWN_NAME) == 0)
				note_firing(protection, part, trigger);
		}
		table_close(part, NoLock);
	}
}

/* ---- What is to be done ---- */

/* Returns true if any column has a label. */
static bool
has_labels(const Protection *protection)
{
	bool		found = false;

	for (int i = 0; i < RelationGetDescr(protection->rel)->natts; i++)
		found |= protection->labels[i].mode != PSEUDO_MODE_NONE;
	return found;
}

/*
 * Refuse to drop our trigger where no column is labelled at all: a dump that is restored without the library brings the
 * trigger, and no labels, and to drop it would let plaintext in.
 */
static void
check_lost_labels(const Protection *protection, const PseudoTriggerArguments *own)
{
	Oid			relid = RelationGetRelid(protection->rel);
	StringInfoData commands;
	ListCell   *cell;

	initStringInfo(&commands);
	foreach(cell, has_labels(protection) ? NIL : own->columns)
	{
		PseudoTriggerColumn *column = lfirst(cell);

		if (get_attnum(relid, column->name) > 0)
			appendStringInfo(&commands, "%sSECURITY LABEL FOR pseudo ON COLUMN %s.%s IS %s", commands.len > 0 ? "; " : "",
							 pseudo_relation_name(relid), quote_identifier(column->name),
							 quote_literal_cstr(pseudo_label_string(&column->label)));
	}
	if (commands.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" pseudonymizes columns, and none has a label",
						OWN_NAME, RelationGetRelationName(protection->rel)),
				 errdetail("Labels are lost where a dump is restored by a session that has not loaded the library."),
				 errhint("Label them as the trigger says: %s. If nothing is to be pseudonymized any more, use %s.",
						 commands.data, drop_command(relid, OWN_NAME))));
}

/* Say what the trigger has to have, and whether it has that. */
static void
compare(Protection *protection)
{
	Relation	rel = protection->rel;
	const Trigger *own = find_own(protection);
	PseudoTriggerArguments arguments = {.columns = NIL};

	find_by_hand(protection);
	check_sees_all(protection);
	if (own)
	{
		protection->exists = true;
		pseudo_trigger_arguments(&arguments, own);
		check_lost_labels(protection, &arguments);
		protection->differs = own->tgnattr > 0 || own->tgqual != NULL ||
			own->tgtype != (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE);
		note_firing(protection, rel, own);
	}
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		const PseudoLabel *label = &protection->labels[i];

		if (column_name(rel, i) == NULL || protection->by_hand[i] != NULL || !pseudo_label_pseudonymizes(label))
			continue;
		protection->arguments = lappend(protection->arguments, pseudo_label_with_column(column_name(rel, i), label));
		protection->differs |= !pseudo_trigger_agrees(&arguments, column_name(rel, i), label);
	}
	protection->differs |= list_length(arguments.columns) != list_length(protection->arguments);
}

/* "CREATE OR REPLACE TRIGGER ..." */
static char *
create_command(const Protection *protection)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s(",
					 OWN_NAME, pseudo_relation_name(RelationGetRelid(protection->rel)),
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(protection->function)),
												get_func_name(protection->function)));
	foreach(cell, protection->arguments)
		appendStringInfo(&sql, "%s%s", foreach_current_index(cell) > 0 ? ", " : "", quote_literal_cstr(lfirst(cell)));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* Let the trigger fire as it did, or at all; replaced: it has been created anew, and fires as a new one does. */
static void
add_firing_steps(Protection *protection, bool replaced)
{
	bool		is_citus = pseudo_citus_knows(RelationGetRelid(protection->rel));
	ListCell   *cell;

	foreach(cell, protection->firing)
	{
		Firing	   *firing = lfirst(cell);
		Oid			relid = is_citus ? RelationGetRelid(protection->rel) : firing->relid;
		bool		fired = firing->enabled == TRIGGER_FIRES_ON_ORIGIN || firing->enabled == TRIGGER_FIRES_ALWAYS;
		bool		always = firing->enabled == TRIGGER_FIRES_ALWAYS || firing->enabled == TRIGGER_FIRES_ON_REPLICA;

		if (fired && (!always || !replaced))
			continue;
		add_step(protection, relid, OWN_NAME, fired ? NULL : "enabled",
				 psprintf("ALTER TABLE %s%s ENABLE%s TRIGGER %s", is_citus ? "" : "ONLY ", pseudo_relation_name(relid),
						  always ? " ALWAYS" : "", OWN_NAME));

		/*
		 * On the shards of partitions the trigger has the name of the root's,
		 * and Citus does not find it there by that of its own.
		 */
		if (is_citus)
			break;
	}
}

/* Decide what is to be done. */
static void
decide(Protection *protection)
{
	Oid			relid = RelationGetRelid(protection->rel);
	TriggerDesc *desc = protection->rel->trigdesc;
	bool		replaces = protection->exists && protection->differs;

	for (int i = 0; desc && i < desc->numtriggers; i++)
	{
		if (desc->triggers[i].tgfoid != protection->function)
			warn_of_later(protection, &desc->triggers[i]);
	}
	if (protection->arguments == NIL)
	{
		if (protection->exists)
			add_step(protection, relid, OWN_NAME, "dropped", drop_command(relid, OWN_NAME));
		return;
	}
	if (!protection->exists)
		add_step(protection, relid, OWN_NAME, "created", create_command(protection));
	else
		add_step(protection, relid, OWN_NAME, replaces ? "replaced" : "unchanged",
				 replaces ? create_command(protection) : NULL);
	add_firing_steps(protection, replaces);
}

/*
 * Do it, and say so.  Citus takes triggers of a table whose shards are elsewhere where this setting says that whoever makes them
 * knows what they do there: this one looks at nothing but the row.
 */
static void
run_steps(Oid relid, List *steps, ReturnSetInfo *result)
{
	int			level = NewGUCNestLevel();
	ListCell   *cell;

	if (pseudo_citus_knows(relid))
		(void) set_config_option("citus.enable_unsafe_triggers", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	foreach(cell, steps)
	{
		Step	   *step = lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false};

		if (step->sql && SPI_execute(step->sql, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not change trigger \"%s\"", step->trigger);
		if (step->action == NULL)
			continue;
		values[0] = ObjectIdGetDatum(step->relid);
		values[1] = CStringGetTextDatum(step->trigger);
		values[2] = CStringGetTextDatum(step->action);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	AtEOXact_GUC(true, level);
}

/*
 * Check that the table has the trigger that it has to have: whoever owns the schema of the table, or that of the extension, can have
 * its name mean another one by now.  Errors: 40001, 42710.
 */
static void
check_done(Protection *protection, Oid relid)
{
	const Trigger *own;
	bool		has;

	protection->rel = relation_open(relid, NoLock);
	own = find_own(protection);
	has = own != NULL && own->tgenabled != TRIGGER_DISABLED;
	relation_close(protection->rel, NoLock);
	if (has != (protection->arguments != NIL))
		pseudo_report_moved(relid);
}

/*
 * pseudo_protect(regclass)
 *
 * Errors: 42501 not the owner, 42809 no table or a partition, 55000 other triggers that say something else, 42710 our
 * trigger's name is taken, those of labels, and those of CREATE TRIGGER.
 */
Datum
pseudo_protect(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Protection	protection = {.rel = NULL};

	InitMaterializedSRF(fcinfo, 0);
	protection.rel = lock_protected(relid);
	protection.function = pseudo_trigger_function(fcinfo->flinfo->fn_oid);
	protection.labels = pseudo_labels(protection.rel);
	protection.by_hand = palloc0(Max(RelationGetDescr(protection.rel)->natts, 1) * sizeof(char *));
	pseudo_labels_check(protection.rel, protection.labels);
	check_partitions(&protection);
	compare(&protection);
	decide(&protection);
	if (protection.arguments != NIL && protection.rel->rd_rel->relkind == RELKIND_RELATION && has_subclass(relid))
		ereport(NOTICE,
				(errmsg("the trigger of relation \"%s\" does not fire for the tables that inherit from it",
						RelationGetRelationName(protection.rel)),
				 errhint("Label the columns of each, and protect it.")));

	/* The statements refuse to work while it is open; the lock stays. */
	relation_close(protection.rel, NoLock);
	run_steps(relid, protection.steps, (ReturnSetInfo *) fcinfo->resultinfo);
	check_done(&protection, relid);
	return (Datum) 0;
}
