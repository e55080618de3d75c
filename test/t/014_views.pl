# Masking views across sessions: a REVOKE and a DROP ROLE reach plans that other sessions have cached, in
# workers too; binary parameters and COPY.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

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
$node->safe_psql('postgres', 'DROP OWNED BY leaver; DROP ROLE leaver');
both('EXECUTE two', qr/^42704: role with OID \d+ does not exist/, 'a dropped role fails');
both('SELECT count(email) FROM left_behind', qr/^42704: role with OID \d+ does not exist/, 'in new plans, too');

# COPY and parameters in binary form have no way to a role.
my $file = $node->basedir . '/roles';
put_file($file, "officer\n");
my $s = session($node);
ask($s, 'CREATE TABLE taken (r pseudo.pseudo_role); GRANT ALL ON taken TO analyst; SET ROLE analyst');
like(ask($s, "\\copy taken FROM '$file'"), qr/^42501: permission denied to name role "officer"/, 'COPY as text');
like(ask($s, "\\copy taken FROM '$file' (FORMAT binary)"), qr/^(42883: no binary input function|22P04: )/, 'COPY as binary');
ask($s, 'RESET ROLE; DROP TABLE taken');
leave($_) for $s, $plain, $parallel;

$node->stop;
done_testing();
