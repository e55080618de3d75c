#!/usr/bin/env bash
#
# How fast the SQL functions are, beside md5() and others in the same run.
#
#	test/bench/sql.sh [--quick] [--write]
#
# Installs what is missing (Debian), builds the extension, and measures in a cluster of its own,
# which is removed at the end.  Prints the figures, and leaves them in build/sql.tsv and a chart in
# build/speed.svg; --write puts both into doc/.  --quick takes few rows and two rounds:
# they show that it works, and no more.
#
# The machine may be busy with other things: what is compared is measured in turns, in random
# order, and a ratio is the median over all rounds of the ratios in one round.

set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

rows=1000000 rounds=9 seconds=4 connections=100 write=
for argument in "$@"; do
	case $argument in
	--quick) rows=10000 rounds=2 seconds=1 connections=10 ;;
	--write) write=yes ;;
	*) echo "usage: $0 [--quick] [--write]" >&2; exit 2 ;;
	esac
done

work='' sockets=''
trap remove_cluster EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Huge pages where the machine has reserved them for 1 GB, as a server should: without them, each new worker
# meets a page fault every 4 kB.
huge_pages=off
[ "$(awk '/^HugePages_Free/ { n = $2 } /^Hugepagesize/ { print int(n * $2 / 1024) }' /proc/meminfo)" -lt 1200 ] || huge_pages=on

# All of it in memory; nothing begins by itself; a plan is parallel where its case says so.
settings="-c shared_buffers=1GB -c huge_pages=$huge_pages -c max_wal_size=4GB -c checkpoint_timeout=1h -c full_page_writes=off \
	-c autovacuum=off -c jit=off -c max_parallel_workers_per_gather=0 -c parallel_leader_participation=off \
	-c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0"

# The cases of a chapter in random order: name and query.
cases_of() {
	run_psql -At -F $'\t' -c "SELECT name, query FROM cases WHERE chapter = '$1' ORDER BY random()"
}

# Put the value of a case in a round down.
put_down() {
	run_psql -c "INSERT INTO runs VALUES ('$1', $2, $3)"
}

# Say what it is about, and run a function for each round, whose number it is given.
in_rounds() {
	local round
	printf '%-20s' "$1"
	for ((round = 1; round <= rounds; round++)); do
		"$2" "$round"
		printf .
	done
	printf '\n'
}

measure_functions() { run_psql -c "CALL measure('functions', $1)"; }
measure_workers() { run_psql -c "CALL measure('workers', $1)"; }

# By psql: what commits in its midst cannot be executed by measure().
measure_writes() {
	local name
	while IFS=$'\t' read -r name _; do
		run_psql -v name="$name" -v round="$1" >> "$log" 2>&1 <<-'END' || die "$name failed; see $log"
		SELECT setup, query, answer FROM cases WHERE name = :'name' \gset
		:setup;
		VACUUM (FREEZE, ANALYZE) target;
		CHECKPOINT;
		SELECT clock_timestamp() AS start \gset
		:query;
		SELECT clock_timestamp() AS stop \gset
		INSERT INTO runs VALUES (:'name', :round, :answer / extract(epoch FROM :'stop'::timestamptz - :'start'));
		SELECT 1 / (count(*) = :answer)::int FROM target WHERE length(email) = 72;
		END
	done < <(cases_of writes)
}

run_pgbench() {
	"$bindir/pgbench" -n -h "$sockets" -U officer "$@" postgres 2>> "$log"
}

measure_lookups() {
	local name query script=$build/look-up.sql
	while IFS=$'\t' read -r name query; do
		printf '\\set id random(1, %d)\n%s;\n' "$rows" "$query" > "$script"
		put_down "$name" "$1" "$(run_pgbench -M prepared -c 16 -j 2 -T "$seconds" -f "$script" |
			sed -n 's/^tps = \([0-9.]*\).*/\1/p')"
	done < <(cases_of lookups)
}

# Restart the server, with a library preloaded or none.
preload() {
	run_psql -c "ALTER SYSTEM SET shared_preload_libraries = $1"
	quietly as_server "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w restart ||
		die "the server did not restart; see $log"
}

