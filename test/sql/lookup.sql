--
-- What a query looks up in foreign tables: the pseudonym is made here, and the other server is asked for it.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE SCHEMA lk;
CREATE EXTENSION postgres_fdw SCHEMA lk;
SELECT t.keyring('lookup');
SELECT pseudo_create_key('lookup');
CREATE FUNCTION lk.p(value text) RETURNS text LANGUAGE sql AS $$ SELECT pseudonymize(value, true, keyring => 'lookup') $$;
CREATE TABLE lk.people (id int, email text, more text);
INSERT INTO lk.people SELECT n, lk.p(n || '@example.com') FROM generate_series(1, 9) n;
DO $$
BEGIN
  EXECUTE format('CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
                 split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database());
END
$$;
CREATE USER MAPPING FOR CURRENT_USER SERVER loopback;
CREATE FOREIGN TABLE lk.there (id int, email text, more text) SERVER loopback OPTIONS (schema_name 'lk', table_name 'people');
CREATE TABLE lk.parted (id int, email text, more text) PARTITION BY RANGE (id);
CREATE TABLE lk.here PARTITION OF lk.parted FOR VALUES FROM (100) TO (200);
CREATE TABLE lk.deeper PARTITION OF lk.parted FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE lk.part PARTITION OF lk.deeper FOR VALUES FROM (0) TO (50) SERVER loopback OPTIONS (schema_name 'lk', table_name 'people');
-- what a plan asks the other server, and what it filters here, with names for pseudonyms
CREATE FUNCTION lk.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS
$$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
    CONTINUE WHEN line !~ '(Remote SQL|Filter): ';
    FOR n IN 1 .. 9 LOOP
      line := replace(line, lk.p(n || '@example.com'), '<' || n || '>');
    END LOOP;
    RETURN NEXT regexp_replace(ltrim(line), ', (\$[01]|\(InitPlan [^)]*\)\.col1),', ', InitPlan,');
  END LOOP;
