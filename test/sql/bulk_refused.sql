--
-- Bulk: what cannot be converted is refused before it begins, or left out and told at the end.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE SCHEMA r;
-- a table of 3000 addresses and one more value, in a column of this kind; rows are as large where PostgreSQL aligns to 4 bytes as where to 8
CREATE FUNCTION r.make(name text, kind text, more text, VARIADIC commands text[] = '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  command text;
BEGIN
  EXECUTE format('CREATE TABLE r.%I (id int PRIMARY KEY, e %s)', name, kind);
  EXECUTE format('INSERT INTO r.%I SELECT n, lpad(n::text, 4, ''0'') || ''@example.com'' FROM generate_series(1, 3000) n UNION ALL SELECT 3001, $1', name) USING more;
  FOREACH command IN ARRAY commands LOOP
    EXECUTE format(command, name);
  END LOOP;
END
$$;
-- how many values there are, and pseudonyms among them
CREATE FUNCTION r.count(relation regclass, OUT n int, OUT pseudonyms int) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT count(e), count(*) FILTER (WHERE e ~ ''^[A-Za-z0-9+/]{38,}={0,2} *$'') FROM %s', relation) INTO n, pseudonyms;
END
$$;
-- CHECK constraints: of a domain, of the table, of a length that one late value has, not valid, of two columns; and one that allows all of it.
CREATE DOMAIN r.email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE DOMAIN r.short AS text CHECK (length(VALUE) < 110);
SELECT r.make('domain', 'r.email', 'x@example.com');
SELECT r.make('length', 'r.short', repeat('x y ', 20));
SELECT r.make('checked', 'text CHECK (e LIKE ''%@%'')', 'x@example.com');
SELECT r.make('late', 'text CHECK (char_length(e) <= 80)', repeat('x ', 35));
SELECT r.make('invalid', 'text', repeat('x y ', 40), 'ALTER TABLE r.%I ADD CONSTRAINT len CHECK (length(e) <= 100) NOT VALID');
SELECT r.make('other', 'text', 'x', 'ALTER TABLE r.%I ADD n bigint', 'UPDATE r.%I SET n = id', 'ALTER TABLE r.%I ADD CONSTRAINT n CHECK (n < 3001) NOT VALID');
SELECT r.make('two', 'text', 'x@example.com', 'ALTER TABLE r.%I ADD tag text', 'UPDATE r.%I SET tag = CASE WHEN id < 2500 THEN ''not known'' ELSE ''y'' END', 'ALTER TABLE r.%I ADD CHECK (tag = ''not known'' OR e LIKE ''%%@%%'')');
SELECT r.make('row', 'text', 'x@example.com', 'ALTER TABLE r.%I ADD CONSTRAINT "whole row" CHECK (length(%1$I::text) < 60)');
CALL pseudonymize_table('r.domain', '{e}', true);
CALL pseudonymize_table('r.length', '{e}', true);
CALL pseudonymize_table('r.checked', '{e}', true);
CALL pseudonymize_table('r.late', '{e}', true);
CALL pseudonymize_table('r.invalid', '{e}', true);
CALL pseudonymize_table('r.other', '{e}', true);
CALL pseudonymize_table('r.two', '{e}', true);
CALL pseudonymize_table('r.row', '{e}', true);
-- Generated columns, indexes on expressions and for some rows only, entries of a B-tree, also of columns that an index includes.
SELECT r.make('made', 'text', NULL, 'ALTER TABLE r.%I ADD n int GENERATED ALWAYS AS (substr(e, 1, strpos(e, ''@'') - 1)::int) STORED');
SELECT r.make('cast', 'text', NULL, 'CREATE INDEX %1$s_i ON r.%1$I ((split_part(e, ''@'', 1)::int))');
SELECT r.make('some', 'text', NULL, 'CREATE INDEX %1$s_i ON r.%1$I (id) WHERE split_part(e, ''@'', 1)::int > 5');
SELECT r.make('long', 'text', (SELECT string_agg(md5(n::text), '-') || '-76' FROM generate_series(1, 75) n), 'CREATE INDEX %1$s_i ON r.%1$I (e)');
SELECT r.make('included', 'text', (SELECT string_agg(md5(n::text), '-') FROM generate_series(1, 75) n), 'CREATE INDEX %1$s_i ON r.%1$I (id) INCLUDE (e)');
SELECT r.make('hashed', 'text', (SELECT string_agg(md5(n::text), '-') FROM generate_series(1, 75) n), 'CREATE INDEX %1$s_i ON r.%1$I USING hash (e)');
CALL pseudonymize_table('r.made', '{e}', true);
CALL pseudonymize_table('r.cast', '{e}', true);
CALL pseudonymize_table('r.some', '{e}', true);
CALL pseudonymize_table('r.long', '{e}', true);
CALL pseudonymize_table('r.included', '{e}');
-- Indexes that are unique in an expression, which may take pseudonyms for equal: of the column, of a generated one, for some rows, beside a NULL.
SELECT r.make('prefix', 'text', 'x@example.com', 'CREATE UNIQUE INDEX %1$s_i ON r.%1$I (left(e, 4))');
SELECT r.make('prefixed', 'text', 'x@example.com', 'ALTER TABLE r.%I ADD p text GENERATED ALWAYS AS (left(e, 4)) STORED UNIQUE');
SELECT r.make('pair', 'text', 'x@example.com', 'CREATE UNIQUE INDEX %1$s_i ON r.%1$I ((CASE WHEN e LIKE ''%%@%%'' THEN id ELSE 0 END), (id / 3001)) INCLUDE (id) WHERE id > 2998');
SELECT r.make('same', 'text', pseudonymize('0007@example.com', true), 'CREATE UNIQUE INDEX %1$s_i ON r.%1$I (lower(e))');
CALL pseudonymize_table('r.prefix', '{e}', true);
CALL pseudonymize_table('r.prefixed', '{e}', true);
CALL pseudonymize_table('r.pair', '{e}', true);
SELECT r.make('enter', 'text', 'x@example.com', 'ALTER TABLE r.%I ADD n int DEFAULT 1', 'CREATE UNIQUE INDEX %1$s_i ON r.%1$I (n) WHERE e NOT LIKE ''%%@%%''');
CALL pseudonymize_table('r.enter', '{e}', true);
SET client_min_messages = error;
CALL pseudonymize_table('r.same', '{e}', true);
-- Nothing of all that has been converted, or has begun.
SELECT relname, (r.count(oid::regclass)).* FROM pg_class WHERE relnamespace = 'r'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";
SELECT count(*) FROM pseudo_progress;
-- What allows pseudonyms is converted.
CALL pseudonymize_table('r.hashed', '{e}', true);
ALTER TABLE r.checked DROP CONSTRAINT checked_e_check, ADD CHECK (e LIKE '%@%' OR e ~ '^[A-Za-z0-9+/]{38,}={0,2}$');
DROP INDEX r.long_i, r.cast_i;
CALL pseudonymize_table('r.checked', '{e}', true);
CALL pseudonymize_table('r.long', '{e}', true);
CALL pseudonymize_table('r.cast', '{e}', true);
SELECT (r.count('r.hashed')).*, (r.count('r.checked')).*, (r.count('r.long')).*, (r.count('r.cast')).*;
SELECT r.make('allowed', 'text', NULL, 'CREATE UNIQUE INDEX %1$s_i ON r.%1$I (lower(e), (NULL::text))', 'CREATE UNIQUE INDEX %1$s_j ON r.%1$I (left(e, 4)) WHERE e IS NULL', 'CREATE UNIQUE INDEX %1$s_k ON r.%1$I (id) INCLUDE (e)',
  'CREATE UNIQUE INDEX %1$s_l ON r.%1$I (reverse(e))', 'CREATE UNIQUE INDEX %1$s_m ON r.%1$I (left(e, 4), id)', 'INSERT INTO r.%I VALUES (3002, NULL)', 'DROP INDEX r.%1$s_j', 'CREATE UNIQUE INDEX %1$s_n ON r.%1$I (e) WHERE e IS NOT NULL');
CALL pseudonymize_table('r.allowed', '{e}', true);
SELECT (r.count('r.allowed')).*;
SET client_min_messages = warning;
-- A key whose pseudonyms are longer.
SELECT t.keyring('grow');
SELECT pseudo_create_key('grow', 'raw');
CREATE TABLE r.grow (id int, e varchar(60), f text CHECK (length(f) <= 60), g text);
INSERT INTO r.grow SELECT n, pseudonymize(n || '@example.com', true, '', 'grow'), pseudonymize(n || '@example.com', true, '', 'grow'), pseudonymize(n || '@example.com', true, '', 'grow') FROM generate_series(1, 1000) n;
SELECT pseudo_create_key('grow', make_primary => true);
CALL repseudonymize_table('r.grow', '{e}', keyring => 'grow');
CALL repseudonymize_table('r.grow', '{f}', keyring => 'grow');
CALL repseudonymize_table('r.grow', '{g}', keyring => 'grow');
SELECT count(*) FILTER (WHERE pseudonym_key_id(e) IS NULL), count(*) FILTER (WHERE pseudonym_key_id(f) IS NULL), count(*) FILTER (WHERE pseudonym_key_id(g) = 2) FROM r.grow;
-- and are equal in an index
ALTER TABLE r.grow ALTER e TYPE text;
CREATE UNIQUE INDEX grow_i ON r.grow ((CASE WHEN pseudonym_key_id(e) IS NULL THEN id ELSE 0 END));
CALL repseudonymize_table('r.grow', '{e}', keyring => 'grow');
SELECT count(*) FILTER (WHERE pseudonym_key_id(e) IS NULL) FROM r.grow;
DROP INDEX r.grow_i;
CALL repseudonymize_table('r.grow', '{e}', keyring => 'grow');
SELECT count(*) FILTER (WHERE pseudonym_key_id(e) = 2) FROM r.grow;
DROP SERVER grow;
-- Columns that are too narrow, all at once.
CREATE TABLE r.narrow (a varchar(20), b varchar(100), c char(39), d varchar(60));
INSERT INTO r.narrow VALUES ('a', 'b', 'c', repeat('d', 18));
CALL pseudonymize_table('r.narrow', '{a,b,c,d}');
CALL pseudonymize_table('r.narrow', '{b,c}');
-- An exclusion constraint that compares otherwise than for equality.
CREATE TABLE r.excluding (e text, EXCLUDE USING btree (e WITH =));
CREATE OPERATOR r.<<>> (LEFTARG = text, RIGHTARG = text, FUNCTION = textne, COMMUTATOR = OPERATOR(r.<<>>));
CREATE OPERATOR CLASS r.differs FOR TYPE text USING btree AS OPERATOR 3 r.<<>>, FUNCTION 1 bttextcmp(text, text);
CREATE TABLE r.less (e text, EXCLUDE USING btree (e r.differs WITH OPERATOR(r.<<>>)));
CALL pseudonymize_table('r.excluding', '{e}', true);
CALL pseudonymize_table('r.less', '{e}', true);
CALL repseudonymize_table('r.less', '{e}');
CALL repseudonymize_table('r.less', '{e}', dry_run => true);
-- What only the row itself shows is left out, and all others are converted: the value of another row, a constraint that is not the same twice.
SELECT r.make('twice', 'text UNIQUE', '3002@example.com');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON r.twice FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('e', 'deterministic=true');
INSERT INTO r.twice VALUES (4001, '0001@example.com'), (4002, '2999@example.com');
CALL pseudonymize_table('r.twice', '{e}', true, batch_size => 100);
SELECT status, sqlstate, rows_done, values_converted FROM pseudo_progress WHERE relation = 'r.twice'::regclass;
SELECT id, e FROM r.twice WHERE e LIKE '%@%' ORDER BY id;
DELETE FROM r.twice WHERE e LIKE '%@%';
CALL pseudonymize_table('r.twice', '{e}', true, batch_size => 100);
SELECT status, sqlstate, rows_done, values_converted FROM pseudo_progress WHERE relation = 'r.twice'::regclass;
SELECT (r.count('r.twice')).*;
SELECT r.make('deferred', 'text UNIQUE DEFERRABLE INITIALLY DEFERRED', '3002@example.com');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON r.deferred FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('e', 'deterministic=true');
INSERT INTO r.deferred VALUES (4001, '0001@example.com'), (4002, '2999@example.com');
CALL pseudonymize_table('r.deferred', '{e}', true);
SELECT id, e FROM r.deferred WHERE e LIKE '%@%' ORDER BY id;
SELECT status, sqlstate, rows_done, values_converted FROM pseudo_progress WHERE relation = 'r.deferred'::regclass;
CREATE SEQUENCE r.asked;
CREATE FUNCTION r.fickle(id int, value text) RETURNS boolean LANGUAGE sql AS $$SELECT value LIKE '%@%' OR nextval('r.asked') <= 3001 OR id % 1000 <> 7$$;
SELECT r.make('fickle', 'text CHECK (r.fickle(id, e))', '3002@example.com');
CALL pseudonymize_table('r.fickle', '{e}', batch_size => 500);
SELECT status, values_converted FROM pseudo_progress WHERE relation = 'r.fickle'::regclass;
SELECT id, e FROM r.fickle WHERE e LIKE '%@%' ORDER BY id;
-- an entry that is too long for another index than a B-tree
SELECT r.make('words', 'text', (SELECT string_agg(md5(n::text), '-') FROM generate_series(1, 75) n), 'CREATE INDEX %1$s_i ON r.%1$I USING gin ((ARRAY[e]))');
\set VERBOSITY terse
CALL pseudonymize_table('r.words', '{e}', true);
\set VERBOSITY default
SELECT id, length(e) FROM r.words WHERE e !~ '^[A-Za-z0-9+/]{38,}={0,2}$';
-- What another trigger raises ends the run, which names the row, and says what has become of the others and what to do.
CREATE FUNCTION r.mails() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 2500 AND NEW.e NOT LIKE '%@%' THEN RAISE 'row % has no address', NEW.id USING ERRCODE = TG_ARGV[0]; END IF; RETURN NULL; END$$;
SELECT r.make('mails', 'text', 'x@example.com', 'CREATE TRIGGER mails AFTER UPDATE ON r.%1$I FOR EACH ROW EXECUTE FUNCTION r.mails(''P0001'')');
CALL pseudonymize_table('r.mails', '{e}', true);
SELECT status, sqlstate, values_converted FROM pseudo_progress WHERE relation = 'r.mails'::regclass;
SELECT (r.count('r.mails')).*, count(*) FROM r.mails WHERE id < 2500 AND e LIKE '%@%';
CREATE OR REPLACE TRIGGER mails AFTER UPDATE ON r.mails FOR EACH ROW EXECUTE FUNCTION r.mails('23514');
CALL pseudonymize_table('r.mails', '{e}', true);
DROP TRIGGER mails ON r.mails;
CALL pseudonymize_table('r.mails', '{e}', true);
SELECT (r.count('r.mails')).*;
-- Pseudonyms in another spelling: refused by both, unless they are values.
SELECT pseudonymize('a@example.com', true) AS p \gset
CREATE TABLE r.spelled (id int, e text);
INSERT INTO r.spelled VALUES (1, :'p'), (2, 'plain@x'), (3, :'p' || E'\r');
CALL pseudonymize_table('r.spelled', '{e}', true);
CALL repseudonymize_table('r.spelled', '{e}');
CALL repseudonymize_table('r.spelled', '{e}', dry_run => true);
SELECT id, left(e, 5) FROM r.spelled ORDER BY id;
CALL pseudonymize_table('r.spelled', '{e}', true, existing => 'value');
SELECT id, reidentify(e) = :'p' || E'\r' FROM r.spelled WHERE id = 3;
-- Equality that is wider than bytes.
CREATE TABLE r.wide (e text);
CREATE UNIQUE INDEX wide_lower ON r.wide (lower(e));
INSERT INTO r.wide VALUES ('Bob@x');
CALL pseudonymize_table('r.wide', '{e}', true);
-- Relations whose rows are elsewhere.
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text,
  colocationid int NOT NULL DEFAULT 0, repmodel "char" NOT NULL DEFAULT 'c', autoconverted boolean NOT NULL DEFAULT false);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass NOT NULL, shardid bigint NOT NULL, shardstorage "char" NOT NULL, shardminvalue text, shardmaxvalue text);
