# Replicas as doc/scale.md has them: a reporting database that no value reaches, by a column list or by a relay, of whose files each is
# looked into; and a standby that serves masked views.  022_standby.pl has the rest of standbys, 026_subscriber.pl that of triggers.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use File::Find ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The blocks of a section of doc/scale.md, to be run as they are, but for addresses.
sub recipe
{
	my ($heading, %nodes) = @_;
	my ($section) = slurp_file("$FindBin::RealBin/../../doc/scale.md") =~ /^### \Q$heading\E\n(.*?)(?=^##|\z)/ms or die $heading;
	my @blocks = $section =~ /^```\n(.*?)^```$/gms;
	s/'host=(\w+) dbname=shop user=/"'" . $nodes{$1}->connstr . ' dbname=postgres user='/e for @blocks;
	return @blocks;
}

# The files of a server that hold a value, after all of it is on the disk.
sub files_with_values
{
	my ($node) = @_;
	my @found;
	$node->safe_psql('postgres', 'CHECKPOINT');
	File::Find::find({ no_chdir => 1, wanted => sub { push @found, $File::Find::name if -f && slurp_file($_) =~ /\@example\./ } }, $node->basedir, $node->logfile);
	return "@found";
}

my $subscriber = "wal_retrieve_retry_interval = 100ms\nmax_logical_replication_workers = 10\nmax_worker_processes = 20\n";
my $folder = PostgreSQL::Test::Utils::tempdir();
my $primary = start_server('primary', "shared_preload_libraries = 'pseudo'\nmax_wal_senders = 20\nmax_replication_slots = 20\n", allows_streaming => 'logical');
add_keyring($primary, 'pseudo', undef, path => "$folder/primary.json");
$primary->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE ROLE reporting LOGIN REPLICATION;
	CREATE ROLE relay LOGIN REPLICATION;
	CREATE TABLE orders (id int PRIMARY KEY, email text, email_p text, amount numeric);
	INSERT INTO orders SELECT n, n || '@example.com', NULL, n FROM generate_series(1, 100) n;
	CREATE TABLE accounts (email text PRIMARY KEY, email_p text, points int);
	SECURITY LABEL FOR pseudo ON COLUMN accounts.email IS 'deterministic, into=email_p';
	SELECT pseudo.pseudo_protect('accounts');
	INSERT INTO accounts SELECT n || '@example.com', NULL, n FROM generate_series(1, 100) n});

# Rows of one server, which the keys of another one open.
sub opened
{
	my ($node, $query, $keys) = @_;
	my @rows = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $query);
	my $list = join ', ', map { "(" . join(', ', map { "'$_'" } @$_) . ")" } @rows;
	return $keys->safe_psql('postgres', "SELECT string_agg(k || ' ' || pseudo.reidentify(p), ', ' ORDER BY k::numeric) FROM (VALUES $list) r(k, p)");
}

#
# A publication without the plaintext.
#
my ($publish, $subscribe, $identity) = recipe('A reporting database without plaintext', primary => $primary);
$primary->safe_psql('postgres', $publish);
# Without the extension.
my $reporting = PostgreSQL::Test::Cluster->new('reporting');
$reporting->init;
$reporting->append_conf('postgresql.conf', $subscriber);
$reporting->start;
$reporting->safe_psql('postgres', $subscribe);
$reporting->wait_for_subscription_sync($primary, 'reporting');
is($reporting->safe_psql('postgres', q{SELECT count(*), count(DISTINCT email_p) FROM orders}), '100|100', 'the first copy');
$primary->safe_psql('postgres', q{
	INSERT INTO orders VALUES (101, '101@example.com', 'planted', 5);
	UPDATE orders SET email = 'new@example.org', amount = 7 WHERE id = 2;
	DELETE FROM orders WHERE id > 3 AND id <= 100});
$primary->wait_for_catchup('reporting');
my $orders = 'SELECT id, email_p FROM orders';
is(opened($reporting, $orders, $primary), '1 1@example.com, 2 new@example.org, 3 3@example.com, 101 101@example.com', 'changes');

