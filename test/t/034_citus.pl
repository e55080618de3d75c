# Citus: a coordinator and its workers.  Citus is in no registry: who has built it beside this PostgreSQL runs this.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IO::Socket::UNIX ();
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sharedir = `$ENV{PG_CONFIG} --sharedir`;
chomp $sharedir;
plan skip_all => 'Citus is not installed beside this PostgreSQL' unless -e "$sharedir/extension/citus.control";

# A node, with the libraries named.
sub start_node
{
	my ($name, $libraries) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = '$libraries'
listen_addresses = '127.0.0.1'
max_prepared_transactions = 50
max_worker_processes = 20
max_connections = 50
log_statement = all
citus.shard_count = 8
citus.node_conninfo = 'sslmode=prefer'
});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus');
	return $node;
}

my $coordinator = start_node('coordinator', 'citus, pseudo');
my @workers = map { start_node("worker$_", 'citus, pseudo') } 1 .. 2;
my $added = start_node('added', 'citus');
my $keys = $coordinator->basedir . '/keys.json';

# SQL on the coordinator; as a role.
sub sql { return $coordinator->safe_psql('postgres', $_[0]) }
sub sql_as { return sql("SET ROLE $_[0];\n$_[1]") }

# What a statement fails with, with its hint; on another node.
sub refused
{
	my ($sql, $node) = @_;
	my ($code, $out, $err) = ($node // $coordinator)->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $err;
}

sub add_node { return sql("SELECT FROM citus_add_node('127.0.0.1', " . $_[0]->port . ')') }

# What the workers' logs have from here on.
sub logs { return map { slurp_file($_->logfile) } @workers, $added }

like(refused('CREATE EXTENSION pseudo', $added), qr/55000: pseudo must be preloaded where Citus is\n(DETAIL: .*\n)?HINT: .*shared_preload_libraries/, 'a node without the library preloaded: refused');
$added->append_conf('postgresql.conf', "shared_preload_libraries = 'citus, pseudo'");
$added->restart;

sql("SELECT citus_set_coordinator_host('127.0.0.1', " . $coordinator->port . ')');
add_node($_) for @workers;
sql('CREATE SCHEMA pseudo');
sql('CREATE EXTENSION pseudo SCHEMA pseudo');
sql("CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys')");
sql('SELECT pseudo.pseudo_create_key()');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'extension, keyring and rights are alike on all nodes');
# Functions that would be better matches than PostgreSQL's, if it did not name the schema.
$workers[0]->safe_psql('postgres', 'SET citus.enable_ddl_propagation = off; ' . join '; ',
	map { "CREATE FUNCTION public.$_ LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'planted'; END \$\$" }
	  'format(text, text, text, text, text) RETURNS text', 'concat(text, text, text, text, text, text, text) RETURNS text', 'lower(text) RETURNS text', 'jsonb_agg(text) RETURNS jsonb');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'nothing of others is called on other nodes');
$workers[0]->safe_psql('postgres', 'SET citus.enable_ddl_propagation = off; DROP FUNCTION public.format, public.concat, public.lower, public.jsonb_agg');

like(refused('SELECT pseudo.pseudo_create_key()', $workers[0]), qr/55000: keys cannot be changed on a worker node of Citus\nHINT:  Change them on the coordinator/, 'a worker creates no keys');

# ---- Look-ups ----

sql(q{
	CREATE TABLE people (id bigint, email text, note text);
	SELECT create_distributed_table('people', 'email');
	CREATE TABLE visits (id bigint, tenant int, email text);
	SELECT create_distributed_table('visits', 'tenant');
	CREATE TABLE places (id int, name text);
	SELECT create_reference_table('places');
	CREATE TABLE source (email text);
	SELECT create_distributed_table('source', 'email', colocate_with => 'people');
	INSERT INTO people SELECT n, pseudo.pseudonymize(n || '@example.com', true) FROM generate_series(1, 100) n;
	INSERT INTO visits SELECT n, n % 10, pseudo.pseudonymize(n || '@example.com', true) FROM generate_series(1, 100) n;
	INSERT INTO places VALUES (1, pseudo.pseudonymize('home', true));
	INSERT INTO source SELECT email FROM people;
});
my $secret = 'secret-value@example.com';

