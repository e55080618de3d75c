--
-- Dumps: with pseudo.dump, COPY writes a table as its labels say, and nothing else reads it.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET search_path = public;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
SELECT t.keyring('copy', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzs1gDAsJ2s=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
-- what a column is after a COPY of its table, one row a value
CREATE FUNCTION t.column_of(relation text, name text) RETURNS SETOF text LANGUAGE plpgsql AS
$$
BEGIN
  PERFORM set_config('pseudo.dump', 'on', true);
  EXECUTE format('COPY %s (%I) TO %L', relation, name, t.path('dump'));
  PERFORM set_config('pseudo.dump', 'off', true);
  RETURN QUERY SELECT nullif(line, '\N') FROM regexp_split_to_table(rtrim(pg_read_file(t.path('dump')), E'\n'), E'\n') AS line;
END
$$;

-- Settings.
SELECT name, setting, context FROM pg_settings WHERE name LIKE 'pseudo.dump%' ORDER BY name COLLATE "C";
SELECT t.err($$SET pseudo.dump = maybe$$);
SELECT t.err($$SET pseudo.dump_unlabelled = maybe$$);
-- not for all sessions: nobody could read a table then
ALTER SYSTEM SET pseudo.dump = on;

-- Each label, in the whole table, and in a list of columns.
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, name text, note text, city varchar(20), born date, "Strange, ""name" char(60),
  up text GENERATED ALWAYS AS (upper(email)) STORED, gone text, age int CHECK (age > 0));
ALTER TABLE people DROP COLUMN gone;
INSERT INTO people VALUES (1, 'alice@example.com', 'Alice', 'secret 1', 'Paris', '1990-01-02', 'x', DEFAULT, 30),
  (2, 'zoë@example.com', NULL, NULL, NULL, NULL, NULL, DEFAULT, NULL), (3, '', E'a\tb\\', 'secret 3', 'Oslo', '1990-01-02', ' y ', DEFAULT, 7);
SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN people.name IS 'deterministic, context=names';
SECURITY LABEL FOR pseudo ON COLUMN people.note IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN people.city IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN people.born IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN people."Strange, ""name" IS 'deterministic, keyring=copy';
COPY people TO STDOUT;
SET pseudo.dump = on;
COPY people TO STDOUT;
COPY people (note, email, id) TO STDOUT;
COPY public.people ("Strange, ""name", city) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (city), NULL 'none');
COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE *, DELIMITER ';');
SELECT t.err($$COPY people (id, up) TO '/dev/null'$$);
SELECT t.err($$COPY people (id, nothing) TO '/dev/null'$$);
SELECT t.err($$COPY nothing TO '/dev/null'$$);
-- these are the pseudonyms that anybody makes
SET pseudo.dump = off;
SELECT pseudo.pseudonymize(email, true), pseudo.pseudonymize(name, true, 'names'), pseudo.pseudonymize("Strange, ""name"::text, true, '', 'copy') FROM people ORDER BY id;
-- with a keyring and a context for all; each alone
SET pseudo.dump_keyring = 'copy';
SET pseudo.dump_context = 'it''s \ a';
SET pseudo.dump = on;
COPY people (id, email, name) TO STDOUT;
SET pseudo.dump = off;
SELECT id, pseudo.pseudonymize(email, true, 'it''s \ a', 'copy') = ANY (ARRAY(SELECT t.column_of('people', 'email'))) FROM people ORDER BY id;
SET pseudo.dump_context = '';
SELECT c = pseudo.pseudonymize('Alice', true, 'names', 'copy') FROM t.column_of('people', 'name') c LIMIT 1;
RESET pseudo.dump_keyring;
SET pseudo.dump_context = 'a';
SELECT c = pseudo.pseudonymize('Alice', true, 'a') FROM t.column_of('people', 'name') c LIMIT 1;
RESET pseudo.dump_context;
-- the format binary
CREATE TABLE people_copy (id int, email text, note text, born date, strange char(60));
SET pseudo.dump = on;
COPY people (id, email, note, born, "Strange, ""name") TO PROGRAM 'cat > pseudo_test_dump.json' (FORMAT binary);
SET pseudo.dump = off;
COPY people_copy FROM PROGRAM 'cat pseudo_test_dump.json' (FORMAT binary);
SELECT id, pseudo.reidentify(email), note, born, pseudo.reidentify(rtrim(strange), '', 'copy') FROM people_copy ORDER BY id;
DROP TABLE people_copy;

