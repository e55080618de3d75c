/*
 * pseudo.c
 *		Start of the module.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "compat.h"
#include "functions/admin_record.h"
#include "functions/dump.h"
#include "functions/label.h"
#include "functions/lookup.h"
#include "functions/pinned.h"
#include "functions/record.h"
#include "functions/upsert.h"
#include "keyring/audit.h"
#include "keyring/cache.h"
#include "keyring/count.h"
#include "keyring/dropped.h"
#include "keyring/limits.h"
#include "keyring/refresher.h"
#include "keyring/shared.h"
#include "keyring/stats.h"

PSEUDO_MODULE_MAGIC("pseudo");

extern PGDLLEXPORT void _PG_init(void);

static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;

/* Hook: ask for what there is in shared memory. */
static void
request_memory(void)
{
	if (next_request_hook)
		next_request_hook();
	pseudo_shared_request();
	pseudo_stats_request();
	pseudo_audit_request();
	pseudo_limits_request();
}

/* Hook: make it. */
static void
start_memory(void)
{
	if (next_startup_hook)
		next_startup_hook();
	pseudo_shared_startup();
	pseudo_stats_startup();
	pseudo_audit_startup();
	pseudo_limits_startup();
}

/* What there is only where the library is preloaded. */
static void
begin_server(void)
{
	pseudo_shared_init();
	pseudo_dropped_init();
	pseudo_refresher_init();
	pseudo_stats_init();
	pseudo_count_init();
	pseudo_limits_init();
	MarkGUCPrefixReserved("pseudo");
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* Called when the server preloads the module, else when a backend loads it. */
void
_PG_init(void)
{
	pseudo_dump_init();			/* its hook of the planner is the last one */
	pseudo_lookup_init();
	pseudo_pinned_init();		/* its own is the first one */
	pseudo_cache_init();
	pseudo_upsert_init();
	pseudo_label_init();
	pseudo_audit_init();
	pseudo_record_init();
	pseudo_admin_record_init();
	if (process_shared_preload_libraries_in_progress)
		begin_server();
}
