# The trigger and the bulk procedures among others: COPY, pgbench on partitions, a logical subscriber, locked rows, a
# deadlock, a second run, what other sessions see of a run.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('trigger', "deadlock_timeout = 2s\nlog_lock_waits = on\nmax_worker_processes = 20\n", allows_streaming => 'logical');
my $keys = add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key()');

sub start_call
{
	my (@sql) = @_;
	my %h = (out => '');
	$h{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=call', map { ('-c', $_) } @sql ],
		'<', \undef, '>&', \$h{out}, IPC::Run::timeout(180));
	return \%h;
}

# COPY from a file, to partitions too; a line that looks like a pseudonym fails, and the message has no value of another line.
$node->safe_psql('postgres', q{
	CREATE TABLE people (id int, email text, region text DEFAULT 'eu') PARTITION BY LIST (region);
	CREATE TABLE people_eu PARTITION OF people FOR VALUES IN ('eu');
	CREATE TABLE people_us PARTITION OF people FOR VALUES IN ('us');
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
});
my $csv = $node->basedir . '/people.csv';
put_file($csv, join '', map { "$_,person$_\@example.com," . ($_ % 2 ? 'eu' : 'us') . "\n" } 1 .. 5000);
$node->safe_psql('postgres', "COPY people FROM '$csv' (FORMAT csv)");
is($node->safe_psql('postgres', q{SELECT tableoid::regclass, count(*) FROM people WHERE pseudo.reidentify(email) = 'person' || id || '@example.com' GROUP BY 1 ORDER BY 1}),
	"people_eu|2500\npeople_us|2500", 'COPY to partitions');
put_file($csv, "6000,first\@example.com,eu\n6001," . ('A' x 44) . ",eu\n");
like(error_of($node, 'postgres', "COPY people FROM '$csv' (FORMAT csv)"), qr/^23514: new value for column "email" of relation "people_eu" looks like a pseudonym/, 'COPY of a look-alike fails');

# Concurrent writers: rows that move between partitions, upserts, and new values.
$node->safe_psql('postgres', 'CREATE TABLE upsert (id int PRIMARY KEY, n int DEFAULT 0, email text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON upsert FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger(\'email\')');
my $script = $node->basedir . '/writers.sql';
put_file($script, <<'END');
\set a random(1, 5000)
\set b random(1, 50)
UPDATE people SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE id = :a;
UPDATE people SET email = 'person' || id || '@example.com' WHERE id = :b;
INSERT INTO upsert VALUES (:b, 0, 'b0-:b') ON CONFLICT (id) DO UPDATE SET n = upsert.n + 1, email = EXCLUDED.email;
UPDATE upsert SET email = 'b' || n || '-' || id, n = n WHERE id = :b;
END
SKIP: {
	skip 'needs pgbench', 3 unless IPC::Run::run([ 'pgbench', '--version' ], '>', \my $version);
	my $out = '';
	ok(IPC::Run::run([ 'pgbench', '-n', '-c', '8', '-t', '300', '-f', $script, $node->connstr('postgres') ], '<', \undef, '>&', \$out), "writers meet no error: $out");
	is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(email) = 'person' || id || '@example.com' AND email = pseudo.pseudonymize('person' || id || '@example.com', true)) FROM people}),
		'5000|5000', 'every row of the partitions is right');
	is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE pseudo.reidentify(email) !~ ('^b\d+-' || id || '$')) FROM upsert}), '0', 'every upserted row is right');
}

# A logical subscriber: the publisher sends values, an ALWAYS trigger here makes pseudonyms.
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
$publisher->safe_psql('postgres', q{
	CREATE TABLE feed (id int PRIMARY KEY, email text, n int DEFAULT 0);
	INSERT INTO feed SELECT n, 'feed' || n || '@example.com' FROM generate_series(1, 100) n;
	CREATE PUBLICATION feed FOR TABLE feed;
});
$node->safe_psql('postgres', q{
	CREATE TABLE feed (id int PRIMARY KEY, email text, n int DEFAULT 0);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON feed FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
	ALTER TABLE feed ENABLE ALWAYS TRIGGER pseudo;
});
$node->safe_psql('postgres', "CREATE SUBSCRIPTION feed CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION feed");
$node->wait_for_subscription_sync($publisher, 'feed');
$publisher->safe_psql('postgres', q{
	INSERT INTO feed VALUES (101, 'feed101@example.com');
	UPDATE feed SET n = n + 1;
	UPDATE feed SET email = 'new' || id WHERE id <= 10;
	DELETE FROM feed WHERE id = 50;
});
$publisher->wait_for_catchup('feed');
is($node->safe_psql('postgres', q{SELECT count(*), sum(n), count(*) FILTER (WHERE email = pseudo.pseudonymize(CASE WHEN id <= 10 THEN 'new' || id ELSE 'feed' || id || '@example.com' END, true)) FROM feed}),
	'100|100|100', 'a subscriber pseudonymizes the first copy and all changes');
