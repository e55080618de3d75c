# deploy/: the stack in moto with IAM's checks on, the first key, and a database that uses that very secret with just the two policies.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Cwd qw(realpath);
use Endpoint;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Moto;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the aws CLI is missing' unless grep { -x "$_/aws" } split /:/, $ENV{PATH};
my $moto = Moto->start('--admin') or plan skip_all => 'moto could not be installed';

my $deploy = realpath("$FindBin::RealBin/../../deploy");
my $folder = PostgreSQL::Test::Utils::tempdir;
my $region = 'eu-west-1';
my $admin = user($moto->admin);
clean_environment("$folder/home");

# A user of IAM: the id of their access key, and its secret.
sub user { return { id => $_[0], secret => $_[1] } }

# A new user with these policies attached.
sub create_user
{
	my ($name, @policies) = @_;
	my $attach = join '', map { "iam.attach_user_policy(UserName='$name', PolicyArn='$_')\n" } @policies;

	return user(split ' ', $moto->boto("iam = client('iam')\niam.create_user(UserName='$name')\n${attach}key = iam.create_access_key(UserName='$name')['AccessKey']\nprint(key['AccessKeyId'], key['SecretAccessKey'])"));
}

# The environment variables that make a program a user's.
sub as_user { return (AWS_ACCESS_KEY_ID => $_[0]{id}, AWS_SECRET_ACCESS_KEY => $_[0]{secret}, AWS_ENDPOINT_URL => $moto->url, AWS_REGION => $region) }