# A rotation, by which nothing is lost.
my $old = $reporting->safe_psql('postgres', 'SELECT email_p FROM orders WHERE id = 1');
$primary->safe_psql('postgres', $_) for q{SELECT pseudo.pseudo_set_primary_key('pseudo', pseudo.pseudo_create_key('pseudo'))}, q{CALL pseudo.repseudonymize_table('orders')};
$primary->wait_for_catchup('reporting');
isnt($reporting->safe_psql('postgres', 'SELECT email_p FROM orders WHERE id = 1'), $old, 'a rotation reaches it');
is(opened($reporting, $orders, $primary), '1 1@example.com, 2 new@example.org, 3 3@example.com, 101 101@example.com', 'with the same values');

# A primary key that is plaintext: the list cannot have it, so the pseudonym identifies rows.
$primary->safe_psql('postgres', 'CREATE PUBLICATION early FOR TABLE accounts (email_p, points)');
like(error_of($primary, 'postgres', 'UPDATE accounts SET points = 0'), qr/^42P10: cannot update table "accounts"/, 'a list without the replica identity is refused');
$primary->safe_psql('postgres', 'DROP PUBLICATION early');
$primary->safe_psql('postgres', $identity);
$reporting->safe_psql('postgres', 'CREATE TABLE accounts (email_p text PRIMARY KEY, points int); ALTER SUBSCRIPTION reporting REFRESH PUBLICATION');
$reporting->wait_for_subscription_sync($primary, 'reporting');
$primary->safe_psql('postgres', $_) for q{
	UPDATE accounts SET points = 1000 WHERE email = '1@example.com';
	UPDATE accounts SET email = 'new@example.org' WHERE email = '2@example.com';
	DELETE FROM accounts WHERE points > 3 AND points < 1000}, q{CALL pseudo.repseudonymize_table('accounts')}, q{
	UPDATE accounts SET points = 300 WHERE email = '3@example.com'};
$primary->wait_for_catchup('reporting');
is(opened($reporting, 'SELECT points, email_p FROM accounts', $primary), '2 new@example.org, 300 3@example.com, 1000 1@example.com', 'rows are found by their pseudonyms, after a rotation too');
is(files_with_values($reporting), '', 'no file of the reporting database holds a value');
isnt(files_with_values($primary), '', 'as those of the primary do');

# What the role of a subscription may decode.
$primary->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('other', 'test_decoding'); INSERT INTO orders VALUES (102, '102@example.com', NULL, 1)});
like($primary->safe_psql('postgres', q{SELECT data FROM pg_logical_slot_get_changes('other', NULL, NULL)}, extra_params => [ '-U', 'reporting' ]), qr/102\@example\.com/, 'but its password decodes all');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('other')});
$reporting->safe_psql('postgres', 'DROP SUBSCRIPTION reporting; DROP TABLE orders');

#
# A relay.
#
my $relay = start_server('relay', "shared_preload_libraries = 'pseudo'\n$subscriber", allows_streaming => 'logical');
add_keyring($relay, 'pseudo', undef, path => "$folder/relay.json");
$relay->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key(); CREATE ROLE reporting LOGIN REPLICATION');
my ($on_primary, $on_relay, $on_reporting) = recipe('A relay', primary => $primary, relay => $relay);
$primary->safe_psql('postgres', $on_primary);
$relay->safe_psql('postgres', $on_relay);
$relay->wait_for_subscription_sync($primary, 'relay');
$reporting->safe_psql('postgres', $on_reporting);
$reporting->wait_for_subscription_sync($relay, 'reporting');
$primary->safe_psql('postgres', q{
	INSERT INTO orders VALUES (103, '103@example.com', NULL, 5);
	UPDATE orders SET email = 'newer@example.org' WHERE id = 2;
	DELETE FROM orders WHERE id = 3;
	INSERT INTO orders SELECT n, n || '@example.com', NULL, n FROM generate_series(1000, 2999) n;
	DELETE FROM orders WHERE id >= 1000});
$primary->wait_for_catchup('relay');
$relay->wait_for_catchup('reporting');
is(opened($reporting, 'SELECT id, email FROM orders', $relay), '1 1@example.com, 2 newer@example.org, 101 101@example.com, 102 102@example.com, 103 103@example.com', 'a relay: copied and changed');
is(files_with_values($_), '', "a relay: no file of the server @{[ $_->name ]} holds a value") for $relay, $reporting;

