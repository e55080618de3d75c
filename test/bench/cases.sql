-- What sql.sh measures: the tables, and a case for each figure.  psql's variables are the number of rows, and
-- the path of the keyring.

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

-- In turn, a hundred contexts and a hundred thousand; the address is read last, so that one count is the base of all.
CREATE TABLE contexts AS
	SELECT 'tenant ' || n % 100 AS tenant, 'recipient ' || n % 100000 AS recipient, email
	FROM (SELECT email, row_number() OVER () AS n FROM addresses) a;

-- A thousand to an array; not compressed, or that would be measured.
CREATE TABLE arrays (emails text[], pseudonyms text[]);
ALTER TABLE arrays ALTER emails SET STORAGE EXTERNAL, ALTER pseudonyms SET STORAGE EXTERNAL;
INSERT INTO arrays
	SELECT array_agg(email), pseudo.pseudonymize_array(array_agg(email), true)
	FROM (SELECT email, row_number() OVER () AS n FROM addresses) a GROUP BY (n - 1) / 1000;

-- A few to join with, and a table to look up in.
CREATE TABLE sample AS SELECT email, pseudo.pseudonymize(email, true) AS pseudonym FROM addresses LIMIT 1000;
CREATE TABLE people AS SELECT row_number() OVER ()::int AS id, pseudonym FROM deterministic;
ALTER TABLE people ADD PRIMARY KEY (id);

GRANT SELECT ON addresses, people TO officer;
SET ROLE officer;
CREATE VIEW masked AS
	SELECT pseudo.pseudonymize_as('officer', email) AS pseudonym FROM addresses;
CREATE VIEW fenced WITH (security_barrier) AS
	SELECT pseudo.pseudonymize_as('officer', email) AS pseudonym FROM addresses;
RESET ROLE;

ALTER TABLE addresses SET (parallel_workers = 2);
ALTER TABLE deterministic SET (parallel_workers = 2);
VACUUM (FREEZE, ANALYZE);

-- No figure is worth anything where the values do not come back.
DO $$
BEGIN
	ASSERT (SELECT bool_and(length(email) = 20) AND count(DISTINCT email) = count(*) FROM addresses);
	ASSERT NOT EXISTS (SELECT email FROM addresses EXCEPT SELECT pseudo.reidentify(pseudonym) FROM deterministic);
	ASSERT NOT EXISTS (SELECT email FROM addresses EXCEPT SELECT pseudo.reidentify(pseudonym) FROM random);
	ASSERT NOT EXISTS (SELECT email FROM addresses EXCEPT SELECT unnest(pseudo.reidentify_array(pseudonyms)) FROM arrays);
	ASSERT NOT EXISTS (SELECT pseudonym FROM deterministic EXCEPT SELECT pseudonym FROM masked);
	ASSERT NOT EXISTS (SELECT pseudonym FROM deterministic EXCEPT SELECT pseudo.repseudonymize(pseudonym) FROM under_old_key);
END $$;

-- A figure is the median over all rounds of a value, less that of "base" in the same round; its
-- ratio is the median over all rounds of the ratio to "against" in the same round.
CREATE TABLE cases (
	no serial,
	name text PRIMARY KEY,
	chapter text NOT NULL,		-- the cases of one are measured in turns
	unit text NOT NULL,			-- of the value: ns (a row), rows/s, tps, ms
	setup text,
	query text NOT NULL,
	answer bigint,				-- what the query counts
	workers int DEFAULT 0,
	base text REFERENCES cases,
	against text REFERENCES cases,
	at_most numeric,			-- the ratio, or where there is no "against" the figure
	at_least numeric,
	bar text);					-- its name in the chart
CREATE TABLE runs (name text REFERENCES cases, round int, value float8 NOT NULL, PRIMARY KEY (name, round));

-- Functions: above a plain count over the same rows.
INSERT INTO cases (name, chapter, unit, query, answer)
	SELECT 'count ' || name, 'functions', 'ns', format('SELECT count(%s) FROM %s', counted, relation), :rows / n
	FROM (VALUES
		('addresses', 'email', 'addresses', 1),
		('repeated', 'email', 'repeated', 1),
		('contexts', 'email', 'contexts', 1),
		('deterministic', 'pseudonym', 'deterministic', 1),
		('random', 'pseudonym', 'random', 1),
		('under_old_key', 'pseudonym', 'under_old_key', 1),
		('documents', 'body', 'documents', 1),
		('emails', 'cardinality(emails)', 'arrays', 1000),
		('pseudonyms', 'cardinality(pseudonyms)', 'arrays', 1000))
		AS bases (name, counted, relation, n);

