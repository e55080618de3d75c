# shellcheck shell=bash
# A section of test/run.sh: PostgreSQL 17 of Debian 13, in a folder of its own.  Its programs run on this
# system, by the loader and the libraries of that folder; so the tests see one more PostgreSQL.  Sourced.
#
# The folder (about 1 GB) stays in build/ and is used again.

# Print the mirror that this system takes its packages from.
debian_mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2> /dev/null |
		grep -m 1 -E '/debian/?$' || echo http://deb.debian.org/debian
}

# Put a script in the place of every program of PostgreSQL, which runs the program in this system.
wrap_programs() {
	local folder=$1 pg=$1/usr/lib/postgresql/17 loader program
	loader=$(echo "$folder"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
	cp -r "$pg/bin" "$pg/programs"
	for program in "$pg"/bin/*; do
		cat > "$program" <<-END
			#!/bin/sh
			exec "$loader" --library-path "$(dirname "$loader")" --argv0 "$program" "$pg/programs/${program##*/}" "\$@"
		END
	done
}

# Make a folder with Debian 13, PostgreSQL 17 and what building the extension takes.  The package of the server's
# headers is unpacked without what it depends on, clang and LLVM.
make_debian13() {
	rm -rf "$1"
	echo "Installing Debian 13 with PostgreSQL 17 into $1"
	quietly debootstrap --variant=minbase \
		--include=postgresql-17,libpq-dev,gcc,libc6-dev,make,libssl-dev,libcurl4-openssl-dev \
		trixie "$1" "$(debian_mirror)" &&
		quietly chroot "$1" sh -c 'cd /tmp && apt-get update && apt-get download postgresql-server-dev-17 &&
			dpkg -x postgresql-server-dev-17_*.deb / && apt-get clean' &&
		wrap_programs "$1" && touch "$1/complete"
}

# Build and install the extension there, with all of PostgreSQL's own warnings as errors.
build_in_debian13() {
	rm -rf "$1/tmp/pseudo"
	cp -r "$work/tree" "$1/tmp/pseudo"
	quietly chroot "$1" make -C /tmp/pseudo -j 2 with_llvm=no COPT=-Werror \
		PG_CONFIG=/usr/lib/postgresql/17/programs/pg_config all install
}

# pg_regress on PostgreSQL 17; dumps of this PostgreSQL restored into it, and pg_upgrade.
section_upgrade() {
	local debian=$build/debian13 own_bindir=$bindir version
	version=$("$PG_CONFIG" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
	if [ "$version" -gt 17 ]; then skip upgrade "this PostgreSQL is newer than 17"; return; fi
	if [ "$(id -u)" -ne 0 ]; then skip upgrade "it needs root, for debootstrap and chroot"; return; fi
	if ! have debootstrap; then skip upgrade "debootstrap is missing"; return; fi
	copy_tree
	as_server test -x "$build" || debian=$work/debian13
	[ -e "$debian/complete" ] || make_debian13 "$debian" || { skip upgrade "Debian 13 could not be installed"; return; }
	if ! build_in_debian13 "$debian"; then count "build, PostgreSQL 17" 0 1; return; fi
	count "build, PostgreSQL 17" 1 0
	bindir=$debian/usr/lib/postgresql/17/bin
	start_cluster
	run_regress "pg_regress, PostgreSQL 17"
	bindir=$own_bindir
	run_tap "TAP, into PostgreSQL 17" PSEUDO_RESTORE_INTO="$debian/usr/lib/postgresql/17" test/t/025_dump.pl
}
