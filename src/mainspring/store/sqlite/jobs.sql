-- name: add!
-- A new job, its values by position: by name they take 5 us more.
insert into jobs ({job_columns}) values ({job_marks});

-- name: keep!
-- What a call is answered.
insert into receipts (id, at, fingerprint, answer) values (:receipt, :now, :fingerprint, :answer);

-- name: receipt
-- What a call was answered.
select id, fingerprint, answer from receipts where id = :receipt;

-- name: forget_receipt!
-- One that is too old.
delete from receipts where id = :receipt and at < :now - :kept_for;

-- name: prune_receipts!
-- All that are too old.
delete from receipts where at < :now - :kept_for;

-- name: is_done
-- Whether a job is done.
select exists (select 1 from runs where job_id = :id and version is not null);

-- name: get
-- One job by id that is not done.
select {job_columns} from jobs where id = :id;

-- name: some
-- Those of these jobs that are not done.
select {job_columns} from jobs where id in (select value from json_each(:ids));

-- name: get_done
-- One job by id that is done.
select {done_job_columns}, {run_columns} from runs where job_id = :id and version is not null order by number desc limit 1;

-- name: page
-- Jobs of a group by due time and id, from beyond a position on: merged from the five indexes, each of which is in that order.
select * from (
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'scheduled'
          and 'scheduled' in (select value from json_each(:states)) and parent is null and priority = 5
          and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
        order by due_at, id
        limit :limit
    )
    union all
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'scheduled'
          and 'scheduled' in (select value from json_each(:states)) and parent is null and priority <> 5
          and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
        order by due_at, id
        limit :limit
    )
    union all
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'running'
          and 'running' in (select value from json_each(:states)) and parent is null
          and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
        order by due_at, id
        limit :limit
    )
    union all
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'paused' and (waits_for is null or paused)
          and 'paused' in (select value from json_each(:states)) and parent is null
          and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
        order by due_at, id
        limit :limit
    )
    union all
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'paused' and waits_for is not null and not paused
          and 'scheduled' in (select value from json_each(:states)) and parent is null
          and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
        order by due_at, id
        limit :limit
    )
)
order by due_at, id
limit :limit;

-- name: page_of_outcomes
-- The same for those whose last runs ended in some ways, and with :gave_up gave up.
select {job_columns} from jobs
where product = :product and job_group = :job_group and outcome in (select value from json_each(:outcomes))
  and iif(state = 'paused' and waits_for is not null and not paused, 'scheduled', state) in (select value from json_each(:states))
  and parent is null
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
  and (not :gave_up or attempt = 0)
  and (due_at, id) > (:after_due, :after_id) and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
order by due_at, id
limit :limit;

-- name: page_done
-- Jobs of a group that are done, from the one that ended last.
select {done_job_columns}, {run_columns} from runs
where version is not null and product = :product and job_group = :job_group and number < :after_run
  and (:outcomes is null or outcome in (select value from json_each(:outcomes)))
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
order by number desc
limit :limit;

-- name: page_done_of_outcomes
-- The same for those that ended in some ways, none of which is a success.
select {done_job_columns}, {run_columns} from runs indexed by runs_of_outcome
where version is not null and outcome <> 'succeeded' and product = :product and job_group = :job_group
  and outcome in (select value from json_each(:outcomes))
  and number < :after_run and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
order by number desc
limit :limit;

-- name: counts
-- How many jobs are where, and how many of them gave up.
select product, job_group, state, gave_up, sum(jobs) from counts group by product, job_group, state, gave_up having sum(jobs) > 0;

-- name: bytes_of_group
-- How many bytes the requests of the jobs of a group have: all jobs are in one of five indexes.
select coalesce(sum(bytes), 0) from (
    select length(cast(request as blob)) as bytes from jobs where product = :product and job_group = :job_group and state = 'scheduled' and priority = 5
    union all
    select length(cast(request as blob)) as bytes from jobs where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5
    union all
    select length(cast(request as blob)) as bytes from jobs where product = :product and job_group = :job_group and state = 'running'
    union all
    select length(cast(request as blob)) as bytes from jobs
    where product = :product and job_group = :job_group and state = 'paused' and (waits_for is null or paused)
    union all
    select length(cast(request as blob)) as bytes from jobs
    where product = :product and job_group = :job_group and state = 'paused' and waits_for is not null and not paused
);

