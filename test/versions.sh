# shellcheck shell=bash
# Sections of test/run.sh: the other versions of PostgreSQL.  Sourced.
#
# Each comes from a Debian that has it, or from PyPI, as an archive that stays in build/ (remove it there
# to have a newer one).  A run unpacks it, and runs its programs on this system, with the loader and the
# libraries in its folder: so the tests see one more PostgreSQL.

declare -A suites=([15]=bookworm [17]=trixie [18]=forky [19]=experimental)
architecture=				# Debian's name of another one than this system's, which it can run

# Print the version of this system's PostgreSQL.
own_version() { "$PG_CONFIG" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/'; }

# Print the mirror that this system takes its packages from.
debian_mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2> /dev/null |
		grep -m 1 -E '/debian/?$' || echo http://deb.debian.org/debian
}

# Make an archive of PostgreSQL with what building the extension takes: packages unpacked, not installed.  The package of
# the server's headers comes without what it depends on, clang and LLVM.  A mirror may be older than Debian's signatures
# on its lists are valid; they are checked all the same.
fetch_from_debian() {
	local version=$1 archive=$2 mirror sources
	mirror=$(debian_mirror)
	sources=("$mirror")
	if [ "${suites[$version]}" = experimental ]; then
		sources=("deb $mirror forky main" "deb $mirror experimental main")
	fi
	# shellcheck disable=SC2016
	quietly mmdebstrap --quiet --format=tar --variant=extract ${architecture:+--architectures="$architecture"} --aptopt='Acquire::Check-Valid-Until "false"' \
		--include="postgresql-$version,libssl-dev,libcurl4-openssl-dev,gcc,libc6-dev,make,dash,base-files,coreutils,sed,grep" \
		--setup-hook='printf "Package: *-19 libpq*\nPin: release a=experimental\nPin-Priority: 600\n" > "$1/etc/apt/preferences.d/newer"' \
		--extract-hook='cd "$1/tmp" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" &&
			apt-get download '"postgresql-server-dev-$version"' && dpkg -x *.deb "$1" && rm *.deb' \
		"$([ ${#sources[@]} -gt 1 ] || echo "${suites[$version]}")" "$archive" "${sources[@]}"
}

