--
-- A writer with INSERT and UPDATE on a table that has the trigger wants the plaintext of a pseudonym that they saw, and is on a
-- desk that reads the table through a view: every way to plant the pseudonym is refused.  What PostgreSQL itself brings
-- back, a row that moves between partitions or EXCLUDED, is taken.
--
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_thief;
CREATE SCHEMA ta;
CREATE SCHEMA own AUTHORIZATION regress_pseudo_thief;
GRANT USAGE ON SCHEMA ta, pseudo TO regress_pseudo_thief;
CREATE FUNCTION ta.consent() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NOT NEW.consent THEN RETURN NULL; END IF; RETURN NEW; END $$;

-- The tables: one, and one in partitions, of which one has its columns in another order and one is an archive without trigger.
CREATE TABLE ta.leads (id int PRIMARY KEY, email text, note text, phone text);
CREATE TRIGGER zz_email BEFORE INSERT OR UPDATE ON ta.leads FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('email', 'note', 'deterministic=true');
CREATE TRIGGER zz_phone BEFORE INSERT OR UPDATE ON ta.leads FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('phone', 'context=phone');
CREATE TABLE ta.events (id int, region text, consent bool DEFAULT true, email text, n int DEFAULT 0) PARTITION BY LIST (region);
CREATE TABLE ta.events_a PARTITION OF ta.events FOR VALUES IN ('a');
CREATE TABLE ta.events_b PARTITION OF ta.events FOR VALUES IN ('b');
CREATE TABLE ta.events_c (email text, n int DEFAULT 0, region text, consent bool DEFAULT true, id int);
ALTER TABLE ta.events ATTACH PARTITION ta.events_c FOR VALUES IN ('c');
CREATE TABLE ta.events_d PARTITION OF ta.events FOR VALUES IN ('d');
CREATE TRIGGER consent BEFORE INSERT ON ta.events FOR EACH ROW EXECUTE FUNCTION ta.consent();
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON ta.events FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true');
ALTER TABLE ta.events_d DISABLE TRIGGER zz_pseudo;
INSERT INTO ta.leads VALUES (1, 'lead@example.org', 'a note', '555');
INSERT INTO ta.events VALUES (1, 'a', true, 'minister@example.org'), (2, 'b', true, 'two@example.org'), (3, 'c', true, 'three@example.org');
GRANT SELECT, INSERT, UPDATE ON ta.leads, ta.events, ta.events_a, ta.events_b, ta.events_c, ta.events_d TO regress_pseudo_thief;
SELECT email AS seen FROM ta.events WHERE id = 1 \gset
CREATE TEMPORARY TABLE seen AS SELECT :'seen'::text AS email;
GRANT SELECT ON seen TO regress_pseudo_thief;
-- Run a statement as the thief: the error, or how often the pseudonym is there afterwards.  Nothing of it stays.
CREATE FUNCTION ta.try(statement text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE result text;
BEGIN
  SET LOCAL ROLE regress_pseudo_thief;
  EXECUTE statement;
  RESET ROLE;
  SELECT format('now there: %s leads, %s events', (SELECT count(*) FROM ta.leads, seen s WHERE s.email IN (leads.email, note, phone)),
                (SELECT count(*) FROM ta.events JOIN seen USING (email))) INTO result;
  RAISE SQLSTATE 'UNDO0' USING MESSAGE = result;
EXCEPTION WHEN OTHERS THEN
  RETURN CASE SQLSTATE WHEN 'UNDO0' THEN SQLERRM ELSE SQLSTATE || ': ' || SQLERRM END;
END
$$;
SELECT ta.try('SELECT 1') AS "one event is right";

-- By a row that moves in a partitioned table of their own, whose target has no trigger.
SET ROLE regress_pseudo_thief;
CREATE TABLE own.p (id int, region text, email text) PARTITION BY LIST (region);
CREATE TABLE own.p_a PARTITION OF own.p FOR VALUES IN ('a');
CREATE TABLE own.p_b PARTITION OF own.p FOR VALUES IN ('b');
INSERT INTO own.p SELECT 1, 'a', email FROM seen;
CREATE TRIGGER zz_pseudo BEFORE UPDATE ON own.p_a FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
RESET ROLE;
SELECT ta.try(s) FROM unnest(ARRAY[
  $$INSERT INTO ta.leads SELECT 2, email FROM seen$$,
  $$WITH u AS (UPDATE own.p SET region = 'b' RETURNING email) INSERT INTO ta.leads SELECT 2, email FROM u$$,
  $$WITH u AS (UPDATE own.p SET region = 'b' RETURNING email) INSERT INTO ta.events SELECT 2, 'b', true, email FROM u$$,
  $$WITH u AS (UPDATE own.p SET region = 'b' RETURNING email) UPDATE ta.leads SET email = u.email FROM u$$]) s;
-- By rows that move in the owner's partitions: into a table beside, as a copy, as a copy of the row that is suppressed on its way.
SELECT ta.try(s) FROM unnest(ARRAY[
  $$WITH u AS (UPDATE ta.events SET region = 'b' WHERE id = 1 RETURNING *) INSERT INTO ta.leads SELECT 2, email FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.leads SELECT 2, email FROM u$$,
  $$WITH e AS (SELECT email FROM ta.events WHERE id = 1), u AS (UPDATE ta.events SET region = 'b', consent = false WHERE id = 1 RETURNING 1), n AS (SELECT count(*) AS n FROM u)
    INSERT INTO ta.leads SELECT 3, e.email FROM n, e WHERE n.n >= 0$$,
  $$WITH e AS (SELECT email FROM ta.events WHERE id = 1), u AS (UPDATE ta.events SET region = 'b', consent = false WHERE id = 1 RETURNING 1), n AS (SELECT count(*) AS n FROM u)
    INSERT INTO ta.events SELECT 900, 'b', true, e.email FROM n, e WHERE n.n >= 0$$,
  $$WITH e AS (SELECT email FROM ta.events WHERE id = 1), u AS (UPDATE ta.events SET region = 'c', consent = false WHERE id = 1 RETURNING 1), n AS (SELECT count(*) AS n FROM u)
    INSERT INTO ta.events SELECT 1, 'c', true, e.email FROM n, e WHERE n.n >= 0$$,
  -- into the archive that has no trigger, and a copy beside, in the middle of that row
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.events SELECT id, 'b', consent, email, n FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.events SELECT id, 'c', consent, email, n FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.events_b SELECT id, 'b', consent, email, n FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.events_c (id, region, email) SELECT id, region, email FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) UPDATE ta.events_b SET email = u.email FROM u$$,
  -- a copy of a row that has moved to where the trigger is
  $$WITH u AS (UPDATE ta.events SET region = 'b' WHERE id = 1 RETURNING *) INSERT INTO ta.events SELECT * FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'c' WHERE id = 1 RETURNING *) INSERT INTO ta.events SELECT * FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'c' WHERE id = 1 RETURNING *) INSERT INTO ta.events_c (id, region, email) SELECT id, region, email FROM u$$,
  $$WITH u AS (UPDATE ta.events SET region = 'b' WHERE id = 1 RETURNING *) UPDATE ta.events_b e SET email = u.email FROM u WHERE e.id = 2$$,
  $$WITH u AS (UPDATE ta.events SET n = 1 WHERE id = 1 RETURNING *) INSERT INTO ta.events SELECT * FROM u$$,
  -- one that a MERGE moves, suppresses, and inserts again
  $$MERGE INTO ta.events e USING (SELECT * FROM (VALUES (1), (9)) v (i), seen) s ON e.id = s.i
    WHEN MATCHED THEN UPDATE SET region = 'b', consent = false WHEN NOT MATCHED THEN INSERT (id, region, email) VALUES (9, 'b', s.email)$$]) s;
