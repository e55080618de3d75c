# pseudo_create_view() beside others: in a transaction with an old snapshot, with readers while it reads the table, two at
# once; its views in a dump, after which it knows them again; and a foreign table.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('create_view');
my $dir = $node->basedir;
my $gate = "$dir/gate";
add_keyring($node, 'pseudo', undef, path => "$dir/keys.json");
$node->safe_psql('postgres', qq{
	SELECT pseudo.pseudo_create_key();
	CREATE SERVER slow FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'while [ ! -e $gate ]; do sleep 0.1; done; cat $dir/keys.json', timeout '120s');
	CREATE ROLE officer LOGIN;
	CREATE ROLE analyst LOGIN;
	CREATE SCHEMA masked AUTHORIZATION officer;
	GRANT USAGE ON SCHEMA pseudo TO officer;
	GRANT USAGE ON SCHEMA masked TO analyst;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO officer;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	GRANT USAGE ON FOREIGN SERVER pseudo, slow TO officer;
	CREATE TABLE people (id int PRIMARY KEY, email text, doc json);
	SECURITY LABEL FOR pseudo ON COLUMN people.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'deterministic';
	SECURITY LABEL FOR pseudo ON COLUMN people.doc IS 'keep';
	INSERT INTO people VALUES (1, '1\@example.com', '{}');
	GRANT SELECT ON people TO officer;
});
my $make = q{SELECT pseudo.pseudo_create_view('people', 'masked.people', 'officer')};

# A row that was written before there was a trigger, and after an old snapshot.
my $old = session($node);
ask($old, 'SET ROLE officer; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM people WHERE id > 1');
$node->safe_psql('postgres', q{
	DELETE FROM people;
	INSERT INTO people VALUES (2, '2@example.com', '{}');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic');
});
is(ask($old, 'SELECT id FROM people'), '1', 'the old snapshot does not see the row');
like(ask($old, $make), qr/^55000: column "email" of relation "people" holds values that are no pseudonyms/, 'and the check does');
ask($old, 'ROLLBACK');
$node->safe_psql('postgres', q{CALL pseudo.pseudonymize_table('people', '{email}', true)});
like(ask($old, $make), qr/^CREATE VIEW masked\.people AS\nSELECT/, 'once it is converted the view is made');
ask($old, 'GRANT SELECT ON masked.people TO analyst');

# While it reads the table, for as long as the keyring takes, others read the old view; a second one waits for the first.
$node->safe_psql('postgres', q{
	LOAD 'pseudo';
	SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'deterministic, keyring=slow';
	CREATE OR REPLACE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email IS deterministic, keyring=slow');
});
sub start
{
	my ($name) = @_;
	my %h = (out => '');
	$h{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " user=officer application_name=$name", '-c', $make ],
		'<', \undef, '>&', \$h{out}, IPC::Run::timeout(180));
	return \%h;
}
my $first = start('first');
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'first'
	AND relation = 'masked.people'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted)});
my $second = start('second');
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'second' AND NOT granted)});
is($node->safe_psql('postgres', 'SET ROLE analyst; SELECT count(*) FROM masked.people'), '1', 'readers read meanwhile');
PostgreSQL::Test::Utils::append_to_file($gate, '');
$_->{run}->finish for $first, $second;
like($_->{out}, qr/^CREATE OR REPLACE VIEW masked\.people AS\nSELECT/, 'both are made, one after the other') for $first, $second;

# A dump has what tells it that the views are its own.
is($node->safe_psql('postgres', q{SET ROLE officer; SELECT pseudo.pseudo_create_view('people', 'masked.sorted', 'officer', 'id < 10', true, context => 'other') LIKE '%ROW(doc) USING OPERATOR(pg_catalog.*<)'}),
	't', 'a view with an order');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$dir/dump" ], 'pg_restore');
is($node->safe_psql('restored', q{SELECT string_agg(pg_get_viewdef(v), '' ORDER BY v) FROM unnest('{masked.people,masked.sorted}'::regclass[]) v}),
	$node->safe_psql('postgres', q{SELECT string_agg(pg_get_viewdef(v), '' ORDER BY v) FROM unnest('{masked.people,masked.sorted}'::regclass[]) v}), 'the views are as they were');
is($node->safe_psql('restored', 'SET ROLE analyst; SELECT count(email) FROM masked.people'), '1', 'with their grants');
like($node->safe_psql('restored', "SET ROLE officer; $make"), qr/^CREATE OR REPLACE VIEW masked\.people AS\nSELECT/, 'and may be replaced');

# A foreign table of plaintext.
PostgreSQL::Test::Utils::append_to_file("$dir/far.csv", qq{1,far\@example.com\n});
$node->safe_psql('postgres', qq{
	CREATE EXTENSION file_fdw;
	CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
	CREATE FOREIGN TABLE far (id int, email text) SERVER files OPTIONS (filename '$dir/far.csv', format 'csv');
	LOAD 'pseudo';
	SECURITY LABEL FOR pseudo ON COLUMN far.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN far.email IS 'deterministic';
});
is($node->safe_psql('postgres', q{SELECT pseudo.pseudo_create_view('far', 'masked.far', 'current_user') LIKE '%pseudonymize_as%'; SELECT pseudo.reidentify(email) FROM masked.far}),
	"t\nfar\@example.com", 'the view of a foreign table');

leave($old);
$node->stop;
done_testing();
