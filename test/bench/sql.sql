-- What sql.sh measures: the tables, and a case for each figure.  psql's variable rows says how many.

CREATE SCHEMA pseudo;
CREATE EXTENSION pseudo SCHEMA pseudo;
CREATE EXTENSION pgcrypto;
CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
SELECT pseudo.pseudo_create_key('pseudo');

CREATE ROLE officer LOGIN;
GRANT USAGE ON SCHEMA pseudo TO officer;
GRANT CREATE ON SCHEMA public TO officer;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer;
GRANT USAGE ON FOREIGN SERVER pseudo TO officer;
GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;

-- E-mail addresses of 20 characters, no two equal, in no order; and what is made of them.
CREATE TABLE addresses AS
	SELECT lpad(to_hex(i * 2654435761 & 4294967295), 8, '0') || '@example.com' AS email
	FROM generate_series(1, :rows) i;
CREATE TABLE repeated AS
	SELECT email FROM (SELECT email FROM addresses LIMIT :rows / 10) a, generate_series(1, 10) ORDER BY email;
CREATE TABLE under_old_key AS SELECT pseudo.pseudonymize(email, true) AS pseudonym FROM addresses;
SELECT pseudo.pseudo_create_key('pseudo', make_primary => true);
CREATE TABLE deterministic AS SELECT pseudo.pseudonymize(email, true) AS pseudonym FROM addresses;
CREATE TABLE random AS SELECT pseudo.pseudonymize(email) AS pseudonym FROM addresses;
CREATE TABLE documents AS
	SELECT jsonb_build_object('action', 'login', 'email', email, 'item', 4711) AS body FROM addresses;

-- A thousand to an array; not compressed, which would be what is measured.
CREATE TABLE arrays (emails text[], pseudonyms text[]);
ALTER TABLE arrays ALTER emails SET STORAGE EXTERNAL, ALTER pseudonyms SET STORAGE EXTERNAL;
INSERT INTO arrays
	SELECT array_agg(email), pseudo.pseudonymize_array(array_agg(email), true)
	FROM (SELECT email, row_number() OVER () AS n FROM addresses) a GROUP BY (n - 1) / 1000;

-- A few to join with, and a table to look up in.
CREATE TABLE sample AS SELECT email, pseudo.pseudonymize(email, true) AS pseudonym FROM addresses LIMIT 1000;
CREATE TABLE people AS SELECT row_number() OVER ()::int AS id, pseudonym FROM (SELECT * FROM deterministic LIMIT 100000) d;
ALTER TABLE people ADD PRIMARY KEY (id);

GRANT SELECT ON addresses, people TO officer;
SET ROLE officer;
CREATE VIEW masked WITH (security_barrier) AS
	SELECT pseudo.pseudonymize_as('officer', email) AS pseudonym FROM addresses;
RESET ROLE;

ALTER TABLE addresses SET (parallel_workers = 2);
ALTER TABLE deterministic SET (parallel_workers = 2);
VACUUM (FREEZE, ANALYZE);

-- No figure is worth anything where the values do not come back.
DO $$
BEGIN
	ASSERT (SELECT bool_and(length(email) = 20) AND count(DISTINCT email) = count(*) FROM addresses);
	ASSERT NOT EXISTS (SELECT pseudo.reidentify(pseudonym) FROM deterministic EXCEPT SELECT email FROM addresses);
	ASSERT NOT EXISTS (SELECT pseudo.reidentify(pseudonym) FROM random EXCEPT SELECT email FROM addresses);
	ASSERT NOT EXISTS (SELECT pseudo.repseudonymize(pseudonym) FROM under_old_key EXCEPT SELECT pseudonym FROM deterministic);
	ASSERT NOT EXISTS (SELECT unnest(pseudo.reidentify_array(pseudonyms)) FROM arrays EXCEPT SELECT email FROM addresses);
	ASSERT NOT EXISTS (SELECT pseudonym FROM masked EXCEPT SELECT pseudonym FROM deterministic);
END $$;

-- A figure is the median over all rounds of a value, less that of "base"; its ratio the
-- median over all rounds of the ratio to "against" in the same round.
CREATE TABLE cases (
	no serial,
	name text PRIMARY KEY,
	chapter text NOT NULL,
	unit text NOT NULL,
	query text,					-- gives a count
	counts bigint,				-- which is this
	workers int DEFAULT 0,
	base text REFERENCES cases,
	against text REFERENCES cases,
	at_most numeric,			-- the ratio, or without "against" the figure
	at_least numeric,
	charted boolean DEFAULT false);
CREATE TABLE runs (name text REFERENCES cases, round int, value float8 NOT NULL, PRIMARY KEY (name, round));

INSERT INTO cases (name, chapter, unit, query, counts)
	SELECT format('count(%s)', relation), 'functions', 'ns', format('SELECT count(%s) FROM %s', col, relation), :rows / n
	FROM (VALUES ('addresses', 'email', 1), ('repeated', 'email', 1), ('deterministic', 'pseudonym', 1), ('random', 'pseudonym', 1),
		('under_old_key', 'pseudonym', 1), ('documents', 'body', 1),
		('arrays', 'cardinality(emails)', 1000)) AS bases (relation, col, n);
