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

# Make $venv, a virtual environment with what test/aws/requirements.txt lists: moto and linters.
# The system's Python runs it, for another may be out of the server's user's reach.
venv=$build/venv
need_venv() {
	local wanted=$root/test/aws/requirements.txt
	cmp -s "$wanted" "$venv/requirements.txt" && "$venv/bin/python" -c 'import moto' 2> /dev/null && return
	rm -rf "$venv"
	if quietly /usr/bin/python3 -m venv "$venv" &&
	   slowly "Installing with pip into $venv: moto and linters" "$venv/bin/pip" install --no-input --disable-pip-version-check -q -r "$wanted"; then
		cp "$wanted" "$venv/requirements.txt"
	else
		rm -rf "$venv"
	fi
}
