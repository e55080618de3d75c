
/*
 * documents.c
 *		What test/fuzz/documents.py compares with its own reading.  Added to the end of src/pseudo.c of a copy of
 *		the sources, so that the module has two functions more.
 */
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "keyring/json_tree.h"
#include "keyring/keyring.h"
#include "keyring/secret.h"

PG_FUNCTION_INFO_V1(fuzz_json);
PG_FUNCTION_INFO_V1(fuzz_document);

/* Append bytes in hex. */
static void
append_hex(StringInfo out, const void *data, Size len)
{
	const uint8 *bytes = data;

	for (Size i = 0; i < len; i++)
		appendStringInfo(out, "%02x", bytes[i]);
}

/* Append a value and all beneath it: {name:value,...}, [value,...], "string", numbers and words as they are. */
static void
append_node(StringInfo out, const PseudoJson *node)
{
	bool		is_object = node->type == PSEUDO_NODE_OBJECT;

	if (node->type == PSEUDO_NODE_STRING)
	{
		appendStringInfoChar(out, '"');
		append_hex(out, node->text.data, node->text.len);
		appendStringInfoChar(out, '"');
		return;
	}
	if (!is_object && node->type != PSEUDO_NODE_ARRAY)
	{
		appendBinaryStringInfo(out, node->source.data, (int) node->source.len);
		return;
	}
	appendStringInfoChar(out, is_object ? '{' : '[');
	for (const PseudoJson *child = node->first; child; child = child->next)
	{
		if (child != node->first)
			appendStringInfoChar(out, ',');
		if (is_object)
		{
			append_hex(out, child->name.data, child->name.len);
			appendStringInfoChar(out, ':');
		}
		append_node(out, child);
	}
	appendStringInfoChar(out, is_object ? '}' : ']');
}

/* A copy of a bytea that ends where its allocation ends, for the sanitizers to see. */
static char *
exact_copy(bytea *document, Size *len)
{
	char	   *copy;

	*len = VARSIZE_ANY_EXHDR(document);
	copy = malloc(Max(*len, 1));
	memcpy(copy, VARDATA_ANY(document), *len);
	return copy;
}

/* fuzz_json(bytea) returns text: what the keyring's reader of JSON sees, NULL where it refuses. */
Datum
fuzz_json(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	PseudoJsonText json;
	const char *fault = NULL;
	Size		len;
	char	   *data = exact_copy(PG_GETARG_BYTEA_PP(0), &len);
	bool		ok = pseudo_json_parse(&json, data, len, &fault);

	initStringInfo(&out);
	if (ok)
		append_node(&out, json.root);
	pseudo_json_free(&json);
	free(data);
	if (!ok)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* Append a key: id, status, prefix, and, where it has material, the key and a nonce made by its nonce key. */
static void
append_key(StringInfo out, const PseudoKey *key)
{
	uint8_t		nonce[PSEUDO_NONCE_LEN];

	appendStringInfo(out, ";%u,%s", key->id, pseudo_key_status_name(key->status));
	if (key->status != PSEUDO_KEY_UNUSABLE)
		appendStringInfo(out, ",%s", pseudo_output_prefix_name(key->prefix));
	if (key->status > PSEUDO_KEY_DISABLED)
		return;
	appendStringInfo(out, ",%d,", key->nonce_key_len);
	append_hex(out, key->siv.key, key->siv_bits / 8);
	pseudo_nonce_deterministic(nonce, &key->nonce, (const uint8_t *) "fuzz", 4);
	appendStringInfo(out, ",%.12s", nonce);
}

/* fuzz_document(bytea) returns text: the keyring in a document, NULL where it is refused. */
Datum
fuzz_document(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	char	   *fault = NULL;
	Size		len;
	char	   *data = exact_copy(PG_GETARG_BYTEA_PP(0), &len);
	PseudoKeyring *keyring = pseudo_keyring_parse(data, len, &fault);

	free(data);
	if ((keyring == NULL) != (fault != NULL))
		elog(ERROR, "a document is refused without a fault, or read with one");
	if (keyring == NULL)
		PG_RETURN_NULL();
	initStringInfo(&out);
	appendStringInfo(&out, "%u", keyring->primary->id);
	for (int i = 0; i < keyring->nkeys; i++)
		append_key(&out, &keyring->keys[i]);
	pseudo_secret_free(keyring);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
