# shellcheck shell=bash
# What test/demo.sh and test/run.sh share: finding or installing the tools,
# building and installing the extension, and a throwaway cluster.  Sourced, not run.
#
# The machine's own clusters are never started, stopped or changed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$root/build
log=$build/log.txt			# of what runs silently; shown where it fails

SUDO=
[ "$(id -u)" -eq 0 ] || SUDO=sudo

# No setting of the caller's may lead psql to another server.
for name in "${!PG@}"; do
	case $name in
	PG_CONFIG | PG_TEST_EXTRA) ;;
	*) unset "$name" ;;
	esac
done

die() {
	printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Run a command silently; where it fails, show the end of what it said.
quietly() {
	local start
	start=$(wc -c < "$log")
	printf '\n$ %s\n' "$*" >> "$log"
	"$@" >> "$log" 2>&1 < /dev/null && return 0
	printf '\nThis failed: %s\n' "$*" >&2
	tail -c "+$((start + 1))" "$log" | tail -n 40 >&2
	return 1
}

# The same for what takes minutes: say what, and every ten seconds how far it is, by the last line of what it says.
slowly() {
	local what=$1 ticker status=0
	shift
	echo "$what"
	(
		exec {idle}<> <(:)
		while :; do
			read -rt 10 -u "$idle" || true
			printf '  ... %s\n' "$(tail -n 1 "$log" | tr -d '\r' | sed -E 's/^.*(.{80})$/\1/')"
		done
	) &
	ticker=$!
	quietly "$@" || status=$?
	kill "$ticker"
	wait "$ticker" 2> /dev/null || true
	return $status
}

# Make the build folder; what an earlier run as another user left is made ours.
open_build_folder() {
	local theirs
	mkdir -p "$build" 2> /dev/null || die "$(id -un) cannot write to $root"
	theirs=$(find "$build" "$root/test/unit/build" "$root/test/unit/vectors" -maxdepth 1 \
		\( -type f -o -path "$build" -o -path "$root/test/unit/build" \) ! -writable 2> /dev/null) || true
	if [ -n "$theirs" ]; then
		xargs -d '\n' $SUDO chown "$(id -u)" <<< "$theirs"
	fi
	: > "$log"
}

have() { command -v "$1" > /dev/null 2>&1; }

# Print the pg_config to build with: the newest that has a server and its headers.
find_pg_config() {
	local candidate
	if [ -n "${PG_CONFIG:-}" ]; then
		command -v "$PG_CONFIG"
		return
	fi
	for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -t/ -k5,5nr); do
		if [ -x "$candidate" ] &&
		   [ -x "$("$candidate" --bindir)/initdb" ] &&
		   [ -e "$("$candidate" --includedir-server)/postgres.h" ] &&
		   [ -e "$("$candidate" --pgxs)" ]; then
			echo "$candidate"
			return
		fi
	done
	return 1
}

has_header() {
	echo "#include <$1>" | cc -E - > /dev/null 2>&1
}

# Install packages; the package lists are fetched once.
lists_fresh=
apt_install() {
	have apt-get || die "missing: $*; this script installs packages on Debian only"
	[ -z "$SUDO" ] || have sudo || die "missing: $*; install them, or run this as root or with sudo"
	[ -n "$lists_fresh" ] || slowly "Fetching the lists of packages" $SUDO apt-get update || return 1
	lists_fresh=yes
	slowly "Installing with apt-get: $*" $SUDO env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "$@"
}