-- name: bytes_of_product
-- The same of the jobs of a product.
select coalesce(sum(bytes), 0) from (
    select length(cast(request as blob)) as bytes from jobs where product = :product and state = 'scheduled' and priority = 5
    union all
    select length(cast(request as blob)) as bytes from jobs where product = :product and state = 'scheduled' and priority <> 5
    union all
    select length(cast(request as blob)) as bytes from jobs where product = :product and state = 'running'
    union all
    select length(cast(request as blob)) as bytes from jobs
    where product = :product and state = 'paused' and (waits_for is null or paused)
    union all
    select length(cast(request as blob)) as bytes from jobs
    where product = :product and state = 'paused' and waits_for is not null and not paused
);

-- name: count!
-- So many jobs more, or fewer.
insert into counts (product, job_group, state, gave_up, jobs) values (:product, :job_group, :state, :gave_up, :jobs)
on conflict do update set jobs = jobs + excluded.jobs;

-- name: update
-- An edited job, if nobody else wrote it meanwhile.
update jobs set {edits}
where id = :id and version = :version - 1
returning id;

-- name: amend
-- A done job with another request, trigger and options, if nobody else wrote it meanwhile; its times are written so that they can be read.
update runs set request = :request, "trigger" = :trigger, options = :options, version = :version, fire_time = :fire_time, due_at = :due_at,
    created_at = :created_at
where job_id = :id and version = :version - 1
returning number;

-- name: label!
-- The labels of a job.
update jobs set labels = :labels where id = :id;

-- name: label_done!
-- Those of a done job.
update runs set labels = :labels where job_id = :id and version is not null;

-- name: unlabel!
-- A job is found by these no more.
delete from labels where job_id = :id and label not in (select value from json_each(coalesce(:labels, '[]')));

-- name: index_labels!
-- A job is found by these.
insert or ignore into labels (label, product, job_group, job_id) select value, :product, :job_group, :id from json_each(:labels);

-- name: end_being_done
-- A done job is so no longer, if nobody else wrote it meanwhile: its history stays, what the job was goes.
update runs
set version = null, failures = null, losses = null, {forget_kept_columns}
where job_id = :id and version = :version
returning number;

-- name: delete
-- A job, if nobody else wrote it meanwhile.
delete from jobs where id = :id and version = :version returning id;

-- name: end_unrun
-- A job that does not run is done, if nobody else wrote it meanwhile: a row of history holds what it was.
insert into runs (
    number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason,
    version, failures, losses, {kept_columns}, backfill
)
select :number, id, fire_time, due_at, :finished_at, :finished_at, 0, product, job_group, '', :outcome, :reason,
    :version, failures, losses, {kept_columns_of_job}, backfill
from jobs j where id = :id and version = :version - 1 and run is null
returning number;

-- name: forget_job!
-- A job that history holds.
delete from jobs where id = :id;

-- name: find
-- Jobs of a group, a product or all with some labels, by due time or creation, and id, from beyond a place on.
select {job_columns} from jobs
where id in (
        select l.job_id from json_each(:ranges) w join labels l on l.label between w.value ->> 0 and w.value ->> 1
        where :product in ('', l.product) and :job_group in ('', l.job_group)
        union
        select named.id from jobs named where named.id between :first_id and :last_id
    )
  and :product in ('', product) and :job_group in ('', job_group) and parent is null
  and iif(state = 'paused' and waits_for is not null and not paused, 'scheduled', state) in (select value from json_each(:states))
  and (:outcomes is null or outcome in (select value from json_each(:outcomes))) and (not :gave_up or attempt = 0)
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
  and (:node is null or node = :node)
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
  and (iif(:by_created, created_at, due_at), id) > (:after_due, :after_id)
order by iif(:by_created, created_at, due_at), id
limit :limit;

-- name: find_done
-- The same of jobs that are done, from the one that ended last.
select {done_job_columns}, {run_columns} from runs
where job_id in (
        select l.job_id from json_each(:ranges) w join labels l on l.label between w.value ->> 0 and w.value ->> 1
        where :product in ('', l.product) and :job_group in ('', l.job_group)
        union
        select named.job_id from runs named where named.job_id between :first_id and :last_id and named.version is not null
    )
  and :product in ('', product) and :job_group in ('', job_group) and version is not null and number < :after_run
  and (:outcomes is null or outcome in (select value from json_each(:outcomes)))
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
  and (:node is null or node = :node)
  and due_at >= :due_from and due_at <= :due_last and created_at >= :created_from and created_at <= :created_last
