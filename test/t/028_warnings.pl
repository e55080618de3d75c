# What is wrong with the keys of a document is told to the keyring's owner and to the server's log, and not to those who use it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('warnings', "log_line_prefix = ''");
my $strong = '"nonceStrPos": 7, "nonceEndPos": 19, "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js="';
my $weak = '"nonceStrPos": 7, "nonceEndPos": 19, "encodedNonceKey": "AAECAwQFBgc="';
my %secret = (1 => 'rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=', 2 => 'TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=', other => 'TVcsXWk/+9fbuQ4sUeizTAzbWZHov9ugdFaYVh28OqA=');

# A key of a document, and a document of such keys.
sub key
{
	my ($id, %key) = @_;
	return sprintf '{"keyId": %d, "outputPrefix": "%s", "status": "%s", "encodedSecretKey": "%s", %s}',
	  $id, $key{prefix} // 'tink', $key{status} // 'enabled', $secret{ $key{secret} // $id }, $key{nonce} // $strong;
}

sub document
{
	return sprintf '{"version": 1, "primaryKeyId": 2, "keys": [%s]}', join ', ', @_;
}

# What the log says of a keyring since the last look, as "LEVEL: message".
my $seen = 0;

sub logged
{
	my ($name) = @_;
	my $log = slurp_file($node->logfile, $seen);

	$seen += length $log;
	return join "\n", $log =~ /^((?:LOG|WARNING):  keyring "$name": .*)/mg;
}

# A session that shows all that it is told.
sub analyst
{
	my $session = session($node);

	ask($session, q(SET client_min_messages = debug5; SET ROLE analyst; SET search_path = pseudo; \set VERBOSITY default));
	return $session;
}

# What a session is told of a keyring by what it runs.
sub told
{
	my ($session, $sql) = @_;

	ask($session, $sql);
	return join "\n", $session->{err} =~ /^(?:psql:\S+ )?((?:LOG|WARNING|NOTICE|INFO):  keyring .*)/mg;
}

my $path = add_keyring($node, 'crm', document(key(1, nonce => $weak), key(2)));
$node->safe_psql('postgres', q(
	CREATE ROLE analyst; GRANT USAGE ON SCHEMA pseudo TO analyst; GRANT EXECUTE ON FUNCTION pseudo.pseudonymize, pseudo.reidentify TO analyst;
	GRANT USAGE ON FOREIGN SERVER crm TO analyst));
my $use = q(SELECT reidentify(pseudonymize('x', true, '', 'crm'), '', 'crm'));
my $weak_said = 'keyring "crm": key 1 has a weak nonce key of 8 bytes';

# Weak.
my $s = analyst();
logged('crm');
is(told($s, $use), '', 'weak: an analyst is not told');
is(logged('crm'), "LOG:  $weak_said", 'weak: the log is');
ask($s, 'SELECT 1');
is(told($s, "$use; DISCARD ALL") . logged('crm'), '', 'weak: once a session');
my $second = analyst();
is(told($second, $use), '', 'weak: nor is another analyst');
is(logged('crm'), $Pseudo::preload ? '' : "LOG:  $weak_said", 'weak: the log once more, where each session loads it');
leave($second);

my $owner = session($node);
ask($owner, 'SET search_path = pseudo; \set VERBOSITY default');
is(told($owner, q(SELECT pseudo_refresh_keyring('crm'))), "WARNING:  $weak_said", 'weak: the owner is told by pseudo_refresh_keyring');
is(told($owner, q(SELECT pseudo_refresh_keyring('crm'))), "WARNING:  $weak_said", 'weak: each time');
is(told($owner, q(SELECT pseudo_create_key('crm'))), "WARNING:  $weak_said", 'weak: by pseudo_create_key');
is(told($owner, q(SELECT pseudo_set_primary_key('crm', 3))), "WARNING:  $weak_said", 'weak: by pseudo_set_primary_key');
is(told($owner, q(SELECT pseudo_set_key_status('crm', 1, 'disabled'))), '', 'weak: not of a key that is disabled');
is(ask($owner, q(SELECT weak, lost_key_ids IS NULL FROM pseudo_keyrings WHERE name = 'crm')), 't|t', 'weak: pseudo_keyrings has it');

