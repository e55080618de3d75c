# shellcheck shell=bash
# Sections of test/run.sh that run the extension in servers.  Sourced.

# The tests as the server's user sees them: a copy where it can read and write.
copy_tree() {
	make_work_folder test
	mkdir "$work/tree"
	tar -C "$root" --exclude=./.git --exclude=./build --exclude='./test/*/build' --exclude=./results \
		--exclude='*.o' --exclude='*.bc' --exclude='*.so' -cf - . | tar -C "$work/tree" --no-same-owner -xf -
	mkdir -p "$work/tree/tmp_check"
	chown -R "$server_user" "$work/tree"
	# A file and a folder of another user, for 004, in a folder that root alone can write to.
	if [ "$(id -u)" -eq 0 ]; then
		mkdir -m 755 "$work/strange" "$work/strange/folder"
		echo '{}' > "$work/strange/keyring.json"
		chown daemon "$work"/strange/*
	fi
}

# Make a command that runs the system's Python with what is in a virtual environment, as the server's user can: with a copy where
# they cannot reach it.  The environment's folder, the command's path; fails where there is no environment.
make_python() {
	local packages
	packages=$(echo "$1"/lib/python3*/site-packages)
	[ -d "$packages/pip" ] || return 1
	if ! as_server test -r "$packages/pip/__init__.py"; then
		cp -r "$packages" "$work/packages-${1##*/}"
		packages=$work/packages-${1##*/}
		chown -R "$server_user" "$packages"
	fi
	printf '#!/bin/sh\nPYTHONPATH="%s" exec /usr/bin/python3 "$@"\n' "$packages" > "$2"
	chmod 755 "$2"
}