order by number desc
limit :limit;

-- name: count_labelled
-- How many jobs of a group, a product or all have labels in these ranges, as far as they are counted.
select count(*) from (
        select l.job_id from json_each(:ranges) w join labels l on l.label between w.value ->> 0 and w.value ->> 1
        where :product in ('', l.product) and :job_group in ('', l.job_group)
        limit :most
    );

-- name: page_created
-- Jobs of a group by when they were created, from beyond a place on.
select * from (
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state in ('scheduled', 'paused') and parent is null
          and iif(state = 'paused' and waits_for is not null and not paused, 'scheduled', state) in (select value from json_each(:states))
  and (:outcomes is null or outcome in (select value from json_each(:outcomes))) and (not :gave_up or attempt = 0)
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and due_at >= :due_from and due_at <= :due_last
          and (created_at, id) > (:after_due, :after_id) and created_at >= :created_from and created_at <= :created_last
        order by created_at, id
        limit :limit
    )
    union all
    select * from (
        select {job_columns} from jobs
        where product = :product and job_group = :job_group and state = 'running'
          and 'running' in (select value from json_each(:states)) and parent is null
  and (:outcomes is null or outcome in (select value from json_each(:outcomes))) and (not :gave_up or attempt = 0)
  and (:labels is null or not exists (select 1 from json_each(:labels) t where t.value not in (select value from json_each({labels}))))
          and due_at >= :due_from and due_at <= :due_last
          and (created_at, id) > (:after_due, :after_id) and created_at >= :created_from and created_at <= :created_last
        order by created_at, id
        limit :limit
    )
)
order by created_at, id
limit :limit;

-- name: on_node
-- Jobs that run on a node, by due time.
select {job_columns} from jobs where state = 'running' and node = :node and parent is null
  and :product in ('', product) and :job_group in ('', job_group)
order by due_at, id;

-- name: labelled_jobs
-- Some jobs that have labels, from beyond one on, and whether they are there or in history.
select job_id, exists (select 1 from jobs j where j.id = k.job_id)
    or exists (select 1 from runs r where r.job_id = k.job_id and r.version is not null)
from (select distinct job_id from labels where job_id > :after order by job_id limit :limit) k;

-- name: with_keys
-- Jobs of a group that have any of these keys and are not done.
select {job_columns} from jobs
where product = :product and job_group = :job_group and parent is null
  and iif(json_valid(options), options ->> '$.key', null) in (select value from json_each(:keys))
  and iif(json_valid(options), options ->> '$.key', null) is not null;

-- name: take_keys!
-- A batch on its way in has this key.
insert into batch_keys (product, job_group, key, batch) values (:product, :job_group, :key, :batch);

-- name: give_keys_back!
-- Keys of a slice that goes in.
delete from batch_keys
where (product, job_group, key) in (select value ->> 0, value ->> 1, value ->> 2 from json_each(:keys)) and batch = :batch;

-- name: forget_keys!
-- Keys of batches that were not accepted.
delete from batch_keys where batch not in (select batch from accepted);

-- name: wait!
-- A job waits for another.
insert into waits (awaited, waiting) values (:awaited, :waiting)
on conflict (awaited, waiting) do update set is_known = 0;

-- name: waiting
-- Jobs that wait for one.
select {job_columns} from jobs
where id in (select waiting from waits where awaited = :awaited) and waits_for is not null
order by id;

-- name: ended_waits
-- Jobs that others wait for and that are over, where these have not heard of it; and whether anybody waits for any.
select (
    select json_group_array(awaited) from (
        select distinct w.awaited from waits w where not w.is_known and not exists (select 1 from jobs j where j.id = w.awaited) limit :limit
    )
), exists (select 1 from waits where not is_known);

-- name: know!
-- Those that wait for a job have heard that it is over.
update waits set is_known = 1 where awaited = :awaited;

-- name: wait_again!
-- A job that was over is so no longer: who waits for it has to hear of its end again.
update waits set is_known = 0 where awaited = :awaited;

-- name: forget_waits!
-- Nobody waits any more.
delete from waits where not exists (select 1 from jobs j where j.id = waits.waiting);

-- name: resumable
-- Paused jobs that are to go on by themselves.
select {job_columns} from jobs where resume_at <= :now order by resume_at limit :limit;

