--
-- pseudo_coverage: each of its finds, what it skips and refuses, and that it runs nothing of a table's owner.
--
\pset format unaligned
\pset tuples_only on
\pset null -
SET client_min_messages = warning;
SET search_path = shop, pseudo, public;
CREATE SCHEMA shop;
-- what is said of the columns of a relation, or of one of them
CREATE FUNCTION t.coverage(of text, one text = NULL) RETURNS TABLE (line text) LANGUAGE sql AS
$$ SELECT format('%s | %s | %s | %s | rows %s: %s + %s older, plaintext %s, unreadable %s', column_name, type, coalesce(label, '-'), coalesce(trigger, '-'),
     coalesce(rows::text, '-'), coalesce(pseudonyms::text, '-'), coalesce(older::text, '-'), coalesce(plaintext::text, '-'), coalesce(unreadable::text, '-'))
     || coalesce(E'\n    elsewhere: ' || array_to_string(elsewhere, ', '), '') || coalesce(E'\n    reason: ' || reason, '') || coalesce(E'\n    hint: ' || hint, '')
     || E'\n    ' || verdict
   FROM pseudo.pseudo_coverage('shop') WHERE relation = of::regclass AND (one IS NULL OR column_name = one) $$;
-- label a column
CREATE FUNCTION t.say(relation text, name text, label text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('SECURITY LABEL FOR pseudo ON COLUMN %s.%I IS %L', relation, name, label); END $$;
SELECT count(*) > 0 FROM pseudo_keyrings;
CREATE TYPE mood AS ENUM ('fine');
CREATE DOMAIN address AS text;
CREATE TABLE people (id int PRIMARY KEY, name text, email text, phone varchar(30), born date, note text, code char(80), home address,
  doc jsonb, raw json, tags text[], bin bytea, feels mood, tiny "char", key uuid, who name, pair shop.mood[], host inet, place point);
INSERT INTO people (id, name, email, phone, note) SELECT n, 'Name ' || n, 'p' || n || '@example.com', '+49 30 12345' || n, 'a note' FROM generate_series(1, 3) n;

-- Before: nothing has a label.
SELECT t.coverage('people');
-- Labels, but no trigger and no conversion.
SELECT t.say('people', 'id', 'keep'), t.say('people', 'phone', 'hide'), t.say('people', 'name', 'random'), t.say('people', 'email', 'deterministic, context=crm');
SELECT t.coverage('people', c) FROM unnest('{id,phone,name,email}'::text[]) c;
-- Triggers, and then the conversion.
CREATE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
CREATE TRIGGER zz_name BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('name');
SELECT t.coverage('people', c) FROM unnest('{name,email}'::text[]) c;
CALL pseudonymize_table('people', '{email}', true, 'crm');
CALL pseudonymize_table('people', '{name}');
SELECT t.coverage('people', c) FROM unnest('{name,email}'::text[]) c;
-- As a check.
SELECT count(*) = 0 FROM pseudo_coverage('shop') WHERE verdict NOT IN ('ok');
SELECT t.say('people', c, 'hide') FROM unnest('{born,note,code,home,doc,raw,tags,bin,feels,tiny,key,who,pair,host,place}'::text[]) c;
SELECT count(*) = 0 FROM pseudo_coverage('shop') WHERE verdict NOT IN ('ok');
SELECT t.say('people', c, NULL) FROM unnest('{note,code,home,doc,raw,tags}'::text[]) c;

--
-- What is found
--
-- A column added later.
ALTER TABLE people ADD fax text;
SELECT t.coverage('people', 'fax');
ALTER TABLE people DROP fax;
-- A trigger that is gone, or does not see all that is written.
ALTER TABLE people DISABLE TRIGGER zz_email;
SELECT t.coverage('people', 'email');
ALTER TABLE people ENABLE REPLICA TRIGGER zz_email;
SELECT t.coverage('people', 'email');
ALTER TABLE people ENABLE ALWAYS TRIGGER zz_email;
SELECT t.coverage('people', 'email');
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
SELECT t.coverage('people', 'email');
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT OR UPDATE OF name ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
SELECT t.coverage('people', 'email');
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
SELECT t.coverage('people', 'email');
CREATE TRIGGER zz_email_2 BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
SELECT t.coverage('people', 'email');
DROP TRIGGER zz_email ON people;
DROP TRIGGER zz_email_2 ON people;
SELECT t.coverage('people', 'email');
-- Another trigger that fires after it; not one before it, nor one of PostgreSQL's own, nor one that is off.
CREATE TABLE later (id int, email text);
SELECT t.say('later', 'email', 'deterministic'), t.say('later', 'id', 'keep');
CREATE FUNCTION shop.put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := 'plain'; RETURN NEW; END $$;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON later FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true');
CREATE TRIGGER a_first BEFORE INSERT OR UPDATE ON later FOR EACH ROW EXECUTE FUNCTION put_back();
CREATE TRIGGER zzz_own BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER zzz_after AFTER UPDATE ON later FOR EACH ROW EXECUTE FUNCTION put_back();
SELECT verdict, reason FROM pseudo_coverage('shop') WHERE relation = 'later'::regclass AND column_name = 'email';
CREATE TRIGGER zzz_put BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION put_back();
SELECT verdict, reason FROM pseudo_coverage('shop') WHERE relation = 'later'::regclass AND column_name = 'email';
SELECT t.err($$SELECT pseudo_create_view('later', 'later_masked', 'current_user')$$);
ALTER TABLE later DISABLE TRIGGER zzz_put;
SELECT verdict, reason FROM pseudo_coverage('shop') WHERE relation = 'later'::regclass AND column_name = 'email';
DROP TABLE later;
DROP FUNCTION shop.put_back;
-- A trigger that says otherwise than the label, and one of a column that is to stay as it is.
CREATE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=erp');
SELECT t.coverage('people', 'email');
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'phone', 'deterministic=true', 'context=crm');
SELECT t.coverage('people', c) FROM unnest('{email,phone}'::text[]) c;
-- One whose arguments cannot be read: it refuses all that is written.
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'existing=maybe');
SELECT relation, column_name, verdict, reason FROM pseudo_coverage('shop');
CREATE OR REPLACE TRIGGER zz_email BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
-- A value pasted with a newline, one that opens under nothing, and a NULL.
ALTER TABLE people DISABLE TRIGGER zz_email;
INSERT INTO people (id, email) VALUES (4, pseudonymize('d@example.com', true, 'crm') || E'\n'), (5, 'Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E='), (6, NULL);
ALTER TABLE people ENABLE TRIGGER zz_email;
SELECT t.coverage('people', 'email');
-- With existing=value, what looks like a pseudonym is a value.
SELECT t.say('people', 'email', 'deterministic, context=crm, existing=value');
SELECT t.coverage('people', 'email');
SELECT t.say('people', 'email', 'deterministic, context=crm');
DELETE FROM people WHERE id > 3;
-- Another mode, another context.
ALTER TABLE people DISABLE TRIGGER USER;
INSERT INTO people (id, email, name) VALUES (4, pseudonymize('d@example.com', false, 'crm'), pseudonymize('D', true)), (5, pseudonymize('e@example.com', true), pseudonymize('E', false, 'crm'));
ALTER TABLE people ENABLE TRIGGER USER;
SELECT t.coverage('people', c) FROM unnest('{name,email}'::text[]) c;
DELETE FROM people WHERE id > 3;
-- The value of a labelled column in another column of the same row: as it is, or in a document or an array, as a key too.
UPDATE people SET note = 'p1@example.com', doc = '{"a": [{"mail": "p1@example.com"}], "p1@example.com": 7}', raw = '{"a": "p1\u0040example.com", "b": ["x"]}', tags = '{x,p1@example.com,NULL}' WHERE id = 1;
UPDATE people SET note = 'p1@example.com', doc = '{"a": "p1@example.com"}', raw = '["p1@example.com"]', tags = '{p1@example.com}', code = 'p2@example.com', home = 'p2@example.com' WHERE id = 2;
SELECT t.coverage('people', c) FROM unnest('{note,code,home,doc,raw,tags}'::text[]) c;
-- ... also where it has not been converted, and of a random column only then: a random pseudonym is never compared.
UPDATE people SET note = 'Name 3' WHERE id = 3;
SELECT t.coverage('people', 'note');
ALTER TABLE people DISABLE TRIGGER USER;
INSERT INTO people (id, name, note) VALUES (4, 'Dora', 'Dora'), (5, 'E', 'E');
ALTER TABLE people ENABLE TRIGGER USER;
SELECT t.coverage('people', 'note');
DELETE FROM people WHERE id > 3;
UPDATE people SET note = 'a note', doc = NULL, raw = NULL, tags = NULL, code = NULL, home = NULL;
-- A copy, and documents with pseudonyms in them, of whatever label in the database.
CREATE TABLE copy AS SELECT id, name, email || '' AS mail, jsonb_build_object('e', email, 'x', 1) AS doc, ARRAY[email, 'y', NULL] AS tags FROM people;
SELECT t.coverage('copy');
DROP TABLE copy;
-- A partition that was detached.
CREATE TABLE visits (day date, who text, place text) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-07-01') PARTITION BY LIST (place);
CREATE TABLE visits_1_a PARTITION OF visits_1 DEFAULT;
CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
SELECT t.say('visits', 'who', 'random, context="a, b"'), t.say('visits', 'day', 'keep'), t.say('visits', 'place', 'keep');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON visits FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('who', 'context=a, b');
INSERT INTO visits VALUES ('2026-02-03', 'Alice', 'here'), ('2026-08-01', 'Bruno', 'there');
SELECT relation, column_name, label, trigger, rows, pseudonyms, verdict, reason FROM pseudo_coverage('shop') WHERE relation::text LIKE 'visits%' AND column_name = 'who';
ALTER TABLE visits DETACH PARTITION visits_2;
SELECT t.coverage('visits_2', 'who');
-- The trigger of one partition does not do for the next one.
DROP TRIGGER zz_pseudo ON visits;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON visits_1_a FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('who', 'context=a, b');
SELECT relation, column_name, trigger, verdict, reason FROM pseudo_coverage('shop') WHERE relation::text LIKE 'visits%' AND column_name = 'who';
DROP TABLE visits, visits_2;
-- Values under an old key: they are counted.  Under a key that is off they do not open.
SELECT t.keyring('shopkeys');
SELECT pseudo_create_key('shopkeys'), pseudo_create_key('shopkeys');
CREATE TABLE turning (a text, b text);
SELECT t.say('turning', 'a', 'deterministic, keyring=shopkeys'), t.say('turning', 'b', 'random, keyring=shopkeys');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON turning FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a', 'keyring=shopkeys', 'deterministic=true');
CREATE TRIGGER zz_pseudo_b BEFORE INSERT OR UPDATE ON turning FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('b', 'keyring=shopkeys');
INSERT INTO turning SELECT 'x' || n, 'x' FROM generate_series(1, 2) n;
SELECT pseudo_set_primary_key('shopkeys', 2);
INSERT INTO turning SELECT 'x' || n, 'x' FROM generate_series(3, 5) n;
SELECT t.coverage('turning');
SELECT pseudo_set_key_status('shopkeys', 1, 'disabled');
SELECT t.coverage('turning');
DROP TABLE turning;
-- A target, and its source.
CREATE TABLE orders (id int, email text, email_p text, name text, name_p text);
SELECT t.say('orders', 'email', 'deterministic, into=email_p'), t.say('orders', 'name', 'random, into=name_p'), t.say('orders', 'id', 'keep');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic, into=email_p', 'name IS random, into=name_p');
INSERT INTO orders (id, email, name) SELECT n, 'p' || n || '@example.com', 'N' || n FROM generate_series(1, 3) n;
INSERT INTO orders VALUES (4);
INSERT INTO orders (id, email) VALUES (5, pseudonymize('x', true));	-- what looks like a pseudonym is a value, too
SELECT t.coverage('orders');
DELETE FROM orders WHERE id = 5;
ALTER TABLE orders DISABLE TRIGGER USER;
-- a target of somebody else, none, one too many; of random ones only the last two can be told
UPDATE orders SET email_p = pseudonymize('p1@example.com', true), name_p = pseudonymize('N1') WHERE id = 2;
UPDATE orders SET email_p = NULL, name_p = NULL WHERE id = 3;
UPDATE orders SET email_p = pseudonymize('x', true), name_p = pseudonymize('x') WHERE id = 4;
ALTER TABLE orders ENABLE TRIGGER USER;
SELECT t.coverage('orders', c) FROM unnest('{email,email_p,name_p}'::text[]) c;
ALTER TABLE orders DISABLE TRIGGER USER;
UPDATE orders SET email_p = email WHERE id = 1;
SELECT t.coverage('orders', c) FROM unnest('{email,email_p,name_p}'::text[]) c;
DROP TABLE orders;
-- Few values among many.
CREATE TABLE cities (city text, street text);
SELECT t.say('cities', 'city', 'deterministic'), t.say('cities', 'street', 'deterministic');
INSERT INTO cities SELECT pseudonymize('City ' || n % 7, true), pseudonymize('Street ' || n % 500, true) FROM generate_series(1, 1500) n;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON cities FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('city', 'street', 'deterministic=true');
SELECT t.coverage('cities');
DELETE FROM cities WHERE ctid IN (SELECT ctid FROM cities LIMIT 501);
SELECT t.coverage('cities', 'city');
DROP TABLE cities;
-- Shapes and names that look personal: a hint.
CREATE TABLE shapes ("EMail_2" int, firstname text, v text);
INSERT INTO shapes (v) VALUES ('a@example.com'), ('a b@example.com'), ('a@b@example.com'), ('@example.com'), ('a@example'), ('a@.com'), ('a@example.'), ('+49 (30) 123-456'), ('030/1234567'),
  ('+49 30'), ('0123456789012345'), ('2026-01-01'), ('DE89 3704 0044 0532 0130 00'), ('GB82WEST12345698765432'), ('GB82WEST12345698765433'), ('DE89370400440532013000370400440532013000'), (''), ('x');
