--
-- Bulk, without columns: the labels say what becomes of which column, all in one pass.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE SCHEMA l;
SELECT t.keyring('shop');
SELECT pseudo_create_key('shop');
SELECT t.keyring('club');
SELECT pseudo_create_key('club');
-- label a column
CREATE FUNCTION l.label(relation regclass, name text, label text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('SECURITY LABEL FOR pseudo ON COLUMN %s.%I IS %L', relation, name, label); END $$;
-- how the last run of a table ended
CREATE FUNCTION l.progress(relation regclass) RETURNS TABLE (operation text, columns text[], status text, rows_done bigint, values_converted bigint, sqlstate text) LANGUAGE sql AS
$$ SELECT operation, columns, status, rows_done, values_converted, sqlstate FROM pseudo.pseudo_progress p WHERE p.relation = progress.relation $$;

-- Several modes, contexts and keyrings in one pass.
CREATE TABLE l.people (id int PRIMARY KEY, name text, email text UNIQUE, phone varchar(90), hash text, note text, secret text, "Odd ""name""" text);
INSERT INTO l.people SELECT n, 'name ' || n % 7, n || '@example.com', CASE WHEN n % 10 > 0 THEN '030-' || n END, encode(sha256(n::text::bytea), 'hex'), 'note ' || n, 'secret ' || n, 'odd ' || n FROM generate_series(1, 1000) n;
CALL pseudonymize_table('l.people');
SELECT l.label('l.people', 'id', 'keep');
SELECT l.label('l.people', 'secret', 'hide');
CALL pseudonymize_table('l.people');
CALL repseudonymize_table('l.people');
SELECT l.label('l.people', 'name', 'random, keyring=club');
SELECT l.label('l.people', 'email', 'deterministic, context=crm, keyring=club');
SELECT l.label('l.people', 'phone', 'deterministic, context=crm, keyring=shop, existing=keep');
SELECT l.label('l.people', 'hash', 'random, existing=value, context=crm, keyring=club');
SELECT l.label('l.people', 'Odd "name"', 'deterministic');
CALL pseudonymize_table('l.people', batch_size => 77);
SELECT * FROM l.progress('l.people');
-- is a row as its labels say?
CREATE VIEW l.right AS SELECT id, reidentify(name, keyring => 'club') = 'name ' || id % 7 AND reidentify(hash, 'crm', 'club') = encode(sha256(id::text::bytea), 'hex') AND note = 'note ' || id AND secret = 'secret ' || id
  AND email = pseudonymize(id || '@example.com', true, 'crm', 'club') AND phone IS NOT DISTINCT FROM CASE WHEN id % 10 > 0 THEN pseudonymize('030-' || id, true, 'crm', 'shop') END
  AND "Odd ""name""" = pseudonymize('odd ' || id, true) AS is_right FROM l.people;
SELECT is_right, count(*) FROM l.right GROUP BY 1;
SELECT count(DISTINCT name) FROM l.people;
-- again: nothing is left to do, and what was added since is done
CREATE TEMPORARY TABLE before AS SELECT * FROM l.people;
CALL pseudonymize_table('l.people');
SELECT * FROM l.progress('l.people');
INSERT INTO l.people SELECT n, 'name ' || n % 7, n || '@example.com', NULL, encode(sha256(n::text::bytea), 'hex'), 'note ' || n, 'secret ' || n, 'odd ' || n FROM generate_series(2000, 2000) n;
CALL pseudonymize_table('l.people', NULL);
SELECT * FROM l.progress('l.people');
SELECT is_right, count(*) FROM l.right GROUP BY 1;
SELECT count(*) FROM before b JOIN l.people p ON b = p;
-- one whose column is named is converted as its arguments say, whatever its label
INSERT INTO l.people (id, name) VALUES (2001, 'name 6');
CALL pseudonymize_table('l.people', '{name}', true, 'other', existing => 'value');
SELECT name = pseudonymize('name 6', true, 'other') FROM l.people WHERE id = 2001;
DELETE FROM l.people WHERE id = 2001;
UPDATE l.people p SET name = b.name FROM before b WHERE b.id = p.id;
UPDATE l.people SET name = pseudonymize('name 5', keyring => 'club') WHERE id = 2000;
-- a column is looked at with its own context and keyring: what another one's call would open is no pseudonym here
UPDATE l.people SET phone = pseudonymize('030-1', true, 'crm', 'club') WHERE id = 1;
\set VERBOSITY default
\set SHOW_CONTEXT never
CALL pseudonymize_table('l.people');
SELECT * FROM l.progress('l.people');
UPDATE l.people SET phone = E' ' || pseudonymize('030-1', true, 'crm', 'shop') WHERE id = 1;
CALL pseudonymize_table('l.people');
CALL repseudonymize_table('l.people');
UPDATE l.people SET phone = pseudonymize('030-1', true, 'crm', 'shop') WHERE id = 1;

-- Rotation: each column under its own context and keyring, in its mode.
SELECT pseudo_create_key('shop', make_primary => true);
CALL repseudonymize_table('l.people', dry_run => true);
SELECT * FROM l.progress('l.people');
CALL repseudonymize_table('l.people', batch_size => 77);
SELECT * FROM l.progress('l.people');
SELECT is_right, count(*) FROM l.right GROUP BY 1;
SELECT pseudo_create_key('club', make_primary => true);
CALL repseudonymize_table('l.people');
SELECT * FROM l.progress('l.people');
SELECT is_right, count(*) FROM l.right GROUP BY 1;
SELECT pseudonym_key_id(name), pseudonym_key_id(email), pseudonym_key_id(phone), pseudonym_key_id(hash), count(*) FROM l.people GROUP BY 1, 2, 3, 4 ORDER BY 3;
CALL repseudonymize_table('l.people');
SELECT * FROM l.progress('l.people');

-- What the labels say leaves nothing to arguments.
CALL pseudonymize_table('l.people', deterministic => false);
CALL pseudonymize_table('l.people', context => '');
CALL pseudonymize_table('l.people', keyring => 'pseudo');
CALL pseudonymize_table('l.people', existing => 'error');
CALL pseudonymize_table('l.people', NULL, NULL);
CALL pseudonymize_table('l.people', NULL, false, '', 'pseudo', 1000, 'error');
CALL repseudonymize_table('l.people', context => '');
CALL repseudonymize_table('l.people', keyring => 'pseudo');
CALL pseudonymize_table('l.people', batch_size => 0);
CALL repseudonymize_table('l.people', dry_run => NULL);
-- What the procedures write is for them alone.
SELECT t.err($$SELECT pseudo_converted_value('(0,1)', 0)$$);
SELECT t.err($$SELECT pseudo_converted_value(NULL, NULL)$$);

-- into=: the other column gets the pseudonyms, and this one stays.
CREATE TABLE l.into (id int PRIMARY KEY, email text, email_p text, phone char(20), phone_p varchar(100), n int DEFAULT 0);
SELECT l.label('l.into', 'email', 'deterministic, context=crm, into=email_p');
SELECT l.label('l.into', 'phone', 'random, keyring=shop, into=phone_p');
INSERT INTO l.into SELECT n, n || '@example.com', NULL, '030-' || n FROM generate_series(1, 1000) n;
CREATE VIEW l.into_right AS SELECT id, email_p IS NOT DISTINCT FROM pseudonymize(email, true, 'crm') AND reidentify(phone_p, keyring => 'shop') IS NOT DISTINCT FROM rtrim(phone) AS is_right,
  email IS NOT DISTINCT FROM id || '@example.com' AND phone IS NOT DISTINCT FROM '030-' || id AS is_kept FROM l.into;
CALL pseudonymize_table('l.into', batch_size => 77);
SELECT * FROM l.progress('l.into');
SELECT is_right, is_kept, count(*) FROM l.into_right GROUP BY 1, 2;
SELECT count(DISTINCT phone_p) FROM l.into;
CREATE TEMPORARY TABLE into_before AS SELECT * FROM l.into;
CALL pseudonymize_table('l.into');
SELECT * FROM l.progress('l.into');
SELECT count(*) FROM into_before b JOIN l.into p ON b = p;
-- NULL on either side; what may be overwritten: the source's own value, nothing, a pseudonym of another row, random where it may be, under an older key; a source that changed
SELECT pseudo_create_key('shop') AS other \gset
SELECT pseudo_set_primary_key('shop', :other);
SELECT pseudonymize('030-7', keyring => 'shop') AS under_other, pseudonymize('another value', keyring => 'shop') AS other_value \gset
SELECT pseudo_set_primary_key('shop', 2);
UPDATE l.into SET email = NULL WHERE id = 1;
UPDATE l.into SET email_p = NULL WHERE id = 2;
UPDATE l.into SET email_p = email, phone_p = rtrim(phone) WHERE id = 3;
UPDATE l.into SET email_p = (SELECT email_p FROM into_before WHERE id = 1) WHERE id = 4;
UPDATE l.into SET email_p = '' WHERE id = 5;
UPDATE l.into SET email_p = pseudonymize(email, false, 'crm') WHERE id = 6;
UPDATE l.into SET phone_p = :'under_other' WHERE id = 7;
UPDATE l.into SET phone = '030-8 ' || E'\t' WHERE id = 8;
UPDATE l.into SET email = NULL, email_p = NULL, phone = NULL WHERE id = 9;
UPDATE l.into SET phone_p = :'other_value' WHERE id = 10;
UPDATE l.into SET email = pseudonymize('a pseudonym is a value here', true, 'crm') WHERE id = 11;
UPDATE l.into SET email = NULL, email_p = '' WHERE id = 12;
CALL pseudonymize_table('l.into');
SELECT * FROM l.progress('l.into');
SELECT id, i.is_right, is_kept, b.email_p = a.email_p AS email, b.phone_p = a.phone_p AS phone FROM into_before b JOIN l.into a USING (id) JOIN l.into_right i USING (id) WHERE b IS DISTINCT FROM a OR NOT is_right ORDER BY id;
SELECT reidentify(reidentify(email_p, 'crm'), 'crm') FROM l.into WHERE id = 11;
CALL pseudonymize_table('l.into');
SELECT * FROM l.progress('l.into');
-- What a target holds and nobody else may have is refused, in the batch that it is in, and before that is written.
CREATE TABLE l.refused (id int, email text, email_p text);
INSERT INTO l.refused SELECT n, n || '@example.com', CASE WHEN n = 8 THEN 'Smith, Jane' END FROM generate_series(1, 10) n;
SELECT l.label('l.refused', 'email', 'deterministic, context="c''rm", into=email_p');
\set VERBOSITY default
\set SHOW_CONTEXT errors
CALL pseudonymize_table('l.refused', batch_size => 3);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM l.progress('l.refused');
SELECT id, reidentify(email_p, 'c''rm') FROM l.refused WHERE id <> 8 ORDER BY id;
SELECT email_p FROM l.refused WHERE id = 8;
-- the hint's statement takes it out, and it goes on
UPDATE l.refused SET email_p = NULL WHERE NOT is_pseudonym(email_p, 'c''rm', 'pseudo');
CALL pseudonymize_table('l.refused');
SELECT * FROM l.progress('l.refused');
-- where the source is NULL, and where constraints are tried on all rows before
CREATE TABLE l.tried (email text, email_p text CHECK (email_p <> 'x'));
INSERT INTO l.tried VALUES ('a@example.com', NULL), (NULL, 'Smith, Jane');
SELECT l.label('l.tried', 'email', 'deterministic, into=email_p');
CALL pseudonymize_table('l.tried', batch_size => 1);
ALTER TABLE l.tried DROP CONSTRAINT tried_email_p_check;
CALL pseudonymize_table('l.tried', batch_size => 1);
SELECT reidentify(email_p) FROM l.tried WHERE email IS NOT NULL;
SELECT email_p FROM l.tried WHERE email IS NULL;
UPDATE l.tried SET email_p = NULL WHERE NOT is_pseudonym(email_p, '', 'pseudo');
CALL pseudonymize_table('l.tried');
SELECT * FROM l.progress('l.tried');
-- a hash, blanks, the value with another spelling, a pseudonym with a line break, of another context, of another keyring, under a key that is disabled
\set SHOW_CONTEXT never
CREATE FUNCTION l.refuses(held text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE l.refused SET email_p = held WHERE id = 1; END $$;
\set VERBOSITY terse
SELECT pseudo_set_key_status('shop', :other, 'disabled');
SELECT l.label('l.refused', 'email', 'random, keyring=shop, into=email_p');
UPDATE l.refused SET email_p = NULL;
SELECT l.refuses(encode(sha256('1'), 'hex'));
CALL pseudonymize_table('l.refused');
SELECT l.refuses(' ');
CALL pseudonymize_table('l.refused');
SELECT l.refuses('1@EXAMPLE.com');
CALL pseudonymize_table('l.refused');
SELECT l.refuses(pseudonymize('1@example.com', keyring => 'shop') || E'\n');
CALL pseudonymize_table('l.refused');
SELECT l.refuses(pseudonymize('1@example.com', false, 'other', 'shop'));
CALL pseudonymize_table('l.refused');
SELECT l.refuses(pseudonymize('1@example.com'));
CALL pseudonymize_table('l.refused');
SELECT l.refuses(:'under_other');
CALL pseudonymize_table('l.refused');
SELECT email_p = :'under_other' FROM l.refused WHERE id = 1;
SELECT pseudo_set_key_status('shop', :other, 'enabled');
CALL pseudonymize_table('l.refused');
SELECT count(*) FROM l.refused WHERE reidentify(email_p, keyring => 'shop') = email;
\set VERBOSITY default
DROP TABLE l.refused, l.tried;
-- a rotation moves the target
SELECT pseudo_set_primary_key('shop', :other);
CALL repseudonymize_table('l.into', dry_run => true);
SELECT * FROM l.progress('l.into');
CALL repseudonymize_table('l.into');
SELECT * FROM l.progress('l.into');
SELECT pseudonym_key_id(phone_p) = :other, count(*) FROM l.into WHERE phone_p IS NOT NULL GROUP BY 1;
SELECT is_right, count(*) FROM l.into_right GROUP BY 1;
CALL repseudonymize_table('l.into', '{email}', 'crm');
SELECT * FROM l.progress('l.into');
-- a column that has pseudonyms of another keyring and context: those are refused, too, as they cannot be told from what nobody else has
SELECT l.label('l.into', 'email', NULL);
SELECT l.label('l.into', 'phone', 'random, keyring=shop, into=email_p');
CALL pseudonymize_table('l.into');
UPDATE l.into SET email_p = NULL;
CALL pseudonymize_table('l.into');
SELECT count(*) FROM l.into WHERE reidentify(email_p, keyring => 'shop') IS DISTINCT FROM rtrim(phone);

-- With the trigger that pseudo_protect() makes: it lets the procedures write the target, and nobody else.
CREATE TABLE l.guarded (id int PRIMARY KEY, email text, email_p text, name text, code text);
INSERT INTO l.guarded SELECT n, CASE WHEN n <> 5 THEN n || '@example.com' END, CASE WHEN n IN (5, 6) THEN 'planted' END, 'name ' || n, 'code ' || n FROM generate_series(1, 500) n;
SELECT l.label('l.guarded', 'email', 'random, context=crm, into=email_p');
SELECT l.label('l.guarded', 'name', 'random, keyring=club');
SELECT l.label('l.guarded', 'code', 'deterministic');
SELECT trigger_name, action FROM pseudo_protect('l.guarded');
-- what was there before the trigger is refused; the hint's statement takes it out, also with the trigger, which fills the row with a source
CALL pseudonymize_table('l.guarded', batch_size => 77);
UPDATE l.guarded SET email_p = NULL WHERE NOT is_pseudonym(email_p, 'crm', 'pseudo');
SELECT id, reidentify(email_p, 'crm') FROM l.guarded WHERE id IN (5, 6) OR email_p IS NOT NULL ORDER BY id;
CALL pseudonymize_table('l.guarded', batch_size => 77);
SELECT * FROM l.progress('l.guarded');
CREATE VIEW l.guarded_right AS SELECT reidentify(email_p, 'crm') IS NOT DISTINCT FROM CASE WHEN id <> 5 THEN id || '@example.com' END AND email IS NOT DISTINCT FROM CASE WHEN id <> 5 THEN id || '@example.com' END
  AND reidentify(name, keyring => 'club') = 'name ' || id AND code = pseudonymize('code ' || id, true) AS is_right FROM l.guarded;
SELECT is_right, count(*) FROM l.guarded_right GROUP BY 1;
CREATE TEMPORARY TABLE guarded_before AS SELECT * FROM l.guarded;
UPDATE l.guarded SET email_p = pseudonymize('planted', context => 'crm') WHERE id = 7;
SELECT count(*) FROM l.guarded g JOIN guarded_before b ON g = b;
CALL pseudonymize_table('l.guarded');
SELECT * FROM l.progress('l.guarded');
SELECT pseudo_create_key('club', make_primary => true) > 2;
CALL repseudonymize_table('l.guarded');
SELECT * FROM l.progress('l.guarded');
SELECT is_right, count(*) FROM l.guarded_right GROUP BY 1;
-- what it lets pass is what is written at this moment, and only there
CREATE FUNCTION l.plant() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE TG_ARGV[0] USING TG_ARGV[1]; RETURN NULL; END$$;
SELECT pseudonymize('planted', context => 'crm') AS seen \gset
ALTER TABLE l.guarded DISABLE TRIGGER zz_pseudo;
UPDATE l.guarded SET email_p = NULL WHERE id < 4;
ALTER TABLE l.guarded ENABLE TRIGGER zz_pseudo;
CREATE TRIGGER plant AFTER UPDATE ON l.guarded FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION l.plant('UPDATE l.guarded SET email_p = $1 WHERE id = 4', :'seen');
CALL pseudonymize_table('l.guarded');
SELECT is_right, count(*) FROM l.guarded_right GROUP BY 1;
DROP TRIGGER plant ON l.guarded;

-- What may not be in the target.
CREATE DOMAIN l.short AS text CHECK (length(VALUE) < 60);
CREATE DOMAIN l.filled AS text NOT NULL;
CREATE TABLE l.bad (id int PRIMARY KEY, e text, same text, narrow varchar(60), short l.short, filled text NOT NULL, filled_d l.filled, alone text UNIQUE, upper text, ref text REFERENCES l.bad (alone), other text);
INSERT INTO l.bad VALUES (1, 'a@example.com', NULL, NULL, NULL, '', ''), (2, NULL, NULL, NULL, NULL, '', '');
CREATE UNIQUE INDEX bad_upper ON l.bad (left(upper, 3));
SELECT l.label('l.bad', 'e', 'deterministic, into=narrow');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.bad', 'e', 'deterministic, into=short');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.bad', 'e', 'deterministic, into=filled');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.bad', 'e', 'deterministic, into=filled_d');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.bad', 'e', 'deterministic, into=ref');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.bad', 'e', 'deterministic, into=alone');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE l.bad DROP COLUMN ref;
SELECT l.label('l.bad', 'e', 'deterministic, into=upper');
INSERT INTO l.bad (id, e, filled, filled_d) VALUES (3, 'b@example.com', 'x', 'x');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
DROP INDEX l.bad_upper;
SELECT count(upper) FROM l.bad;
CREATE UNIQUE INDEX bad_upper ON l.bad ((1)) WHERE upper IS NOT NULL;
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
DROP INDEX l.bad_upper;
-- values that are there twice do not fit into a unique target: one row is left out
INSERT INTO l.bad (id, e, filled, filled_d) VALUES (4, 'a@example.com', 'x', 'x');
SELECT l.label('l.bad', 'e', 'deterministic, into=alone');
CALL pseudonymize_table('l.bad');
\echo :LAST_ERROR_SQLSTATE
SELECT id, reidentify(alone) FROM l.bad ORDER BY id;
-- random pseudonyms in what has become unique, or in a foreign key
CREATE TABLE l.late (id int, e text, f text);
SELECT l.label('l.late', 'e', 'random');
CREATE UNIQUE INDEX late_e ON l.late (e);
CALL pseudonymize_table('l.late');
\echo :LAST_ERROR_SQLSTATE
DROP INDEX l.late_e;
ALTER TABLE l.late ADD UNIQUE (f), ADD FOREIGN KEY (e) REFERENCES l.late (f) ON UPDATE CASCADE;
CALL pseudonymize_table('l.late');
\echo :LAST_ERROR_SQLSTATE
-- a column that has another type now
ALTER TABLE l.late DROP COLUMN f CASCADE, ALTER e TYPE int USING NULL;
CALL pseudonymize_table('l.late');
\echo :LAST_ERROR_SQLSTATE

