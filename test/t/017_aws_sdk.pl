# What the AWS SDKs do with the same files and environment, the provider aws does too: the order of sources, profiles, regions of STS, retries; and
# what it does not do, it says.  The cases are those on which botocore and the SDK for Rust agree, unless a comment says otherwise.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my $folder = PostgreSQL::Test::Utils::tempdir;
my ($config, $credentials, $process) = ("$folder/config", "$folder/credentials", "$folder/process.sh");
my %certificates = make_certificates($folder);
my $role = 'arn:aws:iam::123456789012:role';

clean_environment("$folder/home");
my ($manager, $sts, $host) = map { Endpoint->new } 1 .. 3;
my %get = (method => 'POST', target => 'secretsmanager.GetSecretValue');
my @good = ({ %get, answer => secret($document) });
my @role = sts_rules(id => 'ASIAROLE', secret => 'role/secret', token => 'role-token');
$manager->rules(\@good);
$sts->rules(\@role);

my $node = start_server('sdk', $Pseudo::each_asks);
my @at = (endpoint => $manager->url);
aws_keyring($node, 'plain', @at, region => 'eu-west-1');
aws_keyring($node, 'p_' . $_, @at, region => 'eu-west-1', profile => $_)
  for qw(process tool token half halves a b self lonely deep chain inner web asks quiet);

