-- name: add
-- New jobs, all or none.
insert into mainspring.jobs (
    id, product, job_group, request, trigger, options, state, paused, fire_time, due_at, attempt, failures,
    losses, run, node, claimed_at, outcome, version, created_at, updated_at
)
select
    id, product, job_group, request::json, trigger::json, options::json, state, paused, fire_time, due_at, attempt, failures,
    losses, run, node, claimed_at, outcome, version, created_at, updated_at
from unnest(
    :id::uuid[], :product::text[], :job_group::text[], :request::text[], :trigger::text[], :options::text[], :state::text[],
    :paused::boolean[], :fire_time::timestamptz[], :due_at::timestamptz[], :attempt::integer[], :failures::integer[],
    :losses::integer[], :run::bigint[], :node::text[], :claimed_at::timestamptz[], :outcome::text[],
    :version::bigint[], :created_at::timestamptz[], :updated_at::timestamptz[]
) as j (
    id, product, job_group, request, trigger, options, state, paused, fire_time, due_at, attempt, failures,
    losses, run, node, claimed_at, outcome, version, created_at, updated_at
);

-- name: time
-- The store's time, or the one that a test set.
select coalesce(:now::timestamptz, now());

-- name: get
-- One job by id, with the run that it had last.
select j.*, r.* from mainspring.jobs j
left join mainspring.runs r on r.number = (select max(number) from mainspring.runs where job_id = j.id)
where j.id = :id;

-- name: page
-- Jobs of a group by due time and id, from beyond a position on. The planner needs the partial index's literal predicate.
select j.*, r.* from mainspring.jobs j
left join mainspring.runs r on r.number = (select max(number) from mainspring.runs where job_id = j.id)
where j.product = :product and j.job_group = :job_group and j.state <> 'done'
  and j.state = any(:states)
  and (j.due_at, j.id) > (:after_due, :after_id)
  and j.due_at >= :due_from and j.due_at < :due_to
order by j.due_at, j.id
limit :limit;

-- name: page_done
-- The same for jobs that are done; with :dead only those that gave up.
select j.*, r.* from mainspring.jobs j
left join mainspring.runs r on r.number = (select max(number) from mainspring.runs where job_id = j.id)
where j.product = :product and j.job_group = :job_group and j.state = 'done'
  and (not :dead or j.outcome = any(:deadly))
  and (j.due_at, j.id) > (:after_due, :after_id)
  and j.due_at >= :due_from and j.due_at < :due_to
order by j.due_at, j.id
limit :limit;

-- name: counts
-- How many jobs are where.
select product, job_group, state, count(*) from mainspring.jobs group by product, job_group, state;

-- name: update
-- An edited job, if nobody else wrote it meanwhile.
update mainspring.jobs
set request = :request, trigger = :trigger, options = :options, state = :state, paused = :paused, fire_time = :fire_time,
    due_at = :due_at, attempt = :attempt, failures = :failures, losses = :losses, outcome = :outcome,
    version = :version, updated_at = :updated_at
where id = :id and version = :version - 1
returning id;

-- name: delete
-- A job, if nobody else wrote it meanwhile.
delete from mainspring.jobs where id = :id and version = :version returning id;

-- name: claim
-- Take due jobs for a living node: per group the earliest due, at most its demand. Rows that another claim holds are passed over.
with wanted as (
    select * from unnest(:products::text[], :job_groups::text[], :demands::integer[]) as w (product, job_group, demand)
),
due as materialized (
    select j.id
    from wanted w
    cross join lateral (
        select j.id from mainspring.jobs j
        where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled'
          and j.due_at <= coalesce(:now::timestamptz, now())
        order by j.due_at
        limit w.demand
        for update skip locked
    ) j
    where exists (select from mainspring.nodes where name = :node)
    limit :limit
)
update mainspring.jobs j
set state = 'running', run = nextval('mainspring.fence'), node = :node, claimed_at = coalesce(:now::timestamptz, now()),
    attempt = attempt + 1, version = version + 1, updated_at = coalesce(:now::timestamptz, now())
from due
where j.id = due.id
returning j.*;

-- name: next_due
-- When the next job of these groups is due, and how long that is.
select min(j.due_at), min(j.due_at) - coalesce(:now::timestamptz, now())
from unnest(:products::text[], :job_groups::text[]) as w (product, job_group)
cross join lateral (
    select j.due_at from mainspring.jobs j
    where j.product = w.product and j.job_group = w.job_group and j.state = 'scheduled'
    order by j.due_at
    limit 1
) j;

-- name: finish
-- What jobs became and their rows of history, for those that still have that run and were not edited meanwhile.
with change as (
    select * from unnest(
        :id::uuid[], :state::text[], :paused::boolean[], :fire_time::timestamptz[], :due_at::timestamptz[], :attempt::integer[],
        :failures::integer[], :losses::integer[], :version::bigint[], :updated_at::timestamptz[],
        :ended_number::bigint[], :ended_fire_time::timestamptz[], :ended_due_at::timestamptz[], :ended_attempt::integer[],
        :ended_node::text[], :ended_started_at::timestamptz[], :ended_finished_at::timestamptz[], :ended_outcome::text[],
        :ended_reason::text[]
    ) as c (
        id, state, paused, fire_time, due_at, attempt, failures, losses, version, updated_at,
        ended_number, ended_fire_time, ended_due_at, ended_attempt, ended_node, ended_started_at, ended_finished_at, ended_outcome,
        ended_reason
    )
),
done as (
    update mainspring.jobs j
    set state = c.state, paused = c.paused, fire_time = c.fire_time, due_at = c.due_at, attempt = c.attempt, failures = c.failures,
        losses = c.losses, run = null, node = null, claimed_at = null, outcome = c.ended_outcome,
        version = c.version, updated_at = c.updated_at
    from change c
    where j.id = c.id and j.run = c.ended_number and j.version = c.version - 1
    returning j.id, j.product, j.job_group, c.ended_number
),
history as (
    insert into mainspring.runs (
        number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason
    )
    select c.ended_number, d.id, d.product, d.job_group, c.ended_fire_time, c.ended_due_at, c.ended_attempt, c.ended_node,
        c.ended_started_at, c.ended_finished_at, c.ended_outcome, c.ended_reason
    from done d
    join change c on c.ended_number = d.ended_number
)
select ended_number from done;

-- name: runs_of
-- The runs that these jobs have.
select id, run from mainspring.jobs where id = any(:id::uuid[]) and run is not null;

-- name: ask_to_stop!
-- A running job was deleted: its node is to stop the run.
insert into mainspring.stops (run, node) values (:run, :node);

-- name: stops
-- The runs that a node is to stop; each is told once.
delete from mainspring.stops where node = :node returning run;

-- name: orphans
-- Running jobs whose node has no row.
select * from mainspring.jobs
where state = 'running' and node <> all(array(select name from mainspring.nodes))
order by run
limit :limit;

-- name: prune_jobs
-- Forget jobs that were done long ago. Each is locked before it goes: one that is being brought back is not taken.
delete from mainspring.jobs
where id = any(array(
    select id from mainspring.jobs
    where state = 'done' and updated_at < coalesce(:now::timestamptz, now()) - :older_than::interval
    limit :limit
    for update skip locked
))
returning id;