INSERT INTO cases (name, chapter, unit, query, counts)
	VALUES ('count(pseudonyms)', 'functions', 'ns', 'SELECT count(cardinality(pseudonyms)) FROM arrays', :rows / 1000);

INSERT INTO cases (name, chapter, unit, query, counts, base, against, at_most, charted)
	SELECT name, 'functions', 'ns', format('SELECT count(%s) FROM %s', replace(expression, '$', 'pseudo'), relation),
		:rows / n, format('count(%s)', base), against, at_most, charted
	FROM (VALUES
		('md5', 'md5(email)', 'addresses', 1, 'addresses', NULL, NULL, true),
		('sha256, hex', 'encode(sha256(convert_to(email, ''UTF8'')), ''hex'')', 'addresses', 1, 'addresses', 'md5', NULL, true),
		('pgcrypto hmac, hex', 'encode(hmac(email, ''0123456789abcdef0123456789abcdef'', ''sha256''), ''hex'')', 'addresses', 1, 'addresses', 'md5', NULL, true),
		('pgcrypto encrypt, base64', 'encode(encrypt(convert_to(email, ''UTF8''), ''0123456789abcdef0123456789abcdef'', ''aes''), ''base64'')', 'addresses', 1, 'addresses', 'md5', NULL, true),
		('pseudonymize, deterministic', '$.pseudonymize(email, true)', 'addresses', 1, 'addresses', 'md5', 0.42, true),
		('pseudonymize, random', '$.pseudonymize(email)', 'addresses', 1, 'addresses', 'md5', 0.32, true),
		('reidentify', '$.reidentify(pseudonym)', 'deterministic', 1, 'deterministic', 'md5', 0.35, true),
		('reidentify, random', '$.reidentify(pseudonym)', 'random', 1, 'random', 'md5', 0.35, false),
		('try_reidentify', '$.try_reidentify(pseudonym)', 'deterministic', 1, 'deterministic', 'md5', NULL, false),
		('repseudonymize', '$.repseudonymize(pseudonym)', 'under_old_key', 1, 'under_old_key', 'md5', NULL, false),
		('pseudonymize, the same as in the row before', '$.pseudonymize(email, true)', 'repeated', 1, 'repeated', 'pseudonymize, deterministic', NULL, false),
		('pseudonymize_as in a view', 'pseudonym', 'masked', 1, 'addresses', 'pseudonymize, deterministic', 1.05, false),
		('pseudonymize_array', '$.pseudonymize_array(emails, true)', 'arrays', 1000, 'arrays', 'pseudonymize, deterministic', 0.65, true),
		('pseudonymize_array, random', '$.pseudonymize_array(emails)', 'arrays', 1000, 'arrays', 'pseudonymize, random', 0.65, false),
		('reidentify_array', '$.reidentify_array(pseudonyms)', 'arrays', 1000, 'pseudonyms', 'reidentify', 0.65, true),
		('jsonb_set with md5', 'jsonb_set(body, ''{email}'', to_jsonb(md5(body ->> ''email'')))', 'documents', 1, 'documents', 'md5', NULL, false),
		('pseudonymize_json', '$.pseudonymize_json(body, ''{email}'', true)', 'documents', 1, 'documents', 'jsonb_set with md5', NULL, false)
	) AS functions (name, expression, relation, n, base, against, at_most, charted);

-- Run each query of a chapter once, in random order.
CREATE PROCEDURE measure(which text, round int) LANGUAGE plpgsql AS $$
DECLARE
	c cases;
	start timestamptz;
	counted bigint;
BEGIN
	FOR c IN SELECT * FROM cases WHERE chapter = which ORDER BY random() LOOP
		PERFORM set_config('max_parallel_workers_per_gather', c.workers::text, true);
		start := clock_timestamp();
		EXECUTE c.query INTO counted;
		INSERT INTO runs VALUES (c.name, round, extract(epoch FROM clock_timestamp() - start) * 1e9 / (SELECT count(*) FROM addresses));
		IF counted IS DISTINCT FROM c.counts THEN
			RAISE EXCEPTION '%: counted %, not %', c.name, counted, c.counts;
		END IF;
	END LOOP;
END $$;

CREATE VIEW results AS
	WITH figures AS (
		SELECT r.name, r.round, r.value - coalesce(b.value, 0) AS value
		FROM runs r JOIN cases c USING (name) LEFT JOIN runs b ON b.name = c.base AND b.round = r.round)
	SELECT c.no, c.chapter, c.name, c.unit, c.against, c.at_most, c.at_least, c.charted,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY f.value) AS median,
		percentile_cont(0.25) WITHIN GROUP (ORDER BY f.value) AS low,
		percentile_cont(0.75) WITHIN GROUP (ORDER BY f.value) AS high,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY f.value / a.value) AS ratio
	FROM cases c JOIN figures f USING (name) LEFT JOIN figures a ON a.name = c.against AND a.round = f.round
	GROUP BY c.no, c.name;