INSERT INTO cases (name, chapter, unit, query, answer, base, against, at_most, bar)
	SELECT name, 'functions', 'ns', format('SELECT count(%s) FROM %s', counted, relation), :rows / n,
		'count ' || base, against, at_most, bar
	FROM (VALUES
		('md5', 'md5(email)', 'addresses', 1, 'addresses', NULL, NULL, 'md5(email)'),
		('sha256, hex', $$encode(sha256(convert_to(email, 'UTF8')), 'hex')$$,
			'addresses', 1, 'addresses', 'md5', NULL, 'sha256, hex'),
		('pgcrypto hmac, hex', $$encode(hmac(email, '0123456789abcdef0123456789abcdef', 'sha256'), 'hex')$$,
			'addresses', 1, 'addresses', 'md5', NULL, 'pgcrypto hmac, hex'),
		('pgcrypto encrypt, base64',
			$$encode(encrypt(convert_to(email, 'UTF8'), '0123456789abcdef0123456789abcdef', 'aes'), 'base64')$$,
			'addresses', 1, 'addresses', 'md5', NULL, 'pgcrypto encrypt, base64'),
		('pseudonymize, deterministic', 'pseudo.pseudonymize(email, true)',
			'addresses', 1, 'addresses', 'md5', 0.33, 'pseudonymize(email, true)'),
		('pseudonymize, random', 'pseudo.pseudonymize(email)',
			'addresses', 1, 'addresses', 'md5', 0.19, 'pseudonymize(email)'),
		('pseudonymize, as in the row before', 'pseudo.pseudonymize(email, true)',
			'repeated', 1, 'repeated', 'pseudonymize, deterministic', NULL, NULL),
		('pseudonymize, one context', $$pseudo.pseudonymize(email, true, 'tenant 42')$$,
			'contexts', 1, 'contexts', 'pseudonymize, deterministic', NULL, NULL),
		('pseudonymize, 100 contexts in turn', 'pseudo.pseudonymize(email, true, tenant)',
			'contexts', 1, 'contexts', 'pseudonymize, one context', 1.4, NULL),
		('pseudonymize, 100,000 contexts in turn', 'pseudo.pseudonymize(email, true, recipient)',
			'contexts', 1, 'contexts', 'pseudonymize, one context', 1.9, NULL),
		('pseudonymize_as in a view', 'pseudonym',
			'masked', 1, 'addresses', 'pseudonymize, deterministic', 1.05, NULL),
		('pseudonymize_as in a security_barrier', 'pseudonym',
			'fenced', 1, 'addresses', 'pseudonymize, deterministic', NULL, NULL),
		('pseudonymize_array, deterministic', 'pseudo.pseudonymize_array(emails, true)',
			'arrays', 1000, 'emails', 'pseudonymize, deterministic', 0.65, 'pseudonymize_array(emails, true)'),
		('pseudonymize_array, random', 'pseudo.pseudonymize_array(emails)',
			'arrays', 1000, 'emails', 'pseudonymize, random', 0.65, NULL),
		('reidentify', 'pseudo.reidentify(pseudonym)',
			'deterministic', 1, 'deterministic', 'md5', 0.23, 'reidentify(pseudonym)'),
		('reidentify, random', 'pseudo.reidentify(pseudonym)', 'random', 1, 'random', 'md5', 0.23, NULL),
		('try_reidentify', 'pseudo.try_reidentify(pseudonym)',
			'deterministic', 1, 'deterministic', 'md5', NULL, NULL),
		('reidentify_array', 'pseudo.reidentify_array(pseudonyms)',
			'arrays', 1000, 'pseudonyms', 'reidentify', 0.65, 'reidentify_array(pseudonyms)'),
		('repseudonymize', 'pseudo.repseudonymize(pseudonym)',
			'under_old_key', 1, 'under_old_key', 'md5', NULL, NULL),
		('jsonb_set with md5', $$jsonb_set(body, '{email}', to_jsonb(md5(body ->> 'email')))$$,
			'documents', 1, 'documents', 'md5', NULL, NULL),
		('pseudonymize_json', $$pseudo.pseudonymize_json(body, '{email}', true)$$,
			'documents', 1, 'documents', 'jsonb_set with md5', NULL, NULL))
		AS functions (name, counted, relation, n, base, against, at_most, bar);

SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgsodium') AS has_pgsodium \gset
\if :has_pgsodium
CREATE EXTENSION pgsodium;
INSERT INTO cases (name, chapter, unit, query, answer, base, against, bar) VALUES
	('pgsodium det_encrypt, base64', 'functions', 'ns',
		$$SELECT count(encode(pgsodium.crypto_aead_det_encrypt(convert_to(email, 'UTF8'), '', key), 'base64'))
			FROM addresses, (SELECT pgsodium.crypto_aead_det_keygen() OFFSET 0) k (key)$$,
		:rows, 'count addresses', 'md5', 'pgsodium det_encrypt, base64');
