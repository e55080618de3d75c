/*
 * core.c
 *		Tests of the core beyond the vectors: the implementations agree with each
 *		other, nonces and base64 with OpenSSL, and what must be refused is.
 *
 *	core [--messages N] [--nonces N] [--seed N]
 *
 * The environment variable PSEUDO_SIV_IMPL restricts the test to one implementation.
 */
#include "harness.h"

/* Read the arguments. */
static void
parse_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2)
	{
		char	   *end = NULL;
		unsigned long long n = i + 1 < argc ? strtoull(argv[i + 1], &end, 10) : 0;

		if (end == NULL || *end != '\0' || end == argv[i + 1])
			end = NULL;
		if (end != NULL && strcmp(argv[i], "--messages") == 0)
			n_messages = n;
		else if (end != NULL && strcmp(argv[i], "--nonces") == 0)
			n_nonces = n;
		else if (end != NULL && strcmp(argv[i], "--seed") == 0)
			seed = n;
		else
		{
			fprintf(stderr, "usage: core [--messages N] [--nonces N] [--seed N]\n");
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	const char *only = getenv("PSEUDO_SIV_IMPL");

	parse_arguments(argc, argv);
	for (int i = 0; pseudo_siv_choices[i].name != NULL && n_impls < MAX_IMPLS; i++)
	{
		const char *name = pseudo_siv_choices[i].name;

		if ((only == NULL || only[0] == '\0' || strcmp(only, name) == 0) && pseudo_siv_use(name))
			impls[n_impls++] = name;
	}
	if (n_impls == 0)
	{
		fprintf(stderr, "no implementation to test\n");
		return 1;
	}
	printf("seed %llu, implementations:", (unsigned long long) seed);
	for (int i = 0; i < n_impls; i++)
		printf(" %s", impls[i]);
	printf("\n");
	fflush(stdout);

	test_siv();
	test_batches();
	test_slow_siv();
	test_nonces();
	test_base64();
	test_edges();
	test_pseudonyms();
	return all_failed == 0 ? 0 : 1;
}
