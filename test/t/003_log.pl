# No message of ours shows a value or key material, whatever fails and however much is logged.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use MIME::Base64;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('log', "log_line_prefix = '## '\nlog_statement = none\nlog_error_verbosity = verbose\nlog_parameter_max_length_on_error = 0\n");
my $many = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4, "outputPrefix": "tink", "status": "destroyed"}, {"keyId": 5, "outputPrefix": "raw", "status": "disabled", "encodedSecretKey": "KWaKptpg+15HMFw/EO40FiD2S2fbtisiRqqT5eJp/2A=", "encodedNonceKey": "Q5ayD6/1VtOqFLF7aFmgFN61E23KOFLfWRT7+XR2e/M=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}, {"keyId": 7, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "6QY5gryoxDPI9EZB79E/5w==", "encodedNonceKey": "nORpSPRdctN6iJDJMKxWfjQU22oO6y4DPphQJTSGWNU=", "nonceStrPos": 20, "nonceEndPos": 32}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $path = add_keyring($node, 'pseudo', $many);
add_keyring($node, 'faulty', '{}');

# A value that cannot be mistaken, and pseudonyms of it under keys that are enabled, disabled, destroyed, unknown, not ours.
my $value = 'S3cretValue';
my @pseudonyms = ('AQAAAAI2NmE4MDkyMzM4YmWzrcI7Ir0Qkwe5Pi2KtSeos7SIvhjnMMAfuOY=', 'AQAAAANkZmRhYWZmMWQ5NjQktmwsQoUrJFtciI9KBTfcOsOk3/UI02YDeEE=', 'AQAAAARmYzJkYjE1NTkzYzbjI6SA8UnKjoV05M0Ak3Bw4lNFTyNOy2EwltE=', 'AQAAAGMzNDA1OTYxNGRjNjc7hYVO8R1nP7vRU2eIvkGSXIHncFSvuEI02Zg=',
	'ZDEwYWQyMGQzMGNjVSDMu2miGrfpp6r9tGfUiDHvla8fn6hTGErY', 'OWE3OTg5NDk3OTZhqOOjj0GdL2Tjlmlv+OsawMCYPxlxufJVoQU/ag==', 'MDljMzQ0ZTQ2NzhjeXQVK/1USuF3U8WtlkMNexIzvLjDjO8Fayb9cA==', $value, "$value====", '');

# Documents with a fault, all about the same material.
my $one = '{"encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}';
my @faults = ($one . $one, substr($one, 0, -1), substr($one, 0, 60), "[$one]", $many =~ s/"keyId": 2/"keyId": 1/r, $many =~ s/"version": 1/"version": 9/r,
	$many =~ s/"enabled"/"S3cretValue"/gr, $many =~ s/"raw"/"S3cretValue"/gr, $one =~ s/"nonceStrPos": 0/"nonceStrPos": S3cretValue/r, $one =~ s/=/!/gr, $one =~ s/=//gr,
	$one =~ s/"nonceStrPos": 0/"nonceStrPos": "S3cretValue"/r, $one =~ s/"nonceStrPos": 0/"S3cretValue": 0, "S3cretValue": 1/r, $one =~ s/":/" S3cretValue:/r, $one =~ s/"e/"\xff/r,
	$one =~ s/": "/": "\\x/r, $one =~ s/": "/": "\n/r, $many =~ s/"destroyed"/"enabled"/r, $many =~ s/"enabled"/"destroyed"/r, $one . 'S3cretValue', $one x 500, "'$one'", $many =~ s/"raw"/"tink", "encodedNonceKey": "S3cretValue"/r);

sub run_all
{
	my ($level) = @_;
	my $sql = "SET log_min_messages = $level; SET client_min_messages = debug5; SET log_min_error_statement = panic; SET search_path = pseudo;\n";

	for my $p (@pseudonyms)
	{
		for my $function (qw(reidentify try_reidentify))
		{
			$sql .= "SELECT $function('$p', '$_') IS NULL; SELECT ${function}_array('{$p}', '$_') IS NULL;\n" for '', $value;
		}
		for my $context ('', $value)
		{
			$sql .= "SELECT repseudonymize('$p', false, '$context') = ''; SELECT reidentify_as('current_user', '$p', '$context') = '';\n";
			$sql .= "SELECT reidentify_json($_('k', '$p'), '{k}', '$context') IS NULL;\n" for 'json_build_object', 'jsonb_build_object';
		}
		$sql .= "SELECT pseudonymize('$value') = '$p', pseudonymize('$value', true, '$p') = ''; SELECT pseudonym_key_id('$p');\n";
	}
	$sql .= "SELECT pseudonymize('$value', NULL); SELECT pseudonymize('$value', true, NULL); SELECT pseudonymize('$value', true, '$value', 'none'); SELECT pseudonymize('$value', true, '$value', 'faulty');\n";
	$sql .= "SELECT pseudo_create_key('made'); SELECT pseudo_create_key('made', make_primary => true); SELECT pseudo_set_key_status('made', 1, 'disabled'); SELECT pseudonymize('$value', true, '$value', 'made') = '';\n";
	$sql .= "SELECT pseudo_set_key_status('made', 1, 'destroyed'); SELECT count(*) FROM pseudo_keyrings;\n";
	$sql .= "SELECT pseudonymize_array('{$value,NULL}', true) = '{}'; SELECT reidentify_array(pseudonymize_array('{$value}')) = '{}';\n";
	$sql .= "SELECT pseudonyms_of('$value', '$value') = '{}'; SELECT pseudonyms_of('$value', NULL); SELECT pseudonymize_as('current_user', '$value', '$value') = ''; SELECT pseudonymize_as('nobody', '$value'); SELECT pseudonymize_as(NULL, '$value');\n";
	$sql .= "SELECT pseudonymize_json($_::jsonb, '{k}', true, '$value') IS NULL; SELECT pseudonymize_json($_::json, '{k}', true) IS NULL; SELECT reidentify_json($_::jsonb, '{k}', '$value') IS NULL; SELECT reidentify_json($_::json, '{k}') IS NULL;\n"
	  for qq('{"k": ["$value", 1, null]}'), qq('{"k": {"$value": true}}'), qq('{"k": "$value\\u0000"}'), qq('{"k": "$value\\ud800"}'), qq('{"k": 1e400000}');
	my ($code, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 0);
	my $said = $err;

	for my $document (@faults)
	{
		put_file($node->data_dir . '/faulty.json', $document);
		($code, $out, $err) = $node->psql('postgres', "SET log_min_messages = $level; SET client_min_messages = debug5; SET log_min_error_statement = panic;
			SELECT pseudo.pseudonymize('$value', true, '$value', 'faulty') = ''; SELECT pseudo.pseudo_create_key('faulty'); SELECT pseudo.pseudo_refresh_keyring('faulty');", on_error_stop => 0);
		$said .= $err;
	}

	# With bind parameters.
	my $script = $node->basedir . '/bind.sql';
	for my $call ('reidentify(:v)', 'pseudonymize(:v, true, :v)', 'reidentify_array(ARRAY[:v])', 'try_reidentify(:v, :v)')
	{
		append_to_file($script, '') unless -e $script;
		open my $file, '>', $script or die $!;
		print $file "SELECT pseudo.$call IS NULL;\n";
		close $file;
		for my $v (@pseudonyms[0 .. 4], $value)
		{
			local $ENV{PGOPTIONS} = "-c log_min_messages=$level";
			IPC::Run::run([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-f', $script, '-D', "v=$v", '-d', $node->connstr('postgres') ], '>', \my $o, '2>', \my $e);
		}
	}
	return $said;
}

# What may never show: the value in any spelling, and every key of every document in base64 and hex.
sub secrets
{
	my @material = map { /"encoded(?:Secret|Nonce)Key": "([^"]+)"/g } $many, $one, map { slurp_file($_) =~ s/":"/": "/gr } glob($node->data_dir . '/made.json');
	my @found = ($value, unpack('H*', $value), encode_base64($value, ''));

	for my $key (@material)
	{
		my $bytes = decode_base64($key);
		push @found, substr($key, 0, 12), unpack('H*', substr $bytes, 0, 8), substr($bytes, 0, 8);
	}
	return @found;
}

# The entries of a log that are not PostgreSQL's own print of a statement.  An entry goes on in lines without the prefix.
sub entries
{
	my ($log) = @_;

	return grep { !/^## (STATEMENT|CONTEXT|QUERY):/ && !/^## DEBUG:  (?:\w{5}: )?(parse|bind|execute) / } $log =~ /^(## .*\n(?:(?!## ).*\n?)*)/mg;
}

for my $level ('warning', 'debug5')
{
	add_keyring($node, 'made', undef);
	my $start = -s $node->logfile;
	my $said = run_all($level);
	my $log = slurp_file($node->logfile, $start);

	cmp_ok(() = $log =~ /^## ERROR:/mg, '>', 50, "$level: the log has the errors");
	my @entries = entries($log);
	my @client = grep { !/^(CONTEXT|STATEMENT|LINE \d+|QUERY):/ } split /\n/, $said;
	cmp_ok(scalar @entries, '>', 50, "$level: entries to look at");
	my $ours = join '', @entries;
	my $theirs = join "\n", @client;
	my @seen = grep { index($ours, $_) >= 0 } secrets();
	is(scalar @seen, 0, "$level: nothing in the log") or diag map { my $s = $_; grep { index($_, $s) >= 0 } @entries } @seen[0 .. 0];
	@seen = grep { index($theirs, $_) >= 0 } secrets();
	is(scalar @seen, 0, "$level: nothing at the client") or diag map { my $s = $_; map { "$_\n" } grep { index($_, $s) >= 0 } @client } @seen[0 .. 0];
	unlike($ours, qr/^## (PANIC|FATAL|WARNING:  .*terminat)/m, "$level: nobody fell");
	unlike($ours, qr/^## ERROR:  XX000/m, "$level: no internal error");
	$node->safe_psql('postgres', 'DROP SERVER made');
	unlink $node->data_dir . '/made.json';
}

# That the search above finds what there is to find.
my $start = -s $node->logfile;
$node->safe_psql('postgres', "DO \$\$ BEGIN RAISE LOG 'value: %', '$value'; END \$\$");
is(scalar(grep { index($_, $value) >= 0 } entries(slurp_file($node->logfile, $start))), 1, 'a value in the log is found');

$node->stop;
done_testing();
