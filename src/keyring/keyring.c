/*
 * keyring.c
 *		A keyring in memory, and the JSON document it is read from and written to.
 *
 * A change of a document is a handful of edits of its text: what we do not know, and
 * how it is laid out, stays as it is.  Every sentence about a fault is made of our own
 * words, field names that we know and valid key ids.
 */
#include "postgres.h"

#include <math.h>
#include <openssl/crypto.h>

#include "json.h"
#include "keyring.h"
#include "secret.h"

#define NEW_KEY_LEN		32		/* bytes, of a new key and its nonce key each */
#define MAX_NONCE_START	52
#define MAX_EDITS		10		/* four fields twice, two values */
#define MAX_POSITION_TEXT	32	/* bytes of a position as it is written, for a small buffer */
#define FINGERPRINT_LABEL	"pseudo/fingerprint"

/* The fields of the material, which are also the service's whole document. */
static const char *const material_fields[] = {
	"encodedSecretKey", "encodedNonceKey", "nonceStrPos", "nonceEndPos"
};

/* All fields that we know. */
static const char *const known_fields[] = {
	"version", "primaryKeyId", "keys", "keyId", "outputPrefix", "status",
	"encodedSecretKey", "encodedNonceKey", "nonceStrPos", "nonceEndPos"
};

static const char *const status_names[] = {
	[PSEUDO_KEY_ENABLED] = "enabled",
	[PSEUDO_KEY_DISABLED] = "disabled",
	[PSEUDO_KEY_DESTROYED] = "destroyed",
	[PSEUDO_KEY_UNUSABLE] = "unusable"
};

static const char *const prefix_names[] = {
	[PSEUDO_PREFIX_RAW] = "raw",
	[PSEUDO_PREFIX_TINK] = "tink",
	[PSEUDO_PREFIX_UNKNOWN] = "unknown"
};

/* An entry of "keys" and its id. */
typedef struct Entry
{
	uint32		id;
	PseudoJson *object;
} Entry;

/* A document being read. */
typedef struct Reader
{
	PseudoJsonText json;
	PseudoKeyring *keyring;		/* secret memory, as the next two */
	PseudoKey  *other;			/* a key to compare with */
	uint8	   *bytes;			/* decoded base64 */
	Entry	   *entries;		/* as many as keys, in their order; NULL for a one-key document */
	char	   *fault;
	List	   *warnings;
} Reader;

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
	const char *text;
	Size		len;
} Edit;

/* A change of a document, being made. */
typedef struct Change
{
	Reader		reader;
	Text		inserted;		/* what is longer than a word */
	Text		result;
	char		number[16];		/* a new value of primaryKeyId */
	Edit		edits[MAX_EDITS];
	int			nedits;
	const PseudoNewKey *new_key;
	uint32		id;
	PseudoKeyStatus status;
} Change;

/* See keyring.h. */
const char *
pseudo_key_status_name(PseudoKeyStatus status)
{
	return status_names[status];
}

/* See keyring.h. */
const char *
pseudo_output_prefix_name(PseudoOutputPrefix prefix)
{
	return prefix_names[prefix];
}