-- Triggers: what they make of a column must be what the labels say; without one, the notice tells of pseudo_protect.
CREATE TABLE l.live (id int PRIMARY KEY, a text, b text, c text);
INSERT INTO l.live SELECT n, 'a' || n, 'b' || n FROM generate_series(1, 100) n;
SELECT l.label('l.live', 'a', 'deterministic, context=crm');
SELECT l.label('l.live', 'b', 'random');
CREATE TRIGGER one BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a', 'deterministic=true');
CALL pseudonymize_table('l.live');
\echo :LAST_ERROR_SQLSTATE
CALL repseudonymize_table('l.live');
CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a', 'context=crm');
CALL pseudonymize_table('l.live');
CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a IS deterministic, context=crm, into=c');
CALL pseudonymize_table('l.live');
CALL repseudonymize_table('l.live');
CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('c IS random, into=b');
CALL pseudonymize_table('l.live');
CREATE OR REPLACE TRIGGER one BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a', 'deterministic=true', 'context=crm');
CREATE TRIGGER two BEFORE INSERT OR UPDATE ON l.live FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('b');
CALL pseudonymize_table('l.live');
SELECT * FROM l.progress('l.live');
SELECT count(*) FROM l.live WHERE a = pseudonymize('a' || id, true, 'crm') AND reidentify(b) = 'b' || id;

