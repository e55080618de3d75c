--
-- What the extension brings, and the main job once through.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
-- What it brings: every function with its volatility, parallel safety, strictness, and who may call it.
SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
       p.provolatile, p.proparallel, p.proisstrict, p.proleakproof,
       has_function_privilege('public', p.oid, 'EXECUTE') AS "everyone"
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
 WHERE e.extname = 'pseudo' AND p.prokind = 'f' AND NOT p.proname ~ '(validator|support)$'
 ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";
-- Every object of it has a comment.
SELECT pg_describe_object(d.classid, d.objid, 0)
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
 WHERE e.extname = 'pseudo' AND d.deptype = 'e' AND d.classid <> 'pg_type'::regclass
   AND coalesce(obj_description(d.objid, (d.classid::regclass)::name), '') = ''
 ORDER BY 1;
SELECT fdwname, fdwhandler = 0 AS "no handler", fdwvalidator <> 0 AS "validator" FROM pg_foreign_data_wrapper;
-- Everything stands in the schema asked for.
SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
 WHERE e.extname = 'pseudo' AND p.pronamespace <> 'pseudo'::regnamespace;
-- The main job.
SET search_path = pseudo, public;
SELECT pseudonymize('alice@example.com', true);
SELECT reidentify('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW');
SELECT pseudonymize('alice@example.com', true, 'crm');
SELECT reidentify('NzRjYmQyMDFkYWFikw98XCRi/O6VhEUjBCxE2q6DGuliWTfW/EUybLsds8Ut', 'crm');
SELECT reidentify(pseudonymize('alice@example.com'));
SELECT pseudonymize('alice@example.com', true, 'crm') = 'NzRjYmQyMDFkYWFikw98XCRi/O6VhEUjBCxE2q6DGuliWTfW/EUybLsds8Ut';
SELECT name, provider, loaded_at <= clock_timestamp(), version IS NOT NULL, primary_key_id, key_ids, prefixes, statuses,
       key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings;
-- Joins, grouping and UNIQUE work on deterministic pseudonyms.
CREATE TABLE people (email text PRIMARY KEY);
INSERT INTO people SELECT pseudonymize(n || '@example.com', true) FROM generate_series(1, 1000) n;
INSERT INTO people SELECT pseudonymize(n || '@example.com', true) FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING;
SELECT count(*), count(DISTINCT reidentify(email)), max(length(email)) FROM people;
SELECT reidentify(email) FROM people WHERE email = (SELECT pseudonymize('77@example.com', true));
SELECT t.plan_has($$SELECT email FROM people WHERE email = (SELECT pseudonymize('77@example.com', true))$$, 'Index Only Scan using people_pkey');
DROP TABLE people;
-- DROP SERVER is seen at once, and so is a new name.
SELECT t.keyring('other', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
SELECT pseudonymize('alice@example.com', true, keyring => 'other') = pseudonymize('alice@example.com', true);
ALTER SERVER other RENAME TO another;
SELECT t.err($$SELECT pseudonymize('alice@example.com', true, '', 'other')$$);
SELECT pseudonymize('alice@example.com', true, keyring => 'another') = pseudonymize('alice@example.com', true);
DROP SERVER another;
SELECT t.err($$SELECT pseudonymize('alice@example.com', true, '', 'another')$$);
-- The extension cannot be dropped from under its keyrings unawares.
SELECT t.err('DROP EXTENSION pseudo');
