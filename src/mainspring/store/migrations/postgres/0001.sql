create schema if not exists mainspring;
create sequence mainspring.fence as bigint;
create table mainspring.jobs (
    id uuid primary key,
    product text not null,
    job_group text not null,
    request json not null,
    -- null: once, at fire_time
    trigger json,
    options json,
    state text not null check (state in ('scheduled', 'running', 'paused', 'done')),
    paused boolean not null,
    fire_time timestamptz not null,
    due_at timestamptz not null,
    attempt integer not null,
    failures integer not null,
    losses integer not null,
    run bigint,
    node text,
    claimed_at timestamptz,
    outcome text,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((state = 'running') = (run is not null and node is not null))
);
-- Claims read only this index: what is scheduled, by due time within its group.
create index jobs_due on mainspring.jobs (product, job_group, due_at) where state = 'scheduled';
-- Lists of pending jobs.
create index jobs_pending on mainspring.jobs (product, job_group, due_at, id) where state <> 'done';
create index jobs_done on mainspring.jobs (product, job_group, due_at, id) where state = 'done';
create index jobs_running on mainspring.jobs (node) where state = 'running';
-- Pruning reads whole pages of old rows: a block range index costs a write next to nothing.
create index jobs_old on mainspring.jobs using brin (updated_at);
create table mainspring.runs (
    number bigint primary key,
    job_id uuid not null,
    product text not null,
    job_group text not null,
    fire_time timestamptz not null,
    due_at timestamptz not null,
    attempt integer not null,
    node text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    outcome text not null,
    reason text
);
create index runs_of_job on mainspring.runs (job_id, number);
create index runs_old on mainspring.runs using brin (finished_at);
create table mainspring.nodes (
    name text primary key,
    beat bigint not null
);
-- Runs whose job was deleted under them: their node is to stop them.
create table mainspring.stops (
    run bigint primary key,
    node text not null
);
