# A change stream has what the tables have: pseudonyms, a source unless the publication leaves it out, and old values where rows
# are converted while it runs.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use JSON::PP;
use Pipelines;
use PostgreSQL::Test::Utils;
use Test::More;

need_python('psycopg');
my $node = start_listening('stream', allows_streaming => 'logical');
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $owner = sql('SELECT current_user');
my $all = '';

# What a slot has for a publication, as changes; and all of it as text, for what must not be in it.
sub changes
{
	my ($slot, $publication) = @_;
	my ($status, $out, $err) = run_python($node, [ example_path('change_stream/consume.py'), $slot, $publication // $slot ], $owner);

	is($status, 0, "what $slot has") or diag($err);
	$all = $out;
	return map { decode_json($_) } split /\n/, $out;
}
sub opens { return sql("SELECT coalesce(pseudo.try_reidentify('$_[0]'), 'no pseudonym')") }

sql(example('change_stream/publication.sql'));
sql(example('change_stream/slot.sql'));
sql(q{CREATE PUBLICATION whole FOR TABLE members; SELECT FROM pg_create_logical_replication_slot('whole', 'pgoutput')});

# With the trigger.
sql(q{INSERT INTO customers VALUES (1, 'ann@example.com'); UPDATE customers SET email = 'ben@example.com'; DELETE FROM customers});
my @got = changes('consumers');
is(join(' ', map { "$_->{table} $_->{change}" } @got), 'public.customers insert public.customers update public.customers delete', 'each change');
is(join(' ', map { opens($_->{new}{email}) } @got[ 0, 1 ]), 'ann@example.com ben@example.com', 'with pseudonyms');
unlike($all, qr/example\.com/, 'and no value');
sql(q{ALTER TABLE customers REPLICA IDENTITY FULL; INSERT INTO customers VALUES (1, 'ann@example.com'); UPDATE customers SET email = 'ben@example.com'; DELETE FROM customers});
@got = changes('consumers');
is(join(' ', map { opens($_->{old}{email}) } @got[ 1, 2 ]), 'ann@example.com ben@example.com', 'whole rows: the old ones are pseudonyms, too');
unlike($all, qr/example\.com/, 'and no value');

# With into=.
sql(q{INSERT INTO members VALUES (1, 'carla@example.com'); UPDATE members SET email = 'dora@example.com'; DELETE FROM members});
@got = changes('consumers');
is(join(' ', map { opens($_->{new}{email_p}) } @got[ 0, 1 ]), 'carla@example.com dora@example.com', 'a column list: the pseudonyms');
is(join(' ', sort map { keys %{ $_->{new} // {} } } @got[ 0, 1 ]), 'email_p email_p id id', 'and not the source');
unlike($all, qr/example\.com/, 'no value');
@got = changes('whole');
is(join(' ', map { $_->{new}{email} } @got[ 0, 1 ]), 'carla@example.com dora@example.com', 'without a column list: the source');
sql(q{ALTER TABLE members REPLICA IDENTITY FULL; INSERT INTO members VALUES (2, 'eve@example.com')});
my ($code, undef, $err) = $node->psql('postgres', q{UPDATE members SET email = 'eva@example.com'});
like($err, qr/cannot update table "members".*\n.*[Cc]olumn list used by the publication does not cover the replica identity/, 'a column list and whole rows: no UPDATE');

# Conversion while a slot is there.
sql(q{CREATE TABLE older (id int PRIMARY KEY, email text); INSERT INTO older SELECT n, n || '@example.com' FROM generate_series(1, 3) n;
	CREATE TABLE full_older (id int PRIMARY KEY, email text); ALTER TABLE full_older REPLICA IDENTITY FULL; INSERT INTO full_older TABLE older;
	CREATE PUBLICATION older FOR TABLE older; CREATE PUBLICATION full_older FOR TABLE full_older;
	SELECT pg_create_logical_replication_slot(s, 'pgoutput') FROM unnest('{older,full_older}'::text[]) s});
$node->safe_psql('postgres', "CALL pseudo.pseudonymize_table('$_', '{email}', true)") for qw(older full_older);
@got = changes('older');
is(join(' ', map { "$_->{change} " . opens($_->{new}{email}) } @got), join(' ', map { "update $_\@example.com" } 1 .. 3), 'pseudonymize_table: an update for each row');
unlike($all, qr/example\.com/, 'without the old values, where rows are found by a key');
@got = changes('full_older');
is(join(' ', map { $_->{old}{email} } @got), join(' ', map { "$_\@example.com" } 1 .. 3), 'and with them, where the replica identity is the whole row');

# What was written before is in the WAL as it was.
sql(q{CREATE TABLE late (id int PRIMARY KEY, email text); CREATE PUBLICATION late FOR TABLE late; SELECT FROM pg_create_logical_replication_slot('late', 'pgoutput');
	INSERT INTO late VALUES (1, 'gil@example.com');
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON late FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true')});
$node->safe_psql('postgres', q{CALL pseudo.pseudonymize_table('late', '{email}', true)});
@got = changes('late');
is(join(' ', map { "$_->{change} $_->{new}{email}" } $got[0]), 'insert gil@example.com', 'a slot that is behind: the value of before the trigger');
is(opens($got[1]{new}{email}), 'gil@example.com', 'then its pseudonym');

# The ways out: another replica identity for the time of the conversion; or a slot that begins after it.
sql(q{CREATE TABLE by_key (id int PRIMARY KEY, email text); ALTER TABLE by_key REPLICA IDENTITY FULL; INSERT INTO by_key SELECT n, n || '@example.com' FROM generate_series(1, 3) n;
	CREATE PUBLICATION by_key FOR TABLE by_key; SELECT FROM pg_create_logical_replication_slot('by_key', 'pgoutput')});
sql('ALTER TABLE by_key REPLICA IDENTITY DEFAULT');
$node->safe_psql('postgres', q{CALL pseudo.pseudonymize_table('by_key', '{email}', true)});
sql('ALTER TABLE by_key REPLICA IDENTITY FULL; DELETE FROM by_key WHERE id = 1');
@got = changes('by_key');
is(join(' ', map { $_->{change} } @got), 'update update update delete', 'converted with the key as replica identity');
is(opens($got[-1]{old}{email}), '1@example.com', 'then whole rows again');
unlike($all, qr/example\.com/, 'no value');
sql(q{SELECT pg_drop_replication_slot('full_older'); SELECT FROM pg_create_logical_replication_slot('full_older', 'pgoutput'); DELETE FROM full_older WHERE id = 1});
@got = changes('full_older');
is(join(' ', map { "$_->{change} " . opens($_->{old}{email}) } @got), 'delete 1@example.com', 'a slot that was made after the conversion');
unlike($all, qr/example\.com/, 'has no value');

# The same bytes as a consumer of the protocol gets them.
sql(q{CREATE TABLE raw (id int PRIMARY KEY, email text); CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON raw FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
	CREATE PUBLICATION raw FOR TABLE raw; SELECT FROM pg_create_logical_replication_slot('raw', 'pgoutput');
	INSERT INTO raw VALUES (1, 'ann@example.com')});
my $received = PostgreSQL::Test::Utils::tempdir() . '/received';
$node->command_ok([ 'pg_recvlogical', '-S', 'raw', '-d', $node->connstr('postgres'), '--start', '--no-loop', '-f', $received, '--endpos', $node->lsn('insert'),
		'-o', 'proto_version=1', '-o', 'publication_names=raw' ], 'pg_recvlogical');
my $bytes = slurp_file($received);
my $pseudonym = sql('SELECT email FROM raw');
ok(index($bytes, $pseudonym) >= 0, 'gets the pseudonym');
unlike($bytes, qr/example\.com/, 'and no value');

sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$node->stop;
done_testing();
