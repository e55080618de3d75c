# One keyring for the whole server, where the library is preloaded: who loads it, who waits for it, what becomes of failures, of loads
# that are cancelled, and of servers that are dropped.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $one = '{"encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}';
my $other = '{"encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}';

my $both = '{"version": 1, "primaryKeyId": 1, "keys": [' . ($one =~ s/^\{/{"keyId": 1, "outputPrefix": "raw", "status": "enabled", /r) . ', ' . ($other =~ s/^\{/{"keyId": 2, "outputPrefix": "raw", "status": "enabled", /r) . ']}';

clean_environment("${PostgreSQL::Test::Utils::tmp_check}/shared_home");
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION)} = ('AKIDSHARED', 'secret', 'eu-west-1');
$Pseudo::preload = 1;
my $endpoint = Endpoint->new;
my $node = start_server('shared', "max_connections = 1100\njit = off\nautovacuum = off\npseudo.shared_memory = 64kB\n");
my $dir = $node->basedir;
put_file("$dir/one.json", $one);
put_file("$dir/other.json", $other);

sub use_of { return "SELECT pseudo.pseudonymize('x', true, keyring => '$_[0]')" }

# A keyring of a command that takes so long; its runs are counted.
sub add_command
{
	my ($name, $seconds, %options) = @_;
	my $file = delete $options{file} // "$dir/one.json";
	my $more = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'echo >> $dir/$name.runs; sleep $seconds; cat $file'$more)");
}
sub runs { return -s "$dir/$_[0].runs" // 0 }

# An aws keyring of the endpoint that nobody has asked for yet, with what becomes of its requests.
sub answers { $endpoint->rules([ { answer => $_[0] } ]); $endpoint->forget }
my $keyrings = 0;
sub add_aws
{
	my (%options) = @_;
	my $name = 'aws' . ++$keyrings;

	aws_keyring($node, $name, endpoint => $endpoint->url, secret_id => $name, %options);
	return $name;
}

# Start a statement in a session; its end.
sub begin
{
	my ($self, $sql) = @_;

	$self->{out} = $self->{err} = '';
	$self->{timeout}->start;
	$self->{in} .= "$sql\n;\n\\echo == done\n\\warn == done\n";
	$self->{run}->pump_nb;
}
sub finish
{
	my ($self) = @_;

	$self->{run}->pump until $self->{out} =~ /^== done$/m && $self->{err} =~ /^== done$/m;
	my ($out, $err) = ($self->{out}, $self->{err});
	s/^== done\n//m for $out, $err;
	return join "\n", grep { length } split(/\n/, $out), map { /^(?:psql:\S+ )?(?:ERROR|FATAL):\s+(.*)/ ? $1 : () } split /\n/, $err;
}
sub pid { return ask($_[0], 'SELECT pg_backend_pid()') }
# Wait until a session's backend waits within a load.
sub wait_for_load
{
	my ($pid) = @_;

	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid") or die 'no load';
}

# So many sessions at once, each with its first statement.
sub herd
{
	my ($name, $sessions) = @_;
	my $script = "$dir/$name.sql";

	append_to_file($script, use_of($name) . ";\n");
	return ([ 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', 1, '-f', $script, 'postgres' ], qr{number of transactions actually processed: $sessions/$sessions\b});
}

#
# One load for all
#

answers({ %{ secret($one) }, delay => 0.05 });
my $name = add_aws(timeout => '60s');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', "CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo; CREATE SERVER same FOREIGN DATA WRAPPER pseudo OPTIONS (endpoint '" . $endpoint->url . "', secret_id '$name', provider 'aws', timeout '3s', refresh_interval '30min')");
my ($herd, $all) = herd($name, 1000);
$node->command_like($herd, $all, 'a thousand sessions, aws: all are served');
is($endpoint->count, 1, 'a thousand sessions, aws: one request');
add_command('slow', 1, timeout => '60s');
($herd, $all) = herd('slow', 1000);
$node->command_like($herd, $all, 'a thousand sessions, command: all are served');
is(runs('slow'), 1, 'a thousand sessions, command: one run');

is($node->safe_psql('postgres', "SELECT sum(loads), sum(failures), sum(waits) BETWEEN 1 AND 1000 FROM pseudo.pseudo_stats WHERE keyring = 'slow'"), '1|0|t', 'a thousand sessions, command: counted');

my $s = session($node);
my $by_one = ask($s, use_of('slow'));
is($node->safe_psql('elsewhere', use_of('same')), $by_one, 'another database: the same keyring, its options in another order');
is($endpoint->count, 1, 'another database: no request');

ask($s, q{CREATE TABLE many AS SELECT n::text AS v FROM generate_series(1, 20000) n; ANALYZE many; ALTER TABLE many SET (parallel_workers = 2);
	SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0});
like(ask($s, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(*) FROM many WHERE pseudo.pseudonymize(v, true, '', 'slow') <> ''"), qr/Workers Launched: [12]/, 'parallel: with workers');
is(runs('slow'), 1, 'parallel: none of them loads it');

#
# Faults of the store
#

# All sessions fail by the same answer, and the next ones are served.
for (
	[ 'throttling', aws_error('ThrottlingException', 'slow'), qr/ThrottlingException|Throttling/, 4 ],
	[ 'a hang', { hang => 'before' }, qr/timed out/, 3 ],
	[ 'an end in the middle', { %{ secret($one) }, cut => 100 }, qr/HTTP|closed|ended|transfer/i, 6 ])
{
	my ($what, $answer, $said, $requests) = @$_;
	my @sessions = map { session($node) } 1 .. 20;

	answers($answer);
	my $faulty = add_aws(timeout => '2s');
	begin($_, use_of($faulty)) for @sessions;
	my @said = map { finish($_) } @sessions;
	is(scalar(grep { /^(08|53|58)\w{3}: / } @said), 20, "$what: all sessions fail") or diag $said[0];
	cmp_ok($endpoint->count, '<=', $requests, "$what: as one request and its repetitions");
	answers(secret($one));
	$node->poll_query_until('postgres', use_of($faulty), $by_one);
	is(join(' ', grep { $_ ne $by_one } map { ask($_, use_of($faulty)) } @sessions), '', "$what: and is over");
	is($endpoint->count, 1, "$what: ... by one request");
	leave($_) for @sessions;
}

# Four of five answers are refused for their number.
answers([ (aws_error('ThrottlingException', 'slow')) x 4, secret($one) ]);
$name = add_aws(timeout => '30s');
my $until = time + 120;
my $said;
do { $said = ask($s, use_of($name)) } while ($said ne $by_one && time < $until);
is($said, $by_one, 'four of five throttled: served in the end');
cmp_ok($endpoint->count, '<=', 6, 'four of five throttled: by few requests');

# A store that hangs holds up nobody else.
answers({ hang => 'before' });
my $hanging = add_aws(timeout => '30s');
my $t = session($node);
my $pid = pid($t);
begin($t, use_of($hanging));
wait_for_load($pid);
add_command('quick', 0);
is(ask($s, use_of('quick')), $by_one, 'one of two stores hangs: the other serves');
$node->safe_psql('elsewhere', "CREATE SERVER impatient FOREIGN DATA WRAPPER pseudo OPTIONS (endpoint '" . $endpoint->url . "', secret_id '$hanging', provider 'aws', timeout '2s')");
my $begun = time;
like(error_of($node, 'elsewhere', use_of('impatient')), qr/^08\w{3}: /, "the same store, a shorter timeout: an error");
cmp_ok(time - $begun, '<', 20, 'the same store, a shorter timeout: in its own time');
answers(secret($one));
is($node->safe_psql('elsewhere', use_of('impatient')), $by_one, "who has waited longer than its own timeout loads it, while the other hangs");
like(ask($s, use_of($hanging)), qr/^\Q$by_one\E$/, 'and all have it');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
like(finish($t), qr/^57014: /, 'the one that hung is cancelled');
is(ask($t, use_of($hanging)), $by_one, 'and has it as well');

#
# Loads that do not come to their end
#

# A statement_timeout shorter than the store's answer.
add_command('cancelled', 3, timeout => '60s');
my $statements = 0;
do { sleep 0.6 if $statements; $statements++; $said = ask($t, "SET statement_timeout = '1s'; " . use_of('cancelled')) } while ($said ne $by_one && $statements < 40);
is($said, $by_one, "a statement_timeout shorter than the store's answer: the load goes on");
is(runs('cancelled'), 2, "a statement_timeout shorter than the store's answer: it is begun twice") or note $statements;
ask($t, 'RESET statement_timeout');

# The one that loads is cancelled, or ends: another takes over.
for my $way ('cancel', 'terminate')
{
	my ($u, $v) = map { session($node) } 1 .. 2;
	my ($pid, $waiting) = map { pid($_) } $u, $v;

	add_command($way, "\$(test \$(wc -c < $dir/$way.runs) -gt 1 && echo 0 || echo 60)", timeout => '60s');	# the first run hangs
	begin($u, use_of($way));
	wait_for_load($pid);
	begin($v, use_of($way));
	wait_for_load($waiting);
	$node->safe_psql('postgres', "SELECT pg_${way}_backend($pid)");
	is(finish($v), $by_one, "$way: who waits is served");
	is(runs($way), 2, "$way: by a second load");
	is($way eq 'cancel' ? finish($u) =~ s/:.*//sr : '57014', '57014', "$way: the first one");
	leave($v);
}

# An early refresh that is cancelled: the others do not go without for a minute.
put_file("$dir/early.json", $one);
put_file("$dir/early.seconds", '0');
$node->safe_psql('postgres', "CREATE SERVER early FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'echo >> $dir/early.runs; sleep \$(cat $dir/early.seconds); cat $dir/early.json')");
add_command('unknown', 0, file => "$dir/other.json");
my $by_other = ask($t, use_of('unknown'));
my ($refresher) = processes($node, 'pseudo refresher');
my $open = "SELECT pseudo.try_reidentify('$by_other', keyring => 'early')";
for my $way ('with the refresher', 'without')
{
	my $u = session($node);

	kill 'STOP', $refresher if $way eq 'without';
	is(ask($_, use_of('early') . " = '$by_one'"), 't', "an early refresh that is cancelled, $way: the keys are there") for $t, $u;
	put_file("$dir/early.json", $both);
	put_file("$dir/early.seconds", '0.7');
	my $runs = runs('early');
	like(ask($u, "SET statement_timeout = '300ms'; $open"), qr/^57014: /, "an early refresh that is cancelled, $way: it is");
	like(ask($u, use_of('early')), qr/^\Q$by_one\E$/, "an early refresh that is cancelled, $way: the keys serve");
	put_file("$dir/early.seconds", '0');
	if ($way eq 'without')
	{
		is($node->safe_psql('postgres', $open), 'x', "an early refresh that is cancelled, $way: the next session that wants it has it");
	}
	else
	{
		my $until = time + 60;
		sleep 0.1 while runs('early') < $runs + 2 && time < $until;
		is(runs('early'), $runs + 2, "an early refresh that is cancelled, $way: which takes it on");
		$node->poll_query_until('postgres', "SELECT cardinality(key_ids) = 2 FROM pseudo.pseudo_keyrings WHERE name = 'early'") or die 'no key';
	}
	is(ask($_, $open), 'x', "an early refresh that is cancelled, $way: all have the key") for $u, $t;
	is(runs('early'), $runs + 2, "an early refresh that is cancelled, $way: by one load");
	kill 'CONT', $refresher if $way eq 'without';
	put_file("$dir/early.json", $one);
	ask($t, "SELECT pseudo.pseudo_refresh_keyring('early')");
	leave($u);
}

#
# Revocation
#

# A refusal that pseudo_refresh_keyring() meets drops the keys of all sessions.
answers(secret($one));
$name = add_aws;
my @sessions = ($s, $t, session($node));
is(ask($_, use_of($name)), $by_one, 'refusal: the keys are there') for @sessions;
answers(aws_error('AccessDeniedException', 'no'));
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_refresh_keyring('$name')"), qr/^42501: /, 'refusal: pseudo_refresh_keyring() is told');
like(ask($_, use_of($name)), qr/^42501: /, 'refusal: no session has keys') for @sessions;
answers(secret($other));
$node->poll_query_until('postgres', use_of($name), $by_other);
is(ask($_, use_of($name)), $by_other, 'refusal: and when the policy is back, all have the new ones') for @sessions;

# pseudo_refresh_keyring() and a new key reach all, without another request.
answers(secret($one));
is($node->safe_psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('$name') IS NULL"), 'f', 'pseudo_refresh_keyring: done');
like(ask($_, use_of($name)), qr/^\Q$by_one\E$/m, 'pseudo_refresh_keyring: all have the new version') for @sessions;
is($endpoint->count, 1, 'pseudo_refresh_keyring: one request');
my $made = add_keyring($node, 'made', undef);
ask($s, "SELECT pseudo.pseudo_create_key('made')");
my $first = ask($s, use_of('made'));
is(ask($t, use_of('made')), $first, 'a new key: for all');
ask($s, "SELECT pseudo.pseudo_create_key('made', make_primary => true)");
isnt(ask($t, use_of('made')), $first, 'a new primary key: for all');
is(ask($t, use_of('made')), ask($s, use_of('made')), 'a new primary key: the same one');
ask($s, "SELECT pseudo.pseudo_set_key_status('made', 1, 'disabled')");
like(ask($t, "SELECT pseudo.reidentify('$first', keyring => 'made')"), qr/^22023|^55000|disabled/, 'a disabled key: for all');

# A document that is none, and an empty one, replace nothing.
for my $bad ('{"version": 1}', '{}')
{
	answers(secret($bad, 'bad'));
	like($node->psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('$name')", on_error_stop => 0) // 3, qr/^\d$/, 'a bad document: asked for');
	is(ask($_, use_of($name)), $by_one, 'a bad document: the old keys serve') for $s, session($node);
}

# stale_limit, for all.
answers(secret($one));
$name = add_aws(refresh_interval => '1s', stale_limit => '2s', timeout => '1s');
is(ask($_, use_of($name)), $by_one, 'stale_limit: the keys are there') for @sessions;
answers({ close => 1 });
$until = time + 60;
do { sleep 0.2; $said = ask($s, use_of($name)) } while ($said eq $by_one && time < $until);
like($said, qr/^08\w{3}: /, 'stale_limit: over');
like(ask($_, use_of($name)), qr/^08\w{3}: /, 'stale_limit: for all') for @sessions;

# REVOKE and DROP SERVER count at once, whatever the server has.
$node->safe_psql('postgres', "CREATE ROLE etl LOGIN; GRANT USAGE ON SCHEMA pseudo TO etl; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO etl; GRANT USAGE ON FOREIGN SERVER slow TO etl");
ask($t, 'SET SESSION AUTHORIZATION etl');
is(ask($t, use_of('slow')), $by_one, 'USAGE: granted');
$node->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER slow FROM etl');
like(ask($t, use_of('slow')), qr/^42501: /, 'USAGE: revoked');
ask($t, 'RESET SESSION AUTHORIZATION');
my $before = runs('slow');
$node->safe_psql('postgres', 'DROP SERVER slow');
like(ask($s, use_of('slow')), qr/^42704: /, 'a dropped server');
add_command('slow', 0);
is(ask($s, use_of('slow')), $by_one, 'a server that is made anew');
is(runs('slow'), $before + 1, 'a server that is made anew: is loaded');
add_command('again', 0, file => "$dir/one.json #");
is(ask($s, use_of('again')), $by_one, 'ALTER SERVER: before');
$node->safe_psql('postgres', "ALTER SERVER again OPTIONS (ADD refresh_interval '30min')");
is(ask($_, use_of('again')), $by_one, 'ALTER SERVER: the keys serve') for @sessions;
is(runs('again'), 2, 'ALTER SERVER: loaded by one session');

# An ALTER SERVER counts when it is committed, for all; nothing that is rolled back costs anybody a load.  Its own transaction sees at
# once what is in the store.
put_file("$dir/changing.json", $one);
add_command('changing', 0, file => "$dir/changing.json");
my $alter = "ALTER SERVER changing OPTIONS (SET refresh_interval '25min')";
ask($s, "ALTER SERVER changing OPTIONS (ADD refresh_interval '30min')");
is(ask($_, use_of('changing')), $by_one, 'ALTER SERVER, when: the keys are there') for @sessions;
$before = runs('changing');
put_file("$dir/changing.json", $other);
ask($s, "BEGIN; $alter; ROLLBACK") for 1 .. 3;
ask($s, "BEGIN; SAVEPOINT a; $alter; ROLLBACK TO a; COMMIT");
ask($s, "BEGIN; SAVEPOINT a; $alter; SAVEPOINT b; $alter; ROLLBACK TO b; ROLLBACK TO a; GRANT USAGE ON SCHEMA pseudo TO etl; COMMIT");
like(ask($s, 'BEGIN; CREATE SERVER same_again FOREIGN DATA WRAPPER pseudo OPTIONS (provider \'command\', command ' .
	$node->safe_psql('postgres', q{SELECT quote_literal(substr(o, 9)) FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = 'changing' AND o LIKE 'command=%'}) .
	'); SELECT 1; ROLLBACK'), qr/^1$/, 'CREATE SERVER rolled back: it was right');
is(ask($_, use_of('changing')), $by_one, 'ALTER SERVER rolled back: the keys are as they were') for @sessions;
is(runs('changing'), $before, 'ALTER SERVER rolled back: nobody loads them');
is(ask($s, "BEGIN; $alter; " . use_of('changing')), $by_other, 'ALTER SERVER in a transaction: it sees what is in the store');
is(ask($s, use_of('changing')), $by_other, 'ALTER SERVER in a transaction: ... again');
is(runs('changing'), $before + 1, 'ALTER SERVER in a transaction: by one load');
put_file("$dir/changing.json", $one);
is(ask($s, "SAVEPOINT a; $alter; " . use_of('changing')), $by_one, 'ALTER SERVER in a subtransaction: it sees what is in the store');
put_file("$dir/changing.json", $other);
is(ask($s, 'ROLLBACK TO a; ' . use_of('changing')), $by_one, 'ALTER SERVER in a subtransaction: rolled back');
ask($s, 'ROLLBACK');
is(ask($_, use_of('changing')), $by_one, 'ALTER SERVER in a transaction: what it has loaded, all have') for @sessions;
is(runs('changing'), $before + 2, 'ALTER SERVER in a transaction: nothing after it was rolled back');
ask($s, "BEGIN; SAVEPOINT a; $alter; RELEASE a");
is(ask($t, use_of('changing')), $by_one, 'ALTER SERVER in a transaction: others have nothing to load before it is committed');
ask($s, 'COMMIT');
is(ask($_, use_of('changing')), $by_other, 'ALTER SERVER committed: all see what is in the store') for $t, @sessions;
is(runs('changing'), $before + 3, 'ALTER SERVER committed: by one load');
# Another server of the same secret that is made anew, also right after one that was dropped.
sub same_again
{
	return "CREATE SERVER again FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'echo >> $dir/changing.runs; sleep 0; cat $dir/changing.json')";
}
for ([ 'CREATE SERVER', same_again() ], [ 'DROP and CREATE SERVER', 'DROP SERVER again; ' . same_again() ],
	[ 'DROP and CREATE SERVER in a transaction', 'BEGIN; DROP SERVER again; ' . same_again() . '; COMMIT' ])
{
	my ($what, $sql) = @$_;
	my $now = ask($s, use_of('changing')) eq $by_one ? $other : $one;

	put_file("$dir/changing.json", $now);
	$node->safe_psql('elsewhere', $sql);
	is(ask($_, use_of('changing')), $now eq $one ? $by_one : $by_other, "$what elsewhere: all see what is in the store") for @sessions;
	is($node->safe_psql('elsewhere', use_of('again')), $now eq $one ? $by_one : $by_other, "$what elsewhere: there, too");
}
$node->safe_psql('elsewhere', 'DROP SERVER again');

#
# Nobody names their way to somebody else's keys
#

$node->safe_psql('postgres', "CREATE ROLE tenant LOGIN; GRANT USAGE ON SCHEMA pseudo TO tenant; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO tenant; GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO tenant; GRANT CREATE ON DATABASE postgres TO tenant");
my $tenant = session($node);
ask($tenant, 'SET SESSION AUTHORIZATION tenant');
my $command = $node->safe_psql('postgres', q{SELECT quote_literal(substr(o, 9)) FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = 'slow' AND o LIKE 'command=%'});
like(ask($tenant, "CREATE SERVER mine FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command $command)"), qr/^42501: /, 'attack: the options of a warm keyring');
like(ask($tenant, "CREATE SERVER mine FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$dir/one.json')"), qr/^42501: /, 'attack: a file');
like(ask($tenant, use_of('slow')), qr/^42501: /, 'attack: without USAGE');
like(ask($tenant, "SELECT pseudo.pseudo_refresh_keyring('slow')"), qr/^42501: /, 'attack: a refresh');
# An owner without the provider's right has the three times, and no other's keys.
$node->safe_psql('postgres', "CREATE SERVER mine FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'cat $dir/other.json'); ALTER SERVER mine OWNER TO tenant");
my $mine = ask($tenant, use_of('mine'));
isnt($mine, $by_one, 'attack: the tenant has keys of their own');
like(ask($tenant, "ALTER SERVER mine OPTIONS (SET command $command)"), qr/^42501: /, 'attack: ALTER SERVER');
is(ask($tenant, "ALTER SERVER mine OPTIONS (ADD refresh_interval '1s', ADD stale_limit '30d', ADD timeout '300s')"), '', 'attack: the times');
is(ask($tenant, use_of('mine')), $mine, 'attack: the times change no keys');
# An identity is all options, each with its length: no value can look like another one.
$before = runs('slow');
my $plain = $command =~ s/^'|'$//gr;
for my $look (" $plain", "$plain ", "$plain 8:provider7:command")
{
	$node->safe_psql('postgres', "DROP SERVER IF EXISTS looks; CREATE SERVER looks FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command '$look')");
	ask($s, use_of('looks'));
	is(runs('slow'), ++$before, 'identity: another command is another keyring');
}
# What a tenant's own server does to the keys does not do it to others: dropped in an outage, they serve on.
answers(secret($one));
$name = add_aws;
is(ask($s, use_of($name)), $by_one, 'outage: the keys are there');
answers({ close => 1 });
$node->safe_psql('elsewhere', "CREATE SERVER brief FOREIGN DATA WRAPPER pseudo OPTIONS (endpoint '" . $endpoint->url . "', secret_id '$name', provider 'aws', timeout '1s')");
$node->safe_psql('elsewhere', 'DROP SERVER brief');
like(ask($_, use_of($name)), qr/^\Q$by_one\E$/m, 'outage: a server of the same secret that is dropped elsewhere takes no keys away') for $s, $t;
# Nor does it with a DROP SERVER that is rolled back, which can be had again and again.
sub elsewhere { return "CREATE SERVER brief FOREIGN DATA WRAPPER pseudo OPTIONS (endpoint '" . $endpoint->url . "', secret_id '$name', provider 'aws', timeout '1s')" }
answers(secret($one));
$name = add_aws;
$tenant = session($node, 'elsewhere');
ask($tenant, elsewhere());
is(ask($tenant, use_of('brief')), $by_one, 'DROP SERVER rolled back: the keys are there');
answers({ close => 1 });
like(ask($tenant, "BEGIN; DROP SERVER brief; SAVEPOINT s; " . use_of('brief')), qr/^42704: /, 'DROP SERVER rolled back: dropped in the transaction');
ask($tenant, 'ROLLBACK');
is(ask(my $new = session($node), use_of($name)), $by_one, 'DROP SERVER rolled back: others have the keys');
leave($new);
# No session that was idle meanwhile brings back what has been replaced or refused, when a server of the same secret is dropped.
answers(secret($one));
$name = add_aws;
is(ask($tenant, 'DROP SERVER brief; ' . elsewhere()), '', 'a server dropped elsewhere: there is one');
is(ask($_, use_of($name)), $by_one, 'a server dropped elsewhere: the first version') for $s, $t;
answers(secret($other, 'second'));
ask($s, "SELECT pseudo.pseudo_refresh_keyring('$name')");
$by_other = ask($s, use_of($name));
isnt($by_other, $by_one, 'a server dropped elsewhere: the second version');
ask($tenant, 'DROP SERVER brief');
is(ask($_, use_of($name)), $by_other, 'a server dropped elsewhere: an idle session does not bring the first version back') for $t, $s;
ask($tenant, elsewhere());
is(ask($_, use_of($name)), $by_other, 'a server dropped elsewhere: the keys are there') for $t, $s;
answers(aws_error('AccessDeniedException', 'no'));
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring('$name')"), qr/^42501: /, 'a server dropped elsewhere: the keys are refused');
ask($tenant, 'DROP SERVER brief');
like(ask($_, use_of($name)), qr/^42501: /, 'a server dropped elsewhere: an idle session does not bring refused keys back') for $t, $s;
leave($tenant);

#
# Slots
#

# More ALTER SERVERs than there are slots: each frees the one before.
my $log = -s $node->logfile;
is(ask($s, qq{DO \$do\$ BEGIN FOR i IN 1 .. 300 LOOP EXECUTE format('ALTER SERVER quick OPTIONS (SET command %L)', 'cat $dir/one.json #' || i); COMMIT; PERFORM pseudo.pseudonymize('x', true, '', 'quick'); COMMIT; END LOOP; END \$do\$}), '', 'many ALTER SERVERs');
unlike(slurp_file($node->logfile, $log), qr/there is no room/, 'many ALTER SERVERs: each frees the slot of the one before');
# More keyrings than there are slots: each session loads the others for itself.
$node->safe_psql('postgres', 'CREATE DATABASE brief');
$node->safe_psql('brief', 'CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo');
for (
	[ 'postgres', q{DO $do$ BEGIN FOR i IN 1 .. 200 LOOP EXECUTE format('DROP SERVER many_%s', i); END LOOP; END $do$} ],
	[ 'brief', 'DROP DATABASE brief' ])
{
	my ($database, $end) = @$_;
	my @both = map { session($node, $database) } 1 .. 2;

	ask($both[0], qq{DO \$do\$ BEGIN FOR i IN 1 .. 200 LOOP EXECUTE format('CREATE SERVER many_%s FOREIGN DATA WRAPPER pseudo OPTIONS (provider ''file'', path %L)', i, '$dir/' || repeat('./', i) || 'one.json'); END LOOP; END \$do\$});
	is(ask($_, "SELECT count(*) FROM generate_series(1, 200) i WHERE pseudo.pseudonymize('x', true, '', 'many_' || i) = '$by_one'"), '200', "more keyrings than there is room for, $database: all serve") for @both;
	add_command("beside_$database", 0);
	is($node->safe_psql('postgres', use_of("beside_$database")), $by_one, "more keyrings than there is room for, $database: beside them") for 1 .. 2;
	is(runs("beside_$database"), 2, "more keyrings than there is room for, $database: ... loaded by each");
	leave($_) for @both;
	$node->safe_psql('postgres', $end);
	add_command("after_$database", 0);
	is($node->safe_psql('postgres', use_of("after_$database")), $by_one, "more keyrings than there is room for, $database: when they are dropped, there is room") for 1 .. 3;
	is(runs("after_$database"), 1, "more keyrings than there is room for, $database: ... one load for all");
}
my $times = () = slurp_file($node->logfile, $log) =~ /there is no room/g;
is($times, 1, 'more keyrings than there is room for: said once');

leave($_) for @sessions;
$node->stop;
done_testing();
