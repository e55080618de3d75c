/* pseudo--1.0.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pseudo" to load this file. \quit

-- What works on data has a bare name; administration, and what PostgreSQL itself calls,
-- begins with pseudo_.

-- Keyrings: a keyring is a foreign server of this wrapper.

CREATE FUNCTION pseudo_fdw_validator(options text[], catalog oid) RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_fdw_validator'
LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pseudo_fdw_validator(text[], oid)
IS 'checks the options of a keyring; contacts no provider';

CREATE FOREIGN DATA WRAPPER pseudo VALIDATOR pseudo_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER pseudo
IS 'keyrings of the extension pseudo; USAGE on a server is the right to use its keys';

-- Whose rights a call works with.  To read a pseudo_role from its text is the
-- permission check: only the role itself and superusers can.  So there is no other way
-- to make one: no cast, no binary form; and no column, domain or argument of this type.

CREATE TYPE pseudo_role;

CREATE FUNCTION pseudo_role_in(cstring) RETURNS pseudo_role
AS 'MODULE_PATHNAME', 'pseudo_role_in'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pseudo_role_in(cstring)
IS 'I/O of pseudo_role; for the role itself and superusers only';

CREATE FUNCTION pseudo_role_out(pseudo_role) RETURNS cstring
AS 'MODULE_PATHNAME', 'pseudo_role_out'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pseudo_role_out(pseudo_role)
IS 'I/O of pseudo_role';

CREATE TYPE pseudo_role (
	INPUT = pseudo_role_in,
	OUTPUT = pseudo_role_out,
	INTERNALLENGTH = 4,
	PASSEDBYVALUE,
	ALIGNMENT = int4);
COMMENT ON TYPE pseudo_role
IS 'the role whose rights a call works with, or current_user; a literal of pseudonymize_as and reidentify_as';

CREATE FUNCTION pseudo_role_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'pseudo_role_support'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pseudo_role_support(internal)
IS 'planner support: tells a role in a statement from one in a view';

CREATE FUNCTION pseudo_pseudonymize_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_support'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pseudo_pseudonymize_support(internal)
IS 'planner support: a deterministic pseudonymize is stable';

CREATE FUNCTION pseudo_pseudonymize_array_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_array_support'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pseudo_pseudonymize_array_support(internal)
IS 'planner support: a deterministic pseudonymize_array is stable';

CREATE FUNCTION pseudo_pseudonymize_json_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_json_support'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pseudo_pseudonymize_json_support(internal)
IS 'planner support: a deterministic pseudonymize_json is stable';

CREATE FUNCTION pseudo_repseudonymize_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'pseudo_repseudonymize_support'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pseudo_repseudonymize_support(internal)
IS 'planner support: repseudonymize of deterministic pseudonyms is stable';

-- Pseudonyms.  There are two rights: EXECUTE on pseudonymize and EXECUTE on
-- reidentify.  The other functions are open to PUBLIC and check the right that
-- they need when they run.  COST is as measured, for arrays of 20 elements and documents
-- of 6 scalars: a unit, cpu_operator_cost, is some 20 ns.

CREATE FUNCTION pseudonymize(
	value text,
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize'
LANGUAGE C VOLATILE PARALLEL SAFE COST 10 SUPPORT pseudo_pseudonymize_support;
COMMENT ON FUNCTION pseudonymize(text, boolean, text, text)
IS 'the pseudonym of a value; equal values give equal pseudonyms where deterministic';

CREATE FUNCTION reidentify(
	pseudonym text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_reidentify'
LANGUAGE C STABLE PARALLEL SAFE COST 6;
COMMENT ON FUNCTION reidentify(text, text, text)
IS 'the value of a pseudonym; an error where it does not authenticate';

CREATE FUNCTION try_reidentify(
	pseudonym text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_try_reidentify'
LANGUAGE C STABLE PARALLEL SAFE COST 6;
COMMENT ON FUNCTION try_reidentify(text, text, text)
IS 'the value of a pseudonym; NULL where it is malformed or does not authenticate';

CREATE FUNCTION pseudonymize_as(
	as_role pseudo_role,
	value text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_as'
LANGUAGE C STABLE PARALLEL SAFE COST 10 SUPPORT pseudo_role_support;
COMMENT ON FUNCTION pseudonymize_as(pseudo_role, text, text, text)
IS 'the deterministic pseudonym of a value, with the rights of the role named: for views';

CREATE FUNCTION reidentify_as(
	as_role pseudo_role,
	pseudonym text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_reidentify_as'
LANGUAGE C STABLE PARALLEL SAFE COST 6 SUPPORT pseudo_role_support;
COMMENT ON FUNCTION reidentify_as(pseudo_role, text, text, text)
IS 'the value of a pseudonym, with the rights of the role named: for views';

CREATE FUNCTION repseudonymize(
	pseudonym text,
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_repseudonymize'
LANGUAGE C VOLATILE PARALLEL SAFE COST 20 SUPPORT pseudo_repseudonymize_support;
COMMENT ON FUNCTION repseudonymize(text, boolean, text, text)
IS 'the pseudonym of the same value under the primary key, in the same mode; the value is not shown; where deterministic, an error for random ones';

CREATE FUNCTION pseudo_repseudonymize_stable(pseudonym text, context text, keyring text) RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_repseudonymize_stable'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION pseudo_repseudonymize_stable(text, text, text)
IS 'what the planner makes of repseudonymize where deterministic is true';

CREATE FUNCTION pseudonyms_of(
	value text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text[]
AS 'MODULE_PATHNAME', 'pseudo_pseudonyms_of'
LANGUAGE C STABLE PARALLEL SAFE COST 25;
COMMENT ON FUNCTION pseudonyms_of(text, text, text)
IS 'the deterministic pseudonyms of a value under every enabled key, the primary key''s first';

CREATE FUNCTION is_pseudonym(
	value text,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS boolean
AS 'MODULE_PATHNAME', 'pseudo_is_pseudonym'
LANGUAGE C STABLE PARALLEL SAFE COST 6;
COMMENT ON FUNCTION is_pseudonym(text, text, text)
IS 'does a text authenticate under an enabled key; the value is not shown';

CREATE FUNCTION pseudonymize_array(
	elements text[],
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text[]
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_array'
LANGUAGE C VOLATILE PARALLEL SAFE COST 100 SUPPORT pseudo_pseudonymize_array_support;
COMMENT ON FUNCTION pseudonymize_array(text[], boolean, text, text)
IS 'pseudonymize for each element; NULL elements and the shape are kept';

CREATE FUNCTION pseudo_pseudonymize_array_stable(elements text[], context text, keyring text) RETURNS text[]
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_array_stable'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION pseudo_pseudonymize_array_stable(text[], text, text)
IS 'what the planner makes of pseudonymize_array where deterministic is true';

CREATE FUNCTION reidentify_array(
	pseudonyms text[],
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text[]
AS 'MODULE_PATHNAME', 'pseudo_reidentify_array'
LANGUAGE C STABLE PARALLEL SAFE COST 80;
COMMENT ON FUNCTION reidentify_array(text[], text, text)
IS 'reidentify for each element; NULL elements and the shape are kept';

CREATE FUNCTION try_reidentify_array(
	pseudonyms text[],
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS text[]
AS 'MODULE_PATHNAME', 'pseudo_try_reidentify_array'
LANGUAGE C STABLE PARALLEL SAFE COST 80;
COMMENT ON FUNCTION try_reidentify_array(text[], text, text)
IS 'try_reidentify for each element; NULL elements and the shape are kept';

-- JSON.  json has its own form, which keeps the rest byte for byte; with the form for text, which
-- is taken as jsonb, a literal of no type is not ambiguous.

CREATE FUNCTION pseudonymize_json(
	doc jsonb,
	keys text[],
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_jsonb'
LANGUAGE C VOLATILE PARALLEL SAFE COST 100 SUPPORT pseudo_pseudonymize_json_support;
COMMENT ON FUNCTION pseudonymize_json(jsonb, text[], boolean, text, text)
IS 'pseudonymize for every scalar under one of these keys, at any depth';

CREATE FUNCTION pseudonymize_json(
	doc json,
	keys text[],
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS json
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_json'
LANGUAGE C VOLATILE PARALLEL SAFE COST 100 SUPPORT pseudo_pseudonymize_json_support;
COMMENT ON FUNCTION pseudonymize_json(json, text[], boolean, text, text)
IS 'pseudonymize for every scalar under one of these keys, at any depth; the rest stays byte for byte';

CREATE FUNCTION pseudonymize_json(
	doc text,
	keys text[],
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN pseudonymize_json(doc::jsonb, keys, deterministic, context, keyring);
COMMENT ON FUNCTION pseudonymize_json(text, text[], boolean, text, text)
IS 'pseudonymize_json of the text as jsonb';

CREATE FUNCTION pseudo_pseudonymize_json_stable(doc jsonb, keys text[], context text, keyring text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_jsonb_stable'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION pseudo_pseudonymize_json_stable(jsonb, text[], text, text)
IS 'what the planner makes of pseudonymize_json where deterministic is true';

CREATE FUNCTION pseudo_pseudonymize_json_stable(doc json, keys text[], context text, keyring text) RETURNS json
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_json_stable'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION pseudo_pseudonymize_json_stable(json, text[], text, text)
IS 'what the planner makes of pseudonymize_json where deterministic is true';

CREATE FUNCTION reidentify_json(
	doc jsonb,
	keys text[],
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'pseudo_reidentify_jsonb'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION reidentify_json(jsonb, text[], text, text)
IS 'reidentify for every scalar under one of these keys, at any depth';

CREATE FUNCTION reidentify_json(
	doc json,
	keys text[],
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS json
AS 'MODULE_PATHNAME', 'pseudo_reidentify_json'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION reidentify_json(json, text[], text, text)
IS 'reidentify for every scalar under one of these keys, at any depth; the rest stays byte for byte';

CREATE FUNCTION reidentify_json(
	doc text,
	keys text[],
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo')
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN reidentify_json(doc::jsonb, keys, context, keyring);
COMMENT ON FUNCTION reidentify_json(text, text[], text, text)
IS 'reidentify_json of the text as jsonb';

CREATE FUNCTION pseudonym_key_id(pseudonym text) RETURNS bigint
AS 'MODULE_PATHNAME', 'pseudo_pseudonym_key_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pseudonym_key_id(text)
IS 'the key id that the prefix of a pseudonym claims (not authenticated); NULL where it has no prefix, an error where it is malformed';

CREATE FUNCTION pseudonymize_trigger() RETURNS trigger
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_trigger'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudonymize_trigger()
IS 'trigger: pseudonymizes the columns that its arguments name, with the rights of the table''s owner';

CREATE FUNCTION pseudo_protect(relation regclass)
RETURNS TABLE (relation regclass, trigger_name text, action text)
AS 'MODULE_PATHNAME', 'pseudo_protect'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_protect(regclass)
IS 'makes the trigger of a table what the labels of its columns say; takes ownership of the table';

-- Views from the labels of a table's columns, with the caller's own rights.

CREATE FUNCTION pseudo_create_view(
	relation regclass,
	view text,
	as_role text,
	filter text DEFAULT NULL,
	hide_order boolean DEFAULT false,
	reidentify text[] DEFAULT NULL,
	context text DEFAULT NULL,
	keyring text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_create_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_create_view(regclass, text, text, text, boolean, text[], text, text)
IS 'makes or replaces the masked view of a table that the labels of its columns describe; returns the statements';

-- Administration: each takes ownership of the server.

CREATE FUNCTION pseudo_create_key(
	keyring text DEFAULT 'pseudo',
	output_prefix text DEFAULT 'tink',
	make_primary boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pseudo_create_key'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_create_key(text, text, boolean)
IS 'adds a new random key to a keyring and returns its key id; the first key is primary';

CREATE FUNCTION pseudo_set_primary_key(keyring text, key_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_set_primary_key'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_set_primary_key(text, bigint)
IS 'makes an enabled key the one that new pseudonyms are made with';

CREATE FUNCTION pseudo_set_key_status(keyring text, key_id bigint, status text) RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_set_key_status'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_set_key_status(text, bigint, text)
IS 'enables, disables or destroys a key that is not primary';

CREATE FUNCTION pseudo_refresh_keyring(keyring text DEFAULT 'pseudo') RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_refresh_keyring'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_refresh_keyring(text)
IS 'loads a keyring again, here at once and in every other backend after commit';

CREATE FUNCTION pseudo_keyring_state(
	OUT name name,
	OUT provider text,
	OUT loaded_at timestamptz,
	OUT version text,
	OUT primary_key_id bigint,
	OUT key_ids bigint[],
	OUT prefixes text[],
	OUT statuses text[],
	OUT key_bits integer[],
	OUT nonce_key_bytes integer[],
	OUT fingerprints text[],
	OUT weak boolean,
	OUT lost_key_ids bigint[],
	OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pseudo_keyring_state'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5 COST 1000;
COMMENT ON FUNCTION pseudo_keyring_state()
IS 'what the view pseudo_keyrings shows';

CREATE VIEW pseudo_keyrings AS SELECT * FROM pseudo_keyring_state();
COMMENT ON VIEW pseudo_keyrings
IS 'the keyrings that the current user may use, as this backend sees them; never key material';

-- What is counted, where the library is preloaded.

CREATE FUNCTION pseudo_stats_rows(
	OUT database name,
	OUT keyring name,
	OUT role name,
	OUT pseudonymized bigint,
	OUT reidentified bigint,
	OUT not_opened bigint,
	OUT loads bigint,
	OUT failures bigint,
	OUT waits bigint,
	OUT last_error_sqlstate text,
	OUT last_error text,
	OUT last_error_at timestamptz,
	OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pseudo_stats_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20 COST 1000;
COMMENT ON FUNCTION pseudo_stats_rows()
IS 'what the view pseudo_stats shows';

CREATE VIEW pseudo_stats AS SELECT * FROM pseudo_stats_rows();
COMMENT ON VIEW pseudo_stats
IS 'what was counted for each database, keyring and role; each role sees its own rows, pg_read_all_stats all';

CREATE FUNCTION pseudo_stats_reset() RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_stats_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_stats_reset()
IS 'begins pseudo_stats again at 0, for the whole server';

-- Who opened what, and how much may still be opened.

CREATE FUNCTION pseudo_audit_records() RETURNS SETOF json
AS 'MODULE_PATHNAME', 'pseudo_audit_records'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000 COST 1000;
COMMENT ON FUNCTION pseudo_audit_records()
IS 'the audit records of the file pseudo.audit_file; for members of pg_read_all_stats';

CREATE FUNCTION pseudo_limits_rows(
	OUT role name,
	OUT keyring name,
	OUT operation text,
	OUT quota text,
	OUT used bigint,
	OUT "left" bigint,
	OUT until timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pseudo_limits_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20 COST 1000;
COMMENT ON FUNCTION pseudo_limits_rows()
IS 'what the view pseudo_limits shows';

CREATE VIEW pseudo_limits AS SELECT * FROM pseudo_limits_rows();
COMMENT ON VIEW pseudo_limits
IS 'what roles have used of the limits of keyrings of this database; each role sees its own rows, pg_read_all_stats all';

-- Proof: which columns are labelled, covered and converted.

CREATE FUNCTION pseudo_coverage(
	schema name DEFAULT NULL,
	sample double precision DEFAULT 100,
	OUT relation regclass,
	OUT column_name name,
	OUT type text,
	OUT label text,
	OUT trigger text,
	OUT rows bigint,
	OUT pseudonyms bigint,
	OUT older bigint,
	OUT plaintext bigint,
	OUT unreadable bigint,
	OUT elsewhere text[],
	OUT reason text,
	OUT hint text,
	OUT verdict text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pseudo_coverage'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1000 COST 1000000;
COMMENT ON FUNCTION pseudo_coverage(name, double precision)
IS 'a row for each column of tables, materialized views and foreign tables: its label and trigger, what its values are, and a verdict; shows no value';

-- Bulk: whole tables, in batches with a COMMIT after each.

CREATE TABLE pseudo_progress (
	relation regclass PRIMARY KEY,
	operation text NOT NULL,
	columns text[] NOT NULL,
	status text NOT NULL,
	pass integer NOT NULL,
	rows_done bigint NOT NULL,
	rows_total bigint NOT NULL,
	percent numeric(5,1) NOT NULL,
	rows_per_second bigint NOT NULL,
	seconds_left bigint,
	values_converted bigint NOT NULL,
	rows_converted bigint NOT NULL,
	values_already bigint NOT NULL,
	values_plain bigint NOT NULL,
	values_unreadable bigint NOT NULL,
	rows_twins bigint NOT NULL,
	pid integer NOT NULL,
	started_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	sqlstate text) USING heap;
COMMENT ON TABLE pseudo_progress
IS 'how far pseudonymize_table and repseudonymize_table are; each role sees the tables that it may read';
ALTER TABLE pseudo_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY pseudo_progress_of_readable ON pseudo_progress FOR SELECT
	USING (pg_catalog.has_table_privilege(relation, 'SELECT'));

CREATE FUNCTION pseudo_converted_value(tid tid, no integer) RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_converted_value'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_converted_value(tid, integer)
IS 'what the procedures below write to a row; for them alone';

CREATE PROCEDURE pseudonymize_table(
	relation regclass,
	columns text[] DEFAULT NULL,
	deterministic boolean DEFAULT false,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo',
	batch_size integer DEFAULT 1000,
	existing text DEFAULT 'error')
AS 'MODULE_PATHNAME', 'pseudo_pseudonymize_table'
LANGUAGE C;
COMMENT ON PROCEDURE pseudonymize_table(regclass, text[], boolean, text, text, integer, text)
IS 'pseudonymizes columns of a table, those that its labels name by default, in batches, while others read and write';

CREATE PROCEDURE repseudonymize_table(
	relation regclass,
	columns text[] DEFAULT NULL,
	context text DEFAULT '',
	keyring text DEFAULT 'pseudo',
	batch_size integer DEFAULT 1000,
	dry_run boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'pseudo_repseudonymize_table'
LANGUAGE C;
COMMENT ON PROCEDURE repseudonymize_table(regclass, text[], text, text, integer, boolean)
IS 'moves the pseudonyms in columns of a table, those that its labels name by default, to the primary key, in batches; dry_run counts them';

-- More than one node: Citus creates the extension and the keyrings on all of them, and knows nothing of the rights on
-- what an extension has made.
--
-- What follows runs as the extension's owner, for whoever grants something.  The owner of the schema may be somebody else,
-- rename it, make another one of its name, and functions beside ours.  So the schema is looked up each time, under a lock
-- that lets nobody rename one until the transaction ends, and calls give arguments of exactly the types that are declared.

CREATE FUNCTION pseudo_grants(
	OUT kind text,
	OUT object text,
	OUT grantee text,
	OUT privilege text,
	OUT grantable boolean)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = e.tableoid AND d.refobjid = e.oid
	WHERE e.extname = 'pseudo' AND d.deptype = 'e'),
object (kind, classid, objid, owner, acl) AS (
	SELECT 'ROUTINE', tableoid, oid, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
	UNION ALL SELECT 'TYPE', tableoid, oid, typowner, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
		WHERE typrelid = 0 AND typelem = 0
	UNION ALL SELECT 'TABLE', tableoid, oid, relowner, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
		WHERE relkind IN ('r', 'v')
	UNION ALL SELECT 'FOREIGN DATA WRAPPER', tableoid, oid, fdwowner, coalesce(fdwacl, acldefault('F', fdwowner))
		FROM pg_foreign_data_wrapper)
SELECT o.kind, (pg_identify_object(o.classid, o.objid, 0)).identity,
	CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
	a.privilege_type, bool_or(a.is_grantable)
FROM (SELECT object.* FROM object JOIN member USING (classid, objid)
	UNION ALL SELECT 'FOREIGN SERVER', s.tableoid, s.oid, s.srvowner, coalesce(s.srvacl, acldefault('S', s.srvowner))
		FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
			JOIN member ON classid = w.tableoid AND objid = w.oid) o
	CROSS JOIN LATERAL aclexplode(o.acl) a
WHERE a.grantee <> o.owner
GROUP BY 1, 2, 3, 4
$$;
COMMENT ON FUNCTION pseudo_grants()
IS 'the rights on keyrings and on what the extension made, on this node, without those of owners';

CREATE FUNCTION pseudo_take_grants(wanted jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	grants CONSTANT text := format('SELECT * FROM %s.pseudo_grants()',
		(SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pseudo'));
	command text;
	too_many boolean;
BEGIN
	FOR command IN EXECUTE format($query$
		WITH old AS (%s),
		new AS (SELECT * FROM jsonb_to_recordset($1)
			AS w (kind text, object text, grantee text, privilege text, grantable boolean))
		SELECT c FROM (
			SELECT 1, format('REVOKE %%s ON %%s %%s FROM %%s CASCADE', privilege, kind, object, grantee)
				FROM (TABLE old EXCEPT TABLE new) r
			UNION ALL SELECT 2, format('GRANT %%s ON %%s %%s TO %%s', privilege, kind, object, grantee)
					|| CASE WHEN grantable THEN ' WITH GRANT OPTION' ELSE '' END
				FROM (TABLE new EXCEPT TABLE old) g) AS commands (no, c)
		ORDER BY no, c $query$, grants) USING wanted
	LOOP
		EXECUTE command;
	END LOOP;
	-- What a role has from another one than the owner is not revoked so.
	EXECUTE format($query$ SELECT EXISTS (%s EXCEPT SELECT * FROM jsonb_to_recordset($1)
		AS w (kind text, object text, grantee text, privilege text, grantable boolean)) $query$, grants)
		INTO too_many USING wanted;
	IF too_many THEN
		RAISE EXCEPTION 'could not revoke all rights that the coordinator does not grant'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Revoke on this node what others than the owner have granted.';
	END IF;
END
$$;
COMMENT ON FUNCTION pseudo_take_grants(jsonb)
IS 'makes the rights that pseudo_grants shows these: what pseudo_sync_grants calls on other nodes';

CREATE FUNCTION pseudo_run_on_other_nodes(command text) RETURNS void
AS 'MODULE_PATHNAME', 'pseudo_run_on_other_nodes'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pseudo_run_on_other_nodes(text)
IS 'runs a command on all other nodes of Citus, in this transaction; for superusers';

CREATE FUNCTION pseudo_sync_grants() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	home text;
	grants jsonb;
BEGIN
	LOCK TABLE pg_namespace IN SHARE MODE;
	home := (SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pseudo');
	-- Two at a time would each undo on other nodes what the other one does and has not committed here.
	EXECUTE format('LOCK TABLE %s.pseudo_progress IN SHARE UPDATE EXCLUSIVE MODE', home);
	EXECUTE format('SELECT coalesce(jsonb_agg(g), %L) FROM %s.pseudo_grants() g', '[]', home) INTO grants;
	-- The same for what has been revoked since the snapshot.
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'rights on other nodes cannot be changed at the isolation level %',
				upper(current_setting('transaction_isolation'))
			USING ERRCODE = 'feature_not_supported', HINT = 'Use a transaction that is READ COMMITTED.';
	END IF;
	-- There, others may have to wait for the lock that are of this transaction, too: so only where it is needed.
	EXECUTE format('SELECT %s.pseudo_run_on_other_nodes($1)', home) USING format('DO %L', format($block$
		BEGIN
			IF (SELECT NOT rolsuper FROM pg_catalog.pg_extension
					JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) extnamespace
					JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) nspowner
				WHERE extname OPERATOR(pg_catalog.=) 'pseudo') THEN
				LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE;
			END IF;
			EXECUTE pg_catalog.format('SELECT %%s.pseudo_take_grants($1)', (SELECT extnamespace::pg_catalog.regnamespace
				FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'pseudo')) USING %L::pg_catalog.jsonb;
		END $block$, grants));
END
$$;
COMMENT ON FUNCTION pseudo_sync_grants()
IS 'gives all nodes of Citus the rights on keyrings and on what the extension made that this one has, the coordinator';

CREATE FUNCTION pseudo_grants_changed() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_coordinator boolean;
BEGIN
	-- An extension's script runs on each node by itself.
	IF to_regprocedure('pg_catalog.citus_is_coordinator()') IS NULL
		OR EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE in_extension) THEN
		RETURN;
	END IF;
	EXECUTE 'SELECT pg_catalog.citus_is_coordinator()' INTO is_coordinator;
	-- Rows that this transaction wrote; or others since it began, which costs a synchronization.
	IF is_coordinator AND EXISTS (
		SELECT FROM pg_depend d JOIN pg_extension e ON d.refclassid = e.tableoid AND d.refobjid = e.oid
			JOIN (SELECT tableoid, oid, xmin FROM pg_proc UNION ALL SELECT tableoid, oid, xmin FROM pg_type
				UNION ALL SELECT tableoid, oid, xmin FROM pg_class
				UNION ALL SELECT tableoid, oid, xmin FROM pg_foreign_data_wrapper
				UNION ALL SELECT w.tableoid, w.oid, s.xmin FROM pg_foreign_data_wrapper w
					JOIN pg_foreign_server s ON s.srvfdw = w.oid) o
				ON d.classid = o.tableoid AND d.objid = o.oid
		WHERE e.extname = 'pseudo' AND d.deptype = 'e' AND age(o.xmin) <= age(pg_current_xact_id()::xid))
	THEN
		LOCK TABLE pg_namespace IN SHARE MODE;
		EXECUTE format('SELECT %s.pseudo_sync_grants()',
			(SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pseudo'));
	END IF;
END
$$;
COMMENT ON FUNCTION pseudo_grants_changed()
IS 'what the event trigger pseudo_grants calls: pseudo_sync_grants() on the coordinator of Citus';

CREATE EVENT TRIGGER pseudo_grants ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE', 'DROP OWNED')
	EXECUTE FUNCTION pseudo_grants_changed();
COMMENT ON EVENT TRIGGER pseudo_grants
IS 'keeps the rights on pseudonyms alike on all nodes of Citus';

CREATE FUNCTION pseudo_node_differences(
	OUT node text,
	OUT difference text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Other nodes run it with the search_path of whoever asks.
	ask CONSTANT text := format($query$
		SELECT pg_catalog.jsonb_build_object('version', extversion,
			'grants', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.concat(privilege,
					CASE WHEN grantable THEN ' with grant option' ELSE '' END, ' on ', pg_catalog.lower(kind), ' ', object, ' to ', grantee)),
					'[]'::pg_catalog.jsonb) FROM %1$s.pseudo_grants()),
			'keys', (SELECT COALESCE(pg_catalog.jsonb_object_agg(name, COALESCE(error,
					pg_catalog.concat_ws(' ', primary_key_id, statuses, fingerprints))), '{}'::pg_catalog.jsonb) FROM %1$s.pseudo_keyrings))
		FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'pseudo' $query$,
		(SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pseudo'));
	here jsonb;
BEGIN
	IF to_regprocedure('pg_catalog.run_command_on_workers(text,boolean)') IS NULL THEN
		RETURN;
	END IF;
	EXECUTE ask INTO STRICT here;
	RETURN QUERY EXECUTE $query$
		WITH answer AS (SELECT format('%s:%s', nodename, nodeport) AS node, success, result
			FROM pg_catalog.run_command_on_workers($2)),
		there AS (SELECT a.node, a.result::jsonb AS has FROM answer a WHERE success AND result <> '')
		SELECT a.node, coalesce(nullif(result, ''), 'the extension is missing') FROM answer a WHERE NOT success OR result = ''
		UNION ALL SELECT t.node, format('version %s of the extension', has ->> 'version') FROM there t
			WHERE has -> 'version' <> $1 -> 'version'
		UNION ALL SELECT t.node, 'more: ' || g FROM there t, jsonb_array_elements_text(has -> 'grants') g
			WHERE NOT $1 -> 'grants' ? g
		UNION ALL SELECT t.node, 'missing: ' || g FROM there t, jsonb_array_elements_text($1 -> 'grants') g
			WHERE NOT has -> 'grants' ? g
		UNION ALL SELECT t.node, format('keyring "%s": other keys', k) FROM there t, jsonb_object_keys($1 -> 'keys' || has -> 'keys') k
			WHERE $1 -> 'keys' -> k IS DISTINCT FROM has -> 'keys' -> k
		ORDER BY 1, 2 $query$ USING here, ask;
END
$$;
COMMENT ON FUNCTION pseudo_node_differences()
IS 'what differs from this node on other nodes of Citus: rights, keys, version; no row where all is alike';

-- Dumps: what COPY of a table gives where pseudo.dump is on.

CREATE FUNCTION pseudo_dump_value(value text, relation regclass, column_number integer) RETURNS text
AS 'MODULE_PATHNAME', 'pseudo_dump_value'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 20;
COMMENT ON FUNCTION pseudo_dump_value(text, regclass, integer)
IS 'what a value of a labelled column is in a dump: its pseudonym, with the context and the keyring of the dump';

CREATE FUNCTION pseudo_dump_length(value text, relation regclass, column_number integer) RETURNS integer
AS 'MODULE_PATHNAME', 'pseudo_dump_length'
LANGUAGE C STABLE PARALLEL UNSAFE COST 10;
COMMENT ON FUNCTION pseudo_dump_length(text, regclass, integer)
IS 'how many characters that has';

-- Rights.  Default privileges may have given some to others, or taken some from PUBLIC: nothing of that stays.
-- Nobody but the owner has what PostgreSQL itself calls, the type, the two functions that are the rights, and
-- pseudo_stats_reset.

DO $$
DECLARE
	revoke text;
BEGIN
	FOR revoke IN
		SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name,
				CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC'
					ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
		FROM (SELECT 'ROUTINE' AS kind, tableoid, oid, oid::pg_catalog.regprocedure::pg_catalog.text AS name,
					proowner AS owner, coalesce(proacl, pg_catalog.acldefault('f', proowner)) AS acl
				FROM pg_catalog.pg_proc
			UNION ALL SELECT 'TYPE', tableoid, oid, oid::pg_catalog.regtype::pg_catalog.text,
					typowner, coalesce(typacl, pg_catalog.acldefault('T', typowner))
				FROM pg_catalog.pg_type
				WHERE typrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND typelem OPERATOR(pg_catalog.=) 0::pg_catalog.oid
			UNION ALL SELECT 'TABLE', tableoid, oid, oid::pg_catalog.regclass::pg_catalog.text,
					relowner, coalesce(relacl, pg_catalog.acldefault('r', relowner))
				FROM pg_catalog.pg_class) AS o
			JOIN pg_catalog.pg_depend AS d ON d.classid OPERATOR(pg_catalog.=) o.tableoid
				AND d.objid OPERATOR(pg_catalog.=) o.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"
			JOIN pg_catalog.pg_extension AS e ON d.refclassid OPERATOR(pg_catalog.=) e.tableoid
				AND d.refobjid OPERATOR(pg_catalog.=) e.oid AND e.extname OPERATOR(pg_catalog.=) 'pseudo'::pg_catalog.name
			CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a
		WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner
	LOOP
		EXECUTE revoke;
	END LOOP;
END
$$;

GRANT SELECT ON pseudo_keyrings, pseudo_stats, pseudo_limits, pseudo_progress TO PUBLIC;
GRANT EXECUTE ON FUNCTION try_reidentify, pseudonymize_array, reidentify_array, try_reidentify_array,
	pseudonymize_as, reidentify_as, repseudonymize, pseudonyms_of, is_pseudonym, pseudonym_key_id,
	pseudonymize_json(jsonb, text[], boolean, text, text), pseudonymize_json(json, text[], boolean, text, text),
	pseudonymize_json(text, text[], boolean, text, text), reidentify_json(jsonb, text[], text, text),
	reidentify_json(json, text[], text, text), reidentify_json(text, text[], text, text),
	pseudo_pseudonymize_array_stable, pseudo_pseudonymize_json_stable(jsonb, text[], text, text),
	pseudo_pseudonymize_json_stable(json, text[], text, text), pseudo_repseudonymize_stable, pseudo_converted_value, pseudonymize_trigger,
	pseudo_protect, pseudo_create_view, pseudo_create_key, pseudo_set_primary_key, pseudo_set_key_status, pseudo_refresh_keyring, pseudo_keyring_state,
	pseudo_stats_rows, pseudo_limits_rows, pseudo_audit_records, pseudo_coverage, pseudo_dump_value,
	pseudo_dump_length TO PUBLIC;
GRANT EXECUTE ON PROCEDURE pseudonymize_table, repseudonymize_table TO PUBLIC;
