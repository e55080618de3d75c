/*
 * keyring.c
 *		A keyring's document: read into keys, and changed.
 *
 * A change splices new text into the old document, so that all it does not
 * concern stays as it was, and is read back before anyone stores it.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "json.h"
#include "keyring.h"
#include "secret.h"

#define MAX_KEY_ID		PG_UINT32_MAX
#define DOCUMENT_VERSION	1
#define NEW_KEY_BYTES	32		/* of a new key and of its nonce key */
#define MAX_START		(64 - PSEUDO_NONCE_LEN)	/* of the nonce in 64 hex digits */

/* The service's four fields. */
static const char *const material_fields[] = {
	"encodedSecretKey", "encodedNonceKey", "nonceStrPos", "nonceEndPos"
};

/* What the four fields of a key say. */
typedef struct Material
{
	const uint8 *secret;
	size_t		secret_len;
	const uint8 *nonce;
	size_t		nonce_len;
	uint32		start;
} Material;

/* Room to read a document in; a block of secret memory. */
typedef struct Reader
{
	PseudoJson	nodes[PSEUDO_JSON_MAX_NODES];
	char		bytes[4 * PSEUDO_DOCUMENT_MAX]; /* decoded strings */
	Size		used;
	char	   *fault;			/* palloc'ed */
} Reader;

static const char *const status_names[] = {"enabled", "disabled", "destroyed", "unusable"};

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
	return prefix == PSEUDO_PREFIX_RAW ? "raw" : "tink";
}

/* See keyring.h. */
PseudoKey *
pseudo_keyring_find(PseudoKeyring *keyring, uint32 id)
{
	for (int i = 0; i < keyring->nkeys; i++)
	{
		if (keyring->keys[i].id == id)
			return &keyring->keys[i];
	}
	return NULL;
}

/* Note a fault of a key ("key 2: " or "") and return false. */
static bool
set_fault(Reader *reader, const char *where, const char *what)
{
	if (reader->fault == NULL)
		reader->fault = psprintf("%s%s", where, what);
	return false;
}

/* The same for a named field. */
static bool
field_fault(Reader *reader, const char *where, const char *field, const char *what)
{
	if (reader->fault == NULL)
		reader->fault = psprintf("%sfield \"%s\" %s", where, field, what);
	return false;
}

/* A member that must be there. */
static PseudoJson *
required(Reader *reader, const char *where, const PseudoJson *object, const char *field)
{
	PseudoJson *node = pseudo_json_member(object, field);

	if (node == NULL)
		field_fault(reader, where, field, "is missing");
	return node;
}

/* Read a whole number from min to max. */
static bool
read_integer(Reader *reader, const char *where, const PseudoJson *object,
			 const char *field, uint64 min, uint64 max, uint64 *result)
{
	PseudoJson *node = required(reader, where, object, field);

	if (node == NULL)
		return false;
	if (pseudo_json_is(node, '"') || pseudo_json_is(node, '{') || pseudo_json_is(node, '[') ||
		!pseudo_json_integer(node, PG_UINT64_MAX, result))
		return field_fault(reader, where, field, "must be a whole number");
	if (*result < min || *result > max)
		return field_fault(reader, where, field, "is out of range");
	return true;
}

/* Read base64 text into the reader's bytes. */
static bool
read_base64(Reader *reader, const char *where, const PseudoJson *object,
			const char *field, const uint8 **bytes, size_t *len)
{
	PseudoJson *node = required(reader, where, object, field);
	char	   *out = reader->bytes + reader->used;
	Size		text_len;

	if (node == NULL)
		return false;
	if (!pseudo_json_is(node, '"'))
		return field_fault(reader, where, field, "must be a string");
	if (reader->used + (node->value_end - node->value) > sizeof(reader->bytes))
		return field_fault(reader, where, field, "is too long");
	text_len = pseudo_json_string(node, out);
	if (pseudo_base64_decode((uint8 *) out, len, out, text_len) != PSEUDO_OK)
		return field_fault(reader, where, field, "is not base64 text");
	*bytes = (uint8 *) out;
	reader->used += text_len;
	return true;
}