# What building and running the extension needs.
need_base_tools() {
	local missing=() version
	have make || missing+=(make)
	have gcc || missing+=(gcc libc6-dev)
	if ! has_header openssl/evp.h; then missing+=(libssl-dev); fi
	if ! has_header curl/curl.h; then missing+=(libcurl4-openssl-dev); fi
	if ! PG_CONFIG=$(find_pg_config); then
		have apt-get || die "PostgreSQL with its server headers is missing; PG_CONFIG may name its pg_config"
		if [ -z "$(apt-cache depends postgresql 2>/dev/null)" ]; then
			slowly "Fetching the lists of packages" $SUDO apt-get update || die "apt-get update failed"
			lists_fresh=yes
		fi
		version=$(apt-cache depends postgresql | grep -oE 'postgresql-[0-9]+' | head -n 1 | cut -d- -f2)
		[ -n "$version" ] || die "apt-cache knows no PostgreSQL package"
		missing+=("postgresql-$version" "postgresql-server-dev-$version")
	fi
	if [ ${#missing[@]} -gt 0 ]; then
		apt_install "${missing[@]}" || die "installing failed; all of it is in $log"
		[ -n "${PG_CONFIG:-}" ] || PG_CONFIG=$(find_pg_config) || die "still no pg_config"
	fi
	export PG_CONFIG
	bindir=$("$PG_CONFIG" --bindir)
	pgxs=$("$PG_CONFIG" --pgxs)
}

# make with this pg_config; without bitcode where its compiler is not installed.
pgxs_make() {
	local clang flags=()
	clang=$(sed -n 's/^CLANG *= *//p' "$(dirname "$pgxs")/../Makefile.global")
	[ -n "$clang" ] && have "$clang" || flags=(with_llvm=no)
	make -C "$root" PG_CONFIG="$PG_CONFIG" "${flags[@]}" "$@"
}

# Build in place.  PGXS knows nothing of headers, nor that PostgreSQL changed.
build_extension() {
	local stamp=$build/built-with module
	for module in "$root/pseudo.so" "$root/src/aws/pseudo_aws.so"; do
		if [ ! -e "$module" ] || [ ! -w "$module" ] ||
		   [ "$(cat "$stamp" 2>/dev/null)" != "$("$PG_CONFIG" --version --pgxs)" ] ||
		   [ -n "$(find "$root/src" "$root/Makefile" \( -name '*.h' -o -name Makefile \) -newer "$module")" ]; then
			find "$root/src" \( -name '*.o' -o -name '*.bc' \) -delete
			rm -f "$root/pseudo.so" "$root/src/aws/pseudo_aws.so"
			break
		fi
	done
	slowly "Building the extension" pgxs_make -j "$(nproc)" all || die "the build failed; all of it is in $log"
	"$PG_CONFIG" --version --pgxs > "$stamp"
}

# Is what is installed what is built?
is_installed() {
	local lib share file
	lib=$("$PG_CONFIG" --pkglibdir) share=$("$PG_CONFIG" --sharedir)/extension
	for file in "$root"/*.so "$root"/src/aws/*.so; do
		cmp -s "$file" "$lib/${file##*/}" || return 1
	done
	for file in "$root"/pseudo.control "$root"/sql/pseudo--*.sql; do
		cmp -s "$file" "$share/${file##*/}" || return 1
	done
	cmp -s "$root/bin/pseudo_dump" "$("$PG_CONFIG" --bindir)/pseudo_dump"
}

# Before PostgreSQL 18 an extension can only be loaded from PostgreSQL's own folders.
install_extension() {
	if is_installed; then return; fi
	# shellcheck disable=SC2016
	quietly $SUDO bash -c '
		. "$1/test/lib.sh"
		PG_CONFIG=$2 pgxs=$3
		pgxs_make install' bash "$root" "$PG_CONFIG" "$pgxs" ||
		die "installing the extension failed; all of it is in $log"
}

# Who runs servers: PostgreSQL refuses root.
server_user=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
	server_user=nobody
fi

# Run a command as the server's user, in a folder that it can read.
as_server() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && HOME=$work exec runuser -u "$server_user" -- "$@")
	else
		"$@"
	fi
}

# Make $work, a new folder of the server's user: under build/ where that user can
# reach it, else in the folder for temporary files; and $sockets, whose path is short.
make_work_folder() {
	local tmp=${TMPDIR:-/tmp}
	if [ "$(id -u)" -eq 0 ] && id postgres > /dev/null 2>&1; then server_user=postgres; fi
	work=$(mktemp -d "$build/$1.XXXXXX")
	chown "$server_user" "$work"
	if ! as_server test -w "$work"; then
		rmdir "$work"
		work=$(mktemp -d "$tmp/pseudo-$1.XXXXXX")
		chown "$server_user" "$work"
		as_server test -w "$work" || die "no folder that $server_user can write to; set TMPDIR"
		echo "(The user $server_user cannot reach $build: the cluster is in $work.)"
	fi
	[ ${#tmp} -le 60 ] && as_server test -w "$tmp" || tmp=/tmp
	sockets=$(mktemp -d "$tmp/pseudo.XXXXXX")
	chown "$server_user" "$sockets"
}

# Make a cluster in $work.
init_cluster() {
	quietly as_server "$bindir/initdb" -D "$work/data" -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync || die "initdb failed"
}

# Make and start a cluster in $work, on a socket in $sockets only; $settings are further options of the server.
# PSEUDO_PRELOAD=1 in the environment preloads the library.
settings=
start_cluster() {
	local options="-c listen_addresses='' -c unix_socket_directories='$sockets' -c fsync=off $settings"
	[ -z "${PSEUDO_PRELOAD:-}" ] || options="$options -c shared_preload_libraries=pseudo"
	init_cluster
	quietly as_server "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w \
		-o "$options" start || {
		tail -n 20 "$work/server.log" >&2
		die "the server did not start"
	}
}

# Stop the cluster in $work, and what tests left running there; remove its data.
remove_data() {
	local pid_file
	find "$work" -name postmaster.pid 2> /dev/null | while read -r pid_file; do
		as_server "$bindir/pg_ctl" -D "${pid_file%/*}" -m immediate -w stop > /dev/null 2>&1 || true
	done
	rm -rf "$work/data"
}

# Remove all of the cluster and its folders.
remove_cluster() {
	if [ -n "${work:-}" ]; then
		remove_data
		rm -rf "$work"
	fi
	[ -z "${sockets:-}" ] || rm -rf "$sockets"
	work='' sockets=''
}

# psql on the cluster, without the caller's psqlrc.
run_psql() {
	PGCLIENTENCODING=UTF8 "$bindir/psql" -X -q -h "$sockets" -U postgres -v ON_ERROR_STOP=1 "$@"
}
