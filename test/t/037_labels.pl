# Labels and the trigger that pseudo_protect() makes of them, dumped and restored by an owner who is no superuser; two sessions that
# protect one table.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('labels', "shared_preload_libraries = ''\n");
my $keys = PostgreSQL::Test::Utils::tempdir();

# What a superuser prepares in each database: the extension, the keyring, and the library in each session.
sub prepare
{
	my ($database, $preload) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 OWNER shop");
	$node->safe_psql($database, qq{
		CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo;
		CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/pseudo.json');
		GRANT USAGE ON SCHEMA pseudo TO shop;
		GRANT USAGE ON FOREIGN SERVER pseudo TO shop;
		GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO shop});
	$node->safe_psql('postgres', "ALTER DATABASE $database SET session_preload_libraries = 'pseudo'") if $preload;
}

$node->safe_psql('postgres', 'CREATE ROLE shop LOGIN');
prepare('source', 1);
$node->safe_psql('source', 'SELECT pseudo.pseudo_create_key()');
$node->safe_psql('source', q{
	SET SESSION AUTHORIZATION shop;
	CREATE SCHEMA sales;
	CREATE TABLE sales.customers (id int PRIMARY KEY, email text UNIQUE, "Name" text, phone varchar(20), phone_p text, note text);
	CREATE TABLE sales.orders (id int, email text REFERENCES sales.customers (email));
	CREATE TABLE sales.visits (id int, who text, day date) PARTITION BY RANGE (day);
	CREATE TABLE sales.visits_1 PARTITION OF sales.visits FOR VALUES FROM (MINVALUE) TO ('2026-07-01');
	CREATE TABLE sales.visits_2 PARTITION OF sales.visits DEFAULT;
	SECURITY LABEL FOR pseudo ON COLUMN sales.customers.email IS 'deterministic';
	SECURITY LABEL FOR pseudo ON COLUMN sales.customers."Name" IS 'random, context="it''s, ""so"""';
	SECURITY LABEL FOR pseudo ON COLUMN sales.customers.phone IS 'deterministic, context=phones, into=phone_p';
	SECURITY LABEL FOR pseudo ON COLUMN sales.customers.note IS 'hide';
	SECURITY LABEL FOR pseudo ON COLUMN sales.orders.email IS 'deterministic';
	SECURITY LABEL FOR pseudo ON COLUMN sales.visits.who IS 'random';
	SELECT pseudo.pseudo_protect(t) FROM unnest('{sales.customers,sales.orders,sales.visits}'::regclass[]) t;
	ALTER TABLE sales.orders ENABLE ALWAYS TRIGGER zz_pseudo;
	INSERT INTO sales.customers SELECT n, n || '@example.com', n, n, 'planted', n FROM generate_series(1, 200) n;
	INSERT INTO sales.orders SELECT n, n % 200 + 1 || '@example.com' FROM generate_series(1, 400) n;
	INSERT INTO sales.visits SELECT n, n, date '2026-01-01' + n FROM generate_series(1, 400) n;
});

# All that has to be there, and to work.
my $state = q{
	SELECT objname, label FROM pg_seclabels WHERE provider = 'pseudo'
	UNION ALL SELECT tgrelid::regclass || ' ' || tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'zz_pseudo'
	UNION ALL SELECT 'customers', md5(string_agg(c::text, '|' ORDER BY id)) FROM sales.customers c
	UNION ALL SELECT 'orders', md5(string_agg(o::text, '|' ORDER BY id)) FROM sales.orders o
	UNION ALL SELECT 'visits', md5(string_agg(v::text, '|' ORDER BY id)) FROM sales.visits v
	ORDER BY 1, 2};
my $expected = $node->safe_psql('source', $state);
like($expected, qr/^sales\.customers\.Name\|random, context="it's, ""so"""$/m, 'a label');
like($expected, qr/^sales\.orders A\|CREATE TRIGGER zz_pseudo .*'email IS deterministic'/m, 'a trigger');

