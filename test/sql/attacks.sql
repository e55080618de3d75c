--
-- What an analyst may try who has SELECT on the views and nothing else: each is refused, or gives no more than the view.
-- With the variable "generated" set the views are those that pseudo_create_view() makes; see create_view_attacks.sql.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
\set VERBOSITY terse
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_officer;
CREATE ROLE regress_pseudo_analyst;
CREATE ROLE regress_pseudo_member NOINHERIT;
CREATE ROLE regress_pseudo_heir INHERIT;
GRANT regress_pseudo_officer TO regress_pseudo_member, regress_pseudo_heir;
CREATE SCHEMA masked AUTHORIZATION regress_pseudo_officer;
CREATE SCHEMA lab AUTHORIZATION regress_pseudo_analyst;
GRANT USAGE ON SCHEMA pseudo, masked, lab TO regress_pseudo_officer, regress_pseudo_analyst, regress_pseudo_member;
GRANT USAGE ON TYPE pseudo_role TO regress_pseudo_officer;
GRANT EXECUTE ON FUNCTION pseudonymize, reidentify TO regress_pseudo_officer;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_officer;
CREATE TABLE t.customers AS SELECT n AS id, n || '@example.com' AS email, n % 2 AS region FROM generate_series(1, 10) n;
CREATE TABLE t.masked AS SELECT id, pseudonymize(email, true) AS email, region FROM t.customers;
GRANT SELECT ON t.customers, t.masked TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
\if :{?generated}
RESET ROLE;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON t.masked FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic');
SECURITY LABEL FOR pseudo ON COLUMN t.customers.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.customers.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.customers.region IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.masked.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.masked.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.masked.region IS 'keep';
SET ROLE regress_pseudo_officer;
SELECT pseudo_create_view('t.customers', 'masked.customers', 'regress_pseudo_officer', 'region = 0');
SELECT pseudo_create_view('t.masked', 'masked.desk', 'regress_pseudo_officer', 'region = 0', reidentify => '{email}');
\else
CREATE VIEW masked.customers WITH (security_barrier) AS SELECT id, pseudo.pseudonymize_as('regress_pseudo_officer', email) AS email, region FROM t.customers WHERE region = 0;
CREATE VIEW masked.desk WITH (security_barrier) AS SELECT id, pseudo.reidentify_as('regress_pseudo_officer', email) AS email, region FROM t.masked WHERE region = 0;
\endif
-- A function of the author's with their literal in a string, and one in PL/pgSQL: not stored expressions.
CREATE FUNCTION masked.string(v text) RETURNS text LANGUAGE sql AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v) $$;
CREATE FUNCTION masked.plpgsql(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pseudo.pseudonymize_as('regress_pseudo_officer', v); END $$;
CREATE FUNCTION masked.dynamic(v text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT pseudo.pseudonymize_as(''regress_pseudo_officer'', $1)' INTO r USING v; RETURN r; END $$;
GRANT SELECT ON masked.customers, masked.desk TO regress_pseudo_analyst, regress_pseudo_member;
SET ROLE regress_pseudo_analyst;
SET search_path = lab, pseudo;
SELECT count(*) FROM masked.customers;
SELECT * FROM masked.desk WHERE id = 2;
-- Literals, in every spelling.
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer', 'guess')$$);
SELECT t.err($$SELECT reidentify_as('regress_pseudo_officer', email) FROM masked.customers$$);
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer'::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(pseudo_role 'regress_pseudo_officer', 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(CAST('"regress_pseudo_officer"' AS pseudo_role), 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(as_role => ' REGRESS_pseudo_officer ', value => 'guess')$$);
SELECT t.err(format($$SELECT pseudonymize_as(%L, 'guess')$$, (SELECT rolname FROM pg_roles WHERE rolsuper LIMIT 1))) LIKE '42501: permission denied to name role%';
SELECT t.err(format($$SELECT pseudonymize_as(%L, 'guess')$$, (SELECT oid FROM pg_roles WHERE rolname = 'regress_pseudo_officer'))) LIKE '42602: invalid name of a role: "%"%';
SELECT t.err($$SELECT pseudonymize_as('0', 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as('session_user', 'guess')$$);
-- The analyst has no rights of their own, by name or without.
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_analyst', 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as('current_user', 'guess')$$);
SELECT t.err($$SELECT pseudonymize('guess', true)$$);
SELECT t.err($$SELECT repseudonymize(email) FROM masked.customers$$);
SELECT t.err($$SELECT pseudonyms_of('guess')$$);
-- Casts and conversions at run time, arrays, composites, JSON.
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer'::text::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT 'regress_pseudo_officer'::text::pseudo_role$$);
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer'::regrole::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer'::regrole::oid::int4::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(('{regress_pseudo_officer}'::pseudo_role[])[1], 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((string_to_array('regress_pseudo_officer', ',')::pseudo_role[])[1], 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((ARRAY['regress_pseudo_officer'])[1]::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM json_to_record('{"r": "regress_pseudo_officer"}') AS j (r pseudo_role)$$);
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM jsonb_to_recordset('[{"r": "regress_pseudo_officer"}]') AS j (r pseudo_role)$$);
SELECT t.err($$SELECT pseudo_role_in('regress_pseudo_officer')$$);
SELECT t.err($$SELECT pseudonymize_as(NULL::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(coalesce(NULL, 'regress_pseudo_officer'::pseudo_role), 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((SELECT 'current_user'::pseudo_role), 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM unnest('{regress_pseudo_analyst,current_user}'::pseudo_role[]) r$$);
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM unnest('{regress_pseudo_officer,current_user}'::pseudo_role[]) r$$);
-- Polymorphic functions of their own: to make another role of one, or to pass it on.
CREATE FUNCTION lab.forge(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'regress_pseudo_officer'; END $$;
CREATE FUNCTION lab.forge_array(anyelement) RETURNS anyarray LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN '{regress_pseudo_officer}'; END $$;
SET check_function_bodies = off;
CREATE FUNCTION lab.pass(anyelement, v text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT pseudo.pseudonymize_as($1, v) $$;
CREATE FUNCTION lab.pass_plpgsql(anyelement, v text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN pseudo.pseudonymize_as($1, v); END $$;
RESET check_function_bodies;
SELECT t.err($$SELECT pseudonymize_as(lab.forge('current_user'::pseudo_role), 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((lab.forge_array('current_user'::pseudo_role))[1], 'guess')$$);
SELECT t.err($$SELECT count(*) FROM masked.customers WHERE email = pseudonymize_as(lab.forge('current_user'::pseudo_role), 'guess')$$);
SELECT t.err($$SELECT lab.pass('current_user'::pseudo_role, 'guess')$$);
SELECT t.err($$SELECT lab.pass_plpgsql('current_user'::pseudo_role, 'guess')$$);
-- Parameters: custom and generic plans, of SQL, PL/pgSQL and EXECUTE ... USING.
PREPARE param (pseudo_role, text) AS SELECT pseudonymize_as($1, $2);
SET plan_cache_mode = force_custom_plan;
SELECT t.err($$EXECUTE param ('regress_pseudo_officer', 'guess')$$);
SELECT t.err($$EXECUTE param ('regress_pseudo_analyst', 'guess')$$);
SET plan_cache_mode = force_generic_plan;
SELECT t.err($$EXECUTE param ('regress_pseudo_officer', 'guess')$$);
SELECT t.err($$EXECUTE param ('regress_pseudo_analyst', 'guess')$$);
RESET plan_cache_mode;
SELECT t.err($$DO 'DECLARE r pseudo.pseudo_role := ''regress_pseudo_officer''; BEGIN PERFORM pseudo.pseudonymize_as(r, ''guess''); END'$$);
SELECT t.err($$DO 'DECLARE r pseudo.pseudo_role := ''regress_pseudo_analyst''; BEGIN PERFORM pseudo.pseudonymize_as(r, ''guess''); END'$$);
-- Columns, domains, composites, arguments, casts of this type: no USAGE on it.
SELECT t.err($$CREATE TABLE lab.roles (r pseudo_role)$$);
SELECT t.err($$CREATE TABLE lab.roles (r pseudo_role[])$$);
SELECT t.err($$CREATE TYPE lab.c AS (r pseudo_role)$$);
SELECT t.err($$CREATE DOMAIN lab.d AS pseudo_role$$);
SELECT t.err($$CREATE DOMAIN lab.d AS text DEFAULT pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')$$);
SELECT t.err($$CREATE DOMAIN lab.d AS text CHECK (VALUE = pseudo.pseudonymize_as('regress_pseudo_officer', 'guess'))$$);
SELECT t.err($$CREATE FUNCTION lab.f(r pseudo_role) RETURNS text LANGUAGE sql RETURN 'x'$$);
SELECT t.err($$CREATE FUNCTION lab.f() RETURNS pseudo_role LANGUAGE sql IMMUTABLE AS 'SELECT ''regress_pseudo_officer''::pseudo.pseudo_role'$$);
SELECT t.err($$CREATE CAST (text AS pseudo_role) WITH INOUT AS IMPLICIT$$);
SELECT t.err($$CREATE CAST (regrole AS pseudo_role) WITHOUT FUNCTION$$);
SELECT t.err($$CREATE AGGREGATE lab.a (text) (SFUNC = array_append, STYPE = pseudo_role[])$$);
CREATE TYPE lab.own AS ENUM ('regress_pseudo_officer');
SELECT t.err($$CREATE CAST (lab.own AS pseudo_role) WITH INOUT AS IMPLICIT$$);
SELECT split_part(t.err($$SELECT pseudonymize_as('regress_pseudo_officer'::lab.own, 'guess')$$), E'\n', 1);
-- Stored expressions of their own.
CREATE TABLE lab.plain (v text);
INSERT INTO lab.plain VALUES ('2@example.com');
SELECT t.err($$CREATE VIEW lab.v AS SELECT pseudonymize_as('regress_pseudo_officer', v) FROM lab.plain$$);
SELECT t.err($$CREATE MATERIALIZED VIEW lab.v AS SELECT pseudonymize_as('regress_pseudo_officer', v) FROM lab.plain$$);
SELECT t.err($$CREATE TABLE lab.x (v text DEFAULT pseudo.pseudonymize_as('regress_pseudo_officer', 'guess'))$$);
SELECT t.err($$CREATE TABLE lab.x (v text CHECK (v = pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')))$$);
SELECT t.err($$CREATE TABLE lab.x (v text, p text GENERATED ALWAYS AS (pseudo.pseudonymize_as('regress_pseudo_officer', v)) STORED)$$);
SELECT t.err($$CREATE INDEX ON lab.plain (pseudo.pseudonymize_as('regress_pseudo_officer', v))$$);
SELECT t.err($$CREATE POLICY p ON lab.plain USING (v = pseudo.pseudonymize_as('regress_pseudo_officer', v))$$);
SELECT t.err($$CREATE RULE r AS ON INSERT TO lab.plain DO ALSO SELECT pseudo.pseudonymize_as('regress_pseudo_officer', NEW.v)$$);
SELECT t.err($$CREATE TRIGGER tr BEFORE INSERT ON lab.plain FOR EACH ROW WHEN (NEW.v = pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')) EXECUTE FUNCTION suppress_redundant_updates_trigger()$$);
SELECT t.err($$ALTER TABLE lab.plain ALTER v TYPE text USING pseudo.pseudonymize_as('regress_pseudo_officer', v)$$);
COPY (SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v) FROM lab.plain) TO STDOUT;
SELECT t.err($$CREATE FUNCTION lab.f(v text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v); END$$);
SELECT t.err($$CREATE FUNCTION lab.f(v text, d text = pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')) RETURNS text LANGUAGE sql AS 'SELECT d'$$);
-- Functions of their own, and the author's, with the caller's rights.
SET check_function_bodies = off;
CREATE FUNCTION lab.string(v text) RETURNS text LANGUAGE sql AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v) $$;
CREATE FUNCTION lab.definer(v text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v) $$;
CREATE FUNCTION lab.plpgsql(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pseudo.pseudonymize_as('regress_pseudo_officer', v); END $$;
CREATE FUNCTION lab.expression(v text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN r := pseudo.pseudonymize_as('regress_pseudo_officer', v); RETURN r; END $$;
CREATE FUNCTION lab.inlined(v text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v) $$;
CREATE FUNCTION lab.subscript(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pseudo.pseudonymize_as(('{regress_pseudo_officer}'::pseudo.pseudo_role[])[1], v); END $$;
CREATE FUNCTION lab.same(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ BEGIN RETURN $1; END $$;
CREATE FUNCTION lab.same_sql(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION lab.folded(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pseudo.pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo.pseudo_role), v); END $$;
CREATE FUNCTION lab.folded_sql(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pseudo.pseudonymize_as(lab.same_sql('regress_pseudo_officer'::pseudo.pseudo_role), v); END $$;
CREATE FUNCTION lab.folded_inlined(v text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT pseudo.pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo.pseudo_role), v) $$;
RESET check_function_bodies;
CREATE FUNCTION lab.try_all() RETURNS SETOF text LANGUAGE sql AS
$f$
SELECT f || ' -> ' || split_part(t.err(format('SELECT %s(''guess'')', f)), E'\n', 1) FROM unnest('{lab.string,lab.definer,lab.plpgsql,lab.expression,lab.inlined,lab.subscript,lab.folded,lab.folded_sql,lab.folded_inlined,masked.string,masked.plpgsql,masked.dynamic}'::text[]) f
$f$;
SELECT lab.try_all();
-- The same once the author has run them first, in this session; what is folded never is a literal.
RESET ROLE;
SET ROLE regress_pseudo_officer;
SELECT lab.try_all();
SET ROLE regress_pseudo_analyst;
SELECT lab.try_all();
SET ROLE regress_pseudo_officer;
SELECT lab.try_all();
RESET ROLE;
SET SESSION AUTHORIZATION regress_pseudo_analyst;
SELECT lab.try_all();
RESET SESSION AUTHORIZATION;
-- One function across roles, within one statement of PL/pgSQL.
DO $$
BEGIN
  FOR i IN 1..4 LOOP
    PERFORM set_config('role', CASE WHEN i % 2 = 1 THEN 'regress_pseudo_officer' ELSE 'regress_pseudo_analyst' END, true);
    RAISE WARNING '% %', i, (SELECT string_agg(split_part(t.err(format('SELECT %s(''guess'')', f)), ':', 1), ' ') FROM unnest('{lab.string,lab.plpgsql,lab.expression,lab.inlined,masked.string,masked.plpgsql}'::text[]) f);
  END LOOP;
END
$$;
RESET ROLE;
-- Statements prepared by the author or a superuser, run by another: generic and custom, in workers too.
SET search_path = lab, pseudo;
CREATE TABLE t.guesses AS SELECT n || '@example.com' AS v FROM generate_series(1, 1000) n;
ANALYZE t.guesses;
GRANT SELECT ON t.guesses TO PUBLIC;
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET ROLE regress_pseudo_officer;
PREPARE literal AS SELECT pseudonymize_as('regress_pseudo_officer', 'guess');
PREPARE scan AS SELECT count(pseudonymize_as('regress_pseudo_officer', v)) FROM t.guesses;
PREPARE filter AS SELECT count(*) FROM t.guesses WHERE pseudonymize_as('regress_pseudo_officer', v) > 'a';
PREPARE subscript AS SELECT count(pseudonymize_as(('{regress_pseudo_officer}'::pseudo_role[])[1], v)) FROM t.guesses;
PREPARE folded AS SELECT count(*) FROM t.guesses WHERE pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo_role), v) > 'a';
PREPARE pulled AS SELECT count(pseudonymize_as(r, v)) FROM t.guesses, (SELECT lab.same('regress_pseudo_officer'::pseudo_role) AS r) AS s;
PREPARE literal_pulled AS SELECT count(pseudonymize_as(r, v)) FROM t.guesses, (SELECT 'regress_pseudo_officer'::pseudo_role AS r) AS s;
PREPARE open AS SELECT reidentify_as('regress_pseudo_officer', 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
PREPARE call AS SELECT masked.string('guess'), masked.plpgsql('guess');
RESET ROLE;
CREATE FUNCTION t.prepared() RETURNS SETOF text LANGUAGE sql AS
$f$ SELECT p || ' -> ' || split_part(t.err(format('EXECUTE %s', p)), E'\n', 1) FROM unnest('{literal,scan,filter,subscript,folded,pulled,literal_pulled,open,call}'::text[]) p $f$;
SET plan_cache_mode = force_generic_plan;
SET ROLE regress_pseudo_officer;
SELECT t.prepared();
SET ROLE regress_pseudo_analyst;
SELECT t.prepared();
SET plan_cache_mode = force_custom_plan;
SELECT t.prepared();
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT t.prepared();
SET plan_cache_mode = force_generic_plan;
SELECT t.prepared();
RESET plan_cache_mode;
-- A superuser passes, with the named role's rights.
RESET ROLE;
SELECT t.prepared();
-- Where the planner asks for no cost, too, what is folded is no literal.
SET ROLE regress_pseudo_officer;
PREPARE limited AS SELECT 1 LIMIT length(pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo_role), 'guess'));
SELECT t.err('EXECUTE limited');
SET ROLE regress_pseudo_analyst;
SELECT t.err('EXECUTE limited');
RESET ROLE;
-- A cursor opened by the author asks again, too.
BEGIN;
SET LOCAL ROLE regress_pseudo_officer;
DECLARE c CURSOR FOR SELECT length(pseudonymize_as('regress_pseudo_officer', v)) FROM t.guesses LIMIT 2;
FETCH 1 FROM c;
SET LOCAL ROLE regress_pseudo_analyst;
SELECT t.err('FETCH 1 FROM c');
COMMIT;
-- Members: a membership that is not used with SET ROLE names nobody.
SET ROLE regress_pseudo_member;
SELECT t.err($$SELECT pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')$$);
SET ROLE regress_pseudo_heir;
SELECT t.err($$SELECT pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')$$);
SELECT t.err($$SELECT pseudo.pseudonymize_as('current_user', 'guess')$$);
RESET ROLE;
-- Not refused, but found: an overload takes the untyped literal of an author who does not write the schema.
RESET ROLE;
SET ROLE regress_pseudo_analyst;
CREATE FUNCTION lab.pseudonymize_as(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'overloaded' $$;
RESET ROLE;
SET search_path = pseudo, lab;
SELECT pseudonymize_as('regress_pseudo_officer', 'x'), pseudo.pseudonymize_as('regress_pseudo_officer', 'x') = pseudonymize('x', true);
SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner
    FROM pg_proc p
    WHERE p.proname IN (SELECT f.proname FROM pg_proc f JOIN pg_depend d ON d.objid = f.oid AND d.classid = 'pg_proc'::regclass
                            JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e' WHERE e.extname = 'pseudo')
      AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                          WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'pseudo');
DROP FUNCTION lab.pseudonymize_as(text, text);
SET search_path = lab, pseudo;
-- What can be read through the views: no hidden row, no plaintext, by functions and casts that leak.
SET ROLE regress_pseudo_analyst;
CREATE FUNCTION lab.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE WARNING 'sees %', $1; RETURN true; END $$;
SELECT count(*) FROM masked.desk WHERE lab.leak(email);
SELECT count(*) FROM masked.desk WHERE id < 5 AND lab.leak(email) AND lab.leak(id::text);
SELECT id FROM masked.customers WHERE id = 2 AND lab.leak(email);
SELECT count(*) FROM lab.plain p LEFT JOIN masked.desk d ON lab.leak(d.email) AND d.email < p.v;
SELECT half FROM (SELECT d.*, id % 2 AS half FROM masked.desk d) AS s GROUP BY half HAVING lab.leak(max(email));
SELECT t.err($$SELECT * FROM masked.desk WHERE email::int = 1$$);
SELECT t.err($$SELECT * FROM masked.desk WHERE id = 1 AND 1 / (id - 1) = 0$$);
-- Views over the view, security_invoker ones, and writing through it.
CREATE VIEW lab.over AS SELECT * FROM masked.desk;
CREATE VIEW lab.invoker WITH (security_invoker) AS SELECT * FROM masked.desk;
SELECT count(*) FROM lab.over WHERE lab.leak(email);
SELECT count(*) FROM lab.invoker;
SELECT t.err($$SELECT * FROM t.customers$$);
SELECT t.err($$UPDATE masked.customers SET email = 'guess'$$);
SELECT t.err($$INSERT INTO masked.customers (id) VALUES (1)$$);
SELECT t.err($$CREATE OR REPLACE VIEW masked.customers AS SELECT 1$$);
SELECT t.err($$CREATE RULE r AS ON INSERT TO masked.customers DO ALSO NOTHING$$);
SELECT t.err($$CREATE TRIGGER tr INSTEAD OF INSERT ON masked.customers FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()$$);
SELECT t.err($$CREATE TABLE lab.child () INHERITS (t.customers)$$);
-- The definition as it is shown, run again.
SELECT t.err(format('CREATE VIEW lab.again AS %s', pg_get_viewdef('masked.customers')));
-- A CHECK constraint does not stand for its author, also in a copy (which LIKE makes without reading the literal again); a default does.
RESET ROLE;
GRANT CREATE ON SCHEMA t TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
CREATE TABLE t.checked (plain text, p text CHECK (p = pseudo.pseudonymize_as('regress_pseudo_officer', plain)));
CREATE TABLE t.defaulted (id int, d text DEFAULT pseudo.pseudonymize_as('regress_pseudo_officer', 'default'));
CREATE STATISTICS t.checked_statistics ON plain, (pseudo.pseudonymize_as('regress_pseudo_officer', plain)) FROM t.checked;
CREATE DOMAIN t.checked_domain AS text CHECK (VALUE <> pseudo.pseudonymize_as('regress_pseudo_officer', VALUE));
CREATE TABLE t.fired (v text);
CREATE TRIGGER fired BEFORE INSERT ON t.fired FOR EACH ROW WHEN (NEW.v <> pseudo.pseudonymize_as('regress_pseudo_officer', NEW.v)) EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT t.err($$INSERT INTO t.fired VALUES ('guess')$$);
SELECT 'guess'::t.checked_domain;
GRANT SELECT, INSERT ON t.checked, t.defaulted, t.fired TO regress_pseudo_analyst;
INSERT INTO t.checked SELECT v, pseudo.pseudonymize_as('regress_pseudo_officer', v) FROM (VALUES ('1@example.com')) AS s (v);
SELECT t.err($$INSERT INTO t.checked VALUES ('2@example.com', 'x')$$) LIKE '23514: %';
ANALYZE t.checked;
RESET ROLE;
CREATE TABLE lab.copied (LIKE t.checked INCLUDING ALL);
ALTER TABLE lab.copied OWNER TO regress_pseudo_analyst;
CREATE TABLE lab.copied_statistics (LIKE t.checked INCLUDING STATISTICS);
ALTER TABLE lab.copied_statistics OWNER TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
INSERT INTO lab.copied_statistics VALUES ('guess'), ('2@example.com');
SELECT split_part(t.err($$ANALYZE lab.copied_statistics$$), E'\n', 1);
SELECT split_part(t.err($$SELECT 'guess'::t.checked_domain$$), E'\n', 1);
SELECT split_part(t.err($$INSERT INTO t.fired VALUES ('guess')$$), E'\n', 1);
COPY t.defaulted (id) FROM STDIN;
1
\.
SELECT split_part(t.err($$INSERT INTO t.checked SELECT '2@example.com', email FROM masked.customers WHERE id = 2$$), E'\n', 1);
SELECT split_part(t.err($$INSERT INTO lab.copied SELECT '2@example.com', email FROM masked.customers WHERE id = 2$$), E'\n', 1);
SELECT split_part(t.err($$ALTER TABLE lab.copied ADD CONSTRAINT again CHECK (p = pseudo.pseudonymize_as('regress_pseudo_officer', plain))$$), E'\n', 1);
INSERT INTO t.defaulted (id) VALUES (1) RETURNING length(d);
RESET ROLE;
SELECT split_part(t.err($$ANALYZE lab.copied_statistics$$), E'\n', 1);
-- Estimates run no call with a role that is no literal, whoever prepared it.
RESET ROLE;
SET ROLE regress_pseudo_officer;
PREPARE estimated AS SELECT 1 FROM t.guesses WHERE v::int = pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo_role), 'guess')::int;
PREPARE estimated_inlined AS SELECT 1 FROM t.guesses WHERE v::int = lab.pass(lab.same('regress_pseudo_officer'::pseudo_role), 'guess')::int;
PREPARE estimated_limit AS SELECT 1 FROM t.guesses LIMIT length(pseudonymize_as(lab.same('regress_pseudo_officer'::pseudo_role), 'guess'));
PREPARE estimated_literal AS SELECT 1 FROM t.guesses WHERE v::int = pseudonymize_as('regress_pseudo_officer', 'guess')::int;
SELECT t.err('EXPLAIN EXECUTE ' || p) FROM unnest('{estimated,estimated_inlined,estimated_limit}'::text[]) p;
SET ROLE regress_pseudo_analyst;
SELECT t.err('EXPLAIN EXECUTE ' || p) FROM unnest('{estimated,estimated_inlined,estimated_limit,estimated_literal}'::text[]) p;
-- Of a stored call they do: a view's value is estimated with the rights of its author.
RESET ROLE;
SET ROLE regress_pseudo_officer;
\if :{?generated}
SELECT pseudo_create_view('t.masked', 'masked.estimated', 'regress_pseudo_officer', $$email = pseudonymize_as('regress_pseudo_officer', '2@example.com')$$);
\else
CREATE VIEW masked.estimated WITH (security_barrier) AS SELECT id FROM t.masked WHERE email = pseudo.pseudonymize_as('regress_pseudo_officer', '2@example.com');
\endif
GRANT SELECT ON masked.estimated TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT id FROM masked.estimated;
-- The plan as it is without parallel workers.
SET max_parallel_workers_per_gather = 0;
EXPLAIN (COSTS OFF) SELECT id FROM masked.estimated;
RESET max_parallel_workers_per_gather;
-- What can hand out a role, a view, a column, a function, would let others write calls around it: in a statement, and
-- in a view or a function of their own, where it looks like a literal. While there is such a thing, no stored call has a role's rights.
RESET ROLE;
CREATE TABLE t.seen AS SELECT email FROM t.masked WHERE id = 2;
GRANT SELECT ON t.seen TO PUBLIC;
CREATE FUNCTION t.handed_out() RETURNS SETOF text LANGUAGE sql AS
$f$
SELECT split_part(t.err(s), E'\n', 1) FROM unnest(ARRAY[
  'SELECT pseudo.pseudonymize_as(r, ''guess'') FROM t.exposed',
  'EXPLAIN SELECT 1 FROM t.exposed, t.guesses WHERE v::int = pseudo.pseudonymize_as(r, ''guess'')::int',
  'EXPLAIN SELECT 1 FROM t.exposed, t.seen WHERE email::int = pseudo.reidentify_as(r, email)::int',
  'EXPLAIN SELECT 1 FROM t.seen, t.exposed LIMIT length(pseudo.reidentify_as((SELECT r FROM t.exposed), ''guess''))',
  'SELECT * FROM lab.own_plain', 'SELECT * FROM lab.own_barrier', 'SELECT * FROM lab.own_join', 'SELECT * FROM lab.own_atomic()', 'SELECT lab.own_scalar()', 'SELECT lab.own_set()',
  'SELECT count(*) FROM masked.customers', 'SELECT count(*) FROM masked.desk', 'SELECT count(email) FROM masked.customers']) s
$f$;
SET ROLE regress_pseudo_officer;
CREATE VIEW t.exposed AS SELECT 'regress_pseudo_officer'::pseudo.pseudo_role AS r;
GRANT SELECT ON t.exposed TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
CREATE VIEW lab.own_plain AS SELECT pseudo.pseudonymize_as(r, 'guess') FROM t.exposed;
CREATE VIEW lab.own_barrier WITH (security_barrier) AS SELECT pseudo.reidentify_as(r, email) FROM t.exposed, t.seen;
CREATE VIEW lab.own_join AS SELECT pseudo.reidentify_as(r, email) FROM t.seen LEFT JOIN t.exposed ON true;
CREATE FUNCTION lab.own_atomic() RETURNS SETOF text LANGUAGE sql STABLE BEGIN ATOMIC SELECT pseudo.pseudonymize_as(r, 'guess') FROM t.exposed; END;
CREATE FUNCTION lab.own_scalar() RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT pseudo.pseudonymize_as((SELECT r FROM t.exposed), 'guess'); END;
CREATE FUNCTION lab.own_set() RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT max(pseudo.pseudonymize_as(r, 'guess')) FROM t.exposed; END;
SELECT t.handed_out();
SET plan_cache_mode = force_generic_plan;
PREPARE handed_out AS SELECT count(email) FROM masked.customers;
SELECT split_part(t.err('EXECUTE handed_out'), E'\n', 1);
RESET ROLE;
SET client_min_messages = error;
DROP VIEW t.exposed CASCADE;
SET client_min_messages = warning;
SET ROLE regress_pseudo_analyst;
EXECUTE handed_out;
DEALLOCATE handed_out;
RESET plan_cache_mode;
-- Each kind of it, and the hint.
CREATE FUNCTION lab.refused() RETURNS text LANGUAGE sql AS $f$ SELECT t.err('SELECT count(email) FROM masked.customers') $f$;
RESET ROLE;
SET search_path = pseudo, public;
CREATE FUNCTION t.refused(s text) RETURNS text LANGUAGE plpgsql AS
$f$
DECLARE
  said text;
BEGIN
  BEGIN
    EXECUTE s;
    PERFORM set_config('role', 'regress_pseudo_analyst', true);
    said := lab.refused();
    RAISE EXCEPTION USING ERRCODE = 'PSEUD';
  EXCEPTION WHEN SQLSTATE 'PSEUD' THEN RETURN split_part(said, E'\n', 1);
  END;
END
$f$;
SELECT t.refused(s) FROM unnest(ARRAY[
  $$CREATE TABLE t.x (r pseudo_role)$$, $$CREATE TABLE t.x (r pseudo_role[])$$, $$CREATE TYPE t.x AS (r pseudo_role)$$, $$CREATE DOMAIN t.x AS pseudo_role$$,
  $$CREATE VIEW t.x AS SELECT 'regress_pseudo_officer'::pseudo_role AS r$$, $$CREATE VIEW t.x AS SELECT '{regress_pseudo_officer}'::pseudo_role[] AS r$$,
  $$CREATE MATERIALIZED VIEW t.x AS SELECT 'regress_pseudo_officer'::pseudo_role AS r$$,
  $$CREATE FUNCTION t.x() RETURNS pseudo_role LANGUAGE sql BEGIN ATOMIC SELECT 'regress_pseudo_officer'::pseudo_role; END$$,
  $$CREATE FUNCTION t.x() RETURNS pseudo_role[] LANGUAGE sql AS 'SELECT NULL::pseudo_role[]'$$,
  $$CREATE FUNCTION t.x() RETURNS SETOF record LANGUAGE sql BEGIN ATOMIC SELECT 'regress_pseudo_officer'::pseudo_role; END$$,
  $$CREATE FUNCTION t.x(r anyelement DEFAULT 'regress_pseudo_officer'::pseudo_role) RETURNS anyelement LANGUAGE sql AS 'SELECT r'$$,
  $$CREATE FUNCTION t.x(a int, OUT b int, OUT r pseudo_role) LANGUAGE sql BEGIN ATOMIC SELECT 1, 'regress_pseudo_officer'::pseudo_role; END$$]) s;
-- An argument hands out nothing, nor does a record of other types.
SELECT t.refused(s) FROM unnest(ARRAY[$$CREATE FUNCTION t.x(r pseudo_role, v text) RETURNS text LANGUAGE sql AS 'SELECT v'$$,
  $$CREATE FUNCTION t.x(OUT a text, OUT b text) LANGUAGE sql BEGIN ATOMIC SELECT 'a', 'b'; END$$]) s;
BEGIN;
CREATE VIEW t.exposed AS SELECT 'regress_pseudo_officer'::pseudo.pseudo_role AS r;
SET LOCAL ROLE regress_pseudo_analyst;
SELECT lab.refused();
ROLLBACK;
DROP FUNCTION t.refused, t.handed_out;
DROP TABLE t.seen;
-- A stored call whose role is made by a function, which may have the rights of its author, is no better than one in a statement.
SET ROLE regress_pseudo_officer;
CREATE FUNCTION t.cast_to(v text, anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER AS $$ BEGIN RETURN v; END $$;
CREATE VIEW t.made AS SELECT pseudo.pseudonymize_as(t.cast_to('regress_pseudo_officer', NULL::pseudo_role), 'guess');
CREATE VIEW t.chosen AS SELECT pseudo.pseudonymize_as(CASE WHEN region = 0 THEN 'current_user' ELSE 'regress_pseudo_officer'::pseudo_role END, 'guess') FROM t.masked;
GRANT SELECT ON t.made, t.chosen TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT t.err('SELECT * FROM t.made');
SELECT t.err('SELECT * FROM t.chosen');
SELECT t.err($$SELECT pseudonymize_as(t.cast_to('regress_pseudo_officer', NULL::pseudo_role), 'guess')$$);
RESET ROLE;
DROP VIEW t.made, t.chosen;
DROP FUNCTION t.cast_to;
-- A superuser's or author's column of the type is still no literal in a call of the reader's.
SET ROLE regress_pseudo_officer;
SET search_path = lab, pseudo;
CREATE TABLE t.roles (r pseudo_role);
INSERT INTO t.roles VALUES ('regress_pseudo_officer');
CREATE VIEW t.exposed AS SELECT 'regress_pseudo_officer'::pseudo.pseudo_role AS r;
GRANT SELECT ON t.roles, t.exposed TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM t.roles$$);
SELECT t.err($$SELECT pseudonymize_as(r, 'guess') FROM t.exposed$$);
SELECT t.err($$SELECT count(*) FROM t.exposed, t.guesses WHERE pseudonymize_as(r, v) > 'a'$$);
SELECT t.err($$SELECT pseudonymize_as((e).r, 'guess') FROM t.exposed e$$);
SELECT t.err($$EXPLAIN SELECT 1 FROM t.exposed, t.masked m WHERE m.email = pseudonymize_as(r, 'guess')$$);
SELECT t.err($$SELECT lab.pass(r, 'guess') FROM t.roles$$);
SELECT t.err($$SELECT lab.pass(r, 'guess') FROM t.exposed$$);
SELECT t.err($$SELECT lab.pass_plpgsql(r, 'guess') FROM t.exposed$$);
-- Nor is a row of such a table, whatever it is made of; nor a parameter with its value.
SELECT t.err($$SELECT pseudonymize_as(('(regress_pseudo_officer)'::t.roles).r, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((json_populate_record(NULL::t.roles, '{"r": "regress_pseudo_officer"}')).r, 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as(p.r, 'guess') FROM jsonb_populate_recordset(NULL::t.roles, '[{"r": "regress_pseudo_officer"}]') AS p$$);
SELECT t.err($$SELECT pseudonymize_as((x).r, 'guess') FROM (SELECT x FROM t.roles x OFFSET 0) AS s$$);
SELECT t.err($$SELECT pseudonymize_as((SELECT r FROM t.roles), 'guess')$$);
SELECT t.err($$SELECT pseudonymize_as((SELECT max(r::text) FROM t.roles)::pseudo_role, 'guess')$$);
SELECT t.err($$DO 'DECLARE x t.roles; BEGIN x.r := ''regress_pseudo_officer''; PERFORM pseudo.pseudonymize_as(x.r, ''guess''); END'$$);
SELECT t.err($$DO 'DECLARE x t.roles; BEGIN SELECT * INTO x FROM t.roles; PERFORM pseudo.pseudonymize_as(x.r, ''guess''); END'$$);
SELECT t.err($$DO 'DECLARE x t.roles; v text; BEGIN SELECT * INTO x FROM t.roles; v := pseudo.pseudonymize_as(x.r, ''guess''); END'$$);
SELECT t.err($$DO 'DECLARE x t.roles; BEGIN SELECT * INTO x FROM t.roles; EXECUTE ''SELECT pseudo.pseudonymize_as($1, $2)'' USING x.r, ''guess''; END'$$);
SELECT t.err($$CREATE TABLE lab.taken AS SELECT * FROM t.exposed$$);
SELECT t.err($$CREATE TABLE lab.taken (LIKE t.roles)$$);
-- What remains possible, as the documentation says: an author who lets the reader choose the value.
RESET ROLE;
DROP VIEW t.exposed;
DROP TABLE t.roles;
SET ROLE regress_pseudo_officer;
CREATE VIEW masked.setting AS SELECT pseudo.pseudonymize_as('regress_pseudo_officer', current_setting('regress.email')) AS p;
CREATE FUNCTION masked.atomic(v text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT pseudo.pseudonymize_as('regress_pseudo_officer', v); END;
CREATE TABLE masked.ruled (v text);
CREATE RULE r AS ON INSERT TO masked.ruled DO INSTEAD SELECT pseudo.pseudonymize_as('regress_pseudo_officer', NEW.v) AS p;
CREATE TABLE masked.claims (v text, p text);
ALTER TABLE masked.claims ENABLE ROW LEVEL SECURITY;
CREATE POLICY c ON masked.claims FOR INSERT WITH CHECK (p = pseudo.pseudonymize_as('regress_pseudo_officer', v));
GRANT SELECT ON masked.setting TO regress_pseudo_analyst;
GRANT INSERT ON masked.ruled, masked.claims TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SET regress.email = '2@example.com';
SELECT id FROM masked.customers JOIN masked.setting ON p = email;
SELECT id FROM masked.customers WHERE email = masked.atomic('4@example.com');
INSERT INTO masked.ruled VALUES ('6@example.com') \gset
SELECT id FROM masked.customers WHERE email = :'p';
SELECT id, t.err(format('INSERT INTO masked.claims VALUES (%L, %L)', '8@example.com', email)) FROM masked.customers WHERE id IN (6, 8) ORDER BY id;
RESET ROLE;
SET search_path = pseudo, public;
DEALLOCATE ALL;
DROP FUNCTION t.prepared;
DROP SCHEMA lab CASCADE;
DROP SCHEMA masked CASCADE;
DROP TABLE t.customers, t.masked, t.guesses, t.checked, t.defaulted, t.fired;
DROP DOMAIN t.checked_domain;
DROP OWNED BY regress_pseudo_officer, regress_pseudo_analyst, regress_pseudo_member, regress_pseudo_heir;
DROP ROLE regress_pseudo_officer, regress_pseudo_analyst, regress_pseudo_member, regress_pseudo_heir;
