# Two keys are enabled, and sessions write the same values at the same time: each value stays one row in what is unique.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server('unique', "deadlock_timeout = 50ms\nmax_prepared_transactions = 2\n");
my $path = add_keyring($node, 'pseudo', undef, refresh_interval => '1s');
$node->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, e text UNIQUE, n int DEFAULT 0);
	CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, e text REFERENCES people (e) ON UPDATE CASCADE ON DELETE CASCADE);
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true');
	CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END$$;
	INSERT INTO people (e) SELECT n || '@x' FROM generate_series(1, 200) n;
	SELECT pseudo.pseudo_create_key();
});
my $one = slurp_file($path);
my $people = q{SELECT count(*) - count(e), count(e) - count(DISTINCT pseudo.reidentify(e)) FROM people};
my $keys = q{SELECT pseudo.pseudonym_key_id(e), count(*) FROM people GROUP BY 1 ORDER BY 1};

# A psql for statements, whose backend is found by its application name.
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
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type = 'Lock')"), "$name waits");
}

sub end
{
	my ($run) = @_;
	$run->{run}->finish;
	return $run->{out};
}

my ($a, $b) = (session($node), session($node));

# Transactions that began with the old key go on with it, and need not wait for each other; one with the new key waits for them.
ask($a, q{BEGIN; INSERT INTO people (e) VALUES ('new@x')});
ask($b, q{BEGIN; INSERT INTO people (e) VALUES ('b@x')});
$node->safe_psql('postgres', q{SELECT pseudo.pseudo_set_primary_key('pseudo', 2)});
my $insert = start('insert', q{INSERT INTO people (e) VALUES ('new@x')});
waits('insert');
is(ask($a, q{INSERT INTO people (e) VALUES ('a@x') RETURNING pseudo.pseudonym_key_id(e)}), '1', 'a transaction goes on with its key');
is(ask($b, q{INSERT INTO people (e) VALUES ('c@x') RETURNING pseudo.pseudonym_key_id(e)}), '1', 'and another');
is($node->safe_psql('postgres', q{SELECT DISTINCT objsubid FROM pg_locks WHERE locktype = 'advisory'}), '5', 'by locks that no function of SQL takes');
ask($_, 'COMMIT') for $a, $b;
like(end($insert), qr/23505/, 'the one that waited finds the row');
is(ask($a, q{INSERT INTO people (e) VALUES ('d@x') RETURNING pseudo.pseudonym_key_id(e)}), '2', 'the next transaction has the new key');
is($node->safe_psql('postgres', $people), '0|0', 'one row a person');

# A statement that began when there was one key hears of the next one: here it waits for its second row.
$node->safe_psql('postgres', q{
	CREATE TABLE long (LIKE people INCLUDING ALL);
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON long FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=long');
});
add_keyring($node, 'long');
$node->safe_psql('postgres', q{SELECT pseudo.pseudo_create_key('long')});
ask($b, 'SELECT pg_advisory_lock(2)');
my $long = start('long', q{INSERT INTO long (e) SELECT '1@x' UNION ALL SELECT '2@x' FROM (SELECT pg_advisory_xact_lock(2)) s});
waits('long');
$node->safe_psql('postgres', q{SELECT pseudo.pseudo_create_key('long', make_primary => true)});
my $short = start('short', q{INSERT INTO long (e) VALUES ('2@x')});
waits('short');
ask($b, 'SELECT pg_advisory_unlock(2)');
is(end($long), '', 'and goes on with its own');
like(end($short), qr/23505/, 'and others wait for all of its rows');
is($node->safe_psql('postgres', 'SELECT DISTINCT pseudo.pseudonym_key_id(e) FROM long'), '1', 'which have the same key');

# A row that is past its trigger, and not yet in the index, when a key is created and made primary: it waits in another index.
$node->safe_psql('postgres', q{
	CREATE TABLE early (id int PRIMARY KEY, e text UNIQUE);
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON early FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
});
my $early = add_keyring($node, 'early', undef, refresh_interval => '1h');
my $new_key = q{SELECT pseudo.pseudo_create_key('early', make_primary => true)};
my $doubles = q{SELECT count(e) - count(DISTINCT pseudo.reidentify(e, keyring => 'early')) FROM early};
$node->safe_psql('postgres', $new_key);
ask($a, q{BEGIN; INSERT INTO early VALUES (1, 'a@x')});
my $first = start('first', q{INSERT INTO early VALUES (1, 'v@x')});
waits('first');
$node->safe_psql('postgres', $new_key);
my $second = start('second', q{INSERT INTO early VALUES (2, 'v@x')});
waits('second');
ask($a, 'ROLLBACK');
is(end($first), '', 'a row that is on its way to the index gets there');
like(end($second), qr/23505/, 'and a writer with the new key finds it there');

