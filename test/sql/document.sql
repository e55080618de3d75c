--
-- Every way a keyring document can be wrong.  The error names the field and the key, never what is in it.
--
\pset format unaligned
\pset tuples_only on
SET client_encoding = 'UTF8';
SET search_path = pseudo, public;
-- what a keyring of a document says: an error, or a pseudonym made and opened; then the owner is told what is wrong with its keys
-- What this session itself has seen: not in a parallel worker, to which every keyring is new.
SET max_parallel_workers_per_gather = 0;
-- Each in a file of its own: of one that other sessions have loaded, the old keys would serve on.
CREATE SEQUENCE t.fault;
CREATE FUNCTION t.fault(document bytea) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
  file text := 'faulty_' || nextval('t.fault');
  said text;
BEGIN
  PERFORM t.put(file, document);
  EXECUTE format('CREATE SERVER faulty FOREIGN DATA WRAPPER pseudo OPTIONS (provider ''file'', path %L)', t.path(file));
  said := t.err($q$SELECT pseudo.reidentify(pseudo.pseudonymize('x', true, '', 'faulty'), '', 'faulty')$q$);
  IF said = 'no error' THEN
    PERFORM pseudo.pseudo_refresh_keyring('faulty');
  END IF;
  DROP SERVER faulty;
  RETURN replace(said, file, 'faulty');
