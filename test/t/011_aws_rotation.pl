# Keys of AWS under load and in an outage: rotation while a third of the endpoint's answers fail, administrators who meet, AWS gone and back.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use IPC::Run ();
use Moto;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

clean_environment("${PostgreSQL::Test::Utils::tmp_check}/rotation_home");
my $moto = Moto->start;
plan skip_all => 'needs moto (PSEUDO_PYTHON)' unless $moto;

my $long = ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/;
my $seconds = $long ? 120 : 30;
my $interval = 3;
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)} = $moto->admin;
my $node = start_server('rotation', "max_connections = 50\n");
my $endpoint = Endpoint->new(rules => [ { forward => $moto->url } ]);

sub keyring
{
	my ($name, $url, %options) = @_;
	my $more = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	$moto->boto("client('secretsmanager').create_secret(Name='$name')");
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id '$name', region 'eu-west-1', endpoint '$url'$more)");
}

# The document of a secret, decoded by Python, as lines "id prefix status"; and its labels other than AWS's own.
sub keys_of { return $moto->boto("d = json.loads(client('secretsmanager').get_secret_value(SecretId='$_[0]')['SecretString'])\nfor k in d['keys']: print(k['keyId'], k['outputPrefix'], k['status'], d['primaryKeyId'] == k['keyId'])") }
sub labels_of { return $moto->boto("for s in client('secretsmanager').describe_secret(SecretId='$_[0]')['VersionIdsToStages'].values(): print('\\n'.join(x for x in s if not x.startswith('AWS')))") =~ s/\s+//gr }

#
# Eight administrators at once
#
keyring('crowd', $moto->url, timeout => '60s');
my $script = PostgreSQL::Test::Utils::tempdir() . '/create.sql';
append_to_file($script, "SELECT pseudo.pseudo_create_key('crowd');\n");
IPC::Run::run([ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', '4', '--max-tries=1', '-f', $script, $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
my ($done) = $out =~ /number of transactions actually processed: (\d+)/;
my @lost_races = $err =~ /could not serialize|changed by another|40001/g;
my @ids = split /\n/, keys_of('crowd');
cmp_ok($done, '>=', 8, "administrators: $done of 32 keys were created, the others gave up their races");
is(scalar @ids, $done, 'administrators: each key that was created is in the document');
is(join(' ', map { (split / /)[0] } @ids), join(' ', 1 .. $done), 'administrators: the ids are unique and without gaps');
is(labels_of('crowd'), '', 'administrators: no label is left');

#
# An administrator who is not told that the change was stored, while others store more: nothing is stored twice
#
my $change = 'secretsmanager.UpdateSecretVersionStage';
for my $case ([ 'the first key', 0, { delay => 4 }, 1 ], [ 'the answer is lost', 1, { lose => 4 }, 1 ], [ 'the answer is lost, others store twice', 1, { lose => 4 }, 2 ])
{
	my ($what, $before, $fault, $others) = @$case;
	my $name = "slow_$before$others";
	my $all = { forward => $moto->url };

	keyring($name, $endpoint->url, timeout => '60s');
	$endpoint->rules([$all]);
	$node->safe_psql('postgres', "CREATE SERVER ${name}_direct FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id '$name', region 'eu-west-1', endpoint '${\$moto->url}')");
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('$name')"), '1', "$what: there is a key") if $before;
	$endpoint->forget;
	$endpoint->rules([ { target => $change, times => 1, %$all, %$fault }, $all ]);
	my $slow = IPC::Run::start([ 'psql', '-XAtqd', $node->connstr('postgres'), '-c', "SELECT pseudo.pseudo_create_key('$name')" ], '<', \undef, '>', \my $slow_out, '2>', \my $slow_err);
	sleep 0.1 until grep { $_->{headers}{'x-amz-target'} eq $change } $endpoint->requests;
	sleep 0.1 until split(/\n/, eval { keys_of($name) } // '') == $before + 1;
	$node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('${name}_direct')") for 1 .. $others;
	$slow->finish;
	is("$slow_out$slow_err", ($before + 1) . "\n", "$what: the slow one has its key");
	is(join(' ', map { (split / /)[0] } split /\n/, keys_of($name)), join(' ', 1 .. $before + 1 + $others), "$what: each key is there once");
	is(labels_of($name), '', "$what: no label is left");
}

#
# Rotation while a third of the answers fail
#
keyring('crm', $endpoint->url, refresh_interval => "${interval}s", timeout => '5s');
is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('crm')"), '1', 'the empty secret has its first key');
$node->safe_psql('postgres', 'CREATE TABLE written (value text, pseudonym text)');
my $load = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
append_to_file($load, <<'SQL');
\set id random(1, 1000000)
INSERT INTO written VALUES ('value ' || :id, pseudo.pseudonymize('value ' || :id, :id % 2 = 0, 'c', 'crm')) RETURNING pseudonym \gset
SELECT 1 / (pseudo.reidentify(:pseudonym, 'c', 'crm') = 'value ' || :id)::int;
SQL
# Not faster than needed: each client some fifty transactions a second.
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', $seconds, '-R', '200', '-M', 'extended', '-f', $load, $node->connstr('postgres') ], '<', \undef, '&>', my $bench_file = PostgreSQL::Test::Utils::tempdir() . '/pgbench');
my $begun = time;
sleep 1.5;					# every client has loaded the keyring
$endpoint->rules([ { forward => $moto->url, fail_share => 1 / 3, failures => [ aws_error('ThrottlingException', 'slow down', 400), { status => 500, body => '' }, aws_error('InternalServiceError', 'x', 500), { close => 1 }, { status => 503, body => 'no' }, { cut => 5, body => 'x' x 100 } ] } ]);
my ($rotations, $tries) = (0, 0);
while (time - $begun < $seconds - 2 * $interval - 3 && $tries < 300)
{
	my $id = '';
	do { (undef, $id) = $node->psql('postgres', "SELECT pseudo.pseudo_create_key('crm')") } until $tries++ > 300 || $id =~ /^\d+$/;
	sleep 2 * $interval;
	my $code = 1;
	do { ($code) = $node->psql('postgres', "SELECT pseudo.pseudo_set_primary_key('crm', $id)") } until $tries++ > 300 || $code == 0;
	$rotations++;
}
$bench->finish;
my $bench_out = slurp_file($bench_file);
my ($failed) = $bench_out =~ /number of failed transactions: (\d+)/;
my ($processed) = $bench_out =~ /number of transactions actually processed: (\d+)/;
unlike($bench_out, qr/ERROR|abort/, 'rotation: no client met an error');
is($failed, 0, "rotation: no failed transaction of $processed");
cmp_ok($rotations, '>=', $long ? 8 : 2, "rotation: $rotations in $tries tries");
my @seen = $endpoint->requests;
my %by_target;
$by_target{ $_->{headers}{"x-amz-target"} }++ for @seen;
diag(join ", ", map { "$_ $by_target{$_}" } sort keys %by_target);
cmp_ok(scalar @seen, '>', 20, 'rotation: the endpoint saw ' . @seen . ' requests');
$endpoint->rules([ { forward => $moto->url } ]);
is($node->safe_psql('postgres', "SELECT count(*) FROM written WHERE pseudo.reidentify(pseudonym, 'c', 'crm') IS DISTINCT FROM value"), '0', 'rotation: every value is there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM written'), $processed, 'rotation: a pseudonym of each transaction');
cmp_ok($node->safe_psql('postgres', "SELECT count(DISTINCT pseudo.pseudonym_key_id(pseudonym)) FROM written"), '>', 1, 'rotation: several keys wrote');
cmp_ok(scalar(split /\n/, keys_of('crm')), '>', $rotations, 'rotation: no key is lost');

#
# AWS goes, and comes back
#
$node->safe_psql('postgres', "ALTER SERVER crm OPTIONS (SET refresh_interval '1s', ADD stale_limit '6s', SET timeout '2s')");
my $old = session($node);
like(ask($old, "SELECT pseudo.pseudonymize('x', keyring => 'crm')"), qr/^AQ/, 'outage: a session with keys');
$endpoint->rules([ { close => 1, answer => { close => 1 } } ]);
sleep 1.2;
like(ask($old, "SELECT pseudo.pseudonymize('x', keyring => 'crm')"), qr/^AQ/, 'outage: it goes on');
like(ask($old, "SELECT error FROM pseudo.pseudo_keyrings WHERE name = 'crm'"), qr/\w/, 'outage: pseudo_keyrings says what is wrong');
like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x', keyring => 'crm')"), $Pseudo::preload ? qr/^no error: AQ/ : qr/^08\d\d\d: keyring "crm": /, 'outage: a new session says why it cannot, unless the server has keys');
my ($ended, $last) = (0, '');
for (1 .. 60)
{
	$last = ask($old, "SELECT pseudo.pseudonymize('x', keyring => 'crm')");
	$ended = 1, last if $last =~ /^08/;
	sleep 0.5;
}
ok($ended, 'outage: after stale_limit the session stops') or diag($last);
$endpoint->rules([ { forward => $moto->url } ]);
like(ask($old, "SELECT pseudo.pseudonymize('x', keyring => 'crm')"), qr/^AQ/, 'outage: it recovers by itself');
like($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', keyring => 'crm')"), qr/^AQ/, 'outage: new sessions do too');

leave($old);
$node->stop;
done_testing();