-- name: resumes
-- Whether there are any.
select exists (select 1 from jobs where resume_at <= :now);

-- name: recurring
-- Jobs of all groups that recur, by id, from beyond one on.
select {job_columns} from jobs
where "trigger" is not null and id > :after and (:calendar is null or :calendar in ("trigger" ->> '$.calendar', "trigger" ->> '$.calendar.name'))
order by id
limit :limit;

-- name: count_recurring
-- How many of these there are.
select count(*) from jobs where "trigger" is not null and :calendar in ("trigger" ->> '$.calendar', "trigger" ->> '$.calendar.name');

-- name: children
-- The jobs that were taken out of another.
select {job_columns} from jobs where parent = :parent order by id;

-- name: split_off
-- A running job waits for its next occurrence, if nobody else wrote it meanwhile: another has its run.
update jobs set {edits}, run = null, node = null, claimed_at = null
where id = :id and version = :version - 1
returning id;

-- name: due
-- Which jobs of a group that have the usual priority may be claimed, the earliest due first, and whether they gave up last time.
select id, coalesce(outcome in ('failed', 'timed_out', 'lost') and attempt = 0, 0), due_at, priority, concurrency_key from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and priority = 5 and due_at <= :until and format <= {format}
  and ("trigger" is null or :current)
order by due_at
limit :limit;

-- name: due_others
-- Whether there are others.
select 1 from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5 and due_at <= :until and format <= {format}
limit 1;

-- name: due_of_priority
-- The same of another priority.
select id, coalesce(outcome in ('failed', 'timed_out', 'lost') and attempt = 0, 0), due_at, priority, concurrency_key from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5 and priority = :priority and due_at <= :until
  and format <= {format} and ("trigger" is null or :current)
order by due_at
limit :limit;

-- name: next_key
-- The next key, and priority, that jobs of a group have which wait.
select concurrency_key, priority from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and concurrency_key is not null
  and (concurrency_key, priority) > (:after, :after_priority)
order by concurrency_key, priority
limit 1;

-- name: due_of_key
-- Which jobs of a key and a priority may be claimed.
select id, coalesce(outcome in ('failed', 'timed_out', 'lost') and attempt = 0, 0), due_at, priority, concurrency_key from jobs
where product = :product and job_group = :job_group and state = 'scheduled' and concurrency_key = :concurrency_key and priority = :priority
  and due_at <= :until and format <= {format} and ("trigger" is null or :current)
order by due_at
limit :limit;

-- name: load
-- What runs of a product by group and key, when its rates let the next job begin, and what is busy, as JSON.
select (
    select json_group_array(json_array(job_group, concurrency_key, jobs, claimed_at)) from (
        select job_group, concurrency_key, count(*) as jobs, max(claimed_at) as claimed_at
        from jobs where state = 'running' and product = :product group by 1, 2
    )
), (select json_group_array(json_array(name, next_at)) from rates where product = :product and forget_at > :now),
    (select json_group_array(json_array(concurrency_key, value)) from pressures where product = :product);

-- name: pressures
-- What is known of the services behind these keys of a product, or behind all, and how many jobs of each run.
select k.key, p.value, (select count(*) from jobs j where j.state = 'running' and j.product = :product and j.concurrency_key = k.key)
from (
    select value as key from json_each(:keys)
    union
    select concurrency_key from pressures where product = :product and :keys is null
) k
left join pressures p on p.product = :product and p.concurrency_key = k.key
order by k.key;

-- name: forget_pressure
-- What is known of a service is known no more, if it is as was believed.
delete from pressures where product = :product and concurrency_key = :key and value = :before returning value;

-- name: swap_pressure
-- What is known of a service, if it is as was believed.
insert into pressures (product, concurrency_key, value) select :product, :key, :after
where (select value from pressures where product = :product and concurrency_key = :key) is :before
on conflict (product, concurrency_key) do update set value = excluded.value
returning value;

-- name: put_rate!
-- When a rate lets the next job begin.
insert into rates (product, name, next_at, forget_at) values (:product, :name, :next_at, :forget_at)
on conflict (product, name) do update set next_at = excluded.next_at, forget_at = excluded.forget_at;

-- name: spend
-- A moment is moved on, if it is then not too far ahead of the time.
insert into rates (product, name, next_at, forget_at)
select :product, :name, :now + :cost, :now + :cost where :cost <= :most
on conflict (product, name) do update set
    next_at = max(next_at, :now) + :cost, forget_at = max(next_at, :now) + :cost
