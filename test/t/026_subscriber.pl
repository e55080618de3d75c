# Logical subscribers whose trigger makes pseudonyms: what a subscription could not find again is refused with the way on, and
# what works is applied, UPDATE and DELETE too.  Two servers.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('subscriber', "wal_retrieve_retry_interval = 100ms\nmax_logical_replication_workers = 10\nmax_worker_processes = 20\nmax_replication_slots = 30\n");
# Since PostgreSQL 18 the origins of subscriptions have a limit of their own.
if ($node->pg_version >= 18)
{
	$node->append_conf('postgresql.conf', 'max_active_replication_origins = 30');
	$node->restart;
}
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key()');
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->append_conf("postgresql.conf", "max_replication_slots = 30\nmax_wal_senders = 30\n");
$publisher->start;

# A table on both sides, on the subscriber with the trigger, and a subscription that stops at its first error.
sub subscribe
{
	my ($name, $there, $here, $arguments, $copied) = @_;
	$publisher->safe_psql('postgres', "CREATE TABLE $name $there; CREATE PUBLICATION $name FOR TABLE $name");
	$publisher->safe_psql('postgres', "INSERT INTO $name (id, e) VALUES $copied") if $copied;
	$node->safe_psql('postgres', qq{CREATE TABLE $name $here;
		CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON $name FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', $arguments);
		DO \$\$ DECLARE r regclass; BEGIN FOR r IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'zz' AND tgrelid::regclass::text LIKE '$name%' LOOP EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz', r); END LOOP; END \$\$});
	$node->safe_psql('postgres', "CREATE SUBSCRIPTION $name CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION $name WITH (disable_on_error = true)");
	$node->wait_for_subscription_sync($publisher, $name) unless $copied;
}

# Write on the publisher, and wait until it is applied, or the subscription has stopped; returns its last error.
sub write_there
{
	my ($name, $sql) = @_;
	my $offset = -s $node->logfile;
	$publisher->safe_psql('postgres', $sql) if $sql;
	my $lsn = $publisher->lsn('insert');
	$node->poll_query_until('postgres', "SELECT NOT subenabled OR EXISTS (SELECT FROM pg_stat_subscription s WHERE s.subid = p.oid AND relid IS NULL AND latest_end_lsn >= '$lsn')
		AND NOT EXISTS (SELECT FROM pg_subscription_rel r WHERE r.srsubid = p.oid AND srsubstate <> 'r') FROM pg_subscription p WHERE subname = '$name'");
	my $log = substr(slurp_file($node->logfile), $offset);
	my @errors = $log =~ /ERROR: +(.*\n.*\n.*)/g;
	return $errors[-1] // '';
}

sub rows
{
	my ($name) = @_;
	return $node->safe_psql('postgres', "SELECT id, pseudo.try_reidentify(e), n FROM $name ORDER BY 1, 2");
}

my $row = '(id int, e text, n int DEFAULT 0)';
my $changes = sub { "INSERT INTO $_[0] VALUES (1, 'a\@x'), (2, 'b\@x'); UPDATE $_[0] SET n = 1 WHERE id = 1; DELETE FROM $_[0] WHERE id = 2" };
my $by_key = '(id int PRIMARY KEY, e text, n int DEFAULT 0)';

# Found by a key that has no pseudonym: by the primary key on both sides, and by the subscriber's own where the publisher sends whole rows.
subscribe('pk', $by_key, $by_key, q{'deterministic=true'});
is(write_there('pk', $changes->('pk') . q{; UPDATE pk SET e = 'c@x' WHERE id = 1}), '', 'a primary key without pseudonyms');
is(rows('pk'), '1|c@x|1', 'every change is there');
subscribe('whole', "$row; ALTER TABLE whole REPLICA IDENTITY FULL", $by_key, q{'deterministic=true'});
is(write_there('whole', $changes->('whole')), '', 'whole rows, and a primary key on the subscriber');
is(rows('whole'), '1|a@x|1', 'every change is there');

# Found by the column itself: refused at the first value, which says what to do.
my %refused = (
	by_mail => [ '(id int, e text PRIMARY KEY, n int DEFAULT 0)', '(id int, e text PRIMARY KEY, n int DEFAULT 0)' ],
	full_id => [ "$row; ALTER TABLE full_id REPLICA IDENTITY FULL", $row ],
	by_index => [ ("(id int, e text NOT NULL UNIQUE, n int DEFAULT 0); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_e_key") x 2 ],
	parts => [ '(id int, e text, n int DEFAULT 0, PRIMARY KEY (id, e))',
		'(id int, e text, n int DEFAULT 0, PRIMARY KEY (id, e)) PARTITION BY RANGE (id); CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (100)' ]);
for my $name (sort keys %refused)
{
	subscribe($name, @{ $refused{$name} }, q{'deterministic=true'});
	like(write_there($name, $changes->($name)),
		qr/a subscription finds rows of relation "\w+" by column "e", which is pseudonymized here.*DETAIL: .*HINT: .*REPLICA IDENTITY NOTHING.*ALTER SUBSCRIPTION/s, "$name: refused");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $name"), '0', "$name: and nothing is there");
}
# The first copy is refused likewise.
subscribe('copied', '(id int, e text PRIMARY KEY, n int DEFAULT 0)', '(id int, e text PRIMARY KEY, n int DEFAULT 0)', q{'deterministic=true'}, q{(1, 'a@x')});
$node->poll_query_until('postgres', q{SELECT NOT subenabled FROM pg_subscription WHERE subname = 'copied'});
like(slurp_file($node->logfile), qr/a subscription finds rows of relation "copied" by column "e"/, 'so is the first copy');
# Where only INSERTs come, the subscriber says so.
$publisher->safe_psql('postgres', q{ALTER PUBLICATION copied SET (publish = 'insert')});
$node->safe_psql('postgres', 'ALTER TABLE copied REPLICA IDENTITY NOTHING; ALTER SUBSCRIPTION copied ENABLE');
$node->wait_for_subscription_sync($publisher, 'copied');
is(write_there('copied', q{INSERT INTO copied VALUES (2, 'b@x'); UPDATE copied SET n = 1}), '', 'only INSERTs');
is(rows('copied'), "1|a\@x|0\n2|b\@x|0", 'they are there');

# A copy of a table that has pseudonyms already, as a shard that moves while writes go on: explained, and existing=keep goes on.
my @pseudonyms = split /\n/, $node->safe_psql('postgres', q{SELECT pseudo.pseudonymize(v, true) FROM unnest('{a@x,b@x,c@x}'::text[]) v});
subscribe('shard', '(id int, e text PRIMARY KEY, n int DEFAULT 0)', '(id int, e text PRIMARY KEY, n int DEFAULT 0)', q{'deterministic=true'}, "(1, '$pseudonyms[0]'), (2, '$pseudonyms[1]')");
$node->poll_query_until('postgres', q{SELECT NOT subenabled FROM pg_subscription WHERE subname = 'shard'});
like(slurp_file($node->logfile), qr/new value for column "e" of relation "shard" looks like a pseudonym.*\n.*DETAIL: .*\n.*HINT: .*existing=keep.*ALTER SUBSCRIPTION/, 'a copy of pseudonyms is explained');
$node->safe_psql('postgres', q{CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON shard FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'existing=keep');
	ALTER TABLE shard ENABLE ALWAYS TRIGGER zz; ALTER SUBSCRIPTION shard ENABLE});
$node->wait_for_subscription_sync($publisher, 'shard');
is(write_there('shard', "UPDATE shard SET n = 1 WHERE id = 1; DELETE FROM shard WHERE id = 2; INSERT INTO shard VALUES (3, '$pseudonyms[2]')"), '', 'with existing=keep it goes on');
is(rows('shard'), "1|a\@x|1\n3|c\@x|0", 'and finds rows by their pseudonyms');
like(write_there('shard', q{INSERT INTO shard VALUES (4, 'a value')}), qr/a subscription finds rows of relation "shard" by column "e"/, 'a value among them is refused');

# Pseudonyms that go into another column, which the publisher has or has not: the value itself is there to be found.  Where rows are
# found by the target, it is refused likewise.
my $pair = '(id int, e text, n int DEFAULT 0, p text)';
sub subscribe_into
{
	my ($name, $there, $here, $label) = @_;
	subscribe($name, $there, $here, q{'deterministic=true'});
	$node->safe_psql('postgres', qq{CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON $name FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('$label');
		ALTER TABLE $name ENABLE ALWAYS TRIGGER zz});
}
sub pairs { return $node->safe_psql('postgres', "SELECT id, e, pseudo.try_reidentify(p), n FROM $_[0] ORDER BY 1") }
subscribe_into('into_mail', $refused{by_mail}[0], '(id int, e text PRIMARY KEY, n int DEFAULT 0, p text)', 'e IS deterministic, into=p');
is(write_there('into_mail', $changes->('into_mail') . q{; UPDATE into_mail SET e = 'c@x' WHERE id = 1}), '', 'into=: found by the source');
is(pairs('into_mail'), '1|c@x|c@x|1', 'every change is there');
subscribe_into('into_both', '(id int PRIMARY KEY, e text, n int DEFAULT 0, p text)', '(id int PRIMARY KEY, e text, n int DEFAULT 0, p text)', 'e IS random, into=p');
is(write_there('into_both', q{INSERT INTO into_both VALUES (1, 'a@x', 0, 'planted'), (2, NULL, 0, 'planted'); UPDATE into_both SET n = 1, p = 'again'; UPDATE into_both SET e = 'b@x' WHERE id = 2}), '', 'into=: the publisher has the target');
is(pairs('into_both'), "1|a\@x|a\@x|1\n2|b\@x|b\@x|1", 'and what it writes there is overwritten');
$node->safe_psql('postgres', q{CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON into_both FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e IS random, existing=keep, into=p'); ALTER TABLE into_both ENABLE ALWAYS TRIGGER zz});
is(write_there('into_both', "INSERT INTO into_both VALUES (3, 'a\@x', 0, '$pseudonyms[0]'), (4, 'b\@x', 0, '$pseudonyms[0]')"), '', 'into=, existing=keep');
is($node->safe_psql('postgres', "SELECT id, e, pseudo.reidentify(p), p = '$pseudonyms[0]' FROM into_both WHERE id > 2 ORDER BY id"), "3|a\@x|a\@x|t\n4|b\@x|b\@x|f", 'the pseudonym of just the value is kept');
for my $name (qw(into_id into_full into_null))
{
	my %is = (into_id => [ "(id int, e text, n int DEFAULT 0, p text PRIMARY KEY)" ], into_full => [ "$pair; ALTER TABLE into_full REPLICA IDENTITY FULL", $pair ],
		into_null => [ "$pair; ALTER TABLE into_null REPLICA IDENTITY FULL", $pair ]);
	subscribe_into($name, $is{$name}[0], $is{$name}[-1], 'e IS deterministic, into=p');
	like(write_there($name, "INSERT INTO $name VALUES (1, " . ($name eq 'into_null' ? 'NULL' : q{'a@x'}) . ", 0, 'x')"), qr/a subscription finds rows of relation "$name" by column "p", which is pseudonymized here/, "$name: refused");
}

# Whoever writes on the subscriber is warned, once a session: of a trigger that a subscription passes by, and of an identity.
$node->safe_psql('postgres', 'ALTER TABLE pk ENABLE TRIGGER zz; CREATE TABLE alone (LIKE by_mail INCLUDING ALL);
	CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON alone FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(\'e\', \'deterministic=true\'); ALTER TABLE alone ENABLE ALWAYS TRIGGER zz');
my ($out, $err);
$node->psql('postgres', q{INSERT INTO pk VALUES (10, 'x'); INSERT INTO pk VALUES (11, 'x'); INSERT INTO whole VALUES (10, 'x'); INSERT INTO by_mail VALUES (10, 'x'); INSERT INTO parts VALUES (10, 'x'); INSERT INTO alone VALUES (1, 'x')}, stdout => \$out, stderr => \$err);
is(join("\n", $err =~ /WARNING: +(.*)/g), q{trigger "zz" of relation "pk" does not fire for what a subscription writes
a subscription finds rows of relation "by_mail" by column "e", which is pseudonymized here
a subscription finds rows of relation "parts1" by column "e", which is pseudonymized here}, 'writers on the subscriber are warned once');

$node->safe_psql('postgres', "ALTER SUBSCRIPTION $_ DISABLE; ALTER SUBSCRIPTION $_ SET (slot_name = NONE); DROP SUBSCRIPTION $_") for qw(pk whole copied shard into_mail into_both into_id into_full into_null), sort keys %refused;
$node->stop;
$publisher->stop;
done_testing();