SELECT t.coverage('shapes');
DROP TABLE shapes;

--
-- Where else
--
CREATE TABLE log (line text);
CREATE FUNCTION shop.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE INDEX people_email ON people (email);
CREATE INDEX people_lower ON people (id, lower(email));
CREATE INDEX people_part ON people (id) WHERE email <> '';
CREATE STATISTICS people_stats ON email, note FROM people;
ALTER TABLE people ADD domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED;
CREATE VIEW people_view AS SELECT id, email FROM people;
CREATE MATERIALIZED VIEW people_mat AS SELECT email AS e FROM people_view;
CREATE VIEW people_count AS SELECT count(*) FROM people_mat;
CREATE TRIGGER audit AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION shop.audit();
CREATE RULE note AS ON INSERT TO people DO ALSO INSERT INTO log VALUES (NEW.note);
SET client_min_messages = error;	-- of wal_level
CREATE PUBLICATION regress_pseudo_some FOR TABLE people (id, email);
CREATE PUBLICATION regress_pseudo_shop FOR TABLES IN SCHEMA shop;
SET client_min_messages = warning;
ALTER TABLE people ADD UNIQUE (email);
CREATE TABLE mails (id int, email text REFERENCES people (email));
ANALYZE people;
SELECT t.coverage('people', c) FROM unnest('{id,name,email,phone,note}'::text[]) c;
-- A materialized view has no trigger; it may have labels.
SELECT t.coverage('people_mat');
SELECT t.say('people_mat', 'e', 'deterministic, context=crm');
SELECT t.coverage('people_mat');
REFRESH MATERIALIZED VIEW people_mat WITH NO DATA;
SELECT t.coverage('people_mat');
DROP MATERIALIZED VIEW people_mat CASCADE;
DROP PUBLICATION regress_pseudo_some, regress_pseudo_shop;
SELECT t.coverage('people', 'domain');	-- since PostgreSQL 18, such a column is published only where the publication says so
DROP TABLE mails, log CASCADE;

