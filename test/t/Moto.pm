# moto's server for the tests: Secrets Manager, KMS, STS, IAM and CloudFormation, started by test/aws/moto_server.py.
#
# my $moto = Moto->start(@options);	# those of moto_server.py; undef where there is no moto here
# $moto->url; $moto->admin (access key id, secret); $moto->boto('boto3 code that uses client(SERVICE)'); $moto->stop
package Moto;

use strict;
use warnings;

use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils;

my %running;

# The Python that has moto, or undef.
sub python
{
	my $python = $ENV{PSEUDO_PYTHON} // return;

	return IPC::Run::run([ $python, '-c', 'import moto.server, boto3' ], '<', \undef, '>', \my $out, '2>', \my $err) ? $python : undef;
}

sub start
{
	my ($class, @options) = @_;
	my $python = python() // return;
	my $self = bless { python => $python, out => '', log => "${PostgreSQL::Test::Utils::tmp_check}/log/moto_$$.log" }, $class;

	mkdir "${PostgreSQL::Test::Utils::tmp_check}/log";
	$self->{run} = IPC::Run::start([ $python, "$FindBin::RealBin/../aws/moto_server.py", @options ], '<', \undef, '>', \$self->{out}, '2>', $self->{log}, IPC::Run::timer(60));
	$self->{run}->pump until $self->{out} =~ /^port (\d+)$/m || !$self->{run}->pumpable;
	($self->{port}) = $self->{out} =~ /^port (\d+)$/m or die "moto did not start: " . slurp_file($self->{log});
	$self->{admin} = [ $1, $2 ] if $self->{out} =~ /^admin (\S+) (\S+)$/m;
	$running{$self} = $self;
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]->{port}" }

sub admin { return @{ $_[0]->{admin} // [ 'AKIAIOSFODNN7EXAMPLE', 'secret' ] } }

# Run Python with boto3; returns what it prints.
sub boto
{
	my ($self, $code) = @_;
	my ($id, $secret) = $self->admin;
	my $start = "import boto3, json, sys\ndef client(service):\n    return boto3.client(service, endpoint_url='" . $self->url
	  . "', region_name='eu-west-1', aws_access_key_id='$id', aws_secret_access_key='$secret')\n";

	my ($out, $err);

	IPC::Run::run([ $self->{python}, '-' ], '<', \"$start$code\n", '>', \$out, '2>', \$err) or die "boto3: $err";
	chomp $out;
	return $out;
}

sub stop
{
	my ($self) = @_;

	$self->{run}->kill_kill(grace => 2) if delete $running{$self};
}

END
{
	local $?;
	$_->stop for values %running;
}

1;
