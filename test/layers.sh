# shellcheck shell=bash
# The layers of the sources, as the symbols of the objects show them: calls between the folders go downwards only,
#
#	core <- keyring <- functions, aws
#
# and there are no circles among the objects of a folder but those that test/layers.txt names.  Sourced.

# "folder/object needs folder/object" for all of ours, from what nm says of the objects of the last build.
list_needs() {
	(cd "$root/src" && find . -name '*.o' -printf '%P\n' | sort | while read -r object; do
		[ ! -e "${object%.o}.c" ] ||
			nm "$object" | awk -v object="${object%.o}" '$(NF - 1) ~ /^[UTDBRCVW]$/ {print object, $(NF - 1), $NF}'
	done) | awk '
		$2 == "U" {from[++n] = $1; symbol[n] = $3; next}
		{owner[$3] = $1}
		END {for (i = 1; i <= n; i++) if (owner[symbol[i]] && owner[symbol[i]] != from[i]) print from[i], owner[symbol[i]], symbol[i]}' | LC_ALL=C sort -u
}

# Needs that go upwards or sideways.
find_upward() {
	awk '
		function layer(object) {sub("/[^/]*$", "", object); return object}
		BEGIN {
			allowed["keyring core"]; allowed["functions core"]; allowed["functions keyring"]
			allowed["aws core"]; allowed["aws keyring"]
		}
		$1 ~ "/" && $2 !~ "/" {print; next}
		$1 ~ "/" && layer($1) != layer($2) && !((layer($1) " " layer($2)) in allowed)'
}

# Circles: the folder, and the objects that all need each other, by however many steps.
find_circles() {
	awk '
		function folder(object) {sub("/[^/]*$", "", object); return object}
		$1 ~ "/" && folder($1) == folder($2) {reach[$1, $2]; objects[$1]; objects[$2]}
		END {
			for (k in objects) for (i in objects) if ((i, k) in reach) for (j in objects) if ((k, j) in reach) reach[i, j]
			for (i in objects) {
				if (!((i, i) in reach)) continue
				circle = ""
				for (j in objects) if ((i, j) in reach && (j, i) in reach) circle = circle " " j
				print circle
			}
		}' | while read -ra objects; do
		printf '%s' "${objects[0]%/*}"
		printf '%s\n' "${objects[@]##*/}" | LC_ALL=C sort | sed 's/^/ /' | tr -d '\n'
		echo
	done | LC_ALL=C sort -u
}

# Lines of words of which the first are the same, and the others a part of those of a line of the list: those that are none.
not_within() {
	awk '
		FILENAME == ARGV[1] {line[++n] = " " $0 " "; first[n] = $1; next}
		{
			for (i = 1; i <= n; i++) {
				if (first[i] != $1) continue
				for (j = 2; j <= NF && index(line[i], " " $j " "); j++);
				if (j > NF) next
			}
			print
		}' "$1" "$2"
}

check_layers() {
	local bad=0 needs=$build/needs.txt upward=$build/upward.txt circles=$build/circles.txt named=$build/circles-named.txt
	list_needs > "$needs"
	grep -v '^#' "$root/test/layers.txt" | grep . > "$named"
	[ "$(wc -l < "$needs")" -gt 100 ] || { echo "the objects are not there"; bad=1; }
	find_upward < "$needs" > "$upward"
	[ ! -s "$upward" ] || { sed 's/^/goes upwards: /' "$upward"; bad=1; }
	count "calls go downwards: core, keyring, functions and aws" $((1 - bad)) $bad
	bad=0
	find_circles < "$needs" > "$circles"
	not_within "$named" "$circles" | sed 's/^/not in test\/layers.txt: /' | grep . && bad=1
	while read -r line; do
		not_within <(echo "$line") "$circles" | cmp -s - "$circles" || continue
		echo "is no circle any more: $line"
		bad=1
	done < "$named"
	count "no circles but those in test/layers.txt" $((1 - bad)) $bad
}
