/*
 * shared_memory.h
 *		Memory for the keys that all backends share: made by the postmaster,
 *		locked, left out of core dumps, closed but for the moment of a copy.
 *
 * It is handed out in blocks of one size, so that nothing is ever lost between
 * them.  Every function but the first two is called with the lock of shared.c
 * held: for the last three as a writer.  None of them throws.
 */
#ifndef PSEUDO_SHARED_MEMORY_H
#define PSEUDO_SHARED_MEMORY_H

#include "postgres.h"

#define PSEUDO_SHARED_BLOCK	512 /* bytes */

/* What is kept there: a chain of blocks; all zeros where it is nothing. */
typedef struct PseudoStored
{
	int			first;			/* the number of its first block, from 1 */
	Size		len;			/* bytes */
} PseudoStored;

/* Bytes of PostgreSQL's shared memory for the list of so many blocks. */
extern Size pseudo_shared_memory_list_size(int blocks);

/*
 * Called by the postmaster: make the memory, with the list of its blocks in
 * `list`.  It is wiped and given back when PostgreSQL's shared memory is,
 * after a crash of a backend too.  Returns false where there is no memory to
 * be had.
 */
extern bool pseudo_shared_memory_create(void *list, int blocks);

/* Copy what is kept; returns false where the memory cannot be opened. */
extern bool pseudo_shared_memory_fetch(const PseudoStored *stored, void *data);

/*
 * Keep a copy in place of what was kept, which is wiped.  Returns false, with
 * nothing kept, where there is no room.
 */
extern bool pseudo_shared_memory_store(PseudoStored *stored, const void *data, Size len);

/* Wipe what is kept, and free its blocks. */
extern void pseudo_shared_memory_wipe(PseudoStored *stored);

#endif							/* PSEUDO_SHARED_MEMORY_H */
