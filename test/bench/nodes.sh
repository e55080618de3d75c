#!/usr/bin/env bash
#
# What several processes and several servers give: parallel plans, look-ups by postgres_fdw, partitions, a standby, Spark, and, where
# Citus is installed beside this PostgreSQL, its nodes.
#
#	test/bench/nodes.sh [--quick]
#
# Builds and installs the extension, and measures in clusters of its own, which are removed at the end.  Installs Java, and fetches
# Spark from PyPI as the section engines of test/run.sh does.  What is missing is skipped, with the reason.
#
# Cases that are compared are measured in turns, in random order.  Told are the best and the median of all rounds, and how many times as
# fast as the slowest of its group a case is, by the best: what else the machine does makes a case slower and never faster.
# --quick takes few rows and one round, without Spark: it shows that it works, and no more.

set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../tools.sh
. "$root/test/tools.sh"
# shellcheck source=../engines.sh
. "$root/test/engines.sh"

rows=1000000 rounds=20 quick=
case ${1:-} in
'') ;;
--quick) rows=40000 rounds=1 quick=yes ;;
*) echo "usage: $0 [--quick]" >&2; exit 2 ;;
esac

work='' sockets='' nodes=()
# Neither among those that the system gives to connections nor those of the TAP tests, which may run beside it.
port=$((6000 + $$ % 4000))
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

# Start a server in the folder of this name, made if it is not there, on the next port, with the libraries named.
start_node() {
	local options="-c listen_addresses=127.0.0.1 -c unix_socket_directories='$sockets' -c fsync=off -c jit=off -c autovacuum=off \
		-c shared_buffers=512MB -c max_wal_size=4GB -c checkpoint_timeout=1h -c max_prepared_transactions=50 -c shared_preload_libraries='$2'"
	[ -d "$work/$1" ] || quietly as_server "$bindir/initdb" -D "$work/$1" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync || die "initdb failed"
	nodes+=("$1")
	quietly as_server "$bindir/pg_ctl" -D "$work/$1" -l "$work/$1.log" -o "$options -c port=$((port + ${#nodes[@]} - 1))" -w start ||
		die "a server did not start; see $log"
}

on_node() { run_psql -p $((port + $1)) "${@:2}"; }

