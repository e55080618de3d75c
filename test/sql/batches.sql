--
-- Many values: what arrays open and seal together, and values that come again.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
-- Arrays of every length about a batch, with NULLs, equal those made one by one; so do their values.
CREATE TEMPORARY TABLE arrays AS
  SELECT n, (SELECT array_agg(CASE WHEN i % 7 <> 0 THEN repeat(chr(65 + i % 26), i % 50) || i END ORDER BY i) FROM generate_series(1, n) i) AS a
  FROM unnest('{1,3,4,5,63,64,65,127,128,129,200}'::int[]) n;
SELECT n FROM arrays WHERE pseudonymize_array(a, true) IS DISTINCT FROM (SELECT array_agg(pseudonymize(v, true) ORDER BY o) FROM unnest(a) WITH ORDINALITY AS u (v, o));
SELECT n FROM arrays WHERE pseudonymize_array(a, true, 'crm') IS DISTINCT FROM (SELECT array_agg(pseudonymize(v, true, 'crm') ORDER BY o) FROM unnest(a) WITH ORDINALITY AS u (v, o));
SELECT n FROM arrays WHERE reidentify_array(pseudonymize_array(a, true, 'crm'), 'crm') IS DISTINCT FROM a OR try_reidentify_array(pseudonymize_array(a)) IS DISTINCT FROM a;
SELECT count(*), count(DISTINCT p) FROM arrays, unnest(pseudonymize_array(a)) p WHERE p IS NOT NULL;
-- They are arrays as PostgreSQL makes them, to the byte: also where NULLs could have come, and none did.
SELECT count(*) FROM arrays WHERE NOT record_image_eq(ROW(reidentify_array(pseudonymize_array(a))), ROW(a)) OR NOT record_image_eq(ROW(try_reidentify_array(pseudonymize_array(a))), ROW(a));
SELECT record_image_eq(ROW(try_reidentify_array(p)), ROW(v)) FROM (VALUES (pseudonymize_array('{x,yy,zzz}'), '{x,yy,zzz}'::text[]), ('{}', '{}'), (ARRAY[pseudonymize('x'), 'bad'], ARRAY['x', NULL])) AS s (p, v);
SELECT record_image_eq(ROW(pseudonymize_array('[2:3][5:6]={{a,NULL},{"",d}}', true)), ROW(('[2:3][5:6]={{' || pseudonymize('a', true) || ',NULL},{' || pseudonymize('', true) || ',' || pseudonymize('d', true) || '}}')::text[]));
-- Short elements among long ones.
SELECT reidentify_array(pseudonymize_array(a)) = a, reidentify_array(pseudonymize_array(a, true)) = a
  FROM (SELECT array_agg(repeat('x', CASE WHEN n % 10 = 0 THEN n * 100 ELSE n % 160 END)) AS a FROM generate_series(0, 300) n) AS s;
