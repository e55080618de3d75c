/*
 * small_file.h
 *		Reading a file at one go.
 */
#ifndef PSEUDO_SMALL_FILE_H
#define PSEUDO_SMALL_FILE_H

#include "postgres.h"

/*
 * Read an open file to its end, at most size bytes, into memory of the
 * caller's choice: it may be secret.  Returns how many bytes that are, or -1
 * with errno set.
 */
extern PGDLLEXPORT ssize_t pseudo_read_to_end(int fd, char *data, Size size);

#endif							/* PSEUDO_SMALL_FILE_H */
