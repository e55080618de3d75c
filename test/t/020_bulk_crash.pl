# pseudonymize_table ended by a crash, a cancel or a lost session at random points while others write, and run again: every
# row ends as one pseudonym of its value, and what was converted before is left as it was.  Every second round is by labels: contexts
# differ, and a column keeps its values while another gets their pseudonyms.  30 rounds with PG_TEST_EXTRA=slow, else 5.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/ ? 30 : 5;
my $rows = 20000;

plan skip_all => 'needs pgbench' unless IPC::Run::run([ 'pgbench', '--version' ], '>', \my $version);

my $node = start_server('bulk', "deadlock_timeout = 50ms\nautovacuum_naptime = 1s\n");
add_keyring($node, 'pseudo', undef);
$node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key()');

# Writers: counters that move rows with whatever they hold, also to another partition; new values, new rows, two rows in any order.
my $script = $node->basedir . '/writers.sql';
open my $file, '>', $script or die;
print $file <<'END';
\set a random(1, 20000)
\set b random(1, 20000)
\set c random(1, 20000)
UPDATE people SET counter = counter + 1 WHERE id = :a;
UPDATE people SET ver = ver + 1, email = 'v' || (ver + 1) || '-' || id || '@example.com', phone = 'v' || (ver + 1) || '-' || id WHERE id = :b;
UPDATE people SET region = 1 - region WHERE id = :c;
INSERT INTO people (id, email, note, phone) SELECT n, 'v0-' || n || '@example.com', 'note ' || n, 'v0-' || n FROM (SELECT nextval('ids') n) s;
BEGIN;
UPDATE people SET counter = counter + 1 WHERE id = :c;
UPDATE people SET counter = counter + 1, email = email WHERE id = :a;
COMMIT;
END
close $file;

sub start_writers
{
	my %h = (out => '');
	$h{run} = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '120', '--max-tries=100', '-f', $script, $node->connstr('postgres') ],
		'<', \undef, '>&', \$h{out});
	return \%h;
}

sub stop_writers
{
	my ($h) = @_;
	$h->{run}->kill_kill(grace => 5);
}

sub start_call
{
	my ($call) = @_;
	my %h = (out => '');
	$h{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=call', '-c', $call ],
		'<', \undef, '>&', \$h{out});
	return \%h;
}

# Wait until so many values are converted, and a moment longer, so that the end may fall anywhere in a batch.
sub wait_for
{
	my ($operation, $values) = @_;
	$node->safe_psql('postgres', qq{
		SET statement_timeout = '60s';
		DO \$\$BEGIN WHILE (SELECT operation = '$operation' AND (values_converted >= $values OR status <> 'running') FROM pseudo.pseudo_progress WHERE relation = 'people'::regclass) IS NOT TRUE LOOP
			PERFORM pg_sleep(0.001);
		END LOOP; END\$\$});
	usleep(rand(5_000));
}

# A row that no writer writes, locked: no run comes to its end before it has been stopped.
sub hold_row
{
	my $s = session($node);

	ask($s, 'BEGIN; SELECT id FROM people WHERE id = 0 FOR UPDATE');
	return $s;
}

