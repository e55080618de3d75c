# How long a session holds keys: those of a dropped server or extension go with its next transaction, those that nobody used for too long,
# too.  And what a session is told once is not told by each of its parallel workers.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs /proc' unless -r '/proc/self/smaps';

my $one = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $node = start_server('wiped', "autovacuum = off\n");
my $s = session($node);
my $pid = ask($s, 'SELECT pg_backend_pid()');

# How many blocks of secret memory the session has: mappings that are left out of core dumps.
sub blocks
{
	my $n = () = slurp_file("/proc/$pid/smaps") =~ /^VmFlags:.*\bdd\b/mg;
	return $n;
}

# A keyring that the session holds keys of; returns how many blocks it had before.
sub held
{
	my ($name, %options) = @_;

	add_keyring($node, $name, $one, path => $node->data_dir . '/keys.json', %options);
	ask($s, 'SELECT 1');
	my $before = blocks();
	like(ask($s, "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => '$name'), keyring => '$name')"), qr/^x$/, "$name: used");
	is(blocks(), $before + 1, "$name: the session holds its keys");
	return $before;
}

# The first use has more: random bytes for nonces.
add_keyring($node, 'first', $one);
ask($s, "SELECT pseudo.pseudonymize('x', keyring => 'first')");
my $before = held('dropped');
$node->safe_psql('postgres', 'DROP SERVER dropped');
ask($s, 'SELECT 1');
is(blocks(), $before, 'a dropped server: its keys are gone after the next transaction, whatever it was');

$before = held('here');
ask($s, 'DROP SERVER here');
is(blocks(), $before, 'dropped in the session itself: at its end');
add_keyring($node, 'here', $one);
$before = blocks();
ask($s, "SELECT pseudo.pseudonymize('x', keyring => 'here')");
ask($s, "BEGIN; DROP SERVER here; ROLLBACK");
is(ask($s, "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'here'), keyring => 'here')"), 'x', 'a DROP SERVER that was rolled back');
$node->safe_psql('postgres', 'DROP SERVER here');
ask($s, "BEGIN; SELECT 1; ABORT; SELECT 1");
is(blocks(), $before, 'a transaction that fails leaves it to the next');

$before = held('in_procedure');
$node->safe_psql('postgres', 'DROP SERVER in_procedure');
ask($s, 'DO $$ BEGIN COMMIT; PERFORM 1; COMMIT; END $$');
is(blocks(), $before, 'a COMMIT in a procedure does it too');

$before = held('prepared');
$node->safe_psql('postgres', 'DROP SERVER prepared');
ask($s, "SELECT 1/0");
ask($s, "SELECT 1");
is(blocks(), $before, 'after an error');

# Nobody uses it any more: refresh_interval and stale_limit are over.
$before = held('expired', refresh_interval => '1s', stale_limit => '1s');
my $until = time + 60;
do { sleep 0.1; ask($s, 'SELECT 1') } while (blocks() > $before && time < $until);
is(blocks(), $before, 'an expired keyring: its keys are gone');
like(ask($s, "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'expired'), keyring => 'expired')"), qr/^x$/, 'an expired keyring: and are back when it is used');
$before = blocks() - 1;
$node->safe_psql('postgres', "ALTER SERVER expired OPTIONS (SET stale_limit '1h')");
ask($s, "SELECT pseudo.pseudonymize('x', keyring => 'expired')");
sleep 2.5;
ask($s, 'SELECT 1');
is(blocks(), $before + 1, 'within stale_limit they stay');

# The extension.
$node->safe_psql('postgres', 'SET client_min_messages = error; DROP EXTENSION pseudo CASCADE');
my $had = blocks();
ask($s, 'SELECT 1');
cmp_ok(blocks(), '<=', $had - 2, 'a dropped extension: all keys are gone');
$node->safe_psql('postgres', 'CREATE EXTENSION pseudo SCHEMA pseudo');

# Parallel workers do not log what the session logs once; the one that loads the keyring for all does.
add_keyring($node, 'weak', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "AAECAwQFBgc=", "nonceStrPos": 7, "nonceEndPos": 19}');
$node->safe_psql('postgres', 'CREATE TABLE many AS SELECT n::text AS v FROM generate_series(1, 20000) n; ANALYZE many; ALTER TABLE many SET (parallel_workers = 3)');
my $t = session($node);
ask($t, 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 3; SET parallel_leader_participation = off');
my $query = "SELECT count(*) FROM many WHERE pseudo.pseudonymize(v, true, '', 'weak') <> ''";
like(ask($t, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $query"), qr/Workers Launched: [1-9]/, 'workers: they work');
ask($t, $query);
ask($t, "SELECT pseudo.pseudonymize('x', true, '', 'weak')");
is(scalar(() = slurp_file($node->logfile) =~ /LOG: .*"weak": key 1 has a weak nonce key/g), 1, 'workers: the log has it once in all');

# A session holds as many keyrings as it has used.
ask($t, 'SET client_min_messages = error');
my $many = 3000;
$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1 .. $many LOOP EXECUTE format('CREATE SERVER many_%s FOREIGN DATA WRAPPER pseudo OPTIONS (provider ''file'', path %L)', i, '" . $node->data_dir . "/keys.json'); END LOOP; END \$\$");
is(ask($t, "SELECT count(pseudo.pseudonymize('x', true, '', 'many_' || i)) FROM generate_series(1, $many) i"), $many, 'many keyrings: all held');
is(ask($t, "SELECT count(pseudo.pseudonymize('x', true, '', 'many_' || i)) FROM generate_series(1, $many) i"), $many, 'many keyrings: and used again');

leave($_) for $s, $t;
$node->stop;
done_testing();
