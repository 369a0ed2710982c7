-- When and why a job was paused, until when, whether its run is to be cancelled, who comes first, and on how many occurrences in a row it gave up.
alter table mainspring.jobs
    add column hold json,
    add column resume_at timestamptz,
    add column cancelling boolean not null default false,
    add column priority smallint not null default 5,
    add column give_ups integer not null default 0;
alter table mainspring.runs add column priority smallint;
update mainspring.runs set priority = 5 where version is not null;
alter type mainspring.kept add attribute hold json, add attribute resume_at bigint, add attribute give_ups integer;
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