# The tables of one server, half as large: the coordinator of Citus, where that is installed.
fill_server() {
	on_node 0 -v rows="$rows" -v port="$port" -v path="$work/keys.json" >> "$log" 2>&1 <<-'END'
		CREATE SCHEMA pseudo;
		CREATE EXTENSION pseudo SCHEMA pseudo;
		CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'file', path :'path');
		SELECT pseudo.pseudo_create_key();
		CREATE TABLE here (n int, email text);
		INSERT INTO here SELECT n, pseudo.pseudonymize('customer' || n || '@example.com', true) FROM generate_series(1, :rows / 2) n;
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
		echo "reidentify, $n parallel worker(s)|SET max_parallel_workers_per_gather = $n|SELECT count(pseudo.reidentify(email)) FROM here|5"
	done
	echo "look-up, here||SELECT n FROM here WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up, by postgres_fdw||SELECT n FROM there WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up, by postgres_fdw, all fetched||SELECT n FROM there WHERE email = looked_for('customer77@example.com')|1"
}
cases_of_citus() {
	local where
	# Each node works with one process at a time: as one that has one core.
	for where in one two; do
		echo "reidentify, $where node(s) of Citus|SET citus.max_adaptive_executor_pool_size = 1|SELECT count(pseudo.reidentify(email)) FROM on_$where|5"
	done
	echo "look-up, on Citus, one shard asked||SELECT n FROM on_two WHERE email = pseudo.pseudonymize('customer77@example.com', true)|20"
	echo "look-up, on Citus, all shards asked||SELECT n FROM on_two WHERE email = looked_for('customer77@example.com')|20"
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

# Run sessions side by side, and put down what they take together: the case, then the node and the statements of each session.
measure_sessions() {
	local name=$1 start=${EPOCHREALTIME//[.,]/} pid pids=()
	shift
	while [ $# -gt 0 ]; do
		on_node "$1" -o /dev/null -c "$2" >> "$log" 2>&1 &
		pids+=($!)
		shift 2
	done
	for pid in "${pids[@]}"; do wait "$pid" || die "$name: a session failed; see $log"; done
	awk -v name="$name" -v us=$((${EPOCHREALTIME//[.,]/} - start)) 'BEGIN { printf "%s|%.1f\n", name, us / 1000 }' >> "$build/nodes.txt"
}

# A server for partitions, replicas and Spark.
fill_primary() {
	primary=${#nodes[@]}
	start_node primary pseudo
	on_node "$primary" -v rows="$rows" -v path="$work/primary.json" -f "$root/test/bench/primary.sql" >> "$log" 2>&1 ||
		die "the primary could not be filled; see $log"
}

# A conversion and a rotation in one way: the name of the way, the table, and what each session converts.
measure_conversion() {
	local name=$1 convert=() rotate=() each
	for each in "${@:3}"; do
		convert+=("$primary" "CALL pseudo.pseudonymize_table('$each', '{email}', true)")
		rotate+=("$primary" "CALL pseudo.repseudonymize_table('$each', '{email}')")
	done
	on_node "$primary" -c "CALL fill('$2')"
	measure_sessions "convert, $name" "${convert[@]}"
	on_node "$primary" -c 'CALL change_key()'
	measure_sessions "rotate, $name" "${rotate[@]}"
}

measure_partitions() {
	local way
	for way in $(shuf -e 1 2 3); do
		case $way in
		1) measure_conversion "one table, one session" whole whole ;;
		2) measure_conversion "two partitions, one session" parted parted ;;
		3) measure_conversion "two partitions, a session each" parted part1 part2 ;;
		esac
	done
}

# A standby of it, which reads the same file of keys.
start_standby() {
	standby=${#nodes[@]}
	quietly as_server "$bindir/pg_basebackup" -h "$sockets" -p $((port + primary)) -U postgres -D "$work/standby" -R -C -S standby -c fast --no-sync ||
		die "pg_basebackup failed"
	start_node standby pseudo
}

measure_readers() {
	local way read='SET max_parallel_workers_per_gather = 0; SET ROLE analyst; SELECT count(email) FROM masked.people'
	for way in $(shuf -e 1 2 3 4); do
		case $way in
		1) measure_sessions "one reader of a masked view, on the primary" "$primary" "$read" ;;
		2) measure_sessions "one reader of a masked view, on the standby" "$standby" "$read" ;;
		3) measure_sessions "two readers of a masked view, on the primary" "$primary" "$read" "$primary" "$read" ;;
		4) measure_sessions "two readers of a masked view, one on each" "$primary" "$read" "$standby" "$read" ;;
		esac
	done
}

# What a conversion writes to the WAL, and when the standby has replayed it: the name of the case, a statement before.
measure_wal() {
	on_node "$primary" -At -v rows="$rows" -v name="$1" -v before="$2" 2>> "$log" <<-'END' | grep '|' >> "$build/nodes.txt" || die "a conversion failed; see $log"
		SET statement_timeout = '5min';
		CALL fill('whole');
		:before;
		SELECT pg_current_wal_flush_lsn() AS lsn \gset
		CALL replayed(:'lsn');
		SELECT pg_current_wal_insert_lsn() AS start, clock_timestamp() AS began \gset
		CALL pseudo.pseudonymize_table('whole', '{email}', true);
		SELECT pg_current_wal_flush_lsn() AS stop, clock_timestamp() AS ended \gset
		CALL replayed(:'stop');
		SELECT format('WAL of a conversion, %s|%s|bytes a row', :'name', round((:'stop'::pg_lsn - :'start') / (:rows / 5.0)));
		SELECT format('replay of a conversion, after its end, %s|%s|ms', :'name', round(1000 * extract(epoch FROM clock_timestamp() - :'ended'), 1));
	END
}

measure_replicas() {
	measure_readers
	measure_wal "no checkpoint before" "SELECT"
	measure_wal "right after a checkpoint" "CHECKPOINT"
}

# Spark has rounds of its own, half as many.
measure_spark() {
	if [ -n "$quick" ]; then echo 'Not measured, by --quick: Spark'; return; fi
	mkdir "$work/engines"
	if ! fill_venv "$build/engines-venv" "$root/test/engines/requirements.txt" "what the section engines runs" || ! add_engine_jdbc; then
		echo "Not measured: Spark, without PySpark, Java or the JDBC driver; see $log"
		return
	fi
	JAVA_HOME=$work/engines/java SPARK_LOCAL_IP=127.0.0.1 "$build/engines-venv/bin/python" "$root/test/bench/spark.py" \
		"jdbc:postgresql://127.0.0.1:$((port + primary))/postgres?user=postgres" "$work/engines/postgresql.jar" \
		"$rows" $((rounds / 2)) 2>> "$log" >> "$build/nodes.txt" || die "Spark failed; see $log"
}

# Say what it is about, and run a function for each round.
in_rounds() {
	local round
	printf '%-12s' "$1"
	for ((round = 1; round <= rounds; round++)); do "$2"; printf .; done
	printf '\n'
}

print_results() {
	printf '\n%-66s %12s %12s %-12s %s\n' '' best median unit 'times as fast'
	sort -t '|' -k 1,1 -k 2,2n "$build/nodes.txt" | awk -F '|' '
		{ values[$1, ++n[$1]] = $2; unit[$1] = $3 == "" ? "ms" : $3 }
		END { for (name in n) print name "|" values[name, 1] "|" values[name, int((n[name] + 1) / 2)] "|" unit[name] "|" substr(name, 1, index(name, ",")) }' |
		sort -t '|' -k 5,5 -k 2,2nr | awk -F '|' '
		$5 != group { group = $5; slowest = $2 }
		{ printf "%-66s %12.2f %12.2f %-12s %s\n", $1, $2, $3, $4, $4 == "ms" ? sprintf("%.2f", slowest / $2) : "" }'
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
	echo 'Not measured: Citus, which is not installed beside this PostgreSQL'
	start_node server pseudo
fi
echo "Making tables, the largest of $rows rows, in clusters of $("$PG_CONFIG" --version)${has_citus:+ with Citus}"
fill_server
[ -z "$has_citus" ] || fill_citus
fill_primary
in_rounds servers measure_round
in_rounds partitions measure_partitions
start_standby
in_rounds replicas measure_replicas
measure_spark
print_results
