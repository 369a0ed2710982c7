-- name: add!
-- A new job.
insert into jobs (
    id, product, job_group, request, "trigger", options, state, paused, fire_time, due_at, attempt, failures,
    losses, run, node, claimed_at, outcome, last_run, version, created_at, updated_at
) values (
    :id, :product, :job_group, :request, :trigger, :options, :state, :paused, :fire_time, :due_at, :attempt, :failures,
    :losses, :run, :node, :claimed_at, :outcome, :last_run, :version, :created_at, :updated_at
);

-- name: get
-- One job by id.
select * from jobs where id = :id;

-- name: page
-- Jobs of a group by due time and id, from beyond a position on. The planner needs the literal predicate of a partial index.
select * from jobs
where product = :product and job_group = :job_group and state <> 'done'
  and state in (select value from json_each(:states))
  and (due_at, id) > (:after_due, :after_id)
  and due_at >= :due_from and due_at < :due_to
order by due_at, id
limit :limit;

-- name: page_done
-- The same for jobs that are done; with :dead only those that gave up.
select * from jobs
where product = :product and job_group = :job_group and state = 'done'
  and (not :dead or outcome in (select value from json_each(:deadly)))
  and (due_at, id) > (:after_due, :after_id)
  and due_at >= :due_from and due_at < :due_to
order by due_at, id
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
    losses = :losses, run = null, node = null, claimed_at = null, outcome = :outcome, last_run = :last_run,
    version = :version, updated_at = :updated_at
where id = :id and run = :ended_run and version = :version - 1
returning id;

-- name: run_of
-- The run that a job has, if any.
select run from jobs where id = :id;

-- name: held
-- The runs of a node.
select run from jobs where state = 'running' and node = :node;

-- name: orphans
-- Running jobs whose node has no row.
select * from jobs
where state = 'running' and node not in (select name from nodes)
order by run
limit :limit;

-- name: prune_jobs!
-- Forget jobs that were done long ago.
delete from jobs where id in (select id from jobs where state = 'done' and updated_at < :before limit :limit);
