# How long keys from AWS serve: each class of failure with old keys, refusals, early refreshes, pseudo_refresh_keyring() and ALTER SERVER.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Endpoint;
use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $one = '{"encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}';
my $other = '{"encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}';
my $both = '{"version": 1, "primaryKeyId": 1, "keys": [' . ($one =~ s/^\{/{"keyId": 1, "outputPrefix": "raw", "status": "enabled", /r) . ', ' . ($other =~ s/^\{/{"keyId": 2, "outputPrefix": "raw", "status": "enabled", /r) . ']}';

clean_environment("${PostgreSQL::Test::Utils::tmp_check}/freshness_home");
@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION)} = ('AKIDFRESH', 'secret', 'eu-west-1');
my $node = start_server('freshness');
my $endpoint = Endpoint->new;
aws_keyring($node, 'other', endpoint => $endpoint->url, secret_id => 'other');
my $use = "SELECT pseudo.pseudonymize('x', true, keyring => 'fresh')";

# What becomes of requests for the two secrets.
sub answers
{
	my ($answer, $for_other) = @_;

	$endpoint->rules([ { body => '"other"', answer => $for_other // secret($other, 'other-version') }, { answer => $answer } ]);
	$endpoint->forget;
}

# A session that has the keys of a keyring whose refresh is due.
sub due
{
	my (%options) = @_;

	answers(secret($one, 'version-1'));
	aws_keyring($node, 'fresh', endpoint => $endpoint->url, refresh_interval => '1s', timeout => '2s', %options);
	my $s = session($node);
	my $pseudonym = ask($s, $use);
	sleep 1.1;
	return ($s, $pseudonym);
}

# What keeps the old keys: the class, and whether a WARNING says so.
my @keeps = (
	[ 'throttling', aws_error('ThrottlingException', 'slow'), 0 ],
	[ 'an internal error', aws_error('InternalServiceError', 'x', 500), 0 ],
	[ 'no answer', { close => 1 }, 0 ],
	[ 'a hang', { hang => 'before' }, 0 ],
	[ 'expired credentials', aws_error('ExpiredTokenException', 'expired'), 0 ],
	[ 'clocks that differ', aws_error('RequestTimeTooSkewed', 'skew', 400, date => 0), 0 ],
	[ 'a proxy that refuses', { status => 403, body => 'Forbidden by the proxy' }, 0 ],
	[ 'a document that is none', secret('{"version": 1}', 'version-2'), 1 ],
	[ 'an emptied secret', secret('{}', 'version-2'), 1 ],
	[ 'a secret without a version', aws_error('ResourceNotFoundException', q(Secrets Manager can't find the specified secret value for staging label: AWSCURRENT)), 1 ]);
for (@keeps)
{
	my ($name, $answer, $warns) = @$_;
	my ($s, $pseudonym) = due();

	answers($answer);
	my $begun = time;
	my $said = ask($s, $use);
	cmp_ok(time - $begun, '<', 5, sprintf '%s: no long wait (%.1f s)', $name, time - $begun);
	like($said, qr/^\Q$pseudonym\E$/m, "$name: the old keys serve");
	is($said =~ /WARNING/ ? 1 : 0, $warns, "$name: " . ($warns ? 'a WARNING' : 'no WARNING')) or diag $said;
	cmp_ok($endpoint->count, '>', 0, "$name: AWS was asked");
	is(ask($s, "SELECT error IS NOT NULL FROM pseudo.pseudo_keyrings WHERE name = 'fresh'"), 't', "$name: pseudo_keyrings shows it");
	my $asked = $endpoint->count;
	like(ask($s, "SELECT count(*) FROM generate_series(1, 1000) WHERE pseudo.pseudonymize('x', true, keyring => 'fresh') <> ''"), qr/^1000$/m, "$name: a thousand rows");
	cmp_ok($endpoint->count - $asked, '<=', 3, "$name: and at most one more round");
	answers(secret($one, 'version-3'));
	like(ask($s, "SELECT pseudo.pseudo_refresh_keyring('fresh'); $use"), qr/^\Q$pseudonym\E$/m, "$name: it recovers");
	leave($s);
}

# What drops them, at the second refusal in a row.
my @refusals = (
	[ 'access denied', aws_error('AccessDeniedException', 'not authorized to perform: secretsmanager:GetSecretValue'), '42501' ],
	[ 'cannot decrypt', aws_error('DecryptionFailure', 'no'), '42501' ],
	[ 'not found', aws_error('ResourceNotFoundException', q(Secrets Manager can't find the specified secret.)), '42704' ],
	[ 'deleted', aws_error('InvalidRequestException', q(You can't perform this operation on the secret because it was marked for deletion.)), '55000' ]);
for (@refusals)
{
	my ($name, $answer, $sqlstate) = @$_;
	my ($s, $pseudonym) = due();

	answers($answer);
	my $said = ask($s, $use);
	like($said, qr/^\Q$pseudonym\E$/m, "$name: the first refusal stops nobody");
	like($said, qr/WARNING/, "$name: but a WARNING says so");
	is($endpoint->count, 1, "$name: asked once");
	ask($s, $use) for 1 .. 5;
	is($endpoint->count, 1, "$name: and not again at once");
	# The session of pseudo_refresh_keyring() drops its keys at once, and makes the others ask: their second refusal.
	like(error_of($node, 'postgres', "SELECT pseudo.pseudo_refresh_keyring('fresh')"), qr/^$sqlstate: /, "$name: pseudo_refresh_keyring fails");
	like(ask($s, $use), qr/^$sqlstate: keyring "fresh": /, "$name: the second drops the keys");
	answers(secret($one, 'version-4'));
	is(ask($s, $use), $pseudonym, "$name: and when the policy is back, all is");
	leave($s);
}

# A slip between two good answers is forgotten.
{
	my ($s, $pseudonym) = due();

	for my $round (1, 2)
	{
		answers($refusals[0][1]);
		ask($s, $use);
		answers(secret($one, "version-$round"));
		is($node->safe_psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('fresh') IS NULL"), 'f', "a slip, round $round: another session refreshes");
		is(ask($s, $use), $pseudonym, "a slip, round $round: the keys are there");
		sleep 1.1;
	}
	leave($s);
}

# An early refresh: a pseudonym that no key opens asks once, and finds a key that has come.
{
	my ($s, $pseudonym) = due(refresh_interval => '1h');
	my $by_other = ask($s, "SELECT pseudo.pseudonymize('y', true, keyring => 'other')");
	my $open = "SELECT pseudo.try_reidentify('$by_other', keyring => 'fresh')";

	answers(secret($one, 'version-1'));
	is(ask($s, "$open IS NULL"), 't', 'early refresh: a pseudonym of another key');
	is($endpoint->count, 1, 'early refresh: asked once');
	ask($s, "SELECT count(pseudo.try_reidentify('$by_other', keyring => 'fresh')) FROM generate_series(1, 1000)") for 1 .. 3;
	is($endpoint->count, 1, 'early refresh: and not again for a minute');
	leave($s);
	($s, $pseudonym) = due(refresh_interval => '1h');
	is(ask($s, $use), $pseudonym, 'early refresh: another session, and keyring');
	answers(secret($both, 'version-2'));
	is(ask($s, $open), 'y', 'early refresh: the key has come in the meantime');
	is($endpoint->count, 1, 'early refresh: by one request');
	leave($s);
}

# pseudo_refresh_keyring() and ALTER SERVER reach every session.
{
	my ($s, $pseudonym) = due(refresh_interval => '1h');
	my $t = session($node);

	is(ask($t, $use), $pseudonym, 'every session: another one');
	answers(secret($both =~ s/"primaryKeyId": 1/"primaryKeyId": 2/r, 'version-2'));
	is(ask($s, $use), $pseudonym, 'every session: nothing is known of the new version');
	is($node->safe_psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('fresh') IS NULL"), 'f', 'every session: pseudo_refresh_keyring');
	for my $session ($s, $t)
	{
		isnt(ask($session, $use), $pseudonym, 'every session: the new primary key');
		is(ask($session, "SELECT version FROM pseudo.pseudo_keyrings WHERE name = 'fresh'"), 'version-2', 'every session: the new version');
	}
	answers(secret($one, 'version-1'));
	is(ask($s, "BEGIN; ALTER SERVER fresh OPTIONS (ADD stale_limit '2d'); $use"), $pseudonym, 'every session: ALTER SERVER counts at once in its own transaction');
	is(ask($s, 'ROLLBACK; BEGIN; DROP SERVER fresh; ' . "CREATE SERVER fresh FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', endpoint '" . $endpoint->url . "', secret_id 'other'); $use"),
		ask($t, "SELECT pseudo.pseudonymize('x', true, keyring => 'other')"), 'every session: so does CREATE SERVER');
	ask($s, 'ROLLBACK');
	$node->safe_psql('postgres', "ALTER SERVER fresh OPTIONS (SET secret_id 'other')");
	is(ask($_, "SELECT pseudo.pseudonymize('z', true, keyring => 'fresh') = pseudo.pseudonymize('z', true, keyring => 'other')"), 't', 'every session: ALTER SERVER') for $s, $t;
	answers({ close => 1 }, { close => 1 });
	$node->safe_psql('postgres', "ALTER SERVER fresh OPTIONS (SET secret_id 'gone')");
	like(ask($s, $use), qr/^08006: /, 'every session: the keys of another secret never stand in');
	leave($_) for $s, $t;
}

# A burst of DDL makes sessions lose messages, and they cannot know what those said.  They look what has changed, and ask for nothing
# else at once: two hundred of them would at the same moment, for each batch job that makes temporary tables, in any database.
{
	my ($s, $pseudonym) = due(refresh_interval => '1h');
	my @sessions = map { session($node) } 1 .. 20;
	my $burst = "DO \$\$ BEGIN FOR i IN 1 .. 1500 LOOP EXECUTE format('CREATE TEMPORARY TABLE burst_%s (a int)', i); END LOOP; END \$\$";
	my $use_other = "SELECT pseudo.pseudonymize('x', true, keyring => 'other')";
	my $by_other = ask($s, $use_other);

	leave($s);
	$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
	for my $session (@sessions)
	{
		ask($session, $use);
		ask($session, $use_other);
	}
	for my $database ('postgres', 'elsewhere')
	{
		$endpoint->forget;
		$node->safe_psql($database, $burst);
		is(join(' ', grep { $_ ne $pseudonym } map { ask($_, $use) } @sessions), '', "lost messages, database $database: the keys serve");
		is($endpoint->count, 0, "lost messages, database $database: no session asks for them again at once");
	}
	$node->safe_psql('postgres', "ALTER SERVER fresh OPTIONS (SET secret_id 'other'); $burst");
	is(join(' ', grep { $_ ne $by_other } map { ask($_, $use) } @sessions), '', 'lost messages: a changed keyring is seen');
	my $loads = $Pseudo::preload ? 1 : 20;
	is($endpoint->count, $loads, 'lost messages: ... and loaded once by each, or for all');
	is(join(' ', grep { $_ ne $by_other } map { ask($_, $use_other) } @sessions), '', 'lost messages: ... another serves');
	is($endpoint->count, $loads, 'lost messages: ... and is not');

	# What another session has learned from AWS may be among them: it is seen within a minute, at a moment of each session's own.
	SKIP:
	{
		skip 'a minute long: PG_TEST_EXTRA=slow', 3 unless ($ENV{PG_TEST_EXTRA} // '') =~ /\bslow\b/;
		answers(secret($one, 'version-1'), secret($one, 'version-2'));
		$node->safe_psql('postgres', "SELECT pseudo.pseudo_refresh_keyring('other'); $burst");
		ask($_, $use_other) for @sessions;
		my $asked = $endpoint->count;
		my $begun = time;
		my @when;
		while (@when < @sessions && time < $begun + 90)
		{
			my $before = @when;
			for my $session (grep { !$_->{changed} } @sessions)
			{
				next if ask($session, $use_other) eq $by_other;
				$session->{changed} = 1;
				push @when, time - $begun;
			}
			sleep 0.2;
		}
		is(scalar @when, 20, 'lost messages: a refresh that was among them is made up for');
		cmp_ok($when[-1], '<', 75, 'lost messages: ... within a minute');
		# Where the library is preloaded, nothing is lost: it is seen at once.
		cmp_ok($when[-1] - $when[0], '>', 5, 'lost messages: ... not by all at once') unless $Pseudo::preload;
	}
	leave($_) for @sessions;
	answers(secret($one, 'version-1'));
}

# A statement that is cancelled in the middle of a refresh: the next ones do not wait as long again.
{
	my ($s, $pseudonym) = due();

	answers({ hang => 'before' });
	ask($s, "SET statement_timeout = '500ms'");
	my @said = map { ask($s, $use) } 1 .. 6;
	like($said[0], qr/^57014: /, 'cancelled refresh: the first statement');
	cmp_ok(scalar(grep { /^\Q$pseudonym\E$/ } @said), '>=', 3, 'cancelled refresh: the old keys serve the others') or diag join ' | ', @said;
	leave($s);
}

# Nobody turns one refusal into two by pseudonyms that do not open.
{
	my ($s, $pseudonym) = due();
	my $by_other = ask($s, "SELECT pseudo.pseudonymize('y', true, keyring => 'other')");

	answers($refusals[0][1]);
	like(ask($s, $use), qr/^\Q$pseudonym\E$/m, 'refusal and early refresh: the first');
	ask($s, "SELECT pseudo.try_reidentify('$by_other', keyring => 'fresh')");
	is(ask($s, $use), $pseudonym, 'refusal and early refresh: the keys serve on');
	leave($s);
}

# In an outage, ALTER SERVER of how long keys serve does not drop them.
{
	my ($s, $pseudonym) = due(refresh_interval => '1h');

	answers({ close => 1 });
	$node->safe_psql('postgres', "ALTER SERVER fresh OPTIONS (ADD stale_limit '7d')");
	is(ask($s, $use), $pseudonym, 'a longer stale_limit in an outage');
	leave($s);
}

# AWS may answer with what was signed, the session token in it; only its first line is shown.
answers(aws_error('InvalidSignatureException', "The signature does not match.\n\nThe Canonical String should have been\n'POST\n/\n\nx-amz-security-token:S3cretToken"));
aws_keyring($node, 'fresh', endpoint => $endpoint->url);
my $said = error_of($node, 'postgres', $use);
like($said, qr/^42501: .*does not match/, 'what was signed: the first line');
unlike($said, qr/S3cretToken/, 'what was signed: is not shown');

# Without the validator a server may lack its options: an error, no crash.
$node->safe_psql('postgres', "ALTER FOREIGN DATA WRAPPER pseudo NO VALIDATOR; CREATE SERVER bare FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws'); ALTER FOREIGN DATA WRAPPER pseudo VALIDATOR pseudo.pseudo_fdw_validator");
like(error_of($node, 'postgres', $_), qr/^22023: .*secret_id/, "no secret_id: $_") for "SELECT pseudo.pseudonymize('x', keyring => 'bare')", "SELECT pseudo.pseudo_create_key('bare')";

# Credentials that AWS has refused are not kept: the source may have others.
{
	my $host = Endpoint->new(rules => [ { answer => [ map { { type => 'application/json', body => credentials_document("AKID$_", "secret$_", "token$_", 3600) } } 1 .. 9 ] } ]);

	with_environment($node, { AWS_ACCESS_KEY_ID => undef, AWS_SECRET_ACCESS_KEY => undef, AWS_CONTAINER_CREDENTIALS_FULL_URI => $host->url . '/c' });
	answers(secret($one, 'version-1'));
	my $s = session($node);
	my $pseudonym = ask($s, $use);
	$endpoint->rules([ { headers => { authorization => 'AKID1/' }, answer => $refusals[0][1] }, { answer => secret($one, 'version-1') } ]);
	like(ask($s, "SELECT pseudo.pseudo_refresh_keyring('fresh')"), qr/^42501: /, 'revoked credentials: refused');
	is(ask($s, "SELECT pseudo.pseudo_refresh_keyring('fresh'); $use"), $pseudonym, 'revoked credentials: the next are asked for');
	leave($s);
}

# A proxy's password is not shown, whatever is wrong with the proxy.
for my $proxy ('http://user:S3cret#Pw@proxy.invalid:3128', 'http://user:S3cret Pw@proxy.invalid:3128', 'http://user:S3cretPw@127.0.0.1:1', 'foo://user:S3cretPw@x')
{
	with_environment($node, { HTTPS_PROXY => $proxy });
	aws_keyring($node, 'fresh', timeout => '1s');
	$said = error_of($node, 'postgres', $use);
	like($said, qr/^08\d{3}: /, 'proxy: an error');
	unlike($said, qr/S3cret|Pw/, 'proxy: without its password') or diag $said;
}

$node->stop;
unlike(slurp_file($node->logfile), qr/S3cret/, 'no word of it in the log');
done_testing();