# A transaction that began when there was no other key goes on with its own.
ask($a, q{BEGIN; INSERT INTO early VALUES (3, 'w@x')});
$node->safe_psql('postgres', $new_key);
$second = start('second', q{INSERT INTO early VALUES (4, 'w@x')});
waits('second');
is(ask($a, q{INSERT INTO early VALUES (5, 'x@x') RETURNING pseudo.pseudonym_key_id(e)}), '2', 'a transaction that has not known another key goes on with its own');
ask($a, 'COMMIT');
like(end($second), qr/23505/, 'and others wait for it');

# What a savepoint takes back does not bind a transaction to a key; a prepared one is bound.
ask($a, q{BEGIN; SAVEPOINT s; INSERT INTO early VALUES (6, 'y@x'); ROLLBACK TO s});
$node->safe_psql('postgres', $new_key);
is(ask($a, q{INSERT INTO early VALUES (6, 'y@x') RETURNING pseudo.pseudonym_key_id(e)}), '4', 'after ROLLBACK TO it has the new key');
ask($a, q{PREPARE TRANSACTION 'p'});
$node->safe_psql('postgres', $new_key);
$second = start('second', q{INSERT INTO early VALUES (7, 'y@x')});
waits('second');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
like(end($second), qr/23505/, 'a prepared transaction is waited for');

# A session hears of the key while it waits for one that has it, with a row that is pseudonymized already.  Where the library
# is preloaded, all sessions hear of it at once.
if (!$Pseudo::preload)
{
	ask($a, q{SET application_name = 'behind'; INSERT INTO early VALUES (8, 'z@x')});
	my $old = slurp_file($early);
	$node->safe_psql('postgres', $new_key);
	my $new = slurp_file($early);
	put_file($early, $old);
	$node->safe_psql('postgres', q{SELECT pseudo.pseudo_refresh_keyring('early')});
	ask($a, q{UPDATE early SET e = 'u@x' WHERE id = 8});
	put_file($early, $new);
	leave($b);
	$b = session($node);
	is(ask($b, q{BEGIN; INSERT INTO early VALUES (9, 'behind@x') RETURNING pseudo.pseudonym_key_id(e)}), '6', 'a new session has the new key');
	$a->{in} .= "INSERT INTO early VALUES (10, 'behind\@x');\n";
	$a->{run}->pump_nb;
	waits('behind');
	$node->safe_psql('postgres', q{SELECT pseudo.pseudo_refresh_keyring('early')});
	ask($b, 'COMMIT');
	like(ask($a, ''), qr/23505/, 'a row is looked up under the keys that there are after a wait');
	is($node->safe_psql('postgres', $doubles), '0', 'no value is there twice');
}

# A row that enters an index with the pseudonym that it has, while another session is past its look-up: by a column that a
# partial index asks for, and by its partition.
$node->safe_psql('postgres', q{
	CREATE TABLE entered (id int PRIMARY KEY, e text, active bool);
	CREATE UNIQUE INDEX ON entered (e) WHERE active;
	CREATE TABLE moved (id int, e text, part int) PARTITION BY LIST (part);
	CREATE TABLE moved_1 PARTITION OF moved FOR VALUES IN (1);
	CREATE TABLE moved_2 PARTITION OF moved FOR VALUES IN (2);
	CREATE UNIQUE INDEX ON moved_2 (id);
	CREATE UNIQUE INDEX ON moved_2 (e);
	CREATE TABLE kept (e text PRIMARY KEY, active bool);
	CREATE UNIQUE INDEX ON kept (e) WHERE active;
	CREATE TABLE keeps (e text REFERENCES kept);
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON entered FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON moved FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON keeps FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	INSERT INTO entered VALUES (1, 'a@x', false), (2, 'b@x', false);
	INSERT INTO moved VALUES (1, 'a@x', 1), (2, 'b@x', 1);
	INSERT INTO kept VALUES ('a@x', false);
	INSERT INTO keeps VALUES ('a@x');
});
$node->safe_psql('postgres', $new_key);
for my $case ([ 'entered', q{SET active = true}, 'true' ], [ 'moved', q{SET part = 2}, '2' ])
{
	my ($table, $set, $value) = @$case;

	ask($a, "BEGIN; INSERT INTO $table VALUES (9, 'c\@x', $value)");
	my $late = start('late', "INSERT INTO $table VALUES (9, 'a\@x', $value)");
	waits('late');
	is($node->safe_psql('postgres', "UPDATE $table $set FROM pseudo.pseudo_keyrings WHERE id = 1 AND name = 'early' RETURNING pseudo.pseudonym_key_id(e) = primary_key_id"), 't', "$table: a row has the new key where it enters");
	ask($a, 'ROLLBACK');
	like(end($late), qr/23505/, "$table: and another session's meets it");
	$node->safe_psql('postgres', "INSERT INTO $table VALUES (4, 'b\@x', $value)");
	like(error_of($node, 'postgres', "UPDATE $table $set WHERE id = 2"), qr/^23505/, "$table: it meets one that is there");
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT pseudo.reidentify(e, keyring => 'early')) FROM $table WHERE " . ($set =~ s/SET //r)), '2|2', "$table: one row a person");
}
is($node->safe_psql('postgres', q{UPDATE kept SET active = true RETURNING pseudo.reidentify(e, keyring => 'early')}), 'a@x', 'where a foreign key refers to the column');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kept JOIN keeps USING (e)}), '1', 'it keeps its pseudonym');

