# pseudo_dump: a dump in which every labelled column is as its label says, in each format, restored into another cluster that has
# no keys; what it refuses, and that nothing is left of a dump that failed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Copy ();
use IPC::Run ();
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $people = 2000;
my $folder = PostgreSQL::Test::Utils::tempdir();
my $keys = PostgreSQL::Test::Utils::tempdir();
my $source = start_server('source', "max_connections = 30\n", allows_streaming => 1);
$source->safe_psql('postgres', 'CREATE DATABASE shop');

# A shop: e-mail addresses in three tables, as values in two, and as pseudonyms in one.
$source->safe_psql('shop', qq{
	CREATE ROLE shop; CREATE ROLE officer; CREATE ROLE dumper LOGIN; CREATE ROLE reader LOGIN;
	CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/pseudo.json');
	CREATE SERVER staging FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/staging.json');
	SELECT pseudo.pseudo_create_key('pseudo'), pseudo.pseudo_create_key('staging');
	GRANT USAGE ON SCHEMA pseudo TO shop, officer, dumper, reader;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO shop, officer;
	GRANT USAGE ON FOREIGN SERVER pseudo TO shop, officer;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	CREATE SCHEMA shop AUTHORIZATION shop;
	GRANT USAGE, CREATE ON SCHEMA shop TO officer;
	SET ROLE shop;
	CREATE TYPE shop.tier AS ENUM ('gold', 'silver');
	CREATE TABLE shop.people (
		id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text, phone varchar(80), phone_p text, note text,
		city text, tier shop.tier, born date, tags int[], uid uuid DEFAULT gen_random_uuid(), "Größe, ""cm" text,
		has_mail bool GENERATED ALWAYS AS (email <> '') STORED, shout text GENERATED ALWAYS AS (upper(name)) STORED);
	CREATE TABLE shop.orders (
		id bigserial, day date, email text NOT NULL REFERENCES shop.people (email), item text, price numeric(10, 2), PRIMARY KEY (id, day))
		PARTITION BY RANGE (day);
	CREATE TABLE shop.orders_old PARTITION OF shop.orders FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
	CREATE TABLE shop.orders_new (item text, email text NOT NULL, price numeric(10, 2), day date NOT NULL, id bigint NOT NULL DEFAULT nextval('shop.orders_id_seq'));
	ALTER TABLE shop.orders ATTACH PARTITION shop.orders_new DEFAULT;
	CREATE INDEX ON shop.orders (email);
	CREATE TABLE shop.letters (id serial PRIMARY KEY, email text, what jsonb);
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON shop.letters FOR EACH ROW
		EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true', 'context=mail');
	CREATE TABLE shop.empty ();
	CREATE TABLE shop.codes (id int PRIMARY KEY, code varchar(10));
	INSERT INTO shop.codes VALUES (1, 'DE'), (2, 'FR');

	INSERT INTO shop.people (email, name, phone, note, city, tier, born, tags, "Größe, ""cm")
		SELECT CASE WHEN n % 3 = 0 THEN 'zoë' ELSE 'joe' END || n || '\@example' || n % 7 || '.com', 'PLAIN Zoë 🙂 Nr. ' || n, 'PLAIN +49 ' || n, E'PLAIN\\t' || n || E'\\n\\\\\\\\', 'Köln', 'gold',
			date '1950-01-01' + n, ARRAY[n], 'PLAIN ' || n FROM generate_series(1, $people) n;
	INSERT INTO shop.orders (day, email, item, price) SELECT date '2025-06-01' + id % 400, email, 'item ' || id, id FROM shop.people;
	INSERT INTO shop.letters (email, what) SELECT email, jsonb_build_object('email', email) FROM shop.people WHERE id % 2 = 0;
	UPDATE shop.people SET phone_p = pseudo.pseudonymize(phone, true) WHERE id % 2 = 0;
	CREATE VIEW shop.customers AS SELECT DISTINCT p.id, p.city, o.day FROM shop.people p JOIN shop.orders o USING (email);
	CREATE MATERIALIZED VIEW shop.sums AS SELECT email, sum(price) FROM shop.orders GROUP BY email;
	GRANT SELECT ON shop.people TO officer;
	SET ROLE officer;
	CREATE VIEW shop.masked WITH (security_barrier) AS SELECT id, pseudo.pseudonymize_as('officer', email, 'mail') AS email FROM shop.people;
	RESET ROLE;
	COMMENT ON COLUMN shop.people.email IS 'how to reach them';

	SECURITY LABEL FOR pseudo ON COLUMN shop.people.email IS 'deterministic, context=mail';
	SECURITY LABEL FOR pseudo ON COLUMN shop.people.name IS 'random';
	SECURITY LABEL FOR pseudo ON COLUMN shop.people.phone IS 'deterministic, into=phone_p';
	SECURITY LABEL FOR pseudo ON COLUMN shop.people.note IS 'hide';
	SECURITY LABEL FOR pseudo ON COLUMN shop.people.city IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN shop.people."Größe, ""cm" IS 'random, context=größe';
	SECURITY LABEL FOR pseudo ON COLUMN shop.orders.email IS 'deterministic, context=mail';
	SECURITY LABEL FOR pseudo ON COLUMN shop.orders.item IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN shop.letters.email IS 'deterministic, context=mail';
	SECURITY LABEL FOR pseudo ON COLUMN shop.letters.what IS 'hide';
	SECURITY LABEL FOR pseudo ON COLUMN shop.codes.code IS 'keep';
});
my %is_email = map { $_ => 1 } split /\n/, $source->safe_psql('shop', 'SELECT email FROM shop.people');
is(keys %is_email, $people, 'the shop has people');

