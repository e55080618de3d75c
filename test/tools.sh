# shellcheck shell=bash
# What only the tests need: tools, and Python packages.  Sourced by test/run.sh.

can_sanitize() {
	local program=$build/sanitized.$BASHPID
	echo 'int main(void) { return 0; }' |
		"$1" -x c -fsanitize=address,undefined -o "$program" - 2> /dev/null && "$program" && rm "$program"
}

have_perl_module() { perl -M"$1" -e 1 2> /dev/null; }

# Install what only the tests need; where that fails, the tests that need it skip.
need_test_tools() {
	local missing=()
	have clang || missing+=(clang)
	have valgrind || missing+=(valgrind)
	{ have prove && have_perl_module Test::More; } || missing+=(perl)
	have_perl_module IPC::Run || missing+=(libipc-run-perl)
	have_perl_module IO::Socket::SSL || missing+=(libio-socket-ssl-perl)
	have gcore || missing+=(gdb)
	have shellcheck || missing+=(shellcheck)
	have gnuplot || missing+=(gnuplot-nox)
	[ -x /usr/bin/aws ] || missing+=(awscli)
	/usr/bin/python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
	have aarch64-linux-gnu-gcc || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
	have s390x-linux-gnu-gcc || missing+=(gcc-s390x-linux-gnu libc6-dev-s390x-cross)
	have i686-linux-gnu-gcc || missing+=(gcc-i686-linux-gnu libc6-dev-i386-cross)
	have qemu-aarch64-static || have qemu-aarch64 || missing+=(qemu-user-static)
	have git || missing+=(git)
	have mmdebstrap || missing+=(mmdebstrap)
	have patchelf || missing+=(patchelf)
	[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}" || true
	if have clang && ! can_sanitize clang; then
		apt_install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" || true
	fi
}

# Make a virtual environment, unless it is there: its folder, a file of requirements, what they are.  The system's Python
# runs it, for another may be out of the server's user's reach.
fill_venv() {
	cmp -s "$2" "$1/requirements.txt" && "$1/bin/python" -c 'import pip' 2> /dev/null && return
	rm -rf "$1"
	if quietly /usr/bin/python3 -m venv "$1" &&
	   slowly "Installing with pip into $1: $3" "$1/bin/pip" install --no-input --disable-pip-version-check -q -r "$2"; then
		cp "$2" "$1/requirements.txt"
	else
		rm -rf "$1"
		return 1
	fi
}

# Make $venv, with moto and linters.
venv=$build/venv
need_venv() { fill_venv "$venv" "$root/test/aws/requirements.txt" "moto and linters"; }
