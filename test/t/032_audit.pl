# Audit records: what is opened is recorded, however it ends; nothing opens without a record where that is asked for; no record can be
# forged, and none has a secret.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use JSON::PP;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('audit', "shared_preload_libraries = 'pseudo'\nwal_level = logical\nmax_parallel_workers_per_gather = 0\nrestart_after_crash = on\nmax_prepared_transactions = 2\n", allows_streaming => 1);
my $key = 'f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=';
my $nonce_key = '+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=';
my $keys = qq({"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "$key", "encodedNonceKey": "$nonce_key", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}]});
my $folder = PostgreSQL::Test::Utils::tempdir();
my $file = "$folder/audit";

$node->safe_psql('postgres', "ALTER SYSTEM SET pseudo.audit_file = '$file'; SELECT pg_reload_conf()");
add_keyring($node, 'pseudo', $keys, audit => 'file');
add_keyring($node, 'logged', $keys, audit => 'log');
add_keyring($node, 'wal', $keys, audit => 'wal');
add_keyring($node, 'plain', $keys);
add_keyring($node, 'named', $keys, audit => 'file', audit_pseudonyms => 'true');
add_keyring($node, 'why', $keys, audit => 'file', purpose => 'required');
$node->safe_psql('postgres', q(
	CREATE ROLE officer; CREATE ROLE analyst LOGIN; CREATE ROLE watcher IN ROLE pg_monitor;
	GRANT officer TO analyst;
	GRANT USAGE ON SCHEMA pseudo TO officer, analyst, watcher;
	GRANT USAGE, CREATE ON SCHEMA public TO officer, analyst;
	GRANT USAGE ON FOREIGN SERVER pseudo, logged, wal, plain, named, why TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	CREATE SEQUENCE made; GRANT ALL ON SEQUENCE made TO officer, analyst;
	CREATE TABLE many AS SELECT n, pseudo.pseudonymize('value ' || n, true) AS p FROM generate_series(1, 20000) n;
	ANALYZE many; ALTER TABLE many SET (parallel_workers = 2); GRANT SELECT ON many TO officer, analyst));

# The records of the file, as Perl.
sub records
{
	return () unless -e $file;
	return map { decode_json($_) } split /\n/, slurp_file($file);
}

# What some records say was opened, and what failed: of each call its end, or what it was permitted.
sub summed
{
	my %calls;
	my ($opened, $failed) = (0, 0);

	for my $record (@_)
	{
		my $call = $calls{ $record->{call} } //= {};
		$call->{$_} = $record->{$_} for grep { defined $record->{$_} } qw(up_to opened failed);
	}
	for my $call (values %calls)
	{
		$opened += $call->{opened} // $call->{up_to} // 0;
		$failed += $call->{failed} // 0;
	}
	return "$opened|$failed";
}

sub events { return join ' ', map { $_->{event} } @_ }

# What is recorded of SQL in a session.
sub recorded
{
	my ($s, $sql) = @_;

	unlink $file;
	ask($s, $sql);
	return records();
}

sub session_of
{
	my ($role) = @_;
	my $s = session($node);

	ask($s, "SET ROLE $role; SET search_path = public, pseudo; SET application_name = 'desk'");
	return $s;
}

my $admin = session($node);
ask($admin, 'SET search_path = public, pseudo');
my $s = session_of('officer');
my $d = ask($s, "SELECT pseudonymize('secret value', true)");
my $other = ask($s, "SELECT pseudonymize('secret value', true, 'other')");

#
# What a record says.
#
my @records = recorded($s, qq(SET pseudo.purpose = 'ticket 4711'; SELECT reidentify('$d')));
is(events(@records), 'begin', 'one value: one record');
my %first = %{ $records[0] };
is_deeply(
	[ sort keys %first ],
	[ sort qw(v at event call database authenticated_user session_user role current_user as_role application_name client pid leader_pid statement_at query_id keyring fingerprint context function purpose truncated up_to) ],
	'its fields');
is_deeply(
	[ @first{qw(v database session_user role current_user as_role application_name client leader_pid keyring context function purpose up_to)} ],
	[ 1, 'postgres', $first{authenticated_user}, 'officer', 'officer', undef, 'desk', '[local]', undef, 'pseudo', '', 'reidentify', 'ticket 4711', 1 ],
	'what they say');
is($first{pid}, ask($s, 'SELECT pg_backend_pid()'), 'the process');
is($first{fingerprint}, ask($s, q(SELECT fingerprints[2] FROM pseudo_keyrings WHERE name = 'pseudo')), 'the fingerprint of the primary key');
like("$first{at} $first{statement_at}", qr/^(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ?){2}$/, 'times');
@records = recorded($s, qq(SELECT reidentify('$d')));
like($records[0]{query_id}, qr/^-?\d+$/, 'the query id, from the second statement on');
ask($s, 'RESET pseudo.purpose');
is(sprintf('%04o', (stat $file)[2] & 07777), '0600', 'the mode of the file');

#
# Every function, and what opens and does not.
#
for my $case (
	[ qq(SELECT reidentify('$d')), '1|0', 'begin' ],
	[ q(SELECT reidentify(NULL)), '0|0', '' ],
	[ qq(SELECT reidentify('$d') FROM generate_series(1, 7)), '7|0', 'begin permit end' ],
	[ q(SELECT count(reidentify(p)) FROM many), '20000|0', 'begin permit permit permit end' ],
	[ qq(SELECT reidentify('$d', 'no')), '0|1', 'begin end' ],
	[ q(SELECT reidentify('none')), '0|1', 'begin end' ],
	[ qq(SELECT try_reidentify('$d', 'no')), '0|1', 'begin end' ],
	[ qq(SELECT try_reidentify(x) FROM unnest('{$d,none,$other,$d}'::text[]) x), '2|2', 'begin permit end' ],
	[ qq(SELECT reidentify_array('{$d,NULL,$d}')), '2|0', 'begin end' ],
	[ qq(SELECT reidentify_array('{$d}')), '1|0', 'begin' ],
	[ qq(SELECT try_reidentify_array('{$d,none,NULL,$other}')), '1|2', 'begin end' ],
	[ qq(SELECT reidentify_array('{none,$d,none}')), '1|1', 'begin end' ],
	[ qq(SELECT reidentify_array(array_agg(p)) FROM many), '20000|0', 'begin permit permit permit end' ],
	[ qq(SELECT reidentify_json('{"k": ["$d", null, "$d"]}'::jsonb, '{k}'), reidentify_json('{"k": "$d", "z": 1}'::json, '{k}')), '3|0', 'begin permit begin end' ],
	[ qq(SELECT reidentify_json('{"k": ["$d", "none"]}'::jsonb, '{k}')), '1|1', 'begin permit end' ],
	[ qq(SELECT reidentify_as('current_user', '$d')), '1|0', 'begin' ],
	[ qq(SELECT reidentify(p, c) FROM (VALUES ('$d', ''), ('$other', 'other'), ('$d', '')) v (p, c)), '3|0', 'begin begin begin' ],
	[ qq(SELECT pseudonymize('a'), pseudonym_key_id('$d'), pseudonyms_of('a'), repseudonymize('$d')), '0|0', '' ],
	[ qq(SELECT reidentify('$d', keyring => 'plain')), '0|0', '' ])
{
	my ($sql, $expected, $events) = @$case;
	@records = recorded($s, $sql);
	is(summed(@records), $expected, substr($sql, 0, 100));
	is(join(' ', sort split / /, events(@records)), join(' ', sort split / /, $events), '... its records') or diag(events(@records));
}

#
# However it ends: nextval() says how many were opened.
#
my $open = "reidentify(CASE WHEN nextval('made') > 0 THEN p END)";
for my $case (
	[ 'ROLLBACK', "BEGIN; SELECT count($open) FROM many; ROLLBACK" ],
	[ 'an error', "SELECT count($open || 1 / (n - 3000)) FROM many" ],
	[ 'an error that is caught', "DO \$\$ BEGIN PERFORM count($open || 1 / (n - 3000)) FROM many; EXCEPTION WHEN division_by_zero THEN END \$\$" ],
	[ 'a subtransaction', "BEGIN; SAVEPOINT a; SELECT count($open) FROM many; ROLLBACK TO a; SELECT $open FROM many LIMIT 3; COMMIT" ],
	[ 'PREPARE TRANSACTION', "BEGIN; SELECT count($open) FROM many; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'" ],
	[ 'statement_timeout', "SET statement_timeout = 100; SELECT count($open || pg_sleep(0.01)) FROM many; RESET statement_timeout" ],
	[ 'a cursor, closed half-way', "BEGIN; DECLARE c CURSOR FOR SELECT $open FROM many; FETCH 3 FROM c; FETCH 70 FROM c; CLOSE c; COMMIT" ],
	[ 'a cursor, rolled back half-way', "BEGIN; DECLARE c CURSOR FOR SELECT $open FROM many; FETCH 3 FROM c; ROLLBACK" ],
	[ 'a cursor WITH HOLD', "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT $open FROM many; FETCH 3 FROM c; COMMIT; FETCH 3 FROM c; CLOSE c" ],
	[ 'COPY', "COPY (SELECT $open FROM many) TO STDOUT" ],
	[ 'LIMIT', "SELECT $open FROM many LIMIT 5" ],
	[ 'EXPLAIN', "EXPLAIN SELECT $open FROM many" ],
	[ 'EXPLAIN ANALYZE', "EXPLAIN ANALYZE SELECT $open FROM many" ],
	[ 'a loop of PL/pgSQL', "DO \$\$ DECLARE x text; i int; q text; BEGIN SELECT p INTO q FROM many LIMIT 1; FOR i IN 1 .. 100 LOOP x := reidentify(CASE WHEN nextval('made') > 0 THEN q END); END LOOP; END \$\$" ],
	[ 'a COMMIT in a procedure', "DO \$\$ DECLARE i int; BEGIN FOR i IN 1 .. 10 LOOP PERFORM $open FROM many LIMIT 1; COMMIT; END LOOP; END \$\$" ])
{
	my ($name, $sql) = @$case;
	ask($admin, q(SELECT setval('made', 1)));
	@records = recorded($s, $sql);
	my $made = ask($admin, 'SELECT last_value - 1 FROM made');
	is(summed(@records), "$made|0", "$name: as many as were opened");
	cmp_ok($made, $name eq 'EXPLAIN' ? '==' : '>', 0, "$name: and these are some");
}
is(summed(recorded($s, qq(SELECT n FROM many WHERE p < reidentify('$d') LIMIT 1))) =~ /^([1-9]\d*)\|0$/ ? 1 : 0, 1, 'planning, which opens a constant');
is(summed(recorded($s, qq(EXPLAIN SELECT n FROM many WHERE p < reidentify('$d') LIMIT 1))), '1|0', 'EXPLAIN, which opens a constant');

# Another role runs what was prepared; a SECURITY DEFINER function; a view.
ask($s, "PREPARE q AS SELECT reidentify('$d'); EXECUTE q");
@records = recorded($s, 'RESET ROLE; EXECUTE q; SET ROLE officer');
is(join(' ', map { "$_->{event} $_->{current_user}" } @records), "begin $first{authenticated_user}", 'a prepared statement: who runs it');
ask($s, q(CREATE FUNCTION definer(p text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN pseudo.reidentify(p); END $$;
	CREATE VIEW shown WITH (security_barrier) AS SELECT pseudo.reidentify_as('officer', p) AS v FROM many; GRANT SELECT ON shown TO analyst));
my $analyst = session($node);
ask($analyst, 'SET SESSION AUTHORIZATION analyst; SET search_path = public, pseudo');
@records = recorded($analyst, "SELECT definer('$d')");
is(join(' ', map { "$_->{event} $_->{authenticated_user} $_->{session_user} $_->{current_user}" } @records), "begin $first{authenticated_user} analyst officer", 'SECURITY DEFINER: who calls it, and whose rights it has');
@records = recorded($analyst, 'SELECT v FROM shown LIMIT 1');
is(join(' ', map { "$_->{event} $_->{session_user} $_->{current_user} $_->{as_role} $_->{function}" } @records), 'begin analyst analyst officer reidentify_as', 'a view: who reads it, and whose rights it has');

# Another role, or another purpose, in the middle of a statement: whose rights the function has stays, who asks does not.
@records = recorded($admin, "DO \$\$ DECLARE x text; BEGIN SET ROLE officer; x := definer('$d'); SET ROLE analyst; x := definer('$d'); PERFORM set_config('pseudo.purpose', 'second', true); x := definer('$d'); END \$\$; RESET ROLE");
is(join(', ', map { "$_->{event} $_->{role} $_->{current_user} " . ($_->{purpose} // '') } @records), 'begin officer officer , begin analyst officer , begin analyst officer second', 'SET ROLE and pseudo.purpose within a statement: each has its record');
is(summed(@records), '3|0', '... and is counted');
unlink $file;
like(ask($analyst, 'SELECT count(*) FROM pseudo_audit_records()'), qr/^42501: permission denied to read audit records/, 'who may not read the records');
like(ask($analyst, "SET pseudo.audit = off"), qr/^55P02/, 'who may not set what is recorded');
like(ask($analyst, "ALTER SERVER pseudo OPTIONS (SET audit 'off')"), qr/^42501: must be owner/, 'nor the option');

# Parallel workers.
my $parallel = session_of('officer');
ask($parallel, 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off');
like(ask($parallel, 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(reidentify(p)) FROM many'), qr/Workers Launched: [12]/, 'workers: they work');
@records = recorded($parallel, 'SELECT count(reidentify(p)) FROM many');
is(summed(@records), '20000|0', 'workers: as many as were opened');
my $leader = ask($parallel, 'SELECT pg_backend_pid()');
is_deeply([ grep { $_->{pid} != $leader && ($_->{leader_pid} // 0) != $leader } @records ], [], 'workers: they say whose they are');
isnt(scalar(grep { defined $_->{leader_pid} } @records), 0, 'workers: and there are some');
is(scalar(grep { $_->{current_user} ne 'officer' || $_->{application_name} ne 'desk' } @records), 0, 'workers: and for whom');
@records = recorded($parallel, 'SELECT count(reidentify(p) || 1 / (n - 15000)) FROM many');
is(scalar(grep { $_->{event} eq 'begin' } @records), scalar(grep { $_->{event} eq 'end' } @records), 'workers: an error ends them all');
leave($parallel);

# Cancelled and terminated.
for my $function (qw(pg_cancel_backend pg_terminate_backend))
{
	my $killed = session_of('officer');
	my $pid = ask($killed, 'SELECT pg_backend_pid()');
	ask($admin, q(SELECT setval('made', 1)));
	unlink $file;
	$killed->{in} .= "SELECT count($open) FROM many, generate_series(1, 20000);\n";
	$killed->{run}->pump_nb;
	$node->poll_query_until('postgres', 'SELECT last_value > 100000 FROM made') or die;
	is(ask($admin, "SELECT $function($pid)"), 't', "$function");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'") or die;
	my $made = ask($admin, 'SELECT last_value - 1 FROM made');
	my ($opened) = split /\|/, summed(records());
	is((records())[-1]{event}, 'end', "$function: an end");
	cmp_ok(abs($opened - $made), '<=', 1, "$function: as many as were opened") or diag("$opened of $made");
	$killed->{run}->kill_kill;
}

# A client that goes away while it is sent something.
unlink $file;
ask($admin, q(SELECT setval('made', 1)));
my $pipe = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET ROLE officer; SET search_path = public, pseudo; COPY (SELECT $open FROM many, generate_series(1, 20000)) TO STDOUT" ], '>', '/dev/null', '2>&1');
$node->poll_query_until('postgres', 'SELECT last_value > 100000 FROM made') or die;
$pipe->signal('KILL');
eval { $pipe->finish };
$node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'SET ROLE officer; SET search%' AND state = 'active')) or die;
@records = records();
is($records[-1]{event}, 'end', 'a broken pipe: an end');
cmp_ok(abs((split /\|/, summed(@records))[0] - ask($admin, 'SELECT last_value - 1 FROM made')), '<=', 1, 'a broken pipe: as many as were opened');

#
# Purpose.
#
@records = recorded($s, "SELECT reidentify('$d', keyring => 'why')");
is(join(' ', map { "$_->{event} $_->{reason}" } @records), 'refused purpose', 'without a purpose: a record');
for my $sql (qq(reidentify('$d', keyring => 'why')), qq(try_reidentify('$d', keyring => 'why')), qq(reidentify_array('{$d}', keyring => 'why')), qq(try_reidentify_array('{$d}', keyring => 'why')),
	qq(reidentify_json('{"k": "$d"}'::jsonb, '{k}', keyring => 'why')), qq(reidentify_json('{"k": "$d"}'::json, '{k}', keyring => 'why')), qq(reidentify_as('current_user', '$d', keyring => 'why')))
{
	like(ask($s, "SELECT $sql"), qr/^42501: keyring "why" opens nothing without a purpose$/, "without a purpose: $sql" =~ s/\Q$d/.../r);
}
like(ask($s, "SET pseudo.purpose = ' \t'; SELECT reidentify('$d', keyring => 'why')"), qr/^42501: keyring "why"/, 'white space is no purpose');
is(ask($s, "SET pseudo.purpose = 'ticket 1'; SELECT reidentify('$d', keyring => 'why')"), 'secret value', 'with one');
is(ask($s, "SELECT pseudonymize('a', true, keyring => 'why') IS NOT NULL"), 't', 'pseudonymize needs none');
like(ask($s, "SELECT reidentify('$d', keyring => 'why') || set_config('pseudo.purpose', '', false) FROM generate_series(1, 2)"), qr/^42501: keyring "why"/, 'one that goes in the middle of a statement');
for my $bytes ("\xf0", 'x' x 199 . "\xe2")
{
	local $ENV{PGOPTIONS} = "-c pseudo.purpose=$bytes";
	my (undef, undef, $said) = $node->psql('postgres', undef);
	like($said, qr/FATAL:  invalid value for parameter "pseudo\.purpose"/, 'one that is no text, which a connection asks for');
}
like(ask($s, "SET pseudo.purpose = '" . 'x' x 201 . "'"), qr/^22023: invalid value for parameter "pseudo.purpose"/, 'one that is too long');
is(ask($s, "SET pseudo.purpose = '" . "\xc3\xbc" x 200 . "'; SELECT reidentify('$d', keyring => 'why')"), 'secret value', '200 characters');
ask($s, 'RESET pseudo.purpose');

#
# Pseudonyms, only where they are asked for.
#
@records = recorded($s, "SELECT reidentify(x, keyring => 'named') FROM unnest('{$d,$d}'::text[]) x");
is(join(' ', map { "$_->{event} " . join(',', @{ $_->{pseudonyms} // [] }) } @records), "begin $d permit $d end ", 'audit_pseudonyms');
is(summed(@records), '2|0', 'audit_pseudonyms: the count');
@records = recorded($s, "SELECT try_reidentify_array('{$d,none,$other}', keyring => 'named')");
is(summed(@records), '1|2', 'audit_pseudonyms: an array');
my %seen = map { $_ // 'null' => 1 } map { @{ $_->{pseudonyms} // [] } } @records;
is_deeply([ sort keys %seen ], [ sort $d, 'null', $other ], 'audit_pseudonyms: all of an array');
@records = recorded($s, "SELECT try_reidentify('a value among pseudonyms', keyring => 'named'), try_reidentify_array('{another value,ANYvalue,$d}', keyring => 'named'), try_reidentify(repeat('A', 1028), keyring => 'named')");
unlike(slurp_file($file), qr/value/, 'audit_pseudonyms: what has not the form of a pseudonym may be a value, and is not recorded');
my ($long) = grep { ($_->{pseudonyms}[0] // '') =~ /^AAAAAA/ } @records;
is(length($long->{pseudonyms}[0]) . $long->{pseudonyms_truncated}, '10241', 'audit_pseudonyms: one that was cut, and it says so');
is(scalar(grep { $_->{pseudonyms_truncated} && $_->{pseudonyms}[0] !~ /^AAAAAA/ } @records), 0, '... and others do not');

#
# Nothing can be forged: one line, valid JSON, cut where it says so.
#
my $evil = "\n{\"event\": \"end\"}\n\"\\\t\r\x7f\xe2\x80\xa8\xf0\x9f\x98\x80";
my $quoted = $evil =~ s/'/''/gr;
unlink $file;
ask($s, "SET pseudo.purpose = '$quoted'; SET application_name = '$quoted'");
ask($s, "SELECT try_reidentify('$d', '$quoted'); SELECT try_reidentify('$d', repeat('x', 1048576)); SELECT try_reidentify('$d', repeat('\xc3\xbc', 1025)); SELECT try_reidentify('$d', repeat('\xc3\xbc', 1024))");
my $text = slurp_file($file);
is(($text =~ tr/\n//), 8, 'forgery: as many lines as records');
unlike($text, qr/[^\n\x20-\x7e]/, 'forgery: printable ASCII alone');
@records = records();
utf8::decode(my $decoded = $evil);
is($records[0]{context}, $decoded, 'forgery: the context as it is');
is($records[0]{purpose}, $decoded, 'forgery: the purpose as it is');
is(join('|', map { length($_->{context}) . '/' . join(',', @{ $_->{truncated} }) } @records[ 0, 2, 4, 6 ]), length($decoded) . '/|1024/context|1024/context|1024/', 'forgery: cut, and it says so');
ask($s, "RESET pseudo.purpose; SET application_name = 'desk'");
$node->safe_psql('postgres', "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
$node->safe_psql('ascii', "CREATE EXTENSION pseudo; CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '@{[ $node->data_dir ]}/pseudo.json', audit 'file')");
my $ascii = session($node, 'ascii');
@records = recorded($ascii, "SET pseudo.purpose = E'a\\xff\\xc3'; SELECT reidentify('$d')");
is($records[0]{purpose}, "a\x{fffd}\x{fffd}", 'forgery: bytes that are no UTF-8');
leave($ascii);
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
$node->safe_psql('latin', "CREATE EXTENSION pseudo; CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '@{[ $node->data_dir ]}/pseudo.json', audit 'file')");
my $latin = session($node, 'latin');
@records = recorded($latin, "SET client_encoding = 'UTF8'; SET pseudo.purpose = 'M\xc3\xbcller'; SELECT reidentify('$d')");
is($records[0]{purpose}, "M\x{fc}ller", 'another encoding');
ask($s, "SET pseudo.purpose = '\xe2\x82\xac'; SELECT reidentify('$d'); RESET pseudo.purpose");
is(ask($latin, "SELECT count(*) FROM pseudo_audit_records()"), '2', 'records are read in a database that lacks their characters');
leave($latin);

#
# The reader: what a crash has torn, too.
#
unlink $file;
is(ask($admin, 'SELECT count(*) FROM pseudo_audit_records()'), '0', 'no file: no records');
ask($s, "SELECT reidentify('$d')");
append_to_file($file, '{"v":1,"at":"2026');
ask($s, "SELECT reidentify('$d')");
append_to_file($file, "\xff\n\n");
my $watcher = session_of('watcher');
is(ask($watcher, q(SELECT r ->> 'event', r ->> 'text' FROM pseudo_audit_records() r)), "begin|\ndamaged|{\"v\":1,\"at\":\"2026\nbegin|\ndamaged|\xef\xbf\xbd", 'a member of pg_monitor reads them');
leave($watcher);
rename $file, "$file.1";
is(scalar(recorded($s, "SELECT reidentify('$d')")), 1, 'a file that was renamed is made anew');

#
# Fail closed: a full disk.  /dev/full takes the place of the file.
#
sub fill { rename $file, "$file.away"; symlink '/dev/full', $file or die }
sub empty { unlink $file; rename "$file.away", $file }
ask($s, q(CREATE FUNCTION hold(n int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN IF n = 0 THEN PERFORM pg_advisory_lock_shared(4711); PERFORM pg_advisory_unlock_shared(4711); END IF; RETURN ''; END $$));

# Run SQL in a session that stops at hold(0), fill the disk then, and let it go on; returns what it says.
sub filled_at_hold
{
	my ($sql) = @_;

	unlink $file;
	ask($admin, 'SELECT pg_advisory_lock(4711)');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', "SET ROLE officer; SET search_path = public, pseudo; $sql" ], '>', \my $said, '2>&1');
	$node->poll_query_until('postgres', q(SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'advisory')) or die;
	fill();
	ask($admin, 'SELECT pg_advisory_unlock(4711)');
	$run->finish;
	empty();
	return $said;
}
fill();
like(ask($s, "SELECT reidentify('$d')"), qr/^53100: could not write file "\Q$file\E": No space left on device$/, 'a full disk: nothing opens');
like(ask($s, "SELECT reidentify_array('{$d}')"), qr/^53100/, 'a full disk: an array');
is(ask($s, "SELECT reidentify('$d', keyring => 'plain')"), 'secret value', 'a full disk: other keyrings do not mind');
like(ask($admin, "SELECT pseudo_refresh_keyring('pseudo')"), qr/^53100/, 'a full disk: administration neither');
empty();
like(filled_at_hold('SELECT reidentify(p) || hold(n - 3) FROM many WHERE n <= 100 ORDER BY n'), qr/^(?:psql:)?ERROR:  53100: could not write file/m, 'a full disk in the middle');
is(events(records()), 'begin permit', '... what was permitted before is recorded');
my $log = -s $node->logfile;
unlike(filled_at_hold('SELECT reidentify(p) || hold(n - 3) FROM many WHERE n <= 4 ORDER BY n'), qr/ERROR/, 'a full disk at the end: what was permitted is shown');
is(events(records()), 'begin permit', '... what was permitted before is recorded');
like(slurp_file($node->logfile, $log), qr/LOG:  could not write file "\Q$file\E": No space left on device\n.*DETAIL:.*\n.*LOG:  pseudo audit: \{"v":1,.*"event":"end",.*"opened":4,"failed":0\}/, '... and the end is in the log');
unlink $file;
ask($admin, q(ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()));
$node->poll_query_until('postgres', q(SELECT current_setting('fsync') = 'on')) or die;
system('mkfifo', '-m', '600', $file) == 0 or die;
like(ask($s, "SET statement_timeout = '20s'; SELECT count(try_reidentify('$d', repeat('x', n))) FROM generate_series(1, 500) n"), qr/^\w{5}: could not (write|fsync) file/, 'a pipe that nobody reads: nothing opens, and nobody waits');
like(ask($admin, "SET statement_timeout = '20s'; SELECT count(*) FROM pseudo_audit_records()"), qr/^42809: "\Q$file\E" is not a regular file$/, '... and it is not read');
ask($_, 'RESET statement_timeout') for $s, $admin;
ask($admin, q(ALTER SYSTEM RESET fsync; SELECT pg_reload_conf()));
unlink $file;
mkdir "$folder/shut";
chmod 0000, "$folder/shut";
$node->safe_psql('postgres', "ALTER SYSTEM SET pseudo.audit_file = '$folder/gone/audit'; SELECT pg_reload_conf()");
my $lost = session_of('officer');
like(ask($lost, "SELECT reidentify('$d')"), qr/^58P01: could not open file/, 'no folder: nothing opens');
leave($lost);
$node->safe_psql('postgres', "ALTER SYSTEM SET pseudo.audit_file = '$file'; SELECT pg_reload_conf()");

#
# The server's log, and the WAL.
#
$log = -s $node->logfile;
is(ask($s, "SELECT reidentify('$d', keyring => 'logged')"), 'secret value', 'log');
my $logged = slurp_file($node->logfile, $log);
like($logged, qr/LOG:  pseudo audit: \{"v":1,[^\n]*"event":"begin"[^\n]*"up_to":1\}\n/, 'log: a record');
unlike($logged, qr/pseudo audit: [^\n]*\n[^\n]*STATEMENT|pseudo audit: [^\n]*\Q$d/, 'log: without the statement');
$log = -s $node->logfile;
ask($s, "SELECT count(reidentify(p, keyring => 'logged') || 1 / (n - 3000)) FROM (SELECT * FROM many ORDER BY n) m; DO \$\$ BEGIN PERFORM count(reidentify(p, keyring => 'logged') || 1 / (n - 50)) FROM (SELECT * FROM many ORDER BY n) m; EXCEPTION WHEN division_by_zero THEN END \$\$");
is(join(' ', slurp_file($node->logfile, $log) =~ /"opened":(\d+),"failed":0\}$/mg), '3000 50', 'log: errors end calls');
ask($admin, q(SELECT pg_create_logical_replication_slot('audit', 'test_decoding')));
ask($s, "SELECT count(reidentify(p, keyring => 'wal') || 1 / (n - 3000)) FROM (SELECT * FROM many ORDER BY n) m; DO \$\$ BEGIN PERFORM count(reidentify(p, keyring => 'wal') || 1 / (n - 50)) FROM (SELECT * FROM many ORDER BY n) m; EXCEPTION WHEN division_by_zero THEN END \$\$");
$node->poll_query_until('postgres', q(SELECT count(*) = 2 FROM pg_logical_slot_peek_changes('audit', NULL, NULL) WHERE data LIKE '%"event":"end"%')) or die;
is(join(' ', ask($admin, q(SELECT data FROM pg_logical_slot_get_changes('audit', NULL, NULL))) =~ /"opened":(\d+),"failed":0\}$/mg), '3000 50', 'wal: errors end calls');
ask($s, "BEGIN; SELECT count(reidentify(p, keyring => 'wal')) FROM many; ROLLBACK");
$node->poll_query_until('postgres', q(SELECT count(*) > 0 FROM pg_logical_slot_peek_changes('audit', NULL, NULL) WHERE data LIKE '%"event":"end"%')) or die;
my $messages = ask($admin, q(SELECT data FROM pg_logical_slot_get_changes('audit', NULL, NULL) WHERE data LIKE 'message:%'));
is(join(' ', $messages =~ /"event":"(\w+)"/g), 'begin permit permit permit end', 'wal: the records, though it was rolled back');
like($messages, qr/transactional: 0 prefix: pseudo\.audit, sz: \d+ content:\{"v":1,.*"opened":20000,"failed":0\}/, 'wal: as logical messages');

# Who may write lines like these: what tells them apart, and what can be done.
$log = -s $node->logfile;
ask($analyst, q(DO $$ BEGIN RAISE LOG 'pseudo audit: {}'; END $$));
like(slurp_file($node->logfile, $log), qr/LOG:  pseudo audit: \{\}\n[^\n]*CONTEXT:  PL/, 'log: a line of RAISE LOG has a context');
ask($admin, q(DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $$));
like(ask($analyst, q(SELECT pg_logical_emit_message(false, 'pseudo.audit', '{}'))), qr/^42501: permission denied for function pg_logical_emit_message/, 'wal: who may not emit messages');
is(ask($s, "SELECT reidentify('$d', keyring => 'wal')"), 'secret value', '... and records are written nevertheless');

# The least level.
ask($admin, q(ALTER SYSTEM SET pseudo.audit = 'file'; SELECT pg_reload_conf()));
$node->poll_query_until('postgres', q(SELECT current_setting('pseudo.audit') = 'file')) or die;
is(events(recorded($s, "SELECT reidentify('$d', keyring => 'plain'), reidentify('$d', keyring => 'logged'), reidentify('$d', keyring => 'wal')")), 'begin begin begin', 'pseudo.audit: at least that for all');
ask($admin, q(ALTER SYSTEM SET pseudo.audit = 'log'; SELECT pg_reload_conf()));
$node->poll_query_until('postgres', q(SELECT current_setting('pseudo.audit') = 'log')) or die;
is(events(recorded($s, "SELECT reidentify('$d'), reidentify('$d', keyring => 'plain')")), 'begin', 'pseudo.audit: an owner can ask for more');
ask($admin, q(ALTER SYSTEM RESET pseudo.audit; SELECT pg_reload_conf()));
$node->poll_query_until('postgres', q(SELECT current_setting('pseudo.audit') = 'off')) or die;

#
# Administration.
#
my $path = $node->data_dir . '/made.json';
unlink $file;
ask($admin, "CREATE SERVER made FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$path', audit 'file'); SELECT pseudo_create_key('made'); SELECT pseudo_create_key('made'); SELECT pseudo_set_primary_key('made', 2); SELECT pseudo_set_key_status('made', 1, 'disabled'); SELECT pseudo_refresh_keyring('made')");
ask($admin, "ALTER SERVER made OPTIONS (SET audit 'off'); ALTER SERVER made OPTIONS (SET audit 'file'); ALTER SERVER made RENAME TO renamed; ALTER SERVER renamed OWNER TO officer; BEGIN; DROP SERVER renamed; ROLLBACK; CREATE FOREIGN DATA WRAPPER strange; CREATE SERVER strange FOREIGN DATA WRAPPER strange; DROP SERVER strange");
is(join("\n", map { join ' ', grep { defined } @$_{qw(event function keyring key_id status)} } records()), <<'END' =~ s/\n\z//r, 'administration');
admin CREATE SERVER made
admin pseudo_create_key made
admin pseudo_create_key made
admin pseudo_set_primary_key made 2
admin pseudo_set_key_status made 1 disabled
admin pseudo_refresh_keyring made
admin ALTER SERVER made
admin ALTER SERVER made
admin ALTER SERVER renamed
admin ALTER SERVER renamed
admin DROP SERVER renamed
END

#
# No record has a value, a key, or a pseudonym where that is not asked for.
#
ask($s, "SELECT reidentify('$d'), reidentify('$d', keyring => 'logged'), reidentify('$d', keyring => 'wal')");
my $all = slurp_file($file) . join('', grep { /pseudo audit/ } split /^/, slurp_file($node->logfile)) . $messages .
  ask($admin, q(SELECT data FROM pg_logical_slot_get_changes('audit', NULL, NULL)));
cmp_ok(length $all, '>', 4000, 'there are records');
unlike($all, qr/secret value|value \d|\Q$key\E|\Q$nonce_key\E|\Q$d/, 'and no secret in them');
ask($admin, q(SELECT pg_drop_replication_slot('audit')));

#
# A standby has a file of its own, and no WAL.
#
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "pseudo.audit_file = '$folder/standby'");
$standby->append_conf('postgresql.auto.conf', "pseudo.audit_file = '$folder/standby'");
$standby->start;
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
my $on_standby = session($standby);
ask($on_standby, 'SET search_path = public, pseudo');
like(ask($on_standby, "SELECT reidentify('$d', keyring => 'wal')"), qr/^55000: cannot write an audit record to the WAL during recovery$/, 'wal on a standby: nothing opens');
is(ask($on_standby, "SELECT reidentify('$d')"), 'secret value', 'file on a standby');
is(ask($on_standby, 'SELECT count(*) FROM pseudo_audit_records()'), '1', 'file on a standby: its own');
leave($on_standby);
$standby->stop;

#
# kill -9: a begin without an end.
#
my $killed = session_of('officer');
my $pid = ask($killed, 'SELECT pg_backend_pid()');
unlink $file;
ask($killed, "BEGIN; DECLARE c CURSOR FOR SELECT reidentify(p) FROM many; FETCH 2 FROM c");
crash($node, $pid);
$killed->{run}->kill_kill;
is(events(records()), 'begin permit', 'kill -9: no end');
$_->{run}->kill_kill for $s, $admin, $analyst;
$node->stop;

#
# Without the library preloaded.
#
my $bare = start_server('bare', "shared_preload_libraries = ''\n");
add_keyring($bare, 'pseudo', $keys, audit => 'file');
add_keyring($bare, 'logged', $keys, audit => 'log', purpose => 'required');
add_keyring($bare, 'wal', $keys, audit => 'wal');
add_keyring($bare, 'few', $keys, reidentify_limit => '10/h');
add_keyring($bare, 'written', $keys, pseudonymize_limit => '10/h');
my $b = session($bare);
ask($b, 'SET search_path = public, pseudo');
for my $keyring (qw(pseudo wal few written))
{
	like(ask($b, "SELECT reidentify('$d', keyring => '$keyring')"), qr/^55000: keyring "$keyring" has a limit or a durable audit, and pseudo is not preloaded$/, "not preloaded: $keyring opens nothing");
}
is(ask($b, "SELECT pseudonymize('a', true) IS NOT NULL, pseudonymize('a', true, keyring => 'few') IS NOT NULL"), 't|t', 'not preloaded: who only pseudonymizes needs no record');
like(ask($b, "SELECT pseudonymize('a', true, keyring => 'written')"), qr/^55000/, 'not preloaded: but a limit that counts');
like(ask($b, "SELECT reidentify('$d', keyring => 'logged')"), qr/^42501/, 'not preloaded: a purpose');
$log = -s $bare->logfile;
is(ask($b, "SET pseudo.purpose = 'x'; SELECT reidentify('$d', keyring => 'logged')"), 'secret value', 'not preloaded: log works');
like(slurp_file($bare->logfile, $log), qr/pseudo audit: .*"event":"begin".*"purpose":"x"/, 'not preloaded: its record');
like(ask($b, 'SELECT * FROM pseudo_limits'), qr/^55000/, 'not preloaded: no limits to see');
is(ask($b, "ALTER SERVER pseudo OPTIONS (SET audit 'off'); SELECT reidentify('$d')"), 'secret value', 'not preloaded: it can be turned off');
leave($b);
$bare->stop;

done_testing();
