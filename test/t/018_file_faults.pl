# The provider file where things go wrong in the middle: a server killed while it stores, no room, a folder or a file system that cannot be
# written, calls that signals interrupt, another tool that writes over the file while it is read.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Basename;
use IPC::Run ();
use POSIX ();
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_server('file_faults', "restart_after_crash = on\n");
my $dir = $node->basedir . '/keys';
mkdir $dir or die $!;

# What stands in a folder.
sub names
{
	my ($folder) = @_;
	return join ' ', sort map { basename $_ } glob "$folder/*";
}

#
# A folder that cannot be written: the message names what could not be done, and what for.
#
SKIP:
{
	skip 'root writes everywhere', 6 if $> == 0;
	mkdir "$dir/fixed" or die $!;
	add_keyring($node, 'fixed', undef, path => "$dir/fixed/k.json");
	$node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('fixed')");
	my $before = slurp_file("$dir/fixed/k.json");
	for my $lock ('with', 'without')
	{
		chmod 0700, "$dir/fixed";
		unlink "$dir/fixed/k.json.lock" if $lock eq 'without';
		chmod 0500, "$dir/fixed";
		my ($code, $out, $said) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pseudo.pseudo_create_key('fixed')");
		like($said, qr/^psql:\S+ ERROR:  42501: could not create file ".*": Permission denied$/m, "a folder that cannot be written, $lock a lock file: the error");
		like($said, qr/^DETAIL:  The keyring is as it was\.\nHINT:  .*write to its directory/m, "a folder that cannot be written, $lock a lock file: what it means");
		is(slurp_file("$dir/fixed/k.json"), $before, "a folder that cannot be written, $lock a lock file: nothing has changed");
	}
	chmod 0700, "$dir/fixed";
}

#
# No room: the kernel lets this backend write no file beyond a size, with the same answer as of a full disk, in the middle of a write.
#
SKIP:
{
	skip 'needs prlimit', 7 unless eval { IPC::Run::run([ 'prlimit', '--version' ], '>', \my $version) };
	add_keyring($node, 'no_room', undef, path => "$dir/full.json");
	$node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('no_room')");
	my $before = slurp_file("$dir/full.json");
	my $s = session($node);
	my $pid = ask($s, 'SELECT pg_backend_pid()');
	my $pseudonym = ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'no_room')");
	ok(IPC::Run::run([ 'prlimit', '--fsize=' . (length($before) + 10), '--pid', $pid ]), 'no room: from now on');
	like(ask($s, "SELECT pseudo.pseudo_create_key('no_room')"), qr/^53100: could not write file ".*full\.json\.tmp": /, 'no room: the error');
	like($s->{err}, qr/^DETAIL:  The keyring is as it was\.\nHINT:  There is no room/m, 'no room: what it means');
	is(names($dir) =~ s/\bfixed\b ?//r, 'full.json full.json.lock', 'no room: nothing is left over');
	is(slurp_file("$dir/full.json"), $before, 'no room: nothing has changed');
	is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'no_room')"), $pseudonym, 'no room: the keys serve on');
	leave($s);
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('no_room')"), 2, 'no room: a key is made where there is room');
}

#
# kill -9 while keys are changed: the document is the old or the new one, and after the next change no file with keys stands beside it.
#
mkdir "$dir/killed" or die $!;
add_keyring($node, 'killed', undef, path => "$dir/killed/k.json");
$node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('killed'), pseudo.pseudo_create_key('killed')");
my $left = 0;
for my $round (1 .. 8)
{
	my $s = session($node);
	my $pid = ask($s, 'SELECT pg_backend_pid()');
	$s->{in} .= "DO \$\$ BEGIN LOOP PERFORM pseudo.pseudo_set_primary_key('killed', 1); PERFORM pseudo.pseudo_set_primary_key('killed', 2); END LOOP; END \$\$;\n";
	my $written = (stat "$dir/killed/k.json")[1];
	my $until = time + 60;
	do { $s->{run}->pump_nb; sleep 0.001 } while ((stat "$dir/killed/k.json")[1] == $written && time < $until);
	sleep rand 0.01;
	crash($node, $pid);
	eval { $s->{run}->finish };
	$left++ if names("$dir/killed") ne 'k.json k.json.lock';
	is($node->safe_psql('postgres', "SELECT key_ids, statuses, error FROM pseudo.pseudo_keyrings WHERE name = 'killed'"), '{1,2}|{enabled,enabled}|', "kill -9, round $round: the document is whole");
	$node->safe_psql('postgres', "SELECT pseudo.pseudo_set_primary_key('killed', 1)");
	is(names("$dir/killed"), 'k.json k.json.lock', "kill -9, round $round: nothing is left over after the next change");
}
note "a file with keys was left over by $left of 8";
# and so where it is certain that one was left
put_file("$dir/killed/k.json.tmp", slurp_file("$dir/killed/k.json"));
$node->safe_psql('postgres', "SELECT pseudo.pseudo_set_key_status('killed', 2, 'destroyed')");
is(names("$dir/killed"), 'k.json k.json.lock', 'kill -9: what was left over goes with the next change');