where max(next_at, :now) - :now + :cost <= :most
returning next_at;

-- name: spent
-- Where a moment is, and what time it is.
select max(next_at), :now from rates where product = :product and name = :name;

-- name: prune_rates!
-- Rates that hold nobody back any more.
delete from rates where forget_at <= :now;

-- name: claim!
-- Take these jobs for a node; their run numbers were drawn in the same transaction.
update jobs
set state = 'running', run = :first + due.key, node = :node, claimed_at = :now, attempt = min(attempt, 1000000000) + 1,
    version = min(version, 1000000000000000000) + 1, updated_at = :now
from json_each(:ids) as due
where jobs.id = due.value;

-- name: claimed
-- Jobs that were claimed, in one value: each row that is fetched gives other threads a turn, and all of Python waits for it to come back.
select json_group_array(json_array(
    {claimed_columns}, product, job_group, claimed_at
))
from jobs where id in (select value from json_each(:ids));

-- name: claimed_rows
-- The same row by row, where what stands in one of them is no JSON.
select {claimed_columns_as_they_are}, product, job_group, claimed_at
from jobs where id in (select value from json_each(:ids));

-- name: paused_at
-- The number of the last note that is a pause or a limit, or says what is busy.
select coalesce(max(version), 0) from notes where kind in ('pause', 'limits', 'busy');

-- name: unclaim
-- A job that did not begin, if it still has that run: as before it was claimed.
update jobs
set state = iif(paused, 'paused', 'scheduled'), run = null, node = null, claimed_at = null, attempt = attempt - 1, version = version + 1,
    updated_at = :now
where id = :id and run = :run and not cancelling
returning state;

-- name: holding
-- What a node has claimed and not finished.
select {running_job_columns}
from jobs j
where state = 'running' and node = :node;

-- name: due_next
-- When the next job of a group is due, after a moment.
select min(due_at) from (
    select min(due_at) as due_at from jobs
    where product = :product and job_group = :job_group and state = 'scheduled' and priority = 5 and due_at > :after and format <= {format}
    union all
    select min(due_at) from jobs
    where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5 and due_at > :after and format <= {format}
);

-- name: end_jobs!
-- The rows of history of runs that ended their jobs, with what the jobs were, where these have that run and nobody edited them meanwhile.
insert into runs (
    number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason,
    version, failures, losses, {kept_columns}, backfill, {large_columns}
)
select run, coalesce(j.parent, j.id), fire_time, due_at, e.value ->> {ended.started_at}, e.value ->> {ended.finished_at}, attempt, product,
    job_group, node, e.value ->> {ended.outcome}, e.value ->> {ended.reason}, iif(j.parent is null, e.value ->> {ended.version}, null),
    e.value ->> {ended.failures}, e.value ->> {ended.losses}, {kept_columns_of_job}, backfill, e.value ->> {ended.result},
    e.value ->> {ended.result_error}, e.value ->> {ended.traceback}, e.value ->> {ended.log}
from json_each(:ended) as e
join jobs j on j.id = e.value ->> {ended.id} and run = e.value ->> {ended.run} and version = (e.value ->> {ended.version}) - 1;

-- name: tell_parents!
-- Jobs hear how occurrences ended that ran beside them; of several the last counts.
update jobs set outcome = e.outcome, last_success = iif(
    e.outcome = 'succeeded', json_array(e.fire_time, e.finished_at, e.result), last_success
)
from (
    select j.parent, e.value ->> {ended.outcome} as outcome, j.fire_time, e.value ->> {ended.finished_at} as finished_at,
        e.value ->> {ended.result} as result, max(j.run)
    from json_each(:ended) as e join jobs j on j.id = e.value ->> {ended.id}
    where j.parent is not null and not j.backfill
    group by j.parent
) as e
where jobs.id = e.parent;

-- name: forget_jobs!
-- Jobs that history holds.
delete from jobs where id in (select value ->> {ended.id} from json_each(:ended));

-- name: end_run!
-- The row of history of a run whose job goes on, if it still has this run and nobody edited it meanwhile.
insert into runs (
    number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason, backfill,
    {large_columns}
)
select run, coalesce(parent, id), fire_time, due_at, :started_at, :finished_at, attempt, product, job_group, node, :outcome, :reason, backfill,
    :result, :result_error, :traceback, :log
