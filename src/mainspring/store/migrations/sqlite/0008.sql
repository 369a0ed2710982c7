-- The traceback of what a run raised, and what it logged.
alter table runs add column traceback text;
alter table runs add column log text;
-- How far a run is, and the jobs that one waits for: it is 'paused' by its state, as claims find what is 'scheduled', but not paused.
alter table jobs add column progress text;
alter table jobs add column waits_for text;
-- Lists of what is paused, and of what waits.
drop index jobs_paused;
create index jobs_paused on jobs (product, job_group, due_at, id) where state = 'paused' and (waits_for is null or paused);
create index jobs_waiting on jobs (product, job_group, due_at, id) where state = 'paused' and waits_for is not null and not paused;
-- Which jobs wait for one. `is_known` says that those have heard of its end.
create table waits (
    awaited text not null,
    waiting text not null,
    is_known integer not null default 0,
    primary key (awaited, waiting)
) strict, without rowid;
-- What is known of services that said they were busy, by the concurrency key of their jobs.
create table pressures (
    product text not null,
    concurrency_key text not null,
    value text not null,
    primary key (product, concurrency_key)
) strict, without rowid;
-- Of which groups a node has no thread left.
alter table nodes add column stuck text;
-- Jobs that wait for others count as scheduled.
drop trigger count_added;
create trigger count_added after insert on jobs begin
    insert into counts values (new.product, new.job_group, iif(new.state = 'paused' and new.waits_for is not null and not new.paused, 'scheduled', new.state), coalesce(new.outcome in ('failed', 'timed_out', 'lost') and new.attempt = 0, 0), 1)
    on conflict do update set jobs = jobs + 1;
end;
drop trigger count_deleted;
create trigger count_deleted after delete on jobs when old.state <> 'running' begin
    insert into counts values (old.product, old.job_group, iif(old.state = 'paused' and old.waits_for is not null and not old.paused, 'scheduled', old.state), coalesce(old.outcome in ('failed', 'timed_out', 'lost') and old.attempt = 0, 0), -1)
    on conflict do update set jobs = jobs + -1;
end;
drop trigger count_changed;
create trigger count_changed after update of state, paused, outcome, attempt on jobs
when not (old.state = 'scheduled' and new.state = 'running') begin
    insert into counts values (old.product, old.job_group, iif(old.state = 'paused' and old.waits_for is not null and not old.paused, 'scheduled', old.state), coalesce(old.outcome in ('failed', 'timed_out', 'lost') and old.attempt = 0, 0), -1)
    on conflict do update set jobs = jobs + -1;
    insert into counts values (new.product, new.job_group, iif(new.state = 'paused' and new.waits_for is not null and not new.paused, 'scheduled', new.state), coalesce(new.outcome in ('failed', 'timed_out', 'lost') and new.attempt = 0, 0), 1)
    on conflict do update set jobs = jobs + 1;
end;