-- Partitions: the root's labels count, whatever the order of the columns; each has its own rows.
CREATE TABLE l.visits (id int, region text, who text, who_p text, note text) PARTITION BY LIST (region);
CREATE TABLE l.visits_eu PARTITION OF l.visits FOR VALUES IN ('eu');
CREATE TABLE l.visits_us (note text, x int, who_p text, id int, who text, region text);
ALTER TABLE l.visits_us DROP COLUMN x;
ALTER TABLE l.visits ATTACH PARTITION l.visits_us FOR VALUES IN ('us');
INSERT INTO l.visits SELECT n, (ARRAY['eu', 'us'])[1 + n % 2], 'who ' || n, NULL, 'note ' || n FROM generate_series(1, 200) n;
SELECT l.label('l.visits', 'who', 'deterministic, context=visits, into=who_p');
SELECT l.label('l.visits', 'note', 'random');
CREATE VIEW l.visits_right AS SELECT tableoid::regclass AS part, who = 'who ' || id AND who_p = pseudonymize(who, true, 'visits') AND try_reidentify(note) = 'note ' || id AS is_right FROM l.visits;
CALL pseudonymize_table('l.visits_us');
SELECT part, is_right IS TRUE, count(*) FROM l.visits_right GROUP BY 1, 2 ORDER BY 1, 2;
CALL pseudonymize_table('l.visits');
SELECT * FROM l.progress('l.visits');
SELECT part, is_right, count(*) FROM l.visits_right GROUP BY 1, 2 ORDER BY 1, 2;
-- the source of a target may be the key of the partitions
SELECT l.label('l.visits', 'region', 'deterministic, into=who_p');
SELECT l.label('l.visits', 'who', NULL);
SELECT l.label('l.visits', 'region', 'deterministic, into=who_p');
UPDATE l.visits SET who_p = NULL;
CALL pseudonymize_table('l.visits');
SELECT count(*) FROM l.visits WHERE who_p = pseudonymize(region, true);
-- tables that inherit have labels of their own
CREATE TABLE l.parent (id int, e text);
CREATE TABLE l.child () INHERITS (l.parent);
INSERT INTO l.child VALUES (1, 'child');
SELECT l.label('l.parent', 'e', 'random');
SELECT l.label('l.child', 'e', 'deterministic');
CALL pseudonymize_table('l.parent');
\echo :LAST_ERROR_SQLSTATE
SELECT l.label('l.child', 'e', NULL);
CALL pseudonymize_table('l.parent');
SELECT reidentify(e) FROM l.child;
-- relations that are no tables
CREATE MATERIALIZED VIEW l.copy AS SELECT * FROM l.parent;
SELECT l.label('l.copy', 'e', 'random');
CALL pseudonymize_table('l.copy');
\echo :LAST_ERROR_SQLSTATE
CREATE VIEW l.shown AS SELECT * FROM l.parent;
CALL pseudonymize_table('l.shown');
\echo :LAST_ERROR_SQLSTATE

