/*
 * small_file.c
 *		Reading a file at one go.
 */
#include "postgres.h"

#include <unistd.h>

#include "small_file.h"

/* See small_file.h. */
ssize_t
pseudo_read_to_end(int fd, char *data, Size size)
{
	Size		len = 0;

	while (len < size)
	{
		ssize_t		got = read(fd, data + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += got;
	}
	return (ssize_t) len;
}
