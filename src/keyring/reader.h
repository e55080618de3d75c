/*
 * reader.h
 *		A document that has been read, with the places in it that a change of it
 *		needs: for keyring.c and document.c alone.
 */
#ifndef PSEUDO_READER_H
#define PSEUDO_READER_H

#include "postgres.h"

#include "json_tree.h"
#include "keyring.h"

#define PSEUDO_MATERIAL_FIELDS	4

/*
 * The names of the fields of a key's material, which are also the service's
 * whole document.
 */
extern const char *const pseudo_material_fields[PSEUDO_MATERIAL_FIELDS];

/* An entry of "keys" and its id. */
typedef struct PseudoReaderEntry
{
	uint32		id;
	PseudoJson *object;
} PseudoReaderEntry;

/* A document being read; zeroed before. */
typedef struct PseudoReader
{
	PseudoJsonText json;
	PseudoKeyring *keyring;		/* secret memory, as the next two */
	PseudoKey  *other;			/* a key to compare with */
	uint8	   *bytes;			/* decoded base64 */
	PseudoReaderEntry *entries; /* as many as keys, in their order; NULL for a
								 * one-key document */
	char	   *fault;
} PseudoReader;

/*
 * Read a document.  Returns true with r->keyring set, or false with r->fault,
 * as pseudo_keyring_parse() says.  In any case, and where this throws, the
 * caller calls pseudo_reader_free().
 */
extern bool pseudo_reader_read(PseudoReader *r, const char *data, Size len);

/* Free all that reading a document took, but for the fault. */
extern void pseudo_reader_free(PseudoReader *r);

/*
 * Returns true if two keys have the same material; compares in constant time.
 */
extern bool pseudo_same_material(const PseudoKey *a, const PseudoKey *b);

#endif							/* PSEUDO_READER_H */