/* Read the service's four fields of an object. */
static bool
read_material(Reader *reader, const char *where, const PseudoJson *object, Material *material)
{
	uint64		start;
	uint64		end;

	if (!read_base64(reader, where, object, "encodedSecretKey",
					 &material->secret, &material->secret_len))
		return false;
	if (material->secret_len != 16 && material->secret_len != 32)
		return field_fault(reader, where, "encodedSecretKey", "must be 16 or 32 bytes");
	if (!read_base64(reader, where, object, "encodedNonceKey",
					 &material->nonce, &material->nonce_len))
		return false;
	if (material->nonce_len == 0)
		return field_fault(reader, where, "encodedNonceKey", "is empty");
	if (!read_integer(reader, where, object, "nonceStrPos", 0, MAX_START, &start) ||
		!read_integer(reader, where, object, "nonceEndPos", 0, MAX_START + PSEUDO_NONCE_LEN, &end))
		return false;
	if (end != start + PSEUDO_NONCE_LEN)
		return field_fault(reader, where, "nonceEndPos", "must be nonceStrPos + 12");
	material->start = (uint32) start;
	return true;
}

/* Has an object any of the four fields? */
static bool
has_material(const PseudoJson *object)
{
	for (int i = 0; i < (int) lengthof(material_fields); i++)
	{
		if (pseudo_json_member(object, material_fields[i]))
			return true;
	}
	return false;
}

/* Make a key ready for use. */
static void
set_material(PseudoKey *key, const Material *material)
{
	if (pseudo_siv_key_init(&key->siv, material->secret, material->secret_len) != PSEUDO_OK ||
		pseudo_nonce_key_init(&key->nonce, material->nonce, material->nonce_len,
							  material->start) != PSEUDO_OK)
		elog(ERROR, "could not set up a key");
	key->siv_bits = (int) material->secret_len * 8;
	key->nonce_key_len = (int) material->nonce_len;
}

/* Read a field that is one of two or three words; -1 where it is another word. */
static bool
read_word(Reader *reader, const char *where, const PseudoJson *object, const char *field,
		  const char *const *words, int n, int *word)
{
	PseudoJson *node = required(reader, where, object, field);

	if (node == NULL)
		return false;
	if (!pseudo_json_is(node, '"'))
		return field_fault(reader, where, field, "must be a string");
	for (*word = 0; *word < n; (*word)++)
	{
		if (pseudo_json_string_is(node, words[*word]))
			return true;
	}
	*word = -1;
	return true;
}

/* Read one element of "keys". */
static bool
read_key(Reader *reader, const PseudoJson *object, int number, PseudoKeyring *keyring,
		 Material *material, List **warnings)
{
	static const char *const prefixes[] = {"raw", "tink"};
	PseudoKey  *key = &keyring->keys[keyring->nkeys];
	char	   *where = psprintf("key number %d: ", number);
	uint64		id;
	int			prefix;
	int			status;

	if (!pseudo_json_is(object, '{'))
		return set_fault(reader, where, "it must be an object");
	if (!read_integer(reader, where, object, "keyId", 1, MAX_KEY_ID, &id))
		return false;
	where = psprintf("key %u: ", (uint32) id);
	if (pseudo_keyring_find(keyring, (uint32) id))
		return set_fault(reader, where, "there are two keys of this id");
	if (!read_word(reader, where, object, "outputPrefix", prefixes, 2, &prefix) ||
		!read_word(reader, where, object, "status", status_names, 3, &status))
		return false;

	key->id = (uint32) id;
	key->prefix = prefix == 0 ? PSEUDO_PREFIX_RAW : PSEUDO_PREFIX_TINK;
	key->status = (PseudoKeyStatus) status;
	if (prefix < 0 || status < 0)
	{
		key->status = PSEUDO_KEY_UNUSABLE;
		if (warnings)
			*warnings = lappend(*warnings,
								psprintf("key %u cannot be used: its field \"%s\" is unknown to this version of pseudo",
										 key->id, prefix < 0 ? "outputPrefix" : "status"));
	}
	else if (key->status == PSEUDO_KEY_DESTROYED)
	{
		if (has_material(object))
			return set_fault(reader, where, "it is destroyed, but has key material");
	}
	else
	{
		if (!read_material(reader, where, object, material))
			return false;
		set_material(key, material);
	}
	keyring->nkeys++;
	return true;
}

