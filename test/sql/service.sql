--
-- The REST service's secrets and pseudonyms: the same in deterministic mode, and the way back.
--
\pset format unaligned
\pset tuples_only on
SET client_encoding = 'UTF8';
SET search_path = pseudo, public;
-- Its nonce keys of 8 bytes are weak: who pseudonymizes is not told, the owner is.
SELECT t.keyring('service_1', '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4=", "encodedNonceKey": "e9XUfkRvzsI=", "nonceStrPos": 3, "nonceEndPos": 15}');
SELECT t.keyring('service_2', '{"encodedSecretKey": "2X426U0MyIlrFYU2okycRA==", "encodedNonceKey": "NXBVwt1ADVU=", "nonceStrPos": 20, "nonceEndPos": 32}');
CREATE TEMPORARY TABLE vector (secret integer, identifier text, pseudonym text);
INSERT INTO vector VALUES
(1, 'HFW5636AZWOUJ2PAM',
 'MmU0Y2QxOTAyNWU4CaEH9luiQT14sdIu3o0Ex9dVz2zVo9o1BzqTk2IB8WHs'),
(1, '4H46H0SXAI3MM49S5',
 'YTk1OGY3N2E5ZWU3uIerMT9gz7bFCGVU5bHMXEFu7dLBMCUpxpiilXghtBsV'),
(1, 'PTMARMWP3HE0FREYF',
 'ODU0MjM3YmRiMGQxpcJEMgaLocSmo5xMJNoeaCwJKluEkhrma8uAAEpKYbf/'),
(1, 'CPB1NYAIW70KGRLL3',
 'MzUzOTRkNjRhN2I3yzIUwG/79SvD21R6Pha5rsEBmSSuI1MXbTId4m8sEhkU'),
(1, 'HD8D97S3GM13DUKSU',
 'YTJlM2Q0ZDc5NTA1M2LbvAOqYQCHW2WqsBVI2NmV3m0INl9lI8noar5Gy2Bw'),
(1, '',
 'MzllZjg2ZmI3MWVhpm23/dbh7WWocW08xBf8/Q=='),
(1, 'a',
 'NDgxMjE4ZmNhYTVk5JfhDSNSLIWj/RFrPntlgHo='),
(1, '0123456789abcde',
 'ZTRkYWMyNDcxZmYwKeHaV2rTQCu3/ooS1+FfY5u8tz0nCe7yVPIExPzkNw=='),
(1, '0123456789abcdef',
 'ZThjMDliNTY4M2E1Uoumt/4RtAlxfD0o3SxvFDHaw0pil/lZsyFusmGAKcw='),
(1, '0123456789abcdef0',
 'MTcwNDY3ZTZjZWNiUD3oelf/tay/k4BVK4IA9R/K7feemw0/YMydf4Bqr7+Y'),
(1, 'alice@example.com',
 'ZDFjYTMxNzk5NTNjdZGGdNKThFFwNGV9n3BDmERLbu+860UUn0wmNWFvOQQJ'),
(1, 'Zoë Müller-Łukasz',
 'MWQxYjVjZjY4ZDI4BruudrWcfY8ZChavNJM0QfUnMj/IB3jdvkBRHlQTPK1xihQT'),
(1, '東京都千代田区',
 'OTQzNWNmZjBiYTlm1dNN8lmrIPL/V8mBolk+uIIAJKNIlaA3ZcSGZZEnot54lwMuLA=='),
(1, '🙂🙃',
 'YmY0YzczZTNlM2JmPCBON6b/RiyvVradBu0vhtDHaG6j1eOX'),
(1, '+49 170 1234567',
 'N2MwNGJkMTU3MGIxw/ay955GmrruFGWlFObyfRXvhas+BwxAaCYtDJ4S8A=='),
(1, ' leading and trailing ',
 'MTBkYTg2NjUyOWQ1tVZu9G4Wj/Ft/edLMoC5XNr1UBse80mYYEV9BlCE0E9fZjtepJU='),
(1, repeat('x', 255),
 'ZDQ4NTRlNGI0MmI2HepqREKu1IHEHDBM3nv5KcZ4h7/x6IDZsL7U57Qu+0tDaSQRZkaYVZWJxcSeKXN8KbOYesfEdPwQ4Qgwed6zzPwahRdkhdt2394LgFWTYQAA7loRaxiAUitUeQAhoguef2U6neB74HpYhe2QwcpfT+Z/pgArX8i4uJaWRUOKieVEqPw1e4iUUtcMHIcPq3D5G0DQu4lQHXmzPnCkd24k6MBsBf8sfz08lnNlVtlmlIHigFHAuk2kdxUH9g9L2MNYA7T5OVJvgV4npd2qqu1aw6CVxPAIxc/SYFpdnB6l9LYNlPX9wt7TgRHxGwQSV9OzHKs3YD9Q0XQhQxMZRUF1ncm6speA0J9uWl//ruIT3Q=='),
