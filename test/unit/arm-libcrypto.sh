#!/bin/sh
#
# Fetch OpenSSL for arm64 from Debian's archive into a folder, beside the system's
# packages and without a change to them: the programs that run under qemu need it.
#
#	arm-libcrypto.sh FOLDER		leaves FOLDER/root, with headers and libcrypto.a

set -eu
mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial"
cd "$1"
folder=$(pwd)

arm64_apt() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
		-o Dir::State="$folder/state" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$folder/cache" -o Acquire::Languages=none \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

arm64_apt update
arm64_apt download libssl-dev:arm64
dpkg-deb -x libssl-dev_*_arm64.deb root
