# shellcheck shell=bash
# Sections of test/run.sh that need no server: the core on its own, the sources, the scripts.  Sourced.

# Compile every source with all warnings as errors, one test a compiler; the headers of
# others are not ours to mend.
compile_strictly() {
	local compiler=$1 bad=0 source suite_log=$build/warnings-$1.log
	: > "$suite_log"
	while read -r source; do
		"$compiler" -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -D_GNU_SOURCE -DPSEUDO_VERSION='"0"' \
			-isystem "$("$PG_CONFIG" --includedir-server)" -isystem "$("$PG_CONFIG" --includedir)" \
			-c -o "$build/strict.o" "$source" >> "$suite_log" 2>&1 || bad=1
	done < <(find "$root/src" -name '*.c' | sort)
	count "warnings, $compiler" $((1 - bad)) $bad "$suite_log"
}

# Only src/compat.h asks for PostgreSQL's version.
check_compat() {
	local bad=0
	grep -rnE 'PG_VERSION_NUM|PG_WAIT_EXTENSION' "$root/src" --include='*.[ch]' | grep -v '^[^:]*/compat\.h:' && bad=1
	grep -q PG_VERSION_NUM "$root/src/compat.h" || bad=1
	count "versions of PostgreSQL in src/compat.h only" $((1 - bad)) $bad
}

# No two files define functions of one name, so that a debugger tells static ones apart; but for those that the
# headers siv_*.h ask of each implementation.
check_names() {
	local bad=0 names=$build/names.txt
	(cd "$root/src" && find . -name '*.c' -print0 | sort -z | xargs -0 grep -oE '^[a-z_]+[a-z0-9_]*\(') |
		grep -vE '^\./core/siv_.*:(aes_round|aes_last|vec_load|vec_store)\(|:__attribute__\(' | sort -u | tr -d '(' > "$names"
	[ "$(wc -l < "$names")" -gt 500 ] || bad=1
	cut -d: -f2 "$names" | sort | uniq -d | grep . && bad=1
	count "names of functions differ between files" $((1 - bad)) $bad
}

section_warnings() {
	local compiler
	check_compat
	check_names
	check_layers
	for compiler in gcc clang; do
		if have $compiler; then compile_strictly $compiler; else skip "warnings, $compiler" "$compiler is missing"; fi
	done
}

# The core for another processor: the suite's name, the target of test/unit/Makefile, the compiler's prefix, what runs programs.
run_crossed() {
	if ! have "$3-gcc" || ! { have "$4-static" || have "$4"; }; then
		skip "$1" "the cross compiler, or what runs its programs, is missing"
	elif ! quietly make -s -C "$root/test/unit" "$2-libcrypto"; then
		skip "$1" "its libcrypto could not be fetched"
	else
		run_counted "$1" make -C "$root/test/unit" "$2"
	fi
}

# One after the other, for they share what they compile.
section_unit() {
	local unit=(make -C "$root/test/unit")
	run_counted "unit" "${unit[@]}" check
	if can_sanitize gcc || can_sanitize clang; then
		run_counted "unit, sanitizers" "${unit[@]}" asan
	else
		skip "unit, sanitizers" "no compiler here has its address sanitizer"
	fi
	if have valgrind; then
		run_counted "unit, valgrind" "${unit[@]}" valgrind
		run_counted "unit, secrets" "${unit[@]}" secrets
	else
		skip "unit, valgrind" "valgrind is missing"
	fi
	run_crossed "unit, ARMv8 by qemu" arm aarch64-linux-gnu qemu-aarch64
	run_crossed "unit, big-endian by qemu (s390x)" s390x s390x-linux-gnu qemu-s390x
	run_crossed "unit, 32 bits (i386)" i386 i686-linux-gnu /usr/i686-linux-gnu/lib/ld-linux.so.2
}

# Look for longer with make -C test/fuzz run SECONDS=600.
section_fuzz() {
	local fuzz_seconds=10 bad=0
	if ! can_sanitize clang; then skip fuzzing "clang or its sanitizers are missing"; return; fi
	make -C "$root/test/fuzz" run SECONDS=$fuzz_seconds > "$build/fuzz.log" 2>&1 || bad=1
	count "fuzzing, $fuzz_seconds s a target" $((1 - bad)) $bad "$build/fuzz.log"
}

# Code and tests must stand on their own: nothing of the folder beside the repository.
check_standalone() {
	local bad=0
	if grep -rnE --exclude-dir=build '\.\./+share[d]|/wor[k]/' "$root/src" "$root/sql" "$root/bin" "$root/test" "$root/deploy" "$root/examples" "$root/Makefile" \
		--include=pseudo_dump --include='*.[ch]' --include='*.sql' --include='*.out' --include='*.sh' --include='*.p[lmy]' --include='*.yaml' --include=Makefile; then
		bad=1
	fi
	count "stands on its own" $((1 - bad)) $bad
}

# A failure's texts are copies of its own: src/keyring/failure.c alone sets them, else one may end before it.
check_failures() {
	local bad=0
	if grep -rnE 'failure(->|\.)(message|detail|hint) *= *[^= ]|PseudoFailure +[a-z]+ *(;|= *\{)' "$root/src" --include='*.[ch]' |
		grep -vE 'src/(keyring/failure\.c|aws/store\.c:[0-9]+:	PseudoFailure failure;)'; then
		bad=1
	fi
	count "a failure owns its texts" $((1 - bad)) $bad
}

