-- A job with a parent is one occurrence of that job, run beside it.
alter table mainspring.jobs add column parent uuid, add column backfill boolean not null default false;
create index jobs_of_parent on mainspring.jobs (parent) where parent is not null;
-- A row for occurrences that had no run goes from fire_time to last_fire_time.
alter table mainspring.runs
    add column last_fire_time timestamptz, add column occurrences bigint not null default 1, add column backfill boolean not null default false;
drop view mainspring.done_jobs;
-- Done jobs as columns of a job, followed by those of the run that ended them.
create view mainspring.done_jobs as
select job_id as id, due_at, fire_time, created_at, finished_at as updated_at, version, attempt, failures, losses, null::bigint as run,
    null::timestamptz as claimed_at, false as paused, 'done' as state, null as node, outcome, product, job_group, request, trigger,
    options, null as last_run, null::uuid as parent, false as is_backfill,
    number, job_id as run_job_id, product as run_product, job_group as run_job_group, fire_time as run_fire_time,
    due_at as run_due_at, attempt as run_attempt, node as run_node, started_at, finished_at, outcome as run_outcome, reason,
    last_fire_time, occurrences, backfill
from mainspring.runs
where version is not null;
-- Rows of history for what was passed over on the way to the next occurrence; null for nearly all.
alter type mainspring.change add attribute passed json;
-- What all nodes share besides jobs. A value that is null is gone: versions only rise.
create table mainspring.notes (
    kind text not null,
    name text not null,
    value json,
    version bigint not null default nextval('mainspring.fence'),
    primary key (kind, name)
);
