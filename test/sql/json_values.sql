--
-- pseudonymize_json and reidentify_json, for jsonb and json.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_encoding = 'UTF8';
SET client_min_messages = warning;
\set VERBOSITY terse
SET search_path = pseudo, public;
-- A document with everything in it.
CREATE TABLE docs (id int, j json);
INSERT INTO docs VALUES
  (1, '{"id": 7, "email": "alice@example.com", "at": "2025-01-01", "ok": true, "none": null}'),
  (2, '{"user": {"email": "alice@example.com", "name": {"first": "Alice", "last": "Zoë"}}, "cc": [{"email": "bruno@example.org"}, {"email": null}]}'),
  (3, '{"email": ["alice@example.com", ["bruno@example.org", {"work": "x@y"}], 12, {}, [], null], "id": [1]}'),
  (4, '["email", {"email": ""}, "email"]'),
  (5, '"email"'), (6, '12'), (7, 'null'), (8, 'true'), (9, '{}'), (10, '[]'), (11, NULL),
  (12, '{"": {"email": {"email": {"id": 1.0}}}, "em": {"ail": "x"}, "emails": "x", "Email": "x"}');
-- What comes out, and the way back.
SELECT id, pseudonymize_json(j, '{email,name}', true) FROM docs ORDER BY id;
SELECT id, pseudonymize_json(j::jsonb, '{email,name}', true) FROM docs ORDER BY id;
SELECT id, reidentify_json(pseudonymize_json(j, '{email,name}', true), '{email,name}')::text IS NOT DISTINCT FROM j::text AS "json, every byte",
       reidentify_json(pseudonymize_json(j::jsonb, '{email,name}', true), '{email,name}') IS NOT DISTINCT FROM j::jsonb AS jsonb,
       reidentify_json(pseudonymize_json(j, '{email,name}'), '{email,name}')::text IS NOT DISTINCT FROM j::text AS "json, random",
       reidentify_json(pseudonymize_json(j::jsonb, '{email,name}'), '{email,name}') IS NOT DISTINCT FROM j::jsonb AS "jsonb, random",
       pseudonymize_json(j, '{email,name}', true)::jsonb IS NOT DISTINCT FROM pseudonymize_json(j::jsonb, '{email,name}', true) AS same
  FROM docs ORDER BY id;