# What each value has in it, and no pseudonym can.
my $value = qr/PLAIN[ \\]/;

# pseudo_dump of the shop: its options; returns its status, what it wrote and what it said.  Connection options stand before.
our $program = $source->config_data('--bindir') . '/pseudo_dump';
sub run_program
{
	my ($connstr, @options) = @_;
	IPC::Run::run([ $program, @options, $connstr ], '<', \undef, '>', \my $out, '2>', \my $err);
	return ($? >> 8, $out, $err);
}
sub dump_shop { return run_program($source->connstr('shop'), @_) }

# ---- In each format, restored ----

my $target = PostgreSQL::Test::Cluster->new('target');
$target->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$target->start;
$target->safe_psql('postgres', 'CREATE ROLE shop; CREATE ROLE officer; CREATE ROLE dumper; CREATE ROLE reader');

# All that is in a file or in the files of a folder.
sub content
{
	my ($path) = @_;
	return join '', map { slurp_file($_) } -d $path ? glob "$path/*" : $path;
}

# Nothing of what a dump must not have is in it.
sub has_no_values
{
	my ($path, $name) = @_;
	my $content = content($path);
	my @found = grep { $is_email{$_} } $content =~ /[^\s,;'"]+@[^\s,;'"]+/g;

	is(scalar @found, 0, "$name: no e-mail address is in it");
	unlike($content, $value, "$name: nor a name, a phone number, a note");
	unlike($content, qr/SECURITY LABEL/, "$name: no labels");
}

# A restored database has all that is to be there, and fits together.
my $fits = q{
	SELECT 'people', count(*), count(DISTINCT email), count(name), count(phone), count(phone_p), count(note), count(city), count(uid), bool_and(has_mail), bool_and(shout = upper(name)) FROM shop.people
	UNION ALL SELECT 'orders', count(*), count(DISTINCT o.email), count(p.name), count(o.item), sum(price), count(*) FILTER (WHERE o.tableoid = 'shop.orders_new'::regclass), 0, 0, true, true FROM shop.orders o JOIN shop.people p USING (email)
	UNION ALL SELECT 'letters', count(*), count(DISTINCT l.email), count(p.name), count(what), sum(p.id), 0, 0, 0, true, true FROM shop.letters l JOIN shop.people p USING (email)
	UNION ALL SELECT 'phones', count(*), 0, 0, 0, 0, 0, 0, 0, bool_and(phone = phone_p), true FROM shop.people WHERE phone_p IS NOT NULL
	UNION ALL SELECT 'sums', count(*), count(p.id), 0, 0, 0, 0, 0, 0, true, true FROM shop.sums JOIN shop.people p USING (email)
	UNION ALL SELECT 'view', count(*), count(city), 0, 0, 0, 0, 0, 0, true, true FROM shop.customers};
my $old = $source->safe_psql('shop', q{SELECT count(*) FROM shop.orders_new});
my $half = $people / 2;
my $half_sum = $half * ($half + 1);
my $fitting = join "\n", "people|$people|$people|$people|$people|$half|0|$people|$people|t|t", "orders|$people|$people|$people|$people|" . $people * ($people + 1) / 2 . ".00|$old|0|0|t|t",
	"letters|$half|$half|$half|0|$half_sum|0|0|0|t|t", "phones|$half|0|0|0|0|0|0|0|t|t", "sums|$people|$people|0|0|0|0|0|0|t|t", "view|$people|$people|0|0|0|0|0|0|t|t";
my $objects = q{
	SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE connamespace = 'shop'::regnamespace
	UNION ALL SELECT indrelid::regclass::text, '', pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indrelid::regclass::text LIKE 'shop.%'
	UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), true FROM pg_trigger WHERE NOT tgisinternal
	UNION ALL SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid::regclass::text LIKE 'shop.%' AND attnum > 0
	ORDER BY 1, 2, 3, 4};
