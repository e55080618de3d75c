# The counters of pseudo_stats: they equal the values, however a transaction ends; who sees them; what becomes of the rows of
# what is dropped.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# Each session loads for itself: 030_shared.pl has what is counted where they share.
my $node = start_server('stats', "shared_preload_libraries = 'pseudo'\npseudo.shared_memory = 0\nmax_prepared_transactions = 2\nmax_parallel_workers_per_gather = 0\nrestart_after_crash = on", allows_streaming => 1);
my $keys = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $disabled = 'AQAAAANkZmRhYWZmMWQ5NjQktmwsQoUrJFtciI9KBTfcOsOk3/UI02YDeEE=';    # by key 3

my $path = add_keyring($node, 'pseudo', $keys);
add_keyring($node, 'crm', $keys);
add_keyring($node, 'old', $keys =~ s/"primaryKeyId": 2/"primaryKeyId": 1/r);
$node->safe_psql('postgres', q(
	CREATE ROLE officer; CREATE ROLE analyst; CREATE ROLE owner; CREATE ROLE watcher IN ROLE pg_read_all_stats; CREATE ROLE nobody;
	GRANT USAGE ON SCHEMA pseudo TO officer, analyst, owner, watcher, nobody;
	GRANT USAGE, CREATE ON SCHEMA public TO officer, owner;
	GRANT USAGE ON FOREIGN SERVER pseudo, crm, old TO officer, owner;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO owner;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	CREATE SEQUENCE made; GRANT ALL ON SEQUENCE made TO officer;
	CREATE TABLE many AS SELECT n::text AS v FROM generate_series(1, 20000) n; ANALYZE many; ALTER TABLE many SET (parallel_workers = 2); GRANT SELECT ON many TO officer));

# A session that works with the rights of a role.
sub session_of
{
	my ($role, $database) = @_;
	my $s = session($node, $database);

	ask($s, "SET ROLE $role; SET search_path = public, pseudo");
	return $s;
}

# What was counted for a role: pseudonymized|reidentified|not_opened, over all keyrings.
my $watcher = session($node);
ask($watcher, 'SET search_path = public, pseudo');

sub counted
{
	my ($role) = @_;

	return ask($watcher, qq(SELECT coalesce(sum(pseudonymized), 0), coalesce(sum(reidentified), 0), coalesce(sum(not_opened), 0) FROM pseudo_stats WHERE role = '$role'));
}