#
# A tool that writes over the file in place, two documents of the same length in turn.  The secret key stands at the start, the nonce key
# at the end: half of one and half of the other is a keyring, too, of a key that never was.
#
sub document
{
	my ($secret, $nonce) = @_;
	return qq({"encodedSecretKey": "$secret", "note": ") . 'x' x 50_000 . qq(", "encodedNonceKey": "$nonce", "nonceStrPos": 0, "nonceEndPos": 12}\n);
}
my @documents = (
	document('rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=', 'dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js='),
	document('lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=', 'Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss='));
my @pseudonyms = map { add_keyring($node, "whole_$_", $documents[$_]); $node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'whole_$_')") } 0, 1;
my $torn = add_keyring($node, 'torn', $documents[0], path => "$dir/torn.json", timeout => '10s');
$node->safe_psql('postgres', 'CREATE TABLE seen (pseudonym text, n bigint)');
my $readers = 2;
my $seconds = 6;
my $read = qq{SET client_min_messages = error;
	CREATE TEMPORARY TABLE mine (pseudonym text, n bigint);
	DO \$\$
	DECLARE
	  stop timestamptz := clock_timestamp() + '$seconds s';
	  made text;
	BEGIN
	  WHILE clock_timestamp() < stop LOOP
	    PERFORM pseudo.pseudo_refresh_keyring('torn');
	    made := pseudo.pseudonymize('x', true, '', 'torn');
	    UPDATE mine SET n = n + 1 WHERE pseudonym = made;
	    IF NOT FOUND THEN INSERT INTO mine VALUES (made, 1); END IF;
	  END LOOP;
	END
	\$\$;
	INSERT INTO seen SELECT * FROM mine;
};

# Write the documents to a file in turn, so often in a row, then pause; returns the process.
sub write_in_place
{
	my ($path, $times, $pause) = @_;
	my $pid = fork // die $!;

	return $pid if $pid > 0;
	my $end = time + 120;
	while (time < $end)
	{
		open my $file, '+<:raw', $path or POSIX::_exit(1);
		for my $turn (1 .. $times->())
		{
			sysseek $file, 0, 0;
			syswrite $file, $documents[$turn % 2];
		}
		close $file;
		sleep $pause->();
	}
	POSIX::_exit(0);
}
sub stop_writing
{
	my ($pid) = @_;
	local $?;
	kill 'KILL', $pid;
	waitpid $pid, 0;
}

# The pauses are long enough for what was written last to count, and to be read many times.
my $writer = write_in_place($torn, sub { 500 + int rand 1500 }, sub { 0.12 + rand 0.1 });
my @run = map { { in => $read, out => '', err => '' } } 1 .. $readers;
$_->{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$_->{in}, '>', \$_->{out}, '2>', \$_->{err}, IPC::Run::timeout(180)) for @run;
$_->{run}->finish for @run;
stop_writing($writer);
is(join('', map { $_->{err} } @run), '', 'written in place: no reader met an error');
is($node->safe_psql('postgres', "SELECT count(*) FROM seen WHERE pseudonym NOT IN ('$pseudonyms[0]', '$pseudonyms[1]')"), 0, 'written in place: no key that never was')
  or diag $node->safe_psql('postgres', 'SELECT pseudonym, sum(n) FROM seen GROUP BY 1');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT pseudonym) FROM seen'), 2, 'written in place: both documents were read');
my $reads = $node->safe_psql('postgres', 'SELECT sum(n) FROM seen');
note "$reads reads";
cmp_ok($reads, '>', 500, "written in place: many reads");

# The file is put back whole: the writer may have been killed in the middle.
put_file($torn, $documents[0]);
$node->safe_psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('torn')");

# While somebody has it open to write, who may be in the middle, the keys that there are serve on, and a session without any gets an
# error that says so.
SKIP:
{
	skip 'leases are of Linux', 6 if $^O ne 'linux';
	my $s = session($node);
	my $held = ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'torn')");
	$node->safe_psql('postgres', "ALTER SERVER torn OPTIONS (SET timeout '300ms')");
	open my $open, '+<', $torn or die $!;
	# Where the library is preloaded, the server has keys for it.
	like(error_of($node, 'postgres', "SELECT pseudo.pseudonymize('x', true, '', 'torn')"), $Pseudo::preload ? qr/^no error: \Q$held\E$/ : qr/^55006: keyring "torn": file ".*" was being written for 300 ms/, 'open to write: an error');
	my $said = ask($s, "SELECT pseudo.pseudo_refresh_keyring('torn'); SELECT pseudo.pseudonymize('x', true, '', 'torn')");
	like($said, qr/^\Q$held\E$/m, 'open to write: the old keys serve on');
	like($said, qr/^WARNING: keyring "torn": file/m, 'open to write: with a WARNING');
	like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('torn')"), qr/^55006: /, 'open to write: nothing is stored');
	close $open;
	is($node->safe_psql('postgres', "SELECT pseudo.pseudonymize('x', true, '', 'torn')"), $pseudonyms[0], 'closed: the keys');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('torn')"), 2, 'closed: and a new one');
	leave($s);
}

