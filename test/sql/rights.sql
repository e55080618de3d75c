--
-- Who may do what: two rights, USAGE on the keyring, and its owner.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
\set VERBOSITY terse
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_p;
CREATE ROLE regress_pseudo_r;
CREATE ROLE regress_pseudo_none;
CREATE ROLE regress_pseudo_owner;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_p, regress_pseudo_r, regress_pseudo_none, regress_pseudo_owner;
-- what each function says to the current user
CREATE FUNCTION t.rights() RETURNS SETOF text LANGUAGE sql AS
$$
SELECT f || ' -> ' || t.err('SELECT pseudo.' || f) FROM unnest(ARRAY[
  $q$pseudonymize('x', true)$q$, $q$pseudonymize('x')$q$, $q$pseudonymize_array('{x}')$q$,
  $q$reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$q$, $q$try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$q$,
  $q$reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}')$q$, $q$try_reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}')$q$,
  $q$is_pseudonym('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$q$, $q$pseudonym_key_id('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$q$]) WITH ORDINALITY AS s (f, n) ORDER BY n
$$;
-- Nobody has a right by default.
SET ROLE regress_pseudo_none;
SELECT t.rights();
-- also where the value is NULL, the array empty, the pseudonym malformed, the keyring none
SELECT t.err($$SELECT try_reidentify(NULL)$$);
SELECT t.err($$SELECT try_reidentify('bad')$$);
SELECT t.err($$SELECT try_reidentify('bad', '', 'none')$$);
SELECT t.err($$SELECT pseudonymize_array(NULL)$$);
SELECT t.err($$SELECT pseudonymize_array('{}')$$);
SELECT t.err($$SELECT reidentify_array('{}')$$);
SELECT t.err($$SELECT try_reidentify_array('{NULL}')$$);
RESET ROLE;
-- EXECUTE without USAGE on the keyring.
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_p;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_r;
SET ROLE regress_pseudo_p;
SELECT t.rights();
SET ROLE regress_pseudo_r;
SELECT t.rights();
SELECT t.err($$SELECT try_reidentify('bad')$$);
SELECT t.err($$SELECT reidentify('bad')$$);
RESET ROLE;
-- USAGE without EXECUTE.
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_none;
SET ROLE regress_pseudo_none;
SELECT t.rights();
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_none;
-- Both: one GRANT on a function is the whole grant.
GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_p, regress_pseudo_r;
SET ROLE regress_pseudo_p;
SELECT t.rights();
SET ROLE regress_pseudo_r;
SELECT t.rights();
RESET ROLE;
-- USAGE is of each keyring.
SELECT t.keyring('b', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
SET ROLE regress_pseudo_p;
SELECT t.err($$SELECT pseudonymize('x', true, '', 'b')$$);
SELECT t.err($$SELECT pseudonymize(v, true, '', k) FROM (VALUES ('x', 'pseudo'), ('y', 'b')) AS s (v, k)$$);
SELECT t.err($$SELECT pseudonymize_array('{x}', true, '', 'b')$$);
RESET ROLE;
-- Rights by membership, and by PUBLIC.
GRANT regress_pseudo_r TO regress_pseudo_none;
SET ROLE regress_pseudo_none;
SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
RESET ROLE;
REVOKE regress_pseudo_r FROM regress_pseudo_none;
GRANT EXECUTE ON FUNCTION reidentify TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER pseudo TO PUBLIC;
SET ROLE regress_pseudo_none;
SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION reidentify FROM PUBLIC;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM PUBLIC;
SET ROLE regress_pseudo_none;
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
RESET ROLE;
-- The next statement sees REVOKE and SET ROLE, in an open transaction too.
BEGIN;
SET LOCAL ROLE regress_pseudo_r;
SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}');
SET LOCAL ROLE regress_pseudo_p;
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
SET LOCAL ROLE regress_pseudo_r;
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION reidentify FROM regress_pseudo_r;
SET LOCAL ROLE regress_pseudo_r;
SELECT t.err($$SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
SELECT t.err($$SELECT reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_r;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_r;
SET LOCAL ROLE regress_pseudo_r;
SELECT t.err($$SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
ROLLBACK;
SET ROLE regress_pseudo_r;
SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
RESET ROLE;
-- Prepared statements, with a plan that stays.
SET plan_cache_mode = force_generic_plan;
PREPARE try (text) AS SELECT try_reidentify($1);
PREPARE pseudo (text) AS SELECT pseudonymize($1, true);
SET ROLE regress_pseudo_r;
EXECUTE try ('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SET ROLE regress_pseudo_p;
EXECUTE pseudo ('x');
EXECUTE try ('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SET ROLE regress_pseudo_r;
EXECUTE pseudo ('x');
EXECUTE try ('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
RESET ROLE;
BEGIN;
SET LOCAL ROLE regress_pseudo_p;
EXECUTE pseudo ('x');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_p;
SET LOCAL ROLE regress_pseudo_p;
EXECUTE pseudo ('x');
ROLLBACK;
BEGIN;
SET LOCAL ROLE regress_pseudo_p;
EXECUTE pseudo ('x');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_p;
SET LOCAL ROLE regress_pseudo_p;
EXECUTE pseudo ('x');
ROLLBACK;
RESET plan_cache_mode;
DEALLOCATE ALL;
-- PL/pgSQL keeps an expression's state through a loop: the next turn sees it all the same.
DO $$
DECLARE
  v text;
BEGIN
  FOR i IN 1..6 LOOP
    PERFORM set_config('role', CASE WHEN i % 2 = 0 THEN 'regress_pseudo_p' ELSE 'regress_pseudo_r' END, true);
    BEGIN
      v := try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
      RAISE WARNING '% %: %', i, current_user, v;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING '% %: %', i, current_user, SQLERRM;
    END;
  END LOOP;
END
$$;
RESET ROLE;
DO $$
DECLARE
  v text;
BEGIN
  FOR i IN 1..6 LOOP
    PERFORM set_config('role', 'regress_pseudo_r', true);
    BEGIN
      v := try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
      RAISE WARNING '%: %', i, v;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING '%: %', i, SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    IF i = 1 THEN REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM regress_pseudo_r;
    ELSIF i = 3 THEN GRANT EXECUTE ON FUNCTION pseudo.reidentify TO regress_pseudo_r;
    ELSIF i = 4 THEN REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_r;
    ELSIF i = 5 THEN GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_r;
    END IF;
  END LOOP;
END
$$;
DO $$
DECLARE
  v text;
BEGIN
  FOR i IN 1..4 LOOP
    PERFORM set_config('role', 'regress_pseudo_p', true);
    BEGIN
      v := pseudonymize('x', true);
      RAISE WARNING '%: %', i, v;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING '%: %', i, SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    IF i = 1 THEN REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_p;
    ELSIF i = 2 THEN GRANT USAGE ON FOREIGN SERVER pseudo TO regress_pseudo_p;
    ELSIF i = 3 THEN REVOKE EXECUTE ON FUNCTION pseudo.pseudonymize FROM regress_pseudo_p;
    END IF;
  END LOOP;
  GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO regress_pseudo_p;
END
$$;
-- ALTER SERVER and pseudo_refresh_keyring are seen by the next statement, in a transaction, a loop, a prepared statement.
-- What this session itself has seen: not in a parallel worker, to which every keyring is new.
SET max_parallel_workers_per_gather = 0;
PREPARE b AS SELECT pseudonymize('x', true, '', 'b');
EXECUTE b;
BEGIN;
EXECUTE b;
DO $$ BEGIN EXECUTE format('ALTER SERVER b OPTIONS (SET path %L)', t.path('pseudo')); END $$;
EXECUTE b;
SELECT pseudonymize('x', true, '', 'b') = pseudonymize('x', true), try_reidentify('Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E=', '', 'b') IS NULL;
ROLLBACK;
EXECUTE b;
BEGIN;
EXECUTE b;
SELECT t.put('b', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
SELECT pseudo_refresh_keyring('b');
EXECUTE b;
SELECT t.put('b', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
SELECT pseudo_refresh_keyring('b');
EXECUTE b;
COMMIT;
EXECUTE b;
DEALLOCATE b;
RESET max_parallel_workers_per_gather;
DO $$
DECLARE
  v text;
BEGIN
  FOR i IN 1..4 LOOP
    v := pseudonymize('x', true, '', 'b');
    RAISE WARNING '%: %', i, v;
    IF i = 1 THEN EXECUTE format('ALTER SERVER b OPTIONS (SET path %L)', t.path('pseudo'));
    ELSIF i = 2 THEN EXECUTE format('ALTER SERVER b OPTIONS (SET path %L)', t.path('b'));
    ELSIF i = 3 THEN PERFORM t.put('b', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}'); PERFORM pseudo_refresh_keyring('b');
    END IF;
  END LOOP;
  PERFORM t.put('b', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
  PERFORM pseudo_refresh_keyring('b');
END
$$;
-- SECURITY DEFINER gives its owner's rights, and a view its reader's.
CREATE FUNCTION t.definer(p text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT pseudo.try_reidentify(p) $$;
ALTER FUNCTION t.definer OWNER TO regress_pseudo_r;
CREATE VIEW t.viewed AS SELECT pseudo.try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=') AS v, pseudo.reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}') AS a;
GRANT SELECT ON t.viewed TO PUBLIC;
SET ROLE regress_pseudo_none;
SELECT t.definer('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SELECT t.err($$SELECT * FROM t.viewed$$);
SET ROLE regress_pseudo_r;
SELECT * FROM t.viewed;
RESET ROLE;
DROP VIEW t.viewed;
DROP FUNCTION t.definer;
-- A cursor that such a function has opened has the rights of who fetches; a row those of the role at that row.
CREATE FUNCTION t.opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN OPEN c FOR SELECT pseudo.reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), current_user FROM generate_series(1, 2); RETURN c; END $$;
ALTER FUNCTION t.opened OWNER TO regress_pseudo_r;
BEGIN;
SET LOCAL ROLE regress_pseudo_none;
SELECT t.opened('c');
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
SET LOCAL ROLE regress_pseudo_r;
SELECT t.opened('d');
FETCH 1 FROM d;
SET LOCAL ROLE regress_pseudo_none;
FETCH 1 FROM d;
ROLLBACK;
DROP FUNCTION t.opened;
SET ROLE regress_pseudo_r;
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), set_config('role', 'regress_pseudo_r', true) FROM generate_series(1, 2)$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), set_config('role', 'regress_pseudo_none', true) FROM generate_series(1, 2)$$);
RESET ROLE;
-- A function of the same name elsewhere, on whose path it may stand, gives no right and takes no part.
CREATE SCHEMA attacker AUTHORIZATION regress_pseudo_none;
SET ROLE regress_pseudo_none;
CREATE FUNCTION attacker.reidentify(pseudonym text, context text = '', keyring text = 'pseudo') RETURNS text LANGUAGE sql AS $$ SELECT 'attacked' $$;
CREATE FUNCTION attacker.pseudonymize(value text, deterministic boolean = false, context text = '', keyring text = 'pseudo') RETURNS text LANGUAGE sql AS $$ SELECT 'attacked' $$;
CREATE FUNCTION pg_temp.reidentify(pseudonym text, context text = '', keyring text = 'pseudo') RETURNS text LANGUAGE sql AS $$ SELECT 'attacked' $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA attacker TO PUBLIC;
GRANT USAGE ON SCHEMA attacker TO PUBLIC;
SET search_path = attacker, pg_temp, pg_catalog, pseudo;
SELECT t.err($$SELECT pseudo.try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=')$$);
SELECT t.err($$SELECT pseudo.pseudonymize_array('{x}')$$);
SET ROLE regress_pseudo_r;
SELECT pseudo.try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), pseudo.reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), pseudo.reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}');
RESET ROLE;
DROP SCHEMA attacker CASCADE;
SET search_path = '';
SELECT pseudo.reidentify(pseudo.pseudonymize('x')), pseudo.try_reidentify_array(pseudo.pseudonymize_array('{x}'));
SELECT count(*) FROM pseudo.pseudo_keyrings WHERE name = 'pseudo';
SET search_path = pseudo, public;
-- Administration is the owner's: not of who may use the keyring.
SET ROLE regress_pseudo_p;
SELECT t.err($$SELECT pseudo_create_key()$$);
SELECT t.err($$SELECT pseudo_set_primary_key('pseudo', 1)$$);
SELECT t.err($$SELECT pseudo_set_key_status('pseudo', 1, 'disabled')$$);
SELECT t.err($$SELECT pseudo_refresh_keyring()$$);
-- Making a keyring on a file takes pg_read_server_files, storing in one pg_write_server_files.
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO regress_pseudo_owner;
SELECT t.path('owned') AS path, t.path('b') AS path_b \gset
SELECT t.run('rm -f ' || t.path('owned'));
SET ROLE regress_pseudo_owner;
SELECT t.err(format($$CREATE SERVER owned FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path %L)$$, :'path'));
RESET ROLE;
GRANT pg_read_server_files TO regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
SELECT t.err(format($$CREATE SERVER owned FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path %L)$$, :'path'));
SELECT t.err($$SELECT pseudo_create_key('owned')$$);
SELECT t.err($$SELECT pseudo_refresh_keyring('owned')$$);
RESET ROLE;
GRANT pg_write_server_files TO regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
SELECT pseudo_create_key('owned');
SELECT pseudo_create_key('owned');
SELECT pseudo_set_primary_key('owned', 2);
SELECT pseudo_set_key_status('owned', 1, 'disabled');
SELECT pseudo_refresh_keyring('owned');
-- The owner of a keyring still needs EXECUTE to use it.
SELECT t.err($$SELECT pseudonymize('x', true, '', 'owned')$$);
-- He may not touch a keyring of another.
SELECT t.err($$SELECT pseudo_create_key('b')$$);
SELECT t.err(format($$ALTER SERVER b OPTIONS (SET path %L)$$, :'path'));
-- Without pg_read_server_files the options stay as they are, also a path that they had.
RESET ROLE;
REVOKE pg_read_server_files FROM regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
SELECT t.err(format($$ALTER SERVER owned OPTIONS (SET path %L)$$, :'path_b'));
-- But how long it serves is the owner's to say, by a command of its own.
ALTER SERVER owned OPTIONS (ADD refresh_interval '10min');
ALTER SERVER owned OPTIONS (SET refresh_interval '20min', ADD stale_limit '1h', SET path :'path');
ALTER SERVER owned OPTIONS (DROP stale_limit);
ALTER SERVER owned OPTIONS (SET refresh_interval '1h', SET path :'path_b');
ALTER SERVER owned OPTIONS (SET provider 'command', DROP path, ADD command 'id');
SELECT t.err($$ALTER SERVER owned OPTIONS (SET refresh_interval '1h')$$);
-- Nor does that make another keyring of the same file, which would outlive this one: not by CREATE, not of another that they own, nor behind a command that is allowed.
CREATE SERVER copy FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
ALTER SERVER owned OPTIONS (SET refresh_interval '15min')\; CREATE SERVER copy FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
SELECT pseudo_fdw_validator(ARRAY['provider=file', 'path=/keyring.json'], 'pg_foreign_server'::regclass);
RESET ROLE;
ALTER SERVER b OWNER TO regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
ALTER SERVER b OPTIONS (SET path :'path');
ALTER SERVER b OPTIONS (ADD timeout '2s');
RESET ROLE;
ALTER SERVER b OWNER TO CURRENT_USER;
SET ROLE regress_pseudo_owner;
ALTER SERVER b OPTIONS (SET timeout '3s');
RESET ROLE;
SELECT srvname, t.hide(srvoptions::text) FROM pg_foreign_server WHERE srvname IN ('owned', 'b', 'copy') ORDER BY 1;
-- The view shows each role the keyrings that it may use, and nobody any material.
SET ROLE regress_pseudo_none;
SELECT name, provider, loaded_at IS NULL, version IS NULL, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, array_length(fingerprints, 1), error FROM pseudo_keyrings ORDER BY name COLLATE "C";
SET ROLE regress_pseudo_p;
SELECT name, provider, loaded_at IS NULL, version IS NULL, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, array_length(fingerprints, 1), error FROM pseudo_keyrings ORDER BY name COLLATE "C";
SET ROLE regress_pseudo_owner;
SELECT name, provider, loaded_at IS NULL, version IS NULL, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, array_length(fingerprints, 1), error FROM pseudo_keyrings ORDER BY name COLLATE "C";
RESET ROLE;
SELECT name, provider, loaded_at IS NULL, version IS NULL, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, array_length(fingerprints, 1), error FROM pseudo_keyrings ORDER BY name COLLATE "C";
-- pg_database_owner is whoever owns the database now, in statements that are prepared and in a session that has asked before.
GRANT EXECUTE ON FUNCTION pseudonymize TO pg_database_owner;
GRANT USAGE ON FOREIGN SERVER pseudo TO pg_database_owner;
PREPARE as_owner AS SELECT reidentify_array(NULL), length(pseudonymize('x', true)) > 0;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO regress_pseudo_owner', current_database()); END $$;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_owner;
SET ROLE regress_pseudo_owner;
EXECUTE as_owner;
EXECUTE as_owner;
RESET ROLE;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END $$;
SET ROLE regress_pseudo_owner;
SELECT t.err('EXECUTE as_owner');
SELECT t.err($$SELECT pseudonymize('x', true)$$);
RESET ROLE;
DEALLOCATE as_owner;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM pg_database_owner;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM pg_database_owner;
DROP SERVER owned;
DROP SERVER b;
REVOKE USAGE ON FOREIGN SERVER pseudo FROM regress_pseudo_p, regress_pseudo_r;
REVOKE EXECUTE ON FUNCTION pseudonymize FROM regress_pseudo_p;
REVOKE EXECUTE ON FUNCTION reidentify FROM regress_pseudo_r;
DROP OWNED BY regress_pseudo_p, regress_pseudo_r, regress_pseudo_none, regress_pseudo_owner;
DROP ROLE regress_pseudo_p, regress_pseudo_r, regress_pseudo_none, regress_pseudo_owner;