-- into another partition by name, where a trigger after ours makes the row fit: it does not belong there when it is looked at
CREATE FUNCTION ta.fit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.region := 'c'; RETURN NEW; END$$;
CREATE TRIGGER zzz_fit BEFORE INSERT ON ta.events_c FOR EACH ROW EXECUTE FUNCTION ta.fit();
SELECT ta.try($$WITH u AS (UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING *) INSERT INTO ta.events_c (id, region, email) SELECT id, region, email FROM u$$);
DROP TRIGGER zzz_fit ON ta.events_c;
-- By EXCLUDED, by what another trigger has seen, in one statement and in several, and by copies within the table.
CREATE FUNCTION ta.quarantine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id < 0 THEN RETURN NULL; END IF; RETURN NEW; END$$;
CREATE TRIGGER zz_pho BEFORE INSERT ON ta.leads FOR EACH ROW EXECUTE FUNCTION ta.quarantine();
SELECT ta.try(s) FROM unnest(ARRAY[
  $$WITH i AS (INSERT INTO ta.leads SELECT -1, 'x', NULL, email FROM seen RETURNING 1), n AS (SELECT count(*) AS n FROM i) UPDATE ta.leads SET phone = seen.email FROM n, seen WHERE id = 1 AND n.n >= 0$$,
  $$WITH i AS (INSERT INTO ta.leads SELECT -1, email FROM seen RETURNING 1) UPDATE ta.leads SET email = seen.email FROM i, seen$$,
  $$INSERT INTO ta.leads SELECT 1, email FROM seen ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email$$,
  $$INSERT INTO ta.leads VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = (SELECT email FROM seen)$$,
  $$INSERT INTO ta.leads VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET phone = EXCLUDED.email$$,
  $$INSERT INTO ta.leads VALUES (1, 'x', 'y', 'z') ON CONFLICT (id) DO UPDATE SET note = EXCLUDED.phone$$,
  $$INSERT INTO ta.leads VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET note = leads.email$$,
  $$UPDATE ta.events SET email = (SELECT email FROM seen) WHERE id = 2$$,
  $$UPDATE ta.events e SET email = f.email FROM ta.events f WHERE e.id = 2 AND f.id = 1$$,
  $$UPDATE ta.events e SET email = f.email, region = 'c' FROM ta.events f WHERE e.id = 2 AND f.id = 1$$,
  $$INSERT INTO ta.events SELECT 4, 'b', true, email FROM ta.events WHERE id = 1$$,
  $$UPDATE ta.leads SET note = email$$, $$UPDATE ta.leads SET email = note, note = email$$,
  $$WITH d AS (UPDATE ta.leads SET email = NULL WHERE id = 1 RETURNING id) INSERT INTO ta.leads SELECT 2, s.email FROM d, seen s$$,
  $$DO $x$ DECLARE r record; BEGIN FOR r IN UPDATE ta.events SET region = 'd' WHERE id = 1 RETURNING email LOOP INSERT INTO ta.events VALUES (5, 'b', true, r.email); END LOOP; END $x$ $$]) s;
