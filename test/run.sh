#!/usr/bin/env bash
#
# All tests: unit tests of the core on every implementation, with sanitizers and under
# valgrind; a build without warnings; the tour; pg_regress; TAP.  Installs what is missing
# (Debian).  The last line is "N passed, N failed".
#
# A tool that is missing and cannot be installed skips its tests with a reason,
# and fails them in CI (CI=true).  Tests that take minutes run in CI, or with
# PG_TEST_EXTRA=slow.

set -uo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passed=0 failed=0 skipped=0
work='' sockets=''
trap remove_cluster EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

section() { printf '\n== %s\n' "$*"; }

# Add to the sums and say so: what, passed, failed, and the log where some failed.
count() {
	passed=$((passed + $2)) failed=$((failed + $3))
	printf '%s: %d passed, %d failed\n' "$1" "$2" "$3"
	if [ "$3" -gt 0 ] && [ -s "${4:-}" ]; then
		printf -- '--- the end of %s\n' "$4"
		tail -n 60 "$4"
		echo '---'
	fi
}

# What needs a tool that is not here.
skip() {
	if [ "${CI:-}" = true ]; then
		printf '%s: %s, and this is CI\n' "$1" "$2"
		count "$1" 0 1
	else
		printf '%s: skipped, %s\n' "$1" "$2"
		skipped=$((skipped + 1))
	fi
}

# Count a suite: its name, its exit status, what passed and failed, its log.  One
# that failed without a failed test, or ran no test, counts as one failure.
count_suite() {
	local what=$1 status=$2 ok=$3 bad=$4 suite_log=$5
	if [ "$bad" -eq 0 ] && [ "$status" -ne 0 ]; then
		echo "$what: ended with status $status"
		bad=1
	elif [ $((ok + bad)) -eq 0 ]; then
		echo "$what: no test ran"
		bad=1
	fi
	count "$what" "$ok" "$bad" "$suite_log"
}

# The sum of one column of a log's lines that end in "N passed, N failed"; where the
# suite adds them up itself ("unit: ..."), its sum.
sum_of() {
	local lines
	lines=$(grep -E '^unit: ' "$1" || cat "$1")
	sed -nE 's/(.*[: ])?([0-9]+) passed, ([0-9]+) failed *$/\2 \3/p' <<< "$lines" |
		awk -v column="$2" '{ sum += $column } END { print sum + 0 }'
}

