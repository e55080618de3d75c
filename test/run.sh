#!/usr/bin/env bash
#
# All tests, or the sections that are named:
#
#	test/run.sh [SECTION...]
#
#	tap		whole servers, providers, faults
#	engines		PgBouncer, pg_cron and others, from Debian and PyPI; the folder examples/
#	answers		what AWS may answer, made up from seeds, under the address sanitizer
#	faults		the n-th call for memory, files, OpenSSL and libcurl fails, for each n
#	memcheck	pg_regress on a server under valgrind
#	sanitizers	pg_regress on a server whose module is built with the sanitizers
#	fuzz		the core, fuzzed
#	pg15 ... pg19	a build, pg_regress and a restore of dumps on another PostgreSQL than this
#			system's; all TAP tests on 19, with shared_preload_libraries = 'pseudo'
#	i386		a build and pg_regress on PostgreSQL 15 for 32 bits
#	build		what packagers and users ask of make
#	package		Debian's packages, built in Debian 12 and 13 (or PSEUDO_SUITES) and installed there
#	upgrade		ALTER EXTENSION UPDATE gives what CREATE EXTENSION gives
#	unit		the core on its own: every implementation, sanitizers, valgrind, ARMv8
#	warnings	a build without any, by gcc and clang; the layers of the sources
#	tour		test/demo.sh: what it checks are tests
#	bench		test/bench/sql.sh and nodes.sh in short; how fast they were is not judged
#	regress		pg_regress
#	modes		pg_regress with shared_preload_libraries = 'pseudo', with serializable
#			transactions, and with parallel plans
#	cassert		pg_regress on a server with assertions, where PG_CONFIG_CASSERT names one
#	format		the sources, by pgindent of PostgreSQL 19
#	scripts		the scripts, the template of deploy/, the Dockerfiles
#
# Installs what is missing (Debian).  One section more runs side by side than there are
# processors, as many wait for servers and downloads; each is shown when it ends.  The last line is "N passed, N failed".
#
# A tool that is missing and cannot be installed skips its tests with a reason,
# and fails them in CI (CI=true).  Tests that take minutes run in CI, or with
# PG_TEST_EXTRA=slow.  PSEUDO_PRELOAD=1 preloads the library in all servers.

set -uo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tools.sh
. "$root/test/tools.sh"
# shellcheck source=count.sh
. "$root/test/count.sh"
# shellcheck source=layers.sh
. "$root/test/layers.sh"
# shellcheck source=sources.sh
. "$root/test/sources.sh"
# shellcheck source=server.sh
. "$root/test/server.sh"
# shellcheck source=versions.sh
. "$root/test/versions.sh"
# shellcheck source=build.sh
. "$root/test/build.sh"
# shellcheck source=package.sh
. "$root/test/package.sh"
# shellcheck source=upgrade.sh
. "$root/test/upgrade.sh"
# shellcheck source=sanitize.sh
. "$root/test/sanitize.sh"
# shellcheck source=engines.sh
. "$root/test/engines.sh"

sections=("$@")
# The longest first.
[ $# -gt 0 ] || sections=(engines memcheck package pg19 tap unit build sanitizers fuzz pg18 pg17 i386 pg16 pg15 answers modes warnings faults tour regress cassert bench upgrade format scripts)
for section in "${sections[@]}"; do
	declare -F "section_$section" > /dev/null || { sed -n '3,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
done

declare -A running=() began=()
stop_sections() {
	local pid
	for pid in "${!running[@]}"; do kill -TERM -- "-$pid" 2> /dev/null; done
	wait
}
trap stop_sections EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Run a section, with a log, clusters and sums of its own.
run_section() {
	log=$build/sections/$1.log work='' sockets='' passed=0 failed=0 skipped=0
	trap remove_cluster EXIT
	trap 'exit 143' TERM
	: > "$log"
	"section_$1"
	echo "$passed $failed $skipped" > "$build/sections/$1.sums"
}

# In a process group of its own, so that it can be ended with all that it runs.
start_section() {
	set -m
	run_section "$1" > "$build/sections/$1.out" 2>&1 < /dev/null &
	set +m
	running[$!]=$1 began[$!]=$SECONDS
	echo "... $1"
}

# Wait for a section to end; show it and add its sums, one failure if it left none.
finish_section() {
	local pid='' each name sums
	while [ -z "$pid" ]; do
		sleep 0.5
		for each in "${!running[@]}"; do kill -0 "$each" 2> /dev/null || pid=$each; done
	done
	name=${running[$pid]}
	unset "running[$pid]"
	printf '\n== %s, %d s\n' "$name" $((SECONDS - ${began[$pid]}))
	cat "$build/sections/$name.out"
	grep -E ', [1-9][0-9]* failed$|^# +Failed test|^not ok|FAILED' "$build/sections/$name.out" | sort -u | sed "s/^/$name: /" >> "$failures"
	if [ -e "$build/sections/$name.sums" ]; then
		read -ra sums < "$build/sections/$name.sums"
		passed=$((passed + sums[0])) failed=$((failed + sums[1])) skipped=$((skipped + sums[2]))
	else
		count "$name, to its end" 0 1 "$build/sections/$name.log"
	fi
}

[ "${CI:-}" != true ] || export PG_TEST_EXTRA="${PG_TEST_EXTRA:-} slow"
open_build_folder
rm -rf "$build/sections"
mkdir "$build/sections"
failures=$build/sections/failures
: > "$failures"
need_base_tools
need_test_tools
echo "PostgreSQL: $("$PG_CONFIG" --version), $PG_CONFIG"
# What all other sections test.
[ $# -gt 0 ] || mapfile -t sections < <(printf '%s\n' "${sections[@]}" | grep -vx "pg$(own_version)")
(log=$build/venv.log && : > "$log" && need_venv) &
built=yes
(build_extension && install_extension) || built=
wait
if [ -n "$built" ]; then
	echo 'Built, and installed into the folders of this PostgreSQL ("make install").'
	for section in "${sections[@]}"; do
		[ ${#running[@]} -le "$(nproc)" ] || finish_section
		start_section "$section"
	done
	while [ ${#running[@]} -gt 0 ]; do finish_section; done
else
	count build 0 1
fi

printf '\n'
if [ -s "$failures" ]; then
	echo 'What failed, once more:'
	cat "$failures"
	printf '\n'
fi
[ $skipped -eq 0 ] || echo "$skipped skipped"
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ] && [ $passed -gt 0 ]
