/*
 * bytes.h
 *		Integers in memory, in a byte order that does not depend on the processor.
 */
#ifndef PSEUDO_CORE_BYTES_H
#define PSEUDO_CORE_BYTES_H

#include <stdint.h>

/* Read 4 bytes at p, little-endian. */
static inline uint32_t
load32_le(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 |
		(uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* Read 8 bytes at p, little-endian. */
static inline uint64_t
load64_le(const uint8_t *p)
{
	return (uint64_t) load32_le(p) | (uint64_t) load32_le(p + 4) << 32;
}

/* Write v to 4 bytes at p, little-endian. */
static inline void
store32_le(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) v;
	p[1] = (uint8_t) (v >> 8);
	p[2] = (uint8_t) (v >> 16);
	p[3] = (uint8_t) (v >> 24);
}

/* Write v to 8 bytes at p, little-endian. */
static inline void
store64_le(uint8_t *p, uint64_t v)
{
	store32_le(p, (uint32_t) v);
	store32_le(p + 4, (uint32_t) (v >> 32));
}

/* Write v to 4 bytes at p, big-endian. */
static inline void
store32_be(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) (v >> 24);
	p[1] = (uint8_t) (v >> 16);
	p[2] = (uint8_t) (v >> 8);
	p[3] = (uint8_t) v;
}

#endif							/* PSEUDO_CORE_BYTES_H */