# pg_regress on a running cluster: the suite's name, and the files that this server cannot run.
run_regress() {
	local suite_log=$build/${1//[^A-Za-z0-9_]/-}.log status tests lacking
	# shellcheck disable=SC2016
	tests=$(pgxs_make -s --no-print-directory --eval 'print-tests: ; @echo $(REGRESS)' print-tests)
	for lacking in ${2:-}; do tests=" $tests " tests=${tests/ $lacking / }; done
	# shellcheck disable=SC2086
	as_server env PGCLIENTENCODING= "$(dirname "$pgxs")/../test/regress/pg_regress" \
		--bindir="$bindir" --inputdir="$work/tree/test" --outputdir="$work/tree" \
		--host="$sockets" --user=postgres --dbname=contrib_regression $tests > "$suite_log" 2>&1
	status=$?
	# Before PostgreSQL 16 "test x ... ok 9 ms", since then TAP.
	count_suite "$1" $status \
		"$(grep -cE '^(ok +[0-9]|(test|    ).* \.\.\. ok( |$))' "$suite_log")" \
		"$(grep -cE '^(not ok +[0-9]|(test|    ).* \.\.\. (FAILED|failed)( |$))' "$suite_log")" "$suite_log"
	if [ -s "$work/tree/regression.diffs" ]; then
		cp "$work/tree/regression.diffs" "${suite_log%.log}.diffs"
		echo "--- the start of ${suite_log%.log}.diffs"
		head -n 150 "$work/tree/regression.diffs"
		echo '---'
	fi
}

# pg_regress on a new cluster with further options of the server: the suite's name, the options.
run_regress_with() {
	local settings=$2
	start_cluster
	run_regress "$1"
	remove_data
}

section_regress() {
	copy_tree
	start_cluster
	run_regress pg_regress
}

# pg_regress with the library preloaded, so that sessions share keyrings; with every transaction serializable; and with
# parallel plans wherever one is allowed: "regress" hides in plans and errors what workers make differ.
section_modes() {
	local parallel=force_parallel_mode
	[ "$("$PG_CONFIG" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')" -lt 16 ] || parallel=debug_parallel_query
	copy_tree
	run_regress_with "pg_regress, preloaded" '-c shared_preload_libraries=pseudo'
	run_regress_with "pg_regress, serializable" '-c default_transaction_isolation=serializable'
	run_regress_with "pg_regress, parallel plans" "-c $parallel=regress -c parallel_setup_cost=0 \
		-c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0 -c max_parallel_workers_per_gather=2"
}

# pg_regress on a server under valgrind's memcheck: what that reports of any process of the
# server, apart from test/valgrind.supp, is a failure.
section_memcheck() {
	local logs bad
	if ! have valgrind; then skip memcheck "valgrind is missing"; return; fi
	copy_tree
	init_cluster
	logs=$work/memcheck
	as_server mkdir "$logs"
	as_server valgrind -q --leak-check=no --suppressions="$work/tree/test/valgrind.supp" \
		--log-file="$logs/%p.log" "$bindir/postgres" -D "$work/data" -c listen_addresses='' \
		-c unix_socket_directories="$sockets" -c fsync=off -c timezone=UTC -c autovacuum=off \
		>> "$work/server.log" 2>&1 &
	for _ in $(seq 120); do
		"$bindir/pg_isready" -q -h "$sockets" && break
		sleep 1
	done
	# Not what takes a minute there, and calls the same as the others: the section "sanitizers" has them all.
	run_regress "pg_regress under memcheck" "large batches coverage plans attacks create_view create_view_attacks trigger_values"
	as_server "$bindir/pg_ctl" -D "$work/data" -m fast -t 300 -w stop >> "$log" 2>&1
	wait
	bad=$(find "$logs" -name '*.log' -size +0 | wc -l)
	find "$logs" -name '*.log' -size +0 -exec cat {} + > "$build/memcheck.log"
	[ "$(find "$logs" -name '*.log' | wc -l)" -gt 10 ] || bad=1
	count "memcheck of the server" $((bad == 0)) "$bad" "$build/memcheck.log"
}

# What no registry has: a test that skips for want of it is named, and is no failure in CI.  Who has built it runs the test.
may_be_missing='Citus is not installed beside this PostgreSQL'

# TAP tests: the suite's name, a setting for their environment, the files.
run_tap() {
	local suite_log=$build/${1//[^A-Za-z0-9_]/-}.log status pgxs_src name clean=()
	pgxs_src=$(cd "$(dirname "$pgxs")/.." && pwd)
	if ! have prove; then skip "$1" "perl's prove is missing"; return; fi
	if ! have_perl_module IPC::Run; then skip "$1" "perl's IPC::Run is missing"; return; fi
	# Nothing of the caller's reaches AWS, or leads the tests elsewhere.
	for name in "${!AWS_@}" HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy PSEUDO_PYTHON PSEUDO_RESTORE_INTO; do
		clean+=(-u "$name")
	done
	! make_python "$venv" "$work/python" || clean+=("PSEUDO_PYTHON=$work/python")
	# They wait more than they work.
	# shellcheck disable=SC2016
	as_server env "${clean[@]}" HOME="$work" AWS_EC2_METADATA_DISABLED=true \
		PATH="$bindir:$PATH" PERL5LIB="$pgxs_src/test/perl:$work/tree/test/t" \
		PG_REGRESS="$pgxs_src/test/regress/pg_regress" PG_CONFIG="$PG_CONFIG" \
		TESTDIR="$work/tree" TESTDATADIR="$work/tree/tmp_check" TESTLOGDIR="$work/tree/tmp_check/log" \
		PG_TEST_TIMEOUT_DEFAULT=180 CI="${CI:-}" PSEUDO_PRELOAD="${PSEUDO_PRELOAD:-}" "$2" \
		sh -c 'cd "$1" && shift && exec prove -v --timer -j 4 "$@"' sh "$work/tree" "${@:3}" > "$suite_log" 2>&1
	status=$?
	skips=$(grep -iE '^ok .*# skip|^1\.\.0 .*# skip|\.pl \.+ skipped: ' "$suite_log")
	if [ -n "$skips" ] && [ $status -eq 0 ] && ! grep -qE '^(not )?ok [0-9]' "$suite_log"; then
		skip "$1" "all of it"
	else
		count_suite "$1" $status \
			"$(grep -E '^ok [0-9]|^not ok .*# TODO' "$suite_log" | grep -cviE '# skip')" \
			"$(grep -E '^not ok [0-9]' "$suite_log" | grep -cv '# TODO')" "$suite_log"
	fi
	if [ -n "$skips" ]; then
		# shellcheck disable=SC2001
		sed 's/^/skipped: /' <<< "$skips"
		if [ "${CI:-}" = true ] && grep -qv "$may_be_missing" <<< "$skips"; then count "$1, skipped in CI" 0 1; fi
	fi
	if [ $status -ne 0 ]; then
		grep -A 9 -E '^# +Failed test' "$suite_log" | head -n 100
		rm -rf "${suite_log%.log}-logs"
		cp -r "$work/tree/tmp_check/log" "${suite_log%.log}-logs" 2> /dev/null
	fi
}

# All TAP tests, the largest files first, since those take longest: the suite's name.
run_all_tap() {
	local files
	mapfile -t files < <(cd "$root" && find test/t -name '*.pl' -printf '%s %p\n' | sort -rn | cut -d' ' -f2)
	run_tap "$1" PSEUDO_RESTORE_INTO= "${files[@]}"
}

section_tap() {
	copy_tree
	run_all_tap TAP
}

# Modules whose calls of the system and of libraries fail in turn: test/faults/fault.c.
section_faults() {
	local suite_log=$build/faults-build.log bad=0
	copy_tree
	mkdir "$work/modules"
	make -s -C "$root/test/faults" PG_CONFIG="$PG_CONFIG" OUT="$work/modules" > "$suite_log" 2>&1 || bad=1
	chmod -R a+rX "$work/modules"
	count "faults, modules" $((1 - bad)) $bad "$suite_log"
	[ $bad -ne 0 ] || run_tap faults PSEUDO_FAULTS="$work/modules" test/faults/faults.pl
}

# Answers of AWS made up from seeds, read by modules with the address sanitizer: test/faults/answers.c.  It is
# loaded with a library that is initialised first and has it start by an allocation: else it starts within one that
# another library makes under a lock, and hangs.
section_answers() {
	local suite_log=$build/answers-build.log sanitizer bad=0 sanitize='-g -O1 -fsanitize=address -fno-omit-frame-pointer'
	if ! can_sanitize gcc; then skip answers "gcc is here without its sanitizers"; return; fi
	copy_tree
	mkdir "$work/modules"
	sanitizer=$(gcc -print-file-name=libasan.so):$work/modules/first.so
	{
		echo '#include <stdlib.h>
			__attribute__((constructor)) static void first(void) { void *volatile p = malloc(1); free(p); }' |
			gcc -shared -fPIC -Wl,-z,initfirst -o "$work/modules/first.so" -x c - &&
			make -s -C "$work/tree" PG_CONFIG="$PG_CONFIG" CC=gcc with_llvm=no COPT="$sanitize" all &&
			make -s -C "$work/tree/test/faults" PG_CONFIG="$PG_CONFIG" CC=gcc OUT="$work/modules" VARIANT=answers COPT="$sanitize"
	} > "$suite_log" 2>&1 || bad=1
	chmod -R a+rX "$work/modules"
	count "answers, modules" $((1 - bad)) $bad "$suite_log"
	[ $bad -ne 0 ] || PSEUDO_SANITIZER=$sanitizer run_tap answers PSEUDO_ANSWERS="$work/modules" test/faults/answers.pl
}

# The tour, in a cluster of its own.
section_tour() {
	local suite_log=$build/tour.log status
	"$root/test/demo.sh" > "$suite_log" 2>&1
	status=$?
	count_suite "the tour" $status "$(grep -c '^  ok  ' "$suite_log")" "$(grep -c '^  NO  ' "$suite_log")" "$suite_log"
}

# The benchmarks, in short, in clusters of their own: that of SQL fails where a value does not come back, a
# row is not counted or a case not measured; that of several servers where a case is not measured.
section_bench() {
	local suite_log=$build/bench.log chart=$build/speed.svg bar bad=0
	rm -f "$chart" "$build/speed.tsv"
	"$root/test/bench/sql.sh" --quick > "$suite_log" 2>&1 || bad=1
	count "bench, quick" $((1 - bad)) $bad "$suite_log"
	bad=0
	/usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree
sys.exit(not tree.parse(sys.argv[1]).getroot().tag.endswith("svg"))' "$chart" 2>> "$suite_log" || bad=1
	while IFS=$'\t' read -r bar _; do
		grep -qF ">$bar<" "$chart" || { echo "no bar: $bar" >> "$suite_log"; bad=1; }
	done < <(cat "$build/speed.tsv" || echo bars)
	count "bench, chart" $((1 - bad)) $bad "$suite_log"
	suite_log=$build/bench-nodes.log bad=0
	"$root/test/bench/nodes.sh" --quick > "$suite_log" 2>&1 || bad=1
	count "bench of several servers, quick" $((1 - bad)) $bad "$suite_log"
	grep -h '^Not measured' "$suite_log" || true
}
