# shellcheck shell=bash disable=SC2154
# The tour's second half: views, a table in use, a pipeline.  Sourced by demo.sh.

analyst_view() {
	chapter "An analyst's view"
	say <<-'END'
	Copies grow old; a view does not. But PostgreSQL checks the functions in a view against whoever queries it, and
	whoever may pseudonymize can guess. pseudonymize_as() names the role whose rights count instead, and only officer
	and superusers can write 'officer' there. So the analyst is granted SELECT and nothing else.
	END
	echo
	run_psql <<-'END'
	CREATE ROLE officer;
	CREATE ROLE analyst;
	CREATE SCHEMA masked AUTHORIZATION officer;
	GRANT USAGE ON SCHEMA masked TO analyst;
	GRANT SELECT ON people, repairs TO officer;
	END
	show <<-'END'
	GRANT USAGE ON SCHEMA pseudo TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO officer;
	GRANT USAGE ON FOREIGN SERVER pseudo TO officer;
	GRANT USAGE ON TYPE pseudo.pseudo_role TO officer;
	SET ROLE officer;
	CREATE VIEW masked.people WITH (security_barrier) AS
	    SELECT id, pseudo.pseudonymize_as('officer', email) AS email,
	        pseudo.pseudonymize_as('officer', vin) AS vin
	        FROM people;
	CREATE VIEW masked.repairs WITH (security_barrier) AS
	    SELECT id, pseudo.pseudonymize_as('officer', vin) AS vin, day, price
	        FROM repairs;
	GRANT SELECT ON masked.people, masked.repairs TO analyst;
	SET ROLE analyst;
	SELECT id, vin FROM masked.people ORDER BY id LIMIT 2;
	SELECT left(p.email, 30) || '...' AS owner, count(*) AS repairs, sum(price) AS paid
	    FROM masked.people p JOIN masked.repairs r ON r.vin = p.vin
	    GROUP BY p.email ORDER BY paid DESC, p.email LIMIT 3;
	END
	check "the analyst's join finds what the join of the originals finds" \
		"$(ask "SET ROLE analyst; SELECT count(*), sum(price), count(DISTINCT email) FROM masked.people JOIN masked.repairs USING (vin)")" \
		"$(ask "SELECT count(*), sum(price), count(DISTINCT email) FROM people JOIN repairs USING (vin)")"
	check "they see no value of the 100,000" \
		"$(ask "SELECT count(*) FROM masked.people m JOIN people p USING (id) WHERE m.email LIKE '%@%' OR m.vin = p.vin")" 0
}

dictionary_attack() {
	local guess
	chapter "A dictionary attack fails"
	say <<-'END'
	The analyst knows an address and wants to know what its owner paid. They need the pseudonym of the address, and
	try everything: the plain function, the officer's name, a function of their own, and in a pooled session a
	statement that the officer prepared. They are even given the schema.
	END
	echo
	run_psql -c 'GRANT USAGE ON SCHEMA pseudo TO analyst'
	guess=$(ask "SELECT email FROM people WHERE id = 4711")
	show_errors -v guess="$guess" > "$build/attack.txt" <<-'END'
	SET ROLE analyst;
	SELECT pseudo.pseudonymize(:'guess', true);
	\echo SQLSTATE :SQLSTATE
	SELECT pseudo.pseudonymize_as('officer', :'guess');
	\echo SQLSTATE :SQLSTATE
	\set VERBOSITY terse
	CREATE FUNCTION pg_temp.guess(text) RETURNS text LANGUAGE plpgsql AS
	    $$ BEGIN RETURN pseudo.pseudonymize_as('officer', $1); END $$;
	SELECT pg_temp.guess(:'guess');
	\echo SQLSTATE :SQLSTATE
	SET ROLE officer;
	PREPARE pooled (text) AS SELECT pseudo.pseudonymize_as('officer', $1);
	SET ROLE analyst;
	EXECUTE pooled (:'guess');
	\echo SQLSTATE :SQLSTATE
	END
	cat "$build/attack.txt"
	check "each of the four attempts is refused with SQLSTATE 42501" \
		"$(grep -c '^ *SQLSTATE 42501$' "$build/attack.txt")" 4
	echo
	say <<-'END'
	With EXECUTE on pseudonymize, they would have found the person:
	END
	echo
	show -v guess="$guess" > "$build/attack.txt" <<-'END'
	BEGIN;
	GRANT EXECUTE ON FUNCTION pseudo.pseudonymize TO analyst;
	GRANT USAGE ON FOREIGN SERVER pseudo TO analyst;
	SET ROLE analyst;
	SELECT id FROM masked.people
	    WHERE email = pseudo.pseudonymize(:'guess', true);
	ROLLBACK;
	END
	cat "$build/attack.txt"
	check "that attack works, so it was the missing right that stopped them" "$(grep -cx ' *4711' "$build/attack.txt")" 1
}

