/*
 * document.c
 *		Changing a keyring's document.
 *
 * A change is a handful of edits of the text: what we do not know, and how it is laid
 * out, stays as it is.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "document.h"
#include "reader.h"
#include "secret.h"

#define NEW_KEY_LEN		32		/* bytes, of a new key and its nonce key each */
#define MAX_EDITS		10		/* four fields twice, two values */

/* Text in secret memory, of at most PSEUDO_DOCUMENT_MAX bytes. */
typedef struct Text
{
	char	   *data;
	Size		len;
	bool		overflow;
} Text;

/* Replace removed bytes at a place of the old document by a text. */
typedef struct Edit
{
	const char *at;
	Size		removed;
	const char *with;
	Size		len;
} Edit;

/* A change of a document, being made. */
typedef struct Change
{
	PseudoReader reader;
	Text		inserted;		/* what is longer than a word */
	Text		result;
	char		number[16];		/* a new value of primaryKeyId */
	Edit		edits[MAX_EDITS];
	int			nedits;
	const PseudoNewKey *new_key;
	uint32		id;
	PseudoKeyStatus status;
} Change;

/*
 * Text
 */

/* Append bytes. */
static void
append_bytes(Text *out, const char *data, Size len)
{
	if (out->overflow || len > PSEUDO_DOCUMENT_MAX - out->len)
	{
		out->overflow = true;
		return;
	}
	if (len > 0)
		memcpy(out->data + out->len, data, len);
	out->len += len;
}

/* Append a string. */
static void
append_string(Text *out, const char *string)
{
	append_bytes(out, string, strlen(string));
}

/* Append a number. */
static void
append_number(Text *out, uint32 number)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%u", number);
	append_string(out, digits);
}

/* Append the base64 text of a new key, in quotes. */
static void
append_base64(Text *out, const uint8 *bytes)
{
	Size		len = PSEUDO_BASE64_LEN(NEW_KEY_LEN);

	append_string(out, "\"");
	if (out->overflow || len > PSEUDO_DOCUMENT_MAX - out->len)
		out->overflow = true;
	else
	{
		pseudo_base64_encode(out->data + out->len, bytes, NEW_KEY_LEN);
		out->len += len;
	}
	append_string(out, "\"");
}

/* Append the four fields of a new key; separator stands between them. */
static void
append_material(Text *out, const PseudoNewKey *new_key, const char *separator)
{
	append_string(out, "\"encodedSecretKey\": ");
	append_base64(out, new_key->secret);
	append_string(out, separator);
	append_string(out, "\"encodedNonceKey\": ");
	append_base64(out, new_key->nonce_key);
	append_string(out, separator);
	append_string(out, "\"nonceStrPos\": 0");
	append_string(out, separator);
	append_string(out, "\"nonceEndPos\": 12");
}

/* Append the start of an entry of "keys": the fields before the material. */
static void
append_entry(Text *out, uint32 id, PseudoOutputPrefix prefix)
{
	append_string(out, "\n    {\"keyId\": ");
	append_number(out, id);
	append_string(out, ", \"outputPrefix\": \"");
	append_string(out, pseudo_output_prefix_name(prefix));
	append_string(out, "\", \"status\": \"enabled\", ");
}

/* Append an entry for a new key. */
static void
append_new_entry(Text *out, uint32 id, const PseudoNewKey *new_key)
{
	append_entry(out, id, new_key->prefix);
	append_material(out, new_key, ", ");
	append_string(out, "}");
}

/* Append the fields above the entries of "keys". */
static void
append_head(Text *out, uint32 primary)
{
	append_string(out, "\n  \"version\": 1,\n  \"primaryKeyId\": ");
	append_number(out, primary);
	append_string(out, ",\n  \"keys\": [");
}

/*
 * Edits
 */

/* Replace len bytes of the old document. */
static void
add_edit(Change *c, const char *at, Size removed, const char *with, Size len)
{
	Edit	   *e = &c->edits[c->nedits++];

	Assert(c->nedits <= MAX_EDITS);
	e->at = at;
	e->removed = removed;
	e->with = with;
	e->len = len;
}

/* Replace a field's value. */
static void
edit_value(Change *c, const PseudoJson *object, const char *name, const char *with)
{
	const PseudoJson *field = pseudo_json_field(object, name);

	add_edit(c, field->source.data, field->source.len, with, strlen(with));
}

/* Returns true if this field is part of the material. */
static bool
is_material(const PseudoJson *field)
{
	for (int i = 0; i < (int) PSEUDO_MATERIAL_FIELDS; i++)
	{
		if (pseudo_span_is(&field->name, pseudo_material_fields[i]))
			return true;
	}
	return false;
}

