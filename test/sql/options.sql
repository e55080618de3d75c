--
-- The options of a keyring, each that is unknown, missing, doubled or out of range.
--
\pset format unaligned
\pset tuples_only on
SET search_path = pseudo, public;
-- what CREATE SERVER says of options
CREATE FUNCTION t.options(options text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
  said text;
BEGIN
  said := t.err('CREATE SERVER s FOREIGN DATA WRAPPER pseudo' || coalesce(' OPTIONS (' || options || ')', ''));
  DROP SERVER IF EXISTS s;
  RETURN said;
END
$$;
SET client_min_messages = warning;
SELECT t.options($$provider 'file', path '/keyring.json'$$);
SELECT t.options($$provider 'file', path '/keyring.json', refresh_interval '5min', stale_limit '2d', timeout '500ms'$$);
SELECT t.options($$path '/keyring.json', refresh_interval '3600', stale_limit '86400', timeout '5s', provider 'file'$$);
-- provider
SELECT t.options(NULL);
SELECT t.options($$path '/keyring.json'$$);
SELECT t.options($$provider ''$$);
SELECT t.options($$provider 'vault', path '/keyring.json'$$);
SELECT t.options($$provider 'FILE', path '/keyring.json'$$);
-- path
SELECT t.options($$provider 'file'$$);
SELECT t.options($$provider 'file', path ''$$);
SELECT t.options($$provider 'file', path 'keyring.json'$$);
SELECT t.options($$provider 'file', path '../keyring.json'$$);
SELECT t.options($$provider 'file', path '/keyring.json.lock'$$);
SELECT t.options($$provider 'file', path '/keyring.json.tmp'$$);
SELECT t.options($$provider 'file', "Path" '/keyring.json'$$);
SELECT t.options(format($$provider 'file', path %L$$, '/' || repeat('x', 5000)));
-- unknown, of another provider, doubled
SELECT t.options($$provider 'file', path '/keyring.json', colour 'blue'$$);
SELECT t.options($$provider 'file', path '/keyring.json', region 'eu-west-1'$$);
SELECT t.options($$provider 'file', path '/keyring.json', secret_id 'x'$$);
SELECT t.options($$provider 'file', path '/keyring.json', path '/keyring.json'$$);
SELECT t.options($$provider 'file', provider 'file', path '/keyring.json'$$);
-- times
SELECT o, v, t.options(format($$provider 'file', path '/keyring.json', %s %L$$, o, v)) FROM unnest('{refresh_interval,stale_limit,timeout}'::text[]) o, unnest('{"",soon,-1,0,1,1s,1.5min,10x,1 year,999999999999,1d,30d,31d,NaN,"1s;"}'::text[]) WITH ORDINALITY AS v (v, n) ORDER BY o, n;
-- ALTER SERVER is checked the same, as a whole.
CREATE SERVER s FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '/keyring.json');
SELECT t.err($$ALTER SERVER s OPTIONS (ADD colour 'blue')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (ADD path '/keyring.json')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (DROP path)$$);
SELECT t.err($$ALTER SERVER s OPTIONS (DROP provider)$$);
SELECT t.err($$ALTER SERVER s OPTIONS (SET provider 'vault')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (SET path '')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (ADD timeout 'soon')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (ADD timeout '1s', SET path '/other.json')$$);
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 's';
-- Options belong to servers alone.
SELECT t.err($$ALTER FOREIGN DATA WRAPPER pseudo OPTIONS (ADD path '/keyring.json')$$);
SELECT t.err($$CREATE FOREIGN DATA WRAPPER w VALIDATOR pseudo.pseudo_fdw_validator OPTIONS (provider 'file')$$);
SELECT t.err($$CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (password 'S3cret')$$);
SELECT t.err($$CREATE FOREIGN TABLE f (a text) SERVER s OPTIONS (path '/keyring.json')$$);
SELECT t.err($$CREATE FOREIGN TABLE f (a text OPTIONS (path '/keyring.json')) SERVER s$$);
DROP SERVER s;
-- Without the file: the keyring is made, and the error comes when it is used.
SELECT t.run('rm -f ' || t.path('nowhere'));
SELECT t.keyring('nowhere');
SELECT t.err($$SELECT pseudonymize('x', true, '', 'nowhere')$$);
SELECT t.err($$SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'nowhere')$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'nowhere')$$);
DROP SERVER nowhere;
-- Names that are no keyring; a server of another wrapper is none.
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER other;
SELECT t.err($$SELECT pseudonymize('x', true, '', 'elsewhere')$$);
SELECT t.err($$SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'elsewhere')$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'elsewhere')$$);
SELECT t.err($$SELECT pseudo_create_key('elsewhere')$$);
SELECT t.err($$SELECT pseudo_refresh_keyring('elsewhere')$$);
SELECT count(*) FROM pseudo_keyrings WHERE name = 'elsewhere';
DROP FOREIGN DATA WRAPPER other CASCADE;
SELECT k, t.err(format('SELECT pseudonymize(%L, true, %L, %L)', 'x', '', k)) FROM unnest('{none,"",PSEUDO,"pseudo ","\"pseudo\""}'::text[]) k;
SELECT t.err(format('SELECT pseudonymize(%L, true, %L, %L)', 'x', '', repeat('k', 100)));
SELECT t.err($$SELECT pseudonymize_array('{x}', true, '', 'none')$$);
SELECT t.err($$SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'none')$$);
SELECT t.err($$SELECT reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}', '', 'none')$$);
SELECT t.err($$SELECT try_reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', '', 'none')$$);
SELECT t.err($$SELECT try_reidentify_array('{NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=}', '', 'none')$$);
SELECT t.err($$SELECT pseudo_create_key('none')$$);
SELECT t.err($$SELECT pseudo_set_primary_key('none', 1)$$);
SELECT t.err($$SELECT pseudo_set_key_status('none', 1, 'disabled')$$);
SELECT t.err($$SELECT pseudo_refresh_keyring('none')$$);
-- A keyring of 63 characters.
SELECT t.keyring(repeat('k', 63), '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
SELECT reidentify(pseudonymize('x', true, '', repeat('k', 63)), '', repeat('k', 63));
SELECT t.err(format('SELECT pseudonymize(%L, true, %L, %L)', 'x', '', repeat('k', 64)));
SELECT format('DROP SERVER %I', repeat('k', 63)) \gexec
-- aws and command: superusers' alone, and nothing is asked of AWS
RESET ROLE;
SELECT t.options($$provider 'aws'$$);
SELECT t.options($$provider 'aws', secret_id 'EncryptionKeys-prod', region 'eu-west-1', version_stage 'AWSCURRENT', kms_key_id 'alias/pseudo', agent 'http://localhost:2773'$$);
SELECT t.options($$provider 'aws', secret_id 'x y'$$);
SELECT t.options($$provider 'aws', secret_id ''$$);
SELECT t.options($$provider 'aws', secret_id 'x', region 'EU (Ireland)'$$);
SELECT t.options($$provider 'aws', secret_id 'x', endpoint 'http://example.com'$$);
SELECT t.options($$provider 'aws', secret_id 'x', endpoint 'http://127.0.0.1.example.com'$$);
SELECT t.options($$provider 'aws', secret_id 'x', endpoint 'https://user@example.com'$$);
SELECT t.options($$provider 'aws', secret_id 'x', agent 'https://agent.example.com'$$);
SELECT t.options($$provider 'aws', secret_id 'x', ca_file 'ca.pem'$$);
SELECT t.options($$provider 'aws', secret_id 'x', path '/keyring.json'$$);
SELECT t.options($$provider 'command'$$);
SELECT t.options($$provider 'command', command 'true', timeout '2s'$$);
CREATE ROLE regress_pseudo_host;
GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO regress_pseudo_host;
GRANT USAGE ON SCHEMA t TO regress_pseudo_host;
GRANT CREATE ON DATABASE contrib_regression TO regress_pseudo_host;
GRANT pg_read_server_files, pg_write_server_files, pg_execute_server_program TO regress_pseudo_host;
SET ROLE regress_pseudo_host;
SELECT t.options($$provider 'aws', secret_id 'x'$$);
SELECT t.options($$provider 'command', command 'true'$$);
RESET ROLE;
CREATE SERVER s FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 'x');
ALTER SERVER s OWNER TO regress_pseudo_host;
SET ROLE regress_pseudo_host;
SELECT t.err($$ALTER SERVER s OPTIONS (SET secret_id 'y')$$);
SELECT t.err($$ALTER SERVER s OPTIONS (ADD endpoint 'https://example.com')$$);
-- Their owner may change how long they serve, and nothing else on the way.
ALTER SERVER s OPTIONS (ADD refresh_interval '10min', ADD stale_limit '1h', ADD timeout '2s');
ALTER SERVER s OPTIONS (SET refresh_interval '20min', DROP stale_limit, SET secret_id 'x');
ALTER SERVER s OPTIONS (SET refresh_interval 'soon');
ALTER SERVER s OPTIONS (SET refresh_interval '5min', SET secret_id 'y');
ALTER SERVER s OPTIONS (SET refresh_interval '5min', ADD endpoint 'https://example.com');
ALTER SERVER s OPTIONS (SET provider 'command', DROP secret_id, ADD command 'id');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 's';
RESET ROLE;
ALTER SERVER s OPTIONS (SET provider 'command', DROP secret_id, ADD command 'true');
SET ROLE regress_pseudo_host;
ALTER SERVER s OPTIONS (SET timeout '3s');
ALTER SERVER s OPTIONS (SET command 'id');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 's';
RESET ROLE;
DROP SERVER s;
REVOKE ALL ON SCHEMA t FROM regress_pseudo_host;
REVOKE ALL ON FOREIGN DATA WRAPPER pseudo FROM regress_pseudo_host;
REVOKE ALL ON DATABASE contrib_regression FROM regress_pseudo_host;
DROP ROLE regress_pseudo_host;