-- What is a pseudonym already: under the primary key, under another one, in the other mode, in another context; what only looks like one.
SELECT t.keyring('rotated', '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}]}');
CREATE TABLE mixed (id int, d text, r text, value text);
INSERT INTO mixed SELECT n, pseudo.pseudonymize('v', true, 'm', 'rotated'), pseudo.pseudonymize('v', n = 2, 'm', 'rotated'), 'v' FROM generate_series(1, 2) n;
INSERT INTO mixed SELECT 3, pseudo.pseudonymize('v', false, 'm', 'rotated'), pseudo.pseudonymize('v', false, 'm', 'rotated'), 'v';
SELECT pseudo.pseudo_set_primary_key('rotated', 2);
INSERT INTO mixed SELECT n, pseudo.pseudonymize('v', true, 'm', 'rotated'), pseudo.pseudonymize('v', n = 5, 'm', 'rotated'), 'v' FROM generate_series(4, 5) n;
INSERT INTO mixed SELECT 6, pseudo.pseudonymize('v', false, 'm', 'rotated'), 'v', 'v';
INSERT INTO mixed VALUES (7, 'v', 'v', 'v');
INSERT INTO mixed SELECT 8, p, p, p FROM pseudo.pseudonymize('v', true, 'another', 'rotated') p;
INSERT INTO mixed SELECT 9, p, p, p FROM encode(sha256('v'), 'base64') p;
SECURITY LABEL FOR pseudo ON COLUMN mixed.d IS 'deterministic, context=m, keyring=rotated';
SECURITY LABEL FOR pseudo ON COLUMN mixed.r IS 'random, context=m, keyring=rotated';
SECURITY LABEL FOR pseudo ON COLUMN mixed.value IS 'keep';
-- what a dump makes of it, loaded again
CREATE FUNCTION t.dumped(relation regclass) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
  DROP TABLE IF EXISTS dumped;
  EXECUTE format('CREATE TABLE dumped (LIKE %s)', relation);
  PERFORM set_config('pseudo.dump', 'on', true);
  EXECUTE format('COPY %s TO %L', relation, t.path('dump'));
  PERFORM set_config('pseudo.dump', 'off', true);
  EXECUTE format('COPY dumped FROM %L', t.path('dump'));
END
$$;
-- with the label's own: what is as it is to be stays, all of d is deterministic under key 2, all of r is random under key 2
SELECT t.dumped('mixed');
SELECT id, pseudo.reidentify(n.d, 'm', 'rotated') = value AS d_opens, n.d = pseudo.pseudonymize(value, true, 'm', 'rotated') AS d_is_right, n.d = o.d AS d_stays,
    pseudo.reidentify(n.r, 'm', 'rotated') = value AS r_opens, pseudo.pseudonym_key_id(n.r) AS r_key, n.r = o.r AS r_stays
  FROM mixed o JOIN dumped n USING (id, value) ORDER BY id;
SELECT count(DISTINCT r), count(DISTINCT d) FROM dumped WHERE id < 8;
-- with others of the dump
SET pseudo.dump_keyring = 'copy';
SET pseudo.dump_context = 'c';
SELECT t.dumped('mixed');
SELECT id, n.d = pseudo.pseudonymize(value, true, 'c', 'copy') AS d_is_right, pseudo.reidentify(n.r, 'c', 'copy') = value AS r_opens FROM mixed o JOIN dumped n USING (id, value) ORDER BY id;
SELECT count(DISTINCT r), count(DISTINCT d) FROM dumped WHERE id < 8;
-- a pseudonym of a key that is off is a value
SELECT pseudo.pseudo_set_key_status('rotated', 1, 'disabled');
SELECT t.dumped('mixed');
SELECT id, pseudo.reidentify(n.d, 'c', 'copy') = o.d AS d_is_old, pseudo.reidentify(n.r, 'c', 'copy') = o.r AS r_is_old FROM mixed o JOIN dumped n USING (id, value) WHERE id < 8 ORDER BY id;
SELECT pseudo.pseudo_set_key_status('rotated', 1, 'enabled');
RESET pseudo.dump_keyring;
RESET pseudo.dump_context;

-- into=: the source goes out as the target does.
CREATE TABLE two_columns (id int, email text, email_p text);
SECURITY LABEL FOR pseudo ON COLUMN two_columns.email IS 'deterministic, into=email_p';
INSERT INTO two_columns SELECT n, n || '@example.com', CASE n WHEN 1 THEN pseudo.pseudonymize('1@example.com', true) WHEN 2 THEN '2@example.com' END FROM generate_series(1, 3) n;
SELECT t.dumped('two_columns');
SELECT id, pseudo.reidentify(email), pseudo.reidentify(email_p), email = email_p FROM dumped ORDER BY id;
SECURITY LABEL FOR pseudo ON COLUMN two_columns.email IS 'random, into=email_p';
SELECT t.dumped('two_columns');
SELECT id, pseudo.reidentify(email), pseudo.reidentify(email_p), email = email_p FROM dumped ORDER BY id;
DROP TABLE dumped, two_columns;