END
$$;
-- The place of a call does not matter, nor the way its arguments are given.
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize('1@example.com', true, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize(keyring => 'lookup', value => lower('2@EXAMPLE.com'), deterministic => true)$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize_as('current_user', '2@example.com', keyring => 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = ANY (pseudonyms_of('3@example.com', keyring => 'lookup'))$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = ANY (pseudonymize_array('{3@example.com,4@example.com}', true, keyring => 'lookup'))$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize_json('{"e": "3@example.com"}', '{e}', true, keyring => 'lookup') ->> 'e'$$);
SELECT lk.plan($$WITH c AS MATERIALIZED (SELECT id FROM lk.there WHERE email = pseudonymize('5@example.com', true, '', 'lookup')) SELECT * FROM c$$);
SELECT lk.plan($$SELECT (SELECT id FROM lk.there WHERE email = pseudonymize('5@example.com', true, '', 'lookup') AND id > 0)$$);
SELECT lk.plan($$SELECT id FROM lk.parted WHERE email = pseudonymize('5@example.com', true, '', 'lookup') AND id < 50$$);
SELECT id FROM lk.there WHERE email = pseudonymize('6@example.com', true, '', 'lookup');
SELECT id FROM lk.parted WHERE email IN (pseudonymize('6@example.com', true, '', 'lookup'), pseudonymize('7@example.com', true, '', 'lookup')) ORDER BY id;
SELECT id FROM lk.there WHERE email = pseudonymize(NULL, true, '', 'lookup');
SELECT count(*), pseudonymize('6@example.com', true, '', 'lookup') = lk.p('6@example.com') FROM lk.there GROUP BY 2;
-- Statements that write.
SELECT lk.plan($$UPDATE lk.there SET more = pseudonymize('8@example.com', true, '', 'lookup') WHERE email = pseudonymize('1@example.com', true, '', 'lookup')$$);
UPDATE lk.there SET more = pseudonymize('8@example.com', true, '', 'lookup') WHERE email = pseudonymize('1@example.com', true, '', 'lookup');
SELECT id, reidentify(more, keyring => 'lookup') FROM lk.people WHERE more IS NOT NULL;
SELECT lk.plan($$DELETE FROM lk.there WHERE email = pseudonymize('1@example.com', true, '', 'lookup')$$);
-- Left alone: tables of this server; what depends on a row; random mode; a role's rights.
SELECT lk.plan($$SELECT id FROM lk.people WHERE email = pseudonymize('1@example.com', true, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.here WHERE email = pseudonymize('1@example.com', true, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize(id::text, true, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize((SELECT id::text FROM lk.people LIMIT 1), true, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize('1@example.com', id > 0, '', 'lookup')$$);
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize('1@example.com', false, '', 'lookup')$$);
CREATE FUNCTION lk.pseudonymize(text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1; END $$;
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = lk.pseudonymize('x')$$);
-- What may not run has no errors, neither in the query nor where it is planned: CASE and COALESCE are left alone but for what they always evaluate.
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = CASE pseudonymize('1@example.com', true, '', 'lookup') WHEN pseudonymize('2@example.com', true, '', 'lookup') THEN 'a' ELSE coalesce(more, pseudonymize('3@example.com', true, '', 'lookup')) END$$);
SELECT CASE WHEN id < 0 THEN pseudonymize('x', true, '', 'nowhere') ELSE coalesce('y', pseudonymize('x', true, '', 'nowhere')) END FROM lk.there WHERE id = 1;
SELECT CASE WHEN id < 0 THEN (SELECT pseudonymize('x', true, '', 'nowhere') FROM lk.there WHERE id = 1) END FROM lk.there WHERE id = 1;
SELECT CASE WHEN false THEN pseudonymize((1 / 0)::text, true, '', 'lookup') END FROM lk.there WHERE id = 1;
SELECT count(*) FROM lk.people WHERE false AND pseudonymize((1 / 0)::text, true, '', 'lookup') = 'x';
-- Prepared: plans for their parameters, and one for all.
PREPARE find(text, int) AS SELECT id, $2 AS n FROM lk.there WHERE email = pseudonymize($1, true, '', 'lookup') AND id > $2;
EXECUTE find('2@example.com', 0);
SELECT lk.plan($$EXECUTE find('2@example.com', 0)$$);
SET plan_cache_mode = force_generic_plan;
EXECUTE find('2@example.com', 0);
EXECUTE find('3@example.com', 1);
EXECUTE find('3@example.com', 4);
EXECUTE find(NULL, 1);
SELECT lk.plan($$EXECUTE find('2@example.com', 0)$$);
RESET plan_cache_mode;
-- A parameter that is asked for by itself, too, is still there.
PREPARE twice(text) AS SELECT id, $1 FROM lk.there WHERE email = pseudonymize($1, true, '', 'lookup');
EXECUTE twice('4@example.com');
SET plan_cache_mode = force_generic_plan;
EXECUTE twice('5@example.com');
RESET plan_cache_mode;
-- What has no parameters is planned for each execution: keys and rights are those of now.
PREPARE one AS SELECT id FROM lk.there WHERE email = pseudonymize('7@example.com', true, '', 'lookup');
EXECUTE one;
EXECUTE one;
SELECT pseudo_create_key('lookup', make_primary => true);
EXECUTE one;
EXECUTE find('7@example.com', 0);
SELECT id FROM lk.there WHERE email = ANY (pseudonyms_of('7@example.com', keyring => 'lookup'));
SELECT pseudo_set_primary_key('lookup', (SELECT key_ids[1] FROM pseudo_keyrings WHERE name = 'lookup'));
EXECUTE one;
SET plan_cache_mode = force_generic_plan;
EXECUTE one;
EXECUTE find('7@example.com', 0);
CREATE ROLE lookup_reader;
GRANT USAGE ON SCHEMA pseudo, lk TO lookup_reader;
GRANT SELECT ON lk.there TO lookup_reader;
GRANT USAGE ON FOREIGN SERVER lookup TO lookup_reader;
SET ROLE lookup_reader;
SELECT t.err('EXECUTE one');
SELECT t.err($$EXECUTE find('7@example.com', 0)$$);
SELECT t.err($$SELECT id FROM lk.there WHERE email = pseudonymize('7@example.com', true, '', 'lookup')$$);
RESET ROLE;
RESET plan_cache_mode;
-- A generic plan has no value of anything that it is not given: what a setting says, or a function that is inlined into one that is inlined.
SET plan_cache_mode = force_generic_plan;
SET lookup.email = '7@example.com';
PREPARE setting(int) AS SELECT id FROM lk.there WHERE email = pseudonymize(current_setting('lookup.email'), true, '', 'lookup') AND id > $1;
EXECUTE setting(0);
SET lookup.email = '8@example.com';
EXECUTE setting(0);
CREATE FUNCTION lk.inner(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1) $$;
CREATE FUNCTION lk.outer(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lk.inner($1) $$;
PREPARE inlined(text) AS SELECT id FROM lk.there WHERE email = pseudonymize(lk.outer($1), true, '', 'lookup');
EXECUTE inlined('7@EXAMPLE.com');
CREATE OR REPLACE FUNCTION lk.inner(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '8' || substr(lower($1), 2) $$;
EXECUTE inlined('7@EXAMPLE.com');
RESET plan_cache_mode;
CREATE FUNCTION lk.of_setting(n int) RETURNS int LANGUAGE sql AS $$ SELECT id FROM lk.there WHERE email = pseudonymize(current_setting('lookup.email'), true, '', 'lookup') AND id > n $$;
SELECT lk.of_setting(n), set_config('lookup.email', 9 - n || '@example.com', false) FROM generate_series(0, 2) n;
-- The rights of a role that a view's author wrote stay where a call is an argument.
CREATE ROLE lookup_officer;
GRANT EXECUTE ON FUNCTION reidentify TO lookup_officer;
GRANT USAGE ON FOREIGN SERVER lookup TO lookup_officer;
DO $$
BEGIN
  EXECUTE format('CREATE VIEW lk.again WITH (security_barrier) AS SELECT id FROM lk.there WHERE email = pseudonymize(reidentify_as(''lookup_officer'', %L, keyring => ''lookup''), true, '''', ''lookup'')',
                 lk.p('4@example.com'));
END
$$;
GRANT EXECUTE ON FUNCTION pseudonymize TO lookup_reader;
GRANT SELECT ON lk.again TO lookup_reader;
CREATE USER MAPPING FOR lookup_reader SERVER loopback OPTIONS (user 'postgres', password_required 'false');
SET ROLE lookup_reader;
SELECT * FROM lk.again;
RESET ROLE;
-- Cursors, COPY, CREATE TABLE AS.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM lk.there WHERE email = pseudonymize('7@example.com', true, '', 'lookup');
FETCH ALL c;
COMMIT;
COPY (SELECT id FROM lk.there WHERE email = pseudonymize('7@example.com', true, '', 'lookup')) TO STDOUT;
CREATE TABLE lk.made AS EXECUTE find('7@example.com', 0);
TABLE lk.made;
-- PL/pgSQL: variables are parameters.
CREATE FUNCTION lk.find(value text) RETURNS int LANGUAGE plpgsql AS
$$
DECLARE
  found int;
  unused record;
BEGIN
  SELECT id INTO found FROM lk.there WHERE email = pseudonymize(value, true, '', 'lookup');
  RETURN found;
END
$$;
SELECT lk.find(n || '@example.com') FROM generate_series(1, 9) n;
-- What a function reads is what the statement sees, and not what was there when it was planned.
CREATE TABLE lk.wanted (email text);
INSERT INTO lk.wanted VALUES ('0@example.com');
CREATE FUNCTION lk.wanted() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT email FROM lk.wanted); END $$;
CREATE FUNCTION lk.find_wanted(from_id int) RETURNS SETOF int LANGUAGE plpgsql AS
$$
BEGIN
  FOR n IN 1 .. 3 LOOP
    UPDATE lk.wanted SET email = n || '@example.com';
    RETURN QUERY SELECT id FROM lk.there WHERE email = pseudonymize(lk.wanted(), true, '', 'lookup');
    RETURN QUERY SELECT id FROM lk.there WHERE email = pseudonymize(lk.wanted(), true, '', 'lookup') AND id >= from_id;
  END LOOP;
END
$$;
SELECT array_agg(n) FROM lk.find_wanted(0) n;
SELECT lk.plan($$SELECT id FROM lk.there WHERE email = pseudonymize(lk.wanted(), true, '', 'lookup')$$);
-- As many calls as there may be.
DO $$
DECLARE
  found int;
BEGIN
  EXECUTE (SELECT format('SELECT count(*) FROM lk.there WHERE email IN (%s)', string_agg(format('pseudonymize(%L, true, %L, %L)', n || '@example.com', '', 'lookup'), ', '))
             FROM generate_series(1, 17000) n) INTO found;
  RAISE WARNING '% found', found;
END
$$;
-- What an execution needs goes with it, however many an SQL function begins.
CREATE FUNCTION lk.one_of(value text) RETURNS int LANGUAGE sql AS $$ SELECT id FROM lk.there WHERE email = pseudonymize(value, true, '', 'lookup') $$;
CREATE FUNCTION lk.used() RETURNS numeric LANGUAGE sql VOLATILE AS $$ SELECT sum(used_bytes) FROM pg_backend_memory_contexts $$;
SELECT max(used) - min(used) < 100000 FROM (SELECT lk.one_of('3@example.com'), CASE WHEN n IN (100, 600) THEN lk.used() END AS used FROM generate_series(1, 600) n OFFSET 0) calls;
-- A plan of an SQL function may live longer than its pseudonym: it is not used.
CREATE FUNCTION lk.seven() RETURNS int LANGUAGE sql AS $$ SELECT id FROM lk.there WHERE email = pseudonymize('7@example.com', true, '', 'lookup') $$;
CREATE FUNCTION lk.rotate(n int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN CASE n WHEN 2 THEN pseudo_create_key('lookup', make_primary => true) END; END $$;
SELECT array_agg(lk.seven()) FROM generate_series(1, 3);
-- (since PostgreSQL 18 it is planned again)
SELECT t.err('SELECT lk.seven(), lk.rotate(n) FROM generate_series(1, 3) n')
  = CASE WHEN current_setting('server_version_num')::int < 180000 THEN '40001: could not use a plan because its pseudonyms are other ones by now
  detail: The keyring, or what a call is given, has changed since the statement was planned.
  hint: Run the statement again.' ELSE 'no error' END;
DROP OWNED BY lookup_reader, lookup_officer CASCADE;
DROP ROLE lookup_reader, lookup_officer;
DROP SERVER loopback CASCADE;
DROP SERVER lookup;
SELECT t.run(format('rm -f %s', t.path('lookup')));
DROP SCHEMA lk CASCADE;