sql("INSERT INTO people VALUES (1000, pseudo.pseudonymize('$secret', true))");
sql("INSERT INTO visits VALUES (1000, 3, pseudo.pseudonymize('$secret', true))");
my $call = "pseudo.pseudonymize('$secret', true)";
is(sql("SELECT id FROM people WHERE email = $call"), '1000', 'a look-up');
like(sql("EXPLAIN SELECT id FROM people WHERE email = $call"), qr/Task Count: 1\b/, 'one shard is asked');
like(sql("EXPLAIN SELECT id FROM visits WHERE email = $call"), qr/Task Count: 8\b/, 'all are asked where the table is distributed otherwise');
is(sql("SELECT id FROM visits WHERE email = $call"), '1000', 'and find it');
is(sql("SELECT id FROM people WHERE email = ANY (pseudo.pseudonyms_of('$secret'))"), '1000', 'a look-up under every key');
is(sql("SELECT id FROM places WHERE name = pseudo.pseudonymize('home', true)"), '1', 'a look-up in a reference table');
sql("UPDATE people SET note = $call WHERE email = $call");
is(sql("SELECT pseudo.reidentify(note) FROM people WHERE id = 1000"), $secret, 'UPDATE');
sql("UPDATE visits SET email = $call WHERE id = 5 AND tenant = 5");
is(sql("SELECT count(*) FROM visits WHERE email = $call"), '2', 'UPDATE of one shard');
sql("MERGE INTO people p USING source s ON p.email = s.email AND p.email = pseudo.pseudonymize('7\@example.com', true) WHEN MATCHED THEN UPDATE SET note = $call");
is(sql("SELECT id FROM people WHERE note = $call ORDER BY id"), "7\n1000", 'MERGE');
sql("DELETE FROM visits WHERE email = $call");
is(sql("SELECT count(*) FROM visits WHERE email = $call"), '0', 'DELETE');
for my $mode (qw(force_custom_plan force_generic_plan))
{
	is( sql(qq{
			SET plan_cache_mode = $mode;
			PREPARE find(text) AS SELECT id FROM people WHERE email = pseudo.pseudonymize(\$1, true);
			EXECUTE find('$secret');
			EXECUTE find('8\@example.com');
			EXPLAIN EXECUTE find('$secret');
		}) =~ s/^ .*\n|^Custom.*\n//mgr =~ s/\n .*//sr, "1000\n8", "$mode");
}
# A client that binds it.
my $script = $coordinator->basedir . '/find.sql';
append_to_file($script, 'SELECT id FROM people WHERE email = pseudo.pseudonymize(:value, true);
UPDATE people SET note = pseudo.pseudonymize(:value, true) WHERE email = pseudo.pseudonymize(:value, true);
SELECT id FROM visits WHERE email = pseudo.pseudonymize(:value, true);
');
for my $protocol (qw(extended prepared))
{
	$coordinator->command_ok([ 'pgbench', '-n', '-t', '10', '-M', $protocol, '-D', "value=$secret", '-f', $script, 'postgres' ], "a client that binds the value, $protocol");
}
unlike($_, qr/secret-value/, 'the value is in no log of a worker') for logs();
like(slurp_file($coordinator->logfile), qr/secret-value/, 'though the coordinator logs statements');

# Prepared without parameters: a rotation counts at once.
my $session = session($coordinator);
ask($session, q{PREPARE eight AS SELECT id FROM people WHERE email = pseudo.pseudonymize('8@example.com', true)});
is(ask($session, 'EXECUTE eight'), '8', 'prepared without parameters');
sql('SELECT pseudo.pseudo_create_key(make_primary => true)');
is(ask($session, 'SELECT pseudo.pseudo_refresh_keyring(); EXECUTE eight'), '', 'after a rotation it looks for the new pseudonym');
sql('SELECT pseudo.pseudo_set_primary_key(\'pseudo\', (SELECT key_ids[1] FROM pseudo.pseudo_keyrings))');
is(ask($session, 'SELECT pseudo.pseudo_refresh_keyring(); EXECUTE eight'), '8', 'and after another one for the old one');
leave($session);

# A message of the protocol lies between the planning and the execution of an UPDATE: the pseudonym may be another one by then.
sub message { return pack('a N a*', $_[0], 4 + length $_[1], $_[1]) }
sub bind_value
{
	my ($portal, $sql, @values) = @_;

	return message('P', "\0$sql\0" . pack('n', 0))
	  . message('B', "$portal\0\0" . pack('n n', 0, scalar @values) . join('', map { pack('N/a*', $_) } @values) . pack('n', 0));
}
sub execute { return message('E', "$_[0]\0" . pack('N', 0)) }

# Send messages, and read to one of a type; what is in those of commands that are complete, and of errors.
sub converse
{
	my ($socket, $sent, $last) = @_;
	my ($type, @said) = '';

	print $socket $sent;
	while ($type ne $last)
	{
		read($socket, my $head, 5) == 5 or die 'the server has gone';
		($type, my $size) = unpack 'a N', $head;
		read $socket, my $body, $size - 4 if $size > 4;
		push @said, $type eq 'C' ? unpack('Z*', $body) : join ' ', map { /^([CMDH])(.*)/s ? "$1=$2" : () } split /\0/, $body if $type =~ /^[CE]$/;
	}
	return join "\n", @said;
}
my $socket = IO::Socket::UNIX->new(Peer => $coordinator->host . '/.s.PGSQL.' . $coordinator->port) or die "no socket: $!";
$socket->autoflush(1);
my $user = sql('SELECT current_user');
my $start = pack('N', 196608) . "user\0$user\0database\0postgres\0\0";
converse($socket, pack('N', 4 + length $start) . $start, 'Z');
my $mark_eight = bind_value('mark', 'UPDATE people SET note = $2 WHERE email = pseudo.pseudonymize($1, true)', '8@example.com', 'marked');
my $refresh = bind_value('refresh', 'SELECT pseudo.pseudo_refresh_keyring()') . execute('refresh');
my $sync = message('S', '');

is(converse($socket, $mark_eight . $refresh . execute('mark') . $sync, 'Z'), "SELECT 1\nUPDATE 1", 'an execution that does not follow the planning at once');
converse($socket, $mark_eight . message('H', ''), '2');
sql('SELECT pseudo.pseudo_create_key(make_primary => true)');
is( converse($socket, $refresh . execute('mark') . $sync, 'Z'),
	"SELECT 1\nC=40001 M=could not use a plan because its pseudonyms are other ones by now"
	  . ' D=The keyring, or what a call is given, has changed since the statement was planned. H=Run the statement again.',
	'is refused after a rotation');
is(converse($socket, $mark_eight . execute('mark') . $sync, 'Z'), 'UPDATE 0', 'when it runs again, it looks for the new pseudonym');
sql('SELECT pseudo.pseudo_set_primary_key(\'pseudo\', (SELECT key_ids[1] FROM pseudo.pseudo_keyrings))');
is(converse($socket, $refresh . $mark_eight . execute('mark') . $sync, 'Z'), "SELECT 1\nUPDATE 1", 'and after another one for the old one');
close $socket;

# The other nodes load it when it is old, or now.
like(sql('SELECT difference FROM pseudo.pseudo_node_differences() LIMIT 1'), qr/^keyring "pseudo": other keys$/, 'a node that has not loaded the keyring anew has other keys');
sql(q{SELECT run_command_on_workers('SELECT pseudo.pseudo_refresh_keyring()')});
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'until it is told to');

# ---- Whole tables ----

sql(q{
	CREATE TABLE orders (id bigint, tenant int, email text, name text) PARTITION BY RANGE (id);
	CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (500);
	CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (500) TO (10000);
	SELECT create_distributed_table('orders', 'tenant');
	INSERT INTO orders SELECT n, n % 10, n || '@example.com', 'name' || n FROM generate_series(1, 1000) n;
	CREATE TABLE cities (id int, name text);
	SELECT create_reference_table('cities');
	INSERT INTO cities SELECT n, 'city' || n FROM generate_series(1, 100) n;
	CREATE TABLE here (id int, name text);
	SELECT citus_add_local_table_to_metadata('here');
	INSERT INTO here VALUES (1, 'x');
});
# What a procedure says at its end.
sub end_of { return (refused($_[0]) =~ /NOTICE: .*?public\.(\w+: \d+ values? in \d+ rows? (?:would be )?converted, of \d+ rows?) read/g)[-1] }

# What a run has in pseudo_progress.
sub progress { return sql("SELECT @{[ join ', ', @_[1 .. $#_] ]} FROM pseudo.pseudo_progress WHERE relation = '$_[0]'::regclass") }

is(end_of("CALL pseudo.pseudonymize_table('orders', '{email,name}', true, context => E'a%s''b\\\\c')"),
	'orders: 2000 values in 1000 rows converted, of 1000 rows', 'a distributed, partitioned table is converted');
is(sql("SELECT count(*) FROM orders WHERE pseudo.reidentify(email, E'a%s''b\\\\c') = id || '\@example.com'"), '1000', 'all of it, with the arguments as they were');
is(end_of("CALL pseudo.pseudonymize_table('orders', '{email,name}', true, context => E'a%s''b\\\\c')"), 'orders: 0 values in 0 rows converted, of 1000 rows', 'and once');
is(end_of(q{CALL pseudo.pseudonymize_table('cities', '{name}', true)}), 'cities: 300 values in 300 rows converted, of 300 rows', 'a reference table, on all nodes');
is(sql(q{SELECT count(DISTINCT result), min(result) = md5(string_agg(name, ',' ORDER BY id)) FROM cities,
	run_command_on_placements('cities', $$SELECT md5(string_agg(name, ',' ORDER BY id)) FROM %s$$)
	WHERE nodeport = (SELECT min(nodeport) FROM pg_dist_node)}), '1|t', 'its copies are alike');
is(end_of(q{CALL pseudo.pseudonymize_table('here', '{name}')}), 'here: 1 value in 1 row converted, of 1 row', 'a local table of Citus');
my $refused = refused(q{CALL pseudo.pseudonymize_table('cities', '{name}')});
like($refused, qr/0A000: "cities" is a reference table of Citus, and the random pseudonyms of its copies would differ\nHINT:  Use deterministic => true/, 'random pseudonyms in a reference table: refused');
like(refused(q{CALL pseudo.pseudonymize_table('people', '{email}', true)}), qr/0A000: Citus distributes relation "people" by column "email"\nDETAIL: .*\nHINT:  Distribute by another column/, 'the distribution column: refused');
is(progress('orders', qw(operation columns status pass rows_done rows_total percent values_converted values_already sqlstate)), 'pseudonymize_table|{email,name}|done|1|1000|1000|100.0|0|2000|', 'the coordinator has a row for the whole table');
# What a node refuses.
sql(q{CREATE TABLE short (tenant int, email text CONSTRAINT short CHECK (length(email) < 20)); SELECT create_distributed_table('short', 'tenant'); INSERT INTO short SELECT n, 'a' FROM generate_series(1, 20) n});
$refused = refused(q{CALL pseudo.pseudonymize_table('short', '{email}')});
like($refused, qr/ERROR:  23514: could not convert public\.short_\d+ on 127\.0\.0\.1:\d+\nDETAIL:  23514: check constraint "short" of relation "short_\d+" would refuse a pseudonym  CONTEXT:  trying what would be written to row \(0,1\)/, 'what a node refuses, with what it says');
like($refused, qr/HINT:  Change or drop what refuses the pseudonym, and run this again\. What has been converted stays so\. Remove the cause, and call the procedure again/, 'and its hint');
is(progress('short', qw(status sqlstate)), 'failed|23514', 'the row of the whole table says so');
like(refused(q{UPDATE visits SET email = pseudo.pseudonymize(email, true)}), qr/0A000: STABLE functions used in UPDATE queries cannot be called with column references/, 'an UPDATE that calls it for each row: refused by Citus');
# Cancelled: the node does not go on.  A row that others have locked keeps it there.
my $holder = session($coordinator);
sql('ALTER TABLE short DROP CONSTRAINT short');
ask($holder, 'BEGIN; UPDATE short SET email = email WHERE tenant = 7');
like(refused(q{SET statement_timeout = '5s'; CALL pseudo.pseudonymize_table('short', '{email}', true)}), qr/57014: canceling statement due to statement timeout/, 'a run that is cancelled');
is(progress('short', qw(status sqlstate)), 'cancelled|57014', 'is so on the coordinator');
my $shard = sql(q{SELECT shard_name('short', get_shard_id_for_distribution_column('short', 7))});
my ($place_of_7) = grep { $_->port == sql(q{SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('short', 7)}) } @workers;
ok($place_of_7->poll_query_until('postgres', "SELECT status = 'cancelled' FROM pseudo.pseudo_progress WHERE relation = '$shard'::regclass"), 'and on the node');
# A shard that is moved while the procedure is at another one: all are looked at again.
my ($first, $from1) = split /\|/, sql(q{SELECT shardid, nodeport FROM citus_shards WHERE table_name = 'short'::regclass AND shardid <> get_shard_id_for_distribution_column('short', 7) ORDER BY 1 LIMIT 1});
my ($to1) = grep { $_ != $from1 } map { $_->port } @workers;
my $convert = IPC::Run::start([ 'psql', '-XAtq', '-d', $coordinator->connstr('postgres'), '-c', q{CALL pseudo.pseudonymize_table('short', '{email}', true)} ], '>', \my $said, '2>', \my $notices, IPC::Run::timeout(180));
$coordinator->poll_query_until('postgres', q{SELECT status = 'running' FROM pseudo.pseudo_progress WHERE relation = 'short'::regclass}) or die 'it does not begin';
$place_of_7->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") or die 'it does not wait';
sql("SELECT FROM citus_move_shard_placement($first, '127.0.0.1', $from1, '127.0.0.1', $to1, 'block_writes')");
ask($holder, 'COMMIT');
leave($holder);
ok($convert->finish, 'a shard is moved while another one is converted');
is(scalar(() = $notices =~ /public\.short_$first on \S+ is done/g), 2, 'it is looked at again where it is then');
is(sql(q{SELECT count(*) FROM short WHERE pseudo.reidentify(email) = 'a'}), '20', 'and all is converted');
is(progress('short', qw(status pass)), 'done|2', 'in two passes');
sql('SELECT pseudo.pseudo_create_key(make_primary => true)');
sql(q{SELECT run_command_on_all_nodes('SELECT pseudo.pseudo_refresh_keyring()')});
# A shard that is moved while a dry run waits for another one.
$holder = session($place_of_7);
ask($holder, "SET citus.enable_manual_changes_to_shards = on; BEGIN; LOCK TABLE $shard IN ACCESS EXCLUSIVE MODE");
$convert = IPC::Run::start([ 'psql', '-XAtq', '-d', $coordinator->connstr('postgres'), '-c', q{CALL pseudo.repseudonymize_table('short', '{email}', dry_run => true)} ], '>', \$said, '2>', \$notices, IPC::Run::timeout(180));
$place_of_7->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '$shard'::regclass") or die 'it does not wait';
sql("SELECT FROM citus_move_shard_placement($first, '127.0.0.1', $to1, '127.0.0.1', $from1, 'block_writes')");
ask($holder, 'COMMIT');
leave($holder);
ok($convert->finish, 'a shard is moved while a dry run is at another one');
like($notices, qr/20 values in 20 rows would be converted, of 20 rows/, 'each value is counted once');
is(end_of(q{CALL pseudo.repseudonymize_table('orders', '{email,name}', E'a%s\'b\\\\c', dry_run => true)}), 'orders: 2000 values in 1000 rows would be converted, of 1000 rows', 'a dry run');
is(progress('orders', qw(status values_converted rows_converted values_already)), 'dry_run|2000|1000|0', 'which the row of the whole table shows');
is(sql('SELECT count(DISTINCT pseudo.pseudonym_key_id(name)) FROM orders'), '1', 'and which changes nothing');
is(end_of(q{CALL pseudo.repseudonymize_table('cities', '{name}')}), 'cities: 300 values in 300 rows converted, of 300 rows', 'a rotation');
is(sql('SELECT DISTINCT pseudo.pseudonym_key_id(name) FROM cities'), sql('SELECT primary_key_id FROM pseudo.pseudo_keyrings'), 'has moved all to the new key');
sql('SELECT pseudo.pseudo_set_primary_key(\'pseudo\', (SELECT key_ids[1] FROM pseudo.pseudo_keyrings))');
sql(q{SELECT run_command_on_all_nodes('SELECT pseudo.pseudo_refresh_keyring()')});
# A table that is dropped meanwhile: Citus distributes one otherwise by making another one.
sql(q{CREATE TABLE gone (tenant int, email text); SELECT create_distributed_table('gone', 'tenant', colocate_with => 'short'); INSERT INTO gone SELECT n, 'a' FROM generate_series(1, 20) n});
my $gone = sql(q{SELECT shard_name('gone', get_shard_id_for_distribution_column('gone', 7))});
$holder = session($place_of_7);
ask($holder, "SET citus.enable_manual_changes_to_shards = on; BEGIN; SELECT FROM $gone WHERE tenant = 7 FOR UPDATE");
$convert = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $coordinator->connstr('postgres'), '-c', q{CALL pseudo.pseudonymize_table('gone', '{email}', true)} ], '>', \$said, '2>', \$notices, IPC::Run::timeout(180));
$place_of_7->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") or die 'it does not wait';
my $drop = IPC::Run::start([ 'psql', '-XAtq', '-d', $coordinator->connstr('postgres'), '-c', 'DROP TABLE gone' ], '>', \my $out_of_drop, '2>', \my $err_of_drop, IPC::Run::timeout(180));
$place_of_7->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'") or die 'it is not dropped';
ask($holder, 'COMMIT');
leave($holder);
ok($drop->finish, 'a table is dropped while it is converted') or diag($err_of_drop);
ok(!$convert->finish, 'that does not end as if all were converted');
like($notices, qr/ERROR:  55000: table public\.gone was dropped while it was being converted\nDETAIL: .*\nHINT:  If there is a table of that name, call the procedure again/, 'but is an error');
# A node that is down: before the first shard, and between two passes, while the run waits for the last shard of a node that is not.
sql(q{CREATE TABLE down (tenant int, email text); SELECT create_distributed_table('down', 'tenant', colocate_with => 'none'); INSERT INTO down SELECT n, 'a' FROM generate_series(1, 20) n});
my ($down) = grep { $_->port == sql(q{SELECT nodeport FROM citus_shards WHERE table_name = 'down'::regclass ORDER BY shardid LIMIT 1}) } @workers;
$down->stop;
my $not_asked = qr/ERROR:  38000: could not convert public\.down_\d+ on 127\.0\.0\.1:@{[ $down->port ]}\nDETAIL:  failed to connect to .*\nHINT:  What has been converted stays so\. Remove the cause, and call the procedure again/;
like(refused(q{CALL pseudo.pseudonymize_table('down', '{email}', true)}), $not_asked, 'a node is down before its shards are counted');
is(progress('down', qw(status sqlstate)), 'failed|38000', 'the row of the whole table says so');
$down->start;
my $last = sql(q{SELECT n FROM generate_series(1, 20) n ORDER BY get_shard_id_for_distribution_column('down', n) DESC LIMIT 1});
my ($up) = grep { $_->port == sql("SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('down', $last)") } @workers;
($down) = grep { $_ != $up } @workers;
$holder = session($coordinator);
ask($holder, "BEGIN; UPDATE down SET email = email WHERE tenant = $last");
$convert = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $coordinator->connstr('postgres'), '-c', q{CALL pseudo.pseudonymize_table('down', '{email}', true)} ], '>', \$said, '2>', \$notices, IPC::Run::timeout(180));
$up->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") or die 'it does not wait';
is(progress('down', qw(status sqlstate)), 'running|', 'a run waits for its last shard');
sql("SELECT FROM citus_move_shard_placement((SELECT max(shardid) FROM citus_shards WHERE table_name = 'down'::regclass AND nodeport = @{[ $down->port ]}), '127.0.0.1', @{[ $down->port ]}, '127.0.0.1', @{[ $up->port ]}, 'block_writes')");
$down->stop;
ask($holder, 'COMMIT');
leave($holder);
ok(!$convert->finish, 'a node is down before a second pass');
$not_asked = qr/ERROR:  38000: could not convert public\.down_\d+ on 127\.0\.0\.1:@{[ $down->port ]}\nDETAIL:  failed to connect to .*\nHINT:  What has been converted stays so\. Remove the cause, and call the procedure again/;
like($notices, $not_asked, 'which is an error');
is(progress('down', qw(status sqlstate)), 'failed|38000', 'the row of the whole table says so');
$down->start;
is(end_of(q{CALL pseudo.pseudonymize_table('down', '{email}', true)}), 'down: 0 values in 0 rows converted, of 20 rows', 'all had been converted');
is(progress('down', qw(status sqlstate)), 'done|', 'as the next call says');
# Two sessions convert a partition each, at the same time; a third one the whole table.
sql(q{
	CREATE TABLE parts (tenant int, email text) PARTITION BY RANGE (tenant);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (21);
	CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (21) TO (41);
	SELECT create_distributed_table('parts', 'tenant', colocate_with => 'none');
	INSERT INTO parts SELECT n, 'a' FROM generate_series(1, 40) n;
});
$last = sql(q{SELECT n FROM generate_series(1, 20) n ORDER BY get_shard_id_for_distribution_column('parts', n) DESC LIMIT 1});
my ($busy) = grep { $_->port == sql("SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('parts', $last)") } @workers;
$holder = session($coordinator);
ask($holder, "BEGIN; UPDATE parts SET email = email WHERE tenant = $last");
$convert = IPC::Run::start([ 'psql', '-XAtq', '-d', $coordinator->connstr('postgres'), '-c', q{CALL pseudo.pseudonymize_table('parts_1', '{email}', true)} ], '>', \$said, '2>', \$notices, IPC::Run::timeout(180));
$busy->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") or die 'it does not wait';
is(end_of(q{CALL pseudo.pseudonymize_table('parts_2', '{email}', true)}), 'parts_2: 20 values in 20 rows converted, of 20 rows', 'a partition is converted while another session is at another one');
like(refused(q{CALL pseudo.pseudonymize_table('parts', '{email}', true)}),
	qr/ERROR:  55006: could not convert public\.parts_\d+ on \S+\nDETAIL:  55006: table public\.parts_1_\d+ is being converted by another session/, 'the whole table cannot be');
