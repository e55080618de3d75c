# shellcheck shell=bash
# A section of test/run.sh: make does what packagers and users ask of it.  Sourced.

# Run a test as the server's user: what it shows, and a command; its output goes to the log of the section.
check_build() {
	local bad=0
	as_server "${@:2}" >> "$log" 2>&1 || bad=1
	count "$1" $((1 - bad)) $bad "$log"
	return $bad
}

# What a module may show to others: what SQL calls, what PostgreSQL looks up, and what is marked PGDLLEXPORT.
check_exports() {
	local bad=0 module
	{
		echo Pg_magic_func _PG_init
		sed -nE "s/^AS 'MODULE_PATHNAME', '(\w+)'.*/\1 pg_finfo_\1/p" "$root"/sql/pseudo--*.sql
		find "$root/src" -name '*.[ch]' -exec sed -nE 's/^extern PGDLLEXPORT [^(]*\b(\w+) ?\(.*/\1/p' {} +
	} | tr ' ' '\n' | sort -u > "$work/expected"
	for module in "$1/pseudo.so" "$1/src/aws/pseudo_aws.so"; do
		nm -D --defined-only "$module" | cut -d' ' -f3 | sort > "$work/shown"
		comm -23 "$work/shown" "$work/expected" > "$work/more"
		if [ -s "$work/more" ] || ! grep -q Pg_magic_func "$work/shown"; then
			echo "${module##*/} shows:"
			cat "$work/more"
			bad=1
		fi
	done
	count "modules show what they are to" $((1 - bad)) $bad
}

# A read-only source, built in a folder of its own with hardening flags, installed below a path with a blank.
test_vpath() {
	local out=$work/out dest="$work/a b" file bad=0
	local copt='-Werror -O2 -fstack-clash-protection -Wl,-z,relro,-z,now'
	case $(uname -m) in x86_64 | i?86) copt+=' -fcf-protection' ;; esac
	# As pg_buildext says it.
	local make_options=("${make_options[@]/COPT=-Werror/COPT=$copt}" VPATH="$work/tree" USE_PGXS=1)
	as_server mkdir "$out"
	chown -R root "$work/tree" 2> /dev/null || chmod -R a-w "$work/tree"
	check_build "build in another folder, hardened" make -C "$out" -f "$work/tree/Makefile" "${make_options[@]}" all || return
	check_exports "$out"
	check_build "install below DESTDIR" make -C "$out" -f "$work/tree/Makefile" "${make_options[@]}" DESTDIR="$dest" install
	for file in "$("$PG_CONFIG" --pkglibdir)"/pseudo{,_aws}.so "$("$PG_CONFIG" --sharedir)"/extension/pseudo{.control,--"$version".sql} \
		"$("$PG_CONFIG" --bindir)"/pseudo_dump \
		"$("$PG_CONFIG" --docdir)"/extension/pseudo/{README.md,doc/security.md,doc/flow.svg}; do
		[ -s "$dest$file" ] || { echo "not installed: $file"; bad=1; }
	done
	count "what is installed" $((1 - bad)) $bad
	check_build "uninstall" make -C "$out" -f "$work/tree/Makefile" "${make_options[@]}" DESTDIR="$dest" uninstall
	bad=$(find "$dest" -type f | tee -a "$log" | wc -l)
	count "nothing stays" $((bad == 0)) $((bad > 0)) "$log"
	# From here on the server's user may write again.
	chown -R "$server_user" "$work/tree" 2> /dev/null || chmod -R u+w "$work/tree"
}

# A path with a blank, without aws: what needs a header is compiled again when that changes.
test_without_aws() {
	local tree="$work/with blank" stale bad=0
	as_server cp -r "$work/tree" "$tree"
	check_build "build without aws, in a path with a blank" make -C "$tree" "${make_options[@]}" WITH_AWS=no all || return
	[ ! -e "$tree/src/aws/pseudo_aws.so" ] || bad=1
	count "no module of aws" $((1 - bad)) $bad
	as_server touch "$tree/src/compat.h"
	stale=$(as_server make -n -C "$tree" "${make_options[@]}" WITH_AWS=no all | grep -c -- ' -c -o src/')
	count "headers are dependencies" $((stale > 30)) $((stale <= 30))
	without_aws=$tree/pseudo.so
}