my $source_objects = $source->safe_psql('shop', $objects);

sub restore
{
	my ($database, $path, @options) = @_;
	rename $keys, "$keys.away" or die $!;
	$target->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$target->command_ok([ $path =~ /sql$/ ? ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr($database), '-f', $path)
		: ('pg_restore', '--exit-on-error', @options, '-d', $target->connstr($database), $path) ], "$database: restored without an error");
	is($target->safe_psql($database, $fits), $fitting, "$database: all is there, and joins");
	is($target->safe_psql($database, $objects), $source_objects, "$database: keys, constraints, indexes, triggers");
	is($target->safe_psql($database, q{INSERT INTO shop.people (email) VALUES ('new') RETURNING id}), $people + 1, "$database: the sequence goes on");
	like(error_of($target, $database, q{INSERT INTO shop.orders (day, email) VALUES ('2026-01-01', 'nobody')}), qr/^23503/, "$database: the foreign key holds");
	is($target->safe_psql($database, q{SELECT count(*) FROM pg_seclabels}), '0', "$database: no labels");
	like(error_of($target, $database, q{SELECT pseudo.reidentify(email, 'mail') FROM shop.people}), qr/^58P01: /, "$database: no keys");
	rename "$keys.away", $keys or die $!;
}

my ($status, $out, $err) = dump_shop('-f', "$folder/own.sql");
is($status, 0, 'a plain dump, with the keyring and the context of each label') or diag($err);
unlike($err, qr/^(?:pg_dump|pseudo_dump): |DETAIL/m, 'it says nothing');
has_no_values("$folder/own.sql", 'plain');
restore('own', "$folder/own.sql");
is($target->safe_psql('own', q{SELECT string_agg(email, ',' ORDER BY id) FROM shop.letters}), $source->safe_psql('shop', q{SELECT string_agg(email, ',' ORDER BY id) FROM shop.letters}),
	'what was a pseudonym under the primary key stays as it is');

my @staging = ('--keyring', 'staging', '--context=for the copy');
for my $format ([ 'custom', '-Fc', '-Z0', '-f', "$folder/custom.dump" ], [ 'directory', '-Fd', '-j2', '-Z', '0', "--file=$folder/directory" ], [ 'tar', '-F', 't', '-f', "$folder/tar.dump" ])
{
	my ($name, @options) = @$format;
	my ($path) = $options[-1] =~ /([^=]+)$/;

	($status, $out, $err) = dump_shop(@staging, @options);
	is($status, 0, "$name: a dump with another keyring and context") or diag($err);
	has_no_values($path, $name);
	restore($name, $path, $name eq 'tar' ? () : ('-j', '2'));
}

# The copy's own keyring opens what is in it, where the file of that one is.
$target->safe_psql('custom', "ALTER SERVER staging OPTIONS (SET path '$keys/staging.json')");
is($target->safe_psql('custom', q{
	SELECT count(*) FROM shop.people WHERE id <= 2000 AND pseudo.reidentify(email, 'for the copy', 'staging') LIKE '%' || id || '@example' || id % 7 || '.com'
		AND pseudo.reidentify(name, 'for the copy', 'staging') = 'PLAIN Zoë ' || U&'\+01F642' || ' Nr. ' || id AND pseudo.reidentify("Größe, ""cm", 'for the copy', 'staging') = 'PLAIN ' || id
		AND pseudo.reidentify(phone, 'for the copy', 'staging') = 'PLAIN +49 ' || id}), $people, 'the copy\'s keyring opens them');
like(error_of($target, 'custom', q{SELECT pseudo.reidentify(email, 'mail') FROM shop.people WHERE id = 1}), qr/^22000: pseudonym does not authenticate/, 'and no other');
is($target->safe_psql('custom', q{SELECT count(DISTINCT name) FROM shop.people}), $people, 'random ones differ');

