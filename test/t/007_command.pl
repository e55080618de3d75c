# The provider command: what it runs and as what, how it fails, and that nothing of it stays behind, however it ends.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Digest::SHA qw(sha256_hex);
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $one = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $by_one = 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=';
my $bound = 2;    # seconds that an end may take; milliseconds are usual, but test machines can be slow
my $has_proc = -r "/proc/$$/stat";

$ENV{PSEUDO_TEST_VALUE} = 'from the environment';
my $node = start_server('command', "autovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 1\nautovacuum_vacuum_scale_factor = 0\nlog_statement = none\nlog_error_verbosity = verbose\n$Pseudo::no_refresher");
my $dir = $node->basedir;
my $doc = "$dir/one.json";
put_file($doc, "$one\n");

# A keyring of a command.
sub add_command
{
	my ($name, $command, %options) = @_;
	my $more = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	$command =~ s/'/''/g;
	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command '$command'$more)");
}

# All that a session says where the keyring "pseudo" has this command.
my $s = session($node);
sub said
{
	my ($command, %options) = @_;

	ask($s, 'DROP SERVER IF EXISTS pseudo');
	add_command('pseudo', $command, %options);
	my $said = ask($s, "SELECT pseudo.pseudonymize('x', true)") . "\n" . $s->{err};
	$said =~ s/^== done\n//mg;
	note $said;
	return $said;
}

# Start a statement and wait for the next to be possible; see ask().
sub begin
{
	my ($self, $sql) = @_;

	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql\n;\n\\echo == done\n\\warn == done\n";
	$self->{run}->pump_nb;
}
sub finish
{
	my ($self) = @_;

	$self->{run}->pump until $self->{out} =~ /^== done$/m && $self->{err} =~ /^== done$/m;
	return "$self->{out}$self->{err}";
}

# The processes with a marker in their command line.
sub processes
{
	my ($marker) = @_;
	my @found;

	for my $path (glob '/proc/[0-9]*/cmdline')
	{
		open my $file, '<', $path or next;
		my $line = do { local $/; <$file> } // '';
		push @found, $path =~ /(\d+)/ if index($line, $marker) >= 0;
	}
	return @found;
}

# The children of a process, zombies too.
sub children
{
	my ($pid) = @_;
	my @found;

	for my $path (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $path or next;
		my $line = <$file> // '';
		push @found, $path =~ /(\d+)/ if $line =~ /\) \w (\d+) / && $1 == $pid;
	}
	return @found;
}

