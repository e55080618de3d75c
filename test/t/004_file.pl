# The provider file: whose file it may be, what kind, and what becomes of the keys when it changes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Basename;
use POSIX qw(mkfifo);
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $one = '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}';
my $keys_12 = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $keys_12_99 = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 99, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "bqigANmfmdxl4R7MqyHk8FmHC3qx6UL0/p1V94LPvbI=", "encodedNonceKey": "nF1ZC6evQHEVrV7HmI1FZm0DDg4sbfkK2ccx9a/ZpTc=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $keys_12_99_max = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 99, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "bqigANmfmdxl4R7MqyHk8FmHC3qx6UL0/p1V94LPvbI=", "encodedNonceKey": "nF1ZC6evQHEVrV7HmI1FZm0DDg4sbfkK2ccx9a/ZpTc=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my $keys_126 = '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}]}';
my $keys_12_primary_1 = '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}]}';
my ($by_1, $by_2, $by_6, $by_99, $by_max, $by_a, $by_b) =
  ('ZGViM2NjNDdlZDU3RmRYG8LZH4Mgsf4GE01tb3Q=', 'AQAAAAI2MzdkZmE0NmEzZDmfGF9MJkQXQSarGfKWHDgFpw==', 'AQAAAAYxOGM5ODQ1MTg4ZmHTvhXsZaJZgv/z2Ymc3B7aiQ==', 'AQAAAGNiNTRlZTdjNmY0ZjVNz2TfVviSdo/IAQUdHx0HAg==', 'Af////81YmVjNzM0MTRiZGWTUmT35HZpfWA1lDvfSe+eQQ==', 'NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', 'Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E=');

my $node = start_server('file');
my $dir = $node->basedir . '/keys';
mkdir $dir or die $!;

# What a keyring of this path says.
my $n = 0;
sub said
{
	my ($path) = @_;
	my $name = 'try_' . ++$n;

	add_keyring($node, $name, undef, path => $path);
	my $said = error_of($node, 'postgres', "SET statement_timeout = '20s'; SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => '$name'), keyring => '$name')");
	note $said;
	return $said;
}

