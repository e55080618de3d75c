# pg_partman: new partitions have the trigger, and rows that it moves keep their pseudonyms.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Engines;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

need_extensions('pg_partman');
my $node = start_server('parts');
add_keyring($node, 'pseudo', undef, path => $node->basedir . '/keys.json');
$node->safe_psql('postgres', q{
	CREATE SCHEMA partman;
	CREATE EXTENSION pg_partman SCHEMA partman;
	SELECT pseudo.pseudo_create_key();
	CREATE ROLE owner LOGIN;
	CREATE ROLE app LOGIN;
	GRANT USAGE, CREATE ON SCHEMA public TO owner;
	GRANT USAGE ON SCHEMA pseudo TO owner;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO owner;
	GRANT USAGE ON FOREIGN SERVER pseudo TO owner;
	GRANT ALL ON SCHEMA partman TO owner;
	GRANT ALL ON ALL TABLES IN SCHEMA partman TO owner;
	GRANT ALL ON ALL ROUTINES IN SCHEMA partman TO owner});
# Since 5.0 there is no other type.
my $newer = $node->safe_psql('postgres', q{SELECT split_part(extversion, '.', 1)::int >= 5 FROM pg_extension WHERE extname = 'pg_partman'}) eq 't';
as('owner', example('pg_partman/partitions.sql', $newer ? (", p_type => 'native'" => '') : ()));
as('owner', 'GRANT INSERT ON events TO app');
as('app', q{INSERT INTO events SELECT n, now() + (n - 40) * interval '1 day', n || '@example.com' FROM generate_series(1, 60) n});

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

# The partitions without the trigger, and those of another owner.
sub lacking
{
	return $node->safe_psql('postgres', q{SELECT relid FROM pg_partition_tree('events')
		WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = relid AND tgname = 'zz_pseudo' AND tgenabled = 'O')
			OR (SELECT relowner <> 'owner'::regrole FROM pg_class WHERE oid = relid)});
}

# How many partitions, and how many rows are in the default one.
sub partitions { return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_partition_tree('events') WHERE isleaf}) }
sub by_default { return $node->safe_psql('postgres', 'SELECT count(*) FROM events_default') }

my $made = partitions();
cmp_ok(by_default(), '>', 0, 'rows without a partition are in the default one');
my $sum = q{SELECT count(*), count(*) FILTER (WHERE pseudo.reidentify(email) = id || '@example.com'), md5(string_agg(id::text || at::text || email, '' ORDER BY id)) FROM events};
my $before = $node->safe_psql('postgres', $sum);
like($before, qr/^60\|60\|/, 'all have their pseudonyms');

# Moved after a rotation, and yet the pseudonyms stay as they are.
$node->safe_psql('postgres', q{SELECT pseudo.pseudo_set_primary_key('pseudo', pseudo.pseudo_create_key('pseudo'))});
as('owner', example('pg_partman/move.sql'));
is(by_default(), '0', 'partition_data_proc: nothing stays in the default partition');
is($node->safe_psql('postgres', $sum), $before, 'no row is lost, and none is encrypted twice');
cmp_ok(partitions(), '>', $made, 'there are new partitions');
is(lacking(), '', 'all with the trigger, and of the owner');

# Maintenance by another role.
$made = partitions();
$node->safe_psql('postgres', 'UPDATE partman.part_config SET premake = 30; SELECT partman.run_maintenance()');
cmp_ok(partitions(), '>', $made, 'run_maintenance: there are more');
is(lacking(), '', 'all with the trigger, and of the owner');
as('app', q{INSERT INTO events VALUES (99, now() + interval '25 days', '99@example.com')});
is($node->safe_psql('postgres', q{SELECT pseudo.reidentify(email), tableoid = 'events_default'::regclass FROM events WHERE id = 99}), '99@example.com|f', 'and they make pseudonyms');

# Who is not the owner plants nothing.
my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nINSERT INTO events VALUES (100, now(), (SELECT pseudo.pseudonymize('x')))", extra_params => [ '-U', 'app' ]);
like($err, qr/ERROR:  42501/, 'others make no pseudonyms');
my $planted = $node->safe_psql('postgres', q{SELECT pseudo.pseudonymize('x')});
($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nINSERT INTO events VALUES (100, now(), '$planted')", extra_params => [ '-U', 'app' ]);
like($err, qr/ERROR:  23514: new value for column "email" of relation "events_\w+" looks like a pseudonym/, 'and plant none');

# Without existing=keep a move is refused as a whole.
as('owner', q{SELECT FROM pseudo.pseudo_keyrings; SECURITY LABEL FOR pseudo ON COLUMN events.email IS 'deterministic'; SELECT pseudo.pseudo_protect('events')});
as('app', q{INSERT INTO events SELECT n, now() - n * interval '1 day', n || '@example.com' FROM generate_series(101, 110) n});
$before = $node->safe_psql('postgres', $sum);
my $left = by_default();
($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . example('pg_partman/move.sql'), extra_params => [ '-U', 'owner' ]);
like($err, qr/ERROR:  23514: new value for column "email" of relation "events_\w+" looks like a pseudonym.*HINT:  .*existing=keep/s, 'without existing=keep: refused, with the way on');
is(by_default() . ' ' . $node->safe_psql('postgres', $sum), "$left $before", 'and nothing is lost');

# Without inherit_privileges.
$node->safe_psql('postgres', 'UPDATE partman.part_config SET inherit_privileges = false, premake = 40; SELECT partman.run_maintenance()');
isnt(lacking(), '', 'without inherit_privileges they belong to who has made them');
($code, $out, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
	SELECT FROM pseudo.pseudo_keyrings; SECURITY LABEL FOR pseudo ON COLUMN events.email IS 'random'; SELECT pseudo.pseudo_protect('events')}, extra_params => [ '-U', 'owner' ]);
like($err, qr/ERROR:  42501: /, 'and the owner can change the trigger no more');

$node->stop;
done_testing();
