--
-- Plans: deterministic look-ups use an index, random calls stay volatile, costs, EXPLAIN.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_etl;
CREATE ROLE regress_pseudo_none;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_etl, regress_pseudo_none;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_etl;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_etl;
CREATE TABLE t.people (id int PRIMARY KEY, email text, plain text);
INSERT INTO t.people SELECT n, pseudonymize(n || '@example.com', true), n || '@example.com' FROM generate_series(1, 20000) n;
CREATE INDEX people_email ON t.people (email);
ANALYZE t.people;
GRANT SELECT, UPDATE ON t.people TO PUBLIC;
-- the condition of the first index scan of a statement, as before PostgreSQL 17, or NULL
CREATE FUNCTION t.index_condition(query text) RETURNS text LANGUAGE plpgsql AS
$$ DECLARE line text; BEGIN FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP IF line LIKE '%Index Cond:%' THEN RETURN regexp_replace(trim(line), '\(InitPlan \w+\)\.col1', '$0'); END IF; END LOOP; RETURN NULL; END $$;
-- The grants of pseudonymize are enough.
SET ROLE regress_pseudo_etl;
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', true)$$, 'using people_email');
SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', true);
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize(value => '77@example.com', deterministic => true, keyring => 'pseudo')$$, 'using people_email');
SELECT t.plan_has($$SELECT id FROM t.people WHERE email IN (pseudonymize('77@example.com', true), pseudonymize('78@example.com', true))$$, 'people_email');
SELECT id FROM t.people WHERE email IN (pseudonymize('77@example.com', true), pseudonymize('78@example.com', true)) ORDER BY id;
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', NOT false, 'crm')$$, 'using people_email');
SELECT t.plan_has($$UPDATE t.people SET plain = plain WHERE email = pseudonymize('77@example.com', true)$$, 'using people_email');
-- Several values, and pseudonyms under another key.
SELECT t.index_condition($$SELECT id FROM t.people WHERE email = ANY (pseudonymize_array('{77@example.com,78@example.com}', true))$$);
SELECT id FROM t.people WHERE email = ANY (pseudonymize_array('{77@example.com,78@example.com,NULL}', true)) ORDER BY id;
SELECT t.index_condition($$SELECT id FROM t.people WHERE email = ANY (pseudonymize_array(ARRAY[(SELECT '77@example.com')], deterministic => 1 = 1, context => 'crm'))$$);
SELECT t.index_condition($$SELECT id FROM t.people WHERE email = ANY (pseudonyms_of('77@example.com'))$$);
SELECT t.index_condition($$SELECT id FROM t.people WHERE email = ANY (pseudonymize_array('{77@example.com}'))$$) IS NULL AS random;
SELECT pseudonymize('77@example.com', true) AS p, pseudonymize('77@example.com') AS r \gset
SELECT t.index_condition(format($$SELECT id FROM t.people WHERE email = repseudonymize(%L, true)$$, :'p')) = format('Index Cond: (email = pseudo_repseudonymize_stable(%L::text, %L::text, %L::text))', :'p', '', 'pseudo');
SELECT id FROM t.people WHERE email = repseudonymize(:'p', true);
SELECT id FROM t.people WHERE email = ANY (ARRAY[repseudonymize(:'p', true)]);
SELECT t.index_condition(format($$SELECT id FROM t.people WHERE email = repseudonymize(%L)$$, :'p')) IS NULL AS volatile;
SELECT t.index_condition(format($$SELECT id FROM t.people WHERE email = (SELECT repseudonymize(%L))$$, :'p')) AS once;
-- What has to be deterministic refuses a random pseudonym, also where the planner has nothing to say.
SELECT t.err(format($$SELECT id FROM t.people WHERE email = repseudonymize(%L, true)$$, :'r'));
SELECT t.err(format($$SELECT repseudonymize(p, d) FROM (VALUES (%L, true)) AS v (p, d)$$, :'r'));
SELECT t.err(format($$SELECT repseudonymize(%L, NULL)$$, :'p')), t.err($$SELECT pseudonymize_array('{x}', NULL)$$);
SELECT repseudonymize(p, d) = :'p' FROM (VALUES (:'p', true), (:'p', false)) AS v (p, d);
SELECT pseudonymize_array(a, true) = ARRAY[pseudonymize('x', true), NULL], pseudonymize_array(NULL, true) IS NULL, repseudonymize(NULL, true) IS NULL FROM (VALUES ('{x,NULL}'::text[])) AS v (a);
RESET ROLE;
-- Documents: what a GIN index on a jsonb finds, and an index on one of its keys.
CREATE TABLE t.docs AS SELECT n AS id, pseudonymize_json(jsonb_build_object('n', n % 7, 'email', n || '@example.com'), '{email}', true) AS body FROM generate_series(1, 2000) n;
CREATE INDEX docs_body ON t.docs USING gin (body jsonb_path_ops);
CREATE INDEX docs_email ON t.docs ((body ->> 'email'));
ANALYZE t.docs;
GRANT SELECT ON t.docs TO PUBLIC;
SET ROLE regress_pseudo_etl;
SELECT t.index_condition($$SELECT id FROM t.docs WHERE body @> pseudonymize_json(jsonb '{"email": "77@example.com"}', '{email}', true)$$);
SELECT id FROM t.docs WHERE body @> pseudonymize_json(jsonb '{"email": "77@example.com"}', '{email}', true);
SELECT t.index_condition($$SELECT id FROM t.docs WHERE body @> pseudonymize_json('{"email": "77@example.com"}', '{email}', deterministic => 1 = 1, context => 'crm')$$);
SELECT id FROM t.docs WHERE body @> pseudonymize_json('{"email": "78@example.com"}', '{email}', true);
SELECT t.index_condition($$SELECT id FROM t.docs WHERE body ->> 'email' = pseudonymize_json(json '{"email": "77@example.com"}', '{email}', true) ->> 'email'$$);
SELECT id FROM t.docs WHERE body ->> 'email' = pseudonymize_json(json '{"email": "79@example.com"}', '{email}', true) ->> 'email';
SELECT t.index_condition($$SELECT id FROM t.docs WHERE body @> pseudonymize_json(jsonb '{"email": "77@example.com"}', '{email}')$$) IS NULL AS random;
SELECT pseudonymize_json(j, '{a}', true) = pseudonymize_json(j, '{a}', d) AND pseudonymize_json(j::json, '{a}', true)::text = pseudonymize_json(j::json, '{a}', d)::text FROM (VALUES (jsonb '{"a": [1, "x", null]}', true)) AS v (j, d);
SELECT pseudonymize_json(NULL::jsonb, '{a}', true) IS NULL, t.err($$SELECT pseudonymize_json(jsonb '{}', NULL, true)$$), t.err($$SELECT pseudonymize_json(jsonb '{"a": true}', '{a}', true)$$);
SET ROLE regress_pseudo_none;
SELECT t.err($$SELECT id FROM t.docs WHERE body @> pseudonymize_json(jsonb '{"email": "77@example.com"}', '{email}', true)$$);
SELECT t.err(format($$SELECT pseudo_pseudonymize_json_stable(%s '{}', '{}', '', 'pseudo')$$, type)) FROM (VALUES ('jsonb'), ('json')) AS v (type);
RESET ROLE;
DROP TABLE t.docs;
SET ROLE regress_pseudo_etl;
PREPARE several (text[]) AS SELECT id FROM t.people WHERE email = ANY (pseudonymize_array($1, true)) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
SELECT t.index_condition($$EXECUTE several ('{77@example.com}')$$);
EXECUTE several ('{77@example.com,78@example.com}');
SET plan_cache_mode = force_custom_plan;
EXECUTE several ('{79@example.com}');
RESET plan_cache_mode;
SET ROLE regress_pseudo_none;
SELECT t.err($$EXECUTE several ('{77@example.com}')$$), t.err(format($$SELECT repseudonymize(%L, true)$$, :'p'));
SELECT t.err($$SELECT pseudo_pseudonymize_array_stable('{x}', '', 'pseudo')$$), t.err(format($$SELECT pseudo_repseudonymize_stable(%L, '', 'pseudo')$$, :'p'));
DEALLOCATE several;
SET ROLE regress_pseudo_etl;
-- A join against it.
SELECT t.plan_has($$SELECT p.id FROM (VALUES ('77@example.com'), ('78@example.com')) AS v (plain) JOIN t.people p ON p.email = pseudonymize(v.plain, true)$$, 'using people_email');
SELECT p.id FROM (VALUES ('77@example.com'), ('78@example.com')) AS v (plain) JOIN t.people p ON p.email = pseudonymize(v.plain, true) ORDER BY id;
SET enable_nestloop = off;
SELECT t.plan_has($$SELECT count(*) FROM t.people a JOIN t.people b ON b.email = pseudonymize(a.plain, true)$$, 'Hash Join');
SELECT count(*) FROM t.people a JOIN t.people b ON b.email = pseudonymize(a.plain, true);
RESET enable_nestloop;
-- Prepared, generic and custom.
PREPARE find (text) AS SELECT id FROM t.people WHERE email = pseudonymize($1, true);
SET plan_cache_mode = force_generic_plan;
SELECT t.plan_has($$EXECUTE find ('77@example.com')$$, 'using people_email');
EXECUTE find ('77@example.com');
SET plan_cache_mode = force_custom_plan;
SELECT t.plan_has($$EXECUTE find ('78@example.com')$$, 'using people_email');
EXECUTE find ('78@example.com');
-- The right is still needed, and still the caller's own.
SET ROLE regress_pseudo_none;
SELECT t.err($$EXECUTE find ('77@example.com')$$);
SET plan_cache_mode = force_generic_plan;
SELECT t.err($$EXECUTE find ('77@example.com')$$);
SELECT t.err($$SELECT pseudonymize('77@example.com', true)$$);
SELECT t.err($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', true)$$);
SELECT t.err($$SELECT id FROM t.people WHERE id = 1 AND email = pseudonymize(plain, true)$$);
SELECT t.err($$SELECT pseudonymize_as('current_user', '77@example.com')$$);
SELECT t.err($$SELECT reidentify_as('current_user', 'x')$$);
RESET plan_cache_mode;
SET ROLE regress_pseudo_etl;
SELECT pseudonymize_as('current_user', '77@example.com') = pseudonymize('77@example.com', true);
SELECT t.err($$SELECT reidentify_as('current_user', 'x')$$);
RESET ROLE;
-- A view of the first function alone keeps the rights of its reader.
CREATE VIEW t.looked_up AS SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', true);
GRANT SELECT ON t.looked_up TO PUBLIC;
SET ROLE regress_pseudo_none;
SELECT t.err($$SELECT * FROM t.looked_up$$);
SET ROLE regress_pseudo_etl;
SELECT * FROM t.looked_up;
RESET ROLE;
DROP VIEW t.looked_up;
-- The index serves below a security_barrier and a policy too.
CREATE VIEW t.fenced WITH (security_barrier) AS SELECT id, email FROM t.people WHERE plain <> '78@example.com';
GRANT SELECT ON t.fenced TO PUBLIC;
ALTER TABLE t.people ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t.people USING (plain <> '79@example.com');
SET ROLE regress_pseudo_etl;
SELECT t.plan_has($$SELECT id FROM t.fenced WHERE email = pseudonymize('77@example.com', true)$$, 'using people_email');
SELECT id FROM t.fenced WHERE email IN (pseudonymize('77@example.com', true), pseudonymize('78@example.com', true));
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', true)$$, 'using people_email');
SELECT id FROM t.people WHERE email IN (pseudonymize('77@example.com', true), pseudonymize('79@example.com', true));
RESET ROLE;
DROP VIEW t.fenced;
DROP POLICY p ON t.people;
ALTER TABLE t.people DISABLE ROW LEVEL SECURITY;
-- What is not a constant true stays volatile, and random.
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com')$$, 'people_email');
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', false)$$, 'people_email');
SELECT t.plan_has($$SELECT id FROM t.people WHERE email = pseudonymize('77@example.com', id > 0)$$, 'people_email');
SELECT count(DISTINCT pseudonymize('x')) FROM generate_series(1, 100);
SELECT a = b, a = 'x' FROM (SELECT t AS a, t AS b FROM (SELECT pseudonymize(v) AS t FROM (VALUES ('x')) AS c (v)) AS s) AS s;
SELECT count(DISTINCT a), count(*) FILTER (WHERE a = b) FROM (SELECT t AS a, t AS b FROM (SELECT pseudonymize(plain) AS t FROM t.people LIMIT 10) AS s) AS s;
SELECT t.err($$SELECT pseudonymize('x', NULL)$$);
SELECT t.err($$SELECT pseudonymize('x', true, NULL)$$);
SELECT t.err($$SELECT pseudonymize('x', true, '', NULL)$$);
SELECT pseudonymize(NULL, true) IS NULL, pseudonymize_as('current_user', NULL) IS NULL, reidentify_as('current_user', NULL) IS NULL;
-- No index expression, no generated column: what a key gives is never immutable.
SELECT t.err($$CREATE INDEX ON t.people (pseudonymize(plain, true))$$);
SELECT t.err($$CREATE TABLE t.generated (plain text, p text GENERATED ALWAYS AS (pseudonymize(plain, true)) STORED)$$);
-- Plans as they are without parallel workers.
SET max_parallel_workers_per_gather = 0;
-- EXPLAIN VERBOSE shows no plaintext that the query has not, and the new form of the call.
CREATE FUNCTION t.explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query; END $$;
SELECT count(*), count(*) FILTER (WHERE e LIKE '%alice%') FROM t.explain($$SELECT reidentify('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW'), try_reidentify('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW'), reidentify_as('current_user', 'ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW')$$) e;
SELECT count(*), count(*) FILTER (WHERE e LIKE '%alice%') FROM t.explain($$SELECT 1 FROM t.people WHERE plain = reidentify('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW')$$) e;
SELECT e FROM t.explain($$SELECT pseudonymize('x', true), pseudonymize('x', context => 'crm')$$) e;
-- EXPLAIN by one who may not call.
SET ROLE regress_pseudo_none;
SELECT e FROM t.explain($$SELECT pseudonymize(plain, true) FROM t.people$$) e;
RESET ROLE;
RESET max_parallel_workers_per_gather;
-- Costs, in units of cpu_operator_cost.
SELECT p.proname, p.procost FROM pg_proc p WHERE p.pronamespace = 'pseudo'::regnamespace AND p.procost NOT IN (1, 1000) ORDER BY p.proname COLLATE "C", p.procost;
-- A scan that workers are not worth is worth them with such calls.
CREATE TABLE t.many AS SELECT n, n || '@example.com' AS plain FROM generate_series(1, 60000) n;
ANALYZE t.many;
SET parallel_setup_cost = 1000;
SET parallel_tuple_cost = 0.1;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT t.plan_has('SELECT count(plain) FROM t.many', 'Parallel Seq Scan');
SELECT t.plan_has('SELECT count(pseudonymize(plain, true)) FROM t.many', 'Parallel Seq Scan');
SELECT t.plan_has('SELECT count(pseudonymize(plain)) FROM t.many', 'Parallel Seq Scan');
SELECT count(pseudonymize(plain, true)), count(DISTINCT pseudonymize(plain, true)) FROM t.many;
-- What workers alone compute is right: in scans, joins, aggregates, of each function.
DROP TABLE t.many;
CREATE TABLE t.many AS SELECT n, n % 10 AS g, n || '@example.com' AS plain, pseudonymize(n || '@example.com', true) AS p, pseudonymize(n || '@example.com', false, 'crm') AS r FROM generate_series(1, 3000) n;
ANALYZE t.many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET jit = off;
SET enable_mergejoin = off;
CREATE FUNCTION t.in_workers(node text, query text) RETURNS text LANGUAGE plpgsql AS
$$ DECLARE r text; BEGIN EXECUTE query INTO r; RETURN t.plan_has(query, node) || ' ' || r; END $$;
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) FROM t.many WHERE pseudonymize(plain, true) = p$$);
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) FROM t.many WHERE pseudonymize_as('current_user', plain) = p AND pseudonymize_as('current_user', plain, 'crm') <> p$$);
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) FROM t.many WHERE reidentify(p) = plain AND reidentify(r, 'crm') = plain AND try_reidentify(r) IS NULL$$);
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) FROM t.many WHERE reidentify_as('current_user', r, 'crm') = plain$$);
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) FROM t.many WHERE reidentify_array(pseudonymize_array(ARRAY[plain, NULL])) = ARRAY[plain, NULL] AND pseudonyms_of(plain) = ARRAY[p] AND repseudonymize(p) = p$$);
SELECT t.in_workers('Parallel Seq Scan', $$SELECT count(*) || '/' || count(DISTINCT p) || '/' || count(*) FILTER (WHERE reidentify(p) = plain) FROM (SELECT plain, pseudonymize(plain) AS p FROM t.many OFFSET 0) AS s$$);
SELECT t.in_workers('Parallel Hash Join', $$SELECT count(*) || '/' || count(*) FILTER (WHERE a.n = b.n) FROM t.many a JOIN t.many b ON pseudonymize(a.plain, true) = b.p$$);
SELECT t.in_workers('Parallel Hash Join', $$SELECT count(*) || '/' || count(*) FILTER (WHERE a.n = b.n) FROM t.many a JOIN t.many b ON reidentify(a.r, 'crm') = reidentify_as('current_user', b.p)$$);
SELECT t.in_workers('Partial HashAggregate', $$SELECT count(*) || '/' || bool_and(a = b AND c = d) FROM (SELECT g, max(pseudonymize(plain, true)) AS a, max(p) AS b, max(reidentify(r, 'crm')) AS c, max(plain) AS d FROM t.many GROUP BY g) AS s$$);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET parallel_leader_participation;
RESET enable_mergejoin;
RESET jit;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
DROP TABLE t.many, t.people;
DROP FUNCTION t.explain, t.in_workers, t.index_condition;
DEALLOCATE ALL;
DROP OWNED BY regress_pseudo_etl, regress_pseudo_none;
DROP ROLE regress_pseudo_etl, regress_pseudo_none;