is(progress('parts', qw(status sqlstate)), 'failed|55006', 'which pseudo_progress says');
ask($holder, 'COMMIT');
leave($holder);
ok($convert->finish, 'the first session ends');
like($notices, qr/public\.parts_1: 20 values in 20 rows converted, of 20 rows/, 'and has converted its own');
is(end_of(q{CALL pseudo.pseudonymize_table('parts', '{email}', true)}), 'parts: 0 values in 0 rows converted, of 40 rows', 'then nothing is left');
is(sql(q{SELECT count(*) FROM parts WHERE pseudo.reidentify(email) = 'a'}), '40', 'of the whole table');
# Cancelled while the rows are estimated: a partition of a shard is locked.
$holder = session($busy);
my $part = sql("SELECT shard_name('parts_1', get_shard_id_for_distribution_column('parts_1', $last))");
ask($holder, "SET citus.enable_manual_changes_to_shards = on; BEGIN; LOCK TABLE $part IN ACCESS EXCLUSIVE MODE");
like(refused(q{SET statement_timeout = '2s'; CALL pseudo.pseudonymize_table('parts', '{email}', true)}), qr/57014: canceling statement due to statement timeout/, 'a run that is cancelled before the first shard');
is(progress('parts', qw(status sqlstate pass)), 'cancelled|57014|0', 'is so in pseudo_progress');
ask($holder, 'COMMIT');
leave($holder);

