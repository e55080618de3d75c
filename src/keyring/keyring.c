/*
 * keyring.c
 *		A keyring in memory, read from its JSON document.
 *
 * Every sentence about a fault is made of our own words, field names that we know and valid
 * key ids.
 */
#include "postgres.h"

#include <math.h>
#include <openssl/crypto.h>

#include "keyring.h"
#include "reader.h"
#include "secret.h"

#define MAX_NONCE_START	52
#define MAX_POSITION_TEXT	32	/* bytes of a position as it is written, for a
								 * small buffer */
#define FINGERPRINT_LABEL	"pseudo/fingerprint"

/* See reader.h. */
const char *const pseudo_material_fields[PSEUDO_MATERIAL_FIELDS] = {
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
bool
pseudo_key_is_weak(const PseudoKey *key)
{
	return key->nonce_key_len > 0 && key->nonce_key_len < PSEUDO_WEAK_NONCE_KEY;
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

/* See keyring.h. */
void
pseudo_keyring_free(PseudoKeyring *keyring)
{
	if (keyring)
		pseudo_secret_free(keyring->derived);
	pseudo_secret_free(keyring);
}

/*
 * Faults
 */

/*
 * Note what is wrong with a field; label ("key 2: ") says whose it is.
 * Returns false.
 */
static bool
field_fault(PseudoReader *r, const char *label, const char *field, const char *problem)
{
	r->fault = psprintf("%sfield \"%s\" %s", label, field, problem);
	return false;
}

/*
 * Check that no name comes twice in an object; names that we do not know are
 * not shown.
 */
static bool
check_doubled(PseudoReader *r, const char *label, const PseudoJson *object)
{
	if (object->doubled == NULL)
		return true;
	for (int i = 0; i < (int) lengthof(known_fields); i++)
	{
		if (pseudo_span_is(&object->doubled->name, known_fields[i]))
			return field_fault(r, label, known_fields[i], "is specified more than once");
	}
	r->fault = psprintf("%sa field is specified more than once", label);
	return false;
}

/*
 * Fields
 */

/* A field that must be there, or NULL with a fault. */
static PseudoJson *
need_field(PseudoReader *r, const char *label, const PseudoJson *object, const char *name)
{
	PseudoJson *field = pseudo_json_field(object, name);

	if (field == NULL)
		field_fault(r, label, name, "is missing");
	return field;
}

/* A field that must be a string, or NULL with a fault. */
static PseudoJson *
need_string(PseudoReader *r, const char *label, const PseudoJson *object, const char *name)
{
	PseudoJson *field = need_field(r, label, object, name);

	if (field && field->type != PSEUDO_NODE_STRING)
	{
		field_fault(r, label, name, "must be a string");
		return NULL;
	}
	return field;
}

/* Read a field that must be an integer in a range. */
static bool
need_integer(PseudoReader *r, const char *label, const PseudoJson *object, const char *name,
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
 * A position as the service takes it: its JSON library reads an int from a
 * number or a string, whatever way either is written, as long as it is a whole
 * number: 3, "3", "3.0", " 3 ", 3e0.  Not taken here is what only Java calls a
 * number: "3d", hexadecimal, digits of other scripts.
 */
static bool
read_position(const PseudoJson *field, uint32 max, uint32 *result)
{
	PseudoSpan text = field->type == PSEUDO_NODE_STRING ? field->text : field->source;
	char		number[MAX_POSITION_TEXT + 1];
	char	   *end;
	double		value;

	if (field->type != PSEUDO_NODE_STRING && field->type != PSEUDO_NODE_NUMBER)
		return false;
	for (; text.len > 0 && (unsigned char) text.data[0] <= ' '; text.len--)
		text.		data++;

	while (text.len > 0 && (unsigned char) text.data[text.len - 1] <= ' ')
		text.		len--;

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
need_position(PseudoReader *r, const char *label, const PseudoJson *object, const char *name,
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
need_base64(PseudoReader *r, const char *label, const PseudoJson *object, const char *name,
			size_t *len)
{
	PseudoJson *field = need_string(r, label, object, name);

	if (field == NULL)
		return false;
	if (pseudo_base64_decode(r->bytes, len, field->text.data, field->text.len) != PSEUDO_OK)
		return field_fault(r, label, name, "is not base64");
	return true;
}

/* Returns true if an object has any of the first n fields of the material. */
static bool
has_material(const PseudoJson *object, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (pseudo_json_field(object, pseudo_material_fields[i]))
			return true;
	}
	return false;
}

/*
 * Make what tells keys apart and gives nothing of them away, for they have 128
 * random bits or more: the start of an HMAC, as a deterministic nonce is;
 * key->nonce, not yet set, is the room for it.
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
read_material(PseudoReader *r, const char *label, const PseudoJson *object, PseudoKey *key)
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

/* See reader.h. */
bool
pseudo_same_material(const PseudoKey *a, const PseudoKey *b)
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

/* Read a key's outputPrefix and status. */
static bool
read_kind(PseudoReader *r, const char *label, const PseudoJson *object, PseudoKey *key)
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
		key->status = PSEUDO_KEY_UNUSABLE;
	}
	return true;
}

/* Read a key of several, whose id is set. */
static bool
read_key(PseudoReader *r, const PseudoJson *object, PseudoKey *key)
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
	uint32		x = ((const PseudoReaderEntry *) a)->id;
	uint32		y = ((const PseudoReaderEntry *) b)->id;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Read the ids of all entries of "keys" into r->entries, in order. */
static bool
read_entries(PseudoReader *r, const PseudoJson *keys)
{
	int			n = 0;

	if (keys->type != PSEUDO_NODE_ARRAY || keys->nchildren == 0)
		return field_fault(r, "", "keys", "must be an array of at least one key");
	r->entries = palloc(keys->nchildren * sizeof(PseudoReaderEntry));
	for (PseudoJson *object = keys->first; object; object = object->next)
	{
		char		label[32];
		PseudoReaderEntry *entry = &r->entries[n++];

		entry->object = object;
		snprintf(label, sizeof(label), "entry %d of keys: ", n);
		if (object->type != PSEUDO_NODE_OBJECT)
		{
			r->fault = psprintf("%snot an object", label);
			return false;
		}
		if (!check_doubled(r, label, object) ||
			!need_integer(r, label, object, "keyId", 1, PG_UINT32_MAX, &entry->id))
			return false;
	}
	qsort(r->entries, n, sizeof(PseudoReaderEntry), compare_entries);
	for (int i = 1; i < n; i++)
	{
		if (r->entries[i - 1].id == r->entries[i].id)
		{
			r->fault = psprintf("key %u is specified more than once", r->entries[i].id);
			return false;
		}
	}
	return true;
}

/* See keyring.h. */
PseudoKeyring *
pseudo_keyring_create(int n)
{
	PseudoKeyring *keyring = pseudo_secret_alloc(offsetof(PseudoKeyring, keys) + n * sizeof(PseudoKey));

	keyring->nkeys = n;
	return keyring;
}

/* Check that "version" is one that we know. */
static bool
check_version(PseudoReader *r)
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
read_primary(PseudoReader *r)
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
 * Returns true if the i-th key is a raw one and has the material of r->other.
 * The material of an unusable key may have a form that we do not know; a key
 * whose prefix we do not know does not count as raw.
 */
static bool
matches_other(PseudoReader *r, int i)
{
	PseudoKey  *key = &r->keyring->keys[i];
	PseudoKey  *unusable = r->other + 1;

	if (key->prefix != PSEUDO_PREFIX_RAW)
		return false;
	if (key->status != PSEUDO_KEY_UNUSABLE)
		return pseudo_same_material(key, r->other);
	memset(unusable, 0, sizeof(PseudoKey));
	if (!read_material(r, "", r->entries[i].object, unusable))
	{
		r->fault = NULL;
		return false;
	}
	return pseudo_same_material(unusable, r->other);
}

/* Check the service's four fields above several keys, where they are. */
static bool
check_service_fields(PseudoReader *r)
{
	if (!has_material(r->json.root, PSEUDO_MATERIAL_FIELDS))
		return true;
	r->other = pseudo_secret_alloc(2 * sizeof(PseudoKey));
	if (!read_material(r, "", r->json.root, r->other))
		return false;
	for (int i = 0; i < r->keyring->nkeys; i++)
	{
		if (matches_other(r, i))
			return true;
	}
	r->fault = pstrdup("the fields \"encodedSecretKey\" to \"nonceEndPos\" at the top do not match any raw key");
	return false;
}

/* Read a document of several keys. */
static bool
read_several(PseudoReader *r)
{
	PseudoJson *keys;

	if (!check_version(r))
		return false;
	keys = need_field(r, "", r->json.root, "keys");
	if (keys == NULL || !read_entries(r, keys))
		return false;
	r->keyring = pseudo_keyring_create(keys->nchildren);
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
read_one(PseudoReader *r)
{
	PseudoKey  *key;

	r->keyring = pseudo_keyring_create(1);
	key = &r->keyring->keys[0];
	key->id = 1;
	r->keyring->one_key = true;
	r->keyring->primary = key;
	return read_material(r, "", r->json.root, key);
}

/* See reader.h. */
bool
pseudo_reader_read(PseudoReader *r, const char *data, Size len)
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
	if (root->type != PSEUDO_NODE_OBJECT)
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
		r->fault = pstrdup("a field is specified more than once in one object");
	return !r->json.doubled;
}

/* See reader.h. */
void
pseudo_reader_free(PseudoReader *r)
{
	pseudo_json_free(&r->json);
	pseudo_keyring_free(r->keyring);
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
pseudo_keyring_parse(const char *data, Size len, char **fault)
{
	PseudoReader r = {0};
	PseudoKeyring *keyring;
	volatile bool ok = false;

	PG_TRY();
	{
		ok = pseudo_reader_read(&r, data, len);
	}
	PG_CATCH();
	{
		pseudo_reader_free(&r);
		PG_RE_THROW();
	}
	PG_END_TRY();

	keyring = ok ? r.keyring : NULL;
	if (ok)
		r.keyring = NULL;
	pseudo_reader_free(&r);
	*fault = r.fault;
	return keyring;
}

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