# Upserts of one row: each waits for the other before it holds what that one needs.
$node->safe_psql('postgres', q{
	CREATE TABLE upserted (e text, f text, n int);
	CREATE UNIQUE INDEX ON upserted (e) WHERE n > 0;
	CREATE UNIQUE INDEX ON upserted (f);
	CREATE TABLE uppart (e text, r int, n int, UNIQUE (e, r)) PARTITION BY LIST (r);
	CREATE TABLE uppart_1 PARTITION OF uppart DEFAULT;
	CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(3); RETURN NEW; END$$;
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON upserted FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'f', 'deterministic=true', 'keyring=early');
	CREATE TRIGGER zzz_meet BEFORE INSERT ON upserted FOR EACH ROW EXECUTE FUNCTION meet();
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON uppart FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	CREATE TRIGGER zzz_meet BEFORE INSERT ON uppart FOR EACH ROW EXECUTE FUNCTION meet();
	INSERT INTO upserted VALUES ('1@x', NULL, 1), (NULL, '2@x', 1);
	INSERT INTO uppart VALUES ('1@x', 1, 1);
});
$node->safe_psql('postgres', $new_key);
for my $upsert (
	q{INSERT INTO upserted AS u VALUES ('1@x', NULL, 1) ON CONFLICT (e) WHERE n > 0 DO UPDATE SET n = u.n + 1},
	q{INSERT INTO upserted AS u VALUES (NULL, '2@x', 1) ON CONFLICT (f) DO UPDATE SET f = EXCLUDED.f, n = u.n + 1},
	q{INSERT INTO uppart AS u VALUES ('1@x', 1, 1) ON CONFLICT (e, r) DO UPDATE SET e = EXCLUDED.e, n = u.n + 1})
{
	my ($table) = $upsert =~ /INTO (\w+)/;
	ask($b, 'SELECT pg_advisory_lock(3)');
	my @upserts = map { start("upsert$_", q{DO $$BEGIN PERFORM pseudo.pseudonyms_of('x', keyring => 'early'); END$$}, $upsert) } 1, 2;
	waits("upsert$_") for 1, 2;
	ask($b, 'SELECT pg_advisory_unlock(3)');
	is(end($_), '', "$table: an upsert goes through") for @upserts;
}
is($node->safe_psql('postgres', q{SELECT string_agg(n::text, ' ' ORDER BY e IS NULL) || ' ' || (SELECT n FROM uppart) FROM upserted}), '3 3 3', 'each one once');

# Rows that move about in the index while they are looked for: each UPDATE makes another entry.
$node->safe_psql('postgres', q{
	CREATE TABLE counted (e text, n int);
	CREATE UNIQUE INDEX ON counted (e) WHERE n > 0;
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('e', 'deterministic=true', 'keyring=early');
	INSERT INTO counted SELECT n || '@x', 1 FROM generate_series(1, 3) n;
});
$node->safe_psql('postgres', $new_key);
my $count = $node->basedir . '/count.sql';
append_to_file($count, "\\set a random(1, 3)\nINSERT INTO counted AS c VALUES (:a || '\@x', 1) ON CONFLICT (e) WHERE n > 0 DO UPDATE SET n = c.n + 1;\n");
{
	local $ENV{PGOPTIONS} = '-c session_preload_libraries=pseudo';
	$node->command_ok([ 'pgbench', '-n', '-c', '8', '-t', '500', '-f', $count, $node->connstr('postgres') ], 'upserts of rows that move about');
}
is($node->safe_psql('postgres', 'SELECT count(*), sum(n) FROM counted'), '3|4003', 'find them all');

