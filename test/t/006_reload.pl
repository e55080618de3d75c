# Two thousand loads of a keyring leave no file open, no mapping, and no memory behind; nor do loads that fail, or keyrings that are dropped.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/maps';

my $node = start_server('reload', "jit = off\n");
add_keyring($node, 'pseudo', '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4, "outputPrefix": "tink", "status": "destroyed"}, {"keyId": 5, "outputPrefix": "raw", "status": "disabled", "encodedSecretKey": "KWaKptpg+15HMFw/EO40FiD2S2fbtisiRqqT5eJp/2A=", "encodedNonceKey": "Q5ayD6/1VtOqFLF7aFmgFN61E23KOFLfWRT7+XR2e/M=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}, {"keyId": 7, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "6QY5gryoxDPI9EZB79E/5w==", "encodedNonceKey": "nORpSPRdctN6iJDJMKxWfjQU22oO6y4DPphQJTSGWNU=", "nonceStrPos": 20, "nonceEndPos": 32}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}');
add_keyring($node, 'faulty', substr('{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4, "outputPrefix": "tink", "status": "destroyed"}, {"keyId": 5, "outputPrefix": "raw", "status": "disabled", "encodedSecretKey": "KWaKptpg+15HMFw/EO40FiD2S2fbtisiRqqT5eJp/2A=", "encodedNonceKey": "Q5ayD6/1VtOqFLF7aFmgFN61E23KOFLfWRT7+XR2e/M=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}, {"keyId": 7, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "6QY5gryoxDPI9EZB79E/5w==", "encodedNonceKey": "nORpSPRdctN6iJDJMKxWfjQU22oO6y4DPphQJTSGWNU=", "nonceStrPos": 20, "nonceEndPos": 32}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}', 0, -1));
add_keyring($node, 'missing', undef);
add_keyring($node, 'made', undef);
my $s = session($node);
my $pid = ask($s, 'SELECT pg_backend_pid()');

sub usage
{
	# but for those of catalogs, which a backend opens and closes as others vacuum them
	my @files = grep { (readlink // '') !~ m{/(base|global)/} } glob "/proc/$pid/fd/*";
	my @maps = split /\n/, slurp_file("/proc/$pid/maps");
	my ($locked) = slurp_file("/proc/$pid/status") =~ /^VmLck:\s+(\d+)/m;
	# its own, not what it has touched of the server's buffers
	my ($resident) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
	return (files => scalar @files, maps => scalar @maps, locked => $locked, resident => $resident);
}

sub flat
{
	my ($name, $sql, $times) = @_;
	my $run = sub { "DO \$do\$ BEGIN FOR i IN 1 .. $_[0] LOOP $sql END LOOP; END \$do\$" };

	is(ask($s, $run->($times / 10)), '', "$name: it runs");
	my %before = usage();
	is(ask($s, $run->($times)), '', "$name: it runs on");
	my %after = usage();
	cmp_ok($after{files} - $before{files}, '<=', 0, "$name: files, $before{files} and $after{files}");
	cmp_ok($after{maps} - $before{maps}, '<=', 4, "$name: mappings, $before{maps} and $after{maps}");
	cmp_ok($after{locked} - $before{locked}, '<=', 16, "$name: locked memory, $before{locked} kB and $after{locked} kB");
	cmp_ok($after{resident} - $before{resident}, '<', 256, "$name: memory, $before{resident} kB and $after{resident} kB");
}

flat('loads', q{PERFORM pseudo.pseudo_refresh_keyring(); PERFORM pseudo.reidentify(pseudo.pseudonymize('x'));}, 2000);
flat('documents with a fault', q{BEGIN PERFORM pseudo.pseudo_refresh_keyring('faulty'); EXCEPTION WHEN OTHERS THEN END; BEGIN PERFORM pseudo.pseudonymize('x', keyring => 'faulty'); RAISE 'no error'; EXCEPTION WHEN raise_exception THEN RAISE; WHEN OTHERS THEN END;}, 2000);
flat('no document', q{BEGIN PERFORM pseudo.pseudo_refresh_keyring('missing'); EXCEPTION WHEN OTHERS THEN END; BEGIN PERFORM pseudo.pseudonymize('x', keyring => 'missing'); RAISE 'no error'; EXCEPTION WHEN raise_exception THEN RAISE; WHEN OTHERS THEN END;}, 2000);
ask($s, "SELECT pseudo.pseudo_create_key('made'), pseudo.pseudo_create_key('made')");
flat('changes', q{PERFORM pseudo.pseudo_set_primary_key('made', 1 + i % 2);}, 300);
# Each in a transaction of its own: until one ends, PostgreSQL keeps its messages to other backends, some 2 kB a server.
flat('keyrings that come and go', qq{CREATE SERVER brief FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '} . $node->data_dir . qq{/pseudo.json'); PERFORM pseudo.pseudonymize('x', keyring => 'brief'); DROP SERVER brief; COMMIT;}, 1000);
flat('refused changes', q{BEGIN PERFORM pseudo.pseudo_set_key_status('pseudo', 77, 'disabled'); RAISE 'no error'; EXCEPTION WHEN raise_exception THEN RAISE; WHEN OTHERS THEN END;}, 500);

leave($s);
$node->stop;
done_testing();
