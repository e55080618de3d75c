# dbt: a model, an incremental one and a snapshot that hold pseudonyms, and keep their labels and trigger when dbt makes them anew.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pipelines;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

need_python('dbt.cli.main', 'dbt.adapters.postgres');
my $node = start_listening('dbt');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(example('dbt/roles.sql'));
sql(q{INSERT INTO crm.people SELECT n, 'Person ' || n, n || '@example.com' FROM generate_series(1, 100) n;
	INSERT INTO crm.logins SELECT n, n % 10 || '@example.com', now() FROM generate_series(1, 50) n});

# The project, where dbt can write, with a snapshot that looks at the random column.
my $project = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::RecursiveCopy::copypath(example_path('dbt'), "$project/dbt");
append_to_file("$project/dbt/snapshots/bad_history.yml", example('dbt/snapshots/customers_history.yml', 'customers_history' => 'bad_history', 'check_cols: [email]' => 'check_cols: [name]'));

sub dbt
{
	my ($what, @arguments) = @_;
	my ($status, $out, $err) = run_python($node, [ '-m', 'dbt.cli.main', '--no-use-colors', @arguments, '--project-dir', "$project/dbt", '--profiles-dir', "$project/dbt" ]);
	is($status, 0, $what) or diag($out, $err);
	return $out;
}
my $customers = q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(name) = 'Person ' || id AND pseudo.reidentify(email) = id || '@example.com') FROM marts.customers};
my $logins = q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(email) = id % 10 || '@example.com') FROM marts.logins};
my $history = q{SELECT count(*), count(*) FILTER (WHERE dbt_valid_to IS NULL) FROM marts.};

dbt('dbt build', 'build');
is(sql($customers), '100|100', 'a model has the pseudonyms of every row');
is(sql($logins), '50|50', 'and so has an incremental one');
is(sql("${history}customers_history"), '100|100', 'and a snapshot');
is(sql(q{SELECT count(*) FROM marts.logins l JOIN marts.customers c USING (email)}), '45', 'they join');
my $logins_oid = sql(q{SELECT 'marts.logins'::regclass::oid});
is(verdicts($node, "marts.$_"), { customers => 'email ok, id ok, name ok', logins => 'at ok, email ok, id ok' }->{$_}, "pseudo_coverage of $_") for qw(customers logins);

# Nothing has changed.
dbt('dbt build again', 'build');
is(sql($customers), '100|100', 'the model is there, made anew');
is(sql("${history}customers_history"), '100|100', 'the snapshot has no new rows: its column is deterministic');
is(sql("${history}bad_history"), '200|100', 'one that looks at a random column has all rows as new');

# One address changes, one person and more logins come.
sql(q{UPDATE crm.people SET email = 'changed@example.com' WHERE id = 100; INSERT INTO crm.people VALUES (101, 'Person 101', '101@example.com');
	INSERT INTO crm.logins VALUES (51, '1@example.com', now()), (52, '2@example.com', now())});
sql('CREATE TABLE before AS SELECT id, email, xmin::text AS written FROM marts.logins');
dbt('dbt build with changes', 'build');
is(sql($customers), '101|100', 'the model has them');
is(sql($logins), '52|52', 'and so has the incremental one');
is(sql(q{SELECT count(*) FROM before b JOIN marts.logins l ON l.id = b.id AND l.email = b.email AND l.xmin::text = b.written}), '50', 'which left the older rows as they were');
is(sql(q{SELECT 'marts.logins'::regclass::oid}), $logins_oid, 'in the same table');
is(sql("${history}customers_history"), '102|101', 'the snapshot has two new rows, and one that ended');
is(sql(q{SELECT string_agg(pseudo.reidentify(email), ' ' ORDER BY dbt_valid_from) FROM marts.customers_history WHERE id = 100}), '100@example.com changed@example.com', 'both addresses');

# What dbt made is protected after each of its runs, also against its own owner.
is(verdicts($node, "marts.$_"), { customers => 'email ok, id ok, name ok', logins => 'at ok, email ok, id ok' }->{$_}, "pseudo_coverage of $_, made anew or not") for qw(customers logins);
sql(q{SET ROLE transformer; INSERT INTO marts.customers VALUES (900, 'Zoe', 'zoe@example.com')});
is(sql(q{SELECT pseudo.reidentify(email) FROM marts.customers WHERE id = 900}), 'zoe@example.com', 'a value that is written becomes a pseudonym');
dbt('dbt run --full-refresh', 'run', '--full-refresh');
isnt(sql(q{SELECT 'marts.logins'::regclass::oid}), $logins_oid, 'a full refresh makes the incremental one anew');
is(sql($logins), '52|52', 'with all rows');
is(verdicts($node, 'marts.logins'), 'at ok, email ok, id ok', 'and protected');
is(sql(q{SET ROLE analyst; SELECT count(*) FROM marts.customers}), '101', 'who has the grant reads it');
is($node->psql('postgres', q{SET ROLE transformer; SELECT pseudo.reidentify(email) FROM marts.customers}), 3, 'the role of dbt opens nothing');
unlike(join('', map { slurp_file($_) } glob "$project/dbt/logs/*"), qr/\d\@example\.com/, "no value is in dbt's log");

$node->stop;
done_testing();
