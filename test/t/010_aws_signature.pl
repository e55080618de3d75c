# The signatures of what the provider aws sends are those that botocore makes, with and without a session token.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = $ENV{PSEUDO_PYTHON};

plan skip_all => 'needs a Python with botocore (PSEUDO_PYTHON)'
  unless $python && IPC::Run::run([ $python, '-c', 'import botocore.auth' ], '<', \undef, '>', \my $out, '2>', \my $err);

my $document = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my $folder = PostgreSQL::Test::Utils::tempdir;
my %certificates = make_certificates($folder);

clean_environment("$folder/home");
put_file("$folder/config", <<CONFIG);
[profile role]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
external_id = a b&c=d/e+f~g
[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = base/Secret+Key
CONFIG

# All that the provider says to AWS; each server takes all of it.
my @rules = (
	{ method => 'POST', target => 'secretsmanager.GetSecretValue', answer => secret($document) },
	{ method => 'POST', target => 'secretsmanager.PutSecretValue', answer => { type => 'application/x-amz-json-1.1', body => '{"Name": "test"}' } },
	{ method => 'POST', target => 'secretsmanager.UpdateSecretVersionStage', answer => { type => 'application/x-amz-json-1.1', body => '{"Name": "test"}' } },
	{ method => 'POST', target => 'TrentService.GenerateDataKey', answer => { type => 'application/x-amz-json-1.1', body => JSON::PP::encode_json({ KeyId => 'k', CiphertextBlob => 'AAAA', Plaintext => encode_base64('0123456789abcdef' x 4, '') }) } },
	sts_rules(id => 'ASIAROLE', secret => 'role/Secret+Key', token => 'role//Token+with=signs=='));
my $manager = Endpoint->new(rules => \@rules);
my $kms = Endpoint->new(rules => \@rules);
my $sts = Endpoint->new(rules => \@rules);
my $tls = Endpoint->new(rules => \@rules, tls => $certificates{good});
my $proxy = Endpoint->new(rules => [ { method => 'CONNECT', tunnel => '127.0.0.1:' . $tls->port } ]);

my $node = start_server('signature');
aws_keyring($node, 'pseudo', endpoint => $manager->url, region => 'eu-west-1', kms_key_id => 'alias/pseudo');
aws_keyring($node, 'odd', endpoint => $manager->url . '/stage/v1~a_b-c.d', secret_id => 'arn:aws:secretsmanager:us-gov-west-1:123456789012:secret:a/b_c+d=e.f@g-AbCdEf');
aws_keyring($node, 'encoded', endpoint => $manager->url . '/a%20b+c', region => 'eu-west-1');
aws_keyring($node, 'named', endpoint => 'https://sm.test', ca_file => "$folder/ca.pem", region => 'eu-west-1');
aws_keyring($node, 'by_role', endpoint => $manager->url, region => 'ap-southeast-2', profile => 'role');

my @cases;

# Keep the requests that a server saw since the last time, with what they were to be signed with.
sub keep
{
	my ($endpoint, $name, %case) = @_;
	my @requests = $endpoint->requests;

	cmp_ok(scalar @requests, '>=', 1, "$name: requests");
	for my $request (@requests)
	{
		my ($host) = map { $_ // $endpoint->url } delete $case{at};
		push @cases, { name => join(' ', $name, $request->{headers}{'x-amz-target'} // 'STS'), url => "$host" . ($case{path} // '/'), request => $request, token => undef, region => 'eu-west-1', service => 'secretsmanager', %case };
	}
	$endpoint->forget;
	return scalar @requests;
}

for my $token (undef, 'AQoEXAMPLE/session+Token==')
{
	my $name = $token ? 'temporary credentials' : 'long-term credentials';
	my %by = (id => 'AKIAENVIRONMENT', secret => 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', token => $token);

	$_->forget for $manager, $kms, $sts, $tls;
	with_environment($node, { AWS_ACCESS_KEY_ID => $by{id}, AWS_SECRET_ACCESS_KEY => $by{secret}, AWS_SESSION_TOKEN => $token, AWS_CONFIG_FILE => "$folder/config",
			AWS_ENDPOINT_URL_KMS => $kms->url, AWS_ENDPOINT_URL_STS => $sts->url, HTTPS_PROXY => $proxy->url });
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true)"), $pseudonym, "$name: reading");
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key()"), 2, "$name: storing");
	my %targets = map { ($_->{headers}{'x-amz-target'} => 1) } $manager->requests;
	is(join(' ', sort keys %targets), 'secretsmanager.GetSecretValue secretsmanager.PutSecretValue secretsmanager.UpdateSecretVersionStage', "$name: the actions");
	keep($manager, $name, %by);
	keep($kms, $name, %by, service => 'kms');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'odd')"), $pseudonym, "$name: a path and an ARN");
	keep($manager, "$name, a path and an ARN", %by, path => '/stage/v1~a_b-c.d/', region => 'us-gov-west-1');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'encoded')"), $pseudonym, "$name: an encoded path");
	keep($manager, "$name, an encoded path", %by, path => '/a%20b+c/');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'named')"), $pseudonym, "$name: a host without a port");
	keep($tls, "$name, a host without a port", %by, at => 'https://sm.test');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'by_role')"), $pseudonym, "$name: a role");
	keep($sts, "$name, a role", id => 'AKIABASE', secret => 'base/Secret+Key', region => 'ap-southeast-2', service => 'sts');
	keep($manager, "$name, a role", id => 'ASIAROLE', secret => 'role/Secret+Key', token => 'role//Token+with=signs==', region => 'ap-southeast-2');
}

