# psycopg: COPY out of a query with pseudonyms, and into a table whose trigger makes them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pipelines;
use PostgreSQL::Test::Utils;
use Test::More;

need_python('psycopg');
my $node = start_listening('psycopg');
$node->safe_psql('postgres', example('tables.sql'));
$node->safe_psql('postgres', q{INSERT INTO people SELECT n, 'Person ' || n, n || '@example.com' FROM generate_series(1, 3000) n});

my ($status, $csv, $err) = run_python($node, [ example_path('psycopg/copy_out.py') ], 'reader');
is($status, 0, 'COPY out of a query') or diag($err);
unlike($csv, qr/@|Person/, 'has no value in it');
my @lines = split /\n/, $csv;
is(scalar(@lines), 3001, 'but a header and every row');
is(opened($node, join "\n", @lines[ 0 .. 3 ]), join("\n", map { "$_,Person $_,$_\@example.com" } 1 .. 3), 'with their pseudonyms');

my $values = join '', map { "$_,Customer $_,$_\@example.org\n" } 1 .. 5000;
($status, undef, $err) = run_python($node, [ example_path('psycopg/copy_in.py') ], 'loader', "id,name,email\n$values");
is($status, 0, 'COPY into the table, by a role without the right to pseudonymize') or diag($err);
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(name) = 'Customer ' || id
	AND email = pseudo.pseudonymize(id || '@example.org', true)) FROM customers}), '5000|5000', 'every row has the pseudonyms of its values');
is(verdicts($node, 'customers'), 'email ok, id ok, name ok', 'pseudo_coverage finds nothing else');

# What is one already is refused, and all that was to come with it.
($status, undef, $err) = run_python($node, [ example_path('psycopg/copy_in.py') ], 'loader', "id,name,email\n9001,Zoe,zoe\@example.org\n" . $lines[1] =~ s/^1,/9002,/r . "\n");
isnt($status, 0, 'pseudonyms in the file are refused');
like($err, qr/looks like a pseudonym/, 'and it says why');
is($node->safe_psql('postgres', 'SELECT count(*) FROM customers'), '5000', 'nothing of that file is there');

documented('Pipelines');
$node->stop;
done_testing();