(1, repeat('y', 1024),
 'ODYzNDQyM2U1OTljPcrnWzzyGuICO4K4vDboU0Q/VcrVEbGbxf67Nnyn4DniQJxFXCZS8Lwu/RdCYIKpbkSCMVUblFWkHLW5ZHjvKk6gZ3hILf6oBEaQozmNqa/wmXACyJ7Jx8riwkl7Sd356wM9yaAjmYJYOWzt3UAZkwZ38cMHcymNBS1ZuDFiRrcV/32M6YHdWqIfmmGbHxiqzFn2BaWoAlQgV0dBEA6U/hJNgXJ9rBFQkL/P03U08C0B6j/SxTJghcGMFArTXpFCw/6oj0Ycsdt6MQSLfPBab82tD9n9gKgkWMrWA7N6Hkav6BkhHefIhzVdNYqKQXp4cmSH9oHpSkZ2V+zYT9bFc0AVs3JPiZSl7l8lI1nuHtcvILHZKStr013J+VByiTMybMWTzNfIFGdGTWfI8K0pGij+W70UZKXYdRop7t9QQ/t0tqLtC95Y/64MPKNj53AzWxW9Ug0G9nJ7sMaVBSCWgGK5ujBY6IaBzLV/DSKhBKgETICVJE5lLvmkFNgSaRtgJGXjxaauH7M8hGXfO0veXyy9zesSHdVYzIp/GfZrNPA5ekltgbgjROMIZMfUQ9+uOitb17S0EExJM/RWP2gx2xxXIvW7EIkTjlY7+KrjuwYIgj2mWfeqsRb9srUrzvfNmknHrFcsIluTBioK/y/n92tBhNE0J6AtEt9YXqrJysGM9tboJHfK5OJwpvPBATMUYQmAudhkID6y5StIky9npa49awNuT9GagPZC3PJH+JnfkmqwlpdOrcICtcDExzRWAG7RQm18EhHhAFHrFyHCFu/G+5ASbwV0IVFKYbuFrZThYPw8MLoDHC0hMz09VAhsFfbDFTR127eBCGCusfVJf5S0KL4jHZ7/Pt3LgaVG0tJ0g1MCwJM2ZV5pVzCeObySAy34RKu69wsB16Y0lVjlOXS4A7ZXg+bYw+t78pBAdPlEczzE97iJ0Ke2xmytreIbOSofcF/C7Bv1MvQAo4K8G1H10eA5CkHOdbzh70iYHdOSbNvPlDl6S977e1nHymFauaO3PMrEDp02FIeO0Vcj//ZxQzSXMN2zl/Y0jeZWiM2bNjNDdnh7ywEGGn1l0QFF3+ADgRo3kM38VFKD+2CnRDtSJzgJL2o10dG1JiIpNjAm/oSL+CeiDZDW1aanqS/6ExPjcnEmiNMuMnWNgpGUMVKrWzw38I4DyTuHENmnbZYZ83D5jO3ll8KjcfjLtiH1OSZYuxHa/+VWPLMoEtZ3WUots8YiEfJ0zNYYxav8ZmfazREkRhZwdjG9a1f8VoATQatm31CWeiJR+6xNb2JGKQMn+5jMcet+FJZ96u4gGgJIqc9vNFMZVM6nbJZAG8sooGhEPoCb9ppVM6zIZp6P7b7mwVyYWx0A/J0JgIKIr5A='),
(1, '4Öyng5by1-a2ro.gubbbÖ8ay€n1b7o259owo€o3sb09ÖglÄshv616ßmts.',
 'M2Y5YzI0Zjg3OWQytxD1X2WFTm5u2d/3oxKyZ/oT2ZLNYpruIOAfgKQDDCqDCD67helZqUV6qeVvnhnyhdPAjrhaImn7dvDktQG29g8FpJ/IQ/JAkfqObrc4a4ZXh40='),
