-- One login role for each of the two rights: PgBouncer keeps the servers of each apart.
CREATE ROLE analyst LOGIN PASSWORD 'secret';
CREATE ROLE support LOGIN PASSWORD 'secret';
GRANT USAGE ON SCHEMA pseudo TO analyst, support;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO analyst;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO support;
GRANT USAGE ON FOREIGN SERVER pseudo TO analyst, support;
GRANT SELECT ON customers TO analyst, support;

-- Or one for all: its clients say which role they take, with SET LOCAL ROLE.
CREATE ROLE web LOGIN NOINHERIT PASSWORD 'secret' IN ROLE analyst, support;