# What botocore says of each request: "ok", or what is wrong.
sub verdicts
{
	my $lines = join '', map { JSON::PP->new->ascii->encode($_) . "\n" } @_;

	IPC::Run::run([ $python, "$FindBin::RealBin/../aws/check_signature.py" ], '<', \$lines, '>', \my $verdicts, '2>', \my $err) or die "check_signature.py: $err";
	return split /\n/, $verdicts;
}

my @verdicts = verdicts(@cases);
is($verdicts[$_], 'ok', $cases[$_]{name}) for 0 .. $#cases;
for my $target ('secretsmanager.GetSecretValue', 'secretsmanager.PutSecretValue', 'secretsmanager.UpdateSecretVersionStage', 'TrentService.GenerateDataKey', 'STS')
{
	cmp_ok(scalar(grep { $_->{name} =~ /\Q$target\E$/ } @cases), '>=', 2, "$target: checked");
}

# That the check can fail: one thing of each request changed.
sub tampered
{
	my ($change) = @_;

	return map { my $case = JSON::PP::decode_json(JSON::PP::encode_json($_)); $change->($case->{request}{headers}, $case->{request}, $case); $case } @cases;
}
my %changes = (
	'the body' => sub { $_[1]{body} .= ' ' },
	'the target' => sub { $_[0]{'x-amz-target'} = 'secretsmanager.DeleteSecret' },
	'the date' => sub { $_[0]{'x-amz-date'} =~ s/(\d)Z$/($1 + 1) % 10 . 'Z'/e },
	'the host' => sub { $_[0]{host} = 'evil.test' },
	'the path' => sub { $_[1]{path} .= 'x' },
	'the session token' => sub { $_[0]{'x-amz-security-token'} .= 'x' },
	'the signature' => sub { $_[0]{authorization} =~ s/(.)$/$1 eq '0' ? '1' : '0'/e },
	'the signed headers' => sub { $_[0]{authorization} =~ s/host;// },
	'the scope' => sub { $_[0]{authorization} =~ s{/aws4_request}{/aws4_requesT} },
	'the secret key' => sub { $_[2]{secret} .= 'x' },
	'the time' => sub { $_[1]{time} += 301 });
for my $what (sort keys %changes)
{
	my @passed = grep { $_ eq 'ok' } verdicts(tampered($changes{$what}));
	is(scalar @passed, 0, "$what changed: refused");
}

$node->stop;
done_testing();
