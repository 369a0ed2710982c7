-- name: add_run!
-- A row of history.
insert into mainspring.runs (
    number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason
) values (
    :number, :job_id, :product, :job_group, :fire_time, :due_at, :attempt, :node, :started_at, :finished_at, :outcome, :reason
);

-- name: runs_of_job
-- History of a job, newest first.
select * from mainspring.runs
where job_id = :job_id and product = :product and job_group = :job_group and number < :before
order by number desc
limit :limit;

-- name: runs_of_group
-- History of a group, newest first.
select * from mainspring.runs where product = :product and job_group = :job_group and number < :before
order by number desc
limit :limit;

-- name: prune_runs
-- Forget history of long ago.
delete from mainspring.runs
where number in (
    select number from mainspring.runs where finished_at < coalesce(:now::timestamptz, now()) - :older_than::interval limit :limit
)
returning number;
