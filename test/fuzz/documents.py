#!/usr/bin/python3
"""Documents and JSON, made at random, read by the extension and by Python.

	documents.py make N SEED FOLDER		writes FOLDER/documents.tsv, for the table that documents.sql makes
	documents.py check FOLDER			compares FOLDER/results.tsv with what is right; the last line is the sum

Three readers are compared: the keyring's of JSON (with Python's json module), that of keyrings (with
read_keyring() below, written from section 2 of doc/design.md), and the walk of pseudonymize_json and
reidentify_json (with places_of() below).  Documents are valid ones, valid ones with mistakes in their fields, and
either with bytes changed.
"""
import base64
import hashlib
import hmac
import json
import random
import re
import sys
from decimal import Decimal

DEPTH = 32						# of keyrings
LARGEST = 65536
KEYS = ("email", "id", "\u00e9", "a\"b")	# whose values are pseudonymized
MATERIAL = ("encodedSecretKey", "encodedNonceKey", "nonceStrPos", "nonceEndPos")


class Refused(Exception):
	"""What the document is not."""


# ---- Making documents ----

def random_bytes(rng, lengths):
	return bytes(rng.randrange(256) for _ in range(rng.choice(lengths)))


def material(rng):
	start = rng.randrange(53)
	return {"encodedSecretKey": base64.b64encode(random_bytes(rng, (16, 32))).decode(),
			"encodedNonceKey": base64.b64encode(random_bytes(rng, (1, 8, 16, 32, 64, 65, 100))).decode(),
			"nonceStrPos": start, "nonceEndPos": start + 12}


def keyring(rng):
	"""A valid document, as a list of fields, so that one can come twice."""
	if rng.random() < 0.3:
		return list(material(rng).items())
	ids = rng.sample([1, 2, 3, 7, 77, 65536, 2**31, 2**32 - 1], rng.randint(1, 4))
	keys = []
	for number in ids:
		status = "enabled" if number == ids[0] else rng.choice(("enabled", "disabled", "destroyed", "frozen"))
		key = {"keyId": number, "outputPrefix": rng.choice(("raw", "tink")), "status": status}
		if status != "destroyed":
			key.update(material(rng))
		keys.append(key)
	fields = {"version": 1, "primaryKeyId": ids[0], "keys": [list(key.items()) for key in keys]}
	raw = [key for key in keys if key["outputPrefix"] == "raw" and "nonceStrPos" in key]
	if raw and rng.random() < 0.5:
		fields.update({name: rng.choice(raw)[name] for name in MATERIAL} if rng.random() < 0.3 else
					  {name: raw[0][name] for name in MATERIAL})
	return list(fields.items())


STRANGE = (None, True, 0, 1, 2, -1, 52, 53, 64, 65, 1.0, "3", "15", " 3 ", "3.0", "03", "1.5e1", "+3", "3d", "0x3", "1e-400", "", 2**32, 2**64, 10**30, "", "raw", "enabled", "destroyed", "no", "AA", "AA==", "AB==",
		   "AAECAwQFBgcICQoLDA0ODw==", [], [[]], {}, ["x"])


def spoil(rng, fields):
	"""Make a mistake somewhere in the fields of a document."""
	target = fields
	keys = [value for name, value in fields if name == "keys" and isinstance(value, list)]
	if keys and keys[0] and rng.random() < 0.6:
		entry = rng.choice(keys[0])
		target = entry if isinstance(entry, list) and entry and isinstance(entry[0], tuple) else fields
	place = rng.randrange(len(target))
	kind = rng.randrange(6)
	if kind == 0:
		del target[place]
	elif kind == 1:
		target.insert(place, target[rng.randrange(len(target))])
	elif kind == 2:
		target[place] = (target[place][0] + rng.choice((" ", "s", "\u0000")), target[place][1])
	elif kind == 3:
		target.append((rng.choice(("note", "version", "keys", "status") + MATERIAL), rng.choice(STRANGE)))
	else:
		target[place] = (target[place][0], rng.choice(STRANGE))


