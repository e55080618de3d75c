/*
 * url.h
 *		URLs, read by libcurl as it does when it connects, so that nothing they say can be taken in two ways.
 */
#ifndef PSEUDO_URL_H
#define PSEUDO_URL_H

#include "postgres.h"

#define PSEUDO_MAX_HOST	256		/* bytes of a host's name, with a zero */

/* Where a host is. */
typedef enum PseudoUrlReach
{
	PSEUDO_REACH_REMOTE,
	PSEUDO_REACH_LINK,			/* a link-local or metadata address */
	PSEUDO_REACH_LOOPBACK
} PseudoUrlReach;

/* A URL, as libcurl reads it. */
typedef struct PseudoUrl
{
	bool		tls;			/* https, not http */
	char		host[PSEUDO_MAX_HOST];	/* in brackets where it is an IPv6
										 * address */
	char		port[8];		/* empty where it is the scheme's own */
	PseudoUrlReach reach;
} PseudoUrl;

/* Parse a URL; false: it is none that we use: http or https, with a host, without a user. */
extern bool pseudo_url_parse(const char *string, PseudoUrl *url);

/* The host as the Host header has it (with a port that is not the scheme's own), palloc'ed. */
extern char *pseudo_url_host_header(const PseudoUrl *url);

/* The same of a URL that is not parsed yet; NULL: it is none that we use. */
extern char *pseudo_url_host(const char *url);

/* Returns true if the host of a URL is a loopback address, or localhost. */
extern bool pseudo_url_is_loopback(const char *url);

#endif							/* PSEUDO_URL_H */
