-- The traceback of what a run raised, and what it logged.
alter table mainspring.runs add column traceback text, add column log text;
alter type mainspring.ended add attribute traceback text, add attribute log text;
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
    traceback text,
    log text,
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
-- How far a run is, and the jobs that one waits for: it is 'paused' by its state, as claims find what is 'scheduled', but not paused.
alter table mainspring.jobs add column progress json, add column waits_for json;
-- Lists of what is paused, and of what waits.
drop index mainspring.jobs_paused;
create index jobs_paused on mainspring.jobs (product, job_group, due_at, id) where state = 'paused' and (waits_for is null or paused);
create index jobs_waiting on mainspring.jobs (product, job_group, due_at, id) where state = 'paused' and waits_for is not null and not paused;
-- Which jobs wait for one. `is_known` says that those have heard of its end.
create table mainspring.waits (
    awaited uuid not null,
    waiting uuid not null,
    is_known boolean not null default false,
    primary key (awaited, waiting)
);
-- What is known of services that said they were busy, by the concurrency key of their jobs.
create table mainspring.pressures (
    product text not null,
    concurrency_key text not null,
    value text not null,
    primary key (product, concurrency_key)
);
-- Of which groups a node has no thread left.
alter table mainspring.nodes add column stuck json;
-- Jobs that wait for others count as scheduled.
create or replace function mainspring.count_jobs() returns trigger language plpgsql security definer
set search_path = pg_catalog, mainspring, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into mainspring.counts
        select product, job_group, case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end,
            mainspring.gave_up(outcome, attempt), null::date, count(*) from after_it group by 1, 2, 3, 4;
    elsif tg_op = 'DELETE' then
        insert into mainspring.counts
        select product, job_group, case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end,
            mainspring.gave_up(outcome, attempt), null::date, -count(*) from before_it group by 1, 2, 3, 4;
    else
        insert into mainspring.counts
        select product, job_group, state, gave_up, null::date, sum(jobs) from (
            select product, job_group, case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end as state,
                mainspring.gave_up(outcome, attempt) as gave_up, count(*) as jobs
            from after_it group by 1, 2, 3, 4
            union all
            select product, job_group, case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end,
                mainspring.gave_up(outcome, attempt), -count(*) from before_it group by 1, 2, 3, 4
        ) changed
        group by 1, 2, 3, 4 having sum(jobs) <> 0;
    end if;
    return null;
end $$;
-- Roles of nodes that were granted what operations.md says keep working without a new grant.
do $$
declare
    role_ record;
begin
    for role_ in
        select distinct a.grantee::regrole as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
        where n.nspname = 'mainspring' and c.relname = 'jobs' and a.privilege_type = 'INSERT' and a.grantee not in (0, c.relowner)
    loop
        execute format('grant select, insert, update, delete on mainspring.waits, mainspring.pressures to %s', role_.name);
    end loop;
end $$;