# Each place that may work with rights that are not the caller's has to be named in test/rights.txt.  What
# switches the user, writes without a check, or looks rights up for another role; but not where it is defined.
check_rights() {
	local bad=0 found=$build/rights.txt
	(cd "$root" && grep -roE --include='*.[ch]' '\b(SetUserIdAnd\w+|SetSessionAuthorization|SetCurrentRoleId|SECURITY_(LOCAL|RESTRICTED|NOFORCE)\w+|BOOTSTRAP_SUPERUSERID|CatalogTuple\w+|CatalogTuplesMulti\w+|(simple_)?heap_(insert|update|delete|multi_insert|inplace_update)|table_tuple_(insert|update|delete|lock)\w*|pseudo_call_prepare_role|pseudo_role_check)\b' src |
		sort | uniq -c | sed -E 's/^ *([0-9]+) ([^:]*):(.*)/\2 \3 \1/' |
		grep -vE '^src/functions/(call\.[ch] pseudo_call_prepare_role|role\.[ch] pseudo_role_check) 1$') > "$found"
	diff <(grep -v '^#' "$root/test/rights.txt" | grep . | LC_ALL=C sort) <(LC_ALL=C sort "$found") || bad=1
	count "rights that are not the caller's" $((1 - bad)) $bad
}

# A check that nothing calls checks nothing: each function of these scripts is named a second time somewhere.
check_called() {
	local bad=0 name
	for name in $(grep -hoE '^[a-z_]+\(\)' "$root"/test/*.sh | tr -d '()' | grep -v '^section_'); do
		[ "$(grep -ohw "$name" "$root"/test/*.sh "$root"/test/bench/*.sh | wc -l)" -gt 1 ] || { echo "nothing calls $name"; bad=1; }
	done
	count "each function of the tests' scripts is called" $((1 - bad)) $bad
}

# The version of pseudo.control is that of everything that names one.
check_version() {
	local bad=0
	(cd "$root" && /usr/bin/python3 -) <<-'END' > "$build/version.log" 2>&1 || bad=1
		import json, os, re
		version = re.search(r"^default_version = '(.*)'", open("pseudo.control").read(), re.M).group(1)
		assert re.fullmatch(r"\d+\.\d+\.\d+", version), "PGXN takes three numbers: " + version
		meta = json.load(open("META.json"))
		for field in "name", "version", "abstract", "maintainer", "license", "provides", "meta-spec":
		    assert meta.get(field), "META.json has no " + field
		provided = meta["provides"]["pseudo"]
		assert meta["version"] == provided["version"] == version, "META.json has another version"
		for field in "file", "docfile":
		    assert os.path.exists(provided[field]), "META.json names a file that is not there: " + provided[field]
		assert provided["file"] == "sql/pseudo--%s.sql" % version, provided["file"]
		assert version in open(provided["file"]).readline(), "the script's first line has another version"
		newest = re.search(r"^## (.*)$", open("CHANGELOG.md").read(), re.M).group(1)
		assert newest.split()[0] == version, "the newest chapter of CHANGELOG.md is " + newest
		program = re.search(r"^version=(.*)$", open("bin/pseudo_dump").read(), re.M).group(1)
		assert program == version, "bin/pseudo_dump says version " + program
		assert ("unreleased" in newest) == (meta["release_status"] != "stable"), "release_status is " + meta["release_status"]
	END
	# shellcheck disable=SC2016
	[ "$(pgxs_make -s --no-print-directory --eval 'print-version: ; @echo $(EXTVERSION)' print-version)" = \
		"$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$root/pseudo.control")" ] || bad=1
	count "one version everywhere" $((1 - bad)) $bad "$build/version.log"
}

# A linter out of $venv finds nothing in files: its name, its arguments.
lint() {
	local bad=0
	if [ ! -x "$venv/bin/$1" ]; then skip "$1" "it could not be installed"; return; fi
	"$venv/bin/$1" "${@:2}" > "$build/$1.log" 2>&1 || bad=1
	count "$1" $((1 - bad)) $bad "$build/$1.log"
}

# The scripts that people run, pseudo_dump among them, the template of deploy/, and the Dockerfiles.
section_scripts() {
	local bad=0 script suite_log=$build/scripts.log scripts programs=()
	scripts=("$root"/bin/pseudo_dump "$root"/deploy/*.sh "$root"/examples/*/*.sh "$root"/test/*.sh "$root"/test/bench/*.sh "$root/.ci/run")
	check_standalone
	check_version
	check_failures
	check_rights
	check_called
	: > "$suite_log"
	for script in "${scripts[@]}"; do
		bash -n "$script" 2>> "$suite_log" || bad=1
		[ ! -x "$script" ] || programs+=("$script")
	done
	count "scripts, syntax" $((1 - bad)) $bad "$suite_log"
	if have shellcheck; then
		bad=0
		(cd "$root" && shellcheck -x -a -P SCRIPTDIR "${programs[@]}") > "$build/shellcheck.log" 2>&1 || bad=1
		count "scripts, shellcheck" $((1 - bad)) $bad "$build/shellcheck.log"
	else
		skip "scripts, shellcheck" "shellcheck is missing"
	fi
	lint cfn-lint "$root/deploy/template.yaml"
	# Versions are not pinned: an image is built to have the newest fixes.
	lint hadolint --ignore DL3008 "$root"/packaging/Dockerfile*
}
