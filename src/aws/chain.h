/*
 * chain.h
 *		The credentials that the database host has, found in the SDKs' order.
 */
#ifndef PSEUDO_AWS_CHAIN_H
#define PSEUDO_AWS_CHAIN_H

#include "postgres.h"

#include "aws.h"

/*
 * Find aws->credentials: environment; shared files; web identity; container; instance
 * metadata.  Temporary ones are kept in the backend, in secret memory, until five minutes before they
 * expire.  renew: do not use those kept (AWS has called them expired).
 * Failure: 28000, PSEUDO_FAIL_TRANSIENT, a detail that lists what was tried and why each failed; or,
 * of a source that is configured and fails, what it failed with.
 */
extern bool pseudo_aws_find_credentials(PseudoAws *aws, bool renew);

#endif							/* PSEUDO_AWS_CHAIN_H */
