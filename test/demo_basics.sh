# shellcheck shell=bash disable=SC2154
# The tour's first half: keys, pseudonyms, and the rights to them.  Sourced by demo.sh.

keyring() {
	chapter "Keys that live outside the database"
	say <<-'END'
	A keyring is a file, and the database knows it as a foreign server. The server says where the
	keys are; it holds no key, so anyone may read it. The first key is made by the extension.
	END
	echo
	as_server mkdir -m 0700 "$work/keys"
	show -v path="$work/keys/pseudo.json" <<-'END'
	CREATE SCHEMA pseudo;
	CREATE EXTENSION pseudo SCHEMA pseudo;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo
	    OPTIONS (provider 'file',
	        path :'path');
	SELECT pseudo.pseudo_create_key('pseudo');
	SELECT name, provider, primary_key_id, prefixes, key_bits, weak
	    FROM pseudo.pseudo_keyrings;
	END
	check "the keyring file is readable by nobody else" "$(stat -c %a "$work/keys/pseudo.json")" 600
}

people() {
	chapter "A hundred thousand people"
	say <<-'END'
	Names, e-mail addresses and vehicle numbers (VINs), all made up, and what a garage did to the vehicles.
	END
	echo
	run_psql <<-'END'
	CREATE TABLE people AS
	SELECT i AS id, first || ' ' || last AS name,
		translate(lower(first || '.' || last), 'áåíøü', 'aaiou') || i || '@example.' ||
			(ARRAY['com', 'org', 'net'])[1 + get_byte(dice, 2) % 3] AS email,
		(ARRAY['WVW', 'WBA', '1HG', 'JTD', 'VF1', 'ZFA', 'YV1', 'TMB'])[1 + get_byte(dice, 3) % 8] ||
			(SELECT string_agg(substr('ABCDEFGHJKLMNPRSTUVWXYZ0123456789', 1 + get_byte(dice, 3 + n) % 33, 1), '' ORDER BY n)
			 FROM generate_series(1, 14) n) AS vin
	FROM (SELECT i, sha256(convert_to('person ' || i, 'UTF8')) AS dice FROM generate_series(1, 100000) i) AS rolled,
		LATERAL (SELECT
			(ARRAY['Alice', 'Bruno', 'Chiara', 'David', 'Emma', 'Farid', 'Greta', 'Hugo', 'Ines', 'Jonas', 'Katya',
				   'Liam', 'Maria', 'Nadia', 'Oscar', 'Priya', 'Rosa', 'Samuel', 'Tomasz', 'Yuki'])[1 + get_byte(dice, 0) % 20] AS first,
			(ARRAY['Andersson', 'Bauer', 'Costa', 'Dubois', 'Eriksen', 'Ferrari', 'García', 'Hansen', 'Ito', 'Jansen', 'Kowalska',
				   'Løvås', 'Müller', 'Novák', 'Okafor', 'Patel', 'Rossi', 'Schmidt', 'Tanaka', 'Weber'])[1 + get_byte(dice, 1) % 20] AS last) AS named;

	CREATE TABLE repairs AS
	SELECT i AS id, p.vin, date '2025-01-01' + i % 365 AS day, 40 + i * 7919 % 1960 AS price
	FROM generate_series(1, 50000) i JOIN people p ON p.id = 1 + i::bigint * 104729 % 12503;
	ALTER TABLE people ADD PRIMARY KEY (id);
	ANALYZE people, repairs;
	END
	show <<-'END'
	SELECT * FROM people ORDER BY id LIMIT 4;
	SELECT * FROM repairs ORDER BY id LIMIT 3;
	END
}

pseudonyms() {
	chapter "Pseudonyms"
	say <<-'END'
	pseudonymize() encrypts a value with AES-GCM-SIV. Asked to be deterministic, it gives equal values equal
	pseudonyms. Otherwise it never gives the same one twice.
	END
	echo
	show <<-'END'
	SELECT pseudo.pseudonymize(vin, true) AS deterministic
	    FROM people ORDER BY id LIMIT 3;
	SELECT pseudo.pseudonymize('alice@example.com') AS random
	    FROM generate_series(1, 3);
	END
	check "a deterministic pseudonym of one value, 100,000 times: one" \
		"$(ask "SELECT count(DISTINCT pseudo.pseudonymize('alice@example.com', true)) FROM generate_series(1, 100000)")" 1
	check "random pseudonyms of one value, 100,000 times: all different" \
		"$(ask "SELECT count(DISTINCT pseudo.pseudonymize('alice@example.com')) FROM generate_series(1, 100000)")" 100000
}

