/*
 * clock.h
 *		The monotonic clock, by which all waiting is measured.
 */
#ifndef PSEUDO_CLOCK_H
#define PSEUDO_CLOCK_H

#include "postgres.h"

#include <time.h>

/* Milliseconds since some moment of the past; never set back. */
static inline int64
pseudo_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif							/* PSEUDO_CLOCK_H */
