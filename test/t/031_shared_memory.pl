# The memory of the server's keyrings, where the library is preloaded: no key in a core of any process, in a file, or after a crash; the
# refresher, its end and its absence; a standby.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use MIME::Base64;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs gcore (gdb)' if system('command -v gcore > /dev/null 2>&1') != 0;

my $secret_key = pack 'H*', '9a1fb2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829aabbccddeeff';
my $nonce_key = pack 'H*', '13572468aceebdf0fdb97531eca86420cafe0123456789abcdef00112233beef';
my $document = sprintf '{"version": 1, "primaryKeyId": 7, "keys": [{"keyId": 7, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "%s", "encodedNonceKey": "%s", "nonceStrPos": 0, "nonceEndPos": 12}]}',
	encode_base64($secret_key, ''), encode_base64($nonce_key, '');
my %never = (
	'the key' => $secret_key, 'half of the key' => substr($secret_key, 16), 'the nonce key' => $nonce_key,
	'the key in base64' => substr(encode_base64($secret_key, ''), 4, 32), 'the nonce key in base64' => substr(encode_base64($nonce_key, ''), 4, 32));
$Pseudo::preload = 1;
my $folder = PostgreSQL::Test::Utils::tempdir();
my $dir = "$folder/keys";
mkdir $dir;
put_file("$dir/one.json", $document);
my $use = "SELECT pseudo.pseudonymize('x', true)";

sub add_command
{
	my ($node, $name, $seconds, %options) = @_;
	my $more = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	unlink "$dir/$name.runs";
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'date +%s.%N >> $dir/$name.runs; sleep $seconds; cat $dir/one.json'$more)");
}
sub runs { return -e "$dir/$_[0].runs" ? scalar(() = slurp_file("$dir/$_[0].runs") =~ /\n/g) : 0 }

sub postmaster { return (split /\n/, slurp_file($_[0]->data_dir . '/postmaster.pid'))[0] }

# Look through a core dump of a process.
my $dumps = 0;
sub look
{
	my ($pid, $when) = @_;
	my $file = "$folder/core" . ++$dumps;
	append_to_file("/proc/$pid/coredump_filter", '0x7f');	# all but what is not to be dumped
	my $ok = IPC::Run::run([ 'gcore', '-o', $file, $pid ], '<', \undef, '>', \my $out, '2>', \my $err);

	SKIP:
	{
		skip "gcore may not look at another process here: $err", 1 if !$ok || !-s "$file.$pid";
		my $core = slurp_file("$file.$pid");
		unlink "$file.$pid";
		cmp_ok(length $core, '>', 1_000_000, "$when: a dump");
		cmp_ok(index($core, 'shared_preload_libraries'), '>', 0, "$when: it can be searched");
		is(index($core, $never{$_}), -1, "$when: $_ is not in it") for sort keys %never;
	}
}

# Look through all files below a folder.
sub look_in_files
{
	my ($where, $when) = @_;
	my @found;

	require File::Find;
	File::Find::find({ no_chdir => 1, wanted => sub {
		return unless -f $_ && -r _;
		my $content = eval { slurp_file($_) } // return;
		push @found, $_ if grep { index($content, $never{$_}) >= 0 } keys %never;
	} }, $where);
	is(join(' ', @found), '', "$when: no key in a file of $where");
}

my $node = start_server('memory', "jit = off\nautovacuum = off\nlog_min_messages = debug2\nrestart_after_crash = on\n");
add_command($node, 'pseudo', 0.2);
my $s = session($node);
my $pid = ask($s, 'SELECT pg_backend_pid()');
my $pseudonym = ask($s, $use);
is($node->safe_psql('postgres', $use), $pseudonym, 'two sessions, one keyring');
is(runs('pseudo'), 1, 'two sessions: one load');

# The mapping is closed, and left out of dumps: the only one that is shared and closed.
sub closed_mapping
{
	my ($process, $what) = @_;
	my @closed = grep { /^\S+ ---s / } split /(?=^[0-9a-f]+-[0-9a-f]+ )/m, slurp_file("/proc/$process/smaps");

	is(scalar @closed, 1, "$what: one mapping that is shared and closed");
	like($closed[0], qr/^VmFlags:.*\bdd\b/m, "$what: it is left out of dumps");
	return $closed[0];
}
closed_mapping(postmaster($node), 'the postmaster');
closed_mapping($pid, 'a backend');
look(postmaster($node), 'the postmaster');
look($pid, 'a backend with keys');
my $idle = session($node);
look(ask($idle, 'SELECT pg_backend_pid()'), 'a backend without');
my ($refresher) = processes($node, 'pseudo refresher');
ok($refresher, 'there is a refresher');
look($refresher, 'the refresher');
look_in_files($node->data_dir, 'in use');
look_in_files('/dev/shm', 'in use');