support_desk() {
	chapter "A support desk's view"
	say <<-'END'
	reidentify_as() is the way back: the desk sees the values of those who call. It cannot open anybody else's pseudonyms,
	although it sees them in the analyst's view. security_barrier keeps a cheap function of the desk's own from seeing
	rows before the view has filtered them.
	END
	echo
	run_psql <<-'END'
	CREATE ROLE desk;
	GRANT USAGE ON SCHEMA masked, pseudo TO desk;
	CREATE TABLE calls (person int);
	INSERT INTO calls VALUES (17), (4711), (90210);
	GRANT SELECT ON people_masked, calls TO officer;
	GRANT EXECUTE ON FUNCTION pseudo.reidentify TO officer;
	END
	show_errors > "$build/desk.txt" <<-'END'
	\set VERBOSITY terse
	SET ROLE officer;
	CREATE VIEW masked.desk WITH (security_barrier) AS
	    SELECT id, pseudo.reidentify_as('officer', name) AS name,
	        pseudo.reidentify_as('officer', email) AS email
	    FROM people_masked WHERE id IN (SELECT person FROM calls);
	GRANT SELECT ON masked.desk, masked.people TO desk;
	SET ROLE desk;
	SELECT * FROM masked.desk ORDER BY id;
	SELECT pseudo.reidentify(email) FROM masked.people WHERE id = 5;
	\echo SQLSTATE :SQLSTATE
	SELECT pseudo.reidentify_as('officer', email) FROM masked.people WHERE id = 5;
	\echo SQLSTATE :SQLSTATE
	CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
	    $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
	SELECT count(*) FROM masked.desk WHERE pg_temp.leak(email);
	END
	cat "$build/desk.txt"
	check "the desk is refused the others with SQLSTATE 42501" "$(grep -c '^ *SQLSTATE 42501$' "$build/desk.txt")" 2
	check "its function has seen the three who called" "$(grep -c 'NOTICE:  seen: ' "$build/desk.txt")" 3
	check "... and without security_barrier would have seen all" \
		"$(run_psql -At 2>&1 <<-'END' | grep -c 'NOTICE:  seen: '
			BEGIN;
			ALTER VIEW masked.desk SET (security_barrier = false);
			SET ROLE desk;
			CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
				$$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
			SELECT count(*) FROM masked.desk WHERE pg_temp.leak(email);
			ROLLBACK;
		END
		)" 100000
}

who_opened_what() {
	chapter "Who opened what, and no more than so much"
	say <<-'END'
	The owner of the keyring asks three things of whoever opens its pseudonyms: a record, a purpose, and no more than ten an hour
	by the desk. The server has preloaded the library for that. The desk opens the three who called, two values each, then wants to see them again and again.
	END
	echo
	show_errors > "$build/audit.txt" <<-'END'
	\set VERBOSITY terse
	ALTER SERVER pseudo OPTIONS (ADD audit 'file', ADD purpose 'required',
	    ADD reidentify_limits 'desk=10/h');
	SET ROLE desk;
	SELECT name FROM masked.desk WHERE id = 17;
	\echo SQLSTATE :SQLSTATE
	SET pseudo.purpose = 'ticket 4711';
	SELECT * FROM masked.desk ORDER BY id;
	\set VERBOSITY default
	SELECT * FROM masked.desk ORDER BY id;
	\echo SQLSTATE :SQLSTATE
	RESET ROLE;
	SELECT role, quota, used, "left" FROM pseudo.pseudo_limits;
	SELECT r ->> 'event' AS event, r ->> 'current_user' AS "user", r ->> 'as_role' AS as_role,
	    r ->> 'purpose' AS purpose, r ->> 'opened' AS opened, r ->> 'reason' AS reason
	    FROM pseudo.pseudo_audit_records() r WHERE r ->> 'event' IN ('end', 'refused');
	END
	cat "$build/audit.txt"
	check "without a purpose nothing opens, and beyond the limit neither: SQLSTATE 42501 and 53400" \
		"$(grep -oE '^ *SQLSTATE [0-9]+' "$build/audit.txt" | awk '{ print $2 }' | xargs)" "42501 53400"
	check "the desk has opened ten values, and the records say so" \
		"$(ask "SELECT sum(n) FROM (SELECT coalesce(max((r ->> 'opened')::int), max((r ->> 'up_to')::int)) AS n
			FROM pseudo.pseudo_audit_records() r WHERE r ->> 'event' IN ('begin', 'permit', 'end') GROUP BY r ->> 'call') calls")" 10
	check "no record has a name or an address" \
		"$(ask "SELECT count(*) FROM pseudo.pseudo_audit_records() r WHERE r::text LIKE '%@%'")" 0
	run_psql -c "ALTER SERVER pseudo OPTIONS (DROP audit, DROP purpose, DROP reidentify_limits)"
}