# ---- Secondaries ----

# Standbys of the workers, which Citus may read from, and nothing else.
sql(q{CREATE TABLE twofold (tenant int, email text); SELECT create_distributed_table('twofold', 'tenant', colocate_with => 'none'); INSERT INTO twofold SELECT n, 'a' FROM generate_series(1, 20) n});
my @standbys;
for my $worker (@workers)
{
	my $standby = PostgreSQL::Test::Cluster->new('standby_of_' . $worker->name);

	$worker->backup('base');
	$standby->init_from_backup($worker, 'base', has_streaming => 1);
	$standby->start;
	sql("SELECT FROM citus_add_secondary_node('127.0.0.1', @{[ $standby->port ]}, '127.0.0.1', @{[ $worker->port ]})");
	push @standbys, $standby;
}
my $their_ports = join '|', map { $_->port } @standbys;
# The same in a session that reads from secondaries.
sub from_secondaries
{
	my ($ask, $sql) = @_;
	local $ENV{PGOPTIONS} = '-c citus.use_secondary_nodes=always';

	return $ask->($sql);
}

$workers[$_]->wait_for_catchup($standbys[$_]) for 0, 1;
like(from_secondaries(\&sql, "EXPLAIN SELECT id FROM people WHERE email = $call"), qr/port=(?:$their_ports)\b/, 'a session that reads from secondaries');
is(from_secondaries(\&sql, "SELECT id FROM people WHERE email = $call"), '1000', 'finds by a look-up');
is(from_secondaries(\&sql, 'SELECT count(pseudo.reidentify(email)) FROM people'), '101', 'which open pseudonyms, too');
unlike(slurp_file($_->logfile), qr/secret-value/, 'the value is in no log of theirs') for @standbys;
is(from_secondaries(\&end_of, q{CALL pseudo.pseudonymize_table('twofold', '{email}', true)}),
	'twofold: 20 values in 20 rows converted, of 20 rows', 'a table is converted on the primaries, each row once');