-- A string has the pseudonym that it has in a column: they join, in every context and keyring.
SELECT pseudonymize_json('{"email": "alice@example.com"}', '{email}', true) ->> 'email' = pseudonymize('alice@example.com', true);
SELECT reidentify(pseudonymize_json('{"email": "alice@example.com"}', '{email}', false, 'crm') ->> 'email', 'crm');
SELECT reidentify_json(jsonb_build_object('email', pseudonymize('alice@example.com', false, 'crm')), '{email}', 'crm');
SELECT t.keyring('b', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
CREATE TABLE people AS SELECT e AS plain, pseudonymize(e, true, c, k) AS email, c, k
  FROM unnest(ARRAY['alice@example.com', 'bruno@example.org', 'Zoë "\/ 🙂', '']) e, (VALUES ('', 'pseudo'), ('crm', 'pseudo'), ('crm', 'b')) AS s (c, k);
SELECT c, k, count(*), count(*) FILTER (WHERE plain = v) FROM people JOIN LATERAL (SELECT s.v, p
    FROM (VALUES ('alice@example.com'), ('bruno@example.org'), ('Zoë "\/ 🙂'), ('')) AS s (v),
         LATERAL (SELECT pseudonymize_json(jsonb_build_object('v', v), '{v}', true, c, k) ->> 'v') AS a (p)) AS j ON j.p = people.email
 GROUP BY c, k ORDER BY c, k;
SELECT c, k, count(*), count(*) FILTER (WHERE plain = v) FROM people JOIN LATERAL (SELECT s.v, p
    FROM (VALUES ('alice@example.com'), ('bruno@example.org'), ('Zoë "\/ 🙂'), ('')) AS s (v),
         LATERAL (SELECT pseudonymize_json(json_build_object('v', v), '{v}', true, c, k) ->> 'v') AS a (p)) AS j ON j.p = people.email
 GROUP BY c, k ORDER BY c, k;
DROP TABLE people;
-- Contexts and keyrings keep apart; the wrong one is refused.
SELECT reidentify_json(pseudonymize_json('{"a": ["x", 1, true]}', '{a}', false, 'crm', 'b'), '{a}', 'crm', 'b');
SELECT t.err($$SELECT reidentify_json(pseudonymize_json('{"a": "x"}', '{a}', false, 'crm'), '{a}')$$);
SELECT t.err($$SELECT reidentify_json(pseudonymize_json('{"a": 1}', '{a}', true, 'crm'), '{a}', 'erp')$$);
SELECT t.err($$SELECT reidentify_json(pseudonymize_json('{"a": true}', '{a}'), '{a}', 'crm')$$);
SELECT t.err($$SELECT reidentify_json(pseudonymize_json('{"a": "x"}'::json, '{a}'), '{a}', keyring => 'b')$$);
SELECT count(*) FROM generate_series(1, 100) n, LATERAL (SELECT 'context ' || n % 20 AS c, CASE n % 3 WHEN 0 THEN 'b' ELSE 'pseudo' END AS k) AS s,
  LATERAL (SELECT pseudonymize_json('{"a": ["x", 1]}', '{a}', true, c, k) AS p) AS p
 WHERE reidentify_json(p, '{a}', c, k) = '{"a": ["x", 1]}' AND p #>> '{a,0}' = pseudonymize('x', true, c, k);
-- Numbers and booleans come back with their type, and have contexts of their own.
SELECT id, reidentify_json(pseudonymize_json(j, '{n}'), '{n}') AS json, reidentify_json(pseudonymize_json(j::jsonb, '{n}'), '{n}') AS jsonb,
       pseudonymize_json(j, '{n}', true) ->> 'n' = pseudonymize_json(j::jsonb, '{n}', true) ->> 'n' AS same
  FROM (VALUES (1, '{"n": 1}'::json), (2, '{"n": 1.0}'), (3, '{"n": -0}'), (4, '{"n": 1E5}'), (5, '{"n":-1.50e-2}'), (6, '{"n": 12345678901234567890.123456789}'), (7, '{"n": 0.0}')) AS s (id, j) ORDER BY id;
SELECT t.err($$SELECT pseudonymize_json('{"b": [true, false]}', '{b}', true)$$);
SELECT t.err($$SELECT pseudonymize_json('{"b": [true, false]}'::json, '{b}', true)$$);
SELECT pseudonymize_json('{"b": true}', '{c}', true), pseudonymize_json('{"b": true}'::json, '{c}', true);
SELECT reidentify_json(pseudonymize_json(j, '{b}'), '{b}') FROM (VALUES ('{"b": [true, false, "true", 1, "1", null, "null"]}'::jsonb)) AS s (j);
SELECT reidentify_json(pseudonymize_json(j, '{b}'), '{b}') FROM (VALUES ('{"b":[true,false,"true",1,"1",null,"null"]}'::json)) AS s (j);
SELECT count(DISTINCT pseudonymize_json('{"b": true}', '{b}')), count(DISTINCT pseudonymize_json('{"b": true}'::json, '{b}')::text) FROM generate_series(1, 1000);
SELECT pseudonymize_json('{"n": 1}', '{n}', true) = pseudonymize_json('{"n": "1"}', '{n}', true), pseudonymize_json('{"n": 1}', '{n}', true) = pseudonymize_json('{"n": 1}', '{n}', true),
       pseudonymize_json('{"n": 1}', '{n}', true) = pseudonymize_json('{"n": 1.0}', '{n}', true), pseudonymize_json('{"n": 1E2}', '{n}', true) = pseudonymize_json('{"n": 100}', '{n}', true);
SELECT t.err(format('SELECT reidentify(%L)', pseudonymize_json('{"n": 1}', '{n}') ->> 'n'));
SELECT t.err(format('SELECT reidentify(%L)', pseudonymize_json('{"n": true}', '{n}') ->> 'n'));
-- as any other implementation makes them; 'X' under the context 'crm', 12.50 and true under crm || 0x00 || 'json:...'
SELECT pseudonymize_json('{"v": ["X", 12.50]}', '{v}', true, 'crm');
SELECT reidentify_json('{"v": ["NGQ0ZDdhN2I3ZDExQVx1YCqa/R6mYc8AkyT2sO8=", "NmJmZTMwYTU4NDkw0HBRrSB/bkQVuespoKzAg5nI1mEQ", "N2JiMGFlYjkxZTMwKkvFE4eCovXwOf9KxhkKy5FegBw="]}', '{v}', 'crm');
-- the same where the context changes from row to row
SELECT n, c, pseudonymize_json('{"v": 12.50}', '{v}', true, c) ->> 'v' = 'NmJmZTMwYTU4NDkw0HBRrSB/bkQVuespoKzAg5nI1mEQ' FROM (VALUES (1, 'erp'), (2, 'crm'), (3, 'erp'), (4, 'crm')) AS s (n, c) ORDER BY n;
-- neither a number nor a boolean, under the contexts of these
SELECT t.err($$SELECT reidentify_json('{"v": "NTU3N2RlZTJhOWI1VH5o9OzxQWmqL/wws6DkEwkvLQ=="}', '{v}', 'crm')$$);
SELECT t.err($$SELECT reidentify_json('{"v": "NTU3N2RlZTJhOWI1VH5o9OzxQWmqL/wws6DkEwkvLQ=="}'::json, '{v}', 'crm')$$);
SELECT t.err($$SELECT reidentify_json('{"v": "YmI4NDgxZjI3MjlmWGKNL54eBlJJv62IKOk/x6o="}', '{v}', 'crm')$$);
SELECT t.err($$SELECT reidentify_json('{"v": "YmI4NDgxZjI3MjlmWGKNL54eBlJJv62IKOk/x6o="}'::json, '{v}', 'crm')$$);
-- Large numbers; one that no numeric can hold is a json only.
SELECT length(pseudonymize_json('{"n": 1e400}', '{n}') ->> 'n'), reidentify_json(pseudonymize_json('{"n": 1e400}'::json, '{n}'), '{n}') ->> 'n' = (1e400::numeric)::text,
       reidentify_json(pseudonymize_json('{"n": -1e400}', '{n}'), '{n}') = '{"n": -1e400}';
SELECT pseudonymize_json('{"n": 1e400000}'::json, '{m}');
SELECT t.err($$SELECT pseudonymize_json('{"n": 1e400000}'::json, '{n}')$$);
SELECT t.err($$SELECT pseudonymize_json('{"n": 4711e99999999999999999999}'::json, '{n}')$$);
-- json: all other bytes stay, in every spelling, and each of equal keys counts.
SELECT pseudonymize_json(E'\n [ {"b" :1.00,\t"a":1 , "a" : "x", "c": 1E+2,"b":"\\u00eb\\/", "d": {"a"\n:null} } ]\r\n'::json, '{a}', true);
SELECT reidentify_json(pseudonymize_json(j, '{a}'), '{a}')::text = j::text FROM (VALUES (E'\n [ {"b" :1.00,\t"a":1 , "a" : "x", "c": 1E+2,"b":"\\u00eb\\/\\u0000\\ud800", "d": {"a"\n:null}, "\\u0000":1, "\\ud800": 2 } ]\r\n'::json)) AS s (j);
-- jsonb: the last of equal keys, as always.
SELECT reidentify_json(pseudonymize_json('{"a": 1, "a": "x", "b": 2}', '{a}'), '{a}');
-- Escapes, in keys and in values.
SELECT pseudonymize_json('{"\u0065mail": "alice\u0040example.com", "em\u0061\u0069l": "alice@example.com"}'::json, '{email}', true);
SELECT pseudonymize_json('{"\u0065mail": "alice\u0040example.com"}'::jsonb, '{email}', true);
SELECT (pseudonymize_json(j, '{k}', true) ->> 'k') = pseudonymize(v, true) AS json, (pseudonymize_json(j::jsonb, '{k}', true) ->> 'k') = pseudonymize(v, true) AS jsonb,
       reidentify_json(pseudonymize_json(j, '{k}'), '{k}')
  FROM (VALUES ('{"k":"\u00eb\u6771\ud83d\ude42\uD83D\uDE42"}'::json, 'ë東🙂🙂'), ('{"k":"\"\\\/\b\f\n\r\t\u001f\u007F"}', E'"\\/\b\f\n\r\t\x1f\x7f'), ('{"k":"\\u0041"}', '\u0041'), ('{"k":"ë"}', 'ë'), ('{"k":""}', '')) AS s (j, v);
SELECT pseudonymize_json('{"\"\\\/\b\f\n\r\t": "x", "\ud83d\ude42": "y", "🙂": "z"}'::json, ARRAY[E'"\\/\b\f\n\r\t', '🙂'], true);
SELECT t.err($$SELECT pseudonymize_json('{"k": "secret\u0000"}'::json, '{k}')$$);
SELECT t.err($$SELECT pseudonymize_json('{"k": "secret\ud83d"}'::json, '{k}')$$);
SELECT t.err($$SELECT pseudonymize_json('{"k": "secret\ud83dx\ude42"}'::json, '{k}')$$);
SELECT t.err($$SELECT pseudonymize_json('{"k": "secret\ud83d\ud83d"}'::json, '{k}')$$);
SELECT t.err($$SELECT pseudonymize_json('{"k": "secret\ude42"}'::json, '{k}')$$);
-- Keys: exact, at any depth, also the empty one; none, many, equal ones, more dimensions.
SELECT pseudonymize_json('{"": "x", "k": "y", "K": "z", "k ": "z"}', '{""}', true), pseudonymize_json('{"": "x", "k": "y", "K": "z", "k ": "z"}', '{k}', true);
SELECT pseudonymize_json('{"a": "x"}', '{}'), pseudonymize_json('{"a": "x"}'::json, '{}'), reidentify_json('{"a": "x"}', '{}'), reidentify_json('{"a": "x"}'::json, '{}');
SELECT reidentify_json(p, '{{a,a},{b,a}}'), reidentify_json(p, '[5:6]={b,a}') FROM (SELECT pseudonymize_json('{"a": "x", "b": "y", "c": "z"}', '{b,a,b}')) AS s (p);
SELECT count(*) FROM (SELECT array_agg('key' || n) AS keys, json_object_agg('key' || n, 'value ' || n) AS j FROM generate_series(1, 3000) n) AS s,
  LATERAL (SELECT pseudonymize_json(j, keys, true) AS p, pseudonymize_json(j::jsonb, keys, true) AS q) AS p, LATERAL json_each_text(p) AS e
 WHERE e.value = pseudonymize(replace(e.key, 'key', 'value '), true) AND q ->> e.key = e.value;
-- keys that differ from row to row
SELECT k, pseudonymize_json('{"a": "x", "b": "x"}', k, true) FROM (VALUES (1, '{a}'::text[]), (2, '{b}'), (3, '{b}'), (4, '{}'), (5, '{a,b}')) AS s (n, k) ORDER BY n;
SELECT t.err(format('SELECT pseudonymize_json(''{"a": "x"}'', %L::text[], true)', k)) FROM (VALUES ('{a}'), ('{a,NULL}'), (NULL)) AS s (k);
-- keys that are stored compressed
CREATE TEMPORARY TABLE stored AS SELECT array_agg(lpad(n::text, 100, 'k') ORDER BY n) AS keys FROM generate_series(1, 1000) n;
SELECT count(*) FROM stored, generate_series(1, 3) WHERE pseudonymize_json(json_build_object(lpad('500', 100, 'k'), 'x'), keys, true) ->> lpad('500', 100, 'k') = pseudonymize('x', true);
-- Inside a value under a key everything counts, whatever its own keys are; after it nothing does.
SELECT reidentify_json(p, '{a}'), reidentify_json(p, '{a,b,c}') = reidentify_json(p, '{a}'), p -> 'z', p #>> '{a,b}' = pseudonymize('1', true) FROM (SELECT pseudonymize_json('{"a": {"b": "1", "c": ["2", {"a": "3"}]}, "z": ["4", {"y": "5"}]}', '{a,c}', true)) AS s (p);
SELECT reidentify_json(reidentify_json(p, '{c}'), '{b}'), reidentify_json(p, '{c}') #>> '{a,b}' = p #>> '{a,b}' FROM (SELECT pseudonymize_json('{"a": {"b": "1", "c": ["2", {"a": "3"}]}, "z": 4}', '{a}', true)) AS s (p);
SELECT pseudonymize_json('[{"a": []}, "x", {"a": {}}, "x", {"a": null}, "x", {"b": "x"}, ["x"], {"a": [[], {}, null]}, "x"]'::json, '{a}');
SELECT pseudonymize_json('[{"a": []}, "x", {"a": {}}, "x", {"a": null}, "x", {"b": "x"}, ["x"], {"a": [[], {}, null]}, "x"]'::jsonb, '{a}');
-- NULLs.
SELECT pseudonymize_json(NULL::jsonb, '{a}'), pseudonymize_json(NULL::json, '{a}'), reidentify_json(NULL::jsonb, '{a}'), reidentify_json(NULL::json, '{a}'), pseudonymize_json(NULL, '{a}');
SELECT t.err('SELECT ' || replace(replace(call, 'DOC', doc), 'TYPE', type)) FROM
  unnest(ARRAY['pseudonymize_json(DOC::TYPE, NULL)', 'pseudonymize_json(DOC::TYPE, ARRAY[''a'', NULL])', 'pseudonymize_json(DOC::TYPE, ''{a}'', NULL)', 'pseudonymize_json(DOC::TYPE, ''{a}'', true, NULL)', 'pseudonymize_json(DOC::TYPE, ''{a}'', true, '''', NULL)',
               'reidentify_json(DOC::TYPE, NULL)', 'reidentify_json(DOC::TYPE, ARRAY[''a'', NULL])', 'reidentify_json(DOC::TYPE, ''{a}'', NULL)', 'reidentify_json(DOC::TYPE, ''{a}'', '''', NULL)']) WITH ORDINALITY AS c (call, n),
  unnest(ARRAY['''{"a": "x"}''', 'NULL']) doc, unnest(ARRAY['jsonb', 'json']) type ORDER BY n, doc, type;
-- What is no pseudonym under a key is an error on the way back; null is not.
SELECT t.err(format('SELECT reidentify_json(%L::%s, ''{a}'')', doc, type)) FROM unnest(ARRAY['{"a": "secret"}', '{"a": ""}', '{"a": "seçret"}', '{"a": 4711}', '{"a": [[true]]}', '{"a": {"b": "Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E="}}']) WITH ORDINALITY AS d (doc, n),
  unnest(ARRAY['jsonb', 'json']) type ORDER BY n, type;
SELECT reidentify_json('{"a": null, "b": "secret"}', '{a}'), reidentify_json('{"a": null, "b": "secret"}'::json, '{a}');
-- The context of an error names the key.
\set VERBOSITY default
SELECT reidentify_json('{"b": {"email": "secret"}}', '{id,email}');
SELECT pseudonymize_json('{"b": {"email": ["secret\u0000"]}}'::json, '{id,email}');
SELECT pseudonymize_json('{"b": true, "email": "x"}', '{"ärger \" ",b}', true);
\set VERBOSITY terse
-- How calls resolve: an untyped literal and a text are jsonb, json stays json.
SELECT pg_typeof(pseudonymize_json('{"a": "x"}', '{a}')), pg_typeof(pseudonymize_json('{"a": "x"}'::text, '{a}')), pg_typeof(pseudonymize_json('{"a": "x"}'::json, '{a}')), pg_typeof(pseudonymize_json(to_jsonb('x'::text), '{a}')),
       pg_typeof(reidentify_json('{}', '{a}')), pg_typeof(reidentify_json('{}'::varchar, '{a}')), pg_typeof(reidentify_json('{}'::json, '{a}')), pg_typeof(reidentify_json('{}'::jsonb, '{a}'));
SELECT pseudonymize_json(doc => '{"a": "x"}', keys => '{a}', deterministic => true, context => 'crm', keyring => 'b') = pseudonymize_json('{"a": "x"}'::jsonb, '{a}', true, 'crm', 'b');
SELECT reidentify_json(doc => pseudonymize_json('{"a": "x"}'::json, '{a}', context => 'crm'), keys => '{a}', context => 'crm', keyring => 'pseudo');
SELECT pseudonymize_json(v, '{a}', true, 'crm', 'b') = pseudonymize_json(v::jsonb, '{a}', true, 'crm', 'b'), reidentify_json(pseudonymize_json(v, '{a}', false, 'crm', 'b')::text, '{a}', 'crm', 'b') FROM (VALUES ('{"a":"x"}'::text)) AS s (v);
-- Modes: random ones never come twice, also in one document.
SELECT count(DISTINCT pseudonymize_json('{"a": "x"}', '{a}')), count(DISTINCT pseudonymize_json('{"a": "x"}'::json, '{a}')::text), count(DISTINCT pseudonymize_json('{"a": "x"}', '{a}', true)) FROM generate_series(1, 1000);
SELECT count(DISTINCT p) FROM jsonb_array_elements_text(pseudonymize_json(jsonb_build_object('a', array_fill('x'::text, '{1000}')), '{a}') -> 'a') AS p;
SELECT count(DISTINCT p) FROM jsonb_array_elements_text(pseudonymize_json(jsonb_build_object('a', array_fill('x'::text, '{1000}')), '{a}', true) -> 'a') AS p;
-- Deep nesting: neither walk needs stack.
SELECT n, reidentify_json(pseudonymize_json(d::json, '{a}'), '{a}')::text = d, reidentify_json(pseudonymize_json(d::jsonb, '{a}'), '{a}') = d::jsonb
  FROM (SELECT n, repeat('{"b":[', n) || '{"a":"x"}' || repeat(']}', n) FROM unnest('{1,100,2000}'::int[]) n) AS s (n, d);
SELECT n, reidentify_json(pseudonymize_json(d::json, '{a}'), '{a}')::text = d, reidentify_json(pseudonymize_json(d::jsonb, '{a}'), '{a}') = d::jsonb
  FROM (SELECT n, repeat('{"a":[', n) || '"x"' || repeat(']}', n) FROM unnest('{1,100,2000}'::int[]) n) AS s (n, d);
SELECT t.err($$SELECT pseudonymize_json((repeat('{"a":[', 500000) || '"x"' || repeat(']}', 500000))::jsonb, '{a}')$$) LIKE '54001: %';
-- a cast that PostgreSQL has not, past its own parser: a million levels, and what is no JSON
CREATE CAST (text AS json) WITHOUT FUNCTION;
SELECT md5(pseudonymize_json(d::json, '{a}', true)::text) = md5(replace(d, 'x', pseudonymize('x', true))), reidentify_json(pseudonymize_json(d::json, '{a}'), '{a}')::text = d
  FROM (SELECT repeat('{"a":[', 500000) || '"x"' || repeat(']}', 500000)) AS s (d);
SELECT md5(pseudonymize_json(d::json, '{a}', true)::text) = md5(replace(d, 'x', pseudonymize('x', true))), reidentify_json(pseudonymize_json(d::json, '{a}'), '{a}')::text = d
  FROM (SELECT repeat('{"b":[', 500000) || '{"a":"x"}' || repeat(']}', 500000)) AS s (d);
SELECT v, t.err(format('SELECT pseudonymize_json(%L::text::json, ''{a}'')', v)) FROM unnest(ARRAY['', '{', '"', '"\', '{"a":"secret', '{"a":"secret\', '{"a":"secret\u12"}', '{"a":"secret\x"}', '{"a":secret}', '{"a":-}', '{"a":01}', '{"a":NaN}', '{"a":', '{"a"', '{"a":}}]]', '{"a":]"x"', '}}}{"a":null', '{"a"::"x"']) v;
DROP CAST (text AS json);
-- Long values and documents.
SELECT reidentify_json(pseudonymize_json(j, '{v}'), '{v}')::text = j::text, reidentify_json(pseudonymize_json(j::jsonb, '{v}'), '{v}') = j::jsonb FROM (SELECT json_build_object('v', repeat('long ', 200000), 'w', repeat('long ', 200000))) AS s (j);
SELECT jsonb_array_length(reidentify_json(pseudonymize_json(jsonb_agg(jsonb_build_object('id', n, 'v', n::text)), '{v}'), '{v}')) FROM generate_series(1, 50000) n;
CREATE TEMPORARY TABLE kept AS SELECT pseudonymize_json(j, '{email}', true) AS j, pseudonymize_json(j::jsonb, '{email}', true) AS b FROM docs;
UPDATE kept SET j = reidentify_json(j, '{email}'), b = reidentify_json(b, '{email}');
SELECT count(*) FROM kept JOIN docs ON kept.j::text = docs.j::text AND kept.b = docs.j::jsonb;
-- Many calls in one statement, keys and contexts changing: memory stays.
CREATE FUNCTION pg_temp.used() RETURNS bigint LANGUAGE sql AS $$ SELECT sum(used_bytes) FROM pg_backend_memory_contexts $$;
SELECT count(*) FILTER (WHERE json AND jsonb), max(used) - min(used) < 100000 AS stays FROM (SELECT
    reidentify_json(pseudonymize_json(j, k, n % 2 = 0, c), k, c)::text = j::text AS json,
    reidentify_json(pseudonymize_json(j::jsonb, k, n % 2 = 0, c), k, c) = j::jsonb AS jsonb, CASE WHEN n IN (1000, 20000) THEN pg_temp.used() END AS used
  FROM generate_series(1, 20000) n, LATERAL (SELECT json_build_object('k' || n % 7, n::text, 'a', n), ARRAY['k' || n % 7, 'a'], 'context ' || n % 30) AS s (j, k, c)) AS s;
-- Prepared statements, and parallel queries.
PREPARE p (jsonb, text[], text) AS SELECT reidentify_json(pseudonymize_json($1, $2, false, $3), $2, $3);
EXECUTE p ('{"a": "x", "b": 1}', '{a,b}', 'crm');
EXECUTE p ('{"a": "x", "b": 1}', '{b}', '');
EXECUTE p (NULL, '{b}', '');
DEALLOCATE p;
CREATE TABLE many AS SELECT n, jsonb_build_object('email', n || '@example.com', 'n', n) AS j FROM generate_series(1, 20000) n;
ANALYZE many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT t.plan_has('SELECT count(*) FROM many WHERE reidentify_json(pseudonymize_json(j, ''{email,n}'', true), ''{email,n}'') = j', 'Parallel Seq Scan on many');
SELECT count(*) FROM many WHERE reidentify_json(pseudonymize_json(j, '{email,n}', true), '{email,n}') = j;
SELECT count(*) FROM many WHERE reidentify_json(pseudonymize_json(j::text::json, '{email,n}', true), '{email,n}')::text = j::text;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
DROP TABLE many;
-- A key that was turned off, and one that this session has not seen.
SELECT t.keyring('c', '{}');
SELECT pseudo_create_key('c'), pseudo_create_key('c');
CREATE TEMPORARY TABLE old AS SELECT pseudonymize_json('{"a": ["x", 1, true]}', '{a}', keyring => 'c') AS j;
SELECT pseudo_set_primary_key('c', 2);
SELECT reidentify_json(j, '{a}', keyring => 'c') FROM old;
SELECT pseudo_set_key_status('c', 1, 'disabled');
SELECT t.err($$SELECT reidentify_json(j, '{a}', keyring => 'c') FROM old$$);
SELECT pseudo_set_key_status('c', 1, 'enabled');
SELECT reidentify_json(j, '{a}', keyring => 'c') FROM old;
SELECT t.put('c2', t.get('c')::text);
SELECT pseudo_create_key('c', make_primary => true);
INSERT INTO old SELECT pseudonymize_json('{"a": [1, "x", true]}', '{a}', keyring => 'c');
SELECT t.keyring('c2');
SELECT count(reidentify_json(j, '{a}', keyring => 'c2')) FROM (SELECT j FROM old LIMIT 1) AS s;
SELECT t.put('c2', t.get('c')::text);
SELECT reidentify_json(j, '{a}', keyring => 'c2') FROM old;
-- to move documents to another key takes both functions: repseudonymize opens strings only
SELECT reidentify_json(moved, '{a}', keyring => 'c') = '{"a": ["x", 1]}' AS same, (SELECT array_agg(DISTINCT pseudonym_key_id(p)) FROM jsonb_array_elements_text(moved -> 'a') AS p) AS keys,
       pseudonym_key_id(repseudonymize(kept #>> '{a,0}', false, '', 'c')) AS string, t.err(format('SELECT repseudonymize(%L, false, '''', ''c'')', kept #>> '{a,1}')) AS number
  FROM (SELECT j AS kept, pseudonymize_json(reidentify_json(j, '{a}', keyring => 'c'), '{a}', keyring => 'c') AS moved FROM (SELECT j #- '{a,2}' AS j FROM old LIMIT 1) AS s) AS s;
-- another primary key in the midst of a statement
SELECT n, pseudonym_key_id(pseudonymize_json('{"a": 1}'::jsonb, '{a}', keyring => 'c') ->> 'a') AS key, CASE WHEN n IN (2, 3) THEN pseudo_create_key('c', make_primary => true) END AS new FROM generate_series(1, 4) n;
DROP SERVER c, c2;
-- Rights: those of pseudonymize and reidentify, checked when called.
CREATE ROLE regress_pseudo_p;
CREATE ROLE regress_pseudo_r;
CREATE ROLE regress_pseudo_none;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_p, regress_pseudo_r, regress_pseudo_none;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_p, regress_pseudo_r, regress_pseudo_none;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_p;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_r;
CREATE FUNCTION t.json_rights() RETURNS SETOF text LANGUAGE sql AS
$$
SELECT f || ' -> ' || t.err('SELECT pseudo.' || f) FROM unnest(ARRAY[
  $q$pseudonymize_json('{"a": "x"}'::jsonb, '{a}')$q$, $q$pseudonymize_json('{"a": "x"}'::json, '{a}')$q$, $q$pseudonymize_json('{"a": "x"}', '{a}')$q$,
  $q$pseudonymize_json('{}', '{}')$q$, $q$pseudonymize_json(NULL::json, '{}')$q$, $q$pseudonymize_json('1', NULL)$q$,
  $q$pseudonymize_json('{}', '{}', keyring => 'b')$q$,
  $q$reidentify_json('{"a": "NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4="}'::jsonb, '{a}')$q$, $q$reidentify_json('{"a": "NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4="}'::json, '{a}')$q$,
  $q$reidentify_json('{"a": "NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4="}', '{a}')$q$,
  $q$reidentify_json('{}', '{}')$q$, $q$reidentify_json(NULL::json, '{}')$q$, $q$reidentify_json('{}'::json, '{}', keyring => 'b')$q$]) WITH ORDINALITY AS s (f, n) ORDER BY n
$$;
SET ROLE regress_pseudo_none;
SELECT t.json_rights();
SET ROLE regress_pseudo_p;
SELECT t.json_rights();
SET ROLE regress_pseudo_r;
SELECT t.json_rights();
RESET ROLE;
-- a REVOKE holds in the next statement, in prepared ones too
SET ROLE regress_pseudo_p;
PREPARE p AS SELECT pseudonymize_json('{"a": "x"}'::jsonb, '{a}', true) IS NOT NULL;
EXECUTE p;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_p;
SET ROLE regress_pseudo_p;
EXECUTE p;
RESET ROLE;
DEALLOCATE p;
DROP FUNCTION t.json_rights;
DROP OWNED BY regress_pseudo_p, regress_pseudo_r, regress_pseudo_none;
DROP ROLE regress_pseudo_p, regress_pseudo_r, regress_pseudo_none;
DROP SERVER b;
DROP TABLE docs;
