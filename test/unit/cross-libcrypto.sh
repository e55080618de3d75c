#!/bin/sh
#
# Fetch OpenSSL of another architecture, and what its static libraries need, from Debian's archive into a
# folder, beside the system's packages and without a change to them: the programs that run under qemu need it.
#
#	cross-libcrypto.sh ARCHITECTURE FOLDER		leaves FOLDER/root, with headers and libcrypto.a

set -eu
arch=$1
mkdir -p "$2/state/lists/partial" "$2/cache/archives/partial"
cd "$2"
folder=$(pwd)

cross_apt() {
	apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
		-o Dir::State="$folder/state" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$folder/cache" -o Acquire::Languages=none \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

cross_apt update || :	# one list of several may fail; what is not in the others fails below
cross_apt download "libssl-dev:$arch" "libzstd-dev:$arch" "zlib1g-dev:$arch"
for package in ./*_"$arch".deb; do dpkg-deb -x "$package" root; done