$_->stop for @standbys;
is(end_of(q{CALL pseudo.pseudonymize_table('twofold', '{email}', true)}), 'twofold: 0 values in 0 rows converted, of 20 rows', 'secondaries are not asked for that');
is(end_of(q{CALL pseudo.pseudonymize_table('cities', '{name}', true)}), 'cities: 0 values in 0 rows converted, of 300 rows', 'nor for the copies of a reference table');
sql('CREATE ROLE twofold; GRANT EXECUTE ON FUNCTION pseudo.reidentify TO twofold; SELECT pseudo.pseudo_sync_grants()');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'rights do without them, too');
sql('REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM twofold; DROP ROLE twofold');
sql("SELECT FROM citus_remove_node('127.0.0.1', @{[ $_->port ]})") for @standbys;

# ---- The rest of whole tables ----

# The way for a distribution column.
sql(q{
	CREATE TABLE plain (id bigint, email text, note text);
	SELECT create_distributed_table('plain', 'email');
	INSERT INTO plain SELECT n, n || '@example.com' FROM generate_series(1, 100) n;
	BEGIN;
	LOCK TABLE plain IN EXCLUSIVE MODE;
	CREATE TABLE plain_new (LIKE plain INCLUDING ALL);
	SELECT create_distributed_table('plain_new', 'email');
	INSERT INTO plain_new (id, email, note) SELECT id, pseudo.pseudonymize(email, true), note FROM plain;
	ALTER TABLE plain RENAME TO plain_old;
	ALTER TABLE plain_new RENAME TO plain;
	COMMIT;
	DROP TABLE plain_old;
});
is(sql(q{SELECT id FROM plain WHERE email = pseudo.pseudonymize('9@example.com', true)}), '9', 'a new table with pseudonyms in the distribution column');
is(sql(q{SELECT count(*) FROM plain WHERE pseudo.reidentify(email) = id || '@example.com'}), '100', 'has all rows');

# A trigger of the distribution column.
sql(q{
	CREATE TABLE keyed (email text, note text);
	SELECT create_distributed_table('keyed', 'email');
	SET citus.enable_unsafe_triggers = on;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON keyed FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
});
like(refused(q{INSERT INTO keyed VALUES ('a@example.com')}), qr/0A000: Citus distributes relation "keyed_\d+" by column "email"\nDETAIL: .*\nHINT:  Distribute by another column, or pseudonymize the value in the INSERT/, 'a trigger of the distribution column: refused');
like(refused(q{SECURITY LABEL FOR pseudo ON COLUMN keyed.email IS 'deterministic'}), qr/0A000: Citus distributes relation "keyed" by column "email"\nDETAIL: .*\nHINT: /, 'so is its label');
# A shard that is moved while others write to it, with a trigger on the shards.
sql(q{
	CREATE TABLE moved (id bigserial, tenant int, email text, PRIMARY KEY (tenant, id));
	SELECT create_distributed_table('moved', 'tenant');
	SET citus.enable_unsafe_triggers = on;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON moved FOR EACH ROW
		EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'existing=keep');
	INSERT INTO moved (tenant, email) SELECT n, n || '@example.com' FROM generate_series(1, 50) n;
});
my $write = $coordinator->basedir . '/write.sql';
append_to_file($write, q{INSERT INTO moved (tenant, email) SELECT 1, 1 || '@example.com';
UPDATE moved SET email = 'new' || tenant || '@example.com' WHERE tenant = 1 AND id % 2 = 0;
});
my ($from) = split /\n/, sql('SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column(\'moved\', 1)');
my ($to) = grep { $_ != $from } map { $_->port } @workers;
my $writer = IPC::Run::start([ 'pgbench', '-n', '-t', '150', '-f', $write, '-d', $coordinator->connstr('postgres') ], '>', \my $out, '2>', \my $err, IPC::Run::timeout(180));
sql("SELECT FROM citus_move_shard_placement(get_shard_id_for_distribution_column('moved', 1), '127.0.0.1', $from, '127.0.0.1', $to, 'force_logical')");
ok($writer->finish, 'writers go on while a shard is moved') or diag($err);
is(sql('SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column(\'moved\', 1)'), $to, 'the shard has been moved');
is(sql(q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(email) IN (tenant || '@example.com', 'new' || tenant || '@example.com')) FROM moved}), '200|200',
	'and each value is a pseudonym, once');

# ---- Labels, and another column for the pseudonyms ----

