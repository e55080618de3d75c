-- After publication.sql, and after the conversion of what the tables hold: changes from here on.
SELECT FROM pg_create_logical_replication_slot('consumers', 'pgoutput');