# One that gets pseudonyms keeps those that are authentic.
my $pseudonym = $node->safe_psql('postgres', q{SELECT pseudo.pseudonymize('made before')});
$publisher->safe_psql('postgres', qq{CREATE TABLE made (id int PRIMARY KEY, email text); INSERT INTO made VALUES (1, '$pseudonym'); CREATE PUBLICATION made FOR TABLE made});
$node->safe_psql('postgres', q{
	CREATE TABLE made (id int PRIMARY KEY, email text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON made FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'existing=keep');
	ALTER TABLE made ENABLE ALWAYS TRIGGER pseudo;
});
$node->safe_psql('postgres', "CREATE SUBSCRIPTION made CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION made");
$node->wait_for_subscription_sync($publisher, 'made');
$publisher->safe_psql('postgres', qq{INSERT INTO made VALUES (2, '$pseudonym'), (3, 'a value'); UPDATE made SET email = '$pseudonym' WHERE id = 3});
$publisher->wait_for_catchup('made');
is($node->safe_psql('postgres', qq{SELECT count(*) FROM made WHERE email = '$pseudonym'}), '3', 'a subscriber keeps pseudonyms');
$node->safe_psql('postgres', "DROP SUBSCRIPTION $_") for qw(feed made);
$publisher->stop;

# A run that meets a locked row converts the others, waits, and takes the row as it is then; others see how far it is.
$node->safe_psql('postgres', q{
	CREATE TABLE bulk (id int PRIMARY KEY, n int DEFAULT 0, email text);
	INSERT INTO bulk SELECT n, 0, n || '@example.com' FROM generate_series(1, 3000) n;
	ANALYZE bulk;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON bulk FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email');
});
my $writer = session($node);
ask($writer, q{BEGIN});
ask($writer, q{UPDATE bulk SET n = 1 WHERE id IN (10, 2000)});
my $run = start_call(q{CALL pseudo.pseudonymize_table('bulk', '{email}', batch_size => 100)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM bulk WHERE email LIKE '%@%'}), 'all rows but the locked ones are converted');
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'call' AND wait_event_type = 'Lock')}), 'it waits for them');
is($node->safe_psql('postgres', q{SELECT status, values_converted, rows_total FROM pseudo.pseudo_progress WHERE relation = 'bulk'::regclass}), 'running|2998|3000', 'other sessions see how far it is');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE application_name = 'call' AND locktype = 'tuple' AND NOT granted}), '0', 'and it holds no other row');
like(error_of($node, 'postgres', q{CALL pseudo.pseudonymize_table('bulk', '{email}')}), qr/^55006: table public.bulk is being converted by another session/, 'a second run is refused');
ask($writer, q{UPDATE bulk SET email = 'changed@example.com' WHERE id = 2000});
ask($writer, q{COMMIT});
$run->{run}->finish;
like($run->{out}, qr/NOTICE:  public.bulk: 2999 values in 2999 rows converted/, 'it goes on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM bulk WHERE pseudo.reidentify(email) <> CASE id WHEN 2000 THEN 'changed' ELSE id::text END || '@example.com'}), '0', 'no new value was overwritten with an old one');
is($node->safe_psql('postgres', q{SELECT status FROM pseudo.pseudo_progress WHERE relation = 'bulk'::regclass}), 'done', 'done');

# A deadlock costs the batch, not the run.
$node->safe_psql('postgres', q{
	ALTER TABLE bulk DISABLE TRIGGER pseudo;
	UPDATE bulk SET email = id || '@example.com';
	ALTER TABLE bulk ENABLE TRIGGER pseudo;
	CREATE TABLE touched (n int);
	INSERT INTO touched VALUES (0);
	CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 500 THEN UPDATE touched SET n = n + 1; END IF; RETURN NEW; END$$;
	CREATE TRIGGER touch BEFORE UPDATE ON bulk FOR EACH ROW EXECUTE FUNCTION touch();
});
ask($writer, q{SET deadlock_timeout = '1min'});
ask($writer, q{BEGIN});
ask($writer, q{UPDATE touched SET n = n + 1});
$run = start_call(q{CALL pseudo.pseudonymize_table('bulk', '{email}', batch_size => 1000)});
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'call' AND wait_event_type = 'Lock')});
is(ask($writer, q{UPDATE bulk SET n = 2 WHERE id = 501}), '', 'the writer of a deadlock goes on');
ask($writer, q{COMMIT});
$run->{run}->finish;
like($run->{out}, qr/NOTICE:  public.bulk: 3000 values in 3000 rows converted/, 'and so does the run');
like(slurp_file($node->logfile), qr/call LOG:  process \d+ detected deadlock/, 'there was one, and it hit the run');
is($node->safe_psql('postgres', q{SELECT count(*) FROM bulk WHERE pseudo.reidentify(email) <> id || '@example.com'}), '0', 'every row is right');
is($node->safe_psql('postgres', q{SELECT n FROM bulk WHERE id = 501}), '2', 'and the write of the other is there');
leave($writer);