-- Types that need a label, and those that cannot hold text.
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 60);
CREATE DOMAIN number AS int NOT NULL;
CREATE TYPE pair AS (a int, b int);
CREATE TABLE numbers (a bool, b int2, c int4, d int8, e float4, f float8, g numeric, h money, i oid, j uuid, k date, l time, m timetz, n timestamp, o timestamptz,
  p interval, q mood, r number, s int[], t int4range, u datemultirange, v mood[], w tsrange[]);
INSERT INTO numbers (c, r) VALUES (1, 2);
CREATE TABLE texts (a text, b varchar, c char(3), d "char", e name, f bytea, g json, h jsonb, i xml, j tsvector, k inet, l point, m bit(3), n text[], o short, p pair, q cidr, r macaddr, s jsonpath, t regclass, u short[]);
SET pseudo.dump = on;
COPY numbers (c, r, j, w) TO STDOUT;
SELECT t.err($$COPY texts TO '/dev/null'$$);
SELECT t.err($$COPY texts (a) TO '/dev/null'$$);
-- pseudo_coverage() has the same list: what it does not look into and calls skipped stops a dump, what it calls unlabelled does not, but for strings
SET pseudo.dump = off;
SELECT relation, verdict, string_agg(column_name, ' ' ORDER BY column_name) FROM pseudo.pseudo_coverage('public') WHERE relation IN ('numbers'::regclass, 'texts'::regclass) GROUP BY 1, 2 ORDER BY 1, 2;
SET pseudo.dump = on;
SET pseudo.dump_unlabelled = keep;
COPY people (id, note) TO STDOUT;
SELECT t.err($$COPY texts TO '/dev/null'$$);
SET pseudo.dump = off;
INSERT INTO texts (a, h, o) VALUES ('seen', '{"a": "seen"}', 'seen');
SET pseudo.dump = on;
COPY texts (a, h, o, c) TO STDOUT;
SET pseudo.dump_unlabelled = hide;
COPY texts (a, h, o, c) TO STDOUT;
COPY numbers (c, r) TO STDOUT;
RESET pseudo.dump_unlabelled;
SET pseudo.dump = off;
DROP TABLE texts;
CREATE TABLE texts (a text, b short);
SECURITY LABEL FOR pseudo ON COLUMN texts.a IS 'hide';
SET pseudo.dump = on;
SELECT t.err($$COPY texts TO '/dev/null'$$);
SET pseudo.dump = off;

