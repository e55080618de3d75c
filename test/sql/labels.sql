--
-- Labels: what a label may say, and which columns take it.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
-- Without the library there are no labels; any function of the extension loads it.
CREATE TABLE people (id int PRIMARY KEY, name text, email text UNIQUE, phone varchar(20), born date, note text,
  age int, email_p text, up text GENERATED ALWAYS AS (upper(note)) STORED);
-- the label of a column, as it is stored
CREATE FUNCTION t.label(relation regclass, name text) RETURNS text LANGUAGE sql AS
$$ SELECT col.label FROM pg_seclabels AS col JOIN pg_attribute AS a ON a.attrelid = col.objoid AND a.attnum = col.objsubid
   WHERE col.objoid = relation AND a.attname = name AND col.provider = 'pseudo' $$;
-- set one
CREATE FUNCTION t.relabel(relation text, name text, label text) RETURNS text LANGUAGE sql AS
$$ SELECT t.err(format('SECURITY LABEL FOR pseudo ON COLUMN %s.%I IS %L', relation, name, label)) $$;

SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;

-- What a label may say.
SELECT t.relabel('people', 'name', 'random');
SELECT t.relabel('people', 'email', 'deterministic, context=crm');
SELECT t.relabel('people', 'note', ' deterministic ,  context = "a, ""b"" " , existing=keep, keyring="pseudo"');
SELECT t.label('people', 'note');
SELECT t.relabel('people', 'note', 'hide');
SELECT t.relabel('people', 'id', 'keep');
SELECT t.relabel('people', 'born', 'hide');
SECURITY LABEL FOR pseudo ON COLUMN people.born IS NULL;
SELECT t.label('people', 'born') IS NULL;
SELECT label, t.relabel('people', 'note', label) FROM (VALUES
  (''), ('secret'), ('Random'), ('random deterministic'), ('random,'), ('random, '), ('random, context'), ('random, context=a, context=b'),
  ('random, kontext=a'), ('random, existing=maybe'), ('random, keyring='), ('random, keyring=' || repeat('x', 64)), ('random, into='),
  ('random, context="a'), ('random, context="a"b'), ('random, context="'), ('random, context="a""'), ('keep, context=a'), ('hide, into=email_p')) AS labels (label);
-- a keyring need not be there yet: a dump makes tables first
SET client_min_messages = notice;
SELECT t.relabel('people', 'name', 'random, keyring=elsewhere');
SET client_min_messages = warning;
SELECT t.relabel('people', 'name', 'random');

-- Which columns take it.
SELECT t.relabel('people', 'age', 'random');
SELECT t.relabel('people', 'up', 'random');
SELECT t.relabel('people', 'email', 'random');
SELECT t.relabel('people', 'age', 'hide');
CREATE TABLE wide (n text, kind text);
CREATE UNIQUE INDEX wide_n ON wide (lower(n));
SELECT t.relabel('wide', 'n', 'random');
SELECT t.relabel('wide', 'n', 'deterministic');
CREATE VIEW people_view AS SELECT name FROM people;
SELECT t.relabel('people_view', 'name', 'random');
CREATE TYPE pair AS (a text, b text);
SELECT t.relabel('pair', 'a', 'random');
SELECT t.err('SECURITY LABEL FOR pseudo ON TABLE people IS ''random''');
SELECT t.err('SECURITY LABEL FOR pseudo ON SCHEMA t IS ''random''');
CREATE MATERIALIZED VIEW people_copy AS SELECT name, note FROM people;
SELECT t.relabel('people_copy', 'name', 'random');
SELECT t.relabel('people_copy', 'name', 'random, into=note');

-- into=
SELECT t.relabel('people', 'phone', 'deterministic, into=phone_p');
SELECT t.relabel('people', 'phone', 'deterministic, into=phone');
SELECT t.relabel('people', 'phone', 'deterministic, into=age');
SELECT t.relabel('people', 'phone', 'deterministic, into=name');
SELECT t.relabel('people', 'phone', 'random, into=email');
SELECT t.relabel('people', 'phone', 'deterministic, into=email_p');
SELECT t.relabel('people', 'note', 'deterministic, into=email_p');
SELECT t.relabel('people', 'email_p', 'keep');
SELECT t.relabel('people', 'phone', 'random, into=email_p');
SELECT t.relabel('people', 'up', 'random, into=email_p');
SELECT t.relabel('people', 'age', 'random, into=email_p');

-- Partitions: the root's labels count.
CREATE TABLE visits (day date, place text, who text, PRIMARY KEY (day, place)) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-07-01') PARTITION BY LIST (place);
CREATE TABLE visits_1_a PARTITION OF visits_1 DEFAULT;
SELECT t.relabel('visits', 'who', 'random');
SELECT t.relabel('visits', 'place', 'deterministic');
SELECT t.relabel('visits', 'place', 'deterministic, into=who');
SELECT t.relabel('visits', 'place', 'keep');
SELECT t.relabel('visits_1_a', 'who', 'random');
SELECT t.relabel('visits_1', 'who', 'random');

-- For the owner.
CREATE ROLE label_writer;
GRANT ALL ON people TO label_writer;
SET ROLE label_writer;
SELECT t.relabel('people', 'name', 'keep');
RESET ROLE;
ALTER TABLE people OWNER TO label_writer;
SET ROLE label_writer;
SELECT t.relabel('people', 'name', 'keep');
RESET ROLE;

-- Labels follow a column, and go with it.
ALTER TABLE people RENAME name TO full_name;
SELECT t.label('people', 'full_name');
ALTER TABLE people DROP COLUMN full_name CASCADE;
SELECT count(*) FROM pg_seclabels WHERE objoid = 'people'::regclass AND label = 'keep';
DROP TABLE people, wide, visits CASCADE;
SELECT count(*) FROM pg_seclabels WHERE provider = 'pseudo';
DROP TYPE pair;
DROP ROLE label_writer;
