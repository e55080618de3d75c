# shellcheck shell=bash
# Counting what passed and failed, for the sections of test/run.sh.  Sourced, not run.

passed=0 failed=0 skipped=0

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
