-- The words by which a job is found: tags, keys and fields of its request.
alter table mainspring.jobs add column labels json;
alter table mainspring.runs add column labels json;
-- Which jobs have a word, as long as they or their history are there.
create table mainspring.labels (
    label text collate "C" not null,
    product text not null,
    job_group text not null,
    job_id uuid not null,
    primary key (label, product, job_group, job_id)
);
create index labels_of_job on mainspring.labels (job_id);
-- Lists of jobs by when they were created.
create index jobs_created on mainspring.jobs (product, job_group, created_at, id) where state in ('scheduled', 'paused');
-- Those that are there.
create function mainspring.labels_of(options json, concurrency_key text) returns json language sql immutable
set search_path = pg_catalog, pg_temp as $$
    select json_agg(label) from (
        select 't:' || tag as label from json_array_elements_text(
            case when json_typeof(options -> 'tags') = 'array' then options -> 'tags' else '[]' end
        ) as t (tag)
        union all select 'k:' || (options ->> 'key') where options ->> 'key' is not null
        union all select 'c:' || concurrency_key where concurrency_key is not null
    ) labels
$$;
alter table mainspring.jobs disable trigger user;
update mainspring.jobs set labels = mainspring.labels_of(options, concurrency_key)
where options is not null or concurrency_key is not null;
alter table mainspring.jobs enable trigger user;
update mainspring.runs set labels = mainspring.labels_of(options, concurrency_key)
where version is not null and (options is not null or concurrency_key is not null);
insert into mainspring.labels (label, product, job_group, job_id)
select label, product, job_group, id from mainspring.jobs, json_array_elements_text(labels) as l (label)
where labels is not null and parent is null
union
select label, product, job_group, job_id from mainspring.runs, json_array_elements_text(labels) as l (label)
where labels is not null and version is not null;
drop function mainspring.labels_of(json, text);
-- New jobs are labelled as they are counted.
create or replace function mainspring.count_jobs() returns trigger language plpgsql security definer
set search_path = pg_catalog, mainspring, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into mainspring.counts
        select product, job_group, case when state = 'paused' and waits_for is not null and not paused then 'scheduled' else state end,
            mainspring.gave_up(outcome, attempt), null::date, count(*) from after_it group by 1, 2, 3, 4;
        insert into mainspring.labels (label, product, job_group, job_id)
        select l.label, product, job_group, id from after_it, json_array_elements_text(labels) as l (label)
        where labels is not null and parent is null
        on conflict do nothing;
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
-- Notes by which nodes decide are all but those.
drop index mainspring.notes_decisive;
create index notes_decisive on mainspring.notes (version) where kind not in ('replanning', 'declared', 'schema', 'action');
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
        execute format('grant select, insert, update, delete on mainspring.labels to %s', role_.name);
    end loop;
end $$;
