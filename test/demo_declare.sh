# shellcheck shell=bash disable=SC2154
# The tour's third part: what is declared once, and what follows from it.  Sourced by demo.sh.

# One value of the shop's database, or of another one.
ask_shop() { run_psql -d "${2:-shop}" -At -c "$1"; }

# A database of its own: people who order, in two partitions, by an address that a foreign key binds.
make_shop() {
	run_psql -c 'CREATE DATABASE shop'
	run_psql -d shop -v path="$work/keys/shop.json" -v staging="$work/keys/staging.json" <<-'END'
	CREATE SCHEMA pseudo;
	CREATE EXTENSION pseudo SCHEMA pseudo;
	CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
	CREATE SERVER staging FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'staging');
	SELECT pseudo.pseudo_create_key('pseudo'), pseudo.pseudo_create_key('staging');
	CREATE TABLE customers (
	    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	    name text NOT NULL, email text NOT NULL UNIQUE, phone text, note text,
	    initial text GENERATED ALWAYS AS (left(note, 1)) STORED);
	CREATE TABLE orders (
	    id bigint GENERATED ALWAYS AS IDENTITY, day date, email text NOT NULL, price int,
	    PRIMARY KEY (id, day),
	    FOREIGN KEY (email) REFERENCES customers (email) ON UPDATE CASCADE) PARTITION BY RANGE (day);
	CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
	CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE INDEX ON orders (email);
	CREATE VIEW paid AS SELECT c.id, sum(o.price) AS paid FROM customers c JOIN orders o USING (email) GROUP BY c.id;
	INSERT INTO customers (name, email, phone, note)
	    SELECT 'Customer ' || i, 'c' || i || '@example.com', '+49 30 ' || 100000 + i, 'likes item ' || i % 500
	    FROM generate_series(1, 100000) i;
	INSERT INTO orders (day, email, price)
	    SELECT date '2025-01-01' + i % 700, 'c' || 1 + i::bigint * 104729 % 12503 || '@example.com', 10 + i % 90
	    FROM generate_series(1, 50000) i;
	SELECT lo_from_bytea(0, convert_to('a scanned letter', 'UTF8'));
	ANALYZE;
	END
}

declared_once() {
	chapter "Declared once"
	say <<-'END'
	Another database, a shop: customers and their orders, which refer to each other by the address. Nobody has written a
	trigger or a view for it. Each column is told once what it is; a column that nobody thought of is reported.
	END
	echo
	make_shop
	show_errors -d shop <<-'END'
	SELECT count(*) FROM pseudo.pseudo_keyrings;
	SECURITY LABEL FOR pseudo ON COLUMN customers.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN customers.name IS 'random';
	SECURITY LABEL FOR pseudo ON COLUMN customers.email IS 'deterministic, context=shop';
	SECURITY LABEL FOR pseudo ON COLUMN customers.phone IS 'random';
	SECURITY LABEL FOR pseudo ON COLUMN customers.initial IS 'hide';
	SECURITY LABEL FOR pseudo ON COLUMN orders.id IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN orders.day IS 'keep';
	SECURITY LABEL FOR pseudo ON COLUMN orders.email IS 'deterministic, context=shop';
	SECURITY LABEL FOR pseudo ON COLUMN orders.price IS 'keep';
	SELECT relation, column_name, label, rows, plaintext, verdict FROM pseudo.pseudo_coverage('public')
	    WHERE verdict <> 'ok';
	END
	check "no column holds a pseudonym yet" "$(ask_shop "SELECT coalesce(sum(pseudonyms), 0) FROM pseudo.pseudo_coverage('public')")" 0
	check "and one that nobody thought of is reported" \
		"$(ask_shop "SELECT column_name FROM pseudo.pseudo_coverage('public') WHERE relation = 'customers'::regclass AND verdict = 'unlabelled'")" note
	echo
	say <<-'END'
	From the labels come the triggers, the conversion of what is there, and the view for an analyst. The orders follow
	their customers by the foreign key.
	END
	echo
	show -d shop <<-'END'
	SECURITY LABEL FOR pseudo ON COLUMN customers.note IS 'hide';
	SELECT * FROM pseudo.pseudo_protect('customers');
	SELECT * FROM pseudo.pseudo_protect('orders');
	CALL pseudo.pseudonymize_table('customers');
	SELECT pseudo.pseudo_create_view('customers', 'analyst_customers', 'postgres');
	SELECT id, left(name, 20) || '...' AS name, left(email, 20) || '...' AS email, note
	    FROM analyst_customers ORDER BY id LIMIT 2;
	SELECT relation, column_name, rows, pseudonyms, plaintext, verdict
	    FROM pseudo.pseudo_coverage('public') WHERE label LIKE 'deterministic%' OR label LIKE 'random%';
	END
	check "each of the 100,000 customers is found by each address's pseudonym, and their orders with them" \
		"$(ask_shop "SELECT count(DISTINCT c.id), count(o.id) FROM customers c LEFT JOIN orders o USING (email)")" "100000|50000"
	check "coverage is complete" \
		"$(ask_shop "SELECT count(*) FROM pseudo.pseudo_coverage('public') WHERE verdict <> 'ok'")" 0
}