-- Unique columns in two contexts while two keys are enabled: each keeps the pseudonym that is there, or meets it.
CREATE TABLE l.unique (id int PRIMARY KEY, a text UNIQUE, b text, b_p text UNIQUE, k int);
CREATE UNIQUE INDEX ON l.unique (a, k);
SELECT l.label('l.unique', 'a', 'deterministic, context=one, keyring=club');
SELECT l.label('l.unique', 'b', 'deterministic, context=two, into=b_p, keyring=club');
INSERT INTO l.unique SELECT n, 'a' || n, 'b' || n FROM generate_series(1, 100) n;
CALL pseudonymize_table('l.unique');
SELECT pseudo_create_key('club', make_primary => true) AS key \gset
INSERT INTO l.unique SELECT n, 'a' || n, 'b' || n FROM generate_series(101, 200) n;
CALL pseudonymize_table('l.unique');
SELECT pseudonym_key_id(a) - :key AS a, pseudonym_key_id(b_p) - :key AS b, count(*) FROM l.unique GROUP BY 1, 2 ORDER BY 1, 2;
INSERT INTO l.unique VALUES (201, 'a1', 'b201'), (202, 'a202', 'b2');
\set VERBOSITY terse
CALL pseudonymize_table('l.unique');
\echo :LAST_ERROR_SQLSTATE
SELECT id, a, b_p FROM l.unique WHERE id > 200 ORDER BY id;
DELETE FROM l.unique WHERE id > 200;
CALL repseudonymize_table('l.unique', dry_run => true);
SELECT values_converted FROM l.progress('l.unique');
-- a twin under the other key: counted, and left out
INSERT INTO l.unique VALUES (301, pseudonymize('a1', true, 'one', 'club'), 'b301', pseudonymize('b2', true, 'two', 'club'));
CALL repseudonymize_table('l.unique', dry_run => true);
CALL repseudonymize_table('l.unique');
\echo :LAST_ERROR_SQLSTATE
DELETE FROM l.unique WHERE id = 301;
CALL repseudonymize_table('l.unique');
SELECT count(*) FROM l.unique WHERE a = pseudonymize('a' || id, true, 'one', 'club') AND b_p = pseudonymize(b, true, 'two', 'club');

