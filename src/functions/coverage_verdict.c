/*
 * coverage_verdict.c
 *		What pseudo_coverage() says of a column, once it has been looked at.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "coverage.h"

/* A deterministic column with fewer values than this, among at least so many, shows who has which. */
#define WEAK_DISTINCT	100
#define WEAK_AMONG		1000

/* The verdicts; where several hold, the last one counts. */
typedef enum Verdict
{
	VERDICT_OK,
	VERDICT_SKIPPED,
	VERDICT_WEAK,
	VERDICT_DRIFT,
	VERDICT_NO_TRIGGER,
	VERDICT_UNLABELLED,
	VERDICT_PLAINTEXT
} Verdict;

static const char *const verdict_names[] = {
	[VERDICT_OK] = "ok",
	[VERDICT_SKIPPED] = "skipped",
	[VERDICT_WEAK] = "weak",
	[VERDICT_DRIFT] = "drift",
	[VERDICT_NO_TRIGGER] = "no trigger",
	[VERDICT_UNLABELLED] = "unlabelled",
	[VERDICT_PLAINTEXT] = "plaintext",
};

/* A verdict that is being found. */
typedef struct Judgement
{
	const PseudoCoverageTable *table;
	const PseudoCoverageColumn *column;
	Verdict		verdict;
	StringInfoData reasons;
} Judgement;

/* Find something. */
static void
find_fault(Judgement *judgement, Verdict verdict, const char *reason)
{
	judgement->verdict = Max(judgement->verdict, verdict);
	if (reason)
		appendStringInfo(&judgement->reasons, "%s%s", judgement->reasons.len > 0 ? "; " : "", reason);
}

/* Find a number of something, where there is one at least. */
static void
find_faults(Judgement *judgement, Verdict verdict, int64 n, const char *one, const char *many)
{
	if (n > 0)
		find_fault(judgement, verdict, psprintf("%lld %s", (long long) n, n == 1 ? one : many));
}

/* Why the values of a column were not looked at, or NULL. */
static const char *
why_unseen(const Judgement *judgement)
{
	if (judgement->column->why_not)
		return judgement->column->why_not;
	return judgement->table->failure ? judgement->table->failure : judgement->table->why_not;
}

/* Say that values were not looked at. */
static void
find_unseen(Judgement *judgement, Verdict verdict)
{
	const char *why = why_unseen(judgement);

	if (why)
		find_fault(judgement, verdict, psprintf("not looked at: %s", why));
}

/* Judge the values of a column that is to hold pseudonyms. */
static void
judge_values(Judgement *judgement)
{
	const PseudoSeen *seen = &judgement->column->seen;
	bool		deterministic = judgement->column->label->mode == PSEUDO_MODE_DETERMINISTIC;
	int64		strange = seen->unreadable - seen->misspelled;

	if (seen->plaintext > 0)
		find_fault(judgement, VERDICT_PLAINTEXT, NULL);
	find_faults(judgement, VERDICT_PLAINTEXT, seen->misspelled,
				"value is a pseudonym in another spelling, which opens nowhere",
				"values are pseudonyms in another spelling, which open nowhere");
	find_faults(judgement, VERDICT_PLAINTEXT, strange, "value looks like a pseudonym, and opens under no enabled key",
				"values look like pseudonyms, and open under no enabled key");
	if (seen->other_pair > 0)
		find_fault(judgement, VERDICT_DRIFT,
				   psprintf("%lld %s of another keyring or context than the label's: %s", (long long) seen->other_pair,
							seen->other_pair == 1 ? "value is a pseudonym" : "values are pseudonyms", pseudo_pair_name(seen->pair)));
	find_faults(judgement, VERDICT_DRIFT, seen->other_mode,
				deterministic ? "pseudonym is not deterministic" : "pseudonym is deterministic",
				deterministic ? "pseudonyms are not deterministic" : "pseudonyms are deterministic");
	find_faults(judgement, VERDICT_DRIFT, seen->unmatched, "row does not have the pseudonym of its source",
				"rows do not have the pseudonyms of their source");
	if (deterministic && seen->pseudonyms + seen->older >= WEAK_AMONG && seen->distinct < WEAK_DISTINCT)
		find_fault(judgement, VERDICT_WEAK, psprintf("about %.0f different values: they can be told by how often each occurs",
													 seen->distinct));
}

/* Judge a column that is to hold pseudonyms, or whose pseudonyms another one gets. */
static void
judge_pseudonymized(Judgement *judgement)
{
	const PseudoCoverageColumn *column = judgement->column;
	bool		is_source = column->source == 0 && column->label->into != NULL;

	if (judgement->table->kind != RELKIND_MATVIEW && !column->is_covered)
		find_fault(judgement, VERDICT_NO_TRIGGER,
				   strcmp(column->trigger, "none") == 0 ? "no trigger pseudonymizes what is written" :
				   "the trigger does not pseudonymize all that is written");
	if (column->later)
		find_fault(judgement, VERDICT_NO_TRIGGER,
				   psprintf("trigger \"%s\" fires after the one that pseudonymizes, and can write something else", column->later));
	if (column->differs)
		find_fault(judgement, VERDICT_DRIFT, psprintf("trigger \"%s\" says otherwise than the label", column->differs));
	if (is_source)
		find_fault(judgement, VERDICT_OK, "its values stay, and its pseudonyms are in the column that \"into\" names");
	else if (why_unseen(judgement) == NULL)
		judge_values(judgement);
	find_unseen(judgement, judgement->table->kind == RELKIND_PARTITIONED_TABLE || is_source ?
				VERDICT_OK : VERDICT_SKIPPED);
}

/* Judge a column without a label. */
static void
judge_unlabelled(Judgement *judgement)
{
	const PseudoCoverageColumn *column = judgement->column;
	const PseudoSeen *seen = &column->seen;
	bool		is_text = column->look == PSEUDO_LOOK_TEXT;

	if (seen->copies > 0)
		find_fault(judgement, VERDICT_PLAINTEXT,
				   psprintf("%lld %s in column \"%s\" of the same row", (long long) seen->copies,
							seen->copies == 1 ? "value is that" : "values are those", seen->copied));
	if (seen->pair)
		find_fault(judgement, VERDICT_OK, psprintf("has pseudonyms of %s", pseudo_pair_name(seen->pair)));
	if (column->is_harmless || (is_text && why_unseen(judgement) == NULL) ||
		(is_text && judgement->table->kind == RELKIND_PARTITIONED_TABLE))
		find_fault(judgement, VERDICT_UNLABELLED, NULL);
	find_unseen(judgement, VERDICT_SKIPPED);
	if (!is_text && column->look != PSEUDO_LOOK_NOTHING && why_unseen(judgement) == NULL)
		find_fault(judgement, VERDICT_SKIPPED, "only compared with the labelled columns of the same row");
}

/* See coverage.h. */
const char *
pseudo_verdict(const PseudoCoverageTable *table, const PseudoCoverageColumn *column, char **reasons)
{
	Judgement	judgement = {.table = table, .column = column};

	initStringInfo(&judgement.reasons);
	if (pseudo_label_pseudonymizes(column->label))
		judge_pseudonymized(&judgement);
	else if (column->label->mode == PSEUDO_MODE_NONE)
		judge_unlabelled(&judgement);
	else
	{
		if (column->differs)
			find_fault(&judgement, VERDICT_DRIFT, psprintf("trigger \"%s\" says otherwise than the label", column->differs));
		find_unseen(&judgement, VERDICT_OK);
	}
	*reasons = judgement.reasons.len > 0 ? judgement.reasons.data : NULL;
	return verdict_names[judgement.verdict];
}
