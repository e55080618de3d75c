# pg_repack of a table with the trigger, under writes: nothing is encrypted twice, nothing lost, and no plaintext stays in its file.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_extensions('pg_repack');
my $node = start_server('packed', "autovacuum = off\n");
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
# Beside each row its value, in a table that nobody repacks.
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_repack;
	SELECT pseudo.pseudo_create_key();
	CREATE TABLE visits (id int PRIMARY KEY, email text UNIQUE, note int DEFAULT 0);
	INSERT INTO visits SELECT n, n || '@example.com' FROM generate_series(1, 3000) n;
	CREATE TABLE wanted AS SELECT id, email FROM visits;
	ALTER TABLE wanted ADD PRIMARY KEY (id);
	SECURITY LABEL FOR pseudo ON COLUMN visits.email IS 'deterministic';
	SELECT pseudo.pseudo_protect('visits');
	CALL pseudo.pseudonymize_table('visits');
	SELECT pseudo.pseudo_set_primary_key('pseudo', pseudo.pseudo_create_key('pseudo'))});

# Rows that are not what they are to be; rows whose value is there under two keys.
sub wrong
{
	return $node->safe_psql('postgres', q{
		SELECT coalesce(v.id, w.id) FROM visits v FULL JOIN wanted w USING (id) WHERE pseudo.reidentify(v.email) IS DISTINCT FROM w.email;
		SELECT pseudo.reidentify(email) FROM visits GROUP BY 1 HAVING count(*) > 1});
}

# The values that the table's file holds, when all of it is on the disk.
sub plaintext
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $file = slurp_file($node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('visits')}));
	return scalar(() = $file =~ /\@example\.com/g);
}
cmp_ok(plaintext(), '>', 0, 'dead rows hold the plaintext after the conversion');
is(wrong(), '', 'the live ones have pseudonyms');

# A session that has written before, and one whose transaction pg_repack waits for when it has copied the table.
my $writer = session($node);
ask($writer, q{PREPARE add(int) AS WITH w AS (INSERT INTO wanted VALUES ($1, $1 || '@example.com')) INSERT INTO visits (id, email) VALUES ($1, $1 || '@example.com')});
is(ask($writer, 'EXECUTE add(10001)'), '', 'a row before');
my $holder = session($node);
ask($holder, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');

my $oid = $node->safe_psql('postgres', q{SELECT 'visits'::regclass::oid});
my $said = '';
my $repack;
{
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	$repack = IPC::Run::start([ 'sh', '-ec', example('pg_repack/repack.sh', '--dbname=crm' => '--dbname=postgres') ], '<', \undef, '>&', \$said);
}
$node->poll_query_until('postgres', "SELECT to_regclass('repack.table_$oid') IS NOT NULL AND to_regclass('repack.log_$oid') IS NOT NULL");

# While it waits, all kinds of writes, and those of many.
is(ask($writer, 'EXECUTE add(10002)'), '', 'a row while it runs');
ask($writer, q{WITH w AS (UPDATE wanted SET email = id || '@example.org' WHERE id <= 100) UPDATE visits SET email = id || '@example.org' WHERE id <= 100});
ask($writer, q{UPDATE visits SET note = note + 1 WHERE id BETWEEN 50 AND 200});
ask($writer, q{WITH w AS (DELETE FROM wanted WHERE id BETWEEN 150 AND 250) DELETE FROM visits WHERE id BETWEEN 150 AND 250});
ask($writer, q{WITH w AS (INSERT INTO wanted SELECT n, n || '@example.net' FROM generate_series(20001, 20500) n) INSERT INTO visits (id, email) SELECT n, n || '@example.net' FROM generate_series(20001, 20500) n});
like(ask($writer, q{INSERT INTO visits (id, email) VALUES (30001, '1000@example.com')}), qr/^23505: /, 'a value that is there under the old key is refused');
ask($writer, q{INSERT INTO visits (id, email) VALUES (30001, '1000@example.com') ON CONFLICT (email) DO UPDATE SET note = 7});
my $script = PostgreSQL::Test::Utils::tempdir() . '/script';
append_to_file($script, q{\set n random(1, 1000000000)
BEGIN;
INSERT INTO wanted VALUES (:n + 100000, :n || '@example.info') ON CONFLICT DO NOTHING;
INSERT INTO visits (id, email) VALUES (:n + 100000, :n || '@example.info') ON CONFLICT DO NOTHING;
COMMIT;
UPDATE visits SET note = note + 1 WHERE id = 2 + :client_id;
});
$node->command_ok([ 'pgbench', '-n', '-c', 4, '-t', 200, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ], 'writers while it runs');
is($node->safe_psql('postgres', "SELECT count(*) FROM repack.log_$oid WHERE (row).email LIKE '%\@%'"), '0', 'its log has pseudonyms only');
ok($repack->pumpable, 'it still runs');
ask($holder, 'COMMIT');
$repack->finish;
is($repack->result(0), 0, 'pg_repack ends well') or diag($said);

is(wrong(), '', 'nothing is lost or encrypted twice');
is($node->safe_psql('postgres', q{SELECT sum(note) FROM visits WHERE id BETWEEN 2 AND 5; SELECT note FROM visits WHERE id = 1000}), "800\n7", 'every update is there');
is(ask($writer, 'EXECUTE add(10003)'), '', 'a row after');
like(ask($writer, q{INSERT INTO visits (id, email) VALUES (30002, '1001@example.com')}), qr/^23505: /, 'a value that is there under the old key is refused as before');
is($node->safe_psql('postgres', q{SELECT action FROM pseudo.pseudo_protect('visits')}), 'unchanged', 'the trigger is what the label says');
is(wrong(), '', 'and works');
is(plaintext(), 0, 'and no plaintext is left in the file');

leave($_) for $writer, $holder;
$node->stop;
done_testing();
