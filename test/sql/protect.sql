--
-- Declared columns: one trigger with a label for each column, pseudonyms that go into another column, and pseudo_protect().
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_owner;
CREATE ROLE regress_pseudo_writer;
CREATE SCHEMA pr AUTHORIZATION regress_pseudo_owner;
GRANT USAGE ON SCHEMA pr, pseudo TO regress_pseudo_owner, regress_pseudo_writer;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_owner;
SELECT t.keyring('ring'), t.keyring('shop');
SELECT pseudo_create_key('ring'), pseudo_create_key('shop');
GRANT USAGE ON FOREIGN SERVER pseudo, ring, shop TO regress_pseudo_owner;

-- ---- Each column its own label ----
SET ROLE regress_pseudo_owner;
CREATE TABLE pr.people (id int PRIMARY KEY, email text UNIQUE, phone text UNIQUE, "Full, ""name""" text, hash text, plain text);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(
  'email IS deterministic, context=crm, keyring=shop', 'PHONE is deterministic, keyring=ring', '"Full, ""name""" IS random, context="a, b"', 'hash IS deterministic, existing=value, context=crm');
GRANT SELECT, INSERT, UPDATE ON pr.people TO regress_pseudo_writer;
RESET ROLE;
CREATE VIEW pr.clear AS SELECT id, reidentify(email, 'crm', 'shop') AS email, email = pseudonymize(reidentify(email, 'crm', 'shop'), true, 'crm', 'shop') AS det_email,
  reidentify(phone, '', 'ring') AS phone, phone = pseudonymize(reidentify(phone, '', 'ring'), true, '', 'ring') AS det_phone,
  reidentify("Full, ""name""", 'a, b') AS name, reidentify(hash, 'crm') AS hash, plain FROM pr.people;