#
# A read-only file system, and signals in the middle of calls: by a shim, since neither can be had at will.  What is below a folder "ro"
# is read-only; each call on a file below a folder "interrupted" is interrupted once, and noted.
#
SKIP:
{
	my $why = no_shims();

	skip "no shim: $why", 1 if $why;
	my $notes = $node->basedir . '/notes';
	my $shim = compile_shim($node->basedir, 'shim', <<'C_END', "-DNOTES=\"$notes\"");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Is this call to be interrupted: on a file that is below "interrupted", and not right after one that was? */
static int
is_interrupted(int fd, const char *function)
{
	static int	again = 0;
	char		link[64];
	char		path[4096];
	ssize_t		len;
	int			saved = errno;
	int			notes;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	errno = saved;
	path[len < 0 ? 0 : len] = '\0';
	if (strstr(path, "/interrupted") == NULL || (again = !again) == 0)
		return 0;
	notes = REAL(open) (NOTES, O_CREAT | O_WRONLY | O_APPEND, 0600);
	dprintf(notes, "%s\n", function);
	REAL(close) (notes);
	errno = EINTR;
	return 1;
}

ssize_t read(int fd, void *data, size_t size) { return is_interrupted(fd, "read") ? -1 : REAL(read) (fd, data, size); }
ssize_t write(int fd, const void *data, size_t size) { return is_interrupted(fd, "write") ? -1 : REAL(write) (fd, data, size); }
int fsync(int fd) { return is_interrupted(fd, "fsync") ? -1 : REAL(fsync) (fd); }
int flock(int fd, int operation) { return is_interrupted(fd, "flock") ? -1 : REAL(flock) (fd, operation); }

/* A read-only file system: what is there can be opened, and nothing made or removed. */
static int
is_refused(const char *path, int flags)
{
	if (strstr(path, "/ro/") == NULL || !(flags & (O_WRONLY | O_CREAT)) || (!(flags & O_WRONLY) && access(path, F_OK) == 0))
		return 0;
	errno = EROFS;
	return 1;
}

#define OPEN(name) \
int name(const char *path, int flags, ...) \
{ \
	va_list		args; \
	mode_t		mode; \
\
	va_start(args, flags); \
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0; \
	va_end(args); \
	return is_refused(path, flags) ? -1 : REAL(name) (path, flags, mode); \
}
OPEN(open)
OPEN(open64)

int unlink(const char *path) { return is_refused(path, O_WRONLY) ? -1 : REAL(unlink) (path); }
C_END
	for my $name ('ro', 'interrupted')
	{
		mkdir "$dir/$name" or die $!;
		add_keyring($node, $name, undef, path => "$dir/$name/k.json");
	}
	$node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('ro')");
	$node->stop;
	{
		local $ENV{LD_PRELOAD} = $shim;
		$node->start;
	}
	my $before = slurp_file("$dir/ro/k.json");
	for my $lock ('with', 'without')
	{
		unlink "$dir/ro/k.json.lock" if $lock eq 'without';
		my ($code, $out, $said) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT pseudo.pseudo_create_key('ro')");
		like($said, qr/^psql:\S+ ERROR:  42501: could not create file ".*": Read-only file system$/m, "a read-only file system, $lock a lock file: the error");
		like($said, qr/^DETAIL:  The keyring is as it was\.\nHINT:  .*write to its directory/m, "a read-only file system, $lock a lock file: what it means");
		is(slurp_file("$dir/ro/k.json"), $before, "a read-only file system, $lock a lock file: nothing has changed");
	}
	is($node->safe_psql('postgres', "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'ro'), keyring => 'ro')"), 'x', 'a read-only file system: its keys are read');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_create_key('interrupted'), pseudo.pseudo_create_key('interrupted')"), '1|2', 'interrupted: keys are made');
	is($node->safe_psql('postgres', "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'interrupted'), keyring => 'interrupted')"), 'x', 'interrupted: and read');
	is(names("$dir/interrupted"), 'k.json k.json.lock', 'interrupted: nothing is left over');
	my %interrupted = map { $_ => 1 } split /\n/, slurp_file($notes);
	is(join(' ', sort keys %interrupted), 'flock fsync read write', 'interrupted: all these calls');
}

$node->stop;
done_testing();