# The refresher ends and comes again; nobody notices.
kill 'TERM', $refresher;
is($node->safe_psql('postgres', $use), $pseudonym, 'the refresher is terminated: sessions go on');
my $until = time + 60;
my $next;
do { sleep 0.2; ($next) = processes($node, 'pseudo refresher') } while (!$next && time < $until);
ok($next && $next != $refresher, 'the refresher comes again');
# One that hangs holds up nobody.
kill 'STOP', $next;
add_command($node, 'stopped', 0, refresh_interval => '1s');
my $stopped = "SELECT pseudo.pseudonymize('x', true, '', 'stopped')";
is(ask($s, $stopped), $pseudonym, 'the refresher hangs: a first load');
$until = time + 60;
do { sleep 0.2; ask($s, $stopped) } while (runs('stopped') < 3 && time < $until);
cmp_ok(runs('stopped'), '>=', 3, 'the refresher hangs: sessions load what is due');
kill 'CONT', $next;

# No query waits for a refresh that could be foreseen.
add_command($node, 'steady', 0.3, refresh_interval => '2s');
my $steady = "SELECT pseudo.pseudonymize('x', true, '', 'steady')";
is(ask($s, $steady), $pseudonym, 'refreshes: the first load');
is(runs('steady'), 1, 'refreshes: one run');
append_to_file("$folder/steady.sql", "$steady;\n\\sleep 5 ms\n");
my $clients = IPC::Run::start([ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', 9, '-f', "$folder/steady.sql", $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
my $waits = 0;
$until = time + 8;
do { sleep 0.02; $waits += ask($s, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE '%steady%' AND state = 'active' AND pid <> pg_backend_pid()") } while (time < $until);
$clients->finish;
cmp_ok(runs('steady'), '>=', 4, 'refreshes: they take place');
is($waits, 0, 'refreshes: no query waits for one');

# A backend that loads, killed: the server restarts without a key, and all works on.
add_command($node, 'killed', 2);
my $t = session($node);
my $victim = ask($t, 'SELECT pg_backend_pid()');
$t->{in} .= "SELECT pseudo.pseudonymize('x', true, '', 'killed');\n";
$t->{run}->pump_nb;
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $victim");
crash($node, $victim);
$t->{run}->finish;
look(postmaster($node), 'the postmaster after a crash');
my $before = runs('pseudo');
is($node->safe_psql('postgres', $use), $pseudonym, 'after a crash: keys are loaded');
is(runs('pseudo'), $before + 1, 'after a crash: anew');
is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'killed')"), $pseudonym, 'after a crash: those of the one that was killed');

# Gone with the last server that names it.
$node->safe_psql('postgres', 'DROP SERVER pseudo, steady, stopped, killed');
look(postmaster($node), 'the postmaster after DROP SERVER');

# Without a worker, and without memory.
for my $setting ('max_worker_processes = 0', 'pseudo.shared_memory = 0')
{
	$node->append_conf('postgresql.conf', $setting);
	$node->restart;
	add_command($node, 'pseudo', 0, refresh_interval => '1s');
	my $s = session($node);
	is(ask($s, $use), $pseudonym, "$setting: served");
	$until = time + 60;
	do { sleep 0.2; ask($s, $use) } while (runs('pseudo') < 3 && time < $until);
	is(ask($s, $use), $pseudonym, "$setting: refreshed");
	is(join(' ', processes($node, 'pseudo refresher')), '', "$setting: no refresher");
	leave($s);
	$node->safe_psql('postgres', 'DROP SERVER pseudo');
}
like($node->safe_psql('postgres', 'SHOW pseudo.shared_memory'), qr/^0$/, 'the setting shows');
like(error_of($node, 'postgres', 'SET pseudo.none = 1'), qr/^42602: /, 'its prefix is reserved');
$node->stop;

# A kernel without memfd_secret(), and a limit of what may be locked.
SKIP:
{
	my $no_shims = no_shims();
	skip $no_shims, 1 if $no_shims;
	my $shim = compile_shim($folder, 'shim', <<'C_END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret -1
#endif

long
syscall(long number, ...)
{
	long		a[6];
	__builtin_va_list args;

	__builtin_va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = __builtin_va_arg(args, long);
	__builtin_va_end(args);
	if (number == SYS_memfd_secret)
	{
		errno = ENOSYS;
		return -1;
	}
	return ((long (*) (long,...)) dlsym(RTLD_NEXT, "syscall")) (number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
C_END
	my ($limit) = slurp_file('/proc/self/limits') =~ /^Max locked memory\s+(\w+)/m;
	my $limited = sub { return system('prlimit', '--pid', $$, "--memlock=$_[0]:") == 0 };

	$node->append_conf('postgresql.conf', "max_worker_processes = 8\npseudo.shared_memory = 1MB");
	for my $locked (1, 0)
	{
		my $what = $locked ? 'without memfd_secret' : 'nothing may be locked';
		my $log = -s $node->logfile;

		skip 'needs prlimit', 1 unless $locked || $limited->(4096);
		{
			local $ENV{LD_PRELOAD} = $locked ? $shim : $ENV{LD_PRELOAD} // '';
			$node->start;
		}
		$limited->($limit) unless $locked;
		add_command($node, 'pseudo', 0);
		is($node->safe_psql('postgres', $use), $pseudonym, "$what: served") for 1 .. 2;
		is(runs('pseudo'), 1, "$what: by one load");
		my $s = session($node);
		is(ask($s, $use), $pseudonym, "$what: another session");
		my $pid = ask($s, 'SELECT pg_backend_pid()');
		closed_mapping($pid, "$what, a backend");
		my $mapping = closed_mapping(postmaster($node), "$what, the postmaster");	# whose lock holds
		unlike($mapping, qr/secretmem/, "$what: the mapping is none of the kernel's secrets");
		if ($locked) { like($mapping, qr/^VmFlags:.*\blo\b/m, "$what: it is locked") }
		else { like(slurp_file($node->logfile, $log), qr/WARNING:  could not lock the memory that holds the server's keys/, "$what: the log says so") }
		look($pid, "$what, a backend");
		look(postmaster($node), "$what, the postmaster");
		leave($s);
		$node->safe_psql('postgres', 'DROP SERVER pseudo');
		$node->stop;
	}
}

# The server alone.
my ($stdout, $stderr);
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, '-c', 'shared_preload_libraries=pseudo', '-c', 'pseudo.shared_memory=1MB', 'postgres' ],
	'<', \"CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$dir/one.json')\n$use\n$use\n", '>', \$stdout, '2>', \$stderr);
is(scalar(() = $stdout =~ /"\Q$pseudonym\E"/g), 2, '--single: served') or diag $stdout, $stderr;

# A standby serves, refreshes, and survives its promotion.
my $primary = start_server('primary', '', allows_streaming => 1);
add_command($primary, 'pseudo', 0, refresh_interval => '2s');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', $use), $pseudonym, 'a standby: served') for 1 .. 3;
is(runs('pseudo'), 1, 'a standby: one load');
my $on_standby = session($standby);
$until = time + 60;
do { sleep 0.1; ask($on_standby, $use) } while (runs('pseudo') < 4 && time < $until);
cmp_ok(runs('pseudo'), '>=', 4, 'a standby: refreshed');
$primary->safe_psql('postgres', "ALTER SERVER pseudo OPTIONS (SET refresh_interval '1h')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is(ask($on_standby, $use), $pseudonym, 'a standby: ALTER SERVER');
$before = runs('pseudo');
$primary->safe_psql('postgres', 'SELECT pseudo.pseudo_refresh_keyring()');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is(ask($on_standby, $use), $pseudonym, 'a standby: a refresh of the primary');
is(runs('pseudo'), $before + 2, 'a standby: ... reaches it');
$standby->promote;
is(ask($on_standby, $use), $pseudonym, 'a promoted standby serves');
is($standby->safe_psql('postgres', "ALTER SERVER pseudo OPTIONS (ADD stale_limit '1h'); $use"), $pseudonym, 'a promoted standby: ALTER SERVER');
is(ask($on_standby, $use), $pseudonym, 'a promoted standby: the session of before');

leave($on_standby);
$standby->stop;
$primary->stop;
done_testing();
