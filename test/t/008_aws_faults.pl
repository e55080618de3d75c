# The provider aws and all that can go wrong on the way to Secrets Manager: which error, how many requests, and how it ends when cancelled.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use JSON::PP ();
use POSIX ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local ();
use Time::HiRes qw(sleep time);

my $document = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my $ci = ($ENV{CI} // '') eq 'true';
my $folder = PostgreSQL::Test::Utils::tempdir;
my %certificates = make_certificates($folder);
my $ca = "$folder/ca.pem";

clean_environment("$folder/home");
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION)} = ('AKIAFAULTS', 'faults/secret', 'eu-west-1');

my $endpoint = Endpoint->new;
my $node = start_server('faults', "jit = off\n$Pseudo::each_asks");
my %get = (method => 'POST', target => 'secretsmanager.GetSecretValue');
my @good = ({ %get, answer => secret($document) });

# Everything that a statement in a session of its own says, its SQLSTATEs too; how long it took.
sub said
{
	my ($sql) = @_;
	my $start = time;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 0);

	return ("$out\n$err", time - $start);
}

# What a pseudonym by this keyring needs.
sub ask_keyring { return "SELECT pseudo.pseudonymize('x', true, '', '$_[0]')" }

#
# As it should be
#
aws_keyring($node, 'pseudo', endpoint => $endpoint->url);
$endpoint->rules(\@good);
is((said(ask_keyring('pseudo')))[0], "$pseudonym\n", 'SecretString');
my @requests = $endpoint->requests;
is(scalar @requests, 1, 'SecretString: one request');
is("$requests[0]{method} $requests[0]{path}", 'POST /', 'SecretString: POST /');
is($requests[0]{headers}{'x-amz-target'}, 'secretsmanager.GetSecretValue', 'SecretString: the target');
is($requests[0]{headers}{'content-type'}, 'application/x-amz-json-1.1', 'SecretString: JSON 1.1');
is_deeply(JSON::PP::decode_json($requests[0]{body}), { SecretId => 'test', VersionStage => 'AWSCURRENT' }, 'SecretString: the body');
$endpoint->rules([ { %get, answer => secret($document, 'd5d5d5d5-0000-4000-8000-00000000000b', binary => 1) } ]);
is((said(ask_keyring('pseudo')))[0], "$pseudonym\n", 'SecretBinary');
is($node->safe_psql('postgres', "SELECT provider, version, error IS NULL FROM pseudo.pseudo_keyrings"), 'aws|d5d5d5d5-0000-4000-8000-00000000000b|t', 'pseudo_keyrings has the VersionId');
$endpoint->rules([ { %get, answer => secret($document =~ s/=/\\u003d/gr) } ]);
is((said(ask_keyring('pseudo')))[0], "$pseudonym\n", 'a document as Gson writes it');
$endpoint->rules(\@good);
$endpoint->forget;
aws_keyring($node, 'staged', endpoint => $endpoint->url, version_stage => 'AWSPREVIOUS', secret_id => 'path/Encryption_Keys+=.@-prod');
is((said(ask_keyring('staged')))[0], "$pseudonym\n", 'version_stage');
is_deeply(JSON::PP::decode_json(($endpoint->requests)[0]{body}), { SecretId => 'path/Encryption_Keys+=.@-prod', VersionStage => 'AWSPREVIOUS' }, 'version_stage: sent');
is($node->safe_psql('postgres', "SELECT pseudo.reidentify('$pseudonym', keyring => 'staged')"), 'x', 'reidentify');

#
# Faults: each in a session of its own, so without old keys
#
aws_keyring($node, 'faulty', endpoint => $endpoint->url, timeout => '2s');
aws_keyring($node, 'patient', endpoint => $endpoint->url, timeout => '20s');	# time for three attempts, with the pauses that throttling takes
aws_keyring($node, 'hasty', endpoint => $endpoint->url, timeout => '1200ms');

