# The README and the pages of doc/ as a newcomer follows them, from top to bottom: each SQL block runs, and prints what the block after it shows.
# Those of the keyring "crm", which is in AWS, need moto.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use IPC::Run ();
use Moto;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $home = "${PostgreSQL::Test::Utils::tmp_check}/readme_home";
clean_environment($home);
my $moto = Moto->start;
if ($moto)
{
	@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)} = $moto->admin;
	$ENV{AWS_ENDPOINT_URL} = $moto->url;
	$moto->boto("client('secretsmanager').create_secret(Name='EncryptionKeys-prod')");
}
my $node = start_server('readme', "shared_preload_libraries = 'pseudo'");
my $etc = PostgreSQL::Test::Utils::tempdir();

# What psql prints for a block, both streams, without space at the ends of lines; and its exit status.
sub run_block
{
	my ($sql) = @_;

	IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', '-' ], '<', \$sql, '>&', \my $out);
	my $status = $? >> 8;
	$out =~ s/ +$//mg;
	return ($status, $out);
}

# The pages in the order in which they are read; one follows on what those before it made.
my $root = "$FindBin::RealBin/../..";
my @pages = ('README.md',
	map { "doc/$_.md" }
	  qw(functions performance views tables dump coverage keyrings audit aws rotation rest-service security errors format scale design));
is_deeply(
	[ sort @pages ],
	[ sort 'README.md', map { s{^\Q$root\E/}{}r } glob("$root/doc/*.md") ],
	'every page of doc/ is read');

# The fenced blocks, each with its language, its text, the line that it is on, and what stands between it and the one before.
my (@blocks, $fences);
for my $page (@pages)
{
	my $words = slurp_file("$root/$page");
	$fences += () = $words =~ /^```sql$/gm;
	while ($words =~ /\G(.*?)^```(\w*)\n(.*?)^```\n/gms)
	{
		my ($before, $language, $text, $line) = ($1, $2, $3, 1 + (substr($words, 0, $-[3]) =~ tr/\n//));
		$text =~ s{/etc/pseudo}{$etc}g;
		push @blocks, { before => $before, language => $language, text => $text, name => "$page, line $line" };
	}
}

my %count;
for my $n (0 .. $#blocks)
{
	my ($block, $next) = @blocks[ $n, $n + 1 ];
	my ($text, $name) = @$block{qw(text name)};

	if ($block->{language} eq 'sql')
	{
		$count{sql}++;
		if (!$moto && $text =~ /SERVER crm|=> 'crm'|_key\('crm'/)
		{
		  SKIP: { skip "$name: needs moto (PSEUDO_PYTHON)", 1; }
			next;
		}
		my ($status, $out) = run_block($text);
		is($status, 0, "$name: runs") or diag($out);
		if ($next && $next->{language} eq '' && $next->{before} !~ /\S/)
		{
			ok(index($out, $next->{text}) >= 0, "$name: prints what follows") or diag($out);
			$count{output}++;
		}
	}
	elsif ($text =~ /\A=> (.*?;)\n(.*)\z/s)
	{
		# What the analyst gets, who has the schema.
		my ($status, $out) = run_block("GRANT USAGE ON SCHEMA pseudo TO analyst;\nSET ROLE analyst;\n$1");
		like($out, qr/\Q$2/, "$name: prints what follows the prompt");
		$count{prompt}++;
	}
	elsif ($block->{language} eq 'sh' && $text =~ /service\.json/)
	{
		$text =~ s/sudo //g;
		$text =~ s/ -o postgres -g postgres//;
		is(system('sh', '-ec', $text), 0, "$name: runs");
		$count{sh}++;
	}
}
# What a page links to is there: the file, and the heading.
sub anchors
{
	my ($file) = @_;

	return map { lc s/[^\w\s-]//gr =~ s/\s/-/gr } slurp_file($file) =~ /^#+ (.*)$/gm;
}

for my $page (@pages)
{
	my ($folder) = "$root/$page" =~ m{^(.*)/};
	my @missing;
	for my $link (slurp_file("$root/$page") =~ /\]\((?!https?:)([^)\s]+)\)/g)
	{
		my ($file, $anchor) = $link =~ /^([^#]*)#?(.*)$/;
		$file = $file eq '' ? "$root/$page" : "$folder/$file";
		push @missing, $link unless -f $file && ($anchor eq '' || grep { $_ eq $anchor } anchors($file));
	}
	is("@missing", '', "$page: what it links to is there");
}

# doc/errors.md names every SQLSTATE that the code does, and what the macros of those are called is in PostgreSQL's own header.
my %names = map { $_ => 1 } map { slurp_file($_) =~ /\bERRCODE_(\w+)/g } glob("$root/src/*/*.c");
delete @names{qw(TO_CATEGORY T_R_DEADLOCK_DETECTED)};    # a macro, and one that is only looked at
my $codes = slurp_file("@{[ $node->config_data('--includedir-server') ]}/utils/errcodes.h");
my %state;
while ($codes =~ /^#define ERRCODE_(\w+)\s+MAKE_SQLSTATE\(([^)]*)\)/gm)
{
	my ($name, $letters) = ($1, $2);
	$state{$name} = $letters =~ s/[^A-Z0-9]//gr;
}
my $page = slurp_file("$root/doc/errors.md");
is(join(' ', grep { my $code = $state{$_} // '?'; $page !~ /^\| [^|]*\b$code\b/m } sort keys %names),
	'', 'doc/errors.md has every SQLSTATE that the code raises');

is($count{sql}, $fences, 'every block of SQL was found');
cmp_ok($count{output}, '>=', 3, 'and three that are followed by what they print');
is("$count{prompt} $count{sh}", '1 1', 'one with a prompt, and one of sh');

$node->stop;
done_testing();
