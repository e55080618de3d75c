# What others do to a table between two batches of pseudonymize_table, and cancels where no batch runs; and a table whose access method
# cannot read it in parts.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('between', "autovacuum = off\n");
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END$$;
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(CASE NEW.id WHEN 1 THEN 180 ELSE 0 END); RETURN NULL; END$$;
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
	CREATE ROLE clerk;
	GRANT USAGE ON SCHEMA pseudo TO clerk;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO clerk;
	GRANT USAGE ON FOREIGN SERVER pseudo TO clerk;
});

# A psql for one statement, whose backend is found by its application name.
sub start
{
	my ($name, @sql) = @_;
	my %h = (out => '');
	$h{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . " application_name=$name", map { ('-c', $_) } @sql ],
		'<', \undef, '>&', \$h{out}, IPC::Run::timeout(180));
	return \%h;
}

sub waits
{
	my ($name) = @_;
	return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type IN ('Lock', 'Timeout'))");
}

sub status
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SELECT status, sqlstate, values_converted FROM pseudo.pseudo_progress WHERE relation = $sql");
}

# The table has 1000 rows, every fifth of them dead; the first batch stops in the middle, and what is to come between waits for its end.
my $gate = session($node);
sub between
{
	my ($sql, $as) = @_;
	$node->safe_psql('postgres', q{
		DROP TABLE IF EXISTS people;
		CREATE TABLE people (id int PRIMARY KEY, n int DEFAULT 0, email text, fill text DEFAULT repeat('x', 200));
		INSERT INTO people SELECT n, 0, n || '@example.com' FROM generate_series(1, 1250) n;
		DELETE FROM people WHERE id % 5 = 0;
		CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email');
		CREATE TRIGGER gate BEFORE UPDATE ON people FOR EACH STATEMENT EXECUTE FUNCTION gate();
		GRANT SELECT, UPDATE ON people TO clerk;
	});
	my $relid = $node->safe_psql('postgres', q{SELECT 'people'::regclass::oid});
	ask($gate, 'SELECT pg_advisory_lock(1)');
	my $run = start('call', $as ? "SET ROLE $as" : (), q{CALL pseudo.pseudonymize_table('people', '{email}', batch_size => 300)});
	waits('call');
	my $ddl = start('ddl', $sql);
	waits('ddl');
	ask($gate, 'SELECT pg_advisory_unlock(1)');
	$_->{run}->finish for $run, $ddl;
	is($ddl->{out}, '', "$sql: works");
	return ($run->{out}, $relid);
}

for my $sql ('VACUUM FULL people', 'CLUSTER people USING people_pkey', 'ALTER TABLE people ALTER n TYPE bigint', 'ALTER TABLE people ALTER email TYPE varchar(100)',
	'CREATE UNIQUE INDEX ON people (email)', 'ALTER TABLE people DROP COLUMN fill', 'CREATE TRIGGER also BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION nothing()',
	'ALTER TABLE people RENAME TO persons; ALTER TABLE persons RENAME TO people')
{
	my ($out, $relid) = between($sql);
	is(status($relid), 'done||1000', "$sql: each value is converted once");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM people WHERE pseudo.reidentify(email) = id || '@example.com'}), '1000', "$sql: and is right");
}

my ($out, $relid) = between('TRUNCATE people');
is(status($relid), 'done||300', 'TRUNCATE: done');

for my $case (
	[ 'ALTER TABLE people RENAME COLUMN email TO mail', qr/42703: column "email" of relation "people" does not exist/ ],
	[ 'ALTER TABLE people DROP COLUMN email; ', qr/42703: column "email" of relation "people" does not exist/ ],
	[ 'DROP TABLE people', qr/42P01: a table was dropped while it was being converted/ ],
	[ 'DROP TRIGGER pseudo ON people; ALTER TABLE people ALTER email TYPE bytea USING NULL', qr/42804: .* has type bytea, which is not a string type.*HINT/s ],
	[ 'ALTER TABLE people ALTER email TYPE varchar(40) USING left(email, 17)', qr/22001: column "email" of relation "people" is too narrow.*HINT/s ],
	[ 'CREATE RULE r AS ON UPDATE TO people DO INSTEAD NOTHING', qr/0A000: cannot perform UPDATE RETURNING on relation "people".*HINT/s ],
	[ 'REVOKE UPDATE ON people FROM clerk; LOCK TABLE people', qr/42501: permission denied for table people.*HINT/s, 'clerk' ],
	[ 'ALTER TABLE people ENABLE ROW LEVEL SECURITY', qr/42501: row-level security of table "people".*HINT/s, 'clerk' ],
	[ 'LOCK TABLE people; REVOKE EXECUTE ON FUNCTION pseudo.pseudonymize FROM clerk', qr/42501: permission denied for function pseudonymize/, 'clerk' ])
{
	my ($sql, $error, $as) = @$case;
	my ($out, $relid) = between($sql, $as);
	my ($sqlstate) = $error =~ /(\w{5}):/;
	like($out, $error, "$sql: is told");
	is(status($relid), "failed|$sqlstate|300", "$sql: is noted, and what was done before it stays");
}
$node->safe_psql('postgres', 'DROP TABLE people');

