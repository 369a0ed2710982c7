-- A job with a parent is one occurrence of that job, run beside it.
alter table jobs add column parent text;
alter table jobs add column backfill integer not null default 0;
create index jobs_of_parent on jobs (parent) where parent is not null;
-- A row for occurrences that had no run goes from fire_time to last_fire_time.
alter table runs add column last_fire_time integer;
alter table runs add column occurrences integer not null default 1;
alter table runs add column backfill integer not null default 0;
drop view done_jobs;
-- Done jobs as columns of a job, followed by those of the run that ended them.
create view done_jobs as
select job_id as id, due_at, fire_time, created_at, finished_at as updated_at, version, attempt, failures, losses, null as run,
    null as claimed_at, 0 as paused, 'done' as state, null as node, outcome, product, job_group, request, "trigger", options,
    null as last_run, null as parent, 0 as is_backfill,
    number, job_id as run_job_id, product as run_product, job_group as run_job_group, fire_time as run_fire_time,
    due_at as run_due_at, attempt as run_attempt, node as run_node, started_at, finished_at, outcome as run_outcome, reason,
    last_fire_time, occurrences, backfill
from runs
where version is not null;
-- What all nodes share besides jobs. A value that is null is gone: versions only rise.
create table notes (
    kind text not null,
    name text not null,
    value text,
    version integer not null,
    primary key (kind, name)
) strict, without rowid;