# The same from PyPI: a server with its headers, built without ICU.
fetch_from_pypi() {
	local folder status
	folder=$(mktemp -d "$build/pgserver.XXXXXX")
	quietly "$venv/bin/python" -m pip download --no-input --disable-pip-version-check -q --no-deps --only-binary=:all: \
		--python-version 3.11 -d "$folder" 'pgserver==0.1.4' &&
		quietly /usr/bin/python3 -m zipfile -e "$folder"/pgserver-*.whl "$folder" &&
		cp "$folder"/pgserver.libs/* "$folder/pgserver/pginstall/lib" &&
		chmod -R +x "$folder"/pgserver/pginstall/{bin,lib/postgresql/pgxs} &&
		tar -C "$folder/pgserver/pginstall" -cf "$1" .
	status=$?
	rm -rf "$folder"
	return $status
}

# Print the path of a version's archive.
archive_of() { echo "$build/postgresql-$1${architecture:+-$architecture}.tar"; }

# Fetch the archive of a version unless it is there; one process at a time.
fetch_version() {
	local version=$1 archive
	archive=$(archive_of "$version")
	(
		flock 9
		if [ -s "$archive" ]; then exit; fi
		echo "Fetching PostgreSQL $version into $archive"
		if [ "$version" -eq 16 ]; then fetch_from_pypi "$archive.new"; else fetch_from_debian "$version" "$archive.new"; fi &&
			mv "$archive.new" "$archive"
	) 9> "${archive%.tar}.lock"
}

# Why a version cannot be had here; nothing where it can.
missing_for() {
	if [ "$1" -eq 16 ]; then
		[ -x "$venv/bin/pip" ] || echo "pip is missing"
	elif ! have patchelf; then
		echo "patchelf is missing"
	elif [ "$(id -u)" -ne 0 ]; then
		echo "it needs root, for chroot"
	elif ! have mmdebstrap; then
		echo "mmdebstrap is missing"
	fi
}

# Let a program find its loader and its libraries.  Scripts stay as they are.
patch_program() {
	local program=$1 libraries=$2 loader=$3
	[ "$(head -c 4 "$program" 2> /dev/null | tail -c 3)" = ELF ] || return 0
	patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program" >> "$log" 2>&1
}

# Unpack PyPI's to the places that it has in its wheel, where its programs find their libraries as they are.
unpack_from_pypi() {
	bindir=$folder/pgserver/pginstall/bin
	mkdir -p "$bindir"
	ln -s pgserver/pginstall/lib "$folder/pgserver.libs"
	quietly tar -C "${bindir%/bin}" -xf "$(archive_of "$1")"
}

# Unpack a version into $folder, and let its programs find what they need there.  Its pg_config is kept as it is under
# another name, for use in a chroot.  LLVM is left out.
unpack_version() {
	local version=$1 libraries loader program
	mkdir "$folder"
	if [ "$version" -eq 16 ]; then unpack_from_pypi "$version"; return; fi
	quietly tar -C "$folder" --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' \
		--exclude='./usr/share/i18n' --exclude='./var' --exclude='./dev' --exclude='*libLLVM*' --exclude='*/llvmjit*' \
		-xf "$(archive_of "$version")" || return 1
	bindir=$folder/usr/lib/postgresql/$version/bin
	for loader in "$folder"/{usr/,}lib/*-linux-gnu/ld-linux*.so.*; do [ ! -e "$loader" ] || break; done
	libraries=${loader%/*}
	libraries=$folder/usr/lib/${libraries##*/}:$libraries
	cp "$bindir/pg_config" "$bindir/pg_config.chroot"
	for program in "$bindir"/* "$bindir"/../lib/pgxs/src/test/regress/pg_regress; do
		[ "${program##*.}" = chroot ] || patch_program "$program" "$libraries" "$loader" || return 1
	done
}

# Build and install the extension there by its own gcc, with all of PostgreSQL's own warnings as errors.
build_for_version() {
	local version=$1 options=(-s -j 2 with_llvm=no COPT=-Werror)
	cp -r "$work/tree" "$folder/tmp-pseudo"
	if [ "$version" -eq 16 ]; then
		quietly make -C "$folder/tmp-pseudo" "${options[@]}" PG_CONFIG="$PG_CONFIG" all install
	else
		quietly chroot "$folder" make -C /tmp-pseudo "${options[@]}" \
			PG_CONFIG="/usr/lib/postgresql/$version/bin/pg_config.chroot" all install
	fi
}

# Compile for it by this system's clang; typeof_unqual is newer than some.
compile_by_clang() {
	local source sysroot=() bad=0 suite_log=$build/warnings-clang-$1.log
	if ! have clang; then skip "PostgreSQL $1, clang" "clang is missing"; return; fi
	[ "$1" -eq 16 ] || sysroot=(--sysroot="$folder")
	: > "$suite_log"
	while read -r source; do
		clang "${sysroot[@]}" -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -D_GNU_SOURCE -DPSEUDO_VERSION='"0"' \
			-Dtypeof_unqual=__typeof__ -isystem "$("$PG_CONFIG" --includedir-server)" \
			-fsyntax-only "$source" >> "$suite_log" 2>&1 || bad=1
	done < <(find "$root/src" -name '*.c' | sort)
	count "PostgreSQL $1, clang" $((1 - bad)) $bad "$suite_log"
}

# Make $folder with a version, and the extension in it; set bindir, PG_CONFIG and pgxs to it.
install_version() {
	local version=$1 reason
	reason=$(missing_for "$version")
	if [ -n "$reason" ]; then skip "PostgreSQL $version" "$reason"; return 1; fi
	if ! fetch_version "$version"; then skip "PostgreSQL $version" "it could not be fetched"; return 1; fi
	copy_tree
	folder=$work/postgresql
	unpack_version "$version" || { count "PostgreSQL $version, unpacked" 0 1; return 1; }
	PG_CONFIG=$bindir/pg_config
	pgxs=$("$PG_CONFIG" --pgxs)
	"$bindir/postgres" --version
	if ! build_for_version "$version"; then count "PostgreSQL $version, gcc" 0 1; return 1; fi
	count "PostgreSQL $version, gcc" 1 0
}

# All tests of one version: a build by gcc and clang, pg_regress; and those that take minutes: a restore of dumps of
# this system's PostgreSQL and pg_upgrade from it, and all TAP tests on the newest.
test_version() {
	local version=$1 own_config=$PG_CONFIG own_bindir=$bindir own_pgxs=$pgxs own folder into lacks=''
	own=$(own_version)
	if [ "$version" -eq "$own" ]; then
		echo "PostgreSQL $version is this system's: the other sections test it."
		return
	fi
	install_version "$version" || return
	compile_by_clang "$version"
	start_cluster
	if [ "$version" -eq 16 ]; then
		lacks='trigger_values lookup dump_foreign'
		echo "PostgreSQL 16, $lacks: left out, PyPI's server has neither contrib nor ICU"
	fi
	run_regress "PostgreSQL $version, pg_regress" "$lacks"
	case " ${PG_TEST_EXTRA:-} " in
	*' slow '*) ;;
	*) skip "PostgreSQL $version, dumps and TAP" "PG_TEST_EXTRA has no slow"; return ;;
	esac
	[ "$version" -ne 19 ] || PSEUDO_PRELOAD=1 run_all_tap "PostgreSQL $version, TAP, preloaded"
	[ "$version" -gt "$own" ] || return 0
	into=${bindir%/bin}
	PG_CONFIG=$own_config bindir=$own_bindir pgxs=$own_pgxs
	run_tap "PostgreSQL $version, restore and pg_upgrade" PSEUDO_RESTORE_INTO="$into" test/t/025_dump.pl
}

# PostgreSQL 15 for 32 bits: a build, pg_regress.
section_i386() {
	local architecture=i386 folder
	case " ${PG_TEST_EXTRA:-} " in
	*' slow '*) ;;
	*) skip i386 "PG_TEST_EXTRA has no slow"; return ;;
	esac
	if [ "$(uname -m)" != x86_64 ]; then echo "i386: left out, this processor does not run its programs"; return; fi
	install_version 15 || return
	start_cluster
	run_regress "PostgreSQL 15, 32 bits (i386), pg_regress"
}

section_pg15() { test_version 15; }
section_pg16() { test_version 16; }
section_pg17() { test_version 17; }
section_pg18() { test_version 18; }
section_pg19() { test_version 19; }

# Print the names of our own types; the short names of the core's inner types are names of variables elsewhere.
our_types() {
	printf '%s\n' CURL CURLM CURLU SSL_CTX X509_STORE # of the libraries
	grep -rhE '^(typedef .*;|} *[A-Za-z_0-9]+;)' "$root/src" --include='*.[ch]' |
		sed -nE 's/^typedef .*\(\*([A-Za-z_0-9]+)\) *\(.*/\1/p; t; s/.*[ *}]([A-Za-z_0-9]+)(\[.*\])?;.*/\1/p' |
		grep -E '^([A-Z]|pseudo_)' | sort -u
}

# The format of the sources: pgindent of PostgreSQL 19 finds nothing to change.  PSEUDO_FORMAT=write lets it change them.
# Not the core, whose vector code it would spoil.
section_format() {
	local folder bad=0 suite_log=$build/format.log options=(--check --diff)
	[ "${PSEUDO_FORMAT:-}" != write ] || options=()
	if [ -n "$(missing_for 19)" ]; then skip format "$(missing_for 19)"; return; fi
	if ! fetch_version 19; then skip format "PostgreSQL 19 could not be fetched"; return; fi
	make_work_folder format
	folder=$work/postgresql
	unpack_version 19 || { count format 0 1; return; }
	our_types | cat "$folder/usr/share/postgresql/19/typedefs.list" - > "$work/typedefs.list"
	# It leaves files where it runs.
	(cd "$work" && perl "$bindir/pgindent" "${options[@]}" --indent="$bindir/pg_bsd_indent" \
		--typedefs="$work/typedefs.list" "$root"/src/*.[ch] "$root"/src/{aws,functions,keyring}) > "$suite_log" 2>&1 || bad=1
	count "format, by pgindent" $((1 - bad)) $bad "$suite_log"
}
