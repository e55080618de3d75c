--
-- Pseudonyms that are none, or not of this key, context or state: each with its SQLSTATE, and NULL from try_reidentify.
--
\pset format unaligned
\pset tuples_only on
\pset null <NULL>
SET client_encoding = 'UTF8';
SET search_path = pseudo, public;
-- what reidentify says of a pseudonym, in one line, and what try_reidentify gives; is_pseudonym is true where it opens, also
-- where its value is no text, and fails for none
CREATE FUNCTION t.both(pseudonym text, context text = '', keyring text = 'pseudo') RETURNS text LANGUAGE sql AS
$$ SELECT split_part(t.err(format('SELECT pseudo.reidentify(%L, %L, %L)', pseudonym, context, keyring)), E'\n', 1)
       || CASE t.err(format('SELECT pseudo.try_reidentify(%L, %L, %L)', pseudonym, context, keyring))
          WHEN 'no error' THEN ' / ' || coalesce(pseudo.try_reidentify(pseudonym, context, keyring), 'NULL') ELSE ' / error' END
       || CASE WHEN pseudo.is_pseudonym(pseudonym, context, keyring) <> (t.err(format('SELECT pseudo.reidentify(%L, %L, %L)', pseudonym, context, keyring)) ~ '^(no error|22021)') THEN ' / is_pseudonym differs' ELSE '' END $$;