# To standard output, compressed, a part of it.
my $pipe = sub { my ($command) = @_; IPC::Run::run([ 'bash', '-o', 'pipefail', '-c', $command, $program, $source->connstr('shop') ], '<', \undef, '>', \my $o, '2>', \my $e); return ($? >> 8, $o, $e) };
($status, $out, $err) = $pipe->(q{"$0" -Fc "$1" | pg_restore -f -});
is($status, 0, 'a dump to standard output') or diag($err);
is(() = $out =~ /^COPY /mg, 6, 'it is whole');
unlike($out, $value, 'and has no values');
($status, $out, $err) = dump_shop('-t', 'shop.codes', '--data-only');
is($status, 0, 'a dump of a table') or diag($err);
like($out, qr/^COPY shop\.codes \(id, code\) FROM stdin;\n1\tDE\n2\tFR\n\\\.\n/m, 'it has that');
is(() = $out =~ /^COPY /mg, 1, 'and no other');
($status, $out, $err) = dump_shop('--schema-only');
is($status, 0, 'a dump of the schema') or diag($err);
unlike($out, qr/^COPY|SECURITY LABEL/m, 'it has no data and no labels');

# A foreign key that does not hold yet, between values and pseudonyms, holds in the copy.
$source->safe_psql('shop', q{ALTER TABLE shop.letters ADD CONSTRAINT later FOREIGN KEY (email) REFERENCES shop.people (email) NOT VALID});
($status, $out, $err) = dump_shop('-f', "$folder/later.sql");
is($status, 0, 'a foreign key between values and pseudonyms') or diag($err);
$source->safe_psql('shop', q{ALTER TABLE shop.letters DROP CONSTRAINT later});
$target->safe_psql('postgres', 'CREATE DATABASE later TEMPLATE template0');
$target->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('later'), '-f', "$folder/later.sql", '-c', 'ALTER TABLE shop.letters VALIDATE CONSTRAINT later' ], 'it holds in the copy');

# ---- Progress ----

