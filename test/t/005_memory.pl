# Ten million calls in one backend, with errors among them, leave its memory as it was.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $node = start_server('memory', "jit = off\nmax_parallel_workers_per_gather = 0\n");
add_keyring($node, 'pseudo', '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4, "outputPrefix": "tink", "status": "destroyed"}, {"keyId": 5, "outputPrefix": "raw", "status": "disabled", "encodedSecretKey": "KWaKptpg+15HMFw/EO40FiD2S2fbtisiRqqT5eJp/2A=", "encodedNonceKey": "Q5ayD6/1VtOqFLF7aFmgFN61E23KOFLfWRT7+XR2e/M=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}, {"keyId": 7, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "6QY5gryoxDPI9EZB79E/5w==", "encodedNonceKey": "nORpSPRdctN6iJDJMKxWfjQU22oO6y4DPphQJTSGWNU=", "nonceStrPos": 20, "nonceEndPos": 32}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}');
my $calls = $ENV{PSEUDO_TEST_CALLS} // 10_000_000;
my $s = session($node);
my $pid = ask($s, 'SELECT pg_backend_pid()');

sub resident
{
	# without shared buffers, which grow with the tables that were read
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 / 1024 : die 'no RssAnon';
}

my %queries = (
	'deterministic' => sub { "SELECT count(pseudo.pseudonymize(n::text, true)) FROM generate_series(1, $_[0]) n" },
	'random' => sub { "SELECT count(pseudo.pseudonymize(n::text)) FROM generate_series(1, $_[0]) n" },
	'both ways' => sub { "SELECT count(pseudo.reidentify(pseudo.pseudonymize(n::text, true, 'context ' || n % 40), 'context ' || n % 40)) FROM generate_series(1, $_[0] / 5) n" },
	'not authentic' => sub { "SELECT count(pseudo.try_reidentify('Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E=')) FROM generate_series(1, $_[0] / 5) n" },
	'malformed' => sub { "SELECT count(pseudo.try_reidentify(n::text)) FROM generate_series(1, $_[0] / 5) n" },
	'arrays' => sub { "SELECT count(pseudo.reidentify_array(pseudo.pseudonymize_array(ARRAY[n::text, NULL, 'x']))) FROM generate_series(1, $_[0] / 20) n" },
	'statements' => sub { "DO \$\$ DECLARE v text; BEGIN FOR i IN 1 .. $_[0] / 50 LOOP EXECUTE 'SELECT pseudo.pseudonymize(\$1, true)' INTO v USING i::text; END LOOP; END \$\$" },
	'trigger' => sub { "TRUNCATE written; INSERT INTO written SELECT n::text FROM generate_series(1, $_[0] / 20) n; UPDATE written SET email = length(email) WHERE length(email) < 60" },
	'bulk' => sub { "DROP TABLE IF EXISTS big; CREATE TABLE big AS SELECT n || '\@example.com' AS email FROM generate_series(1, $_[0] / 40) n; SET client_min_messages = warning; CALL pseudo.pseudonymize_table('big', '{email}')" },
	'bulk, errors' => sub { join '', "SET log_min_messages = fatal; DELETE FROM big; INSERT INTO big VALUES (repeat('a', 40));", ("CALL pseudo.pseudonymize_table('big', '{email}');") x ($_[0] / 20_000) },
	'errors' => sub { "DO \$\$ BEGIN FOR i IN 1 .. $_[0] / 200 LOOP BEGIN PERFORM pseudo.reidentify('AQAAAAMwZDQ3MmM5Mzc2NGMbgX3KDQc6OTT9msrEAnnmvg=='); EXCEPTION WHEN OTHERS THEN END;
		BEGIN PERFORM pseudo.pseudonymize('x', keyring => 'none'); EXCEPTION WHEN OTHERS THEN END; END LOOP; END \$\$" },
);

ask($s, q{CREATE TABLE written (email text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON written FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email')});
for my $name (sort keys %queries)
{
	# generate_series in FROM spills to disk: its own memory is bounded and warm after the first tenth
	ask($s, $queries{$name}->($calls / 10));
	my $before = resident();
	my $said = ask($s, $queries{$name}->($calls));
	my $after = resident();
	my $errors = () = $said =~ /^\w{5}: /mg;
	is($errors, $name eq 'bulk, errors' ? $calls / 20_000 : 0, "$name: it runs");
	cmp_ok($after - $before, '<', 4, sprintf '%s: %.1f MB before, %.1f MB after', $name, $before, $after);
}

# What the transaction itself holds: memory contexts, after all of it.
cmp_ok(ask($s, 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts'), '<', 20_000_000, 'memory contexts');

leave($s);
$node->stop;
done_testing();
