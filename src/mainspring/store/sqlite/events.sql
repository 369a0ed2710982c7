-- name: tell!
-- Something happened that is told by itself.
insert into events (at, kind, product, job_group, state, outcome, node, jobs, runs, detail)
values (:now, :kind, :product, :job_group, :state, :outcome, :node, :jobs, :runs, :detail);

-- name: tell_begun!
-- Runs of these jobs have begun.
insert into events (at, kind, product, job_group, state, node, jobs, runs)
select :now, 'run.started', product, job_group, 'running', :node, json_group_array(coalesce(parent, id)), json_group_array(run)
from jobs where id in (select value from json_each(:ids)) group by product, job_group;

-- name: tell_ended!
-- Runs have ended that history holds under these numbers.
insert into events (at, kind, product, job_group, state, outcome, node, jobs, runs)
select max(finished_at), 'run.ended', product, job_group, iif(version is not null, 'done', iif(backfill, null, 'scheduled')) as became, outcome,
    nullif(node, '') as ran_on, json_group_array(job_id), json_group_array(number)
from runs where number in (select value from json_each(:numbers)) group by product, job_group, became, outcome, ran_on;

-- name: tell_edited!
-- A job is about to be edited, if it is as was believed.
insert into events (at, kind, product, job_group, state, jobs, detail)
select :updated_at, case when paused and not :paused then 'job.resumed' when :paused and not paused then 'job.paused' else 'job.changed' end,
    product, job_group, iif(:state = 'paused' and :waits_for is not null and not :paused, 'scheduled', :state), json_array(id),
    iif(:paused and not paused, json_object('reason', :hold ->> '$.reason'), null)
from jobs where id = :id and version = :version - 1 and parent is null;

-- name: head
-- The number of the last event, and up to which they were forgotten.
select coalesce((select seq from sqlite_sequence where name = 'events'), 0), pruned from events_head;

-- name: events
-- Events by their numbers, of these job groups and products and of what is no group's.
select cursor, at, kind, product, job_group, state, outcome, node, jobs, runs, detail from events
where cursor > :after
  and (:scopes is null or coalesce(job_group, '') = '' or exists (
      select 1 from json_each(:scopes) as w where w.value ->> 0 = product and w.value ->> 1 in ('', job_group)
  ))
order by cursor
limit :limit;

-- name: prune_events
-- Forget the next events, those of them that are too old.
delete from events where cursor in (
    select o.cursor from (select cursor, at from events order by cursor limit :limit) o where o.at < :before
) returning cursor;

-- name: forgotten!
-- Up to which events were forgotten.
update events_head set pruned = max(pruned, :cursor);

-- name: labels_of
-- The labels of these jobs.
select job_id, label from labels where job_id in (select value from json_each(:ids));

-- name: tell_give_up!
-- A job is about to pause itself, as its run has ended.
insert into events (at, kind, product, job_group, state, jobs, detail)
select :finished_at, 'job.paused', product, job_group, 'paused', json_array(coalesce(parent, id)), json_object('reason', :hold ->> '$.reason')
from jobs where id = :id and :paused and not paused;
