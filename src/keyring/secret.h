/*
 * secret.h
 *		Memory for keys: locked where the limits allow it, left out of core
 *		dumps and of forked children, wiped when freed.
 */
#ifndef PSEUDO_SECRET_H
#define PSEUDO_SECRET_H

#include "postgres.h"

/*
 * Allocate size bytes, zeroed and page-aligned.  The caller frees them, also
 * in the middle of an error: they belong to no memory context.
 * Errors: ERRCODE_OUT_OF_MEMORY; a WARNING once a backend where mlock() is
 * refused (the message names RLIMIT_MEMLOCK).
 */
extern PGDLLEXPORT void *pseudo_secret_alloc(Size size);

/* Wipe and free what pseudo_secret_alloc gave; NULL is allowed. */
extern PGDLLEXPORT void pseudo_secret_free(void *ptr);

/*
 * Clear the vector registers, which are part of a core dump: some keep for
 * long what was decrypted or copied last.
 */
extern void pseudo_secret_clear_registers(void);

/*
 * An arena: secret memory for the strings of one operation, wiped and freed
 * all at once when its memory context is reset or deleted, in an error too.
 */
typedef struct PseudoArena PseudoArena;

extern PGDLLEXPORT PseudoArena *pseudo_arena_create(MemoryContext context);

/* size bytes, zeroed, aligned to 16.  Errors: ERRCODE_OUT_OF_MEMORY. */
extern PGDLLEXPORT void *pseudo_arena_alloc(PseudoArena *arena, Size size);

/* A copy of len bytes with a zero after them; of a string; of a format. */
extern PGDLLEXPORT char *pseudo_arena_copy(PseudoArena *arena, const char *data, Size len);
extern PGDLLEXPORT char *pseudo_arena_strdup(PseudoArena *arena, const char *string);
extern PGDLLEXPORT char *pseudo_arena_printf(PseudoArena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif							/* PSEUDO_SECRET_H */
