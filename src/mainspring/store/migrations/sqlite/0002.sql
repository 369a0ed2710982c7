alter table jobs rename to old_jobs;
alter table runs rename to old_runs;
drop index jobs_due;
drop index jobs_pending;
drop index jobs_done;
drop index jobs_running;
drop index jobs_old;
drop index runs_of_job;
drop index runs_old;
-- Jobs that are not done.
create table jobs (
    id text primary key,
    due_at integer not null,
    fire_time integer not null,
    created_at integer not null,
    updated_at integer not null,
    version integer not null,
    attempt integer not null,
    failures integer not null,
    losses integer not null,
    run integer,
    claimed_at integer,
    paused integer not null,
    state text not null check (state in ('scheduled', 'running', 'paused')),
    node text,
    -- how the last run ended, and that run
    outcome text,
    product text not null,
    job_group text not null,
    request text not null,
    -- null: once, at fire_time
    "trigger" text,
    options text,
    last_run text,
    check ((state = 'running') = (run is not null and node is not null))
) strict, without rowid;
-- Claims read only this index: what is scheduled, by due time within its group. A job is in one of these three.
create index jobs_due on jobs (product, job_group, due_at, id) where state = 'scheduled';
create index jobs_running on jobs (product, job_group, due_at, id) where state = 'running';
create index jobs_paused on jobs (product, job_group, due_at, id) where state = 'paused';
-- History. The run that ended its job for good holds what the job was, from version on.
create table runs (
    number integer primary key,
    job_id text not null,
    fire_time integer not null,
    due_at integer not null,
    started_at integer not null,
    finished_at integer not null,
    attempt integer not null,
    product text not null,
    job_group text not null,
    node text not null,
    outcome text not null,
    reason text,
    version integer,
    created_at integer,
    failures integer,
    losses integer,
    request text,
    "trigger" text,
    options text
) strict;
create index runs_of_job on runs (job_id, number);
-- A row is in one of these two.
create index runs_of_group on runs (product, job_group, number) where version is null;
create index runs_done on runs (product, job_group, number) where version is not null;
create index runs_old on runs (finished_at);
-- Done jobs as columns of a job, followed by those of the run that ended them.
create view done_jobs as
select job_id as id, due_at, fire_time, created_at, finished_at as updated_at, version, attempt, failures, losses, null as run,
    null as claimed_at, 0 as paused, 'done' as state, null as node, outcome, product, job_group, request, "trigger", options,
    null as last_run,
    number, job_id as run_job_id, product as run_product, job_group as run_job_group, fire_time as run_fire_time,
    due_at as run_due_at, attempt as run_attempt, node as run_node, started_at, finished_at, outcome as run_outcome, reason
from runs
where version is not null;
alter table nodes add column host text not null default '';
alter table nodes add column patient integer not null default 0;
insert into jobs
select j.id, j.due_at, j.fire_time, j.created_at, j.updated_at, j.version, j.attempt, j.failures, j.losses, j.run, j.claimed_at, j.paused,
    j.state, j.node, j.outcome, j.product, j.job_group, j.request, j."trigger", j.options,
    case when r.number is not null then json_object(
        'number', r.number, 'fire_time', r.fire_time, 'due_at', r.due_at, 'attempt', r.attempt, 'node', r.node,
        'started_at', r.started_at, 'finished_at', r.finished_at, 'outcome', r.outcome, 'reason', r.reason
    ) end
from old_jobs j
left join old_runs r on r.number = (select max(number) from old_runs where job_id = j.id)
where j.state <> 'done';
-- A done job whose runs were forgotten gets one, so that it has a place to be.
insert into old_runs
select (select run from fence) + row_number() over (), id, product, job_group, fire_time, due_at, attempt, '', updated_at, updated_at,
    coalesce(outcome, 'cancelled'), null
from old_jobs j
where state = 'done' and not exists (select 1 from old_runs where job_id = j.id);
update fence set run = max(run, coalesce((select max(number) from old_runs), 0));
insert into runs
select r.number, r.job_id, r.fire_time, r.due_at, r.started_at, r.finished_at, r.attempt, r.product, r.job_group, r.node, r.outcome, r.reason,
    j.version, j.created_at, j.failures, j.losses, j.request, j."trigger", j.options
from old_runs r
left join old_jobs j
    on j.id = r.job_id and j.state = 'done' and r.number = (select max(number) from old_runs where job_id = j.id);
drop table old_jobs;
drop table old_runs;
