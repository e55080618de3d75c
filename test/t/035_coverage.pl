# pseudo_coverage beside others: locks, a cancel, a drop, damaged pages, a standby, limits, other encodings, virtual columns.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = start_server('coverage', "shared_preload_libraries = 'pseudo'\nautovacuum = off\n", allows_streaming => 1);
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE SCHEMA shop;
	CREATE TABLE shop.a (email text);
	CREATE TABLE shop.m (email text);
	CREATE TABLE shop.z (email text);
	INSERT INTO shop.a SELECT 'p' || n || '@example.com' FROM generate_series(1, 100) n;
	INSERT INTO shop.m SELECT pseudo.pseudonymize(email, true) FROM shop.a;
	INSERT INTO shop.z TABLE shop.m;
});
$node->safe_psql('postgres', "SECURITY LABEL FOR pseudo ON COLUMN shop.$_.email IS 'deterministic'") for qw(a m z);

my $report = q{SELECT relation, column_name, rows, pseudonyms, verdict, reason FROM pseudo.pseudo_coverage('shop') ORDER BY 1};
my $no_trigger = 'no trigger|no trigger pseudonymizes what is written';

# Wait until a session waits for a lock.
sub wait_for_lock
{
	my ($application) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '$application' AND wait_event_type = 'Lock'")
	  or die "$application does not wait";
}

# Ask for something, and do not wait for the answer.
sub begin_asking
{
	my ($self, $sql) = @_;

	$self->{out} = $self->{err} = '';
	$self->{timeout}->start;
	$self->{in} .= "$sql\n;\n\\echo == done\n\\warn == done\n";
	$self->{run}->pump_nb;
}

# The answer, and what was said meanwhile.
sub end_asking
{
	my ($self) = @_;

	$self->{run}->pump until $self->{out} =~ /^== done\n/m && $self->{err} =~ /^== done\n/m;
	s/^== done\n//m for $self->{out}, $self->{err};
	return ($self->{out}, $self->{err});
}

# A table that another session has locked, until lock_timeout: that table is skipped, and the others are reported.
my $other = session($node);
ask($other, 'BEGIN; LOCK TABLE shop.m');
my $s = session($node);
ask($s, "SET application_name = 'reporter'; SET lock_timeout = '50ms'; SET client_min_messages = warning");
is(ask($s, $report), "shop.a|email|100|0|plaintext|no trigger pseudonymizes what is written\n" .
	"shop.m||||skipped|looking at it ended with an error (SQLSTATE 55P03)\n" . "shop.z|email|100|100|$no_trigger", 'a table that is locked');

# A cancel ends it, and so does statement_timeout.
ask($s, 'SET lock_timeout = 0');
begin_asking($s, $report);
wait_for_lock('reporter');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'reporter'});
my ($out, $err) = end_asking($s);
like($err, qr/57014: canceling statement due to user request/, 'a cancel ends it');
is($out, '', '... without a row');
is(ask($s, "SET statement_timeout = '100ms'; $report"), '57014: canceling statement due to statement timeout', 'statement_timeout ends it');
ask($s, 'SET statement_timeout = 0');

# After a second there is a notice; a table that is dropped meanwhile is not reported.
ask($s, 'SET client_min_messages = notice');
begin_asking($s, $report);
wait_for_lock('reporter');
ask($other, 'DROP TABLE shop.z');
Time::HiRes::sleep(1.1);
ask($other, 'COMMIT');
($out, $err) = end_asking($s);
is($out, "shop.a|email|100|0|plaintext|no trigger pseudonymizes what is written\nshop.m|email|100|100|$no_trigger\n", 'a table that was dropped meanwhile');
like($err, qr/NOTICE:.* shop\.m: \d+ of about \d+ rows read, relation 2 of 3$/m, 'a notice says how far it is');
leave($_) for $s, $other;

