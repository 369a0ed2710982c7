-- A job with a parent is one occurrence of that job, run beside it.
alter table mainspring.jobs add column parent uuid, add column backfill boolean not null default false;
create index jobs_of_parent on mainspring.jobs (parent) where parent is not null;
-- A row for occurrences that had no run goes from fire_time to last_fire_time.
alter table mainspring.runs
    add column last_fire_time timestamptz, add column occurrences bigint not null default 1, add column backfill boolean not null default false;
drop view mainspring.done_jobs;
-- Done jobs as columns of a job, followed by those of the run that ended them.
create view mainspring.done_jobs as
select job_id as id, due_at, fire_time, created_at, finished_at as updated_at, version, attempt, failures, losses, null::bigint as run,
    null::timestamptz as claimed_at, false as paused, 'done' as state, null as node, outcome, product, job_group, request, trigger,
    options, null as last_run, null::uuid as parent, false as is_backfill,
    number, job_id as run_job_id, product as run_product, job_group as run_job_group, fire_time as run_fire_time,
    due_at as run_due_at, attempt as run_attempt, node as run_node, started_at, finished_at, outcome as run_outcome, reason,
    last_fire_time, occurrences, backfill
from mainspring.runs
where version is not null;
-- What all nodes share besides jobs. A value that is null is gone: versions only rise.
create table mainspring.notes (
    kind text not null,
    name text not null,
    value json,
    version bigint not null default nextval('mainspring.fence'),
    primary key (kind, name)
);
-- Moments as whole microseconds since 1970, exact up to the year 2105. A driver takes as long for one timestamptz as for six bigint:
-- 3 us a job to read a claim and write its end. These are inlined.
create function mainspring.microseconds(moment timestamptz) returns bigint language sql stable
as $$ select (date_part('epoch', moment) * 1000000)::bigint $$;
create function mainspring.moment(microseconds bigint) returns timestamptz language sql stable
as $$ select to_timestamp(microseconds / 1000000::double precision) $$;
-- How a run ended its job for good; and rows of history for what was passed over, null for nearly all.
create type mainspring.ended as (
    id uuid,
    run bigint,
    version bigint,
    started_at bigint,
    finished_at bigint,
    outcome text,
    reason text,
    failures integer,
    losses integer,
    passed json
);
-- How a run ended, and what its job became, which goes on.
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
    state text,
    paused boolean,
    fire_time bigint,
    due_at bigint,
    attempt integer,
    last_run json
);
