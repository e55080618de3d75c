/*
 * refresher.c
 *		A background worker that loads the server's keyrings before anybody has to
 *		wait for them.
 *
 * It decides what is to be loaded, and each load is a worker of its own, so that
 * a store that hangs holds up no other.  Where no worker is to be had, it loads
 * itself, with a short timeout.  It has no database: what there is to load, the
 * server's keyrings say themselves.
 *
 * Nothing depends on it: where it is not there, dies or hangs, sessions load
 * what is due.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "load.h"
#include "options.h"
#include "refresher.h"
#include "shared.h"
#include "warn.h"

#define RESTART_TIME	5		/* seconds until it is started again */
#define MAX_LOADERS		2		/* workers at once */

/* A worker for a load, or NULL. */
static BackgroundWorkerHandle *loaders[MAX_LOADERS];

/* What all workers have in common. */
static BackgroundWorker
make_worker(const char *type, const char *function)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	snprintf(worker.bgw_type, BGW_MAXLEN, "%s", type);
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s", type);
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "pseudo");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "%s", function);
	return worker;
}

/* See refresher.h. */
void
pseudo_refresher_init(void)
{
	BackgroundWorker worker = make_worker("pseudo refresher", "pseudo_refresher_main");

	worker.bgw_restart_time = RESTART_TIME;
	RegisterBackgroundWorker(&worker);
}

/* Cleanup callback: a load was cancelled. */
static void
abandon_job(int code pg_attribute_unused(), Datum arg)
{
	pseudo_shared_abandon((PseudoSharedAsk *) DatumGetPointer(arg));
}

/* Say what a document should not have, or lack, once a version. */
static void
warn_of(const PseudoSharedAsk *ask, PseudoKeyring *old, PseudoKeyring *new, const char *version)
{
	if (!ask->new_version)
		return;
	if (old)
		pseudo_warn_of_lost(LOG, ask->options->server, old, ask->version, new, version);
	pseudo_warn_of_keys(LOG, ask->options->server, new);
}

/* Do the load of a job, and tell the server what came of it. */
static void
do_job(PseudoSharedAsk *ask)
{
	PseudoFailure failure = pseudo_no_failure();
	PseudoKeyring *volatile keyring = NULL;
	PseudoKeyring *volatile old = NULL;
	char	   *version = NULL;

	PG_ENSURE_ERROR_CLEANUP(abandon_job, PointerGetDatum(ask));
	{
		old = pseudo_shared_taken(ask);
		keyring = pseudo_load(ask->options, &version, &failure);
		if (keyring && old)
			pseudo_note_lost(old, keyring);
		(void) pseudo_shared_finish(ask, keyring, version, &failure);
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon_job, PointerGetDatum(ask));
	if (keyring)
		warn_of(ask, old, keyring, version);
	else
		pseudo_load_report(pseudo_load_level(failure.class, false), ask->options->server, &failure);
	pseudo_keyring_free(keyring);
	pseudo_keyring_free(old);
}

/* Load what a slot wants, within milliseconds where it is not 0. */
static void
load_slot(int slot, int limit)
{
	PseudoSharedRef ref = {0};
	PseudoSharedJob job;
	PseudoSharedAsk ask = {.ref = &ref, .reason = PSEUDO_LOAD_DUE};
	PseudoOptions *options;

	if (!pseudo_shared_job(slot, &job))
		return;
	options = pseudo_options_read(job.server, pseudo_options_of_identity(job.identity));
	options->refresh_interval = job.refresh_interval;
	options->stale_limit = job.stale_limit;
	options->timeout = limit > 0 ? Min(limit, job.timeout) : job.timeout;
	ask.identity = job.identity;
	ask.options = options;
	if (pseudo_shared_take(slot, &ask))
		do_job(&ask);
}

/* Be ready for signals and for memory. */
static void
begin_worker(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext, "pseudo refresher",
												 ALLOCSET_DEFAULT_SIZES);
}

/* See refresher.h. */
void
pseudo_refresher_load_main(Datum arg)
{
	begin_worker();
	if (pseudo_shared_is_on())
		load_slot(DatumGetInt32(arg), 0);
}

/* Start a worker for a load; returns false where there is none to be had. */
static bool
start_loader(int slot)
{
	BackgroundWorker worker = make_worker("pseudo loader", "pseudo_refresher_load_main");
	pid_t		pid;

	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	for (int i = 0; i < MAX_LOADERS; i++)
	{
		MemoryContext old;
		bool		ok;

		if (loaders[i] && GetBackgroundWorkerPid(loaders[i], &pid) != BGWH_STOPPED)
			continue;
		if (loaders[i])
			pfree(loaders[i]);
		loaders[i] = NULL;
		old = MemoryContextSwitchTo(TopMemoryContext);
		ok = RegisterDynamicBackgroundWorker(&worker, &loaders[i]);
		MemoryContextSwitchTo(old);
		return ok;
	}
	return false;
}

/* Exit callback: nobody is to set the latch of a process that is gone. */
static void
stop_attending(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	pseudo_shared_attend(false);
}

/* See refresher.h. */
void
pseudo_refresher_main(Datum arg pg_attribute_unused())
{
	begin_worker();
	if (!pseudo_shared_is_on())
		proc_exit(0);			/* which is not started again */
	before_shmem_exit(stop_attending, (Datum) 0);
	pseudo_shared_attend(true);
	for (;;)
	{
		int64		wait_ms;
		int			slot;

		ResetLatch(MyLatch);	/* before looking: providers reset it, too */
		CHECK_FOR_INTERRUPTS();
		slot = pseudo_shared_next(&wait_ms);
		if (slot < 0)
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 (long) wait_ms, pseudo_wait_event(PSEUDO_WAIT_REFRESHER));
		else if (!start_loader(slot))
			load_slot(slot, PSEUDO_SHORT_TIMEOUT);
		MemoryContextReset(CurrentMemoryContext);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