# Run a command as a user; returns its exit status, what it printed and what it said on stderr.
sub run_as
{
	my ($user, $command, $in) = @_;
	my %environment = as_user($user);
	local @ENV{ keys %environment } = values %environment;

	IPC::Run::run($command, '<', \($in // ''), '>', \my $out, '2>', \my $err, IPC::Run::timeout(180));
	return ($? >> 8, $out, $err);
}

# Run a script of deploy/ as a user.
sub script
{
	my ($user, $name, $arguments, $in) = @_;

	return run_as($user, [ "$deploy/$name", @$arguments ], $in);
}

# What the CLI prints for a user, as JSON; its error where it fails.
sub cli
{
	my ($user, @command) = @_;
	my ($status, $out, $err) = run_as($user, [ 'aws', '--endpoint-url', $moto->url, '--output', 'json', @command ]);

	return $status ? $err : $out =~ /\S/ ? JSON::PP->new->allow_nonref->decode($out) : undef;
}

# Start the database's server with the credentials of a user.
my $node;

sub serve
{
	my ($user) = @_;

	with_environment($node, { as_user($user) });
}

# How often KMS was asked for a data key, in its server's log.
sub data_keys { return scalar(() = slurp_file($moto->{log}) =~ /^200 TrentService\.GenerateDataKey /mg) }

#
# Arguments
#
my $no_key = 'arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef';
for my $case (
	[ 'deploy.sh', [], 2, qr/-s is required/ ],
	[ 'deploy.sh', [ '-s', '1st' ], 2, qr/no name of a stack/ ],
	[ 'deploy.sh', [ '-s', 'a b' ], 2, qr/no name of a stack/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-r', 'Europe' ], 2, qr/no region/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-n', '-x' ], 2, qr/no name of a secret/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-n', 'a;b' ], 2, qr/no name of a secret/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-n', 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:x' ], 2, qr/no name of a secret/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-k', 'alias/pseudo' ], 2, qr/no ARN of a KMS key/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-k', 'arn:aws:kms:eu-west-1:123456789012:alias/pseudo' ], 2, qr/no ARN of a KMS key/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-k', "$no_key*" ], 2, qr/no ARN of a KMS key/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-k', $no_key, '-r', 'eu-west-2' ], 2, qr/has to be in eu-west-2/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-k', $no_key ], 1, qr/could not look at KMS key \Q$no_key\E/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-p', '--debug' ], 2, qr/no name of a profile/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-t', 'arn:aws:sns:eu-west-1:123456789012:x' ], 2, qr/-t needs -l/ ],
	[ 'deploy.sh', [ '-s', 'crm', '-l', 'trail', '-t', 'x' ], 2, qr/no SNS topic/ ],
	[ 'deploy.sh', [ '-s', 'crm', 'more' ], 2, qr/unexpected argument/ ],
	[ 'deploy.sh', [ '-s' ], 2, qr/-s needs an argument/ ],
	[ 'deploy.sh', [ '-x' ], 2, qr/no option -x/ ],
	[ 'destroy.sh', [ '-y' ], 2, qr/-s is required/ ],
	[ 'destroy.sh', [ '-s', 'crm', '-n', 'a b' ], 2, qr/no name of a secret/ ],
	[ 'destroy.sh', [ '-s', 'crm', '-k', $no_key ], 2, qr/no option -k/ ],
	[ 'destroy.sh', [ '-s', 'crm', '-y' ], 1, qr/no stack crm/ ],
	[ 'create_key.sh', [], 2, qr/-s or -n is required/ ],
	[ 'create_key.sh', [ '-k', $no_key ], 2, qr/-s or -n is required/ ],
	[ 'create_key.sh', [ '-s', 'crm', '-k', '' ], 2, qr/no KMS key/ ],
	[ 'create_key.sh', [ '-s', 'crm', '-k', 'pseudo' ], 2, qr/no KMS key/ ],
	[ 'create_key.sh', [ '-s', 'crm', '-k', 'alias/a b' ], 2, qr/no KMS key/ ],
	[ 'create_key.sh', [ '-s', 'crm', '-k', 'arn:aws:s3:::x' ], 2, qr/no KMS key/ ],
	[ 'create_key.sh', [ '-s', 'crm', '-o', 'zinc' ], 2, qr/no output prefix/ ],
	[ 'create_key.sh', [ '-n', 'arn:aws:s3:::x' ], 2, qr/no ARN of a secret/ ],
	[ 'create_key.sh', [ '-s', 'crm' ], 1, qr/could not read the outputs of stack crm/ ],
	[ 'create_key.sh', [ '-n', 'crm' ], 1, qr/could not look at secret crm/ ])
{
	my ($name, $arguments, $wanted, $message) = @$case;
	my ($status, $out, $err) = script($admin, $name, $arguments);
	is($status, $wanted, "$name @$arguments: exit status");
	like($err, $message, "$name @$arguments: says why");
}
# Regions of every partition: what is wrong is the argument after it.
for my $name (qw(eu-west-1 ap-southeast-3 mx-central-1 il-central-1 cn-northwest-1 us-gov-west-1 us-iso-east-1 us-isob-east-1 us-isof-south-1 eu-isoe-west-1 eusc-de-east-1))
{
	like((script($admin, 'deploy.sh', [ '-s', 'crm', '-r', $name, 'more' ]))[2], qr/unexpected argument "more"/, "deploy.sh: region $name");
}
for my $name ('deploy.sh', 'destroy.sh', 'create_key.sh')
{
	my ($status, $out, $err) = script($admin, $name, ['-h']);
	is("$status$err", '0', "$name -h");
	like($out, qr/^Usage: \Q$name\E /, "$name -h: usage");
}

