#!/bin/sh
#
# Instructions of the core by callgrind, which do not depend on the machine's load,
# compared with those in bench-count.tsv: more than 2 % more of any is a failure, and
# 2 % less a reason to write the file anew.  The last line is "N passed, N failed".
#
#	bench-count.sh [--write]
#
# Counted is what this repository's own code does: valgrind knows neither SHA nor VAES nor AVX-512,
# and what OpenSSL does depends on its version.  The compiler counts too: where it is
# another one than that of the file, the figures are told and not judged.

set -eu
cd "$(dirname "$0")"
file=bench-count.tsv
compiler=$(gcc -dumpfullversion)
rm -f build/callgrind.*

valgrind --quiet --tool=callgrind --callgrind-out-file=build/callgrind.out \
	build/bench --count --all >/dev/null

# A dump for each case, which it names; 64 values (or one long value) each.
counted=build/bench-count.tsv
{
	printf '# gcc %s\n' "$compiler"
	awk -F '\t' '
		/^desc: Trigger: Client Request: / { name = substr($0, 32) }
		/^totals: / && name != "" { sub(/^totals: /, ""); print name "\t" $0; name = "" }
	' build/callgrind.out.* | awk -F '\t' '
		$2 == "x86_64-aesni" && $3 ~ /^(seal|open|base64)/
	' | sort -t "$(printf '\t')" -k1,1n -k2,3
} >"$counted"

if [ "${1:-}" = --write ]; then
	cp "$counted" "$file"
	exit
fi
if [ "$(head -n 1 "$file")" != "# gcc $compiler" ]; then
	cat "$counted"
	echo "bench-count: not judged, as $file is by $(head -n 1 "$file" | tr -d '#')"
	exit
fi
awk -F '\t' '
	/^#/ { next }
	NR == FNR { before[$1 FS $2 FS $3] = $4; next }
	{
		key = $1 FS $2 FS $3
		seen++
		if (!(key in before)) { printf "new: %s, %d\n", key, $4; failed++; next }
		change = ($4 / before[key] - 1) * 100
		printf "%8d bytes  %-14s %-16s %10d  %+6.1f %%\n", $1, $2, $3, $4, change
		if (change > 2) failed++; else passed++
		delete before[key]
	}
	END {
		for (key in before) { printf "gone: %s\n", key; failed++ }
		if (!seen) failed = 1
		printf "bench-count: %d passed, %d failed\n", passed, failed
		exit failed > 0
	}' "$file" "$counted"