# Progress about once a second.
$node->safe_psql('postgres', q{
	ALTER TABLE bulk DISABLE TRIGGER ALL;
	UPDATE bulk SET email = id || '@example.com';
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END$$;
	CREATE TRIGGER slow BEFORE UPDATE ON bulk FOR EACH ROW EXECUTE FUNCTION slow();
});
$run = start_call(q{CALL pseudo.pseudonymize_table('bulk', '{email}', batch_size => 100)});
$run->{run}->finish;
my @notices = $run->{out} =~ /NOTICE:  public.bulk: \d+ of about \d+ rows \([\d.]+ %\), \d+ rows a second, \d+ s left/g;
cmp_ok(scalar @notices, '>=', 2, 'notices: ' . scalar @notices);
cmp_ok(scalar @notices, '<=', 20, 'and not too many');
like($run->{out}, qr/has no trigger pseudonymize_trigger/, 'a table without the trigger is told of');
for my $case ([ 'ENABLE', 'INSERT OR UPDATE', '', 0 ], [ 'ENABLE ALWAYS', 'INSERT OR UPDATE', '', 0 ], [ 'ENABLE REPLICA', 'INSERT OR UPDATE', '', 1 ], [ 'DISABLE', 'INSERT OR UPDATE', '', 1 ],
	[ 'ENABLE', 'INSERT', '', 1 ], [ 'ENABLE', 'UPDATE', '', 1 ], [ 'ENABLE', 'INSERT OR UPDATE', 'WHEN (NEW.id > 5)', 1 ],
	[ 'ENABLE', 'INSERT OR UPDATE OF id', '', 1 ], [ 'ENABLE', 'INSERT OR UPDATE OF id, email', '', 0 ])
{
	my ($enabled, $events, $when, $told) = @$case;
	$run = start_call(qq{DROP TABLE bulk; CREATE TABLE bulk (id int, email text);
		CREATE TRIGGER pseudo BEFORE $events ON bulk FOR EACH ROW $when EXECUTE FUNCTION pseudo.pseudonymize_trigger('email'); ALTER TABLE bulk $enabled TRIGGER pseudo}, q{CALL pseudo.pseudonymize_table('bulk', '{email}')});
	$run->{run}->finish;
	is($run->{out} =~ /column "email" of relation "bulk" has no trigger pseudonymize_trigger/ ? 1 : 0, $told, "trigger for $events $when, $enabled");
}
# Several triggers: together they may see all that is written; one with UPDATE OF does not see what another writes before it.
$node->safe_psql('postgres', q{CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.email := NEW.raw; RETURN NEW; END$$});
my $fires = sub { "CREATE TRIGGER $_[0] BEFORE $_[1] ON bulk FOR EACH ROW EXECUTE FUNCTION " . ($_[2] || q{pseudo.pseudonymize_trigger('email', 'raw')}) };
for my $case ([ 'one for INSERT, one for UPDATE', '', $fires->('zi', 'INSERT'), $fires->('zu', 'UPDATE') ],
	[ 'UPDATE OF each column, in two', '', $fires->('zi', 'INSERT OR UPDATE OF raw'), $fires->('zu', 'UPDATE OF email') ],
	[ 'UPDATE OF one of two columns', '"email"', $fires->('zi', 'INSERT OR UPDATE OF raw') ],
	[ 'UPDATE OF none of them', '"email", "raw"', $fires->('zi', 'INSERT OR UPDATE OF id') ],
	[ 'UPDATE OF, and another trigger before', '"email", "raw"', $fires->('a', 'INSERT OR UPDATE', 'fill()'), $fires->('z', 'INSERT OR UPDATE OF email, raw') ],
	[ 'UPDATE OF, and another trigger before that is disabled', '', $fires->('a', 'INSERT OR UPDATE', 'fill()'), $fires->('z', 'INSERT OR UPDATE OF email, raw'), 'ALTER TABLE bulk DISABLE TRIGGER a' ],
	[ 'UPDATE OF, and another trigger before for INSERT', '', $fires->('a', 'INSERT', 'fill()'), $fires->('z', 'INSERT OR UPDATE OF email, raw') ],
	[ 'all, and another trigger before', '', $fires->('a', 'INSERT OR UPDATE', 'fill()'), $fires->('z', 'INSERT OR UPDATE') ])
{
	my ($what, $told, @triggers) = @$case;
	$run = start_call('DROP TABLE bulk; CREATE TABLE bulk (id int, dropped int, email text, raw text); ALTER TABLE bulk DROP COLUMN dropped', @triggers, q{CALL pseudo.pseudonymize_table('bulk', '{email, raw}')});
	$run->{run}->finish;
	is($run->{out} =~ /columns? (.*) of relation "bulk" ha(?:s|ve) no trigger pseudonymize_trigger for all that is written/ ? $1 : '', $told, $what);
}
# Partitions and children of their own: those that have none are named.
my $trigger = q{EXECUTE FUNCTION pseudo.pseudonymize_trigger('email')};
$node->safe_psql('postgres', qq{
	CREATE TABLE parts (id int, email text) PARTITION BY LIST (id);
	CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON parts1 FOR EACH ROW $trigger;
	CREATE TABLE parts2 PARTITION OF parts FOR VALUES IN (2);
	CREATE TABLE whole (LIKE parts) PARTITION BY LIST (id);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE OF id ON whole FOR EACH ROW $trigger;
	CREATE TABLE whole1 PARTITION OF whole FOR VALUES IN (1);
	CREATE TRIGGER zz BEFORE UPDATE ON whole1 FOR EACH ROW $trigger;
	CREATE TABLE whole2 PARTITION OF whole FOR VALUES IN (2);
	CREATE TABLE parent (id int, email text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON parent FOR EACH ROW $trigger;
	CREATE TABLE child () INHERITS (parent);
	CREATE TABLE taken (LIKE parent INCLUDING ALL);
	INSERT INTO parts VALUES (1, 'x'), (2, 'x'); INSERT INTO child VALUES (1, 'x'); INSERT INTO taken VALUES (1, 'x')});
for my $case ([ 'parts', 'parts2' ], [ 'whole', 'whole2' ], [ 'parent', 'child' ], [ 'taken', 'taken' ])
{
	my ($table, $told) = @$case;
	$run = start_call("CALL pseudo.pseudonymize_table('$table', '{email}')");
	$run->{run}->finish;
	is(join(' ', $run->{out} =~ /of relation "(\w+)" has no trigger pseudonymize_trigger/g), $told, "$table: what has no trigger is named");
}
# Where all of them are labelled, pseudo_protect() is told of, for the table whose labels count; and what it makes covers them.
$node->safe_psql('postgres', q{
	CREATE TABLE labelled (id int, email text, email_p text, note text) PARTITION BY LIST (id);
	CREATE TABLE labelled1 PARTITION OF labelled FOR VALUES IN (1);
	SELECT count(*) FROM pseudo.pseudo_keyrings;
	SECURITY LABEL FOR pseudo ON COLUMN labelled.email IS 'random, into=email_p'});
for my $case ([ 'labelled', q{}, qr/as the labels say: SELECT \* FROM pseudo\.pseudo_protect\('public\.labelled'\)/ ],
	[ 'labelled1', q{}, qr/as the labels say: SELECT \* FROM pseudo\.pseudo_protect\('public\.labelled'\)/ ],
	[ 'labelled', q{, '{note}'}, qr/BEFORE INSERT OR UPDATE, without WHEN/ ], [ 'labelled', q{, '{note, email_p}'}, qr/BEFORE INSERT OR UPDATE, without WHEN/ ])
{
	my ($table, $columns, $told) = @$case;
	$run = start_call("CALL pseudo.pseudonymize_table('$table'$columns)");
	$run->{run}->finish;
	like($run->{out}, qr/relation "labelled1" ha(?:s|ve) no trigger .*HINT:  Create the trigger first, $told/s, "$table$columns: the hint");
}
$run = start_call('SELECT FROM pseudo.pseudo_protect(\'labelled\')', q{CALL pseudo.pseudonymize_table('labelled')});
$run->{run}->finish;
unlike($run->{out}, qr/has no trigger/, 'and there is one then');

$node->stop;
done_testing();
