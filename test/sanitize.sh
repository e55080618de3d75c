# shellcheck shell=bash
# Sections of test/run.sh: pg_regress on servers that look closer than the one at hand.  Sourced.

# Print the longest folder that several paths have in common, with a slash at its end.
common_folder() {
	local common=$1/ path
	for path in "$@"; do
		while [ "${path#"$common"}" = "$path" ]; do common=${common%/*/}/; done
	done
	echo "$common"
}

# Make a copy of a PostgreSQL at $copy, of whose pg_config the path is given: programs are copied, what they
# read is linked.  As its folders keep their places to each other, the programs find the copy's own.
copy_postgres() {
	local config=$1 folder common
	local bin lib share
	bin=$("$config" --bindir) lib=$("$config" --pkglibdir) share=$("$config" --sharedir)
	common=$(common_folder "$bin" "$lib" "$share")
	copy=$work/postgres
	for folder in "$bin" "$lib" "$share"; do
		mkdir -p "$copy/${folder#"$common"}"
		cp -rs "$folder/." "$copy/${folder#"$common"}/"
	done
	copy_bin=$copy/${bin#"$common"} copy_lib=$copy/${lib#"$common"} copy_share=$copy/${share#"$common"}
	cp --remove-destination "$bin"/* "$copy_bin/"
}

# Build the extension in $work/tree for that PostgreSQL, and put it into the copy.
build_into_copy() {
	quietly make -C "$work/tree" -j 2 PG_CONFIG="$1" with_llvm=no COPT="$2" all || return 1
	rm -f "$copy_lib"/pseudo*.so "$copy_share"/extension/pseudo*
	find "$work/tree" -name "pseudo*.so" -exec cp -t "$copy_lib/" {} +
	cp "$work"/tree/pseudo.control "$work"/tree/sql/pseudo--*.sql "$copy_share/extension/"
	chown -R "$server_user" "$copy"
}

# Documents and JSON made at random, read by the module and by Python: see test/fuzz/documents.py.  Other ones with each
# SEED, which the log tells.
fuzz_documents() {
	local documents=$work/documents n=20000 seed=${SEED:-20240422}
	[[ ${PG_TEST_EXTRA:-} != *slow* ]] || n=100000
	as_server mkdir "$documents"
	echo "documents: $n of seed $seed" >> "$log"
	quietly as_server /usr/bin/python3 "$work/tree/test/fuzz/documents.py" make "$n" "$seed" "$documents"
	quietly run_psql -d postgres -c 'CREATE DATABASE documents'
	quietly run_psql -d documents -v folder="$documents" -v keyring="$documents/k.json" -f "$root/test/fuzz/documents.sql"
	run_counted documents as_server /usr/bin/python3 "$work/tree/test/fuzz/documents.py" check "$documents"
}

# Two errors for the sanitizers to find, in the module itself: a byte behind an allocation, a shift too far.  The
# pointer is volatile, so that the compiler does not know how much is behind it: else the undefined behaviour sanitizer
# of newer ones sees the first error before the address sanitizer does.
plant_errors() {
	cat >> "$work/tree/src/pseudo.c" <<-'END'

		PG_FUNCTION_INFO_V1(planted_overflow);
		Datum
		planted_overflow(PG_FUNCTION_ARGS)
		{
			volatile char *volatile p = malloc(PG_GETARG_INT32(0));

			PG_RETURN_INT32(p[PG_GETARG_INT32(0)]);
		}

		PG_FUNCTION_INFO_V1(planted_shift);
		Datum
		planted_shift(PG_FUNCTION_ARGS)
		{
			volatile int distance = PG_GETARG_INT32(0) + 32;

			PG_RETURN_INT32(1 << distance);
		}
	END
}

# Make $runtime, what is to be loaded before anything else: the sanitizers, and a library that is initialised first and has
# them start by an allocation.  Else they start within one that another library makes under a lock of locales, and hang.
make_runtime() {
	echo '#include <stdlib.h>
		__attribute__((constructor)) static void first(void) { void *volatile p = malloc(1); free(p); }' |
		gcc -shared -fPIC -Wl,-z,initfirst -o "$work/first.so" -x c - 2>> "$log" || return 1
	runtime=$(gcc -print-file-name=libasan.so):$work/first.so:$(gcc -print-file-name=libubsan.so)
}

# Print the reports of the sanitizers so far: the one for addresses writes files, the other one to the server's log.
print_reports() {
	find "$work/reports" -type f -exec cat {} +
	grep -A 12 'runtime error: ' "$work/server.log" || :
}
count_reports() { print_reports | grep -cE 'ERROR: AddressSanitizer|runtime error: '; }

# Call a planted error: the process must die of it and leave a report that says what it was.
check_planted() {
	local before ok=0
	before=$(count_reports)
	run_psql -d postgres -c "CREATE FUNCTION pg_temp.planted(int) RETURNS int AS '\$libdir/pseudo', '$1' LANGUAGE c" \
		-c 'SELECT pg_temp.planted(7)' >> "$log" 2>&1
	[ "$(count_reports)" -gt "$before" ] && print_reports | grep -E "$2" > /dev/null && ok=1
	count "sanitizers, $1 is found" $ok $((1 - ok)) "$log"
}

# Wait until the cluster takes connections again, after a process of it has died.
await_cluster() {
	local try
	for try in $(seq 120); do
		run_psql -d postgres -c "SELECT $try" > /dev/null 2>&1 && return
		sleep 0.5
	done
	return 1
}

# pg_regress on a server whose module is built with the address and undefined behaviour sanitizers: what those report of any
# process of the server is a failure.
section_sanitizers() {
	local watch='abort_on_error=1:halt_on_error=1:disable_coredump=1' bindir=$bindir runtime bad
	if ! can_sanitize gcc; then skip sanitizers "gcc is here without its sanitizers"; return; fi
	copy_tree
	cat "$root/test/fuzz/documents.c" >> "$work/tree/src/pseudo.c"
	plant_errors
	copy_postgres "$PG_CONFIG"
	if ! make_runtime || ! build_into_copy "$PG_CONFIG" '-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g'; then
		count "sanitizers, build" 0 1
		return
	fi
	as_server mkdir "$work/reports"
	watch+=":log_path=$work/reports/report:print_stacktrace=1"
	bindir=$copy_bin
	init_cluster
	# The server only, for its programs and the tests' own need none of this.
	quietly as_server env LD_PRELOAD="$runtime" ASAN_OPTIONS="$watch:detect_leaks=0" UBSAN_OPTIONS="$watch" \
		"$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w -t 120 \
		-o "-c listen_addresses='' -c unix_socket_directories='$sockets' -c fsync=off" start ||
		{ count "sanitizers, server" 0 1 "$work/server.log"; return; }
	run_regress "pg_regress under sanitizers"
	fuzz_documents
	bad=$(count_reports)
	print_reports > "$build/sanitizers.log"
	count "sanitizers, no report" $((bad == 0)) "$bad" "$build/sanitizers.log"
	# All this says something only if the module that the tests ran is the one that is watched.
	check_planted planted_overflow 'heap-buffer-overflow'
	await_cluster
	check_planted planted_shift 'shift exponent 39 is too large'
}

# pg_regress on a server with PostgreSQL's assertions: the one at hand where it has them, or that of PG_CONFIG_CASSERT.
# Debian has none, so to have none here is no failure.
section_cassert() {
	local config=${PG_CONFIG_CASSERT:-$PG_CONFIG} bindir
	if ! grep -q -- --enable-cassert <<< "$("$config" --configure)"; then
		printf 'pg_regress with assertions: skipped, PG_CONFIG_CASSERT names no server that has them\n'
		skipped=$((skipped + 1))
		return
	fi
	copy_tree
	copy_postgres "$config"
	if ! build_into_copy "$config" -Werror; then count "build with assertions" 0 1; return; fi
	bindir=$copy_bin
	start_cluster
	run_regress "pg_regress with assertions"
}
