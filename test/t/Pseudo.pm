# What the TAP tests share: a server with the extension, keyring files, sessions that stay open.
package Pseudo;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes ();

our @EXPORT = qw(start_server put_file add_keyring session ask leave error_of crash processes no_shims compile_shim);

# Is the library to be preloaded, in all servers?  A test that is about one way says so in its server's configuration.
our $preload = $ENV{PSEUDO_PRELOAD} ? 1 : 0;

# Where it is: the configuration of a server whose sessions ask for their keys themselves, since each request is a test of its own; and
# of one without the refresher, since it counts what sessions do.
our $each_asks = $preload ? "pseudo.shared_memory = 0\n" : '';
our $no_refresher = $preload ? "max_worker_processes = 0\n" : '';

# A running server with database "postgres" in UTF-8 and the extension in schema pseudo.
sub start_server
{
	my ($name, $conf, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%init, extra => [ '--no-locale', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pseudo'") if $preload;
	$node->append_conf('postgresql.conf', $conf // '');
	$node->start;
	$node->safe_psql('postgres', 'CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo');
	return $node;
}

# Write a file as an administrator should: mode 0600, in one step.  It has the time of an older one, so that nobody waits for it to
# settle.
sub put_file
{
	my ($path, $content) = @_;

	open my $file, '>:raw', "$path.new" or die "$path.new: $!";
	chmod 0600, "$path.new";
	print $file $content;
	close $file or die "$path.new: $!";
	my $earlier = Time::HiRes::time() - 60;
	Time::HiRes::utime($earlier, $earlier, "$path.new");
	rename "$path.new", $path or die "$path: $!";
}

# A keyring of a file; returns the file's path.
sub add_keyring
{
	my ($node, $name, $document, %options) = @_;
	my $path = $options{path} // $node->data_dir . "/$name.json";
	my $more = join '', map { ", $_ '$options{$_}'" } grep { $_ ne 'path' } sort keys %options;

	put_file($path, $document) if defined $document;
	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$path'$more)");
	return $path;
}

# A psql that stays open; each thing that it is asked may take three minutes.
sub session
{
	my ($node, $database) = @_;
	my $self = { in => '', out => '', err => '', timeout => IPC::Run::timeout(180) };

	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr($database // 'postgres') ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		$self->{timeout});
	ask($self, '\set VERBOSITY verbose');
	return $self;
}

# Run SQL in a session; returns the lines that it gives (without empty ones), then "SQLSTATE: message" of
# an error, "WARNING: message" of a warning.
sub ask
{
	my ($self, $sql) = @_;

	$self->{out} = $self->{err} = '';
	$self->{timeout}->start;
	$self->{in} .= "$sql\n;\n\\echo == done\n\\warn == done\n";
	$self->{run}->pump until $self->{out} =~ /^== done\n/m && $self->{err} =~ /^== done\n/m;
	my ($out, $err) = ($self->{out}, $self->{err});
	s/^== done\n//m for $out, $err;
	my @said = map { /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC):\s+(.*)/ ? $1 : /^(?:psql:\S+ )?WARNING:\s+\w{5}: (.*)/ ? "WARNING: $1" : () } split /\n/, $err;
	return join "\n", grep { length } split(/\n/, $out), @said;
}

sub leave
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	$self->{run}->finish;
}

# What a statement in a session of its own fails with, as "SQLSTATE: message".
sub error_of
{
	my ($node, $database, $sql) = @_;
	my ($code, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n$sql");

	return $err =~ /ERROR:\s+(.*)/ ? $1 : "no error: $out";
}

# Kill a process of a server, and wait until the server has started again.  Who connects before that gets no further than psql's
# start, and psql may have ended when its input is written.
sub crash
{
	my ($node, $pid) = @_;
	my $logged = -s $node->logfile;

	kill 'KILL', $pid;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $logged);
	$node->poll_query_until('postgres', undef, '') or die 'the server does not come back';
}

# The processes of a server with this title.
sub processes
{
	my ($node, $title) = @_;
	my $read = sub { eval { PostgreSQL::Test::Utils::slurp_file($_[0]) } // '' };
	my $postmaster = (split /\n/, $read->($node->data_dir . '/postmaster.pid'))[0];

	return grep { $read->("/proc/$_/stat") =~ /^\d+ \(.*\) \S $postmaster / && $read->("/proc/$_/cmdline") =~ /$title/ }
	  map { m{^/proc/(\d+)$} ? $1 : () } glob '/proc/[0-9]*';
}

# The C compiler for shims, which take the place of a library's functions under LD_PRELOAD.
sub compiler { return (grep { system("command -v $_ >/dev/null 2>&1") == 0 } qw(cc gcc clang))[0] }

# Why there can be no shims here, or undef.
sub no_shims { return !compiler() ? 'no C compiler' : `ldd --version 2>&1` =~ /musl/ ? 'musl' : undef }

# Compile a shim; returns the library's path.
sub compile_shim
{
	my ($folder, $name, $code, @flags) = @_;

	PostgreSQL::Test::Utils::append_to_file("$folder/$name.c", $code);
	system(compiler(), '-shared', '-fPIC', @flags, '-o', "$folder/$name.so", "$folder/$name.c", '-ldl') == 0 or die "$name.c: $?";
	return "$folder/$name.so";
}

1;