#
# The stack
#
my ($status, $out, $err) = script($admin, 'deploy.sh', [ '-s', 'crm' ]);
is($status, 0, 'deploy.sh') or diag $err;
my %outputs = $out =~ /^(\w+(?:Arn|Name)) +(\S+)$/mg;
is_deeply({ map { @$_ } @{ cli($admin, qw(cloudformation describe-stacks --stack-name crm --query), 'Stacks[0].Outputs[].[OutputKey,OutputValue]') } }, \%outputs, 'it prints the outputs');
is(join(' ', sort keys %outputs), 'AdminPolicyArn KmsKeyArn ReaderPolicyArn SecretArn SecretName', 'all of them');
is($outputs{SecretName}, 'EncryptionKeys-crm', 'the name of the secret');
is(cli($admin, qw(kms get-key-rotation-status --query KeyRotationEnabled --key-id), $outputs{KmsKeyArn}), JSON::PP::true, 'the KMS key is rotated');
is_deeply(cli($admin, qw(secretsmanager describe-secret --query), '[ARN,KmsKeyId,VersionIdsToStages]', '--secret-id', $outputs{SecretName}), [ $outputs{SecretArn}, $outputs{KmsKeyArn}, undef ], 'the secret is encrypted by it, and empty');
for my $policy ('ReaderPolicyArn', 'AdminPolicyArn')
{
	my $document = cli($admin, qw(iam get-policy-version --version-id v1 --query PolicyVersion.Document --policy-arn), $outputs{$policy});
	my @resources = map { ref $_->{Resource} ? @{ $_->{Resource} } : $_->{Resource} } @{ $document->{Statement} };
	is_deeply([ grep { $_ ne $outputs{SecretArn} && $_ ne $outputs{KmsKeyArn} } @resources ], [], "$policy: only the secret and its key");
}
# Who may decrypt is Secrets Manager of this region, by the name that it has in this partition, and no other service.
my @via = slurp_file("$deploy/template.yaml") =~ /kms:ViaService:\n((?: +- !Sub '[^']+'\n)+)/g;
is(scalar @via, 3, 'the template: three conditions on kms:ViaService');
for (@via)
{
	my @names = /!Sub '([^']+)'/g;

	for ([ 'eu-west-1', 'amazonaws.com' ], [ 'cn-north-1', 'amazonaws.com.cn' ], [ 'us-gov-west-1', 'amazonaws.com' ], [ 'us-iso-east-1', 'c2s.ic.gov' ], [ 'eusc-de-east-1', 'amazonaws.eu' ])
	{
		my ($in, $suffix) = @$_;
		my $matches = sub { my ($host) = @_; return scalar grep { my $name = s/\$\{AWS::Region\}/$in/r =~ s/\$\{AWS::URLSuffix\}/$suffix/r; my $like = join '.*', map { quotemeta } split /\*/, $name, -1; $host =~ /^$like$/ } @names };

		ok($matches->("secretsmanager.$in.$suffix"), "kms:ViaService: $in");
		ok(!$matches->("ec2.$in.$suffix") && !$matches->("secretsmanager.eu-south-1.$suffix"), "kms:ViaService: $in, no other service or region");
	}
}
my @again = script($admin, 'deploy.sh', [ '-s', 'crm' ]);
is($again[0], 0, 'deploy.sh once more') or diag $again[2];
like($again[1], qr/^SecretArn +\Q$outputs{SecretArn}\E$/m, 'nothing changed');
($status, $out, $err) = script($admin, 'deploy.sh', [ '-s', 'crm', '-n', 'other' ]);
is($status, 1, 'another secret for the stack');
like($err, qr/has the secret EncryptionKeys-crm/, 'is refused');
($status, $out, $err) = script($admin, 'deploy.sh', [ '-s', 'crm', '-k', $no_key ]);
is($status, 1, 'another KMS key for the stack');
like($err, qr/has the KMS key \Q$outputs{KmsKeyArn}\E/, 'is refused');

#
# The first key
#
my %user = (
	reader => create_user('reader', $outputs{ReaderPolicyArn}),
	writer => create_user('writer', $outputs{AdminPolicyArn}),
	nobody => create_user('nobody'),
	half => create_user('half'));
cli($admin, qw(iam put-user-policy --user-name half --policy-name half --policy-document),
	qq({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "$outputs{SecretArn}"}]}));

$node = start_server('deploy');
serve($user{reader});
aws_keyring($node, 'pseudo', secret_id => $outputs{SecretArn}, endpoint => $moto->url);
like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x')"), qr/^22023: .*AWSCURRENT/, 'an empty secret is an error');