#
# Kinds and modes
#
put_file("$dir/good.json", $one);
is(said("$dir/good.json"), 'no error: x', 'mode 0600');
for my $mode (0400, 0600)
{
	chmod $mode, "$dir/good.json";
	is(said("$dir/good.json"), 'no error: x', sprintf 'mode %04o', $mode);
}
for my $mode (0640, 0660, 0604, 0644, 0620, 0610, 0666, 0601)
{
	# Each a file that nobody has read: of one whose keys the server has, the first refusal would stop nobody.
	my $file = sprintf '%s/mode%04o.json', $dir, $mode;

	put_file($file, $one);
	chmod $mode, $file;
	like(said($file), qr/^42501: .*others/, sprintf 'mode %04o', $mode);
}
SKIP:
{
	skip 'root reads every file', 1 if $> == 0;
	put_file("$dir/unreadable.json", $one);
	chmod 0200, "$dir/unreadable.json";
	like(said("$dir/unreadable.json"), qr/^42501: /, 'unreadable');
}
chmod 0600, "$dir/good.json";
like(said("$dir/missing.json"), qr/^(42501|58P01): /, 'missing');
like(said("$dir/missing/keyring.json"), qr/^(42501|58P01): /, 'in a missing directory');
like(said("$dir/good.json/keyring.json"), qr/^(?!XX|57014)\w{5}: /, 'beneath a file');
like(said($dir), qr/^42809: .*|^(?!XX|57014)\w{5}: .*regular/, 'a directory');
mkfifo("$dir/fifo", 0600) or die $!;
like(said("$dir/fifo"), qr/^42809: .*|^(?!XX|57014)\w{5}: .*regular/, 'a FIFO');
like(said('/dev/zero'), qr/^(?!XX|57014)\w{5}: /, 'a device');
like(said('/etc/passwd'), qr/^42501: .*others/, 'a file of root that all can read');
symlink "$dir/good.json", "$dir/link.json";
is(said("$dir/link.json"), 'no error: x', 'a symbolic link');
# a directory that others may write to, who could put a link there to what only the server can read
mkdir "$dir/shared" or die $!;
put_file("$dir/shared/keyring.json", $one);
symlink "$dir/shared/keyring.json", "$dir/into.json";
symlink "$dir/good.json", "$dir/shared/out.json";
for my $mode (0777, 0757, 0703)
{
	chmod $mode, "$dir/shared";
	like(said($_), qr/^42501: .*directory ".*shared" can be written to by others/, sprintf '%s, directory with mode %04o', basename($_), $mode)
		for "$dir/shared/keyring.json", "$dir/into.json", "$dir/shared/out.json";
}
add_keyring($node, 'planted', undef, path => "$dir/shared/out.json");
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('planted')"), qr/^42501: .*can be written to by others/, 'a key is not put where a link of others leads');
add_keyring($node, 'begun', undef, path => "$dir/shared/new.json");
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('begun')"), qr/^42501: .*can be written to by others/, 'nor a first one into such a directory');
is(join(' ', sort map { basename $_ } glob "$dir/shared/*"), 'keyring.json out.json', 'nothing is made there');
is(slurp_file("$dir/good.json"), $one, 'nor changed elsewhere');
for my $mode (0700, 0770, 01777)
{
	chmod $mode, "$dir/shared";
	is(said("$dir/shared/keyring.json"), 'no error: x', sprintf 'directory with mode %04o', $mode);
}
SKIP:
{
	my ($strange) = grep { (lstat $_)[4] != 0 && (lstat _)[4] != $> && !-l _ && -d _ } glob "$ENV{TESTDIR}/../strange/* /var/mail /var/cache/* /var/lib/* /home/* /proc/[0-9]*";
	skip 'no directory of another user in sight', 1 unless defined $strange;
	like(said("$strange/keyring.json"), qr/^42501: .*can be written to by others/, 'a directory of another user');
}
symlink "$dir/nowhere.json", "$dir/dangling.json";
like(said("$dir/dangling.json"), qr/^(42501|58P01): /, 'a dangling link');
symlink "$dir/loop.json", "$dir/loop.json";
like(said("$dir/loop.json"), qr/^(?!XX|57014)\w{5}: /, 'a link to itself');
like(said("$dir/" . 'x' x 300), qr/^(?!XX|57014)\w{5}: /, 'a name too long');
SKIP:
{
	my ($strange) = grep { -f $_ && (stat _)[4] != 0 && (stat _)[4] != $> && (stat dirname($_))[4] == 0 && !((stat _)[2] & 022) } glob "$ENV{TESTDIR}/../strange/* /var/mail/* /var/lib/*/*";
	skip 'no file of another user in sight', 1 unless defined $strange;
	like(said($strange), qr/^42501: .*own/, 'a file of another user');
}
put_file("$dir/large.json", ' ' x 65537);
like(said("$dir/large.json"), qr/^(?!XX|57014)\w{5}: .*65536/, 'more than 64 KiB');
# what storing says of places where nothing can be stored
add_keyring($node, 'nowhere', undef, path => "$dir/missing/keyring.json");
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('nowhere')"), qr/^(?!XX)\w{5}: /, 'no directory to store in');
add_keyring($node, 'open', $one, path => "$dir/open.json");
chmod 0644, "$dir/open.json";
like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('open')"), qr/^42501: .*others/, 'a file that others can read is not changed');
is(slurp_file("$dir/open.json"), $one, 'and is as it was');
SKIP:
{
	skip 'root writes everywhere', 2 if $> == 0;
	mkdir "$dir/fixed" or die $!;
	add_keyring($node, 'fixed', $one, path => "$dir/fixed/keyring.json");
	chmod 0500, "$dir/fixed";
	like(error_of($node, 'postgres', "SELECT pseudo.pseudo_create_key('fixed')"), qr/^42501: /, 'a directory that cannot be written');
	is($node->safe_psql('postgres', "SELECT pseudo.reidentify(pseudo.pseudonymize('x', keyring => 'fixed'), keyring => 'fixed')"), 'x', 'can be read');
	chmod 0700, "$dir/fixed";
}

