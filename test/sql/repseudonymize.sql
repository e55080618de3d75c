--
-- A rotation: repseudonymize, and look-ups by pseudonyms_of while it runs.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_min_messages = warning;
SET search_path = pseudo, public;
CREATE ROLE regress_pseudo_p;
CREATE ROLE regress_pseudo_r;
GRANT USAGE ON SCHEMA pseudo TO regress_pseudo_p, regress_pseudo_r;
GRANT EXECUTE ON FUNCTION pseudonymize TO regress_pseudo_p;
GRANT EXECUTE ON FUNCTION reidentify TO regress_pseudo_r;
-- Key 1 is raw, as the service's; 2 and 3 are tink; 4 is disabled.
SELECT t.keyring('turn', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "3WrJj14Xv47t/kb92QYt5fnSsz5s3T7VNg8zNPB56RY=", "nonceStrPos": 0, "nonceEndPos": 12}');
GRANT USAGE ON FOREIGN SERVER turn TO regress_pseudo_p, regress_pseudo_r;
CREATE TABLE t.old (id int PRIMARY KEY, v text, d text, r text, c text, cr text);
INSERT INTO t.old SELECT n, v, pseudonymize(v, true, '', 'turn'), pseudonymize(v, false, '', 'turn'),
       pseudonymize(v, true, 'crm', 'turn'), pseudonymize(v, false, 'crm', 'turn')
  FROM (SELECT n, CASE n WHEN 1 THEN '' WHEN 2 THEN 'Zoë 東京 🙂' WHEN 3 THEN repeat('long', 1000) ELSE n || '@example.com' END AS v FROM generate_series(1, 100) n) AS s;
GRANT SELECT, UPDATE ON t.old TO regress_pseudo_p;
-- Under the primary key already: as it was.
SELECT count(*) FROM t.old WHERE repseudonymize(d, false, '', 'turn') = d AND repseudonymize(r, false, '', 'turn') = r
   AND repseudonymize(c, false, 'crm', 'turn') = c AND repseudonymize(cr, false, 'crm', 'turn') = cr;
SELECT pseudo_create_key('turn', make_primary => true), pseudo_create_key('turn'), pseudo_create_key('turn');
SELECT pseudo_set_key_status('turn', 4, 'disabled');
-- Deterministic ones become what pseudonymize gives now, random ones new random ones; all open to the same value.
SELECT count(*) FROM t.old WHERE repseudonymize(d, false, '', 'turn') = pseudonymize(v, true, '', 'turn') AND repseudonymize(c, false, 'crm', 'turn') = pseudonymize(v, true, 'crm', 'turn');
SELECT count(*), count(DISTINCT a), count(*) FILTER (WHERE a = b), count(*) FILTER (WHERE reidentify(a, '', 'turn') = v), count(*) FILTER (WHERE pseudonym_key_id(a) = 2)
  FROM (SELECT v, repseudonymize(r, false, '', 'turn') AS a, repseudonymize(r, false, '', 'turn') AS b FROM t.old) AS s;
