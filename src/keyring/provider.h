/*
 * provider.h
 *		Where documents come from: one small vtable a provider.
 */
#ifndef PSEUDO_PROVIDER_H
#define PSEUDO_PROVIDER_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "failure.h"
#include "keyring.h"

/* The options of one server, validated. */
typedef struct PseudoOptions
{
	const char *server;			/* its name */
	const struct PseudoProvider *provider;
	int			refresh_interval;	/* seconds */
	int			stale_limit;	/* seconds */
	int			timeout;		/* milliseconds, of all that one load or
								 * change does */
	bool		fresh;			/* pass by the caches on the way, such as an
								 * agent's */
	List	   *list;			/* DefElems, for pseudo_option() */
} PseudoOptions;

/* An option's text, or NULL. */
extern PGDLLEXPORT const char *pseudo_option(const PseudoOptions *options, const char *name);

typedef struct PseudoProvider
{
	const char *name;
	const char *const *option_names;	/* its own, NULL at the end */

	/*
	 * True if loading concerns this host alone, so that all backends may do
	 * it at once.
	 */
	bool		is_local;

	/*
	 * Check the options of a CREATE or ALTER SERVER; ereport()s.  Contacts
	 * nothing.
	 */
	void		(*validate) (const PseudoOptions *options);

	/* Check that the current user may set its own options; ereport()s. */
	void		(*check_set_right) (const PseudoOptions *options);

	/* Check that the current user may store; ereport()s. */
	void		(*check_store_right) (const PseudoOptions *options);

	/*
	 * Load the document.  Returns it with *version (palloc'ed, what
	 * identifies this state of the document in pseudo_keyrings) set, or data
	 * NULL and *failure filled in; with data, it may hold what an attempt
	 * before the last one met.  May ereport() only for a cancel or lack of
	 * memory.
	 */
	PseudoDocument (*load) (const PseudoOptions *options, char **version,
							PseudoFailure *failure);

	/*
	 * Change the document: load it (an empty one where there is none), call
	 * change(), store what it returns so that concurrent callers lose
	 * nothing.  Returns the stored document, its *version set; ereport()s on
	 * failure.  change() may be called again where the provider had to start
	 * over, and ereport()s itself.
	 */
	PseudoDocument (*change) (const PseudoOptions *options,
							  PseudoDocument (*change) (const PseudoDocument *old, void *arg),
							  void *arg, char **version);

	/*
	 * Random bytes for a new key, into secret memory, from where the options
	 * say; false where they do not, which leaves it to OpenSSL.  NULL: they
	 * never do.  ereport()s on failure.
	 */
	bool		(*random) (const PseudoOptions *options, uint8 *out, Size len);
} PseudoProvider;

/*
 * Check that the current user is a superuser, as a provider wants whose
 * options are the host's affair; detail says why.  Errors:
 * ERRCODE_INSUFFICIENT_PRIVILEGE.
 */
extern void pseudo_check_superuser(const PseudoOptions *options, const char *detail);

extern const PseudoProvider pseudo_provider_file;
extern const PseudoProvider pseudo_provider_command;
extern const PseudoProvider pseudo_provider_aws;	/* in a module of its own:
													 * see src/aws */

/* The provider of this name, or NULL; all of them, NULL at the end. */
extern const PseudoProvider *pseudo_provider_find(const char *name);
extern const PseudoProvider *const pseudo_providers[];

#endif							/* PSEUDO_PROVIDER_H */
