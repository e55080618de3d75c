# The n-th call fails, for n = 1, 2, 3 ... until an operation meets none: of those that allocate memory, use files, encrypt, and
# send.  Whatever fails, there is an error with a fitting SQLSTATE or none at all, the session lives on, nothing is left open, locked, lying
# about or unwiped, the document is the old one or the new one, and the next attempt works.
# PSEUDO_FAULTS is a folder with modules that test/faults/Makefile has made.
use strict;
use warnings;

use Endpoint;
use JSON::PP ();
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $modules = $ENV{PSEUDO_FAULTS} or plan skip_all => 'PSEUDO_FAULTS is not set';
my $key = '"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my $two = qq({"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", $key}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", $key}]});
my $folder = PostgreSQL::Test::Utils::tempdir;
my $keys = "$folder/keys";

clean_environment("$folder/home");
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION)} = ('AKIAFAULTS', 'faults/secret', 'eu-west-1');
mkdir $keys;
chmod 0700, $keys;
my $endpoint = Endpoint->new;
my $conf = "jit = off\nlog_min_messages = panic\nautovacuum = off\nshared_preload_libraries = ''\n";
my $hands = <<SQL;
UPDATE pg_proc SET probin = '$modules/pseudo' WHERE probin = '\$libdir/pseudo';
CREATE FUNCTION arm(integer, boolean) RETURNS void AS '$modules/pseudo', 'pseudo_fault_arm' LANGUAGE c STRICT;
CREATE FUNCTION disarm() RETURNS text AS '$modules/pseudo', 'pseudo_fault_end' LANGUAGE c;
SQL
my $node = start_server('faults', $conf);
$node->safe_psql('postgres', $hands . <<SQL);
CREATE TABLE people (id integer PRIMARY KEY, name text);
CREATE TABLE old (id integer PRIMARY KEY, name text);
CREATE TRIGGER pseudonymize BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('name');
CREATE TABLE members (name text UNIQUE, n integer DEFAULT 0);
CREATE TRIGGER pseudonymize BEFORE INSERT OR UPDATE ON members FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('name', 'deterministic=true');
SQL
add_keyring($node, 'pseudo', $two, path => "$keys/k.json");
add_keyring($node, 'other', $two, path => "$keys/other.json");
utime time - 3600, time - 3600, "$keys/k.json", "$keys/other.json";
aws_keyring($node, 'aws', endpoint => $endpoint->url, timeout => '5s');

my $session = session($node);
my $witness = session($node);
my $pid = ask($session, 'SELECT pg_backend_pid()');

