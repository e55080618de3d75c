-- As the owner of the table, who needs EXECUTE on pseudonymize, USAGE on the keyring's server, and the rights on
-- pg_partman that its documentation names.
SELECT FROM pseudo.pseudo_keyrings;
CREATE TABLE events (id int, at timestamptz NOT NULL, email text) PARTITION BY RANGE (at);
-- existing=keep, for pg_partman writes what it moves as new rows.
SECURITY LABEL FOR pseudo ON COLUMN events.email IS 'deterministic, existing=keep';
SELECT trigger_name, action FROM pseudo.pseudo_protect('events');
SELECT partman.create_parent('public.events', 'at', p_type => 'native', p_interval => '1 day');
-- The owner of the table also owns partitions that another role's maintenance makes.
UPDATE partman.part_config SET inherit_privileges = true WHERE parent_table = 'public.events';
