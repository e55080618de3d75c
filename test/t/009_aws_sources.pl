# Where the provider aws takes its credentials, the region and the endpoints from, as the requests show; and that nothing secret is ever logged.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use JSON::PP ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Everything secret in this test has S3CR3T in it, or is in the document.
my $document = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my @secret = (qr/S3CR3T/, qr{rIm7yk\+jg339}, qr{dK/MSCv2Q602}, qr/ac89bbca4fa3837d/i, qr/74afcc482bf643ad/i);
my $folder = PostgreSQL::Test::Utils::tempdir;
my ($config, $credentials) = ("$folder/config", "$folder/credentials");

clean_environment("$folder/home");
my $manager = Endpoint->new;
my $sts = Endpoint->new;
my $host = Endpoint->new;	# of the metadata services
my %get = (method => 'POST', target => 'secretsmanager.GetSecretValue');
my @good = ({ %get, answer => secret($document) });
$manager->rules(\@good);

my $node = start_server('sources', "jit = off\nlog_min_messages = debug5\nlog_min_error_statement = panic\nlog_error_verbosity = verbose\n$Pseudo::each_asks");
my @at = (endpoint => $manager->url);
aws_keyring($node, 'pseudo', @at, region => 'eu-west-1');
aws_keyring($node, 'unplaced', @at);
aws_keyring($node, "p_$_", @at, region => 'eu-west-1', profile => $_)
  for qw(static temporary half role chain loop lonely both web process badprocess failing sso unknown environment container instance strange mfa);

my $heard = '';	# all that clients were told

# Run SQL in a session of its own; all that it says, with SQLSTATEs.
sub said
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 0);

	$heard .= "$out\n$err\n";
	return "$out\n$err";
}

# What the last request for the secret was signed with: access key id, region, session token; or what the error says.
sub used
{
	my ($keyring) = @_;

	$manager->forget;
	my $text = said("SELECT pseudo.pseudonymize('x', true, '', '$keyring')");
	return $text if $text !~ /^\Q$pseudonym\E$/m;
	my $request = ($manager->requests(%get))[-1] // return 'no request';
	return signer($request);
}

