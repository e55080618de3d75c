--
-- What PostgreSQL compares stays equal while two keys are enabled: unique and exclusion
-- indexes, and foreign keys.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
\set VERBOSITY terse
SET search_path = pseudo, public;
CREATE SCHEMA q;
SELECT t.keyring('two');
SELECT pseudo_create_key('two');
-- make a table's columns pseudonymized
CREATE FUNCTION q.protect(relation regclass, VARIADIC columns text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(%s, ''deterministic=true'', ''keyring=two'')',
                 relation, (SELECT string_agg(quote_literal(c), ', ') FROM unnest(columns) c));
END
$$;
-- a pseudonym as its key and its value
CREATE FUNCTION q.show(pseudonym text) RETURNS text LANGUAGE sql AS $$SELECT pseudonym_key_id(pseudonym) || ':' || reidentify(pseudonym, keyring => 'two')$$;
-- One table for each kind of constraint.
CREATE TABLE q.people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, e text UNIQUE, logins int DEFAULT 1);
CREATE TABLE q.visits (e varchar(100), day date, n int DEFAULT 1, PRIMARY KEY (e, day));
CREATE TABLE q.names (first text, last char(80), UNIQUE (first, last));
CREATE TABLE q.late (id int, e text UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE q.active (id int, e text, active boolean DEFAULT true);
CREATE UNIQUE INDEX active_e ON q.active (e) WHERE active;
CREATE TABLE q.prefix (id int, e text);
CREATE UNIQUE INDEX prefix_e ON q.prefix ((e || '!'), id);
CREATE TABLE q.made (id int, e text, copy text GENERATED ALWAYS AS ('<' || e || '>') STORED UNIQUE);
CREATE TABLE q.parts (id int, region text, e text, UNIQUE (e, region)) PARTITION BY LIST (region);
CREATE TABLE q.parts_eu PARTITION OF q.parts FOR VALUES IN ('eu');
CREATE TABLE q.parts_us (e text, region text, id int);
ALTER TABLE q.parts ATTACH PARTITION q.parts_us FOR VALUES IN ('us');
CREATE TABLE q.nulls (e text, n int, UNIQUE NULLS NOT DISTINCT (e, n));
CREATE TABLE q.rooms (room text, day int, EXCLUDE USING btree (day WITH =, room WITH =));
CREATE TABLE q.codes (e text, EXCLUDE USING hash (e WITH =) WHERE (e IS NOT NULL));
CREATE TABLE q.orders (id int, e text REFERENCES q.people (e));
CREATE TABLE q.notes (id int, day date, e text, note text, FOREIGN KEY (day, e) REFERENCES q.visits (day, e));
CREATE TABLE q.tree (e text PRIMARY KEY, parent text REFERENCES q.tree);
CREATE TABLE q.far (e text, region text, FOREIGN KEY (e, region) REFERENCES q.parts (e, region));
CREATE TABLE q.free (id int, e text);
SELECT q.protect('q.' || unnest, 'e') FROM unnest('{people,visits,late,active,prefix,made,parts,nulls,codes,orders,notes,far,free}'::text[]);
SELECT q.protect('q.names', 'first', 'last'), q.protect('q.rooms', 'room'), q.protect('q.tree', 'e', 'parent');
INSERT INTO q.people (e) VALUES ('a'), ('b'), (NULL);
INSERT INTO q.visits VALUES ('a', '2026-01-01'), ('b', '2026-01-01');
INSERT INTO q.names VALUES ('A', 'X'), ('A', 'Y');
INSERT INTO q.late VALUES (1, 'a'), (2, 'b');
INSERT INTO q.active VALUES (1, 'a', false), (2, 'b', true);
INSERT INTO q.prefix VALUES (1, 'a');
INSERT INTO q.made VALUES (1, 'a');
INSERT INTO q.parts VALUES (1, 'eu', 'a'), (2, 'us', 'b');
INSERT INTO q.nulls VALUES ('a', NULL), ('b', 1);
INSERT INTO q.rooms VALUES ('A', 1);
INSERT INTO q.codes VALUES ('a');
INSERT INTO q.tree VALUES ('a', NULL);
INSERT INTO q.free VALUES (1, 'a');
-- A new key: values that are there keep their pseudonyms, new ones get the new key's.
SELECT pseudo_create_key('two', make_primary => true);
SELECT t.err($$INSERT INTO q.people (e) VALUES ('a')$$) ~ '^23505';
INSERT INTO q.people (e) VALUES ('b') ON CONFLICT (e) DO UPDATE SET logins = people.logins + 1;
INSERT INTO q.people (e) VALUES ('c'), ('d'), ('a') ON CONFLICT DO NOTHING;
INSERT INTO q.people (e) VALUES ('d'), (NULL) ON CONFLICT DO NOTHING;
COPY q.people (e) FROM stdin;
e
\.
COPY q.people (e) FROM stdin;
b
\.
SELECT id, logins, q.show(e) FROM q.people ORDER BY id;
-- an UPDATE to another value, to the same one, and of other columns
UPDATE q.people SET e = 'b', logins = 7 WHERE id = 2;
SELECT t.err($$UPDATE q.people SET e = 'b' WHERE id = 1$$) ~ '^23505';
UPDATE q.people SET e = 'f' WHERE id = 1;
INSERT INTO q.people (e) VALUES ('a');
SELECT logins, q.show(e) FROM q.people WHERE id IN (1, 2) OR reidentify(e, keyring => 'two') = 'a' ORDER BY id;
-- keys of several columns, also where only the others change
SELECT t.err($$INSERT INTO q.visits VALUES ('a', '2026-01-01')$$) ~ '^23505';
INSERT INTO q.visits VALUES ('a', '2026-01-01') ON CONFLICT (e, day) DO UPDATE SET n = visits.n + 1;
INSERT INTO q.visits VALUES ('a', '2026-01-02');
SELECT day, n, q.show(e) FROM q.visits ORDER BY day, q.show(e);
SELECT t.err($$UPDATE q.visits SET day = '2026-01-01' WHERE day = '2026-01-02'$$) ~ '^23505';
UPDATE q.visits SET day = '2026-01-03', n = 9 WHERE day = '2026-01-02';
MERGE INTO q.visits v USING (VALUES ('b', '2026-01-01'::date), ('a', '2026-01-03')) AS s (e, day) ON v.e = ANY (pseudonyms_of(s.e, keyring => 'two')) AND v.day = s.day
  WHEN MATCHED THEN UPDATE SET n = v.n + 10 WHEN NOT MATCHED THEN INSERT VALUES (s.e, s.day);
SELECT day, n, q.show(e) FROM q.visits ORDER BY day, q.show(e);
-- two pseudonyms in one key
SELECT t.err($$INSERT INTO q.names VALUES ('A', 'X')$$) ~ '^23505';
INSERT INTO q.names VALUES ('A', 'Z'), ('B', 'X');
UPDATE q.names SET last = 'W' WHERE reidentify(last::text, keyring => 'two') = 'Y';
SELECT t.err($$INSERT INTO q.names VALUES ('A', 'W')$$) ~ '^23505', t.err($$INSERT INTO q.names VALUES ('B', 'X')$$) ~ '^23505';
SELECT q.show(first), q.show(last::text) FROM q.names ORDER BY 1, 2;
-- deferred: a swap is no conflict, a double at the end is
BEGIN;
INSERT INTO q.late VALUES (3, 'a');
DELETE FROM q.late WHERE id = 1;
COMMIT;
UPDATE q.late SET e = CASE id WHEN 2 THEN 'a' ELSE 'b' END;
SELECT id, q.show(e) FROM q.late ORDER BY id;
SELECT t.err($$INSERT INTO q.late VALUES (4, 'a'); SET CONSTRAINTS ALL IMMEDIATE$$) ~ '^23505';
-- partial: only what the index has counts, also when a row enters it
INSERT INTO q.active VALUES (3, 'a', true), (4, 'b', false);
SELECT id, active, q.show(e) FROM q.active ORDER BY id;
SELECT t.err($$UPDATE q.active SET active = true WHERE id = 1$$) ~ '^23505', t.err($$UPDATE q.active SET active = true WHERE id = 4$$) ~ '^23505', t.err($$INSERT INTO q.active VALUES (5, 'b')$$) ~ '^23505';
-- expressions, generated columns, partitions, NULLs that are not distinct, exclusion
SELECT t.err($$INSERT INTO q.prefix VALUES (1, 'a')$$) ~ '^23505', t.err($$INSERT INTO q.made VALUES (2, 'a')$$) ~ '^23505',
       t.err($$INSERT INTO q.parts VALUES (3, 'eu', 'a')$$) ~ '^23505', t.err($$INSERT INTO q.parts VALUES (3, 'us', 'b')$$) ~ '^23505',
       t.err($$INSERT INTO q.nulls VALUES ('a', NULL)$$) ~ '^23505', t.err($$INSERT INTO q.nulls VALUES ('b', 1)$$) ~ '^23505',
       t.err($$INSERT INTO q.rooms VALUES ('A', 1)$$) ~ '^23P01', t.err($$INSERT INTO q.codes VALUES ('a')$$) ~ '^23P01';
INSERT INTO q.prefix VALUES (2, 'a');
INSERT INTO q.parts VALUES (4, 'us', 'a');
INSERT INTO q.nulls VALUES ('b', NULL);
INSERT INTO q.rooms VALUES ('A', 2);
SELECT t.err($$UPDATE q.rooms SET day = 1 WHERE day = 2$$) ~ '^23P01', t.err($$UPDATE q.parts SET region = 'eu' WHERE id = 4$$) ~ '^23505', t.err($$UPDATE q.prefix SET id = 1 WHERE id = 2$$) ~ '^23505';
SELECT q.show(e) FROM q.prefix UNION ALL SELECT q.show(e) FROM q.parts UNION ALL SELECT q.show(e) FROM q.nulls UNION ALL SELECT q.show(room) FROM q.rooms ORDER BY 1;
-- a foreign key gets the pseudonym of the row that it refers to, also one of this command or transaction
INSERT INTO q.orders VALUES (1, 'b'), (2, 'c'), (3, NULL);
SELECT t.err($$INSERT INTO q.orders VALUES (4, 'nobody')$$) ~ '^23503';
INSERT INTO q.notes VALUES (1, '2026-01-01', 'a'), (2, '2026-01-03', 'a'), (3, NULL, 'a');
UPDATE q.notes SET day = '2026-01-03' WHERE id = 1;
INSERT INTO q.tree VALUES ('b', 'a'), ('c', 'b'), ('d', 'd');
INSERT INTO q.far VALUES ('a', 'eu'), ('a', 'us'), ('b', 'us');
SELECT id, q.show(e) FROM q.orders UNION ALL SELECT id, q.show(e) FROM q.notes ORDER BY 1, 2;
SELECT q.show(e), q.show(parent) FROM q.tree ORDER BY 1;
SELECT region, q.show(e) FROM q.far ORDER BY 1, 2;
-- what nothing compares gets the new key
INSERT INTO q.free VALUES (2, 'a');
UPDATE q.free SET e = 'a' WHERE id = 1;
SELECT id, q.show(e) FROM q.free ORDER BY id;
-- in every isolation level
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT t.err($$INSERT INTO q.people (e) VALUES ('b')$$) ~ '^23505';
ROLLBACK;
-- The rotation: foreign keys follow their tables by ON UPDATE CASCADE, through the trigger; the others are moved one by one.
\set VERBOSITY default
CALL repseudonymize_table('q.people', '{e}', keyring => 'two');
CALL repseudonymize_table('q.orders', '{e}', keyring => 'two');
CALL repseudonymize_table('q.people', '{e}', keyring => 'two', dry_run => true);
ALTER TABLE q.orders DROP CONSTRAINT orders_e_fkey, ADD CONSTRAINT orders_e_fkey FOREIGN KEY (e) REFERENCES q.people (e) ON UPDATE CASCADE;
ALTER TABLE q.notes DROP CONSTRAINT notes_day_e_fkey, ADD CONSTRAINT notes_day_e_fkey FOREIGN KEY (day, e) REFERENCES q.visits (day, e) ON UPDATE CASCADE;
CALL repseudonymize_table('q.people', '{e}', keyring => 'two');
CALL repseudonymize_table('q.visits', '{e}', keyring => 'two');
SELECT id, q.show(e) FROM q.orders UNION ALL SELECT id, q.show(e) FROM q.notes ORDER BY 1, 2;
-- what another trigger writes meanwhile does not pass as a cascade
CREATE FUNCTION q.plant() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE q.free SET e = NEW.e WHERE id = 1; RETURN NEW; END$$;
CREATE TRIGGER plant AFTER UPDATE ON q.rooms FOR EACH ROW EXECUTE FUNCTION q.plant();
ALTER TABLE q.rooms RENAME room TO e;
DROP TRIGGER zz_pseudo ON q.rooms;
SELECT q.protect('q.rooms', 'e');
\set VERBOSITY terse
CALL repseudonymize_table('q.rooms', '{e}', keyring => 'two');
DROP TRIGGER plant ON q.rooms;
CALL repseudonymize_table('q.rooms', '{e}', keyring => 'two');
SELECT day, q.show(e) FROM q.rooms ORDER BY 1;
-- values that have two rows already: the dry run tells them, the run leaves one of them out
\set VERBOSITY default
ALTER TABLE q.late DISABLE TRIGGER zz_pseudo;
INSERT INTO q.late VALUES (8, pseudonymize('a', true, '', 'two')), (9, pseudonymize('c', true, '', 'two'));
ALTER TABLE q.late ENABLE TRIGGER zz_pseudo;
CALL repseudonymize_table('q.late', '{e}', keyring => 'two', dry_run => true);
CALL repseudonymize_table('q.late', '{e}', keyring => 'two');
SELECT status, sqlstate, values_converted FROM pseudo_progress WHERE relation = 'q.late'::regclass;
SELECT id, q.show(e) FROM q.late ORDER BY 1;
DELETE FROM q.late WHERE id = 8;
CALL repseudonymize_table('q.late', '{e}', keyring => 'two', dry_run => true);
CALL repseudonymize_table('q.late', '{e}', keyring => 'two');
SELECT id, q.show(e) FROM q.late ORDER BY 1;
-- by partitions, and by two columns at a time
INSERT INTO q.names VALUES ('B', 'Y');
CALL repseudonymize_table('q.parts', '{e}', keyring => 'two');
ALTER TABLE q.far DROP CONSTRAINT far_e_region_fkey, ADD FOREIGN KEY (e, region) REFERENCES q.parts (e, region) ON UPDATE CASCADE;
CALL repseudonymize_table('q.parts', '{e}', keyring => 'two');
SELECT region, q.show(e) FROM q.far ORDER BY 1, 2;
CALL repseudonymize_table('q.names', '{first,last}', keyring => 'two');
SELECT q.show(first), q.show(last::text) FROM q.names ORDER BY 1, 2;
-- Converting a table that has pseudonyms under the old key: a value that is there is told, not made a second time.
CREATE TABLE q.old (id int, e text, PRIMARY KEY (e));
INSERT INTO q.old VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT q.protect('q.old', 'e');
SELECT pseudo_set_primary_key('two', 1);
INSERT INTO q.old VALUES (4, 'a'), (5, 'd');
SELECT pseudo_set_primary_key('two', 2);
CALL pseudonymize_table('q.old', '{e}', true, '', 'two');
SELECT id, e LIKE '_', CASE WHEN length(e) > 1 THEN q.show(e) END FROM q.old ORDER BY 1;
-- Functions of the table run while its constraints are read and asked.  They may load the keyring again: nothing of the one before is used then.
CREATE FUNCTION q.reloads(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN PERFORM pseudo.pseudo_refresh_keyring('two'), pseudo.pseudonymize('x', true, '', 'two'); RETURN v; END $$;
CREATE TABLE q.reloading (id int, e text, copy text GENERATED ALWAYS AS (q.reloads('<') || e) STORED UNIQUE);
CREATE UNIQUE INDEX ON q.reloading (q.reloads(e));
INSERT INTO q.reloading VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT q.protect('q.reloading', 'e');
INSERT INTO q.reloading VALUES (4, 'd'), (5, 'e');
UPDATE q.reloading SET e = 'f' WHERE id = 5;
CALL pseudonymize_table('q.reloading', '{e}', true, '', 'two');
CALL repseudonymize_table('q.reloading', '{e}', keyring => 'two', dry_run => true);
SELECT id, q.show(e) FROM q.reloading ORDER BY 1;
-- A table of three keys: whatever key a value has, it is found.
SELECT pseudo_create_key('two', make_primary => true);
SELECT t.err($$INSERT INTO q.old VALUES (6, 'd')$$) ~ '^23505', t.err($$INSERT INTO q.old VALUES (6, 'b')$$) ~ '^23505';
INSERT INTO q.old VALUES (6, 'e');
SELECT pseudo_set_key_status('two', 1, 'disabled');
INSERT INTO q.old VALUES (7, 'd');
SELECT id, pseudonym_key_id(e) FROM q.old WHERE id > 4 ORDER BY 1;
DROP SCHEMA q CASCADE;
DELETE FROM pseudo_progress;
DROP SERVER two;
SELECT t.run(format('rm -f %s', t.path('two')));