# The name of a fault, what the endpoint answers, the SQLSTATE, the requests, what else the error says; options: the keyring.
sub fault
{
	my ($name, $answer, $sqlstate, $requests, $words, %options) = @_;

	$endpoint->rules([ { %get, answer => $answer } ]);
	$endpoint->forget;
	my ($text, $seconds) = said(ask_keyring($options{keyring} // 'faulty'));
	note sprintf '%s (%.1f s): %s', $name, $seconds, $text;
	like($text, qr/^(psql:\S+ )?ERROR:  (?:$sqlstate): /m, "$name: $sqlstate");
	is($endpoint->count, $requests, "$name: requests");
	like($text, $words, "$name: what it says") if $words;
	cmp_ok($seconds, '<', 15, "$name: no endless wait");
	return $text;
}

my $id = qr/11111111-2222-3333-4444-555555555555/;
my $text = fault('not found', aws_error('ResourceNotFoundException', q(Secrets Manager can't find the specified secret.)), '42704', 1, qr/HINT:.*eu-west-1|DETAIL:.*eu-west-1/);
like($text, qr/ResourceNotFoundException/, 'not found: the code');
like($text, $id, 'not found: the request id');
fault('no version yet', aws_error('ResourceNotFoundException', q(Secrets Manager can't find the specified secret value for staging label: AWSCURRENT)), '22023', 1, qr/pseudo_create_key/);
$text = fault('access denied', aws_error('AccessDeniedException', 'User: arn:aws:iam::123456789012:user/reader is not authorized to perform: secretsmanager:GetSecretValue on resource: test because no identity-based policy allows the secretsmanager:GetSecretValue action'), '42501', 1, qr/HINT:[^\n]*secretsmanager:GetSecretValue/);
like($text, qr/"Effect"|Allow/, 'access denied: the statement that allows it');
like($text, $id, 'access denied: the request id');
fault('access denied to the KMS key', aws_error('AccessDeniedException', 'Access to KMS is not allowed'), '42501', 1, qr/HINT:[^\n]*kms:Decrypt/);
fault('decryption failure', aws_error('DecryptionFailure', q(Secrets Manager can't decrypt the protected secret text using the provided KMS key.)), '42501', 1, qr/HINT:[^\n]*kms:Decrypt/);
fault('scheduled for deletion', aws_error('InvalidRequestException', q(You can't perform this operation on the secret because it was marked for deletion.)), '55000', 1, qr/HINT:[^\n]*(restore|delet)/i);
fault('invalid parameter', aws_error('InvalidParameterException', 'The parameter name or value is invalid.'), '22023', 1);
fault('validation', aws_error('ValidationException', 'Value at secretId failed to satisfy constraint'), '22023', 1);
fault('bad signature', aws_error('InvalidSignatureException', 'The request signature we calculated does not match the signature you provided.'), '42501', 1);
fault('unknown client', aws_error('UnrecognizedClientException', 'The security token included in the request is invalid.'), '42501', 1);
fault('unknown client, with a namespace', aws_error('com.amazon.coral.service#UnrecognizedClientException', 'The security token included in the request is invalid.'), '42501', 1, qr/[^#]UnrecognizedClientException/);
fault('expired token', aws_error('ExpiredTokenException', 'The security token included in the request is expired'), '28000', 2);
fault('an error that nobody knows', aws_error('BrandNewException', 'Something new.'), '\w{5}', 1, qr/BrandNewException/);
fault('no code at all', { status => 400, body => 'what' }, '\w{5}', 1, qr/400/);
fault('403 of a proxy', { status => 403, type => 'text/html', body => '<html>no</html>' }, '\w{5}', 1, qr/403/);

fault("$_->[0] $_->[1]", aws_error($_->[1], 'Slow down', $_->[0]), '08006', 3, qr/$_->[1]/, keyring => 'patient')
  for [ 400, 'ThrottlingException' ], [ 400, 'RequestLimitExceeded' ], [ 500, 'InternalServiceError' ], [ 503, 'ServiceUnavailable' ];
fault($_, { status => $_, type => 'text/html', body => '<html>sorry</html>' }, '08006', 3, qr/$_/, keyring => 'patient') for 429, 500, 502, 503, 504;
fault('redirect', { status => $_, headers => { Location => $endpoint->url . '/elsewhere' } }, '08006', 1) for 301, 307;
is($endpoint->count(path => 'elsewhere'), 0, 'redirect: not followed');

fault('hang before the answer', { hang => 'before' }, '08006', 1, undef, keyring => 'hasty');
fault('hang in the middle of the body', { %{ secret($document) }, hang => 'body' }, '08006', 1, undef, keyring => 'hasty');
fault('slower than the timeout', { %{ secret($document) }, delay => 4 }, '08006', 1, undef, keyring => 'hasty');
fault('no answer', { close => 1 }, '08006|08001', 3);
fault('cut-off body', { %{ secret($document) }, cut => 100 }, '08006', 3);
fault('too great a Content-Length', { %{ secret($document) }, length => 100000, cut => 1000 }, '08006', 3);
fault('too small a Content-Length', { %{ secret($document) }, length => 100 }, '08006', 3);
fault('bad JSON', { %{ secret($document) }, body => '{"SecretString": S3cret}' }, '08006', 3);
fault('no JSON object', { %{ secret($document) }, body => '["S3cret"]' }, '\w{5}', $_) for 3;
fault('a captive portal', { type => 'text/html', body => '<html>log in</html>' }, '08006', 3);
fault('an answer without a secret', { %{ secret($document) }, body => '{"Name": "test", "VersionId": "1"}' }, '\w{5}', 1);
fault('a document with a fault', secret('{"S3cret": 1}'), '22023', 1);
fault('an empty document', secret('{}'), '22023', 1);
# What an earlier attempt met is over: nothing of it is said, nor read where it was.
for (aws_error('ThrottlingException', 'Slow down'), { close => 1 }, { status => 503, type => 'text/html', body => 'sorry' })
{
	unlike(fault('a failure, then a document with a fault', [ $_, secret('{"S3cret": 1}') ], '22023', 2, qr/the document is not a keyring/, keyring => 'patient'), qr/^(DETAIL|HINT):/m, 'a failure, then a document with a fault: nothing of the first');
}
my ($log) = slurp_file($node->logfile) =~ /(S3cret)/;
is($log, undef, 'what was wrong with a document or an answer is not shown');
my $start = time;
fault('a body of 100 MB', { size => 100_000_000 }, '54000', 1);
fault('an error with a body of 100 MB', { size => 100_000_000, status => 400 }, '54000', 1);

# Skewed clocks: the Date header tells the time, once.
my $skewed = aws_error('InvalidSignatureException', 'Signature expired: 20200101T000000Z is now earlier than 20200101T010000Z', 400, date => 7200);
$endpoint->rules([ { %get, answer => [ $skewed, secret($document) ] } ]);
$endpoint->forget;
is((said(ask_keyring('faulty')))[0], "$pseudonym\n", 'clock skew: it works');
@requests = $endpoint->requests;
is(scalar @requests, 2, 'clock skew: two requests');
sub seconds_of { return $_[0] =~ /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/ ? Time::Local::timegm($6, $5, $4, $3, $2 - 1, $1) : 0 }
my @dates = map { seconds_of($_->{headers}{'x-amz-date'}) } @requests;
cmp_ok(abs($dates[0] - time), '<', 60, 'clock skew: the first by our clock');
cmp_ok(abs($dates[1] - time - 7200), '<', 60, 'clock skew: the second by the Date header');
fault('clock skew that stays', $skewed, '28000|42501|08006', 2);
fault('clock skew by its own code', aws_error('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.', 403, date => -7200), '28000|42501|08006', 2);

# Retries that help.
$endpoint->rules([ { %get, answer => [ aws_error('ThrottlingException'), { close => 1 }, secret($document) ] } ]);
$endpoint->forget;
is((said(ask_keyring('patient')))[0], "$pseudonym\n", 'the third attempt may be the good one');
is($endpoint->count, 3, 'and is the third');

#
# TLS and connections
#
my $tls = Endpoint->new(tls => $certificates{good}, rules => \@good);
aws_keyring($node, 'tls', endpoint => $tls->url, ca_file => $ca);
is((said(ask_keyring('tls')))[0], "$pseudonym\n", 'TLS: ca_file');
aws_keyring($node, 'tls', endpoint => 'https://localhost:' . $tls->port, ca_file => $ca);
is((said(ask_keyring('tls')))[0], "$pseudonym\n", 'TLS: by name');
my @refused = ([ 'no such CA', $tls, undef ], [ 'another CA', $tls, "$folder/other.pem" ], [ 'a ca_file that is missing', $tls, "$folder/missing.pem" ],
	map { [ $_, Endpoint->new(tls => $certificates{$_}, rules => \@good), $ca ] } qw(wrong expired unknown));
my $has_directory = grep { m{/[0-9a-f]{8}\.\d+$} } map { glob "$_/*" } '/etc/ssl/certs', `openssl version -d` =~ /"(.*)"/ ? "$1/certs" : ();
for (@refused)
{
	my ($name, $at, $file) = @$_;

	$at->forget;
	aws_keyring($node, 'tls', endpoint => $at->url, ca_file => $file, timeout => '10s');
	my $began = time;
	my ($text, $seconds) = said(ask_keyring('tls'));
	note "$name: $text";
	like($text, qr/ERROR:  08001: /, "TLS, $name: 08001");
	is($at->count, 0, "TLS, $name: no request");
	# The first without a ca_file asks the system's directory of CAs, where there is one, and then once more the bundle.
	my $expected = 3 + ($has_directory && !$file);
	# One that the client gave up may still wait to be accepted; what does not speak TLS is not the server's.
	my $connections = sub { return grep { !/another protocol/ } $at->connections };
	for (1 .. 1800) { last if $connections->() >= $expected; sleep 0.1 }
	is(scalar $connections->(), $expected, "TLS, $name: one round of attempts") or diag join "\n", "from $began for $seconds s:", $at->connections;
}
my $plain = Endpoint->new(rules => \@good);
aws_keyring($node, 'tls', endpoint => 'https://127.0.0.1:' . $plain->port, timeout => '2s');
like((said(ask_keyring('tls')))[0], qr/ERROR:  0800[16]: /, 'TLS: none there');
is($plain->count, 0, 'TLS, none there: no request');
aws_keyring($node, 'closed', endpoint => $plain->url, timeout => '2s');
$plain->stop;
($text, my $seconds) = said(ask_keyring('closed'));
note $text;
like($text, qr/ERROR:  08001: /, 'a closed port: 08001');
cmp_ok($seconds, '<', 7, 'a closed port: in time');
aws_keyring($node, 'nameless', endpoint => 'https://no-such-host.invalid', timeout => '2s');
like((said(ask_keyring('nameless')))[0], qr/ERROR:  08001: .*no-such-host\.invalid/, 'a name without an address: 08001');

#
# Options
#
sub refused
{
	my ($options, $sqlstate, $name) = @_;

	like(error_of($node, 'postgres', "CREATE SERVER refused FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', $options)"), qr/^$sqlstate: /, "options: $name");
}
refused("region 'eu-west-1'", '22023', 'no secret_id');
refused("secret_id ''", '22023', 'an empty secret_id');
refused("secret_id 'a b'", '22023', 'a secret_id with a space');
refused("secret_id '" . 'x' x 2049 . "'", '22023', 'a long secret_id');
refused("secret_id 'a', region 'eu-west-1.evil.test/'", '22023', 'a region that is another host');
refused("secret_id 'a', $_", '22023', $_)
  for "endpoint 'http://192.0.2.1'", "endpoint 'http://example.com'", "endpoint 'http://localhost.evil.test'", "endpoint 'http://127.evil.test'", "endpoint 'http://127.0.0.1\@evil.test'",
  "endpoint 'ftp://127.0.0.1'", "endpoint 'https://'", "endpoint 'https://a/?b'", "endpoint 'https://a#b'", "endpoint 'https://user:password\@a'", "endpoint ''",
  "agent 'http://192.0.2.1:2773'", "ca_file 'relative.pem'", "timeout '1ms'", "timeout 'x'", "refresh_interval '0'", "stale_limit '-1'", "version_stage ''", "kms_key_id 'a b'", "profile E'a\\nb'";
refused("secret_id 'a', access_key_id 'x'", 'HV00D', 'no option is a secret');
refused("secret_id 'a', path '/x'", 'HV00D', q(another provider's option));
$node->safe_psql('postgres', "CREATE ROLE plain; GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO plain; GRANT pg_read_server_files TO plain; GRANT USAGE ON SCHEMA pseudo TO plain; ALTER SERVER staged OWNER TO plain; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO plain");
my $as_plain = "SET ROLE plain;";
like(error_of($node, 'postgres', "$as_plain CREATE SERVER refused FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 'a')"), qr/^42501: /, 'options: only superusers create one');
like(error_of($node, 'postgres', "$as_plain ALTER SERVER staged OPTIONS (SET secret_id 'b')"), qr/^42501: /, 'options: or alter one');
$endpoint->rules(\@good);
is($node->safe_psql('postgres', "$as_plain " . ask_keyring('staged')), $pseudonym, 'options: its owner uses it');
like(error_of($node, 'postgres', "$as_plain " . ask_keyring('pseudo')), qr/^42501: /, 'options: nobody else without USAGE');

#
# Numbers of requests
#
$endpoint->forget;
is($node->safe_psql('postgres', "SELECT count(DISTINCT pseudo.pseudonymize('x' || i, true)) FROM generate_series(1, 1000) i"), 1000, '1,000 rows');
is($endpoint->count, 1, '1,000 rows: one request');
$endpoint->forget;
$node->safe_psql('postgres', 'CREATE TABLE rows_ AS SELECT i::text AS v FROM generate_series(1, 300000) i; ALTER TABLE rows_ SET (parallel_workers = 2); ANALYZE rows_');
my $plan = $node->safe_psql('postgres', "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
	EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT count(pseudo.pseudonymize(v)) FROM rows_");
SKIP:
{
	skip 'no two workers', 1 unless $plan =~ /Workers Launched: 2/;
	cmp_ok($endpoint->count, '<=', 3, 'a parallel query with 2 workers: at most 3 requests');
	diag 'requests of a parallel query with 2 workers: ' . $endpoint->count;
}
$endpoint->forget;
my $script = "$folder/one.sql";
append_to_file($script, "SELECT pseudo.pseudonymize('x') IS NULL;\n");
my $bench;
ok(IPC::Run::run([ 'pgbench', '-n', '-C', '-c', 10, '-j', 1, '-t', 10, '-f', $script, '-d', $node->connstr('postgres') ], '>', \$bench, '2>&1'), '100 new connections') or diag $bench;
is($endpoint->count, 100, '100 new connections: 100 requests');

# A provider that is dead: every row fails, one round of attempts.
$endpoint->rules([ { %get, answer => { status => 503 } } ]);
$endpoint->forget;
like((said("SELECT count(pseudo.pseudonymize('x' || i, keyring => 'faulty')) FROM generate_series(1, 1000) i"))[0], qr/ERROR:  08006: /, '1,000 rows of a dead provider');
is($endpoint->count, 3, '1,000 rows of a dead provider: one round of attempts');
$endpoint->forget;
my $loop = q{DO $$ DECLARE n int := 0; BEGIN FOR i IN 1 .. 1000 LOOP BEGIN PERFORM pseudo.pseudonymize('x', keyring => 'faulty'); EXCEPTION WHEN connection_failure OR sqlclient_unable_to_establish_sqlconnection THEN n := n + 1; END; END LOOP; RAISE NOTICE '% caught', n; END $$};
($text, $seconds) = said($loop);
like($text, qr/1000 caught/, '1,000 errors caught') or diag $text;
is($endpoint->count, 3, '1,000 errors caught: one round of attempts');

#
# Dead while keys are cached
#
$endpoint->rules(\@good);
aws_keyring($node, 'brief', endpoint => $endpoint->url, refresh_interval => '1s');
my $s = session($node);
my $other = session($node);
my $pid = ask($s, 'SELECT pg_backend_pid()');
is(ask($s, ask_keyring('brief')), $pseudonym, 'cached: loaded');
for my $dead ({ hang => 'before' }, { status => 503 }, { %{ secret($document) }, hang => 'body' })
{
	my ($name) = map { $dead->{hang} ? "hang $dead->{hang}" : $dead->{status} } 1;

	sleep 1.2;
	$endpoint->rules([ { %get, answer => $dead } ]);
	$endpoint->forget;
	$start = time;
	is(ask($s, ask_keyring('brief')), $pseudonym, "cached, $name: the keys serve on");
	$seconds = time - $start;
	note sprintf 'cached, %s: %.2f s', $name, $seconds;
	cmp_ok($seconds, '<', 3, "cached, $name: about a second");
	cmp_ok($endpoint->count, '>=', 1, "cached, $name: asked");
	$endpoint->rules(\@good);
	is(ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief'); " . ask_keyring('brief')), $pseudonym, "cached, $name: and it ends");
}

#
# Cancelling
#
sub state_of { my @fd = glob "/proc/$pid/fd/*"; my @tasks = glob "/proc/$pid/task/*"; return (scalar @fd, scalar @tasks) }

sub sent { my ($sql) = @_; $s->{out} = $s->{err} = ''; $s->{in} .= "$sql\n;\n"; $s->{run}->pump_nb }

# Wait until something holds, for at most 10 s.
sub wait_until
{
	my ($what) = @_;

	for (my $end = time + 10; time < $end; sleep 0.005)
	{
		$s->{run}->pump_nb if $s->{run}->pumpable;
		return 1 if $what->();
	}
	return 0;
}

# Cancel a statement of session s that waits, in each way; what it leaves behind is as it was before.
sub cancelled
{
	my ($name, $keyring, $waits, $more) = @_;
	my $sql = ask_keyring($keyring);
	my $limit = ($ci ? 2 : 1) + ($more // 0);

	ask($s, ask_keyring('pseudo'));
	my ($files, $tasks) = state_of();
	for my $way ('statement_timeout', 'pg_cancel_backend')
	{
		ask($s, 'SET statement_timeout = ' . ($way eq 'statement_timeout' ? 700 : 0));
		my $start = time + 0.7;
		$waits->();				# what the statement before has left: of two threads, one may tell late
		sent($sql);
		ok(wait_until($waits), "$name, $way: it waits");
		if ($way eq 'pg_cancel_backend')
		{
			like(ask($other, "SELECT wait_event_type || ' ' || wait_event FROM pg_stat_activity WHERE pid = $pid"), qr/^(Extension|IPC) \w/, "$name: a wait event");
			$start = time;
			ask($other, "SELECT pg_cancel_backend($pid)");
		}
		ok(wait_until(sub { $s->{err} =~ /ERROR/ }), "$name, $way: it ends");
		my $took = time - $start;
		like($s->{err}, qr/ERROR:  57014: /, "$name, $way: 57014");
		cmp_ok($took, '<', $limit, "$name, $way: at once");
		diag sprintf '%s, %s: %.0f ms', $name, $way, 1000 * $took;
		ask($s, 'RESET statement_timeout');
		is(ask($s, ask_keyring('pseudo')), $pseudonym, "$name, $way: the backend goes on");
		wait_until(sub { my ($f, $t) = state_of(); $f <= $files && $t <= $tasks });
		is(join(' ', state_of()), "$files $tasks", "$name, $way: no file and no thread left");
	}
	$waits->();
	sent($sql);
	ok(wait_until($waits), "$name, pg_terminate_backend: it waits");
	my $start = time;
	ask($other, "SELECT pg_terminate_backend($pid)");
	ok(wait_until(sub { !-d "/proc/$pid" }), "$name, pg_terminate_backend: it ends");
	cmp_ok(time - $start, '<', $limit, "$name, pg_terminate_backend: at once");
	diag sprintf '%s, pg_terminate_backend: %.0f ms', $name, 1000 * (time - $start);
	$s->{run}->finish;
	like($s->{err}, qr/FATAL:  57P01: /, "$name, pg_terminate_backend: 57P01");
	$s = session($node);
	$pid = ask($s, 'SELECT pg_backend_pid()');
}

my $slow = Endpoint->new;
aws_keyring($node, 'slow', endpoint => $slow->url, timeout => '60s');
for my $hang ('before', 'body')
{
	$slow->rules([ { %get, answer => { %{ secret($document) }, hang => $hang } } ]);
	cancelled("hang $hang", 'slow', sub { my $n = $slow->count; $slow->forget if $n; $n });
}
# In the pauses between attempts, too.
$slow->rules([ { %get, answer => { status => 503 } } ]);
ask($s, 'SET statement_timeout = 5');
like(ask($s, ask_keyring('slow')), qr/^(57014|08006): /, 'a cancel in between');
ask($s, 'RESET statement_timeout');
is(ask($s, ask_keyring('pseudo')), $pseudonym, 'a cancel in between: the backend goes on');
leave($s);
leave($other);

#
# A name that is never resolved: getaddrinfo() by a shim, under LD_PRELOAD
#
SKIP:
{
	my $why = no_shims();

	skip "no shim for getaddrinfo: $why", 1 if $why;
	my $shim = compile_shim($folder, 'shim', <<'C_END', "-DMARK=\"$folder/resolving\"");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <sys/types.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

/* The name "hang.test" takes three seconds, and then has no address. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	int			(*real) (const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

	if (node && strcmp(node, "hang.test") == 0)
	{
		close(open(MARK, O_CREAT | O_WRONLY, 0600));
		sleep(3);
		return EAI_AGAIN;
	}
	return real(node, service, hints, res);
}
C_END
	with_environment($node, { LD_PRELOAD => $shim });
	aws_keyring($node, 'hanging', endpoint => 'https://hang.test', timeout => '60s');
	$s = session($node);
	$other = session($node);
	$pid = ask($s, 'SELECT pg_backend_pid()');
	# The thread that resolves gets none of the server's signals.
	my %server = map { $_ => 1 } glob "/proc/$pid/task/*";
	sent(ask_keyring('hanging'));
	ok(wait_until(sub { unlink "$folder/resolving" }), 'a hanging look-up: it waits');
	my @threads = grep { !$server{$_} } glob "/proc/$pid/task/*";
	like(scalar @threads, qr/^[12]$/, 'a hanging look-up: a thread, or one each for IPv4 and IPv6 by libcurl from 8.20 on');
	for my $signal (@threads ? (POSIX::SIGINT(), POSIX::SIGTERM(), POSIX::SIGALRM(), POSIX::SIGUSR1(), POSIX::SIGUSR2(), POSIX::SIGHUP()) : ())
	{
		my @blocked = grep { my ($mask) = slurp_file("$_/status") =~ /^SigBlk:\s+([0-9a-f]+)/m; hex(substr $mask, -8) >> ($signal - 1) & 1 } @threads;
		is(scalar @blocked, scalar @threads, "a hanging look-up: signal $signal is blocked in them");
	}
	ask($other, "SELECT pg_cancel_backend($pid)");
	ok(wait_until(sub { $s->{err} =~ /57014/ }), 'a hanging look-up: cancelled');
	ask($s, 'SELECT 1');
	wait_until(sub { @{ [ glob "/proc/$pid/task/*" ] } == keys %server });
	# Without CURLOPT_QUICK_EXIT (before 7.87) libcurl waits for the thread.
	my ($major, $minor) = `curl-config --version 2>/dev/null` =~ /^libcurl (\d+)\.(\d+)/;
	my $quick = !defined $major || $major > 7 || $minor >= 87;
	cancelled('a hanging look-up', 'hanging', sub { unlink "$folder/resolving" }, $quick ? 0 : 4);
	aws_keyring($node, 'hanging', endpoint => 'https://hang.test', timeout => '500ms');
	$start = time;
	like(ask($s, ask_keyring('hanging')), qr/^0800[16]: /, 'a hanging look-up: timeout');
	cmp_ok(time - $start, '<', $quick ? 3 : 7, 'a hanging look-up: in time');
	leave($s);
	leave($other);
}

#
# Proxies, and what the environment may not do
#
my $proxy = Endpoint->new(rules => [ { method => 'CONNECT', path => '^sm\.test:443$', tunnel => '127.0.0.1:' . $tls->port } ]);
aws_keyring($node, 'proxied', endpoint => 'https://sm.test', ca_file => $ca, timeout => '2s');
aws_keyring($node, 'tls', endpoint => $tls->url, ca_file => $ca);
for my $name ('HTTPS_PROXY', 'https_proxy')
{
	with_environment($node, { $name => $proxy->url });
	$_->forget for $proxy, $tls, $endpoint;
	is((said(ask_keyring('proxied')))[0], "$pseudonym\n", "$name: it works");
	is($proxy->count(method => 'CONNECT', path => '^sm\.test:443$'), 1, "$name: used");
	$proxy->forget;
	is((said(ask_keyring($_)))[0], "$pseudonym\n", "$name: $_ on loopback works") for 'tls', 'pseudo';
	is($proxy->count, 0, "$name: never for loopback");
}
with_environment($node, { HTTPS_PROXY => $proxy->url, NO_PROXY => 'elsewhere.test,sm.test' });
like((said(ask_keyring('proxied')))[0], qr/ERROR:  08001: /, 'NO_PROXY: not resolved');
is($proxy->count, 0, 'NO_PROXY: no proxy');
with_environment($node, { HTTPS_PROXY => 'http://127.0.0.1:1', HTTP_PROXY => $proxy->url, ALL_PROXY => $proxy->url });
like((said(ask_keyring('proxied')))[0], qr/ERROR:  0800[16]: /, 'a proxy that is not there');
for my $name ('AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_SECRETS_MANAGER')
{
	with_environment($node, { $name => 'http://192.0.2.1' });
	aws_keyring($node, 'named', secret_id => 'test');
	my ($text, $seconds) = said(ask_keyring('named'));
	note $text;
	like($text, qr/ERROR:  (?!XX)\w{5}: /, "$name: plain http to another host is refused");
	like($text, qr/https/, "$name: with the reason");
	cmp_ok($seconds, '<', 2, "$name: without asking");
}

#
# A backend that needs no aws keyring has no libcurl
#
with_environment($node, {});
add_keyring($node, 'of_a_file', $document);
$s = session($node);
$pid = ask($s, 'SELECT pg_backend_pid()');
is(ask($s, ask_keyring('of_a_file')), $pseudonym, 'libcurl: a keyring of a file');
SKIP:
{
	skip 'needs /proc', 2 unless -r "/proc/$pid/maps";
	unlike(slurp_file("/proc/$pid/maps"), qr/libcurl|pseudo_aws/, 'libcurl: not loaded');
	ask($s, ask_keyring('pseudo'));
	like(slurp_file("/proc/$pid/maps"), qr/libcurl/, 'libcurl: loaded by the first aws keyring');
}
leave($s);
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|ERROR:  XX/, 'nobody fell');

$node->stop;
done_testing();