def tree(rng, depth):
	"""Any JSON value; objects are lists of pairs."""
	kind = rng.randrange(9 if depth > 0 else 6)
	if kind == 0:
		return rng.choice((None, True, False))
	if kind == 1:
		return rng.choice((0, -1, 12, 10**40, 1.5, 1e-5, -0.0))
	if kind < 6:
		return "".join(rng.choice(("a", "b", "\u00e9", "\U0001f600", "\n", "\"", "\\", "/", "\u007f", "\u20ac", "\u0001")) for _ in range(rng.randrange(12)))
	n = rng.randrange(5)
	if kind == 6:
		return [tree(rng, depth - 1) for _ in range(n)]
	return Pairs((rng.choice(KEYS + ("x", "")), tree(rng, depth - 1)) for _ in range(n))


class Pairs(list):
	"""The fields of an object."""


def spell_string(rng, text):
	"""A string of JSON, some of it in escapes."""
	out = []
	for c in text:
		if c in "\"\\" or c < " " or rng.random() < 0.08:
			short = {"\"": "\\\"", "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c)
			units = c.encode("utf-16-be")
			long = "".join("\\u%02x%02x" % (units[i], units[i + 1]) for i in range(0, len(units), 2))
			out.append(short if short and rng.random() < 0.7 else long if rng.random() < 0.5 else long.upper().replace("\\U", "\\u"))
		else:
			out.append(c)
	return "\"" + "".join(out) + "\""


def spell(rng, value):
	"""JSON of a value, laid out at random."""
	space = lambda: rng.choice(("", "", "", " ", "\n", "\t ", "\r\n"))
	if isinstance(value, str):
		return spell_string(rng, value)
	if isinstance(value, Pairs) or isinstance(value, list) and value and all(isinstance(v, tuple) for v in value):
		return "{" + space() + ",".join(space() + spell_string(rng, n) + space() + ":" + space() + spell(rng, v) + space() for n, v in value) + "}"
	if isinstance(value, list):
		return "[" + space() + ",".join(space() + spell(rng, v) + space() for v in value) + "]"
	if isinstance(value, dict):
		return spell(rng, Pairs(value.items()))
	if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.1:
		return rng.choice(("%sE0", "%se-2", "%s.0", "-%s", "0%s", "+%s", "%s.")) % value
	return json.dumps(value)


PIECES = (b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"0", b"-", b"e", b".", b"null", b"tru", b"NaN", b"\\u0000", b"\\ud800", b"\\udc00",
		  b"\\ud83d\\ude00", b"\\u12g4", b"\\x", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"//", b"'")


def change_bytes(rng, data):
	"""Change some bytes."""
	data = bytearray(data)
	for _ in range(rng.randint(1, 3)):
		place = rng.randrange(len(data) + 1)
		kind = rng.randrange(4)
		if kind == 0:
			data[place:place + rng.randint(1, 4)] = b""
		elif kind == 1:
			data[place:place] = rng.choice(PIECES)
		elif kind == 2:
			data[place:place + 1] = rng.choice(PIECES)
		elif rng.random() < 0.2:
			del data[place:]
	return bytes(data)


def make_document(rng):
	kind = rng.random()
	if kind < 0.5:
		fields = keyring(rng)
		for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
			if fields:
				spoil(rng, fields)
		if rng.random() < 0.5:
			rng.shuffle(fields)
		data = spell(rng, Pairs(fields)).encode("utf-8", "surrogatepass")
	elif kind < 0.97:
		data = spell(rng, tree(rng, rng.randrange(6))).encode("utf-8", "surrogatepass")
	else:
		depth = rng.choice((DEPTH - 1, DEPTH, DEPTH + 1, 200))
		data = b"[" * (depth - 1) + spell(rng, tree(rng, 1)).encode("utf-8") + b"]" * (depth - 1)
	if rng.random() < 0.35:
		data = change_bytes(rng, data)
	return data


# ---- Reading them ----

class Number(str):
	"""A number as it is written."""


def refuse(text):
	raise Refused(text)


def parse(data):
	"""JSON as RFC 8259 has it; objects as Pairs, numbers as they are written."""
	try:
		return json.loads(data.decode("utf-8"), object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse)
	except (ValueError, RecursionError) as error:
		raise Refused(str(error))


def walk(value, depth=0):
	"""Every value, with the number of arrays and objects that it is in, itself included."""
	depth += isinstance(value, list)
	yield value, depth
	for child in value if isinstance(value, list) else ():
		if isinstance(value, Pairs):
			yield child[0], depth
			child = child[1]
		yield from walk(child, depth)


def read_json(data):
	"""What a reader of keyrings may take: no deeper than DEPTH, no half of a surrogate pair."""
	value = parse(data)
	for each, depth in walk(value):
		if depth > DEPTH:
			raise Refused("too deep")
		if isinstance(each, str) and not isinstance(each, Number) and re.search("[\ud800-\udfff]", each):
			raise Refused("half a surrogate pair")
	return value


def hex_of(text):
	return text.encode("utf-8").hex()


def dump(value):
	"""As fuzz_json() writes it."""
	if isinstance(value, Pairs):
		return "{" + ",".join(hex_of(name) + ":" + dump(child) for name, child in value) + "}"
	if isinstance(value, list):
		return "[" + ",".join(dump(child) for child in value) + "]"
	if isinstance(value, Number):
		return str(value)
	if isinstance(value, str):
		return "\"" + hex_of(value) + "\""
	return json.dumps(value)


def integer(fields, name, low, high):
	value = fields.get(name)
	if not isinstance(value, Number) or not re.fullmatch("[0-9]+", value) or not low <= int(value) <= high:
		raise Refused(name)
	return int(value)


def position(fields, name, high):
	"""A position as the service reads it: a whole number, also as a string, however it is written."""
	value = fields.get(name)
	text = value.strip("".join(map(chr, range(33)))) if isinstance(value, str) else ""
	if len(text) > 32 or not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
		raise Refused(name)
	if not 0 <= float(text) <= high or float(text) != int(float(text)):
		raise Refused(name)
	return int(float(text))


def string(fields, name):
	if not isinstance(fields.get(name), str) or isinstance(fields[name], Number):
		raise Refused(name)
	return fields[name]


def decoded(fields, name):
	text = string(fields, name)
	try:
		value = base64.b64decode(text.encode("ascii"), validate=True)
	except ValueError:
		raise Refused(name)
	if base64.b64encode(value).decode() != text:
		raise Refused(name)
	return value


def read_material(fields):
	key = decoded(fields, "encodedSecretKey")
	start = position(fields, "nonceStrPos", 52)
	nonce_key = decoded(fields, "encodedNonceKey")
	if len(key) not in (16, 32) or len(nonce_key) == 0 or position(fields, "nonceEndPos", 64) != start + 12:
		raise Refused("material")
	return key, nonce_key, start


def dump_material(made):
	key, nonce_key, start = made
	nonce = hmac.new(nonce_key, b"fuzz", hashlib.sha256).hexdigest()[start:start + 12]
	return ",%d,%s,%s" % (len(nonce_key), key.hex(), nonce)


def fields_of(value):
	"""The fields of an object by name, each of which may come once."""
	if not isinstance(value, Pairs):
		raise Refused("no object")
	fields = dict(value)
	if len(fields) != len(value):
		raise Refused("a field twice")
	return fields


def read_key(fields):
	"""A key's line, and its material where it may be the service's: of a raw one."""
	prefix, status = string(fields, "outputPrefix"), string(fields, "status")
	made = None
	if prefix not in ("raw", "tink") or status not in ("enabled", "disabled", "destroyed"):
		try:
			made = read_material(fields) if prefix == "raw" else None
		except Refused:
			pass
		return ",unusable", made
	if status == "destroyed":
		if "encodedSecretKey" in fields or "encodedNonceKey" in fields:
			raise Refused("material of a destroyed key")
		return ",destroyed," + prefix, None
	made = read_material(fields)
	return ",%s,%s%s" % (status, prefix, dump_material(made)), made if prefix == "raw" else None


def read_several(root):
	if integer(root, "version", 1, 10**100) != 1 or not isinstance(root.get("keys"), list) or isinstance(root["keys"], Pairs) or not root["keys"]:
		raise Refused("version or keys")
	keys = {}
	for entry in root["keys"]:
		fields = fields_of(entry)
		number = integer(fields, "keyId", 1, 2**32 - 1)
		if number in keys:
			raise Refused("an id twice")
		keys[number] = read_key(fields)
	primary = integer(root, "primaryKeyId", 1, 2**32 - 1)
	if primary not in keys or not keys[primary][0].startswith(",enabled,"):
		raise Refused("primary")
	if any(name in root for name in MATERIAL):
		service = read_material(root)
		if service not in (made for _, made in keys.values()):
			raise Refused("the service's fields")
	return str(primary) + "".join(";%d%s" % (number, keys[number][0]) for number in sorted(keys, reverse=True))


def read_keyring(data):
	"""As fuzz_document() writes it."""
	if len(data) > LARGEST:
		raise Refused("too large")
	value = read_json(data)
	for each, _ in walk(value):
		if isinstance(each, Pairs):
			fields_of(each)
	root = fields_of(value)
	if any(name in root for name in ("version", "keys", "primaryKeyId")):
		return read_several(root)
	return "1;1,enabled,raw" + dump_material(read_material(root))


# ---- The walk ----

TOKEN = re.compile(r"\s+|\"(?:[^\"\\]|\\.)*\"|[{}\[\]:,]|[^\s{}\[\]:,\"]+", re.DOTALL)


def places_of(text):
	"""The tokens of a JSON text, and the numbers of those that are scalars under one of KEYS, but null."""
	tokens = TOKEN.findall(text)
	places = []
	solid = [i for i, token in enumerate(tokens) if not token.isspace()]
	position = 0

	def value(named):
		nonlocal position
		token = tokens[solid[position]]
		if token not in "{[":
			if named and token != "null":
				places.append(solid[position])
			position += 1
			return
		closing = "}" if token == "{" else "]"
		position += 1
		while tokens[solid[position]] != closing:
			inner = named
			if token == "{":
				try:
					inner = named or json.loads(tokens[solid[position]]) in KEYS
				except ValueError:
					pass
				position += 2
			value(inner)
			if tokens[solid[position]] == ",":
				position += 1
		position += 1

	value(False)
	return tokens, places


def same_value(one, other):
	"""Whether two scalars of JSON are the same value."""
	one, other = (json.loads(token, parse_int=Decimal, parse_float=Decimal) for token in (one, other))
	return type(one) is type(other) and one == other


def is_great(token):
	"""Whether this is a number that no numeric may hold."""
	return re.fullmatch("-?[0-9].*", token) is not None and abs(Decimal(token).adjusted()) > 10000


def has_great_number(data):
	return any(isinstance(each, Number) and is_great(each) for each, _ in walk(parse(data)))


def check_walk(text, sealed, opened):
	"""What is wrong with a document pseudonymized and opened again, or None."""
	tokens, places = places_of(text)
	if any(re.search(r"\\u0000|\\u[dD][89a-fA-F]", tokens[place]) for place in places):
		try:	# a character that a text cannot hold
			for place in places:
				parsed = json.loads(tokens[place])
				if isinstance(parsed, str) and ("\0" in parsed or re.search("[\ud800-\udfff]", parsed)):
					return None if sealed == "error 22P05" else "22P05 expected, not " + sealed[:40]
		except ValueError:
			pass
	if sealed == "error 22003" and any(is_great(tokens[place]) for place in places):
		return None
	if sealed.startswith("error "):
		return "refused, " + sealed
	sealed_tokens, sealed_places = places_of(sealed)
	opened_tokens, _ = places_of(opened)
	if sealed_places != places or len(sealed_tokens) != len(tokens) or len(opened_tokens) != len(tokens):
		return "other places"
	for i, token in enumerate(tokens):
		if i not in places:
			if not token == sealed_tokens[i] == opened_tokens[i]:
				return "changed what is under no key"
			continue
		pseudonym = json.loads(sealed_tokens[i])
		if not isinstance(pseudonym, str) or len(base64.b64decode(pseudonym, validate=True)) < 28:
			return "no pseudonym"
		if not same_value(token, opened_tokens[i]):
			return "another value came back"
	return None


# ---- All of it ----

def expected(read, data):
	try:
		return read(data)
	except Refused:
		return ""


def check_one(data, seen_json, seen_document, sealed, opened, sealed_b, opened_b):
	"""What is wrong with one document's results."""
	wanted = expected(lambda data: dump(read_json(data)), data)
	if wanted != seen_json:
		return "JSON: %r, not %r" % (seen_json, wanted)
	wanted = expected(read_keyring, data)
	if wanted != seen_document:
		return "keyring: %r, not %r" % (seen_document, wanted)
	try:
		parse(data)
	except Refused:
		return None if sealed in ("error 22P02", "error 22021") else "json: %s where it is none" % sealed[:40]
	wrong = check_walk(data.decode("utf-8"), sealed, opened)
	if wrong:
		return "json: " + wrong
	# The same for jsonb, which has an order of its own and each name once, and no text that is none.
	strings = "".join(each for each, _ in walk(parse(data)) if isinstance(each, str))
	wanted = {"error 22P02"} if re.search("[\ud800-\udfff]", strings) else set()
	wanted |= {"error 22P05"} if "\0" in strings else set()
	if (sealed_b in wanted) if wanted else (opened_b == "t" or sealed_b == "error 22003" and has_great_number(data)):
		return None
	return "jsonb: %s, %s, wanted %s" % (sealed_b[:40], opened_b[:40], wanted)


def check(folder):
	documents = dict(line.rstrip("\n").split("\t") for line in open(folder + "/documents.tsv"))
	passed = failed = read = keyrings = 0
	for line in open(folder + "/results.tsv", encoding="utf-8"):
		number, *results = line.rstrip("\n").split("\t")
		data = bytes.fromhex(documents.pop(number)[3:])
		results = [bytes.fromhex(result).decode("utf-8") for result in results]
		wrong = check_one(data, *results)
		read += results[0] != ""
		keyrings += results[1] != ""
		passed += wrong is None
		failed += wrong is not None
		if wrong and failed <= 10:
			print("document %s, %r: %s" % (number, data, wrong))
	failed += len(documents)
	print("%d of these are JSON, %d are keyrings" % (read, keyrings))
	# A generator that makes nothing right, or nothing wrong, tests nothing.
	for what, part in (("JSON", read), ("keyrings", keyrings)):
		if not 0.05 * passed < part < 0.95 * passed:
			print("too few or too many are " + what)
			failed += 1
	print("documents and JSON: %d passed, %d failed" % (passed, failed))
	return failed == 0 and passed > 0


def make(n, seed, folder):
	rng = random.Random(seed)
	with open(folder + "/documents.tsv", "w") as out:
		for number in range(n):
			out.write("%d\t\\\\x%s\n" % (number, make_document(rng).hex()))


if __name__ == "__main__":
	if sys.argv[1] == "make":
		make(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
	else:
		sys.exit(not check(sys.argv[2]))