-- Foreign keys: a target that is referred to takes the tables with it that follow.
CREATE TABLE l.members (id int PRIMARY KEY, e text, e_p text UNIQUE);
CREATE TABLE l.orders (id int, member text REFERENCES l.members (e_p) ON UPDATE CASCADE);
INSERT INTO l.members SELECT n, 'm' || n, 'm' || n FROM generate_series(1, 10) n;
INSERT INTO l.orders SELECT n, 'm' || n FROM generate_series(1, 10) n;
SELECT l.label('l.members', 'e', 'deterministic, context=shop, into=e_p');
CALL pseudonymize_table('l.members');
SELECT count(*) FROM l.members m JOIN l.orders o ON o.member = m.e_p WHERE m.e_p = pseudonymize(m.e, true, 'shop') AND o.id = m.id;

-- What a run writes is not for those whose triggers run meanwhile.
CREATE ROLE pseudo_child;
GRANT USAGE ON SCHEMA pseudo, l TO pseudo_child;
CREATE TABLE l.spied (a text UNIQUE, other text);
INSERT INTO l.spied VALUES ('a', 'other');
SELECT l.label('l.spied', 'a', 'deterministic');
SELECT l.label('l.spied', 'other', 'random');
CREATE TABLE l.follower (a text REFERENCES l.spied (a) ON UPDATE CASCADE);
INSERT INTO l.follower VALUES ('a');
CREATE FUNCTION l.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pseudo.pseudo_converted_value('(0,1)', 1); RETURN NEW; END $$;
CREATE TRIGGER spy BEFORE UPDATE ON l.follower FOR EACH ROW EXECUTE FUNCTION l.spy();
ALTER TABLE l.follower OWNER TO pseudo_child;
CALL pseudonymize_table('l.spied');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE l.follower, l.spied;
DROP OWNED BY pseudo_child;
DROP ROLE pseudo_child;