# By psql, which tells the time of each statement, here the first of a connection.  (Pgbench's log
# has a zero where the answer is there before it looks.)
measure_first_of() {
	local name median
	run_psql -At -o "$build/first.sql" -c "
		SELECT format('\c - officer \\\\ \echo %L \\\\ %s;', name, query)
		FROM cases, generate_series(1, $connections) WHERE chapter = '$1' ORDER BY random()"
	while IFS=$'\t' read -r name median; do
		put_down "$name" "$2" "$median"
	done < <(run_psql -o /dev/null -c '\timing on' -f "$build/first.sql" | paste - - |
		sed 's/Time: \([0-9.]*\) ms.*/\1/' | sort -t $'\t' -k 2n | awk -F '\t' '
			{ all[$1, ++n[$1]] = $2 }
			END { for (name in n) print name "\t" all[name, int((n[name] + 1) / 2)] }')
}

measure_first() {
	preload DEFAULT
	measure_first_of first "$1"
	preload pseudo
	measure_first_of preloaded "$1"
}

# Nothing is told where a case was not measured in every round.
check_runs() {
	local missing
	missing=$(run_psql -At -c "
		SELECT string_agg(name, ', ') FROM cases c
		WHERE (SELECT count(*) FROM runs r WHERE r.name = c.name AND value > 0) <> $rounds")
	[ -z "$missing" ] || die "not measured: $missing"
}

print_table() {
	printf '\n'
	run_psql -P footer=off -c "
		SELECT name, shown(figure, unit) AS median, unit,
			format('%s to %s', shown(low, unit), shown(high, unit)) AS quartiles,
			ratio, against AS \"of\", target, CASE WHEN met THEN 'met' WHEN NOT met THEN 'missed' END AS \" \"
		FROM results ORDER BY no"
	run_psql -P footer=off -P fieldsep=$'\t' -A -o "$build/sql.tsv" -c "
		SELECT chapter, name, figure, low, high, unit, ratio, against, target, met FROM results ORDER BY no"
}

# Bars from the slowest to the fastest, ours in blue.
draw_chart() {
	run_psql -At -F $'\t' -o "$build/speed.tsv" -c "
		SELECT bar, figure, (query ~ 'pseudo\.')::int FROM results JOIN cases USING (name, bar)
		WHERE bar <> '' ORDER BY figure DESC"
	quietly gnuplot -c "$root/test/bench/chart.gp" "$build/speed.tsv" "$build/speed.svg" || die "gnuplot failed"
}

# The table of doc/performance.md, and what it was measured on.
make_readme_table() {
	echo '| | median | |'
	echo '|---|---|---|'
	run_psql -At -c "
		SELECT format('| %s | %s %s | %s |', name, shown(figure, unit), unit, ratio || ' of ' || against)
		FROM results WHERE chapter <> 'workers' AND (bar <> '' OR target <> '') ORDER BY no"
	run_psql -At -c "
		SELECT format('| %s by 2 processes | | %s to %s of 1 |', split_part(name, ',', 1), min(ratio), max(ratio))
		FROM results WHERE chapter = 'workers' AND ratio > 0 GROUP BY split_part(name, ',', 1) ORDER BY min(no)"
	printf '\n(PostgreSQL %s, %s, huge pages %s; medians of %d rounds.)\n' "$(run_psql -At -c "
		SELECT format('%s, %s rows', split_part(current_setting('server_version'), ' ', 1), shown($rows, 'rows'))")" \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$huge_pages" "$rounds"
}

# Put the table between the two marks in doc/performance.md, and the chart beside it.
write_readme() {
	mkdir -p "$root/doc"
	cp "$build/speed.svg" "$root/doc/speed.svg"
	make_readme_table > "$build/speed.md"
	awk -v table="$build/speed.md" '
		/^<!-- speed -->$/ { print; while ((getline line < table) > 0) print line; skip = 1 }
		/^<!-- end of speed -->$/ { skip = 0 }
		!skip' "$root/doc/performance.md" > "$build/performance.md"
	cat "$build/performance.md" > "$root/doc/performance.md"
}

open_build_folder
need_base_tools
have gnuplot || apt_install gnuplot-nox || die "gnuplot is missing; see $log"
build_extension
install_extension
make_work_folder bench
start_cluster
as_server mkdir -m 0700 "$work/keys"

echo "Making $rows rows, in a cluster of $("$PG_CONFIG" --version) "
run_psql -v rows="$rows" -v path="$work/keys/pseudo.json" -f "$root/test/bench/cases.sql" >> "$log" ||
	die "the tables could not be made"
in_rounds functions measure_functions
in_rounds "parallel plans" measure_workers
in_rounds writing measure_writes
in_rounds look-ups measure_lookups
in_rounds "first statements" measure_first
check_runs
print_table
draw_chart
[ -z "$write" ] || write_readme
