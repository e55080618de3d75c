# On a physical standby reidentify works, and the bulk procedures say why they cannot.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = start_server('primary', '', allows_streaming => 1);
add_keyring($primary, 'pseudo', undef, path => $primary->basedir . '/keys.json');
$primary->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE TABLE people (id int PRIMARY KEY, email text);
	INSERT INTO people SELECT n, n || '@example.com' FROM generate_series(1, 1000) n;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email');
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{CALL pseudo.pseudonymize_table('people', '{email}')});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

is($standby->safe_psql('postgres', q{SELECT count(*) FROM people WHERE pseudo.reidentify(email) = id || '@example.com'}),
	'1000', 'reidentify works on the standby');
is($standby->safe_psql('postgres', q{SELECT status, values_converted FROM pseudo.pseudo_progress}), 'done|1000', 'and so does pseudo_progress');
for my $call (q{pseudonymize_table('people', '{email}')}, q{repseudonymize_table('people', '{email}', dry_run => true)})
{
	my ($code, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\nCALL pseudo.$call");
	like($err, qr/25006: \w+ cannot run on a standby/, "$call: refused");
	like($err, qr/HINT:  Run it on the primary/, "$call: with a hint");
}
is($standby->safe_psql('postgres', q{SELECT pseudo.reidentify(pseudo.pseudonymize('x', true))}), 'x', 'pseudonymize works');

$standby->promote;
$standby->safe_psql('postgres', q{INSERT INTO people VALUES (1001, 'after@example.com')});
is($standby->safe_psql('postgres', q{SELECT pseudo.reidentify(email) FROM people WHERE id = 1001}), 'after@example.com', 'a promoted standby pseudonymizes');
$standby->safe_psql('postgres', q{CALL pseudo.pseudonymize_table('people', '{email}')});

$standby->stop;
$primary->stop;
done_testing();