SELECT count(*) FROM t.old WHERE reidentify(repseudonymize(cr, false, 'crm', 'turn'), 'crm', 'turn') = v AND pseudonym_key_id(repseudonymize(cr, false, 'crm', 'turn')) = 2;
SELECT repseudonymize(NULL), repseudonymize(NULL, false, '', 'turn');
-- From a tink key to the next, and back to a raw one.
SELECT pseudonymize('x', true, 'crm', 'turn') AS x2, pseudonymize('x', false, 'crm', 'turn') AS r2 \gset
SELECT pseudo_set_primary_key('turn', 3);
SELECT pseudonym_key_id(:'x2'), pseudonym_key_id(repseudonymize(:'x2', false, 'crm', 'turn')), repseudonymize(:'x2', false, 'crm', 'turn') = pseudonymize('x', true, 'crm', 'turn');
SELECT pseudonym_key_id(repseudonymize(:'r2', false, 'crm', 'turn')), reidentify(repseudonymize(:'r2', false, 'crm', 'turn'), 'crm', 'turn');
SELECT pseudo_set_primary_key('turn', 1);
SELECT pseudonym_key_id(repseudonymize(:'x2', false, 'crm', 'turn')), repseudonymize(:'x2', false, 'crm', 'turn') = pseudonymize('x', true, 'crm', 'turn');
SELECT pseudo_set_primary_key('turn', 2);
-- The right to pseudonymize is enough, and needed; the one to reidentify is not.
SET ROLE regress_pseudo_p;
SELECT count(*) FROM t.old WHERE repseudonymize(d, false, '', 'turn') <> d;
SELECT t.err($$SELECT try_reidentify('x', '', 'turn')$$);
SELECT cardinality(pseudonyms_of('x', '', 'turn'));
SET ROLE regress_pseudo_r;
SELECT t.err($$SELECT repseudonymize('x', false, '', 'turn')$$);
SELECT t.err($$SELECT repseudonymize(NULL, false, '', 'turn')$$);
SELECT t.err($$SELECT pseudonyms_of('x', '', 'turn')$$);
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER turn FROM regress_pseudo_p;
SET ROLE regress_pseudo_p;
SELECT t.err($$SELECT repseudonymize('x', false, '', 'turn')$$);
SELECT t.err($$SELECT pseudonyms_of('x', '', 'turn')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER turn TO regress_pseudo_p;
-- What does not open is as for reidentify; the value is never shown.
SELECT t.err($$SELECT repseudonymize('bad', false, '', 'turn')$$);
SELECT t.err(format($$SELECT repseudonymize(%L, false, 'crm', 'turn')$$, d)) FROM t.old WHERE id = 4;
SELECT pseudo_set_key_status('turn', 4, 'enabled');
SELECT pseudo_set_primary_key('turn', 4);
SELECT pseudonymize('x', true, '', 'turn') AS x4 \gset
SELECT pseudo_set_primary_key('turn', 2);
SELECT pseudo_set_key_status('turn', 4, 'disabled');
SELECT t.err(format($$SELECT repseudonymize(%L, false, '', 'turn')$$, :'x4'));
SELECT t.err($$SELECT repseudonymize('x', false, NULL, 'turn')$$);
SELECT t.err($$SELECT repseudonymize('x', false, '', NULL)$$);
-- A nonce that looks deterministic but is not this value's: the nonce key was another.
SELECT t.keyring('other', '{"encodedSecretKey": "TMApD/ahUoDXbgTmY7Zv/jiDbnWs8nAIzzsthE+KSt0=", "encodedNonceKey": "dK/MSCv2Q6029K0jzpSVRddGbmgYQPbIKpSRoTv06js=", "nonceStrPos": 0, "nonceEndPos": 12}');
SELECT t.err(format($$SELECT repseudonymize(%L, false, '', 'turn')$$, pseudonymize('S3cret', true, '', 'other')));
SELECT t.err(format($$SELECT repseudonymize(%L, false, 'crm', 'turn')$$, pseudonymize('S3cret', true, 'crm', 'other')));
SELECT t.err(format($$SELECT repseudonymize(%L, false, '', 'other')$$, d)) FROM t.old WHERE id = 4;
SELECT reidentify(repseudonymize(pseudonymize('x', false, '', 'other'), false, '', 'turn'), '', 'turn');
DROP SERVER other;
-- One pseudonym for each enabled key, the primary's first.
SELECT (SELECT array_agg(pseudonym_key_id(p) ORDER BY n) FROM unnest(s) WITH ORDINALITY AS u (p, n)), reidentify_array(s, '', 'turn'), s[1] = pseudonymize('77@example.com', true, '', 'turn'), s[3] = d
  FROM (SELECT d, pseudonyms_of(v, '', 'turn') AS s FROM t.old WHERE id = 77) AS s;
SELECT s[1] = pseudonymize('77@example.com', true, 'crm', 'turn'), s[3] = c, reidentify_array(s, 'crm', 'turn') FROM (SELECT c, pseudonyms_of(v, 'crm', 'turn') AS s FROM t.old WHERE id = 77) AS s;
SELECT pseudonyms_of('alice@example.com'), pseudonyms_of('alice@example.com') = ARRAY[pseudonymize('alice@example.com', true)], pseudonyms_of(NULL), cardinality(pseudonyms_of(''));
SELECT t.err($$SELECT pseudonyms_of('x', NULL)$$);
SELECT t.err($$SELECT pseudonyms_of('x', '', NULL)$$);
-- While half of the rows are moved: found either way, by an index.
CREATE TABLE t.customers AS SELECT n AS id, pseudonymize(n || '@example.com', true, '', 'turn') AS email FROM generate_series(1, 10000) n;
CREATE UNIQUE INDEX customers_email ON t.customers (email);
ANALYZE t.customers;
SELECT pseudo_set_primary_key('turn', 3);
UPDATE t.customers SET email = repseudonymize(email, false, '', 'turn') WHERE id % 2 = 0;
SELECT pseudonym_key_id(email), count(*) FROM t.customers GROUP BY 1 ORDER BY 1;
SELECT id FROM t.customers WHERE email = ANY (pseudonyms_of('76@example.com', '', 'turn'));
SELECT id FROM t.customers WHERE email = ANY (pseudonyms_of('77@example.com', '', 'turn'));
SELECT t.plan_has($$SELECT id FROM t.customers WHERE email = ANY (pseudonyms_of('77@example.com', '', 'turn'))$$, 'customers_email');
SELECT t.plan_has($$SELECT id FROM t.customers WHERE email = ANY (pseudonyms_of('77@example.com', '', 'turn'))$$, 'Index Cond: (email = ANY');
-- Once more: the rest moves, nothing else changes.
UPDATE t.customers SET email = repseudonymize(email, false, '', 'turn') WHERE pseudonym_key_id(email) IS DISTINCT FROM 3;
SELECT pseudonym_key_id(email), count(*) FROM t.customers GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM t.customers WHERE reidentify(email, '', 'turn') = id || '@example.com' AND email = pseudonymize(id || '@example.com', true, '', 'turn');
-- From the service's weak nonce key of 8 bytes, another window of its digest and AES-128, to a strong key, and between contexts.
SET client_min_messages = error;
SELECT t.keyring('weak', '{"encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 52, "nonceEndPos": 64}');
CREATE TABLE t.weak AS SELECT c, pseudonymize('x', true, c, 'weak') AS d, pseudonymize('x', false, c, 'weak') AS r FROM unnest('{"",crm}'::text[]) c;
SELECT pseudo_create_key('weak', make_primary => true);
SELECT weak, key_bits, nonce_key_bytes FROM pseudo_keyrings WHERE name = 'weak';
SELECT c, repseudonymize(d, false, c, 'weak') = pseudonymize('x', true, c, 'weak') AS deterministic, reidentify(repseudonymize(r, false, c, 'weak'), c, 'weak'), repseudonymize(r, false, c, 'weak') = pseudonymize('x', true, c, 'weak') AS random,
       pseudonymize_as('current_user', 'x', c, 'weak') <> d AS moved, pseudonyms_of('x', c, 'weak') = ARRAY[pseudonymize('x', true, c, 'weak'), d] AS both,
       t.err(format('SELECT repseudonymize(%L, false, %L, ''weak'')', d, c || '!')) LIKE '22000: %' AS kept_apart
  FROM t.weak ORDER BY c;
-- Where a pseudonym moves to the raw key, its nonce is of that key's window and nonce key.
SELECT pseudonymize('y', true, 'crm', 'weak') AS y2 \gset
SELECT pseudo_set_primary_key('weak', 1);
SELECT repseudonymize(:'y2', false, 'crm', 'weak') = pseudonymize('y', true, 'crm', 'weak'), repseudonymize(:'y2', false, 'crm', 'weak') = :'y2', cardinality(pseudonyms_of('y', 'crm', 'weak'));
DROP SERVER weak;
SET client_min_messages = warning;
DROP TABLE t.old, t.customers, t.weak;
DROP SERVER turn;
DROP OWNED BY regress_pseudo_p, regress_pseudo_r;
DROP ROLE regress_pseudo_p, regress_pseudo_r;