-- What cannot be as its label says.
CREATE DOMAIN given AS text NOT NULL;
CREATE TABLE refused (id int PRIMARY KEY, a text NOT NULL, b given, narrow varchar(30), padded char(50), c text);
INSERT INTO refused VALUES (1, 'a', 'b', 'n', 'p', 'c');
SECURITY LABEL FOR pseudo ON COLUMN refused.a IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN refused.b IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN refused.narrow IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN refused.padded IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN refused.c IS 'keep';
SET pseudo.dump = on;
SELECT t.err($$COPY refused TO '/dev/null'$$);
SET pseudo.dump = off;
ALTER TABLE refused ALTER a DROP NOT NULL, ALTER b TYPE text;
SET pseudo.dump = on;
SELECT t.err($$COPY refused TO '/dev/null'$$);
SET pseudo.dump = off;
ALTER TABLE refused ALTER narrow TYPE text, ALTER padded TYPE char(40);
SET pseudo.dump = on;
SELECT t.err($$COPY refused TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN refused.narrow IS 'deterministic';
ALTER TABLE refused ALTER narrow TYPE int USING 1;
SET pseudo.dump = on;
SELECT t.err($$COPY refused TO '/dev/null'$$);
SET pseudo.dump = off;
DROP TABLE refused;

-- Partitions, by the labels of the root; tables that inherit, by their own.
CREATE TABLE visits (day date, who text, place text) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (MINVALUE) TO ('2026-07-01') PARTITION BY LIST (place);
CREATE TABLE visits_1_a (place text, who text, day date);
ALTER TABLE visits_1 ATTACH PARTITION visits_1_a FOR VALUES IN ('a');
INSERT INTO visits VALUES ('2026-01-01', 'alice@example.com', 'a');
SECURITY LABEL FOR pseudo ON COLUMN visits.who IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN visits.place IS 'hide';
SET pseudo.dump = on;
SELECT t.err($$COPY visits_1_a TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN visits.place IS NULL;
SET pseudo.dump = on;
SELECT t.err($$COPY visits_1_a TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN visits.place IS 'keep';
SET pseudo.dump = on;
COPY visits_1_a TO STDOUT;
COPY visits TO STDOUT;
SET pseudo.dump = off;
ALTER TABLE visits_1 DETACH PARTITION visits_1_a;
CREATE TABLE inherits (more text) INHERITS (visits_1_a);
INSERT INTO inherits VALUES ('b', 'b', '2026-01-01', 'more');
SET pseudo.dump = on;
SELECT t.err($$COPY visits_1_a TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN visits_1_a.who IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN visits_1_a.place IS 'keep';
SET pseudo.dump = on;
COPY visits_1_a TO STDOUT;
SELECT t.err($$COPY inherits TO '/dev/null'$$);
SET pseudo.dump = off;

-- Views and sequences are not copied, catalogs are; materialized views are as their labels say.
CREATE VIEW people_view AS SELECT * FROM people;
CREATE MATERIALIZED VIEW people_stored AS SELECT id, email FROM people;
CREATE SEQUENCE numbers_seq;
SET pseudo.dump = on;
SELECT t.err($$COPY people_view TO '/dev/null'$$);
SELECT t.err($$COPY numbers_seq TO '/dev/null'$$);
SELECT t.err($$COPY people_stored TO '/dev/null'$$);
SELECT t.err($$COPY pg_class TO '/dev/null'$$);
SELECT t.err($$COPY information_schema.sql_features TO '/dev/null'$$);
SELECT t.err($$COPY pg_statistic TO '/dev/null'$$);
SELECT t.err($$COPY pg_largeobject TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN people_stored.email IS 'deterministic';
SET pseudo.dump = on;
COPY people_stored TO STDOUT;

-- Nothing else reads users' tables.
SELECT s, split_part(t.err(s), E'\n', 1) FROM unnest(ARRAY[
  $$SELECT * FROM people$$,
  $$SELECT count(*) FROM people$$,
  $$SELECT 1 WHERE EXISTS (SELECT FROM people WHERE email LIKE 'a%')$$,
  $$WITH a AS (SELECT * FROM people) SELECT * FROM a$$,
  $$SELECT * FROM people_view$$,
  $$SELECT * FROM people_stored$$,
  $$SELECT * FROM visits$$,
  $$SELECT * FROM inherits$$,
  $$COPY (SELECT * FROM people) TO '/dev/null'$$,
  $$COPY (TABLE people) TO PROGRAM 'cat > /dev/null'$$,
  $$COPY (UPDATE people SET age = 5 RETURNING *) TO '/dev/null'$$,
  $$COPY (SELECT * FROM people_view) TO '/dev/null'$$,
  $$COPY people FROM '/dev/null'$$,
  $$CREATE TABLE stolen AS SELECT * FROM people$$,
  $$CREATE MATERIALIZED VIEW stolen AS SELECT * FROM people$$,
  $$INSERT INTO people (id) VALUES (9) RETURNING *$$,
  $$UPDATE people SET age = 5 RETURNING email$$,
  $$DELETE FROM people RETURNING *$$,
  $$MERGE INTO numbers USING people ON c = people.id WHEN MATCHED THEN DELETE$$,
  $$EXPLAIN ANALYZE SELECT * FROM people$$,
  $$DO 'BEGIN PERFORM * FROM people; END'$$,
  $$DO 'DECLARE c CURSOR FOR SELECT * FROM people; BEGIN OPEN c; END'$$,
  $$SELECT query_to_xml('SELECT * FROM people', true, true, '')$$,
  $$SELECT * FROM pg_stats WHERE tablename = 'people'$$,
  $$SELECT * FROM pg_stats_ext$$,
  $$SELECT * FROM pg_statistic$$,
  $$SELECT data FROM pg_largeobject$$]) s;
SELECT t.err($$SELECT * FROM people$$);
-- which of the two is named first differs between versions
SELECT t.err($$REFRESH MATERIALIZED VIEW people_stored$$) ~ '^55000: relation public\.people(_stored)? cannot be read';
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM people;
-- in a parallel worker, too
SET pseudo.dump = off;
CREATE FUNCTION t.look_parallel() RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN RETURN (SELECT min(email) FROM public.people); END $$;
SET pseudo.dump = on;
SELECT count(set_config(name, 'on', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT t.err($$SELECT t.look_parallel() FROM pg_class LIMIT 1$$);
SELECT count(*) > 0 FROM pg_class;
SELECT count(set_config(name, reset_val, false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
PREPARE p AS SELECT * FROM people;
EXECUTE p;
DEALLOCATE p;
\copy (SELECT * FROM people) TO STDOUT
\copy people (id) TO STDOUT
-- nor does what runs within a COPY: functions of a policy
SET pseudo.dump = off;
CREATE ROLE regress_pseudo_dumper;
CREATE TABLE guarded (id int);
INSERT INTO guarded VALUES (1);
CREATE FUNCTION t.look() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM mixed WHERE value = 'v') > 0; END $$;
CREATE FUNCTION t.look_early() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT count(*) FROM public.mixed WHERE value = 'v') > 0; END $$;
CREATE FUNCTION t.look_again() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN COPY (SELECT * FROM mixed) TO '/dev/null'; RETURN true; END $$;
CREATE FUNCTION t.turn_off() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN SET LOCAL pseudo.dump = off; RETURN true; END $$;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY looks ON guarded USING (t.look());
GRANT SELECT ON guarded, mixed TO regress_pseudo_dumper;
GRANT pg_write_server_files, pg_execute_server_program TO regress_pseudo_dumper;
SET pseudo.dump = on;
SET ROLE regress_pseudo_dumper;
COPY guarded TO STDOUT;
RESET ROLE;
ALTER POLICY looks ON guarded USING (t.look_early());
SET ROLE regress_pseudo_dumper;
COPY guarded TO STDOUT;
RESET ROLE;
ALTER POLICY looks ON guarded USING (t.look_again());
SET ROLE regress_pseudo_dumper;
COPY guarded TO STDOUT;
RESET ROLE;
-- a query within the policy only decides which rows there are
ALTER POLICY looks ON guarded USING (EXISTS (SELECT FROM mixed WHERE value = 'v'));
SET ROLE regress_pseudo_dumper;
COPY guarded TO STDOUT;
RESET ROLE;
-- a session that began with it keeps it
\c -reuse-previous=on "options='-c pseudo.dump=on -c pseudo.dump_unlabelled=hide'"
SET client_min_messages = warning;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
SELECT name, setting, source FROM pg_settings WHERE name LIKE 'pseudo.dump%' ORDER BY name COLLATE "C";
SET ROLE regress_pseudo_dumper;
SELECT t.err($$SELECT t.turn_off()$$);
RESET ROLE;
SELECT s, t.err(s) FROM unnest(ARRAY[$$SET pseudo.dump = off$$, $$SET pseudo.dump = dry_run$$, $$SET pseudo.dump = on$$, $$RESET pseudo.dump$$, $$SET pseudo.dump_unlabelled = keep$$,
  $$SET pseudo.dump_large_objects = on$$, $$SET pseudo.dump_keyring = 'copy'$$, $$SET pseudo.dump_context = 'c'$$]) s;
COPY people (id, email, note) TO STDOUT;
\c -reuse-previous=on "options=''"
SET client_min_messages = warning;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
SHOW pseudo.dump;
SELECT count(*) FROM people;

-- What may be read: catalogs, sequences, functions without tables, tables of extensions.
SET pseudo.dump = on;
SELECT count(*) > 0 FROM pg_class;
SELECT last_value FROM numbers_seq;
SELECT count(*) > 0 FROM information_schema.columns;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
SELECT count(*) >= 0 FROM pseudo.pseudo_progress;
SELECT 1 + 1;
BEGIN;
LOCK TABLE ONLY people IN ACCESS SHARE MODE;
COMMIT;
SET pseudo.dump = off;
-- a table of an extension, whose columns need no label, but may have one
CREATE TABLE settings (name text, value text);
INSERT INTO settings VALUES ('a', 'b');
CREATE TABLE settings_more () INHERITS (settings);
ALTER EXTENSION pseudo ADD TABLE settings;
SET pseudo.dump = on;
COPY settings TO STDOUT;
COPY (SELECT * FROM ONLY settings) TO STDOUT;
SELECT t.err($$COPY (SELECT * FROM settings) TO '/dev/null'$$);
SET pseudo.dump = off;
SECURITY LABEL FOR pseudo ON COLUMN settings.value IS 'hide';
SET pseudo.dump = on;
COPY settings TO STDOUT;
SELECT t.err($$COPY (SELECT * FROM ONLY settings) TO '/dev/null'$$);
SET pseudo.dump = off;
ALTER EXTENSION pseudo DROP TABLE settings;
DROP TABLE settings CASCADE;

-- Large objects.
SELECT lo_from_bytea(424242, 'secret');
SET pseudo.dump = on;
SELECT t.err($$SELECT lo_get(424242)$$);
SELECT t.err($$SELECT lo_get(424242, 0, 1)$$);
SELECT t.err($$SELECT loread(lo_open(424242, 262144), 10)$$);
SELECT t.err($$SELECT lo_export(424242, '/dev/null')$$);
SELECT count(*) FROM pg_largeobject_metadata WHERE oid = 424242;
SET pseudo.dump_large_objects = on;
SELECT convert_from(lo_get(424242), 'UTF8');
SELECT convert_from(data, 'UTF8') FROM pg_largeobject WHERE loid = 424242;
RESET pseudo.dump_large_objects;
SET pseudo.dump = off;
SELECT lo_unlink(424242);

-- Rights: those of the caller.  SELECT on what goes out, to pseudonymize, to reidentify where a pseudonym has to be opened.
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_dumper;
GRANT SELECT (id, note, email) ON people TO regress_pseudo_dumper;
SET pseudo.dump = on;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY people (id) TO '/dev/null'$$);
SELECT t.err($$COPY people (name) TO '/dev/null'$$);
SELECT t.err($$COPY people (city) TO '/dev/null'$$);
SELECT t.err($$COPY people (email) TO '/dev/null'$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY people (email) TO '/dev/null'$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER pseudo, rotated TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY people (id, email, note) TO '/dev/null'$$);
SELECT t.err($$COPY mixed (r) TO '/dev/null'$$);
-- a random pseudonym in a deterministic column: whoever may not open it could guess its value then
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
RESET ROLE;
SET pseudo.dump = off;
DELETE FROM mixed WHERE id IN (3, 6);
SET pseudo.dump = on;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
SET pseudo.dump_context = 'c';
SELECT t.err($$COPY people (id, email, note) TO '/dev/null'$$);
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
RESET pseudo.dump_context;
SET pseudo.dump_keyring = 'copy';
SELECT t.err($$COPY people (id, email, note) TO '/dev/null'$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER copy TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY people (id, email, note) TO '/dev/null'$$);
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudo.reidentify TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
SET pseudo.dump_keyring = 'nowhere';
SELECT t.err($$COPY mixed (d) TO '/dev/null'$$);
RESET pseudo.dump_keyring;
RESET ROLE;
SET pseudo.dump = off;
-- row-level security is as in any COPY
ALTER TABLE mixed ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON mixed USING (id < 2);
SET pseudo.dump = on;
SET ROLE regress_pseudo_dumper;
COPY mixed (id) TO STDOUT;
SET row_security = off;
COPY mixed (id) TO STDOUT;
RESET row_security;
RESET ROLE;
SET pseudo.dump = off;

-- No function of a table's owner runs with the rights of whoever dumps it: PostgreSQL calls immutable ones with constants when it
-- plans a query, or reads an expression of an index, of a partition key, of a domain.
-- A setting cannot be set while workers build an index.
SET max_parallel_maintenance_workers = 0;
CREATE FUNCTION t.spy(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_advisory_lock(hashtext(name), hashtext(current_user)), set_config('spy.setting', 'set', false); RETURN 'x'; END $$;
CREATE FUNCTION t.has_run(name text, role text) RETURNS boolean LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = hashtext(name)::oid AND objid = hashtext(role)::oid) $$;
CREATE DOMAIN spied AS text CHECK (VALUE <> t.spy('domain'));
CREATE DOMAIN spied_again AS spied;
CREATE TABLE spied_parent (id int, email spied_again, narrow varchar(60), up text GENERATED ALWAYS AS (upper(narrow) || t.spy('generated')) STORED, CHECK (email <> t.spy('check')))
  PARTITION BY LIST ((id || t.spy('partition')));
CREATE TABLE spied_part PARTITION OF spied_parent DEFAULT;
CREATE UNIQUE INDEX spied_index ON spied_part ((narrow || t.spy('index'))) WHERE narrow <> t.spy('predicate');
SECURITY LABEL FOR pseudo ON COLUMN spied_parent.email IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN spied_parent.narrow IS 'deterministic';
INSERT INTO spied_parent VALUES (1, 'a', 'b');
CREATE TABLE spied_labelled (email text, EXCLUDE ((email || t.spy('exclusion')) WITH =));
CREATE UNIQUE INDEX ON spied_labelled ((email || t.spy('label index'))) WHERE email <> t.spy('label predicate');
RESET max_parallel_maintenance_workers;
ALTER TABLE spied_labelled OWNER TO regress_pseudo_dumper;
ALTER TABLE spied_parent OWNER TO regress_pseudo_dumper;
ALTER TABLE spied_part OWNER TO regress_pseudo_dumper;
SELECT session_user AS admin \gset
\c -
SET client_min_messages = warning;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
SET client_min_messages = error;
SECURITY LABEL FOR pseudo ON COLUMN spied_parent.narrow IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN spied_labelled.email IS 'deterministic';
SELECT t.err($$SECURITY LABEL FOR pseudo ON COLUMN spied_labelled.email IS 'random'$$);
SELECT action FROM pseudo.pseudo_protect('spied_labelled');
SET client_min_messages = warning;
SET pseudo.dump = on;
COPY spied_part TO STDOUT;
SET pseudo.dump = dry_run;
SET client_min_messages = error;
COPY spied_part TO STDOUT;
RESET client_min_messages;
COPY spied_parent TO STDOUT;
SET pseudo.dump = off;
SET client_min_messages = warning;
SELECT name, t.has_run(name, 'regress_pseudo_dumper') AS as_owner, t.has_run(name, :'admin') AS as_admin FROM unnest('{domain,generated,check,partition,index,predicate,exclusion,label index,label predicate}'::text[]) AS name;
-- nor does it leave a setting behind
SELECT current_setting('spy.setting', true) IS NULL OR current_setting('spy.setting', true) = '' AS untouched;
-- as others are in a query of a superuser's
\c -
SET client_min_messages = warning;
SELECT count(*) > 0 FROM spied_part WHERE narrow <> 'z';
SELECT t.has_run('index', :'admin') AS as_admin;
DROP TABLE spied_parent, spied_labelled;
DROP DOMAIN spied_again, spied;
DROP FUNCTION t.spy;
-- Nor does a function of whoever dumps run with the rights of the table's owner: not by their search_path, which says what a name
-- in a function of the owner's means, and not within a policy of the table. Who may read no column of it gets nowhere.
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
CREATE SCHEMA lure;
GRANT USAGE ON SCHEMA lure TO regress_pseudo_dumper;
CREATE FUNCTION lure.spy(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_catalog.pg_advisory_lock(pg_catalog.hashtext(name), pg_catalog.hashtext(current_user)); RETURN 'x'; END $$;
CREATE FUNCTION lure.lower(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT value || lure.spy('search_path') $$;
CREATE FUNCTION t.norm(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(value) $$;
CREATE FUNCTION lure.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM lure.spy('policy'); RETURN pg_catalog.now(); END $$;
CREATE FUNCTION t.is_past() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN now() IS NOT NULL; END $$;
CREATE TABLE lured (id int, email text);
INSERT INTO lured VALUES (1, 'a');
CREATE INDEX ON lured (t.norm(email));
SECURITY LABEL FOR pseudo ON COLUMN lured.email IS 'keep';
ALTER TABLE lured ENABLE ROW LEVEL SECURITY;
CREATE POLICY past ON lured USING (t.is_past());
SET ROLE regress_pseudo_dumper;
SET search_path = lure, pg_catalog;
SET pseudo.dump = on;
SELECT t.err($$COPY public.lured TO '/dev/null'$$);
RESET ROLE;
SELECT t.has_run('search_path', :'admin') AS as_owner, t.has_run('search_path', 'regress_pseudo_dumper') AS as_itself;
GRANT SELECT (id) ON public.lured TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
COPY public.lured (id) TO STDOUT;
SELECT t.err($$COPY public.lured TO '/dev/null'$$);
RESET ROLE;
SHOW search_path;
SET pseudo.dump = off;
SELECT name, t.has_run(name, :'admin') AS as_owner, t.has_run(name, 'regress_pseudo_dumper') AS as_itself FROM unnest('{search_path,policy}'::text[]) AS name;
SET search_path = public;
DROP TABLE lured;
DROP SCHEMA lure CASCADE;
DROP FUNCTION t.norm, t.is_past;
-- Nor by what is in pg_temp, where types are found whatever the search_path.
CREATE DOMAIN public.norm_type AS text;
CREATE FUNCTION t.norm(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN value; END $$;
CREATE TABLE lured (id int, email text) PARTITION BY LIST (id);
CREATE TABLE lured_1 PARTITION OF lured DEFAULT;
CREATE INDEX ON lured_1 ((id || t.norm('x')));
-- after the index, since PostgreSQL 17 makes it with a search_path that has no public
CREATE OR REPLACE FUNCTION t.norm(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE norm norm_type := value; BEGIN RETURN norm; END $$;
SECURITY LABEL FOR pseudo ON COLUMN lured.email IS 'keep';
GRANT SELECT ON lured, lured_1 TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
CREATE FUNCTION pg_temp.spy(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_catalog.pg_advisory_lock(pg_catalog.hashtext(name), pg_catalog.hashtext(current_user)); RETURN 'y'; END $$;
CREATE DOMAIN pg_temp.norm_type AS text CHECK (VALUE <> pg_temp.spy('pg_temp'));
CREATE TEMPORARY TABLE own (id int);
SET pseudo.dump = on;
SELECT t.err($$COPY lured_1 TO '/dev/null'$$);
COPY own TO STDOUT;
RESET ROLE;
SELECT t.has_run('pg_temp', :'admin') AS as_owner;
\c -
SET client_min_messages = warning;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
-- One role plans it: a partition of another owner is not read with its root.
ALTER TABLE lured_1 OWNER TO regress_pseudo_dumper;
SET pseudo.dump = on;
SELECT t.err($$COPY lured TO '/dev/null'$$);
SET pseudo.dump = dry_run;
SELECT t.err($$COPY lured TO '/dev/null'$$);
SET pseudo.dump = off;
DROP TABLE lured;
DROP DOMAIN norm_type;
DROP FUNCTION t.norm;
DROP FUNCTION t.has_run;

-- The functions by themselves.
SELECT pseudo.pseudo_dump_value('alice@example.com', 'people', 2) = pseudo.pseudonymize('alice@example.com', true), pseudo.pseudo_dump_length('alice@example.com', 'people', 2) = length(pseudo.pseudonymize('alice@example.com'));
SELECT pseudo.pseudo_dump_value(NULL, 'people', 2), pseudo.pseudo_dump_length(NULL, 'people', 2);
SELECT pseudo.pseudo_dump_length(pseudo.pseudonymize('alice@example.com'), 'people', 2) = length(pseudo.pseudonymize('alice@example.com'));
SELECT pseudo.pseudo_dump_length(pseudo.pseudonymize(v, true, 'x', k), 'mixed', 2) = length(pseudo.pseudonymize(v, true, 'x', 'rotated')), pseudo.pseudo_dump_length(v, 'mixed', 2) = length(pseudo.pseudonymize(v, true, 'x', 'rotated'))
  FROM (VALUES ('alice@example.com', 'rotated'), ('', 'rotated'), ('ab', 'pseudo'), (repeat('é', 1000), 'rotated'), (repeat('x ', 100000), 'copy')) AS s (v, k);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', NULL, 2)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', NULL)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', 1)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', 0)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', -1)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', 99)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people_pkey', 1)$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_value('x', 'people', n) FROM generate_series(2, 3) n$$);
SELECT t.err($$SELECT pseudo.pseudo_dump_length('x', 'people', n) FROM generate_series(2, 3) n$$);

-- pseudo.dump = dry_run says all at once what stops a dump or a restore, and gives no rows.
CREATE TABLE parents (id int, kind text, email text UNIQUE, name text UNIQUE, hidden text UNIQUE NULLS NOT DISTINCT, code text CHECK (code <> 'x'), free text, UNIQUE (id, kind));
CREATE TABLE children (id int PRIMARY KEY, email text REFERENCES parents (email), name text REFERENCES parents (name), parent int, kind text, later text REFERENCES parents (email), other text,
  narrow varchar(50), padded char(20), dom short, free text NOT NULL, up text GENERATED ALWAYS AS (upper(other)) STORED,
  FOREIGN KEY (parent, kind) REFERENCES parents (id, kind) MATCH FULL, CONSTRAINT twice CHECK (email <> other), CONSTRAINT fine CHECK (id > 0));
CREATE UNIQUE INDEX children_start ON children (left(other, 3));
ALTER TABLE children ADD CONSTRAINT old CHECK (other <> 'y') NOT VALID;
ALTER TABLE children DROP CONSTRAINT children_later_fkey, ADD CONSTRAINT later FOREIGN KEY (later) REFERENCES parents (email) NOT VALID;
INSERT INTO children (id, narrow, padded, other, dom, free) VALUES (1, repeat('x', 20), 'y', 'o', 'd', 'f');
SECURITY LABEL FOR pseudo ON COLUMN parents.kind IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN parents.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN parents.name IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN parents.hidden IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN parents.code IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN children.email IS 'deterministic, context=c';
SECURITY LABEL FOR pseudo ON COLUMN children.name IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN children.kind IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN children.later IS 'random';
SET client_min_messages = error;
SECURITY LABEL FOR pseudo ON COLUMN children.other IS 'deterministic';
SET client_min_messages = warning;
SECURITY LABEL FOR pseudo ON COLUMN children.narrow IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN children.padded IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN children.dom IS 'random';
CREATE UNIQUE INDEX children_later ON children (later);
SET pseudo.dump = dry_run;
SET client_min_messages = notice;
BEGIN;
COPY parents TO STDOUT;
COPY children TO STDOUT;
-- once a transaction
COPY children TO STDOUT;
COMMIT;
-- with one context for all, one foreign key holds
SET pseudo.dump_context = 'one';
COPY children (id) TO STDOUT;
RESET pseudo.dump_context;
-- a keyring that is not there; rights that are missing; a column that cannot be read
SET client_min_messages = warning;
SET pseudo.dump_keyring = 'nowhere';
COPY people TO STDOUT;
RESET pseudo.dump_keyring;
REVOKE EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify FROM regress_pseudo_dumper;
GRANT SELECT ON people TO regress_pseudo_dumper;
SET ROLE regress_pseudo_dumper;
COPY people TO STDOUT;
SET pseudo.dump_context = 'one';
COPY people TO STDOUT;
RESET pseudo.dump_context;
RESET ROLE;
-- whatever is refused with "on"
SELECT t.err($$SELECT * FROM people$$);
SELECT t.err($$COPY (SELECT * FROM people) TO '/dev/null'$$);
SET pseudo.dump = off;

DROP TABLE people, mixed, numbers, texts, visits, visits_1_a, guarded, parents, children CASCADE;
DROP FUNCTION t.column_of, t.dumped, t.look, t.look_early, t.look_again, t.look_parallel, t.turn_off CASCADE;
DROP DOMAIN short, number, given;
DROP TYPE mood, pair;
DROP SEQUENCE numbers_seq;
DROP OWNED BY regress_pseudo_dumper;
DROP ROLE regress_pseudo_dumper;
DROP SERVER copy;
DROP SERVER rotated;
