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

-- name: history
-- Runs of a group that pass a filter, newest first, of the next ones that are looked at; with the last of these, and how many they were.
with scanned as materialized (
    select * from (
        (
            select {run_columns} from mainspring.runs
            where product = :product and job_group = :job_group and number < :before and version is null
            order by number desc
            limit :scan
        )
        union all
        (
            select {run_columns} from mainspring.runs
            where product = :product and job_group = :job_group and number < :before and version is not null
            order by number desc
            limit :scan
        )
    ) both_kinds
    order by number desc
    limit :scan
)
select (select min(number) from scanned), (select count(*) from scanned), h.* from (values (1)) as one
left join lateral (
    select {run_columns} from scanned
    where (:outcomes::text[] is null or outcome = any(:outcomes::text[])) and (:node::text is null or node = :node)
      and finished_at >= :ended_from and finished_at <= :ended_last
    order by number desc
    limit :limit
) h on true
order by h.number desc;

-- name: prune_group
-- Forget the oldest history of a group, what of it is too old, with its counts; how much that was.
with old as (
    select o.job_id, o.number, o.finished_at from (
        (
            select job_id, number, finished_at from mainspring.runs
            where product = :product and job_group = :job_group and version is null order by number limit :limit
        )
        union all
        (
            select job_id, number, finished_at from mainspring.runs
            where product = :product and job_group = :job_group and version is not null order by number limit :limit
        )
    ) o
    where o.finished_at < coalesce(:now::timestamptz, now()) - :older_than::interval
),
gone as (
    delete from mainspring.runs r using old o
    where r.job_id = o.job_id and r.number = o.number and r.finished_at = o.finished_at
    returning r.product, r.job_group, r.outcome, r.finished_at, r.version
),
counted as (
    insert into mainspring.counts (product, job_group, state, gave_up, day, jobs)
    select product, job_group, 'done', mainspring.gave_up(outcome, 0), (finished_at at time zone 'UTC')::date, -count(*)
    from gone where version is not null group by 1, 2, 3, 4, 5
)
select count(*) from gone;

-- name: prune
-- Make the days to come, and drop those that ended longer ago than that, with their counts.
select mainspring.turn_days((t.now at time zone 'UTC')::date, t.oldest), mainspring.turn_counts(t.oldest)
from (
    select n.now, ((n.now - :older_than::interval) at time zone 'UTC')::date as oldest
    from (select coalesce(:now::timestamptz, now()) as now) n
) t;
