/*
 * dump_settings.c
 *		What a session that dumps tables as their labels say is told.
 *
 * A connection that begins with pseudo.dump keeps these settings: nothing that runs in it, such as a function in a
 * policy of a table, can have what comes after go out as it is.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "dump_settings.h"

int			pseudo_dump_mode = PSEUDO_DUMP_OFF;
int			pseudo_dump_unlabelled = PSEUDO_UNLABELLED_ERROR;
bool		pseudo_dump_large_objects = false;
char	   *pseudo_dump_keyring = NULL;
char	   *pseudo_dump_context = NULL;

static const struct config_enum_entry modes[] = {
	{"off", PSEUDO_DUMP_OFF, false},
	{"dry_run", PSEUDO_DUMP_DRY_RUN, false},
	{"on", PSEUDO_DUMP_ON, false},
	{NULL, 0, false}
};

static const struct config_enum_entry unlabelled[] = {
	{"error", PSEUDO_UNLABELLED_ERROR, false},
	{"keep", PSEUDO_UNLABELLED_KEEP, false},
	{"hide", PSEUDO_UNLABELLED_HIDE, false},
	{NULL, 0, false}
};

/* Did the client ask for a dump when it connected? */
static bool is_fixed = false;

/* Returns true if a setting may change now. */
static bool
setting_may_change(GucSource source)
{
	if (!is_fixed || source < PGC_S_INTERACTIVE)
		return true;
	GUC_check_errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM);
	GUC_check_errmsg("the settings of a dump cannot be changed in a session that began with pseudo.dump");
	GUC_check_errhint("Connect anew.");
	return false;
}

/* Check hook of pseudo.dump. */
static bool
check_mode(int *newval, void **extra pg_attribute_unused(), GucSource source)
{
	if (source == PGC_S_CLIENT)
		is_fixed = *newval != PSEUDO_DUMP_OFF;
	return *newval == pseudo_dump_mode || setting_may_change(source);
}

/* Check hooks of the others. */
static bool
check_unlabelled(int *newval, void **extra pg_attribute_unused(), GucSource source)
{
	return *newval == pseudo_dump_unlabelled || setting_may_change(source);
}

static bool
check_large_objects(bool *newval, void **extra pg_attribute_unused(), GucSource source)
{
	return *newval == pseudo_dump_large_objects || setting_may_change(source);
}

static bool
check_text(char **newval pg_attribute_unused(), void **extra pg_attribute_unused(), GucSource source)
{
	return setting_may_change(source);
}

/* See dump_settings.h. */
void
pseudo_dump_settings_init(void)
{
	DefineCustomEnumVariable("pseudo.dump",
							 "Has COPY TO write tables as the labels of their columns say, and nothing else read them.",
							 "With \"dry_run\" it writes no rows, and warns of what would stop it.",
							 &pseudo_dump_mode, PSEUDO_DUMP_OFF, modes, PGC_USERSET, GUC_DISALLOW_IN_FILE,
							 check_mode, NULL, NULL);
	DefineCustomEnumVariable("pseudo.dump_unlabelled",
							 "What a dump does with columns that may hold text and have no label.",
							 NULL,
							 &pseudo_dump_unlabelled, PSEUDO_UNLABELLED_ERROR, unlabelled, PGC_USERSET, 0,
							 check_unlabelled, NULL, NULL);
	DefineCustomBoolVariable("pseudo.dump_large_objects",
							 "Lets a dump read large objects, as they are.",
							 NULL,
							 &pseudo_dump_large_objects, false, PGC_USERSET, 0,
							 check_large_objects, NULL, NULL);
	DefineCustomStringVariable("pseudo.dump_keyring",
							   "Keyring of the pseudonyms in a dump, instead of each label's own.",
							   NULL, &pseudo_dump_keyring, "", PGC_USERSET, 0,
							   check_text, NULL, NULL);
	DefineCustomStringVariable("pseudo.dump_context",
							   "Context of the pseudonyms in a dump, instead of each label's own.",
							   NULL, &pseudo_dump_context, "", PGC_USERSET, 0,
							   check_text, NULL, NULL);
}