--
-- What is not looked at, and what is refused
--
-- A foreign table is not asked.
CREATE FOREIGN DATA WRAPPER regress_pseudo_fdw;
CREATE SERVER regress_pseudo_server FOREIGN DATA WRAPPER regress_pseudo_fdw;
CREATE FOREIGN TABLE remote (id int, email text) SERVER regress_pseudo_server;
SELECT t.coverage('remote');
SELECT t.say('remote', 'email', 'random'), t.say('remote', 'id', 'keep');
SELECT t.coverage('remote');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON remote FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email');
SELECT t.coverage('remote', 'email');
DROP FOREIGN DATA WRAPPER regress_pseudo_fdw CASCADE;
-- A sample reads some blocks, one at least.
CREATE TABLE sampled (email text);
INSERT INTO sampled SELECT repeat('x', 500) FROM generate_series(1, 3000);
SELECT rows BETWEEN 15 AND 2985 FROM pseudo_coverage('shop', 50) WHERE relation = 'sampled'::regclass;
SELECT rows BETWEEN 1 AND 2985 FROM pseudo_coverage('shop', 1e-9) WHERE relation = 'sampled'::regclass;
SELECT rows FROM pseudo_coverage('shop', sample => 100) WHERE relation = 'sampled'::regclass;
TRUNCATE sampled;
SELECT rows, verdict FROM pseudo_coverage('shop', 10) WHERE relation = 'sampled'::regclass;
DROP TABLE sampled;
SELECT t.err($$SELECT FROM pseudo_coverage('shop', 0)$$);
SELECT t.err($$SELECT FROM pseudo_coverage('shop', 100.1)$$);
SELECT t.err($$SELECT FROM pseudo_coverage('shop', 'NaN')$$);
SELECT t.err($$SELECT FROM pseudo_coverage('shop', NULL)$$);
SELECT t.err($$SELECT FROM pseudo_coverage('nowhere')$$);
-- Without a schema, all but the system's are reported; the extension's table never.
CREATE TEMPORARY TABLE mine (a text);
SELECT bool_or(relation = 'people'::regclass), bool_or(relation = 'mine'::regclass), bool_or(relation = 'pg_class'::regclass), bool_or(relation = 'pseudo_progress'::regclass) FROM pseudo_coverage();
SELECT count(*) FROM pseudo_coverage('pseudo');
SELECT count(*) > 0 FROM pseudo_coverage('pg_catalog');
SELECT count(*) FROM pseudo_coverage('pg_toast');
DROP TABLE mine;
-- A table without columns, and a dropped column.
CREATE TABLE bare ();
CREATE TABLE rest (a text, b text);
INSERT INTO rest VALUES ('x', 'y');
ALTER TABLE rest DROP a;
SELECT t.coverage('bare'), t.coverage('rest');
DROP TABLE bare, rest;
-- Long values, in TOAST, compressed and not, are looked at like others.
CREATE TABLE long (email text, copy text);
ALTER TABLE long ALTER copy SET STORAGE EXTERNAL;
INSERT INTO long SELECT pseudonymize(v, true), v FROM (SELECT n || string_agg(md5(n::text || i), '') AS v FROM generate_series(1, 100) n, generate_series(1, n * 30) i GROUP BY n) s;
INSERT INTO long SELECT repeat('abc', 100000), repeat('abc', 100000);
SELECT t.say('long', 'email', 'deterministic');
SELECT t.coverage('long');
DROP TABLE long;
-- An old label that cannot be read is a matter of its table.
CREATE TABLE odd (a text);
SELECT t.say('odd', 'a', 'random');
UPDATE pg_seclabel SET label = 'rondom' WHERE objoid = 'odd'::regclass;
SELECT relation, column_name, verdict, reason FROM pseudo_coverage('shop') WHERE relation = 'odd'::regclass;
DROP TABLE odd;

