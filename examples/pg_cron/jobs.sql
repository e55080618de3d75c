-- As the owner of the tables, in the database of cron.database_name.  The owner needs EXECUTE on pseudonymize, USAGE on
-- the keyring's server, and USAGE on the schema "cron".

-- What a nightly import has left as plaintext.
SELECT cron.schedule('import', '0 3 * * *', $$CALL pseudo.pseudonymize_table('imports', '{email}', true)$$);

-- After a rotation, what is still under an old key; there is nothing to do in most nights.
SELECT cron.schedule('rotation', '30 3 * * *', $$CALL pseudo.repseudonymize_table('visits', '{email}')$$);
