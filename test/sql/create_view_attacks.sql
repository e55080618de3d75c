--
-- The views that pseudo_create_view() makes in the place of those that are written by hand in views.sql and attacks.sql:
-- what works there works here, and no attack does.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\cd :abs_srcdir
\set generated on
-- Only what the statements give.
\set ECHO none
\i sql/views.sql
\i sql/attacks.sql
\set ECHO all
\set VERBOSITY terse
SET client_min_messages = warning;
SET search_path = public;
CREATE ROLE regress_pseudo_officer;
CREATE ROLE regress_pseudo_analyst;
CREATE SCHEMA masked AUTHORIZATION regress_pseudo_officer;
CREATE SCHEMA lab AUTHORIZATION regress_pseudo_analyst;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_officer, regress_pseudo_analyst;
GRANT USAGE ON TYPE pseudo.pseudo_role TO regress_pseudo_officer;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO regress_pseudo_officer;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_officer;
CREATE FUNCTION t.set_labels(relation regclass, label text) RETURNS void LANGUAGE plpgsql AS
$$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped LOOP
    EXECUTE format('SECURITY LABEL FOR pseudo ON COLUMN %s.%I IS %L', relation, name, label);
  END LOOP;
END
$$;

-- Names of columns and tables.
CREATE SCHEMA "s"".""x";
CREATE TABLE "s"".""x"."t"";drop table t;--" ("a"";drop" text, "it's" text, "new
line" text, "pseudonymize_as" text, "select" text, "back\slash" text, "text" text, "pg_catalog.text" text, "$1" text, "(x)" text, "--" text, "/*" text, " IS last=4" text, "t"";drop table t;--" text);
ALTER TABLE "s"".""x"."t"";drop table t;--" ADD "a name of just as many bytes as a name can have, which is sixty3" text;
SELECT max(length(attname)) FROM pg_attribute WHERE attrelid = '"s"".""x"."t"";drop table t;--"'::regclass;
INSERT INTO "s"".""x"."t"";drop table t;--" VALUES ('1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15');
SELECT t.set_labels('"s"".""x"."t"";drop table t;--"', 'deterministic');
SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user', '"select" = ''5'' AND "t"";drop table t;--" = ''14''', true, context => E'it''s \\ "$$');
SELECT * FROM masked."v"";drop";
SELECT bool_and(a.attname = b.attname) FROM pg_attribute a JOIN pg_attribute b USING (attnum) WHERE a.attrelid = 'masked."v"";drop"'::regclass AND b.attrelid = '"s"".""x"."t"";drop table t;--"'::regclass AND attnum > 0;
DO $$
DECLARE
  arguments text;
BEGIN
  SELECT string_agg(quote_literal(quote_ident(attname) || ' IS deterministic'), ', ' ORDER BY attnum) INTO arguments FROM pg_attribute WHERE attrelid = '"s"".""x"."t"";drop table t;--"'::regclass AND attnum > 0;
  EXECUTE format('CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON "s"".""x"."t"";drop table t;--" FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(%s)', arguments);
END
$$;
SELECT t.err($$SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user')$$);
DO $$
DECLARE
  names text[];
BEGIN
  SELECT array_agg(attname) INTO names FROM pg_attribute WHERE attrelid = '"s"".""x"."t"";drop table t;--"'::regclass AND attnum > 0;
  CALL pseudo.pseudonymize_table('"s"".""x"."t"";drop table t;--"', names, true);
END
$$;
SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user', NULL, true,
  ARRAY['a";drop', 'it''s', E'new\nline', '"back\slash" IS last=1', ' IS last=4', '"$1" IS LAST=4']);
SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user', NULL, true,
  ARRAY['a";drop', 'it''s', E'new\nline', '"back\slash" IS last=1', ' IS last=4', '"$1" IS last=4']);
SELECT "a"";drop", "it's", "new
line", "back\slash", " IS last=4", "$1", pseudo.reidentify("select") FROM masked."v"";drop";
SELECT t.set_labels('"s"".""x"."t"";drop table t;--"', 'hide');
DROP TRIGGER zz_pseudo ON "s"".""x"."t"";drop table t;--";
SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user') LIKE '%NULL::pg_catalog.text AS "a"";drop",%';
SELECT t.set_labels('"s"".""x"."t"";drop table t;--"', 'keep');
SELECT pseudo.pseudo_create_view('"s"".""x"."t"";drop table t;--"', 'masked."v"";drop"', 'current_user', hide_order => true);
SET client_min_messages = error;
DROP SCHEMA "s"".""x" CASCADE;
SET client_min_messages = warning;

-- Names of roles, contexts and keyrings, whatever standard_conforming_strings says (PostgreSQL 19 has it on always).
CREATE ROLE "regress_pseudo_'\""x";
DO $do$ BEGIN EXECUTE format('CREATE SERVER "k''\""y" FOREIGN DATA WRAPPER pseudo OPTIONS (provider ''file'', path %L)', t.path('pseudo')); END $do$;
GRANT USAGE ON SCHEMA pseudo TO "regress_pseudo_'\""x";
CREATE TABLE t.quoted (email text, phone text);
INSERT INTO t.quoted VALUES ('1@example.com', NULL);
SELECT t.set_labels('t.quoted', E'deterministic, context="it''s \\'' || \\\\ ""$$ /*", keyring="pseudo"');
SECURITY LABEL FOR pseudo ON COLUMN t.quoted.phone IS E'deterministic, context="\\", keyring="k''\\""y"';
SELECT pseudo.pseudo_create_view('t.quoted', 'masked.quoted', E'"regress_pseudo_''\\""x"', $f$email <> E'\\\\'''$f$);
SELECT pg_get_viewdef('masked.quoted') AS definition \gset
SELECT t.err('SET escape_string_warning = off') IS NOT NULL;
SELECT t.err('SET standard_conforming_strings = off') IS NOT NULL;
SELECT replace(pseudo.pseudo_create_view('t.quoted', 'masked.quoted', E'"regress_pseudo_''\\""x"', $f$email <> E'\\\\'''$f$), ' OR REPLACE', '');
SET standard_conforming_strings = on;
SELECT t.err('RESET escape_string_warning') IS NOT NULL;
SELECT pg_get_viewdef('masked.quoted') = :'definition';
SELECT t.err('SELECT email FROM masked.quoted');
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO "regress_pseudo_'\""x";
GRANT USAGE ON FOREIGN SERVER pseudo TO "regress_pseudo_'\""x";
SELECT pseudo.reidentify(email, E'it''s \\'' || \\\\ "$$ /*') FROM masked.quoted;
DROP VIEW masked.quoted;
DROP SERVER "k'\""y";
DROP OWNED BY "regress_pseudo_'\""x";
DROP ROLE "regress_pseudo_'\""x";

-- A search_path of fakes.
CREATE TABLE t.faked (id int, email text, phone text, name varchar(80));
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON t.faked FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('phone IS deterministic');
INSERT INTO t.faked VALUES (1, '1@example.com', '5551234', 'name');
SECURITY LABEL FOR pseudo ON COLUMN t.faked.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.faked.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.faked.phone IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.faked.name IS 'deterministic';
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.caught(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'caught %', $1; RETURN 'caught'; END $$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.caught(VALUE::pg_catalog.text) IS NULL);
CREATE DOMAIN evil.pseudo_role AS pg_catalog.text CHECK (evil.caught(VALUE) IS NULL);
CREATE FUNCTION evil.pseudonymize_as(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($2);
CREATE FUNCTION evil.pseudonymize_as(pseudo.pseudo_role, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($2);
CREATE FUNCTION evil.reidentify_as(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($2);
CREATE FUNCTION evil.is_pseudonym(pg_catalog.text, pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE sql RETURN evil.caught($1) IS NULL;
CREATE FUNCTION evil.right(pg_catalog.text, int) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($1);
CREATE FUNCTION evil.substr(pg_catalog.text, int) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($1);
CREATE FUNCTION evil.both(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($1);
CREATE FUNCTION evil.less(record, record) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'caught a record'; RETURN true; END $$;
CREATE OPERATOR evil.|| (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = evil.both);
CREATE OPERATOR evil.*< (LEFTARG = record, RIGHTARG = record, FUNCTION = evil.less);
CREATE TABLE evil.faked (id int, email pg_catalog.text, phone pg_catalog.text, name pg_catalog.text);
CREATE TABLE evil.pg_class (oid oid);
CREATE FUNCTION evil.format(pg_catalog.text, VARIADIC pg_catalog.text[]) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($1);
CREATE FUNCTION evil.quote_ident(name) RETURNS pg_catalog.text LANGUAGE sql RETURN evil.caught($1::pg_catalog.text);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = pg_catalog.oidne);
GRANT SELECT ON t.faked TO regress_pseudo_officer;
GRANT ALL ON ALL TABLES IN SCHEMA evil TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
SET search_path = evil, pg_catalog, pseudo;
SELECT pseudo.pseudo_create_view('t.faked'::regclass, 'masked.faked'::pg_catalog.text, 'regress_pseudo_officer'::pg_catalog.text, hide_order => true);
SELECT pseudo.pseudo_create_view('t.faked'::regclass, 'masked.faked'::pg_catalog.text, 'regress_pseudo_officer'::pg_catalog.text, reidentify => '{phone IS last=4}'::pg_catalog.text[]);
COMMENT ON VIEW masked.faked IS 'comment';
RESET search_path;
SELECT replace(pg_get_viewdef('masked.faked'), 'faked.', '');
SELECT id, pseudo.reidentify(email), phone FROM masked.faked;
RESET ROLE;
SECURITY LABEL FOR pseudo ON COLUMN t.faked.name IS 'hide';
SET ROLE regress_pseudo_officer;
SET search_path = evil, pg_catalog, pseudo;
SELECT pseudo.pseudo_create_view('t.faked'::regclass, 'masked.faked'::pg_catalog.text, 'regress_pseudo_officer'::pg_catalog.text);
RESET search_path;
SELECT id, pseudo.reidentify(email), pseudo.reidentify(phone), obj_description('masked.faked'::regclass) FROM masked.faked;
RESET ROLE;
SET client_min_messages = error;
DROP SCHEMA evil CASCADE;
SET client_min_messages = warning;

-- Columns of domains whose functions are their owner's: neither the view nor its making runs them.
CREATE FUNCTION t.spy(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'spied'; RETURN true; END $$;
CREATE DOMAIN t.spied AS text NOT NULL CHECK (t.spy(VALUE));
CREATE DOMAIN t.spied_int AS int NOT NULL CHECK (t.spy(VALUE::text));
CREATE TABLE t.domains (kept t.spied, hidden t.spied, hidden_int t.spied_int, many t.spied[], email t.spied, stored t.spied);
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON t.domains FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('stored IS deterministic');
SET client_min_messages = error;
INSERT INTO t.domains VALUES ('kept', 'hidden', 1, '{many}', 'email', 'stored');
SET client_min_messages = warning;
SELECT t.set_labels('t.domains', 'hide');
SECURITY LABEL FOR pseudo ON COLUMN t.domains.kept IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.domains.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.domains.stored IS 'deterministic';
GRANT SELECT ON t.domains TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
SELECT pseudo.pseudo_create_view('t.domains', 'masked.domains', 'regress_pseudo_officer', hide_order => true);
SELECT kept, hidden, hidden_int, many, pseudo.reidentify(email), pseudo.reidentify(stored) FROM masked.domains;
RESET ROLE;

-- The order of the plaintext, which an index gives away, on its own or behind a column that is shown; and what hides it.
CREATE TABLE t.born (id int PRIMARY KEY, region int, birthday text);
INSERT INTO t.born SELECT n, n % 50, (date '1940-01-01' + (n * 7919 % 25000))::text FROM generate_series(1, 5000) n;
CREATE UNIQUE INDEX ON t.born (birthday) INCLUDE (id);
CREATE INDEX born_region ON t.born (region, birthday);
CLUSTER t.born USING born_region;
VACUUM ANALYZE t.born;
SELECT t.set_labels('t.born', 'keep');
SECURITY LABEL FOR pseudo ON COLUMN t.born.birthday IS 'deterministic';
GRANT SELECT ON t.born TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
SELECT pseudo.pseudo_create_view('t.born', 'masked.born', 'regress_pseudo_officer') IS NOT NULL, pseudo.pseudo_create_view('t.born', 'masked.born_hidden', 'regress_pseudo_officer', hide_order => true) IS NOT NULL;
GRANT SELECT ON masked.born, masked.born_hidden TO regress_pseudo_analyst;
GRANT USAGE ON SCHEMA masked TO regress_pseudo_analyst;
RESET ROLE;
-- how many ids does a statement of the analyst's rank as the plaintext does?
CREATE FUNCTION t.rightly_ranked(statement text) RETURNS bigint LANGUAGE plpgsql AS
$$
DECLARE
  ids int[];
BEGIN
  SET LOCAL ROLE regress_pseudo_analyst;
  EXECUTE format('SELECT array_agg(id) FROM (%s) AS s', statement) INTO ids;
  RESET ROLE;
  RETURN (SELECT count(*) FROM unnest(ids) WITH ORDINALITY AS r (id, rank) JOIN
    (SELECT b.id, row_number() OVER (ORDER BY birthday) AS rank FROM t.born b WHERE b.id = ANY (ids)) AS t USING (id) WHERE r.rank = t.rank);
END
$$;
SET max_parallel_workers_per_gather = 0;
SET enable_bitmapscan = off;
SELECT t.rightly_ranked('SELECT id, birthday FROM masked.born WHERE region = 7') AS shown, t.rightly_ranked('SELECT id, birthday FROM masked.born_hidden WHERE region = 7') < 20 AS hidden;
SET enable_seqscan = off;
SELECT t.rightly_ranked('SELECT id FROM masked.born_hidden OFFSET 0') < 50 AS hidden;
SET enable_sort = off;
SET enable_hashagg = off;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT t.rightly_ranked(s) < 50 AS hidden FROM unnest(ARRAY['SELECT id FROM masked.born_hidden', 'SELECT max(id) AS id FROM masked.born_hidden GROUP BY birthday',
  'SELECT a.id FROM masked.born_hidden a JOIN masked.born_hidden b USING (birthday)', 'SELECT DISTINCT ON (birthday) id FROM masked.born_hidden']) s;
RESET enable_sort;
RESET enable_hashagg;
RESET enable_hashjoin;
RESET enable_nestloop;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET max_parallel_workers_per_gather;
DROP FUNCTION t.rightly_ranked;

-- An analyst gets no further with the function than with CREATE VIEW.
GRANT SELECT ON ALL TABLES IN SCHEMA masked TO regress_pseudo_analyst;
GRANT USAGE ON SCHEMA masked, t TO regress_pseudo_analyst;
CREATE TABLE t.secrets (id int, secret text);
INSERT INTO t.secrets VALUES (1, 'secret');
SELECT t.set_labels('t.secrets', 'keep');
SET ROLE regress_pseudo_analyst;
SET search_path = lab;
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.faked', 'v', 'regress_pseudo_officer')$$);
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.faked', 'v', 'regress_pseudo_analyst')$$);
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.faked', 'v', 'current_user')$$);
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.faked', 'masked.faked', 'regress_pseudo_analyst')$$);
SELECT t.err($$SELECT pseudo.pseudo_create_view('masked.faked', 'v', 'regress_pseudo_analyst')$$);
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.secrets', 'v', 'regress_pseudo_officer')$$);
SELECT pseudo.pseudo_create_view('t.secrets', 'v', 'regress_pseudo_analyst');
SELECT t.err('SELECT * FROM lab.v');
SELECT t.err($$SECURITY LABEL FOR pseudo ON VIEW masked.faked IS 'from labels'$$);
SELECT t.err($$SECURITY LABEL FOR pseudo ON COLUMN t.secrets.secret IS 'keep'$$);
-- A view of theirs in the way of somebody else's is not filled with what that one may read.
CREATE TABLE lab.own (id int);
SECURITY LABEL FOR pseudo ON COLUMN lab.own.id IS 'keep';
SELECT pseudo.pseudo_create_view('lab.own', 'lab.trap', 'regress_pseudo_analyst');
RESET ROLE;
SELECT t.err($$SELECT pseudo.pseudo_create_view('t.secrets', 'lab.trap', 'regress_pseudo_officer')$$);
-- A table of theirs that somebody else makes a view of: its policies are not run for that.
SET ROLE regress_pseudo_analyst;
CREATE FUNCTION lab.steal() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN true; END $$;
CREATE TABLE lab.bait (email text);
INSERT INTO lab.bait VALUES ('1@example.com');
ALTER TABLE lab.bait ENABLE ROW LEVEL SECURITY;
CREATE POLICY steal ON lab.bait USING (lab.steal());
SECURITY LABEL FOR pseudo ON COLUMN lab.bait.email IS 'deterministic';
GRANT SELECT ON lab.bait TO regress_pseudo_officer;
GRANT USAGE ON SCHEMA lab TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
SELECT t.err($$SELECT pseudo.pseudo_create_view('lab.bait', 'masked.bait', 'regress_pseudo_officer')$$);
RESET ROLE;
RESET search_path;

SET client_min_messages = error;
DROP SCHEMA masked, lab CASCADE;
DROP TABLE t.born, t.quoted, t.faked, t.domains, t.secrets;
DROP DOMAIN t.spied, t.spied_int;
DROP FUNCTION t.spy, t.set_labels;
DROP OWNED BY regress_pseudo_officer, regress_pseudo_analyst;
DROP ROLE regress_pseudo_officer, regress_pseudo_analyst;
