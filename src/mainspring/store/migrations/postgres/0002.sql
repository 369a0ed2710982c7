alter table mainspring.jobs rename to old_jobs;
alter table mainspring.runs rename to old_runs;
drop index mainspring.jobs_due, mainspring.jobs_pending, mainspring.jobs_done, mainspring.jobs_running, mainspring.jobs_old;
drop index mainspring.runs_of_job, mainspring.runs_old;
alter table mainspring.old_jobs rename constraint jobs_pkey to old_jobs_pkey;
-- Jobs that are not done. Names are compared byte by byte, which is what a key wants and costs least.
create table mainspring.jobs (
    id uuid primary key,
    due_at timestamptz not null,
    fire_time timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null,
    attempt integer not null,
    failures integer not null,
    losses integer not null,
    run bigint,
    claimed_at timestamptz,
    paused boolean not null,
    state text collate "C" not null check (state in ('scheduled', 'running', 'paused')),
    node text,
    -- how the last run ended, and that run
    outcome text,
    product text collate "C" not null,
    job_group text collate "C" not null,
    request json not null,
    -- null: once, at fire_time
    trigger json,
    options json,
    last_run json,
    check ((state = 'running') = (run is not null and node is not null))
) with (fillfactor = 70);
-- Claims read only this index: what is scheduled, by due time within its group. A job is in one of these three.
create index jobs_due on mainspring.jobs (product, job_group, due_at, id) where state = 'scheduled';
create index jobs_running on mainspring.jobs (product, job_group, due_at, id) where state = 'running';
create index jobs_paused on mainspring.jobs (product, job_group, due_at, id) where state = 'paused';
-- History, a partition for each day (UTC) on which runs ended: old days are dropped, not deleted row by row.
-- The run that ended its job for good holds what the job was, from version on.
create table mainspring.runs (
    number bigint not null,
    job_id uuid not null,
    fire_time timestamptz not null,
    due_at timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    attempt integer not null,
    product text collate "C" not null,
    job_group text collate "C" not null,
    node text not null,
    outcome text not null,
    reason text,
    version bigint,
    created_at timestamptz,
    failures integer,
    losses integer,
    request json,
    trigger json,
    options json
) partition by range (finished_at);
-- Takes what no day was made for.
create table mainspring.runs_rest partition of mainspring.runs default;
create index runs_of_job on mainspring.runs (job_id, number);
-- A row is in one of these two.
create index runs_of_group on mainspring.runs (product, job_group, number) where version is null;
create index runs_done on mainspring.runs (product, job_group, number) where version is not null;
-- Done jobs as columns of a job, followed by those of the run that ended them.
create view mainspring.done_jobs as
select job_id as id, due_at, fire_time, created_at, finished_at as updated_at, version, attempt, failures, losses, null::bigint as run,
    null::timestamptz as claimed_at, false as paused, 'done' as state, null as node, outcome, product, job_group, request, trigger,
    options, null as last_run,
    number, job_id as run_job_id, product as run_product, job_group as run_job_group, fire_time as run_fire_time,
    due_at as run_due_at, attempt as run_attempt, node as run_node, started_at, finished_at, outcome as run_outcome, reason
from mainspring.runs
where version is not null;
-- Makes the partition of a day, with what is in the rest of it.
create function mainspring.make_day(day date) returns void language plpgsql as $$
declare
    name text := 'runs_' || to_char(day, 'YYYYMMDD');
    begins timestamptz := day::timestamp at time zone 'UTC';
    ends timestamptz := (day + 1)::timestamp at time zone 'UTC';
begin
    execute format('create table mainspring.%I (like mainspring.runs)', name);
    execute format('with moved as (delete from mainspring.runs_rest where finished_at >= %L and finished_at < %L returning *) '
        'insert into mainspring.%I select * from moved', begins, ends, name);
    execute format('alter table mainspring.runs attach partition mainspring.%I for values from (%L) to (%L)', name, begins, ends);
end $$;
-- Makes the days from today to a week ahead that are missing, and drops those before the oldest; answers how many went.
-- Nodes call this with the rights of its owner: their own role needs none to make or drop tables. One at a time.
create function mainspring.turn_days(today date, oldest date) returns integer language plpgsql security definer
set search_path = pg_catalog, mainspring as $$
declare
    day date;
    name text;
    dropped integer := 0;
begin
    if not pg_try_advisory_xact_lock(7236343) then
        return 0;
    end if;
    for day in select generate_series(today, today + 7, interval '1 day')::date loop
        if to_regclass('mainspring.runs_' || to_char(day, 'YYYYMMDD')) is null then
            perform mainspring.make_day(day);
        end if;
    end loop;
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'mainspring.runs'::regclass and c.relname ~ '^runs_[0-9]{8}$'
            and to_date(right(c.relname, 8), 'YYYYMMDD') < oldest
    loop
        execute format('drop table mainspring.%I', name);
        dropped := dropped + 1;
    end loop;
    delete from mainspring.runs_rest where finished_at < oldest::timestamp at time zone 'UTC';
    return dropped;
end $$;
-- What a run that ended made of its job. A done job needs no more than how its run ended.
create type mainspring.change as (
    id uuid,
    run bigint,
    version bigint,
    done boolean,
    started_at timestamptz,
    finished_at timestamptz,
    outcome text,
    reason text,
    failures integer,
    losses integer,
    state text,
    paused boolean,
    fire_time timestamptz,
    due_at timestamptz,
    attempt integer,
    last_run json
);
alter table mainspring.nodes add column host text not null default '', add column patient boolean not null default false;
insert into mainspring.jobs
select j.id, j.due_at, j.fire_time, j.created_at, j.updated_at, j.version, j.attempt, j.failures, j.losses, j.run, j.claimed_at, j.paused,
    j.state, j.node, j.outcome, j.product, j.job_group, j.request, j.trigger, j.options,
    case when r.number is not null then json_build_object(
        'number', r.number,
        'fire_time', (extract(epoch from r.fire_time) * 1000000)::bigint,
        'due_at', (extract(epoch from r.due_at) * 1000000)::bigint,
        'attempt', r.attempt,
        'node', r.node,
        'started_at', (extract(epoch from r.started_at) * 1000000)::bigint,
        'finished_at', (extract(epoch from r.finished_at) * 1000000)::bigint,
        'outcome', r.outcome,
        'reason', r.reason
    ) end
from mainspring.old_jobs j
left join mainspring.old_runs r on r.number = (select max(number) from mainspring.old_runs where job_id = j.id)
where j.state <> 'done';
-- A done job whose runs were forgotten gets one, so that it has a place to be.
insert into mainspring.old_runs
select nextval('mainspring.fence'), id, product, job_group, fire_time, due_at, attempt, '', updated_at, updated_at,
    coalesce(outcome, 'cancelled'), null
from mainspring.old_jobs j
where state = 'done' and not exists (select from mainspring.old_runs where job_id = j.id);
insert into mainspring.runs
select r.number, r.job_id, r.fire_time, r.due_at, r.started_at, r.finished_at, r.attempt, r.product, r.job_group, r.node, r.outcome, r.reason,
    j.version, j.created_at, j.failures, j.losses, j.request, j.trigger, j.options
from mainspring.old_runs r
left join mainspring.old_jobs j
    on j.id = r.job_id and j.state = 'done' and r.number = (select max(number) from mainspring.old_runs where job_id = j.id);
drop table mainspring.old_jobs, mainspring.old_runs;
select mainspring.make_day(day) from (
    select (finished_at at time zone 'UTC')::date as day from mainspring.runs_rest
    union select generate_series(current_date, current_date + 7, interval '1 day')::date
) days;
