-- The tables of psycopg, pandas and spark, in a database with a keyring.

-- Where reads come from: values.
CREATE TABLE people (id int PRIMARY KEY, name text, email text);

-- Where loads go: what is written becomes pseudonyms.
CREATE TABLE customers (id int PRIMARY KEY, name text, email text);
SELECT FROM pseudo.pseudo_keyrings;		-- loads the library, for SECURITY LABEL
SECURITY LABEL FOR pseudo ON COLUMN customers.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN customers.name IS 'random';
SECURITY LABEL FOR pseudo ON COLUMN customers.email IS 'deterministic';
SELECT * FROM pseudo.pseudo_protect('customers');

-- Who reads needs the right to pseudonymize.  Who loads does not, and owns no table, so cannot replace one.
CREATE ROLE reader LOGIN;
GRANT SELECT ON people TO reader;
GRANT USAGE ON SCHEMA pseudo TO reader;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO reader;
GRANT USAGE ON FOREIGN SERVER pseudo TO reader;
CREATE ROLE loader LOGIN;
GRANT INSERT, DELETE ON customers TO loader;