sub works
{
	my ($database) = @_;
	is($node->safe_psql($database, $state), $expected, "$database: labels, triggers, rows");
	is($node->safe_psql($database, q{SET SESSION AUTHORIZATION shop;
		SELECT relation, action FROM unnest('{sales.customers,sales.orders,sales.visits}'::regclass[]) t, pseudo.pseudo_protect(t)}),
		"sales.customers|unchanged\nsales.orders|unchanged\nsales.visits|unchanged", "$database: the triggers are what the labels say");
	is($node->safe_psql($database, q{SET SESSION AUTHORIZATION shop; BEGIN;
		INSERT INTO sales.customers VALUES (0, 'new@example.com', 'New', '0'), (1, '1@example.com', NULL, NULL) ON CONFLICT DO NOTHING;
		INSERT INTO sales.orders VALUES (0, 'new@example.com'); INSERT INTO sales.visits VALUES (0, 'new', '2026-12-31');
		SELECT pseudo.reidentify(c.email), pseudo.reidentify("Name", 'it''s, "so"'), phone, pseudo.reidentify(phone_p, 'phones'), pseudo.reidentify(who)
			FROM sales.customers c JOIN sales.orders o USING (email) JOIN sales.visits v ON v.id = o.id WHERE c.id = 0; ROLLBACK}),
		'new@example.com|New|0|0|new', "$database: and work");
}

works('source');
my $dump = PostgreSQL::Test::Utils::tempdir();
my @as_shop = ('-U', 'shop', '-d');
my @source = (@as_shop, $node->connstr('source'));
$node->command_ok([ 'pg_dump', '-n', 'sales', '-f', "$dump/plain", @source ], 'the owner dumps: plain');
$node->command_ok([ 'pg_dump', '-n', 'sales', '-Fc', '-f', "$dump/custom", @source ], 'custom');
$node->command_ok([ 'pg_dump', '-n', 'sales', '-Fd', '-j', '2', '-f', "$dump/directory", @source ], 'directory, in parallel');
my %restores = (
	plain => [ [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump/plain" ] ],
	custom => [ [ 'pg_restore', '--exit-on-error', "$dump/custom" ] ],
	# In parallel only by sections; see doc/tables.md.
	parallel => [ map { [ 'pg_restore', '--exit-on-error', '-j', '2', "--section=$_", "$dump/directory" ] } qw(pre-data data post-data) ]);
for my $database (sort keys %restores)
{
	prepare($database, 1);
	$node->command_ok([ @$_, @as_shop, $node->connstr($database) ], "$database: restored") for @{ $restores{$database} };
	works($database);
}

# Without the library PostgreSQL says what is missing, and all but the labels comes back.
prepare('without', 0);
my @restore = ('pg_restore', @as_shop, $node->connstr('without'), "$dump/custom");
$node->command_checks_all(\@restore, 1, [], [ qr/security label provider "pseudo" is not loaded/, qr/errors ignored on restore: 3$/m ], 'without the library');
is($node->safe_psql('without', q{SELECT (SELECT count(*) FROM pg_seclabels), (SELECT count(*) FROM sales.customers), count(*) FROM pg_trigger WHERE tgname = 'zz_pseudo'}), '0|200|5', 'without: the rest is there');
# A trigger whose labels are lost stays, and the hint says how to set them again: the same in all tables.
for my $table (qw(customers orders visits))
{
	my (undef, undef, $err) = $node->psql('without', "\\set VERBOSITY verbose\nSET SESSION AUTHORIZATION shop; SELECT action FROM pseudo.pseudo_protect('sales.$table')");
	like($err, qr/ERROR:  55000: trigger "zz_pseudo" of relation "$table" pseudonymizes columns, and none has a label$/m, "$table: without labels the trigger stays");
	my ($labels) = $err =~ /^HINT:  Label them as the trigger says: (.*)\. If nothing .* use DROP TRIGGER zz_pseudo ON sales\.$table\.$/m;
	$node->safe_psql('without', "SET SESSION AUTHORIZATION shop; SELECT FROM pseudo.pseudo_keyrings; $labels");
}
$node->safe_psql('without', q{SET SESSION AUTHORIZATION shop; SELECT FROM pseudo.pseudo_keyrings; SECURITY LABEL FOR pseudo ON COLUMN sales.customers.note IS 'hide'});
works('without');

# Two sessions: the second waits, and finds what the first has made; a writer waits for neither longer than for CREATE TRIGGER.
my ($one, $two) = map { session($node, 'source') } 1 .. 2;
ask($_, 'SET SESSION AUTHORIZATION shop') for $one, $two;
ask($one, q{SECURITY LABEL FOR pseudo ON COLUMN sales.customers.note IS 'random'});
is(ask($one, q{BEGIN; SELECT action FROM pseudo.pseudo_protect('sales.customers')}), 'replaced', 'the first session');
$two->{out} = '';
$two->{in} .= "SELECT action FROM pseudo.pseudo_protect('sales.customers');\n";
$two->{run}->pump_nb;
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'});
is(ask($one, 'COMMIT'), '', 'commits');
$two->{run}->pump until $two->{out} =~ /\w\n/;
like($two->{out}, qr/^unchanged$/m, 'the second session finds its work done');
leave($_) for $one, $two;

$node->stop;
done_testing();
