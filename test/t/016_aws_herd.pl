# Which CAs are read, and how often, by a shim that notes it: those that are asked for and no others, of the system not its bundle,
# and of a load's attempts the first alone.  A herd of new sessions, each of which reads its keys by TLS, is served then.  What
# that costs a processor is noted, not judged.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use List::Util qw(max sum);
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 100;
my $document = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $pseudonym = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';	# of 'x' under it
my $folder = PostgreSQL::Test::Utils::tempdir;
my %certificates = make_certificates($folder);
my %get = (method => 'POST', target => 'secretsmanager.GetSecretValue');
my @good = ({ %get, answer => secret($document) });

# A bundle as large as a system's, the CA of the test at its end; and a hashed directory of the same.
sub make_bundle
{
	my ($count) = @_;
	my $own = slurp_file("$folder/ca.pem");
	my $bundle = '';

	mkdir "$folder/hashed";
	for my $i (1 .. $count)
	{
		my $pem = "$folder/hashed/other$i.pem";

		system('openssl', 'req', '-x509', '-new', '-key', "$folder/other.key", '-subj', "/CN=CA $i", '-days', '2', '-out', $pem) == 0 or die "openssl: $?";
		$bundle .= slurp_file($pem);
	}
	append_to_file("$folder/bundle.pem", $bundle . $own);
	append_to_file("$folder/hashed/own.pem", $own);
	system_log('openssl', 'rehash', "$folder/hashed") == 0 or die 'openssl rehash';
}

clean_environment("$folder/home");
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION)} = ('AKIAHERD', 'herd/secret', 'eu-west-1');
$ENV{SSL_CERT_DIR} = "$folder/hashed";	# the system's, as OpenSSL has it
make_bundle(140);
my $endpoint = Endpoint->new(tls => $certificates{good}, rules => \@good);
my $node = start_server('herd', "max_connections = 120\njit = off\n$Pseudo::each_asks");
my $no_shims = no_shims();
with_environment($node, { LD_PRELOAD => compile_shim($folder, 'shim', <<'C_END', "-DNOTES=\"$folder/notes\"") }) unless $no_shims;
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Note a file or a directory of CAs, and let OpenSSL have it. */
static int
note(const char *function, void *store, const char *path)
{
	int			(*real) (void *, const char *) = dlsym(RTLD_NEXT, function);
	char		line[4096];
	int			notes = open(NOTES, O_CREAT | O_WRONLY | O_APPEND, 0600);
	int			len = snprintf(line, sizeof(line), "%s %s\n", function + sizeof("X509_STORE_load"), path);

	if (write(notes, line, len) != len || close(notes) != 0)
		return 0;
	return real(store, path);
}

int
X509_STORE_load_file(void *store, const char *path)
{
	return note("X509_STORE_load_file", store, path);
}

int
X509_STORE_load_path(void *store, const char *path)
{
	return note("X509_STORE_load_path", store, path);
}
C_END
my %common = (endpoint => $endpoint->url, timeout => '300s');
aws_keyring($node, 'one', %common, ca_file => "$folder/ca.pem");
aws_keyring($node, 'bundle', %common, ca_file => "$folder/bundle.pem");
aws_keyring($node, 'system', %common);

# The milliseconds of CPU of each statement that the log accounts for, from a place on.  What it waits costs the system's part
# alone, what it parses the user's.
sub costs_since { return map { /([\d.]+) s user, [\d.]+ s system, [\d.]+ s elapsed/ ? 1000 * $1 : () } split /\n/, slurp_file($node->logfile, $_[0]) }

# What was read, with how often; nothing of it is left.
sub reads
{
	my %reads;

	return {} unless -e "$folder/notes";
	$reads{$_}++ for split /\n/, slurp_file("$folder/notes");
	unlink "$folder/notes";
	return \%reads;
}

# The median of what a first load costs, of sessions one after the other.
sub cost
{
	my ($keyring, $count) = @_;
	my @costs;

	for (1 .. $count)
	{
		my $from = -s $node->logfile;

		is($node->safe_psql('postgres', "SET log_statement_stats = on; SELECT pseudo.pseudonymize('x', true, '', '$keyring')"), $pseudonym, "$keyring: served");
		push @costs, max(costs_since($from));
	}
	return (sort { $a <=> $b } @costs)[ @costs / 2 ];
}