masked_tables() {
	chapter "Tables without personal data, and a join on them"
	say <<-'END'
	Here are copies in which every personal value is a pseudonym. Names are not needed for joins, so they
	are random; e-mail addresses and vehicle numbers are deterministic, and so the copies join as the originals do.
	END
	echo
	show <<-'END'
	CREATE TABLE people_masked AS
	    SELECT id, pseudo.pseudonymize(name) AS name,
	        pseudo.pseudonymize(email, true) AS email,
	        pseudo.pseudonymize(vin, true) AS vin
	    FROM people;
	CREATE TABLE repairs_masked AS
	    SELECT id, pseudo.pseudonymize(vin, true) AS vin, day, price FROM repairs;
	SELECT left(p.email, 30) || '...' AS owner, count(*) AS repairs, sum(price) AS paid
	    FROM people_masked p JOIN repairs_masked r ON r.vin = p.vin
	    GROUP BY p.email ORDER BY paid DESC, p.email LIMIT 3;
	END
	check "the join of the copies finds what the join of the originals finds" \
		"$(ask "SELECT count(*), sum(price), count(DISTINCT email) FROM people_masked JOIN repairs_masked USING (vin)")" \
		"$(ask "SELECT count(*), sum(price), count(DISTINCT email) FROM people JOIN repairs USING (vin)")"
	check "100,000 different e-mail addresses are 100,000 different pseudonyms" \
		"$(ask "SELECT count(DISTINCT email) FROM people_masked")" 100000
}

index_lookup() {
	local email plan lookup
	chapter "Looking one up by an index"
	say <<-'END'
	An index on the pseudonyms finds a person by the e-mail address. PostgreSQL replaces the deterministic call by the
	stable function that the plan shows, and computes it once.
	END
	echo
	run_psql -c 'CREATE INDEX ON people_masked (email)' -c 'ANALYZE people_masked'
	email=$(ask "SELECT email FROM people WHERE id = 4711")
	lookup="SELECT id FROM people_masked
    WHERE email = pseudo.pseudonymize(:'email', true)"
	show -v email="$email" <<-END
	$lookup;
	EXPLAIN (COSTS OFF) $lookup;
	END
	plan=$(echo "EXPLAIN (COSTS OFF) $lookup" | run_psql -At -v email="$email")
	check "the plan is an index scan" "$(grep -c 'Index Scan using people_masked_email_idx' <<< "$plan")" 1
	check "it finds the right person" "$(echo "$lookup" | run_psql -At -v email="$email")" 4711
}

rights() {
	chapter "Who may do what"
	say <<-'END'
	There are two rights: EXECUTE on pseudonymize and EXECUTE on reidentify. A keyring has its own: USAGE on its server.
	This loader may make pseudonyms and is refused the way back.
	END
	echo
	show_errors > "$build/rights.txt" <<-'END'
	CREATE ROLE loader;
	GRANT USAGE ON SCHEMA pseudo TO loader;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO loader;
	GRANT USAGE ON FOREIGN SERVER pseudo TO loader;
	SET ROLE loader;
	SELECT pseudo.pseudonymize('alice@example.com', true) IS NOT NULL AS made;
	SELECT pseudo.reidentify(pseudo.pseudonymize('alice@example.com', true));
	\echo SQLSTATE :SQLSTATE
	END
	cat "$build/rights.txt"
	check "the loader is refused with SQLSTATE 42501, insufficient_privilege" \
		"$(sed -n 's/^ *SQLSTATE //p' "$build/rights.txt")" 42501
}

