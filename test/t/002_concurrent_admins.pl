# Eight administrators at once create keys in one file keyring: no key is lost, no id comes twice, and no reader meets half a file.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Basename;
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('admins');
my $path = add_keyring($node, 'pseudo', undef);

# The administrators; none finds a file at first.
my @admins = map { { in => "SET client_min_messages = warning;\n" . "SELECT pseudo.pseudo_create_key();\n" x 5, out => '', err => '' } } 1 .. 8;
$_->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$_->{in}, '>', \$_->{out}, '2>', \$_->{err}, IPC::Run::timeout(180)) for @admins;
$_->{run}->finish for @admins;
is(join('', map { $_->{err} } @admins), '', 'nobody met an error');
is(join(',', sort { $a <=> $b } map { split /\n/, $_->{out} } @admins), join(',', 1 .. 40), 'forty ids, each once');
is($node->safe_psql('postgres', "SELECT count(DISTINCT k ->> 'keyId'), count(DISTINCT k ->> 'encodedSecretKey'), count(DISTINCT k ->> 'encodedNonceKey'), max(d ->> 'primaryKeyId')
	FROM (SELECT pg_read_file('$path')::jsonb) AS s (d), jsonb_array_elements(d -> 'keys') k"), '40|40|40|1', 'and all are in the file');
is($node->safe_psql('postgres', "SELECT pseudo.reidentify(pseudo.pseudonymize('x')), (SELECT cardinality(key_ids) FROM pseudo.pseudo_keyrings)"), 'x|40', 'the keyring works');
is(sprintf('%o', (stat $path)[2] & 07777), '600', 'the file is the server\'s alone');

# Three change the keyring while two read it anew, again and again.
my $read = "SELECT pseudo.pseudo_refresh_keyring();\nSELECT pseudo.reidentify(pseudo.pseudonymize('x'));\n" x 300;
my @run = ((map { { in => "SELECT pseudo.pseudo_create_key();\n" x 20, out => '', err => '' } } 1 .. 3), (map { { in => $read, out => '', err => '' } } 1 .. 2));
$_->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$_->{in}, '>', \$_->{out}, '2>', \$_->{err}, IPC::Run::timeout(180)) for @run;
$_->{run}->finish for @run;
is(join('', map { $_->{err} } @run), '', 'no reader and no writer met an error');
is($node->safe_psql('postgres', "SELECT jsonb_array_length(pg_read_file('$path')::jsonb -> 'keys')"), '100', 'a hundred keys');

# What stands beside it: the lock, and no temporary file.
is(join(' ', map { basename $_ } glob "$path*"), 'pseudo.json pseudo.json.lock', 'nothing is left over');

# An administrator who is cancelled while they wait for the lock leaves at once.
SKIP:
{
	open my $lock, '<', "$path.lock" or skip 'no lock file', 2;
	flock $lock, 2 or skip 'no lock', 2;
	my $started = time;
	my $said = error_of($node, 'postgres', "SET statement_timeout = '1s'; SELECT pseudo.pseudo_create_key()");
	like($said, qr/^(57014|08006|55P03): /, 'the wait for the lock ends');
	cmp_ok(time - $started, '<', 10, 'in time');
}

$node->stop;
done_testing();