/* See keyring.h. */
PseudoKey *
pseudo_keyring_find(PseudoKeyring *keyring, uint32 id)
{
	int			low = 0;
	int			high = keyring->nkeys;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (keyring->keys[middle].id == id)
			return &keyring->keys[middle];
		if (keyring->keys[middle].id > id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/*
 * Faults
 */

/* Note what is wrong with a field; label ("key 2: ") says whose it is.  Returns false. */
static bool
field_fault(Reader *r, const char *label, const char *field, const char *problem)
{
	r->fault = psprintf("%sfield \"%s\" %s", label, field, problem);
	return false;
}

/* Check that no name comes twice in an object; names that we do not know are not shown. */
static bool
check_doubled(Reader *r, const char *label, const PseudoJson *object)
{
	if (object->doubled == NULL)
		return true;
	for (int i = 0; i < (int) lengthof(known_fields); i++)
	{
		if (pseudo_span_is(&object->doubled->name, known_fields[i]))
			return field_fault(r, label, known_fields[i], "comes twice");
	}
	r->fault = psprintf("%sa field comes twice", label);
	return false;
}

/*
 * Fields
 */

/* A field that must be there, or NULL with a fault. */
static PseudoJson *
need_field(Reader *r, const char *label, const PseudoJson *object, const char *name)
{
	PseudoJson *field = pseudo_json_field(object, name);

	if (field == NULL)
		field_fault(r, label, name, "is missing");
	return field;
}

/* A field that must be a string, or NULL with a fault. */
static PseudoJson *
need_string(Reader *r, const char *label, const PseudoJson *object, const char *name)
{
	PseudoJson *field = need_field(r, label, object, name);

	if (field && field->type != PSEUDO_JSON_STRING)
	{
		field_fault(r, label, name, "must be a string");
		return NULL;
	}
	return field;
}

/* Read a field that must be an integer in a range. */
static bool
need_integer(Reader *r, const char *label, const PseudoJson *object, const char *name,
			 uint32 min, uint32 max, uint32 *result)
{
	PseudoJson *field = need_field(r, label, object, name);
	uint64		value;

	if (field == NULL)
		return false;
	if (!pseudo_json_integer(field, &value) || value < min || value > max)
	{
		r->fault = psprintf("%sfield \"%s\" must be an integer from %u to %u",
							label, name, min, max);
		return false;
	}
	*result = (uint32) value;
	return true;
}

/*
 * A position as the service takes it: its JSON library reads an int from a number or a string, whatever way
 * either is written, as long as it is a whole number: 3, "3", "3.0", " 3 ", 3e0.  Not taken here is what
 * only Java calls a number: "3d", hexadecimal, digits of other scripts.
 */
static bool
read_position(const PseudoJson *field, uint32 max, uint32 *result)
{
	PseudoSpan	text = field->type == PSEUDO_JSON_STRING ? field->text : field->source;
	char		number[MAX_POSITION_TEXT + 1];
	char	   *end;
	double		value;

	if (field->type != PSEUDO_JSON_STRING && field->type != PSEUDO_JSON_NUMBER)
		return false;
	for (; text.len > 0 && (unsigned char) text.data[0] <= ' '; text.len--)
		text.data++;
	while (text.len > 0 && (unsigned char) text.data[text.len - 1] <= ' ')
		text.len--;
	if (text.len == 0 || text.len > MAX_POSITION_TEXT)
		return false;
	memcpy(number, text.data, text.len);
	number[text.len] = '\0';
	if (strspn(number, "0123456789+-.eE") != text.len)
		return false;
	value = strtod(number, &end);
	if (*end != '\0' || end == number || !(value >= 0 && value <= max) || value != floor(value))
		return false;
	*result = (uint32) value;
	return true;
}

/* Read a field that must be a position in the hex digits. */
static bool
need_position(Reader *r, const char *label, const PseudoJson *object, const char *name,
			  uint32 max, uint32 *result)
{
	PseudoJson *field = need_field(r, label, object, name);

	if (field == NULL)
		return false;
	if (!read_position(field, max, result))
	{
		r->fault = psprintf("%sfield \"%s\" must be an integer from 0 to %u", label, name, max);
		return false;
	}
	return true;
}

/* Read a field that must be base64, into r->bytes. */
static bool
need_base64(Reader *r, const char *label, const PseudoJson *object, const char *name,
			size_t *len)
{
	PseudoJson *field = need_string(r, label, object, name);

	if (field == NULL)
		return false;
	if (pseudo_base64_decode(r->bytes, len, field->text.data, field->text.len) != PSEUDO_OK)
		return field_fault(r, label, name, "is not base64");
	return true;
}

/* Does an object have any of the first n fields of the material? */
static bool
has_material(const PseudoJson *object, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (pseudo_json_field(object, material_fields[i]))
			return true;
	}
	return false;
}

/*
 * Make what tells keys apart and gives nothing of them away, for they have 128 random bits or more: the
 * start of an HMAC, as a deterministic nonce is; key->nonce, not yet set, is the room for it.
 */
static bool
make_fingerprint(PseudoKey *key, const uint8 *secret, size_t len)
{
	uint8		digits[PSEUDO_NONCE_LEN];

	if (pseudo_nonce_key_init(&key->nonce, secret, len, 0) != PSEUDO_OK)
		return false;
	pseudo_nonce_deterministic(digits, &key->nonce, (const uint8 *) FINGERPRINT_LABEL,
							   strlen(FINGERPRINT_LABEL));
	memcpy(key->fingerprint, digits, PSEUDO_FINGERPRINT_LEN);
	return true;
}

/* Read the four fields into a key. */
static bool
read_material(Reader *r, const char *label, const PseudoJson *object, PseudoKey *key)
{
	uint32		start;
	uint32		end;
	size_t		len;

	if (!need_base64(r, label, object, "encodedSecretKey", &len))
		return false;
	if ((len != 16 && len != 32) ||
		pseudo_siv_key_init(&key->siv, r->bytes, len) != PSEUDO_OK ||
		!make_fingerprint(key, r->bytes, len))
		return field_fault(r, label, "encodedSecretKey", "must be base64 of 16 or 32 bytes");
	key->siv_bits = (int) len * 8;

	if (!need_position(r, label, object, "nonceStrPos", MAX_NONCE_START, &start) ||
		!need_position(r, label, object, "nonceEndPos", MAX_NONCE_START + PSEUDO_NONCE_LEN, &end))
		return false;
	if (end != start + PSEUDO_NONCE_LEN)
		return field_fault(r, label, "nonceEndPos", "must be 12 more than \"nonceStrPos\"");

	if (!need_base64(r, label, object, "encodedNonceKey", &len))
		return false;
	if (len < 1 || pseudo_nonce_key_init(&key->nonce, r->bytes, len, start) != PSEUDO_OK)
		return field_fault(r, label, "encodedNonceKey", "must be base64 of at least one byte");
	key->nonce_key_len = (int) len;
	return true;
}

/* Have two keys the same material?  Compared in constant time. */
static bool
same_material(const PseudoKey *a, const PseudoKey *b)
{
	int			differ = a->siv_bits ^ b->siv_bits;

	differ |= a->nonce_key_len ^ b->nonce_key_len;
	differ |= CRYPTO_memcmp(a->siv.key, b->siv.key, sizeof(a->siv.key));
	differ |= CRYPTO_memcmp(&a->nonce, &b->nonce, sizeof(a->nonce));
	return differ == 0 && a->siv_bits != 0;
}

/*
 * Keys
 */

/* Note that a key cannot be used because of a field. */
static void
warn_unusable(Reader *r, PseudoKey *key, const char *field)
{
	key->status = PSEUDO_KEY_UNUSABLE;
	r->warnings = lappend(r->warnings,
						  psprintf("key %u cannot be used: its field \"%s\" is not one that this version knows",
								   key->id, field));
}

/* Read a key's outputPrefix and status. */
static bool
read_kind(Reader *r, const char *label, const PseudoJson *object, PseudoKey *key)
{
	PseudoJson *prefix = need_string(r, label, object, "outputPrefix");
	PseudoJson *status = prefix ? need_string(r, label, object, "status") : NULL;

	if (status == NULL)
		return false;
	for (key->status = PSEUDO_KEY_ENABLED; key->status < PSEUDO_KEY_UNUSABLE; key->status++)
	{
		if (pseudo_span_is(&status->text, status_names[key->status]))
			break;
	}
	if (pseudo_span_is(&prefix->text, prefix_names[PSEUDO_PREFIX_TINK]))
		key->prefix = PSEUDO_PREFIX_TINK;
	else if (pseudo_span_is(&prefix->text, prefix_names[PSEUDO_PREFIX_RAW]))
		key->prefix = PSEUDO_PREFIX_RAW;
	else
	{
		key->prefix = PSEUDO_PREFIX_UNKNOWN;
		warn_unusable(r, key, "outputPrefix");
		return true;
	}
	if (key->status == PSEUDO_KEY_UNUSABLE)
		warn_unusable(r, key, "status");
	return true;
}

/* Read a key of several, whose id is set. */
static bool
read_key(Reader *r, const PseudoJson *object, PseudoKey *key)
{
	char	   *label = psprintf("key %u: ", key->id);
	bool		ok = read_kind(r, label, object, key);

	if (ok && key->status == PSEUDO_KEY_DESTROYED && has_material(object, 2))
	{
		r->fault = psprintf("key %u is destroyed, but has material", key->id);
		ok = false;
	}
	else if (ok && key->status <= PSEUDO_KEY_DISABLED)
		ok = read_material(r, label, object, key);
	pfree(label);
	return ok;
}

/* Order entries by id, the greatest first. */
static int
compare_entries(const void *a, const void *b)
{
	uint32		x = ((const Entry *) a)->id;
	uint32		y = ((const Entry *) b)->id;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Read the ids of all entries of "keys" into r->entries, in order. */
static bool
read_entries(Reader *r, const PseudoJson *keys)
{
	int			n = 0;

	if (keys->type != PSEUDO_JSON_ARRAY || keys->nchildren == 0)
		return field_fault(r, "", "keys", "must be an array of at least one key");
	r->entries = palloc(keys->nchildren * sizeof(Entry));
	for (PseudoJson *object = keys->first; object; object = object->next)
	{
		char		label[32];
		Entry	   *entry = &r->entries[n++];

		entry->object = object;
		snprintf(label, sizeof(label), "entry %d of keys: ", n);
		if (object->type != PSEUDO_JSON_OBJECT)
		{
			r->fault = psprintf("%snot an object", label);
			return false;
		}
		if (!check_doubled(r, label, object) ||
			!need_integer(r, label, object, "keyId", 1, PG_UINT32_MAX, &entry->id))
			return false;
	}
	qsort(r->entries, n, sizeof(Entry), compare_entries);
	for (int i = 1; i < n; i++)
	{
		if (r->entries[i - 1].id == r->entries[i].id)
		{
			r->fault = psprintf("key %u comes twice", r->entries[i].id);
			return false;
		}
	}
	return true;
}

/* Make room for a keyring of n keys. */
static void
make_keyring(Reader *r, int n)
{
	r->keyring = pseudo_secret_alloc(offsetof(PseudoKeyring, keys) + n * sizeof(PseudoKey));
	r->keyring->nkeys = n;
}

/* Check that "version" is one that we know. */
static bool
check_version(Reader *r)
{
	PseudoJson *field = need_field(r, "", r->json.root, "version");
	uint64		version;

	if (field == NULL)
		return false;
	if (!pseudo_json_integer(field, &version) || version == 0)
		return field_fault(r, "", "version", "must be the integer 1");
	if (version > 1)
	{
		r->fault = pstrdup("it was written by a newer version of pseudo");
		return false;
	}
	return true;
}

/* Set the primary key. */
static bool
read_primary(Reader *r)
{
	uint32		id;

	if (!need_integer(r, "", r->json.root, "primaryKeyId", 1, PG_UINT32_MAX, &id))
		return false;
	r->keyring->primary = pseudo_keyring_find(r->keyring, id);
	if (r->keyring->primary == NULL)
		return field_fault(r, "", "primaryKeyId", "names no key");
	if (r->keyring->primary->status == PSEUDO_KEY_ENABLED)
		return true;
	r->fault = psprintf("key %u is primary and must be enabled, but is %s", id,
						pseudo_key_status_name(r->keyring->primary->status));
	return false;
}

/*
 * Does the i-th key, a raw one, have the material of r->other?  That of an unusable one may be unlike any;
 * one whose prefix we do not know is not raw by its own words.
 */
static bool
matches_other(Reader *r, int i)
{
	PseudoKey  *key = &r->keyring->keys[i];
	PseudoKey  *unusable = r->other + 1;

	if (key->prefix != PSEUDO_PREFIX_RAW)
		return false;
	if (key->status != PSEUDO_KEY_UNUSABLE)
		return same_material(key, r->other);
	memset(unusable, 0, sizeof(PseudoKey));
	if (!read_material(r, "", r->entries[i].object, unusable))
	{
		r->fault = NULL;
		return false;
	}
	return same_material(unusable, r->other);
}

/* Check the service's four fields above several keys, where they are. */
static bool
check_service_fields(Reader *r)
{
	if (!has_material(r->json.root, lengthof(material_fields)))
		return true;
	r->other = pseudo_secret_alloc(2 * sizeof(PseudoKey));
	if (!read_material(r, "", r->json.root, r->other))
		return false;
	for (int i = 0; i < r->keyring->nkeys; i++)
	{
		if (matches_other(r, i))
			return true;
	}
	r->fault = pstrdup("the fields \"encodedSecretKey\" to \"nonceEndPos\" at the top are those of no raw key");
	return false;
}

/* Read a document of several keys. */
static bool
read_several(Reader *r)
{
	PseudoJson *keys;

	if (!check_version(r))
		return false;
	keys = need_field(r, "", r->json.root, "keys");
	if (keys == NULL || !read_entries(r, keys))
		return false;
	make_keyring(r, keys->nchildren);
	for (int i = 0; i < r->keyring->nkeys; i++)
	{
		r->keyring->keys[i].id = r->entries[i].id;
		if (!read_key(r, r->entries[i].object, &r->keyring->keys[i]))
			return false;
	}
	return read_primary(r) && check_service_fields(r);
}

/* Read the service's document. */
static bool
read_one(Reader *r)
{
	PseudoKey  *key;

	make_keyring(r, 1);
	key = &r->keyring->keys[0];
	key->id = 1;
	r->keyring->one_key = true;
	r->keyring->primary = key;
	return read_material(r, "", r->json.root, key);
}

/* Read a document; returns false with r->fault set.  The caller frees r in any case. */
static bool
read_document(Reader *r, const char *data, Size len)
{
	const char *problem = NULL;
	PseudoJson *root;

	if (len > PSEUDO_DOCUMENT_MAX)
	{
		r->fault = psprintf("larger than %d bytes", PSEUDO_DOCUMENT_MAX);
		return false;
	}
	if (!pseudo_json_parse(&r->json, data, len, &problem))
	{
		r->fault = pstrdup(problem);
		return false;
	}
	root = r->json.root;
	if (root->type != PSEUDO_JSON_OBJECT)
	{
		r->fault = pstrdup("not a JSON object");
		return false;
	}
	if (!check_doubled(r, "", root))
		return false;

	r->bytes = pseudo_secret_alloc(len + 1);
	if (pseudo_json_field(root, "keys") || pseudo_json_field(root, "version") ||
		pseudo_json_field(root, "primaryKeyId"))
	{
		if (!read_several(r))
			return false;
	}
	else if (!read_one(r))
		return false;

	if (r->json.doubled)
		r->fault = pstrdup("a field comes twice in one object");
	return !r->json.doubled;
}

/* Free all that reading a document took, but for the fault and warnings. */
static void
free_reader(Reader *r)
{
	pseudo_json_free(&r->json);
	pseudo_secret_free(r->keyring);
	pseudo_secret_free(r->other);
	pseudo_secret_free(r->bytes);
	r->keyring = NULL;
	r->other = NULL;
	r->bytes = NULL;
	if (r->entries)
		pfree(r->entries);
	r->entries = NULL;
}

/* See keyring.h. */
PseudoKeyring *
pseudo_keyring_parse(const char *data, Size len, char **fault, List **warnings)
{
	Reader		r = {0};
	PseudoKeyring *keyring;
	volatile bool ok = false;

	PG_TRY();
	{
		ok = read_document(&r, data, len);
	}
	PG_CATCH();
	{
		free_reader(&r);
		PG_RE_THROW();
	}
	PG_END_TRY();

	keyring = ok ? r.keyring : NULL;
	if (ok)
		r.keyring = NULL;
	free_reader(&r);
	*fault = r.fault;
	if (warnings)
		*warnings = r.warnings;
	return keyring;
}

/*
 * Text
 */

/* Append bytes. */
static void
append(Text *text, const char *data, Size len)
{
	if (text->overflow || len > PSEUDO_DOCUMENT_MAX - text->len)
	{
		text->overflow = true;
		return;
	}
	if (len > 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
}

/* Append a string. */
static void
append_string(Text *text, const char *string)
{
	append(text, string, strlen(string));
}

/* Append a number. */
static void
append_number(Text *text, uint32 number)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%u", number);
	append_string(text, digits);
}

/* Append the base64 text of a new key, in quotes. */
static void
append_base64(Text *text, const uint8 *bytes)
{
	Size		len = PSEUDO_BASE64_LEN(NEW_KEY_LEN);

	append_string(text, "\"");
	if (text->overflow || len > PSEUDO_DOCUMENT_MAX - text->len)
		text->overflow = true;
	else
	{
		pseudo_base64_encode(text->data + text->len, bytes, NEW_KEY_LEN);
		text->len += len;
	}
	append_string(text, "\"");
}

/* Append the four fields of a new key; separator stands between them. */
static void
append_material(Text *text, const PseudoNewKey *new_key, const char *separator)
{
	append_string(text, "\"encodedSecretKey\": ");
	append_base64(text, new_key->secret);
	append_string(text, separator);
	append_string(text, "\"encodedNonceKey\": ");
	append_base64(text, new_key->nonce_key);
	append_string(text, separator);
	append_string(text, "\"nonceStrPos\": 0");
	append_string(text, separator);
	append_string(text, "\"nonceEndPos\": 12");
}

/* Append the start of an entry of "keys": the fields before the material. */
static void
append_entry(Text *text, uint32 id, PseudoOutputPrefix prefix)
{
	append_string(text, "\n    {\"keyId\": ");
	append_number(text, id);
	append_string(text, ", \"outputPrefix\": \"");
	append_string(text, pseudo_output_prefix_name(prefix));
	append_string(text, "\", \"status\": \"enabled\", ");
}

/* Append an entry for a new key. */
static void
append_new_entry(Text *text, uint32 id, const PseudoNewKey *new_key)
{
	append_entry(text, id, new_key->prefix);
	append_material(text, new_key, ", ");
	append_string(text, "}");
}

/* Append the fields above the entries of "keys". */
static void
append_head(Text *text, uint32 primary)
{
	append_string(text, "\n  \"version\": 1,\n  \"primaryKeyId\": ");
	append_number(text, primary);
	append_string(text, ",\n  \"keys\": [");
}

/*
 * Edits
 */

/* Replace len bytes of the old document. */
static void
edit(Change *c, const char *at, Size removed, const char *text, Size len)
{
	Assert(c->nedits < MAX_EDITS);
	c->edits[c->nedits++] = (Edit) {at, removed, text, len};
}

/* Replace a field's value. */
static void
edit_value(Change *c, const PseudoJson *object, const char *name, const char *text)
{
	const PseudoJson *field = pseudo_json_field(object, name);

	edit(c, field->source.data, field->source.len, text, strlen(text));
}

/* Is this field of the material? */
static bool
is_material(const PseudoJson *field)
{
	for (int i = 0; i < (int) lengthof(material_fields); i++)
	{
		if (pseudo_span_is(&field->name, material_fields[i]))
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
			edit(c, before->end, field->end - before->end, NULL, 0);
		else if (field->next)
			edit(c, field->start, field->next->start - field->start, NULL, 0);
		else
			edit(c, field->start, field->end - field->start, NULL, 0);
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

		append(&c->result, from, e->at - from);
		append(&c->result, e->text, e->len);
		from = e->at + e->removed;
	}
	append(&c->result, from, old->data + old->len - from);
}

/*
 * Changes
 */

/* See keyring.h. */
bool
pseudo_document_is_blank(const PseudoDocument *document)
{
	const char *expected = "{}";

	for (Size i = 0; document->data && i < document->len; i++)
	{
		char		c = document->data[i];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			continue;
		if (*expected == '\0' || c != *expected)
			return false;
		expected++;
	}
	return *expected != '}';
}

/* Make the first document. */
static void
add_first(Change *c)
{
	Text	   *text = &c->result;

	c->id = 1;
	append_string(text, "{");
	if (c->new_key->prefix == PSEUDO_PREFIX_RAW)
	{
		append_string(text, "\n  ");
		append_material(text, c->new_key, ",\n  ");
	}
	else
	{
		append_head(text, c->id);
		append_new_entry(text, c->id, c->new_key);
		append_string(text, "\n  ]");
	}
	append_string(text, "\n}\n");
}

/* Add a key to the service's document: below its fields, several keys. */
static bool
add_second(Change *c)
{
	const PseudoJson *root = c->reader.json.root;
	const PseudoJson *last = root->first;
	Text	   *text = &c->inserted;

	while (last->next)
		last = last->next;
	c->id = 2;
	append_string(text, ",");
	append_head(text, c->new_key->make_primary ? c->id : 1);
	append_entry(text, 1, PSEUDO_PREFIX_RAW);
	for (int i = 0; i < (int) lengthof(material_fields); i++)
	{
		const PseudoJson *field = pseudo_json_field(root, material_fields[i]);

		append(text, field->start, field->end - field->start);
		append_string(text, i < (int) lengthof(material_fields) - 1 ? ", " : "},");
	}
	append_new_entry(text, c->id, c->new_key);
	append_string(text, "\n  ]");
	edit(c, last->end, 0, text->data, text->len);
	return true;
}

/* Add a key to a document. */
static bool
add_key(Change *c)
{
	Reader	   *r = &c->reader;
	const PseudoJson *last;

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
	edit(c, last->end, 0, c->inserted.data, c->inserted.len);
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
		c->reader.fault = psprintf("there is no key %u", c->id);
	return key;
}

/* Make a key primary. */
static bool
set_primary(Change *c)
{
	Reader	   *r = &c->reader;
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

/* Can the key's status be set to c->status? */
static bool
check_status_change(Change *c, PseudoKey *key)
{
	Reader	   *r = &c->reader;

	if (key->status == PSEUDO_KEY_DESTROYED)
		r->fault = psprintf("key %u is destroyed, for good", key->id);
	else if (key == r->keyring->primary && c->status != PSEUDO_KEY_ENABLED)
		r->fault = psprintf("key %u is primary; make another key primary first", key->id);
	else if (key->status == PSEUDO_KEY_UNUSABLE)
		r->fault = psprintf("key %u has a status or an output prefix that this version does not know", key->id);
	return r->fault == NULL;
}

/* Does the service's document at the top hold this key? */
static bool
is_service_key(Reader *r, PseudoKey *key)
{
	return r->other && key->prefix == PSEUDO_PREFIX_RAW && same_material(key, r->other);
}

/* Set a key's status, and remove the material of a destroyed one. */
static bool
set_status(Change *c)
{
	static const char *const quoted[] = {"\"enabled\"", "\"disabled\"", "\"destroyed\""};
	Reader	   *r = &c->reader;
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
	keyring = pseudo_keyring_parse(c->result.data, c->result.len, &c->reader.fault, NULL);
	pseudo_secret_free(keyring);
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
		if (!read_document(&c->reader, old->data ? old->data : "", old->len) ||
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
	free_reader(&c->reader);
}

/* Do a change, and clean up; returns the new document, or none with *fault set. */
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
		new = (PseudoDocument) {c->result.data, c->result.len};
		c->result.data = NULL;
	}
	free_change(c);
	*fault = c->reader.fault;
	return new;
}

/* See keyring.h. */
PseudoDocument
pseudo_document_add_key(const PseudoDocument *old, const PseudoNewKey *new_key,
						uint32 *id, char **fault)
{
	Change		c = {.new_key = new_key};
	PseudoDocument new = change_document(&c, old, add_key, fault);

	*id = c.id;
	return new;
}

/* See keyring.h. */
PseudoDocument
pseudo_document_set_primary(const PseudoDocument *old, uint32 id, char **fault)
{
	Change		c = {.id = id};

	return change_document(&c, old, set_primary, fault);
}

/* See keyring.h. */
PseudoDocument
pseudo_document_set_status(const PseudoDocument *old, uint32 id,
						   PseudoKeyStatus status, char **fault)
{
	Change		c = {.id = id,.status = status};

	return change_document(&c, old, set_status, fault);
}
