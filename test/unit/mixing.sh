#!/bin/sh
#
# No function of a program has both the SHA instructions, which have no encoding of AVX, and registers of more than 16
# bytes: Intel's processors from Sapphire Rapids on take hundreds of cycles for each such instruction while the upper
# parts of registers are in use.  The last line is "N passed, M failed".
#
#	mixing.sh PROGRAM...

set -eu
for program; do
	objdump -d --no-show-raw-insn "$program"
done | awk '
	/^[0-9a-f]+ <.*>:$/ { name = $2; sha = wide = 0 }
	/sha256(rnds|msg)/ { sha = 1; all[name] }
	/%[yz]mm/ { wide = 1 }
	sha && wide { if (!(name in mixed)) print "SHA instructions beside wide registers: " name; mixed[name] }
	END {
		for (name in all) if (!(name in mixed)) passed++
		printf "SHA instructions and wide registers apart: %d passed, %d failed\n", passed, length(mixed)
		exit length(mixed) > 0 || passed == 0
	}'
