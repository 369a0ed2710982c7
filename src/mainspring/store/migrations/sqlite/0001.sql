-- Times are whole microseconds since 1970 in UTC, ids are text, JSON is text.
create table jobs (
    id text primary key,
    product text not null,
    job_group text not null,
    request text not null,
    -- null: once, at fire_time
    "trigger" text,
    options text,
    state text not null check (state in ('scheduled', 'running', 'paused', 'done')),
    paused integer not null,
    fire_time integer not null,
    due_at integer not null,
    attempt integer not null,
    failures integer not null,
    losses integer not null,
    run integer,
    node text,
    claimed_at integer,
    outcome text,
    version integer not null,
    created_at integer not null,
    updated_at integer not null,
    check ((state = 'running') = (run is not null and node is not null))
) strict, without rowid;
-- Claims read only this index: what is scheduled, by due time within its group.
create index jobs_due on jobs (product, job_group, due_at) where state = 'scheduled';
-- Lists of pending jobs.
create index jobs_pending on jobs (product, job_group, due_at, id) where state <> 'done';
create index jobs_done on jobs (product, job_group, due_at, id) where state = 'done';
create index jobs_running on jobs (node) where state = 'running';
create index jobs_old on jobs (updated_at) where state = 'done';
create table runs (
    number integer primary key,
    job_id text not null,
    product text not null,
    job_group text not null,
    fire_time integer not null,
    due_at integer not null,
    attempt integer not null,
    node text not null,
    started_at integer not null,
    finished_at integer not null,
    outcome text not null,
    reason text
) strict;
create index runs_of_job on runs (job_id, number);
create index runs_old on runs (finished_at);
create table nodes (
    name text primary key,
    beat integer not null
) strict;
-- Runs whose job was deleted under them: their node is to stop them.
create table stops (
    run integer primary key,
    node text not null
) strict;
-- One row: the run number drawn last.
create table fence (
    run integer not null
) strict;
insert into fence (run) values (0);
