# Limits: as many values as they say, whoever asks in whatever way, over all sessions, databases and restarts.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('limits', "shared_preload_libraries = 'pseudo'\nmax_parallel_workers_per_gather = 0\nrestart_after_crash = on\nmax_worker_processes = 16\nmax_parallel_workers = 8\n");
my $keys = '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $folder = $node->data_dir;

# Each keyring has a file of its own, since the same secret is counted together.
add_keyring($node, $_, $keys) for qw(pseudo plain);
$node->safe_psql('postgres', q(
	CREATE ROLE officer LOGIN; CREATE ROLE analyst LOGIN; CREATE ROLE second LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats; CREATE ROLE free LOGIN;
	GRANT officer, free TO analyst;
	GRANT USAGE ON SCHEMA pseudo TO officer, analyst, second, watcher, free; GRANT USAGE, CREATE ON SCHEMA public TO officer, analyst, second, free;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer, analyst, second, free;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer, free;
	ALTER ROLE analyst SET search_path = public, pseudo; ALTER ROLE second SET search_path = public, pseudo;
	CREATE TABLE many AS SELECT n, pseudo.pseudonymize(n::text, true) AS p FROM generate_series(1, 3000) n;
	ANALYZE many; ALTER TABLE many SET (parallel_workers = 2); GRANT SELECT ON many TO PUBLIC));

my $admin = session($node);
ask($admin, 'SET search_path = public, pseudo');
my $d = ask($admin, 'SELECT p FROM many WHERE n = 1');

# A new keyring with options, which all may use.
my $made = 0;

sub keyring
{
	my (%options) = @_;
	my $name = 'k' . ++$made;

	add_keyring($node, $name, $keys, %options);
	ask($admin, "GRANT USAGE ON FOREIGN SERVER $name TO officer, analyst, second, free");
	return $name;
}

# A session of a role that has logged in.
sub session_of
{
	my ($role, $database) = @_;
	local $ENV{PGUSER} = $role;
	my $s = session($node, $database);

	ask($s, "SET search_path = public, pseudo");
	return $s;
}

# How many pseudonyms a session can open, one by one, of up to a number; $call says how.
sub can_open
{
	my ($s, $keyring, $most, $call) = @_;
	my $n = 0;

	$call //= sub { "reidentify('$d', keyring => '$_[0]')" };
	for (1 .. $most)
	{
		my $said = ask($s, 'SELECT ' . $call->($keyring));
		if ($said ne '1') { diag($said) unless $said =~ /^53400/; last }
		$n++;
	}
	return $n;
}
my $analyst = session_of('analyst');

#
# What the options say.
#
for my $case (
	[ q(reidentify_limit '10') ], [ q(reidentify_limit '10/x') ], [ q(reidentify_limit '-1/h') ], [ q(reidentify_limit '1/h 2') ], [ q(reidentify_limit '') ], [ q(reidentify_limit '99999999999999/h') ],
	[ q(reidentify_limits 'desk') ], [ q(reidentify_limits 'desk=') ], [ q(reidentify_limits 'desk=1/h,') ], [ q(reidentify_limits 'desk=1/h, desk=2/h') ], [ q(reidentify_limits '"desk=1/h') ], [ q(reidentify_limits '=1/h') ],
	[ q(pseudonymize_limit 'none') ], [ q(pseudonymize_limits 'a b=1/h') ], [ q(audit 'yes') ], [ q(audit_pseudonyms 'maybe') ], [ q(purpose 'yes') ])
{
	my ($option) = @$case;
	my ($name) = $option =~ /^(\w+)/;
	like(ask($admin, "CREATE SERVER bad FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '/tmp/x', $option)"), qr/^22023: invalid value for option "$name"$/, "refused: $option");
}
is(ask($admin, q(CREATE SERVER good FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '/tmp/x', reidentify_limit ' 10 / min ', reidentify_limits 'Desk=1/s , "a=""b, c" = 2/d, x=off', pseudonymize_limits 'y=0/h', audit 'log', audit_pseudonyms 'on', purpose 'optional'); DROP SERVER good)), '', 'taken');

