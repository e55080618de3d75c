#!/usr/bin/env bash
#
# What several processes and several servers give: parallel plans, look-ups by postgres_fdw, and, where Citus is installed beside
# this PostgreSQL, its nodes.
#
#	test/bench/nodes.sh [--quick]
#
# Builds and installs the extension, and measures in clusters of its own, which are removed at the end.  Each case is measured
# some times a round, in turns; told is the best of all rounds, since what else the machine does makes a case slower and never faster.
# --quick takes few rows and one round: it shows that it works, and no more.

set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

rows=100000 rounds=20
case ${1:-} in
'') ;;
--quick) rows=4000 rounds=1 ;;
*) echo "usage: $0 [--quick]" >&2; exit 2 ;;
esac

work='' sockets='' nodes=()
port=$((20000 + $$ % 20000))
trap remove_nodes EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

remove_nodes() {
	local node
	for node in "${nodes[@]}"; do
		[ ! -e "$work/$node/postmaster.pid" ] || quietly as_server "$bindir/pg_ctl" -D "$work/$node" -m immediate -w stop || true
	done
	remove_cluster
}

# Start a server in the folder of this name, on the next port, with the libraries named.
start_node() {
	local options="-c listen_addresses=127.0.0.1 -c unix_socket_directories='$sockets' -c fsync=off -c jit=off -c autovacuum=off \
		-c shared_buffers=256MB -c max_wal_size=4GB -c max_prepared_transactions=50 -c shared_preload_libraries='$2'"
	quietly as_server "$bindir/initdb" -D "$work/$1" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync || die "initdb failed"
	nodes+=("$1")
	quietly as_server "$bindir/pg_ctl" -D "$work/$1" -l "$work/$1.log" -o "$options -c port=$((port + ${#nodes[@]} - 1))" -w start ||
		die "a server did not start; see $log"
}

on_node() { run_psql -p $((port + $1)) "${@:2}"; }

# The tables of one server: the coordinator of Citus, where that is installed.
fill_server() {
	on_node 0 -v rows="$rows" -v port="$port" -v path="$work/keys.json" >> "$log" <<-'END'
		CREATE SCHEMA pseudo;
		CREATE EXTENSION pseudo SCHEMA pseudo;
		CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
		SELECT pseudo.pseudo_create_key();
		CREATE TABLE here (n int, email text);
		INSERT INTO here SELECT n, pseudo.pseudonymize('customer' || n || '@example.com', true) FROM generate_series(1, :rows) n;
		ALTER TABLE here SET (parallel_workers = 2);
		CREATE INDEX ON here (email);
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port :'port', dbname 'postgres', use_remote_estimate 'false');
		CREATE USER MAPPING FOR postgres SERVER other OPTIONS (user 'postgres');
		CREATE FOREIGN TABLE there (n int, email text) SERVER other OPTIONS (table_name 'here');
		-- Pseudo does not look into it: what a look-up would be without pseudo's help.
		CREATE FUNCTION looked_for(value text) RETURNS text LANGUAGE plpgsql STABLE
			AS $$ BEGIN RETURN pseudo.pseudonymize(value, true); END $$;
		VACUUM (FREEZE, ANALYZE) here;
	END
}

# Those of Citus: the same rows on one worker, and on two.
fill_citus() {
	on_node 0 -v port="$port" >> "$log" <<-'END'
		SELECT citus_set_coordinator_host('127.0.0.1', :port), citus_add_node('127.0.0.1', :port + 1);
		SET citus.shard_count = 8;
		CREATE TABLE on_one (n int, email text);
		SELECT create_distributed_table('on_one', 'email', colocate_with => 'none');
		SELECT citus_add_node('127.0.0.1', :port + 2);
		CREATE TABLE on_two (n int, email text);
		SELECT create_distributed_table('on_two', 'email', colocate_with => 'none');
		INSERT INTO on_one SELECT * FROM here;
		INSERT INTO on_two SELECT * FROM here;
		CREATE INDEX ON on_one (email);
		CREATE INDEX ON on_two (email);
		VACUUM (ANALYZE) on_one, on_two;
	END
}

# Name, settings, statement, how often in a round: the shorter, the better the chance of having the machine to itself.
cases_of_server() {
	local n
	for n in 0 1 2; do
		echo "reidentify, $n parallel workers|SET max_parallel_workers_per_gather = $n|SELECT count(pseudo.reidentify(email)) FROM here|10"
	done
	echo "look-up here||SELECT n FROM here WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up by postgres_fdw||SELECT n FROM there WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up by postgres_fdw, all fetched||SELECT n FROM there WHERE email = looked_for('customer77@example.com')|1"
}
cases_of_citus() {
	local where
	# Each node works with one process at a time: as one that has one core.
	for where in one two; do
		echo "reidentify, $where node(s) of Citus|SET citus.max_adaptive_executor_pool_size = 1|SELECT count(pseudo.reidentify(email)) FROM on_$where|10"
	done
	echo "look-up on Citus, one shard asked||SELECT n FROM on_two WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up on Citus, all shards asked||SELECT n FROM on_two WHERE email = looked_for('customer77@example.com')|20"
}

# Measure all cases once, in random order, each in a session of its own that has run it before.
measure_round() {
	local name settings statement times i
	while IFS='|' read -r name settings statement times; do
		for ((i = 0; i <= times; i++)); do echo "$statement;"; done > "$work/case.sql"
		on_node 0 -o /dev/null -c "${settings:-SET jit = off}" -c '\timing on' -f "$work/case.sql" |
			sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | sed 1d | sed "s/^/$name|/" >> "$build/nodes.txt"
	done < <(cases | shuf)
}

print_best() {
	printf '\n%-45s %12s %8s\n' '' 'ms' 'rounds'
	sort -t '|' -k 1,1 -k 2,2n "$build/nodes.txt" |
		awk -F '|' '$1 != last { print $1 "|" $2; last = $1 }' |
		while IFS='|' read -r name ms; do printf '%-45s %12.2f %8d\n' "$name" "$ms" "$rounds"; done
}

open_build_folder
need_base_tools
build_extension
install_extension
make_work_folder bench
has_citus=
[ ! -e "$("$PG_CONFIG" --sharedir)/extension/citus.control" ] || has_citus=yes
: > "$build/nodes.txt"
if [ -n "$has_citus" ]; then
	cases() { cases_of_server; cases_of_citus; }
	for node in coordinator worker1 worker2; do start_node "$node" citus,pseudo; done
	for i in 0 1 2; do on_node "$i" -c 'CREATE EXTENSION citus' >> "$log"; done
else
	cases() { cases_of_server; }
	start_node server pseudo
fi
echo "Making $rows rows, in clusters of $("$PG_CONFIG" --version)${has_citus:+ with Citus}"
fill_server
[ -z "$has_citus" ] || fill_citus
for ((round = 1; round <= rounds; round++)); do measure_round; printf .; done
print_best