# What the session's process holds that only we make: locked-away memory, and what it has open of the keys' folder or of the network.
sub held
{
	my $secret = grep { /^VmFlags:.* dc .*\bdd\b|^VmFlags:.* dd .*\bdc\b/ } split /\n/, slurp_file("/proc/$pid/smaps");
	my @open = grep { m{^\Q$keys\E/} } map { readlink($_) // () } glob "/proc/$pid/fd/*";
	my $sockets = grep { /^(socket|pipe):/ } map { readlink($_) // () } glob "/proc/$pid/fd/*";

	return "$secret secret mappings, $sockets sockets, open: @open";
}

sub files { return join ' ', sort map { s{.*/}{}r } glob "$keys/*" }

# An operation: its name; prepare => what comes before; sql; check => true where all is well afterwards; limit => the n that it may take, step => n grows so much once it is beyond 150.
sub run_faults
{
	my ($name, %op) = @_;
	my @bad;
	my ($n, $failures) = (1, 0);
	my $held;
	my %codes;

	$op{prepare}->();
	note "$name: " . ask($session, $op{sql});
	$op{settle}->();
	$held = held();
	for (; $n < $op{limit}; $n += $n < ($op{dense} // 400) ? 1 : $op{step} // 7)
	{
		$op{prepare}->();
		ask($session, "SELECT arm($n, @{[ $op{on} ? 'true' : 'false' ]})");
		my $said = ask($session, $op{sql});
		my $failed = eval { ask($session, 'SELECT disarm()') } // '';
		my $what = "call $n, $failed()";

		last if $failed eq '';
		my ($code) = $said =~ /^(\w{5}): /m;
		$codes{ $code // 'none' }++;
		note "$what: $said" if $said =~ /^(XX|28)/;
		$failures++ if $code;
		push @bad, "$what: $said" if $code && $code !~ /^(53|58|08|38|42501|22|55|28)/ && !($code =~ /^XX/ && $failed =~ /^(EVP|RAND|HMAC|pg_strong|curl|Close)/);
		my $wrong = eval { $op{check}->($said) } // "check died: $@";
		push @bad, "$what: $wrong ($said)" if $wrong;
		my $settled = $op{settle}->();
		push @bad, "$what: the next attempt: $settled" if $settled;
		push @bad, "$what: files " . files() if files() =~ /tmp/;
		my $now = held();
		push @bad, "$what: held: $now, not $held" if $now ne $held && $failed ne 'madvise';	# by which it is told
		last if @bad > 20;
	}
	note "$name: $n calls, $failures errors: " . join ', ', map { "$_ $codes{$_}" } sort keys %codes;
	is(join("\n", @bad), '', "$name: every failure is a clean one");
	cmp_ok($failures, '>', 5, "$name: there were failures");
	cmp_ok($n, '<', $op{limit}, "$name: it ends");
}

my $seen = sub { return ask($witness, q(SELECT primary_key_id FROM pseudo.pseudo_keyrings WHERE name = 'pseudo')) =~ /^(\d+)$/m ? $1 : 0 };
sub put_old { put_file("$keys/$_[0]", $two); utime time - 3600, time - 3600, "$keys/$_[0]" }	# a new file is waited for
my $restore = sub { put_old('k.json'); ask($session, 'SELECT pseudo.pseudo_refresh_keyring()'); $seen->() };
my $works = sub { my $said = ask($session, "SELECT pseudo.reidentify('$pseudonym')"); return $said eq 'x' ? '' : $said };

# Loads: other options, so that no old key stands in.
my $turn = 0;
my $load = sub { ask($session, sprintf q(ALTER SERVER pseudo OPTIONS (SET path '%s')), $turn++ % 2 ? "$keys/k.json" : "$keys/other.json") };
for my $on (0, 1)
{
	run_faults($on ? 'a load, all fails' : 'a load', on => $on, prepare => $load, sql => "SELECT pseudo.pseudonymize('x', true)", limit => 1000, check => sub { '' }, settle => $works);
}
ask($session, "ALTER SERVER pseudo OPTIONS (SET path '$keys/k.json')");
run_faults('pseudo_refresh_keyring', prepare => sub { }, sql => 'SELECT pseudo.pseudo_refresh_keyring()', limit => 1000, check => sub { '' }, settle => $works);

# Changes: the document is whole, and what is stored is what others see.
my $primary = sub
{
	my $text = slurp_file("$keys/k.json");
	my ($now) = eval { JSON::PP::decode_json($text)->{primaryKeyId} };
	my $others = $seen->();

	return 'the document is broken' if !defined $now;
	return $others eq $now ? '' : "the document's primary key is $now, others see $others";
};
for my $on (0, 1)
{
	run_faults($on ? 'pseudo_set_primary_key, all fails' : 'pseudo_set_primary_key', on => $on, prepare => $restore, sql => q{SELECT pseudo.pseudo_set_primary_key('pseudo', 2)}, limit => 1000, check => $primary,
		settle => sub { return ask($session, q{SELECT pseudo.pseudo_set_primary_key('pseudo', 2)}) || $works->() });
}
run_faults('pseudo_set_key_status', prepare => $restore, sql => q{SELECT pseudo.pseudo_set_key_status('pseudo', 2, 'disabled')}, limit => 1000, check => $primary,
	settle => sub { return ask($session, q{SELECT pseudo.pseudo_set_key_status('pseudo', 2, 'disabled')}) || $works->() });
run_faults('pseudo_create_key', prepare => $restore, sql => q{SELECT pseudo.pseudo_create_key('pseudo', make_primary => true)}, limit => 1000, check => $primary,
	settle => sub { my $said = ask($session, q{SELECT pseudo.pseudo_create_key('pseudo')}); return $said =~ /^[34]$/ ? $works->() : $said });

# Rows.
$restore->();
run_faults('the trigger', prepare => sub { $load->(); ask($session, 'TRUNCATE people') }, sql => q{INSERT INTO people VALUES (1, 'x')}, limit => 1000,
	check => sub { my $rows = ask($session, 'SELECT pseudo.reidentify(name) FROM people'); return $rows eq '' || $rows eq 'x' ? '' : "stored: $rows" },
	settle => sub { return ask($session, q{INSERT INTO people VALUES (2, 'x')}) });
run_faults('pseudonymize_table', prepare => sub { ask($session, q{TRUNCATE old, pseudo.pseudo_progress; INSERT INTO old VALUES (1, 'x'), (2, 'x'), (3, 'x')}) },
	sql => q{CALL pseudo.pseudonymize_table('old', '{name}', true)}, limit => 3000, dense => 150,
	check => sub { my $rows = ask($session, "SELECT count(*) FROM old WHERE name NOT IN ('x', '$pseudonym')"); return $rows eq '0' ? '' : "$rows rows are neither" },
	settle => sub { my $said = ask($session, q{CALL pseudo.pseudonymize_table('old', '{name}', true)}); return $said if $said =~ /^\w{5}:/m; my $left = ask($session, "SELECT count(*) FROM old WHERE name <> '$pseudonym'"); return $left eq '0' ? '' : "$left rows left" });

# Two keys are enabled: the trigger looks for a value under the other one, and a rotation moves it to the first.
my $second = ask($session, q{SELECT (pseudo.pseudonyms_of('x'))[2]});
run_faults('the trigger, where a row has the value', prepare => sub { $load->(); ask($session, "ALTER TABLE members DISABLE TRIGGER USER; TRUNCATE members; INSERT INTO members VALUES ('$second'); ALTER TABLE members ENABLE TRIGGER USER") },
	sql => q{INSERT INTO members VALUES ('x') ON CONFLICT (name) DO UPDATE SET n = members.n + 1}, limit => 1000,
	check => sub { my $rows = ask($session, "SELECT count(*) || ' ' || min(name) FROM members"); return $rows eq "1 $second" ? '' : "rows: $rows" },
	settle => sub { return ask($session, q{INSERT INTO members VALUES ('x') ON CONFLICT (name) DO UPDATE SET n = members.n + 1}) });
run_faults('repseudonymize_table', prepare => sub { ask($session, qq{TRUNCATE old, pseudo.pseudo_progress; INSERT INTO old VALUES (1, '$second'), (2, '$second'), (3, '$second')}) },
	sql => q{CALL pseudo.repseudonymize_table('old', '{name}')}, limit => 3000, dense => 150,
	check => sub { my $rows = ask($session, "SELECT count(*) FROM old WHERE name NOT IN ('$second', '$pseudonym')"); return $rows eq '0' ? '' : "$rows rows are neither" },
	settle => sub { my $said = ask($session, q{CALL pseudo.repseudonymize_table('old', '{name}')}); return $said if $said =~ /^\w{5}:/m; my $left = ask($session, "SELECT count(*) FROM old WHERE name <> '$pseudonym'"); return $left eq '0' ? '' : "$left rows are left" });

# AWS: the calls of libcurl's memory, too.
my %get = (method => 'POST', target => 'secretsmanager.GetSecretValue');
$endpoint->rules([ { %get, answer => secret($two) } ]);
$turn = 0;
run_faults('a load from AWS', prepare => sub { ask($session, sprintf q(ALTER SERVER aws OPTIONS (SET secret_id 'test%d')), $turn++ % 2) }, sql => "SELECT pseudo.pseudonymize('x', true, '', 'aws')", limit => 3000, dense => 100, step => 11,
	check => sub { '' }, settle => sub { my $said = ask($session, "SELECT pseudo.reidentify('$pseudonym', '', 'aws')"); return $said eq 'x' ? '' : $said });

# A change in AWS.
my $answer = sub { return { status => 200, type => 'application/x-amz-json-1.1', body => '{"VersionId": "d5d5d5d5-0000-4000-8000-000000000002"}' } };
$endpoint->rules([ { %get, answer => secret($two) }, { method => 'POST', answer => $answer->() } ]);
run_faults('a change in AWS', prepare => sub { }, sql => q{SELECT pseudo.pseudo_set_primary_key('aws', 2)}, limit => 9000, dense => 60, step => 37,
	check => sub { '' }, settle => sub { my $said = ask($session, q{SELECT pseudo.pseudo_refresh_keyring('aws')}) || ask($session, "SELECT pseudo.reidentify('$pseudonym', '', 'aws')"); return $said eq 'x' ? '' : $said });

# A command.
$node->safe_psql('postgres', "CREATE SERVER command FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'cat $keys/k.json')");
$turn = 0;
run_faults('a load by a command', prepare => sub { ask($session, sprintf q(ALTER SERVER command OPTIONS (SET command 'cat %s')), $turn++ % 2 ? "$keys/k.json" : "$keys/other.json") },
	sql => "SELECT pseudo.pseudonymize('x', true, '', 'command')", limit => 1000, check => sub { '' }, settle => sub { my $said = ask($session, "SELECT pseudo.reidentify('$pseudonym', '', 'command')"); return $said eq 'x' ? '' : $said });

# Values.
my %values = (
	'a random pseudonym' => "SELECT pseudo.reidentify(pseudo.pseudonymize('x'))",
	'an array' => "SELECT pseudo.reidentify_array(pseudo.pseudonymize_array('{x,y}', true))",
	'a document' => qq{SELECT pseudo.reidentify_json(pseudo.pseudonymize_json('{"a": ["x", 1]}', '{a}'), '{a}')},
	'all pseudonyms' => "SELECT pseudo.pseudonyms_of('x')");
run_faults($_, prepare => sub { }, sql => $values{$_}, limit => 1000, check => sub { '' }, settle => $works) for sort keys %values;

leave($_) for $session, $witness;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nobody fell');
$node->stop;

# With the library preloaded: the server's keyrings; records in a file, and limits, of which nothing is opened more than is counted.
$node = start_server('shared', $conf);
$node->safe_psql('postgres', $hands);
put_old('k.json');
add_keyring($node, 'pseudo', undef, path => "$keys/k.json");
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$modules/pseudo'");
$node->restart;
$session = session($node);
$witness = session($node);
$pid = ask($session, 'SELECT pg_backend_pid()');
for my $on (0, 1)
{
	run_faults($on ? 'a shared load, all fails' : 'a shared load', on => $on, prepare => $load, sql => "SELECT pseudo.pseudonymize('x', true)", limit => 1000, check => sub { '' }, settle => $works);
}
ask($session, "ALTER SERVER pseudo OPTIONS (SET path '$keys/k.json')");
run_faults('a shared keyring that is changed', prepare => $restore, sql => q{SELECT pseudo.pseudo_set_primary_key('pseudo', 2)}, limit => 1000, check => $primary,
	settle => sub { return ask($session, q{SELECT pseudo.pseudo_set_primary_key('pseudo', 2)}) || $works->() });
for my $audit ('file', 'wal', 'log')
{
	ask($session, "ALTER SERVER pseudo OPTIONS (ADD audit '$audit', ADD audit_pseudonyms 'true', ADD reidentify_limit '100000/d')");
	run_faults("a recorded array, $audit", prepare => sub { }, sql => "SELECT pseudo.reidentify_array(ARRAY['$pseudonym', '$pseudonym', '$pseudonym'])", limit => 1000, check => sub { '' }, settle => $works);
	run_faults("recorded values, $audit", prepare => sub { }, sql => "SELECT count(pseudo.reidentify('$pseudonym')) FROM generate_series(1, 10)", limit => 3000, check => sub { '' }, settle => $works);
	ask($session, 'ALTER SERVER pseudo OPTIONS (DROP audit, DROP audit_pseudonyms, DROP reidentify_limit)');
}

leave($_) for $session, $witness;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nobody fell, preloaded');
done_testing();
