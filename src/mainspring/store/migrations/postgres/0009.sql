-- What calls were answered that may be sent again.
create table mainspring.receipts (
    id bytea primary key,
    at timestamptz not null,
    fingerprint bytea not null,
    answer bytea not null
);
create index receipts_at on mainspring.receipts using brin (at);
-- A digest of the body of a job that has its id from its caller.
alter table mainspring.jobs add column digest text;
alter table mainspring.runs add column digest text;
-- Notes by which nodes decide are all but those.
drop index mainspring.notes_decisive;
create index notes_decisive on mainspring.notes (version) where kind not in ('replanning', 'declared', 'schema');
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
        execute format('grant select, insert, update, delete on mainspring.receipts to %s', role_.name);
    end loop;
end $$;
