--
-- Everything that the extension brings, with its rights: what is new has to be named in the expected output of this
-- file.  Then: what default privileges change of it, and what is attached to it.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
\set VERBOSITY terse
SET client_min_messages = warning;
SET search_path = pseudo, public;
-- Functions: whose rights, volatility, parallel safety, settings; whether strict, leakproof, a set; who may call them.
SELECT format('%s(%s) %s%s%s%s%s%s%s', p.proname, pg_get_function_identity_arguments(p.oid), l.lanname, CASE WHEN p.prosecdef THEN ' SECURITY DEFINER' END,
         CASE p.provolatile WHEN 'i' THEN ' IMMUTABLE' WHEN 's' THEN ' STABLE' ELSE ' VOLATILE' END, CASE p.proparallel WHEN 's' THEN ' SAFE' WHEN 'r' THEN ' RESTRICTED' ELSE ' UNSAFE' END,
         CASE WHEN p.proisstrict THEN ' STRICT' END, CASE WHEN p.proleakproof THEN ' LEAKPROOF' END, ' ' || p.proconfig::text),
       CASE WHEN p.prosupport <> 0 THEN p.prosupport::text END,
       (SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE 'owner' END || '=' || a.privilege_type, ',' ORDER BY a.grantee) FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a)
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
 WHERE e.extname = 'pseudo' ORDER BY p.proname COLLATE "C", pg_get_function_identity_arguments(p.oid) COLLATE "C";
-- Everything else, without the types that come with it: of rows and arrays.
CREATE VIEW t.objects AS
SELECT (SELECT identity FROM pg_identify_object(d.classid, d.objid, 0)) AS identity, d.classid::regclass::text AS class, acl.acl
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  LEFT JOIN LATERAL (SELECT relacl, 'r' AS kind, relowner AS owner FROM pg_class WHERE d.classid = tableoid AND oid = d.objid
             UNION ALL SELECT typacl, 'T', typowner FROM pg_type WHERE d.classid = tableoid AND oid = d.objid
             UNION ALL SELECT fdwacl, 'F', fdwowner FROM pg_foreign_data_wrapper WHERE d.classid = tableoid AND oid = d.objid) o (acl, kind, owner) ON true
  LEFT JOIN LATERAL (SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' WHEN o.owner THEN 'owner' ELSE a.grantee::regrole::text END || '=' || a.privilege_type, ',' ORDER BY a.grantee, a.privilege_type)
             FROM aclexplode(coalesce(o.acl, acldefault(o.kind::"char", o.owner))) a WHERE a.privilege_type <> 'MAINTAIN') acl (acl) ON true
 WHERE e.extname = 'pseudo' AND d.deptype = 'e' AND d.classid <> 'pg_proc'::regclass
   AND NOT EXISTS (SELECT FROM pg_type WHERE d.classid = tableoid AND d.objid = oid AND (typrelid <> 0 OR typelem <> 0));
SELECT * FROM t.objects ORDER BY class COLLATE "C", identity COLLATE "C";
DROP VIEW t.objects;
SELECT c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers, (SELECT string_agg(r.rulename, ',') FROM pg_rewrite r WHERE r.ev_class = c.oid) AS rules
  FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' ORDER BY 1;
SELECT polname, polcmd, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = 'pseudo_progress'::regclass;
SELECT count(*) AS casts FROM pg_cast WHERE 'pseudo_role'::regtype IN (castsource, casttarget);
SELECT count(*) AS operators FROM pg_operator WHERE 'pseudo_role'::regtype IN (oprleft, oprright);
-- The schema is not the extension's; who may create in it could overload our functions.
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'pseudo'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');
--
-- Default privileges change nothing of it, whether they take or give.
--
CREATE ROLE regress_pseudo_given;
SELECT current_database() AS here \gset
-- all rights of others than the owner, in one line
SELECT $$SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (SELECT o.identity || ' ' || a.grantee::regrole::text || a.privilege_type || a.is_grantable::text AS line
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pseudo' AND d.deptype = 'e' AND d.classid <> 'pg_foreign_data_wrapper'::regclass
  CROSS JOIN pg_identify_object(d.classid, d.objid, 0) o
  JOIN LATERAL (SELECT relacl, 'r' AS kind, relowner AS owner FROM pg_class WHERE d.classid = tableoid AND oid = d.objid
                UNION ALL SELECT typacl, 'T', typowner FROM pg_type WHERE d.classid = tableoid AND oid = d.objid
                UNION ALL SELECT proacl, 'f', proowner FROM pg_proc WHERE d.classid = tableoid AND oid = d.objid) c (acl, kind, owner) ON true
  CROSS JOIN LATERAL aclexplode(coalesce(c.acl, acldefault(c.kind::"char", c.owner))) a WHERE a.grantee <> c.owner) s$$ AS rights \gset
