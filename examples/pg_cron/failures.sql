-- What has failed since yesterday, and why.  Whoever scheduled a job sees its runs, a superuser those of all.
SELECT jobname, start_time, return_message FROM cron.job_run_details JOIN cron.job USING (jobid)
    WHERE status = 'failed' AND start_time > now() - interval '1 day' ORDER BY start_time;
