-- What jobs share with others that limits by key count with them.
alter table mainspring.jobs add column concurrency_key text;
alter table mainspring.runs add column concurrency_key text;
-- Claims count what runs of a key, and look for jobs of other keys where those that are due first may not begin.
create index jobs_of_key on mainspring.jobs (product, job_group, concurrency_key, priority, due_at)
where state = 'scheduled' and concurrency_key is not null;
-- When a rate lets the next job begin, and from when on that says nothing any more.
create table mainspring.rates (
    product text not null,
    name text not null,
    next_at timestamptz not null,
    forget_at timestamptz not null,
    primary key (product, name)
);
-- Which groups a node runs, and how many jobs at once.
alter table mainspring.nodes add column groups json, add column slots integer not null default 0;
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
        execute format('grant select, insert, update, delete on mainspring.rates to %s', role_.name);
    end loop;
end $$;
