/*
 * module.c
 *		The second module's way in: the provider `aws`, as far as it needs libcurl.
 */
#include "postgres.h"

#include "fmgr.h"

#include "../compat.h"
#include "module.h"

PSEUDO_MODULE_MAGIC("pseudo_aws");

extern PGDLLEXPORT const PseudoProvider *pseudo_aws_provider(void);

static const PseudoProvider provider = {
	.name = "aws",
	.load = pseudo_aws_load,
	.change = pseudo_aws_store,
	.random = pseudo_aws_random
};

/* What provider_aws.c looks for in this module. */
const PseudoProvider *
pseudo_aws_provider(void)
{
	return &provider;
}