-- The labels are the owner's: a keyring that they may not use is not used for them by a caller who may.
CREATE ROLE pseudo_labeller;
CREATE TABLE l.guesses (v text, p text);
ALTER TABLE l.guesses OWNER TO pseudo_labeller;
INSERT INTO l.guesses VALUES ('a1');
SELECT l.label('l.guesses', 'v', 'deterministic, context=one, keyring=club, into=p');
\set VERBOSITY default
CALL pseudonymize_table('l.guesses');
\echo :LAST_ERROR_SQLSTATE
CALL repseudonymize_table('l.guesses', dry_run => true);
GRANT EXECUTE ON FUNCTION pseudonymize(text, boolean, text, text) TO pseudo_labeller;
CALL pseudonymize_table('l.guesses');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM l.guesses;
GRANT USAGE ON FOREIGN SERVER club TO pseudo_labeller;
CALL pseudonymize_table('l.guesses');
SELECT p = pseudonymize(v, true, 'one', 'club') FROM l.guesses;

-- After columns were renamed, a label may name its own column, which would be converted again and again, or one with a label.
CREATE TABLE l.renamed (a text, b text, c text, d text);
INSERT INTO l.renamed VALUES ('a', 'b', 'c', 'd');
SELECT l.label('l.renamed', 'a', 'random, into=b');
ALTER TABLE l.renamed RENAME b TO x;
ALTER TABLE l.renamed RENAME a TO b;
CALL pseudonymize_table('l.renamed');
\echo :LAST_ERROR_SQLSTATE
CALL repseudonymize_table('l.renamed');
ALTER TABLE l.renamed RENAME b TO a;
SELECT l.label('l.renamed', 'c', 'random');
ALTER TABLE l.renamed RENAME c TO b;
CALL pseudonymize_table('l.renamed');
SELECT * FROM l.renamed;

