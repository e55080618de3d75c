# A small HTTP(S) server for the tests: what AWS's services and the metadata services of a host answer, and every fault.
#
# my $e = Endpoint->new(tls => {cert => $path, key => $path});	# or without tls
# $e->rules([{method => 'POST', target => 'secretsmanager.GetSecretValue', answer => secret($document, $version)}, ...]);
#
# A rule is for the requests that its conditions hold for (the first rule counts):
#   method, target (the X-Amz-Target): equal; path, body: regular expressions; headers => {name => regular expression}; lacks => [names]
#   times => n: only for the first n of them
# and says what becomes of them:
#   answer => an answer, or a list of them, used in turn (the last one goes on)
#   forward => 'http://127.0.0.1:port': what that server answers; with fail_every => n or fail_share => 0.3, failures => [answers];
#     with delay => seconds before; with lose => seconds after which the answer is lost
#   tunnel => 'host:port': for CONNECT, which makes this a proxy
# An answer: status, headers => {}, type, body; date => seconds that the Date header is ahead; and the faults
#   delay => seconds; hang => 'before' or 'body' (in its middle); cut => bytes of the body, then the end; close => 1 (no answer);
#   length => a wrong Content-Length; size => bytes of a generated body
#
# The server is a process of its own, with one more for each connection.  It ends with the test's process, however that ends.
package Endpoint;

use strict;
use warnings;

use Exporter 'import';
use Fcntl qw(:flock);
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64;
use POSIX ();
use Socket qw(MSG_PEEK);
use Time::HiRes;

our @EXPORT = qw(secret aws_error credentials_document imds_rules container_rules sts_rules make_certificates clean_environment with_environment aws_keyring);

my $json = JSON::PP->new->ascii->canonical;
my %running;
my @held;	# sockets that hold each port until the test ends: who still knocks at one that has stopped reaches no other test's endpoint

#
# The test's side
#

