--
-- Arguments: NULLs, arrays, names, defaults, modes and contexts.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_encoding = 'UTF8';
SET search_path = pseudo, public;
SELECT t.keyring('b', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
-- A NULL value gives NULL.
SELECT pseudonymize(NULL), pseudonymize(NULL, true), pseudonymize(NULL, true, 'crm', 'b');
SELECT reidentify(NULL), reidentify(NULL, 'crm'), reidentify(NULL, 'crm', 'b');
SELECT try_reidentify(NULL), try_reidentify(NULL, 'crm'), try_reidentify(NULL, 'crm', 'b');
SELECT is_pseudonym(NULL), is_pseudonym(NULL, 'crm'), is_pseudonym(NULL, 'crm', 'b');
SELECT pseudonymize_array(NULL), reidentify_array(NULL), try_reidentify_array(NULL);
SELECT pseudonym_key_id(NULL);
-- A NULL deterministic, context or keyring is an error, also where the value is NULL.
SELECT t.err($$SELECT pseudonymize('x', NULL)$$);
SELECT t.err($$SELECT pseudonymize('x', true, NULL)$$);
SELECT t.err($$SELECT pseudonymize('x', true, '', NULL)$$);
SELECT t.err($$SELECT pseudonymize(NULL, NULL)$$);
SELECT t.err($$SELECT pseudonymize(NULL, true, NULL)$$);
SELECT t.err($$SELECT pseudonymize(NULL, true, '', NULL)$$);
SELECT t.err($$SELECT reidentify('x', NULL)$$);
SELECT t.err($$SELECT reidentify('x', '', NULL)$$);
SELECT t.err($$SELECT reidentify(NULL, NULL)$$);
SELECT t.err($$SELECT reidentify(NULL, '', NULL)$$);
SELECT t.err($$SELECT try_reidentify('x', NULL)$$);
SELECT t.err($$SELECT try_reidentify('x', '', NULL)$$);
SELECT t.err($$SELECT try_reidentify(NULL, NULL)$$);
SELECT t.err($$SELECT try_reidentify(NULL, '', NULL)$$);
SELECT t.err($$SELECT is_pseudonym('x', NULL)$$);
SELECT t.err($$SELECT is_pseudonym('x', '', NULL)$$);
SELECT t.err($$SELECT is_pseudonym(NULL, NULL)$$);
SELECT t.err($$SELECT is_pseudonym(NULL, '', NULL)$$);
SELECT t.err($$SELECT pseudonymize_array('{x}', NULL)$$);
SELECT t.err($$SELECT pseudonymize_array('{x}', true, NULL)$$);
SELECT t.err($$SELECT pseudonymize_array('{x}', true, '', NULL)$$);
SELECT t.err($$SELECT pseudonymize_array(NULL, NULL)$$);
SELECT t.err($$SELECT pseudonymize_array('{}', NULL)$$);
SELECT t.err($$SELECT reidentify_array('{x}', NULL)$$);
SELECT t.err($$SELECT reidentify_array(NULL, NULL)$$);
SELECT t.err($$SELECT reidentify_array('{x}', '', NULL)$$);
SELECT t.err($$SELECT try_reidentify_array('{x}', NULL)$$);
SELECT t.err($$SELECT try_reidentify_array('{x}', '', NULL)$$);
SELECT t.err($$SELECT try_reidentify_array(NULL, '', NULL)$$);
-- NULLs that come and go from row to row.
SELECT v, d, c, t.err(format('SELECT pseudonymize(%L, %L::boolean, %L)', v, d, c)) FROM (VALUES ('x', true, ''), (NULL, true, ''), ('x', NULL, ''), ('x', true, NULL)) AS r (v, d, c);
SELECT v, reidentify(pseudonymize(v, d, c, k), c, k) FROM (VALUES ('x', true, '', 'pseudo'), (NULL, true, '', 'pseudo'),
  ('y', false, 'crm', 'b'), (NULL, false, 'crm', 'b'), ('z', true, 'crm', 'pseudo')) AS r (v, d, c, k);
-- Names and defaults.
SELECT pseudonymize(value => 'x', deterministic => true, context => 'crm', keyring => 'pseudo') = pseudonymize('x', true, 'crm');
SELECT pseudonymize('x', deterministic => true, keyring => 'b') = pseudonymize('x', true, '', 'b');
SELECT reidentify(pseudonym => pseudonymize('x', context => 'crm'), context => 'crm', keyring => 'pseudo');
SELECT try_reidentify(pseudonym => pseudonymize('x', context => 'crm'), context => 'crm', keyring => 'pseudo');
SELECT reidentify_array(pseudonyms => pseudonymize_array(elements => '{x,y}', deterministic => false, context => 'crm', keyring => 'b'), context => 'crm', keyring => 'b');
SELECT try_reidentify_array(pseudonyms => pseudonymize_array('{x,y}'), context => '', keyring => 'pseudo');
SELECT pseudonym_key_id(pseudonym => pseudonymize('x'));
-- varchar, char(n) and domains are text; char(n) loses its padding as every cast to text does.
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
SELECT pseudonymize('x@y'::email, true) = pseudonymize('x@y', true), pseudonymize('x'::varchar(5), true) = pseudonymize('x', true), pseudonymize('x'::char(5), true) = pseudonymize('x', true);
DROP DOMAIN email;
-- Without deterministic a pseudonym never comes twice, also within a statement, of a constant, and in a loop.
SELECT pseudonymize('x', false) = pseudonymize('x', false), pseudonymize('x') = pseudonymize('x');
SELECT count(*), count(DISTINCT p), bool_and(reidentify(p) = 'x') FROM (SELECT pseudonymize('x') AS p FROM generate_series(1, 10000)) AS s;
SELECT count(DISTINCT p) FROM unnest(pseudonymize_array(array_fill('x'::text, '{1000}'))) AS p;
-- With it they are equal, in both forms.
SELECT count(DISTINCT pseudonymize('x', true)) FROM generate_series(1, 1000);
SELECT count(DISTINCT p) FROM unnest(pseudonymize_array(array_fill('x'::text, '{1000}'), true)) AS p;
SELECT pseudonymize_array('{x,y}', true) = ARRAY[pseudonymize('x', true), pseudonymize('y', true)];
SELECT pseudonymize_array('{x,y}', true, 'crm', 'b') = ARRAY[pseudonymize('x', true, 'crm', 'b'), pseudonymize('y', true, 'crm', 'b')];
SELECT reidentify_array(pseudonymize_array('{x,y}', true, 'crm', 'b'), 'crm', 'b');
-- Both modes from row to row.
SELECT d, count(*), count(DISTINCT p) FROM (SELECT d, pseudonymize('x', d) AS p FROM generate_series(1, 100) n, LATERAL (SELECT n % 2 = 0) AS s (d)) AS s GROUP BY d ORDER BY d;
-- Lengths about every block, both modes, and back.
SELECT count(*), count(DISTINCT p) FROM (SELECT repeat('x', n) AS v, pseudonymize(repeat('x', n), true) AS p FROM generate_series(0, 600) n) AS s
 WHERE reidentify(p) = v AND length(p) = (length(v) + 28 + 2) / 3 * 4 AND reidentify(pseudonymize(v)) = v;
SELECT n, md5(pseudonymize(repeat('x', n), true)) FROM unnest('{0,1,15,16,17,31,32,33,127,128,129,1000,100000}'::int[]) n;
SELECT n FROM unnest('{1000000,20000000}'::int[]) n WHERE reidentify(pseudonymize(repeat('x', n))) = repeat('x', n);
-- Unicode as it is: no normalization.
SELECT reidentify(pseudonymize(v)) = v, reidentify(pseudonymize(v, true)) = v FROM (VALUES ('Zoë'), (U&'Zoe\0308'), ('東京'), ('🙂'), (E'\x01\t\n\r\x7f'), ('''"\')) AS s (v);
SELECT pseudonymize('Zoë', true), pseudonymize('Zoë', true) = pseudonymize(U&'Zoe\0308', true), pseudonymize('Zoë', true) = pseudonymize(normalize(U&'Zoe\0308'), true);
-- Stored long values, compressed and out of line, and short ones with a one-byte header.
CREATE TEMPORARY TABLE stored (id int, v text);
INSERT INTO stored VALUES (1, repeat('long ', 100000)), (2, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 10000) n)), (3, 'short'), (4, ''), (5, NULL);
SELECT id, reidentify(pseudonymize(v)) IS NOT DISTINCT FROM v, pseudonymize(v, true) IS NOT DISTINCT FROM pseudonymize(v || '', true) FROM stored ORDER BY id;
ALTER TABLE stored ADD p text;
UPDATE stored SET p = pseudonymize(v, id % 2 = 0);
SELECT id, reidentify(p) IS NOT DISTINCT FROM v, try_reidentify(p) IS NOT DISTINCT FROM v FROM stored ORDER BY id;
SELECT reidentify_array(array_agg(p ORDER BY id)) = array_agg(v ORDER BY id) FROM stored;
-- Arrays: NULL elements stay, shape is kept.
SELECT reidentify_array(pseudonymize_array(a)) = a, array_dims(pseudonymize_array(a)), array_dims(reidentify_array(pseudonymize_array(a))), array_dims(try_reidentify_array(pseudonymize_array(a, true))), reidentify_array(pseudonymize_array(a))
  FROM (VALUES (1, '{}'::text[]), (2, '{NULL}'), (3, '{x,NULL,y}'), (4, '{{a,b},{c,NULL}}'), (5, '[0:1]={a,b}'), (6, '[-2:-1][5:6]={{a,b},{c,NULL}}'), (7, '{""}'), (8, '{{{a},{b}},{{c},{d}}}')) AS s (n, a) ORDER BY n;
SELECT pseudonymize_array('{}'), reidentify_array('{}'), try_reidentify_array('{}');
SELECT try_reidentify_array(ARRAY[pseudonymize('x'), 'bad', NULL, 'Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E=', pseudonymize('y')]);
SELECT try_reidentify_array(ARRAY[[pseudonymize('x'), 'bad'], [NULL, pseudonymize('y')]]);
SELECT t.err($$SELECT reidentify_array(ARRAY[pseudonymize('x'), 'bad'])$$);
SELECT t.err($$SELECT reidentify_array(ARRAY[pseudonymize('x'), 'Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E='])$$);
SELECT cardinality(reidentify_array(pseudonymize_array(array_agg(n::text)))) FROM generate_series(1, 100000) n;
-- Contexts: unlinkable in both modes, and one moved between columns is rejected.
SELECT pseudonymize('x', true, 'crm') = pseudonymize('x', true, 'erp'), pseudonymize('x', true, 'crm') = pseudonymize('x', true), pseudonymize('x', true, 'crm') = pseudonymize('x', true, 'crm');
SELECT substr(pseudonymize('x', true, 'crm'), 1, 16) = substr(pseudonymize('x', true), 1, 16) AS "the nonce tells";
SELECT t.err($$SELECT reidentify(pseudonymize('x', true, 'crm'))$$);
SELECT t.err($$SELECT reidentify(pseudonymize('x', false, 'crm'), 'erp')$$);
SELECT t.err($$SELECT reidentify(pseudonymize('x', true), 'crm')$$);
SELECT try_reidentify(pseudonymize('x', true, 'crm')), try_reidentify(pseudonymize('x', true, 'crm'), 'erp'), try_reidentify(pseudonymize('x', true, 'crm'), 'crm');
-- The context is bytes: case, space and spelling count; it is UTF-8; it may be long.
SELECT try_reidentify(pseudonymize('x', true, 'crm'), 'CRM'), try_reidentify(pseudonymize('x', true, 'crm'), 'crm ');
SELECT pseudonymize('x', true, 'Kundschaft Zürich') = 'NTI1NDk5NWYyMTQy/4AKnN59XNUgS/B1c6xr8aE=', reidentify('NTI1NDk5NWYyMTQy/4AKnN59XNUgS/B1c6xr8aE=', 'Kundschaft Zürich');
SELECT pseudonymize('x', true, repeat('c', 100000)) = 'M2U3MDQxOTcxZWZjlpnAI/V4An9Sj5GnUQQxC5Y=', reidentify(pseudonymize('x', context => repeat('c', 100000)), repeat('c', 100000));
-- More contexts than there is room for nonce keys, in turn, twice: short ones, ones that begin as another does, and
-- ones too long to be found again.  The nonces are as PostgreSQL's own SHA-256 makes them.
CREATE TEMPORARY TABLE contexts AS SELECT n, CASE n % 4 WHEN 0 THEN 'context ' || n WHEN 1 THEN repeat('c', n % 120) || n WHEN 2 THEN repeat('c', 43) || chr(32 + n / 20) ELSE repeat('c', 43) || n END AS c FROM generate_series(1, 1600) n;
SELECT min(length(c)), max(length(c)), count(DISTINCT c), count(DISTINCT c) FILTER (WHERE length(c) <= 44) FROM contexts;
CREATE TEMPORARY TABLE made AS SELECT turn, n, c, pseudonymize('x', true, c) AS p FROM generate_series(1, 2) turn, contexts ORDER BY turn, n;
SELECT count(*), count(DISTINCT p) = count(DISTINCT c), bool_and(reidentify(p, c) = 'x') FROM made;
SELECT count(*) FROM (SELECT c, p, t.hmac_sha256('x', t.hmac_sha256('\xff'::bytea || 'pseudo/context'::bytea || '\x00'::bytea || convert_to(c, 'UTF8'), decode(t.get('pseudo') ->> 'encodedNonceKey', 'base64'))) AS hmac FROM (SELECT DISTINCT c, p FROM made) AS m) AS s
 WHERE convert_from(substr(decode(p, 'base64'), 1, 12), 'UTF8') = substr(encode(hmac, 'hex'), 8, 12);
SELECT n, pseudonymize('x', true, 'context ' || n) FROM generate_series(1, 3) n;
-- The nonce key of another call's context is not lost to them, nor is a long one's.
SELECT count(DISTINCT a), count(DISTINCT b), bool_and(a = pseudonymize_as('current_user', 'x', 'context 1')), count(DISTINCT d), bool_and(d = pseudonymize_as('current_user', 'x', repeat('c', 100))) FROM (SELECT pseudonymize('x', true, 'context 1') AS a, pseudonymize('x', true, 'context ' || n % 900) AS b, pseudonymize('x', true, repeat('c', 100)) AS d FROM generate_series(1, 1800) n) AS s;
-- Keyrings from row to row.
SELECT count(*), count(DISTINCT p), bool_and(reidentify(p, '', k) = 'x') FROM (SELECT k, pseudonymize('x', true, '', k) AS p FROM generate_series(1, 1000) n, LATERAL (SELECT CASE n % 2 WHEN 0 THEN 'b' ELSE 'pseudo' END) AS s (k)) AS s;
-- Too long: the pseudonym would not fit a text.
-- (Not in a parallel worker: PostgreSQL cannot send one a plan with such a constant.)
SET max_parallel_workers_per_gather = 0;
SELECT t.err($$SELECT pseudonymize(repeat(repeat('x', 100), 8053064), true)$$);
SELECT t.err($$SELECT pseudonymize(repeat(repeat('x', 100), 8053064))$$);
RESET max_parallel_workers_per_gather;
-- In prepared statements, defaults, cursors and parallel queries.
PREPARE p (text, boolean, text) AS SELECT reidentify(pseudonymize($1, $2, $3), $3);
EXECUTE p ('x', true, 'crm');
EXECUTE p ('y', false, '');
EXECUTE p (NULL, false, '');
EXECUTE p ('z', true, 'erp');
DEALLOCATE p;
CREATE TEMPORARY TABLE d (v text DEFAULT pseudonymize('default', true));
INSERT INTO d DEFAULT VALUES;
SELECT reidentify(v) FROM d;
BEGIN;
DECLARE c CURSOR FOR SELECT reidentify(pseudonymize(n::text)) FROM generate_series(1, 3) n;
FETCH 2 FROM c;
FETCH 2 FROM c;
COMMIT;
CREATE TABLE many AS SELECT n, pseudonymize(n::text, true) AS p FROM generate_series(1, 20000) n;
ANALYZE many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT t.plan_has('SELECT count(*) FROM many WHERE reidentify(p) = n::text AND pseudonymize(n::text, true) = p', 'Parallel Seq Scan on many');
SELECT count(*) FROM many WHERE reidentify(p) = n::text AND pseudonymize(n::text, true) = p;
SELECT count(DISTINCT pseudonymize('x')) FROM many;
SELECT count(DISTINCT pseudonymize('x')), count(DISTINCT pseudonymize('x', true)) FROM many;
DROP TABLE many;
DROP SERVER b;
