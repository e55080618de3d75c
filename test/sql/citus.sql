--
-- Tables that Citus distributes.  Tables of the shape of Citus's metadata stand in for it.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text,
  colocationid int NOT NULL DEFAULT 0, repmodel "char" NOT NULL DEFAULT 'c', autoconverted boolean NOT NULL DEFAULT false);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass NOT NULL, shardid bigint NOT NULL, shardstorage "char" NOT NULL, shardminvalue text, shardmaxvalue text);
RESET allow_system_table_mods;
CREATE SCHEMA ci;
-- a table of this name, and a trigger on it with these arguments
CREATE FUNCTION ci.make(name text, VARIADIC arguments text[]) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
  EXECUTE format('CREATE TABLE ci.%I (id int, dropped int, tenant text, e text)', name);
  EXECUTE format('ALTER TABLE ci.%I DROP COLUMN dropped', name);
  EXECUTE format('CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON ci.%I FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger(%s)', name,
                 (SELECT string_agg(quote_literal(a), ', ') FROM unnest(arguments) a));
END
$$;
-- the distribution key as Citus writes it: column 3, tenant
CREATE FUNCTION ci.key() RETURNS text LANGUAGE sql AS
$$ SELECT '{VAR :varno 1 :varattno 3 :vartype 25 :vartypmod -1 :varcollid 100 :varlevelsup 0 :varnosyn 1 :varattnosyn 3 :location -1}' $$;
-- A distributed table, by its shard; the distribution column is refused with the column that is none.
SELECT ci.make('visits', 'e', 'deterministic=true'), ci.make('visits_102008', 'tenant', 'e', 'id'), ci.make('visits_102009', 'e');
INSERT INTO pg_dist_partition VALUES ('ci.visits', 'h', ci.key(), 1, 's');
INSERT INTO pg_dist_shard VALUES ('ci.visits', 102008, 't', '0', '1'), ('ci.visits', 102009, 't', '2', '3');
SELECT t.err($$INSERT INTO ci.visits_102008 VALUES (1, 'tenant', 'x')$$);
INSERT INTO ci.visits_102009 VALUES (1, 'tenant', 'x');
SELECT tenant, reidentify(e) FROM ci.visits_102009;
CREATE OR REPLACE TRIGGER pseudo BEFORE INSERT OR UPDATE ON ci.visits FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('tenant');
SELECT t.err($$INSERT INTO ci.visits VALUES (1, 'tenant', 'x')$$);
-- A table that is only named like a shard.
SELECT ci.make('other_102008', 'tenant'), ci.make('visits_102010', 'tenant'), ci.make('visits_x', 'tenant'), ci.make('visits_99999999999999999999', 'tenant');
INSERT INTO ci.other_102008 VALUES (1, 'tenant');
INSERT INTO ci.visits_102010 VALUES (1, 'tenant');
INSERT INTO ci.visits_x VALUES (1, 'tenant');
INSERT INTO ci.visits_99999999999999999999 VALUES (1, 'tenant');
-- A reference table: random mode would differ from node to node.
SELECT ci.make('places', 'e'), ci.make('places_102011', 'e');
INSERT INTO pg_dist_partition VALUES ('ci.places', 'n', NULL, 2, 't');
INSERT INTO pg_dist_shard VALUES ('ci.places', 102011, 't');
SELECT t.err($$INSERT INTO ci.places VALUES (1, 'tenant', 'x')$$);
SELECT t.err($$INSERT INTO ci.places_102011 VALUES (1, 'tenant', 'x')$$);
CREATE OR REPLACE TRIGGER pseudo BEFORE INSERT OR UPDATE ON ci.places_102011 FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('e', 'deterministic=true');
INSERT INTO ci.places_102011 VALUES (1, 'tenant', 'x');
-- So it would in a rotation, which moves deterministic pseudonyms and no random one.
SELECT t.keyring('citus');
SELECT pseudo_create_key('citus');
DROP TRIGGER pseudo ON ci.places_102011;
UPDATE ci.places_102011 SET e = pseudonymize('x', true, keyring => 'citus'), tenant = pseudonymize('x', keyring => 'citus');
SELECT pseudo_create_key('citus', make_primary => true);
CALL repseudonymize_table('ci.places_102011', '{tenant}', keyring => 'citus', dry_run => true);
CALL repseudonymize_table('ci.places_102011', '{tenant}', keyring => 'citus');
CALL repseudonymize_table('ci.places_102011', '{e}', keyring => 'citus');
SELECT pseudonym_key_id(tenant), pseudonym_key_id(e) FROM ci.places_102011;
DELETE FROM pseudo_progress;
DROP SERVER citus;
SELECT t.run(format('rm -f %s', t.path('citus')));
-- A local table of Citus's, and one with a single shard, have no distribution column.
SELECT ci.make('here', 'tenant', 'e'), ci.make('single', 'tenant', 'e');
INSERT INTO pg_dist_partition VALUES ('ci.here', 'n', NULL, 0, 's'), ('ci.single', 'n', NULL, 7, 's');
INSERT INTO ci.here VALUES (1, 'tenant', 'x');
INSERT INTO ci.single VALUES (1, 'tenant', 'x');
SELECT reidentify(tenant), reidentify(e) FROM ci.here UNION ALL SELECT reidentify(tenant), reidentify(e) FROM ci.single;
-- A view cannot work with the rights of a role there; one that shows what the table holds can be made.
SECURITY LABEL FOR pseudo ON COLUMN ci.here.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN ci.here.tenant IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN ci.here.e IS 'random';
SELECT t.err($$SELECT pseudo_create_view('ci.here', 'ci.masked', 'current_user', reidentify => '{e}')$$);
SELECT pseudo_create_view('ci.here', 'ci.masked', 'current_user');
DROP SCHEMA ci CASCADE;
SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard;
RESET allow_system_table_mods;
-- What Citus's coordinator is told of an error is a message in the log here, too: so only what may be in that.
CREATE TABLE t.told (id int, email text);
INSERT INTO t.told VALUES (1, 'a');
CREATE FUNCTION t.tell() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'no' USING DETAIL = 'Failing row contains (1, a).', HINT = 'Do not.'; END $$;
CREATE TRIGGER tell BEFORE UPDATE ON t.told FOR EACH ROW EXECUTE FUNCTION t.tell();
SET application_name = 'citus_run_command gpid=1';
CALL pseudonymize_table('t.told', '{email}');
SET log_error_verbosity = terse;
CALL pseudonymize_table('t.told', '{email}');
RESET log_error_verbosity;
RESET application_name;
DROP TABLE t.told;
DROP FUNCTION t.tell();
DELETE FROM pseudo_progress;
-- Keys are not made and changed on a worker.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_local_group (groupid int NOT NULL);
INSERT INTO pg_dist_local_group VALUES (3);
SELECT t.err('SELECT pseudo_create_key()');
SELECT t.err($$SELECT pseudo_set_primary_key('pseudo', 1)$$);
SELECT t.err($$SELECT pseudo_set_key_status('pseudo', 1, 'disabled')$$);
SELECT pseudo_refresh_keyring();
UPDATE pg_dist_local_group SET groupid = 0;
SELECT t.err($$SELECT pseudo_set_key_status('pseudo', 4711, 'disabled')$$);
ROLLBACK;
-- Rights on other nodes: here there is none; and what another node does.
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT t.err('SELECT pseudo_sync_grants()');
COMMIT;
SELECT * FROM pseudo_node_differences();
CREATE ROLE citus_a;
CREATE ROLE "citus b";
GRANT USAGE ON SCHEMA pseudo TO citus_a, "citus b";
SELECT jsonb_agg(g) AS before FROM pseudo_grants() g \gset
GRANT EXECUTE ON FUNCTION reidentify TO "citus b" WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE pseudonymize_table TO citus_a;
GRANT USAGE ON TYPE pseudo_role TO citus_a;
GRANT SELECT, DELETE ON pseudo_progress TO citus_a;
GRANT USAGE ON FOREIGN SERVER pseudo TO citus_a;
REVOKE EXECUTE ON FUNCTION pseudonym_key_id FROM PUBLIC;
SELECT jsonb_agg(g) AS after FROM pseudo_grants() g \gset
CREATE FUNCTION t.grants_differ(a jsonb, b jsonb) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT line FROM jsonb_array_elements(a) g, concat_ws(' ', g ->> 'privilege', g ->> 'kind', regexp_replace(g ->> 'object', '\(.*', ''), g ->> 'grantee', g ->> 'grantable') line
     WHERE NOT b @> jsonb_build_array(g) ORDER BY line COLLATE "C" $$;