SKIP:
{
	skip 'no program "script"', 1 if system('command -v script >/dev/null') != 0;
	IPC::Run::run([ 'script', '-qec', "$program -Fc -f $folder/progress.dump '" . $source->connstr('shop') . q{'}, '/dev/null' ], '<', \undef, '>', \$out, '2>', \$err);
	like($out, qr/\r\e\[Kdumping 3 of 6: shop\.\w+\r\e\[K/, 'on a terminal it says how far it is');
}

# ---- What it refuses, all at once ----

sub stops
{
	my ($name, $options, @expected) = @_;

	unlink "$folder/refused.sql";
	my ($status, $out, $err) = dump_shop('-f', "$folder/refused.sql", @$options);
	is($status, 1, "$name: stops");
	like($err, $_, "$name: says so") for @expected;
	ok(!-e "$folder/refused.sql", "$name: wrote nothing");
}

$source->safe_psql('shop', q{
	CREATE TABLE shop.more (id int, free text, doc jsonb, short varchar(20), gone text NOT NULL, address text REFERENCES shop.people (email));
	INSERT INTO shop.more VALUES (1, 'a', '{}', 'short', 'gone');
	SECURITY LABEL FOR pseudo ON COLUMN shop.more.short IS 'random';
	SECURITY LABEL FOR pseudo ON COLUMN shop.more.gone IS 'hide';
	SECURITY LABEL FOR pseudo ON COLUMN shop.more.address IS 'deterministic';
	SELECT lo_from_bytea(0, 'joe1@example1.com')} =~ s/CREATE TABLE/SELECT count(*) FROM pseudo.pseudo_keyrings; CREATE TABLE/r);
my @wrong = (qr/^pseudo_dump: the database has large objects \(1\), which have no labels/m, qr/column "free" of relation shop\.more has no label, and its type text may hold personal data\nDETAIL:  This stops a dump\.\nHINT:  Label it: SECURITY LABEL/,
	qr/column "doc" of relation shop\.more has no label/, qr/column "short" of relation shop\.more is too narrow for its pseudonyms: it takes 20 characters, and they have up to 52\n.*\nHINT:  Use ALTER TABLE shop\.more ALTER COLUMN short TYPE text/,
	qr/column "gone" of relation shop\.more is to be hidden, and must not be null\n.*\nHINT:  Give it another label, or use ALTER TABLE shop\.more ALTER COLUMN gone DROP NOT NULL/,
	qr/foreign key "more_address_fkey" would not hold: column "address" of relation shop\.more and column "email" of relation shop\.people become different things/);
stops('what is wrong', [], @wrong, qr/^pseudo_dump: error: nothing was dumped; problems: 6$/m);
stops('in a dry run', [ '--dry-run' ], @wrong);
stops('with one context', [ '--context=one' ], @wrong[ 0 .. 4 ], qr/problems: 5$/m);
stops('with what has no label kept', [ '--unlabelled=keep', '--large-objects=leave-out' ], @wrong[ 3 .. 5 ], qr/problems: 3$/m);
stops('with a keyring that is not there', [ '--keyring=nowhere' ], qr/keyring "nowhere" does not exist\nDETAIL:  This stops a dump/);
for (@staging ? [ '-T', 'shop.more' ] : ())
{
	stops('without that table', $_, $wrong[0], qr/problems: 1$/m);
	($status, $out, $err) = dump_shop(@$_, '--large-objects=leave-out');
	is($status, 0, 'without large objects') or diag($err);
	unlike($out, qr/lo_create|joe1\@/, 'there are none');
	($status, $out, $err) = dump_shop(@$_, '--large-objects=keep');
	is($status, 0, 'with large objects as they are') or diag($err);
	like($out, qr/lo_create.*6a6f653140/s, 'there are some');
	($status, $out, $err) = dump_shop(@$_, '--dry-run', '-B');
	like("$status|$out|$err", qr/^0\|\|(?s:.*)^pseudo_dump: 6 tables can be dumped\n\z/m, 'a dry run');
}
($status, $out, $err) = dump_shop('--unlabelled=hide', '-B', '-t', 'shop.more');
like($err, qr/problems: 3$/m, 'what has no label is hidden') or diag($err);
{
	local $ENV{PGOPTIONS} = '-c session_preload_libraries=pseudo -c pseudo.dump=on';
	IPC::Run::run([ 'pg_dump', '-b', '-t', 'shop.codes', '-d', $source->connstr('shop') ], '<', \undef, '>', \$out, '2>', \$err);
	like($err, qr/large objects cannot be read while pseudo\.dump is on/, 'pg_dump with pseudo.dump reads no large objects');
}
$source->safe_psql('shop', q{DROP TABLE shop.more; SELECT lo_unlink(oid) FROM pg_largeobject_metadata});

for (
	[ '--inserts' ], [ '--column-inserts' ], [ '--attribute-inserts' ], [ '--rows-per-insert=5' ], [ '--rows-per-insert', '5' ], [ '--on-conflict-do-nothing' ],
	[ '--include-foreign-data=*' ], [ '--statistics' ], [ '--statistics-only' ], [ '--snapshot=1' ], [ '--serializable-deferrable' ], [ '--binary-upgrade' ])
{
	stops("@$_", $_, qr/^pseudo_dump: error: option --[\w-]+ cannot be used: /m);
}
stops("@$_", $_, qr/^pseudo_dump: error: (?:option \S+ is not known|there is no option|option \S+ needs an argument|too many names|--unlabelled must|--large-objects must)/m)
	for [ '--form=c' ], [ '--insert' ], [ '-y' ], [ '--', '--schema' ], [ 'another' ], [ '--', 'a', 'b' ], [ '--unlabelled=maybe' ], [ '--large-objects=maybe' ];
($status, $out, $err) = dump_shop("--context=a\nb");
like($err, qr/control character/, 'a context of one line');
IPC::Run::run([ $program, $_ ], '>', \$out, '2>', \$err) or like($err, qr/^pseudo_dump: error: option \Q$_\E needs an argument$/m, "$_ without an argument")
	for '-n', '--schema', '-F';
IPC::Run::run([ $program, $_ ], '>', \$out, '2>', \$err) and like($out, qr/^pseudo_dump/, $_) for '--help', '--version', '-V', '-?';

# Whoever sets pseudo.dump by hand gets no further with pg_dump.
{
	local $ENV{PGOPTIONS} = '-c session_preload_libraries=pseudo -c pseudo.dump=on';
	for ([ qr/relation shop\.\w+ cannot be read while pseudo\.dump is on/, '--inserts' ], [ qr/relation shop\.\w+ cannot be read/, '--rows-per-insert=10' ], [ qr/^$/ ])
	{
		my ($expected, @options) = @$_;
		IPC::Run::run([ 'pg_dump', @options, '-d', $source->connstr('shop') ], '<', \undef, '>', \$out, '2>', \$err);
		like($err, $expected, "pg_dump @options with pseudo.dump");
		unlike($out, qr/$value|[\w.]+@[\w.]+/, 'has no values');
	}
}

# ---- Whose sessions have the library ----

my $as_dumper = $source->connstr('shop') . ' user=dumper';
$source->safe_psql('shop', 'GRANT pg_read_all_data TO dumper');
if (!$Pseudo::preload)
{
	($status, $out, $err) = run_program($as_dumper);
	is("$status|$out", '1|', 'a role whose sessions begin without the library gets nothing');
	like($err, qr/^pseudo_dump: error: the server does not begin this role's sessions with the library.*\npseudo_dump: hint: .*ALTER ROLE \.\.\. SET session_preload_libraries/m, 'and is told what to do');
}
($status, $out, $err) = run_program($source->connstr('shop') . q{ options='-c geqo=off'});
is("$status|$out", '1|', 'a connection string with options of its own gets nothing');
like($err, qr/options= in the connection string/, 'and says so');
$source->safe_psql('shop', q{ALTER ROLE dumper SET session_preload_libraries = 'pseudo'; ALTER ROLE reader SET session_preload_libraries = 'pseudo'});

# ---- Rights ----

my @as_staging = ('-f', "$folder/rights.sql", '--large-objects=leave-out', @staging);
($status, $out, $err) = run_program($as_dumper, @as_staging);
like($err, qr/permission denied for function pseudonymize\nDETAIL:  This stops a dump/, 'it takes the right to pseudonymize');
$source->safe_psql('shop', q{GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO dumper; GRANT USAGE ON FOREIGN SERVER staging TO dumper});
($status, $out, $err) = run_program($as_dumper, @as_staging);
isnt($status, 0, 'and to open pseudonyms where there are any, for another keyring');
like($err, qr/WARNING:  pseudonyms with keyring "pseudo" cannot be opened by the current role\nDETAIL:  .* stops where there are any/, 'it says so before');
like($err, qr/permission denied for function reidentify/, 'and stops half-way');
like($err, qr/^pseudo_dump: the incomplete "\Q$folder\E\/rights\.sql" was removed$/m, 'it removes what it wrote');
ok(!-e "$folder/rights.sql", 'nothing is left');
$source->safe_psql('shop', q{GRANT EXECUTE ON FUNCTION pseudo.reidentify TO dumper; GRANT USAGE ON FOREIGN SERVER pseudo TO dumper});
($status, $out, $err) = run_program($as_dumper, @as_staging);
is($status, 0, 'with these rights, it is a dump') or diag($err);
has_no_values("$folder/rights.sql", 'of no superuser');
($status, $out, $err) = run_program($source->connstr('shop') . ' user=reader', '-f', "$folder/rights2.sql");
like($err, qr/permission denied for (?:table|schema)/, 'it takes SELECT');
ok(!-e "$folder/rights2.sql", 'nothing is left');
# As another role.
$source->safe_psql('shop', 'GRANT dumper TO reader');
($status, $out, $err) = run_program($source->connstr('shop') . ' user=reader', '--role=dumper', @as_staging);
is($status, 0, 'with --role') or diag($err);

# ---- What happens in between ----

# A folder of programs where pg_dump is a script, which can do something before the dump, after the dry run.
sub with_pg_dump
{
	my ($script) = @_;
	my $programs = PostgreSQL::Test::Utils::tempdir();
	my $bindir = $source->config_data('--bindir');

	symlink "$bindir/psql", "$programs/psql" or die $!;
	File::Copy::copy($program, "$programs/pseudo_dump") or die $!;
	open my $file, '>', "$programs/pg_dump" or die $!;
	print $file qq{#!/bin/sh\ncase "\$1 \$PGOPTIONS" in *--version*|*dump=dry_run*) exec $bindir/pg_dump "\$@" ;; esac\n$script\nexec $bindir/pg_dump "\$@"\n};
	close $file;
	chmod 0755, "$programs/pseudo_dump", "$programs/pg_dump";
	return "$programs/pseudo_dump";
}

my $psql = $source->config_data('--bindir') . '/psql';
{
	my $connstr = $source->connstr('shop');
	local $program = with_pg_dump(qq{PGOPTIONS= $psql -Xqc "ALTER TABLE shop.people ADD COLUMN nick text DEFAULT 'PLAIN'" '$connstr' >&2});
	($status, $out, $err) = dump_shop('-Fd', '-f', "$folder/between");
	isnt($status, 0, 'a column that comes after the dry run');
	like($err, qr/column "nick" of relation shop\.people has no label/, 'stops the dump');
	ok(!-e "$folder/between", 'nothing is left');
	mkdir "$folder/between";
	($status, $out, $err) = dump_shop('-Fd', '-f', "$folder/between");
	like($err, qr/nick/, 'once more, into a folder that is there');
	ok(-d "$folder/between" && !glob("$folder/between/*"), 'that stays, empty');
	mkdir "$folder/full";
	append_to_file("$folder/full/file", 'mine');
	($status, $out, $err) = dump_shop('-Fd', '-f', "$folder/full");
	is(join(' ', glob "$folder/full/*"), "$folder/full/file", 'what is not of the dump stays');
}
$source->safe_psql('shop', 'ALTER TABLE shop.people DROP COLUMN nick');
# Labels are those of the rows: what was hidden when the dump began does not go out since its column has been emptied, and may be seen.
for (
	[ 'a label', q{SECURITY LABEL FOR pseudo ON COLUMN shop.moved.code IS 'keep'} ],
	[ 'no label', q{SECURITY LABEL FOR pseudo ON COLUMN shop.moved.code IS NULL} ],
	[ 'a root with another label', 'ALTER TABLE shop.root ATTACH PARTITION shop.moved DEFAULT' ])
{
	my ($name, $change) = @$_;
	my $connstr = $source->connstr('shop');

	$source->safe_psql('shop', q{
		SELECT count(*) FROM pseudo.pseudo_keyrings;
		CREATE TABLE shop.root (id int, code text) PARTITION BY LIST (id);
		CREATE TABLE shop.moved (id int, code text);
		INSERT INTO shop.moved VALUES (1, 'PLAIN code');
		SECURITY LABEL FOR pseudo ON COLUMN shop.root.code IS 'keep';
		SECURITY LABEL FOR pseudo ON COLUMN shop.moved.code IS 'hide'});
	local $program = with_pg_dump(qq{PGOPTIONS= $psql -Xqc 'SELECT count(*) FROM pseudo.pseudo_keyrings' -c "UPDATE shop.moved SET code = NULL" -c "$change" '$connstr' >&2});
	($status, $out, $err) = dump_shop('-t', 'shop.moved', '--unlabelled=keep');
	isnt($status, 0, "$name since the dump began");
	like($err, qr/could not dump relation shop\.moved because its labels have changed since the dump began/, "$name: stops the dump");
	unlike($out, $value, "$name: no value has gone out");
	$source->safe_psql('shop', 'DROP TABLE shop.root; DROP TABLE IF EXISTS shop.moved');
}
{
	local $program = with_pg_dump('cat > /dev/null; for option; do case $option in --file=*) echo half > "${option#*=}" ;; esac; done; kill -9 $$');
	($status, $out, $err) = dump_shop('-f', "$folder/killed.sql");
	is($status, 137, 'pg_dump is killed');
	ok(!-e "$folder/killed.sql", 'nothing is left');
	($status, $out, $err) = dump_shop();
	like($err, qr/^pseudo_dump: what was written is incomplete$/m, 'of standard output it says so');
}
{
	local $program = with_pg_dump('for option; do case $option in --file=*) echo half > "${option#*=}" ;; esac; done; exec sleep 180');
	my $run = IPC::Run::start([ $program, '-f', "$folder/stopped.sql", $source->connstr('shop') ], '<', \undef, '>', \$out, '2>', \$err);
	Time::HiRes::usleep(50_000) until -s "$folder/stopped.sql";
	$run->signal('TERM');
	$run->finish;
	is($? >> 8, 143, 'pseudo_dump is told to end');
	ok(!-e "$folder/stopped.sql", 'nothing is left');
}
# What pg_dump did not come to write to stays: a folder's dump cannot be where a file is, and there is no such format.
for my $options ([ '-Fd' ], [ '-F', 'bogus' ])
{
	append_to_file("$folder/earlier.sql", 'mine') unless -e "$folder/earlier.sql";
	Time::HiRes::utime(time - 60, time - 60, "$folder/earlier.sql");
	($status, $out, $err) = dump_shop(@$options, '-f', "$folder/earlier.sql");
	isnt($status, 0, "@$options: pg_dump refuses it");
	is(-e "$folder/earlier.sql" && slurp_file("$folder/earlier.sql"), 'mine', "@$options: the file that was there stays");
}
# A filter is read twice.
($status, $out, $err) = dump_shop('--filter=-');
like("$status $err", qr/^1 pseudo_dump: error: --filter must name a file/, 'a filter that can be read once only');

# What others can set for a database, and operators of theirs, count for nothing.
$source->safe_psql('shop', q{
	CREATE SCHEMA lure;
	CREATE FUNCTION lure.eq(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'lured'; RETURN false; END $$;
	CREATE OPERATOR lure.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = lure.eq);
	CREATE FUNCTION lure.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'lured'; RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
	CREATE OPERATOR lure.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lure.eq);
	CREATE TABLE lure.plain (name text);
	ALTER DATABASE shop SET search_path = lure, pg_catalog;
	ALTER DATABASE shop SET client_min_messages = error});
my $logged = -s $source->logfile;
($status, $out, $err) = dump_shop('--dry-run', '-B');
like("$status $err", qr/^1 .*column "name" of relation lure\.plain has no label/s, 'it says what is wrong, whatever a database sets');
unlike(slurp_file($source->logfile, $logged), qr/lured/, 'and calls operators of PostgreSQL only');
$source->safe_psql('postgres', 'ALTER DATABASE shop RESET ALL');
$source->safe_psql('shop', 'DROP SCHEMA lure CASCADE');

# A pg_dump that meets another server has no such snapshot there.
{
	my $other = $target->connstr('postgres');
	local $program = with_pg_dump(qq{for option; do last=\$option; done; exec pg_dump -d '$other' "\$last"});
	($status, $out, $err) = dump_shop();
	like("$status $out $err", qr/^1 .*snapshot/s, 'another server than the one that was asked');
}
is($source->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'shop'}), 1, 'no session is left');

# A standby.
$source->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($source, 'base', has_streaming => 1);
$standby->start;
($status, $out, $err) = run_program($standby->connstr('shop'), '-f', "$folder/standby.sql", @staging);
is($status, 0, 'a standby') or diag($err);
has_no_values("$folder/standby.sql", 'of a standby');
$standby->stop;

# ---- It counts ----

my $counted = start_server('counted', "shared_preload_libraries = 'pseudo'\npseudo.audit_file = 'audit.jsonl'\n");
$counted->safe_psql('postgres', qq{
	CREATE ROLE dumper LOGIN IN ROLE pg_read_all_data;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$keys/counted.json', audit 'file', reidentify_limits 'dumper=5/d');
	SELECT pseudo.pseudo_create_key();
	CREATE TABLE people (id int, email text);
	INSERT INTO people SELECT n, pseudo.pseudonymize(n || '\@example.com', true) FROM generate_series(1, 5) n;
	INSERT INTO people SELECT n, n || '\@example.com' FROM generate_series(6, 10) n;
	SECURITY LABEL FOR pseudo ON COLUMN people.email IS 'deterministic';
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO dumper;
	GRANT USAGE ON FOREIGN SERVER pseudo TO dumper;
	GRANT USAGE ON SCHEMA pseudo TO dumper});
my $as_counted = $counted->connstr('postgres') . ' user=dumper';
($status, $out, $err) = run_program($as_counted);
is($status, 0, 'preloaded, a dump of who is no superuser') or diag($err);
($status, $out, $err) = run_program($as_counted, '--context=copy');
is($status, 0, 'one that opens five') or diag($err);
is($counted->safe_psql('postgres', q{SELECT r ->> 'function', r ->> 'session_user', max((r ->> 'opened')::int) FROM pseudo.pseudo_audit_records() r WHERE r ->> 'function' LIKE '%dump%' GROUP BY 1, 2}),
	'pseudo_dump_value|dumper|5', 'it is recorded') or diag($counted->safe_psql('postgres', 'SELECT pseudo.pseudo_audit_records()'));
($status, $out, $err) = run_program($as_counted, '--context=copy', '-f', "$folder/counted.sql");
like($err, qr/reached the limit|has reached/, 'and counted: a limit stops the next one') or diag("$status $out");
ok(!-e "$folder/counted.sql", 'nothing is left');

$_->stop for $source, $target, $counted;
done_testing();