sql(q{
	CREATE TABLE clients (id bigserial, tenant int, email text, email_p text, secret text, day date NOT NULL, PRIMARY KEY (tenant, id, day)) PARTITION BY RANGE (day);
	CREATE TABLE clients_1 PARTITION OF clients FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	SELECT create_distributed_table('clients', 'tenant');
	INSERT INTO clients (tenant, email, secret, day) SELECT n, n || '@example.com', 'secret' || n, '2026-01-02' FROM generate_series(1, 100) n;
	SECURITY LABEL FOR pseudo ON COLUMN clients.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN clients.tenant IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN clients.day IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN clients.email IS 'deterministic, context="a, ''b", into=email_p';
	SECURITY LABEL FOR pseudo ON COLUMN clients.secret IS 'random';
});
# Rows; those whose columns have what the labels say; where the trigger is, and fires.
my $as_labelled = q{SELECT count(*), count(*) FILTER (WHERE pseudo.try_reidentify(email_p, 'a, ''b') = email AND pseudo.try_reidentify(secret) LIKE 'secret%') FROM clients};
my $firing = q{SELECT DISTINCT result FROM run_command_on_placements('clients_1', $$SELECT string_agg(tgenabled::text, ',') FROM pg_trigger WHERE tgrelid = '%s'::regclass AND NOT tgisinternal$$)};

is(sql(q{SELECT trigger_name, action FROM pseudo.pseudo_protect('clients')}), 'zz_pseudo|created', 'pseudo_protect makes the trigger of a distributed table');
is(sql($firing), 'O', 'on all shards');
is(sql($as_labelled), '100|0', 'what is there stays so');
is(end_of(q{CALL pseudo.pseudonymize_table('clients')}), 'clients: 200 values in 100 rows converted, of 100 rows', 'until the table is converted by its labels');
is(sql($as_labelled), '100|100', 'as they say');
is(progress('clients', qw(columns status)), '{email_p,secret}|done', 'in pseudo_progress');
sql(q{
	CREATE TABLE clients_2 PARTITION OF clients FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	INSERT INTO clients (tenant, email, email_p, secret, day) VALUES (1, 'new@example.com', 'planted', 'secret', '2026-02-02');
	INSERT INTO clients (tenant, email, secret, day) SELECT tenant, email, 'secret', '2026-02-03' FROM clients;
	INSERT INTO clients (tenant, email, secret, day) SELECT n, n || '@example.org', 'secret', '2026-02-04' FROM generate_series(1, 10) n;
	UPDATE clients SET email = 'changed@example.com' WHERE tenant < 5;
	UPDATE clients SET email_p = 'planted' WHERE tenant = 9;
});
put_file($coordinator->basedir . '/clients.csv', join '', map { "$_,copy$_\@example.com,planted,secret$_,2026-02-05\n" } 1 .. 20);
sql("COPY clients (tenant, email, email_p, secret, day) FROM '@{[ $coordinator->basedir ]}/clients.csv' CSV");
is(sql($as_labelled), '232|232', 'INSERT, INSERT ... SELECT of shards and of the coordinator, UPDATE, COPY, in a new partition, too');
is(sql(q{SELECT count(*) FROM clients WHERE email_p = 'planted'}), '0', 'nothing else is written to that column');
is(end_of(q{CALL pseudo.repseudonymize_table('clients', dry_run => true)}), 'clients: 0 values in 0 rows would be converted, of 232 rows', 'a dry run by labels');
sql('CREATE ROLE reader LOGIN; GRANT SELECT (id, tenant, day, email_p) ON clients TO reader');
is(sql_as('reader', 'SELECT count(DISTINCT email_p) > 100 FROM clients'), 't', 'who may read that column reads pseudonyms');
is(sql_as('reader', q{SELECT count(*) FROM clients WHERE tenant = 1}) > 0, 1, 'from one shard, too');
like(refused('SET ROLE reader; SELECT email FROM clients'), qr/42501: permission denied for table clients/, 'and not the values');
like(refused('SET ROLE reader; SELECT email FROM clients WHERE tenant = 1'), qr/42501: permission denied for table clients/, 'of one shard neither');

# Moved by logical replication while others write, split, disabled and made whole again.
my $write_clients = $coordinator->basedir . '/write_clients.sql';
append_to_file($write_clients, q{INSERT INTO clients (tenant, email, secret, day) VALUES (1, 'moved@example.com', 'secret', '2026-02-06');
UPDATE clients SET email = 'again' || tenant || '@example.com', secret = 'secret again' WHERE tenant = 1 AND id % 2 = 0;
});
sub place_of_clients { return sql(q{SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('clients', 1)}) }
for my $always ('', 'ALWAYS')
{
	my $before = place_of_clients();
	my ($after) = grep { $_ != $before } map { $_->port } @workers;

	sql("SET citus.enable_unsafe_triggers = on; ALTER TABLE clients ENABLE $always TRIGGER zz_pseudo");
	my $writing = IPC::Run::start([ 'pgbench', '-n', '-t', '100', '-f', $write_clients, '-d', $coordinator->connstr('postgres') ], '>', \my $out, '2>', \my $err, IPC::Run::timeout(180));
	sql("SELECT FROM citus_move_shard_placement(get_shard_id_for_distribution_column('clients', 1), '127.0.0.1', $before, '127.0.0.1', $after, 'force_logical')");
	ok($writing->finish, "writers go on while a shard is moved, ENABLE $always") or diag($err);
	is(place_of_clients(), $after, 'it has been moved');
	is(sql($firing), $always ? 'A' : 'O', 'the trigger fires there as before');
}
is(sql($as_labelled), '432|432', 'each row has the pseudonym of its value');
sql(q{
	SELECT citus_split_shard_by_split_points(shardid, ARRAY[((shardminvalue::bigint + shardmaxvalue::bigint) / 2)::text],
		(SELECT array_agg(nodeid::int) FROM pg_dist_node WHERE noderole = 'primary' AND groupid > 0), 'block_writes')
	FROM pg_dist_shard WHERE shardid = get_shard_id_for_distribution_column('clients', 1)});
is(sql(q{SELECT count(*) FROM citus_shards WHERE table_name = 'clients'::regclass}), '9', 'a shard is split');
is(sql($firing), 'A', 'both parts have the trigger');
sql(q{INSERT INTO clients (tenant, email, secret, day) SELECT n, n || '@example.org', 'secret', '2026-02-07' FROM generate_series(1, 20) n});
is(sql($as_labelled), '452|452', 'which fires');
sql('SET citus.enable_unsafe_triggers = on; ALTER TABLE clients DISABLE TRIGGER zz_pseudo');
is(sql(q{SELECT action FROM pseudo.pseudo_protect('clients')}), "unchanged\nenabled", 'pseudo_protect enables it again');
is(sql($firing), 'O', 'on all shards');