SET ROLE regress_pseudo_writer;
INSERT INTO pr.people VALUES (1, 'ann@example.com', '555-1', 'Ann', repeat('abcd', 16), 'plain'), (2, 'bob@example.com', '555-2', 'Ann', NULL, NULL);
SELECT t.err(format('INSERT INTO pr.people (id, email) VALUES (3, %L)', repeat('abcd', 16)));
UPDATE pr.people SET phone = '555-3', plain = 'other' WHERE id = 1;
INSERT INTO pr.people VALUES (2, 'bob@example.com', '555-2', 'Bob') ON CONFLICT (email) DO UPDATE SET "Full, ""name""" = EXCLUDED."Full, ""name""", phone = EXCLUDED.phone;
RESET ROLE;
SELECT * FROM pr.clear ORDER BY id;
SELECT count(DISTINCT "Full, ""name""") FROM pr.people;
-- new keys in both keyrings: equal values are found equal in each column
SELECT pseudo_create_key('ring', make_primary => true), pseudo_create_key('shop', make_primary => true);
\set VERBOSITY sqlstate
INSERT INTO pr.people (id, phone) VALUES (4, '555-3');
INSERT INTO pr.people (id, email) VALUES (4, 'ann@example.com');
\set VERBOSITY default
INSERT INTO pr.people (id, email, phone) VALUES (4, 'dan@example.com', '555-2') ON CONFLICT (phone) DO UPDATE SET email = EXCLUDED.email;
INSERT INTO pr.people (id, email, phone) VALUES (2, 'dan@example.com', '555-2') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, phone = EXCLUDED.phone;
INSERT INTO pr.people (id, phone) VALUES (5, '555-5');
SELECT id, reidentify(email, 'crm', 'shop'), pseudonym_key_id(email), reidentify(phone, '', 'ring'), pseudonym_key_id(phone) FROM pr.people ORDER BY id;
-- Constraints over columns of different contexts and keyrings: the combination is found, whichever key each value is under.
CREATE TABLE pr.pairs (id int PRIMARY KEY, a text, b text, c text, UNIQUE (a, b));
CREATE TABLE pr.refers (id int, a text, b text, FOREIGN KEY (a, b) REFERENCES pr.pairs (a, b));
CREATE TABLE pr.partial (a text, b text, c text);
CREATE UNIQUE INDEX partial_a ON pr.partial (a) WHERE b IS NOT NULL;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.pairs FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a IS deterministic, keyring=ring', 'b IS deterministic, context=b, keyring=shop', 'c IS random');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.refers FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('b IS deterministic, context=b, keyring=shop', 'a IS deterministic, keyring=ring');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.partial FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a IS deterministic, keyring=ring', 'b IS deterministic, keyring=shop');
INSERT INTO pr.pairs VALUES (1, 'x', 'y', 'z');
INSERT INTO pr.partial VALUES ('x', 'y');
SELECT pseudo_create_key('ring', make_primary => true);
INSERT INTO pr.pairs VALUES (2, 'x2', 'y2', 'z');
INSERT INTO pr.refers VALUES (1, 'x', 'y'), (2, 'x2', 'y2');
SELECT pseudo_create_key('shop', make_primary => true);
INSERT INTO pr.pairs VALUES (1, 'x', 'y', 'z') ON CONFLICT (a, b) DO UPDATE SET c = EXCLUDED.c;
INSERT INTO pr.refers VALUES (3, 'x', 'y'), (4, 'x2', 'y2');
\set VERBOSITY sqlstate
INSERT INTO pr.pairs VALUES (3, 'x', 'y');
INSERT INTO pr.pairs VALUES (3, 'x2', 'y2');
INSERT INTO pr.pairs VALUES (3, 'x', 'y3'), (4, 'x3', 'y');
UPDATE pr.pairs SET b = 'y' WHERE id = 3;
UPDATE pr.pairs SET a = 'x' WHERE id = 4;
UPDATE pr.pairs SET a = 'x2', b = 'y2', c = 'new' WHERE id = 2;
INSERT INTO pr.refers VALUES (5, 'x', 'y2');
INSERT INTO pr.partial VALUES ('x', 'other');
\set VERBOSITY default
SELECT p.id, reidentify(p.a, '', 'ring'), pseudonym_key_id(p.a), reidentify(p.b, 'b', 'shop'), pseudonym_key_id(p.b), array_agg(r.id ORDER BY r.id) FROM pr.pairs p LEFT JOIN pr.refers r USING (a, b) GROUP BY p.id ORDER BY p.id;
DROP TABLE pr.refers, pr.partial;
-- and so do the procedures: a row that has the values of another one, each under an old key, is counted, and left out
SECURITY LABEL FOR pseudo ON COLUMN pr.pairs.a IS 'deterministic, keyring=ring';
SECURITY LABEL FOR pseudo ON COLUMN pr.pairs.b IS 'deterministic, context=b, keyring=shop';
ALTER TABLE pr.pairs DISABLE TRIGGER zz_pseudo;
INSERT INTO pr.pairs VALUES (9, pseudonymize('x', true, '', 'ring'), pseudonymize('y', true, 'b', 'shop'));
ALTER TABLE pr.pairs ENABLE TRIGGER zz_pseudo;
CALL repseudonymize_table('pr.pairs', dry_run => true);
\set VERBOSITY terse
CALL repseudonymize_table('pr.pairs');
\set VERBOSITY default
SELECT p.id, reidentify(p.a, '', 'ring'), pseudonym_key_id(p.a), reidentify(p.b, 'b', 'shop'), pseudonym_key_id(p.b) FROM pr.pairs p ORDER BY p.id;
DROP TABLE pr.pairs;
-- What such arguments may say.
CREATE TABLE pr.arguments (a text, b text, "a b" text, "is" text);
CREATE FUNCTION pr.try(VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS
$$
BEGIN
  EXECUTE (SELECT format('CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON pr.arguments FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(%s)', string_agg(quote_literal(a), ',')) FROM unnest(arguments) a);
  RETURN t.err($x$INSERT INTO pr.arguments (a) VALUES ('a')$x$);
END
$$;
SELECT pr.try('a IS random', 'b');
SELECT pr.try('a IS random', 'context=crm');
SELECT pr.try('deterministic=true', 'a IS random');
SELECT pr.try('a IS keep');
SELECT pr.try('a IS hide', 'b IS random');
SELECT pr.try('a IS secret');
SELECT pr.try('a IS random, context');
SELECT pr.try('c IS random');
SELECT pr.try('a IS random', 'b IS random', 'a IS deterministic');
SELECT pr.try('a IS random, into=b', 'b IS random');
SELECT pr.try('b IS random', 'a IS random, into=b');
SELECT pr.try('a IS random, into=b', '"a b" IS random, into=b');
SELECT pr.try('a IS random, into=a');
SELECT pr.try('a IS random, into=c');
SELECT pr.try('c IS random, into=a');
SELECT pr.try('"a b" IS random');
SELECT pr.try('"is" IS random', 'a IS random, into="a b"');
SELECT pr.try(E'a\tIS\nrandom');
-- names of columns, as before
SELECT pr.try('a b', 'a');
SELECT pr.try('a ISrandom');
SELECT pr.try('"a IS random');
SELECT pr.try('"" IS random');
SELECT pr.try('1 IS random');
SELECT pr.try('is');

-- ---- into= ----
SET ROLE regress_pseudo_owner;
CREATE TABLE pr.leads (id int PRIMARY KEY, email varchar(30), phone text, email_p text, phone_p varchar(100), plain text);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.leads FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(
  'email IS deterministic, context=crm, into=email_p', 'phone IS random, into=phone_p');
GRANT SELECT, INSERT, UPDATE ON pr.leads TO regress_pseudo_writer;
RESET ROLE;
-- what a row is: the sources, what their targets open to, and whether that is as it should be
CREATE VIEW pr.opened AS SELECT id, email, phone, coalesce(reidentify(email_p, 'crm'), '<NULL>') AS email_p, coalesce(reidentify(phone_p), '<NULL>') AS phone_p,
  CASE WHEN email_p IS DISTINCT FROM pseudonymize(email, true, 'crm') OR reidentify(phone_p) IS DISTINCT FROM phone THEN 'WRONG' ELSE 'right' END AS is, plain FROM pr.leads;
SELECT pseudonymize('seen@example.com', true, 'crm') AS seen, pseudonymize('seen') AS seen_phone \gset
CREATE TABLE pr.before (id int, email_p text, phone_p text);
-- INSERT and COPY: whatever is written to a target is overwritten
SET ROLE regress_pseudo_writer;
INSERT INTO pr.leads (id, email, phone) VALUES (1, 'one@example.com', '1'), (2, 'two@example.com', NULL), (3, NULL, ''), (4, NULL, NULL);
INSERT INTO pr.leads VALUES (5, 'five@example.com', '5', :'seen', :'seen_phone'), (6, NULL, NULL, :'seen', :'seen_phone'), (7, 'seven@example.com', '7', 'plain', '');
INSERT INTO pr.leads (id, phone, phone_p) VALUES (8, :'seen_phone', :'seen_phone');
COPY pr.leads (id, email, email_p) FROM STDIN;
9	nine@example.com	nine@example.com
10	\N	planted
\.
COPY pr.leads (id, phone) FROM STDIN;
11	eleven
\.
RESET ROLE;
SELECT * FROM pr.opened WHERE id <> 8 ORDER BY id;
-- a source is a value, whatever it looks like
SELECT phone = :'seen_phone', reidentify(phone_p) = :'seen_phone' FROM pr.leads WHERE id = 8;
DELETE FROM pr.leads WHERE id = 8;
-- UPDATE: the target is as it was where the source is, and new where that is
INSERT INTO pr.before SELECT id, email_p, phone_p FROM pr.leads;
SET ROLE regress_pseudo_writer;
UPDATE pr.leads SET plain = 'touched' WHERE id = 1;
UPDATE pr.leads SET email_p = :'seen', phone_p = :'seen_phone' WHERE id < 6;
UPDATE pr.leads SET email_p = NULL, phone_p = NULL, email = email WHERE id IN (1, 5);
UPDATE pr.leads SET phone = 'new phone', phone_p = :'seen_phone' WHERE id = 7;
UPDATE pr.leads SET email = 'new@example.com', email_p = email_p WHERE id = 9;
UPDATE pr.leads SET email = NULL WHERE id = 2;
UPDATE pr.leads SET (email, phone) = (phone, email) WHERE id = 11;
RESET ROLE;
SELECT o.*, l.email_p IS NOT DISTINCT FROM b.email_p, l.phone_p IS NOT DISTINCT FROM b.phone_p FROM pr.opened o JOIN pr.leads l USING (id) JOIN pr.before b USING (id) ORDER BY id;
-- one that is NULL, from before the trigger, is filled; one that is something else stays, but for text that somebody takes out by NULL
ALTER TABLE pr.leads DISABLE TRIGGER zz_pseudo;
INSERT INTO pr.leads VALUES (20, 'twenty@example.com', '20', NULL, NULL), (21, 'other@example.com', '21', :'seen', 'no pseudonym'), (22, 'null@example.com', '22', NULL, NULL), (23, 'text@example.com', '23', 'text', encode(sha256('23'), 'base64'));
UPDATE pr.leads SET email = NULL WHERE id = 7;
ALTER TABLE pr.leads ENABLE TRIGGER zz_pseudo;
SET ROLE regress_pseudo_writer;
UPDATE pr.leads SET plain = 'filled' WHERE id IN (7, 20);
UPDATE pr.leads SET phone_p = '', email_p = NULL WHERE id IN (21, 22);
RESET ROLE;
SELECT * FROM pr.opened WHERE id IN (7, 20, 22) ORDER BY id;
SELECT email_p = :'seen', phone_p FROM pr.leads WHERE id = 21;
SET ROLE regress_pseudo_writer;
UPDATE pr.leads SET email_p = NULL, phone_p = NULL WHERE id = 23;
RESET ROLE;
SELECT * FROM pr.opened WHERE id = 23;
DELETE FROM pr.leads WHERE id >= 20;
-- ON CONFLICT and MERGE
SET ROLE regress_pseudo_writer;
INSERT INTO pr.leads (id, email, phone, email_p) VALUES (1, 'conflict@example.com', '1', :'seen') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, email_p = EXCLUDED.email_p;
INSERT INTO pr.leads (id, email, phone) VALUES (5, 'conflict@example.com', 'new') ON CONFLICT (id) DO UPDATE SET email_p = EXCLUDED.email_p, phone_p = EXCLUDED.phone_p;
INSERT INTO pr.leads (id, email) VALUES (9, 'conflict@example.com') ON CONFLICT (id) DO UPDATE SET plain = EXCLUDED.email_p;
MERGE INTO pr.leads l USING (VALUES (1, 'merged@example.com'), (12, 'twelve@example.com')) AS s (id, email) ON l.id = s.id
  WHEN MATCHED THEN UPDATE SET email = s.email, email_p = phone_p WHEN NOT MATCHED THEN INSERT (id, email, email_p) VALUES (s.id, s.email, 'planted');
RESET ROLE;
SELECT id, email, phone, email_p, phone_p, o.is, plain = pseudonymize('conflict@example.com', true, 'crm') FROM pr.opened o WHERE id IN (1, 5, 9, 12) ORDER BY id;
-- existing=keep: the pseudonym of just this value is kept, where one with the privileges of the owner writes it
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.leads FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(
  'email IS random, context=crm, existing=keep, into=email_p', 'phone IS random, existing=value, into=phone_p');
CREATE FUNCTION pr.kept(who name, value text, pseudonym text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE was text; now text; opens text;
BEGIN
  INSERT INTO pr.leads (id, email) VALUES (50, value) RETURNING email_p INTO was;
  EXECUTE format('SET LOCAL ROLE %I', who);
  INSERT INTO pr.leads (id, email, email_p) VALUES (51, value, pseudonym) RETURNING email_p INTO now;
  UPDATE pr.leads SET email_p = pseudonym WHERE id = 50;
  RESET ROLE;
  SELECT string_agg(format('%s %s', CASE email_p WHEN pseudonym THEN 'kept' WHEN was THEN 'as it was' ELSE 'made' END, reidentify(email_p, 'crm') = email), ', ' ORDER BY id) INTO opens FROM pr.leads WHERE id >= 50;
  DELETE FROM pr.leads WHERE id >= 50;
  RETURN opens;
END
$$;
SELECT what, pr.kept('regress_pseudo_owner', 'kept@example.com', p), pr.kept('regress_pseudo_writer', 'kept@example.com', p) FROM (VALUES
  ('its own', pseudonymize('kept@example.com', false, 'crm')), ('deterministic', pseudonymize('kept@example.com', true, 'crm')),
  ('of another value', pseudonymize('kept@example.con', false, 'crm')), ('of a longer value', pseudonymize('kept@example.com ', false, 'crm')),
  ('of the empty string', pseudonymize('', false, 'crm')),
  ('another context', pseudonymize('kept@example.com')), ('another keyring', pseudonymize('kept@example.com', false, 'crm', 'ring')),
  ('misspelled', ' ' || pseudonymize('kept@example.com', false, 'crm')), ('the value', 'kept@example.com'), ('none', ''), ('base64', repeat('A', 60))) AS v (what, p);
UPDATE pr.leads SET phone_p = pseudonymize(phone), phone = phone WHERE id = 1;
SELECT l.phone_p = b.phone_p FROM pr.leads l JOIN pr.before b USING (id) WHERE id = 1;
-- under a key that is disabled nothing opens, and the value gets the primary key's
CREATE TABLE pr.keys (n int, v text, p text);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.keys FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('v IS random, keyring=ring, existing=keep, into=p');
INSERT INTO pr.keys VALUES (1, 'v');
SELECT pseudo_create_key('ring', make_primary => true);
INSERT INTO pr.keys SELECT 2, v, p FROM pr.keys;
SELECT pseudo_set_key_status('ring', 3, 'disabled');
INSERT INTO pr.keys SELECT 3, v, p FROM pr.keys WHERE n = 1;
UPDATE pr.keys SET n = n + 10 WHERE n < 3;
SELECT pseudo_set_key_status('ring', 3, 'enabled');
SELECT n, pseudonym_key_id(p), reidentify(p, '', 'ring') FROM pr.keys ORDER BY n;

-- Types: a source may be anything that is text, a target is as any column of pseudonyms.
CREATE DOMAIN pr.short AS varchar(10) CHECK (VALUE <> 'no');
CREATE DOMAIN pr.no_at AS varchar(80) CHECK (VALUE !~ '@');
CREATE TABLE pr.types (d pr.short, d_p pr.no_at, c char(10), c_p char(60), v varchar(5), v_p varchar(48), i int, a text[], g text GENERATED ALWAYS AS (upper(v)) STORED, g_p int GENERATED ALWAYS AS (length(v_p)) STORED);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.types FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('d IS random, into=d_p', 'c IS deterministic, into=c_p', 'v IS random, into=v_p');
INSERT INTO pr.types (d, c, v) VALUES ('short', 'char  ', 'vvv'), ('', '', '');
UPDATE pr.types SET c = c || '', c_p = c_p || '', d = 'long';
SELECT d, reidentify(d_p), reidentify(c_p::text) || '|', reidentify(v_p), octet_length(c_p), g, g_p FROM pr.types ORDER BY v;
SELECT t.err($$UPDATE pr.types SET v = '12345' WHERE v = ''$$), t.err($$UPDATE pr.types SET v = 'vvvvvvvvv' WHERE v = ''$$);
SELECT arguments, t.err(format('CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.types FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(%L); INSERT INTO pr.types (v) VALUES (''x'')', arguments))
  FROM unnest(ARRAY['i IS random, into=v_p', 'a IS random, into=v_p', 'g IS random, into=v_p', 'v IS random, into=i', 'v IS random, into=a', 'v IS random, into=g', 'v IS random, into=ctid', 'ctid IS random, into=v_p']) AS arguments;
DROP TABLE pr.types;
DROP DOMAIN pr.short, pr.no_at;
-- A value in TOAST that stays is left there; its pseudonym, too.
CREATE TABLE pr.large (id int, doc text, doc_p text);
ALTER TABLE pr.large ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN doc_p SET STORAGE EXTERNAL;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.large FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('doc IS random, into=doc_p');
INSERT INTO pr.large SELECT 1, repeat('large ', 20000);
CREATE TEMPORARY TABLE old AS SELECT doc_p FROM pr.large;
UPDATE pr.large SET id = 2;
UPDATE pr.large SET doc_p = doc;
UPDATE pr.large SET doc = doc || '', doc_p = NULL;
SELECT id, reidentify(l.doc_p) = repeat('large ', 20000), l.doc_p = o.doc_p FROM pr.large l, old o;

-- Unique targets and foreign keys while several keys are enabled: one value, one pseudonym.
CREATE TABLE pr.owners (id int PRIMARY KEY, email text, email_p text UNIQUE);
CREATE TABLE pr.cars (id int PRIMARY KEY, email text, email_p text REFERENCES pr.owners (email_p) ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.owners FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic, keyring=ring, into=email_p');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.cars FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic, keyring=ring, into=email_p');
INSERT INTO pr.owners VALUES (1, 'one@example.com'), (2, 'two@example.com');
SELECT pseudo_create_key('ring', make_primary => true);
INSERT INTO pr.cars VALUES (1, 'one@example.com');
\set VERBOSITY sqlstate
INSERT INTO pr.owners VALUES (3, 'two@example.com');
INSERT INTO pr.cars VALUES (2, 'nobody@example.com');
UPDATE pr.owners SET email = 'two@example.com' WHERE id = 1;
\set VERBOSITY default
INSERT INTO pr.owners VALUES (3, 'two@example.com') ON CONFLICT (email_p) DO UPDATE SET id = 30;
SELECT o.id, o.email, pseudonym_key_id(o.email_p), reidentify(o.email_p, '', 'ring'), c.id, c.email FROM pr.owners o LEFT JOIN pr.cars c USING (email_p) ORDER BY o.id;
-- a foreign key that changes only a target is refused: it would refer to none, and nobody would look again
SELECT t.err($$UPDATE pr.owners SET email = 'new@example.com' WHERE id = 1$$);
SELECT t.err($$DELETE FROM pr.owners WHERE id = 1$$);
UPDATE pr.owners SET email = 'new@example.com' WHERE id = 30;
-- also where it sets text of before the trigger to NULL
ALTER TABLE pr.owners DISABLE TRIGGER zz_pseudo;
ALTER TABLE pr.cars DISABLE TRIGGER zz_pseudo;
INSERT INTO pr.owners VALUES (40, 'forty@example.com', 'text');
INSERT INTO pr.cars VALUES (40, 'forty@example.com', 'text');
ALTER TABLE pr.cars ENABLE TRIGGER zz_pseudo;
SELECT t.err($$DELETE FROM pr.owners WHERE id = 40$$);
DELETE FROM pr.cars WHERE id = 40;
DELETE FROM pr.owners WHERE id = 40;
ALTER TABLE pr.owners ENABLE TRIGGER zz_pseudo;
-- where the source follows the same table, in whichever order
ALTER TABLE pr.owners ADD UNIQUE (email);
ALTER TABLE pr.cars ADD FOREIGN KEY (email) REFERENCES pr.owners (email) ON UPDATE CASCADE ON DELETE SET NULL;
UPDATE pr.owners SET email = 'first@example.com' WHERE id = 1;
SELECT o.id, o.email, reidentify(o.email_p, '', 'ring'), c.id, c.email FROM pr.owners o LEFT JOIN pr.cars c USING (email_p) ORDER BY o.id;
ALTER TABLE pr.cars DROP CONSTRAINT cars_email_p_fkey;
ALTER TABLE pr.cars ADD FOREIGN KEY (email_p) REFERENCES pr.owners (email_p) ON UPDATE CASCADE ON DELETE SET NULL;
UPDATE pr.owners SET email = 'again@example.com' WHERE id = 1;
SELECT o.id, o.email, reidentify(o.email_p, '', 'ring'), c.id, c.email FROM pr.owners o LEFT JOIN pr.cars c USING (email_p) ORDER BY o.id;
DELETE FROM pr.owners WHERE id = 1;
SELECT * FROM pr.cars;
-- it may bring another pseudonym of the same value, and no other
ALTER TABLE pr.cars DROP CONSTRAINT cars_email_fkey;
UPDATE pr.cars SET email = 'new@example.com';
ALTER TABLE pr.owners DISABLE TRIGGER zz_pseudo;
UPDATE pr.owners SET email_p = pseudonymize(email, false, '', 'ring');
SELECT t.err($$UPDATE pr.owners SET email_p = pseudonymize('other', false, '', 'ring')$$);
ALTER TABLE pr.owners ENABLE TRIGGER zz_pseudo;
SELECT o.id, o.email, reidentify(o.email_p, '', 'ring'), c.id, c.email FROM pr.owners o JOIN pr.cars c USING (email_p) ORDER BY o.id;
DROP TABLE pr.cars, pr.owners;

-- Partitions: a row that moves keeps its pseudonym; a source may be in the key.
CREATE TABLE pr.events (id int, region text, email text, email_p text) PARTITION BY LIST (region);
CREATE TABLE pr.events_a PARTITION OF pr.events FOR VALUES IN ('a');
CREATE TABLE pr.events_b (email_p text, filler int, region text, email text, id int);
ALTER TABLE pr.events_b DROP COLUMN filler;
ALTER TABLE pr.events ATTACH PARTITION pr.events_b FOR VALUES IN ('b');
CREATE TABLE pr.events_c PARTITION OF pr.events DEFAULT;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.events FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS random, into=email_p');
INSERT INTO pr.events VALUES (1, 'a', 'one@a', NULL), (2, 'b', 'two@b', 'planted'), (3, 'c', 'three@c', 'three@c'), (4, 'a', NULL, 'planted'), (5, 'a', 'five@a', '');
CREATE TEMPORARY TABLE moving AS SELECT id, email_p FROM pr.events;
UPDATE pr.events SET region = CASE region WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END WHERE id < 5;
UPDATE pr.events SET region = CASE region WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END, email_p = 'planted' WHERE id < 5;
UPDATE pr.events SET region = 'b', email = 'new@b', email_p = (SELECT email_p FROM moving WHERE id = 1) WHERE id = 5;
MERGE INTO pr.events e USING (VALUES (3)) AS s (id) ON e.id = s.id WHEN MATCHED THEN UPDATE SET region = 'c';
SELECT e.tableoid::regclass, e.id, email, reidentify(e.email_p), e.email_p = m.email_p FROM pr.events e JOIN moving m USING (id) ORDER BY id;
-- copies of one are new rows
WITH u AS (UPDATE pr.events SET region = 'a' WHERE id = 1 RETURNING *) INSERT INTO pr.events SELECT id + 10, 'b', 'copy', email_p FROM u;
SELECT e.id, email, reidentify(e.email_p), e.email_p = m.email_p FROM pr.events e, moving m WHERE m.id = 1 AND e.id IN (1, 11) ORDER BY 1;
-- a trigger that changes the source on the way gets a new one made
CREATE FUNCTION pr.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := 'changed'; RETURN NEW; END $$;
CREATE TRIGGER change BEFORE INSERT ON pr.events_c FOR EACH ROW EXECUTE FUNCTION pr.change();
UPDATE pr.events SET region = 'c' WHERE id = 1;
SELECT id, email, reidentify(email_p) FROM pr.events WHERE id = 1;
DROP TABLE pr.events;
CREATE TABLE pr.places (id int, place text, place_p text) PARTITION BY LIST (place);
CREATE TABLE pr.places_a PARTITION OF pr.places FOR VALUES IN ('a');
CREATE TABLE pr.places_b PARTITION OF pr.places FOR VALUES IN ('b');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.places FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('place IS deterministic, into=place_p');
INSERT INTO pr.places VALUES (1, 'a'), (2, 'b');
UPDATE pr.places SET place = CASE place WHEN 'a' THEN 'b' ELSE 'a' END;
SELECT tableoid::regclass, id, place, place_p = pseudonymize(place, true) FROM pr.places ORDER BY id;
DROP TABLE pr.places;
CREATE TABLE pr.places (id int, place text, place_p text) PARTITION BY LIST (place_p);
CREATE TABLE pr.places_a PARTITION OF pr.places DEFAULT;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.places FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('place IS deterministic, into=place_p');
SELECT t.err($$INSERT INTO pr.places VALUES (1, 'a')$$);
DROP TABLE pr.places;
-- Other triggers: one before sees no pseudonym and may change the source; one after goes past.
CREATE TABLE pr.others (id int, email text, email_p text, seen text);
CREATE FUNCTION pr.other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := NEW.email_p; NEW.email := lower(NEW.email); NEW.email_p := TG_ARGV[0]; RETURN NEW; END $$;
CREATE TRIGGER a_before BEFORE INSERT OR UPDATE ON pr.others FOR EACH ROW EXECUTE FUNCTION pr.other('before');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.others FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS random, into=email_p');
INSERT INTO pr.others VALUES (1, 'One', 'by the writer'), (2, NULL, 'by the writer');
UPDATE pr.others SET id = id;
UPDATE pr.others SET email = 'ONE' WHERE id = 1;
SELECT id, email, reidentify(email_p), seen = email_p FROM pr.others ORDER BY id;
CREATE TRIGGER zzz_after BEFORE INSERT OR UPDATE ON pr.others FOR EACH ROW EXECUTE FUNCTION pr.other('after');
UPDATE pr.others SET email = 'ONE' WHERE id = 1;
SELECT id, email, email_p FROM pr.others WHERE id = 1;
DROP TRIGGER zzz_after ON pr.others;
DROP TABLE pr.others;

-- ---- pseudo_protect() ----
SET ROLE regress_pseudo_owner;
CREATE TABLE pr.staff (id int PRIMARY KEY, email text UNIQUE, name text, phone varchar(20), phone_p text, note text, "Mail ""2""" text);
-- the triggers, as one sees them
CREATE VIEW pr.triggers AS SELECT tgrelid::regclass, tgname, tgenabled, regexp_replace(pg_get_triggerdef(oid), '^.*(BEFORE.*) ON pr.*( FOR EACH ROW.*)$', '\1\2') FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'pr.staff%' ORDER BY tgrelid::regclass::text, tgname;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'deterministic, context="crm, ""x"" \ ''"';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.phone IS 'deterministic, keyring=ring, into=phone_p';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff."Mail ""2""" IS 'random, existing=value';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pr.triggers;
INSERT INTO pr.staff VALUES (1, 'ann@example.com', 'Ann', '555-1', 'planted', 'a note', 'ann');
RESET ROLE;
SELECT id, reidentify(email, 'crm, "x" \ ''') AS email, reidentify(name) AS name, phone, reidentify(phone_p, '', 'ring') AS phone_p, note, reidentify("Mail ""2""") FROM pr.staff;
SET ROLE regress_pseudo_owner;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- a label that changes, one that is new, one that goes
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'deterministic';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff."Mail ""2""" IS NULL;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pr.triggers;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- one that is not as it has to be: WHEN, UPDATE OF, only INSERT
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.staff FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic', 'phone IS deterministic, keyring=ring, into=phone_p', 'note IS random');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE OF email, phone, phone_p, note ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic', 'phone IS deterministic, keyring=ring, into=phone_p', 'note IS random');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic', 'phone IS deterministic, keyring=ring, into=phone_p', 'note IS random');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- and one with one column more
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic', 'phone IS deterministic, keyring=ring, into=phone_p', 'note IS random', 'name IS random');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pr.triggers;
-- how it fires: ALWAYS stays, one that does not fire is enabled
ALTER TABLE pr.staff ENABLE ALWAYS TRIGGER zz_pseudo;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'deterministic';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgenabled FROM pr.triggers;
ALTER TABLE pr.staff DISABLE TRIGGER zz_pseudo;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgenabled FROM pr.triggers;
ALTER TABLE pr.staff DISABLE TRIGGER USER;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'random';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgenabled FROM pr.triggers;
ALTER TABLE pr.staff ENABLE REPLICA TRIGGER zz_pseudo;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgenabled FROM pr.triggers;
-- A labelled column is renamed: the trigger fails closed, and is made anew.
ALTER TABLE pr.staff RENAME email TO mail;
SELECT t.err($$INSERT INTO pr.staff (id, mail) VALUES (2, 'renamed')$$);
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pr.triggers;
INSERT INTO pr.staff (id, mail) VALUES (2, 'renamed');
-- the column that into= names: the label does not follow
ALTER TABLE pr.staff RENAME phone_p TO phone_q;
SELECT t.err($$INSERT INTO pr.staff (id, phone) VALUES (3, 'renamed')$$);
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.phone IS 'deterministic, keyring=ring, into=phone_q';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
INSERT INTO pr.staff (id, phone) VALUES (3, 'renamed');
-- What has been checked when the label was set is checked again.
ALTER TABLE pr.staff ADD CONSTRAINT note_unique UNIQUE (note);
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
ALTER TABLE pr.staff DROP CONSTRAINT note_unique;
ALTER TABLE pr.staff ALTER note TYPE int USING 1;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
ALTER TABLE pr.staff ALTER note TYPE varchar(100);
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'random, keyring=elsewhere';
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.note IS 'random';
-- A column goes, and its label with it; the last one, and the trigger.
ALTER TABLE pr.staff DROP COLUMN note;
SELECT t.err($$INSERT INTO pr.staff (id) VALUES (4)$$);
SELECT * FROM pseudo.pseudo_protect('pr.staff');
INSERT INTO pr.staff (id) VALUES (4);
ALTER TABLE pr.staff DROP COLUMN phone_q;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.phone IS NULL;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.mail IS 'hide';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pr.triggers;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
DROP TABLE pr.staff;

-- Triggers that were written by hand.
CREATE TABLE pr.staff (id int, email text, name text, phone text);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'deterministic, context=crm';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'deterministic, context=crm';
CREATE FUNCTION pr.try_protect(event text, arguments text) RETURNS SETOF text LANGUAGE plpgsql AS
$$
BEGIN
  EXECUTE format('CREATE TRIGGER by_hand %s ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(%s)', event, arguments);
  RETURN NEXT t.err('SELECT pseudo.pseudo_protect(''pr.staff'')');
  RETURN QUERY SELECT '  now ' || tgname || ' ' || regexp_replace FROM pr.triggers;
  DROP TRIGGER IF EXISTS zz_pseudo ON pr.staff;
  DROP TRIGGER by_hand ON pr.staff;
END
$$;
\pset null ''
SELECT a, pr.try_protect('BEFORE INSERT OR UPDATE', a) FROM unnest(ARRAY[
  $$'email', 'name', 'deterministic=true', 'context=crm'$$, $$'name IS deterministic, context=crm', 'email IS deterministic, context=crm'$$, $$'email', 'deterministic=true', 'context=crm'$$,
  $$'email', 'name', 'context=crm'$$, $$'email', 'deterministic=true'$$, $$'email IS deterministic, context=crm, keyring=ring'$$, $$'email IS deterministic, context=crm, existing=keep'$$,
  $$'name IS deterministic, context=crm, into=phone'$$, $$'phone', 'context=it''s'$$, $$'phone IS random, into=id'$$, $$'gone'$$, $$'email IS keep'$$]) AS a;
SELECT e, pr.try_protect(e, $$'email', 'name', 'deterministic=true', 'context=crm'$$) FROM unnest(ARRAY['BEFORE INSERT', 'BEFORE INSERT OR UPDATE OF email', 'BEFORE INSERT OR UPDATE OF email, name']) AS e;
-- with into=, UPDATE OF has to name both columns
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'deterministic, into=phone';
SELECT e, pr.try_protect(e, $$'name IS deterministic, into=phone'$$) FROM unnest(ARRAY['BEFORE INSERT OR UPDATE OF name', 'BEFORE INSERT OR UPDATE OF name, phone']) AS e;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'deterministic, context=crm';
\pset null <NULL>
-- two that together see all; one of them disabled
CREATE TRIGGER on_insert BEFORE INSERT ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
CREATE TRIGGER on_update BEFORE UPDATE ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
INSERT INTO pr.staff VALUES (1, 'email', 'name');
UPDATE pr.staff SET email = 'email 2', name = 'name 2';
ALTER TABLE pr.staff DISABLE TRIGGER on_update;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
DROP TRIGGER on_insert ON pr.staff;
DROP TRIGGER on_update ON pr.staff;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- under our name: what says the same is taken over, what says something else is not
DROP TRIGGER zz_pseudo ON pr.staff;
CREATE TRIGGER zz_pseudo BEFORE INSERT ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('name', 'deterministic=true', 'context=crm');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('name', 'email', 'deterministic=true', 'context=crm');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('name', 'phone', 'deterministic=true', 'context=crm');
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
DROP TRIGGER zz_pseudo ON pr.staff;
CREATE FUNCTION pr.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER zz_pseudo BEFORE INSERT ON pr.staff FOR EACH ROW EXECUTE FUNCTION pr.nothing();
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
-- one that fires later can put values back
ALTER TRIGGER zz_pseudo ON pr.staff RENAME TO zzz_later;
CREATE TRIGGER zzz_after AFTER INSERT ON pr.staff FOR EACH ROW EXECUTE FUNCTION pr.nothing();
SELECT * FROM pseudo.pseudo_protect('pr.staff');
ALTER TABLE pr.staff DISABLE TRIGGER zzz_later;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- tables that inherit
CREATE TABLE pr.staff_2 () INHERITS (pr.staff);
SET client_min_messages = notice;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SET client_min_messages = warning;
SELECT * FROM pseudo.pseudo_protect('pr.staff_2');
DROP TABLE pr.staff CASCADE;

-- Partitions: they follow the root, and have none of their own.
CREATE TABLE pr.staff (id int, place text, email text, email_p text) PARTITION BY LIST (place);
CREATE TABLE pr.staff_a PARTITION OF pr.staff FOR VALUES IN ('a');
CREATE TABLE pr.staff_b PARTITION OF pr.staff FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE pr.staff_b1 PARTITION OF pr.staff_b FOR VALUES FROM (0) TO (10);
CREATE TABLE pr.staff_c (email_p text, email text, place text, id int);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'random, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT r, t.err(format('SELECT pseudo.pseudo_protect(%L)', r)) FROM unnest(ARRAY['pr.staff_a', 'pr.staff_b', 'pr.staff_b1']) AS r;
ALTER TABLE pr.staff ATTACH PARTITION pr.staff_c FOR VALUES IN ('c');
SELECT * FROM pr.triggers;
INSERT INTO pr.staff VALUES (1, 'a', 'ann'), (2, 'b', 'bob'), (3, 'c', 'cid');
UPDATE pr.staff SET place = CASE place WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END;
RESET ROLE;
SELECT tableoid::regclass, id, email, reidentify(email_p) FROM pr.staff ORDER BY id;
SET ROLE regress_pseudo_owner;
-- how it fires in each partition
ALTER TABLE pr.staff_a DISABLE TRIGGER zz_pseudo;
ALTER TABLE pr.staff_b1 ENABLE ALWAYS TRIGGER zz_pseudo;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgrelid, tgenabled FROM pr.triggers;
ALTER TABLE pr.staff_a DISABLE TRIGGER zz_pseudo;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'deterministic, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgrelid, tgenabled FROM pr.triggers;
ALTER TABLE pr.staff ENABLE ALWAYS TRIGGER zz_pseudo;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'random, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgrelid, tgenabled FROM pr.triggers;
-- a trigger that a partition has beside it; one that is detached has none, and no label
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON pr.staff_b FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS random, into=email_p');
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
DROP TRIGGER own ON pr.staff_b;
ALTER TABLE pr.staff DETACH PARTITION pr.staff_c;
SELECT * FROM pr.triggers WHERE tgrelid = 'pr.staff_c'::regclass;
SELECT * FROM pseudo.pseudo_protect('pr.staff_c');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff_c.email IS 'random, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff_c');
-- it has to give up its trigger to be attached again; its label does not count then
SELECT t.err($$ALTER TABLE pr.staff ATTACH PARTITION pr.staff_c FOR VALUES IN ('c')$$);
DROP TRIGGER zz_pseudo ON pr.staff_c;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff_c.email IS 'keep';
ALTER TABLE pr.staff ATTACH PARTITION pr.staff_c FOR VALUES IN ('c');
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT tgrelid, tgenabled FROM pr.triggers;
-- a new partition whose key is a column of pseudonyms
CREATE TABLE pr.staff_d PARTITION OF pr.staff DEFAULT PARTITION BY LIST (email_p);
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
DROP TABLE pr.staff_d;
-- Without any label it does not drop its trigger: labels can be lost in a restore.  The hint's statements work.
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS NULL;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
SELECT count(*) FROM pr.triggers;
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'random, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS NULL;
DROP TRIGGER zz_pseudo ON pr.staff;
SELECT * FROM pseudo.pseudo_protect('pr.staff');
-- with any label it does: that says what is declared
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'random, into=email_p';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'keep';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
SELECT count(*) FROM pr.triggers;
DROP TABLE pr.staff;
-- several columns, some of which are gone; where all are, nothing can be labelled, and it drops the trigger
CREATE TABLE pr.staff (id int, "e mail" text, name text, gone text);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON pr.staff FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('"e mail" IS deterministic, context=it''s', 'gone IS random', 'name IS random, keyring=ring');
ALTER TABLE pr.staff DROP COLUMN gone;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff."e mail" IS 'deterministic, context=it''s';
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.name IS 'random, keyring=ring';
SELECT * FROM pseudo.pseudo_protect('pr.staff');
ALTER TABLE pr.staff DROP COLUMN name, DROP COLUMN "e mail";
SELECT * FROM pseudo.pseudo_protect('pr.staff');
DROP TABLE pr.staff;