# They are the owner's, who needs no right to set the keyring's own.
ask($admin, "CREATE ROLE owner LOGIN; GRANT USAGE ON SCHEMA pseudo TO owner; ALTER SERVER plain OWNER TO owner");
my $owner = session_of('owner');
is(ask($owner, q(ALTER SERVER plain OPTIONS (ADD reidentify_limit '5/h'); ALTER SERVER plain OPTIONS (ADD audit 'log', ADD purpose 'required'))), '', 'the owner sets them');
like(ask($owner, q(ALTER SERVER plain OPTIONS (SET path '/tmp/y'))), qr/^42501/, '... but not the file');
like(ask($analyst, q(ALTER SERVER plain OPTIONS (DROP reidentify_limit))), qr/^42501: must be owner of foreign server plain/, 'nobody else does');
like(ask($analyst, q(CREATE USER MAPPING FOR analyst SERVER plain OPTIONS (reidentify_limit '9/h'))), qr/^HV00D|^42501/, 'nor by a user mapping');
leave($owner);

#
# One limit, and what it says.
#
my $k = keyring(reidentify_limit => '3/h');
is(can_open($analyst, $k, 5), 3, 'as many as the limit');
$analyst->{err} = '';
ask($analyst, "SELECT reidentify('$d', keyring => '$k')");
like($analyst->{err}, qr/ERROR:  53400: role "analyst" has reached the limit of keyring "$k"\n.*DETAIL:  The limit is 3 pseudonyms to be opened per h\.\n.*HINT:  It begins anew at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d/s, 'the error says when');
is(ask($admin, qq(SELECT role, keyring, operation, quota, used, "left", until - now() BETWEEN '50min' AND '1h' FROM pseudo_limits)), "analyst|$k|reidentify|3/h|3|0|t", 'pseudo_limits');
is(ask($analyst, 'SELECT count(*) FROM pseudo_limits'), '1', 'pseudo_limits: one sees their own');
my $second = session_of('second');
is(ask($second, 'SELECT count(*) FROM pseudo_limits'), '0', 'pseudo_limits: and nobody else\'s');
my $watcher = session_of('watcher');
is(ask($watcher, 'SELECT count(*) FROM pseudo_limits'), '1', 'pseudo_limits: but members of pg_read_all_stats do');
leave($watcher);
is(can_open($second, $k, 5), 3, 'each role has its own');
like(ask($analyst, "SELECT reidentify_array('{$d}', keyring => '$k')"), qr/^53400/, 'no array');
like(ask($analyst, qq(SELECT reidentify_json('{"k": "$d"}'::jsonb, '{k}', keyring => '$k'))), qr/^53400/, 'no jsonb');
like(ask($analyst, qq(SELECT reidentify_json('{"k": "$d"}'::json, '{k}', keyring => '$k'))), qr/^53400/, 'no json');
like(ask($analyst, "SELECT try_reidentify('$d', keyring => '$k')"), qr/^53400/, 'no try_reidentify: an error, not NULL');
like(ask($analyst, "SELECT try_reidentify_array('{$d}', keyring => '$k')"), qr/^53400/, 'no try_reidentify_array');
like(ask($analyst, "EXPLAIN SELECT n FROM many WHERE p < reidentify('$d', keyring => '$k')"), qr/^53400/, 'no EXPLAIN, which opens a constant');
is(ask($analyst, "SELECT pseudonymize('1', true, keyring => '$k') = '$d'"), 't', 'pseudonymize has limits of its own');