# Run SQL in a session from counters of 0; what was counted for officer, or another.
sub counts_of
{
	my ($s, $sql, $role) = @_;

	ask($watcher, 'SELECT pseudo_stats_reset()');
	ask($s, $sql);
	return counted($role // 'officer');
}

my $s = session_of('officer');

#
# Every function counts the values that it returns.
#
my $d = ask($s, "SELECT pseudonymize('a', true)");
my $old = ask($s, "SELECT pseudonymize('a', true, keyring => 'old')");
for my $case (
	[ q(SELECT pseudonymize('a')), '1|0|0' ],
	[ q(SELECT pseudonymize('a', true)), '1|0|0' ],
	[ q(SELECT pseudonymize(NULL), pseudonymize(NULL, true), reidentify(NULL), try_reidentify(NULL)), '0|0|0' ],
	[ q(SELECT pseudonymize('a', true) FROM generate_series(1, 10)), '10|0|0' ],
	[ q(SELECT pseudonymize_array('{a,NULL,b}'), pseudonymize_array('{{a,b},{c,NULL}}', true), pseudonymize_array('{}')), '5|0|0' ],
	[ q(SELECT pseudonymize_array(array_agg('x' || n), true) FROM generate_series(1, 10000) n), '10000|0|0' ],
	[ qq(SELECT reidentify('$d')), '0|1|0' ],
	[ qq(SELECT reidentify('$d') FROM generate_series(1, 7)), '0|7|0' ],
	[ qq(SELECT reidentify('$d', 'other')), '0|0|1' ],
	[ q(SELECT reidentify('none')), '0|0|1' ],
	[ qq(SELECT reidentify('$disabled')), '0|0|1' ],
	[ qq(SELECT try_reidentify('$disabled')), '0|0|1' ],
	[ qq(SELECT try_reidentify('$d', 'other'), try_reidentify('none'), try_reidentify('$d')), '0|1|2' ],
	[ qq(SELECT reidentify_array('{$d,NULL,$d}'), reidentify_array(NULL)), '0|2|0' ],
	[ qq(SELECT reidentify_array(array_agg('$d'::text) || '{none}') FROM generate_series(1, 200)), '0|0|1' ],
	[ qq(SELECT try_reidentify_array('{$d,NULL,none,$d}')), '0|2|1' ],
	[ qq(SELECT try_reidentify_array(array_agg('$d'::text) || '{none,other}') FROM generate_series(1, 200)), '0|200|2' ],
	[ q(SELECT pseudonymize_json('{"k": ["a", 1, true, null, {"x": "y"}], "z": "z"}'::jsonb, '{k}')), '4|0|0' ],
	[ q(SELECT pseudonymize_json('{"k": ["a", 1, null, {"x": "y"}], "z": "z"}'::json, '{k}', true)), '3|0|0' ],
	[ qq(SELECT reidentify_json('{"k": ["$d", null, "$d"]}'::jsonb, '{k}'), reidentify_json('{"k": "$d", "z": 1}'::json, '{k}')), '0|3|0' ],
	[ qq(SELECT reidentify_json('{"k": ["$d", "none"]}'::jsonb, '{k}')), '0|0|1' ],
	[ qq(SELECT repseudonymize('$old'), repseudonymize('$d'), repseudonymize('$d', true)), '3|0|0' ],
	[ q(SELECT repseudonymize('none')), '0|0|1' ],
	[ q(SELECT pseudonyms_of('a')), '1|0|0' ],
	[ qq(SELECT pseudonymize_as('current_user', 'a'), reidentify_as('current_user', '$d')), '1|1|0' ],
	[ qq(SELECT pseudonymize('a', keyring => 'crm'), pseudonymize('a'), reidentify('$d', keyring => 'crm')), '2|1|0' ],
	[ qq(SELECT pseudonym_key_id('$d')), '0|0|0' ])
{
	my ($sql, $expected) = @$case;
	is(counts_of($s, $sql), $expected, substr($sql, 0, 100));
}
is(ask($watcher, q(SELECT count(*) FROM pseudo_stats)), '0', 'after a reset there is no row until there is something');

#
# However it ends.
#
is(counts_of($s, q(BEGIN; SELECT count(pseudonymize(n::text)) FROM generate_series(1, 5000) n; ROLLBACK)), '5000|0|0', 'ROLLBACK');
is(counts_of($s, q(SELECT count(pseudonymize(n::text) || 1 / (n - 3000)) FROM generate_series(1, 5000) n)), '3000|0|0', 'an error');
is(counts_of($s, q(BEGIN; SAVEPOINT s; SELECT count(pseudonymize(n::text)) FROM generate_series(1, 10) n; ROLLBACK TO s; SELECT pseudonymize('a'); COMMIT)), '11|0|0', 'a subtransaction');
is(counts_of($s, q(BEGIN; SELECT count(pseudonymize(n::text)) FROM generate_series(1, 10) n; PREPARE TRANSACTION 'p')), '10|0|0', 'PREPARE TRANSACTION');
is(counts_of($s, q(COMMIT PREPARED 'p')), '0|0|0', 'COMMIT PREPARED');
is(counts_of($s, q(DO $$ BEGIN FOR i IN 1 .. 10 LOOP PERFORM pseudonymize(i::text); COMMIT; END LOOP; END $$)), '10|0|0', 'a COMMIT in a procedure');

ask($watcher, 'SELECT pseudo_stats_reset()');
ask($s, q(BEGIN; SELECT count(pseudonymize(n::text)) FROM generate_series(1, 10000) n));
is(counted('officer'), '8194|0|0', 'in the middle: what has been added up') or diag('4,097 each time');
is(ask($s, 'SELECT pseudonymized FROM pseudo_stats'), '10000', 'in the middle: the session itself sees all');
is(counted('officer'), '10000|0|0', 'in the middle: and the others do then');
ask($s, 'SELECT pseudonymize(v) FROM many LIMIT 10; COMMIT');
is(counted('officer'), '10010|0|0', 'at the end');

# Cancelled and terminated: nextval() says how many there were.
for my $function (qw(pg_cancel_backend pg_terminate_backend))
{
	my $killed = session_of('officer');
	my $pid = ask($killed, 'SELECT pg_backend_pid()');
	ask($watcher, q(SELECT pseudo_stats_reset(), setval('made', 1)));
	$killed->{in} .= "SELECT count(pseudonymize(nextval('made')::text, true)) FROM many, many AS more;\n";
	$killed->{run}->pump_nb;
	$node->poll_query_until('postgres', 'SELECT last_value > 100000 FROM made') or die;
	is(ask($watcher, "SELECT $function($pid)"), 't', "$function");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'") or die;
	is(counted('officer'), ask($watcher, 'SELECT last_value - 1 FROM made') . '|0|0', "$function: as many as were made");
	$killed->{run}->kill_kill;
}

# Parallel workers.
my $parallel = session_of('officer');
ask($parallel, 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2');
like(ask($parallel, 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(pseudonymize(v)) FROM many'), qr/Workers Launched: [12]/, 'workers: they work');
is(counts_of($parallel, 'SELECT count(pseudonymize(v)), count(reidentify(pseudonymize(v, true))) FROM many'), '40000|20000|0', 'workers');
leave($parallel);

# The trigger counts for the table's owner, a view for its author, a procedure what it has converted.
ask($watcher, q(SET ROLE owner; CREATE TABLE inbox (id int, email text, name text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION pseudonymize_trigger('email', 'name', 'deterministic=true');
	GRANT ALL ON inbox TO analyst; RESET ROLE));
my $analyst = session_of('analyst');
is(counts_of($analyst, q(INSERT INTO inbox SELECT n, n || '@example.com', CASE WHEN n % 2 = 0 THEN 'x' END FROM generate_series(1, 10) n), 'owner'), '15|0|0', 'the trigger: the owner of the table');
is(counts_of($analyst, q(UPDATE inbox SET id = 0; UPDATE inbox SET name = 'y' WHERE name IS NULL), 'owner'), '5|0|0', 'the trigger: what it changes');
is(counted('analyst'), '0|0|0', 'the trigger: nothing for the writer');
ask($s, qq(CREATE VIEW shown WITH (security_barrier) AS SELECT reidentify_as('officer', '$d') AS v, pseudonymize_as('officer', 'b') AS p; GRANT SELECT ON shown TO analyst));
is(counts_of($analyst, 'SELECT v, p FROM shown'), '1|1|0', 'a view: its author');
is(ask($watcher, q(SELECT count(*) FROM pseudo_stats WHERE role <> 'officer')), '0', 'a view: and nobody else');

ask($watcher, q(CREATE TABLE stock AS SELECT n AS id, n || '@example.com' AS email, CASE WHEN n % 3 > 0 THEN 'x' END AS name FROM generate_series(1, 3000) n; ALTER TABLE stock OWNER TO officer));
is(counts_of($s, q(CALL pseudonymize_table('stock', '{email,name}', true, batch_size => 100))), '5000|0|0', 'pseudonymize_table');
is(ask($s, 'SELECT values_converted FROM pseudo_progress'), '5000', 'pseudonymize_table: as many as it has converted');
put_file($path, $keys =~ s/"primaryKeyId": 2/"primaryKeyId": 1/r);
ask($watcher, 'SELECT pseudo_refresh_keyring()');
is(counts_of($s, q(CALL repseudonymize_table('stock', '{email,name}', dry_run => true))), '0|0|0', 'a dry run');
is(counts_of($s, q(CALL repseudonymize_table('stock', '{email,name}', batch_size => 100))), '5000|0|0', 'repseudonymize_table');

#
# Loads, failures, waits.
#
ask($watcher, 'SELECT pseudo_stats_reset()');
my $new = session_of('officer');
ask($new, q(SELECT pseudonymize('a'), pseudonymize('b')));
is(ask($watcher, q(SELECT loads, failures, waits, last_error IS NULL AND last_error_sqlstate IS NULL AND last_error_at IS NULL FROM pseudo_stats)), '1|0|1|t', 'a load');
rename $path, "$path.away" or die;
leave($new);
$new = session_of('officer');
like(ask($new, q(SELECT pseudonymize('a'))), qr/^58P01: /, 'a failure');
is(ask($watcher, q(SELECT loads, failures, waits, last_error_sqlstate, last_error, now() - last_error_at BETWEEN '0' AND '3min' FROM pseudo_stats)),
	qq(1|1|2|58P01|could not open file "$path": No such file or directory|t), 'a failure: what it was');
rename "$path.away", $path or die;
ask($new, q(SELECT pseudonymize('a')));
is(ask($watcher, q(SELECT loads, failures, waits, last_error_sqlstate FROM pseudo_stats)), '2|1|3|58P01', 'after that');
like(ask($new, q(SELECT pseudo_refresh_keyring())), qr/^42501/, 'no owner');
ask($watcher, q(SELECT pseudo_refresh_keyring()));
is(ask($watcher, q(SELECT loads, failures, waits FROM pseudo_stats WHERE role = session_user)), '1|0|1', 'pseudo_refresh_keyring: of who calls it');
leave($new);

#
# Who sees what.
#
my $other = session_of('owner');
ask($other, q(SELECT pseudonymize('a', keyring => 'crm')));
leave($other);
is(ask($s, 'SELECT DISTINCT role FROM pseudo_stats'), 'officer', 'a role sees its own rows');
is(ask($analyst, 'SELECT count(*) FROM pseudo_stats'), '0', 'who has none sees none');
is(ask($analyst, 'SELECT count(*) FROM pseudo_stats_rows()'), '0', 'nor by the function');
is(ask($analyst, q(SELECT count(*) FROM (SELECT * FROM shown, pseudo_stats) AS x)), '0', 'nor beside a view of another');
ask($s, 'CREATE VIEW mine AS SELECT * FROM pseudo_stats; GRANT SELECT ON mine TO analyst');
is(ask($analyst, 'SELECT count(*) FROM mine'), '0', 'nor by a view of another: it has the rights of its reader');
for my $role (qw(officer analyst owner nobody watcher))
{
	my $one = session_of($role);
	like(ask($one, 'SELECT pseudo_stats_reset()'), qr/^42501: permission denied for function pseudo_stats_reset/, "$role cannot reset");
	leave($one);
}
my $all = session_of('watcher');
is(ask($all, q(SELECT string_agg(DISTINCT role, ',' ORDER BY role) FROM pseudo_stats WHERE role <> session_user)), 'officer,owner', 'pg_read_all_stats sees all');
ask($watcher, 'GRANT EXECUTE ON FUNCTION pseudo_stats_reset TO watcher');
is(ask($all, 'SELECT pseudo_stats_reset(); SELECT count(*) FROM pseudo_stats'), '0', 'who is granted it can');
leave($all);

# Other databases: all in one view, with names that an encoding may not have.
$node->safe_psql('postgres', q(CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'));
$node->safe_psql('latin', 'CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo; GRANT USAGE ON SCHEMA pseudo TO officer; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer');
ask($watcher, qq(CREATE SERVER "gr\xc3\xb6\xc3\x9fe" FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$path'); SELECT pseudo_stats_reset(); SELECT pseudonymize('a', keyring => 'gr\xc3\xb6\xc3\x9fe')));
is(ask($watcher, 'SELECT keyring, database FROM pseudo_stats'), "gr\xc3\xb6\xc3\x9fe|postgres", 'a name that is not ASCII');
my $latin = session($node, 'latin');
is(ask($latin, 'SELECT keyring, database, pseudonymized FROM pseudo.pseudo_stats'), 'gr????e|postgres|1', 'from another database');
ask($watcher, qq(ALTER SERVER "gr\xc3\xb6\xc3\x9fe" RENAME TO size));
is(ask($watcher, 'SELECT keyring FROM pseudo_stats'), 'size', 'renamed');
leave($latin);

#
# What is dropped.
#
sub rows { return ask($watcher, q(SELECT coalesce(database, '-'), coalesce(keyring, '-'), coalesce(role, '-'), pseudonymized FROM pseudo_stats ORDER BY 1, 2, 3)) }

sub use_in
{
	my ($database, $role, $keyring, $n) = @_;
	$node->safe_psql($database, "SET ROLE $role; SELECT count(pseudo.pseudonymize(n::text, keyring => '$keyring')) FROM generate_series(1, $n) n");
}

$node->safe_psql('latin', "CREATE SERVER crm FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$path'); GRANT USAGE ON FOREIGN SERVER crm TO officer");
$node->safe_psql('postgres', 'CREATE ROLE leaver; GRANT USAGE ON SCHEMA pseudo TO leaver; GRANT USAGE ON FOREIGN SERVER crm TO leaver; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO leaver');
ask($watcher, 'SELECT pseudo_stats_reset()');
use_in('latin', 'officer', 'crm', 1);
use_in('postgres', 'officer', 'crm', 2);
use_in('postgres', 'leaver', 'crm', 4);
use_in('postgres', 'officer', 'pseudo', 8);
my $before = "latin|crm|officer|1\npostgres|crm|leaver|4\npostgres|crm|officer|2\npostgres|pseudo|officer|8";
is(rows(), $before, 'before anything is dropped');
ask($watcher, 'BEGIN; DROP SERVER crm CASCADE; ROLLBACK');
ask($watcher, 'BEGIN; SAVEPOINT s; DROP SERVER crm CASCADE; DROP OWNED BY leaver; DROP ROLE leaver; ROLLBACK TO s; COMMIT');
is(rows(), $before, 'rolled back: all are there');
ask($watcher, 'BEGIN; SAVEPOINT s; DROP OWNED BY leaver; RELEASE s; SAVEPOINT t; DROP SERVER crm CASCADE; ROLLBACK TO t; DROP ROLE leaver; COMMIT');
is(rows(), "-|-|-|4\nlatin|crm|officer|1\npostgres|crm|officer|2\npostgres|pseudo|officer|8", 'a role: its numbers stay in the sums');
ask($watcher, 'DROP SERVER crm CASCADE');
is(rows(), "-|-|-|6\nlatin|crm|officer|1\npostgres|pseudo|officer|8", 'a keyring: that of this database');
my $oid = ask($watcher, q(SELECT oid FROM pg_database WHERE datname = 'latin'));
ask($watcher, 'DROP DATABASE latin');
ask($watcher, "CREATE DATABASE other OID = $oid");
is(ask($watcher, q(SELECT oid FROM pg_database WHERE datname = 'other')), $oid, 'another database with the same number');
is(rows(), "-|-|-|7\npostgres|pseudo|officer|8", 'has none of its rows');

# What a transaction counts after others have dropped its keyring, or begun again.
add_keyring($node, 'brief', $keys);
ask($watcher, 'GRANT USAGE ON FOREIGN SERVER brief TO officer; SELECT pseudo_stats_reset()');
ask($s, q(BEGIN; SELECT count(pseudonymize(n::text, keyring => 'brief')) FROM generate_series(1, 5000) n));
ask($watcher, 'DROP SERVER brief CASCADE');
ask($s, 'COMMIT');
is(rows(), '-|-|-|5000', 'dropped in the middle');
ask($s, q(BEGIN; SELECT count(pseudonymize(n::text)) FROM generate_series(1, 5000) n));
ask($watcher, 'SELECT pseudo_stats_reset()');
ask($s, 'COMMIT');
is(rows(), 'postgres|pseudo|officer|903', 'reset in the middle: the rest has a row again');
add_keyring($node, 'at_once', $keys);
ask($watcher, q(SELECT pseudo_stats_reset()));
ask($watcher, q(BEGIN; SELECT pseudonymize('a', keyring => 'at_once'); DROP SERVER at_once; COMMIT));
is(rows(), '-|-|-|1', 'used and dropped in one transaction');

# A crash, and a restart: all begins at 0, and works.
ask($s, q(SELECT pseudonymize('a')));
leave($_) for $s, $analyst;
my $victim = $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'));
crash($node, $victim);
$watcher->{run}->kill_kill;
is($node->safe_psql('postgres', "SELECT count(*) FROM pseudo.pseudo_stats"), '0', 'after a crash there is none');
use_in('postgres', 'officer', 'pseudo', 3);
is($node->safe_psql('postgres', 'SELECT pseudonymized FROM pseudo.pseudo_stats'), 3, 'after a crash');
$node->restart;
is($node->safe_psql('postgres', 'SELECT count(*) FROM pseudo.pseudo_stats'), 0, 'after a restart');

# A standby counts for itself, and need not write anything for it.
$node->backup('stats');
my $standby = PostgreSQL::Test::Cluster->new('stats_standby');
$standby->init_from_backup($node, 'stats', has_streaming => 1);
$standby->start;
$standby->safe_psql('postgres', 'SET ROLE owner; SELECT pseudo.pseudonymize(n::text) FROM generate_series(1, 5) n');
is($standby->safe_psql('postgres', 'SELECT keyring, role, pseudonymized, loads FROM pseudo.pseudo_stats'), 'pseudo|owner|5|1', 'a standby counts');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pseudo.pseudo_stats'), 0, 'a standby: for itself');
$standby->safe_psql('postgres', 'SELECT pseudo.pseudo_stats_reset()');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM pseudo.pseudo_stats'), 0, 'a standby: reset');
$standby->stop;

#
# A table that is full.
#
$node->append_conf('postgresql.conf', 'pseudo.stats_max = 2');
$node->restart;
$node->safe_psql('postgres', 'CREATE ROLE third; GRANT officer TO third');
use_in('postgres', 'officer', 'pseudo', 1);
use_in('postgres', 'owner', 'pseudo', 2);
use_in('postgres', 'third', 'pseudo', 4);
$watcher = session($node);
ask($watcher, 'SET search_path = public, pseudo');
is(rows(), "-|-|-|4\npostgres|pseudo|officer|1\npostgres|pseudo|owner|2", 'full: the rest has no name');
is($node->safe_psql('postgres', 'SET ROLE third; SELECT count(*) FROM pseudo.pseudo_stats'), 0, 'full: and nobody but pg_read_all_stats sees it');
like(error_of($node, 'postgres', q(SET ROLE third; SELECT pseudo.reidentify('AAAA', keyring => 'none'))), qr/^42704/, 'full: errors as always');
is(ask($watcher, 'DROP OWNED BY owner; DROP ROLE owner; SELECT sum(pseudonymized) FROM pseudo_stats'), 7, 'full: sums stay');
use_in('postgres', 'third', 'pseudo', 8);
is(rows(), "-|-|-|6\npostgres|pseudo|officer|1\npostgres|pseudo|third|8", 'full: a place that is free again');
like(ask($watcher, 'SET pseudo.stats_max = 5'), qr/^55P02/, 'the setting is for the start of the server');
leave($watcher);

#
# Not preloaded: nothing counts, and the view says what to do.
#
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is($node->safe_psql('postgres', q(SELECT pseudo.reidentify(pseudo.pseudonymize('a')))), 'a', 'not preloaded: the functions work');
like(error_of($node, 'postgres', $_), qr/^55000: pseudo must be loaded via "shared_preload_libraries"/, "not preloaded: $_") for 'SELECT * FROM pseudo.pseudo_stats', 'SELECT pseudo.pseudo_stats_reset()';

$node->stop;
done_testing();
