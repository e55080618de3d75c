--
-- Arrays at the limits: too large with its pseudonyms; as large as an array can be; of more elements than are often in one.
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET search_path = pseudo, public;
-- Not in a parallel worker: PostgreSQL cannot send one a plan with such a constant.
SET max_parallel_workers_per_gather = 0;
SELECT t.err($$SELECT pseudonymize_array(array_fill(repeat(repeat('x', 1000), 9000), ARRAY[100]))$$);
SELECT CASE WHEN float8_pass_by_value THEN 52588 ELSE 10000 END AS times FROM pg_control_init() \gset
SELECT try_reidentify_array(ARRAY[repeat(repeat('x', 20418), :times)]);	-- less with 32 bits, which have no room for it
RESET max_parallel_workers_per_gather;
SELECT pg_column_size(pseudonymize_array(a)) = pg_column_size(a), pg_column_size(try_reidentify_array(a)) = pg_column_size(a) FROM (SELECT array_fill(NULL::text, ARRAY[70000000])) AS s (a);