# What the programs that create_key.sh calls see on their command line and in their environment, and what KMS answers.
my @variables = qw(document material siv nonce fields);
mkdir "$folder/shims";
for my $program ('aws', 'openssl', 'head', 'tail')
{
	my ($real) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};
	append_to_file("$folder/shims/$program", "#!/bin/sh\necho \"$program \$*\" >> '$folder/calls'\nenv >> '$folder/calls'\n"
		. "case \"\$*\" in *' generate-data-key '*) '$real' \"\$@\" | tee '$folder/plaintext'; exit;; esac\nexec '$real' \"\$@\"\n");
	chmod 0755, "$folder/shims/$program";
}
($status, $out, $err) = script($user{reader}, 'create_key.sh', [ '-n', $outputs{SecretName} ]);
is($status, 1, 'the reader makes no key');
like($err, qr/AccessDenied/, 'they are told why');
{
	local $ENV{PATH} = "$folder/shims:$ENV{PATH}";
	my %environment = (as_user($user{writer}), map { $_ => 'x' } @variables);
	local @ENV{ keys %environment } = values %environment;
	my @run = map { { out => '', err => '' } } 1 .. 4;

	$_->{run} = IPC::Run::start([ "$deploy/create_key.sh", '-n', $outputs{SecretName} ], '<', \undef, '>', \$_->{out}, '2>', \$_->{err}, IPC::Run::timeout(180)) for @run;
	$_->{run}->finish for @run;
	is(scalar(grep { $_->{out} =~ /has its first key: tink/ } @run), 1, 'of four at once, one makes the key') or diag map { $_->{err} } @run;
	is(scalar(grep { $_->{err} =~ /has a value already.*pseudo_create_key/ } @run), 3, 'the others are told that there is one');
}
my $versions = cli($admin, qw(secretsmanager describe-secret --query VersionIdsToStages --secret-id), $outputs{SecretName});
is_deeply([ values %$versions ], [ ['AWSCURRENT'] ], 'one version is left, without another label');

my $document = JSON::PP::decode_json(cli($user{reader}, qw(secretsmanager get-secret-value --query SecretString --secret-id), $outputs{SecretName}));
my ($key) = @{ $document->{keys} };
is("$document->{version} $document->{primaryKeyId} $key->{keyId} $key->{outputPrefix} $key->{status}", '1 1 1 tink enabled', 'the document');
is(length($key->{encodedSecretKey}) . length($key->{encodedNonceKey}), '4444', '32 bytes each');
my $calls = slurp_file("$folder/calls");
like($calls, qr/^aws .*put-secret-value/m, 'the calls were seen');
is(scalar(grep { index($calls, $_) >= 0 } @$key{qw(encodedSecretKey encodedNonceKey)}), 0, 'no key on a command line or in an environment');
is(data_keys(), 0, 'KMS was not asked for it');

#
# The database
#
my $pseudonym = $node->safe_psql('postgres', "SELECT pseudo.pseudonymize('alice\@example.com', true)");
is($node->safe_psql('postgres', "SELECT pseudo.reidentify('$pseudonym'), pseudo.pseudonym_key_id('$pseudonym')"), 'alice@example.com|1', 'the reader policy is enough to use the secret');
is($node->safe_psql('postgres', 'SELECT version FROM pseudo.pseudo_keyrings'), (keys %$versions)[0], 'its version');
like(error_of($node, 'postgres', 'SELECT pseudo.pseudo_create_key()'), qr/^42501: /, 'it is not enough to change it');

my $other = cli($admin, qw(secretsmanager create-secret --name EncryptionKeys-crm-2 --query ARN --secret-string), JSON::PP::encode_json($document));
aws_keyring($node, 'other', secret_id => $other, endpoint => $moto->url);
like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x', keyring => 'other')"), qr/^42501: /, 'nor to read another secret');

for my $case (
	[ $user{nobody}, 'a user without a policy' ],
	[ $user{half}, 'a user who may read the secret but not use its KMS key' ],
	[ { %{ $user{reader} }, secret => scalar reverse $user{reader}{secret} }, 'a wrong secret key' ],
	[ { %{ $user{reader} }, id => 'AKIAIOSFODNN7EXAMPLE' }, 'an unknown access key' ])
{
	my ($who, $name) = @$case;
	serve($who);
	my $said = error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x')");
	like($said, qr/^42501: /, "$name is refused");
	is(index(slurp_file($node->logfile), $who->{secret}), -1, "$name: the log has no secret key");
}

