# The owner of a schema can give its name to another one at any time.  Statements of ours name their tables, which are other people's, and
# functions of ours.  No function of the schema's owner runs with the rights of whoever dumps, converts or protects such a table, makes a
# view of it or reads that, or of its owner, nor gets values.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('moved');
my $keys = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE ROLE mover; CREATE DATABASE moving OWNER mover');
# The schema "public" is the one that moves.  It has the extension, a table of another owner, and in its place come a table, a view, and a function
# with the name of ours.
$node->safe_psql('moving', qq{
	CREATE EXTENSION pseudo SCHEMA public;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/pseudo.json');
	SELECT public.pseudo_create_key();
	CREATE SCHEMA kept; CREATE TABLE kept.t (email text); INSERT INTO kept.t VALUES ('PLAIN e');
	CREATE TABLE public.t (id int); INSERT INTO public.t VALUES (1);
	CREATE TABLE public.v (id int); INSERT INTO public.v VALUES (1);
	CREATE TABLE kept.p (email text);
	CREATE TABLE kept.c (email text); INSERT INTO kept.c SELECT 'PLAIN c' FROM generate_series(1, 20);
	SECURITY LABEL FOR pseudo ON COLUMN kept.t.email IS 'deterministic';
	SECURITY LABEL FOR pseudo ON COLUMN kept.p.email IS 'deterministic';
	SET ROLE mover;
	CREATE SCHEMA other;
	CREATE FUNCTION other.spy() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN 1; END';
	CREATE FUNCTION other.spy_late() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN 1; END';
	CREATE FUNCTION other.pseudo_dump_value(value text, relation regclass, column_number int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN value; END';
	CREATE FUNCTION other.pseudo_converted_value(tid, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN 1; END';
	CREATE FUNCTION other.pseudonymize_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN NEW; END';
	CREATE FUNCTION other.is_pseudonym(value text, context text, keyring text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN false; END';
	CREATE FUNCTION other.pseudo_sync_grants() RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; END';
	CREATE FUNCTION other.pseudo_grants(OUT a int) LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; END';
	CREATE FUNCTION other.pseudo_run_on_other_nodes(command text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; END';
	CREATE TABLE other.pseudo_progress (id int);
	CREATE DOMAIN other.pseudo_role AS text;
	CREATE FUNCTION other.pseudonymize_as(as_role other.pseudo_role, value text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN value; END';
	CREATE TABLE other.t (id int); INSERT INTO other.t VALUES (2);
	CREATE STATISTICS other.spied ON (id + other.spy()) FROM other.t;
	CREATE VIEW other.v AS SELECT other.spy_late() AS id});
# Here the extension is in a schema that stays.
$node->safe_psql('postgres', 'CREATE DATABASE converting OWNER mover');
$node->safe_psql('converting', qq{
	CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/pseudo.json');
	CREATE TABLE public.t (email text); INSERT INTO public.t SELECT 'PLAIN ' || n FROM generate_series(1, 20000) n;
	SET ROLE mover;
	CREATE SCHEMA other;
	CREATE FUNCTION other.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''spy is %'', current_user; RETURN NULL; END';
	CREATE TABLE other.t (email text);
	CREATE TRIGGER spy BEFORE UPDATE ON other.t FOR EACH STATEMENT EXECUTE FUNCTION other.spy()});
my $oid = $node->safe_psql('converting', q{SELECT 'public.t'::regclass::oid});

# Statements, while the schemas change names as fast as they can.
sub while_moving
{
	my ($name, $database, $options, $statements) = @_;
	my $mover = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr($database) . ' application_name=mover', '-c', 'SET ROLE mover', '-c', q{DO $$
		BEGIN
			LOOP
				ALTER SCHEMA public RENAME TO third; ALTER SCHEMA other RENAME TO public; ALTER SCHEMA third RENAME TO other;
				COMMIT;
			END LOOP;
		END $$} ], '<', \undef, '>', \my $moved, '2>', \my $move_errors);
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'mover' AND query LIKE 'DO%'}) or die 'nothing moves';
	local $ENV{PGOPTIONS} = $options;
	IPC::Run::run([ 'psql', '-Xq', $node->connstr($database) ], '<', \$statements, '>', \my $out, '2>', \my $err);
	local $ENV{PGOPTIONS} = '';
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mover'});
	$mover->finish;
	like($move_errors, qr/^FATAL:  terminating connection due to administrator command/m, "$name: the schemas changed names");
	unlike($err, qr/spy is (?!mover)/, "$name: no function of their owner runs as another role");
	unlike($out, qr/PLAIN/, "$name: nor gets values");
}

my $dump = '-c session_preload_libraries=pseudo -c pseudo.dump=on';
for my $table ('public.t', 'public.v', 'kept.t')
{
	while_moving("a dump of $table", 'moving', $dump, "COPY $table TO STDOUT;\n" x 5000);
}
while_moving('conversions by a procedure that moves', 'moving', '',
	qq{UPDATE kept.c SET email = 'PLAIN c';\nCALL public.pseudonymize_table('kept.c', columns => '{"email IS deterministic"}', batch_size => 1);\n} x 500);
while_moving('triggers by a function that moves', 'moving', '',
	qq{SELECT public.pseudo_protect('kept.p');\nINSERT INTO kept.p VALUES ('p');\nDROP TRIGGER zz_pseudo ON kept.p;\n} x 2000);
while_moving('views by a function that moves', 'moving', '',
	qq{SELECT public.pseudo_create_view('kept.t', 'kept.view', 'current_user');\nSELECT count(email) FROM kept.view;\nDROP VIEW kept.view;\n} x 2000);
# As on a coordinator of Citus, which has no other nodes here.
$node->safe_psql('moving', q{CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS boolean LANGUAGE sql RETURN true});
while_moving('grants', 'moving', '', qq{GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO mover;\n} x 500);
while_moving('a conversion', 'converting', '', qq{CALL pseudo.pseudonymize_table($oid::regclass, columns => '{"email IS deterministic"}', batch_size => 20);\n});

$node->stop;
done_testing();
