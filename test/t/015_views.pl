# Masking views across sessions: a REVOKE and a DROP ROLE reach plans that other sessions have cached, in
# workers too; binary parameters and COPY.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IO::Socket::UNIX;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('views', "jit = off\n");
add_keyring($node, 'pseudo', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');
$node->safe_psql('postgres', q{
	CREATE ROLE officer LOGIN;
	CREATE ROLE leaver LOGIN;
	CREATE ROLE analyst LOGIN;
	GRANT CREATE, USAGE ON SCHEMA public TO officer, leaver;
	GRANT USAGE ON SCHEMA pseudo TO officer, leaver, analyst;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO officer, leaver;
	GRANT USAGE ON FOREIGN SERVER pseudo TO officer, leaver;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer, leaver;
	CREATE TABLE customers AS SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, 1000) n;
	ANALYZE customers;
	GRANT SELECT ON customers TO officer, leaver;
	SET ROLE officer;
	CREATE VIEW masked WITH (security_barrier) AS SELECT id, pseudo.pseudonymize_as('officer', email::text) AS email FROM customers;
	GRANT SELECT ON masked TO analyst;
	RESET ROLE;
	CREATE VIEW left_behind AS SELECT id, pseudo.pseudonymize_as('leaver', email::text) AS email FROM customers;
	GRANT SELECT ON left_behind TO analyst;
});
my $pseudonym = $node->safe_psql('postgres', q{SELECT pseudo.pseudonymize('7@example.com', true)});

# Sessions of the analyst, with plans that stay: one plain, one whose rows come from workers.
my ($plain, $parallel) = (session($node), session($node));
for my $s ($plain, $parallel)
{
	ask($s, 'SET SESSION AUTHORIZATION analyst');
	ask($s, 'SET plan_cache_mode = force_generic_plan');
}
ask($parallel, "SET $_") for 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0',
  'parallel_leader_participation = off';
for my $s ($plain, $parallel)
{
	ask($s, "PREPARE one AS SELECT count(*) FROM masked WHERE email = '$pseudonym'");
	ask($s, 'PREPARE two AS SELECT count(DISTINCT email) FROM left_behind');
}
like(ask($parallel, 'EXPLAIN EXECUTE one'), qr/Parallel Seq Scan/, 'one of them is parallel');

# What both sessions say.
sub both
{
	my ($statement, $expected, $name) = @_;
	like(ask($plain, $statement), $expected, $name);
	like(ask($parallel, $statement), $expected, "$name, in workers");
}