put_file($process, qq(#!/bin/sh\necho '{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "process/secret"}'\n));
chmod 0700, $process;
put_file("$folder/token", 'eyJ.jwt.sig');

# Start the server again, with these variables and the files of this test.
sub environment
{
	my (%variables) = @_;

	with_environment($node, { AWS_CONFIG_FILE => $config, AWS_SHARED_CREDENTIALS_FILE => $credentials, AWS_ENDPOINT_URL_STS => $sts->url, %variables });
}

sub files { put_file($config, $_[0] // ''); put_file($credentials, $_[1] // '') }

# Static keys, as lines of a profile.
sub keys_of { return join '', map { "aws_access_key_id = AKIA$_\naws_secret_access_key = $_/secret\n" } @_ }

sub said
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 0);

	return "$out\n$err";
}

# Who signed a request: the access key id, the region, the session token.
sub signer
{
	my ($request) = @_;
	my $headers = $request->{headers};

	return 'unsigned' unless ($headers->{authorization} // '') =~ m{ Credential=([^/]+)/\d{8}/([^/]+)/};
	return join ' ', $1, $2, grep { defined } $headers->{'x-amz-security-token'};
}

# Who signed the last request for the secret, or what the error says; and who signed those to STS.
sub used
{
	my ($keyring) = @_;

	$_->forget for $manager, $sts;
	my $text = said("SELECT pseudo.pseudonymize('x', true, '', '$keyring')");
	return $text if $text !~ /^\Q$pseudonym\E$/m;
	return signer(($manager->requests(%get))[-1]);
}

sub asked_sts { return join ', ', map { signer($_) } $sts->requests }

# What the log says since the last time.
my $read = 0;
sub logged
{
	my $log = slurp_file($node->logfile);
	my $news = substr $log, $read;

	$read = length $log;
	return $news;
}

#
# Sources within a profile
#
environment();
files("[profile process]\ncredential_process = $process\n" . keys_of('CONFIG'));
is(used('p_process'), 'AKIAPROCESS eu-west-1', 'a credential_process goes before the keys of the config file');
files("[profile process]\n" . keys_of('CONFIG') . "credential_process = $process\n");
is(used('p_process'), 'AKIAPROCESS eu-west-1', 'in whatever order they are');
# Here the SDK for Rust does not agree.
files("[profile process]\ncredential_process = $process\n", "[process]\n" . keys_of('FILE'));
is(used('p_process'), 'AKIAFILE eu-west-1', 'the keys of the credentials file go before it, as in botocore');
files("[profile p]\nrole_arn = $role/r\nsource_profile = tool\n[profile tool]\n" . keys_of('CONFIG') . "credential_process = $process\n");
is(used('p_tool'), 'AKIAPROCESS eu-west-1', 'and in a source_profile');
files("[profile tool]\nlogin_session = arn:x\n", "[tool]\n" . keys_of('FILE'));
is(used('p_tool'), 'AKIAFILE eu-west-1', 'the keys of the credentials file go before a login');

# [default]
for my $order ([ 0, 1 ], [ 1, 0 ])
{
	my @sections = ("[default]\nregion = us-east-2\naws_session_token = bare\n" . keys_of('BARE'), "[profile default]\n" . keys_of('PREFIXED'));

	files(join '', @sections[@$order]);
	is(used('plain'), 'AKIAPREFIXED eu-west-1', "[profile default] replaces [default] whole, order @$order");
}
files("[profile default]\n" . keys_of('PREFIXED'), "[default]\n" . keys_of('FILE'));
is(used('plain'), 'AKIAFILE eu-west-1', 'which concerns the config file alone');

# A session token goes with its own keys
files("[profile token]\n" . keys_of('CONFIG') . "aws_session_token = config-token\n", "[token]\n" . keys_of('FILE'));
is(used('p_token'), 'AKIAFILE eu-west-1', 'a session token of the config file does not go with keys of the credentials file');
files("[profile token]\n" . keys_of('CONFIG'), "[token]\naws_session_token = file-token\n");
is(used('p_token'), 'AKIACONFIG eu-west-1', 'nor the other way round');
files("[profile token]\n" . keys_of('CONFIG') . "[profile token]\naws_session_token = config-token\n");
is(used('p_token'), 'AKIACONFIG eu-west-1 config-token', 'two sections of one file and name are one');
files("[profile halves]\naws_secret_access_key = config/secret\n", "[halves]\naws_access_key_id = AKIAFILE\n");
like(used('p_halves'), qr/ERROR:  28000: .*no aws_secret_access_key/s, 'half a key in each file is none');

# Profiles that lead to one another
my $a = "[profile a]\nrole_arn = $role/a\nsource_profile = b\n";
my $b = "[profile b]\nrole_arn = $role/b\nsource_profile = a\n";
files("$a$b");
like(used('p_a'), qr/ERROR:  28000: .*leads back/s, 'a loop');
files($a . keys_of('A') . $b);
like(used('p_a'), qr/ERROR:  28000: .*leads back/s, 'a loop with keys, from the profile that has them');
is(asked_sts() . $manager->count, '0', 'asks nobody');
is(used('p_b'), 'ASIAROLE eu-west-1 role-token', 'from the other, the keys end it');
is(asked_sts(), 'AKIAA eu-west-1', 'and sign');
files("[profile self]\nrole_arn = $role/self\nsource_profile = self\n" . keys_of('SELF'));
is(used('p_self') . ': ' . asked_sts(), 'ASIAROLE eu-west-1 role-token: AKIASELF eu-west-1', 'a profile may be the source of its own role, if it has keys');
files("[profile lonely]\nrole_arn = $role/self\nsource_profile = lonely\n");
like(used('p_lonely'), qr/ERROR:  28000: .*leads back/s, 'but not without');
files("[profile deep]\nrole_arn = $role/deep\nsource_profile = middle\n[profile middle]\nrole_arn = $role/middle\nsource_profile = end\n" . keys_of('MIDDLE') . "[profile end]\n" . keys_of('END'));
is(used('p_deep') . ': ' . asked_sts(), 'ASIAROLE eu-west-1 role-token: AKIAMIDDLE eu-west-1', 'the keys of a source_profile go before its role');

#
# The region of STS
#
my $chain = "[profile asks]\nregion = us-west-1\nrole_arn = $role/outer\nsource_profile = quiet\n[profile quiet]\nrole_arn = $role/inner\nsource_profile = base\n[profile base]\nregion = sa-east-1\n" . keys_of('BASE')
  . "[profile web]\nrole_arn = $role/web\nweb_identity_token_file = $folder/token\n[default]\nregion = ca-central-1\n";
files($chain);
is(used('p_asks') . ': ' . asked_sts(), 'ASIAROLE eu-west-1 role-token: AKIABASE us-west-1, ASIAROLE us-west-1 role-token', 'STS: the region of the profile that asks for the role, not that of its source');
is(used('p_quiet') . ': ' . asked_sts(), 'ASIAROLE eu-west-1 role-token: AKIABASE eu-west-1', q(STS: the secret's region is the last));
# Two addresses of one host name tell the region of an unsigned request.
my $proxy = Endpoint->new(rules => [ { answer => { status => 502, body => 'no' } } ]);
sub connected { used($_[0]); return join ' ', map { $_->{path} =~ /^(sts\..*):443$/ ? $1 : () } ($proxy->requests)[0] }
environment(AWS_REGION => 'ap-south-1', AWS_DEFAULT_REGION => 'ap-east-1');
is(used('p_asks') . ': ' . asked_sts(), 'ASIAROLE eu-west-1 role-token: AKIABASE ap-south-1, ASIAROLE ap-south-1 role-token', 'STS: AWS_REGION goes first');
my %web = (AWS_WEB_IDENTITY_TOKEN_FILE => "$folder/token", AWS_ROLE_ARN => "$role/irsa", AWS_ENDPOINT_URL_STS => undef, HTTPS_PROXY => $proxy->url, AWS_MAX_ATTEMPTS => 1);
environment(%web, AWS_REGION => 'ap-south-1');
is(connected('plain'), 'sts.ap-south-1.amazonaws.com', q(STS, web identity: AWS_REGION, not the secret's));
$proxy->forget;
is(connected('p_web'), 'sts.ap-south-1.amazonaws.com', q(STS, a profile's web identity: likewise));
environment(%web);
$proxy->forget;
is(connected('plain'), 'sts.ca-central-1.amazonaws.com', q(STS, web identity: then the profile's));

#
# Source credentials that STS calls expired, or refuses
#
sub credentials_answers { return map { { type => 'application/json', body => credentials_document("ASIA$_", "secret$_", "token$_", 3600) } } @_ }
sub sts_error { return { status => $_[1] // 403, type => 'text/xml', body => "<ErrorResponse><Error><Type>Sender</Type><Code>$_[0]</Code><Message>no</Message></Error></ErrorResponse>" } }
my $by_container = "[profile chain]\nrole_arn = $role/chain\ncredential_source = EcsContainer\n";
files($by_container);
environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => $host->url . '/c');
my $use = "SELECT pseudo.pseudonymize('x', true, '', 'p_chain')";
my $refresh = "SELECT pseudo.pseudo_refresh_keyring('p_chain')";
$host->rules([ { answer => [ credentials_answers(1 .. 9) ] } ]);
$sts->rules([ { times => 1, answer => sts_error('ExpiredTokenException') }, @role ]);
$_->forget for $sts, $host;
my $s = session($node);
is(ask($s, $use), $pseudonym, 'a chain: source credentials that STS calls expired');
is($host->count . ': ' . asked_sts(), '2: ASIA1 eu-west-1 token1, ASIA2 eu-west-1 token2', 'are renewed, once');
leave($s);
$sts->rules([ { answer => sts_error('ExpiredTokenException') } ]);
$_->forget for $sts, $host;
$host->rules([ { answer => [ credentials_answers(1 .. 9) ] } ]);
$s = session($node);
like(ask($s, $use), qr/^28000: .*ExpiredToken/, 'and where those are no better');
is(asked_sts(), 'ASIA1 eu-west-1 token1, ASIA2 eu-west-1 token2', 'not again');
$sts->rules(\@role);
$sts->forget;
ask($s, $refresh);
is(asked_sts(), 'ASIA3 eu-west-1 token3', 'but forgotten: the next attempt asks for new ones');
leave($s);
$sts->rules([ { times => 1, answer => sts_error('AccessDenied') }, @role ]);
$sts->forget;
$s = session($node);
like(ask($s, $use), qr/^42501: .*AccessDenied/, 'refused by STS');
ask($s, $refresh);
is(scalar(() = asked_sts() =~ /ASIA(\d)/g), 2, 'they are forgotten:');
unlike(asked_sts(), qr/ASIA(\d) .*ASIA\1 /, 'the next attempt asks for others');
is(ask($s, $use), $pseudonym, 'and is served');
leave($s);

#
# Files and profiles that are not as they should be: never another identity, never a public endpoint
#
my %keys = (AWS_ACCESS_KEY_ID => 'AKIAENVIRONMENT', AWS_SECRET_ACCESS_KEY => 'environment/secret');
aws_keyring($node, 'open_', region => 'eu-west-1');
environment(%keys, HTTPS_PROXY => $proxy->url);
$proxy->forget;
files("[default]\nendpoint_url = @{[$manager->url]}\n");
is(used('open_'), 'AKIAENVIRONMENT eu-west-1', 'a configured endpoint');
files("[default]\nendpoint_url = @{[$manager->url]}\nthis is no setting\n");
like(used('open_'), qr/ERROR:  28000: .*configuration files.*Line 3/s, 'a line that is none, though the keys are in the environment');
files("[default]\n", "no section = 1\n");
like(used('open_'), qr/ERROR:  28000: .*Line 1 of file "\Q$credentials\E"/s, 'the same in the credentials file');
unlink $config, $credentials;
mkdir $config;
like(used('open_'), qr/ERROR:  28000: .*Could not read file "\Q$config\E"/s, 'a file that cannot be read');
rmdir $config;
put_file("$folder/loop", '');
symlink $config, $config;
like(used('open_'), qr/ERROR:  28000: .*Could not open file "\Q$config\E"/s, 'one that cannot be opened');
unlink $config;
is($proxy->count, 0, 'nothing went to the public endpoint');
files("[default]\nendpoint_url = @{[$manager->url]}\n");
for my $variable (qw(AWS_PROFILE AWS_DEFAULT_PROFILE))
{
	environment(%keys, HTTPS_PROXY => $proxy->url, $variable => 'misspelt');
	like(used('open_'), qr/ERROR:  28000: .*profile "misspelt" does not exist.*$variable/s, "$variable names no profile");
}
is($proxy->count, 0, 'nothing went to the public endpoint');

#
# Settings
#
files("[profile first]\n" . keys_of('FIRST') . "[profile second]\n" . keys_of('SECOND') . "[default]\n" . keys_of('DEFAULT'));
environment(AWS_DEFAULT_PROFILE => 'second');
is(used('plain'), 'AKIASECOND eu-west-1', 'AWS_DEFAULT_PROFILE');
logged();
environment(AWS_DEFAULT_PROFILE => 'second', AWS_PROFILE => 'first');
is(used('plain'), 'AKIAFIRST eu-west-1', 'AWS_PROFILE goes before it');
like(logged(), qr/LOG: .*not supported.*AWS_DEFAULT_PROFILE/, 'and the log says that it does not count');

my $tls = Endpoint->new(tls => $certificates{good}, rules => \@good);
aws_keyring($node, 'tls', endpoint => $tls->url, region => 'eu-west-1');
aws_keyring($node, 'tls_own', endpoint => $tls->url, region => 'eu-west-1', ca_file => "$folder/other.pem");
sub trusts { return said("SELECT pseudo.pseudonymize('x', true, '', '$_[0]')") =~ /^\Q$pseudonym\E$/m ? 1 : 0 }
environment(%keys);
files();
is(trusts('tls'), 0, 'TLS: the CA is not one of the system');
files("[default]\nca_bundle = $folder/ca.pem\n");
is(trusts('tls'), 1, 'ca_bundle of the profile');
is(trusts('tls_own'), 0, 'the option ca_file goes first');
environment(%keys, AWS_CA_BUNDLE => "$folder/other.pem");
is(trusts('tls'), 0, 'AWS_CA_BUNDLE goes before the profile');
files();
environment(%keys, AWS_CA_BUNDLE => "$folder/ca.pem");
is(trusts('tls'), 1, 'AWS_CA_BUNDLE');

# How often
$manager->rules([ { %get, answer => { status => 503, body => '' } } ]);
files("[default]\nmax_attempts = 2\n");
used('plain');
is($manager->count, 2, 'max_attempts of the profile');
environment(%keys, AWS_MAX_ATTEMPTS => 5);
used('plain');
is($manager->count, 5, 'AWS_MAX_ATTEMPTS goes before it');
files();
environment(%keys, AWS_MAX_ATTEMPTS => 1);
used('plain');
is($manager->count, 1, 'AWS_MAX_ATTEMPTS = 1');
for ([ AWS_MAX_ATTEMPTS => 'many' ], [ AWS_MAX_ATTEMPTS => 0 ], [ AWS_RETRY_MODE => 'fast' ], [ AWS_METADATA_SERVICE_TIMEOUT => '1s' ], [ AWS_METADATA_SERVICE_NUM_ATTEMPTS => -1 ])
{
	environment(%keys, @$_);
	like(used('plain'), qr/ERROR:  22023: .*invalid value in environment variable $_->[0]/s, "$_->[0] = $_->[1]");
	is($manager->count, 0, 'asks nobody');
}

# Who asks
$manager->rules(\@good);
environment(%keys, AWS_SDK_UA_APP_ID => 'crm (test)');
used('plain');
like(($manager->requests)[0]{headers}{'user-agent'}, qr{^pseudo/\S+ postgresql/\d+ app/crm--test-$}, 'AWS_SDK_UA_APP_ID');
unlike(logged(), qr/not supported/, 'nothing to say');
environment(%keys, AWS_RETRY_MODE => 'adaptive', AWS_SECURITY_TOKEN => 'hidden', AWS_STS_REGIONAL_ENDPOINTS => 'legacy', AWS_EXECUTION_ENV => 'x');
files("[default]\nsdk_ua_app_id = profile-app\ntcp_keepalive = hidden\n");
$s = session($node);
logged();
$manager->forget;
ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'plain'); SELECT pseudo.pseudo_refresh_keyring('plain')");
like(($manager->requests)[0]{headers}{'user-agent'}, qr{ app/profile-app$}, 'sdk_ua_app_id');
my @lines = grep { /not supported/ } split /\n/, logged();
is(scalar @lines, 1, 'what is not supported: logged once');
like($lines[0], qr/\Q$_\E/, "it is named: $_") for 'AWS_SECURITY_TOKEN', 'AWS_STS_REGIONAL_ENDPOINTS', 'retry mode "adaptive"', 'tcp_keepalive of profile "default"';
unlike($lines[0], qr/hidden|AWS_EXECUTION_ENV/, 'no value, and nothing that concerns others');
leave($s);
environment(%keys, AWS_CONFIG_FILE => "$folder/nowhere");
used('plain');
like(logged(), qr/not supported.*AWS_CONFIG_FILE \(there is no such file\)/, 'a file that is named and is not there');

# The instance metadata service
my @instance = imds_rules(role => 'host-role', credentials => credentials_document('ASIAINSTANCE', 'instance/secret', 'instance-token'));
my %metadata = (AWS_EC2_METADATA_DISABLED => undef, AWS_EC2_METADATA_SERVICE_ENDPOINT => $host->url);
files();
environment(%metadata, AWS_EC2_INSTANCE_PROFILE_NAME => 'host-role');
$host->rules(\@instance);
$host->forget;
is(used('plain'), 'ASIAINSTANCE eu-west-1 instance-token', 'AWS_EC2_INSTANCE_PROFILE_NAME');
is($host->count(path => 'security-credentials/$'), 0, 'is not asked for');
like(($host->requests)[0]{headers}{'user-agent'}, qr/^pseudo/, 'a User-Agent for the metadata service, too');
$host->rules([ { method => 'PUT', answer => { status => 500, body => '' } } ]);
environment(%metadata, AWS_METADATA_SERVICE_NUM_ATTEMPTS => 4);
$host->forget;
used('plain');
is($host->count, 4, 'AWS_METADATA_SERVICE_NUM_ATTEMPTS');
files("[default]\nmetadata_service_num_attempts = 3\nec2_instance_profile_name = host-role\n");
environment(%metadata);
$host->forget;
used('plain');
is($host->count, 3, 'metadata_service_num_attempts');
$host->rules([ { method => 'PUT', answer => { delay => 1.5, type => 'text/plain', body => 'imds-session-token' } }, @instance ]);
like(used('plain'), qr/ERROR:  28000: .*metadata/s, 'an answer after 1.5 s');
files("[default]\nmetadata_service_timeout = 20\n");
$node->safe_psql('postgres', q(ALTER SERVER plain OPTIONS (ADD timeout '60s')));
is(used('plain'), 'ASIAINSTANCE eu-west-1 instance-token', 'metadata_service_timeout');

#
# Retries
#
files();
environment(%keys);
aws_keyring($node, 'patient', @at, region => 'eu-west-1', timeout => '20s');
aws_keyring($node, 'hasty', @at, region => 'eu-west-1', timeout => '2s');

# The pauses between the requests of some loads, in all.
sub pauses
{
	my ($answer, $loads) = @_;
	my $sum = 0;

	$manager->rules([ { %get, answer => $answer } ]);
	for (1 .. $loads)
	{
		used('patient');
		my @times = map { $_->{time} } $manager->requests;
		$sum += $times[-1] - $times[0];
	}
	return $sum;
}
my ($transient, $throttled) = (pauses(aws_error('InternalServiceError', 'x', 500), 5), pauses(aws_error('ThrottlingException', 'slow'), 5));
cmp_ok($throttled, '>', 2 * $transient, sprintf 'throttling is given more time (%.2f s) than what passes by itself (%.2f s)', $throttled, $transient);
$manager->rules([ { %get, times => 1, answer => aws_error('InternalServiceError', 'x', 500, headers => { 'x-amz-retry-after' => 900 }) }, @good ]);
is(used('patient'), 'AKIAENVIRONMENT eu-west-1', 'x-amz-retry-after');
my @times = map { $_->{time} } $manager->requests;
cmp_ok($times[1] - $times[0], '>=', 0.9, 'is waited for');
for my $value ('-5', 'soon', '99999999999999999999')
{
	$manager->rules([ { %get, times => 1, answer => aws_error('InternalServiceError', 'x', 500, headers => { 'x-amz-retry-after' => $value }) }, @good ]);
	is(used('patient'), 'AKIAENVIRONMENT eu-west-1', "x-amz-retry-after: $value");
}
$manager->rules([ { %get, answer => aws_error('InternalServiceError', 'x', 500, headers => { 'x-amz-retry-after' => 4000 }) } ]);
like(used('hasty'), qr/ERROR:  08006: .*InternalServiceError/, 'longer than there is time: the error is the answer');
is($manager->count, 1, 'at once');
$manager->rules([ { %get, times => 1, answer => aws_error('InternalServiceError', 'the real error', 500) }, { %get, answer => { hang => 'before' } } ]);
my $text = used('hasty');
like($text, qr/ERROR:  08006: .*InternalServiceError: the real error/, 'what AWS said is not hidden by an attempt that had no time left');
like($text, qr/DETAIL: .*Attempt 2 was not answered/s, 'which is told beside');
# A clock that is an hour ahead, as AWS's Date header shows.
$manager->rules([ { %get, times => 1, answer => aws_error('RequestInTheFuture', 'x', 403, date => -3600) }, @good ]);
is(used('plain'), 'AKIAENVIRONMENT eu-west-1', 'RequestInTheFuture');
my @dates = map { $_->{headers}{'x-amz-date'} } $manager->requests;
is(scalar @dates, 2, 'is asked again');
cmp_ok($dates[1], 'lt', $dates[0], 'with the clock put right');

#
# The agent
#
my $agent = Endpoint->new;
my $refuses = { answer => { status => 403, body => 'Bad Token' } };
my $knows = { method => 'GET', headers => { 'x-aws-parameters-secrets-token' => '^agent-token$' }, answer => secret($document) };
aws_keyring($node, 'by_agent', agent => $agent->url);
put_file("$folder/agent-token", "agent-token\n");
$agent->rules([ $knows, $refuses ]);
environment(%keys, AWS_SESSION_TOKEN => 'meant-for-aws', AWS_CONTAINER_AUTHORIZATION_TOKEN => "file://$folder/agent-token");
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/^\Q$pseudonym\E$/m, 'agent: AWS_SESSION_TOKEN is no token of its, so the next place is tried');
is($agent->count, 2, 'agent: by two requests');
environment(%keys, AWS_TOKEN => 'another', AWS_CONTAINER_AUTHORIZATION_TOKEN => "file://$folder/agent-token");
$agent->forget;
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/ERROR:  28000: .*403/, 'agent: AWS_TOKEN is meant for it');
is($agent->count, 1, 'agent: no other is tried');
environment(%keys, AWS_SESSION_TOKEN => 'meant-for-aws');
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/ERROR:  28000: .*403.*HINT: .*awssmatoken/s, 'agent: no other place has one: what the agent said');
environment(%keys, AWS_TOKEN => 'agent-token');
$agent->rules([ { answer => aws_error('ConnectionError', 'Read Error', 502) } ]);
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/HINT:  The agent runs, but does not reach AWS/, 'agent: it runs, and AWS is out of its reach');
$agent->stop;
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/HINT:  Check that the agent runs/, 'agent: it does not run');

#
# Denials by what is no policy of the credentials
#
my $denied = 'User: arn:aws:sts::123456789012:assumed-role/db/i-1 is not authorized to perform: secretsmanager:GetSecretValue on resource: test';
for ([ 'because no VPC endpoint policy allows the secretsmanager:GetSecretValue action', 'VPC endpoint', 'modify-vpc-endpoint' ],
	[ 'with an explicit deny in a VPC endpoint policy', 'VPC endpoint', 'modify-vpc-endpoint' ],
	[ 'with an explicit deny in a service control policy', 'SCP', 'Organizations' ],
	[ 'because no service control policy allows the secretsmanager:GetSecretValue action', 'SCP', 'Organizations' ],
	[ 'with an explicit deny in a resource control policy', 'RCP', 'Organizations' ],
	[ 'because no permissions boundary allows the secretsmanager:GetSecretValue action', 'permissions boundary', 'boundary' ],
	[ 'because no session policy allows the secretsmanager:GetSecretValue action', 'session policy', 'session' ],
	[ 'with an explicit deny in an identity-based policy', 'denies secretsmanager:GetSecretValue explicitly', 'explicitly' ],
	[ 'because no identity-based policy allows the secretsmanager:GetSecretValue action', '"Effect": "Allow"', 'Allow' ])
{
	my ($why, $names, $remedy) = @$_;

	$manager->rules([ { %get, answer => aws_error('AccessDeniedException', "$denied $why") } ]);
	like(used('plain'), qr/ERROR:  42501: .*HINT: [^\n]*\Q$names\E/s, "denied $why");
	like(used('plain'), qr/HINT: [^\n]*\Q$remedy\E/, 'and the remedy');
}

$node->stop;
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC: |ERROR:  XX/, 'nobody fell');
done_testing();
