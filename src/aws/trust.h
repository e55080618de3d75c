/*
 * trust.h
 *		Which CAs a host's certificate is checked by, read once for all requests of a load.
 */
#ifndef PSEUDO_AWS_TRUST_H
#define PSEUDO_AWS_TRUST_H

#include "postgres.h"

#include <curl/curl.h>

typedef struct PseudoTrust PseudoTrust;

/* No CAs read yet; what is read is freed with the context. */
extern PseudoTrust *pseudo_trust_create(MemoryContext context);

/*
 * Have a request trust the CAs in a PEM file, or the system's where ca_file is NULL.  Returns
 * what curl_easy_setopt() does.
 */
extern CURLcode pseudo_trust_set(PseudoTrust *trust, CURL *easy, const char *ca_file);

/*
 * A certificate was not valid, or a CA could not be read: are there more CAs, in the system's bundle, than were asked?  The
 * next request then asks those.
 */
extern bool pseudo_trust_widen(PseudoTrust *trust);

#endif							/* PSEUDO_AWS_TRUST_H */