--
-- Rights
--
CREATE ROLE regress_pseudo_checker;
GRANT USAGE ON SCHEMA pseudo, shop TO regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', c) FROM unnest('{id,name,note,doc}'::text[]) c;
RESET ROLE;
GRANT SELECT ON people TO regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', c) FROM unnest('{id,name,note,doc}'::text[]) c;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', 'name');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', 'name');
RESET ROLE;
-- of some columns
REVOKE SELECT ON people FROM regress_pseudo_checker;
GRANT SELECT (name, note) ON people TO regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', c) FROM unnest('{name,email,note}'::text[]) c;
RESET ROLE;
REVOKE USAGE ON SCHEMA shop FROM regress_pseudo_checker;
SET ROLE regress_pseudo_checker;
SELECT column_name, rows, verdict, reason FROM pseudo.pseudo_coverage('shop') WHERE column_name IN ('name', 'note');
RESET ROLE;
GRANT USAGE ON SCHEMA shop TO regress_pseudo_checker;
-- row-level security
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON people USING (id = 1);
SET ROLE regress_pseudo_checker;
SELECT t.coverage('people', 'name');
SET row_security = off;
SELECT t.coverage('people', 'name');
RESET row_security;
RESET ROLE;
SELECT t.coverage('people', 'name');
DROP POLICY one ON people;
ALTER TABLE people DISABLE ROW LEVEL SECURITY;
-- a keyring that is not there
SELECT t.say('people', 'name', 'random, keyring=elsewhere');
SELECT t.coverage('people', 'name');
SELECT t.say('people', 'name', 'random');

