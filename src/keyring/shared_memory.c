/*
 * shared_memory.c
 *		Memory for the keys that all backends share.
 *
 * PostgreSQL's own shared memory would not do: with huge pages, a part of it
 * cannot be left out of core dumps.  Nor would a DSM segment, which has a name
 * in a file system.  So it is a mapping of the postmaster's that its children
 * inherit.  memfd_secret(), where the kernel has it, takes the pages from the
 * kernel itself, so that neither /proc/PID/mem nor a debugger shows them.
 *
 * No process has it open for longer than a copy takes: a stray pointer, a read
 * beyond the end of a buffer and a dump find nothing there.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#include <unistd.h>

#include "storage/ipc.h"

#include "secret.h"
#include "shared_memory.h"

/* The list of blocks, in PostgreSQL's shared memory. */
typedef struct BlockList
{
	int			free;			/* the first free block, from 1; 0: none */
	int			nfree;
	int			next[FLEXIBLE_ARRAY_MEMBER];	/* of block i + 1: the one
												 * that follows it in its
												 * chain, or 0 */
} BlockList;

static BlockList *list = NULL;
static char *memory = NULL;		/* the mapping; NULL: none */
static Size memory_size = 0;	/* bytes, whole pages */
static char *opened = NULL;		/* the part that is open, or was last */
static Size opened_size = 0;	/* likewise */

/* See shared_memory.h. */
Size
pseudo_shared_memory_list_size(int blocks)
{
	return offsetof(BlockList, next) + (Size) blocks * sizeof(int);
}

/* Pages that are the kernel's secret; MAP_FAILED where it has no such thing. */
static void *
map_secret(Size size)
{
	void	   *ptr = MAP_FAILED;
#ifdef SYS_memfd_secret
	int			fd = (int) syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		return MAP_FAILED;
	if (ftruncate(fd, (off_t) size) == 0)
		ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void) close(fd);
#else
	(void) size;
#endif
	return ptr;
}

/* Pages of ours, as far as the system can keep them to itself. */
static void *
map_anonymous(Size size)
{
	void	   *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ptr == MAP_FAILED)
		return ptr;
#if defined(MADV_DONTDUMP)
	(void) madvise(ptr, size, MADV_DONTDUMP);
#elif defined(MADV_NOCORE)
	(void) madvise(ptr, size, MADV_NOCORE);
#endif
	if (mlock(ptr, size) != 0)
		ereport(WARNING,
				(errmsg("could not lock the memory that holds the server's keys: %m"),
				 errdetail("Keys may be written to swap space."),
				 errhint("Raise the limit RLIMIT_MEMLOCK of the server (ulimit -l, or LimitMEMLOCK in its systemd unit).")));
	return ptr;
}

/* A block's bytes. */
static char *
block_of(int number)
{
	return memory + (Size) (number - 1) * PSEUDO_SHARED_BLOCK;
}

/* Open some of the memory to this process; returns false where that fails. */
static bool
open_memory(char *from, Size size, int protection)
{
	opened = from;
	opened_size = size;
	return mprotect(from, size, protection) == 0;
}

/*
 * Open the pages of the blocks of a chain that hold so many bytes: all of them
 * would take longer, the more memory there is.
 */
static bool
open_chain(int first, Size len, int protection)
{
	Size		page = (Size) sysconf(_SC_PAGESIZE);
	int			lowest = first;
	int			highest = first;
	Size		from;

	if (memory == NULL)
		return false;
	for (; len > PSEUDO_SHARED_BLOCK; len -= PSEUDO_SHARED_BLOCK)
	{
		first = list->next[first - 1];
		lowest = Min(lowest, first);
		highest = Max(highest, first);
	}
	from = TYPEALIGN_DOWN(page, (Size) (lowest - 1) * PSEUDO_SHARED_BLOCK);
	return open_memory(memory + from,
					   TYPEALIGN(page, (Size) highest * PSEUDO_SHARED_BLOCK) - from, protection);
}

/* Close it again, with nothing left of what was copied. */
static void
close_memory(void)
{
	pseudo_secret_clear_registers();
	(void) mprotect(opened, opened_size, PROT_NONE);
}

/*
 * Exit callback of the postmaster: no key outlives PostgreSQL's shared memory.
 */
static void
remove_memory(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	if (memory && open_memory(memory, memory_size, PROT_READ | PROT_WRITE))
		explicit_bzero(memory, memory_size);
	if (memory)
		(void) munmap(memory, memory_size);
	memory = NULL;
	list = NULL;
}

/* See shared_memory.h. */
bool
pseudo_shared_memory_create(void *space, int blocks)
{
	Size		size = TYPEALIGN((Size) sysconf(_SC_PAGESIZE), (Size) blocks * PSEUDO_SHARED_BLOCK);
	void	   *ptr = map_secret(size);

	if (ptr == MAP_FAILED)
		ptr = map_anonymous(size);
	if (ptr == MAP_FAILED)
	{
		ereport(WARNING,
				(errmsg("could not map %zu bytes for the server's keys: %m", size),
				 errdetail("Each session loads its keyrings itself.")));
		return false;
	}
	memset(ptr, 0, size);		/* also has the system provide the pages now */
	memory = opened = ptr;
	memory_size = opened_size = size;
	close_memory();
	on_shmem_exit(remove_memory, (Datum) 0);

	list = space;
	list->free = 1;
	list->nfree = blocks;
	for (int i = 0; i < blocks; i++)
		list->next[i] = i + 1 < blocks ? i + 2 : 0;
	return true;
}

/* See shared_memory.h. */
bool
pseudo_shared_memory_fetch(const PseudoStored *stored, void *data)
{
	char	   *to = data;
	Size		left = stored->len;

	if (!open_chain(stored->first, left, PROT_READ))
		return false;
	for (int block = stored->first; left > 0; block = list->next[block - 1])
	{
		Size		part = Min(left, PSEUDO_SHARED_BLOCK);

		memcpy(to, block_of(block), part);
		to += part;
		left -= part;
	}
	close_memory();
	return true;
}

/* See shared_memory.h. */
void
pseudo_shared_memory_wipe(PseudoStored *stored)
{
	bool		open = stored->first != 0 &&
		open_chain(stored->first, stored->len, PROT_READ | PROT_WRITE);

	while (stored->first != 0)
	{
		int			block = stored->first;

		stored->first = list->next[block - 1];
		if (!open)
			continue;			/* what cannot be wiped is not used again */
		explicit_bzero(block_of(block), PSEUDO_SHARED_BLOCK);
		list->next[block - 1] = list->free;
		list->free = block;
		list->nfree++;
	}
	stored->len = 0;
	if (open)
		close_memory();
}

/* See shared_memory.h. */
bool
pseudo_shared_memory_store(PseudoStored *stored, const void *data, Size len)
{
	const char *from = data;
	int		   *link = &stored->first;

	pseudo_shared_memory_wipe(stored);
	if (len == 0 || len > (Size) list->nfree * PSEUDO_SHARED_BLOCK ||
		!open_chain(list->free, len, PROT_READ | PROT_WRITE))
		return len == 0;
	stored->len = len;
	while (len > 0)
	{
		int			block = list->free;
		Size		part = Min(len, PSEUDO_SHARED_BLOCK);

		list->free = list->next[block - 1];
		list->nfree--;
		list->next[block - 1] = 0;
		*link = block;
		link = &list->next[block - 1];
		memcpy(block_of(block), from, part);
		from += part;
		len -= part;
	}
	close_memory();
	return true;
}
