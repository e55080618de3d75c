# Spark: a partitioned read in which PostgreSQL makes the pseudonyms, a write through a staging table, and what "overwrite" does.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pipelines;
use PostgreSQL::Test::Utils;
use Test::More;

need_python(qw(pyspark psycopg));
my $driver = program('postgresql.jar');
program('java/bin/java');
my $node = start_listening('spark');
my $url = 'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres';
my $folder = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', 'log_statement = all');
$node->reload;
$node->safe_psql('postgres', example($_)) for qw(tables.sql spark/staging.sql);
$node->safe_psql('postgres', q{INSERT INTO people SELECT n, 'Person ' || n, n || '@example.com' FROM generate_series(1, 1000) n});

# Run an example with the driver where it is here, changed as the test needs it.
my $files = 0;
sub spark
{
	my ($path, $change, @arguments) = @_;
	my $file = "$folder/" . ++$files . '.py';

	append_to_file($file, example($path, '/usr/share/java/postgresql.jar' => $driver, %$change));
	return run_python($node, [ $file, $url, @arguments ]);
}

my $before = -s $node->logfile;
my ($status, undef, $err) = spark('spark/read.py', {}, "$folder/people");
is($status, 0, 'a partitioned read') or diag($err);
my $csv = join '', map { slurp_file($_) } sort glob "$folder/people/part-*.csv";
my @parts = glob "$folder/people/part-*.csv";
is(scalar(@parts), 4, 'in four parts');
my @lines = grep { !/^id,/ } split /\n/, $csv;
is(scalar(@lines), 1000, 'every row');
unlike($csv, qr/@/, 'no value');
is(scalar(keys %{ { map { ((split /,/)[0] => 1) } @lines } }), 1000, 'each once');
is(opened($node, join "\n", @lines[ 0, 999 ]), join("\n", map { my ($id) = split /,/, $lines[$_]; "$id,$id\@example.com" } 0, 999), 'with their pseudonyms');
my @asked = substr(slurp_file($node->logfile), $before) =~ /execute \S+: (SELECT "id","email" FROM \(SELECT id, pseudo\.pseudonymize.*)/g;
is(scalar(grep { /WHERE .*"id"/ } @asked), 4, 'PostgreSQL was asked for each part, with the function in the query');

# The benchmark, in short.
($status, my $out, $err) = run_python($node, [ "$FindBin::RealBin/../bench/spark.py", "$url?user=reader", $driver, 1000, 1 ]);
is($status, 0, 'test/bench/spark.py') or diag($err);
is(scalar(() = $out =~ /^Spark, [\w ]+, [124] connections?\|[\d.]+$/mg), 6, 'measures six cases');

# Through the staging table.
append_to_file("$folder/customers.csv", join "\n", 'id,name,email', (map { "$_,Customer $_,$_\@example.org" } 1 .. 500), '');
my $customers = q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(name) = 'Customer ' || id AND pseudo.reidentify(email) = id || '@example.org') FROM customers};
$node->safe_psql('postgres', q{INSERT INTO staging.customers VALUES (-1, 'left', 'by a run that failed')});
($status, undef, $err) = spark('spark/write.py', {}, "$folder/customers.csv");
is($status, 0, 'a write through the staging table') or diag($err);
is($node->safe_psql('postgres', $customers), '500|500', 'every row is there, with its pseudonyms');
is($node->safe_psql('postgres', 'SELECT count(*) FROM staging.customers'), '0', 'and the staging table is empty');
is($node->safe_psql('postgres', q{SELECT relpersistence FROM pg_class WHERE oid = 'staging.customers'::regclass}), 'u', 'and still the one that it was');
is(verdicts($node, $_), 'email ok, id ok, name ok', "pseudo_coverage finds nothing else in $_") for qw(customers staging.customers);

# Right into the table: with "truncate" it stays, without it is dropped, if the role may.
append_to_file("$folder/again.csv", "id,name,email\n501,Customer 501,501\@example.org\n1,Customer 1,1\@example.org\n");
my %into = ('"staging.customers"' => '"customers"', 'INSERT INTO customers (id, name, email) SELECT id, name, email FROM staging.customers' => 'SELECT', 'TRUNCATE staging.customers' => 'SELECT');
my %dropping = (%into, ".option(\"truncate\", \"true\")\n" => "\n");
my $had = q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass), (SELECT count(*) FROM pg_seclabel WHERE objoid = 'customers'::regclass),
	has_table_privilege('loader', 'customers', 'INSERT')};
$node->safe_psql('postgres', 'GRANT SELECT, TRUNCATE ON customers TO loader');
($status, undef, $err) = spark('spark/write.py', \%into, "$folder/again.csv");
is($status, 0, 'overwrite with truncate=true') or diag($err);
is($node->safe_psql('postgres', $customers), '2|2', 'has the rows of the file, as pseudonyms');
is($node->safe_psql('postgres', $had), '1|3|t', 'and the trigger, the labels and the grants');
($status, undef, $err) = spark('spark/write.py', \%dropping, "$folder/again.csv");
isnt($status, 0, 'overwrite, by a role that does not own the table');
like($err, qr/must be owner of table customers/, 'is refused');
is($node->safe_psql('postgres', $customers), '2|2', 'and the table stays');
my $owner = $node->safe_psql('postgres', 'SELECT current_user');
($status, undef, $err) = spark('spark/write.py', { %dropping, '"loader"' => qq{"$owner"} }, "$folder/again.csv");
is($status, 0, 'overwrite, by its owner') or diag($err);
is($node->safe_psql('postgres', 'SELECT string_agg(email, $$ $$ ORDER BY id) FROM customers'), '1@example.org 501@example.org', 'leaves the values');
is($node->safe_psql('postgres', $had), '0|0|f', 'and neither trigger nor label nor grant');
is(verdicts($node, 'customers'), 'email unlabelled, id unlabelled, name unlabelled', 'which pseudo_coverage reports');

$node->stop;
done_testing();
