-- When and why a job was paused, until when, whether its run is to be cancelled, who comes first, and on how many occurrences in a row it gave up.
alter table jobs add column hold text;
alter table jobs add column resume_at integer;
alter table jobs add column cancelling integer not null default 0;
alter table jobs add column priority integer not null default 5;
alter table jobs add column give_ups integer not null default 0;
alter table jobs add column last_success text;
alter table runs add column priority integer;
-- What a run answered, as JSON, or why that cannot be kept.
alter table runs add column result text;
alter table runs add column result_error text;
update runs set priority = 5 where version is not null;
-- Claims read what is due of each priority, and lists what is due of all. Nearly all jobs have the priority 5, and are in the first of these
-- alone; others are in the second for lists and in the third for claims.
drop index jobs_due;
create index jobs_due on jobs (product, job_group, due_at, id) where state = 'scheduled' and priority = 5;
create index jobs_due_others on jobs (product, job_group, due_at, id) where state = 'scheduled' and priority <> 5;
create index jobs_ranked on jobs (product, job_group, priority, due_at) where state = 'scheduled' and priority <> 5;
-- Of the jobs of a group that are not done only one has a key.
create unique index jobs_key on jobs (product, job_group, iif(json_valid(options), options ->> '$.key', null))
where iif(json_valid(options), options ->> '$.key', null) is not null and parent is null;
-- Keys of jobs that are on their way in with a batch.
create table batch_keys (
    product text not null,
    job_group text not null,
    key text not null,
    batch text not null,
    primary key (product, job_group, key)
) strict, without rowid;
create trigger keys_of_batches before insert on jobs
when new.parent is null and iif(json_valid(new.options), new.options ->> '$.key', null) in (
    select key from batch_keys where product = new.product and job_group = new.job_group
) begin
    select raise(abort, 'jobs_key: a batch has the key');
end;
create trigger keys_of_batches_changed before update of options on jobs
when new.parent is null and iif(json_valid(new.options), new.options ->> '$.key', null) in (
    select key from batch_keys where product = new.product and job_group = new.job_group
) begin
    select raise(abort, 'jobs_key: a batch has the key');
end;
-- Pauses that end by themselves.
create index jobs_resumed on jobs (resume_at) where resume_at is not null;
