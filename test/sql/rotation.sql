--
-- The life of keys: create, make primary, disable, destroy.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
SELECT t.run('rm -f ' || t.path('ring') || ' ' || t.path('raw') || ' ' || t.path('service'));
SELECT encode(t.hmac_sha256('what do ya want for nothing?'::bytea, 'Jefe'), 'hex') AS "RFC 4231, case 2";
CREATE VIEW t.ring AS SELECT name, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings;
-- The first key is primary; its file is made, for the server's user alone.
SELECT t.keyring('ring');
SELECT t.err($$SELECT pseudonymize('x', true, '', 'ring')$$);
SELECT pseudo_create_key('ring');
SELECT * FROM t.ring WHERE name = 'ring';
SELECT t.run(format('test "$(stat -c %%a %s)" = 600', t.path('ring')));
SELECT jsonb_object_agg(k, CASE k WHEN 'keys' THEN NULL ELSE v END) FROM jsonb_each(t.get('ring')) AS s (k, v);
SELECT k - '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[], length(decode(k ->> 'encodedSecretKey', 'base64')), length(decode(k ->> 'encodedNonceKey', 'base64')), (k ->> 'nonceEndPos')::int - (k ->> 'nonceStrPos')::int, (k ->> 'nonceStrPos')::int BETWEEN 0 AND 52 FROM jsonb_array_elements(t.get('ring') -> 'keys') k;
CREATE TEMPORARY TABLE made (key bigint, v text, d text, r text);
INSERT INTO made VALUES (1, 'of key 1', pseudonymize('of key 1', true, 'crm', 'ring'), pseudonymize('of key 1', false, 'crm', 'ring'));
-- The second reads, and does not write until it is primary.
SELECT pseudo_create_key('ring');
SELECT * FROM t.ring WHERE name = 'ring';
SELECT pseudonym_key_id(pseudonymize('x', true, '', 'ring')), pseudonymize('of key 1', true, 'crm', 'ring') = d FROM made;
SELECT pseudo_set_primary_key('ring', 2);
SELECT * FROM t.ring WHERE name = 'ring';
INSERT INTO made VALUES (2, 'of key 2', pseudonymize('of key 2', true, 'crm', 'ring'), pseudonymize('of key 2', false, 'crm', 'ring'));
SELECT key, pseudonym_key_id(d), pseudonym_key_id(r), reidentify(d, 'crm', 'ring'), reidentify(r, 'crm', 'ring') FROM made ORDER BY key;
-- Named arguments; primary at once; a raw key.
SELECT pseudo_create_key(keyring => 'ring', output_prefix => 'raw', make_primary => true);
INSERT INTO made VALUES (3, 'of key 3', pseudonymize('of key 3', true, 'crm', 'ring'), pseudonymize('of key 3', false, 'crm', 'ring'));
SELECT * FROM t.ring WHERE name = 'ring';
SELECT pseudo_set_primary_key('ring', 2);
SELECT pseudo_set_primary_key('ring', 2);
SELECT key, reidentify(d, 'crm', 'ring') = v, reidentify(r, 'crm', 'ring') = v FROM made ORDER BY key;
-- A fingerprint of each key, by which two nodes see whether they hold the same.
SELECT key_ids, fingerprints = ARRAY(SELECT left(encode(hmac, 'hex'), 8) FROM jsonb_array_elements(t.get('ring') -> 'keys') k, t.hmac_sha256('pseudo/fingerprint'::bytea, decode(k ->> 'encodedSecretKey', 'base64')) hmac ORDER BY k ->> 'keyId') FROM pseudo_keyrings WHERE name = 'ring';
-- New keys are new.
SELECT count(DISTINCT k ->> 'encodedSecretKey'), count(DISTINCT k ->> 'encodedNonceKey') FROM jsonb_array_elements(t.get('ring') -> 'keys') k;
-- Disabled: kept, not used; and back.
SELECT pseudo_set_key_status('ring', 1, 'disabled');
SELECT * FROM t.ring WHERE name = 'ring';
SELECT key, t.err(format('SELECT reidentify(%L, %L, %L)', d, 'crm', 'ring')) FROM made ORDER BY key;
SELECT t.err(format('SELECT try_reidentify(%L, %L, %L)', d, 'crm', 'ring')) FROM made WHERE key = 1;
SELECT pseudo_set_key_status('ring', 3, 'disabled');
SELECT t.err(format('SELECT reidentify(%L, %L, %L)', d, 'crm', 'ring')), try_reidentify(d, 'crm', 'ring') FROM made WHERE key = 3;
SELECT pseudo_set_key_status('ring', 1, 'enabled');
SELECT pseudo_set_key_status('ring', 1, 'enabled');
SELECT pseudo_set_key_status('ring', 3, 'enabled');
SELECT key, reidentify(d, 'crm', 'ring') = v, reidentify(r, 'crm', 'ring') = v FROM made ORDER BY key;
-- What is refused.
SELECT t.err($$SELECT pseudo_set_key_status('ring', 2, 'disabled')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 2, 'destroyed')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, 'paused')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, 'unusable')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, '')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 9, 'disabled')$$);
SELECT id, t.err(format('SELECT pseudo_set_key_status(%L, %s, %L)', 'ring', id, 'disabled')), t.err(format('SELECT pseudo_set_primary_key(%L, %s)', 'ring', id)) FROM unnest('{0,-1,4,4294967295,4294967296,4294967297,9223372036854775807}'::bigint[]) id;
SELECT t.err($$SELECT pseudo_create_key('ring', 'crunchy')$$);
SELECT t.err($$SELECT pseudo_create_key('ring', '')$$);
SELECT t.err($$SELECT pseudo_create_key(NULL)$$);
SELECT t.err($$SELECT pseudo_create_key('ring', NULL)$$);
SELECT t.err($$SELECT pseudo_create_key('ring', 'tink', NULL)$$);
SELECT t.err($$SELECT pseudo_set_primary_key(NULL, 1)$$);
SELECT t.err($$SELECT pseudo_set_primary_key('ring', NULL)$$);
SELECT t.err($$SELECT pseudo_set_key_status(NULL, 1, 'disabled')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', NULL, 'disabled')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, NULL)$$);
SELECT t.err($$SELECT pseudo_refresh_keyring(NULL)$$);
SELECT pseudo_set_key_status('ring', 1, 'disabled');
SELECT t.err($$SELECT pseudo_set_primary_key('ring', 1)$$);
SELECT * FROM t.ring WHERE name = 'ring';
-- Destroyed: no material is left, and there is no way back.
SELECT pseudo_set_key_status('ring', 1, 'destroyed');
SELECT * FROM t.ring WHERE name = 'ring';
SELECT t.get('ring') -> 'keys' -> 0;
SELECT key, t.err(format('SELECT reidentify(%L, %L, %L)', d, 'crm', 'ring')) FROM made ORDER BY key;
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, 'enabled')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, 'disabled')$$);
SELECT t.err($$SELECT pseudo_set_key_status('ring', 1, 'destroyed')$$);
SELECT t.err($$SELECT pseudo_set_primary_key('ring', 1)$$);
SELECT pseudo_set_key_status('ring', 3, 'destroyed');
SELECT array_length(fingerprints, 1), fingerprints[1] IS NULL, fingerprints[2] ~ '^[0-9a-f]{8}$', fingerprints[3] IS NULL FROM pseudo_keyrings WHERE name = 'ring';
SELECT key, t.err(format('SELECT reidentify(%L, %L, %L)', d, 'crm', 'ring')) FROM made ORDER BY key;
-- Ids are never used again.
SELECT pseudo_create_key('ring');
SELECT pseudo_set_key_status('ring', 4, 'destroyed');
SELECT pseudo_create_key('ring');
SELECT * FROM t.ring WHERE name = 'ring';
-- Nothing but the file is left beside it.
SELECT count(*) FROM pg_ls_dir(current_setting('data_directory')) f WHERE f LIKE 'pseudo_test_ring.json%' AND f NOT LIKE '%.json' AND f NOT LIKE '%.lock';
-- A raw key first makes the service's document, which a second key keeps on top.
SELECT t.keyring('raw');
SELECT pseudo_create_key('raw', 'raw');
SELECT ARRAY(SELECT jsonb_object_keys(t.get('raw')) ORDER BY 1);
SELECT * FROM t.ring WHERE name = 'raw';
SELECT pseudo_create_key('raw');
SELECT ARRAY(SELECT jsonb_object_keys(t.get('raw')) ORDER BY 1), t.get('raw') - 'keys' @> (t.get('raw') -> 'keys' -> 0) - '{keyId,outputPrefix,status}'::text[];
SELECT * FROM t.ring WHERE name = 'raw';
-- The service's own document: a key added, it still has the four fields on top, as they were; unknown fields are kept.
-- What this session itself has seen: not in a parallel worker, to which every keyring is new.
SET max_parallel_workers_per_gather = 0;
SELECT t.keyring('service', '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 3, "nonceEndPos": 15, "note": "kept = as it is", "list": [1, {"a": null}]}');
SELECT * FROM t.ring WHERE name = 'service';
SELECT pseudonymize('alice@example.com', true, '', 'service');
SELECT * FROM t.ring WHERE name = 'service';
SELECT pseudo_create_key('service');
SELECT t.get('service') ?& '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}';
SELECT t.get('service') @> '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 3, "nonceEndPos": 15, "note": "kept = as it is", "list": [1, {"a": null}]}';
SELECT t.get('service') - 'keys' - '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[];
SELECT k - '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}'::text[], k ?& '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}' FROM jsonb_array_elements(t.get('service') -> 'keys') k;
SELECT * FROM t.ring WHERE name = 'service';
SELECT pseudonymize('alice@example.com', true, '', 'service');
SELECT pseudo_set_primary_key('service', 2);
SELECT pseudonym_key_id(pseudonymize('alice@example.com', true, '', 'service')), reidentify('ZDFjYTMxNzk5NTNjdZGGdNKThFFwNGV9n3BDmERLbu+860UUn0wmNWFvOQQJ', '', 'service');
RESET max_parallel_workers_per_gather;
SELECT t.get('service') @> '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 3, "nonceEndPos": 15, "note": "kept = as it is", "list": [1, {"a": null}]}';
-- Unknown fields of a key are kept too, in their place.
SELECT t.put('service', jsonb_set(t.get('service'), '{keys,1,owner}', '"kept"')::text);
SELECT pseudo_refresh_keyring('service');
SELECT pseudo_create_key('service');
SELECT t.get('service') -> 'keys' -> 1 ->> 'owner', t.get('service') ->> 'note';
-- Destroying the service's key takes its material off the top too.
SELECT pseudo_set_key_status('service', 1, 'destroyed');
SELECT t.get('service') ?| '{encodedSecretKey,encodedNonceKey,nonceStrPos,nonceEndPos}', t.get('service') -> 'keys' -> 0;
SELECT pg_read_file(t.path('service')) ~ '9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4' AS "key left";
SELECT t.get('service') -> 'keys' -> 1 ->> 'owner', t.get('service') ->> 'note', t.get('service') -> 'list';
SELECT pseudonym_key_id(pseudonymize('x', true, '', 'service'));
-- A document with a fault is not written over.  (WARNINGs of lost keys show versions, which differ from run to run.)
SET client_min_messages = error;
SELECT t.put('service', '{"S3cret": "S3cret"}');
SELECT pseudo_refresh_keyring('service');
SELECT t.err($$SELECT pseudo_create_key('service')$$);
SELECT pg_read_file(t.path('service'));
-- One that was emptied is not begun again while its keys are known: ids would come twice.
SELECT t.put('service', '{}');
SELECT t.err($$SELECT pseudo_create_key('service')$$);
SELECT t.run('rm -f ' || t.path('service'));
SELECT t.err($$SELECT pseudo_create_key('service')$$);
-- One that is empty, or {}, is made the first; the greatest id is the last.
DROP SERVER service;
SELECT t.keyring('service');
SELECT t.put('service', '{}');
SELECT pseudo_create_key('service');
DROP SERVER service;
SELECT t.keyring('service');
SELECT t.put('service', ' ');
SELECT pseudo_create_key('service');
SELECT t.put('service', '{"version": 1, "primaryKeyId": 4294967294, "keys": [{"keyId": 4294967294, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "TVcsXWk/+9fbuQ4sUeizTAzbWZHov9ugdFaYVh28OqA=", "encodedNonceKey": "oNnzfkK7nPm66k4idftjYrGqnVNEod22GQ6M+HMMe10=", "nonceStrPos": 0, "nonceEndPos": 12}]}');
SELECT pseudo_create_key('service');
SELECT t.err($$SELECT pseudo_create_key('service')$$);
-- A document that has no room for another key stays as it is.
SELECT t.put('service', rtrim('{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}', '}') || ', "note": "' || repeat('x', 65200) || '"}');
SELECT t.err($$SELECT pseudo_create_key('service')$$);
SELECT length(pg_read_file(t.path('service'))) > 65000, t.get('service') ? 'keys';
-- How many keys a document has room for.
DROP SERVER service;
SELECT t.run('rm -f ' || t.path('service'));
SELECT t.keyring('service');
DO $$
BEGIN
  LOOP
    PERFORM pseudo.pseudo_create_key('service');
  END LOOP;