# A value that a writer moves from a partition ahead to one behind; the trigger leaves it as it is, for it could be a pseudonym.
$node->safe_psql('postgres', q{
	CREATE TABLE hashes (id int, k int, hash text) PARTITION BY LIST (k);
	CREATE TABLE hashes1 PARTITION OF hashes FOR VALUES IN (1);
	CREATE TABLE hashes2 PARTITION OF hashes FOR VALUES IN (2);
	INSERT INTO hashes SELECT n, 1 + n / 11, encode(sha256(n::text::bytea), 'hex') FROM generate_series(1, 20) n;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON hashes FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('hash', 'existing=value');
	CREATE TRIGGER gate BEFORE UPDATE ON hashes2 FOR EACH STATEMENT EXECUTE FUNCTION gate();
});
ask($gate, 'SELECT pg_advisory_lock(1)');
my $move = start('call', q{CALL pseudo.pseudonymize_table('hashes', '{hash}', batch_size => 3, existing => 'value')});
waits('call');
$node->safe_psql('postgres', 'UPDATE hashes SET k = 1 WHERE id = 20');
is($node->safe_psql('postgres', q{SELECT tableoid::regclass, encode(sha256('20'), 'hex') = hash FROM hashes WHERE id = 20}), 'hashes1|t', 'a value is moved to a partition that is converted already');
ask($gate, 'SELECT pg_advisory_unlock(1)');
$move->{run}->finish;
is($node->safe_psql('postgres', q{SELECT count(*) FROM hashes WHERE pseudo.reidentify(hash) = encode(sha256(id::text::bytea), 'hex')}), '20', 'and is converted there');
is(status(q{'hashes'::regclass}), 'done||20', 'each value once');

# A source that a writer changes while no trigger fills its target: the run, which a locked row keeps from its end, comes back to it.
$node->safe_psql('postgres', q{
	CREATE TABLE mails (id int PRIMARY KEY, email text, email_p text);
	INSERT INTO mails SELECT n, n || '@example.com', CASE WHEN n = 3 THEN n || '@example.com' END FROM generate_series(1, 20) n;
	SELECT count(*) FROM pseudo.pseudo_keyrings;
	SECURITY LABEL FOR pseudo ON COLUMN mails.email IS 'deterministic, context=crm, into=email_p';
});
ask($gate, 'BEGIN; SELECT id FROM mails WHERE id = 20 FOR UPDATE');
my $fill = start('call', q{CALL pseudo.pseudonymize_table('mails', batch_size => 3)});
waits('call');
is(status(q{'mails'::regclass}), 'running||19', 'targets: all are filled but that of a locked row');
$node->safe_psql('postgres', q{
	UPDATE mails SET email = 'changed' WHERE id = 1;
	UPDATE mails SET email = NULL WHERE id = 2;
	UPDATE mails SET email_p = email WHERE id = 3;
	UPDATE mails SET email_p = NULL WHERE id = 4});
ask($gate, q{UPDATE mails SET email = 'locked' WHERE id = 20; COMMIT});
$fill->{run}->finish;
is(status(q{'mails'::regclass}), 'done||24', 'targets: what was changed meanwhile is filled again');
is($node->safe_psql('postgres', q{SELECT string_agg(email, ' ' ORDER BY id) FROM mails WHERE id IN (1, 20) AND email_p = pseudo.pseudonymize(email, true, 'crm')}), 'changed locked', 'targets: as it is then');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mails WHERE email_p IS DISTINCT FROM pseudo.pseudonymize(email, true, 'crm')}), '0', 'targets: each has the pseudonym of its source');

# Cancels where no batch runs: while ANALYZE waits, in a COMMIT, while it waits to try again.
sub cancelled
{
	my ($name, $run) = @_;
	waits('call');
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'call'});
	$run->{run}->finish;
	like($run->{out}, qr/57014: canceling statement due to user request/, "$name: cancelled");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0', "$name: no lock is left");
}

$node->safe_psql('postgres', q{CREATE TABLE c (id int, email text); INSERT INTO c VALUES (1, 'x'), (2, 'y')});
ask($gate, q{BEGIN; LOCK TABLE c IN SHARE UPDATE EXCLUSIVE MODE});
cancelled('ANALYZE', start('call', q{CALL pseudo.pseudonymize_table('c', '{email}')}));
is(status(q{'c'::regclass}), 'cancelled|57014|2', 'ANALYZE: it is noted');
ask($gate, 'ROLLBACK');

