/*
 * label.h
 *		What the security labels of a table's columns say: the provider "pseudo" of SECURITY LABEL.
 *
 * A label is a mode and options, as in 'deterministic, context=crm, keyring=shop, existing=keep, into=email_p'. In a
 * partition tree the labels of the root count, and columns are found by their names.
 */
#ifndef PSEUDO_LABEL_H
#define PSEUDO_LABEL_H

#include "postgres.h"

#include "utils/rel.h"

#define PSEUDO_LABEL_PROVIDER	"pseudo"

/* The label of a view that pseudo_create_view() has made, and may replace. */
#define PSEUDO_LABEL_OF_VIEW	"from labels"

typedef enum PseudoMode
{
	PSEUDO_MODE_NONE,			/* no label */
	PSEUDO_MODE_DETERMINISTIC,
	PSEUDO_MODE_RANDOM,
	PSEUDO_MODE_KEEP,			/* shown as it is */
	PSEUDO_MODE_HIDE,			/* never shown */
	PSEUDO_MODE_TARGET			/* no label of its own: the into= of another
								 * column names it */
} PseudoMode;

/* What to do with a value that is shaped like a pseudonym. */
typedef enum PseudoExisting
{
	PSEUDO_EXISTING_ERROR,
	PSEUDO_EXISTING_KEEP,		/* an authentic one stays, where the owner
								 * writes */
	PSEUDO_EXISTING_VALUE		/* it is a value like any other */
} PseudoExisting;

/* A label, and what a trigger is told of a column. */
typedef struct PseudoLabel
{
	PseudoMode	mode;
	char	   *context;		/* "" by default */
	char	   *keyring;		/* "pseudo" by default */
	PseudoExisting existing;
	char	   *into;			/* the column that gets the pseudonyms, or
								 * NULL: this one */
	char	   *source;			/* of a target: the column whose pseudonyms it
								 * gets */
} PseudoLabel;

/* Register the provider. */
extern void pseudo_label_init(void);

/* A label that says nothing but a mode. */
extern void pseudo_label_begin(PseudoLabel *label, PseudoMode mode);

/* Read a label, palloc'ing what it says.  Errors: 22023. */
extern void pseudo_label_parse(PseudoLabel *label, const char *string);

/* A label of mode DETERMINISTIC, RANDOM, KEEP or HIDE as pseudo_label_parse() reads it, palloc'ed. */
extern char *pseudo_label_string(const PseudoLabel *label);

/*
 * Read "COLUMN IS LABEL", as in 'email IS deterministic, context=crm' or '"Name" IS random'; returns the name of the column,
 * palloc'ed, or NULL if it is something else.  Errors: 22023 for a label that cannot be read.
 */
extern char *pseudo_label_of_column(PseudoLabel *label, const char *string);

/* "COLUMN IS LABEL" as pseudo_label_of_column() reads it, palloc'ed. */
extern char *pseudo_label_with_column(const char *name, const PseudoLabel *label);

/* The text in double quotes that *s begins with, palloc'ed; two of them stand for one.  NULL if it has no end, else moves *s behind it. */
extern char *pseudo_label_quoted(const char **s);

/* Take what "existing" is to be.  Returns false if it is none of the three. */
extern bool pseudo_label_take_existing(PseudoLabel *label, const char *value);

/* Returns true if a column of this label holds, or gets, pseudonyms: DETERMINISTIC or RANDOM. */
static inline bool
pseudo_label_pseudonymizes(const PseudoLabel *label)
{
	return label->mode == PSEUDO_MODE_DETERMINISTIC || label->mode == PSEUDO_MODE_RANDOM;
}

/* Returns true if pseudonyms of one are pseudonyms of the other: context and keyring are the same. */
extern bool pseudo_label_same_pseudonyms(const PseudoLabel *a, const PseudoLabel *b);

/*
 * The labels of all columns of a relation that the caller has locked, by attno - 1, palloc'ed.  A dropped column has
 * none. A target's label is its source's, with mode TARGET and source set.  Of a partition, the root's labels.
 * Errors: 22023 for a stored label that cannot be read.
 */
extern PseudoLabel *pseudo_labels(Relation rel);

/*
 * Check again what was checked when the labels of a relation were set, since its columns and indexes may have changed,
 * and that the keyrings are there.  Errors: as of SECURITY LABEL, and 42704.
 */
extern void pseudo_labels_check(Relation rel, const PseudoLabel *labels);

/* The OID of the relation whose labels count: the root of a partition tree, or the relation itself. */
extern Oid	pseudo_labelled_relation(Relation rel);

#endif							/* PSEUDO_LABEL_H */
