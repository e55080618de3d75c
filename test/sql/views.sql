--
-- Views that mask: every legitimate form, and whose rights count.
-- With the variable "generated" set the views are those that pseudo_create_view() makes; see create_view_attacks.sql.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_officer;
CREATE ROLE regress_pseudo_analyst;
CREATE ROLE "regress pseudo ""Quoted""";
CREATE SCHEMA masked AUTHORIZATION regress_pseudo_officer;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_officer, regress_pseudo_analyst, "regress pseudo ""Quoted""";
GRANT USAGE ON TYPE pseudo_role TO regress_pseudo_officer;
GRANT EXECUTE ON FUNCTION pseudonymize, reidentify TO regress_pseudo_officer;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_officer;
CREATE TABLE t.customers (id int PRIMARY KEY, email text, region int);
INSERT INTO t.customers SELECT n, n || '@example.com', n % 10 FROM generate_series(1, 20000) n;
CREATE TABLE t.sealed AS SELECT id, pseudonymize(email, false, 'opened') AS email, region FROM t.customers WHERE id <= 5000;
CREATE TABLE t.orders AS SELECT n AS id, pseudonymize((n % 5 + 1) || '@example.com', true) AS email FROM generate_series(1, 50) n;
ANALYZE t.customers;
ANALYZE t.orders;
ANALYZE t.sealed;
GRANT SELECT ON t.customers, t.orders, t.sealed TO regress_pseudo_officer;
-- The view, and the whole grant.
SET ROLE regress_pseudo_officer;
\if :{?generated}
RESET ROLE;
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON t.orders FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS deterministic');
CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON t.sealed FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email IS random, context=opened');
SECURITY LABEL FOR pseudo ON COLUMN t.customers.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.customers.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.customers.region IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.orders.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.orders.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.sealed.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.sealed.email IS 'random, context=opened';
SECURITY LABEL FOR pseudo ON COLUMN t.sealed.region IS 'keep';
SET ROLE regress_pseudo_officer;
SELECT pseudo_create_view('t.customers', 'masked.customers', 'regress_pseudo_officer');
SELECT pseudo_create_view('t.orders', 'masked.desk', 'regress_pseudo_officer', 'id <= 3', reidentify => '{email}');
SELECT pseudo_create_view('t.orders', 'masked.orders', 'regress_pseudo_officer');
SELECT pseudo_create_view('t.sealed', 'masked.opened', 'regress_pseudo_officer', 'region < 5', reidentify => '{email}');
\else
CREATE VIEW masked.customers WITH (security_barrier) AS
  SELECT id, pseudo.pseudonymize_as('regress_pseudo_officer', email::text) AS email, region FROM t.customers;
CREATE VIEW masked.desk WITH (security_barrier) AS
  SELECT id, pseudo.reidentify_as('regress_pseudo_officer', email) AS email FROM t.orders WHERE id <= 3;
CREATE VIEW masked.orders AS SELECT * FROM t.orders;
CREATE VIEW masked.opened WITH (security_barrier) AS
  SELECT id, pseudo.reidentify_as('regress_pseudo_officer', email, 'opened') AS email, region FROM t.sealed WHERE region < 5;