-- Relations that are no tables, and for whom it works.
CREATE TABLE pr.staff (id int, email text);
SECURITY LABEL FOR pseudo ON COLUMN pr.staff.email IS 'random';
CREATE VIEW pr.staff_view AS SELECT * FROM pr.staff;
CREATE MATERIALIZED VIEW pr.staff_copy AS SELECT * FROM pr.staff;
SELECT t.err(format('SELECT pseudo.pseudo_protect(%L)', r)) FROM unnest(ARRAY['pr.staff_view', 'pr.staff_copy']) AS r;
RESET ROLE;
CREATE FOREIGN DATA WRAPPER regress_pseudo_wrapper;
CREATE SERVER regress_pseudo_server FOREIGN DATA WRAPPER regress_pseudo_wrapper;
CREATE FOREIGN TABLE pr.staff_foreign (email text) SERVER regress_pseudo_server;
SELECT t.err(format('SELECT pseudo.pseudo_protect(%L)', r)) FROM unnest(ARRAY['pr.staff_foreign', 'pg_catalog.pg_class_oid_index', '1']) AS r;
DROP FOREIGN DATA WRAPPER regress_pseudo_wrapper CASCADE;
GRANT ALL ON pr.staff TO regress_pseudo_writer;
SET ROLE regress_pseudo_writer;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$), t.err($$SELECT pseudo.pseudo_protect('pr.staff_view')$$);
RESET ROLE;
-- the owner's own rights count: CREATE TRIGGER asks for TRIGGER
REVOKE TRIGGER ON pr.staff FROM regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
SELECT t.err($$SELECT pseudo.pseudo_protect('pr.staff')$$);
GRANT TRIGGER ON pr.staff TO regress_pseudo_owner;
-- the search_path does not matter
CREATE FUNCTION pr.pseudonymize_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE pr.pg_trigger ();
SET search_path = pr, pg_catalog;
SELECT * FROM pseudo.pseudo_protect('staff');
SELECT pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger WHERE tgrelid = 'staff'::regclass;
SET search_path = pseudo, public;
SELECT pseudo.pseudo_protect(NULL);
RESET ROLE;

DROP SCHEMA pr CASCADE;
DROP SERVER ring;
DROP SERVER shop;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_owner;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_owner;
DROP OWNED BY regress_pseudo_owner, regress_pseudo_writer;
DROP ROLE regress_pseudo_owner, regress_pseudo_writer;
SELECT t.run(format('cd %s && ls pseudo_test_* | grep -v "^pseudo_test_pseudo.json$" | xargs rm -f', current_setting('data_directory')));