SELECT (:rights) AS plain \gset
SELECT :'plain' LIKE '%pseudo.try_reidentify(pg_catalog.text,pg_catalog.text,pg_catalog.text) -EXECUTEfalse%', :'plain' NOT LIKE '%regress%', :'plain' NOT LIKE '%true%';
CREATE DATABASE regress_pseudo_taken;
\c regress_pseudo_taken
SET client_min_messages = warning;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM CURRENT_USER;
CREATE SCHEMA pseudo;
CREATE EXTENSION pseudo SCHEMA pseudo;
SELECT (:rights) AS taken \gset
SELECT :'taken' = :'plain';
CREATE DATABASE regress_pseudo_given;
\c regress_pseudo_given
SET client_min_messages = warning;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_pseudo_given WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO regress_pseudo_given, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_pseudo_given, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_pseudo_given;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_pseudo_given;
CREATE SCHEMA pseudo;
ALTER DEFAULT PRIVILEGES IN SCHEMA pseudo GRANT ALL ON FUNCTIONS TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA pseudo GRANT ALL ON TABLES TO regress_pseudo_given WITH GRANT OPTION;
-- An operator in that schema would be found by the script, where it named none.
CREATE FUNCTION pseudo.planted(oid, int4) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN false; END $$;
CREATE OPERATOR pseudo.= (LEFTARG = oid, RIGHTARG = int4, FUNCTION = pseudo.planted);
CREATE EXTENSION pseudo SCHEMA pseudo;
SELECT (:rights) AS given \gset
SELECT :'given' = :'plain';
\c :here
DROP DATABASE regress_pseudo_taken;
DROP DATABASE regress_pseudo_given;
SET client_min_messages = warning;
SET search_path = pseudo, public;
--
-- pseudo_progress is written for everybody who converts a table: nothing that is attached to it runs then.
--
GRANT ALL ON pseudo_progress TO regress_pseudo_given;
GRANT USAGE ON SCHEMA pseudo, public TO regress_pseudo_given;
GRANT CREATE ON SCHEMA public TO regress_pseudo_given;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_given;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_given;
SET SESSION AUTHORIZATION regress_pseudo_given;
CREATE FUNCTION public.attached() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'attached runs as %, superuser %', CASE current_setting('is_superuser') WHEN 'on' THEN 'a superuser' ELSE current_user END, current_setting('is_superuser'); RETURN COALESCE(NEW, OLD); END $$;
CREATE FUNCTION public.attached(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'attached runs as %, superuser %', CASE current_setting('is_superuser') WHEN 'on' THEN 'a superuser' ELSE current_user END, current_setting('is_superuser'); RETURN true; END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON pseudo_progress FOR EACH ROW EXECUTE FUNCTION public.attached();
CREATE TRIGGER after AFTER INSERT OR UPDATE OR DELETE ON pseudo_progress FOR EACH ROW WHEN (public.attached(1)) EXECUTE FUNCTION public.attached();
CREATE TRIGGER statement AFTER INSERT OR UPDATE OR DELETE ON pseudo_progress FOR EACH STATEMENT EXECUTE FUNCTION public.attached();
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE OR DELETE ON pseudo_progress DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.attached();
CREATE TABLE public.referencing (relation regclass REFERENCES pseudo_progress ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TRIGGER before BEFORE UPDATE OR DELETE ON public.referencing FOR EACH ROW EXECUTE FUNCTION public.attached();
CREATE TABLE public.mine (email text);
INSERT INTO public.mine VALUES ('a@example.com');
SELECT t.err($$INSERT INTO pseudo_progress SELECT * FROM pseudo_progress$$), t.err($$INSERT INTO pseudo_progress VALUES ('public.mine', 'x', '{}', 'x', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, now(), now(), NULL)$$);
CALL pseudonymize_table('public.mine', '{email}', true);
CALL repseudonymize_table('public.mine', '{email}');
SELECT operation, status, rows_done, percent, sqlstate FROM pseudo_progress WHERE relation = 'public.mine'::regclass;
-- What only the owner can attach does not run either.
RESET SESSION AUTHORIZATION;
CREATE RULE rule AS ON UPDATE TO pseudo_progress WHERE public.attached(2) DO INSTEAD NOTHING;
CREATE POLICY policy ON pseudo_progress FOR ALL USING (public.attached(3)) WITH CHECK (public.attached(3));
ALTER TABLE pseudo_progress FORCE ROW LEVEL SECURITY;
ALTER TABLE pseudo_progress ADD CONSTRAINT refused CHECK (public.attached(4) AND status <> 'running') NOT VALID;
ALTER TABLE pseudo_progress ALTER pass SET DEFAULT public.attached(5)::int;
SET SESSION AUTHORIZATION regress_pseudo_given;
CALL pseudonymize_table('public.mine', '{email}', true);
RESET SESSION AUTHORIZATION;
DROP RULE rule ON pseudo_progress;
DROP POLICY policy ON pseudo_progress;
ALTER TABLE pseudo_progress NO FORCE ROW LEVEL SECURITY;
ALTER TABLE pseudo_progress DROP CONSTRAINT refused;
ALTER TABLE pseudo_progress ALTER pass DROP DEFAULT;
SELECT operation, status FROM pseudo_progress WHERE relation = 'public.mine'::regclass;
-- An expression of an index would: such a table is refused, and one that is not ours.
CREATE INDEX expression ON pseudo_progress ((public.attached(pass))) WHERE pass < 0;
CALL pseudonymize_table('public.mine', '{email}', true);
DROP INDEX expression;
CREATE INDEX predicate ON pseudo_progress (pass) WHERE public.attached(pass);
CALL pseudonymize_table('public.mine', '{email}', true);
DROP INDEX predicate;
ALTER TABLE pseudo_progress ALTER pass TYPE bigint;
CALL pseudonymize_table('public.mine', '{email}', true);
ALTER TABLE pseudo_progress ALTER pass TYPE integer;
ALTER EXTENSION pseudo DROP TABLE pseudo_progress;
CALL pseudonymize_table('public.mine', '{email}', true);
ALTER TABLE pseudo_progress RENAME TO kept;
CALL pseudonymize_table('public.mine', '{email}', true);
CREATE TABLE pseudo_progress (LIKE kept INCLUDING ALL);
ALTER TABLE pseudo_progress OWNER TO regress_pseudo_given;
CALL pseudonymize_table('public.mine', '{email}', true);
DROP TABLE pseudo_progress;
ALTER TABLE kept RENAME TO pseudo_progress;
ALTER EXTENSION pseudo ADD TABLE pseudo_progress;
CALL pseudonymize_table('public.mine', '{email}', true);
-- The owner of the table, where that is another role, runs nothing with the rights of who converts.
SELECT relowner::regrole AS owner FROM pg_class WHERE oid = 'pseudo_progress'::regclass \gset
GRANT CREATE ON SCHEMA pseudo TO regress_pseudo_given;
ALTER TABLE pseudo_progress OWNER TO regress_pseudo_given;
SET SESSION AUTHORIZATION regress_pseudo_given;
CREATE INDEX expression ON pseudo_progress ((public.attached(pass))) WHERE pass < 0;
RESET SESSION AUTHORIZATION;
CALL pseudonymize_table('public.mine', '{email}', true);
DROP INDEX expression;
CALL pseudonymize_table('public.mine', '{email}', true);
ALTER TABLE pseudo_progress OWNER TO :owner;
REVOKE CREATE ON SCHEMA pseudo FROM regress_pseudo_given;
DROP TRIGGER before ON pseudo_progress;
DROP TRIGGER after ON pseudo_progress;
DROP TRIGGER statement ON pseudo_progress;
DROP TRIGGER deferred ON pseudo_progress;
DROP TABLE public.referencing;
-- A dry run leaves the row of a conversion that goes on, and takes one that its session has left.
CALL repseudonymize_table('public.mine', '{email}', dry_run => true);
SELECT operation, status FROM pseudo_progress WHERE relation = 'public.mine'::regclass;
UPDATE pseudo_progress SET operation = 'pseudonymize_table', status = 'running', pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'logical replication launcher') WHERE relation = 'public.mine'::regclass;
CALL repseudonymize_table('public.mine', '{email}', dry_run => true);
SELECT operation, status FROM pseudo_progress WHERE relation = 'public.mine'::regclass;
UPDATE pseudo_progress SET pid = 0 WHERE relation = 'public.mine'::regclass;
CALL repseudonymize_table('public.mine', '{email}', dry_run => true);
SELECT operation, status FROM pseudo_progress WHERE relation = 'public.mine'::regclass;
-- Rows of tables that are gone go with the next run.
CREATE TABLE public.next (email text);
DROP TABLE public.mine;
SELECT count(*) > 0 FROM pseudo_progress p WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = p.relation);
CALL repseudonymize_table('public.next', '{email}', dry_run => true);
SELECT count(*) FROM pseudo_progress p WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = p.relation);
SELECT count(*) FROM pseudo_progress WHERE relation = 'public.next'::regclass;
DROP TABLE public.next;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_given;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_given;
DELETE FROM pseudo_progress;
DROP OWNED BY regress_pseudo_given;
DROP ROLE regress_pseudo_given;
