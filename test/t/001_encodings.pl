# A value is sealed in UTF-8 whatever the server encoding; SQL_ASCII takes the bytes as they are.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Pseudo;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('encodings');
my $path = add_keyring($node, 'pseudo', '{"encodedSecretKey": "rIm7yk+jg339RFQ6b5/0pwyPiTZQI3pkj+rA7WRIQZ8=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 7, "nonceEndPos": 19}');

for my $encoding ('LATIN1', 'SQL_ASCII', 'EUC_JP', 'EUC_JIS_2004')
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, "CREATE SCHEMA pseudo; CREATE EXTENSION pseudo SCHEMA pseudo;
		CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path '$path')");
}

# of these bytes: 'Zoë' in UTF-8, in LATIN1; '東京' in UTF-8; 'x' in the context 'Zürich' in UTF-8
my $zoe = 'YWJhOTU2YmY1NTUxe2PmoZO13Aa3RCigUW/iv7l4Bb8=';
my $zoe_latin1 = 'ZGVlMDMxODYwZWY2bbvzJcVDTTaJI69dCM2GQF8i7Q==';
my $tokyo = 'MGIyNmMyZjVmNDc07Bt7/9RGAhhVaYmbIsMK38AHC7elng==';
my $zurich = 'N2M1MTEwNDc3MmZk0c35BstCDAbxP+x2oKSt3ws=';
my $zero = 'Mjc4MmNmNzM3YjE3ZXc5T91eDnOnv3Yk9mg6GU09vQ==';
my $zoe_sql = q{convert_from('\x5a6fc3ab', 'UTF8')};
my $tokyo_sql = q{convert_from('\xe69db1e4baac', 'UTF8')};
my $zurich_sql = q{convert_from('\x5ac3bc72696368', 'UTF8')};

