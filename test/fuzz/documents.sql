-- What the extension makes of the documents of test/fuzz/documents.py; variable folder is where they are.
SET client_min_messages = error;
CREATE SCHEMA pseudo;
CREATE EXTENSION pseudo SCHEMA pseudo;
SET search_path = pseudo, public;
CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'keyring');
SELECT pseudo_create_key('pseudo');
CREATE FUNCTION fuzz_json(bytea) RETURNS text AS '$libdir/pseudo' LANGUAGE c STRICT;
CREATE FUNCTION fuzz_document(bytea) RETURNS text AS '$libdir/pseudo' LANGUAGE c STRICT;
-- The document sealed and opened, or what is no document: the error's SQLSTATE.
CREATE FUNCTION seal(doc bytea) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN pseudonymize_json(convert_from(doc, 'UTF8')::json, '{email,id,é,"a\"b"}'); EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE; END $$;
CREATE FUNCTION open(doc text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN reidentify_json(doc::json, '{email,id,é,"a\"b"}'); EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE; END $$;
CREATE FUNCTION seal_b(doc bytea) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN pseudonymize_json(convert_from(doc, 'UTF8')::jsonb, '{email,id,é,"a\"b"}'); EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE; END $$;
CREATE FUNCTION open_b(doc bytea, sealed text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN CASE WHEN reidentify_json(sealed::jsonb, '{email,id,é,"a\"b"}') = convert_from(doc, 'UTF8')::jsonb THEN 't' ELSE 'another document' END; EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE; END $$;
CREATE FUNCTION hex(text) RETURNS text LANGUAGE sql AS $$ SELECT encode(convert_to(coalesce($1, ''), 'UTF8'), 'hex') $$;
CREATE TABLE documents (n int, doc bytea);
\set file :folder '/documents.tsv'
COPY documents FROM :'file';
\set file :folder '/results.tsv'
COPY (SELECT n, hex(fuzz_json(doc)), hex(fuzz_document(doc)), hex(s), hex(open(s)), hex(b), hex(open_b(doc, b))
      FROM (SELECT n, doc, seal(doc) AS s, seal_b(doc) AS b FROM documents OFFSET 0) AS d) TO :'file';
