-- name: tell!
-- Something happened that is told by itself.
insert into mainspring.events (at, kind, product, job_group, state, outcome, node, jobs, runs, detail)
values (coalesce(:now::timestamptz, now()), :kind, :product, :job_group, :state, :outcome, :node, :jobs, :runs, :detail::json);

-- name: number_events
-- Number the next events that were committed, unless somebody else is at it; the last number, up to which they were forgotten, and whether there may be more.
with head as materialized (
    select cursor from mainspring.events_head where exists (select from mainspring.events where cursor is null)
    for update skip locked
),
fresh as materialized (
    select u.id, row_number() over (order by u.id) as nr from (
        select id from mainspring.events where cursor is null and exists (select from head) order by id limit :limit
    ) u
),
numbered as (
    -- Those that somebody has numbered since this statement began keep their numbers.
    update mainspring.events e set cursor = head.cursor + fresh.nr from fresh, head where e.id = fresh.id and e.cursor is null
),
moved as (
    update mainspring.events_head h set cursor = h.cursor + (select count(*) from fresh) where exists (select from fresh)
    returning h.cursor
)
select coalesce((select cursor from moved), h.cursor), h.pruned, (select count(*) from fresh) = :limit from mainspring.events_head h;

-- name: events
-- Events by their numbers, of these job groups and products and of what is no group's, and up to which they were forgotten at that moment.
select e.*, h.pruned from mainspring.events_head h left join lateral (
    select cursor, at, kind, product, job_group, state, outcome, node, jobs, runs, detail from mainspring.events e
    where cursor > :after and cursor <= :head
      and (:products::text[] is null or coalesce(job_group, '') = '' or exists (
          select from unnest(:products::text[], :job_groups::text[]) as w (product, job_group)
          where w.product = e.product and w.job_group in ('', e.job_group)
      ))
    order by cursor
    limit :limit
) e on true
order by e.cursor;

-- name: prune_events
-- Forget the next events, those of them that are too old; how many they were.
with old as (
    select o.cursor from (select cursor, at from mainspring.events where cursor is not null order by cursor limit :limit) o
    where o.at < coalesce(:now::timestamptz, now()) - :kept_for::interval
),
gone as (
    delete from mainspring.events where cursor in (select cursor from old) returning cursor
),
moved as (
    update mainspring.events_head set pruned = greatest(pruned, (select max(cursor) from gone)) where exists (select from gone)
)
select count(*) from gone;

-- name: labels_of
-- The labels of these jobs.
select job_id, label from mainspring.labels where job_id = any(:ids::uuid[]);