-- Whole.
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW');
SELECT t.both('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg==');
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SELECT t.both('Nzg2ZWUyMjhmOTcxEmwD2ekJn2CCCntjzWIaLSNT');
SELECT is_pseudonym('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW'), is_pseudonym('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', 'crm'), is_pseudonym('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW ');
-- All that is said.
SELECT t.err($q$SELECT reidentify('bad')$q$);
SELECT t.err($q$SELECT reidentify('Mzc0NGQ5ZmU4YjRiaAlL3vt64VvSdzCKdbtXF9E=')$q$);
-- Empty and short.
SELECT t.both('');
SELECT t.both('A');
SELECT t.both('=');
SELECT t.both('====');
SELECT t.both('AAAA');
SELECT t.both('alice@example.com');
SELECT t.both('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiH');
SELECT t.both('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==');
-- Truncated, by characters and by bytes.
SELECT n, t.both(left('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', n)) FROM generate_series(1, 59) n WHERE n % 4 <> 0 OR n < 36 OR n > 52;
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGM=');
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8Aw==');
SELECT t.both(substr('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', 5));
-- Extended.
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW' || c) FROM unnest('{A,=,==,AAAA,AAA=,AA==,A===}'::text[]) c;
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=' || c) FROM unnest('{A,=,==,AAAA}'::text[]) c;
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPWZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW');
-- Bits flipped: in each byte and place none opens, and all say the same.
SELECT n, t.both(p) FROM (VALUES ('nonce', 'Z2U3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW'), ('ciphertext', 'ZmU3MDE3ZTc4MzAzwJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW'), ('tag', 'ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPX')) AS s (n, p);
SELECT count(*), count(try_reidentify(encode(set_bit(b, n, 1 - get_bit(b, n)), 'base64'))) FROM (SELECT decode('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', 'base64')) AS s (b), generate_series(0, 359) n;
-- White space.
SELECT t.both(' ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW');
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW ');
SELECT t.both(E'ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW\n');
SELECT t.both(E'ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW\r\n');
SELECT t.both(regexp_replace('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', '^(.{8})', E'\\1\n'));
SELECT t.both(regexp_replace('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', '^(.{8})..', E'\\1\t\n'));
-- The alphabet: base64url, others, bytes above 127.
SELECT p ~ '[+]' AND p ~ '/', t.both(p), t.both(translate(p, '+', '-')), t.both(translate(p, '/', '_')) FROM (SELECT 'NmIzMDkyMDQ1ZTc4MphNi7fuAh/Rb+8tnV+WFPUYWqiut1GKFoIL') AS s (p);
SELECT ascii(c), t.both(c || substr('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', 2)) FROM unnest('{.,",",-,_,@,[,`,"{",:,!,~,*,ë}'::text[]) c;
-- Padding: missing, too much, in the middle; spare bits.
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4');
SELECT t.both('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg');
SELECT t.both('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg=');
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4====');
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzf====');
SELECT t.both('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg==ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg==');
SELECT t.both('=TcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SELECT t.both('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfM=4=');
SELECT n, left(right(p, 2), 1), t.both(p) FROM (SELECT n, left('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=', -2) || substr('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 1 + n + 56 / 4 * 4, 1) || '=' AS p FROM generate_series(0, 3) n) AS s;
SELECT count(*), count(try_reidentify(left('ZGE4YzVjM2M2ODc23LaftwrXOIPrTH8e2tiHtg==', -3) || c || '==')) FROM regexp_split_to_table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', '') c;
-- Of another key, of another context.
SELECT t.both('MWI5MGU5ZTk2ZGEzlS+gSEW+nOHgrVeKZICAGE6IfcOAdWaReCEurqDF+aio');
SELECT t.both('NzRjYmQyMDFkYWFikw98XCRi/O6VhEUjBCxE2q6DGuliWTfW/EUybLsds8Ut');
SELECT t.both('NzRjYmQyMDFkYWFikw98XCRi/O6VhEUjBCxE2q6DGuliWTfW/EUybLsds8Ut', 'crm');
SELECT t.both('NzRjYmQyMDFkYWFikw98XCRi/O6VhEUjBCxE2q6DGuliWTfW/EUybLsds8Ut', 'erp');
SELECT t.both('ZmU3MDE3ZTc4MzAzQJZSd3ukMDGB1gnHn9H8A6SEsq1M6ktc03VEq2JSxGPW', 'crm');
-- What is sealed is no text: bad UTF-8, a surrogate, a zero byte.  try_reidentify says so too: it is authentic.
SELECT t.both('MGU2NDBlN2M1MGQyaPr6jFZgmKK9+LcqTLomOYO49GM=');
SELECT t.both('ZDIwNzNkMWY1NDU25gjLnIsKCqN5PjMTk7v0Vdsw');
SELECT t.both('N2M3YTc2MzY5YzYzeLlMEyU2eDx7qwIxfJ2EGPLqCg==');
SELECT t.both('YmY5NzNjZjdlNzBkl9L56PuPdfr1BqQeL9rgIS3UlnOU');
SELECT t.both('MWM1YzVmOTIxMzA17MRefdH+CFIJTpP3EOgfimghmcjPt9c=');
SELECT t.both('ZmU2ODMzNGNkZGVk3Ge5ACIayo1FHPOCulYzjNA=');
-- Several keys: raw 1, tink 2 (primary), tink 3 disabled, tink 4 destroyed, raw 5 disabled, tink 6 and raw 7 of 16 bytes, tink 4294967295.
SELECT t.keyring('multi', '{"version": 1, "primaryKeyId": 2, "keys": [{"keyId": 1, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "f2CoqZzXwMH184eTVpp+8JulYYz9Y8yyFhi4CgRvIQQ=", "encodedNonceKey": "+4cwbXKBedylar70LjFOP1x37p3Wzo4iHiEGePlWY1Q=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 2, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "lnDVsh2mujtRcFrIgPJEgb8PNotuXwY2y7DVQqm94zs=", "encodedNonceKey": "Gxa9SxEjafUEyxSi0mFVpx2drNNuLgHV0wLsyzWO5ss=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 3, "outputPrefix": "tink", "status": "disabled", "encodedSecretKey": "6uGxTeCAW9otZLLhQkvLPG5tLdp7W4ztVvWmXaCt1xA=", "encodedNonceKey": "TvVt1D8j8It2TJsNr5Mxgbqd0XgCV+a8HND+vWXsF00=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 4, "outputPrefix": "tink", "status": "destroyed"}, {"keyId": 5, "outputPrefix": "raw", "status": "disabled", "encodedSecretKey": "KWaKptpg+15HMFw/EO40FiD2S2fbtisiRqqT5eJp/2A=", "encodedNonceKey": "Q5ayD6/1VtOqFLF7aFmgFN61E23KOFLfWRT7+XR2e/M=", "nonceStrPos": 0, "nonceEndPos": 12}, {"keyId": 6, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "D/fCr0/olx36LL64Uc0Trw==", "encodedNonceKey": "zqn0M9wey8zuk7bNy4OGYQ==", "nonceStrPos": 52, "nonceEndPos": 64}, {"keyId": 7, "outputPrefix": "raw", "status": "enabled", "encodedSecretKey": "6QY5gryoxDPI9EZB79E/5w==", "encodedNonceKey": "nORpSPRdctN6iJDJMKxWfjQU22oO6y4DPphQJTSGWNU=", "nonceStrPos": 20, "nonceEndPos": 32}, {"keyId": 4294967295, "outputPrefix": "tink", "status": "enabled", "encodedSecretKey": "sjMfSrB7Q6moYy9nRad2KBqKIPtpEZHOI5AQBbhF3q0=", "encodedNonceKey": "wDA375l3+DtOhdr+73DkDUawbtrhnFfedXEEFNBloJQ=", "nonceStrPos": 0, "nonceEndPos": 12}]}');
SELECT name, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings WHERE name = 'multi';
SELECT pseudonymize('alice@example.com', true, '', 'multi') = 'AQAAAAIxYTNjNDhjYTUwNGKcgEeGX9FnJkS/738kPm2E1eK9OK8raI7cQj6uCOvFStk=';
SELECT pseudonymize('alice@example.com', true, 'crm', 'multi') = 'AQAAAAIzYTA2N2VjZjEzYzGvyYDCB9t5p5JThw9vjd5V5tNR0a1Q/RTTLH6h//Iv6KI=';
SELECT t.both('NDE3NDE4ZDIxODJkyqDtfnXcBdaSa8aB/HZUtjxUuDM5c951', '', 'multi');
SELECT t.both('AQAAAAIxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=', '', 'multi');
SELECT t.both('AQAAAAJmNWZhMzgyODEwNjZ6sJwCIURbuntGiBVnenjzzme+l04wDhs=', 'crm', 'multi');
SELECT t.both('AQAAAAI2NmU3OGU2NjUyMDgmq852jgt+C6ZsHmsj2TVI', '', 'multi');
SELECT t.both('AQAAAAY3YWZjMzYxZWIxNzU7xGO/zYUYa3oNjpsi+fC/hJfIuuF9+qQ=', '', 'multi');
SELECT t.both('NzkxOGEwZTIzN2E1zTXN/bt2LVBPsPDw/Sn9rTyr6Rs8Q5ZW', '', 'multi');
SELECT t.both('Af////9iY2I1NjhhYzMyNTWJwMLzvE6/kAAwMAX5TYzxlnjCz4cKvrDySH+MEdbJ/To=', '', 'multi');
SELECT name, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings WHERE name = 'multi';
-- Disabled, destroyed and unknown key ids; a disabled raw key cannot be told from a wrong one.
SELECT t.both('AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=', '', 'multi');
SELECT t.both('AQAAAANkYjc2M2ExNDRlYzJW1aML2NZjUgMRu0BIhI+ZtGt0/T86nBk=', 'crm', 'multi');
SELECT t.both('AQAAAAQ2MGNiOTJmZmNjZDL6xNEC2hRPTdOeeLpMsF5IyyWABepa6q8=', '', 'multi');
SELECT t.both('AQAAAGNlNjVkNGM5ZmU2OTmhkhdIe4rzopFc+jSQd+rA64hJZn0iK5Yc', '', 'multi');
SELECT t.both('Njg2MjI5YWFhMzYwdEA9obPjaBedwn39qIasvepNnkKjMIer', '', 'multi');
SELECT t.err($$SELECT try_reidentify('AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=', '', 'multi')$$);
SELECT t.err($$SELECT try_reidentify('AQAAAAQ2MGNiOTJmZmNjZDL6xNEC2hRPTdOeeLpMsF5IyyWABepa6q8=', '', 'multi')$$);
SELECT t.err($$SELECT try_reidentify_array('{AQAAAAIxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=,AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=}', '', 'multi')$$);
SELECT is_pseudonym('AQAAAAMzZTA3M2NmMmUwNTHDbvb7LPch1azzjPyqZeUua6H/juDCics=', '', 'multi') AS disabled, is_pseudonym('AQAAAAQ2MGNiOTJmZmNjZDL6xNEC2hRPTdOeeLpMsF5IyyWABepa6q8=', '', 'multi') AS destroyed, is_pseudonym('NDE3NDE4ZDIxODJkyqDtfnXcBdaSa8aB/HZUtjxUuDM5c951', '', 'multi') AS raw;
-- A prefix that names a raw key names no tink key.
SELECT t.both('AQAAAAFkZWIzY2M0N2VkNTdGZFgbwtkfgyCx/gYTTW1vdA==', '', 'multi');
-- Key id 0, which is none.
SELECT t.both('AAAAAABkZWIzY2M0N2VkNTdGZFgbwtkfgyCx/gYTTW1vdA==', '', 'multi');
SELECT t.both('AQAAAABkZWIzY2M0N2VkNTdGZFgbwtkfgyCx/gYTTW1vdA==', '', 'multi');
-- A tink pseudonym without its prefix, with another's, or another context, or a flipped bit.
SELECT t.both('MWNlNzc5N2IxOTk2E90RNSZAYksEehxouS9M707g/8X5XJWG', '', 'multi');
SELECT t.both('AQAAAAYxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=', '', 'multi');
SELECT t.both('AQAAAAJmNWZhMzgyODEwNjZ6sJwCIURbuntGiBVnenjzzme+l04wDhs=', 'erp', 'multi');
SELECT t.both('AAAAAAIxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=', '', 'multi');
SELECT t.both('AQAAAAIxY2U3Nzk3YjE5OTYT3RE0JkBiSwR6HGi5L0zvTuD/xflclYY=', '', 'multi');
SELECT t.both('AQAAAAI2NmU3OGU2NjUyMDgmq852jgt+C6ZsHmsj2TU=', '', 'multi');
SELECT t.both('AQAAAAI2MzdkZmE0NmEzZDmfGF9MJkQXQSar', '', 'multi');
-- Raw pseudonyms whose random nonce looks like a tink prefix open: one that names an enabled, a disabled, a destroyed, an unknown key.
SELECT t.both('AQAAAALoidMLhUIecLSv5tkyupMthxYtX0sjFf9KRROI+NdHP6ef', '', 'multi');
SELECT t.both('AQAAAAOAESUTbTKm0TPBJNq76FjMCxrEiVwo++1MTy5/qPxa3i6p', '', 'multi');
SELECT t.both('AQAAAAT1Qp3rq1WaY2VQdCAKXM30N+LvbI7aX0B1JEnrcjwyJthS', '', 'multi');
SELECT t.both('AQAAAGPBaTe3WgSBtSLduLLn5HpczGK1g95hapK5pmmzOt8rPHNMOg==', '', 'multi');
SELECT t.both('AQAAAALoidMLhUIehxRd6+gLROuc087nuKJxaw==', '', 'multi');
SELECT t.both('AQAAAAOAESUTbTKmuKR/Ufh9W8o/8YB8RxiBsw==', '', 'multi');
SELECT t.both('AQAAAAOAESUTbTKmFG9fJXnebXN49imOHYPVltvmlllk', '', 'multi');
SELECT t.both('AQAAAAOAESUTbTKmXjCK08sRlectrVwtIerk8vr1c9Yung==', 'crm', 'multi');
SELECT t.both('AQAAAALoidMLhUIebEyWKDOpKFEm+ZR1GReHxGm9sgMNjRqk', '', 'multi');
SELECT t.both('AQAAAALoidMLhUIe5xBrOMSii6dAbX7pxvN8jOklTCuCq2jPL7xp3rM=');
-- Where no raw key opens it: what the named key says.
SELECT t.both('AQAAAAOAESUTbTKmER8DM+wOWyMfaT8awnj67pN0/j87JXlS', '', 'multi');
SELECT t.both('AQAAAALoidMLhUIe5O6Kx1dTchCkiV9SEMd36AOBbVdiTXtA', '', 'multi');
SELECT t.both('AQAAAALoidMLhUIe5xBrOMSii6dAbX7pxvN8jOklTCuCq2jPL7xp3rM=', 'crm');
SELECT t.both('AQAAAAIxY2U3Nzk3YjE5OTYT3RE1JkBiSwR6HGi5L0zvTuD/xflclYY=');
-- The key id that the prefix claims.
SELECT pseudonym_key_id('AQAAAAI2MzdkZmE0NmEzZDmfGF9MJkQXQSarGfKWHDgFpw=='), pseudonym_key_id('Af////81YmVjNzM0MTRiZGWTUmT35HZpfWA1lDvfSe+eQQ=='), pseudonym_key_id('AQAAAGNhNmU1MWExM2M1ZTAOfWl6SzJ8rGN2xxQUUQsZ'), pseudonym_key_id('ZGViM2NjNDdlZDU3RmRYG8LZH4Mgsf4GE01tb3Q='), pseudonym_key_id('AQAAAAOAESUTbTKm03QWffLD8r3bAK0qkD7UX2Cfyul1nr++DXeoUCl4Be3CLeb8'), pseudonym_key_id('AQAAAAOAESUTbTKmuKR/Ufh9W8o/8YB8RxiBsw==');
SELECT t.err($$SELECT pseudonym_key_id('no pseudonym')$$);
SELECT t.err($$SELECT pseudonym_key_id('')$$);
SELECT t.err($$SELECT pseudonym_key_id(' AQAAAAI2MzdkZmE0NmEzZDmfGF9MJkQXQSarGfKWHDgFpw==')$$);
SELECT t.err($$SELECT pseudonym_key_id('AQAAAAI2MzdkZmE0NmEzZDmfGF9MJkQXQSar')$$);
-- An error leaves nothing behind: the next call works, also within the same transaction and statement.
BEGIN;
SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4='), t.both('bad'), reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
SELECT reidentify('bad');
ROLLBACK;
SELECT reidentify('NTcxOWZlYmYxZWMyaf2gEqjvjRLnxQ/rgmzfMh4=');
DROP SERVER multi;