-- However an array comes: short, compressed, out of line, in a composite, of a domain, of varchar, or expanded.
CREATE TEMPORARY TABLE stored AS SELECT * FROM arrays;
ALTER TABLE stored ALTER COLUMN a SET STORAGE EXTERNAL;
INSERT INTO stored SELECT n, a || a || a || a FROM arrays;
SELECT count(*) FROM stored s WHERE reidentify_array(pseudonymize_array((s).a)) IS DISTINCT FROM a;
SELECT count(*), min(pg_column_size(a)) < 127, bool_and(reidentify_array(pseudonymize_array(a)) = a) FROM stored;
CREATE DOMAIN t.texts AS text[] CHECK (cardinality(VALUE) > 0);
SELECT record_image_eq(ROW(reidentify_array(pseudonymize_array('{x,NULL,yy}'::t.texts))), ROW('{x,NULL,yy}'::text[])), record_image_eq(ROW(reidentify_array(pseudonymize_array('{x,NULL,yy}'::varchar(9)[])::varchar[])), ROW('{x,NULL,yy}'::text[]));
CREATE FUNCTION t.expanded() RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE a text[] = '{}'; b text[]; BEGIN FOR i IN 1..150 LOOP a[i * 2] := 'v' || i; END LOOP; b := pseudo.pseudonymize_array(a); b[7] := NULL; b := pseudo.reidentify_array(b); RETURN a = b AND b[300] = 'v150'; END $$;
SELECT t.expanded();
-- Scalars of a document, about a batch of each type; one at a time they have the same pseudonyms.
SELECT n, reidentify_json(pseudonymize_json(j, '{a,b}'), '{a,b}') = j, reidentify_json(pseudonymize_json(j::json, '{a,b}'), '{a,b}')::text = j::text,
    (SELECT count(*) FROM jsonb_array_elements(j->'a') WITH ORDINALITY AS e (v, o) WHERE pseudonymize_json(j, '{a}', true) #> ARRAY['a', (o - 1)::text] IS DISTINCT FROM pseudonymize_json(jsonb_build_object('a', v), '{a}', true)->'a')
  FROM unnest('{1,63,64,65,128,129,200}'::int[]) n,
    LATERAL (SELECT jsonb_build_object('a', jsonb_agg(e ORDER BY i), 'b', jsonb_agg(i % 2 = 0 ORDER BY i)) AS j FROM generate_series(1, n) i, unnest(ARRAY[to_jsonb(i), to_jsonb('v' || (ARRAY['"', '\', chr(1 + i % 31), 'é', chr(127)])[1 + i % 5] || i), to_jsonb('s' || i)]) e) AS s
 ORDER BY n;
-- Keys of all kinds in one array: raw, tink, two of each, disabled, destroyed, unknown.
SELECT t.keyring('many', '{"version": 1, "primaryKeyId": 4, "keys": [
  {"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19},
  {"keyId": 2, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12},
  {"keyId": 3, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 1, "nonceEndPos": 13},
  {"keyId": 4, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "AAECAwQFBgcICQoLDA0ODw==", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 52, "nonceEndPos": 64}]}');
CREATE TEMPORARY TABLE sealed (n int, k int, v text, p text);
DO $$
BEGIN
  FOR k IN 1..4 LOOP
    PERFORM pseudo.pseudo_set_primary_key('many', k);
    INSERT INTO sealed SELECT n, k, 'value ' || n, pseudo.pseudonymize('value ' || n, n % 8 < 4, keyring => 'many') FROM generate_series(1, 400) n WHERE n % 4 + 1 = k;
  END LOOP;
END
$$;
SELECT k, count(*), bool_and(pseudonym_key_id(p) = k) FILTER (WHERE k > 2) AS tink FROM sealed GROUP BY k ORDER BY k;
SELECT reidentify_array(array_agg(p ORDER BY n), keyring => 'many') = array_agg(v ORDER BY n), try_reidentify_array(array_agg(p ORDER BY n), keyring => 'many') = array_agg(v ORDER BY n) FROM sealed;
SELECT count(*) FROM sealed WHERE reidentify(p, keyring => 'many') <> v;
-- What does not open is NULL in its place, or the error of the first of them.
CREATE TEMPORARY TABLE mixed AS SELECT n, CASE n % 50 WHEN 0 THEN 'malformed' WHEN 10 THEN pseudonymize(v, context => 'other') WHEN 20 THEN overlay(p PLACING CASE substr(p, 30, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 30) WHEN 30 THEN '' WHEN 40 THEN NULL ELSE p END AS p,
    CASE WHEN n % 10 <> 0 THEN v END AS v FROM sealed;
SELECT try_reidentify_array(array_agg(p ORDER BY n), keyring => 'many') IS NOT DISTINCT FROM array_agg(v ORDER BY n), count(*) - count(v) FROM mixed;
SELECT s, t.err(format('SELECT reidentify_array((SELECT array_agg(p ORDER BY n) FROM mixed WHERE n > %s), keyring => ''many'')', s)) FROM unnest('{1,9,19,49,61}'::int[]) s;
-- A bad element after a batch of good ones loses nothing but its own statement.
SELECT t.err($$SELECT reidentify_array(array_agg(p ORDER BY k, n) || 'bad'::text, keyring => 'many') FROM sealed$$);
-- Keys that are off, by their names; also in try_.
SELECT pseudo_set_primary_key('many', 4);
SELECT pseudo_set_key_status('many', 3, 'disabled'), pseudo_set_key_status('many', 1, 'disabled');
SELECT k, t.err(format('SELECT %s((SELECT array_agg(p) FROM sealed WHERE k IN (4, %s)), keyring => ''many'')', f, k)) FROM unnest('{reidentify_array,try_reidentify_array}'::text[]) f, unnest('{1,2,3}'::int[]) k ORDER BY f, k;
SELECT pseudo_set_key_status('many', 3, 'destroyed');
SELECT t.err($$SELECT try_reidentify_array((SELECT array_agg(p ORDER BY n) FROM sealed WHERE k > 2), keyring => 'many')$$);
SELECT pseudo_set_key_status('many', 1, 'enabled'), pseudo_set_key_status('many', 2, 'disabled');
SELECT k, count(*), count(v) FROM (SELECT k, unnest(try_reidentify_array(array_agg(p), keyring => 'many')) AS v FROM sealed WHERE k <> 3 GROUP BY k) AS s GROUP BY k ORDER BY k;
SELECT pseudo_set_key_status('many', 2, 'enabled');
-- A key that this session has not seen yet is loaded in the midst of an array: the keyrings are of one file, by two paths.
CREATE SERVER writer FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '/nowhere');
CREATE SERVER reader FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '/nowhere');
DO $$ BEGIN EXECUTE format('ALTER SERVER writer OPTIONS (SET path %L); ALTER SERVER reader OPTIONS (SET path %L)', t.path('many'), regexp_replace(t.path('many'), '/([^/]*)$', '/./\1')); END $$;
-- What this session itself has seen: not in a parallel worker, to which every keyring is new.
SET max_parallel_workers_per_gather = 0;
CREATE TEMPORARY TABLE later AS SELECT n, 'later ' || n AS v, pseudonymize('later ' || n, keyring => 'reader') AS p FROM generate_series(1, 300) n;
SELECT pseudo_create_key('writer', make_primary => true);
UPDATE later SET p = pseudonymize(v, keyring => 'writer') WHERE n % 3 = 0;
SELECT key_ids FROM pseudo_keyrings WHERE name = 'reader';
SELECT reidentify_array(array_agg(p ORDER BY n), keyring => 'reader') = array_agg(v ORDER BY n) FROM later;
SELECT key_ids FROM pseudo_keyrings WHERE name = 'reader';
SELECT pseudo_refresh_keyring('many');
RESET max_parallel_workers_per_gather;
-- Values that come again: in runs, in pairs, with others, NULLs and long ones between; contexts, modes and keyrings that change.
CREATE TEMPORARY TABLE runs AS SELECT n, v, c, d FROM generate_series(1, 600) n,
  LATERAL (SELECT CASE n / 5 % 6 WHEN 0 THEN 'a' WHEN 1 THEN 'b' || n / 2 WHEN 2 THEN NULL WHEN 3 THEN repeat('long', 100) || n / 2 WHEN 4 THEN repeat('y', 150 + n / 30 % 2 * 60) ELSE '' END AS v,
                  (ARRAY['', 'crm', 'erp'])[1 + n / 4 % 3] AS c, n % 11 <> 0 AS d) AS s;
CREATE TEMPORARY TABLE apart AS SELECT n, (pseudonymize_array(ARRAY[v], true, c))[1] AS p FROM runs;
SELECT count(*) FROM runs JOIN apart USING (n) WHERE pseudonymize(v, true, c) IS DISTINCT FROM p;
SELECT count(*) FROM runs JOIN apart USING (n) WHERE c = '' AND (pseudonymize(v, true) IS DISTINCT FROM p OR pseudonymize_as('current_user', v) IS DISTINCT FROM p);
SELECT d, count(*) FILTER (WHERE q = p), count(*) FILTER (WHERE reidentify(q, c) = v), count(v) FROM (SELECT *, pseudonymize(v, d, c) AS q FROM runs) AS s JOIN apart USING (n) GROUP BY d ORDER BY d;
SELECT count(*) FROM runs JOIN apart USING (n) WHERE reidentify(p, c) IS DISTINCT FROM v OR try_reidentify(p, c) IS DISTINCT FROM v;
SELECT count(*) FROM runs JOIN apart USING (n) WHERE c = '' AND (reidentify(p) IS DISTINCT FROM v OR reidentify_as('current_user', p) IS DISTINCT FROM v);
SELECT count(*) FROM runs JOIN apart USING (n) WHERE try_reidentify(p, CASE WHEN n % 4 < 2 THEN c ELSE 'other' END) IS DISTINCT FROM CASE WHEN n % 4 < 2 THEN v END;
SELECT k, count(DISTINCT p) FROM (SELECT k, pseudonymize('x', true, '', k) AS p FROM generate_series(1, 100) n, LATERAL (SELECT CASE n / 10 % 2 WHEN 0 THEN 'many' ELSE 'pseudo' END AS k) AS s) AS s GROUP BY k ORDER BY k;
-- What was returned once stays what it was, when the next values come.
SELECT array_agg(p ORDER BY n) = array_agg(pseudonymize_array ORDER BY n) FROM (SELECT n, pseudonymize(v, true) AS p, (pseudonymize_array(ARRAY[v], true))[1] FROM (SELECT n, 'v' || n / 4 AS v FROM generate_series(1, 100) n) AS s) AS s;
-- In the midst of one statement and for the same value: another primary key, a key that is turned off, a right that is taken away.
CREATE FUNCTION t.third(n int, statement text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n = 50 THEN EXECUTE statement; END IF; RETURN n; END $$;
SELECT pseudo_create_key('many') AS new_key \gset
SELECT count(DISTINCT p), array_agg(DISTINCT pseudonym_key_id(p)) = ARRAY[5, :new_key]::bigint[] FROM (SELECT pseudonymize('x', true, keyring => 'many') AS p FROM generate_series(1, 100) n WHERE t.third(n, 'SELECT pseudo.pseudo_set_primary_key(''many'', ' || :new_key || ')') > 0) AS s;
SELECT pseudonymize('x', true, keyring => 'many') AS p \gset
SELECT pseudo_set_primary_key('many', 5);
SELECT t.err(format('SELECT count(reidentify(%L, keyring => ''many'')) FROM generate_series(1, 100) n WHERE t.third(n, $x$SELECT pseudo.pseudo_set_key_status(''many'', %s, ''disabled'')$x$) > 0', :'p', :new_key));
CREATE ROLE regress_pseudo_again;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_again;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_again;
GRANT USAGE ON FOREIGN SERVER many TO regress_pseudo_again;
PREPARE again AS SELECT count(DISTINCT pseudonymize('x', true, keyring => 'many')) FROM generate_series(1, 10);
SET ROLE regress_pseudo_again;
EXECUTE again;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_again;
SET ROLE regress_pseudo_again;
SELECT t.err('EXECUTE again');
RESET ROLE;
DEALLOCATE again;
DROP FUNCTION t.third, t.expanded;
DROP DOMAIN t.texts;
DROP OWNED BY regress_pseudo_again;
DROP ROLE regress_pseudo_again;
DROP SERVER many, writer, reader;