/* Are two keys' materials the same?  In constant time for the same lengths. */
static bool
same_material(const Material *a, const Material *b)
{
	return a->secret_len == b->secret_len && a->nonce_len == b->nonce_len &&
		a->start == b->start &&
		CRYPTO_memcmp(a->secret, b->secret, a->secret_len) == 0 &&
		CRYPTO_memcmp(a->nonce, b->nonce, a->nonce_len) == 0;
}

/* Sort by descending id, in place: qsort() may copy to a heap that nobody wipes. */
static void
sort_keys(PseudoKeyring *keyring)
{
	for (int i = 1; i < keyring->nkeys; i++)
	{
		for (int j = i; j > 0 && keyring->keys[j - 1].id < keyring->keys[j].id; j--)
		{
			PseudoKey	swap = keyring->keys[j];

			keyring->keys[j] = keyring->keys[j - 1];
			keyring->keys[j - 1] = swap;
			explicit_bzero(&swap, sizeof(swap));
		}
	}
}

/* Is a document one with several keys? */
static bool
has_several_keys(const PseudoJson *root)
{
	return pseudo_json_member(root, "keys") || pseudo_json_member(root, "version") ||
		pseudo_json_member(root, "primaryKeyId");
}

/* Read a document with several keys. */
static bool
read_several(Reader *reader, const PseudoJson *root, PseudoKeyring *keyring, List **warnings)
{
	PseudoJson *keys;
	uint64		version;
	uint64		primary;
	bool		top = has_material(root);
	bool		top_found = false;
	Material	top_material;
	int			number = 0;

	if (!read_integer(reader, "", root, "version", 0, PG_UINT64_MAX, &version))
		return false;
	if (version > DOCUMENT_VERSION)
		return set_fault(reader, "", "it was written by a newer version of pseudo");
	if (version != DOCUMENT_VERSION)
		return field_fault(reader, "", "version", "is out of range");
	if (!read_integer(reader, "", root, "primaryKeyId", 1, MAX_KEY_ID, &primary) ||
		(keys = required(reader, "", root, "keys")) == NULL)
		return false;
	if (!pseudo_json_is(keys, '[') || keys->first == NULL)
		return field_fault(reader, "", "keys", "must be an array of at least one key");
	if (top && !read_material(reader, "", root, &top_material))
		return false;

	for (PseudoJson *child = keys->first; child; child = child->next)
	{
		Material	material = {0};

		if (!read_key(reader, child, ++number, keyring, &material, warnings))
			return false;
		if (top && material.secret &&
			keyring->keys[keyring->nkeys - 1].prefix == PSEUDO_PREFIX_RAW &&
			same_material(&top_material, &material))
			top_found = true;
	}
	if (top && !top_found)
		return set_fault(reader, "", "the fields at its top level equal no raw key");

	sort_keys(keyring);
	keyring->primary = pseudo_keyring_find(keyring, (uint32) primary);
	if (keyring->primary == NULL)
		return field_fault(reader, "", "primaryKeyId", "names no key");
	if (keyring->primary->status != PSEUDO_KEY_ENABLED)
		return set_fault(reader, "", "the primary key is not enabled");
	return true;
}

