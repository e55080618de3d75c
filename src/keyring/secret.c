/*
 * secret.c
 *		Memory for keys: locked where the limits allow it, left out of core
 *		dumps and of forked children, wiped when freed.
 *
 * Each block is a mapping of its own: a page that holds its size, then the
 * locked pages that the caller sees.
 *
 * OpenSSL's secure heap would not do: it belongs to the process, has a fixed
 * size, and whoever initializes it first decides that for all.
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "access/parallel.h"
#include "utils/memutils.h"

#include "secret.h"

/* What the page before a block holds. */
typedef struct SecretHeader
{
	Size		size;			/* of the block, rounded to pages */
} SecretHeader;

static bool lock_warned = false;

/* Bytes of a page. */
static Size
page_size(void)
{
	return (Size) sysconf(_SC_PAGESIZE);
}

/* The header of a block. */
static SecretHeader *
header_of(void *ptr)
{
	return (SecretHeader *) ((char *) ptr - page_size());
}

/*
 * Keep a block out of core dumps and of children; advice, so failures are no
 * errors.
 */
static void
hide(void *ptr, Size size)
{
#if defined(MADV_DONTDUMP)
	(void) madvise(ptr, size, MADV_DONTDUMP);
#elif defined(MADV_NOCORE)
	(void) madvise(ptr, size, MADV_NOCORE);
#endif
#ifdef MADV_DONTFORK
	(void) madvise(ptr, size, MADV_DONTFORK);
#endif
}

/*
 * Warn, once a session, that memory could not be locked; frees ptr where the
 * warning is thrown.
 */
static void
warn_unlocked(void *ptr, int error)
{
	if (lock_warned || IsParallelWorker())
		return;
	lock_warned = true;
	PG_TRY();
	{
		errno = error;
		ereport(WARNING,
				(errmsg("could not lock the memory that holds keys: %m"),
				 errdetail("Keys may be written to swap space."),
				 errhint("Raise the limit RLIMIT_MEMLOCK of the server (ulimit -l, or LimitMEMLOCK in its systemd unit).")));
	}
	PG_CATCH();
	{
		pseudo_secret_free(ptr);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* See secret.h. */
void *
pseudo_secret_alloc(Size size)
{
	Size		page = page_size();
	char	   *base = MAP_FAILED;
	char	   *ptr;

	if (size <= MaxAllocHugeSize)
	{
		size = TYPEALIGN(page, Max(size, 1));
		base = mmap(NULL, page + size, PROT_READ | PROT_WRITE,
					MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	}
	if (base == MAP_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not map %zu bytes for keys.", size)));

	ptr = base + page;
	header_of(ptr)->size = size;
	hide(ptr, size);
	if (mlock(ptr, size) != 0)
		warn_unlocked(ptr, errno);
	return ptr;
}

#define CLEAR(n)	"vpxorq %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"

/* See secret.h. */
void
pseudo_secret_clear_registers(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile ("vzeroall":::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
						  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");

	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile (CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23)
						  CLEAR(24) CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31):);
#endif
}

/* See secret.h. */
void
pseudo_secret_free(void *ptr)
{
	Size		size;

	if (ptr == NULL)
		return;
	size = header_of(ptr)->size;
	explicit_bzero(ptr, size);
	pseudo_secret_clear_registers();
	(void) munmap(header_of(ptr), page_size() + size);
}

#define ARENA_FIRST	4096		/* bytes of an arena's first block; each next
								 * one is twice as large */
#define ARENA_LARGEST	65536	/* unless more is asked for */

/* A block of an arena; what it gives out follows it. */
typedef struct ArenaBlock
{
	struct ArenaBlock *next;
	Size		size;			/* bytes, with this header */
	Size		used;			/* likewise */
} ArenaBlock;

struct PseudoArena
{
	MemoryContextCallback callback;
	ArenaBlock *blocks;			/* the newest first */
};

/* Memory context callback: wipe and free an arena's blocks. */
static void
arena_free(void *arg)
{
	PseudoArena *arena = arg;

	while (arena->blocks)
	{
		ArenaBlock *next = arena->blocks->next;

		pseudo_secret_free(arena->blocks);
		arena->blocks = next;
	}
}

/* See secret.h. */
PseudoArena *
pseudo_arena_create(MemoryContext context)
{
	PseudoArena *arena = MemoryContextAllocZero(context, sizeof(PseudoArena));

	arena->callback.func = arena_free;
	arena->callback.arg = arena;
	MemoryContextRegisterResetCallback(context, &arena->callback);
	return arena;
}

/* See secret.h. */
void *
pseudo_arena_alloc(PseudoArena *arena, Size size)
{
	Size		header = TYPEALIGN(16, sizeof(ArenaBlock));
	ArenaBlock *block = arena->blocks;
	void	   *ptr;

	if (size > MaxAllocHugeSize)
		size = MaxAllocHugeSize;	/* which pseudo_secret_alloc refuses */
	size = TYPEALIGN(16, size);
	if (block == NULL || size > block->size - block->used)
	{
		Size		usual = block ? Min(2 * block->size, ARENA_LARGEST) : ARENA_FIRST;
		Size		total = Max(header + size, usual);

		block = pseudo_secret_alloc(total);
		block->next = arena->blocks;
		block->size = total;
		block->used = header;
		arena->blocks = block;
	}
	ptr = (char *) block + block->used;
	block->used += size;
	return ptr;
}

/* See secret.h. */
char *
pseudo_arena_copy(PseudoArena *arena, const char *data, Size len)
{
	char	   *copy = pseudo_arena_alloc(arena, len + 1);

	memcpy(copy, data, len);
	return copy;
}

/* See secret.h. */
char *
pseudo_arena_strdup(PseudoArena *arena, const char *string)
{
	return pseudo_arena_copy(arena, string, strlen(string));
}

/* See secret.h. */
char *
pseudo_arena_printf(PseudoArena *arena, const char *format, ...)
{
	va_list		args;
	int			len;
	char	   *text;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		elog(ERROR, "could not format a string");
	text = pseudo_arena_alloc(arena, (Size) len + 1);

	va_start(args, format);
	(void) vsnprintf(text, (Size) len + 1, format, args);
	va_end(args);
	return text;
}