# A shop's customers: each change of an address counts, so the right address of a row follows from id and changes.
make_accounts() {
	run_psql <<-'END'
	CREATE TABLE accounts (id int PRIMARY KEY, email text, changes int DEFAULT 0, logins int DEFAULT 0);
	INSERT INTO accounts SELECT n, 'u' || n || '.0@example.com' FROM generate_series(1, 200000) n;
	CREATE INDEX ON accounts (email);
	CREATE SEQUENCE account_ids START 200001;
	ANALYZE accounts;
	END
	cat > "$work/writers.sql" <<-'END'
	\set a random(1, 200000)
	\set b random(1, 200000)
	UPDATE accounts SET changes = changes + 1, email = 'u' || id || '.' || (changes + 1) || '@example.com' WHERE id = :a;
	UPDATE accounts SET logins = logins + 1 WHERE id = :b;
	INSERT INTO accounts (id, email) SELECT n, 'u' || n || '.0@example.com' FROM nextval('account_ids') n;
	END
}

# Two writers by pgbench, until stop_writers or the server's end.  A run takes a second: its report comes at its end only.
start_writers() {
	while [ ! -e "$work/enough" ] &&
		"$bindir/pgbench" -n -h "$sockets" -U postgres -c 2 -T 1 --rate=1000 -f "$work/writers.sql" postgres; do
		:
	done > "$work/pgbench.txt" 2>&1 &
	writers=$!
}

stop_writers() {
	touch "$work/enough"
	wait "$writers"
}

# The rows of accounts that do not open to their right address.
wrong_accounts() {
	ask "SELECT count(*) FROM accounts WHERE pseudo.reidentify(email) IS DISTINCT FROM 'u' || id || '.' || changes || '@example.com'"
}

# Whether pg_stats shows addresses.
stats_of_accounts() {
	ask "SELECT coalesce(bool_or(concat(most_common_vals, histogram_bounds) LIKE '%@%'), false) FROM pg_stats WHERE tablename = 'accounts'"
}

live_table() {
	local call
	chapter "A table in use, converted"
	say <<-'END'
	A shop has 200,000 accounts with an index on the address, and pgbench writes to it: changes of addresses, logins, new
	accounts. It goes on while the table is converted. The trigger comes first: it pseudonymizes what is written from
	now on. Then the procedure converts what is there already.
	END
	echo
	make_accounts
	check "at first, pg_stats shows addresses" "$(stats_of_accounts)" t
	start_writers
	sleep 1
	echo
	show <<-'END'
	SELECT * FROM accounts WHERE id <= 2;
	CREATE TRIGGER zz_pseudo BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW
	    EXECUTE FUNCTION pseudo.pseudonymize_trigger('email', 'deterministic=true');
	END
	show > "$work/call.txt" <<-'END' &
	CALL pseudo.pseudonymize_table('accounts', '{email}', true, batch_size => 200);
	END
	call=$!
	echo
	say <<-'END'
	The procedure commits each batch, and another session sees how far it is:
	END
	echo
	while kill -0 "$call" 2> /dev/null &&
		[ "$(ask "SELECT count(*) FROM pseudo.pseudo_progress WHERE percent > 30")" = 0 ]; do
		sleep 0.1
	done
	show <<-'END'
	SELECT relation, percent, rows_per_second, seconds_left FROM pseudo.pseudo_progress;
	END
	say <<-'END'
	The session that called it sees this:
	END
	echo
	wait "$call" || { cat "$work/call.txt"; exit 1; }
	cat "$work/call.txt"
	echo
	show <<-'END'
	SELECT id, left(email, 40) || '...' AS email FROM accounts WHERE id <= 2;
	END
	check "no address is left in the table" "$(ask "SELECT count(*) FROM accounts WHERE email LIKE '%@%'")" 0
	check "each row opens to its right address: none encrypted twice, none with an old value" "$(wrong_accounts)" 0
	check "pg_stats shows no address any more" "$(stats_of_accounts)" f
}