# Masked views over values, with the rights of a role.
sql(q{
	CREATE ROLE officer LOGIN;
	GRANT USAGE ON SCHEMA pseudo TO officer, reader;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer, reader;
	GRANT USAGE ON FOREIGN SERVER pseudo TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO officer;
	GRANT SELECT ON clients TO officer;
	CREATE SCHEMA masked;
	GRANT CREATE, USAGE ON SCHEMA masked TO officer;
	GRANT USAGE ON SCHEMA masked TO reader;
	SET ROLE officer;
	CREATE VIEW masked.clients WITH (security_barrier) AS SELECT id, tenant, pseudo.pseudonymize_as('officer', email) AS email FROM clients;
	CREATE VIEW masked.plain AS SELECT email FROM clients;
	GRANT SELECT ON masked.clients, masked.plain TO reader;
});
is(sql_as('officer', q{SELECT count(email) FROM masked.clients}), '452', 'a masked view works for its role');
like(refused('SET ROLE reader; SELECT email FROM masked.clients'), qr/42501: permission denied to name role "officer"/, 'for others the shards refuse it');
like(refused('SET ROLE reader; SELECT email FROM masked.plain'), qr/42501: permission denied for table clients_\d+/, 'as any view over what they may not read');
sql('CREATE TABLE plain_clients (tenant int, email text)');
sql(q{SELECT create_distributed_table('plain_clients', 'tenant'); GRANT SELECT ON plain_clients TO officer;
	SECURITY LABEL FOR pseudo ON COLUMN plain_clients.tenant IS 'keep'; SECURITY LABEL FOR pseudo ON COLUMN plain_clients.email IS 'deterministic'});
like(refused(q{SELECT pseudo.pseudo_create_view('plain_clients', 'masked.plain_clients', 'officer')}), qr/0A000: relation "plain_clients" is a distributed table of Citus, and a view of it cannot work with the rights of a role\nDETAIL: .*\nHINT:  Label such columns with "into"/, 'pseudo_create_view refuses it');
# The same view over a foreign table, which fetches values as that role.
sql(q{
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER live FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '} . $coordinator->port . q{', dbname 'postgres');
	CREATE USER MAPPING FOR officer SERVER live OPTIONS (user 'officer', password_required 'false');
	GRANT USAGE ON FOREIGN SERVER live TO officer;
	CREATE SCHEMA front AUTHORIZATION officer;
	GRANT USAGE ON SCHEMA front TO reader;
	SET ROLE officer;
	CREATE FOREIGN TABLE front.clients_live (id bigint, tenant int, email text) SERVER live OPTIONS (schema_name 'public', table_name 'clients');
	CREATE VIEW front.clients WITH (security_barrier) AS SELECT id, tenant, pseudo.pseudonymize_as('officer', email) AS email FROM front.clients_live;
	GRANT SELECT ON front.clients TO reader;
});
is(sql_as('reader', q{SELECT count(email), min(length(email)) > 40 FROM front.clients}), '452|t', 'a view over a foreign table: readers see pseudonyms of what is there now');
like(refused('SET ROLE reader; SELECT count(*) FROM front.clients_live'), qr/42501: permission denied for foreign table clients_live/, 'and no values');

# ---- What the shards hold ----

sql(q{
	CREATE TABLE looked (tenant int, email text, note text);
	SELECT create_distributed_table('looked', 'tenant', colocate_with => 'none');
	INSERT INTO looked SELECT n, CASE WHEN n > 3 THEN pseudo.pseudonymize('a' || n, true, 'of looked') ELSE 'a' || n END, 'b' FROM generate_series(1, 30) n;
	SECURITY LABEL FOR pseudo ON COLUMN looked.email IS 'deterministic, context="of looked"';
	CREATE ROLE looker LOGIN;
	GRANT USAGE ON SCHEMA pseudo TO looker;
	GRANT USAGE ON FOREIGN SERVER pseudo TO looker;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO looker;
	GRANT SELECT (tenant, email) ON looked TO looker;
});
is(sql(q{SELECT label, rows, reason FROM pseudo.pseudo_coverage('public') WHERE relation = 'looked'::regclass AND column_name = 'email'}),
	'deterministic, context=of looked||no trigger pseudonymizes what is written; not looked at: it is a distributed table of Citus, and its rows are in its shards, which pseudo_coverage() looks at on their nodes',
	'pseudo_coverage says where the values are looked at');
my ($recipe) = slurp_file("$FindBin::RealBin/../../doc/scale.md") =~ /^### What do the shards hold\?\n.*?^```\n(.*?)^```/ms;
# Of the table, in what the recipe in the documentation gives.
sub shards_hold
{
	my ($role, $sample) = @_;

	return join "\n", grep { /^looked\|/ } split /\n/, sql_as($role, $recipe =~ s/100/$sample/r);
}
is(shards_hold($user, 100), "looked|email|30|27|0|3|0|\nlooked|note|30|0|0|30|0|", 'all nodes have it, added up');
is(shards_hold('looker', 100), "looked|email|30|27|0|3|0|\nlooked|note||||||not looked at: there is no right to SELECT it", 'with the rights of the caller');
sql(q{INSERT INTO looked SELECT n, pseudo.pseudonymize('a' || n, true, 'of looked'), repeat('b', 200) FROM generate_series(31, 4000) n});
like(shards_hold($user, 100), qr/^looked\|email\|4000\|3997\|/, 'and of all blocks');
like(shards_hold($user, 5), qr/^looked\|email\|(?!4000)[1-9]\d*\|/, 'or of some');

# ---- Rights ----

sql('CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA pseudo TO app; GRANT SELECT ON people TO app');
my $open = 'SELECT count(pseudo.reidentify(email)) FROM people';

sub denied
{
	my ($sql) = @_;

	return refused("SET ROLE app;\n$sql") =~ /42501: permission denied for (function|foreign server) \w+/;
}

ok(denied($open), 'no right: denied');
sql('GRANT USAGE ON FOREIGN SERVER pseudo TO app; GRANT EXECUTE ON FUNCTION pseudo.reidentify, pseudo.pseudonymize TO app');
is(sql_as('app', $open), '101', 'GRANT holds on all nodes, at the next statement');
is(sql_as('app', "SELECT id FROM people WHERE email = $call"), '1000', 'and for look-ups');
sql('REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM app');
ok(denied($open), 'so does REVOKE');
for my $worker (@workers)
{
	is($worker->safe_psql('postgres', q{SELECT has_function_privilege('app', 'pseudo.reidentify(text,text,text)', 'EXECUTE')}), 'f', 'on ' . $worker->name);
}
sql('BEGIN; GRANT EXECUTE ON FUNCTION pseudo.reidentify TO app; ROLLBACK');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'a GRANT that is rolled back is so everywhere');
sql('BEGIN; SAVEPOINT s; GRANT EXECUTE ON FUNCTION pseudo.reidentify TO app; RELEASE s; GRANT USAGE ON TYPE pseudo.pseudo_role TO app WITH GRANT OPTION; REVOKE SELECT ON pseudo.pseudo_stats FROM PUBLIC; COMMIT');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'functions, types and views are alike');
is(sql_as('app', $open), '101', 'and usable');