(1, '6z.c4pz0ßlx9€xf2ß6gk7zx5b4ct_..zÖkk6oam89oz6w@w3rß9-ay6i79n1d4x@',
 'MWUzZmI2NmRiMGVmQdtlp9cTdNLz2A2uU4ajDLG5HNA7uLEmvhSNAikIqz2W2zjiB9v0pW8rFjrM88rADKLVbzI/FQaubZMYyNhZv5PPLYC/k8G87xSNR/YuZ0fQU7f6CAM='),
(1, 'm605w0wa88__v3-boÄl9.lf9qc€efb2arprh_lwsekkq7kßrÖs3u54hbtyv0mqgq6n-1bob',
 'M2Q2Y2E5YjQzZjQxCCuip0pRqk4VcLnNeOmKAz2yepER2+lWzGYhE0PuFxRSO7E6P5O/GO5V2CkaNSb8jhVN/mpSK0Sl5WaNag9FVJ52nHzKJzuUhzKhTMbNhXaB9GBWqkwlEFXM+Zk='),
(1, 'jck26€18oÄ72o7Öbz€@ußÄ1dtindteettk0@qia9c.n@3k_6cym',
 'MGYwZDA1ODJhNTgzqkmZP/vgojbrvAggJ+VoYemm67Wl4zAnlK0HafLSRAJW1Gf/cXCoW1ZTXiBGYc23eR39W5/rNAIVdpUTTnM3coM7dFQ3JsoDG46O'),
(1, 'gn@€1.m5gßys65bu_zsbkmu@iv1nr€gy9w€858pecfikk',
 'YmQzYTlkNzI2MDVkFtabwdNu5NQ3uXwkhIEAqo3ZHq6nMZ80rKaeu73JLuRVMTariAW5jRaUwZv815R9oPkEhnVptjl+sha52MjA6pcAAAI='),
(2, 'HFW5636AZWOUJ2PAM',
 'MWUwYTUwN2JmOTJmF01+9yAh2SqkgRMy1GS/qIVo+v/tG9gmv05uagAv1S/n'),
(2, '4H46H0SXAI3MM49S5',
 'OWU4NWNjMTRmNjk3p27RoskrA8UaZYwN+Ak6mbpSQBEzb9jgiQdXfOaC7mb9'),
(2, 'PTMARMWP3HE0FREYF',
 'Y2U1MjQ2YThhMGU32YYd+e2Oaj5wrReRRCdTRFlCd6q2Znzd01klPMpS6hdJ'),
(2, 'CPB1NYAIW70KGRLL3',
 'Mzg2YWRhNzQzMDJipbAbG+kz4ZqyTEJ/vCr8UukKOECsNGtRZyg+bJLeD4Sz'),
(2, 'HD8D97S3GM13DUKSU',
 'M2Y4MTA0NzBjMzU3NaMViT2Ll/JN53QHCwwcXYj5sz2me2FfB/lvCjYEG51a'),
(2, '',
 'NWJjZGE2NzU5Y2IwlM3IqitpYwRGFBLbcn+nhw=='),
(2, 'a',
 'NDAzODRiYzc0MWE5o5kvmDIfLvb7GUlzeJuAz5U='),
(2, '0123456789abcde',
 'OGE0M2Y4ZGI1NTA5ZYy/qFX8zy42i9arfT/Jc4+mtzRx1isCfnyVumYD9A=='),
(2, '0123456789abcdef',
 'ZjIwZDRmNTU1YmEyl+DBcNyoBEFLpV+LhK+kpP4AVEhq07+rI9GbjwCQKuY='),
(2, '0123456789abcdef0',
 'MzA4ZjcxZGZmZDNk/DnDEZpufVBQ1sL5hU4GsZAhqo1sR5JIJSTo+x6dIhuD'),
(2, 'alice@example.com',
 'ZDIyZmE0Yzc2NGNifYkl4pbV/NZzCE56g0yR+zSqoXKa30vR3J5/3CYxTnNf'),
(2, 'Zoë Müller-Łukasz',
 'NDkwZGI4MDI3OWUxYyZE0NvXGZA9rbcmdoTJyhjDo4Kz3yAxFO4zjwJysnXEHvGM'),
(2, '東京都千代田区',
 'NDQ1ZjZjZWUwZGJmzqVxwCyAhVANJeBqWF/dk+EFU3DzdtetpaP0VviV9unELC9kjQ=='),
(2, '🙂🙃',
 'MzlhOTEzMTI1ZDRhksO6tnjv/LsQ9vCtqpyVmB5HIhKa+eFl'),
