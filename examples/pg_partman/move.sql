-- Rows of the default partition get partitions of their own.
CALL partman.partition_data_proc('public.events', p_wait => 0);