rotation() {
	local new ran failed
	chapter "A new key, while all go on"
	say <<-'END'
	Keys change in two steps, since every reader must have a key before anyone writes with it. First the key is
	created. When all have loaded it, after refresh_interval, it becomes primary. pgbench still writes, with the new
	key from then on. The old key still reads.
	END
	echo
	show <<-'END'
	SELECT pseudo.pseudo_create_key('pseudo') AS created;
	SELECT pseudo.pseudo_set_primary_key('pseudo', 2);
	SELECT primary_key_id, key_ids, statuses FROM pseudo.pseudo_keyrings;
	END
	until new=$(ask "SELECT max(id) FROM accounts WHERE id > 200000 AND pseudo.pseudonym_key_id(email) = 2") && [ -n "$new" ]; do
		kill -0 "$writers" 2> /dev/null || break
		sleep 0.1
	done
	say <<-'END'
	Deterministic pseudonyms of the two keys differ. As long as both are in use, pseudonyms_of() gives a value's
	pseudonyms under each, and finds old and new accounts by the index:
	END
	echo
	show -v new="u$new.0@example.com" <<-'END'
	SELECT pseudo.pseudonym_key_id(email) AS key, count(*) FROM accounts
	    GROUP BY key ORDER BY key;
	SELECT id, pseudo.pseudonym_key_id(email) AS key FROM accounts
	    WHERE email = ANY (pseudo.pseudonyms_of('u200001.0@example.com'));
	SELECT id, pseudo.pseudonym_key_id(email) AS key FROM accounts
	    WHERE email = ANY (pseudo.pseudonyms_of(:'new'));
	END
	check "the index is used" \
		"$(ask "EXPLAIN SELECT id FROM accounts WHERE email = ANY (pseudo.pseudonyms_of('u200001.0@example.com'))" |
			grep -oE 'Index Scan using accounts_email_idx|Bitmap Index Scan on accounts_email_idx' | grep -o accounts_email_idx)" accounts_email_idx
	check "... and finds the account of the new key" \
		"$(ask "SELECT id FROM accounts WHERE email = ANY (pseudo.pseudonyms_of('u$new.0@example.com'))")" "$new"
	echo
	say <<-'END'
	repseudonymize_table() moves the rest. The first call only counts:
	END
	echo
	show <<-'END'
	CALL pseudo.repseudonymize_table('accounts', '{email}', dry_run => true);
	CALL pseudo.repseudonymize_table('accounts', '{email}');
	END
	check "all accounts have the new key" "$(ask "SELECT count(*) FROM accounts WHERE pseudo.pseudonym_key_id(email) <> 2")" 0
	stop_writers
	read -r ran failed <<< "$(awk -F ': ' '/actually processed/ { ran += $2 } /failed transactions/ { failed += $2 }
		END { print ran + 0, failed + 0 }' "$work/pgbench.txt")"
	check "of pgbench's $ran transactions none failed" "$failed, $(grep -ciE 'error|fatal|abort' "$work/pgbench.txt")" "0, 0"
	check "each of its changes, logins and new accounts is there" \
		"$(ask "SELECT sum(changes), sum(logins), count(*) - 200000 FROM accounts")" "$ran|$ran|$ran"
	check "and each row opens to its right address" "$(wrong_accounts)" 0
	check "the 100,000 pseudonyms of the old key in the copies still open" \
		"$(ask "SELECT count(*) FROM people p JOIN people_masked m USING (id) WHERE pseudo.reidentify(m.email) = p.email")" 100000
}

# Run SQL that gives JSON; long strings are cut.
show_json() {
	show -P format=unaligned -P tuples_only=on | sed -E 's/("[A-Za-z0-9+\/]{40})[A-Za-z0-9+\/=]+"/\1..."/'
}