(2, '+49 170 1234567',
 'YTVjYTY4MmRlNTc13KKzTw6n3o2NexwL9xn8UqRzpCCPs6VgMMDC6vLv3w=='),
(2, ' leading and trailing ',
 'NGRlOWZmNzgxZTFh4kgw6qTjUCYAdF3HFSyXN+EuSLsfU34QtnCVn5wgMEzNTZoCLRw='),
(2, repeat('x', 255),
 'ZjFjZmI4M2JmMzZiDCVpfakJDiQHJMPa7i2sy/QbCACEq8GSDBJgKKH/4lKzmqfLlgEqVnzR57RXkxODoyIS4OrGzECmFakGba4v95ew4uR7TDB5kW5TTKI5gkmGoP/VVxU+fFY5k/tGZB4RvOIeavEtLS+Lu71GuP/LiBvGAtcdHt+0kpMvtfKRlyXY0JCMxAkV9fmkHW5othxEWp/ME9PNyCHfwG3VKCkrpsvfPhZ7opHwSU4u76Bc8ONEH5XOXniQCsALvBzkbeel994S+j31JKKg7ldCPZWsRF5LFFGvS9c7K43DCP6coB0PT4E0T7rvw0+RrH+EZkO67woNbvAaxwaVMC+gjOmY5l7mw+a0YSJL1nBrlHRxoA=='),
(2, repeat('y', 1024),
 'MDhkZjgwNTQyY2M56WUvvZ7F+M+pDECZhEgkNAtePdISrWk6f7VJItlIdDwjZSnvQiZc9xPv+i9YOitQ365Cyq2S8qlL5Cu4t4PTfeUbhTBYvrSwdDuQcpFLbbrISzQMLo2xp0oZxlbQLSVFaER0d/aKP0hDoHzDuKlXmLA06HxCjdY+M6SSNdMMcJap4Scj5wpppK3zo8oHwC/yQqAafwf6CVr7NWDBUbgxBJu8tJAREw/VdD7H0ODhUfSaZgCewIWYOrcsjugu7gb4S/9rgLLrymAmkVx6MGSbVmn5h9bZI+xe5BTqSBGCkmkpdzRfjISkT5BomWSTYjo/fEVadYDZDd5M67DuUGzBJqUzQo5iOwQi864d7cLVFksXqsYRqTCU+q/7ov3ujyx32oL2eUXa3sZiAQqLyX9K+RiMgGL1u8gK6I5KtocqS5S3I4Zwxb2+bF5oJmtJTKGndXADvPqBaxKocOyI1ScWuo/jLZ0/lk8AfQckYcnEbAKDjeMcuJ9WjCdxap7oc+ubNSzZlAZvqwgfaEWck5AUp9NiGJ9tDMIxkXHd8NsZdgRFLbWV8z8wc0rfpoLhOkxlYCWfSjuOxDUNZVprlZhZt7CyI18/VhQ19pzU0ETm0epLovbtLOWdHSxxzOBfWKQ0kVzK8yGh44P4MusU1qw9YryA6I44nLj7/advCH9ASDkL25uVkq3V/GRPYgKGBzX65Uq9b7fziQBluNgVsLmAOl6D69qzRJ+CMKRJGlnDzJPY7gZxVotQ+K+Q3X4Ao7YlNMNEeBFTMtrgLEbaJS9T/7FKuxgk13eX9ZlZuFVtYfjNebyjo1KEVFPDNS22LWlWe5VfrrPrTmJ47QNHqeWWXTXBfE3uL8JbswbqBhW7NIsadUC+/AZdYdZb/BOePavejrx1u3doflA2+JSiViC8rZa+9Mlj0UV8NKyshZkN3zFB9/Ue578AjgqKCcd9hgdSnLzkUjr/TFCNmYjapIi0fbop1i4cxAHHAIz111Z9QDQ/QtrELQ/BpNl07+Zf7VZlR8NH17QO94GVkruAGx/KCHeq8Y6i57I0QcL+q6BDhjFlkqHiNBLLjWWYB7VShQ5iEJxfweUjypjRQBh6gQZ3YLyE46b3omddDDA655Dp2p8+s31o33rtuMiDDKLh5MQ4w8uqnLaDZS4uK/3ZsXK8ytoSgnbtPJXY8pbzz3y1nOtBNAX9nlteoTUMAPrDr3UNlO1JvH6xDqYr/2czOEqWJriMAjFpTm4kT8JM1OEqlZ2cvLzPyPh2Ay5v7Aa5bpQtB33zGGn7oqeldxQ0f2yWfH2WH8mDPASXC5SATrXIO0G81+oNtM7bryjdN6h1XNMlbcPlPxU8Ru+ciKNmB5lSQFYCVYuArIWFj/NJodlKBo0='),
