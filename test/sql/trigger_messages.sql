--
-- What PostgreSQL's messages show of the rows that the trigger has pseudonymized.  A writer who may only INSERT, and read nothing, sees
-- the pseudonym of a value of theirs in the DETAIL of a row that fails; with row-level security on the table they do not.  In the
-- condition of a view of their own they see it all the same: a context for each such table is what helps, as the documentation says.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_guesser;
CREATE SCHEMA tm;
CREATE SCHEMA mine AUTHORIZATION regress_pseudo_guesser;
GRANT USAGE ON SCHEMA tm TO regress_pseudo_guesser;
CREATE TABLE tm.cities (name text PRIMARY KEY);
CREATE TABLE tm.letter (id int NOT NULL, email text UNIQUE, city text REFERENCES tm.cities, phone text, CHECK (id > 0), EXCLUDE (phone WITH =));
CREATE TABLE tm.parts (id int NOT NULL, email text, CHECK (id > 0)) PARTITION BY RANGE (id);
CREATE TABLE tm.parts1 PARTITION OF tm.parts FOR VALUES FROM (0) TO (10);
CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON tm.letter FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'city', 'phone', 'deterministic=true');
CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON tm.parts FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true');
INSERT INTO tm.letter VALUES (1, 'guess@example.com', NULL, '555');
GRANT INSERT ON tm.letter, tm.parts, tm.parts1 TO regress_pseudo_guesser;
GRANT CREATE, USAGE ON SCHEMA mine TO regress_pseudo_guesser;
SET ROLE regress_pseudo_guesser;
CREATE VIEW mine.letter AS SELECT * FROM tm.letter WHERE id > 5 WITH CHECK OPTION;
CREATE VIEW mine.parts AS SELECT * FROM tm.parts WHERE id > 5 WITH CHECK OPTION;
CREATE VIEW mine.condition AS SELECT * FROM tm.parts WHERE email::inet IS NOT NULL WITH CHECK OPTION;
RESET ROLE;
-- Run a statement as the writer: the SQLSTATE, and whether any part of the message has the pseudonym of the guess.
CREATE FUNCTION tm.try(statement text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE state text; message text; detail text; context text; hint text;
BEGIN
  SET LOCAL ROLE regress_pseudo_guesser;
  EXECUTE statement;
  RAISE 'nothing fails';
EXCEPTION WHEN OTHERS THEN
  RESET ROLE;
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT, hint = PG_EXCEPTION_HINT;
  RETURN state || CASE WHEN strpos(message || detail || context || hint, left(pseudonymize('guess@example.com', true), 60)) > 0 THEN ' shown' ELSE '' END;
END
$$;
CREATE TEMPORARY TABLE attempts (no int GENERATED ALWAYS AS IDENTITY, what text, statement text);
INSERT INTO attempts (what, statement) VALUES
  ('NOT NULL', $$INSERT INTO tm.letter VALUES (NULL, 'guess@example.com')$$), ('CHECK', $$INSERT INTO tm.letter VALUES (-1, 'guess@example.com')$$),
  ('UNIQUE', $$INSERT INTO tm.letter VALUES (2, 'guess@example.com')$$), ('EXCLUDE', $$INSERT INTO tm.letter VALUES (2, 'guess@example.com', NULL, '555')$$),
  ('FOREIGN KEY', $$INSERT INTO tm.letter VALUES (2, NULL, 'guess@example.com')$$), ('CHECK OPTION of their view', $$INSERT INTO mine.letter VALUES (2, 'other@example.com', NULL, 'guess@example.com')$$),
  ('RETURNING', $$INSERT INTO tm.letter VALUES (2, 'guess@example.com') RETURNING email$$),
  ('no partition', $$INSERT INTO tm.parts VALUES (11, 'guess@example.com')$$), ('bounds of a partition', $$INSERT INTO tm.parts1 VALUES (11, 'guess@example.com')$$),
  ('CHECK of a partition', $$INSERT INTO tm.parts VALUES (-1, 'guess@example.com')$$), ('NOT NULL of a partition', $$INSERT INTO tm.parts1 VALUES (NULL, 'guess@example.com')$$),
  ('CHECK OPTION, in a partition', $$INSERT INTO mine.parts VALUES (2, 'guess@example.com')$$),
  ('condition of their view', $$INSERT INTO mine.condition VALUES (2, 'guess@example.com')$$);
SELECT what, tm.try(statement) FROM attempts ORDER BY no;
-- With row-level security no row is shown; the policy may let all pass.  A condition of their own sees it: there, a context is all that helps.
ALTER TABLE tm.letter ENABLE ROW LEVEL SECURITY;
ALTER TABLE tm.parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tm.parts1 ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON tm.letter USING (true) WITH CHECK (true);
CREATE POLICY everything ON tm.parts USING (true) WITH CHECK (true);
CREATE POLICY everything ON tm.parts1 USING (true) WITH CHECK (true);
SELECT what, tm.try(statement) FROM attempts ORDER BY no;
-- nor by a policy that refuses the row
DROP POLICY everything ON tm.letter;
CREATE POLICY few ON tm.letter USING (true) WITH CHECK (id > 100);
SELECT tm.try($$INSERT INTO tm.letter VALUES (1, 'guess@example.com')$$);
-- the pseudonym that a table with a context of its own gives is found nowhere else
CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON tm.parts FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'deterministic=true', 'context=parts');
SELECT tm.try($$INSERT INTO mine.condition VALUES (2, 'guess@example.com')$$);
DROP OWNED BY regress_pseudo_guesser;
DROP SCHEMA tm CASCADE;
DROP ROLE regress_pseudo_guesser;