# What a first load costs on average where all sessions begin at once; all of them must be served.
sub herd
{
	my ($keyring) = @_;
	my $from = -s $node->logfile;
	my $script = "$folder/$keyring.sql";

	append_to_file($script, "SELECT pseudo.pseudonymize('x', true, '', '$keyring') = '$pseudonym' AS same \\gset\n\\if :same\nSELECT pseudo.pseudonym_key_id('$pseudonym');\n\\else\nSELECT 1/0;\n\\endif\n");
	local $ENV{PGOPTIONS} = '-c log_statement_stats=on';
	$node->command_like([ 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', 1, '-f', $script, 'postgres' ],
		qr{number of transactions actually processed: $sessions/$sessions}, "$keyring, a herd: all are served");
	return sum(map { $_ // 0 } costs_since($from)) / $sessions;
}

my %cost = map { $_ => cost($_, 9) } qw(one bundle system);
reads();
my %herd = (system => herd('system'));
my $of_system = reads();
$herd{bundle} = herd('bundle');
my $of_bundle = reads();

# Retries: the third attempt is the good one.  What a bundle adds, it adds once.
sub cost_of_third
{
	my ($keyring) = @_;
	my @costs = map { $endpoint->rules([ { %get, answer => [ ({ close => 1 }) x 2, secret($document) ] } ]); cost($keyring, 1) } 1 .. 5;

	return (sort { $a <=> $b } @costs)[2];
}

# The system's: its directory, and a CA in that, which libcurl is told of so that it does not read its bundle.
sub of_the_system { my ($reads) = @_; return join ', ', map { s{(/hashed)/[0-9a-f]{8}\.\d+$}{$1/CA}r . " $reads->{$_}" } sort keys %$reads }

SKIP:
{
	skip "no shim: $no_shims", 1 if $no_shims;
	is(of_the_system($of_system), "file $folder/hashed/CA $sessions, path $folder/hashed $sessions", 'the system, in a herd: its hashed directory, and no bundle');
	is($of_bundle->{"file $folder/bundle.pem"}, $sessions, 'a bundle, in a herd: read once by each');
	cost('one', 1);
	is_deeply(reads(), { "file $folder/ca.pem" => 1, "path $folder/ca.pem" => 1 }, 'a ca_file: no other, and no directory');
	cost('system', 1);
	is(of_the_system(reads()), "file $folder/hashed/CA 1, path $folder/hashed 1", 'the system: its hashed directory, and no bundle');
}
my %third = map { $_ => cost_of_third($_) } qw(one bundle);
SKIP:
{
	skip "no shim: $no_shims", 1 if $no_shims;
	my $reads = reads();
	is($reads->{"file $folder/bundle.pem"}, 5, 'three attempts read a bundle once');
	is($reads->{"file $folder/ca.pem"}, 5, 'three attempts read a CA once');
	is(join(', ', grep { m{^file } && !m{/(bundle|ca)\.pem$} } keys %$reads), '', 'three attempts read no other');
}
note sprintf 'CPU of a first load: one CA %.1f ms, a bundle %.1f ms, a hashed directory %.1f ms', @cost{qw(one bundle system)};
note sprintf 'in a herd: a hashed directory %.1f ms, a bundle %.1f ms', @herd{qw(system bundle)};
note sprintf 'with three attempts: one CA %.1f ms, a bundle %.1f ms', @third{qw(one bundle)};

# The system's directory need not know all that its bundle does.
rename "$folder/hashed", "$folder/elsewhere";
is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'one')"), $pseudonym, 'a ca_file: whatever the system has');
like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x', true, '', 'system')"), qr/^08001: .*certificate/, 'the CA is gone from the system: refused');
# Nor need what is in it be a CA.
mkdir "$folder/hashed";
append_to_file("$folder/hashed/00000000.0", "no CA\n");
reads();
like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x', true, '', 'system')"), qr/^08001: .*certificate/, 'a directory with a broken CA: refused');
SKIP:
{
	skip "no shim: $no_shims", 1 if $no_shims;
	my $reads = reads();
	ok(delete $reads->{"file $folder/hashed/00000000.0"}, 'a directory with a broken CA: it is tried');
	isnt(join(', ', grep { m{^file } } keys %$reads), '', 'a directory with a broken CA: then the bundle');
}
done_testing();
