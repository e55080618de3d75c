/*
 * reseal.c
 *		The same value under another key.
 */
#include "postgres.h"

#include "reseal.h"

/* Returns true if a nonce is spelled as a deterministic one, in digits of lower-case hex. */
static bool
is_hex(const uint8 *nonce)
{
	for (int i = 0; i < PSEUDO_NONCE_LEN; i++)
	{
		uint8		c = nonce[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

/* See reseal.h. */
PseudoNonceMode
pseudo_nonce_mode(PseudoCall *call, const PseudoOpened *opened)
{
	uint8		nonce[PSEUDO_NONCE_LEN];

	if (!is_hex(opened->nonce))
		return PSEUDO_NONCE_IS_RANDOM;
	pseudo_nonce_deterministic(nonce, pseudo_call_nonce_key(call, opened->key),
							   (uint8 *) VARDATA(opened->value), opened->len);
	return memcmp(nonce, opened->nonce, PSEUDO_NONCE_LEN) == 0 ?
		PSEUDO_NONCE_IS_DETERMINISTIC : PSEUDO_NONCE_IS_UNCLEAR;
}

/* The modes of those of a batch that a key has opened, and whose nonces are spelled as deterministic ones. */
static void
tell_group(PseudoCall *call, const PseudoOpenBatch *batch, const PseudoKey *key, PseudoNonceMode *modes)
{
	uint8		computed[PSEUDO_BATCH][PSEUDO_NONCE_LEN];
	uint8	   *nonces[PSEUDO_BATCH];
	const uint8 *values[PSEUDO_BATCH];
	size_t		lens[PSEUDO_BATCH];
	int			members[PSEUDO_BATCH];
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		if (batch->openers[i] != key || modes[i] != PSEUDO_NONCE_IS_UNCLEAR)
			continue;
		nonces[n] = computed[n];
		values[n] = (uint8 *) batch->values[i];
		lens[n] = batch->lens[i];
		members[n++] = i;
	}
	pseudo_nonce_deterministic_batch(nonces, pseudo_call_nonce_key(call, key), values, lens, n);
	for (int m = 0; m < n; m++)
	{
		if (memcmp(computed[m], values[m] - PSEUDO_NONCE_LEN, PSEUDO_NONCE_LEN) == 0)
			modes[members[m]] = PSEUDO_NONCE_IS_DETERMINISTIC;
	}
}

/* See reseal.h. */
void
pseudo_nonce_modes(PseudoCall *call, const PseudoOpenBatch *batch, PseudoNonceMode *modes)
{
	const PseudoKey *last = NULL;

	for (int i = 0; i < batch->n; i++)
	{
		if (batch->openers[i])
			modes[i] = is_hex((uint8 *) batch->values[i] - PSEUDO_NONCE_LEN) ?
				PSEUDO_NONCE_IS_UNCLEAR : PSEUDO_NONCE_IS_RANDOM;
	}
	for (int i = 0; i < batch->n; i++)
	{
		/* What stays unclear is told again only where keys alternate. */
		if (batch->openers[i] == NULL || batch->openers[i] == last || modes[i] != PSEUDO_NONCE_IS_UNCLEAR)
			continue;
		last = batch->openers[i];
		tell_group(call, batch, last, modes);
	}
}

/* See reseal.h. */
bool
pseudo_is_random(PseudoCall *call, const PseudoOpened *opened)
{
	return pseudo_nonce_mode(call, opened) == PSEUDO_NONCE_IS_RANDOM;
}

/* The pseudonym of the same value under the primary key; the same one where it has it already. */
static text *
seal_again(PseudoCall *call, text *pseudonym, const PseudoOpened *opened, PseudoNonceMode mode)
{
	PseudoKey  *key = call->keyring->primary;

	if (mode == PSEUDO_NONCE_IS_UNCLEAR || opened->key == key)
		return pseudonym;
	return pseudo_seal(call, key, mode == PSEUDO_NONCE_IS_DETERMINISTIC ? pseudo_call_nonce_key(call, key) : NULL,
					   VARDATA(opened->value), opened->len);
}

/* See reseal.h. */
text *
pseudo_reseal(PseudoCall *call, text *pseudonym, PseudoOpened *opened, bool deterministic)
{
	PseudoNonceMode mode = pseudo_nonce_mode(call, opened);
	text	   *result = seal_again(call, pseudonym, opened, mode);

	pseudo_opened_wipe(opened);
	if (mode == PSEUDO_NONCE_IS_UNCLEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("cannot tell whether a pseudonym is deterministic or random"),
				 errdetail("Its nonce looks like a deterministic one, but is not the one of its value under key %u.",
						   opened->key->id),
				 errhint("It may have been made with another nonce key. Whoever may reidentify can pseudonymize its value again.")));
	if (mode == PSEUDO_NONCE_IS_RANDOM && deterministic)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("pseudonym is random, and argument \"deterministic\" is true"),
				 errdetail("Under another key it would be another one each time."),
				 errhint("Leave \"deterministic\" out; a random pseudonym cannot be looked for.")));
	return result;
}