both('EXECUTE one', qr/^1$/, 'the view works');
both('EXECUTE two', qr/^1000$/, 'the other view works');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION pseudo.pseudonymize FROM officer');
both('EXECUTE one', qr/^42501: permission denied for function pseudonymize/, 'a REVOKE of EXECUTE from the named role holds');
both('EXECUTE two', qr/^1000$/, 'not for another role');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO officer');
both('EXECUTE one', qr/^1$/, 'a GRANT too');
$node->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER pseudo FROM officer');
both('EXECUTE one', qr/^42501: permission denied for keyring "pseudo"/, 'a REVOKE of USAGE holds');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER pseudo TO officer');
both('BEGIN; EXECUTE one', qr/^1$/, 'in a transaction');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION pseudo.pseudonymize FROM officer');
both('EXECUTE one', qr/^42501: /, 'a REVOKE holds in an open transaction');
both('ROLLBACK; SELECT 1', qr/^1$/, 'it ends');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO officer');
# What a session keeps from one statement to the next: a cursor; an expression of PL/pgSQL, in one transaction.
my $author = session($node);
ask($author, 'SET SESSION AUTHORIZATION officer');
ask($author, q{CREATE FUNCTION pg_temp.expression(v text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN r := pseudo.pseudonymize(v); RETURN r = v; END $$});
ask($author, q{CREATE FUNCTION pg_temp.named(v text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN r := pseudo.pseudonymize_as('officer', v); RETURN r = v; END $$});
ask($plain, 'BEGIN; DECLARE c CURSOR FOR SELECT length(email) > 0 FROM masked');
for my $revoke ('EXECUTE ON FUNCTION pseudo.pseudonymize', 'USAGE ON FOREIGN SERVER pseudo')
{
	my @kept = ([ $plain, 'SAVEPOINT s; FETCH 1 FROM c', 't', 'a cursor' ], [ $author, q{SAVEPOINT s; SELECT pg_temp.expression('x')}, 'f', 'an expression' ],
		[ $author, q{SAVEPOINT s; SELECT pg_temp.named('x')}, 'f', 'an expression that names its role' ]);
	ask($author, 'BEGIN');
	is(ask($_->[0], $_->[1]), $_->[2], "$_->[3] works") for @kept;
	$node->safe_psql('postgres', "REVOKE $revoke FROM officer");
	for (@kept)
	{
		like(ask($_->[0], $_->[1]), qr/^42501: /, "$_->[3] sees the REVOKE of $revoke");
		ask($_->[0], 'ROLLBACK TO s');
	}
	$node->safe_psql('postgres', "GRANT $revoke TO officer");
	ask($author, 'ROLLBACK');
	ask($plain, 'ROLLBACK; BEGIN; DECLARE c CURSOR FOR SELECT length(email) > 0 FROM masked');
}
ask($plain, 'ROLLBACK');
leave($author);

$node->safe_psql('postgres', 'DROP OWNED BY leaver; DROP ROLE leaver');
both('EXECUTE two', qr/^42704: role with OID \d+ does not exist/, 'a dropped role fails');
both('SELECT count(email) FROM left_behind', qr/^42704: role with OID \d+ does not exist/, 'in new plans, too');
# Its number is in the definition, and names nobody when that is read again: not even a new role of that name.
my $definition = $node->safe_psql('postgres', q{SELECT pg_get_viewdef('left_behind')});
my ($number) = $definition =~ /'(\d+)'::pseudo\.pseudo_role/;
$node->safe_psql('postgres', qq{CREATE ROLE "$number"; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO "$number"; GRANT USAGE ON FOREIGN SERVER pseudo TO "$number"});
like(error_of($node, 'postgres', "CREATE VIEW restored AS $definition"), qr/^42602: invalid name of a role: "$number"/, 'a number is no role');
like(error_of($node, 'postgres', "CREATE VIEW restored AS SELECT '\t$number '::pseudo.pseudo_role"), qr/^42602: /, 'nor with white space');
is($node->safe_psql('postgres', qq{SELECT pseudo.pseudonymize_as('"$number"', 'x') IS NOT NULL}), 't', 'a role with such a name takes quotes');

# What hands out a role stops all stored calls, in sessions that have planned some, too, until it is gone. The first statement
# of a session, which loads the library, is no exception: here one that an estimate would run.
my $exposed = q{SET ROLE officer; CREATE VIEW exposed AS SELECT 'officer'::pseudo.pseudo_role AS r; GRANT SELECT ON exposed TO analyst};
both('SELECT count(email) FROM masked WHERE id < 4', qr/^3$/, 'before there is anything that hands out a role');
$node->safe_psql('postgres', $exposed);
both('SELECT count(email) FROM masked WHERE id < 5', qr/^55000: column r of view (public\.)?exposed can hand out a value of type pseudo/, 'a view that hands out a role');
for my $attack (q{EXPLAIN SELECT 1 FROM exposed, masked WHERE id = pseudo.pseudonymize_as(r, 'guess')::int}, q{SELECT pseudo.pseudonymize_as(r, 'guess') FROM exposed},
	q{CREATE TEMP VIEW own AS SELECT pseudo.pseudonymize_as(r, 'guess') FROM exposed; SELECT * FROM own},
	q{CREATE FUNCTION pg_temp.own() RETURNS SETOF text LANGUAGE sql STABLE BEGIN ATOMIC SELECT pseudo.pseudonymize_as(r, 'guess') FROM exposed; END; SELECT pg_temp.own()})
{
	like(error_of($node, 'postgres', "SET SESSION AUTHORIZATION analyst; $attack"), qr/^(0A000|55000): /, "first in a session: $attack");
}
$node->safe_psql('postgres', 'DROP VIEW exposed');
both('SELECT count(email) FROM masked WHERE id < 6', qr/^5$/, 'once it is gone');

# A dry run says where its row is not.
$node->safe_psql('postgres', 'CREATE TABLE converted (email text)');
my $other = session($node);
my $pid = ask($other, 'SELECT pg_backend_pid()');
$node->safe_psql('postgres', qq{CALL pseudo.pseudonymize_table('converted', '{email}', true);
	UPDATE pseudo.pseudo_progress SET status = 'running', pid = $pid WHERE relation = 'converted'::regclass});
my ($code, $out, $err) = $node->psql('postgres', q{CALL pseudo.repseudonymize_table('converted', '{email}', dry_run => true)});
like($err, qr/NOTICE:  public\.converted is being converted by another session\nDETAIL:  pseudo_progress shows that run/, 'a dry run beside a conversion');
is($node->safe_psql('postgres', q{SELECT operation, status FROM pseudo.pseudo_progress WHERE relation = 'converted'::regclass}), 'pseudonymize_table|running', 'leaves its row');
leave($other);

# COPY and parameters in binary form have no way to a role.
my $file = $node->basedir . '/roles';
put_file($file, "officer\n");
my $s = session($node);
ask($s, 'CREATE TABLE taken (r pseudo.pseudo_role); GRANT ALL ON taken TO analyst; SET ROLE analyst');
like(ask($s, "\\copy taken FROM '$file'"), qr/^42501: permission denied to name role "officer"/, 'COPY as text');
like(ask($s, "\\copy taken FROM '$file' (FORMAT binary)"), qr/^(42883: no binary input function|22P04: )/, 'COPY as binary');
ask($s, 'RESET ROLE; DROP TABLE taken');
leave($s);

# The fast path of the protocol calls a function without any expression: a role is no literal there.
my %oid = map { split /\|/ } split /\n/, $node->safe_psql('postgres', "SELECT proname, oid FROM pg_proc WHERE pronamespace = 'pseudo'::regnamespace AND proname LIKE 'pseudonymize%'");
sub fast_path
{
	my ($user, $function, @args) = @_;
	my $socket = IO::Socket::UNIX->new($node->host . '/.s.PGSQL.' . $node->port) or die $!;
	my $message = sub { my ($type, $body) = @_; print $socket $type . pack('N', 4 + length $body) . $body };
	my $answer = sub {
		my $said = '';
		while (read $socket, my $head, 5)
		{
			my ($type, $len) = unpack 'aN', $head;
			read $socket, my $body, $len - 4 if $len > 4;
			return $said if $type eq 'Z';
			my %field = map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $body if $type eq 'E';
			$said = "$field{C}: $field{M}" if $type eq 'E';
			$said = substr $body, 4 if $type eq 'V';
		}
		return 'connection lost';
	};
	$socket->autoflush;
	$message->('', pack('N', 196608) . "user\0$user\0database\0postgres\0\0");
	is($answer->(), '', "connected as $user");
	$message->('F', pack('NnnnN/a*N/a*N/a*N/a*n', $oid{$function}, 1, 0, 4, @args, 0));
	my $said = $answer->();
	$message->('X', '');
	return $said;
}
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
is(fast_path($superuser, 'pseudonymize', '7@example.com', 't', '', 'pseudo'), $pseudonym, 'the fast path pseudonymizes');
like(fast_path('analyst', 'pseudonymize', '7@example.com', 't', '', 'pseudo'), qr/^42501: /, 'with the right only');
like(fast_path('analyst', 'pseudonymize_as', 'officer', '7@example.com', '', 'pseudo'), qr/^42501: permission denied to name role/, 'it names no role');
for my $role ('officer', 'current_user')
{
	like(fast_path('officer', 'pseudonymize_as', $role, '7@example.com', '', 'pseudo'), qr/^0A000: argument "as_role" must be a literal/, "and has no literal, $role");
}
leave($_) for $plain, $parallel;

$node->stop;
done_testing();