sub new
{
	my ($class, %args) = @_;
	my $address = $args{address} // '127.0.0.1';
	my $holder = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => $address, LocalPort => $args{port} // 0, ReuseAddr => 1)
	  or die "no port for the endpoint: $@";
	my $listener = IO::Socket::INET->new(Listen => 128, LocalAddr => $address, LocalPort => $holder->sockport, ReuseAddr => 1)
	  or die "no listener for the endpoint: $@";
	my $self = bless { tls => $args{tls}, port => $listener->sockport, folder => File::Temp::tempdir('endpoint-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, $class;

	push @held, $holder;
	$self->rules($args{rules} // []);
	$self->forget;
	pipe(my $alive, $self->{alive}) or die "pipe: $!";
	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		# Nothing of the test's may run here, its END blocks least of all.
		eval { $self->_serve($listener, $alive) };
		POSIX::_exit(0);
	}
	$running{ $self->{pid} } = $self;
	setpgrp($self->{pid}, $self->{pid});
	return $self;
}

sub port { return $_[0]->{port} }

sub url { return ($_[0]->{tls} ? 'https' : 'http') . "://127.0.0.1:$_[0]->{port}" }

# Set the rules; counting starts anew.
sub rules
{
	my ($self, $rules) = @_;

	_replace("$self->{folder}/rules", $json->encode({ generation => ++$self->{generation}, rules => _plain($rules) }));
}

# The requests so far, oldest first: method, path, headers (lower-case names), body, time; those that conditions, as a rule's, hold for.
sub requests
{
	my ($self, %conditions) = @_;

	return grep { _matches(_plain(\%conditions), $_) } map { $json->decode($_) } split /\n/, _slurp("$self->{folder}/requests");
}

sub count
{
	my ($self, %conditions) = @_;

	return scalar $self->requests(%conditions);
}

# The connections so far, with those whose TLS failed, oldest first: when they came, from which port, and what came first: TLS,
# another protocol, or nothing.
sub connections { return split /\n/, _slurp("$_[0]->{folder}/connections") }

# Forget the requests and connections so far.
sub forget
{
	my ($self) = @_;
	my $lock = $self->_lock;

	_replace("$self->{folder}/$_", '') for qw(requests connections);
}

# End it; its port then refuses connections.
sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;
	local $?;

	delete $running{$pid};
	close delete $self->{alive};
	kill 'KILL', -$pid;
	waitpid $pid, 0;
}

sub DESTROY { $_[0]->stop if $_[0]->{pid} && $running{ $_[0]->{pid} } }
END { $_->stop for values %running }

#
# Answers and rules
#

# What GetSecretValue answers: a document, or with binary => 1 as SecretBinary.
sub secret
{
	my ($document, $version, %more) = @_;
	my %body = (
		ARN => 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-AbCdEf', Name => 'test', CreatedDate => 1700000000.123,
		VersionId => $version // 'd5d5d5d5-0000-4000-8000-000000000001', VersionStages => ['AWSCURRENT']);

	$body{ $more{binary} ? 'SecretBinary' : 'SecretString' } = $more{binary} ? encode_base64($document, '') : $document;
	return _json(200, \%body);
}

# An error of AWS's services that speak JSON.
sub aws_error
{
	my ($code, $message, $status, %more) = @_;

	return { %{ _json($status // 400, { __type => $code, Message => $message // 'The message of the error.' }) }, %more };
}

sub _json
{
	my ($status, $body) = @_;

	return { status => $status, type => 'application/x-amz-json-1.1', body => $json->encode($body), headers => { 'x-amzn-RequestId' => '11111111-2222-3333-4444-555555555555' } };
}

# A time as AWS writes it, seconds from now.
sub _when { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0])) }

# Temporary credentials as metadata services give them: id, secret, token, seconds until they expire.
sub credentials_document
{
	my ($id, $secret, $token, $seconds) = @_;

	return $json->encode({ Code => 'Success', LastUpdated => _when(0), Type => 'AWS-HMAC', AccessKeyId => $id, SecretAccessKey => $secret, Token => $token, Expiration => _when($seconds // 21600) });
}

# IMDSv2 alone: without a session token nothing but 401.
sub imds_rules
{
	my (%args) = @_;
	my %with = (method => 'GET', headers => { 'x-aws-ec2-metadata-token' => '^imds-session-token$' });
	my $text = sub { return { type => 'text/plain', body => $_[0] } };

	return (
		{ method => 'PUT', path => '^/latest/api/token$', headers => { 'x-aws-ec2-metadata-token-ttl-seconds' => '^\d+$' }, answer => $text->('imds-session-token') },
		$args{role} ? ({ %with, path => '^/latest/meta-data/iam/security-credentials/$', answer => $text->($args{role}) },
			{ %with, path => "^/latest/meta-data/iam/security-credentials/$args{role}\$", answer => { type => 'text/plain', body => $args{credentials} } }) : (),
		$args{region} ? ({ %with, path => '^/latest/meta-data/placement/region$', answer => $text->($args{region}) },
			{ %with, path => '^/latest/dynamic/instance-identity/document$', answer => $text->($json->encode({ region => $args{region} })) }) : (),
		{ %with, path => '^/latest/', answer => { status => 404, type => 'text/html', body => 'Not Found' } },
		{ path => '^/latest/', answer => { status => 401, type => 'text/html', body => 'Unauthorized' } });
}

# The endpoint of ECS and of EKS Pod Identity: credentials for a path, for who brings the authorization where there is one.
sub container_rules
{
	my ($path, $credentials, $authorization) = @_;

	return (
		{ method => 'GET', path => "^\Q$path\E\$", $authorization ? (headers => { authorization => "^\Q$authorization\E\$" }) : (), answer => { type => 'application/json', body => $credentials } },
		{ method => 'GET', path => "^\Q$path\E\$", answer => { status => 401, type => 'application/json', body => '{"code": "Unauthorized", "message": "no"}' } });
}

# What STS answers to AssumeRole and AssumeRoleWithWebIdentity.
sub sts_rules
{
	my (%args) = @_;

	return map {
		my $action = $_;
		{ method => 'POST', path => '^/$', body => "(^|&)Action=$action(&|\$)", answer => { type => 'text/xml', body => <<XML } }
<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <${action}Result>
    <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:pseudo</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/reader/pseudo</Arn></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>$args{id}</AccessKeyId>
      <SecretAccessKey>$args{secret}</SecretAccessKey>
      <SessionToken>$args{token}</SessionToken>
      <Expiration>@{[_when($args{seconds} // 3600)]}</Expiration>
    </Credentials>
  </${action}Result>
  <ResponseMetadata><RequestId>66666666-7777-8888-9999-000000000000</RequestId></ResponseMetadata>
</${action}Response>
XML
	} qw(AssumeRole AssumeRoleWithWebIdentity);
}

# Certificates, made now in a folder: ca.pem, and NAME.pem with NAME.key for good (localhost, 127.0.0.1, sm.test), wrong (another
# name), expired, and unknown (by a CA that is not ca.pem).
sub make_certificates
{
	my ($folder) = @_;
	my $run = sub { my $said = `cd '$folder' && $_[0] 2>&1`; die "$_[0]\n$said" if $? != 0 };
	my $key = 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
	my $names = 'DNS:localhost,DNS:sm.test,IP:127.0.0.1';
	my %kinds = (good => [ 'ca', $names, 2 ], wrong => [ 'ca', 'DNS:elsewhere.test', 2 ], expired => [ 'ca', $names, 0 ], unknown => [ 'other', $names, 2 ]);

	$run->("$key -x509 -days 2 -subj '/CN=$_' -keyout $_.key -out $_.pem") for qw(ca other);
	for my $kind (sort keys %kinds)
	{
		my ($ca, $alt, $days) = @{ $kinds{$kind} };

		_replace("$folder/$kind.ext", "subjectAltName=$alt\n");
		$run->("$key -subj '/CN=$kind' -keyout $kind.key -out $kind.csr");
		$run->("openssl x509 -req -in $kind.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days $days -extfile $kind.ext -out $kind.pem");
	}
	return map { $_ => { cert => "$folder/$_.pem", key => "$folder/$_.key" } } keys %kinds;
}

# Take what could reach AWS or a proxy out of the test's own environment, and so out of that of every server started from now on.
sub clean_environment
{
	my ($home) = @_;

	delete $ENV{$_} for grep { /^AWS_|_proxy$/i } keys %ENV;
	mkdir $home;
	$ENV{HOME} = $home;
	$ENV{AWS_EC2_METADATA_DISABLED} = 'true';
}

# Start a server again, with these environment variables (undef: without) in it alone.
sub with_environment
{
	my ($node, $variables) = @_;
	local %ENV = %ENV;

	$node->stop('fast') if $node->{_pid};
	for my $name (keys %$variables)
	{
		delete $ENV{$name};
		$ENV{$name} = $variables->{$name} if defined $variables->{$name};
	}
	$node->start;
}

# A keyring of a secret at an endpoint.
sub aws_keyring
{
	my ($node, $name, %options) = @_;

	%options = (provider => 'aws', secret_id => 'test', %options);
	$node->safe_psql('postgres', "DROP SERVER IF EXISTS $name; CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS ("
		  . join(', ', map { "$_ '$options{$_}'" } grep { defined $options{$_} } sort keys %options) . ')');
}

#
# Files
#

sub _slurp
{
	my ($path) = @_;

	open my $file, '<:raw', $path or return '';
	local $/;
	return <$file> // '';
}

sub _replace
{
	my ($path, $content) = @_;

	open my $file, '>:raw', "$path.$$" or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	rename "$path.$$", $path or die "$path: $!";
}

sub _append
{
	my ($path, $line) = @_;

	open my $file, '>>:raw', $path or die "$path: $!";
	print $file "$line\n";
	close $file or die "$path: $!";
}

# Held until the result goes out of scope.
sub _lock
{
	my ($self) = @_;

	open my $lock, '>>', "$self->{folder}/lock" or die "lock: $!";
	flock $lock, LOCK_EX or die "lock: $!";
	return $lock;
}

# As JSON can hold it: regular expressions as text.
sub _plain
{
	my ($value) = @_;

	return [ map { _plain($_) } @$value ] if ref $value eq 'ARRAY';
	return { map { $_ => _plain($value->{$_}) } keys %$value } if ref $value eq 'HASH';
	return ref $value ? "$value" : $value;
}

#
# The server's side
#

sub _serve
{
	my ($self, $listener, $alive) = @_;
	my $both = IO::Select->new($listener, $alive);

	setpgrp;
	delete @SIG{qw(__DIE__ __WARN__ TERM INT ALRM)};
	@SIG{qw(CHLD PIPE)} = ('IGNORE', 'IGNORE');
	close $_->{alive} for $self, values %running;
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', "$self->{folder}/log";
	open STDERR, '>&', \*STDOUT;
	STDERR->autoflush(1);
	require IO::Socket::SSL if $self->{tls};
	while (1)
	{
		my @ready = $both->can_read;

		last if grep { $_ == $alive } @ready;
		next unless @ready;
		my $socket = $listener->accept or next;
		my $pid = fork;
		if (defined $pid && $pid == 0)
		{
			alarm 120;
			srand;				# else all connections throw the same dice
			close $listener;
			eval { $self->_converse($socket); 1 } or print STDERR $@;
			POSIX::_exit(0);
		}
		close $socket;
	}
	kill 'KILL', -$$;
}

# Note what a connection begins with; it stays to be read.
sub _note_connection
{
	my ($self, $socket) = @_;
	my $from = $socket->peerport // 'a port that is closed';
	my $came = Time::HiRes::time();

	recv $socket, my $first, 1, MSG_PEEK;
	my $what = !length($first // '') ? 'nothing' : $first eq "\x16" ? 'TLS' : 'another protocol';
	my $lock = $self->_lock;
	_append("$self->{folder}/connections", "$came from $from: $what");
}

# One connection: requests and answers until one side has enough.
sub _converse
{
	my ($self, $socket) = @_;

	$socket->autoflush(1);
	if ($self->{tls})
	{
		$self->_note_connection($socket);
		IO::Socket::SSL->start_SSL($socket, SSL_server => 1, SSL_cert_file => $self->{tls}{cert}, SSL_key_file => $self->{tls}{key})
		  or die 'TLS: ' . IO::Socket::SSL::errstr() . "\n";
	}
	my $buffer = '';
	while (my $request = _read_request($socket, \$buffer))
	{
		$self->_act($socket, $request) or last;
	}
	close $socket;
}

# Read until the buffer holds what is wanted; false at the end.
sub _fill
{
	my ($socket, $buffer, $enough) = @_;

	while (!$enough->())
	{
		$socket->sysread($$buffer, 65536, length $$buffer) or return 0;
	}
	return 1;
}

sub _read_request
{
	my ($socket, $buffer) = @_;

	_fill($socket, $buffer, sub { $$buffer =~ /\r\n\r\n/ }) or return;
	my ($head) = $$buffer =~ /^(.*?\r\n)\r\n/s;
	my ($first, @lines) = split /\r\n/, $head;
	my %headers = map { /^([^:]+):\s*(.*?)\s*$/ ? (lc $1 => $2) : () } @lines;
	my ($method, $path) = split / /, $first;
	my $length = $headers{'content-length'} // 0;

	substr $$buffer, 0, 2 + length $head, '';
	_write($socket, "HTTP/1.1 100 Continue\r\n\r\n") if lc($headers{expect} // '') eq '100-continue';
	_fill($socket, $buffer, sub { length $$buffer >= $length }) or return;
	return { method => $method, path => $path, headers => \%headers, head => $head, body => substr($$buffer, 0, $length, ''), time => Time::HiRes::time() };
}

# Do the conditions of a rule hold for a request?
sub _matches
{
	my ($rule, $request) = @_;
	my $headers = $request->{headers};
	my $wanted = $rule->{headers} // {};

	return 0 if defined $rule->{method} && $rule->{method} ne $request->{method};
	return 0 if defined $rule->{target} && $rule->{target} ne ($headers->{'x-amz-target'} // '');
	return 0 if grep { defined $rule->{$_} && $request->{$_} !~ /$rule->{$_}/ } qw(path body);
	return 0 if grep { ($headers->{$_} // '') !~ /$wanted->{$_}/ } keys %$wanted;
	return 0 if grep { exists $headers->{$_} } @{ $rule->{lacks} // [] };
	return 1;
}

# Note a request, and find what is to become of it: an answer, or {forward => ...}, or {tunnel => ...}.
sub _decide
{
	my ($self, $request) = @_;
	my $lock = $self->_lock;
	my $book = $json->decode(_slurp("$self->{folder}/rules"));
	my $state = eval { $json->decode(_slurp("$self->{folder}/state")) } // { generation => 0 };
	my $decision = { status => 404, type => 'text/plain', body => 'the test has no rule for this' };

	$state = { generation => $book->{generation}, counts => {} } if $state->{generation} != $book->{generation};
	_append("$self->{folder}/requests", $json->encode($request));
	for my $i (0 .. $#{ $book->{rules} })
	{
		my $rule = $book->{rules}[$i];

		next if !_matches($rule, $request) || ($rule->{times} && ($state->{counts}{$i} // 0) >= $rule->{times});
		$decision = _choose($rule, ++$state->{counts}{$i});
		last;
	}
	_replace("$self->{folder}/state", $json->encode($state));
	return $decision;
}

# What a rule does with its n-th request.
sub _choose
{
	my ($rule, $n) = @_;
	my $failures = $rule->{failures} // [];
	my $every = $rule->{fail_every};

	return $failures->[ ($n / $every - 1) % @$failures ] if $every && $n % $every == 0;
	return $failures->[ rand @$failures ] if $rule->{fail_share} && rand() < $rule->{fail_share};
	return $rule if $rule->{forward} || $rule->{tunnel};
	return $rule->{answer} if ref $rule->{answer} ne 'ARRAY';
	return $rule->{answer}[ $n <= @{ $rule->{answer} } ? $n - 1 : -1 ];
}

# Returns whether the connection stays.
sub _act
{
	my ($self, $socket, $request) = @_;
	my $decision = $self->_decide($request);

	Time::HiRes::sleep($decision->{delay}) if $decision->{delay};
	return _forward($socket, $request, @$decision{qw(forward lose)}) if $decision->{forward};
	return _tunnel($socket, $decision->{tunnel}) if $decision->{tunnel};
	return _answer($socket, $decision);
}

sub _write
{
	my ($socket, $data) = @_;
	my $done = 0;

	while ($done < length $data)
	{
		$done += $socket->syswrite($data, length($data) - $done, $done) || return 0;
	}
	return 1;
}

# Wait until the other side gives up.
sub _hang
{
	my ($socket) = @_;

	IO::Select->new($socket)->can_read(100);
	return 0;
}

sub _answer
{
	my ($socket, $answer) = @_;
	my $body = $answer->{body} // '';
	my $length = $answer->{length} // $answer->{size} // length $body;
	my %headers = (
		'Content-Type' => $answer->{type} // 'text/plain', 'Content-Length' => $length,
		Date => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + ($answer->{date} // 0))), %{ $answer->{headers} // {} });
	my $status = $answer->{status} // 200;

	return 0 if $answer->{close};
	return _hang($socket) if ($answer->{hang} // '') eq 'before';
	_write($socket, "HTTP/1.1 $status Status\r\n" . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers) . "\r\n") or return 0;
	if ($answer->{size})
	{
		my $block = 'x' x 65536;

		for (my $left = $answer->{size}; $left > 0; $left -= length $block)
		{
			_write($socket, substr $block, 0, $left) or return 0;
		}
	}
	$body = substr $body, 0, length($body) / 2 if ($answer->{hang} // '') eq 'body';
	$body = substr $body, 0, $answer->{cut} if defined $answer->{cut};
	_write($socket, $body) or return 0;
	return _hang($socket) if $answer->{hang};
	return !defined $answer->{cut} && !defined $answer->{length};
}

sub _connect
{
	my ($address) = @_;

	return IO::Socket::INET->new(PeerAddr => $address =~ s{^http://|/$}{}gr, Timeout => 10);
}

# Pass a request on as it is, but for the connection's end, and the answer back.
sub _forward
{
	my ($socket, $request, $url, $lose) = @_;
	my $other = _connect($url) or return _answer($socket, { status => 502, body => "no server at $url" });
	my $head = $request->{head} =~ s/^(?:Connection|Expect):.*\r\n//gimr;

	_write($other, "${head}Connection: close\r\n\r\n$request->{body}") or return 0;
	while ($other->sysread(my $data, 65536))
	{
		$lose || _write($socket, $data) or last;
	}
	Time::HiRes::sleep($lose) if $lose;
	return 0;
}

# Carry bytes both ways.
sub _tunnel
{
	my ($socket, $address) = @_;
	my $other = _connect($address) or return _answer($socket, { status => 502, body => "no server at $address" });
	my $both = IO::Select->new($socket, $other);

	_write($socket, "HTTP/1.1 200 Connection established\r\n\r\n") or return 0;
	while (my @ready = $both->can_read(100))
	{
		for my $from (@ready)
		{
			$from->sysread(my $data, 65536) or return 0;
			_write($from == $socket ? $other : $socket, $data) or return 0;
		}
	}
	return 0;
}

1;