/* Read the service's one-key document. */
static bool
read_one(Reader *reader, const PseudoJson *root, PseudoKeyring *keyring)
{
	Material	material;

	if (!read_material(reader, "", root, &material))
		return false;
	keyring->one_key = true;
	keyring->nkeys = 1;
	keyring->primary = &keyring->keys[0];
	keyring->primary->id = 1;
	keyring->primary->prefix = PSEUDO_PREFIX_RAW;
	keyring->primary->status = PSEUDO_KEY_ENABLED;
	set_material(keyring->primary, &material);
	return true;
}

/* How many children has a member? */
static int
count_children(const PseudoJson *root, const char *field)
{
	PseudoJson *node = pseudo_json_member(root, field);
	int			n = 0;

	for (PseudoJson *child = node ? node->first : NULL; child; child = child->next)
		n++;
	return n;
}

/* Parse the text; NULL with reader->fault set where it is no JSON object. */
static PseudoJson *
read_root(Reader *reader, const char *data, Size len)
{
	PseudoJson *root;

	if (len > PSEUDO_DOCUMENT_MAX)
	{
		reader->fault = psprintf("it is longer than %d bytes", PSEUDO_DOCUMENT_MAX);
		return NULL;
	}
	root = pseudo_json_parse(data, len, reader->nodes, &reader->fault);
	if (root && !pseudo_json_is(root, '{'))
	{
		set_fault(reader, "", "it is not a JSON object");
		return NULL;
	}
	return root;
}

/* See keyring.h. */
PseudoKeyring *
pseudo_keyring_parse(const char *data, Size len, char **fault, List **warnings)
{
	Reader	   *reader = pseudo_secret_alloc(sizeof(Reader));
	PseudoKeyring *volatile keyring = NULL;
	volatile bool ok = false;

	PG_TRY();
	{
		PseudoJson *root = read_root(reader, data, len);

		if (root)
		{
			keyring = pseudo_secret_alloc(offsetof(PseudoKeyring, keys) +
										  Max(count_children(root, "keys"), 1) * sizeof(PseudoKey));
			ok = has_several_keys(root) ? read_several(reader, root, keyring, warnings) :
				read_one(reader, root, keyring);
		}
	}
	PG_FINALLY();
	{
		*fault = reader->fault;
		pseudo_secret_free(reader);
		if (!ok)
			pseudo_secret_free(keyring);
	}
	PG_END_TRY();
	return ok ? keyring : NULL;
}

/*
 * A document with the text from at to end replaced; the old one stays.
 */
static PseudoDocument
splice(const PseudoDocument *old, const char *at, const char *end, const char *text, Size len)
{
	PseudoDocument new;
	Size		head = at - old->data;

	new.len = old->len - (end - at) + len;
	new.data = pseudo_secret_alloc(Max(new.len, 1));
	memcpy(new.data, old->data, head);
	memcpy(new.data + head, text, len);
	memcpy(new.data + head + len, end, old->data + old->len - end);
	return new;
}

/* Text being put together in secret memory; too long a text ends in a fault later. */
typedef struct SecretText
{
	Size		len;
	char		data[2 * PSEUDO_DOCUMENT_MAX];
} SecretText;

/* Append bytes. */
static void
add_bytes(SecretText *text, const char *bytes, Size len)
{
	if (text->len + len > sizeof(text->data))
		elog(ERROR, "keyring document is too long");
	memcpy(text->data + text->len, bytes, len);
	text->len += len;
}