EXCEPTION WHEN invalid_parameter_value THEN
  NULL;
END
$$;
SELECT array_length(key_ids, 1), array_length(fingerprints, 1) FROM pseudo_keyrings WHERE name = 'service';
SELECT reidentify(pseudonymize('x', true, '', 'service'), '', 'service'), length(pg_read_file(t.path('service')));
-- The first key of a file says that another node may have one.
SET client_min_messages = notice;
DROP SERVER service;
SELECT t.run('rm -f ' || t.path('service'));
SELECT t.keyring('service');
SELECT pseudo_create_key('service');
SELECT pseudo_create_key('service');
-- A key that got other material under its id is gone, too.
SET client_min_messages = warning;
DROP SERVER service;
SELECT t.keyring('service');
SELECT t.put('service', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
SELECT pseudo_refresh_keyring('service');
SELECT t.put('service', '{"encodedSecretKey": "TVcsXWk/+9fbuQ4sUeizTAzbWZHov9ugdFaYVh28OqA=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
\set VERBOSITY terse
SELECT pseudo_refresh_keyring('service');
\set VERBOSITY default
-- In an aborted transaction a key is made all the same: the file knows no transactions.
BEGIN;
SELECT pseudo_create_key('ring');
ROLLBACK;
SELECT pseudo_create_key('ring');
DROP VIEW t.ring;
DROP SERVER ring;
DROP SERVER raw;
DROP SERVER service;
-- Leave no file of these tests but the default keyring's.
SELECT t.run(format('cd %s && ls pseudo_test_* | grep -v "^pseudo_test_pseudo.json$" | xargs rm -f', current_setting('data_directory')));
