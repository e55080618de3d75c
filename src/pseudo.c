/*
 * pseudo.c
 *		Start of the module.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "keyring/cache.h"

PSEUDO_MODULE_MAGIC("pseudo");

extern PGDLLEXPORT void _PG_init(void);

/* Called when a backend loads the module. */
void
_PG_init(void)
{
	pseudo_cache_init();
}
