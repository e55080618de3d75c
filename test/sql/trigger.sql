--
-- The trigger: what is written to a column becomes a pseudonym, once.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_owner;
CREATE ROLE regress_pseudo_writer;
CREATE SCHEMA tr;
GRANT CREATE, USAGE ON SCHEMA tr TO regress_pseudo_owner;
GRANT USAGE ON SCHEMA tr, pseudo TO regress_pseudo_writer, regress_pseudo_owner;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_owner;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_owner;
SELECT t.keyring('ring');
SELECT pseudo_create_key('ring');
SET ROLE regress_pseudo_owner;
CREATE TABLE tr.people (id int PRIMARY KEY, dropped int, email text UNIQUE, note varchar(100), plain text);
ALTER TABLE tr.people DROP COLUMN dropped;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'context=crm');
CREATE TRIGGER pseudo_note BEFORE INSERT OR UPDATE ON tr.people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('note');
GRANT SELECT, INSERT, UPDATE, DELETE ON tr.people TO regress_pseudo_writer;
RESET ROLE;
-- what a row is, for one who may know
CREATE VIEW tr.clear AS SELECT id, reidentify(email, 'crm') AS email, email = pseudonymize(reidentify(email, 'crm'), true, 'crm') AS deterministic, reidentify(note) AS note, plain FROM tr.people;
-- A writer needs no right of their own; NULL and the empty string; COPY.
SET ROLE regress_pseudo_writer;
SELECT t.err($$SELECT pseudonymize('x', true)$$);
INSERT INTO tr.people VALUES (1, 'alice@example.com', 'first', 'as it is'), (2, NULL, '', NULL);
INSERT INTO tr.people SELECT n, n || '@example.com', n, n FROM generate_series(3, 5) n;
COPY tr.people FROM STDIN;
6	six@example.com	6	\N
7	\N	\N	7
\.
RESET ROLE;
SELECT * FROM tr.clear ORDER BY id;
SELECT count(*) FROM tr.people WHERE email LIKE '%@%' OR note ~ '^.{0,9}$';
-- An UPDATE leaves what is equal to OLD alone, also a pseudonym that is written back; else it makes one.
CREATE TEMPORARY TABLE before AS SELECT * FROM tr.people;
SET ROLE regress_pseudo_writer;
UPDATE tr.people SET plain = 'changed' WHERE id < 4;
UPDATE tr.people SET email = email, note = note || '';
UPDATE tr.people SET email = 'new@example.com', note = 'second' WHERE id = 1;
UPDATE tr.people SET email = NULL WHERE id = 6;
UPDATE tr.people SET email = 'seven@example.com' WHERE id = 7;
RESET ROLE;
SELECT p.id, p.email IS NOT DISTINCT FROM b.email, p.note IS NOT DISTINCT FROM b.note FROM tr.people p JOIN before b USING (id) ORDER BY id;
SELECT * FROM tr.clear ORDER BY id;
-- Unique: the same value twice is seen.
\set VERBOSITY sqlstate
INSERT INTO tr.people VALUES (8, 'seven@example.com');
\set VERBOSITY default
-- ON CONFLICT: EXCLUDED has pseudonyms, which are not made again; the row that is there may change too.
SET ROLE regress_pseudo_writer;
INSERT INTO tr.people VALUES (1, 'upsert@example.com', 'third'), (9, 'nine@example.com', 'ninth') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, note = EXCLUDED.note;
INSERT INTO tr.people VALUES (10, 'upsert@example.com', 'fourth') ON CONFLICT (email) DO UPDATE SET note = EXCLUDED.note, plain = 'upserted';
INSERT INTO tr.people VALUES (11, 'upsert@example.com', 'none') ON CONFLICT DO NOTHING;
INSERT INTO tr.people VALUES (9, 'other@example.com', 'x') ON CONFLICT (id) DO UPDATE SET email = 'direct@example.com', note = 'fifth';
MERGE INTO tr.people p USING (VALUES (9, 'merged@example.com'), (12, 'twelve@example.com')) AS s (id, email) ON p.id = s.id WHEN MATCHED THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.email);
RESET ROLE;
SELECT * FROM tr.clear WHERE id IN (1, 9, 10, 11, 12) ORDER BY id;
-- A pseudonym that a writer has seen cannot be planted: not by INSERT, UPDATE, COPY, ON CONFLICT, nor out of another row of the statement.
SELECT email AS seen FROM tr.people WHERE id = 5 \gset
SET ROLE regress_pseudo_writer;
SELECT t.err(format('INSERT INTO tr.people VALUES (20, %L)', :'seen'));
SELECT t.err(format('UPDATE tr.people SET email = %L WHERE id = 1', :'seen'));
SELECT t.err(format('UPDATE tr.people SET note = %L WHERE id = 1', :'seen'));
SELECT t.err(format('INSERT INTO tr.people VALUES (1, %L) ON CONFLICT (id) DO UPDATE SET email = %1$L', 'mine@example.com', :'seen'));
SELECT t.err(format('INSERT INTO tr.people VALUES (1, %L) ON CONFLICT (id) DO UPDATE SET email = %L', 'mine@example.com', :'seen'));
SELECT t.err('INSERT INTO tr.people VALUES (1) ON CONFLICT (id) DO UPDATE SET email = (SELECT email FROM tr.people WHERE id = 5)');
SELECT t.err('WITH u AS (UPDATE tr.people SET plain = plain WHERE id = 5 RETURNING email) INSERT INTO tr.people SELECT 20, email FROM u');
SELECT t.err('WITH d AS (DELETE FROM tr.people WHERE id = 5 RETURNING email) INSERT INTO tr.people SELECT 20, email FROM d');
SELECT t.err('UPDATE tr.people p SET note = q.note FROM tr.people q WHERE p.id = 1 AND q.id = 5');
SELECT t.err('UPDATE tr.people SET note = email WHERE id = 5');
RESET ROLE;
-- nor by the owner or a superuser: nothing is encrypted twice unasked
SELECT t.err(format('INSERT INTO tr.people VALUES (20, %L)', :'seen'));
SELECT t.err(format('INSERT INTO tr.people VALUES (20, %L)', pseudonymize('x', true, '', 'ring')));
-- nor through MERGE, a cursor, a view
CREATE VIEW tr.view AS SELECT id, email FROM tr.people;
GRANT SELECT, INSERT, UPDATE ON tr.view TO regress_pseudo_writer;
SET ROLE regress_pseudo_writer;
SELECT t.err(format('MERGE INTO tr.people p USING (VALUES (1)) AS s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET email = %L', :'seen'));
SELECT t.err(format('MERGE INTO tr.people p USING (VALUES (20)) AS s (id) ON p.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, %L)', :'seen'));
SELECT t.err(format('DO $$DECLARE c CURSOR FOR SELECT * FROM tr.people WHERE id = 1 FOR UPDATE; BEGIN OPEN c; MOVE c; UPDATE tr.people SET email = %L WHERE CURRENT OF c; END$$', :'seen'));
SELECT t.err(format('INSERT INTO tr.view VALUES (20, %L)', :'seen'));
SELECT t.err(format('UPDATE tr.view SET email = %L WHERE id = 1', :'seen'));
RESET ROLE;
DROP VIEW tr.view;
-- nor by two triggers of one column; and a column that is renamed is not forgotten
CREATE TRIGGER pseudo_note2 BEFORE INSERT OR UPDATE ON tr.people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('note');
SELECT t.err($$INSERT INTO tr.people VALUES (20, NULL, 'x')$$);
DROP TRIGGER pseudo_note2 ON tr.people;
ALTER TABLE tr.people RENAME note TO remark;
SELECT t.err($$INSERT INTO tr.people VALUES (20, NULL, 'x')$$);
ALTER TABLE tr.people RENAME remark TO note;
-- What looks like one: canonical base64 of 28 bytes or more.
SELECT t.err(format('INSERT INTO tr.people (id, note) VALUES (%s, %L)', 100 + n, v)), length(v) FROM (VALUES (1, repeat('a', 36)), (2, repeat('a', 40)), (3, repeat('a', 41)), (4, repeat('a', 39) || '='), (5, repeat('a', 38) || 'A='), (6, repeat('a', 37) || 'Q=='), (7, repeat('a', 37) || 'a=='), (8, repeat('a', 39) || '-'), (9, repeat(' ', 40))) AS s (n, v) ORDER BY n;
-- existing=keep: an authentic one stays, where one with the privileges of the owner writes.
SET ROLE regress_pseudo_owner;
CREATE TABLE tr.kept (id int, email text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.kept FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'existing=keep', 'context=crm', 'deterministic=on');
GRANT SELECT, INSERT, UPDATE ON tr.kept TO regress_pseudo_writer;
INSERT INTO tr.kept VALUES (1, :'seen'), (2, 'b@example.com');
SELECT t.err(format('INSERT INTO tr.kept VALUES (3, %L)', translate(:'seen', 'aA', 'Aa')));
SELECT t.err(format('INSERT INTO tr.kept VALUES (3, %L)', repeat('A', 60)));
SET ROLE regress_pseudo_writer;
SELECT t.err(format('INSERT INTO tr.kept VALUES (3, %L)', :'seen'));
SELECT t.err(format('UPDATE tr.kept SET email = %L WHERE id = 2', :'seen'));
INSERT INTO tr.kept VALUES (4, 'd@example.com');
RESET ROLE;
INSERT INTO tr.kept VALUES (5, :'seen');
SELECT t.err(format('INSERT INTO tr.kept VALUES (6, %L)', pseudonymize('another context', true)));
SELECT id, reidentify(email, 'crm') FROM tr.kept ORDER BY id;
-- the privileges are those of current_user: by membership, unless it does not inherit, by SET ROLE, in a SECURITY DEFINER function
CREATE FUNCTION tr.as_owner(value text) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO tr.kept VALUES (7, value)';
ALTER FUNCTION tr.as_owner OWNER TO regress_pseudo_owner;
SET ROLE regress_pseudo_writer;
SELECT tr.as_owner(:'seen');
RESET ROLE;
GRANT regress_pseudo_owner TO regress_pseudo_writer;
SET ROLE regress_pseudo_writer;
INSERT INTO tr.kept VALUES (8, :'seen');
RESET ROLE;
CREATE ROLE regress_pseudo_noinherit NOINHERIT IN ROLE regress_pseudo_owner;
GRANT USAGE ON SCHEMA tr, pseudo, t TO regress_pseudo_noinherit;
GRANT INSERT ON tr.kept TO regress_pseudo_noinherit;
SET SESSION AUTHORIZATION regress_pseudo_noinherit;
SELECT t.err(format('INSERT INTO tr.kept VALUES (9, %L)', :'seen'));
SET ROLE regress_pseudo_owner;
INSERT INTO tr.kept VALUES (9, :'seen');
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_pseudo_noinherit;
DROP ROLE regress_pseudo_noinherit;
REVOKE regress_pseudo_owner FROM regress_pseudo_writer;
SELECT id, reidentify(email, 'crm') FROM tr.kept WHERE id > 6 ORDER BY id;
-- One under a disabled key is refused, and is not encrypted twice.
CREATE TABLE tr.ring (email text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.ring FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'existing=keep', 'keyring=ring');
CREATE TEMPORARY TABLE old AS SELECT pseudonymize('under key 1', keyring => 'ring') AS p;
SELECT pseudo_create_key('ring', make_primary => true);
INSERT INTO tr.ring SELECT p FROM old;
SELECT pseudo_set_key_status('ring', 1, 'disabled');
SELECT t.err('INSERT INTO tr.ring SELECT p FROM old');
INSERT INTO tr.ring VALUES ('under key 2');
SELECT pseudo_set_key_status('ring', 1, 'enabled');
SELECT reidentify(email, keyring => 'ring'), pseudonym_key_id(email) FROM tr.ring ORDER BY 1;
DROP TABLE tr.ring;
-- existing=value: columns of look-alikes; what comes back by ON CONFLICT is not made again.
CREATE TABLE tr.hashes (id int PRIMARY KEY, hash text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.hashes FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('hash', 'existing=value');
INSERT INTO tr.hashes VALUES (1, repeat('0123456789', 4)), (2, repeat('abcd', 16));
INSERT INTO tr.hashes VALUES (1, repeat('beef', 10)) ON CONFLICT (id) DO UPDATE SET hash = EXCLUDED.hash;
UPDATE tr.hashes SET hash = hash WHERE id = 2;
SELECT id, reidentify(hash) FROM tr.hashes ORDER BY id;
-- The rights are those of the table's owner, looked at when a value needs them.
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_owner;
SELECT t.err($$INSERT INTO tr.people (id, email) VALUES (30, 'x')$$);
INSERT INTO tr.people (id, plain) VALUES (30, 'no value to pseudonymize');
UPDATE tr.people SET plain = 'none either' WHERE id = 5;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_owner;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_owner;
SELECT t.err($$INSERT INTO tr.people (id, email) VALUES (31, 'x')$$);
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_owner;
PREPARE ins AS INSERT INTO tr.people (id, email) VALUES ($1, $2);
EXECUTE ins (32, 'thirty-two');
ALTER TABLE tr.people OWNER TO regress_pseudo_writer;
SELECT t.err($$EXECUTE ins (33, 'x')$$);
ALTER TABLE tr.people OWNER TO regress_pseudo_owner;
GRANT SELECT, INSERT, UPDATE ON tr.people TO regress_pseudo_writer;
EXECUTE ins (34, 'thirty-four');
SELECT id, email FROM tr.clear WHERE id >= 30 ORDER BY id;
-- their own trigger on their own table gives a role without rights nothing
GRANT CREATE ON SCHEMA tr TO regress_pseudo_writer;
SET ROLE regress_pseudo_writer;
CREATE TABLE tr.mine (email text);
CREATE TRIGGER pseudo BEFORE INSERT ON tr.mine FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
SELECT t.err($$INSERT INTO tr.mine VALUES ('guess@example.com')$$);
RESET ROLE;
DROP TABLE tr.mine;
-- Types: varchar, char, domains; too narrow; none that is no string.
CREATE DOMAIN tr.email AS varchar(80) CHECK (VALUE !~ '@');
CREATE DOMAIN tr.lower AS text CHECK (VALUE = lower(VALUE));
CREATE TABLE tr.types (v varchar(60), c char(60), d tr.email, narrow varchar(43), bad tr.lower, b "char", n name, i int, a text[], j jsonb, g text GENERATED ALWAYS AS (upper(v)) STORED, "odd = name" text);
CREATE FUNCTION tr.try(arguments text, statement text) RETURNS text LANGUAGE plpgsql AS
$$
BEGIN
  EXECUTE 'CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.types FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(' || arguments || ')';
  EXECUTE statement;
  EXECUTE 'DROP TRIGGER pseudo ON tr.types';
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  RETURN t.err('CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.types FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(' || arguments || '); ' || statement);
END
$$;
SELECT tr.try($$'v', 'c', 'd', 'odd = name'$$, $$INSERT INTO tr.types (v, c, d, "odd = name") VALUES ('varchar', 'char  ', 'domain', 'odd')$$);
SELECT reidentify(v), reidentify(c::text) || '|', reidentify(d), reidentify("odd = name"), g = upper(v), octet_length(c) FROM tr.types;
SELECT a, tr.try(format('%L', a), format('INSERT INTO tr.types (%I) VALUES (%s)', a, v)) FROM (VALUES ('narrow', $$'long enough'$$), ('bad', $$'lower'$$), ('b', $$'x'$$), ('n', $$'x'$$), ('i', '1'), ('a', $$'{x}'$$), ('j', $$'"x"'$$), ('g', 'DEFAULT')) AS s (a, v) ORDER BY a;
SELECT a, tr.try(a, $$INSERT INTO tr.types (v) VALUES ('x')$$) FROM unnest(ARRAY[$$$$, $$'nothing'$$, $$'ctid'$$, $$'deterministic=true'$$, $$'v', 'determinstic=true'$$, $$'v', 'deterministic=perhaps'$$, $$'v', 'existing=maybe'$$, $$'v', 'v'$$, $$'v', 'context=a', 'context=b'$$, $$'v', 'keyring=none'$$, $$'v', 'existing=error', 'context=', 'keyring=pseudo', 'deterministic=no'$$]) a;
-- Events: BEFORE, FOR EACH ROW, INSERT or UPDATE.
SELECT e, t.err(format('CREATE TRIGGER pseudo %s EXECUTE FUNCTION pseudonymize_trigger(''v''); INSERT INTO tr.types (v) VALUES (''x''); DELETE FROM tr.types', e)) FROM unnest(ARRAY['AFTER INSERT ON tr.types FOR EACH ROW', 'BEFORE INSERT ON tr.types FOR EACH STATEMENT', 'BEFORE DELETE ON tr.types FOR EACH ROW']) e;
SELECT t.err('SELECT pseudonymize_trigger()');
DROP FUNCTION tr.try;
DROP TABLE tr.types;
DROP DOMAIN tr.email, tr.lower;
-- Large values, in TOAST: one that stays is left where it is.
CREATE TABLE tr.large (id int, doc text);
ALTER TABLE tr.large ALTER COLUMN doc SET STORAGE EXTERNAL;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.large FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('doc');
INSERT INTO tr.large SELECT 1, repeat('large ', 20000);
UPDATE tr.large SET id = 2;
UPDATE tr.large SET doc = doc || '';
SELECT id, reidentify(doc) = repeat('large ', 20000) FROM tr.large;
SELECT t.err('INSERT INTO tr.large SELECT 3, doc FROM tr.large');
DROP TABLE tr.large;
-- Partitions: the trigger of each leaf, with the rights of the leaf's owner.
CREATE TABLE tr.events (id int, region text, email text, CONSTRAINT at_most CHECK (id < 1000)) PARTITION BY LIST (region);
CREATE TABLE tr.events_eu PARTITION OF tr.events FOR VALUES IN ('eu');
CREATE TABLE tr.events_us (email text, filler int, region text, id int, CONSTRAINT at_most CHECK (id < 1000));
ALTER TABLE tr.events_us DROP COLUMN filler;
ALTER TABLE tr.events ATTACH PARTITION tr.events_us FOR VALUES IN ('us');
CREATE TABLE tr.events_rest PARTITION OF tr.events DEFAULT PARTITION BY RANGE (id);
CREATE TABLE tr.events_rest1 PARTITION OF tr.events_rest FOR VALUES FROM (0) TO (1000);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.events FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email');
ALTER TABLE tr.events_eu OWNER TO regress_pseudo_owner;
INSERT INTO tr.events VALUES (1, 'eu', 'one@eu'), (2, 'us', 'two@us'), (3, 'asia', 'three@asia');
INSERT INTO tr.events_us (id, region, email) VALUES (4, 'us', 'four@us');
-- a row that moves keeps its pseudonym; one that changes on the way is made anew, once
CREATE TEMPORARY TABLE seen AS SELECT id, email FROM tr.events;
UPDATE tr.events SET region = 'us' WHERE id = 1;
UPDATE tr.events SET region = 'asia', email = 'moved@asia' WHERE id = 2;
UPDATE tr.events SET region = CASE region WHEN 'us' THEN 'eu' ELSE 'us' END WHERE id IN (3, 4);
SELECT e.tableoid::regclass, e.id, region, reidentify(e.email), e.email = s.email FROM tr.events e JOIN seen s USING (id) ORDER BY id;
-- a copy of a row that moves is a pseudonym planted
SELECT t.err($$WITH u AS (UPDATE tr.events SET region = 'us' WHERE id = 4 RETURNING email) INSERT INTO tr.events SELECT 9, 'asia', email FROM u$$);
SELECT t.err($$WITH u AS (UPDATE tr.events SET region = 'us' WHERE id = 4 RETURNING email) INSERT INTO tr.events SELECT 9, 'us', email FROM u$$);
SELECT t.err($$WITH u AS (UPDATE tr.events SET id = id WHERE id = 4 RETURNING email) INSERT INTO tr.events SELECT 9, 'asia', email FROM u$$);
SELECT t.err($$INSERT INTO tr.events SELECT 9, 'asia', email FROM tr.events WHERE id = 4$$);
-- what moves rows by DELETE and INSERT, as pg_partman does, is the owner and needs existing=keep
SELECT t.err($$WITH d AS (DELETE FROM tr.events WHERE id = 4 RETURNING *) INSERT INTO tr.events_eu SELECT id, 'eu', email FROM d$$);
BEGIN;
CREATE OR REPLACE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.events FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'existing=keep');
WITH d AS (DELETE FROM tr.events WHERE id = 4 RETURNING *) INSERT INTO tr.events_eu SELECT id, 'eu', email FROM d;
SELECT tableoid::regclass, reidentify(email) FROM tr.events WHERE id = 4;
ROLLBACK;
-- and so with two triggers, and with look-alikes as values
ALTER TABLE tr.events ADD COLUMN phone text;
CREATE TRIGGER phone BEFORE INSERT OR UPDATE ON tr.events FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('phone', 'existing=value', 'context=phone');
UPDATE tr.events SET phone = id;
UPDATE tr.events SET region = 'us', phone = CASE id WHEN 1 THEN 'new' ELSE phone END;
UPDATE tr.events SET region = 'eu';
UPDATE tr.events SET region = 'asia';
SELECT id, reidentify(email), reidentify(phone, 'phone') FROM tr.events ORDER BY id;
-- ON CONFLICT in partitions whose columns are in another order; MERGE that moves rows, with new values and without
DROP TRIGGER phone ON tr.events;
ALTER TABLE tr.events ADD PRIMARY KEY (id, region);
INSERT INTO tr.events VALUES (11, 'us', 'one'), (12, 'eu', 'two');
INSERT INTO tr.events VALUES (11, 'us', 'one again'), (12, 'eu', 'two again') ON CONFLICT (id, region) DO UPDATE SET email = EXCLUDED.email;
MERGE INTO tr.events e USING (VALUES (11, 'eu'), (13, 'us')) AS s (id, region) ON e.id = s.id WHEN MATCHED THEN UPDATE SET region = s.region WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.region, 'merged');
MERGE INTO tr.events e USING (VALUES (12, 'us')) AS s (id, region) ON e.id = s.id WHEN MATCHED THEN UPDATE SET region = s.region, email = 'both';
SELECT id, region, reidentify(email) FROM tr.events WHERE id > 10 ORDER BY id;
ALTER TABLE tr.events DROP CONSTRAINT events_pkey;
DELETE FROM tr.events WHERE id > 4;
-- a leaf whose owner has no right, and a column of the partition key
ALTER TABLE tr.events_eu OWNER TO regress_pseudo_writer;
SELECT t.err($$INSERT INTO tr.events VALUES (5, 'eu', 'five@eu')$$);
INSERT INTO tr.events VALUES (6, 'us', 'six@us');
CREATE TRIGGER region BEFORE INSERT OR UPDATE ON tr.events FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('region');
SELECT t.err($$INSERT INTO tr.events VALUES (5, 'us', 'five@us')$$);
DROP TABLE tr.events;
CREATE TABLE tr.expr (a text, b text) PARTITION BY LIST (lower(b));
CREATE TABLE tr.expr1 PARTITION OF tr.expr DEFAULT;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.expr FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('b');
SELECT t.err($$INSERT INTO tr.expr VALUES ('a', 'b')$$);
SELECT t.err($$INSERT INTO tr.expr1 VALUES ('a', 'b')$$);
DROP TABLE tr.expr;
-- A trigger that writes to other tables with triggers, in the middle of ON CONFLICT.
CREATE TABLE tr.log (email text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.log FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email');
CREATE FUNCTION tr.log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO tr.log VALUES (NEW.plain); RETURN NEW; END$$;
CREATE TRIGGER zlog BEFORE INSERT ON tr.people FOR EACH ROW EXECUTE FUNCTION tr.log();
INSERT INTO tr.people VALUES (1, 'nested@example.com', 'sixth', 'logged') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, note = EXCLUDED.note;
SELECT reidentify(email) FROM tr.log;
SELECT * FROM tr.clear WHERE id = 1;
DROP TRIGGER zlog ON tr.people;
-- Foreign keys that cascade: the pseudonym reaches the other table, whose trigger keeps it.
CREATE TABLE tr.orders (email text REFERENCES tr.people (email) ON UPDATE CASCADE);
ALTER TABLE tr.orders OWNER TO regress_pseudo_owner;
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tr.orders FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=crm', 'existing=keep');
SET ROLE regress_pseudo_owner;
INSERT INTO tr.orders VALUES ('nested@example.com');
RESET ROLE;
SET ROLE regress_pseudo_writer;
UPDATE tr.people SET email = 'cascaded@example.com' WHERE id = 1;
RESET ROLE;
SELECT reidentify(email, 'crm') FROM tr.orders;
-- What pg_dump writes.
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'tr.people'::regclass AND NOT tgisinternal ORDER BY tgname;
DROP SCHEMA tr CASCADE;
DROP SERVER ring;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_owner;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_owner;
DROP OWNED BY regress_pseudo_owner, regress_pseudo_writer;
DROP ROLE regress_pseudo_owner, regress_pseudo_writer;
SELECT t.run(format('cd %s && ls pseudo_test_* | grep -v "^pseudo_test_pseudo.json$" | xargs rm -f', current_setting('data_directory')));
