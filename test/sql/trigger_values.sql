--
-- What the trigger makes of values and columns that look right and are not: pseudonyms spelled in another way, equality
-- that is wider than bytes, columns that can have no pseudonyms.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE SCHEMA tv;

--
-- Spelling.  A value whose pseudonym needs padding.
--
CREATE TABLE tv.t (id int, e text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.t FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('e', 'deterministic=true');
CREATE TABLE tv.kept (e text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.kept FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('e', 'existing=keep');
CREATE TABLE tv.taken (e text);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.taken FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('e', 'existing=value');
CREATE TEMPORARY TABLE p AS
  SELECT p, rtrim(p, '=') AS bare FROM pseudonymize('a value of 36 bytes, ' || repeat('x', 15), true) p;
CREATE TEMPORARY TABLE spelled (what text, e text);
INSERT INTO spelled
  SELECT what, e FROM p, LATERAL (VALUES
    ('newline behind', p || E'\n'), ('return behind', p || E'\r'), ('blank before', ' ' || p), ('tab inside', overlay(p PLACING E'\t' FROM 20 FOR 0)),
    ('form feed', p || E'\f'), ('vertical tab', E'\v' || p),
    ('lines of ten', regexp_replace(p, '(.{10})', E'\\1\r\n', 'g')), ('lines of 76', regexp_replace(p, '(.{76})', E'\\1\n', 'g')),
    ('blocks of five', regexp_replace(p, '(.{5})', '\1 ', 'g')), ('quotes', '"' || p || '"'), ('apostrophes', '''' || p || ''''),
    ('no padding', bare), ('half a padding', bare || '='), ('URL alphabet', translate(p, '+/', '-_') || ' '), ('URL, no padding', translate(bare, '+/', '-_')),
    ('no-break space', p || U&'\00A0'), ('zero width', overlay(p PLACING U&'\200B' FROM 9 FOR 0)), ('byte order mark', U&'\FEFF' || p),
    ('ideographic space', p || U&'\3000'), ('line separator', p || U&'\2028')) v (what, e);
-- each is refused, in INSERT, UPDATE and with existing=keep, and none is shown
SELECT what, t.err(format('INSERT INTO tv.t VALUES (1, %L)', e)) LIKE '23514: %looks like a pseudonym%' AS refused,
       t.err(format('INSERT INTO tv.kept VALUES (%L)', e)) LIKE '23514: %looks like a pseudonym%' AS "not kept"
  FROM spelled, p ORDER BY what COLLATE "C";
INSERT INTO tv.t VALUES (1, 'x');
SELECT count(*) FROM spelled WHERE t.err(format('UPDATE tv.t SET e = %L', e)) LIKE '23514: %looks like a pseudonym%';
\set VERBOSITY default
INSERT INTO tv.t SELECT 1, e FROM spelled WHERE what = 'newline behind';
-- existing=value takes them
INSERT INTO tv.taken SELECT e FROM spelled;
SELECT count(*) FROM tv.taken JOIN spelled ON reidentify(taken.e) = spelled.e;
-- of all lengths, in every form of ours: fewer than 1 in 10,000 is missed
SELECT count(*) > 5000 - 2 FROM (SELECT DISTINCT p FROM generate_series(1, 5000) n, pseudonymize(repeat('v', n % 40), n % 2 = 0, n::text) p) s
 WHERE t.err(format('INSERT INTO tv.t VALUES (1, %L)', regexp_replace(p, '(.{20})', E'\\1\n'))) LIKE '23514%';
-- what people write is a value: sentences, names, slugs, UUIDs, hexadecimal digits in groups, numbers
CREATE TEMPORARY TABLE written (e text);
INSERT INTO written VALUES ('Please call back tomorrow morning before nine oclock thanks'), ('Frau Dr Maria Luise von der Heide Schmidt Bergmann'),
  ('some-long-slug-in-a-url-with-many-words-and-more-of-it'), ('Musterstrasse 12A 10115 Berlin Hinterhaus 3 OG links'),
  ('550e8400-e29b-41d4-a716-446655440000 550e8400-e29b-41d4-a716-446655440001'), ('0123456789 0123456789 0123456789 0123456789 0123456789'),
  ('DE89 3704 0044 0532 0130 00 DE89 3704 0044 0532 0130 01'), (repeat('word ', 20)), (repeat(' ', 100)), (repeat('Ab ', 100)),
  (U&'D\00FCsseldorf K\00F6nigsallee und noch viel mehr Text ohne Punkt'), ('THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND MORE');
INSERT INTO tv.t SELECT 2, e FROM written;
SELECT count(*) FROM tv.t JOIN written w ON reidentify(t.e) = w.e WHERE id = 2;
DROP TABLE tv.taken, tv.kept;

--
-- Equality that is wider than bytes: a warning at the trigger's first row, once a session, that names what compares so.
--
CREATE EXTENSION citext SCHEMA tv;
CREATE EXTENSION btree_gist SCHEMA tv;
CREATE COLLATION tv.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN tv.mail AS tv.citext;
CREATE TABLE tv.wide (ci tv.citext, dom tv.mail, coll text COLLATE tv.nocase, expr text, pred text, idx text, excl text, fine text UNIQUE, padded char(60) UNIQUE, pattern varchar(100), plain text);
CREATE UNIQUE INDEX wide_expr ON tv.wide (lower(expr));
CREATE UNIQUE INDEX wide_pred ON tv.wide (plain) WHERE pred LIKE 'a%';
CREATE UNIQUE INDEX wide_idx ON tv.wide (idx COLLATE tv.nocase);
CREATE UNIQUE INDEX wide_pattern ON tv.wide (pattern varchar_pattern_ops);
CREATE INDEX wide_free ON tv.wide (lower(plain));
ALTER TABLE tv.wide ADD CONSTRAINT wide_excl EXCLUDE USING gist (excl WITH <>), ADD CONSTRAINT wide_fine EXCLUDE USING gist (fine WITH =);
CREATE TRIGGER wide BEFORE INSERT OR UPDATE ON tv.wide FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('ci', 'dom', 'coll', 'expr', 'pred', 'idx', 'excl', 'fine', 'padded', 'pattern', 'plain', 'deterministic=true');
INSERT INTO tv.wide DEFAULT VALUES;
INSERT INTO tv.wide DEFAULT VALUES;
-- the blanks behind char(n) are no part of the value
CREATE TABLE tv.chars (c char(60) UNIQUE, b bpchar UNIQUE);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.chars FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('c', 'b', 'deterministic=true');
INSERT INTO tv.chars VALUES ('x', 'y');
SELECT t.err($$INSERT INTO tv.chars VALUES ('x  ', NULL)$$) LIKE '23505%', t.err($$INSERT INTO tv.chars VALUES (NULL, 'y  ')$$) LIKE '23505%';
-- random pseudonyms are equal to none
CREATE TABLE tv.random (e tv.citext);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.random FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('e');
INSERT INTO tv.random VALUES ('x');
DROP TABLE tv.wide, tv.chars, tv.random;

--
-- All faults of a trigger's columns at once, at its first row.
--
CREATE TABLE tv.odd (id int, e text, j jsonb, a text[], g text GENERATED ALWAYS AS (upper(e)) STORED);
CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.odd FOR EACH ROW
  EXECUTE FUNCTION pseudonymize_trigger('e', 'id', 'gone', 'j', 'a', 'g');
INSERT INTO tv.odd DEFAULT VALUES;
CREATE OR REPLACE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.odd FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('j');
INSERT INTO tv.odd DEFAULT VALUES;
CREATE OR REPLACE TRIGGER pseudo BEFORE INSERT OR UPDATE ON tv.odd FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('a');
INSERT INTO tv.odd DEFAULT VALUES;
DROP TABLE tv.odd;
SET client_min_messages = error;
DROP SCHEMA tv CASCADE;