# PGXN's client takes the archive; into the copy of PostgreSQL.  Its wheel is not taken from pip's cache, for the programs
# in it are run by the Python that it was built with: that of another checkout, which may be gone.  With -O1, which needs no
# build of its own then, and without bitcode, which run.sh has built.
test_pgxn() {
	local config bad=0 module headers
	[ -x "$venv/bin/pgxn" ] || quietly "$venv/bin/python" -m pip install --no-input --disable-pip-version-check --no-cache-dir -q 'pgxnclient==1.3.2' ||
		{ skip "pgxn install" "pgxnclient could not be installed"; return; }
	config=$copy$("$PG_CONFIG" --bindir)/pg_config
	module=$copy$("$PG_CONFIG" --pkglibdir)/pseudo_aws.so
	headers=$("$PG_CONFIG" --includedir-server)
	mkdir -p "$copy$headers" "$("$config" --libdir)"
	cp -r "$headers/." "$copy$headers"
	quietly env MAKEFLAGS='with_llvm=no COPT=-Werror\ -O1' \
		"$venv/bin/pgxn" install --nosudo --yes --pg_config "$config" "$root/build/pseudo-$version.zip" &&
		[ -s "$module" ] || bad=1
	count "pgxn install, with -O1" $((1 - bad)) $bad
}

# A server that has the module without aws says so when it is asked for aws.
test_aws_is_refused() {
	local script_folder=''
	copy_postgresql
	cp "$without_aws" "$copy$("$PG_CONFIG" --pkglibdir)/"
	rm "$copy$("$PG_CONFIG" --pkglibdir)/pseudo_aws.so"
	bindir=$copy$bindir
	start_cluster
	run_psql -v VERBOSITY=verbose -c 'CREATE EXTENSION pseudo' \
		-c "CREATE SERVER s FOREIGN DATA WRAPPER pseudo OPTIONS (provider 'aws', secret_id 's')" > "$work/refused" 2>&1
	grep -q 'ERROR:  0A000: provider "aws" is not installed' "$work/refused"
	count "without aws, CREATE SERVER says so" $((! $?)) $? "$work/refused"
}

# make installcheck runs pg_regress and TAP; a file of each here.
test_installcheck() {
	check_build "make installcheck" env PGHOST="$sockets" PGUSER=postgres PATH="$bindir:$PATH" \
		make -C "$work/tree" "${make_options[@]}" REGRESS='setup pseudo teardown' PROVE_TESTS=test/t/001_encodings.pl installcheck
	grep -qE '^[# ]*All 3 tests passed' "$log" && grep -q '^All tests successful' "$log"
	count "and they pass" $((! $?)) $? "$log"
	local left
	left=$(find "$work/data" -name 'pseudo*' | tee -a "$log" | wc -l)
	count "nothing stays in the server's folder" $((left == 0)) $((left > 0)) "$log"
}

# The archive of a release has what builds it, where this is a checkout: of this user or of another one, as in a container.
test_dist() {
	local archive=$root/build/pseudo-$version.zip bad=0
	rm -f "$archive"
	[ -e "$root/.git" ] || { echo "make dist: left out, no checkout of git"; return; }
	if ! have git; then skip "make dist" "git is missing"; return; fi
	quietly env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$root" \
		make -s -C "$root" PG_CONFIG="$PG_CONFIG" dist || bad=1
	/usr/bin/python3 -m zipfile -l "$archive" > "$work/names" || bad=1
	for name in META.json Makefile pseudo.control README.md bin/pseudo_dump "sql/pseudo--$version.sql" src/compat.h test/expected/pseudo.out; do
		grep -q "^pseudo-$version/$name " "$work/names" || { echo "not in the archive: $name"; bad=1; }
	done
	count "make dist" $((1 - bad)) $bad "$log"
}

section_build() {
	local version flags make_options copy without_aws=''
	make_options=(-s -j 2 with_llvm=no COPT=-Werror PG_CONFIG="$PG_CONFIG")
	version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$root/pseudo.control")
	copy_tree
	copy=$work/copy
	test_dist
	test_vpath
	test_without_aws
	if [ -n "$without_aws" ]; then test_aws_is_refused; else start_cluster; fi
	test_installcheck
	if [ -d "$copy" ] && [ -s "$root/build/pseudo-$version.zip" ]; then test_pgxn; fi
	case " ${PG_TEST_EXTRA:-} " in *' slow '*) ;; *) return ;; esac
	# The last gives each file its code at -O3 too, so that this is compiled once.
	for flags in -O0 '-O3 -flto=auto -ffat-lto-objects'; do
		as_server make -C "$work/tree" -s "${make_options[@]}" clean >> "$log" 2>&1
		check_build "build with $flags" make -C "$work/tree" "${make_options[@]/COPT=-Werror/COPT=-Werror $flags}" all
	done
}