\endif

-- Two processes, which are parallel workers, against one.
INSERT INTO cases (name, chapter, unit, query, answer, workers, against, at_least)
	SELECT format('%s, %s, %s', name, plan, processes), 'workers', 'rows/s',
		format(query, call, relation, joined), CASE plan WHEN 'join' THEN least(1000, :rows) ELSE :rows END,
		workers, format('%s, %s, ' || against, name, plan), at_least
	FROM (VALUES
			('pseudonymize', 'pseudo.pseudonymize(email, true)', 'addresses', 'pseudonym'),
			('pseudonymize_as', 'pseudonym', 'masked', 'pseudonym'),
			('reidentify', 'pseudo.reidentify(pseudonym)', 'deterministic', 'email'))
			AS functions (name, call, relation, joined),
		(VALUES
			('scan', $$SELECT count(*) FROM %2$s WHERE %1$s <> ''$$),
			('join', 'SELECT count(*) FROM (SELECT %1$s AS made FROM %2$s) f JOIN sample s ON s.%3$s = f.made'),
			('aggregate', 'SELECT count(%1$s) FROM %2$s')) AS plans (plan, query),
		(VALUES (0, '1 process', NULL, NULL), (2, '2 processes', '1 process', 1.8)) AS counts (workers, processes, against, at_least)
	ORDER BY workers, name, plan;

-- Writing a fifth of the rows: into an empty table, and all rows of a table anew.
CREATE PROCEDURE create_target(filled boolean, indexed boolean, two boolean = false) LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS target;
	CREATE TABLE target (id int PRIMARY KEY, email text);
	IF two THEN
		PERFORM FROM pseudo.pseudo_keyrings; -- loads the library, and with it the labels
		ALTER TABLE target ADD other text;
		SECURITY LABEL FOR pseudo ON COLUMN target.email IS 'deterministic';
		SECURITY LABEL FOR pseudo ON COLUMN target.other IS 'random, context=other';
		INSERT INTO target SELECT id, email, email FROM source;
	ELSIF filled THEN
		INSERT INTO target SELECT * FROM source;
	END IF;
	IF indexed THEN
		CREATE INDEX ON target (email);
	END IF;
END $$;
CREATE PROCEDURE update_in_batches() LANGUAGE plpgsql AS $$
BEGIN
	FOR batch IN 0 .. (SELECT max(id) - 1 FROM target) / 1000 LOOP
		UPDATE target SET email = email || repeat('=', 52) WHERE id BETWEEN batch * 1000 + 1 AND batch * 1000 + 1000;
		COMMIT;
	END LOOP;
END $$;
CREATE TABLE source AS SELECT row_number() OVER ()::int AS id, email FROM addresses LIMIT :rows / 5;

INSERT INTO cases (name, chapter, unit, setup, query, answer, against, at_least)
	SELECT name, 'writes', 'rows/s', setup, query, :rows / 5, against, at_least
	FROM (VALUES
		('INSERT of as long a text', 'CALL create_target(false, false)',
			$$INSERT INTO target SELECT id, email || repeat('=', 52) FROM source$$, NULL, NULL),
		('INSERT of pseudonymize', 'CALL create_target(false, false)',
			'INSERT INTO target SELECT id, pseudo.pseudonymize(email, true) FROM source', 'INSERT of as long a text', NULL),
		('INSERT with the trigger', 'CALL create_target(false, false);
				CREATE TRIGGER zz BEFORE INSERT ON target FOR EACH ROW
					EXECUTE FUNCTION pseudo.pseudonymize_trigger(''email'', ''deterministic=true'')',
			'INSERT INTO target SELECT * FROM source', 'INSERT of as long a text', NULL),
		('UPDATE with as long a text', 'CALL create_target(true, false)', 'CALL update_in_batches()', NULL, NULL),
		('pseudonymize_table', 'CALL create_target(true, false)',
			$$CALL pseudo.pseudonymize_table('target', '{email}', true)$$, 'UPDATE with as long a text', 0.65),
		('UPDATE with as long a text, indexed', 'CALL create_target(true, true)', 'CALL update_in_batches()', NULL, NULL),
		('pseudonymize_table, indexed', 'CALL create_target(true, true)',
			$$CALL pseudo.pseudonymize_table('target', '{email}', true)$$, 'UPDATE with as long a text, indexed', 0.65),
		('pseudonymize_table, two columns in two passes', 'CALL create_target(true, false, true)',
			$$CALL pseudo.pseudonymize_table('target', '{email}', true); CALL pseudo.pseudonymize_table('target', '{other}', context => 'other')$$,
			NULL, NULL),
		('pseudonymize_table, two columns by labels', 'CALL create_target(true, false, true)',
			$$CALL pseudo.pseudonymize_table('target')$$, 'pseudonymize_table, two columns in two passes', 1.6))
		AS writes (name, setup, query, against, at_least);