# With a limit, values that are compared are counted as pseudonymized: nobody tests guesses in a table of their own.
my $limited = add_keyring($node, 'limited', undef, path => $node->basedir . '/limited.json', pseudonymize_limit => '10/h');
$node->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key('limited');
	CREATE ROLE guesser LOGIN;
	GRANT USAGE ON SCHEMA pseudo TO guesser;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO guesser;
	GRANT USAGE ON FOREIGN SERVER limited TO guesser;
	CREATE SCHEMA guesses AUTHORIZATION guesser;
});
my $secret = $node->safe_psql('postgres', q{SET SESSION AUTHORIZATION guesser; SELECT pseudo.pseudonymize('p5@example.com', true, keyring => 'limited')});
my $guess = sub {
	my ($n) = @_;

	return $node->safe_psql('postgres', qq{
		SET SESSION AUTHORIZATION guesser;
		CREATE TABLE guesses.try AS SELECT '$secret'::text AS p, 'p' || n || '\@example.com' AS guess FROM generate_series(1, $n) n;
		SECURITY LABEL FOR pseudo ON COLUMN guesses.try.p IS 'deterministic, keyring=limited';
		SELECT column_name, verdict, reason FROM pseudo.pseudo_coverage('guesses');
		DROP TABLE guesses.try});
};
is($guess->(6), "p|$no_trigger\nguess|plaintext|1 value is that in column \"p\" of the same row", 'within the limit, values are compared');
like($guess->(6), qr/guess\|skipped\|not looked at: looking at it ended with an error \(SQLSTATE 53400\)/, 'and not beyond it');
is($node->safe_psql('postgres', q{SELECT used FROM pseudo.pseudo_limits WHERE role = 'guesser'}), '10', 'the values are counted');

# Another encoding: values are compared in UTF-8; a byte that is no character there is like no other.
$node->safe_psql('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'});
$node->safe_psql('latin', q{SET client_encoding = 'UTF8'; CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo});
$node->safe_psql('latin', q{CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '} . $node->basedir . q{/keys.json')});
is($node->safe_psql('latin', q{
	SET client_encoding = 'UTF8';
	SET client_min_messages = warning;
	CREATE SCHEMA shop;
	CREATE TABLE shop.people (name text, note text, doc jsonb, raw json, tags text[]);
	SELECT FROM pseudo.pseudo_keyrings LIMIT 0;
	SECURITY LABEL FOR pseudo ON COLUMN shop.people.name IS 'deterministic, context=Käufer';
	INSERT INTO shop.people SELECT pseudo.pseudonymize(v, true, 'Käufer'), v, jsonb_build_object('v', v), json_build_object('v', v), ARRAY[v] FROM unnest('{Zoë,Ann,Jürgen}'::text[]) v;
	INSERT INTO shop.people (name, note) VALUES (convert_from('\x81', 'SQL_ASCII'), convert_from('\x81', 'SQL_ASCII'));
	SELECT column_name, rows, pseudonyms, plaintext, verdict, reason FROM pseudo.pseudo_coverage('shop')}) =~ s/; only compared.*//mgr,
	"name|4|3|1|plaintext|no trigger pseudonymizes what is written\n" .
	"note|4|0|4|plaintext|3 values are those in column \"name\" of the same row\n" .
	"doc|4|0|3|plaintext|3 values are those in column \"name\" of the same row\n" .
	"raw|4|0|3|plaintext|3 values are those in column \"name\" of the same row\n" .
	"tags|4|0|3|plaintext|3 values are those in column \"name\" of the same row", 'a database in WIN1252');

# A virtual generated column, since PostgreSQL 18, would run its expression.
if ($node->pg_version >= 18)
{
	$node->safe_psql('postgres', q{CREATE SCHEMA made; CREATE TABLE made.made (id int, v text GENERATED ALWAYS AS ('x' || id) VIRTUAL); INSERT INTO made.made VALUES (1)});
	is($node->safe_psql('postgres', q{SELECT rows, verdict, reason FROM pseudo.pseudo_coverage('made') WHERE column_name = 'v'}),
		'|skipped|not looked at: a virtual generated column has no values of its own', 'a virtual generated column');
}

# On a standby it works, also with a sample; unlogged tables have no rows there.
$node->safe_psql('postgres', q{CREATE UNLOGGED TABLE shop.u (email text); INSERT INTO shop.u VALUES ('x')});
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', $report), "shop.a|email|100|0|plaintext|no trigger pseudonymizes what is written\nshop.m|email|100|100|$no_trigger\n" .
	'shop.u|email|||skipped|not looked at: a standby has no rows of an unlogged table', 'a standby');
is($standby->safe_psql('postgres', q{SELECT relation FROM pseudo.pseudo_coverage('shop', 50) WHERE rows > 0 ORDER BY 1}), "shop.a\nshop.m", '... with a sample');
$standby->stop;

# A damaged page: that table is skipped.
my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('shop.a')});
$node->stop;
open my $damaged, '+<:raw', $file or die "$file: $!";
print $damaged "\xff" x 8192;
close $damaged or die "$file: $!";
$node->start;
is($node->safe_psql('postgres', "$report LIMIT 2"), "shop.a|email|||no trigger|no trigger pseudonymizes what is written; not looked at: looking at it ended with an error (SQLSTATE XX001)\n" .
	"shop.m|email|100|100|$no_trigger", 'a damaged page');

$node->stop;
done_testing();
