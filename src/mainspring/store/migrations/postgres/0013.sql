-- What a role that only creates jobs may read: not all notes, of which some are secret, and of jobs not what they are about.
create view mainspring.published as
select kind, name, value from mainspring.notes where kind in ('schema', 'calendar') and value is not null;
create view mainspring.taken_keys as
select id, product, job_group, options ->> 'key' as key from mainspring.jobs where options ->> 'key' is not null and parent is null;

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
        execute format('grant select on mainspring.published, mainspring.taken_keys to %s', role_.name);
    end loop;
end $$;
