# Citus: a coordinator and its workers.  Citus is in no registry: who has built it beside this PostgreSQL runs this.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

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

# What a statement fails with, with its hint.
sub refused
{
	my ($sql) = @_;
	my ($code, $out, $err) = $coordinator->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $err;
}

sub add_node { return sql("SELECT FROM citus_add_node('127.0.0.1', " . $_[0]->port . ')') }

# What the workers' logs have from here on.
sub logs { return map { slurp_file($_->logfile) } @workers, $added }

like(error_of($added, 'postgres', 'CREATE EXTENSION pseudo'), qr/^55000: pseudo must be preloaded where Citus is/, 'a node without the library preloaded: refused');
$added->append_conf('postgresql.conf', "shared_preload_libraries = 'citus, pseudo'");
$added->restart;

sql("SELECT citus_set_coordinator_host('127.0.0.1', " . $coordinator->port . ')');
add_node($_) for @workers;
sql('CREATE SCHEMA pseudo');
sql('CREATE EXTENSION pseudo SCHEMA pseudo');
sql("CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys')");
sql('SELECT pseudo.pseudo_create_key()');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'extension, keyring and rights are alike on all nodes');

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
sub end_of { return (refused($_[0]) =~ /NOTICE: .*?(\w+: \d+ values? converted in all placements)/g)[-1] }

is(end_of("CALL pseudo.pseudonymize_table('orders', '{email,name}', true, context => E'a%s''b\\\\c')"),
	'orders: 2000 values converted in all placements', 'a distributed, partitioned table is converted');
is(sql("SELECT count(*) FROM orders WHERE pseudo.reidentify(email, E'a%s''b\\\\c') = id || '\@example.com'"), '1000', 'all of it, with the arguments as they were');
is(end_of("CALL pseudo.pseudonymize_table('orders', '{email,name}', true, context => E'a%s''b\\\\c')"), 'orders: 0 values converted in all placements', 'and once');
is(end_of(q{CALL pseudo.pseudonymize_table('cities', '{name}', true)}), 'cities: 300 values converted in all placements', 'a reference table, on all nodes');
is(sql(q{SELECT count(DISTINCT result), min(result) = md5(string_agg(name, ',' ORDER BY id)) FROM cities,
	run_command_on_placements('cities', $$SELECT md5(string_agg(name, ',' ORDER BY id)) FROM %s$$)
	WHERE nodeport = (SELECT min(nodeport) FROM pg_dist_node)}), '1|t', 'its copies are alike');
is(end_of(q{CALL pseudo.pseudonymize_table('here', '{name}')}), 'here: 1 value converted in all placements', 'a local table of Citus');
my $refused = refused(q{CALL pseudo.pseudonymize_table('cities', '{name}')});
like($refused, qr/38000: could not convert public\.cities_\d+ on 127\.0\.0\.1:\d+\nDETAIL:  ERROR:  "cities_\d+" is a reference table of Citus, and the random/, 'random pseudonyms in a reference table: refused');
like($refused, qr/HINT:  What has been converted stays so\. Remove the cause, and call the procedure again/, 'with a hint');
like(refused(q{CALL pseudo.pseudonymize_table('people', '{email}', true)}), qr/38000: .*\nDETAIL:  ERROR:  Citus distributes relation "people_\d+" by column "email"/, 'the distribution column: refused');
like(refused(q{CALL pseudo.repseudonymize_table('orders', '{email}', dry_run => true)}), qr/0A000: "orders" is a distributed table.*\nHINT:  Call it with columns and without dry_run/, 'a dry run: refused');
sql(q{SECURITY LABEL FOR pseudo ON COLUMN orders.email IS 'deterministic'});
like(refused(q{CALL pseudo.pseudonymize_table('orders')}), qr/0A000: "orders" is a distributed table.*\nHINT:  Call it with columns/, 'without columns: refused, since labels are not on the shards');
sql('SELECT pseudo.pseudo_create_key(make_primary => true)');
sql(q{SELECT run_command_on_all_nodes('SELECT pseudo.pseudo_refresh_keyring()')});
is(end_of(q{CALL pseudo.repseudonymize_table('cities', '{name}')}), 'cities: 300 values converted in all placements', 'a rotation');
is(sql('SELECT DISTINCT pseudo.pseudonym_key_id(name) FROM cities'), sql('SELECT primary_key_id FROM pseudo.pseudo_keyrings'), 'has moved all to the new key');
sql('SELECT pseudo.pseudo_set_primary_key(\'pseudo\', (SELECT key_ids[1] FROM pseudo.pseudo_keyrings))');
sql(q{SELECT run_command_on_all_nodes('SELECT pseudo.pseudo_refresh_keyring()')});
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
sql('SELECT pseudo.pseudo_sync_grants()');
is(sql('SELECT * FROM pseudo.pseudo_node_differences()'), '', 'and made alike by pseudo_sync_grants');
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