(2, '6qxvvhsp-5i.9guc0eyjivh_.ye@9o@frxs@8h3rgcsa_ßaf0hcmp.0kh2k€pkg1y8s9q4ugnÖucb',
 'OWI3ZmRiNWIxZDA1xvs9d7j90VY0za4DKRSuYh7NCJUyqBvhEKbW3ekQvVfa7CIHyQhHfN1bgHVWv7yA6b1yfevTg9vjWUyyrSI96F8PiTS3T3Y6ZIuRo3OJl41vlAtLavkWGcJrxUYdsR5iTg=='),
(2, 's-',
 'ZDFlZGRiYzU2OWI3Y0A93UV+LPSVRpqKO0fqSWI/'),
(2, '2zuzeeu-3hqn_84ßwql8ntmpxfrf2fÖ@Övoytculu',
 'MTUwMTlmMWVhMjFmH6tzstnqTVkvAYUqZ12dqOMhoP5NlfSx2XKG5iPWG9jqz24zZhL5kemko8BFA3zh/CwEsrkhQGPKvpzD'),
(2, 'tpvg8_.-fpobpzer9eebÄasw54jg6ue6ßlljjutg6-sinj8cu_€9nlt18kdßpqe€219q8283azv',
 'YTA3N2Q5ODc2YWRiT8rJapffyxrmXrqmtCB1Cc8rt7dqye61aHJDCp1HroFdi7BxDKMkM+gqe/+BadiWyMRi8UrRLOLOVYT/j5PTBLdnsdtsZPed67RzE8xxPvUsj+QA45L/EGHLobCjh8VIXOE='),
(2, 'q5bÖ0@bdw.i.iiqrz@zl_f',
 'YTVkYTg3MWI2ODA5QixT6m6cyzI+5gL/BOk3zJsxbKvQu/VV5RWuTLIP8Mrlfbnb+fic');
SELECT secret, count(*), max(length(identifier)) FROM vector GROUP BY secret ORDER BY secret;
SELECT secret, identifier, pseudonymize(identifier, true, '', 'service_' || secret) AS ours FROM vector
 WHERE pseudonymize(identifier, true, '', 'service_' || secret) IS DISTINCT FROM pseudonym;
SELECT secret, identifier, reidentify(pseudonym, '', 'service_' || secret) AS ours FROM vector
 WHERE reidentify(pseudonym, '', 'service_' || secret) IS DISTINCT FROM identifier;
SELECT count(*) FROM vector WHERE pseudonymize(identifier, true, '', 'service_' || secret) = pseudonym
   AND reidentify(pseudonym, keyring => 'service_' || secret) = identifier
   AND try_reidentify(pseudonym, keyring => 'service_' || secret) = identifier;
-- The arrays, as the service's request.
SELECT secret, pseudonymize_array(array_agg(identifier), true, '', 'service_' || secret) = array_agg(pseudonym),
       reidentify_array(array_agg(pseudonym), '', 'service_' || secret) = array_agg(identifier)
  FROM vector GROUP BY secret ORDER BY secret;
-- Neither secret opens what the other made.
SELECT count(*), count(try_reidentify(pseudonym, '', 'service_' || 3 - secret)) FROM vector;
-- What the service makes at random opens too: the nonce is 12 bytes of any kind.
SELECT count(*) FROM vector WHERE reidentify(pseudonymize(identifier, false, '', 'service_' || secret), '', 'service_' || secret) = identifier;
SELECT name, primary_key_id, key_ids, prefixes, statuses, key_bits, nonce_key_bytes, weak, error FROM pseudo_keyrings
 WHERE name LIKE 'service%' ORDER BY name;
-- Gson writes = as \u003d.
SELECT t.keyring('gson', '{"encodedSecretKey": "9bFlIkpYt5HfavHYMD5hzcS7hsPRxCcQPDRMQYnrLx4\u003d", "encodedNonceKey": "e9XUfkRvzsI\u003d", "nonceStrPos": 3, "nonceEndPos": 15}');
SELECT count(*) FROM vector WHERE secret = 1 AND pseudonymize(identifier, true, '', 'gson') = pseudonym;
DROP SERVER gson;
SELECT pseudo_refresh_keyring('service_2');
DROP SERVER service_1;
DROP SERVER service_2;
