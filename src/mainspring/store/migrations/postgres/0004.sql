-- Runs that are under way, by number: new entries go to the end of the index. There are never more than the nodes have slots for, so lists
-- sort them. By group and due time, as before, an entry cost 7 us of a claim and its run.
drop index mainspring.jobs_running;
create index jobs_running on mainspring.jobs (run) where state = 'running';
-- Pending jobs by how their last run ended; those that run once have no entry until they are tried again.
create index jobs_of_outcome on mainspring.jobs (product, job_group, outcome, due_at, id) where outcome is not null;
-- The same of done jobs, but for what nearly all of them did.
create index runs_of_outcome on mainspring.runs (product, job_group, outcome, number) where version is not null and outcome <> 'succeeded';
-- Those that recur, which are few among many that run once.
create index jobs_recurring on mainspring.jobs (id) where trigger is not null;
-- How many jobs are where: each write adds what it changes, so that writers never wait for one another; `turn_counts` adds that up.
-- `gave_up` counts those whose last run gave up on its fire time. Done jobs count for the day on which they ended, and go with it.
create table mainspring.counts (
    product text collate "C" not null,
    job_group text collate "C" not null,
    state text collate "C" not null,
    gave_up boolean not null,
    day date,
    jobs bigint not null,
    is_sum boolean not null default false
);
create function mainspring.gave_up(outcome text, attempt integer) returns boolean language sql immutable
as $$ select attempt = 0 and outcome is not null and outcome in ('failed', 'timed_out', 'lost') $$;
create function mainspring.count_jobs() returns trigger language plpgsql security definer set search_path = pg_catalog, mainspring as $$
begin
    if tg_op = 'INSERT' then
        insert into mainspring.counts
        select product, job_group, state, mainspring.gave_up(outcome, attempt), null::date, count(*) from after_it group by 1, 2, 3, 4;
    elsif tg_op = 'DELETE' then
        insert into mainspring.counts
        select product, job_group, state, mainspring.gave_up(outcome, attempt), null::date, -count(*) from before_it group by 1, 2, 3, 4;
    else
        insert into mainspring.counts
        select product, job_group, state, gave_up, null::date, sum(jobs) from (
            select product, job_group, state, mainspring.gave_up(outcome, attempt) as gave_up, count(*) as jobs
            from after_it group by 1, 2, 3, 4
            union all
            select product, job_group, state, mainspring.gave_up(outcome, attempt), -count(*) from before_it group by 1, 2, 3, 4
        ) changed
        group by 1, 2, 3, 4 having sum(jobs) <> 0;
    end if;
    return null;
end $$;
create trigger count_added after insert on mainspring.jobs referencing new table as after_it
for each statement execute function mainspring.count_jobs();
create trigger count_deleted after delete on mainspring.jobs referencing old table as before_it
for each statement execute function mainspring.count_jobs();
create trigger count_changed after update on mainspring.jobs referencing old table as before_it new table as after_it
for each statement execute function mainspring.count_jobs();
insert into mainspring.counts
select product, job_group, state, mainspring.gave_up(outcome, attempt), null::date, count(*) from mainspring.jobs group by 1, 2, 3, 4;
insert into mainspring.counts
select product, job_group, 'done', outcome in ('failed', 'timed_out', 'lost'), (finished_at at time zone 'UTC')::date, count(*)
from mainspring.runs where version is not null group by 1, 2, 3, 4, 5;
-- Forgets counts of days that ended before the oldest, and adds up what writers added, when that is much. Two at once do no harm: each row is
-- taken by one of them.
create function mainspring.turn_counts(oldest date) returns void language plpgsql security definer set search_path = pg_catalog, mainspring as $$
begin
    delete from mainspring.counts c where c.day < oldest;
    if (select count(*) from mainspring.counts where not is_sum) > 1000 then
        with gone as (delete from mainspring.counts returning *)
        insert into mainspring.counts
        select g.product, g.job_group, g.state, g.gave_up, g.day, sum(g.jobs), true from gone g group by 1, 2, 3, 4, 5 having sum(g.jobs) <> 0;
    end if;
end $$;
