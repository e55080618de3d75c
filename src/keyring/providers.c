/*
 * providers.c
 *		The providers that there are.
 */
#include "postgres.h"

#include "provider.h"

const PseudoProvider *const pseudo_providers[] = {
	&pseudo_provider_file,
	&pseudo_provider_aws,
	&pseudo_provider_command,
	NULL
};

/* See provider.h. */
const PseudoProvider *
pseudo_provider_find(const char *name)
{
	for (int i = 0; pseudo_providers[i]; i++)
	{
		if (strcmp(pseudo_providers[i]->name, name) == 0)
			return pseudo_providers[i];
	}
	return NULL;
}
