#!/usr/bin/env bash
#
# A guided tour of pseudo on a hundred thousand made-up people.
#
#	test/demo.sh [--keep]
#
# Installs what is missing (Debian), builds the extension, and works in a cluster
# of its own, which listens on a socket only and is removed at the end; --keep leaves
# it running and says how to look around and how to remove it.
#
# The chapters are functions, in demo_basics.sh, demo_use.sh and demo_declare.sh; their order is at the end.

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

keep=
for argument in "$@"; do
	case $argument in
	--keep) keep=yes ;;
	*) echo "usage: $0 [--keep]" >&2; exit 2 ;;
	esac
done

# Without their server, what runs in the background ends too.
work='' sockets=''
finish() {
	local status=$?
	trap - EXIT
	if [ -n "$keep" ] && [ "$status" -eq 0 ]; then
		cat <<-END

			The cluster keeps running. Look around with

			    $bindir/psql -h $sockets -U postgres

			and remove it with

			    kill -INT $(head -n 1 "$work/data/postmaster.pid") && sleep 2 && rm -r $work $sockets
		END
	else
		remove_cluster
		wait
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

heading() { printf '\n\n%s\n%s\n\n' "$1" "${1//?/-}"; }

# The heading of the next chapter.
number=0
chapter() {
	number=$((number + 1))
	heading "$number. $1"
}

say() { fmt -w 88 | sed 's/\.  /. /g'; }

# Indent what psql printed, wrap its messages, and leave a line after a SQLSTATE.
indent() {
	sed -uE 's/^psql:<stdin>:[0-9]+: //
		/^(ERROR|WARNING|NOTICE|DETAIL|HINT|CONTEXT): /{ s/(.{1,80})( +|$)/\1\n    /g; s/\n *$//; s/\n/&    /g }
		s/^SQLSTATE .*/&\n/
		s/^(.)/    \1/'
}

# Run SQL from standard input; print each statement, and what it answers.
show() { run_psql -e -P footer=off -P format=wrapped -P columns=84 "$@" 2>&1 | indent; }

# The same where errors are what is to be seen.
show_errors() { show -v ON_ERROR_STOP=0 "$@"; }

# One value.
ask() { run_psql -At -c "$1"; }

# Compare, say so, and leave where it is not as it should be.
check() {
	if [ "$2" = "$3" ]; then
		printf '  ok  %s\n' "$1"
	else
		printf '  NO  %s: expected %s, got %s\n' "$1" "$3" "$2"
		exit 1
	fi
}

# shellcheck source=demo_basics.sh
. "$root/test/demo_basics.sh"
# shellcheck source=demo_use.sh
. "$root/test/demo_use.sh"
# shellcheck source=demo_declare.sh
. "$root/test/demo_declare.sh"

started=$SECONDS
open_build_folder
need_base_tools
[ -x "$bindir/pgbench" ] || die "pgbench is missing in $bindir; PostgreSQL's server package has it, or its contrib package"

echo "pseudo: pseudonyms for personal data, inside PostgreSQL. A guided tour."
heading "Before we start"
build_extension
install_extension
make_work_folder demo
PSEUDO_PRELOAD=1 start_cluster
say <<END
Built with $("$PG_CONFIG" --version) and installed with "make install" into its folders. A cluster
of its own now runs as the user $server_user in $work; it listens on a
socket only and is removed when the tour ends. Other clusters of this machine are left alone.
END

keyring
people
pseudonyms
masked_tables
index_lookup
rights
way_back
contexts

analyst_view
dictionary_attack
support_desk
who_opened_what
live_table
rotation
event_log
declared_once
staging_copy
rest_service
how_fast

printf '\n\nThe tour is over, and all of it was as it should be. It took %d seconds.\n' $((SECONDS - started))
[ -n "$keep" ] || echo "The cluster is being removed; --keep leaves it for you to look around."