$reporting->safe_psql('postgres', 'DROP SUBSCRIPTION reporting');
$relay->safe_psql('postgres', 'DROP SUBSCRIPTION relay');
$_->stop for $reporting, $relay, $primary;

#
# A standby that serves masked views, with a copy of the keys: each server reads what is in its own data directory.
#
my $keys = '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $second = '{"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}';
my $both = $keys =~ s/\]\}$/, $second]}/r;
my $main = start_server('main', "shared_preload_libraries = 'pseudo'\n", allows_streaming => 1);
put_file($main->data_dir . '/keys.json', $keys);
$main->safe_psql('postgres', q{
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'cat keys.json');
	CREATE ROLE officer;
	CREATE ROLE analyst LOGIN;
	GRANT USAGE ON SCHEMA pseudo TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	GRANT USAGE ON FOREIGN SERVER pseudo TO officer;
	CREATE SCHEMA masked AUTHORIZATION officer;
	GRANT USAGE ON SCHEMA masked TO analyst;
	CREATE TABLE customers (id int PRIMARY KEY, email text);
	GRANT SELECT ON customers TO officer;
	SECURITY LABEL FOR pseudo ON COLUMN customers.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN customers.email IS 'deterministic';
	INSERT INTO customers SELECT n, n || '@example.com' FROM generate_series(1, 100) n;
	SET ROLE officer;
	SELECT pseudo.pseudo_create_view('customers', 'masked.customers', 'officer');
	GRANT SELECT ON masked.customers TO analyst});
$main->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('masked');
$standby->init_from_backup($main, 'base', has_streaming => 1);
unlink $standby->data_dir . '/keys.json' or die;
$standby->start;

# What an analyst gets there.
my $masked = q{SELECT string_agg(email, ' ' ORDER BY id) FROM masked.customers};
sub analyst
{
	my ($node) = @_;
	$main->wait_for_catchup($standby, 'replay', $main->lsn('insert'));
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$masked", extra_params => [ '-U', 'analyst' ]);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : $out;
}
my $pseudonyms = analyst($main);
like(analyst($standby), qr/^(?!42)\w{5}: keyring "pseudo"/, 'without keys the standby serves nothing');
put_file($standby->data_dir . '/keys.json', $keys);
$standby->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
is(analyst($standby), $pseudonyms, 'with them, what the primary serves');
unlike($pseudonyms, qr/@/, 'which are pseudonyms');
is(error_of($standby, 'postgres', 'SET ROLE analyst; SELECT email FROM customers'), '42501: permission denied for table customers', 'and not the table');
$main->safe_psql('postgres', q{UPDATE customers SET email = '1@example.org' WHERE id = 1});
isnt(analyst($standby), $pseudonyms, 'a change reaches it');
is(analyst($standby), analyst($main), 'and has the same pseudonym there');

# A rotation: first the key on both, then the primary writes with it.
for my $node ($standby, $main)
{
	put_file($node->data_dir . '/keys.json', $both);
	$node->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
}
$pseudonyms = analyst($main);
put_file($main->data_dir . '/keys.json', $both =~ s/"primaryKeyId": 1/"primaryKeyId": 2/r);
$main->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
isnt(analyst($main), $pseudonyms, 'a rotation');
is($standby->safe_psql('postgres', "SELECT pseudo.reidentify('" . (split / /, analyst($main))[1] . "')"), '2@example.com', 'the standby opens what the primary writes with the new key');
put_file($standby->data_dir . '/keys.json', $both =~ s/"primaryKeyId": 1/"primaryKeyId": 2/r);
$standby->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
is(analyst($standby), analyst($main), 'and serves the same as soon as it has the same document');

# Rights are those of the primary.
$main->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER pseudo FROM officer');
is(analyst($standby), analyst($main), 'a REVOKE');
like(analyst($standby), qr/^42501: permission denied/, 'stops the view there, too');

$standby->stop;
$main->stop;
done_testing();