--
-- Nothing of an owner's runs, though a plain SELECT would run some of it.
--
SET max_parallel_workers_per_gather = 0;	-- to count what runs
SET max_parallel_maintenance_workers = 0;
CREATE ROLE regress_pseudo_lurer;
GRANT CREATE, USAGE ON SCHEMA shop TO regress_pseudo_lurer;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_lurer;
SET ROLE regress_pseudo_lurer;
CREATE SEQUENCE shop.lured;	-- counts what runs, and is not rolled back
GRANT USAGE ON SEQUENCE shop.lured TO PUBLIC;
CREATE FUNCTION shop.lure(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('shop.lured'); RETURN true; END $$;
CREATE FUNCTION shop.lure_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM shop.lure('a trigger'); RETURN NEW; END $$;
CREATE FUNCTION shop.lure_equal(a text, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('shop.lured'); RETURN false; END $$;
CREATE OPERATOR shop.= (LEFTARG = text, RIGHTARG = text, FUNCTION = shop.lure_equal);
CREATE FUNCTION shop.length(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('shop.lured'); RETURN 0; END $$;
CREATE DOMAIN lured_text AS text CHECK (shop.lure('a domain'));
CREATE DOMAIN lured_doc AS jsonb CHECK (shop.lure('a domain of a document'));
CREATE TYPE lured_row AS (a lured_text, b text);
CREATE TABLE lure (id int, email lured_text, doc lured_doc, docs lured_text[], line lured_row, note text DEFAULT shop.lure('a default')::text CHECK (shop.lure('a check')),
  made text GENERATED ALWAYS AS (CASE WHEN shop.lure('a generated column' || id) THEN 'x' END) STORED);
CREATE INDEX ON lure ((shop.lure('an index')), (shop.lure(email)));
CREATE INDEX ON lure (id) WHERE shop.lure('a predicate');
CREATE STATISTICS lure_stats ON (shop.lure('statistics')), (shop.lure(email)) FROM lure;
CREATE TRIGGER a_lure BEFORE INSERT OR UPDATE ON lure FOR EACH ROW WHEN (shop.lure('a condition')) EXECUTE FUNCTION shop.lure_trigger();
CREATE RULE a_rule AS ON UPDATE TO lure WHERE shop.lure('a rule') DO ALSO SELECT shop.lure('an action');
CREATE VIEW lure_view AS SELECT shop.lure('a view'), email FROM lure;
CREATE POLICY p ON lure USING (shop.lure('a policy'));
ALTER TABLE lure ENABLE ROW LEVEL SECURITY;
CREATE TABLE lure_parts (id int, email text) PARTITION BY LIST ((shop.lure('a partition key') AND id > 0));
CREATE TABLE lure_part PARTITION OF lure_parts FOR VALUES IN (true);
INSERT INTO lure VALUES (1, 'a@example.com', '{"a": "a@example.com"}', '{a@example.com}', ROW('a@example.com', 'b'), 'a@example.com');
INSERT INTO lure_parts VALUES (1, 'a@example.com');
RESET ROLE;
ANALYZE lure;
SET ROLE regress_pseudo_lurer;
SELECT t.say('lure', 'email', 'deterministic');
RESET ROLE;
SELECT last_value AS before FROM shop.lured \gset
SELECT count(*) FROM (SELECT id FROM lure OFFSET 0) s;
SELECT last_value > :before AS some_runs FROM shop.lured;
SELECT last_value AS before FROM shop.lured \gset
SELECT t.coverage('lure');
SELECT t.coverage('lure_parts', 'email');
SELECT t.coverage('lure_part', 'email');
SELECT count(*) > 0 FROM pseudo_coverage();
SELECT count(*) > 0 FROM pseudo_coverage(sample => 50);
SELECT last_value = :before AS nothing_runs FROM shop.lured;
-- A type of somebody's, with functions of its own, is named without its modifier and not looked into.
CREATE TYPE loud;
CREATE FUNCTION shop.loud_in(cstring, oid, int) RETURNS loud LANGUAGE internal IMMUTABLE STRICT AS 'varcharin';
CREATE FUNCTION shop.loud_out(loud) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
CREATE TYPE loud (INPUT = shop.loud_in, OUTPUT = shop.loud_out, TYPMOD_IN = varchartypmodin, TYPMOD_OUT = varchartypmodout, LIKE = varchar);
CREATE TABLE noise (a loud(20), b loud);
INSERT INTO noise VALUES ('a@example.com', 'x');
SELECT t.coverage('noise');
SET client_min_messages = error;
DROP SCHEMA shop CASCADE;
SET client_min_messages = warning;
SELECT count(*) FROM pg_seclabels WHERE provider = 'pseudo';
DROP SERVER shopkeys;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_checker;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_checker;
DROP OWNED BY regress_pseudo_checker, regress_pseudo_lurer;
DROP ROLE regress_pseudo_checker, regress_pseudo_lurer;
DROP FUNCTION t.coverage, t.say;