# How many pipes a process has open.  Files are none of our doing: a backend opens and closes those of catalogs as others vacuum them.
sub pipes
{
	my ($pid) = @_;
	return scalar grep { (readlink // '') =~ /^pipe:/ } glob "/proc/$pid/fd/*";
}

# Wait until something holds; returns whether it does, and says how long that took.
sub within
{
	my ($seconds, $what, $check) = @_;
	my $start = time;

	until ($check->())
	{
		return fail($what) if time - $start > $seconds;
		sleep 0.002;
	}
	return pass(sprintf '%s (%.0f ms)', $what, 1000 * (time - $start));
}

# A number for sleep that no other process has; and a command of several processes that hangs.
my $markers = 0;
sub marker { return sprintf '%d.0%d', 3000 + ++$markers, $$ }
sub hang { my ($m) = @_; return "sleep $m & sleep $m | sleep $m; sleep $m" }

#
# What it gives
#
like(said("cat $doc"), qr/^\Q$by_one\E$/m, 'a document');
is(ask($s, "SELECT version FROM pseudo.pseudo_keyrings WHERE name = 'pseudo'"),
	'sha256:' . substr(sha256_hex("pseudo document\n$one\n"), 0, 16), 'its version');
is(ask($s, "SELECT pseudo.reidentify('$by_one')"), 'x', 'the way back');
like(said("cat $doc; echo 'a warning' >&2"), qr/^\Q$by_one\E\s*$/, 'standard error is not the document');
like(said("cat $doc; head -c 1000000 /dev/zero >&2"), qr/^\Q$by_one\E$/m, 'however much there is of it');
like(said("cat $doc; head -c 65000 /dev/zero | tr '\\0' ' '"), qr/^\Q$by_one\E$/m, 'a long document');
like(said("cat $doc; sleep 0.3; echo"), qr/^\Q$by_one\E$/m, 'a document in pieces');
like(said("cat $doc; exec >&-; sleep 0.3; test -e $doc"), qr/^\Q$by_one\E$/m, 'standard output closed early');
like(said("cat $doc; exec >&-; sleep 0.3; echo 'too late' >&2; exit 4"), qr/^38000: .*code 4.*too late/s, '... and a failure after that');
like(said("exec 2>&-; cat $doc"), qr/^\Q$by_one\E$/m, 'no standard error');

#
# As what it runs
#
like(said("test \"\$PSEUDO_TEST_VALUE\" = 'from the environment' && cat $doc"), qr/^\Q$by_one\E$/m, "the server's environment");
like(said("cat; cat $doc"), qr/^\Q$by_one\E$/m, 'nothing on standard input');
like(said("test -e PG_VERSION && cat $doc"), qr/^\Q$by_one\E$/m, 'the data directory');
SKIP:
{
	skip 'needs /proc', 3 unless $has_proc;
	like(said('ls /proc/self/fd >&2; exit 1'), qr/standard error: 0; 1; 2; 3$/m, "none of the server's files (3 is that of ls)");
	like(said('grep -E "Sig(Blk|Ign)" /proc/self/status >&2; exit 1'), qr/SigBlk: 0+; SigIgn: 0+$/m, 'all signals as usual');
	like(said("read -r a b c d group rest < /proc/\$\$/stat; test \$group = \$\$ && cat $doc"), qr/^\Q$by_one\E$/m, 'a process group of its own');
}

#
# How it fails
#
like(said("cat $doc; exit 3"), qr/^38000: keyring "pseudo": command failed: child process exited with exit code 3$/m, 'a status');
unlike(said("cat $doc; exit 3"), qr/encoded|rIm7yk/, '... and nothing of its output');
like(said("echo 'permission \tdenied' >&2; printf '\\n\\ncaf\\303\\251\\033[1m\\n' >&2; exit 1"), qr/^DETAIL:  Its standard error: permission  denied; caf\?\?\?\[1m$/m, 'standard error, cleaned');
my $long = said("head -c 9000 /dev/zero | tr '\\0' e >&2; exit 1");
like($long, qr/standard error: e{500}\.\.\.$/m, '... and cut');
like(said('kill -SEGV $$'), qr/^38000: .*signal 11/m, 'a signal');
like(said('/nonexistent/pseudo'), qr/^38000: .*command not found/m, 'no such program');
like(said('if'), qr/^38000: /m, 'no shell command');
like(said("head -c 65537 /dev/zero"), qr/^54000: .*more than 65536 bytes/m, 'too much output');
like(said('yes'), qr/^54000: .*more than 65536 bytes/m, 'output without end');
like(said('yes >&2', timeout => '500ms'), qr/^08006: .*timed out\nDETAIL:  Its standard error: y; y; .*\nHINT:  .*500 ms/ms, 'standard error without end');
like(said('true'), qr/^22023: .*no document/m, 'no output');
like(said('echo'), qr/^22023: .*no document/m, 'an empty line');
for my $bad ('hello', "$one$one", substr($one, 0, 50), '{"encodedSecretKey": "S3cret"}', '[]')
{
	put_file("$dir/bad.json", $bad);
	my $said = said("cat $dir/bad.json");
	like($said, qr/^22023: .*not a keyring/m, 'an invalid document');
	unlike($said, qr/S3cret|hello|rIm7yk/, '... and nothing of it');
}

#
# What runs on in the background
#
SKIP:
{
	skip 'needs /proc', 6 unless $has_proc;
	my $m = marker();
	my $start = time;
	like(said("cat $doc; sleep $m &"), qr/^\Q$by_one\E$/m, 'a process in the background keeps nobody waiting');
	cmp_ok(time - $start, '<', $bound, '... with the pipes open');
	within($bound, '... and is killed', sub { !processes($m) });
	$start = time;
	like(said("cat $doc; setsid sleep 4.5 & sleep 0.1"), qr/^\Q$by_one\E$/m, 'nor one that has left the group');
	cmp_ok(time - $start, '<', $bound, '... with the pipes open');
	like(said("cat $doc; yes >/dev/null & sleep 0.1; exit 5"), qr/^38000: .*code 5$/m, 'a failure with one in the background');
}

#
# Whose command
#
$node->safe_psql('postgres', 'CREATE ROLE plain; GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO plain; GRANT USAGE ON SCHEMA pseudo TO plain;
	GRANT CREATE ON DATABASE postgres TO plain; GRANT pg_execute_server_program, pg_read_server_files TO plain');
add_command('given', "cat $doc");
$node->safe_psql('postgres', 'ALTER SERVER given OWNER TO plain; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO plain');
like(error_of($node, 'postgres', "SET ROLE plain; CREATE SERVER mine FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'id')"), qr/^42501: /, 'only superusers create one');
like(error_of($node, 'postgres', "SET ROLE plain; ALTER SERVER given OPTIONS (SET command 'id')"), qr/^42501: /, 'nor does its owner alter it');
add_keyring($node, 'other', $one);
$node->safe_psql('postgres', 'ALTER SERVER other OWNER TO plain');
like(error_of($node, 'postgres', "SET ROLE plain; ALTER SERVER other OPTIONS (SET provider 'command', DROP path, ADD command 'id')"), qr/^42501: /, 'nor make one of another');
is(error_of($node, 'postgres', "SET ROLE plain; SELECT pseudo.pseudonymize('x', true, keyring => 'given')"), "no error: $by_one", 'its owner uses it');
for my $bad ("command ''", "command E' \\n'", "command '" . 'x' x 4097 . "'", 'refresh_interval \'1h\'')
{
	like(error_of($node, 'postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', $bad)"), qr/^22023: .*"command"/, 'a command is needed, of up to 4096 bytes');
}
like(error_of($node, 'postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'command', command 'id', path '/x')"), qr/^HV00D: /, 'other options are refused');

#
# Storing
#
for my $call ("pseudo_create_key('given')", "pseudo_set_primary_key('given', 1)", "pseudo_set_key_status('given', 1, 'disabled')")
{
	like(error_of($node, 'postgres', "SELECT pseudo.$call"), qr/^0A000: .*cannot store/, "not stored: $call");
}

#
# Ends
#
SKIP:
{
	skip 'needs /proc', 1 unless $has_proc;
	my $admin = session($node);
	my $pid = ask($s, 'SELECT pg_backend_pid()');

	# Let the keyring hang, run $end once all its processes do; what the session says of that.
	my $ended = sub {
		my ($what, $expected, $end, %options) = @_;
		my $m = marker();
		ask($s, 'DROP SERVER IF EXISTS pseudo');
		add_command('pseudo', hang($m), timeout => '60s', %options);
		my $pipes = pipes($pid);
		begin($s, "SELECT pseudo.pseudonymize('x', true)");
		within(10, "$what: it runs", sub { $s->{run}->pump_nb; processes($m) >= 4 });
		within(10, "$what: the wait shows", sub { ask($admin, "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' });
		my $start = time;
		$end->();
		my $said = finish($s);
		my $took = time - $start;
		cmp_ok($took, '<', $bound + ($what eq 'pg_cancel_backend' ? 0 : 1), sprintf "%s: in time (%.0f ms)", $what, 1000 * $took);
		like($said, $expected, "$what: the error");
		within($bound, "$what: no process stays", sub { !processes($m) });
		is(join(' ', children($pid)), '', "$what: nor a zombie");
		is(pipes($pid), $pipes, "$what: nor a pipe");
	};
	$ended->('time-out', qr/^ERROR:  08006: keyring "pseudo": command timed out$/m, sub { }, timeout => '1s');
	$ended->('pg_cancel_backend', qr/^ERROR:  57014: /m, sub { ask($admin, "SELECT pg_cancel_backend($pid)") });
	ask($s, "SET statement_timeout = '1s'");
	$ended->('statement_timeout', qr/^ERROR:  57014: .*statement timeout/m, sub { });
	ask($s, 'SET statement_timeout = 0');

	# In a subtransaction, as a function that catches errors has.
	my $m = marker();
	ask($s, 'DROP SERVER pseudo');
	add_command('pseudo', hang($m), timeout => '100ms');
	is(ask($s, "DO \$\$ BEGIN PERFORM pseudo.pseudonymize('x'); EXCEPTION WHEN connection_failure THEN END \$\$"), '', 'time-out: caught');
	within($bound, 'time-out: no process stays', sub { !processes($m) });

	# The backend ends, the server ends, the server is killed.
	my $falls = sub {
		my ($what, $command, $end) = @_;
		my $m = marker();
		$node->safe_psql('postgres', 'DROP SERVER IF EXISTS pseudo');
		add_command('pseudo', $command->($m), timeout => '60s');
		my $victim = session($node);
		my $pid = ask($victim, 'SELECT pg_backend_pid()');
		begin($victim, "SELECT pseudo.pseudonymize('x', true)");
		within(10, "$what: it runs", sub { $victim->{run}->pump_nb; processes($m) >= 1 });
		$end->($pid);
		within($bound, "$what: the backend ends", sub { !-e "/proc/$pid" });
		within($bound, "$what: no process stays", sub { !processes($m) });
		$victim->{run}->kill_kill;
	};
	$falls->('pg_terminate_backend', \&hang, sub { ask($admin, "SELECT pg_terminate_backend($_[0])") });

	# Five hundred loads, each kind of failure among them.
	my %before;
	for my $round (1 .. 2)
	{
		ask($s, 'DROP SERVER IF EXISTS pseudo');
		add_command('pseudo', "n=\$(cat $dir/n); n=\$((n + 1)); echo \$n > $dir/n; case \$((n % 5)) in 0) cat $doc;; 1) exit 1;; 2) yes;; 3) kill -9 \$\$;; 4) ;; esac");
		ask($s, "DO \$\$ BEGIN FOR i IN 1 .. 250 LOOP BEGIN PERFORM pseudo.pseudo_refresh_keyring(); EXCEPTION WHEN OTHERS THEN END; END LOOP; END \$\$");
		my @maps = split /\n/, slurp_file("/proc/$pid/maps");
		my ($locked) = slurp_file("/proc/$pid/status") =~ /^VmLck:\s+(\d+)/m;
		my %now = (pipes => pipes($pid), maps => scalar @maps, locked => $locked, children => scalar children($pid));
		%before = %now if $round == 1;
		cmp_ok(abs($now{$_} - $before{$_}), '<=', { maps => 4, locked => 16 }->{$_} // 0, "many loads: $_, $before{$_} and $now{$_}") for $round == 2 ? sort keys %now : ();
	}
	leave($admin);

	SKIP:
	{
		skip 'needs Linux', 1 unless $^O eq 'linux';
		leave($s);
		$falls->('immediate shutdown', sub { "exec sleep $_[0]" }, sub { $node->stop('immediate') });
		$node->start;
		$s = session($node);
	}
	ask($s, 'DROP SERVER IF EXISTS pseudo');
}

#
# What is never shown: the command's text, the keys
#
my $start = -s $node->logfile;
my $m = marker();
ask($s, "SET log_min_messages = debug5; SET client_min_messages = debug5; SET log_min_error_statement = panic");
my $shown = '';
for my $end ("cat $doc; exit 1", 'yes', "cat $doc; sleep $m", 'true', "cat $doc; cat $doc", "cat $doc")
{
	add_command('hidden', ": S3cretToken; $end", timeout => '300ms');
	begin($s, "SELECT pseudo.pseudonymize('x', true, '', 'hidden')");
	$shown .= $node->safe_psql('postgres', 'SELECT a.query, a.wait_event, a.wait_event_type FROM pg_stat_activity a WHERE pid <> pg_backend_pid()');
	$shown .= finish($s);
	$shown .= ask($s, 'SELECT name, provider, version, error FROM pseudo.pseudo_keyrings') . $s->{err};
	$shown .= ask($s, "SELECT pseudo.pseudo_refresh_keyring('hidden')") . $s->{err};
	$node->safe_psql('postgres', 'DROP SERVER hidden');
}
my $log = slurp_file($node->logfile, $start);
like($log, qr/ERROR:  38000: /, 'the log has the errors');
like($log, qr/DEBUG/, '... and more');
unlike($log, qr/S3cretToken/, "no command's text in the log");
unlike($shown, qr/S3cretToken/, "... nor at the client");
unlike($log, qr/rIm7yk|dK\/MSC/, 'no key in the log');
unlike($shown, qr/rIm7yk|dK\/MSC/, '... nor at the client');
like($shown, qr/\Q$by_one\E/, 'it worked in the end');
ask($s, "RESET log_min_messages; RESET client_min_messages; RESET log_min_error_statement");

#
# Old keys serve on
#
add_command('brief', "cat $dir/brief.json", refresh_interval => '1s', stale_limit => '4s');
put_file("$dir/brief.json", $one);
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_one, 'old keys: loaded');
rename "$dir/brief.json", "$dir/away.json";
sleep 1.5;
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_one, 'old keys: they serve when the command fails');
like(ask($s, "SELECT error FROM pseudo.pseudo_keyrings WHERE name = 'brief'"), qr/^command failed/, 'old keys: the error shows');
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief'); SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_one\E$/m, 'old keys: after pseudo_refresh_keyring, too');
put_file("$dir/brief.json", 'S3cret');
sleep 2;
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_one\E$/m, 'old keys: a bad document');
sleep 4;
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^22023: /m, 'old keys: not after stale_limit');
put_file("$dir/brief.json", $one);
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_one, 'old keys: a good one ends it');

leave($s);

# The postmaster is killed: last, for the server is gone then.
SKIP:
{
	skip 'needs /proc', 1 unless $has_proc;
	my $m = marker();
	$node->safe_psql('postgres', 'DROP SERVER IF EXISTS pseudo');
	add_command('pseudo', hang($m), timeout => '60s');
	my $victim = session($node);
	begin($victim, "SELECT pseudo.pseudonymize('x', true)");
	within(10, 'no postmaster: it runs', sub { $victim->{run}->pump_nb; processes($m) >= 4 });
	$node->kill9;
	within($bound, 'no postmaster: no process stays', sub { !processes($m) });
	$victim->{run}->kill_kill;
}

$node->stop('fast', fail_ok => 1) if $node->{_pid};
done_testing();