-- A label beside each column in the argument, in place of the table's: this is how another node of Citus is told of them.
CREATE TABLE l.told (a text, "B c" text, p text, "a IS random" text);
INSERT INTO l.told VALUES ('a', 'b', NULL, 'd');
CALL pseudonymize_table('l.told', '{"a IS deterministic, context=\"x, y\", keyring=club, into=p", "\"B c\" is random"}');
SELECT a, p = pseudonymize(a, true, 'x, y', 'club') AS p, reidentify("B c"), "a IS random" FROM l.told;
CALL repseudonymize_table('l.told', '{"a IS deterministic, context=\"x, y\", keyring=club, into=p", "\"B c\" is random"}', dry_run => true);
-- A column that is named like another one with its label: neither is guessed.
CALL pseudonymize_table('l.told', '{"a IS random"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"\"a IS random\" IS random"}');
SELECT reidentify("a IS random") FROM l.told;
CALL pseudonymize_table('l.told', '{"p IS random", "B c"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"B c", "p IS random"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"p IS hide"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"p IS random, into=p"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"a IS deterministic, into=p", "p IS random"}');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"p IS random"}', batch_size => 1, context => 'x');
\echo :LAST_ERROR_SQLSTATE
CALL repseudonymize_table('l.told', '{"p IS random"}', keyring => 'club');
\echo :LAST_ERROR_SQLSTATE
CALL pseudonymize_table('l.told', '{"p IS random, other=x"}');
\echo :LAST_ERROR_SQLSTATE

DROP SCHEMA l CASCADE;
DROP OWNED BY pseudo_labeller;
DROP ROLE pseudo_labeller;
DELETE FROM pseudo_progress;
DROP SERVER shop, club;
SELECT t.run(format('cd %s && ls pseudo_test_* | grep -v "^pseudo_test_pseudo.json$" | xargs rm -f', current_setting('data_directory')));