from jobs
where id = :id and run = :run and version = :version - 1;

-- name: go_on!
-- What a job became whose run was written.
update jobs
set state = :state, paused = :paused, fire_time = :fire_time, due_at = :due_at, attempt = :attempt, failures = :failures,
    losses = :losses, run = null, node = null, claimed_at = null, outcome = :outcome, last_run = :last_run, hold = :hold,
    resume_at = :resume_at, cancelling = 0, give_ups = :give_ups, last_success = coalesce(:last_success, last_success), progress = null,
    version = :version, updated_at = :finished_at
where id = :id;

-- name: put_progress!
-- How far a run is.
update jobs set progress = :progress where run = :run and state = 'running';

-- name: settled
-- Whether a run was ended in just that way, though nobody heard so.
select 1 from runs where number = :run and job_id = :job_id and finished_at = :finished_at and outcome = :outcome;

-- name: run_of
-- The run that a job has, if any.
select run from jobs where id = :id;

-- name: ask_to_stop!
-- A running job was deleted or cancelled: its node is to stop the run. It may not have heard yet of the time before.
insert into stops (run, node) values (:run, :node) on conflict do nothing;

-- name: stops
-- The runs that a node is to stop; each is told once.
delete from stops where node = :node returning run;

-- name: under_way
-- What runs hold that are under way.
select product, job_group, concurrency_key, coalesce(parent, id), run, node, claimed_at from jobs where state = 'running' order by run;

-- name: ahead
-- How many jobs of a group go before one, as far as they are counted.
select count(*) from (
    select 1 from (
        select due_at, id from jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and priority = 5
          and (:priority < 5 or :priority = 5 and (due_at, id) < (:due_at, :id)) and due_at <= :due_at
        union all
        select due_at, id from jobs
        where product = :product and job_group = :job_group and state = 'scheduled' and priority <> 5
          and (priority > :priority or priority = :priority and (due_at, id) < (:due_at, :id)) and due_at <= :due_at
    ) before
    limit :limit
) counted;

-- name: rates
-- When the rates of a product let the next job begin.
select name, next_at from rates where product = :product;

-- name: orphans
-- Running jobs of these groups whose node has no row.
select {running_job_columns}
from json_each(:keys) as w
join jobs j on j.product = w.value ->> 0 and j.job_group = w.value ->> 1 and j.state = 'running'
where node not in (select name from nodes) and format <= {format}
order by run
limit :limit;

-- name: some_of
-- One of these jobs that is there.
select id from jobs where id in (select value from json_each(:ids)) limit 1;

-- name: put_aside!
-- A slice of a batch.
insert into batches (batch, slice, jobs, unrun) values (:batch, :slice, :jobs, :unrun);

-- name: accept!
-- From here on a batch is to be written, whatever happens.
insert into accepted (batch) values (:batch);

-- name: accepted
-- Batches that are not all written.
select batch from accepted;

-- name: take_slice
-- The next slice of a batch, which is to be written in the same transaction.
delete from batches where (batch, slice) = (select batch, min(slice) from batches where batch = :batch) returning jobs, unrun;

-- name: moved!
-- All of a batch is written.
delete from accepted where batch = :batch;

-- name: forget_batches!
-- What was not accepted.
delete from batches where batch not in (select batch from accepted);

-- name: children_to_follow!
-- A job was deleted: if it has children they are to follow.
insert into deletions (parent) select :id where exists (select 1 from jobs where parent = :id) on conflict do nothing;

-- name: deletions
-- Jobs that were deleted, whose children are to follow.
select parent from deletions;

-- name: end_children
-- The rows of history of the next children that run: their nodes are to stop them.
insert into runs (
    number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome, reason, backfill
)
select run, :parent, fire_time, due_at, max(claimed_at, due_at), :now, attempt, product, job_group, node, 'cancelled', :why, backfill
from jobs where state = 'running' and id in (select id from jobs where parent = :parent order by id limit :limit)
returning number;

-- name: stop_children!
-- The same for their nodes.
insert into stops (run, node)
select run, node from jobs where state = 'running' and id in (select id from jobs where parent = :parent order by id limit :limit)
on conflict do nothing;

-- name: delete_children
-- The next children go.
delete from jobs where id in (select id from jobs where parent = :parent order by id limit :limit) returning product, job_group, state;

-- name: followed!
-- No child is left.
delete from deletions where parent = :parent;
