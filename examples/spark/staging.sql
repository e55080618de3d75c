-- Beside ../tables.sql: a table that Spark fills, with values.  It is not in the WAL, so neither in its archive nor on
-- replicas, and the load empties it.
CREATE SCHEMA staging;
CREATE UNLOGGED TABLE staging.customers (LIKE customers);
SELECT FROM pseudo.pseudo_keyrings;		-- loads the library, for SECURITY LABEL
SECURITY LABEL FOR pseudo ON COLUMN staging.customers.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN staging.customers.name IS 'hide';
SECURITY LABEL FOR pseudo ON COLUMN staging.customers.email IS 'hide';
GRANT USAGE ON SCHEMA staging TO loader;
GRANT SELECT, INSERT, TRUNCATE ON staging.customers TO loader;