-- By views, rules and triggers of their own around the table.
SET ROLE regress_pseudo_thief;
CREATE VIEW own.v AS SELECT id, email FROM ta.leads;
CREATE VIEW own.i AS SELECT id, email FROM ta.leads;
CREATE FUNCTION own.i() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO ta.leads VALUES (NEW.id, NEW.email); RETURN NEW; END$$;
CREATE TRIGGER i INSTEAD OF INSERT ON own.i FOR EACH ROW EXECUTE FUNCTION own.i();
CREATE VIEW own.r AS SELECT id, email FROM ta.leads;
CREATE RULE r AS ON INSERT TO own.r DO INSTEAD (UPDATE own.p SET region = CASE region WHEN 'a' THEN 'b' ELSE 'a' END; INSERT INTO ta.leads VALUES (NEW.id, NEW.email));
-- an UPDATE whose trigger, or whose expressions, write elsewhere in the middle of a row that moves
CREATE FUNCTION own.during(id int) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO ta.events SELECT 7, 'b', true, email FROM seen; RETURN 'b'; END$$;
CREATE FUNCTION own.before() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO ta.events SELECT 8, 'b', true, email FROM seen; RETURN coalesce(NEW, OLD); END$$;
CREATE TRIGGER zzz BEFORE UPDATE ON own.p_a FOR EACH ROW EXECUTE FUNCTION own.before();
RESET ROLE;
SELECT ta.try(s) FROM unnest(ARRAY[
  $$INSERT INTO own.v SELECT 2, email FROM seen$$, $$UPDATE own.v SET email = seen.email FROM seen$$, $$INSERT INTO own.i SELECT 2, email FROM seen$$,
  $$INSERT INTO own.r SELECT 2, email FROM seen$$,
  $$UPDATE ta.events SET region = own.during(id) WHERE id = 1$$,
  $$UPDATE ta.events SET region = 'b' WHERE id = 1 AND own.during(id) = 'b'$$,
  $$UPDATE own.p SET region = 'b'$$]) s;
SELECT ta.try($$COPY ta.leads (id, email) FROM PROGRAM 'true'$$) ~ '^42501' AS "no programs";