# A node that has other rights, and other keys.
$workers[0]->safe_psql('postgres', q{
	SET citus.enable_ddl_propagation = off;
	GRANT EXECUTE ON FUNCTION pseudo.reidentify TO PUBLIC;
	REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM app;
});
my $place = '127.0.0.1:' . $workers[0]->port;
my $function = 'EXECUTE on routine pseudo.reidentify(pg_catalog.text,pg_catalog.text,pg_catalog.text) to';

is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), "$place|missing: $function app\n$place|more: $function PUBLIC", 'what differs is reported');
is(sql(q{SELECT relation, column_name, reason, verdict FROM pseudo.pseudo_coverage('masked') WHERE relation IS NULL}), "||$place: missing: $function app|drift\n||$place: more: $function PUBLIC|drift", 'by pseudo_coverage, too');
is(sql_as('app', q{SELECT relation, reason, verdict FROM pseudo.pseudo_coverage('masked')}), '|other nodes were not asked: no right to call pseudo_node_differences()|skipped', 'which says where it could not ask');
sql('SELECT pseudo.pseudo_sync_grants()');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'and made alike by pseudo_sync_grants');
is(sql(q{SELECT count(*) FROM pseudo.pseudo_coverage('masked')}), '0', 'then pseudo_coverage has nothing to say of nodes');
like(refused('SET ROLE app; SELECT pseudo.pseudo_sync_grants()'), qr/42501: permission denied for function pseudo_sync_grants/, 'which is for the owner');
sql('GRANT EXECUTE ON FUNCTION pseudo.pseudo_run_on_other_nodes TO app');
like(refused(q{SET ROLE app; SELECT pseudo.pseudo_run_on_other_nodes('SELECT 1')}), qr/42501: must be superuser/, 'and what it uses for superusers');
sql('REVOKE EXECUTE ON FUNCTION pseudo.pseudo_run_on_other_nodes FROM app');
my $other = $coordinator->basedir . '/other.json';
put_file($other, slurp_file($keys) =~ s/"primaryKeyId":\s*\d+/"primaryKeyId":2/r);
$workers[1]->safe_psql('postgres', "SET citus.enable_ddl_propagation = off; ALTER SERVER pseudo OPTIONS (SET path '$other')");
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '127.0.0.1:' . $workers[1]->port . '|keyring "pseudo": other keys', 'so are keys that differ');
$workers[1]->safe_psql('postgres', "SET citus.enable_ddl_propagation = off; ALTER SERVER pseudo OPTIONS (SET path '$keys')");

# A node that is added has none of the two rights until it is told.
add_node($added);
sql(q{SELECT replicate_reference_tables('block_writes')});
my $differences = sql('SELECT * FROM pseudo.pseudo_node_differences()');
is(sql(q{SELECT verdict FROM pseudo.pseudo_coverage('masked') WHERE relation IS NULL AND reason LIKE '127.0.0.1:} . $added->port . q{: missing: % app' LIMIT 1}), 'drift', 'a node that is added is in pseudo_coverage');
like($differences, qr/^127.0.0.1:@{[ $added->port ]}\|missing: \Q$function\E app$/m, 'a node that is added lacks rights');
unlike($differences, qr/more: EXECUTE on routine pseudo\.(pseudonymize|reidentify)\(/, 'and gives none of the two to anybody');
sql(q{
	SELECT FROM citus_move_shard_placement((SELECT shardid FROM citus_shards WHERE table_name = 'people'::regclass AND nodeport = } . $workers[0]->port . q{ LIMIT 1),
		'127.0.0.1', } . $workers[0]->port . q{, '127.0.0.1', } . $added->port . q{, 'block_writes')});
ok(denied($open), 'it is closed');
sql('SELECT pseudo.pseudo_sync_grants()');
is(sql_as('app', $open), '101', 'until pseudo_sync_grants');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'and then it is like the others');
unlike($_, qr/secret-value/, 'the value is in no log of a worker') for logs();

# The node takes shards with a trigger, while others write.
my $before_rebalance = sql($as_labelled);
my $writing = IPC::Run::start([ 'pgbench', '-n', '-t', '100', '-f', $write_clients, '-d', $coordinator->connstr('postgres') ], '>', \$out, '2>', \$err, IPC::Run::timeout(180));
sql(q{SELECT FROM rebalance_table_shards('clients', shard_transfer_mode => 'force_logical')});
ok($writing->finish, 'writers go on while shards are rebalanced') or diag($err);
cmp_ok(sql(q{SELECT count(*) FROM citus_shards WHERE table_name = 'clients'::regclass AND nodeport = } . $added->port), '>', 0, 'the added node has some');
is(sql($firing), 'O', 'with the trigger');
is($before_rebalance, '452|452', 'before that each row had its pseudonym');
is(sql($as_labelled), '552|552', 'and afterwards');

# ---- Requests for keys ----

# Each node counts its own, in its data directory.
sql("CREATE SERVER asked FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'echo >> asked.runs; cat $keys')");
sql(q{
	SET citus.shard_count = 32;
	CREATE TABLE many (n int, email text);
	SELECT create_distributed_table('many', 'n', colocate_with => 'none');
	INSERT INTO many SELECT n, pseudo.pseudonymize(n || '@example.com', true) FROM generate_series(1, 1000) n;
});
is(sql(q{SELECT count(pseudo.reidentify(email, keyring => 'asked')) FROM many}), '1000', 'a query over 32 shards') for 1 .. 20;
is(-s $_->data_dir . '/asked.runs', 1, '20 of them cost one request for keys on ' . $_->name) for @workers, $added;
is(-s $coordinator->data_dir . '/asked.runs' // 0, 0, 'and none on the coordinator');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'all nodes have the same keys');
put_file($coordinator->basedir . '/other_asked.json', slurp_file($keys) =~ s/"primaryKeyId":\s*\d+/"primaryKeyId":2/r);
$added->safe_psql('postgres', "SET citus.enable_ddl_propagation = off; ALTER SERVER asked OPTIONS (SET command 'cat @{[ $coordinator->basedir ]}/other_asked.json')");
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '127.0.0.1:' . $added->port . '|keyring "asked": other keys', 'until one has others');
is(sql(q{SELECT reason, verdict FROM pseudo.pseudo_coverage('masked') WHERE relation IS NULL}), '127.0.0.1:' . $added->port . ': keyring "asked": other keys|drift', 'which pseudo_coverage shows');
sql('DROP SERVER asked');

# A node that is down: a right is not taken back on some nodes only.
$workers[1]->stop;
isnt(refused('REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM app'), '', 'a REVOKE that not all nodes hear of fails');
$workers[1]->start;
sql('REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM app');
ok(denied($open), 'and can be made again');
sql('DROP OWNED BY app');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'DROP OWNED');

$_->stop for @workers, $added, $coordinator;
done_testing();