way_back() {
	chapter "The way back"
	say <<-'END'
	Whoever may reidentify gets every value back, from deterministic and from random pseudonyms. A pseudonym that was
	changed by one character does not authenticate: reidentify() raises an error, try_reidentify() gives NULL.
	END
	echo
	show <<-'END'
	SELECT id, pseudo.reidentify(name) AS name, pseudo.reidentify(email) AS email
	    FROM people_masked ORDER BY id LIMIT 3;
	END
	check "all 100,000 names, addresses and vehicle numbers come back equal" \
		"$(ask "SELECT count(*) FROM people p JOIN people_masked m USING (id)
				WHERE pseudo.reidentify(m.name) = p.name AND pseudo.reidentify(m.email) = p.email
				  AND pseudo.reidentify(m.vin) = p.vin")" 100000
	check "not one of 100,000 changed pseudonyms is accepted" \
		"$(ask "SELECT count(pseudo.try_reidentify(overlay(vin PLACING CASE substr(vin, 30, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 30 FOR 1)))
				FROM people_masked")" 0
}

contexts() {
	chapter "Contexts keep domains apart"
	say <<-'END'
	With a context, an address has pseudonyms in two systems that nobody can link without the keys. A pseudonym that was
	moved from one to the other is not accepted there.
	END
	echo
	show <<-'END'
	SELECT context, pseudo.pseudonymize('alice@example.com', true, context) AS pseudonym
	    FROM (VALUES ('crm'), ('newsletter')) AS systems (context);
	SELECT pseudo.try_reidentify(p, 'crm') AS in_crm,
	        pseudo.try_reidentify(p, 'newsletter') AS in_newsletter
	    FROM (SELECT pseudo.pseudonymize('alice@example.com', true, 'crm')) AS made (p);
	END
	check "it opens in its own context only" \
		"$(ask "SELECT pseudo.try_reidentify(p, 'crm') = 'alice@example.com', pseudo.try_reidentify(p, 'newsletter') IS NULL
				FROM (SELECT pseudo.pseudonymize('alice@example.com', true, 'crm')) AS made (p)")" "t|t"
}

rest_service() {
	local value pseudonym
	chapter "The REST service's own pseudonyms"
	say <<-'END'
	The secret document of the pseudonymization REST service is a keyring as it is. Here it is one of the
	service's test secrets; below are the pseudonyms that the service itself gives. The WARNING is right: the service's
	nonce keys of 8 bytes are weak, as doc/rest-service.md explains.
	END
	echo
	# shellcheck disable=SC2016
	as_server sh -c 'umask 077 && cat > "$1"' sh "$work/keys/service.json" <<-'END'
	{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4\u003d", "encodedNonceKey": "e9XUfkRvzsI\u003d", "nonceStrPos": 3, "nonceEndPos": 15}
	END
	show -v path="$work/keys/service.json" <<-'END'
	CREATE SERVER service FOREIGN DATA WRAPPER pseudo
	    OPTIONS (provider 'file',
	        path :'path');
	SELECT pseudo.pseudonymize(value, true, keyring => 'service') AS pseudonym
	    FROM (VALUES ('HFW5636AZWOUJ2PAM'), ('alice@example.com'),
	        ('東京都千代田区')) AS given (value);
	END
	while read -r value pseudonym; do
		check "the service's pseudonym of $value" \
			"$(ask "SELECT pseudo.pseudonymize('$value', true, keyring => 'service')" 2> /dev/null)" "$pseudonym"
		check "... and the way back" \
			"$(ask "SELECT pseudo.reidentify('$pseudonym', keyring => 'service')" 2> /dev/null)" "$value"
	done <<-'END'
	HFW5636AZWOUJ2PAM MmU0Y2QxOTAyNWU4CaEH9luiQT14sdIu3o0Ex9dVz2zVo9o1BzqTk2IB8WHs
	alice@example.com ZDFjYTMxNzk5NTNjdZGGdNKThFFwNGV9n3BDmERLbu+860UUn0wmNWFvOQQJ
	東京都千代田区 OTQzNWNmZjBiYTlm1dNN8lmrIPL/V8mBolk+uIIAJKNIlaA3ZcSGZZEnot54lwMuLA==
	END
}
