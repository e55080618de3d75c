# A REST front for the consumers of the service: its paths, bodies and API keys, by nginx and PostgREST.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Encode ();
use Engines;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use Pipelines;
use Pseudo;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($nginx, $postgrest) = map { program($_) } qw(nginx postgrest);

# The keyring is a secret of the service, as doc/rest-service.md has it.
my $node = start_listening('rest');
put_file($node->basedir . '/keys.json', '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 3, "nonceEndPos": 15}');
$node->safe_psql('postgres', "ALTER SERVER pseudo OPTIONS (ADD audit 'log')");
$node->safe_psql('postgres', example('rest/api.sql'));

my $folder = PostgreSQL::Test::Utils::tempdir();
my ($port, $behind) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
append_to_file("$folder/jwt_secret", 'a secret of 32 characters or more, for tests');
append_to_file("$folder/other_secret", 'another secret of 32 characters, or more');
my %token;
for my $role (qw(pseudonymizer reidentifier postgres))
{
	(undef, $token{$role}) = run_python($node, [ example_path('rest/token.py'), "$folder/jwt_secret", $role ]);
	chomp $token{$role};
}
(undef, $token{forged}) = run_python($node, [ example_path('rest/token.py'), "$folder/other_secret", 'reidentifier' ]);
append_to_file("$folder/api_keys", join '', map { "key-of-$_ " . $token{$_} =~ s/\n//r . ";\n" } sort keys %token);
append_to_file("$folder/postgrest.conf", example('rest/postgrest.conf', '127.0.0.1:5432/crm' => '127.0.0.1:' . $node->port . '/postgres', '/etc/postgrest' => $folder, '3000' => $behind));
append_to_file("$folder/site.conf", example('rest/nginx.conf', '/etc/nginx/api_keys' => "$folder/api_keys", ':3000' => ":$behind", '443 ssl' => "127.0.0.1:$port",
	'ssl_certificate     /etc/nginx/server.crt;' => '', 'ssl_certificate_key /etc/nginx/server.key;' => ''));
append_to_file("$folder/nginx.conf", qq{daemon off; pid $folder/pid; error_log $folder/error.log warn; events {}
http { access_log $folder/access.log; }
} =~ s/\}\n\z//r . join('', map { "${_}_temp_path $folder/$_; " } qw(client_body proxy fastcgi uwsgi scgi)) . "include $folder/site.conf; }\n");

my @running = map { IPC::Run::start($_, '<', \undef, '>&', "$folder/log") }
  ([ $postgrest, "$folder/postgrest.conf" ], [ $nginx, '-q', '-p', $folder, '-e', "$folder/error.log", '-c', "$folder/nginx.conf" ]);

# Ask the front: a path, a body, an API key, and further headers.  Returns the status and what the body is.
my $http = HTTP::Tiny->new(timeout => 180);
sub ask_front
{
	my ($path, $body, $key, %headers) = @_;
	my $answer = $http->post("http://127.0.0.1:$port$path", { content => ref $body ? encode_json($body) : $body, headers => { %headers, $key ? ('x-api-key' => "key-of-$key") : () } });

	return ($answer->{status}, eval { decode_json($answer->{content}) } // $answer->{content});
}
for (1 .. 1800)
{
	my ($status) = ask_front('/pseudonymization', { identifiers => [] }, 'pseudonymizer');
	last if $status == 200;
	select undef, undef, undef, 0.1;
}

# The bodies of the service.
my @identifiers = ('alice@example.com', "Zo\x{eb}", '', undef, 'a "quoted" one');
my ($status, $answer) = ask_front('/pseudonymization?deterministic=True', { identifiers => \@identifiers }, 'pseudonymizer');
is($status, 200, 'deterministic');
is_deeply([ keys %$answer ], ['pseudonyms'], 'the answer has pseudonyms');
is($answer->{pseudonyms}[0], 'ZDFjYTMxNzk5NTNjdZGGdNKThFFwNGV9n3BDmERLbu+860UUn0wmNWFvOQQJ', 'the one that the service gives');
is(scalar(@{ $answer->{pseudonyms} }), 5, 'one for each');
is($answer->{pseudonyms}[3], undef, 'null for null');
my @pseudonyms = @{ $answer->{pseudonyms} };
($status, $answer) = ask_front('/pseudonymization?deterministic=true', { identifiers => \@identifiers }, 'pseudonymizer');
is_deeply($answer->{pseudonyms}, \@pseudonyms, 'the same each time');
for my $random ('', '?deterministic=False', '?deterministic=')
{
	($status, $answer) = ask_front("/pseudonymization$random", { identifiers => ['alice@example.com'] }, 'pseudonymizer');
	is($status, 200, "random: $random");
	isnt($answer->{pseudonyms}[0], $pseudonyms[0], 'another pseudonym');
	push @pseudonyms, $answer->{pseudonyms}[0];
}
($status, $answer) = ask_front('/reidentification', { pseudonyms => [ @pseudonyms, 'no pseudonym', $pseudonyms[0] =~ s/Q/R/r ] }, 'reidentifier');
is($status, 200, 'the way back');
is_deeply($answer, { identifiers => [ @identifiers, ('alice@example.com') x 3, undef, undef ] }, 'and null for what does not open');
($status, $answer) = ask_front('/reidentification?deterministic=true', { pseudonyms => [ $pseudonyms[0] ] }, 'reidentifier', 'content-type' => 'text/plain', prefer => 'params=single-object');
is_deeply($answer, { identifiers => ['alice@example.com'] }, 'whatever parameters and headers say');

# Rights.
($status, $answer) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'pseudonymizer');
is($status, 403, 'who may pseudonymize opens nothing');
is($answer->{code}, '42501', 'says PostgreSQL');
($status) = ask_front('/pseudonymization', { identifiers => ['x'] }, 'reidentifier');
is($status, 403, 'who may open makes none');
($status) = ask_front('/pseudonymization', { identifiers => ['x'] }, 'nobody');
is($status, 403, 'an unknown API key');
($status) = ask_front('/pseudonymization', { identifiers => ['x'] }, undef, authorization => "Bearer $token{pseudonymizer}");
is($status, 403, 'a token in place of an API key');
($status) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'forged');
is($status, 401, 'a token that is signed otherwise');
($status) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'postgres');
isnt($status, 200, 'a role that "authenticator" is no member of');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION pseudo.reidentify FROM reidentifier');
($status) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'reidentifier');
is($status, 403, 'a REVOKE counts for the next request');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION pseudo.reidentify TO reidentifier');

