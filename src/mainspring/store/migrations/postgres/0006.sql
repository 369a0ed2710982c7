-- When and why a job was paused, until when, whether its run is to be cancelled, who comes first, and on how many occurrences in a row it gave up.
alter table mainspring.jobs
    add column hold json,
    add column resume_at timestamptz,
    add column cancelling boolean not null default false,
    add column priority smallint not null default 5,
    add column give_ups integer not null default 0,
    add column last_success json;
-- What a run answered, as JSON, or why that cannot be kept.
alter table mainspring.runs add column priority smallint, add column result text, add column result_error text;
update mainspring.runs set priority = 5 where version is not null;
alter type mainspring.ended add attribute result text, add attribute result_error text;
drop type mainspring.kept;
create type mainspring.kept as (
    id uuid,
    run bigint,
    version bigint,
    started_at bigint,
    finished_at bigint,
    outcome text,
    reason text,
    failures integer,
    losses integer,
    passed json,
    result text,
    result_error text,
    state text,
    paused boolean,
    fire_time bigint,
    due_at bigint,
    attempt integer,
    last_run json,
    hold json,
    resume_at bigint,
    give_ups integer,
    last_success json
);
-- Claims read what is due of each priority, and lists what is due of all. Nearly all jobs have the priority 5, and are in the first of these
-- alone; others are in the second for lists and in the third for claims.
drop index mainspring.jobs_due;
create index jobs_due on mainspring.jobs (product, job_group, due_at, id) where state = 'scheduled' and priority = 5;
create index jobs_due_others on mainspring.jobs (product, job_group, due_at, id) where state = 'scheduled' and priority <> 5;
create index jobs_ranked on mainspring.jobs (product, job_group, priority, due_at) where state = 'scheduled' and priority <> 5;
-- Of the jobs of a group that are not done only one has a key.
create unique index jobs_key on mainspring.jobs (product, job_group, (options ->> 'key')) where options ->> 'key' is not null and parent is null;
-- Pauses that end by themselves.
create index jobs_resumed on mainspring.jobs (resume_at) where resume_at is not null;
