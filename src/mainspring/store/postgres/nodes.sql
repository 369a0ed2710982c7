-- name: join!
-- A node begins its life.
with told as (
    insert into mainspring.events (kind, node, detail) values ('node.joined', :node, json_build_object('host', :host::text))
)
insert into mainspring.nodes (name, beat, host, patient, groups, slots) values (:node, :beat, :host, :patient, :groups, :slots);

-- name: beat
-- A node lives, and sees which of its runs it is to stop, whether paused jobs are to go on, and who else is there, with their sessions.
with mine as (update mainspring.nodes set beat = beat + 1 where name = :node returning name),
told as (delete from mainspring.stops where node = :node returning run),
held as materialized (
    select objid from pg_locks
    where locktype = 'advisory' and granted and classid = 7236342
      and database = (select oid from pg_database where datname = current_database())
)
select exists (select from mine), array(select run from told), (select coalesce(max(version), 0) from mainspring.notes where kind not in ({quiet_kinds})),
    coalesce(:now::timestamptz, now()), exists (select from mainspring.jobs where resume_at <= coalesce(:now::timestamptz, now())), name, beat, host, patient,
    (hashtext(name)::bigint & 4294967295)::oid in (select objid from held)
from (values (true)) as one left join mainspring.nodes on true
order by name;

-- name: show_session
-- The lock by which others see that this session is there; it ends with the session.
select pg_advisory_unlock_all(), pg_try_advisory_lock(7236342, hashtext(:node));

-- name: nodes
-- All nodes that have a row, with their sessions.
select name, beat, host, patient, (hashtext(name)::bigint & 4294967295)::oid in (
    select objid from pg_locks
    where locktype = 'advisory' and granted and classid = 7236342
      and database = (select oid from pg_database where datname = current_database())
), groups, slots, stuck
from mainspring.nodes order by name;

-- name: show_stuck!
-- Of which groups a node has no thread left.
update mainspring.nodes set stuck = :stuck where name = :node;

-- name: hint
-- Tell other processes that something is due then (microseconds since 1970).
select pg_notify('mainspring', :due::bigint::text);

-- name: bury
-- A node is dead, if it has not beaten since.
with gone as (delete from mainspring.nodes where name = :node and beat = :beat returning name),
stops as (delete from mainspring.stops where node in (select name from gone)),
told as (insert into mainspring.events (kind, node) select 'node.lost', name from gone)
select name from gone;

-- name: leave!
-- A node ends its life.
with stops as (delete from mainspring.stops where node = :node),
gone as (delete from mainspring.nodes where name = :node returning name)
insert into mainspring.events (kind, node) select 'node.left', name from gone;

-- name: notes
-- What was noted under a kind.
select name, value from mainspring.notes where kind = :kind and value is not null order by name;

-- name: swap_note
-- The same if it is as was believed; whether it was.
insert into mainspring.notes (kind, name, value)
select :kind, :name, :value
where :before::jsonb is null or exists (select from mainspring.notes where kind = :kind and name = :name)
on conflict (kind, name) do update set value = excluded.value, version = excluded.version
    where notes.value::jsonb is not distinct from :before::jsonb
returning true;

-- name: noted
-- A number that rises with every note by which nodes decide.
select coalesce(max(version), 0) from mainspring.notes where kind not in ({quiet_kinds});

-- name: note
-- A note, or that there is none any more; whether there was one.
with old as (select value from mainspring.notes where kind = :kind and name = :name),
written as (
    insert into mainspring.notes (kind, name, value) values (:kind, :name, :value)
    on conflict (kind, name) do update set value = excluded.value, version = excluded.version
)
select exists (select from old where value is not null);