END
$$;
CREATE FUNCTION t.fault(document text) RETURNS text LANGUAGE sql AS $$ SELECT t.fault(convert_to(document, 'UTF8')) $$;
CREATE FUNCTION t.fault(document jsonb) RETURNS text LANGUAGE sql AS $$ SELECT t.fault(document::text) $$;
\set one '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}'
\set many '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}]}'
\set three '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}], "encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}'
-- The three shapes.
SELECT t.fault(:'one');
SELECT t.fault(:'many');
SELECT t.fault(:'three');
SELECT t.fault('{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8\u003d", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js\u003d", "nonceStrPos": 7, "nonceEndPos": 19}');
SELECT t.fault(E' \t\r\n' || :'one' || E' \t\r\n');
-- No JSON.
SELECT t.fault('');
SELECT t.fault(E' \n');
SELECT t.fault('S3cret');
SELECT t.fault('{');
SELECT t.fault('{"S3cret"');
SELECT t.fault('{"S3cret": "S3cret');
SELECT t.fault('{"S3cret": S3cret}');
SELECT t.fault(rtrim(:'one', '}'));
SELECT t.fault(:'one' || 'S3cret');
SELECT t.fault(:'one' || :'one');
SELECT t.fault(:'one' || ',');
SELECT t.fault(replace(:'one', '"', ''''));
SELECT t.fault(replace(:'one', '}', ',}'));
SELECT t.fault('/* S3cret */' || :'one');
SELECT t.fault(convert_to(E'\ufeff' || :'one', 'UTF8'));
SELECT t.fault(convert_to(:'one', 'UTF8') || '\x00');
SELECT t.fault(convert_to('{"S3cret": "', 'UTF8') || '\x00' || convert_to('"}', 'UTF8'));
SELECT t.fault(convert_to(rtrim(:'one', '}') || ', "note": "', 'UTF8') || '\xff' || convert_to('"}', 'UTF8'));
SELECT t.fault(convert_to(rtrim(:'one', '}') || ', "', 'UTF8') || '\xc3' || convert_to('": 1}', 'UTF8'));
SELECT t.fault(:'one' || E'\x01');
SELECT t.fault(rtrim(:'one', '}') || E', "note": "a\nb"}');
SELECT t.fault(rtrim(:'one', '}') || ', "note": "\x"}');
SELECT t.fault(rtrim(:'one', '}') || ', "note": "\u12"}');
SELECT t.fault(rtrim(:'one', '}') || ', "note": "\ud800"}');
-- JSON, but no object.
SELECT t.fault('null');
SELECT t.fault('true');
SELECT t.fault('1');
SELECT t.fault('"S3cret"');
SELECT t.fault('[]');
SELECT t.fault('[' || :'one' || ']');
SELECT t.fault('{}');
SELECT t.fault('{"S3cret": "S3cret"}');
-- Size and depth.
SELECT t.fault(rpad(:'one', 65536));
SELECT t.fault(rpad(:'one', 65537));
SELECT t.fault(repeat('S3cret', 100000));
SELECT t.fault(repeat('[', 65536));
SELECT t.fault(repeat('{"a":', 13000));
SELECT t.fault(rtrim(:'one', '}') || ', "note": ' || repeat('[', 20) || repeat(']', 20) || '}');
SELECT t.fault(rtrim(:'one', '}') || ', "note": ' || repeat('[', 30000) || repeat(']', 30000) || '}') ~ '^(no error|[0-9A-Z]{5}: .*(nest|deep|complex))';
-- Fields that we do not know are ignored; escapes in names and values are read.
SELECT t.fault(:'one'::jsonb || '{"note": "S3cret", "list": [1, {"encodedSecretKey": 1, "nonceStrPos": [null]}], "keyId": "S3cret"}');
SELECT t.fault(jsonb_set(:'many', '{keys,0,note}', '{"keyId": 2, "keys": []}'));
SELECT t.fault(replace(:'one', 'nonceStrPos', 'nonceStr\u0050os'));
SELECT t.fault(replace(:'one', '{"encodedSecretKey"', '{"EncodedSecretKey": 1, "encodedSecretKey"'));
-- A name that comes twice.
SELECT t.fault(replace(:'one', '{', '{"nonceStrPos": 7, '));
SELECT t.fault(replace(:'one', '{', '{"nonceStr\u0050os": 7, '));
SELECT t.fault(replace(:'one', '{', '{"encodedSecretKey": "S3cret", '));
SELECT t.fault(replace(:'many', '{"version"', '{"version": 1, "version"'));
SELECT t.fault(replace(:'many', '"primaryKeyId"', '"primaryKeyId": 1, "primaryKeyId"'));
SELECT t.fault(replace(:'many', '"keys"', '"keys": [], "keys"'));
SELECT t.fault(replace(:'many', '"keyId": 1', '"keyId": 1, "keyId": 1'));
SELECT t.fault(replace(:'many', '"keyId": 2', '"keyId": 2, "status": "enabled"'));
SELECT t.fault(replace(:'one', '{', '{"note": 1, "note": 1, '));
-- encodedSecretKey: base64 of 16 or 32 bytes.
SELECT t.fault(:'one'::jsonb - 'encodedSecretKey');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": null}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": 31337}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": true}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": ["S3cret"]}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": {"S3cret": 1}}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": ""}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "S3cret!"}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "AAECAwQFBgcICQoLDA0ODw=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "AAECAwQFBgcICQoLDA0ODw"}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "AAECAwQFBgcICQoLDA0ODx=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "AAECAwQFBgcI\nCQoLDA0ODw=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": " AAECAwQFBgcICQoLDA0ODw=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "__79_Pv6-fj39vX08_Lx8A=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedSecretKey": "//79/Pv6+fj39vX08/Lx8A=="}');
SELECT n, t.fault(:'one'::jsonb || jsonb_build_object('encodedSecretKey', encode(decode(repeat('a5', n), 'hex'), 'base64'))) FROM unnest('{1,8,15,16,17,24,31,32,33}'::int[]) n;
SELECT t.fault(:'one'::jsonb || jsonb_build_object('encodedSecretKey', translate(encode(decode(repeat('a5', 64), 'hex'), 'base64'), E'\n', '')));
-- encodedNonceKey: base64 of 1 byte and more; fewer than 16 give one WARNING a backend.
SELECT t.fault(:'one'::jsonb - 'encodedNonceKey');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": null}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": 31337}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": []}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": ""}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": "S3cret!"}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": "AA="}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": "AB=="}');
SELECT n, t.fault(:'one'::jsonb || jsonb_build_object('encodedNonceKey', translate(encode(decode(repeat('a5', n), 'hex'), 'base64'), E'\n', ''))) FROM unnest('{16,32,63,64,65,1000}'::int[]) n;
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": "AA=="}');
SELECT t.fault(:'one'::jsonb || '{"encodedNonceKey": "AAECAwQFBgcICQoLDA0O"}');
-- nonceStrPos: 0 to 52; nonceEndPos: twelve more.
SELECT t.fault(:'one'::jsonb - 'nonceStrPos');
SELECT t.fault(:'one'::jsonb - 'nonceEndPos');
SELECT f, v, t.fault(:'one'::jsonb || jsonb_build_object(f, v)) FROM unnest('{nonceStrPos,nonceEndPos}'::text[]) f, unnest('{"null",true,"\"7\"","\"S3cret\"",7.5,-1,-5,18,19.5,20,53,64,4294967303,4294967315,18446744073709551623,[7],"{\"S3cret\": 7}"}'::jsonb[]) WITH ORDINALITY AS v (v, n) ORDER BY f DESC, n;
SELECT t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": 07'));
SELECT t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": 0x7'));
SELECT t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": 1e400'));
SELECT t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": -7'));
SELECT p, e, t.fault(:'one'::jsonb || jsonb_build_object('nonceStrPos', p, 'nonceEndPos', e)) FROM (VALUES (0, 12), (52, 64), (53, 65), (-1, 11), (7, 18), (7, 20), (12, 0), (0, 64), (2147483640, -2147483644)) AS s (p, e);
-- A position is what the service's JSON library (Gson) takes for an int, number or string, but for what only Java calls a number.
SELECT p, t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": ' || p)) FROM unnest(ARRAY['"7"', '"07"', '"+7"', '" 7 "', '"\t7\n"', '"\u0037"', '"7\u0000"', '"7.0"', '"7."', '"7e0"', '"70e-1"', '".7e1"', '7.0', '7e0', '70e-1', '0.7E1']) WITH ORDINALITY AS s (p, n) ORDER BY n;
SELECT left(p, 40), t.fault(replace(:'one', '"nonceStrPos": 7', '"nonceStrPos": ' || p)) FROM unnest(ARRAY['""', '" "', '"."', '"e"', '"e1"', '"-"', '"7d"', '"7f"', '"0x7"', '"0x7p0"', '"\u0667"', '"\u00a07"', '"7 7"', '"7,0"', '"seven"', '"7.5"', '"-7"', '"--7"', '"+-7"', '"7e"', '"7e0.5"', '"1e400"', '"-1e400"', '"4294967303"', '"NaN"', '"Infinity"', '"' || repeat('0', 32) || '7"', '"' || repeat('7', 60000) || '"', '7e-1']) WITH ORDINALITY AS s (p, n) ORDER BY n;
SELECT p, e, t.fault(:'one'::jsonb || jsonb_build_object('nonceStrPos', p, 'nonceEndPos', e)) FROM (VALUES ('0', '12'), ('-0', '12'), ('52', '64'), ('53', '65'), ('7', '18'), ('7.0', '19e0')) AS s (p, e);
SELECT t.keyring('text', replace(replace(:'one', ': 7', ': "7"'), ': 19', ': "19"'));
SELECT pseudonymize('x', true, '', 'text') = pseudonymize('x', true), reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'text');
DROP SERVER text;
-- Our own fields are integers.
SELECT f, v, t.fault(:'many'::jsonb || jsonb_build_object(f, v)) FROM unnest('{version,primaryKeyId}'::text[]) f, unnest('{"\"1\"",1.0}'::jsonb[]) WITH ORDINALITY AS v (v, n) ORDER BY f DESC, n;
-- version, primaryKeyId, keys.
SELECT t.fault(:'many'::jsonb - 'version');
SELECT t.fault(:'many'::jsonb - 'primaryKeyId');
SELECT t.fault(:'many'::jsonb - 'keys');
SELECT t.fault(:'three'::jsonb - 'keys');
SELECT t.fault(:'one'::jsonb || '{"version": 1}');
SELECT t.fault(:'one'::jsonb || '{"version": 2}');
SELECT t.fault(:'one'::jsonb || '{"primaryKeyId": 1}');
SELECT v, t.fault(:'many'::jsonb || jsonb_build_object('version', v)) FROM unnest('{2,0,-1,1.5,4294967297,"null",true,"\"1\"",[1]}'::jsonb[]) v;
SELECT v, t.fault(:'many'::jsonb || jsonb_build_object('primaryKeyId', v)) FROM unnest('{1,3,0,-1,1.5,4294967295,4294967296,4294967298,"null",true,"\"2\"",[2]}'::jsonb[]) v;
SELECT v, t.fault(:'many'::jsonb || jsonb_build_object('keys', v)) FROM unnest('{[],"{}","null",true,1,"\"S3cret\"","[1]","[null]","[\"S3cret\"]","[[]]","[{}]"}'::jsonb[]) v;
SELECT t.fault(jsonb_set(:'many', '{keys,2}', 'null'));
SELECT t.fault(jsonb_set(:'many', '{keys,2}', '"S3cret"'));
-- keyId: 1 to 2^32-1, each once.
SELECT t.fault(:'many'::jsonb #- '{keys,0,keyId}');
SELECT t.fault(:'many'::jsonb #- '{keys,1,keyId}');
SELECT v, t.fault(jsonb_set(:'many', '{keys,0,keyId}', v)) FROM unnest('{2,3,0,-1,1.5,4294967295,4294967296,4294967297,99999999999999999999,"null",true,"\"1\"",[1]}'::jsonb[]) v;
-- outputPrefix and status: one that we do not know makes the key unusable, not the document, unless it is primary.
SELECT t.fault(:'many'::jsonb #- '{keys,0,outputPrefix}');
SELECT t.fault(:'many'::jsonb #- '{keys,1,outputPrefix}');
SELECT t.fault(:'many'::jsonb #- '{keys,0,status}');
SELECT t.fault(:'many'::jsonb #- '{keys,1,status}');
SELECT f, v, t.fault(jsonb_set(:'many', ARRAY['keys', '0', f], v)) FROM unnest('{outputPrefix,status}'::text[]) f, unnest('{"null",true,1,[],"{}"}'::jsonb[]) WITH ORDINALITY AS v (v, n) ORDER BY f, n;
SELECT t.fault(jsonb_set(:'many', '{keys,0,outputPrefix}', '"S3cret"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,outputPrefix}', '"RAW"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,outputPrefix}', '""'));
SELECT t.fault(jsonb_set(:'many', '{keys,1,outputPrefix}', '"S3cret"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,status}', '"S3cret"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,status}', '"ENABLED"'));
SELECT t.fault(jsonb_set(:'many', '{keys,1,status}', '"S3cret"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,status}', '"disabled"'));
SELECT t.fault(jsonb_set(:'many', '{keys,1,status}', '"disabled"'));
-- An unusable key's own material is not looked at: it may be of a kind to come.
SELECT t.fault(jsonb_set(jsonb_set(:'many', '{keys,0,outputPrefix}', '"crunchy"'), '{keys,0,encodedSecretKey}', '"S3cret"'));
-- Material: in every key but a destroyed one.
SELECT f, t.fault(:'many'::jsonb #- ARRAY['keys', '0', f]) FROM unnest('{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[]) f;
SELECT f, t.fault(:'many'::jsonb #- ARRAY['keys', '1', f]) FROM unnest('{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[]) f;
SELECT t.fault(jsonb_set(:'many', '{keys,0,encodedSecretKey}', '"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"'));
SELECT t.fault(jsonb_set(:'many', '{keys,1,encodedSecretKey}', '"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"'));
SELECT t.fault(jsonb_set(:'many', '{keys,1,nonceEndPos}', '11'));
SELECT t.fault(jsonb_set(:'many', '{keys,0}', '{"keyId": 1, "outputPrefix": "raw", "status": "destroyed"}'));
SELECT t.fault(jsonb_set(:'many', '{keys,1}', '{"keyId": 2, "outputPrefix": "tink", "status": "destroyed"}'));
SELECT t.fault(jsonb_set(:'many', '{keys,0,status}', '"destroyed"'));
SELECT t.fault(jsonb_set(:'many', '{keys,0}', '{"keyId": 1, "outputPrefix": "raw", "status": "destroyed", "encodedSecretKey": "S3cret"}'));
SELECT t.fault(jsonb_set(:'many', '{keys,0}', '{"keyId": 1, "outputPrefix": "raw", "status": "destroyed", "encodedNonceKey": "S3cret"}'));
SELECT t.fault(jsonb_set(:'many', '{keys,0}', '{"keyId": 1, "outputPrefix": "raw", "status": "disabled"}'));
-- The service's four fields above several keys: all of them or none, and equal to a raw key.
SELECT f, t.fault(:'three'::jsonb - f) FROM unnest('{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[]) f;
SELECT t.fault(:'many'::jsonb || '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
SELECT t.fault(:'many'::jsonb || '{"encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}');
SELECT t.fault(:'three'::jsonb || '{"nonceStrPos": 8, "nonceEndPos": 20}');
SELECT t.fault(:'three'::jsonb || '{"encodedNonceKey": "AAECAwQFBgcICQoLDA0ODw=="}');
SELECT t.fault(:'three'::jsonb || '{"encodedSecretKey": "S3cret"}');
SELECT t.fault(jsonb_set(:'three', '{keys,0,status}', '"disabled"'));
SELECT t.fault(jsonb_set(:'three', '{keys,0}', '{"keyId": 1, "outputPrefix": "raw", "status": "destroyed"}'));
SELECT t.fault(jsonb_set(:'three', '{keys,0,outputPrefix}', '"tink"'));
SELECT t.fault(jsonb_set(:'three', '{keys,0,status}', '"S3cret"'));
SELECT t.fault(jsonb_set(:'three', '{keys,0,outputPrefix}', '"S3cret"'));
-- Many keys.
SELECT t.fault(jsonb_set(:'many', '{keys}', :'many'::jsonb -> 'keys' || (SELECT jsonb_agg(jsonb_build_object('keyId', n, 'outputPrefix', 'tink', 'status', 'destroyed')) FROM generate_series(3, 800) n)));
SELECT t.fault(jsonb_set(:'many', '{keys}', :'many'::jsonb -> 'keys' || (SELECT jsonb_agg((:'many'::jsonb -> 'keys' -> 1) || jsonb_build_object('keyId', n)) FROM generate_series(3, 230) n)));
-- What an unusable key made cannot be read, and the view says so.
SET client_min_messages = error;
SELECT t.keyring('paused', jsonb_set(:'many', '{keys,2}', '{"keyId": 3, "outputPrefix": "tink", "status": "paused", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}')::text);
SELECT t.err($$SELECT reidentify('AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=', '', 'paused')$$);
SELECT t.err($$SELECT try_reidentify('AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=', '', 'paused')$$);
SELECT reidentify('AQAAAAIxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=', '', 'paused'), reidentify('MWUwMzA2N2VmZWU1ILLTlNoi6AiPlcP0Bi8bJgYOqi8jDe+M', '', 'paused');
SELECT primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings WHERE name = 'paused';
DROP SERVER paused;
-- A keyring without a document yet.
SELECT t.keyring('faulty');
SELECT t.err($$SELECT pseudonymize('x', true, '', 'faulty')$$);
SELECT name, provider, loaded_at, primary_key_id, key_ids FROM pseudo_keyrings WHERE name = 'faulty';
DROP SERVER faulty;
