-- name: add_run!
-- A row of history.
insert into mainspring.runs (
    {run_columns}
) values (
    {run_parameters}
);

-- name: add_unrun!
-- Rows of history of occurrences that were passed over.
insert into mainspring.runs (
    number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason,
    last_fire_time, occurrences
)
select nextval('mainspring.fence'), job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason,
    last_fire_time, occurrences
from json_populate_recordset(null::mainspring.runs, :passed::json);

-- name: run
-- One run of a job, with what it left.
select {run_columns}, {large_columns} from mainspring.runs
where job_id = :job_id and product = :product and job_group = :job_group and number = :number;

-- name: runs_of_job
-- History of a job, newest first.
select {run_columns}
from mainspring.runs
where job_id = :job_id and product = :product and job_group = :job_group and number < :before
order by number desc
limit :limit;

-- name: runs_of_group
-- History of a group, newest first: merged from the two indexes, each of which is in that order.
select * from (
    (
        select {run_columns}
        from mainspring.runs
        where product = :product and job_group = :job_group and number < :before and version is null
        order by number desc
        limit :limit
    )
    union all
    (
        select {run_columns}
        from mainspring.runs
        where product = :product and job_group = :job_group and number < :before and version is not null
        order by number desc
        limit :limit
    )
) history
order by number desc
limit :limit;

-- name: prune
-- Make the days to come, and drop those that ended longer ago than that, with their counts.
select mainspring.turn_days((t.now at time zone 'UTC')::date, t.oldest), mainspring.turn_counts(t.oldest)
from (
    select n.now, ((n.now - :older_than::interval) at time zone 'UTC')::date as oldest
    from (select coalesce(:now::timestamptz, now()) as now) n
) t;