# Other documents: what an analyst sees of each, what the log says, what pseudo_keyrings says.
sub next_document
{
	my ($title, $document, $log, $state) = @_;

	logged('crm');
	put_file($path, $document);
	ask($owner, q(ALTER SERVER crm OPTIONS (SET refresh_interval '1h')));
	is(told($s, $use), '', "$title: an analyst is not told");
	is(logged('crm'), $log, "$title: the log is");
	is(told($s, $use) . logged('crm'), '', "$title: once");
	is(ask($s, q(SELECT prefixes, statuses, weak, lost_key_ids FROM pseudo_keyrings WHERE name = 'crm')), $state, "$title: pseudo_keyrings");
}

ask($s, 'SET search_path = pseudo; SET client_min_messages = debug5; SET ROLE analyst; \set VERBOSITY default');
ask($owner, q(ALTER SERVER crm OPTIONS (ADD refresh_interval '30min')));
put_file($path, document(key(1), key(2)));
told($s, $use);
next_document('a status', document(key(1, status => 'paused'), key(2)),
	'LOG:  keyring "crm": key 1 cannot be used: its field "status" is not one that this version knows', '{tink,tink}|{unusable,enabled}|f|');
next_document('a prefix', document(key(1, prefix => 'crunchy', status => 'paused'), key(2)),
	'LOG:  keyring "crm": key 1 cannot be used: its field "outputPrefix" is not one that this version knows', '{unknown,tink}|{unusable,enabled}|f|');
next_document('lost', document(key(2)), 'LOG:  keyring "crm": key 1 is gone from the document', '{tink}|{enabled}|f|{1}');
next_document('lost before', document(key(2), key(3, secret => 'other')), '', '{tink,tink}|{enabled,enabled}|f|{1}');
next_document('found again', document(key(1), key(2), key(3, secret => 'other')), '', '{tink,tink,tink}|{enabled,enabled,enabled}|f|');
next_document('replaced', document(key(1), key(2), key(3, secret => 1)),
	'LOG:  keyring "crm": key 3 is gone from the document', '{tink,tink,tink}|{enabled,enabled,enabled}|f|{3}');
next_document('replaced before', document(key(2), key(3, secret => 1)),
	'LOG:  keyring "crm": key 1 is gone from the document', '{tink,tink}|{enabled,enabled}|f|{1,3}');
next_document('restored and destroyed', document('{"keyId": 1, "outputPrefix": "tink", "status": "destroyed"}', key(2), key(3, secret => 'other')),
	'LOG:  keyring "crm": key 3 is gone from the document', '{tink,tink,tink}|{destroyed,enabled,enabled}|f|{3}');

# The owner hears of all of it.
ask($owner, $use);
put_file($path, document(key(2, nonce => $weak), key(4, secret => 1, status => 'paused')));
is(told($owner, q(SELECT pseudo_refresh_keyring('crm'))), join("\n",
	'WARNING:  keyring "crm": key 3 is gone from the document',
	'WARNING:  keyring "crm": key 4 cannot be used: its field "status" is not one that this version knows',
	'WARNING:  keyring "crm": key 2 has a weak nonce key of 8 bytes'), 'the owner is told of all');

# A keyring with other options is another one.
logged('crm');
put_file("$path.other", document(key(2, secret => 'other')));
ask($owner, "ALTER SERVER crm OPTIONS (SET path '$path.other')");
is(told($s, $use) . logged('crm'), '', 'another keyring has lost nothing');
is(ask($s, q(SELECT lost_key_ids IS NULL FROM pseudo_keyrings WHERE name = 'crm')), 't', 'another keyring: pseudo_keyrings');

leave($_) for $s, $owner;
$node->stop;
done_testing();
