--
-- The keyring files, which are beside the data, go; the database is pg_regress's to drop.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT t.run(format('cd %s && rm -f pseudo_test_*', current_setting('data_directory')));
SELECT count(*) FROM pg_ls_dir(current_setting('data_directory')) f WHERE f LIKE 'pseudo_test_%';
