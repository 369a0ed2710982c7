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

-- name: history
-- Runs of a group that pass a filter, newest first, of the next ones that are looked at; with the last of these, and how many they were.
with scanned as materialized (
    select * from (
        select * from (
            select {run_columns} from runs
            where product = :product and job_group = :job_group and number < :before and version is null
            order by number desc
            limit :scan
        )
        union all
        select * from (
            select {run_columns} from runs
            where product = :product and job_group = :job_group and number < :before and version is not null
            order by number desc
            limit :scan
        )
    )
    order by number desc
    limit :scan
)
select (select min(number) from scanned), (select count(*) from scanned), h.* from (select 1) as one
left join (
    select {run_columns} from scanned
    where (:outcomes is null or outcome in (select value from json_each(:outcomes))) and (:node is null or node = :node)
      and finished_at >= :ended_from and finished_at <= :ended_last
    order by number desc
    limit :limit
) h on 1
order by h.number desc;

-- name: prune_group!
-- Forget the oldest history of a group, what of it is too old.
delete from runs where number in (
    select number from (
        select * from (
            select number, finished_at from runs
            where product = :product and job_group = :job_group and version is null order by number limit :limit
        )
        union all
        select * from (
            select number, finished_at from runs
            where product = :product and job_group = :job_group and version is not null order by number limit :limit
        )
    )
    where finished_at < :before
);

-- name: prune!
-- Forget history of days that ended before that.
delete from runs where number in (select number from runs where finished_at < :before limit :limit);