/* Remove an object's material, each field with one comma. */
static void
remove_material(Change *c, const PseudoJson *object)
{
	const PseudoJson *before = NULL;
	bool		kept = false;

	for (const PseudoJson *field = object->first; field; field = field->next)
	{
		if (!is_material(field))
			kept = true;
		else if (kept)
			add_edit(c, before->end, field->end - before->end, NULL, 0);
		else if (field->next)
			add_edit(c, field->start, field->next->start - field->start, NULL, 0);
		else
			add_edit(c, field->start, field->end - field->start, NULL, 0);
		before = field;
	}
}

/* Order edits by place. */
static int
compare_edits(const void *a, const void *b)
{
	const char *x = ((const Edit *) a)->at;
	const char *y = ((const Edit *) b)->at;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Write the old document with the edits to c->result. */
static void
apply_edits(Change *c, const PseudoDocument *old)
{
	const char *from = old->data;

	qsort(c->edits, c->nedits, sizeof(Edit), compare_edits);
	for (int i = 0; i < c->nedits; i++)
	{
		Edit	   *e = &c->edits[i];

		append_bytes(&c->result, from, e->at - from);
		append_bytes(&c->result, e->with, e->len);
		from = e->at + e->removed;
	}
	append_bytes(&c->result, from, old->data + old->len - from);
}

/*
 * Changes
 */

/* Make the first document. */
static void
add_first(Change *c)
{
	Text	   *out = &c->result;

	c->id = 1;
	append_string(out, "{");
	if (c->new_key->prefix == PSEUDO_PREFIX_RAW)
	{
		append_string(out, "\n  ");
		append_material(out, c->new_key, ",\n  ");
	}
	else
	{
		append_head(out, c->id);
		append_new_entry(out, c->id, c->new_key);
		append_string(out, "\n  ]");
	}
	append_string(out, "\n}\n");
}

/* Add a key to the service's document: below its fields, several keys. */
static bool
add_second(Change *c)
{
	const PseudoJson *root = c->reader.json.root;
	const PseudoJson *last = root->first;
	Text	   *out = &c->inserted;

	while (last->next)
		last = last->next;
	c->id = 2;
	append_string(out, ",");
	append_head(out, c->new_key->make_primary ? c->id : 1);
	append_entry(out, 1, PSEUDO_PREFIX_RAW);
	for (int i = 0; i < (int) PSEUDO_MATERIAL_FIELDS; i++)
	{
		const PseudoJson *field = pseudo_json_field(root, pseudo_material_fields[i]);

		append_bytes(out, field->start, field->end - field->start);
		append_string(out, i < (int) PSEUDO_MATERIAL_FIELDS - 1 ? ", " : "},");
	}
	append_new_entry(out, c->id, c->new_key);
	append_string(out, "\n  ]");
	add_edit(c, last->end, 0, out->data, out->len);
	return true;
}

/*
 * The id of the new key where the document has it already: a store whose answer was lost did take
 * effect, and others have gone on from there.  Else 0.  Takes constant time for each key.
 */
static uint32
find_new_key(const Change *c)
{
	const PseudoKeyring *keyring = c->reader.keyring;
	pseudo_siv_key siv;
	uint32		id = 0;

	memset(&siv, 0, sizeof(siv));	/* as a keyring's memory is */
	if (pseudo_siv_key_init(&siv, c->new_key->secret, NEW_KEY_LEN) == PSEUDO_OK)
	{
		for (int i = 0; i < keyring->nkeys; i++)
		{
			if (keyring->keys[i].siv_bits == NEW_KEY_LEN * 8 &&
				CRYPTO_memcmp(&keyring->keys[i].siv, &siv, sizeof(siv)) == 0)
				id = keyring->keys[i].id;
		}
	}
	explicit_bzero(&siv, sizeof(siv));
	return id;
}

/* Add a key to a document. */
static bool
add_key(Change *c)
{
	PseudoReader *r = &c->reader;
	const PseudoJson *last;

	c->id = find_new_key(c);
	if (c->id != 0)
		return true;
	if (r->keyring->one_key)
		return add_second(c);
	if (r->keyring->keys[0].id == PG_UINT32_MAX)
	{
		r->fault = psprintf("key %u exists, and there is no greater id", PG_UINT32_MAX);
		return false;
	}
	c->id = r->keyring->keys[0].id + 1;

	last = pseudo_json_field(r->json.root, "keys")->first;
	while (last->next)
		last = last->next;
	append_string(&c->inserted, ",");
	append_new_entry(&c->inserted, c->id, c->new_key);
	add_edit(c, last->end, 0, c->inserted.data, c->inserted.len);
	if (c->new_key->make_primary)
	{
		snprintf(c->number, sizeof(c->number), "%u", c->id);
		edit_value(c, r->json.root, "primaryKeyId", c->number);
	}
	return true;
}

/* The key to change, or NULL with a fault. */
static PseudoKey *
need_key(Change *c)
{
	PseudoKey  *key = pseudo_keyring_find(c->reader.keyring, c->id);

	if (key == NULL)
		c->reader.fault = psprintf("key %u does not exist", c->id);
	return key;
}

/* Make a key primary. */
static bool
set_primary(Change *c)
{
	PseudoReader *r = &c->reader;
	PseudoKey  *key = need_key(c);

	if (key == NULL)
		return false;
	if (key->status != PSEUDO_KEY_ENABLED)
	{
		r->fault = psprintf("key %u is %s, and only an enabled key can be primary",
							key->id, pseudo_key_status_name(key->status));
		return false;
	}
	if (r->keyring->one_key)
		return true;
	snprintf(c->number, sizeof(c->number), "%u", c->id);
	edit_value(c, r->json.root, "primaryKeyId", c->number);
	return true;
}

/* Returns true if the key's status can be set to c->status. */
static bool
check_status_change(Change *c, PseudoKey *key)
{
	PseudoReader *r = &c->reader;

	if (key->status == PSEUDO_KEY_DESTROYED)
		r->fault = psprintf("key %u is destroyed, for good", key->id);
	else if (key == r->keyring->primary && c->status != PSEUDO_KEY_ENABLED)
		r->fault = psprintf("key %u is primary; make another key primary first", key->id);
	else if (key->status == PSEUDO_KEY_UNUSABLE)
		r->fault = psprintf("key %u has a status or an output prefix that this version does not know", key->id);
	return r->fault == NULL;
}

/* Returns true if the service's document at the top holds this key. */
static bool
is_service_key(PseudoReader *r, PseudoKey *key)
{
	return r->other && key->prefix == PSEUDO_PREFIX_RAW && pseudo_same_material(key, r->other);
}

/* Set a key's status, and remove the material of a destroyed one. */
static bool
set_status(Change *c)
{
	static const char *const quoted[] = {"\"enabled\"", "\"disabled\"", "\"destroyed\""};
	PseudoReader *r = &c->reader;
	PseudoKey  *key = need_key(c);
	PseudoJson *object;

	if (key == NULL || !check_status_change(c, key))
		return false;
	if (r->keyring->one_key)
		return true;
	object = r->entries[key - r->keyring->keys].object;
	edit_value(c, object, "status", quoted[c->status]);
	if (c->status == PSEUDO_KEY_DESTROYED)
	{
		remove_material(c, object);
		if (is_service_key(r, key))
			remove_material(c, r->json.root);
	}
	return true;
}

/* Read back what has been written: it must be a keyring. */
static bool
check_result(Change *c)
{
	PseudoKeyring *keyring;

	if (c->inserted.overflow || c->result.overflow)
	{
		c->reader.fault = psprintf("the document would be larger than %d bytes",
								   PSEUDO_DOCUMENT_MAX);
		return false;
	}
	keyring = pseudo_keyring_parse(c->result.data, c->result.len, &c->reader.fault);
	pseudo_keyring_free(keyring);
	return keyring != NULL;
}

/* Do a change; returns false with a fault. */
static bool
do_change(Change *c, const PseudoDocument *old, bool (*change) (Change *))
{
	c->inserted.data = pseudo_secret_alloc(PSEUDO_DOCUMENT_MAX);
	c->result.data = pseudo_secret_alloc(PSEUDO_DOCUMENT_MAX);
	if (c->new_key && pseudo_document_is_blank(old))
		add_first(c);
	else
	{
		if (!pseudo_reader_read(&c->reader, old->data ? old->data : "", old->len) ||
			!change(c))
			return false;
		apply_edits(c, old);
	}
	return check_result(c);
}

/* Free all that a change took, but for the fault. */
static void
free_change(Change *c)
{
	pseudo_secret_free(c->inserted.data);
	pseudo_secret_free(c->result.data);
	pseudo_reader_free(&c->reader);
}

/*
 * Do a change, and clean up; returns the new document, or none with *fault
 * set.
 */
static PseudoDocument
change_document(Change *c, const PseudoDocument *old, bool (*change) (Change *), char **fault)
{
	PseudoDocument new = {NULL, 0};
	volatile bool ok = false;

	PG_TRY();
	{
		ok = do_change(c, old, change);
	}
	PG_CATCH();
	{
		free_change(c);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (ok)
	{
		new.data = c->result.data;
		new.len = c->result.len;
		c->result.data = NULL;
	}
	free_change(c);
	*fault = c->reader.fault;
	return new;
}

/* See document.h. */
PseudoDocument
pseudo_document_add_key(const PseudoDocument *old, const PseudoNewKey *new_key,
						uint32 *id, char **fault)
{
	Change		c = {.new_key = new_key};
	PseudoDocument new = change_document(&c, old, add_key, fault);

	*id = c.id;
	return new;
}

/* See document.h. */
PseudoDocument
pseudo_document_set_primary(const PseudoDocument *old, uint32 id, char **fault)
{
	Change		c = {.id = id};

	return change_document(&c, old, set_primary, fault);
}

/* See document.h. */
PseudoDocument
pseudo_document_set_status(const PseudoDocument *old, uint32 id,
						   PseudoKeyStatus status, char **fault)
{
	Change		c = {.id = id, .status = status};

	return change_document(&c, old, set_status, fault);
}
