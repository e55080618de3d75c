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
