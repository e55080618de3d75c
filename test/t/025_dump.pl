# pg_dump, pg_restore and pg_upgrade into another cluster with the same keyring files: servers, grants, views,
# triggers, policies and values come back and work.  PSEUDO_RESTORE_INTO names another PostgreSQL for
# that cluster, of this version or later; see test/versions.sh.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $keys = PostgreSQL::Test::Utils::tempdir();
my $source = start_server('source');
$source->safe_psql('postgres', qq{
	CREATE ROLE shop LOGIN;
	CREATE ROLE officer LOGIN;
	CREATE ROLE etl LOGIN;
	CREATE ROLE analyst LOGIN;
	CREATE ROLE desk LOGIN;
	CREATE ROLE keeper LOGIN IN ROLE pg_read_server_files, pg_write_server_files;
	CREATE ROLE dba LOGIN;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/pseudo.json', refresh_interval '2h');
	GRANT USAGE ON FOREIGN DATA WRAPPER pseudo TO keeper;
	SET ROLE keeper;
	CREATE SERVER crm FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/crm.json');
	GRANT USAGE ON FOREIGN SERVER crm TO etl WITH GRANT OPTION;
	RESET ROLE;
	SELECT pseudo.pseudo_create_key('pseudo', 'raw');
	SELECT pseudo.pseudo_create_key('crm');
	GRANT USAGE ON SCHEMA pseudo TO shop, officer, etl, keeper;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO shop, officer, etl;
	GRANT EXECUTE ON FUNCTION pseudo.reidentify TO officer, etl;
	GRANT USAGE ON FOREIGN SERVER pseudo TO shop, officer, etl;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	REVOKE EXECUTE ON FUNCTION pseudo.pseudonym_key_id FROM PUBLIC;
	REVOKE SELECT ON pseudo.pseudo_keyrings FROM PUBLIC;
	GRANT SELECT ON pseudo.pseudo_keyrings TO etl;
});

# Tables, those with a trigger too; half of what is in them is under an old key.
$source->safe_psql('postgres', q{
	SELECT FROM pseudo.pseudo_keyrings; -- loads the library, for SECURITY LABEL
	CREATE SCHEMA shop AUTHORIZATION shop;
	GRANT USAGE ON SCHEMA shop TO officer, etl;
	SET ROLE shop;
	CREATE TABLE shop.customers AS SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, 100) n;
	CREATE TABLE shop.masked (id int PRIMARY KEY, email text, name text, card text, event jsonb);
	CREATE INDEX masked_email ON shop.masked (email);
	CREATE TABLE shop.inbox (id int PRIMARY KEY, email text);
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON shop.inbox FOR EACH ROW
		EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'context=inbox');
	CREATE TABLE shop.visits (id int, email text, day date) PARTITION BY RANGE (day);
	CREATE TABLE shop.visits_old PARTITION OF shop.visits FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
	CREATE TABLE shop.visits_new PARTITION OF shop.visits DEFAULT;
	CREATE TRIGGER pseudo BEFORE INSERT OR UPDATE ON shop.visits FOR EACH ROW
		EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'existing=keep');
	ALTER TABLE shop.inbox ENABLE ALWAYS TRIGGER pseudo;
	CREATE TABLE shop.declared (id int, "e-mail" text, email_p text UNIQUE, note text);
	SECURITY LABEL FOR pseudo ON COLUMN shop.declared."e-mail" IS 'deterministic, context="a, b", into=email_p';
	SECURITY LABEL FOR pseudo ON COLUMN shop.declared.note IS 'random';
	SECURITY LABEL FOR pseudo ON COLUMN shop.declared.id IS 'keep';
	CREATE TABLE shop.labelled (id int, email text, day date) PARTITION BY RANGE (day);
	CREATE TABLE shop.labelled_1 PARTITION OF shop.labelled DEFAULT;
	SECURITY LABEL FOR pseudo ON COLUMN shop.labelled.email IS 'random';
	SELECT pseudo.pseudo_protect('shop.declared'), pseudo.pseudo_protect('shop.labelled');
	GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA shop TO officer, etl;
});
my $fill = q{
	INSERT INTO shop.masked SELECT n, pseudo.pseudonymize(n || '@example.com', true), pseudo.pseudonymize('name ' || n), pseudo.pseudonymize('card ' || n, true, 'cards', 'crm'),
		pseudo.pseudonymize_json(jsonb_build_object('email', n || '@example.com', 'age', n, 'item', n), '{email,age}', true) FROM generate_series(%1$d, %1$d + 49) n;
	INSERT INTO shop.inbox SELECT n, n || '@example.com' FROM generate_series(%1$d, %1$d + 49) n;
	INSERT INTO shop.visits SELECT n, n || '@example.com', date '2025-12-01' + n FROM generate_series(%1$d, %1$d + 49) n;
	INSERT INTO shop.declared SELECT n, n || '@example.com', 'planted', n FROM generate_series(%1$d, %1$d + 49) n;
	INSERT INTO shop.labelled SELECT n, n || '@example.com' FROM generate_series(%1$d, %1$d + 49) n;
};
$source->safe_psql('postgres', 'SET ROLE etl; ' . sprintf($fill, 1));
$source->safe_psql('postgres', q{SELECT pseudo.pseudo_create_key('pseudo', make_primary => true)});
$source->safe_psql('postgres', 'SET ROLE etl; ' . sprintf($fill, 51));
is($source->safe_psql('postgres', q{SELECT count(pseudo.pseudonym_key_id(email)), count(*) FROM shop.masked}), '50|100', 'half of the pseudonyms have the prefix of the new key');