$k = keyring(reidentify_limit => '5/h');
like(ask($analyst, "SELECT reidentify_array('{$d,$d,$d,$d,$d,$d}', keyring => '$k')"), qr/^53400/, 'an array that is too large: refused as a whole');
is(can_open($analyst, $k, 9), 5, '... and nothing was charged');
$k = keyring(reidentify_limit => '3/h');
is(ask($analyst, "SELECT count(try_reidentify(x, keyring => '$k')) FROM (SELECT 'none' FROM generate_series(1, 50)) v (x)"), '0', 'what does not open');
is(can_open($analyst, $k, 9), 3, '... is not charged');
$k = keyring(reidentify_limit => '0/h');
is(can_open($analyst, $k, 1), 0, 'none');
$k = keyring(reidentify_limit => '3/s');
is(can_open($analyst, $k, 3), 3, 'a second');
ask($analyst, 'SELECT pg_sleep(1.1)');
is(can_open($analyst, $k, 1), 1, '... and the next one');
$k = keyring(reidentify_limit => '200/s');
my $bad = "array_fill(overlay('$d' placing 'AAAA' from 13), ARRAY[64])";
ask($analyst, "SELECT try_reidentify_array($bad, keyring => '$k')");
for (1 .. 3)
{
	is(ask($analyst, "SELECT array_length(try_reidentify_array(CASE WHEN n = 2 THEN '{$d}' WHEN n = 3 AND pg_sleep(1.1) IS NULL THEN NULL ELSE $bad END, keyring => '$k'), 1) FROM generate_series(1, 3) n"), "64\n1\n64", 'what does not open, when a second is over');
	is(ask($admin, 'SELECT count(*) FROM pseudo_limits WHERE used < 0'), '0', '... gives nothing back to the next one');
}
$k = keyring(reidentify_limit => '10/h');
ask($analyst, "BEGIN; SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= 4; ROLLBACK");
is(can_open($analyst, $k, 20), 6, 'ROLLBACK gives nothing back');
$k = keyring(reidentify_limit => '10/h');
ask($analyst, "BEGIN; DECLARE c CURSOR FOR SELECT reidentify(p, keyring => '$k') FROM many; FETCH 4 FROM c; CLOSE c; COMMIT; PREPARE q AS SELECT reidentify('$d', keyring => '$k'); EXECUTE q; EXECUTE q");
is(can_open($analyst, $k, 20), 4, 'a cursor, and what was prepared');
$k = keyring(reidentify_limit => '640/h');
ask($analyst, "SELECT count(reidentify(p, keyring => '$k') || 1 / (n - 100)) FROM many");
is(ask($admin, "SELECT used FROM pseudo_limits WHERE keyring = '$k'"), '100', 'an error gives back what was not used');