#
# Early refresh: a pseudonym that no key opens has the file read again, then none for a minute unless that brought a new version.
#
my $path = add_keyring($node, 'pseudo', $keys_12);
my $s = session($node);
is(ask($s, "SELECT pseudo.reidentify('$by_2')"), 'x', 'loaded');
put_file($path, $keys_12_99);
is(ask($s, "SELECT pseudo.reidentify('$by_99')"), 'x', 'early refresh: a new key is found');
put_file($path, $keys_12_99_max);
is(ask($s, "SELECT pseudo.reidentify('$by_max')"), 'x', 'early refresh: and another, for the first brought a new version');
like(ask($s, "SELECT pseudo.reidentify('$by_b')"), qr/^22000: /, 'early refresh: nothing new');
put_file($path, '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 99, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "bqigANmfmdxl4R7MqyHk8FmHC3qx6UL0/p1V94LPvbI=", "encodedNonceKey": "nF1ZC6evQHEVrV7HmI1FZm0DDg4sbfkK2ccx9a/ZpTc=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}]}');
like(ask($s, "SELECT pseudo.reidentify('$by_6')"), qr/^22000: /, 'early refresh: none within a minute');
is(ask($s, "SELECT pseudo.try_reidentify('$by_6') IS NULL"), 't', 'early refresh: nor for try_reidentify');
is(ask($s, "SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.reidentify('$by_6')"), 'x', 'pseudo_refresh_keyring: at once');
put_file($path, $one);
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.reidentify('$by_a')"), qr/^x$/m, 'one key');
put_file($path, '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
my $seen = -s $node->logfile;
is(ask($s, "SELECT pseudo.try_reidentify('$by_b')"), 'x', 'early refresh: also where a one-key document was replaced');
like(slurp_file($node->logfile, $seen), qr/LOG:  keyring "pseudo": key 1 is gone/, 'early refresh: ... and the log says so');
put_file($path, $one);
like(ask($s, "SELECT pseudo.reidentify_array('{$by_a}')"), qr/^\{x\}$/m, 'early refresh: in arrays');
like(ask($s, "SELECT pseudo.reidentify('$by_b')"), qr/^22000: /m, 'early refresh: nothing new');
put_file($path, '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
like(ask($s, "SELECT pseudo.reidentify('malformed')"), qr/^22P02: /, 'early refresh: a malformed pseudonym makes none');

#
# pseudo_refresh_keyring reaches every session, at commit
#
put_file($path, $keys_12);
my $other = session($node);
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.reidentify('$by_2')"), qr/^x$/m, 'refresh: one session');
is(ask($other, "SELECT pseudo.reidentify('$by_2')"), 'x', 'refresh: another session');
put_file($path, $keys_12_primary_1);
is(ask($s, "BEGIN; SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.pseudonymize('x', true)"), $by_1, 'refresh: its own session at once, in an open transaction');
# Where the library is preloaded, what has been loaded is there for all at once.
my $before_commit = $Pseudo::preload ? $by_1 : $by_2;
is(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $before_commit, 'refresh: another not before commit');
is(ask($other, "BEGIN; SELECT pseudo.pseudonymize('x', true)"), $before_commit, 'refresh: nor in a transaction');
ask($s, 'COMMIT');
is(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $by_1, 'refresh: after commit the next statement, in an open transaction');
ask($other, 'COMMIT');
# administration reaches them too
is(ask($s, "SELECT pseudo.pseudo_set_primary_key('pseudo', 2); SELECT pseudo.pseudonymize('x', true)"), $by_2, 'administration: its own session');
is(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $by_2, 'administration: another session');
ask($s, "SELECT pseudo.pseudo_set_key_status('pseudo', 1, 'disabled')");
is(ask($other, "SELECT pseudo.try_reidentify('$by_1') IS NULL"), 't', 'administration: the kill switch reaches another session');
# what was stored counts, whatever comes of the transaction
ask($s, "SELECT pseudo.pseudo_set_key_status('pseudo', 1, 'enabled')");
is(ask($other, "SELECT pseudo.reidentify('$by_1')"), 'x', 'administration: enabled again');
ask($s, "BEGIN; SELECT pseudo.pseudo_set_key_status('pseudo', 1, 'disabled'); ROLLBACK");
is(ask($other, "SELECT pseudo.try_reidentify('$by_1') IS NULL"), 't', 'administration: the kill switch reaches others after a ROLLBACK, too');
# a refused refresh fails here, and the others ask again
chmod 0644, $path;
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring()"), qr/^42501: /, 'refresh: refused');
like(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $Pseudo::preload ? qr/^42501: / : qr/^WARNING: keyring "pseudo"/m, 'refresh: a refusal makes the others ask, or drops their keys');
chmod 0600, $path;
is(ask($s, "SELECT pseudo.pseudo_refresh_keyring(); SELECT pseudo.pseudonymize('x', true)"), $by_2, 'refresh: and back');
is(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $by_2, 'refresh: the others, too');
# ALTER SERVER too, and REVOKE
put_file("$dir/one.json", $one);
is(ask($other, "BEGIN; SELECT pseudo.pseudonymize('x', true)"), $by_2, 'ALTER SERVER: before');
ask($s, "ALTER SERVER pseudo OPTIONS (SET path '$dir/one.json')");
is(ask($other, "SELECT pseudo.pseudonymize('x', true)"), $by_a, 'ALTER SERVER: another session, in an open transaction');
ask($other, 'COMMIT');

#
# refresh_interval
#
$path = add_keyring($node, 'brief', $keys_12, refresh_interval => '1s');
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_2, 'refresh_interval: loaded');
put_file($path, $keys_12_primary_1);
sleep 2;
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_1, 'refresh_interval: read again');