# The reader policy of doc/aws.md, for who has a secret already.
my ($by_hand) = slurp_file("$deploy/../doc/aws.md") =~ /```json\n(.*?GetSecretValue.*?)```/s;
is($by_hand =~ s/"arn:aws:secretsmanager:[^"]*"/"$outputs{SecretArn}"/g, 1, 'the policy by hand names the secret');
is($by_hand =~ s/"arn:aws:kms:[^"]*"/"$outputs{KmsKeyArn}"/g, 1, 'and the KMS key');
my $hand = create_user('hand');
cli($admin, qw(iam put-user-policy --user-name hand --policy-name reader --policy-document), $by_hand);
serve($hand);
is($node->safe_psql('postgres', "SELECT pseudo.reidentify('$pseudonym')"), 'alice@example.com', 'it is enough to use the secret');
like(error_of($node, 'postgres', 'SELECT pseudo.pseudo_create_key()'), qr/^42501: /, 'and not to change it');

serve($user{writer});
is($node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key(make_primary => true)'), '2', 'the administrator policy is enough to make a key');
$node->safe_psql('postgres', "ALTER SERVER pseudo OPTIONS (ADD kms_key_id '$outputs{KmsKeyArn}')");
is($node->safe_psql('postgres', 'SELECT pseudo.pseudo_create_key()'), '3', 'and one from KMS');
$document = JSON::PP::decode_json(cli($user{reader}, qw(secretsmanager get-secret-value --query SecretString --secret-id), $outputs{SecretName}));
is(join(' ', $document->{primaryKeyId}, map { $_->{keyId} } @{ $document->{keys} }), '2 1 2 3', 'the CLI reads what the extension wrote');
is_deeply((grep { $_->{keyId} == 1 } @{ $document->{keys} })[0], $key, 'the first key is as it was');
my @labels = map { @$_ } values %{ cli($admin, qw(secretsmanager describe-secret --query VersionIdsToStages --secret-id), $outputs{SecretName}) };
is(join(' ', sort @labels), 'AWSCURRENT AWSPREVIOUS', 'no label of ours is left');

my $session = session($node);
is(ask($session, "SELECT pseudo.pseudonym_key_id(pseudo.pseudonymize('x'))"), '2', 'the new key is primary');
$document->{primaryKeyId} = 3;
put_file("$folder/document.json", JSON::PP::encode_json($document));
cli($user{writer}, qw(secretsmanager put-secret-value --secret-id), $outputs{SecretName}, '--secret-string', "file://$folder/document.json");
is(ask($session, "SELECT pseudo.pseudonym_key_id(pseudo.pseudonymize('x'))"), '2', 'the CLI writes another document, which waits for its time');
$node->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
is(ask($session, "SELECT pseudo.pseudonym_key_id(pseudo.pseudonymize('x')), pseudo.reidentify('$pseudonym')"), '3|alice@example.com', 'until pseudo_refresh_keyring() is called');
leave($session);

#
# The end of the stack
#
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'crm' ], "no\n");
is($status, 1, 'destroy.sh asks first');
like($err, qr/nothing was deleted/, 'and deletes nothing without a yes');
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'crm', '-n', 'EncryptionKeys-crm-2', '-D', '-y' ]);
is($status, 1, 'nor with the name of another secret');
like($err, qr/has the secret EncryptionKeys-crm, not EncryptionKeys-crm-2/, 'but tells its own');
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'crm', '-n', $outputs{SecretName} ], "crm\n");
is($status, 0, 'destroy.sh') or diag $err;
my ($own) = $outputs{KmsKeyArn} =~ m{key/(.*)};
like($out, qr/secret stays.*\Q$outputs{SecretArn}\E.*schedule-key-deletion .*\Q$own\E /s, 'it says what is left');
like(cli($admin, qw(cloudformation describe-stacks --stack-name crm)), qr/does not exist/, 'the stack is gone');
is($node->safe_psql('postgres', "SELECT pseudo.reidentify('$pseudonym')"), 'alice@example.com', 'the keys are not');
($status, $out, $err) = script($admin, 'deploy.sh', [ '-s', 'crm' ]);
is($status, 1, 'a new stack of the same name');
like($err, qr/there is a secret EncryptionKeys-crm already/, 'does not take them for its own');

