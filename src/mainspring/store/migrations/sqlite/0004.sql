-- Runs that are under way, by number. There are never more than the node has slots for, so lists sort them.
drop index jobs_running;
create index jobs_running on jobs (run) where state = 'running';
-- Pending jobs by how their last run ended; those that run once have no entry until they are tried again.
create index jobs_of_outcome on jobs (product, job_group, outcome, due_at, id) where outcome is not null;
-- The same of done jobs, but for what nearly all of them did.
create index runs_of_outcome on runs (product, job_group, outcome, number) where version is not null and outcome <> 'succeeded';
-- Those that recur, which are few among many that run once.
create index jobs_recurring on jobs (id) where "trigger" is not null;
-- How many jobs are where. `gave_up` counts those whose last run gave up on its fire time. Claims and ends of runs count for themselves, many
-- jobs at once: by triggers that took 14 us of the 60 that a job costs.
create table counts (
    product text not null,
    job_group text not null,
    state text not null,
    gave_up integer not null,
    jobs integer not null,
    primary key (product, job_group, state, gave_up)
) strict, without rowid;
insert into counts
select product, job_group, state, coalesce(outcome in ('failed', 'timed_out', 'lost') and attempt = 0, 0), count(*)
from jobs group by 1, 2, 3, 4;
insert into counts
select product, job_group, 'done', outcome in ('failed', 'timed_out', 'lost'), count(*) from runs where version is not null group by 1, 2, 3, 4;
create trigger count_added after insert on jobs begin
    insert into counts values (new.product, new.job_group, new.state, coalesce(new.outcome in ('failed', 'timed_out', 'lost') and new.attempt = 0, 0), 1)
    on conflict do update set jobs = jobs + 1;
end;
create trigger count_deleted after delete on jobs when old.state <> 'running' begin
    insert into counts values (old.product, old.job_group, old.state, coalesce(old.outcome in ('failed', 'timed_out', 'lost') and old.attempt = 0, 0), -1)
    on conflict do update set jobs = jobs + -1;
end;
create trigger count_changed after update of state, outcome, attempt on jobs
when not (old.state = 'scheduled' and new.state = 'running') begin
    insert into counts values (old.product, old.job_group, old.state, coalesce(old.outcome in ('failed', 'timed_out', 'lost') and old.attempt = 0, 0), -1)
    on conflict do update set jobs = jobs + -1;
    insert into counts values (new.product, new.job_group, new.state, coalesce(new.outcome in ('failed', 'timed_out', 'lost') and new.attempt = 0, 0), 1)
    on conflict do update set jobs = jobs + 1;
end;
create trigger count_forgotten after delete on runs when old.version is not null begin
    insert into counts values (old.product, old.job_group, 'done', old.outcome in ('failed', 'timed_out', 'lost'), -1)
    on conflict do update set jobs = jobs + -1;
end;
create trigger count_revived after update of version on runs when old.version is not null and new.version is null begin
    insert into counts values (old.product, old.job_group, 'done', old.outcome in ('failed', 'timed_out', 'lost'), -1)
    on conflict do update set jobs = jobs + -1;
end;
