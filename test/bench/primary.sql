-- For test/bench/nodes.sh: the server that has partitions and a standby, and is read by Spark.
CREATE SCHEMA pseudo;
CREATE EXTENSION pseudo SCHEMA pseudo;
CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
SELECT pseudo.pseudo_create_key(), pseudo.pseudo_create_key();

-- Values, and a view of their pseudonyms.
CREATE ROLE officer;
CREATE ROLE analyst;
GRANT USAGE ON SCHEMA pseudo TO officer;
GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer;
GRANT USAGE ON FOREIGN SERVER pseudo TO officer;
CREATE TABLE people (id int PRIMARY KEY, email text);
INSERT INTO people SELECT n, 'customer' || n || '@example.com' FROM generate_series(1, :rows) n;
VACUUM (FREEZE, ANALYZE) people;
GRANT SELECT ON people TO officer;
CREATE SCHEMA masked AUTHORIZATION officer;
GRANT USAGE ON SCHEMA masked TO analyst;
SECURITY LABEL FOR pseudo ON COLUMN people.id IS 'keep';
SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'deterministic';
SET ROLE officer;
SELECT pseudo.pseudo_create_view('people', 'masked.people', 'officer');
GRANT SELECT ON masked.people TO analyst;
RESET ROLE;

-- Tables to be converted, a fifth as large.
CREATE TABLE whole (id int PRIMARY KEY, email text);
CREATE TABLE parted (id int PRIMARY KEY, email text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (1) TO (:rows / 10 + 1);
CREATE TABLE part2 PARTITION OF parted FOR VALUES FROM (:rows / 10 + 1) TO (:rows / 5 + 1);
CREATE PROCEDURE fill(relation regclass) LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE format('TRUNCATE %s', relation);
	EXECUTE format('INSERT INTO %s SELECT id, email FROM people WHERE id <= (SELECT max(id) / 5 FROM people)', relation);
END $$;

CREATE PROCEDURE change_key() LANGUAGE sql AS $$
	SELECT pseudo.pseudo_set_primary_key('pseudo', id) FROM pseudo.pseudo_keyrings, unnest(key_ids) id WHERE id <> primary_key_id $$;

-- Waits until the standby has replayed the WAL.
CREATE PROCEDURE replayed(lsn pg_lsn) LANGUAGE plpgsql AS $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn >= lsn) LOOP PERFORM pg_sleep(0.001); END LOOP;
END $$;