SELECT t.grants_differ(:'after', :'before');
SELECT t.grants_differ(:'before', :'after');
SELECT pseudo_take_grants(:'before');
SELECT t.grants_differ(jsonb_agg(g), :'before'), t.grants_differ(:'before', jsonb_agg(g)) FROM pseudo_grants() g;
SELECT pseudo_take_grants(:'after');
SELECT t.grants_differ(jsonb_agg(g), :'after'), t.grants_differ(:'after', jsonb_agg(g)) FROM pseudo_grants() g;
-- What somebody else has granted cannot be revoked so, and nothing is changed.
SET ROLE "citus b";
GRANT EXECUTE ON FUNCTION reidentify TO citus_a;
RESET ROLE;
SELECT t.err(format('SELECT pseudo_take_grants(%L)', :'after'));
SELECT pseudo_take_grants(:'before');
SELECT t.grants_differ(jsonb_agg(g), :'before'), t.grants_differ(:'before', jsonb_agg(g)) FROM pseudo_grants() g;
-- The event trigger works as the owner of the extension, and nothing runs there that is of the owner of the schema.
BEGIN ISOLATION LEVEL READ COMMITTED;
CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OR REPLACE FUNCTION pseudo_run_on_other_nodes(command text) RETURNS void LANGUAGE plpgsql STRICT AS
$$ BEGIN EXECUTE command; RAISE WARNING 'as a node'; END $$;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO citus_a', current_database()); END $$;
ALTER SCHEMA pseudo OWNER TO citus_a;
CREATE FUNCTION t.steal() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'runs as %', current_user; END $$;
GRANT EXECUTE ON FUNCTION t.steal() TO PUBLIC;
SET ROLE citus_a;
CREATE FUNCTION pseudo.pseudo_take_grants(text) RETURNS void LANGUAGE sql AS 'SELECT t.steal()';
CREATE FUNCTION pseudo.pseudo_run_on_other_nodes(VARIADIC text[]) RETURNS void LANGUAGE sql AS 'SELECT t.steal()';
ALTER SCHEMA pseudo RENAME TO was_pseudo;
CREATE SCHEMA pseudo;
CREATE FUNCTION pseudo.pseudo_sync_grants() RETURNS void LANGUAGE sql AS 'SELECT t.steal()';
CREATE FUNCTION pseudo.pseudo_run_on_other_nodes(text) RETURNS void LANGUAGE sql AS 'SELECT t.steal()';
CREATE FUNCTION pseudo.pseudo_take_grants(jsonb) RETURNS void LANGUAGE sql AS 'SELECT t.steal()';
CREATE FUNCTION pseudo.pseudo_grants() RETURNS TABLE (n text) LANGUAGE sql AS 'SELECT t.steal()::text';
RESET ROLE;
GRANT EXECUTE ON FUNCTION was_pseudo.reidentify TO citus_a;
-- One at a time.
SELECT mode FROM pg_locks WHERE relation = 'was_pseudo.pseudo_progress'::regclass AND pid = pg_backend_pid() AND mode LIKE '%Exclusive%';
-- What identifiers look like here does not matter there.
SET LOCAL quote_all_identifiers = on;
SELECT object, grantee FROM was_pseudo.pseudo_grants() WHERE object LIKE '%.reidentify(%' ORDER BY grantee COLLATE "C";
RESET quote_all_identifiers;
ROLLBACK;
-- A snapshot that is older than what others have revoked would bring it back on other nodes.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT t.err('GRANT EXECUTE ON FUNCTION reidentify TO citus_a');
ROLLBACK;
DROP OWNED BY citus_a, "citus b";
DROP ROLE citus_a, "citus b";