# Run a command that prints such lines, into a log of its own.
run_counted() {
	local what=$1 suite_log=$build/${1//[^a-z0-9]/-}.log status
	shift
	"$@" > "$suite_log" 2>&1 < /dev/null
	status=$?
	count_suite "$what" $status "$(sum_of "$suite_log" 1)" "$(sum_of "$suite_log" 2)" "$suite_log"
}

can_sanitize() {
	echo 'int main(void) { return 0; }' |
		"$1" -x c -fsanitize=address,undefined -o "$build/sanitized" - 2> /dev/null &&
		"$build/sanitized"
}

have_perl_module() { perl -M"$1" -e 1 2> /dev/null; }

# Install what only the tests need; where that fails, the tests that need it skip.
need_test_tools() {
	local missing=()
	have clang || missing+=(clang)
	have valgrind || missing+=(valgrind)
	{ have prove && have_perl_module Test::More; } || missing+=(perl)
	have_perl_module IPC::Run || missing+=(libipc-run-perl)
	have_perl_module IO::Socket::SSL || missing+=(libio-socket-ssl-perl)
	have gcore || missing+=(gdb)
	have shellcheck || missing+=(shellcheck)
	[ -x /usr/bin/aws ] || missing+=(awscli)
	/usr/bin/python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
	have aarch64-linux-gnu-gcc || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
	have qemu-aarch64-static || have qemu-aarch64 || missing+=(qemu-user-static)
	[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}" || true
	if have clang && ! can_sanitize clang; then
		apt_install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" || true
	fi
}

# Make $venv, a virtual environment with what test/aws/requirements.txt lists: moto and cfn-lint.
# The system's Python runs it, for another may be out of the server's user's reach.
venv=$build/venv
need_venv() {
	local wanted=$root/test/aws/requirements.txt
	cmp -s "$wanted" "$venv/requirements.txt" && "$venv/bin/python" -c 'import moto' 2> /dev/null && return
	echo "Installing with pip into $venv: moto and cfn-lint"
	rm -rf "$venv"
	if quietly /usr/bin/python3 -m venv "$venv" &&
	   quietly "$venv/bin/pip" install --no-input --disable-pip-version-check -q -r "$wanted"; then
		cp "$wanted" "$venv/requirements.txt"
	else
		rm -rf "$venv"
	fi
}

# Compile every source with all warnings as errors, one test a compiler; the headers of
# others are not ours to mend.
compile_strictly() {
	local compiler=$1 bad=0 source suite_log=$build/warnings-$1.log
	: > "$suite_log"
	while read -r source; do
		"$compiler" -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -D_GNU_SOURCE \
			-isystem "$("$PG_CONFIG" --includedir-server)" -isystem "$("$PG_CONFIG" --includedir)" \
			-c -o "$build/strict.o" "$source" >> "$suite_log" 2>&1 || bad=1
	done < <(find "$root/src" -name '*.c' | sort)
	count "warnings, $compiler" $((1 - bad)) $bad "$suite_log"
}

# The tests as the server's user sees them: a copy where it can read and write.
copy_tree() {
	mkdir "$work/tree"
	tar -C "$root" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' \
		--exclude=./results -cf - . | tar -C "$work/tree" --no-same-owner -xf -
	mkdir -p "$work/tree/tmp_check"
	chown -R "$server_user" "$work/tree"
}

# Make $python, a command that runs the system's Python with what is in $venv, as the server's user can: a
# copy where he cannot reach it.  Empty where there is none.
make_python() {
	local packages
	python=
	packages=$(echo "$venv"/lib/python3*/site-packages)
	[ -d "$packages/moto" ] || return
	if ! as_server test -r "$packages/moto/__init__.py"; then
		cp -r "$packages" "$work/python-packages"
		packages=$work/python-packages
		chown -R "$server_user" "$packages"
	fi
	python=$work/python
	printf '#!/bin/sh\nPYTHONPATH="%s" exec /usr/bin/python3 "$@"\n' "$packages" > "$python"
	chmod 755 "$python"
}

# pg_regress on a running cluster: the suite's name.
run_regress() {
	local suite_log=$build/${1//[^a-z0-9_]/-}.log status tests
	# shellcheck disable=SC2016
	tests=$(pgxs_make -s --no-print-directory --eval 'print-tests: ; @echo $(REGRESS)' print-tests)
	# shellcheck disable=SC2086
	as_server env PGCLIENTENCODING= "$(dirname "$pgxs")/../test/regress/pg_regress" \
		--bindir="$bindir" --inputdir="$work/tree" --outputdir="$work/tree" \
		--host="$sockets" --user=postgres --dbname=contrib_regression $tests \
		> "$suite_log" 2>&1 < /dev/null
	status=$?
	# Before PostgreSQL 16 "test x ... ok 9 ms", since then TAP.
	count_suite "$1" $status \
		"$(grep -cE '^(ok +[0-9]|(test|    ).* \.\.\. ok( |$))' "$suite_log")" \
		"$(grep -cE '^(not ok +[0-9]|(test|    ).* \.\.\. (FAILED|failed)( |$))' "$suite_log")" "$suite_log"
	if [ -s "$work/tree/regression.diffs" ]; then
		cp "$work/tree/regression.diffs" "$build/"
		echo "--- the start of $build/regression.diffs"
		head -n 150 "$build/regression.diffs"
		echo '---'
	fi
}

# The same on a server under valgrind's memcheck: what it reports of any process of the
# server, apart from test/valgrind.supp, is a failure.
run_memcheck() {
	local logs=$work/memcheck bad
	if ! have valgrind; then skip memcheck "valgrind is missing"; return; fi
	as_server "$bindir/pg_ctl" -D "$work/data" -m fast -w stop >> "$log" 2>&1
	as_server mkdir "$logs"
	as_server valgrind -q --leak-check=no --suppressions="$work/tree/test/valgrind.supp" \
		--log-file="$logs/%p.log" "$bindir/postgres" -D "$work/data" -c listen_addresses='' \
		-c unix_socket_directories="$sockets" -c fsync=off -c timezone=UTC -c autovacuum=off \
		>> "$work/server.log" 2>&1 < /dev/null &
	for _ in $(seq 120); do
		"$bindir/pg_isready" -q -h "$sockets" && break
		sleep 1
	done
	run_regress "pg_regress under memcheck"
	as_server "$bindir/pg_ctl" -D "$work/data" -m fast -t 300 -w stop >> "$log" 2>&1
	wait
	bad=$(find "$logs" -name '*.log' -size +0 | wc -l)
	find "$logs" -name '*.log' -size +0 -exec cat {} + > "$build/memcheck.log"
	[ "$(find "$logs" -name '*.log' | wc -l)" -gt 10 ] || bad=1
	count "memcheck of the server" $((bad == 0)) "$bad" "$build/memcheck.log"
}

run_tap() {
	local suite_log=$build/tap.log status pgxs_src name clean=()
	pgxs_src=$(cd "$(dirname "$pgxs")/.." && pwd)
	if ! have prove; then skip TAP "perl's prove is missing"; return; fi
	if ! have_perl_module IPC::Run; then skip TAP "perl's IPC::Run is missing"; return; fi
	# Nothing of the caller's reaches AWS, or leads the tests elsewhere.
	for name in "${!AWS_@}" HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy PSEUDO_PYTHON; do
		clean+=(-u "$name")
	done
	make_python
	[ -z "$python" ] || clean+=("PSEUDO_PYTHON=$python")
	# shellcheck disable=SC2016
	as_server env "${clean[@]}" HOME="$work" AWS_EC2_METADATA_DISABLED=true \
		PATH="$bindir:$PATH" PERL5LIB="$pgxs_src/test/perl:$work/tree/test/t" \
		PG_REGRESS="$pgxs_src/test/regress/pg_regress" PG_CONFIG="$PG_CONFIG" \
		TESTDIR="$work/tree" TESTDATADIR="$work/tree/tmp_check" TESTLOGDIR="$work/tree/tmp_check/log" \
		PG_TEST_TIMEOUT_DEFAULT=180 CI="${CI:-}" \
		sh -c 'cd "$1" && exec prove -v -j 2 test/t/*.pl' sh "$work/tree" > "$suite_log" 2>&1 < /dev/null
	status=$?
	count_suite TAP $status \
		"$(grep -E '^ok [0-9]|^not ok .*# TODO' "$suite_log" | grep -cviE '# skip')" \
		"$(grep -E '^not ok [0-9]' "$suite_log" | grep -cv '# TODO')" "$suite_log"
	if grep -qiE '^(ok .*|1\.\.0 .*)# skip' "$suite_log"; then
		grep -iE '^(ok .*|1\.\.0 .*)# skip' "$suite_log" | sed 's/^/skipped: /'
		[ "${CI:-}" != true ] || count "TAP, skipped in CI" 0 1
	fi
	if [ $status -ne 0 ]; then
		rm -rf "$build/tap-logs"
		cp -r "$work/tree/tmp_check/log" "$build/tap-logs" 2> /dev/null
	fi
}

# The tour, in a cluster of its own: what it checks are tests.
run_tour() {
	local suite_log=$build/tour.log status
	"$root/test/demo.sh" > "$suite_log" 2>&1 < /dev/null
	status=$?
	count_suite "the tour" $status "$(grep -c '^  ok  ' "$suite_log")" "$(grep -c '^  NO  ' "$suite_log")" "$suite_log"
}

# The benchmark of SQL, in short: it fails where a value does not come back, a row is not counted or a
# case not measured.  How fast it was is not judged.
run_bench() {
	local suite_log=$build/bench.log chart=$build/speed.svg bar bad=0
	rm -f "$chart" "$build/speed.tsv"
	if ! "$root/test/bench/sql.sh" --quick > "$suite_log" 2>&1 < /dev/null; then bad=1; fi
	count "bench, quick" $((1 - bad)) $bad "$suite_log"
	bad=0
	/usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree
sys.exit(not tree.parse(sys.argv[1]).getroot().tag.endswith("svg"))' "$chart" 2>> "$suite_log" || bad=1
	while IFS=$'\t' read -r bar _; do
		grep -qF ">$bar<" "$chart" || { echo "no bar: $bar" >> "$suite_log"; bad=1; }
	done < <(cat "$build/speed.tsv" || echo bars)
	count "bench, chart" $((1 - bad)) $bad "$suite_log"
}

# The scripts that people run, and the template of deploy/.
check_scripts() {
	local bad=0 script suite_log=$build/scripts.log scripts=("$root"/deploy/*.sh "$root"/test/*.sh "$root"/test/bench/*.sh "$root/.ci/run")
	: > "$suite_log"
	for script in "${scripts[@]}"; do
		bash -n "$script" 2>> "$suite_log" || bad=1
	done
	count "scripts, syntax" $((1 - bad)) $bad "$suite_log"
	if have shellcheck; then
		bad=0
		(cd "$root" && shellcheck -x -P SCRIPTDIR "${scripts[@]}") > "$build/shellcheck.log" 2>&1 || bad=1
		count "scripts, shellcheck" $((1 - bad)) $bad "$build/shellcheck.log"
	else
		skip "scripts, shellcheck" "shellcheck is missing"
	fi
	if [ -x "$venv/bin/cfn-lint" ]; then
		bad=0
		"$venv/bin/cfn-lint" "$root/deploy/template.yaml" > "$build/cfn-lint.log" 2>&1 || bad=1
		count "cfn-lint" $((1 - bad)) $bad "$build/cfn-lint.log"
	else
		skip "cfn-lint" "it could not be installed"
	fi
}

# Code and tests must stand on their own: nothing of the folder beside the repository.
check_standalone() {
	local hits
	hits=$(grep -rnE '\.\./+shared|/work/' "$root/src" "$root/sql" "$root/expected" "$root/test" "$root/deploy" "$root/Makefile" \
		--include='*.[ch]' --include='*.sql' --include='*.out' --include='*.sh' --include='*.p[lmy]' --include='*.yaml' --include=Makefile |
		grep -v '^[^:]*/test/run\.sh:' || true)
	[ -z "$hits" ] || echo "$hits"
	if [ -z "$hits" ]; then count "stands on its own" 1 0; else count "stands on its own" 0 1; fi
}

[ "${CI:-}" != true ] || export PG_TEST_EXTRA="${PG_TEST_EXTRA:-} slow"
open_build_folder
need_base_tools
need_test_tools
need_venv
echo "PostgreSQL: $("$PG_CONFIG" --version), $PG_CONFIG"

section "Warnings"
for compiler in gcc clang; do
	if have $compiler; then compile_strictly $compiler; else skip "warnings, $compiler" "$compiler is missing"; fi
done

section "The core on its own"
unit=(make -C "$root/test/unit")
run_counted "unit" "${unit[@]}" check
if can_sanitize gcc || can_sanitize clang; then
	run_counted "unit, sanitizers" "${unit[@]}" asan
else
	skip "unit, sanitizers" "no compiler here has its address sanitizer"
fi
if have valgrind; then
	run_counted "unit, valgrind" "${unit[@]}" valgrind
else
	skip "unit, valgrind" "valgrind is missing"
fi
if have aarch64-linux-gnu-gcc && { have qemu-aarch64-static || have qemu-aarch64; }; then
	run_counted "unit, ARMv8 by qemu" "${unit[@]}" arm
else
	skip "unit, ARMv8 by qemu" "the cross compiler or qemu is missing"
fi
if can_sanitize clang; then
	# A minute each in CI; look for longer with make -C test/fuzz run SECONDS=600.
	fuzz_seconds=10
	[ "${CI:-}" != true ] || fuzz_seconds=60
	if make -C "$root/test/fuzz" run SECONDS=$fuzz_seconds > "$build/fuzz.log" 2>&1 < /dev/null; then
		count "fuzzing, $fuzz_seconds s a target" 1 0
	else
		count "fuzzing, $fuzz_seconds s a target" 0 1 "$build/fuzz.log"
	fi
else
	skip fuzzing "clang or its sanitizers are missing"
fi

section "The extension"
(build_extension && install_extension) || { count build 0 1; exit_early=yes; }
if [ -z "${exit_early:-}" ]; then
	echo 'Built, and installed into the folders of this PostgreSQL ("make install").'
	run_tour
	make_work_folder test
	copy_tree
	if start_cluster; then
		run_regress pg_regress
	else
		count pg_regress 0 1
	fi
	run_tap
	run_memcheck
	run_bench
fi

section "The sources"
check_standalone

section "deploy"
check_scripts

printf '\n'
[ $skipped -eq 0 ] || echo "$skipped skipped"
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ] && [ $passed -gt 0 ]