# What else may be asked.
is($http->get("http://127.0.0.1:$port/pseudonymization?identifiers=%7Bx%7D", { headers => { 'x-api-key' => 'key-of-pseudonymizer' } })->{status}, 403, 'no GET, which would have values in its URL');
is((ask_front('/rpc/reidentification', { pseudonyms => [] }, 'reidentifier'))[0], 404, 'no other path');
isnt((ask_front('/reidentification', { identifiers => [] }, 'reidentifier'))[0], 200, 'another body');
is((ask_front('/pseudonymization', { identifiers => [ 'x' x 1000000, 'y' x 1000000 ] }, 'pseudonymizer'))[0], 200, 'two million bytes');
is((ask_front('/pseudonymization', { identifiers => [ 'x' x 6400000 ] }, 'pseudonymizer'))[0], 413, 'and not more than the service takes');

# Why, and who: in the records.
$node->safe_psql('postgres', "ALTER SERVER pseudo OPTIONS (ADD purpose 'required')");
($status, $answer) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'reidentifier');
is("$status $answer->{code}", '403 42501', 'purpose required, and none given');
my $before = -s $node->logfile;
($status, $answer) = ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'reidentifier', 'x-purpose' => 'ticket 4711');
is_deeply($answer, { identifiers => ['alice@example.com'] }, 'with a purpose');
my ($record) = map { decode_json($_) } substr(slurp_file($node->logfile), $before) =~ /pseudo audit: (\{.*"begin".*\})/;
is("$record->{purpose}, $record->{authenticated_user}, $record->{role}", 'ticket 4711, authenticator, reidentifier', 'which the record has, and the role');
is((ask_front('/reidentification', { pseudonyms => [ $pseudonyms[0] ] }, 'reidentifier', 'x-purpose' => 'x' x 500))[0], 200, 'a long purpose is cut');

my $said = slurp_file("$folder/error.log");
unlike(slurp_file("$folder/access.log") . $said, qr/alice|ZDFj/, "nginx's logs have neither values nor pseudonyms");
unlike($said, qr/temporary file/, 'nor has it written bodies to files');

$_->signal('TERM') for @running;
$_->finish for @running;
$node->stop;
done_testing();
