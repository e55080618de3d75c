/*
 * imds.h
 *		The instance metadata service of EC2, version 2 alone.
 */
#ifndef PSEUDO_AWS_IMDS_H
#define PSEUDO_AWS_IMDS_H

#include "postgres.h"

#include "aws.h"

/*
 * GET a path ("/latest/meta-data/...") with a session token; each request at most as long as aws->settings say.
 * Returns the body in the arena, or NULL with *problem set in words (palloc'ed): that it is switched
 * off by AWS_EC2_METADATA_DISABLED, not reached (with the hop limit as the likely cause in a container), 404 ...
 */
extern const char *pseudo_aws_imds_get(PseudoAws *aws, const char *path, const char **problem);

#endif							/* PSEUDO_AWS_IMDS_H */
