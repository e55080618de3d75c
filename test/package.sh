# shellcheck shell=bash
# A section of test/run.sh: Debian's packages, built in Debian 12 and 13 and installed in bare ones.  Sourced.
#
# PSEUDO_SUITES names other suites, such as forky.  The systems stay in build/ as archives, which later runs unpack (remove
# them there to have newer ones).

build_tools='debhelper build-essential fakeroot lintian postgresql-server-dev-all postgresql-all libssl-dev libcurl4-openssl-dev'

# Fetch the archive of a bare system unless it is there: the suite.
fetch_bare_system() {
	local archive=$build/debian-$1-bare.tar
	[ -s "$archive" ] ||
		{ slowly "Fetching Debian $1 into $archive" mmdebstrap --format=tar --variant=minbase --dpkgopt=force-unsafe-io \
			--aptopt='Acquire::Check-Valid-Until "false"' "$1" "$archive.new" "$(debian_mirror)" &&
			mv "$archive.new" "$archive"; }
}

# Unpack a system into a folder of its own: the name of its archive, the folder.
unpack_system() {
	mkdir "$2"
	quietly tar -C "$2" -xf "$build/$1.tar" --exclude='./dev/*' || return 1
	cp /etc/resolv.conf "$2/etc/resolv.conf"
	echo 'exit 101' > "$2/usr/sbin/policy-rc.d"
	chmod 755 "$2/usr/sbin/policy-rc.d"
}

# Run a script of the shell in a system, with mounts and processes of its own, which end with it.
in_system() {
	# shellcheck disable=SC2016
	quietly unshare --mount --pid --fork --kill-child --mount-proc sh -c '
		mount --bind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" &&
		exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -ec "$2"' sh "$1" "$2"
}

# Make a system that builds packages: the suite, the folder.  It is the bare one with tools in it, without what no build reads.
make_build_system() {
	local archive=$build/debian-$1.tar
	if [ -s "$archive" ]; then unpack_system "debian-$1" "$2"; return; fi
	unpack_system "debian-$1-bare" "$2" || return 1
	mkdir "$2/etc/postgresql-common"
	echo 'create_main_cluster = false' > "$2/etc/postgresql-common/createcluster.conf"
	printf 'path-exclude=%s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' \
		'/usr/lib/llvm-*/lib/*.a' '/usr/lib/llvm-*/bin/*' > "$2/etc/dpkg/dpkg.cfg.d/smaller"
	slowly "Installing in Debian $1 what builds packages" in_system "$2" "apt-get update
		apt-get install -y --no-install-recommends $build_tools
		apt-get clean" &&
		quietly tar -C "$2" --exclude='./dev/*' -cf "$archive.new" . && mv "$archive.new" "$archive"
}

# Build the packages as an ordinary user; they are in /src afterwards.
build_packages() {
	local system=$1
	mkdir "$system/src"
	cp -r "$work/tree" "$system/src/pseudo"
	# shellcheck disable=SC2016
	in_system "$system" 'useradd builder; chown -R builder /src; cd /src/pseudo
		runuser -u builder -- pg_buildext updatecontrol
		runuser -u builder -- dpkg-buildpackage -us -uc -b
		runuser -u builder -- lintian --fail-on error ../*.changes'
}

# Install them in a bare system; make one pseudonym, and open it; then the other package; at last the test that Debian runs on
# installed packages, with three files of pg_regress: the build has run them all.
install_packages() {
	local system=$1
	mkdir "$system/packages"
	mv "$2"/src/*.deb "$system/packages/"
	cp -r "$work/tree" "$system/packages/pseudo"
	# shellcheck disable=SC2016
	in_system "$system" 'apt-get update
		cd /packages
		rm -f *-dbgsym_*
		apt-get install -y --no-install-recommends ./postgresql-[0-9]*-pseudo_*.deb
		if dpkg -l | grep libcurl; then exit 1; fi
		version=$(ls /usr/lib/postgresql)
		[ -e /etc/postgresql/$version/main ] || pg_createcluster $version main
		pg_ctlcluster $version main start
		ask() { runuser -u postgres -- psql -XAtv ON_ERROR_STOP=1 -c "$1"; }
		ask "CREATE EXTENSION pseudo"
		ask "CREATE SERVER pseudo FOREIGN DATA WRAPPER pseudo OPTIONS (provider '"'file'"', path '"'/var/lib/postgresql/keys.json'"')"
		ask "SELECT pseudo_create_key()"
		[ "$(ask "SELECT reidentify(pseudonymize('"'jane@example.com'"'))")" = jane@example.com ]
		server="CREATE SERVER aws FOREIGN DATA WRAPPER pseudo OPTIONS (provider '"'aws'"', secret_id '"'s'"')"
		if ask "$server"; then exit 1; fi
		apt-get install -y --no-install-recommends ./postgresql-[0-9]*-pseudo-aws_*.deb
		ask "$server"
		pg_ctlcluster $version main stop
		cd pseudo
		apt-get satisfy -y --no-install-recommends "$(sed -n "s/^Depends: @, //p" debian/tests/control.in)"
		MAKEFLAGS="REGRESS=setup\ pseudo\ teardown" debian/tests/installcheck'
}

section_package() {
	local suite bad
	if [ "$(id -u)" -ne 0 ]; then skip package "it needs root, for chroot"; return; fi
	if ! have mmdebstrap; then skip package "mmdebstrap is missing"; return; fi
	for suite in ${PSEUDO_SUITES:-bookworm trixie}; do
		copy_tree
		if ! fetch_bare_system "$suite" || ! make_build_system "$suite" "$work/system"; then
			skip "packages of $suite" "a system with it could not be made"
			remove_cluster
			continue
		fi
		bad=0
		build_packages "$work/system" || bad=1
		count "packages of $suite, built, lintian" $((1 - bad)) $bad
		if [ $bad -eq 0 ]; then
			{ unpack_system "debian-$suite-bare" "$work/bare" && install_packages "$work/bare" "$work/system"; } || bad=1
			count "packages of $suite, installed" $((1 - bad)) $bad
		fi
		remove_cluster
	done
}
