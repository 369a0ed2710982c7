-- name: add!
-- A new job.
insert into jobs (
    id, product, job_group, request, "trigger", options, state, paused, fire_time, due_at, attempt, failures,
    losses, run, node, claimed_at, outcome, version, created_at, updated_at
) values (
    :id, :product, :job_group, :request, :trigger, :options, :state, :paused, :fire_time, :due_at, :attempt, :failures,
    :losses, :run, :node, :claimed_at, :outcome, :version, :created_at, :updated_at
);

-- name: get
-- One job by id, with the run that it had last.
select j.*, r.* from jobs j
left join runs r on r.number = (select max(number) from runs where job_id = j.id)
where j.id = :id;

-- name: page
-- Jobs of a group by due time and id, from beyond a position on. The planner needs the partial index's literal predicate.
select j.*, r.* from jobs j
left join runs r on r.number = (select max(number) from runs where job_id = j.id)
where j.product = :product and j.job_group = :job_group and j.state <> 'done'
  and j.state in (select value from json_each(:states))
  and (j.due_at, j.id) > (:after_due, :after_id)
  and j.due_at >= :due_from and j.due_at < :due_to
order by j.due_at, j.id
limit :limit;

-- name: page_done
-- The same for jobs that are done; with :dead only those that gave up.
select j.*, r.* from jobs j
left join runs r on r.number = (select max(number) from runs where job_id = j.id)
where j.product = :product and j.job_group = :job_group and j.state = 'done'
  and (not :dead or j.outcome in (select value from json_each(:deadly)))
  and (j.due_at, j.id) > (:after_due, :after_id)
  and j.due_at >= :due_from and j.due_at < :due_to
order by j.due_at, j.id
limit :limit;

-- name: counts
-- How many jobs are where.
select product, job_group, state, count(*) from jobs group by product, job_group, state;

-- name: update
-- An edited job, if nobody else wrote it meanwhile.
update jobs
set request = :request, "trigger" = :trigger, options = :options, state = :state, paused = :paused, fire_time = :fire_time,
    due_at = :due_at, attempt = :attempt, failures = :failures, losses = :losses, outcome = :outcome,
    version = :version, updated_at = :updated_at
where id = :id and version = :version - 1
returning id;

-- name: delete
-- A job, if nobody else wrote it meanwhile.
delete from jobs where id = :id and version = :version returning id;

-- name: claim
-- Take due jobs of one group for a living node; the caller numbers the runs in the same transaction.
update jobs
set state = 'running', run = :run, node = :node, claimed_at = :now, attempt = attempt + 1, version = version + 1, updated_at = :now
where id = :id
returning *;

-- name: due
-- Which jobs of a group may be claimed, the earliest due first.
select id from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and due_at <= :now
order by due_at
limit :limit;

-- name: due_next
-- When the next job of a group is due.
select min(due_at) from jobs where product = :product and job_group = :job_group and state = 'scheduled';

-- name: finish
-- What a job became, if it still has this run and nobody edited it meanwhile.
update jobs
set state = :state, paused = :paused, fire_time = :fire_time, due_at = :due_at, attempt = :attempt, failures = :failures,
    losses = :losses, run = null, node = null, claimed_at = null, outcome = :outcome,
    version = :version, updated_at = :updated_at
where id = :id and run = :ended_run and version = :version - 1
returning id;

-- name: run_of
-- The run that a job has, if any.
select run from jobs where id = :id;

-- name: ask_to_stop!
-- A running job was deleted: its node is to stop the run.
insert into stops (run, node) values (:run, :node);

-- name: stops
-- The runs that a node is to stop; each is told once.
delete from stops where node = :node returning run;

-- name: orphans
-- Running jobs whose node has no row.
select * from jobs
where state = 'running' and node not in (select name from nodes)
order by run
limit :limit;

-- name: prune_jobs!
-- Forget jobs that were done long ago.
delete from jobs where id in (select id from jobs where state = 'done' and updated_at < :before limit :limit);