# What names officer, and what works with the rights of its owner or reader.
$source->safe_psql('postgres', q{
	CREATE SCHEMA views AUTHORIZATION officer;
	GRANT USAGE ON SCHEMA views TO analyst, desk, etl;
	SET ROLE officer;
	CREATE VIEW views.customers WITH (security_barrier) AS
		SELECT id, pseudo.pseudonymize_as('officer', email) AS email FROM shop.customers WHERE id > 10;
	CREATE VIEW views.desk WITH (security_barrier) AS
		SELECT id, pseudo.reidentify_as('officer', email) AS email FROM shop.masked WHERE id <= 60;
	CREATE VIEW views.of_reader AS SELECT id, pseudo.pseudonymize(email, true) AS email FROM shop.customers;
	CREATE MATERIALIZED VIEW views.stored AS
		SELECT id, pseudo.pseudonymize_as('officer', email) AS email, pseudo.pseudonymize(email, true) AS again FROM shop.customers;
	CREATE FUNCTION views.email_of(int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
		BEGIN ATOMIC SELECT pseudo.pseudonymize_as('officer', email) FROM shop.customers WHERE id = $1; END;
	CREATE TABLE views.notes (id int, email text DEFAULT pseudo.pseudonymize_as('officer', '1@example.com'));
	ALTER TABLE views.notes ENABLE ROW LEVEL SECURITY;
	CREATE POLICY hidden ON views.notes TO analyst USING (email <> pseudo.pseudonymize_as('officer', '1@example.com'));
	CREATE POLICY added ON views.notes FOR INSERT TO etl WITH CHECK (true);
	INSERT INTO views.notes VALUES (1, DEFAULT), (2, '2@example.com');
	GRANT SELECT ON views.customers, views.stored, views.of_reader, views.notes TO analyst;
	GRANT INSERT ON views.notes TO etl;
	GRANT SELECT ON views.desk TO desk;
	GRANT USAGE, CREATE ON SCHEMA views TO dba;
	GRANT SELECT ON views.customers TO dba;
	SET ROLE dba;
	CREATE VIEW views.above AS SELECT id, email FROM views.customers WHERE id > 50;
	GRANT SELECT ON views.above TO analyst;
	RESET ROLE;
});
my $pseudonym = $source->safe_psql('postgres', q{SELECT pseudo.pseudonymize('77@example.com', true)});

# A table that was converted: pg_dump leaves out the run's row in pseudo_progress, pg_upgrade does not.
$source->safe_psql('postgres', q{
	CREATE TABLE shop.converted AS SELECT id, email FROM shop.customers;
	CALL pseudo.pseudonymize_table('shop.converted', '{email}');
});

# What a statement of a role gives: its rows, or its error.
sub as
{
	my ($node, $database, $role, $sql) = @_;
	my ($code, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\nSET SESSION AUTHORIZATION $role;\n$sql");
	return $err =~ /ERROR:\s+(.*)/ ? $1 : $out;
}

# Who has which rights, each as a line, but for MAINTAIN, which PostgreSQL 17 added; what the triggers and servers are.
my $catalog = q{
	SELECT 'function', oid::regprocedure::text, proowner::regrole::text, acl::text FROM pg_proc LEFT JOIN LATERAL unnest(coalesce(proacl, acldefault('f', proowner))) acl ON true WHERE pronamespace IN ('pseudo'::regnamespace, 'views'::regnamespace)
	UNION ALL SELECT 'type', oid::regtype::text, typowner::regrole::text, acl::text FROM pg_type LEFT JOIN LATERAL unnest(coalesce(typacl, acldefault('T', typowner))) acl ON true WHERE typnamespace = 'pseudo'::regnamespace
	UNION ALL SELECT 'relation', oid::regclass::text || ' ' || coalesce(array_to_string(reloptions, ','), ''), relowner::regrole::text, replace(acl::text, 'm/', '/') FROM pg_class LEFT JOIN LATERAL unnest(relacl) acl ON true
		WHERE relnamespace IN ('pseudo'::regnamespace, 'shop'::regnamespace, 'views'::regnamespace)
	UNION ALL SELECT 'wrapper', fdwname, fdwowner::regrole::text, acl::text FROM pg_foreign_data_wrapper LEFT JOIN LATERAL unnest(fdwacl) acl ON true
	UNION ALL SELECT 'server', srvname || ' ' || (SELECT string_agg(option, ' ' ORDER BY option) FROM unnest(srvoptions) option), srvowner::regrole::text, acl::text FROM pg_foreign_server LEFT JOIN LATERAL unnest(srvacl) acl ON true
	UNION ALL SELECT 'trigger', tgrelid::regclass::text || ' ' || tgenabled::text, pg_get_triggerdef(oid), NULL FROM pg_trigger WHERE tgfoid = 'pseudo.pseudonymize_trigger'::regproc
	UNION ALL SELECT 'label', objname, label, NULL FROM pg_seclabels WHERE provider = 'pseudo'
	UNION ALL SELECT 'policy', polname, pg_get_expr(polqual, polrelid), NULL FROM pg_policy
	ORDER BY 1, 2, 3, 4};
my $values = q{
	SELECT 'masked', md5(string_agg(t::text, '|' ORDER BY id)) FROM shop.masked t
	UNION ALL SELECT 'inbox', md5(string_agg(t::text, '|' ORDER BY id)) FROM shop.inbox t
	UNION ALL SELECT 'visits', md5(string_agg(t::text, '|' ORDER BY id)) FROM shop.visits t
	UNION ALL SELECT 'declared', md5(string_agg(t::text, '|' ORDER BY id)) FROM shop.declared t
	UNION ALL SELECT 'labelled', md5(string_agg(t::text, '|' ORDER BY id)) FROM shop.labelled t
	UNION ALL SELECT 'stored', md5(string_agg(t::text, '|' ORDER BY id)) FROM views.stored t
	UNION ALL SELECT 'notes', md5(string_agg(t::text, '|' ORDER BY id)) FROM views.notes t
	ORDER BY 1};
my ($source_catalog, $source_values) = map { $source->safe_psql('postgres', $_) } $catalog, $values;
like($source_catalog, qr/^type\|pseudo\.pseudo_role\|\w+\|officer=U/m, 'the catalog shows grants');

# All that has to work, in the source and in each restored database.
sub works
{
	my ($node, $database, $name) = @_;
	my $test = sub { my ($role, $sql, $expected, $what) = @_; is(as($node, $database, $role, $sql), $expected, "$name: $what"); };
	my $refused = sub { my ($role, $sql, $expected, $what) = @_; like(as($node, $database, $role, $sql), $expected, "$name: $what"); };

	is_deeply([ split /\n/, $node->safe_psql($database, $catalog) ], [ split /\n/, $source_catalog ], "$name: servers, owners, rights, triggers, policies");
	is($node->safe_psql($database, $values), $source_values, "$name: values");

	$test->('etl', q{SELECT count(*) FROM shop.masked WHERE pseudo.reidentify(email) = id || '@example.com' AND pseudo.reidentify(name) = 'name ' || id
		AND pseudo.reidentify(card, 'cards', 'crm') = 'card ' || id AND pseudo.reidentify_json(event, '{email,age}') = jsonb_build_object('email', id || '@example.com', 'age', id, 'item', id)},
		'100', 'they open, those of both keys and both keyrings');
	$test->('etl', q{SELECT (SELECT count(*) FROM shop.inbox WHERE pseudo.reidentify(email, 'inbox') = id || '@example.com'), (SELECT count(*) FROM shop.visits WHERE pseudo.reidentify(email) = id || '@example.com')},
		'100|100', 'those of the triggers open once');
	$test->('etl', q{SELECT count(*) FROM shop.declared JOIN shop.labelled l USING (id) WHERE "e-mail" = id || '@example.com' AND pseudo.reidentify(email_p, 'a, b') = "e-mail" AND pseudo.reidentify(note) = id::text AND pseudo.reidentify(l.email) = "e-mail"},
		'100', 'and those of labelled columns');
	$test->('shop', q{SELECT relation, action FROM pseudo.pseudo_protect('shop.declared') UNION ALL SELECT relation, action FROM pseudo.pseudo_protect('shop.labelled')},
		"declared|unchanged\nlabelled|unchanged", 'the triggers are what the labels say');
	$test->('etl', q{BEGIN; INSERT INTO shop.declared VALUES (101, '7@example.com') ON CONFLICT (email_p) DO NOTHING; INSERT INTO shop.declared VALUES (102, 'new'); SELECT id, pseudo.reidentify(email_p, 'a, b') FROM shop.declared WHERE id > 100; ROLLBACK}, '102|new', 'and work');
	$test->('etl', q{SELECT id FROM shop.masked WHERE email = ANY (pseudo.pseudonyms_of('7@example.com'))}, '7', 'a look-up');
	$refused->('etl', q{SET enable_seqscan = off; EXPLAIN SELECT id FROM shop.masked WHERE email = pseudo.pseudonymize('77@example.com', true)}, qr/Index Cond: .*pseudonymize_as\('current_user'/, 'it uses the index');

	$test->('analyst', qq{SELECT id FROM views.customers WHERE email = '$pseudonym'}, '77', 'the masking view');
	$test->('analyst', qq{SELECT id FROM views.above WHERE email = '$pseudonym'}, '77', 'the view over it');
	$test->('analyst', q{SELECT count(*), count(DISTINCT email) FILTER (WHERE email NOT LIKE '%@%') FROM views.customers}, '90|90', 'all its rows');
	$test->('analyst', q{SELECT count(*) FROM views.stored s JOIN views.customers c USING (id, email) WHERE s.again = c.email}, '90', 'the materialized view');
	$test->('analyst', qq{SELECT views.email_of(77) = '$pseudonym'}, 't', 'the function');
	$test->('analyst', q{SELECT id FROM views.notes}, '2', 'the policy');
	$test->('etl', q{BEGIN; INSERT INTO views.notes (id) VALUES (3); ROLLBACK}, '', 'the default');
	$test->('desk', q{SELECT count(*), count(*) FILTER (WHERE email = id || '@example.com') FROM views.desk}, '60|60', 'the view of the desk');
	$test->('keeper', q{SELECT pseudo.pseudo_refresh_keyring('crm')}, '', 'the owner of a keyring');

	$refused->('analyst', $_, qr/^42501: permission denied/, "refused, $_") for 'SELECT * FROM shop.customers', 'SELECT * FROM views.desk',
		q{SELECT email FROM views.of_reader}, q{SELECT pseudo.pseudonymize_as('officer', '77@example.com')};
	$refused->('etl', q{SELECT pseudo.pseudonymize_as('officer', '77@example.com')}, qr/^42501: permission denied to name role "officer"/, 'refused, to name the role');
	$refused->('officer', $_, qr/^42501: (permission denied|must be owner)/, "refused, $_") for q{SELECT pseudo.pseudonymize('x', true, keyring => 'crm')},
		'SELECT * FROM pseudo.pseudo_keyrings', q{SELECT pseudo.pseudonym_key_id('x')}, q{SELECT pseudo.pseudo_create_key('pseudo')};
	$refused->('shop', q{SELECT pseudo.reidentify('x')}, qr/^42501: permission denied for function reidentify/, 'who may only pseudonymize');

	$test->('etl', q{BEGIN; INSERT INTO shop.inbox VALUES (101, 'new@example.com'); INSERT INTO shop.visits VALUES (101, 'new@example.com', '2025-01-01'), (102, 'new@example.com', '2027-01-01');
		SELECT pseudo.reidentify(email, 'inbox') FROM shop.inbox WHERE id > 100; SELECT tableoid::regclass, pseudo.reidentify(email) FROM shop.visits WHERE id > 100 ORDER BY id; ROLLBACK},
		"new\@example.com\nshop.visits_old|new\@example.com\nshop.visits_new|new\@example.com", 'the triggers');
	$refused->('etl', qq{INSERT INTO shop.inbox VALUES (101, '$pseudonym')}, qr/^23514: .*looks like a pseudonym/, 'and they refuse');
}

works($source, 'postgres', 'source');

# The second cluster: its own roles, the same files of keys.
my $target = PostgreSQL::Test::Cluster->new('target', install_path => $ENV{PSEUDO_RESTORE_INTO});
$target->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$target->start;
note 'from ' . $source->pg_version . ' to ' . $target->pg_version;

# The minor releases of November 2026 keep an option with every column, which older ones refuse to restore: that has
# nothing to do with us, and goes.
$target->safe_psql('postgres', 'CREATE TABLE probe (a int)');
if (($target->psql('postgres', 'ALTER TABLE probe ALTER COLUMN a SET (pg_attver = 1)'))[2] =~ /unrecognized parameter/)
{
	$source->safe_psql('postgres', q{UPDATE pg_attribute SET attoptions = nullif(ARRAY(SELECT o FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%'), '{}')
		WHERE attoptions::text LIKE '%pg_attver=%'});
}
$target->safe_psql('postgres', 'DROP TABLE probe');

my $dump = $source->basedir . '/dump';
mkdir $dump;
my $connstr = $source->connstr('postgres');
$target->command_ok([ 'pg_dumpall', '--globals-only', '-d', $connstr, '-f', "$dump/globals.sql" ], 'pg_dumpall --globals-only');
my ($code, $out, $err) = $target->psql('postgres', "\\i $dump/globals.sql", on_error_stop => 0);
is(join('', grep { /ERROR/ && !/role "\w+" already exists/ } split /^/, $err), '', 'the roles are restored');
$target->command_ok([ 'pg_dump', '-Fc', '-f', "$dump/custom", $connstr ], 'pg_dump, custom');
$target->command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', "$dump/directory", $connstr ], 'pg_dump, directory');
$target->command_ok([ 'pg_dump', '-f', "$dump/plain", $connstr ], 'pg_dump, plain');
like(slurp_file("$dump/plain"), qr/pseudo\.pseudonymize_as\('officer'::pseudo\.pseudo_role, /, 'the name of the role is in it, with the schema of its type');

# Restore into a new database; each a list of commands.
sub restore
{
	my ($database, @commands) = @_;
	$target->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$target->command_ok([ @$_[ 0 .. $#$_ - 1 ], '-d', $target->connstr($database), $_->[-1] ], "$database: @$_[0 .. $#$_ - 1]") for @commands;
}

# What remains to be done where the data comes alone.
my $always = q{SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'shop.inbox'::regclass};
my $after = 'ALTER TABLE shop.inbox ENABLE ALWAYS TRIGGER pseudo; REFRESH MATERIALIZED VIEW views.stored';

restore('whole', [ 'pg_restore', '--exit-on-error', "$dump/custom" ]);
restore('plain', [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', "--file=$dump/plain" ]);
# In parallel only by sections: else PostgreSQL may create the trigger of a partitioned table before its partitions have their data.
restore('parallel', map { [ 'pg_restore', '-j', '2', "--section=$_", "$dump/directory" ] } qw(pre-data data post-data));
restore('apart', [ 'pg_restore', '--schema-only', "$dump/custom" ], [ 'pg_restore', '--data-only', '--disable-triggers', '-j', '2', "$dump/custom" ]);
is($target->safe_psql('apart', $always), 'O', 'apart: with --disable-triggers PostgreSQL forgets ENABLE ALWAYS, as the README says');
$target->safe_psql('apart', $after);
works($target, $_, $_) for qw(whole plain parallel apart);
is($target->safe_psql('whole', q{SELECT count(*) FROM pseudo.pseudo_progress}), '0', 'the state of runs is left behind');
$target->safe_psql('whole', q{CREATE TABLE other AS SELECT id, email FROM shop.customers; CALL pseudo.pseudonymize_table('other', '{email}', true)});
is($target->safe_psql('whole', q{SELECT count(*) FROM other JOIN views.stored USING (id, email)}), '100', 'tables are converted on');

# Data through the triggers: existing=keep takes the pseudonyms, any other refuses them and says what to do.
restore('triggers', [ 'pg_restore', '--schema-only', "$dump/custom" ]);
$target->command_checks_all([ 'pg_restore', '--data-only', '-d', $target->connstr('triggers'), "$dump/custom" ], 1, [],
	[ qr/new value for column "email" of relation "inbox" looks like a pseudonym/, qr/HINT:  .*For restores the trigger takes existing=keep/, qr/errors ignored on restore: 3$/m ],
	'data through triggers: those without existing=keep refuse');
unlike($target->safe_psql('triggers', $values), qr/^visits\|$/m, 'the partitioned table keeps them');
$target->command_ok([ 'pg_restore', '--data-only', '--disable-triggers', (map { ('-t', $_) } qw(inbox declared labelled_1)), '-d', $target->connstr('triggers'), "$dump/custom" ], 'the other tables without their triggers');
$target->safe_psql('triggers', $after);
works($target, 'triggers', 'triggers');

# A restore by another than a superuser says that they can neither create the extension nor name another role.
$target->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0 OWNER dba") for qw(unprivileged prepared);
my @as_dba = ('pg_restore', '-U', 'dba', '--no-owner', '-d');
$target->command_checks_all([ @as_dba, $target->connstr('unprivileged'), "$dump/custom" ], 1, [],
	[ qr/permission denied to create extension "pseudo"\nHINT:  Must be superuser/ ], 'who is no superuser cannot create the extension');
$target->safe_psql('prepared', 'CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo;
	GRANT USAGE ON SCHEMA pseudo TO dba; GRANT USAGE ON TYPE pseudo.pseudo_role TO dba');
$target->command_checks_all([ @as_dba, $target->connstr('prepared'), "$dump/custom" ], 1, [],
	[ qr/permission denied to name role "officer"\n(?:LINE .*\n.*\n)?DETAIL:  Only the role itself and superusers/ ], 'nor views that name a role, where it is there');

# pg_upgrade takes all of it along, the state of runs too.
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded', install_path => $ENV{PSEUDO_RESTORE_INTO});
# Since 18 initdb turns checksums on; pg_upgrade wants both clusters to be alike.
my @alike = $source->pg_version < 18 && $upgraded->pg_version >= 18 ? ('--no-data-checksums') : ();
$upgraded->init(extra => [ '--no-locale', '--encoding=UTF8', @alike ]);
$source->stop;
$upgraded->command_ok([ 'pg_upgrade', '--no-sync', '-b', $source->config_data('--bindir'), '-B', $upgraded->config_data('--bindir'), '-d', $source->data_dir, '-D', $upgraded->data_dir,
	'-s', $upgraded->host, '-p', $source->port, '-P', $upgraded->port ], 'pg_upgrade');
$upgraded->start;
works($upgraded, 'postgres', 'upgraded');
is($upgraded->safe_psql('postgres', q{SELECT relation, status, values_converted FROM pseudo.pseudo_progress}), 'shop.converted|done|100', 'upgraded: the state of runs');

$_->stop for $target, $upgraded;
done_testing();