RESET allow_system_table_mods;
CREATE TABLE r.visits (tenant text, e text);
CREATE TABLE r.visits_102008 (LIKE r.visits);
CREATE TABLE r.places (LIKE r.visits);
CREATE TABLE r.places_102011 (LIKE r.visits);
CREATE TABLE r.here (LIKE r.visits);
INSERT INTO r.visits VALUES ('x', 'dead');
INSERT INTO r.visits_102008 VALUES ('x', 'alive');
INSERT INTO pg_dist_partition VALUES ('r.visits', 'h', '{VAR :varno 1 :varattno 1 :vartype 25 :vartypmod -1 :varcollid 100 :varlevelsup 0 :varnosyn 1 :varattnosyn 1 :location -1}', 1, 's'),
  ('r.places', 'n', NULL, 2, 't'), ('r.here', 'n', NULL, 0, 's');
INSERT INTO pg_dist_shard VALUES ('r.visits', 102008, 't', '0', '1'), ('r.places', 102011, 't', NULL, NULL);
CALL pseudonymize_table('r.visits', '{e}');
CALL repseudonymize_table('r.visits', '{e}');
CALL pseudonymize_table('r.places', '{e}', true);
CALL pseudonymize_table('r.here', '{e}', true);
CALL pseudonymize_table('r.places_102011', '{e}');
CALL pseudonymize_table('r.visits_102008', '{tenant,e}', true);
CALL pseudonymize_table('r.places_102011', '{e}', true);
CALL pseudonymize_table('r.visits_102008', '{e}', true);
SELECT e, (SELECT reidentify(e) FROM r.visits_102008) FROM r.visits;
CREATE FOREIGN DATA WRAPPER regress_pseudo_other;
CREATE SERVER regress_pseudo_other FOREIGN DATA WRAPPER regress_pseudo_other;
CREATE FOREIGN TABLE r.far (e text) SERVER regress_pseudo_other;
CREATE TABLE r.parts (region text, e text) PARTITION BY LIST (region);
CREATE TABLE r.near PARTITION OF r.parts FOR VALUES IN ('near');
INSERT INTO r.parts VALUES ('near', 'x');
CREATE FOREIGN TABLE r.away PARTITION OF r.parts FOR VALUES IN ('away') SERVER regress_pseudo_other;
CREATE VIEW r.view AS SELECT e FROM r.parts;
CREATE SEQUENCE r.sequence;
\set VERBOSITY sqlstate
CALL pseudonymize_table('r.far', '{e}');
CALL pseudonymize_table('r.here', '{e}');
\set VERBOSITY default
CALL pseudonymize_table('r.far', '{e}');
CALL pseudonymize_table('r.parts', '{e}');
CALL repseudonymize_table('r.view', '{e}');
CALL pseudonymize_table('r.sequence', '{e}');
SELECT e FROM r.near;
SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard;
RESET allow_system_table_mods;
DROP FOREIGN DATA WRAPPER regress_pseudo_other CASCADE;
\set VERBOSITY terse
DROP SCHEMA r CASCADE;
DELETE FROM pseudo_progress;
SELECT t.run(format('rm -f %s', t.path('grow')));