# Another one: an existing KMS key, an alarm, a key for the REST service made by KMS, and its secret goes too.
my $topic = 'arn:aws:sns:eu-west-1:123456789012:alarms';
$region = 'eu-central-1';
my $kms_key = cli($admin, qw(kms create-key --query KeyMetadata.Arn));
my ($id) = $kms_key =~ m{key/(.*)};
my @deploy = ('-s', 'hr', '-n', 'keys/hr', '-k', $kms_key, '-r', $region, '-l', 'trail', '-t', $topic);
cli($admin, qw(kms disable-key --key-id), $id);
($status, $out, $err) = script($admin, 'deploy.sh', \@deploy);
is($status, 1, 'a disabled KMS key');
like($err, qr/it is Disabled/, 'is refused');
cli($admin, qw(kms enable-key --key-id), $id);
my $keys = cli($admin, qw(kms list-keys --query), 'length(Keys)');
($status, $out, $err) = script($admin, 'deploy.sh', \@deploy);
is($status, 0, 'deploy.sh with all options') or diag $err;
%outputs = $out =~ /^(\w+(?:Arn|Name)) +(\S+)$/mg;
is($outputs{KmsKeyArn}, $kms_key, 'the KMS key is the one that there was');
is(cli($admin, qw(kms list-keys --query), 'length(Keys)'), $keys, 'no other was made');
is(cli($admin, qw(secretsmanager describe-secret --secret-id keys/hr --query KmsKeyId)), $kms_key, 'it encrypts the secret');
for my $policy ('ReaderPolicyArn', 'AdminPolicyArn')
{
	my $document = cli($admin, qw(iam get-policy-version --version-id v1 --query PolicyVersion.Document --policy-arn), $outputs{$policy});
	is_deeply([ map { $_->{Resource} } grep { "@{[ ref $_->{Action} ? @{ $_->{Action} } : $_->{Action} ]}" =~ /kms:/ } @{ $document->{Statement} } ], [ ($kms_key) x ($policy eq 'ReaderPolicyArn' ? 1 : 2) ], "$policy names it");
}
like(cli($admin, qw(logs describe-metric-filters --log-group-name trail --query metricFilters[0].filterPattern)), qr/\Q*$kms_key*\E/, 'the metric filter, too');
@again = script($admin, 'deploy.sh', [ '-s', 'hr', '-r', $region ]);
is($again[0], 0, 'deploy.sh once more') or diag $again[2];
like($again[1], qr/^KmsKeyArn +\Q$kms_key\E$/m, 'it keeps the KMS key');
is(cli($admin, qw(logs describe-metric-filters --log-group-name trail --query metricFilters[0].metricTransformations[0].metricName)), 'DeniedReads-hr', 'the metric filter');
my $hr = create_user('hr', $outputs{AdminPolicyArn});
my $maker = cli($admin, qw(kms create-key --query KeyMetadata.Arn --region eu-west-1));
cli($admin, qw(iam put-user-policy --user-name hr --policy-name outputs --policy-document), '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": "*"}]}');
($status, $out, $err) = script($hr, 'create_key.sh', [ '-s', 'hr', '-k', $maker ]);
is($status, 1, 'create_key.sh with a KMS key that the user may not use');
like($err, qr/kms:GenerateDataKey.*no key was made by KMS key \Q$maker\E/s, 'tells what is missing');
is(cli($admin, qw(secretsmanager describe-secret --secret-id keys/hr --query VersionIdsToStages)), undef, 'the secret is still empty');
cli($admin, qw(iam put-user-policy --user-name hr --policy-name maker --policy-document), qq({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": "$maker"}]}));
my $made = data_keys() + 1;
{
	local $ENV{PATH} = "$folder/shims:$ENV{PATH}";
	local @ENV{@variables} = ('x') x @variables;
	unlink "$folder/calls";
	($status, $out, $err) = script($hr, 'create_key.sh', [ '-s', 'hr', '-o', 'raw', '-k', $maker ]);
}
is($status, 0, 'create_key.sh -o raw, with a KMS key of another region') or diag $err;
is(data_keys(), $made, 'KMS made the key');
aws_keyring($node, 'hr', secret_id => 'keys/hr', region => 'eu-central-1', endpoint => $moto->url);
serve($admin);
is($node->safe_psql('postgres', "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'hr'), keyring => 'hr'), pseudo.pseudonym_key_id(pseudo.pseudonymize('x', keyring => 'hr')) IS NULL"), 'x|t', 'the database writes with it');
my $service = JSON::PP::decode_json(cli($admin, qw(secretsmanager get-secret-value --query SecretString --secret-id keys/hr)));
is(join(' ', sort keys %$service), 'encodedNonceKey encodedSecretKey nonceEndPos nonceStrPos', 'the REST service\'s document');
is(length(decode_base64($service->{encodedSecretKey})) . length(decode_base64($service->{encodedNonceKey})), '3232', '32 bytes each');
is(join('', map { decode_base64($_) } @$service{qw(encodedSecretKey encodedNonceKey)}), decode_base64(slurp_file("$folder/plaintext")), 'they are those of KMS');
$calls = slurp_file("$folder/calls");
like($calls, qr/^aws .*--region eu-west-1 .*generate-data-key .*--number-of-bytes 64/m, 'the calls were seen');
unlike($calls, qr/\Q$_\E/, 'nothing of the key on a command line or in an environment') for @$service{qw(encodedSecretKey encodedNonceKey)}, slurp_file("$folder/plaintext") =~ /(\S+)/;

# The other names of a KMS key.
cli($admin, qw(kms create-alias --alias-name alias/pseudo --target-key-id), $id);
for my $name ($id, 'alias/pseudo', $kms_key =~ s{key/.*}{alias/pseudo}r)
{
	cli($admin, qw(secretsmanager create-secret --name), 'keys/' . ++$made);
	($status, $out, $err) = script($admin, 'create_key.sh', [ '-n', "keys/$made", '-k', $name ]);
	is($status, 0, "create_key.sh -k $name") or diag $err;
	is(data_keys(), $made, 'KMS made the key');
}

cli($admin, qw(secretsmanager create-secret --name keys/empty));
aws_keyring($node, 'empty', secret_id => 'keys/empty', region => $region, endpoint => $moto->url);
is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('empty', output_prefix => 'raw')"), '1', 'pseudo_create_key() fills an empty secret');
is(join(' ', sort keys %{ JSON::PP::decode_json(cli($admin, qw(secretsmanager get-secret-value --query SecretString --secret-id keys/empty))) }), join(' ', sort keys %$service), 'as create_key.sh does');
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'hr', '-D', '-y' ]);
is($status, 0, 'destroy.sh -D') or diag $err;
like($out, qr/restore-secret/, 'it says how to get the secret back');
unlike($out, qr/schedule-key-deletion/, 'and nothing of a KMS key that was not the stack\'s');
is(cli($admin, qw(kms describe-key --query KeyMetadata.KeyState --key-id), $kms_key), 'Enabled', 'which stays');
like(cli($admin, qw(secretsmanager get-secret-value --secret-id keys/hr)), qr/marked for deletion/, 'which is deleted');
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_refresh_keyring('hr')"), qr/^55000: .*marked for deletion/, 'for the database, too');

# A stack that was never complete has no outputs.
put_file("$folder/broken.json", '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}');
cli($admin, qw(cloudformation create-stack --stack-name broken --template-body), "file://$folder/broken.json");
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'broken', '-D', '-y' ]);
is($status, 1, 'destroy.sh -D without a secret');
like($err, qr/never complete.*name it with -n/, 'asks for its name');
($status, $out, $err) = script($admin, 'destroy.sh', [ '-s', 'broken', '-n', 'keys/empty', '-D', '-y' ]);
is($status, 0, 'destroy.sh -n -D') or diag $err;
like(cli($admin, qw(secretsmanager get-secret-value --secret-id keys/empty)), qr/marked for deletion/, 'deletes that one');

$node->stop;
$moto->stop;
done_testing();