# Two keyrings by turns, of which one asks for nothing: a call site needs no more memory for each change.
$k = keyring(reidentify_limit => '1000000/h');
my $plain = keyring();
ask($admin, 'GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts TO analyst; GRANT SELECT ON pg_backend_memory_contexts TO analyst');
ask($analyst, "SELECT reidentify('$d', keyring => '$k'); BEGIN; DECLARE c CURSOR FOR SELECT reidentify('$d', '', CASE WHEN n % 2 = 0 THEN '$k' ELSE '$plain' END) FROM generate_series(1, 100000) n; MOVE 10 FROM c");
my $bytes = ask($analyst, 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts');
is(ask($analyst, 'MOVE 50000 FROM c; FETCH c'), '1', 'two keyrings by turns');
cmp_ok(ask($analyst, 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts') - $bytes, '<', 4000000, '... need no more memory for each turn');
ask($analyst, 'COMMIT');

#
# Nobody gets one more by being another.
#
$k = keyring(reidentify_limits => 'analyst=3/h, second=3/h');
is(can_open($analyst, $k, 5), 3, 'by name');
is(ask($admin, "SET ROLE officer; SELECT count(pseudo.reidentify(p, keyring => '$k')) FROM many; RESET ROLE"), '3000', 'who is not named has none');
ask($analyst, 'SET ROLE officer');
is(can_open($analyst, $k, 1), 0, 'SET ROLE');
ask($analyst, 'SET ROLE free');
is(can_open($analyst, $k, 1), 0, 'SET ROLE to another');
ask($analyst, 'RESET ALL; RESET ROLE; SET search_path = public, pseudo');
is(can_open($analyst, $k, 1), 0, 'RESET ALL');
ask($admin, qq(SET ROLE officer; CREATE FUNCTION definer(p text, k text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN RETURN pseudo.reidentify(p, keyring => k); END \$\$;
	CREATE VIEW shown WITH (security_barrier) AS SELECT n, pseudo.reidentify_as('officer', p, '', '$k') AS v FROM many; GRANT SELECT ON shown TO PUBLIC; RESET ROLE));
is(can_open($analyst, $k, 1, sub { "definer('$d', '$_[0]')" }), 0, 'SECURITY DEFINER');
is(can_open($analyst, $k, 1, sub { '(SELECT v FROM shown WHERE n = 1)' }), 0, 'a view');
ask($analyst, qq(SET ROLE free; CREATE FUNCTION of_free(p text, k text) RETURNS text LANGUAGE sql AS \$\$ SELECT pseudo.reidentify(p, keyring => k) \$\$; RESET ROLE));
is(can_open($analyst, $k, 1, sub { "of_free('$d', '$_[0]')" }), 0, 'a function of another');
$analyst->{run}->kill_kill;
for my $options ('-c pseudo.purpose=x', '-c role=free')
{
	local $ENV{PGOPTIONS} = $options;
	my (undef, undef, $said) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pseudo.reidentify('$d', keyring => '$k')", extra_params => [ '-U', 'analyst' ]);
	like($said, qr/53400: role "analyst"/, "options=$options");
}
ask($admin, "ALTER ROLE analyst SET role = 'free'");
my (undef, undef, $said) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pseudo.reidentify('$d', keyring => '$k')", extra_params => [ '-U', 'analyst' ]);
like($said, qr/53400: role "analyst"/, 'ALTER ROLE ... SET role');
ask($admin, 'ALTER ROLE analyst RESET role');
ask($admin, 'ALTER ROLE analyst RENAME TO renamed');
my $renamed = session_of('renamed');
is(can_open($renamed, $k, 1), 0, 'a role that was renamed');
leave($renamed);
ask($admin, 'ALTER ROLE renamed RENAME TO analyst');
is(ask($admin, "SET SESSION AUTHORIZATION analyst; SELECT pseudo.reidentify('$d', keyring => '$k')") =~ /^53400/, 1, 'SET SESSION AUTHORIZATION to who has used it up');
ask($admin, 'RESET SESSION AUTHORIZATION; SET search_path = public, pseudo');
my $superuser = ask($admin, 'SELECT session_user');
$k = keyring(reidentify_limits => "$superuser=2/h");
ask($admin, "SET SESSION AUTHORIZATION free; SELECT reidentify('$d', keyring => '$k') FROM generate_series(1, 2)");
is(ask($admin, "SELECT reidentify('$d', keyring => '$k')") =~ /^53400: role "\Q$superuser"/, 1, 'SET SESSION AUTHORIZATION is charged to who logged in');
ask($admin, 'RESET SESSION AUTHORIZATION; SET search_path = public, pseudo');

# A pool logs in as a role without a limit.
ask($admin, 'CREATE ROLE pool LOGIN; GRANT analyst TO pool; GRANT USAGE ON SCHEMA pseudo TO pool');
$k = keyring(reidentify_limit => '3/h', reidentify_limits => 'pool=off, officer=off');
my $pool = session_of('pool');
ask($pool, 'SET ROLE analyst');
is(can_open($pool, $k, 5, sub { "definer('$d', '$_[0]')" }), 3, 'a pool: SET ROLE, and SECURITY DEFINER of a role without a limit');
is(ask($admin, "SELECT string_agg(role, ',') FROM pseudo_limits WHERE keyring = '$k'"), 'analyst', '... charged to the role that was set');
$k = keyring(reidentify_limit => '3/h', reidentify_limits => 'pool=off, officer=off');
ask($admin, 'GRANT second TO pool');
is(ask($pool, "DO \$\$ DECLARE x text; BEGIN SET ROLE second; x := definer('$d', '$k'); SET ROLE analyst; FOR i IN 1 .. 4 LOOP x := definer('$d', '$k'); END LOOP; END \$\$"), qq(53400: role "analyst" has reached the limit of keyring "$k"), 'a pool: SET ROLE in the middle of a statement');
is(ask($admin, "SELECT string_agg(role || ' ' || used, ', ' ORDER BY role) FROM pseudo_limits WHERE keyring = '$k'"), 'analyst 3, second 1', '... each is charged for what it asked for');
leave($pool);

# The same secret in a second server, and in a second database.
$k = keyring(reidentify_limit => '4/h');
$analyst = session_of('analyst');
is(can_open($analyst, $k, 2), 2, 'a server');
ask($admin, "CREATE SERVER again FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$folder/$k.json', timeout '7s', reidentify_limit '4/h'); GRANT USAGE ON FOREIGN SERVER again TO analyst");
is(can_open($analyst, 'again', 1), 1, 'a second server of the same secret');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', "CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo; GRANT USAGE ON SCHEMA pseudo TO analyst; GRANT EXECUTE ON FUNCTION pseudo.reidentify TO analyst; CREATE SERVER $k FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$folder/$k.json', reidentify_limit '4/h'); GRANT USAGE ON FOREIGN SERVER $k TO analyst");
my $elsewhere = session_of('analyst', 'other');
is(can_open($elsewhere, $k, 5), 1, 'a second database');
leave($elsewhere);
is(can_open($analyst, $k, 1), 0, '... none is left');
ask($admin, "ALTER SERVER $k OPTIONS (SET reidentify_limit '6/h')");
is(can_open($analyst, $k, 5), 2, 'the owner raises it: what was used counts');
ask($admin, "ALTER SERVER $k OPTIONS (DROP reidentify_limit); ALTER SERVER $k OPTIONS (ADD reidentify_limit '6/h')");
is(can_open($analyst, $k, 1), 0, 'nor does it begin anew');
ask($admin, "DROP SERVER again; DROP SERVER $k; CREATE SERVER $k FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$folder/$k.json', reidentify_limit '6/h'); GRANT USAGE ON FOREIGN SERVER $k TO analyst");
is(can_open($analyst, $k, 1), 0, 'a server that was made anew');

#
# Exact over sessions and workers.
#
$k = keyring(reidentify_limit => '1000/h', audit => 'file');
my @sessions = map { my $s = session_of('analyst'); ask($s, 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off'); $s } 1, 2;
like(ask($sessions[0], "EXPLAIN (COSTS OFF) SELECT count(reidentify(p, keyring => '$k')) FROM many"), qr/Workers Planned: 2/, 'workers');
for my $upto (300, 3000, 600, 40, 7, 3, 1)
{
	$_->{in} .= "SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= $upto;\n" for @sessions;
	$_->{run}->pump_nb for @sessions;
	ask($_, 'SELECT 1') for @sessions;
}
can_open($analyst, $k, 1000);
is(ask($admin, "SELECT used FROM pseudo_limits WHERE keyring = '$k'"), '1000', 'two sessions with two workers each: the limit is used up');
is(ask($admin, q(SELECT sum(n) FROM (SELECT coalesce(max((r ->> 'opened')::int), max((r ->> 'up_to')::int)) AS n FROM pseudo_audit_records() r WHERE r ->> 'event' <> 'admin' GROUP BY r ->> 'call') x)), '1000', '... and as many were opened');
like(ask($admin, q(SELECT count(DISTINCT r ->> 'pid') FROM pseudo_audit_records() r WHERE r ->> 'leader_pid' IS NOT NULL)), qr/^[1-9]/, '... by workers, too');
like(ask($_, "SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= 1"), qr/^53400/, '... and no more') for @sessions;

# The same, one that counts what it gets: values are committed as they come.
$k = keyring(reidentify_limit => '1000/h');
ask($admin, 'CREATE UNLOGGED TABLE got (v text); GRANT ALL ON got TO analyst');
my $loop = "DO \$\$ BEGIN LOOP INSERT INTO got SELECT reidentify(p, keyring => '$k') FROM many WHERE n <= 3; COMMIT; END LOOP; END \$\$;\n";
$_->{in} .= $loop for @sessions;
$_->{run}->pump_nb for @sessions;
ask($_, 'SELECT 1') for @sessions;
while (ask($analyst, "INSERT INTO got SELECT reidentify('$d', keyring => '$k')") !~ /^53400/) { }
my $got = ask($admin, 'SELECT count(*) FROM got');
cmp_ok($got, '<=', 1000, 'two sessions at once: never more than the limit');
cmp_ok($got, '>=', 1000 - 2 * 2, '... and all of it, but for what their last statements lost');
is(ask($admin, "SELECT used FROM pseudo_limits WHERE keyring = '$k'"), '1000', '... and what those lost is charged');
leave($_) for @sessions;

#
# To pseudonymize.
#
$k = keyring(pseudonymize_limit => '20/h');
is(ask($analyst, "SELECT count(pseudonymize('a', true, keyring => '$k')), count(pseudonymize('a', keyring => '$k')), count(pseudonymize_array('{a,b,NULL}', keyring => '$k')), count(pseudonymize_json('{\"k\": [1, \"a\"]}'::jsonb, '{k}', keyring => '$k')), count(pseudonyms_of('a', keyring => '$k')), count(repseudonymize('$d', keyring => '$k'))"), '1|1|1|1|1|1', 'pseudonymize: each function');
is(ask($admin, "SELECT used, operation FROM pseudo_limits WHERE keyring = '$k'"), '8|pseudonymize', 'pseudonymize: each value');
is(ask($analyst, "SELECT reidentify('$d', keyring => '$k') FROM generate_series(1, 30) LIMIT 1"), '1', 'pseudonymize: reidentify has none');
ask($admin, qq(CREATE TABLE inbox (v text); ALTER TABLE inbox OWNER TO officer; GRANT ALL ON inbox TO analyst; CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('v', 'deterministic=true', 'keyring=$k')));
is(ask($analyst, 'INSERT INTO inbox SELECT n::text FROM generate_series(1, 5) n'), '', 'the trigger');
is(ask($admin, "SELECT role, used FROM pseudo_limits WHERE keyring = '$k' ORDER BY role"), "analyst|13\nofficer|5", 'the trigger: charged to the writer, and to the owner whose rights it has');
like(ask($analyst, 'INSERT INTO inbox SELECT n::text FROM generate_series(1, 9) n'), qr/^53400: role "analyst"/, 'the trigger: the limit');
$k = keyring(pseudonymize_limit => '25/h');
ask($admin, 'CREATE TABLE stock AS SELECT n::text AS v FROM generate_series(1, 60) n; ALTER TABLE stock OWNER TO officer');
my $officer = session_of('officer');
like(ask($officer, "CALL pseudonymize_table('stock', '{v}', true, '', '$k', 10)"), qr/^53400: role "officer"/, 'pseudonymize_table: the limit');
is(ask($officer, 'SELECT status, sqlstate, values_converted FROM pseudo_progress'), 'failed|53400|20', 'pseudonymize_table: as far as whole batches go');
ask($admin, "ALTER SERVER $k OPTIONS (SET pseudonymize_limit '1000/h')");
ask($officer, "CALL pseudonymize_table('stock', '{v}', true, '', '$k', 10)");
is(ask($officer, "SELECT count(*) FROM stock WHERE reidentify(v, keyring => '$k') ~ '^[0-9]+\$'"), '60', 'pseudonymize_table: goes on later');
leave($officer);

#
# A crash, and an immediate stop: no more is left than before.
#
$k = keyring(reidentify_limit => '320/h');
is(ask($analyst, "SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= 25"), '25', 'before the stop');
$node->stop('immediate');
$node->start;
$_->{run}->kill_kill for $analyst, $second, $admin;
$admin = session($node);
ask($admin, 'SET search_path = public, pseudo');
my $used = ask($admin, "SELECT used FROM pseudo_limits WHERE keyring = '$k'");
cmp_ok($used, '>=', 25, 'an immediate stop: what was used is used');
cmp_ok($used, '<=', 35, '... and a chunk at most beside it');
$analyst = session_of('analyst');
is(can_open($analyst, $k, 320), 320 - $used, '... and the rest is left');
my $pid = ask($analyst, 'SELECT pg_backend_pid()');
crash($node, $pid);
$_->{run}->kill_kill for $analyst, $admin;
is($node->safe_psql('postgres', "SELECT used FROM pseudo.pseudo_limits WHERE keyring = '$k'"), '320', 'a crash: what was used is used');
$node->restart;
is($node->safe_psql('postgres', "SELECT used FROM pseudo.pseudo_limits WHERE keyring = '$k'"), '320', 'a restart');

# A clock that goes back: a limit begins anew a unit later, and not when the clock was wrong.
SKIP:
{
	my $why = no_shims();
	skip $why, 3 if $why;
	my $clock = compile_shim(PostgreSQL::Test::Utils::tempdir(), 'clock', <<'C');
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec now;
	(void) tz;
	clock_gettime(CLOCK_REALTIME, &now);
	tv->tv_sec = now.tv_sec + 864000;
	tv->tv_usec = now.tv_nsec / 1000;
	return 0;
}
C
	add_keyring($node, 'later', $keys, reidentify_limit => '3/s');
	$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER later TO analyst');
	$node->stop;
	{
		local $ENV{LD_PRELOAD} = $clock;
		$node->start;
		$analyst = session_of('analyst');
		is(ask($analyst, "SELECT count(reidentify(p, keyring => 'later')) FROM many WHERE n <= 3"), '3', 'ten days ahead');
		leave($analyst);
		$node->stop;
	}
	$node->start;
	$analyst = session_of('analyst');
	like(ask($analyst, "SELECT reidentify('$d', keyring => 'later')") . '|' . ask($analyst, "SELECT until < now() + interval '1min' FROM pseudo_limits WHERE keyring = 'later'"), qr/^(53400.*\|t|1\|t)$/, '... and back: at most a unit');
	ask($analyst, 'SELECT pg_sleep(1.1)');
	is(ask($analyst, "SELECT reidentify('$d', keyring => 'later')"), '1', '... after which it begins anew');
	leave($analyst);
}

# A file that is damaged: nothing opens.
$node->stop;
my $stored = slurp_file("$folder/pseudo_limits");
substr($stored, 20, 1) = chr(ord(substr($stored, 20, 1)) ^ 1);
open my $f, '>:raw', "$folder/pseudo_limits" or die;
print $f $stored;
close $f;
my $log = -s $node->logfile;
$node->start;
$analyst = session_of('analyst');
like(ask($analyst, "SELECT reidentify('$d', keyring => '$k')"), qr/^XX001: file "pseudo_limits" cannot be used, and the keyring has a limit$/, 'a damaged file: nothing opens');
like(slurp_file($node->logfile, $log), qr/LOG:  file "pseudo_limits" cannot be used: keyrings with limits open nothing/, 'a damaged file: the log says so');
$analyst->{run}->kill_kill;
$node->stop;
unlink "$folder/pseudo_limits";

# The table is full; the file cannot be written.
$node->start;
my $short = 'short';
add_keyring($node, $short, $keys, reidentify_limit => '3/s');
$node->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $short TO analyst");
$analyst = session_of('analyst');
is(can_open($analyst, $k, 1) + can_open($analyst, $short, 1), 2, 'two rows, of which one is soon over');
ask($analyst, 'SELECT pg_sleep(1.1)');
leave($analyst);
$node->stop;
$node->append_conf('postgresql.conf', 'pseudo.limits_max = 1');
$node->start;
$analyst = session_of('analyst');
$second = session_of('second');
is(can_open($analyst, $k, 1), 1, 'a row');
like(ask($second, "SELECT reidentify('$d', keyring => '$k')"), qr/^53400: there is no room to count/, 'no room: nothing opens');
is(can_open($analyst, $k, 1), 1, '... and who has a row goes on');
rename "$folder/pseudo_limits", "$folder/pseudo_limits.away";
symlink '/dev/full', "$folder/pseudo_limits";
like(ask($analyst, "SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= 100"), qr/^53100: could not write file "pseudo_limits": No space left on device$/, 'a full disk: nothing opens');
unlink "$folder/pseudo_limits";
rename "$folder/pseudo_limits.away", "$folder/pseudo_limits";
is(ask($analyst, "SELECT count(reidentify(p, keyring => '$k')) FROM many WHERE n <= 100"), '100', '... until there is room');
is(ask($analyst, qq(SELECT used >= 102, "left" >= 200 FROM pseudo_limits)), 't|t', '... and it was not charged');
$_->{run}->kill_kill for $analyst, $second;
$node->stop;
done_testing();
