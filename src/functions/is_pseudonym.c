/*
 * is_pseudonym.c
 *		is_pseudonym(): does a text authenticate?
 *
 * It takes the right to pseudonymize, as repseudonymize() does, and like that it shows no value.  What it says of a
 * text, that somebody with the keys made it, is no help in guessing values: whoever may pseudonymize can make
 * deterministic pseudonyms and compare them, and of random ones it tells nothing that differs between values.
 */
#include "postgres.h"

#include "open.h"

PG_FUNCTION_INFO_V1(pseudo_is_pseudonym);

/*
 * is_pseudonym(value text, context text, keyring text)
 *
 * A pseudonym whose key is disabled or destroyed is none: a prefix is not authenticated, and whoever writes a text
 * could have an error raised for it.
 */
Datum
pseudo_is_pseudonym(PG_FUNCTION_ARGS)
{
	PseudoCall *call = pseudo_call(fcinfo, PSEUDO_RIGHT_PSEUDONYMIZE, 1, 2);
	PseudoOpened opened;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (!pseudo_try_open(call, PG_GETARG_TEXT_PP(0), &opened))
		PG_RETURN_BOOL(false);
	pseudo_opened_wipe(&opened);
	PG_RETURN_BOOL(true);
}
