--
-- Dumps of foreign tables; apart from dump, for a server without contrib has no file_fdw.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = public;
SELECT count(*) > 0 FROM pseudo.pseudo_keyrings;
CREATE ROLE regress_pseudo_dumper;
GRANT pg_write_server_files, pg_execute_server_program TO regress_pseudo_dumper;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_dumper;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO regress_pseudo_dumper;
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_dumper;
CREATE FUNCTION t.has_run(name text, role text) RETURNS boolean LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = hashtext(name)::oid AND objid = hashtext(role)::oid) $$;
SELECT session_user AS admin \gset
-- The owner of a foreign table may have no user mapping; statistics have expressions of theirs.
CREATE FUNCTION t.spy(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM pg_advisory_lock(hashtext(name), hashtext(current_user)); RETURN 'x'; END $$;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE distant (id int, email text, CHECK (id || t.spy('distant check') <> '')) SERVER files OPTIONS (program 'echo 1,a', format 'csv');
SECURITY LABEL FOR pseudo ON COLUMN distant.email IS 'deterministic';
ALTER FOREIGN TABLE distant OWNER TO regress_pseudo_dumper;
SET constraint_exclusion = on;
SET pseudo.dump = on;
COPY distant TO STDOUT;
SET pseudo.dump = off;
CREATE STATISTICS plain (dependencies) ON id, email FROM distant;
SET pseudo.dump = on;
COPY distant TO STDOUT;
SET pseudo.dump = off;
CREATE STATISTICS expressions ON (id || t.spy('distant')) FROM distant;
SET pseudo.dump = on;
SELECT t.err($$COPY distant TO '/dev/null'$$);
SET ROLE regress_pseudo_dumper;
SELECT t.err($$COPY distant TO '/dev/null'$$);
RESET ROLE;
SET pseudo.dump = off;
RESET constraint_exclusion;
SELECT name, t.has_run(name, :'admin') AS as_admin FROM unnest('{distant,distant check}'::text[]) AS name;
DROP EXTENSION file_fdw CASCADE;
DROP FUNCTION t.spy, t.has_run;
DROP OWNED BY regress_pseudo_dumper;
DROP ROLE regress_pseudo_dumper;
