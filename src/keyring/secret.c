/*
 * secret.c
 *		Memory for keys.
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "secret.h"

/* At the start of each block; the caller's bytes follow. */
typedef struct SecretHeader
{
	_Alignas(64) Size mapped;	/* bytes in all, a multiple of the page size */
} SecretHeader;

static bool lock_warned = false;

/* See secret.h. */
void *
pseudo_secret_alloc(Size size)
{
	Size		page = sysconf(_SC_PAGESIZE);
	Size		mapped = (size + sizeof(SecretHeader) + page - 1) / page * page;
	SecretHeader *block;

	block = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not map %zu bytes for keys.", mapped)));
	block->mapped = mapped;
#ifdef MADV_DONTDUMP
	(void) madvise(block, mapped, MADV_DONTDUMP);
#endif
#ifdef MADV_DONTFORK
	(void) madvise(block, mapped, MADV_DONTFORK);
#endif
	if (mlock(block, mapped) != 0 && !lock_warned)
	{
		int			save_errno = errno;

		lock_warned = true;
		PG_TRY();
		{
			ereport(WARNING,
					(errmsg("could not lock keys into memory: %s", strerror(save_errno)),
					 errhint("Raise the limit RLIMIT_MEMLOCK (LimitMEMLOCK= of systemd) of the server.")));
		}
		PG_CATCH();
		{
			munmap(block, mapped);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return block + 1;
}

/* See secret.h. */
void
pseudo_secret_free(void *ptr)
{
	SecretHeader *block;
	Size		mapped;

	if (ptr == NULL)
		return;
	block = (SecretHeader *) ptr - 1;
	mapped = block->mapped;
	explicit_bzero(block, mapped);
	munmap(block, mapped);
}
