# Answers made up from seeds go through all that reads them, under the address sanitizer: every way to credentials, loads, the agent,
# changes, KMS.  Whatever comes, there is an error with a fitting SQLSTATE or none, no message has what is secret, and nobody falls.
# PSEUDO_ANSWERS is a folder with modules that test/faults/Makefile has made; PSEUDO_SANITIZER what is to be loaded before.
use strict;
use warnings;

use Endpoint;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $modules = $ENV{PSEUDO_ANSWERS} or plan skip_all => 'PSEUDO_ANSWERS is not set';
my $seeds = ($ENV{CI} // '') eq 'true' || ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/ ? 20000 : 3000;
my $folder = PostgreSQL::Test::Utils::tempdir;
my $sanitizer = $ENV{PSEUDO_SANITIZER};

clean_environment("$folder/home");
append_to_file("$folder/config", <<END);
[profile static]
aws_access_key_id = AKIASTATIC
aws_secret_access_key = S3cretMarker
[profile role]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = static
[profile web]
role_arn = arn:aws:iam::123456789012:role/reader
web_identity_token_file = $folder/token
[profile container]
role_arn = arn:aws:iam::123456789012:role/reader
credential_source = EcsContainer
[profile instance]
role_arn = arn:aws:iam::123456789012:role/reader
credential_source = Ec2InstanceMetadata
END
append_to_file("$folder/token", 'S3cretMarker');
my $node = start_server('answers', "jit = off\nlog_min_messages = warning\nautovacuum = off\n");
with_environment($node, {
	AWS_CONFIG_FILE => "$folder/config", AWS_REGION => 'eu-west-1', AWS_EC2_METADATA_DISABLED => undef, AWS_TOKEN => 'S3cretMarker',
	AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:1/container',
	$sanitizer ? (LD_PRELOAD => $sanitizer, ASAN_OPTIONS => "detect_leaks=0:abort_on_error=1:detect_odr_violation=0:detect_stack_use_after_return=0:log_path=$folder/report") : () });

my %keyrings = (
	(map { $_ => "profile '$_'" } qw(static role web container instance)),
	agent => "agent 'http://localhost:2773'", kms => "profile 'static', kms_key_id 'alias/x'");
$node->safe_psql('postgres', join ";\n", "UPDATE pg_proc SET probin = '$modules/pseudo' WHERE probin = '\$libdir/pseudo'",
	map { "CREATE SERVER \"$_\" FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 'test', $keyrings{$_})" } sort keys %keyrings);
$node->safe_psql('postgres', <<'SQL' =~ s/MODULES/$modules/gr);
DO $$ BEGIN PERFORM pseudo.pseudonymize('x', false, '', 'static'); EXCEPTION WHEN OTHERS THEN END $$;	-- the second module needs the first
CREATE FUNCTION seed(integer) RETURNS void AS 'MODULES/pseudo_aws', 'pseudo_answers_seed' LANGUAGE c STRICT;
CREATE FUNCTION requests() RETURNS integer AS 'MODULES/pseudo_aws', 'pseudo_answers_requests' LANGUAGE c STRICT;
-- Run statements for each seed: how many of them ended how, and what should not be.
CREATE FUNCTION try(statement text, first integer, last integer, OUT requested bigint, OUT outcomes text, OUT wrong text) AS $$
DECLARE
	message text; detail text; hint text; code text; counts jsonb := '{}';
BEGIN
	requested := 0;
	FOR n IN first .. last LOOP
		PERFORM seed(n);
		BEGIN
			EXECUTE statement;
			code := 'fine';
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, code = RETURNED_SQLSTATE;
			IF concat(message, detail, hint) ~ 'S3cret|rIm7yk|dK/MSC' OR code ~ '^(XX|P0)' THEN
				wrong := concat_ws(E'\n', wrong, format('seed %s: %s: %s|%s|%s', n, code, message, detail, hint));
			END IF;
		END;
		counts := counts || jsonb_build_object(code, coalesce((counts ->> code)::int, 0) + 1);
		requested := requested + requests();
	END LOOP;
	outcomes := counts::text;
END $$ LANGUAGE plpgsql;
SQL
local $ENV{PGOPTIONS} = '-c client_min_messages=error';

sub fuzz
{
	my ($name, $statement, $first, $last) = @_;
	my ($code, $out, $err) = $node->psql('postgres',
		"DO \$\$ BEGIN PERFORM pseudo.pseudonymize('x', false, '', 'static'); EXCEPTION WHEN OTHERS THEN END \$\$;\n"
		  . "SELECT requested, outcomes, wrong FROM try(\$q\$$statement\$q\$, $first, $last)");
	my ($requested, $outcomes, $wrong) = $out =~ /^(\d+)\|([^|]*)\|(.*)/s;

	is("$code $err", '0 ', "$name: the session lives");
	note "$name: ", $outcomes // 'nothing', ', requests: ', $requested // 'none';
	cmp_ok($requested // 0, '>', $last - $first, "$name: requests");
	like($outcomes // '', qr/fine/, "$name: some go well");
	like($outcomes // '', qr/"(?!fine)\w{5}"/, "$name: some do not");
	is($wrong, '', "$name: nothing secret in a message, no internal error");
}

my $each = $seeds / 10;
fuzz("credentials: $_", "SELECT pseudo.pseudo_refresh_keyring('$_')", 1, $each) for qw(role web container instance);
fuzz('loads', "SELECT pseudo.pseudo_refresh_keyring('static')", 1, 2 * $each);
fuzz('the agent', "SELECT pseudo.pseudo_refresh_keyring('agent')", 1, $each);
fuzz('changes', "SELECT pseudo.pseudo_set_primary_key('static', 2)", 1, 2 * $each);
fuzz('KMS', "SELECT pseudo.pseudo_create_key('kms')", 1, $each);
my @reports = glob "$folder/report*";
is(join("\n", map { slurp_file($_) } @reports[ 0 .. ($#reports > 1 ? 1 : $#reports) ]), '', 'the sanitizer has nothing to report');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'nobody fell');
done_testing();