event_log() {
	chapter "A JSON event log, scrubbed on its way"
	say <<-'END'
	A web shop's events arrive as JSON, with personal data at several depths. pseudonymize_json() takes the names
	of keys and leaves the rest alone; here it works in the INSERT that takes the events over. The key "birth_year" is
	a number, and goes random, in a call of its own. E-mail addresses get the pseudonyms that they have in the table
	of people, so both join; that column moves to the new key first.
	END
	echo
	run_psql <<-'END'
	CREATE TABLE incoming AS
	SELECT i AS id, jsonb_build_object(
			'event', (ARRAY['view', 'cart', 'order'])[1 + i % 3], 'item', i % 500,
			'customer', jsonb_build_object('email', email, 'name', name, 'birth_year', 1940 + i % 65),
			'cc', CASE WHEN i % 10 = 0 THEN jsonb_build_array(jsonb_build_object('email', 'office' || i || '@example.com')) END) AS body
	FROM generate_series(1, 50000) i JOIN people p ON p.id = 1 + i::bigint * i % 99991;
	CREATE TABLE events (id int PRIMARY KEY, body jsonb);
	END
	show <<-'END'
	CALL pseudo.repseudonymize_table('people_masked', '{email}');
	END
	echo
	show_json <<-'END'
	SELECT jsonb_pretty(body) FROM incoming WHERE id = 10;
	END
	echo
	show <<-'END'
	INSERT INTO events
	    SELECT id, pseudo.pseudonymize_json(
	            pseudo.pseudonymize_json(body, '{email,name}', true), '{birth_year}')
	        FROM incoming;
	END
	show_json <<-'END'
	SELECT jsonb_pretty(body) FROM events WHERE id = 10;
	END
	echo
	show <<-'END'
	SELECT m.id, count(*) AS events
	    FROM events e JOIN people_masked m ON m.email = e.body #>> '{customer,email}'
	    GROUP BY m.id ORDER BY events DESC, m.id LIMIT 3;
	SELECT pseudo.reidentify_json(body -> 'customer', '{email,name,birth_year}')
	    FROM events WHERE id = 10;
	END
	check "no e-mail address, name or year of birth is left in the 50,000 events" \
		"$(ask "SELECT count(*) FROM events e JOIN incoming i USING (id) WHERE e.body::text LIKE '%@%'
					OR e.body::text LIKE '%' || (i.body #>> '{customer,name}') || '%' OR jsonb_typeof(e.body #> '{customer,birth_year}') <> 'string'")" 0
	check "the events join the people as the incoming ones do" \
		"$(ask "SELECT count(*), sum(m.id), count(DISTINCT m.id) FROM events e JOIN people_masked m ON m.email = e.body #>> '{customer,email}'")" \
		"$(ask "SELECT count(*), sum(p.id), count(DISTINCT p.id) FROM incoming i JOIN people p ON p.email = i.body #>> '{customer,email}'")"
	check "all 50,000 documents come back equal" \
		"$(ask "SELECT count(*) FROM events e JOIN incoming i USING (id)
				WHERE pseudo.reidentify_json(e.body, '{email,name,birth_year}') = i.body")" 50000
}

how_fast() {
	local plain hashed pseudonymized
	chapter "How fast"
	run_psql <<-'SQL'
	-- Milliseconds of a query, the best of five.
	CREATE FUNCTION milliseconds(query text) RETURNS numeric LANGUAGE plpgsql AS $$
	DECLARE
		start timestamptz;
		best numeric;
	BEGIN
		FOR i IN 1..5 LOOP
			start := clock_timestamp();
			EXECUTE query;
			best := least(best, extract(epoch FROM clock_timestamp() - start) * 1000);
		END LOOP;
		RETURN best;
	END $$;
	SQL
	IFS='|' read -r plain hashed pseudonymized <<< "$(ask "
		SET max_parallel_workers_per_gather = 0;
		SET jit = off;
		SELECT milliseconds('SELECT count(email) FROM people'),
			milliseconds('SELECT count(md5(email)) FROM people'),
			milliseconds('SELECT count(pseudo.pseudonymize(email, true)) FROM people')")"
	awk -v a="$plain" -v b="$hashed" -v c="$pseudonymized" 'BEGIN {
		printf "Counting 100,000 e-mail addresses takes %.0f ms, their md5() %.0f ms, their\n", a, b
		printf "pseudonyms %.0f ms. Above the plain count, a pseudonym costs %.2f times an md5().\n", c, (c - a) / (b - a)
		print "(For information only: a busy machine and a debugging build change it.)" }'
}