$node->safe_psql('postgres', q{
	UPDATE c SET email = id;
	CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON c DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()
});
cancelled('COMMIT', start('call', q{CALL pseudo.pseudonymize_table('c', '{email}')}));
is(status(q{'c'::regclass}), 'cancelled|57014|0', 'COMMIT: it is noted');
is($node->safe_psql('postgres', 'SELECT sum(email::int) FROM c'), '3', 'COMMIT: nothing is converted');

ask($gate, q{BEGIN; LOCK TABLE c});
my $run = start('call', q{SET lock_timeout = '1ms'}, q{SELECT pg_sleep(0)}, q{CALL pseudo.pseudonymize_table('c', '{email}')});
$run->{run}->finish;
like($run->{out}, qr/55P03: canceling statement due to lock timeout/, 'a table that is locked at the start');
ask($gate, 'ROLLBACK');

# A session that is terminated in the middle of a batch, and a transaction that lasts too long, leave no lock and no half batch.
$node->safe_psql('postgres', q{DROP TRIGGER slow ON c; CREATE TRIGGER slow BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION slow()});
$run = start('call', q{CALL pseudo.pseudonymize_table('c', '{email}')});
waits('call');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'call'});
$run->{run}->finish;
like($run->{out}, qr/57P01: terminating connection/, 'terminated');
is(status(q{'c'::regclass}), 'running||0', 'terminated: the status is left');
is($node->safe_psql('postgres', q{SELECT pid IN (SELECT pid FROM pg_stat_activity) FROM pseudo.pseudo_progress WHERE relation = 'c'::regclass}), 'f', 'terminated: its process is gone');
$run = start('call', q{SET statement_timeout = '200ms'}, q{CALL pseudo.pseudonymize_table('c', '{email}')});
$run->{run}->finish;
like($run->{out}, qr/57014: canceling statement due to statement timeout/, 'statement_timeout');
is(status(q{'c'::regclass}), 'cancelled|57014|0', 'statement_timeout: it is noted');
$node->safe_psql('postgres', q{DROP TRIGGER slow ON c; CALL pseudo.pseudonymize_table('c', '{email}')});
is($node->safe_psql('postgres', q{SELECT sum(pseudo.reidentify(email)::int) FROM c}), '3', 'and run again, it is done');

# A run that waits at its start for a transaction that alters the table is not in its way: no deadlock ends either.
for my $case ([ 'ALTER TABLE c ADD d int', qr/0 values in 0 rows converted/ ], [ 'DROP TABLE c', qr/42P01: a table was dropped/ ])
{
	my ($next, $told) = @$case;
	ask($gate, q{BEGIN; LOCK TABLE c IN SHARE MODE});
	$run = start('call', q{CALL pseudo.pseudonymize_table('c', '{email}')});
	waits('call');
	is(ask($gate, "SET LOCAL statement_timeout = '60s'; $next"), '', "$next: while a run waits for it");
	ask($gate, 'COMMIT');
	$run->{run}->finish;
	like($run->{out}, $told, "$next: is told");
}

leave($gate);

# An access method without TID range scans, as Citus's columnar: refused by both procedures, with the way on.
SKIP:
{
	my $why = no_shims();

	skip "no module: $why", 5 if $why;
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my $module = compile_shim($folder, 'whole', <<'C_END', '-I' . $node->config_data('--includedir-server'));
#include "postgres.h"
#include "access/tableam.h"
#include "fmgr.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(handler);

Datum
handler(PG_FUNCTION_ARGS)
{
	static TableAmRoutine routine;

	routine = *GetHeapamTableAmRoutine();
	routine.scan_set_tidrange = NULL;
	routine.scan_getnextslot_tidrange = NULL;
	PG_RETURN_POINTER(&routine);
}
C_END
	$node->safe_psql('postgres', qq{CREATE FUNCTION handler(internal) RETURNS table_am_handler AS '$module' LANGUAGE c;
		CREATE ACCESS METHOD whole TYPE TABLE HANDLER handler;
		CREATE TABLE stored (email varchar(200)) USING whole; INSERT INTO stored VALUES ('x');
		CREATE TABLE parts (id int, email varchar(200)) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1) USING whole});
	for my $procedure ('pseudonymize_table', 'repseudonymize_table')
	{
		my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL pseudo.$procedure('stored', '{email}')");
		like($err, qr/ERROR:  0A000: the table access method of "stored" has no TID range scans\nHINT:  Copy the table with/, "$procedure: an access method without TID range scans");
	}
	like(error_of($node, 'postgres', "CALL pseudo.pseudonymize_table('parts', '{email}')"), qr/^0A000: the table access method of "part"/, 'a partition of it, too');
	is($node->safe_psql('postgres', 'SELECT email FROM stored'), 'x', 'and nothing is converted');
	$node->safe_psql('postgres', q{CREATE TABLE copy AS SELECT pseudo.pseudonymize(email) AS email FROM stored});
	is($node->safe_psql('postgres', 'SELECT pseudo.reidentify(email) FROM copy'), 'x', 'the way on works');
}
$node->stop;
done_testing();