# A row whose pseudonym was taken is neither moved nor deleted before the end: nor does anything else about it wait.
ask($a, q{BEGIN; INSERT INTO people (e) VALUES ('1@x') ON CONFLICT DO NOTHING});
is(ask($b, q{UPDATE people SET n = 1 WHERE id = 1 RETURNING n}), '1', 'another column may change');
my $delete = start('delete', 'DELETE FROM people WHERE id = 1');
waits('delete');
ask($a, 'COMMIT');
is(end($delete), '', 'then it is deleted');

# A snapshot that is older than the row does not hide it.
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	ask($a, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM people");
	my $value = $level eq 'SERIALIZABLE' ? 'serial' : 'repeat';
	$node->safe_psql('postgres', qq{
		SELECT pseudo.pseudo_set_primary_key('pseudo', 1);
		INSERT INTO people (e) VALUES ('$value\@x');
		SELECT pseudo.pseudo_set_primary_key('pseudo', 2)});
	like(ask($a, "INSERT INTO people (e) VALUES ('$value\@x')"), qr/^(23505|40001)/, "$level: it is found");
	ask($a, 'ROLLBACK');
}

# The same row in a batch that is not committed yet: the writer waits, and takes what is there then.
$node->safe_psql('postgres', 'CREATE TRIGGER gate AFTER UPDATE ON people FOR EACH STATEMENT EXECUTE FUNCTION gate()');
ask($b, 'SELECT pg_advisory_lock(1)');
my $move = start('move', q{CALL pseudo.repseudonymize_table('people', '{e}', batch_size => 50)});
waits('move');
$insert = start('insert', q{INSERT INTO people (e) VALUES ('2@x') ON CONFLICT DO NOTHING RETURNING 'inserted'});
my $order = start('order', q{INSERT INTO orders (e) VALUES ('3@x') RETURNING pseudo.pseudonym_key_id(e)});
waits($_) for qw(insert order);
ask($b, 'SELECT pg_advisory_unlock(1)');
like(end($move), qr/ values? in .* rows? converted/, 'the batch goes on');
is(end($insert), '', 'and the row is not there twice');
is(end($order), "2\n", 'and the foreign key refers to the row as it is now');
is($node->safe_psql('postgres', $people), '0|0', 'one row a person');
is($node->safe_psql('postgres', $keys), '2|206', 'all with the new key');
$node->safe_psql('postgres', 'DROP TRIGGER gate ON people');

# Backends that hear of the primary key at different times, as the file changes behind their back: writers, and conversions.
my $script = $node->basedir . '/writers.sql';
open my $file, '>', $script or die;
print $file <<'END';
\set a random(1, 300)
\set b random(1, 300)
\set c random(1, 300)
INSERT INTO people (e) VALUES (:a || '@x') ON CONFLICT DO NOTHING;
INSERT INTO people (e) VALUES (:b || '@x') ON CONFLICT (e) DO UPDATE SET n = people.n + 1;
DELETE FROM people WHERE e = ANY (pseudo.pseudonyms_of(:c || '@x'));
UPDATE people SET n = n + 1, e = :a || '@x' WHERE e = ANY (pseudo.pseudonyms_of(:a || '@x'));
BEGIN;
INSERT INTO people (e) VALUES (:c || '@x') ON CONFLICT (e) DO UPDATE SET n = 0;
INSERT INTO people (e) VALUES (:a || '@x') ON CONFLICT DO NOTHING;
INSERT INTO orders (e) SELECT pseudo.reidentify(e) FROM people WHERE e = ANY (pseudo.pseudonyms_of(:c || '@x')) FOR KEY SHARE;
COMMIT;
END
close $file;
my @documents = map { $one =~ s/"primaryKeyId": *\d+/"primaryKeyId": $_/r } 1, 2;
my $said = '';
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/ ? 60 : 8, '--max-tries=100', '-f', $script, $node->connstr('postgres') ],
	'<', \undef, '>&', \$said, IPC::Run::timeout(180));
my ($rounds, $moved) = (0, 0);
while ($writers->pumpable)
{
	put_file($path, $documents[ $rounds++ % 2 ]);
	$node->psql('postgres', q{CALL pseudo.repseudonymize_table('people', '{e}', batch_size => 20)}, stderr => \my $notice);
	$moved += $1 if $notice =~ /(\d+) values? in/;
	unlike($notice, qr/ERROR/, "round $rounds: the table is moved") or diag($notice);
	usleep(300_000);
	$writers->pump_nb;
}
$writers->finish;
unlike($said, qr/ERROR|FATAL|aborted/, 'the writers meet no error') or diag($said);
cmp_ok($moved, '>', 100, "$moved values were moved meanwhile, in $rounds rounds");
is($node->safe_psql('postgres', $people), '0|0', 'one row a person');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders LEFT JOIN people USING (e) WHERE people.e IS NULL'), '0', 'each order refers to one');

leave($_) for $a, $b;
$node->stop;
done_testing();
