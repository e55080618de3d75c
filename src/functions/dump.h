/*
 * dump.h
 *		Dumps of tables as the labels of their columns say: what pseudo_dump has pg_dump do.
 */
#ifndef PSEUDO_DUMP_H
#define PSEUDO_DUMP_H

/* Define the settings and take the hooks; once a backend. */
extern void pseudo_dump_init(void);

#endif							/* PSEUDO_DUMP_H */