-- Look-ups by 16 clients, and the first statement of a new connection, without and with the library preloaded.
INSERT INTO cases (name, chapter, unit, query, against, at_least) VALUES
	('look-up of a row', 'lookups', 'tps', 'SELECT pseudonym FROM people WHERE id = :id', NULL, NULL),
	('look-up of a row, left', 'lookups', 'tps', 'SELECT left(pseudonym, 20) FROM people WHERE id = :id',
		'look-up of a row', NULL),
	('look-up of a row, reidentify', 'lookups', 'tps', 'SELECT pseudo.reidentify(pseudonym) FROM people WHERE id = :id',
		'look-up of a row', 0.97);
INSERT INTO cases (name, chapter, unit, query, base, at_most) VALUES
	('first md5', 'first', 'ms', $$SELECT md5('x')$$, NULL, NULL),
	('first pseudonymize, above md5', 'first', 'ms', $$SELECT pseudo.pseudonymize('x', true)$$, 'first md5', 0.7),
	('first md5, preloaded', 'preloaded', 'ms', $$SELECT md5('x')$$, NULL, NULL),
	('first pseudonymize, preloaded, above md5', 'preloaded', 'ms', $$SELECT pseudo.pseudonymize('x', true)$$,
		'first md5, preloaded', 0.25);

-- Run the query of a case, and put its time down.
CREATE PROCEDURE measure_case(c cases, round int) LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
	seconds float8;
	counted bigint;
	n bigint := (SELECT count(*) FROM addresses);
BEGIN
	PERFORM set_config('max_parallel_workers_per_gather', c.workers::text, true);
	start := clock_timestamp();
	EXECUTE c.query INTO counted;
	seconds := extract(epoch FROM clock_timestamp() - start);
	IF counted IS DISTINCT FROM c.answer THEN
		RAISE EXCEPTION '%: counted %, not %', c.name, counted, c.answer;
	END IF;
	INSERT INTO runs VALUES (c.name, round, CASE c.unit WHEN 'ns' THEN seconds * 1e9 / n ELSE n / seconds END);
END $$;

-- Run each query of a chapter once, in random order.
CREATE PROCEDURE measure(which text, round int) LANGUAGE plpgsql AS $$
DECLARE
	c cases;
BEGIN
	FOR c IN SELECT * FROM cases WHERE chapter = which ORDER BY random() LOOP
		CALL measure_case(c, round);
	END LOOP;
END $$;

-- Do as many workers work as are asked for?
DO $$
DECLARE
	c cases;
	plan text;
BEGIN
	FOR c IN SELECT * FROM cases WHERE workers > 0 LOOP
		PERFORM set_config('max_parallel_workers_per_gather', c.workers::text, true);
		EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || c.query INTO plan;
		IF plan !~ format('"Workers Launched": %s', c.workers) THEN
			RAISE EXCEPTION '%: not by % workers', c.name, c.workers;
		END IF;
	END LOOP;
END $$;

-- A figure as it is told, with three digits.
CREATE FUNCTION shown(figure float8, unit text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE unit WHEN 'ms' THEN to_char(figure, 'FM990.00')
		ELSE to_char(round(figure::numeric, 2 - floor(log(greatest(figure, 1)))::int), 'FM999,999,990') END;
$$;
CREATE VIEW results AS
	WITH figures AS (
		SELECT r.name, r.round, r.value - coalesce(b.value, 0) AS value
		FROM runs r JOIN cases c USING (name) LEFT JOIN runs b ON b.name = c.base AND b.round = r.round),
	medians AS (
		SELECT c.no, percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY f.value) AS quartiles,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY f.value / a.value) AS ratio
		FROM cases c JOIN figures f USING (name) LEFT JOIN figures a ON a.name = c.against AND a.round = f.round
		GROUP BY c.no)
	SELECT c.no, c.chapter, c.name, c.bar, quartiles[2] AS figure, quartiles[1] AS low, quartiles[3] AS high, c.unit,
		round(ratio::numeric, 2) AS ratio, c.against, coalesce('at most ' || c.at_most, 'at least ' || c.at_least) AS target,
		coalesce(judged <= c.at_most, judged >= c.at_least) AS met
	FROM medians JOIN cases c USING (no), coalesce(ratio, quartiles[2]) AS judged
	WHERE c.name !~ '^count ';
