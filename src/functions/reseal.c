/*
 * reseal.c
 *		The same value under another key.
 */
#include "postgres.h"

#include "reseal.h"

/* How a pseudonym was made, as far as its nonce tells. */
typedef enum NonceMode
{
	DETERMINISTIC,				/* the nonce is the value's */
	RANDOM,
	UNCLEAR						/* looks deterministic, but is not the value's */
} NonceMode;

/* Tell the mode of an opened pseudonym: compute its nonce again, under the key that opened it. */
static NonceMode
mode_of(PseudoCall *call, const PseudoOpened *opened)
{
	uint8		nonce[PSEUDO_NONCE_LEN];

	for (int i = 0; i < PSEUDO_NONCE_LEN; i++)
	{
		uint8		c = opened->nonce[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return RANDOM;
	}
	pseudo_nonce_deterministic(nonce, pseudo_call_nonce_key(call, opened->key),
							   (uint8 *) VARDATA(opened->value), opened->len);
	return memcmp(nonce, opened->nonce, PSEUDO_NONCE_LEN) == 0 ? DETERMINISTIC : UNCLEAR;
}

/* See reseal.h. */
bool
pseudo_is_random(PseudoCall *call, const PseudoOpened *opened)
{
	return mode_of(call, opened) == RANDOM;
}

/* The pseudonym of the same value under the primary key; the same one where it has it already. */
static text *
seal_again(PseudoCall *call, text *pseudonym, const PseudoOpened *opened, NonceMode mode)
{
	PseudoKey  *key = call->keyring->primary;

	if (mode == UNCLEAR || opened->key == key)
		return pseudonym;
	return pseudo_seal(call, key, mode == DETERMINISTIC ? pseudo_call_nonce_key(call, key) : NULL,
					   VARDATA(opened->value), opened->len);
}

/* See reseal.h. */
text *
pseudo_reseal(PseudoCall *call, text *pseudonym, PseudoOpened *opened, bool deterministic)
{
	NonceMode	mode = mode_of(call, opened);
	text	   *result = seal_again(call, pseudonym, opened, mode);

	explicit_bzero(VARDATA(opened->value), opened->len);
	pfree(opened->value);
	if (mode == UNCLEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("cannot tell whether a pseudonym is deterministic or random"),
				 errdetail("Its nonce looks like a deterministic one, but is not the one of its value under key %u.",
						   opened->key->id),
				 errhint("It may have been made with another nonce key. Whoever may reidentify can pseudonymize its value again.")));
	if (mode == RANDOM && deterministic)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("pseudonym is random, and argument \"deterministic\" is true"),
				 errdetail("Under another key it would be another one each time."),
				 errhint("Leave \"deterministic\" out; a random pseudonym cannot be looked for.")));
	return result;
}