staging_copy() {
	local dump=$work/staging.sql status=0
	chapter "A copy for staging"
	say <<-'END'
	A dump for the testers, in which every labelled column is as its label says, under a keyring of staging's own: whoever gets
	hold of the copy cannot join it with production. Large objects may hold anything, so pseudo_dump wants to be told.
	END
	echo
	echo '    $ pseudo_dump --keyring=staging --context=staging shop'
	"$bindir/pseudo_dump" -h "$sockets" -U postgres --keyring=staging --context=staging shop > "$dump" 2> "$build/dump.txt" || status=$?
	indent < "$build/dump.txt"
	check "it stops, with nothing written" "$status $(wc -c < "$dump")" "1 0"
	echo
	echo '    $ pseudo_dump --keyring=staging --context=staging --large-objects=leave-out shop > staging.sql'
	"$bindir/pseudo_dump" -h "$sockets" -U postgres --keyring=staging --context=staging --large-objects=leave-out shop > "$dump" 2> "$build/dump.txt"
	indent < "$build/dump.txt"
	check "none of the 100,000 addresses, names and phone numbers is in the dump" \
		"$(grep -cE 'c[0-9]+@example|Customer [0-9]|\+49 30' "$dump")" 0
	echo
	echo '    $ createdb staging && psql -d staging -f staging.sql'
	run_psql -c 'CREATE DATABASE staging'
	run_psql -d staging -f "$dump" > "$build/restore.txt" 2>&1 || { cat "$build/restore.txt"; exit 1; }
	check "it is restored without an error" "$(grep -c ERROR "$build/restore.txt")" 0
	echo
	show -d staging <<-'END'
	SELECT id, left(name, 20) || '...' AS name, left(email, 20) || '...' AS email, note
	    FROM customers ORDER BY id LIMIT 2;
	SELECT count(*) AS orders, count(DISTINCT email) AS customers, sum(price) AS paid
	    FROM customers JOIN orders USING (email);
	END
	check "the join gives what it gives in the shop" \
		"$(ask_shop "SELECT count(*), count(DISTINCT c.id), sum(price) FROM customers c JOIN orders USING (email)" staging)" \
		"$(ask_shop "SELECT count(*), count(DISTINCT c.id), sum(price) FROM customers c JOIN orders USING (email)")"
	check "the addresses are pseudonyms of staging's keyring" \
		"$(ask_shop "SELECT count(*) FROM customers WHERE pseudo.is_pseudonym(email, 'staging', 'staging')" staging)" 100000
	check "... of which none is one of the shop's" \
		"$(ask_shop "SELECT count(*) FROM customers WHERE pseudo.is_pseudonym(email, 'shop')" staging)" 0
}