# A document with a fault: the old keys serve on, with a WARNING that shows nothing of it.
$seen = -s $node->logfile;
put_file($path, '{"S3cret": "S3cret"}');
sleep 2;
my $said = ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')");
like($said, qr/^\Q$by_1\E$/m, 'a bad document: the old keys serve on');
$said .= slurp_file($node->logfile, $seen) if $Pseudo::preload;	# where the refresher came first
like($said, qr/\bWARNING: +keyring "brief"/, 'a bad document: with a WARNING');
unlike($said, qr/S3cret/, 'a bad document: that shows nothing of it');
note $said;
like(ask($s, "SELECT name, error IS NOT NULL FROM pseudo.pseudo_keyrings WHERE name = 'brief'"), qr/brief\|t/, 'a bad document: pseudo_keyrings has the error');
put_file($path, '');
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_1\E$/m, 'an emptied document: the same');
put_file($path, $keys_12);
is(ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief'); SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_2, 'and a good one ends it');

# A document that lost a key: the log says so.
$seen = -s $node->logfile;
put_file($path, $one);
sleep 2;
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_a, 'a lost key: the document counts');
ok($node->wait_for_log(qr/LOG:  keyring "brief": key 1 is gone/, $seen), 'a lost key: and the log says so');

# A refusal: the old keys serve on after the first; pseudo_refresh_keyring drops them at once.
put_file($path, $keys_12);
like(ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief'); SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_2\E$/m, 'a refusal: loaded');
rename $path, "$path.away";
sleep 2;
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_2\E$/m, 'a refusal: the keys serve on');
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_2\E$/m, 'a refusal: and on');
$said = ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief');\nSELECT pseudo.pseudonymize('x', true, '', 'brief')");
like($said, qr/^(42501|58P01): /m, 'a refusal: pseudo_refresh_keyring drops them');
unlike($said, qr/\Q$by_2\E/, 'a refusal: at once');
rename "$path.away", $path;
is(ask($s, "SELECT pseudo.pseudo_refresh_keyring('brief'); SELECT pseudo.pseudonymize('x', true, '', 'brief')"), $by_2, 'a refusal: ended');
SKIP:
{
	skip 'a minute long: PG_TEST_EXTRA=slow', 2 unless ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/;
	chmod 0644, $path;
	sleep 2;
	like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^\Q$by_2\E$/m, 'a refusal: the first');
	sleep 61;
	like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'brief')"), qr/^42501: /m, 'a refusal: the second in a row drops the keys');
	chmod 0600, $path;
}

# stale_limit: how long keys serve on with a document that is bad.
$path = add_keyring($node, 'stale', $keys_12, refresh_interval => '1s', stale_limit => '3s');
is(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'stale')"), $by_2, 'stale_limit: loaded');
put_file($path, '{"S3cret": "S3cret"}');
sleep 2;
like(ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'stale')"), qr/^\Q$by_2\E$/m, 'stale_limit: within');
sleep 4;
$said = ask($s, "SELECT pseudo.pseudonymize('x', true, '', 'stale')");
like($said, qr/^22023: /m, 'stale_limit: after');
unlike($said, qr/\Q$by_2\E/, 'stale_limit: no keys');

leave($s);
leave($other);
$node->stop;
done_testing();