-- What PostgreSQL brings is taken: rows that move, also where another trigger changes them, by UPDATE and MERGE, with RETURNING that feeds
-- another table, and EXCLUDED; with one trigger for all, and with one for INSERT and one for UPDATE.
CREATE FUNCTION ta.stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.n := NEW.n + 1; RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON ta.events_b FOR EACH ROW EXECUTE FUNCTION ta.stamp();
SET ROLE regress_pseudo_thief;
UPDATE ta.events SET region = CASE region WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END;
UPDATE ta.events SET region = CASE region WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END, id = id + 10;
WITH u AS (UPDATE ta.events SET region = CASE region WHEN 'a' THEN 'd' ELSE 'a' END RETURNING *) INSERT INTO ta.leads (id, email) SELECT id, 'moved' FROM u;
MERGE INTO ta.events e USING (VALUES (11), (13), (14)) v (id) ON e.id = v.id WHEN MATCHED THEN UPDATE SET region = 'c' WHEN NOT MATCHED THEN INSERT (id, region, email) VALUES (v.id, 'b', 'four@example.org');
RESET ROLE;
SELECT tableoid::regclass, id, n, reidentify(email) FROM ta.events ORDER BY id;
DROP TRIGGER zz_email ON ta.leads;
CREATE TRIGGER zz_insert BEFORE INSERT ON ta.leads FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('note', 'email', 'deterministic=true');
CREATE TRIGGER zz_update BEFORE UPDATE ON ta.leads FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'note', 'deterministic=true');
SET ROLE regress_pseudo_thief;
INSERT INTO ta.leads VALUES (1, 'upsert', 'and', 'phone'), (11, 'upsert', 'or', 'none') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, note = EXCLUDED.note, phone = EXCLUDED.phone;
RESET ROLE;
SELECT id, reidentify(email), reidentify(note), reidentify(phone, 'phone') FROM ta.leads ORDER BY id;
-- a row that comes from a partition without the trigger is none: nothing tells where its pseudonym is from
UPDATE ta.events SET region = 'b' WHERE id = 12;
-- a row with another context is none that moves: it would be unreadable there
CREATE TABLE ta.other (id int, region text, email text) PARTITION BY LIST (region);
CREATE TABLE ta.other_a PARTITION OF ta.other FOR VALUES IN ('a');
CREATE TABLE ta.other_b PARTITION OF ta.other FOR VALUES IN ('b');
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON ta.other_a FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'context=a');
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON ta.other_b FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'context=b');
INSERT INTO ta.other VALUES (1, 'a', 'x');
UPDATE ta.other SET region = 'b';
-- Where the pseudonyms go into another column, that column is nobody's to write.
CREATE TABLE ta.parents (p text PRIMARY KEY);
CREATE TABLE ta.cards (id int, region text, email text, email_p text) PARTITION BY LIST (region);
CREATE TABLE ta.cards_a PARTITION OF ta.cards FOR VALUES IN ('a');
CREATE TABLE ta.cards_b (email_p text, region text, id int, email text);
ALTER TABLE ta.cards ATTACH PARTITION ta.cards_b FOR VALUES IN ('b');
CREATE TABLE ta.cards_c PARTITION OF ta.cards FOR VALUES IN ('c');
ALTER TABLE ta.cards ADD UNIQUE (id, region);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON ta.cards FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic, existing=keep, into=email_p');
INSERT INTO ta.cards (id, region, email) VALUES (1, 'a', 'minister@example.org'), (2, 'b', 'two@example.org'), (3, 'c', 'three@example.org'), (4, 'a', NULL);
ALTER TABLE ta.cards DISABLE TRIGGER zz_pseudo;
INSERT INTO ta.cards VALUES (5, 'a', 'five@example.org', NULL);
ALTER TABLE ta.cards ENABLE TRIGGER zz_pseudo;
INSERT INTO ta.parents SELECT email_p FROM ta.cards WHERE email_p IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON ta.cards, ta.cards_a, ta.cards_b, ta.cards_c, ta.parents TO regress_pseudo_thief;
CREATE FUNCTION ta.try_card(statement text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE result text;
BEGIN
  SET LOCAL ROLE regress_pseudo_thief;
  EXECUTE statement;
  RESET ROLE;
  SELECT 'cards of the minister: ' || count(*) FROM ta.cards JOIN seen ON email_p = seen.email WHERE cards.email IS DISTINCT FROM 'minister@example.org' INTO result;
  RAISE SQLSTATE 'UNDO0' USING MESSAGE = result;
EXCEPTION WHEN OTHERS THEN
  RETURN CASE SQLSTATE WHEN 'UNDO0' THEN SQLERRM ELSE SQLSTATE || ': ' || SQLERRM END;
END
$$;
SELECT ta.try_card(s) FROM unnest(ARRAY[
  $$INSERT INTO ta.cards SELECT 9, 'a', 'x', email FROM seen$$, $$INSERT INTO ta.cards (id, region, email_p) SELECT 9, 'a', email FROM seen$$,
  $$INSERT INTO ta.cards_b SELECT email, 'b', 9, 'x' FROM seen$$, $$INSERT INTO ta.cards SELECT 9, 'a', email, email FROM seen$$,
  $$UPDATE ta.cards SET email_p = seen.email FROM seen WHERE id <> 1$$, $$UPDATE ta.cards SET email = 'x', email_p = seen.email FROM seen$$,
  $$UPDATE ta.cards SET email = NULL, email_p = seen.email FROM seen$$, $$UPDATE ta.cards SET email = seen.email, email_p = seen.email FROM seen$$,
  $$UPDATE ta.cards SET email = email_p, email_p = email$$, $$UPDATE ta.cards SET email = 'x' WHERE id = 1$$,
  $$UPDATE ta.cards c SET email_p = d.email_p FROM ta.cards d WHERE d.id = 1$$,
  $$INSERT INTO ta.cards VALUES (2, 'b', 'x') ON CONFLICT (id, region) DO UPDATE SET email_p = (SELECT email FROM seen)$$,
  $$INSERT INTO ta.cards SELECT 2, 'b', 'x', email FROM seen ON CONFLICT (id, region) DO UPDATE SET email_p = EXCLUDED.email_p$$,
  $$INSERT INTO ta.cards VALUES (2, 'b', 'minister@example.org') ON CONFLICT (id, region) DO UPDATE SET email_p = EXCLUDED.email_p$$,
  $$INSERT INTO ta.cards VALUES (2, 'b', 'minister@example.org') ON CONFLICT (id, region) DO UPDATE SET email_p = EXCLUDED.email_p, email = 'x'$$,
  $$INSERT INTO ta.cards VALUES (4, 'a', 'minister@example.org') ON CONFLICT (id, region) DO UPDATE SET email_p = EXCLUDED.email_p$$,
  $$INSERT INTO ta.cards VALUES (5, 'a', 'minister@example.org') ON CONFLICT (id, region) DO UPDATE SET email_p = EXCLUDED.email_p$$,
  $$WITH u AS (UPDATE ta.cards SET region = 'c' WHERE id = 1 RETURNING *) INSERT INTO ta.cards SELECT 9, 'c', 'x', email_p FROM u$$,
  $$WITH u AS (UPDATE ta.cards SET region = 'b' WHERE id = 1 RETURNING *) INSERT INTO ta.cards SELECT 9, 'b', 'x', email_p FROM u$$,
  $$WITH u AS (UPDATE ta.cards SET region = 'b' WHERE id = 1 RETURNING *) INSERT INTO ta.cards_b SELECT email_p, region, id + 8, NULL FROM u$$,
  $$WITH u AS (UPDATE ta.cards SET region = 'b' WHERE id = 1 RETURNING *) UPDATE ta.cards_b b SET email_p = u.email_p FROM u WHERE b.id = 2$$,
  $$UPDATE ta.cards SET region = 'c', email_p = seen.email FROM seen WHERE id IN (2, 4, 5)$$,
  $$UPDATE ta.cards SET region = 'b', email = 'x', email_p = email_p WHERE id = 1$$,
  $$MERGE INTO ta.cards c USING (SELECT * FROM (VALUES (2), (9)) v (i), seen) s ON c.id = s.i
    WHEN MATCHED THEN UPDATE SET region = 'a', email_p = s.email WHEN NOT MATCHED THEN INSERT VALUES (9, 'b', 'x', s.email)$$]) s;
-- a foreign key brings what is written to the other table
ALTER TABLE ta.cards_a ADD FOREIGN KEY (email_p) REFERENCES ta.parents ON UPDATE CASCADE;
SELECT ta.try_card(s) FROM unnest(ARRAY[
  $$DELETE FROM ta.parents$$,
  $$UPDATE ta.parents SET p = p || '' $$,
  $$UPDATE ta.cards SET region = 'a' WHERE id = 2; UPDATE ta.parents p SET p = 'x' FROM seen WHERE p.p = seen.email$$,
  $$UPDATE ta.cards SET region = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE id < 3; UPDATE ta.parents p SET p = 'x' FROM seen WHERE p.p = seen.email;
    UPDATE ta.parents p SET p = seen.email FROM seen, ta.cards c WHERE p.p = c.email_p AND c.id = 2$$]) s;
-- only the column itself
REVOKE ALL ON ta.cards, ta.cards_a, ta.cards_b, ta.cards_c FROM regress_pseudo_thief;
GRANT SELECT (id, email_p), UPDATE (email_p), INSERT (id, region, email_p) ON ta.cards TO regress_pseudo_thief;
SELECT ta.try_card(s) FROM unnest(ARRAY[
  $$UPDATE ta.cards SET email_p = seen.email FROM seen WHERE id IN (2, 3, 4)$$, $$INSERT INTO ta.cards (id, region, email_p) SELECT 9, 'c', email FROM seen$$,
  $$SELECT email FROM ta.cards$$]) s;
DROP SCHEMA ta, own CASCADE;
DROP OWNED BY regress_pseudo_thief;
DROP ROLE regress_pseudo_thief;
