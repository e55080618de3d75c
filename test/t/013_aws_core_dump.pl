# A core dump of a backend that has loaded a keyring from AWS, and of one that has dropped it again, holds no key, no
# credential and no document; nor does one of a backend that met an error or a cancel on the way.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use IPC::Run ();
use MIME::Base64;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs gcore (gdb)' if system('command -v gcore > /dev/null 2>&1') != 0;

my $secret_key = pack 'H*', '9a1fb2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829aabbccddeeff';
my $nonce_key = pack 'H*', '13572468aceebdf0fdb97531eca86420cafe0123456789abcdef00112233beef';
my $document = sprintf '{"version": 1, "primaryKeyId": 7, "keys": [{"keyId": 7, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "%s", "encodedNonceKey": "%s", "nonceStrPos": 0, "nonceEndPos": 12}]}',
	encode_base64($secret_key, ''), encode_base64($nonce_key, '');
my $access_secret = 'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789ZYXW';
my $token = 'SessionTokenThatNobodyMayEverSee' . 'x' x 300;
my %never = (
	'the key' => $secret_key, 'half of the key' => substr($secret_key, 16), 'the nonce key' => $nonce_key, 'the key in base64' => substr(encode_base64($secret_key, ''), 4, 32),
	'the nonce key in base64' => substr(encode_base64($nonce_key, ''), 4, 32), 'the secret access key' => $access_secret, 'the session token' => substr($token, 0, 32),
	'the key in hex' => unpack('H*', $secret_key));

clean_environment("${PostgreSQL::Test::Utils::tmp_check}/core_home");
my $folder = PostgreSQL::Test::Utils::tempdir();
my %certificates = make_certificates($folder);
my $host = Endpoint->new(rules => [ container_rules('/credentials', credentials_document('AKIDCORE', $access_secret, $token)) ]);
my $sm = Endpoint->new(tls => $certificates{good});
$ENV{AWS_CONTAINER_CREDENTIALS_FULL_URI} = $host->url . '/credentials';
my $node = start_server('core_dump', "log_min_messages = debug5\n");
$node->safe_psql('postgres', "CREATE SERVER crm FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 'test', region 'eu-west-1', endpoint '" . $sm->url . "', ca_file '$folder/ca.pem', timeout '20s')");

my $dumps = 0;

# Look through a core dump of a session's backend.
sub look
{
	my ($session, $when) = @_;
	my $pid = ask($session, 'SELECT pg_backend_pid()');
	my $file = "$folder/core" . ++$dumps;
	my $ok = IPC::Run::run([ 'gcore', '-o', $file, $pid ], '<', \undef, '>', \my $out, '2>', \my $err);

	if (!$ok || !-s "$file.$pid")
	{
		SKIP: { skip "gcore may not look at another process here: $err", 1 }
		return;
	}
	my $core = slurp_file("$file.$pid");
	unlink "$file.$pid";
	cmp_ok(length $core, '>', 1_000_000, "$when: a dump of the backend");
	cmp_ok(index($core, 'pg_backend_pid'), '>', 0, "$when: it can be searched");
	for my $what (sort keys %never)
	{
		my $at = index $core, $never{$what};
		is($at, -1, "$when: $what is not in it") or diag(unpack 'H*', substr $core, $at < 64 ? 0 : $at - 64, 192);
	}
}

# A backend that has keys.
$sm->rules([ { answer => secret($document) } ]);
my $s = session($node);
like(ask($s, q{SELECT pseudo.reidentify(pseudo.pseudonymize('x', true, 'c', 'crm'), 'c', 'crm')}), qr/^x$/, 'keys are there');
look($s, 'with keys');

# One that has dropped them.
is(ask($s, 'DROP SERVER crm'), '', 'the server is dropped');
ask($s, "CREATE SERVER other FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 'test', region 'eu-west-1', endpoint '" . $sm->url . "', ca_file '$folder/ca.pem', timeout '20s')");
like(ask($s, q{SELECT pseudo.pseudonymize('x', true, 'c', 'crm')}), qr/^42704/, 'its keys are gone');
look($s, 'keys dropped');

# Answers that end in an error after the document has been received.
my $t = session($node);
my $answer = secret($document);
$sm->rules([ { answer => { %$answer, cut => length($answer->{body}) - 1 } } ]);
like(ask($t, q{SELECT pseudo.pseudonymize('x', keyring => 'other')}), qr/^08006/, 'a cut-off answer');
$sm->rules([ { answer => { %$answer, body => "$answer->{body} garbage" } } ]);
like(ask($t, q{SELECT pseudo.pseudonymize('x', keyring => 'other')}), qr/^08006/, 'an answer that is no JSON');
$node->safe_psql('postgres', "ALTER SERVER other OPTIONS (SET timeout '20s')");	# a preloaded library makes pauses else
$sm->rules([ { answer => secret("$document garbage") } ]);
like(ask($t, q{SELECT pseudo.pseudonymize('x', keyring => 'other')}), qr/^22023/, 'a document that is no JSON');
$sm->rules([ { answer => { %$answer, length => length($answer->{body}) + 10, hang => 'body' } } ]);
like(ask($t, q{SET statement_timeout = '500ms'; SELECT pseudo.pseudonymize('x', keyring => 'other')}), qr/^(57014|08006)/, 'cancelled in the middle of the document');
look($t, 'after errors');

my $log = slurp_file($node->logfile);
is(index($log, $never{$_}), -1, "the log: $_ is not in it") for sort keys %never;

leave($_) for $s, $t;
$node->stop;
done_testing();