sub signer
{
	my ($request) = @_;
	my $token = $request->{headers}{'x-amz-security-token'};

	return 'unsigned' unless ($request->{headers}{authorization} // '') =~ m{^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request,};
	return "$1 $2 $3" . (defined $token ? " $token" : '');
}

sub environment { my (%variables) = @_; with_environment($node, { AWS_CONFIG_FILE => $config, AWS_SHARED_CREDENTIALS_FILE => $credentials, AWS_ENDPOINT_URL_STS => $sts->url, %variables }) }

sub files { put_file($config, $_[0] // ''); put_file($credentials, $_[1] // '') }

sub fields { return { map { my ($k, $v) = split /=/, $_, 2; $k => $v =~ s/\+/ /gr =~ s/%(..)/chr hex $1/ger } split /&/, $_[0]{body} } }

#
# Shared files
#
environment();
files();
my $text = used('pseudo');
note $text;
like($text, qr/ERROR:  28000: /, 'none: 28000');
like($text, qr/$_/i, "none: $_ was tried") for qw(environment profile|shared web.identity container metadata);
like($text, qr/AWS_EC2_METADATA_DISABLED/, 'none: and why that failed');
like($text, qr/HINT: /, 'none: a hint');
is($manager->count, 0, 'none: no request');

my $process = "$folder/process.sh";
my $job = sub { put_file($process, "#!/bin/sh\n$_[0]\n"); chmod 0700, $process };
put_file("$folder/token", "eyJ.S3CR3T-jwt.sig");
my $shared = <<CONFIG;
# a comment
[default]
aws_access_key_id = AKIAFROMCONFIG
aws_secret_access_key = S3CR3T/default+config
[profile static]
aws_access_key_id=AKIASTATIC
aws_secret_access_key = S3CR3T/static
[profile temporary]
aws_access_key_id = ASIATEMPORARY
aws_secret_access_key = S3CR3T/temporary
aws_session_token = S3CR3T-token-file==
[profile half]
aws_access_key_id = AKIAHALF
[profile role]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = static
external_id = outside&in
role_session_name = session-1
duration_seconds = 1800
[profile chain]
role_arn = arn:aws:iam::123456789012:role/second
source_profile = role
[profile loop]
role_arn = arn:aws:iam::123456789012:role/loop
source_profile = pool
[profile pool]
role_arn = arn:aws:iam::123456789012:role/pool
source_profile = loop
[profile lonely]
role_arn = arn:aws:iam::123456789012:role/lonely
[profile both]
role_arn = arn:aws:iam::123456789012:role/both
source_profile = static
credential_source = Environment
[profile mfa]
role_arn = arn:aws:iam::123456789012:role/mfa
source_profile = static
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile web]
role_arn = arn:aws:iam::123456789012:role/web
web_identity_token_file = $folder/token
[profile process]
credential_process = $process good
[profile badprocess]
credential_process = $process bad
[profile failing]
credential_process = $process failing
[profile sso]
sso_session = company
sso_account_id = 123456789012
sso_role_name = reader
[sso-session company]
sso_start_url = https://example.awsapps.com/start
[profile environment]
role_arn = arn:aws:iam::123456789012:role/environment
credential_source = Environment
[profile container]
role_arn = arn:aws:iam::123456789012:role/container
credential_source = EcsContainer
[profile instance]
role_arn = arn:aws:iam::123456789012:role/instance
credential_source = Ec2InstanceMetadata
[profile strange]
role_arn = arn:aws:iam::123456789012:role/strange
credential_source = Elsewhere
CONFIG
files($shared);
is(used('pseudo'), 'AKIAFROMCONFIG eu-west-1 secretsmanager', 'files: the default profile of the config file');
files($shared, "[default]\naws_access_key_id = AKIAFROMCREDENTIALS\naws_secret_access_key = S3CR3T/default\n[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = S3CR3T/other\n");
is(used('pseudo'), 'AKIAFROMCREDENTIALS eu-west-1 secretsmanager', 'files: the credentials file goes first');
is(used('p_static'), 'AKIASTATIC eu-west-1 secretsmanager', 'files: option profile');
is(used('p_temporary'), 'ASIATEMPORARY eu-west-1 secretsmanager S3CR3T-token-file==', 'files: a session token');
like(used('p_half'), qr/28000: .*half/s, 'files: half a key');
$text = used('p_unknown');
like($text, qr/28000: /, 'files: an unknown profile');
like($text, qr/unknown/, 'files: is named');
like(used('p_sso'), qr/28000: .*not supported/s, 'files: SSO');

# Roles
$sts->rules([ sts_rules(id => 'ASIAROLE', secret => 'S3CR3T/role', token => 'S3CR3T-role-token') ]);
is(used('p_role'), 'ASIAROLE eu-west-1 secretsmanager S3CR3T-role-token', 'role_arn: the role signs');
my @asked = $sts->requests;
is(scalar @asked, 1, 'role_arn: one request to STS');
is(signer($asked[0]), 'AKIASTATIC eu-west-1 sts', 'role_arn: signed by source_profile');
my $fields = fields($asked[0]);
is_deeply([ @$fields{qw(Action Version RoleArn RoleSessionName ExternalId DurationSeconds)} ],
	[ 'AssumeRole', '2011-06-15', 'arn:aws:iam::123456789012:role/reader', 'session-1', 'outside&in', 1800 ], 'role_arn: what is asked');
$sts->rules([ { method => 'POST', body => 'role%2Freader', answer => (sts_rules(id => 'ASIAFIRST', secret => 'S3CR3T/first', token => 'S3CR3T-first'))[0]{answer} },
	sts_rules(id => 'ASIASECOND', secret => 'S3CR3T/second', token => 'S3CR3T-second') ]);
$sts->forget;
is(used('p_chain'), 'ASIASECOND eu-west-1 secretsmanager S3CR3T-second', 'role_arn: a chain of two');
is(join(', ', map { signer($_) } $sts->requests), 'AKIASTATIC eu-west-1 sts, ASIAFIRST eu-west-1 sts S3CR3T-first', 'role_arn: each signed by the one before');
$sts->forget;
like(used("p_$_->[0]"), qr/28000: .*$_->[1]/s, "role_arn: $_->[2]")
  for [ 'loop', 'loop', 'a circle' ], [ 'lonely', 'source_profile', 'no source' ], [ 'both', 'credential_source', 'two sources' ], [ 'mfa', 'mfa_serial', 'MFA' ], [ 'strange', 'Elsewhere', 'a source that nobody knows' ];
is($sts->count, 0, 'role_arn: these ask nobody');
$sts->rules([ { method => 'POST', answer => { status => 403, type => 'text/xml', body => '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/x is not authorized to perform: sts:AssumeRole</Message></Error><RequestId>66666666-7777-8888-9999-000000000000</RequestId></ErrorResponse>' } } ]);
$text = used('p_role');
note $text;
like($text, qr/ERROR:  (28000|42501): /, 'role_arn: STS refuses');
like($text, qr/AccessDenied/, 'role_arn: STS refuses, its code');
like($text, qr/sts:AssumeRole/, 'role_arn: STS refuses, the action');
is($sts->count, 1, 'role_arn: STS refuses, asked once');
$sts->forget;
$sts->rules([ { method => 'POST', answer => { status => 503, type => 'text/xml', body => '<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>' } } ]);
like(used('p_role'), qr/ERROR:  (08006|28000): /, 'role_arn: STS fails');
is($sts->count, 3, 'role_arn: STS fails, asked three times');
$sts->forget;

# Web identity in a profile
$sts->rules([ sts_rules(id => 'ASIAWEB', secret => 'S3CR3T/web', token => 'S3CR3T-web-token') ]);
is(used('p_web'), 'ASIAWEB eu-west-1 secretsmanager S3CR3T-web-token', 'web_identity_token_file');
@asked = $sts->requests;
is(join(', ', map { signer($_) } @asked), 'unsigned', 'web_identity_token_file: one unsigned request');
$fields = fields($asked[0]);
is_deeply([ @$fields{qw(Action RoleArn WebIdentityToken)} ], [ 'AssumeRoleWithWebIdentity', 'arn:aws:iam::123456789012:role/web', 'eyJ.S3CR3T-jwt.sig' ], 'web_identity_token_file: what is asked');

# A process
$job->(q(echo '{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "S3CR3T/process", "SessionToken": "S3CR3T-process-token", "Expiration": "2099-01-01T00:00:00Z"}'));
is(used('p_process'), 'ASIAPROCESS eu-west-1 secretsmanager S3CR3T-process-token', 'credential_process');
$job->(q(echo '{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "S3CR3T/process"}'));
is(used('p_process'), 'AKIAPROCESS eu-west-1 secretsmanager', 'credential_process: long-term ones');
for ('{"Version": 2, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "S3CR3T/process"}', '{"Version": 1, "AccessKeyId": "AKIAPROCESS"}', '{"Version": 1, S3CR3T', '', '["S3CR3T"]')
{
	$job->("echo '$_'");
	like(used('p_badprocess'), qr/ERROR:  28000: /, "credential_process: writes $_");
}
$job->("echo 'the vault is sealed' >&2; exit 3");
$text = used('p_failing');
like($text, qr/ERROR:  (28000|38000): /, 'credential_process: fails');
like($text, qr/vault is sealed/, 'credential_process: fails, its words');
like($text, qr/failing/, 'credential_process: fails, the profile');

# A file with a fault
files("[default]\nthis is no setting\n");
like(used('pseudo'), qr/ERROR:  28000: .*line 2/si, 'files: a line that is none');
chmod 0000, $config;
SKIP:
{
	skip 'root reads every file', 1 if $> == 0;
	like(used('pseudo'), qr/ERROR:  28000: .*ermission/s, 'files: unreadable');
}

#
# The region
#
files($shared);
$text = used('unplaced');
note $text;
like($text, qr/ERROR:  22023: .*region/, 'region: none');
is($manager->count, 0, 'region: none, no request');
files("$shared\n[default]\nregion = sa-east-1\n");
is(used('unplaced'), 'AKIAFROMCONFIG sa-east-1 secretsmanager', q(region: the profile's));
my $arn = 'arn:aws:secretsmanager:us-east-2:123456789012:secret:test-AbCdEf';
aws_keyring($node, 'by_arn', @at, secret_id => $arn);
is(used('by_arn'), 'AKIAFROMCONFIG us-east-2 secretsmanager', q(region: the ARN's));
is(JSON::PP::decode_json(($manager->requests)[0]{body})->{SecretId}, $arn, 'region: the ARN is what is asked for');
aws_keyring($node, 'agreed', @at, secret_id => $arn, region => 'us-east-2');
is(used('agreed'), 'AKIAFROMCONFIG us-east-2 secretsmanager', 'region: the option and the ARN agree');
aws_keyring($node, 'contradiction', @at, secret_id => $arn, region => 'eu-west-1');
$text = used('contradiction');
like($text, qr/ERROR:  22023: /, 'region: the option and the ARN differ');
is($manager->count, 0, 'region: they differ, no request');
environment(AWS_REGION => 'ap-south-1', AWS_DEFAULT_REGION => 'ap-east-1');
is(used('unplaced'), 'AKIAFROMCONFIG ap-south-1 secretsmanager', 'region: AWS_REGION');
is(used('pseudo'), 'AKIAFROMCONFIG eu-west-1 secretsmanager', 'region: the option goes first');
is(used('by_arn'), 'AKIAFROMCONFIG us-east-2 secretsmanager', 'region: then the ARN');
environment(AWS_DEFAULT_REGION => 'ap-east-1');
is(used('unplaced'), 'AKIAFROMCONFIG ap-east-1 secretsmanager', 'region: AWS_DEFAULT_REGION');
environment(AWS_REGION => 'evil.test/');
like(used('unplaced'), qr/ERROR:  22023: /, 'region: that is none');

#
# The environment
#
my %keys = (AWS_ACCESS_KEY_ID => 'AKIAENVIRONMENT', AWS_SECRET_ACCESS_KEY => 'S3CR3T/environment');
files($shared, "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = S3CR3T/other\n");
environment(%keys, AWS_PROFILE => 'other', AWS_WEB_IDENTITY_TOKEN_FILE => "$folder/token", AWS_ROLE_ARN => 'arn:aws:iam::123456789012:role/irsa');
is(used('pseudo'), 'AKIAENVIRONMENT eu-west-1 secretsmanager', 'environment: goes before all');
is(used('p_static'), 'AKIASTATIC eu-west-1 secretsmanager', 'environment: but not before option profile');
$sts->rules([ sts_rules(id => 'ASIAROLE', secret => 'S3CR3T/role', token => 'S3CR3T-role-token') ]);
$sts->forget;
is(used('p_environment'), 'ASIAROLE eu-west-1 secretsmanager S3CR3T-role-token', 'credential_source = Environment');
is(join(', ', map { signer($_) } $sts->requests), 'AKIAENVIRONMENT eu-west-1 sts', 'credential_source = Environment: signs');
environment(%keys, AWS_SESSION_TOKEN => 'S3CR3T-environment-token');
is(used('pseudo'), 'AKIAENVIRONMENT eu-west-1 secretsmanager S3CR3T-environment-token', 'environment: a session token');
environment(AWS_ACCESS_KEY_ID => 'AKIAENVIRONMENT');
like(used('pseudo'), qr/ERROR:  28000: .*AWS_SECRET_ACCESS_KEY/s, 'environment: half of it');
environment(AWS_PROFILE => 'other', AWS_WEB_IDENTITY_TOKEN_FILE => "$folder/token", AWS_ROLE_ARN => 'arn:aws:iam::123456789012:role/irsa');
is(used('pseudo'), 'AKIAOTHER eu-west-1 secretsmanager', 'AWS_PROFILE: goes before web identity');

#
# Web identity: EKS IRSA
#
$host->rules([ container_rules('/credentials', credentials_document('ASIACONTAINER', 'S3CR3T/container', 'S3CR3T-container-token'), 'S3CR3T-authorization') ]);
my %container = (AWS_CONTAINER_CREDENTIALS_FULL_URI => $host->url . '/credentials', AWS_CONTAINER_AUTHORIZATION_TOKEN => 'S3CR3T-authorization');
files(undef);
environment(AWS_WEB_IDENTITY_TOKEN_FILE => "$folder/token", AWS_ROLE_ARN => 'arn:aws:iam::123456789012:role/irsa', AWS_ROLE_SESSION_NAME => 'pod-1', %container);
$sts->forget;
is(used('pseudo'), 'ASIAROLE eu-west-1 secretsmanager S3CR3T-role-token', 'web identity: goes before the container');
$fields = fields(($sts->requests)[0]);
is_deeply([ @$fields{qw(Action RoleArn RoleSessionName WebIdentityToken)} ], [ 'AssumeRoleWithWebIdentity', 'arn:aws:iam::123456789012:role/irsa', 'pod-1', 'eyJ.S3CR3T-jwt.sig' ], 'web identity: what is asked');
is($host->count, 0, 'web identity: the container is not asked');
# kept, and the file read again when they are renewed
$sts->forget;
my $s = session($node);
my $ask = "SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.pseudonymize('x', true)";
is(ask($s, $ask), $pseudonym, 'web identity: loaded') for 1 .. 3;
is($sts->count, 1, 'web identity: temporary credentials are kept');
leave($s);
put_file("$folder/token", "eyJ.S3CR3T-renewed.sig\n");
$sts->rules([ sts_rules(id => 'ASIABRIEF', secret => 'S3CR3T/brief', token => 'S3CR3T-brief-token', seconds => 60) ]);
$_->forget for $sts, $manager;
$s = session($node);
is(ask($s, $ask), $pseudonym, 'web identity: loaded, with brief ones') for 1 .. 3;
is($sts->count, $manager->count, 'web identity: renewed before they expire');
like(fields(($sts->requests)[-1])->{WebIdentityToken}, qr/^eyJ\.S3CR3T-renewed\.sig\s*$/, 'web identity: with the newest token');
leave($s);

#
# Container: ECS and EKS Pod Identity
#
environment(%container);
is(used('pseudo'), 'ASIACONTAINER eu-west-1 secretsmanager S3CR3T-container-token', 'container: full URI, token');
is(join(', ', map { "$_->{method} $_->{path} $_->{headers}{authorization}" } $host->requests), 'GET /credentials S3CR3T-authorization', 'container: one request');
$host->forget;
$s = session($node);
is(ask($s, $ask), $pseudonym, 'container: loaded') for 1 .. 3;
is($host->count, 1, 'container: kept');
# the manager calls them expired: renewed once, tried again
$manager->rules([ { %get, times => 1, answer => aws_error('ExpiredTokenException', 'The security token included in the request is expired') }, @good ]);
$manager->forget;
is(ask($s, 'SELECT pseudo.pseudo_refresh_keyring() IS NULL'), 'f', 'container: expired ones are renewed');
is($manager->count . ' ' . $host->count, '2 2', 'container: once');
leave($s);
$manager->rules(\@good);
my $token_file = "$folder/authorization";
put_file($token_file, 'S3CR3T-authorization');
environment(%container, AWS_CONTAINER_AUTHORIZATION_TOKEN => 'S3CR3T-wrong', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => $token_file);
is(used('pseudo'), 'ASIACONTAINER eu-west-1 secretsmanager S3CR3T-container-token', 'container: full URI, token file');
put_file($token_file, 'S3CR3T-other');
$host->forget;
like(used('pseudo'), qr/ERROR:  28000: .*401/s, 'container: another token');
is(($host->requests)[0]{headers}{authorization}, 'S3CR3T-other', 'container: the token file is read each time');
put_file($token_file, "S3CR3T\r\nX-Evil: 1");
$host->forget;
like(used('pseudo'), qr/ERROR:  28000: /, 'container: a token with a line break');
is($host->count, 0, 'container: is not sent');
$sts->forget;
put_file($token_file, 'S3CR3T-authorization');
files($shared);
$sts->rules([ sts_rules(id => 'ASIAROLE', secret => 'S3CR3T/role', token => 'S3CR3T-role-token') ]);
is(used('p_container'), 'ASIAROLE eu-west-1 secretsmanager S3CR3T-role-token', 'credential_source = EcsContainer');
is(join(', ', map { signer($_) } $sts->requests), 'ASIACONTAINER eu-west-1 sts S3CR3T-container-token', 'credential_source = EcsContainer: signs');
is(used('pseudo'), 'AKIAFROMCONFIG eu-west-1 secretsmanager', 'the files go before the container');
files(undef);
environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://192.0.2.1/credentials');
$text = used('pseudo');
like($text, qr/ERROR:  28000: .*AWS_CONTAINER_CREDENTIALS_FULL_URI/s, 'container: plain http to another host');
unlike($text, qr/connect|within \d+ ms/, 'container: is not asked');
environment(%container, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '/v2/credentials/1');
$host->forget;
$text = used('pseudo');
note $text;
like($text, qr/ERROR:  28000: .*169\.254\.170\.2/s, 'container: relative URI');
is($host->count, 0, 'container: relative URI goes before the full one');

#
# IMDSv2
#
my @instance = imds_rules(role => 'database-host', region => 'ca-central-1', credentials => credentials_document('ASIAINSTANCE', 'S3CR3T/instance', 'S3CR3T-instance-token'));
my %metadata = (AWS_EC2_METADATA_DISABLED => undef, AWS_EC2_METADATA_SERVICE_ENDPOINT => $host->url);
$host->rules(\@instance);
$host->forget;
environment(%metadata);
is(used('pseudo'), 'ASIAINSTANCE eu-west-1 secretsmanager S3CR3T-instance-token', 'IMDS: the role of the instance');
is(($host->requests)[0]{method} . ' ' . ($host->requests)[0]{path}, 'PUT /latest/api/token', 'IMDS: a session token first');
is($host->count(lacks => [ 'x-aws-ec2-metadata-token' ], method => 'GET'), 0, 'IMDS: never version 1');
is(used('unplaced'), 'ASIAINSTANCE ca-central-1 secretsmanager S3CR3T-instance-token', 'IMDS: the region, too');
$s = session($node);
is(ask($s, $ask), $pseudonym, 'IMDS: loaded');
$host->forget;
is(ask($s, $ask), $pseudonym, 'IMDS: loaded again') for 1 .. 3;
is($host->count(path => 'security-credentials/database-host'), 0, 'IMDS: credentials are kept');
leave($s);
$host->rules([ imds_rules(role => 'database-host', credentials => credentials_document('ASIABRIEF', 'S3CR3T/brief', 'S3CR3T-brief-token', 60)) ]);
$s = session($node);
$_->forget for $host, $manager;
is(ask($s, $ask), $pseudonym, 'IMDS: loaded, with brief ones') for 1 .. 3;
is($host->count(path => 'security-credentials/database-host'), $manager->count, 'IMDS: renewed before they expire');
leave($s);
files($shared);
$host->rules(\@instance);
$sts->forget;
is(used('p_instance'), 'ASIAROLE eu-west-1 secretsmanager S3CR3T-role-token', 'credential_source = Ec2InstanceMetadata');
is(join(', ', map { signer($_) } $sts->requests), 'ASIAINSTANCE eu-west-1 sts S3CR3T-instance-token', 'credential_source = Ec2InstanceMetadata: signs');
files(undef);
my %version1 = (path => '^/latest/meta-data', answer => { body => 'database-host' });
for my $refusal ({ status => 404 }, { status => 403 }, { status => 405 }, { close => 1 })
{
	$host->rules([ { method => 'PUT', answer => $refusal }, \%version1 ]);
	$host->forget;
	like(used('pseudo'), qr/ERROR:  28000: .*metadata/is, 'IMDS: no session token, ' . join(' ', %$refusal));
	is($host->count(method => 'GET'), 0, 'IMDS: nor version 1');
}
$host->rules([ { method => 'PUT', answer => { hang => 'before' } }, \%version1 ]);
$host->forget;
$text = used('pseudo');
like($text, qr/ERROR:  28000: .*hop limit/is, 'IMDS: the session token does not come: the hop limit is named');
is($host->count, 1, 'IMDS: a second of patience');
$host->rules([ imds_rules(), ]);
like(used('pseudo'), qr/ERROR:  28000: .*metadata/is, 'IMDS: no role');
environment(%metadata, %container);
$host->rules([ @instance, container_rules('/credentials', credentials_document('ASIACONTAINER', 'S3CR3T/container', 'S3CR3T-container-token'), 'S3CR3T-authorization') ]);
is(used('pseudo'), 'ASIACONTAINER eu-west-1 secretsmanager S3CR3T-container-token', 'the container goes before the instance');
environment(%metadata, AWS_EC2_METADATA_DISABLED => 'true');
$host->forget;
like(used('pseudo'), qr/ERROR:  28000: .*AWS_EC2_METADATA_DISABLED/s, 'IMDS: switched off');
is($host->count, 0, 'IMDS: is not asked');

#
# Endpoints
#
my ($special, $general) = map { Endpoint->new(rules => [ @good, { method => 'POST', target => 'TrentService.GenerateDataKey', answer => aws_error('AccessDeniedException', 'no') }, sts_rules(id => 'ASIAROLE', secret => 'S3CR3T/role', token => 'S3CR3T-role-token') ]) } 1, 2;
aws_keyring($node, 'open_', region => 'eu-west-1');
aws_keyring($node, 'by_role', region => 'eu-west-1', profile => 'role');
aws_keyring($node, 'made', @at, region => 'eu-west-1', kms_key_id => 'alias/pseudo');

# Which of the servers saw requests, and for what.
sub seen
{
	my ($keyring) = @_;

	$_->forget for $manager, $special, $general, $sts;
	used($keyring);
	return join ' ', $manager->count, $special->count, $general->count;
}
environment(%keys, AWS_ENDPOINT_URL_SECRETS_MANAGER => $special->url, AWS_ENDPOINT_URL => $general->url);
is(seen('pseudo'), '1 0 0', 'endpoint: the option goes first');
is(seen('open_'), '0 1 0', 'endpoint: AWS_ENDPOINT_URL_SECRETS_MANAGER');
environment(%keys, AWS_ENDPOINT_URL_STS => undef, AWS_ENDPOINT_URL => $general->url . '/');
files($shared);
is(seen('open_'), '0 0 1', 'endpoint: AWS_ENDPOINT_URL');
is(($general->requests)[0]{path}, '/', 'endpoint: a slash at the end makes no difference');
is(seen('by_role'), '0 0 2', 'endpoint: AWS_ENDPOINT_URL for STS, too');
environment(%keys, AWS_ENDPOINT_URL => $general->url, AWS_ENDPOINT_URL_STS => $special->url, AWS_ENDPOINT_URL_KMS => $special->url);
is(seen('by_role'), '0 1 1', 'endpoint: AWS_ENDPOINT_URL_STS');
$manager->rules([ { %get, answer => aws_error('ResourceNotFoundException', q(Secrets Manager can't find the specified secret value for staging label: AWSCURRENT)) } ]);
$special->forget;
$text = said("SELECT pseudo.pseudo_create_key('made')");
note $text;
is(join(', ', map { $_->{headers}{'x-amz-target'} . ' ' . signer($_) } $special->requests), 'TrentService.GenerateDataKey AKIAENVIRONMENT eu-west-1 kms', 'endpoint: AWS_ENDPOINT_URL_KMS');
like((($special->requests)[0] // { body => '' })->{body}, qr{"KeyId": *"alias/pseudo"}, 'kms_key_id: GenerateDataKey');
like($text, qr/ERROR:  42501: .*kms:GenerateDataKey/s, 'kms_key_id: denied');
$manager->rules(\@good);
environment(AWS_ENDPOINT_URL_STS => 'http://192.0.2.1');
$text = used('p_role');
like($text, qr/ERROR:  (?!XX)\w{5}: .*(https|encrypted)/s, 'endpoint: STS by plain http to another host is refused') or diag $text;
my $endpoints = "[default]\nendpoint_url = @{[$general->url]}\n[profile fine]\nservices = mine\nendpoint_url = @{[$general->url]}\n[services mine]\nsecrets_manager =\n  endpoint_url = @{[$special->url]}\nkms =\n  endpoint_url = https://elsewhere.test\n";
files($endpoints);
environment(%keys);
is(seen('open_'), '0 0 1', q(endpoint: the profile's endpoint_url));
environment(%keys, AWS_PROFILE => 'fine');
is(seen('open_'), '0 1 0', q(endpoint: the profile's services section));

# The partitions' own names, as a proxy hears them; it connects to nobody.
my $proxy = Endpoint->new(rules => [ { answer => { status => 502, body => 'no' } } ]);
sub host_of
{
	my ($keyring) = @_;

	$proxy->forget;
	used($keyring);
	my %names = map { ("$_->{method} $_->{path}" => 1) } $proxy->requests;
	return join ', ', sort keys %names;
}
my @regions = qw(eu-west-1 cn-north-1 us-gov-west-1 us-iso-east-1 us-isob-east-1 eusc-de-east-1);
aws_keyring($node, 'in_' . tr/-/_/r, region => $_) for @regions, 'us-east-1';

sub in_regions { return join ' ', map { host_of('in_' . tr/-/_/r) =~ s/^CONNECT secretsmanager(.*):443$/$1/r } @_ }
files($endpoints);
my %by_proxy = (HTTPS_PROXY => $proxy->url, AWS_MAX_ATTEMPTS => 1);
environment(%keys, %by_proxy, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS => 'true', AWS_ENDPOINT_URL => $general->url, AWS_ENDPOINT_URL_STS => $general->url);
$general->forget;
is(in_regions(@regions), '.eu-west-1.amazonaws.com .cn-north-1.amazonaws.com.cn .us-gov-west-1.amazonaws.com .us-iso-east-1.c2s.ic.gov .us-isob-east-1.sc2s.sgov.gov .eusc-de-east-1.amazonaws.eu', q(endpoint: the partitions' own));
is($general->count, 0, 'endpoint: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS');
is(seen('pseudo'), '1 0 0', 'endpoint: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, but the option counts');
files($shared);
is(host_of('by_role'), 'CONNECT sts.eu-west-1.amazonaws.com:443', 'endpoint: STS, the regional one');
like(said("SELECT pseudo.pseudo_create_key('made')"), qr/ERROR: /, 'endpoint: KMS');
is(scalar(() = $proxy->requests(path => '^kms\.eu-west-1\.amazonaws\.com:443$')) > 0, 1, q(endpoint: KMS, the partition's own));
environment(%keys, %by_proxy, AWS_USE_FIPS_ENDPOINT => 'true', AWS_ENDPOINT_URL_STS => undef);
is(in_regions('us-east-1', 'us-gov-west-1'), '-fips.us-east-1.amazonaws.com -fips.us-gov-west-1.amazonaws.com', 'endpoint: FIPS');
is(host_of('by_role'), 'CONNECT sts-fips.eu-west-1.amazonaws.com:443', 'endpoint: FIPS, STS');
environment(%keys, %by_proxy, AWS_USE_DUALSTACK_ENDPOINT => 'true', AWS_ENDPOINT_URL_STS => undef);
is(in_regions('us-east-1', 'eusc-de-east-1', 'us-iso-east-1'), '.us-east-1.amazonaws.com .eusc-de-east-1.api.amazonwebservices.eu .us-iso-east-1.api.aws.ic.gov', q(endpoint: dual stack, as botocore's rules say));
is(host_of('by_role'), 'CONNECT sts.eu-west-1.api.aws:443', 'endpoint: dual stack, STS');

#
# The AWS Secrets Manager Agent, which has credentials of its own
#
files(undef);
my $agent = Endpoint->new;
my %token = (headers => { 'x-aws-parameters-secrets-token' => '^S3CR3T-agent-token$' });
$agent->rules([ { method => 'GET', path => '^/secretsmanager/get\?secretId=', %token, answer => secret($document) }, { answer => { status => 403, body => 'Bad Token' } } ]);
aws_keyring($node, 'by_agent', agent => $agent->url, secret_id => 'a/b+c@d=e');
aws_keyring($node, 'by_staged_agent', agent => $agent->url . '/', version_stage => 'AWSPREVIOUS');
put_file("$folder/agent-token", "S3CR3T-agent-token\n");
for my $where ('S3CR3T-agent-token', "file://$folder/agent-token")
{
	environment(AWS_TOKEN => $where);
	$_->forget for $agent, $manager, $sts, $host;
	$s = session($node);
	my $name = 'agent, token by ' . ($where =~ /(file)/ ? $1 : 'environment');
	is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), $pseudonym, "$name: it works");
	is(join(', ', map { "$_->{method} $_->{path}" } $agent->requests), 'GET /secretsmanager/get?secretId=a%2Fb%2Bc%40d%3De', "$name: the request");
	is(scalar(grep { $_->{headers}{authorization} } $agent->requests), 0, "$name: not signed");
	$agent->forget;
	is(ask($s, "SELECT pseudo.pseudo_refresh_keyring('by_agent') IS NULL"), 'f', "$name: refreshed");
	is($agent->count(path => 'refreshNow=true'), 1, "$name: pseudo_refresh_keyring passes by its cache");
	$agent->forget;
	like(ask($s, "SELECT pseudo.reidentify('AQAAAGNiNTRlZTdjNmY0ZjVNz2TfVviSdo/IAQUdHx0HAg==', '', 'by_agent')"), qr/^22000: /, "$name: an unknown key");
	cmp_ok($agent->count(path => 'refreshNow=true'), '>=', 1, "$name: an early refresh, too");
	leave($s);
	is($manager->count + $sts->count + $host->count, 0, "$name: nobody else is asked");
}
$agent->forget;
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_staged_agent')"), qr/^\Q$pseudonym\E$/m, 'agent: version_stage');
is(($agent->requests)[0]{path}, '/secretsmanager/get?secretId=test&versionStage=AWSPREVIOUS', 'agent: version_stage in the request');
environment(AWS_TOKEN => 'S3CR3T-wrong');
$agent->forget;
$text = said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')");
note $text;
like($text, qr/ERROR:  (42501|28000): /, 'agent: another token');
is($agent->count, 1, 'agent: another token, one request');
environment(AWS_TOKEN => "file://$folder/missing");
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/ERROR:  28000: .*token/, 'agent: no token');
environment(AWS_TOKEN => 'S3CR3T-agent-token');
$agent->stop;
like(said("SELECT pseudo.pseudonymize('x', true, '', 'by_agent')"), qr/ERROR:  08001: /, 'agent: is not there');

#
# Nothing secret is shown
#
environment(%keys, AWS_SESSION_TOKEN => 'S3CR3T-environment-token');
$s = session($node);
$heard .= ask($s, "SELECT pseudo.pseudonymize('x', true); EXPLAIN (VERBOSE, ANALYZE, SETTINGS) SELECT pseudo.pseudonymize('x', true), pseudo.reidentify('$pseudonym'); SELECT * FROM pg_stat_activity; SELECT * FROM pseudo.pseudo_keyrings; SELECT * FROM pg_foreign_server");
like($heard, qr/pseudonymize_as\('current_user'/, 'secrets: EXPLAIN is heard');
leave($s);
$node->stop;
my $log = slurp_file($node->logfile);
like($log, qr/DEBUG: /, 'secrets: the log is one of debug5');
# PostgreSQL itself prints the environment that it is started with, at debug3: no word of ours, and proof that the search
# finds.  Before 18 each variable is a message, since then all are one.
my $dump = qr/^.*DEBUG:  00000: (?:\t\w+=|initial environment dump).*\n(?:\t.*\n)*.*LOCATION:  PostmasterMain,/m;
cmp_ok(scalar(grep { /S3CR3T/ } $log =~ /$dump/g), '>', 0, 'secrets: what PostgreSQL prints of its environment is found');
$log =~ s/$dump//g;
for (@secret)
{
	is(scalar(() = $log =~ /$_/g), 0, "secrets: the log has no $_");
	is(scalar(() = $heard =~ /$_/g), 0, "secrets: nor were clients told $_");
}
unlike($log, qr/terminated by signal|PANIC: |ERROR:  XX/, 'nobody fell');
done_testing();
