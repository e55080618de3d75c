# pandas and SQLAlchemy: read_sql with pseudonyms in the query, to_sql into a table whose trigger makes them, and what "replace" does.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pipelines;
use PostgreSQL::Test::Utils;
use Test::More;

need_python(qw(pandas sqlalchemy psycopg));
my $node = start_listening('pandas');
$node->safe_psql('postgres', example('tables.sql'));
$node->safe_psql('postgres', q{INSERT INTO people SELECT n, 'Person ' || n, n || '@example.com' FROM generate_series(1, 1200) n});

my ($status, $csv, $err) = run_python($node, [ example_path('pandas/read.py') ], 'reader');
is($status, 0, 'read_sql') or diag($err);
unlike($csv, qr/@|Person/, 'gets no value');
my @lines = split /\n/, $csv;
is(scalar(@lines), 1001, 'but the rows that it asked for');
is(opened($node, join "\n", @lines[ 0 .. 3 ]), join("\n", map { "$_,Person $_,$_\@example.com" } 1 .. 3), 'with their pseudonyms');

# Run the example as it is, or with another "if_exists", on rows of its own.
my ($folder, $files) = PostgreSQL::Test::Utils::tempdir();
sub write_frame
{
	my ($user, $if_exists, @rows) = @_;
	my $base = $folder . '/' . ++$files;

	append_to_file("$base.py", example('pandas/write.py', 'if_exists="append"' => qq{if_exists="$if_exists"}));
	append_to_file("$base.csv", join "\n", 'id,name,email', @rows, '');
	return run_python($node, [ "$base.py", "$base.csv" ], $user);
}
sub customers
{
	return $node->safe_psql('postgres', q{SELECT string_agg(id || ' ' || coalesce(pseudo.try_reidentify(name), 'plaintext'), ', ' ORDER BY id) FROM customers});
}

($status, undef, $err) = write_frame('loader', 'append', '1,Ann,ann@example.org', '2,Ben,ben@example.org');
is($status, 0, 'to_sql, by a role without the right to pseudonymize') or diag($err);
is(customers(), '1 Ann, 2 Ben', 'the table has pseudonyms');
is($node->safe_psql('postgres', q{SELECT id FROM customers WHERE email = pseudo.pseudonymize('ben@example.org', true)}), '2', 'which are found');
($status, undef, $err) = write_frame('loader', 'append', '3,Carla,carla@example.org', '1,Ann,ann@example.org');
isnt($status, 0, 'a row that is there already');
like($err, qr/UniqueViolation/, 'fails');
unlike($err, qr/Ann|carla/, 'and the error has no value in it');
is(customers(), '1 Ann, 2 Ben', 'nor is the first row of it there');
($status, undef, $err) = write_frame('loader', 'delete_rows', '4,Dora,dora@example.org');
is($status, 0, 'delete_rows') or diag($err);
is(customers(), '4 Dora', 'other rows, and pseudonyms');
is(verdicts($node, 'customers'), 'email ok, id ok, name ok', 'of the same table');

# "replace" drops the table.
($status, undef, $err) = write_frame('loader', 'replace', '5,Eve,eve@example.org');
isnt($status, 0, 'replace, by a role that does not own the table');
like($err, qr/must be owner of table customers/, 'is refused');
is(customers(), '4 Dora', 'and the table stays');
my $had = q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass), (SELECT count(*) FROM pg_seclabel WHERE objoid = 'customers'::regclass),
	has_table_privilege('loader', 'customers', 'INSERT')};
is($node->safe_psql('postgres', $had), '1|3|t', 'before: a trigger, labels, grants');
my $owner = $node->safe_psql('postgres', 'SELECT current_user');
($status, undef, $err) = write_frame($owner, 'replace', '5,Eve,eve@example.org');
is($status, 0, 'replace, by its owner') or diag($err);
is(customers(), '5 plaintext', 'leaves the value');
is($node->safe_psql('postgres', $had), '0|0|f', 'and neither trigger nor label nor grant');
is(verdicts($node, 'customers'), 'email unlabelled, id unlabelled, name unlabelled', 'which pseudo_coverage reports');

$node->stop;
done_testing();
