/*
 * pseudo.c
 *		Start of the module.
 */
#include "postgres.h"

#include "fmgr.h"

#include "keyring/cache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* Called when a backend loads the module. */
void
_PG_init(void)
{
	pseudo_cache_init();
}
