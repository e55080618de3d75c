# shellcheck shell=bash
# A section of test/run.sh: an extension that was updated equals one that was created, object by object.  Sourced.

# What every later version is tested by, before there is one: statements that an update script may forget, one a line.
made_up_changes() {
	cat <<-'END'
		CREATE FUNCTION pseudo_made_up(text) RETURNS text LANGUAGE sql STRICT AS 'SELECT $1';
		REVOKE EXECUTE ON FUNCTION pseudo_made_up(text) FROM PUBLIC;
		COMMENT ON FUNCTION pseudo_made_up(text) IS 'made up';
		ALTER FUNCTION pseudonym_key_id(text) COST 7;
		ALTER TABLE pseudo_progress ADD COLUMN made_up int NOT NULL DEFAULT 7 CHECK (made_up > 0);
		CREATE INDEX pseudo_made_up_index ON pseudo_progress (made_up);
		REVOKE SELECT ON pseudo_keyrings FROM PUBLIC;
		CREATE OR REPLACE VIEW pseudo_keyrings AS SELECT * FROM pseudo_keyring_state() WHERE true;
		COMMENT ON VIEW pseudo_keyrings IS 'made up';
		ALTER TABLE pseudo_progress SET (fillfactor = 77);
		GRANT USAGE ON TYPE pseudo_role TO PUBLIC;
		CREATE TABLE pseudo_made_up_table ();
		SELECT pg_extension_config_dump('pseudo_made_up_table', '');
	END
}

# Copy this PostgreSQL below $copy, at the same places, with the extension; programs find what they need beside them.
copy_postgresql() {
	local folder
	for folder in "$bindir" "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)"; do
		mkdir -p "$copy$(dirname "$folder")"
		cp -r "$folder" "$copy$(dirname "$folder")/"
	done
	script_folder=$copy$("$PG_CONFIG" --sharedir)/extension
}

# Write what SQL installs in a new database to a file of the database's name.
list_objects() {
	run_psql -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1 TEMPLATE template0" &&
		run_psql -d "$1" -c 'CREATE SCHEMA pseudo' -c "$2" > /dev/null &&
		run_psql -d "$1" -f "$root/test/objects.sql" > "$work/$1.txt" &&
		[ "$(wc -l < "$work/$1.txt")" -gt 100 ]
} 2>> "$log"

list_fresh() { list_objects fresh "CREATE EXTENSION pseudo SCHEMA pseudo VERSION '$1'"; }

# Returns 0 where an update between two versions gives what the last list_fresh has, 1 where it differs, 2 where it fails.
compare_update() {
	list_objects updated "CREATE EXTENSION pseudo SCHEMA pseudo VERSION '$1'; ALTER EXTENSION pseudo UPDATE TO '$2'" || return 2
	diff -u "$work/fresh.txt" "$work/updated.txt" > "$build/upgrade.diff"
}

test_update() {
	local bad=0
	{ list_fresh "$2" && compare_update "$1" "$2"; } || bad=1
	count "update from $1 to $2" $((1 - bad)) $bad "$build/upgrade.diff"
}

# Write the made-up update without a line; what the others need is there all the same.
write_incomplete_update() {
	case $1 in
	'CREATE FUNCTION'*) echo "CREATE FUNCTION pseudo_made_up(text) RETURNS text LANGUAGE sql AS 'SELECT \$1';" ;;
	'CREATE TABLE'*) echo "CREATE TABLE pseudo_made_up_table (a int);" ;;
	'ALTER TABLE'*'ADD COLUMN'*) echo "ALTER TABLE pseudo_progress ADD COLUMN made_up int;" ;;
	esac > "$2"
	made_up_changes | grep -vxF "$1" >> "$2"
}

# From every version whose script is kept to this one; then to a made-up next one, whose update is whole, or lacks a statement.
section_upgrade() {
	local copy script_folder version from next=99.0.0 line found=0 missed=0
	make_work_folder upgrade
	copy=$work/copy
	copy_postgresql
	version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$root/pseudo.control")
	bindir=$copy$bindir
	start_cluster
	for from in "$root"/sql/pseudo--*.sql; do
		from=${from##*/pseudo--} from=${from%.sql}
		case $from in "$version" | *--*) ;; *) test_update "$from" "$version" ;; esac
	done
	{ cat "$root/sql/pseudo--$version.sql"; made_up_changes; } > "$script_folder/pseudo--$next.sql"
	made_up_changes > "$script_folder/pseudo--$version--$next.sql"
	test_update "$version" $next
	while read -r line; do
		write_incomplete_update "$line" "$script_folder/pseudo--$version--$next.sql"
		compare_update "$version" $next
		if [ $? -eq 1 ]; then
			found=$((found + 1))
		else
			echo "not found: the lack of $line"
			missed=$((missed + 1))
		fi
	done < <(made_up_changes)
	count "updates that lack a statement are found" $found $missed "$log"
}