\endif
GRANT USAGE ON SCHEMA masked TO regress_pseudo_analyst;
GRANT SELECT ON masked.customers, masked.desk, masked.orders, masked.opened TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT * FROM masked.customers WHERE id <= 3 ORDER BY id;
SELECT * FROM masked.desk ORDER BY id;
SELECT substring(pg_get_viewdef('masked.customers') FROM 'pseudonymize_as[^ ]*');
-- It is the whole grant: no schema, no type, no keyring, no right is needed.
RESET ROLE;
REVOKE USAGE ON SCHEMA pseudo FROM regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT (SELECT count(email) FROM masked.customers), (SELECT count(email) FROM masked.desk);
-- The plan as it is without parallel workers.
SET max_parallel_workers_per_gather = 0;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM masked.desk;
RESET max_parallel_workers_per_gather;
SELECT t.err($$SELECT pseudo.pseudonymize_as('regress_pseudo_officer', 'guess')$$);
RESET ROLE;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_analyst;
CREATE TABLE expected AS SELECT id, pseudonymize(email, true) AS email, email AS plain FROM t.customers;
GRANT SELECT ON expected TO PUBLIC;
ANALYZE expected;
SET ROLE regress_pseudo_analyst;
-- Joins, outer ones too; aggregates, CTEs, windows, sub-selects, UNION, LATERAL.
SELECT count(*) FROM masked.customers m JOIN expected e USING (id, email);
SELECT count(*), count(m.id) FROM masked.orders o LEFT JOIN masked.customers m ON m.email = o.email AND m.id < 3;
SELECT count(*), count(m.email) FROM (VALUES (1), (-1)) AS v (id) LEFT JOIN masked.customers m USING (id);
SELECT count(*), count(m.email), count(v.id) FROM (VALUES (1), (-1)) AS v (id) FULL JOIN (SELECT * FROM masked.customers WHERE id < 5) AS m USING (id);
SELECT count(DISTINCT email), min(length(email)), max(length(email)), count(*) FILTER (WHERE email IS NULL) FROM masked.customers;
SELECT region, count(DISTINCT email) FROM masked.customers GROUP BY region HAVING min(email) < 'z' ORDER BY region LIMIT 2;
SELECT count(*) FROM (SELECT email FROM masked.customers GROUP BY email) AS s;
WITH c AS (SELECT * FROM masked.customers), d AS MATERIALIZED (SELECT * FROM c WHERE region = 1) SELECT count(*), count(DISTINCT email) FROM d;
WITH RECURSIVE r AS (SELECT id, email FROM masked.customers WHERE id = 1 UNION ALL SELECT m.id, m.email FROM r JOIN masked.customers m ON m.id = r.id + 1 AND m.id <= 3) SELECT count(*), count(DISTINCT email) FROM r;
SELECT sum(n) FROM (SELECT row_number() OVER (PARTITION BY email ORDER BY id) AS n FROM masked.customers) AS s;
SELECT count(*) FROM masked.customers WHERE email IN (SELECT email FROM masked.orders);
SELECT count(*) FROM masked.customers m WHERE EXISTS (SELECT FROM masked.orders o WHERE o.email = m.email);
SELECT (SELECT email FROM masked.customers WHERE id = 1) = (SELECT email FROM expected WHERE id = 1);
SELECT count(*) FROM (SELECT email FROM masked.customers WHERE id < 100 UNION SELECT email FROM masked.orders) AS s;
SELECT count(*) FROM (SELECT id, email FROM masked.customers EXCEPT SELECT id, email FROM expected) AS s;
SELECT v.id, m.id FROM (VALUES (1), (2)) AS v (id), LATERAL (SELECT * FROM masked.customers m WHERE m.id = v.id) AS m ORDER BY 1;
SELECT m.email = e.email FROM masked.customers m, expected e WHERE m.id = 7 AND e.id = 7;
SELECT (m).id, (m).email IS NOT NULL FROM (SELECT m FROM masked.customers m WHERE id = 1) AS s;
SELECT count(*), count(DISTINCT email), grouping(email) FROM masked.customers WHERE id < 4 GROUP BY GROUPING SETS ((), (email)) ORDER BY 1 DESC LIMIT 1;
SELECT DISTINCT ON (region) region, email = (SELECT e.email FROM expected e WHERE e.id = m.id) FROM masked.customers m ORDER BY region, id LIMIT 2;
-- The same of reidentify_as.
SELECT count(*) FROM masked.opened o JOIN expected e ON o.id = e.id AND o.email = e.plain;
SELECT count(*), count(o.email), min(o.email) FROM (VALUES (1), (-1)) AS v (id) LEFT JOIN masked.opened o USING (id);
SELECT region, count(DISTINCT email), min(email) FROM masked.opened GROUP BY region HAVING min(email) < '2' ORDER BY region LIMIT 2;
WITH c AS MATERIALIZED (SELECT * FROM masked.opened WHERE id < 4) SELECT string_agg(email, ' ' ORDER BY id) FROM c;
SELECT id, email, lag(email) OVER (ORDER BY id) FROM masked.opened WHERE id < 4 ORDER BY id;
SELECT email FROM masked.opened WHERE id = 1 UNION SELECT email FROM masked.desk ORDER BY 1;
SELECT v.id, o.email FROM (VALUES (1), (2)) AS v (id), LATERAL (SELECT * FROM masked.opened o WHERE o.id = v.id) AS o ORDER BY 1;
SELECT count(*) FROM expected WHERE plain IN (SELECT email FROM masked.opened);
-- Prepared statements, cursors, COPY, functions.
PREPARE one (int) AS SELECT count(*) FROM masked.customers JOIN expected USING (id, email) WHERE id <= $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE one (10);
SET plan_cache_mode = force_custom_plan;
EXECUTE one (10);
RESET plan_cache_mode;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT m.email = e.email FROM masked.customers m JOIN expected e USING (id) WHERE id < 3 ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
DECLARE held CURSOR WITH HOLD FOR SELECT email FROM masked.opened WHERE id < 3 ORDER BY id;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
PREPARE opened (int) AS SELECT email FROM masked.opened WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE opened (1);
SET plan_cache_mode = force_custom_plan;
EXECUTE opened (1);
RESET plan_cache_mode;
COPY (SELECT email FROM masked.customers WHERE id = 1) TO STDOUT;
DO $$ DECLARE n int := 0; r record; BEGIN FOR r IN SELECT email FROM masked.customers WHERE id < 10 LOOP n := n + 1; END LOOP; RAISE WARNING '% rows', n; END $$;
CREATE TEMPORARY TABLE mine AS SELECT * FROM masked.customers WHERE id < 10;
SELECT count(*) FROM mine JOIN expected USING (id, email);
-- EXPLAIN works for the reader, and shows no value.
CREATE FUNCTION pg_temp.explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query; END $$;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FILTER (WHERE e LIKE '%pseudonymize_as(''regress_pseudo_officer''::pseudo_role, %'), count(*) FILTER (WHERE e ~ '@|example') FROM pg_temp.explain('SELECT * FROM masked.customers WHERE id <= 3') e;
SELECT count(*) FILTER (WHERE e LIKE '%reidentify_as(''regress_pseudo_officer''::pseudo_role, %'), count(*) FILTER (WHERE e ~ '@|example') FROM pg_temp.explain('SELECT * FROM masked.desk WHERE email > ''1''') e;
RESET max_parallel_workers_per_gather;
-- Parallel plans, and everything in a worker.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT t.plan_has('SELECT count(*) FROM masked.customers WHERE length(email) > 40', 'Parallel Seq Scan');
SELECT count(*), count(DISTINCT email) FROM masked.customers WHERE length(email) > 40;
SELECT count(*) FROM masked.customers m JOIN masked.customers n USING (email);
SET parallel_leader_participation = off;
SET jit = off;
SELECT count(DISTINCT email) FROM masked.customers;
SELECT t.plan_has('SELECT count(*) FROM masked.customers m JOIN expected e ON m.email = e.email AND m.id = e.id', 'Parallel Hash Join');
SELECT count(*) FROM masked.customers m JOIN expected e ON m.email = e.email AND m.id = e.id;
SELECT t.plan_has('SELECT region, max(email) FROM masked.customers GROUP BY region', 'Partial HashAggregate');
SELECT region, max(email) = (SELECT max(e.email) FROM expected e WHERE e.id % 10 = region) FROM masked.customers GROUP BY region HAVING region < 3 ORDER BY region;
SELECT t.plan_has('SELECT count(*) FROM masked.opened o JOIN expected e ON o.email = e.plain AND o.id = e.id', 'Parallel Hash Join');
SELECT count(*), count(DISTINCT o.email) FROM masked.opened o JOIN expected e ON o.email = e.plain AND o.id = e.id;
SELECT t.plan_has('SELECT region, max(email) FROM masked.opened GROUP BY region', 'Partial HashAggregate');
SELECT region, max(email) FROM masked.opened GROUP BY region HAVING region < 3 ORDER BY region;
RESET parallel_leader_participation;
RESET jit;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- Views over views, security_invoker ones, materialized ones.
RESET ROLE;
GRANT CREATE ON SCHEMA t TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
CREATE VIEW t.over AS SELECT id, upper(email) AS email FROM masked.customers;
CREATE VIEW t.invoker WITH (security_invoker) AS SELECT id, email FROM masked.customers;
CREATE MATERIALIZED VIEW t.kept AS SELECT id, email FROM masked.customers WHERE id <= 100;
SELECT count(*) FROM t.over o JOIN expected e ON o.id = e.id AND o.email = upper(e.email);
SELECT count(*) FROM t.invoker JOIN expected USING (id, email);
SELECT count(*) FROM t.kept JOIN expected USING (id, email);
REFRESH MATERIALIZED VIEW t.kept;
SELECT count(*) FROM t.kept JOIN expected USING (id, email);
DROP VIEW t.over, t.invoker;
DROP MATERIALIZED VIEW t.kept;
-- Partitioned and inherited tables.
RESET ROLE;
CREATE TABLE t.parts (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE t.parts_1 PARTITION OF t.parts FOR VALUES FROM (1) TO (50);
CREATE TABLE t.parts_2 PARTITION OF t.parts FOR VALUES FROM (50) TO (100);
CREATE TABLE t.parent (id int, email text);
CREATE TABLE t.child () INHERITS (t.parent);
INSERT INTO t.parts SELECT id, email FROM t.customers WHERE id < 100;
INSERT INTO t.parent SELECT id, email FROM t.customers WHERE id < 50;
INSERT INTO t.child SELECT id, email FROM t.customers WHERE id BETWEEN 50 AND 99;
GRANT SELECT ON t.parts, t.parent TO regress_pseudo_officer;
SET ROLE regress_pseudo_officer;
\if :{?generated}
RESET ROLE;
SECURITY LABEL FOR pseudo ON COLUMN t.parts.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.parts.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN t.parent.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN t.parent.email IS 'deterministic';
SET ROLE regress_pseudo_officer;
SELECT pseudo_create_view('t.parts', 'masked.parts', 'regress_pseudo_officer');
SELECT pseudo_create_view('t.parent', 'masked.parent', 'regress_pseudo_officer');
\else
CREATE VIEW masked.parts AS SELECT id, pseudo.pseudonymize_as('regress_pseudo_officer', email) AS email FROM t.parts;
CREATE VIEW masked.parent AS SELECT id, pseudo.pseudonymize_as('regress_pseudo_officer', email) AS email FROM t.parent;
\endif
GRANT SELECT ON masked.parts, masked.parent TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT count(*) FROM masked.parts JOIN expected USING (id, email);
SELECT count(*) FROM masked.parts JOIN expected USING (id, email) WHERE id < 50;
SELECT count(*) FROM masked.parent JOIN expected USING (id, email);
-- A function of the author's: BEGIN ATOMIC keeps their rights as a view does; SECURITY DEFINER has them.
SET ROLE regress_pseudo_officer;
CREATE FUNCTION masked.atomic() RETURNS SETOF text LANGUAGE sql STABLE BEGIN ATOMIC SELECT pseudo.pseudonymize_as('regress_pseudo_officer', email) FROM t.orders WHERE id = 1; END;
CREATE FUNCTION masked.definer() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', email) FROM t.orders WHERE id = 1 $$;
CREATE FUNCTION masked.plain() RETURNS text LANGUAGE sql STABLE AS $$ SELECT pseudo.pseudonymize_as('regress_pseudo_officer', 'x') $$;
SELECT masked.plain() IS NOT NULL;
RESET ROLE;
GRANT SELECT ON t.orders TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
SELECT masked.definer() = masked.atomic();
SELECT t.err('SELECT masked.plain()');
RESET ROLE;
REVOKE SELECT ON t.orders FROM regress_pseudo_analyst;
-- Rules, policies, and defaults of columns and of arguments have the author's rights as well.
SET ROLE regress_pseudo_officer;
CREATE TABLE masked.ruled (v text);
CREATE RULE r AS ON INSERT TO masked.ruled DO INSTEAD SELECT pseudo.pseudonymize_as('regress_pseudo_officer', '7@example.com') AS p;
CREATE TABLE masked.guarded (v text, d text DEFAULT pseudo.pseudonymize_as('regress_pseudo_officer', '8@example.com'));
INSERT INTO masked.guarded SELECT email FROM masked.customers WHERE id < 4;
ALTER TABLE masked.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON masked.guarded USING (v = pseudo.pseudonymize_as('regress_pseudo_officer', '2@example.com'));
CREATE POLICY w ON masked.guarded FOR INSERT WITH CHECK (d = pseudo.pseudonymize_as('regress_pseudo_officer', '8@example.com'));
CREATE FUNCTION masked.argument(d text = pseudo.pseudonymize_as('regress_pseudo_officer', '9@example.com')) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN d; END $$;
GRANT SELECT, INSERT ON masked.ruled, masked.guarded TO regress_pseudo_analyst;
SET ROLE regress_pseudo_analyst;
INSERT INTO masked.ruled VALUES ('x') \gset
SELECT id FROM expected WHERE email = :'p';
SELECT id FROM expected JOIN masked.guarded ON v = email;
INSERT INTO masked.guarded VALUES ('x');
SELECT t.err($$INSERT INTO masked.guarded VALUES ('x', 'y')$$);
SELECT id FROM expected WHERE email = masked.argument();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_officer;
SET ROLE regress_pseudo_analyst;
SELECT split_part(t.err(s), E'\n', 1) FROM unnest(ARRAY['INSERT INTO masked.ruled VALUES (''x'')', 'SELECT * FROM masked.guarded', 'INSERT INTO masked.guarded VALUES (''x'')', 'SELECT masked.argument()']) s;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_officer;
-- Names are quoted, and come back from a definition; a superuser may name any role.
CREATE VIEW t.quoted AS SELECT pseudo.pseudonymize_as('"regress pseudo ""Quoted"""', 'x') AS p, pseudo.pseudonymize_as('"regress_pseudo_officer"', 'x', context => 'crm') AS c, pseudo.pseudonymize_as('CURRENT_USER', 'x') AS u;
SELECT m FROM regexp_matches(pg_get_viewdef('t.quoted'), '''[^,:]*''::[a-z_.]+', 'g') AS m;
DO $$ BEGIN EXECUTE format('CREATE OR REPLACE VIEW t.quoted AS %s', pg_get_viewdef('t.quoted')); END $$;
SELECT t.err($$SELECT p FROM t.quoted$$);
SELECT t.err($$SELECT u FROM t.quoted$$);
SELECT c = pseudonymize('x', true, 'crm') FROM t.quoted;
DROP VIEW t.quoted;
SELECT '"current_user"'::text, t.err($$SELECT '"current_user"'::pseudo_role$$), t.err($$SELECT 'nobody_of_this_name'::pseudo_role$$);
SELECT t.err($$SELECT '10'::pseudo_role$$), t.err($$SELECT '-'::pseudo_role$$), t.err($$SELECT ''::pseudo_role$$), t.err($$SELECT 'a.b'::pseudo_role$$), t.err($$SELECT '"a'::pseudo_role$$), t.err($$SELECT 'public'::pseudo_role$$);
SELECT ' Regress_Pseudo_Officer '::pseudo_role, ' Current_User '::pseudo_role, '"regress pseudo ""Quoted"""'::pseudo_role;
SELECT typlen, typbyval, typreceive, typsend, has_type_privilege('regress_pseudo_analyst', oid, 'USAGE') FROM pg_type WHERE oid = 'pseudo_role'::regtype;
SELECT count(*) FROM pg_cast WHERE 'pseudo_role'::regtype IN (castsource, casttarget);
SELECT count(*) FROM pg_operator WHERE 'pseudo_role'::regtype IN (oprleft, oprright);
-- A NULL role, context or keyring is an error; a NULL value is NULL.
SELECT t.err($$SELECT pseudonymize_as(NULL, 'x')$$);
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer', 'x', NULL)$$);
SELECT t.err($$SELECT pseudonymize_as('regress_pseudo_officer', 'x', '', NULL)$$);
SELECT t.err($$SELECT reidentify_as('regress_pseudo_officer', NULL, NULL)$$);
SELECT pseudonymize_as('regress_pseudo_officer', NULL), reidentify_as('regress_pseudo_officer', NULL);
-- The role's own rights count, and a superuser who names it gets no more; a plan that is cached sees them go.
SET ROLE regress_pseudo_analyst;
SET plan_cache_mode = force_generic_plan;
PREPARE m AS SELECT count(email) FROM masked.customers WHERE id <= 3;
PREPARE d AS SELECT count(email) FROM masked.desk;
EXECUTE m;
EXECUTE d;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_officer;
SELECT t.err($$EXECUTE m$$);
SET ROLE regress_pseudo_analyst;
SELECT t.err($$EXECUTE m$$);
SELECT t.err($$SELECT count(email) FROM masked.customers$$);
EXECUTE d;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_officer;
REVOKE EXECUTE ON FUNCTION reidentify FROM regress_pseudo_officer;
SET ROLE regress_pseudo_analyst;
EXECUTE m;
SELECT t.err($$EXECUTE d$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_officer;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_officer;
SET ROLE regress_pseudo_analyst;
SELECT t.err($$EXECUTE m$$);
SELECT t.err($$EXECUTE d$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_officer;
-- The reader's own rights do not count.
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_analyst;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_officer;
SET ROLE regress_pseudo_analyst;
SELECT t.err($$EXECUTE m$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_officer;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_analyst;
-- In an open transaction, and in a loop.
BEGIN;
SET LOCAL ROLE regress_pseudo_analyst;
EXECUTE m;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_officer;
SET LOCAL ROLE regress_pseudo_analyst;
SELECT t.err($$EXECUTE m$$);
ROLLBACK;
SET ROLE regress_pseudo_analyst;
EXECUTE m;
RESET ROLE;
-- A role that is dropped takes its views out of use, whatever PUBLIC may do; pg_get_viewdef still works.
CREATE ROLE regress_pseudo_leaver;
GRANT EXECUTE ON FUNCTION pseudonymize TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER pseudo TO PUBLIC;
CREATE VIEW t.left AS SELECT pseudo.pseudonymize_as('regress_pseudo_leaver', 'x') AS p;
PREPARE l AS SELECT p = pseudonymize('x', true) FROM t.left;
EXECUTE l;
DROP ROLE regress_pseudo_leaver;
SELECT regexp_replace(t.err($$EXECUTE l$$), 'OID \d+', 'OID N');
SELECT regexp_replace(t.err($$SELECT * FROM t.left$$), 'OID \d+', 'OID N');
SELECT pg_get_viewdef('t.left') ~ 'pseudonymize_as\(''\d+''::pseudo_role, ''x''::text\)';
DROP VIEW t.left;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM PUBLIC;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM PUBLIC;
-- What uses a role: the README's query.
CREATE DOMAIN t.stray AS pseudo_role;
SET ROLE regress_pseudo_officer;
CREATE TABLE masked.fenced (email text DEFAULT pseudo.pseudonymize_as('regress_pseudo_officer', 'x'));
CREATE POLICY p ON masked.fenced USING (email = pseudo.pseudonymize_as('regress_pseudo_officer', 'x'));
CREATE TABLE masked.stray (r pseudo_role);
CREATE FUNCTION masked.stray(r pseudo_role) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
RESET ROLE;
SELECT pg_describe_object(classid, objid, objsubid) AS used_in,
       substring(CASE classid WHEN 'pg_rewrite'::regclass THEN pg_get_ruledef(objid)
                              WHEN 'pg_proc'::regclass THEN pg_get_function_sqlbody(objid) END
                 FROM '''([^,]*)''::[^,]*pseudo_role') AS first_role
  FROM pg_depend WHERE refclassid = 'pg_type'::regclass AND refobjid = 'pseudo.pseudo_role'::regtype AND deptype = 'n'
 ORDER BY pg_describe_object(classid, objid, objsubid) COLLATE "C";
DROP DOMAIN t.stray;
RESET plan_cache_mode;
DEALLOCATE ALL;
DROP SCHEMA masked CASCADE;
DROP TABLE t.customers, t.orders, t.sealed, t.parts, t.parent, t.child, expected, mine;
DROP OWNED BY regress_pseudo_officer, regress_pseudo_analyst, "regress pseudo ""Quoted""";
DROP ROLE regress_pseudo_officer, regress_pseudo_analyst, "regress pseudo ""Quoted""";