/* Append a string. */
static void
add_string(SecretText *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

/* Append a quoted member, its value the base64 text of len bytes. */
static void
add_base64(SecretText *text, const char *field, const uint8 *bytes, Size len)
{
	add_string(text, psprintf("\"%s\": \"", field));
	if (text->len + PSEUDO_BASE64_LEN(len) > sizeof(text->data))
		elog(ERROR, "keyring document is too long");
	pseudo_base64_encode(text->data + text->len, bytes, len);
	text->len += PSEUDO_BASE64_LEN(len);
	add_string(text, "\"");
}

/* Append the four fields of a new key. */
static void
add_material(SecretText *text, const PseudoNewKey *key)
{
	add_base64(text, "encodedSecretKey", key->secret, NEW_KEY_BYTES);
	add_string(text, ", ");
	add_base64(text, "encodedNonceKey", key->nonce_key, NEW_KEY_BYTES);
	add_string(text, psprintf(", \"nonceStrPos\": 0, \"nonceEndPos\": %d", PSEUDO_NONCE_LEN));
}

/* Append a new key as an element of "keys". */
static void
add_key(SecretText *text, const PseudoNewKey *key, uint32 id)
{
	add_string(text, psprintf("{\"keyId\": %u, \"outputPrefix\": \"%s\", \"status\": \"enabled\", ",
							  id, pseudo_output_prefix_name(key->prefix)));
	add_material(text, key);
	add_string(text, "}");
}

/* The first document of a keyring. */
static PseudoDocument
first_document(SecretText *text, const PseudoNewKey *key)
{
	PseudoDocument empty = {text->data, 0};

	if (key->prefix == PSEUDO_PREFIX_RAW)
	{
		add_string(text, "{");
		add_material(text, key);
		add_string(text, "}\n");
	}
	else
	{
		add_string(text, "{\"version\": 1, \"primaryKeyId\": 1, \"keys\": [\n");
		add_key(text, key, 1);
		add_string(text, "]}\n");
	}
	return splice(&empty, empty.data, empty.data, text->data, text->len);
}

/* A one-key document with a second key; the four fields stay on top. */
static PseudoDocument
second_key(const PseudoDocument *old, const PseudoJson *root, SecretText *text,
		   const PseudoNewKey *key)
{
	add_string(text, psprintf(", \"version\": 1, \"primaryKeyId\": %d, \"keys\": [\n",
							  key->make_primary ? 2 : 1));
	add_string(text, "{\"keyId\": 1, \"outputPrefix\": \"raw\", \"status\": \"enabled\"");
	for (int i = 0; i < (int) lengthof(material_fields); i++)
	{
		PseudoJson *field = pseudo_json_member(root, material_fields[i]);

		add_string(text, ", ");
		add_bytes(text, field->name, field->value_end - field->name);
	}
	add_string(text, "},\n");
	add_key(text, key, 2);
	add_string(text, "]");
	return splice(old, root->last->value_end, root->last->value_end, text->data, text->len);
}

/* Replace the value of a member of an object. */
static PseudoDocument
replace_value(const PseudoDocument *old, const PseudoJson *object, const char *field,
			  const char *value)
{
	PseudoJson *node = pseudo_json_member(object, field);

	return splice(old, node->value, node->value_end, value, strlen(value));
}

/* Remove the four fields from an object, and no others. */
static PseudoDocument
remove_material(const PseudoDocument *old, const PseudoJson *object, SecretText *text)
{
	add_string(text, "{");
	for (PseudoJson *child = object->first; child; child = child->next)
	{
		bool		keep = true;

		for (int i = 0; i < (int) lengthof(material_fields); i++)
			keep = keep && child != pseudo_json_member(object, material_fields[i]);
		if (!keep)
			continue;
		if (text->len > 1)
			add_string(text, ", ");
		add_bytes(text, child->name, child->value_end - child->name);
	}
	add_string(text, "}");
	return splice(old, object->value, object->value_end, text->data, text->len);
}

/* The element of "keys" with this id; the document has been read before. */
static PseudoJson *
find_element(const PseudoJson *root, uint32 id)
{
	PseudoJson *keys = pseudo_json_member(root, "keys");

	for (PseudoJson *child = keys->first; child; child = child->next)
	{
		uint64		key_id;

		if (pseudo_json_integer(pseudo_json_member(child, "keyId"), MAX_KEY_ID, &key_id) &&
			key_id == id)
			return child;
	}
	elog(ERROR, "key %u is not in the document", id);
}

/* What a change works with. */
typedef struct Editor
{
	Reader	   *reader;
	SecretText *text;
	PseudoKeyring *keyring;		/* NULL for an empty document */
	PseudoJson *root;
	char	   *fault;
} Editor;

/* Is a document empty: nothing, white space, or {}? */
static bool
is_empty(const PseudoDocument *document)
{
	Size		n = 0;

	for (Size i = 0; i < document->len; i++)
	{
		char		c = document->data[i];

		if (strchr(" \t\r\n", c) == NULL || c == '\0')
		{
			if (c != (n == 0 ? '{' : '}') || n == 2)
				return false;
			n++;
		}
	}
	return n == 0 || n == 2;
}

/* Set up an editor of a document. */
static void
open_editor(Editor *editor, const PseudoDocument *document)
{
	editor->reader = pseudo_secret_alloc(sizeof(Reader));
	editor->text = pseudo_secret_alloc(sizeof(SecretText));
	if (document->data == NULL || is_empty(document))
		return;
	editor->keyring = pseudo_keyring_parse(document->data, document->len, &editor->fault, NULL);
	if (editor->keyring)
		editor->root = read_root(editor->reader, document->data, document->len);
}

/* Free what an editor holds. */
static void
close_editor(Editor *editor)
{
	pseudo_secret_free(editor->reader);
	pseudo_secret_free(editor->text);
	pseudo_secret_free(editor->keyring);
}

/* Read a changed document back; frees it where it has a fault. */
static void
check_document(PseudoDocument *document, char **fault)
{
	PseudoKeyring *keyring;

	PG_TRY();
	{
		keyring = pseudo_keyring_parse(document->data, document->len, fault, NULL);
	}
	PG_CATCH();
	{
		pseudo_secret_free(document->data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (keyring == NULL)
	{
		pseudo_secret_free(document->data);
		document->data = NULL;
	}
	pseudo_secret_free(keyring);
}

/* Put one step's result in the place of the document before it, and read it. */
static void
take_step(Editor *editor, PseudoDocument *document, PseudoDocument step)
{
	pseudo_secret_free(document->data);
	*document = step;
	editor->text->len = 0;
	editor->root = read_root(editor->reader, document->data, document->len);
	if (editor->root == NULL)
		editor->fault = editor->reader->fault;
}

/* A function that changes *document by steps, or sets editor->fault. */
typedef void (*EditFunction) (Editor *editor, PseudoDocument *document, void *arg);

/* Run a change on a copy of the old document. */
static PseudoDocument
edit_document(const PseudoDocument *old, EditFunction edit, void *arg, char **fault)
{
	Editor		editor = {0};
	PseudoDocument empty = {"", 0};
	PseudoDocument document = {NULL, 0};

	*fault = NULL;
	PG_TRY();
	{
		const PseudoDocument *from = old->data ? old : &empty;

		document = splice(from, from->data, from->data, "", 0);
		open_editor(&editor, &document);
		if (editor.fault == NULL)
			edit(&editor, &document, arg);
		*fault = editor.fault;
	}
	PG_CATCH();
	{
		close_editor(&editor);
		pseudo_secret_free(document.data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	close_editor(&editor);
	if (*fault)
	{
		pseudo_secret_free(document.data);
		document.data = NULL;
	}
	else
		check_document(&document, fault);
	return document;
}

/* What pseudo_document_add_key asks for. */
typedef struct AddKey
{
	const PseudoNewKey *key;
	uint32		id;
} AddKey;

/* EditFunction of pseudo_document_add_key. */
static void
edit_add_key(Editor *editor, PseudoDocument *document, void *arg)
{
	AddKey	   *add = arg;
	PseudoJson *keys;

	if (editor->keyring == NULL)
	{
		add->id = 1;
		take_step(editor, document, first_document(editor->text, add->key));
		return;
	}
	if (editor->keyring->one_key)
	{
		add->id = 2;
		take_step(editor, document, second_key(document, editor->root, editor->text, add->key));
		return;
	}
	if (editor->keyring->keys[0].id == MAX_KEY_ID)
	{
		editor->fault = pstrdup("it has the greatest key id that there is");
		return;
	}
	add->id = editor->keyring->keys[0].id + 1;
	keys = pseudo_json_member(editor->root, "keys");
	add_string(editor->text, ",\n");
	add_key(editor->text, add->key, add->id);
	take_step(editor, document,
			  splice(document, keys->last->value_end, keys->last->value_end,
					 editor->text->data, editor->text->len));
	if (add->key->make_primary && editor->fault == NULL)
		take_step(editor, document,
				  replace_value(document, editor->root, "primaryKeyId",
								psprintf("%u", add->id)));
}

/* See keyring.h. */
PseudoDocument
pseudo_document_add_key(const PseudoDocument *old, const PseudoNewKey *new_key,
						uint32 *id, char **fault)
{
	AddKey		add = {new_key, 0};
	PseudoDocument document = edit_document(old, edit_add_key, &add, fault);

	*id = add.id;
	return document;
}

/* The key of an id; NULL with editor->fault set where there is none. */
static PseudoKey *
existing_key(Editor *editor, uint32 id)
{
	PseudoKey  *key = editor->keyring ? pseudo_keyring_find(editor->keyring, id) : NULL;

	if (key == NULL)
		editor->fault = psprintf("it has no key %u", id);
	return key;
}

/* EditFunction of pseudo_document_set_primary. */
static void
edit_set_primary(Editor *editor, PseudoDocument *document, void *arg)
{
	uint32		id = *(uint32 *) arg;
	PseudoKey  *key = existing_key(editor, id);

	if (key == NULL || key == editor->keyring->primary)
		return;
	if (key->status != PSEUDO_KEY_ENABLED)
		editor->fault = psprintf("key %u is %s; only an enabled key can be primary", id,
								 pseudo_key_status_name(key->status));
	else
		take_step(editor, document,
				  replace_value(document, editor->root, "primaryKeyId", psprintf("%u", id)));
}

/* See keyring.h. */
PseudoDocument
pseudo_document_set_primary(const PseudoDocument *old, uint32 id, char **fault)
{
	return edit_document(old, edit_set_primary, &id, fault);
}

/* What pseudo_document_set_status asks for. */
typedef struct SetStatus
{
	uint32		id;
	PseudoKeyStatus status;
} SetStatus;

/* Do the four fields on top belong to this element of "keys"? */
static bool
top_belongs_to(Editor *editor, const PseudoJson *element)
{
	Material	top;
	Material	material;

	return has_material(editor->root) && has_material(element) &&
		read_material(editor->reader, "", editor->root, &top) &&
		read_material(editor->reader, "", element, &material) &&
		same_material(&top, &material);
}

/* EditFunction of pseudo_document_set_status. */
static void
edit_set_status(Editor *editor, PseudoDocument *document, void *arg)
{
	SetStatus  *set = arg;
	PseudoKey  *key = existing_key(editor, set->id);

	if (key == NULL || key->status == set->status)
		return;
	if (key == editor->keyring->primary)
		editor->fault = psprintf("key %u is primary; make another key primary first", set->id);
	else if (key->status == PSEUDO_KEY_DESTROYED)
		editor->fault = psprintf("key %u is destroyed and cannot come back", set->id);
	if (editor->fault)
		return;

	if (set->status == PSEUDO_KEY_DESTROYED)
	{
		if (top_belongs_to(editor, find_element(editor->root, set->id)))
			take_step(editor, document,
					  remove_material(document, editor->root, editor->text));
		take_step(editor, document,
				  remove_material(document, find_element(editor->root, set->id), editor->text));
	}
	take_step(editor, document,
			  replace_value(document, find_element(editor->root, set->id), "status",
							psprintf("\"%s\"", pseudo_key_status_name(set->status))));
}

/* See keyring.h. */
PseudoDocument
pseudo_document_set_status(const PseudoDocument *old, uint32 id,
						   PseudoKeyStatus status, char **fault)
{
	SetStatus	set = {id, status};

	return edit_document(old, edit_set_status, &set, fault);
}
