# What the tests of pipelines share: a server that listens, and running the files of examples/ on it.
package Pipelines;

use strict;
use warnings;

use Engines;
use Exporter 'import';
use FindBin;
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_listening need_python run_python opened verdicts example_path);

# A server on a port of 127.0.0.1 that lets everybody in, with a keyring and its first key.
sub start_listening
{
	my ($name, %init) = @_;
	my $node = start_server($name, "listen_addresses = '127.0.0.1'\n", %init);

	$node->append_conf('pg_hba.conf', 'host all all 127.0.0.1/32 trust');
	$node->reload;
	add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
	$node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key()');
	return $node;
}

sub example_path { return "$FindBin::RealBin/../../examples/$_[0]" }

# Without these modules of Python the test file skips; returns the path of "python".
sub need_python
{
	my (@modules) = @_;
	my $python = program('python');

	IPC::Run::run([ $python, '-c', 'import ' . join(', ', @modules) ], '<', \undef, '>&', \my $said)
	  or plan skip_all => "Python has no @modules";
	return $python;
}

# Run Python as a role that connects to a server: its arguments, the role, what it reads.  Returns the exit status, what it
# prints, and its errors.
sub run_python
{
	my ($node, $arguments, $user, $in) = @_;
	local %ENV = (%ENV, PGHOST => '127.0.0.1', PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => $user // 'nobody',
		JAVA_HOME => "$ENV{PSEUDO_ENGINES}/java", SPARK_LOCAL_IP => '127.0.0.1',
		PYSPARK_SUBMIT_ARGS => '--master local[2] --conf spark.ui.enabled=false --driver-java-options "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" pyspark-shell', TMPDIR => PostgreSQL::Test::Utils::tempdir());
	my ($out, $err);

	IPC::Run::run([ program('python'), @$arguments ], '<', \($in // ''), '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# Rows of CSV "id,pseudonym,..." with the pseudonyms opened by the server, without a header.
sub opened
{
	my ($node, $csv) = @_;

	return join "\n", map {
		my ($id, @pseudonyms) = split /,/;
		join ',', $id, map { $node->safe_psql('postgres', "SELECT coalesce(pseudo.try_reidentify('$_'), 'no pseudonym')") } @pseudonyms
	} grep { !/^id,/ } split /\r?\n/, $csv;
}

# What pseudo_coverage says of the columns of a table.
sub verdicts
{
	my ($node, $table) = @_;

	return $node->safe_psql('postgres', "SELECT string_agg(format('%s %s', column_name, verdict), ', ' ORDER BY column_name)
		FROM pseudo.pseudo_coverage() WHERE relation = '$table'::regclass");
}

1;
