-- Beside ../tables.sql: a table that Spark fills, with values.  It is not in the WAL, so neither in its archive nor on
-- replicas, and the load empties it.
CREATE SCHEMA staging;
CREATE UNLOGGED TABLE staging.customers (LIKE customers);
GRANT USAGE ON SCHEMA staging TO loader;
GRANT SELECT, INSERT, TRUNCATE ON staging.customers TO loader;
