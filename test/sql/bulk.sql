--
-- Bulk: columns of whole tables converted in place, once, and moved to a new key.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
\set VERBOSITY terse
SET search_path = pseudo, public;
CREATE SCHEMA b;
CREATE ROLE regress_pseudo_p;
CREATE ROLE regress_pseudo_none;
GRANT USAGE ON SCHEMA pseudo, b TO regress_pseudo_p, regress_pseudo_none;
SELECT t.keyring('ring');
SELECT pseudo_create_key('ring');
CREATE VIEW b.progress AS SELECT relation, operation, columns, status, pass > 0 AS passed, rows_done, rows_total, percent, rows_per_second >= 0 AS rate, seconds_left, values_converted, pid = pg_backend_pid() AS mine, started_at <= updated_at AS times, sqlstate FROM pseudo_progress;
-- A table, with and without batches that end in the middle of a page; NULL, the empty string, values that are there already.
CREATE TABLE b.people (id int PRIMARY KEY, dropped int, email text, note text, "Odd ""name""" varchar(100));
ALTER TABLE b.people DROP COLUMN dropped;
INSERT INTO b.people SELECT n, CASE WHEN n % 10 > 0 THEN n || '@example.com' END, CASE WHEN n % 7 = 0 THEN pseudonymize('note', context => 'crm', keyring => 'ring') ELSE '' END, n FROM generate_series(1, 1000) n;
CALL pseudonymize_table('b.people', '{email,note}', false, 'crm', 'ring', 7);
SELECT * FROM b.progress;
SELECT count(*), count(email), count(DISTINCT email), count(DISTINCT note) FROM b.people;
SELECT count(*) FROM b.people WHERE reidentify(email, 'crm', 'ring') IS DISTINCT FROM CASE WHEN id % 10 > 0 THEN id || '@example.com' END OR reidentify(note, 'crm', 'ring') <> CASE WHEN id % 7 = 0 THEN 'note' ELSE '' END OR "Odd ""name""" <> id::text;
CALL pseudonymize_table('b.people', ARRAY['Odd "name"'], deterministic => true, context => 'odd', keyring => 'ring');
SELECT count(*) FROM b.people WHERE "Odd ""name""" <> pseudonymize(id::text, true, 'odd', 'ring');
SELECT * FROM b.progress;
-- Again: nothing is left to do, and nothing is encrypted twice; what was added since is done.
CREATE TEMPORARY TABLE before AS SELECT * FROM b.people;
CALL pseudonymize_table('b.people', '{email,note}', false, 'crm', 'ring');
SELECT * FROM b.progress;
INSERT INTO b.people VALUES (1001, 'new@example.com');
CALL pseudonymize_table('b.people', '{email,note}', false, 'crm', 'ring');
SELECT status, rows_done, values_converted FROM pseudo_progress;
SELECT count(*) FROM b.people p JOIN before USING (id, email, note);
SELECT count(*) FROM b.people p JOIN before USING (id);
SELECT reidentify(email, 'crm', 'ring') FROM b.people WHERE id = 1001;
-- The statistics hold no value.
SELECT count(*) > 0, count(*) FILTER (WHERE most_common_vals::text ~ '@' OR histogram_bounds::text ~ '@') FROM pg_stats WHERE schemaname = 'b' AND tablename = 'people';
-- repseudonymize_table: what is not under the primary key, in its mode; dry_run counts.
SELECT pseudo_create_key('ring', make_primary => true);
INSERT INTO b.people VALUES (1002, pseudonymize('key 2', false, 'crm', 'ring'));
CALL repseudonymize_table('b.people', '{email,note}', 'crm', 'ring', dry_run => true);
SELECT * FROM b.progress;
SELECT pseudonym_key_id(email), count(*) FROM b.people WHERE email IS NOT NULL GROUP BY 1 ORDER BY 1;
CALL repseudonymize_table('b.people', '{email,note}', 'crm', 'ring', 100);
SELECT * FROM b.progress;
SELECT pseudonym_key_id(email), count(*), count(DISTINCT email) FROM b.people WHERE email IS NOT NULL GROUP BY 1 ORDER BY 1;
CALL repseudonymize_table('b.people', ARRAY['Odd "name"'], context => 'odd', keyring => 'ring');
SELECT count(*) FROM b.people WHERE "Odd ""name""" <> pseudonymize(id::text, true, 'odd', 'ring') OR reidentify(email, 'crm', 'ring') IS DISTINCT FROM CASE WHEN id = 1001 THEN 'new@example.com' WHEN id = 1002 THEN 'key 2' WHEN id % 10 > 0 THEN id || '@example.com' END;
-- a value that is no pseudonym is left, and counted
INSERT INTO b.people VALUES (1003, 'plain');
CALL repseudonymize_table('b.people', '{email}', 'crm', 'ring', dry_run => true);
CALL repseudonymize_table('b.people', '{email}', 'crm', 'ring');
SELECT email FROM b.people WHERE id = 1003;
DELETE FROM b.people WHERE id = 1003;
-- a pseudonym that opens under no key stops the run; what was committed stays
UPDATE b.people SET email = pseudonymize('other context') WHERE id = 1000;
CALL repseudonymize_table('b.people', '{email}', 'crm', 'ring');
SELECT operation, status, values_converted, sqlstate FROM b.progress;
CALL repseudonymize_table('b.people', '{email}', 'crm', 'ring', dry_run => true);
CALL pseudonymize_table('b.people', '{email}', false, 'crm', 'ring');
SELECT operation, status, values_converted, sqlstate FROM b.progress;
CALL pseudonymize_table('b.people', '{email}', false, 'crm', 'ring', existing => 'value');
SELECT reidentify(reidentify(email, 'crm', 'ring')) FROM b.people WHERE id = 1000;
SELECT pseudo_set_key_status('ring', 1, 'disabled');
UPDATE b.people SET email = (SELECT email FROM before WHERE id = 1) WHERE id = 1;
CALL pseudonymize_table('b.people', '{email}', false, 'crm', 'ring');
CALL pseudonymize_table('b.people', '{email}', false, 'crm', 'ring', existing => 'value');
CALL repseudonymize_table('b.people', '{email}', 'crm', 'ring');
SELECT pseudo_set_key_status('ring', 1, 'enabled');
SELECT pseudo_create_key('ring', 'raw');
SELECT pseudo_set_key_status('ring', 3, 'disabled');
CALL pseudonymize_table('b.people', '{email}', false, 'crm', 'ring', existing => 'value');
-- With the trigger: its own writes pass, and those of nobody else.
CREATE TABLE b.live (id int PRIMARY KEY, email text);
INSERT INTO b.live SELECT n, n || '@example.com' FROM generate_series(1, 500) n;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
CALL pseudonymize_table('b.live', '{email}');
CALL pseudonymize_table('b.live', '{email}', true);
CALL pseudonymize_table('b.live', '{email}', true, 'crm', 'ring');
CALL pseudonymize_table('b.live', '{email}', true, 'crm');
SELECT count(*) FROM b.live WHERE email <> pseudonymize(id || '@example.com', true, 'crm');
SELECT t.err($$UPDATE b.live SET email = (SELECT email FROM b.live WHERE id = 2) WHERE id = 1$$);
-- in the same session after a run that failed, too
CREATE FUNCTION b.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 400 THEN RAISE 'no'; END IF; RETURN NEW; END$$;
CREATE TRIGGER fail BEFORE UPDATE ON b.live FOR EACH ROW EXECUTE FUNCTION b.fail();
ALTER TABLE b.live DISABLE TRIGGER pseudo;
UPDATE b.live SET email = id || '@example.com' WHERE id <> 400;
ALTER TABLE b.live DISABLE TRIGGER fail;
UPDATE b.live SET email = id || '@example.com' WHERE id = 400;
ALTER TABLE b.live ENABLE TRIGGER fail, ENABLE TRIGGER pseudo;
CALL pseudonymize_table('b.live', '{email}', true, 'crm', batch_size => 100);
SELECT status, sqlstate, (SELECT count(*) FROM b.live WHERE email LIKE '%@%') = 500 - values_converted FROM pseudo_progress WHERE relation = 'b.live'::regclass;
SELECT t.err($$UPDATE b.live SET email = pseudonymize('x', true, 'crm') WHERE id = 1$$);
SELECT DISTINCT t.err(format('UPDATE b.live SET email = pseudonymize(email, true, ''crm'') WHERE id = %s', id)) FROM b.live WHERE email LIKE '%@%' AND id <> 400;
DROP TRIGGER fail ON b.live;
CALL pseudonymize_table('b.live', '{email}', true, 'crm');
SELECT count(*) FROM b.live WHERE email <> pseudonymize(id || '@example.com', true, 'crm');
-- A trigger that suppresses what is written ends the run.
CREATE FUNCTION b.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE b.stubborn (email text);
INSERT INTO b.stubborn VALUES ('x');
CREATE TRIGGER a BEFORE UPDATE ON b.stubborn FOR EACH ROW EXECUTE FUNCTION b.nothing();
CALL pseudonymize_table('b.stubborn', '{email}');
DROP TABLE b.stubborn;
-- So does one that changes a pseudonym, before the value is lost; one that leaves pseudonyms alone does not.
CREATE FUNCTION b.lowercase() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email = lower(NEW.email); RETURN NEW; END';
CREATE TABLE b.normal (id int, email text, code char(80));
INSERT INTO b.normal SELECT n, n || '@Examples.com', NULLIF(n, 2) FROM generate_series(1, 3) n;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON b.normal FOR EACH ROW EXECUTE FUNCTION b.lowercase();
CALL pseudonymize_table('b.normal', '{code,email}');
SELECT * FROM b.normal ORDER BY id;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.normal FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'code');
CALL pseudonymize_table('b.normal', '{code,email}');
DROP TRIGGER zzz ON b.normal;
CREATE TRIGGER aaa BEFORE INSERT OR UPDATE ON b.normal FOR EACH ROW EXECUTE FUNCTION b.lowercase();
CALL pseudonymize_table('b.normal', '{code,email}');
SELECT id, email FROM b.normal ORDER BY id;
DROP TRIGGER aaa ON b.normal;
CREATE TRIGGER aaa BEFORE INSERT OR UPDATE ON b.normal FOR EACH ROW WHEN (NEW.email LIKE '%@%') EXECUTE FUNCTION b.lowercase();
CALL pseudonymize_table('b.normal', '{code,email}');
INSERT INTO b.normal VALUES (4, '4@Examples.com', 4);
UPDATE b.normal SET id = id + 10;
SELECT id, reidentify(email), reidentify(code::text) FROM b.normal ORDER BY id;
DROP TABLE b.normal;
-- Rules: one that does something instead ends the run, one that does something as well does not.
CREATE TABLE b.ruled (email text);
CREATE TABLE b.rule_log (email text);
INSERT INTO b.ruled VALUES ('x');
CREATE RULE r AS ON UPDATE TO b.ruled DO INSTEAD NOTHING;
CALL pseudonymize_table('b.ruled', '{email}');
CREATE OR REPLACE RULE r AS ON UPDATE TO b.ruled DO INSTEAD INSERT INTO b.rule_log VALUES (NEW.email);
CALL pseudonymize_table('b.ruled', '{email}');
SELECT count(*) FROM b.rule_log;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.ruled FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email');
CALL pseudonymize_table('b.ruled', '{email}');
CREATE OR REPLACE RULE r AS ON UPDATE TO b.ruled DO ALSO INSERT INTO b.rule_log VALUES (NEW.email);
CALL pseudonymize_table('b.ruled', '{email}');
SELECT reidentify(b.ruled.email), b.ruled.email = b.rule_log.email FROM b.ruled, b.rule_log;
-- also where its action joins other tables
CREATE TABLE b.mirror AS SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, 3) n;
DROP TRIGGER pseudo ON b.ruled;
INSERT INTO b.ruled SELECT email FROM b.mirror;
CREATE OR REPLACE RULE r AS ON UPDATE TO b.ruled DO ALSO UPDATE b.mirror AS m SET email = NEW.email WHERE m.email = OLD.email;
CALL pseudonymize_table('b.ruled', '{email}');
SELECT id, reidentify(email), EXISTS (SELECT FROM b.ruled r WHERE r.email = m.email) FROM b.mirror m ORDER BY id;
DROP TABLE b.ruled, b.rule_log, b.mirror CASCADE;
-- What a trigger writes to the same table meanwhile does not pass as the procedure's own.
CREATE TABLE b.nested (id int, email text);
INSERT INTO b.nested SELECT n, n || '@example.com' FROM generate_series(1, 3) n;
SELECT pseudonymize('seen elsewhere') AS seen \gset
CREATE FUNCTION b.plant() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE TG_ARGV[0] USING TG_ARGV[1]; RETURN NEW; END$$;
INSERT INTO b.nested VALUES (4);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.nested FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email');
CREATE TRIGGER plant BEFORE UPDATE ON b.nested FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION b.plant('INSERT INTO b.nested VALUES (5, $1)', :'seen');
CALL pseudonymize_table('b.nested', '{email}');
CREATE OR REPLACE TRIGGER plant BEFORE UPDATE ON b.nested FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION b.plant('UPDATE b.nested SET email = $1 WHERE id = 2', :'seen');
CALL pseudonymize_table('b.nested', '{email}');
CREATE OR REPLACE TRIGGER plant BEFORE UPDATE ON b.nested FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION b.plant('UPDATE b.nested SET email = $1 WHERE id = 4', :'seen');
CALL pseudonymize_table('b.nested', '{email}');
CREATE OR REPLACE TRIGGER plant BEFORE UPDATE ON b.nested FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION b.plant('UPDATE b.nested SET email = left($1, 3) WHERE id = 4', :'seen');
CALL pseudonymize_table('b.nested', '{email}');
SELECT id, reidentify(email) = left(:'seen', 3), reidentify(email) = id || '@example.com' FROM b.nested ORDER BY id;
DROP TABLE b.nested;
-- A COMMIT can fail by a deferred trigger: it costs the batch, which is tried again where that may help.
CREATE TABLE b.deferred (id int, email text);
INSERT INTO b.deferred SELECT n, n || '@example.com' FROM generate_series(1, 4) n;
CREATE SEQUENCE b.tries;
CREATE FUNCTION b.deferred() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 3 AND nextval('b.tries') < 3 THEN RAISE 'not now' USING ERRCODE = TG_ARGV[0]; END IF; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON b.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION b.deferred('23514');
CALL pseudonymize_table('b.deferred', '{email}', batch_size => 2);
SELECT status, sqlstate, rows_done, values_converted FROM pseudo_progress WHERE relation = 'b.deferred'::regclass;
SELECT count(*) FROM b.deferred WHERE email LIKE '%@%';
DROP TRIGGER deferred ON b.deferred;
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON b.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION b.deferred('40P01');
CALL pseudonymize_table('b.deferred', '{email}', batch_size => 2);
SELECT status, sqlstate, rows_done, values_converted FROM pseudo_progress WHERE relation = 'b.deferred'::regclass;
SELECT count(*) FILTER (WHERE reidentify(email) = id || '@example.com'), currval('b.tries') FROM b.deferred;
-- likewise what fails in the batch itself
DROP TRIGGER deferred ON b.deferred;
UPDATE b.deferred SET email = id || '@example.com';
CREATE TRIGGER immediate AFTER UPDATE ON b.deferred FOR EACH ROW EXECUTE FUNCTION b.deferred('55P03');
ALTER SEQUENCE b.tries RESTART;
CALL pseudonymize_table('b.deferred', '{email}', batch_size => 2);
SELECT count(*) FILTER (WHERE reidentify(email) = id || '@example.com'), currval('b.tries') FROM b.deferred;
DROP TABLE b.deferred;
-- What is written as fast as it is converted ends the run after some passes, and it says so.
CREATE TABLE b.endless (n int, email text);
INSERT INTO b.endless VALUES (0, 'x');
CREATE FUNCTION b.again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO b.endless VALUES (NEW.n + 1, 'x'); RETURN NULL; END$$;
CREATE TRIGGER again AFTER UPDATE ON b.endless FOR EACH ROW EXECUTE FUNCTION b.again();
CALL pseudonymize_table('b.endless', '{email}');
SELECT status, rows_done, values_converted FROM pseudo_progress WHERE relation = 'b.endless'::regclass;
DROP TABLE b.endless;
-- Types: char, varchar, domains, large values.
CREATE DOMAIN b.mail AS text CHECK (length(VALUE) > 3);
CREATE TABLE b.types (c char(60), v varchar(90), d b.mail, large text);
ALTER TABLE b.types ALTER large SET STORAGE EXTERNAL;
INSERT INTO b.types SELECT 'char', 'varchar', 'domain', repeat('large ', 10000) FROM generate_series(1, 20);
CALL pseudonymize_table('b.types', '{c,v,d,large}');
CALL pseudonymize_table('b.types', '{c,v,d,large}');
SELECT DISTINCT reidentify(c::text), reidentify(v), reidentify(d), reidentify(large) = repeat('large ', 10000) FROM b.types;
DROP TABLE b.types;
-- a collation that is not deterministic, where there is ICU
SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i' AND pg_collation_actual_version(oid) IS NOT NULL) AS icu \gset
\if :icu
CREATE COLLATION b.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
\else
CREATE COLLATION b.ci (locale = 'C');
\endif
CREATE TABLE b.collated (v varchar(90) COLLATE b.ci, c char(90) COLLATE b.ci);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.collated FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('v', 'c', 'deterministic=true');
ALTER TABLE b.collated DISABLE TRIGGER pseudo;
INSERT INTO b.collated VALUES ('varchar', 'char');
ALTER TABLE b.collated ENABLE TRIGGER pseudo;
SET client_min_messages = error;
CALL pseudonymize_table('b.collated', '{v,c}', true);
SET client_min_messages = warning;
SELECT reidentify(v), reidentify(c::text) FROM b.collated;
DROP TABLE b.collated;
-- Partitions, inheritance, unlogged and temporary tables, an empty one.
CREATE TABLE b.events (id int, region text, email text) PARTITION BY LIST (region);
CREATE TABLE b.events_eu PARTITION OF b.events FOR VALUES IN ('eu');
CREATE TABLE b.events_us (email text, region text, x int, id int);
ALTER TABLE b.events_us DROP COLUMN x;
ALTER TABLE b.events ATTACH PARTITION b.events_us FOR VALUES IN ('us');
CREATE TABLE b.events_rest PARTITION OF b.events DEFAULT;
INSERT INTO b.events SELECT n, (ARRAY['eu', 'us'])[1 + n % 2], n || '@example.com' FROM generate_series(1, 100) n;
CALL pseudonymize_table('b.events', '{email}', true);
SELECT tableoid::regclass, count(*), count(*) FILTER (WHERE email = pseudonymize(id || '@example.com', true)) FROM b.events GROUP BY 1 ORDER BY 1;
SELECT * FROM b.progress WHERE relation = 'b.events'::regclass;
CALL pseudonymize_table('b.events', '{region}');
CREATE TABLE b.parent (id int, email text);
CREATE TABLE b.child () INHERITS (b.parent);
INSERT INTO b.parent VALUES (1, 'parent');
INSERT INTO b.child VALUES (1, 'child');
CALL pseudonymize_table('b.parent', '{email}');
SELECT tableoid::regclass, reidentify(email) FROM b.parent ORDER BY 1;
-- a partition that is a foreign table
CREATE FOREIGN DATA WRAPPER regress_pseudo_other;
CREATE SERVER regress_pseudo_other FOREIGN DATA WRAPPER regress_pseudo_other;
CREATE FOREIGN TABLE b.events_far PARTITION OF b.events FOR VALUES IN ('far') SERVER regress_pseudo_other;
CALL pseudonymize_table('b.events', '{email}', true);
DROP FOREIGN DATA WRAPPER regress_pseudo_other CASCADE;
CREATE TABLE b.none ();
CALL pseudonymize_table('b.none', '{email}');
CREATE UNLOGGED TABLE b.unlogged AS SELECT 'unlogged' AS email;
CREATE TEMPORARY TABLE temporary AS SELECT 'temporary' AS email;
CREATE TABLE b.empty (email text);
CALL pseudonymize_table('b.unlogged', '{email}');
CALL pseudonymize_table('temporary', '{email}');
CALL pseudonymize_table('b.empty', '{email}');
SELECT reidentify(email) FROM b.unlogged UNION ALL SELECT reidentify(email) FROM temporary;
SELECT * FROM b.progress WHERE relation = 'b.empty'::regclass;
-- Whatever the session's isolation level is.
SET default_transaction_isolation = serializable;
INSERT INTO b.unlogged VALUES ('a'), ('b'), ('c');
CALL pseudonymize_table('b.unlogged', '{email}', batch_size => 1);
SELECT count(reidentify(email)) FROM b.unlogged;
RESET default_transaction_isolation;
-- Refused at the start.
\set VERBOSITY default
CREATE VIEW b.view AS SELECT * FROM b.people;
CREATE MATERIALIZED VIEW b.matview AS SELECT * FROM b.people;
CREATE TABLE b.bad (id int PRIMARY KEY, "unique" text UNIQUE, lower text, partial text, ref text, narrow varchar(20), tight varchar(60), n int, g text GENERATED ALWAYS AS ('x' || lower) STORED, gist text);
CREATE UNIQUE INDEX ON b.bad (lower(lower));
CREATE UNIQUE INDEX ON b.bad (id) WHERE partial = 'x';
CREATE TABLE b.orders (email text REFERENCES b.bad ("unique"), note text);
CREATE TABLE b.cascade (email text REFERENCES b.bad ("unique") ON UPDATE CASCADE);
INSERT INTO b.bad (id, tight) VALUES (1, repeat('x', 18));
CALL pseudonymize_table('b.view', '{email}');
CALL pseudonymize_table('b.matview', '{email}');
CALL pseudonymize_table('pg_class', '{relname}');
CALL pseudonymize_table('b.bad', '{nothing}');
CALL pseudonymize_table('b.bad', '{ctid}');
CALL pseudonymize_table('b.bad', '{lower,lower}');
CALL pseudonymize_table('b.bad', '{}');
CALL pseudonymize_table('b.bad', '{n}');
CALL pseudonymize_table('b.bad', '{g}');
CALL pseudonymize_table('b.bad', '{narrow}');
CALL pseudonymize_table('b.bad', '{tight}');
CALL pseudonymize_table('b.bad', '{unique}');
CALL pseudonymize_table('b.bad', '{lower}');
CALL pseudonymize_table('b.bad', '{unique}', true);
CALL pseudonymize_table('b.orders', '{email}');
CALL pseudonymize_table('b.orders', '{email}', true);
CALL pseudonymize_table('b.people', '{email}', keyring => 'none');
CALL pseudonymize_table('b.people', '{email}', batch_size => 0);
CALL pseudonymize_table('b.people', '{email}', batch_size => 100001);
CALL pseudonymize_table('b.people', '{email}', existing => 'keep');
CALL pseudonymize_table(NULL, '{email}');
CALL pseudonymize_table('b.people', NULL);
CALL pseudonymize_table('b.people', '{NULL}');
CALL pseudonymize_table('b.people', '{email}', NULL);
CALL pseudonymize_table('b.people', '{email}', true, NULL);
CALL pseudonymize_table('b.people', '{email}', true, '', NULL);
CALL pseudonymize_table('b.people', '{email}', true, '', 'pseudo', NULL);
CALL pseudonymize_table('b.people', '{email}', true, '', 'pseudo', 1, NULL);
CALL repseudonymize_table('b.people', '{email}', dry_run => NULL);
BEGIN;
CALL pseudonymize_table('b.people', '{email}');
ROLLBACK;
SET default_transaction_read_only = on;
CALL pseudonymize_table('b.people', '{email}');
RESET default_transaction_read_only;
DO $$BEGIN CALL pseudo.pseudonymize_table('b.empty', '{email}'); END$$;
-- a partial index's condition is not unique in the column; the failures before have changed nothing
CALL pseudonymize_table('b.bad', '{partial}');
SELECT tight FROM b.bad;
-- a value that is not converted yet does not meet its pseudonym in a unique index: the second stops the run
CREATE TABLE b.twice (id int, email text UNIQUE);
INSERT INTO b.twice VALUES (1, 'x'), (2, 'y');
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.twice FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true');
INSERT INTO b.twice VALUES (3, 'x');
\set VERBOSITY sqlstate
CALL pseudonymize_table('b.twice', '{email}', true);
\set VERBOSITY default
DELETE FROM b.twice WHERE id = 3;
CALL pseudonymize_table('b.twice', '{email}', true);
SELECT id, reidentify(email) FROM b.twice ORDER BY id;
-- with ON UPDATE CASCADE, both tables are converted at once
DROP TABLE b.orders;
INSERT INTO b.bad (id, "unique") VALUES (2, 'cascaded');
INSERT INTO b.cascade VALUES ('cascaded');
CALL pseudonymize_table('b.bad', '{unique}', true);
SELECT reidentify(email) FROM b.cascade;
-- not where the other table's trigger has another context, under which nobody could read it
CREATE TABLE b.other_context (email text REFERENCES b.bad ("unique") ON UPDATE CASCADE);
INSERT INTO b.bad (id, "unique") VALUES (3, 'elsewhere');
INSERT INTO b.other_context VALUES ('elsewhere');
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON b.other_context FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=other');
\set VERBOSITY sqlstate
CALL pseudonymize_table('b.bad', '{unique}', true);
\set VERBOSITY default
SELECT email FROM b.other_context;
DROP TABLE b.other_context;
DELETE FROM b.bad WHERE id = 3;
CALL pseudonymize_table('b.bad', '{unique}', false);
-- Rights: pseudonymize, the keyring, and SELECT and UPDATE on the table; row-level security must not apply.
CREATE TABLE b.rights (email text);
INSERT INTO b.rights VALUES ('x');
SET ROLE regress_pseudo_none;
CALL pseudonymize_table('b.rights', '{email}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_p;
SET ROLE regress_pseudo_p;
CALL pseudonymize_table('b.rights', '{email}');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_p;
SET ROLE regress_pseudo_p;
CALL pseudonymize_table('b.rights', '{email}');
SELECT * FROM pseudo_progress;
RESET ROLE;
GRANT SELECT, UPDATE ON b.rights TO regress_pseudo_p;
ALTER TABLE b.rights ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON b.rights USING (email <> 'x');
SET ROLE regress_pseudo_p;
CALL pseudonymize_table('b.rights', '{email}');
SET row_security = off;
CALL pseudonymize_table('b.rights', '{email}');
RESET row_security;
RESET ROLE;
ALTER TABLE b.rights DISABLE ROW LEVEL SECURITY;
SET ROLE regress_pseudo_p;
CALL pseudonymize_table('b.rights', '{email}');
SELECT relation, status, values_converted FROM pseudo_progress;
-- triggers run with the rights of who calls, also those that wait for the COMMIT beside pseudo_progress
RESET ROLE;
CREATE FUNCTION b.who() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF current_user <> 'regress_pseudo_p' THEN RAISE 'as %', current_user; END IF; RETURN NEW; END$$;
CREATE TRIGGER who BEFORE UPDATE ON b.rights FOR EACH ROW EXECUTE FUNCTION b.who();
CREATE CONSTRAINT TRIGGER who_later AFTER UPDATE ON b.rights DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION b.who();
INSERT INTO b.rights VALUES ('who');
SET ROLE regress_pseudo_p;
CALL pseudonymize_table('b.rights', '{email}');
RESET ROLE;
DROP TRIGGER who ON b.rights;
DROP TRIGGER who_later ON b.rights;
DELETE FROM b.rights WHERE reidentify(email) = 'who';
SET ROLE regress_pseudo_p;
-- nobody writes the progress by hand, and nobody sees it of tables that they cannot read
SELECT t.err('DELETE FROM pseudo_progress');
SELECT t.err('UPDATE pseudo_progress SET percent = 100');
SET ROLE regress_pseudo_none;
SELECT count(*) FROM pseudo_progress;
RESET ROLE;
SELECT reidentify(email) FROM b.rights;
-- what is not the table's own in the search path makes no difference
CREATE SCHEMA trap;
CREATE FUNCTION trap.unnest(anyarray) RETURNS SETOF text LANGUAGE sql AS $$SELECT 'trapped'::text$$;
CREATE FUNCTION trap.max(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
-- nor do operators there, which might run with the rights of the owner of pseudo_progress
DO $do$
DECLARE o record;
BEGIN
  FOR o IN SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprresult = 'bool'::regtype AND oprleft IN ('bool'::regtype, '"char"'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype, 'oid'::regtype, 'tid'::regtype, 'anyarray'::regtype) LOOP
    EXECUTE format($$CREATE OR REPLACE FUNCTION trap.op(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $f$BEGIN RAISE 'trapped as %%', current_user; END$f$ $$, o.l, o.r);
    EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.op)', o.oprname, o.l, o.r);
  END LOOP;
END
$do$;
DROP POLICY half ON b.rights;
ALTER TABLE b.rights ALTER email TYPE varchar(100);
INSERT INTO b.rights VALUES ('y');
SET search_path = trap, pg_catalog;
CALL pseudo.pseudonymize_table('b.rights', '{email}');
SET search_path = pseudo, public;
SELECT reidentify(email) FROM b.rights ORDER BY 1;
DROP SCHEMA trap CASCADE;
\set VERBOSITY terse
DROP SCHEMA b CASCADE;
DELETE FROM pseudo_progress;
DROP SERVER ring;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_p;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_p;
DROP OWNED BY regress_pseudo_p, regress_pseudo_none;
DROP ROLE regress_pseudo_p, regress_pseudo_none;
SELECT t.run(format('cd %s && ls pseudo_test_* | grep -v "^pseudo_test_pseudo.json$" | xargs rm -f', current_setting('data_directory')));
