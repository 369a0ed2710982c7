-- Rows of a later format than a node knows are left to others.
alter table mainspring.jobs add column format smallint not null default 1;
-- Moments come and go as the driver has them.
drop function mainspring.microseconds(timestamptz);
-- Jobs that were deleted, whose children are to follow.
create table mainspring.deletions (
    parent uuid primary key
);
-- The number of the last note that decisions go by.
create index notes_decisive on mainspring.notes (version) where kind <> 'replanning';
-- Nobody but nodes may call what works with the rights of the owner: whoever could, such as a role for reports, could wipe the history. The
-- arguments have bounds: a clock that is far off must not make or drop days for ever.
create or replace function mainspring.turn_days(today date, oldest date) returns integer language plpgsql security definer
set search_path = pg_catalog, mainspring, pg_temp as $$
declare
    day date;
    name text;
    dropped integer := 0;
begin
    if today is null or oldest is null or not isfinite(today) or not isfinite(oldest) or oldest > today
        or today not between date '2000-01-01' and current_date + 3660 then
        raise exception 'turn_days cannot begin at % and keep what is from % on', today, oldest using errcode = 'invalid_parameter_value';
    end if;
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

create or replace function mainspring.turn_counts(oldest date) returns void language plpgsql security definer
set search_path = pg_catalog, mainspring, pg_temp as $$
begin
    if oldest is null or not isfinite(oldest) or oldest > current_date + 3660 then
        raise exception 'turn_counts cannot keep what is from % on', oldest using errcode = 'invalid_parameter_value';
    end if;
    delete from mainspring.counts c where c.day < oldest;
    if (select count(*) from mainspring.counts where not is_sum) > 1000 then
        with gone as (delete from mainspring.counts returning *)
        insert into mainspring.counts
        select g.product, g.job_group, g.state, g.gave_up, g.day, sum(g.jobs), true from gone g group by 1, 2, 3, 4, 5 having sum(g.jobs) <> 0;
    end if;
end $$;

-- Where pg_temp is not named it comes first in a search path, and a caller's temporary table could take the place of ours.
alter function mainspring.count_jobs() set search_path = pg_catalog, mainspring, pg_temp;

revoke execute on all functions in schema mainspring from public;
-- Who writes jobs is a node: roles that were granted what operations.md says keep working without a new grant.
do $$
declare
    role_ record;
begin
    for role_ in
        select distinct a.grantee::regrole as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
        where n.nspname = 'mainspring' and c.relname = 'jobs' and a.privilege_type = 'INSERT' and a.grantee not in (0, c.relowner)
    loop
        execute format('grant execute on all functions in schema mainspring to %s', role_.name);
        execute format('grant select, insert, update, delete on mainspring.deletions to %s', role_.name);
    end loop;
end $$;
