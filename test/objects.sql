-- All that the extension is in this database, a line for each part of each object, in an order of its own: what two
-- installations of one version must have alike.  Read by the section upgrade of test/run.sh.
\pset format unaligned
\pset tuples_only on
SET search_path = pg_catalog;
CREATE FUNCTION pg_temp.rights(acl aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(CASE grantee WHEN 0 THEN 'PUBLIC' WHEN owner THEN 'owner' ELSE grantee::regrole::text END || '=' || privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ',' ORDER BY grantee, privilege_type)
     FROM aclexplode(coalesce(acl, acldefault(kind, owner))) $$;
CREATE TEMPORARY VIEW member AS
	SELECT d.classid, d.objid, i.type, i.identity FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass,
		LATERAL pg_identify_object(d.classid, d.objid, 0) i WHERE e.extname = 'pseudo' AND d.deptype = 'e';
CREATE TEMPORARY VIEW relation AS SELECT m.identity, c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;
SELECT line FROM (
	SELECT format('%s %s', type, identity) FROM member
	UNION ALL SELECT format('comment %s %s: %s', identity, objsubid, description) FROM member JOIN pg_description ON classoid = classid AND objoid = objid
	UNION ALL SELECT format('rights at creation %s %s: %s', identity, p.objsubid, (SELECT string_agg(acl::text, ',' ORDER BY acl::text) FROM unnest(initprivs) acl))
		FROM member m JOIN pg_init_privs p ON p.classoid = m.classid AND p.objoid = m.objid
	UNION ALL SELECT format('extension: schema %s, relocatable %s, version %s', extnamespace::regnamespace, extrelocatable, extversion) FROM pg_extension WHERE extname = 'pseudo'
	UNION ALL SELECT format('dumped %s %s', extconfig[n]::regclass, extcondition[n]) FROM pg_extension, generate_subscripts(extconfig, 1) n WHERE extname = 'pseudo'
	UNION ALL SELECT format('function %s: %s; support %s; rights %s', identity, pg_get_functiondef(p.oid), prosupport::regproc, pg_temp.rights(proacl, 'f', proowner))
		FROM member m JOIN pg_proc p ON m.classid = p.tableoid AND m.objid = p.oid
	UNION ALL SELECT format('type %s: %s %s %s %s, %s %s %s %s %s, default %s, rights %s', identity, typlen, typbyval, typalign, typstorage, typcategory, typinput, typoutput, typreceive, typmodin, typdefault, pg_temp.rights(typacl, 'T', typowner))
		FROM member m JOIN pg_type t ON m.classid = t.tableoid AND m.objid = t.oid
	UNION ALL SELECT format('wrapper %s: handler %s, validator %s, %s, rights %s', identity, fdwhandler::regproc, fdwvalidator::regproc, fdwoptions, pg_temp.rights(fdwacl, 'F', fdwowner))
		FROM member m JOIN pg_foreign_data_wrapper w ON m.classid = w.tableoid AND m.objid = w.oid
	UNION ALL SELECT format('relation %s: %s %s, row-level security %s %s, %s, rights %s, %s', identity, relkind, relpersistence, relrowsecurity, relforcerowsecurity, reloptions, pg_temp.rights(relacl, 'r', relowner), pg_get_viewdef(oid)) FROM relation
	UNION ALL SELECT format('column %s %s %s: %s, collation %s, not null %s, default %s, identity %s, storage %s, rights %s', identity, attnum, attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull, pg_get_expr(adbin, adrelid), attidentity, attstorage, attacl)
		FROM relation r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
	UNION ALL SELECT format('constraint %s %s: %s', identity, conname, pg_get_constraintdef(c.oid)) FROM relation r JOIN pg_constraint c ON conrelid = r.oid
	UNION ALL SELECT format('index %s: %s', identity, pg_get_indexdef(indexrelid)) FROM relation r JOIN pg_index ON indrelid = r.oid
	UNION ALL SELECT format('trigger %s: %s', identity, pg_get_triggerdef(t.oid)) FROM relation r JOIN pg_trigger t ON tgrelid = r.oid
	UNION ALL SELECT format('policy %s %s', identity, to_jsonb(p) - 'oid' - 'polrelid') FROM relation r JOIN pg_policy p ON polrelid = r.oid
	UNION ALL SELECT format('rule %s: %s', identity, pg_get_ruledef(w.oid)) FROM relation r JOIN pg_rewrite w ON ev_class = r.oid
) lines (line) ORDER BY line COLLATE "C";
