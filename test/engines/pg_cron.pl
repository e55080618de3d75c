# pg_cron calls the procedures, which COMMIT: over a connection and in a background worker; what fails is in cron.job_run_details.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_extensions('pg_cron');
my $node = start_server('jobs', "shared_preload_libraries = 'pg_cron, pseudo'\ncron.database_name = 'postgres'\n");
$node->append_conf('postgresql.conf', "cron.host = '@{[ $node->host ]}'");
$node->restart;
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_cron;
	SELECT pseudo.pseudo_create_key();
	CREATE ROLE owner LOGIN;
	GRANT USAGE ON SCHEMA pseudo, cron TO owner;
	GRANT CREATE ON SCHEMA public TO owner;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO owner;
	GRANT USAGE ON FOREIGN SERVER pseudo TO owner});
as_owner(q{
	CREATE TABLE visits AS SELECT n AS id, pseudo.pseudonymize(n || '@example.com') AS email FROM generate_series(1, 5000) n;
	CREATE TABLE imports AS SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, 5000) n});
as_owner(example('pg_cron/jobs.sql', q('0 3 * * *') => q('@reboot'), q('30 3 * * *') => q('@reboot')));

sub as_owner
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'owner' ]);
}

# The jobs begin when the server does.  Wait for the runs that follow, and return them.
sub run_jobs
{
	my (@conf) = @_;
	my $last = $node->safe_psql('postgres', 'SELECT coalesce(max(runid), 0) FROM cron.job_run_details');
	$node->append_conf('postgresql.conf', $_) for @conf;
	$node->restart;
	$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM cron.job_run_details WHERE runid > $last AND status IN ('succeeded', 'failed')");
	return $node->safe_psql('postgres', "SELECT jobname, status, split_part(return_message, E'\\n', 1) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE runid > $last ORDER BY 1");
}

# How many rows of each table are as they are to be, written by more than one transaction.
sub tables
{
	return $node->safe_psql('postgres', q{
		SELECT count(*) FILTER (WHERE pseudo.try_reidentify(email) = id || '@example.com'), count(DISTINCT xmin::text) > 1 FROM imports;
		SELECT count(*) FILTER (WHERE pseudo.reidentify(email) = id || '@example.com' AND pseudo.pseudonym_key_id(email) = primary_key_id), count(DISTINCT xmin::text) > 1
			FROM visits, pseudo.pseudo_keyrings WHERE name = 'pseudo'}) =~ s/\n/ /r;
}

sub rotate
{
	$node->safe_psql('postgres', q{SELECT pseudo.pseudo_set_primary_key('pseudo', pseudo.pseudo_create_key('pseudo'))});
}

# One fails: what came before the value is converted, and the next run does the rest.
rotate();
as_owner(q{UPDATE imports SET email = repeat('ab', 32) WHERE id = 3500});
my $failed = 'ERROR:  a value looks like a pseudonym and does not authenticate';
is(run_jobs(), "import|failed|$failed\nrotation|succeeded|CALL", 'both jobs have run, one has failed');
is(tables(), '4000|t 5000|t', 'what came before is converted, in batches');
my $reported = as_owner(example('pg_cron/failures.sql'));
like($reported, qr/\Aimport\|.*\Q$failed\E.*HINT:  .*column "email" of row \(\d+,\d+\) of relation "imports"/s, 'the report names the row and what to do');
unlike($reported, qr/abab/, 'and not the value');
as_owner(q{UPDATE imports SET email = id || '@example.com' WHERE id = 3500});
is(run_jobs(), "import|succeeded|CALL\nrotation|succeeded|CALL", 'the next run');
is(tables(), '5000|t 5000|t', 'has done the rest');

# In background workers, where no password is needed.
rotate();
as_owner(q{UPDATE imports SET email = id || '@example.com'});
is(run_jobs('cron.use_background_workers = on'), "import|succeeded|CALL\nrotation|succeeded|CALL", 'in background workers');
is(tables(), '5000|t 5000|t', 'all is converted, in batches');

# Whose rights a job has.
$node->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER pseudo FROM owner');
is(run_jobs(), join("\n", map { "$_|failed|ERROR: permission denied for keyring \"pseudo\"" } qw(import rotation)), 'without its owner\'s rights a job fails');
$node->stop;
documented('Jobs');
done_testing();