for my $round (1 .. $rounds)
{
	my $mode = $round % 2 ? 'true' : 'false';
	my $end = (qw(crash cancel crash terminate))[ $round % 4 ];
	my $partitions = $round % 3 == 2 ? 'PARTITION BY LIST (region); CREATE TABLE people0 PARTITION OF people FOR VALUES IN (0) WITH (fillfactor = 70); CREATE TABLE people1 PARTITION OF people FOR VALUES IN (1)' : 'WITH (fillfactor = 70)';
	my $name = "round $round, $end, deterministic => $mode" . ($partitions =~ /^WITH/ ? '' : ', partitions') . ($round % 2 ? '' : ', labels');
	my $labelled = $round % 2 ? 0 : 1;
	my $notes = $labelled ? 'notes' : 'crm';
	my $columns = $labelled ? '' : "'{email,note}', ";
	my $call = "CALL pseudo.pseudonymize_table('people', $columns" . ($labelled ? '' : "$mode, 'crm', ") . "batch_size => 100)";

	$node->safe_psql('postgres', qq{
		DROP TABLE IF EXISTS people, kept;
		DROP SEQUENCE IF EXISTS ids;
		CREATE SEQUENCE ids START 1000001;
		CREATE TABLE people (id int, ver int NOT NULL DEFAULT 0, counter int DEFAULT 0, email text, note text, phone text, phone_p text, region int DEFAULT 0, PRIMARY KEY (id, region)) $partitions;
		INSERT INTO people SELECT n, 0, 0, 'v0-' || n || '\@example.com', 'note ' || n, 'v0-' || n, CASE WHEN n % 3 = 0 THEN 'v0-' || n END FROM generate_series(0, $rows) n;
		CREATE INDEX ON people (email);
	});
	$node->safe_psql('postgres', $labelled ? qq{
		SELECT count(*) FROM pseudo.pseudo_keyrings;
		SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'random, context=crm';
		SECURITY LABEL FOR pseudo ON COLUMN people.note IS 'deterministic, context=notes';
		SECURITY LABEL FOR pseudo ON COLUMN people.phone IS 'random, into=phone_p';
		SELECT pseudo.pseudo_protect('people');
	} : qq{
		CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW
			EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'note', 'deterministic=$mode', 'context=crm');
	});
	my $holder = hold_row();
	my $writers = start_writers();
	my $run = start_call($call);
	wait_for('pseudonymize_table', rand(1.6 * $rows));
	if ($end eq 'crash')
	{
		$node->stop('immediate');
		stop_writers($writers);
		$run->{run}->finish;
		$node->start;
		$writers = start_writers();
	}
	else
	{
		my $function = $end eq 'cancel' ? 'pg_cancel_backend' : 'pg_terminate_backend';
		$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'call'");
		$run->{run}->finish;
	}
	leave($holder);
	my $status = $node->safe_psql('postgres', "SELECT status FROM pseudo.pseudo_progress WHERE relation = 'people'::regclass") || 'none';
	is($status, $end eq 'cancel' ? 'cancelled' : 'running', "$name: it is stopped before its end, $run->{out}");
	$node->safe_psql('postgres', "CREATE TABLE kept AS SELECT id, ver, email, CASE WHEN note NOT LIKE 'note %' THEN note END AS note, CASE WHEN phone_p NOT LIKE 'v0-%' THEN phone_p END AS phone_p FROM people WHERE email NOT LIKE '%\@%'");

	$run = start_call($call);
	$run->{run}->finish;
	like($run->{out}, qr/NOTICE:.* values? in .* rows? converted/, "$name: it ends when it is run again");
	usleep(50_000);
	stop_writers($writers);
	unlike($writers->{out}, qr/ERROR|FATAL|aborted/, "$name: the writers meet no error");

	is($node->safe_psql('postgres', "SELECT count(*) FROM people WHERE pseudo.reidentify(email, 'crm') IS DISTINCT FROM 'v' || ver || '-' || id || '\@example.com' OR pseudo.reidentify(note, '$notes') IS DISTINCT FROM 'note ' || id"),
		'0', "$name: every row has one pseudonym of the right value");
	is($node->safe_psql('postgres', "SELECT count(*) FROM people WHERE pseudo.reidentify(phone_p) IS DISTINCT FROM phone OR phone <> 'v' || ver || '-' || id"),
		'0', "$name: so has every target") if $labelled;
	is($node->safe_psql('postgres', "SELECT count(*) FROM people WHERE id <= $rows"), $rows + 1, "$name: none is lost");
	is($node->safe_psql('postgres', "SELECT count(*) FROM kept k JOIN people p USING (id, ver) WHERE k.email <> p.email OR k.note <> p.note OR k.phone_p <> p.phone_p"),
		'0', "$name: what was converted stayed as it was");
	is($node->safe_psql('postgres', "SELECT count(*) FROM people WHERE ($mode AND email <> pseudo.pseudonymize('v' || ver || '-' || id || '\@example.com', true, 'crm'))"),
		'0', "$name: in its mode");
	next if $round > 2;

	# The same for a rotation: pseudonyms move to a new key, in their mode, and a second run goes on.
	$node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key(make_primary => true)');
	my $key = $node->safe_psql('postgres', 'SELECT primary_key_id FROM pseudo.pseudo_keyrings');
	my $rotate = "CALL pseudo.repseudonymize_table('people', $columns" . ($labelled ? '' : "'crm', ") . "batch_size => 100)";
	$holder = hold_row();
	$writers = start_writers();
	$run = start_call($rotate);
	wait_for('repseudonymize_table', rand(0.8 * $rows));
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'call'");
	$run->{run}->finish;
	leave($holder);
	like($run->{out}, qr/canceling statement/, "$name: repseudonymize_table is cancelled before its end");
	$run = start_call($rotate);
	$run->{run}->finish;
	like($run->{out}, qr/values? in .* rows? converted.*already/s, "$name: repseudonymize_table ends when it is run again");
	stop_writers($writers);
	unlike($writers->{out}, qr/ERROR|FATAL|aborted/, "$name: and the writers meet no error");
	is($node->safe_psql('postgres', "SELECT count(*) FROM people WHERE pseudo.pseudonym_key_id(email) <> $key OR pseudo.pseudonym_key_id(note) <> $key OR pseudo.reidentify(email, 'crm') <> 'v' || ver || '-' || id || '\@example.com' OR pseudo.reidentify(note, '$notes') <> 'note ' || id OR ($labelled = 1 AND (pseudo.pseudonym_key_id(phone_p) <> $key OR pseudo.reidentify(phone_p) <> phone)) OR ($mode AND email <> pseudo.pseudonymize('v' || ver || '-' || id || '\@example.com', true, 'crm'))"),
		'0', "$name: every row is under the new key");
}

$node->stop;
done_testing();
