/*
 * dump_settings.h
 *		What a session that dumps tables as their labels say is told.
 */
#ifndef PSEUDO_DUMP_SETTINGS_H
#define PSEUDO_DUMP_SETTINGS_H

#include "postgres.h"

typedef enum PseudoDumpMode
{
	PSEUDO_DUMP_OFF,
	PSEUDO_DUMP_DRY_RUN,		/* COPY says what is wrong, and gives no rows */
	PSEUDO_DUMP_ON
} PseudoDumpMode;

/* What to do with a column that may hold text and has no label. */
typedef enum PseudoUnlabelled
{
	PSEUDO_UNLABELLED_ERROR,
	PSEUDO_UNLABELLED_KEEP,
	PSEUDO_UNLABELLED_HIDE
} PseudoUnlabelled;

extern int	pseudo_dump_mode;	/* a PseudoDumpMode */
extern int	pseudo_dump_unlabelled; /* a PseudoUnlabelled */
extern bool pseudo_dump_large_objects;	/* may they be read? */
extern char *pseudo_dump_keyring;	/* of the pseudonyms, or "": each label's
									 * own */
extern char *pseudo_dump_context;	/* likewise */

/* Define the settings; once a backend. */
extern void pseudo_dump_settings_init(void);

#endif							/* PSEUDO_DUMP_SETTINGS_H */
