-- The role that dbt works as, in a database with a keyring: it owns what dbt makes, and may pseudonymize.
CREATE SCHEMA crm;
CREATE TABLE crm.people (id int PRIMARY KEY, name text, email text);
CREATE TABLE crm.logins (id int PRIMARY KEY, email text, at timestamptz);
CREATE ROLE transformer LOGIN;
CREATE SCHEMA marts AUTHORIZATION transformer;
GRANT USAGE ON SCHEMA crm, pseudo TO transformer;
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO transformer;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO transformer;
GRANT USAGE ON FOREIGN SERVER pseudo TO transformer;

-- Who reads the models.
CREATE ROLE analyst;
GRANT USAGE ON SCHEMA marts TO analyst;