for my $database ('postgres', 'latin1')
{
	is($node->safe_psql($database, "SELECT pseudo.pseudonymize($zoe_sql, true)"), $zoe, "$database: one pseudonym");
	is($node->safe_psql($database, "SELECT pseudo.reidentify('$zoe') = $zoe_sql, length(pseudo.reidentify('$zoe'))"), 't|3', "$database: and back");
	is($node->safe_psql($database, "SELECT pseudo.pseudonymize('x', true, $zurich_sql), pseudo.reidentify('$zurich', $zurich_sql)"), "$zurich|x", "$database: the context too");
	is($node->safe_psql($database, "SELECT pseudo.pseudonymize_array(ARRAY[$zoe_sql, NULL], true), pseudo.reidentify_array('{$zoe}') = ARRAY[$zoe_sql]"), "{$zoe,NULL}|t", "$database: in arrays");
	is($node->safe_psql($database, "SELECT pseudo.reidentify(pseudo.pseudonymize(repeat($zoe_sql, 50000))) = repeat($zoe_sql, 50000)"), 't', "$database: long values");
	for my $function ('reidentify(', 'try_reidentify(', 'reidentify_array(ARRAY[', 'try_reidentify_array(ARRAY[')
	{
		my $end = $function =~ /\[/ ? '])' : ')';
		my $error = error_of($node, $database, "SELECT pseudo.$function'$zoe_latin1'$end");
		like($error, qr/^22021: /, "$database: $function bad UTF-8");
		unlike($error, qr/0x|eb|Zo/i, "$database: $function shows no byte of it");
		like(error_of($node, $database, "SELECT pseudo.$function'$zero'$end"), qr/^22021: /, "$database: $function a zero byte");
	}
}

for my $database ('postgres', 'euc_jp')
{
	is($node->safe_psql($database, "SELECT pseudo.pseudonymize($tokyo_sql, true)"), $tokyo, "$database: one pseudonym");
	is($node->safe_psql($database, "SELECT pseudo.reidentify('$tokyo') = $tokyo_sql, length(pseudo.reidentify('$tokyo'))"), 't|2', "$database: and back");
}
# of two bytes in UTF-8 and three here: an array's values are longer than their pseudonyms
is($node->safe_psql('euc_jp', q{SELECT octet_length(a[2]), pseudo.reidentify_array(pseudo.pseudonymize_array(a)) = a, pseudo.try_reidentify_array(pseudo.pseudonymize_array(a)) = a
		FROM (SELECT ARRAY[repeat(ae, 10), repeat(ae, 1000), NULL, repeat(ae, 5000), 'x'] FROM (SELECT convert_from('\xc3a6', 'UTF8')) AS s (ae)) AS s (a)}),
	'3000|t|t', 'euc_jp: an array that grows');

# characters that an encoding has twice, which would come back as others: 8fa2f1 of EUC_JP as ade2, and a pair of EUC_JIS_2004 as one
for my $twice ([ 'euc_jp', '\x8fa2f1', '\xade2' ], [ 'euc_jis_2004', '\xabe0abe5', '\xabe4' ])
{
	my ($database, $second, $first) = @$twice;
	my $value = "(SELECT 'x' || convert_from('$second', '$database'))";
	is($node->safe_psql($database, "SELECT convert_to(convert_from(convert_to($value, 'UTF8'), 'UTF8'), '$database') <> convert_to($value, '$database')"), 't', "$database: PostgreSQL does not give it back");
	for my $call ("pseudonymize($value)", "pseudonymize($value, true)", "pseudonymize_array(ARRAY[$value])", "pseudonyms_of($value)",
		"pseudonymize_json(jsonb_build_object('k', $value), '{k}')", "pseudonymize_json(json_build_object('k', $value), '{k}')")
	{
		my $error = error_of($node, $database, "SELECT pseudo.$call");
		like($error, qr/^22P05: /, "$database: $call is refused");
		unlike($error, qr/0x|\xad|\xab/, "$database: $call shows no byte of it");
	}
	$node->safe_psql($database, "CREATE TABLE twice (v text); CREATE TRIGGER zz BEFORE INSERT ON twice FOR EACH ROW EXECUTE FUNCTION pseudo.pseudonymize_trigger('v')");
	like(error_of($node, $database, "INSERT INTO twice VALUES ($value)"), qr/^22P05: /, "$database: by the trigger");
	$node->safe_psql($database, "ALTER TABLE twice DISABLE TRIGGER zz; INSERT INTO twice VALUES ($value)");
	like(error_of($node, $database, "CALL pseudo.pseudonymize_table('twice', '{v}')"), qr/^22P05: /, "$database: by the procedure");
	is($node->safe_psql($database, "SELECT pseudo.reidentify(pseudo.pseudonymize(v)) = v FROM convert_from('$first', '$database') v"), 't', "$database: the other form comes back");
}

for my $function ('reidentify(', 'try_reidentify(', 'reidentify_array(ARRAY[', 'try_reidentify_array(ARRAY[')
{
	my $end = $function =~ /\[/ ? '])' : ')';
	my $error = error_of($node, 'latin1', "SELECT pseudo.$function'$tokyo'$end");
	like($error, qr/^22P05: /, "latin1: $function no such character");
	unlike($error, qr/0x/, "latin1: $function shows no byte of it");
}

is($node->safe_psql('sql_ascii', "SELECT pseudo.pseudonymize(E'Zo\\xc3\\xab', true)"), $zoe, 'sql_ascii: UTF-8 bytes');
is($node->safe_psql('sql_ascii', "SELECT pseudo.pseudonymize(E'Zo\\xeb', true)"), $zoe_latin1, 'sql_ascii: other bytes');
is($node->safe_psql('sql_ascii', "SELECT pseudo.reidentify('$zoe_latin1') = E'Zo\\xeb', pseudo.reidentify('$zoe') = E'Zo\\xc3\\xab'"), 't|t', 'sql_ascii: and back');
like(error_of($node, 'sql_ascii', "SELECT pseudo.reidentify('$zero')"), qr/^22021: /, 'sql_ascii: a zero byte');

# JSON: values and keys as they are and as escapes, which name Unicode in every encoding
for my $database ('postgres', 'latin1')
{
	for my $type ('json', 'jsonb')
	{
		for my $document ("'{\"' || $zoe_sql || '\": \"' || $zoe_sql || '\"}'", q{'{"Zo\u00eb": "Zo\u00eb"}'})
		{
			is($node->safe_psql($database, "SELECT pseudo.pseudonymize_json(d, ARRAY[$zoe_sql], true) ->> $zoe_sql,
					pseudo.reidentify_json(pseudo.pseudonymize_json(d, ARRAY[$zoe_sql]), ARRAY[$zoe_sql]) ->> $zoe_sql = $zoe_sql
				FROM (SELECT ($document)::$type) AS s (d)"),
				"$zoe|t", "$database: $type, $document");
		}
	}
}
is($node->safe_psql('latin1', q{SELECT pseudo.pseudonymize_json('{"\u6771": 1, "k": "\u6771\u4eac"}'::json, '{k}', true)::text}),
	qq({"\\u6771": 1, "k": "$tokyo"}), 'latin1: an escape for a character that it has not');
for my $type ('json', 'jsonb')
{
	my $error = error_of($node, 'latin1', qq{SELECT pseudo.reidentify_json('{"k": "$tokyo"}'::$type, '{k}')});
	like($error, qr/^22P05: /, "latin1: $type, no such character");
	unlike($error, qr/0x/, "latin1: $type shows no byte of it");
	$error = error_of($node, 'latin1', qq{SELECT pseudo.reidentify_json('{"k": "$zoe_latin1"}'::$type, '{k}')});
	like($error, qr/^22021: /, "latin1: $type, bad UTF-8");
}
is($node->safe_psql('euc_jp', "SELECT pseudo.pseudonymize_json(json_build_object($tokyo_sql, $tokyo_sql, 'k', $tokyo_sql), ARRAY[$tokyo_sql], true) ->> $tokyo_sql"), $tokyo, 'euc_jp: json');
is($node->safe_psql('euc_jp', "SELECT pseudo.reidentify_json(pseudo.pseudonymize_json(jsonb_build_object('k', $tokyo_sql), '{k}'), '{k}') ->> 'k' = $tokyo_sql"), 't', 'euc_jp: jsonb, and back');
is($node->safe_psql('sql_ascii', "SELECT pseudo.pseudonymize_json(E'{\"k\": [\"Zo\\xeb\", \"Zo\\xc3\\xab\", \"Zo\\\\u00eb\"]}'::json, '{k}', true)::text"),
	qq({"k": ["$zoe_latin1", "$zoe", "$zoe"]}), 'sql_ascii: json');

# Bulk: a column that is wide enough in the server's bytes, and too narrow for what is encrypted, is refused before anything is converted.
$node->safe_psql('latin1', "CREATE TABLE narrow (v varchar(60)); INSERT INTO narrow VALUES ('x'), (repeat('x', 14) || $zoe_sql)");
like(error_of($node, 'latin1', q{CALL pseudo.pseudonymize_table('narrow', '{v}', batch_size => 1)}), qr/^22001: column "v" of relation "narrow" is too narrow/, 'latin1: too narrow');
is($node->safe_psql('latin1', 'SELECT count(*) FROM pseudo.pseudo_progress'), '0', 'latin1: at the start');
$node->safe_psql('latin1', q{ALTER TABLE narrow ALTER v TYPE varchar(64); CALL pseudo.pseudonymize_table('narrow', '{v}')});
is($node->safe_psql('latin1', "SELECT count(*) FROM narrow WHERE pseudo.reidentify(v) IN ('x', repeat('x', 14) || $zoe_sql)"), '2', 'latin1: wide enough');

$node->stop;
done_testing();
