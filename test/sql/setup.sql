--
-- What all the other files need: the extension in the schema pseudo, helpers in the schema t, the keyring pseudo.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE SCHEMA pseudo;
CREATE EXTENSION pseudo SCHEMA pseudo;
-- Helpers.
CREATE SCHEMA t;
GRANT USAGE ON SCHEMA t TO PUBLIC;
-- where the keyring file of a name is
CREATE FUNCTION t.path(name text) RETURNS text LANGUAGE sql AS
$$ SELECT current_setting('data_directory') || '/pseudo_test_' || name || '.json' $$;
-- a text without the data directory in it
CREATE FUNCTION t.hide(line text) RETURNS text LANGUAGE sql SECURITY DEFINER AS
$$ SELECT replace(line, current_setting('data_directory'), '...') $$;
-- run a shell command on the server
CREATE FUNCTION t.run(command text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat > /dev/null; ' || command); END $$;
-- put a document where the keyring of a name reads it, with the time of an older one, so that nobody waits for it to settle
CREATE FUNCTION t.put(name text, document bytea) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
  EXECUTE format('COPY (SELECT %L) TO PROGRAM %L', translate(encode(document, 'base64'), E'\n', ''),
                 format('umask 077; base64 -d > ''%1$s.new'' && touch -d ''1 minute ago'' ''%1$s.new'' && mv -f ''%1$s.new'' ''%1$s''', t.path(name)));
END
$$;
CREATE FUNCTION t.put(name text, document text) RETURNS void LANGUAGE sql AS
$$ SELECT t.put(name, convert_to(document, 'UTF8')) $$;
-- the document that a keyring's file has now
CREATE FUNCTION t.get(name text) RETURNS jsonb LANGUAGE sql AS
$$ SELECT pg_read_file(t.path(name))::jsonb $$;
-- make a keyring of a file, and of a document where one is given
CREATE FUNCTION t.keyring(name text, document text = NULL) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
  PERFORM t.put(name, document) WHERE document IS NOT NULL;
  EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER pseudo OPTIONS (provider ''file'', path %L)', name, t.path(name));
END
$$;
-- the error that a statement meets, with all that is said of it
CREATE FUNCTION t.err(statement text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
  message text;
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN t.hide(SQLSTATE || ': ' || message || coalesce(E'\n  detail: ' || nullif(detail, ''), '')
                         || coalesce(E'\n  hint: ' || nullif(hint, ''), ''));
END
$$;
-- does the plan of a query have a line like this?
CREATE FUNCTION t.plan_has(query text, line text) RETURNS boolean LANGUAGE plpgsql AS
$$
DECLARE
  plan text;
BEGIN
  FOR plan IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF plan LIKE '%' || line || '%' THEN
      RETURN true;
    END IF;
  END LOOP;
  RETURN false;
END
$$;
-- HMAC-SHA256 (RFC 2104) under a key of up to 64 bytes, from PostgreSQL's own SHA-256
CREATE FUNCTION t.hmac_sha256(message bytea, key bytea) RETURNS bytea LANGUAGE plpgsql AS
$$
DECLARE
  ipad bytea := decode(repeat('36', 64), 'hex');
  opad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
  FOR i IN 0 .. length(key) - 1 LOOP
    ipad := set_byte(ipad, i, 54 # get_byte(key, i));
    opad := set_byte(opad, i, 92 # get_byte(key, i));
  END LOOP;
  RETURN sha256(opad || sha256(ipad || message));
END
$$;
-- The default keyring.
SELECT t.keyring('pseudo', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
