-- name: add_run!
-- A row of history.
insert into runs (
    {run_columns}
) values (
    {run_parameters}
);

-- name: draw
-- The next run numbers: the last of them.
update fence set run = run + :count returning run;

-- name: run
-- One run of a job, with what it left.
select {run_columns}, {large_columns} from runs
where job_id = :job_id and product = :product and job_group = :job_group and number = :number;

-- name: runs_of_job
-- History of a job, newest first.
select {run_columns}
from runs
where job_id = :job_id and product = :product and job_group = :job_group and number < :before
order by number desc
limit :limit;

-- name: runs_of_group
-- History of a group, newest first: merged from the two indexes, each of which is in that order.
select * from (
    select * from (
        select {run_columns}
        from runs
        where product = :product and job_group = :job_group and number < :before and version is null
        order by number desc
        limit :limit
    )
    union all
    select * from (
        select {run_columns}
        from runs
        where product = :product and job_group = :job_group and number < :before and version is not null
        order by number desc
        limit :limit
    )
)
order by number desc
limit :limit;

-- name: prune!
-- Forget history of days that ended before that.
delete from runs where number in (select number from runs where finished_at < :before limit :limit);
