# PgBouncer in transaction mode: 500 clients over 20 servers, and what one client leaves for the next.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pgbouncer = program('pgbouncer');
my $node = start_server('behind', "max_connections = 60\n");
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', q{
	SELECT pseudo.pseudo_create_key();
	CREATE TABLE customers AS SELECT n AS id, pseudo.pseudonymize(n || '@example.com', true) AS email FROM generate_series(1, 1000) n;
	CREATE TABLE seen (id int, email text, pid int)});
$node->safe_psql('postgres', example('pgbouncer/roles.sql'));
$node->safe_psql('postgres', 'GRANT INSERT ON seen TO support, analyst');

# PgBouncer, with the example's configuration but for places and what is asked for; returns what session() takes.
my (@running, $folder);
sub bouncer
{
	my (%change) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	$folder = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$folder/users.txt", example('pgbouncer/users.txt'));
	append_to_file("$folder/pgbouncer.ini", example('pgbouncer/pgbouncer.ini',
		'host=127.0.0.1 port=5432 dbname=crm' => "host=@{[ $node->host ]} port=@{[ $node->port ]} dbname=postgres",
		'listen_port = 6432' => "listen_port = $port", '/etc/pgbouncer/users.txt' => "$folder/users.txt", %change)
		. "logfile = $folder/log\n");
	push @running, IPC::Run::start([ $pgbouncer, '-q', "$folder/pgbouncer.ini" ], '<', \undef, '>', '/dev/null', '2>&1');
	my $through = bless { port => $port }, 'Through';
	for (1 .. 1800)
	{
		last if IPC::Run::run([ 'psql', '-Xqc', 'SELECT', '-d', $through->connstr('crm', 'support') ], '<', \undef, '>&', \my $said);
		select undef, undef, undef, 0.1;
	}
	return $through;
}

sub Through::connstr { my ($self, $database, $user) = @_; return "host=127.0.0.1 port=$self->{port} dbname=crm password=secret user=" . ($user // $self->{user}) }

# A client who stays connected.
sub client
{
	my ($through, $user) = @_;

	return session(bless({ %$through, user => $user }, 'Through'));
}

# pgbench, 500 clients with a script, each four times; returns its exit status and what it says.
sub crowd
{
	my ($through, $user, $script, @options) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script';

	append_to_file($file, $script);
	IPC::Run::run([ 'pgbench', '-n', '-c', 500, '-j', 2, '-t', 4, @options, '-f', $file, $through->connstr('crm', $user) ], '<', \undef, '>&', \my $said);
	return ($? >> 8, $said);
}

# What they have written, each the row that they looked up: how many, how many of them right, and not more than 20 servers.
sub seen
{
	return $node->safe_psql('postgres', q{WITH s AS (DELETE FROM seen RETURNING *)
		SELECT count(*), count(*) FILTER (WHERE email = id || '@example.com'), count(DISTINCT pid) <= 20 FROM s});
}

my $script = q{\set id random(1, 1000)
INSERT INTO seen SELECT id, pseudo.reidentify(email), pg_backend_pid() FROM customers WHERE email = pseudo.pseudonymize(:id || '@example.com', true);
};
my $through = bouncer();
my ($status, $said) = crowd($through, 'support', $script, '-M', 'extended');
is($status, 0, '500 clients') or diag($said);
is(seen(), '2000|2000|t', 'all look up and open what is theirs, over 20 servers');

# Prepared statements of the protocol, one name for all clients.
my ($version) = `$pgbouncer --version` =~ /PgBouncer (\d+\.\d+)/;
my $prepares = $version =~ /^1\.(\d+)/ && $1 >= 21;
$through = bouncer($prepares ? (';max_prepared_statements' => 'max_prepared_statements') : ());
($status, $said) = crowd($through, 'support', $script, '-M', 'prepared', '-c', 60);
if ($prepares)
{
	is($status, 0, 'prepared statements') or diag($said);
	is(seen(), '240|240|t', 'and each opens what is theirs');
}
else
{
	isnt($status, 0, "prepared statements: not with PgBouncer $version");
	like($said, qr/prepared statement "P\w+" (already exists|does not exist)/, 'and they say so');
}

# One server for all, so that the next client gets what the last one has left.
my %one = ('default_pool_size = 20' => 'default_pool_size = 1');
my $open = q{SELECT pseudo.reidentify(email) FROM customers WHERE id = 1};
$through = bouncer(%one);
my ($first, $next) = map { client($through, 'web') } 1 .. 2;
is(ask($next, 'SELECT current_user'), 'web', 'nobody has left anything');
like(ask($next, $open), qr/^42501/, 'and this role may do nothing');
ask($first, 'SET ROLE support');
is(ask($next, "SELECT current_user; $open"), "support\n1\@example.com", 'SET ROLE reaches the next client, who opens pseudonyms');
ask($first, 'RESET ROLE');
ask($first, q{SET pseudo.purpose = 'ticket 4711'});
is(ask($next, 'SHOW pseudo.purpose'), 'ticket 4711', 'and so does a purpose');
ask($first, 'RESET pseudo.purpose');

# For a transaction.
is(ask($first, "BEGIN; SET LOCAL ROLE support; SET LOCAL pseudo.purpose = 'ticket 4711'; $open; COMMIT"), '1@example.com', 'SET LOCAL ROLE: the client has it');
is(ask($next, 'SELECT current_user; SHOW pseudo.purpose'), 'web', 'and not the next one');
like(ask($next, $open), qr/^42501/, 'who opens nothing');
ask($first, 'BEGIN; SET LOCAL ROLE support; SELECT 1/0; COMMIT');
is(ask($next, 'SELECT current_user'), 'web', 'nor after an error');

# A login role for each right: PgBouncer keeps their servers apart.
my ($analyst, $support) = map { client($through, $_) } qw(analyst support);
is(ask($support, "SELECT current_user; $open"), "support\n1\@example.com", 'a login role that may open');
like(ask($analyst, $open), qr/^42501: permission denied for function reidentify/, 'beside one that may not');
isnt(ask($support, 'SELECT pg_backend_pid()'), ask($analyst, 'SELECT pg_backend_pid()'), 'on other servers');
like(ask($analyst, 'SET ROLE support'), qr/^42501/, 'nor by SET ROLE');
leave($_) for $first, $next, $analyst, $support;

# All is taken away after each transaction.
$through = bouncer(%one, ';server_reset_query_always' => 'server_reset_query_always');
($first, $next) = map { client($through, 'web') } 1 .. 2;
is(ask($first, "SET ROLE support; SET pseudo.purpose = 'ticket 4711'"), '', 'server_reset_query_always');
is(ask($next, 'SELECT current_user; SHOW pseudo.purpose'), 'web', 'the next client has neither');
leave($_) for $first, $next;

# A dump over a pool that passes by what the dump asks for, and over one that refuses it.
for my $pool ([ qr/unsupported startup parameter/, %one ], [ qr/error: .*\n.*a connection pool, or options= in the connection string, has left out PGOPTIONS/, %one, ';server_reset_query_always = 1' => 'ignore_startup_parameters = options' ])
{
	my ($says, %change) = @$pool;
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
	IPC::Run::run([ 'pseudo_dump', '-f', $dump, bouncer(%change)->connstr('crm', 'support') ], '<', \undef, '>&', \my $refusal);
	isnt($?, 0, 'pseudo_dump over a pool is refused');
	like($refusal, $says, 'which says why');
	ok(!-e $dump, 'and nothing is dumped');
}

$_->signal('INT'), $_->finish for @running;
$node->stop;
documented('Pools');
done_testing();
